"""Hashes propose, bytes decide: equal texts are found and unequal ones never joined."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile import keys
from sippet_reconcile.keys import combine_hashes, first_occurrence, hash_text, match_positions, normal_ids

TEXT = pa.large_string()
texts = st.lists(st.none() | st.text(max_size=40), max_size=60)
few = st.lists(st.none() | st.sampled_from(["", "a", "b", "ab", "x" * 30, "x" * 31, "ü"]), max_size=40)


@given(texts)
@settings(max_examples=50)
def test_equal_texts_hash_equal_and_missing_is_zero(values: list[str | None]) -> None:
    hashes = hash_text(pa.array(values, TEXT)).tolist()
    by_text: dict[str | None, set[int]] = {}
    for value, hashed in zip(values, hashes, strict=True):
        by_text.setdefault(value, set()).add(hashed)
    assert all(len(found) == 1 for found in by_text.values())
    assert all((hashed == 0) == (value is None) for value, hashed in zip(values, hashes, strict=True))


@given(texts, st.integers(0, 5))
@settings(max_examples=50)
def test_a_hash_does_not_depend_on_where_the_text_lies(values: list[str | None], offset: int) -> None:
    whole = pa.array(["padding"] * offset + values + ["tail"], TEXT)
    assert hash_text(whole.slice(offset, len(values))).tolist() == hash_text(pa.array(values, TEXT)).tolist()


def test_texts_that_differ_in_one_byte_differ_in_their_hash() -> None:
    values = [f"{'a' * i}{chr(b)}{'z' * (40 - i)}" for i in range(41) for b in range(33, 127)]
    assert len(set(hash_text(pa.array(values, TEXT)).tolist())) == len(set(values))


def plain_hash(value: str) -> int:
    """Work the hash of one text out as the module describes it, with Python's own integers."""
    whole = (1 << 64) - 1
    content = value.encode()
    hashed = (len(content) * 0xBF58_476D_1CE4_E5B9 + 1) & whole
    for at in range(0, len(content), 8):
        hashed = ((hashed ^ int.from_bytes(content[at : at + 8], "little")) * 0x9E37_79B9_7F4A_7C15) & whole
        hashed ^= hashed >> 32
    hashed ^= hashed >> 32
    hashed = (hashed * 0xBF58_476D_1CE4_E5B9) & whole
    return (hashed ^ (hashed >> 29)) or 1


@given(st.lists(st.text(max_size=70), min_size=1, max_size=20))
@settings(max_examples=50)
def test_a_stored_hash_means_the_same_tomorrow(values: list[str]) -> None:
    assert hash_text(pa.array(values, TEXT)).tolist() == [plain_hash(value) for value in values]


@pytest.mark.parametrize("least", [0, 60, 127, 128, 136])
def test_lines_of_many_lengths_hash_as_each_does_alone(least: int) -> None:
    drawn = np.random.default_rng(5).integers(0, 260, 9_000).tolist()
    lengths = [least + length for length in [*drawn, 0, 2_500, 7, 8, 9, 64, 65, 5]]
    values = [('"ü,' + str(length) * length)[:length] for length in lengths]
    assert hash_text(pa.array(values, TEXT)).tolist() == [plain_hash(value) for value in values]


@given(few, few)
@settings(max_examples=50)
def test_match_positions_agrees_with_a_plain_search(left: list[str | None], right: list[str | None]) -> None:
    expected = [-1 if value is None or value not in right else right.index(value) for value in left]
    assert match_positions(pa.array(left, TEXT), pa.array(right, TEXT)).tolist() == expected


@given(few)
@settings(max_examples=50)
def test_first_occurrence_agrees_with_a_plain_search(values: list[str | None]) -> None:
    expected = [i if value is None else values.index(value) for i, value in enumerate(values)]
    assert first_occurrence(pa.array(values, TEXT)).tolist() == expected


@given(few, few)
@settings(max_examples=30)
def test_a_collision_costs_time_but_joins_nothing(left: list[str | None], right: list[str | None]) -> None:
    def colliding(array: pa.LargeStringArray) -> np.ndarray:
        hashes = np.full(len(array), 7, np.uint64)
        hashes[np.asarray(array.is_null())] = 0
        return hashes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "hash_text", colliding)
        found = match_positions(pa.array(left, TEXT), pa.array(right, TEXT)).tolist()
        first = first_occurrence(pa.array(left, TEXT)).tolist()
    assert found == [-1 if v is None or v not in right else right.index(v) for v in left]
    assert first == [i if v is None else left.index(v) for i, v in enumerate(left)]


def test_the_order_of_fields_matters_in_a_combined_hash() -> None:
    a, b = hash_text(pa.array(["a", ""], TEXT)), hash_text(pa.array(["", "a"], TEXT))
    assert combine_hashes([a, b])[0] != combine_hashes([a, b])[1]


def test_ids_are_compared_without_case_dashes_and_white_space() -> None:
    ids = pd.Series(["8C1F3C52-0a", " 8c1f3c520A\t", "", "  ", "-", None], dtype="str", index=range(10, 16))
    normal = normal_ids(ids)
    assert normal.dtype == "str"
    assert normal.index.tolist() == list(range(10, 16))
    assert normal.iloc[:2].tolist() == ["8c1f3c520a"] * 2
    assert normal.iloc[2:].isna().all()


def test_nothing_in_nothing_out() -> None:
    empty = pa.array([], TEXT)
    assert hash_text(empty).tolist() == []
    assert match_positions(empty, empty).tolist() == []
    assert first_occurrence(empty).tolist() == []
    assert normal_ids(pd.Series([], dtype="str")).dtype == "str"


uuids = st.uuids().map(str)
in_many_forms = st.one_of(
    st.none(),
    uuids,
    uuids.map(str.upper),
    uuids.map(lambda text: text.replace("-", "")),
    uuids.map(lambda text: f" {text} "),
    st.sampled_from(["", "-", "-" * 36, " " * 36, "g" * 36, "é" * 18]),
)


def plain_id(value: str | None) -> str | None:
    return None if value is None else value.strip().lower().replace("-", "") or None


@given(st.one_of(st.lists(uuids, max_size=30), st.lists(st.none() | uuids), st.lists(in_many_forms)))
@settings(max_examples=50)
def test_ids_come_into_one_form_whatever_form_most_of_them_have(values: list[str | None]) -> None:
    found = normal_ids(pd.Series(values, dtype="str"))
    assert [None if pd.isna(value) else value for value in found] == [plain_id(value) for value in values]


def test_ids_in_a_part_of_a_column_come_into_one_form() -> None:
    whole = pd.Series(
        ["00000000-0000-4000-8000-00000000000a", None, "00000000-0000-4000-8000-00000000000b"], dtype="str"
    )
    assert normal_ids(whole.iloc[2:]).tolist() == ["0000000000004000800000000000000b"]
    assert normal_ids(whole.iloc[1:]).isna().tolist() == [True, False]


@given(st.integers(1, 40), st.data())
@settings(max_examples=50)
def test_texts_of_one_length_hash_as_they_do_among_others(length: int, data: st.DataObject) -> None:
    text = st.text(alphabet="abc-09", min_size=length, max_size=length)
    values = data.draw(st.lists(st.none() | text, max_size=30))
    expected = [0 if value is None else plain_hash(value) for value in values]
    assert hash_text(pa.array(values, TEXT)).tolist() == expected


@pytest.mark.parametrize("length", [1, 7, 8, 9, 32, 63, 64, 65, 200])
def test_a_single_differing_byte_is_seen_wherever_it_stands(length: int) -> None:
    def all_alike(array: pa.LargeStringArray) -> np.ndarray:
        return np.full(len(array), 7, np.uint64)

    kept = "a" * length
    for place in range(length):
        other = kept[:place] + "b" + kept[place + 1 :]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keys, "hash_text", all_alike)
            assert match_positions(
                pa.array([kept, other], TEXT), pa.array([kept, "c" * 80], TEXT)
            ).tolist() == [0, -1]


@given(few)
@settings(max_examples=50)
def test_a_lookup_knows_what_occurred_before_and_where_first(values: list[str | None]) -> None:
    again, first = keys.TextLookup(pa.array(values, TEXT)).repeats()
    expected = {n: values.index(v) for n, v in enumerate(values) if v is not None and values.index(v) < n}
    assert dict(zip(again.tolist(), first.tolist(), strict=True)) == expected
    assert len(again) == len(expected)


hash_values = st.sampled_from([1, 7, 1 << 15, 1 << 16, (1 << 16) + 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 2])


@given(few, few, st.dictionaries(st.sampled_from(["", "a", "b", "ab", "x" * 30]), hash_values))
@settings(max_examples=80)
def test_texts_whose_hashes_are_alike_in_any_bits_are_told_apart(
    left: list[str | None], right: list[str | None], hash_of: dict[str, int]
) -> None:
    def alike(array: pa.LargeStringArray) -> np.ndarray:
        hashes = [0 if value is None else hash_of.get(value, 7) for value in array.to_pylist()]
        return np.array(hashes, np.uint64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "hash_text", alike)
        found = match_positions(pa.array(left, TEXT), pa.array(right, TEXT)).tolist()
        first = first_occurrence(pa.array(right, TEXT)).tolist()
    assert found == [-1 if value is None or value not in right else right.index(value) for value in left]
    assert first == [n if value is None else right.index(value) for n, value in enumerate(right)]


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 1 << 16, (1 << 16) + 1])
def test_as_many_texts_as_a_row_has_bits_for_are_found(size: int) -> None:
    rows = np.random.default_rng(size).permutation(size)
    texts = pa.array([str(n) for n in range(size)], TEXT)
    found = match_positions(pa.concat_arrays([texts.take(pa.array(rows)), texts]), texts)
    assert found[:size].tolist() == rows.tolist()
    assert found[size:].tolist() == list(range(size))
    assert match_positions(pa.array(["x", str(size - 1)], TEXT), texts).tolist() == [-1, size - 1]
    assert match_positions(texts, pa.array([str(size - 1)], TEXT)).tolist() == [-1] * (size - 1) + [0]


@pytest.mark.parametrize("nth", [1, 7, 300])
def test_hashes_that_crowd_in_one_place_are_searched_for(nth: int) -> None:
    def crowded(array: pa.LargeStringArray) -> np.ndarray:
        return np.array([(int(value) << 20) + 1 for value in array.to_pylist()], np.uint64)

    texts = pa.array([str(n * nth) for n in range(1_000)], TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "hash_text", crowded)
        found = match_positions(pa.array([str(n) for n in range(2_000)], TEXT), texts).tolist()
    assert found == [n // nth if n % nth == 0 and n < 1_000 * nth else -1 for n in range(2_000)]


def test_a_lookup_is_asked_often() -> None:
    lookup = keys.TextLookup(pa.array([None, "a", "b", "a"], TEXT))
    assert lookup.find(pa.array(["a", None, "z", "b"], TEXT)).tolist() == [1, -1, -1, 2]
    assert lookup.find(pa.array([], TEXT)).tolist() == []
    assert keys.TextLookup(pa.array([None], TEXT)).find(pa.array(["a", None], TEXT)).tolist() == [-1, -1]


UUIDS = ["8c1f3c52-0000-4aaa-8bbb-0123456789ab", "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9"]


@pytest.mark.parametrize(
    "given",
    [
        UUIDS,
        [UUIDS[0], None, UUIDS[1], None],
        [None, None],
        [],
        [UUIDS[0].upper(), UUIDS[1]],
        [f" {UUIDS[0]}", UUIDS[1].replace("-", ""), "-", None],
        ["8c1f3c52-0000-4aaa-8bbb-0123456789ag", UUIDS[1]],
        ["8c1f3c52x0000-4aaa-8bbb-0123456789ab", UUIDS[1]],
        ["x" * 35, "y" * 37],
        ["abc", "A-b-C"],
    ],
)
def test_ids_are_hashed_as_their_normal_text_is(given: list[str | None]) -> None:
    array = pa.array(given, TEXT)
    normal = pa.array(normal_ids(pd.Series(given, dtype="str")).array, TEXT, from_pandas=True)
    ids = keys.Ids.of(array)
    assert ids.hashes.tolist() == keys.hash_text(normal).tolist()
    assert ids.text.to_pylist() == normal.to_pylist()
    assert ids.null_count == normal.null_count
    assert ids.is_valid().to_pylist() == normal.is_valid().to_pylist()
    if given:
        last = pa.array([len(given) - 1, None], pa.int64())
        assert ids.take(last).to_pylist() == [normal.to_pylist()[-1], None]
        assert ids.are_uuids == all(one is None or one in UUIDS for one in given)


def test_ids_in_different_forms_find_each_other() -> None:
    usual, other = keys.Ids.of(pa.array([*UUIDS, None], TEXT)), [UUIDS[1].upper(), None, UUIDS[0], "x"]
    assert match_positions(keys.Ids.of(pa.array(other, TEXT)), usual).tolist() == [1, -1, 0, -1]
    assert match_positions(usual, keys.Ids.of(pa.array(other, TEXT))).tolist() == [2, 0, -1]
    assert match_positions(usual, usual).tolist() == [0, 1, -1]
    assert match_positions(usual[1:], usual.at(np.array([2, 1]))).tolist() == [1, -1]


def test_ids_that_share_a_hash_are_told_apart() -> None:
    same = np.full(2, 7, np.uint64)
    left = keys.Ids(pa.array(UUIDS, TEXT), same, are_uuids=True)
    right = keys.Ids(pa.array(UUIDS[::-1], TEXT), same, are_uuids=True)
    assert match_positions(left, right).tolist() == [1, 0]
    assert first_occurrence(left).tolist() == [0, 1]


def test_a_lookup_works_through_many_texts_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_AT_ONCE", 3)
    right = [str(n) for n in range(20)] + ["3", None]
    left = [None, *(str(n * 7 % 31) for n in range(25)), None]
    expected = [-1 if one is None or one not in right else right.index(one) for one in left]
    assert match_positions(pa.array(left, TEXT), pa.array(right, TEXT)).tolist() == expected
