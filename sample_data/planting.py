"""What the platform recorded of the true calls, and where it was made wrong on purpose.

Input is the true month, output the Call records as the API would hand them out, and
one row for every planted error, with the value that every export proves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from company import CLOCKS_BACK, MONTH_END, MONTH_START, Dice, Month, TrueCall


@dataclass(frozen=True)
class Errors:
    """How many calls of a month are made wrong in each way."""

    ring_time: int
    round_60: int
    round_6: int
    zero: int
    missing: int
    hour_off: int
    unexplained: int
    never_ended: int
    never_ended_unanswered: int
    crashes: tuple[datetime, ...]
    """When the worker of each call that was cut crashed."""
    answered_as_missed: int
    missed_as_answered: int
    last_leg: int
    only_cdr: int
    never_started: int
    end_lost: int = 0
    missed_with_seconds: int = 0
    busy_as_failed: int = 0
    canceled_as_missed: int = 0
    summed_legs: int = 0
    ended_before_start: int = 0
    late_start: int = 0
    late_start_no_duration: int = 0


_CRASHES = (
    datetime(2026, 10, 14, 8, 41, 17, 250_000, tzinfo=UTC),
    datetime(2026, 10, 22, 13, 6, 52, 700_000, tzinfo=UTC),
)

OCTOBER = Errors(
    ring_time=60,
    round_60=50,
    round_6=24,
    zero=20,
    missing=18,
    hour_off=8,
    unexplained=12,
    never_ended=16,
    never_ended_unanswered=6,
    crashes=(_CRASHES[1],) * 6 + (_CRASHES[0],) * 8,
    answered_as_missed=7,
    missed_as_answered=8,
    last_leg=6,
    only_cdr=20,
    never_started=8,
    end_lost=8,
    missed_with_seconds=4,
    busy_as_failed=4,
    canceled_as_missed=5,
    summed_legs=5,
    ended_before_start=2,
    late_start=4,
    late_start_no_duration=2,
)
STUCK_WITHOUT_CDR = 3


@dataclass
class Planted:
    """One wrong field of one Call record, or one call that cannot be compared."""

    call_id: str
    field: str
    kind: str
    value_call: str
    value_true: str
    patchable: bool
    note: str


@dataclass
class Platform:
    """The Call records, what is wrong with them, and the true calls they have no record of."""

    records: list[dict[str, object]] = field(default_factory=list)
    planted: list[Planted] = field(default_factory=list)
    unrecorded: list[TrueCall] = field(default_factory=list)
    open_call: TrueCall | None = None


def instant_text(at: datetime | None) -> str | None:
    """Write an instant as the API does: UTC, six decimals, Z."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def second_text(at: datetime) -> str:
    """Write an instant as a correction is sent: UTC, the whole second that the exports print."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def faithful_record(call: TrueCall, dice: Dice) -> dict[str, object]:
    """Return the Call record of a platform that missed nothing and is a fraction of a second late."""
    started = call.started_at + timedelta(microseconds=dice.between(50_000, 700_000))
    ended = call.ended_at + timedelta(microseconds=dice.between(30_000, 800_000))
    unanswered_s = None if dice.chance(0.4) else 0
    return {
        "id": dice.uuid(),
        "call_uuid": call.uuid if call.shares_id else dice.uuid(),
        "direction": "inbound" if call.inbound else "outbound",
        "from_number": call.from_number,
        "to_number": call.to_number,
        "sip_username": call.user,
        "status": call.outcome,
        "call_source": "sip" if dice.chance(0.9) else "api",
        "started_at": instant_text(started),
        "ended_at": instant_text(ended),
        "duration_seconds": call.talk_s if call.is_answered else unanswered_s,
        "conversation_id": dice.uuid() if dice.chance(0.25) else None,
    }


def up(seconds: int, step: int) -> int:
    """Round seconds up to whole steps."""
    return -(-seconds // step) * step


def tells_ring(c: TrueCall) -> bool:
    """Whether the ringing of a call explains its error, and no rounding does."""
    return c.ring_s >= 3 and (c.ring_s + c.talk_s) % 6 != 0


def tells_60(c: TrueCall) -> bool:
    """Whether rounding up to minutes explains the error of a call, and its ringing does not."""
    return up(c.talk_s, 60) - c.talk_s > 2 and abs(up(c.talk_s, 60) - c.talk_s - c.ring_s) > 1


def tells_6(c: TrueCall) -> bool:
    """Whether rounding up to six seconds explains the error of a call, and nothing else does."""
    rounded = up(c.talk_s, 6)
    return rounded - c.talk_s > 1 and rounded % 30 != 0 and abs(rounded - c.talk_s - c.ring_s) > 1


def tells_nothing(c: TrueCall) -> bool:
    """Whether 17 seconds too few are explained by nothing."""
    wrong = c.talk_s - 17
    return c.talk_s > 60 and wrong % 6 != 0 and abs(c.ring_s - 17) > 2


class Planter:
    """Makes records wrong, each call once, and writes down what was true."""

    def __init__(self, month: Month, errors: Errors = OCTOBER) -> None:
        self.month = month
        self.errors = errors
        self.dice = month.dice
        self.platform = Platform()
        self.record_of: dict[str, dict[str, object]] = {}

    def run(self) -> Platform:
        """Plant everything and return the platform's side."""
        self._crash_calls()
        self._open_call()
        for call in self.month.calls:
            call_record = faithful_record(call, self.dice)
            self.record_of[call.uuid] = call_record
        self._duration_errors()
        self._lost_ends()
        self._wrong_statuses()
        self._odd_shapes()
        self._special_times()
        self._redials()
        self._one_sided()
        return self._finished()

    def _finished(self) -> Platform:
        """Put the records in order, without those that the platform has not."""
        unrecorded = {c.uuid for c in self.platform.unrecorded}
        records = [r for uuid, r in self.record_of.items() if uuid not in unrecorded]
        records += self.platform.records
        records.sort(key=lambda r: (r["started_at"] is None, r["started_at"] or "", r["id"]))
        self.platform.records = records
        return self.platform

    def _take(
        self, n: int, fits: Callable[[TrueCall], bool] = lambda _: True, *, outcome: str = "completed"
    ) -> list[TrueCall]:
        """Set aside n ordinary calls of an outcome for one kind of error."""
        taken: list[TrueCall] = []
        if n == 0:
            return taken
        ordinary = (c for c in self.month.calls if c.outcome == outcome and c.tags <= {"no-shared-id"})
        for call in self.dice.shuffled(list(ordinary)):
            if len(taken) == n:
                break
            if call.is_answered:
                call.straighten()
            if fits(call):
                call.tags.add("planted")
                taken.append(call)
        assert len(taken) == n, "the month is too small for what shall be planted"
        return taken

    def _plant(
        self, call: TrueCall, kind: str, values: dict[str, object], *, patchable: bool = True, note: str = ""
    ) -> None:
        """Write wrong values into a record; a field is only listed where the value is really wrong."""
        record = self.record_of[call.uuid]
        if call.is_answered:
            call.straighten()
            record["duration_seconds"] = call.talk_s
            late = timedelta(microseconds=self.dice.between(30_000, 800_000))
            record["ended_at"] = instant_text(call.ended_at + late)
        truth = {
            "status": call.outcome,
            "duration_seconds": str(call.talk_s),
            "ended_at": second_text(call.ended_at),
            "started_at": second_text(call.started_at),
        }
        call.tags.add("planted")
        for name, value in values.items():
            record[name] = value
            harmless = name == "duration_seconds" and value in {None, 0} and not call.is_answered
            if not harmless:
                shown = "" if value is None else str(value)
                can = patchable and name != "started_at"
                self.platform.planted.append(
                    Planted(str(record["id"]), name, kind, shown, truth[name], can, note)
                )

    def _each(self, calls: Iterable[TrueCall], kind: str, seconds: Callable[[TrueCall], int | None]) -> None:
        for call in calls:
            self._plant(call, kind, {"duration_seconds": seconds(call)})

    def _duration_errors(self) -> None:
        self._each(
            self._take(self.errors.ring_time, tells_ring), "ring-time-included", lambda c: c.ring_s + c.talk_s
        )
        self._each(self._take(self.errors.round_60, tells_60), "rounded-up-60s", lambda c: up(c.talk_s, 60))
        self._each(self._take(self.errors.round_6, tells_6), "rounded-up-6s", lambda c: up(c.talk_s, 6))
        self._each(self._take(self.errors.zero), "zero", lambda _: 0)
        self._each(self._take(self.errors.missing), "missing", lambda _: None)
        self._each(self._take(self.errors.unexplained, tells_nothing), "unexplained", lambda c: c.talk_s - 17)
        for call in self._take(self.errors.hour_off):
            late = call.ended_at + timedelta(hours=1, microseconds=self.dice.between(30_000, 800_000))
            wrong = {"ended_at": instant_text(late), "duration_seconds": call.talk_s + 3600}
            self._plant(call, "off-by-3600s", wrong)

    def _crash_calls(self) -> None:
        """Add the calls that were in progress when a worker crashed."""
        for crash in self.errors.crashes:
            before_s = self.dice.between(60, 400)
            call = self.month.draw(crash - timedelta(seconds=before_s), outcome="completed", tags=["crash"])
            call.ring_ms = self.dice.between(3, 12) * 1000
            call.talk_ms = (before_s + self.dice.between(30, 600)) * 1000

    def _lost_ends(self) -> None:
        nothing: dict[str, object] = {"ended_at": None, "duration_seconds": None}
        for call in self._take(self.errors.never_ended):
            self._plant(call, "never-ended", nothing | {"status": self.dice.pick(["initiated", "answered"])})
        for call in self._take(self.errors.never_ended_unanswered, outcome="no_answer"):
            self._plant(call, "never-ended", nothing | {"status": self.dice.pick(["initiated", "ringing"])})
        for call in [c for c in self.month.calls if "crash" in c.tags]:
            call.straighten()
            crash = min(self.errors.crashes, key=lambda at, c=call: abs(at - c.started_at))
            cut = crash + timedelta(microseconds=self.dice.between(0, 90_000))
            talked = int((crash - call.answered_at).total_seconds())
            wrong = {"ended_at": instant_text(cut), "duration_seconds": talked}
            self._plant(call, "cut-by-crash", wrong, note="in progress when a worker crashed")
        for call in self._take(self.errors.end_lost):
            self._plant(call, "cut-by-crash", nothing, note="the hang-up event was lost")

    def _wrong_statuses(self) -> None:
        for call in self._take(self.errors.answered_as_missed):
            self._plant(call, "wrong-status", {"status": "no_answer", "duration_seconds": 0})
        for call in self._take(self.errors.missed_as_answered, outcome="no_answer"):
            self._plant(call, "wrong-status", {"status": "completed", "duration_seconds": 0})
        for call in self._take(self.errors.missed_with_seconds, lambda c: c.ring_s > 4, outcome="no_answer"):
            call.ring_ms = call.ring_s * 1000
            self._plant(call, "wrong-status", {"status": "completed", "duration_seconds": call.ring_s})
        for call in self._take(self.errors.busy_as_failed, outcome="busy"):
            self._plant(call, "wrong-status", {"status": "failed"})
        for call in self._take(self.errors.canceled_as_missed, outcome="canceled"):
            self._plant(call, "wrong-status", {"status": "no_answer"})

    def _odd_shapes(self) -> None:
        transfers = [c for c in self.month.calls if c.shape == "transfer"]
        for n, call in enumerate(transfers[: self.errors.last_leg + self.errors.summed_legs]):
            if n < self.errors.last_leg:
                wrong, kind = call.talk_s - call.split_s, "last-leg-only"
            else:
                wrong, kind = 2 * call.talk_s, "summed-legs"
            self._plant(call, kind, {"duration_seconds": wrong}, note="a transferred call")
        for call in self._take(self.errors.ended_before_start):
            early = call.started_at - timedelta(seconds=7, microseconds=350_000)
            self._plant(call, "ended-before-start", {"ended_at": instant_text(early)})
        for call in self._take(self.errors.late_start, lambda c: c.ring_s >= 12):
            late = call.started_at + timedelta(seconds=call.ring_s - 2, microseconds=120_000)
            note = "started_at cannot be patched"
            self._plant(call, "late-start", {"started_at": instant_text(late)}, note=note)
        for call in self._take(self.errors.late_start_no_duration, lambda c: 4 <= c.ring_s <= 20):
            late = call.started_at + timedelta(seconds=call.ring_s + 25, microseconds=120_000)
            note = "left out: with this started_at the corrected record would contradict itself"
            wrong = {"started_at": instant_text(late), "duration_seconds": None}
            self._plant(call, "late-start", wrong, patchable=False, note=note)

    def _special_times(self) -> None:
        night = [c for c in self.month.calls if "clocks-back" in c.tags and c.is_answered]
        repeated = [c for c in night if abs(c.started_at - CLOCKS_BACK) < timedelta(minutes=50)]
        for call in repeated[:2]:
            call.straighten()
            seconds = call.ring_s + call.talk_s
            note = "in the hour that the clocks repeat"
            self._plant(call, "ring-time-included", {"duration_seconds": seconds}, note=note)
        note = "in the hour that the clocks repeat"
        self._plant(repeated[2], "missing", {"duration_seconds": None}, note=note)
        self._at_edges(MONTH_START, MONTH_END, "in the first minutes of the month")

    def _at_edges(self, begin: datetime, end: datetime, note: str) -> None:
        """Lose the seconds of the first and the last call of the month, and of the first one after it."""
        edge = [c for c in self.month.calls if "edge" in c.tags and c.is_answered]
        first = next(c for c in edge if c.started_at > begin)
        last = max((c for c in edge if c.started_at < end), key=lambda c: c.started_at)
        after = next(c for c in edge if c.started_at > end)
        self._plant(first, "zero", {"duration_seconds": 0}, note=note)
        self._plant(last, "zero", {"duration_seconds": 0}, note="in the last minutes of the month")
        note = "outside the month: another month's business"
        self._plant(after, "zero", {"duration_seconds": 0}, patchable=False, note=note)

    def _redials(self) -> None:
        """Give both calls of a redial the same start, in the middle, so that nothing tells which is which."""
        redials = [c for c in self.month.calls if "redial" in c.tags]
        for second in [c for c in redials if c.is_answered]:
            first = next(c for c in redials if c.customer == second.customer and c is not second)
            middle = first.started_at + (second.started_at - first.started_at) / 2
            note = "ambiguous: two calls of the same numbers within seconds and no shared id"
            seconds = second.ring_s + second.talk_s
            self._plant(
                second, "ring-time-included", {"duration_seconds": seconds}, patchable=False, note=note
            )
            for call in (first, second):
                self.record_of[call.uuid]["started_at"] = instant_text(middle)

    def _open_call(self) -> None:
        """Add one call that was still in progress when the exports were made."""
        call = self.month.draw(
            MONTH_END - timedelta(minutes=26, milliseconds=480), outcome="completed", tags=["open"]
        )
        call.ring_ms, call.talk_ms = 4000, 5 * 3600 * 1000
        self.platform.open_call = call

    def _one_sided(self) -> None:
        self._leave_open("still in progress when the exports were made")
        half = self.errors.only_cdr * 3 // 5
        self._unrecord(self._take(half) + self._take(self.errors.only_cdr - half, outcome="no_answer"))

        before = len(self.month.calls)
        outcomes = ["completed"] * 6 + ["no_answer"] * 6 + ["failed"] * 6 + ["initiated"] * STUCK_WITHOUT_CDR
        for outcome in outcomes:
            call = self.month.draw(self.month.moment(self.dice.between(1, 30)), outcome=outcome)
            record = faithful_record(call, self.dice)
            if outcome == "initiated":
                record |= {"ended_at": None, "duration_seconds": None}
            self.platform.records.append(record)
            self._note(str(record["id"]), "only-in-api", "no export has it")
        for n in range(self.errors.never_started):
            call = self.month.draw(self.month.moment(3 + 3 * n), outcome="failed")
            record = faithful_record(call, self.dice)
            record |= {"started_at": None, "ended_at": None, "duration_seconds": None}
            record["status"] = ("failed", "canceled", "initiated")[n % 3]
            self.platform.records.append(record)
            self._note(str(record["id"]), "never-started", "given up before it reached the switch")
        del self.month.calls[before:]

    def _leave_open(self, note: str) -> None:
        """Let the call that is in progress be so in the platform's record."""
        open_call = self.platform.open_call
        assert open_call is not None
        record = self.record_of[open_call.uuid]
        record |= {"status": "answered", "ended_at": None, "duration_seconds": None}
        self._note(str(record["id"]), "open", note)

    def _unrecord(self, calls: list[TrueCall]) -> None:
        """Take the records of some calls away."""
        self.platform.unrecorded = calls
        for call in calls:
            self._note(
                "", "only-in-cdr", f"the platform has no record; {call.outcome}, switch id {call.uuid}"
            )

    def _note(self, call_id: str, kind: str, note: str) -> None:
        self.platform.planted.append(Planted(call_id, "", kind, "", "", patchable=False, note=note))
