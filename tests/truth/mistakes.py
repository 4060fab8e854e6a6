"""What goes wrong with a month as a whole: each mistake with the finding it must raise and those it may.

Input is a month, output the same month with the mistake made on every row it concerns, and
the rules that go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from month import (
    CLOCKS_BACK,
    DAY,
    HOUR,
    HUNT,
    MONTH_BEGIN,
    MONTH_END,
    SECOND,
    World,
    instants,
    moved,
    with_values,
)


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong with all of a month, or a large part of it.

    Attributes
    ----------
    name
        What it is called here.
    code
        The finding that must say so.
    severities
        What the contract lets it be.
    make
        Takes a month and returns it with the mistake made.
    implied
        Other codes that may warn or stop, each with the reason why the mistake implies them.
    settings
        What the month must be like for the mistake to be possible.
    rules
        Rules that are part of the mistake.
    """

    name: str
    code: str
    severities: tuple[str, ...]
    make: Callable[[World], World]
    implied: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)


_STOP, _WARN, _TOLD = ("stop",), ("warn",), ("info", "warn")


def _began(legs: pd.DataFrame) -> Any:
    return legs["started_at"].dt.tz_localize(None).to_numpy().astype("M8[us]").astype("int64")


def _zone(by_us: int, which: Callable[[pd.DataFrame], Any] = lambda legs: np.ones(len(legs), bool)) -> Any:
    return lambda world: world.having(legs=moved(world.legs, which(world.legs), by_us))


def _in_last_file(legs: pd.DataFrame) -> Any:
    """Mark the legs of the last file, those of the last whole week where there is one for each week."""
    names = sorted(set(legs["source_file"]))
    return legs["source_file"].eq(names[3 if len(names) > 3 else -1]).to_numpy()


def _on_trunk_b(legs: pd.DataFrame) -> Any:
    return legs["x_trunk"].eq("b").to_numpy()


def _in_summer(legs: pd.DataFrame) -> Any:
    return _began(legs) < CLOCKS_BACK


def _drifting(world: World) -> World:
    """Let the switch's clock gain half a minute over the month; within one call that is nothing."""
    legs = world.legs
    began = pd.Series(_began(legs)).groupby(legs["x_true"].to_numpy("int64")).transform("min").to_numpy()
    by = np.rint((began - MONTH_BEGIN) / (MONTH_END - MONTH_BEGIN) * 30) * SECOND
    return world.having(legs=moved(legs, np.ones(len(legs), bool), by))


def _rounded(step: int) -> Callable[[World], World]:
    """Let the export hold what was billed: seconds of each answered leg, rounded up."""

    def make(world: World) -> World:
        name = "total_s" if world.settings.basis == "total" else "billable_s"
        seconds = np.ceil(world.legs[name].to_numpy("float64") / step) * step
        return world.having(legs=world.legs.assign(**{name: pd.Series(seconds, dtype="Float64")}))

    return make


def _without_legs(which: Callable[[pd.DataFrame], Any]) -> Callable[[World], World]:
    def make(world: World) -> World:
        legs = world.legs[~which(world.legs)].reset_index(drop=True)
        return world.having(legs=legs)

    return make


def _without_calls(which: Callable[[pd.DataFrame], Any]) -> Callable[[World], World]:
    def make(world: World) -> World:
        calls = world.calls[~which(world.calls)].reset_index(drop=True)
        truth = world.truth[world.truth["call_id"].isin(calls["id"])].reset_index(drop=True)
        return world.having(
            calls=calls, truth=truth, planted=world.planted[world.planted["call_id"].isin(calls["id"])]
        )

    return make


def _on(day: int, hours: tuple[int, int] = (0, 24)) -> Callable[[pd.DataFrame], Any]:
    """Mark what began on a day of the month, counted from 0 in London's summer time."""
    begin, end = (MONTH_BEGIN + day * DAY + hour * HOUR for hour in hours)
    return lambda frame: (_began(frame) >= begin) & (_began(frame) < end)


def _cut_at(rows: int) -> Callable[[World], World]:
    def make(world: World) -> World:
        legs = world.legs
        is_cut = (legs["source_file"] == "pbx-b.csv") & (legs["source_row"] > rows + 1)
        return world.having(legs=legs[~is_cut].reset_index(drop=True))

    return make


def torn(world: World) -> World:
    """Let a file end between the two phones of a call that one did not answer, and the other did."""
    legs = world.legs
    end = legs["ended_at"]
    is_hunt = legs["x_true"].isin(world.truth.loc[world.truth["shape"] == HUNT, "x_true"])
    first = legs[
        is_hunt & ~legs["is_answered"].astype("bool") & (end > end.min() + pd.Timedelta(days=15))
    ].iloc[0]
    is_cut = (legs["source_file"] == first["source_file"]) & (legs["source_row"] > first["source_row"])
    return world.having(legs=legs[~is_cut].reset_index(drop=True))


def _file_twice(world: World) -> World:
    name = sorted(set(world.legs["source_file"]))[1]
    again = world.legs[world.legs["source_file"] == name].assign(source_file=f"{name} (1)")
    return world.having(
        legs=pd.concat([world.legs, again.astype(world.legs.dtypes.to_dict())], ignore_index=True)
    )


def _no_legs(world: World) -> World:
    return world.having(legs=world.legs.iloc[:0])


def _no_calls(world: World) -> World:
    return world.having(
        calls=world.calls.iloc[:0], truth=world.truth.iloc[:0], planted=world.planted.iloc[:0]
    )


GERMAN: Final = {
    "completed": "beendet",
    "voicemail": "mailbox",
    "no_answer": "keine_antwort",
    "busy": "besetzt",
    "canceled": "abgebrochen",
    "failed": "fehlgeschlagen",
}


def _other_language(world: World) -> World:
    return world.having(calls=world.calls.assign(status=world.calls["status"].replace(GERMAN).astype("str")))


def _no_country(world: World) -> World:
    """Let numbers in national form be read without the country they belong to."""
    legs = world.legs
    bare = pd.Series([None] * len(legs), dtype="str")
    return world.having(legs=legs.assign(from_e164=bare, to_e164=bare))


def _other_country(world: World) -> World:
    """Let numbers in a British national form be taken for those of another country."""
    legs = world.legs
    names = {}
    for party in ("from", "to"):
        given = legs[f"{party}_number"]
        names[f"{party}_e164"] = legs[f"{party}_e164"].where(
            ~given.str.match("0[1-9]"), "+33" + given.str[1:]
        )
    return world.having(legs=legs.assign(**names))


def _shared_ids(world: World) -> World:
    """Give every thirtieth call the id of the one ahead of it."""
    uuids = world.calls["call_uuid"].to_numpy(object).copy()
    rows = np.arange(30, len(uuids), 30)
    uuids[rows] = uuids[rows - 1]
    return world.having(calls=world.calls.assign(call_uuid=pd.Series(uuids, dtype="str")))


def _foreign_ids(world: World) -> World:
    """Let the export's ids be another system's, and its numbers extensions: nothing says which call is which."""
    legs = world.legs
    names = {name: "x" + legs[name] for name in ("leg_id", "call_key", "linked_id")}
    size = len(legs)
    texts = {"from_number": "555", "to_number": "556", "from_e164": None, "to_e164": None}
    numbers = {name: pd.Series([text] * size, dtype="str") for name, text in texts.items()}
    return world.having(legs=legs.assign(**names, **numbers))


def _probed(world: World) -> World:
    """Add 80 tries of scanners that nobody answered, and that the platform never saw."""
    legs, count = world.legs, 80
    model = legs[legs["status"].eq("failed")].head(1)
    rows = pd.concat([model] * count, ignore_index=True)
    number = np.arange(count)
    begin = MONTH_BEGIN + 3 * DAY + number * 97 * SECOND
    ids = pd.Series([f"00000000-0000-4000-a000-{n:012d}" for n in number], dtype="str")
    nothing = pd.Series([None] * count, dtype="str")
    probes = rows.assign(
        leg_id=ids,
        call_key=ids,
        linked_id=ids,
        record_hash=pd.Series(10_000_000 + number, dtype="Int64"),
        source_row=pd.Series(1_000_000 + number, dtype="Int64"),
        x_true=pd.Series(-1 - number, dtype="Int64"),
        started_at=instants(begin),
        answered_at=instants(np.full(count, np.nan)),
        ended_at=instants(begin),
        total_s=pd.Series(np.zeros(count), dtype="Float64"),
        billable_s=pd.Series(np.zeros(count), dtype="Float64"),
        direction=pd.Series(["inbound"] * count, dtype="str"),
        from_number=pd.Series(np.where(number % 2, "1000", "sipvicious"), dtype="str"),
        to_number=pd.Series([f"900{n % 40}441519470" for n in number], dtype="str"),
        from_e164=nothing,
        to_e164=nothing,
        sip_username=nothing,
    )
    return world.having(legs=pd.concat([legs, probes.astype(legs.dtypes.to_dict())], ignore_index=True))


def _stuck(world: World) -> World:
    """Add calls that began, never ended, and that no export has."""
    rows = np.arange(0, len(world.calls), len(world.calls) // 20)[:20]
    added = world.calls.iloc[rows].reset_index(drop=True)
    count = len(added)
    ids = pd.Series([f"11111111-0000-4000-a000-{n:012d}" for n in range(count)], dtype="str")
    begin = MONTH_BEGIN + (2 + np.arange(count)) * DAY + 13 * HOUR
    nothing = np.full(count, np.nan)
    values = {
        "status": ["ringing"] * count,
        "ended_at": nothing,
        "duration_seconds": nothing,
        "started_at": begin,
    }
    added = with_values(added.assign(id=ids, call_uuid=ids), np.arange(count), values)
    return world.having(calls=pd.concat([world.calls, added], ignore_index=True))


def _backwards(world: World) -> World:
    """Let calls that no export has end before they begin."""
    stuck = _stuck(world)
    rows = np.arange(len(world.calls), len(stuck.calls))
    begin = _began(stuck.calls)[rows]
    values = {
        "status": ["completed"] * len(rows),
        "ended_at": begin - 60 * SECOND,
        "duration_seconds": [30] * len(rows),
    }
    return stuck.having(calls=with_values(stuck.calls, rows, values))


_PART: Final = "more than a fifth of the calls have no other side"
_NOBODY: Final = {"low-match-rate": "where a side is empty, nobody of the other one is matched"}
_NO_TALK: Final = {
    "impossible-calls": "by the rules an unanswered call has no seconds, and here it has those that it rang"
}
_CUT: Final = {"missing-hours": "behind the cut the file has no rows in any hour", "low-match-rate": _PART}

MISTAKES: Final = (
    Mistake("zone of all", "timezone-shift", _STOP, _zone(HOUR)),
    Mistake("zone of all, five hours and a half", "timezone-shift", _STOP, _zone(-11 * HOUR // 2)),
    Mistake("zone of one file", "timezone-shift", _STOP, _zone(HOUR, _in_last_file)),
    Mistake("zone of one trunk of two", "timezone-shift", _STOP, _zone(-HOUR, _on_trunk_b)),
    Mistake("forgotten summer time", "timezone-shift", _STOP, _zone(HOUR, _in_summer)),
    Mistake("a constant skew", "clock-offset", _STOP, _zone(7 * SECOND)),
    Mistake("a drifting clock", "clock-offset", _STOP, _drifting),
    Mistake("one switch skewed", "clock-offset", _STOP, _zone(12 * SECOND, _in_last_file), settings={"by_pbx": True}),
    Mistake("one trunk skewed", "clock-offset", _STOP, _zone(-15 * SECOND, _on_trunk_b)),
    *(Mistake(f"rounded to {step} s", "rounded-durations", _STOP, _rounded(step)) for step in (6, 30, 60)),
    Mistake("cut at 1,000 rows", "truncated-export", _WARN, _cut_at(1000), _CUT, {"by_pbx": True, "size": 3000}),
    Mistake("hours missing in the CDR", "missing-hours", _WARN, _without_legs(_on(13, (9, 14)))),
    Mistake("a day missing in the CDR", "missing-hours", _WARN, _without_legs(_on(15))),
    Mistake("a day missing in the API", "missing-hours", _WARN, _without_calls(_on(20))),
    Mistake("a file twice", "duplicate-rows", _TOLD, _file_twice),
    Mistake("no calls", "empty-side", _STOP, _no_calls, _NOBODY),
    Mistake("no legs", "empty-side", _STOP, _no_legs, _NOBODY),
    Mistake("statuses of another language", "status-vocabulary", _WARN, _other_language),
    Mistake("total seconds called billable", "duration-basis", _STOP, lambda world: world, _NO_TALK, {"basis": "total"}, rules={"duration": "billable"}),
    Mistake("billable seconds called total", "duration-basis", _STOP, lambda world: world, rules={"duration": "total"}),
    Mistake("read without a country", "number-format", _WARN, _no_country),
    Mistake("read with another country", "number-format", _WARN, _other_country),
    Mistake("ids shared by calls", "duplicate-calls", _WARN, _shared_ids),
    Mistake("ids and numbers of another system", "low-match-rate", _WARN, _foreign_ids),
    Mistake("probes", "probe-noise", _TOLD, _probed),
    Mistake("stuck calls", "stuck-calls", _TOLD, _stuck),
    Mistake("impossible calls", "impossible-calls", _TOLD, _backwards),
)  # fmt: skip
NAMED: Final = {mistake.name: mistake for mistake in MISTAKES}
