"""FreeSWITCH: answered is what has an answer stamp, times are local, one leg may belong to another."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.cdr.families.freeswitch_links import relink
from sippet_reconcile.schema import LEG_STATUSES, LEGS

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]


def uuid(n: int) -> str:
    return f"8c1f3c52-0000-4000-8000-{n:012d}"


UNANSWERED = {"answer_stamp": "", "end_stamp": "2026-10-01 09:00:20", "duration": "20", "billsec": "0"}


def test_each_column_means_what_the_template_says(freeswitch: Line, read: Read) -> None:
    legs = read(freeswitch(bleg_uuid=uuid(9)), timezone="Europe/London", keep=["read_codec"])
    assert list(legs.columns) == [*LEGS.names, "is_helper", "is_coarse", "x_read_codec"]
    assert {name: str(legs[name].dtype) for name in LEGS.names} == LEGS.dtypes
    leg = legs.iloc[0]
    assert leg[["format", "leg_id", "call_key", "linked_id"]].tolist() == [
        "freeswitch",
        uuid(1),
        uuid(1),
        uuid(9),
    ]
    assert leg[["from_number", "to_number", "to_e164"]].tolist() == ["1001", "+442079460123", "+442079460123"]
    assert pd.isna(leg["from_e164"])
    assert leg[["direction", "sip_username", "cause", "x_read_codec"]].tolist() == [
        "outbound",
        "1001",
        "NORMAL_CLEARING",
        "PCMU",
    ]
    assert [leg[c].isoformat() for c in ("started_at", "answered_at", "ended_at")] == [
        "2026-10-01T08:00:00+00:00", "2026-10-01T08:00:05+00:00", "2026-10-01T08:01:05+00:00",
    ]  # fmt: skip
    assert (leg["total_s"], leg["billable_s"], leg["is_answered"], leg["status"]) == (
        65,
        60,
        True,
        "completed",
    )
    assert legs[["problem", "time_problem"]].isna().all(axis=None)


def test_the_zone_of_the_clock_has_to_be_said(freeswitch: Line, read: Read) -> None:
    with pytest.raises(sr.InputError, match="pass timezone="):
        read(freeswitch())
    with pytest.raises(sr.InputError, match="'London' is not known"):
        read(freeswitch(), timezone="London")


@pytest.mark.parametrize(
    ("fields", "answered", "status"),
    [
        ({"hangup_cause": "MEDIA_TIMEOUT"}, True, "completed"),
        ({"hangup_cause": "USER_BUSY"}, True, "completed"),
        ({"billsec": "0", "end_stamp": "2026-10-01 09:00:05", "duration": "5"}, True, "completed"),
        ({"answer_stamp": ""}, True, "completed"),
        ({**UNANSWERED}, False, "unknown"),
        ({**UNANSWERED, "answer_stamp": "1970-01-01 00:00:00"}, False, "unknown"),
        ({**UNANSWERED, "hangup_cause": "USER_BUSY"}, False, "busy"),
        ({**UNANSWERED, "hangup_cause": "NO_ANSWER"}, False, "no_answer"),
        ({**UNANSWERED, "hangup_cause": "ORIGINATOR_CANCEL"}, False, "canceled"),
        ({**UNANSWERED, "hangup_cause": "NO_ROUTE_DESTINATION"}, False, "failed"),
        ({**UNANSWERED, "hangup_cause": "BLIND_TRANSFER"}, False, "unknown"),
        ({**UNANSWERED, "hangup_cause": "SOMETHING_NEW"}, False, "unknown"),
        ({**UNANSWERED, "hangup_cause": ""}, False, "unknown"),
    ],
)
def test_answered_comes_from_the_answer_and_never_from_the_cause(
    freeswitch: Line, read: Read, fields: dict[str, str], answered: bool, status: str
) -> None:
    leg = read(freeswitch(**fields), timezone="UTC").iloc[0]
    assert (leg["is_answered"], leg["status"]) == (answered, status)
    assert pd.isna(leg["problem"])
    assert status in LEG_STATUSES


def test_a_caller_may_say_what_a_cause_means(freeswitch: Line, read: Read) -> None:
    data = freeswitch(**UNANSWERED) + freeswitch()
    legs = read(data, timezone="UTC", status_map={"normal clearing": "no_answer"})
    assert legs["status"].tolist() == ["no_answer", "completed"]
    with pytest.raises(sr.InputError, match="status_map= maps to 'gone'"):
        read(data, timezone="UTC", status_map={"NORMAL_CLEARING": "gone"})


def test_legs_of_the_switch_itself_are_helpers(freeswitch: Line, read: Read) -> None:
    data = (
        freeswitch()
        + freeswitch(
            **UNANSWERED, destination_number="voicemail", accountcode="", hangup_cause="ORIGINATOR_CANCEL"
        )
        + freeswitch(**UNANSWERED, hangup_cause="LOSE_RACE")
        + freeswitch(destination_number="voicemail", accountcode="")
    )
    assert read(data, timezone="UTC")["is_helper"].tolist() == [False, True, True, False]


def test_linked_ids_hold_the_legs_of_one_call_together_whatever_the_order(
    freeswitch: Line, in_file: Callable[..., Path]
) -> None:
    lines = [
        freeswitch(uuid=uuid(1), bleg_uuid=uuid(2)),
        freeswitch(uuid=uuid(2)),
        freeswitch(uuid=uuid(3), bleg_uuid=uuid(4)),  # one A-leg and two B-legs
        freeswitch(uuid=uuid(3), bleg_uuid=uuid(5)),
        freeswitch(uuid=uuid(6)),
        freeswitch(uuid=uuid(7), bleg_uuid=uuid(8)),  # each names the other
        freeswitch(uuid=uuid(8), bleg_uuid=uuid(7)),
        freeswitch(uuid=uuid(10), bleg_uuid=uuid(11)),  # a chain
        freeswitch(uuid=uuid(11), bleg_uuid=uuid(12)),
        freeswitch(uuid=uuid(12), bleg_uuid=uuid(13)),
    ]
    groups = [{1, 2}, {3}, {6}, {7, 8}, {10, 11, 12}]
    seen: set[tuple[tuple[str, str], ...]] = set()
    for shift in range(len(lines)):
        order = lines[shift:] + lines[:shift]
        one = sr.read_cdr(in_file(b"".join(order)), timezone="UTC")
        two = sr.read_cdr(
            [in_file(b"".join(order[:4]), "a"), in_file(b"".join(order[4:]), "b")], timezone="UTC"
        )
        assert one["linked_id"].tolist() == two["linked_id"].tolist()
        seen.add(tuple(sorted(set(zip(one["leg_id"], one["linked_id"], strict=True)))))
    assert len(seen) == 1
    linked = dict(seen.pop())
    for group in groups:
        assert len({linked[uuid(n)] for n in group}) == 1
    for left, right in itertools.combinations(groups, 2):
        assert linked[uuid(min(left))] != linked[uuid(min(right))]
    assert (linked[uuid(1)], linked[uuid(6)]) == (uuid(2), uuid(6))


@pytest.mark.parametrize(
    ("times", "total", "expected"),
    [
        # starts before the repeated hour, ends in its first or second run
        (("00:50:00", "00:50:10", "01:10:00"), 1200, ("23:50:00", "23:50:10", "00:10:00")),
        (("00:50:00", "00:50:10", "01:10:00"), 4800, ("23:50:00", "23:50:10", "01:10:00")),
        # starts in the repeated hour, ends behind it
        (("01:50:00", "01:50:10", "02:10:00"), 1200, ("01:50:00", "01:50:10", "02:10:00")),
        (("01:50:00", "01:50:10", "02:10:00"), 4800, ("00:50:00", "00:50:10", "02:10:00")),
        # wholly inside: nothing tells which hour it was
        (("01:10:00", "01:10:10", "01:20:00"), 600, (None, None, None)),
        # seconds that fit neither
        (("00:50:00", "00:50:10", "01:10:00"), 77, ("23:50:00", "23:50:10", None)),
    ],
)
def test_a_repeated_hour_is_settled_by_the_seconds_or_not_at_all(
    freeswitch: Line, read: Read, times: tuple[str, ...], total: int, expected: tuple[str | None, ...]
) -> None:
    stamps = dict(
        zip(("start_stamp", "answer_stamp", "end_stamp"), (f"2026-10-25 {t}" for t in times), strict=True)
    )
    leg = read(
        freeswitch(**stamps, duration=str(total), billsec=str(total - 10)), timezone="Europe/London"
    ).iloc[0]
    found = [leg[column] for column in ("started_at", "answered_at", "ended_at")]
    assert tuple(None if pd.isna(at) else at.strftime("%H:%M:%S") for at in found) == expected
    assert pd.notna(leg["time_problem"]) == (None in expected)
    assert (leg["is_answered"], leg["billable_s"], leg["status"]) == (True, total - 10, "completed")
    assert pd.isna(leg["problem"])


def test_a_skipped_time_is_a_time_problem(freeswitch: Line, read: Read) -> None:
    leg = read(freeswitch(start_stamp="2026-03-29 01:30:00"), timezone="Europe/London").iloc[0]
    assert leg["time_problem"] == "started_at 2026-03-29 01:30:00 was skipped in Europe/London"
    assert pd.isna(leg["started_at"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"start_stamp": ""}, "there is no start time"),
        ({"start_stamp": "soon"}, "start 'soon' is not a date and time"),
        ({"end_stamp": "2026-02-30 08:00:00"}, "end '2026-02-30 08:00:00' is not a date and time"),
        (
            {"answer_stamp": "?", "billsec": "x"},
            "answer '?' is not a date and time; billable seconds 'x' are no number",
        ),
        ({"duration": "-5"}, "total seconds '-5' are negative"),
        ({"end_stamp": "2026-09-30 09:00:00"}, "it ends before it starts"),
        ({"start_stamp": "442079460123"}, "start '44••••••••23' is not a date and time"),
    ],
)
def test_a_row_that_cannot_be_used_stays_and_says_every_reason(
    freeswitch: Line, read: Read, fields: dict[str, str], words: str
) -> None:
    legs = read(freeswitch() + freeswitch(uuid=uuid(2), **fields), format="freeswitch", timezone="UTC")
    assert legs["problem"].isna().tolist() == [True, False]
    assert legs.loc[1, "problem"] == words
    assert legs.loc[1, "call_key"] == uuid(2)


def test_broken_quoting_is_mended_and_a_cut_row_is_kept(freeswitch: Line, read: Read) -> None:
    data = (
        freeswitch(caller_id_name='Bob "the" Smith')
        + freeswitch(uuid=uuid(2), caller_id_name="Lee, Al")
        + freeswitch()[:80]
    )
    legs = read(data, timezone="UTC", keep=["caller_id_name"])
    assert legs["x_caller_id_name"].tolist() == ['Bob "the" Smith', "Lee, Al", "Ann"]
    assert legs["problem"].isna().tolist() == [True, True, False]
    assert legs.loc[2, "problem"] == "the row is cut off inside a quoted field"
    assert legs["source_row"].tolist() == [1, 2, 3]


def test_a_row_sent_again_has_the_same_hash_and_a_leg_beside_it_has_not(freeswitch: Line, read: Read) -> None:
    legs = read(freeswitch() + freeswitch(write_codec="opus"), timezone="UTC")
    again = read(freeswitch(uuid=uuid(5)) + freeswitch(), timezone="Europe/London", country="GB")
    assert legs.loc[0, "record_hash"] == again.loc[1, "record_hash"]
    assert legs["record_hash"].nunique() == 2


def test_the_context_tells_a_direction_where_it_can(freeswitch: Line, read: Read) -> None:
    data = freeswitch(context="public") + freeswitch() + freeswitch(destination_number="1002") + freeswitch(destination_number="020 7946 0123")  # fmt: skip
    assert read(data, timezone="UTC")["direction"].fillna("?").tolist() == ["inbound", "outbound", "?", "?"]
    assert read(data, timezone="UTC", country="GB")["direction"].fillna("?").tolist() == [
        "inbound",
        "outbound",
        "?",
        "outbound",
    ]


def test_a_header_that_somebody_added_is_no_record(freeswitch: Line, read: Read) -> None:
    names = b"caller_id_name,caller_id_number,destination_number,context,start_stamp,answer_stamp,end_stamp,duration,billsec,hangup_cause,uuid,bleg_uuid,accountcode,read_codec,write_codec\n"
    legs = read(names + freeswitch() + names + freeswitch(uuid=uuid(2)), timezone="UTC")
    assert legs["source_row"].tolist() == [2, 4]
    assert legs["problem"].isna().all()


def test_a_column_to_keep_has_to_exist(freeswitch: Line, read: Read) -> None:
    with pytest.raises(sr.CdrFormatError, match="no column 'colour' to keep; its columns are caller_id_name"):
        read(freeswitch(), timezone="UTC", keep=["colour"])


def groups_of(pairs: list[tuple[int, int | None]]) -> list[set[int]]:
    """Put ids that name each other into groups, one pair after the other."""
    groups: list[set[int]] = []
    for own, named in pairs:
        ids = {own} if named is None else {own, named}
        touched = [group for group in groups if group & ids]
        groups = [group for group in groups if not group & ids] + [ids.union(*touched)]
    return groups


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 14)), min_size=1, max_size=10))
@settings(max_examples=200)
def test_rows_are_linked_exactly_where_a_chain_of_names_leads_from_one_to_the_other(
    pairs: list[tuple[int, int | None]],
) -> None:
    own = pa.array([uuid(left) for left, _ in pairs], pa.large_string())
    named = pa.array([uuid(left if right is None else right) for left, right in pairs], pa.large_string())
    linked = relink(own, named).to_pylist()
    groups = groups_of(pairs)
    place = [next(n for n, group in enumerate(groups) if left in group) for left, _ in pairs]
    for (n, one), (m, other) in itertools.combinations(zip(place, linked, strict=True), 2):
        assert (n == m) == (one == other)
