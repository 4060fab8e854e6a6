"""What the month before settled, so that the same words mean the same from month to month.

Input is the folder of the months and a month, output what ``duration = "auto"`` came to
in the month before, as far as that can be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sippet_reconcile.errors import InputError
from sippet_reconcile.month.folder import RULES, SUMMARY, MonthFolder
from sippet_reconcile.month.places import neighbours
from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["AUTO", "Previous", "flip_of", "previous_month"]

AUTO: Final = "auto"


@dataclass(frozen=True)
class Previous:
    """What durations meant in the month before.

    Attributes
    ----------
    month
        The month before.
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
            return f"There is no {self.month} in this folder to compare the rules with."
        if self.duration is None:
            return f"{self.month} did not settle what durations mean."
        return f"In {self.month}, durations were {self.duration}."


def previous_month(output: Path, month: str) -> Previous:
    """Return what the month before settled."""
    before, _ = neighbours(month)
    folder = MonthFolder(output / before)
    values, is_damaged = folder.read_summary()
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
