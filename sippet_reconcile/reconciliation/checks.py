"""What was looked for in the data as a whole, and what came of each look.

Input is a frame with a row per look, output the same with its types and one row per
code, or a sentence. Silence because all is well and silence because twelve rows
prove nothing are two answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import pandas as pd

__all__ = ["CHECKS", "CODES", "Outcome", "conform_checks", "untold"]

CODES: Final = (
    "empty-side",
    "timezone-shift",
    "clock-offset",
    "duration-basis",
    "rounded-durations",
    "low-match-rate",
    "truncated-export",
    "missing-hours",
    "number-format",
    "status-vocabulary",
    "impossible-calls",
    "stuck-calls",
    "duplicate-calls",
    "duplicate-rows",
    "month-boundary",
    "probe-noise",
)
"""Every code a finding may have, in the order in which a reader should meet them."""


class Outcome(StrEnum):
    """How a look at the data ended."""

    FOUND = "found"
    NOTHING = "nothing found"
    TOO_FEW = "not enough evidence"
    NOT_ASKED = "not looked at"


CHECKS: Final[Mapping[str, str]] = {
    "code": "str",
    "outcome": "str",
    "n_looked_at": "Int64",
    "n_needed": "Int64",
    "what": "str",
}
"""The columns of a frame of checks and their types."""


def conform_checks(checks: pd.DataFrame | None) -> pd.DataFrame:
    """Return checks with their types, one row per code in the order of `CODES`; of several looks one that found counts."""
    if checks is None or len(checks) == 0:
        return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in CHECKS.items()})
    checks = pd.DataFrame({name: checks[name].reset_index(drop=True) for name in CHECKS}).astype(CHECKS)
    outcomes = [outcome.value for outcome in Outcome]
    place = [
        (CODES.index(code) if code in CODES else len(CODES), code, outcomes.index(outcome))
        for code, outcome in zip(checks["code"], checks["outcome"], strict=True)
    ]
    order = sorted(range(len(place)), key=place.__getitem__)
    return checks.iloc[order].drop_duplicates("code").reset_index(drop=True)


def untold(checks: pd.DataFrame) -> str:
    """Return one sentence that names what too few rows could tell; empty where there is nothing to name."""
    few = checks[checks["outcome"].eq(Outcome.TOO_FEW.value)]
    named = [
        f"{code} ({seen:,} of {needed:,} {what})" if pd.notna(needed) else f"{code} ({seen:,} {what})"
        for code, seen, needed, what in zip(
            few["code"], few["n_looked_at"], few["n_needed"], few["what"], strict=True
        )
    ]
    return f"Not enough evidence for: {', '.join(named)}." if named else ""
