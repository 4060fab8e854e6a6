"""Whole months: a clean one raises nothing above info, and one whole-file mistake is found and nothing else is.

The months are made here from what a call is, without any code of the package: office
hours or around the clock, many users or one, all answered or none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.reconciliation.findings import CODES
from sippet_reconcile.schema import CALLS, LEGS, conform

OCTOBER = sr.Period.month("2026-10", timezone="Europe/London")
FIRST = np.datetime64("2026-09-30T23:00:00", "s")


@dataclass(frozen=True)
class Shape:
    """What kind of month it is."""

    n: int = 3000
    round_the_clock: bool = False
    weekends: bool = False
    users: int = 20
    numbers: int = 400
    answered: float = 0.75
    files: str = "one"  # or "days", "two"
    keys: bool = True
    lost: float = 0.005


@dataclass
class Month:
    """One row per call, before it becomes two frames; columns may be changed, rows dropped from either side."""

    calls: pd.DataFrame
    shape: Shape

    def legs(self) -> pd.DataFrame:
        c = self.calls[self.calls["in_cdr"]].reset_index(drop=True)
        seconds = pd.to_timedelta(c["cdr_clock_s"], unit="s")
        columns: dict[str, Any] = {
            "source_file": c["source_file"], "source_row": np.arange(len(c)) + 2, "source_sha256": "f" * 64,
            "record_hash": np.arange(len(c)) + 1, "format": "plain", "leg_id": "leg-" + c["key"],
            "call_key": c["cdr_key"], "direction": c["direction"], "from_number": c["cdr_from"],
            "to_number": c["cdr_to"], "from_e164": c["cdr_from_e164"], "to_e164": c["cdr_to"],
            "sip_username": c["user"], "started_at": c["at"] + seconds,
            "answered_at": (c["at"] + seconds + pd.to_timedelta(c["ring"], unit="s")).where(c["answered"]),
            "ended_at": c["at"] + seconds + pd.to_timedelta(c["ring"] + c["talk"], unit="s"),
            "total_s": (c["ring"] + c["talk"]).astype("Float64"), "billable_s": c["billed"].astype("Float64"),
            "is_answered": c["answered"], "status": c["cdr_status"], "x_trunk": c["trunk"],
        }  # fmt: skip
        return framed(columns, LEGS, len(c))

    def api(self) -> pd.DataFrame:
        c = self.calls[self.calls["in_api"]].reset_index(drop=True)
        columns: dict[str, Any] = {
            "id": "id-" + c["key"], "call_uuid": c["key"], "direction": c["direction"], "from_number": c["from"],
            "to_number": c["to"], "sip_username": c["user"], "status": c["status"], "call_source": "sip",
            "started_at": c["at"], "ended_at": c["at"] + pd.to_timedelta(c["ring"] + c["talk"], unit="s"),
            "duration_seconds": c["duration"], "api_url": "https://api.example",
            "fetched_at": pd.Timestamp("2026-11-10T00:00:00Z"),
        }  # fmt: skip
        return framed(columns, CALLS, len(c))

    def reconcile(self, **rules: Any) -> sr.Reconciliation:
        given_rules = sr.Rules(**{"duration": "billable", **rules})
        return sr.reconcile(self.legs(), self.api(), period=OCTOBER, rules=given_rules, progress=False)


def framed(columns: dict[str, Any], schema: Any, size: int) -> pd.DataFrame:
    frame = pd.DataFrame({**dict.fromkeys(schema.names), **columns}, index=range(size))
    for column in schema.columns:
        values = frame[column.name]
        if column.kind.value.startswith("datetime"):
            frame[column.name] = pd.to_datetime(values, utc=True).dt.as_unit("us")
        else:
            frame[column.name] = values.astype(column.kind.value)
    return conform(frame, schema)


def a_month(shape: Shape, seed: int = 1) -> Month:
    rng = np.random.default_rng(seed)
    n = shape.n
    days = np.arange(31)
    if not shape.weekends:
        days = days[(days + 3) % 7 < 5]  # the first of October 2026 is a Thursday
    day = rng.choice(days, n)
    hour = rng.uniform(0, 24, n) if shape.round_the_clock else np.clip(rng.normal(13, 2.5, n), 1, 22.9)
    at = np.sort(FIRST + (day * 86_400 + hour * 3_600).astype("timedelta64[s]"))
    answered = rng.random(n) < shape.answered
    ring = rng.integers(3, 25, n)
    talk = np.where(answered, rng.exponential(150, n).astype(int) + 2, 0)
    inbound = rng.random(n) < 0.5
    outside = np.array([f"+442079460{k:03d}" for k in rng.integers(0, min(shape.numbers, 1000), n)], object)
    inside = np.array([f"+447700900{k:03d}" for k in rng.integers(0, shape.users, n)], object)
    status = np.where(answered, "completed", rng.choice(["busy", "no_answer", "canceled"], n))
    local_day = (pd.Series(at) + pd.Timedelta(hours=1)).dt.strftime("%d")
    files = {
        "one": "oct.csv",
        "days": "oct-" + local_day + ".csv",
        "two": np.where(rng.random(n) < 0.6, "a.csv", "b.csv"),
    }
    key = pd.Series([f"{k:012x}" for k in rng.choice(2**40, n, replace=False)], dtype="str")
    calls = pd.DataFrame(
        {
            "key": key,
            "cdr_key": key if shape.keys else "x" + key,
            "at": pd.Series(at).dt.tz_localize("UTC"),
            "cdr_clock_s": 0.0,
            "ring": ring, "talk": talk, "billed": talk, "duration": talk, "answered": answered,
            "direction": np.where(inbound, "inbound", "outbound"),
            "from": np.where(inbound, outside, inside),
            "to": np.where(inbound, inside, outside),
            "user": [f"u{k % shape.users}" for k in range(n)],
            "status": status,
            "cdr_status": status,
            "source_file": pd.Series(files[shape.files], index=range(n)),
            "trunk": rng.choice(["north", "south"], n),
            "in_cdr": rng.random(n) >= shape.lost,
            "in_api": rng.random(n) >= shape.lost,
        }
    )  # fmt: skip
    return Month(calls.assign(cdr_from=calls["from"], cdr_from_e164=calls["from"], cdr_to=calls["to"]), shape)


def loud(rec: sr.Reconciliation) -> list[str]:
    """The codes above info; calls alone are not the matter here."""
    return [finding.code for finding in rec.findings if finding.severity != "info"]


SHAPES = {
    "none": Shape(0), "one": Shape(1), "five": Shape(5), "fifty": Shape(50), "five thousand": Shape(5000),
    "around the clock": Shape(2000, round_the_clock=True, weekends=True), "one user": Shape(600, users=1),
    "one number": Shape(600, numbers=1), "unanswered": Shape(600, answered=0.0), "a file a day": Shape(2500, files="days"),
    "two files": Shape(1500, files="two"), "no key": Shape(800, keys=False, round_the_clock=True, weekends=True),
    "exactly a thousand": Shape(1000, lost=0.0), "many lost": Shape(2000, lost=0.06),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_clean_month_raises_nothing_above_info(shape: Shape) -> None:
    rec = a_month(shape).reconcile()
    assert loud(rec) == (["empty-side"] if shape.n == 0 else [])
    assert rec.findings.checks["code"].tolist() == list(CODES)


@settings(max_examples=12, deadline=None)
@given(
    st.builds(
        Shape,
        n=st.sampled_from([2, 7, 20, 21, 60, 230, 900]),
        round_the_clock=st.booleans(),
        weekends=st.booleans(),
        users=st.sampled_from([1, 3, 40]),
        numbers=st.sampled_from([1, 5, 900]),
        answered=st.sampled_from([0.0, 0.4, 1.0]),
        files=st.sampled_from(["one", "days", "two"]),
        lost=st.sampled_from([0.0, 0.01, 0.08]),
    ),
    st.integers(0, 10_000),
)
def test_whatever_a_clean_month_looks_like_nothing_is_raised_above_info(shape: Shape, seed: int) -> None:
    assert loud(a_month(shape, seed).reconcile()) == []


# Mistakes of whole files.


def rounded(step: int, initial: int, only: str | None = None) -> Callable[[Month], None]:
    def plant(month: Month) -> None:
        c = month.calls
        talk = c["talk"].to_numpy()
        billed = np.where(talk <= initial, initial, initial + np.ceil((talk - initial) / step) * step)
        here = c["answered"] & (c["source_file"].eq(only) if only else True)
        c["billed"] = c["billed"].where(~here, billed).astype(int)

    return plant


def rings(month: Month) -> None:
    month.calls["duration"] += month.calls["ring"].where(month.calls["answered"], 0)


def rings_in_file(month: Month) -> None:
    here = month.calls["source_file"].eq("b.csv") & month.calls["answered"]
    month.calls["duration"] += month.calls["ring"].where(here, 0)


def rings_on_trunk(month: Month) -> None:
    here = month.calls["trunk"].eq("south") & month.calls["answered"]
    month.calls["duration"] += month.calls["ring"].where(here, 0)


def hide(side: str, start: str, end: str) -> Callable[[Month], None]:
    def plant(month: Month) -> None:
        gone = month.calls["at"].between(pd.Timestamp(start), pd.Timestamp(end), inclusive="left")
        month.calls[f"in_{side}"] &= ~gone

    return plant


def no_country(month: Month) -> None:
    c = month.calls
    here = c["from"].str.startswith("+4420")
    c["cdr_from"] = c["cdr_from"].where(~here, "0" + c["from"].str.removeprefix("+44"))
    c["cdr_from_e164"] = c["cdr_from_e164"].where(~here)


def wrong_country(month: Month) -> None:
    c = month.calls
    c["cdr_from"] = c["from"].str.removeprefix("+44")
    c["cdr_from_e164"] = "+1" + c["from"].str.removeprefix("+44")


def outside_line(month: Month) -> None:
    c = month.calls
    c["cdr_from"] = "9" + c["from"].str.removeprefix("+")
    c["cdr_from_e164"] = None


def other_words(month: Month) -> None:
    month.calls["status"] = month.calls["status"].replace({"completed": "ended", "no_answer": "missed"})


def no_keys(month: Month) -> None:
    c = month.calls
    c["cdr_key"] = "x" + c["key"]
    c["cdr_from"], c["cdr_from_e164"], c["cdr_to"] = "anonymous", None, None


def half_of_an_hour(month: Month) -> None:
    hide("cdr", "2026-10-14T12:20:00Z", "2026-10-14T13:10:00Z")(month)


def thin_file(month: Month) -> None:
    gone = month.calls["source_file"].eq("b.csv") & month.calls["at"].between(
        pd.Timestamp("2026-10-12T00:00Z"), pd.Timestamp("2026-10-15T00:00Z")
    )
    month.calls["in_cdr"] &= ~gone


MISTAKES: dict[str, tuple[Callable[[Month], None], Shape, set[str]]] = {
    "billed by 60": (rounded(60, 60), Shape(), {"rounded-durations"}),
    "billed by 6": (rounded(6, 6), Shape(), {"rounded-durations"}),
    "billed by 12": (rounded(12, 12), Shape(), {"rounded-durations"}),
    "billed 60/6": (rounded(6, 60), Shape(), {"rounded-durations"}),
    "billed 30/6": (rounded(6, 30), Shape(), {"rounded-durations"}),
    "billed 60/1": (rounded(1, 60), Shape(), {"rounded-durations"}),
    "one file billed by 30": (rounded(30, 30, "b.csv"), Shape(files="two"), {"rounded-durations"}),
    "total": (rings, Shape(), {"duration-basis"}),
    "total in a file": (rings_in_file, Shape(files="two"), {"duration-basis"}),
    "total on a trunk": (rings_on_trunk, Shape(), {"duration-basis"}),
    "a day without CDRs": (hide("cdr", "2026-10-13T23:00Z", "2026-10-14T23:00Z"), Shape(), {"missing-hours"}),
    "a file of a day missing": (hide("cdr", "2026-10-13T23:00Z", "2026-10-14T23:00Z"), Shape(files="days"), {"missing-hours"}),
    "fifty minutes missing": (half_of_an_hour, Shape(), {"missing-hours"}),
    "an evening of the API": (hide("api", "2026-10-06T12:20Z", "2026-10-06T22:00Z"), Shape(), {"missing-hours"}),
    "one of two files thin": (thin_file, Shape(files="two", n=6000), {"missing-hours"}),
    "cut at 13:20": (hide("cdr", "2026-10-20T12:20Z", "2026-11-01T00:00Z"), Shape(), {"truncated-export"}),
    "begins late": (hide("cdr", "2026-09-30T00:00Z", "2026-10-09T12:20Z"), Shape(), {"truncated-export"}),
    "a file of a day cut": (hide("cdr", "2026-10-14T11:20Z", "2026-10-14T23:00Z"), Shape(files="days"), {"truncated-export"}),
    "no country": (no_country, Shape(), {"number-format"}),
    "wrong country": (wrong_country, Shape(), {"number-format"}),
    "outside line": (outside_line, Shape(), {"number-format"}),
    "other words": (other_words, Shape(), {"status-vocabulary"}),
    "no keys": (no_keys, Shape(), {"low-match-rate"}),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_a_whole_file_is_found_and_nothing_else_is_accused(mistake: str) -> None:
    plant, shape, expected = MISTAKES[mistake]
    month = a_month(shape, seed=3)
    plant(month)
    assert set(loud(month.reconcile())) == expected


def test_mistakes_that_come_together_are_each_found() -> None:
    month = a_month(Shape(4000, files="two"), seed=5)
    for plant in (
        rounded(6, 6, "b.csv"),
        hide("cdr", "2026-10-14T00:00Z", "2026-10-15T00:00Z"),
        other_words,
        no_country,
    ):
        plant(month)
    assert set(loud(month.reconcile())) == {
        "rounded-durations", "missing-hours", "status-vocabulary", "number-format"
    }  # fmt: skip


def test_a_month_of_auto_is_settled_by_the_data_alone() -> None:
    rec = replace(a_month(Shape(1000)), shape=Shape()).reconcile(duration="auto")
    assert rec.findings["duration-basis"].severity == "info"
    assert rec.findings["duration-basis"].cure == {"duration": "billable"}
