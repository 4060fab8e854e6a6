"""Let one run at a time write to an audit log, and tell the next one who is at it.

Input is the folder of a log, output a `Hold` on it. The lock is the system's: it is
free the moment its holder ends, however it ends. The note beside it is for people; it
is believed only while the lock is taken, and what it says is shown cut and cleaned.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import json
import os
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock, Timeout

from sippet_reconcile._display import plural
from sippet_reconcile.audit.parts import LEFTOVER, open_plain, reason_of, shown
from sippet_reconcile.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["HOLDER", "LOCK", "Hold", "holding"]

LOCK: Final = "_lock"
HOLDER: Final = "_holder.json"

_STAMP: Final = "%Y-%m-%d %H:%M:%S UTC"
_LARGEST_NOTE: Final = 4096
_CANNOT_LOCK: Final = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP})
_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


class Hold:
    """A log that is locked for this process; handed out by `holding`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._note = _who_we_are()
        # The lock keeps its file open, so nobody else's file can have this identity.
        self._identity = _identity(folder / LOCK)

    def tell(self, **facts: str) -> None:
        """Write into the note what the holder does.

        Raises
        ------
        OSError
            If the folder takes no more.
        """
        self._note |= facts
        aside = self._folder / f"{LEFTOVER}{HOLDER}"
        aside.unlink(missing_ok=True)
        try:
            # A name of our own, then a rename: a link that somebody put there is replaced, not followed.
            with aside.open("x", encoding="utf-8") as sink:
                json.dump(self._note, sink)
            aside.replace(self._folder / HOLDER)
        except BaseException:
            with contextlib.suppress(OSError):  # the first failure is the one to tell
                aside.unlink(missing_ok=True)
            raise

    def is_lost(self) -> bool:
        """Whether the lock no longer keeps others out, because its file or the folder was replaced.

        Raises
        ------
        OSError
            If that cannot be seen.
        """
        try:
            return _identity(self._folder / LOCK) != self._identity
        except FileNotFoundError:
            return True

    def forget(self) -> None:
        """Take the note away, unless it is somebody else's by now."""
        # A folder that became read-only, or is gone, keeps the note: the lock itself is what counts.
        with contextlib.suppress(OSError):
            if not self.is_lost():
                (self._folder / HOLDER).unlink(missing_ok=True)


@contextmanager
def holding(folder: Path) -> Iterator[Hold]:
    """Lock a folder that is there, without waiting.

    Raises
    ------
    AuditError
        If another run has it, naming its process, user, computer and run; or if the
        folder cannot be written or locked.
    """
    # Where the system has no locks, a file that only looks like one would outlive a crash.
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise AuditError(_held(folder)) from None
    except OSError as exc:
        raise AuditError(_cannot_lock(folder, exc)) from exc
    try:
        try:
            hold = Hold(folder)
            hold.tell()
        except OSError as exc:
            raise AuditError(_cannot_lock(folder, exc)) from exc
        try:
            yield hold
        finally:
            hold.forget()
    finally:
        lock.release()


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _cannot_lock(folder: Path, exc: OSError) -> str:
    if exc.errno in _CANNOT_LOCK:
        return (
            f"the file system of the audit log {folder} has no locks ({reason_of(exc)}), so two runs could write at "
            "once: keep the log on a disk of this computer; nothing was sent"
        )
    return (
        f"the audit log {folder} cannot be opened for writing ({reason_of(exc)}): nothing was sent; "
        "free space or restore access, then apply again"
    )


def _who_we_are() -> dict[str, object]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a process without a user name, as in some containers
        user = f"uid {os.getuid()}" if hasattr(os, "getuid") else "an unnamed user"
    return {
        "pid": os.getpid(),
        "user": user,
        "host": socket.gethostname(),
        "since": datetime.now(UTC).strftime(_STAMP),
    }


def _held(folder: Path) -> str:
    """Say who holds the lock, as far as they told."""
    note = _read_note(folder / HOLDER)
    pid = note.get("pid")
    who = f"process {pid}" if isinstance(pid, int) and not isinstance(pid, bool) else "another process"
    if pid == os.getpid() and note.get("host") == socket.gethostname():
        who += ", which is this one"
    told = " on ".join(filter(None, (_shown(note, "user"), _shown(note, "host"))))
    details = [told, _since(note.get("since")), _doing(note)]
    about = "; ".join(filter(None, details))
    return (
        f"the audit log {folder} is held by {who}{f' ({about})' if about else ''}: "
        "wait until its run has ended, then apply again"
    )


def _doing(note: dict[str, Any]) -> str | None:
    run, plan = _shown(note, "run_id"), _shown(note, "plan_id")
    if run is None:
        return None
    return f"run {run} of plan {plan[:12]}" if plan else f"run {run}"


def _shown(note: dict[str, Any], name: str) -> str | None:
    """Return a text of the note as it may be shown; None where there is none."""
    value = note.get(name)
    if not isinstance(value, str) or not value.strip():
        return None
    return shown(value.strip())


def _since(stamp: object, now: datetime | None = None) -> str | None:
    """Return an instant with its age in words; None where it is no instant.

    Examples
    --------
    >>> _since("2026-10-01 12:00:00 UTC", datetime(2026, 10, 1, 14, 5, 9, tzinfo=UTC))
    'since 2026-10-01 12:00:00 UTC, for 2 hours 5 minutes'
    """
    try:
        begun = datetime.strptime(str(stamp), _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    told = f"since {begun.strftime(_STAMP)}"
    seconds = int(((now or datetime.now(UTC)) - begun).total_seconds())
    # Another computer's clock may be ahead of ours: then there is no age to tell.
    return f"{told}, for {_in_words(seconds)}" if seconds >= 0 else told


def _in_words(seconds: int) -> str:
    words: list[str] = []
    for size, unit in _UNITS:
        n, seconds = divmod(seconds, size)
        if n or (unit == "second" and not words):
            words.append(plural(n, unit))
    return " ".join(words[:2])


def _read_note(path: Path) -> dict[str, Any]:
    """Return what the holder noted; nothing where that is unreadable or not of our making."""
    try:
        with open_plain(path) as source:
            text = source.read(_LARGEST_NOTE + 1)
        note = json.loads(text) if len(text) <= _LARGEST_NOTE else None
    except (OSError, ValueError, RecursionError):
        # It is not there yet, is no JSON, or is nested without end: who holds the log stays untold.
        return {}
    return note if isinstance(note, dict) else {}
