"""Check a single correction before it is sent, and believe only an answer that fits it.

Input is a call's id and attributes, and what came of the PATCH; output is the call as it was
answered, or an error. Runs compare what was answered with what was read as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sippet_reconcile.api.attributes import answer_problems, valid_attributes
from sippet_reconcile.api.exchange import ExchangeKind, error_of
from sippet_reconcile.errors import InputError, UnexpectedResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sippet_reconcile.api.exchange import Exchange

__all__ = ["call_as_answered", "given_attributes"]


def given_attributes(attributes: Mapping[str, object]) -> dict[str, object]:
    """Return attributes as they are sent, each with a value.

    Raises
    ------
    InputError
        Where one may not be sent, or would take a value away.

    Examples
    --------
    >>> given_attributes({"duration_seconds": 60})
    {'duration_seconds': 60}
    """
    sent = valid_attributes(attributes)
    cleared = [name for name, value in sent.items() if value is None]
    if cleared:
        msg = f"{', '.join(cleared)} must have a value: only the revert of a run takes one away again"
        raise InputError(msg)
    return sent


def call_as_answered(exchange: Exchange, call_id: str, sent: Mapping[str, object]) -> dict[str, object]:
    """Return ``id`` and attributes of the call that a PATCH was answered with, texts in API form.

    Raises
    ------
    ApiError
        Where the PATCH did not succeed.
    UnexpectedResponseError
        Where the answer is another call, or a value reads differently than it was sent.
    """
    if exchange.kind is not ExchangeKind.OK or exchange.texts is None:
        raise error_of(exchange)
    (answered_id, texts), *_ = exchange.texts.items()
    answered = {"id": answered_id, **texts}
    problems = answer_problems(call_id, sent, answered, exchange.content.decimals)
    if problems:
        msg = f"PATCH {exchange.path} was answered, but {'; '.join(problems)}: read the call again"
        raise UnexpectedResponseError(msg, status=exchange.status, request_id=exchange.request_id)
    seconds = answered["duration_seconds"]
    return {**answered, "duration_seconds": None if seconds is None else int(seconds)}
