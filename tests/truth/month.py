"""A month of calls as it really was, and what a switch and a platform that make no mistake write down of it.

Input is a seed and a few settings, output both sides of a reconciliation and the truth
behind them. It is written from what the frames promise and from how telephony works, and
imports nothing of the package, so that it cannot share a mistake with what it judges.

Calls follow the hours of an office. They ring and talk for lognormal times; some are
unanswered, reach a mailbox, are transferred, overlap, or ring at several phones. There are
redials, anonymous callers, calls over midnight, over the month's edges and in the night in
which the clocks go back, internal calls, records that either side lost, and calls whose id
the platform does not know. All numbers are from the ranges reserved for fiction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
ZONE: Final = "Europe/London"
MONTH: Final = "2026-10"
FETCHED_AT: Final = pd.Timestamp("2026-11-03T06:00:00Z")
API_URL: Final = "https://api.example.com"

# The month in London: clocks go back on 25 October, at 01:00 UTC.
MONTH_BEGIN: Final = 1_790_809_200 * SECOND  # 2026-09-30T23:00:00Z
MONTH_END: Final = 1_793_491_200 * SECOND  # 2026-11-01T00:00:00Z
CLOCKS_BACK: Final = 1_792_890_000 * SECOND  # 2026-10-25T01:00:00Z

UNANSWERED: Final = ("no_answer", "busy", "canceled", "failed")
SINGLE, TRANSFER, OVERLAP, HUNT, FORK = range(5)
"""How the legs of a call lie: one; one after the other; in parallel; a phone that did not answer, then another; all at once."""

_INSTANTS: Final = ("started_at", "answered_at", "ended_at")


@dataclass(frozen=True)
class Settings:
    """What kind of month.

    Attributes
    ----------
    size
        How many calls.
    seed
        The same seed and settings make the same month.
    basis
        What the platform's seconds count: ``billable`` or ``total``.
    has_fractions
        Whether clocks show milliseconds, or whole seconds only.
    by_pbx
        Whether there is a file for each of two switches, rather than one for each week.
    is_plain
        Leaves out what no id can match and what only one side has: every call is matched by its id.
    """

    size: int = 3000
    seed: int = 1
    basis: str = "billable"
    has_fractions: bool = False
    by_pbx: bool = False
    is_plain: bool = False


@dataclass(frozen=True, eq=False)
class World:
    """Both sides of a month, and the truth.

    Attributes
    ----------
    settings
        What kind of month.
    legs
        As `read_cdr` returns them; ``x_true`` is the number of the true call, ``x_trunk`` its trunk.
    calls
        As `fetch_calls` returns them.
    truth
        One row per call that the platform has: ``call_id``, ``x_true`` and the true values.
    planted
        One row per call and field that was made wrong: ``call_id``, ``field``, ``cause``.
    """

    settings: Settings
    legs: pd.DataFrame
    calls: pd.DataFrame
    truth: pd.DataFrame
    planted: pd.DataFrame

    def having(self, **other: Any) -> World:
        """Return the same world with other frames."""
        return replace(self, **other)


@dataclass(frozen=True, eq=False)
class _True:
    """The calls as they were, one element per call; times in microseconds since 1970."""

    start: Any
    ring: Any
    talk: Any
    is_answered: Any
    status: Any
    direction: Any
    user: Any
    own: Any
    outside: Any
    trunk: Any
    shape: Any
    is_anonymous: Any


def whole_day(at: Any) -> Any:
    """Return how far into the day, in London, an instant is."""
    local = at + np.where(at < CLOCKS_BACK, HOUR, 0)
    return local % DAY


def _starts(rng: np.random.Generator, size: int) -> Any:
    """Return starts in the hours of an office, in London, with some around midnight, the edges and the clocks' change."""
    first = (
        MONTH_BEGIN + HOUR
    )  # the first midnight on a clock that never changes, one hour being added back below
    days = np.arange(31)
    weekday = (3 + days) % 7  # 1 October 2026 is a Thursday
    weight = np.where(weekday < 5, 1.0, np.where(weekday == 5, 0.25, 0.1))
    day = rng.choice(days, size, p=weight / weight.sum())
    hours = np.array(
        [0.02] * 7 + [0.3, 1, 1.6, 1.7, 1.5, 1.0, 1.2, 1.5, 1.6, 1.3, 0.9, 0.4, 0.2, 0.15, 0.1, 0.06, 0.04]
    )
    hour = rng.choice(24, size, p=hours / hours.sum())
    local = first + day * DAY + hour * HOUR + rng.integers(0, HOUR, size)
    # Summer time is an hour ahead until the clocks go back.
    start = np.where(local - HOUR < CLOCKS_BACK, local - HOUR, local)
    few = max(size // 250, 2)
    places = rng.permutation(size)[: 4 * few]
    midnight, begin, end, night = places.reshape(4, few)
    start[midnight] = MONTH_BEGIN + rng.integers(1, 24, few) * DAY - rng.integers(1, 300, few) * SECOND
    start[begin] = MONTH_BEGIN + rng.integers(-1800, 60, few) * SECOND
    start[end] = MONTH_END + rng.integers(-300, 1800, few) * SECOND
    start[night] = CLOCKS_BACK + rng.integers(-3600, 3600, few) * SECOND
    return np.clip(start, MONTH_BEGIN - 50 * MINUTE, MONTH_END + 50 * MINUTE)


def _true_calls(rng: np.random.Generator, settings: Settings) -> _True:
    size = settings.size
    unit = 1000 if settings.has_fractions else SECOND
    start = _starts(rng, size)
    is_answered = rng.random(size) < 0.78
    ring = np.clip(rng.lognormal(np.log(10), 0.6, size), 1.2, 55) * SECOND
    talk = np.clip(rng.lognormal(np.log(80), 1.1, size), 2, 3 * 3600) * SECOND
    unanswered = rng.choice(len(UNANSWERED), size, p=[0.5, 0.2, 0.2, 0.1])
    ring = np.where(~is_answered & (unanswered == 0), ring + 20 * SECOND, ring)
    ring = np.where(
        ~is_answered & ((unanswered == 1) | (unanswered == 3)), np.minimum(ring, 4 * SECOND), ring
    )
    direction = rng.choice(["inbound", "outbound", "internal"], size, p=[0.5, 0.44, 0.06])
    is_mailbox = is_answered & (direction == "inbound") & (rng.random(size) < 0.1)
    ring = np.where(is_mailbox, 20 * SECOND + ring / 4, ring)
    talk = np.where(is_mailbox, np.minimum(talk, 90 * SECOND), talk)
    status = np.where(is_answered, "completed", np.array(UNANSWERED)[unanswered]).astype(object)
    status[is_mailbox] = "voicemail"
    trunk = rng.choice(["a", "b"], size)
    shape = np.full(size, SINGLE)
    several = is_answered & ~is_mailbox & (talk >= 20 * SECOND) & (direction != "internal")
    shape[several] = rng.choice(5, int(several.sum()), p=[0.56, 0.14, 0.12, 0.1, 0.08])
    own = rng.integers(0, 50, size) + np.where(trunk == "b", 50, 0)
    outside, user = rng.integers(0, 2000, size), rng.integers(1001, 1041, size)
    # A redial: the same two numbers half a minute after a call that nobody answered.
    tried = np.flatnonzero(~is_answered[:-1] & (direction[:-1] != "internal"))
    tried = tried[rng.random(len(tried)) < 0.25]
    for column in (own, outside, user, direction, trunk):
        column[tried + 1] = column[tried]
    start[tried + 1] = start[tried] + ring[tried].astype(np.int64) + rng.integers(25, 90, len(tried)) * SECOND
    again = is_mailbox[tried + 1] & (direction[tried + 1] != "inbound")
    status[(tried + 1)[again]] = "completed"
    start = start // unit * unit
    # A wide copy of one seed: who withholds the number is drawn last, so that it moves nothing else.
    is_anonymous = (direction == "inbound") & (rng.random(size) < 0.04)
    ring, talk = (np.maximum(np.floor(v / unit), 1).astype(np.int64) * unit for v in (ring, talk))
    talk = np.where(is_answered, talk, 0)
    return _True(
        start, ring, talk, is_answered, status, direction, user, own, outside, trunk, shape, is_anonymous
    )


def _uuids(rng: np.random.Generator, count: int) -> Any:
    digits = rng.bytes(16 * count).hex()
    raw = (digits[32 * i : 32 * i + 32] for i in range(count))
    return np.array([f"{r[:8]}-{r[8:12]}-4{r[13:16]}-a{r[17:20]}-{r[20:]}" for r in raw], object)


_OUTSIDE: Final = (
    [f"+447700900{n:03d}" for n in range(1000)]
    + [f"+44207946{n:04d}" for n in range(200, 1000)]
    + [f"+1212555{n:04d}" for n in range(100, 200)]
    + [f"+1415555{n:04d}" for n in range(100, 200)]
)
_OWN: Final = [f"+44207946{n:04d}" for n in range(100)]


def _national(numbers: Any) -> Any:
    """Return numbers as a British switch writes them down."""
    return np.array(
        [
            n
            if n is None
            else "0" + n[3:]
            if n.startswith("+44")
            else "00" + n[1:]
            if n.startswith("+")
            else n
            for n in numbers
        ],
        object,
    )


def _parties(true: _True) -> tuple[Any, Any]:
    """Return caller and called party, in E.164 or as an extension; a caller who withholds the number is ``anonymous``."""
    own, outside = np.array(_OWN, object)[true.own], np.array(_OUTSIDE, object)[true.outside]
    extension = true.user.astype(str).astype(object)
    other = ((true.user - 1001 + 1 + true.own % 39) % 40 + 1001).astype(str).astype(object)
    caller = np.select([true.direction == "inbound", true.direction == "outbound"], [outside, own], extension)
    caller[true.is_anonymous] = "anonymous"
    called = np.select([true.direction == "inbound", true.direction == "outbound"], [own, outside], other)
    return caller, called


def _leg_times(rng: np.random.Generator, true: _True, unit: int) -> pd.DataFrame:
    """Return the legs of all calls: ``x_true``, ``nth``, ``begin``, ``ring``, ``talk`` (us) and ``is_answered``."""
    size = len(true.start)

    def part(which: Any, nth: int, begin: Any, lasting: tuple[Any, Any], answered: Any) -> pd.DataFrame:
        rows = np.flatnonzero(which)
        columns = {"begin": begin, "ring": lasting[0], "talk": lasting[1], "is_answered": answered}
        return pd.DataFrame(
            {"x_true": rows, "nth": nth, **{n: np.broadcast_to(v, size)[rows] for n, v in columns.items()}}
        )

    def cut(values: Any) -> Any:
        return np.floor(values / unit).astype(np.int64) * unit

    start, ring, talk, shape = true.start, true.ring, true.talk, true.shape
    answer = start + ring
    share, ring_2 = 0.2 + 0.6 * rng.random(size), cut((2 + 12 * rng.random(size)) * SECOND)
    first = np.maximum(cut(talk * share), 3 * SECOND)
    # After a transfer the second party rings for a while and talks for the rest.
    rest = np.maximum(talk - first, 3 * SECOND)
    # In parallel: the second leg is answered while the first one talks, and ends after it.
    overlap_first, late = cut(first + (talk - first) * 0.4), np.maximum(cut(first * 0.9), 2 * SECOND)
    hunted, seconds_rung = cut((6 + 10 * rng.random(size)) * SECOND), cut((1 + 9 * rng.random(size)) * SECOND)
    late_start = answer + np.maximum(late - ring_2, 0)
    is_single = shape == SINGLE
    return pd.concat(
        [
            part(is_single, 0, start, (ring, talk), true.is_answered),
            part(shape == TRANSFER, 0, start, (ring, first), True),
            part(shape == TRANSFER, 1, answer + first, (ring_2, rest), True),
            part(shape == OVERLAP, 0, start, (ring, overlap_first), True),
            part(shape == OVERLAP, 1, late_start, (np.minimum(ring_2, late), talk - late), True),
            part(shape == HUNT, 0, start, (hunted, 0), False),
            part(shape == HUNT, 1, start + hunted, (seconds_rung, talk), True),
            part(shape == FORK, 0, start, (ring, talk), True),
            part(shape == FORK, 1, start, (ring, 0), False),
            part(shape == FORK, 2, start, (ring, 0), False),
        ],
        ignore_index=True,
    ).sort_values(["x_true", "nth"], ignore_index=True)


def _truth_of(legs: pd.DataFrame, true: _True, basis: str) -> pd.DataFrame:
    """Return the true values of every call, by arithmetic on its one or two talking legs."""
    talking = legs[legs["is_answered"]].groupby("x_true")
    answer = legs["begin"] + legs["ring"]
    end = answer + legs["talk"]
    times = pd.DataFrame({"x_true": legs["x_true"], "answer": answer.where(legs["is_answered"]), "end": end})
    by_call = times.groupby("x_true")
    size = len(true.start)
    start, last = true.start, by_call["end"].max().reindex(range(size)).to_numpy("int64")
    summed = talking["talk"].sum().reindex(range(size), fill_value=0).to_numpy("int64")
    both = legs[legs["is_answered"]].assign(answer=answer, end=end).groupby("x_true")
    # Of two talking legs what they have in common counts once.
    common = (both["end"].min() - both["answer"].max()).clip(lower=0)
    common = common.where(both.size() > 1, 0).reindex(range(size), fill_value=0).to_numpy("int64")
    billable, total = (summed - common) / SECOND, (last - start) / SECOND
    leg_seconds = (legs["talk"] + (legs["ring"] if basis == "total" else 0)) / SECOND
    per_leg = pd.DataFrame({"x_true": legs["x_true"], "s": leg_seconds, "end": end}).groupby("x_true")
    count = per_leg.size().reindex(range(size)).to_numpy("int64")
    return pd.DataFrame(
        {
            "x_true": np.arange(size),
            "status": pd.Series(true.status, dtype="str"),
            "is_answered": true.is_answered,
            "start": start,
            "answer": by_call["answer"].min().reindex(range(size)).to_numpy("float64"),
            "end": last,
            "billable_s": billable,
            "total_s": total,
            "basis_s": total if basis == "total" else billable,
            "n_legs": count,
            "shape": true.shape,
            "first_s": per_leg["s"].first().reindex(range(size)).to_numpy("float64"),
            "last_s": per_leg["s"].last().reindex(range(size)).to_numpy("float64"),
            "sum_s": per_leg["s"].sum().reindex(range(size)).to_numpy("float64"),
            "first_end": per_leg["end"].first().reindex(range(size)).to_numpy("int64"),
            "last_start": legs.groupby("x_true")["begin"].last().reindex(range(size)).to_numpy("int64"),
        }
    )


def instants(micros: Any) -> pd.Series[Any]:
    """Return a column of instants from microseconds since 1970; NaN is missing."""
    values = np.asarray(micros, "float64")
    plain = np.where(np.isnan(values), np.iinfo(np.int64).min, np.nan_to_num(values)).astype(np.int64)
    return pd.Series(plain.view("M8[us]")).dt.tz_localize("UTC")


def make_month(settings: Settings) -> World:
    """Make a month in which neither side has made a mistake, but for records that were lost."""
    rng = np.random.default_rng([settings.seed, settings.size])
    true = _true_calls(rng, settings)
    unit = 1000 if settings.has_fractions else SECOND
    legs = _leg_times(rng, true, unit)
    truth = _truth_of(legs, true, settings.basis)
    caller, called = _parties(true)
    size = settings.size
    keys = _uuids(rng, size)
    lost_in_cdr, lost_in_api, keyless, unlike = np.split(rng.permutation(size)[: 4 * max(size // 200, 1)], 4)
    if settings.is_plain:
        lost_in_cdr = lost_in_api = keyless = unlike = np.zeros(0, np.int64)
    legs_frame = _legs_frame(rng, settings, true, legs, parties=(caller, called), keys=keys)
    legs_frame = numbered(legs_frame[~legs_frame["x_true"].isin(lost_in_cdr)].reset_index(drop=True))
    calls = _calls_frame(rng, settings, true, truth, parties=(caller, called), keys=keys)
    other = _uuids(rng, len(unlike))
    calls.loc[unlike, "call_uuid"] = other
    calls.loc[keyless, "call_uuid"] = None
    truth = truth.assign(call_id=calls["id"])
    kept = ~calls.index.isin(lost_in_api)
    # The order in which either side hands out rows says nothing.
    order = rng.permutation(np.flatnonzero(kept))
    calls, truth = (frame.iloc[order].reset_index(drop=True) for frame in (calls, truth))
    planted = pd.DataFrame({name: pd.Series([], dtype="str") for name in ("call_id", "field", "cause")})
    return World(settings, legs_frame, calls, truth, planted)


def _legs_frame(
    rng: np.random.Generator,
    settings: Settings,
    true: _True,
    legs: pd.DataFrame,
    *,
    parties: tuple[Any, Any],
    keys: Any,
) -> pd.DataFrame:
    of, nth = legs["x_true"].to_numpy(), legs["nth"].to_numpy()
    n_legs = len(legs)
    answered, begin = legs["is_answered"].to_numpy("bool"), legs["begin"].to_numpy("int64")
    answer = begin + legs["ring"].to_numpy("int64")
    end = answer + legs["talk"].to_numpy("int64")
    own_ids = _uuids(rng, n_legs)
    # The leg that the platform knows by its id is that of the caller, or of the phone that answered.
    leg_id = np.where(nth == 0, keys[of], own_ids)
    several = np.isin(of, of[nth > 0])
    caller, called = parties
    from_number, to_number = caller[of], called[of]
    lost = np.where(true.shape[of] == FORK, "canceled", "no_answer")
    status = np.where(answered | ~several, true.status[of], lost)
    trunk = true.trunk[of]
    week = ((begin - MONTH_BEGIN) // (7 * DAY)).clip(0, 4) + 1
    names = [f"pbx-{t}.csv" for t in trunk] if settings.by_pbx else [f"week-{w}.csv" for w in week]
    causes = {"completed": "NORMAL_CLEARING", "voicemail": "NORMAL_CLEARING", "busy": "USER_BUSY"}
    causes |= {"no_answer": "NO_ANSWER", "canceled": "ORIGINATOR_CANCEL", "failed": "CALL_REJECTED"}
    missing = np.full(n_legs, None, object)
    is_out = true.direction[of] == "outbound"
    text: dict[str, Any] = {
        "source_file": names,
        "source_sha256": missing,
        "format": np.full(n_legs, "plain", object),
        "problem": missing,
        "time_problem": missing,
        "leg_id": leg_id,
        "call_key": leg_id,
        "linked_id": np.where(several, own_ids[_first_row(of)], leg_id),
        "direction": true.direction[of],
        "from_number": _national(from_number),
        "to_number": _national(to_number),
        "from_e164": np.where(np.char.startswith(from_number.astype(str), "+"), from_number, None),
        "to_e164": np.where(np.char.startswith(to_number.astype(str), "+"), to_number, None),
        "sip_username": np.where(is_out, true.user[of].astype(str).astype(object), None),
        "status": status,
        "cause": [causes[word] for word in status],
        "x_trunk": trunk,
    }
    frame = pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in text.items()})
    frame = frame.assign(
        record_hash=pd.Series(np.arange(1, n_legs + 1), dtype="Int64"),
        x_true=pd.Series(of, dtype="Int64"),
        started_at=instants(begin),
        answered_at=instants(np.where(answered, answer.astype(float), np.nan)),
        ended_at=instants(end),
        total_s=pd.Series((end - begin) / SECOND, dtype="Float64"),
        billable_s=pd.Series(np.where(answered, end - answer, 0) / SECOND, dtype="Float64"),
        is_answered=pd.Series(answered, dtype="boolean"),
    )
    # A switch writes a row when its leg ends.
    return frame.iloc[np.lexsort((nth, end))].reset_index(drop=True)


def numbered(legs: pd.DataFrame) -> pd.DataFrame:
    """Return legs with the line that each has in its file, below a header."""
    return legs.assign(source_row=(legs.groupby("source_file").cumcount() + 2).astype("Int64"))


def _first_row(of: Any) -> Any:
    """Return for each leg the place of the first leg of its call; legs come call by call."""
    new = np.flatnonzero(np.diff(of, prepend=-1) != 0)
    return np.repeat(new, np.diff(new, append=len(of)))


def _calls_frame(
    rng: np.random.Generator,
    settings: Settings,
    true: _True,
    truth: pd.DataFrame,
    *,
    parties: tuple[Any, Any],
    keys: Any,
) -> pd.DataFrame:
    size = settings.size
    start, end = truth["start"].to_numpy("int64"), truth["end"].to_numpy("int64")
    basis = truth["basis_s"].to_numpy("float64")
    # Another machine takes down the same moments a little later, and cuts or rounds the seconds as it likes;
    # on the total basis they are those between its own two moments.
    late = rng.integers(0, 450_000, (2, size))
    started, ended = start + late[0], end + late[1]
    if not settings.has_fractions:
        started, ended = started // SECOND * SECOND, ended // SECOND * SECOND
    up = rng.random(size) < 0.5
    seconds = np.where(up, np.floor(basis + 0.5), np.floor(basis))
    seconds = seconds + np.where((basis > 5) & (rng.random(size) < 0.1), rng.choice([-1, 1], size), 0)
    seconds = np.where(np.abs(seconds - basis) > 1, np.floor(basis + 0.5), seconds)
    if settings.basis == "total":
        seconds = np.floor((ended - started) / SECOND + 0.5)
    else:
        seconds = np.where(true.is_answered, seconds, np.where(rng.random(size) < 0.5, 0, np.nan))
    caller, called = parties
    is_out = true.direction == "outbound"
    none = pd.Series([None] * size, dtype="str")
    return pd.DataFrame(
        {
            "id": pd.Series(_uuids(rng, size), dtype="str"),
            "call_uuid": pd.Series(keys, dtype="str"),
            "direction": pd.Series(true.direction, dtype="str"),
            "from_number": pd.Series(caller, dtype="str"),
            "to_number": pd.Series(called, dtype="str"),
            "sip_username": pd.Series(
                np.where(is_out, true.user.astype(str).astype(object), None), dtype="str"
            ),
            "status": pd.Series(true.status, dtype="str"),
            "call_source": pd.Series(["sip"] * size, dtype="str"),
            "started_at": instants(started),
            "ended_at": instants(ended),
            "duration_seconds": pd.Series(seconds).astype("Int64"),
            "conversation_id": none,
            "api_url": pd.Series([API_URL] * size, dtype="str"),
            "fetched_at": pd.Series([FETCHED_AT] * size).dt.as_unit("us"),
        }
    )


def with_values(calls: pd.DataFrame, rows: Any, values: Mapping[str, Any]) -> pd.DataFrame:
    """Return calls whose rows hold other values; instants are given in microseconds, NaN or None is missing."""
    columns: dict[str, pd.Series[Any]] = {}
    for name, given in values.items():
        column = calls[name].copy()
        if name in _INSTANTS:
            new: Any = instants(given)
        elif name == "duration_seconds":
            new = pd.Series(np.asarray(given, "float64")).astype("Int64")
        else:
            new = pd.Series(np.asarray(given, object), dtype="str")
        column.iloc[rows] = new.array
        columns[name] = column
    return calls.assign(**columns)


def moved(legs: pd.DataFrame, which: Any, by_us: Any) -> pd.DataFrame:
    """Return legs of which some show times that are off by microseconds, one amount or one for each leg."""
    by = pd.to_timedelta(np.where(which, by_us, 0).astype(np.int64), unit="us")
    return legs.assign(**{name: (legs[name] + by).dt.as_unit("us") for name in _INSTANTS})


def freeswitch_csv(legs: pd.DataFrame, zone: str = ZONE) -> str:
    """Return the legs as FreeSWITCH's vanilla configuration writes them: local time, no header.

    The stamps are whole seconds, so a month with fractions loses them here as there. The leg of the
    caller names the one that it was bridged to; both parties of an outbound call are written as dialled.
    """
    shown = {}
    for name in _INSTANTS:
        shown[name] = legs[name].dt.tz_convert(zone).dt.strftime("%Y-%m-%d %H:%M:%S").fillna("").tolist()
    linked = np.where(legs["linked_id"] == legs["leg_id"], "", legs["linked_id"].astype(object))
    seconds = {
        name: legs[name].to_numpy("float64").astype(int).tolist() for name in ("total_s", "billable_s")
    }
    context = np.where(legs["direction"] == "inbound", "public", "default").tolist()
    columns: Sequence[Sequence[Any]] = (
        legs["from_number"].tolist(),
        legs["from_number"].tolist(),
        legs["to_number"].tolist(),
        context,
        *(shown[name] for name in _INSTANTS),
        *seconds.values(),
        legs["cause"].tolist(),
        legs["leg_id"].tolist(),
        linked.tolist(),
        legs["sip_username"].fillna("").tolist(),
    )
    lines = [",".join(f'"{cell}"' for cell in (*row, "PCMA", "PCMA")) for row in zip(*columns, strict=True)]
    return "\n".join(lines) + "\n"
