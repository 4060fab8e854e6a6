"""The same as `reading`, of Asterisk's export: quotes within quotes, and numbers without."""

from __future__ import annotations

from tests.benchmarks.cases.reading import ASTERISK_GROUP as GROUP

__all__ = ["GROUP"]
