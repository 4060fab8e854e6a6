"""Say which way a call went: as the export says, else as one's own numbers tell.

Input are a format's record and both numbers, as delivered and in E.164, output is one
column of directions, missing where nothing tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.tables import flags
from sippet_reconcile.own_numbers import own_numbers
from sippet_reconcile.phones import classify_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.cdr.spec import Options, Record

__all__ = ["directions"]

Mask: TypeAlias = "NDArray[np.bool_]"

_TEXT: Final = pa.large_string()
_OUTSIDE: Final = ("e164", "needs_country", "too_short", "too_long")
"""Kinds of numbers that are somebody else's where they are not one's own: an extension or a code may be anybody's."""


def directions(
    record: Record,
    from_forms: tuple[pa.LargeStringArray, pa.LargeStringArray],
    to_forms: tuple[pa.LargeStringArray, pa.LargeStringArray],
    options: Options,
) -> pa.LargeStringArray | None:
    """Return the direction of each row; None where no row has one.

    What the format says stays. Where it says nothing, a call between two of one's own
    numbers is internal, one from an own number to an outside one is outbound, and the
    other way round it is inbound; a withheld caller is an outside one. Extensions that
    are not one's own, feature codes, names and missing numbers tell nothing.

    Parameters
    ----------
    record
        Its `direction`, and `calls_out`: rows that are outbound if the called number
        is an outside one.
    from_forms, to_forms
        Each number as delivered and in E.164.
    options
        `internal_numbers`, and how numbers are read.
    """
    said, size = record.direction, len(to_forms[0])
    own_from = own_to = np.zeros(size, np.bool_)
    if options.internal_numbers:
        own = own_numbers(options.internal_numbers, options.country)
        own_from, own_to = own.mask(*from_forms), own.mask(*to_forms)
    if record.calls_out is not None:
        outbound = record.calls_out & flags(to_forms[1].is_valid()) & ~own_to
        said = _put(said, outbound, "outbound")
    if not bool((own_from | own_to).any()):
        return said
    unsaid = np.ones(size, np.bool_) if said is None else np.asarray(said.is_null())
    said = _put(said, unsaid & own_from & own_to, "internal")
    rows = unsaid & own_from & ~own_to
    said = _put(said, rows & _has_kind(to_forms, rows, options, _OUTSIDE), "outbound")
    rows = unsaid & own_to & ~own_from
    return _put(said, rows & _has_kind(from_forms, rows, options, (*_OUTSIDE, "anonymous")), "inbound")


def _put(said: pa.LargeStringArray | None, rows: Mask, direction: str) -> pa.LargeStringArray:
    rest = pa.scalar(None, _TEXT) if said is None else said
    return pc.if_else(pa.array(rows), pa.scalar(direction, _TEXT), rest)


def _has_kind(
    forms: tuple[pa.LargeStringArray, pa.LargeStringArray],
    rows: Mask,
    options: Options,
    kinds: tuple[str, ...],
) -> Mask:
    """Mark the rows, among those marked, whose number is of one of some kinds."""
    delivered, e164 = forms
    found = np.asarray(e164.is_valid()).copy()
    rest = np.flatnonzero(rows & ~found)
    if len(rest):
        told = classify_numbers(
            delivered.take(pa.array(rest)), country=options.country, strip_prefixes=options.strip_prefixes
        )
        found[rest] = np.asarray(
            pc.fill_null(pc.is_in(told, value_set=pa.array(kinds, _TEXT)), fill_value=False)
        )
    return found
