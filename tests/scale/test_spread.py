"""A spread frame answers as the DataFrame of the same rows does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from dask.base import compute
from dask.delayed import delayed
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.reconciliation.sides import Columns, text_codes
from sippet_reconcile.scale.sides import SpreadColumns
from sippet_reconcile.scale.spread import Group, SpreadFrame
from sippet_reconcile.schema import take


def spread(frame: pd.DataFrame, part_of_row: list[int], n_parts: int) -> SpreadFrame:
    """Lay each row of a frame into a part, in an order of the parts' own."""
    at = np.array(part_of_row, np.int64)
    rows = [np.flatnonzero(at == part)[::-1] for part in range(n_parts)]
    order = np.argsort(np.concatenate(rows))
    sizes = np.array([len(of_part) for of_part in rows])
    groups = [
        Group([delayed(some.take(of_part).reset_index(drop=True)) for of_part in rows], some.iloc[:0])
        for some in (frame.iloc[:, ::2], frame.iloc[:, 1::2])
    ]
    return SpreadFrame(groups, sizes, order, frame.columns.tolist())


@pytest.fixture(scope="module")
def both(world: Any) -> Any:
    calls = world(2)[1]

    def build(part_of_row: list[int], n_parts: int) -> tuple[pd.DataFrame, SpreadFrame]:
        frame = calls.iloc[: len(part_of_row)].reset_index(drop=True)
        return frame, spread(frame, part_of_row, n_parts)

    return build


PARTS = st.lists(st.integers(0, 3), min_size=1, max_size=40)


@settings(max_examples=12, deadline=None)
@given(PARTS, st.data())
def test_columns_and_rows_are_those_of_the_frame(both: Any, part_of_row: list[int], data: Any) -> None:
    frame, other = both(part_of_row, 5)  # the last part has no row
    rows = data.draw(st.lists(st.integers(0, len(frame) - 1), max_size=8))
    positions = [*rows, -1]
    assert (len(other), other.shape, other.empty) == (len(frame), frame.shape, frame.empty)
    assert other.columns.tolist() == frame.columns.tolist()
    assert other.dtypes.to_dict() == frame.dtypes.to_dict()
    for name in ("id", "started_at", "duration_seconds", "status"):
        pd.testing.assert_series_equal(other[name], frame[name])
        pd.testing.assert_series_equal(other.iloc[rows][name], frame[name].iloc[rows].reset_index(drop=True))
    pd.testing.assert_frame_equal(other.to_pandas(), frame)
    pd.testing.assert_frame_equal(other.take(rows), frame.take(rows).reset_index(drop=True))
    pd.testing.assert_frame_equal(take(other, None, positions), take(frame, None, positions))
    pd.testing.assert_frame_equal(
        take(other, ["id", "status"], positions), take(frame, ["id", "status"], positions)
    )
    mask = frame["status"].eq("completed").fillna(value=False)
    pd.testing.assert_frame_equal(other.loc[mask], frame.loc[mask].reset_index(drop=True))
    pd.testing.assert_series_equal(other.loc[mask, "id"], frame.loc[mask, "id"].reset_index(drop=True))
    pd.testing.assert_frame_equal(pd.concat(other.blocks(7), ignore_index=True), frame)
    codes, words = other.codes("status")
    expected, its_words = text_codes(frame["status"])
    assert (codes.tolist(), words) == (expected.tolist(), its_words)
    by_part = other.to_dask().compute()
    assert sorted(by_part["id"].fillna("")) == sorted(frame["id"].fillna(""))
    for names in (["status", "id"], ["id"]):
        some = pd.concat(compute(*other.parts(names)), ignore_index=True)
        pd.testing.assert_frame_equal(some[names], by_part[names].reset_index(drop=True))


@settings(max_examples=8, deadline=None)
@given(PARTS)
def test_what_is_made_is_made_when_it_is_asked_for_and_stands_in_front_of_what_is_stored(
    both: Any, part_of_row: list[int]
) -> None:
    frame, other = both(part_of_row, 4)
    asked: list[str] = []

    def bucket(_: Any) -> Any:
        asked.append("bucket")
        return pd.array([f"b{n}" for n in range(len(frame))], dtype="str")

    made = {"bucket": bucket, "status": lambda whole: whole["id"].str.upper()}
    other = other.assign(**made)
    assert not asked
    expected = frame.assign(bucket=bucket, status=frame["id"].str.upper())
    asked.clear()
    pd.testing.assert_frame_equal(other[["id", "status"]].to_pandas(), expected[["id", "status"]])
    assert not asked
    pd.testing.assert_frame_equal(other.to_pandas(), expected)
    pd.testing.assert_frame_equal(other.iloc[::2].to_pandas(), expected.iloc[::2].reset_index(drop=True))
    last = other.iloc[len(frame) - 1]
    assert (last["bucket"], last["id"]) == (f"b{len(frame) - 1}", frame["id"].iloc[-1])
    assert "bucket" in other
    assert "colour" not in other


def test_columns_as_arrays_are_those_of_the_frame(both: Any) -> None:
    frame, other = both([2, 0, 1, 1, 0, 2, 2], 3)
    one, spread_one = Columns(frame, 1.5), SpreadColumns(other, 1.5)
    assert spread_one.codes("direction")[0].tolist() == one.codes("direction")[0].tolist()
    assert spread_one.codes("direction")[1] == one.codes("direction")[1]
    assert (spread_one.instants("started_at") == one.instants("started_at")).all()
    assert spread_one.text("from_number").equals(one.text("from_number"))
    assert spread_one.show_fractions("ended_at") == one.show_fractions("ended_at")


def test_a_column_that_is_not_there_is_a_key_error(both: Any) -> None:
    _, other = both([0, 1], 2)
    with pytest.raises(KeyError, match="colour"):
        other["colour"]
    with pytest.raises(ValueError, match="drop=True"):
        other.reset_index(drop=False)
    assert repr(other) == "<SpreadFrame: 2 rows x 14 columns in 2 parts>"
