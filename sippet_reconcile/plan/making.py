"""Settle the content of a plan from changes that are decided, and take calls out of it again.

Input are changes and what is known of their calls, or the content of a plan and the
calls to keep; output is a `Content`: checked, in plan order, spelled as the API does,
with a ledger that ties out. Nothing else makes the content of a plan.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.errors import PlanError
from sippet_reconcile.plan.content import KINDS, SCHEMA_VERSION, Content
from sippet_reconcile.plan.frames import (
    DISPUTES,
    FINDINGS,
    LEDGER,
    LEFT_OUT,
    NOT_PATCHABLE,
    PLAN_CALLS,
    canonical_json,
    is_among,
    tidy_frame,
    to_schema,
)
from sippet_reconcile.plan.ledgers import ledger_of_changes, without
from sippet_reconcile.plan.order import in_plan_order
from sippet_reconcile.plan.touched import calls_in_order, calls_of_changes, starts_of
from sippet_reconcile.plan.validation import check_changes, unwritable
from sippet_reconcile.plan.whole_record import judge_calls
from sippet_reconcile.reconciliation.rollup import phrase_of
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.schema import CHANGES, conform

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["content_from_changes", "content_of_calls"]

NOT_RESTORABLE: Final = "the value that was there before is not one that may be written"
"""The reason of what a revert cannot put back."""

DROPPED: Final = "dropped in review"
"""The reason of what a smaller plan leaves out."""


def content_from_changes(
    changes: pd.DataFrame,
    *,
    calls: pd.DataFrame | None,
    left_out: pd.DataFrame | None,
    ledger: pd.DataFrame | None,
    findings: pd.DataFrame | None,
    balance: pd.DataFrame | None,
    not_patchable: pd.DataFrame | None,
    disputes: pd.DataFrame | None,
    plain: Mapping[str, Any],
) -> Content:
    """Return the content of the plan that makes these changes.

    Parameters
    ----------
    changes, calls, left_out, ledger, findings, balance, not_patchable, disputes
        As for `Plan.from_changes`.
    plain
        As in `Content`, without ``phrases`` and ``schema_version``.

    Raises
    ------
    PlanError
        If a change could never be sent as it stands, or would leave its call inconsistent.
    """
    kind = plain["kind"]
    if kind not in KINDS:
        msg = f"kind {kind!r} is not one of {', '.join(KINDS)}"
        raise PlanError(msg)
    is_revert = kind == "revert"
    if is_revert != (plain["reverts_run_id"] is not None):
        msg = "a revert names the run it undoes (reverts_run_id), and no other plan does"
        raise PlanError(msg)
    rows = _as_the_api_spells(to_schema(conform(changes, CHANGES), CHANGES))
    known = _as_the_api_spells(to_schema(calls_of_changes(rows) if calls is None else calls, PLAN_CALLS))
    left = _as_the_api_spells(to_schema(LEFT_OUT.empty() if left_out is None else left_out, LEFT_OUT))
    if is_revert:
        # What a run replaced may have been such that nobody may write it, a negative duration, say.
        lost = unwritable(rows)
        left = pd.concat(
            [left, to_schema(rows.loc[lost].assign(reason=NOT_RESTORABLE), LEFT_OUT)], ignore_index=True
        )
        rows = rows.loc[~lost].reset_index(drop=True)
    check_changes(rows, None if calls is None else known, kind=kind)
    rows = in_plan_order(rows, starts_of(rows, known))
    content = Content(
        changes=rows,
        calls=calls_in_order(known, rows),
        left_out=left,
        ledger=to_schema(ledger_of_changes(rows) if ledger is None else ledger, LEDGER),
        findings=to_schema(FINDINGS.empty() if findings is None else findings, FINDINGS),
        balance=tidy_frame(pd.DataFrame() if balance is None else balance),
        not_patchable=to_schema(
            NOT_PATCHABLE.empty() if not_patchable is None else not_patchable, NOT_PATCHABLE
        ),
        disputes=to_schema(DISPUTES.empty() if disputes is None else disputes, DISPUTES),
        plain=_as_saved({**plain, "phrases": _phrases_of(rows, kind), "schema_version": SCHEMA_VERSION}),
    )
    if not is_revert:
        _refuse_broken_records(content)
    return content


def _phrases_of(changes: pd.DataFrame, kind: str) -> dict[str, list[str]]:
    """Return how a sentence about one, or about several, changes of each cause goes on.

    They are part of the plan, so that it reads alike where an explanation of its own is unknown.
    """
    causes = changes["explanation"].dropna().unique() if kind == "reconciliation" else ()
    return {str(cause): [phrase_of(str(cause), n) for n in (1, 2)] for cause in causes}


def _refuse_broken_records(content: Content) -> None:
    """Stop a plan whose maker forgot the whole-record rule; the makers leave such calls out."""
    broken = judge_calls(content.changes, content.calls, Rules.from_dict(content.plain["rules"]))
    if len(broken):
        msg = (
            f"{plural(len(broken), 'call')} would be inconsistent once corrected, such as {broken.index[0]}: "
            f"{broken.iloc[0]}; leave them out"
        )
        raise PlanError(msg)


def content_of_calls(content: Content, kept: pd.Series[bool]) -> Content:
    """Return the content of the plan of some of the calls.

    Parameters
    ----------
    content
        Of the whole plan.
    kept
        A mask over the rows of its calls.
    """
    calls = content.calls.loc[kept.to_numpy()].reset_index(drop=True)
    stays = is_among(content.changes["call_id"], calls["call_id"])
    gone = content.changes.loc[~stays]
    left = to_schema(gone.assign(reason=DROPPED), LEFT_OUT)
    changes = content.changes.loc[stays].reset_index(drop=True)
    changes = in_plan_order(changes, starts_of(changes, calls))
    return replace(
        content,
        changes=changes,
        calls=calls_in_order(calls, changes),
        left_out=pd.concat([content.left_out, left], ignore_index=True) if len(left) else content.left_out,
        ledger=without(content.ledger, gone),
    )


def _as_the_api_spells(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows with ids in lower case, as the API answers them: spelled otherwise, a call would pass for missing."""
    return frame.assign(call_id=frame["call_id"].str.lower())


def _as_saved(values: dict[str, Any]) -> dict[str, Any]:
    """Return plain values just as a saved plan gives them back, so that both print alike."""
    plain: dict[str, Any] = json.loads(canonical_json(values))
    return plain
