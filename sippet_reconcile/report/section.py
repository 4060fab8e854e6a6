"""Describe one part of a document: a sentence, and a table or charts that prove it.

Input are plain data and how they are to be shown; output is the text of each cell, phone
numbers masked, from which every view is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from sippet_reconcile._display import label, mask_in_id, mask_in_name, mask_number, mask_text, show_value

if TYPE_CHECKING:
    from sippet_reconcile.report.charts import Chart

__all__ = ["NUMBER_COLUMNS", "Section", "hidden_numbers", "hidden_values"]

NUMBER_COLUMNS: Final = ("from_number", "to_number", "sip_username")
"""Columns that are masked wherever they are shown; a user name is often a number."""

_MASKED: Final = re.compile(r"(?:from|to)_(?:number|e164)|sip_username")
"""Names that begin so hold numbers, whichever side they are of."""

_VALUES: Final = frozenset({"before", "after", "observed", "value_call", "value_cdr"})
"""Columns whose content is that of the field which their row names."""

_IDS: Final = frozenset({"call_id", "call_uuid", "cdr_id", "conversation_id", "leg_id", "call_key", "linked_id", "id", "example", "examples",
                         "plan_id", "run_id", "reverts_run_id", "request_id", "hash", "prev_hash", "head", "sha256", "record_hash"})  # fmt: skip
"""Columns that somebody looks up: of these, only what is certainly a phone number is masked."""

_NAMES_OF_FILES: Final = frozenset({"source", "sources", "source_file", "file"})
_MEASURED: Final = re.compile(r"\w+_(?:at|s|seconds)(?:_cdr|_call)?")
"""Columns, and fields, of instants and durations."""


@dataclass(frozen=True, eq=False)
class Section:
    """One part of a document: a title, a sentence, and a table or chart or both.

    Attributes
    ----------
    title, intro, note
        Plain text: above the table, and under it.
    frame
        A table, in its own order, without its index.
    charts
        Pictures above the table.
    heads
        Column to what stands above it, where the name alone would not do.
    filters
        Columns of few values, which the reader may narrow the table by.
    is_searchable
        Whether the HTML offers to search and page the table.
    signed
        Columns of numbers shown with their sign.
    plain_numbers
        Columns of numbers shown without thousands separators (line numbers).
    group_by
        Column whose equal values, standing together, make one block that is sorted,
        found and filtered as one: a call with all its changes. Empty for none.
    once
        Columns that say the same in every row of a block, and are written once.
    evidence
        One row per block, in the order of the blocks: what proves it, unfolded on demand.
        `heads`, `signed` and `plain_numbers` hold for its columns too.
    group_word, row_word
        What a block and a row are called where they are counted.
    total
        Whether the last row is a total and is set apart.
    rest
        Where the rows are that the document leaves away, as a sentence.
    is_detail
        Whether the section is folded away at first.
    in_card
        Whether the section is part of the card in a notebook.
    """

    title: str
    intro: str = ""
    frame: pd.DataFrame | None = None
    charts: Sequence[Chart] = ()
    note: str = ""
    heads: Mapping[str, str] = field(default_factory=dict)
    filters: Sequence[str] = ()
    is_searchable: bool = False
    signed: Sequence[str] = ()
    plain_numbers: Sequence[str] = ()
    group_by: str = ""
    once: Sequence[str] = ()
    evidence: pd.DataFrame | None = None
    group_word: str = "call"
    row_word: str = ""
    total: bool = False
    rest: str = ""
    is_detail: bool = False
    in_card: bool = True

    def __post_init__(self) -> None:
        if self.group_by or self.once or self.evidence is not None:
            _check_blocks(self)

    @property
    def anchor(self) -> str:
        """The title as it can stand in an address."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "section"

    @property
    def names(self) -> list[str]:
        """The names of the table's columns; none without a table."""
        return [] if self.frame is None else [str(name) for name in self.frame.columns]

    @property
    def n_rows(self) -> int:
        """How many rows the table has, its total among them; 0 without a table."""
        return 0 if self.frame is None else len(self.frame)

    def head(self, name: str) -> str:
        """Return what stands above a column."""
        return self.heads.get(name, label(name))

    def cells(self, max_rows: int, *, mask: bool = True) -> list[list[str]]:
        """Return the first rows as text, numbers of phones masked unless they are to be seen."""
        return [list(row) for row in zip(*self.columns(max_rows, mask=mask), strict=True)]

    def columns(self, max_rows: int, *, mask: bool = True) -> list[list[str]]:
        """Return the first cells of each column as text, numbers of phones masked unless they are to be seen."""
        return [] if self.frame is None else self._texts(self.frame.head(max_rows), mask=mask)

    def evidence_columns(self, max_blocks: int, *, mask: bool = True) -> list[list[str]]:
        """Return the first cells of each column of the evidence as text, masked likewise."""
        return [] if self.evidence is None else self._texts(self.evidence.head(max_blocks), mask=mask)

    def block_sizes(self, max_rows: int | None = None) -> list[int]:
        """Return how many rows each block has.

        With `max_rows` those of the first blocks that have no more rows together; the
        first one is whole in any case.
        """
        if self.frame is None or not self.group_by:
            return []
        starts = np.flatnonzero(_begins(self.frame[self.group_by]))
        ends = np.append(starts[1:], len(self.frame)) if len(starts) else starts
        n_blocks = len(starts)
        if max_rows is not None:
            n_blocks = max(int(np.searchsorted(ends, max_rows, side="right")), min(1, n_blocks))
        return (ends - starts)[:n_blocks].tolist()

    def _texts(self, frame: pd.DataFrame, *, mask: bool) -> list[list[str]]:
        columns = (
            hidden_values(frame) if mask else [frame.iloc[:, at].tolist() for at in range(frame.shape[1])]
        )
        texts = [
            [self._cell(name, value) for value in values]
            for name, values in zip(map(str, frame.columns), columns, strict=True)
        ]
        _align([at for at, dtype in enumerate(frame.dtypes) if _is_money(dtype)], texts)
        return texts

    def _cell(self, name: str, value: object) -> str:
        if isinstance(value, str):
            return show_value(value)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool) and value == value:  # noqa: PLR0124 - NaN
            if name in self.plain_numbers:
                return f"{value:g}" if isinstance(value, float) else str(value)
            if name in self.signed:
                text = show_value(abs(value))
                return f"−{text}" if value < 0 else f"+{text}" if value > 0 else text
            return show_value(value).replace("-", "−")
        return show_value(value)

    def is_number(self, name: str) -> bool:
        """Tell whether a column holds numbers."""
        dtype = self.frame[name].dtype if self.frame is not None else object
        return bool(pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype))

    def is_instant(self, name: str) -> bool:
        """Tell whether a column holds instants."""
        return self.frame is not None and isinstance(self.frame[name].dtype, pd.DatetimeTZDtype)


def hidden_values(frame: pd.DataFrame) -> list[list[object]]:
    """Return the values of each column with the middle of every phone number hidden.

    A column of numbers or users is masked whatever stands in it, and so is a value of such a field.
    Ids and names of files lose only what can be nothing else than a number; instants and
    durations, nothing.

    Examples
    --------
    >>> rows = {"field": ["status", "to_number"], "value_call": ["busy", "1234567"], "to_number_cdr": ["12345", ""]}
    >>> hidden_values(pd.DataFrame(rows))[1:]
    [['busy', '12•••67'], ['12•45', '']]
    >>> hidden_values(pd.DataFrame({"cause": ["asked 020 7946 0123"], "leg_id": ["02079460123"], "at_s": ["1234567.5"]}))
    [['asked 02• •••• ••23'], ['02079460123'], ['1234567.5']]
    """
    return list(_hidden(frame))


def _hidden(frame: pd.DataFrame) -> Iterator[list[object]]:
    """Yield the values of one column after the other, each distinct text looked at once."""
    fields: list[object] = []
    if "field" in frame and not _VALUES.isdisjoint(frame.columns):
        fields = frame["field"].tolist()
    for at, name in enumerate(map(str, frame.columns)):
        values = frame.iloc[:, at].tolist()
        if fields and name in _VALUES:
            hide = {field: _mask_of(field) if isinstance(field, str) else mask_text for field in fields}
            yield [
                hide[field](value) if isinstance(value, str) else value
                for field, value in zip(fields, values, strict=True)
            ]
            continue
        mask = _mask_of(name)
        shown = {value: mask(value) for value in {value for value in values if isinstance(value, str)}}
        yield [shown[value] if isinstance(value, str) else value for value in values] if shown else values


def hidden_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame as it may be shown: its texts with the middle of every phone number hidden.

    Examples
    --------
    >>> rows = {"source": ["a.csv:12345678"], "x_trunk": ["SIP/02079460123-0f"], "from_number": ["79460123"]}
    >>> hidden_numbers(pd.DataFrame(rows, dtype="str")).iloc[0].tolist()
    ['a.csv:12345678', 'SIP/02•••••••23-0f', '79••••23']
    """
    # One column at a time: of a large frame, no more than that is in memory as single values.
    parts = [
        pd.Series(values, index=frame.index, dtype=column.dtype)
        if any(isinstance(value, str) for value in values)
        else column
        for (_, column), values in zip(frame.items(), _hidden(frame), strict=True)
    ]
    return pd.concat(parts, axis="columns", keys=frame.columns) if parts else frame


def _mask_of(name: str) -> Callable[[str], str]:
    """Return what hides the numbers in the texts of a column or a field."""
    if _MASKED.match(name):
        return mask_number
    if name in _NAMES_OF_FILES:
        return mask_in_name
    if name in _IDS:
        return mask_in_id
    return str if _MEASURED.fullmatch(name) else mask_text


def _is_money(dtype: object) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and pa.types.is_decimal(dtype.pyarrow_dtype)


def _align(columns: Sequence[int], texts: list[list[str]]) -> None:
    """Write amounts of money with as many places as the longest of them, so that their points stand in a line."""
    known = [text for at in columns for text in texts[at] if "." in text]
    most = max((len(text) - text.index(".") for text in known), default=0)
    for at in columns:
        texts[at] = [
            text + "0" * (most - len(text) + text.index(".")) if "." in text else text for text in texts[at]
        ]


def _begins(keys: pd.Series) -> np.ndarray:
    """Mark the rows where a block begins; a row without a key is a block of its own."""
    codes, _ = pd.factorize(keys)
    return np.r_[True, (codes[1:] != codes[:-1]) | (codes[1:] < 0)][: len(codes)]


def _check_blocks(part: Section) -> None:
    """Raise where blocks would hide or mix up what they hold."""
    frame = part.frame
    if frame is None or part.group_by not in frame:
        msg = f"section {part.title!r} has no column {part.group_by!r} to group by"
        raise ValueError(msg)
    begins = _begins(frame[part.group_by])
    n_blocks = int(begins.sum())
    keys = frame.loc[begins, part.group_by].dropna()
    if not keys.is_unique:
        msg = f"section {part.title!r}: rows of one {part.group_by} do not stand together"
        raise ValueError(msg)
    if part.evidence is not None and len(part.evidence) != n_blocks:
        msg = f"section {part.title!r}: {len(part.evidence)} rows of evidence for {n_blocks} blocks"
        raise ValueError(msg)
    firsts = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    for name in part.once:
        codes, _ = pd.factorize(frame[name])
        if (codes != codes[firsts]).any():
            msg = (
                f"section {part.title!r}: {name} is to be written once, but differs within a {part.group_by}"
            )
            raise ValueError(msg)
