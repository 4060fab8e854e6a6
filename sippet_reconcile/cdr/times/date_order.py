"""Find out whether the day or the month comes first in dates such as 1/9/2026.

Input are the text columns of one file's times and the epochs in its ids, output the
same columns read. A part above twelve settles it, and so does an id that was made at
the moment of its start; where both orders are seen, or none, the caller is told and
asked. That rows stand in the order of time is no proof: the file may be sorted by text.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from sippet_reconcile._display import mask_digits
from sippet_reconcile.cdr.tables import in_threads
from sippet_reconcile.cdr.times.stamps import Stamps, read_both_orders
from sippet_reconcile.errors import CdrFormatError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from sippet_reconcile.cdr.spec import Options
    from sippet_reconcile.cdr.tables import Fields

__all__ = ["DateVotes", "read_with_votes"]

Mask: TypeAlias = "NDArray[np.bool_]"
Micros: TypeAlias = "NDArray[np.int64]"

_HOUR: Final = 3600 * 1_000_000
_NEAR: Final = 40 * _HOUR  # the furthest zone, and a leg a day after its call; the orders are weeks apart
_SHOWN: Final = 40
_ORDERS: Final = ("day", "month")


def read_with_votes(
    texts: list[pa.LargeStringArray], epoch: Micros | None, fields: Fields, options: Options
) -> tuple[list[Stamps], DateVotes]:
    """Read start, answer and end of one file, with day and month in the order that the file proves or the caller says.

    Of a piece of a file the order is what `options` says, whatever it proves, or what it
    proves where nobody knows yet: the votes of all pieces are for whoever reads them.

    Parameters
    ----------
    texts
        The columns, the start first.
    epoch
        Instants near the starts, in microseconds, 0 where there is none.
    fields
        Where the rows stood, and which are broken: those prove nothing.
    options
        `dayfirst`, whether this is a piece, and what the file is called.

    Raises
    ------
    CdrFormatError
        If dates are written in both orders, in another one than the caller says, or
        in one that nothing settles.
    """
    read = in_threads(read_both_orders, texts)
    votes = DateVotes(options.where)
    if all(day is month for day, month in read):
        return [day for day, _ in read], votes
    votes = _counted(texts, read, epoch, fields, options.where)
    if not options.in_pieces:
        dayfirst = votes.settled(dayfirst=options.dayfirst)
    elif options.dayfirst is None:
        # Nobody knows yet: where all pieces tell is the month first, no piece asks for the day.
        dayfirst = set(votes.first) == {"day"}
    else:
        dayfirst = options.dayfirst
    return [day if dayfirst else month for day, month in read], votes


def _counted(
    texts: list[pa.LargeStringArray],
    read: list[tuple[Stamps, Stamps]],
    epoch: Micros | None,
    fields: Fields,
    where: str,
) -> DateVotes:
    """Return the first date that asks for each order, and the first that can be read two ways."""
    problem = fields.raw.problem
    whole = np.ones(len(fields), bool) if problem is None else np.asarray(problem.is_null())
    votes = DateVotes(where, is_needed=True)

    def shown(row: int, column: int) -> str:
        return mask_digits(str(texts[column][row].as_py())[:_SHOWN])

    def add(column: int, day: Mask, month: Mask, *, by_epoch: bool = False) -> None:
        for order, asked in zip(_ORDERS, (day & whole, month & whole), strict=True):
            if bool(asked.any()):
                row = int(asked.argmax())
                votes.add(order, _Vote(int(fields.raw.rows[row]), shown(row, column), by_epoch))

    for column, (day, month) in enumerate(read):
        add(column, day.known & ~month.known, month.known & ~day.known)
    if epoch is not None:
        day, month = read[0]
        told = day.known & month.known & (epoch > 0)
        by_day, by_month = (told & (np.abs(s.micros - epoch) <= _NEAR) for s in (day, month))
        add(0, by_day & ~by_month, by_month & ~by_day, by_epoch=True)
    either = [day.known & month.known & (day.micros != month.micros) & whole for day, month in read]
    rows = [(int(found.argmax()), column) for column, found in enumerate(either) if bool(found.any())]
    if rows:
        row, column = min(rows)
        by_order = (np.datetime64(int(s.micros[row]), "us").astype("M8[D]") for s in read[column])
        votes.open = _Open(int(fields.raw.rows[row]), shown(row, column), *map(str, by_order))
    return votes


@dataclass(frozen=True)
class _Vote:
    """One date that can only be meant in one order."""

    line: int
    text: str
    by_epoch: bool

    def __str__(self) -> str:
        return f"line {self.line} '{self.text}'{' (by the epoch of its id)' if self.by_epoch else ''}"


@dataclass(frozen=True)
class _Open:
    """One date that can be read two ways, and both."""

    line: int
    text: str
    by_day: str
    by_month: str


@dataclass
class DateVotes:
    """What the dates of one file, or of a piece of it, say of their order.

    `is_needed` is False where no date is written so that the order matters. `first`
    holds the first date that asks for each order, `open` the first that can be read two ways.
    """

    where: str
    is_needed: bool = False
    first: dict[str, _Vote] = field(default_factory=dict)
    open: _Open | None = None

    def add(self, order: str, vote: _Vote) -> None:
        """Note a date that asks for the day, or for the month, to come first."""
        known = self.first.get(order)
        if known is None or vote.line < known.line:
            self.first[order] = vote

    def add_piece(self, piece: DateVotes, line: int) -> None:
        """Take over what a piece of the file says; `line` is how many lines stood before it."""
        self.is_needed |= piece.is_needed
        for order, vote in piece.first.items():
            self.add(order, replace(vote, line=vote.line + line))
        if self.open is None and piece.open is not None:
            self.open = replace(piece.open, line=piece.open.line + line)

    def settled(self, *, dayfirst: bool | None) -> bool:
        """Return whether the day comes first, or raise where that is contradictory or open.

        Raises
        ------
        CdrFormatError
            As `read_with_votes`.
        """
        first = self.first
        if len(first) == len(_ORDERS):
            early, late = sorted(first, key=lambda order: (first[order].line, order))
            msg = (
                f"{self.where} writes dates in two orders: {first[early]} has the {early} first, "
                f"{first[late]} the {late} first; export it again in one order, or split the file"
            )
            raise CdrFormatError(msg, line=first[late].line)
        if dayfirst is None:
            return "day" in first if first else self._ask()
        said, other = _ORDERS if dayfirst else _ORDERS[::-1]
        if other in first:
            msg = (
                f"{self.where}: dayfirst={dayfirst} puts the {said} first, but {first[other]} has the "
                f"{other} first; pass dayfirst={not dayfirst}, or leave it out"
            )
            raise CdrFormatError(msg, line=first[other].line)
        return dayfirst

    def _ask(self) -> bool:
        """Raise at the first date that can be read two ways; True where both ways are one."""
        if self.open is None:
            return True
        line, text = self.open.line, self.open.text
        msg = (
            f"{self.where} line {line}: the date '{text}' is {self.open.by_day} with the day first and "
            f"{self.open.by_month} with the month first, and no other date settles it; pass dayfirst=True or dayfirst=False"
        )
        raise CdrFormatError(msg, line=line)
