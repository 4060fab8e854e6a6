"""A plan that lengthens calls, the one that shortens them again, and an API that holds those calls.

Which of both fits what the API holds now is asked of the API, so that applying can be timed
again and again, whoever applied last.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

    from sippet_reconcile.plan import Plan

__all__ = ["MEDIA_TYPE", "fitting_plan", "make_calls", "n_corrected", "save_plans", "write_calls"]

MEDIA_TYPE: Final = "application/vnd.api+json"
SHORT_S, LONG_S = 30, 60


def make_calls(size: int, seconds: int = SHORT_S, url: str = "http://127.0.0.1") -> pd.DataFrame:
    """Return calls of a minute each that say they lasted so many seconds."""
    import pandas as pd

    from sippet_reconcile.schema import CALLS, conform

    start = pd.Series(pd.Timestamp("2026-10-01T08:00:00Z") + pd.to_timedelta(range(size), unit="s"))
    numbers = range(size)
    texts = {
        "id": [f"00000000-0000-4000-8000-{n:012x}" for n in numbers],
        "call_uuid": [f"switch-{n}" for n in numbers],
        "direction": ["outbound"] * size,
        "from_number": ["+442079460001"] * size,
        "to_number": [f"+44207946{n % 1000:04d}" for n in numbers],
        "sip_username": ["1001"] * size,
        "status": ["completed"] * size,
        "call_source": ["sip"] * size,
        "conversation_id": [None] * size,
        "api_url": [url] * size,
    }
    frame = pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in texts.items()}).assign(
        started_at=start.dt.as_unit("us"),
        ended_at=(start + pd.Timedelta(seconds=60)).dt.as_unit("us"),
        duration_seconds=pd.Series([seconds] * size, dtype="Int64"),
        fetched_at=pd.Series([pd.Timestamp("2026-11-01T00:00:00Z")] * size).dt.as_unit("us"),
    )
    return conform(frame[CALLS.names], CALLS)


def write_calls(folder: Path, size: int) -> Path:
    """Write the calls that the API begins with."""
    import pyarrow as pa
    from pyarrow import parquet

    path = folder / "calls.parquet"
    parquet.write_table(pa.Table.from_pandas(make_calls(size), preserve_index=False), path)
    return path


def save_plans(folder: Path, url: str, size: int) -> None:
    """Write the plan that lengthens all calls, and the one that shortens them."""
    import pandas as pd

    from sippet_reconcile.plan import plan_corrections

    for before, after in ((SHORT_S, LONG_S), (LONG_S, SHORT_S)):
        calls = make_calls(size, before, url)
        wanted = pd.DataFrame({"call_id": calls["id"], "duration_seconds": str(after)}, dtype="str")
        plan = plan_corrections(calls, wanted, reason="benchmark", max_share=None).approve(by="ana")
        plan.save(folder / f"from-{before}.parquet")


def fitting_plan(folder: Path, place: dict[str, Any]) -> Plan:
    """Return the plan that fits what the API holds now."""
    from sippet_reconcile.api import Client
    from sippet_reconcile.plan import Plan

    with Client(place["url"], token=place["token"]) as client:
        held = client.get_calls([make_calls(1)["id"].iloc[0]])["duration_seconds"].iloc[0]
    return Plan.load(folder / f"from-{held}.parquet")


def n_corrected(plan: Plan, place: dict[str, Any]) -> int:
    """Count the calls of a plan that the API holds as the plan wanted them."""
    from sippet_reconcile.api import Client

    with Client(place["url"], token=place["token"]) as client:
        held = client.get_calls(plan.changes["call_id"]).set_index("id")["duration_seconds"]
    wanted = plan.changes.set_index("call_id")["after"].astype("Int64")
    return int((held.reindex(wanted.index) == wanted).sum())
