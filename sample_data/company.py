"""What really happened: one month of calls of an invented heating company.

Every export and every Call record is derived from this one truth. Nothing here is
real: names are invented, and numbers come only from ranges that the regulators keep
free for fiction. Only `random.Random.random` is used, because its sequence is the
one that Python promises never to change.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

MONTH_START = datetime(2026, 9, 30, 23, 0, tzinfo=UTC)  # midnight in London, summer time
MONTH_END = datetime(2026, 11, 1, 0, 0, tzinfo=UTC)  # midnight in London, winter time
CLOCKS_BACK = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
SNAPSHOT = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)  # when the exports were made

LINES = tuple(f"+4420794605{n:02d}" for n in range(6))
USERS = tuple(str(n) for n in range(1001, 1013))
FIRST_NAMES = (
    "Aoife", "Bartek", "Chidi", "Dilys", "Eleri", "Ffion", "Gwen", "Hamish", "Imogen", "Jörg", "Kofi", "Leila",
    "Małgorzata", "Niamh", "Oluwaseun", "Priya", "Quentin", "Rhiannon", "Søren", "Tamsin", "Una", "Viktória", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Ashdown", "Brightwell", "Castleford", "Dunmere", "Elderfield", "Fenwick-Lowe", "Greystoke", "Hollowbrook",
    "Inglethorpe", "Kettlewell", "Lambourne", "Moorhouse", "Nettlecombe", "O'Hanlon", "Pemberly", "Quillfeather",
    "Rookwood", "Silverdale", "Thistlewood", "Underhill", "Wintersgill", "Yarborough",
)  # fmt: skip

WEEKDAY_HOURS = (
    (8, 9),
    (9, 13),
    (10, 15),
    (11, 13),
    (12, 8),
    (13, 8),
    (14, 11),
    (15, 12),
    (16, 9),
    (17, 5),
    (20, 1),
)
WEEKEND_HOURS = ((9, 3), (10, 5), (11, 4), (12, 3), (14, 2), (17, 2), (19, 1))
CALLS_A_DAY = (95, 95, 95, 95, 95, 35, 15)  # Monday to Sunday
TALK_S = ((15, 40, 20), (40, 90, 25), (90, 180, 25), (180, 420, 18), (420, 1200, 10), (1200, 2700, 2))


class Dice:
    """Chance that falls the same way on every machine and every Python."""

    def __init__(self, seed: int) -> None:
        self._next = random.Random(seed).random

    def below(self, n: int) -> int:
        """Return a whole number from 0 to n - 1."""
        return int(self._next() * n)

    def between(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, share: float) -> bool:
        """Return True in a share of the cases."""
        return self._next() < share

    def pick(self, values: Sequence[T]) -> T:
        """Return one of the values, each as likely."""
        return values[self.below(len(values))]

    def weighted(self, options: Sequence[tuple[T, int]]) -> T:
        """Return one of the values by its weight."""
        left = self.below(sum(weight for _, weight in options))
        for value, weight in options:
            left -= weight
            if left < 0:
                return value
        return options[-1][0]

    def hex(self, digits: int) -> str:
        """Return random hexadecimal digits."""
        return "".join(self.pick("0123456789abcdef") for _ in range(digits))

    def uuid(self) -> str:
        """Return a random UUID of version 4."""
        digits = self.hex(32)
        digits = digits[:12] + "4" + digits[13:16] + self.pick("89ab") + digits[17:]
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """Return the values in a random order."""
        pool = list(values)
        for last in range(len(pool) - 1, 0, -1):
            other = self.below(last + 1)
            pool[last], pool[other] = pool[other], pool[last]
        return pool


@dataclass
class TrueCall:
    """One call as it really was; `tags` say what is special about it."""

    uuid: str
    started_at: datetime
    ring_ms: int
    talk_ms: int
    outcome: str
    inbound: bool
    customer: str
    customer_name: str
    line: str
    user: str
    sid: str
    shape: str = "plain"
    split_s: int = 0
    leg_uuids: tuple[str, ...] = ()
    colleagues: tuple[str, ...] = ()
    shares_id: bool = True
    tags: set[str] = field(default_factory=set)

    @property
    def is_answered(self) -> bool:
        """Whether somebody answered."""
        return self.outcome == "completed"

    @property
    def answered_at(self) -> datetime:
        """When somebody answered, or would have."""
        return self.started_at + timedelta(milliseconds=self.ring_ms)

    @property
    def ended_at(self) -> datetime:
        """When it ended."""
        return self.answered_at + timedelta(milliseconds=self.talk_ms)

    @property
    def transferred_at(self) -> datetime:
        """When the first desk handed it over."""
        return self.answered_at + timedelta(seconds=self.split_s)

    @property
    def from_number(self) -> str:
        """The caller."""
        return self.customer if self.inbound else self.line

    @property
    def to_number(self) -> str:
        """The called party."""
        return self.line if self.inbound else self.customer

    @property
    def talk_s(self) -> int:
        """Talk in whole seconds, as the platform counts it: rounded half up."""
        return (self.talk_ms + 500) // 1000

    @property
    def ring_s(self) -> int:
        """Ringing in whole seconds."""
        return (self.ring_ms + 500) // 1000

    def straighten(self) -> None:
        """Make ringing and talk whole seconds, so that every export gives exactly the same figures."""
        self.ring_ms = max(self.ring_s, 2) * 1000
        self.talk_ms = self.talk_s * 1000


@dataclass
class InternalCall:
    """A call between two desks: in the phone systems' exports, never on the platform."""

    uuid: str
    started_at: datetime
    ring_s: int
    talk_s: int
    caller: str
    called: str


def london(instant: datetime) -> datetime:
    """Return the wall clock of London in this month, without a zone, as switches print it."""
    shift = timedelta(hours=1) if instant < CLOCKS_BACK else timedelta(0)
    return (instant + shift).replace(tzinfo=None)


def customer_number(n: int) -> str:
    """Return the n-th customer's number, from a range reserved for fiction."""
    kind, rest = n % 20, n // 20
    if kind < 9:
        return f"+447700900{(rest * 9 + kind) % 1000:03d}"
    if kind < 15:
        return f"+441632960{(rest * 6 + kind - 9) % 1000:03d}"
    if kind < 19:
        return f"+4420794600{(rest * 4 + kind - 15) % 100:02d}"
    return f"+1{('202', '312', '415', '646')[rest % 4]}55501{rest % 100:02d}"


class Month:
    """Draws the month's calls, never two of one customer close together unless asked."""

    def __init__(self, seed: int) -> None:
        self.dice = Dice(seed)
        self.calls: list[TrueCall] = []
        self.internal: list[InternalCall] = []
        self._busy: dict[str, list[datetime]] = {}

    def _free_customer(self, at: datetime) -> tuple[str, str]:
        while True:
            n = self.dice.below(700)
            number = customer_number(n)
            if all(abs(at - other) > timedelta(hours=2) for other in self._busy.get(number, [])):
                self._busy.setdefault(number, []).append(at)
                first = FIRST_NAMES[n % len(FIRST_NAMES)]
                last = LAST_NAMES[(n * 7) % len(LAST_NAMES)]
                return number, f"{last}, {first}" if n % 11 == 0 else f"{first} {last}"

    def keep_free(self, call: TrueCall) -> None:
        """Draw no call of a customer close to one that another month has."""
        self._busy.setdefault(call.customer, []).append(call.started_at)

    def draw(self, at: datetime, *, outcome: str | None = None, tags: Sequence[str] = ()) -> TrueCall:
        """Add one call that starts at an instant."""
        dice = self.dice
        customer, name = self._free_customer(at)
        if outcome is None:
            outcome = dice.weighted(
                [("completed", 76), ("no_answer", 13), ("busy", 4), ("canceled", 5), ("failed", 2)]
            )
        low, high, _ = dice.weighted([(band, band[2]) for band in TALK_S])
        ring_ms = dice.between(2200, 24_000)
        if outcome == "failed":
            ring_ms = dice.between(400, 1900)
        call = TrueCall(
            uuid=dice.uuid(),
            started_at=at,
            ring_ms=ring_ms,
            talk_ms=dice.between(low * 1000, high * 1000) if outcome == "completed" else 0,
            outcome=outcome,
            inbound=dice.chance(0.58),
            customer=customer,
            customer_name=name,
            line=dice.pick(LINES),
            user=dice.pick(USERS),
            sid="CA" + dice.hex(32),
            tags=set(tags),
        )
        self.calls.append(call)
        return call

    def split_into_legs(self, n: int) -> None:
        """Make `n` answered inbound calls of more than a minute transfers, or parallel rings, of three legs."""
        dice = self.dice
        long_ones = [c for c in self._ordinary() if c.is_answered and c.talk_s > 60 and c.inbound]
        for call in dice.shuffled(long_ones)[:n]:
            call.tags.add("multi-leg")
            call.shape = "transfer" if dice.chance(0.6) else "parallel"
            call.leg_uuids = tuple(dice.uuid() for _ in range(3))
            call.colleagues = tuple(dice.shuffled([u for u in USERS if u != call.user])[:2])
            call.straighten()
            call.split_s = dice.between(12, call.talk_s - 20)

    def hide_ids(self, n: int) -> None:
        """Let `n` ordinary calls share no id with the platform's record."""
        for call in self.dice.shuffled(self._ordinary())[:n]:
            call.tags.add("no-shared-id")
            call.shares_id = False

    def draw_redials(self, on_days: Sequence[int]) -> None:
        """Draw a call on each of the days that is given up and dialled again within seconds."""
        for day in on_days:
            call = self.draw(self.moment(day).replace(microsecond=0), outcome="canceled", tags=["redial"])
            call.shares_id = False
            call.ring_ms = 3000
            self.redial(call, after_s=5)

    def _ordinary(self) -> list[TrueCall]:
        return [c for c in self.calls if not c.tags]

    def redial(self, first: TrueCall, after_s: int) -> TrueCall:
        """Add a second call between the same numbers, some seconds later."""
        dice = self.dice
        second = TrueCall(
            uuid=dice.uuid(),
            started_at=first.started_at + timedelta(seconds=after_s),
            ring_ms=dice.between(4, 12) * 1000,
            talk_ms=dice.between(40, 300) * 1000,
            outcome="completed",
            inbound=first.inbound,
            customer=first.customer,
            customer_name=first.customer_name,
            line=first.line,
            user=first.user,
            sid="CA" + dice.hex(32),
            shares_id=False,
            tags={"redial"},
        )
        self.calls.append(second)
        return second

    def moment(self, day: int) -> datetime:
        """Return an instant of a day of October, by the company's hours."""
        dice = self.dice
        weekday = datetime(2026, 10, day, tzinfo=UTC).weekday()
        hour = dice.weighted(WEEKDAY_HOURS if weekday < 5 else WEEKEND_HOURS)
        summer_time = day < 25
        return datetime(2026, 10, day, hour - summer_time, tzinfo=UTC) + timedelta(
            milliseconds=dice.below(3_600_000)
        )


def draw_month(seed: int) -> Month:
    """Return the whole month: ordinary days, its edges, the night the clocks go back, and the odd shapes."""
    month = Month(seed)
    dice = month.dice
    for day in range(1, 32):
        weekday = datetime(2026, 10, day, tzinfo=UTC).weekday()
        for _ in range(CALLS_A_DAY[weekday] + dice.between(-4, 4)):
            month.draw(month.moment(day))

    for edge in (MONTH_START, MONTH_END):
        for minutes in (-22, -13, -7, -2, 3, 8, 14, 19):
            at = edge + timedelta(minutes=minutes, milliseconds=dice.below(60_000))
            month.draw(at, outcome="completed" if minutes % 2 else None, tags=["edge"])
    month.draw(datetime(2026, 11, 1, 2, 51, 40, 310_000, tzinfo=UTC), outcome="no_answer", tags=["edge"])

    # The night of 24 to 25 October: 00:00 to 01:00 UTC and 01:00 to 02:00 UTC print the same wall clock.
    first_frost = datetime(2026, 10, 24, 23, 20, tzinfo=UTC)
    for n in range(18):
        at = first_frost + timedelta(minutes=11 * n, milliseconds=dice.below(300_000))
        month.draw(at, outcome="completed" if n % 4 else "no_answer", tags=["clocks-back"])

    month.split_into_legs(90)
    month.hide_ids(60)
    month.draw_redials(on_days=(2, 7, 13, 16, 21, 28))

    for n in range(15):
        caller, called = dice.shuffled(USERS)[:2]
        month.internal.append(
            InternalCall(
                dice.uuid(), month.moment(2 + n), dice.between(2, 9), dice.between(10, 200), caller, called
            )
        )
    return month
