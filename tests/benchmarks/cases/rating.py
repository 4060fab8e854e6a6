"""How long does rating calls take, beside one merge of pandas of the same size?

The card has prefixes of 1 to 8 digits, most of which lie within others; all rows have a
first day, and a tenth of the prefixes a second validity. The merge joins the calls with a
frame of as many rows as there are prefixes, on a key of text that most of them have: what
an analyst pays to look a price up that needs no longest prefix, no day and no rounding.
Calls are rated twice: with their numbers in E.164, and with numbers as delivered, which are
read first. The last digits are random, so that nearly every call has a number of its own;
all are of a length that their country has, as the numbers of an API are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import sippet_reconcile as sr
from sippet_reconcile.phones import numbers_to_e164
from tests.benchmarks.case import Case, Found, Group, Target

if TYPE_CHECKING:
    from tests.benchmarks.case import Step

__all__ = ["GROUP"]

MERGE, LOAD = "pandas merge", "RateCard.from_csv"
RATE, READ = "rate_calls, to_e164 given", "rate_calls, to_number only"
N_PREFIXES = 50_000
CHANGED_ON = "2026-10-16"
SHARES = {1: 0.0001, 2: 0.001, 3: 0.005, 4: 0.05, 5: 0.15, 6: 0.3, 7: 0.3, 8: 0.2}
"""How many of the prefixes have so many digits, about: breakouts are long."""


def make_prefixes(rng: np.random.Generator, count: int) -> list[str]:
    """Return different prefixes, most of which begin with another one."""
    found: list[str] = []
    known: set[str] = set()
    for digits, share in SHARES.items():
        shorter = [prefix for prefix in found if len(prefix) == digits - 1]
        wanted = max(1, round(count * share)) if digits < max(SHARES) else count - len(found)
        most = 9 * 10 ** (digits - 1)
        layer: set[str] = set()
        while len(layer) < min(wanted, most):
            is_nested = bool(shorter) and rng.random() < 0.8
            start = (
                shorter[rng.integers(len(shorter))]
                if is_nested
                else str(rng.integers(10 ** (digits - 1), 10**digits))
            )
            candidate = start + str(rng.integers(10)) if is_nested else start
            if candidate not in known:
                layer.add(candidate)
                known.add(candidate)
        found += sorted(layer)
    return found


def make_card(rng: np.random.Generator, prefixes: list[str]) -> pd.DataFrame:
    """Return a card: a first day for all, a second validity for a tenth."""
    size = len(prefixes)
    rows = pd.DataFrame(
        {
            "prefix": pd.array(prefixes, dtype="str"),
            "rate_per_minute": [f"0.{value:05d}" for value in rng.integers(100, 90_000, size)],
            "initial_s": rng.choice([1, 6, 30, 60], size),
            "increment_s": rng.choice([1, 6, 60], size),
            "connect_fee": rng.choice(["0", "0.01", "0.05"], size),
            "currency": "GBP",
            "valid_from": "2026-01-01",
            "valid_to": None,
        }
    )
    changed = rng.random(size) < 0.1
    second = rows[changed].assign(valid_from=CHANGED_ON, rate_per_minute="0.02345")
    first = rows.assign(valid_to=pd.Series(CHANGED_ON, rows.index).where(changed, None))
    return pd.concat([first, second], ignore_index=True)


def make_numbers(rng: np.random.Generator, prefixes: Any, count: int) -> tuple[Any, pd.Series[str]]:
    """Return a prefix and a number of it for each call, drawn again until its country has numbers that long."""
    starts = np.empty(count, object)
    numbers = pd.Series(pd.NA, index=range(count), dtype="str")
    left = np.arange(count)
    while len(left):
        drawn = prefixes[rng.integers(len(prefixes), size=len(left))]
        ends, lengths = rng.integers(10**11, 10**12, len(left)).astype(str), rng.integers(10, 14, len(left))
        texts = [f"+{(start + end)[:n]}" for start, end, n in zip(drawn, ends, lengths, strict=True)]
        kept = numbers_to_e164(pd.Series(texts, dtype="str")).eq(pd.Series(texts)).to_numpy("bool")
        starts[left[kept]] = drawn[kept]
        numbers.iloc[left[kept]] = np.array(texts, object)[kept]
        left = left[~kept]
    return starts, numbers


def _prepare(folder: Path, calls: int, _cache: Path) -> None:
    """Write the card, the calls and the two frames to merge."""
    rng = np.random.default_rng(11)
    known = make_prefixes(rng, N_PREFIXES)
    card = make_card(rng, known)
    card.to_csv(folder / "rates.csv", index=False)
    starts, numbers = make_numbers(rng, np.array(known), calls)
    seconds = np.where(rng.random(calls) < 0.3, 0, rng.gamma(1.2, 120, calls).astype(int))
    started = pd.Timestamp("2026-10-01", tz="UTC") + pd.to_timedelta(
        rng.integers(0, 31 * 86_400, calls), unit="s"
    )
    frame = pd.DataFrame(
        {
            "id": pd.array([f"{n:08x}-0000-4000-8000-{n:012x}" for n in range(calls)], dtype="str"),
            "to_number": numbers,
            "started_at": started.as_unit("us"),
            "duration_seconds": pd.array(seconds, dtype="Int64"),
        }
    )
    frame.to_pickle(folder / "calls.pkl")
    left = frame.assign(prefix=pd.array(starts, dtype="str"))[["id", "prefix", "duration_seconds"]]
    left.to_pickle(folder / "left.pkl")
    sr.RateCard.from_csv(folder / "rates.csv").rows.drop_duplicates("prefix").to_pickle(folder / "right.pkl")


def _merge(folder: Path) -> Step:
    left, right = pd.read_pickle(folder / "left.pkl"), pd.read_pickle(folder / "right.pkl")  # noqa: S301 - our own
    right = right[["prefix", "rate_per_minute", "currency"]]
    return lambda: left.merge(right, how="left", on="prefix", validate="many_to_one")


def _load_card(folder: Path) -> Step:
    return lambda: sr.RateCard.from_csv(folder / "rates.csv").rows


def _rate(folder: Path) -> Step:
    card, calls = sr.RateCard.from_csv(folder / "rates.csv"), pd.read_pickle(folder / "calls.pkl")  # noqa: S301 - our own
    calls = calls.assign(to_e164=calls["to_number"])
    return lambda: sr.rate_calls(calls, card, timezone="Europe/London")


def _read_and_rate(folder: Path) -> Step:
    card, calls = sr.RateCard.from_csv(folder / "rates.csv"), pd.read_pickle(folder / "calls.pkl")  # noqa: S301 - our own
    return lambda: sr.rate_calls(calls, card, timezone="Europe/London")


def _costs(rated: Any) -> dict[str, Any]:
    return {"cost": str(rated["cost"].sum()), "unrated": int(rated["unrated_reason"].notna().sum())}


def _wrong(_folder: Path, found: Found) -> list[str]:
    given, read = found.get(RATE), found.get(READ)
    return [f"{RATE} costs {given}, {READ} {read}"] if given and read and given != read else []


GROUP = Group(
    "rating",
    f"Rating calls by {N_PREFIXES:,} nested prefixes.",
    (
        Case(MERGE, _merge),
        Case(RATE, _rate, _costs),
        Case(READ, _read_and_rate, _costs),
        Case(LOAD, _load_card),
    ),
    MERGE,
    _prepare,
    size=1_000_000,
    wrong=_wrong,
    targets=(Target(f"{RATE}, times one {MERGE}", f"rating/{RATE}", 2.0, f"rating/{MERGE}"),),
    unit="calls",
)
