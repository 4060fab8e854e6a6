"""What chance makes of each cause: planted alone into random calls, it leads, also where another leaves the same value."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest

from sippet_reconcile.reconciliation.comparing.compare import compare_pairs
from sippet_reconcile.reconciliation.core import PairPositions
from sippet_reconcile.reconciliation.explaining.causes import EXPLANATIONS
from sippet_reconcile.reconciliation.explaining.explain import explain_discrepancies
from sippet_reconcile.reconciliation.explaining.explanation import Explanation
from sippet_reconcile.reconciliation.matching.reduce import CDR_CALLS
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Sides
from sippet_reconcile.schema import CALLS, conform

SECOND: Final = 1_000_000
START: Final = pd.Timestamp("2026-10-05T08:00:00Z").value // 1000
STRAY: Final = 0.005
IN_THE_TABLES_ORDER: Final = tuple(replace(known, by_company=False) for known in EXPLANATIONS)
UNANSWERED: Final = np.array(["no_answer", "busy", "canceled", "failed"], object)


class Dice:
    """Random calls as they were: one element of each array per call, all seconds whole or in milliseconds."""

    def __init__(self, size: int, seed: int, *, fractions: bool) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.size, self.unit = size, 0.001 if fractions else 1.0
        self.answered = rng.random(size) < 0.8
        self.mailbox = ~self.answered & (rng.random(size) < 0.2)
        self.ring = self.cut(np.clip(rng.lognormal(np.log(12), 0.6, size), 1, 60))
        self.talk = np.where(
            self.answered, self.cut(np.clip(rng.lognormal(np.log(90), 1.2, size), 2, 14_400)), 0
        )
        self.total = self.ring + self.talk
        # A mailbox speaks within the time that the CDR calls ringing.
        self.total = np.where(self.mailbox, self.total + self.cut(rng.uniform(3, 90, size)), self.total)
        self.start = START + np.arange(size) * 7 * SECOND
        self.several = self.answered & (self.talk >= 10) & (rng.random(size) < 0.15)
        self.first = self.cut(self.talk * rng.uniform(0.1, 0.9, size))
        # Both legs talk at the same time for a while.
        self.common = np.minimum(self.cut(rng.uniform(2, 60, size)), self.cut(self.first * 0.9))
        self.last = self.talk - self.first + self.common
        lost = UNANSWERED[rng.integers(0, 4, size)]
        self.status = np.where(self.answered, "completed", np.where(self.mailbox, "voicemail", lost))
        self.other_leg = UNANSWERED[rng.integers(0, 2, size)]

    def cut(self, seconds: Any) -> Any:
        return np.floor(np.asarray(seconds) / self.unit) * self.unit

    def whole(self, least: int, most: int) -> Any:
        return self.rng.integers(least, most, self.size)

    def sign(self) -> Any:
        return self.rng.choice([-1, 1], self.size)


BILLABLE: Final = Rules(duration="billable")
TOTAL: Final = Rules(duration="total")
STRICT_TOTAL: Final = Rules(duration="total", duration_tolerance_s=0, time_tolerance_s=0)
STRICT: Final = Rules(duration="billable", duration_tolerance_s=0, time_tolerance_s=0)


@dataclass(frozen=True)
class Plant:
    """What a cause leaves behind: by field the value, and of which calls."""

    expected: str
    values: Callable[[Dice, Any], dict[str, Any]]
    where: Callable[[Dice, Any], Any] = lambda d, _: d.answered
    rules: Rules = BILLABLE
    fields: tuple[str, ...] = ()
    fractions: bool = False


def half_up(seconds: Any) -> Any:
    return np.floor(np.asarray(seconds, float) + 0.5)


def lasted(d: Dice, basis: Any) -> Any:
    return d.answered & (basis > 0)


def _late(d: Dice, basis: Any) -> dict[str, Any]:
    by = d.whole(5, 900)
    return {"duration_seconds": half_up(basis) + by, "ended_at": by}


def _cut(d: Dice, basis: Any) -> dict[str, Any]:
    by = np.floor(5 + (d.talk - 10) * d.rng.random(d.size))
    return {"duration_seconds": half_up(basis) - by, "ended_at": -by}


def _hours(d: Dice, basis: Any) -> dict[str, Any]:
    by = 3600 * d.whole(1, 4)
    return {"duration_seconds": half_up(basis) + by, "ended_at": by}


def _clock(d: Dice, _: Any) -> dict[str, Any]:
    by = d.sign() * d.whole(4, 3000)
    return {"started_at": by, "ended_at": by}


def seconds(make: Callable[[Dice, Any], Any]) -> Callable[[Dice, Any], dict[str, Any]]:
    return lambda d, basis: {"duration_seconds": make(d, basis)}


def word(make: Callable[[Dice], Any]) -> Callable[[Dice, Any], dict[str, Any]]:
    return lambda d, _: {"status": make(d)}


PLANTS: Final = {
    "ring-time-included": Plant("ring-time-included", seconds(lambda d, _: half_up(d.total))),
    "ring-time within 1 s": Plant(
        "ring-time-included",
        seconds(lambda d, _: half_up(d.total) + d.sign()),
        lambda d, _: d.answered & (d.ring >= 3),
    ),
    "talk-time-only": Plant("talk-time-only", seconds(lambda d, _: half_up(d.talk)), rules=TOTAL),
    "ringing-billed": Plant(
        "ringing-billed", seconds(lambda d, _: half_up(d.total)), lambda d, _: ~d.answered & ~d.mailbox
    ),
    **{
        f"rounded-up-{step}s{basis}": Plant(
            f"rounded-up-{step}s",
            seconds(lambda _, b, step=step: np.ceil(b / step) * step),
            rules=rules,
            where=lasted,
        )
        for step in (6, 30, 60)
        for basis, rules in (("", BILLABLE), (" of total", TOTAL))
    },
    "truncated-1s": Plant("truncated-1s", seconds(lambda _, b: np.floor(b) - 1), lasted, STRICT),
    "truncated-1s of fractions": Plant(
        "truncated-1s",
        seconds(lambda _, b: np.floor(b) - 1),
        lambda d, b: d.answered & (b % 1 > 0),
        fractions=True,
    ),
    "truncated-1s of total": Plant(
        "truncated-1s", seconds(lambda _, b: np.floor(b) - 1), lasted, STRICT_TOTAL
    ),
    "zero": Plant("zero", seconds(lambda _, b: 0 * b), lasted),
    "missing": Plant("missing", seconds(lambda _, b: np.nan * b), lasted),
    "end at start": Plant("zero", lambda d, _: {"ended_at": -d.total}, lambda d, _: d.total > 2),
    "off-by-hours": Plant("off-by-{n}s", _hours, lasted),
    "clock-offset": Plant("clock-offset", _clock),
    "clock-offset of unanswered": Plant("clock-offset", _clock, lambda d, _: ~d.answered),
    "cut-by-crash": Plant("cut-by-crash", _cut, lambda d, _: d.talk >= 15),
    "cut-by-crash of total": Plant("cut-by-crash", _cut, lambda d, _: d.talk >= 15, TOTAL),
    "half-written": Plant(
        "cut-by-crash", lambda _, b: {"duration_seconds": np.nan * b, "ended_at": np.nan * b}, lasted
    ),
    "never-ended": Plant(
        "never-ended",
        lambda d, b: {
            "duration_seconds": np.nan * b,
            "ended_at": np.nan * b,
            "status": np.full(d.size, "answered", object),
        },
        lasted,
    ),
    "late-hangup": Plant("late-hangup", _late),
    "last-leg-only": Plant("last-leg-only", seconds(lambda d, _: half_up(d.last)), lambda d, _: d.several),
    "first-leg-only": Plant("first-leg-only", seconds(lambda d, _: half_up(d.first)), lambda d, _: d.several),
    "first-leg-only, ended": Plant(
        "first-leg-only",
        lambda d, _: {"duration_seconds": half_up(d.first), "ended_at": d.first - d.talk},
        lambda d, _: d.several,
    ),
    "summed-legs": Plant(
        "summed-legs", seconds(lambda d, _: half_up(d.talk + d.common)), lambda d, _: d.several
    ),
    "last-leg-only of total": Plant(
        "last-leg-only", seconds(lambda d, _: half_up(d.last)), lambda d, _: d.several, TOTAL
    ),
    "first-leg-only of total": Plant(
        "first-leg-only", seconds(lambda d, _: half_up(d.first + d.ring)), lambda d, _: d.several, TOTAL
    ),
    "summed-legs of total": Plant(
        "summed-legs", seconds(lambda d, _: half_up(d.total + d.common)), lambda d, _: d.several, TOTAL
    ),
    **{
        f"{name}{basis}": Plant(name, seconds(make), where, rules)
        for basis, rules in (("", BILLABLE), (" of total", TOTAL))
        for name, make, where in (
            ("counted-twice", lambda _, b: 2 * half_up(b), lambda d, b: d.answered & ~d.several & (b > 30)),
            ("milliseconds", lambda _, b: half_up(b * 1000), lasted),
            ("minutes", lambda _, b: np.ceil(b / 60), lambda _, b: b >= 120),
        )
    },
    "start-at-answer": Plant("start-at-answer", lambda d, _: {"started_at": d.ring}),
    "voicemail-as-answered": Plant(
        "voicemail-as-answered",
        lambda d, _: {
            "status": np.full(d.size, "completed", object),
            "duration_seconds": half_up(d.total - d.ring),
        },
        lambda d, _: d.mailbox,
    ),
    "status-from-wrong-leg": Plant(
        "status-from-wrong-leg", word(lambda d: d.other_leg), lambda d, _: d.several
    ),
    "answered-but-zero": Plant(
        "answered-but-zero",
        lambda d, b: {"status": np.full(d.size, "completed", object), "duration_seconds": 0 * b},
        lambda d, _: ~d.answered & ~d.mailbox,
        fields=("status",),
    ),
    "answered-shown-unanswered": Plant(
        "answered-shown-unanswered",
        word(lambda d: UNANSWERED[d.whole(0, 4)]),
        lambda d, _: d.answered & ~d.several,
    ),
    "unanswered-shown-answered": Plant(
        "unanswered-shown-answered",
        lambda d, b: {"status": np.full(d.size, "completed", object), "duration_seconds": np.nan * b},
        lambda d, _: ~d.answered & ~d.mailbox,
        fields=("status",),
    ),
    "unexplained": Plant("unexplained", seconds(lambda d, b: half_up(b) + d.whole(2, 2500))),
    "unexplained end": Plant("unexplained", lambda d, _: {"ended_at": d.whole(3, 3000)}),
}


def instants(micros: Any) -> pd.Series[Any]:
    plain = np.where(np.isnan(micros), np.iinfo(np.int64).min, np.nan_to_num(micros)).astype(np.int64)
    return pd.Series(plain.view("M8[us]")).dt.tz_localize("UTC")


def frames(d: Dice, values: dict[str, Any], basis: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Build both sides: calls that agree with the CDR but for the values given."""
    start, end = d.start.astype(float), d.start + half_up(d.total * SECOND)
    shifted = {
        name: at + values.get(name, 0 * at) * SECOND
        for name, at in (("started_at", start), ("ended_at", end))
    }
    none = pd.Series([None] * d.size, dtype="str")
    calls = {
        **dict.fromkeys(CALLS.names, none),
        "id": pd.Series(np.arange(d.size).astype(str), dtype="str"),
        "status": pd.Series(values.get("status", d.status), dtype="str"),
        "duration_seconds": pd.Series(values.get("duration_seconds", half_up(basis))).astype("Int64"),
        "started_at": instants(shifted["started_at"]),
        "ended_at": instants(shifted["ended_at"]),
        "fetched_at": instants(start),
    }
    several = d.several
    statuses = np.where(several, "completed; " + d.other_leg.astype(str).astype(object), None)
    leg_s = {"first": d.first, "last": d.last, "sum": d.talk + d.common}
    cdr = {
        **{c.name: pd.Series([None] * d.size, dtype=c.kind.value) for c in CDR_CALLS.columns},
        "cdr_id": calls["id"],
        "n_legs": pd.Series(np.where(several, 2, 1)).astype("Int64"),
        "started_at": instants(start),
        "answered_at": instants(np.where(d.answered, start + d.ring * SECOND, np.nan)),
        "ended_at": instants(end),
        "total_s": pd.Series(d.total).astype("Float64"),
        "billable_s": pd.Series(d.talk).astype("Float64"),
        "is_answered": pd.Series(d.answered).astype("boolean"),
        "is_coarse": pd.Series(np.zeros(d.size, bool)).astype("boolean"),
        "status": pd.Series(d.status, dtype="str"),
        "leg_statuses": pd.Series(statuses, dtype="str"),
    }
    for which, leg in leg_s.items():
        cdr[f"{which}_billable_s"] = pd.Series(np.where(several, leg, d.talk)).astype("Float64")
        legs = np.where(several, leg + (d.ring if which != "last" else 0), d.total)
        cdr[f"{which}_total_s"] = pd.Series(legs).astype("Float64")
    return conform(pd.DataFrame(calls), CALLS), conform(pd.DataFrame(cdr), CDR_CALLS)


def explained(
    plant: Plant, size: int, table: Sequence[Explanation] = EXPLANATIONS, seed: int = 1
) -> pd.DataFrame:
    """Plant one cause in random calls and return the discrepancies of its fields: ``field``, ``lead``."""
    d = Dice(size, seed, fractions=plant.fractions)
    basis = d.total if plant.rules.duration == "total" else d.talk
    rows = np.flatnonzero(plant.where(d, basis))
    values = plant.values(d, basis)
    calls, cdr = frames(d, values, basis)
    positions = np.arange(d.size)[rows]
    pairs = PairPositions(positions, positions, np.zeros(len(rows), np.int8))
    found = explain_discrepancies(
        compare_pairs(Sides.of(calls, cdr, pairs, plant.rules), plant.rules), table
    ).discrepancies
    found = found[found["field"].isin(plant.fields or tuple(values))].reset_index(drop=True)
    lead = found["explanation"].str.replace(r"off-by-\d+s", "off-by-{n}s", regex=True)
    return pd.DataFrame({"field": found["field"], "lead": lead})


def anything(d: Dice, rules: Rules) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Build calls in which everything may be wrong in any company: by what some cause leaves, or a second beside it."""
    rng, size = d.rng, d.size
    basis = d.total if rules.duration == "total" else d.talk
    legs = np.where(d.several[:, None], np.column_stack([d.first, d.last, d.talk + d.common]), basis[:, None])
    steps = [np.ceil(basis / step) * step for step in (6, 30, 60)]
    made = np.column_stack(
        [
            *(d.total, d.talk, 2 * basis, basis * 1000, np.ceil(basis / 60), 0 * basis, np.nan * basis),
            *(basis + 3600, basis - 1, basis - d.ring, basis + d.ring, legs, *steps),
        ]
    )
    made = half_up(made[np.arange(size), rng.integers(0, made.shape[1], size)]) + rng.choice(
        [-1, 0, 0, 1], size
    )
    made = np.where(made < 0, 0, made)
    shift = np.column_stack(
        [
            0 * basis,
            made - basis,
            -d.total,
            d.ring,
            0 * basis + 3600,
            0 * basis - 3600,
            np.nan * basis,
            0 * basis + 45,
        ]
    )
    start = shift[np.arange(size), rng.choice([0, 0, 0, 3, 4, 7], size)]
    end = np.where(
        rng.random(size) < 0.3, start, shift[np.arange(size), rng.integers(0, shift.shape[1], size)]
    )
    words = np.array(["completed", "answered", "voicemail", None, *UNANSWERED], object)
    status = np.where(rng.random(size) < 0.6, words[rng.integers(0, len(words), size)], d.status)
    return frames(
        d, {"duration_seconds": made, "started_at": start, "ended_at": end, "status": status}, basis
    )


def company(rules: Rules, size: int, seed: int, *, fractions: bool = False) -> set[tuple[str, str]]:
    """Return each two explanations that hold together somewhere, the one that stands before the other first."""
    d = Dice(size, seed, fractions=fractions)
    # Short calls, in which everything meets everything.
    d.talk = np.where(d.answered, np.minimum(d.talk, d.rng.integers(0, 200, size)), 0)
    d.total = np.where(d.mailbox, d.total, d.ring + d.talk)
    d.first = np.minimum(d.first, d.talk)
    d.last, d.common = d.talk - d.first + np.minimum(d.common, d.first), np.minimum(d.common, d.first)
    calls, cdr = anything(d, rules)
    positions = np.arange(size)
    pairs = PairPositions(positions, positions, np.zeros(size, np.int8))
    found = explain_discrepancies(
        compare_pairs(Sides.of(calls, cdr, pairs, rules), rules), IN_THE_TABLES_ORDER
    ).discrepancies
    rows = found[["explanation", "also"]].drop_duplicates().dropna()
    together = set()
    for lead, also in rows.itertuples(index=False):
        names = [re.sub(r"off-by-\d+s", "off-by-{n}s", name) for name in (lead, *also.split("; "))]
        together |= {(first, second) for n, first in enumerate(names) for second in names[n + 1 :]}
    return together


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS.keys())
def test_a_cause_planted_alone_leads_and_no_other_takes_more_than_a_few(plant: Plant) -> None:
    found = explained(plant, 6000)
    assert len(found) > 300
    for _, rows in found.groupby("field"):
        assert rows["lead"].eq(plant.expected).mean() >= 0.99
        stray = rows["lead"][rows["lead"] != plant.expected].value_counts()
        assert (stray <= STRAY * len(rows)).all(), stray.to_dict()


@pytest.mark.parametrize(
    ("name", "share"), [("rounded-up-6s", 0.2), ("rounded-up-30s", 0.4), ("rounded-up-60s", 0.01)]
)
def test_the_order_of_the_table_alone_would_show_several_increments_where_there_is_one(
    name: str, share: float
) -> None:
    # Of talk times a tenth end within 6 s of a full minute, half within 30 s, and rings are as long as what is missing.
    assert explained(PLANTS[name], 6000, IN_THE_TABLES_ORDER)["lead"].ne(name).mean() > share


def test_every_explanation_of_seconds_and_times_has_a_plant() -> None:
    planted = {plant.expected for plant in PLANTS.values()}
    # These say nothing about how a value came about; what they claim is tried one by one elsewhere.
    plain = {
        "ended-before-start",
        "unanswered-but-billed",
        "other-unanswered-word",
        "parties-swapped",
        "extension",
    }
    assert planted | plain == {known.name for known in EXPLANATIONS} | {"unexplained"}


ROUNDED: Final = ("rounded-up-60s", "rounded-up-30s", "rounded-up-6s")
LEADS: Final[dict[str, tuple[str, ...]]] = {
    "never-ended": ("zero", "missing"),
    "off-by-{n}s": (
        *("clock-offset", "late-hangup", "cut-by-crash", "last-leg-only", "first-leg-only", "counted-twice"),
        *("milliseconds", "ended-before-start", "zero"),
    ),
    "clock-offset": ("start-at-answer",),
    "truncated-1s": ("cut-by-crash", "first-leg-only", "last-leg-only", "talk-time-only"),
    "last-leg-only": (
        "first-leg-only",
        "cut-by-crash",
        "talk-time-only",
        "minutes",
        "ended-before-start",
        "zero",
    ),
    "first-leg-only": ("cut-by-crash", "talk-time-only", "minutes", "ended-before-start", "zero"),
    "cut-by-crash": (
        "talk-time-only",
        "minutes",
        "ended-before-start",
        "zero",
        "answered-but-zero",
        "missing",
    ),
    "late-hangup": (
        *("voicemail-as-answered", "summed-legs", "ring-time-included", "ringing-billed", *ROUNDED),
        *("counted-twice", "milliseconds", "ended-before-start", "unanswered-but-billed"),
    ),
    "voicemail-as-answered": (
        *("ringing-billed", "unanswered-but-billed", "answered-but-zero", "unanswered-shown-answered"),
    ),
    "summed-legs": ("ring-time-included", *ROUNDED),
    "ring-time-included": (*ROUNDED, "counted-twice"),
    "ringing-billed": ("unanswered-but-billed",),
    "rounded-up-60s": ("rounded-up-30s", "rounded-up-6s"),
    "rounded-up-30s": ("rounded-up-6s",),
    "zero": ("answered-but-zero",),
    "answered-but-zero": ("status-from-wrong-leg", "answered-shown-unanswered", "unanswered-shown-answered"),
    "status-from-wrong-leg": ("answered-shown-unanswered", "other-unanswered-word"),
}
"""Which explanation leads over which others, where both hold to the second."""

YIELDS: Final[dict[str, tuple[str, ...]]] = {
    "last-leg-only": ("first-leg-only", "cut-by-crash", "minutes", "talk-time-only"),
    "first-leg-only": ("last-leg-only", "cut-by-crash", "minutes", "talk-time-only"),
    "summed-legs": ("ring-time-included", *ROUNDED),
    "ring-time-included": ("summed-legs", *ROUNDED, "counted-twice"),
    "talk-time-only": ("first-leg-only", "last-leg-only", "cut-by-crash"),
    "cut-by-crash": ("minutes", "talk-time-only", "first-leg-only", "last-leg-only", "truncated-1s"),
    "counted-twice": ("ring-time-included", "rounded-up-60s", "rounded-up-30s"),
}
"""To which others an explanation that holds within the tolerance alone leaves the lead."""


@pytest.mark.parametrize(
    ("rules", "fractions"),
    [(BILLABLE, False), (BILLABLE, True), (TOTAL, False), (TOTAL, True), (STRICT, False), (STRICT, True)],
)
def test_of_two_that_hold_together_the_one_in_the_table_leads(rules: Rules, *, fractions: bool) -> None:
    decided = {(first, second) for first, others in LEADS.items() for second in others}
    decided |= {(second, first) for first, others in YIELDS.items() for second in others}
    found = company(rules, 40_000, 3, fractions=fractions)
    assert found - decided == set()
    assert len(found) > 30


def test_the_order_of_the_table_is_the_one_decided() -> None:
    places = {known.name: place for place, known in enumerate(EXPLANATIONS)}
    for first, others in LEADS.items():
        assert [second for second in others if places[second] < places[first]] == []
