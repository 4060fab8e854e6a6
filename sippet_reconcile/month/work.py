"""One run of a month under way: what it knows, what it has made so far, and what it could keep.

Input are a configuration, a month and what the run before left; output are the keys by
which each step decides whether anything that it depends on has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sippet_reconcile._version import __version__
from sippet_reconcile.billing import RateCard
from sippet_reconcile.errors import InputError
from sippet_reconcile.month.config import MonthConfig
from sippet_reconcile.month.folder import MonthFolder, digest_of
from sippet_reconcile.month.places import FileFacts, find_files
from sippet_reconcile.period import Period
from sippet_reconcile.progress import Progress

__all__ = ["KEPT", "MADE", "Inputs", "Work", "find_inputs"]

MADE, KEPT = "made", "kept"


@dataclass(frozen=True)
class Inputs:
    """The files that a month is made from.

    Attributes
    ----------
    sources
        The files of each source of the configuration.
    calls
        The file of the Call records; None where they are fetched.
    card
        The rate card; None where there is none.
    """

    sources: tuple[tuple[FileFacts, ...], ...]
    calls: FileFacts | None
    card: RateCard | None


def find_inputs(config: MonthConfig, month: str) -> Inputs:
    """Find and hash every file that a month needs.

    Raises
    ------
    InputError
        If any of them is missing, or stands in two sources: all of them at once.
    """
    problems: list[str] = []

    def found(text: str, where: str) -> list[Path]:
        try:
            return find_files(text, month, config.base)
        except InputError as exc:
            problems.append(f"{where}: {exc}")
            return []

    sources = [
        list(
            dict.fromkeys(path for text in source.files for path in found(text, f"[[sources]] {place} files"))
        )
        for place, source in enumerate(config.sources, start=1)
    ]
    first: dict[Path, int] = {}
    for place, paths in enumerate(sources, start=1):
        for path in paths:
            other = first.setdefault(path.resolve(), place)
            if other != place:
                problems.append(f"{path} is named by [[sources]] {other} and {place}; name it once")
    calls = found(config.api.file, "[api] calls") if config.api.file is not None else []
    cards = found(config.rate_card, "rate_card") if config.rate_card is not None else []
    for name, paths in (("[api] calls", calls), ("rate_card", cards)):
        if len(paths) > 1:
            problems.append(f"{name} names {len(paths)} files; name one")
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        msg = f"{config.path.name} for {month}:\n{listed}"
        raise InputError(msg)
    return Inputs(
        tuple(tuple(map(FileFacts.of, paths)) for paths in sources),
        FileFacts.of(calls[0]) if calls else None,
        RateCard.from_csv(cards[0]) if cards else None,
    )


@dataclass
class Work:
    """What a run of a month has come to so far."""

    config: MonthConfig
    month: str
    period: Period
    folder: MonthFolder
    inputs: Inputs
    before: Mapping[str, Any]
    progress: Progress
    steps: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    fetched_at: datetime | None = None

    def note(self, text: str) -> None:
        """Keep a sentence for the end."""
        self.notes.append(text)

    def key_of(self, **parts: Any) -> str:
        """Return the key of a step: what it depends on, this version of the program included."""
        return digest_of({"version": __version__, **parts})

    @property
    def written(self) -> Mapping[str, Any]:
        """The files that the run before wrote, as it wrote them."""
        files = self.before.get("files")
        return files if isinstance(files, Mapping) else {}

    def is_unchanged(self, name: str, key: str) -> bool:
        """Tell whether a file stands as it was written, from what it would be made from now."""
        keys = self.before.get("keys")
        is_same = isinstance(keys, Mapping) and keys.get(name) == key
        if is_same and not self.folder.stands(name, self.written):
            self.note(f"{name} was damaged, edited or taken away: it is made again.")
            return False
        return is_same

    def settle(self, name: str, key: str, *, is_kept: bool) -> None:
        """Note that a file is done: made, with its hash, or kept, with the hash that it had."""
        self.steps[name] = KEPT if is_kept else MADE
        self.keys[name] = key
        inside = f"{name}/"
        self.files |= (
            {n: facts for n, facts in self.written.items() if n == name or n.startswith(inside)}
            if is_kept
            else self.folder.facts(name)
        )

    def checkpoint(self) -> None:
        """Write down what is done, so that a run that ends early is gone on with, and not believed to be whole."""
        if MADE not in self.steps.values():
            return
        gone = {name for name in self.written if name.partition("/")[0] in self.steps}
        kept = {name: facts for name, facts in self.written.items() if name not in gone}
        values = {
            **self.before,
            "month": self.month,
            "outcome": "unfinished",
            "exit_code": None,
            "fetched_at": None if self.fetched_at is None else self.fetched_at.isoformat(),
            "keys": {**self.before.get("keys", {}), **self.keys},
            "files": {**kept, **self.files},
        }
        self.folder.write_summary({n: v for n, v in values.items() if n not in {"kind", "schema_version"}})

    def forget(self, names: Iterable[str]) -> None:
        """Leave files out of what is written down: they were set aside."""
        for name in names:
            self.steps.pop(name, None)
            self.keys.pop(name, None)
            self.files.pop(name, None)
