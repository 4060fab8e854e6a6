"""Frames have the promised types, empty or full, and a wrong one is named column by column."""

from __future__ import annotations

import pandas as pd
import pytest

from sippet_reconcile import schema
from sippet_reconcile.errors import SchemaError
from sippet_reconcile.schema import (
    CALLS,
    CHANGES,
    DISCREPANCIES,
    LEGS,
    PAIRS,
    arrow_to_frame,
    check_frame,
    conform,
    take,
)

ALL = [LEGS, CALLS, PAIRS, DISCREPANCIES, CHANGES]


@pytest.mark.parametrize("frame_schema", ALL, ids=lambda s: s.name)
def test_an_empty_frame_has_the_types_of_a_full_one(frame_schema: schema.FrameSchema) -> None:
    check_frame(frame_schema.empty(), frame_schema)
    through_arrow = arrow_to_frame(frame_schema.arrow.empty_table(), frame_schema)
    check_frame(through_arrow, frame_schema)


@pytest.mark.parametrize("frame_schema", ALL, ids=lambda s: s.name)
def test_parquet_keeps_every_type(frame_schema: schema.FrameSchema, tmp_path: object) -> None:
    path = f"{tmp_path}/frame.parquet"
    frame_schema.empty().to_parquet(path)
    check_frame(pd.read_parquet(path), frame_schema)


def test_every_broken_column_is_named_at_once() -> None:
    frame = CALLS.empty().drop(columns=["status"]).assign(duration_seconds=pd.Series([], dtype="float64"))
    with pytest.raises(SchemaError, match=r"status \(.*duration_seconds \(") as caught:
        check_frame(frame, CALLS)
    assert caught.value.failures is not None
    assert caught.value.failures["column"].tolist() == ["status", "duration_seconds"]


def test_conform_makes_only_casts_that_lose_nothing_and_leaves_the_input() -> None:
    frame = pd.DataFrame(
        {
            **{name: pd.Series(["x"], dtype="object") for name in CALLS.names},
            "started_at": pd.Series(pd.to_datetime(["2026-10-01T10:00+02:00"])),
            "ended_at": [None],
            "fetched_at": pd.Series(pd.to_datetime(["2026-10-01"], utc=True)).dt.as_unit("ns"),
            "duration_seconds": [60],
            "extra": ["kept"],
        }
    ).set_axis([7])
    before = frame.copy(deep=True)
    calls = conform(frame, CALLS)
    check_frame(calls, CALLS)
    assert calls["started_at"].iloc[0] == pd.Timestamp("2026-10-01T08:00Z")
    assert calls["extra"].tolist() == ["kept"]
    assert calls.index.tolist() == [7]
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    "bad",
    [
        {"started_at": pd.Series(pd.to_datetime(["2026-10-01"]))},
        {"duration_seconds": pd.Series([1.5])},
        {"from_number": pd.Series([442079460123])},
    ],
    ids=["naive instants", "fractional seconds", "numbers as numbers"],
)
def test_conform_refuses_what_it_would_have_to_guess(bad: dict[str, pd.Series]) -> None:
    frame = CALLS.empty().reindex([0]).assign(**bad)
    with pytest.raises(SchemaError, match=next(iter(bad))):
        conform(frame, CALLS)


def test_taking_position_minus_one_gives_a_missing_row_of_the_same_types() -> None:
    calls = CALLS.empty().reindex([3, 4]).assign(id=pd.Series(["a", "b"], dtype="str", index=[3, 4]))
    taken = take(calls, ["id", "duration_seconds", "started_at"], [1, -1, 0])
    assert taken["id"].isna().tolist() == [False, True, False]
    assert taken["id"].tolist()[::2] == ["b", "a"]
    assert taken.dtypes.astype(str).tolist() == ["str", "Int64", "datetime64[us, UTC]"]
