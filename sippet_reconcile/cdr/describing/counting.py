"""Count what is in legs: rows by status, cause and file, legs of calls, kinds of problems, seconds, numbers.

Input are columns of legs, output are small frames. Every count of rows adds up to all of
them: what is missing, or is too much to show, has a row of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from sippet_reconcile.cdr.describing.masking import mask_sample
from sippet_reconcile.phones import NUMBER_KINDS, classify_numbers
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["LATE", "PLAINLY_NATIONAL", "by_cause", "by_direction", "by_file", "by_status", "calls_by_legs", "codes_of", "helpers_by_cause",
           "increment_of", "kinds_of_number", "kinds_of_problem", "micros_of", "oddities", "repeats", "stated_seconds"]  # fmt: skip

Codes: TypeAlias = "NDArray[np.int64]"
Mask: TypeAlias = "NDArray[np.bool_]"

LATE: Final = np.iinfo(np.int64).max
"""Stands for an instant that is not known, behind all others."""

_MICROS: Final = 1_000_000
_DAY: Final = 86_400 * _MICROS
_MOST_CAUSES: Final = 10
_MOST_KINDS: Final = 10
_MOST_HELPERS: Final = 5
_EXAMPLES: Final = 3
_BUNDLES: Final = ((1, 1, "1"), (2, 2, "2"), (3, 3, "3"), (4, 9, "4 to 9"), (10, None, "10 or more"))
PLAINLY_NATIONAL: Final = r"^(?:[1-9]\d{6,10}|0[2-9]\d{5,13})$"
"""What can only be a number that needs a country, so that millions of them need no look at each."""

_INCREMENTS: Final = (60, 30, 6)
_ENOUGH: Final = 20  # answered legs from which whole multiples are no accident
_NEARLY_ALL: Final = 0.99


def codes_of(series: pd.Series[str]) -> tuple[Codes, list[str]]:
    """Return a column of text as places in the list of its distinct values, -1 where it is missing."""
    codes, distinct = _encoded(series)
    return codes, distinct.to_pylist()


def _encoded(series: pd.Series[str]) -> tuple[Codes, pa.LargeStringArray]:
    encoded = text_array(series).dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1)).astype(np.int64), encoded.dictionary


def micros_of(series: pd.Series[pd.Timestamp]) -> tuple[Codes, Mask]:
    """Return instants in microseconds, and which of them are known."""
    known = series.notna().to_numpy()
    at = series.dt.tz_convert(None).to_numpy().astype("M8[us]").view(np.int64)
    return np.where(known, at, LATE), known


def _counts(codes: Codes, n_values: int, mask: Mask | None = None) -> Codes:
    """Return how many rows have each value, and last, how many have none."""
    chosen = codes if mask is None else codes[mask]
    return np.bincount(np.where(chosen < 0, n_values, chosen), minlength=n_values + 1)


def _flags(series: pd.Series[bool]) -> tuple[Mask, Mask]:
    """Return which rows are surely True, and which are surely False."""
    known = series.notna().to_numpy()
    true = series.fillna(value=False).to_numpy(dtype=bool)
    return true, known & ~true


def by_status(legs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per status: its rows, how many of them were answered, and their billable seconds."""
    codes, values = codes_of(legs["status"])
    yes, no = _flags(legs["is_answered"])
    seconds = legs["billable_s"].to_numpy(dtype=float, na_value=np.nan)
    billable = np.where(np.isfinite(seconds), seconds, 0)
    rows = _counts(codes, len(values))
    frame = pd.DataFrame(
        {
            "status": pd.Series([*values, "(missing)"], dtype="str"),
            "rows": rows,
            "answered": _counts(codes, len(values), yes),
            "not_answered": _counts(codes, len(values), no),
            "not_known": rows - _counts(codes, len(values), yes) - _counts(codes, len(values), no),
            "billable_s": np.bincount(
                np.where(codes < 0, len(values), codes), weights=billable, minlength=len(values) + 1
            ).round(6),
        }
    )
    frame = frame[frame["rows"] > 0]
    return frame.sort_values("rows", ascending=False, kind="stable", ignore_index=True)


def by_direction(legs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per direction, and one for the rows that tell none."""
    return _by_value(legs, "direction", "(not told)", most=10)


def by_cause(legs: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each of the commonest causes, one for all others, and one for the rows without."""
    return _by_value(legs, "cause", "(none)", most=_MOST_CAUSES)


def helpers_by_cause(legs: pd.DataFrame) -> pd.DataFrame:
    """Return the causes of helper legs; no row where there are none, or nobody marked them."""
    if "is_helper" not in legs:
        return _by_value(legs.iloc[:0], "cause", "(none)", most=1)
    helper = legs["is_helper"].fillna(value=False).to_numpy(dtype=bool)
    return _by_value(legs.loc[helper], "cause", "(none)", most=_MOST_HELPERS)


def _by_value(legs: pd.DataFrame, name: str, missing: str, *, most: int) -> pd.DataFrame:
    codes, values = codes_of(legs[name])
    yes, _ = _flags(legs["is_answered"])
    rows, answered = _counts(codes, len(values)), _counts(codes, len(values), yes)
    order = np.argsort(-rows[:-1], kind="stable")
    first, rest = order[:most], order[most:]
    found = [(values[at], int(rows[at]), int(answered[at])) for at in first.tolist()]
    if len(rest):
        found.append((f"({len(rest):,} others)", int(rows[rest].sum()), int(answered[rest].sum())))
    if rows[-1]:
        found.append((missing, int(rows[-1]), int(answered[-1])))
    return pd.DataFrame(found, columns=[name, "rows", "answered"]).astype(
        {name: "str", "rows": "int64", "answered": "int64"}
    )


def by_file(legs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per file, in the order of the legs; files of one name and different content are several."""
    (names, texts), (hashes, digests) = codes_of(legs["source_file"]), codes_of(legs["source_sha256"])
    _, first, codes = np.unique(
        (names + 1) * (len(digests) + 1) + hashes + 1, return_index=True, return_inverse=True
    )
    started, known = micros_of(legs["started_at"])
    earliest, latest = np.full(len(first), LATE), np.full(len(first), -LATE)
    np.minimum.at(earliest, codes, started)
    np.maximum.at(latest, codes[known], started[known])
    yes, _ = _flags(legs["is_answered"])
    formats = legs["format"].iloc[first]
    frame = pd.DataFrame(
        {
            "file": pd.Series([texts[at] if at >= 0 else "" for at in names[first].tolist()], dtype="str"),
            "format": formats.reset_index(drop=True),
            "rows": np.bincount(codes, minlength=len(first)),
            "answered": np.bincount(codes[yes], minlength=len(first)),
            "with_problem": np.bincount(codes[legs["problem"].notna().to_numpy()], minlength=len(first)),
            "first_start": _instants(earliest, earliest != LATE),
            "last_start": _instants(latest, latest != -LATE),
            "sha256": pd.Series(
                [digests[at][:12] if at >= 0 else "" for at in hashes[first].tolist()], dtype="str"
            ),
            "last_problem": _problem_of_last_row(legs, codes, len(first)),
        }
    )
    return frame.iloc[np.argsort(first, kind="stable")].reset_index(drop=True)


def _problem_of_last_row(legs: pd.DataFrame, codes: Codes, n_files: int) -> pd.Series[str]:
    last = np.zeros(n_files, np.int64)
    last[codes] = np.arange(len(codes))
    return legs["problem"].iloc[last].reset_index(drop=True)


def _instants(micros: Codes, known: Mask) -> pd.Series[pd.Timestamp]:
    at = np.where(known, micros, np.iinfo(np.int64).min).view("M8[us]")
    return pd.Series(at).dt.tz_localize("UTC")


def calls_by_legs(legs: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return how many calls have how many legs, and the figures that stand above that."""
    codes, values = _encoded(legs["linked_id"])
    sizes = _counts(codes, len(values))
    of_calls, without = sizes[:-1], int(sizes[-1])
    found = []
    for least, most, name in _BUNDLES:
        inside = of_calls[(of_calls >= least) & (of_calls <= (LATE if most is None else most))]
        found.append((name, len(inside), int(inside.sum())))
    if without:
        found.append(("(no id)", 0, without))
    frame = pd.DataFrame(found, columns=["legs_per_call", "calls", "rows"])
    started, known = micros_of(legs["started_at"])
    begin, end = np.full(len(values), LATE), np.full(len(values), -LATE)
    chosen = known & (codes >= 0)
    np.minimum.at(begin, codes[chosen], started[chosen])
    np.maximum.at(end, codes[chosen], started[chosen])
    has_start = begin != LATE
    return frame, {
        "calls_by_linked_id": len(of_calls),
        "legs_per_call": round(float(of_calls.mean()), 2) if len(of_calls) else None,
        "most_legs_of_a_call": int(of_calls.max(initial=0)),
        "calls_over_a_day": int((end[has_start] - begin[has_start] > _DAY).sum()),
    }


def repeats(legs: pd.DataFrame) -> dict[str, int]:
    """Return how many rows repeat an earlier one, and how many of them repeat one of another file."""
    hashes = legs["record_hash"]
    known = hashes.notna().to_numpy()
    values = hashes[known].to_numpy(dtype=np.int64)
    again = pd.Series(values).duplicated().to_numpy()
    found = {"repeated_records": int(again.sum()), "repeated_in_another_file": 0}
    if found["repeated_records"]:
        files = codes_of(legs["source_file"])[0][known]
        places, _ = pd.factorize(values)
        _, first = np.unique(places, return_index=True)
        found["repeated_in_another_file"] = int((files[first[places]] != files)[again].sum())
    return found


def kinds_of_problem(legs: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return one row per kind of problem, most frequent first, with the first lines that have it.

    Values in quotes and digits differ from row to row; the kind of problem is what
    remains. What is behind the tenth kind is one row.
    """
    at = np.flatnonzero(legs[name].notna().to_numpy())
    chosen = legs.iloc[at]
    distinct = text_array(chosen[name]).dictionary_encode()
    words = pc.replace_substring_regex(distinct.dictionary, r"'[^']*'", "'…'")
    kinds = pc.replace_substring_regex(words, r"\d[\d:, -]*\d|\d", "…").dictionary_encode()
    codes = np.asarray(kinds.indices)[np.asarray(distinct.indices)] if len(at) else np.zeros(0, np.int64)
    rows = np.bincount(codes, minlength=len(kinds.dictionary))
    by_kind, names = np.argsort(codes, kind="stable"), kinds.dictionary.to_pylist()
    begins = np.cumsum(rows) - rows
    order = np.argsort(-rows, kind="stable")
    found = [
        (names[kind], int(rows[kind]), _places(chosen, by_kind[begins[kind] :][: rows[kind]]))
        for kind in order[:_MOST_KINDS].tolist()
    ]
    rest = order[_MOST_KINDS:]
    if len(rest):
        found.append((f"({len(rest):,} other kinds)", int(rows[rest].sum()), ""))
    return pd.DataFrame(found, columns=["problem", "rows", "where"]).astype({"rows": "int64"})


def _places(legs: pd.DataFrame, rows: Codes) -> str:
    few = legs.iloc[rows[:_EXAMPLES]]
    lines = few["source_row"].astype("str").fillna("?")
    shown = "; ".join(
        f"{file}:{line}" for file, line in zip(few["source_file"].fillna(""), lines, strict=True)
    )
    more = len(rows) - len(few)
    return f"{shown} and {more:,} more" if more > 0 else shown


def stated_seconds(legs: pd.DataFrame) -> pd.DataFrame:
    """Return how the total agrees with the time from start to end, in rows; every row is in one of five classes."""
    (started, has_start), (ended, has_end) = micros_of(legs["started_at"]), micros_of(legs["ended_at"])
    total = legs["total_s"].to_numpy(dtype=float, na_value=np.nan)
    whole = has_start & has_end & ~np.isnan(total)
    off = np.round((ended[whole] - started[whole]) / _MICROS - total[whole], 6)
    is_equal, is_more, is_less = np.abs(off) < 1, (off >= 1) & (off < 2), (off <= -1) & (off > -2)  # noqa: PLR2004
    counts = [int(mask.sum()) for mask in (is_equal, is_more, is_less)]
    return pd.DataFrame(
        {
            "end_minus_start": ["the total", "1 s more", "1 s less", "another figure", "(not told)"],
            "rows": [*counts, int(whole.sum()) - sum(counts), int((~whole).sum())],
        }
    )


def oddities(legs: pd.DataFrame) -> dict[str, int]:
    """Return how many rows have seconds that want an explanation."""
    total = legs["total_s"].to_numpy(dtype=float, na_value=np.nan)
    billable = legs["billable_s"].to_numpy(dtype=float, na_value=np.nan)
    yes, no = _flags(legs["is_answered"])
    with np.errstate(invalid="ignore"):
        has_fraction = np.zeros(len(total), bool)
        for seconds in (total, billable):
            has_fraction |= np.isfinite(seconds) & (seconds % 1 != 0)
        return {
            "billable_above_total": int((billable > total).sum()),
            "answered_with_0_s": int((yes & (billable == 0)).sum()),
            "unanswered_with_seconds": int((no & (billable > 0)).sum()),
            "with_fractions_of_a_second": int(has_fraction.sum()),
        }


def increment_of(legs: pd.DataFrame) -> tuple[int | None, int]:
    """Return of how many seconds nearly all billable seconds are whole multiples, and how many legs tell.

    None where they are not, or where too few legs tell.
    """
    billable = legs["billable_s"].to_numpy(dtype=float, na_value=np.nan)
    positive = billable[np.isfinite(billable) & (np.nan_to_num(billable) > 0)]
    if len(positive) < _ENOUGH:
        return None, len(positive)
    found = (step for step in _INCREMENTS if (positive % step == 0).mean() >= _NEARLY_ALL)
    return next(found, None), len(positive)


def kinds_of_number(
    legs: pd.DataFrame, *, country: str | None, strip_prefixes: Sequence[str]
) -> pd.DataFrame:
    """Return one row per kind of number: callers and called of that kind, and an example, masked."""
    sides = {side: _kinds(legs, side, country, tuple(strip_prefixes)) for side in ("from", "to")}
    found = []
    for kind, meaning in {**NUMBER_KINDS, "(none)": "no number was delivered"}.items():
        counts = [sides[side].get(kind, (0, "")) for side in ("from", "to")]
        if sum(count for count, _ in counts):
            examples = [text for _, text in counts if text]
            found.append((kind, counts[0][0], counts[1][0], examples[0] if examples else "", meaning))
    return pd.DataFrame(found, columns=["kind", "callers", "called", "such_as", "meaning"]).astype(
        {"callers": "int64", "called": "int64"}
    )


def _kinds(
    legs: pd.DataFrame, side: str, country: str | None, prefixes: tuple[str, ...]
) -> dict[str, tuple[int, str]]:
    """Return each kind of number with its rows and an example; what has an E.164 number needs no look."""
    delivered = legs[f"{side}_number"]
    has_e164, has_any = legs[f"{side}_e164"].notna().to_numpy(), delivered.notna().to_numpy()
    left = delivered[has_any & ~has_e164]
    found: dict[str, tuple[int, str]] = {}

    def add(kind: str, rows: int, text: str) -> None:
        before, example = found.get(kind, (0, ""))
        found[kind] = (before + rows, example or mask_sample(text, is_name=kind == "name"))

    texts = text_array(left)
    if country is None and not prefixes:
        plain = pc.match_substring_regex(texts, PLAINLY_NATIONAL)
        n_plain = pc.sum(plain).as_py() or 0
        if n_plain:
            add("needs_country", n_plain, texts[pc.index(plain, value=True).as_py()].as_py())
            texts = texts.filter(pc.invert(plain))
    encoded = texts.dictionary_encode()
    distinct = encoded.dictionary
    kinds = classify_numbers(distinct, country=country, strip_prefixes=prefixes).to_pylist()
    rows = np.bincount(np.asarray(encoded.indices), minlength=len(distinct)) if len(distinct) else np.zeros(0)
    for text, kind, count in zip(distinct.to_pylist(), kinds, rows.tolist(), strict=True):
        # Read when other things were known of it: what it is called now matters less than that it has no number.
        add("needs_country" if kind in (None, "e164") else kind, int(count), text)
    first = delivered[has_e164 & has_any].iloc[:1].tolist()
    if int(has_e164.sum()):
        found["e164"] = (int(has_e164.sum()), mask_sample(first[0]) if first else "")
    missing = int((~has_any & ~has_e164).sum())
    return {**found, "(none)": (missing, "")} if missing else found
