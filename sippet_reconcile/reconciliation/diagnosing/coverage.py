"""Tell whether the two sides are about the same calls at all.

Input are both sides with the bucket each row ended up in, output are verdicts about the
whole: a side without rows, few calls that found their other side and why, calls on the
edges of the period, and records that are there twice. Small samples say nothing: every
threshold stands beside the test that uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural, shortened
from sippet_reconcile.reconciliation.diagnosing.material import in_buckets, in_period, plain_instant
from sippet_reconcile.reconciliation.diagnosing.unmatched import why_unmatched
from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict
from sippet_reconcile.reconciliation.findings import Finding, Severity
from sippet_reconcile.schema import Bucket

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation.diagnosing.gaps import Gaps
    from sippet_reconcile.reconciliation.diagnosing.material import Material
    from sippet_reconcile.reconciliation.sides import Columns, Sides

__all__ = ["find_duplicate_rows", "find_empty_side", "find_low_match_rate", "find_month_boundary"]

_ENOUGH_ROWS: Final = 20
"""Fewer rows of a side say nothing about a rate."""

_LOW_RATE: Final = 0.8
"""Below it something general is wrong, such as the key; single lost calls never are one in five."""


def find_empty_side(material: Material) -> Verdict:
    """Say so where a side has no usable row at all, or none in the period."""
    within = " in the period" if material.period is not None else ""
    counts: dict[str, tuple[int, int]] = {}
    for side, columns in (("CDR", material.sides.of_cdr), ("API", material.sides.of_calls)):
        n_rows = inside = len(columns.frame)
        if material.period is not None:
            inside = columns.summed(_count_inside, material.period)
        counts[side] = (n_rows, inside)
    n_rows = sum(inside for _, inside in counts.values())
    empty = [side for side, (_, inside) in counts.items() if inside == 0]
    if not empty:
        return Verdict.of("empty-side", None, n_looked_at=n_rows, what="usable rows of both sides")
    evidence = pd.DataFrame(
        {
            "side": pd.Series(list(counts), dtype="str"),
            "usable_rows": pd.Series([n for n, _ in counts.values()], dtype="Int64"),
            "in_period": pd.Series([n for _, n in counts.values()], dtype="Int64"),
        }
    )
    sides = " and the ".join(empty)
    elsewhere = [f"{counts[side][0]:,} {side} rows lie outside it" for side in empty if counts[side][0]]
    rest = f" ({', '.join(elsewhere)})" if elsewhere else ""
    message = f"The {sides} side has no usable rows{within}{rest}, so there is nothing to compare."
    advice = "Check the files (describe_cdr), their timezone=, the period, and that the token may read these calls."
    finding = Finding("empty-side", Severity.STOP, message, evidence, advice)
    return Verdict.of("empty-side", finding, n_looked_at=n_rows, what="usable rows of both sides")


def _count_inside(columns: Columns, period: Period) -> int:
    starts = columns.instants("started_at")
    # A row without a start may still be matched by its key: it is not nothing.
    return int(np.count_nonzero(in_period(starts, period) | np.isnat(starts)))


def find_low_match_rate(m: Material, gaps: dict[str, Gaps]) -> Verdict:
    """Need 20 rows on a side; below 80 % matched something general is wrong, such as the key.

    What lies in a gap of the other side is told as a gap and does not count here.
    """
    if m.call_buckets is None or m.cdr_buckets is None:
        return Verdict.not_asked("low-match-rate", "it is not known which rows were matched")
    rows = []
    for side, view, other in (("api", m.of_api, "cdr"), ("cdr, answered", m.of_cdr, "api")):
        matched = view.met & in_buckets(m.call_buckets if side == "api" else m.cdr_buckets, Bucket.MATCHED)
        n_matched = int(np.count_nonzero(matched))
        total = int(np.count_nonzero(view.met | view.alone)) - int(gaps[other].frame["n_missing"].sum())
        rows.append((side, total, n_matched, n_matched / total if total else np.nan))
    n_rows = max(total for _, total, _, _ in rows)
    low = [row for row in rows if row[1] >= _ENOUGH_ROWS and row[3] < _LOW_RATE]
    if not low:
        return Verdict.of(
            "low-match-rate", None, n_looked_at=n_rows, n_needed=_ENOUGH_ROWS, what="calls of a side"
        )
    evidence = pd.DataFrame(rows, columns=["side", "n_calls", "n_matched", "share"]).astype(
        {"side": "str", "n_calls": "Int64", "n_matched": "Int64", "share": "Float64"}
    )
    whose = {"api": "calls of the API", "cdr, answered": "answered calls of the CDR"}
    figures = " and ".join(
        f"{f'only {n:,}' if n else 'none'} of {total:,} {whose[side]}" for side, total, n, _ in low
    )
    reasons, advice = why_unmatched(m)
    message = f"{'; '.join([f'{figures[0].upper()}{figures[1:]} found their other side', *reasons])}."
    finding = Finding("low-match-rate", Severity.WARN, message, evidence, advice)
    return Verdict.of(
        "low-match-rate", finding, n_looked_at=n_rows, n_needed=_ENOUGH_ROWS, what="calls of a side"
    )


def find_duplicate_rows(m: Material) -> Verdict:
    """Count the records that were set aside as repetitions, and name the files that hold nothing else."""
    if m.legs is None or m.leg_buckets is None:
        return Verdict.not_asked("duplicate-rows", "there are no legs to compare")
    n_legs = len(m.legs)
    is_repeated = in_buckets(m.leg_buckets, Bucket.DUPLICATE)
    n_repeated = int(np.count_nonzero(is_repeated))
    if n_repeated == 0:
        return Verdict.of("duplicate-rows", None, n_looked_at=n_legs, what="records")
    repeated = m.count_files(is_repeated)
    evidence = pd.DataFrame(
        {
            "source_file": pd.Series(list(repeated), dtype="str"),
            "repeated_rows": pd.Series(list(repeated.values()), dtype="Int64"),
            "rows": pd.Series([m.leg_files[name] for name in repeated], dtype="Int64"),
        }
    ).sort_values("repeated_rows", ascending=False, ignore_index=True, kind="stable")
    whole = evidence.loc[evidence["repeated_rows"].eq(evidence["rows"]), "source_file"].dropna().tolist()
    entirely = f" {shortened(whole[0])} holds nothing else" if whole else ""
    verb = "does" if len(whole) == 2 else "do"  # noqa: PLR2004 - one more than the one that is named
    more = f", nor {verb} {plural(len(whole) - 1, 'more file')}" if len(whole) > 1 else ""
    again = (
        "occurs again, in 1 file, and was"
        if n_repeated == 1
        else f"occur again, in {plural(len(evidence), 'file')}, and were"
    )
    message = f"{plural(n_repeated, 'record')} of {n_legs:,} {again} set aside.{entirely}{more}{'.' if whole else ''}"
    advice = "Nothing to do unless they are many: then an export overlaps another one or was read twice."
    finding = Finding("duplicate-rows", Severity.INFO, message, evidence, advice)
    return Verdict.of("duplicate-rows", finding, n_looked_at=n_legs, what="records")


def find_month_boundary(m: Material) -> Verdict:
    """List the matched calls that lie on an edge of the period."""
    if m.period is None:
        return Verdict.not_asked("month-boundary", "there is no period, and so no edge of one")
    rows, is_split = m.sides.found(_find_on_edges, m.period)
    if len(rows) == 0:
        return Verdict.of("month-boundary", None, n_looked_at=len(m.sides), what="matched calls")
    at = m.sides.at(rows)
    what = np.where(is_split, "starts on both sides of the boundary", "began inside, ended outside")
    evidence = pd.DataFrame(
        {
            "call_id": pd.Series(at.call_text("id").to_pylist(), dtype="str"),
            "started_at_call": pd.Series(at.call_instants("started_at")).dt.tz_localize("UTC"),
            "started_at_cdr": pd.Series(at.cdr_instants("started_at")).dt.tz_localize("UTC"),
            "ended_at_cdr": pd.Series(at.cdr_instants("ended_at")).dt.tz_localize("UTC"),
            "what": pd.Series(what, dtype="str"),
        }
    )
    n_split = int(is_split.sum())
    n_straddling = len(rows) - n_split
    told = [
        f"{n_split:,} began inside on one side and outside on the other" if n_split else "",
        f"{n_straddling:,} began inside and ended after it" if n_straddling else "",
    ]
    message = (
        f"{plural(len(rows), 'matched call lies', 'matched calls lie')} on an edge of the period: "
        f"{', '.join(text for text in told if text)}."
    )
    advice = "Each belongs by the API's start, and so to one month only; the carrier's bill may count it in the other."
    finding = Finding("month-boundary", Severity.INFO, message, evidence, advice)
    return Verdict.of("month-boundary", finding, n_looked_at=len(m.sides), what="matched calls")


def _find_on_edges(sides: Sides, period: Period) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the pairs on an edge of a period, and which of them begin on both sides of it."""
    call, cdr = sides.call_instants("started_at"), sides.cdr_instants("started_at")
    known = ~np.isnat(call) & ~np.isnat(cdr)
    inside = in_period(call, period)
    split = known & (inside != in_period(cdr, period))
    straddles = inside & (sides.cdr_instants("ended_at") >= plain_instant(period.end))
    rows = np.flatnonzero(split | straddles)
    return rows, split[rows]
