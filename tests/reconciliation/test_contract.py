"""What reconciling promises, looked at from outside: expected values are worked out by hand."""

from __future__ import annotations

import inspect
import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile import keys
from sippet_reconcile.demo import sample_data
from sippet_reconcile.reconciliation import core
from sippet_reconcile.schema import CALLS, DISCREPANCIES, LEGS, PAIRS

Frames = Callable[..., pd.DataFrame]
Rows = list[dict[str, Any]]

START = pd.Timestamp("2026-10-05T08:00:00Z")
FROM, TO = "+442079460123", "+442079460999"
NO_KEY: dict[str, Any] = {"call_key": None, "linked_id": None}


def at(seconds: float) -> pd.Timestamp:
    return START + pd.Timedelta(seconds=seconds)


def leg(n: int = 0, start: float = 0, talk: float = 60, **other: Any) -> dict[str, Any]:
    """One leg that rings for ten seconds and then talks, if at all."""
    end = start + 10 + talk
    return {
        "started_at": at(start),
        "answered_at": at(start + 10) if talk else None,
        "ended_at": at(end),
        "total_s": 10 + talk,
        "billable_s": talk,
        "is_answered": talk > 0,
        "status": "completed" if talk else "no_answer",
        "from_number": FROM,
        "to_number": TO,
        "from_e164": FROM,
        "to_e164": TO,
        "call_key": f"uuid-{n}",
        "linked_id": f"uuid-{n}",
        "leg_id": f"leg-{n}",
        **other,
    }


def call(n: int = 0, start: float = 0, talk: int = 60, **other: Any) -> dict[str, Any]:
    """The call that agrees with such a leg."""
    return {
        "id": f"id-{n}",
        "call_uuid": f"uuid-{n}",
        "started_at": at(start),
        "ended_at": at(start + 10 + talk),
        "duration_seconds": talk,
        "status": "completed" if talk else "no_answer",
        "from_number": FROM,
        "to_number": TO,
        **other,
    }


Run = Callable[..., sr.Reconciliation]


def found(rec: sr.Reconciliation) -> dict[str, tuple[Any, Any, str]]:
    """Return field to API value, CDR value and explanation; one call is meant."""
    rows = rec.discrepancies.astype(object).where(rec.discrepancies.notna(), None)
    return {r.field: (r.value_call, r.value_cdr, r.explanation) for r in rows.itertuples(index=False)}


def buckets(rec: sr.Reconciliation) -> tuple[str, str]:
    """Return the bucket, or reason, of the first leg and of the first call."""
    leg_row, call_row = rec.legs.iloc[0], rec.calls.iloc[0]
    return tuple(
        str(row["reason"] if row["bucket"] == "excluded" else row["bucket"]) for row in (leg_row, call_row)
    )  # type: ignore[return-value] # two rows, two words


def between(first: float, last: float) -> sr.Period:
    return sr.Period(at(first).to_pydatetime(), at(last).to_pydatetime())


# ---------------------------------------------------------------- the interface


def test_reconcile_takes_two_frames_and_named_options() -> None:
    options = inspect.signature(sr.reconcile).parameters
    assert list(options) == ["legs", "calls", "period", "rules", "progress"]
    assert options["rules"].default == sr.Rules()
    assert options["period"].default is None


def test_the_default_rules_are_as_promised() -> None:
    assert sr.Rules().to_dict() == {
        "duration": "auto",
        "duration_tolerance_s": 1,
        "duration_rounding": "half_up",
        "time_tolerance_s": 2,
        "start_window_s": 60,
        "number_digits": 9,
        "settle_s": 7200,
        "clock_offset_s": 0,
        "open_statuses": ["initiated", "ringing", "answered"],
        "status_map": {},
        "internal_numbers": [],
    }


def test_nothing_against_nothing_has_every_column_and_stops() -> None:
    rec = sr.reconcile(LEGS.empty(), CALLS.empty(), progress=False)
    for frame, schema in ((rec.pairs, PAIRS), (rec.discrepancies, DISCREPANCIES)):
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == schema.dtypes
    assert list(rec.ambiguous.columns) == ["call_id", "cdr_id", "match_rule", "start_gap_s"]
    assert list(rec.excluded.columns) == ["side", "call_id", "cdr_id", "reason"]
    assert int(rec.balance["rows"].sum()) == 0
    assert rec.findings.codes == ("empty-side",)
    with pytest.raises(sr.PlanGuardError):
        sr.build_plan(rec)


def test_inputs_stay_as_they_are_whatever_their_index_and_further_columns(
    make_legs: Frames, make_calls: Frames
) -> None:
    legs = make_legs([leg(0), leg(1, 600)]).assign(note=[[1], {2}]).set_axis([5, 5])
    calls = make_calls([call(0), call(1, 600)]).assign(note="x").set_axis(["a", "a"])
    legs_before, calls_before = legs.copy(deep=True), calls.copy(deep=True)
    rec = sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"), progress=False)
    assert rec.legs["call_id"].tolist() == ["id-0", "id-1"]
    assert rec.calls["cdr_id"].tolist() == ["uuid-0", "uuid-1"]
    assert rec.legs.index.tolist() == [5, 5]
    pd.testing.assert_frame_equal(legs, legs_before)
    pd.testing.assert_frame_equal(calls, calls_before)


def test_calls_of_two_apis_are_refused(make_legs: Frames, make_calls: Frames) -> None:
    calls = make_calls([call(0), call(1, 600, api_url="https://other.example")])
    with pytest.raises(sr.SchemaError):
        sr.reconcile(make_legs([leg(0)]), calls, progress=False)


# ---------------------------------------------------------------- tolerances and rounding


@pytest.mark.parametrize(
    ("cdr_s", "api_s", "written"),
    [(61, 60, None), (59, 60, None), (61.4, 60, "61"), (62, 60, "62"), (61.5, 60, "62"), (1, 0, None)],
)
def test_durations_agree_within_a_second(
    reconciled: Run, cdr_s: float, api_s: int, written: str | None
) -> None:
    rec = reconciled([leg(billable_s=cdr_s)], [call(duration_seconds=api_s)])
    assert found(rec).get("duration_seconds", (None, None))[1] == written


@pytest.mark.parametrize(
    ("rounding", "written"), [("half_up", ["61", "60"]), ("floor", ["60", "60"]), ("ceil", ["61", "61"])]
)
def test_fractions_become_whole_seconds_as_the_rules_say(
    reconciled: Run, rounding: str, written: list[str]
) -> None:
    legs = [leg(0, billable_s=60.5), leg(1, 600, billable_s=60.49)]
    calls = [call(0, duration_seconds=10), call(1, 600, duration_seconds=10)]
    rec = reconciled(legs, calls, duration_rounding=rounding)
    assert rec.discrepancies["value_cdr"].tolist() == written
    assert rec.discrepancies["delta_s"].tolist() == pytest.approx([50.5, 50.49])


@pytest.mark.parametrize(("gap_s", "differs"), [(2, False), (-2, False), (3, True), (-3, True)])
def test_ends_agree_within_two_seconds(reconciled: Run, gap_s: float, differs: bool) -> None:
    rec = reconciled([leg(ended_at=at(70 + gap_s))], [call()])
    assert ("ended_at" in found(rec)) == differs


def test_the_clock_offset_is_what_the_cdr_is_ahead(reconciled: Run) -> None:
    rec = reconciled([leg(start=5, ended_at=at(85))], [call()], clock_offset_s=5)
    assert found(rec) == {"ended_at": ("2026-10-05T08:01:10Z", "2026-10-05T08:01:20Z", "unexplained")}
    assert rec.pairs["start_gap_s"].tolist() == [0.0]


# ---------------------------------------------------------------- missing is never evidence


def test_a_missing_cdr_value_is_no_discrepancy_and_is_counted(reconciled: Run) -> None:
    silent = {
        "billable_s": None,
        "total_s": None,
        "answered_at": None,
        "is_answered": None,
        "status": "unknown",
    }
    rec = reconciled([leg(**silent, direction=None, from_number=None, from_e164=None)], [call()])
    assert found(rec) == {}
    counted = {name for name, n in rec.summary()["no_evidence"].items() if n == 1}
    assert counted == {"status", "duration_seconds", "direction", "from_number", "sip_username"}


def test_a_missing_api_value_is_a_discrepancy(reconciled: Run) -> None:
    rec = reconciled([leg(sip_username="ana")], [call(duration_seconds=None, status=None)])
    assert found(rec)["duration_seconds"] == (None, "60", "missing")
    assert found(rec)["status"] == (None, "completed", "missing")
    assert found(rec)["sip_username"] == (None, "ana", "missing")
    patchable = rec.discrepancies.set_index("field")["is_patchable"]
    assert patchable.to_dict() == {"status": True, "duration_seconds": True, "sip_username": False}


def test_an_unanswered_call_without_a_duration_has_none(reconciled: Run) -> None:
    assert found(reconciled([leg(talk=0)], [call(talk=0, duration_seconds=None, ended_at=at(10))])) == {}


# ---------------------------------------------------------------- statuses


def test_the_first_word_of_the_status_map_is_written_and_all_agree(reconciled: Run) -> None:
    mapping = {"completed": ("ended", "hung_up")}
    assert found(reconciled([leg()], [call(status="Hung-Up")], status_map=mapping)) == {}
    assert found(reconciled([leg()], [call(status="missed")], status_map=mapping))["status"][1] == "ended"


def test_by_default_the_same_word_agrees_in_any_spelling(reconciled: Run) -> None:
    assert found(reconciled([leg(talk=0)], [call(talk=0, status="No-Answer", ended_at=at(10))])) == {}


# ---------------------------------------------------------------- explanations


@pytest.mark.parametrize(
    ("talk", "api_s", "name"),
    [
        (60, 70, "ring-time-included"),
        (47, 60, "rounded-up-60s"),
        (67, 90, "rounded-up-30s"),
        (68, 72, "rounded-up-6s"),
        (61.4, 60, "truncated-1s"),
        (60, 0, "zero"),
        (60, None, "missing"),
        (60, 3660, "off-by-3600s"),
        (60, 17, "unexplained"),
    ],
)
def test_wrong_durations_are_explained(reconciled: Run, talk: float, api_s: int | None, name: str) -> None:
    end = at(10 + talk)
    rec = reconciled([leg(talk=talk)], [call(duration_seconds=api_s, ended_at=end)])
    assert found(rec)["duration_seconds"][2] == name


def test_a_call_that_never_ended_and_one_cut_by_a_crash_are_told_apart(reconciled: Run) -> None:
    open_call = call(status="answered", ended_at=None, duration_seconds=None)
    assert {name[2] for name in found(reconciled([leg()], [open_call])).values()} == {"never-ended"}
    half = call(ended_at=None, duration_seconds=None)
    assert {name[2] for name in found(reconciled([leg()], [half])).values()} == {"cut-by-crash"}
    short = call(ended_at=at(40), duration_seconds=30)
    assert {name[2] for name in found(reconciled([leg()], [short])).values()} == {"cut-by-crash"}


def test_legs_forgotten_or_added_up_are_explained(reconciled: Run) -> None:
    # 10 to 70 s and 40 to 141 s: together 131 s, the last alone 101 s, added up 161 s.
    legs = [leg(linked_id="g"), leg(0, 30, talk=101, linked_id="g")]
    last = reconciled(legs, [call(duration_seconds=101, ended_at=at(141))])
    assert found(last) == {"duration_seconds": ("101", "131", "last-leg-only")}
    summed = reconciled(legs, [call(duration_seconds=161, ended_at=at(141))])
    assert found(summed) == {"duration_seconds": ("161", "131", "summed-legs")}


# ---------------------------------------------------------------- legs become calls


def test_talk_is_the_union_and_one_leg_keeps_its_own_seconds(reconciled: Run) -> None:
    both = reconciled([leg(linked_id="g"), leg(0, 30, linked_id="g")], [call()])
    # 10 to 70 s and 40 to 100 s.
    assert both.pairs[["n_legs", "billable_s_cdr", "total_s_cdr"]].to_numpy().tolist() == [[2, 90.0, 100.0]]
    alone = reconciled([leg(billable_s=59.0, total_s=68.0)], [call()])
    assert alone.pairs[["n_legs", "billable_s_cdr", "total_s_cdr"]].to_numpy().tolist() == [[1, 59.0, 68.0]]


def test_the_best_status_is_the_calls(reconciled: Run) -> None:
    words = ["completed", "voicemail", "busy", "no_answer", "missed", "canceled", "failed", "unknown"]
    for better, worse in itertools.pairwise(words):
        legs = [leg(talk=0, linked_id="g", status=word) for word in (worse, better)]
        assert reconciled(legs, [call()]).pairs["status_cdr"].tolist() == [better]


def test_a_leg_in_progress_leaves_the_call_open(reconciled: Run) -> None:
    legs = [leg(linked_id="g"), leg(linked_id="g", status="in_progress", ended_at=None)]
    assert buckets(reconciled(legs, [call()])) == ("cdr-open", "cdr-open")


def test_only_the_same_record_again_is_a_duplicate(reconciled: Run) -> None:
    again = {"record_hash": 5}
    rec = reconciled([leg(**again), leg(**again, source_file="b.csv")], [call()])
    assert (rec.legs["bucket"].tolist(), rec.pairs["n_legs"].tolist()) == (["matched", "duplicate"], [1])
    parallel = reconciled([leg(**again, x_codec="PCMU"), leg(**again, x_codec="G729")], [call()])
    assert parallel.pairs["n_legs"].tolist() == [2]


def test_helpers_and_unusable_rows_are_counted_and_set_aside(reconciled: Run) -> None:
    legs = [leg(is_helper=False), leg(0, 300, is_helper=True), leg(1, is_helper=False, problem="cut off")]
    rec = reconciled(legs, [call(), call(1)])
    assert rec.legs["bucket"].tolist() == ["matched", "helper", "unusable"]
    assert rec.legs["reason"].tolist()[2] == "cut off"
    assert rec.only_in_api["id"].tolist() == ["id-1"]
    assert int(rec.balance.loc[rec.balance["side"].eq("cdr"), "rows"].sum()) == 3


# ---------------------------------------------------------------- matching


def test_keys_match_whatever_their_case_and_dashes(reconciled: Run) -> None:
    uuid = "8c1f3c52-0000-4000-8000-00000000000a"
    rec = reconciled(
        [leg(call_key=uuid.replace("-", "").upper())], [call(call_uuid=uuid, started_at=at(9e5))]
    )
    assert rec.pairs["match_rule"].tolist() == ["call_uuid"]


def test_two_calls_with_one_key_are_ambiguous(reconciled: Run) -> None:
    rec = reconciled([leg()], [call(), call(1, call_uuid="UUID-0", duration_seconds=5)])
    assert rec.ambiguous[["call_id", "cdr_id"]].to_numpy().tolist() == [
        ["id-0", "uuid-0"],
        ["id-1", "uuid-0"],
    ]
    assert len(rec.discrepancies) == len(rec.pairs) == 0
    assert rec.calls["bucket"].tolist() == ["ambiguous"] * 2


def test_a_group_that_names_two_calls_is_split(reconciled: Run) -> None:
    legs = [leg(0, linked_id="g"), leg(1, 100, linked_id="g")]
    rec = reconciled(legs, [call(0), call(1, 100)])
    assert rec.pairs[["call_id", "n_legs"]].to_numpy().tolist() == [["id-0", 1], ["id-1", 1]]


def test_the_linked_id_is_tried_then_the_conversation(reconciled: Run) -> None:
    linked = reconciled([leg(7, linked_id="UUID0")], [call()])
    assert linked.pairs["match_rule"].tolist() == ["linked_id"]
    apart = leg(7, 9e4, linked_id="C-1")
    assert len(reconciled([apart], [call(conversation_id="c1")]).pairs) == 1
    twice = reconciled([apart], [call(conversation_id="c1"), call(1, conversation_id="c1")])
    assert len(twice.pairs) == 0


@pytest.mark.parametrize(("gap_s", "matches"), [(60, True), (-60, True), (61, False), (-61, False)])
def test_the_window_of_starts_is_a_minute(reconciled: Run, gap_s: float, matches: bool) -> None:
    rec = reconciled([leg(start=gap_s, **NO_KEY)], [call()])
    assert rec.pairs["match_rule"].tolist() == ["numbers_and_time"] * matches


def test_near_ties_are_never_decided(reconciled: Run) -> None:
    rec = reconciled([leg(start=5, **NO_KEY)], [call(0), call(1, 10)])
    assert rec.ambiguous["call_id"].tolist() == ["id-0", "id-1"]
    clear = reconciled([leg(start=5, **NO_KEY)], [call(0), call(1, 40)])
    assert clear.pairs["call_id"].tolist() == ["id-0"]


@pytest.mark.parametrize(
    ("other", "matches"),
    [
        ({"from_number": "02079460123", "from_e164": None}, True),  # the last nine digits
        ({"from_number": "02079460124", "from_e164": None}, False),
        ({"direction": None}, True),
        ({"direction": "outbound"}, False),
        ({"to_number": None, "to_e164": None}, False),
        ({"time_problem": "started_at occurred twice"}, False),
    ],
)
def test_numbers_and_direction_must_not_contradict(
    reconciled: Run, other: dict[str, Any], matches: bool
) -> None:
    rec = reconciled([leg(**{**NO_KEY, **other})], [call()])
    assert (len(rec.pairs) == 1) == matches


def test_missing_keys_never_match_missing_keys(reconciled: Run) -> None:
    unknown = {"from_number": None, "from_e164": None}
    rec = reconciled([leg(**NO_KEY, **unknown)], [call(call_uuid=None, from_number=None)])
    assert buckets(rec) == ("only_in_cdr", "only_in_api")


def test_the_order_of_rows_changes_nothing(make_legs: Frames, make_calls: Frames) -> None:
    legs = make_legs(
        [leg(n, 40 * n, **(NO_KEY if n % 3 else {"linked_id": f"g{n // 9}"})) for n in range(40)]
    )
    calls = make_calls([call(n, 40 * n + n % 9) for n in range(40)])
    shuffle = np.random.default_rng(7).permutation(40)

    def outcome(legs: pd.DataFrame, calls: pd.DataFrame) -> list[pd.DataFrame]:
        rec = sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"), progress=False)
        return [
            rec.pairs.sort_values("call_id", ignore_index=True),
            rec.ambiguous.sort_values(["call_id", "cdr_id"], ignore_index=True),
            rec.legs[["leg_id", "cdr_id", "bucket"]].sort_values("leg_id", ignore_index=True),
            rec.balance,
        ]

    shuffled = outcome(legs.iloc[shuffle], calls.iloc[shuffle[::-1]])
    for one, other in zip(outcome(legs, calls), shuffled, strict=True):
        pd.testing.assert_frame_equal(one, other)


# ---------------------------------------------------------------- period and open calls


@pytest.mark.parametrize(
    ("period", "bucket"),
    [((0, 100), "matched"), ((-100, 0), "outside_period"), ((1, 100), "outside_period")],
)
def test_a_pair_belongs_by_the_apis_start(reconciled: Run, period: tuple[float, float], bucket: str) -> None:
    rec = reconciled([leg(start=2)], [call(duration_seconds=5)], between(*period))
    assert buckets(rec) == (bucket, bucket)
    assert (len(rec.discrepancies) > 0) == (bucket == "matched")


def test_an_unmatched_row_belongs_by_its_own_start(reconciled: Run) -> None:
    rec = reconciled(
        [leg(0, 50), leg(1, 150)],
        [call(8, 99, to_number=FROM), call(9, 100, to_number=FROM)],
        between(0, 100),
    )
    assert rec.legs["bucket"].tolist() == ["only_in_cdr", "outside_period"]
    assert rec.calls["bucket"].tolist() == ["only_in_api", "outside_period"]
    assert (len(rec.only_in_cdr), len(rec.only_in_api)) == (1, 1)


def test_calls_that_never_started_are_matched_by_key_only(reconciled: Run) -> None:
    never = {"started_at": None, "ended_at": None, "duration_seconds": None, "status": "initiated"}
    assert len(reconciled([leg()], [call(**never)], between(0, 100)).pairs) == 1
    assert buckets(reconciled([leg(**NO_KEY)], [call(**never)])) == ("only_in_cdr", "never-started")


@pytest.mark.parametrize(
    ("after_end_s", "reason"), [(7199, "too-young"), (7200, "matched"), (1_000_000, "matched")]
)
def test_time_is_judged_when_the_calls_were_fetched(reconciled: Run, after_end_s: float, reason: str) -> None:
    rec = reconciled([leg()], [call(fetched_at=at(70 + after_end_s))])
    assert buckets(rec) == (reason, reason)


def test_open_and_internal_calls_are_excluded(reconciled: Run) -> None:
    assert buckets(reconciled([leg(ended_at=None)], [call()])) == ("cdr-open", "cdr-open")
    assert buckets(reconciled([leg(direction="internal")], [call()])) == ("internal", "internal")
    rec = reconciled([leg()], [call(duration_seconds=5)], internal_numbers=(FROM, TO))
    assert buckets(rec) == ("internal", "internal")
    assert len(rec.discrepancies) == 0
    assert rec.excluded["reason"].tolist() == ["internal", "internal"]
    assert buckets(reconciled([leg()], [call()], internal_numbers=(FROM,))) == ("matched", "matched")


def test_open_calls_without_a_cdr_are_reported_and_never_planned(reconciled: Run) -> None:
    stuck = call(1, 500, status="ringing", ended_at=None, duration_seconds=None)
    rec = reconciled([leg()], [call(), stuck])
    assert rec.findings["stuck-calls"].evidence["call_id"].tolist() == ["id-1"]
    assert sr.build_plan(rec).changes.empty


def test_an_end_is_never_planned_from_a_doubtful_local_time(reconciled: Run) -> None:
    rec = reconciled(
        [leg(time_problem="ended_at was skipped", ended_at=at(300))], [call(duration_seconds=30)]
    )
    plan = sr.build_plan(rec)
    assert plan.changes["field"].tolist() == ["duration_seconds"]
    assert plan.left_out["field"].tolist() == ["ended_at"]


# ---------------------------------------------------------------- findings


def many(count: int, shift: float = 0, **other: Any) -> tuple[Rows, Rows]:
    legs = [leg(n, 600 * n + shift, talk=60 + n % 37) for n in range(count)]
    return legs, [call(n, 600 * n, talk=60 + n % 37, **other) for n in range(count)]


@pytest.mark.parametrize(
    ("count", "n_total", "severity", "duration"),
    [
        (199, 0, "stop", "billable"),
        (200, 0, "info", "billable"),
        (200, 8, "info", "billable"),  # 96 %
        (200, 12, "stop", "billable"),  # 94 %
        (200, 192, "info", "total"),
    ],
)
def test_the_basis_is_proposed_only_by_enough_pairs_that_agree(
    reconciled: Run, count: int, n_total: int, severity: str, duration: str
) -> None:
    legs, calls = many(count)
    for row in calls[:n_total]:
        row["duration_seconds"] += 10
    rec = reconciled(legs, calls, duration="auto")
    assert rec.findings["duration-basis"].severity == severity
    if severity == "info":
        assert f'duration = "{duration}"' in rec.summary()["rules_toml"]


def test_a_stop_refuses_a_plan_until_accepted_by_code(reconciled: Run) -> None:
    rec = reconciled([leg()], [call(duration_seconds=70)], duration="auto")
    with pytest.raises(sr.PlanGuardError, match="duration-basis"):
        sr.build_plan(rec)
    assert sr.build_plan(rec, accept=("duration-basis",)).changes["after"].tolist() == ["60"]


def test_a_shifted_zone_stops_and_accepting_it_plans_no_end(reconciled: Run) -> None:
    rec = reconciled(*many(60, shift=3600, status="busy"))
    assert rec.findings["timezone-shift"].severity == "stop"
    plan = sr.build_plan(rec, fields=["ended_at"], accept=("timezone-shift",), max_share=1)
    assert plan.changes.empty
    part = many(100)
    part[0][70:] = [leg(n, 600 * n + 3600, talk=60 + n % 37) for n in range(70, 100)]
    assert "timezone-shift" in reconciled(*part).findings.codes


def test_a_clock_that_is_off_stops_until_it_is_removed(reconciled: Run) -> None:
    rec = reconciled(*many(60, shift=5))
    assert rec.findings["clock-offset"].severity == "stop"
    assert reconciled(*many(60, shift=5), clock_offset_s=5).findings.codes == ()
    assert reconciled(*many(60, shift=2)).findings.codes == ()


def test_a_basis_that_the_data_contradict_stops(reconciled: Run) -> None:
    assert reconciled(*many(200), duration="total").findings["duration-basis"].severity == "stop"


def test_calls_alone_are_checked(make_calls: Frames) -> None:
    calls = make_calls(
        [
            call(0),
            call(1, call_uuid="UUID0"),
            call(2, status="answered", ended_at=None),
            call(3, ended_at=at(-5)),
            call(4, duration_seconds=999),
        ]
    )
    findings = sr.check_calls(calls)
    assert set(findings.codes) == {"stuck-calls", "impossible-calls", "duplicate-calls"}
    assert findings["impossible-calls"].evidence["call_id"].tolist() == ["id-3", "id-4"]


# ---------------------------------------------------------------- views


def test_the_ledger_ties_out(reconciled: Run) -> None:
    legs, calls = many(50)
    for n, row in enumerate(calls):
        row["duration_seconds"] = [row["duration_seconds"], None, row["duration_seconds"] + 1, 500, 0][n % 5]
    rec = reconciled(legs, calls)
    ledger = rec.ledger()
    lines = ledger.loc[ledger["field"].eq("duration_seconds")].set_index("explanation")
    assert lines["n_calls"].sum() == 50
    assert lines["before_s"].sum() == sum(row["duration_seconds"] or 0 for row in calls)
    assert (lines["before_s"] + lines["change_s"]).tolist() == lines["after_s"].tolist()
    within = lines.loc["within tolerance, not corrected"]
    assert (within["n_calls"], within["net_s"], within["gross_s"]) == (10, -10.0, 10.0)
    assert rec.rollup(by=["field", "explanation"])["n_calls"].sum() == len(rec.discrepancies)


@pytest.mark.parametrize(
    "by",
    ["day", "hour", "direction", "user", "source_file", ["day", "hour", "direction", "user", "source_file"]],
    ids=str,
)
def test_a_ledger_by_anything_adds_up_to_the_plain_one_and_to_the_balance(reconciled: Run, by: Any) -> None:
    legs, calls = many(60)
    for n, row in enumerate(calls):
        row["duration_seconds"] = [row["duration_seconds"], None, row["duration_seconds"] + 1, 500, 0][n % 5]
        row["sip_username"] = ["ana", "ben", None][n % 3]
        row["direction"] = ["inbound", "outbound"][n % 2]
    for n, row in enumerate(legs):
        row["source_file"] = f"week-{n % 4}.csv"
        row["started_at"] += pd.Timedelta(seconds=n % 2)
    rec = reconciled(legs, calls)
    matched = rec.balance.query("side == 'api' and bucket == 'matched'")["rows"].sum()
    keys = ["field", "explanation", "is_corrected"]
    sums = ["n_calls", "before_s", "change_s", "after_s"]
    split = rec.ledger(by=by)
    assert list(split.columns)[: len([by] if isinstance(by, str) else by)] == (
        [by] if isinstance(by, str) else by
    )
    assert split.groupby("field")["n_calls"].sum().eq(matched).all()
    added = split.groupby(keys)[sums].sum(min_count=1).sort_index()
    pd.testing.assert_frame_equal(added, rec.ledger().set_index(keys)[sums].sort_index())


def test_a_summary_has_the_roll_up_in_two_sentences_and_rules_to_pin(reconciled: Run) -> None:
    legs, calls = many(20)
    for row in calls[:4]:
        row["duration_seconds"] = 0
    said = reconciled(legs, calls).summary()
    gone = sum(row["billable_s"] for row in legs[:4])
    assert said["rollup"] == [
        f"All of 4 differences are explained: 4 of 4 wrong durations are zero (+{gone:,.0f} s).",
        "Nothing is unexplained; a plan may correct 4 calls.",
    ]
    assert sr.Rules(duration="billable") == sr.Rules.from_toml(said["proposed_rules_toml"])
    assert isinstance(said["not_enough_evidence"], list)


def test_what_is_saved_comes_back(reconciled: Run, tmp_path: Path) -> None:
    rec = reconciled([leg(), leg(5, 900)], [call(duration_seconds=70), call(9, 5000)])
    rec.save(tmp_path / "rec")
    back = sr.load_reconciliation(tmp_path / "rec")
    assert back.summary() == rec.summary()
    for name in ("pairs", "discrepancies", "only_in_cdr", "only_in_api", "legs", "calls", "balance"):
        pd.testing.assert_frame_equal(getattr(back, name), getattr(rec, name))
    pd.testing.assert_frame_equal(back.ledger(by="day"), rec.ledger(by="day"))
    assert repr(back.show("id-0")) == repr(rec.show("id-0"))


def test_one_call_is_shown_with_its_legs_by_file_and_line(reconciled: Run) -> None:
    shown = str(reconciled([leg()], [call(duration_seconds=70)]).show("id-0"))
    assert "a.csv:2" in shown
    assert "ring-time-included" in shown
    assert FROM not in shown


# ---------------------------------------------------------------- two clocks, seen in one call


def left_out(plan: sr.Plan) -> dict[str, str]:
    """Return field to the reason why it is not planned; one call is meant."""
    return dict(zip(plan.left_out["field"], plan.left_out["reason"], strict=True))


@pytest.mark.parametrize("shift", [3600, -3600, 5, 3])
def test_an_end_that_differs_as_its_start_does_is_not_planned(reconciled: Run, shift: float) -> None:
    rec = reconciled([leg(start=shift)], [call(duration_seconds=30)])
    ends = rec.discrepancies.loc[rec.discrepancies["field"].eq("ended_at")]
    assert ends["is_patchable"].tolist() == [False]
    plan = sr.build_plan(rec)
    assert plan.changes["field"].tolist() == ["duration_seconds"]
    why = "its start and end differ alike: a clock, not the end"
    assert left_out(plan)["ended_at"] == why
    assert why in str(rec.show("id-0"))


def test_an_end_that_differs_alone_is_planned(reconciled: Run) -> None:
    # The start is 5 s off, the end 300 s: no clock explains both.
    rec = reconciled([leg(start=5, ended_at=at(370))], [call()])
    assert sr.build_plan(rec).changes["field"].tolist() == ["ended_at"]


def test_the_clock_offset_is_removed_before_start_and_end_are_held_together(reconciled: Run) -> None:
    rec = reconciled([leg(start=5, ended_at=at(85))], [call()], clock_offset_s=5)
    assert sr.build_plan(rec).changes["after"].tolist() == ["2026-10-05T08:01:20Z"]
    rec = reconciled([leg(start=10)], [call()], clock_offset_s=5)
    assert sr.build_plan(rec).changes.empty


def test_a_missing_end_is_not_filled_from_a_clock_an_hour_off(reconciled: Run) -> None:
    rec = reconciled([leg(start=3600)], [call(ended_at=None)])
    plan = sr.build_plan(rec)
    assert plan.changes.empty
    assert left_out(plan)["ended_at"] == "its start is off by whole quarter hours, as a clock is and no end"
    assert sr.build_plan(reconciled([leg(start=30)], [call(ended_at=None)])).changes["field"].tolist() == [
        "ended_at"
    ]


def test_a_dozen_of_two_hundred_calls_shifted_by_an_hour_get_no_end(reconciled: Run) -> None:
    legs, calls = many(200)
    legs[188:] = [leg(n, 600 * n + 3600, talk=60 + n % 37) for n in range(188, 200)]
    rec = reconciled(legs, calls)
    plan = sr.build_plan(rec, accept=("timezone-shift",))
    assert plan.changes.empty
    assert len(plan.left_out) == 12


# ---------------------------------------------------------------- legs of which something is not known

TWICE = "ended_at 2026-10-25 01:10:00 occurred twice in Europe/London"


@pytest.mark.parametrize(("doubt", "bucket"), [(None, "cdr-open"), (TWICE, "matched")])
@pytest.mark.parametrize("ended_at", [at(330), None])
def test_a_call_with_a_leg_of_unknown_end_is_not_shortened(
    reconciled: Run, doubt: str | None, bucket: str, ended_at: pd.Timestamp | None
) -> None:
    # The second leg talked 200 s and its end is not known; the API's record is right.
    second = leg(0, 60, talk=200, linked_id="g", ended_at=None, time_problem=doubt)
    agreeing = call(ended_at=ended_at, duration_seconds=330)
    rec = reconciled([leg(linked_id="g"), second], [agreeing], duration="total")
    assert buckets(rec) == (bucket, bucket)
    assert sr.build_plan(rec).changes.empty


def test_a_call_with_a_leg_of_unknown_start_is_not_shortened(reconciled: Run) -> None:
    first = leg(
        0, 0, started_at=None, answered_at=None, linked_id="g", time_problem="started_at occurred twice"
    )
    rec = reconciled(
        [first, leg(0, 100, linked_id="g")], [call(ended_at=at(170), duration_seconds=170)], duration="total"
    )
    assert rec.pairs["total_s_cdr"].isna().all()
    assert sr.build_plan(rec).changes.empty


# ---------------------------------------------------------------- what is outside the period


def test_what_is_outside_the_period_is_in_no_finding(reconciled: Run) -> None:
    outside = [
        call(0, status="ringing", ended_at=None),
        call(5, ended_at=at(-50)),
        call(6),
        call(7, call_uuid="uuid-6", status="weird"),
        call(8),
    ]
    legs = [leg(8, status="voicemail"), leg(9, 1000)]
    rec = reconciled(legs, [*outside, call(9, 1000)], between(500, 2000))
    assert rec.calls["bucket"].tolist() == ["outside_period"] * 5 + ["matched"]
    assert rec.findings.codes == ()
    assert set(reconciled(legs, [*outside, call(9, 1000)]).findings.codes) == {
        "stuck-calls",
        "impossible-calls",
        "duplicate-calls",
        "status-vocabulary",
    }


def test_findings_count_what_is_inside_the_period_alone(reconciled: Run) -> None:
    calls = [call(n, start, ended_at=at(start - 5)) for n, start in enumerate((0, 1000, 1100))]
    finding = reconciled([leg(9, 1000)], [*calls, call(9, 1000)], between(500, 2000)).findings[
        "impossible-calls"
    ]
    assert finding.evidence["call_id"].tolist() == ["id-1", "id-2"]
    assert "2 ended before they started" in finding.message


def test_a_call_uuid_shared_across_the_edge_of_the_period_is_told_with_both_calls(reconciled: Run) -> None:
    calls = [call(0, 0), call(1, 1000, call_uuid="uuid-0"), call(9, 1500)]
    finding = reconciled([leg(9, 1500)], calls, between(500, 2000)).findings["duplicate-calls"]
    assert finding.evidence["call_id"].tolist() == ["id-0", "id-1"]


def test_a_call_read_twice_outside_the_period_is_in_no_finding(reconciled: Run) -> None:
    early = [call(0, status="ringing", ended_at=None, fetched_at=at(86400 * days)) for days in (30, 31)]
    rec = reconciled([leg(9, 1000)], [*early, call(9, 1000)], between(500, 2000))
    assert rec.calls["bucket"].tolist() == ["duplicate", "outside_period", "matched"]
    assert rec.findings.codes == ()


# ---------------------------------------------------------------- which legs are one call


def test_linked_ids_group_whatever_their_case_and_dashes(reconciled: Run) -> None:
    legs = [leg(call_key="a-1", linked_id="AB-CD"), leg(call_key="a-2", linked_id="abcd", start=20)]
    rec = reconciled(legs, [call(call_uuid="ab-cd")])
    assert rec.pairs["n_legs"].tolist() == [2]
    assert rec.legs["cdr_id"].tolist() == ["AB-CD", "AB-CD"]


@pytest.mark.parametrize("turned", [False, True])
def test_a_leg_without_a_linked_id_joins_the_group_that_has_its_key(reconciled: Run, turned: bool) -> None:
    # The leg that names no group comes first in time, so it leads the call and yet does not name it.
    legs = [leg(linked_id=None), leg(start=70, linked_id="g", call_key="UUID0"), leg(3, 600, linked_id="h")]
    rec = reconciled(legs[::-1] if turned else legs, [call()])
    assert rec.pairs["n_legs"].tolist() == [2]
    assert rec.pairs["cdr_id"].tolist() == ["g"]
    assert rec.only_in_cdr["cdr_id"].tolist() == ["h"]


def test_a_leg_whose_key_occurs_in_two_groups_joins_none(reconciled: Run) -> None:
    legs = [
        leg(linked_id="g", call_key="k"),
        leg(1, 600, linked_id="h", call_key="k"),
        leg(2, 900, linked_id=None, call_key="k"),
    ]
    assert reconciled(legs, [call()]).cdr_calls["n_legs"].tolist() == [1, 1, 1]


def test_a_key_that_is_the_linked_id_of_another_group_is_decided_by_nobody(reconciled: Run) -> None:
    legs = [
        leg(linked_id="g", call_key="k"),
        leg(1, 600, linked_id="k", call_key="x"),
        leg(2, 900, linked_id=None, call_key="k"),
    ]
    groups = reconciled(legs, [call()]).legs["cdr_id"]
    assert groups[0] != groups[1] == groups[2]


# ---------------------------------------------------------------- the same in another spelling


@pytest.mark.parametrize(
    "own", [("+44 20 7946 0123", "+44 20 7946 0999"), ("00442079460123", " 0044 20 7946 0999 ")]
)
def test_internal_numbers_are_compared_as_numbers(reconciled: Run, own: tuple[str, ...]) -> None:
    rec = reconciled([leg(), leg(1, 900)], [call()], internal_numbers=own)
    assert rec.calls["reason"].tolist() == ["internal"]
    assert rec.legs["reason"].tolist() == ["internal", "internal"]


def test_one_api_may_be_spelled_in_several_ways(make_legs: Frames, make_calls: Frames) -> None:
    spelled = ["https://api.example", "HTTPS://API.example:443/", "https://api.example/"]
    calls = make_calls([call(n, 600 * n, api_url=url) for n, url in enumerate(spelled)])
    rec = sr.reconcile(make_legs([leg()]), calls, rules=sr.Rules(duration="billable"), progress=False)
    assert rec.api_url == "https://api.example"
    for other in ("http://api.example", "https://api.example/v2", "not a url"):
        mixed = make_calls([call(0), call(1, 600, api_url=other)])
        with pytest.raises(sr.SchemaError, match="2 APIs"):
            sr.reconcile(make_legs([leg()]), mixed, progress=False)


@pytest.mark.parametrize("wanted", ["ID-0", "id-0", " Id-0 ", "UUID-0"])
def test_a_call_is_shown_whatever_the_case_of_its_id(reconciled: Run, wanted: str) -> None:
    assert reconciled([leg()], [call()]).show(wanted).call_id == "id-0"


@pytest.mark.parametrize("wanted", ["UUID-5", "Leg-5"])
def test_a_cdr_call_is_shown_whatever_the_case_of_its_id(reconciled: Run, wanted: str) -> None:
    assert reconciled([leg(5)], [call()]).show(wanted).cdr_id == "uuid-5"


def test_an_id_spelled_as_asked_comes_before_one_in_another_case(reconciled: Run) -> None:
    calls = [call(0, id="ab"), call(1, 600, id="AB")]
    assert reconciled([leg()], calls).show("AB").call_id == "AB"


def test_a_leg_without_a_start_that_no_id_matched_belongs_to_no_period(reconciled: Run) -> None:
    rec = reconciled([leg(started_at=None, **NO_KEY)], [call()], between(0, 100))
    assert rec.legs["reason"].tolist() == ["no-start"]


# ---------------------------------------------------------------- times printed without seconds


def coarse_leg(n: int = 0, start: float = 0, **other: Any) -> dict[str, Any]:
    """A leg of a minute whose stamps show the minute only, and that counts no seconds of its own."""
    stamps = {"started_at": at(start), "answered_at": at(start), "ended_at": at(start + 60)}
    return leg(n, start, is_coarse=True, total_s=None, billable_s=None, **(stamps | other))


@pytest.mark.parametrize(
    ("started", "ended", "differing"),
    [
        (0, 60, []),
        (59.9, 119.9, []),
        (61, 121, []),
        (-2, 58, []),
        (63, 70, ["started_at"]),
        (10, 57, ["ended_at"]),
        (10, 123, ["ended_at"]),
    ],
)
def test_a_stamp_without_seconds_stands_for_its_whole_minute(
    reconciled: Run, started: float, ended: float, differing: list[str]
) -> None:
    rec = reconciled([coarse_leg()], [call(started_at=at(started), ended_at=at(ended))])
    assert rec.discrepancies["field"].tolist() == differing
    assert sr.build_plan(rec).changes.empty


def test_no_end_is_planned_from_times_without_seconds(reconciled: Run) -> None:
    for end in (at(600), None):
        rec = reconciled([coarse_leg()], [call(ended_at=end, status="no_answer")])
        plan = sr.build_plan(rec, statuses=["completed"])
        assert plan.changes["field"].tolist() == ["status"]
        assert left_out(plan) == {"ended_at": "its times are printed without seconds"}
        assert "its times are printed without seconds" in str(rec.show("id-0"))
        assert rec.cdr_calls["is_coarse"].tolist() == [True]


def test_a_call_without_an_end_that_counts_its_seconds_is_over(reconciled: Run) -> None:
    # FreePBX exports a start and seconds; a start without its own seconds gives no end.
    began = coarse_leg(ended_at=None, answered_at=None) | {"total_s": 70.0, "billable_s": 60.0}
    lost = call(started_at=at(20), ended_at=None, duration_seconds=None)
    rec = reconciled([began], [lost])
    assert buckets(rec) == ("matched", "matched")
    assert rec.discrepancies["field"].tolist() == ["duration_seconds"]
    for open_ in (began | {"total_s": None}, began | {"status": "in_progress"}, began | {"is_coarse": False}):
        assert buckets(reconciled([open_], [lost])) == ("cdr-open", "cdr-open")


@pytest.mark.parametrize(("fetched_s", "bucket"), [(7200 + 129, "too-young"), (7200 + 130, "matched")])
def test_a_call_without_an_end_has_settled_once_its_minute_and_its_seconds_are_over(
    reconciled: Run, fetched_s: float, bucket: str
) -> None:
    began = coarse_leg(ended_at=None, answered_at=None) | {"total_s": 70.0, "billable_s": 60.0}
    assert buckets(reconciled([began], [call(fetched_at=at(fetched_s))])) == (bucket, bucket)


def test_stamps_without_seconds_are_no_wrong_clock_and_yet_show_a_wrong_zone(reconciled: Run) -> None:
    calls = [call(n, 600 * n + n % 60, talk=40) for n in range(60)]
    assert reconciled([coarse_leg(n, 600 * n) for n in range(60)], calls).findings.codes == ()
    shifted = reconciled([coarse_leg(n, 600 * n + 3600) for n in range(60)], calls)
    assert shifted.findings.codes == ("timezone-shift",)


def test_seconds_of_several_legs_are_not_counted_between_stamps_without_seconds(reconciled: Run) -> None:
    legs = [coarse_leg(linked_id="g"), coarse_leg(1, 60, linked_id="g")]
    rec = reconciled(legs, [call(ended_at=at(130), duration_seconds=85)], duration="total")
    assert rec.pairs[["total_s_cdr", "billable_s_cdr"]].isna().all(axis=None)
    assert rec.discrepancies.empty


def test_two_calls_in_one_minute_are_rivals_for_a_stamp_without_seconds(reconciled: Run) -> None:
    calls = [call(0, 5, call_uuid=None), call(1, 50, call_uuid=None)]
    rec = reconciled([coarse_leg(**NO_KEY)], calls)
    assert rec.calls["bucket"].tolist() == ["ambiguous", "ambiguous"]
    assert len(reconciled([coarse_leg(**NO_KEY)], calls[1:]).pairs) == 1


def test_a_column_of_text_tells_nothing_about_seconds(reconciled: Run) -> None:
    with pytest.raises(sr.SchemaError, match="is_coarse"):
        reconciled([leg(is_coarse="maybe")], [call()])


def test_stamps_without_seconds_give_no_seconds(make_calls: Frames) -> None:
    text = b"S,A,E,K\n2026-10-05 08:00,2026-10-05 08:00,2026-10-05 08:01,uuid-0\n"
    columns = {"started_at": "S", "answered_at": "A", "ended_at": "E", "call_key": "K"}
    legs = sr.read_cdr(io.BytesIO(text), columns=columns, timezone="UTC", progress=False)
    calls = make_calls([call(duration_seconds=45)])
    rec = sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"), progress=False)
    assert sr.build_plan(rec).changes.empty


def test_a_plan_holds_a_call_that_was_read_twice_as_it_was_read_last(reconciled: Run) -> None:
    read = [call(duration_seconds=5 * days, fetched_at=at(86400 * days)) for days in (1, 2)]
    plan = sr.build_plan(reconciled([leg()], read))
    assert plan.changes["before"].tolist() == ["10"]
    assert plan.calls["duration_seconds"].tolist() == [10]


def test_nothing_depends_on_how_many_rows_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    path = sample_data() / "freeswitch" / "Master.csv"
    legs = sr.read_cdr(path, timezone="Europe/London", country="GB").iloc[:400]
    calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z").iloc[:400]
    whole = sr.reconcile(legs, calls)
    for module in (keys, core):
        monkeypatch.setattr(module, "_AT_ONCE", 29)
    blocks = sr.reconcile(legs, calls)
    for name in ("pairs", "discrepancies", "only_in_cdr", "only_in_api", "ambiguous", "excluded", "balance"):
        pd.testing.assert_frame_equal(getattr(blocks, name), getattr(whole, name))
    assert [str(finding) for finding in blocks.findings] == [str(finding) for finding in whole.findings]
    assert blocks.counts == whole.counts
    assert whole.counts["matched"] > 29
    assert len(whole.discrepancies)


@pytest.mark.parametrize("silent", [("cdr",), ("api",), ("cdr", "api")])
def test_a_side_without_any_status_direction_or_name_is_compared_all_the_same(
    make_legs: Frames, make_calls: Frames, silent: tuple[str, ...]
) -> None:
    nothing = dict.fromkeys(("status", "direction", "sip_username"))
    legs = make_legs([leg(n, 600 * n, **(nothing if "cdr" in silent else {})) for n in range(3)])
    calls = make_calls([call(n, 600 * n, talk=90, **(nothing if "api" in silent else {})) for n in range(3)])
    rec = sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"))
    assert rec.discrepancies["field"].eq("duration_seconds").sum() == 3
    assert rec.discrepancies["field"].eq("status").sum() == (3 if silent == ("api",) else 0)
