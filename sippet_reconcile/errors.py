"""Every exception this package raises, as one tree.

An error ends a run of the program; what goes wrong *inside* data is a row with a
reason, never an exception. Each class carries the exit code that the command
line returns for it. This module imports nothing of the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

__all__ = [
    "ApiError",
    "AuditError",
    "CdrFormatError",
    "InputError",
    "PlanDriftError",
    "PlanError",
    "PlanGuardError",
    "PlanNotApprovedError",
    "ReconcileError",
    "RejectedError",
    "SchemaError",
    "TransientApiError",
    "UnexpectedResponseError",
]


class ReconcileError(Exception):
    """Base of every error of this package; catch it at the edge."""

    exit_code: ClassVar[int] = 2


class InputError(ReconcileError):
    """Something the operator handed in cannot be used, and they can fix it."""


class CdrFormatError(InputError):
    """A CDR file is not what it was said, or guessed, to be.

    Attributes
    ----------
    path
        The file, or None where the input was a frame or an open stream.
    line
        The physical line, counted from 1, or None where the whole file is meant.
    """

    def __init__(self, message: str, *, path: Path | str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


class SchemaError(InputError):
    """A frame lacks columns, has wrong types, or mixes sources.

    Attributes
    ----------
    failures
        One row per broken column or value: ``column``, ``expected``, ``found``;
        None where a single sentence says it all.
    """

    def __init__(self, message: str, *, failures: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.failures = failures


class PlanError(ReconcileError):
    """A plan cannot be built, loaded or used."""


class PlanNotApprovedError(PlanError):
    """A plan was about to be applied without the approvals it needs."""


class PlanGuardError(PlanError):
    """A plan is refused: too large, or built on data that a finding says to stop at."""


class PlanDriftError(PlanError):
    """Calls no longer hold what the plan was reviewed against.

    Attributes
    ----------
    drift
        One row per drifted field: ``call_id``, ``field``, ``before``, ``after``, ``observed``.
    """

    def __init__(self, message: str, *, drift: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.drift = drift


class ApiError(ReconcileError):
    """The API could not be reached, refused, or answered something unusable.

    Attributes
    ----------
    status
        The HTTP status, or None where no answer came.
    request_id
        The server's ``x-request-id``, to quote to its operators; None where it sent none.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class TransientApiError(ApiError):
    """The API may answer later: no connection, a time-out, 429 or a server fault.

    Attributes
    ----------
    retry_after_s
        How long the server asked to wait, in seconds; None where it did not say.
    may_have_been_applied
        True where a request that changes something was sent and its answer lost:
        read the call before saying anything about it.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        may_have_been_applied: bool = False,
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.retry_after_s = retry_after_s
        self.may_have_been_applied = may_have_been_applied


class RejectedError(ApiError):
    """The API refused a request, and would refuse it again.

    Attributes
    ----------
    problems
        What the server said, one text per error: code, detail and where it points.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        problems: Sequence[str] = (),
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.problems = tuple(problems)


class UnexpectedResponseError(ApiError):
    """The API answered something that the protocol does not allow for."""


class AuditError(ReconcileError):
    """The audit log cannot be written or trusted: nothing more may be sent."""

    exit_code: ClassVar[int] = 4
