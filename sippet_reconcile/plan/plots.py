"""Draw what a plan would change with matplotlib, one picture per question.

Input is a plan, output are matplotlib's axes, drawn from the very charts of its dry run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sippet_reconcile.plan.preview import facts_of
from sippet_reconcile.report.charts import ColumnChart
from sippet_reconcile.report.distribution import size_chart
from sippet_reconcile.report.dry_run.why import calls_chart, seconds_chart, when_charts
from sippet_reconcile.report.plots import draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sippet_reconcile.plan.model import Plan
    from sippet_reconcile.report import DryRunFacts

__all__ = ["PlanPlots"]

_ANY_RATE: Final = "1/s"  # no picture shows a pace
_NO_CALLS: Final = "the plan has no change"
_NO_SECONDS: Final = "the plan changes no duration"
_NO_STARTS: Final = "no call of the plan has a start"


@dataclass(frozen=True, eq=False, repr=False)
class PlanPlots:
    """The pictures of a plan; each method draws one and returns its axes.

    Every method takes ``ax``, matplotlib axes to draw into; without it new ones are made,
    which a notebook shows by itself and ``ax.figure.savefig("chart.png")`` writes anywhere.
    They need the extra ``plots``. No picture has a phone number in it.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    >>> fix = calls.query("status == 'completed' and duration_seconds > 60").head(3)
    >>> fix = fix.rename(columns={"id": "call_id"})[["call_id"]].assign(duration_seconds="60")
    >>> plan = sr.plan_corrections(calls, fix, reason="ticket 4711")
    >>> [int(bar.get_width()) for bar in plan.plot.causes().patches]
    [3]
    >>> ax = plan.plot.seconds()
    >>> ax.get_title(), ax.get_xlabel()
    ('Seconds added or taken away, by cause', 'change of duration (s)')
    >>> plan.plot.days().get_title()
    'Calls to correct by hour, Wednesday 30 September 2026 (UTC)'
    >>> [int(sum(bar.get_height() for bar in ax.patches)) for ax in (plan.plot.sizes(), plan.plot.hours())]
    [3, 3]
    """

    _plan: Plan

    def __repr__(self) -> str:
        return "<PlanPlots: causes(), seconds(), sizes(), days(), hours()>"

    def causes(self, ax: Axes | None = None) -> Axes:
        """Draw how many calls would be corrected, by field and cause."""
        return draw(calls_chart(self._facts), ax, x_label="calls", empty=_NO_CALLS)

    def seconds(self, ax: Axes | None = None) -> Axes:
        """Draw how many seconds would be added or taken away, by cause."""
        return draw(seconds_chart(self._facts), ax, x_label="change of duration (s)", empty=_NO_SECONDS)

    def sizes(self, ax: Axes | None = None) -> Axes:
        """Draw how large the changes of duration are: what is taken away to the left, what is added to the right."""
        chart = size_chart(self._plan.changes["delta_s"]) or ColumnChart("Changes of duration by size", ())
        return draw(chart, ax, x_label="change of duration", y_label="durations", empty=_NO_SECONDS)

    def days(self, ax: Axes | None = None) -> Axes:
        """Draw how many calls would be corrected, by the day on which they started."""
        return self._draw_when(0, ax, "by day")

    def hours(self, ax: Axes | None = None) -> Axes:
        """Draw how many calls would be corrected, by the hour of the day in which they started."""
        return self._draw_when(1, ax, "by hour of the day")

    @property
    def _facts(self) -> DryRunFacts:
        return facts_of(self._plan, rate=_ANY_RATE)

    def _draw_when(self, place: int, ax: Axes | None, how: str) -> Axes:
        facts = self._facts
        what = "calls to put back" if self._plan.kind == "revert" else "calls to correct"
        nothing = ColumnChart(f"{what.capitalize()} {how} ({facts.zone})", ())
        return draw(
            when_charts(facts)[place] or nothing,
            ax,
            x_label=f"start of the call, time in {facts.zone}",
            y_label=what,
            empty=_NO_STARTS if len(self._plan) else _NO_CALLS,
        )
