"""List the sessions of a run: when each began and ended, who ran it, and why it ended.

Input are the events of a run, output is the frame of `Run.sessions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from sippet_reconcile.audit import Event
from sippet_reconcile.audit.notes import json_object
from sippet_reconcile.schema import Column, FrameSchema, Kind, arrow_to_frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from sippet_reconcile.run.events import Events

__all__ = ["RUN_SESSIONS", "sessions_frame"]

RUN_SESSIONS: Final = FrameSchema(
    "run sessions",
    "one row per start of the run, in their order",
    (
        Column("started_at", Kind.INSTANT, "when it began"),
        Column("ended_at", Kind.INSTANT, "when it ended; missing where it still runs, or died"),
        Column("started_by", Kind.TEXT, "who ran it: user and machine"),
        Column("rate", Kind.TEXT, "the rate that was asked for"),
        Column("limit", Kind.INTEGER, "calls at most; missing where there was no limit"),
        Column("ended", Kind.TEXT, "complete, limit, interrupted, or the kind of reason it stopped for"),
        Column("note", Kind.TEXT, "what was said about its end"),
    ),
)


def sessions_frame(events: Events) -> pd.DataFrame:
    """Return the sessions of a run; see `RUN_SESSIONS`."""
    rows: list[dict[str, Any]] = []
    for _, record in sorted(events.of_run.items()):
        if record["event"] == Event.RUN_STARTED:
            rows.append(_started(record))
        elif record["event"] == Event.RUN_ENDED and rows:
            rows[-1] |= {"ended_at": record["at"], "ended": record["reason"], "note": record["note"]}
    return arrow_to_frame(pa.Table.from_pylist(rows, RUN_SESSIONS.arrow), RUN_SESSIONS)


def _started(record: Mapping[str, Any]) -> dict[str, Any]:
    asked = json_object(record["note"], f"the note of a start of run {record['run_id']}")
    rate, limit = asked.get("rate"), asked.get("limit")
    return {
        **dict.fromkeys(RUN_SESSIONS.names),
        "started_at": record["at"],
        "started_by": record["by"],
        "rate": None if rate is None else str(rate),
        "limit": limit if isinstance(limit, int) else None,
    }
