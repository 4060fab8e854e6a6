"""Make a month of calls as a switch exports it and as the API records it, with planted errors.

Usage: python -m tests.benchmarks.generate OUT.csv [ROWS] [SEED] [freeswitch|asterisk]

The same seed and size give the same bytes. An export of N rows and N Call records are two
views of the same calls: 0.5 % of either are missing on the other side, 3 % of the records
have a wrong duration, 1 % a wrong status, 0.5 % lost their end, and 10 % have no
``call_uuid``. The export is in the order in which calls began, the records are in none.
Numbers are from ranges reserved for fiction (+1 NXX 555 01XX, +44 20 7946 0XXX); a quarter
of the calls is unanswered, a fifth has a B-leg, one in eight is internal.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from tests.benchmarks.names import ASTERISK, COMPARED, FREESWITCH, MEANT
from tests.benchmarks.texts import fixed_width, hex_digits, joined, numbered_ids, random_ids, stamps, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Month", "call_records", "draw", "fingerprint", "month_folder", "write_export"]

START: Final = 1_790_809_200  # 2026-09-30 23:00:00 UTC, when October begins in London
SUMMER_ENDS: Final = 1_792_890_000  # 2026-10-25 01:00:00 UTC
SPAN_S: Final = 31 * 86_400
CHUNK: Final = 500_000

AREAS: Final = (212, 312, 404, 415, 503, 617, 702, 808)
OUTSIDE: Final = [f"+442079460{line:03d}" for line in range(1000)] + [
    f"+1{area}55501{line:02d}" for area in AREAS for line in range(100)
]
N_LONDON: Final = 1000
USERS: Final = [str(user) for user in range(1000, 1400)]
CAUSES, STATUSES = tuple(MEANT), tuple(dict.fromkeys(MEANT.values()))
"""Each status has a cause at its place; behind them is another one of completed calls."""
DISPOSITIONS: Final = ("ANSWERED", "NO ANSWER", "BUSY", "NO ANSWER", "FAILED")

HEADS: Final = {"freeswitch": FREESWITCH.columns, "asterisk": ASTERISK.columns}


@dataclass(frozen=True, eq=False)
class Month:
    """What happened, one element per call in the order in which they began, and what either side has of it.

    Attributes
    ----------
    start, ring, talk
        Seconds: since 1970, until the answer, and from there on (0 where there is none).
    user, other, outside
        Places in `USERS` and `OUTSIDE`.
    inbound, internal, has_b_leg, has_key, in_cdr, in_api
        Flags; a call without a key has no ``call_uuid`` in the API.
    status, cause
        Places in `STATUSES` and `CAUSES`.
    uuid, bleg
        Ids of the switch.
    said_s, said_status, has_end
        What the API has of duration, status and end, errors included.
    order
        In which the API hands the calls out.
    channels
        Random digits, for exports that name channels.
    """

    start: NDArray[np.int64]
    ring: NDArray[np.int64]
    talk: NDArray[np.int64]
    user: NDArray[np.int64]
    other: NDArray[np.int64]
    outside: NDArray[np.int64]
    inbound: NDArray[np.bool_]
    internal: NDArray[np.bool_]
    has_b_leg: NDArray[np.bool_]
    has_key: NDArray[np.bool_]
    in_cdr: NDArray[np.bool_]
    in_api: NDArray[np.bool_]
    status: NDArray[np.int64]
    cause: NDArray[np.int64]
    uuid: pa.Array
    bleg: pa.Array
    said_s: NDArray[np.int64]
    said_status: NDArray[np.int64]
    has_end: NDArray[np.bool_]
    order: NDArray[np.int64]
    channels: NDArray[np.uint8]

    @property
    def end(self) -> NDArray[np.int64]:
        """When each call ended."""
        return self.start + self.ring + self.talk


def draw(size: int, seed: int = 7, *, wrong: float = 1.0, missing: float = 0.005) -> Month:
    """Draw a month whose export and API have `size` calls each.

    `wrong` multiplies the shares of wrong values, `missing` is what each side lacks of the other.
    """
    rng = np.random.default_rng(seed)
    lacking = round(size * missing)
    n = size + lacking
    start = np.sort(rng.integers(START, START + SPAN_S, n))
    answered = rng.random(n) < 0.75
    ring = rng.integers(2, 40, n)
    talk = np.where(answered, rng.exponential(150, n).astype(np.int64) + 1, 0)
    status = np.where(answered, 0, rng.choice([1, 1, 2, 3, 4], n))
    cause = np.where(answered & (rng.random(n) < 0.25), len(STATUSES), status)
    user = rng.integers(0, len(USERS), n)
    outside = np.where(
        rng.random(n) < 0.4, rng.integers(0, N_LONDON, n), rng.integers(N_LONDON, len(OUTSIDE), n)
    )
    alone = rng.permutation(n)
    in_cdr, in_api = np.ones(n, np.bool_), np.ones(n, np.bool_)
    in_cdr[alone[:lacking]] = False
    in_api[alone[lacking : 2 * lacking]] = False
    is_wrong = rng.random(n) < 0.01 * wrong
    return Month(
        start=start, ring=ring, talk=talk, user=user, other=(user + rng.integers(1, len(USERS), n)) % len(USERS),
        outside=outside, inbound=rng.random(n) < 0.5, internal=rng.random(n) < 0.125, has_b_leg=rng.random(n) < 0.2,
        has_key=rng.random(n) >= 0.1, in_cdr=in_cdr, in_api=in_api, status=status, cause=cause,
        uuid=random_ids(rng, n), bleg=random_ids(rng, n),
        said_s=np.where(rng.random(n) < 0.03 * wrong, _wrong_seconds(rng, ring, talk), talk),
        said_status=np.where(is_wrong, (status + rng.integers(1, len(STATUSES), n)) % len(STATUSES), status),
        has_end=rng.random(n) >= 0.005 * wrong, order=rng.permutation(n), channels=hex_digits(rng.bytes(8 * n), 16),
    )  # fmt: skip


def _wrong_seconds(
    rng: np.random.Generator, ring: NDArray[np.int64], talk: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return seconds that are wrong by two at least: half with ringing, the others rounded up or none."""
    kind = rng.integers(0, 4, len(talk))
    seconds = np.select([kind < 2, kind == 2], [talk + ring, (talk + 59) // 60 * 60], 0)
    return np.where(np.abs(seconds - talk) < 2, talk + 60, seconds)


def export_table(month: Month, rows: NDArray[np.int64], switch: str) -> pa.Table:
    """Return the columns of some rows of the export, as its file has them."""
    make = {"freeswitch": _freeswitch, "asterisk": _asterisk}[switch]
    return pa.table(make(month, rows), names=list(HEADS[switch]))


def _parties(month: Month, rows: NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
    """Return caller and called; users among themselves in internal calls."""
    numbers = [*OUTSIDE, *USERS]
    user = month.user[rows] + len(OUTSIDE)
    other = np.where(month.internal[rows], month.other[rows] + len(OUTSIDE), month.outside[rows])
    inbound = month.inbound[rows] & ~month.internal[rows]
    return words(numbers, np.where(inbound, other, user)), words(numbers, np.where(inbound, user, other))


def _local(seconds: NDArray[np.int64]) -> NDArray[np.int64]:
    return seconds + np.where(seconds < SUMMER_ENDS, 3600, 0)


def _freeswitch(month: Month, rows: NDArray[np.int64]) -> list[pa.Array]:
    caller, called = _parties(month, rows)
    start, ring, talk, user = month.start[rows], month.ring[rows], month.talk[rows], month.user[rows]
    inbound = month.inbound[rows] & ~month.internal[rows]
    codec = words(["PCMU"], np.zeros(len(rows), np.int64))
    return [
        joined("Caller ", words(USERS, user)), caller, called, words(["default", "public"], inbound.astype(np.int64)),
        stamps(_local(start)), stamps(_local(start + ring), talk > 0), stamps(_local(start + ring + talk)),
        _digits(ring + talk), _digits(talk), words(CAUSES, month.cause[rows]), month.uuid.take(pa.array(rows)),
        pc.if_else(pa.array(month.has_b_leg[rows]), month.bleg.take(pa.array(rows)), ""),
        words(["", *USERS], np.where(inbound, 0, user + 1)), codec, codec,
    ]  # fmt: skip


def _asterisk(month: Month, rows: NDArray[np.int64]) -> list[pa.Array]:
    caller, called = _parties(month, rows)
    start, ring, talk, user = month.start[rows], month.ring[rows], month.talk[rows], month.user[rows]
    inbound = (month.inbound[rows] & ~month.internal[rows]).astype(np.int64)
    near, far = fixed_width(month.channels[rows, :8]), fixed_width(month.channels[rows, 8:])
    sides = words(["trunk", *USERS], np.where(inbound, 0, user + 1))
    others = words(["trunk", *USERS], np.where(inbound, user + 1, 0))
    empty = words([""], np.zeros(len(rows), np.int64))
    answer = pc.if_else(pa.array(talk > 0), stamps(start + ring), pa.scalar(None, pa.large_string()))
    return [
        empty, caller, called, words(["from-internal", "from-trunk"], inbound),
        joined('"Caller ', words(USERS, user), '" <', caller, ">"), joined("PJSIP/", sides, "-", near),
        joined("PJSIP/", others, "-", far), joined("Dial", empty), joined("PJSIP/", called, "@", others, ",40"),
        stamps(start), answer, stamps(start + ring + talk), pa.array(ring + talk), pa.array(talk),
        words(DISPOSITIONS, month.status[rows]), joined("DOCUMENTATION", empty),
        joined(_digits(start), ".", _digits(2 * rows)), empty,
    ]  # fmt: skip


def _digits(numbers: NDArray[np.int64]) -> pa.Array:
    return pc.cast(pa.array(numbers), pa.large_string())


def _chunks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (rows[begin : begin + CHUNK] for begin in range(0, len(rows), CHUNK))


def write_export(path: Path, month: Month, switch: str = "freeswitch") -> None:
    """Write the export: text in quotes, numbers and what is missing without, and no header."""
    rows = np.flatnonzero(month.in_cdr)
    options = csv.WriteOptions(include_header=False, quoting_style="needed")
    schema = export_table(month, rows[:1], switch).schema
    with csv.CSVWriter(path, schema, write_options=options) as out:
        for part in _chunks(rows):
            out.write_table(export_table(month, part, switch))


def api_rows(month: Month) -> NDArray[np.int64]:
    """Return which calls the API has, in its order."""
    return month.order[month.in_api[month.order]]


def call_records(month: Month, url: str = "https://api.example") -> pa.Table:
    """Return the Call records of the API, in the columns of `sippet_reconcile.schema.CALLS`."""
    rows = api_rows(month)
    caller, called = _parties(month, rows)
    direction = words(["outbound", "inbound"], month.inbound[rows].astype(np.int64))
    zeros = np.zeros(len(rows), np.int64)
    at = pa.timestamp("us", "UTC")
    columns = {
        "id": numbered_ids(rows),
        "call_uuid": _masked(month.uuid.take(pa.array(rows)), month.has_key[rows]),
        "direction": _masked(direction, ~month.internal[rows]),
        "from_number": caller,
        "to_number": called,
        "sip_username": words(USERS, month.user[rows]),
        "status": words(STATUSES, month.said_status[rows]),
        "call_source": words(["sip"], zeros),
        "started_at": _instants(month.start[rows]).cast(at),
        "ended_at": _masked(_instants(month.end[rows]).cast(at), month.has_end[rows]),
        "duration_seconds": pa.array(month.said_s[rows]),
        "conversation_id": pa.nulls(len(rows), pa.large_string()),
        "api_url": words([url], zeros),
        "fetched_at": _instants(zeros + START + SPAN_S + 2 * 86_400).cast(at),
    }
    return pa.table(columns)


def _instants(seconds: NDArray[np.int64]) -> pa.Array:
    return pa.array(seconds * 1_000_000).cast(pa.timestamp("us"))


def _masked(values: pa.Array, shown: NDArray[np.bool_]) -> pa.Array:
    return pc.if_else(pa.array(shown), values, pa.scalar(None, values.type))


def narrow_export(month: Month) -> pa.Table:
    """Return what the switch knows under the API's names: the key and what is compared."""
    rows = np.flatnonzero(month.in_cdr)
    return pa.table(
        {
            "call_uuid": month.uuid.take(pa.array(rows)),
            "duration_seconds": pa.array(month.talk[rows]),
            "status": words(STATUSES, month.status[rows]),
            "ended_at": _instants(month.end[rows]).cast(pa.timestamp("us", "UTC")),
        }
    )


def _typed(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return a column of the export as a careful reader types it."""
    if name.endswith("_stamp"):
        return pc.if_else(pc.equal(column, ""), None, column).cast(pa.timestamp("s")).cast(pa.timestamp("us"))
    return column.cast(pa.int64()) if name in {"duration", "billsec"} else column


def fingerprint(ids: Any) -> str:
    """Return a short text that two sets of ids share only if they are the same."""
    return hashlib.sha256("".join(sorted(ids)).encode("ascii")).hexdigest()[:16]


def planted(month: Month) -> dict[str, Any]:
    """Return what a reader must sum up to, and what comparing the calls that share a key must find.

    ``differing`` is what holds, ``told`` what can be known from the export alone.
    """
    there, keyed = month.in_cdr, month.in_cdr & month.in_api & month.has_key
    differs = {
        "duration_seconds": keyed & (month.said_s != month.talk),
        "status": keyed & (month.said_status != month.status),
        "ended_at": keyed & ~month.has_end,
    }
    # An hour of the switch's clock came twice: of a call that lay within it, either time, nobody who reads that
    # clock knows when it ended; of one that began before the hour, or went on beyond it, its seconds tell.
    begun, ended = ((at - SUMMER_ENDS) // 3600 for at in (month.start, month.end))
    is_clear = (begun != ended) | ((begun != -1) & (begun != 0))
    told = {**differs, "ended_at": differs["ended_at"] & is_clear}
    return {
        "read": {
            "rows": int(there.sum()),
            "total_s": int((month.ring + month.talk)[there].sum()),
            "billable_s": int(month.talk[there].sum()),
            "answered": int((month.talk[there] > 0).sum()),
        },
        "differing": _counted(month, differs),
        "told": _counted(month, told),
        "keyed_pairs": int(keyed.sum()),
        "matched": int((month.in_cdr & month.in_api).sum()),
        "api_rows": int(month.in_api.sum()),
    }


def _counted(month: Month, differs: dict[str, NDArray[np.bool_]]) -> dict[str, Any]:
    """Return how many calls differ in each field, how many in any, and a fingerprint of their ids."""
    some = np.flatnonzero(np.logical_or.reduce(list(differs.values())))
    return {
        **{name: int(rows.sum()) for name, rows in differs.items()},
        "calls": len(some),
        "fingerprint": fingerprint(month.uuid.take(pa.array(some)).to_pylist()),
    }


def month_folder(cache: Path, size: int, seed: int = 7, switch: str = "freeswitch") -> Path:
    """Return a folder with a month, made where it is not there yet.

    Master.csv is the export; calls, narrow_cdr, narrow_call, wide_cdr and wide_call are parquet:
    all Call records, then the frames that are compared, without the records that have no key.
    """
    made_by = hashlib.sha256(
        b"".join(
            Path(__file__).with_name(name).read_bytes() for name in ("generate.py", "names.py", "texts.py")
        )
    )
    folder = cache / f"{switch}-{size}-{seed}-{made_by.hexdigest()[:12]}"
    if (folder / "planted.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    month = draw(size, seed)
    write_export(folder / "Master.csv", month, switch)
    calls = call_records(month)
    keyed = calls.filter(calls["call_uuid"].is_valid())
    narrow = narrow_export(month)
    export = export_table(month, np.flatnonzero(month.in_cdr), "freeswitch").drop_columns(["uuid"])
    wide = narrow
    for name in export.column_names:
        wide = wide.append_column(name, _typed(export[name], name))
    tables = {
        "calls": calls,
        "narrow_cdr": narrow,
        "narrow_call": keyed.select(["call_uuid", "id", *COMPARED]),
        "wide_cdr": wide,
        "wide_call": keyed,
    }
    for name, table in tables.items():
        parquet.write_table(table, folder / f"{name}.parquet")
    # Last: a folder without it was not finished.
    (folder / "planted.json").write_text(json.dumps(planted(month), indent=2), encoding="utf-8")
    return folder


if __name__ == "__main__":
    target, *others = sys.argv[1:]
    rows, seed, switch = (*others, *("1000000", "7", "freeswitch")[len(others) :])
    write_export(Path(target), draw(int(rows), int(seed)), switch)
    print(f"{target}: {Path(target).stat().st_size / 1e6:.1f} MB")
