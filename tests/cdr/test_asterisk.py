"""Asterisk: five widths, one zone that the ids tell, several rows for one call."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.cdr.families.asterisk_rows import epochs, peers
from sippet_reconcile.schema import CALLS

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]
NAMES = ("clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer", "end",
         "duration", "billsec", "disposition", "amaflags", "accountcode", "uniqueid", "userfield", "sequence")  # fmt: skip


def local(at: datetime, zone: str, seconds: int = 0) -> str:
    return (at + timedelta(seconds=seconds)).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")


def calls(asterisk: Line, zone: str, begins: list[datetime], late: int = 0) -> bytes:
    """Return one row per begin, its uniqueid made `late` seconds before the row's own start."""
    return b"".join(
        asterisk(
            start=local(at, zone),
            answer=local(at, zone, 5),
            end=local(at, zone, 65),
            uniqueid=f"pbx-{int(at.timestamp()) - late}.{n}",
        )
        for n, at in enumerate(begins)
    )


OCTOBER = [datetime(2026, 10, 1, tzinfo=UTC) + timedelta(hours=7 * n) for n in range(20)]


@pytest.mark.parametrize("width", [16, 17, 18, 19, 20, 21])
def test_every_width_is_read(asterisk: Line, read: Read, width: int) -> None:
    legs = read(asterisk(width) * 3, timezone="UTC", country="GB")
    leg = legs.iloc[0]
    assert leg[["format", "from_number", "to_e164", "sip_username"]].tolist() == [
        "asterisk",
        "1001",
        "+442079460123",
        "1001",
    ]
    assert (leg["total_s"], leg["billable_s"], leg["status"], leg["cause"]) == (
        65,
        60,
        "completed",
        "ANSWERED",
    )
    assert leg["answered_at"] == pd.Timestamp("2026-10-01 09:00:05", tz="UTC")
    key = "1790845200.1" if width in {17, 18, 20, 21} else None
    assert leg["call_key"] == key if key else pd.isna(leg["call_key"])
    # The linkedid takes the place of a uniqueid that is not there, beside the sequence.
    leg_id = "1790845200.1/7" if width in {19, 20, 21} else key
    assert leg["leg_id"] == leg_id if leg_id else pd.isna(leg["leg_id"])
    assert pd.isna(leg["problem"])


def test_the_seventeenth_column_is_known_by_its_values(asterisk: Line, read: Read) -> None:
    names = tuple(name for name in NAMES if name not in {"uniqueid", "sequence"})
    order = ("accountcode", "src", "dst", "dcontext", "clid", *names[4:15], "userfield")
    legs = read(asterisk(names=order, userfield="8c1f3c52-0000-4000-8000-000000000001"), timezone="UTC")
    assert legs.loc[0, "call_key"] == "8c1f3c52-0000-4000-8000-000000000001"


def test_a_file_whose_width_changed_on_the_way_is_read_whole(asterisk: Line, read: Read) -> None:
    legs = read(asterisk(18) * 3 + asterisk(21) * 2 + asterisk(18)[:70] + b"\n", timezone="UTC")
    assert legs["problem"].isna().tolist() == [True] * 5 + [False]
    assert legs["leg_id"].tolist()[:5] == ["1790845200.1"] * 3 + ["1790845200.1/7"] * 2
    alone = read(asterisk(21), timezone="UTC")
    assert legs.loc[4, "record_hash"] == alone.loc[0, "record_hash"]


def test_the_custom_order_is_told_apart_by_where_the_values_stand(asterisk: Line, read: Read) -> None:
    legs = read(asterisk(names=NAMES) * 2)
    assert legs.loc[0, ["format", "from_number", "leg_id"]].tolist() == [
        "asterisk-custom",
        "1001",
        "1790845200.1/7",
    ]


@pytest.mark.parametrize(
    "zone", ["UTC", "Africa/Nairobi", "Asia/Kolkata", "America/Bogota", "Asia/Kathmandu"]
)
def test_the_zone_is_measured_from_the_ids(asterisk: Line, read: Read, zone: str) -> None:
    legs = read(calls(asterisk, zone, OCTOBER) + calls(asterisk, zone, OCTOBER[:4], late=100))
    assert legs["started_at"].tolist() == [pd.Timestamp(at) for at in (*OCTOBER, *OCTOBER[:4])]
    assert (legs["ended_at"] - legs["started_at"]).dt.total_seconds().eq(65).all()
    assert "measured" in str(sr.describe_cdr(legs).summary()["clock"])
    same = read(calls(asterisk, zone, OCTOBER), timezone=zone)
    assert same["started_at"].tolist() == [pd.Timestamp(at) for at in OCTOBER]


def test_a_zone_that_contradicts_the_ids_is_an_error_with_the_measured_offset(
    asterisk: Line, read: Read
) -> None:
    data = calls(asterisk, "Africa/Nairobi", OCTOBER)
    with pytest.raises(
        sr.CdrFormatError, match=r"would put its clock at UTC\+01:00, .* show UTC\+03:00 \(20 of 20"
    ) as caught:
        read(data, timezone="Europe/London")
    assert caught.value.path is None


def test_a_zone_that_is_right_in_summer_only_is_an_error(asterisk: Line, read: Read) -> None:
    summer = [at - timedelta(days=90) for at in OCTOBER]
    winter = [at + timedelta(days=90) for at in OCTOBER]
    data = calls(asterisk, "Europe/London", summer + winter)
    assert read(data, timezone="Europe/London")["started_at"].tolist() == [
        pd.Timestamp(at) for at in summer + winter
    ]
    with pytest.raises(sr.CdrFormatError, match=r"show UTC\+00:00"):
        read(data, timezone="Africa/Lagos")
    with pytest.raises(sr.InputError, match=r"its clock changed \(UTC\+0\d:00, UTC\+0\d:00\)"):
        read(data)


def test_without_ids_the_zone_has_to_be_said(asterisk: Line, read: Read) -> None:
    with pytest.raises(sr.InputError, match="pass timezone="):
        read(asterisk(16))
    assert read(asterisk(19)).loc[0, "started_at"] == pd.Timestamp("2026-10-01 09:00", tz="UTC")


def test_the_id_settles_a_start_in_a_repeated_hour(asterisk: Line, read: Read) -> None:
    begins = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)]  # both show 01:30
    legs = read(calls(asterisk, "Europe/London", begins + OCTOBER), timezone="Europe/London")
    assert legs["started_at"].tolist()[:2] == [pd.Timestamp(at) for at in begins]
    assert legs["ended_at"].tolist()[:2] == [pd.Timestamp(at) + pd.Timedelta(65, "s") for at in begins]
    assert legs["time_problem"].isna().all()


@pytest.mark.parametrize(
    ("fields", "answered", "status"),
    [
        ({}, True, "completed"),
        ({"billsec": "0"}, True, "completed"),
        ({"disposition": "NO ANSWER"}, True, "completed"),
        ({"disposition": "BUSY", "answer": ""}, True, "completed"),
        ({"disposition": "NO ANSWER", "answer": "", "billsec": "0"}, False, "no_answer"),
        ({"disposition": "BUSY", "answer": "", "billsec": "0"}, False, "busy"),
        ({"disposition": "FAILED", "answer": "", "billsec": "0"}, False, "failed"),
        ({"disposition": "CONGESTION", "answer": "", "billsec": "0"}, False, "failed"),
        ({"disposition": "CANCEL", "answer": "", "billsec": "0"}, False, "canceled"),
        ({"disposition": "BUSY", "billsec": "0"}, True, "busy"),
        ({"disposition": "ANSWERED", "answer": "", "billsec": "0"}, False, "unknown"),
    ],
)
def test_the_disposition_counts_unless_there_are_billable_seconds(
    asterisk: Line, read: Read, fields: dict[str, str], answered: bool, status: str
) -> None:
    leg = read(asterisk(**fields)).iloc[0]
    assert (leg["is_answered"], leg["status"]) == (answered, status)


@pytest.mark.parametrize("column", ["userfield", "accountcode"])
@pytest.mark.parametrize(
    "value", ["8c1f3c52-0000-4000-8000-000000000001", "8C1F3C520000400080000000000000AB"]
)
def test_a_uuid_that_the_platform_stored_is_the_key(
    asterisk: Line, read: Read, column: str, value: str
) -> None:
    leg = read(asterisk(**{column: value})).iloc[0]
    assert (leg["call_key"], leg["leg_id"], leg["linked_id"]) == (value, "1790845200.1", "1790845200.1")


def test_local_channels_are_helpers_where_somebody_else_is_on_the_call(asterisk: Line, read: Read) -> None:
    data = (
        asterisk(21, dstchannel="Local/ch1@ring-00000000;1")
        + asterisk(21, channel="Local/ch1@ring-00000000;2", uniqueid="1790845200.2")
        + asterisk(21, channel="Local/x@y-00000001;1", uniqueid="1790845200.9", linkedid="1790845200.9")
    )
    legs = read(data)
    assert legs["is_helper"].tolist() == [False, True, False]
    assert legs["linked_id"].tolist() == ["1790845200.1", "1790845200.1", "1790845200.9"]


@pytest.mark.parametrize(
    ("fields", "from_number", "to_number"),
    [
        ({"src": "", "clid": '"Ann" <1001>'}, "1001", "+442079460123"),
        ({"dst": "s"}, "1001", "+442079460123"),
        ({"dst": "s", "lastdata": "PJSIP/trunk/02079460123,30"}, "1001", "02079460123"),
        ({"dst": "s", "lastapp": "Playback", "lastdata": "hello"}, "1001", "s"),
        ({"dst": "s", "lastdata": "SIP/301&SIP/302,30"}, "1001", "s"),
        ({"dst": "*60"}, "1001", "*60"),
        (
            {"dst": "s", "lastdata": "PJSIP/301&PJSIP/302,30", "dstchannel": "PJSIP/302-0000000b"},
            "1001",
            "302",
        ),
        ({"src": "", "clid": '<1001> "Ann"'}, "1001", "+442079460123"),
    ],
)
def test_a_missing_number_is_looked_for_where_it_may_stand(
    asterisk: Line, read: Read, fields: dict[str, str], from_number: str, to_number: str
) -> None:
    leg = read(asterisk(**fields)).iloc[0]
    assert (leg["from_number"], leg["to_number"]) == (from_number, to_number)


DESK = {
    "channel": "PJSIP/1001-0000000a",
    "dstchannel": "PJSIP/1002-0000000b",
    "dst": "1002",
    "lastdata": "PJSIP/1002,60",
}
TRUNK = {
    "channel": "PJSIP/trunk_a-0000000a",
    "src": "+447700900123",
    "dst": "1002",
    "dstchannel": "PJSIP/1002-0000000b",
}
PROVIDER = {"dstchannel": "PJSIP/provider-0000000b", "dst": "101", "lastdata": "PJSIP/101@provider,60"}


@pytest.mark.parametrize(
    ("fields", "direction", "user"),
    [
        ({"dcontext": "from-pstn"}, "inbound", "trunk"),
        ({"dcontext": "from-trunk-sip-x"}, "inbound", "trunk"),
        ({"dcontext": "ext-did-0001"}, "inbound", "trunk"),
        ({"dcontext": "from-internal"}, "outbound", "1001"),
        # It left by a trunk, and the channel is the caller's own, whatever the context is called.
        ({"dcontext": "phones"}, "outbound", "1001"),
        ({"dcontext": "from-internal", "dst": "1002"}, "outbound", "1001"),
        ({**PROVIDER}, "outbound", "1001"),
        ({**PROVIDER, "lastdata": "PJSIP/provider/101,60"}, "outbound", "1001"),
        ({**PROVIDER, "dcontext": "ivr", "src": "+447700900123"}, None, "1001"),
        ({**DESK}, "internal", "1001"),
        ({**DESK, "dcontext": "phones"}, "internal", "1001"),
        ({**DESK, "dst": "1003"}, None, "1001"),
        ({**TRUNK, "dcontext": "ext-local"}, "inbound", "1002"),
        ({**TRUNK, "dcontext": "ext-local", "dstchannel": "PJSIP/trunk_b-0000000b"}, "inbound", "trunk_b"),
        # A trunk in the context of the desks: the signs contradict each other.
        ({**TRUNK, "dcontext": "from-internal", "dst": "+442079460123"}, None, "trunk_a"),
        ({"channel": "Local/x@from-trunk-00000001;1", "dcontext": "queue", "dstchannel": ""}, None, None),
    ],
)
def test_context_and_trunk_tell_a_direction_where_they_can(
    asterisk: Line, read: Read, fields: dict[str, str], direction: str | None, user: str | None
) -> None:
    leg = read(asterisk(**fields)).iloc[0]
    found = [None if pd.isna(leg[name]) else leg[name] for name in ("direction", "sip_username")]
    assert found == [direction, user]


@pytest.mark.parametrize(
    ("number", "status"),
    [("0", "no_answer"), ("1", "no_answer"), ("3", "failed"), ("8", "completed"), ("16", "failed"),
     ("2", "unknown"), ("4", "unknown"), ("5", "unknown")],
)  # fmt: skip
def test_a_disposition_as_a_number_is_unknown_where_the_two_numberings_collide(
    asterisk: Line, read: Read, number: str, status: str
) -> None:
    unanswered = {} if number == "8" else {"answer": "", "billsec": "0"}
    data = asterisk() * 2 + asterisk(disposition=number, amaflags="3", **unanswered)
    leg = read(data).iloc[2]
    assert (leg["status"], leg["cause"]) == (status, number)
    # Seconds that were talked decide, whatever the number means.
    talked = read(asterisk() * 2 + asterisk(disposition=number, amaflags="3")).iloc[2]
    assert (talked["status"], talked["is_answered"]) == ("completed", True)


def test_who_ended_in_a_mailbox_was_answered_and_a_status_map_takes_it_for_voicemail(
    asterisk: Line, read: Read
) -> None:
    mailbox = {"lastapp": "VoiceMail", "lastdata": "1002@default,u", "dst": "vmu1002", "dstchannel": ""}
    data = asterisk(**mailbox) + asterisk(**{**mailbox, "lastapp": "VoiceMailMain", "dst": "*97"})
    data += asterisk(**mailbox, disposition="NO ANSWER", answer="", billsec="0")
    legs = read(data)
    assert legs["status"].tolist() == ["completed", "completed", "no_answer"]
    assert legs["is_answered"].tolist() == [True, True, False]
    assert legs["cause"].tolist() == ["ANSWERED", "ANSWERED", "NO ANSWER"]
    told = read(data, status_map={"voicemail": "voicemail"})["status"].tolist()
    assert told == ["voicemail", "completed", "no_answer"]


def test_a_local_channel_that_talked_is_no_helper_beside_legs_in_which_nobody_did(
    asterisk: Line, read: Read
) -> None:
    # A call that the switch originated, after a device that did not pick up.
    local = {"channel": "Local/1001@from-internal-00000001;1", "sequence": "8"}
    silent = {"answer": "", "billsec": "0", "duration": "5", "end": "2026-10-01 09:00:05"}
    rang = asterisk(21, disposition="NO ANSWER", **silent)
    assert read(rang + asterisk(21, **local))["is_helper"].tolist() == [False, False]
    assert read(rang + asterisk(21, **{**local, **silent}, disposition="NO ANSWER"))[
        "is_helper"
    ].tolist() == [False, True]
    assert read(asterisk(21) + asterisk(21, **local))["is_helper"].tolist() == [False, True]


def test_the_order_of_the_table_is_told_by_where_the_unique_ids_stand(asterisk: Line, read: Read) -> None:
    # As in cdr_csv, a customer in peeraccount would be what links all of his calls.
    table = {
        "uniqueid": "",
        "userfield": "1790845200.1",
        "peeraccount": "1790845200.0",
        "linkedid": "customer",
    }
    legs = read(asterisk(21, **table) * 2)
    assert legs["call_key"].tolist() == ["1790845200.1"] * 2
    assert legs["linked_id"].tolist() == ["1790845200.0"] * 2
    assert legs["leg_id"].tolist() == ["1790845200.1/7"] * 2


@pytest.mark.parametrize("cut", ["1790845200", "1.79085E+09"])
def test_calls_whose_ids_a_spreadsheet_cut_to_one_are_not_one_call(
    asterisk: Line, read: Read, cut: str
) -> None:
    ids = {"uniqueid": cut, "linkedid": cut}
    other = {"src": "1003", "dst": "+442079460150", "sequence": "8", "channel": "PJSIP/1003-0000000f"}
    legs = read(asterisk(21, **ids) + asterisk(21, **ids, **other), timezone="UTC")
    rec = sr.reconcile(legs, CALLS.empty())
    assert rec.legs["reason"].tolist() == ["legs-apart", "legs-apart"]
    transferred = {"dst": "+442079460150", "sequence": "8"}
    one = read(asterisk(21, **ids) + asterisk(21, **ids, **transferred), timezone="UTC")
    assert sr.reconcile(one, CALLS.empty()).only_in_cdr["n_legs"].tolist() == [2]


def test_the_id_of_a_customer_is_no_call_where_the_switch_wrote_none(asterisk: Line, read: Read) -> None:
    customer = "8c1f3c52-0000-4000-8000-000000000009"
    later = {"start": "2026-10-01 09:10:00", "answer": "2026-10-01 09:10:05", "end": "2026-10-01 09:11:05"}
    other = {"channel": "PJSIP/1003-0000000f", "src": "1003", "dst": "+442079460150"}
    data = asterisk(16, accountcode=customer) * 2 + asterisk(16, accountcode=customer, **later, **other)
    legs = read(data, timezone="UTC")
    assert legs["call_key"].tolist() == [customer] * 3
    calls = sr.reconcile(legs, CALLS.empty()).only_in_cdr
    assert calls["billable_s"].tolist() == [60, 60]


def test_who_is_parked_is_still_on_the_line(asterisk: Line, read: Read) -> None:
    parked = {
        "start": "2026-10-01 09:01:05",
        "answer": "2026-10-01 09:01:05",
        "end": "2026-10-01 09:02:45",
        "duration": "100",
        "billsec": "100",
        "dstchannel": "",
        "sequence": "8",
    }
    for way in ({"dst": "700", "lastapp": "Park"}, {"dst": "park+700", "lastapp": "Park"}):
        legs = read(asterisk(21) + asterisk(21, **parked, **way))
        assert legs["is_helper"].tolist() == [False, False]
        call = sr.reconcile(legs, CALLS.empty()).only_in_cdr.iloc[0]
        assert (call["n_legs"], call["total_s"], call["billable_s"]) == (2, 165, 160)
        assert call["ended_at"].isoformat() == "2026-10-01T09:02:45+00:00"


def test_a_parallel_dial_is_one_row_per_device_each_with_its_own_key(asterisk: Line, read: Read) -> None:
    devices = [
        ("1002", "NO ANSWER", ""),
        ("1003", "ANSWERED", "2026-10-01 09:00:05"),
        ("1004", "NO ANSWER", ""),
    ]
    data = b"".join(
        asterisk(
            21,
            dstchannel=f"PJSIP/{name}-0000000{n}",
            disposition=word,
            answer=at,
            billsec="60" if at else "0",
            sequence=str(n),
        )
        for n, (name, word, at) in enumerate(devices)
    )
    legs = read(data)
    assert legs["leg_id"].tolist() == [f"1790845200.1/{n}" for n in range(3)]
    assert legs[["call_key", "linked_id"]].nunique().tolist() == [1, 1]
    assert legs["status"].tolist() == ["no_answer", "completed", "no_answer"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ['"', "'", "backslash", ""])
def test_custom_records_are_read_whatever_separates_and_quotes_them(
    asterisk: Line, read: Read, delimiter: str, quote: str
) -> None:
    values = dict(zip(NAMES, next(csv.reader([asterisk(names=NAMES).decode()])), strict=True))
    values |= {
        "clid": '"Ann" <1001>' if quote else "Ann <1001>",
        "lastdata": f"PJSIP/1002{'|' if not quote else delimiter}60",
    }
    values["userfield"] = "" if not quote else "it's"

    def cell(value: str) -> str:
        if quote == "backslash":
            return '"' + value.replace('"', '\\"') + '"'
        return f"{quote}{value.replace(quote, quote * 2) if quote else value}{quote}"

    line = delimiter.join(cell(value) for value in values.values()) + "\n"
    legs = read(line.encode() * 3, keep=["clid", "lastdata", "userfield"])
    assert legs["format"].tolist() == ["asterisk-custom"] * 3
    assert legs["problem"].isna().all()
    kept = legs[["x_clid", "x_lastdata"]].iloc[1].tolist()
    assert kept == [values["clid"], values["lastdata"]]
    assert legs["leg_id"].tolist() == ["1790845200.1/7"] * 3


def test_custom_records_may_hold_fractions_and_epochs(asterisk: Line, read: Read) -> None:
    epochs_ = {"start": "1790845200", "answer": "1790845205", "end": "1790845265"}
    never = {**epochs_, "answer": "0", "billsec": "0", "disposition": "NO ANSWER"}
    data = asterisk(names=NAMES, duration="65.25", billsec="60.5", **epochs_) + asterisk(names=NAMES, **never)
    legs = read(data)
    assert legs["format"].unique().tolist() == ["asterisk-custom"]
    assert legs["total_s"].tolist() == [65.25, 65]
    assert legs["billable_s"].tolist() == [60.5, 0]
    assert legs.loc[0, "answered_at"] == pd.Timestamp("2026-10-01 09:00:05", tz="UTC")
    assert legs["is_answered"].tolist() == [True, False]
    offsets = {name: f"2026-10-01T11:0{n}:05+0200" for n, name in enumerate(("start", "answer", "end"))}
    with_offset = read(asterisk(names=NAMES, duration="120", **offsets))
    assert with_offset.loc[0, "started_at"] == pd.Timestamp("2026-10-01 09:00:05", tz="UTC")


def test_custom_records_may_be_lines_of_json(asterisk: Line, read: Read) -> None:
    rows = [dict(zip(NAMES, row, strict=True)) for row in csv.reader([asterisk(names=NAMES).decode()] * 2)]
    rows[1] |= {"duration": 65, "billsec": 60, "sequence": 8}  # type: ignore[dict-item]  # numbers are bare in JSON
    legs = read("".join(json.dumps(row) + "\n" for row in rows).encode())
    assert legs["format"].unique().tolist() == ["asterisk-custom"]
    assert legs["leg_id"].tolist() == ["1790845200.1/7", "1790845200.1/8"]
    assert legs["billable_s"].tolist() == [60, 60]
    assert legs["to_number"].tolist() == ["+442079460123"] * 2


def test_custom_records_without_a_sequence_are_told_from_cdr_csv(asterisk: Line, read: Read) -> None:
    legs = read(asterisk(names=NAMES[:-1]) * 2)
    assert legs["format"].unique().tolist() == ["asterisk-custom"]
    assert legs["leg_id"].tolist() == ["1790845200.1"] * 2


def test_a_frame_with_asterisks_names_is_read_in_any_order(asterisk: Line) -> None:
    order = [*NAMES[10:], *NAMES[:10], "linkedid"]
    row = dict(zip(NAMES, next(csv.reader([asterisk(names=NAMES).decode()])), strict=True))
    frame = pd.DataFrame([{**row, "linkedid": "1790845200.0"}])[order]
    legs = sr.cdr_from_frame(frame)
    assert legs.loc[0, ["format", "leg_id", "linked_id"]].tolist() == [
        "asterisk",
        "1790845200.1/7",
        "1790845200.0",
    ]


def test_rows_that_are_cut_and_blank_lines_are_counted_once(asterisk: Line, read: Read) -> None:
    whole = asterisk()
    for length in (20, 150, len(whole) - 4):
        legs = read(whole * 2 + b"\n" + whole[:length])
        assert len(legs) == 3
        assert legs["problem"].notna().tolist() == [False, False, True]
    assert len(read(whole.replace(b"\n", b"\r\n") * 2)) == 2


ID = re.compile(r"(?:.*-)?(\d{9,10})\.\d+", re.ASCII)
PEER = re.compile(r"(?:SIP|PJSIP|IAX2)/(.+)-[0-9a-fA-F]{8}")
ids = st.none() | st.from_regex(r"\A(pbx-|a-b-|x)?[0-9]{8,11}(\.[0-9]{0,3})?-?\Z")
channels = st.none() | st.from_regex(
    r"\A(SIP|PJSIP|IAX2|sip|Local)/(1001|ü|a-0000000b)?(-[0-9a-fA-F]{8})?x?\Z"
)


def epoch_of(*values: str | None) -> int:
    """Find the first epoch in some ids, one by one."""
    found = [match[1] for value in values if value is not None and (match := ID.fullmatch(value))]
    return int(found[0]) * 1_000_000 if found else 0


@given(st.lists(st.tuples(ids, ids), max_size=20))
@settings(max_examples=100)
def test_epochs_are_found_the_quick_way_and_the_slow_way_alike(
    pairs: list[tuple[str | None, str | None]],
) -> None:
    uniqueid, linkedid = (pa.array([pair[n] for pair in pairs], pa.large_string()) for n in range(2))
    assert epochs(uniqueid, linkedid).tolist() == [epoch_of(*pair) for pair in pairs]


@given(st.lists(channels, max_size=20), st.integers(0, 2))
@settings(max_examples=100)
def test_a_peer_is_what_stands_between_technology_and_channel_number(
    values: list[str | None], offset: int
) -> None:
    expected = [m[1] if v is not None and (m := PEER.fullmatch(v)) else None for v in values]
    array = pa.array(["PJSIP/1001-0000000a"] * offset + values, pa.large_string())
    assert peers(array.slice(offset)).to_pylist() == expected
