"""Small pairs of frames: an agreeing call per row, with whatever a test wants otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import sippet_reconcile as sr
from sippet_reconcile.reconciliation.comparing.compare import Comparison, compare_pairs
from sippet_reconcile.reconciliation.core import PairPositions
from sippet_reconcile.reconciliation.explaining.explain import explain_discrepancies
from sippet_reconcile.reconciliation.matching.reduce import CDR_CALLS
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Sides
from sippet_reconcile.schema import CALLS, LEGS, conform

START = pd.Timestamp("2026-10-05T08:00:00Z")


@dataclass
class Row:
    """One matched call: ringing and talk in seconds, and what differs from the ordinary."""

    ring: float = 10
    talk: float = 60
    call: dict[str, Any] = field(default_factory=dict)
    cdr: dict[str, Any] = field(default_factory=dict)
    rule: int = 0
    every_s: float = 600


@dataclass(frozen=True, eq=False)
class Matched:
    """Both frames and their pairs."""

    calls: pd.DataFrame
    cdr_calls: pd.DataFrame
    pairs: PairPositions

    def compare(self, rules: Rules | None = None, mask: NDArray[np.bool_] | None = None) -> Comparison:
        """Compare and explain, on the billable basis unless the rules say otherwise."""
        rules = rules or Rules(duration="billable")
        sides = Sides.of(self.calls, self.cdr_calls, self.pairs, rules, mask=mask)
        return explain_discrepancies(compare_pairs(sides, rules))


def build(rows: Sequence[Row]) -> Matched:
    calls: list[dict[str, Any]] = []
    cdrs: list[dict[str, Any]] = []
    start = START
    for n, row in enumerate(rows):
        answered_at = start + pd.Timedelta(seconds=row.ring)
        ended_at = answered_at + pd.Timedelta(seconds=row.talk)
        both = {
            "direction": "inbound",
            "from_number": "+442079460123",
            "to_number": f"+4479460{n:05d}",
            "sip_username": None,
            "status": "completed",
            "started_at": start,
            "ended_at": ended_at,
        }
        calls.append(
            {
                "id": f"id-{n}",
                "call_uuid": f"uuid-{n}",
                "call_source": "sip",
                "duration_seconds": int(row.talk),
                "conversation_id": None,
                "api_url": "https://api.example",
                "fetched_at": START + pd.Timedelta(days=60),
                **both,
                **row.call,
            }
        )
        total = row.ring + row.talk
        cdr = {
            "cdr_id": f"cdr-{n}",
            "n_legs": 1,
            "source_file": "oct.csv",
            "source_row": n + 1,
            "answered_at": answered_at,
            "total_s": total,
            "billable_s": row.talk,
            "is_answered": True,
            "from_e164": both["from_number"],
            "to_e164": both["to_number"],
            "cause": "NORMAL_CLEARING",
            "time_problem": None,
            "is_coarse": False,
            **both,
            **row.cdr,
        }
        for which in ("first", "last", "sum"):
            for name in ("billable_s", "total_s"):
                cdr.setdefault(f"{which}_{name}", cdr[name])
        cdrs.append(cdr)
        start += pd.Timedelta(seconds=row.every_s)
    n_rows = len(rows)
    positions = np.arange(n_rows, dtype=np.int64)
    return Matched(
        frame_of(calls, CALLS),
        frame_of(cdrs, CDR_CALLS),
        PairPositions(positions, positions.copy(), np.array([row.rule for row in rows], np.int8)),
    )


def frame_of(rows: list[dict[str, Any]], schema: Any) -> pd.DataFrame:
    columns = {}
    for column in schema.columns:
        values = [row.get(column.name) for row in rows]
        if column.kind.value.startswith("datetime"):
            columns[column.name] = pd.Series(pd.to_datetime(values, utc=True)).dt.as_unit("us")
        else:
            columns[column.name] = pd.Series(values, dtype=column.kind.value)
    return conform(pd.DataFrame(columns), schema)


@pytest.fixture
def row() -> type[Row]:
    """Describe one matched call."""
    return Row


@pytest.fixture(scope="session")
def matched() -> Callable[[Sequence[Row]], Matched]:
    """Build both frames and their pairs from rows."""
    return build


@pytest.fixture(scope="session")
def make_row() -> type[Row]:
    """Describe one matched call, in tests that Hypothesis repeats."""
    return Row


def build_legs(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Build legs; each row names what matters to it, the rest is ordinary and every record is its own."""
    filled = []
    for n, row in enumerate(rows):
        ordinary = {
            "source_file": "a.csv",
            "source_row": n + 2,
            "source_sha256": "f" * 64,
            "record_hash": n + 1,
            "format": "plain",
            "is_answered": True,
            "status": "completed",
            "direction": "inbound",
            "total_s": None,
            "billable_s": None,
        }
        filled.append({**dict.fromkeys(LEGS.names), **ordinary, **row})
    return typed_frame(filled, LEGS)


def build_calls(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Build calls; each row names what matters to it, the rest is ordinary."""
    filled = []
    for n, row in enumerate(rows):
        ordinary = {
            "id": f"id-{n}",
            "direction": "inbound",
            "status": "completed",
            "call_source": "sip",
            "api_url": "https://api.example",
            "fetched_at": START + pd.Timedelta(days=60),
        }
        filled.append({**dict.fromkeys(CALLS.names), **ordinary, **row})
    return typed_frame(filled, CALLS)


def typed_frame(rows: list[dict[str, Any]], schema: Any) -> pd.DataFrame:
    """Build a frame of a schema; columns beyond it are kept as pandas infers them."""
    frame = schema.empty() if not rows else frame_of(rows, schema)
    extra = {name: [row.get(name) for row in rows] for name in dict.fromkeys(k for r in rows for k in r)}
    return frame.assign(**{name: values for name, values in extra.items() if name not in schema.names})


@pytest.fixture(scope="session")
def make_legs() -> Callable[[Sequence[dict[str, Any]]], pd.DataFrame]:
    """Build legs from what matters about each."""
    return build_legs


@pytest.fixture(scope="session")
def make_calls() -> Callable[[Sequence[dict[str, Any]]], pd.DataFrame]:
    """Build calls from what matters about each."""
    return build_calls


@pytest.fixture(scope="session")
def at() -> Callable[[float], pd.Timestamp]:
    """Return the instant so many seconds after the morning on which all tests happen."""
    return lambda seconds: START + pd.Timedelta(seconds=seconds)


@pytest.fixture(scope="session")
def both_sides() -> Callable[[int], tuple[pd.DataFrame, pd.DataFrame]]:
    """Build a number of one-leg calls and the calls of the API that agree with them."""

    def build_both(count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        legs, calls = [], []
        for n in range(count):
            start = START + pd.Timedelta(seconds=600 * n)
            both = {
                "started_at": start,
                "ended_at": start + pd.Timedelta(seconds=70 + n % 7),
                "from_number": "+442079460123",
                "to_number": f"+4420794{n:05d}",
            }
            own = {"from_e164": both["from_number"], "to_e164": both["to_number"], "call_key": f"uuid-{n}"}
            seconds = {"answered_at": start + pd.Timedelta(seconds=10), "total_s": 70 + n % 7}
            legs.append({**both, **own, **seconds, "leg_id": f"leg-{n}", "billable_s": 60 + n % 7})
            calls.append({**both, "call_uuid": f"UUID{n}", "duration_seconds": 60 + n % 7})
        return build_legs(legs), build_calls(calls)

    return build_both


@pytest.fixture
def reconciled(
    make_legs: Callable[..., pd.DataFrame], make_calls: Callable[..., pd.DataFrame]
) -> Callable[..., sr.Reconciliation]:
    """Reconcile rows on the billable basis, or by the rules given."""

    def run(
        legs: list[dict[str, Any]], calls: list[dict[str, Any]], period: sr.Period | None = None, **rules: Any
    ) -> sr.Reconciliation:
        given = sr.Rules(**{"duration": "billable", **rules})
        return sr.reconcile(make_legs(legs), make_calls(calls), period=period, rules=given, progress=False)

    return run


@pytest.fixture
def three_wrong_of_six(matched: Callable[[Sequence[Row]], Matched], row: type[Row]) -> Comparison:
    """Two calls with ring time, one without its seconds, and of the others one within tolerance and one without evidence."""
    return matched(
        [
            row(ring=17, talk=127, call={"duration_seconds": 144, "direction": "outbound"}),
            row(ring=17, talk=127, call={"duration_seconds": 144}),
            row(talk=100, call={"duration_seconds": 0, "ended_at": None}),
            row(),
            row(talk=60.6, call={"duration_seconds": 60}),
            row(cdr={"billable_s": None}),
        ]
    ).compare()
