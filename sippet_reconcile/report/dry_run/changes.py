"""Lay out every change, call by call, with the evidence for it.

Input are the plain facts of a plan; output is a section of its dry run. A report holds
the most significant calls, each with all of its changes, and says where the others are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.report.bounds import most_significant
from sippet_reconcile.report.columns import CALL_HEADS, source_lines, utc_texts
from sippet_reconcile.report.dry_run.facts import DryRunFacts
from sippet_reconcile.report.page import MAX_HTML_ROWS
from sippet_reconcile.report.section import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["changes_section"]

_OF_CHANGE: Final = ("field", "before", "after", "delta_s", "explanation")
# What stands further to the right than a window is wide is who called whom, not what would change and why.
_FURTHER: Final = ("from_number", "to_number", "direction", "sip_username", "source")
_HEADS: Final[Mapping[str, str]] = {
    **CALL_HEADS,
    "delta_s": "change (s)",
    "note": "reviewer's note",
    "source": "CDR line",
    "started_at_call": "API: started",
    "ended_at_call": "API: ended",
    "duration_seconds_call": "API: duration (s)",
    "status_call": "API: status",
    "call_source_call": "API: source",
}
_EVIDENCE: Final = (
    "note", "sources", "match_rule", "confidence", "n_legs_cdr",
    "started_at_call", "started_at_cdr", "ended_at_call", "ended_at_cdr",
    "duration_seconds_call", "billable_s_cdr", "total_s_cdr", "answered_at_cdr",
    "status_call", "status_cdr", "call_source_call", "call_uuid",
)  # fmt: skip


def changes_section(facts: DryRunFacts) -> Section | None:
    """Return the section that tells every change, the largest first; None where there is nothing to tell."""
    changes = facts.changes
    if changes.empty:
        return None
    dash = " A dash is no value." if changes[["before", "after"]].isna().any(axis=None) else ""
    rows = changes.iloc[most_significant(changes, MAX_HTML_ROWS)].reset_index(drop=True)
    # Views without evidence to unfold, a terminal's, have the line of the first leg at least.
    rows = rows.assign(source=source_lines(rows))
    calls = rows.drop_duplicates("call_id").reset_index(drop=True)
    # A revert knows of a call what the audit log holds: what no row tells is no column.
    first, further = (
        [name for name in names if rows[name].notna().any()] for names in (("started_at",), _FURTHER)
    )
    # How calls were matched is a column only where it tells them apart; the evidence has it in any case.
    further += ["match_rule"] if len(rows["match_rule"].unique()) > 1 else []
    change = [name for name in _OF_CHANGE if name != "delta_s" or rows[name].notna().any()]
    if facts.plan["kind"] != "reconciliation":
        change.remove("explanation")  # it says the same of every change: that a person asked for it
    starts = utc_texts(rows["started_at"].dt.floor("s"))
    shown = rows.assign(started_at=starts).loc[:, [*first, *change, *further, "call_id"]]
    once = [name for name in [*first, *further, "call_id"] if _is_of_the_call(shown, name)]
    return Section(
        "The changes",
        _intro(changes, rows, len(calls)) + dash,
        shown,
        is_searchable=True,
        filters=["field", "explanation", "match_rule", "direction"],
        heads=_HEADS,
        signed=["delta_s"],
        group_by="call_id",
        once=once,
        evidence=_evidence(facts, calls),
    )


def _is_of_the_call(rows: pd.DataFrame, name: str) -> bool:
    """Tell whether a column says the same in all rows of a call; rows of a call stand together."""
    calls, values = (pd.factorize(rows[column])[0] for column in ("call_id", name))
    return bool(((calls[1:] != calls[:-1]) | (values[1:] == values[:-1])).all())


def _intro(changes: pd.DataFrame, rows: pd.DataFrame, n_calls: int) -> str:
    told = (
        "Call by call: the largest change of duration first, then, in the order of the plan, the calls whose duration "
        "stays. Before and after are as the API writes them, all times are UTC; what proves a change unfolds under its call."
    )
    if len(rows) == len(changes):
        return told
    all_calls = int(changes["call_id"].nunique())
    return (
        f"{told} Here are the first {plural(n_calls, 'call')} with {plural(len(rows), 'change')}, of "
        f"{plural(all_calls, 'call')} with {plural(len(changes), 'change')}: the saved plan (plan.changes) and its "
        "workbook have all of them."
    )


def _evidence(facts: DryRunFacts, calls: pd.DataFrame) -> pd.DataFrame | None:
    """Return what is known of each call on both sides, one row per call in their order; None where nothing is.

    What nothing tells is no column.
    """
    known = facts.calls
    if known.empty:
        both = pd.DataFrame(index=calls.index)
    else:
        both = (
            known.drop_duplicates("call_id")
            .set_index("call_id")
            .reindex(calls["call_id"])
            .reset_index(drop=True)
        )
        both = both.rename(
            columns={
                name: f"{name}_call"
                for name in ("started_at", "ended_at", "duration_seconds", "status", "call_source")
            }
        )
    sources = both["sources"].fillna(calls["source"]) if "sources" in both else calls["source"]
    notes = calls["call_id"].map(facts.plan["selection"].get("review", {}).get("notes", {})).astype("str")
    both = both.assign(
        note=notes, sources=sources, match_rule=calls["match_rule"], call_uuid=calls["call_uuid"]
    )
    told = both.loc[:, [name for name in _EVIDENCE if name in both and both[name].notna().any()]]
    if told.empty:
        return None
    instants = [name for name in told if isinstance(told[name].dtype, pd.DatetimeTZDtype)]
    return told.assign(**{str(name): utc_texts(told[name]) for name in instants})
