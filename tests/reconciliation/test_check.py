"""Call records alone: stuck, impossible and doubled ones are found, each with its reason, and no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.errors import SchemaError
from sippet_reconcile.schema import CALLS

Frames = Callable[[Sequence[dict[str, Any]]], pd.DataFrame]
Instant = Callable[[float], pd.Timestamp]

FETCHED = pd.Timestamp("2026-12-04T08:00:00Z")
"""When the calls of these tests were fetched, unless they say otherwise."""

BILLABLE = sr.Rules(duration="billable")


@pytest.fixture
def call(at: Instant) -> Callable[..., dict[str, Any]]:
    """Describe a sound call of a minute, ten minutes after the one before."""

    def described(n: int = 0, **told: Any) -> dict[str, Any]:
        return {
            "id": f"id-{n}",
            "call_uuid": f"uuid-{n}",
            "from_number": "+442079460123",
            "to_number": "+447700900456",
            "started_at": at(600 * n),
            "ended_at": at(600 * n + 70),
            "duration_seconds": 60,
            **told,
        }

    return described


def reasons(findings: Any, code: str) -> dict[str, str]:
    evidence = findings[code].evidence
    return dict(zip(evidence["call_id"], evidence["reason"], strict=True))


# Stuck.


def test_each_way_of_hanging_open_has_its_reason(make_calls: Frames, call: Any) -> None:
    calls = make_calls(
        [
            call(0, status="answered", ended_at=None),
            call(1, status="Ringing"),
            call(2, ended_at=None),
            call(3, status=None, ended_at=None),
            call(4),
        ]
    )
    finding = sr.check_calls(calls)["stuck-calls"]
    assert dict(zip(finding.evidence["call_id"], finding.evidence["reason"], strict=True)) == {
        "id-0": "still open",
        "id-1": "open status, yet it has an end",
        "id-2": "final status, but no end",
        "id-3": "neither status nor end",
    }
    assert finding.message == (
        "4 calls began more than 2 h before being fetched and never properly ended: 1 is still open, "
        "1 has an open status yet an end, 1 has a final status but no end, 1 has neither status nor end."
    )


@pytest.mark.parametrize(("age_s", "stuck"), [(7199, False), (7200, False), (7201, True)])
def test_a_call_is_stuck_when_it_was_older_than_settling_takes(
    age_s: int, stuck: bool, make_calls: Frames, call: Any, at: Instant
) -> None:
    calls = make_calls([call(ended_at=None, fetched_at=at(age_s))])
    assert ("stuck-calls" in sr.check_calls(calls)) is stuck


def test_the_rules_say_which_statuses_are_open_and_when_calls_have_settled(
    make_calls: Frames, call: Any, at: Instant
) -> None:
    calls = make_calls([call(status="on-hold", fetched_at=at(100))])
    assert sr.check_calls(calls).codes == ()
    rules = sr.Rules(open_statuses=("on_hold",), settle_s=60)
    assert sr.check_calls(calls, rules).codes == ("stuck-calls",)


def test_without_fetched_at_nobody_is_called_old_and_the_checks_say_so(make_calls: Frames, call: Any) -> None:
    findings = sr.check_calls(make_calls([call(status="answered", ended_at=None, fetched_at=None)]))
    assert findings.codes == ()
    looks = findings.checks.set_index("code")["outcome"]
    assert looks.to_dict() == {
        "impossible-calls": "nothing found",
        "stuck-calls": "not looked at",
        "duplicate-calls": "nothing found",
    }


# Impossible.


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"ended": -1}, "ended before it started"),
        ({"ended": 70, "duration_seconds": 72}, "longer than from start to end"),
        ({"ended": 70, "duration_seconds": 71}, None),
        ({"ended": 0, "duration_seconds": 2}, "longer than from start to end"),
        ({"ended": 70, "duration_seconds": -1}, "negative duration"),
        ({"ended": 70, "fetched": -301}, "started after it was fetched"),
        ({"ended": 0, "duration_seconds": 0, "fetched": -300}, None),
        ({"ended": 700, "fetched": 399}, "ended after it was fetched"),
        ({"ended": 700, "fetched": 400}, None),
        ({"ended": 86_401}, "longer than 24 h"),
        ({"ended": 86_400}, None),
        ({"ended": None, "duration_seconds": 86_401, "fetched": 9000}, "longer than 24 h"),
        ({"ended": -1, "duration_seconds": -1}, "ended before it started; negative duration"),
        ({"ended": 90_000, "fetched": 100}, "ended after it was fetched; longer than 24 h"),
    ],
)
def test_what_cannot_be_has_its_reasons(
    told: dict[str, Any], reason: str | None, make_calls: Frames, call: Any, at: Instant
) -> None:
    rest = dict(told)
    ended, fetched = rest.pop("ended"), rest.pop("fetched", None)
    calls = make_calls(
        [
            call(
                ended_at=None if ended is None else at(ended),
                fetched_at=FETCHED if fetched is None else at(fetched),
                **rest,
            )
        ]
    )
    findings = sr.check_calls(calls)
    found = reasons(findings, "impossible-calls") if "impossible-calls" in findings else {}
    assert found == ({} if reason is None else {"id-0": reason})


def test_a_day_is_long_and_not_impossible(make_calls: Frames, call: Any, at: Instant) -> None:
    calls = make_calls([call(ended_at=at(90_000)), call(1, ended_at=at(0)), call(2)])
    assert sr.check_calls(calls.iloc[[0, 2]])["impossible-calls"].message == (
        "1 call can hardly be as it stands: 1 spans more than 24 h."
    )
    assert sr.check_calls(calls)["impossible-calls"].message == (
        "2 calls cannot or can hardly be as they stand: 1 ended before it started, 1 spans more than 24 h."
    )


@pytest.mark.parametrize(
    ("rules", "found"),
    [(BILLABLE, True), (sr.Rules(duration="total"), False), (sr.Rules(), False)],
    ids=["billable", "total", "auto"],
)
def test_only_where_seconds_are_billable_an_unanswered_call_has_none(
    rules: sr.Rules, found: bool, make_calls: Frames, call: Any
) -> None:
    calls = make_calls([call(status="No-Answer"), call(1, status="busy", duration_seconds=0), call(2)])
    findings = sr.check_calls(calls, rules)
    assert ("impossible-calls" in findings) is found
    if found:
        assert reasons(findings, "impossible-calls") == {"id-0": "seconds of talk although unanswered"}


def test_a_word_that_answered_calls_have_too_proves_nothing(make_calls: Frames, call: Any) -> None:
    rules = sr.Rules(duration="billable", status_map={"completed": ["ended"], "busy": ["ended"]})
    assert sr.check_calls(make_calls([call(status="ended")]), rules).codes == ()


# Doubled.


def test_a_shared_uuid_is_proof_and_groups_stand_together(make_calls: Frames, call: Any) -> None:
    uuids = ["AB-1", "other", "cd2", "ab1", "CD-2", None, " ", None]
    calls = make_calls([call(n, call_uuid=uuid) for n, uuid in enumerate(uuids)])
    finding = sr.check_calls(calls)["duplicate-calls"]
    assert finding.severity == "warn"
    assert finding.evidence[["call_id", "group", "reason"]].to_numpy().tolist() == [
        ["id-0", 1, "shares its call_uuid"],
        ["id-3", 1, "shares its call_uuid"],
        ["id-2", 2, "shares its call_uuid"],
        ["id-4", 2, "shares its call_uuid"],
    ]


@pytest.mark.parametrize(
    "told",
    [
        {"call_uuid": "uuid-1"},
        {"from_number": "+442079460124"},
        {"to_number": "+447700900457"},
        {"direction": "outbound"},
        {"direction": None},
        {"from_number": None},
        {"started": 3},
        {"duration_seconds": 61},
        {"duration_seconds": None},
    ],
    ids=lambda told: next(iter(told)),
)
def test_likely_doubles_agree_in_everything_and_one_has_no_uuid(
    told: dict[str, Any], make_calls: Frames, call: Any, at: Instant
) -> None:
    alike = call(0) | {"id": "id-1", "call_uuid": None, "started_at": at(2), "ended_at": at(72)}
    finding = sr.check_calls(make_calls([call(0), alike]))["duplicate-calls"]
    assert finding.severity == "info"  # a reason to look, no proof
    assert "likely" in finding.message
    assert finding.evidence["call_id"].tolist() == ["id-0", "id-1"]
    assert finding.evidence["reason"].str.startswith("likely").all()
    rest = dict(told)
    moved = {"started_at": at(rest.pop("started"))} if "started" in rest else {}
    assert sr.check_calls(make_calls([call(0), alike | rest | moved])).codes == ()


@pytest.mark.parametrize(
    "told",
    [
        {"from_number": "anonymous"},
        {"to_number": ""},
        {"from_number": "0000000000"},
        {"duration_seconds": 0},
        {"started_at": None},
    ],
    ids=str,
)
def test_redials_and_withheld_callers_are_not_taken_for_doubles(
    told: dict[str, Any], make_calls: Frames, call: Any
) -> None:
    both = [call(0, **told), call(0, **told) | {"id": "id-1", "call_uuid": None}]
    assert sr.check_calls(make_calls(both)).codes == ()


def test_a_likely_double_is_found_between_other_calls_of_that_second(make_calls: Frames, call: Any) -> None:
    others = [
        call(n, to_number=f"+4477009004{n:02d}") | {"started_at": call(0)["started_at"]} for n in range(40)
    ]
    twin = others[7] | {"id": "twin", "call_uuid": None}
    evidence = sr.check_calls(make_calls([*others, twin]))["duplicate-calls"].evidence
    assert evidence["call_id"].tolist() == ["id-7", "twin"]


def test_two_calls_with_ids_of_their_own_are_two_calls(make_calls: Frames, call: Any) -> None:
    # The third makes this duration one that is looked at.
    rows = [call(0), call(0) | {"id": "id-1", "call_uuid": "uuid-1"}, call(9, call_uuid=None)]
    assert sr.check_calls(make_calls(rows)).codes == ()


def test_what_a_uuid_proves_is_not_guessed_as_well(make_calls: Frames, call: Any) -> None:
    same = call(0) | {"id": "id-1"}
    guess = call(0) | {"id": "id-2", "call_uuid": None}
    evidence = sr.check_calls(make_calls([call(0), same, guess]))["duplicate-calls"].evidence
    assert evidence["call_id"].tolist() == ["id-0", "id-1"]
    assert set(evidence["reason"]) == {"shares its call_uuid"}


def test_proved_and_likely_doubles_are_counted_apart(make_calls: Frames, call: Any) -> None:
    rows = [call(0), call(1, call_uuid="uuid-0"), call(2), call(2) | {"id": "id-3", "call_uuid": None}]
    finding = sr.check_calls(make_calls(rows))["duplicate-calls"]
    assert finding.message == (
        "1 call_uuid belongs to more than one call (2 calls, none of which can be matched by key) and 1 call is likely "
        "recorded twice (2 records with equal numbers, start and duration, some without a call_uuid)."
    )
    assert finding.evidence["group"].tolist() == [1, 1, 2, 2]


def test_calls_read_twice_are_judged_once_as_read_last(make_calls: Frames, call: Any, at: Instant) -> None:
    early = call(status="answered", ended_at=None, duration_seconds=None, fetched_at=at(8000))
    assert sr.check_calls(make_calls([call(), early])).codes == ()
    assert sr.check_calls(make_calls([early])).codes == ("stuck-calls",)


# Any frame.


def test_no_call_and_one_call(make_calls: Frames, call: Any) -> None:
    assert sr.check_calls(CALLS.empty()).codes == ("empty-side",)
    assert sr.check_calls(make_calls([call()])).codes == ()
    nothing = make_calls([{"status": None, "direction": None, "fetched_at": None, "id": None}])
    assert sr.check_calls(nothing).codes == ()


def test_extra_columns_any_index_and_any_script_change_nothing(make_calls: Frames, call: Any) -> None:
    rows = [
        call(0, status="ответ", sip_username="Łukasz 電話", call_uuid="ÄÖ-1"),
        call(1, call_uuid="äö1", status="完了"),
        call(2, ended_at=call(2)["started_at"] - pd.Timedelta(seconds=1)),
    ]
    calls = make_calls(rows)
    odd = calls.assign(note="x").set_axis(["b", "b", "a"])
    before = odd.copy()
    findings = sr.check_calls(odd)
    pd.testing.assert_frame_equal(odd, before)
    assert findings.codes == ("impossible-calls", "duplicate-calls")
    assert findings["duplicate-calls"].evidence["call_id"].tolist() == ["id-0", "id-1"]
    assert findings["duplicate-calls"].evidence["sip_username"].iloc[0] == "Łukasz 電話"


def test_a_frame_that_is_no_frame_of_calls_is_refused(make_calls: Frames, call: Any) -> None:
    with pytest.raises(SchemaError, match="fetched_at"):
        sr.check_calls(make_calls([call()]).drop(columns="fetched_at"))


RECORD = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["completed", "no_answer", "answered", "ringing", None]),
        "call_uuid": st.sampled_from(["a", "b", "c", None]),
        "start": st.sampled_from([None, 0, 1, 2, 5000]),
        "length": st.sampled_from([None, -5, 0, 30, 90_000]),
        "duration_seconds": st.sampled_from([None, -1, 0, 30, 32, 90_000]),
        "fetched": st.sampled_from([None, 0, 9000, 200_000]),
    }
)


def _calls_of(records: Sequence[dict[str, Any]], make_calls: Frames, at: Instant) -> pd.DataFrame:
    rows = []
    for n, record in enumerate(records):
        start, length, fetched = record["start"], record["length"], record["fetched"]
        rows.append(
            {
                "id": f"id-{n}",
                "from_number": "+442079460123",
                "to_number": "+447700900456",
                "call_uuid": record["call_uuid"],
                "status": record["status"],
                "duration_seconds": record["duration_seconds"],
                "started_at": None if start is None else at(start),
                "ended_at": None if start is None or length is None else at(start + length),
                "fetched_at": None if fetched is None else at(fetched),
            }
        )
    return make_calls(rows)


def _by_hand(record: dict[str, Any]) -> set[str]:
    """Say of one record which of two findings it belongs to, with nothing but plain comparisons."""
    start, length, seconds, fetched = (
        record[name] for name in ("start", "length", "duration_seconds", "fetched")
    )
    has_end = start is not None and length is not None
    found = set()
    is_old = start is not None and fetched is not None and fetched - start > 7200
    if is_old and (record["status"] in {"answered", "ringing"} or not has_end):
        found.add("stuck-calls")
    if seconds is not None and seconds < 0:
        found.add("impossible-calls")
    if has_end and (length < 0 or length > 86_400 or (seconds is not None and seconds > length + 1)):
        found.add("impossible-calls")
    if not has_end and seconds is not None and seconds > 86_400:
        found.add("impossible-calls")
    if fetched is not None and start is not None and start - fetched > 300:
        found.add("impossible-calls")
    if fetched is not None and has_end and start + length - fetched > 300:
        found.add("impossible-calls")
    return found


@settings(max_examples=60, deadline=None)
@given(records=st.lists(RECORD, min_size=1, max_size=6))
def test_every_affected_call_is_in_the_evidence_and_no_other(
    records: list[dict[str, Any]], make_calls: Frames, at: Instant
) -> None:
    findings = sr.check_calls(_calls_of(records, make_calls, at))
    for code in ("stuck-calls", "impossible-calls"):
        expected = [f"id-{n}" for n, record in enumerate(records) if code in _by_hand(record)]
        found = findings[code].evidence["call_id"].tolist() if code in findings else []
        assert found == expected


@settings(max_examples=30, deadline=None)
@given(records=st.lists(RECORD, min_size=1, max_size=8), seed=st.integers(0, 99))
def test_the_order_of_rows_changes_nothing(
    records: list[dict[str, Any]], seed: int, make_calls: Frames, at: Instant
) -> None:
    calls = _calls_of(records, make_calls, at)
    shuffled = calls.iloc[np.random.default_rng(seed).permutation(len(calls))]
    one, other = sr.check_calls(calls), sr.check_calls(shuffled)
    assert one.codes == other.codes
    assert [f.message for f in one] == [f.message for f in other]
    for code in one.codes:
        assert reasons(one, code) == reasons(other, code)


# Beside a CDR.


@pytest.mark.parametrize(
    "rules", [sr.Rules(), BILLABLE, sr.Rules(duration="total")], ids=lambda r: r.duration
)
def test_a_reconciliation_says_the_same_of_the_same_calls(
    rules: sr.Rules, make_calls: Frames, make_legs: Frames, call: Any, at: Instant
) -> None:
    sound = [call(n) for n in range(10, 230)]
    calls = make_calls(
        [
            *sound,
            call(0, status="answered", ended_at=None),
            call(1, ended_at=at(0)),
            call(2, status="no_answer"),
            call(3, call_uuid="uuid-0"),
            call(4) | {"id": "id-x", "call_uuid": None},
            call(4),
        ]
    )
    legs = make_legs(
        [
            {
                "call_key": row["call_uuid"],
                "started_at": row["started_at"],
                "answered_at": row["started_at"] + pd.Timedelta(seconds=10),
                "ended_at": row["ended_at"],
                "total_s": 70,
                "billable_s": 60,
            }
            for row in sound
        ]
    )
    alone = sr.check_calls(calls, rules)
    beside = sr.reconcile(legs, calls, rules=rules).findings
    assert alone.codes == ("impossible-calls", "stuck-calls", "duplicate-calls")
    for finding in alone:
        assert beside[finding.code].message == finding.message
        pd.testing.assert_frame_equal(beside[finding.code].evidence, finding.evidence)
    looks = beside.checks.loc[beside.checks["code"].isin(alone.checks["code"])]
    pd.testing.assert_frame_equal(looks.reset_index(drop=True), alone.checks)
