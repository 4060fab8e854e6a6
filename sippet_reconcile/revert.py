"""Undo a run: a plan, made from its audit records, that puts back what each call held.

Input is a `Run`, output a `Plan` that is reviewed, approved and applied like any other.
Calls that changed since are skipped as drift when it is applied; the revert of a revert
is made in the same way.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile.audit import Outcome
from sippet_reconcile.plan import Plan
from sippet_reconcile.run import SENT, Run, load_run
from sippet_reconcile.schema import CHANGES, conform
from sippet_reconcile.values import SECONDS_FIELDS, same_value, text_to_instants

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["revert_run"]

_EXPLANATION: Final = "revert"
_TEXTS: Final = ("call_uuid", "status", "call_source")


def revert_run(run: Run) -> Plan:
    """Return the plan that undoes a run.

    It takes the calls that were, or may have been, written: `applied`, `altered` and
    `unknown`. Its ``after`` is what each call held just ahead of our writing, as the
    intent recorded it; its ``before`` is what our writing left there, which is what we
    sent, or for an altered call what the API made of it. Whatever changed since is
    skipped when the plan is applied. Once it was, the original plan is refused in the
    same log.

    Parameters
    ----------
    run
        From `apply_plan` or `load_run`, complete or not; it is undone as far as it got by
        now, other sessions included. Its log is checked first: what somebody edited there
        must not be written back.

    Returns
    -------
    Plan
        Of kind ``revert``, without changes where the run wrote nothing. What cannot be put
        back, such as a negative duration, is in its ``left_out`` with the reason.

    Raises
    ------
    AuditError
        If a record of the log is not as it was written.
    InputError
        If the log is no longer there.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_run
    >>> with sample_run() as (run, _):
    ...     undo = sr.revert_run(run)
    >>> undo.kind, undo.changes["before"].tolist()
    ('revert', ['60', '60', '60'])
    """
    run.audit.require_untouched()
    # The log and not this object: the run may have gone on in another session since, and all of it is undone.
    records = load_run(run.audit, run.run_id).records
    sent = records.loc[records["outcome"].isin([outcome.value for outcome in SENT])]
    changes: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for row in sent.astype(object).where(sent.notna(), None).to_dict("records"):
        held, wrote, left = _values(row["before"]), _values(row["after"]), _values(row["observed"])
        is_altered = row["outcome"] == Outcome.ALTERED.value
        if is_altered:
            wrote |= {name: left[name] for name in wrote if name in left}
        undone = [name for name in wrote if not same_value(name, wrote[name], held[name])]
        if not undone:
            continue
        # Of an altered call, what else changed under our PATCH, its start for one, is not a change since.
        stands = {**_values(row["reread"]), **(left if is_altered else {}), **wrote}
        calls.append({**stands, "call_id": row["call_id"], "call_uuid": row["call_uuid"]})
        changes += [_change(run, row, name, wrote[name], held[name]) for name in undone]
    return Plan.from_changes(
        _frame(changes), kind="revert", api_url=run.api_url, calls=_calls(calls), reverts_run_id=run.run_id
    )


def _values(text: str | None) -> dict[str, str | None]:
    """Return the JSON values of a record as texts in API form."""
    values: dict[str, object] = json.loads(text) if text else {}
    return {name: None if value is None else str(value) for name, value in values.items()}


def _change(
    run: Run, row: Mapping[Any, Any], name: str, before: str | None, after: str | None
) -> dict[str, Any]:
    seconds = name in SECONDS_FIELDS
    before_s = float(before) if seconds and before is not None else None
    after_s = float(after) if seconds and after is not None else None
    # As in every plan, a missing duration counts as no seconds.
    delta_s = (after_s or 0.0) - (before_s or 0.0) if seconds else None
    return {
        "call_id": row["call_id"],
        "call_uuid": row["call_uuid"],
        "field": name,
        "before": before,
        "after": after,
        "before_s": before_s,
        "after_s": after_s,
        "delta_s": delta_s,
        "explanation": _EXPLANATION,
        "reason": f"undoes run {run.run_id}",
        "match_rule": None,
        "source_file": row["source_file"],
        "source_row": row["source_row"],
    }


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    if not rows:
        return CHANGES.empty()
    typed = {
        name: pd.Series([row[name] for row in rows], dtype=dtype) for name, dtype in CHANGES.dtypes.items()
    }
    return conform(pd.DataFrame(typed), CHANGES)


def _calls(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return what is known of the calls as they stand after our writing."""
    names = ["call_id", *_TEXTS, "duration_seconds", "ended_at", "started_at"]
    texts = {name: pd.Series([row.get(name) for row in rows], dtype="str") for name in names}
    seconds = texts["duration_seconds"].astype("object").where(texts["duration_seconds"].notna(), None)
    return pd.DataFrame(texts).assign(
        duration_seconds=pd.Series([None if text is None else int(text) for text in seconds], dtype="Int64"),
        ended_at=text_to_instants(texts["ended_at"]),
        started_at=text_to_instants(texts["started_at"]),
    )
