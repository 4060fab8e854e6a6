"""Pictures say what the frames say, in the axes that were handed in, and change nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

import sippet_reconcile as sr
from sippet_reconcile.demo import sample_data
from sippet_reconcile.errors import InputError
from sippet_reconcile.report.charts import Bar, BarChart, ColumnChart
from sippet_reconcile.report.plots import draw

LONDON = "Europe/London"
OCTOBER = sr.Period.month("2026-10", timezone=LONDON)
RULES = sr.Rules(duration="billable")
OF_A_RECONCILIATION = ("causes", "sizes", "days", "hours", "buckets", "start_gaps")
OF_A_PLAN = ("causes", "seconds", "sizes", "days", "hours")
HOSTILE = "$\\frac{1}{2}$ \x1b[2J 漢\n<b>"


@pytest.fixture(scope="module")
def legs() -> pd.DataFrame:
    legs = sr.read_cdr(sample_data() / "freeswitch" / "Master.csv", timezone=LONDON, country="GB")
    file = np.where(legs["linked_id"].fillna("").str[:1].lt("8"), "a.csv", "b.csv")
    return legs.assign(source_file=pd.Series(file, legs.index, dtype="str"))


@pytest.fixture(scope="module")
def calls() -> pd.DataFrame:
    return sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")


@pytest.fixture(scope="module")
def rec(legs: pd.DataFrame, calls: pd.DataFrame) -> sr.Reconciliation:
    return sr.reconcile(legs, calls, period=OCTOBER, rules=RULES, progress=False)


@pytest.fixture(scope="module")
def plan(rec: sr.Reconciliation) -> sr.Plan:
    return sr.build_plan(rec)


@pytest.fixture(scope="module")
def nothing(legs: pd.DataFrame, calls: pd.DataFrame) -> sr.Reconciliation:
    return sr.reconcile(legs.head(0), calls.head(0), rules=RULES, progress=False)


def widths(ax: Axes) -> list[float]:
    return [float(bar.get_width()) for bar in ax.patches]


def heights(ax: Axes) -> list[float]:
    return [float(bar.get_height()) for bar in ax.patches]


def labels(ax: Axes, axis: str = "y") -> list[str]:
    return [label.get_text() for label in getattr(ax, f"get_{axis}ticklabels")()]


def texts(ax: Axes) -> list[str]:
    found: list[Text] = ax.figure.findobj(Text)
    return [text.get_text() for text in found if text.get_text()]


def title(ax: Axes) -> str:
    return ax.get_title().replace("\n", " ")


def by_day(starts: pd.Series[pd.Timestamp]) -> list[float]:
    days = starts.dt.tz_convert(LONDON).dt.strftime("%Y-%m-%d")
    october = pd.date_range("2026-10-01", "2026-10-31").strftime("%Y-%m-%d")
    return days.value_counts().reindex(october, fill_value=0).astype("float64").tolist()


def by_hour(starts: pd.Series[pd.Timestamp]) -> list[float]:
    hours = starts.dt.tz_convert(LONDON).dt.hour.value_counts()
    return hours.reindex(range(24), fill_value=0).astype("float64").tolist()


def by_size(delta_s: pd.Series[float]) -> list[float]:
    seconds = delta_s.dropna().astype("float64")
    steps = [0, 10, 60, 600, 3600, np.inf]
    added = pd.cut(seconds[seconds > 0], steps).value_counts(sort=False)
    taken = pd.cut(-seconds[seconds < 0], steps).value_counts(sort=False)
    return [float(n) for n in [*taken.tolist()[::-1], *added.tolist()]]


def test_the_causes_of_a_reconciliation_are_those_of_its_frame(rec: sr.Reconciliation) -> None:
    ax = rec.plot.causes()
    expected: list[tuple[str, float]] = []
    found = rec.discrepancies
    sizes = found.groupby("field")["call_id"].nunique()
    for name in ("duration_seconds", "ended_at", "status", "started_at"):
        of_field = found.loc[found["field"].eq(name)].groupby("explanation")["call_id"].nunique()
        ordered = sorted(of_field.items(), key=lambda item: (-item[1], str(item[0])))
        shown = ordered if len(ordered) <= 6 else ordered[:5]
        expected += [(str(cause), float(n)) for cause, n in shown]
        if len(ordered) > 6:
            rest = sum(n for _, n in ordered[5:])
            expected.append((f"{len(ordered) - 5} further causes", float(rest)))
        assert any(
            text.startswith(f"{sizes[name]} ") and text.endswith(f"({name})") for text in map(str, texts(ax))
        )
    assert list(zip(labels(ax), widths(ax), strict=True)) == expected
    assert ax.get_xlabel() == "calls"
    seconds = found.query("explanation == 'ring-time-included'")["delta_s"].sum()
    assert f"62 calls, −{abs(seconds):,.0f} s" in texts(ax)


def test_differing_calls_are_counted_once_by_day_and_hour_of_the_zone(rec: sr.Reconciliation) -> None:
    starts = rec.discrepancies.groupby("call_id")["started_at"].first()
    days, hours = rec.plot.days(), rec.plot.hours()
    assert (heights(days), heights(hours)) == (by_day(starts), by_hour(starts))
    assert title(days) == "Differing calls by day, 1 to 31 October 2026 (Europe/London)"
    assert title(hours) == "Differing calls by hour of the day (Europe/London)"
    for ax in (days, hours):
        assert ax.get_xlabel() == "start of the call, time in Europe/London"
        assert ax.get_ylabel() == "calls that differ"
    assert labels(hours, "x") == [f"{hour:02}" for hour in range(24)]
    assert [text.get_text() for text in hours.texts] == [f"{n:.0f}" if n else "" for n in heights(hours)]


def test_sizes_are_counted_on_either_side_of_zero(rec: sr.Reconciliation, plan: sr.Plan) -> None:
    assert heights(rec.plot.sizes()) == by_size(rec.discrepancies["delta_s"])
    ax = plan.plot.sizes()
    assert heights(ax) == by_size(plan.changes["delta_s"])
    assert labels(ax, "x")[0] == "− over 1 h"
    assert ax.get_ylabel() == "durations"


def test_each_call_of_a_day_is_in_one_part_of_its_column(rec: sr.Reconciliation) -> None:
    ax = rec.plot.buckets()
    calls = rec.calls
    sides = [
        calls.loc[calls["bucket"].eq(name), "started_at"] for name in ("matched", "ambiguous", "only_in_api")
    ]
    expected = [by_day(side) for side in (*sides, rec.only_in_cdr["started_at"])]
    assert [[bar.get_height() for bar in part] for part in ax.containers] == expected
    assert ax.get_legend_handles_labels()[1] == ["matched", "ambiguous", "only in the API", "only in the CDR"]
    floors = [[bar.get_y() for bar in part] for part in ax.containers]
    assert floors == np.cumsum([[0.0] * 31, *expected[:-1]], axis=0).tolist()


def test_start_gaps_are_those_of_the_pairs_of_each_file(rec: sr.Reconciliation) -> None:
    ax = rec.plot.start_gaps()
    file_of = rec.legs.drop_duplicates("cdr_id").set_index("cdr_id")["source_file"]
    gaps = rec.pairs.assign(file=rec.pairs["cdr_id"].map(file_of)).dropna(subset=["start_gap_s"])
    counts = gaps["file"].value_counts()
    assert labels(ax) == [f"{name} ({n:,} pairs)" for name, n in counts.items()]
    medians = [float(np.median(gaps.loc[gaps["file"].eq(name), "start_gap_s"])) for name in counts.index]
    assert ax.lines[0].get_xdata() == pytest.approx(medians)
    assert ax.get_xlabel() == "start in the CDR minus start in the API (s)"


def test_the_pictures_of_a_plan_are_those_of_its_changes(plan: sr.Plan) -> None:
    changes, calls = plan.changes, plan.calls
    counts = changes.groupby(["field", "explanation"])["call_id"].nunique()
    words = {"duration_seconds": "duration", "ended_at": "end", "status": "status"}
    expected = {f"{words[name]}: {cause}": float(n) for (name, cause), n in counts.items()}
    causes = plan.plot.causes()
    shown = dict(zip(labels(causes), widths(causes), strict=True))
    assert shown.items() <= expected.items()
    assert sorted(shown.values(), reverse=True) == sorted(expected.values(), reverse=True)[: len(shown)]
    seconds = plan.plot.seconds()
    sums = changes.dropna(subset=["delta_s"]).groupby("explanation")["delta_s"].sum().to_dict()
    shown = dict(zip(labels(seconds), widths(seconds), strict=True))
    assert shown.items() <= sums.items()
    assert min(shown.values()) < 0 < max(shown.values())
    assert heights(plan.plot.days()) == by_day(calls["started_at"])
    assert heights(plan.plot.hours()) == by_hour(calls["started_at"])
    hours = plan.plot.hours()
    assert title(hours) == "Calls to correct by hour of the day (Europe/London)"
    assert (hours.get_xlabel(), hours.get_ylabel()) == (
        "start of the call, time in Europe/London",
        "calls to correct",
    )


def test_a_plan_of_one_call_is_drawn_though_a_report_would_not(plan: sr.Plan) -> None:
    one = plan.calls["call_id"].iloc[0]
    small = plan.keep([one])
    assert sum(heights(small.plot.days())) == sum(heights(small.plot.hours())) == 1
    assert sum(heights(small.plot.sizes())) == small.changes["delta_s"].notna().sum()


def of(thing: sr.Reconciliation | sr.Plan) -> list[Callable[..., Axes]]:
    names = OF_A_PLAN if isinstance(thing, sr.Plan) else OF_A_RECONCILIATION
    return [getattr(thing.plot, name) for name in names]


def test_every_picture_is_named_where_its_kind_shows_itself(rec: sr.Reconciliation, plan: sr.Plan) -> None:
    for thing, names in ((rec, OF_A_RECONCILIATION), (plan, OF_A_PLAN)):
        shown = {name for name in dir(thing.plot) if not name.startswith("_")}
        assert shown == set(names)
        assert all(f"{name}()" in repr(thing.plot) for name in names)


def test_axes_that_are_handed_in_are_drawn_into_and_nothing_else_is_touched(
    rec: sr.Reconciliation, plan: sr.Plan
) -> None:
    for method in (*of(rec), *of(plan)):
        figure = Figure()
        own, other = figure.subplots(1, 2)
        assert method(own) is own
        assert method(ax=own) is own
        assert len(figure.axes) == 2
        assert not other.patches
        assert not other.get_title()
        assert own.get_title()


def test_drawing_changes_no_input_no_setting_and_opens_no_window() -> None:
    code = f"""
import io
import sys
import sippet_reconcile as sr
assert not [name for name in sys.modules if name.startswith("matplotlib")]
from sippet_reconcile.demo import sample_data
legs = sr.read_cdr(sample_data() / "freeswitch" / "Master.csv", timezone="{LONDON}", country="GB", progress=False)
calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
rec = sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"), progress=False)
plan = sr.build_plan(rec)
rec.plot, plan.plot
frames = lambda: [legs.copy(), calls.copy(), rec.discrepancies.copy(), rec.pairs.copy(), rec.calls.copy(), plan.changes, plan.calls]
before = frames()
assert not [name for name in sys.modules if name.startswith("matplotlib")]
import os
os.environ["MPLBACKEND"] = "agg"  # else reading all settings would look for one
import matplotlib
settings = dict(matplotlib.rcParams)
for draw in (rec.plot.causes, rec.plot.buckets, rec.plot.start_gaps, plan.plot.sizes):
    draw().figure.savefig(io.BytesIO(), dpi=40)
assert all(one.equals(other) for one, other in zip(before, frames(), strict=True))
assert dict(matplotlib.rcParams) == settings
assert "matplotlib.pyplot" not in sys.modules
assert plan.fingerprint() == plan.plan_id
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kind", [BarChart, ColumnChart], ids=lambda kind: kind.__name__)
def test_labels_are_drawn_as_they_are_written_and_are_never_formulas(
    kind: Callable[..., BarChart | ColumnChart],
) -> None:
    bars = (Bar(HOSTILE, 3, HOSTILE, tick=HOSTILE, group=HOSTILE), Bar("b", 1, "$"))
    ax = draw(kind(HOSTILE, bars), x_label=HOSTILE, y_label=HOSTILE)
    ax.figure.canvas.draw()  # a formula that cannot be read would raise, a missing letter would warn
    told = "$\\frac{1}{2}$ \\u001b[2J \\u6f22\\n<b>"
    of_bars = labels(ax) if kind is BarChart else labels(ax, "x")
    beside = [text.get_text() for text in ax.texts]
    assert [ax.get_title(), ax.get_xlabel(), ax.get_ylabel(), of_bars[0]] == [told] * 4
    assert beside == [told, told, "$"] if kind is BarChart else [told, "$"]
    assert not [text for text in ax.figure.findobj(Text) if "$" in text.get_text() and text.get_parse_math()]
    with mpl.rc_context({"text.usetex": True}):
        assert not [
            text
            for text in draw(kind(HOSTILE, bars)).findobj(Text)
            if "$" in text.get_text() and text.get_usetex()
        ]


def test_a_picture_of_nothing_says_so(nothing: sr.Reconciliation) -> None:
    empty = sr.build_plan(nothing, accept=["empty-side"])
    said = [method() for method in (*of(nothing), *of(empty))]
    assert [ax.texts[0].get_text() for ax in said] == [
        "nothing differs", "no duration differs", "nothing differs", "nothing differs", "no call has a start",
        "no pair has both starts", "the plan has no change", "the plan changes no duration",
        "the plan changes no duration", "the plan has no change", "the plan has no change",
    ]  # fmt: skip
    for ax in said:
        assert ax.get_title()
        assert not ax.patches
        ax.figure.canvas.draw()


def test_no_picture_has_a_number_in_it(rec: sr.Reconciliation, plan: sr.Plan) -> None:
    calls = rec.calls
    numbers = pd.concat([calls[name].dropna() for name in ("from_number", "to_number", "sip_username")])
    known = {number.lstrip("+") for number in numbers if len(number) > 3}
    for method in (*of(rec), *of(plan)):
        shown = "\n".join(texts(method()))
        assert not [number for number in known if number in shown and not number.startswith("100")]


def test_without_matplotlib_the_error_names_the_extra(
    rec: sr.Reconciliation, plan: sr.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    for method in (*of(rec), *of(plan)):
        with pytest.raises(InputError, match=r'pip install "sippet-reconcile\[plots\]"'):
            method()


@pytest.mark.parametrize("ax", ["left", Figure(), np.array([1])], ids=["text", "figure", "array"])
def test_what_is_no_axes_is_refused(rec: sr.Reconciliation, ax: Any) -> None:
    with pytest.raises(InputError, match="not matplotlib axes"):
        rec.plot.causes(ax)


def test_numbers_that_have_no_room_are_left_away_and_columns_stay() -> None:
    bars = tuple(Bar(f"day {n}", n, f"{n:,}", tick=str(n)) for n in range(1, 93))
    ax = draw(ColumnChart("Calls", bars), Figure().subplots(3, 3)[0, 0])
    assert heights(ax) == [float(n) for n in range(1, 93)]
    assert 1 < len(labels(ax, "x")) < 20
    assert set(texts(ax)) & {"92"} == set()
