"""Compare what a run sent with what the calls hold: one row per call and field.

Input are the records of the calls that were written, or may have been, and the calls as
they were read; output is a frame. Pure: nothing is read here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile.schema import Column, FrameSchema, Kind, conform
from sippet_reconcile.values import same_value

if TYPE_CHECKING:
    from sippet_reconcile.apply.decisions import Texts

__all__ = ["DIFFERS", "HOLDS", "MISSING", "VERIFICATION", "compared", "expected_of", "with_undoing"]

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
        Column("undone_by", Kind.TEXT, "of what differs, the run that put back what the call holds now"),
    ),
)


def expected_of(sent: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what each call should hold, one row per call and field."""
    about = ["call_id", "call_uuid", "outcome"]
    rows = sent[about].astype(object).where(sent[about].notna(), None)
    expected: list[dict[str, Any]] = []
    for row, after in zip(rows.to_dict("records"), sent["after"], strict=True):
        call = {name: row[name] for name in about}
        for name, value in json.loads(after).items():
            expected.append({**call, "field": name, "expected": None if value is None else str(value)})
    return expected


def compared(
    expected: list[dict[str, Any]], held: dict[str, Texts], decimals: dict[str, int]
) -> pd.DataFrame:
    """Return what was expected beside what is held, with the verdict; see `VERIFICATION`.

    Parameters
    ----------
    expected
        As `expected_of` returns it.
    held
        The calls that the API shows, by id.
    decimals
        Field to the decimals of a second that the server answers, at which instants are compared.
    """
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
        rows.append({**row, "observed": observed, "verdict": verdict, "undone_by": None})
    columns = {name: pd.Series([row[name] for row in rows], dtype="str") for name in VERIFICATION.names}
    return conform(pd.DataFrame(columns), VERIFICATION)


def with_undoing(
    frame: pd.DataFrame, put_back: dict[str, list[dict[str, Any]]], decimals: dict[str, int]
) -> pd.DataFrame:
    """Return the comparison in which each value that was put back names the run that did so.

    A value that differs from what that run sent, too, was changed by somebody else.

    Parameters
    ----------
    frame
        `VERIFICATION`.
    put_back
        Run to what it sent, as `expected_of` returns it; of several that sent what a call holds, the last counts.
    decimals
        As for `compared`.
    """
    sent = {
        (row["call_id"], row["field"]): (run_id, row["expected"])
        for run_id, rows in put_back.items()
        for row in rows
    }
    told = []
    for call_id, field, observed, verdict in zip(
        frame["call_id"], frame["field"], _plain(frame["observed"]), frame["verdict"], strict=True
    ):
        run_id, value = sent.get((call_id, field), (None, None))
        is_undone = verdict == DIFFERS and run_id is not None
        told.append(run_id if is_undone and same_value(field, value, observed, decimals=decimals) else None)
    return frame.assign(undone_by=pd.Series(told, index=frame.index, dtype="str"))


def _plain(texts: pd.Series[str]) -> list[str | None]:
    return [text if isinstance(text, str) else None for text in texts]
