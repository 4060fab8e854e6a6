"""Properties: windows and sorts against brute force, and reading what was written."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.sandbox.filters import compile_filter
from sippet_reconcile.sandbox.instants import format_instant, parse_instant
from sippet_reconcile.sandbox.query import decode_query
from sippet_reconcile.sandbox.store import CallStore
from sippet_reconcile.schema import CALL_ATTRIBUTES

WORDS = {"status": ["busy", "failed"], "direction": ["inbound"]}
MICROS = st.integers(0, 50)
STARTS = st.lists(st.none() | MICROS, max_size=30)
quick = settings(max_examples=50, deadline=None)


def _store(starts):
    rows = [
        {
            **dict.fromkeys(CALL_ATTRIBUTES),
            "id": str(uuid.UUID(int=(number * 7919) % 1000)),
            "started_at": started,
            "duration_seconds": number % 3 or None,
            "status": "busy" if number % 2 else "failed",
        }
        for number, started in enumerate(starts)
    ]
    return rows, CallStore(rows)


def _text(micros):
    return format_instant(micros)


@quick
@given(STARTS, MICROS, MICROS, st.booleans())
def test_a_window_selects_what_comparing_each_call_selects(starts, low, high, is_sorted):
    rows, store = _store(starts)
    where = compile_filter({"started_at": {"gte": _text(low), "lt": _text(high)}, "status": "busy"}, WORDS)
    sort = [("started_at", False), ("id", False)] if is_sorted else []
    selected = [record.held["id"] for record in store.select(where, sort)]
    wanted = [
        row
        for row in rows
        if row["started_at"] is not None and low <= row["started_at"] < high and row["status"] == "busy"
    ]
    if is_sorted:
        wanted.sort(key=lambda row: (row["started_at"], row["id"]))
    assert selected == [row["id"] for row in wanted]


@quick
@given(STARTS, st.sampled_from(["started_at", "duration_seconds"]), st.booleans())
def test_a_sort_keeps_every_call_and_missing_values_at_their_end(starts, name, is_descending):
    _, store = _store(starts)
    where = compile_filter({}, WORDS)
    values = [record.held[name] for record in store.select(where, [(name, is_descending), ("id", False)])]
    present = [value for value in values if value is not None]
    missing = [None] * (len(values) - len(present))
    assert len(values) == len(starts)
    assert present == sorted(present, reverse=is_descending)
    assert values == (missing + present if is_descending else present + missing)


@quick
@given(STARTS, MICROS)
def test_not_and_its_filter_share_no_call_and_leave_only_missing_values(starts, bound):
    rows, store = _store(starts)
    inner = {"started_at": {"lt": _text(bound)}}

    def chosen(tree):
        return {record.held["id"] for record in store.select(compile_filter(tree, WORDS), [])}

    inside, outside = chosen(inner), chosen({"not": inner})
    assert not inside & outside
    assert inside | outside == {row["id"] for row in rows if row["started_at"] is not None}


@quick
@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_is_read_as_it_was_written(moment):
    micros = parse_instant(moment.isoformat())
    text = format_instant(micros)
    assert datetime.fromisoformat(text) == moment
    assert parse_instant(text) == micros
    assert micros - parse_instant(format_instant(micros, precision=0)) == moment.microsecond


@quick
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="[]"), min_size=1),
        st.text(st.characters(codec="utf-8")) | st.lists(st.text(st.characters(codec="utf-8")), min_size=1),
        max_size=4,
    )
)
def test_an_encoded_query_is_decoded_to_itself(params):
    pairs = []
    for name, value in params.items():
        for item in value if isinstance(value, list) else [value]:
            brackets = "%5B%5D" if isinstance(value, list) else ""
            pairs.append(f"{quote(name, safe='')}{brackets}={quote(item, safe='')}")
    assert decode_query("&".join(pairs)) == params
