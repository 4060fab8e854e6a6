"""Show a plan in a notebook or a terminal: what it would do and why, the first calls, what is left out, who approved.

Input is a plan, output is one HTML fragment, or text. Nothing is sent, fetched or changed.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import (
    card,
    chart_figure,
    escape,
    folded,
    html_table,
    html_text,
    mask_text,
    more_rows,
    plural,
    section,
    show_value,
    signed,
    text_table,
    visible,
)
from sippet_reconcile.report.charts import Bar, BarChart
from sippet_reconcile.report.dry_run.words import FIELD_WORDS
from sippet_reconcile.report.durations import in_words, signed_in_words
from sippet_reconcile.report.section import hidden_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sippet_reconcile.plan.model import Plan

__all__ = ["plan_card", "plan_text"]

_BARS: Final = 8
_CALLS: Final = 4
_ROWS: Final = 12
_REASONS: Final = 10
_APPROVALS: Final = 5
_WIDTH: Final = 110
_UNAPPROVED: Final = (
    "Nobody has approved this plan; plan.approve(by=…, note=…) does, and any change drops it."
)
_COLUMNS: Final = ("call_id", "field", "before", "after", "delta_s", "explanation")
_HEADS: Final = ("call", "field", "before", "after", "change (s)", "cause")


def plan_card(plan: Plan, next_step: str) -> str:
    """Return a plan, and what to call next, as HTML."""
    changes, left_out = plan.changes, plan.left_out
    said = plan.summary()
    parts = []
    if len(changes):
        chart = _causes(changes)
        parts.append(section("Why", chart_figure(chart.title, chart.to_svg())))
        parts.append(section("The first calls, in the order in which they are sent", _first_calls(changes)))
    if len(left_out):
        parts.append(folded(_left_out_title(left_out), html_table(_reasons(left_out), max_rows=_REASONS)))
    parts += [section("Approvals", _approvals(plan)), html_text(f"Next: {next_step}")]
    facts = {
        "calls": said["calls"],
        "changes": said["changes"],
        "net duration": signed_in_words(float(str(said["net_s"])), is_rough=True),
        "calls left out": _n_calls(left_out),
        "findings": said["findings"],
        "approvals": len(plan.approvals),
    }
    return card(
        f"Plan {plan.short_id}",
        facts,
        *parts,
        subtitle=_about(said),
        verdict=_verdict(plan, len(changes), float(str(said["net_s"]))),
        tone="ok" if plan.approvals else "warn",
    )


def plan_text(plan: Plan, next_step: str) -> str:
    """Return the same for a terminal."""
    changes, left_out = plan.changes, plan.left_out
    said = plan.summary()
    verdict = _verdict(plan, len(changes), float(str(said["net_s"])))
    blocks = [
        "\n".join(
            [f"Plan {plan.short_id}", *(textwrap.fill(line, _WIDTH) for line in (_about(said), verdict))]
        )
    ]
    if len(changes):
        chart = _causes(changes)
        blocks.append(f"{chart.title}\n{chart.to_text(_WIDTH)}")
        ids = _first_ids(changes)
        own = hidden_numbers(changes.loc[changes["call_id"].isin(ids), list(_COLUMNS)])
        own = own.assign(delta_s=own["delta_s"].map(signed, na_action="ignore").astype("str"))
        columns = [own[name].tolist() for name in own]
        more = _n_calls(changes) - len(ids)
        table = text_table(list(zip(*columns, strict=True)), _HEADS, right=[_HEADS[4]])
        rest = f"\nand {plural(more, 'further call')}" if more > 0 else ""
        blocks.append(f"The first calls, in the order in which they are sent\n{table}{rest}")
    if len(left_out):
        reasons = _reasons(left_out).head(_REASONS)
        lines = [f"  {n:,}  {reason}" for reason, n in zip(reasons["reason"], reasons["calls"], strict=True)]
        blocks.append("\n".join([_left_out_title(left_out), *lines]))
    given = [
        textwrap.fill(
            visible(mask_text(f"{one.by}, {_instant(one.at)}{f': {one.note}' if one.note else ''}")),
            _WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
        )
        for one in plan.approvals[:_APPROVALS]
    ]
    blocks.append("\n".join(["Approvals", *given]) if given else _UNAPPROVED)
    return visible("\n\n".join([*blocks, f"Next: {next_step}"]))


def _about(said: Mapping[str, object]) -> str:
    parts = (said["kind"], said["period"], said["api_url"], f"made {_instant(said['created_at'])}")
    return " · ".join(str(part) for part in parts if part)


def _instant(text: object) -> str:
    """Return an instant as people read it; as it stands where it is none."""
    at = pd.to_datetime(str(text), utc=True, errors="coerce")
    return str(text) if pd.isna(at) else show_value(at)


def _reasons(left_out: pd.DataFrame) -> pd.DataFrame:
    """Return how many calls are left out for each reason, the commonest first."""
    reasons = left_out.groupby("reason", as_index=False).agg(calls=("call_id", "nunique"))
    return hidden_numbers(reasons.sort_values(["calls", "reason"], ascending=[False, True], kind="stable"))


def _left_out_title(left_out: pd.DataFrame) -> str:
    return f"Left out, and why ({plural(_n_calls(left_out), 'call')})"


def _n_calls(rows: pd.DataFrame) -> int:
    return int(rows["call_id"].nunique())


def _first_ids(changes: pd.DataFrame) -> list[str]:
    return list(changes["call_id"].head(_ROWS).drop_duplicates().head(_CALLS))


def _verdict(plan: Plan, n_changes: int, net_s: float) -> str:
    """Return what applying the plan would do, in words."""
    if not n_changes:
        return "There is nothing to correct: the plan has no change."
    is_one = len(plan) == 1
    done = f"put back to what {'it was' if is_one else 'they were'}" if plan.kind == "revert" else "corrected"
    share = f" of {plan.n_compared:,} compared" if plan.n_compared else ""
    whose = "Its duration" if is_one else "Their total duration"
    way = f" {whose} {'falls' if net_s < 0 else 'rises'} by {in_words(net_s)}." if net_s else ""
    approved = "" if plan.approvals else " Nobody has approved it yet."
    return (
        f"{plural(len(plan), 'call')}{share} would be {done}, with {plural(n_changes, 'change')}.{way}"
        f"{approved} A plan sends nothing."
    )


def _causes(changes: pd.DataFrame) -> BarChart:
    """Return calls by field and cause: a change is one of a call and a field, so rows are calls."""
    known = changes.assign(explanation=changes["explanation"].fillna("no cause given"))
    by_cause = known.groupby(["field", "explanation"], sort=True)["delta_s"]
    rows = (
        pd.DataFrame({"n_calls": by_cause.size(), "delta_s": by_cause.sum(min_count=1)})
        .reset_index()
        .sort_values("n_calls", ascending=False, kind="stable")
    )
    shown = rows if len(rows) <= _BARS else rows.head(_BARS - 1)
    bars = [
        Bar(f"{FIELD_WORDS.get(field, field)}: {cause}", float(n), _counted(int(n), delta_s))
        for field, cause, n, delta_s in shown.itertuples(index=False)
    ]
    rest = rows.iloc[len(shown) :]
    if len(rest):
        n, delta_s = int(rest["n_calls"].sum()), rest["delta_s"].sum(min_count=1)
        label = plural(len(rest), "further cause")
        bars.append(Bar(label, float(n), f"{plural(n, 'change')}{_seconds(delta_s)}", is_quiet=True))
    return BarChart("Calls by field and cause", tuple(bars)).masked()


def _counted(n_calls: int, delta_s: Any) -> str:
    return f"{plural(n_calls, 'call')}{_seconds(delta_s)}"


def _seconds(delta_s: Any) -> str:
    return "" if pd.isna(delta_s) else f", {signed(float(delta_s))} s"


def _first_calls(changes: pd.DataFrame) -> str:
    """Return the first calls with all their changes, the id of each written once."""
    ids = _first_ids(changes)
    rows = []
    for call_id in ids:
        own = hidden_numbers(changes.loc[changes["call_id"].eq(call_id)])
        columns = [own[name].tolist() for name in _COLUMNS[1:]]
        for place, (field, before, after, delta_s, cause) in enumerate(zip(*columns, strict=True)):
            first = f'<td class="s" rowspan="{len(own)}">{escape(call_id)}</td>' if not place else ""
            change = "" if pd.isna(delta_s) else signed(float(delta_s))
            cells = "".join(f'<td class="s">{escape(value)}</td>' for value in (field, before, after))
            rows.append(f'<tr>{first}{cells}<td class="n">{change}</td><td>{escape(cause)}</td></tr>')
    heads = "".join(f'<th class="n">{h}</th>' if h.endswith("(s)") else f"<th>{h}</th>" for h in _HEADS)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="wide">{table}</div>{more_rows(_n_calls(changes) - len(ids), "call")}'


def _approvals(plan: Plan) -> str:
    """Return who approved, when and why; what has no approval says so."""
    if not plan.approvals:
        return html_text(_UNAPPROVED)
    given = pd.DataFrame(
        {
            "who": [one.by for one in plan.approvals],
            "when": [_instant(one.at) for one in plan.approvals],
            "why": [one.note or None for one in plan.approvals],
        }
    )
    return html_table(hidden_numbers(given), max_rows=_APPROVALS)
