"""Find wrong Call records by comparing them with CDRs, and correct them safely."""

from sippet_reconcile._version import __version__

__all__ = ["__version__"]
