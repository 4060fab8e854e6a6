"""What is said of the whole is counted where rows lie, and is what one machine says, down to the evidence."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from dask.delayed import delayed
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile import scale
from sippet_reconcile.reconciliation.core import PairPositions
from sippet_reconcile.reconciliation.diagnosing import (
    basis,
    gaps,
    hours,
    increments,
    material,
    number_form,
    parts,
    records,
    twins,
    vocabulary,
)
from sippet_reconcile.reconciliation.diagnosing.start_gaps import GapCounts
from sippet_reconcile.reconciliation.matching.reduce import CDR_CALLS
from sippet_reconcile.reconciliation.sides import Columns, Sides
from sippet_reconcile.scale import spread
from sippet_reconcile.scale.sides import SpreadColumns, SpreadSides
from sippet_reconcile.scale.spread import Group, SpreadFrame
from sippet_reconcile.schema import CALLS, LEGS, conform

START: Final = pd.Timestamp("2026-10-05T08:00:00Z")
SIZE: Final = 700
BILLABLE: Final = sr.Rules(duration="billable")
FIRST_HOURS: Final = sr.Period(START, START + pd.Timedelta(hours=8), timezone="UTC")
ALL_DAY: Final = sr.Period(START, START + pd.Timedelta(hours=14), timezone="UTC")
ANOTHER_YEAR: Final = sr.Period.month("2024-01", timezone="UTC")
_TIMES: Final = ["started_at", "answered_at", "ended_at"]

Both = tuple[pd.DataFrame, pd.DataFrame]


def frame_of(schema: Any, size: int, **columns: Any) -> pd.DataFrame:
    """Return a frame of a schema with some columns filled, and further ones."""
    frame = schema.empty().reindex(range(size))
    known = {name: values for name, values in columns.items() if name in frame}
    frame = frame.assign(
        **{name: pd.Series(v, index=frame.index).astype(frame[name].dtype) for name, v in known.items()}
    )
    others = {
        name: pd.Series(v, index=frame.index, dtype="str") for name, v in columns.items() if name not in known
    }
    return conform(frame.assign(**others), schema)


def agreeing(size: int = SIZE) -> Both:
    """Return legs and calls that agree: two files, two trunks, a call a minute."""
    rng = np.random.default_rng(5)
    ids = [f"{n:08x}-0000-4000-8000-{n:012x}" for n in range(size)]
    ring, talk = rng.integers(3, 30, size), np.where(rng.random(size) < 0.9, rng.integers(5, 400, size), 0)
    start = (START + pd.to_timedelta(np.arange(size) * 60 + rng.integers(0, 40, size), unit="s")).as_unit(
        "us"
    )
    number = [f"+4420794601{n:02d}" for n in rng.integers(0, 60, size)]
    called = [f"+1212555{n:04d}" for n in rng.integers(100, 200, size)]
    both = {
        "direction": np.where(rng.random(size) < 0.5, "inbound", "outbound"),
        "from_number": number,
        "to_number": called,
        "sip_username": [f"10{n:02d}" for n in rng.integers(0, 8, size)],
        "status": np.where(talk > 0, "completed", "no_answer"),
        "started_at": start,
        "ended_at": start + pd.to_timedelta(ring + talk, unit="s").as_unit("us"),
    }
    legs = frame_of(
        LEGS, size, **both, leg_id=ids, call_key=ids, from_e164=number, to_e164=called, is_answered=talk > 0,
        answered_at=pd.Series(start + pd.to_timedelta(ring, unit="s").as_unit("us")).where(talk > 0),
        total_s=(ring + talk).astype(float), billable_s=talk.astype(float), source_row=np.arange(size) + 2,
        source_file=np.where(np.arange(size) % 2, "b.csv", "a.csv"), record_hash=rng.integers(1, 1 << 40, size),
        x_trunk=np.where(rng.random(size) < 0.4, "south", "north"),
    )  # fmt: skip
    calls = frame_of(
        CALLS, size, **both, id=[f"id-{n}" for n in range(size)], call_uuid=ids, call_source="sip",
        duration_seconds=talk, api_url="https://api.example", fetched_at=START + pd.Timedelta(days=40),
    )  # fmt: skip
    return legs, calls.iloc[rng.permutation(size)].reset_index(drop=True)


def moved(legs: pd.DataFrame, seconds: Any) -> pd.DataFrame:
    by = pd.Series(
        pd.to_timedelta(np.broadcast_to(seconds, len(legs)), unit="s"), index=legs.index
    ).dt.as_unit("us")
    return legs.assign(**{name: legs[name] + by for name in _TIMES})


def late_trunk(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    return moved(legs, np.where(legs["x_trunk"].eq("south"), 3600, 0)), calls


def file_ahead(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    return moved(legs, np.where(legs["source_file"].eq("b.csv"), 20, 0)), calls


def drifting(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    return moved(legs, np.arange(len(legs)) * 0.05), calls


def total_in_a_part(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    south = legs.set_index("call_key")["x_trunk"].eq("south").reindex(calls["call_uuid"]).to_numpy()
    whole = (calls["ended_at"] - calls["started_at"]).dt.total_seconds().astype("Int64")
    talked = calls["duration_seconds"].gt(0).to_numpy("bool")
    return legs, calls.assign(duration_seconds=calls["duration_seconds"].mask(south & talked, whole))


def rounded(step: int, *, south_only: bool) -> Callable[[pd.DataFrame, pd.DataFrame], Both]:
    def make(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
        billed = np.ceil(legs["billable_s"] / step) * step
        here = legs["x_trunk"].eq("south") | (not south_only)
        return legs.assign(billable_s=legs["billable_s"].mask(here.to_numpy("bool"), billed)), calls

    return make


def other_words(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    return legs, calls.assign(status=calls["status"].replace({"completed": "finished"}))


def odd_calls(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    n = np.arange(len(calls))
    ended = calls["ended_at"].mask(n % 9 == 1).mask(n % 9 == 2, calls["started_at"] - pd.Timedelta(minutes=1))
    seconds = (
        calls["duration_seconds"].mask(n % 9 == 3, calls["duration_seconds"] + 5000).mask(n % 9 == 4, -3)
    )
    status = calls["status"].mask(n % 9 == 5, "ringing").mask(n % 27 == 1)
    return legs, calls.assign(ended_at=ended, duration_seconds=seconds, status=status)


def recorded_twice(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    again = calls.iloc[::9].assign(id=[f"again-{n}" for n in range(len(calls.iloc[::9]))])
    again = again.assign(call_uuid=again["call_uuid"].where(np.arange(len(again)) % 2 == 0))
    older = calls.iloc[5::50].assign(fetched_at=START + pd.Timedelta(days=30), status="busy")
    return legs, pd.concat([again, calls, older], ignore_index=True)


def legs_again(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    copies = legs.iloc[::7].assign(source_file="copy.csv")
    apart = moved(legs.iloc[3::90], 9 * 3600).assign(record_hash=7, source_row=99_999)
    return pd.concat([copies, legs, apart], ignore_index=True), calls


def probed(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    n = 40
    probes = legs.iloc[:n].assign(
        leg_id=None, call_key=None, from_number="900100", from_e164=None, is_answered=False, status="no_answer",
        to_number=[f"+4479460000{k:02d}" for k in range(n)], to_e164=None, billable_s=0.0,
        record_hash=np.arange(n) + 10, source_row=np.arange(n) + 5000,
    )  # fmt: skip
    return pd.concat([legs, probes.astype(legs.dtypes.to_dict())], ignore_index=True), calls


def national(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    return legs.assign(from_number="0" + legs["from_number"].str[3:], from_e164=None).astype(
        legs.dtypes
    ), calls


def other_key(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    key = legs["call_key"]
    wrong = "x" + key
    nobody = dict.fromkeys(("from_number", "to_number", "from_e164", "to_e164"))
    return legs.assign(call_key=wrong, leg_id=wrong, x_uuid=key, **nobody).astype(
        legs.dtypes.to_dict()
    ), calls


def cut_file(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    n = np.arange(len(legs))
    late = n >= 3 * len(legs) // 4
    legs = legs.assign(source_file=np.where(n < len(legs) // 2, "a.csv", "b.csv")).astype(legs.dtypes)
    return legs.loc[~late].reset_index(drop=True), calls


def lost_hours(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    n = np.arange(len(legs))
    gone = (n > 300) & (n < 380)
    inside = calls["started_at"].between(START + pd.Timedelta(minutes=100), START + pd.Timedelta(minutes=150))
    return legs.loc[~gone].reset_index(drop=True), calls.loc[~inside].reset_index(drop=True)


def as_it_is(legs: pd.DataFrame, calls: pd.DataFrame) -> Both:
    return legs, calls


WORLDS: Final[dict[str, tuple[Callable[[pd.DataFrame, pd.DataFrame], Both], dict[str, Any], set[str]]]] = {
    "a late trunk": (late_trunk, {"rules": BILLABLE}, {"timezone-shift"}),
    "a file ahead": (file_ahead, {"rules": BILLABLE}, {"clock-offset"}),
    "a drifting clock": (drifting, {"rules": BILLABLE}, {"clock-offset"}),
    "two bases": (total_in_a_part, {}, {"duration-basis"}),
    "a contradicted basis": (total_in_a_part, {"rules": BILLABLE}, {"duration-basis"}),
    "minutes in a part": (rounded(60, south_only=True), {"rules": BILLABLE}, {"rounded-durations"}),
    "six seconds": (rounded(6, south_only=False), {"rules": BILLABLE}, {"rounded-durations"}),
    "other words": (other_words, {"rules": BILLABLE, "period": FIRST_HOURS}, {"status-vocabulary"}),
    "odd calls": (odd_calls, {"rules": BILLABLE}, {"stuck-calls", "impossible-calls"}),
    "odd calls of a period": (odd_calls, {"period": FIRST_HOURS}, {"stuck-calls", "impossible-calls"}),
    "recorded twice": (recorded_twice, {"rules": BILLABLE, "period": FIRST_HOURS}, {"duplicate-calls"}),
    "legs again": (legs_again, {"rules": BILLABLE}, {"duplicate-rows"}),
    "edges": (drifting, {"rules": sr.Rules(duration="billable", settle_s=0), "period": FIRST_HOURS}, {"month-boundary"}),
    "probes": (probed, {"rules": BILLABLE}, {"probe-noise"}),
    "national numbers": (national, {"rules": BILLABLE}, {"number-format"}),
    "another key": (other_key, {"rules": BILLABLE}, {"low-match-rate"}),
    "a cut file": (cut_file, {"rules": BILLABLE, "period": ALL_DAY}, {"truncated-export"}),
    "lost hours": (lost_hours, {"rules": BILLABLE}, {"missing-hours"}),
    "another year": (as_it_is, {"rules": BILLABLE, "period": ANOTHER_YEAR}, {"empty-side"}),
}  # fmt: skip


@pytest.mark.parametrize("tries", [1, pytest.param(6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", WORLDS)
def test_each_finding_and_its_evidence_are_those_of_one_machine(
    in_parts: Any, same: Any, name: str, tries: int
) -> None:
    make, options, codes = WORLDS[name]
    legs, calls = make(*agreeing())
    whole = sr.reconcile(legs, calls, **options, progress=False)
    assert codes <= set(whole.findings.codes)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for _ in range(tries):
        places = [sorted(rng.integers(0, len(frame), 3).tolist()) for frame in (legs, calls)]
        spread_frames = in_parts(legs, places[0]), in_parts(calls, places[1])
        rec = scale.reconcile(*spread_frames, **options, npartitions=int(rng.integers(2, 6)), progress=False)
        same(whole, rec)
        pd.testing.assert_frame_equal(whole.findings.checks, rec.findings.checks)


# Counts of parts.


def scattered(frame: pd.DataFrame, part_of_row: Any, names: list[str], n_parts: int = 4) -> SpreadFrame:
    """Lay each row of a frame into a part; the columns that are looked at often by themselves."""
    at = np.asarray(part_of_row)
    rows = [np.flatnonzero(at == part) for part in range(n_parts)]
    order = np.argsort(np.concatenate(rows))
    of_core = frame.columns.isin(names)
    groups = [
        Group([delayed(some.take(of_part).reset_index(drop=True)) for of_part in rows], some.iloc[:0])
        for some in (frame.loc[:, of_core], frame.loc[:, ~of_core])
        if len(some.columns)
    ]
    return SpreadFrame(groups, np.array([len(of_part) for of_part in rows]), order, frame.columns.tolist())


@pytest.fixture(scope="module")
def paired() -> tuple[pd.DataFrame, pd.DataFrame, PairPositions]:
    """Return calls, CDR calls and their pairs of a small world with something of everything."""
    legs, calls = odd_calls(*late_trunk(*agreeing(90)))
    rec = sr.reconcile(legs, calls, rules=BILLABLE, progress=False)
    sides = rec._comparison().sides
    return sides.calls, sides.cdr_calls, PairPositions(sides.call_pos, sides.cdr_pos, sides.rule)


OF_PAIRS: Final[dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]] = {
    "gaps": (GapCounts.of, (3.0,)),
    "words": (vocabulary._Met.of, ()),
    "lengths": (increments._count_proofs, ("billable_s", 60, 6)),
    "edges told": (basis._say, (BILLABLE,)),
}
OF_CALLS: Final[dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]] = {
    "statuses": (vocabulary._count_words, ()),
    "span": (material.Span.of, ()),
    "aged": (records._count_aged, ()),
    "without uuid": (twins._count_without_uuid, ()),
}
PLACES: Final = st.lists(st.integers(0, 3), min_size=90, max_size=90)


def plain(value: Any) -> Any:
    """Return counts as something that can be compared."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return (
        {key: plain(one) for key, one in vars(value).items()}
        if hasattr(value, "__dict__") and not isinstance(value, dict)
        else value
    )


@settings(max_examples=12, deadline=None)
@given(PLACES, PLACES)
def test_what_parts_count_of_pairs_adds_up_to_the_whole(paired: Any, call_parts: Any, cdr_parts: Any) -> None:
    calls, cdr_calls, pairs = paired
    one = Sides.of(calls, cdr_calls, pairs, BILLABLE)
    spread_sides = SpreadSides.of_spread(
        scattered(calls, call_parts[: len(calls)], CALLS.names),
        scattered(cdr_calls, cdr_parts[: len(cdr_calls)], CDR_CALLS.names),
        pairs,
        0.0,
    )
    some = np.arange(len(pairs)) % 3 > 0
    for whole, parted in ((one, spread_sides), (one.where(some), spread_sides.where(some))):
        for count, terms in OF_PAIRS.values():
            how = "told" if count is basis._say else "summed"
            found, expected = (getattr(sides, how)(count, *terms) for sides in (parted, whole))
            assert plain(found) == plain(expected) if how == "summed" else (found[0] == expected[0]).all()
        for column in ("source_file", "x_trunk", "direction", "sip_username"):
            mark = np.arange(len(whole)) % 2 == 0
            assert plain(parts.split_by(parted, column, mark)) == plain(parts.split_by(whole, column, mark))
            rows = parts.rows_of(whole, column, "south")
            assert parts.rows_of(parted, column, "south").tolist() == rows.tolist()
        codes, words = parted.cdr_codes("source_file")
        assert [words[code] for code in codes.tolist()] == whole.cdr_text("source_file").to_pylist()
        lengths = [sides.summed(increments._Lengths.of, "billable_s") for sides in (parted, whole)]
        assert plain(lengths[0]) == plain(lengths[1])


@settings(max_examples=12, deadline=None)
@given(PLACES)
def test_what_parts_count_of_rows_adds_up_to_the_whole(paired: Any, of_row: Any) -> None:
    calls, cdr_calls, _ = paired
    one, parted = Columns(calls), SpreadColumns(scattered(calls, of_row[: len(calls)], CALLS.names))
    mask = np.arange(len(calls)) % 4 > 0
    for count, terms in OF_CALLS.values():
        found, expected = (columns.summed(count, *terms, along=[mask]) for columns in (parted, one))
        assert plain(found) == plain(expected)
    for find in (records._find_stuck, records._find_impossible):
        found, expected = (columns.found(find, BILLABLE, along=[mask]) for columns in (parted, one))
        assert [array.tolist() for array in found] == [array.tolist() for array in expected]
    assert parted.words("status") == one.words("status")
    of_cdr = (
        Columns(cdr_calls),
        SpreadColumns(scattered(cdr_calls, of_row[: len(cdr_calls)], CDR_CALLS.names)),
    )
    spans = [columns.summed(hours._Spans.of).of_file for columns in of_cdr]
    assert spans[0] == spans[1]
    keys = [columns.told(gaps._keys, None, None, along=[mask, ~mask]) for columns in (one, parted)]
    assert (keys[0][0] == keys[1][0]).all()


# What travels.


def test_no_column_of_text_comes_to_the_process_that_asks(
    in_parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a fixed number of rows show is not what grows with them.
    monkeypatch.setattr(number_form, "_LOOKED_AT", 20)
    monkeypatch.setattr(parts, "_TRIED", 20)
    monkeypatch.setattr(parts.evenly, "__defaults__", (20,))
    n_texts, arrive = [0], spread.compute

    def count(value: Any) -> int:
        if isinstance(value, pd.DataFrame):
            return sum(count(value[name]) for name in value)
        if isinstance(value, pd.Series):
            return len(value) if isinstance(value.dtype, pd.StringDtype) else 0
        if isinstance(value, (list, tuple)):
            return sum(map(count, value)) + sum(isinstance(one, str) for one in value)
        return sum(map(count, vars(value).values())) if hasattr(value, "__dataclass_fields__") else 0

    def watched(*asked: Any) -> Any:
        arrived = arrive(*asked)
        n_texts[0] += count(arrived)
        return arrived

    monkeypatch.setattr(spread, "compute", watched)
    legs, calls = agreeing(3000)
    calls = calls.assign(
        duration_seconds=calls["duration_seconds"].mask(calls.index < 20, 9000),
        call_uuid=calls["call_uuid"].mask(calls.index % 10 == 0),
    )
    frames = in_parts(legs, [900, 2000]), in_parts(calls, [700])
    rec = scale.reconcile(*frames, rules=BILLABLE, npartitions=3, progress=False)
    assert {"impossible-calls"} <= set(rec.findings.codes)
    assert len(rec.discrepancies) >= 20
    # One such column would be 3,000 texts; those of the differing calls are a few dozen each.
    assert 0 < n_texts[0] < 3000
