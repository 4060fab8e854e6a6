"""Re-read the calls of one chunk, as far ahead as the pace needs, and say what is to be done about each.

Input are calls of the plan, output are decisions: send, settled, or not to be told yet.
The requests are made by the workers; between them the main thread only looks whether
they are through.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from sippet_reconcile.apply.decisions import Decision, decide_call, stays_altered
from sippet_reconcile.apply.sending import NOTHING_VISIBLE, Job
from sippet_reconcile.apply.stopping import End
from sippet_reconcile.apply.traffic import IDS_PER_READ
from sippet_reconcile.audit import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sippet_reconcile.apply.decisions import PlannedCall, Problem
    from sippet_reconcile.apply.planned import PlannedCalls
    from sippet_reconcile.apply.stopping import StopSign
    from sippet_reconcile.apply.traffic import Reading, Traffic
    from sippet_reconcile.apply.workers import Batch, Workers
    from sippet_reconcile.run import RunState

__all__ = ["Decided", "Preparation", "Reader"]

_T = TypeVar("_T")

_PROBES: Final = 4
_CONTROLS: Final = 3  # so that a run does not end because somebody deletes one of them
_MISSING: Final = Decision(Outcome.MISSING, "reread", "not_found", "the API no longer shows this call")


@dataclass
class Decided:
    """What is to be done about the calls of a chunk, each in exactly one of the three."""

    jobs: list[Job] = field(default_factory=list)
    settled: list[tuple[PlannedCall, Decision]] = field(default_factory=list)
    undecided: list[PlannedCall] = field(default_factory=list)
    """To be read again: read too long ago by now."""


class Reader:
    """What every preparation of a session needs, and the control calls that the first of them finds."""

    def __init__(
        self,
        problem: Problem,
        calls: PlannedCalls,
        state: RunState,
        *,
        traffic: Traffic,
        stop: StopSign,
        workers: Workers,
    ) -> None:
        self.problem = problem
        self.calls, self.state = calls, state
        self.traffic, self.stop, self.workers = traffic, stop, workers
        self.control_ids: tuple[str, ...] = ()
        """Calls seen at the start: while one of them is, what cannot be seen is missing."""

    def read(self, calls: Sequence[PlannedCall]) -> Reading | None:
        """Read calls; None where they cannot be read, and the run is to stop."""
        return self.read_ids([planned.call_id for planned in calls])

    def read_ids(self, ids: Sequence[str]) -> Reading | None:
        """Read calls by id; None where they cannot be read, and the run is to stop."""
        reading = self.traffic.read(ids)
        if reading.rows is None:
            note = f"calls could not be read: {reading.gave_up}"
            self.stop.stop(End.UNREADABLE, note, reading.exchange)
            return None
        return reading

    def find_control(self, unseen: Iterable[PlannedCall]) -> None:
        """Look among the plan's other calls for one that is visible; without any, nothing missing can be believed."""
        known = {planned.call_id for planned in unseen}
        others = (call_id for call_id in self.calls.ids if call_id not in known)
        for part in islice(_in_parts(others, IDS_PER_READ), _PROBES):
            reading = self.read_ids(part)
            if reading is None:
                return
            if reading.rows:
                self.control_ids = tuple(islice(reading.rows, _CONTROLS))
                return
        self.stop.stop(
            End.CONTROL_GONE,
            "none of the plan's calls can be seen with this token, so whether they are gone cannot be told",
        )

    def look_again(self, absent: Sequence[PlannedCall]) -> Reading | None:
        """Read calls that were not shown once more, beside the control calls; None where nothing missing is believed."""
        ids = [planned.call_id for planned in absent]
        reading = self.read_ids(list(dict.fromkeys([*self.control_ids, *ids])))
        if reading is None or reading.rows is None:
            return None
        if not any(control_id in reading.rows for control_id in self.control_ids):
            self.stop.stop(End.CONTROL_GONE, NOTHING_VISIBLE)
            return None
        return reading

    def decide(self, planned: PlannedCall, reading: Reading) -> Decision | Job | None:
        """Say what is to be done about a call: nothing more, send it, or (None) it was not shown."""
        observed = (reading.rows or {}).get(planned.call_id)
        if observed is None:
            return None
        known = self.state.calls.get(planned.call_id)
        ours = known is not None and known.may_be_ours
        decision = decide_call(
            planned, observed, may_be_ours=ours, problem=self.problem, decimals=reading.decimals
        )
        if known is not None and known.last is Outcome.ALTERED and decision.outcome is Outcome.DRIFTED:
            # While it holds what our writing left, it is no drift, and can be undone.
            decision = stays_altered(decision, known.observed, reading.decimals)
        return Job(planned, observed, reading.read_at, ours) if decision.outcome is None else decision


class Preparation:
    """One chunk being read; `is_ready` takes it as far as it can go without waiting."""

    def __init__(self, reader: Reader, places: Sequence[int]) -> None:
        self._reader = reader
        self.calls = reader.calls.take(places)
        self.places = {planned.call_id: place for planned, place in zip(self.calls, places, strict=True)}
        """Where in the plan each of its calls is."""
        self._parts = list(_in_parts(self.calls, IDS_PER_READ))
        self._readings: dict[int, Reading] = {}
        self._second: dict[str, Reading] = {}
        """By call id, the second look at those that the first did not show."""
        self._steps = self._walk()
        self._batch: Batch | None = next(self._steps, None)

    def is_ready(self) -> bool:
        """Go on with the next step where the requests of the last one are answered; True after the last."""
        while self._batch is not None:
            if not self._batch.is_done:
                return False
            if self._reader.stop.is_set:
                return False
            self._batch = next(self._steps, None)
        return True

    def decide(self) -> Decided:
        """Say what is to be done about each call, once it is ready."""
        decided = Decided()
        for place, part in enumerate(self._parts):
            for planned in part:
                second = self._second.get(planned.call_id)
                reading = second or self._readings[place]
                found = self._reader.decide(planned, reading)
                if isinstance(found, Job) and self._reader.traffic.is_fresh(reading.read_at):
                    decided.jobs.append(found)
                elif isinstance(found, Decision):
                    decided.settled.append((planned, found))
                elif found is None and second is not None:
                    decided.settled.append((planned, _MISSING))
                else:
                    decided.undecided.append(planned)
        return decided

    def _walk(self) -> Iterator[Batch]:
        """Hand in one step's requests after the other's answers."""
        reader = self._reader
        yield self._submit(partial(self._read, place) for place in range(len(self._parts)))
        visible = [
            call_id for place in sorted(self._readings) for call_id in self._readings[place].rows or {}
        ]
        if not reader.control_ids:
            reader.control_ids = tuple(visible[:_CONTROLS])
        if not reader.control_ids:
            yield self._submit([partial(reader.find_control, self.calls)])
        seen = set(visible)
        absent = [planned for planned in self.calls if planned.call_id not in seen]
        if absent:
            parts = _in_parts(absent, IDS_PER_READ - _CONTROLS)
            yield self._submit(partial(self._look_again, part) for part in parts)

    def _submit(self, works: Iterable[Callable[[], None]]) -> Batch:
        return self._reader.workers.submit(works, is_urgent=True)

    def _read(self, place: int) -> None:
        reading = self._reader.read(self._parts[place])
        if reading is not None:
            self._readings[place] = reading

    def _look_again(self, absent: Sequence[PlannedCall]) -> None:
        reading = self._reader.look_again(absent)
        if reading is not None:
            self._second.update(dict.fromkeys((planned.call_id for planned in absent), reading))


def _in_parts(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield items so many at a time."""
    source = iter(items)
    while part := list(islice(source, size)):
        yield part
