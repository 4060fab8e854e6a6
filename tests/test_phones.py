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
from sippet_reconcile.phones import (
    NUMBER_KINDS,
    check_prefixes,
    classify_numbers,
    e164_array,
    numbers_to_e164,
)

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


# ---------------------------------------------------------------- what is wrapped around a number


@pytest.mark.parametrize(
    "delivered",
    [
        '"Ann" <+442079460123>',
        '""Ann" <+442079460123>"',
        '<+442079460123> "Ann"',
        "Anonymous <sip:+442079460123@198.51.100.7>",
        "sip:+442079460123:secret@pbx.example:5060;user=phone",
        "sips:+442079460123;npdi;rn=+441134960000@pbx.example",
        "SIP:%2B442079460123@pbx.example",
        "tel:+44-20-7946-0123;ext=12",
        "tel:2079460123;phone-context=+44",
        "sip:79460123;phone-context=+4420@pbx.example;user=phone",
        "+442079460123@from-internal",
        "'+442079460123",
        '="+442079460123"',
        "(+44) 20 7946 0123",
        "\uff0b\uff14\uff142079460123",
        "+44\u00a020\u20097946\u202f0123",
        "\u202d+44\u200b207946\u20600123\u202c",
        "+44\u201120\u20137946\u22120123",
        "+\u0664\u0664\u0662\u0660\u0667\u0669\u0664\u0666\u0660\u0661\u0662\u0663",
    ],
)
def test_what_is_wrapped_around_a_number_is_taken_off(delivered: str) -> None:
    assert e164(delivered) == ["+442079460123"]
    assert kinds(delivered) == ["e164"]


@pytest.mark.parametrize("scheme", ["", "sip:", "sips:"])
def test_the_address_of_a_machine_is_no_number(scheme: str) -> None:
    for country in (None, "US", "DE"):
        assert (
            kinds(f"{scheme}192.168.100.10", f"{scheme}ann@192.168.100.10", country=country) == ["name"] * 2
        )


# ---------------------------------------------------------------- what is no number, by kind


def kinds(
    *delivered: str | None, country: str | None = None, prefixes: tuple[str, ...] = ()
) -> list[str | None]:
    array = pa.array(delivered, TEXT)
    return classify_numbers(array, country=country, strip_prefixes=check_prefixes(prefixes)).to_pylist()


@pytest.mark.parametrize(
    ("delivered", "country", "kind"),
    [
        ("+442079460123", None, "e164"),
        ("020 7946 0123", "GB", "e164"),
        ("0044 20 7946 0123", None, "e164"),
        ("1001", "GB", "extension"),
        ("112", None, "extension"),
        ("0", None, "extension"),
        ('"Ann" <1001>', None, "extension"),
        ("*60", "GB", "feature_code"),
        ("*97", None, "feature_code"),
        ("#", None, "feature_code"),
        ("*21*07700900123#", "GB", "feature_code"),
        ("park+700", None, "feature_code"),
        ("anonymous", "GB", "anonymous"),
        ("Anonymous <>", None, "anonymous"),
        ('"Anonymous" <sip:anonymous@anonymous.invalid>', None, "anonymous"),
        ("sip:anonymous@198.51.100.7", "US", "anonymous"),
        ("Restricted", None, "anonymous"),
        ("PRIVATE NUMBER", None, "anonymous"),
        ("unavailable", None, "anonymous"),
        ("Withheld", None, "anonymous"),
        ("<unknown>", None, "anonymous"),
        ("Out-Of-Area", None, "anonymous"),
        ("s", None, "name"),
        ("default", None, "name"),
        ("mobile", None, "name"),
        ("client:ana", None, "name"),
        ("sip:alice@example.org", "GB", "name"),
        ("1800FLOWERS", "US", "name"),
        ("Private Bank Ltd", None, "name"),
        ("02079460123", None, "needs_country"),
        ("442079460123", None, "needs_country"),
        ("5550123", "US", "too_short"),
        ("+44", None, "too_short"),
        ("+4420794601", None, "too_short"),
        ("0044207946", None, "too_short"),
        ("+4420794601234567", None, "too_long"),
        ("1" * 18, None, "too_long"),
        ("020794601234567", "GB", "too_long"),
        ("442921280552.6", "GB", "suffix"),
        ("442079460123.10", None, "suffix"),
        ("+442079460123,,7#", None, "suffix"),
        ("50011543601976", None, "suffix"),
        ("50011543601976", "DE", "suffix"),
        ("0000000000", "US", "no_number"),
        ("+9991234567", None, "no_number"),
        ("-", None, "no_number"),
        ("\u200b", None, "no_number"),
        (None, "GB", None),
    ],
)
def test_what_gives_no_number_is_of_a_kind(
    delivered: str | None, country: str | None, kind: str | None
) -> None:
    assert kinds(delivered, "+442079460123", delivered, country=country) == [kind, "e164", kind]
    assert (e164(delivered, country=country) == [None]) == (kind != "e164")


def test_an_epoch_behind_an_extension_is_told_from_a_number_that_lost_its_plus() -> None:
    # Argentina's mobiles are 54 9 11 ...: the digits end as an epoch does, but begin with the calling code.
    assert e164("5491112345678", country="AR") == ["+5491112345678"]
    assert kinds("5491112345678") == ["suffix"]
    assert e164("441134960123", country="GB") == ["+441134960123"]


DELIVERED = st.one_of(
    st.from_regex(r"\A[+0-9*#. ()/-]{0,18}\Z"),
    st.from_regex(r"\A(sips?:|tel:)?[+0-9a-z:;=.-]{0,20}(@[a-z0-9.]{1,12})?\Z"),
    st.text(max_size=20),
    st.sampled_from(["anonymous", "Restricted", "park+700", "*60", "50011543601976", "442921280552.6", "s"]),
)


@given(st.lists(st.none() | DELIVERED, max_size=20), st.sampled_from([None, "GB", "US", "DE", "IT", "AR"]),
       st.lists(st.sampled_from(["9", "90", "0", "*67"]), max_size=3), st.integers(0, 2))  # fmt: skip
@settings(max_examples=150)
def test_each_value_has_a_kind_and_e164_is_that_of_what_has_a_number(
    delivered: list[str | None], country: str | None, prefixes: list[str], offset: int
) -> None:
    array = pa.array(["+442079460123"] * offset + delivered, TEXT).slice(offset)
    taken_off = check_prefixes(prefixes)
    found = classify_numbers(array, country=country, strip_prefixes=taken_off).to_pylist()
    numbers = e164_array(array, country=country, strip_prefixes=taken_off).to_pylist()
    assert [kind is None for kind in found] == [value is None for value in delivered]
    assert [kind == "e164" for kind in found] == [number is not None for number in numbers]
    assert set(found) <= {None, *NUMBER_KINDS}


# ---------------------------------------------------------------- phonenumbers as the oracle


def oracle(text: str, country: str | None) -> str | None:
    """Return what the library alone makes of a text."""
    try:
        parsed = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


EPOCH_BEHIND = re.compile(r"[1-9]\d{2,4}1[0-8]\d{8}")


@given(
    st.from_regex(r"\A(00|011|0|1|44|49|39|54)?[1-9][0-9]{5,13}\Z"),
    st.sampled_from(["GB", "US", "DE", "IT", "AR", "IE", "JP", "RU"]),
)
@settings(max_examples=200)
def test_with_a_country_the_library_decides(digits: str, country: str) -> None:
    said = oracle(digits, country)
    if said is not None and said.startswith(f"+{phonenumbers.country_code_for_region(country)}00"):
        said = None  # no country has national numbers that begin with two zeros
    found = e164(digits, country=country)[0]
    if len(digits) <= 6 or (EPOCH_BEHIND.fullmatch(digits) and said != f"+{digits}"):
        assert found is None
    elif said is not None:
        assert found == said
    elif found is not None:
        # Only what the library calls international behind another country's exit code.
        assert found in {oracle("+" + digits.removeprefix(exit_), None) for exit_ in ("00", "011")}


@given(st.from_regex(r"\A\+[1-9][0-9]{6,15}\Z"), st.sampled_from([None, "GB", "US"]))
@settings(max_examples=100)
def test_with_a_plus_no_country_changes_anything(number: str, country: str | None) -> None:
    assert e164(number, country=country) == [oracle(number, None)]


@given(st.from_regex(r"\A[1-9][0-9]{6,14}\Z"))
@settings(max_examples=50)
def test_without_a_country_digits_without_a_plus_are_left_alone(digits: str) -> None:
    assert e164(digits) == [None]


# ---------------------------------------------------------------- prefixes for an outside line


def stripped(
    *delivered: str, country: str | None, prefixes: tuple[str, ...] = ("9", "90", "0")
) -> list[str | None]:
    taken_off = check_prefixes(prefixes)
    return e164_array(pa.array(delivered, TEXT), country=country, strip_prefixes=taken_off).to_pylist()


@pytest.mark.parametrize(
    ("delivered", "country", "expected"),
    [
        ("9011442079460123", None, "+442079460123"),
        ("900442079460123", None, "+442079460123"),
        ("9+442079460123", None, "+442079460123"),
        ("000442079460123", None, "+442079460123"),
        ("000442079460123", "DE", "+442079460123"),
        ("902079460123", "GB", "+442079460123"),
        ("9 020 7946 0123", "GB", "+442079460123"),
        ("912125550123", "US", "+12125550123"),
        ("92125550123", "US", "+12125550123"),
        ("sip:912125550123@pbx.example", "US", "+12125550123"),
        ("90 (212) 555-0123", "US", "+12125550123"),
        ("*672125550123", "US", None),
        ("9112", "GB", None),
        ("95550123", "US", None),
        ("902079460123", None, None),
        ("0000000000", "US", None),
        ("anonymous", "GB", None),
        ("9442921280552.6", "GB", None),
    ],
)
def test_a_prefix_is_taken_off_where_only_the_rest_is_a_number(
    delivered: str, country: str | None, expected: str | None
) -> None:
    assert stripped(delivered, country=country) == [expected]


def test_a_prefix_may_be_a_code_and_the_longest_is_tried_first() -> None:
    assert stripped("*672125550123", country="US", prefixes=("*67",)) == ["+12125550123"]
    assert check_prefixes(["9", "0", "90", "9"]) == ("90", "9", "0")
    # Behind '00' stands +1 212...; behind '0' alone another number would stand.
    assert stripped("000012125550123", country=None, prefixes=("0", "00")) == ["+12125550123"]


@given(st.from_regex(r"\A\+?[0-9]{0,15}\Z"), st.sampled_from([None, "GB", "US", "DE"]))
@settings(max_examples=100)
def test_a_number_that_is_possible_as_it_stands_is_never_stripped(number: str, country: str | None) -> None:
    alone = e164(number, country=country)[0]
    with_prefixes = stripped(number, country=country)[0]
    assert with_prefixes == alone if alone is not None else True
    if alone is None and with_prefixes is not None:
        rests = {number.removeprefix(prefix) for prefix in ("90", "9", "0") if number.startswith(prefix)}
        assert with_prefixes in e164(*rests, country=country)


@pytest.mark.parametrize("prefix", ["", "nine", "+", "123456789", 9, None])
def test_what_is_no_prefix_is_refused(prefix: object) -> None:
    with pytest.raises(InputError, match="strip_prefixes= holds"):
        check_prefixes([prefix])  # type: ignore[list-item]


def test_a_value_that_is_longer_than_any_address_is_looked_at_no_further() -> None:
    assert kinds("1" * 1_000_000, "+44 " * 500_000, "(" * 1_000_000) == ["name", "name", "name"]
