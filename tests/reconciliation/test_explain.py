"""Each explanation holds where its claim does, and not a step beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.reconciliation.comparing.compare import COMPARED_FIELDS
from sippet_reconcile.reconciliation.explaining.causes import EXPLANATIONS
from sippet_reconcile.reconciliation.explaining.explain import find_explanation
from sippet_reconcile.reconciliation.rules import Rules

TOTAL = Rules(duration="total")
UNANSWERED = {"is_answered": False, "billable_s": 0.0, "answered_at": None, "status": "no_answer"}


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(f"2026-10-05T{text}Z")


def explained(comparison: Any) -> dict[str, list[str]]:
    """Field to all its explanations, the leading one first."""
    frame = comparison.discrepancies
    return {
        field: [leading, *([] if pd.isna(also) else also.split("; "))]
        for field, leading, also in frame[["field", "explanation", "also"]].itertuples(index=False)
    }


def duration_of(
    matched: Any, row: Any, api: int | None, talk: float = 127, ring: float = 17, **cdr: Any
) -> list[str]:
    built = matched([row(ring=ring, talk=talk, call={"duration_seconds": api}, cdr=cdr)])
    return explained(built.compare()).get("duration_seconds", [])


@pytest.mark.parametrize(
    ("api", "expected"),
    [
        (144, ["ring-time-included"]),
        (143, ["ring-time-included"]),
        (146, ["unexplained"]),
        (180, ["rounded-up-60s"]),
        (150, ["rounded-up-30s"]),
        (132, ["rounded-up-6s"]),
        (138, ["unexplained"]),
        (120, ["unexplained"]),
        (0, ["zero", "answered-but-zero"]),
        (None, ["missing"]),
        (127 + 3600, ["off-by-3600s"]),
        (127 + 7201, ["off-by-7200s"]),
        (127 + 3602, ["unexplained"]),
        (127_000, ["milliseconds"]),
        (3, ["minutes"]),
        (254, ["counted-twice"]),
        (99, ["unexplained"]),
    ],
)
def test_the_seconds_of_an_answered_call(
    matched: Any, row: Any, api: int | None, expected: list[str]
) -> None:
    assert duration_of(matched, row, api) == expected


def test_the_double_of_a_few_seconds_is_no_proof(matched: Any, row: Any) -> None:
    assert duration_of(matched, row, 14, talk=7, ring=20) == ["unexplained"]


def test_one_multiple_that_fits_several_increments_names_the_largest_first(matched: Any, row: Any) -> None:
    assert duration_of(matched, row, 60, talk=55) == ["rounded-up-60s", "rounded-up-30s", "rounded-up-6s"]


def test_a_missing_second_is_seen_only_where_the_tolerance_is_smaller(matched: Any, row: Any) -> None:
    strict = Rules(duration="billable", duration_tolerance_s=0)
    rows = [row(talk=61, call={"duration_seconds": 60}), row(talk=61, call={"duration_seconds": 59})]
    assert matched(rows).compare(strict).discrepancies["explanation"].tolist() == [
        "truncated-1s",
        "unexplained",
    ]
    assert duration_of(matched, row, 60, talk=61) == []


def test_ring_time_needs_ringing_that_shows(matched: Any, row: Any) -> None:
    # Total and billable are within a second: nothing tells them apart, so nothing is claimed.
    assert duration_of(matched, row, 129, ring=1) == ["unexplained"]


def test_on_the_total_basis_the_billable_seconds_leave_out_ringing(matched: Any, row: Any) -> None:
    built = matched([row(ring=17, talk=127, call={"duration_seconds": 127})])
    assert explained(built.compare(TOTAL)) == {"duration_seconds": ["talk-time-only"]}


def test_what_an_unanswered_call_is_billed(matched: Any, row: Any) -> None:
    ringing = row(
        ring=25,
        talk=0,
        call={"duration_seconds": 25, "status": "no_answer"},
        cdr={**UNANSWERED, "total_s": 25.0},
    )
    other = row(
        ring=25,
        talk=0,
        call={"duration_seconds": 33, "status": "no_answer"},
        cdr={**UNANSWERED, "total_s": 25.0},
    )
    frame = matched([ringing, other]).compare().discrepancies
    assert frame["explanation"].tolist() == ["ringing-billed", "unanswered-but-billed"]
    assert frame["also"].fillna("").tolist() == ["unanswered-but-billed", ""]


LEGS = {"n_legs": 3, "first_billable_s": 20.0, "last_billable_s": 70.0, "sum_billable_s": 210.0}


@pytest.mark.parametrize(
    ("api", "expected"),
    [
        (20, "first-leg-only"),
        (70, "last-leg-only"),
        (210, "summed-legs"),
        (254, "summed-legs"),
        (71, "last-leg-only"),
    ],
)
def test_a_call_of_several_legs_whose_seconds_are_those_of_some(
    matched: Any, row: Any, api: int, expected: str
) -> None:
    assert duration_of(matched, row, api, talk=127, **LEGS)[0] == expected


def test_legs_explain_nothing_where_there_is_one_or_it_lasted_no_time(matched: Any, row: Any) -> None:
    assert duration_of(matched, row, 70, **{**LEGS, "n_legs": 1}) == ["unexplained"]
    assert duration_of(matched, row, 0, **{**LEGS, "last_billable_s": 0.0})[0] == "zero"


@pytest.mark.parametrize(
    ("ended", "first_total_s", "expected"),
    [
        # 127 s of talk from 08:00:17, of which the second leg rang away 9: the first one ended after 20 s of it.
        ("08:00:37", 37.0, "first-leg-only"),
        ("08:00:38", 37.0, "first-leg-only"),
        ("08:00:41", 37.0, "unexplained"),
        # An export without the leg's end: the end must be missing what the duration is missing.
        ("08:00:37", None, "unexplained"),
        ("08:00:46", None, "first-leg-only"),
    ],
)
def test_a_first_leg_explains_the_end_too_where_it_ended_then(
    matched: Any, row: Any, ended: str, first_total_s: float | None, expected: str
) -> None:
    legs = {**LEGS, "first_total_s": first_total_s, "ended_at": at("08:02:33"), "total_s": 153.0}
    call = {"duration_seconds": 20, "ended_at": at(ended)}
    found = explained(matched([row(ring=17, talk=127, call=call, cdr=legs)]).compare())
    assert (found["ended_at"][0], found["duration_seconds"][0]) == (expected, "first-leg-only")


@pytest.mark.parametrize(
    ("api", "ended", "leg", "expected"),
    [
        # Of 127 s of talk to 08:02:24. The last leg ends with the call, so an early end is not its.
        (70, "08:01:27", {}, ["cut-by-crash", "last-leg-only"]),
        (70, "08:02:24", {}, ["last-leg-only"]),
        # The first leg ended at 08:00:46, or it ended at another time than the record did.
        (
            29,
            "08:00:46",
            {"first_billable_s": 29.0, "first_total_s": 46.0},
            ["first-leg-only", "cut-by-crash"],
        ),
        (
            29,
            "08:00:46",
            {"first_billable_s": 29.0, "first_total_s": 56.0},
            ["cut-by-crash", "first-leg-only"],
        ),
        (29, "08:02:24", {"first_billable_s": 29.0, "first_total_s": 56.0}, ["first-leg-only"]),
    ],
)
def test_seconds_of_a_leg_by_chance_leave_a_crash_the_lead(
    matched: Any, row: Any, *, api: int, ended: str, leg: dict[str, float], expected: list[str]
) -> None:
    call = {"duration_seconds": api, "ended_at": at(ended)}
    found = explained(matched([row(ring=17, talk=127, call=call, cdr={**LEGS, **leg})]).compare())
    assert found["duration_seconds"] == expected


def test_a_call_that_never_ended(matched: Any, row: Any) -> None:
    call = {"status": "answered", "ended_at": None, "duration_seconds": None}
    assert explained(matched([row(call=call)]).compare()) == {
        "status": ["never-ended"],
        "duration_seconds": ["never-ended", "missing"],
        "ended_at": ["never-ended", "missing"],
    }


def test_a_final_status_without_an_end_was_cut_by_a_crash(matched: Any, row: Any) -> None:
    call = {"ended_at": None, "duration_seconds": None}
    assert explained(matched([row(call=call)]).compare()) == {
        "duration_seconds": ["cut-by-crash", "missing"],
        "ended_at": ["cut-by-crash", "missing"],
    }


def test_an_end_without_a_final_status_was_cut_by_a_crash(matched: Any, row: Any) -> None:
    assert explained(matched([row(call={"status": "ringing"})]).compare()) == {"status": ["cut-by-crash"]}


def test_end_and_duration_that_are_short_by_the_same_seconds_were_cut(matched: Any, row: Any) -> None:
    # The call ended at 08:02:24 after 127 s of talk; the record stops 44 s earlier.
    call = {"ended_at": at("08:01:40"), "duration_seconds": 83}
    assert explained(matched([row(ring=17, talk=127, call=call)]).compare()) == {
        "duration_seconds": ["cut-by-crash"],
        "ended_at": ["cut-by-crash"],
    }


def test_an_early_end_alone_is_no_proof_of_a_crash(matched: Any, row: Any) -> None:
    only_end = matched([row(ring=17, talk=127, call={"ended_at": at("08:01:40")})]).compare()
    assert explained(only_end) == {"ended_at": ["unexplained"]}
    another = matched(
        [row(ring=17, talk=127, call={"ended_at": at("08:01:40"), "duration_seconds": 99})]
    ).compare()
    assert explained(another) == {"duration_seconds": ["unexplained"], "ended_at": ["unexplained"]}


def test_a_hangup_noticed_late_lengthens_both(matched: Any, row: Any) -> None:
    call = {"ended_at": at("08:03:15"), "duration_seconds": 178}
    assert explained(matched([row(ring=17, talk=127, call=call)]).compare()) == {
        "duration_seconds": ["late-hangup"],
        "ended_at": ["late-hangup"],
    }


def test_whole_hours_lead_over_what_else_fits(matched: Any, row: Any) -> None:
    call = {"ended_at": at("09:02:25"), "duration_seconds": 127 + 3600}
    assert explained(matched([row(ring=17, talk=127, call=call)]).compare()) == {
        "duration_seconds": ["off-by-3600s", "late-hangup"],
        "ended_at": ["off-by-3600s", "late-hangup"],
    }


def test_ends_at_or_before_the_own_start(matched: Any, row: Any) -> None:
    rows = [row(call={"ended_at": at("08:00:00")}), row(every_s=1, call={"ended_at": at("08:09:52")})]
    assert matched(rows).compare().discrepancies["explanation"].tolist() == ["zero", "ended-before-start"]


def test_a_start_at_the_answer_or_hours_off(matched: Any, row: Any) -> None:
    rows = [
        row(ring=17, call={"started_at": at("08:00:17")}, every_s=0),
        row(call={"started_at": at("09:00:01")}, every_s=0),
        row(call={"started_at": at("08:00:05")}, every_s=0),
    ]
    frame = matched(rows).compare().discrepancies
    assert frame.loc[frame["field"] == "started_at", "explanation"].tolist() == [
        "start-at-answer",
        "off-by-3600s",
        "unexplained",
    ]


def test_an_export_without_total_and_answer_is_read_from_start_end_and_talk(matched: Any, row: Any) -> None:
    silent = {"total_s": None, "answered_at": None}
    rows = [
        row(ring=17, talk=127, call={"duration_seconds": 144}, cdr=silent, every_s=0),
        row(ring=17, talk=127, call={"started_at": at("08:00:17")}, cdr=silent, every_s=0),
        row(ring=17, talk=127, call={"started_at": at("08:00:17")}, cdr={**silent, "billable_s": None}),
    ]
    frame = matched(rows).compare().discrepancies
    assert frame["explanation"].tolist() == ["ring-time-included", "start-at-answer", "unexplained"]


def test_statuses_that_contradict_the_answer(matched: Any, row: Any) -> None:
    rows = [
        row(call={"status": "no-answer"}),
        row(call={"status": "Completed"}, cdr=UNANSWERED),
        row(call={"status": "failed"}, cdr={**UNANSWERED, "status": "busy"}),
        row(call={"status": None}),
        row(call={"status": "archived"}),
    ]
    frame = matched(rows).compare().discrepancies
    assert frame.loc[frame["field"] == "status", "explanation"].tolist() == [
        "answered-shown-unanswered",
        "unanswered-shown-answered",
        "other-unanswered-word",
        "missing",
        "unexplained",
    ]


def test_numbers_that_are_swapped_missing_or_extensions(matched: Any, row: Any) -> None:
    swapped = row(
        call={"from_number": "+447946000001", "to_number": "+442079460123"},
        cdr={"to_number": "+447946000001", "to_e164": "+447946000001"},
    )
    extension = row(cdr={"from_number": "1001", "from_e164": None})
    frame = matched([swapped, extension, row(call={"from_number": None})]).compare().discrepancies
    assert frame["explanation"].tolist() == ["parties-swapped", "parties-swapped", "extension", "missing"]


def test_the_order_of_rows_changes_no_explanation(matched: Any, row: Any) -> None:
    rows = [
        row(ring=17, talk=127, call={"duration_seconds": api}) for api in (144, 180, 132, 0, None, 99, 3727)
    ]
    forward = matched(rows).compare().discrepancies["explanation"].tolist()
    backward = matched(rows[::-1]).compare().discrepancies["explanation"].tolist()
    assert forward == backward[::-1]
    assert len(set(forward)) == 7


def test_every_explanation_says_what_it_claims_and_of_which_fields() -> None:
    assert len({known.name for known in EXPLANATIONS}) == len(EXPLANATIONS)
    for known in EXPLANATIONS:
        assert set(known.fields) <= set(COMPARED_FIELDS)
        assert known.claim.endswith(".")
        assert known.phrase
        assert find_explanation(known.name.replace("{n}", "3600")) is known


def instants(names: list[str]) -> dict[str, list[str]]:
    return {"ended_at": names, "started_at": names}


def moved(start_s: float, end_s: float, **call: Any) -> dict[str, Any]:
    """Return a call of 10 s of ringing and 60 s of talk whose start and end lie later by so many seconds."""
    start, end = at("08:00:00") + pd.Timedelta(start_s, "s"), at("08:01:10") + pd.Timedelta(end_s, "s")
    return {"started_at": start, "ended_at": end, **call}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        pytest.param(
            moved(-40, -40), {"ended_at": ["clock-offset"], "started_at": ["clock-offset"]}, id="alike"
        ),
        pytest.param(
            moved(41, 40),
            {"ended_at": ["clock-offset"], "started_at": ["clock-offset"]},
            id="but for a second",
        ),
        pytest.param(
            moved(10, 10),
            {"ended_at": ["clock-offset"], "started_at": ["clock-offset", "start-at-answer"]},
            id="just to the answer",
        ),
        pytest.param(moved(10, 0), {"started_at": ["start-at-answer"]}, id="the start alone"),
        pytest.param(
            moved(20, -20), {"ended_at": ["unexplained"], "started_at": ["unexplained"]}, id="apart"
        ),
        pytest.param(
            moved(40, 44), {"ended_at": ["unexplained"], "started_at": ["unexplained"]}, id="not alike"
        ),
        pytest.param(moved(2, 2), {}, id="within the tolerance"),
        pytest.param(
            moved(40, 40, duration_seconds=52),
            {"duration_seconds": ["unexplained"], "ended_at": ["unexplained"], "started_at": ["unexplained"]},
            id="the duration is wrong as well",
        ),
        pytest.param(
            moved(-7200, -7201),
            instants(["off-by-7200s", "clock-offset"]),
            id="whole hours are a zone",
        ),
        pytest.param(moved(1800, 1800), instants(["clock-offset"]), id="half an hour"),
    ],
)
def test_start_and_end_that_are_off_alike_are_the_clocks(
    matched: Any, row: Any, call: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    found = explained(matched([row(call=call)]).compare())
    assert found == expected


def test_an_offset_that_the_rules_know_is_no_explanation(matched: Any, row: Any) -> None:
    # The CDR's clock is 40 s ahead. Where the rules say so, what is 40 s off beyond that is.
    known = Rules(duration="billable", clock_offset_s=40)
    assert explained(matched([row(call=moved(-40, -40))]).compare(known)) == {}
    found = explained(matched([row(call=moved(-80, -80))]).compare(known))
    assert found == instants(["clock-offset"])
    cut = moved(-40, -60, duration_seconds=40)
    assert explained(matched([row(call=cut)]).compare(known)) == {
        "duration_seconds": ["cut-by-crash"],
        "ended_at": ["cut-by-crash"],
    }


def test_stamps_without_seconds_prove_hours_and_offsets_but_no_seconds(matched: Any, row: Any) -> None:
    # The CDR prints 08:00 and 08:01 of a call from 08:00:00 to 08:01:10; talk and total have their own columns.
    coarse = {"is_coarse": True, "ended_at": at("08:01:00"), "answered_at": at("08:00:00")}
    hours = explained(matched([row(call=moved(3600, 3600), cdr=coarse)]).compare())
    assert [names[0] for names in hours.values()] == ["off-by-3600s", "off-by-3600s"]
    offset = explained(matched([row(call=moved(1500, 1500), cdr=coarse)]).compare())
    assert [names[0] for names in offset.values()] == ["clock-offset", "clock-offset"]
    # 10 s after the start lies within the minute of start and answer: nothing to explain, and none at the answer.
    assert explained(matched([row(call=moved(10, 0), cdr=coarse)]).compare()) == {}
    late = explained(matched([row(call=moved(62, 0), cdr=coarse)]).compare())
    assert late == {"started_at": ["unexplained"]}


def test_a_large_tolerance_makes_nothing_more_telling(matched: Any, row: Any) -> None:
    loose = Rules(duration="billable", duration_tolerance_s=20, time_tolerance_s=30)
    # 45 s short in both, but 20 s of difference between them are no agreement.
    apart = {"ended_at": at("08:01:40"), "duration_seconds": 62}
    assert explained(matched([row(ring=17, talk=127, call=apart)]).compare(loose)) == {
        "duration_seconds": ["cut-by-crash"],
        "ended_at": ["cut-by-crash"],
    }
    further = {"ended_at": at("08:01:40"), "duration_seconds": 20}
    assert explained(matched([row(ring=17, talk=127, call=further)]).compare(loose)) == {
        "duration_seconds": ["unexplained"],
        "ended_at": ["unexplained"],
    }
    # Rounding is met to the second, so it leads over ringing that is met within 20 s.
    found = explained(matched([row(ring=50, talk=127, call={"duration_seconds": 180})]).compare(loose))
    assert found == {"duration_seconds": ["rounded-up-60s", "ring-time-included"]}


def test_cut_stamps_are_no_crash_where_nothing_is_tolerated(matched: Any, row: Any) -> None:
    strict = Rules(duration="billable", duration_tolerance_s=0, time_tolerance_s=0)
    call = {"ended_at": at("08:02:23"), "duration_seconds": 126}
    found = explained(matched([row(ring=17, talk=127, call=call)]).compare(strict))
    assert found == {"duration_seconds": ["truncated-1s"], "ended_at": ["unexplained"]}


@pytest.mark.parametrize(
    ("talk", "api", "expected"),
    [
        (60.4, 59, ["truncated-1s"]),
        (60.6, 60, ["truncated-1s"]),
        (60.4, 58, ["unexplained"]),
        (60.4, 61, ["unexplained"]),
        (60.000_000_1, 120, ["counted-twice"]),
        (54.2, 60, ["rounded-up-60s", "rounded-up-30s", "rounded-up-6s"]),
        (127.6, 145, ["ring-time-included"]),
        (127.6, 127_600, ["milliseconds"]),
        (3.0, 3_999, ["unexplained"]),
        (3.0, 3_000, ["milliseconds"]),
        (12.0, 12_999, ["milliseconds"]),
    ],
)
def test_fractions_of_seconds(matched: Any, row: Any, talk: float, api: int, expected: list[str]) -> None:
    strict = Rules(duration="billable", duration_tolerance_s=0)
    built = matched([row(ring=17, talk=talk, call={"duration_seconds": api})])
    assert explained(built.compare(strict))["duration_seconds"] == expected


@pytest.mark.parametrize(
    ("api", "expected"),
    [
        (150, ["rounded-up-30s"]),
        (33, ["first-leg-only"]),
        (80, ["last-leg-only"]),
        (244, ["summed-legs"]),
        (127, ["talk-time-only"]),
        (0, ["zero", "answered-but-zero"]),
        (144 + 3600, ["off-by-3600s"]),
    ],
)
def test_on_the_total_basis_legs_and_rounding_count_ringing(
    matched: Any, row: Any, api: int, expected: list[str]
) -> None:
    legs = {**LEGS, "n_legs": 2, "first_total_s": 33.0, "last_total_s": 80.0, "sum_total_s": 244.0}
    built = matched([row(ring=17, talk=127, call={"duration_seconds": api}, cdr=legs)])
    assert explained(built.compare(TOTAL))["duration_seconds"] == expected


def test_seconds_that_are_too_few_without_an_end_are_a_crash_only_where_nothing_names_them(
    matched: Any, row: Any
) -> None:
    rows = [row(talk=300, call={"duration_seconds": api, "ended_at": None}) for api in (5, 211)]
    frame = matched(rows).compare().discrepancies
    of_duration = frame.loc[frame["field"] == "duration_seconds", ["explanation", "also"]].fillna("")
    assert of_duration.to_numpy().tolist() == [["minutes", "cut-by-crash"], ["cut-by-crash", ""]]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, 0, 3, 20, 60, 70, 120, 127, 150, 179, 180, 254, 3727, 127_000]),
            st.sampled_from([0.0, 0.0, -44.0, 51.0, 3600.0, -127.0]),
            st.sampled_from(["completed", "answered", "no_answer", None]),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    ),
    st.randoms(use_true_random=False),
    st.sampled_from(["billable", "total"]),
)
@settings(max_examples=25, deadline=None)
def test_what_holds_on_a_pair_is_alike_alone_and_in_any_company(
    matched: Any, make_row: Any, wrong: list[Any], shuffle: Any, basis: str
) -> None:
    rules = Rules(duration=basis)
    rows = []
    for api, by, word, several in wrong:
        end = at("08:02:59") + pd.Timedelta(by, "s")
        legs = {**LEGS, "n_legs": 2, "leg_statuses": "completed; no_answer"} if several else {}
        call = {"duration_seconds": api, "status": word, "ended_at": end}
        rows.append(make_row(ring=52, talk=127, call=call, cdr=legs, every_s=0))
    built = matched(rows)
    alone = [
        explained(type(built)(built.calls, built.cdr_calls, built.pairs.where([n])).compare(rules))
        for n in range(len(rows))
    ]
    order = np.arange(len(rows))
    shuffle.shuffle(order)
    comparison = type(built)(built.calls, built.cdr_calls, built.pairs.where(order)).compare(rules)
    frame = comparison.discrepancies
    for place, n in enumerate(order):
        mine = frame[comparison.pair_rows == place]
        found = {
            field: [lead, *([] if pd.isna(also) else also.split("; "))]
            for field, lead, also in mine[["field", "explanation", "also"]].itertuples(index=False)
        }
        # Where both sides agree there is no row, and so nothing is explained.
        assert found.keys() == alone[n].keys()
        for field, names in found.items():
            assert set(names) == set(alone[n][field])
            # Which leads of those that are arithmetic of the seconds, the other rows may decide.
            assert names == alone[n][field] or field == "duration_seconds"
        for names in found.values():
            assert len(set(names)) == len(names)
            assert "unexplained" not in names[1:]
