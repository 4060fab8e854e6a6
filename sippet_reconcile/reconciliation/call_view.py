"""Show one call: what differs, both sides in time, every leg with its file and line.

Input is what was gathered about a call, output a card in a notebook or a page for a
terminal; neither reads, sends or decides anything.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Final

import pandas as pd

from sippet_reconcile._display import (
    MAX_ROWS,
    card,
    chart_figure,
    folded,
    joined,
    paragraphs,
    plural,
    shortened,
    show_value,
    text_table,
    visible,
)
from sippet_reconcile.reconciliation.lanes import Picture
from sippet_reconcile.reconciliation.page import compact_table
from sippet_reconcile.schema import Bucket

__all__ = ["CallView"]

_MISSING: Final = show_value(None)
_TEXT_WIDTH: Final = 110
_WIDE: Final = "70em"
_LONGEST_CELL: Final = 40
_SOURCE: Final = 28
_TEXT_ROWS: Final = 12
_TIMES: Final = ("started_at", "answered_at", "ended_at")
_LEG_PARTS: Final = (
    ("Legs", (*_TIMES, "total_s", "billable_s", "status")),
    ("Legs, further", ("from_number", "to_number", "cause", "bucket", "reason")),
)


@dataclass(frozen=True, eq=False, repr=False)
class CallView:
    """One call with everything known about it; prints itself.

    Attributes
    ----------
    call_id, cdr_id
        None where that side has no row.
    bucket, reason
        Where the call (or, without one, the CDR call) ended up.
    sides
        One row per attribute: ``attribute``, ``api``, ``cdr``.
    legs
        The legs, each with ``source`` as ``file:line``.
    rivals
        The rows of `Reconciliation.ambiguous` that concern it.
    discrepancies
        Its rows of `Reconciliation.discrepancies`.
    notes
        Sentences: what may be planned, what may not, and why.
    picture
        Both sides in time, as a drawing and as text.

    Examples
    --------
    >>> from sippet_reconcile.demo import sample_reconciliation
    >>> rec = sample_reconciliation()
    >>> view = rec.show(rec.discrepancies["call_id"][0])
    >>> view.bucket, view.verdict, view.legs["source"].tolist()
    ('matched', '1 field differs: duration_seconds.', ['Master.csv:5'])
    """

    call_id: str | None
    cdr_id: str | None
    bucket: str
    reason: str | None
    sides: pd.DataFrame
    legs: pd.DataFrame
    rivals: pd.DataFrame
    discrepancies: pd.DataFrame
    notes: tuple[str, ...]
    picture: Picture

    @property
    def title(self) -> str:
        """The id and the bucket."""
        why = f" ({self.reason})" if self.reason else ""
        return f"Call {self.call_id or self.cdr_id}: {self.bucket}{why}"

    @property
    def verdict(self) -> str:
        """The answer: what differs, or why there is nothing to correct."""
        fields = [str(name) for name in self.discrepancies["field"]]
        if not fields:
            return self.notes[0] if self.notes else ""
        return (
            f"{plural(len(fields), 'field')} {'differs' if len(fields) == 1 else 'differ'}: {joined(fields)}."
        )

    def __str__(self) -> str:
        notes = [line for note in self.notes for line in _wrapped(note)]
        parts = [
            visible(self.title),
            *notes,
            "",
            self.picture.to_text(_TEXT_WIDTH),
            "",
            _as_text(self._known_sides),
        ]
        if len(self.legs):
            told = _times_shortened(self.legs)
            further = len(told) - _TEXT_ROWS
            more = [f"  and {further:,} more"] if further > 0 else []
            for name, columns in _LEG_PARTS:
                known = [column for column in columns if told[column].notna().any()]
                if known:
                    parts += ["", name, _as_text(told.loc[:, ["source", *known]].head(_TEXT_ROWS)), *more]
        if len(self.rivals):
            parts += ["", "Rivals", _as_text(self.rivals)]
        return "\n".join(parts)

    def __repr__(self) -> str:
        return str(self)

    @property
    def _known_sides(self) -> pd.DataFrame:
        """What at least one side knows."""
        return self.sides.loc[self.sides["api"].ne(_MISSING) | self.sides["cdr"].ne(_MISSING)]

    def _differences(self) -> pd.DataFrame:
        return self.discrepancies.loc[
            :, ["field", "value_call", "value_cdr", "delta_s", "explanation", "also", "is_patchable"]
        ]

    def _repr_html_(self) -> str:
        verdict = self.verdict
        parts = [
            paragraphs([note for note in self.notes if note != verdict]),
            chart_figure(self.picture.caption, self.picture.to_svg(), width=_WIDE),
            folded("Both sides", compact_table(self._known_sides, max_rows=MAX_ROWS)),
        ]
        for name, frame in (
            ("Legs", self.legs.dropna(axis="columns", how="all")),
            ("Rivals", self.rivals),
            ("Discrepancies", self._differences()),
        ):
            if len(frame):
                parts.append(folded(f"{name} ({len(frame):,})", compact_table(frame, max_rows=MAX_ROWS)))
        tone = "warn" if len(self.discrepancies) or self.bucket != Bucket.MATCHED.value else "ok"
        return card(self.title, None, *parts, verdict=verdict, tone=tone)


def _wrapped(note: str) -> list[str]:
    return textwrap.wrap(visible(note), _TEXT_WIDTH, initial_indent="  ", subsequent_indent="    ")


def _as_text(frame: pd.DataFrame) -> str:
    columns = [
        [
            shortened(value, _LONGEST_CELL) if isinstance(value, str) else value
            for value in frame[name].tolist()
        ]
        for name in frame.columns
    ]
    table = text_table(list(zip(*columns, strict=True)), [str(name) for name in frame.columns])
    return "\n".join(f"  {line}" for line in table.splitlines())


def _times_shortened(legs: pd.DataFrame) -> pd.DataFrame:
    """Return legs whose answer and end leave away the day where it is that of the start."""
    start = legs["started_at"]
    shown = {"started_at": start.dt.strftime("%Y-%m-%d %H:%M:%S").astype("str")}
    for name in _TIMES[1:]:
        whole, time = (
            legs[name].dt.strftime(form).astype("str") for form in ("%Y-%m-%d %H:%M:%S", "%H:%M:%S")
        )
        shown[name] = whole.mask(legs[name].dt.floor("D").eq(start.dt.floor("D")), time)
    # The line is what a reader needs most, so a long name of a file loses its beginning.
    shown["source"] = legs["source"].map(
        lambda text: text if len(text) <= _SOURCE else f"…{text[1 - _SOURCE :]}"
    )
    return legs.assign(**shown)
