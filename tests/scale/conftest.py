"""Small worlds in which ids, copies and numbers lead from row to row, and a way to cut them anywhere."""

from __future__ import annotations

from typing import Any, Final

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.config import set as set_config

import sippet_reconcile as sr
from sippet_reconcile.schema import CALLS, LEGS, conform

START: Final = pd.Timestamp("2026-10-05T08:00:00Z")
FRAMES: Final = (
    "pairs",
    "discrepancies",
    "only_in_cdr",
    "only_in_api",
    "ambiguous",
    "excluded",
    "balance",
    "status_table",
)
SPREAD: Final = ("legs", "calls", "cdr_calls")


def build_world(seed: int, size: int = 40) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return legs and calls of about so many conversations, most of them with something odd."""
    rng = np.random.default_rng(seed)

    def some(share: float) -> np.ndarray:
        return rng.random(size) < share

    ids = np.array([f"{n:08x}-0000-4000-8000-{n:012x}" for n in range(size)], object)
    others = np.array([f"{n:08x}-1111-4000-8000-{n:012x}" for n in range(size)], object)
    begin = rng.integers(0, 40 * size, size)
    ring, talk = rng.integers(0, 30, size), np.where(some(0.7), rng.integers(1, 200, size), 0)
    number = np.array([f"+4420794601{n:02d}" for n in rng.integers(0, max(size // 3, 2), size)], object)
    called = np.array([f"+1212555010{n}" for n in rng.integers(0, 3, size)], object)
    status = np.where(talk > 0, "completed", rng.choice(["busy", "no_answer", "failed"], size)).astype(object)
    half = rng.choice([0.0, 0.25], size) if rng.random() < 0.5 else np.zeros(size)
    legs = pd.DataFrame(
        {
            "leg_id": np.where(some(0.9), ids, None),
            "call_key": np.where(some(0.85), np.where(some(0.1), rng.permutation(ids), ids), None),
            "linked_id": np.where(some(0.4), np.where(some(0.3), rng.permutation(ids), others), None),
            "direction": rng.choice(
                ["inbound", "outbound", "internal", None], size, p=[0.5, 0.35, 0.05, 0.1]
            ),
            "from_number": number,
            "to_number": called,
            "from_e164": number,
            "to_e164": called,
            "status": status,
            "cause": np.where(talk > 0, "NORMAL_CLEARING", "USER_BUSY"),
            "is_answered": talk > 0,
            "started_at": START + pd.to_timedelta(begin + half, unit="s"),
            "ended_at": START + pd.to_timedelta(begin + ring + talk + half, unit="s"),
            "total_s": (ring + talk).astype(float),
            "billable_s": talk.astype(float),
            "source_file": rng.choice(["a.csv", "b.csv"], size),
            "source_row": np.arange(size) + 2,
            "record_hash": rng.integers(1, 1 << 40, size),
            "problem": np.where(some(0.04), "no start", None),
            "is_helper": some(0.05),
            "is_coarse": some(0.05),
            "x_trunk": rng.choice(["north", "south"], size),
        }
    )
    # Stamps without seconds stand for their whole minute.
    for name in ("started_at", "ended_at"):
        legs[name] = legs[name].mask(legs["is_coarse"], legs[name].dt.floor("min"))
    again = rng.integers(0, size, size // 8)
    legs = pd.concat([legs, legs.iloc[again].assign(source_file="copy.csv")], ignore_index=True)
    legs = legs.iloc[rng.permutation(len(legs))]
    calls = pd.DataFrame(
        {
            "id": np.array([f"{n:08x}-2222-4000-8000-{n:012x}" for n in range(size)], object),
            "call_uuid": np.where(some(0.8), np.where(some(0.1), rng.permutation(ids), ids), None),
            "conversation_id": np.where(some(0.3), rng.permutation(others), None),
            "direction": rng.choice(["inbound", "outbound", None], size),
            "from_number": number,
            "to_number": called,
            "status": np.where(some(0.2), "failed", status),
            "call_source": "sip",
            "started_at": START + pd.to_timedelta(begin + rng.integers(0, 3, size), unit="s"),
            "ended_at": START + pd.to_timedelta(begin + ring + talk + np.where(some(0.2), 60, 0), unit="s"),
            "duration_seconds": np.where(some(0.3), talk + ring, talk),
            "api_url": "https://api.example",
            "fetched_at": START + pd.Timedelta(days=40),
        }
    )
    if seed % 2:  # as calls have it whose numbers somebody read before
        calls = calls.assign(from_e164=np.where(some(0.5), number, None), to_e164=called)
    twice = rng.integers(0, size, 2)
    later = calls.iloc[twice].assign(fetched_at=START + pd.Timedelta(days=41), status="busy")
    calls = pd.concat([calls, later.drop_duplicates("id")], ignore_index=True).iloc[rng.permutation(size)]
    return framed(legs, LEGS), framed(calls, CALLS)


def build_world_of_numbers(seed: int, size: int = 60) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return legs and calls of about so many conversations, of which few or none have an id in common.

    Few people call each other, again and again. Their numbers have several forms, and may be withheld.
    Each file has a clock of its own, and a share of ids of its own.
    """
    rng = np.random.default_rng(seed)

    def some(share: float) -> np.ndarray:
        return rng.random(size) < share

    def shown(people: np.ndarray, withheld: float) -> tuple[np.ndarray, np.ndarray]:
        whole = np.array([f"+44{n:010d}" for n in people], object)
        cut = np.array([text[-rng.choice([5, 6, 7, 8]) :] for text in whole], object)
        delivered = np.where(some(0.1), "0" + np.array([text[3:] for text in whole], object), whole)
        delivered = np.where(some(rng.choice([0.0, 0.2])), cut, delivered)
        hidden = rng.choice(["anonymous", "Unbekannt", "0000000", "", None, "client:ana7"], size)
        delivered = np.where(some(withheld), hidden, delivered)
        return delivered, np.where((delivered == whole) & some(0.8), whole, None)

    ids = np.array([f"{n:08x}-0000-4000-8000-{n:012x}" for n in range(size)], object)
    others = np.array([f"{n:08x}-1111-4000-8000-{n:012x}" for n in range(size)], object)
    n_files = rng.integers(1, 5)
    file = rng.integers(0, n_files, size)
    with_id = rng.choice([0.0, 0.0, 0.3, 0.9, 1.0], n_files)[file]
    with_other = rng.choice([0.0, 0.3, 1.0], n_files)[file]
    clock = rng.choice([0.0, 0.0, 0.5, 7.0, -25.0, 45.0, 3600.0], n_files)[file]
    draw = rng.random((2, size))
    shared, own = draw[0] < with_id, draw[1] < with_other
    # A redial follows soon, between the same two.
    dial = np.cumsum(~some(0.3))
    n_people = int(rng.choice([2, max(size // 4, 3), 10 * size]))
    caller, called = rng.integers(0, n_people, (2, size + 1))[:, dial]
    called = 2_079_460_000 + called * rng.choice([1, 1_000_000])  # the latter end alike
    caller = 7_700_900_000 + caller
    pace = float(rng.choice([5, 60, 600]))
    grain = float(rng.choice([0.1, 0.1, 20.0]))  # so coarse that many start at the same moment
    begin = (np.cumsum(rng.exponential(pace, size)) / grain).round() * grain
    ring, talk = rng.integers(0, 30, size), np.where(some(0.7), rng.integers(1, 200, size), 0)
    from_answer = rng.random(n_files)[file] < 0.2
    noise = rng.choice([0, 1, 8]) * rng.normal(size=size)
    seen = begin + clock + np.where(from_answer, ring, 0) + noise
    numbers = [
        shown(people, withheld)
        for people, withheld in ((caller, 0.15), (called, 0.02), (caller, 0.15), (called, 0.02))
    ]
    way = rng.choice(["inbound", "outbound", None], size, p=[0.6, 0.1, 0.3])
    legs = pd.DataFrame(
        {
            "leg_id": [f"leg-{n}" for n in range(size)],
            "call_key": np.where(shared, ids, np.where(own, others, None)),
            "direction": way,
            "from_number": numbers[0][0],
            "to_number": numbers[1][0],
            "from_e164": numbers[0][1],
            "to_e164": numbers[1][1],
            "status": np.where(talk > 0, "completed", "no_answer"),
            "is_answered": talk > 0,
            "started_at": START + pd.to_timedelta(seen.round(2), unit="s"),
            "ended_at": START + pd.to_timedelta((begin + clock + ring + talk).round(2), unit="s"),
            "total_s": (ring + talk).astype(float),
            "billable_s": talk.astype(float),
            "source_file": np.where(file == 3, None, [f"switch-{9 - n}.csv" for n in file]),
            "source_row": np.arange(size) + 2,
            "record_hash": np.arange(size) + 1,
            "time_problem": np.where(some(0.03), "started_at: the hour occurs twice", None),
            "is_coarse": some(0.05),
        }
    )
    for name in ("started_at", "ended_at"):
        legs[name] = legs[name].mask(legs["is_coarse"], legs[name].dt.floor("min")).mask(some(0.03))
    ended = START + pd.to_timedelta((begin + ring + talk + np.where(some(0.1), 60, 0)).round(1), unit="s")
    calls = pd.DataFrame(
        {
            "id": [f"{n:08x}-2222-4000-8000-{n:012x}" for n in range(size)],
            "call_uuid": np.where(shared | some(0.5), ids, None),
            "direction": np.where(some(0.95), way, "inbound"),
            "from_number": numbers[2][0],
            "to_number": numbers[3][0],
            "status": np.where(some(0.1), "failed", np.where(talk > 0, "completed", "no_answer")),
            "call_source": "sip",
            "started_at": pd.Series(START + pd.to_timedelta(begin.round(1), unit="s")).mask(some(0.02)),
            "ended_at": ended,
            "duration_seconds": np.where(some(0.1), talk + ring, talk),
            "api_url": "https://api.example",
            "fetched_at": START + pd.Timedelta(days=40),
        }
    )
    if seed % 2:
        calls = calls.assign(from_e164=numbers[2][1], to_e164=numbers[3][1])
    kept = [np.flatnonzero(some(0.95)) for _ in range(2)]
    legs, calls = (frame.iloc[rng.permutation(at)] for frame, at in zip((legs, calls), kept, strict=True))
    return framed(legs, LEGS), framed(calls, CALLS)


def framed(rows: pd.DataFrame, schema: Any) -> pd.DataFrame:
    """Return rows with every column of a schema, typed."""
    columns = {}
    for column in schema.columns:
        values = rows[column.name].to_numpy(object) if column.name in rows else [None] * len(rows)
        if column.kind.value.startswith("datetime"):
            columns[column.name] = pd.Series(pd.to_datetime(values, utc=True)).dt.as_unit("us")
        else:
            columns[column.name] = pd.Series(values, dtype=column.kind.value)
    for name in rows.columns.difference(list(columns)):
        kind = "boolean" if name.startswith("is_") else "str"
        columns[name] = pd.Series(rows[name].to_numpy(object), dtype=kind)
    return conform(pd.DataFrame(columns), schema)


def cut(frame: pd.DataFrame, places: list[int]) -> dd.DataFrame:
    """Return a frame as a Dask one whose partitions end at some rows."""
    ends = sorted({min(place, len(frame)) for place in places} | {len(frame)})
    parts = [frame.iloc[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    with set_config({"dataframe.convert-string": False}):
        return dd.from_map(lambda part: part, parts, meta=frame.iloc[:0])


def assert_same(one: sr.Reconciliation, spread: sr.Reconciliation) -> None:
    """Hold everything that a reconciliation tells against that of the same rows in parts."""
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(spread, name), obj=name)
    for name in SPREAD:
        expected = pd.DataFrame(getattr(one, name)).reset_index(drop=True)
        pd.testing.assert_frame_equal(expected, getattr(spread, name).to_pandas(), obj=name)
    pd.testing.assert_frame_equal(one.ledger(), spread.ledger())
    pd.testing.assert_frame_equal(one.rollup(), spread.rollup())
    assert [(f.code, f.severity, f.message, f.advice) for f in one.findings] == [
        (f.code, f.severity, f.message, f.advice) for f in spread.findings
    ]
    for finding, other in zip(one.findings, spread.findings, strict=True):
        pd.testing.assert_frame_equal(finding.evidence, other.evidence)
    assert one.counts == spread.counts
    assert one.summary() == spread.summary()


@pytest.fixture(scope="session")
def world() -> Any:
    """Build a world of a seed."""
    return build_world


@pytest.fixture(scope="session")
def world_of_numbers() -> Any:
    """Build a world of a seed in which numbers have to tell what ids do not."""
    return build_world_of_numbers


@pytest.fixture(scope="session")
def in_parts() -> Any:
    """Cut a frame into partitions."""
    return cut


@pytest.fixture(scope="session")
def same() -> Any:
    """Hold two reconciliations against each other."""
    return assert_same
