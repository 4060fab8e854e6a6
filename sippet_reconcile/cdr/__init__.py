"""CDR exports of carriers and switches, read into one frame of legs.

Input are files as they were delivered; output is one row per record with UTC
instants, seconds, E.164 numbers, a canonical status, and where it stood.

On the way from one to the other, each module answers one question:

- Bytes: `sources` finds files and hands out their bytes; `packed` unpacks, `foreign` refuses what is no export, `cutting`
  cuts streams where lines end, `decode` makes UTF-8 of them.
- Records: `kinds` tells lines, JSON, XML and SQL apart. Lines are read by `reader`, and by `careful`, `lines` and `tokens`
  where they are broken; JSON by `json_text`, `json_values`, `objects` and `nested`; XML by `xml_text`; SQL by
  `sql_statements`, `sql_tuples` and `sql_text`; frames and parquet by `frames`. Each gives a `RawTable` (`tables`).
- Format: `spec` says what a format is, `formats/` has them all, `columns` makes one of a mapping, `sniff` finds the one
  that fits, with `judge`.
- Meaning shared by formats: `asterisk_rows`, `channel_variables` and `freeswitch_links`, `parents`, `addresses`, `causes`.
- Legs: `understood` asks the format, `legs` types what it found, with `stamps`, `date_order`, `clock` and `local_times` for
  times and `direction` for directions.
- All files: `read` is `read_cdr`, by way of `parts` (one file), `pieces`, `evidence` and `pile` (a large one),
  `small_files` (many) and `joined` (all of them); `batches` is `iter_cdr`, with `links`.
- Telling of it: `describe` is `describe_cdr`, by way of `counting`, `clocks`, `silence` and `remarks`; `description` shows
  it; `first_look`, `guessing` and `masking` show a file that nobody knows.
"""

from sippet_reconcile.cdr.batches import iter_cdr
from sippet_reconcile.cdr.describe import CdrDescription, describe_cdr
from sippet_reconcile.cdr.read import cdr_from_frame, read_cdr, sniff_cdr
from sippet_reconcile.cdr.sniff import Candidate

__all__ = [
    "Candidate",
    "CdrDescription",
    "cdr_from_frame",
    "describe_cdr",
    "iter_cdr",
    "read_cdr",
    "sniff_cdr",
]
