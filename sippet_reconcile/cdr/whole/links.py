"""Settle links between legs, and helpers in company, without holding all legs: by hashes of their ids.

Input are tables of legs in order, once to look at them and once to settle them; output
are the same tables, their linked ids and helpers as all legs together have them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.tables import TEXT, one_array
from sippet_reconcile.keys import hash_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.cdr.spec import CdrFormat

__all__ = ["Changes", "Links", "Seen", "company_of", "talked_in"]

Hashes: TypeAlias = "NDArray[np.uint64]"
Rows: TypeAlias = "NDArray[np.int64]"
Mask: TypeAlias = "NDArray[np.bool_]"


@dataclass
class Seen:
    """What was kept of the legs of one file.

    Where the format links legs over all files: the hash of each row's own id; and the
    ids as text of the rows that link it to another one, or have no link, `at` being
    which rows those are. For helpers that need company: hashes of linked ids, of all
    rows where they may still change, and otherwise of the legs that are company and of
    the helpers in question.
    """

    format: CdrFormat
    asks_for_company: bool
    length: int = 0
    own: list[Hashes] = field(default_factory=list)
    at: list[Rows] = field(default_factory=list)
    leg_id: list[pa.LargeStringArray] = field(default_factory=list)
    linked_id: list[pa.LargeStringArray] = field(default_factory=list)
    linked: list[Hashes] = field(default_factory=list)
    is_other: list[Mask] = field(default_factory=list)
    is_helper: list[Mask] = field(default_factory=list)
    talked: list[Mask] = field(default_factory=list)

    def add(self, table: pa.Table) -> None:
        """Keep what is needed of some legs."""
        leg_id, linked_id = one_array(table.column("leg_id")), one_array(table.column("linked_id"))
        if self.format.relink is not None:
            links = pc.fill_null(pc.not_equal(leg_id, linked_id), fill_value=False)
            kept = pc.or_(links, pc.and_(leg_id.is_valid(), linked_id.is_null()))
            self.own.append(hash_text(leg_id))
            self.at.append(np.flatnonzero(np.asarray(kept)) + self.length)
            self.leg_id.append(leg_id.filter(kept))
            self.linked_id.append(linked_id.filter(kept))
        self.length += table.num_rows
        if not self.asks_for_company:
            return
        hashes = hash_text(linked_id)
        helper = np.asarray(table.column("is_helper"))
        other = ~helper & np.asarray(table.column("problem").is_null())
        talked = talked_in(table)
        if not self.format.helpers_need_company:
            helper = np.zeros(len(helper), bool)
        if self.format.relink is None:
            needed = (other | helper) & (hashes != 0)
            hashes, helper, other, talked = hashes[needed], helper[needed], other[needed], talked[needed]
        self.linked.append(hashes)
        self.is_helper.append(helper)
        self.is_other.append(other)
        self.talked.append(talked)


class Links:
    """Which linked ids and helpers are other ones than their own files say, over all files of a read.

    Parameters
    ----------
    is_one_file
        Whether there is no other file whose legs might be company.
    """

    def __init__(self, *, is_one_file: bool) -> None:
        self._is_one_file = is_one_file
        self._seen: list[Seen] = []
        self._rows: Rows = np.zeros(0, np.int64)
        self._texts: pa.LargeStringArray = pa.array([], TEXT)
        self._company: Hashes = np.zeros(0, np.uint64)
        self._at = 0

    def look_at(self, tables: Iterable[pa.Table], format_: CdrFormat) -> Seen:
        """Return what is to be kept of a file's legs."""
        seen = Seen(format_, format_.helpers_need_company or not self._is_one_file)
        for table in tables:
            seen.add(table)
        return seen

    def take(self, seen: Seen) -> None:
        """Add what was kept of a file; files come in their order."""
        self._seen.append(seen)

    def settle(self) -> None:
        """Settle all legs that were looked at; what was kept of them is let go."""
        begins = np.cumsum([0, *(seen.length for seen in self._seen)])
        formats = {seen.format.name: seen.format for seen in self._seen if seen.format.relink is not None}
        for format_ in formats.values():
            chosen = [
                (seen, int(begin))
                for seen, begin in zip(self._seen, begins, strict=False)
                if seen.format.name == format_.name
            ]
            rows, texts = _relinked(chosen, format_)
            self._rows = np.concatenate([self._rows, rows])
            self._texts = pa.concat_arrays([self._texts, texts])
        order = np.argsort(self._rows)
        self._rows, self._texts = self._rows[order], self._texts.take(pa.array(order))
        if any(seen.format.helpers_need_company for seen in self._seen):
            self._company = self._found_company(begins)
        self._seen = []

    def _found_company(self, begins: NDArray[np.int64]) -> Hashes:
        """Return the hashes of linked ids that helpers share with other legs, see `company_of`."""
        anew = hash_text(self._texts)
        helpers, others = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
        for seen, begin in zip(self._seen, begins, strict=False):
            if not seen.linked:
                continue
            hashes = np.concatenate(seen.linked)
            helper, other, talked = map(np.concatenate, (seen.is_helper, seen.is_other, seen.talked))
            if seen.format.relink is not None:
                first, end = np.searchsorted(self._rows, [begin, begin + seen.length])
                hashes[self._rows[first:end] - begin] = anew[first:end]
            helpers.append(np.unique(company_of(hashes[helper], talked[helper])))
            other &= hashes != 0
            others += [hashes[other], ~hashes[other & talked]]
        return np.intersect1d(np.concatenate(helpers), np.concatenate(others))

    def changes(self, begin: int, end: int) -> Changes:
        """Return what is other in some of the legs, by their places among all."""
        first, last = np.searchsorted(self._rows, [begin, end])
        return Changes(self._rows[first:last] - begin, self._texts.slice(first, last - first), self._company)

    def settled(self, table: pa.Table, format_: CdrFormat) -> pa.Table:
        """Return the next table of legs in order, settled."""
        begin, self._at = self._at, self._at + table.num_rows
        return self.changes(begin, self._at).made_in(table, format_)


class Changes(NamedTuple):
    """What is other in some legs: the rows with another linked id, these ids, and whose helpers are in company."""

    rows: Rows
    texts: pa.LargeStringArray
    company: Hashes

    def made_in(self, table: pa.Table, format_: CdrFormat) -> pa.Table:
        """Return the legs, settled."""
        if len(self.rows):
            mask = np.zeros(table.num_rows, bool)
            mask[self.rows] = True
            linked = pc.replace_with_mask(one_array(table.column("linked_id")), pa.array(mask), self.texts)
            table = _replaced(table, "linked_id", linked)
        helper = np.asarray(table.column("is_helper"))
        if format_.helpers_need_company and bool(helper.any()):
            rows = np.flatnonzero(helper)
            ids = hash_text(one_array(table.column("linked_id").take(pa.array(rows))))
            anew = helper.copy()
            anew[rows] = np.isin(company_of(ids, talked_in(table)[rows]), self.company)
            table = _replaced(table, "is_helper", pa.array(anew))
        return table


def talked_in(table: pa.Table) -> Mask:
    """Mark the legs in which somebody talked."""
    return np.asarray(pc.fill_null(table.column("is_answered"), fill_value=False)) | np.asarray(
        pc.fill_null(pc.greater(table.column("billable_s"), 0), fill_value=False)
    )


def company_of(hashes: Hashes, talked: Mask) -> Hashes:
    """Return the hash under which each helper's company is found.

    One that talked needs company that talked, or the talk would be lost: that is kept
    under the complement of its hash.
    """
    return np.where(talked, ~hashes, hashes)


def _replaced(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)


def _relinked(chosen: Sequence[tuple[Seen, int]], format_: CdrFormat) -> tuple[Rows, pa.LargeStringArray]:
    """Return the rows of one format whose linked id is another one over all files, and those ids.

    A format is shown the rows that link something, and those whose own id such a row
    names or has; by its contract the others neither change nor matter.
    """
    assert format_.relink is not None  # noqa: S101 - nothing is settled for others
    at = np.concatenate(
        [rows + begin for seen, begin in chosen for rows in seen.at] or [np.zeros(0, np.int64)]
    )
    nothing = pa.array([], TEXT)
    if len(at) == 0:
        return at, nothing
    leg_id = pa.concat_arrays([texts for seen, _ in chosen for texts in seen.leg_id])
    linked_id = pa.concat_arrays([texts for seen, _ in chosen for texts in seen.linked_id])
    for seen, _ in chosen:
        seen.leg_id, seen.linked_id = [], []  # they are in one piece now, and may be many
    hashes = pd.Index(np.concatenate([hash_text(leg_id), hash_text(linked_id)]))
    first = np.flatnonzero(~hashes.duplicated())
    known = hashes[first]
    rows, found = [at], [np.zeros(0, np.int64)]
    for seen, begin in chosen:
        own = np.concatenate([*seen.own, np.zeros(0, np.uint64)])
        seen.own = []
        places = known.get_indexer(pd.Index(own))
        places[own == 0] = -1
        places[np.concatenate([*seen.at, np.zeros(0, np.int64)])] = -1
        named = np.flatnonzero(places >= 0)
        rows.append(named + begin)
        found.append(first[places[named]])
    all_rows, all_found = np.concatenate(rows), np.concatenate(found)
    if len(all_found):
        rest = pa.chunked_array([leg_id, linked_id]).take(pa.array(all_found)).combine_chunks()
        order = np.argsort(all_rows, kind="stable")
        legs = pa.concat_arrays([leg_id, one_array(rest)]).take(pa.array(order))
        before = pa.concat_arrays([linked_id, one_array(rest)]).take(pa.array(order))
        all_rows = all_rows[order]
    else:
        legs, before = leg_id, linked_id
    after = format_.relink(legs, before)
    if after is before:
        return np.zeros(0, np.int64), nothing
    same = pc.fill_null(pc.equal(before, after), fill_value=False)
    is_changed = pc.invert(pc.or_(same, pc.and_(before.is_null(), after.is_null())))
    return all_rows[np.asarray(is_changed)], after.filter(is_changed)
