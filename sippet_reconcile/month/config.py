"""What a month is made from, the same every month: one TOML file, checked as a whole when it is read.

Input is a file, output one frozen object. Nothing of it is a secret: the token comes
from the environment only.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from sippet_reconcile._display import plural
from sippet_reconcile.api.pacing import parse_rate
from sippet_reconcile.api.queries import filter_pairs
from sippet_reconcile.api.urls import base_url_of
from sippet_reconcile.cdr.formats import format_named
from sippet_reconcile.errors import InputError
from sippet_reconcile.month.places import check_name, check_output, check_places, home_expanded
from sippet_reconcile.month.tables import Table, secrets_in
from sippet_reconcile.own_numbers import check_own_numbers
from sippet_reconcile.period import load_zone
from sippet_reconcile.phones import check_country, check_prefixes
from sippet_reconcile.plan.guards import checked_accept, checked_fields
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.schema import LEG_STATUSES, PATCHABLE

__all__ = ["CallsFrom", "CdrSource", "MonthConfig", "PlanOptions", "ReportOptions"]

_LARGEST_FILE: Final = 1_000_000


@dataclass(frozen=True)
class CdrSource:
    """Exports that are read in one way: their files, and the options of `read_cdr`."""

    files: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CallsFrom:
    """Where the Call records come from: the API, or a file that holds them."""

    url: str | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    file: str | None = None
    fetched_at: str | None = None


@dataclass(frozen=True)
class PlanOptions:
    """The options of `build_plan`."""

    fields: tuple[str, ...] = PATCHABLE
    where: str | None = None
    accept: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    max_calls: int | None = None
    max_share: float | None = 0.2


@dataclass(frozen=True)
class ReportOptions:
    """The pace that a dry run foresees, and whether phone numbers are masked in reports."""

    rate: str = "5/s"
    mask: bool = True


@dataclass(frozen=True, repr=False)
class MonthConfig:
    """How every month is reconciled: where its files lie, and with which rules.

    Attributes
    ----------
    path
        The file it was read from; relative paths in it start at its folder.
    timezone
        IANA zone in which the month is counted.
    output
        The folder that holds a folder for each month.
    sources
        The exports, and how each is read.
    api
        Where the Call records come from.
    rules
        When two sides agree.
    plan
        What is corrected, and how much of it at most.
    report
        How reports are written.
    rate_card
        The file of the rate card; None where corrections are not put into money.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp(), "month.toml")
    >>> _ = path.write_text('''
    ... timezone = "Europe/London"
    ... output = "months"
    ... [[sources]]
    ... files = "exports/{month}/*.csv.gz"
    ... timezone = "Europe/London"
    ... country = "GB"
    ... [rules]
    ... duration = "billable"
    ... ''')
    >>> config = MonthConfig.from_toml(path)
    >>> config.rules.duration, config.sources[0].files
    ('billable', ('exports/{month}/*.csv.gz',))
    """

    path: Path
    timezone: str
    output: Path
    sources: tuple[CdrSource, ...]
    api: CallsFrom = field(default_factory=CallsFrom)
    rules: Rules = field(default_factory=Rules)
    plan: PlanOptions = field(default_factory=PlanOptions)
    report: ReportOptions = field(default_factory=ReportOptions)
    rate_card: str | None = None

    @property
    def base(self) -> Path:
        """The folder at which relative paths start."""
        return self.path.parent

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> MonthConfig:
        """Read a configuration, and check all of it.

        Parameters
        ----------
        path
            A TOML file: ``timezone``, ``output``, ``rate_card``, tables ``[[sources]]``, and the tables
            ``[api]``, ``[rules]`` (or ``rules = "rules.toml"``), ``[plan]`` and ``[report]``. Names of files
            may hold ``{month}``, ``{year}``, ``{previous}`` and ``{next}``.

        Raises
        ------
        InputError
            If it cannot be read, or any key or value of it is wrong: all of them at once. A token or key in
            it is refused, and not repeated.
        """
        source = Path(path)
        values = _toml(source)
        problems = list(secrets_in(values))
        base = source.absolute().parent
        top = Table(values, "", problems)
        found: dict[str, Any] = {
            "timezone": top.take(
                "timezone", "text", "UTC", check=_zone, needed='the IANA zone of the month, such as timezone = "Europe/London"'
            ),
            "output": base / home_expanded(top.take(
                "output", "text", ".", check=check_output, needed='the folder of the months, such as output = "months"'
            )),
            "rate_card": top.take("rate_card", "text", check=check_name),
            "sources": _sources(top, problems),
            "api": _api(_table(top, "api", problems)),
            "rules": _rules(top, base, problems),
            "plan": _plan(_table(top, "plan", problems)),
            "report": _report(_table(top, "report", problems)),
        }  # fmt: skip
        top.close()
        if problems:
            listed = "\n".join(f"- {problem}" for problem in problems)
            msg = f"{source} has {plural(len(problems), 'problem')}:\n{listed}"
            raise InputError(msg)
        return cls(path=base / source.name, **found)

    def __repr__(self) -> str:
        n = plural(len(self.sources), "source")
        return f"<MonthConfig {self.path.name}: {n}, {self.timezone}; next: reconcile_month(month, config)>"


def _toml(path: Path) -> dict[str, Any]:
    try:
        body = path.read_bytes()
        if len(body) > _LARGEST_FILE:
            msg = f"{path} holds {len(body):,} bytes, which no configuration does; name the TOML file of the month"
            raise InputError(msg)
        return tomllib.loads(body.decode("utf-8-sig"))
    except OSError as exc:
        msg = f"the configuration {path} cannot be read ({exc.strerror or type(exc).__name__})"
        raise InputError(msg) from exc
    except UnicodeDecodeError as exc:
        msg = f"{path} is not UTF-8 text, as TOML must be (byte {exc.start + 1}); save it as UTF-8"
        raise InputError(msg) from exc
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        msg = f"{path} is not TOML: {exc}"
        raise InputError(msg) from exc


def _zone(name: str) -> str:
    return load_zone(name).key


def _table(top: Table, name: str, problems: list[str]) -> Table:
    return Table(top.take(name, "table", {}), f"[{name}]", problems)


def _sources(top: Table, problems: list[str]) -> tuple[CdrSource, ...]:
    tables = top.raw("sources")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        problems.append(
            'no CDR files are named; write a table [[sources]] with files = "exports/{month}/*.csv"'
        )
        return ()
    return tuple(
        _source(Table(values, f"[[sources]] {place}", problems))
        for place, values in enumerate(tables, start=1)
    )


def _source(table: Table) -> CdrSource:
    files = table.take(
        "files", "text or texts", (), check=_files, needed='a path, a glob or a list of them, such as files = "exports/{month}/*.csv"'
    )  # fmt: skip
    country = table.take("country", "text", check=check_country)
    options = {
        "format": table.take("format", "text", "auto", check=_format),
        "timezone": table.take("timezone", "text", check=_zone),
        "country": country,
        "keep": tuple(table.take("keep", "texts", ())),
        "columns": table.take("columns", "words"),
        "dayfirst": table.take("dayfirst", "flag"),
        "delimiter": table.take("delimiter", "text"),
        "status_map": table.take("status_map", "words", check=_statuses),
        "internal_numbers": table.take(
            "internal_numbers", "texts", (), check=partial(check_own_numbers, country=country)
        ),
        "strip_prefixes": table.take("strip_prefixes", "texts", (), check=check_prefixes),
    }
    table.close()
    return CdrSource(files, options)


def _files(value: str | list[str]) -> tuple[str, ...]:
    return tuple(check_name(text) for text in ([value] if isinstance(value, str) else value))


def _format(name: str) -> str:
    return name if name == "auto" else format_named(name).name


def _statuses(words: dict[str, str]) -> dict[str, str]:
    wrong = sorted({status for status in words.values() if status not in LEG_STATUSES})
    if wrong:
        msg = f"{', '.join(map(repr, wrong))} is no status of a leg; they are: {', '.join(LEG_STATUSES)}"
        raise InputError(msg)
    return words


def _api(table: Table) -> CallsFrom:
    file = table.take("calls", "text", check=check_name)
    found = CallsFrom(
        url=table.take("url", "text", check=base_url_of),
        filters=table.take("filters", "table", {}, check=_filters(has_file=file is not None)),
        file=file,
        fetched_at=table.take("fetched_at", "text", check=_fetched_at(has_file=file is not None)),
    )
    table.close()
    return found


def _filters(*, has_file: bool) -> Any:
    def check(filters: dict[str, Any]) -> dict[str, Any]:
        if has_file:
            msg = "filters are for calls that are fetched, and calls names a file; take one of them out"
            raise InputError(msg)
        filter_pairs(filters)
        return filters

    return check


def _fetched_at(*, has_file: bool) -> Any:
    def check(instant: str) -> str:
        if not has_file:
            msg = "it says when the calls in a file were read; name that file as calls, or take it out"
            raise InputError(msg)
        return check_places(instant)

    return check


def _rules(top: Table, base: Path, problems: list[str]) -> Rules:
    value = top.raw("rules")
    if value is None:
        return Rules()
    if isinstance(value, str):
        try:
            path = base / home_expanded(value)
            if not path.is_file():
                problems.append(f"rules: there is no file {path}")
                return Rules()
            return Rules.from_toml(path)
        except InputError as exc:
            problems.append(f"rules: {exc}")
            return Rules()
    if not isinstance(value, dict):
        problems.append(
            'rules is neither a table [rules] nor the name of a file, such as rules = "rules.toml"'
        )
        return Rules()
    before = len(problems)
    for name, rule in value.items():
        try:
            Rules.from_dict({name: rule})
        except InputError as exc:
            problems.append(f"[rules] {exc}")
    return Rules() if len(problems) > before else Rules.from_dict(value)


def _plan(table: Table) -> PlanOptions:
    usual = PlanOptions()
    found = PlanOptions(
        fields=table.take("fields", "texts", usual.fields, check=partial(checked_fields, said="it")),
        where=table.take("where", "text"),
        accept=table.take("accept", "texts", (), check=checked_accept),
        statuses=tuple(table.take("statuses", "texts", ())),
        max_calls=table.take("max_calls", "number", check=_max_calls),
        max_share=table.take("max_share", "number", usual.max_share, check=_max_share),
    )
    table.close()
    return found


def _max_calls(value: float) -> int:
    if not isinstance(value, int) or value < 0:
        msg = f"it is {value!r}; allowed is a whole number, 0 or more"
        raise InputError(msg)
    return value


def _max_share(value: float) -> float:
    if not 0 <= value <= 1:
        msg = f"it is {value!r}; allowed is a number from 0 to 1"
        raise InputError(msg)
    return value


def _report(table: Table) -> ReportOptions:
    usual = ReportOptions()
    found = ReportOptions(
        rate=table.take("rate", "text", usual.rate, check=_rate), mask=table.take("mask", "flag", usual.mask)
    )
    table.close()
    return found


def _rate(text: str) -> str:
    parse_rate(text)
    return text
