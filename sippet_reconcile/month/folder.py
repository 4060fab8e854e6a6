"""The folder of one month: who is at it, what was written into it, and what of that still stands.

Input is the folder, output are facts about its files. ``summary.json`` is its list of
contents; a file that is not as it says was damaged or edited. Whatever a person may
have worked on is set aside under another name, never written over.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from sippet_reconcile._files import instead_of
from sippet_reconcile.errors import InputError
from sippet_reconcile.month.places import FileFacts

__all__ = [
    "CALLS",
    "DRY_RUN",
    "PLAN",
    "RECONCILIATION",
    "REPORT",
    "REVIEW",
    "RULES",
    "SUMMARY",
    "MonthFolder",
    "digest_of",
]

CALLS: Final = "calls.parquet"
RECONCILIATION: Final = "reconciliation"
PLAN: Final = "plan.parquet"
DRY_RUN: Final = "dry_run.html"
REPORT: Final = "reconciliation.html"
REVIEW: Final = "review.xlsx"
RULES: Final = "rules.toml"
SUMMARY: Final = "summary.json"

_LOCK: Final = ".lock"
_UNFINISHED: Final = re.compile(
    rf"\.(?:(?:{'|'.join(map(re.escape, (CALLS, PLAN, DRY_RUN, REPORT, REVIEW, RULES, SUMMARY)))})\.|{RECONCILIATION}-)[a-z0-9_]{{8}}"
)
"""What a file, or the folder of the reconciliation, is called while it is written."""

_FORGOTTEN_S: Final = 3600
_KIND: Final = "sippet_reconcile month"
_VERSION: Final = 1


def digest_of(value: Any) -> str:
    """Return the SHA-256 of plain values, whatever the order of their keys.

    Examples
    --------
    >>> digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class MonthFolder:
    """The files of one month."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Keep everybody else out of the folder, without waiting for who is in it.

        Raises
        ------
        InputError
            If another run is at it, or the folder cannot be made or locked.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Where the system has no locks, a file that only looks like one would outlive a crash.
            lock = FileLock(self.path / _LOCK, timeout=0, thread_local=False, fallback_to_soft=False)
            lock.acquire()
        except Timeout:
            msg = f"another run is at {self.path}: wait until it has ended"
            raise InputError(msg) from None
        except (OSError, NotImplementedError) as exc:
            msg = f"the folder {self.path} cannot be made or locked ({getattr(exc, 'strerror', None) or exc}): choose another output"
            raise InputError(msg) from exc
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    def _sweep(self) -> None:
        """Take away what a run that was killed was writing: it is as confidential as the CDR, and nobody reads it.

        Not what is younger than an hour: somebody may be approving the plan, which needs no lock.
        """
        for path in self.path.iterdir():
            if _UNFINISHED.fullmatch(path.name) and time.time() - path.stat().st_mtime > _FORGOTTEN_S:
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def facts(self, *names: str) -> dict[str, dict[str, Any]]:
        """Return size and hash of files that are there, of a folder those of its files, by name."""
        found = {}
        for name in names:
            path = self / name
            inner = sorted(path.iterdir()) if path.is_dir() else []
            for file in inner or ([path] if path.is_file() else []):
                one = FileFacts.of(file)
                key = file.relative_to(self.path).as_posix()
                found[key] = {"bytes": one.size, "sha256": one.sha256}
        return found

    def stands(self, name: str, written: Mapping[str, Any]) -> bool:
        """Tell whether a file, or a folder of files, is as it was written."""
        inside = f"{name}/"
        listed = {key: facts for key, facts in written.items() if key == name or key.startswith(inside)}
        there = (
            {f"{inside}{item.name}" for item in (self / name).iterdir()}
            if (self / name).is_dir()
            else {name} & {item.name for item in self.path.iterdir()}
        )
        if not listed or set(listed) != there:
            return False
        return all(
            isinstance(facts, Mapping) and FileFacts.of(self / key).sha256 == facts.get("sha256")
            for key, facts in listed.items()
        )

    def is_workbook(self, name: str) -> bool:
        """Tell whether a file is a whole workbook, whoever wrote it."""
        try:
            with zipfile.ZipFile(self / name) as packed:
                return packed.testzip() is None and "[Content_Types].xml" in packed.namelist()
        except (OSError, zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error):
            return False

    def set_aside(self, name: str, mark: str) -> str | None:
        """Give a file or folder another name with a mark in it; return it, None where there is nothing.

        What has that name already stays: a number is added then.
        """
        source = self / name
        if not source.exists():
            return None
        stem, dot, ending = name.partition(".")
        tries = (f"{stem}.{mark}{f'.{n}' if n > 1 else ''}{dot}{ending}" for n in range(1, 10_000))
        target = next(text for text in tries if not (self / text).exists())
        os.rename(source, self / target)  # noqa: PTH104 - never over what is there: the lock is ours
        return target

    # The summary

    def read_summary(self) -> tuple[dict[str, Any], bool]:
        """Return the summary of the last run, empty where there is none to be believed, and whether one was damaged."""
        try:
            values = json.loads((self / SUMMARY).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}, False
        except (OSError, ValueError, RecursionError):
            return {}, True
        if not isinstance(values, dict) or values.get("kind") != _KIND:
            return {}, True
        sealed = values.pop("seal", None)
        if sealed != digest_of(values) or values.get("schema_version") != _VERSION:
            return {}, True
        return values, False

    def write_summary(self, values: Mapping[str, Any]) -> None:
        """Write the summary, unless it says the same already."""
        whole = {"kind": _KIND, "schema_version": _VERSION, **values}
        # What is kept is what reading gives back: a tuple is a list there.
        whole = json.loads(json.dumps(whole, ensure_ascii=False, default=str))
        text = json.dumps({**whole, "seal": digest_of(whole)}, indent=2, ensure_ascii=False) + "\n"
        self.write(SUMMARY, text)

    def write(self, name: str, text: str) -> bool:
        """Write a text file as a whole, unless it holds the same already; tell whether it was written."""
        body = text.encode("utf-8", "backslashreplace")
        target = self / name
        if target.is_file() and target.read_bytes() == body:
            return False
        with instead_of(target) as file:
            file.write(body)
        return True
