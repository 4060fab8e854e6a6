"""What must never be planned, worked out by hand: wrong pairs, mixed-up calls and doubtful evidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr

START = pd.Timestamp("2026-10-05T08:00:00Z")
FROM, TO = "+442079460123", "+442079460999"


def at(seconds: float) -> pd.Timestamp:
    return START + pd.Timedelta(seconds=seconds)


def leg(n: int = 0, start: float = 0, talk: float = 60, **other: Any) -> dict[str, Any]:
    """One leg that rings for ten seconds and then talks."""
    return {
        "started_at": at(start),
        "answered_at": at(start + 10),
        "ended_at": at(start + 10 + talk),
        "total_s": 10 + talk,
        "billable_s": talk,
        "is_answered": True,
        "status": "completed",
        "from_number": FROM,
        "to_number": TO,
        "from_e164": FROM,
        "to_e164": TO,
        "call_key": f"uuid-{n}",
        "linked_id": None,
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
        "status": "completed",
        "from_number": FROM,
        "to_number": TO,
        **other,
    }


Run = Callable[..., sr.Reconciliation]


def planned(rec: sr.Reconciliation) -> list[tuple[str, str]]:
    """Return call and field of everything that a plan would write, whatever stops accepted."""
    plan = sr.build_plan(rec, max_share=None, accept=rec.findings.stops.codes)
    return [(row.call_id, row.field) for row in plan.changes.itertuples()]


@pytest.mark.parametrize("nothing", ["-", "--", " - "])
def test_dashes_for_a_linked_id_never_give_two_cdr_calls_one_id(
    reconciled: Run, tmp_path: Path, nothing: str
) -> None:
    legs = [leg(n, 600 * n, 60 + n, linked_id=nothing) for n in range(3)]
    rec = reconciled(legs, [call(n, 600 * n, 30) for n in range(3)])
    assert rec.pairs["cdr_id"].tolist() == ["uuid-0", "uuid-1", "uuid-2"]
    assert [len(rec.show(f"id-{n}").legs) for n in range(3)] == [1, 1, 1]
    # Loaded again, both sides are found by their ids: a shared one would bring in another call's seconds.
    rec.save(tmp_path / "month")
    loaded = sr.load_reconciliation(tmp_path / "month")
    pd.testing.assert_frame_equal(loaded.ledger(by=["direction"]), rec.ledger(by=["direction"]))


def test_a_leg_whose_linked_id_says_nothing_does_not_name_its_group(reconciled: Run) -> None:
    legs = [
        leg(0, linked_id="-"),
        leg(0, 20, linked_id="g"),
        leg(1, 600, linked_id="-"),
        leg(1, 620, linked_id="h"),
    ]
    rec = reconciled(legs, [call(0), call(1, 600)])
    assert rec.legs["cdr_id"].tolist() == ["g", "g", "h", "h"]


# ---------------------------------------------------------------- legs that cannot be those of one call


def moved(one: dict[str, Any], seconds: float, **other: Any) -> dict[str, Any]:
    """The same leg as another clock shows it."""
    instants = ("started_at", "answered_at", "ended_at")
    return {
        **one,
        **{name: one[name] + pd.Timedelta(seconds=seconds) for name in instants},
        "source_file": "b.csv",
        **other,
    }


@pytest.mark.parametrize("shift", [3600, -3600, 1800, 7200, 3601])
@pytest.mark.parametrize("talk", [60, 9000], ids=["short", "longer than the shift"])
def test_one_call_read_in_two_zones_is_excluded_and_told(reconciled: Run, shift: float, talk: int) -> None:
    # Taken for parallel legs, they would lengthen the call by the difference of the zones.
    rec = reconciled([leg(0, 0, talk), moved(leg(0, 0, talk), shift)], [call(0, 0, talk)])
    assert rec.calls["reason"].tolist() == ["legs-apart"]
    assert rec.legs["reason"].tolist() == ["legs-apart", "legs-apart"]
    assert planned(rec) == []
    told = rec.findings["duplicate-rows"]
    assert told.evidence["cdr_id"].tolist() == ["uuid-0"]
    assert "1 CDR call" in told.message


def test_one_record_read_in_two_zones_is_excluded(reconciled: Run) -> None:
    twice = leg(0, record_hash=7)
    rec = reconciled([twice, moved(twice, 3600)], [call(0)])
    assert rec.calls["reason"].tolist() == ["legs-apart"]


@pytest.mark.parametrize(("silence", "bucket"), [(3600, "matched"), (3601, "excluded")])
def test_an_id_used_again_hours_later_is_no_longer_one_call(
    reconciled: Run, silence: float, bucket: str
) -> None:
    # The first leg ends after 70 seconds.
    rec = reconciled([leg(0), leg(0, 70 + silence, 300)], [call(0)])
    assert rec.calls["bucket"].tolist() == [bucket]
    assert bool(planned(rec)) == (bucket == "matched")


def test_a_long_leg_bridges_the_silence_between_two_others(reconciled: Run) -> None:
    legs = [leg(0, 0, 9000, linked_id="g"), leg(1, 5, 60, linked_id="g"), leg(2, 8000, 90, linked_id="g")]
    assert reconciled(legs, [call(0, 0, 9000)]).pairs["n_legs"].tolist() == [3]


def test_a_leg_of_unknown_end_may_have_filled_the_silence(reconciled: Run) -> None:
    unknown = leg(0, 20, ended_at=None, time_problem="ended_at: twice")
    assert reconciled([leg(0), unknown, leg(0, 9000, 90)], [call(0)]).calls["bucket"].tolist() == ["matched"]


def test_one_leg_id_of_two_switches_calls_is_not_one_call(reconciled: Run) -> None:
    # Two switches that give out the same ids: taken for one call, the shorter one would become as long as the other.
    other = {"from_number": "+442079460150", "from_e164": "+442079460150", "source_file": "b.csv"}
    other |= {"to_number": "+442079460151", "to_e164": "+442079460151"}
    one = {"linked_id": "1790845200.1", "leg_id": "1790845200.1/7", "call_key": "1790845200.1"}
    rec = reconciled([leg(0, **one), leg(0, 0, 90, **one, **other)], [call(0)])
    assert rec.legs["reason"].tolist() == ["legs-apart", "legs-apart"]
    assert rec.calls["bucket"].tolist() == ["only_in_api"]
    assert "in 1 one id is that of two callers' legs" in rec.findings["duplicate-rows"].message


@pytest.mark.parametrize("side", ["from", "to"])
def test_legs_with_one_id_that_share_a_party_are_one_call(reconciled: Run, side: str) -> None:
    # A parallel dial without sequence, or a transfer.
    other = {f"{side}_number": "+442079460150", f"{side}_e164": "+442079460150"}
    rec = reconciled([leg(0), leg(0, 70, 60, **other)], [call(0, 0, 120)])
    assert rec.pairs["n_legs"].tolist() == [2]


def test_legs_apart_are_never_matched_by_numbers_and_are_excluded_unmatched(reconciled: Run) -> None:
    rec = reconciled([leg(5), leg(5, 9000)], [call(0)])
    assert rec.legs["reason"].tolist() == ["legs-apart", "legs-apart"]
    assert rec.calls["bucket"].tolist() == ["only_in_api"]


def test_legs_as_long_as_each_other_a_minute_apart_are_one_call(reconciled: Run) -> None:
    rec = reconciled([leg(0), leg(0, 60)], [call(0)])
    assert rec.pairs["billable_s_cdr"].tolist() == [120]


@pytest.mark.parametrize(("off", "is_planned"), [(3600, False), (-1800, False), (3601, False), (300, True)])
def test_an_end_is_not_planned_that_the_cdrs_own_seconds_contradict_by_a_zone(
    reconciled: Run, off: float, is_planned: bool
) -> None:
    # The start agrees, the CDR counts 70 seconds, and yet its end is elsewhere.
    rec = reconciled([leg(0, 0, 60, ended_at=at(70 + off))], [call(0, 0, 60, ended_at=at(50))])
    assert [field for _, field in planned(rec)] == ["ended_at"] * is_planned
    assert rec.discrepancies["is_patchable"].tolist() == [is_planned]
    assert ("own seconds" in str(rec.show("id-0"))) != is_planned


# ---------------------------------------------------------------- saved


def test_a_loaded_reconciliation_is_never_mixed_with_one_saved_over_it(
    reconciled: Run, tmp_path: Path
) -> None:
    # The findings of the first would vouch for the discrepancies of the second.
    first, second = (reconciled([leg()], [call(0, 0, talk)]) for talk in (60, 30))
    first.save(tmp_path / "month")
    loaded = sr.load_reconciliation(tmp_path / "month")
    second.save(tmp_path / "month")
    with pytest.raises(sr.InputError, match="load it again"):
        _ = loaded.discrepancies
    assert len(sr.load_reconciliation(tmp_path / "month").discrepancies) == 2


def test_frames_looked_at_before_another_is_saved_stay_as_they_were(reconciled: Run, tmp_path: Path) -> None:
    reconciled([leg()], [call(0, 0, 30)]).save(tmp_path / "month")
    loaded = sr.load_reconciliation(tmp_path / "month")
    before = loaded.discrepancies
    reconciled([leg()], [call()]).save(tmp_path / "month")
    pd.testing.assert_frame_equal(loaded.discrepancies, before)
