"""What one CDR call says as a whole, worked out from its legs.

Input are the legs and the CDR call of each, output one row per CDR call: earliest
start, latest end, first answer, the best status, and as billable seconds the time
during which at least one leg talked. A call of one leg keeps what its leg says.
What cannot be known for certain is missing, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.reconciliation.core import MICROS, NAT, count_up, instants_us, latest_so_far
from sippet_reconcile.reconciliation.matching.apart import legs_problems, parties_problems
from sippet_reconcile.reconciliation.matching.cdr_ids import cdr_ids, ids_said
from sippet_reconcile.reconciliation.matching.leg_words import join_statuses
from sippet_reconcile.reconciliation.matching.legs import COARSE_COLUMN, flags_of, take_text, text_rank
from sippet_reconcile.schema import LEG_STATUSES, LEGS, Column, FrameSchema, Kind, text_array, text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.matching.legs import Groups

__all__ = ["CDR_CALLS", "reduce_legs"]

_LATE: Final = np.iinfo(np.int64).max
_RANK: Final = {"in_progress": -1, **{word: rank for rank, word in enumerate(LEG_STATUSES[:-1])}}
_LAST_RANK: Final = len(LEG_STATUSES)
_SECONDS: Final = ("total_s", "billable_s")
_INSTANTS: Final = ("started_at", "answered_at", "ended_at")

_KEPT: Final = (
    "source_file",
    "source_row",
    "started_at",
    "answered_at",
    "ended_at",
    "total_s",
    "billable_s",
    "is_answered",
    "status",
    "direction",
    "from_number",
    "to_number",
    "from_e164",
    "to_e164",
    "sip_username",
    "cause",
    "time_problem",
)
_LEG_COLUMNS: Final = {column.name: column for column in LEGS.columns}

CDR_CALLS: Final = FrameSchema(
    "cdr_calls",
    "one row per call of the CDR, reduced from its legs",
    (
        Column(
            "cdr_id", Kind.TEXT, "stable id: the linked id, the call key, the leg's id, or its file and line"
        ),
        Column("n_legs", Kind.INTEGER, "legs that count"),
        *(_LEG_COLUMNS[name] for name in _KEPT),
        Column("legs_problem", Kind.TEXT, "why its legs cannot be those of one call"),
        Column("leg_statuses", Kind.TEXT, "statuses of its legs, joined by '; '; missing where it has one"),
        Column("is_coarse", Kind.FLAG, "the times of some leg that counts are printed without seconds"),
        *(
            Column(f"{which}_{name}", Kind.SECONDS, f"{name}: {which} of the legs that count")
            for name in _SECONDS
            for which in ("first", "last", "sum")
        ),
    ),
)
"""The frame of CDR calls."""


@dataclass(frozen=True, eq=False)
class _Several:
    """The legs of CDR calls with several legs, sorted by call and then by time.

    Attributes
    ----------
    rows
        Position of each such leg in the legs frame.
    calls
        Rows of these CDR calls, ascending.
    starts
        Where the legs of each begin in `rows`.
    of
        For each leg the place of its call in `calls`.
    """

    rows: NDArray[np.int64]
    calls: NDArray[np.int64]
    starts: NDArray[np.int64]
    of: NDArray[np.int64]

    def place_of(self, n_calls: int) -> pa.Array:
        """Return for every CDR call its place in `calls`; missing where it has one leg."""
        place = np.full(n_calls, -1, np.int64)
        place[self.calls] = np.arange(len(self.calls))
        return pa.array(place, mask=place < 0)

    def first_where(self, known: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return per call the position of its first leg for which something is known, else of its first leg."""
        places = np.where(known, np.arange(len(self.rows)), len(self.rows))
        found = np.minimum.reduceat(places, self.starts)
        return self.rows[np.where(found < len(self.rows), found, self.starts)]

    def least(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the smallest value per call."""
        return np.minimum.reduceat(values, self.starts)

    def most(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the largest value per call."""
        return np.maximum.reduceat(values, self.starts)

    def total(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the sum per call."""
        return np.add.reduceat(values, self.starts)


def reduce_legs(
    legs: pd.DataFrame, counted: NDArray[np.int64], groups: Groups, split_names: pa.LargeStringArray
) -> pd.DataFrame:
    """Return one row per CDR call, as `CDR_CALLS` describes it, then its first leg's ``x_`` columns.

    Parameters
    ----------
    legs
        All legs.
    counted
        Positions of those that count.
    groups
        The CDR call of each counted leg.
    split_names
        What to tell the parts of split groups apart by: one text per CDR call,
        missing for the part that names no call.
    """
    leader = np.empty(len(groups), np.int64)
    leader[groups.cdr_of] = counted
    several = _several(legs, counted, groups)
    if several is not None:
        leader[several.calls] = several.rows[several.starts]
    columns: dict[str, Any] = {}
    names = leader
    if several is not None:
        # The id of a group is that of its legs which have one.
        has_one = np.asarray(ids_said(take_text(text_array(legs["linked_id"]), several.rows)).is_valid())
        names = leader.copy()
        names[several.calls] = several.first_where(has_one)
    columns["cdr_id"] = cdr_ids(legs, names, groups, split_names)
    columns["n_legs"] = pd.arrays.IntegerArray(
        groups.size.astype(np.int64, copy=False), np.zeros(len(groups), np.bool_)
    )
    one_to_one = len(leader) == len(legs) and several is None and count_up(leader)
    kept = [name for name in legs.columns.drop_duplicates(keep=False) if str(name).startswith("x_")]
    for name in (*CDR_CALLS.names, *kept):
        if name in LEGS.names or name in kept:
            series = legs[name]
            columns[name] = series.array if one_to_one else series.array.take(leader)
    coarse = flags_of(legs, COARSE_COLUMN)
    is_coarse = coarse[leader]
    if several is not None:
        is_coarse[several.calls] = several.most(coarse[several.rows].astype(np.int8)).astype(np.bool_)
    said = dict.fromkeys(("legs_problem", "leg_statuses"), pa.nulls(len(leader), pa.large_string()))
    if several is not None:
        statuses = join_statuses(take_text(text_array(legs["status"]), several.rows), several.starts)
        for name, texts in (("legs_problem", _legs_problem(legs, several)), ("leg_statuses", statuses)):
            said[name] = texts.take(several.place_of(len(leader)))
    columns.update({name: text_series(texts).array for name, texts in said.items()})
    columns["is_coarse"] = pd.arrays.BooleanArray(is_coarse, np.zeros(len(is_coarse), np.bool_))
    if several is not None:
        columns.update(_whole(legs, leader, several, columns))
        columns.update(_leg_seconds(legs, several, columns))
    else:
        for name in _SECONDS:
            columns.update({f"{which}_{name}": columns[name] for which in ("first", "last", "sum")})
    return pd.DataFrame({name: columns[name] for name in (*CDR_CALLS.names, *kept)}, copy=False)


def _several(legs: pd.DataFrame, counted: NDArray[np.int64], groups: Groups) -> _Several | None:
    in_several = np.flatnonzero(groups.size[groups.cdr_of] > 1)
    if not len(in_several):
        return None
    at, call = counted[in_several], groups.cdr_of[in_several]
    started, ended = (instants_us(legs[name])[at] for name in ("started_at", "ended_at"))
    started = np.where(started == NAT, _LATE, started)
    files = text_rank(take_text(text_array(legs["source_file"]), at))
    lines = legs["source_row"].to_numpy("int64", na_value=-1)[at]
    # What decides after the start is where the leg stood, then what it says: never its place in the frame.
    billable = legs["billable_s"].to_numpy("float64", na_value=-1.0)[at]
    ids = text_rank(take_text(text_array(legs["leg_id"]), at))
    order = np.lexsort((billable, ended, ids, lines, files, started, call))
    at, call = at[order], call[order]
    new = np.diff(call, prepend=-1) != 0
    return _Several(at, call[new], np.flatnonzero(new), np.cumsum(new) - 1)


def _legs_problem(legs: pd.DataFrame, several: _Several) -> pa.LargeStringArray:
    started, answered, ended = (instants_us(legs[name])[several.rows] for name in _INSTANTS)
    keys, ids = (_text_codes(text_array(legs[name]), several) for name in ("call_key", "leg_id"))
    parties = (
        _text_codes(
            pc.coalesce(text_array(legs[f"{side}_e164"]), text_array(legs[f"{side}_number"])), several
        )
        for side in ("from", "to")
    )
    return pc.coalesce(
        legs_problems(several.of, started, answered, ended, keys),
        parties_problems(several.of, ids, (next(parties), next(parties))),
    )


def _text_codes(array: pa.LargeStringArray, several: _Several) -> NDArray[np.int64]:
    """Return a code for each leg's text; missing is -1."""
    codes = take_text(array, several.rows).dictionary_encode().indices.fill_null(-1)
    return codes.to_numpy(zero_copy_only=False).astype(np.int64)


def _whole(
    legs: pd.DataFrame, leader: NDArray[np.int64], several: _Several, columns: dict[str, Any]
) -> dict[str, Any]:
    """Return the columns that change where a call has several legs."""
    result: dict[str, Any] = {}
    for group, source in _text_sources(legs, several).items():
        positions = leader.copy()
        positions[several.calls] = source
        for name in group:
            result[name] = legs[name].array.take(positions)
    at = several.rows
    instants = {name: instants_us(legs[name])[at] for name in _INSTANTS}
    started = several.least(np.where(instants["started_at"] == NAT, _LATE, instants["started_at"]))
    answered = several.least(np.where(instants["answered_at"] == NAT, _LATE, instants["answered_at"]))
    ended = several.most(instants["ended_at"])
    # A leg that spoke, and whose own end or start is unknown, may reach beyond all the others.
    speaks = ~_silent(legs, several)
    # Between stamps without seconds nobody can count seconds.
    is_coarse = several.most((speaks & flags_of(legs, COARSE_COLUMN)[at]).astype(np.int8)).astype(np.bool_)
    lost_start = several.most((speaks & (instants["started_at"] == NAT)).astype(np.int8)).astype(np.bool_)
    lost_end = several.most((speaks & (instants["ended_at"] == NAT)).astype(np.int8)).astype(np.bool_)
    ended = np.where(lost_end, NAT, ended)
    for name, values in (("started_at", started), ("answered_at", answered), ("ended_at", ended)):
        result[name] = _patched_instants(columns[name], several.calls, np.where(values == _LATE, NAT, values))
    known = (started != _LATE) & (ended != NAT) & (ended >= started) & ~lost_start & ~is_coarse
    # Where no leg has a total, the export counts from the answer, or its start may be the answer.
    known &= several.most(legs["total_s"].notna().to_numpy()[at].astype(np.int8)).astype(np.bool_)
    total = np.where(known, (np.where(known, ended, 0) - np.where(known, started, 0)) / MICROS, np.nan)
    result["total_s"] = _patched_seconds(columns["total_s"], several.calls, total)
    is_answered, known_answer = _any_answered(legs, several)
    result["is_answered"] = _patched_flags(columns["is_answered"], several.calls, is_answered, known_answer)
    billable = _talk_seconds(legs, several, instants["answered_at"], instants["ended_at"])
    result["billable_s"] = _patched_seconds(columns["billable_s"], several.calls, billable)
    return result


def _text_sources(legs: pd.DataFrame, several: _Several) -> dict[tuple[str, ...], NDArray[np.int64]]:
    """Return for groups of text columns the leg that each call takes them from."""
    at = several.rows

    def known(name: str) -> NDArray[np.bool_]:
        return np.asarray(take_text(text_array(legs[name]), at).is_valid())

    encoded = take_text(text_array(legs["status"]), at).dictionary_encode()
    ranks = np.array(
        [_RANK.get(word, _LAST_RANK) for word in encoded.dictionary.to_pylist()] + [_LAST_RANK + 1]
    )
    rank = ranks[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    best = np.minimum.reduceat(rank * len(at) + np.arange(len(at)), several.starts) % len(at)
    return {
        ("status", "cause"): at[best],
        ("direction",): several.first_where(known("direction")),
        ("from_number", "from_e164"): several.first_where(known("from_number")),
        ("to_number", "to_e164"): several.first_where(known("to_number")),
        ("sip_username",): several.first_where(known("sip_username")),
        ("time_problem",): several.first_where(_leading_problems(legs, several)),
    }


def _leading_problems(legs: pd.DataFrame, several: _Several) -> NDArray[np.bool_]:
    """Mark the legs whose problem with daylight saving speaks for the call: one with the end, if there is one."""
    problems = take_text(text_array(legs["time_problem"]), several.rows)
    known = np.asarray(problems.is_valid())
    of_end = np.asarray(pc.fill_null(pc.match_substring(problems, "ended_at"), fill_value=False))
    return np.where(several.most(of_end.astype(np.int8)).astype(np.bool_)[several.of], of_end, known)


def _flags(legs: pd.DataFrame, at: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return ``is_answered`` as true where it is, and as known."""
    series = legs["is_answered"]
    return series.to_numpy("bool", na_value=False)[at], series.notna().to_numpy()[at]


def _silent(legs: pd.DataFrame, several: _Several) -> NDArray[np.bool_]:
    """Mark the legs that certainly never talked and lasted no time: they say nothing about when the call was."""
    billable, total = (
        legs[name].to_numpy("float64", na_value=np.nan)[several.rows] for name in ("billable_s", "total_s")
    )
    answered, answer_known = _flags(legs, several.rows)
    lasted = answered | (billable > 0) | (total > 0)
    return ~lasted & ((answer_known & ~answered) | (billable == 0))


def _any_answered(legs: pd.DataFrame, several: _Several) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    answered, known = _flags(legs, several.rows)
    any_answered = several.most(answered.astype(np.int8)).astype(np.bool_)
    all_known = several.least(known.astype(np.int8)).astype(np.bool_)
    return any_answered, any_answered | all_known


def _talk_seconds(
    legs: pd.DataFrame, several: _Several, answered_at: NDArray[np.int64], ended_at: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return per call the seconds during which at least one of its legs talked.

    Where one leg alone talked, its own seconds are that time and are kept: they may
    be finer than printed stamps. Where a talking leg cannot be placed in time, or
    for a leg nothing is known at all, the sum is missing.
    """
    billable = legs["billable_s"].to_numpy("float64", na_value=np.nan)[several.rows]
    answered, answer_known = _flags(legs, several.rows)
    has_answer_time = answered_at != NAT
    talked = answered | (billable > 0) | (~answer_known & has_answer_time & ~(billable == 0))
    silent = ~talked & ((answer_known & ~answered) | (billable == 0))
    begin, end = answered_at.copy(), ended_at
    # A leg without an answer time talked for its last billable seconds.
    derived = talked & ~has_answer_time & (end != NAT) & (billable >= 0)
    begin[derived] = end[derived] - np.rint(billable[derived] * MICROS).astype(np.int64)
    placed = talked & (begin != NAT) & (end != NAT) & (end >= begin)
    placed &= ~flags_of(legs, COARSE_COLUMN)[several.rows]
    union = _union_us(several, begin, end, placed) / MICROS
    n_talked = several.total(talked.astype(np.int64))
    own = several.total(np.where(talked & ~np.isnan(billable), billable, 0.0))
    own_known = several.total((talked & ~np.isnan(billable)).astype(np.int64)) == 1
    everything_known = several.least((placed | silent).astype(np.int8)).astype(np.bool_)
    alone_known = (
        several.least((talked | silent).astype(np.int8)).astype(np.bool_) & (n_talked == 1) & own_known
    )
    return np.where(alone_known, own, np.where(everything_known, union, np.nan))


def _union_us(
    several: _Several, begin: NDArray[np.int64], end: NDArray[np.int64], placed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return per call the length of the union of its placed intervals, in microseconds."""
    rows = np.flatnonzero(placed)
    lengths = np.zeros(len(several.calls))
    if not len(rows):
        return lengths
    rows = rows[np.lexsort((begin[rows], several.of[rows]))]
    call, begin, end = several.of[rows], begin[rows], end[rows]
    latest = latest_so_far(call, end)
    covered_to = np.concatenate([begin[:1], latest[:-1]])
    covered_to = np.where(np.diff(call, prepend=-1) != 0, begin, covered_to)
    added = np.maximum(end - np.maximum(begin, covered_to), 0)
    return np.bincount(call, weights=added, minlength=len(lengths)).astype(np.float64)


def _leg_seconds(legs: pd.DataFrame, several: _Several, columns: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of the first leg, the last leg and all legs together."""
    result: dict[str, Any] = {}
    last = np.append(several.starts[1:], len(several.rows)) - 1
    for name in _SECONDS:
        seconds = legs[name].to_numpy("float64", na_value=np.nan)[several.rows]
        choices = {"first": seconds[several.starts], "last": seconds[last], "sum": several.total(seconds)}
        for which, values in choices.items():
            result[f"{which}_{name}"] = _patched_seconds(columns[name], several.calls, values)
    return result


def _patched_seconds(array: Any, rows: NDArray[np.int64], values: NDArray[np.float64]) -> Any:
    seconds = array.to_numpy("float64", na_value=np.nan).copy()
    seconds[rows] = values
    missing = np.isnan(seconds)
    return pd.arrays.FloatingArray(np.where(missing, 1.0, seconds), missing)


def _patched_instants(array: Any, rows: NDArray[np.int64], values: NDArray[np.int64]) -> Any:
    instants = instants_us(pd.Series(array, copy=False)).copy()
    instants[rows] = values
    return pd.Series(instants.view("datetime64[us]")).dt.tz_localize("UTC").array


def _patched_flags(
    array: Any, rows: NDArray[np.int64], values: NDArray[np.bool_], known: NDArray[np.bool_]
) -> Any:
    flags = array.to_numpy("bool", na_value=False).copy()
    missing = np.asarray(pd.isna(array)).copy()
    flags[rows] = values
    missing[rows] = ~known
    return pd.arrays.BooleanArray(flags, missing)
