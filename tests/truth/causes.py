"""What goes wrong with single calls: each cause with what it leaves behind in the platform's record.

Input is a month without a mistake, output the same month with causes planted in it and a
row for every field that a cause made wrong. What a cause leaves behind is worked out from
the true call alone; nothing here knows how a reconciliation would tell it.

Some mistakes can leave the very same value: of 100 seconds rounded up to 120 nobody can
say that it is not 20 seconds of ringing counted. `same_by_chance` lists them by arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from month import (
    FORK,
    HOUR,
    HUNT,
    OVERLAP,
    SECOND,
    SINGLE,
    TRANSFER,
    UNANSWERED,
    Settings,
    World,
    with_values,
)

TOLERANCE_S: Final = 1.0
TIME_TOLERANCE_S: Final = 2.0

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Cause:
    """One thing that goes wrong.

    Attributes
    ----------
    name
        What it is called here.
    leads
        For each field the names that may lead where nothing else fits.
    plant
        Takes the true calls, the settings and dice; returns which calls it may happen to and, by field,
        what the platform then holds (seconds, microseconds or text; NaN or None where missing).
    bases
        The bases of durations on which it can happen.
    fractions
        Whether it shows only where clocks show fractions.
    """

    name: str
    leads: Mapping[str, tuple[str, ...]]
    plant: Callable[[pd.DataFrame, Settings, np.random.Generator], tuple[Any, Values]]
    bases: tuple[str, ...] = ("billable", "total")
    fractions: bool = False


def _round(seconds: Any) -> Any:
    return np.floor(np.asarray(seconds, "float64") + 0.5)


def _basis(t: pd.DataFrame) -> Any:
    return t["basis_s"].to_numpy("float64")


def _end(t: pd.DataFrame) -> Any:
    return t["end"].to_numpy("float64")


def _answered(t: pd.DataFrame) -> Any:
    return t["is_answered"].to_numpy("bool")


def _two_talks(t: pd.DataFrame) -> Any:
    return t["shape"].isin([TRANSFER, OVERLAP]).to_numpy()


def would_be_s(t: pd.DataFrame, settings: Settings) -> dict[str, Any]:
    """Return by name what each mistake would leave behind as seconds of every call; NaN where it cannot happen.

    The order of names says nothing. All of them follow from the name by arithmetic.
    """
    basis, answered, none = _basis(t), _answered(t), np.nan
    talk, total = t["billable_s"].to_numpy("float64"), t["total_s"].to_numpy("float64")
    two, one = _two_talks(t), t["n_legs"].eq(1).to_numpy()
    lasted = basis > 0
    is_billable = settings.basis == "billable"
    result = {
        "zero": np.where(lasted, 0.0, none),
        "truncated-1s": np.where(lasted, np.floor(basis) - 1, none),
        "milliseconds": np.where(basis >= 1, _round(basis * 1000), none),
        "minutes": np.where(basis >= 120, np.ceil(basis / 60), none),
        # Of fewer seconds the double is no sign of anything.
        "counted-twice": np.where(one & (basis > 30), 2 * _round(basis), none),
        "last-leg-only": np.where(two, _round(t["last_s"]), none),
        "first-leg-only": np.where(two, _round(t["first_s"]), none),
        "summed-legs": np.where(t["n_legs"] > 1, _round(t["sum_s"]), none),
        # An export that lists one party alone hides that both parties' seconds were added up.
        "both-parties-summed": np.where(~one & (basis > 30), 2 * _round(basis), none),
        **{
            f"rounded-up-{step}s": np.where(lasted, np.ceil(basis / step) * step, none)
            for step in (6, 30, 60)
        },
        **{f"off-by-{n * 3600}s": np.where(lasted, _round(basis) + n * 3600, none) for n in (1, 2, 3)},
    }
    if is_billable:
        result["ring-time-included"] = np.where(answered, _round(total), none)
        result["ringing-billed"] = np.where(~answered, _round(total), none)
    else:
        result["talk-time-only"] = np.where(answered, _round(talk), none)
    return result


SAME_NAME: Final = {"both-parties-summed": "summed-legs"}
"""Names of `would_be_s` that a reconciliation calls by another one."""


def same_by_chance(t: pd.DataFrame, values: Any, settings: Settings) -> list[frozenset[str]]:
    """Return for each call which mistakes would have left the same seconds, within the tolerance."""
    basis, several = _basis(t), t["n_legs"].gt(1).to_numpy()
    would = would_be_s(t, settings)
    fits = {name: np.abs(seconds - values) <= TOLERANCE_S for name, seconds in would.items()}
    # Whole seconds do not tell how many milliseconds they had.
    fits["milliseconds"] |= (basis >= 1) & (np.abs(values / 1000 - basis) <= TOLERANCE_S)
    # Legs that nobody answered lasted as well, and of legs that began together any may be called the first.
    together = t["shape"].eq(FORK).to_numpy() & (settings.basis == "total")
    rang = (t["answer"].to_numpy() - t["start"].to_numpy()) / SECOND
    for name, end in (("first-leg-only", "first_s"), ("last-leg-only", "last_s")):
        leg_s = t[end].to_numpy("float64")
        fits[name] |= several & (leg_s > 0) & (np.abs(leg_s - values) <= TOLERANCE_S)
        fits[name] |= together & (np.abs(rang - values) <= TOLERANCE_S)
    found: list[set[str]] = [set() for _ in range(len(t))]
    for name, rows in fits.items():
        for row in np.flatnonzero(rows):
            found[row].add(SAME_NAME.get(name, name))
    return [frozenset(names) for names in found]


def same_end_by_chance(t: pd.DataFrame, values: Any) -> list[frozenset[str]]:
    """Return for each call which mistakes would have left the same end, within the tolerance."""
    two = _two_talks(t)
    near = np.abs(t["first_end"].to_numpy("float64") - values) <= (TIME_TOLERANCE_S + 1) * SECOND
    return [frozenset({"first-leg-only"}) if here else frozenset() for here in two & near]


def _seconds(name: str) -> Callable[[pd.DataFrame, Settings, np.random.Generator], tuple[Any, Values]]:
    def plant(t: pd.DataFrame, settings: Settings, _: np.random.Generator) -> tuple[Any, Values]:
        values = would_be_s(t, settings)[name]
        return ~np.isnan(values), {"duration_seconds": values}

    return plant


def _truncated(t: pd.DataFrame, settings: Settings, _: np.random.Generator) -> tuple[Any, Values]:
    values = would_be_s(t, settings)["truncated-1s"]
    return values >= 1, {"duration_seconds": values}


def _first_leg_ends_it(t: pd.DataFrame, settings: Settings, _: np.random.Generator) -> tuple[Any, Values]:
    values = would_be_s(t, settings)["first-leg-only"]
    ends = {"duration_seconds": values, "ended_at": t["first_end"].to_numpy("float64")}
    return ~np.isnan(values), ends


def _missing_seconds(t: pd.DataFrame, _: Settings, __: np.random.Generator) -> tuple[Any, Values]:
    return _basis(t) > 0, {"duration_seconds": np.full(len(t), np.nan)}


def _missing_status(t: pd.DataFrame, _: Settings, __: np.random.Generator) -> tuple[Any, Values]:
    return np.ones(len(t), bool), {"status": np.full(len(t), None, object)}


def _missing_start(t: pd.DataFrame, _: Settings, __: np.random.Generator) -> tuple[Any, Values]:
    return np.ones(len(t), bool), {"started_at": np.full(len(t), np.nan)}


def _missing_end(t: pd.DataFrame, _: Settings, __: np.random.Generator) -> tuple[Any, Values]:
    return np.ones(len(t), bool), {"ended_at": np.full(len(t), np.nan)}


def _end_at_start(t: pd.DataFrame, _: Settings, __: np.random.Generator) -> tuple[Any, Values]:
    return t["total_s"].to_numpy() > TIME_TOLERANCE_S, {"ended_at": "started_at"}


def _zone_of_end(t: pd.DataFrame, _: Settings, rng: np.random.Generator) -> tuple[Any, Values]:
    hours = rng.integers(1, 4, len(t))
    seconds = _round(_basis(t)) + 3600 * hours
    return _basis(t) > 0, {"ended_at": _end(t) + hours * HOUR, "duration_seconds": seconds}


def _zone_of_end_alone(t: pd.DataFrame, _: Settings, rng: np.random.Generator) -> tuple[Any, Values]:
    hours = rng.choice([-2, -1, 1, 2], len(t))
    return np.ones(len(t), bool), {"ended_at": _end(t) + hours * HOUR}


def _clock(t: pd.DataFrame, _: Settings, rng: np.random.Generator) -> tuple[Any, Values]:
    by = rng.choice([-1, 1], len(t)) * rng.integers(5, 50, len(t)) * SECOND
    return np.ones(len(t), bool), {
        "started_at": t["start"].to_numpy("float64") + by,
        "ended_at": _end(t) + by,
    }


def _never_ended(t: pd.DataFrame, _: Settings, rng: np.random.Generator) -> tuple[Any, Values]:
    size = len(t)
    word = np.where(_answered(t), "answered", rng.choice(["initiated", "ringing"], size)).astype(object)
    seconds = np.where(rng.random(size) < 0.5, 0.0, np.nan)
    values = {"status": word, "ended_at": np.full(size, np.nan), "duration_seconds": seconds}
    return np.ones(size, bool), values


def _half_written(t: pd.DataFrame, _: Settings, __: np.random.Generator) -> tuple[Any, Values]:
    nothing = np.full(len(t), np.nan)
    return _answered(t), {"ended_at": nothing, "duration_seconds": nothing}


def _end_without_word(t: pd.DataFrame, _: Settings, __: np.random.Generator) -> tuple[Any, Values]:
    return _answered(t), {"status": np.full(len(t), "answered", object)}


def _cut(t: pd.DataFrame, _: Settings, rng: np.random.Generator) -> tuple[Any, Values]:
    talk = t["billable_s"].to_numpy("float64")
    short = 5 + np.floor((np.maximum(talk, 15) - 10) * rng.random(len(t)))
    values = {"ended_at": _end(t) - short * SECOND, "duration_seconds": _round(_basis(t)) - short}
    return talk >= 15, values


def _late(t: pd.DataFrame, _: Settings, rng: np.random.Generator) -> tuple[Any, Values]:
    late = rng.integers(5, 900, len(t))
    return _answered(t), {"ended_at": _end(t) + late * SECOND, "duration_seconds": _round(_basis(t)) + late}


def _other_leg(t: pd.DataFrame, _: Settings, __: np.random.Generator) -> tuple[Any, Values]:
    """Give a call that somebody answered the word of the phone that did not."""
    is_hunt = t["shape"].to_numpy() == HUNT
    word = np.where(is_hunt, "no_answer", "canceled").astype(object)
    return t["shape"].isin([HUNT, FORK]).to_numpy(), {"status": word}


def _mailbox(t: pd.DataFrame, _: Settings, __: np.random.Generator) -> tuple[Any, Values]:
    return t["status"].eq("voicemail").to_numpy(), {"status": np.full(len(t), "completed", object)}


def _as_unanswered(t: pd.DataFrame, _: Settings, rng: np.random.Generator) -> tuple[Any, Values]:
    # Where a leg of the call has that word, the word is that leg's.
    which = t["status"].eq("completed").to_numpy() & (t["shape"].to_numpy() == SINGLE)
    return which, {"status": rng.choice(np.array(UNANSWERED, object), len(t))}


def _as_answered(t: pd.DataFrame, _: Settings, __: np.random.Generator) -> tuple[Any, Values]:
    return ~_answered(t), {"status": np.full(len(t), "completed", object)}


def _other_word(t: pd.DataFrame, _: Settings, __: np.random.Generator) -> tuple[Any, Values]:
    others = {"no_answer": "canceled", "canceled": "no_answer", "busy": "failed", "failed": "busy"}
    return ~_answered(t), {"status": t["status"].map(others).to_numpy(object)}


def _anything(t: pd.DataFrame, settings: Settings, rng: np.random.Generator) -> tuple[Any, Values]:
    """Give a call seconds that no mistake leaves behind."""
    values = _round(_basis(t)) + rng.integers(7, 2500, len(t))
    by_chance = same_by_chance(t, values, settings)
    return np.array([not names for names in by_chance]) & _answered(t), {"duration_seconds": values}


def _any_end(t: pd.DataFrame, _: Settings, rng: np.random.Generator) -> tuple[Any, Values]:
    late = rng.integers(7, 2500, len(t))
    return _answered(t), {"ended_at": _end(t) + late * SECOND}


_S, _E, _D, _B = "status", "ended_at", "duration_seconds", "started_at"
_ONLY_BILLABLE, _ONLY_TOTAL = ("billable",), ("total",)

CAUSES: Final = (
    Cause(
        "ring-time-included", {_D: ("ring-time-included",)}, _seconds("ring-time-included"), _ONLY_BILLABLE
    ),
    Cause("talk-time-only", {_D: ("talk-time-only",)}, _seconds("talk-time-only"), _ONLY_TOTAL),
    Cause("ringing-billed", {_D: ("ringing-billed",)}, _seconds("ringing-billed"), _ONLY_BILLABLE),
    *(
        Cause(f"rounded-up-{step}s", {_D: (f"rounded-up-{step}s",)}, _seconds(f"rounded-up-{step}s"))
        for step in (6, 30, 60)
    ),
    Cause("truncated-1s", {_D: ("truncated-1s",)}, _truncated, fractions=True),
    Cause("zero", {_D: ("zero", "answered-but-zero")}, _seconds("zero")),
    Cause("end-at-start", {_E: ("zero",)}, _end_at_start),
    Cause("missing-seconds", {_D: ("missing",)}, _missing_seconds),
    Cause("missing-status", {_S: ("missing",)}, _missing_status),
    Cause("missing-start", {_B: ("missing",)}, _missing_start),
    Cause("missing-end", {_E: ("cut-by-crash",)}, _missing_end),
    Cause("half-written", {_E: ("cut-by-crash",), _D: ("cut-by-crash",)}, _half_written),
    Cause("end-without-word", {_S: ("cut-by-crash",)}, _end_without_word),
    Cause("cut", {_E: ("cut-by-crash",), _D: ("cut-by-crash",)}, _cut),
    Cause("late-hangup", {_E: ("late-hangup",), _D: ("late-hangup",)}, _late),
    Cause("never-ended", dict.fromkeys((_S, _E, _D), ("never-ended",)), _never_ended),
    Cause("off-by-hours", dict.fromkeys((_E, _D), ("off-by-{n}s",)), _zone_of_end),
    Cause("end-off-by-hours", {_E: ("off-by-{n}s",)}, _zone_of_end_alone),
    Cause("clock-offset", dict.fromkeys((_B, _E), ("clock-offset",)), _clock),
    Cause("last-leg-only", {_D: ("last-leg-only",)}, _seconds("last-leg-only")),
    Cause("first-leg-only", dict.fromkeys((_E, _D), ("first-leg-only",)), _first_leg_ends_it),
    Cause("summed-legs", {_D: ("summed-legs",)}, _seconds("summed-legs")),
    Cause("counted-twice", {_D: ("counted-twice",)}, _seconds("counted-twice")),
    Cause("milliseconds", {_D: ("milliseconds",)}, _seconds("milliseconds")),
    Cause("minutes", {_D: ("minutes",)}, _seconds("minutes")),
    Cause("status-from-wrong-leg", {_S: ("status-from-wrong-leg",)}, _other_leg),
    Cause("voicemail-as-answered", {_S: ("voicemail-as-answered",)}, _mailbox),
    Cause("answered-shown-unanswered", {_S: ("answered-shown-unanswered",)}, _as_unanswered),
    Cause(
        "unanswered-shown-answered", {_S: ("unanswered-shown-answered", "answered-but-zero")}, _as_answered
    ),
    Cause("other-unanswered-word", {_S: ("other-unanswered-word",)}, _other_word),
    Cause("unexplained", {_D: ("unexplained",)}, _anything),
    Cause("unexplained-end", {_E: ("unexplained",)}, _any_end),
)


def possible(settings: Settings) -> list[Cause]:
    """Return the causes that can show in such a month."""
    return [c for c in CAUSES if settings.basis in c.bases and (settings.has_fractions or not c.fractions)]


def plant(world: World, causes: list[Cause], share: float, *, seed: int = 0) -> World:
    """Return the month with each cause planted in that share of its calls, no call having two of them."""
    rng = np.random.default_rng([seed, len(causes), world.settings.seed])
    t, calls, planted = world.truth, world.calls, []
    free = ~t["call_id"].isin(world.planted["call_id"]).to_numpy()
    # What is rare is planted first, so that the others leave it enough calls.
    made = [(cause, *cause.plant(t, world.settings, rng)) for cause in causes]
    for cause, possible_at, values in sorted(made, key=lambda m: int(m[1].sum())):
        shows = possible_at & free & _shows(t, values)
        candidates = np.flatnonzero(shows)
        # What happens to most calls of a kind is no accident of single ones any more.
        count = min(len(candidates) // 2, max(int(share * len(t)), 1))
        rows = np.sort(rng.choice(candidates, count, replace=False))
        free[rows] = False
        held = {name: _at(calls, given, rows) for name, given in values.items()}
        calls = with_values(calls, rows, held)
        ids = t["call_id"].iloc[rows]
        planted += [pd.DataFrame({"call_id": ids, "field": name, "cause": cause.name}) for name in values]
    frame = pd.concat([world.planted, *planted], ignore_index=True).astype("str")
    return world.having(calls=calls, planted=frame)


def _at(calls: pd.DataFrame, given: Any, rows: Any) -> Any:
    if isinstance(given, str):  # what another field of the call holds
        instants = calls[given].dt.tz_localize(None).to_numpy().astype("M8[us]").astype("int64")
        return instants[rows].astype("float64")
    return np.asarray(given)[rows]


def _shows(t: pd.DataFrame, values: Values) -> Any:
    """Mark the calls of which the cause makes some field wrong, beyond what is tolerated."""
    shows = np.zeros(len(t), bool)
    for name, given in values.items():
        shows |= field_shows(t, name, given)
    return shows


def field_shows(t: pd.DataFrame, name: str, given: Any) -> Any:
    """Mark the calls whose field is wrong with the given values, beyond what is tolerated."""
    if name == "status":
        return np.asarray(given, object) != t["status"].to_numpy(object)
    if isinstance(given, str):
        return np.ones(len(t), bool)
    values = np.asarray(given, "float64")
    if name == "duration_seconds":
        basis = _basis(t)
        unanswered = ~_answered(t)
        held = np.where(np.isnan(values) & unanswered, 0.0, values)
        return np.isnan(held) | ((np.abs(held - basis) > TOLERANCE_S) & (held != _round(basis)))
    true = t["end" if name == "ended_at" else "start"].to_numpy("float64")
    # The platform's own noise is up to half a second: what is only just wrong is planted nowhere.
    return np.isnan(values) | (np.abs(values - true) > (TIME_TOLERANCE_S + 1) * SECOND)
