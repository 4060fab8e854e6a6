"""How a month ended: what a person, or the program that started it, asks first.

Input is the summary that lies in the month's folder, output are its answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import pandas as pd

from sippet_reconcile._display import card, html_table, html_text, mask_text, section, visible
from sippet_reconcile.plan import Plan
from sippet_reconcile.reconciliation import Reconciliation

__all__ = ["CODES", "MonthOutcome", "MonthResult"]


class MonthOutcome(StrEnum):
    """How a month ended."""

    AGREE = "agree"
    DIFFER = "differ"
    STOPPED = "stopped"


CODES: Final = {MonthOutcome.AGREE: 0, MonthOutcome.DIFFER: 1, MonthOutcome.STOPPED: 2}
_TONES: Final = {MonthOutcome.AGREE: "ok", MonthOutcome.DIFFER: "warn", MonthOutcome.STOPPED: "stop"}


@dataclass(frozen=True, eq=False, repr=False)
class MonthResult:
    """What became of a month: nothing to correct, a plan to review, or a reason to stop.

    Attributes
    ----------
    month
        ``"YYYY-MM"``.
    folder
        Where its files lie.
    outcome
        ``agree`` (nothing to correct), ``differ`` (there is a plan to review), ``stopped`` (no plan, see `stops`).
    verdict
        The answer, as a sentence.
    stops
        Why there is no plan; empty where there is one.
    steps
        Each step, and whether it was ``made`` or ``kept`` from the run before.
    notes
        What else somebody should know.
    next_step
        What a person does now.
    plan
        The plan to review, with the approvals that it had; None where there is none.
    reconciliation
        What differs, and why.

    Examples
    --------
    >>> import tempfile
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "month.toml").write_text(f'''
    ... timezone = "Europe/London"
    ... output = "months"
    ... sources = [{{ files = "{sample_data()}/freeswitch/Master.csv", timezone = "Europe/London", country = "GB" }}]
    ... rules = {{ duration = "billable" }}
    ... [api]
    ... url = "https://api.example.com"
    ... calls = "{sample_data()}/api/calls.json"
    ... fetched_at = "{{next}}-01T03:00:00Z"
    ... ''')
    >>> config = sr.MonthConfig.from_toml(folder / "month.toml")
    >>> result = sr.reconcile_month("2026-10", config, progress=False)
    >>> result.outcome, result.exit_code, len(result.plan), result.summary()["counts"]["compared"]
    (<MonthOutcome.DIFFER: 'differ'>, 1, 282, 2316)
    >>> result.reconciliation.n_compared, (result.folder / "dry_run.html").is_file()
    (2316, True)
    """

    month: str
    folder: Path
    outcome: MonthOutcome
    verdict: str
    stops: tuple[str, ...]
    steps: Mapping[str, str]
    notes: tuple[str, ...]
    next_step: str
    plan: Plan | None
    reconciliation: Reconciliation
    _summary: Mapping[str, Any]

    @property
    def exit_code(self) -> int:
        """The code that the command line ends with: 0 nothing to correct, 1 a plan to review, 2 stopped."""
        return CODES[self.outcome]

    def summary(self) -> dict[str, Any]:
        """Return what ``summary.json`` holds, as plain values; every view starts here."""
        return deepcopy(dict(self._summary))

    def __repr__(self) -> str:
        return visible(
            mask_text(f"<MonthResult {self.month}: {self.outcome}; {self.verdict} Next: {self.next_step}>")
        )

    def _repr_html_(self) -> str:
        counts = self._summary["counts"]
        facts = {name: counts[name] for name in ("compared", "calls_with_discrepancies", "patchable_calls")}
        parts = [html_text(mask_text(text)) for text in (*self.stops, *self.notes)]
        money = self._summary.get("money")
        if money and money["sentence"]:
            parts.insert(0, html_text(money["sentence"]))  # amounts, whose digits are no number of a phone
        steps = pd.DataFrame({"step": list(self.steps), "what became of it": list(self.steps.values())})
        return card(
            f"Month {self.month}",
            facts,
            *parts,
            section("Steps", html_table(steps)),
            html_text(mask_text(f"Next: {self.next_step}")),
            subtitle=mask_text(str(self.folder)),
            verdict=mask_text(self.verdict),
            tone=_TONES[self.outcome],
        )
