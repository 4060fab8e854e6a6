"""CDR exports of carriers and switches, read into one frame of legs.

Input are files as they were delivered; output is one row per record with UTC
instants, seconds, E.164 numbers, a canonical status, and where it stood.

On the way from one to the other, each folder answers one question:

- `files`: where are the bytes? `sources` finds files, `packed` unpacks, `foreign` refuses what is no export, `cutting` cuts
  streams where lines end, `decode` makes UTF-8 of them.
- `records`: what are the records? Lines are read by `reader`, and by `careful`, `lines` and `tokens` where they are
  broken; JSON by `json_text`, `json_values` and `objects`, members of members by `nested`; XML by `xml_text`; SQL by `sql_statements`,
  `sql_tuples` and `sql_text`; frames and parquet by `frames`. Each gives a `RawTable` (`tables`); `kinds` chooses.
- `formats`: what do its columns mean? One module for each format; `spec` says what a format is, `columns` makes one of a
  mapping, `sniff` finds the one that fits. What several share is in `families`.
- `times`: which instants are meant? `stamps` reads dates, `date_order` tells day from month, `clock` and `local_times`
  know zones.
- `whole`: what do all of them say together? `parts` reads one file, `pieces` and `pile` a large one, `small_files` many,
  `joined` and `links` put legs together.
- `describing`: what was understood? `describe` is `describe_cdr`; `first_look` and `guessing` show a file nobody knows.

`read` is `read_cdr` and `batches` is `iter_cdr`. `understood` asks the format, `legs` types what it found, `direction`
says which way a call went, and `evidence` gathers what only a whole file tells.
"""

from sippet_reconcile.cdr.batches import iter_cdr
from sippet_reconcile.cdr.describing.describe import CdrDescription, describe_cdr
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
