"""What is in these legs? Answered from the frame alone, for people who did not export it.

Input is a frame of legs, output a `CdrDescription` that prints itself as text and as
HTML. How the clock was known is read from the frame's ``attrs`` where they survived,
and is otherwise worked out from the data as far as that goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import (
    card,
    html_table,
    html_text,
    label,
    plural,
    section,
    show_value,
    text_table,
)
from sippet_reconcile.cdr.read import ATTRS_KEY
from sippet_reconcile.schema import LEGS, conform

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CdrDescription", "describe_cdr"]

_HOURS_SHOWN: Final = 12
_EXAMPLES: Final = 3
_HOUR: Final = 3600
_LIMITS: Final = (100, 1_000, 10_000, 50_000, 100_000, 1_000_000)
_EPOCH_OF_ID: Final = r"^(?:.*-)?(\d{9,10})\.\d+$"


@dataclass(frozen=True, eq=False)
class CdrDescription:
    """What a frame of legs holds; `problems` has one row per kind of problem, with line numbers."""

    values: Mapping[str, Any]
    statuses: pd.DataFrame
    problems: pd.DataFrame
    quiet_hours: pd.DataFrame
    notes: tuple[str, ...] = field(default=())

    def summary(self) -> dict[str, Any]:
        """Return counts and plain values, nested frames as lists of dicts."""
        return {
            **self.values,
            "statuses": dict(zip(self.statuses["status"], self.statuses["rows"].tolist(), strict=True)),
            "problems": self.problems.to_dict("records"),
            "hours_without_rows": self.quiet_hours.to_dict("records"),
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        rows = [[label(name), show_value(value)] for name, value in self.values.items()]
        parts = [text_table(rows, ["legs", ""])]
        parts += [
            text_table(frame.astype(object).to_numpy().tolist(), list(frame.columns))
            for frame in (self.statuses, self.problems, self.quiet_hours)
            if len(frame)
        ]
        return "\n\n".join([*parts, *self.notes])

    def _repr_html_(self) -> str:
        tone = "warn" if len(self.problems) or self.notes else "ok"
        parts = [section("Rows by status", html_table(self.statuses))]
        if len(self.problems):
            parts.append(section("Commonest problems", html_table(self.problems)))
        if len(self.quiet_hours):
            parts.append(section("Hours without rows", html_table(self.quiet_hours)))
        parts += [html_text(note) for note in self.notes]
        return card(f"CDRs: {plural(self.values['rows'], 'leg')}", self.values, *parts, tone=tone)


def describe_cdr(legs: pd.DataFrame) -> CdrDescription:
    """Describe legs: format, clock, span, statuses, problems, and what looks cut off.

    Parameters
    ----------
    legs
        What `read_cdr` returned, or parts of it; not changed.

    Examples
    --------
    >>> describe_cdr(LEGS.empty()).summary()["rows"]
    0
    """
    legs = conform(legs, LEGS)
    started = legs["started_at"]
    usable = legs["problem"].isna()
    values: dict[str, Any] = {
        "rows": len(legs),
        "files": int(legs["source_file"].nunique()),
        "format": ", ".join(sorted(legs["format"].dropna().unique().tolist())) or None,
        "clock": _clock(legs),
        "earliest_start": started.min() if started.notna().any() else None,
        "latest_start": started.max() if started.notna().any() else None,
        "rows_with_problem": int((~usable).sum()),
        "rows_with_time_problem": int(legs["time_problem"].notna().sum()),
        "rows_without_seconds": int(legs["is_coarse"].fillna(value=False).sum())
        if "is_coarse" in legs
        else 0,
        "answered": int(legs["is_answered"].fillna(value=False).sum()),
        "billable_s": float(legs["billable_s"].fillna(0).sum()),
        "helper_legs": int(legs["is_helper"].fillna(value=False).sum()) if "is_helper" in legs else 0,
        "repeated_records": int(legs["record_hash"].duplicated().sum()),
        **_legs_per_call(legs),
        "share_of_callers_in_e164": _share(legs, "from"),
        "share_of_called_in_e164": _share(legs, "to"),
    }
    counts = legs["status"].fillna("(missing)").value_counts()
    statuses = pd.DataFrame({"status": counts.index.astype("str"), "rows": counts.to_numpy()})
    return CdrDescription(values, statuses, _problems(legs), _quiet_hours(started), _notes(legs))


def _clock(legs: pd.DataFrame) -> str | None:
    """Say which clock the times were read by: as noted when reading, else what the ids confirm."""
    noted = legs.attrs.get(ATTRS_KEY)
    if isinstance(noted, dict) and noted.get("clocks"):
        return ", ".join(noted["clocks"])
    epochs = pd.to_numeric(legs["call_key"].str.extract(_EPOCH_OF_ID)[0], errors="coerce")
    told = epochs.notna() & legs["started_at"].notna()
    if not bool(told.any()):
        return None
    at = (legs.loc[told, "started_at"] - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    gap = float((at - epochs[told]).median())
    return "confirmed by the epoch in the ids" if abs(gap) < 60 else f"the ids say {gap:+,.0f} s off"  # noqa: PLR2004


def _legs_per_call(legs: pd.DataFrame) -> dict[str, Any]:
    sizes = legs["linked_id"].dropna().value_counts()
    if sizes.empty:
        return {"calls_by_linked_id": 0, "legs_per_call": None, "most_legs_of_a_call": 0}
    return {
        "calls_by_linked_id": len(sizes),
        "legs_per_call": round(float(sizes.mean()), 2),
        "most_legs_of_a_call": int(sizes.max()),
    }


def _share(legs: pd.DataFrame, side: str) -> float | None:
    delivered = legs[f"{side}_number"].notna()
    if not bool(delivered.any()):
        return None
    return round(float((legs[f"{side}_e164"].notna() & delivered).sum() / delivered.sum()), 3)


def _problems(legs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per kind of problem, most frequent first, with the first lines that have it."""
    both = pd.concat(
        [
            legs.loc[legs[name].notna(), ["source_file", "source_row", name]].set_axis(
                ["file", "row", "problem"], axis="columns"
            )
            for name in ("problem", "time_problem")
        ]
    )
    # Values in quotes and digits differ from row to row; the kind of problem is what remains.
    kind = (
        both["problem"]
        .str.replace(r"'[^']*'", "'…'", regex=True)
        .str.replace(r"\d[\d:, -]*\d|\d", "…", regex=True)
    )
    where = both["file"].fillna("") + ":" + both["row"].astype("str").fillna("?")
    rows = [
        {"problem": name, "rows": len(places), "where": "; ".join(places.head(_EXAMPLES))}
        for name, places in where.groupby(kind, sort=False)
    ]
    frame = pd.DataFrame(rows, columns=["problem", "rows", "where"]).astype({"rows": "int64"})
    return frame.sort_values("rows", ascending=False, kind="stable", ignore_index=True)


def _quiet_hours(started: pd.Series[pd.Timestamp]) -> pd.DataFrame:
    """Return the longest stretches of whole hours, in UTC, in which no leg began."""
    # Hours as whole numbers: an empty column of instants has no arithmetic worth relying on.
    known = started.dropna().dt.as_unit("s").dt.tz_convert(None).to_numpy().view(np.int64)
    hours = np.unique(known // _HOUR)
    gaps = np.diff(hours) - 1
    longest = np.sort(np.argsort(-gaps, kind="stable")[: min(_HOURS_SHOWN, int((gaps > 0).sum()))])
    begins, ends = (hours[:-1][longest] + 1) * _HOUR, hours[1:][longest] * _HOUR
    return pd.DataFrame(
        {
            "from": pd.to_datetime(begins, unit="s", utc=True),
            "until": pd.to_datetime(ends, unit="s", utc=True),
            "hours": gaps[longest],
        }
    )


def _notes(legs: pd.DataFrame) -> tuple[str, ...]:
    notes: list[str] = []
    for name, count in legs["source_file"].value_counts().items():
        if count in _LIMITS:
            notes.append(f"{name} has exactly {count:,} rows, as an export that was cut at a limit has")
    noted = legs.attrs.get(ATTRS_KEY)
    if isinstance(noted, dict):
        notes += [str(note) for note in noted.get("notes", [])]
    return tuple(notes)
