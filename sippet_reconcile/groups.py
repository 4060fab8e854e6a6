"""Split rows by what people count by: day, hour, user, file; and sum seconds exactly.

Input are columns of discrepancies, of compared pairs or of calls to bill, output are codes
with their words, groups, and sums. Roll-ups, ledgers and what is billed count with
these, so that they cannot disagree about which day a call belongs to, or by a rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from sippet_reconcile.period import load_zone
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = tuple[NDArray[np.int64], list[str]]
    """A code per row, -1 where there is nothing, and the words in their order."""

__all__ = [
    "as_names",
    "coded",
    "column_codes",
    "day_or_hour_codes",
    "group_rows",
    "ordered_words",
    "sum_seconds",
    "word_series",
]

_MICROS: Final = 1_000_000
"""Microseconds in a second."""

_N_HOURS: Final = 24


def as_names(by: str | Sequence[str] | None) -> list[str]:
    """Return what to group by as a list without repetition.

    Examples
    --------
    >>> as_names(None), as_names("day"), as_names(["day", "user", "day"])
    ([], ['day'], ['day', 'user'])
    """
    return [] if by is None else [by] if isinstance(by, str) else list(dict.fromkeys(by))


def coded(texts: pa.Array) -> Codes:
    """Return a code per text and the distinct words in their order; missing has the code -1.

    Examples
    --------
    >>> codes, words = coded(pa.array(["ben", None, "ana"]))
    >>> codes.tolist(), words
    ([1, -1, 0], ['ana', 'ben'])
    """
    encoded = texts.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return ordered_words(codes, encoded.dictionary.to_pylist())


def ordered_words(codes: NDArray[np.int64], words: Sequence[str]) -> Codes:
    """Return codes whose order is that of their words, and the words in it; -1 stays.

    Examples
    --------
    >>> codes, words = ordered_words(np.array([0, -1, 1]), ["ben", "ana"])
    >>> codes.tolist(), words
    ([1, -1, 0], ['ana', 'ben'])
    """
    order = sorted(range(len(words)), key=words.__getitem__)
    rank = np.full(len(words) + 1, -1, np.int64)  # the last is where the code -1 of a missing text looks
    rank[order] = np.arange(len(words))
    return rank[codes], [words[at] for at in order]


def group_rows(columns: Mapping[str, Codes], n_rows: int) -> tuple[NDArray[np.int64], dict[str, Codes]]:
    """Give each row a group number, ascending by the labels, a missing one last; and each group its labels.

    Examples
    --------
    >>> columns = {"day": (np.array([1, 0, 1]), ["mon", "tue"]), "user": (np.array([0, 0, -1]), ["ana"])}
    >>> groups, labels = group_rows(columns, 3)
    >>> groups.tolist(), labels["day"][0].tolist(), labels["user"][0].tolist()
    ([1, 0, 2], [0, 1, 1], [0, 0, -1])
    """
    groups = np.zeros(n_rows, np.int64)
    labels: dict[str, Codes] = {}
    for name, (codes, words) in columns.items():
        n_words = len(words) + 1
        groups, distinct = pd.factorize(groups * n_words + np.where(codes < 0, len(words), codes), sort=True)
        parents = distinct // n_words
        labels = {key: (of_group[parents], known) for key, (of_group, known) in labels.items()}
        own = distinct % n_words
        labels[name] = (np.where(own == len(words), -1, own), list(words))
    return np.asarray(groups, np.int64), labels


def day_or_hour_codes(instants: NDArray[np.datetime64], name: str, timezone: str) -> Codes:
    """Return the local day (``2026-10-01``) or hour of the day (``00`` to ``23``) of each instant.

    Parameters
    ----------
    instants
        In UTC, without their zone; a missing one has the code -1.
    name
        ``day`` or ``hour``.
    timezone
        Where the clock is read. The hour that the clocks repeat is one hour of the day,
        the one they skip has no calls, and a day has 23 or 25 hours then.

    Examples
    --------
    >>> codes, words = day_or_hour_codes(np.array(["2026-10-31T23:30", "NaT"], "M8[us]"), "day", "Europe/Berlin")
    >>> codes.tolist(), words
    ([0, -1], ['2026-11-01'])
    """
    # The wall clock alone: where midnight is skipped by daylight saving there is no such aware instant.
    aware = pd.Series(instants).dt.tz_localize("UTC").dt.tz_convert(load_zone(timezone))
    local = aware.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    days = local.astype("datetime64[D]")
    if name == "day":
        codes, distinct = pd.factorize(days.astype(np.int64), sort=True)
        words = np.datetime_as_string(distinct.astype("datetime64[D]")).tolist()
        is_known = ~np.isnat(local)
        if is_known.all():
            return codes.astype(np.int64), words
        # A missing day counts as the smallest number, so it is the first of all.
        return np.where(is_known, codes - 1, -1).astype(np.int64), words[1:]
    hours = (local - days).astype("timedelta64[h]").astype(np.int64)
    return np.where(np.isnat(local), -1, hours), [f"{hour:02d}" for hour in range(_N_HOURS)]


def word_series(
    codes: NDArray[np.int64], words: Sequence[str], index: pd.Index[Any] | None = None
) -> pd.Series[str]:
    """Return the word of each code; -1 is missing."""
    known = pa.array([*words, None], pa.large_string())
    return text_series(known.take(pa.array(np.where(codes < 0, len(words), codes))), index)


def column_codes(column: pd.Series[Any]) -> NDArray[np.int64]:
    """Return a code per distinct value of any column; missing values are one more."""
    if isinstance(column.dtype, pd.StringDtype):
        encoded = text_array(column).dictionary_encode()
        indices = encoded.indices.fill_null(len(encoded.dictionary))
        return indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return pd.factorize(column, use_na_sentinel=False)[0].astype(np.int64)


def sum_seconds(keys: NDArray[Any], seconds: NDArray[np.float64], n_keys: int) -> NDArray[np.float64]:
    """Sum seconds by key, exactly to the microsecond and in whatever order they come; NaN counts as nothing.

    Parts of a whole so add up to the whole, which sums of fractions in floating point do not.

    Examples
    --------
    >>> sum_seconds(np.array([0, 0, 1]), np.array([0.1, 0.2, np.nan]), 2).tolist()
    [0.3, 0.0]
    """
    known = np.nan_to_num(seconds)
    whole = np.floor(known)
    sums = np.bincount(keys, weights=whole, minlength=n_keys).astype(np.float64)
    rest = known - whole
    if not rest.any():
        return sums
    micros = np.bincount(keys, weights=np.rint(rest * _MICROS), minlength=n_keys)
    carried = np.floor(micros / _MICROS)
    return (sums + carried) + (micros - carried * _MICROS) / _MICROS
