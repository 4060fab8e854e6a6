"""Tell whether anything is missing on either side, or there twice.

Input are the legs, calls and CDR calls with the bucket each ended up in; output are
findings about whole files, hours and callers. Small samples say nothing: every
threshold stands beside the test that uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display import mask_number, plural
from sippet_reconcile.reconciliation.comparing.standing import Standing
from sippet_reconcile.reconciliation.findings import Finding, Severity
from sippet_reconcile.reconciliation.sides import Sides, text_codes
from sippet_reconcile.schema import Bucket, text_array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation.comparing.compare import Comparison
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["Material", "find_coverage_problems", "find_empty_side", "in_buckets"]

_ENOUGH_ROWS: Final = 20
_LOW_RATE: Final = 0.8
_BUSY_HOUR: Final = 5
_ROUND_COUNTS: Final = frozenset({*(10**k for k in range(2, 9)), 65_535, 65_536, 1_048_575, 1_048_576})
_PROBES: Final = 10
_PROBE_TARGETS: Final = 5
_SHORT_NUMBER: Final = 6
_SEVEN_DIGITS: Final = r"(?:[0-9][^0-9]*){7}"
_FORMAT_PAIRS: Final = 50
_FORMAT_LOOKED_AT: Final = 20_000
_FORMAT_SHARE: Final = 0.2
_DIFFERING_SHARE: Final = 0.5


@dataclass(frozen=True, eq=False)
class Material:
    """What findings about coverage are made from.

    Attributes
    ----------
    calls, cdr_calls
        All calls and all reduced CDR calls.
    sides, exact
        All pairs, those outside the period too, and those of them that an id matched.
    rules, period
        The resolved rules, and the span spoken of, or None.
    legs
        All legs, or None.
    leg_buckets, call_buckets, cdr_buckets
        The `Bucket` of each row, as text; None where not known.
    comparison
        The compared pairs, or None.
    """

    calls: pd.DataFrame
    cdr_calls: pd.DataFrame
    sides: Sides
    exact: Sides
    rules: Rules
    period: Period | None = None
    legs: pd.DataFrame | None = None
    leg_buckets: Any = None
    call_buckets: Any = None
    cdr_buckets: Any = None
    comparison: Comparison | Callable[[], Comparison] | None = None

    def call_starts(self) -> NDArray[np.datetime64]:
        """Return the starts of all calls."""
        return self.sides.of_calls.instants("started_at")

    def cdr_starts(self) -> NDArray[np.datetime64]:
        """Return the starts of all CDR calls, as the API's clock would have shown them."""
        return self.sides.of_cdr.instants("started_at")

    def in_period(self, starts: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """Mark the starts inside the period; all of them where there is none."""
        if self.period is None:
            return np.ones(len(starts), np.bool_)
        start, end = (_plain_instant(at) for at in (self.period.start, self.period.end))
        return (starts >= start) & (starts < end)


def _plain_instant(at: Any) -> np.datetime64:
    return pd.Timestamp(at).tz_convert("UTC").tz_localize(None).as_unit("us").to_datetime64()


def in_buckets(buckets: Any, *wanted: Bucket) -> NDArray[np.bool_]:
    """Mark the rows whose bucket is one of some."""
    return pd.Series(buckets).isin([bucket.value for bucket in wanted]).to_numpy("bool")


def find_coverage_problems(material: Material, *, clocks_agree: bool) -> list[Finding]:
    """Return the findings about coverage; hours are only counted where both clocks tell the same."""
    found = [
        _low_match_rate(material),
        _missing_hours(material) if clocks_agree else None,
        _truncated_export(material),
        _duplicate_rows(material),
        _month_boundary(material),
        _probe_noise(material),
        _number_format(material),
    ]
    return [finding for finding in found if finding is not None]


def find_empty_side(material: Material) -> Finding | None:
    """Say so where a side has no usable row at all, or none in the period."""
    within = " in the period" if material.period is not None else ""
    counts: dict[str, tuple[int, int]] = {}
    for side, starts in (("CDR", material.cdr_starts()), ("API", material.call_starts())):
        # A row without a start may still be matched by its key: it is not nothing.
        counts[side] = (len(starts), int((material.in_period(starts) | np.isnat(starts)).sum()))
    empty = [side for side, (_, inside) in counts.items() if inside == 0]
    if not empty:
        return None
    evidence = pd.DataFrame(
        {
            "side": pd.Series(list(counts), dtype="str"),
            "usable_rows": pd.Series([n for n, _ in counts.values()], dtype="Int64"),
            "in_period": pd.Series([n for _, n in counts.values()], dtype="Int64"),
        }
    )
    sides = " and the ".join(empty)
    message = f"The {sides} side has no usable rows{within}, so there is nothing to compare."
    advice = "Check the files (describe_cdr), their timezone=, the period, and that the token may read these calls."
    return Finding("empty-side", Severity.STOP, message, evidence, advice)


def _low_match_rate(m: Material) -> Finding | None:
    """Need 20 rows on a side; below 80 % matched something general is wrong, such as the key."""
    if m.call_buckets is None or m.cdr_buckets is None:
        return None
    asked = (Bucket.MATCHED, Bucket.ONLY_IN_API, Bucket.ONLY_IN_CDR, Bucket.AMBIGUOUS)
    # Probes and misdials never reach the API, so on the CDR side only answered calls are counted.
    answered = m.cdr_calls["is_answered"].to_numpy("bool", na_value=False)
    rows = []
    for side, buckets, counted in (("api", m.call_buckets, True), ("cdr, answered", m.cdr_buckets, answered)):
        total = int((in_buckets(buckets, *asked) & counted).sum())
        matched = int((in_buckets(buckets, Bucket.MATCHED) & counted).sum())
        rows.append((side, total, matched, matched / total if total else np.nan))
    low = [row for row in rows if row[1] >= _ENOUGH_ROWS and row[3] < _LOW_RATE]
    if not low:
        return None
    evidence = pd.DataFrame(rows, columns=["side", "n_calls", "n_matched", "share"]).astype(
        {"side": "str", "n_calls": "Int64", "n_matched": "Int64", "share": "Float64"}
    )
    figures = " and ".join(f"{n:,} of {total:,} ({side})" for side, total, n, _ in low)
    message = f"Only {figures} calls found their other side."
    advice = (
        "Look at a few rows of only_in_api and only_in_cdr: is it the same system, period and time zone, and which "
        "column of the export holds the call_uuid?"
    )
    return Finding("low-match-rate", Severity.WARN, message, evidence, advice)


def _missing_hours(m: Material) -> Finding | None:
    """Count an hour without a row on one side where the other has five calls or more in it."""
    hours = {}
    call_starts, cdr_starts = m.call_starts(), m.cdr_starts().copy()
    # A matched leg whose local time is doubtful may have no start of its own: its call's is as good here.
    unknown = np.flatnonzero(np.isnat(cdr_starts[m.sides.cdr_pos]))
    cdr_starts[m.sides.cdr_pos[unknown]] = call_starts[m.sides.call_pos[unknown]]
    for side, starts in (("cdr", cdr_starts), ("api", call_starts)):
        known = starts[~np.isnat(starts) & m.in_period(starts)]
        hours[side] = known.astype("datetime64[h]").astype(np.int64)
    if any(len(h) == 0 for h in hours.values()):
        return None
    first, last = min(h.min() for h in hours.values()), max(h.max() for h in hours.values())
    if m.period is None:
        # Without a period each side has a margin of its own: only hours that both cover count.
        first, last = max(h.min() for h in hours.values()), min(h.max() for h in hours.values())
    if last < first:
        return None
    counts = {
        side: np.bincount(h[(h >= first) & (h <= last)] - first, minlength=int(last - first) + 1)
        for side, h in hours.items()
    }
    parts = []
    for side, other in (("cdr", "api"), ("api", "cdr")):
        silent = np.flatnonzero((counts[side] == 0) & (counts[other] >= _BUSY_HOUR))
        at = (silent + first).astype("datetime64[h]").astype("datetime64[us]")
        parts.append(
            pd.DataFrame(
                {
                    "hour": pd.Series(at).dt.tz_localize("UTC"),
                    "missing_in": pd.Series([side] * len(silent), dtype="str"),
                    "calls_on_other_side": pd.Series(counts[other][silent], dtype="Int64"),
                }
            )
        )
    evidence = pd.concat(parts, ignore_index=True).sort_values(["hour", "missing_in"], ignore_index=True)
    if len(evidence) == 0:
        return None
    by_side = evidence["missing_in"].value_counts()
    figures = " and ".join(
        f"{plural(int(by_side[side]), 'hour')} on the {side.upper()} side"
        for side in ("cdr", "api")
        if side in by_side
    )
    message = (
        f"There are no calls at all in {figures}, while the other side has "
        f"{int(evidence['calls_on_other_side'].sum()):,} in them."
    )
    advice = "Look for a missing file or a gap of the export, and read it in; only then are these calls really missing."
    return Finding("missing-hours", Severity.WARN, message, evidence, advice)


def _truncated_export(m: Material) -> Finding | None:
    """Look for files that end at a round number of rows, or where a spreadsheet ends: chance rarely does."""
    if m.legs is None or len(m.legs) == 0:
        return None
    codes, files = text_codes(m.legs["source_file"])
    counts = np.bincount(codes[codes >= 0], minlength=len(files))
    round_ones = [place for place, count in enumerate(counts.tolist()) if count in _ROUND_COUNTS]
    if not round_ones:
        return None
    evidence = pd.DataFrame(
        {
            "source_file": pd.Series([files[place] for place in round_ones], dtype="str"),
            "rows": pd.Series([int(counts[place]) for place in round_ones], dtype="Int64"),
        }
    )
    exactly = ", ".join(f"{n:,}" for n in sorted(set(evidence["rows"].tolist())))
    message = f"{plural(len(evidence), 'file')} end after exactly {exactly} rows, as exports do that were cut at a limit."
    advice = "Export again with a higher limit or in smaller spans, and compare the number of rows."
    return Finding("truncated-export", Severity.WARN, message, evidence, advice)


def _duplicate_rows(m: Material) -> Finding | None:
    if m.legs is None or m.leg_buckets is None:
        return None
    rows = np.flatnonzero(in_buckets(m.leg_buckets, Bucket.DUPLICATE))
    if len(rows) == 0:
        return None
    codes, files = text_codes(m.legs["source_file"])
    totals = np.bincount(codes + 1, minlength=len(files) + 1)
    repeated = np.bincount(codes[rows] + 1, minlength=len(files) + 1)
    places = np.flatnonzero(repeated)
    names = [None, *files]
    evidence = pd.DataFrame(
        {
            "source_file": pd.Series([names[place] for place in places.tolist()], dtype="str"),
            "repeated_rows": pd.Series(repeated[places], dtype="Int64"),
            "rows": pd.Series(totals[places], dtype="Int64"),
        }
    ).sort_values("repeated_rows", ascending=False, ignore_index=True, kind="stable")
    message = f"{plural(len(rows), 'record')} of {len(codes):,} occur again, in {plural(len(evidence), 'file')}, and were set aside."
    advice = "Nothing to do unless they are many: then an export overlaps another one or was read twice."
    return Finding("duplicate-rows", Severity.INFO, message, evidence, advice)


def _month_boundary(m: Material) -> Finding | None:
    if m.period is None or len(m.sides) == 0:
        return None
    call, cdr = m.sides.call_instants("started_at"), m.sides.cdr_instants("started_at")
    end = _plain_instant(m.period.end)
    known = ~np.isnat(call) & ~np.isnat(cdr)
    inside = m.in_period(call)
    split = known & (inside != m.in_period(cdr))
    straddles = inside & (m.sides.cdr_instants("ended_at") >= end)
    rows = np.flatnonzero(split | straddles)
    if len(rows) == 0:
        return None
    at = m.sides.at(rows)
    what = np.where(split[rows], "starts on both sides of the boundary", "began inside, ended outside")
    evidence = pd.DataFrame(
        {
            "call_id": pd.Series(at.call_text("id").to_pylist(), dtype="str"),
            "started_at_call": pd.Series(at.call_instants("started_at")).dt.tz_localize("UTC"),
            "started_at_cdr": pd.Series(at.cdr_instants("started_at")).dt.tz_localize("UTC"),
            "ended_at_cdr": pd.Series(at.cdr_instants("ended_at")).dt.tz_localize("UTC"),
            "what": pd.Series(what, dtype="str"),
        }
    )
    message = (
        f"{plural(len(rows), 'matched call')} lie on an edge of the period: {int(split.sum()):,} start inside on one "
        f"side and outside on the other, {int((straddles & ~split).sum()):,} began inside and ended after it."
    )
    advice = "Each belongs by the API's start, and so to one month only; the carrier's bill may count it in the other."
    return Finding("month-boundary", Severity.INFO, message, evidence, advice)


def _probe_noise(m: Material) -> Finding | None:
    """Look for ten unmatched, unanswered calls of callers who never got through.

    Such a caller tries many targets, or is no number at all.
    """
    if m.cdr_buckets is None or len(m.cdr_calls) == 0:
        return None
    answered = m.cdr_calls["is_answered"].to_numpy("bool", na_value=False)
    unmatched = in_buckets(m.cdr_buckets, Bucket.ONLY_IN_CDR) & ~answered
    if int(unmatched.sum()) < _PROBES:
        return None
    # Only the callers of these calls are looked at, and only their other calls can speak for them.
    codes, callers = text_codes(m.cdr_calls["from_number"].loc[unmatched])
    codes = codes + 1  # a missing caller is a caller here
    n_callers = len(callers) + 1
    known = pa.array([None, *callers], pa.large_string())
    everybody = pc.index_in(text_array(m.cdr_calls["from_number"]), value_set=known)
    through = answered | in_buckets(m.cdr_buckets, Bucket.MATCHED)
    of_them = everybody.filter(pa.array(through)).drop_null()
    got_through = np.bincount(np.asarray(of_them), minlength=n_callers)
    tries = np.bincount(codes, minlength=n_callers)
    target_codes, _ = text_codes(m.cdr_calls["to_number"].loc[unmatched])
    attempts = pd.DataFrame({"caller": codes, "target": target_codes}).drop_duplicates()
    targets = np.bincount(attempts["caller"].to_numpy(), minlength=n_callers)
    digits = pc.replace_substring_regex(
        text_array(pd.Series(["", *callers], dtype="str")), pattern="[^0-9]", replacement=""
    )
    no_number = pc.less_equal(pc.binary_length(digits), _SHORT_NUMBER).to_numpy(zero_copy_only=False)
    scans = (tries >= _PROBES) & (targets >= _PROBE_TARGETS)
    suspects = np.flatnonzero((tries > 0) & (got_through == 0) & (scans | no_number))
    n_probes = int(tries[suspects].sum())
    if n_probes < _PROBES:
        return None
    suspects = suspects[np.argsort(-tries[suspects], kind="stable")]
    names: Sequence[str | None] = [None, *callers]
    evidence = pd.DataFrame(
        {
            "from_number": pd.Series([names[code] for code in suspects.tolist()], dtype="str"),
            "n_calls": pd.Series(tries[suspects], dtype="Int64"),
            "n_targets": pd.Series(targets[suspects], dtype="Int64"),
        }
    )
    message = (
        f"{n_probes:,} of {int(unmatched.sum()):,} unanswered calls that only the CDR has look like scanner probes: "
        f"{plural(len(suspects), 'caller')} who never got through, the busiest being {mask_number(evidence['from_number'].iloc[0])}."
    )
    advice = "They stay in only_in_cdr and change nothing; a firewall or a carrier's list keeps them out of the export."
    return Finding("probe-noise", Severity.INFO, message, evidence, advice)


def _number_format(m: Material) -> Finding | None:
    """Look at 50 exactly matched pairs or more: numbers without E.164, or numbers that mostly differ.

    The form of numbers is judged from evenly spaced pairs, 20,000 at most: that many tell.
    """
    rows = []
    exact = m.exact
    if len(exact) > _FORMAT_LOOKED_AT:
        exact = exact.at(np.linspace(0, len(exact) - 1, _FORMAT_LOOKED_AT).astype(np.int64))
    comparison = m.comparison() if callable(m.comparison) else m.comparison
    for party in ("from", "to"):
        has_e164 = exact.cdr_text(f"{party}_e164").is_valid()
        others = exact.cdr_text(f"{party}_number").filter(pc.invert(has_e164))
        # Extensions and names have no E.164 form: only what has the digits of a number should have one.
        lacking = pc.sum(pc.match_substring_regex(others, pattern=_SEVEN_DIGITS)).as_py() or 0
        total = pc.sum(has_e164).as_py() or 0
        rows.append((f"{party}_number", "no E.164 form on the CDR", total + lacking, lacking))
        if comparison is not None:
            result = comparison.results[f"{party}_number"]
            differing = len(result.rows(Standing.DIFFERS))
            compared = comparison.n_compared - len(result.rows(Standing.NO_EVIDENCE))
            rows.append((f"{party}_number", "differs from the API's", compared, differing))
    limits = {"no E.164 form on the CDR": _FORMAT_SHARE, "differs from the API's": _DIFFERING_SHARE}
    bad = [row for row in rows if row[2] >= _FORMAT_PAIRS and row[3] >= limits[row[1]] * row[2]]
    if not bad:
        return None
    evidence = pd.DataFrame(bad, columns=["field", "what", "n_calls", "n_affected"]).astype(
        {"field": "str", "what": "str", "n_calls": "Int64", "n_affected": "Int64"}
    )
    field, what, total, count = bad[0]
    message = (
        f"The form of the CDR's numbers is odd: {field} {what} in {count:,} of {total:,} pairs looked at."
    )
    advice = "Pass country= to read_cdr (the ISO code in whose national form the numbers are), or set Rules(number_digits=…)."
    return Finding("number-format", Severity.WARN, message, evidence, advice)
