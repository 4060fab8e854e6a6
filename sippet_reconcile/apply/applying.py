"""Apply an approved plan: refuse what must not be sent, lock the log, run a session.

Input are a plan, a client and an audit log, output is a `Run`. This package is the only
place from which a plan's PATCH requests leave.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sippet_reconcile._display import joined
from sippet_reconcile.api.pacing import Pacer, parse_rate
from sippet_reconcile.api.queries import valid_ids
from sippet_reconcile.api.urls import normalise_url
from sippet_reconcile.apply.entries import Scribe
from sippet_reconcile.apply.interrupts import Interrupts
from sippet_reconcile.apply.planned import planned_calls
from sippet_reconcile.apply.session import CHUNK_S, MAX_WORKERS, Options, Session
from sippet_reconcile.apply.stopping import StopSign
from sippet_reconcile.apply.traffic import Tools, Traffic
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import (
    ApiError,
    InputError,
    PlanDriftError,
    PlanError,
    PlanNotApprovedError,
    ReconcileError,
)
from sippet_reconcile.plan.approval import people_of
from sippet_reconcile.progress import reporting
from sippet_reconcile.run import load_run, read_events, state_of

if TYPE_CHECKING:
    import os

    from sippet_reconcile.api.client import Client
    from sippet_reconcile.plan import Plan
    from sippet_reconcile.progress import Progress
    from sippet_reconcile.run import Run, RunState

__all__ = ["apply_plan", "apply_with"]

_SLOWEST_PER_S: Final = 5 / 60


def apply_plan(
    plan: Plan,
    client: Client,
    audit: AuditLog | str | os.PathLike[str],
    *,
    rate: str = "5/s",
    limit: int | None = None,
    concurrency: int | None = None,
    on_drift: str = "skip",
    min_approvals: int = 1,
    max_failures: int = 10,
    progress: Progress = None,
) -> Run:
    """Send the changes of an approved plan, each after its call was read again.

    A run is one plan on one API in one log: applying again continues the same run, and
    only calls that are not `applied` or `already` are read and, where they still hold
    what the plan says, sent. What is about to be sent is in the log before it leaves.

    Parameters
    ----------
    plan
        Approved, and unchanged since.
    client
        Of the API that the plan was made for.
    audit
        The log or its folder.
    rate
        All requests of the run together, re-reads and retries included: ``"5/s"``,
        ``"300/min"``, or a published limit such as ``"limit:50/s"``; at least 5 a minute.
    limit
        The most calls to send in this session, in plan order: a canary.
    concurrency
        Threads, 1 to 16; derived from rate and latency where not given.
    on_drift
        ``"skip"`` leaves calls alone that no longer hold what was reviewed; ``"raise"``
        stops at the first.
    min_approvals
        How many different people must have approved; the same name in other letters (case,
        accents, blanks, punctuation) is the same person.
    max_failures
        Stop after so many calls in a row that failed or could not be read back.
    progress
        See `sippet_reconcile.progress`.

    Returns
    -------
    Run
        With the last state of every call. Where the run had to stop part-way (401,
        three 403 in a row, no control call visible, an API that stays away or asks to wait
        for more than five minutes, too many failures or retries), ``.stopped`` says why;
        where that happened before anything was sent, an `ApiError` is raised.

    Raises
    ------
    PlanError
        If the plan is for another API, holds an id that is no UUID, was changed, or was
        reverted in this log.
    PlanNotApprovedError
        If too few people approved it, or an approval is dated in the future.
    PlanDriftError
        On drift, with ``on_drift="raise"``; ``.drift`` shows it.
    AuditError
        If the log is in use or cannot be written; nothing is sent after that.
    ApiError
        If the API refused or could not be read before anything was sent.
    KeyboardInterrupt
        Raised again once requests in flight are done (10 s at most) and written down.
        Another Ctrl-C lets go of them at once: they are `unknown`, and read first when
        the plan is applied again. Being terminated or killed is as safe, and says less.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> import tempfile
    >>> from sippet_reconcile.sandbox import Sandbox
    >>> with Sandbox(sample_data() / "api" / "calls.json") as api, tempfile.TemporaryDirectory() as audit:
    ...     client = sr.Client(api.url, token=api.token)
    ...     calls = client.fetch_calls("2026-10").query("duration_seconds > 60").head(2)
    ...     fix = calls[["id"]].rename(columns={"id": "call_id"}).assign(duration_seconds=60)
    ...     plan = sr.plan_corrections(calls, fix, reason="ticket 4711").approve(by="ana")
    ...     run = sr.apply_plan(plan, client, audit, rate="100/s", progress=False)
    ...     client.close()
    ...     run.records["outcome"].tolist()
    ['applied', 'applied']
    """
    return apply_with(
        Tools(),
        plan,
        client,
        audit,
        rate=rate,
        limit=limit,
        concurrency=concurrency,
        on_drift=on_drift,
        min_approvals=min_approvals,
        max_failures=max_failures,
        progress=progress,
    )


def apply_with(
    tools: Tools,
    plan: Plan,
    client: Client,
    audit: AuditLog | str | os.PathLike[str],
    *,
    rate: str,
    limit: int | None,
    concurrency: int | None,
    on_drift: str,
    min_approvals: int,
    max_failures: int,
    progress: Progress,
    chunk_s: float = CHUNK_S,
    looks_ahead: bool = True,
) -> Run:
    """Do what `apply_plan` does, with clocks and chance handed in, and the length of a chunk."""
    rate_per_s = parse_rate(rate)
    asked = Options(rate, limit, concurrency, on_drift, max_failures, chunk_s, looks_ahead)
    options = _checked(asked, rate_per_s)
    api_url = _checked_plan(plan, client, min_approvals)
    log = audit if isinstance(audit, AuditLog) else AuditLog(audit)
    calls = planned_calls(plan)
    # Ctrl-C waits while the lock is taken and given back: whoever holds it must not be left holding it.
    with Interrupts() as interrupts:
        with log.writing() as writer:
            stop = StopSign(max_failures)
            interrupts.let_in(stop)
            run_id, state = _standing(log, plan.plan_id, api_url, tools.now())
            with reporting(progress, unit="call") as report:
                session = Session(
                    plan,
                    calls,
                    state,
                    writer=writer,
                    scribe=Scribe(run_id, plan.plan_id, api_url),
                    traffic=Traffic(
                        client, Pacer(rate_per_s, clock=tools.clock, sleep=tools.sleep), stop, tools
                    ),
                    stop=stop,
                    options=options,
                    report=report,
                )
                try:
                    session.execute()
                except KeyboardInterrupt as interrupt:
                    try:
                        _tell_interrupted(load_run(log, run_id))
                    except ReconcileError as exc:  # the log has no record of it yet, or went away
                        interrupt.add_note(f"the summary of the run cannot be shown: {exc}")
                    raise
                except (ApiError, PlanDriftError) as exc:
                    exc.add_note(f"The run is in the audit log {log.path}, whose head is now {writer.head}.")
                    raise
                finally:
                    interrupts.put_off()
            run = replace(load_run(log, run_id), plan=plan)
        if interrupts.is_waiting:  # it came too late to stop anything, and is raised now
            _tell_interrupted(run)
    return run


def _tell_interrupted(run: Run) -> None:
    """Print what the run came to; a console that is closed or absent does not keep the interrupt from being raised."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"Interrupted: {run!r}\n")


def _checked(options: Options, rate_per_s: float) -> Options:
    """Return the options, or say which of them cannot be meant."""
    if rate_per_s < _SLOWEST_PER_S:
        msg = (
            f"rate {options.rate!r} is too slow: a call is sent within 15 seconds of its re-read, "
            "which needs at least 5 requests a minute"
        )
        raise InputError(msg)
    whole = {"limit": options.limit, "concurrency": options.concurrency, "max_failures": options.max_failures}
    for name, value in whole.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            msg = f"{name} must be a whole number from 1, got {value!r}"
            raise InputError(msg)
    if options.concurrency is not None and options.concurrency > MAX_WORKERS:
        msg = f"concurrency must be at most {MAX_WORKERS}, got {options.concurrency}"
        raise InputError(msg)
    if options.on_drift not in {"skip", "raise"}:
        msg = f"on_drift must be 'skip' or 'raise', got {options.on_drift!r}"
        raise InputError(msg)
    return options


def _checked_plan(plan: Plan, client: Client, min_approvals: int) -> str:
    """Return the API's URL, having refused a plan that must not be sent there."""
    if isinstance(min_approvals, bool) or not isinstance(min_approvals, int) or min_approvals < 1:
        msg = f"min_approvals={min_approvals!r} is no whole number from 1: no plan is applied unapproved"
        raise InputError(msg)
    short = plan.short_id
    if plan.fingerprint() != plan.plan_id:
        msg = f"the content of plan {short} does not give its plan_id: it was changed after it was made; build it again"
        raise PlanError(msg)
    if plan.api_url is None:
        msg = f"plan {short} does not say for which API it is; build it with api_url="
        raise PlanError(msg)
    ours = normalise_url(client.base_url)
    if normalise_url(plan.api_url) != ours:
        msg = f"plan {short} was made for {plan.api_url}, the client is of {ours}: a plan is applied to its own API only"
        raise PlanError(msg)
    try:
        valid_ids(plan.changes["call_id"].unique())
    except InputError as exc:
        msg = f"plan {short} cannot be applied: {exc}"
        raise PlanError(msg) from exc
    _require_approvals(plan, min_approvals)
    return ours


def _require_approvals(plan: Plan, min_approvals: int) -> None:
    """Refuse a plan that too few different people approved, as it is and by now."""
    approvals = [approval for approval in plan.approvals if approval.plan_id == plan.plan_id]
    now = datetime.now(UTC)
    for approval in approvals:
        if approval.is_yet_to_come(now):
            msg = (
                f"the approval of plan {plan.short_id} by {approval.by} is dated {approval.at}, which is yet to come "
                f"(it is {now.isoformat(timespec='seconds')}): set the clock that is wrong, and approve again"
            )
            raise PlanNotApprovedError(msg)
    people = people_of(approvals)
    if len(people) < min_approvals:
        told = f"approved by {joined(people)}" if people else "not approved"
        needed = (
            "1 approval is needed"
            if min_approvals == 1
            else f"{min_approvals} approvals by different people are needed, {min_approvals - len(people)} more"
        )
        msg = f"plan {plan.short_id} is {told}, and {needed}: plan.approve(by=..., note=...)"
        raise PlanNotApprovedError(msg)


def _standing(log: AuditLog, plan_id: str, api_url: str, at: datetime) -> tuple[str, RunState]:
    """Return the run of this plan on this API in this log, or a new one, and where it stands.

    A plan whose run was undone in this log is refused: sending it again would undo the revert.
    """
    known = read_events(log)
    run_id = known.run_of(plan_id, api_url) or f"{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    for revert_id in known.reverts_of(run_id):
        msg = (
            f"the run {run_id} of this plan was reverted in this log by run {revert_id}: "
            "revert that run, or build a new plan from calls as they are now"
        )
        raise PlanError(msg)
    return run_id, state_of(known.of(run_id))
