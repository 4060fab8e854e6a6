"""Any table whose columns are named is read, and what it leaves out is worked out from the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.schema import LEGS

Read = Callable[..., pd.DataFrame]
MAPPING = {
    "started_at": "Start",
    "total_s": "Total",
    "billable_s": "Talk",
    "from_number": "From",
    "to_number": "To",
    "status": "Result",
    "direction": "Way",
    "call_key": "Id",
}
HEADER = "Start;Total;Talk;From;To;Result;Way;Id\n"


def test_a_table_of_another_shape_is_read(read: Read) -> None:
    data = HEADER + "2026-10-01 09:00:00;0:01:05;0:01:00;0044 20 7946 0123;1001;Answered;Incoming;007\n"
    leg = read(data.encode(), columns=MAPPING, timezone="Europe/London").iloc[0]
    assert leg[["format", "call_key", "leg_id", "linked_id", "direction", "status", "cause", "from_e164"]].tolist() == [
        "columns", "007", "007", "007", "inbound", "completed", "Answered", "+442079460123",
    ]  # fmt: skip
    assert (leg["total_s"], leg["billable_s"], leg["source_row"]) == (65, 60, 2)
    # No column says when it was answered or ended: start + total, and that - talk.
    assert leg["ended_at"] == pd.Timestamp("2026-10-01 08:01:05", tz="UTC")
    assert leg["answered_at"] == pd.Timestamp("2026-10-01 08:00:05", tz="UTC")


def test_titles_blank_lines_repeated_headers_and_totals_are_no_records(read: Read) -> None:
    row = "2026-10-01 09:00:00;65;60;1001;1002;Answered;out;1\n"
    data = (
        "Calls of October\n\n"
        + HEADER
        + row
        + "\n"
        + HEADER
        + row.replace(";1\n", ";2\n")
        + "Total;130;120;;;;;\nTotals\n"
    )
    legs = read(data.encode(), columns=MAPPING, timezone="UTC")
    assert legs["source_row"].tolist() == [4, 7]
    assert legs["problem"].isna().all()


@pytest.mark.parametrize(
    ("columns", "cells", "expected"),
    [
        (
            {"answered_at": "A", "ended_at": "E"},
            ("2026-10-01 09:00:05", "2026-10-01 09:01:05"),
            (65.0, 60.0, True),
        ),
        ({"answered_at": "A", "ended_at": "E"}, ("", "2026-10-01 09:01:05"), (65.0, 0.0, False)),
        ({"billable_s": "A", "ended_at": "E"}, ("60", "2026-10-01 09:01:05"), (65.0, 60.0, True)),
        ({"answered_at": "A", "billable_s": "E"}, ("2026-10-01 09:00:05", "60"), (65.0, 60.0, True)),
        ({"billable_s": "A"}, ("60", ""), (None, 60.0, True)),
        ({"status": "A"}, ("Answered", ""), (None, None, True)),
        ({"status": "A"}, ("Busy", ""), (None, 0.0, False)),
        ({"status": "A"}, ("Unheard of", ""), (None, None, None)),
        ({"cause": "A"}, ("USER_BUSY", ""), (None, 0.0, False)),
    ],
)
def test_what_is_left_out_follows_from_the_rest_or_is_missing(
    read: Read, columns: dict[str, str], cells: tuple[str, str], expected: tuple[object, ...]
) -> None:
    data = f"S,A,E\n2026-10-01 09:00:00,{','.join(cells)}\n"
    leg = read(data.encode(), columns={"started_at": "S", **columns}, timezone="UTC").iloc[0]
    found = (leg["total_s"], leg["billable_s"], leg["is_answered"])
    assert tuple(None if pd.isna(value) else value for value in found) == expected


def test_a_date_that_can_be_read_two_ways_is_a_question(read: Read) -> None:
    data = "S,Id\n1/9/2026 08:00:00,a\n2/9/2026 08:00:00,b\n"
    columns = {"started_at": "S", "call_key": "Id"}
    with pytest.raises(
        sr.CdrFormatError,
        match=r"line 2: the date '1/9/2026 08:00:00' is 2026-09-01 with the day first .* pass dayfirst=True",
    ) as caught:
        read(data.encode(), columns=columns, timezone="UTC")
    assert caught.value.line == 2
    months = {
        d: read(data.encode(), columns=columns, timezone="UTC", dayfirst=d)["started_at"].dt.month.tolist()
        for d in (True, False)
    }
    assert months == {True: [9, 9], False: [1, 2]}
    told = read((data + "13/9/2026 08:00:00,c\n").encode(), columns=columns, timezone="UTC")
    assert told["started_at"].dt.month.tolist() == [9, 9, 9]


def test_what_columns_names_has_to_exist(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError, match=r"line 1 has 2 fields, 'S', 'Id'.*names 'Start'"):
        read(b"S,Id\n2026-10-01 08:00:00,a\n", columns={"started_at": "Start"}, timezone="UTC")
    with pytest.raises(sr.InputError, match="maps 'begin'; what can be mapped is started_at"):
        read(b"S\n", columns={"begin": "S"})
    with pytest.raises(sr.InputError, match="does not say which column is started_at"):
        read(b"S\n", columns={"call_key": "S"})
    with pytest.raises(sr.InputError, match="both given"):
        read(b"S\n", columns={"started_at": "S"}, format="twilio")
    with pytest.raises(sr.InputError, match="not a single character"):
        read(b"S\n", columns={"started_at": "S"}, delimiter="||")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^"])
def test_the_delimiter_is_found_or_said(read: Read, delimiter: str) -> None:
    data = "S,Id,X\n2026-10-01 08:00:00,a,b\n2026-10-01 08:00:00,c,d\n".replace(",", delimiter)
    legs = read(
        data.encode(),
        columns={"started_at": "S", "call_key": "Id"},
        timezone="UTC",
        delimiter=delimiter if delimiter == "^" else None,
    )
    assert legs["call_key"].tolist() == ["a", "c"]


def test_a_frame_is_read_like_a_file_and_stays_as_it_is() -> None:
    frame = pd.DataFrame(
        {
            "Start": [datetime(2026, 10, 1, 8, tzinfo=UTC), None],
            "Talk": [Decimal("60.5"), None],
            "Id": ["007", None],
            "To": [12125550123.0, None],
        },
        index=["x", "x"],
    )
    before = frame.copy(deep=True)
    columns = {"started_at": "Start", "billable_s": "Talk", "call_key": "Id", "to_number": "To"}
    legs = sr.cdr_from_frame(frame, columns=columns, country="US", keep=["Talk"])
    pd.testing.assert_frame_equal(frame, before)
    assert legs.index.tolist() == [0, 1]
    assert legs.loc[0, ["call_key", "to_e164", "source_file", "x_Talk"]].tolist() == [
        "007",
        "+12125550123",
        "frame",
        "60.5",
    ]
    assert (legs.loc[0, "billable_s"], legs.loc[0, "started_at"].hour) == (60.5, 8)
    assert legs["problem"].fillna("").tolist() == ["", "there is no start time"]
    assert legs["source_row"].tolist() == [1, 2]


def test_a_frame_of_a_known_format_needs_no_columns(freeswitch: Callable[..., bytes], read: Read) -> None:
    cells = [cell.strip('"') for cell in freeswitch().decode().strip().split(",")]
    names = ["caller_id_name", "caller_id_number", "destination_number", "context", "start_stamp", "answer_stamp", "end_stamp",
             "duration", "billsec", "hangup_cause", "uuid", "bleg_uuid", "accountcode", "read_codec", "write_codec"]  # fmt: skip
    frame = pd.DataFrame([cells], columns=names)
    frame = frame.astype({"duration": "int64", "billsec": "Int64"}).assign(
        start_stamp=pd.to_datetime(frame["start_stamp"])
    )
    legs = sr.cdr_from_frame(frame, timezone="Europe/London")
    expected = read(freeswitch(), timezone="Europe/London")
    different = ["source_file", "source_sha256"]
    pd.testing.assert_frame_equal(legs.drop(columns=different), expected.drop(columns=different))


def test_a_frame_without_rows_has_every_column() -> None:
    frame = pd.DataFrame({"Start": pd.Series([], dtype="str"), "Id": pd.Series([], dtype="str")})
    for options in ({"columns": {"started_at": "Start", "call_key": "Id"}, "timezone": "UTC"}, {}):
        legs = sr.cdr_from_frame(frame, **options)  # type: ignore[arg-type]  # two ways of asking
        assert len(legs) == 0
        assert {name: str(legs[name].dtype) for name in LEGS.names} == LEGS.dtypes
    with pytest.raises(sr.InputError, match="df is list, not a DataFrame"):
        sr.cdr_from_frame([])  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize(
    ("cell", "seconds", "problem"),
    [("60500", 60.5, ""), ("7", 0.007, ""), ("0", 0.0, ""), ("1234567890", 1234567.89, ""), ("1500.25", 1.50025, ""),
     ("pending", None, ""), ("-", None, ""), ("N/A", None, ""), ("", None, ""),
     ("soon", None, "total seconds 'soon' are no number"), ("-5", -0.005, "total seconds '-0.005' are negative; it ends before it starts")],
)  # fmt: skip
def test_thousandths_are_read_exactly(read: Read, cell: str, seconds: float | None, problem: str) -> None:
    data = f"S,D,Id\n2026-10-01 08:00:00,{cell},a\n".encode()
    leg = read(data, columns={"started_at": "S", "total_ms": "D", "call_key": "Id"}, timezone="UTC").iloc[0]
    assert (None if pd.isna(leg["total_s"]) else leg["total_s"]) == seconds
    assert (leg["problem"] if problem else pd.isna(leg["problem"])) == (problem or True)


def test_one_length_in_two_units_is_a_question(read: Read) -> None:
    with pytest.raises(sr.InputError, match="maps 'total_s' and 'total_ms', which are one"):
        read(b"S,D,E\n", columns={"started_at": "S", "total_s": "D", "total_ms": "E"})


def test_a_start_that_is_the_answer_leaves_no_total(read: Read) -> None:
    data = b"S,E,D,Id\n2026-10-01 08:00:05,2026-10-01 08:01:05,60,a\n"
    columns = {"started_at": "S", "ended_at": "E", "billable_s": "D", "call_key": "Id"}
    assert read(data, columns=columns, timezone="UTC").loc[0, "total_s"] == 60
    leg = read(data, columns={**columns, "answered_at": "S"}, timezone="UTC").iloc[0]
    assert pd.isna(leg["total_s"])
    assert (leg["billable_s"], leg["answered_at"], leg["is_answered"]) == (60, leg["started_at"], True)


@pytest.mark.parametrize(
    ("state", "cause", "status"),
    [("disconnected", "busy", "busy"), ("disconnected", "USER_BUSY", "busy"), ("disconnected", "odd", "unknown"),
     ("Busy", "no_answer", "busy"), ("odd", "486", "busy"), ("", "480", "no_answer"), ("mine", "486", "failed"),
     ("void", "486", "unknown")],
)  # fmt: skip
def test_the_cause_tells_where_the_status_is_no_known_word(
    read: Read, state: str, cause: str, status: str
) -> None:
    data = f"S,State,Cause,D\n2026-10-01 08:00:00,{state},{cause},0\n".encode()
    columns = {"started_at": "S", "status": "State", "cause": "Cause", "billable_s": "D"}
    legs = read(data, columns=columns, timezone="UTC", status_map={"mine": "failed", "void": "unknown"})
    assert legs.loc[0, ["status", "cause"]].tolist() == [status, cause]
