"""What an earlier month settled, so that the same words mean the same from month to month.

Input is the folder of the months and a month, output what ``duration = "auto"`` came to
in the last month before it that tells, as far as there is one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sippet_reconcile.errors import InputError
from sippet_reconcile.month.folder import RULES, SUMMARY, MonthFolder
from sippet_reconcile.month.places import neighbours
from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["AUTO", "Previous", "flip_of", "previous_month"]

AUTO: Final = "auto"

_MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}")


@dataclass(frozen=True)
class Previous:
    """What durations meant in an earlier month.

    Attributes
    ----------
    month
        The last month before it that tells; the one right before it where none does.
    duration
        ``billable`` or ``total``; None where it was not settled, or cannot be told.
    source
        The file that says so; None where there is none.
    is_damaged
        Whether there is a month that cannot be read.
    """

    month: str
    duration: str | None = None
    source: Path | None = None
    is_damaged: bool = False

    @property
    def told(self) -> str:
        """What there is to tell of it, as a sentence."""
        if self.is_damaged:
            return f"What {self.month} settled cannot be read."
        if self.source is None:
            return (
                f"There is no {self.month} in this folder to compare the rules with, nor a month before it."
            )
        return f"In {self.month}, durations were {self.duration}."


def previous_month(output: Path, month: str) -> Previous:
    """Return what the last month before this one settled.

    A month that is not there, or came to no word, is passed over: one that a timer has missed would
    otherwise let the next one come to anything.
    """
    names = [path.name for path in output.iterdir() if _MONTH.fullmatch(path.name) and path.name < month]
    for name in sorted(names, reverse=True):
        found = _told_by(MonthFolder(output / name), name)
        if found.duration is not None or found.is_damaged:
            return found
    return Previous(neighbours(month)[0])


def _told_by(folder: MonthFolder, before: str) -> Previous:
    values, is_damaged = folder.read_summary()
    told = values.get("duration")
    if isinstance(told, dict) and told.get("agreed") is False:
        # It was stopped for this very reason, and nobody has settled it since: its own word counts for nothing.
        word = _settled(told.get("previous"))
        earlier = str(told.get("previous_month"))
        return Previous(earlier, word, folder / SUMMARY, is_damaged=word is None)
    rules = values.get("rules")
    if isinstance(rules, dict) and "duration" in rules:
        return Previous(before, _settled(rules["duration"]), folder / SUMMARY)
    if (folder / RULES).is_file():
        try:
            return Previous(before, _settled(Rules.from_toml(folder / RULES).duration), folder / RULES)
        except (InputError, UnicodeDecodeError):
            is_damaged = True
    return Previous(before, is_damaged=is_damaged)


def _settled(word: object) -> str | None:
    return word if isinstance(word, str) and word != AUTO else None


def flip_of(asked: str, settled: str, month: str, before: Previous) -> str | None:
    """Return why no plan may be made from a basis that the data settled, None where nothing speaks against it.

    Examples
    --------
    >>> september = Previous("2026-09", "total", Path("months/2026-09/summary.json"))
    >>> flip_of("billable", "billable", "2026-10", september) is None
    True
    >>> print(flip_of("auto", "billable", "2026-10", september))
    duration = "auto" came to billable in 2026-10, and to total in 2026-09 (months/2026-09/summary.json): find out which of them the API's seconds are, then settle it with duration = "billable" or duration = "total" under [rules]
    """
    if asked != AUTO or settled == AUTO:
        return None
    settle = 'duration = "billable" or duration = "total" under [rules]'
    if before.is_damaged:
        return (
            f'duration = "auto" came to {settled} in {month}, and what it came to in {before.month} cannot be read: '
            f"restore that folder, run {before.month} again, or settle it with {settle}"
        )
    if before.duration is None or before.duration == settled:
        return None
    return (
        f'duration = "auto" came to {settled} in {month}, and to {before.duration} in {before.month} '
        f"({before.source}): find out which of them the API's seconds are, then settle it with {settle}"
    )
