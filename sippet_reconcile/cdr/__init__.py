"""CDR exports of carriers and switches, read into one frame of legs.

Input are files as they were delivered; output is one row per record with UTC
instants, seconds, E.164 numbers, a canonical status, and where it stood.
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
