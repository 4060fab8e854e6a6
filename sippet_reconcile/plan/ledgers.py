"""Account for what a plan changes: calls and seconds before, plus change, equal after.

Input are the ledger of a reconciliation, its discrepancies and the changes; output is
one row per field, cause, and whether it is corrected. Every compared call is in
exactly one row of each field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from sippet_reconcile.errors import ReconcileError
from sippet_reconcile.plan.frames import LEDGER, to_schema
from sippet_reconcile.schema import PATCHABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["UNTOUCHED", "account", "ledger_of_changes", "without"]

UNTOUCHED: Final = "not to be corrected"
"""The row of the calls that nobody wants to correct in a field."""

_KEYS: Final = ["field", "explanation", "is_corrected"]
_SUMS: Final = ["n_calls", "before_s", "change_s", "after_s"]


def _add_up(rows: pd.DataFrame) -> pd.DataFrame:
    """Sum rows by field, cause and whether corrected, in a fixed order; seconds only where there are some."""
    if rows.empty:
        return LEDGER.empty()
    known = rows.assign(explanation=rows["explanation"].fillna("unexplained"))
    sums = known.groupby(_KEYS, as_index=False, dropna=False)[_SUMS].sum(min_count=1)
    sums = sums.loc[sums["n_calls"].ne(0)]
    place = sums["field"].map({name: at for at, name in enumerate(PATCHABLE)}).fillna(len(PATCHABLE))
    sums = sums.assign(_place=place)
    sums = sums.sort_values(
        ["_place", "is_corrected", "n_calls", "explanation"],
        ascending=[True, False, False, True],
        kind="stable",
    )
    return to_schema(sums, LEDGER)


def _rows_of(changes: pd.DataFrame, *, is_corrected: bool) -> pd.DataFrame:
    """Return a ledger row for each change, as corrected or as left as it is."""
    has_seconds = changes["field"].eq("duration_seconds")
    before = changes["before_s"].fillna(0).where(has_seconds)
    change = (changes["after_s"].fillna(0) - changes["before_s"].fillna(0)).where(has_seconds)
    change = change if is_corrected else (change * 0)
    return pd.DataFrame(
        {
            "field": changes["field"],
            "explanation": changes["explanation"],
            "is_corrected": pd.Series([is_corrected] * len(changes), index=changes.index, dtype="boolean"),
            "n_calls": pd.Series([1] * len(changes), index=changes.index, dtype="Int64"),
            "before_s": before.astype("Float64"),
            "change_s": change.astype("Float64"),
            "after_s": (before + change).astype("Float64"),
        }
    )


def ledger_of_changes(changes: pd.DataFrame) -> pd.DataFrame:
    """Return the ledger of changes alone, where nothing else was compared."""
    return _add_up(_rows_of(changes, is_corrected=True))


def account(
    base: pd.DataFrame, unplanned: pd.DataFrame, changes: pd.DataFrame, whole: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the ledger of a plan.

    Parameters
    ----------
    base
        Rows of the calls without a discrepancy: `LEDGER`.
    unplanned
        Discrepancies that are not corrected, in the columns of changes that matter:
        ``field``, ``explanation``, ``before_s``, ``after_s``.
    changes
        `schema.CHANGES`.
    whole
        The ledger of the reconciliation, where there is one: what the plan's must add up
        to, field by field.

    Raises
    ------
    ReconcileError
        If it does not, which is a defect.
    """
    parts = [base, _rows_of(unplanned, is_corrected=False), _rows_of(changes, is_corrected=True)]
    filled: Sequence[pd.DataFrame] = [to_schema(part, LEDGER) for part in parts if len(part)]
    ledger = _add_up(pd.concat(filled, ignore_index=True)) if filled else LEDGER.empty()
    if whole is not None:
        _check_ties_out(ledger, whole.loc[whole["field"].isin(PATCHABLE)])
    return ledger


def _check_ties_out(ledger: pd.DataFrame, whole: pd.DataFrame) -> None:
    """Raise where a plan's ledger does not hold the calls and seconds of the reconciliation, field by field."""
    found, expected = (
        frame.groupby("field")[["n_calls", "before_s"]].sum().astype("float64") for frame in (ledger, whole)
    )
    both = found.reindex(expected.index.union(found.index)).fillna(0)
    apart = (both - expected.reindex(both.index).fillna(0)).abs().max(axis=1)
    wrong = apart.loc[apart.gt(0)].index.tolist()
    if wrong:
        msg = (
            f"the plan's ledger of {', '.join(wrong)} does not add up to that of the reconciliation: "
            "this is a defect, please report it"
        )
        raise ReconcileError(msg)


def without(ledger: pd.DataFrame, gone: pd.DataFrame) -> pd.DataFrame:
    """Return the ledger after some changes are no longer made: they move to the rows not corrected."""
    if gone.empty:
        return ledger
    undone = to_schema(_rows_of(gone, is_corrected=True), LEDGER)
    negative = undone.assign(**{name: -undone[name] for name in _SUMS})
    left = to_schema(_rows_of(gone, is_corrected=False), LEDGER)
    return _add_up(pd.concat([ledger, negative, left], ignore_index=True))
