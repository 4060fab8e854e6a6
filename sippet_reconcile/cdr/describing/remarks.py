"""Say what somebody should look at before these legs are used: what is counted, and what is only noticed.

Input is a `CdrDescription`, output are remarks: the rows concerned and a sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sippet_reconcile.cdr.describing.describe import CdrDescription

__all__ = ["SHARES", "day_in_words", "figures", "local", "remarks_of"]

SHARES: Final = {"share_of_callers_in_e164": "callers", "share_of_called_in_e164": "called numbers"}
"""Figure to whose numbers it is about."""


def figures(described: CdrDescription) -> Mapping[str, Any]:
    """Return the headline figures."""
    return described.values  # noqa: PD011 - no frame


def local(described: CdrDescription, at: pd.Timestamp) -> pd.Timestamp:
    """Return an instant by the switch's own clock where that is one, else in UTC."""
    return at if described.clocks.zone is None else at.tz_convert(described.clocks.zone)


def day_in_words(at: pd.Timestamp) -> str:
    """Return a date as people write it.

    Examples
    --------
    >>> day_in_words(pd.Timestamp("2026-10-01"))
    '1 October 2026'
    """
    return f"{at.day} {at:%B %Y}"


def remarks_of(described: CdrDescription) -> pd.DataFrame:
    """Return what somebody should look at: rows concerned, where that can be counted, and a sentence."""
    values = figures(described)
    found: list[tuple[int | None, str]] = []

    def add(count: int | None, text: str) -> None:
        if count is None or count > 0:
            found.append((count, text))

    add(values["rows_with_problem"] or 0, "cannot be used; see 'Rows that cannot be used'")
    add(values["rows_with_time_problem"] or 0, "have a local time that daylight saving skips or repeats")
    elsewhere = values["repeated_in_another_file"]
    add(
        values["repeated_records"],
        "repeat an earlier row exactly"
        + (f", {elsewhere:,} of them a row of another file" if elsewhere else ""),
    )
    add(values["billable_above_total"], "have more billable than total seconds")
    add(values["answered_with_0_s"], "were answered with 0 billable seconds")
    add(values["unanswered_with_seconds"], "were not answered, but have billable seconds")
    add(int(described.seconds["rows"].iloc[3]), "have a total that is not the time from start to end")
    if values["billed_in_steps_of_s"]:
        add(
            None,
            f"Billable seconds are whole multiples of {values['billed_in_steps_of_s']}: they are rounded up for billing, and cannot be compared to the second.",
        )
    add(values["rows_without_seconds"], "print a time without its seconds")
    if values["calls_over_a_day"]:
        calls = plural(values["calls_over_a_day"], "call")
        add(None, f"Of {calls} the legs begin more than a day apart: ids may have been used again.")
    if values["country"] is None and bool((described.numbers["kind"] == "needs_country").any()):
        shares = [
            f"{values[name]:.0%} of the {words}" for name, words in SHARES.items() if values[name] is not None
        ]
        add(None, f"{' and '.join(shares)} are in E.164; country= would let national numbers be read.")
    for silence in described.silences.to_dict("records"):
        add(None, _silence(described, silence))
    for note in described.notes:
        add(None, note if note.endswith(".") else f"{note}.")
    return pd.DataFrame(found, columns=["rows", "what"]).astype({"rows": "Int64", "what": "str"})


def _silence(described: CdrDescription, silence: dict[Any, Any]) -> str:
    first, last = local(described, silence["from"]), local(described, silence["until"])
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%a} {day_in_words(last)} {last:%H:%M}"
    return (
        f"Unusual silence on {first:%a} {day_in_words(first)} from {first:%H:%M} to {until}: no leg in "
        f"{plural(silence['hours'], 'hour')}, in which other days have about {silence['usual_rows']:,}."
    )
