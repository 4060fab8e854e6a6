"""Lay a dry run out as the sheets of a workbook, in which a person says of every change yes or no.

Input are the plain facts of a plan; output are the sheets, a function of the facts
alone: `Plan.keep_reviewed` lays them out once more to find what somebody changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import mask_text, plural
from sippet_reconcile._version import __version__
from sippet_reconcile.report.columns import source_lines
from sippet_reconcile.report.dry_run.facts import DryRunFacts, summary_of, verdict_of
from sippet_reconcile.report.dry_run.money_sheet import money_line, money_sheet
from sippet_reconcile.report.durations import signed_in_words
from sippet_reconcile.report.section import NUMBER_COLUMNS
from sippet_reconcile.report.workbook import Cells, SheetColumn, WorkbookSheet, write_workbook

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "APPROVE",
    "CALL",
    "CHANGES_SHEET",
    "MONEY",
    "NOTE",
    "NUMBERS",
    "PLAN_ID",
    "WRITTEN_BY",
    "review_sheets",
    "write_review",
]

CHANGES_SHEET: Final = "changes"
"""The sheet that is answered in."""

APPROVE, NOTE = "approve", "note"
"""The heads of the two columns that are the reviewer's own."""

CALL: Final = "call"
"""The head of the column that says which call a row is of."""

PLAN_ID, NUMBERS, WRITTEN_BY = "plan id", "numbers", "written by"
"""Labels on the summary by which a workbook tells which plan it is of, whether numbers are masked, and who wrote it."""

MONEY: Final = "money"
"""The label on the summary that tells of the sheet of money, and of its check."""

_MASKED, _IN_FULL = "masked", "in full"
_NUMBER_COLUMNS: Final = frozenset({*NUMBER_COLUMNS, "from_e164", "to_e164"})
_UTC: Final = " (UTC)"

_HOW: Final = (
    "On the sheet “changes”, write yes or no beside every change, and a note where you want to be remembered: "
    "only a call all of whose rows say yes is kept.",
    "Sort, filter, hide and move whole rows as you like, never the answers alone: they would stand beside other changes, "
    "and nobody could tell. Change no other cell and delete no row: that is refused, by name.",
    "Save it and hand it back: plan.keep_reviewed(path), or sippet-reconcile plan PLAN --reviewed FILE --out SMALLER, "
    "makes the plan of what you said yes to, which is then approved and applied.",
)
_HINT: Final = "Write yes to make this change. Anything else leaves the whole call as it is. A call needs yes in all of its rows."
_WIDE: Final = {
    "call": 37, "cause": 28, "reason": 50, "CDR lines": 30, "what was seen": 70, "what to do": 60, "what is wrong": 50,
    "examples": 60, "before": 28, "after": 28, "field": 17, "user": 18, "the API says": 22, "the CDR says": 22,
    "CDR id": 30, "cause or standing": 34,
}  # fmt: skip
_WRAPPED: Final = frozenset({"what was seen", "what to do", "examples"})
_HEADS: Final = {
    "call_id": CALL,
    "delta_s": "change (s)",
    "explanation": "cause",
    "match_rule": "matched by",
    "from_number": "from",
    "to_number": "to",
    "sip_username": "user",
    "sources": "CDR lines",
    "started_at": "started",
    "started_at_cdr": "CDR start",
    "answered_at_cdr": "CDR answer",
    "ended_at_cdr": "CDR end",
    "total_s_cdr": "CDR total (s)",
    "billable_s_cdr": "CDR billable (s)",
    "status_cdr": "CDR status",
    "n_legs_cdr": "CDR legs",
    "call_uuid": "call uuid",
    "code": "finding",
    "message": "what was seen",
    "advice": "what to do",
    "is_corrected": "corrected",
    "n_calls": "calls",
    "before_s": "before (s)",
    "change_s": "change (s)",
    "after_s": "after (s)",
    "seconds": "talk (s)",
    "what": "what is wrong",
    "value_call": "the API says",
    "value_cdr": "the CDR says",
    "cdr_id": "CDR id",
    "from_e164": "from (E.164)",
    "to_e164": "to (E.164)",
}
_OF_CHANGES: Final = (
    "call_id", "field", "before", "after", "delta_s", "explanation", "reason", "match_rule", "started_at",
    "direction", "from_number", "to_number", "sip_username", "sources",
)  # fmt: skip
_OF_CDR: Final = (
    "started_at_cdr", "answered_at_cdr", "ended_at_cdr", "total_s_cdr", "billable_s_cdr", "status_cdr",
    "n_legs_cdr",
)  # fmt: skip


def write_review(facts: DryRunFacts, path: str | os.PathLike[str], *, mask: bool = True) -> Path:
    """Write the workbook in which a plan is reviewed; return its path."""
    return write_workbook(
        review_sheets(facts, mask=mask),
        path,
        title=f"Review of plan {facts.plan['short_id']}",
        created_at=facts.plan["created_at"].to_pydatetime(),
    )


def review_sheets(facts: DryRunFacts, *, mask: bool = True, worth: str = "") -> list[WorkbookSheet]:
    """Return the sheets of the workbook in which a plan is reviewed.

    But for the sheet of money, and the line about it, they depend on the content of the plan alone: not on a
    rate card, its approvals, or the pace of the forecast.

    Parameters
    ----------
    facts
        The plain facts of the plan.
    mask
        Whether numbers of phones are masked.
    worth
        What the summary tells of the sheet of money, where the facts have no money to tell it from.
    """
    money = [] if facts.money is None else [money_sheet(facts.money, facts.plan["plan_id"], mask=mask)]
    worth = money_line(money[0]) if money else worth
    facts = replace(facts, rate_text="5/s", rate_per_s=5.0, approvals=facts.approvals.iloc[:0], money=None)
    findings = facts.findings.loc[:, ["severity", "code", "message", "advice"]]
    disputes = facts.not_patchable if facts.disputes.empty else _disputes(facts.disputes)
    return [
        _summary(facts, worth, mask=mask),
        _changes(facts, mask=mask),
        _plain_sheet("findings", findings, mask=mask),
        _plain_sheet("ledger", _yes_no(facts.ledger), mask=mask, heads={"explanation": "cause or standing"}),
        *money,
        _plain_sheet("left out", facts.left_out, mask=mask),
        _plain_sheet("disputes", disputes, mask=mask),
    ]


def _summary(facts: DryRunFacts, worth: str, *, mask: bool) -> WorkbookSheet:
    summary, plan = summary_of(facts), facts.plan
    lines: dict[str, object] = {
        "review of": f"plan {plan['short_id']} ({plan['kind']})",
        "verdict": verdict_of(summary, facts)[0],
        "how to review": _HOW[0],
        "what not to do": _HOW[1],
        "and then": _HOW[2],
        "calls": f"{summary['calls']:,}",
        "changes": f"{summary['changes']:,}",
        "net duration": signed_in_words(float(str(summary["net_s"]))),
        "left out, wholly or in part": plural(int(str(summary["left_out_calls"])), "call"),
        MONEY: worth,
        "accepted findings": ", ".join(plan["accept"]),
        "period": plan["period"],
        "API": plan["api_url"],
        "reverts run": plan["reverts_run_id"],
        "created at": plan["created_at"].tz_convert("UTC").strftime("%Y-%m-%d %H:%M:%S UTC"),
        "instants": "UTC, in every column and text",
        NUMBERS: _MASKED if mask else _IN_FULL,
        PLAN_ID: plan["plan_id"],
        WRITTEN_BY: f"sippet-reconcile {__version__}",
    }
    told = {label: text for label, text in lines.items() if text not in (None, "")}
    frame = pd.DataFrame(
        {"what": list(told), "told": [mask_text(str(text)) if mask else str(text) for text in told.values()]},
        dtype="str",
    )
    columns = [SheetColumn("what", "", width=28), SheetColumn("told", "", width=100, is_wrapped=True)]
    return WorkbookSheet("summary", columns, frame, has_heads=False, key=("what",))


def _changes(facts: DryRunFacts, *, mask: bool) -> WorkbookSheet:
    changes = facts.changes
    # The rows of a call stand together, whoever made the plan.
    rows = changes.iloc[np.argsort(pd.factorize(changes["call_id"])[0], kind="stable")].reset_index(drop=True)
    calls = facts.calls if "call_id" in facts.calls else pd.DataFrame({"call_id": pd.Series(dtype="str")})
    known = (
        calls.drop_duplicates("call_id").set_index("call_id").reindex(rows["call_id"]).reset_index(drop=True)
    )
    first = source_lines(rows)
    rows = rows.assign(sources=known["sources"].fillna(first) if "sources" in known else first)
    evidence = {name: known[name] for name in _OF_CDR if name in known and known[name].notna().any()}
    # A revert knows of a call what the audit log holds: what no row tells is no column.
    names = [
        name
        for name in _OF_CHANGES
        if name in ("call_id", "field", "before", "after") or rows[name].notna().any()
    ]
    shown = rows.loc[:, names].assign(**evidence)
    answers = [
        SheetColumn("", APPROVE, Cells.ANSWER, width=13, choices=("yes", "no"), hint=_HINT),
        SheetColumn("", NOTE, Cells.ANSWER, width=32),
    ]
    return WorkbookSheet(
        CHANGES_SHEET,
        [*answers, *_columns(shown, mask=mask)],
        shown,
        group_by="call_id",
        key=("call_id", "field"),
        frozen=len(answers),
        hides_numbers=mask,
    )


def _disputes(disputes: pd.DataFrame) -> pd.DataFrame:
    """Return the disputes with one column of evidence."""
    rows = disputes.assign(sources=source_lines(disputes))
    return rows.drop(columns=["source_file", "source_row"])


def _yes_no(ledger: pd.DataFrame) -> pd.DataFrame:
    if "is_corrected" not in ledger:
        return ledger
    return ledger.assign(is_corrected=ledger["is_corrected"].map({True: "yes", False: "no"}).astype("str"))


def _plain_sheet(
    name: str, frame: pd.DataFrame, *, mask: bool, heads: dict[str, str] | None = None
) -> WorkbookSheet:
    columns = list(_columns(frame, mask=mask, heads=heads or {}))
    return WorkbookSheet(name, columns, frame, hides_numbers=mask)


def _columns(
    frame: pd.DataFrame, *, mask: bool, heads: dict[str, str] | None = None
) -> Iterable[SheetColumn]:
    """Yield what the columns of a frame are in a sheet; the heads tell the zone, and what is masked."""
    for name in map(str, frame.columns):
        head = (heads or {}).get(name) or _HEADS.get(name) or name.replace("_", " ")
        kind = _kind_of(frame[name])
        is_phone = name in _NUMBER_COLUMNS
        is_masked = mask and is_phone
        width = 20 if kind is Cells.INSTANT else 12 if kind is Cells.NUMBER else _WIDE.get(head, 16)
        yield SheetColumn(
            name,
            head + (_UTC if kind is Cells.INSTANT else f" ({_MASKED})" if is_masked else ""),
            kind,
            width=max(width, 18) if is_masked else width,
            is_phone=is_phone,
            is_masked=is_masked,
            is_signed=name in ("delta_s", "change_s"),
            is_wrapped=head in _WRAPPED,
        )


def _kind_of(column: pd.Series[Any]) -> Cells:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return Cells.INSTANT
    is_number = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    return Cells.NUMBER if is_number else Cells.TEXT
