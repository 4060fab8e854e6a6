"""Prove that a run holds: read again what was sent, and compare field by field.

Input are a `Run` and a client of its API, output is a `Verification`: one row per call
and field with what is expected, what is observed, and the verdict.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.api.documents import Page
from sippet_reconcile.api.urls import normalise_url
from sippet_reconcile.errors import InputError
from sippet_reconcile.report import Document, Section
from sippet_reconcile.run import SENT, Run
from sippet_reconcile.schema import Column, FrameSchema, Kind, conform
from sippet_reconcile.values import (
    INSTANT_FIELDS,
    SECONDS_FIELDS,
    instants_to_text,
    learn_decimals,
    same_value,
    seconds_to_text,
)

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from sippet_reconcile.api.client import Client
    from sippet_reconcile.api.exchange import Exchange

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
    """

    run_id: str
    plan_id: str
    api_url: str
    head: str
    verified_at: pd.Timestamp
    n_unsettled: int
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
            "head": self.head,
        }

    def __repr__(self) -> str:
        return f"<Verification of run {self.run_id}: {self._verdict()}; next: .frame>"

    def _verdict(self) -> str:
        counts = self.summary()
        sent = f"{plural(int(str(counts['n_fields'])), 'value')} sent to {plural(int(str(counts['n_calls'])), 'call')}"
        unsettled = (
            f", {plural(self.n_unsettled, 'call')} of the plan not corrected" if self.n_unsettled else ""
        )
        if self.ok:
            return f"OK, {sent}, all of them hold{unsettled}"
        return f"NOT OK, {sent}, {counts['n_differs']} differ, {counts['n_missing']} are missing{unsettled}"

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


def verify_run(run: Run, client: Client) -> Verification:
    """Read again every call that a run wrote, or may have written, and compare it with what was sent.

    Instants are compared at the server's precision. Nothing is changed.

    Parameters
    ----------
    run
        From `apply_plan` or `load_run`.
    client
        Of the API that the run wrote to.

    Raises
    ------
    InputError
        If the client is of another API.
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
    records = run.records
    sent = records.loc[records["outcome"].isin([outcome.value for outcome in SENT])]
    settled = int(records["outcome"].isin(["applied", "already"]).sum())
    at = pd.Timestamp(datetime.now(UTC))
    expected = _expected(sent)
    return Verification(
        run_id=run.run_id,
        plan_id=run.plan_id,
        api_url=run.api_url,
        head=run.head,
        verified_at=at,
        n_unsettled=len(records) - settled,
        _frame=_compared(expected, client) if len(expected) else VERIFICATION.empty(),
    )


def _expected(sent: pd.DataFrame) -> list[dict[str, Any]]:
    about = ["call_id", "call_uuid", "outcome"]
    rows = sent[about].astype(object).where(sent[about].notna(), None)
    expected: list[dict[str, Any]] = []
    for row, after in zip(rows.to_dict("records"), sent["after"], strict=True):
        call = {name: row[name] for name in about}
        for name, value in json.loads(after).items():
            expected.append({**call, "field": name, "expected": None if value is None else str(value)})
    return expected


def _compared(expected: list[dict[str, Any]], client: Client) -> pd.DataFrame:
    decimals: dict[str, int] = {}

    def learn(exchange: Exchange) -> None:
        # The frame has lost how the instants were printed, which tells the server's precision.
        if isinstance(exchange.content, Page):
            learn_decimals(decimals, exchange.content.decimals)

    ids = list(dict.fromkeys(row["call_id"] for row in expected))
    calls = client.paced(lambda: None, learn).get_calls(ids)
    held = {name: _texts(calls, name) for name in {row["field"] for row in expected}}
    seen = set(calls["id"])
    rows = []
    for row in expected:
        observed = held[row["field"]].get(row["call_id"])
        if row["call_id"] not in seen:
            verdict = MISSING
        else:
            is_same = same_value(row["field"], row["expected"], observed, decimals=decimals)
            verdict = HOLDS if is_same else DIFFERS
        rows.append({**row, "observed": observed, "verdict": verdict})
    columns = {name: pd.Series([row[name] for row in rows], dtype="str") for name in VERIFICATION.names}
    return conform(pd.DataFrame(columns), VERIFICATION)


def _texts(calls: pd.DataFrame, name: str) -> dict[str, str | None]:
    """Return one attribute of the calls as text in API form, by call id."""
    column = calls[name]
    if name in INSTANT_FIELDS:
        column = instants_to_text(column)
    elif name in SECONDS_FIELDS:
        column = seconds_to_text(column)
    return {
        str(call_id): text if isinstance(text, str) else None
        for call_id, text in zip(calls["id"], column, strict=True)
    }
