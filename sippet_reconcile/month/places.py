"""Where a month's files lie: names with the month in them, filled in, found and hashed.

Input is a configured name and a month, output are the files that are there; one that is
missing, or a glob that matches nothing, is told by name.
"""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from sippet_reconcile.errors import InputError

__all__ = [
    "FileFacts",
    "check_name",
    "check_output",
    "check_places",
    "filled",
    "find_files",
    "home_expanded",
    "neighbours",
]

_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_NAMES: Final = ("month", "year", "previous", "next")
_MONTHS: Final = 12
_GLOB: Final = frozenset("*?[")


def check_places(text: str) -> str:
    """Return a text whose placeholders are all known, or say which is not.

    Examples
    --------
    >>> check_places("exports/{year}/{month}/*.csv")
    'exports/{year}/{month}/*.csv'
    >>> check_places("exports/{mont}.csv")
    Traceback (most recent call last):
    ...
    sippet_reconcile.errors.InputError: there is no placeholder '{mont}' (did you mean '{month}'?); there are: {month}, {year}, {previous}, {next}
    """
    unknown = [name for name in _PLACE.findall(text) if name not in _NAMES]
    if unknown:
        near = get_close_matches(unknown[0], _NAMES, n=1)
        meant = f" (did you mean '{{{near[0]}}}'?)" if near else ""
        known = ", ".join(f"{{{name}}}" for name in _NAMES)
        msg = f"there is no placeholder '{{{unknown[0]}}}'{meant}; there are: {known}"
        raise InputError(msg)
    return text


def home_expanded(name: str) -> Path:
    """Return a path in which a ``~`` at the beginning is somebody's home.

    Raises
    ------
    InputError
        If that home is not known, or it can be no path.
    """
    if "\0" in name:
        msg = f"{name!r} holds a NUL, as no name of a file does"
        raise InputError(msg)
    try:
        return Path(name).expanduser()
    except RuntimeError as exc:
        msg = f"{name!r} begins with a home that is not known; write the whole path"
        raise InputError(msg) from exc


def check_name(text: str) -> str:
    """Return the name of a file, or a glob, if its placeholders and its home are known."""
    home_expanded(check_places(text))
    return text


def check_output(text: str) -> str:
    """Return the folder of the months, which is the same for every one of them.

    Examples
    --------
    >>> check_output("months/{year}")
    Traceback (most recent call last):
    ...
    sippet_reconcile.errors.InputError: 'months/{year}' has a placeholder, and one folder holds all months, each in a folder of its own; leave it out
    """
    home_expanded(text)
    if _PLACE.search(text):
        msg = f"{text!r} has a placeholder, and one folder holds all months, each in a folder of its own; leave it out"
        raise InputError(msg)
    return text


def neighbours(month: str) -> tuple[str, str]:
    """Return the months before and after one.

    Examples
    --------
    >>> neighbours("2026-01"), neighbours("2026-12")
    (('2025-12', '2026-02'), ('2026-11', '2027-01'))
    """
    count = int(month[:4]) * _MONTHS + int(month[5:]) - 1
    before, after = (f"{n // _MONTHS:04d}-{n % _MONTHS + 1:02d}" for n in (count - 1, count + 1))
    return before, after


def filled(text: str, month: str) -> str:
    """Return a text with the month filled in.

    Examples
    --------
    >>> filled("{year}/{month}, before it {previous}, closed {next}-01T03:00:00Z", "2026-12")
    '2026/2026-12, before it 2026-11, closed 2027-01-01T03:00:00Z'
    """
    before, after = neighbours(month)
    words: Mapping[str, str] = {"month": month, "year": month[:4], "previous": before, "next": after}
    return _PLACE.sub(lambda match: words[match[1]], text)


def find_files(text: str, month: str, base: Path) -> list[Path]:
    """Return the files of a configured path or glob, in the order of their names.

    Raises
    ------
    InputError
        If there is none.
    """
    name = filled(text, month)
    path = base / home_expanded(name)
    if path.is_file():
        return [path]
    if path.is_dir():
        msg = f"{name} is a folder; name its files, such as {name.rstrip('/')}/*.csv"
        raise InputError(msg)
    if not _GLOB.intersection(name):
        msg = f"{name} does not exist in {base}"
        raise InputError(msg)
    pattern = str(home_expanded(name))
    matches = sorted(glob.glob(pattern, root_dir=base, recursive=True))  # noqa: PTH207 - absolute globs too
    files = [base / match for match in matches if (base / match).is_file()]
    if not files:
        msg = f"{name} matches no file in {base}"
        raise InputError(msg)
    return files


@dataclass(frozen=True)
class FileFacts:
    """A file as it was when it was looked at."""

    path: Path
    size: int
    sha256: str
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> FileFacts:
        """Read a file once through.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        try:
            with path.open("rb") as file:
                modified = path.stat().st_mtime_ns
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                return cls(path, file.tell(), digest, modified)
        except OSError as exc:
            msg = f"{path} cannot be read ({exc.strerror or type(exc).__name__})"
            raise InputError(msg) from exc

    def require_unchanged(self) -> None:
        """Refuse a file that was written since.

        Raises
        ------
        InputError
            If its size or the time of its last change is another one.
        """
        try:
            now = self.path.stat()
        except OSError as exc:
            msg = f"{self.path} went away while it was read: run the month again"
            raise InputError(msg) from exc
        if (now.st_size, now.st_mtime_ns) != (self.size, self.modified_ns):
            msg = f"{self.path} was written while it was read: run the month again once it is whole"
            raise InputError(msg)
