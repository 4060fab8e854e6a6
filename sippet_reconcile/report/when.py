"""Draw when things happened: by day, where they span one day by hour, where they span years by month.

Input are instants and the zone in which people read them; output are charts. What lies
between the first and the last column is there, with nothing in it too.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.period import load_zone
from sippet_reconcile.report.charts import Bar, ColumnChart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from sippet_reconcile.period import Period

__all__ = ["day_chart", "hour_chart"]

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST_DAYS: Final = 100
_MOST_MONTHS: Final = 120
_MOST_YEARS: Final = 60
_HOURS: Final = 24
_A_YEAR: Final = 12


def day_chart(
    instants: pd.Series[pd.Timestamp], zone: str, title: str, *, period: Period | None = None
) -> ColumnChart | None:
    """Return how many of the instants are in each day of a zone, as columns.

    Instants of one day are drawn by hour, of more than a quarter by month, of more than
    ten years by year. A day in which the clocks change has the hours that it has.

    Parameters
    ----------
    instants
        Any; the missing ones are counted in the title.
    zone
        IANA name of the zone whose days are meant.
    title
        What is counted; the span and the zone are said behind it.
    period
        A span whose days are drawn though nothing falls into them.

    Returns
    -------
    ColumnChart or None
        None where no instant is known.

    Examples
    --------
    >>> at = pd.Series(pd.to_datetime(["2026-10-30T23:30Z", "2026-11-01T09:00Z", None], format="ISO8601"))
    >>> chart = day_chart(at, "Europe/Paris", "Calls")
    >>> chart.title
    'Calls by day, 31 October to 1 November 2026 (Europe/Paris); 1 without a time is not drawn'
    >>> [(bar.label, bar.text) for bar in chart.bars]
    [('Saturday 2026-10-31', '1'), ('Sunday 2026-11-01', '1')]
    """
    known = instants.dropna()
    if known.empty:
        return None
    clock = load_zone(zone)
    days = _wall(known, clock).astype("datetime64[D]")
    first, last = days.min(), days.max()
    if period is not None:
        ends = pd.to_datetime(pd.Series([period.start, period.end - timedelta(microseconds=1)]), utc=True)
        begins, until = _wall(ends, clock).astype("datetime64[D]")
        first, last = min(first, begins), max(last, until)
    begun, ended = first.item(), last.item()
    n_months = (ended.year - begun.year) * _A_YEAR + ended.month - begun.month + 1
    if begun == ended:
        bars, span = _by_hour_of(begun, known, clock), f"by hour, {_weekday(begun)} {_in_words(begun)}"
    elif (ended - begun).days < _MOST_DAYS:
        bars, span = _by_day(days, first, last), f"by day, {_from_to(begun, ended)}"
    elif n_months <= _MOST_MONTHS:
        bars, span = _by_month(days, begun, n_months), f"by month, {_months_from_to(begun, ended)}"
    else:
        bars, span = _by_year(days, begun.year, ended.year), f"by year, {begun.year} to {ended.year}"
    return ColumnChart(f"{title} {span} ({zone}){_left_over(instants)}", bars)


def hour_chart(instants: pd.Series[pd.Timestamp], zone: str, title: str) -> ColumnChart | None:
    """Return how many of the instants are in each hour of the day, all days together, as columns.

    Parameters
    ----------
    instants
        Any; the missing ones are counted in the title.
    zone
        IANA name of the zone whose clocks are meant.
    title
        What is counted; the zone is said behind it.

    Returns
    -------
    ColumnChart or None
        Always 24 columns; None where no instant is known.

    Examples
    --------
    >>> at = pd.Series(pd.to_datetime(["2026-10-25T00:30Z", "2026-10-25T01:30Z"], format="ISO8601"))
    >>> chart = hour_chart(at, "Europe/London", "Calls")
    >>> chart.title, chart.bars[1].label, chart.bars[1].text
    ('Calls by hour of the day (Europe/London)', '01:00 to 02:00', '2')
    """
    known = instants.dropna()
    if known.empty:
        return None
    wall = _wall(known, load_zone(zone))
    hours = (wall - wall.astype("datetime64[D]")) // np.timedelta64(1, "h")
    counts = np.bincount(hours.astype("int64"), minlength=_HOURS)
    bars = tuple(
        _bar(f"{hour:02}:00 to {(hour + 1) % _HOURS:02}:00", n, f"{hour:02}") for hour, n in enumerate(counts)
    )
    return ColumnChart(f"{title} by hour of the day ({zone}){_left_over(instants)}", bars)


def _left_over(instants: pd.Series[pd.Timestamp]) -> str:
    n = int(instants.isna().sum())
    return f"; {n:,} without a time {'is' if n == 1 else 'are'} not drawn" if n else ""


def _wall(instants: pd.Series[pd.Timestamp], clock: ZoneInfo) -> NDArray[np.datetime64]:
    """Return what the clocks of a zone show, without the zone."""
    local: NDArray[np.datetime64] = instants.dt.tz_convert(clock).dt.tz_localize(None).to_numpy()
    return local


def _bar(label: str, n: float, tick: str) -> Bar:
    return Bar(label, float(n), f"{int(n):,}", tick=tick)


def _counted(places: NDArray[Any], size: int) -> list[int]:
    counts: list[int] = np.bincount(places.astype("int64"), minlength=size).tolist()
    return counts


def _by_day(days: NDArray[np.datetime64], first: np.datetime64, last: np.datetime64) -> tuple[Bar, ...]:
    every: Sequence[date] = np.arange(first, last + np.timedelta64(1, "D")).tolist()
    counts = _counted((days - first).astype("int64"), len(every))
    is_one_month = (every[0].year, every[0].month) == (every[-1].year, every[-1].month)
    return tuple(
        _bar(
            f"{_weekday(day)} {day.isoformat()}",
            n,
            str(day.day) if is_one_month or (at and day.day != 1) else f"{day.day} {_short(day)}",
        )
        for at, (day, n) in enumerate(zip(every, counts, strict=True))
    )


def _by_month(days: NDArray[np.datetime64], first: date, n_months: int) -> tuple[Bar, ...]:
    begin = np.datetime64(first, "M")
    every: Sequence[date] = (begin + np.arange(n_months).astype("timedelta64[M]")).tolist()
    counts = _counted((days.astype("datetime64[M]") - begin).astype("int64"), n_months)
    return tuple(
        _bar(
            f"{_MONTHS[month.month - 1]} {month.year}",
            n,
            _short(month) if at and month.month != 1 else f"{_short(month)} {month.year}",
        )
        for at, (month, n) in enumerate(zip(every, counts, strict=True))
    )


def _by_year(days: NDArray[np.datetime64], first: int, last: int) -> tuple[Bar, ...]:
    step = -(-(last - first + 1) // _MOST_YEARS)
    starts = range(first, last + 1, step)
    years = (days.astype("datetime64[Y]") - np.datetime64(f"{first:04}", "Y")).astype("int64")
    counts = _counted(years // step, len(starts))
    return tuple(
        _bar(f"{start}" if step == 1 else f"{start} to {start + step - 1}", n, str(start))
        for start, n in zip(starts, counts, strict=True)
    )


def _by_hour_of(day: date, instants: pd.Series[pd.Timestamp], clock: ZoneInfo) -> tuple[Bar, ...]:
    """Count by hour of one day; an hour that the clocks show twice is two columns, one that they skip is none."""
    noon = pd.Timestamp(day, tz="UTC") + pd.Timedelta(12, "h")
    around = pd.Series(
        pd.date_range(noon - pd.Timedelta(30, "h"), noon + pd.Timedelta(30, "h"), freq="15min")
    )
    around = around.loc[_wall(around, clock).astype("datetime64[D]") == np.datetime64(day)]
    walls, begins = _hours(around, clock)
    every, first = np.unique(begins, return_index=True)
    counts = _counted(np.searchsorted(every, _hours(instants, clock)[1]), len(every))
    shown = [f"{wall:%H:%M}" for wall in walls[first].astype("datetime64[s]").tolist()]
    offsets = ((walls - begins)[first] // np.timedelta64(1, "m")).astype("int64").tolist()
    return tuple(
        _bar(f"{text} ({_offset(minutes)})" if shown.count(text) > 1 else text, n, text[:2])
        for text, minutes, n in zip(shown, offsets, counts, strict=True)
    )


def _hours(
    instants: pd.Series[pd.Timestamp], clock: ZoneInfo
) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
    """Return the beginning of each instant's hour: as the clocks show it, and in UTC, which tells apart what repeats."""
    wall = _wall(instants, clock)
    utc = instants.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    hours = wall.astype("datetime64[h]").astype("datetime64[us]")
    return hours, (hours - (wall - utc)).astype("datetime64[us]")


def _offset(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'−' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def _short(day: date) -> str:
    return _MONTHS[day.month - 1][:3]


def _weekday(day: date) -> str:
    return _WEEKDAYS[day.weekday()]


def _in_words(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _from_to(first: date, last: date) -> str:
    """Return two days as a span, without saying anything twice."""
    parts = [f"{first.day}", _MONTHS[first.month - 1], f"{first.year}"]
    same = 3 if first.year != last.year else 2 if first.month != last.month else 1
    return f"{' '.join(parts[:same])} to {_in_words(last)}"


def _months_from_to(first: date, last: date) -> str:
    year = f" {first.year}" if first.year != last.year else ""
    return f"{_MONTHS[first.month - 1]}{year} to {_MONTHS[last.month - 1]} {last.year}"
