"""Prove that a run holds: read again what was sent, and compare field by field.

Input are a `Run`, which its log brings back anywhere, and a client of its API; output is
a `Verification`: one row per call and field with what is expected, what is observed, and
the verdict. The plan is not needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

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
from sippet_reconcile.report import Document, Section
from sippet_reconcile.run import SENT, SETTLED, Run
from sippet_reconcile.schema import Column, FrameSchema, Kind, conform
from sippet_reconcile.values import learn_decimals, same_value

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from sippet_reconcile.api.client import Client
    from sippet_reconcile.api.exchange import Exchange
    from sippet_reconcile.apply.decisions import Texts
    from sippet_reconcile.progress import Progress, Reporter

__all__ = ["VERIFICATION", "Verification", "verify_run"]

HOLDS: Final = "holds"
DIFFERS: Final = "differs"
MISSING: Final = "missing"

VERIFICATION: Final = FrameSchema(
    "verification",
    "one row per call and field that was sent",
    (
        Column("call_id", Kind.TEXT, "the API's id of the call"),
        Column("call_uuid", Kind.TEXT, "its call_uuid"),
        Column("outcome", Kind.TEXT, "what the run came to for this call: applied, altered or unknown"),
        Column("field", Kind.TEXT, "the attribute that was sent"),
        Column("expected", Kind.TEXT, "what was sent, in API form; missing = null"),
        Column("observed", Kind.TEXT, "what the call holds now; missing = null, or no such call"),
        Column("verdict", Kind.TEXT, "holds, differs, or missing where the API shows no such call"),
    ),
)


@dataclass(frozen=True, eq=False, repr=False)
class Verification:
    """The proof that what a run sent is what the API holds.

    Attributes
    ----------
    run_id, plan_id, api_url, head
        The run that was verified, and the head of its log.
    verified_at
        When the calls were read.
    n_unsettled
        Calls of the plan that are neither `applied` nor `already`.
    ended
        How the run's latest session ended; None where it still runs, or died.
    reverted_by
        The runs of the same log that undid what was sent; looked for only where
        something does not hold.
    """

    run_id: str
    plan_id: str
    api_url: str
    head: str
    verified_at: pd.Timestamp
    n_unsettled: int
    ended: str | None
    reverted_by: tuple[str, ...]
    _frame: pd.DataFrame

    @property
    def frame(self) -> pd.DataFrame:
        """One row per call and field that was sent; see `VERIFICATION`."""
        return self._frame.copy(deep=False)

    @property
    def ok(self) -> bool:
        """Whether everything that was sent reads as it was sent; what was never sent is not asked for."""
        return bool(self._frame["verdict"].eq(HOLDS).all())

    def summary(self) -> dict[str, object]:
        """Return counts and plain values; every view starts here."""
        counts = {
            f"n_{verdict}": int(self._frame["verdict"].eq(verdict).sum())
            for verdict in (HOLDS, DIFFERS, MISSING)
        }
        return {
            "ok": self.ok,
            "run_id": self.run_id,
            "plan_id": self.plan_id,
            "api_url": self.api_url,
            "verified_at": self.verified_at.isoformat(),
            "n_calls": int(self._frame["call_id"].nunique()),
            "n_fields": len(self._frame),
            **counts,
            "n_unsettled": self.n_unsettled,
            "ended": self.ended,
            "reverted_by": "; ".join(self.reverted_by) or None,
            "head": self.head,
        }

    def __repr__(self) -> str:
        return f"<Verification of run {self.run_id}: {self._verdict()}; next: .frame>"

    def _verdict(self) -> str:
        counts = self.summary()
        n_fields, n_missing = int(str(counts["n_fields"])), int(str(counts[f"n_{MISSING}"]))
        sent = f"{plural(n_fields, 'value')} sent to {plural(int(str(counts['n_calls'])), 'call')}"
        if self.ok:
            verdict = f"OK, {sent}, all of them hold"
        else:
            verdict = f"NOT OK, {sent}, {counts['n_differs']} differ, {n_missing} are missing"
        if self.n_unsettled:
            verdict += f", {plural(self.n_unsettled, 'call')} of the plan not corrected"
        if self.ended is None:
            verdict += (
                "; the run is not over: it still runs, or died and is continued by applying its plan again"
            )
        if self.reverted_by:
            verdict += f"; undone since by run {', '.join(self.reverted_by)}"
        if n_missing and n_missing == n_fields:
            verdict += (
                "; other calls are visible, so the token lives, but it may be one of another organisation"
            )
        return verdict

    def _repr_html_(self) -> str:
        return self._document()._repr_html_()

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the proof as one self-contained HTML file with every value; return its path."""
        return self._document().to_html(path)

    def _document(self) -> Document:
        summary = self.summary()
        wrong = self._frame.loc[~self._frame["verdict"].eq(HOLDS)]
        sections = [
            Section(
                "Every value that was sent",
                "What was sent, and what the API holds now.",
                self._frame,
                filters=["field", "verdict"],
                is_searchable=True,
                in_card=False,
            )
        ]
        if len(wrong):
            intro = "Values that somebody changed since, or that were never written."
            sections.insert(0, Section("What does not hold", intro, wrong))
        facts = ("n_calls", "n_fields", f"n_{HOLDS}", f"n_{DIFFERS}", f"n_{MISSING}", "n_unsettled", "head")
        about = ("run_id", "plan_id", "api_url", "verified_at")
        return Document(
            title=f"Verification of run {self.run_id}",
            subtitle=self.api_url,
            verdict=f"{self._verdict()}.",
            tone="ok" if self.ok else "stop",
            facts={name.removeprefix("n_"): summary[name] for name in facts},
            sections=sections,
            about={name: summary[name] for name in about},
            summary=summary,
        )


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
    >>> from sippet_reconcile.demo import sample_data
    >>> import tempfile
    >>> from sippet_reconcile.sandbox import Sandbox
    >>> with Sandbox(sample_data() / "api" / "calls.json") as api, tempfile.TemporaryDirectory() as audit:
    ...     client = sr.Client(api.url, token=api.token)
    ...     calls = client.fetch_calls("2026-10").query("duration_seconds > 60").head(2)
    ...     fix = calls[["id"]].rename(columns={"id": "call_id"}).assign(duration_seconds=60)
    ...     plan = sr.plan_corrections(calls, fix, reason="ticket 4711").approve(by="ana")
    ...     run = sr.apply_plan(plan, client, audit, rate="100/s", progress=False)
    ...     proof = sr.verify_run(run, client)
    ...     client.close()
    >>> proof.ok, proof.frame["observed"].tolist()
    (True, ['60', '60'])
    """
    if normalise_url(client.base_url) != normalise_url(run.api_url):
        msg = f"run {run.run_id} wrote to {run.api_url}, the client is of {client.base_url}: pass a client of the same API"
        raise InputError(msg)
    reader = _Reader(client, parse_rate(rate))
    records = run.records
    sent = records.loc[records["outcome"].isin([outcome.value for outcome in SENT])]
    at = pd.Timestamp(datetime.now(UTC))
    expected = _expected(sent)
    with reporting(progress, unit="call") as report:
        rows = reader.read(sent["call_id"].tolist(), report)
    frame = _compared(expected, rows, reader.decimals)
    return Verification(
        run_id=run.run_id,
        plan_id=run.plan_id,
        api_url=run.api_url,
        head=run.head,
        verified_at=at,
        n_unsettled=len(records) - run.count(*SETTLED),
        ended=run.ended,
        reverted_by=() if frame["verdict"].eq(HOLDS).all() else _reverts_of(run),
        _frame=frame,
    )


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


def _expected(sent: pd.DataFrame) -> list[dict[str, Any]]:
    about = ["call_id", "call_uuid", "outcome"]
    rows = sent[about].astype(object).where(sent[about].notna(), None)
    expected: list[dict[str, Any]] = []
    for row, after in zip(rows.to_dict("records"), sent["after"], strict=True):
        call = {name: row[name] for name in about}
        for name, value in json.loads(after).items():
            expected.append({**call, "field": name, "expected": None if value is None else str(value)})
    return expected


def _compared(
    expected: list[dict[str, Any]], held: dict[str, Texts], decimals: dict[str, int]
) -> pd.DataFrame:
    if not expected:
        return VERIFICATION.empty()
    rows = []
    for row in expected:
        call = held.get(row["call_id"])
        observed = None if call is None else call[row["field"]]
        if call is None:
            verdict = MISSING
        else:
            is_same = same_value(row["field"], row["expected"], observed, decimals=decimals)
            verdict = HOLDS if is_same else DIFFERS
        rows.append({**row, "observed": observed, "verdict": verdict})
    columns = {name: pd.Series([row[name] for row in rows], dtype="str") for name in VERIFICATION.names}
    return conform(pd.DataFrame(columns), VERIFICATION)


def _reverts_of(run: Run) -> tuple[str, ...]:
    """Return the runs of the same log that undid anything of a run; none where the log is elsewhere by now."""
    if not run.audit.path.is_dir():
        return ()
    runs = run.audit.runs()
    n_sent = runs[[outcome.value for outcome in SENT]].sum(axis="columns")
    return tuple(runs.loc[runs["reverts_run_id"].eq(run.run_id) & n_sent.gt(0), "run_id"])
