"""Read CDR exports into legs: one row per record, usable or not, whatever the format.

Input are files or a frame and what the caller knows about them; output is the frame
that `LEGS` describes, then ``is_helper``, ``is_coarse`` and the kept columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from sippet_reconcile.cdr.columns import columns_format
from sippet_reconcile.cdr.files.sources import Paths, blamed_on, find_files, open_sources
from sippet_reconcile.cdr.formats import format_named
from sippet_reconcile.cdr.kinds import Request, take_sample
from sippet_reconcile.cdr.records.frames import table_of_frame
from sippet_reconcile.cdr.sniff import Candidate, candidates
from sippet_reconcile.cdr.spec import Options
from sippet_reconcile.cdr.whole.joined import joined
from sippet_reconcile.cdr.whole.parts import (
    Part,
    beginning_of,
    read_parquet,
    read_table,
    sample_of,
)
from sippet_reconcile.cdr.whole.small_files import SmallFiles
from sippet_reconcile.errors import InputError
from sippet_reconcile.own_numbers import check_own_numbers
from sippet_reconcile.period import load_zone
from sippet_reconcile.phones import check_country, check_prefixes
from sippet_reconcile.progress import Progress, reporting
from sippet_reconcile.schema import Legs

__all__ = ["cdr_from_frame", "read_cdr", "request_of", "sniff_cdr"]

_SUCH_AS = {"columns": "{'started_at': 'Start'}", "status_map": "{'ANSWERED': 'completed'}"}


def read_cdr(
    paths: Paths,
    *,
    format: str = "auto",  # noqa: A002 - the word that analysts look for
    timezone: str | None = None,
    country: str | None = None,
    keep: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    dayfirst: bool | None = None,
    delimiter: str | None = None,
    status_map: Mapping[str, str] | None = None,
    internal_numbers: Sequence[str] = (),
    strip_prefixes: Sequence[str] = (),
    progress: Progress = None,
) -> Legs:
    """Read CDR exports into legs.

    Every record of every file is one row, in the order of the files: what cannot be
    used carries the reason in ``problem``. Blank, header and totals lines are no
    records. A row is what one record of the system tells, usually one party's part of a
    call; `reconcile` makes calls of them.

    Parameters
    ----------
    paths
        A path, a glob, a list of them, or an open file. What is packed by gzip or zip, and
        parquet, is read as it is. Names of files tell nothing.
    format
        The name of a format, for all files; ``"auto"`` looks at the content of each file
        and logs what it chose and why.
    timezone
        IANA name of the zone of the switch's clock. Needed where times are local and the
        file does not tell. Times that carry an offset, and epochs, are instants as they
        stand, whatever the zone; where no time is local, the log says that it was not used.
        It is an error where the file contradicts it: by the epochs in its ids, or by local
        stamps that stand beside epochs of the same starts.
    country
        ISO 3166 alpha-2 code in which national numbers are read.
    keep
        Further source columns to carry along as ``x_<name>``, text as delivered.
    columns
        Leg column to source column, for tables of no known format, such as
        ``{"started_at": "Start", "billable_s": "Talk"}``. ``started_at`` is needed;
        ``total_ms`` and ``billable_ms`` take milliseconds.
    dayfirst
        Whether D/M/Y is meant where dates can be read two ways. What a date above twelve,
        or an epoch in an id, says otherwise is an error.
    delimiter
        Field delimiter where it is not to be guessed.
    status_map
        The system's word to a status, beside and before the format's own table, such as
        ``{"CONGESTION": "failed"}``. The statuses are ``completed``, ``voicemail``,
        ``busy``, ``no_answer``, ``missed``, ``canceled``, ``failed``, ``in_progress`` and
        ``unknown``.
    internal_numbers
        One's own numbers: they tell the direction of a call where the export does not.
        From an own number to an outside one is outbound, the other way round inbound,
        between two own ones internal; a withheld caller is an outside one. Each is

        - one number, such as ``"+442079460100"``, ``"020 7946 0100"`` or ``"501"``: the
          number as delivered, or in E.164;
        - a range of equally long numbers, both ends included, such as ``"1000-1999"`` or
          ``"+442079460100-+442079460199"``: numbers of that very length between them;
        - how a block begins, such as ``"2*"``: extensions of up to six digits that begin
          so, or with a ``+`` or more than four digits, such as ``"+4420794601*"``,
          numbers of any length.
    strip_prefixes
        What is dialled for an outside line, such as ``("9", "90", "0")``: taken off, the
        longest first, only where a number gives no E.164 as it stands and what remains
        gives one. ``from_number`` and ``to_number`` stay as delivered.
    progress
        See `sippet_reconcile.progress`.

    Returns
    -------
    DataFrame
        One row per record: the columns of `sippet_reconcile.schema.LEGS`; then
        ``is_helper`` (boolean, True for legs that belong to the switch's inner workings)
        and ``is_coarse`` (boolean, True where a time is printed without seconds); then the
        kept columns. Instants are ``datetime64[us, UTC]``, ids, numbers and words ``str``,
        ``total_s`` and ``billable_s`` seconds as ``Float64``. Missing means that the export
        does not tell: an unanswered call has ``billable_s`` 0 and ``is_answered`` False, one
        of which nothing is known has neither. How each file was read is in ``attrs``, which
        `describe_cdr` shows.

    Raises
    ------
    InputError
        If a file does not exist or cannot be unpacked, a glob matches nothing, an option
        cannot be meant, or something must be said, such as the zone of local times.
    CdrFormatError
        If a file is not what it was said or thought to be, contradicts what was said, or
        fits no format, or several; ``path`` and ``line`` say where.

    Examples
    --------
    >>> import io
    >>> row = b'"Ann","1001","+442079460123","default","2026-10-01 09:00:00","2026-10-01 09:00:05",'
    >>> row += b'"2026-10-01 09:01:05","65","60","NORMAL_CLEARING","8c1f3c52-0000-4000-8000-000000000001","","1001","",""'
    >>> legs = read_cdr(io.BytesIO(row), timezone="Europe/London")
    >>> legs.loc[0, "format"], legs.loc[0, "status"], legs.loc[0, "started_at"].isoformat()
    ('freeswitch', 'completed', '2026-10-01T08:00:00+00:00')
    """
    request = request_of(
        format, timezone=timezone, country=country, keep=keep, columns=columns, dayfirst=dayfirst,
        delimiter=delimiter, status_map=status_map, internal_numbers=internal_numbers, strip_prefixes=strip_prefixes,
    )  # fmt: skip
    files = find_files(paths)
    parts: list[Part] = []
    small = SmallFiles(request)
    with reporting(progress, unit="file") as report:
        for done, file in enumerate(files):
            report(done, len(files), "reading CDRs")
            parts += [part for source in open_sources(file) for part in small.add(source)]
        parts += small.rest()
        report(len(files), len(files), "reading CDRs")
    return joined(parts, request)


def cdr_from_frame(
    df: pd.DataFrame,
    *,
    format: str = "auto",  # noqa: A002 - as in read_cdr
    columns: Mapping[str, str] | None = None,
    timezone: str | None = None,
    country: str | None = None,
    keep: Sequence[str] = (),
    dayfirst: bool | None = None,
    status_map: Mapping[str, str] | None = None,
    internal_numbers: Sequence[str] = (),
    strip_prefixes: Sequence[str] = (),
    source: str = "frame",
) -> Legs:
    """Read legs from a frame, such as the result of a SQL query or a sheet of a workbook.

    Ids should be text (``dtype=str``): as numbers with fractions they have lost their last
    zeros, and are refused.

    Parameters
    ----------
    df
        One row per record; it is not changed and its index is not looked at. Columns
        are found by name; typed columns are read as an export would print them.
    format, columns, timezone, country, keep, dayfirst, status_map, internal_numbers, strip_prefixes
        As in `read_cdr`.
    source
        What ``source_file`` says. ``source_row`` counts rows from 1, ``source_sha256``
        covers the content.

    Returns
    -------
    DataFrame
        As `read_cdr` returns: one row per row of `df`, in its order, with a new index.

    Raises
    ------
    InputError
        If `df` is no frame, or as in `read_cdr`.
    CdrFormatError
        As in `read_cdr`.

    Examples
    --------
    >>> df = pd.DataFrame({"Start": ["2026-10-01 09:00:00"], "Talk": ["0:01:05"], "Id": ["a-1"]})
    >>> legs = cdr_from_frame(df, columns={"started_at": "Start", "billable_s": "Talk", "call_key": "Id"}, timezone="UTC")
    >>> legs.loc[0, "call_key"], float(legs.loc[0, "billable_s"]), legs.loc[0, "status"]
    ('a-1', 65.0, 'completed')
    """
    request = request_of(
        format, timezone=timezone, country=country, keep=keep, columns=columns, dayfirst=dayfirst,
        delimiter=None, status_map=status_map, internal_numbers=internal_numbers, strip_prefixes=strip_prefixes,
    )  # fmt: skip
    if not isinstance(df, pd.DataFrame):
        msg = f"df is {type(df).__name__}, not a DataFrame; read files with read_cdr"
        raise InputError(msg)
    return joined([read_table(table_of_frame(df), source, request)], request)


def sniff_cdr(path: Paths) -> list[Candidate]:
    """Return the formats that a file may have, best first, each with its reasons.

    Only the content counts, never the name; of a large file only the beginning is looked at.

    Parameters
    ----------
    path
        One file, as `read_cdr` takes it; of a zip archive the first file is looked at.

    Returns
    -------
    list of Candidate
        One for each known format, also for those that do not fit; it shows itself as the
        verdict and those that come near.

    Raises
    ------
    InputError
        If the file does not exist, or several are meant.
    CdrFormatError
        If it is no text at all, or begins like JSON or XML and is none.

    Examples
    --------
    >>> import io
    >>> names = b"sid,status,start_time,duration,from,to"
    >>> found = sniff_cdr(io.BytesIO(names))
    >>> found  # doctest: +ELLIPSIS
    It is read as twilio.
    score  format  why
    -----  ------  -------------------------
      75%  twilio  lacks end_time, direction
    It resembles none of ... other formats.
    >>> found[0].format, found[0].score
    ('twilio', 0.75)
    """
    files = find_files(path)
    if len(files) != 1:
        msg = f"sniff_cdr looks at one file, got {len(files)}; pass one path"
        raise InputError(msg)
    source = next(iter(open_sources(files[0])))
    with blamed_on(source.path):
        if source.is_parquet:
            return candidates(sample_of(read_parquet(source)))
        return candidates(take_sample(beginning_of(source), source.name))


def request_of(
    format_name: str,
    *,
    timezone: str | None,
    country: str | None,
    keep: Sequence[str],
    columns: Mapping[str, str] | None,
    dayfirst: bool | None,
    delimiter: str | None,
    status_map: Mapping[str, str] | None,
    internal_numbers: Sequence[str],
    strip_prefixes: Sequence[str],
) -> Request:
    """Check what the caller of `read_cdr` said, once for all files.

    Raises
    ------
    InputError
        If something contradicts itself or is not known.
    """
    for name, mapping in (("columns", columns), ("status_map", status_map)):
        if mapping is not None and not isinstance(mapping, Mapping):
            msg = f"{name}= is {type(mapping).__name__}; pass a dict of words, such as {_SUCH_AS[name]}"
            raise InputError(msg)
    if dayfirst not in (None, True, False):  # "no" would count as yes
        msg = f"dayfirst is {dayfirst!r}; pass dayfirst=True or dayfirst=False, or leave it out where the file tells"
        raise InputError(msg)
    if columns is not None and format_name not in {"auto", "columns"}:
        msg = f"format={format_name!r} and columns= are both given; a known format needs no columns=, so keep one of them"
        raise InputError(msg)
    chosen = None if format_name == "auto" else format_named(format_name) if columns is None else None
    if columns is not None:
        chosen = columns_format(columns)
    country = check_country(country)
    options = Options(
        zone=None if timezone is None else load_zone(timezone),
        country=country,
        dayfirst=dayfirst,
        status_map=Options.checked_statuses(status_map),
        keep=_names(keep),
        internal_numbers=check_own_numbers(_words(internal_numbers), country=country),
        strip_prefixes=check_prefixes(_words(strip_prefixes)),
    )
    return Request(options, chosen, columns, delimiter)


def _names(keep: Sequence[str]) -> tuple[str, ...]:
    """Return the columns to keep, or say which of them is no name."""
    found = _words(keep)
    for name in found:
        if not isinstance(name, str):
            msg = f"keep= holds {name!r}: it is not text; write the name of a source column, such as 'accountcode'"
            raise InputError(msg)
    return found


def _words(given: Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
