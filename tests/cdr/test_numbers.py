"""Numbers stay as they were delivered; beside them stands E.164 where there is one, whatever the export wraps around."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import phonenumbers
import pyarrow as pa
import pytest

import sippet_reconcile as sr
from sippet_reconcile.phones import classify_numbers

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]

COLUMNS = {"started_at": "Start", "from_number": "From", "to_number": "To", "billable_s": "Talk"}


def legs_of(*pairs: tuple[str, str], **options: Any) -> pd.DataFrame:
    frame = pd.DataFrame(
        [("2026-10-01 09:00:00", caller, called, "5") for caller, called in pairs],
        columns=["Start", "From", "To", "Talk"],
        dtype="str",
    )
    return sr.cdr_from_frame(frame, columns=COLUMNS, timezone="UTC", **options)


def given(column: pd.Series) -> list[str | None]:
    return [None if pd.isna(value) else value for value in column]


@pytest.mark.parametrize(
    "delivered",
    [
        "sip:1001@pbx.example:5060;user=phone", "anonymous", "Restricted", "0000000000", "default", "mobile", "*60",
        "#", "park+700", "442921280552.6", "50011543601976", "client:ana", "s", "1001", "+1555", "\uff19\uff11\uff11",
    ],
)  # fmt: skip
def test_what_is_no_number_stays_as_delivered_and_has_no_international_form(delivered: str) -> None:
    for country in (None, "GB", "US"):
        legs = legs_of((delivered, f" {delivered} "), country=country)
        assert (given(legs["from_number"]), given(legs["from_e164"])) == ([delivered], [None])
        assert (given(legs["to_number"]), given(legs["to_e164"])) == ([delivered], [None])
        assert legs["problem"].isna().all()


def test_a_plus_that_was_lost_on_one_side_is_for_the_country_to_find() -> None:
    pairs = [("442079460123", "+442079460123")]
    assert given(legs_of(*pairs)["from_e164"]) == [None]
    legs = legs_of(*pairs, country="GB")
    assert given(legs["from_e164"]) == given(legs["to_e164"]) == ["+442079460123"]
    assert given(legs["from_number"]) == ["442079460123"]


def test_prefixes_change_no_number_as_delivered() -> None:
    pairs = [("1001", "902079460123"), ("902079460123", "9 020 7946 0123"), ("02079460123", "9112")]
    legs = legs_of(*pairs, country="GB", strip_prefixes=("9", "90", "0"))
    assert given(legs["to_number"]) == ["902079460123", "9 020 7946 0123", "9112"]
    assert given(legs["to_e164"]) == ["+442079460123", "+442079460123", None]
    assert given(legs["from_e164"]) == [None, "+442079460123", "+442079460123"]
    assert given(legs_of(*pairs, country="GB")["to_e164"]) == [None, None, None]


@pytest.mark.parametrize("bad", ["", "nine", "+9"])
def test_a_prefix_that_cannot_be_dialled_is_an_error_before_anything_is_read(
    tmp_path: Path, bad: str
) -> None:
    with pytest.raises(sr.InputError, match="strip_prefixes= holds"):
        sr.read_cdr(tmp_path / "missing.csv", strip_prefixes=["9", bad])


def test_a_withheld_caller_is_matched_by_the_other_number_alone(freeswitch: Line, read: Read) -> None:
    legs = read(freeswitch(caller_id_number="anonymous", uuid=""), format="freeswitch", timezone="UTC")
    leg = legs.iloc[0]
    call = {
        "id": "1", "call_uuid": "other", "direction": "outbound", "from_number": "anonymous",
        "to_number": leg["to_number"], "status": "completed", "started_at": leg["started_at"],
        "ended_at": leg["ended_at"], "duration_seconds": 60, "conversation_id": None, "sip_username": None,
        "call_source": None, "api_url": "https://api.example", "fetched_at": leg["ended_at"] + pd.Timedelta(days=1),
    }  # fmt: skip
    calls = pd.DataFrame([call]).astype({"duration_seconds": "Int64"})
    for called, n_pairs in ((leg["to_number"], 1), ("+442079460999", 0)):
        rec = sr.reconcile(
            legs, calls.assign(to_number=called), rules=sr.Rules(duration="billable"), progress=False
        )
        assert (len(rec.pairs), len(rec.ambiguous)) == (n_pairs, 0)


def test_numbers_of_a_real_export_are_what_the_library_says(cdr_samples: Path) -> None:
    path = cdr_samples / "freeswitch_cdr_csv" / "spicyramen_Master.csv"
    legs = sr.read_cdr(path, timezone="UTC", country="US", progress=False)
    with path.open(encoding="utf-8", newline="", errors="replace") as file:
        delivered = [row[2] for row in csv.reader(file)]
    assert given(legs["to_number"]) == [number.strip() or None for number in delivered]
    for number, found in zip(delivered, given(legs["to_e164"]), strict=True):
        expected = None
        if number.lstrip("+").isdigit() and len(number) > 6:
            parsed = phonenumbers.parse(number, "US")
            reason = phonenumbers.is_possible_number_with_reason(parsed)
            if reason == phonenumbers.ValidationResult.IS_POSSIBLE:
                expected = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        # Beyond the library, 00 is read as + also where another code is dialled for it.
        assert found == expected or (expected is None and number.startswith("00"))


def test_what_was_left_over_can_be_counted() -> None:
    legs = legs_of(
        ("1001", "+442079460123"),
        ("anonymous", "02079460123"),
        ("sip:ann@pbx", "*60"),
        ("", "442921280552.6"),
    )
    told = [
        classify_numbers(pa.array(legs[name], pa.large_string())).to_pylist()
        for name in ("from_number", "to_number")
    ]
    assert told == [
        ["extension", "anonymous", "name", None],
        ["e164", "needs_country", "feature_code", "suffix"],
    ]
