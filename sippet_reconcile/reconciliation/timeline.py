"""Lay one call out in time: what the API says, what the CDR says, leg by leg, and where they part.

Input are the rows of one call, output lanes to be drawn. Instants of the CDR are drawn on
the API's clock, as they were compared; where an instant is missing, nothing is made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural, show_value
from sippet_reconcile.reconciliation.lanes import Lane, Look, Picture, Stretch
from sippet_reconcile.reconciliation.ticks import SECOND
from sippet_reconcile.report.durations import in_words
from sippet_reconcile.schema import Bucket

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["MOST_LANES", "call_picture"]

MOST_LANES: Final = 10
"""Legs, or rivals, that are drawn; the tables have all of them."""

_EXACT_S: Final = 120
_SOURCE: Final = 24


def call_picture(
    call: pd.Series[Any] | None,
    cdr: pd.Series[Any] | None,
    legs: pd.DataFrame,
    found: pd.DataFrame,
    *,
    rules: Rules,
    zone: str,
    rivals: tuple[pd.DataFrame, pd.DataFrame] | None = None,
) -> Picture:
    """Return the lanes of one call.

    Parameters
    ----------
    call, cdr
        A row of the API's calls and of the CDR calls; None where that side has none.
    legs
        The legs of the CDR call, with ``bucket``, in the order in which they are drawn.
    found
        The discrepancies of the call.
    rules
        The clock offset and the basis of durations are read.
    zone
        Of the second scale.
    rivals
        CDR calls and calls that also fit, the call itself maybe among them; they take the place of the legs.
    """
    offset_us = round(float(rules.clock_offset_s) * SECOND)
    lanes = [] if call is None else _call_lanes(call, cdr, found, rules, offset_us)
    if cdr is not None:
        lanes.append(_cdr_lane("CDR call", cdr, offset_us))
    further: list[Lane] = []
    if rivals is not None:
        of_cdr, of_api = (
            frame if row is None else frame.loc[frame[key].ne(row[key])]
            for frame, row, key in ((rivals[0], cdr, "cdr_id"), (rivals[1], call, "id"))
        )
        further += [
            _cdr_lane(f"CDR {row['cdr_id']}", row, offset_us) for _, row in of_cdr.head(MOST_LANES).iterrows()
        ]
        further += [_span_lane(f"API {row['id']}", row) for _, row in of_api.head(MOST_LANES).iterrows()]
        n_further, word = len(of_cdr) + len(of_api), "rival"
    else:
        further += [_leg_lane(row, offset_us) for _, row in legs.head(MOST_LANES).iterrows()]
        n_further, word = len(legs), "leg"
    drawn = further[:MOST_LANES]
    more = n_further - len(drawn)
    told = (
        [f"{plural(more, f'further {word}')} {'is' if more == 1 else 'are'} not drawn."] if more > 0 else []
    )
    if offset_us and (cdr is not None or rivals is not None):
        way = "earlier" if offset_us > 0 else "later"
        seconds = show_value(abs(float(rules.clock_offset_s)))
        told.append(f"Times of the CDR are drawn {seconds} s {way} than written, by rules.clock_offset_s.")
    name = next((str(row[key]) for row, key in ((call, "id"), (cdr, "cdr_id")) if row is not None), "")
    return Picture(f"Timeline of {name}", (*lanes, *drawn), zone, " ".join(told))


def instant_us(value: Any, offset_us: int = 0) -> int | None:
    """Return an instant in microseconds since 1970; None where there is none.

    Examples
    --------
    >>> instant_us(pd.Timestamp("1970-01-01T00:00:02Z"), 500_000), instant_us(pd.NaT)
    (1500000, None)
    """
    if not isinstance(value, pd.Timestamp):
        return None
    return int(value.to_datetime64().astype("datetime64[us]").astype(np.int64)) - offset_us


def _seconds(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _said(seconds: float) -> str:
    return f"{show_value(round(seconds, 3))} s" if seconds < _EXACT_S else in_words(seconds, is_rough=True)


def _between(start: int | None, end: int | None, look: Look) -> list[Stretch]:
    """Return what lies between two instants: an end ahead of its start runs backwards, a missing one leaves it open."""
    if start is None:
        return [] if end is None else [Stretch(end, end, look)]
    if end is None:
        return [Stretch(start, start, look, is_open=True)]
    if end < start:
        return [Stretch(end, start, Look.BACKWARDS)]
    return [Stretch(start, end, look)]


def _known(start: int | None, end: int | None) -> list[str]:
    """Say which instants are missing, or that they run backwards."""
    if start is None or end is None:
        missing = [name for name, at in (("start", start), ("end", end)) if at is None]
        return [f"no {' and no '.join(missing)}"]
    return [f"ends {_said((start - end) / SECOND)} before it starts"] if end < start else []


def _span_lane(label: str, call: pd.Series[Any], extra: tuple[Stretch, ...] = ()) -> Lane:
    """Return a call of the API from start to end: it does not say what of it is ringing."""
    start, end = instant_us(call["started_at"]), instant_us(call["ended_at"])
    told = _known(start, end)
    if not told and start is not None and end is not None:
        told = [f"{_said((end - start) / SECOND)} from start to end"]
    whole = _between(start, end, Look.WHOLE)
    # What runs backwards is the worse news, and is drawn over what is missing.
    is_backwards = any(stretch.look is Look.BACKWARDS for stretch in whole)
    return Lane(label, _with_status(told, call), (*extra, *whole) if is_backwards else (*whole, *extra))


def _with_status(told: list[str], row: pd.Series[Any]) -> str:
    status = row["status"]
    return ", ".join([*told, *([str(status)] if isinstance(status, str) else [])])


def _call_lanes(
    call: pd.Series[Any], cdr: pd.Series[Any] | None, found: pd.DataFrame, rules: Rules, offset_us: int
) -> list[Lane]:
    """Return the lanes of the API's call: start to end, and its seconds, each with what differs."""
    start, end = instant_us(call["started_at"]), instant_us(call["ended_at"])
    cdr_start, cdr_end = (
        (None, None)
        if cdr is None
        else tuple(instant_us(cdr[n], offset_us) for n in ("started_at", "ended_at"))
    )
    extra: list[Stretch] = []
    differing = set(found["field"])
    if "ended_at" in differing:
        since = end if end is not None else start
        extra += _apart(since, cdr_end, is_more=end is not None)
    if "started_at" in differing:
        extra += _apart(cdr_start, start, is_more=True)
    lanes = [_span_lane("API call", call, tuple(extra))]
    seconds = _seconds(call["duration_seconds"])
    rows = found.loc[found["field"].eq("duration_seconds")]
    wanted = _seconds(rows.iloc[0]["cdr_s"]) if len(rows) else None
    anchor = _counted_from(cdr, rules, offset_us, start if start is not None else cdr_start)
    if seconds is None and wanted is None:
        return lanes
    text = "no duration" if seconds is None else f"duration {_said(seconds)}"
    stretches: list[Stretch] = []
    if anchor is not None:
        until = anchor + round((seconds or 0.0) * SECOND)
        stretches = [Stretch(anchor, until, Look.SECONDS)] if seconds is not None else []
        if wanted is not None:
            stretches += _apart(until, anchor + round(wanted * SECOND), is_more=True)
    if wanted is not None:
        gap = (seconds or 0.0) - wanted
        text += f", {_said(abs(gap))} {'too much' if gap > 0 else 'too little'}"
    return [*lanes, Lane("  its duration", text, tuple(stretches))]


def _apart(api: int | None, cdr: int | None, *, is_more: bool) -> list[Stretch]:
    """Return what lies between two instants that should be one: too much where the API's is the later one."""
    if api is None or cdr is None or api == cdr:
        return []
    look = Look.MORE if api > cdr and is_more else Look.LESS
    return [Stretch(min(api, cdr), max(api, cdr), look)]


def _counted_from(cdr: pd.Series[Any] | None, rules: Rules, offset_us: int, start: int | None) -> int | None:
    """Return where the seconds of a duration begin: billable ones at the answer, where there was one."""
    answered = None if cdr is None else instant_us(cdr["answered_at"], offset_us)
    return answered if rules.duration == "billable" and answered is not None else start


def _cdr_lane(label: str, row: pd.Series[Any], offset_us: int) -> Lane:
    """Return a CDR call or a leg: ringing up to the answer, then talk."""
    start, answer, end = (
        instant_us(row[name], offset_us) for name in ("started_at", "answered_at", "ended_at")
    )
    is_answered = row["is_answered"]
    unanswered = answer is None and not pd.isna(is_answered) and not bool(is_answered)
    if answer is None:
        stretches = _between(start, end, Look.RING if unanswered else Look.WHOLE)
    elif end is not None and end < answer:
        stretches = [*([Stretch(start, answer, Look.RING)] if start is not None and start <= answer else [])]
        stretches.append(Stretch(end, answer, Look.BACKWARDS))
    else:
        stretches = [Stretch(start, answer, Look.RING)] if start is not None and start < answer else []
        stretches += _between(answer, end, Look.TALK)
    told = _known(start, end)
    if not told and answer is not None and end is not None and end < answer:
        told = ["ends before its answer"]
    billable, total = _seconds(row["billable_s"]), _seconds(row["total_s"])
    if start is not None and answer is not None and answer >= start:
        told.append(f"{_said((answer - start) / SECOND)} ringing")
    if unanswered:
        told.append("not answered" if total is None else f"{_said(total)} ringing, not answered")
    elif billable is not None:
        told.append(f"{_said(billable)} talk")
    elif total is not None:
        told.append(f"{_said(total)} in all")
    marks = (answer,) if answer is not None else ()
    return Lane(label, _with_status(told, row), tuple(stretches), marks)


def _leg_lane(leg: pd.Series[Any], offset_us: int) -> Lane:
    source = str(leg["source"])
    # The line is what a reader needs most, so a long name loses its beginning.
    label = source if len(source) <= _SOURCE else f"…{source[1 - _SOURCE :]}"
    lane = _cdr_lane(f"  {label}", leg, offset_us)
    bucket = str(leg["bucket"])
    aside = bucket in {Bucket.DUPLICATE.value, Bucket.HELPER.value, Bucket.UNUSABLE.value}
    return Lane(
        lane.label, f"{bucket}: {lane.text}" if aside else lane.text, lane.stretches, lane.marks, aside
    )
