"""The calls whose money is asked for, with their seconds before and after.

This is what a reconciliation, a plan and a run hand to `billing_impact`, each in its own
way of knowing them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile.errors import InputError, ReconcileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BilledSeconds", "refuse_basis"]

_NEARLY: Final = 1e-9
"""How far two sums of the same seconds may lie apart, as a share: no more than what floating point leaves."""

_REFUSED: Final[Mapping[str, str]] = {
    "total": "the seconds are total ones, which count the ringing too, and calls are not billed by those: only seconds after the answer (duration='billable') can be rated",
    "auto": "it was not settled whether the API's seconds count the ringing too, and calls are not billed by such: reconcile with Rules(duration='billable') if they begin with the answer",
}


def refuse_basis(basis: str) -> None:
    """Refuse seconds that calls are not billed by, or may not be.

    Raises
    ------
    InputError
        If they count the ringing too, or nobody knows whether they do.
    """
    if basis in _REFUSED:
        raise InputError(_REFUSED[basis])


@dataclass(frozen=True, eq=False)
class BilledSeconds:
    """Calls by their seconds before and after, of one basis and one zone.

    Attributes
    ----------
    calls
        One row per call, `BILLED_CALLS`; each call once.
    basis
        What the API's seconds mean: ``billable`` or ``total``; ``auto`` where it was not settled.
    timezone
        The zone in which the days of the rate card, and of ``by="day"``, are counted.
    sums
        What the ledger says of the same calls, to be tied out with: ``n_calls``,
        ``before_s``, ``change_s`` and ``after_s``; empty where there is no ledger.
    is_unknown
        Marks the calls of which nobody knows what they are billed by afterwards, such as one whose
        writing got no answer: their ``after_s`` is as before. None where there is no such call.
    """

    calls: pd.DataFrame
    basis: str
    timezone: str
    sums: Mapping[str, float] = field(default_factory=dict)
    is_unknown: NDArray[np.bool_] | None = None

    def require_tied_out(self) -> None:
        """Raise where a call is there twice, or these are not the calls and the seconds that the ledger has.

        Raises
        ------
        ReconcileError
            Which is a defect.
        """
        if self.calls["call_id"].duplicated().any():
            msg = "a call would be billed more than once: this is a defect, please report it"
            raise ReconcileError(msg)
        if not self.sums:
            return
        before, after = (
            self.calls[f"{side}_s"].to_numpy(np.float64, na_value=0.0) for side in ("before", "after")
        )
        size = float(np.abs(before).sum() + np.abs(after).sum())
        found = {
            "n_calls": float(len(self.calls)),
            "before_s": float(before.sum()),
            "change_s": float((after - before).sum()),
            "after_s": float(after.sum()),
        }
        for name, told in self.sums.items():
            apart = abs(found[name] - told)
            if not apart <= (0 if name == "n_calls" else _NEARLY * max(1.0, size)):
                msg = (
                    f"what is billed does not tie out with the ledger: {name} is {found[name]:,.12g}, expected "
                    f"{told:,.12g}; this is a defect, please report it"
                )
                raise ReconcileError(msg)
