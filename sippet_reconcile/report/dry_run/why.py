"""Tell why the records are wrong, and what the corrections come to.

Input are the plain facts of a plan; output are sections of its dry run.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.report.charts import Bar, BarChart, ColumnChart
from sippet_reconcile.report.distribution import FEW
from sippet_reconcile.report.dry_run.facts import DryRunFacts, counts_of
from sippet_reconcile.report.dry_run.words import FIELD_WORDS
from sippet_reconcile.report.durations import signed_in_words
from sippet_reconcile.report.section import Section
from sippet_reconcile.report.when import day_chart, hour_chart

__all__ = [
    "calls_chart",
    "causes_section",
    "findings_section",
    "ledger_section",
    "seconds_chart",
    "when_charts",
    "when_section",
]

_WHY: Final = {"revert": "What is put back", "corrections": "What is corrected"}
_CAUSES_IN_CHART: Final = 8


def findings_section(facts: DryRunFacts) -> Section | None:
    """Return the section that tells what was noticed about the data as a whole; None where there is nothing to tell."""
    if facts.findings.empty:
        return None
    accepted = facts.plan["accept"]
    note = f"Accepted by code: {', '.join(accepted)}." if accepted else ""
    return Section(
        "Findings about the data",
        "What was noticed about the data as a whole, before any single difference.",
        facts.findings.loc[:, ["severity", "code", "message", "advice"]],
        note=note,
        heads={"code": "finding", "message": "what was seen", "advice": "what to do"},
    )


def _by_cause(changes: pd.DataFrame) -> pd.DataFrame:
    """Return one row per field and cause, the most calls first."""
    rows = changes.groupby(["field", "explanation"], as_index=False, dropna=False).agg(
        n_calls=("call_id", "nunique"),
        delta_s=("delta_s", lambda s: s.sum(min_count=1)),
        meaning=("reason", "first"),
    )
    return rows.sort_values(["n_calls", "field", "explanation"], ascending=[False, True, True], kind="stable")


def _is_told(facts: DryRunFacts) -> bool:
    """Tell whether there are causes to tell: those of corrections and reverts are that a person asked for them."""
    return bool(facts.plan["kind"] == "reconciliation")


def calls_chart(facts: DryRunFacts) -> BarChart:
    """Return how many calls would be corrected, by field and cause; without bars where none would."""
    rows = _by_cause(facts.changes)
    top, is_told = rows.head(_CAUSES_IN_CHART), _is_told(facts)
    bars = [
        Bar(
            f"{FIELD_WORDS.get(name, name)}: {cause}" if is_told else FIELD_WORDS.get(name, name),
            float(n),
            plural(n, "call"),
        )
        for name, cause, n in zip(top["field"], top["explanation"], top["n_calls"], strict=True)
    ]
    few = f", the {len(top)} most frequent of {len(rows)}" if len(top) < len(rows) else ""
    title = f"Calls by field and cause{few}" if is_told or rows.empty else "Calls by field"
    return BarChart(title, tuple(bars))


def seconds_chart(facts: DryRunFacts) -> BarChart:
    """Return how many seconds would be added or taken away, by cause; without bars where none would."""
    known = facts.changes.loc[facts.changes["delta_s"].notna()]
    seconds = known.groupby("explanation")["delta_s"].sum()
    largest = seconds.loc[seconds.abs().sort_values(ascending=False, kind="stable").index].head(
        _CAUSES_IN_CHART
    )
    drawn = tuple(Bar(str(name), float(s), signed_in_words(float(s))) for name, s in largest.items())
    return BarChart("Seconds added or taken away, by cause", drawn)


def causes_section(facts: DryRunFacts) -> Section | None:
    """Return the section that tells why the records are wrong, by field and cause; None where there is nothing to tell."""
    changes = facts.changes
    if changes.empty:
        return None
    known = changes.assign(match_rule=changes["match_rule"].fillna("no CDR")).drop_duplicates("call_id")
    rules = ", ".join(f"{name} {n:,}" for name, n in counts_of(known, "match_rule").items())
    matched = f" Matched by: {rules}." if changes["match_rule"].notna().any() else ""
    is_told = _is_told(facts)
    return Section(
        _WHY.get(facts.plan["kind"], "Why the records are wrong"),
        f"A call may need more than one change.{matched}",
        _by_cause(changes)
        .astype({"n_calls": "Int64", "delta_s": "Float64"})
        .drop(columns=[] if is_told else ["explanation"]),
        charts=[chart for chart in (calls_chart(facts), seconds_chart(facts)) if chart.bars],
        heads={
            "explanation": "cause",
            "n_calls": "calls",
            "delta_s": "change (s)",
            "meaning": "what it means" if is_told else "reason given",
        },
        signed=["delta_s"],
    )


def ledger_section(facts: DryRunFacts) -> Section | None:
    """Return the section that tells calls and seconds before, change and after; None where there is nothing to tell."""
    ledger = facts.ledger
    if ledger.empty:
        return None
    has_seconds = ledger["before_s"].notna()
    parts = []
    for name in dict.fromkeys(ledger.loc[has_seconds, "field"]):
        lines = ledger.loc[ledger["field"].eq(name)]
        total = lines[["n_calls", "before_s", "change_s", "after_s"]].sum()
        row = pd.DataFrame(
            {
                "field": [name],
                "explanation": ["total"],
                "is_corrected": [pd.NA],
                **{k: [v] for k, v in total.items()},
            }
        )
        parts += [lines, row.astype(lines.dtypes.to_dict())]
    counted = ledger.loc[~has_seconds]
    seconds = pd.concat(parts, ignore_index=True) if parts else counted
    every = "Every call" if facts.plan["n_compared"] is None else "Every compared call"
    intro = f"{every} is in exactly one row of a field, and before plus change gives after, row by row."
    note = ""
    if parts and len(counted):
        others = counted.groupby(["field", "is_corrected"], sort=False, as_index=False)["n_calls"].sum()
        told = [
            f"{name}: {n:,} {'corrected' if done else 'not corrected'}"
            for name, done, n in zip(others["field"], others["is_corrected"], others["n_calls"], strict=True)
        ]
        note = f"Fields without seconds, in calls: {'; '.join(told)}."
    return Section(
        "The ledger",
        intro,
        seconds,
        note=note,
        heads={
            "explanation": "cause or standing",
            "is_corrected": "corrected",
            "n_calls": "calls",
            "before_s": "before (s)",
            "change_s": "change (s)",
            "after_s": "after (s)",
        },
        signed=["change_s"],
        total=bool(parts),
    )


def when_section(facts: DryRunFacts) -> Section | None:
    """Return the section that tells when the calls were; None where there are too few to tell."""
    if facts.changes.drop_duplicates("call_id")["started_at"].notna().sum() < FEW:
        return None
    drawn = [chart for chart in when_charts(facts) if chart is not None]
    told = "By the start that the API has. An outage shows as a peak, a rule that is wrong as a little of everything."
    return Section("When the calls were", told, charts=drawn, in_card=False)


def when_charts(facts: DryRunFacts) -> tuple[ColumnChart | None, ColumnChart | None]:
    """Return the calls by day and by hour of the day; None each where no start is known."""
    starts = facts.changes.drop_duplicates("call_id")["started_at"]
    what = "Calls to put back" if facts.plan["kind"] == "revert" else "Calls to correct"
    return (
        day_chart(starts, facts.zone, what, period=facts.plan.get("span")),
        hour_chart(starts, facts.zone, what),
    )
