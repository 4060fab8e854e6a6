"""A whole month in one unattended step: read, reconcile, plan and report; it never sends anything.

Input is a month and a configuration file, output a folder that a person reviews. What is
unchanged since the last time is kept.
"""

from __future__ import annotations

__all__: list[str] = []
