"""Tell of what was not compared, and why, so that nothing is dropped silently.

Input is a `Reconciliation`, output are sections of its report: what only one side has,
what is ambiguous, what is excluded, and the balance. Counts are complete, rows are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.reconciliation.page import hide_numbers
from sippet_reconcile.report import Section
from sippet_reconcile.report.bounds import bounded
from sippet_reconcile.report.columns import source_lines, utc_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sippet_reconcile.reconciliation.result import Reconciliation

__all__ = ["balance_section", "statuses_section", "uncompared_sections"]

MAX_ROWS: Final = 1000
"""Rows that the report holds of each kind of what was not compared."""

_PARTIES: Final = ("direction", "from_number", "to_number", "sip_username")
_ONLY_IN_CDR: Final = (
    "started_at",
    *_PARTIES,
    "status",
    "cause",
    "billable_s",
    "total_s",
    "source",
    "cdr_id",
)
_ONLY_IN_API: Final = (
    "started_at",
    *_PARTIES,
    "status",
    "duration_seconds",
    "ended_at",
    "call_source",
    "call_id",
)
_HEADS: Final = {
    "started_at": "started (UTC)",
    "from_number": "from",
    "to_number": "to",
    "sip_username": "user",
    "cause": "the system's words",
    "billable_s": "after the answer (s)",
    "total_s": "with ringing (s)",
    "duration_seconds": "duration (s)",
    "ended_at": "ended (UTC)",
    "call_source": "call source",
    "source": "row of the export",
    "call_id": "call",
    "cdr_id": "CDR call",
    "match_rule": "matched by",
    "start_gap_s": "CDR − API start (s)",
}
_REASONS: Final[Mapping[str, str]] = {
    "internal": "a call between numbers of one's own, which the platform does not bill",
    "legs-apart": "legs of the CDR call belong to different calls",
    "cdr-open": "the CDR's call has no end yet",
    "too-young": "it ended too shortly before the calls were fetched to be judged",
    "never-started": "it never started, so nothing but a key could match it",
    "no-start": "its start is not known",
}


def uncompared_sections(rec: Reconciliation, *, mask: bool) -> list[Section]:
    """Return the sections that tell what only one side has, what is ambiguous and what is excluded."""
    sections = [
        _one_side(
            "Only in the CDR",
            "in the export, and the API has no such call: they may never have been billed. Those of the most talk first",
            rec.only_in_cdr,
            _ONLY_IN_CDR,
            by="billable_s",
            frame="rec.only_in_cdr",
            mask=mask,
        ),
        _one_side(
            "Only in the API",
            "on the platform, and no row of the export is theirs. The longest first",
            rec.only_in_api,
            _ONLY_IN_API,
            by="duration_seconds",
            frame="rec.only_in_api",
            mask=mask,
        ),
        _ambiguous(rec),
        _excluded(rec),
    ]
    return [part for part in sections if part is not None]


def _one_side(
    title: str, told: str, rows: pd.DataFrame, columns: Sequence[str], *, by: str, frame: str, mask: bool
) -> Section | None:
    if rows.empty:
        return None
    size = rows[by].to_numpy("float64", na_value=-1.0)
    shown = rows.take(np.argsort(-size, kind="stable")[:MAX_ROWS])
    if "source" in columns:
        shown = shown.assign(source=source_lines(shown))
    shown = shown.loc[:, [name for name in columns if name in shown]].reset_index(drop=True)
    shown = shown.drop(
        columns=[
            name for name in (*_PARTIES, "cause", "call_source") if name in shown and shown[name].isna().all()
        ]
    )
    seconds = float(rows[by].sum())
    instants = [name for name in ("started_at", "ended_at") if name in shown]
    shown = shown.assign(**{name: utc_texts(shown[name].dt.floor("s")) for name in instants})
    return Section(
        title,
        f"{plural(len(rows), 'call')} of {seconds:,.0f} s {told}.{bounded(len(shown), len(rows), 'call', frame)}",
        hide_numbers(shown) if mask else shown,
        heads=_HEADS,
        filters=[name for name in ("status", "direction") if name in shown],
        is_searchable=True,
        in_card=False,
    )


def _ambiguous(rec: Reconciliation) -> Section | None:
    rivals = rec.ambiguous
    if rivals.empty:
        return None
    shown = rivals.head(MAX_ROWS)
    said = rec.summary()
    n_calls, n_cdr = said["ambiguous_calls"], said["ambiguous_cdr_calls"]
    return Section(
        "Ambiguous",
        f"{plural(n_calls, 'call')} and {plural(n_cdr, 'CDR call')} fit each other in more than one way, or not well "
        f"enough to be believed: never decided by cleverness, never changed.{bounded(len(shown), len(rivals), 'pair', 'rec.ambiguous')}",
        shown,
        heads=_HEADS,
        signed=["start_gap_s"],
        is_searchable=len(rivals) > 1,
        filters=["match_rule"],
        in_card=False,
        note="In a notebook, rec.show of its id shows a call beside its rivals.",
    )


def _excluded(rec: Reconciliation) -> Section | None:
    excluded = rec.excluded
    if excluded.empty:
        return None
    rows = excluded.groupby(["reason", "side"], as_index=False, dropna=False).size()
    rows = rows.sort_values("size", ascending=False, kind="stable")
    counted = pd.DataFrame(
        {
            "reason": rows["reason"],
            "side": rows["side"].map({"api": "API", "cdr": "CDR"}).astype("str"),
            "n_calls": rows["size"].astype("Int64"),
            "meaning": rows["reason"].map(lambda reason: _REASONS.get(str(reason), "")).astype("str"),
        }
    )
    return Section(
        "Excluded, and why",
        "Counted and left alone; a pair that is excluded counts on both sides. rec.excluded names each.",
        counted.reset_index(drop=True),
        heads={"n_calls": "calls", "meaning": "what it means"},
        in_card=False,
    )


def statuses_section(rec: Reconciliation) -> Section | None:
    """Return the section that tells which status met which; None where nothing was matched."""
    table = rec.status_table
    if table.empty:
        return None
    columns = {str(name): table[name].array for name in table.columns}
    frame = pd.DataFrame({"the CDR says": pd.Series(table.index, dtype="str"), **columns})
    return Section(
        "Statuses, CDR by API",
        "How often each status of the CDR (rows) met each of the API (columns), over all matched calls.",
        frame,
        heads={name: name for name in columns},
        in_card=False,
    )


def balance_section(rec: Reconciliation) -> Section:
    """Return the section that tells where every row ended up."""
    balance = rec.balance
    rows = balance.loc[balance["rows"].gt(0)].reset_index(drop=True)
    return Section(
        "Where every row ended up",
        f"Each of {plural(int(rec.counts['legs']), 'leg')} and {plural(int(rec.counts['calls']), 'call')} is in exactly "
        "one place; nothing is dropped silently.",
        rows.assign(side=rows["side"].map({"api": "API", "cdr": "CDR"}).astype("str")),
        in_card=False,
    )
