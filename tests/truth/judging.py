"""Hold what a reconciliation says of a made month against the truth.

Input are a world and its reconciliation or plan, output are small frames and counts that
tests look at: which planted causes were named, which pairs are wrong, which changes are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import pandas as pd
from causes import CAUSES, TIME_TOLERANCE_S, TOLERANCE_S, field_shows, same_by_chance, same_end_by_chance
from month import MONTH, ZONE, Settings, World, make_month, with_values

import sippet_reconcile as sr

PERIOD: Final = sr.Period.month(MONTH, timezone=ZONE)
LEADS: Final = {cause.name: cause.leads for cause in CAUSES}
ROUNDING_S: Final = 0.5
RECALL, STRAY = 0.99, 0.005


@cache
def month(**settings: Any) -> World:
    """Return a month without a mistake, made once for all tests."""
    return make_month(Settings(**settings))


def reconcile(world: World, **rules: Any) -> sr.Reconciliation:
    """Reconcile a world by the rules given, on its own basis unless they say otherwise."""
    given = sr.Rules(**{"duration": world.settings.basis, **rules})
    return sr.reconcile(world.legs, world.calls, period=PERIOD, rules=given, progress=False)


def _plain(name: str) -> str:
    """Return the name of an explanation, its hours left out."""
    head, _, tail = name.partition("off-by-")
    return "off-by-{n}s" if not head and tail[:-1].isdigit() else name


def shown(world: World) -> pd.DataFrame:
    """Return the planted fields that are wrong beyond what is tolerated, with ``chance``: other mistakes of the same value."""
    t = world.truth.set_index("call_id")
    calls = world.calls.set_index("id")
    parts = []
    for field, rows in world.planted.groupby("field"):
        here, held = t.loc[rows["call_id"]], calls.loc[rows["call_id"], str(field)]
        if field == "status":
            given: Any = held.to_numpy(object)
        elif field == "duration_seconds":
            given = held.to_numpy("float64", na_value=np.nan)
        else:
            plain = held.dt.tz_localize(None).to_numpy().astype("M8[us]")
            given = np.where(np.isnat(plain), np.nan, plain.astype("int64").astype("float64"))
        chance = [frozenset[str]()] * len(rows)
        if field == "duration_seconds":
            chance = same_by_chance(here, given, world.settings)
        if field == "ended_at":
            chance = same_end_by_chance(here, given)
        wrong = field_shows(here, str(field), given)
        parts.append(rows.assign(chance=chance)[wrong])
    return pd.concat(parts, ignore_index=True)


def told(world: World, rec: sr.Reconciliation) -> pd.DataFrame:
    """Return the planted fields of compared calls with the explanation each has, empty where it has none."""
    rows = shown(world)
    rows = rows[rows["call_id"].isin(rec.pairs["call_id"])]
    said = rec.discrepancies[["call_id", "field", "explanation", "also"]]
    rows = rows.merge(said, on=["call_id", "field"], how="left", validate="one_to_one")
    rows = rows.assign(explanation=rows["explanation"].fillna("").map(_plain), also=rows["also"].fillna(""))
    accepted = [LEADS[cause][field] for cause, field in zip(rows["cause"], rows["field"], strict=True)]
    chance = [
        frozenset(_plain(name) for name in names) - set(ours)
        for names, ours in zip(rows["chance"], accepted, strict=True)
    ]
    named = [
        any(name in {lead, *map(_plain, also.split("; "))} for name in ours)
        for lead, also, ours in zip(rows["explanation"], rows["also"], accepted, strict=True)
    ]
    leads = [lead in ours for lead, ours in zip(rows["explanation"], accepted, strict=True)]
    by_chance = [lead in names for lead, names in zip(rows["explanation"], chance, strict=True)]
    return rows.assign(
        is_named=named, leads=leads, is_telling=[not names for names in chance], by_chance=by_chance
    )


def complaints(rows: pd.DataFrame, *, at_least: int = 1) -> list[str]:
    """Return a sentence for each planted cause and field that was not told as it must be."""
    found = []
    for (cause, field), part in rows.groupby(["cause", "field"]):
        telling = part[part["is_telling"]]
        what = f"{cause} in {field}, {len(part)} rows, {len(telling)} telling"
        if len(telling) < at_least:
            found.append(f"{what}: too few to judge")
            continue
        if part["is_named"].mean() < RECALL:
            found.append(
                f"{what}: named in {part['is_named'].mean():.3f}, {_counts(part[~part['is_named']])}"
            )
        if telling["leads"].mean() < RECALL:
            found.append(f"{what}: leads in {telling['leads'].mean():.3f}")
        stray = telling.loc[~telling["leads"], "explanation"].value_counts()
        # Of few rows one is more than the share; it is then one too many only together with another.
        for name, count in stray.items():
            if count > max(STRAY * len(telling), 0):
                found.append(f"{what}: {count} go to {name or 'nothing'!s}")
        both = part[~part["is_telling"]]
        astray = both[~(both["leads"] | both["by_chance"])]
        if len(astray):
            found.append(f"{what}: of those that two mistakes explain {_counts(astray)} lead")
    return found


def _counts(rows: pd.DataFrame) -> str:
    return str(rows["explanation"].value_counts().to_dict())


def unplanted(world: World, rec: sr.Reconciliation) -> pd.DataFrame:
    """Return the discrepancies in fields that are right."""
    keys = world.planted[["call_id", "field"]].assign(is_planted=True)
    rows = rec.discrepancies.merge(keys, on=["call_id", "field"], how="left")
    return rows[rows["is_planted"].isna()]


def wrong_pairs(world: World, rec: sr.Reconciliation) -> pd.DataFrame:
    """Return the matched legs whose call is not theirs."""
    legs = rec.legs[rec.legs["call_id"].notna()]
    true = dict(zip(world.truth["call_id"], world.truth["x_true"], strict=True))
    of_call = legs["call_id"].map(true)
    return legs[of_call.ne(legs["x_true"].astype("int64"))]


WHAT_ACCEPTING_SAYS: Final = {
    "timezone-shift": "the differing starts are known; the ends are never planned, all else is the truth's",
    "clock-offset": "the differing starts are known; what is planned is the truth's all the same",
    "duration-basis": "the platform's seconds mean what the rules say, against what the data say: so do the true ones",
    "rounded-durations": "the finding's own advice is followed: duration_seconds is left out of the plan",
    "empty-side": "there is nothing to plan",
}
"""What somebody who accepts a finding that says stop takes for true, and with it what a right change is."""

LEFT_OUT_WITH: Final = {"rounded-durations": ("duration_seconds",)}


@dataclass(frozen=True, eq=False)
class Judged:
    """A plan and what is wrong with it."""

    plan: sr.Plan
    wrong: pd.DataFrame
    needless: pd.DataFrame


def stops(rec: sr.Reconciliation) -> tuple[str, ...]:
    """Return the codes of the findings that say stop."""
    return tuple(dict.fromkeys(f.code for f in rec.findings if f.severity == "stop"))


def judge_plan(world: World, rec: sr.Reconciliation, *, fields: Iterable[str] = sr.PATCHABLE) -> Judged:
    """Plan all fields, every stop accepted, and hold each change against the truth under `WHAT_ACCEPTING_SAYS`."""
    accepted = stops(rec)
    left = {name for code in accepted for name in LEFT_OUT_WITH.get(code, ())}
    plan = sr.build_plan(
        rec, fields=[name for name in fields if name not in left], accept=accepted, max_share=None
    )
    changes = plan.changes
    t = world.truth.set_index("call_id").loc[changes["call_id"]]
    if "duration-basis" in accepted:
        t = t.assign(basis_s=t["total_s" if rec.rules.duration == "total" else "billable_s"])
    field = changes["field"].to_numpy(object)
    after = _is_true(t, field, changes["after"].to_numpy(object), slack_s=ROUNDING_S)
    before = _is_true(t, field, changes["before"].to_numpy(object), slack_s=0)
    columns = ["call_id", "field", "before", "after", "explanation", "match_rule"]
    shown = changes[columns].assign(
        true_end=pd.to_datetime(t["end"].to_numpy(), unit="us", utc=True),
        true_s=t["basis_s"].to_numpy(),
        status=t["status"].to_numpy(object),
    )
    return Judged(plan, shown[~after], shown[before])


def _is_true(t: pd.DataFrame, field: Any, values: Any, *, slack_s: float) -> Any:
    """Mark the values that are those of the true call, within what is tolerated."""
    true = np.zeros(len(values), bool)
    given = pd.Series(values, dtype="str")
    is_status, is_end, is_seconds = (field == name for name in ("status", "ended_at", "duration_seconds"))
    true[is_status] = (given.fillna("").to_numpy(object) == t["status"].to_numpy(object))[is_status]
    ends = pd.to_datetime(given.where(is_end), utc=True, format="ISO8601").dt.tz_localize(None)
    gap = (ends.to_numpy().astype("M8[us]") - t["end"].to_numpy().astype("M8[us]")) / np.timedelta64(1, "s")
    true[is_end] = (np.abs(gap) <= TIME_TOLERANCE_S + slack_s)[is_end]
    seconds = pd.to_numeric(given.where(is_seconds)).to_numpy("float64")
    nothing = ~t["is_answered"].to_numpy("bool") & np.isnan(seconds)
    off = np.abs(np.where(nothing, 0.0, seconds) - t["basis_s"].to_numpy())
    true[is_seconds] = (off <= TOLERANCE_S + slack_s)[is_seconds]
    return true


def after(world: World, plan: sr.Plan) -> World:
    """Return the world in which every change of a plan has been written."""
    calls = world.calls
    places = pd.Series(np.arange(len(calls)), index=calls["id"])
    for name, rows in plan.changes.groupby("field"):
        values: Any = rows["after"].to_numpy(object)
        if name == "ended_at":
            ends = pd.to_datetime(rows["after"], utc=True, format="ISO8601").dt.tz_localize(None)
            values = ends.to_numpy().astype("M8[us]").astype("int64").astype("float64")
        elif name == "duration_seconds":
            values = pd.to_numeric(rows["after"]).to_numpy("float64")
        calls = with_values(calls, places[rows["call_id"]].to_numpy(), {str(name): values})
    return world.having(calls=calls)
