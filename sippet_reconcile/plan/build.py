"""Decide which discrepancies become changes, and say why the others do not.

Input is a reconciliation and what an operator asks for; output is a `Plan`. Every
discrepancy in a field that can be corrected ends either in ``changes`` or, with a
reason, in ``left_out``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pandas as pd

from sippet_reconcile.keys import match_positions
from sippet_reconcile.plan.accepted import reasons_though_accepted
from sippet_reconcile.plan.edges import reasons_at_edges
from sippet_reconcile.plan.evidence import calls_of_plan, disputes_of, not_patchable_of
from sippet_reconcile.plan.frames import FINDINGS, LEFT_OUT, is_among, to_schema
from sippet_reconcile.plan.guards import (
    checked_accept,
    checked_fields,
    checked_url,
    checked_words,
    guard_findings,
    guard_size,
)
from sippet_reconcile.plan.ledgers import account
from sippet_reconcile.plan.model import Plan
from sippet_reconcile.plan.selection import Where, chosen_rows
from sippet_reconcile.plan.validation import value_problem
from sippet_reconcile.plan.whole_record import judge_calls
from sippet_reconcile.reconciliation.comparing.doubts import START_ONLY
from sippet_reconcile.reconciliation.explaining.explain import find_explanation
from sippet_reconcile.reconciliation.ledger import AGREEING, NO_EVIDENCE, WITHIN_TOLERANCE
from sippet_reconcile.schema import CHANGES, PATCHABLE, text_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation.findings import Findings
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["ReconciliationLike", "build_plan", "status_vocabulary"]

NOT_ASKED: Final = "its field was not asked for (fields=…)"
NOT_CHOSEN: Final = "the call was not chosen (where=…)"
NO_SUCH_STATUS: Final = "the API is not known to have this status; name it in status_map, or pass statuses=client.describe().statuses"
NOT_A_VALUE: Final = "the CDR gives no value that the API takes"
UNCHANGED: Final = "the API already has this value"
NOT_SAFE: Final = "it cannot be corrected safely"
"""Why a discrepancy of a saved reconciliation is left out that kept no reason."""

_DURATION: Final = "duration_seconds"


class ReconciliationLike(Protocol):
    """What planning reads of a reconciliation."""

    @property
    def rules(self) -> Rules:
        """The resolved rules."""

    @property
    def period(self) -> Period | None:
        """The period."""

    @property
    def api_url(self) -> str | None:
        """The API the calls came from."""

    @property
    def findings(self) -> Findings:
        """What is wrong with the data as a whole."""

    @property
    def discrepancies(self) -> pd.DataFrame:
        """`schema.DISCREPANCIES`."""

    @property
    def calls(self) -> pd.DataFrame:
        """`schema.CALLS` and where each call ended up."""

    @property
    def legs(self) -> pd.DataFrame:
        """`schema.LEGS` and where each leg ended up."""

    @property
    def cdr_calls(self) -> pd.DataFrame:
        """One row per reduced CDR call."""

    @property
    def only_in_cdr(self) -> pd.DataFrame:
        """CDR calls without a call."""

    @property
    def balance(self) -> pd.DataFrame:
        """Where every row ended up."""

    @property
    def known_statuses(self) -> Sequence[str]:
        """Statuses among the calls."""

    @property
    def n_compared(self) -> int:
        """How many calls were compared."""

    def ledger(self) -> pd.DataFrame:
        """Return calls and seconds by field and cause."""


def build_plan(
    rec: ReconciliationLike,
    *,
    fields: str | Iterable[str] = PATCHABLE,
    where: Where = None,
    statuses: Sequence[str] = (),
    max_calls: int | None = None,
    max_share: float | None = 0.2,
    accept: str | Iterable[str] = (),
    api_url: str | None = None,
) -> Plan:
    """Turn the discrepancies of a reconciliation into a plan of corrections.

    Parameters
    ----------
    rec
        A `Reconciliation`; it is not changed.
    fields
        The attributes to correct, of `PATCHABLE`.
    where
        A ``DataFrame.query`` text or a function, on ``rec.discrepancies``. A call with
        any row that is marked is planned whole: all its rows of the `fields`.
    statuses
        Further statuses that the API is known to have, such as
        ``client.describe().statuses``. A status is written only if it occurs among the
        fetched calls, the rules' ``status_map`` names it, or it is listed here.
    max_calls
        The most calls the plan may touch.
    max_share
        The largest share of the compared calls it may touch, beyond 50 calls.
    accept
        Codes of ``stop`` findings that were looked at and found harmless. An accepted
        ``timezone-shift`` or drifting ``clock-offset`` still plans no ``ended_at``, and
        ``rounded-durations`` no seconds within an increment; ``plan.left_out`` says so.
    api_url
        The API the calls belong to, where the frame of calls does not say.

    Returns
    -------
    Plan
        Perhaps without any change; ``plan.left_out`` has every discrepancy that is
        not corrected, with its reason.

    Raises
    ------
    PlanGuardError
        If a finding says stop, or the plan would touch more calls than the guards allow.
    InputError
        If an option is not one.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> legs = sr.read_cdr(sample_data() / "freeswitch" / "Master.csv", timezone="Europe/London", country="GB")
    >>> calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    >>> rec = sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"))
    >>> plan = sr.build_plan(rec, where="explanation == 'missing'", api_url="https://api.example.com")
    >>> plan.changes["explanation"].unique().tolist(), plan.changes["before"].isna().all().item()
    (['missing'], True)
    """
    wanted = checked_fields(fields)
    accepted = checked_accept(accept)
    extra = checked_words("statuses", statuses)
    url = checked_url(rec.api_url, api_url)
    guard_findings(rec.findings, accepted)
    found = rec.discrepancies.reset_index(drop=True)
    chosen = is_among(found["call_id"], found.loc[chosen_rows(where, found), "call_id"])
    is_ours = is_among(found["field"], PATCHABLE)
    rows = found.loc[is_ours].reset_index(drop=True)
    is_chosen = chosen[is_ours].to_numpy(dtype="bool")
    calls = calls_of_plan(rows["call_id"].drop_duplicates().reset_index(drop=True), rows, rec)
    vocabulary = status_vocabulary(rec.known_statuses, rec.rules, extra)
    reasons = _row_reasons(rows, is_chosen, calls, rec, wanted=wanted, vocabulary=vocabulary)
    planned = pd.isna(reasons)
    changes = _changes_of(rows.loc[planned])
    broken = judge_calls(changes, calls, rec.rules)
    whole = rows["call_id"].map(broken).to_numpy(dtype=object)
    reasons = np.where(planned & pd.notna(whole), whole, reasons)
    changes = changes.loc[~is_among(changes["call_id"], broken.index)].reset_index(drop=True)
    guard_size(
        changes["call_id"].nunique(), n_compared=rec.n_compared, max_calls=max_calls, max_share=max_share
    )
    is_left = pd.notna(reasons)
    left_out = to_schema(rows.loc[is_left].assign(reason=reasons[is_left]), LEFT_OUT)
    left_out = left_out.sort_values(["call_id", "field", "reason"], kind="stable", ignore_index=True)
    return Plan.from_changes(
        changes,
        kind="reconciliation",
        api_url=url,
        calls=calls,
        left_out=left_out,
        period=rec.period,
        rules=rec.rules,
        accept=accepted,
        findings=_findings_of(rec.findings),
        ledger=_ledger_of(rec, rows, changes, is_left),
        balance=rec.balance,
        not_patchable=not_patchable_of(rec),
        disputes=disputes_of(rec),
        selection={
            "fields": list(wanted),
            "where": where if isinstance(where, str) or where is None else "a function",
            "statuses": list(extra),
            "max_calls": max_calls,
            "max_share": max_share,
        },
        n_compared=rec.n_compared,
    )


def status_vocabulary(known: Iterable[str], rules: Rules, extra: Iterable[str]) -> frozenset[str]:
    """Return the statuses that may be written, in the API's own spelling."""
    mapped = (word for words in rules.status_map.values() for word in words)
    return frozenset({*known, *mapped, *extra})


def _row_reasons(
    rows: pd.DataFrame,
    chosen: NDArray[np.bool_],
    calls: pd.DataFrame,
    rec: ReconciliationLike,
    *,
    wanted: Sequence[str],
    vocabulary: frozenset[str],
) -> NDArray[Any]:
    """Say for each discrepancy, looked at alone, why it is not planned; None where nothing speaks against it."""
    field = rows["field"]
    is_status = field.eq("status")
    positions = match_positions(text_array(rows["call_id"]), text_array(calls["call_id"]))
    no_start = calls["started_at"].isna().to_numpy()[positions]
    cdr_ids = rows.drop_duplicates("call_id")["cdr_id"]
    at_edges = reasons_at_edges(calls, cdr_ids, rec)[positions]
    tests: list[tuple[str, Any]] = [
        (NOT_ASKED, ~is_among(field, wanted)),
        (NOT_CHOSEN, ~chosen),
        (START_ONLY, no_start & ~is_status),
        *_reasons_given(rows["why_not"]),
        *_reasons_given(pd.Series(at_edges, dtype="str")),
        *reasons_though_accepted(rows, calls, positions, rec),
        (NO_SUCH_STATUS, is_status & rows["value_cdr"].notna() & ~is_among(rows["value_cdr"], vocabulary)),
        (NOT_A_VALUE, ~_is_value(rows)),
        (NOT_SAFE, ~rows["is_patchable"].fillna(value=False).astype("bool")),
        (UNCHANGED, rows["value_call"].eq(rows["value_cdr"]).fillna(value=False)),
    ]
    reasons = np.full(len(rows), None, dtype=object)
    # The first test that holds gives the reason, so the last is written first.
    for reason, holds in reversed(tests):
        reasons[np.asarray(holds, dtype="bool")] = reason
    return reasons


def _reasons_given(reasons: pd.Series[str]) -> list[tuple[str, Any]]:
    return [(str(reason), reasons.eq(reason)) for reason in reasons.dropna().unique()]


def _is_value(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark the rows whose CDR value may be written, looking at each distinct value once."""
    if rows.empty:
        return np.zeros(0, np.bool_)
    codes, distinct = pd.factorize(pd.MultiIndex.from_frame(rows[["field", "value_cdr"]]))
    good = np.array([value_problem(name, value) is None for name, value in distinct], dtype="bool")
    return good[codes]


def _changes_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the discrepancies as changes: what is written, not what was measured."""
    is_duration = rows["field"].eq(_DURATION)
    after_s = pd.to_numeric(rows["value_cdr"].where(is_duration), errors="coerce").astype("Float64")
    before_s = rows["call_s"].where(is_duration).astype("Float64")
    delta_s = after_s - before_s.fillna(0)
    changes = rows.assign(
        before=rows["value_call"],
        after=rows["value_cdr"],
        before_s=before_s,
        after_s=after_s,
        delta_s=delta_s.where(is_duration),
        reason=_reasons_in_words(rows["explanation"]),
    )
    return to_schema(changes, CHANGES)


def _reasons_in_words(explanations: pd.Series[str]) -> pd.Series[str]:
    """Return the claim behind each explanation, as a sentence."""
    distinct = explanations.drop_duplicates().dropna()
    claims = {name: _claim(str(name)) for name in distinct}
    unknown = "The CDR says otherwise; no arithmetic explains the difference."
    return explanations.map(claims).fillna(unknown).astype("str")


def _claim(name: str) -> str:
    known = find_explanation(name)
    return known.claim if known is not None else f"The CDR says otherwise: {name}."


def _findings_of(findings: Findings) -> pd.DataFrame:
    columns = {
        name: pd.Series([str(getattr(finding, name)) for finding in findings], dtype="str")
        for name in FINDINGS.names
    }
    return pd.DataFrame(columns)


def _ledger_of(
    rec: ReconciliationLike, rows: pd.DataFrame, changes: pd.DataFrame, is_left: NDArray[np.bool_]
) -> pd.DataFrame:
    """Account for every compared call: those without a discrepancy from the reconciliation, the rest from here."""
    ledger = rec.ledger()
    settled = ledger["explanation"].isin([AGREEING, WITHIN_TOLERANCE, NO_EVIDENCE])
    base = ledger.loc[ledger["field"].isin(PATCHABLE) & settled]
    left = pd.DataFrame(
        {
            "field": rows["field"],
            "explanation": rows["explanation"],
            "before_s": rows["call_s"],
            "after_s": rows["cdr_s"],
        }
    ).loc[is_left]
    return account(base.assign(is_corrected=False), left, changes, ledger)
