"""Durations from a call's own times: only where they prove them, and from there to a verified correction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.demo import sample_data
from sippet_reconcile.errors import InputError
from sippet_reconcile.sandbox import Sandbox
from sippet_reconcile.schema import CALLS

Frames = Callable[[Sequence[dict[str, Any]]], pd.DataFrame]
Instant = Callable[[float], pd.Timestamp]

TOTAL = sr.Rules(duration="total")


@pytest.fixture
def call(at: Instant) -> Callable[..., dict[str, Any]]:
    """Describe a call that lasts 70 seconds and has lost its duration."""

    def described(n: int = 0, ended: float = 70, **told: Any) -> dict[str, Any]:
        return {
            "id": f"id-{n}",
            "call_uuid": f"uuid-{n}",
            "from_number": "+442079460123",
            "to_number": "+447700900456",
            "started_at": at(600 * n),
            "ended_at": at(600 * n + ended),
            **told,
        }

    return described


def proposed(calls: pd.DataFrame, rules: sr.Rules = TOTAL) -> dict[str, int]:
    corrections = sr.corrections_from_times(calls, rules=rules)
    return dict(zip(corrections["call_id"], corrections["duration_seconds"].tolist(), strict=True))


@pytest.mark.parametrize("duration", ["billable", "auto"])
def test_a_span_that_includes_ringing_is_no_billable_duration(
    duration: str, make_calls: Frames, call: Any
) -> None:
    with pytest.raises(InputError, match="includes ringing"):
        sr.corrections_from_times(make_calls([call()]), rules=sr.Rules(duration=duration))


def test_rules_that_the_calls_contradict_are_refused(make_calls: Frames, call: Any) -> None:
    lost = call(99)
    billable = [call(n, duration_seconds=60) for n in range(20)]
    with pytest.raises(InputError, match="only 0 of 20 sound answered calls"):
        sr.corrections_from_times(make_calls([lost, *billable]), rules=TOTAL)
    # A few calls, or some that are wrong otherwise, say nothing about the others.
    assert proposed(make_calls([lost, *billable[:19]])) == {"id-99": 70}
    total = [call(n, duration_seconds=70) for n in range(20, 96)]
    assert proposed(make_calls([lost, *billable[:19], *total])) == {"id-99": 70}


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        (None, "no duration, though it has a start and an end"),
        (-5, "negative duration"),
        (72, "duration longer than from start to end"),
    ],
)
def test_what_is_missing_negative_or_too_long_is_proposed(
    seconds: int | None, reason: str, make_calls: Frames, call: Any
) -> None:
    corrections = sr.corrections_from_times(make_calls([call(duration_seconds=seconds)]), rules=TOTAL)
    assert corrections.to_numpy().tolist() == [["id-0", 70, reason]]


@pytest.mark.parametrize("seconds", [69, 70, 71, 0, 30])
def test_what_is_consistent_or_too_short_is_left_alone(seconds: int, make_calls: Frames, call: Any) -> None:
    assert proposed(make_calls([call(duration_seconds=seconds)])) == {}


@pytest.mark.parametrize(
    "told",
    [
        {"ended_at": None},
        {"started_at": None},
        {"ended": -1},
        {"ended": 0},
        {"ended": 86_401},
        {"ended": 0.3},
        {"status": "answered"},
        {"status": "no_answer"},
        {"status": "ended"},
        {"status": None},
        {"id": None},
        {"fetched_at": pd.Timestamp("2026-10-05T07:56:09Z")},
        {"call_uuid": "uuid-7"},
        {"call_uuid": None, "started_at": pd.Timestamp("2026-10-05T09:10:01Z"), "ended_at": pd.Timestamp("2026-10-05T09:11:12Z"), "duration_seconds": 90},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_leaves_a_doubt_about_its_times_is_left_alone(
    told: dict[str, Any], make_calls: Frames, call: Any
) -> None:
    other = call(7, duration_seconds=told.get("duration_seconds", 70))
    assert proposed(make_calls([call(0, **told), other])) == {}


def test_the_rules_say_what_the_status_of_an_answered_call_is(make_calls: Frames, call: Any) -> None:
    calls = make_calls([call(0, status="Ended"), call(1, status="voicemail")])
    assert proposed(calls) == {"id-1": 70}
    assert proposed(calls, sr.Rules(duration="total", status_map={"completed": ["ended"]})) == {
        "id-0": 70,
        "id-1": 70,
    }


def test_a_word_for_open_calls_is_never_that_of_an_ended_one(make_calls: Frames, call: Any) -> None:
    rules = sr.Rules(duration="total", status_map={"completed": ["answered", "completed"]})
    assert proposed(make_calls([call(0, status="answered"), call(1)]), rules) == {"id-1": 70}


@pytest.mark.parametrize(("rounding", "seconds"), [("half_up", 71), ("floor", 70), ("ceil", 71)])
def test_fractions_are_rounded_as_the_rules_say(
    rounding: str, seconds: int, make_calls: Frames, call: Any
) -> None:
    calls = make_calls([call(ended=70.5)])
    assert proposed(calls, sr.Rules(duration="total", duration_rounding=rounding)) == {"id-0": seconds}
    strict = sr.Rules(duration="total", duration_rounding=rounding, duration_tolerance_s=0.4)
    assert proposed(calls, strict) == {}  # no whole number of seconds is within the tolerance


def test_no_call_gives_an_empty_table_of_the_same_types() -> None:
    corrections = sr.corrections_from_times(CALLS.empty(), rules=TOTAL)
    assert len(corrections) == 0
    assert corrections.dtypes.astype(str).to_dict() == {
        "call_id": "str",
        "duration_seconds": "Int64",
        "reason": "str",
    }


def test_a_call_is_judged_as_it_was_read_last_and_inputs_stay(make_calls: Frames, call: Any) -> None:
    fetched = pd.Timestamp("2026-12-05T08:00:00Z")
    calls = make_calls([call(duration_seconds=70, fetched_at=fetched), call(), call(1)])
    odd = calls.assign(note="x").set_axis(["b", "b", "a"])
    before = odd.copy()
    assert proposed(odd) == {"id-1": 70}
    pd.testing.assert_frame_equal(odd, before)


RECORD = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["completed", "voicemail", "no_answer", "answered", None]),
        "call_uuid": st.sampled_from(["a", "b", "c", None]),
        "start": st.sampled_from([None, 0, 1, 600]),
        "length": st.one_of(st.none(), st.integers(-2_000, 200_000)),
        "duration_seconds": st.one_of(st.none(), st.integers(-3, 200)),
    }
)


@settings(max_examples=80, deadline=None)
@given(
    records=st.lists(RECORD, min_size=1, max_size=6),
    rounding=st.sampled_from(["half_up", "floor", "ceil"]),
    tolerance=st.sampled_from([0, 0.5, 1, 3]),
)
def test_every_proposal_makes_a_whole_record_and_no_consistent_call_gets_one(
    records: list[dict[str, Any]], rounding: str, tolerance: float, make_calls: Frames, at: Instant
) -> None:
    rows = [
        {
            "id": f"id-{n}",
            "call_uuid": record["call_uuid"],
            "status": record["status"],
            "from_number": "+442079460123",
            "to_number": "+447700900456",
            "duration_seconds": record["duration_seconds"],
            "started_at": None if record["start"] is None else at(record["start"]),
            "ended_at": None
            if record["start"] is None or record["length"] is None
            else at(record["start"] + record["length"] / 1000),
        }
        for n, record in enumerate(records)
    ]
    calls = make_calls(rows)
    rules = sr.Rules(duration="total", duration_rounding=rounding, duration_tolerance_s=tolerance)
    corrections = sr.corrections_from_times(calls, rules=rules)
    for call_id, seconds in zip(
        corrections["call_id"], corrections["duration_seconds"].tolist(), strict=True
    ):
        record = records[int(call_id.removeprefix("id-"))]
        assert record["status"] in {"completed", "voicemail"}
        assert record["length"] > 0
        assert abs(seconds - record["length"] / 1000) <= tolerance
        before = record["duration_seconds"]
        assert before is None or before < 0 or before - record["length"] / 1000 > tolerance
    if len(corrections):
        plan = sr.plan_corrections(calls, corrections, reason="lost seconds", rules=rules)
        assert len(plan.changes) == len(corrections)
        assert len(plan.left_out) == 0
        after = calls.merge(
            corrections[["call_id", "duration_seconds"]],
            left_on="id",
            right_on="call_id",
            how="left",
            suffixes=("", "_new"),
        )
        after = calls.assign(duration_seconds=after["duration_seconds_new"].fillna(calls["duration_seconds"]))
        assert len(sr.corrections_from_times(after, rules=rules)) == 0


def test_the_walk_without_a_cdr_ends_with_nothing_to_find(tmp_path: Path) -> None:
    month = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    spans = (month["ended_at"] - month["started_at"]).dt.total_seconds()
    sound = month.loc[month["status"].eq("completed") & spans.gt(60)].head(120).reset_index(drop=True)
    seconds = np.floor((sound["ended_at"] - sound["started_at"]).dt.total_seconds() + 0.5).astype("Int64")
    broken = seconds.copy()
    broken.iloc[3], broken.iloc[40] = pd.NA, int(seconds.iloc[40]) + 3600
    calls = sound.assign(duration_seconds=broken)
    calls.loc[60, ["status", "ended_at", "duration_seconds"]] = ["answered", pd.NaT, pd.NA]
    calls.to_parquet(tmp_path / "calls.parquet")
    with Sandbox(calls=calls) as sandbox, sr.Client(sandbox.url, token=sandbox.token) as client:
        fetched = client.get_calls(calls["id"])
        assert sr.check_calls(fetched, TOTAL).codes == ("impossible-calls", "stuck-calls")
        corrections = sr.corrections_from_times(fetched, rules=TOTAL)
        assert dict(zip(corrections["call_id"], corrections["duration_seconds"], strict=True)) == {
            calls.loc[3, "id"]: seconds.iloc[3],
            calls.loc[40, "id"]: seconds.iloc[40],
        }
        plan = sr.plan_corrections(fetched, corrections, reason="lost seconds", rules=TOTAL)
        assert plan.dry_run().summary()["calls"] == 2
        run = sr.apply_plan(
            plan.approve(by="ana", note="no CDR"), client, tmp_path / "audit", rate="400/s", progress=False
        )
        assert sr.verify_run(run, client).ok
        again = client.get_calls(calls["id"])
        assert sr.check_calls(again, TOTAL).codes == ("stuck-calls",)  # nobody knows when it ended
        assert len(sr.corrections_from_times(again, rules=TOTAL)) == 0
