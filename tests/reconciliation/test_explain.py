"""Each explanation holds where its claim does, and not a step beside it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

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


def test_a_first_leg_explains_the_end_too_where_both_are_short_alike(matched: Any, row: Any) -> None:
    # 127 s of talk from 08:00:17; the first leg ended after 20 s of it.
    call = {"duration_seconds": 20, "ended_at": at("08:00:37")}
    found = explained(matched([row(ring=17, talk=127, call=call, cdr=LEGS)]).compare())
    assert found["ended_at"][0] == found["duration_seconds"][0] == "first-leg-only"


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
