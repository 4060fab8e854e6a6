"""Write a file so that it is there as a whole or not at all, and readable by its owner alone.

Input is the path of a file that holds what is as confidential as the CDR, output an open
file beside it, which takes its name once it is whole.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["instead_of"]


@contextmanager
def instead_of(target: Path) -> Iterator[BinaryIO]:
    """Open a file beside another one, which it replaces once it is whole.

    Where the other one is a link, the link is replaced and what it points at stays as it is.

    Raises
    ------
    InputError
        If the file cannot be written: there is no room, no permission or no such name; it would lie in
        an audit log; or what is there is no file, is held open by another program or may not be written.
    """
    aside = None
    try:
        _refuse_what_is_no_file(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        # The name begins with a dot; mkstemp makes it readable by its owner alone.
        handle, aside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.")
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)  # noqa: PTH105 - the temporary file has a name only
        aside = None
    except PermissionError as exc:
        msg = f"{target} cannot be written ({exc.strerror or exc}): close it where it is open, or choose another name"
        raise InputError(msg) from exc
    except OSError as exc:
        msg = f"{target} cannot be written ({exc.strerror or exc}): free space or choose another place"
        raise InputError(msg) from exc
    finally:
        if aside is not None:
            with contextlib.suppress(OSError):
                os.unlink(aside)  # noqa: PTH108 - it has a name only, as above


def _is_log(folder: Path) -> bool:
    """Tell whether a folder is an audit log: everything else in it would break who reads all of it as parquet."""
    return (folder / "_lock").exists() and any(folder.glob("part-*.parquet"))


def _refuse_what_is_no_file(target: Path) -> None:
    """Raise where a folder, a device or a pipe stands, or a file that is protected: a new name would hide it."""
    try:
        if b"\0" in os.fsencode(target):
            msg = f"{str(target)!r} cannot be written, as no name of a file holds a NUL: choose another name"
            raise InputError(msg)
    except UnicodeEncodeError as exc:  # half of a surrogate pair
        msg = f"{str(target)!r} cannot be written ({exc.reason}): choose another name"
        raise InputError(msg) from exc
    if any(map(_is_log, target.absolute().parents)):
        msg = (
            f"{target} cannot be written, as it lies inside an audit log, whose readers would take it for a part: "
            "choose another folder"
        )
        raise InputError(msg)
    is_there, is_file = target.exists(), target.is_file()
    if is_there and not is_file:
        what = "a folder" if target.is_dir() else "no ordinary file"
        msg = f"{target} cannot be written, as it is {what}: choose the name of a file"
        raise InputError(msg)
    if is_there and not os.access(target, os.W_OK):
        raise PermissionError(None, "it is write-protected")
