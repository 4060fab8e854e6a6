"""Ways to judge a sample that many formats share: by the names of its columns, or by what stands in its cells.

Input is a sample and what a format expects, output is an `Evidence`: 1 where all of it
fits, a share where a part does, 0 where it may as well be something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sippet_reconcile.cdr.spec import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from sippet_reconcile.cdr.spec import Sample

__all__ = ["by_cells", "by_names", "is_seconds"]

_RESEMBLES: Final = 0.6  # share of the names from which a table resembles a format's
_SHOWN: Final = 8


def by_names(sample: Sample, needed: Sequence[str]) -> Evidence:
    """Judge by the names in the first row, or of the first objects; some names tell nothing, so choose those that do.

    Examples
    --------
    >>> from sippet_reconcile.cdr.spec import Sample
    >>> by_names(Sample([["Call Time", "Trunk", "Talking"]]), ["call_time", "talking"])
    Evidence(score=1.0, reasons=('names call_time, talking',), is_possible=False)
    """
    missing = [name for name in needed if not sample.has(name)]
    if not missing:
        shown = ", ".join(needed[:_SHOWN])
        return Evidence(1.0, (f"names {shown}{', ...' if len(needed) > _SHOWN else ''}",))
    share = 1 - len(missing) / len(needed)
    shown = ", ".join(missing[:_SHOWN])
    lacks = f"lacks {shown}{', ...' if len(missing) > _SHOWN else ''}"
    return Evidence(share if share > _RESEMBLES else 0.0, (lacks,))


def by_cells(
    sample: Sample, widths: Container[int], fits: Callable[[Sequence[str]], bool], *, columns: str, what: str
) -> Evidence:
    """Judge the rows of a file without a header by how many of them look right.

    Parameters
    ----------
    widths
        How many fields a row may have; only such rows are looked at.
    fits
        Tells whether a row looks right.
    columns, what
        The widths, and what is looked at, in words for the reasons.
    """
    rows = sample.rows
    if not rows:
        return Evidence(0.0, ("no rows",))
    wide = [row for row in rows if len(row) in widths]
    good = sum(map(fits, wide))
    return Evidence(
        good / len(rows),
        (f"{len(wide)} of {len(rows)} rows have {columns} columns", f"in {good} {what}"),
        is_possible=2 * len(wide) >= len(rows),
    )


def is_seconds(cell: str) -> bool:
    """Tell whether a cell holds seconds as a number.

    Examples
    --------
    >>> is_seconds(" 12 "), is_seconds("12.5"), is_seconds("0:12")
    (True, True, False)
    """
    return cell.strip().replace(".", "", 1).isdigit()
