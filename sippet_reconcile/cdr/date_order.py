"""Find out whether the day or the month comes first in dates such as 1/9/2026.

Input are the text columns of one file's times and the epochs in its ids, output the
same columns read. A part above twelve settles it, and so does an id that was made at
the moment of its start; where both orders are seen, or none, the caller is told and
asked. That rows stand in the order of time is no proof: the file may be sorted by text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from sippet_reconcile._display import mask_digits
from sippet_reconcile.cdr.stamps import Stamps, read_both_orders
from sippet_reconcile.cdr.tables import in_threads
from sippet_reconcile.errors import CdrFormatError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from sippet_reconcile.cdr.spec import Options
    from sippet_reconcile.cdr.tables import Fields

__all__ = ["read_times"]

Mask: TypeAlias = "NDArray[np.bool_]"
Micros: TypeAlias = "NDArray[np.int64]"

_HOUR: Final = 3600 * 1_000_000
_NEAR: Final = 40 * _HOUR  # the furthest zone, and a leg a day after its call; the orders are weeks apart
_SHOWN: Final = 40
_ORDERS: Final = ("day", "month")


def read_times(
    texts: list[pa.LargeStringArray], epoch: Micros | None, fields: Fields, options: Options
) -> list[Stamps]:
    """Read start, answer and end of one file, with day and month in the order that the file proves or the caller says.

    Parameters
    ----------
    texts
        The columns, the start first.
    epoch
        Instants near the starts, in microseconds, 0 where there is none.
    fields
        Where the rows stood, and which are broken: those prove nothing.
    options
        `dayfirst` and what the file is called.

    Raises
    ------
    CdrFormatError
        If dates are written in both orders, in another one than the caller says, or
        in one that nothing settles.
    """
    read = in_threads(read_both_orders, texts)
    if all(day is month for day, month in read):
        return [day for day, _ in read]
    if options.in_pieces and options.dayfirst is None:
        # Another piece may hold the date that settles it: the file is then read as a whole.
        msg = f"{options.where}: only the whole file tells whether the day or the month comes first"
        raise CdrFormatError(msg)
    votes = _Votes(texts, read, fields, options.where)
    for column, (day, month) in enumerate(read):
        votes.add(column, day.known & ~month.known, month.known & ~day.known)
    if epoch is not None:
        day, month = read[0]
        told = day.known & month.known & (epoch > 0)
        by_day, by_month = (told & (np.abs(s.micros - epoch) <= _NEAR) for s in (day, month))
        votes.add(0, by_day & ~by_month, by_month & ~by_day, by_epoch=True)
    dayfirst = votes.settled(dayfirst=options.dayfirst)
    return [day if dayfirst else month for day, month in read]


@dataclass(frozen=True)
class _Vote:
    """One date that can only be meant in one order."""

    row: int
    column: int
    by_epoch: bool


class _Votes:
    """The first date that asks for each order."""

    def __init__(
        self,
        texts: list[pa.LargeStringArray],
        read: list[tuple[Stamps, Stamps]],
        fields: Fields,
        where: str,
    ) -> None:
        self._texts, self._read, self._fields, self._where = texts, read, fields, where
        self._first: dict[str, _Vote] = {}
        problem = fields.raw.problem
        self._whole = np.ones(len(fields), bool) if problem is None else np.asarray(problem.is_null())

    def add(self, column: int, day: Mask, month: Mask, *, by_epoch: bool = False) -> None:
        """Note the first row that asks for the day, and for the month, to come first."""
        for order, asked in zip(_ORDERS, (day, month), strict=True):
            mask = asked & self._whole
            if not bool(mask.any()):
                continue
            vote = _Vote(int(mask.argmax()), column, by_epoch)
            known = self._first.get(order)
            if known is None or vote.row < known.row:
                self._first[order] = vote

    def settled(self, *, dayfirst: bool | None) -> bool:
        """Return whether the day comes first, or raise where that is contradictory or open."""
        first = self._first
        if len(first) == len(_ORDERS):
            early, late = sorted(first, key=lambda order: first[order].row)
            line = self._line(first[late].row)
            msg = (
                f"{self._where} writes dates in two orders: {self._shown(early)} has the {early} first, "
                f"{self._shown(late)} the {late} first; export it again in one order, or split the file"
            )
            raise CdrFormatError(msg, line=line)
        if dayfirst is None:
            return "day" in first if first else self._ask()
        said, other = _ORDERS if dayfirst else _ORDERS[::-1]
        if other in first:
            msg = (
                f"{self._where}: dayfirst={dayfirst} puts the {said} first, but {self._shown(other)} has the "
                f"{other} first; pass dayfirst={not dayfirst}, or leave it out"
            )
            raise CdrFormatError(msg, line=self._line(first[other].row))
        return dayfirst

    def _ask(self) -> bool:
        """Raise at the first date that can be read two ways; True where both ways are one."""
        open_ = {
            column: np.flatnonzero(day.known & month.known & (day.micros != month.micros) & self._whole)
            for column, (day, month) in enumerate(self._read)
        }
        rows = [(int(found[0]), column) for column, found in open_.items() if len(found)]
        if not rows:
            return True
        row, column = min(rows)
        day, month = (np.datetime64(int(s.micros[row]), "us").astype("M8[D]") for s in self._read[column])
        line = self._line(row)
        msg = (
            f"{self._where} line {line}: the date '{self._text(row, column)}' is {day} with the day first and "
            f"{month} with the month first, and no other date settles it; pass dayfirst=True or dayfirst=False"
        )
        raise CdrFormatError(msg, line=line)

    def _shown(self, order: str) -> str:
        vote = self._first[order]
        why = " (by the epoch of its id)" if vote.by_epoch else ""
        return f"line {self._line(vote.row)} '{self._text(vote.row, vote.column)}'{why}"

    def _line(self, row: int) -> int:
        return int(self._fields.raw.rows[row])

    def _text(self, row: int, column: int) -> str:
        return mask_digits(str(self._texts[column][row].as_py())[:_SHOWN])
