"""The quick way to a record's canonical text gives the very text that its hash is made from."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.audit.canonical import canonical_texts
from sippet_reconcile.audit.chaining import chained_table
from sippet_reconcile.audit.records import (
    ARROW,
    GENESIS,
    Entry,
    Event,
    Outcome,
    canonical_json,
    chain,
    table_of_records,
)

AT = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given a zone
TEXTS = (
    st.none()
    | st.text(st.characters())
    | st.sampled_from(
        ["", '"', "\\", "\\n", "\x7f", "\n", "é", "\U0001f600", "null", "a\u2028", "\ud83d", "é\udc00\x00"]
    )
)
ENTRIES = st.builds(
    Entry,
    event=st.sampled_from(Event),
    at=AT,
    run_id=st.text(),
    plan_id=st.text(),
    api_url=st.just("https://api.example"),
    outcome=st.none() | st.sampled_from(Outcome),
    http_status=st.none() | st.integers(-(2**63), 2**63 - 1),
    **dict.fromkeys(("call_id", "before", "after", "error_detail", "reason", "by", "note"), TEXTS),
)


@settings(deadline=None)
@given(entries=st.lists(ENTRIES, max_size=8))
def test_the_canonical_texts_of_a_table_are_those_of_its_records_one_by_one(entries):
    records = chain(entries, seq=0, head=GENESIS)
    texts = canonical_texts(table_of_records(records)).to_pylist()
    assert texts == [canonical_json(record) for record in records]


@settings(deadline=None)
@given(entries=st.lists(ENTRIES, min_size=1, max_size=8), seq=st.integers(0, 10**12), head=st.just("c" * 64))
def test_entries_chained_as_a_table_are_the_records_chained_one_by_one(entries, seq, head):
    expected = table_of_records(chain(entries, seq=seq, head=head))
    found = chained_table(entries, seq=seq, head=head)
    assert found.schema.equals(expected.schema, check_metadata=True)
    assert found.equals(expected)


def test_a_table_without_records_has_no_texts():
    assert canonical_texts(ARROW.empty_table()).to_pylist() == []
