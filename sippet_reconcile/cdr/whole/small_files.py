"""Read many small files of JSON or XML records together, as if each were read alone.

Input are sources one after the other, output are the same legs as `read_source` gives,
several files to a part. A table of one row costs as much as one of a thousand, and most
switches that post records leave one leg per file.

Only files that one format surely fits, and whose rows mean the same whatever the other
rows are, are read together; where anything is to be told of one of them, each of the
batch is read alone, so that it is told of the right one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from sippet_reconcile.cdr.files.decode import decode
from sippet_reconcile.cdr.kinds import ROWS, kind_of, wanted_of
from sippet_reconcile.cdr.legs import Origin, legs_table
from sippet_reconcile.cdr.records.json_text import JsonRecords
from sippet_reconcile.cdr.records.objects import table_of_records
from sippet_reconcile.cdr.records.xml_text import XmlRecords
from sippet_reconcile.cdr.sniff import ENOUGH, candidates
from sippet_reconcile.cdr.spec import Sample, column_key
from sippet_reconcile.cdr.tables import TEXT
from sippet_reconcile.cdr.times.clock import OFFSETS
from sippet_reconcile.cdr.understood import LOG, format_of, tell_of_zone, understand
from sippet_reconcile.cdr.whole.parts import Part, read_source
from sippet_reconcile.errors import ReconcileError

if TYPE_CHECKING:
    from sippet_reconcile.cdr.files.sources import Source
    from sippet_reconcile.cdr.kinds import Request
    from sippet_reconcile.cdr.spec import CdrFormat, Kind

__all__ = ["SmallFiles"]

_SMALL: Final = 1 << 18  # bytes of a file that is read with others
_BATCH: Final = 8 << 20  # bytes of all files of a batch


@dataclass
class _Batch:
    """Files of one format, and what was found in each."""

    format: CdrFormat
    names: frozenset[str]
    sources: list[Source] = field(default_factory=list)
    records: list[list[Any]] = field(default_factory=list)
    size: int = 0


class SmallFiles:
    """Collect sources and hand out their legs, in the order in which they came."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._batch: _Batch | None = None
        self._format: CdrFormat | None = request.format
        self._seen: tuple[Any, Sample] | None = None

    def add(self, source: Source) -> list[Part]:
        """Take a source and return the parts that are complete by now."""
        found = self._looked_at(source)
        if found is None:
            return [*self.rest(), read_source(source, self._request)]
        format_, names, records = found
        parts: list[Part] = []
        batch = self._batch
        if batch is None or batch.format is not format_ or batch.names != names or batch.size > _BATCH:
            parts = self.rest()
            batch = self._batch = _Batch(format_, names)
        batch.sources.append(source)
        batch.records.append(records)
        batch.size += source.size
        return parts

    def rest(self) -> list[Part]:
        """Return the parts that were not handed out yet."""
        batch, self._batch = self._batch, None
        if batch is None:
            return []
        part = self._read(batch) if len(batch.sources) > 1 else None
        return (
            [part] if part is not None else [read_source(source, self._request) for source in batch.sources]
        )

    # ---------------------------------------------------------------- looking at one file

    def _looked_at(self, source: Source) -> tuple[CdrFormat, frozenset[str], list[Any]] | None:
        """Return format, names and records of a file that may be read with others; None for all that may not."""
        if source.size > _SMALL or source.is_parquet:
            return None
        decoded = decode(source.data)
        kind = kind_of(decoded.data)
        if decoded.notes or kind not in {"json", "xml"}:
            return None
        self._seen = None
        text: JsonRecords | XmlRecords
        if kind == "json":
            text = JsonRecords(decoded.data, source.name, is_record=self._test(kind), mend=True)
        else:
            text = XmlRecords(decoded.data, source.name, is_record=self._test(kind))
        try:
            records = [record for piece in text for record in piece]
            objects = [record for record in records if isinstance(record, dict)][:ROWS]
            if text.notes or not objects:
                return None
            sample = self._sample(objects, kind)
            if self._format is None or not _surely(self._format, sample):
                self._format = format_of(sample, source.name, self._request)
        except ReconcileError:
            return None  # read alone, it says so of itself
        format_ = self._format
        in_its_file = format_.gather is not None or format_.settle is not None
        if not format_.row_by_row or in_its_file or not _surely(format_, sample):
            return None
        # What is not read makes no difference; what is, and is absent, may make one.
        mapped = map(column_key, (self._request.columns or {}).values())
        read = {*format_.names, *mapped, *map(column_key, self._request.options.keep)}
        outer = {column_key(name) for record in objects for name in record}
        return format_, frozenset(outer & read), records

    def _sample(self, objects: list[Any], kind: Kind) -> Sample:
        if self._seen is not None and len(objects) == 1 and self._seen[0] is objects[0]:
            return self._seen[1]
        return Sample(records=objects, kind=kind)

    def _test(self, kind: Kind) -> Any:
        """Return the test of documents that are records: the format of the file before this one is asked first."""

        def is_record(document: dict[str, Any]) -> bool:
            sample = Sample(records=[document], kind=kind)
            self._seen = (document, sample)
            if self._format is not None and _surely(self._format, sample):
                return True
            if self._request.format is not None:
                return self._request.format.recognise(sample).score >= ENOUGH
            return candidates(sample)[0].score >= ENOUGH

        return is_record

    # ---------------------------------------------------------------- reading all of them

    def _read(self, batch: _Batch) -> Part | None:
        """Return the legs of all files of a batch; None where something is to be told of one of them."""
        first, sizes = batch.sources[0], [len(records) for records in batch.records]
        name = f"{first.name} and {len(sizes) - 1:,} more"
        records = [record for part in batch.records for record in part]
        raw = table_of_records([records], wanted_of(batch.format, self._request))
        raw = replace(raw, rows=np.concatenate([np.arange(1, size + 1, dtype=np.int64) for size in sizes]))
        try:
            found = understand(raw, batch.format, name, self._request)
        except ReconcileError:
            return None
        if found.clock.how != OFFSETS or found.notes or found.n_totals:
            return None
        LOG.info("%s are read as %s, as the first of them is", name, batch.format.name)
        tell_of_zone(name, self._request, is_needed=False)
        origins = pa.array(np.repeat(np.arange(len(sizes)), sizes))
        told = {
            "source_file": [source.name for source in batch.sources],
            "source_sha256": [source.sha256 for source in batch.sources],
        }
        whence = {column: pa.array(texts, TEXT).take(origins) for column, texts in told.items()}
        table = legs_table({**found.columns, **whence}, batch.format, Origin(first.name, first.sha256))
        return Part(table, batch.format, found.clock, name)


def _surely(format_: CdrFormat, sample: Sample) -> bool:
    return sample.kind in format_.kinds and format_.recognise(sample).score == 1
