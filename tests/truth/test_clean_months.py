"""A month in which neither side made a mistake: nothing differs, nothing is said beyond a remark, nothing is planned."""

from __future__ import annotations

from pathlib import Path

import judging
import pandas as pd
import pytest
from judging import PERIOD, month, reconcile
from month import ZONE, Settings, World, freeswitch_csv, make_month

import sippet_reconcile as sr

SIZES = (300, 450, 700, 1000, 1500, 2200, 3000, 5000)
SEEDS = 30


def settings_of(seed: int, size: int | None = None) -> Settings:
    """Return another kind of month for every seed: each size on each basis, with and without fractions."""
    return Settings(
        size=size or SIZES[seed // 4 % len(SIZES)],
        seed=seed,
        basis=("billable", "total")[seed % 2],
        has_fractions=bool(seed // 2 % 2),
        by_pbx=bool(seed // 3 % 2),
    )


def faults(world: World, rec: sr.Reconciliation) -> list[str]:
    """Return what is said of a month of which there is nothing to say."""
    loud = [f"{f.code} says {f.severity}: {f.message}" for f in rec.findings if f.severity != "info"]
    differing = rec.discrepancies.groupby(["field", "explanation"]).size()
    loud += [f"{count} {field} differ: {name}" for (field, name), count in differing.items()]
    wrong = judging.wrong_pairs(world, rec)
    return loud + ([f"{len(wrong)} legs are matched to another call"] if len(wrong) else [])


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_clean_month_has_no_discrepancy_and_no_finding_above_info(seed: int) -> None:
    world = make_month(settings_of(seed))
    assert faults(world, reconcile(world)) == []


@pytest.mark.parametrize("basis", ["billable", "total"])
@pytest.mark.parametrize("has_fractions", [False, True], ids=["seconds", "fractions"])
def test_auto_proposes_the_basis_of_a_clean_month(*, basis: str, has_fractions: bool) -> None:
    world = month(basis=basis, has_fractions=has_fractions)
    rec = reconcile(world, duration="auto")
    assert rec.rules.duration == basis
    assert faults(world, rec) == []


@pytest.mark.parametrize("seed", range(4))
def test_nearly_every_call_that_both_sides_have_is_matched(seed: int) -> None:
    """Without an id a call is known by its numbers and its start, but for anonymous callers and quick redials."""
    world = make_month(settings_of(seed, 3000))
    rec = reconcile(world)
    on_both = world.truth["x_true"].isin(world.legs["x_true"])
    asked = rec.calls.set_index("id").loc[world.truth.loc[on_both, "call_id"], "bucket"]
    asked = asked[~asked.isin(["outside_period", "excluded"])]
    assert asked.eq("matched").mean() > 0.99


def walked(world: World, folder: Path, **options: str) -> tuple[World, sr.Reconciliation]:
    """Write the month as FreeSWITCH does, read it back, and reconcile that."""
    path = folder / "Master.csv"
    path.write_text(freeswitch_csv(world.legs), encoding="utf-8", newline="\n")
    legs = sr.read_cdr(path, **{"timezone": ZONE, "country": "GB", **options}, progress=False)
    known = pd.Series(world.legs["x_true"].array, index=pd.Index(world.legs["leg_id"]))
    read = world.having(legs=legs.assign(x_true=legs["leg_id"].map(known).astype("Int64")))
    return read, reconcile(read)


def test_a_clean_month_stays_clean_on_its_way_through_a_file(tmp_path: Path) -> None:
    world, rec = walked(month(), tmp_path)
    assert len(world.legs) == len(month().legs)
    assert world.legs["problem"].isna().all()
    assert faults(world, rec) == []


def test_a_file_read_as_utc_shows_the_summer_time_that_was_forgotten(tmp_path: Path) -> None:
    world, rec = walked(month(), tmp_path, timezone="UTC")
    assert judging.stops(rec) == ("timezone-shift",)
    assert judging.judge_plan(world, rec).plan.changes.empty


def test_a_file_read_with_the_wrong_country_shows_in_the_form_of_numbers(tmp_path: Path) -> None:
    world, rec = walked(month(), tmp_path, country="US")
    assert [f.code for f in rec.findings if f.severity != "info"] == ["number-format"]
    assert judging.judge_plan(world, rec).plan.changes.empty


def test_the_month_is_over_what_it_promises_to_hold() -> None:
    """The other tests mean little if the generator leaves a kind of call out."""
    world = month()
    t, legs, calls = world.truth, world.legs, world.calls
    days = [pd.to_datetime(t[at], unit="us", utc=True).dt.tz_convert(ZONE).dt.date for at in ("start", "end")]
    legs_of = legs.groupby("x_true").size()
    twice = calls.sort_values("started_at").groupby(["from_number", "to_number"])["started_at"].diff()
    counts = {
        "of several legs": int((legs_of > 1).sum()),
        "of three legs": int((legs_of > 2).sum()),
        "over midnight": int((days[0] < days[1]).sum()),
        "ahead of the month": int((calls["started_at"] < PERIOD.start).sum()),
        "behind the month": int((calls["started_at"] >= PERIOD.end).sum()),
        "anonymous": int(calls["from_number"].eq("anonymous").sum()),
        "internal": int(calls["direction"].eq("internal").sum()),
        "redials": int((twice < pd.Timedelta(minutes=3)).sum()),
        "voicemail": int(t["status"].eq("voicemail").sum()),
        "without an id": int(calls["call_uuid"].isna().sum()),
        "with an id that no leg has": int((~calls["call_uuid"].dropna().isin(legs["call_key"])).sum()),
        "only in the CDR": int((~legs["x_true"].isin(t["x_true"])).sum()),
    }
    assert {what: count for what, count in counts.items() if count < 5} == {}
    assert set(t["status"]) == {"completed", "voicemail", "no_answer", "busy", "canceled", "failed"}


def test_the_same_seed_makes_the_same_month_and_another_seed_another_one() -> None:
    one, same, other = (make_month(Settings(size=300, seed=seed)) for seed in (5, 5, 6))
    pd.testing.assert_frame_equal(one.legs, same.legs)
    pd.testing.assert_frame_equal(one.calls, same.calls)
    assert not one.calls["call_uuid"].equals(other.calls["call_uuid"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 130))
def test_many_more_clean_months_are_clean(seed: int) -> None:
    world = make_month(settings_of(seed))
    assert faults(world, reconcile(world)) == []
