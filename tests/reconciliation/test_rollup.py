"""What the differences come to is said in a frame, two sentences and a chart that can be read aloud."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import defaultdict
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.errors import InputError
from sippet_reconcile.reconciliation.explaining.causes import EXPLANATIONS
from sippet_reconcile.reconciliation.findings import Finding, Findings, Severity
from sippet_reconcile.reconciliation.rollup import (
    SHOWN_BARS,
    RollUp,
    cause_sentences,
    roll_up,
    to_settle,
)
from sippet_reconcile.schema import DISCREPANCIES


def test_a_roll_up_counts_calls_and_seconds_by_cause(three_wrong_of_six: Any) -> None:
    comparison = three_wrong_of_six
    rolled = roll_up(comparison.discrepancies, n_compared=6)
    assert rolled[["field", "explanation", "n_calls"]].to_numpy().tolist() == [
        ["duration_seconds", "ring-time-included", 2],
        ["direction", "unexplained", 1],
        ["duration_seconds", "cut-by-crash", 1],
        ["ended_at", "cut-by-crash", 1],
    ]
    assert rolled["delta_s"].tolist() == [-34.0, pd.NA, 100.0, pd.NA]
    assert rolled["gross_s"].tolist() == [34.0, pd.NA, 100.0, pd.NA]
    assert rolled["share_of_field"].round(3).tolist() == [0.667, 1.0, 0.333, 1.0]
    assert rolled["share_of_compared"].round(3).tolist() == [0.333, 0.167, 0.167, 0.167]


def test_a_roll_up_without_the_field_counts_each_call_once(three_wrong_of_six: Any) -> None:
    found = three_wrong_of_six.discrepancies
    assert roll_up(found, "match_rule")[["match_rule", "n_calls"]].to_numpy().tolist() == [["call_uuid", 3]]
    by_day = roll_up(found, ["day", "hour"], timezone="Europe/London")
    assert by_day[["day", "hour", "n_calls"]].to_numpy().tolist() == [["2026-10-05", "09", 3]]
    by_user = roll_up(found, "user")
    assert by_user["user"].isna().tolist() == [True]
    assert by_user["n_calls"].tolist() == [3]


def test_a_roll_up_of_nothing_and_by_nothing(matched: Any, row: Any) -> None:
    nothing = matched([row()]).compare().discrepancies
    rolled = roll_up(nothing, n_compared=1)
    assert len(rolled) == 0
    assert str(rolled["n_calls"].dtype) == "Int64"
    assert cause_sentences(rolled) == []
    with pytest.raises(InputError, match="cannot group by 'colour'"):
        roll_up(nothing, "colour")
    with pytest.raises(InputError, match="by is empty"):
        roll_up(nothing, [])


def found(*rows: tuple[str, str, str, float | None]) -> pd.DataFrame:
    """Discrepancies of which only call, field, explanation and seconds matter."""
    frame = pd.DataFrame(rows, columns=["call_id", "field", "explanation", "delta_s"]).astype(
        {"delta_s": "Float64"}
    )
    return frame.assign(call_id=frame["call_id"].astype("str"))


def rolled_up(frame: pd.DataFrame, *, stops: tuple[str, ...] = (), n_patchable: int = 1) -> RollUp:
    return RollUp.of(roll_up(frame), frame, stops=stops, n_patchable=n_patchable)


def test_the_sentences_by_field_and_cause(three_wrong_of_six: Any) -> None:
    rows = roll_up(three_wrong_of_six.discrepancies)
    assert cause_sentences(rows) == [
        "2 of 3 wrong durations include ring time (−34 s)",
        "1 of 1 differing direction is unexplained",
        "1 of 3 wrong durations was cut by a crash (+100 s)",
        "1 of 1 wrong end was cut by a crash",
    ]
    assert len(cause_sentences(rows, limit=1)) == 1


def test_the_first_sentence_names_the_share_explained_and_the_leading_causes() -> None:
    rows = [(f"r{n}", "duration_seconds", "ring-time-included", -15.0) for n in range(6)]
    rows += [(f"z{n}", "duration_seconds", "zero", 100.0) for n in range(3)]
    rows += [("m", "status", "missing", None), ("n", "ended_at", "never-ended", None)]
    rows += [("u", "duration_seconds", "unexplained", 2.5), ("v", "status", "unexplained", None)]
    first, second = rolled_up(found(*rows)).sentences
    assert first == (
        "11 of 13 differences (84.6%) are explained: 6 of 10 wrong durations include ring time (−90 s); "
        "3 of 10 wrong durations are zero (+300 s); 1 of 1 wrong end belongs to calls that never ended; and 1 smaller cause."
    )
    assert second == (
        "1 wrong duration (+2.5 s) and 1 wrong status are unexplained; look at the largest first, "
        "such as call u (duration_seconds, +2.5 s)."
    )


def test_a_cause_with_a_number_in_its_name_is_told_with_it() -> None:
    rows = [("a", "duration_seconds", "off-by-3600s", 3600.0), ("b", "ended_at", "off-by-7200s", None)]
    assert cause_sentences(roll_up(found(*rows))) == [
        "1 of 1 wrong duration is off by whole hours (off-by-3600s, +3,600 s)",
        "1 of 1 wrong end is off by whole hours (off-by-7200s)",
    ]


@pytest.mark.parametrize("known", EXPLANATIONS, ids=lambda known: known.name)
def test_each_phrase_of_the_table_is_said_of_one_difference_as_of_several(known: Any) -> None:
    name = known.name.replace("{n}", "3600")
    (one,) = cause_sentences(roll_up(found(("c", known.fields[0], name, None))))
    (two,) = cause_sentences(
        roll_up(found(("c", known.fields[0], name, None), ("d", known.fields[0], name, None)))
    )
    *_, verb = two.partition(known.phrase)[0], known.phrase.split()[0]
    said = one.split()[5]
    assert f" {known.phrase}" in two
    assert said == {"are": "is", "were": "was"}.get(verb, verb if verb.endswith("ed") else f"{verb}s"), one


def test_words_that_nobody_mapped_are_settled_before_statuses_are_looked_at() -> None:
    unmapped = Findings([Finding("status-vocabulary", Severity.WARN, "1 word.")])
    skewed = Findings([*unmapped, Finding("clock-offset", Severity.STOP, "7 s.")])
    words = roll_up(found(("c", "status", "unexplained", None)))
    assert to_settle(unmapped, words) == ["status-vocabulary"]
    assert to_settle(skewed, words) == ["clock-offset", "status-vocabulary"]
    assert to_settle(unmapped, roll_up(found(("c", "status", "missing", None)))) == []
    assert to_settle(unmapped, roll_up(found(("c", "ended_at", "unexplained", None)))) == []
    assert to_settle(Findings(), words) == []


def test_the_second_sentence_names_the_largest_that_nothing_explains() -> None:
    rows = [("a", "duration_seconds", "unexplained", 3.0), ("b", "duration_seconds", "unexplained", -7.0)]
    rows += [("c", "duration_seconds", "zero", 900.0)]
    assert rolled_up(found(*rows)).sentences[1].endswith("such as call b (duration_seconds, −7 s).")
    no_seconds = rolled_up(found(("x", "status", "unexplained", None)))
    assert no_seconds.sentences == (
        "None of 1 difference is explained.",
        "1 wrong status is unexplained; look at the largest first, such as call x (status).",
    )


def test_the_second_sentence_says_what_comes_first_where_something_stops() -> None:
    rows = found(("a", "duration_seconds", "zero", 3.0))
    assert rolled_up(rows).sentences == (
        "The one difference is explained: 1 of 1 wrong duration is zero (+3 s).",
        "Nothing is unexplained; a plan may correct 1 call.",
    )
    assert rolled_up(rows, stops=("timezone-shift", "clock-offset")).sentences[1] == (
        "Nothing is unexplained; settle timezone-shift and clock-offset first, for they may be behind many of the differences."
    )


def test_where_nothing_differs_nothing_is_said() -> None:
    nothing = rolled_up(DISCREPANCIES.empty())
    assert (nothing.sentences, nothing.to_html(), str(nothing)) == ((), "", "Nothing differs.")


def test_no_share_is_rounded_to_all_or_none() -> None:
    rows = [(f"r{n}", "duration_seconds", "zero", 1.0) for n in range(4000)]
    said = rolled_up(found(*rows, ("u", "duration_seconds", "unexplained", 1.0))).sentences[0]
    assert said.startswith("4,000 of 4,001 differences (99.9%)")


def test_the_chart_says_in_words_what_it_draws_and_escapes_it() -> None:
    rows = [("a", "duration_seconds", "<b>own</b>", 5.0), ("b", "duration_seconds", "<b>own</b>", 5.0)]
    rows += [("c", "status", "unexplained", None)]
    page = rolled_up(found(*rows)).to_html()
    assert "<b>own" not in page
    assert "<script" not in page
    svg = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314 - our own
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == (
        "Differing calls by field and cause: 2 wrong durations (duration_seconds): <b>own</b>: 2 calls, +10 s; 1 wrong status (status): unexplained: 1 call"
    )
    widths = [float(bar.get("width")) for bar in svg.iter("rect")]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01)
    assert [bar.get("class") for bar in svg.iter("rect")] == ["pos", "quiet"]


def test_no_number_beside_a_bar_is_cut_off_and_no_axis_crosses_a_heading() -> None:
    rows = [(f"c{n}", "duration_seconds", "zero", -123456.789) for n in range(100)]
    rows += [("s", "status", "missing", None)]
    page = rolled_up(found(*rows)).to_html()
    svg = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314 - our own
    width = float(svg.get("viewBox").split()[2])
    for text in svg.iter("text"):
        if text.get("class") == "value":
            assert float(text.get("x")) + 6 * len(text.text) < width
    headings = [float(text.get("y")) for text in svg.iter("text") if text.get("class") == "group"]
    spans = [(float(line.get("y1")), float(line.get("y2"))) for line in svg.iter("line")]
    assert len(headings) == len(spans) == 2
    assert not [y for y in headings for top, bottom in spans if top < y < bottom]


def test_the_chart_leaves_no_call_out_however_many_causes_there_are() -> None:
    rows = [
        (f"c{n}-{k}", "duration_seconds", f"cause-{n:02d}", 1.0) for n in range(20) for k in range(20 - n)
    ]
    bars = rolled_up(found(*rows)).chart.bars
    assert len(bars) == SHOWN_BARS
    assert sum(bar.value for bar in bars) == len(rows)
    assert bars[-1].label == "15 further causes"
    assert bars[-1].text == "120 calls, +120 s"
    assert bars[-1].is_quiet


def test_the_chart_for_a_terminal_has_bars_of_letters() -> None:
    rows = [(f"r{n}", "duration_seconds", "zero", 1.0) for n in range(4)]
    rows += [("u", "duration_seconds", "missing", 2.0), ("v", "duration_seconds", "missing", 2.0)]
    assert rolled_up(found(*rows)).chart.to_text(45).splitlines() == [
        "6 wrong durations (duration_seconds)",
        "  zero     ███████████████████  4 calls, +4 s",
        "  missing  ██████████           2 calls, +4 s",
    ]


ROW = st.tuples(
    st.sampled_from("abcdef"),
    st.sampled_from(["duration_seconds", "status", "ended_at"]),
    st.sampled_from(["zero", "missing", "unexplained"]),
    st.none() | st.integers(-9000, 9000).map(lambda tenths: tenths / 10),
)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(ROW, max_size=12, unique_by=lambda row: row[:2]),
    by=st.lists(st.sampled_from(["field", "explanation", "call_id"]), unique=True, min_size=1),
)
def test_a_roll_up_is_what_counting_row_by_row_gives(rows: list[Any], by: list[str]) -> None:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for call_id, name, why, delta in rows:
        known = {"field": name, "explanation": why, "call_id": call_id}
        groups[tuple(known[key] for key in by)].append((call_id, name, delta))
    rolled = roll_up(found(*rows), by, n_compared=20)
    keys = [tuple(key) for key in rolled[by].to_numpy().tolist()]
    assert sorted(keys) == sorted(groups)
    for key, row in zip(keys, rolled.to_dict("records"), strict=True):
        members = groups[key]
        seconds = [delta for _, _, delta in members if delta is not None]
        assert row["n_calls"] == len({call for call, _, _ in members})
        assert row["share_of_compared"] == pytest.approx(row["n_calls"] / 20)
        of = {call for call, name, _, _ in rows if "field" not in by or name == key[by.index("field")]}
        assert row["share_of_field"] == pytest.approx(row["n_calls"] / len(of))
        if seconds:
            assert row["delta_s"] == pytest.approx(sum(seconds), abs=1e-6)
            assert row["gross_s"] == pytest.approx(sum(map(abs, seconds)), abs=1e-6)
        else:
            assert pd.isna(row["delta_s"])
    counts = rolled["n_calls"].tolist()
    assert counts == sorted(counts, reverse=True)
