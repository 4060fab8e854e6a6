"""What is piled up piece by piece is what the pieces would be, put one behind the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.cdr.whole import pile as pile_module
from sippet_reconcile.cdr.whole.pile import Pile
from sippet_reconcile.normalize import with_missing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXT = pa.large_string()
UTC = pa.timestamp("us", tz="UTC")
KINDS = {"text": TEXT, "same": TEXT, "less": TEXT, "number": pa.int64(), "flag": pa.bool_(), "at": UTC}


@st.composite
def pieces(draw: st.DrawFn) -> dict[str, Any]:
    """Draw one piece: a text, its twin, the text with less in it, and values of other kinds."""
    size = draw(st.integers(1, 12))
    texts = draw(
        st.lists(st.none() | st.sampled_from(["", "a", "ü", "+442079460123"]), min_size=size, max_size=size)
    )
    text = pa.array(["cut off", *texts], TEXT).slice(1) if draw(st.booleans()) else pa.array(texts, TEXT)
    mask = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    other = pa.array(["other"] * size, TEXT)
    numbers = pa.array(
        draw(st.lists(st.none() | st.integers(0, 9), min_size=size, max_size=size)), pa.int64()
    )
    return {
        "source_row": pa.array(range(size), pa.int64()),
        "text": draw(st.sampled_from([text, text, None])),
        "same": draw(st.sampled_from([text, text, text, other, None])),
        "less": draw(st.sampled_from([with_missing(text, mask)] * 3 + [other, None])),
        "number": draw(st.sampled_from([numbers, None])),
        "flag": pa.array(mask),
        "at": numbers.cast(UTC),
    }  # fmt: skip


@given(st.lists(pieces(), min_size=1, max_size=6))
@settings(max_examples=100)
def test_a_pile_holds_its_pieces_one_behind_the_other(drawn: list[dict[str, Any]]) -> None:
    pile = Pile(2.0)
    for piece in drawn:
        pile.add(piece)
    found = pile.finished()
    length = sum(len(piece["source_row"]) for piece in drawn)
    for name, kind in KINDS.items():
        expected = [
            v
            for p in drawn
            for v in (p[name].to_pylist() if p[name] is not None else [None] * len(p["flag"]))
        ]
        array = found[name]
        assert (pa.nulls(length, kind) if array is None else array).to_pylist() == expected
        if array is not None:
            array.validate(full=True)


def test_a_column_that_only_lacks_rows_of_another_takes_no_memory_of_its_own() -> None:
    pile = Pile(2.0)
    for _ in range(2):
        text = pa.array(["+442079460123", "1001"], TEXT)
        less = with_missing(text, np.array([False, True]))
        pile.add({"source_row": pa.array([1, 2]), "from_number": text, "from_e164": less})
    found = pile.finished()
    number, e164 = found["from_number"], found["from_e164"]
    assert number is not None
    assert e164 is not None
    assert [b.address for b in number.buffers()[1:]] == [b.address for b in e164.buffers()[1:]]
    assert e164.to_pylist() == ["+442079460123", None] * 2


def test_memory_for_all_pieces_is_taken_with_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def counted(length: int, dtype: Any) -> Any:
        taken.append(length)
        return np.empty(length, dtype)

    monkeypatch.setattr(pile_module, "_memory", counted)
    pile = Pile(20.0)
    for at in range(20):
        pile.add({"source_row": pa.array([at, at + 1]), "text": pa.array(["a", "bc"], TEXT)})
    assert len(taken) == 3  # numbers; bytes and offsets of the text


def test_kept_columns_stand_in_the_order_in_which_they_were_asked_for(
    freeswitch: Callable[..., bytes], in_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = in_file(b"".join(freeswitch(uuid=f"8c1f3c52-0000-4000-8000-{i:012d}") for i in range(40)))
    keep = ["accountcode", "caller_id_name"]  # the first is the user as well
    whole = sr.read_cdr(path, timezone="UTC", keep=keep)
    monkeypatch.setattr("sippet_reconcile.cdr.files.sources.LARGE", 1)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 2000)
    pieces = sr.read_cdr(path, timezone="UTC", keep=keep)
    assert list(pieces.columns)[-2:] == ["x_accountcode", "x_caller_id_name"]
    pd.testing.assert_frame_equal(pieces, whole)
