"""Say on the command line what messages say in the words of Python.

Messages name options as a notebook needs them: ``timezone=``, ``accept=["zero"]``,
``Rules(duration="billable")``. Somebody who typed a command needs the option of that
command. Input is such a message, output the same message with ``--timezone`` in it.
The options are read off the commands themselves; what is no option is in one table.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PHRASES", "command_words", "flags_of", "in_command_words"]

PHRASES: Final = (
    ("plan.approve(by=..., note=...)", "sippet-reconcile approve PLAN --by NAME"),
    ("statuses=client.describe().statuses", "--status WORD for each that it has"),
    ("build_plan(--status WORD for each that it has) lists it", "plan --status WORD lists it"),
    ("Client.check()", "sippet-reconcile doctor"),
    (", or pass Client('https://...')", ""),
    (": pass a client of the same API", ": set SIPPET_API_URL to the address that it wrote to"),
    ("the client is of", "SIPPET_API_URL is"),
    ("AuditLog.verify()", "sippet-reconcile audit verify"),
    ("apply_plan makes one", "sippet-reconcile apply makes one"),
    ("the file that plan.save() wrote", "the file that 'plan --out' wrote"),
    ("the workbook that plan.dry_run().to_excel() wrote", "the workbook that 'plan --excel' wrote"),
    ("a fresh workbook (dry_run().to_excel)", "a fresh workbook (plan --excel)"),
    ("take ids from plan.calls['call_id']", "take ids from the dry run"),
    ("look at the causes in rec.rollup() first", "look at the causes that 'diff' prints first"),
    (", or hand what pandas.read_excel(..., dtype=str) reads to cdr_from_frame", ""),
    ("(plan_corrections)", "(plan --corrections)"),
    (" (corrections_from_times)", ""),
    ("; see .failures", ""),
    ("; see .drift, and build", "; build"),
    ("(describe_cdr)", "(sippet-reconcile inspect)"),
    ("Pass country= to read_cdr", "Pass country="),
    ("read_cdr(keep=[...])", "keep="),
    ("dayfirst=True", "--dayfirst"),
    ("dayfirst=False", "--monthfirst"),
)
"""What Python calls a thing, and what a person at a terminal does, one after the other."""

_RULES: Final = re.compile(r"Rules\(([^()]+)\)")
_OF_FRAMES: Final = re.compile(r", or legs\.assign\([^()]*\)")
"""What is done to a frame: nobody at a terminal has one."""

_VALUE: Final = (
    r"""'[^']*'|"[^"]*"|\[[^\]]*\]|\{[^}]*\}|…|\.\.\.|True\b|False\b|https?://[^\s;,]+|-?\d+(?:\.\d+)?"""
)
_ITEM: Final = re.compile(r"""(?:['"]([^'"]*)['"]\s*:\s*)?['"]([^'"]*)['"]""")


@cache
def flags_of(program: click.Group) -> Mapping[str, str]:
    """Return the options of all commands: what the parameter is called, and the option that sets it.

    Examples
    --------
    >>> @click.command()
    ... @click.option("--column", "columns", multiple=True)
    ... def read(**_): ...
    >>> flags_of(click.Group(commands={"read": read}))
    {'columns': '--column'}
    """
    return {
        str(option.name).rstrip("_"): max(option.opts, key=len)
        for command in _commands(program)
        for option in command.params
        if isinstance(option, click.Option)
    }


def _commands(program: click.Group) -> Iterator[click.Command]:
    context = click.Context(program)
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command)
        elif command is not None:
            yield command


def in_command_words(message: str, flags: Mapping[str, str]) -> str:
    """Return a message with the options of the command line in place of parameters.

    Parameters
    ----------
    message
        Names a parameter as ``name=`` or with its value; everything else is left alone.
    flags
        Parameter to option, as `flags_of` gives them.

    Examples
    --------
    >>> flags = {"timezone": "--timezone", "accept": "--accept", "columns": "--column"}
    >>> in_command_words("pass timezone=, such as timezone='Europe/London'", flags)
    'pass --timezone, such as --timezone Europe/London'
    >>> in_command_words("pass accept=['a', 'b']", flags)
    'pass --accept a --accept b'
    >>> in_command_words("columns={'started_at': 'Start', ...} names its columns", flags)
    '--column started_at=Start ... names its columns'
    """
    for python, command in PHRASES:
        message = message.replace(python, command)
    message = _OF_FRAMES.sub("", message)
    message = _RULES.sub(r"\1", message)
    names = "|".join(sorted(map(re.escape, flags), key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w.\-'\"/])({names})=({_VALUE})?(?![\w=])")
    return pattern.sub(lambda match: _spelled(flags[match[1]], match[2] or ""), message)


def command_words(text: str) -> str:
    """Return a text in the words of the program that runs; unchanged where none does."""
    context = click.get_current_context(silent=True)
    program = None if context is None else context.find_root().command
    return in_command_words(text, flags_of(program)) if isinstance(program, click.Group) else text


def _spelled(flag: str, value: str) -> str:
    if value[:1] in ("[", "{"):
        items = [
            f"{flag} {shlex.quote(f'{key}={item}' if key else item)}" for key, item in _ITEM.findall(value)
        ]
        return " ".join([*(items or [flag]), *(["..."] if items and "..." in value else [])])
    if value in ("", "…", "..."):
        return flag
    is_quoted = value[0] in "'\""
    return f"{flag} {shlex.quote(value[1:-1] if is_quoted else value)}"
