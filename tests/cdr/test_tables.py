"""A record's hash covers all its fields, in whatever blocks and on however many threads it is worked out."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.cdr import tables
from sippet_reconcile.cdr.records import lines as lines_module
from sippet_reconcile.cdr.records.careful import Layout
from sippet_reconcile.cdr.records.reader import read_regular
from sippet_reconcile.cdr.records.tokens import python_pattern
from sippet_reconcile.cdr.tables import record_hashes
from sippet_reconcile.keys import hash_text

TEXT = pa.large_string()
cells = st.none() | st.sampled_from(
    ["", "a", '"', ",", "ü", "\x1e", "a much longer value, with a comma in it"]
)


def plain_lines(records: list[list[str | None]]) -> list[str]:
    """Print records as the lines that are hashed: every field quoted, a missing one as a byte of its own."""
    return [
        ",".join(f'"{chr(0x1E) if value is None else value}"' for value in record) + "\n"
        for record in records
    ]


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), max_size=20)))
@settings(max_examples=100)
def test_a_record_is_hashed_as_its_line_whatever_the_block_it_falls_into(
    records: list[list[str | None]],
) -> None:
    columns = [pa.array(column, TEXT) for column in zip(*records, strict=True)]
    expected = hash_text(pa.array(plain_lines(records), TEXT)).tolist()
    assert record_hashes(columns, len(records)).tolist() == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_BLOCK", 3)
        patch.setattr(tables, "_SMALL", 0)
        assert record_hashes(columns, len(records)).tolist() == expected


@given(st.lists(st.booleans(), max_size=40), st.integers(0, 20), st.integers(0, 20))
@settings(max_examples=100)
def test_flags_are_those_of_the_array_wherever_it_was_cut(drawn: list[bool], begin: int, end: int) -> None:
    array = pa.array(drawn, pa.bool_()).slice(begin)
    array = array.slice(0, max(len(array) - end, 0))
    assert tables.flags(array).tolist() == array.to_pylist()


@pytest.mark.parametrize("broken", [None, 0, 7, 19])
def test_one_line_not_by_the_book_is_found_in_whatever_block_it_stands(
    monkeypatch: pytest.MonkeyPatch, broken: int | None
) -> None:
    monkeypatch.setattr(lines_module, "_QUOTES_AT_ONCE", 20)
    monkeypatch.setattr(tables, "_SMALL", 0)
    lines = [f'"{n}" or so,b' if n == broken else f'"{n}",b' for n in range(20)]
    found = read_regular("\n".join(lines).encode(), Layout(",", {2: ("x", "y")}))
    assert (found is None) == (broken is not None)


@given(
    st.lists(st.text('",;ab', max_size=12), min_size=1, max_size=12),
    st.booleans(),
    st.sampled_from([",", ";"]),
    st.integers(1, 30),
    st.integers(0, 3),
)
@settings(max_examples=400)
def test_places_of_quotes_tell_of_each_line_what_a_pattern_tells(
    texts: list[str], has_end: bool, delimiter: str, block: int, cut: int
) -> None:
    lines = [f"{text}\n" for text in texts]
    lines[-1] = lines[-1] if has_end else texts[-1]
    expected = [any(python_pattern(n, delimiter).match(line) for n in range(1, 15)) for line in lines]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "_QUOTES_AT_ONCE", block)
        patch.setattr(lines_module, "_CACHED", 5)
        found = lines_module.by_the_book(pa.array(lines, TEXT), delimiter)
        behind = lines_module.by_the_book(pa.array(lines, TEXT).slice(cut), delimiter)
    assert found.tolist() == expected
    assert behind.tolist() == expected[cut:]
