"""Show what a person needs to see before they approve a plan.

Input are the plain facts of a plan; output is a `DryRunReport`, one document in all
its forms. Nothing here fetches, sends or decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural, show_value
from sippet_reconcile.report.charts import Bar, BarChart
from sippet_reconcile.report.distribution import distribution
from sippet_reconcile.report.document import MAX_HTML_ROWS, Document, Section
from sippet_reconcile.report.durations import in_words, signed_in_words
from sippet_reconcile.report.facts import DryRunFacts, counts_of, summary_of, verdict_of

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["DryRunReport"]

WEBHOOKS: Final = (
    "Each PATCH may fire call.* webhooks of the platform. Whoever listens to them (invoicing, CRM, alerts) will see "
    "the corrections arrive at the pace above; tell them before you apply."
)

_WHY: Final = {"revert": "What is put back", "corrections": "What is corrected"}
_MAYBE: Final = ("direction", "from_number", "to_number", "sip_username", "source", "match_rule")
_CAUSES_IN_CHART: Final = 8
_FIELD_WORDS: Final = {
    "status": "status",
    "duration_seconds": "duration",
    "ended_at": "end",
    "call_source": "source",
}


@dataclass(frozen=True, eq=False, repr=False)
class DryRunReport:
    """What a plan would do, for a person to read: nothing has been sent.

    Made by ``plan.dry_run()``. It shows itself in a notebook, and `to_html` writes one
    file to hand to a colleague.

    Attributes
    ----------
    document
        The document behind every view.
    """

    document: Document

    @classmethod
    def from_facts(cls, facts: DryRunFacts) -> DryRunReport:
        """Build the report of a plan from its plain facts."""
        return cls(_document(facts))

    @property
    def verdict(self) -> str:
        """The answer in one or two sentences."""
        return self.document.verdict

    def summary(self) -> dict[str, object]:
        """Return the counts that every view starts from, as plain values."""
        return dict(self.document.summary)

    def html(self) -> str:
        """Return the whole report as one HTML page."""
        return self.document.html()

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write one self-contained HTML file and return its path.

        The table of changes holds the 5,000 most significant ones.
        """
        return self.document.to_html(path)

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the report as Markdown, and write it where a path is given."""
        return self.document.to_markdown(path)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the report as JSON, and write it where a path is given."""
        return self.document.to_json(path)

    def __repr__(self) -> str:
        return f"<DryRunReport of plan {self.document.summary['plan']}: {self.verdict} Next: report.to_html(path)>"

    def _repr_html_(self) -> str:
        return self.document._repr_html_()


def _document(facts: DryRunFacts) -> Document:
    summary = summary_of(facts)
    verdict, tone = verdict_of(summary, facts)
    seconds = int(str(summary["requests"])) / facts.rate_per_s
    plan = facts.plan
    headline = {
        "calls to put back" if plan["kind"] == "revert" else "calls to correct": summary["calls"],
        "changes": summary["changes"],
        "net duration": signed_in_words(float(str(summary["net_s"])), is_rough=True),
        "left out, wholly or in part": summary["left_out_calls"],
        "requests": summary["requests"],
        f"time at {facts.rate_text}": in_words(max(seconds, 1), is_rough=True) if summary["calls"] else "–",
        "approvals": summary["approvals"],
    }
    sections = [
        _findings(facts),
        _causes(facts),
        _ledger(facts),
        distribution(facts.changes["delta_s"]),
        _left_out(facts),
        _not_patchable(facts),
        _forecast(facts, summary),
        _approvals(facts),
        _changes(facts),
        _balance(facts),
    ]
    name = {"revert": "Dry run of a revert", "corrections": "Dry run of corrections"}.get(
        plan["kind"], "Dry run"
    )
    return Document(
        title=f"{name}: plan {plan['short_id']}",
        subtitle=" · ".join(str(part) for part in (plan["period"], plan["api_url"]) if part),
        verdict=verdict,
        tone=tone,
        facts=headline,
        sections=[part for part in sections if part is not None],
        summary=summary,
        about=_about(facts),
    )


def _findings(facts: DryRunFacts) -> Section | None:
    if facts.findings.empty:
        return None
    accepted = facts.plan["accept"]
    note = f"Accepted by code: {', '.join(accepted)}." if accepted else ""
    return Section(
        "Findings about the data",
        "What was noticed about the data as a whole, before any single difference.",
        facts.findings.loc[:, ["severity", "code", "message", "advice"]],
        note=note,
        heads={"advice": "what to do"},
    )


def _causes(facts: DryRunFacts) -> Section | None:
    changes = facts.changes
    if changes.empty:
        return None
    known = changes.assign(match_rule=changes["match_rule"].fillna("no CDR"))
    rows = known.groupby(["field", "explanation"], as_index=False, dropna=False).agg(
        n_calls=("call_id", "nunique"),
        delta_s=("delta_s", lambda s: s.sum(min_count=1)),
        meaning=("reason", "first"),
    )
    rows = rows.sort_values(["n_calls", "field", "explanation"], ascending=[False, True, True], kind="stable")
    rules = ", ".join(
        f"{name} {n:,}" for name, n in counts_of(known.drop_duplicates("call_id"), "match_rule").items()
    )
    matched = f" Matched by: {rules}." if changes["match_rule"].notna().any() else ""
    top = rows.head(_CAUSES_IN_CHART)
    bars = [
        Bar(f"{_FIELD_WORDS.get(name, name)}: {cause}", float(n), f"{n:,}")
        for name, cause, n in zip(top["field"], top["explanation"], top["n_calls"], strict=True)
    ]
    seconds = known.loc[known["delta_s"].notna()].groupby("explanation")["delta_s"].sum()
    seconds = seconds.loc[seconds.abs().sort_values(ascending=False, kind="stable").index].head(
        _CAUSES_IN_CHART
    )
    charts = [BarChart("Calls by field and cause", tuple(bars))]
    if len(seconds):
        drawn = tuple(Bar(str(name), float(s), signed_in_words(float(s))) for name, s in seconds.items())
        charts.append(BarChart("Seconds added or taken away, by cause", drawn))
    return Section(
        _WHY.get(facts.plan["kind"], "Why the records are wrong"),
        f"A call may need more than one change.{matched}",
        rows.astype({"n_calls": "Int64", "delta_s": "Float64"}),
        charts=charts,
        heads={
            "explanation": "cause",
            "n_calls": "calls",
            "delta_s": "change (s)",
            "meaning": "what it means",
        },
        signed=["delta_s"],
    )


def _ledger(facts: DryRunFacts) -> Section | None:
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
    intro = "Every compared call is in exactly one row of a field, and before plus change gives after, row by row."
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


def _left_out(facts: DryRunFacts) -> Section | None:
    left = facts.left_out
    if left.empty:
        return None
    whole = left.assign(field=left["field"].fillna("the whole call"))
    rows = whole.groupby(["reason", "field"], as_index=False, dropna=False).agg(
        n_calls=("call_id", "nunique"), example=("call_id", "min")
    )
    rows = rows.sort_values(["n_calls", "reason", "field"], ascending=[False, True, True], kind="stable")
    return Section(
        "Left out, and why",
        "Differences that were found and are not corrected; the saved plan names every call.",
        rows.astype({"n_calls": "Int64"}),
        heads={"n_calls": "calls"},
    )


def _not_patchable(facts: DryRunFacts) -> Section | None:
    if facts.not_patchable.empty:
        return None
    return Section(
        "Wrong, but not correctable here",
        "The API takes no correction of these; they need to be settled elsewhere.",
        facts.not_patchable,
        heads={"what": "what is wrong", "explanation": "cause", "n_calls": "calls", "seconds": "talk (s)"},
    )


def _forecast(facts: DryRunFacts, summary: Mapping[str, object]) -> Section:
    n_calls = int(str(summary["requests_patch"]))
    if not n_calls:
        return Section("Applying it", "Nothing would be sent.", in_card=False)
    total = int(str(summary["requests"]))
    took = in_words(max(total / facts.rate_per_s, 1), is_rough=True)
    told = (
        f"{plural(n_calls, 'PATCH request')} and {plural(int(str(summary['requests_read'])), 'request')} that read the calls "
        f"again just before, {total:,} in all: about {took} at {facts.rate_text}. A call that changed in the meantime is "
        "skipped and reported, never overwritten."
    )
    return Section("Applying it", told, note=WEBHOOKS)


def _approvals(facts: DryRunFacts) -> Section:
    if facts.approvals.empty:
        step = f"Nobody has approved plan {facts.plan['short_id']} yet. Whoever does answers for exactly this content: plan.approve in a notebook, sippet-reconcile approve in a terminal."
        return Section("Approvals", step, in_card=False)
    return Section(
        "Approvals", "Each names this plan id; any change to the plan drops them.", facts.approvals
    )


def _changes(facts: DryRunFacts) -> Section | None:
    changes = facts.changes
    if changes.empty:
        return None
    size = changes["delta_s"].abs().to_numpy(dtype="float64", na_value=-1.0)
    ranked = changes.iloc[np.argsort(-size, kind="stable")]
    where = (
        ranked["source_file"].fillna("").astype("str") + ":" + ranked["source_row"].astype("str").fillna("")
    )
    columns = [
        "started_at", "direction", "from_number", "to_number", "sip_username", "field", "before", "after",
        "delta_s", "explanation", "source", "match_rule", "call_id",
    ]  # fmt: skip
    started = ranked["started_at"].dt.strftime("%Y-%m-%d %H:%M:%S").astype("str")
    shown = ranked.assign(source=where.where(ranked["source_file"].notna()), started_at=started).loc[
        :, columns
    ]
    # A revert knows of a call what the audit log holds: what no row tells is no column.
    shown = shown.drop(columns=[name for name in _MAYBE if shown[name].isna().all()])
    return Section(
        "The changes",
        "The largest changes of duration first. Before and after are as the API writes them; numbers are masked.",
        shown,
        is_searchable=True,
        filters=["field", "explanation", "match_rule", "direction"],
        heads={
            "call_id": "call",
            "started_at": "started (UTC)",
            "from_number": "from",
            "to_number": "to",
            "sip_username": "user",
            "delta_s": "change (s)",
            "explanation": "cause",
            "match_rule": "matched by",
            "source": "evidence",
        },
        signed=["delta_s"],
        rest=f"The {MAX_HTML_ROWS:,} most significant are here; the saved plan holds all of them.",
    )


def _balance(facts: DryRunFacts) -> Section | None:
    if facts.balance.empty:
        return None
    return Section(
        "Where every record ended up",
        "The balance of the reconciliation behind this plan: nothing is dropped silently.",
        facts.balance,
        is_detail=True,
        in_card=False,
    )


def _about(facts: DryRunFacts) -> dict[str, object]:
    plan = facts.plan
    about: dict[str, object] = {
        "plan_id": plan["plan_id"],
        "kind": plan["kind"],
        "created_at": plan["created_at"],
        "api": plan["api_url"],
        "period": plan["period"],
        "reverts_run": plan["reverts_run_id"],
        "accepted_findings": ", ".join(plan["accept"]) or None,
    }
    about |= {f"asked: {name}": _in_line(value) for name, value in plan["selection"].items()}
    about |= {f"rule: {name}": _in_line(value) for name, value in facts.rules.items()}
    return {name: value for name, value in about.items() if value not in (None, "")}


def _in_line(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} = {_in_line(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return "" if value is None else show_value(value)
