"""Say what the differences come to: by cause, and in a ledger that ties out.

Input is an explained `Comparison`, or its discrepancies alone; output are small
frames. In a ledger every compared call is in exactly one line of each field, and
seconds before plus change equal seconds after, line by line and in total.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from sippet_reconcile._display import plural
from sippet_reconcile.errors import InputError
from sippet_reconcile.period import load_zone
from sippet_reconcile.reconciliation.comparing.standing import Standing
from sippet_reconcile.reconciliation.explaining.explain import find_explanation
from sippet_reconcile.reconciliation.explaining.explanation import UNEXPLAINED
from sippet_reconcile.reconciliation.sides import text_codes
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.comparing.compare import Comparison

__all__ = [
    "AGREEING",
    "LEDGER_GROUPS",
    "NO_EVIDENCE",
    "WITHIN_TOLERANCE",
    "build_ledger",
    "roll_up",
    "rollup_sentences",
]

AGREEING: Final = "agreeing"
"""The line of the calls whose two sides agree."""

WITHIN_TOLERANCE: Final = "within tolerance, not corrected"
"""The line of the calls whose two sides differ by no more than the tolerance."""

NO_EVIDENCE: Final = "no evidence"
"""The line of the calls about which the CDR says nothing in this field."""

LEDGER_GROUPS: Final = ("day", "hour", "direction", "user", "source_file")
"""What a ledger can be split by; ``sip_username`` is another name for ``user``."""

_SECONDS: Final = ("before_s", "change_s", "after_s", "net_s", "gross_s")
_NOUNS: Final[Mapping[str, tuple[str, str]]] = {
    "status": ("wrong status", "wrong statuses"),
    "duration_seconds": ("wrong duration", "wrong durations"),
    "ended_at": ("wrong end", "wrong ends"),
    "started_at": ("differing start", "differing starts"),
    "direction": ("differing direction", "differing directions"),
    "from_number": ("differing caller", "differing callers"),
    "to_number": ("differing called party", "differing called parties"),
    "sip_username": ("differing user", "differing users"),
}


def _as_names(by: str | Sequence[str] | None) -> list[str]:
    return [] if by is None else [by] if isinstance(by, str) else list(by)


def roll_up(
    discrepancies: pd.DataFrame,
    by: str | Sequence[str] = ("field", "explanation"),
    *,
    n_compared: int | None = None,
    timezone: str = "UTC",
) -> pd.DataFrame:
    """Count discrepancies and sum their seconds by any of their columns.

    Parameters
    ----------
    discrepancies
        `schema.DISCREPANCIES`, or any part of it.
    by
        Its columns, and ``day`` or ``hour`` of ``started_at``, and ``user``.
    n_compared
        How many calls were compared; adds ``share_of_compared``.
    timezone
        The zone in which days and hours are counted.

    Returns
    -------
    DataFrame
        The `by` columns, ``n_calls`` (Int64, distinct calls), ``delta_s`` and
        ``gross_s`` (Float64, CDR minus API summed with and without sign; missing
        where the group has no durations),
        ``share_of_field`` (Float64: of the calls that differ in that field, or, where
        `by` has no ``field``, of all that differ), and ``share_of_compared``. The
        largest group first.

    Raises
    ------
    InputError
        If `by` is empty or names no column.
    """
    names = _as_names(by)
    keyed = discrepancies.assign(**{name: _key_column(discrepancies, name, timezone) for name in names})
    if not names:
        msg = "by is empty; name at least one column of the discrepancies, such as 'explanation'"
        raise InputError(msg)
    seconds = keyed["delta_s"].to_numpy("float64", na_value=np.nan)
    keyed = keyed.assign(delta_s=seconds, gross_s=np.abs(seconds))
    grouped = keyed.groupby(names, dropna=False, sort=True)
    # Where no row has seconds, as for fields other than durations, there is nothing to sum, not zero seconds.
    summed = grouped[["delta_s", "gross_s"]].sum(min_count=1)
    rows = summed.assign(n_calls=grouped["call_id"].nunique())[
        ["n_calls", "delta_s", "gross_s"]
    ].reset_index()
    if "field" in names:
        totals = keyed.groupby("field")["call_id"].nunique()
        total = rows["field"].map(totals).to_numpy("float64", na_value=np.nan)
    else:
        total = np.full(len(rows), float(keyed["call_id"].nunique()))
    counts = rows["n_calls"].to_numpy("float64")
    rows = rows.assign(share_of_field=counts / np.where(total > 0, total, np.nan))
    types = {"n_calls": "Int64", "delta_s": "Float64", "gross_s": "Float64", "share_of_field": "Float64"}
    if n_compared is not None:
        rows = rows.assign(share_of_compared=counts / n_compared if n_compared else np.nan)
        types["share_of_compared"] = "Float64"
    rows = rows.astype(types)
    order = np.lexsort((np.arange(len(rows)), -rows["n_calls"].to_numpy("float64")))
    return rows.iloc[order].reset_index(drop=True)


def _key_column(frame: pd.DataFrame, name: str, timezone: str) -> pd.Series[Any]:
    if name in {"day", "hour"} and name not in frame.columns:
        return _day_or_hour(frame["started_at"], name, timezone)
    column = "sip_username" if name == "user" and name not in frame.columns else name
    if column not in frame.columns:
        known = ", ".join([*(str(c) for c in frame.columns), "day", "hour", "user"])
        msg = f"cannot group by {name!r}; there are: {known}"
        raise InputError(msg)
    return frame[column]


def _day_or_hour(instants: pd.Series[pd.Timestamp], name: str, timezone: str) -> pd.Series[str]:
    """Return the local day (``2026-10-01``) or hour of the day (``00`` to ``23``) as text."""
    # The wall clock alone: where midnight is skipped by daylight saving there is no such aware instant.
    local = instants.dt.tz_convert(load_zone(timezone)).dt.tz_localize(None)
    codes: NDArray[Any]
    if name == "day":
        # Days are few: print each once.
        codes, days = pd.factorize(local.dt.normalize())
        words = [day.strftime("%Y-%m-%d") for day in days]
    else:
        codes = local.dt.hour.fillna(-1).astype("int64").to_numpy()
        words = [f"{hour:02d}" for hour in range(24)]
    picked = pa.array([*words, None], pa.large_string()).take(
        pa.array(np.where(codes < 0, len(words), codes))
    )
    return text_series(picked, instants.index)


def rollup_sentences(discrepancies: pd.DataFrame, *, limit: int | None = None) -> list[str]:
    """Say in one sentence per field and cause what the differences are, the commonest first.

    Parameters
    ----------
    discrepancies
        Explained discrepancies.
    limit
        How many sentences at most.

    Examples
    --------
    >>> frame = pd.DataFrame({
    ...     "call_id": ["a", "b", "c"], "field": ["duration_seconds"] * 3,
    ...     "explanation": ["ring-time-included", "ring-time-included", "unexplained"], "delta_s": [-5.0, -7.0, 2.0],
    ... })
    >>> rollup_sentences(frame)
    ['2 of 3 wrong durations include ring time (−12 s)', '1 of 3 wrong durations are unexplained (+2 s)']
    """
    if len(discrepancies) == 0:
        return []
    rows = roll_up(discrepancies, ["field", "explanation"])
    totals = discrepancies.groupby("field")["call_id"].nunique().to_dict()
    sentences: list[str] = []
    for row in rows.head(len(rows) if limit is None else limit).itertuples(index=False):
        known = find_explanation(str(row.explanation))
        phrase = known.phrase if known else f"are {row.explanation}"
        noun = _NOUNS.get(str(row.field), (f"differing {row.field}", f"differing {row.field}"))
        seconds = f" ({_signed(row.delta_s)} s)" if row.field == "duration_seconds" else ""
        sentences.append(f"{row.n_calls:,} of {plural(int(totals[row.field]), *noun)} {phrase}{seconds}")
    return sentences


def _signed(seconds: Any) -> str:
    rounded = round(float(seconds), 3)
    sign = "−" if rounded < 0 else "+"
    return f"{sign}{abs(rounded):,.0f}" if rounded == int(rounded) else f"{sign}{abs(rounded):,}"


def build_ledger(
    comparison: Comparison,
    *,
    by: str | Sequence[str] | None = None,
    corrected: NDArray[np.bool_] | None = None,
    timezone: str = "UTC",
) -> pd.DataFrame:
    """Account for every compared call in every field, before and after correcting.

    Parameters
    ----------
    comparison
        Explained.
    by
        Any of `LEDGER_GROUPS`: splits every line further.
    corrected
        Marks the discrepancies that would be corrected; those that can be patched
        where not given.
    timezone
        The zone in which days and hours are counted.

    Returns
    -------
    DataFrame
        The `by` columns, ``field``, ``explanation`` (a cause, or ``agreeing``,
        ``within tolerance, not corrected``, ``no evidence``), ``is_corrected``
        (boolean), ``n_calls`` (Int64), ``before_s`` and ``after_s`` (what the API has
        and would have, a missing duration counting as 0), ``change_s``, and ``net_s``
        and ``gross_s`` (CDR minus API with and without sign, whether corrected or
        not). Seconds before, changed and after are missing for fields that have none.

    Raises
    ------
    InputError
        If `by` names something else.
    """
    names = _as_names(by)
    groups, labels = _group_pairs(comparison, names, timezone)
    found = comparison.discrepancies
    to_correct = (
        found["is_patchable"].to_numpy("bool") if corrected is None else np.asarray(corrected, np.bool_)
    )
    field_codes, field_words = text_codes(found["field"])
    cause_codes, cause_words = text_codes(found["explanation"].fillna(UNEXPLAINED))
    lines = [AGREEING, WITHIN_TOLERANCE, NO_EVIDENCE, *cause_words]
    parts: list[pd.DataFrame] = []
    for name, result in comparison.results.items():
        # Each pair's line: how it stands, and for a difference its cause and whether it is corrected.
        line = result.standing.astype(np.int64) * 2
        is_corrected = np.zeros(comparison.n_compared, np.bool_)
        here = (
            np.flatnonzero(field_codes == field_words.index(name))
            if name in field_words
            else np.zeros(0, np.int64)
        )
        pairs = comparison.pair_rows[here]
        is_corrected[pairs] = to_correct[here]
        line[pairs] = (Standing.DIFFERS + cause_codes[here]) * 2 + to_correct[here]
        keys, distinct = pd.factorize(groups * (2 * len(lines)) + line)
        sums = _sum_lines(comparison, name, keys, len(distinct), is_corrected)
        part = pd.DataFrame(
            {
                **{
                    key: labels[key].take(pa.array(distinct // (2 * len(lines)))).to_pylist() for key in names
                },
                "field": name,
                "explanation": [lines[code] for code in (distinct % (2 * len(lines)) // 2).tolist()],
                "is_corrected": distinct % 2 == 1,
                **sums,
                "_place": distinct % (2 * len(lines)),
            }
        )
        parts.append(part)
    return _finish(parts, names, list(comparison.results))


def _finish(parts: list[pd.DataFrame], names: list[str], fields: list[str]) -> pd.DataFrame:
    ledger = pd.concat(parts, ignore_index=True)
    rank = ledger["field"].map({name: place for place, name in enumerate(fields)})
    # Within a field: what agrees, what is left alone, then causes by the number of calls.
    is_cause = ledger["_place"].ge(Standing.DIFFERS * 2)
    ledger = ledger.assign(
        _rank=rank, _cause=is_cause, _size=np.where(is_cause, -ledger["n_calls"].to_numpy("float64"), 0)
    )
    ledger = ledger.sort_values(
        [*names, "_rank", "_cause", "_size", "_place"], kind="stable", ignore_index=True
    )
    types = {
        **dict.fromkeys(names, "str"),
        "field": "str",
        "explanation": "str",
        "is_corrected": "boolean",
        "n_calls": "Int64",
        **dict.fromkeys(_SECONDS, "Float64"),
    }
    return ledger.loc[:, list(types)].astype(types)


def _sum_lines(
    comparison: Comparison, name: str, keys: NDArray[Any], n_lines: int, is_corrected: NDArray[np.bool_]
) -> dict[str, Any]:
    """Count the calls and sum the seconds of each line of one field."""
    gap = comparison.results[name].gap_s

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        summed: NDArray[np.float64] = np.bincount(keys, weights=values, minlength=n_lines).astype(np.float64)
        return summed

    missing = np.full(n_lines, np.nan)
    sums: dict[str, Any] = dict.fromkeys(_SECONDS, missing)
    sums["n_calls"] = np.bincount(keys, minlength=n_lines)
    if name == "duration_seconds":
        before = np.nan_to_num(comparison.sides.call_seconds("duration_seconds"))
        change = np.where(is_corrected, comparison.rounded_s - before, 0.0)
        # The API's missing seconds are seconds it does not bill.
        gap = np.nan_to_num(comparison.basis_s - before)
        gap = np.where(comparison.basis_s >= 0, gap, 0.0)
        sums |= {"before_s": total(before), "change_s": total(change), "after_s": total(before + change)}
    if gap is not None:
        known = np.nan_to_num(gap)
        sums |= {"net_s": total(known), "gross_s": total(np.abs(known))}
    return sums


def _group_pairs(
    comparison: Comparison, names: list[str], timezone: str
) -> tuple[NDArray[np.int64], dict[str, pa.Array]]:
    """Give each pair a group number, and name the groups in every `by` column."""
    groups = np.zeros(comparison.n_compared, np.int64)
    labels: dict[str, pa.Array] = {}
    for name in names:
        values = text_array(_group_column(comparison, name, timezone))
        encoded = values.dictionary_encode()
        n_words = len(encoded.dictionary) + 1
        codes = encoded.indices.fill_null(n_words - 1).to_numpy(zero_copy_only=False).astype(np.int64)
        words = pa.array([*encoded.dictionary.to_pylist(), None], pa.large_string())
        groups, distinct = pd.factorize(groups * n_words + codes)
        parents = pa.array(distinct // n_words)
        labels = {key: label.take(parents) for key, label in labels.items()}
        labels[name] = words.take(pa.array(distinct % n_words))
    return np.asarray(groups, np.int64), labels


def _group_column(comparison: Comparison, name: str, timezone: str) -> pd.Series[str]:
    sides = comparison.sides
    columns: dict[str, Callable[[], pd.Series[str]]] = {
        "day": lambda: _day_or_hour(_started_at(comparison), "day", timezone),
        "hour": lambda: _day_or_hour(_started_at(comparison), "hour", timezone),
        "direction": lambda: text_series(sides.call_text("direction")),
        "user": lambda: text_series(sides.call_text("sip_username")),
        "sip_username": lambda: text_series(sides.call_text("sip_username")),
        "source_file": lambda: text_series(sides.cdr_text("source_file")),
    }
    if name not in columns:
        msg = f"a ledger cannot be split by {name!r}; choose from {', '.join(LEDGER_GROUPS)}"
        raise InputError(msg)
    return columns[name]()


def _started_at(comparison: Comparison) -> pd.Series[pd.Timestamp]:
    call = comparison.sides.call_instants("started_at")
    cdr = comparison.sides.cdr_instants("started_at")
    started: pd.Series[Any] = pd.Series(np.where(np.isnat(call), cdr, call))
    return started.dt.tz_localize("UTC")
