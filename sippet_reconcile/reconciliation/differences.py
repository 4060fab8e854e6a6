"""Lay out the differences call by call, the most significant first, with what proves them.

Input is a `Reconciliation`, output a section of its report. Of a million differences only
those are picked that the report holds; everything else is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.keys import match_positions
from sippet_reconcile.reconciliation.page import hide_numbers
from sippet_reconcile.report import MAX_HTML_ROWS, Section
from sippet_reconcile.report.bounds import most_significant
from sippet_reconcile.report.columns import CALL_HEADS, source_lines, utc_texts
from sippet_reconcile.schema import take, text_array

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.result import Reconciliation

__all__ = ["differences_section"]

# What both sides say and why they differ comes before who called whom: a window shows the cause.
_FIRST: Final = ("started_at",)
_OF_FIELD: Final = (
    "field", "value_call", "value_cdr", "delta_s", "explanation", "is_patchable", "also",
)  # fmt: skip
_FURTHER: Final = ("from_number", "to_number", "direction", "sip_username", "match_rule", "call_id")
_OF_CALL: Final = (*_FIRST, *_FURTHER)
_MAYBE: Final = ("from_number", "to_number", "also", "direction", "sip_username")
_PROOF: Final = (
    "started_at", "answered_at", "ended_at", "total_s", "billable_s", "status", "cause", "n_legs", "cdr_id",
)  # fmt: skip
_HEADS: Final = {
    **CALL_HEADS,
    "value_call": "the API says",
    "value_cdr": "the CDR says",
    "delta_s": "CDR − API (s)",
    "also": "further causes",
    "is_patchable": "correctable",
    "cause_cdr": "the system's words",
    "cdr_id": "CDR call",
}
_SOURCES: Final = 10


def differences_section(rec: Reconciliation, *, mask: bool, most: int = MAX_HTML_ROWS) -> Section | None:
    """Return the section that tells every difference; None where nothing differs."""
    found = rec.discrepancies
    if found.empty:
        return None
    n_calls = rec.summary()["calls_with_discrepancies"]
    shown = found.iloc[most_significant(found, most)].reset_index(drop=True)
    calls = shown.drop_duplicates("call_id", ignore_index=True)
    columns = shown.loc[:, [*_FIRST, *_OF_FIELD, *_FURTHER]]
    empty = [name for name in _MAYBE if columns[name].isna().all()]
    # How calls were matched is a column only where it tells them apart; the evidence has it in any case.
    empty += ["match_rule"] if len(columns["match_rule"].unique()) == 1 else []
    standing = shown["why_not"].fillna("no").mask(shown["is_patchable"].fillna(value=False), "yes")
    columns = (
        columns.assign(is_patchable=standing)
        .drop(columns=empty)
        .assign(started_at=utc_texts(columns["started_at"].dt.floor("s")))
    )
    counted = f"{plural(len(found), 'difference')} in {plural(n_calls, 'call')}"
    intro = f"{counted}, those of the most seconds first."
    if len(shown) < len(found):
        intro = (
            f"{counted}. Here are {len(shown):,} in {plural(len(calls), 'call')}, those of the most seconds; "
            "rec.discrepancies, or the folder of the saved reconciliation, has all of them."
        )
    return Section(
        "The differences, call by call",
        intro,
        hide_numbers(columns) if mask else columns,
        heads=_HEADS,
        filters=[
            name
            for name in ("field", "explanation", "match_rule", "direction", "is_patchable")
            if name in columns
        ],
        is_searchable=True,
        signed=["delta_s"],
        group_by="call_id",
        row_word="difference",
        once=[name for name in _OF_CALL if name in columns],
        evidence=_evidence(rec, calls),
        in_card=False,
    )


def _evidence(rec: Reconciliation, calls: pd.DataFrame) -> pd.DataFrame:
    """Return what the CDR holds of each call, one row per call."""
    cdr_calls = rec.cdr_calls
    at = match_positions(text_array(calls["cdr_id"]), text_array(cdr_calls["cdr_id"]))
    held = take(cdr_calls, _PROOF, at).rename(
        columns={name: f"{name}_cdr" for name in _PROOF if name != "cdr_id"}
    )
    sources = _places_of_legs(rec, calls["cdr_id"])
    return pd.concat([sources.rename("sources"), calls[["match_rule", "confidence"]], held], axis=1)


def _places_of_legs(rec: Reconciliation, cdr_ids: pd.Series[str]) -> pd.Series[str]:
    """Return file and line of the legs of each CDR call, joined by commas."""
    legs = rec.legs
    of = match_positions(text_array(legs["cdr_id"]), text_array(cdr_ids))
    rows = np.flatnonzero(of >= 0)
    own = legs[["source_file", "source_row"]].take(rows)
    call = pd.Series(of[rows])
    is_named = call.groupby(call).cumcount().lt(_SOURCES).to_numpy("bool")
    more = np.bincount(of[rows], minlength=len(cdr_ids)) - _SOURCES
    places = source_lines(own.loc[is_named]).fillna("?:?")
    told: list[list[str]] = [[] for _ in range(len(cdr_ids))]
    for place, at in zip(places.tolist(), of[rows][is_named].tolist(), strict=True):
        told[at].append(place)
    texts = [
        f"{', '.join(names)} and {n:,} more" if n > 0 else ", ".join(names) or None
        for names, n in zip(told, more.tolist(), strict=True)
    ]
    return pd.Series(texts, dtype="str")
