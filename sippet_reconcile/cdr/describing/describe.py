"""What is in these legs? Answered from the frame alone, for people who did not export it.

Input is a frame of legs, output a `CdrDescription` that prints itself as text and as
HTML. How the clock was known is read from the frame's ``attrs`` where they survived,
and is otherwise worked out from the data as far as that goes. Where the files are named
too, their sizes are told, and why they were taken for what they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.cdr.describing import counting
from sippet_reconcile.cdr.describing.clocks import Clocks, clocks_of
from sippet_reconcile.cdr.describing.first_look import candidates_frame, sizes_of, sniffed
from sippet_reconcile.cdr.describing.silence import Hours, hours_of, quiet_hours
from sippet_reconcile.cdr.whole.joined import ATTRS_KEY
from sippet_reconcile.schema import LEGS, conform

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from sippet_reconcile.cdr.files.sources import Paths
    from sippet_reconcile.report import Document

__all__ = ["CdrDescription", "describe_cdr"]

_MOST_NOTES: Final = 20
_MOST_FILES: Final = 20
_WIDTH: Final = 100
_LIMITS: Final = frozenset(
    {100, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 65_535, 65_536, 1_048_575, 1_048_576}
)
"""Rows at which exports, and spreadsheets with and without a header, stop."""

_SHEET: Final = 65_535
_SHEETS: Final = frozenset({_SHEET, 65_536, 1_048_575, 1_048_576})
_CUT: Final = r"cut off|fields instead of|not closed|ends in"


@dataclass(frozen=True, eq=False)
class CdrDescription:
    """What a frame of legs holds, as `describe_cdr` found it: text, a card, a page, or plain values.

    Attributes
    ----------
    values
        Headline figures, by name: counts, shares from 0 to 1, seconds (``…_s``) and instants in
        UTC (those called ``…_local`` in the zone of the clock); None where nothing tells.
    statuses, directions, causes, files
        Rows, and how many of them are answered, by each; the rows of each add up to all.
    legs_per_call, helpers
        How many calls have how many legs; the causes of helper legs.
    seconds
        How the time from start to end agrees with the stated total.
    numbers
        Callers and called by kind of number, with masked examples.
    problems, time_problems
        The commonest reasons why rows, or local times, cannot be used, with file and line.
    silences
        Stretches without legs in which other days have many.
    quiet_hours
        The longest stretches without legs, usual or not.
    days
        Legs per day of the switch's clock.
    clocks
        By which clocks the times were read, and how each is known.
    candidates
        Why files were taken for what they are; empty unless files were named.
    notes
        What was noted about files: when they were read, and that they may have been cut.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> export = sample_data() / "freeswitch" / "Master.csv"
    >>> described = sr.describe_cdr(sr.read_cdr(export, timezone="Europe/London", country="GB"))
    >>> described.summary()["rows"], int(described.statuses["rows"].sum())
    (2611, 2611)
    >>> described.to_html(Path(tempfile.mkdtemp()) / "look.html").name
    'look.html'
    """

    values: Mapping[str, Any]
    statuses: pd.DataFrame
    problems: pd.DataFrame
    quiet_hours: pd.DataFrame
    notes: tuple[str, ...]
    time_problems: pd.DataFrame
    directions: pd.DataFrame
    causes: pd.DataFrame
    files: pd.DataFrame
    legs_per_call: pd.DataFrame
    helpers: pd.DataFrame
    seconds: pd.DataFrame
    numbers: pd.DataFrame
    silences: pd.DataFrame
    days: pd.DataFrame
    clocks: Clocks
    candidates: pd.DataFrame = field(default_factory=lambda: candidates_frame("", []))

    def summary(self) -> dict[str, Any]:
        """Return counts and plain values, nested frames as lists of dicts; files beyond the twentieth are one."""
        return {
            **self.values,
            "statuses": dict(zip(self.statuses["status"], self.statuses["rows"].tolist(), strict=True)),
            "answered_by_status": _records(self.statuses),
            "directions": _records(self.directions),
            "causes": _records(self.causes),
            "source_files": _records(self.first_files),
            "legs_per_call_distribution": _records(self.legs_per_call),
            "helper_legs_by_cause": _records(self.helpers),
            "end_minus_start": _records(self.seconds),
            "kinds_of_number": _records(self.numbers),
            "problems": _records(self.problems),
            "time_problems": _records(self.time_problems),
            "unusual_silences": _records(self.silences),
            "hours_without_rows": _records(self.quiet_hours),
            "clocks": _records(self.clocks.frame),
            "format_candidates": _records(self.candidates),
            "notes": list(self.notes),
        }

    @property
    def first_files(self) -> pd.DataFrame:
        """The first twenty files, and all others as one."""
        if len(self.files) <= _MOST_FILES:
            return self.files
        rest = self.files.iloc[_MOST_FILES:]
        other: dict[str, Any] = {"file": f"({len(rest):,} other files)", "format": ""}
        counts = {name: int(rest[name].sum()) for name in ("rows", "answered", "with_problem")}
        starts = {"first_start": rest["first_start"].min(), "last_start": rest["last_start"].max()}
        row = pd.DataFrame([{**other, **counts, **starts, "sha256": ""}], columns=self.files.columns)
        return pd.concat([self.files.head(_MOST_FILES), row.astype(self.files.dtypes)], ignore_index=True)

    @cached_property
    def document(self) -> Document:
        """The whole description as a document, which `to_html` writes."""
        from sippet_reconcile.cdr.describing.description import document_of  # noqa: PLC0415 - jinja2 only where it is shown

        return document_of(self)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the description as one self-contained HTML file; return its path."""
        return self.document.to_html(path)

    def __repr__(self) -> str:
        from sippet_reconcile.report import document_text  # noqa: PLC0415 - as above

        whole = self.document
        # A picture read aloud is a long list.
        told = [part for part in whole.sections if part.frame is not None or not part.charts]
        return document_text(replace(whole, sections=told), width=_WIDTH)

    def _repr_html_(self) -> str:
        return self.document._repr_html_()


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as plain values, missing as None."""
    columns = [[None if pd.isna(value) else value for value in frame[name].tolist()] for name in frame]
    return [dict(zip(map(str, frame.columns), row, strict=True)) for row in zip(*columns, strict=True)]


def describe_cdr(legs: pd.DataFrame, *, paths: Paths | None = None) -> CdrDescription:
    """Describe legs: format, clock, span, statuses, problems, and what looks cut off.

    Parameters
    ----------
    legs
        What `read_cdr` returned, or parts of it; not changed.
    paths
        The files that the legs were read from, where their sizes are to be told, and why
        they were taken for what they are; as `read_cdr` takes them. Open files are not read again.

    Returns
    -------
    CdrDescription
        Shows itself as text, or as a card in a notebook; ``to_html(path)`` writes a page,
        ``summary()`` gives plain values, and its frames are attributes.

    Raises
    ------
    SchemaError
        If `legs` lacks columns that `read_cdr` makes.
    InputError
        If `paths` name no file.

    Examples
    --------
    >>> from sippet_reconcile import cdr_from_frame
    >>> calls = pd.DataFrame({"Start": ["2026-10-01 09:00:00", "yesterday"], "Talk": [60, 5]})
    >>> legs = cdr_from_frame(calls, columns={"started_at": "Start", "billable_s": "Talk"}, timezone="Europe/London")
    >>> found = describe_cdr(legs)
    >>> found.summary()["rows"], found.summary()["rows_with_problem"]
    (2, 1)
    >>> found.problems["problem"].tolist()
    ["start '…' is not a date and time"]
    """
    legs = conform(legs, LEGS)
    noted = legs.attrs.get(ATTRS_KEY)
    noted = noted if isinstance(noted, dict) else {}
    at, known = counting.micros_of(legs["started_at"])
    clocks = clocks_of(legs, noted)
    hours = hours_of(at[known], clocks.zone)
    files = counting.by_file(legs)
    calls, figures = counting.calls_by_legs(legs)
    sizes = {} if paths is None else sizes_of(paths)
    values = _values(legs, files, hours, clocks) | counting.repeats(legs) | figures | _seconds(legs)
    values |= {
        "share_of_callers_in_e164": _share(legs, "from"),
        "share_of_called_in_e164": _share(legs, "to"),
        "country": noted.get("country"),
        "bytes": sum(sizes.values()) if sizes else None,
    }
    numbers = counting.kinds_of_number(
        legs, country=noted.get("country"), strip_prefixes=noted.get("strip_prefixes") or ()
    )
    return CdrDescription(
        values=values,
        statuses=counting.by_status(legs),
        problems=counting.kinds_of_problem(legs, "problem"),
        quiet_hours=quiet_hours(at[known]),
        notes=_notes(files, hours, noted),
        time_problems=counting.kinds_of_problem(legs, "time_problem"),
        directions=counting.by_direction(legs),
        causes=counting.by_cause(legs),
        files=files.drop(columns="last_problem"),
        legs_per_call=calls,
        helpers=counting.helpers_by_cause(legs),
        seconds=counting.stated_seconds(legs),
        numbers=numbers,
        silences=hours.silences(),
        days=_days(hours),
        clocks=clocks,
        candidates=candidates_frame("", []) if paths is None else sniffed(paths, files),
    )


def _values(legs: pd.DataFrame, files: pd.DataFrame, hours: Hours, clocks: Clocks) -> dict[str, Any]:
    started = legs["started_at"]
    has_start = bool(started.notna().any())
    billable = legs["billable_s"].to_numpy(dtype=float, na_value=np.nan)
    days = np.unique(hours.hours // 24)
    first, last = (started.min(), started.max()) if has_start else (None, None)
    return {
        "rows": len(legs),
        "files": len(files),
        "format": ", ".join(sorted(legs["format"].dropna().unique().tolist())) or None,
        "clock": clocks.text,
        "earliest_start": first,
        "latest_start": last,
        "earliest_start_local": clocks.local(first),
        "latest_start_local": clocks.local(last),
        "days": int(days[-1] - days[0] + 1) if len(days) else 0,
        "days_with_rows": len(days),
        "rows_with_problem": int(legs["problem"].notna().sum()),
        "rows_with_time_problem": int(legs["time_problem"].notna().sum()),
        "rows_without_seconds": _flagged(legs, "is_coarse"),
        "answered": _flagged(legs, "is_answered"),
        "billable_s": float(billable[np.isfinite(billable)].sum()),
        "helper_legs": _flagged(legs, "is_helper"),
        "silences_can_be_told": hours.can_tell,
    }


def _flagged(legs: pd.DataFrame, name: str) -> int:
    return int(legs[name].fillna(value=False).sum()) if name in legs else 0


def _seconds(legs: pd.DataFrame) -> dict[str, Any]:
    increment, n_telling = counting.increment_of(legs)
    return {
        **counting.oddities(legs),
        "billed_in_steps_of_s": increment,
        "legs_with_billable_seconds": n_telling,
    }


def _share(legs: pd.DataFrame, side: str) -> float | None:
    delivered = legs[f"{side}_number"].notna()
    if not bool(delivered.any()):
        return None
    return round(float((legs[f"{side}_e164"].notna() & delivered).sum() / delivered.sum()), 3)


def _days(hours: Hours) -> pd.DataFrame:
    """Return the legs of each day from the first to the last, also of those without."""
    at = hours.hours // 24
    known, places = np.unique(at, return_inverse=True)
    legs = np.bincount(places, weights=hours.counts, minlength=len(known)).astype(np.int64)
    return pd.DataFrame({"day": pd.Series(known.astype("M8[D]").astype("M8[s]")), "rows": legs})


def _notes(files: pd.DataFrame, hours: Hours, noted: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what hints at an export that was cut, and what was noted when it was read."""
    notes: list[str] = []
    for name, rows in files.loc[files["rows"].isin(_LIMITS), ["file", "rows"]].itertuples(index=False):
        reason = (
            "as many as a spreadsheet holds"
            if rows in _SHEETS
            else "as an export that was cut at a limit has"
        )
        notes.append(f"{name} has exactly {rows:,} rows, {reason}")
    is_cut = files["last_problem"].fillna("").str.contains(_CUT, regex=True)
    for name, problem in files.loc[is_cut, ["file", "last_problem"]].itertuples(index=False):
        notes.append(f"{name} ends in the middle of a record: {problem}")
    notes = [
        *notes[:_MOST_NOTES],
        *([f"and {len(notes) - _MOST_NOTES:,} more such files"] if len(notes) > _MOST_NOTES else []),
    ]
    notes += hours.edges()
    return (*notes, *(str(note) for note in noted.get("notes", [])))
