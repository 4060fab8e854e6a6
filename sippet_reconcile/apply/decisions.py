"""Decide about one call from what was read: send, leave, or say that it drifted. Pure.

Input are the planned change of a call and the values just read; output is a `Decision`.
The same function decides ahead of the first PATCH, ahead of every further attempt, and
after an answer was lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sippet_reconcile.api.plain import Texts
from sippet_reconcile.audit import Outcome
from sippet_reconcile.schema import CALL_ATTRIBUTES, PATCHABLE
from sippet_reconcile.values import parse_value, same_value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SHOWABLE",
    "Decision",
    "PlannedCall",
    "Problem",
    "Texts",
    "decide_call",
    "judge_answer",
    "stays_altered",
]

SHOWABLE: Final = ("started_at", *PATCHABLE)
"""The attributes whose values may stand in the log; the others may hold phone numbers."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """All that a plan would change of one call, and what its CDR says about being answered."""

    call_id: str
    call_uuid: str | None
    before: Texts
    after: Texts
    started_at: str | None
    explanation: str | None
    reason: str | None
    source_file: str | None
    source_row: int | None
    is_answered: bool | None = None
    status_cdr: str | None = None

    @property
    def attributes(self) -> dict[str, object]:
        """What its PATCH sends."""
        return {name: parse_value(name, text) for name, text in self.after.items()}


Problem = Callable[[PlannedCall, Texts], str | None]
"""Says why a call that holds these values would be inconsistent after its PATCH; None where it would not."""


@dataclass(frozen=True)
class Decision:
    """What to do about a call; `outcome` is None where its PATCH is to be sent."""

    outcome: Outcome | None
    confirmed_by: str | None = None
    error_code: str | None = None
    detail: str | None = None
    observed: Texts | None = None
    drift: tuple[dict[str, str | None], ...] = field(default=(), repr=False)


def decide_call(
    planned: PlannedCall,
    observed: Texts,
    *,
    may_be_ours: bool,
    problem: Problem,
    decimals: Mapping[str, int],
) -> Decision:
    """Say what is to be done about a call that was just read.

    Parameters
    ----------
    planned
        What the plan would change.
    observed
        What the call holds now.
    may_be_ours
        Whether a PATCH of this run may have reached the call: found as planned it is
        then `applied`, not `already`.
    problem
        Says what is wrong with the call as it would stand after its PATCH, or None.
    decimals
        Field to the decimals of a second that the server answers, at which instants are compared.
    """
    held = {name: observed[name] for name in planned.after}
    if all(same_value(name, text, held[name], decimals=decimals) for name, text in planned.after.items()):
        # Nothing to send, whatever else may have changed.
        if may_be_ours:
            return Decision(Outcome.APPLIED, "reread")
        return Decision(Outcome.ALREADY, "reread")
    moved = [
        name
        for name, text in planned.before.items()
        if not same_value(name, text, held[name], decimals=decimals)
    ]
    start = observed["started_at"]
    if not same_value("started_at", planned.started_at, start, decimals=decimals):
        moved.append("started_at")
    if moved:
        was = {**planned.before, "started_at": planned.started_at}
        told = "; ".join(
            f"{name} is {_told(observed[name])}, planned from {_told(was[name])}" for name in moved
        )
        drift = tuple(
            {
                "call_id": planned.call_id,
                "field": name,
                "before": was[name],
                "after": planned.after.get(name),
                "observed": observed[name],
            }
            for name in moved
        )
        return Decision(Outcome.DRIFTED, "reread", "drifted", told, held | {"started_at": start}, drift)
    broken = problem(planned, observed)
    if broken:
        drift = tuple(
            {
                "call_id": planned.call_id,
                "field": name,
                "before": text,
                "after": planned.after[name],
                "observed": held[name],
            }
            for name, text in planned.before.items()
        )
        shown = {name: observed[name] for name in SHOWABLE}
        return Decision(Outcome.DRIFTED, "reread", "whole-record", broken, shown, drift)
    return Decision(None)


def stays_altered(decision: Decision, left: Mapping[str, object], decimals: Mapping[str, int]) -> Decision:
    """Return `altered` instead of `drifted` where a call still holds what our own writing left.

    Parameters
    ----------
    decision
        What a re-read came to.
    left
        What the call held, as JSON values, when it was found altered.
    decimals
        As for `decide_call`.
    """
    if decision.observed is None or not left:
        return decision
    for name, text in decision.observed.items():
        value = left.get(name)
        if not same_value(name, None if value is None else str(value), text, decimals=decimals):
            return decision
    detail = f"still as our writing left it: {decision.detail}"
    return replace(decision, outcome=Outcome.ALTERED, error_code="altered", detail=detail, drift=())


def _told(text: str | None) -> str:
    return "null" if text is None else text


def judge_answer(
    planned: PlannedCall, call_id: str, answered: Texts, reread: Texts, decimals: Mapping[str, int]
) -> Decision:
    """Check the answer to a PATCH: the same call, each sent value as sent, each other value as re-read.

    Instants are compared at the server's precision, `decimals` by field. Values that may
    hold phone numbers are named, not shown.
    """
    wrong = []
    if call_id != planned.call_id:
        wrong.append(f"the answer is about another call, {call_id}")
    for name in CALL_ATTRIBUTES:
        is_sent = name in planned.after
        expected = planned.after[name] if is_sent else reread[name]
        if same_value(name, expected, answered[name], decimals=decimals):
            continue
        if is_sent:
            wrong.append(f"{name} was sent as {_told(expected)} and reads {_told(answered[name])}")
        elif name in SHOWABLE:
            wrong.append(f"{name} was not sent and changed from {_told(expected)} to {_told(answered[name])}")
        else:
            wrong.append(f"{name} was not sent and changed")
    if not wrong:
        return Decision(Outcome.APPLIED, "answer")
    # Another call's values would mislead whoever undoes this one.
    observed = {name: answered[name] for name in SHOWABLE} if call_id == planned.call_id else None
    return Decision(Outcome.ALTERED, "answer", "altered", "; ".join(wrong), observed)
