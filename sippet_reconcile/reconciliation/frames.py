"""The frames of a reconciliation, built from row positions when somebody asks for them.

Input are both frames with everything that was decided about their rows, output are
frames as `schema` describes them. Building is deferred: most readers look at a few
frames of many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.reconciliation.balance import BUCKETS, REASONS, code_of, word_column
from sippet_reconcile.reconciliation.core import CONFIDENCES, MATCH_RULES, start_gap_s
from sippet_reconcile.reconciliation.core import PairPositions as Positions
from sippet_reconcile.reconciliation.matching.fallback import e164_of
from sippet_reconcile.reconciliation.sides import text_codes
from sippet_reconcile.schema import PAIRS, Bucket, FrameSchema, Kind, text_array, text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.balance import Sorting
    from sippet_reconcile.reconciliation.matching.legs import LegsAside
    from sippet_reconcile.reconciliation.matching.match import Matches
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["MISSING_STATUS", "Decided", "LazyFrames", "status_table"]

MISSING_STATUS: Final = "(missing)"
"""How a missing status is called in the status table."""


class LazyFrames:
    """Frames by name, each made on first use and kept; what leaves cannot change what is kept."""

    def __init__(self, makers: Mapping[str, Callable[[], pd.DataFrame]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, pd.DataFrame] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all frames."""
        return tuple(self._makers)

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        # Copy-on-write: the caller may write into this one without a copy being made before.
        return self._made[name].copy(deep=False)


@dataclass(frozen=True, eq=False)
class Decided:
    """Both frames, and what was decided about every row.

    Attributes
    ----------
    legs, calls
        As they came in, conformed.
    cdr_calls
        One row per CDR call.
    leg_cdr
        The CDR call of each leg, -1 for legs that do not count.
    aside
        The legs that do not count.
    call_original
        For each call set aside as a repeated one the reason; empty otherwise.
    matches, sorting
        What matching and sorting found.
    rules
        Resolved.
    """

    legs: pd.DataFrame
    calls: pd.DataFrame
    cdr_calls: pd.DataFrame
    leg_cdr: NDArray[np.int64]
    aside: LegsAside
    call_reasons: Mapping[Bucket, tuple[NDArray[np.int64], str]]
    matches: Matches
    sorting: Sorting
    rules: Rules

    @property
    def compared(self) -> Positions:
        """The pairs that are compared."""
        return self.matches.pairs.where(self.sorting.matched)

    def labelled_legs(self) -> pd.DataFrame:
        """Return the legs as they came in, plus ``cdr_id``, ``call_id``, ``bucket`` and ``reason``."""
        call_of_cdr = np.full(len(self.cdr_calls), -1, np.int64)
        call_of_cdr[self.matches.pairs.cdr_pos] = self.matches.pairs.call_pos
        call = (
            np.where(self.leg_cdr >= 0, call_of_cdr[self.leg_cdr], -1) if len(call_of_cdr) else self.leg_cdr
        )
        return self.legs.assign(
            cdr_id=lambda _: _column(_take_or_missing(text_array(self.cdr_calls["cdr_id"]), self.leg_cdr)),
            call_id=lambda _: _column(_take_or_missing(text_array(self.calls["id"]), call)),
            bucket=lambda _: _column(word_column(self.sorting.leg_bucket, BUCKETS)),
            reason=lambda _: _column(self._leg_reasons()),
        )

    def _leg_reasons(self) -> pa.LargeStringArray:
        reasons = word_column(self.sorting.leg_reason, REASONS)
        rows = self.aside.bucket
        problems = text_array(self.legs["problem"])
        reasons = pc.if_else(problems.is_valid(), problems, reasons)
        again = rows[Bucket.DUPLICATE]
        if len(again):
            files = pc.fill_null(
                text_array(self.legs["source_file"]).take(pa.array(self.aside.original)), "?"
            )
            lines = text_array(self.legs["source_row"].take(self.aside.original).astype("str"))
            # Arrow joins texts of one type only, and a literal would be another one than the columns'.
            colon, same = (pa.scalar(word, pa.large_string()) for word in (":", "same record as "))
            place = pc.binary_join_element_wise(files, pc.fill_null(lines, "?"), colon)
            nothing = pa.scalar("", pa.large_string())
            reasons = _put(reasons, again, pc.binary_join_element_wise(same, place, nothing))
        helpers = rows[Bucket.HELPER]
        return _put(reasons, helpers, pa.repeat(pa.scalar("helper leg", pa.large_string()), len(helpers)))

    def labelled_calls(self) -> pd.DataFrame:
        """Return the calls as they came in, plus ``cdr_id``, ``bucket`` and ``reason``."""
        cdr_of_call = np.full(len(self.calls), -1, np.int64)
        cdr_of_call[self.matches.pairs.call_pos] = self.matches.pairs.cdr_pos
        return self.calls.assign(
            cdr_id=lambda _: _column(_take_or_missing(text_array(self.cdr_calls["cdr_id"]), cdr_of_call)),
            bucket=lambda _: _column(word_column(self.sorting.call_bucket, BUCKETS)),
            reason=lambda _: _column(self._call_reasons()),
        )

    def _call_reasons(self) -> pa.LargeStringArray:
        reasons = word_column(self.sorting.call_reason, REASONS)
        for rows, why in self.call_reasons.values():
            reasons = _put(reasons, rows, pa.repeat(pa.scalar(why, pa.large_string()), len(rows)))
        return reasons

    def pairs(self) -> pd.DataFrame:
        """Return one row per matched call, as `schema.PAIRS` describes it."""
        pairs = self.compared
        gap = start_gap_s(self.calls, self.cdr_calls, pairs, clock_offset_s=self.rules.clock_offset_s)
        columns: dict[str, Any] = {
            "call_id": self.calls["id"].array.take(pairs.call_pos),
            "call_uuid": self.calls["call_uuid"].array.take(pairs.call_pos),
            "cdr_id": self.cdr_calls["cdr_id"].array.take(pairs.cdr_pos),
            "match_rule": _column(word_column(pairs.rule, MATCH_RULES)),
            "confidence": _column(word_column(pairs.confidence, CONFIDENCES)),
            "start_gap_s": pd.array(gap, dtype="Float64"),
            "n_legs": self.cdr_calls["n_legs"].array.take(pairs.cdr_pos),
        }
        for column in PAIRS.columns:
            name, _, side = column.name.rpartition("_")
            if side == "cdr" and column.name not in columns:
                columns[column.name] = self.cdr_calls[name].array.take(pairs.cdr_pos)
            elif side == "call" and name.endswith("_e164"):
                e164 = e164_of(self.calls, name.removesuffix("_e164"), pairs.call_pos)
                columns[column.name] = _column(e164)
            elif side == "call":
                columns[column.name] = self.calls[name].array.take(pairs.call_pos)
        return _framed(columns, PAIRS)

    def only_in_cdr(self) -> pd.DataFrame:
        """Return the CDR calls that no call of the API matches."""
        rows = np.flatnonzero(self.sorting.cdr_bucket == code_of(Bucket.ONLY_IN_CDR))
        return self.cdr_calls.take(rows).reset_index(drop=True)

    def only_in_api(self) -> pd.DataFrame:
        """Return the calls that no CDR matches, as fetched, with ``call_id`` in front."""
        rows = np.flatnonzero(self.sorting.call_bucket == code_of(Bucket.ONLY_IN_API))
        found = self.calls.take(rows).reset_index(drop=True)
        return pd.concat(
            [found["id"].rename("call_id"), found.drop(columns="call_id", errors="ignore")], axis=1
        )

    def ambiguous(self) -> pd.DataFrame:
        """Return one row per rival pair; ``cdr_id`` is missing where calls share a key that no CDR names."""
        rivals = self.matches.rivals
        wanted = code_of(Bucket.AMBIGUOUS)
        has_cdr = rivals.cdr_pos >= 0
        kept = self.sorting.call_bucket[rivals.call_pos] == wanted
        kept[has_cdr] |= self.sorting.cdr_bucket[rivals.cdr_pos[has_cdr]] == wanted
        call_pos, cdr_pos, rule = rivals.call_pos[kept], rivals.cdr_pos[kept], rivals.rule[kept]
        gap = np.full(len(call_pos), np.nan)
        both = cdr_pos >= 0
        positions = Positions(call_pos[both], cdr_pos[both], rule[both])
        gap[both] = start_gap_s(
            self.calls, self.cdr_calls, positions, clock_offset_s=self.rules.clock_offset_s
        )
        return pd.DataFrame(
            {
                "call_id": self.calls["id"].array.take(call_pos),
                "cdr_id": _column(_take_or_missing(text_array(self.cdr_calls["cdr_id"]), cdr_pos)),
                "match_rule": _column(word_column(rule, MATCH_RULES)),
                "start_gap_s": pd.array(gap, dtype="Float64"),
            }
        )

    def excluded(self) -> pd.DataFrame:
        """Return one row per excluded call and CDR call: ``side``, ``call_id``, ``cdr_id``, ``reason``.

        Where a matched pair is excluded, both of its rows name both ids.
        """
        excluded = code_of(Bucket.EXCLUDED)
        calls = np.flatnonzero(self.sorting.call_bucket == excluded)
        cdr = np.flatnonzero(self.sorting.cdr_bucket == excluded)
        pairs = self.matches.pairs
        cdr_of_call, call_of_cdr = np.full(len(self.calls), -1), np.full(len(self.cdr_calls), -1)
        cdr_of_call[pairs.call_pos], call_of_cdr[pairs.cdr_pos] = pairs.cdr_pos, pairs.call_pos
        call_at = np.concatenate([calls, call_of_cdr[cdr]]).astype(np.int64)
        cdr_at = np.concatenate([cdr_of_call[calls], cdr]).astype(np.int64)
        side = np.repeat(np.array([0, 1], np.int8), [len(calls), len(cdr)])
        reason = np.concatenate([self.sorting.call_reason[calls], self.sorting.cdr_reason[cdr]])
        return pd.DataFrame(
            {
                "side": _column(word_column(side, ("api", "cdr"))),
                "call_id": _column(_take_or_missing(text_array(self.calls["id"]), call_at)),
                "cdr_id": _column(_take_or_missing(text_array(self.cdr_calls["cdr_id"]), cdr_at)),
                "reason": _column(word_column(reason, REASONS)),
            }
        )

    def status_table(self) -> pd.DataFrame:
        """Return how often each CDR status meets each API status."""
        return status_table(self.calls, self.cdr_calls, self.compared)


def status_table(calls: pd.DataFrame, cdr_calls: pd.DataFrame, pairs: Positions) -> pd.DataFrame:
    """Return matched calls by status: one row per CDR status, one column per API status, counts as Int64."""
    call_codes, call_words = text_codes(calls["status"])
    cdr_codes, cdr_words = text_codes(cdr_calls["status"])
    width = len(call_words) + 1
    row = np.where(cdr_codes < 0, len(cdr_words), cdr_codes)[pairs.cdr_pos]
    column = np.where(call_codes < 0, len(call_words), call_codes)[pairs.call_pos]
    counts = np.bincount(row * width + column, minlength=(len(cdr_words) + 1) * width)
    table = pd.DataFrame(
        counts.reshape(-1, width),
        index=pd.Index([*cdr_words, MISSING_STATUS], name="status_cdr", dtype="str"),
        columns=pd.Index([*call_words, MISSING_STATUS], name="status_call", dtype="str"),
    )
    used = table.loc[table.sum(axis=1).gt(0), table.sum(axis=0).gt(0)]
    return used.sort_index(axis=0).sort_index(axis=1).astype("Int64")


def _column(array: pa.LargeStringArray) -> Any:
    return text_series(array).array


def _take_or_missing(array: pa.LargeStringArray, positions: NDArray[np.int64]) -> pa.LargeStringArray:
    missing = positions < 0
    return array.take(pa.array(positions, mask=missing) if missing.any() else pa.array(positions))


def _put(
    array: pa.LargeStringArray, rows: NDArray[np.int64], values: pa.LargeStringArray
) -> pa.LargeStringArray:
    """Return text with the values of some rows replaced."""
    if not len(rows):
        return array
    mask = np.zeros(len(array), np.bool_)
    mask[rows] = True
    ordered = values.take(pa.array(np.argsort(rows, kind="stable"))).cast(pa.large_string())
    return pc.replace_with_mask(array, pa.array(mask), ordered)


def _framed(columns: Mapping[str, Any], schema: FrameSchema) -> pd.DataFrame:
    frame = pd.DataFrame({name: columns[name] for name in schema.names})
    return (
        frame
        if len(frame)
        else frame.astype({c.name: c.kind.value for c in schema.columns if c.kind is not Kind.INSTANT})
    )
