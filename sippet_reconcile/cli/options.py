"""Options that several commands share, named and defaulted as the parameters they become.

Input are the words of a command line, output keyword arguments of `read_cdr`, a
`Period` and `Rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

import sippet_reconcile as sr
from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from sippet_reconcile.billing import RateCard
    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation import Rules

__all__ = [
    "FILE",
    "FOLDER",
    "INPUT_FILE",
    "ROWS",
    "as_json",
    "audit_option",
    "cdr_arguments",
    "cdr_options",
    "key_values",
    "numbers_option",
    "period_from",
    "period_options",
    "progress_of",
    "quiet",
    "rate_card_option",
    "read_rate_card",
    "rows_option",
    "rules_from",
    "rules_options",
]

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path, dir_okay=False)
INPUT_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
ROWS = click.IntRange(min=0)
FOLDER = click.Path(path_type=Path, file_okay=False)

RULE_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("duration", click.Choice(["auto", "billable", "total"]), "what duration_seconds is meant to be  [auto]"),
    ("duration_tolerance_s", float, "seconds that durations may differ  [1]"),
    (
        "duration_rounding",
        click.Choice(["half_up", "floor", "ceil"]),
        "how fractions become whole seconds  [half_up]",
    ),
    ("time_tolerance_s", float, "seconds that instants may differ  [2]"),
    ("start_window_s", float, "how far apart starts may be where numbers are matched  [60]"),
    ("number_digits", int, "last digits by which numbers are matched  [9]"),
    ("settle_s", float, "how long a call must have ended before it is judged  [7200]"),
    ("clock_offset_s", float, "the CDR's clock minus the API's  [0]"),
)
"""Single-valued rules: field, type, help with the default; the others are for the TOML file."""


def _together(options: Iterable[Callable[[Any], Any]]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(list(options)):
            function = option(function)
        return function

    return decorate


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
rows_option = click.option(
    "--rows", type=ROWS, default=20, show_default=True, help="Rows to show of each table; a report holds all."
)
numbers_option = click.option(
    "--show-numbers",
    is_flag=True,
    help="Write phone numbers in full into the files; they are masked otherwise.",
)
quiet = click.option("--quiet", is_flag=True, help="No progress bar.")
audit_option = click.option(
    "--audit", required=True, type=FOLDER, help="The folder of the audit log.", metavar="FOLDER"
)
rate_card_option = click.option(
    "--rate-card", type=INPUT_FILE, help="Tell what it is worth by this rate card (CSV).", metavar="FILE"
)

cdr_options = _together(
    [
        click.option(
            "--format", "format_", default="auto", show_default=True, help="The export's format, such as freeswitch; FORMATS.md has all."
        ),
        click.option("--timezone", help="IANA zone of the export's local times, such as Europe/London."),
        click.option("--country", help="ISO 3166 code of national numbers, such as GB."),
        click.option("--keep", multiple=True, metavar="COLUMN", help="Carry a source column along; repeatable."),
        click.option(
            "--column", "columns", multiple=True, metavar="NAME=SOURCE", help="Read any table: our name = its column; repeatable."
        ),
        click.option("--dayfirst/--monthfirst", default=None, help="How to read 03/04/2026."),
        click.option("--delimiter", help="What separates the columns, where it is not found out."),
        click.option(
            "--cdr-status", "status_map", multiple=True, metavar="WORD=STATUS", help="What a word of the export means; repeatable."
        ),
        click.option(
            "--internal-number", "internal_numbers", multiple=True, metavar="NUMBER",
            help="A number, range (1000-1999) or block (2*) of one's own, for the direction of calls; repeatable.",
        ),
        click.option(
            "--strip-prefix", "strip_prefixes", multiple=True, metavar="DIGITS",
            help="What is dialled for an outside line, such as 9; repeatable.",
        ),
    ]
)  # fmt: skip


def read_rate_card(path: Path | None) -> RateCard | None:
    """Return a rate card, checked; None where none was given."""
    return None if path is None else sr.RateCard.from_csv(path)


def progress_of(*, quiet: bool) -> Literal[False] | None:
    """Return what ``progress=`` of a step takes: a bar where somebody looks, or none."""
    return False if quiet else None


def key_values(pairs: Iterable[str], option: str) -> dict[str, str]:
    """Return ``NAME=VALUE`` words as a dictionary.

    Examples
    --------
    >>> key_values(["a=b", "c=d=e"], "--column")
    {'a': 'b', 'c': 'd=e'}
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            msg = f"{option} {pair!r} is not of the form NAME=VALUE"
            raise InputError(msg)
        found[name] = value
    return found


def cdr_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Take the CDR options out of a command's options, as keyword arguments of `read_cdr`."""
    taken = {name: options.pop(name) for name in ("timezone", "country", "dayfirst", "delimiter")}
    taken["format"] = options.pop("format_")
    taken["keep"] = list(options.pop("keep"))
    taken |= {name: options.pop(name) for name in ("internal_numbers", "strip_prefixes")}
    taken["columns"] = key_values(options.pop("columns"), "--column") or None
    taken["status_map"] = key_values(options.pop("status_map"), "--cdr-status") or None
    return taken


period_options = _together(
    [
        click.option(
            "--month", metavar="YYYY-MM", help="A calendar month, midnight to midnight in the zone."
        ),
        click.option(
            "--start", metavar="INSTANT", help="Instead of a month: the first instant, with its offset."
        ),
        click.option("--end", metavar="INSTANT", help="The first instant that is no longer part of it."),
    ]
)


def _instant(text: str, option: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.utcoffset() is None:
        msg = f"{option} {text!r} is not an instant with its offset, such as 2026-10-01T00:00:00+01:00"
        raise InputError(msg)
    return found


def period_from(options: dict[str, Any], timezone: str | None) -> Period | None:
    """Take the period options out of a command's options; None where none was given."""
    month, start, end = options.pop("month"), options.pop("start"), options.pop("end")
    if month and (start or end):
        msg = "--month and --start/--end say the same twice: give one of them"
        raise InputError(msg)
    if month:
        return sr.Period.month(month, timezone=timezone or "UTC")
    if start and end:
        return sr.Period(_instant(start, "--start"), _instant(end, "--end"), timezone=timezone or "UTC")
    if start or end:
        msg = "a period needs both --start and --end"
        raise InputError(msg)
    return None


rules_options = _together(
    [
        click.option(
            "--rules", type=INPUT_FILE, help="Rules as TOML; single options override it.", metavar="FILE"
        ),
        *(
            click.option(
                f"--{name.replace('_', '-')}", name, type=kind, default=None, help=text[0].upper() + text[1:]
            )
            for name, kind, text in RULE_OPTIONS
        ),
    ]
)


def rules_from(options: dict[str, Any]) -> Rules:
    """Take the rules out of a command's options: the file's, overridden one by one."""
    from dataclasses import replace  # noqa: PLC0415 - only where rules are built

    path = options.pop("rules")
    rules = sr.Rules.from_toml(path) if path else sr.Rules()
    given = {name: options.pop(name) for name, _, _ in RULE_OPTIONS}
    return replace(rules, **{name: value for name, value in given.items() if value is not None})
