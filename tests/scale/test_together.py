"""Rows that share an id, by whatever way, get one number; what is not joined gets its own."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.scale.together import ids_of_calls, ids_of_legs, join_ids
from sippet_reconcile.schema import CALLS, LEGS

ID = st.sampled_from([None, "a", "b", "c", "d", "E", "e", "f-1", "f1"])
LEG = st.tuples(ID, ID)
CALL = st.tuples(st.sampled_from([None, "1", "2", "3"]), ID, ID)


def frame_of(schema: Any, **columns: list[Any]) -> pd.DataFrame:
    size = len(next(iter(columns.values())))
    rows = {c.name: pd.Series([None] * size, dtype=c.kind.value) for c in schema.columns}
    return pd.DataFrame(
        {**rows, **{name: pd.Series(values, dtype="str") for name, values in columns.items()}}
    )


def plain(text: str | None) -> str | None:
    return None if text is None else text.lower().replace("-", "")


def walked(legs: list[Any], calls: list[Any]) -> list[int]:
    """Number the rows as somebody does who walks from row to row by what they share."""
    rows = [{("id", plain(one)) for one in leg if one} for leg in legs]
    rows += [
        {("id", plain(one)) for one in (uuid, talk) if one} | ({("call", call)} if call else set())
        for call, uuid, talk in calls
    ]
    numbers = [-1] * len(rows)
    for start in range(len(rows)):
        if numbers[start] >= 0:
            continue
        reached, waiting = set(rows[start]), [start]
        while waiting:
            row = waiting.pop()
            numbers[row] = start
            reached |= rows[row]
            waiting += [
                other
                for other in range(len(rows))
                if numbers[other] < 0 and rows[other] & reached and other not in waiting
            ]
    return numbers


@settings(max_examples=60, deadline=None)
@given(st.lists(LEG, max_size=8), st.lists(CALL, max_size=8), st.integers(1, 3))
def test_whoever_walks_by_shared_ids_finds_the_same_rows_together(
    legs: Any, calls: Any, n_parts: int
) -> None:
    leg_frame = frame_of(LEGS, call_key=[key for key, _ in legs], linked_id=[link for _, link in legs])
    leg_frame["record_hash"] = pd.Series(range(1, len(legs) + 1), dtype=leg_frame["record_hash"].dtype)
    call_frame = frame_of(
        CALLS,
        id=[call for call, _, _ in calls],
        call_uuid=[uuid for _, uuid, _ in calls],
        conversation_id=[talk for _, _, talk in calls],
    )
    parts = [ids_of_legs(leg_frame.iloc[n::n_parts]) for n in range(n_parts)]
    parts += [ids_of_calls(call_frame.iloc[n::n_parts]) for n in range(n_parts)]
    joined = join_ids(parts)
    found = np.concatenate([joined.of(ids_of_legs(leg_frame).own), joined.of(ids_of_calls(call_frame).own)])
    groups = defaultdict(set)
    for row, number in enumerate(walked(legs, calls)):
        groups[number].add(int(found[row]))
    assert all(len(labels) == 1 for labels in groups.values())
    # Two that nothing joins may lie together only by chance; rows without any id are many to a number.
    has_id = [any(leg) for leg in legs] + [any(call) for call in calls]
    labels = [next(iter(groups[number])) for number in groups if has_id[number]]
    assert len(labels) == len(set(labels))


def test_copies_of_a_leg_without_any_id_lie_together() -> None:
    legs = frame_of(LEGS, source_file=["a.csv", "b.csv", "a.csv"])
    legs["record_hash"] = pd.Series([7, 7, 8], dtype=legs["record_hash"].dtype)
    one, other, third = ids_of_legs(legs).own.tolist()
    assert one == other != third


def test_legs_that_nothing_tells_apart_are_spread_by_their_places() -> None:
    legs = frame_of(LEGS, source_file=["a.csv", "a.csv", "b.csv"])
    legs["source_row"] = pd.Series([1, 2, 1], dtype=legs["source_row"].dtype)
    assert len(set(ids_of_legs(legs).own.tolist())) == 3
