"""Where two sides differ: each rule of comparing, and an obvious slow oracle beside them."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.reconciliation import core
from sippet_reconcile.reconciliation.comparing.compare import COMPARED_FIELDS, compare_pairs
from sippet_reconcile.reconciliation.comparing.fields import round_seconds
from sippet_reconcile.reconciliation.core import PairPositions
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Sides
from sippet_reconcile.schema import DISCREPANCIES, check_frame
from sippet_reconcile.values import text_to_instants

BILLABLE = Rules(duration="billable")


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text)


def found(comparison: Any) -> list[tuple[str, Any, Any]]:
    frame = comparison.discrepancies
    values = frame[["field", "value_call", "value_cdr"]].astype(object)
    return [tuple(row) for row in values.where(values.notna(), None).itertuples(index=False)]


def test_agreeing_sides_have_no_discrepancy(matched: Any, row: Any) -> None:
    comparison = matched([row(), row()]).compare()
    assert len(comparison.discrepancies) == 0
    check_frame(comparison.discrepancies, DISCREPANCIES)
    assert comparison.no_evidence == {**dict.fromkeys(COMPARED_FIELDS, 0), "sip_username": 2}


def test_no_pairs_at_all_give_empty_frames_of_the_right_types(matched: Any) -> None:
    comparison = matched([]).compare()
    check_frame(comparison.discrepancies, DISCREPANCIES)
    assert comparison.n_compared == 0
    assert comparison.fields["compared"].tolist() == [0] * len(COMPARED_FIELDS)


@pytest.mark.parametrize(
    ("api", "cdr", "differs"),
    [
        (60, 60.0, False),
        (60, 61.0, False),
        (60, 59.0, False),
        (60, 61.2, True),
        (60, 62.0, True),
        (60, 58.9, True),
        (None, 60.0, True),
        (None, 0.4, True),
        (60, None, False),
        (None, None, False),
        (60, -1.0, False),
    ],
)
def test_durations_within_a_second_agree_and_missing_on_the_cdr_proves_nothing(
    matched: Any, row: Any, api: int | None, cdr: float | None, differs: bool
) -> None:
    comparison = matched([row(call={"duration_seconds": api}, cdr={"billable_s": cdr})]).compare()
    assert [field for field, *_ in found(comparison)] == (["duration_seconds"] if differs else [])


def test_a_duration_row_carries_both_seconds_and_their_difference(matched: Any, row: Any) -> None:
    frame = matched([row(talk=90.5, call={"duration_seconds": 60})]).compare().discrepancies
    assert frame[["value_call", "value_cdr", "match_rule", "source_file", "cdr_id"]].iloc[0].tolist() == [
        "60",
        "91",
        "call_uuid",
        "oct.csv",
        "cdr-0",
    ]
    assert frame[["call_s", "cdr_s", "delta_s"]].iloc[0].tolist() == [60.0, 90.5, 30.5]
    assert bool(frame["is_patchable"].iloc[0])
    assert int(frame["source_row"].iloc[0]) == 1


def test_a_missing_duration_is_all_of_the_cdrs_seconds_short(matched: Any, row: Any) -> None:
    frame = matched([row(talk=60, call={"duration_seconds": None})]).compare().discrepancies
    assert frame["call_s"].isna().tolist() == [True]
    assert frame["delta_s"].tolist() == [60.0]


@pytest.mark.parametrize(("api", "differs"), [(None, False), (0, False), (1, False), (25, True)])
def test_on_an_unanswered_call_a_missing_duration_is_zero(
    matched: Any, row: Any, api: int | None, differs: bool
) -> None:
    cdr = {
        "billable_s": 0.0,
        "total_s": 25.0,
        "is_answered": False,
        "status": "no_answer",
        "answered_at": None,
    }
    built = matched([row(talk=0, call={"duration_seconds": api, "status": "no-answer"}, cdr=cdr)])
    assert [field for field, *_ in found(built.compare())] == (["duration_seconds"] if differs else [])


def test_on_the_total_basis_an_unanswered_call_has_its_ringing(matched: Any, row: Any) -> None:
    cdr = {"billable_s": 0.0, "total_s": 25.0, "is_answered": False}
    built = matched([row(talk=0, call={"duration_seconds": None}, cdr=cdr)])
    assert found(built.compare(Rules(duration="total"))) == [("duration_seconds", None, "25")]


@pytest.mark.parametrize(
    ("rounding", "written"),
    [("half_up", ["3", "4", "2"]), ("floor", ["2", "3", "2"]), ("ceil", ["3", "4", "3"])],
)
def test_fractions_are_rounded_as_the_rules_say(
    matched: Any, row: Any, rounding: str, written: list[str]
) -> None:
    rows = [row(cdr={"billable_s": seconds}, call={"duration_seconds": 90}) for seconds in (2.5, 3.5, 2.4999)]
    frame = matched(rows).compare(Rules(duration="billable", duration_rounding=rounding)).discrepancies
    assert frame["value_cdr"].tolist() == written


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(["half_up", "floor", "ceil"]))
def test_rounding_is_that_of_decimals(micros: int, rounding: str) -> None:
    how = {"half_up": ROUND_HALF_UP, "floor": ROUND_FLOOR, "ceil": ROUND_CEILING}[rounding]
    expected = int((Decimal(micros) / Decimal(10**6)).quantize(Decimal(1), rounding=how))
    assert round_seconds(np.array([micros / 10**6]), rounding).tolist() == [expected]


def test_ends_within_two_seconds_agree(matched: Any, row: Any) -> None:
    end = at("2026-10-05T08:01:10Z")
    rows = [row(every_s=0, call={"ended_at": end + pd.Timedelta(seconds=gap)}) for gap in (-2, 2, 3, -3)]
    comparison = matched(rows).compare()
    assert comparison.pair_rows.tolist() == [2, 3]
    assert set(comparison.discrepancies["field"]) == {"ended_at"}


def test_a_stamp_cut_to_the_second_stands_for_its_whole_second(matched: Any, row: Any) -> None:
    end = at("2026-10-05T08:01:10Z")
    late = {"ended_at": end + pd.Timedelta(seconds=2.9)}
    cut, fine = row(every_s=0, call=late), row(call=late, cdr={"ended_at": end + pd.Timedelta(seconds=0.5)})
    assert found(matched([cut, fine]).compare()) == [
        ("ended_at", "2026-10-05T08:01:12.900000Z", "2026-10-05T08:01:10.500000Z")
    ]


def test_a_missing_end_against_a_known_one_differs_and_not_the_other_way_round(
    matched: Any, row: Any
) -> None:
    built = matched([row(call={"ended_at": None}), row(cdr={"ended_at": None})])
    comparison = built.compare()
    assert found(comparison) == [("ended_at", None, "2026-10-05T08:01:10Z")]
    assert comparison.no_evidence["ended_at"] == 1


def test_the_clock_offset_is_taken_from_the_cdrs_instants(matched: Any, row: Any) -> None:
    shift = pd.Timedelta(seconds=37)
    start, end = at("2026-10-05T08:00:00Z"), at("2026-10-05T08:01:10Z")
    built = matched(
        [row(cdr={"started_at": start + shift, "ended_at": end + shift}, call={"ended_at": None})]
    )
    assert found(built.compare(Rules(duration="billable", clock_offset_s=37))) == [
        ("ended_at", None, "2026-10-05T08:01:10Z")
    ]
    assert [field for field, *_ in found(built.compare())] == ["ended_at", "started_at"]


def test_an_end_is_cut_to_the_precision_that_the_calls_show(matched: Any, row: Any) -> None:
    cdr_end = {"ended_at": at("2026-10-05T08:05:00.700000Z")}
    whole = matched([row(cdr=cdr_end)])
    assert found(whole.compare())[0][2] == "2026-10-05T08:05:00Z"
    fine = matched([row(cdr=cdr_end), row(call={"started_at": at("2026-10-05T08:10:00.250000Z")})])
    assert found(fine.compare())[0][2] == "2026-10-05T08:05:00.700000Z"


def test_nothing_is_found_where_cutting_or_rounding_arrives_at_what_the_api_has(
    matched: Any, row: Any
) -> None:
    strict = Rules(duration="billable", duration_tolerance_s=0, time_tolerance_s=0)
    cdr = {"ended_at": at("2026-10-05T08:01:10.700000Z"), "billable_s": 60.4}
    assert found(matched([row(cdr=cdr)]).compare(strict)) == []


@pytest.mark.parametrize("word", ["voicemail", "Voice-Mail"])
def test_a_completed_leg_does_not_contradict_a_voicemail_as_few_switches_know_who_picked_up(
    matched: Any, row: Any, word: str
) -> None:
    call = {"status": word}
    rows = [row(call=call, cdr={"status": "completed"}), row(call=call, cdr={"status": "busy"})]
    assert found(matched(rows).compare()) == [("status", word, "busy")]
    # Whoever says which words agree is believed.
    rules = Rules(duration="billable", status_map={"completed": ["completed"]})
    assert found(matched(rows).compare(rules)) == [("status", word, "completed"), ("status", word, "busy")]


@pytest.mark.parametrize(
    ("cause", "api", "differs"),
    [
        ("NO ANSWER", "canceled", False),
        ("NO ANSWER", "Cancelled", False),
        ("NO ANSWER", "missed", False),
        ("NO ANSWER", "busy", True),
        ("NO ANSWER", "completed", True),
        ("NO ANSWER", "answered", True),
        ("NO ANSWER", None, True),
        ("Unanswered", "busy", False),
        ("Unanswered", "failed", False),
        ("Unanswered", "completed", True),
        ("NO_ANSWER", "canceled", True),
        (None, "canceled", True),
    ],
)
def test_one_word_for_all_that_nobody_answered_contradicts_no_finer_word(
    matched: Any, row: Any, cause: str | None, api: str | None, differs: bool
) -> None:
    rows = [
        row(call={"status": api}, cdr={"status": "no_answer", "cause": cause, "is_answered": False}),
        row(call={"status": "busy"}, cdr={"status": "completed", "cause": "ANSWERED"}),
    ]
    comparison = matched(rows).compare()
    expected = [("status", api, "no_answer")] if differs else []
    assert [f for f in found(comparison) if f[0] == "status"] == [*expected, ("status", "busy", "completed")]
    assert comparison.no_evidence["status"] == (0 if differs else 1)
    # Whoever says which words agree is believed.
    pinned = matched(rows).compare(Rules(duration="billable", status_map={"no_answer": ["no_answer"]}))
    assert ("status", api, "no_answer") in found(pinned)


@pytest.mark.parametrize("cdr_status", [None, "unknown", "in_progress", "", "weird"])
def test_a_cdr_status_that_says_nothing_is_no_evidence(
    matched: Any, row: Any, cdr_status: str | None
) -> None:
    comparison = matched([row(cdr={"status": cdr_status}, call={"status": "answered"})]).compare()
    assert found(comparison) == []
    assert comparison.no_evidence["status"] == 1


def test_the_same_word_agrees_whatever_its_case_and_dashes(matched: Any, row: Any) -> None:
    rows = [
        row(cdr={"status": "no_answer"}, call={"status": word})
        for word in ("No-Answer", "NO_ANSWER", "noanswer")
    ]
    assert found(matched(rows).compare()) == []


def test_a_status_is_written_in_the_apis_own_spelling_where_it_occurs(matched: Any, row: Any) -> None:
    rows = [
        row(call={"status": "No-Answer"}, cdr={"status": "no_answer"}),
        row(call={"status": "Completed"}, cdr={"status": "no_answer"}),
        row(call={"status": "Completed"}, cdr={"status": "canceled"}),
        row(call={"status": None}, cdr={"status": "completed"}),
    ]
    assert found(matched(rows).compare()) == [
        ("status", "Completed", "No-Answer"),
        ("status", "Completed", "canceled"),
        ("status", None, "Completed"),
    ]


def test_the_status_map_says_which_words_agree_and_which_is_written(matched: Any, row: Any) -> None:
    rules = Rules(duration="billable", status_map={"voicemail": ["ended", "completed"], "missed": []})
    rows = [
        row(call={"status": "completed"}, cdr={"status": "voicemail"}),
        row(call={"status": "busy"}, cdr={"status": "voicemail"}),
        row(call={"status": "busy"}, cdr={"status": "missed"}),
    ]
    comparison = matched(rows).compare(rules)
    assert found(comparison) == [("status", "busy", "ended")]
    assert comparison.no_evidence["status"] == 1


def test_an_open_status_of_a_call_that_ended_differs(matched: Any, row: Any) -> None:
    comparison = matched(
        [row(call={"status": "answered", "ended_at": None, "duration_seconds": None})]
    ).compare()
    assert found(comparison) == [
        ("status", "answered", "completed"),
        ("duration_seconds", None, "60"),
        ("ended_at", None, "2026-10-05T08:01:10Z"),
    ]
    assert comparison.discrepancies["is_patchable"].all()


@pytest.mark.parametrize(
    ("api", "cdr", "cdr_e164", "differs"),
    [
        ("+442079460123", "02079460123", "+442079460123", False),
        ("+442079460123", "9020 7946-0123", None, False),
        ("+442079460123", "+442079460124", "+442079460124", True),
        ("+442079460123", "1001", None, True),
        ("+442079460123", "anonymous", None, False),
        ("+442079460123", None, None, False),
        (None, "+442079460123", "+442079460123", True),
        ("anonymous", "anonymous", None, False),
        ("+12079460123", "+442079460123", "+442079460123", True),
    ],
)
def test_numbers_are_compared_in_e164_and_otherwise_by_their_last_digits(
    matched: Any, row: Any, *, api: str | None, cdr: str | None, cdr_e164: str | None, differs: bool
) -> None:
    built = matched([row(call={"from_number": api}, cdr={"from_number": cdr, "from_e164": cdr_e164})])
    frame = built.compare().discrepancies
    assert frame["field"].tolist() == (["from_number"] if differs else [])
    assert not frame["is_patchable"].any()


def test_start_direction_numbers_and_user_are_reported_and_never_patchable(matched: Any, row: Any) -> None:
    call = {
        "started_at": at("2026-10-05T08:00:09Z"),
        "direction": "Outbound",
        "from_number": "+442079460199",
        "to_number": "+442079460188",
        "sip_username": "ben",
    }
    frame = matched([row(call=call, cdr={"sip_username": "ana"})]).compare().discrepancies
    assert frame["field"].tolist() == ["started_at", "direction", "from_number", "to_number", "sip_username"]
    assert not frame["is_patchable"].any()


def test_a_user_is_the_same_whatever_its_case_and_missing_differs(matched: Any, row: Any) -> None:
    rows = [row(call={"sip_username": "Ana "}, cdr={"sip_username": "ana"}), row(cdr={"sip_username": "ana"})]
    assert found(matched(rows).compare()) == [("sip_username", None, "ana")]


def test_a_call_that_never_started_may_get_a_status_only(matched: Any, row: Any) -> None:
    call = {"started_at": None, "ended_at": None, "duration_seconds": None, "status": "initiated"}
    frame = matched([row(call=call)]).compare().discrepancies
    assert frame.loc[frame["is_patchable"], "field"].tolist() == ["status"]
    assert frame["started_at"].tolist() == [at("2026-10-05T08:00:00Z")] * 4


def test_an_end_from_a_doubtful_local_time_is_not_patchable(matched: Any, row: Any) -> None:
    built = matched(
        [row(call={"ended_at": None, "duration_seconds": 5}, cdr={"time_problem": "repeated hour"})]
    )
    frame = built.compare().discrepancies.set_index("field")
    assert not frame.loc["ended_at", "is_patchable"]
    assert frame.loc["duration_seconds", "is_patchable"]


@pytest.mark.parametrize(
    ("rule", "late_s", "may"),
    [
        (2, 5, False),
        (2, 1, True),
        (0, 5, True),  # from those that an id matched clocks are judged as a whole
    ],
)
def test_without_an_id_an_end_is_not_written_where_the_starts_differ(
    matched: Any, row: Any, *, rule: int, late_s: int, may: bool
) -> None:
    start = at("2026-10-01T08:00:00Z")
    late = {
        name: start + pd.Timedelta(seconds=late_s + s) for name, s in (("started_at", 0), ("ended_at", 90))
    }
    rows = [row(call={"started_at": start, "ended_at": None}, cdr=late, rule=rule), row()]
    frame = matched(rows).compare().discrepancies
    assert frame.loc[frame["field"].eq("ended_at"), "is_patchable"].tolist() == [may]


@pytest.mark.parametrize(
    ("cdr", "api", "n_alike", "may"),
    [
        ("no_answer", "missed", 40, False),
        ("no_answer", "missed", 9, True),  # too few to call it a vocabulary
        ("completed", "ended", 40, False),  # nobody knows what the word means
        ("completed", "no_answer", 40, True),  # a talk shown unanswered is wrong however often it is
        ("completed", "answered", 40, True),  # and so is one shown open
    ],
)
def test_a_word_that_nearly_all_calls_of_a_cdr_status_have_is_a_matter_of_vocabulary(
    matched: Any, row: Any, *, cdr: str, api: str, n_alike: int, may: bool
) -> None:
    rows = [row(call={"status": api}, cdr={"status": cdr}) for _ in range(n_alike)]
    # One call has the CDR's own word, so that the API is known to have it.
    rows.append(row(call={"status": cdr}, cdr={"status": "busy"}))
    frame = matched(rows).compare().discrepancies
    assert frame["is_patchable"].tolist() == [*[may] * n_alike, True]
    assert frame["why_not"].isna().tolist() == [*[may] * n_alike, True]
    # Whoever maps the word is believed.
    rules = Rules(duration="billable", status_map={cdr: [cdr]})
    assert matched(rows).compare(rules).discrepancies["is_patchable"].all()


def test_seconds_too_many_for_the_api_are_not_patchable(matched: Any, row: Any) -> None:
    built = matched([row(cdr={"billable_s": 2.0**31})])
    assert built.compare().discrepancies["is_patchable"].tolist() == [False]


@pytest.mark.parametrize(
    ("n_legs", "first_s", "cdr_s", "seconds", "may"),
    [
        (2, 20.0, 35.0, 37, False),  # two legs lose a second each
        (2, 20.0, 35.0, 38, True),
        (2, 20.0, 35.5, 38, True),  # what has fractions was not cut
        (2, 35.0, 35.0, 37, True),  # the seconds are those of one leg
        (1, 35.0, 35.0, 37, True),
        (9, 20.0, 35.0, 39, False),
        (9, 20.0, 35.0, 40, True),  # however many legs there are, few of them talked
    ],
)
def test_seconds_put_together_from_legs_that_were_cut_prove_no_small_difference(
    matched: Any, row: Any, *, n_legs: int, first_s: float, cdr_s: float, seconds: int, may: bool
) -> None:
    cdr = {"n_legs": n_legs, "billable_s": cdr_s, "first_billable_s": first_s, "last_billable_s": 15.0}
    frame = matched([row(call={"duration_seconds": seconds}, cdr=cdr)]).compare().discrepancies
    frame = frame[frame["field"].eq("duration_seconds")]
    assert frame["is_patchable"].tolist() == [may]
    assert frame["why_not"].isna().tolist() == [may]


def test_only_pairs_of_the_period_are_compared(matched: Any, row: Any) -> None:
    built = matched([row(call={"status": "busy"}), row(call={"status": "failed"}), row()])
    comparison = built.compare(mask=np.array([False, True, True]))
    assert comparison.n_compared == 2
    assert comparison.discrepancies["call_id"].tolist() == ["id-1"]
    assert comparison.pair_rows.tolist() == [0]


def test_pairs_may_name_rows_in_any_order_and_frames_any_index(matched: Any, row: Any) -> None:
    built = matched([row(), row(call={"duration_seconds": 5}), row(talk=200)])
    calls = built.calls.iloc[[2, 0, 1]].set_axis([7, 7, 7])
    pairs = PairPositions(np.array([2, 0]), np.array([1, 2]), np.array([1, 2], np.int8))
    before = calls.copy()
    comparison = compare_pairs(Sides.of(calls, built.cdr_calls, pairs, BILLABLE), BILLABLE)
    frame = comparison.discrepancies
    assert frame[["call_id", "cdr_id", "match_rule"]].to_numpy().tolist() == [["id-1", "cdr-1", "linked_id"]]
    pd.testing.assert_frame_equal(calls, before)


def test_what_lies_within_tolerance_is_summed(matched: Any, row: Any) -> None:
    rows = [
        row(talk=61, call={"duration_seconds": 60}),
        row(talk=60, call={"duration_seconds": 61}),
        row(talk=60.5, call={"duration_seconds": 60}),
        row(talk=60.25, call={"duration_seconds": 60}),
    ]
    fields = matched(rows).compare().fields.set_index("field").loc["duration_seconds"]
    assert fields[["compared", "agreeing", "within_tolerance", "differing"]].tolist() == [4, 1, 3, 0]
    assert fields[["within_net_s", "within_gross_s"]].tolist() == [0.5, 2.5]


# An obvious, slow second opinion, one pair at a time, in plain Python.

MAYBE_SECONDS = st.none() | st.integers(0, 5) | st.sampled_from([60, 61, 62, 3600])
MAYBE_FINE = st.none() | st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.5, 3.25, 60.0, 61.0, 61.001, 3660.0])
MAYBE_END = st.none() | st.sampled_from(
    [pd.Timestamp("2026-10-05T08:01:00Z") + pd.Timedelta(seconds=s) for s in (0, 0.4, 2, 2.5, 3600, -4)]
)
STATUS = st.none() | st.sampled_from(
    ["completed", "Completed", "no-answer", "no_answer", "unknown", "busy", "answered"]
)
RULES = st.builds(
    Rules,
    duration=st.sampled_from(["billable", "total"]),
    duration_tolerance_s=st.sampled_from([0, 0.5, 1, 3]),
    duration_rounding=st.sampled_from(["half_up", "floor", "ceil"]),
    time_tolerance_s=st.sampled_from([0, 2]),
    clock_offset_s=st.sampled_from([0, -4, 0.5]),
)


@st.composite
def cases(draw: st.DrawFn) -> list[dict[str, dict[str, Any]]]:
    return [
        {
            "call": {
                "duration_seconds": draw(MAYBE_SECONDS),
                "ended_at": draw(MAYBE_END),
                "status": draw(STATUS),
                "sip_username": draw(st.none() | st.sampled_from(["ana", "ben"])),
            },
            "cdr": {
                "billable_s": draw(MAYBE_FINE),
                "total_s": draw(MAYBE_FINE),
                "ended_at": draw(MAYBE_END),
                "status": draw(st.none() | st.sampled_from(["completed", "no_answer", "unknown", "busy"])),
                "is_answered": draw(st.booleans() | st.none()),
                "sip_username": draw(st.none() | st.sampled_from(["ana", "ben"])),
            },
        }
        for _ in range(draw(st.integers(0, 6)))
    ]


def oracle(rows: list[dict[str, dict[str, Any]]], rules: Rules) -> set[tuple[int, str]]:
    differing = set()
    has_fractions = any(r["call"]["ended_at"] is not None and r["call"]["ended_at"].microsecond for r in rows)
    for n, pair in enumerate(rows):
        call, cdr = pair["call"], pair["cdr"]
        seconds = cdr["billable_s" if rules.duration == "billable" else "total_s"]
        if seconds is not None:
            how = {"half_up": ROUND_HALF_UP, "floor": ROUND_FLOOR, "ceil": ROUND_CEILING}[
                rules.duration_rounding
            ]
            written = int(Decimal(str(seconds)).quantize(Decimal(1), rounding=how))
            have = call["duration_seconds"]
            if have is None and not cdr["is_answered"]:
                have = 0
            if have is None or (
                abs(Decimal(str(seconds)) - have) > Decimal(str(rules.duration_tolerance_s))
                and written != have
            ):
                differing.add((n, "duration_seconds"))
        if cdr["ended_at"] is not None:
            end = cdr["ended_at"] - pd.Timedelta(seconds=rules.clock_offset_s)
            shown = end if has_fractions else end.floor("s")
            seen = call["ended_at"]
            if seen is not None and end == end.floor("s"):
                seen = seen.floor("s")
            if seen is None or (
                abs((end - seen).total_seconds()) > rules.time_tolerance_s and shown != call["ended_at"]
            ):
                differing.add((n, "ended_at"))
        if cdr["status"] not in {None, "unknown"}:
            words = {
                w: w and w.lower().replace("-", "").replace("_", "") for w in (call["status"], cdr["status"])
            }
            if words[call["status"]] != words[cdr["status"]]:
                differing.add((n, "status"))
        if cdr["sip_username"] is not None and cdr["sip_username"] != call["sip_username"]:
            differing.add((n, "sip_username"))
    return differing


def start_of(n: int, rules: Rules) -> dict[str, dict[str, Any]]:
    start = pd.Timestamp("2026-10-05T08:00:00Z") + pd.Timedelta(minutes=10 * n)
    return {
        "call": {"started_at": start},
        "cdr": {"started_at": start + pd.Timedelta(seconds=rules.clock_offset_s)},
    }


@settings(max_examples=50, deadline=None)
@given(rows=cases(), rules=RULES, at_once=st.sampled_from([1, 2, 100]))
def test_compare_agrees_with_a_slow_second_opinion(
    matched: Any, make_row: Any, rows: Any, rules: Rules, at_once: int
) -> None:
    built = matched(
        [
            make_row(
                call={**r["call"], **start_of(n, rules)["call"]},
                cdr={**r["cdr"], **start_of(n, rules)["cdr"]},
            )
            for n, r in enumerate(rows)
        ]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "_AT_ONCE", at_once)
        comparison = built.compare(rules)
    seen = set(zip(comparison.pair_rows.tolist(), comparison.discrepancies["field"].tolist(), strict=True))
    assert seen == oracle(rows, rules)
    fields = comparison.fields
    parts = fields[["agreeing", "within_tolerance", "no_evidence", "differing"]].sum(axis=1)
    assert parts.tolist() == fields["compared"].tolist()
    assert int(fields["differing"].sum()) == len(seen)


def test_pairs_stand_alike_in_blocks_and_all_at_once(
    matched: Any, make_row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        make_row(
            call={"duration_seconds": 60 + n % 4, "from_number": f"+4420794601{n % 3:02}"},
            cdr={"billable_s": 60.0, "from_number": "+442079460101", "is_coarse": n % 5 == 0},
        )
        for n in range(23)
    ]
    whole = matched(rows).compare()
    monkeypatch.setattr(core, "_AT_ONCE", 4)
    blocks = matched(rows).compare()
    for name, standing in whole.results.items():
        np.testing.assert_array_equal(blocks.results[name].standing, standing.standing)
        np.testing.assert_array_equal(blocks.results[name].within_us, standing.within_us)
    pd.testing.assert_frame_equal(blocks.discrepancies, whole.discrepancies)
    assert set(whole.discrepancies["field"]) >= {"duration_seconds", "from_number"}


@pytest.mark.parametrize("n_words", [1, 2, *range(124, 131), 32_768])
def test_as_many_words_as_there_are_stay_apart(matched: Any, make_row: Any, n_words: int) -> None:
    rows = [
        make_row(
            call={"sip_username": f"user{n}", "status": f"word{n}" if n else "completed"},
            cdr={"sip_username": f"user{n if n % 3 else n + 1}", "status": "completed"},
        )
        for n in range(n_words)
    ]
    found = matched(rows).compare()
    differing = {
        name: set(found.pair_rows[found.discrepancies["field"].eq(name)].tolist())
        for name in ("sip_username", "status")
    }
    assert differing["sip_username"] == set(range(0, n_words, 3))
    assert differing["status"] == set(range(1, n_words))
    written = found.discrepancies.loc[found.discrepancies["field"].eq("status"), "value_call"]
    assert written.tolist() == [f"word{n}" for n in range(1, n_words)]


@settings(max_examples=50, deadline=None)
@given(rows=cases(), rules=RULES)
def test_applying_every_patchable_value_leaves_nothing_to_correct(
    matched: Any, make_row: Any, rows: Any, rules: Rules
) -> None:
    built = matched([make_row(call=r["call"], cdr=r["cdr"]) for r in rows])
    changes = built.compare(rules).discrepancies.loc[lambda d: d["is_patchable"]]
    calls = built.calls.set_index("id", drop=False)
    for field in ("status", "duration_seconds", "ended_at"):
        rows_of = changes.loc[changes["field"] == field].set_index("call_id")["value_cdr"]
        values = {
            "status": lambda text: text,
            "duration_seconds": lambda text: text.astype("Int64"),
            "ended_at": text_to_instants,
        }[field](rows_of)
        calls = calls.assign(
            **{field: values.reindex(calls.index).combine_first(calls[field]).astype(calls[field].dtype)}
        )
    again = type(built)(calls.reset_index(drop=True), built.cdr_calls, built.pairs).compare(rules)
    assert not again.discrepancies["is_patchable"].any()


@settings(max_examples=30, deadline=None)
@given(rows=cases(), rules=RULES)
def test_a_side_compared_with_itself_shows_nothing(
    matched: Any, make_row: Any, rows: Any, rules: Rules
) -> None:
    same = []
    for r in rows:
        seconds = r["call"]["duration_seconds"]
        fine = None if seconds is None else float(seconds)
        start = pd.Timestamp("2026-10-05T08:00:00Z")
        shift = pd.Timedelta(seconds=rules.clock_offset_s)
        end = r["call"]["ended_at"]
        cdr = {
            **r["call"],
            "billable_s": fine,
            "total_s": fine,
            "started_at": start + shift,
            "ended_at": None if end is None else end + shift,
        }
        same.append(make_row(call={**r["call"], "started_at": start}, cdr=cdr))
    assert len(matched(same).compare(rules).discrepancies) == 0


@settings(max_examples=30, deadline=None)
@given(rows=cases(), rules=RULES)
def test_a_cdr_that_says_nothing_never_gives_a_row(
    matched: Any, make_row: Any, rows: Any, rules: Rules
) -> None:
    nothing = dict.fromkeys(
        [
            "billable_s",
            "total_s",
            "started_at",
            "answered_at",
            "ended_at",
            "status",
            "direction",
            "from_number",
            "to_number",
            "from_e164",
            "to_e164",
            "sip_username",
            "is_answered",
        ]
    )
    comparison = matched([make_row(call=r["call"], cdr=nothing) for r in rows]).compare(rules)
    assert len(comparison.discrepancies) == 0
    assert set(comparison.no_evidence.values()) == {len(rows)}
