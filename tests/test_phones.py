"""What is a possible number becomes E.164, and nothing else does."""

from __future__ import annotations

import re

import pandas as pd
import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile import InputError, phones
from sippet_reconcile.phones import e164_array, numbers_to_e164

TEXT = pa.large_string()


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

    phones._look.cache_clear()
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
    assert phones._is_clean(whole.slice(offset)).tolist() == [is_clean(number) for number in numbers]


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
