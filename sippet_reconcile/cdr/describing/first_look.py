"""What can be told of files before, or without, reading them as CDRs: their size, what they may be, how they begin.

Input are files on disk, output are plain facts: the formats that fit, best first, and for
a file of no known format its first rows with masked numbers, and a mapping of its columns
to begin with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.cdr.describing.guessing import guess_columns, header_of
from sippet_reconcile.cdr.describing.masking import mask_sample
from sippet_reconcile.cdr.files.sources import Paths, Source, find_files, open_sources
from sippet_reconcile.cdr.kinds import take_sample
from sippet_reconcile.cdr.sniff import ENOUGH, Candidate, candidates
from sippet_reconcile.cdr.whole.parts import beginning_of, read_parquet, sample_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sippet_reconcile.cdr.spec import Sample
    from sippet_reconcile.report import Document

__all__ = ["FirstLook", "candidates_frame", "look_at", "looks_document", "sizes_of", "sniffed"]

_CANDIDATES: Final = 3
_ROWS: Final = 5
_FIELDS: Final = 40
_FORMATS: Final = 5
_DIGITS: Final = 12
_WIDTH: Final = 100


@dataclass(frozen=True, eq=False)
class FirstLook:
    """How one file begins, and what it may be.

    Attributes
    ----------
    path, name, size, sha256
        Where the file lies, and what it is called in an archive; the hash is that of the
        file as delivered, the size in bytes is unpacked.
    kind, delimiter
        Lines of fields, JSON, XML or SQL; and what separates the fields of lines.
    candidates
        The formats that come nearest, with their scores and reasons.
    fields
        One row per field: its place, its name where the file has names, and what stands in
        it in the first records, numbers masked.
    columns
        Leg column to source column, as ``columns=`` takes them; drawn from the names alone.
    """

    path: Path
    name: str
    size: int
    sha256: str
    kind: str
    delimiter: str | None
    candidates: pd.DataFrame
    fields: pd.DataFrame
    columns: Mapping[str, str]

    @property
    def fits(self) -> bool:
        """Whether one format fits, and no other as well."""
        scores = self.candidates["score"].tolist()
        return bool(scores) and scores[0] >= ENOUGH and scores.count(scores[0]) == 1

    def summary(self) -> dict[str, Any]:
        """Return it all as plain values."""
        return {
            "file": self.name,
            "bytes": self.size,
            "sha256": self.sha256,
            "kind": self.kind,
            "delimiter": self.delimiter,
            "format": self.candidates["format"].iloc[0] if self.fits else None,
            "candidates": self.candidates.drop(columns="file").to_dict("records"),
            "fields": self.fields.to_dict("records"),
            "columns": dict(self.columns),
        }

    def __repr__(self) -> str:
        from sippet_reconcile.report import document_text  # noqa: PLC0415 - jinja2 only where it is shown

        return document_text(looks_document([self]), width=_WIDTH)


def looks_document(looks: Sequence[FirstLook], why: str = "") -> Document:
    """Return how files begin as a document; `why` says why they were not read."""
    from sippet_reconcile.report import Document, Section  # noqa: PLC0415 - as above

    sections = []
    for look in looks:
        name = look.name if len(looks) > 1 else ""
        near = look.candidates
        shown = near.assign(score=[f"{score:.0%}" for score in near["score"]]).drop(columns="file")
        said = f"It looks like {look.candidates['format'].iloc[0]}." if look.fits else "No known format fits."
        kind = look.kind if look.delimiter is None else f"lines of fields between {look.delimiter!r}"
        sections += [
            Section(
                _title(name, "What it may be"),
                f"{kind[:1].upper()}{kind[1:]}, {look.size:,} bytes, sha256 {look.sha256[:_DIGITS]}. {said}",
                shown if len(shown) else None,
                heads={"reasons": "why"},
            ),
            Section(
                _title(name, "How it begins"),
                "The first records, one field a line; numbers are masked.",
                _narrowed(look.fields),
            ),
        ]
        if look.columns and not look.fits:
            frame = pd.DataFrame(look.columns.items(), columns=["our_column", "its_column"], dtype="str")
            sections.append(
                Section(
                    _title(name, "Columns to begin with"),
                    "Drawn from the names of its columns, for columns=; correct what is wrong. total_s counts from the "
                    "start of a call, billable_s from its answer.",
                    frame,
                )
            )
    title = looks[0].name if len(looks) == 1 else f"{len(looks)} files"
    return Document(
        f"First look at {title}", why or "This is how it begins; it was not read.", "warn", sections
    )


def _title(name: str, title: str) -> str:
    return f"{title}: {name}" if name else title


def _narrowed(fields: pd.DataFrame) -> pd.DataFrame:
    """Return the fields with as many records as there is room for, one at least."""
    widths = [max([len(str(name)), *fields[name].astype("str").str.len()]) + 2 for name in fields.columns]
    room = np.cumsum(widths) <= _WIDTH
    return fields.iloc[:, : max(int(room.sum()), 3)]


def look_at(file: Path, *, delimiter: str | None = None) -> list[FirstLook]:
    """Return how a file begins, or each of the first members of an archive.

    Raises
    ------
    InputError, CdrFormatError
        If not even that can be read.
    """
    looks = []
    for source in open_sources(file):
        looks.append(_look_at(file, source, delimiter))
        if len(looks) == _FORMATS:
            break
    return looks


def _look_at(file: Path, source: Source, delimiter: str | None) -> FirstLook:
    sample = _sample_of(source, delimiter)
    header = header_of(sample)
    near = candidates_frame(source.name, candidates(sample) if sample.rows or sample.records else [])
    near = near[near["score"] > 0].reset_index(drop=True)
    return FirstLook(
        path=file,
        name=source.name,
        size=source.size,
        sha256=source.sha256,
        kind="a table"
        if source.is_parquet
        else {"lines": "lines of text", "json": "JSON", "xml": "XML", "sql": "SQL"}[sample.kind],
        delimiter=sample.delimiter if sample.kind == "lines" and not source.is_parquet else None,
        candidates=near,
        fields=_fields(header.names, header.rows),
        columns=guess_columns(header.names, header.rows) if header.is_named else {},
    )


def _sample_of(source: Source, delimiter: str | None) -> Sample:
    if source.is_parquet:
        return sample_of(read_parquet(source))
    return take_sample(beginning_of(source), source.name, delimiter)


def _fields(names: Iterable[str], rows: list[list[str]]) -> pd.DataFrame:
    shown = list(names)[:_FIELDS]
    frame = pd.DataFrame(
        {"field": range(1, len(shown) + 1), "name": pd.Series([mask_sample(n) for n in shown], dtype="str")}
    )
    for at, row in enumerate(rows[:_ROWS], 1):
        cells = [mask_sample(row[place].strip()) if place < len(row) else "" for place in range(len(shown))]
        frame[f"record {at}"] = pd.Series(cells, dtype="str")
    return frame


def candidates_frame(name: str, found: Iterable[Candidate]) -> pd.DataFrame:
    """Return the best candidates of a file as a frame: file, format, score, reasons."""
    best = list(found)[:_CANDIDATES]
    rows = [(name, one.format, round(one.score, 3), "; ".join(one.reasons)) for one in best]
    return pd.DataFrame(rows, columns=["file", "format", "score", "reasons"]).astype(
        {"file": "str", "format": "str", "score": "float64", "reasons": "str"}
    )


def sizes_of(paths: Paths) -> dict[str, int]:
    """Return how many bytes the files on disk have, by name."""
    sizes: dict[str, int] = {}
    for file in find_files(paths):
        if isinstance(file, Path):
            sizes[file.name] = sizes.get(file.name, 0) + file.stat().st_size
    return sizes


def sniffed(paths: Paths, files: pd.DataFrame) -> pd.DataFrame:
    """Return why files were taken for what they are: the candidates of the first file of each format."""
    wanted = files.drop_duplicates("format").head(_FORMATS)["file"].tolist()
    frames = [candidates_frame("", [])]
    for source in _sources_named(paths, wanted):
        frames.append(candidates_frame(source.name, candidates(_sample_of(source, None))))  # noqa: PERF401 - reads files
    return pd.concat(frames, ignore_index=True)


def _sources_named(paths: Paths, names: list[str]) -> Iterator[Source]:
    left = set(names)
    for file in find_files(paths):
        if isinstance(file, Path) and any(
            name == file.name or name.startswith(f"{file.name}/") for name in left
        ):
            for source in open_sources(file):
                if source.name in left:
                    left.discard(source.name)
                    yield source
