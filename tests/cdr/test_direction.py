"""The direction is what the export says; where it says nothing, one's own numbers tell, and nobody guesses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]

COLUMNS = {"started_at": "Start", "from_number": "From", "to_number": "To", "billable_s": "Talk"}
OWN = ("1000-1999", "+442079460100", "2*", "501")


def direction(caller: str | None, called: str | None, *, own: Any = OWN, **options: Any) -> str | None:
    frame = pd.DataFrame(
        {"Start": ["2026-10-01 09:00:00"], "From": [caller], "To": [called], "Talk": ["5"]}, dtype="str"
    )
    legs = sr.cdr_from_frame(frame, columns=COLUMNS, timezone="UTC", internal_numbers=own, **options)
    found = legs["direction"][0]
    return None if pd.isna(found) else str(found)


@pytest.mark.parametrize(
    ("caller", "called", "expected"),
    [
        ("1001", "+442079460777", "outbound"),
        ("+442079460777", "1001", "inbound"),
        ("1001", "2001", "internal"),
        ("501", "+442079460100", "internal"),
        ("+442079460100", "+12125550123", "outbound"),
        ("2125550123", "1001", "inbound"),
        ("1001", "2125550123", "outbound"),
        ("sip:1001@pbx.example", "sip:+12125550123@carrier.example", "outbound"),
        ('"Ann" <1001>', "+12125550123", "outbound"),
        ("anonymous", "1001", "inbound"),
        ("sip:anonymous@anonymous.invalid", "+442079460100", "inbound"),
        ("Restricted", "501", "inbound"),
    ],
)
def test_own_numbers_tell_the_direction(caller: str, called: str, expected: str) -> None:
    assert direction(caller, called) == expected


@pytest.mark.parametrize(
    ("caller", "called"),
    [
        ("anonymous", "+12125550123"),
        ("+12125550123", "+442079460777"),
        (None, "1001"),
        ("1001", None),
        (None, None),
        ("1001", "anonymous"),
        ("1001", "*97"),
        ("1001", "voicemail"),
        ("1001", "park+700"),
        ("1001", "3001"),
        ("3001", "1001"),
        ("0000000000", "1001"),
        ("442921280552.6", "1001"),
        ("3001", "3002"),
    ],
)
def test_what_may_be_anybody_s_tells_nothing(caller: str | None, called: str | None) -> None:
    assert direction(caller, called) is None


def test_without_own_numbers_nothing_is_told() -> None:
    assert direction("1001", "+442079460777", own=()) is None


def test_a_prefix_makes_an_outside_number_of_what_was_dialled() -> None:
    assert direction("1001", "902079460777", strip_prefixes=("9", "90"), country="GB") == "outbound"
    assert direction("1001", "92079460100", strip_prefixes=("9",), country="GB") == "internal"


def test_what_the_export_says_stays(asterisk: Line, read: Read) -> None:
    inbound = asterisk(dcontext="from-pstn", src="1001", dst="2001")
    assert read(inbound, timezone="UTC", internal_numbers=OWN)["direction"].tolist() == ["inbound"]
    frame = pd.DataFrame(
        {"Start": ["2026-10-01 09:00:00"] * 2, "From": ["1001"] * 2, "To": ["+12125550123"] * 2, "Talk": ["5"] * 2,
         "Way": ["in", ""]}
    )  # fmt: skip
    legs = sr.cdr_from_frame(
        frame, columns={**COLUMNS, "direction": "Way"}, timezone="UTC", internal_numbers=OWN
    )
    assert legs["direction"].tolist() == ["inbound", "outbound"]


def test_an_own_number_that_was_called_is_no_outside_one(asterisk: Line, read: Read) -> None:
    data = asterisk(src="1001", dst="+442079460100") + asterisk(src="1001", dst="+442079460101")
    assert read(data, timezone="UTC")["direction"].tolist() == ["outbound", "outbound"]
    assert read(data, timezone="UTC", internal_numbers=OWN)["direction"].tolist() == ["internal", "outbound"]


@pytest.mark.parametrize("bad", ["1999-1000", "100-1999", "", "1*2", "*"])
def test_an_own_number_that_cannot_be_meant_is_an_error_before_anything_is_read(
    tmp_path: Path, bad: str
) -> None:
    with pytest.raises(sr.InputError, match="internal_numbers= holds"):
        sr.read_cdr(tmp_path / "missing.csv", internal_numbers=["501", bad])
    with pytest.raises(sr.InputError, match="internal_numbers= holds"):
        direction("1001", "2001", own=["501", bad])


def test_one_own_number_may_be_given_as_a_text(read: Read, freeswitch: Line) -> None:
    legs = read(freeswitch(destination_number="501"), timezone="UTC", internal_numbers="1001")
    assert legs["direction"].isna().all()
    assert direction("1001", "1002", own="1001-1002") == "internal"


def test_own_numbers_are_the_same_in_pieces(
    freeswitch: Line, in_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [freeswitch(caller_id_number=f"{1000 + n}", destination_number=f"{1990 + n}") for n in range(20)]
    path = in_file(b"".join(rows))
    whole = sr.read_cdr(path, timezone="UTC", internal_numbers=OWN, progress=False)
    assert whole["direction"].eq("internal").sum() == 20
    monkeypatch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1000)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 500)
    pieces = sr.read_cdr(path, timezone="UTC", internal_numbers=OWN, progress=False)
    pd.testing.assert_frame_equal(whole, pieces)
