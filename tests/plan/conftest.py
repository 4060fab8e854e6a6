"""A reconciliation built by hand, so that planning is tested against values worked out elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest

from sippet_reconcile.period import Period
from sippet_reconcile.reconciliation import Finding, Rules
from sippet_reconcile.reconciliation.findings import Findings, Severity
from sippet_reconcile.schema import CALLS, DISCREPANCIES, conform

API = "https://api.example.com"
CDR_COLUMNS = {
    "cdr_id": "str",
    "n_legs": "Int64",
    "source_file": "str",
    "source_row": "Int64",
    "started_at": "datetime64[us, UTC]",
    "answered_at": "datetime64[us, UTC]",
    "ended_at": "datetime64[us, UTC]",
    "total_s": "Float64",
    "billable_s": "Float64",
    "is_answered": "boolean",
    "status": "str",
    "time_problem": "str",
}
LEG_COLUMNS = {"cdr_id": "str", "source_file": "str", "source_row": "Int64"}


def typed(rows: list[dict[str, Any]], dtypes: dict[str, str]) -> pd.DataFrame:
    """Return rows as a frame of exactly these columns and types."""
    columns: dict[str, Any] = {}
    for name, dtype in dtypes.items():
        values = [row.get(name) for row in rows]
        if dtype.startswith("datetime64"):
            columns[name] = pd.to_datetime(
                pd.Series(values, dtype="object"), utc=True, format="ISO8601"
            ).dt.as_unit("us")
        else:
            columns[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(columns)


@dataclass
class HandMade:
    """What planning reads of a reconciliation."""

    discrepancies: pd.DataFrame
    calls: pd.DataFrame
    cdr_calls: pd.DataFrame
    legs: pd.DataFrame
    n_compared: int
    rules: Rules = field(default_factory=lambda: Rules(duration="billable"))
    period: Period | None = field(default_factory=lambda: Period.month("2026-10"))
    api_url: str | None = API
    findings: Findings = field(default_factory=Findings)
    known_statuses: tuple[str, ...] = ("completed", "no_answer", "answered")
    only_in_cdr: pd.DataFrame = field(default_factory=lambda: typed([], CDR_COLUMNS))
    balance: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame({"side": ["api"], "bucket": ["matched"], "rows": [1]})
    )

    def ledger(self) -> pd.DataFrame:
        """Count the calls that agree, whose seconds are 100 each, and those that differ."""
        rows = []
        for name in ("status", "duration_seconds", "ended_at"):
            n = self.n_compared - int(self.discrepancies["field"].eq(name).sum())
            seconds = 100.0 * n if name == "duration_seconds" else None
            rows.append(
                {"field": name, "explanation": "agreeing", "is_corrected": False, "n_calls": n,
                 "before_s": seconds, "change_s": None if seconds is None else 0.0, "after_s": seconds}
            )  # fmt: skip
            wrong = self.discrepancies.loc[self.discrepancies["field"].eq(name)]
            have = float(wrong["call_s"].sum()) if name == "duration_seconds" else None
            rows.append(
                {**rows[-1], "explanation": "wrong", "n_calls": len(wrong), "before_s": have, "after_s": have}
            )
        types = {"field": "str", "explanation": "str", "is_corrected": "boolean", "n_calls": "Int64",
                 "before_s": "Float64", "change_s": "Float64", "after_s": "Float64"}  # fmt: skip
        return pd.DataFrame(rows).astype(types)


def call_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


@pytest.fixture
def make_rec() -> Callable[..., HandMade]:
    """Return a function from plain rows to a reconciliation.

    Each row is one call: ``call`` (its attributes), ``cdr`` (the CDR side) and
    ``wrong`` (field to ``(value in the API, value by the CDR, explanation)``), ``why_not``
    (field to the reason why it may not be corrected).
    """

    def make(rows: list[dict[str, Any]], *, n_compared: int = 1000, **options: Any) -> HandMade:
        calls, cdrs, legs, found = [], [], [], []
        for number, row in enumerate(rows, start=1):
            attributes = {
                "id": call_id(number), "call_uuid": f"uuid-{number}", "direction": "inbound",
                "from_number": "+442079460123", "to_number": "+442079460999", "sip_username": "anna",
                "status": "completed", "call_source": "sip", "started_at": "2026-10-05T10:00:00Z",
                "ended_at": "2026-10-05T10:02:00Z", "duration_seconds": 60, "api_url": API,
                "fetched_at": "2026-11-02T00:00:00Z", **row.get("call", {}),
            }  # fmt: skip
            cdr = {
                "cdr_id": f"cdr-{number}", "n_legs": 1, "source_file": "october.csv", "source_row": number + 1,
                "started_at": "2026-10-05T10:00:00Z", "answered_at": "2026-10-05T10:00:10Z",
                "ended_at": "2026-10-05T10:02:00Z", "total_s": 120.0, "billable_s": 110.0, "is_answered": True,
                "status": "completed", **row.get("cdr", {}),
            }  # fmt: skip
            calls.append(attributes)
            cdrs.append(cdr)
            legs.append({"cdr_id": cdr["cdr_id"], "source_file": "october.csv", "source_row": number + 1})
            for name, (before, after, cause) in row.get("wrong", {}).items():
                is_seconds = name == "duration_seconds"
                why_not = row.get("why_not", {}).get(name)
                call_s = float(before) if is_seconds and before is not None else None
                cdr_s = float(after) if is_seconds else None
                found.append(
                    {**{k: attributes[k] for k in ("call_uuid", "direction", "from_number", "to_number", "sip_username")},
                     "call_id": attributes["id"], "field": name, "value_call": before, "value_cdr": after,
                     "call_s": call_s, "cdr_s": cdr_s, "delta_s": cdr_s - (call_s or 0.0) if is_seconds else None,
                     "explanation": cause, "match_rule": "call_uuid",
                     "is_patchable": name in ("status", "duration_seconds", "ended_at") and why_not is None,
                     "why_not": why_not, "cdr_id": cdr["cdr_id"],
                     "source_file": cdr["source_file"], "source_row": cdr["source_row"],
                     "started_at": attributes["started_at"]}
                )  # fmt: skip
        return HandMade(
            discrepancies=typed(found, DISCREPANCIES.dtypes),
            calls=conform(typed(calls, CALLS.dtypes), CALLS),
            cdr_calls=typed(cdrs, CDR_COLUMNS),
            legs=typed(legs, LEG_COLUMNS),
            n_compared=n_compared,
            **options,
        )

    return make


@pytest.fixture
def ids() -> Callable[[int], str]:
    """Return the id of the call with a number, counted from 1."""
    return call_id


@pytest.fixture
def make_finding() -> Callable[..., Findings]:
    """Return findings that hold one finding."""

    def make(code: str, severity: str = "stop", **evidence: Any) -> Findings:
        frame = pd.DataFrame(evidence)
        return Findings([Finding(code, Severity(severity), f"The data has {code}.", frame, "Look at it.")])

    return make


@pytest.fixture
def make_calls() -> Callable[..., pd.DataFrame]:
    """Return a function from plain rows to a frame of calls."""

    def make(rows: list[dict[str, Any]]) -> pd.DataFrame:
        full = [
            {"id": call_id(number), "call_uuid": f"uuid-{number}", "direction": "inbound",
             "from_number": "+442079460123", "to_number": "+442079460999", "status": "completed",
             "call_source": "sip", "started_at": "2026-10-05T10:00:00Z", "ended_at": "2026-10-05T10:02:00Z",
             "duration_seconds": 60, "api_url": API, "fetched_at": "2026-11-02T00:00:00Z", **row}
            for number, row in enumerate(rows, start=1)
        ]  # fmt: skip
        return typed(full, CALLS.dtypes)

    return make
