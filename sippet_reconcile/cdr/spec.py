"""What a CDR format is: data and a few small functions, in a module of its own.

A format says how its records are recognised (`recognise`), how their columns are
called (`layouts`, `names`), and what they mean (`interpret`, `statuses`). It hands
over text; reading times, seconds, numbers and statuses is the same for all formats
and lives elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

import pyarrow as pa

from sippet_reconcile.cdr.nested import names_inside
from sippet_reconcile.errors import InputError
from sippet_reconcile.schema import LEG_STATUSES

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    import numpy as np
    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields, RawTable
    from sippet_reconcile.cdr.times.clock import Clock

__all__ = [
    "ASIDE",
    "CdrFormat",
    "Evidence",
    "Kind",
    "Options",
    "Record",
    "Sample",
    "column_key",
    "is_path",
    "status_word",
]

Kind: TypeAlias = Literal["lines", "json", "xml", "sql"]
"""What a file is before anybody knows its format: lines of fields, JSON, XML, or SQL statements."""

Repairs: TypeAlias = "tuple[tuple[str, str] | Callable[[pa.LargeStringArray], pa.LargeStringArray], ...]"
"""What is tried on broken lines, see `CdrFormat`."""

TEXT: Final = pa.large_string()
ASIDE: Final = "~"
"""How the names of columns begin that are no columns of legs, and are needed only until these are settled."""


@lru_cache(maxsize=8192)
def column_key(name: str) -> str:
    """Return a column name as names are compared: small letters and digits of any script only.

    Examples
    --------
    >>> column_key("Start Time"), column_key("startTime"), column_key("start_time")
    ('starttime', 'starttime', 'starttime')
    >>> column_key("Начало звонка"), column_key("#")
    ('началозвонка', '#')
    """
    folded = name.casefold()
    return re.sub(r"[\W_]", "", folded) or folded.strip()


def status_word(word: str) -> str:
    """Return a status word or hangup cause as such words are compared.

    Examples
    --------
    >>> status_word("No Answer"), status_word("no-answer"), status_word("NO_ANSWER")
    ('NO_ANSWER', 'NO_ANSWER', 'NO_ANSWER')
    """
    return re.sub(r"[^0-9A-Z]+", "_", word.upper()).strip("_")


def is_path(name: str) -> bool:
    """Tell whether a name is that of a member of a member, such as ``"from.number"``."""
    return "." in name.strip(" .")


@dataclass(frozen=True)
class Sample:
    """The beginning of a file: its first records as fields, or as objects where it is JSON or XML.

    `rows` are the fields of lines or of SQL tuples, with the names first where the file
    has them; `lines` says on which physical line each stands, counted from 0. `text` is
    how the file begins, as decoded.
    """

    rows: Sequence[Sequence[str]] = ()
    lines: Sequence[int] = ()
    delimiter: str = ","
    records: Sequence[Mapping[str, Any]] | None = None
    kind: Kind = "lines"
    text: str = ""

    @cached_property
    def names(self) -> frozenset[str]:
        """The comparable names in the first row, or of the first objects; and paths such as ``"from.number"``, as they are."""
        if self.records is not None:
            cells: Iterable[str] = {name for record in self.records for name in record}
        else:
            cells = self.rows[0] if self.rows else ()
        paths = {cell.strip() for cell in cells if is_path(cell)}
        return frozenset(map(column_key, cells)) | paths | names_inside(self.records or ())

    def has(self, name: str) -> bool:
        """Tell whether a column or member is there: a name under any spelling, a path as it is."""
        return (name if is_path(name) else column_key(name)) in self.names


@dataclass(frozen=True)
class Evidence:
    """How well a format fits a sample, from 0 to 1, and why.

    `is_possible` says that the records have as many fields as the format's, whatever
    stands in them: enough for somebody who names the format, but not for a guess.
    """

    score: float
    reasons: tuple[str, ...]
    is_possible: bool = False


@dataclass(frozen=True)
class Options:
    """What the caller said about the files; `where` names the file in messages.

    `internal_numbers` and `strip_prefixes` are those of `read_cdr`.
    `in_pieces` is set where only a part of the file is seen, so that nothing may be
    concluded from what it does not hold; `clock` and `dayfirst` are then what all of it told.
    `gathered` is what all of it told a format that gathers, None where only these rows tell.
    """

    zone: ZoneInfo | None = None
    country: str | None = None
    dayfirst: bool | None = None
    status_map: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    internal_numbers: tuple[str, ...] = ()
    strip_prefixes: tuple[str, ...] = ()
    where: str = "<frame>"
    in_pieces: bool = False
    clock: Clock | None = None
    gathered: frozenset[str] | None = None

    @staticmethod
    def checked_statuses(status_map: Mapping[str, str] | None) -> dict[str, str]:
        """Return the caller's own status words in comparable form, or say which status is none."""
        words = {status_word(str(word)): str(status) for word, status in (status_map or {}).items()}
        wrong = sorted(set(words.values()) - set(LEG_STATUSES))
        if wrong:
            msg = f"status_map= maps to {', '.join(map(repr, wrong))}; the statuses are {', '.join(LEG_STATUSES)}"
            raise InputError(msg)
        return words


@dataclass(frozen=True, eq=False)
class Record:
    """What a format found in its columns: trimmed text, one element per row; None where it has no such column.

    `word` is what the status table maps. `answer_decides` is False where an answer
    time beside zero seconds does not overrule the status word; `zero_decides` is True
    where it does not even count beside one for an unanswered call. `calls_out` marks rows
    that are outbound if the called number is an outside one. `epoch` is an instant in
    UTC near the start, in microseconds, 0 where the row has none. `start_required` is
    False where a call may be recorded before it starts. `derive_missing` asks for the
    times and seconds that the others imply; where an export tells how long a call rang
    and not when it was answered, `ring` is that. `notes` are told to whoever reads the file.
    `from_whole` and `to_whole` are the numbers as E.164 is made of them, where the
    export leaves out a part that is certain. `shown` are the starts as the switch's clock
    printed them, where `started` are instants: they are only held against the zone.
    `problem` says why a row is no use, for reasons that only the format sees.
    For formats that settle: `word_beside` is the word of a row that turns out to stand
    beside certain legs of its call, missing where it stays `word`, and `aside` are
    columns of numbers that only `CdrFormat.settle` sees.
    """

    started: pa.LargeStringArray
    answered: pa.LargeStringArray | None = None
    ended: pa.LargeStringArray | None = None
    total: pa.LargeStringArray | None = None
    billable: pa.LargeStringArray | None = None
    ring: pa.LargeStringArray | None = None
    leg_id: pa.LargeStringArray | None = None
    call_key: pa.LargeStringArray | None = None
    linked_id: pa.LargeStringArray | None = None
    direction: pa.LargeStringArray | None = None
    from_number: pa.LargeStringArray | None = None
    to_number: pa.LargeStringArray | None = None
    from_whole: pa.LargeStringArray | None = None
    to_whole: pa.LargeStringArray | None = None
    sip_username: pa.LargeStringArray | None = None
    word: pa.LargeStringArray | None = None
    word_beside: pa.LargeStringArray | None = None
    aside: Mapping[str, pa.Array] = field(default_factory=dict)
    cause: pa.LargeStringArray | None = None
    calls_out: NDArray[np.bool_] | None = None
    is_helper: NDArray[np.bool_] | None = None
    epoch: NDArray[np.int64] | None = None
    shown: pa.LargeStringArray | None = None
    problem: pa.LargeStringArray | None = None
    answer_decides: bool = True
    zero_decides: bool = False
    start_required: bool = True
    derive_missing: bool = False
    notes: tuple[str, ...] = ()


class Relink(Protocol):
    """Settle the linked ids over all files of a read.

    A row whose two ids are equal and whose own id no other row names must neither change
    nor matter: files that are larger than memory are settled without such rows.
    """

    def __call__(self, leg_id: pa.LargeStringArray, linked_id: pa.LargeStringArray) -> pa.LargeStringArray:
        """Return the linked ids anew."""


class Settle(Protocol):
    """Settle what only all legs of a file tell, such as what became of a leg beside others of its call.

    The columns are those of the legs by name, None where no leg has a value; with those
    of `Record.aside`, and ``status`` and ``is_answered`` by `Record.word_beside`, under
    their names behind `ASIDE`.
    """

    def __call__(self, columns: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the columns that are other ones now."""


@dataclass(frozen=True)
class CdrFormat:
    """One export format.

    Parameters
    ----------
    name, title, aliases
        How it is called in ``format=``, in sentences, and otherwise.
    names
        Its column names: comparable form to the name that `interpret` uses.
    statuses
        Status word (comparable form) to canonical status.
    recognise
        Judges a sample by its content; asked only where the file is of one of its kinds.
    interpret
        Gives columns their meaning.
    kinds
        What files of this format may be. Frames and parquet files count as lines.
    layouts
        For files without a header: each possible width and its column names.
    repairs
        Pairs of an RE2 pattern and its replacement, or functions of lines, tried in turn on
        the lines that are not quoted by the book, for a system whose quoting is always wrong in one way. A
        line that is still broken then is taken apart as repaired, so that a repair
        leaves no marks in lines that it does not put right.
    one_line_each
        Returns what puts records that stand on one line on lines of their own, where the
        sample shows such lines, and else None; ``source_row`` then counts records.
    not_records
        Marks rows that are no calls but a part of the table, such as a line of types.
    paths
        Members of JSON and XML records that are read besides those at the top:
        ``"from.number"`` is a column of that name, ``"callflow.0.times"`` the first of a list.
    tidy
        Takes off what the export wraps around values, before anything else sees them.
    relink
        Settles linked ids over all files, where one file cannot.
    helpers_need_company
        Whether a row marked as a helper is one only beside another leg of its call; if
        somebody talked in it, beside one in which somebody did, too.
    row_by_row
        Whether a row means the same whatever the other rows are, but for what `gather`
        tells of them, so that a large file may be read in pieces.
    gather
        Returns the few words in some rows that tell what others mean, such as the names
        of trunks; those of all pieces of a file together are those of the file.
        `interpret` finds them in ``Options.gathered``.
    settle
        Settles what only all legs of a file tell, once they are all there.
    """

    name: str
    title: str
    names: Mapping[str, str]
    statuses: Mapping[str, str]
    recognise: Callable[[Sample], Evidence]
    interpret: Callable[[Fields, Options], Record]
    kinds: frozenset[Kind] = frozenset({"lines"})
    layouts: Callable[[Sample], Mapping[int, tuple[str, ...]]] | None = None
    repairs: Repairs = ()
    one_line_each: Callable[[Sample], Callable[[bytes], bytes] | None] | None = None
    not_records: Callable[[Fields], NDArray[np.bool_]] | None = None
    paths: tuple[str, ...] = ()
    tidy: Callable[[RawTable], RawTable] | None = None
    aliases: tuple[str, ...] = ()
    relink: Relink | None = None
    helpers_need_company: bool = False
    row_by_row: bool = False
    gather: Callable[[Fields], frozenset[str]] | None = None
    settle: Settle | None = None
