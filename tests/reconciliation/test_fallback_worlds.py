"""Matching without ids in months of which the truth is known, and against a slow reader of its rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.reconciliation import Rules, reconcile
from sippet_reconcile.schema import CALLS, LEGS

BEGIN = pd.Timestamp("2026-10-01T00:00:00Z")
WITHHELD = np.array(["anonymous", "Restricted", "unavailable", "0000000000", "Unbekannt", None], object)


@dataclass(frozen=True)
class World:
    """How a month went: shares between 0 and 1, times in seconds.

    Of `with_id` of the calls both records have the id. Each side loses `lost` of its records. A call is
    followed by a redial with a chance of `redial`, `again_s` after its end on average. Starts are apart by
    `jitter_s` and by `clock_s`; where `from_answer`, the export begins with the answer.
    """

    seed: int
    n_calls: int = 20_000
    with_id: float = 0.0
    lost: float = 0.02
    redial: float = 0.4
    again_s: float = 30.0
    jitter_s: float = 0.7
    clock_s: float = 0.0
    from_answer: bool = False
    withheld: float = 0.05
    local: float = 0.0
    wrong: float = 0.05
    days: float = 20.0


def number(digits: np.ndarray, head: str) -> np.ndarray:
    return np.char.add(head, np.char.zfill(digits.astype(str), 4)).astype(object)


def build_world(world: World) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return legs and calls; what belongs together has the same number behind ``leg-`` and ``id-``."""
    rng = np.random.default_rng(world.seed)
    n = world.n_calls
    # A dial is a first attempt and the redials behind it: all between the same two.
    is_redial = rng.random(n) < world.redial
    is_redial[0] = False
    dial = np.cumsum(~is_redial) - 1
    n_dials = int(dial[-1]) + 1
    caller = rng.integers(0, 3_000, n_dials)[dial]
    # Half of all calls are for one company.
    called = np.where(rng.random(n_dials) < 0.5, 0, rng.integers(1, 1_000, n_dials))[dial]
    is_out = (rng.random(n_dials) < 0.3)[dial]
    ring = 2 + rng.exponential(10, n)
    is_answered = rng.random(n) < np.where(np.append(is_redial[1:], False), 0.4, 0.85)
    talk = np.where(is_answered, np.round(1 + rng.exponential(80, n)), 0.0)
    begun = rng.uniform(0, world.days * 86_400, n_dials)[dial]
    took = ring + talk + 1 + rng.exponential(world.again_s, n)
    before = np.cumsum(took) - took
    first = np.flatnonzero(~is_redial)
    start = begun + before - before[first][dial]
    end = start + ring + talk
    callers = number(caller, "+44770090")
    calleds = np.where(called == 0, "+442079460000", number(called, "+44207946"))
    said = rng.random((4, n))
    from_call, from_cdr = callers.copy(), callers.copy()
    words = WITHHELD[rng.integers(0, len(WITHHELD), (2, n))]
    hidden = said[0] < world.withheld
    on_both = said[1] < 0.5
    only_call = ~on_both & (said[1] < 0.75)
    from_call = np.where(hidden & (on_both | only_call), words[0], from_call)
    from_cdr = np.where(hidden & (on_both | ~only_call), words[1], from_cdr)
    is_local = said[2] < world.local
    to_cdr = np.where(is_local, np.array([value[-8:] for value in calleds], object), calleds)
    e164 = np.where(pd.Series(from_cdr).str.startswith("+44").fillna(value=False), from_cdr, None)
    seen = start + rng.normal(0, world.jitter_s, n)
    cdr_start = (
        (start + ring if world.from_answer else start) + world.clock_s + rng.normal(0, world.jitter_s, n)
    )
    cdr_start = np.where(is_answered | ~np.bool_(world.from_answer), cdr_start, end + world.clock_s)
    duration = np.where(said[3] < world.wrong, np.round(talk + ring), talk)
    keyed = rng.random(n) < world.with_id
    keys = np.array([f"key-{place}" for place in range(n)], object)
    way = np.where(is_out, "outbound", "inbound").astype(object)
    ended = pd.Series(instants(end + rng.normal(0, 0.3, n)))
    calls = framed(
        CALLS,
        n,
        id=[f"id-{place}" for place in range(n)],
        call_uuid=np.where(keyed, keys, None),
        direction=way,
        from_number=from_call,
        to_number=calleds,
        status=np.where(is_answered, "completed", "no_answer"),
        started_at=instants(seen),
        ended_at=ended.mask(said[3] > 1 - world.wrong),
        duration_seconds=duration.astype(int),
        api_url="https://api.example",
        fetched_at=BEGIN + pd.Timedelta(days=90),
    )
    legs = framed(
        LEGS,
        n,
        source_file="oct.csv",
        source_row=np.arange(n) + 2,
        source_sha256="f" * 64,
        record_hash=np.arange(n) + 1,
        format="plain",
        leg_id=[f"leg-{place}" for place in range(n)],
        call_key=np.where(keyed, keys, None),
        direction=way,
        from_number=from_cdr,
        to_number=to_cdr,
        from_e164=e164,
        to_e164=np.where(is_local, None, calleds),
        started_at=instants(cdr_start),
        answered_at=pd.Series(instants(start + ring + world.clock_s)).where(is_answered),
        ended_at=instants(end + world.clock_s),
        total_s=np.round(ring + talk),
        billable_s=talk,
        is_answered=is_answered,
        status=np.where(is_answered, "completed", "no_answer"),
    )
    kept = rng.random((2, n)) >= world.lost
    order = rng.permutation(n), rng.permutation(n)
    return (
        legs.iloc[order[0][kept[0][order[0]]]].reset_index(drop=True),
        calls.iloc[order[1][kept[1][order[1]]]].reset_index(drop=True),
    )


def instants(seconds: np.ndarray) -> Any:
    micros = np.rint(np.round(seconds, 1) * 1e6).astype("int64").view("datetime64[us]")
    zero = np.datetime64(BEGIN.tz_localize(None), "us") - np.datetime64("1970-01-01", "us")
    return pd.Series(micros + zero).dt.tz_localize("UTC")


def framed(schema: Any, size: int, **values: Any) -> pd.DataFrame:
    columns = {}
    for column in schema.columns:
        value = values.get(column.name)
        if value is None:
            columns[column.name] = pd.Series([None] * size, dtype=column.kind.value)
        elif isinstance(value, str | pd.Timestamp):
            columns[column.name] = pd.Series([value] * size).astype(column.kind.value)
        else:
            columns[column.name] = pd.Series(value).astype(column.kind.value)
    return pd.DataFrame(columns)


def wrong_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of records that are those of two calls."""
    names = pairs["cdr_id"].str.rsplit("-", n=1).str[-1]
    return pairs.loc[names.ne(pairs["call_id"].str.rsplit("-", n=1).str[-1])]


WORLDS = {
    "no ids": ({}, 0.95),
    "a tenth without ids": ({"with_id": 0.9}, 0.97),
    "a clock seven seconds off": ({"clock_s": 7.0}, 0.95),
    "starts are answers": ({"from_answer": True}, 0.85),
    "redials within seconds": ({"again_s": 8.0, "redial": 0.6}, 0.9),
    "a tenth lost": ({"lost": 0.1}, 0.95),
    "withheld callers": ({"withheld": 0.3, "days": 3.0}, 0.75),
    "local numbers": ({"local": 0.3}, 0.8),
}


def by_numbers(rec):
    return rec.pairs.loc[rec.pairs["match_rule"].eq("numbers_and_time")]


def without_id(frame, key):
    return set(
        frame.loc[frame[key].isna(), frame.columns[0 if key == "call_uuid" else 7]].str.split("-").str[-1]
    )


@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize("name", WORLDS)
def test_no_pair_is_wrong_and_most_are_found(name, seed):
    values, least = WORLDS[name]
    legs, calls = build_world(World(seed, n_calls=6_000, **values))
    rec = reconcile(legs, calls, rules=Rules(duration="billable"), progress=False)
    found = by_numbers(rec)
    assert wrong_pairs(found)["call_id"].tolist() == []
    there = without_id(calls, "call_uuid") & without_id(legs, "call_key")
    assert len(found) >= least * len(there)
    doubtful = rec.discrepancies.loc[rec.discrepancies["confidence"].eq("low")]
    assert not doubtful["is_patchable"].any()


# ------------------------------------------------------------------------ the rules, read aloud slowly


def slow_rows(frame, clock_s=0.0):
    """Return the rows of a frame as the rules speak about them; times in seconds."""
    rows = []
    for row in frame.to_dict("records"):
        start, end = (
            None if row[name] is None or row[name] != row[name] else row[name].timestamp() - clock_s
            for name in ("started_at", "ended_at")
        )
        parties = []
        for party in ("from", "to"):
            text = row[f"{party}_number"] if isinstance(row[f"{party}_number"], str) else ""
            digits = "".join(c for c in text if c.isdigit())
            digits = "" if digits.strip("0") == "" and len(digits) >= 5 else digits
            whole = text if text.startswith("+") else None
            parties.append((text.strip().lower(), digits[-9:], whole))
        rows.append({"start": start, "end": end, "from": parties[0], "to": parties[1], "way": row["direction"] if isinstance(row["direction"], str) else None} | {
            name: row.get(name) for name in ("duration_seconds", "billable_s", "total_s")
        })  # fmt: skip
    return rows


def same_number(one, other):
    return one[1] == other[1] != "" and (one[2] is None or other[2] is None or one[2] == other[2])


def is_local_form(one, other):
    short, long = sorted((one, other), key=lambda party: len(party[1]))
    return short[2] is None and 6 <= len(short[1]) < 9 == len(long[1]) and long[1].endswith(short[1])


def kind_of(call, cdr):
    """Return ``full``, ``weak`` or None for two rows."""
    if call["way"] and cdr["way"] and call["way"] != cdr["way"]:
        return None
    caller, called = ((call[party], cdr[party]) for party in ("from", "to"))
    if same_number(*caller) and same_number(*called):
        return "full"
    known = [same_number(*pair) and min(len(party[1]) for party in pair) >= 7 for pair in (caller, called)]
    common = {"", "anonymous", "restricted", "unavailable", "0000000000"}
    words = {party[0] for party in caller if not party[1]} - common
    withheld = any(not party[1] for party in caller) and len(words) < 2
    if (known[1] and (withheld or is_local_form(*caller))) or (known[0] and is_local_form(*called)):
        return "weak"
    return None


def tells(call, cdr):
    return call["end"] is not None and cdr["end"] is not None and cdr["billable_s"] >= 10


def same_seconds(call, cdr):
    return min(abs(call["duration_seconds"] - cdr[name]) for name in ("billable_s", "total_s")) <= 1


def is_like(call, cdr):
    return same_seconds(call, cdr) or abs(cdr["end"] - call["end"]) <= 2 + 1e-6


def slow_gaps(told, rows, window, *, by_id):
    """Return the middle of gaps, their spread, the limit, and how far from the middle numbers prove something."""
    if len(told) < 20:
        return 0.0, 0.0, math.inf, window / 4
    middle = median(told)
    spread = float(np.quantile([abs(value - middle) for value in told], 0.9))
    limit = min(3 * spread + 4, window)
    tellers = [row for row in rows if tells(*row)]
    is_true = 2 * sum(is_like(*row) for row in tellers) >= len(tellers) >= 20
    if by_id or spread * 4 <= window or is_true:
        if len(told) >= 200:
            return middle, spread, limit, limit
        return 0.0, 0.0, math.inf, min(limit, window / 4) if abs(middle) <= 4 else 4.0
    return 0.0, 0.0, -1e-6 if len(tellers) >= 20 else math.inf, -1e-6


def slow_match(calls, legs, exact=(), window=60.0):  # noqa: PLR0915 - the rules in one piece
    """Return {(call, leg): confidence}, the listed rivals, and those without a rival that are not believed."""
    fits = {}
    for (n, call), (m, cdr) in product(enumerate(calls), enumerate(legs)):
        if abs(cdr["start"] - call["start"]) <= window + 1e-9 and (kind := kind_of(call, cdr)):
            fits[n, m] = kind
    full = [edge for edge, kind in fits.items() if kind == "full"]
    weak = [edge for edge, kind in fits.items() if kind == "weak"]
    gap = {(n, m): round(legs[m]["start"] - calls[n]["start"], 6) for n, m in fits}

    def of(side, edge, edges):
        return [other for other in edges if other[side] == edge[side]]

    by_hand = [edge for edge in full if len(of(0, edge, full)) == len(of(1, edge, full)) == 1]
    told = list(exact) if len(exact) >= 200 else [gap[edge] for edge in by_hand]
    rows = [(calls[n], legs[m]) for n, m in by_hand]
    middle, spread, limit, proving = slow_gaps(told, rows, window, by_id=len(exact) >= 200)
    distance = {edge: abs(value - middle) for edge, value in gap.items()}
    margin = 2 * max(2.0, spread)

    def between(edge):
        call, cdr = calls[edge[0]], legs[edge[1]]
        first = second = -math.inf
        if call["end"] is not None and call["end"] >= call["start"]:
            first = min(cdr["start"], cdr["start"] - middle) - call["end"]
        if cdr["end"] is not None and cdr["end"] >= cdr["start"]:
            second = call["start"] - max(cdr["end"], cdr["end"] - middle)
        return max(first, second)

    def is_borne_out(edge):
        call, cdr = calls[edge[0]], legs[edge[1]]
        if not tells(call, cdr):
            return False
        ends = cdr["end"] - call["end"]
        return same_seconds(call, cdr) and (abs(ends) <= 2 + 1e-6 or abs(ends - gap[edge]) <= 2 + 1e-6)

    def end_together(edge):
        ends = legs[edge[1]]["end"] - calls[edge[0]]["end"] if is_borne_out(edge) else math.inf
        return min(abs(ends), abs(ends - middle)) <= 2 + 1e-6

    def is_doubtful(edge):
        is_over = between(edge) > (2 if distance[edge] <= 4 else 0) + 1e-6
        is_far = distance[edge] > limit + 1e-6
        return (is_over and math.isfinite(limit)) or ((is_over or is_far) and not is_borne_out(edge))

    def standing(edges):
        near = {}
        for side in (0, 1):
            nearest = {}
            for edge in edges:
                nearest[edge[side]] = min(nearest.get(edge[side], math.inf), distance[edge])
            near[side] = {edge for edge in edges if distance[edge] - nearest[edge[side]] <= margin + 1e-6}
        mutual = near[0] & near[1]
        return mutual, {e for e in mutual if len(of(0, e, near[0])) == len(of(1, e, near[1])) == 1}

    impossible = {edge for edge in full if math.isfinite(limit) and between(edge) > 4 + 1e-6}
    possible = [edge for edge in full if edge not in impossible]
    mutual, chosen = standing(possible)
    taken = [{edge[side] for edge in mutual} for side in (0, 1)]
    far = {e for e in standing(full)[0] & impossible if e[0] not in taken[0] and e[1] not in taken[1]}
    far |= {
        edge
        for edge in chosen
        if is_doubtful(edge)
        or any(distance[edge] > distance[o] + margin + 1e-6 for side in (0, 1) for o in of(side, edge, weak))
        or (not is_borne_out(edge) and any(end_together(o) for side in (0, 1) for o in of(side, edge, full)))
    }
    accepted = chosen - far
    listed = (mutual - chosen) | far
    paired = [{edge[side] for edge in accepted} for side in (0, 1)]
    mutual = standing(list(fits))[0]
    for edge in weak:
        silent = calls[edge[0]]["from"][0] == legs[edge[1]]["from"][0] == ""
        if distance[edge] * 4 > window or silent:
            continue
        if len(of(0, edge, fits)) == len(of(1, edge, fits)) == 1:
            if is_doubtful(edge):
                far.add(edge)
                listed.add(edge)
            else:
                accepted.add(edge)
        elif edge in mutual and edge[0] not in paired[0] and edge[1] not in paired[1]:
            listed.add(edge)
    sure = {}
    for n, m in accepted:
        edge, call, cdr = (n, m), calls[n], legs[m]
        longest = max(len(call["from"][1]), len(call["to"][1]))
        is_far = distance[edge] > proving + 1e-6
        little = edge in weak or longest < 7 or is_far
        is_low = (little and not is_borne_out(edge)) or (is_far and not end_together(edge)) or limit < 0
        whole = all(row[party][2] for row in (call, cdr) for party in ("from", "to"))
        high = whole and edge not in weak and (is_borne_out(edge) or limit * 4 <= window)
        sure[edge] = "low" if is_low else "high" if high else "fair"
    return sure, listed, far


def found_by(rec, legs, calls):
    """Return the same of a reconciliation, by places in the frames."""
    call_at = {name: place for place, name in enumerate(calls["id"])}
    leg_at = dict(zip(rec.legs["cdr_id"], range(len(legs)), strict=True))
    pairs = by_numbers(rec)
    sure = {
        (call_at[call], leg_at[cdr]): word
        for call, cdr, word in zip(pairs["call_id"], pairs["cdr_id"], pairs["confidence"], strict=True)
    }
    listed = {
        (call_at[call], leg_at[cdr]) for call, cdr in rec.ambiguous[["call_id", "cdr_id"]].to_numpy().tolist()
    }
    far = set(np.flatnonzero(rec.calls["reason"].eq("start-too-far")).tolist())
    return sure, listed, far


def agree(legs, calls, clock_s=0.0):
    rec = reconcile(legs, calls, rules=Rules(duration="billable", clock_offset_s=clock_s), progress=False)
    sure, listed, far = slow_match(slow_rows(calls), slow_rows(legs, clock_s))
    assert found_by(rec, legs, calls) == (sure, listed, {edge[0] for edge in far})
    return rec


@pytest.mark.parametrize(
    "values",
    [{}, {"again_s": 5.0, "redial": 0.7, "lost": 0.1}, {"from_answer": True, "clock_s": 4.0}, {"withheld": 0.5, "days": 0.2}],
    ids=["ordinary", "redials", "answers", "withheld"],
)  # fmt: skip
@pytest.mark.parametrize("seed", [21, 22])
def test_a_month_is_matched_as_a_slow_reader_of_the_rules_does_it(values, seed):
    world = World(seed, n_calls=420, local=0.1, **{"days": 4.0, **values})
    legs, calls = build_world(world)
    agree(legs, calls)


TEXTS = st.sampled_from(["+442079460123", "+447700900456", "02079460123", "9460123", "anonymous", "Restricted", "ana",
                         "0000000000", None, "1001"])  # fmt: skip
CALLED = st.sampled_from(["+442079460999", "+442079460999", "9460999", "1002", None])
ROW = st.tuples(
    TEXTS, CALLED, st.integers(0, 100), st.integers(0, 40), st.sampled_from([None, "inbound", "outbound"])
)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), clock_s=st.sampled_from([0, 3600]))
def test_small_worlds_are_matched_as_a_slow_reader_does_it_in_any_order(
    make_legs, make_calls, at, data, clock_s
):
    legs, calls = [], []
    for caller, called, start, talk, way in data.draw(st.lists(ROW, max_size=5)):
        times = {"started_at": at(start + clock_s), "ended_at": at(start + talk + clock_s), "direction": way}
        e164 = {
            f"{p}_e164": n if n and n.startswith("+") else None for p, n in (("from", caller), ("to", called))
        }
        seconds = {"billable_s": float(talk), "total_s": float(talk)}
        legs.append({**times, **e164, **seconds, "from_number": caller, "to_number": called})
    for caller, called, start, talk, way in data.draw(st.lists(ROW, max_size=5)):
        times = {"started_at": at(start), "ended_at": at(start + talk), "direction": way}
        calls.append({**times, "duration_seconds": talk, "from_number": caller, "to_number": called})
    leg_frame, call_frame = make_legs(legs), make_calls(calls)
    rec = agree(leg_frame, call_frame, clock_s)
    turned = [data.draw(st.permutations(range(len(rows)))) for rows in (legs, calls)]
    again = agree(leg_frame.iloc[turned[0]], call_frame.iloc[turned[1]], clock_s)
    both = [
        sorted(zip(one.pairs["call_id"], one.pairs["cdr_id"], one.pairs["confidence"], strict=True))
        for one in (rec, again)
    ]
    assert both[0] == both[1]
