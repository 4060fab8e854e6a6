"""Say which instants the printed times of a file mean.

Input are stamps as read and a time zone, or ids that carry an epoch; output are
instants in UTC. A time that the zone's clock showed twice is settled where the
record's own seconds, or its id, leave one possibility, and is missing otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from sippet_reconcile.cdr.times.local_times import LocalInstants, micros_to_utc
from sippet_reconcile.errors import CdrFormatError, InputError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from sippet_reconcile.cdr.times.stamps import Stamps

__all__ = ["OFFSETS", "Clock", "Timeline", "as_coarse", "check_zone", "find_clock", "timeline"]

Mask: TypeAlias = "NDArray[np.bool_]"
Micros: TypeAlias = "NDArray[np.int64]"

MICROS: Final = 1_000_000
_QUARTER: Final = 900 * MICROS
_NEAR: Final = 3 * MICROS  # a first segment starts so soon after its id was made
_FITS: Final = 2 * MICROS  # seconds are cut, and cut times are subtracted
_DOMINANT: Final = 0.5  # share of the telling rows that one offset must have
_STRAY: Final = 0.05  # share from which a second offset is no accident of later segments
_FEW: Final = 3
_HALF_HOUR: Final = 1800 * MICROS  # clocks are changed by this, or by twice or four times as much
_MOST_CHANGED: Final = 7200 * MICROS
_FURTHEST: Final = 14 * 3600 * MICROS  # no zone is further from UTC
# Minutes by which clocks have been ahead of UTC in this century, besides the whole hours from -12 to +14.
_ODD_OFFSETS: Final = (-570, -270, -210, -150, 210, 270, 330, 345, 390, 510, 525, 570, 630, 690, 765, 825)
_IN_USE: Final = np.array([*range(-720, 841, 60), *_ODD_OFFSETS], np.int64) * 60 * MICROS
_MINUTE: Final = 60 * MICROS
_SLACK: Final = 60 * MICROS  # by so much a clock may be set back while it runs

OFFSETS: Final = "offsets or epochs in the data"
"""How a clock is known that no time needed."""

COLUMNS: Final = ("started_at", "answered_at", "ended_at")


@dataclass(frozen=True)
class Clock:
    """The clock of a file: a zone, or a fixed offset in microseconds; `how` says how it is known."""

    zone: ZoneInfo | None
    offset: int
    how: str

    @property
    def name(self) -> str:
        """The zone's name, or the offset."""
        return self.zone.key if self.zone is not None else offset_name(self.offset)

    def to_utc(self, stamps: Stamps) -> LocalInstants:
        """Return a column of stamps as instants; those that are UTC already stay."""
        local = stamps.known & ~stamps.is_utc
        if self.zone is None:
            at = np.where(local, stamps.micros - self.offset, stamps.micros) if self.offset else stamps.micros
            nothing = np.zeros(len(at), bool)
            return LocalInstants(at, at, nothing, nothing)
        if bool(local.all()):
            return micros_to_utc(stamps.micros, self.zone)
        found = micros_to_utc(stamps.micros, self.zone, local)
        first = np.where(local, found.first, stamps.micros)
        is_one = found.second is found.first
        second = first if is_one else np.where(local, found.second, stamps.micros)
        return LocalInstants(first, second, found.repeated & local, found.skipped & local)


def offset_name(offset: int) -> str:
    """Return an offset in microseconds as people write it.

    Examples
    --------
    >>> offset_name(0), offset_name(-5 * 3600 * 1_000_000)
    ('UTC+00:00', 'UTC-05:00')
    """
    minutes = abs(offset) // MICROS // 60
    return f"UTC{'-' if offset < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def as_coarse(epoch: Micros, started: Stamps) -> Micros:
    """Return epochs without their seconds where the starts beside them have none: the two are compared then.

    Left as they are, the few calls that began with a minute would speak for the whole file.
    """
    if not bool(started.coarse.any()):
        return epoch
    return np.where(started.coarse, epoch - epoch % _MINUTE, epoch)


def _telling(gaps: Micros) -> tuple[Micros, Micros, Micros]:
    """Return the whole quarter hours among gaps, how often each occurs (most often first), and each gap's own.

    Later segments of a call start any time after its id was made; their gaps are no
    whole quarter hours but by accident.
    """
    quarters = (gaps + _NEAR // 3) // _QUARTER * _QUARTER
    whole = (gaps - quarters <= _NEAR) & (gaps - quarters >= -(_NEAR // 3))
    values, counts = np.unique(quarters[whole], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return values[order], counts[order], np.where(whole, quarters, np.iinfo(np.int64).min)


def _rivals(main: int, gaps: tuple[Micros, Micros, Micros], epochs: Micros) -> list[tuple[int, int]]:
    """Return the other offsets that the ids show and later segments do not explain, each with its calls.

    Many calls have one, or several in a row: a clock that was changed near the end of a
    file shows in few calls, but in all of them. A call that also has a leg by the main
    offset was merely continued later.
    """
    values, counts, own = gaps
    found: list[tuple[int, int]] = []
    usual: Micros | None = None
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        if value == main or count < _FEW:
            continue
        usual = np.sort(epochs[own == main]) if usual is None else usual
        calls = np.unique(epochs[own == value])
        place = np.searchsorted(usual, calls)
        if len(usual):
            alone = usual[np.minimum(place, len(usual) - 1)] != calls
            calls, place = calls[alone], place[alone]
        by = abs(value - main)
        is_change = by % _HALF_HOUR == 0 and by <= _MOST_CHANGED
        in_a_row = int(np.bincount(place).max(initial=0)) if is_change else 0
        if len(calls) >= _FEW and (len(calls) > _STRAY * counts.sum() or in_a_row >= _FEW):
            found.append((value, len(calls)))
    return found


def find_clock(
    zone: ZoneInfo | None, started: Stamps, others: list[Stamps], epoch: Micros | None, where: str
) -> Clock:
    """Return the clock of a file: the caller's zone, checked against the ids, or the one the ids tell.

    Raises
    ------
    InputError
        If the times are local and nobody says where.
    CdrFormatError
        If the ids say that the zone is another one.
    """
    if started.n_local == 0 and all(stamps.n_local == 0 for stamps in others):
        return Clock(zone, 0, OFFSETS)
    epoch = None if epoch is None else as_coarse(epoch, started)
    told = (
        np.zeros(len(started.known), bool) if epoch is None else started.known & ~started.is_utc & (epoch > 0)
    )
    if zone is not None:
        if epoch is not None and bool(told.any()):
            is_confirmed = _fits(zone, started, told, epoch, (where, "in its ids"))
            return Clock(zone, 0, "given, and confirmed by the epoch in the ids" if is_confirmed else "given")
        return Clock(zone, 0, "given")
    if epoch is None or not bool(told.any()):
        seen = next((stamps for stamps in (started, *others) if stamps.n_local), started)
        local = seen.micros[seen.known & ~seen.is_utc]
        shown = f", such as {_printed(local[0])}," if len(local) else ""
        msg = (
            f"{where}: its times are local{shown} and it does not say where; "
            "pass timezone= with the zone of the switch's clock, such as timezone='Europe/London' or 'UTC'"
        )
        raise InputError(msg)
    gaps = _telling(started.micros[told] - epoch[told])
    values, counts, _ = gaps
    is_offset = np.isin(values, _IN_USE)
    half = _DOMINANT * counts.sum()
    if not bool(is_offset.any()) or (not is_offset[0] and counts[0] > half):
        at = int(np.argmax(told))
        msg = (
            f"{where}: the epochs in its ids do not fit its start times, such as {_printed(started.micros[at])} beside "
            f"{_printed(epoch[at])} UTC; pass timezone= with the zone of the switch's clock"
        )
        raise InputError(msg)
    # Any other gap is that of later segments of calls.
    values, counts = values[is_offset], counts[is_offset]
    main = int(values[0])
    rivals = [value for value, _ in _rivals(main, gaps, epoch[told]) if value in _IN_USE]
    if rivals or (len(gaps[0]) > 1 and counts[0] <= half):
        beside = rivals or [value for value in gaps[0].tolist() if value != main][:1]
        shown = ", ".join(map(offset_name, [main, *beside]))
        msg = (
            f"{where}: the epochs in its ids show that its clock changed ({shown}), as daylight saving does; "
            "pass timezone= with the zone of the switch's clock"
        )
        raise InputError(msg)
    return Clock(None, main, "measured from the epoch in the ids")


def _printed(micros: int) -> str:
    """Return an instant, or what a clock showed, as people write it.

    Examples
    --------
    >>> _printed(1_790_845_200_000_000)
    '2026-10-01 09:00:00'
    """
    return str(np.datetime64(int(micros), "us").astype("M8[s]")).replace("T", " ")


def check_zone(zone: ZoneInfo, shown: Stamps, started: Stamps, where: str) -> None:
    """Hold a zone against stamps of the switch's clock that stand beside instants; nothing else comes of them.

    Raises
    ------
    CdrFormatError
        If they say that the zone is another one.
    """
    told = shown.known & ~shown.is_utc & started.known & started.is_utc
    if bool(told.any()):
        _fits(zone, shown, told, as_coarse(started.micros, shown), (where, "beside its stamps"))


def _fits(zone: ZoneInfo, started: Stamps, told: Mask, epoch: Micros, where: tuple[str, str]) -> bool:
    """Return whether epochs confirm a zone, or raise where they say that it is another one.

    `where` names the file, and where in it the epochs stand.
    """
    found = micros_to_utc(started.micros[told], zone)
    sure = ~(found.repeated | found.skipped)
    if not bool(sure.any()):
        return False
    gaps = _telling(found.first[sure] - epoch[told][sure])
    values, counts, own = gaps
    if len(values) == 0:
        return False
    half = _DOMINANT * counts.sum()
    wrong = [(v, c) for v, c in zip(values.tolist(), counts.tolist(), strict=True) if v != 0 and c >= half]
    wrong = wrong or _rivals(0, gaps, epoch[told][sure])
    if not wrong:
        return bool((values == 0).any())
    gap, count = wrong[0]
    rows = np.flatnonzero(told)[sure][own == gap]
    measured = int(started.micros[rows[0]] - epoch[rows[0]] + _NEAR // 3) // _QUARTER * _QUARTER
    if abs(measured) > _FURTHEST:
        return False  # ids that lie days from the starts tell of no zone
    said = offset_name(measured - gap)
    msg = (
        f"{where[0]}: timezone={zone.key!r} would put its clock at {said}, but the epochs {where[1]} show "
        f"{offset_name(measured)} ({count:,} of {int(counts.sum()):,} rows that tell); "
        "pass the zone of the switch's clock, or leave timezone= out"
    )
    raise CdrFormatError(msg)


@dataclass(frozen=True, eq=False)
class Timeline:
    """Start, answer and end of each row in UTC microseconds, and which of them are known.

    `doubts` lists, per row with a doubtful local time, which column and why.
    """

    started: Micros
    answered: Micros
    ended: Micros
    has_start: Mask
    has_answer: Mask
    has_end: Mask
    doubts: dict[int, str]


def timeline(
    clock: Clock,
    started: Stamps,
    answered: Stamps,
    ended: Stamps,
    *,
    total: NDArray[np.float64],
    billable: NDArray[np.float64],
    epoch: Micros | None,
) -> Timeline:
    """Put three columns of stamps on one time line, settling repeated hours where the record allows."""
    stamps = (started, answered, ended)
    found = [clock.to_utc(column) for column in stamps]
    known = [column.known for column in stamps]
    epoch = None if epoch is None else as_coarse(epoch, started)
    refuted = _refuted(clock, started, found[0], epoch)
    if not any(bool((f.repeated | f.skipped).any()) for f in found) and not bool(refuted.any()):
        first = [f.first for f in found]
        return Timeline(first[0], first[1], first[2], known[0], known[1], known[2], {})
    at = [f.first.copy() for f in found]
    open_ = [f.repeated & k for f, k in zip(found, known, strict=True)]
    lost = [f.skipped & k for f, k in zip(found, known, strict=True)]
    start, answer, end = range(3)

    def settle(column: int, expected: Micros, usable: Mask) -> None:
        rows = np.flatnonzero(open_[column] & usable)
        for candidate in (found[column].first, found[column].second):
            fits = rows[np.abs(candidate[rows] - expected[rows]) <= _FITS]
            at[column][fits] = candidate[fits]
            open_[column][fits] = False
            rows = rows[open_[column][rows]]

    total_us = np.nan_to_num(total * MICROS).astype(np.int64)
    billable_us = np.nan_to_num(billable * MICROS).astype(np.int64)

    def sure(column: int) -> Mask:
        return known[column] & ~open_[column] & ~lost[column] & ~refuted

    if epoch is not None:
        settle(start, epoch, epoch > 0)
    # A call that spans the change shows an end an hour too early: one pair of instants is as far apart as its seconds.
    spans = np.abs(found[end].second - found[start].first - total_us) <= _FITS
    spans &= open_[start] & open_[end] & ~np.isnan(total)
    at[end][spans] = found[end].second[spans]
    open_[start] &= ~spans
    open_[end] &= ~spans
    settle(end, at[start] + total_us, sure(start) & ~np.isnan(total))
    settle(start, at[end] - total_us, sure(end) & ~np.isnan(total))
    settle(answer, at[end] - billable_us, sure(end) & (billable > 0))
    settle(end, at[answer] + billable_us, sure(answer) & (billable > 0))
    doubts = _doubts(clock, stamps, open_, lost, refuted)
    sure_of = [sure(column) for column in (start, answer, end)]
    return Timeline(at[start], at[answer], at[end], sure_of[start], sure_of[answer], sure_of[end], doubts)


def _refuted(clock: Clock, started: Stamps, found: LocalInstants, epoch: Micros | None) -> Mask:
    """Mark the rows whose start cannot be what the clock says, as it lies before their id was made.

    Where the clock itself was only measured, so are those that a clock put forward
    would show: they may as well be later segments, but nobody can tell.
    """
    if epoch is None:
        return np.zeros(len(started.known), bool)
    gap = found.first - epoch
    strange = gap < -_SLACK
    if clock.zone is None:
        over = (gap + _NEAR // 3) % _HALF_HOUR
        strange |= (gap >= _HALF_HOUR - _NEAR) & (gap <= _MOST_CHANGED + _NEAR) & (over <= _NEAR + _NEAR // 3)
    return strange & started.known & ~started.is_utc & ~found.repeated & ~found.skipped & (epoch > 0)


def _doubts(
    clock: Clock, stamps: tuple[Stamps, ...], open_: list[Mask], lost: list[Mask], refuted: Mask
) -> dict[int, str]:
    doubts: dict[int, list[str]] = {}
    for name, column, twice, never in zip(COLUMNS, stamps, open_, lost, strict=True):
        by_id = refuted if name == COLUMNS[0] else np.zeros_like(refuted)
        for mask, words in (
            (twice, "occurred twice"),
            (never, "was skipped"),
            (by_id, "does not fit the epoch of its id"),
        ):
            rows = np.flatnonzero(mask)
            shown = np.datetime_as_string(column.micros[rows].view("M8[us]"), unit="s").tolist()
            for row, text in zip(rows.tolist(), shown, strict=True):
                doubts.setdefault(row, []).append(f"{name} {text.replace('T', ' ')} {words} in {clock.name}")
    return {row: "; ".join(words) for row, words in doubts.items()}
