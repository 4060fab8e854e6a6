"""How a command ends: commands found by name when used, and every error turned into a sentence and a code.

Input is a command line, output an exit code; an error of this package becomes one
sentence on stderr, and only ``--debug`` shows where it came from.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Mapping
from enum import IntEnum
from importlib import import_module
from typing import Any, NoReturn

import click

from sippet_reconcile.cli.output import print_frame, tell
from sippet_reconcile.cli.words import command_words
from sippet_reconcile.errors import ReconcileError

__all__ = ["Ended", "Program", "teach"]

_LOGGER = "sippet_reconcile"
_FRAMES = ("failures", "drift")


class Ended(IntEnum):
    """The exit codes; those of errors are on their classes."""

    DONE = 0
    DIFFER = 1
    INPUT = 2
    API = 3
    PART_WAY = 4
    INTERRUPTED = 130


def teach(what: str, *, never: str, example: str) -> str:
    """Return a command's help: what it does, what it never does, and an example.

    Examples
    --------
    >>> print(teach("Read it.", never="writes", example="a b").replace(chr(8), ""))
    Read it.
    <BLANKLINE>
    It never writes.
    <BLANKLINE>
    <BLANKLINE>
    Example:
      a b
    """
    lines = "\n".join(f"  {line}" for line in example.strip().splitlines())
    return f"{what}\n\nIt never {never}.\n\n\b\nExample:\n{lines}"


class Program(click.Group):
    """A group whose commands are imported by name when they are used, in the order of the walk."""

    def __init__(self, *args: Any, commands_in: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = dict(commands_in)
        self._handler: Any = None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which they are used."""
        return [*self._modules, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command; None where there is no such command."""
        if cmd_name not in self._modules:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"sippet_reconcile.cli.{self._modules[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def main(self, args: Any = None, **extra: Any) -> Any:  # type: ignore[override]  # click's has overloads
        """Run a command line, that of the process by default; an interrupt ends it with a code of its own."""
        try:
            return super().main(args, **extra)
        finally:
            # Who brought a command line goes on afterwards. The process itself ends, and while it does, another
            # Ctrl-C would print a traceback or change the exit code.
            if args is not None and self._handler is not None:
                signal.signal(signal.SIGINT, self._handler)
                self._handler = None

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line; click would call an interrupt here a failure."""
        try:
            return super().make_context(*args, **extra)
        except KeyboardInterrupt:
            self._leave_interrupted()

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; say in one sentence what went wrong, and leave with its code."""
        notes = _Notes(logging.WARNING)
        logger = logging.getLogger(_LOGGER)
        logger.addHandler(notes)
        try:
            return super().invoke(ctx)
        except ReconcileError as exc:
            if ctx.params.get("debug"):
                raise
            tell(f"error: {command_words(str(exc))}", err=True)
            for note in getattr(exc, "__notes__", ()):
                tell(command_words(note), err=True)
            for name in _FRAMES:
                if getattr(exc, name, None) is not None:
                    print_frame(getattr(exc, name), err=True)
            ctx.exit(exc.exit_code)
        except BrokenPipeError:
            raise  # click ends quietly where the reader of a pipe has left
        except OSError as exc:
            # A folder that cannot be written, a full disk, a path that is a directory: nothing of ours to trace.
            if ctx.params.get("debug"):
                raise
            told = f"{exc.filename}: {exc.strerror}" if exc.filename and exc.strerror else exc
            tell(f"error: {told}", err=True)
            ctx.exit(Ended.INPUT)
        except (KeyboardInterrupt, click.Abort):
            self._leave_interrupted()
        finally:
            logger.removeHandler(notes)

    def _leave_interrupted(self) -> NoReturn:
        """Say so and leave; whoever presses Ctrl-C once more gets no traceback for it."""
        if threading.current_thread() is threading.main_thread() and self._handler is None:
            before = signal.getsignal(signal.SIGINT)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._handler = before
        click.echo("interrupted", err=True)
        raise click.exceptions.Exit(Ended.INTERRUPTED)


class _Notes(logging.Handler):
    """Shows what steps log, on stderr and in the words of the command line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        tell(f"note: {command_words(record.getMessage())}", err=True)
