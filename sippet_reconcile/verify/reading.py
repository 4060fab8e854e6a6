"""Read again what a run sent, at an even pace, and hand it to the comparison.

Input are a `Run` and a client of its API, output is a `Verification`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.api.documents import Page
from sippet_reconcile.api.exchange import ExchangeKind
from sippet_reconcile.api.pacing import Pacer, parse_rate
from sippet_reconcile.api.plain import texts_by_id
from sippet_reconcile.api.queries import chunk_ids
from sippet_reconcile.api.urls import normalise_url
from sippet_reconcile.apply.traffic import IDS_PER_READ
from sippet_reconcile.errors import InputError, UnexpectedResponseError
from sippet_reconcile.progress import reporting
from sippet_reconcile.run import SENT, SETTLED, Run, load_run
from sippet_reconcile.values import learn_decimals
from sippet_reconcile.verify.comparison import HOLDS, compared, expected_of, with_undoing
from sippet_reconcile.verify.model import Verification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sippet_reconcile.api.client import Client
    from sippet_reconcile.api.exchange import Exchange
    from sippet_reconcile.apply.decisions import Texts
    from sippet_reconcile.progress import Progress, Reporter

__all__ = ["verify_run"]


def verify_run(run: Run, client: Client, *, rate: str = "5/s", progress: Progress = None) -> Verification:
    """Read again every call that a run wrote, or may have written, and compare it with what was sent.

    Instants are compared at the server's precision. Nothing is changed. A call that is not
    shown counts as missing only where another one of the run is shown in the same answer,
    or, where none is, while the token sees any call at all.

    Parameters
    ----------
    run
        From `apply_plan` or `load_run`; the plan is not needed, nor the token or the rate
        that it was applied with.
    client
        Of the API that the run wrote to.
    rate
        All requests together, about 50 calls each; as for `apply_plan`.
    progress
        See `sippet_reconcile.progress`.

    Raises
    ------
    InputError
        If the client is of another API, or the rate cannot be read.
    UnexpectedResponseError
        If what is not shown cannot be told from what is hidden.
    ApiError
        If the calls cannot be read.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_run
    >>> with sample_run() as (run, client):
    ...     proof = sr.verify_run(run, client)
    >>> proof.ok, proof.frame["observed"].tolist()
    (True, ['60', '60', '60'])
    """
    if normalise_url(client.base_url) != normalise_url(run.api_url):
        msg = f"run {run.run_id} wrote to {run.api_url}, the client is of {client.base_url}: pass a client of the same API"
        raise InputError(msg)
    reader = _Reader(client, parse_rate(rate))
    records = run.records
    sent = _sent(run)
    at = pd.Timestamp(datetime.now(UTC))
    expected = expected_of(sent)
    with reporting(progress, unit="call") as report:
        rows = reader.read(sent["call_id"].tolist(), report)
    frame = compared(expected, rows, reader.decimals)
    reverted_by = () if frame["verdict"].eq(HOLDS).all() else _reverts_of(run)
    put_back = {run_id: expected_of(_sent(load_run(run.audit, run_id))) for run_id in reverted_by}
    return Verification(
        run_id=run.run_id,
        plan_id=run.plan_id,
        api_url=run.api_url,
        head=run.head,
        verified_at=at,
        n_unsettled=len(records) - run.count(*SETTLED),
        ended=run.ended,
        started_by=run.started_by,
        audit_path=run.audit.path,
        sent_from=run.started_at,
        sent_until=run.last_at,
        reverted_by=reverted_by,
        _frame=with_undoing(frame, put_back, reader.decimals),
        _approvals=run.approvals,
    )


def _sent(run: Run) -> pd.DataFrame:
    """Return the records of the calls that a run wrote, or may have written."""
    records = run.records
    return records.loc[records["outcome"].isin([outcome.value for outcome in SENT])]


class _Reader:
    """Reads calls at an even pace, and learns from every answer how precise the server's instants are."""

    def __init__(self, client: Client, rate_per_s: float) -> None:
        self.decimals: dict[str, int] = {}
        self._pacer = Pacer(rate_per_s)
        self._client = client.paced(self._pacer.acquire, self._learn)

    def _learn(self, exchange: Exchange) -> None:
        # The frame has lost how the instants were printed, which tells the server's precision.
        if isinstance(exchange.content, Page):
            learn_decimals(self.decimals, exchange.content.decimals)
        if exchange.kind is ExchangeKind.OK:
            self._pacer.ok()
        elif exchange.kind is ExchangeKind.THROTTLED:
            self._pacer.slow_down()

    def read(self, ids: Sequence[str], report: Reporter) -> dict[str, Texts]:
        """Return what the calls hold, by id; what is absent was not shown, and is believed to be gone.

        Raises
        ------
        UnexpectedResponseError
            If a call that was shown a moment ago no longer is, or no call at all is visible.
        """
        rows: dict[str, Texts] = {}
        for done, part in enumerate(chunk_ids(ids, IDS_PER_READ)):
            report(done * IDS_PER_READ, len(ids), "verifying")
            rows |= texts_by_id(self._client.get_calls(part))
        absent = [call_id for call_id in ids if call_id not in rows]
        if rows and absent:
            # A token may have died half-way: what is missing is missing beside a call that is still there.
            control = next(iter(rows))
            for part in chunk_ids(absent, IDS_PER_READ - 1):
                rows |= self._read_beside(control, part)
        report(len(ids), len(ids), "verifying")
        return rows

    def _read_beside(self, control: str, ids: Sequence[str]) -> dict[str, Texts]:
        shown = texts_by_id(self._client.get_calls([control, *ids]))
        if control not in shown:
            msg = (
                f"call {control} was visible a moment ago and no longer is, so nothing can be said about "
                f"{plural(len(ids), 'call')} that the API does not show: check the token with Client.check(), "
                "and verify again"
            )
            raise UnexpectedResponseError(msg)
        return shown


def _reverts_of(run: Run) -> tuple[str, ...]:
    """Return the runs of the same log that undid anything of a run; none where the log is elsewhere by now."""
    if not run.audit.path.is_dir():
        return ()
    runs = run.audit.runs()
    n_sent = runs[[outcome.value for outcome in SENT]].sum(axis="columns")
    return tuple(runs.loc[runs["reverts_run_id"].eq(run.run_id) & n_sent.gt(0), "run_id"])
