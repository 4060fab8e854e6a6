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
    """Base of every error of this package; catch it at the edge.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> try:
    ...     sr.Period.month("October")
    ... except sr.ReconcileError as error:
    ...     type(error).__name__, error.exit_code
    ('InputError', 2)
    """

    exit_code: ClassVar[int] = 2


class InputError(ReconcileError):
    """Something the operator handed in cannot be used, and they can fix it.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> sr.Period.month("2026-10", timezone="London")
    Traceback (most recent call last):
    ...
    sippet_reconcile.errors.InputError: timezone 'London' is not known here; use an IANA name such as 'Europe/London' or 'UTC'; did you mean 'Europe/London'?
    """


class CdrFormatError(InputError):
    r"""A CDR file is not what it was said, or guessed, to be.

    Attributes
    ----------
    path
        The file, or None where the input was a frame or an open stream.
    line
        The physical line, counted from 1, or None where the whole file is meant.

    Examples
    --------
    >>> import io
    >>> import sippet_reconcile as sr
    >>> try:
    ...     sr.read_cdr(io.BytesIO(b"name,colour\nrose,red\n"))
    ... except sr.CdrFormatError as error:
    ...     error.line, str(error).partition(",")[0]
    (1, '<stream> line 1 has 2 fields')
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
        One row per broken column or value: ``column``, ``expected``, ``found``. Of a rate card
        one row per problem: ``line`` (Int64, missing where the whole card is meant), ``column``, ``value``,
        ``problem`` (str). None where a single sentence says it all.

    Examples
    --------
    >>> import pandas as pd
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_reconciliation
    >>> fix = pd.DataFrame({"call": ["a"], "duration_seconds": ["60"]})
    >>> try:
    ...     sr.plan_corrections(sample_reconciliation().calls, fix, reason="ticket 4711")
    ... except sr.SchemaError as error:
    ...     error.failures[["column", "found"]].to_numpy().tolist()
    [['call', 'a column named so'], ['call_id', 'no such column']]
    """

    def __init__(self, message: str, *, failures: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.failures = failures


class PlanError(ReconcileError):
    """A plan cannot be built, loaded or used.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> sr.Plan.load("nowhere.parquet")
    Traceback (most recent call last):
    ...
    sippet_reconcile.errors.PlanError: there is no plan at nowhere.parquet
    """


class PlanNotApprovedError(PlanError):
    """A plan was about to be applied without the approvals it needs.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_reconciliation
    >>> plan = sr.build_plan(sample_reconciliation(), where="explanation == 'zero'").approve(by="ana")
    >>> client = sr.Client("https://api.example.com", token="only-an-example")
    >>> try:
    ...     sr.apply_plan(plan.approve(by="ANA"), client, "audit/", min_approvals=2)
    ... except sr.PlanNotApprovedError as error:
    ...     print(str(error).split(", and ")[1])
    2 approvals by different people are needed, 1 more: plan.approve(by=..., note=...)
    """


class PlanGuardError(PlanError):
    """A plan is refused: too large, or built on data that a finding says to stop at.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_reconciliation
    >>> try:
    ...     sr.build_plan(sample_reconciliation(), max_calls=100)
    ... except sr.PlanGuardError as error:
    ...     print(str(error).partition(";")[0])
    the plan would touch 282 calls, more than max_calls=100 allows
    """


class PlanDriftError(PlanError):
    """Calls no longer hold what the plan was reviewed against.

    Attributes
    ----------
    drift
        One row per drifted field: ``call_id``, ``field``, ``before``, ``after``, ``observed``.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_run
    >>> with sample_run() as (run, client):
    ...     undo = sr.revert_run(run).approve(by="ben")
    ...     changed = client.patch_call(run.records["call_id"][0], {"duration_seconds": 61})  # by other hands
    ...     try:
    ...         sr.apply_plan(undo, client, run.audit, rate="100/s", on_drift="raise", progress=False)
    ...     except sr.PlanDriftError as error:
    ...         error.drift[["field", "before", "observed"]].to_numpy().tolist()
    [['duration_seconds', '60', '61']]
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

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.sandbox import Sandbox
    >>> with Sandbox() as api, sr.Client(api.url, token="not-its-token") as client:
    ...     try:
    ...         client.fetch_calls("2026-10", progress=False)
    ...     except sr.ApiError as error:
    ...         error.status, error.exit_code
    (403, 3)
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

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.sandbox import Faults, Sandbox
    >>> call_id = "11111111-1111-4111-8111-111111111111"
    >>> faults = Faults(script=["lost_answer"], methods=["PATCH"])
    >>> with Sandbox(faults=faults) as api, sr.Client(api.url, token=api.token) as client:
    ...     api.add_call(call_id, status="answered")
    ...     try:
    ...         client.patch_call(call_id, {"status": "completed"})
    ...     except sr.TransientApiError as error:
    ...         error.may_have_been_applied, api.calls["status"].tolist()
    (True, ['completed'])
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

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.sandbox import Sandbox
    >>> call_id = "11111111-1111-4111-8111-111111111111"
    >>> with Sandbox() as api, sr.Client(api.url, token=api.token) as client:
    ...     api.add_call(call_id, status="answered")
    ...     try:
    ...         client.patch_call(call_id, {"status": "finished"})
    ...     except sr.RejectedError as error:
    ...         error.status, error.problems[0].partition(":")[0]
    (400, 'invalid_body')
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
    """The API answered something that the protocol does not allow for.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.sandbox import Faults, Sandbox
    >>> call_id = "11111111-1111-4111-8111-111111111111"
    >>> faults = Faults(script=["garbled"], methods=["PATCH"])
    >>> with Sandbox(faults=faults) as api, sr.Client(api.url, token=api.token) as client:
    ...     api.add_call(call_id, status="answered")
    ...     try:
    ...         client.patch_call(call_id, {"status": "completed"})
    ...     except sr.UnexpectedResponseError as error:
    ...         error.status, "the document is not JSON" in str(error)
    (200, True)
    """


class AuditError(ReconcileError):
    """The audit log cannot be written or trusted: nothing more may be sent.

    Examples
    --------
    >>> import tempfile
    >>> import sippet_reconcile as sr
    >>> log = sr.AuditLog(tempfile.mkdtemp())
    >>> with log.writing():
    ...     try:
    ...         with sr.AuditLog(log.path).writing():
    ...             pass
    ...     except sr.AuditError as error:
    ...         "is held by process" in str(error), error.exit_code
    (True, 4)
    """

    exit_code: ClassVar[int] = 4
