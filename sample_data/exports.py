"""The same month as three systems export it: FreeSWITCH, Asterisk and Twilio.

Input is the true calls, output the text of each export in the form its system
writes, with its own clock, its own words and its own way of splitting a call.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from company import InternalCall, TrueCall, london

FS_CAUSES = {
    "completed": ("NORMAL_CLEARING", "NORMAL_CLEARING", "NORMAL_CLEARING", "NORMAL_UNSPECIFIED"),
    "no_answer": ("NO_ANSWER", "NO_ANSWER", "NO_USER_RESPONSE", "ALLOTTED_TIMEOUT"),
    "busy": ("USER_BUSY",),
    "canceled": ("ORIGINATOR_CANCEL",),
    "failed": ("NORMAL_TEMPORARY_FAILURE", "UNALLOCATED_NUMBER", "CALL_REJECTED"),
}
AST_DISPOSITIONS = {
    "completed": "ANSWERED", "no_answer": "NO ANSWER", "busy": "BUSY", "canceled": "CANCEL", "failed": "FAILED",
}  # fmt: skip
TWILIO_STATUSES = {"no_answer": "no-answer"}
TWILIO_ACCOUNT = "AC5a0e7c3f9b1d48e2a6c4f0837d92b15e"
TWILIO_COLUMNS = (
    "sid", "parent_call_sid", "account_sid", "to", "from", "status", "start_time", "end_time", "duration", "price",
    "price_unit", "direction", "caller_name",
)  # fmt: skip


def national(number: str) -> str:
    """Write a number as a British switch dials it: 0…, or 00 and the country."""
    return "0" + number[3:] if number.startswith("+44") else "00" + number[1:]


def stamp(at: datetime) -> str:
    """Print a switch's stamp: cut to the second, no zone."""
    return at.strftime("%Y-%m-%d %H:%M:%S")


def whole(at: datetime) -> datetime:
    """Cut an instant to the second."""
    return at.replace(microsecond=0)


def seconds_between(start: datetime, end: datetime) -> int:
    """Return whole seconds the way FreeSWITCH counts: cut both first, subtract after."""
    return int((whole(end) - whole(start)).total_seconds())


def digit(uuid: str) -> int:
    """Return a number that is fixed for a call, to vary what does not matter."""
    return int(uuid[:6], 16)


@dataclass
class Row:
    """One row of an export: when it was written, and its text."""

    at: datetime
    text: str


def doubled(rows: Sequence[Row], every: int) -> list[Row]:
    """Write some rows twice, as a switch does after a failed write."""
    written: list[Row] = []
    for n, row in enumerate(sorted(rows, key=lambda r: r.at)):
        written.append(row)
        if n % every == every // 2:
            written.append(row)
    return written


def freeswitch(calls: Sequence[TrueCall], internal: Sequence[InternalCall]) -> str:
    """Return `Master.csv` of mod_cdr_csv, template ``example``: local time, everything quoted, no header."""
    rows = [row for call in calls for row in _freeswitch_rows(call)]
    for desk in internal:
        answered, ended = (
            desk.started_at + timedelta(seconds=desk.ring_s),
            desk.started_at + timedelta(seconds=desk.ring_s + desk.talk_s),
        )
        rows.append(
            _quoted(
                ended, desk.caller, desk.caller, desk.called, "default", stamp(london(desk.started_at)), stamp(london(answered)),
                stamp(london(ended)), desk.ring_s + desk.talk_s, desk.talk_s, "NORMAL_CLEARING", desk.uuid, "", desk.caller, "G722", "G722",
            )
        )  # fmt: skip
    return "".join(row.text for row in doubled(rows, every=190))


def _quoted(at: datetime, *values: object) -> Row:
    return Row(at, ",".join(f'"{value}"' for value in values) + "\n")


def _freeswitch_rows(call: TrueCall) -> list[Row]:
    def row(
        uuid: str, other: str, start: datetime, answer: datetime | None, end: datetime, *, cause: str
    ) -> Row:
        return _quoted(
            end, call.customer_name if call.inbound else "Larkfield Heating", national(call.from_number), national(call.to_number),
            "public" if call.inbound else "default", stamp(london(start)), stamp(london(answer)) if answer else "",
            stamp(london(end)), seconds_between(start, end), seconds_between(answer, end) if answer else 0, cause, uuid, other,
            "" if call.inbound else call.user, "PCMA", "PCMA",
        )  # fmt: skip

    causes = FS_CAUSES[call.outcome]
    cause = causes[digit(call.uuid) % len(causes)]
    if call.outcome == "no_answer" and not call.tags and digit(call.uuid) % 12 == 0:
        cause = "NORMAL_CLEARING"  # says nothing about why: such a row proves no status
    answer = call.answered_at if call.is_answered else None
    if not call.leg_uuids:
        return [row(call.uuid, "", call.started_at, answer, call.ended_at, cause=cause)]
    clear = "NORMAL_CLEARING"
    first, second, third = call.leg_uuids
    whole_call = row(call.uuid, first, call.started_at, answer, call.ended_at, cause=clear)
    if call.shape == "transfer":
        handover = call.transferred_at
        return [
            whole_call,
            row(first, call.uuid, call.started_at, answer, handover, cause="BLIND_TRANSFER"),
            row(second, call.uuid, handover, handover, call.ended_at, cause=clear),
        ]
    return [
        whole_call,
        row(first, call.uuid, call.started_at, answer, call.ended_at, cause=clear),
        row(second, call.uuid, call.started_at, None, call.answered_at, cause="LOSE_RACE"),
        row(third, call.uuid, call.started_at, None, call.answered_at, cause="LOSE_RACE"),
    ]


def asterisk(calls: Sequence[TrueCall], internal: Sequence[InternalCall]) -> str:
    """Return `Master.csv` of cdr_csv with 18 columns: GMT, strings quoted, seconds not, no header."""
    rows: list[Row] = []
    counter = 0
    for call in sorted(calls, key=lambda c: c.started_at):
        counter += 2 + len(call.leg_uuids)
        rows += _asterisk_rows(call, counter)
    for desk in internal:
        counter += 2
        answered = desk.started_at + timedelta(seconds=desk.ring_s)
        ended = answered + timedelta(seconds=desk.talk_s)
        rows.append(
            _asterisk_row(
                desk.started_at, answered, ended, account=desk.caller, src=desk.caller, dst=desk.called, context="from-internal",
                name=desk.caller, channel=f"PJSIP/{desk.caller}-{counter:08x}", other=f"PJSIP/{desk.called}-{counter + 1:08x}",
                data=f"PJSIP/{desk.called},30,tT", outcome="completed", uniqueid=f"{int(desk.started_at.timestamp())}.{counter}", userfield="", written_at=ended,
            )
        )  # fmt: skip
    return "".join(row.text for row in doubled(rows, every=180))


def _asterisk_row(
    start: datetime, answer: datetime | None, end: datetime, *, account: str, src: str, dst: str, context: str, name: str,
    channel: str, other: str, data: str, outcome: str, uniqueid: str, userfield: str, written_at: datetime,
) -> Row:  # fmt: skip
    def text(value: str) -> str:
        return '"' + value.replace('"', '""') + '"'

    # Asterisk counts from milliseconds and cuts, so its seconds may be one less than its stamps say.
    total = int((end - start).total_seconds())
    billed = int((end - answer).total_seconds()) if answer else 0
    fields = [
        text(account), text(src), text(dst), text(context), text(f'"{name}" <{src}>'), text(channel), text(other), text("Dial"), text(data),
        text(stamp(start)), text(stamp(answer)) if answer else "", text(stamp(end)), str(total), str(billed),
        text(AST_DISPOSITIONS[outcome]), text("DOCUMENTATION"), text(uniqueid), text(userfield),
    ]  # fmt: skip
    return Row(written_at, ",".join(fields) + "\n")


def _asterisk_rows(call: TrueCall, counter: int) -> list[Row]:
    trunk = f"PJSIP/northgate-{counter:08x}"

    def row(
        start: datetime, answer: datetime | None, end: datetime, *, user: str, outcome: str, nth: int
    ) -> Row:
        desk = f"PJSIP/{user}-{counter + nth:08x}"
        to = national(call.to_number)
        return _asterisk_row(
            start, answer, end, account="" if call.inbound else call.user, src=national(call.from_number), dst=to,
            context="from-trunk" if call.inbound else "from-internal",
            name=call.customer_name if call.inbound else "Larkfield Heating",
            channel=trunk if call.inbound else f"PJSIP/{call.user}-{counter:08x}",
            other=desk if call.inbound else f"PJSIP/northgate-{counter + nth:08x}",
            data=f"PJSIP/{user},30,tT" if call.inbound else f"PJSIP/{to}@northgate,60,T", outcome=outcome,
            uniqueid=f"{int(call.started_at.timestamp())}.{counter}", userfield=call.uuid if call.shares_id else "",
            written_at=call.ended_at,  # all records of a call are posted when it is over
        )  # fmt: skip

    answer = call.answered_at if call.is_answered else None
    if not call.leg_uuids:
        return [row(call.started_at, answer, call.ended_at, user=call.user, outcome=call.outcome, nth=1)]
    second, third = call.colleagues
    if call.shape == "transfer":
        handover = call.transferred_at
        return [
            row(call.started_at, answer, handover, user=call.user, outcome="completed", nth=1),
            row(handover, handover, call.ended_at, user=second, outcome="completed", nth=2),
        ]
    return [
        row(call.started_at, answer, call.ended_at, user=call.user, outcome="completed", nth=1),
        row(call.started_at, None, call.answered_at, user=second, outcome="no_answer", nth=2),
        row(call.started_at, None, call.answered_at, user=third, outcome="no_answer", nth=3),
    ]


@dataclass
class TwilioCall:
    """One Call resource of Twilio, parent or child."""

    at: datetime
    values: dict[str, str]


def _rfc2822(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")


def twilio_calls(calls: Sequence[TrueCall], open_call: TrueCall) -> list[TwilioCall]:
    """Return the Calls resources, newest first as Twilio lists them."""
    resources = [
        resource for call in calls for resource in _twilio_resources(call, is_open=call is open_call)
    ]
    return sorted(resources, key=lambda r: r.at, reverse=True)


def _twilio_resources(call: TrueCall, *, is_open: bool) -> list[TwilioCall]:
    def resource(start: datetime, end: datetime, *, talk_ms: int, **values: str) -> TwilioCall:
        billed = -(-talk_ms // 1000)
        is_done = values["status"] == "completed"
        common = {
            "parent_call_sid": "",
            "account_sid": TWILIO_ACCOUNT,
            "from": call.from_number,
            "start_time": _rfc2822(start),
            "end_time": "" if values["status"] == "in-progress" else _rfc2822(end),
            "duration": str(billed) if is_done else "",
            "price": f"-{-(-billed // 60) * 0.0085:.5f}" if is_done else "",
            "price_unit": "GBP",
            "caller_name": "",
        }
        return TwilioCall(start, common | values)

    def child(nth: int, start: datetime, end: datetime, talk_ms: int) -> TwilioCall:
        return resource(
            start,
            end,
            talk_ms=talk_ms,
            sid="CA" + call.leg_uuids[nth].replace("-", ""),
            parent_call_sid=call.sid,
            to=f"client:{(call.user, *call.colleagues)[nth]}",
            status="completed" if talk_ms else "no-answer",
            direction="outbound-dial",
        )

    parent = resource(
        call.started_at,
        call.ended_at,
        talk_ms=call.talk_ms,
        sid=call.sid,
        to=call.to_number,
        status="in-progress" if is_open else TWILIO_STATUSES.get(call.outcome, call.outcome),
        direction="inbound" if call.inbound else "outbound-api",
    )
    if not call.leg_uuids:
        return [parent]
    if call.shape == "transfer":
        before_ms, handover = call.split_s * 1000, call.transferred_at
        return [
            parent,
            child(0, call.started_at, handover, before_ms),
            child(1, handover, call.ended_at, call.talk_ms - before_ms),
        ]
    return [
        parent,
        child(0, call.started_at, call.ended_at, call.talk_ms),
        child(1, call.started_at, call.answered_at, 0),
        child(2, call.started_at, call.answered_at, 0),
    ]


def twilio_csv(resources: Sequence[TwilioCall]) -> str:
    """Return the resources as a table with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TWILIO_COLUMNS)
    for n, resource in enumerate(resources):
        values = [resource.values[name] for name in TWILIO_COLUMNS]
        writer.writerow(values)
        if n % 200 == 100:
            writer.writerow(values)
    return text.getvalue()


def twilio_json(resources: Sequence[TwilioCall], day: str) -> str:
    """Return one day's resources as a page of the Calls list."""
    chosen = [r for r in resources if r.at.strftime("%Y-%m-%d") == day]
    path = f"/2010-04-01/Accounts/{TWILIO_ACCOUNT}/Calls"
    calls = [
        {
            **{name: value or None for name, value in resource.values.items()},
            "answered_by": None,
            "api_version": "2010-04-01",
            "date_created": resource.values["start_time"],
            "date_updated": resource.values["end_time"] or resource.values["start_time"],
            "duration": resource.values["duration"],
            "forwarded_from": None,
            "group_sid": None,
            "queue_time": "0",
            "uri": f"{path}/{resource.values['sid']}.json",
        }
        for resource in chosen
    ]
    page = {
        "calls": calls, "end": len(calls) - 1, "first_page_uri": f"{path}.json?PageSize=500&Page=0", "next_page_uri": None,
        "page": 0, "page_size": 500, "previous_page_uri": None, "start": 0, "uri": f"{path}.json?PageSize=500&Page=0",
    }  # fmt: skip
    return json.dumps(page, sort_keys=True).replace('{"account_sid"', '\n{"account_sid"') + "\n"
