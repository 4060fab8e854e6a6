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
from planting import Errors, Planter, Platform, faithful_record, instant_text

SEED = 20_261_130
NOVEMBER_END = datetime(2026, 12, 1, 0, 0, tzinfo=UTC)
RECORDS_FROM = MONTH_END - timedelta(hours=1)
CALLS_A_DAY = (29, 29, 29, 29, 29, 11, 5)  # Monday to Sunday
CRASH = datetime(2026, 11, 18, 14, 22, 31, 480_000, tzinfo=UTC)

ERRORS = Errors(
    ring_time=16,
    round_60=14,
    round_6=8,
    zero=7,
    missing=6,
    hour_off=3,
    unexplained=4,
    never_ended=5,
    never_ended_unanswered=2,
    crashes=(CRASH,) * 4,
    answered_as_missed=3,
    missed_as_answered=3,
    last_leg=3,
    only_cdr=6,
    never_started=2,
)
ONLY_API = 5


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
        super().__init__(month, ERRORS)
        self._october = october
        self._ended = ended

    def _finished(self) -> Platform:
        self._take_over()
        return super()._finished()

    def _open_call(self) -> None:
        at = NOVEMBER_END - timedelta(minutes=17, milliseconds=620)
        call = self.month.draw(at, outcome="completed", tags=["open"])
        call.ring_ms, call.talk_ms = 5000, 4 * 3600 * 1000
        self.platform.open_call = call

    def _special_times(self) -> None:
        self._at_edges(SNAPSHOT, NOVEMBER_END, "among the first calls of the new file")

    def _one_sided(self) -> None:
        self._leave_open("still in progress when the export was made")
        self._unrecord(self._take(self.errors.only_cdr))
        before = len(self.month.calls)
        for n in range(ONLY_API + self.errors.never_started):
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
