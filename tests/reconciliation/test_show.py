"""One call is drawn as it was, in time, on a screen and in a terminal."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.reconciliation.findings import Finding, Findings, Severity
from sippet_reconcile.reconciliation.lanes import Lane, Look, Picture, Stretch
from sippet_reconcile.reconciliation.ticks import SECOND, Tick, ticks_between
from sippet_reconcile.reconciliation.timeline import call_picture

EVIL = "\x1b[31m<script>alert(1)</script>\"'&"
NUMBERS = {"from_number": "+442079460123", "to_number": "+447946000001"}
E164 = {"from_e164": NUMBERS["from_number"], "to_e164": NUMBERS["to_number"]}


def leg(
    start: Any, answer: Any, end: Any, talk: float | None, key: str = "uuid-0", **more: Any
) -> dict[str, Any]:
    """Return a leg of the call with this key."""
    seconds = {
        "billable_s": talk,
        "total_s": None if end is None or start is None else (end - start).total_seconds(),
    }
    instants = {"started_at": start, "answered_at": answer, "ended_at": end}
    return {
        **NUMBERS,
        **E164,
        **instants,
        **seconds,
        "call_key": key,
        "is_answered": answer is not None,
        **more,
    }


def call(start: Any, end: Any, seconds: int | None, key: str = "uuid-0", **more: Any) -> dict[str, Any]:
    """Return the API's call with this key."""
    return {
        **NUMBERS,
        "started_at": start,
        "ended_at": end,
        "duration_seconds": seconds,
        "call_uuid": key,
        **more,
    }


def lanes_of(view: Any) -> dict[str, Lane]:
    return {lane.label.strip(): lane for lane in view.picture.lanes}


def drawn(picture: Picture) -> ET.Element:
    """Return the drawing, which is well-formed."""
    return ET.fromstring(picture.to_svg())  # noqa: S314 - our own


def widths(picture: Picture, place: int) -> list[float]:
    return [float(bar.get("width", "nan")) for bar in drawn(picture).findall("g")[place].iter("rect")]


def test_ringing_and_talk_are_told_apart_and_the_answer_is_marked(reconciled, at):
    view = reconciled([leg(at(0), at(10), at(40), 30)], [call(at(0), at(40), 30)]).show("id-0")
    lane = lanes_of(view)["CDR call"]
    assert lane.text == "10 s ringing, 30 s talk, completed"
    assert [(s.look, (s.end_us - s.start_us) // SECOND) for s in lane.stretches] == [
        (Look.RING, 10),
        (Look.TALK, 30),
    ]
    # Of forty seconds on 400 units of width, ten rang.
    assert widths(view.picture, 2) == [100.0, 300.0]
    row = next(line for line in str(view).splitlines() if line.startswith("CDR call"))
    ring, talk = row.count("░"), row.count("█")
    assert row.count("|") == 1
    assert 2.5 < talk / ring < 3.5
    assert "░ ringing" in str(view)
    assert "█ talk" in str(view)
    assert "there is nothing to plan" in view.verdict


def test_an_unanswered_call_only_rings(reconciled, at):
    view = reconciled(
        [leg(at(0), None, at(25), 0, status="no_answer")], [call(at(0), at(25), 0, status="no_answer")]
    ).show("id-0")
    lane = lanes_of(view)["CDR call"]
    assert [s.look for s in lane.stretches] == [Look.RING]
    assert lane.text == "25 s ringing, not answered, no_answer"
    assert not lane.marks


def test_what_is_too_much_is_drawn_behind_the_seconds_and_said(reconciled, at):
    view = reconciled([leg(at(0), at(10), at(70), 60)], [call(at(0), at(70), 72)]).show("id-0")
    lane = lanes_of(view)["its duration"]
    whole, more = lane.stretches
    assert lane.text == "duration 72 s, 12 s too much"
    # Counted from the answer, at the tenth second.
    assert (whole.start_us, whole.end_us - whole.start_us) == (
        lanes_of(view)["CDR call"].marks[0],
        72 * SECOND,
    )
    assert (more.look, more.end_us - more.start_us) == (Look.MORE, 12 * SECOND)
    assert "72 s in the API, 60 s in the CDR, 12 s too much" in str(view)
    assert "+ too much" in str(view)
    assert "orange too much" in view.picture.caption


def test_seconds_that_include_ringing_are_counted_from_the_start(reconciled, at):
    view = reconciled([leg(at(0), at(10), at(70), 60)], [call(at(0), at(70), 70)], duration="total").show(
        "id-0"
    )
    lanes = lanes_of(view)
    assert lanes["its duration"].stretches == (
        Stretch(lanes["API call"].stretches[0].start_us, lanes["API call"].stretches[0].end_us, Look.SECONDS),
    )


def test_what_is_missing_is_drawn_dashed_and_an_open_end_stays_open(reconciled, at):
    view = reconciled([leg(at(0), at(10), at(70), 60)], [call(at(0), None, None, status="answered")]).show(
        "id-0"
    )
    lanes = lanes_of(view)
    assert lanes["API call"].text == "no end, answered"
    assert lanes["API call"].stretches[0].is_open
    assert [(s.look, s.end_us - s.start_us) for s in lanes["API call"].stretches[1:]] == [
        (Look.LESS, 70 * SECOND)
    ]
    assert lanes["its duration"].text == "no duration, 60 s too little"
    row = next(line for line in str(view).splitlines() if line.startswith("API call"))
    assert "-----" in row
    assert "nothing in the API" in str(view)


def test_an_end_that_is_off_is_drawn_between_both_ends(reconciled, at):
    view = reconciled([leg(at(0), at(10), at(70), 60)], [call(at(0), at(100), 60)]).show("id-0")
    assert view.discrepancies["field"].tolist() == ["ended_at"]
    more = lanes_of(view)["API call"].stretches[-1]
    assert (more.look, more.end_us - more.start_us) == (Look.MORE, 30 * SECOND)
    assert "30 s too late" in view.notes[0]
    early = reconciled([leg(at(0), at(10), at(70), 60)], [call(at(0), at(60), 60)]).show("id-0")
    less = lanes_of(early)["API call"].stretches[-1]
    assert (less.look, less.end_us - less.start_us) == (Look.LESS, 10 * SECOND)
    assert "10 s too early" in early.notes[0]


def test_an_end_ahead_of_its_start_is_drawn_backwards_and_said(reconciled, at):
    view = reconciled([leg(at(0), at(10), at(70), 60)], [call(at(0), at(-10), 60)]).show("id-0")
    lane = lanes_of(view)["API call"]
    assert lane.text == "ends 10 s before it starts, completed"
    assert lane.stretches[-1].look is Look.BACKWARDS
    assert "< ends before it starts" in str(view)


def test_both_sides_are_drawn_on_one_clock_and_it_is_said_by_how_much_the_other_was_off(reconciled, at):
    view = reconciled([leg(at(7), at(17), at(77), 60)], [call(at(0), at(70), 60)], clock_offset_s=7).show(
        "id-0"
    )
    lanes = lanes_of(view)
    assert lanes["CDR call"].stretches[0].start_us == lanes["API call"].stretches[0].start_us
    assert "Times of the CDR are drawn 7 s earlier than written, by rules.clock_offset_s." in str(view)
    assert view.sides.set_index("attribute").loc["started_at", "cdr"] == "2026-10-05 08:00:07 UTC"


def test_a_call_without_length_can_be_seen(reconciled, at):
    view = reconciled(
        [leg(at(0), None, at(0), 0, status="failed")], [call(at(0), at(0), 0, status="failed")]
    ).show("id-0")
    assert min(widths(view.picture, 0)) >= 2
    assert "▒" in next(line for line in str(view).splitlines() if line.startswith("API call"))


def test_a_call_of_a_day_says_where_the_next_day_begins(reconciled, at):
    day = 24 * 3600
    view = reconciled([leg(at(0), at(10), at(day), day - 10)], [call(at(0), at(day), day - 10)]).show("id-0")
    svg = view.picture.to_svg()
    assert "UTC, 2026-10-05" in svg
    assert "10-06 00:00" in svg
    assert "24 h from start to end" in view.picture.description
    assert "10-06 00:00" in str(view)


def test_a_long_zone_is_told_by_its_last_part_and_keeps_its_date(reconciled, at):
    october = sr.Period.month("2026-10", timezone="America/Argentina/Buenos_Aires")
    view = reconciled([leg(at(0), at(10), at(40), 30)], [call(at(0), at(40), 30)], october).show("id-0")
    assert "Buenos Aires, 2026-10-05" in str(view)
    assert "05:00:00" in str(view)


def test_times_are_told_in_utc_and_in_the_zone_of_the_period(reconciled, at):
    october = sr.Period.month("2026-10", timezone="Europe/London")
    view = reconciled([leg(at(0), at(10), at(40), 30)], [call(at(0), at(40), 30)], october).show("id-0")
    texts = [text.text for text in drawn(view.picture).findall("text")]
    assert texts[:2] == ["UTC, 2026-10-05", "08:00:00"]
    # Summer time: one hour ahead.
    assert texts[texts.index("Europe/London, 2026-10-05") + 1] == "09:00:00"


def test_each_instant_has_the_offset_of_its_own_side_of_the_change_of_clocks():
    before = int(pd.Timestamp("2026-10-25T00:30:00Z").timestamp()) * SECOND
    half = 1800 * SECOND
    ticks = [before, before + half]
    assert [t.text for t in Tick.named(ticks, "Europe/London", (before, before + half))] == ["01:30", "01:00"]


def test_many_legs_are_bounded_and_the_rest_is_counted(reconciled, at):
    legs = [leg(at(n), at(n + 5), at(100), 95 - n, linked_id="uuid-0", leg_id=f"leg-{n}") for n in range(30)]
    view = reconciled(legs, [call(at(0), at(100), 95)]).show("id-0")
    assert len(view.legs) == 30
    assert sum("a.csv:" in lane.label for lane in view.picture.lanes) == 10
    assert view.picture.more == "20 further legs are not drawn."
    for told in (str(view), view._repr_html_()):
        assert "20 further legs are not drawn." in told
    assert "and 18 more" in str(view)
    assert "a.csv:31" in view._repr_html_()


def test_a_long_name_of_a_file_keeps_its_line(reconciled, at):
    long = [leg(at(0), at(10), at(40), 30, source_file="export-" * 20 + ".csv", source_row=123456)]
    view = reconciled(long, [call(at(0), at(40), 30)]).show("id-0")
    assert view.picture.lanes[-1].label.endswith(".csv:123456")
    # Once in time, and once in each of the two tables of legs.
    assert str(view).count(".csv:123456") == 3


def test_rivals_are_lanes_and_none_of_them_is_drawn_twice(reconciled, at):
    calls = [call(at(0), at(70), 60), call(at(5), at(75), 60, id="id-b")]
    rec = reconciled([leg(at(0), at(10), at(70), 60, leg_id="leg-0")], calls)
    view = rec.show("id-0")
    assert view.bucket == "ambiguous"
    assert [lane.label for lane in view.picture.lanes] == [
        "API call",
        "  its duration",
        "CDR uuid-0",
        "API id-b",
    ]
    of_cdr = rec.show("leg-0")
    assert [lane.label for lane in of_cdr.picture.lanes] == ["CDR call", "API id-0", "API id-b"]


def test_a_call_of_one_side_is_drawn_alone(reconciled, at):
    rec = reconciled(
        [leg(at(0), at(10), at(70), 60)],
        [call(at(9000), at(9070), 60, "uuid-1", from_number="+442079460199", to_number="+447946000099")],
    )
    assert [lane.label.strip() for lane in rec.show("uuid-0").picture.lanes] == ["CDR call", "a.csv:2"]
    assert [lane.label.strip() for lane in rec.show("id-0").picture.lanes] == ["API call", "its duration"]


def test_a_plan_may_still_leave_out_what_it_may_correct_and_only_then_is_that_said(reconciled, at):
    wrong = reconciled([leg(at(0), at(10), at(70), 60)], [call(at(0), at(70), 72)]).show("id-0")
    assert "plan.left_out says why" in str(wrong)
    direction = reconciled(
        [leg(at(0), at(10), at(70), 60, direction="inbound")],
        [call(at(0), at(70), 60, status="completed", sip_username="1001")],
    ).show("id-0")
    assert "plan.left_out" not in str(direction)


def test_no_end_is_promised_where_the_clock_of_the_cdr_is_in_doubt(reconciled, at):
    rec = reconciled([leg(at(0), at(10), at(70), 60)], [call(at(0), at(100), 60)])
    shifted = replace(rec, findings=Findings([Finding("timezone-shift", Severity.STOP, "Shifted.")]))
    note = next(note for note in shifted.show("id-0").notes if note.startswith("ended_at"))
    assert note.endswith("not planned, as the CDR's instants are in doubt, whatever is accepted.")
    assert "a plan may correct it" in rec.show("id-0").notes[0]


def test_nothing_in_a_view_is_obeyed_and_no_number_is_whole(reconciled, at):
    evil = {"cause": EVIL, "source_file": EVIL}
    rec = reconciled(
        [leg(at(0), at(10), at(70), 60, **evil)],
        [call(at(0), at(70), 72, status=EVIL, sip_username="442079460166")],
    )
    view = rec.show("id-0")
    for told in (str(view), repr(view), view._repr_html_()):
        assert "\x1b" not in told
        assert not [number for number in (*NUMBERS.values(), "442079460166") if number.lstrip("+") in told]
    assert "<script" not in view._repr_html_()
    assert "442079460166" in str(rec.show("id-0", show_numbers=True))


INSTANT = st.none() | st.integers(-90_000, 90_000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(INSTANT, INSTANT, INSTANT), max_size=4))
@example([(None, None, None)])
@example([(0, 0, 0)])
@example([(0, 10, -5)])
def test_whatever_instants_there_are_the_picture_stays_in_its_frame(legs):
    """Whatever is missing or runs backwards, nothing is drawn outside, and no line is too wide."""

    def instant(s: int | None) -> Any:
        return pd.NaT if s is None else pd.Timestamp("2026-10-05T08:00:00Z") + pd.Timedelta(seconds=s)

    rows = pd.DataFrame(
        [
            {
                "started_at": instant(a), "answered_at": instant(b), "ended_at": instant(c), "is_answered": pd.NA,
                "billable_s": None, "total_s": 5.0, "status": None, "bucket": "matched", "source": "a.csv:2",
                "id": "id-0", "cdr_id": "cdr-0", "duration_seconds": 9,
            }
            for a, b, c in legs
        ]
    )  # fmt: skip
    first = rows.iloc[0] if len(rows) else None
    none_differs = pd.DataFrame({"field": pd.Series([], dtype="str")})
    picture = call_picture(
        first, first, rows, none_differs, rules=sr.Rules(duration="total"), zone="Asia/Tokyo"
    )
    _, _, width, height = map(float, drawn(picture).get("viewBox", "").split())
    for bar in drawn(picture).iter("rect"):
        assert float(bar.get("x", "nan")) >= 0
        assert float(bar.get("x", "nan")) + float(bar.get("width", "nan")) <= width
        assert float(bar.get("y", "nan")) + float(bar.get("height", "nan")) <= height
    assert max((len(line) for line in picture.to_text(110).splitlines()), default=0) <= 110
    assert len(picture.lanes) == (3 + len(rows) - 1 if len(rows) else 0) + (1 if len(rows) else 0)


def test_the_picture_says_in_words_what_it_draws_without_ids_or_style(reconciled, at):
    view = reconciled([leg(at(0), at(10), at(70), 60)], [call(at(0), at(70), 72)]).show("id-0")
    svg = drawn(view.picture)
    assert svg.get("role") == "img"
    said = svg.get("aria-label", "")
    assert said.startswith("Timeline of id-0: API call: 70 s from start to end, completed; ")
    assert "its duration: duration 72 s, 12 s too much" in said
    assert "a.csv:2: 10 s ringing, 60 s talk, completed" in said
    assert not [
        e for e in svg.iter() if e.get("id") or e.get("style") or e.tag in {"style", "script", "title"}
    ]
    assert svg.get("fill") == "currentColor"


def test_lines_fit_a_terminal(reconciled, at):
    view = reconciled([leg(at(0), at(10), at(70), 60, cause="x" * 300)], [call(at(0), at(70), 72)]).show(
        "id-0"
    )
    assert max(map(len, str(view).splitlines())) <= 110


@pytest.mark.parametrize("seconds", [1, 59, 61, 3600, 86_400, 40 * 86_400, 3_000 * 86_400])
def test_a_scale_has_few_round_instants_in_order(seconds):
    ticks = ticks_between(7 * SECOND, (7 + seconds) * SECOND)
    assert 1 <= len(ticks) <= 5
    assert ticks == sorted(set(ticks))
    assert all(7 * SECOND <= at <= (7 + seconds) * SECOND for at in ticks)


def test_a_picture_without_instants_says_so():
    empty = Picture("Timeline of x", (Lane("API call", "no start and no end"),))
    assert empty.caption == "No instant is known."
    assert drawn(empty).get("aria-label") == "Timeline of x: API call: no start and no end"
    assert "no start and no end" in empty.to_text()
    assert Stretch(0, 0, Look.WHOLE) == Stretch(0, 0, Look.WHOLE)
