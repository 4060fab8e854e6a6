"""Draw what differs in charts: by size, by day and by hour.

Input is a reconciliation, output are charts as plain data, from which its report and its
pictures are both drawn.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sippet_reconcile.report.distribution import size_chart
from sippet_reconcile.report.when import day_chart, hour_chart

if TYPE_CHECKING:
    import pandas as pd

    from sippet_reconcile.reconciliation.result import Reconciliation
    from sippet_reconcile.report.charts import ColumnChart

__all__ = ["DAYS", "HOURS", "SIZES", "days_of_differing", "hours_of_differing", "sizes_of_differing"]

SIZES = "Differing durations by size: longer in the API to the left, in the CDR to the right"
DAYS = "Differing calls by day"
HOURS = "Differing calls by hour of the day"
"""What each chart is called where it is empty; where it is not, the days and the zone are said behind it."""

_COUNTED = "Differing calls"


def sizes_of_differing(rec: Reconciliation) -> ColumnChart | None:
    """Return how many durations are how far apart; None where none differs."""
    chart = size_chart(rec.discrepancies["delta_s"])
    return replace(chart, title=SIZES) if chart else None


def days_of_differing(rec: Reconciliation) -> ColumnChart | None:
    """Return how many calls differ, by the day on which they started; None where no start is known."""
    return day_chart(_starts(rec), rec.timezone, _COUNTED, period=rec.period)


def hours_of_differing(rec: Reconciliation) -> ColumnChart | None:
    """Return how many calls differ, by the hour of the day; None where no start is known."""
    return hour_chart(_starts(rec), rec.timezone, _COUNTED)


def _starts(rec: Reconciliation) -> pd.Series[pd.Timestamp]:
    """Return when the calls started that differ, each once."""
    return rec.discrepancies.drop_duplicates("call_id")["started_at"]
