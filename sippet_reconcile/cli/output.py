"""What a command shows: tables and summaries on stdout, or one JSON document; messages on stderr.

Input are frames and plain values, output is text. Phone numbers are masked in tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_rows", "plain", "print_frame", "print_json", "print_summary", "say", "tell"]

_PATHS = ("written_to", "out", "audit", "folder", "path", "url", "api_url")
_LINES = ("source_row", "seq", "http_status")
_MOST_ROWS = 40
_LONGEST = 70


def tell(text: object = "", *, err: bool = False) -> None:
    """Write text on stdout (or stderr) of which nothing can steer the terminal."""
    from sippet_reconcile._display import visible  # noqa: PLC0415 - it needs pandas

    click.echo(visible(str(text)), err=err)


def say(text: str) -> None:
    """Tell people something on stderr, where it disturbs no pipe."""
    tell(text, err=True)


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: instants as text, missing as null, frames as lists of rows.

    Examples
    --------
    >>> plain({"a": float("nan"), "b": (1, 2)})
    {'a': None, 'b': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "columns"):
        return frame_rows(value)
    return _plain_scalar(value.item() if hasattr(value, "item") else value)


def _plain_scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    # Missing values are the ones that do not say of themselves that they are equal.
    is_itself = value == value  # noqa: PLR0124 - NaN, NaT and NA are not
    if is_itself is not True:
        return None
    if isinstance(value, int | float):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def frame_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame as one dictionary of plain values per row."""
    columns = {str(name): [plain(v) for v in frame[name].tolist()] for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def print_json(value: Any) -> None:
    """Write one JSON document on stdout."""
    tell(json.dumps(plain(value), indent=1, ensure_ascii=False))


def print_frame(
    frame: pd.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    title: str | None = None,
    most: int = _MOST_ROWS,
    n_rows: int | None = None,
    err: bool = False,
) -> None:
    """Write a table on stdout (or stderr), its first rows, and how many more there are.

    `n_rows` is how many there are in all, where `frame` has the first of them only.
    """
    from sippet_reconcile._display import label, text_table  # noqa: PLC0415 - it needs pandas
    from sippet_reconcile.report.section import hidden_numbers  # noqa: PLC0415

    names = [str(name) for name in columns or frame.columns if name in frame.columns]
    if title:
        tell(f"\n{title}", err=err)
    if not len(frame):
        tell("(none)", err=err)
        return
    shown = hidden_numbers(frame.head(most))

    def cells(name: str) -> list[Any]:
        values = shown[name].tolist()
        if name in _LINES:
            return [str(v) if isinstance(v, int) else v for v in values]
        if name.startswith("share"):
            return [f"{v:.1%}" if isinstance(v, float) else v for v in values]
        return [f"{v[:_LONGEST]}…" if isinstance(v, str) and len(v) > _LONGEST else v for v in values]

    table = [cells(name) for name in names]
    tell(text_table(list(zip(*table, strict=True)), [label(name) for name in names]), err=err)
    n_rows = len(frame) if n_rows is None else n_rows
    if n_rows > most:
        tell(f"and {n_rows - most:,} more", err=err)


def print_summary(values: Mapping[str, Any], *, title: str | None = None) -> None:
    """Write names and plain values on stdout; nested values become one line each."""
    from sippet_reconcile._display import label, mask_in_name, mask_text, show_value  # noqa: PLC0415 - it needs pandas

    if title:
        tell(title)
    names = {name: label(name) for name in values}
    width = max((len(name) for name in names.values()), default=0)
    for name, value in values.items():
        if isinstance(value, Mapping):
            text = ", ".join(f"{key} {show_value(item)}" for key, item in value.items()) or "–"
        elif isinstance(value, list | tuple):
            text = ", ".join(show_value(item) for item in value) or "–"
        else:
            text = show_value(value)
        tell(f"  {names[name].ljust(width)}  {(mask_in_name if name in _PATHS else mask_text)(text)}")
