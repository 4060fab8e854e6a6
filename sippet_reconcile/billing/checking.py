"""Whether the rows of a rate card contradict each other, and how the problems of a card are told.

Input are rows whose cells can be read, output are problems with their lines: rows that say
the same twice, validities that overlap in part, days between two validities without a rate.
Rows that name a user or a direction may leave days to rows of their prefix that name less.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from sippet_reconcile._display.masking import mask_in_name, mask_text
from sippet_reconcile._display.text import plural, shortened, visible
from sippet_reconcile.billing.frames import RATES
from sippet_reconcile.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Days = NDArray[np.int64]

__all__ = ["DECIMALS", "Failure", "contradictions", "refused"]

DECIMALS: Final = ("rate_per_minute", "connect_fee")
"""The columns of money."""

_SHOWN: Final = 5
_NEVER, _ALWAYS = -1_000_000, 4_000_000  # days before and after every date that can be written
_APART: Final = 10_000_000  # more than all days, so that groups laid end to end never touch
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class Failure:
    """One problem of a card: where it is, what stands there, and what is wrong with it and to be done."""

    line: int | None
    column: str | None
    value: str | None
    problem: str

    def sentence(self, place: str) -> str:
        """Say it in one line that steers no terminal and shows no phone number."""
        where = [] if self.line is None else [f"{place} {self.line}"]
        what = [] if self.column is None else [_shown(self.column, None)]
        value = [] if self.value is None else [f"'{_shown(self.value, self.column)}'"]
        return " ".join([", ".join(where + what), *value, self.problem]).strip()


def _shown(text: str, column: str | None) -> str:
    """Return a cell or the name of a column as a message may have it: a rate keeps all its places."""
    is_decimal = column in DECIMALS and ("." in text or "," in text)
    return (
        visible(shortened(text if is_decimal else mask_text(text))).replace("\n", "\\n").replace("\r", "\\r")
    )


def refused(failures: Iterable[Failure], source: str, place: str) -> SchemaError:
    """Return the error that tells of all problems of a card: the first five in words, all of them as a frame."""
    place_of: dict[str | None, int] = {name: at for at, name in enumerate(RATES)}
    ordered = sorted(
        failures,
        key=lambda one: (
            one.line if one.line is not None else -1,
            place_of.get(one.column, -1),
        ),
    )
    told = "; ".join(one.sentence(place) for one in ordered[:_SHOWN])
    more = f"; and {len(ordered) - _SHOWN:,} more" if len(ordered) > _SHOWN else ""
    name = visible(mask_in_name(source))
    msg = f"{name} is no rate card yet, it has {plural(len(ordered), 'problem')}: {told}{more}; see .failures"
    frame = pd.DataFrame(
        {
            "line": pd.array([one.line for one in ordered], dtype="Int64"),
            "column": pd.array([one.column for one in ordered], dtype="str"),
            "value": pd.array([one.value for one in ordered], dtype="str"),
            "problem": pd.array([one.problem for one in ordered], dtype="str"),
        }
    )
    return SchemaError(msg, failures=frame)


@dataclass(frozen=True)
class _Groups:
    """The groups of rows of one prefix, direction and user, by numbers that tell which of the two are named."""

    of_row: Days
    keys: Days
    n_directions: int
    n_users: int

    @classmethod
    def of(cls, rows: pd.DataFrame) -> _Groups:
        prefix, direction, user = (
            pd.factorize(rows[name])[0].astype(np.int64) for name in ("prefix", "direction", "user")
        )  # -1 is missing
        n_directions, n_users = int(direction.max()) + 2, int(user.max()) + 2
        keys, of_row = np.unique(
            (prefix * n_directions + direction + 1) * n_users + user + 1, return_inverse=True
        )
        return cls(of_row.astype(np.int64), keys, n_directions, n_users)

    def wider(self, group: Days) -> Days:
        """Return, one row each, the groups that apply to every user, every direction, and both; -1 is none."""
        key = self.keys[group]
        user = key % self.n_users
        direction = key // self.n_users % self.n_directions * self.n_users
        wanted = np.stack([key - user, key - direction, key - user - direction])
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where((self.keys[at] == wanted) & (wanted != key), at, -1)


@dataclass(frozen=True)
class _Validities:
    """Rows in the order of their groups and, within one, of their first day, the longer one first."""

    group: Days
    start: Days
    end: Days
    line: Days
    place: str

    @classmethod
    def of(cls, group: Days, start: Days, end: Days, line: Days, place: str) -> _Validities:
        order = np.lexsort((line, -end, start, group))
        return cls(group[order], start[order], end[order], line[order], place)

    def where(self, mask: NDArray[np.bool_]) -> _Validities:
        return _Validities(self.group[mask], self.start[mask], self.end[mask], self.line[mask], self.place)

    @property
    def follows(self) -> NDArray[np.bool_]:
        """Whether a row is in the same group as the one before it."""
        return np.concatenate([[False], self.group[1:] == self.group[:-1]])[: len(self.group)]


def contradictions(
    rows: pd.DataFrame, sound: NDArray[np.bool_], *, are_all: bool, place: str
) -> list[Failure]:
    """Return what rows of one prefix, direction and user say against each other.

    Parameters
    ----------
    rows
        Rows with the columns of `RATES` whose prefix, direction and user can be read.
    sound
        Which of them have a validity that can be read; the others are left aside.
    are_all
        Whether these are all rows of the card. Where one is left out, or a validity cannot be
        read, days that seem to lack a rate may have it there.
    place
        What a line is called: ``line`` of a file, ``row`` of a frame.
    """
    if len(rows) == 0:
        return []
    groups = _Groups.of(rows)
    group = groups.of_row
    starts, ends = _days(rows["valid_from"], _NEVER), _days(rows["valid_to"], _ALWAYS)
    line: Days = rows["line"].to_numpy(np.int64)
    known = _Validities.of(group[sound], starts[sound], ends[sound], line[sound], place)

    twice = known.follows
    twice[1:] &= (known.start[1:] == known.start[:-1]) & (known.end[1:] == known.end[:-1])
    prefix_of = (
        dict(zip(line[sound].tolist(), rows["prefix"].to_numpy()[sound].tolist(), strict=True))
        if twice.any()
        else {}
    )
    found = [*_duplicates(known, twice, prefix_of)]
    once = known.where(~twice)
    found += _both_open(once)
    found += _partly(once)
    if are_all:
        found += _gaps(once, groups, np.unique(group[~sound]))
    return found


def _days(dates: pd.Series[date], missing: int) -> Days:
    """Return days since 1970, what is missing as a day before or after all others."""
    array = pa.array(dates.array).cast(pa.int32())
    return array.fill_null(missing).to_numpy(zero_copy_only=False).astype(np.int64)


def _text(day: int) -> str:
    return (_EPOCH + timedelta(days=int(day))).isoformat()


def _cell(day: int) -> str | None:
    """Return a day as its cell has it: no text where it is open."""
    return None if day in {_NEVER, _ALWAYS} else _text(day)


def _span(start: int, end: int) -> str:
    """Return a validity in words."""
    parts = [
        *([f"from {_text(start)}"] if start != _NEVER else []),
        *([f"to {_text(end)}"] if end != _ALWAYS else []),
    ]
    return " ".join(parts) or "always"


def _duplicates(rows: _Validities, twice: NDArray[np.bool_], prefix_of: dict[int, str]) -> Iterable[Failure]:
    first = np.maximum.accumulate(np.where(twice, 0, np.arange(len(twice))))
    for at in np.flatnonzero(twice).tolist():
        line = int(rows.line[at])
        yield Failure(
            line,
            "prefix",
            prefix_of[line],
            f"has the direction, user and validity of {rows.place} {rows.line[first[at]]} as well: leave one of the two out",
        )


def _both_open(rows: _Validities) -> Iterable[Failure]:
    """Find rows that nobody ended: with a first day, without a last, and a later one such as they are."""
    open_ended = rows.where((rows.end == _ALWAYS) & (rows.start != _NEVER))
    for at in np.flatnonzero(open_ended.follows).tolist():
        begins = _text(open_ended.start[at])
        yield Failure(
            int(open_ended.line[at - 1]),
            "valid_to",
            None,
            f"is blank and the row overlaps {rows.place} {open_ended.line[at]}, which begins on {begins} and is "
            f"open-ended too: write valid_to {begins} here",
        )


def _partly(rows: _Validities) -> Iterable[Failure]:
    """Find rows that begin within another one and end after it."""
    if len(rows.group) == 0:
        return
    upto, _ = _reached(rows)
    crossing = rows.follows
    crossing[1:] &= rows.start[1:] < upto[:-1]
    if not crossing.any():
        return
    among = rows.where(np.isin(rows.group, rows.group[crossing]))
    columns = zip(among.group.tolist(), among.start.tolist(), among.end.tolist(), strict=True)
    running: list[tuple[int, int]] = []
    before = -1
    for at, (group, start, end) in enumerate(columns):
        if group != before:
            running, before = [], group
        first = bisect_right(running, (start, len(among.group)))
        if first < len(running) and running[first][0] < end:
            ends, other = running[first]
            line = int(among.line[other])
            yield Failure(
                int(among.line[at]),
                "valid_from",
                _cell(start),
                f"overlaps {rows.place} {line} ({_span(int(among.start[other]), ends)}) in part: write valid_to "
                f"{_text(start)} in {rows.place} {line}, or valid_from {_text(ends)} here",
            )
        insort(running, (end, at))


def _reached(rows: _Validities) -> tuple[Days, Days]:
    """Return for each row the latest end of its group up to it, and which row has it."""
    lifted = rows.end + rows.group * _APART
    latest = np.maximum.accumulate(lifted)
    grows = np.concatenate([[True], latest[1:] > latest[:-1]])
    return latest - rows.group * _APART, np.maximum.accumulate(np.where(grows, np.arange(len(lifted)), 0))


def _gaps(rows: _Validities, groups: _Groups, unread: Days) -> Iterable[Failure]:
    """Find days between the first and the last of a group on which neither its rows nor wider ones are valid.

    Of groups with a validity that could not be read, `unread`, nobody knows which days they lack.
    """
    if len(rows.group) == 0:
        return
    upto, whose = _reached(rows)
    late = rows.follows
    late[1:] &= rows.start[1:] > upto[:-1]
    gaps = np.flatnonzero(late)
    gaps = gaps[~np.isin(rows.group[gaps], unread)]
    if len(gaps) == 0:
        return
    # Rows that leave no day between them are one stretch.
    begins = np.flatnonzero(late | ~rows.follows)
    stretches = (rows.group[begins], rows.start[begins], upto[np.append(begins[1:], len(late)) - 1])
    wider = groups.wider(rows.group[gaps])
    is_open = _uncovered(upto[gaps - 1], rows.start[gaps], wider, stretches)
    is_open &= ~np.isin(wider, unread).any(axis=0)
    for at in gaps[is_open].tolist():
        line, begin = rows.line[whose[at - 1]], _text(rows.start[at])
        yield Failure(
            int(rows.line[at]),
            "valid_from",
            begin,
            f"leaves a gap from {_text(upto[at - 1])}, where {rows.place} {line} ends: write valid_to {begin} in "
            f"{rows.place} {line}, or add a row for the days between",
        )


def _uncovered(first: Days, last: Days, wider: Days, stretches: tuple[Days, Days, Days]) -> NDArray[np.bool_]:
    """Mark the gaps of which a day is in no stretch of the wider groups, one row of `wider` for each kind."""
    group, start, end = stretches
    keys = start + group * _APART
    day = first.copy()
    going = np.flatnonzero((wider >= 0).any(axis=0))
    while len(going):  # from the first day of each gap on, as far as any stretch goes
        came_from = day[going]
        for of_kind in wider[:, going]:
            at = np.searchsorted(keys, day[going] + of_kind * _APART, side="right") - 1
            covers = (at >= 0) & (group[at] == of_kind)
            day[going] = np.where(covers, np.maximum(end[at], day[going]), day[going])
        going = going[(day[going] > came_from) & (day[going] < last[going])]
    return day < last
