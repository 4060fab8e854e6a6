"""Account for every compared call in every field, in a ledger that ties out.

Input is an explained `Comparison`, output a small frame. Every compared call is in
exactly one line of each field, and seconds before plus change equal seconds after,
line by line and in total. A ledger that does not add up is never handed out: it is a
defect, and an error says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.errors import InputError, ReconcileError
from sippet_reconcile.groups import (
    as_names,
    coded,
    day_or_hour_codes,
    group_rows,
    sum_seconds,
    word_series,
)
from sippet_reconcile.reconciliation.comparing.fields import round_seconds
from sippet_reconcile.reconciliation.comparing.standing import Standing
from sippet_reconcile.reconciliation.core import MATCH_RULES, MICROS
from sippet_reconcile.reconciliation.explaining.explanation import UNEXPLAINED
from sippet_reconcile.reconciliation.sides import micros, text_codes
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.comparing.compare import Comparison

__all__ = [
    "AGREEING",
    "LEDGER_GROUPS",
    "NO_EVIDENCE",
    "TOTAL",
    "WITHIN_TOLERANCE",
    "build_ledger",
    "check_compared",
]

AGREEING: Final = "agreeing"
"""The line of the calls whose two sides agree."""

WITHIN_TOLERANCE: Final = "within tolerance, not corrected"
"""The line of the calls whose two sides differ by no more than the tolerance."""

NO_EVIDENCE: Final = "no evidence"
"""The line of the calls about which the CDR says nothing in this field."""

TOTAL: Final = "total"
"""The line that adds up the others of its field, where totals are asked for."""

LEDGER_GROUPS: Final = ("day", "hour", "direction", "user", "source_file", "match_rule")
"""What a ledger can be split by, beside the source columns that were kept (``x_…``); ``sip_username`` is ``user``."""

_SECONDS: Final = ("before_s", "change_s", "after_s", "net_s", "gross_s")
_NEARLY: Final = 1e-9
"""How far two sums of the same seconds may lie apart, as a share: no more than what floating point leaves."""


@dataclass(frozen=True, eq=False)
class _Part:
    """The lines of one field: one element of each array per line.

    Attributes
    ----------
    group
        The group of the line, ascending as the groups are shown.
    line
        Twice the place in the words of lines, and one more where it is corrected; -1 for a total.
    n_calls
        Calls in it.
    seconds
        Name to sums; NaN in fields that have no such seconds.
    """

    group: NDArray[np.int64]
    line: NDArray[np.int64]
    n_calls: NDArray[np.int64]
    seconds: dict[str, NDArray[np.float64]]


def build_ledger(
    comparison: Comparison,
    *,
    by: str | Sequence[str] | None = None,
    corrected: NDArray[np.bool_] | None = None,
    timezone: str = "UTC",
    totals: bool = False,
) -> pd.DataFrame:
    """Account for every compared call in every field, before and after correcting.

    Parameters
    ----------
    comparison
        Explained.
    by
        Any of `LEDGER_GROUPS`, or a source column that was kept: splits every line further.
    corrected
        Marks the discrepancies that would be corrected; those that can be patched
        where not given.
    timezone
        The zone in which days and hours are counted.
    totals
        Whether each field of each group ends in a line ``total``.

    Returns
    -------
    DataFrame
        The `by` columns, ``field``, ``explanation`` (a cause, or ``agreeing``,
        ``within tolerance, not corrected``, ``no evidence``, ``total``), ``is_corrected``
        (boolean, missing for a total), ``n_calls`` (Int64), ``before_s`` and ``after_s``
        (what the API has and would have, a missing duration counting as 0), ``change_s``,
        and ``net_s`` and ``gross_s`` (CDR minus API with and without sign, whether
        corrected or not). Seconds before, changed and after are missing for fields that
        have none.

    Raises
    ------
    InputError
        If `by` names something else.
    ReconcileError
        If the ledger does not tie out, which is a defect.
    """
    names = as_names(by)
    groups, labels = group_rows(
        {name: _codes_of(comparison, name, timezone) for name in names}, comparison.n_compared
    )
    sizes = np.bincount(groups)
    n_groups = len(sizes)
    found = comparison.discrepancies
    to_correct = (
        found["is_patchable"].to_numpy("bool") if corrected is None else np.asarray(corrected, np.bool_)
    )
    field_codes, field_words = text_codes(found["field"])
    cause_codes, cause_words = text_codes(found["explanation"].fillna(UNEXPLAINED))
    lines = [AGREEING, WITHIN_TOLERANCE, NO_EVIDENCE, *cause_words]
    parts: list[list[_Part]] = []
    for name in comparison.results:
        here = (
            np.flatnonzero(field_codes == field_words.index(name))
            if name in field_words
            else np.zeros(0, np.int64)
        )
        _check_standing(comparison, name, comparison.pair_rows[here])
        # Each pair's line: how it stands, and for a difference its cause and whether it is corrected.
        line = comparison.results[name].standing.astype(np.int64) * 2
        line[comparison.pair_rows[here]] = (Standing.DIFFERS + cause_codes[here]) * 2 + to_correct[here]
        seconds = _seconds_of(comparison, name, (line & 1).astype(np.bool_))
        part = _sum_lines(groups, line, sizes, seconds)
        _check_lines(part, seconds, comparison.n_compared, name)
        if name == "duration_seconds":
            _check_change(found, here[to_correct[here]], float(part.seconds["change_s"].sum()))
        parts.append([part, _sum_groups(groups, n_groups, part)] if totals else [part])
    return _framed(parts, names, labels, list(comparison.results), lines)


def _check_standing(comparison: Comparison, name: str, pairs: NDArray[np.int64]) -> None:
    """Raise where the discrepancies of a field are not exactly the pairs that differ in it."""
    standing = comparison.results[name].standing
    differing = np.count_nonzero(standing == Standing.DIFFERS)
    listed = np.zeros(len(standing), np.bool_)
    listed[pairs] = True
    if (
        differing != len(pairs)
        or np.count_nonzero(listed) != len(pairs)
        or (standing[pairs] != Standing.DIFFERS).any()
    ):
        msg = (
            f"the ledger of {name} holds {len(pairs):,} discrepancies, but {differing:,} calls differ in it: "
            "this is a defect, please report it"
        )
        raise ReconcileError(msg)


def _seconds_of(
    comparison: Comparison, name: str, is_corrected: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Return the seconds that each pair adds to its line, for the sums that this field has."""
    gap = comparison.gap_s(name) if name != "duration_seconds" else None
    seconds: dict[str, NDArray[np.float64]] = {}
    if name == "duration_seconds":
        before = np.nan_to_num(comparison.sides.call_seconds("duration_seconds"))
        basis_s = comparison.basis_s()
        rounded_s = round_seconds(basis_s, comparison.rules.duration_rounding)
        change = np.where(is_corrected, rounded_s - before, 0.0)
        # The API's missing seconds are seconds it does not bill.
        gap = np.where(basis_s >= 0, basis_s - before, 0.0)
        seconds = {"before_s": before, "change_s": change}
    if gap is not None:
        # Whole microseconds, as they are compared, add up the same in any order.
        known = micros(np.nan_to_num(gap)) / MICROS
        seconds |= {"net_s": known, "gross_s": np.abs(known)}
    return seconds


def _sum_lines(
    groups: NDArray[np.int64],
    line: NDArray[np.int64],
    sizes: NDArray[np.int64],
    seconds: dict[str, NDArray[np.float64]],
) -> _Part:
    """Count the calls and sum the seconds of each line of each group; `sizes` are the calls of each group."""
    n_groups = len(sizes)
    # Few lines hold nearly all calls: each has a place for every group. What differs is numbered as it occurs.
    rows = np.flatnonzero(line >= Standing.DIFFERS * 2)
    n_settled = Standing.DIFFERS * n_groups
    keys = (line >> 1) * n_groups + groups
    n_lines = int(line.max(initial=0)) + 1
    own, distinct = pd.factorize(groups[rows] * n_lines + line[rows])
    keys[rows] = n_settled + own
    n_keys = n_settled + len(distinct)
    # Most calls agree: they are the rest of their group.
    others = np.flatnonzero(line >= Standing.WITHIN_TOLERANCE * 2)
    n_calls = np.bincount(keys[others], minlength=n_keys)
    n_calls[:n_groups] = sizes - np.bincount(groups[others], minlength=n_groups)
    used = np.flatnonzero(n_calls)
    settled = used[used < n_settled]
    sums = {name: np.full(len(used), np.nan) for name in _SECONDS}
    for name, of_pair in seconds.items():
        some = np.flatnonzero(of_pair)
        sums[name] = sum_seconds(keys[some], of_pair[some], n_keys)[used]
    sums["after_s"] = sums["before_s"] + sums["change_s"]
    return _Part(
        np.concatenate([settled % n_groups if n_groups else settled, distinct // n_lines]),
        np.concatenate([settled // n_groups * 2 if n_groups else settled, distinct % n_lines]),
        n_calls[used],
        sums,
    )


def _sum_groups(groups: NDArray[np.int64], n_groups: int, part: _Part) -> _Part:
    """Add up the lines of each group of one field."""
    return _Part(
        np.arange(n_groups),
        np.full(n_groups, -1, np.int64),
        np.bincount(groups, minlength=n_groups),
        {
            name: np.full(n_groups, np.nan)
            if np.isnan(sums).all()
            else sum_seconds(part.group, sums, n_groups)
            for name, sums in part.seconds.items()
        },
    )


def _check_lines(part: _Part, seconds: dict[str, NDArray[np.float64]], n_compared: int, name: str) -> None:
    """Raise where the lines of a field do not add up to its compared calls and their seconds."""

    def refuse(what: str, found: float, expected: float) -> None:
        msg = (
            f"the ledger of {name} does not tie out: its lines hold {found:,.12g} {what}, expected {expected:,.12g}; "
            "this is a defect, please report it"
        )
        raise ReconcileError(msg)

    if int(part.n_calls.sum()) != n_compared:
        refuse("calls", int(part.n_calls.sum()), n_compared)
    for of, of_pair in seconds.items():
        found, expected = float(part.seconds[of].sum()), float(of_pair.sum())
        if abs(found - expected) > _NEARLY * max(1.0, float(np.abs(of_pair).sum())):
            refuse(of, found, expected)


def _check_change(found: pd.DataFrame, corrected: NDArray[np.int64], change_s: float) -> None:
    """Raise where the seconds that a ledger changes are not those that its discrepancies would write."""
    texts = text_array(found["value_cdr"]).take(pa.array(corrected))
    written = pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False)
    have = found["call_s"].to_numpy("float64", na_value=0.0)[corrected]
    expected = float((written - have).sum())
    if abs(change_s - expected) > _NEARLY * max(1.0, float(np.abs(written - have).sum())):
        msg = (
            f"the ledger changes {change_s:,.12g} s of durations, but its discrepancies would write {expected:,.12g} s: "
            "this is a defect, please report it"
        )
        raise ReconcileError(msg)


def _framed(
    parts: list[list[_Part]],
    names: list[str],
    labels: dict[str, tuple[NDArray[np.int64], list[str]]],
    fields: list[str],
    lines: list[str],
) -> pd.DataFrame:
    """Put the lines of all fields into one frame, in the order in which people read them."""
    flat = [(place, part) for place, of_field in enumerate(parts) for part in of_field]
    rank = np.repeat([place for place, _ in flat], [len(part.line) for _, part in flat]).astype(np.int64)
    group, line, n_calls = (
        np.concatenate([np.zeros(0, np.int64), *(getattr(part, name) for _, part in flat)]).astype(np.int64)
        for name in ("group", "line", "n_calls")
    )
    # Within a field: what agrees, what is left alone, then causes by the number of calls, then the total.
    kind = np.where(line < 0, 2, line >= Standing.DIFFERS * 2)
    size = np.where(kind == 1, -n_calls, 0)
    order = np.lexsort((line, size, kind, rank, group))
    words = pa.array([*lines, TOTAL], pa.large_string())
    columns: dict[str, Any] = {
        name: word_series(codes[group[order]], known) for name, (codes, known) in labels.items()
    }
    columns = {name: columns[name] for name in names}
    columns["field"] = word_series(rank[order], fields)
    columns["explanation"] = word_series(line[order] // 2 % len(words), words.to_pylist())
    is_total = line[order] < 0
    columns["is_corrected"] = pd.arrays.BooleanArray(line[order] % 2 == 1, is_total)
    columns["n_calls"] = pd.array(n_calls[order], dtype="Int64")
    for name in _SECONDS:
        summed = np.concatenate([np.zeros(0), *(part.seconds[name] for _, part in flat)])[order]
        columns[name] = pd.arrays.FloatingArray(np.nan_to_num(summed), np.isnan(summed))
    return pd.DataFrame(columns)


def _codes_of(comparison: Comparison, name: str, timezone: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return what each pair is split by, as `coded` does."""
    sides = comparison.sides

    def user() -> tuple[NDArray[np.int64], list[str]]:
        # As in the discrepancies: the API's, or the CDR's where the API has none.
        return coded(pc.coalesce(sides.call_text("sip_username"), sides.cdr_text("sip_username")))

    columns: dict[str, Callable[[], tuple[NDArray[np.int64], list[str]]]] = {
        "day": lambda: day_or_hour_codes(_started_at(comparison), "day", timezone),
        "hour": lambda: day_or_hour_codes(_started_at(comparison), "hour", timezone),
        "direction": lambda: coded(sides.call_text("direction")),
        "user": user,
        "sip_username": user,
        "source_file": lambda: coded(sides.cdr_text("source_file")),
        "match_rule": lambda: (sides.rule.astype(np.int64), list(MATCH_RULES)),
    }
    if name in columns:
        return columns[name]()
    kept = [str(column) for column in sides.cdr_calls.columns if str(column).startswith("x_")]
    if name not in kept:
        msg = f"a ledger cannot be split by {name!r}; choose from {', '.join([*LEDGER_GROUPS, *kept])}"
        raise InputError(msg)
    return coded(text_array(sides.cdr_calls[name].astype("str")).take(pa.array(sides.cdr_pos)))


def _started_at(comparison: Comparison) -> NDArray[np.datetime64]:
    call = comparison.sides.call_instants("started_at")
    return np.where(np.isnat(call), comparison.sides.cdr_instants("started_at"), call)


def check_compared(balance: pd.DataFrame, n_compared: int) -> None:
    """Raise where the calls that were compared are not those that the balance holds as matched.

    So a ledger, whose lines add up to the compared calls, ties out against the balance.
    """
    matched = balance["side"].eq("api") & balance["bucket"].eq("matched")
    found = int(balance.loc[matched, "rows"].sum())
    if found != n_compared:
        msg = f"{n_compared:,} calls were compared, but the balance holds {found:,} as matched: this is a defect, please report it"
        raise ReconcileError(msg)
