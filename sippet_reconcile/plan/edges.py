"""Find the calls of which the export may lack legs, because it stops, or begins, in their midst.

Input are the calls that a plan may touch with both sides of each, and a reconciliation
with its findings; output is a reason per call, or None. A phone that did not answer is
the last row of a file, the one that did lies behind the cut: what is left of the call
looks unanswered, and nothing in it is known. Three kinds of edges are looked at: files
that a finding names as cut, spans that a finding says are missing, and where all of the
export begins and ends. A file that no finding names has no edge of its own, or each
day's file would have two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.keys import match_positions
from sippet_reconcile.plan.frames import is_among
from sippet_reconcile.reconciliation.core import MICROS
from sippet_reconcile.reconciliation.sides import gap_in_seconds, instants_of, micros, text_codes
from sippet_reconcile.reconciliation.statuses import ANSWERED, normal_word, status_words
from sippet_reconcile.schema import MAX_SECONDS, text_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.plan.build import ReconciliationLike
    from sippet_reconcile.reconciliation.findings import Findings
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["AFTER_ALL", "AHEAD_OF_ALL", "IN_A_GAP", "reasons_at_edges"]

AFTER_ALL: Final = "the call may go on after the end of the export, so legs of it may be missing"
AHEAD_OF_ALL: Final = "the call began ahead of the export, so legs of it may be missing"
IN_A_GAP: Final = "the findings say that the export lacks calls of its time, so legs of it may be missing"
_CUT_END: Final = (
    "the findings say that {} may be cut, and the call may go on after its end, so legs of it may be missing"
)
_CUT_BEGINNING: Final = (
    "the findings say that {} may be cut, and the call may begin ahead of it, so legs of it may be missing"
)

_LAST: Final = (
    "the call may go on after the end of {}, where no other file goes on, so legs of it may be missing"
)
_FIRST: Final = "the call began ahead of {}, and no other file goes on there, so legs of it may be missing"

LONGEST_RING_S: Final = 180
"""Nobody waits longer for a phone to be answered: so long a call may go on at least behind its last known leg."""

LONGEST_LEG_S: Final = 3_600
"""Hardly any leg lasts longer, and one that does shall not spread doubt over a day."""

FEWEST_LEGS: Final = 100
"""Of fewer legs nobody can tell where an export begins and ends: the one call of a ticket would always be the last."""

_NEEDED: Final = frozenset({"cdr_id", "source_file", "started_at", "ended_at"})
_NAT: Final = np.datetime64("NaT", "us")


@dataclass(frozen=True, eq=False)
class _Legs:
    """The legs that could be used, as arrays; times without the clock offset."""

    cdr_id: pd.Series[str]
    source_file: pd.Series[str]
    start: NDArray[np.datetime64]
    end: NDArray[np.datetime64]

    @classmethod
    def of(cls, legs: pd.DataFrame, rules: Rules) -> _Legs:
        columns = {name: legs[name] for name in sorted(_NEEDED)}
        if "problem" in legs.columns:
            usable = legs["problem"].isna().to_numpy()
            columns = {name: column[usable] for name, column in columns.items()}
        offset = float(rules.clock_offset_s)
        start, end = (instants_of(columns[name], offset) for name in ("started_at", "ended_at"))
        return cls(columns["cdr_id"], columns["source_file"], start, end)

    def longest(self) -> np.timedelta64:
        """Return how long a leg may go on that was cut off: as long as the longest one that was not."""
        lasted = gap_in_seconds(self.end, self.start)
        longest_s = np.nanmax(lasted, initial=LONGEST_RING_S) if len(lasted) else LONGEST_RING_S
        return np.timedelta64(round(min(longest_s, LONGEST_LEG_S)), "s")


@dataclass(frozen=True, eq=False)
class _Spans:
    """When each call may have been, by both sides; all instants on the CDR's or the API's clock, whichever is wider.

    Attributes
    ----------
    first, last
        The earliest and the latest instant that either side tells.
    earliest, latest
        The same, and wider by the longest leg where the two sides do not tell the same.
    start_cdr, end_cdr
        What the CDR tells.
    starts_agree, ends_agree
        Whether the API tells the same. Where it does, no leg is missing there. Two clocks
        that differ tell the same if the call lasts equally long on both.
    lacks_answer
        Whether the API has no end and says that somebody answered, while nobody did in the CDR.
    """

    first: NDArray[np.datetime64]
    last: NDArray[np.datetime64]
    earliest: NDArray[np.datetime64]
    latest: NDArray[np.datetime64]
    start_cdr: NDArray[np.datetime64]
    end_cdr: NDArray[np.datetime64]
    starts_agree: NDArray[np.bool_]
    ends_agree: NDArray[np.bool_]
    lacks_answer: NDArray[np.bool_]

    @classmethod
    def of(cls, calls: pd.DataFrame, rules: Rules, longest: np.timedelta64) -> _Spans:
        start, end = (instants_of(calls[name]) for name in ("started_at", "ended_at"))
        offset = float(rules.clock_offset_s)
        start_cdr, end_cdr = (instants_of(calls[name], offset) for name in ("started_at_cdr", "ended_at_cdr"))
        start_gap, end_gap = micros(gap_in_seconds(start_cdr, start)), micros(gap_in_seconds(end_cdr, end))
        tolerance = micros(rules.time_tolerance_s)
        alike = np.abs(end_gap - start_gap) <= tolerance
        starts_agree, ends_agree = (alike | (np.abs(gap) <= tolerance) for gap in (start_gap, end_gap))
        # What only one clock tells is put on the other one as well, by how far the other ends of the call are apart.
        moved_start = np.where(starts_agree, _NAT, start + (end_cdr - end))
        moved_end = np.where(ends_agree, _NAT, end + (start_cdr - start))
        # Where its end is wrong, the seconds that the API counts may still tell how long the call was.
        counted_s = np.minimum(calls["duration_seconds"].to_numpy("float64", na_value=0.0), MAX_SECONDS)
        counted = start + (counted_s * MICROS).astype("timedelta64[us]")
        moved_end = np.fmax(moved_end, np.where(ends_agree, _NAT, counted))
        first = np.fmin(np.fmin(start, start_cdr), np.fmin(moved_start, np.fmin(end, end_cdr)))
        last = np.fmax(np.fmax(end, end_cdr), np.fmax(moved_end, np.fmax(start, start_cdr)))
        earliest = np.fmin(first, np.where(starts_agree, _NAT, start_cdr - longest))
        latest = np.fmax(last, np.where(ends_agree, _NAT, end_cdr + longest))
        lacks_answer = np.isnat(end) & _says_answered(calls["status"], rules)
        lacks_answer &= ~calls["is_answered_cdr"].to_numpy("bool", na_value=True)
        return cls(first, last, earliest, latest, start_cdr, end_cdr, starts_agree, ends_agree, lacks_answer)

    def at(self, rows: NDArray[np.int64]) -> _Spans:
        """Return some of the calls, each as often as it is named."""
        return _Spans(**{name: values[rows] for name, values in vars(self).items()})


def _says_answered(statuses: pd.Series[str], rules: Rules) -> NDArray[np.bool_]:
    """Mark the statuses of the API that only calls have which somebody answered, over or not."""
    answered = {"answered"}.union(*(words.agreeing for words in status_words(ANSWERED, {}, rules).values()))
    words = [word for word in statuses.dropna().unique() if normal_word(word) in answered]
    return is_among(statuses, words).to_numpy()


def reasons_at_edges(calls: pd.DataFrame, cdr_ids: pd.Series[str], rec: ReconciliationLike) -> NDArray[Any]:
    """Say for each call why legs of it may be missing; None where nothing says so.

    A reconciliation that was saved without what a test reads is not held against its
    calls: that test is left out.

    Parameters
    ----------
    calls
        `PLAN_CALLS`.
    cdr_ids
        The CDR call of each.
    rec
        Its findings, legs and rules are read.
    """
    reasons = np.full(len(calls), None, dtype=object)
    if calls.empty or not _NEEDED.issubset(rec.legs.columns):
        return reasons
    legs = _Legs.of(rec.legs, rec.rules)
    spans = _Spans.of(calls, rec.rules, legs.longest())
    # The last one written is the one that is told: a finding says more than an edge of the whole.
    if len(legs.start) >= FEWEST_LEGS:
        last_start, first_end = (
            np.fmax.reduce(legs.start, initial=_NAT),
            np.fmin.reduce(legs.end, initial=_NAT),
        )
        after, ahead = _is_longer(spans, last_start, first_end)
        reasons[after] = AFTER_ALL
        reasons[ahead] = AHEAD_OF_ALL
    for rows, why in _at_files(spans, _Files.of(legs, cdr_ids), rec.findings, rec.rules):
        reasons[rows] = why
    reasons[_in_a_gap(spans, legs, rec.findings, rec.rules)] = IN_A_GAP
    return reasons


def _is_longer(spans: _Spans, last_start: Any, first_end: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Mark the calls that the API lets end after, or begin ahead of, some records, and the CDR does not.

    Records are sorted by start or by end, so nothing is known of what happened after the last start or
    ahead of the first end. Of a call without an end in the API its seconds may say that it went on, or that it was
    answered: then the leg that was lies behind the CDR's, as near as one may be.
    """
    goes_on = np.where(spans.lacks_answer, spans.latest, spans.last)
    after = ~spans.ends_agree & (goes_on > spans.end_cdr) & (goes_on > last_start)
    ahead = ~spans.starts_agree & (spans.first < spans.start_cdr) & (spans.first < first_end)
    return after, ahead


def _in_a_gap(spans: _Spans, legs: _Legs, findings: Findings, rules: Rules) -> NDArray[np.bool_]:
    """Mark the calls that touch a span in which the findings say that the CDR side lacks calls.

    A call in it whose start and end both sides tell alike is of those that are not missing, unless it lasts
    over the whole span: then a leg in its middle may be.
    """
    touching = np.zeros(len(spans.first), np.bool_)
    gaps = _evidence(findings, "missing-hours", ("missing_in", "from", "to"))
    gaps = gaps.loc[gaps["missing_in"].eq("cdr").fillna(value=False).astype("bool")]
    if gaps.empty:
        return touching
    tolerance = _tolerance(rules)
    is_whole = spans.starts_agree & spans.ends_agree
    starts, ends = (np.sort(times[~np.isnat(times)]) for times in (legs.start, legs.end))
    for begin, end in zip(_instants(gaps["from"]), _instants(gaps["to"]), strict=True):
        # The evidence has the starts of the calls that are missing; the export stops ahead of the first
        # of them, and goes on behind the last, at the nearest rows it has.
        stops = np.fmin(begin, np.fmin(_before(starts, begin), _before(ends, begin)))
        goes_on = np.fmax(end, np.fmax(_behind(starts, end), _behind(ends, end)))
        touches = (spans.latest >= stops - tolerance) & (spans.earliest <= goes_on + tolerance)
        lasts_over = (spans.first < stops) & (spans.last > goes_on)
        touching |= touches & (~is_whole | lasts_over)
    return touching


def _before(ordered: NDArray[np.datetime64], at: np.datetime64) -> np.datetime64:
    place = int(np.searchsorted(ordered, at, side="right")) - 1
    return ordered[place] if place >= 0 else _NAT


def _behind(ordered: NDArray[np.datetime64], at: np.datetime64) -> np.datetime64:
    place = int(np.searchsorted(ordered, at, side="left"))
    return ordered[place] if place < len(ordered) else _NAT


@dataclass(frozen=True, eq=False)
class _Files:
    """Where each file begins and ends, one element per file, and the calls that have a leg in it.

    Attributes
    ----------
    names
        As the legs have them.
    is_telling
        Whether it has so many legs that its beginning and its end say something.
    first_start, last_start, first_end, last_end
        Of all its legs.
    call, file
        One element per leg of a call: positions of the call and of the file.
    """

    names: list[str]
    is_telling: NDArray[np.bool_]
    first_start: NDArray[np.datetime64]
    last_start: NDArray[np.datetime64]
    first_end: NDArray[np.datetime64]
    last_end: NDArray[np.datetime64]
    call: NDArray[np.int64]
    file: NDArray[np.int64]

    @classmethod
    def of(cls, legs: _Legs, cdr_ids: pd.Series[str]) -> _Files:
        codes, names = text_codes(legs.source_file)
        starts, ends = (pd.Series(times).groupby(codes) for times in (legs.start, legs.end))
        first_start, last_start, first_end, last_end = (
            bound.reindex(range(len(names))).to_numpy().astype("datetime64[us]")
            for bound in (starts.min(), starts.max(), ends.min(), ends.max())
        )
        call = match_positions(text_array(legs.cdr_id), text_array(cdr_ids))
        rows = np.flatnonzero((call >= 0) & (codes >= 0))
        is_telling = np.bincount(codes[codes >= 0], minlength=len(names)) >= FEWEST_LEGS
        return cls(names, is_telling, first_start, last_start, first_end, last_end, call[rows], codes[rows])

    def is_continued(self) -> NDArray[np.bool_]:
        """Mark the files behind whose end another one begins; a call that is torn there is whole again."""
        later_start = np.fmax.reduce(self.first_start, initial=_NAT) > self.last_start
        return later_start | (np.fmax.reduce(self.first_end, initial=_NAT) > self.last_end)

    def is_continuation(self) -> NDArray[np.bool_]:
        """Mark the files ahead of whose beginning another one ends."""
        earlier_start = np.fmin.reduce(self.last_start, initial=_NAT) < self.first_start
        return earlier_start | (np.fmin.reduce(self.last_end, initial=_NAT) < self.first_end)


def _at_files(
    spans: _Spans, files: _Files, findings: Findings, rules: Rules
) -> list[tuple[NDArray[np.int64], str]]:
    """Return the calls that may go on where a file of theirs ends, or begins, and what to say of them.

    Where no other file goes on from one of many legs it takes a call that the API has as longer. Where a finding says that
    the file may be cut, a call that may be longer is enough, and of the very last and the very first row it
    is not known which others were written with it. A file with a suspicious number of rows may be cut at
    either end: it depends on how it was sorted.
    """
    at, file = spans.at(files.call), files.file
    tolerance = _tolerance(rules)
    named = _evidence(findings, "truncated-export", ("source_file", "missing"))
    cut_end, cut_beginning = (
        pd.Series(files.names, dtype="str")
        .isin(named.loc[named["missing"].ne(other), "source_file"].dropna())
        .to_numpy(dtype="bool")
        for other in ("beginning", "end")
    )
    is_after, is_ahead = _is_longer(at, files.last_start[file], files.first_end[file])
    may_be_after = (~at.ends_agree & (at.latest > files.last_start[file])) | (
        at.end_cdr + tolerance >= files.last_end[file]
    )
    may_be_ahead = (~at.starts_agree & (at.earliest < files.first_end[file])) | (
        at.start_cdr - tolerance <= files.first_start[file]
    )
    found: list[tuple[NDArray[np.int64], str]] = []
    for why, which, legs in (
        (_LAST, files.is_telling & ~files.is_continued(), is_after),
        (_FIRST, files.is_telling & ~files.is_continuation(), is_ahead),
        (_CUT_END, cut_end, may_be_after),
        (_CUT_BEGINNING, cut_beginning, may_be_ahead),
    ):
        rows = np.flatnonzero(legs & which[file])
        rows = rows[np.argsort(file[rows], kind="stable")]
        parts = np.split(rows, np.flatnonzero(np.diff(file[rows])) + 1) if len(rows) else []
        found += [(files.call[part], why.format(files.names[file[part[0]]])) for part in parts]
    return found


def _tolerance(rules: Rules) -> np.timedelta64:
    return np.timedelta64(int(micros(rules.time_tolerance_s)), "us")


def _evidence(findings: Findings, code: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return some columns of the evidence of all findings of a code that has them; no rows where none has."""
    frames = [
        finding.evidence.loc[:, list(columns)]
        for finding in findings
        if finding.code == code and set(columns) <= set(finding.evidence.columns)
    ]
    if not frames:
        return pd.DataFrame({name: pd.Series([], dtype="str") for name in columns})
    return pd.concat(frames, ignore_index=True)


def _instants(series: pd.Series[Any]) -> NDArray[np.datetime64]:
    """Return instants, also of findings whose evidence was kept as text; NaT for what is none."""
    return instants_of(pd.to_datetime(series, utc=True, errors="coerce", format="ISO8601"))
