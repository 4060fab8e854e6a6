"""Show what a person needs to see before they approve a plan.

Input are the plain facts of a plan; output is a `DryRunReport`, one document in all
its forms. Nothing here fetches, sends or decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sippet_reconcile._display import in_line
from sippet_reconcile.report.distribution import distribution
from sippet_reconcile.report.document import Document
from sippet_reconcile.report.dry_run.changes import changes_section
from sippet_reconcile.report.dry_run.facts import DryRunFacts, approval_of, summary_of, verdict_of
from sippet_reconcile.report.dry_run.forecast import approvals_section, forecast_section
from sippet_reconcile.report.dry_run.review import write_review
from sippet_reconcile.report.dry_run.uncorrected import (
    balance_section,
    left_out_sections,
    not_patchable_sections,
)
from sippet_reconcile.report.dry_run.why import (
    causes_section,
    findings_section,
    ledger_section,
    when_section,
)
from sippet_reconcile.report.durations import in_words, signed_in_words
from sippet_reconcile.report.masking import masked
from sippet_reconcile.report.money import headline_of, money_sections, plain_amounts

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["DryRunReport"]


@dataclass(frozen=True, eq=False, repr=False)
class DryRunReport:
    """What a plan would do, for a person to read: nothing has been sent.

    Made by ``plan.dry_run()``. It shows itself in a notebook, and `to_html` writes one
    file to hand to a colleague.

    Attributes
    ----------
    document
        The document behind every view; its texts hold no full phone number, and its views mask those in its tables.
    facts
        The plain facts that it was made from; every change is in them.

    Examples
    --------
    >>> import tempfile
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_reconciliation
    >>> plan = sr.build_plan(sample_reconciliation(), where="explanation == 'zero'")
    >>> dry_run = plan.dry_run(rate="5/s")
    >>> print(dry_run.verdict.partition(".")[0])
    29 calls of 2,316 compared would be corrected, with 36 changes
    >>> folder = tempfile.mkdtemp()
    >>> dry_run.to_html(f"{folder}/dry_run.html").name, dry_run.to_excel(f"{folder}/review.xlsx").name
    ('dry_run.html', 'review.xlsx')
    >>> dry_run.summary()["calls"], plan.plan_id in dry_run.html(), plan.plan_id in dry_run.to_json()
    (29, True, True)
    >>> dry_run.to_markdown().splitlines()[0] == f"# Dry run: plan {plan.short_id}"
    True
    """

    document: Document
    facts: DryRunFacts

    @classmethod
    def from_facts(cls, facts: DryRunFacts) -> DryRunReport:
        """Build the report of a plan from its plain facts."""
        return cls(masked(_document(facts)), facts)

    def _shown(self, *, mask: bool) -> Document:
        return self.document if mask else _document(self.facts)

    @property
    def verdict(self) -> str:
        """The answer in one or two sentences."""
        return self.document.verdict

    def summary(self) -> dict[str, object]:
        """Return the counts that every view starts from, as plain values; amounts of money are decimal text."""
        return {name: plain_amounts(value) for name, value in self.document.summary.items()}

    def html(self, *, mask: bool = True) -> str:
        """Return the whole report as one HTML page; `mask` hides the middle of phone numbers."""
        return self._shown(mask=mask).html(mask=mask)

    def to_html(self, path: str | os.PathLike[str], *, mask: bool = True) -> Path:
        """Write one self-contained HTML file and return its path.

        The table of changes holds the 5,000 most significant ones.
        """
        return self._shown(mask=mask).to_html(path, mask=mask)

    def to_excel(self, path: str | os.PathLike[str], *, mask: bool = True) -> Path:
        """Write the workbook in which a person says yes or no to every change; return its path.

        Its sheet ``changes`` holds every change, not only the most significant, with the columns ``approve``
        and ``note`` to write into; `Plan.keep_reviewed` reads it back. Nothing in it is a formula, whatever the
        data hold. Instants are UTC.

        Parameters
        ----------
        path
            Ends in ``.xlsx``; a file of that name is replaced once the new one is whole.
        mask
            Whether to hide the middle of phone numbers; the workbook is read back either way.

        Raises
        ------
        InputError
            If the file cannot be written, or the extra ``excel`` is not installed.
        """
        return write_review(self.facts, path, mask=mask)

    def to_markdown(self, path: str | os.PathLike[str] | None = None, *, mask: bool = True) -> str:
        """Return the report as Markdown, and write it where a path is given."""
        return self._shown(mask=mask).to_markdown(path, mask=mask)

    def to_json(self, path: str | os.PathLike[str] | None = None, *, mask: bool = True) -> str:
        """Return the report as JSON, and write it where a path is given."""
        return self._shown(mask=mask).to_json(path, mask=mask)

    def __repr__(self) -> str:
        return f"<DryRunReport of plan {self.document.summary['plan']}: {self.verdict} Next: report.to_html(path)>"

    def __str__(self) -> str:
        return str(self.document)

    def _repr_html_(self) -> str:
        return self.document._repr_html_()


def _document(facts: DryRunFacts) -> Document:
    summary = summary_of(facts)
    verdict, tone = verdict_of(summary, facts)
    seconds = int(str(summary["requests"])) / facts.rate_per_s
    plan = facts.plan
    headline = {
        "calls to put back" if plan["kind"] == "revert" else "calls to correct": summary["calls"],
        "changes": summary["changes"],
        "net duration": signed_in_words(float(str(summary["net_s"])), is_rough=True),
        **({} if facts.money is None else {"change of the invoices": headline_of(facts.money)}),
        "left out, wholly or in part": summary["left_out_calls"],
        # A figure more would leave too little room for each; the requests are told where applying is.
        **({"requests": summary["requests"]} if facts.money is None else {}),
        f"time at {facts.rate_text}": in_words(max(seconds, 1), is_rough=True) if summary["calls"] else "–",
        "approvals": summary["approvals"],
    }
    # The order is that of the questions: can the data be trusted, why are the records wrong, does it add up, what
    # is it worth, of what size and when; then each single change, what is not done, what it takes, and who answers for it.
    sections = [
        findings_section(facts),
        causes_section(facts),
        ledger_section(facts),
        *([] if facts.money is None else money_sections(facts.money)),
        distribution(facts.changes["delta_s"]),
        when_section(facts),
        changes_section(facts),
        *left_out_sections(facts),
        *not_patchable_sections(facts),
        forecast_section(facts, summary),
        approvals_section(facts),
        balance_section(facts),
    ]
    name = {"revert": "Dry run of a revert", "corrections": "Dry run of corrections"}.get(
        plan["kind"], "Dry run"
    )
    return Document(
        title=f"{name}: plan {plan['short_id']}",
        subtitle=" · ".join(str(part) for part in (plan["period"], plan["api_url"]) if part),
        verdict=f"{verdict} {approval_of(facts)}".strip(),
        tone=tone,
        facts=headline,
        sections=[part for part in sections if part is not None],
        summary=summary,
        about=_about(facts),
    )


def _about(facts: DryRunFacts) -> dict[str, object]:
    plan = facts.plan
    about: dict[str, object] = {
        "plan_id": plan["plan_id"],
        "kind": plan["kind"],
        "created_at": plan["created_at"],
        "api": plan["api_url"],
        "period": plan["period"],
        "reverts_run": plan["reverts_run_id"],
        "accepted_findings": ", ".join(plan["accept"]) or None,
    }
    asked = dict(plan["selection"])
    if review := asked.pop("review", None):
        # A reviewer's notes stand with their calls.
        asked["review"] = {name: value for name, value in review.items() if name != "notes"}
    about |= {f"asked: {name}": in_line(value) for name, value in asked.items()}
    about |= {f"rule: {name}": in_line(value) for name, value in facts.rules.items()}
    return {name: value for name, value in about.items() if value not in (None, "")}
