"""Columns are cleaned without guessing, and without touching what is clean."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile import InputError, normalize
from sippet_reconcile.normalize import (
    clean_text,
    e164_array,
    local_times_to_utc,
    map_distinct,
    micros_to_utc,
    numbers_to_e164,
    text_to_seconds,
)

TEXT = pa.large_string()
LONDON = ZoneInfo("Europe/London")


def e164(*numbers: str | None, country: str | None = None) -> list[str | None]:
    series = numbers_to_e164(pd.Series(numbers, dtype="str"), country=country)
    return [None if value != value else value for value in series.tolist()]  # noqa: PLR0124 - NaN


@pytest.mark.parametrize(
    ("number", "country", "expected"),
    [
        ("+442079460123", None, "+442079460123"),
        ("+12125550123", None, "+12125550123"),
        ("sip:+442079460123@pbx.example:5060;user=phone", None, "+442079460123"),
        ("tel:+44-20-7946-0123", None, "+442079460123"),
        ("<sip:+442079460123@pbx.example>", None, "+442079460123"),
        ("+44 (0)20 7946 0123", None, "+442079460123"),
        ("00442079460123", None, "+442079460123"),
        ("00442079460123", "US", "+442079460123"),
        ("011442079460123", None, "+442079460123"),
        ("011442079460123", "US", "+442079460123"),
        ("020 7946 0123", "GB", "+442079460123"),
        ("020 7946 0123", None, None),
        ("01134960123", "GB", "+441134960123"),
        ("01134960123", None, None),
        ("(212) 555-0123", "US", "+12125550123"),
        ("2125550123", "US", "+12125550123"),
        ("12125550123", "US", "+12125550123"),
        ("2125550123", None, None),
        ("5550123", "US", None),
        ("1001", "DE", None),
        ("*60", "GB", None),
        ("s", None, None),
        ("anonymous", "GB", None),
        ("sip:alice@example.org", "GB", None),
        ("0000000000", "US", None),
        ("442921280552.6", "GB", None),
        ("+123456789", None, None),
        ("+44207946012345678", None, None),
        ("+4402079460123", None, "+442079460123"),
        ("+390612345678", None, "+390612345678"),
        ("", "GB", None),
        (None, "GB", None),
        ("1800FLOWERS", "US", None),
    ],
)  # fmt: skip
def test_a_number_becomes_e164_where_it_is_possible(
    number: str | None, country: str | None, expected: str | None
) -> None:
    assert e164(number, country=country) == [expected]
    # Beside numbers that are clean, and again, the answer is the same.
    assert e164("+442079460123", number, number, country=country)[1:] == [expected, expected]


def test_clean_numbers_share_their_bytes_and_never_reach_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    array = pa.array([f"+4420794601{i:02d}" for i in range(100)] + [None], TEXT)
    e164_array(array)  # the kind of number is judged once, by a specimen

    def refuse(*_: object) -> None:
        pytest.fail("phonenumbers was asked about a clean number")

    monkeypatch.setattr(phonenumbers, "parse", refuse)
    assert e164_array(array).buffers()[2].address == array.buffers()[2].address


def test_each_distinct_number_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    parse = phonenumbers.parse

    def counting(text: str, country: str | None) -> object:
        asked.append(text)
        return parse(text, country)

    normalize._read_number.cache_clear()
    monkeypatch.setattr(phonenumbers, "parse", counting)
    e164(*["020 7946 0777"] * 1000, *["+442079460123"] * 1000, country="GB")
    assert asked.count("020 7946 0777") == 1
    assert len(asked) <= 2


@given(
    st.lists(st.from_regex(r"\A(\+?[0-9]{0,16}|1?[2-9][0-9]{9})\Z"), max_size=30),
    st.sampled_from(["US", "GB", None]),
)
@settings(max_examples=50)
def test_what_comes_out_is_possible_for_the_library_too(numbers: list[str], country: str | None) -> None:
    for result in e164(*numbers, country=country):
        if result is None:
            continue
        parsed = phonenumbers.parse(result, None)
        reason = phonenumbers.is_possible_number_with_reason(parsed)
        assert reason == phonenumbers.ValidationResult.IS_POSSIBLE
        assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == result


def is_clean(number: str | None) -> bool:
    """Tell by the library alone whether a number is E.164 as it stands."""
    if number is None or re.fullmatch(r"\+[0-9]{7,15}", number) is None:
        return False
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return False
    is_possible = (
        phonenumbers.is_possible_number_with_reason(parsed) == phonenumbers.ValidationResult.IS_POSSIBLE
    )
    return is_possible and phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == number


@given(
    st.lists(st.none() | st.from_regex(r"\A\+?(44|1|999|49|0)?[0-9:/+]{0,14}[0-9]{0,4}\Z"), max_size=30),
    st.integers(0, 3),
)
@settings(max_examples=100)
def test_clean_numbers_are_those_that_the_library_leaves_as_they_are(
    numbers: list[str | None], offset: int
) -> None:
    whole = pa.array(["+442079460123"] * offset + numbers, TEXT)
    assert normalize._is_clean(whole.slice(offset)).tolist() == [is_clean(number) for number in numbers]


@given(st.from_regex(r"\A1?[2-9][0-9]{9}\Z"))
@settings(max_examples=50)
def test_north_american_numbers_are_what_the_library_says(number: str) -> None:
    parsed = phonenumbers.parse(number, "US")
    assert e164(number, country="US") == [
        phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    ]


def test_an_index_is_kept_and_nothing_in_is_nothing_out() -> None:
    numbers = pd.Series(["+442079460123", None], index=["a", "b"], dtype="str")
    assert numbers_to_e164(numbers).index.tolist() == ["a", "b"]
    empty = numbers_to_e164(pd.Series([], dtype="str"), country="GB")
    assert (len(empty), empty.dtype) == (0, "str")


def test_an_unknown_country_is_an_error() -> None:
    with pytest.raises(InputError, match="'UK' is not an ISO 3166"):
        e164("020 7946 0123", country="UK")


# ---------------------------------------------------------------- text and seconds


@given(
    st.lists(st.one_of(st.none(), st.text(alphabet=" \tab\u00a0\u0416", max_size=5)), max_size=30),
    st.integers(0, 3),
)
@settings(max_examples=50)
def test_clean_text_is_strip_and_empty_is_missing(values: list[str | None], offset: int) -> None:
    array = pa.array(["x"] * offset + values, TEXT).slice(offset)
    assert clean_text(array).to_pylist() == [v.strip() or None if v is not None else None for v in values]


def test_clean_text_that_is_clean_shares_its_bytes() -> None:
    array = pa.array(["a", "", "b"], TEXT)
    cleaned = clean_text(array)
    assert cleaned.to_pylist() == ["a", None, "b"]
    assert cleaned.buffers()[2].address == array.buffers()[2].address


def test_map_distinct_asks_once_per_value() -> None:
    asked: list[str] = []

    def upper(value: str) -> str:
        asked.append(value)
        return value.upper()

    assert map_distinct(pa.array(["a", "b", "a", None], TEXT), upper).to_pylist() == ["A", "B", "A", None]
    assert asked == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0), ("65", 65.0), ("10.740", 10.74), ("-1", -1.0), ("0:01:05", 65.0), ("1:00:00", 3600.0),
        ("00:00:10", 10.0), ("100:00:01", 360001.0), ("0:00:01.5", 1.5),
    ],
)  # fmt: skip
def test_seconds_are_read_as_numbers_or_clock(text: str, seconds: float) -> None:
    for beside in ([], ["0:00:07"], ["7"]):
        values, unreadable = text_to_seconds(pa.array([text, *beside, None], TEXT))
        assert values[0] == seconds
        assert np.isnan(values[-1])
        assert not unreadable.any()


@pytest.mark.parametrize("text", ["3m", "nan", "inf", "1:65:00", "1:05", "12e3", "", "0x10"])
def test_what_is_no_number_of_seconds_is_marked(text: str) -> None:
    values, unreadable = text_to_seconds(pa.array([text, "5"], TEXT))
    assert np.isnan(values[0])
    assert unreadable.tolist() == [True, False]


# ---------------------------------------------------------------- local times


def local(*texts: str) -> pd.Series[pd.Timestamp]:
    return pd.to_datetime(pd.Series(texts), format="ISO8601")


def test_a_time_that_is_skipped_or_repeated_is_reported_and_not_guessed() -> None:
    times = local("2026-03-29 00:59:59", "2026-03-29 01:00:00", "2026-03-29 02:00:00", "2026-10-25 00:59:59",
                  "2026-10-25 01:00:00", "2026-10-25 01:59:59", "2026-10-25 02:00:00")  # fmt: skip
    utc, problem = local_times_to_utc(times, LONDON)
    assert utc.dtype == "datetime64[us, UTC]"
    assert utc.dropna().dt.strftime("%m-%d %H:%M:%S").tolist() == [
        "03-29 00:59:59", "03-29 01:00:00", "10-24 23:59:59", "10-25 02:00:00",
    ]  # fmt: skip
    assert problem.notna().tolist() == [False, True, False, False, True, True, False]
    assert problem.iloc[1] == "2026-03-29 01:00:00 was skipped in Europe/London"
    assert problem.iloc[4] == "2026-10-25 01:00:00 occurred twice in Europe/London"


@pytest.mark.parametrize(
    "zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo"]
)
@given(data=st.data())
@settings(max_examples=20)
def test_local_times_agree_with_the_standard_library(zone: str, data: st.DataObject) -> None:
    info = ZoneInfo(zone)
    shown = data.draw(
        st.lists(st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1)), min_size=1, max_size=20)  # noqa: DTZ001 - local times
    )
    shown = [at.replace(microsecond=0) for at in shown]
    micros = np.array([int(at.replace(tzinfo=UTC).timestamp()) * 1_000_000 for at in shown])
    found = micros_to_utc(micros, info)
    for i, at in enumerate(shown):
        early, late = (at.replace(tzinfo=info, fold=fold).astimezone(UTC) for fold in (0, 1))
        exists = early.astimezone(info).replace(tzinfo=None) == at
        assert bool(found.skipped[i]) == (not exists)
        assert bool(found.repeated[i]) == (exists and early != late)
        if exists:
            assert found.first[i] == int(early.timestamp()) * 1_000_000
            assert found.second[i] == int(late.timestamp()) * 1_000_000


def test_every_second_around_a_change_has_the_right_instant() -> None:
    change = datetime(2026, 10, 25, 1, tzinfo=UTC)  # 02:00 BST becomes 01:00 GMT
    instants = [change + timedelta(seconds=s) for s in range(-7200, 7200, 7)]
    shown = pd.Series([at.astimezone(LONDON).replace(tzinfo=None) for at in instants])
    utc, problem = local_times_to_utc(shown, LONDON)
    sure = problem.isna()
    assert utc[sure].tolist() == [pd.Timestamp(at) for at, ok in zip(instants, sure, strict=True) if ok]
    assert (~sure).tolist() == [abs((at - change).total_seconds() + 0.5) < 3600 for at in instants]


def test_missing_and_no_local_times_are_no_problem() -> None:
    utc, problem = local_times_to_utc(pd.Series([pd.NaT, pd.NaT], dtype="datetime64[us]"), LONDON)
    assert utc.isna().all()
    assert problem.isna().all()
    utc, problem = local_times_to_utc(pd.Series([], dtype="datetime64[us]"), LONDON)
    assert (len(utc), utc.dtype, problem.dtype) == (0, "datetime64[us, UTC]", "str")
