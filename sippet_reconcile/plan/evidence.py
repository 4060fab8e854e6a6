"""Lay beside a change what a reviewer needs: the call as fetched, its CDR, every source line.

Input is a reconciliation; output are the rows of the calls that a plan may touch, and
a count and a list of what is wrong but cannot be corrected through the API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.keys import match_positions
from sippet_reconcile.plan.frames import DISPUTES, NOT_PATCHABLE, PLAN_CALLS, is_among, to_schema
from sippet_reconcile.report.columns import source_lines
from sippet_reconcile.schema import PATCHABLE, Bucket, take, text_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.plan.build import ReconciliationLike

__all__ = [
    "MAX_DISPUTES",
    "UNBILLED",
    "WRONG",
    "calls_of_plan",
    "disputes_of",
    "not_patchable_of",
]

MAX_DISPUTES: Final = 100_000
"""Rows of disputes that a plan keeps at most: those with the most seconds; all are counted."""

WRONG: Final = "wrong"
"""The kind of a dispute about a call: its field is wrong and no PATCH takes it."""

UNBILLED: Final = "unbilled"
"""The kind of a dispute about a CDR call that was talked in and has no Call record."""

EXAMPLES: Final = 3
"""How many examples stand for a kind of error that cannot be corrected."""

_NOWHERE: Final = "?:?"
"""What stands for the place of a row that has neither file nor line."""

_FROM_CALL: Final = (
    "status",
    "duration_seconds",
    "ended_at",
    "call_source",
    "started_at",
    "direction",
    "from_number",
    "to_number",
    "sip_username",
)
_FROM_CDR: Final = (
    "started_at",
    "answered_at",
    "ended_at",
    "total_s",
    "billable_s",
    "status",
    "is_answered",
    "n_legs",
)


def calls_of_plan(ids: pd.Series[str], rows: pd.DataFrame, rec: ReconciliationLike) -> pd.DataFrame:
    """Return `PLAN_CALLS` for some calls of a reconciliation.

    Parameters
    ----------
    ids
        The calls, each once.
    rows
        Their discrepancies, which name the CDR call of each.
    """
    known = rec.calls["id"]
    if "bucket" in rec.calls:
        # Of a call that was read several times, the copy that was compared.
        known = known.where(rec.calls["bucket"].ne(Bucket.DUPLICATE.value))
    calls = take(rec.calls, None, match_positions(text_array(ids), text_array(known)))
    first = rows.drop_duplicates("call_id").set_index("call_id").reindex(ids)
    cdr_id = first["cdr_id"].reset_index(drop=True)
    cdr = take(rec.cdr_calls, None, match_positions(text_array(cdr_id), text_array(rec.cdr_calls["cdr_id"])))
    columns: dict[str, Any] = {
        "call_id": ids,
        "call_uuid": calls["call_uuid"],
        **{name: calls[name] for name in _FROM_CALL},
        **{f"{name}_cdr": cdr[name] for name in _FROM_CDR},
        "sources": cdr_id.map(_sources_of(cdr_id, rec.legs)).astype("str"),
        **({"confidence": first["confidence"].array} if "confidence" in first else {}),
    }
    return to_schema(pd.DataFrame(columns), PLAN_CALLS)


def _sources_of(cdr_ids: pd.Series[str], legs: pd.DataFrame) -> pd.Series[Any]:
    """Return, by CDR call, every ``file:line`` in it, in the order of files and lines."""
    positions = match_positions(text_array(legs["cdr_id"].reset_index(drop=True)), text_array(cdr_ids))
    ours = take(legs, ["cdr_id", "source_file", "source_row"], np.flatnonzero(positions >= 0))
    ours = ours.sort_values(["cdr_id", "source_file", "source_row"], kind="stable")
    lines = source_lines(ours).fillna(_NOWHERE).set_axis(pd.Index(ours["cdr_id"]))
    # Most calls have one leg: only the others are joined, one by one.
    several = lines.index.duplicated(keep=False)
    joined = lines[several].groupby(level=0).agg("; ".join)
    return pd.concat([lines[~several], joined]) if len(joined) else lines


def not_patchable_of(rec: ReconciliationLike) -> pd.DataFrame:
    """Count what is wrong and cannot be corrected through the API, with a few examples of each kind."""
    found = rec.discrepancies
    rows: list[dict[str, Any]] = []
    foreign = found.loc[~is_among(found["field"], PATCHABLE)]
    for (name, cause), part in foreign.groupby(["field", "explanation"], dropna=False, sort=True):
        rows.append(
            {
                "what": f"{name} differs",
                "explanation": cause if isinstance(cause, str) else None,
                "n_calls": part["call_id"].nunique(),
                "seconds": None,
                "examples": "; ".join(sorted(part["call_id"].unique())[:EXAMPLES]),
            }
        )
    rows.sort(key=lambda row: (-row["n_calls"], row["what"], row["explanation"] or ""))
    rows += _missing_calls(rec.only_in_cdr)
    frame = pd.DataFrame(rows, columns=NOT_PATCHABLE.names)
    return to_schema(frame, NOT_PATCHABLE)


def disputes_of(rec: ReconciliationLike, most: int = MAX_DISPUTES) -> pd.DataFrame:
    """Return `DISPUTES`: what is wrong or unbilled and no correction settles, most seconds first.

    Parameters
    ----------
    rec
        A reconciliation.
    most
        Rows to keep; `not_patchable_of` counts those beyond, too.
    """
    found, alone = rec.discrepancies, rec.only_in_cdr
    wrong = np.flatnonzero(~is_among(found["field"], PATCHABLE).to_numpy())
    unbilled = np.flatnonzero(_is_talked(alone).to_numpy())
    at = match_positions(text_array(found["cdr_id"].iloc[wrong]), text_array(rec.cdr_calls["cdr_id"]))
    talked = take(rec.cdr_calls, ["billable_s"], at)["billable_s"]
    both = [found.iloc[wrong], alone.iloc[unbilled]]
    seconds = pd.concat([talked, both[1]["billable_s"]], ignore_index=True)
    size = seconds.to_numpy(dtype="float64", na_value=-1.0)
    # Among equal seconds by file, line and field, so that the order of the rows decides nothing.
    lines = np.concatenate([part["source_row"].to_numpy(dtype="int64", na_value=0) for part in both])
    files = _rank(pd.concat([part["source_file"] for part in both]))
    fields = np.append(_rank(both[0]["field"]), np.zeros(len(unbilled), np.int64))
    # Only the rows that stay are gathered: a month whose starts are all wrong has as many of them as calls.
    kept = np.lexsort((fields, lines, files, -size))[:most]
    is_wrong = kept < len(wrong)
    parts = [
        _disputed(found, wrong[kept[is_wrong]], WRONG),
        _disputed(_with_e164(alone), unbilled[kept[~is_wrong] - len(wrong)], UNBILLED),
    ]
    place = np.argsort(np.concatenate([np.flatnonzero(is_wrong), np.flatnonzero(~is_wrong)]))
    disputes = pd.concat(parts, ignore_index=True).iloc[place]
    return to_schema(disputes.assign(seconds=seconds.array.take(kept)), DISPUTES)


def _rank(texts: pd.Series[str]) -> NDArray[np.int64]:
    """Return whole numbers that sort as the texts do; few of them are distinct."""
    return pd.factorize(texts, sort=True)[0].astype("int64")


def _with_e164(alone: pd.DataFrame) -> pd.DataFrame:
    """Return calls of the CDR with their numbers in E.164 where it has them: a rate is found by no other."""
    return alone.assign(
        **{
            f"{party}_number": alone[f"{party}_e164"].where(
                alone[f"{party}_e164"].notna(), alone[f"{party}_number"]
            )
            for party in ("from", "to")
            if f"{party}_e164" in alone.columns
        }
    )


def _disputed(frame: pd.DataFrame, positions: NDArray[np.intp], kind: str) -> pd.DataFrame:
    names = [name for name in DISPUTES.names if name in frame.columns]
    return to_schema(take(frame, names, positions).assign(kind=kind), DISPUTES)


def _is_talked(only_in_cdr: pd.DataFrame) -> pd.Series[bool]:
    """Mark the CDR calls that were talked in."""
    answered = only_in_cdr["is_answered"].fillna(value=False).astype("bool")
    return answered & only_in_cdr["billable_s"].fillna(0).gt(0)


def _missing_calls(only_in_cdr: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row for the CDR calls that were talked in and are in no invoice, and one for the others."""
    seconds = only_in_cdr["billable_s"].fillna(0)
    talked = _is_talked(only_in_cdr)
    rows = []
    for what, mask in (
        ("answered in the CDR, but there is no Call record", talked),
        ("not answered in the CDR, and there is no Call record", ~talked),
    ):
        part = only_in_cdr.loc[mask]
        if part.empty:
            continue
        first = part.sort_values(["billable_s", "cdr_id"], ascending=[False, True], kind="stable").head(
            EXAMPLES
        )
        rows.append(
            {
                "what": what,
                "explanation": None,
                "n_calls": len(part),
                "seconds": float(seconds[mask].sum()),
                "examples": "; ".join(source_lines(first).fillna(_NOWHERE)),
            }
        )
    return rows
