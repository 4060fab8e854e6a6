"""The exact match and compare of `reconcile` alone: what a join with a filter does, and no more.

Both sides are prepared: frames conformed, nothing to be set aside, legs reduced to CDR calls.
What is timed brings ids of any spelling into one form, groups legs by them, pairs what shares
one, strictly one-to-one, compares duration, status and end under the rules, and returns the
calls that differ with both values. What `reconcile` adds is all else that it says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.cases.comparers import differing
from tests.benchmarks.cases.ours import load_sides
from tests.benchmarks.names import COMPARED

if TYPE_CHECKING:
    from tests.benchmarks.case import Step

__all__ = ["load_kernel", "told_by_kernel"]


def load_kernel(folder: Path) -> Step:
    """Prepare both sides, and return the step."""
    import numpy as np

    import sippet_reconcile as sr
    from sippet_reconcile.reconciliation.comparing.common import Common
    from sippet_reconcile.reconciliation.comparing.compare import stand_in
    from sippet_reconcile.reconciliation.comparing.fields import fields_of
    from sippet_reconcile.reconciliation.comparing.standing import Standing
    from sippet_reconcile.reconciliation.core import at_once
    from sippet_reconcile.reconciliation.matching.by_id import call_keys, leg_keys, match_by_ids, name_calls
    from sippet_reconcile.reconciliation.matching.legs import group_by_id, group_legs
    from sippet_reconcile.reconciliation.preparing import prepare
    from sippet_reconcile.reconciliation.sides import Sides
    from sippet_reconcile.schema import CALLS, LEGS, conform, text_array

    legs, calls = load_sides(folder)
    rules = sr.Rules(duration="billable")
    ready = prepare(conform(legs, LEGS), conform(calls, CALLS))
    calls, cdr_calls = ready.calls, ready.cdr_calls
    call_key, linked_id = text_array(legs["call_key"]), text_array(legs["linked_id"])
    usable = np.ones(len(calls), np.bool_)

    def group() -> Any:
        ids = leg_keys(call_key, linked_id)
        return ids, group_by_id(ids.linked, ids.key)

    def step() -> Any:
        # Both sides at the same time, as `prepare` does.
        (ids, first), (keys, lookup) = at_once(group, lambda: call_keys(calls, usable))
        named, linked_named = name_calls(lookup, ids)
        groups = group_legs(first, named, linked_named)
        found = match_by_ids(calls, groups=groups, keys=keys, legs=ids, linked_named=linked_named)
        sides = Sides.of(calls, cdr_calls, found.pairs, rules)
        fields = fields_of(sides, Common.of(sides), rules, COMPARED)
        stand = stand_in(sides, fields)
        rows = {name: sides.at(stand[name].rows(Standing.DIFFERS)) for name in COMPARED}
        return len(sides), {
            name: (at.call_text("id"), at.call_text("call_uuid"), fields[name].write(at))
            for name, at in rows.items()
        }

    return step


def told_by_kernel(result: Any) -> dict[str, Any]:
    """Return what the kernel found, as `told_by` does of `reconcile`."""
    n_pairs, rows = result
    ids = {name: rows[name][1].to_pylist() for name in COMPARED}
    return {**differing(ids), "keyed_pairs": n_pairs, "other_fields": []}
