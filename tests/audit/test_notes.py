"""What records hold as JSON is an object, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sippet_reconcile.audit.notes import json_names, json_object
from sippet_reconcile.errors import AuditError

JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(value=JSON)
def test_the_names_of_an_object_are_its_own_and_an_array_has_none(value):
    text = json.dumps(value)
    if isinstance(value, dict):
        assert json_names(text, "it") == tuple(value)
        assert json_object(text, "it") == value
    else:
        for read in (json_names, json_object):
            with pytest.raises(AuditError, match="no JSON object"):
                read(text, "it")


@pytest.mark.parametrize(
    "text", [None, "", "{", '{"a":1}x', "[" * 100_000], ids=["missing", "empty", "cut", "more", "deep"]
)
def test_what_is_no_json_at_all_is_refused_with_what_to_do(text):
    for read in (json_names, json_object):
        with pytest.raises(AuditError, match=r"restore the log from a backup"):
            read(text, "the note of run r")
