"""By which clocks were times read, and how does anybody know? Said in a table and in sentences.

Input are legs and what was noted when they were read, output is `Clocks`. Without notes
the epochs in the ids are held against the starts, which tells whether they fit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from sippet_reconcile.cdr.times.clock import OFFSETS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Clocks", "clocks_of"]

_EPOCH_OF_ID: Final = r"^(?:.*-)?(\d{9,10})\.\d+$"
_NEAR_S: Final = 60
_TEXT: Final = re.compile(r"(?P<name>[^ ]+) \((?P<how>.*)\)")
_OFFSET: Final = re.compile(r"UTC(?P<sign>[+-])(?P<hours>\d\d):(?P<minutes>\d\d)")
_MEASURED: Final = "measured"


@dataclass(frozen=True, eq=False)
class Clocks:
    """The clocks of some files.

    `text` names them in one line, None where nobody knows; `zone` is the one zone of them
    all, None where there are several or none. `frame` has one row per clock: its name, how
    it is known, the files, and the names of a few; `sentences` say the same in words.
    """

    text: str | None
    zone: tzinfo | None
    frame: pd.DataFrame
    sentences: tuple[str, ...]

    def local(self, at: pd.Timestamp | None) -> str | None:
        """Return an instant as the switch's own clock showed it; None where that is not known."""
        if at is None or self.zone is None:
            return None
        return at.tz_convert(self.zone).strftime("%Y-%m-%d %H:%M:%S")


def clocks_of(legs: pd.DataFrame, noted: Mapping[str, Any]) -> Clocks:
    """Return the clocks as noted when the legs were read, else what the ids confirm."""
    texts = [str(text) for text in noted.get("clocks") or []]
    by_clock = noted.get("by_clock") or {}
    rows, zones, sentences = [], [], []
    for text in texts:
        match = _TEXT.fullmatch(text)
        name, how = (match["name"], match["how"]) if match else (text, "")
        count, names = by_clock.get(text, (None, []))
        rows.append((name, how, count, ", ".join(names)))
        zones.append(_zone(name, how))
        sentences.append(_sentence(name, how, legs["started_at"]))
    frame = pd.DataFrame(rows, columns=["clock", "how_it_is_known", "files", "such_as"]).astype(
        {"clock": "str", "how_it_is_known": "str", "files": "Int64", "such_as": "str"}
    )
    if texts:
        return Clocks(", ".join(texts), zones[0] if len(zones) == 1 else None, frame, tuple(sentences))
    found = _from_ids(legs)
    sentence = (
        f"How the times were read was not kept; {found}."
        if found
        else "How the times were read was not kept."
    )
    return Clocks(found, None, frame, (sentence,) if len(legs) else ())


def _zone(name: str, how: str) -> tzinfo | None:
    match = _OFFSET.fullmatch(name)
    if match is None:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # KeyError: no zone of that name
            return None
    if how == OFFSETS:
        return None
    offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"]))
    return timezone(-offset if match["sign"] == "-" else offset)


def _sentence(name: str, how: str, started: pd.Series[pd.Timestamp]) -> str:
    if how == OFFSETS:
        return "Every time carries its own offset or is an epoch: no zone is needed to read them."
    if how.startswith(_MEASURED):
        known = started.dropna()
        first, last = (f"{at:%Y-%m-%d}" for at in (known.min(), known.max())) if len(known) else ("", "")
        span = "" if not first else f" on {first}" if first == last else f" from {first} to {last}"
        return (
            f"{name}, {how}: the switch stood at that offset{span}. Several zones have it, and which of them the "
            "file does not tell; name the zone (timezone=) before reading files of other seasons together."
        )
    if how == "given":
        return f"{name}, as was said; nothing in the data confirms or contradicts it."
    return f"{name}, {how}."


def _from_ids(legs: pd.DataFrame) -> str | None:
    """Say how the epochs in the ids lie to the starts; the ids of a first few rows tell whether there are any."""
    keys = legs["call_key"]
    epochs = pd.to_numeric(keys.str.extract(_EPOCH_OF_ID)[0], errors="coerce")
    told = epochs.notna() & legs["started_at"].notna()
    if not bool(told.any()):
        return None
    at = (legs.loc[told, "started_at"] - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    gap = float((at - epochs[told]).median())
    return "confirmed by the epoch in the ids" if abs(gap) < _NEAR_S else f"the ids say {gap:+,.0f} s off"
