"""The table of explanations, the most specific first.

Nothing goes in; out comes the order that decides which explanation leads where several
hold. Each test looks at one pair alone, so on the same pair the same ones hold in every
company, partition and order. The order follows three rules:

* What two fields agree on comes before what one number says: a cause that spoils the
  duration alone leaves the end right, so it never meets such a test, while what spoils
  both may come to any number.
* What only some calls can meet, those of several legs, comes before what any call can:
  it takes less from the others than they would from it. What says nothing about the
  amount comes last.
* What is met to the second comes before what is met within the tolerance alone: such
  hits stand behind the last explanation that tells the two apart (`to_the_second`).

Two causes may leave the very same value: of 100 seconds and a 120 nobody can say
whether they were rounded up to a minute or include 20 seconds of ringing, and a 60
against 57 is rounded up to 6, 30 and 60 seconds at once. Where several explanations that
are arithmetic of the seconds alone (`by_company`) hold, the rows of the whole
reconciliation decide: the one leads for which more of them speak, the others stand in
``also`` (`company` has the rule). With too few rows that tell, and among all others, the
order of this table decides.
"""

from __future__ import annotations

from typing import Final

from sippet_reconcile.reconciliation.comparing.compare import COMPARED_FIELDS
from sippet_reconcile.reconciliation.explaining import durations, instants, parties, records, statuses
from sippet_reconcile.reconciliation.explaining.explanation import Explanation

__all__ = ["EXPLANATIONS"]

_DURATION: Final = ("duration_seconds",)
_STATUS: Final = ("status",)
_END: Final = ("ended_at",)
_START: Final = ("started_at",)
_WHOLE: Final = ("status", "ended_at", "duration_seconds")

EXPLANATIONS: Final[tuple[Explanation, ...]] = (
    # An open status and no end: the whole record says it, and what it lacks besides follows from that.
    Explanation(
        "never-ended",
        _WHOLE,
        "The API's status is still that of an open call and it has no end, though the CDR ended: the hang-up was lost.",
        "belong to calls that never ended",
        records.never_ended,
    ),
    # Before all that moves an end: whole hours are met by one gap in a thousand, and are a clock that was misread.
    Explanation(
        "off-by-{n}s",
        ("duration_seconds", "ended_at", "started_at"),
        "The two sides are whole hours apart, at most 26: a time zone or daylight saving was misread.",
        "are off by whole hours",
        records.off_by_hours,
    ),
    # Before start-at-answer, which one instant alone may meet: here two agree, and the duration as well.
    Explanation(
        "clock-offset",
        ("ended_at", "started_at"),
        "Start and end are off by the same seconds and the duration agrees: the clock was wrong, not the call.",
        "are off as their clock is",
        records.clock_offset,
    ),
    # Before the legs, which may end as close: less than two seconds are lost by cutting. Seen with a small tolerance.
    Explanation(
        "truncated-1s",
        _DURATION,
        "The API is short of one second, as when stamps are cut to seconds before they are subtracted.",
        "are cut by a second",
        durations.truncated,
        by_company=True,
    ),
    # Before cut-by-crash, which any early end meets: these name the second at which the record stopped. Where end and
    # duration agree on a second that is not the leg's end, the leg's number is chance and stands behind.
    Explanation(
        "last-leg-only",
        _DURATION,
        "Of a call of several legs the API has the seconds of the last one, which are not those of the call.",
        "count the last leg only",
        durations.last_leg_only,
        durations.last_leg_to_the_second,
        by_company=True,
    ),
    # Behind the last leg: where both last as long, the record was more likely overwritten than left alone.
    Explanation(
        "first-leg-only",
        ("duration_seconds", "ended_at"),
        "Of a call of several legs the API has the seconds of the first one, which are not those of the call.",
        "count the first leg only",
        durations.first_leg_only,
        durations.first_leg_to_the_second,
        by_company=True,
    ),
    # Before all that looks at seconds alone: end and duration agree here, or the end was never written.
    Explanation(
        "cut-by-crash",
        _WHOLE,
        "The record was finished in part: a final status without an end, an end without a final status, or end and duration short by the same seconds.",
        "were cut by a crash",
        records.cut_by_crash,
        records.crash_to_the_second,
    ),
    # Likewise, and before ringing and rounding, which a hang-up noticed late by chance may come to.
    Explanation(
        "late-hangup",
        ("ended_at", "duration_seconds"),
        "End and duration are too long by the same seconds: the hang-up was noticed late.",
        "noticed the hang-up late",
        records.late_hangup,
    ),
    # Before ringing-billed and unanswered-but-billed: both sides' words say where the seconds come from.
    Explanation(
        "voicemail-as-answered",
        ("status", "duration_seconds"),
        "A mailbox answered: the API calls that an answered call, or bills the mailbox for which the CDR bills nothing.",
        "take a mailbox for an answer",
        statuses.voicemail_as_answered,
    ),
    # Before ringing and rounding: few calls overlap, so these take less from the others than the others from them.
    Explanation(
        "summed-legs",
        _DURATION,
        "Of a call of several legs the API has the sum of their seconds, which overlap and so exceed the call's, or both parties' seconds.",
        "add up several legs",
        durations.summed_legs,
        durations.summed_to_the_second,
        by_company=True,
    ),
    # Before rounding: as many rings end on a full minute as full minutes are ended by a ring; ringing is commoner.
    Explanation(
        "ring-time-included",
        _DURATION,
        "On the billable basis, an answered call has the CDR's total seconds, ringing included, which exceed the billable ones.",
        "include ring time",
        durations.ring_time_included,
        durations.total_to_the_second,
        by_company=True,
    ),
    Explanation(
        "talk-time-only",
        _DURATION,
        "On the total basis, an answered call has the CDR's billable seconds, which the total ones exceed.",
        "leave out ring time",
        durations.talk_time_only,
        durations.talk_to_the_second,
        by_company=True,
    ),
    # Before unanswered-but-billed, which says nothing about the amount.
    Explanation(
        "ringing-billed",
        _DURATION,
        "On the billable basis, a call that nobody answered has the seconds it rang.",
        "bill the ringing of unanswered calls",
        durations.ringing_billed,
        durations.total_to_the_second,
        by_company=True,
    ),
    # The largest step first: each meets the smaller ones as well, and seldom the other way round.
    *(
        Explanation(
            f"rounded-up-{step}s",
            _DURATION,
            f"The API has the CDR's seconds rounded up to the next {step}, as billing increments are.",
            f"are rounded up to {step} seconds",
            durations.rounded_up(step),
            by_company=True,
        )
        for step in (60, 30, 6)
    ),
    # Before all that is met within a tolerance: the one number that either unit leaves is met to the second.
    Explanation(
        "milliseconds",
        _DURATION,
        "The API has the CDR's seconds times a thousand: milliseconds were stored as seconds.",
        "are milliseconds",
        durations.milliseconds,
        by_company=True,
    ),
    Explanation(
        "minutes",
        _DURATION,
        "Two minutes or more on the CDR, and the API has just its begun minutes.",
        "are minutes",
        durations.minutes,
        by_company=True,
    ),
    # It needs no place among these, because it asks for more seconds than rounding doubles; but it is the last
    # that allows a tolerance: what meets it, or any above, within the tolerance alone stands right behind it.
    Explanation(
        "counted-twice",
        _DURATION,
        "Of a call of one leg that lasted more than half a minute the API has twice the seconds.",
        "are counted twice",
        durations.counted_twice,
        durations.twice_to_the_second,
        by_company=True,
    ),
    # Behind off-by-{n}s, which says by how much an end is too early.
    Explanation(
        "ended-before-start",
        _END,
        "The API's end lies before its own start.",
        "lie before the start",
        instants.ended_before_start,
    ),
    Explanation(
        "start-at-answer",
        _START,
        "The API's start is the instant at which the CDR was answered.",
        "are the answer's",
        instants.start_at_answer,
    ),
    # Behind never-ended and cut-by-crash, which say why nothing was written.
    Explanation(
        "zero",
        ("duration_seconds", "ended_at"),
        "The API has zero seconds, or an end equal to its own start, against a CDR that lasted.",
        "are zero",
        records.zero,
    ),
    # Of a duration behind zero, which it presumes; of a status before the wrong leg, whose word any hunt
    # for a free phone offers, and before all that looks at words alone.
    Explanation(
        "answered-but-zero",
        ("status", "duration_seconds"),
        "One side calls the call answered although its own seconds say that nobody talked.",
        "call answered what has no seconds",
        statuses.answered_but_zero,
    ),
    Explanation(
        "missing",
        COMPARED_FIELDS,
        "The API has no value where the CDR has one.",
        "are missing",
        records.missing,
    ),
    # Of durations the last: it says nothing about the amount.
    Explanation(
        "unanswered-but-billed",
        _DURATION,
        "The CDR was not answered and has no billable second, and the API has some.",
        "bill unanswered calls",
        durations.unanswered_but_billed,
    ),
    # Before the three that compare words alone: it says whose word it is.
    Explanation(
        "status-from-wrong-leg",
        _STATUS,
        "Of a call of several legs the API has the status of one that does not count: another leg ended better.",
        "are those of another leg",
        statuses.status_from_wrong_leg,
    ),
    # No two of these three hold together.
    Explanation(
        "answered-shown-unanswered",
        _STATUS,
        "The CDR was answered, and the API's word is one of unanswered calls.",
        "show answered calls as unanswered",
        statuses.answered_shown_unanswered,
    ),
    Explanation(
        "unanswered-shown-answered",
        _STATUS,
        "The CDR was not answered, and the API's word is one of answered calls.",
        "show unanswered calls as answered",
        statuses.unanswered_shown_answered,
    ),
    Explanation(
        "other-unanswered-word",
        _STATUS,
        "Neither side was answered and the words differ; systems disagree about these (487 and 603, say).",
        "use another word for an unanswered call",
        statuses.other_unanswered_word,
    ),
    # Before extension: two numbers agree crosswise.
    Explanation(
        "parties-swapped",
        ("from_number", "to_number", "direction"),
        "The API's caller is the CDR's called party and the other way round.",
        "swap caller and called party",
        parties.parties_swapped,
    ),
    Explanation(
        "extension",
        ("from_number", "to_number"),
        "The CDR names an internal extension of at most six digits where the API has a full number.",
        "are extensions on the CDR",
        parties.extension,
    ),
)
"""Every explanation that is built in, the most specific first; `registry` adds those of users."""
