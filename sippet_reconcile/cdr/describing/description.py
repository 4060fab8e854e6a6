"""Show a description of legs: the sections of a document, which is then text, a card or a page.

Input is a `CdrDescription`, output a `Document`. The first section says what somebody
should look at; the others say what is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import plural, visible
from sippet_reconcile.cdr.describing.remarks import SHARES, day_in_words, figures, local, remarks_of
from sippet_reconcile.cdr.formats import format_named
from sippet_reconcile.errors import InputError
from sippet_reconcile.report import Bar, ColumnChart, Document, Section, in_words

if TYPE_CHECKING:
    from sippet_reconcile.cdr.describing.describe import CdrDescription

__all__ = ["document_of"]

_MOST_DAYS: Final = 62
_LONGEST_NAME: Final = 36
_LONGEST_FILE: Final = 26


def document_of(described: CdrDescription) -> Document:
    """Return the document of a description."""
    values = figures(described)
    remarks = remarks_of(described)
    unusable = values["rows"] and values["rows_with_problem"] == values["rows"]
    return Document(
        f"CDRs: {plural(values['rows'], 'leg')}",
        _verdict(described),
        "stop" if unusable else "warn" if len(remarks) else "ok",
        [section for section in _sections(described, remarks) if section is not None],
        facts=_facts(described),
        subtitle=_subtitle(described),
        about=_about(described),
        summary=described.summary(),
    )


def _subtitle(described: CdrDescription) -> str:
    values = figures(described)
    first, last = values["earliest_start"], values["latest_start"]
    if first is None:
        return ""
    zone = described.clocks.zone
    first, last = (first, last) if zone is None else (first.tz_convert(zone), last.tz_convert(zone))
    clock = "UTC" if zone is None else described.clocks.frame["clock"].iloc[0]
    return (
        f"{day_in_words(first)} to {day_in_words(last)} ({clock})"
        if first.date() != last.date()
        else f"{day_in_words(first)} ({clock})"
    )


def _verdict(described: CdrDescription) -> str:
    values = figures(described)
    rows, bad = values["rows"], values["rows_with_problem"]
    if not rows:
        return "There is not a single record in it."
    if bad == rows:
        usable = "No row can be used"
    else:
        usable = (
            f"{rows - bad:,} of {plural(rows, 'row')} can be used, {bad:,} cannot"
            if bad
            else "Every row can be used"
        )
    talked = in_words(values["billable_s"], is_rough=True)
    return f"{usable}. {plural(values['answered'], 'leg')} {'was' if values['answered'] == 1 else 'were'} answered, with {talked} of billable time."


def _facts(described: CdrDescription) -> dict[str, object]:
    values = figures(described)
    days, with_rows = values["days"], values["days_with_rows"]
    facts: dict[str, object] = {
        "rows": values["rows"],
        "rows_with_problem": values["rows_with_problem"],
        "rows_with_time_problem": values["rows_with_time_problem"],
        "calls": values["calls_by_linked_id"],
        "answered": values["answered"],
        "billable_time": in_words(values["billable_s"], is_rough=True),
        "days": days if days == with_rows else f"{days:,}, {with_rows:,} with rows",
        "files": values["files"],
    }
    if values["bytes"] is not None:
        facts["bytes"] = values["bytes"]
    facts["format"] = values["format"]
    facts["clock"] = ", ".join(described.clocks.frame["clock"].tolist()) or values["clock"]
    return facts


def _sections(described: CdrDescription, remarks: pd.DataFrame) -> list[Section | None]:
    values = figures(described)
    if not values["rows"]:
        return [Section("What to look at", frame=remarks)] if len(remarks) else []
    return [
        Section("What to look at", frame=remarks) if len(remarks) else None,
        _format(described),
        _clock(described),
        _span(described),
        _counted(
            "Rows by status",
            described.statuses,
            "Answered is what has an answer time or billable seconds; a cause never decides it.",
        ),
        _counted("Rows by direction", described.directions),
        _counted("Rows by cause", described.causes, "The system's own words."),
        _files(described),
        _calls(described),
        _seconds(described),
        _numbers(described),
        _problems("Rows that cannot be used", described.problems),
        _problems("Doubtful local times", described.time_problems),
        _silences(described),
        _byday_in_words(described),
    ]


def _clock(described: CdrDescription) -> Section:
    several = described.clocks.frame if len(described.clocks.frame) > 1 else None
    return Section("Clock", " ".join(described.clocks.sentences), several)


def _span(described: CdrDescription) -> Section | None:
    values = figures(described)
    if values["earliest_start"] is None:
        return None
    frame = pd.DataFrame(
        {
            "leg": ["the first begins", "the last begins"],
            "in_utc": [f"{values[name]:%Y-%m-%d %H:%M:%S}" for name in ("earliest_start", "latest_start")],
        }
    )
    local = [values["earliest_start_local"], values["latest_start_local"]]
    return Section(
        "Span",
        frame=frame if None in local else frame.assign(by_its_own_clock=local),
        heads={"in_utc": "in UTC"},
    )


def _counted(title: str, frame: pd.DataFrame, intro: str = "") -> Section | None:
    return Section(title, intro, _short_names(frame)) if len(frame) else None


def _short_names(frame: pd.DataFrame, longest: int = _LONGEST_NAME) -> pd.DataFrame:
    name = str(frame.columns[0])
    texts = [_shortened(text, longest) for text in frame[name].tolist()]
    return frame.assign(**{name: pd.Series(texts, index=frame.index, dtype="str")})


def _shortened(text: str, longest: int = _LONGEST_NAME) -> str:
    head = longest // 2
    text = visible(text)
    return text if len(text) <= longest else f"{text[:head]}…{text[-(longest - head - 1) :]}"


def _format(described: CdrDescription) -> Section:
    rows = described.files.groupby("format", sort=True)["rows"].sum()
    said = [f"{_title(str(name))}: {plural(int(count), 'row')}." for name, count in rows.items()]
    near = described.candidates[described.candidates["score"] > 0]
    if not len(near):
        return Section("Format", " ".join(said))
    frame = _short_names(near, _LONGEST_FILE).assign(score=[f"{score:.0%}" for score in near["score"]])
    note = "No other format resembles it." if len(near) == described.candidates["file"].nunique() else ""
    return Section("Format", " ".join(said), frame, heads={"reasons": "why"}, note=note)


def _title(name: str) -> str:
    try:
        return f"{name} ({format_named(name).title})"
    except InputError:  # columns named by the caller, or a format of an older version
        return _shortened(visible(name))


def _files(described: CdrDescription) -> Section:
    frame = described.first_files
    shown = frame.assign(
        first_start=[_minute(described, at) for at in frame["first_start"]],
        last_start=[_minute(described, at) for at in frame["last_start"]],
        sha256=frame["sha256"].str.slice(0, 8),
    )
    formats = frame["format"].replace("", None).nunique(dropna=True)
    columns = [name for name in shown if name != "format" or formats > 1]
    clock = "in UTC" if described.clocks.zone is None else "by the switch's own clock"
    return Section(
        "Rows by file",
        f"Starts are {clock}; 'unusable' counts the rows that cannot be used.",
        _short_names(shown[columns], _LONGEST_FILE),
        heads={"with_problem": "unusable"},
    )


def _minute(described: CdrDescription, at: Any) -> str:
    return "–" if pd.isna(at) else f"{local(described, at):%Y-%m-%d %H:%M}"


def _calls(described: CdrDescription) -> Section:
    values = figures(described)
    calls, average = plural(values["calls_by_linked_id"], "call"), values["legs_per_call"] or 0
    legs = "leg" if average == 1 else "legs"
    most = values["most_legs_of_a_call"]
    intro = f"Legs of one call share an id: {calls}, of {average:g} {legs} on average and {most:,} at most."
    note = ""
    if values["helper_legs"]:
        causes = ", ".join(
            f"{cause} {rows:,}"
            for cause, rows in described.helpers[["cause", "rows"]].itertuples(index=False)
        )
        note = f"{plural(values['helper_legs'], 'leg')} of the switch's inner workings (by cause: {causes}) count for no call of their own."
    return Section("Legs per call", intro, described.legs_per_call, note=note)


def _seconds(described: CdrDescription) -> Section:
    values = figures(described)
    with_fractions = values["with_fractions_of_a_second"]
    shown = (
        f"{plural(with_fractions, 'row')} {'has' if with_fractions == 1 else 'have'} fractions of a second."
        if with_fractions
        else "All seconds are whole."
    )
    step = values["billed_in_steps_of_s"]
    billed = f" Billable seconds are whole multiples of {step}." if step else ""
    frame = described.seconds.assign(share=_shares(described.seconds["rows"]))
    intro = "The time from start to end should be the total; a second more or less comes of stamps that are cut. Where the export has no end, it was worked out and agrees by itself."
    return Section(
        "Seconds", intro, frame, heads={"end_minus_start": "end minus start is"}, note=f"{shown}{billed}"
    )


def _shares(rows: pd.Series[int]) -> list[str]:
    total = int(rows.sum()) or 1
    return [f"{count / total:.1%}" for count in rows.tolist()]


def _numbers(described: CdrDescription) -> Section:
    values = figures(described)
    shares = [
        f"{values[name]:.1%} of the {words}" for name, words in SHARES.items() if values[name] is not None
    ]
    country = (
        f"National numbers were read as those of {values['country']}."
        if values["country"]
        else "No country was named, so national numbers stay as delivered."
        if "needs_country" in described.numbers["kind"].tolist()
        else ""
    )
    intro = f"In E.164 are {' and '.join(shares)}. {country}" if shares else "No numbers were delivered."
    return Section("Numbers", intro, described.numbers)


def _problems(title: str, frame: pd.DataFrame) -> Section | None:
    return (
        Section(title, "The commonest kinds, with the first lines that have them.", frame)
        if len(frame)
        else None
    )


def _silences(described: CdrDescription) -> Section | None:
    quiet, zone = described.quiet_hours, described.clocks.zone
    if len(described.silences):
        intro = "Hours in which nothing began, though the same hours of other days are busy. Nights and weekends that are always quiet are no news."
    elif figures(described)["silences_can_be_told"]:
        longest = int(quiet["hours"].max()) if len(quiet) else 0
        intro = f"None is unusual: where nothing began, for {plural(longest, 'hour')} at most, other days are quiet too."
    else:
        intro = "There are too few days to say what is usual; these are the longest."
    unusual = bool(len(described.silences)) or not figures(described)["silences_can_be_told"]
    frame = described.silences if len(described.silences) else quiet
    if not len(quiet):
        return None
    shown = frame.assign(
        **{
            name: [f"{local(described, at):%a %Y-%m-%d %H:%M}" for at in frame[name]]
            for name in ("from", "until")
        }
    )
    heads = {"usual_rows": "legs on other days"}
    clock = "By UTC." if zone is None else "By the switch's own clock."
    return Section("Hours without rows", f"{intro} {clock}", shown if unusual else None, heads=heads)


def _byday_in_words(described: CdrDescription) -> Section | None:
    days = described.days
    if not 1 < len(days) <= _MOST_DAYS:
        return None
    span = pd.date_range(days["day"].iloc[0], days["day"].iloc[-1], freq="D")
    if len(span) > _MOST_DAYS:
        return None
    rows = days.set_index("day")["rows"].reindex(span, fill_value=0)
    bars = tuple(
        Bar(f"{day:%a} {day_in_words(day)}", count, f"{count:,}", tick=str(day.day))
        for day, count in zip(span, rows.tolist(), strict=True)
    )
    return Section("Rows by day", charts=[ColumnChart("Legs that began on each day", bars)], in_card=False)


def _about(described: CdrDescription) -> dict[str, object]:
    about: dict[str, object] = {"made_with": "describe_cdr"}
    if len(described.files):
        about["sha256_of_the_first_file"] = described.files["sha256"].iloc[0]
    return about
