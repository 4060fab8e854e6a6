"""A frame as an HTML table: escaped, bounded, and honest about what it left away.

Input are frames, output is HTML that may be placed as it is.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display.text import show_value

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_ROWS", "escape", "html_table", "more_rows"]

MAX_ROWS: Final = 50
"""Rows that a table in a notebook shows at most."""

_SHORT: Final = 40


def escape(value: object) -> str:
    """Return a value as text that is safe in HTML, attributes included.

    Examples
    --------
    >>> escape('<b>"x"')
    '&lt;b&gt;&quot;x&quot;'
    """
    return html.escape(show_value(value), quote=True)


def more_rows(count: int, word: str = "") -> str:
    """Say how many rows a table left away, or how many of what the rows tell; nothing where it left none.

    Examples
    --------
    >>> more_rows(1204), more_rows(0), more_rows(2, "call")
    ('<div class="more">and 1,204 more</div>', '', '<div class="more">and 2 more calls</div>')
    """
    of = "" if not word else f" {word if count == 1 else word + 's'}"
    return f'<div class="more">and {count:,} more{of}</div>' if count > 0 else ""


def _is_number(dtype: Any) -> bool:
    return bool(pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype))


def html_table(
    frame: pd.DataFrame,
    *,
    max_rows: int = MAX_ROWS,
    plain_numbers: Sequence[str] = (),
    right: Sequence[str] = (),
    n_rows: int | None = None,
) -> str:
    """Return a frame as an escaped HTML table that says what it left out.

    Parameters
    ----------
    frame
        Shown in its own order, without its index.
    max_rows
        Rows shown, never more than 50; the rest is counted under the table.
    plain_numbers
        Numeric columns shown without thousands separators (line numbers, years).
    right
        Columns of text that is numbers already, set to the right as numbers are.
    n_rows
        How many rows there are in all, where `frame` has the first of them only.
    """
    max_rows = min(max_rows, MAX_ROWS)
    to_the_right = {
        name for name, dtype in zip(frame.columns, frame.dtypes, strict=True) if _is_number(dtype)
    }.union(right)
    heads = "".join(
        f'<th class="n">{escape(name)}</th>' if name in to_the_right else f"<th>{escape(name)}</th>"
        for name in frame.columns
    )
    columns: list[list[str]] = []
    for at, name in enumerate(frame.columns):  # by place: two columns may have one head
        values = frame.iloc[:max_rows, at].tolist()
        css = "n" if name in to_the_right else ""
        if name in plain_numbers:
            shown = [escape(_plainly(v)) for v in values]
        else:
            shown = [escape(v) for v in values]
        columns.append([_cell(text, css) for text in shown])
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in zip(*columns, strict=True))
    more = (len(frame) if n_rows is None else n_rows) - max_rows
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>{more_rows(more)}'


def _plainly(value: object) -> object:
    """Return a number as it stands in a file: a line, say, has no separators."""
    if isinstance(value, float) and value == value:  # noqa: PLR0124 - NaN
        return str(int(value)) if value == int(value) else str(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _cell(text: str, css: str) -> str:
    """Return one cell; what is short, a date or an id, stays on one line."""
    css = css or ("s" if len(text) <= _SHORT else "")
    return f'<td class="{css}">{text}</td>' if css else f"<td>{text}</td>"
