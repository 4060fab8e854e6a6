"""Prove that a run holds: read again what was sent, and compare field by field.

Input are a `Run`, which its log brings back anywhere, and a client of its API; output is
a `Verification`: one row per call and field with what is expected, what is observed, and
the verdict. The plan is not needed.
"""

from sippet_reconcile.verify.comparison import VERIFICATION
from sippet_reconcile.verify.model import Verification
from sippet_reconcile.verify.reading import verify_run

__all__ = ["VERIFICATION", "Verification", "verify_run"]
