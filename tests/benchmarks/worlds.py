"""Three months as they may be: usual, bad and clean, as legs and calls.

`usual` is the month of `generate`; in `bad` more than a quarter of the calls differ for a
dozen causes, a tenth has two legs, and one of two trunks runs an hour late; in `clean` all
agree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

import sippet_reconcile as sr
from sippet_reconcile.schema import CALLS, arrow_to_frame, conform
from tests.benchmarks.generate import call_records, draw, write_export
from tests.benchmarks.names import COUNTRY, ZONE

__all__ = ["WORLDS", "make_world"]

WORLDS: Final = ("usual", "bad", "clean")


def make_world(world: str, size: int, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the legs and the calls of a world; its export is written into the folder."""
    month = draw(size) if world == "usual" else draw(size, wrong=0.0, missing=0.0)
    path = folder / f"{world}.csv"
    write_export(path, month)
    legs = sr.read_cdr(path, timezone=ZONE, country=COUNTRY, progress=False)
    calls = conform(arrow_to_frame(call_records(month)), CALLS)
    return _bad(legs, calls) if world == "bad" else (legs, calls)


def _leg_rows(calls: pd.DataFrame) -> np.ndarray:
    """Return for each call of a clean month the row of its leg, which its id begins with."""
    return calls["id"].str[:8].map(lambda digits: int(digits, 16)).to_numpy()


def _bad(legs: pd.DataFrame, calls: pd.DataFrame, seed: int = 11) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make many calls of a clean month differ, for a dozen causes."""
    rng = np.random.default_rng(seed)
    chance = pd.Series(rng.random(len(calls)))
    billable = calls["duration_seconds"]
    ring = legs["total_s"].sub(legs["billable_s"]).fillna(0).astype("Int64")
    ring = ring.iloc[_leg_rows(calls)].reset_index(drop=True)

    def slice_of(begin: float, end: float) -> pd.Series:
        return chance.ge(begin) & chance.lt(end)

    duration = (
        billable.mask(slice_of(0.00, 0.04), billable + ring)
        .mask(slice_of(0.04, 0.07), (billable + 59) // 60 * 60)
        .mask(slice_of(0.07, 0.09), 0)
        .mask(slice_of(0.09, 0.11), pd.NA)
        .mask(slice_of(0.11, 0.13), (billable - 30).clip(lower=0))
        .mask(slice_of(0.13, 0.14), billable * 2)
        .mask(slice_of(0.14, 0.15), billable + 3600)
        .mask(slice_of(0.15, 0.17), pd.NA)
    )
    ended = (
        calls["ended_at"].mask(slice_of(0.11, 0.13), calls["ended_at"] - pd.Timedelta(seconds=30))
        .mask(slice_of(0.15, 0.19))
    )  # fmt: skip
    status = calls["status"].mask(slice_of(0.15, 0.17), "answered").mask(slice_of(0.19, 0.21), "failed")
    user = calls["sip_username"].mask(slice_of(0.21, 0.22), "1999")
    calls = calls.assign(duration_seconds=duration, ended_at=ended, status=status, sip_username=user)

    size = len(legs)
    second_file = np.arange(size) % 2 == 1
    second_trunk = second_file & (rng.random(size) < 0.2)
    late = pd.to_timedelta(np.where(second_trunk, 3600, 0), unit="s").as_unit("us")
    legs = legs.assign(
        source_file=np.where(second_file, "pbx-b.csv", "pbx-a.csv"),
        x_trunk=np.where(second_trunk, "trunk-2", "trunk-1"),
        **{name: legs[name] + late for name in ("started_at", "answered_at", "ended_at")},
    )
    legs = legs.astype({"source_file": "str", "x_trunk": "str"})
    return _in_two_legs(legs, rng.random(size) < 0.14), calls


def _in_two_legs(legs: pd.DataFrame, chosen: np.ndarray) -> pd.DataFrame:
    """Cut the answered ones of the chosen legs in two halves of talking, as a transfer does."""
    chosen = chosen & legs["billable_s"].ge(2).fillna(value=False).to_numpy("bool")
    whole = legs.loc[chosen]
    first_s = whole["billable_s"] // 2
    passed_on = whole["answered_at"] + pd.to_timedelta(first_s, unit="s").dt.as_unit("us")
    first = whole.assign(
        billable_s=first_s, total_s=whole["total_s"] - whole["billable_s"] + first_s, ended_at=passed_on
    )
    second_s = whole["billable_s"] - first_s
    second = whole.assign(
        leg_id=whole["leg_id"] + "-2", call_key=None, started_at=passed_on, answered_at=passed_on,
        billable_s=second_s, total_s=second_s, source_row=whole["source_row"] + len(legs),
        record_hash=whole["record_hash"] + 1,
    )  # fmt: skip
    parts = pd.concat([legs.loc[~chosen], first, second]).sort_values(
        ["source_file", "started_at"], kind="stable"
    )
    return parts.astype(legs.dtypes.to_dict()).reset_index(drop=True)
