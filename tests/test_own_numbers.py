"""One's own numbers are written in one notation, and what cannot be meant is said at once."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile import InputError
from sippet_reconcile.own_numbers import check_own_numbers, own_numbers
from sippet_reconcile.phones import e164_array

TEXT = pa.large_string()


def is_own(number: str | None, *words: str, country: str | None = None) -> bool:
    delivered = pa.array([number, None], TEXT)
    found = own_numbers(words, country).mask(delivered, e164_array(delivered, country=country))
    assert not found[1]
    return bool(found[0])


@pytest.mark.parametrize(
    ("word", "own", "others"),
    [
        ("501", ["501", "sip:501@pbx.example", '"Ann" <501>', "501@from-internal"], ["5010", "0501", "+501", "50"]),
        ("+442079460100", ["+442079460100", "0044 20 7946 0100", "020 7946 0100", "tel:+44-20-7946-0100"],
         ["+442079460101", "02079460101", "anonymous"]),
        ("020 7946 0100", ["+442079460100", "02079460100"], ["2079460101"]),
        ("1000-1999", ["1000", "1500", "1999", "sip:1001@pbx"], ["999", "2000", "10000", "01000", "+1500", "1a00", "x"]),
        ("001-099", ["001", "050"], ["1", "50", "0050"]),
        ("1000 \u2013 1999", ["1500"], ["2000"]),
        ("+442079460100-+442079460199", ["+442079460150", "02079460150"], ["+442079460200", "442079460150x"]),
        ("+442079460100-442079460199", ["+442079460199"], ["+4420794601990"]),
        ("02079460100-02079460199", ["+442079460150", "020 7946 0150"], ["+442079460200"]),
        ("2*", ["2", "20", "2001", "200199"], ["+442079460100", "2079460100", "2x", "12", "1002"]),
        ("+4420794601*", ["+442079460123", "020 7946 0199"], ["+442079460223", "4420794601"]),
        ("0207946*", ["02079460100"], ["0207", "12079460100"]),
        ("*60", ["*60"], ["60", "*601"]),
        ("ann", ["ann", "sip:ann@pbx.example"], ["anna", "Ann Smith"]),
    ],
)  # fmt: skip
def test_what_a_word_covers(word: str, own: list[str], others: list[str]) -> None:
    assert check_own_numbers([word], country="GB") == (word,)
    assert [number for number in own if not is_own(number, word, country="GB")] == []
    assert [number for number in others if is_own(number, word, country="GB")] == []


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("", "names no number"),
        ("  ", "names no number"),
        ("-", "names no number"),
        ("*", "names no number"),
        ("1999-1000", "ends before it begins"),
        ("100-1999", "not equally long"),
        ("1*2", "a star stands for the rest"),
        ("1**", "a star stands for the rest"),
        ("ann*", "a star stands for the rest"),
        ("+*", "names no number"),
        (501, "not text"),
        (None, "not text"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_word(word: Any, why: str) -> None:
    with pytest.raises(InputError, match=rf"internal_numbers= holds {re.escape(repr(word))}: .*{why}"):
        check_own_numbers(["501", word])


def test_a_number_with_a_hyphen_is_no_range_and_a_long_one_is_shown_masked() -> None:
    assert is_own("+442079460100", *check_own_numbers(["+44-2079460100"]))
    with pytest.raises(InputError) as caught:
        check_own_numbers(["442079460199-442079460100"])
    assert "442079460199" not in str(caught.value)


@given(st.integers(0, 9999), st.integers(0, 9999), st.lists(st.integers(0, 99999), max_size=20))
@settings(max_examples=50)
def test_a_range_holds_the_numbers_of_its_length_between_its_ends(
    one: int, other: int, numbers: list[int]
) -> None:
    low, high = sorted((one, other))
    words = check_own_numbers([f"{low:04d}-{high:04d}"])
    texts = [f"{number:04d}" for number in [*numbers, low, high]]
    found = own_numbers(words).mask(pa.array(texts, TEXT)).tolist()
    assert found == [len(text) == 4 and low <= int(text) <= high for text in texts]


def test_without_any_number_nothing_is_own() -> None:
    assert own_numbers(("501",)).mask(pa.array([], TEXT)).tolist() == []
    assert own_numbers(()).mask(pa.array(["501", None], TEXT)).tolist() == [False, False]
