"""Look for any call at all: what tells "no calls" from "this token sees none".

Input is the present; output is a few windows of ``started_at`` that look back further
and further, disjoint, so that a busy account answers a small one and only an empty one
is asked for everything.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from sippet_reconcile.api.windows import Window

__all__ = ["probe_windows"]

_BACK: Final = tuple(timedelta(hours=hours) for hours in (1, 6, 24, 24 * 7, 24 * 31, 24 * 92, 24 * 366))


def probe_windows(now: datetime) -> list[Window]:
    """Return the windows to look into, one after the other, until one holds a call.

    Examples
    --------
    >>> from datetime import UTC
    >>> [str(window) for window in probe_windows(datetime(2026, 10, 1, tzinfo=UTC))][:2]
    ['2026-09-30 23:00:00 to 2026-10-02 00:00:00 UTC', '2026-09-30 18:00:00 to 2026-09-30 23:00:00 UTC']
    """
    now = now.replace(microsecond=0)
    edges = [now + timedelta(days=1), *(now - back for back in _BACK)]
    recent = [Window(start, end) for end, start in pairwise(edges)]
    return [*recent, Window(None, None), Window(None, edges[-1]), Window(edges[0], None)]
