"""The calls a sandbox holds: selected, sorted, changed and handed out as a frame.

Input: values of calls (see `loading`); output: `Record` objects in the order asked for,
their JSON, or a frame with the CALLS columns. Rows keep a physical order, in which a
changed row moves to the end, as in the database behind the real server. All methods
may be called from several threads.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile.errors import InputError
from sippet_reconcile.sandbox.instants import format_instant
from sippet_reconcile.schema import CALL_ATTRIBUTES, CALLS, Calls, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sippet_reconcile.sandbox.filters import Where

__all__ = ["CallStore", "Record"]

_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ATTRIBUTES: Final = tuple(sorted(CALL_ATTRIBUTES))
_INSTANTS: Final = ("started_at", "ended_at")
_RELATIONSHIPS: Final = '{"conversation":{"links":{},"meta":{}},"organisation":{"links":{},"meta":{}}}'
_SECOND: Final = 1_000_000


class Record:
    """One call: its values by field, where it lies in the table, and its JSON once asked for.

    Instants are whole microseconds since 1970; missing values are None.
    """

    __slots__ = ("encoded", "held", "position")

    def __init__(self, held: dict[str, Any], position: int) -> None:
        self.held = held
        self.position = position
        self.encoded: bytes | None = None


class CallStore:
    """Calls in the order of the table, with an index on ``started_at, id``.

    Parameters
    ----------
    rows
        The values of each call: ``id`` and every attribute of a call.
    time_precision
        Decimals of seconds that the table keeps, 6 or 0.
    omit_nil
        Whether JSON leaves attributes without a value out.
    """

    def __init__(
        self, rows: Iterable[dict[str, Any]] = (), *, time_precision: int = 6, omit_nil: bool = False
    ) -> None:
        self._lock = threading.RLock()
        self._time_precision = time_precision
        self._omit_nil = omit_nil
        self._records: dict[str, Record] = {}
        self._next_position = 0
        self._started: list[Record] | None = None
        self._started_micros: list[int] = []
        self._unstarted: list[Record] = []
        for row in rows:
            self.add(row)

    def __len__(self) -> int:
        return len(self._records)

    def add(self, values: dict[str, Any]) -> None:
        """Append one call.

        Raises
        ------
        InputError
            If its id is there already.
        """
        with self._lock:
            if values["id"] in self._records:
                msg = f"two calls have the id {values['id']}; the API's ids are unique, so drop one of them"
                raise InputError(msg)
            self._records[values["id"]] = Record(self.as_kept(values), self._take_position())
            self._started = None

    def change(self, call_id: str, values: Mapping[str, Any]) -> Record | None:
        """Write values to a call and return it; None where there is no such call.

        A row whose values really change moves to the end of the table.
        """
        with self._lock:
            record = self._records.get(call_id)
            if record is None:
                return None
            kept = self.as_kept(values)
            if any(record.held[name] != value for name, value in kept.items()):
                if kept.get("started_at", record.held["started_at"]) != record.held["started_at"]:
                    self._started = None
                record.held = {**record.held, **kept}
                record.encoded = None
                record.position = self._take_position()
                self._records[call_id] = self._records.pop(call_id)
            return record

    def get(self, call_id: str) -> Record | None:
        """Return one call; None where there is no such call."""
        with self._lock:
            return self._records.get(call_id)

    def other(self, ids: Collection[str]) -> Record | None:
        """Return the first call that is none of these; None where there is no other."""
        with self._lock:
            return next((record for key, record in self._records.items() if key not in ids), None)

    def unknown_id(self) -> str:
        """Return an id that no call has, always the same one as long as that is so."""
        with self._lock:
            numbered = (f"ffffffff-ffff-4fff-8fff-{number:012x}" for number in count())
            return next(call_id for call_id in numbered if call_id not in self._records)

    def remove(self, call_id: str) -> bool:
        """Delete a call; False where there is no such call."""
        with self._lock:
            self._started = None
            return self._records.pop(call_id, None) is not None

    def words(self, name: str) -> set[str]:
        """Return the distinct values of one attribute, missing ones aside."""
        with self._lock:
            return {record.held[name] for record in self._records.values()} - {None}

    def select(self, where: Where, sort: Sequence[tuple[str, bool]]) -> list[Record]:
        """Return the calls a filter selects, sorted as asked, else in the order of the table.

        Missing values sort last ascending and first descending.
        """
        with self._lock:
            candidates, by_start = self._candidates(where)
            if where.tests:
                candidates = [record for record in candidates if where.accepts(record.held)]
            if by_start and list(sort) == [("started_at", False), ("id", False)]:
                return candidates
            selected = sorted(candidates, key=lambda record: record.position)
            for name, is_descending in reversed(sort):
                selected.sort(key=partial(_sort_key, name), reverse=is_descending)
            return selected

    def _candidates(self, where: Where) -> tuple[list[Record], bool]:
        """Return the calls within the bounds of a filter, and whether they are in order of start."""
        if where.ids is not None:
            found = [self._records[call_id] for call_id in where.ids if call_id in self._records]
            return [record for record in found if _is_within(record, where)], False
        self._index()
        started = self._started or []
        if where.is_unstarted:
            has_bounds = where.low is not None or where.high is not None
            return ([] if has_bounds else list(self._unstarted)), True
        if where.low is None and where.high is None:
            return [*started, *self._unstarted], True
        micros = self._started_micros
        low = 0 if where.low is None else bisect_left(micros, where.low)
        high = len(micros) if where.high is None else bisect_left(micros, where.high)
        return started[low:high], True

    def _index(self) -> None:
        if self._started is not None:
            return
        ordered = sorted(self._records.values(), key=lambda record: str(record.held["id"]))
        self._unstarted = [record for record in ordered if record.held["started_at"] is None]
        self._started = [record for record in ordered if record.held["started_at"] is not None]
        self._started.sort(key=lambda record: int(record.held["started_at"]))
        self._started_micros = [record.held["started_at"] for record in self._started]

    def encode(
        self,
        records: Iterable[Record],
        fields: frozenset[str] | None = None,
        *,
        other_precision: bool = False,
        other_nil: bool = False,
    ) -> list[bytes]:
        """Return each call as a JSON:API resource object, with all or some of its attributes.

        With the other precision, or the other way with missing values, it is as a node
        writes it whose settings differ from those of this store.
        """
        with self._lock:
            if fields is not None or other_precision or other_nil:
                precision = 6 - self._time_precision if other_precision else self._time_precision
                omit_nil = self._omit_nil is not other_nil
                return [_encode(record.held, fields, precision, omit_nil=omit_nil) for record in records]
            encoded = []
            for record in records:
                if record.encoded is None:
                    record.encoded = _encode(record.held, None, self._time_precision, omit_nil=self._omit_nil)
                encoded.append(record.encoded)
            return encoded

    def frame(self, api_url: str | None) -> Calls:
        """Return the calls, in the order of the table, with the CALLS columns."""
        with self._lock:
            rows = [record.held for record in self._records.values()]
            columns: dict[str, Any] = {}
            for column in CALLS.columns[:-2]:
                held = [row[column.name] for row in rows]
                columns[column.name] = _column(held, column.kind)
        frame = pd.DataFrame(columns)
        frame["api_url"] = pd.Series(api_url, index=frame.index, dtype="str")
        frame["fetched_at"] = pd.Series(pd.Timestamp.now("UTC"), index=frame.index, dtype=Kind.INSTANT.value)
        return Calls(frame)

    def as_kept(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values at the precision the table keeps."""
        kept = dict(values)
        if not self._time_precision:
            for name in _INSTANTS:
                if kept.get(name) is not None:
                    kept[name] -= kept[name] % _SECOND
        return kept

    def _take_position(self) -> int:
        self._next_position += 1
        return self._next_position


def _encode(
    values: Mapping[str, Any], fields: frozenset[str] | None, time_precision: int, *, omit_nil: bool
) -> bytes:
    shown = {name: values[name] for name in _ATTRIBUTES if fields is None or name in fields}
    for name in _INSTANTS:
        if shown.get(name) is not None:
            shown[name] = format_instant(shown[name], time_precision)
    if fields is not None and not fields.isdisjoint(("conversation", "organisation")):
        asked: dict[str, Any] = {name: None for name in ("conversation", "organisation") if name in fields}
        shown = dict(sorted({**shown, **asked}.items()))
    if omit_nil:
        shown = {name: value for name, value in shown.items() if value is not None}
    return (
        f'{{"attributes":{_ENCODE(shown)},"id":"{values["id"]}","links":{{}},"meta":{{}},'
        f'"relationships":{_RELATIONSHIPS},"type":"Call"}}'
    ).encode()


def _column(held: list[Any], kind: Kind) -> pd.Series[Any]:
    if kind is not Kind.INSTANT:
        return pd.Series(held, dtype=kind.value)
    is_missing = [value is None for value in held]
    numbers = pd.Series([0 if value is None else value for value in held], dtype="int64")
    return (
        pd.to_datetime(numbers, unit="us", utc=True)
        .dt.as_unit("us")
        .mask(pd.Series(is_missing, dtype="bool"))
    )


def _sort_key(name: str, record: Record) -> tuple[bool, Any]:
    """Return a key that puts missing values after all others; descending turns it round."""
    value = record.held[name]
    return (value is None, 0 if value is None else value)


def _is_within(record: Record, where: Where) -> bool:
    micros = record.held["started_at"]
    if where.is_unstarted and micros is not None:
        return False
    if where.low is None and where.high is None:
        return True
    return (
        micros is not None
        and not where.is_unstarted
        and (where.low is None or micros >= where.low)
        and (where.high is None or micros < where.high)
    )
