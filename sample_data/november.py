"""The month after: a quieter November of the same company, as the switch and the platform tell it.

Input is October as it was drawn and recorded, output November's export and Call records. The
switch's file was rotated when October was exported, so each of the two files holds calls of the
other month, and only both together prove either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from company import (
    MONTH_END,
    SNAPSHOT,
    USERS,
    WEEKDAY_HOURS,
    WEEKEND_HOURS,
    InternalCall,
    Month,
    TrueCall,
)
from exports import freeswitch
from planting import (
    Planter,
    Platform,
    faithful_record,
    instant_text,
    tells_6,
    tells_60,
    tells_nothing,
    tells_ring,
    up,
)

SEED = 20_261_130
NOVEMBER_END = datetime(2026, 12, 1, 0, 0, tzinfo=UTC)
RECORDS_FROM = MONTH_END - timedelta(hours=1)
CALLS_A_DAY = (29, 29, 29, 29, 29, 11, 5)  # Monday to Sunday
CRASH = datetime(2026, 11, 18, 14, 22, 31, 480_000, tzinfo=UTC)

RING_TIME, ROUND_60, ROUND_6, ZERO, MISSING, HOUR_OFF, UNEXPLAINED = 16, 14, 8, 7, 6, 3, 4
NEVER_ENDED, NEVER_ENDED_UNANSWERED, CRASHED = 5, 2, 4
ANSWERED_AS_MISSED, MISSED_AS_ANSWERED, LAST_LEG = 3, 3, 3
ONLY_CDR, ONLY_API, NEVER_STARTED = 6, 5, 2


class November(Month):
    """Draws November's calls."""

    def moment(self, day: int) -> datetime:
        """Return an instant of a day of November, by the company's hours; London's clock is UTC."""
        weekday = datetime(2026, 11, day, tzinfo=UTC).weekday()
        hour = self.dice.weighted(WEEKDAY_HOURS if weekday < 5 else WEEKEND_HOURS)
        return datetime(2026, 11, day, hour, tzinfo=UTC) + timedelta(milliseconds=self.dice.below(3_600_000))


def draw_november(october: list[TrueCall]) -> November:
    """Return November as it was: quiet days, both edges, and the odd shapes.

    `october` has the calls that November's records begin with: their customers are not busy twice.
    """
    month = November(SEED)
    dice = month.dice
    for call in october:
        month.keep_free(call)
    for day in range(1, 31):
        weekday = datetime(2026, 11, day, tzinfo=UTC).weekday()
        for _ in range(CALLS_A_DAY[weekday] + dice.between(-2, 2)):
            month.draw(month.moment(day))

    for minutes in (4, 11, 26):  # the first calls in the new file
        at = SNAPSHOT + timedelta(minutes=minutes, milliseconds=dice.below(60_000))
        month.draw(at, outcome="completed" if minutes != 11 else "no_answer", tags=["edge"])
    for minutes in (-21, -12, -6, -1, 2, 9, 16):
        at = NOVEMBER_END + timedelta(minutes=minutes, milliseconds=dice.below(60_000))
        month.draw(at, outcome="completed" if minutes % 2 == 0 else None, tags=["edge"])

    month.split_into_legs(26)
    month.hide_ids(18)
    month.draw_redials(on_days=(5, 19))
    for n in range(5):
        caller, called = dice.shuffled(USERS)[:2]
        ring_s, talk_s = dice.between(2, 9), dice.between(10, 200)
        month.internal.append(
            InternalCall(dice.uuid(), month.moment(3 + 4 * n), ring_s, talk_s, caller, called)
        )
    return month


class NovemberPlanter(Planter):
    """Makes November's records wrong, and takes over October's last ones as they are."""

    def __init__(self, month: November, october: Planter, ended: TrueCall) -> None:
        super().__init__(month)
        self._october = october
        self._ended = ended

    def _finished(self) -> Platform:
        self._take_over()
        return super()._finished()

    def _crash_calls(self) -> None:
        for _ in range(CRASHED):
            before_s = self.dice.between(60, 400)
            at = CRASH - timedelta(seconds=before_s)
            call = self.month.draw(at, outcome="completed", tags=["crash"])
            call.ring_ms = self.dice.between(3, 12) * 1000
            call.talk_ms = (before_s + self.dice.between(30, 600)) * 1000

    def _open_call(self) -> None:
        at = NOVEMBER_END - timedelta(minutes=17, milliseconds=620)
        call = self.month.draw(at, outcome="completed", tags=["open"])
        call.ring_ms, call.talk_ms = 5000, 4 * 3600 * 1000
        self.platform.open_call = call

    def _duration_errors(self) -> None:
        self._each(self._take(RING_TIME, tells_ring), "ring-time-included", lambda c: c.ring_s + c.talk_s)
        self._each(self._take(ROUND_60, tells_60), "rounded-up-60s", lambda c: up(c.talk_s, 60))
        self._each(self._take(ROUND_6, tells_6), "rounded-up-6s", lambda c: up(c.talk_s, 6))
        self._each(self._take(ZERO), "zero", lambda _: 0)
        self._each(self._take(MISSING), "missing", lambda _: None)
        self._each(self._take(UNEXPLAINED, tells_nothing), "unexplained", lambda c: c.talk_s - 17)
        for call in self._take(HOUR_OFF):
            late = call.ended_at + timedelta(hours=1, microseconds=self.dice.between(30_000, 800_000))
            wrong: dict[str, object] = {
                "ended_at": instant_text(late),
                "duration_seconds": call.talk_s + 3600,
            }
            self._plant(call, "off-by-3600s", wrong)

    def _lost_ends(self) -> None:
        nothing: dict[str, object] = {"ended_at": None, "duration_seconds": None}
        for call in self._take(NEVER_ENDED):
            self._plant(call, "never-ended", nothing | {"status": self.dice.pick(["initiated", "answered"])})
        for call in self._take(NEVER_ENDED_UNANSWERED, outcome="no_answer"):
            self._plant(call, "never-ended", nothing | {"status": self.dice.pick(["initiated", "ringing"])})
        for call in [c for c in self.month.calls if "crash" in c.tags]:
            call.straighten()
            cut = CRASH + timedelta(microseconds=self.dice.between(0, 90_000))
            talked = int((CRASH - call.answered_at).total_seconds())
            wrong: dict[str, object] = {"ended_at": instant_text(cut), "duration_seconds": talked}
            self._plant(call, "cut-by-crash", wrong, note="in progress when a worker crashed")

    def _wrong_statuses(self) -> None:
        for call in self._take(ANSWERED_AS_MISSED):
            self._plant(call, "wrong-status", {"status": "no_answer", "duration_seconds": 0})
        for call in self._take(MISSED_AS_ANSWERED, outcome="no_answer"):
            self._plant(call, "wrong-status", {"status": "completed", "duration_seconds": 0})

    def _odd_shapes(self) -> None:
        for call in [c for c in self.month.calls if c.shape == "transfer"][:LAST_LEG]:
            wrong: dict[str, object] = {"duration_seconds": call.talk_s - call.split_s}
            self._plant(call, "last-leg-only", wrong, note="a transferred call")

    def _special_times(self) -> None:
        edge = [c for c in self.month.calls if "edge" in c.tags and c.is_answered]
        first = next(c for c in edge if c.started_at > SNAPSHOT)
        last = max((c for c in edge if c.started_at < NOVEMBER_END), key=lambda c: c.started_at)
        after = next(c for c in edge if c.started_at > NOVEMBER_END)
        self._plant(first, "zero", {"duration_seconds": 0}, note="among the first calls of the new file")
        self._plant(last, "zero", {"duration_seconds": 0}, note="in the last minutes of the month")
        note = "outside the month: another month's business"
        self._plant(after, "zero", {"duration_seconds": 0}, patchable=False, note=note)

    def _one_sided(self) -> None:
        open_call = self.platform.open_call
        assert open_call is not None
        record = self.record_of[open_call.uuid]
        record |= {"status": "answered", "ended_at": None, "duration_seconds": None}
        self._note(str(record["id"]), "open", "still in progress when the export was made")
        self.platform.unrecorded = self._take(ONLY_CDR)
        for call in self.platform.unrecorded:
            self._note(
                "", "only-in-cdr", f"the platform has no record; {call.outcome}, switch id {call.uuid}"
            )
        before = len(self.month.calls)
        for n in range(ONLY_API + NEVER_STARTED):
            never_started = n >= ONLY_API
            call = self.month.draw(
                self.month.moment(2 + 4 * n), outcome="failed" if never_started or n % 2 else "completed"
            )
            record = faithful_record(call, self.dice)
            if never_started:
                record |= {"started_at": None, "ended_at": None, "duration_seconds": None}
            self.platform.records.append(record)
            if never_started:
                self._note(str(record["id"]), "never-started", "given up before it reached the switch")
            else:
                self._note(str(record["id"]), "only-in-api", "no export has it")
        del self.month.calls[before:]

    def _take_over(self) -> None:
        """Add October's last records as they are, with the call that was open then and has ended since."""
        since = instant_text(RECORDS_FROM)
        assert since is not None
        october = self._october.platform
        taken = [r for r in october.records if str(r["started_at"] or "") >= since]
        ended = self._october.record_of[self._ended.uuid]
        for record in taken:
            if record["id"] == ended["id"]:
                end = self._ended.ended_at + timedelta(microseconds=self.dice.between(30_000, 800_000))
                closed = {"ended_at": instant_text(end), "duration_seconds": self._ended.talk_s}
                self.platform.records.append(record | closed | {"status": "completed"})
            else:
                self.platform.records.append(record)
        ids = {r["id"] for r in taken}
        november = instant_text(MONTH_END)
        assert november is not None
        started = {r["id"]: str(r["started_at"]) for r in taken}
        for planted in october.planted:
            if planted.call_id not in ids or planted.kind == "open":
                continue
            is_ours = started[planted.call_id] >= november
            note = "its CDR is in October's file only" if is_ours else "outside the month: October's business"
            self.platform.planted.append(replace(planted, patchable=is_ours, note=note))


@dataclass
class Side:
    """What November adds to the sample."""

    month: November
    platform: Platform
    n_taken_over: int
    export: str


def november(october: Month, planter: Planter) -> Side:
    """Return November's calls, its Call records and the switch's file."""
    ended = planter.platform.open_call
    assert ended is not None
    month = draw_november([c for c in october.calls if c.started_at >= RECORDS_FROM - timedelta(hours=1)])
    own = NovemberPlanter(month, planter, ended)
    platform = own.run()
    exported = [c for c in month.calls if c is not platform.open_call]
    n_taken_over = sum(
        str(r["started_at"] or "") >= str(instant_text(RECORDS_FROM)) for r in planter.platform.records
    )
    return Side(month, platform, n_taken_over, freeswitch([ended, *exported], month.internal))
