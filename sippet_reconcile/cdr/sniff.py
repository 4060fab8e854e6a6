"""Which format is this file? Judged by its content alone, with reasons.

Input are decoded bytes, or the columns of a frame; output are a `Sample` of the first
records and the formats that fit it, best first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile._display import mask_digits
from sippet_reconcile.cdr.formats import all_formats, format_named
from sippet_reconcile.cdr.objects import first_objects
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Sample
from sippet_reconcile.cdr.tokens import split_line
from sippet_reconcile.errors import CdrFormatError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ENOUGH", "Candidate", "candidates", "choose_format", "take_sample"]

_BYTES: Final = 1 << 18
_ROWS: Final = 200
_DELIMITERS: Final = (",", ";", "\t", "|")
ENOUGH: Final = 0.5
"""The score from which a format fits a file."""

_ALONE: Final = 0.2  # enough where no other format fits at all: the other rows are broken then

_SHOWN_CANDIDATES: Final = 3
_SHOWN_FIELDS: Final = 6


@dataclass(frozen=True)
class Candidate:
    """A format and how well it fits, from 0 to 1."""

    format: str
    score: float
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.format} ({self.score:.0%}): {'; '.join(self.reasons)}"


def take_sample(data: bytes, where: str, delimiter: str | None = None) -> Sample:
    """Return the first records of a file.

    Raises
    ------
    CdrFormatError
        If it begins like JSON and is none.
    InputError
        If `delimiter` is not a single character.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\n'):
        msg = f"delimiter {delimiter!r} is not a single character such as ',', ';' or '\\t'"
        raise InputError(msg)
    head = data[:_BYTES]
    if head.lstrip()[:1] in {b"{", b"["}:
        return Sample(records=first_objects(data, where, _ROWS))
    text = head.decode("utf-8", errors="replace").replace("\0", "")
    lines = text.split("\n")
    if len(data) > _BYTES and len(lines) > 1:
        lines.pop()  # cut by the sample, not by the file
    numbered = [(number, line) for number, line in enumerate(lines) if line.strip()][:_ROWS]
    delimiter = delimiter or _delimiter([line for _, line in numbered])
    rows = [split_line(line, delimiter)[0] for _, line in numbered]
    return Sample(rows, [number for number, _ in numbered], delimiter)


def _delimiter(lines: Sequence[str]) -> str:
    """Return the character that takes most lines apart into equally many fields."""

    def rank(delimiter: str) -> tuple[float, int]:
        widths = [len(split_line(line, delimiter)[0]) for line in lines[:50]]
        wide = [width for width in widths if width > 1]
        if not wide:
            return (0.0, 0)
        usual = max(sorted(set(wide)), key=wide.count)
        return (wide.count(usual) / len(widths), usual)

    return max(_DELIMITERS, key=rank) if lines else ","


def candidates(sample: Sample) -> list[Candidate]:
    """Return every known format with its score and reasons, best first."""
    judged = [(format_.name, format_.recognise(sample)) for format_ in all_formats()]
    ranked = sorted(judged, key=lambda pair: -pair[1].score)
    return [Candidate(name, evidence.score, evidence.reasons) for name, evidence in ranked]


def choose_format(sample: Sample, where: str) -> tuple[CdrFormat, Evidence]:
    """Return the one format that fits.

    Raises
    ------
    CdrFormatError
        If none does, or several do equally well; it lists the candidates.
    """
    ranked = candidates(sample)
    best = ranked[0]
    is_alone = all(candidate.score == 0 for candidate in ranked[1:])
    if best.score < (_ALONE if is_alone else ENOUGH):
        near = [str(candidate) for candidate in ranked if candidate.score > 0][:_SHOWN_CANDIDATES]
        known = ", ".join(candidate.format for candidate in ranked)
        nearest = f"nearest: {'; '.join(near)}" if near else f"it resembles none of {known}"
        msg = (
            f"{where} {describe_sample(sample)}; no known format fits ({nearest}); "
            "pass format=, or name its columns: columns={'started_at': 'its start column', ...}"
        )
        raise CdrFormatError(msg, line=_first_line(sample))
    rivals = [candidate for candidate in ranked if candidate.score == best.score]
    if len(rivals) > 1:
        listed = " or ".join(str(candidate) for candidate in rivals)
        msg = f"{where} could be {listed}; pass format={best.format!r} or another of them"
        raise CdrFormatError(msg, line=_first_line(sample))
    return format_named(best.format), Evidence(best.score, best.reasons)


def _first_line(sample: Sample) -> int | None:
    return sample.lines[0] + 1 if sample.lines else None


def describe_sample(sample: Sample) -> str:
    """Say what the file begins with, numbers masked."""
    if sample.records is not None:
        names: Mapping[str, Any] = sample.records[0] if sample.records else {}
        return f"holds JSON objects with {', '.join(list(names)[:_SHOWN_FIELDS])}"
    row = sample.rows[0] if sample.rows else []
    shown = ", ".join(repr(mask_digits(cell[:40])) for cell in row[:_SHOWN_FIELDS])
    return f"line {_first_line(sample)} has {len(row)} fields, {shown}{', ...' if len(row) > _SHOWN_FIELDS else ''}"
