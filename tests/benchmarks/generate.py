"""Make a large Master.csv as FreeSWITCH or Asterisk writes it: the same bytes for the same seed and size.

Usage: python tests/benchmarks/generate.py OUT.csv [ROWS] [SEED] [freeswitch|asterisk]

Numbers are from the ranges reserved for fiction (+1 NXX 555 01XX, +44 20 7946 0XXX);
a quarter of the rows is unanswered, a fifth has a B-leg, one in eight is internal.
Asterisk's rows have the usual 18 columns: text in quotes, caller ids with quotes in
them, seconds and the times that are missing without, and an epoch in each uniqueid.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

CAUSES = (
    "NORMAL_CLEARING",
    "ORIGINATOR_CANCEL",
    "USER_BUSY",
    "NO_ANSWER",
    "NORMAL_UNSPECIFIED",
    "CALL_REJECTED",
)
DISPOSITIONS = ("ANSWERED", "NO ANSWER", "BUSY", "FAILED")
AREAS = (212, 312, 404, 415, 503, 617, 702, 808)
START = 1_790_812_800  # 2026-10-01 00:00:00 as the switch's clock shows it
SPAN_S = 31 * 86_400
CHUNK = 100_000


def _uuids(rng: np.random.Generator, count: int) -> list[str]:
    digits = rng.bytes(16 * count).hex()
    raw = (digits[32 * i : 32 * i + 32] for i in range(count))
    return [f"{r[:8]}-{r[8:12]}-4{r[13:16]}-a{r[17:20]}-{r[20:]}" for r in raw]


def _stamps(seconds: np.ndarray) -> list[str]:
    return [
        text.replace("T", " ") for text in np.datetime_as_string(seconds.astype("M8[s]"), unit="s").tolist()
    ]


def rows(rng: np.random.Generator, count: int, at: np.ndarray) -> list[str]:
    """Return lines of the example template for calls that start at the given seconds."""
    answered = rng.random(count) < 0.75
    ring = rng.integers(1, 40, count)
    talk = np.where(answered, rng.exponential(150, count).astype(int) + 1, 0)
    users = rng.integers(1000, 1400, count)
    internal = rng.random(count) < 0.125
    inbound = rng.random(count) < 0.5
    area, line = rng.choice(AREAS, count), rng.integers(0, 100, count)
    london = rng.random(count) < 0.4
    london_line = rng.integers(0, 1000, count)
    cause = np.where(answered, rng.choice([0, 0, 0, 4], count), rng.choice([0, 1, 1, 2, 3, 5], count))
    has_b_leg = rng.random(count) < 0.2
    end = at + ring + talk
    columns = zip(
        _stamps(at), _stamps(at + ring), _stamps(end), _uuids(rng, count), _uuids(rng, count), strict=True
    )  # fmt: skip
    lines: list[str] = []
    for i, (start_text, answer_text, end_text, uuid, bleg) in enumerate(columns):
        outside = f"+442079460{london_line[i]:03d}" if london[i] else f"+1{area[i]}55501{line[i]:02d}"
        user = str(users[i])
        caller, called = (outside, user) if inbound[i] else (user, outside)
        if internal[i]:
            caller, called = user, str(users[i - 1])
        account = "" if inbound[i] else user
        lines.append(
            f'"Caller {user}","{caller}","{called}","{"public" if inbound[i] else "default"}","{start_text}",'
            f'"{answer_text if answered[i] else ""}","{end_text}","{ring[i] + talk[i]}","{talk[i]}",'
            f'"{CAUSES[cause[i]]}","{uuid}","{bleg if has_b_leg[i] else ""}","{account}","PCMU","PCMU"'
        )
    return lines


def asterisk_rows(rng: np.random.Generator, count: int, at: np.ndarray) -> list[str]:
    """Return lines of ``cdr_csv`` for calls that start at the given seconds of a clock in UTC."""
    answered = rng.random(count) < 0.75
    ring = rng.integers(1, 40, count)
    talk = np.where(answered, rng.exponential(150, count).astype(int) + 1, 0)
    users = rng.integers(1000, 1400, count)
    inbound = rng.random(count) < 0.5
    area, line = rng.choice(AREAS, count), rng.integers(0, 100, count)
    channel = rng.integers(0, 1 << 32, (2, count))
    disposition = np.where(answered, 0, rng.integers(1, len(DISPOSITIONS), count))
    lines: list[str] = []
    columns = zip(_stamps(at), _stamps(at + ring), _stamps(at + ring + talk), strict=True)
    for i, (start, answer, end) in enumerate(columns):
        outside, user = f"+1{area[i]}55501{line[i]:02d}", str(users[i])
        caller, called = (outside, user) if inbound[i] else (user, outside)
        context, near, far = ("from-trunk", "trunk", user) if inbound[i] else ("from-internal", user, "trunk")
        shown_answer = f'"{answer}"' if answered[i] else ""
        lines.append(
            f'"","{caller}","{called}","{context}","""Caller {user}"" <{caller}>","PJSIP/{near}-{channel[0, i]:08x}",'
            f'"PJSIP/{far}-{channel[1, i]:08x}","Dial","PJSIP/{called}@{far},40","{start}",{shown_answer},"{end}",'
            f'{ring[i] + talk[i]},{talk[i]},"{DISPOSITIONS[disposition[i]]}","DOCUMENTATION","{at[i]}.{2 * i}",""'
        )
    return lines


WRITERS = {"freeswitch": rows, "asterisk": asterisk_rows}


def generate(path: Path, size: int = 1_000_000, seed: int = 7, switch: str = "freeswitch") -> None:
    """Write a file of `size` rows in the order in which its calls end."""
    rng = np.random.default_rng(seed)
    starts = np.sort(rng.integers(START, START + SPAN_S, size))
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for begin in range(0, size, CHUNK):
            at = starts[begin : begin + CHUNK]
            out.write("\n".join(WRITERS[switch](rng, len(at), at)) + "\n")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    target = Path(arguments[0])
    generate(
        target,
        int(arguments[1]) if len(arguments) > 1 else 1_000_000,
        int(arguments[2]) if len(arguments) > 2 else 7,
        arguments[3] if len(arguments) > 3 else "freeswitch",
    )
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")
