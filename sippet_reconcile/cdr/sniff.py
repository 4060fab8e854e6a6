"""Which format is this file? Judged by its content alone, with reasons.

Input is a `Sample` of the first records, output are the formats that fit it, best first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile._display import card, html_table, html_text, mask_digits, plural, text_table
from sippet_reconcile.cdr.formats import all_formats, format_named
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Sample
from sippet_reconcile.errors import CdrFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ENOUGH", "Candidate", "Candidates", "candidates", "choose_format", "describe_sample"]

ENOUGH: Final = 0.5
"""The score from which a format fits a file."""

_ALONE: Final = 0.2  # enough where no other format fits at all: the other rows are broken then

_KINDS: Final = {"lines": "lines of text", "json": "JSON", "xml": "XML", "sql": "SQL statements"}
_SHOWN_CANDIDATES: Final = 3
_SHOWN_FIELDS: Final = 6
_HEADS: Final = ["score", "format", "why"]


@dataclass(frozen=True)
class Candidate:
    """A format and how well it fits a file.

    Attributes
    ----------
    format
        Its name, as ``format=`` takes it.
    score
        From 0 to 1. From 0.5 on the format fits, or from 0.2 on where no other has more
        than 0; `read_cdr` takes the best one, if only one is the best.
    reasons
        What speaks for it or against it, in words.
    is_possible
        Whether the records have as many fields as the format's: enough for somebody who
        names the format, but not for a guess.

    Examples
    --------
    >>> print(Candidate("twilio", 0.75, ("has 6 of 8 columns, lacks from, to",)))
    twilio (75%): has 6 of 8 columns, lacks from, to
    """

    format: str
    score: float
    reasons: tuple[str, ...]
    is_possible: bool = False

    def __str__(self) -> str:
        return f"{self.format} ({self.score:.0%}): {'; '.join(self.reasons)}"


class Candidates(list[Candidate]):
    """Every known format, the best first, as a list that shows only those that are of interest."""

    @property
    def fits(self) -> bool:
        """Whether the best one fits, alone or not."""
        is_alone = all(candidate.score == 0 for candidate in self[1:])
        return bool(self) and self[0].score >= (_ALONE if is_alone else ENOUGH)

    @property
    def verdict(self) -> str:
        """What `read_cdr` makes of it, in a sentence."""
        best = [candidate.format for candidate in self if candidate.score == self[0].score]
        if not self.fits:
            return "No known format surely fits: pass format=, or name the columns with columns=."
        if len(best) > 1:
            return f"{' and '.join(best)} fit equally well: pass format= with one of them."
        return f"It is read as {best[0]}."

    def _shown(self) -> tuple[list[list[object]], str]:
        near = [candidate for candidate in self if candidate.score > 0]
        rows: list[list[object]] = [[f"{c.score:.0%}", c.format, "; ".join(c.reasons)] for c in near]
        others = plural(len(self) - len(near), "other format" if near else "known format")
        return rows, f"It resembles none of {others}."

    def __repr__(self) -> str:
        rows, rest = self._shown()
        table = [text_table(rows, _HEADS, right=_HEADS[:1])] if rows else []
        return "\n".join([self.verdict, *table, rest])

    def _repr_html_(self) -> str:
        import pandas as pd  # noqa: PLC0415 - only where it is shown

        rows, rest = self._shown()
        table = [html_table(pd.DataFrame(rows, columns=_HEADS), right=_HEADS[:1])] if rows else []
        return card(
            "Which format is it?",
            None,
            *table,
            html_text(rest),
            verdict=self.verdict,
            tone="ok" if self.fits else "warn",
        )


def candidates(sample: Sample) -> Candidates:
    """Return every known format with its score and reasons, best first."""
    judged = [(format_.name, _judged(format_, sample)) for format_ in all_formats()]
    ranked = sorted(judged, key=lambda pair: -pair[1].score)
    return Candidates(
        Candidate(name, evidence.score, evidence.reasons, evidence.is_possible) for name, evidence in ranked
    )


def _judged(format_: CdrFormat, sample: Sample) -> Evidence:
    if sample.kind not in format_.kinds:
        wanted = " or ".join(_KINDS[kind] for kind in sorted(format_.kinds))
        return Evidence(0.0, (f"{_KINDS[sample.kind]}, not {wanted}",))
    return format_.recognise(sample)


def choose_format(sample: Sample, where: str) -> tuple[CdrFormat, Evidence]:
    """Return the one format that fits.

    Raises
    ------
    CdrFormatError
        If none does, or several do equally well; it lists the candidates.
    """
    ranked = candidates(sample)
    best = ranked[0]
    if not ranked.fits:
        near = [str(candidate) for candidate in ranked if candidate.score > 0][:_SHOWN_CANDIDATES]
        known = ", ".join(sorted(candidate.format for candidate in ranked))
        nearest = f" (nearest: {'; '.join(near)})" if near else ""
        msg = (
            f"{where} {describe_sample(sample)}; no known format fits{nearest}; "
            "name its columns: columns={'started_at': 'its start column', ...}, "
            f"or pass format= if it is one of {known} all the same"
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
        return f"holds {_KINDS[sample.kind]} objects with {', '.join(list(names)[:_SHOWN_FIELDS])}"
    row = sample.rows[0] if sample.rows else []
    shown = ", ".join(repr(mask_digits(cell[:40])) for cell in row[:_SHOWN_FIELDS])
    return f"line {_first_line(sample)} has {plural(len(row), 'field')}, {shown}{', ...' if len(row) > _SHOWN_FIELDS else ''}"
