"""Count what a reviewer of a plan asks first, and put the answer in words.

Input are the plain facts of a plan; output is the summary that every view of its dry
run starts from, and the verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from sippet_reconcile._display import joined, plural
from sippet_reconcile.report.dry_run.words import WRONG_VALUES, kinds_of_reasons
from sippet_reconcile.report.durations import in_words
from sippet_reconcile.report.money import money_sentence, money_summary
from sippet_reconcile.report.money_sums import MoneyFacts

__all__ = [
    "CALLS_PER_READ",
    "DryRunFacts",
    "approval_of",
    "beyond_patching",
    "counts_of",
    "summary_of",
    "verdict_of",
]

CALLS_PER_READ: Final = 50
"""Calls that one request reads again before they are corrected."""

_UNEXPLAINED: Final = "unexplained"
_LEADING: Final = 3


@dataclass(frozen=True, eq=False)
class DryRunFacts:
    """Everything the report is made from, as plain data.

    Attributes
    ----------
    plan
        ``plan_id``, ``short_id``, ``kind``, ``created_at``, ``api_url``, ``period`` (its
        label), ``span`` (the `Period` itself), ``n_compared``, ``reverts_run_id``,
        ``accept``, ``selection``.
    changes
        One row per change in plan order, with the columns of `schema.CHANGES` and
        ``started_at``, ``direction``, ``from_number``, ``to_number``, ``sip_username``.
    rate_text, rate_per_s
        The pace of the forecast.
    rules
        Plain values.
    approvals
        One row per approval: ``by``, ``at``, ``note``, ``plan_id``.
    calls
        What is known of each touched call, with the columns of `plan.frames.PLAN_CALLS`: the evidence.
    disputes
        The wrong calls and the unbilled CDR calls that no correction can settle, with the
        columns of `plan.frames.DISPUTES`; without any column where the plan kept none.
    phrases
        Cause to how a sentence about one, and about several, wrong values goes on.
    money
        What the plan is worth; None where no rate card was given.
    """

    plan: Mapping[str, Any]
    changes: pd.DataFrame
    left_out: pd.DataFrame
    ledger: pd.DataFrame
    findings: pd.DataFrame
    balance: pd.DataFrame
    not_patchable: pd.DataFrame
    approvals: pd.DataFrame
    rate_text: str
    rate_per_s: float
    rules: Mapping[str, object] = field(default_factory=dict)
    calls: pd.DataFrame = field(default_factory=pd.DataFrame)
    disputes: pd.DataFrame = field(default_factory=pd.DataFrame)
    phrases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    money: MoneyFacts | None = None

    @property
    def zone(self) -> str:
        """The zone in which people read the plan's period; UTC where it has none."""
        span = self.plan.get("span")
        return "UTC" if span is None else str(span.timezone)


def summary_of(facts: DryRunFacts) -> dict[str, object]:
    """Return calls, changes, seconds, requests and, with a rate card, money as plain values; amounts are decimals."""
    changes = facts.changes
    n_calls = int(changes["call_id"].nunique())
    n_reads = math.ceil(n_calls / CALLS_PER_READ)
    delta = changes["delta_s"].dropna()
    wrong, unbilled = beyond_patching(facts.not_patchable)
    return {
        "plan": facts.plan["short_id"],
        "kind": facts.plan["kind"],
        "calls": n_calls,
        "changes": len(changes),
        "calls_compared": facts.plan["n_compared"],
        "changes_by_field": counts_of(changes, "field"),
        "changes_by_explanation": counts_of(changes, "explanation"),
        "changes_by_match_rule": counts_of(changes, "match_rule"),
        "unexplained": int(changes["explanation"].eq(_UNEXPLAINED).sum()),
        "net_s": float(delta.sum()),
        "added_s": float(delta[delta > 0].sum()),
        "removed_s": float(delta[delta < 0].sum()),
        "left_out_calls": int(facts.left_out["call_id"].nunique()),
        "left_out": counts_of(
            facts.left_out.assign(reason=kinds_of_reasons(facts.left_out["reason"])), "reason"
        ),
        "not_patchable": _calls_by_what(wrong),
        "unbilled_calls": int(unbilled["n_calls"].sum()),
        "unbilled_s": float(unbilled["seconds"].sum()),
        "findings": counts_of(facts.findings, "severity"),
        "requests": n_calls + n_reads,
        "requests_patch": n_calls,
        "requests_read": n_reads,
        "rate": facts.rate_text,
        "minutes": round((n_calls + n_reads) / facts.rate_per_s / 60, 2),
        "approvals": len(facts.approvals),
        **({} if facts.money is None else {"money": money_summary(facts.money)}),
    }


def counts_of(frame: pd.DataFrame, column: str) -> dict[str, int]:
    """Return how often each value of a column occurs, the commonest first."""
    counts = frame[column].dropna().value_counts()
    return {
        str(name): int(n) for name, n in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    }


def beyond_patching(not_patchable: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of wrong values that no PATCH takes, and those of talk that no Call record bills."""
    rows = not_patchable.reindex(columns=["what", "explanation", "n_calls", "seconds", "examples"])
    has_seconds = rows["seconds"].notna()
    # What has seconds is of the CDR alone; without talk, nobody needs a bill.
    return rows.loc[~has_seconds], rows.loc[has_seconds & rows["seconds"].fillna(0).gt(0)]


def _calls_by_what(wrong: pd.DataFrame) -> dict[str, int]:
    """Return how many calls each kind of error that no PATCH takes has, the commonest first."""
    sums = wrong.groupby("what")["n_calls"].sum()
    return {str(name): int(n) for name, n in sorted(sums.items(), key=lambda item: (-item[1], str(item[0])))}


def _causes_in_words(facts: DryRunFacts) -> list[str]:
    """Say which causes lead, in calls, and how much nothing explains."""
    changes = facts.changes
    # One row per call and field, so rows of a field and cause are calls; a cause is told by its commonest field.
    counts = changes.groupby(["explanation", "field"], sort=True).size().rename("n").reset_index()
    counts = counts.sort_values("n", ascending=False, kind="stable").drop_duplicates("explanation")
    unexplained = int(changes["explanation"].eq(_UNEXPLAINED).sum())
    told: list[str] = []
    last = ""
    leading = counts.loc[counts["explanation"].ne(_UNEXPLAINED)].head(_LEADING)
    for cause, name, n in zip(leading["explanation"], leading["field"], leading["n"], strict=True):
        known = facts.phrases.get(cause, (f"is explained by {cause}", f"are explained by {cause}"))
        one, many = WRONG_VALUES.get(name, (f"wrong {name}", f"wrong values of {name}"))
        subject = f"{n:,}" if name == last else plural(int(n), one, many)
        told.append(f"{subject} {known[0] if n == 1 else known[1]}")
        last = name
    parts = [f"{joined(told)}."] if told else []
    if unexplained:
        parts.append(f"No arithmetic explains {unexplained:,} of the changes.")
    return parts


def approval_of(facts: DryRunFacts) -> str:
    """Say who approved what would be sent; nothing where nothing would be."""
    if facts.changes.empty:
        return ""
    by = list(dict.fromkeys(facts.approvals["by"].dropna()))
    return f"Approved by {joined(by)}." if by else "Nobody has approved it yet."


def _whose(n_calls: int) -> str:
    return "Its duration" if n_calls == 1 else "Their total duration"


def verdict_of(summary: Mapping[str, Any], facts: DryRunFacts) -> tuple[str, str]:
    """Return the answer in words and its tone; with a rate card, what it is worth is a part of it."""
    left, n_calls = summary["left_out_calls"], summary["calls"]
    stops = facts.findings.loc[facts.findings["severity"].eq("stop"), "code"].tolist()
    if n_calls == 0:
        extra = f" {plural(left, 'call')} left out; see why below." if left else ""
        return f"There is nothing to correct: the plan has no change.{extra}", "warn" if left else "ok"
    was = "it was" if n_calls == 1 else "they were"
    what = f"put back to what {was}" if facts.plan["kind"] == "revert" else "corrected"
    share = f" of {facts.plan['n_compared']:,} compared" if facts.plan["n_compared"] else ""
    parts = [
        f"{plural(n_calls, 'call')}{share} would be {what}, with {plural(summary['changes'], 'change')}."
    ]
    if facts.plan["kind"] == "reconciliation":
        parts += _causes_in_words(facts)
    if summary["net_s"]:
        way = "falls" if summary["net_s"] < 0 else "rises"
        both = (
            f" ({in_words(summary['added_s'])} added, {in_words(-summary['removed_s'])} taken away)"
            if summary["added_s"] and summary["removed_s"]
            else ""
        )
        parts.append(f"{_whose(n_calls)} {way} by {in_words(summary['net_s'])}{both}.")
    elif summary["added_s"]:
        parts.append(
            f"{_whose(n_calls)} stays: {in_words(summary['added_s'])} added, and as much taken away."
        )
    if facts.money is not None and (worth := money_sentence(facts.money)):
        parts.append(worth)
    if stops:
        parts.append(f"Findings that say stop were accepted: {', '.join(dict.fromkeys(stops))}.")
    took = in_words(max(summary["requests"] / facts.rate_per_s, 1), is_rough=True)
    parts.append(f"Applying it takes about {took} at {facts.rate_text}. Nothing has been sent.")
    is_calm = not stops and not facts.findings["severity"].eq("warn").any()
    return " ".join(parts), "stop" if stops else "ok" if is_calm else "warn"
