"""Which CDR calls carry an id of the API's kind that is no call's.

Input are the keys of the legs and what was matched by them, output is a mask over the
CDR calls. Where most of an export's UUIDs are calls of the API, one that is nobody's
says that its call is not there: lost, or never fetched. Somebody else's call with the
same numbers a few seconds later, a redial, must not be taken for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["are_uuids", "strangers"]

_ENOUGH: Final = 20
"""Fewer matched CDR calls of one format say nothing about its ids."""

_UUID: Final = r"^[0-9a-f]{32}$"


def are_uuids(keys: pa.LargeStringArray) -> NDArray[np.bool_]:
    """Mark the ids, in the form in which they are compared, that are UUIDs.

    Examples
    --------
    >>> are_uuids(pa.array(["8c1f3c5211114222833344445555aaaa", "1706368044.10", None], pa.large_string())).tolist()
    [True, False, False]
    """
    return np.asarray(pc.fill_null(pc.match_substring_regex(keys, _UUID), fill_value=False))


def strangers(
    keys: pa.LargeStringArray,
    formats: NDArray[np.int64],
    cdr_of: NDArray[np.int64],
    matched: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Mark the unmatched CDR calls with a UUID, in formats of which most such calls matched by it.

    Parameters
    ----------
    keys, formats, cdr_of
        Per leg: its key, a code of its format from 0 on, and its CDR call.
    matched
        Marks the CDR calls that were matched by the key of a leg.

    Examples
    --------
    >>> keys = pa.array([f"{n:032x}" for n in range(30)], pa.large_string())
    >>> row = np.arange(30)
    >>> np.flatnonzero(strangers(keys, np.zeros(30, np.int64), row, row < 29)).tolist()
    [29]
    """
    is_uuid = are_uuids(keys)
    has_uuid = np.zeros(len(matched), np.bool_)
    has_uuid[cdr_of[is_uuid]] = True
    form = np.zeros(len(matched), np.int64)
    form[cdr_of] = formats
    n_formats = int(formats.max()) + 1 if len(formats) else 0
    with_uuid = np.bincount(form[has_uuid], minlength=n_formats)
    of_those = np.bincount(form[has_uuid & matched], minlength=n_formats)
    tells = (of_those >= _ENOUGH) & (2 * of_those > with_uuid)
    return has_uuid & ~matched & tells[form]
