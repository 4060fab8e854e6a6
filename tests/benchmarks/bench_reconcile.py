"""Time reading and reconciling a month against what merely reading it with pandas costs.

Usage: python tests/benchmarks/bench_reconcile.py [ROWS] [ROUNDS]

The export comes from generate.py. The calls are derived from its legs: 3 % wrong durations,
1 % wrong statuses, 0.5 % without an end, 0.5 % on one side only each way, 10 % without a
call_uuid, in another order. Rounds are interleaved; the median, the best and the ratio are
printed, and the counts that every round must agree on.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

import sippet_reconcile as sr

ZONE, COUNTRY = "Europe/London", "GB"
NAMES = [
    "caller", "source", "destination", "context", "start", "answer", "end", "duration", "billsec", "cause",
    "uuid", "bleg", "account", "read_codec", "write_codec",
]  # fmt: skip


def derive_calls(legs: pd.DataFrame, seed: int = 7) -> pd.DataFrame:
    """Return calls that agree with the legs but for the planted differences."""
    rng = np.random.default_rng(seed)
    size = len(legs)
    billable = legs["billable_s"].fillna(0).astype("int64")
    ringing = legs["total_s"].fillna(0).astype("int64") - billable
    duration = billable + ringing.where(rng.random(size) < 0.03, 0)
    status = legs["status"].mask(rng.random(size) < 0.01, "failed")
    ids = pd.Series([f"{n:08x}-0000-4000-8000-{n:012x}" for n in range(size)], dtype="str")
    calls = pd.DataFrame(
        {
            "id": ids,
            "call_uuid": legs["call_key"].mask(rng.random(size) < 0.1),
            "direction": legs["direction"],
            "from_number": legs["from_e164"].fillna(legs["from_number"]),
            "to_number": legs["to_e164"].fillna(legs["to_number"]),
            "sip_username": legs["sip_username"],
            "status": status,
            "call_source": pd.Series("sip", index=legs.index, dtype="str"),
            "started_at": legs["started_at"],
            "ended_at": legs["ended_at"].mask(rng.random(size) < 0.005),
            "duration_seconds": duration.astype("Int64"),
            "conversation_id": pd.Series(None, index=legs.index, dtype="str"),
            "api_url": pd.Series("https://api.example", index=legs.index, dtype="str"),
            "fetched_at": legs["ended_at"].max() + pd.Timedelta(days=2),
        }
    )
    order = rng.permutation(size)[size // 200 :]
    return calls.iloc[order].reset_index(drop=True)


def read_with_pandas(path: Path) -> pd.DataFrame:
    """Read the file as a careful analyst does: text where ids are, dates as dates."""
    return pd.read_csv(
        path, names=NAMES, dtype=dict.fromkeys(NAMES, "str") | {"duration": "Int64", "billsec": "Int64"},
        parse_dates=["start", "answer", "end"], keep_default_na=False, na_values=[""],
    )  # fmt: skip


def timed(step: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = step()
    return time.perf_counter() - begin, result


def main(rows: int, rounds: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Master.csv"
        generator = Path(__file__).with_name("generate.py")
        subprocess.run(
            [sys.executable, str(generator), str(path), str(rows)], check=True, stdout=subprocess.DEVNULL
        )

        def read() -> pd.DataFrame:
            return sr.read_cdr(path, timezone=ZONE, country=COUNTRY, progress=False)

        legs = read()
        calls = derive_calls(legs)
        cut = legs.iloc[rows // 200 :].reset_index(drop=True)
        rules = sr.Rules(duration="billable")
        seconds: dict[str, list[float]] = {}
        found: set[tuple[int, ...]] = set()
        for _ in range(rounds):
            for name, step in (
                ("pandas.read_csv, typed, dates", lambda: read_with_pandas(path)),
                ("read_cdr", read),
                ("reconcile", lambda: sr.reconcile(cut, calls, rules=rules, progress=False)),
            ):
                took, result = timed(step)
                seconds.setdefault(name, []).append(took)
                if isinstance(result, sr.Reconciliation):
                    said = result.summary()
                    found.add(
                        tuple(
                            said[key]
                            for key in (
                                "matched",
                                "only_in_cdr",
                                "only_in_api",
                                "ambiguous_calls",
                                "discrepancies",
                            )
                        )
                    )
        both = [a + b for a, b in zip(seconds["read_cdr"], seconds["reconcile"], strict=True)]
        seconds["read_cdr + reconcile"] = both
        base = median(seconds["pandas.read_csv, typed, dates"])
        print(f"{rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB, {rounds} rounds")
        for name, values in seconds.items():
            print(
                f"{name:32} median {median(values):7.2f} s   best {min(values):7.2f} s   {median(values) / base:5.2f} x pandas"
            )
        print("matched, only in CDR, only in API, ambiguous, discrepancies:", *sorted(found))


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]]
    main(*[*arguments, *(1_000_000, 3)[len(arguments) :]])
