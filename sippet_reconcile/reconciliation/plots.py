"""Draw what a reconciliation found with matplotlib, one picture per question.

Input is a reconciliation, output are matplotlib's axes. What a report draws too is drawn
here from the same chart, so that a picture in a paper and the report cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.groups import day_or_hour_codes
from sippet_reconcile.keys import match_positions
from sippet_reconcile.reconciliation.charts import (
    DAYS,
    HOURS,
    SIZES,
    days_of_differing,
    hours_of_differing,
    sizes_of_differing,
)
from sippet_reconcile.reconciliation.sides import instants_of
from sippet_reconcile.report.charts import ColumnChart
from sippet_reconcile.report.plots import (
    AS_WIDE_AS_A_REPORT,
    BLUE,
    SMALL_PT,
    axes_for,
    count_whole,
    draw,
    say_nothing,
    set_label,
    set_ticks,
    set_title,
    width_pt,
)
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.result import Reconciliation

__all__ = ["ReconciliationPlots"]

_NOTHING_DIFFERS: Final = "nothing differs"
_SHOWN_FILES: Final = 20
"""Files whose starts are drawn, those with the most pairs; the title says how many there are."""

_BUCKETS: Final = {
    "matched": BLUE,
    "ambiguous": "#9a9a9a",
    "only in the API": "#c46a35",
    "only in the CDR": "#d9a441",
}
_OVER_LEGEND: Final = 26  # points between axes and title, with the legend between them
_TICK_PT: Final = 26  # from one label of a day to the next
_SPAN: Final = (5, 25, 50, 75, 95)
"""Percentiles of a box: its whiskers, its ends and the line in it."""


@dataclass(frozen=True, eq=False, repr=False)
class ReconciliationPlots:
    """The pictures of a reconciliation; each method draws one and returns its axes.

    Every method takes ``ax``, matplotlib axes to draw into; without it new ones are made,
    which a notebook shows by itself and ``ax.figure.savefig("chart.png")`` writes anywhere.
    They need the extra ``plots``. No picture has a phone number in it.

    Examples
    --------
    >>> from sippet_reconcile.demo import sample_reconciliation
    >>> rec = sample_reconciliation()
    >>> rec.plot.causes().get_title()
    'Differing calls by field and cause'
    >>> int(sum(column.get_height() for column in rec.plot.hours().patches)) == rec.summary()["calls_with_discrepancies"]
    True
    >>> rec.plot.days().get_title(), rec.plot.sizes().get_ylabel()
    ('Differing calls by day, 1 to 31 October 2026 (Europe/London)', 'durations that differ')
    >>> rec.plot.buckets().get_title(), rec.plot.start_gaps().get_title()
    ('Calls by day and what became of them (Europe/London)', 'Starts of the CDR against those of the API, by file')
    """

    _rec: Reconciliation

    def __repr__(self) -> str:
        return "<ReconciliationPlots: causes(), sizes(), days(), hours(), buckets(), start_gaps()>"

    def causes(self, ax: Axes | None = None) -> Axes:
        """Draw how many calls differ, by field and cause: the chart of `Reconciliation.causes`."""
        return draw(self._rec.causes.chart, ax, x_label="calls", empty=_NOTHING_DIFFERS)

    def sizes(self, ax: Axes | None = None) -> Axes:
        """Draw how far durations are apart: too much in the API to the left, too little to the right."""
        return draw(
            sizes_of_differing(self._rec) or ColumnChart(SIZES, ()),
            ax,
            x_label="duration in the CDR minus duration in the API",
            y_label="durations that differ",
            empty="no duration differs",
        )

    def days(self, ax: Axes | None = None) -> Axes:
        """Draw how many calls differ, by the day on which they started."""
        return self._draw_calls(days_of_differing(self._rec), ax, DAYS)

    def hours(self, ax: Axes | None = None) -> Axes:
        """Draw how many calls differ, by the hour of the day in which they started."""
        return self._draw_calls(hours_of_differing(self._rec), ax, HOURS)

    def buckets(self, ax: Axes | None = None) -> Axes:
        """Draw what became of each day's calls: a torn export or a lost day stands out.

        A column is all calls of a day: those of the API that were matched, are ambiguous, or
        have no CDR, and on top of them the calls that only the CDR has.
        """
        rec = self._rec
        ax = axes_for(ax)
        is_wide = width_pt(ax) >= AS_WIDE_AS_A_REPORT
        pad = _OVER_LEGEND * (1 if is_wide else 1.6)
        set_title(ax, f"Calls by day and what became of them ({rec.timezone})", pad=pad)
        set_label(ax.set_xlabel, f"day in {rec.timezone}")
        set_label(ax.set_ylabel, "calls")
        days, counts = self._by_day()
        if not len(days):
            say_nothing(ax, "no call has a start")
            return ax
        below = np.zeros(len(days))
        for (name, colour), height in zip(_BUCKETS.items(), counts, strict=True):
            ax.bar(range(len(days)), height, bottom=below, width=0.8, color=colour, label=name)
            below += height
        legend = ax.legend(
            fontsize=SMALL_PT,
            frameon=False,
            ncols=len(_BUCKETS) if is_wide else len(_BUCKETS) // 2,
            loc="lower left",
            bbox_to_anchor=(0, 1),
        )
        legend.set_in_layout(False)  # else it would press the axes together where they are narrow
        ends = f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}"
        set_label(ax.set_xlabel, f"day, {ends} ({rec.timezone})")
        every = -(-len(days) // max(int(width_pt(ax) / _TICK_PT), 1))
        ticks = [
            f"{day.day}" if at and day.day != 1 else f"{day.day} {day:%b}" for at, day in enumerate(days)
        ]
        set_ticks(ax.set_xticks, range(0, len(days), every), ticks[::every])
        ax.tick_params(axis="x", labelsize=SMALL_PT)
        ax.spines[["top", "right"]].set_visible(False)
        count_whole(ax.yaxis, counts.ravel().tolist())
        return ax

    def start_gaps(self, ax: Axes | None = None) -> Axes:
        """Draw how far starts are apart in the pairs of each file: a clock that is off, or a wrong zone, stands out.

        A line from the 5th to the 95th percentile, a box around the middle half, a dot at the median.
        """
        gaps = self._gaps_by_file()
        shown = gaps.head(_SHOWN_FILES)
        ax = axes_for(ax, height=1.4 + 0.35 * max(len(shown), 2))
        more = f", {len(shown)} of {len(gaps):,} files" if len(gaps) > len(shown) else ""
        set_title(ax, f"Starts of the CDR against those of the API, by file{more}")
        set_label(ax.set_xlabel, "start in the CDR minus start in the API (s)")
        if shown.empty:
            say_nothing(ax, "no pair has both starts")
            return ax
        places = range(len(shown))
        low, begin, middle, end, high = (shown[percent].to_numpy("float64") for percent in _SPAN)
        ax.hlines(places, low, high, color=BLUE, linewidth=1)
        ax.barh(places, end - begin, left=begin, height=0.5, color=BLUE, alpha=0.5)
        ax.plot(middle, places, "o", color=BLUE)
        ax.axvline(0, color=ax.spines["left"].get_edgecolor(), linewidth=0.8, linestyle=":")
        labels = [
            f"{name} ({plural(n, 'pair')})" for name, n in zip(shown.index, shown["n"].tolist(), strict=True)
        ]
        set_ticks(ax.set_yticks, places, labels)
        ax.set_ylim(len(shown) - 0.4, -0.6)
        return ax

    def _by_day(self) -> tuple[pd.DatetimeIndex, NDArray[np.int64]]:
        """Return every day from the first to the last, and one row of counts per bucket."""
        rec = self._rec
        calls = rec.calls
        sides = [
            calls.loc[calls["bucket"].eq(bucket).fillna(value=False), "started_at"]
            for bucket in ("matched", "ambiguous", "only_in_api")
        ]
        sides.append(rec.only_in_cdr["started_at"])
        instants = np.concatenate([instants_of(side) for side in sides])
        bucket = np.repeat(np.arange(len(sides)), [len(side) for side in sides])
        codes, words = day_or_hour_codes(instants, "day", rec.timezone)
        if not words:
            return pd.DatetimeIndex([]), np.zeros((len(sides), 0), np.int64)
        known = pd.DatetimeIndex(words)
        days = pd.date_range(known[0], known[-1])
        place = days.get_indexer(known)[codes[codes >= 0]]
        flat = np.bincount(bucket[codes >= 0] * len(days) + place, minlength=len(sides) * len(days))
        return days, flat.reshape(len(sides), len(days))

    def _gaps_by_file(self) -> pd.DataFrame:
        """Return percentiles of the start gaps, one row per file, that with the most pairs first."""
        pairs, cdr_calls = self._rec.pairs, self._rec.cdr_calls
        at = match_positions(text_array(pairs["cdr_id"]), text_array(cdr_calls["cdr_id"]))
        known = pairs["start_gap_s"].notna() & (at >= 0)
        gaps = pairs.loc[known, "start_gap_s"].astype("float64")
        files = cdr_calls["source_file"].array.take(at[known.to_numpy("bool")])
        by_file = gaps.groupby(pd.Series(files, index=gaps.index).fillna("no file"))
        table = pd.DataFrame({percent: by_file.quantile(percent / 100) for percent in _SPAN})
        return table.assign(n=by_file.size()).sort_values("n", ascending=False, kind="stable")

    def _draw_calls(self, chart: ColumnChart | None, ax: Axes | None, title: str) -> Axes:
        zone = self._rec.timezone
        return draw(
            chart or ColumnChart(f"{title} ({zone})", ()),
            ax,
            x_label=f"start of the call, time in {zone}",
            y_label="calls that differ",
            empty="no call that differs has a start" if len(self._rec.discrepancies) else _NOTHING_DIFFERS,
        )
