"""Make a whole document of a reconciliation: verdict, findings and causes first, then the differences.

Input is a `Reconciliation`, output a `Document`. Nothing is worked out here that its
frames and its summary do not say already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import in_line, mask_number, plural
from sippet_reconcile.reconciliation.charts import days_of_differing, hours_of_differing, sizes_of_differing
from sippet_reconcile.reconciliation.differences import differences_section
from sippet_reconcile.reconciliation.findings import Finding, Findings
from sippet_reconcile.reconciliation.page import SHOWN_ROWS, hide_numbers, readable, shares_in_per_cent
from sippet_reconcile.reconciliation.uncompared import balance_section, statuses_section, uncompared_sections
from sippet_reconcile.report import Document, Section, in_words, signed_in_words
from sippet_reconcile.report.bounds import bounded

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.result import Reconciliation

__all__ = ["reconciliation_document"]

_PROOF_ROWS: Final = 5 * SHOWN_ROWS
_LEDGER_HEADS: Final = {
    "explanation": "cause or standing",
    "is_corrected": "correctable",
    "n_calls": "calls",
    "before_s": "before (s)",
    "change_s": "change (s)",
    "after_s": "after (s)",
    "net_s": "CDR − API (s)",
    "gross_s": "without sign (s)",
}


def reconciliation_document(rec: Reconciliation, *, mask: bool = True) -> Document:
    """Return the document of a reconciliation.

    Parameters
    ----------
    rec
        The reconciliation.
    mask
        Whether the document is made without full phone numbers; what it does not hold, no
        view of it can show.
    """
    said = _summary(rec, mask=mask)
    sections = [
        _findings(rec.findings),
        _causes(rec),
        *_ledgers(rec),
        *_charts(rec),
        differences_section(rec, mask=mask),
        *uncompared_sections(rec, mask=mask),
        statuses_section(rec),
        balance_section(rec),
        *_proofs(rec.findings, mask=mask),
        _checks(rec.findings),
        _rules(said),
    ]
    return Document(
        title="Reconciliation",
        subtitle=" · ".join(
            part
            for part in (said["period"] or "no period: everything that was handed in", rec.api_url)
            if part
        ),
        verdict=_verdict(rec, said),
        tone="stop" if said["stops"] else "warn" if said["discrepancies"] else "ok",
        facts=_facts(said),
        sections=[part for part in sections if part is not None],
        about={
            name: said[name]
            for name in ("period", "api_url", "fetched_at", "legs", "calls")
            if said[name] is not None
        }
        | ({"fetched_at": pd.Timestamp(said["fetched_at"])} if said["fetched_at"] else {}),
        summary=said,
    )


def _summary(rec: Reconciliation, *, mask: bool) -> dict[str, Any]:
    """Return the summary, in which numbers of one's own may stand among the rules."""
    said = rec.summary()
    if mask:
        for number in rec.rules.internal_numbers:
            hidden = mask_number(number)
            for name in ("rules_toml", "proposed_rules_toml"):
                said[name] = said[name].replace(f'"{number}"', f'"{hidden}"')
        said["rules"] |= {"internal_numbers": [mask_number(n) for n in rec.rules.internal_numbers]}
    return said


def _verdict(rec: Reconciliation, said: Mapping[str, Any]) -> str:
    """Return the answer and its cause: what says stop, or else what the differences come from; and what to do next."""
    told = [str(said["verdict"])]
    if said["stops"]:
        told += [finding.message for finding in rec.findings.stops]
    elif rec.causes.sentences:
        told.append(rec.causes.sentences[0])
        if said["patchable_calls"]:
            told.append("Next: a plan, with build_plan in a notebook or sippet-reconcile plan.")
    return " ".join(told)


def _facts(said: Mapping[str, Any]) -> dict[str, object]:
    return {
        "matched calls": said["matched"],
        "calls that differ": said["calls_with_discrepancies"],
        "correctable by a plan": said["patchable_calls"],
        "durations, CDR − API": signed_in_words(said["duration_net_s"], is_rough=True),
        "without sign": in_words(said["duration_gross_s"], is_rough=True),
        "only in the CDR": said["only_in_cdr"],
        "only in the API": said["only_in_api"],
        "ambiguous": said["ambiguous_calls"],
        "excluded": said["excluded_calls"],
    }


def _findings(findings: Findings) -> Section | None:
    if not len(findings):
        if not findings.untold:
            return None
        return Section("Findings about the data", findings.untold)
    frame = findings.to_frame()[["severity", "code", "message", "advice"]]
    cures = [_cure(finding) for finding in findings]
    if any(cures):
        frame = frame.assign(cure=pd.Series(cures, dtype="str"))
    note = (
        "A cure was measured and not applied: whoever wants it puts its line into the rules. "
        if any(cures)
        else ""
    )
    return Section(
        "Findings about the data",
        "What was noticed about the data as a whole, before any single difference.",
        frame,
        heads={
            "code": "finding",
            "message": "what was seen",
            "advice": "what to do",
            "cure": "cure, as a rule",
        },
        note=f"{note}{findings.untold}".strip(),
    )


def _cure(finding: Finding) -> str:
    lines = Findings([finding]).cures_toml().splitlines()
    return " ".join(line for line in lines if line and not line.startswith("#"))


def _proofs(findings: Findings, *, mask: bool) -> list[Section]:
    """Return the evidence of each finding, folded away."""
    sections = []
    for finding in findings:
        rows = finding.evidence
        if not len(rows) or not len(rows.columns):
            continue
        shown = readable(rows.head(_PROOF_ROWS))
        where = f"rec.findings[{finding.code!r}].evidence"
        intro = f"{finding.message}{bounded(len(shown), len(rows), 'row', where)}"
        sections.append(
            Section(
                f"Evidence: {finding.code}",
                intro,
                shares_in_per_cent(hide_numbers(shown) if mask else shown),
                plain_numbers=["source_row", "first_row", "last_row"],
                is_detail=True,
                in_card=False,
            )
        )
    return sections


def _checks(findings: Findings) -> Section | None:
    checks = findings.checks
    if checks.empty:
        return None
    return Section(
        "What was looked for",
        "Silence because all is well and silence because a few rows prove nothing are two answers.",
        checks,
        heads={"code": "finding", "n_looked_at": "looked at", "n_needed": "needed", "what": "of what"},
        is_detail=True,
        in_card=False,
    )


def _causes(rec: Reconciliation) -> Section | None:
    causes = rec.causes
    if not causes.sentences:
        return None
    frame = shares_in_per_cent(causes.frame)
    return Section(
        "Why they differ",
        # The first of them is in the verdict, unless a finding has to be settled ahead of it.
        " ".join(causes.sentences if rec.findings.stops else causes.sentences[1:]),
        frame,
        charts=[causes.chart],
        heads={
            "explanation": "cause",
            "n_calls": "calls",
            "delta_s": "CDR − API (s)",
            "gross_s": "without sign (s)",
            "share_of_field": "of the field",
            "share_of_compared": "of all compared",
        },
        signed=["delta_s"],
    )


def _ledgers(rec: Reconciliation) -> list[Section]:
    """Return the ledger of the durations, and, folded away, that of the fields which have no seconds."""
    ledger = rec.ledger(totals=True)
    has_seconds = ledger["before_s"].notna()
    sections = []
    if has_seconds.any():
        sections.append(
            Section(
                "The ledger",
                f"Each of {plural(rec.n_compared, 'compared call')} is in exactly one line, and before plus change is "
                "after: what the durations come to if everything that can be corrected is.",
                ledger.loc[has_seconds].reset_index(drop=True),
                heads=_LEDGER_HEADS,
                signed=["change_s", "net_s"],
                total=True,
            )
        )
    if not has_seconds.all():
        others = ledger.loc[~has_seconds, ["field", "explanation", "is_corrected", "n_calls"]]
        sections.append(
            Section(
                "The ledger of the other fields",
                "In calls: these fields have no seconds.",
                others.reset_index(drop=True),
                heads=_LEDGER_HEADS,
                is_detail=True,
                in_card=False,
            )
        )
    return sections


def _charts(rec: Reconciliation) -> list[Section]:
    """Return how large the differences are, and when they were."""
    found = rec.discrepancies
    if found.empty:
        return []
    sections = []
    size = sizes_of_differing(rec)
    if size is not None:
        sections.append(Section("How large the differences of duration are", charts=[size], in_card=False))
    charts = [chart for chart in (days_of_differing(rec), hours_of_differing(rec)) if chart is not None]
    if charts:
        intro = f"By the start that the API has of the call, in the zone {rec.timezone}."
        sections.append(Section("When the differing calls were", intro, charts=charts, in_card=False))
    return sections


def _rules(said: Mapping[str, Any]) -> Section:
    rules = {name: in_line(value) or "–" for name, value in said["rules"].items()}
    frame = pd.DataFrame(
        {"rule": pd.Series(list(rules), dtype="str"), "value": pd.Series(list(rules.values()), dtype="str")}
    )
    return Section(
        "The rules",
        "As they were applied, the basis of durations settled; the summary has them as TOML, to pin for the next month.",
        frame,
        heads={"rule": "rule", "value": "value"},
        is_detail=True,
        in_card=False,
    )
