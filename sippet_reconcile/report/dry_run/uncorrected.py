"""Tell what is not corrected, and why, and where every record ended up.

Input are the plain facts of a plan; output are sections of its dry run.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.report.bounds import bounded
from sippet_reconcile.report.columns import source_lines, utc_texts
from sippet_reconcile.report.dry_run.facts import DryRunFacts, beyond_patching
from sippet_reconcile.report.dry_run.words import kinds_of_reasons
from sippet_reconcile.report.durations import in_words
from sippet_reconcile.report.page import MAX_HTML_ROWS
from sippet_reconcile.report.section import Section

__all__ = ["balance_section", "left_out_sections", "not_patchable_sections"]

_WHOLE: Final = "the whole call"
_SAVED: Final = " of the saved plan"
_LEFT: Final = {
    "reconciliation": "Differences of {} were found and are not corrected.",
    "corrections": "{} of the list are not corrected, wholly or in part.",
    "revert": "{} of the run are not put back, wholly or in part.",
}
_HEADS: Final = {
    "call_id": "call",
    "explanation": "cause",
    "value_call": "the API says",
    "value_cdr": "the CDR says",
    "started_at": "started (UTC)",
    "seconds": "talk (s)",
    "from_number": "from",
    "to_number": "to",
    "sip_username": "user",
    "match_rule": "matched by",
    "cdr_id": "CDR id",
}


def left_out_sections(facts: DryRunFacts) -> list[Section]:
    """Return the sections that tell what is not corrected, and why: counted by reason, and row by row."""
    left = facts.left_out
    if left.empty:
        return []
    whole = left.assign(field=left["field"].fillna(_WHOLE))
    counted = whole.assign(reason=kinds_of_reasons(whole["reason"]))
    rows = counted.groupby(["reason", "field"], as_index=False, dropna=False).agg(
        n_calls=("call_id", "nunique"), example=("call_id", "min")
    )
    rows = rows.sort_values(["n_calls", "reason", "field"], ascending=[False, True, True], kind="stable")
    n_calls = int(left["call_id"].nunique())
    shown = whole.head(MAX_HTML_ROWS)
    return [
        Section(
            "Left out, and why",
            f"{_LEFT[facts.plan['kind']].format(plural(n_calls, 'call'))} A call may also be among the changes, with its "
            "other fields.",
            rows.astype({"n_calls": "Int64"}),
            heads={"n_calls": "calls"},
        ),
        Section(
            "Left out, call by call",
            f"Each field that is not corrected, with its reason.{bounded(len(shown), len(left), 'row', f'plan.left_out{_SAVED}')}",
            shown.loc[:, ["call_id", "call_uuid", "field", "explanation", "reason"]],
            is_searchable=True,
            filters=["reason", "field", "explanation"],
            heads=_HEADS,
            is_detail=True,
            in_card=False,
        ),
    ]


def not_patchable_sections(facts: DryRunFacts) -> list[Section]:
    """Return the sections that tell what is wrong and cannot be corrected through the API: counted, and row by row."""
    if facts.not_patchable.empty:
        return []
    counted = Section(
        "Wrong, but not correctable here",
        "The API takes no correction of these; they need to be settled elsewhere.",
        facts.not_patchable,
        heads={"what": "what is wrong", "explanation": "cause", "n_calls": "calls", "seconds": "talk (s)"},
    )
    if "kind" not in facts.disputes:
        return [counted]
    return [counted, *_unbilled(facts), *_wrong(facts)]


def _unbilled(facts: DryRunFacts) -> list[Section]:
    rows = facts.disputes.loc[facts.disputes["kind"].eq("unbilled")].head(MAX_HTML_ROWS)
    if rows.empty:
        return []
    _, told = beyond_patching(facts.not_patchable)
    n_calls, seconds = int(told["n_calls"].sum()), float(told["seconds"].sum())
    intro = (
        f"{plural(n_calls, 'call')} of the CDR, {in_words(seconds)} of talk, without a Call record to correct: nobody is "
        f"billed for {'it' if n_calls == 1 else 'them'} on the platform. The longest first."
        f"{bounded(len(rows), n_calls, 'call', f'plan.disputes{_SAVED}')}"
    )
    columns = [
        "started_at",
        "seconds",
        "direction",
        "from_number",
        "to_number",
        "sip_username",
        "source",
        "cdr_id",
    ]
    return [_listed("Talked, but billed nowhere", intro, rows, columns, ["direction"])]


def _wrong(facts: DryRunFacts) -> list[Section]:
    rows = facts.disputes.loc[facts.disputes["kind"].eq("wrong")].head(MAX_HTML_ROWS)
    if rows.empty:
        return []
    total = int(beyond_patching(facts.not_patchable)[0]["n_calls"].sum())
    intro = (
        f"{plural(total, 'value')} of Call records that the CDR contradicts and that no PATCH may change, the calls with "
        f"the most talk first.{bounded(len(rows), total, 'value', f'plan.disputes{_SAVED}')}"
    )
    columns = [
        "started_at", "seconds", "field", "value_call", "value_cdr", "explanation", "match_rule", "source", "call_id",
    ]  # fmt: skip
    return [
        _listed("Not correctable, call by call", intro, rows, columns, ["field", "explanation", "match_rule"])
    ]


def _listed(title: str, intro: str, rows: pd.DataFrame, columns: list[str], filters: list[str]) -> Section:
    frame = rows.assign(source=source_lines(rows), started_at=utc_texts(rows["started_at"])).loc[:, columns]
    return Section(
        title,
        intro,
        frame.reset_index(drop=True),
        is_searchable=True,
        filters=filters,
        heads={**_HEADS, "source": "CDR line"},
        is_detail=True,
        in_card=False,
    )


def balance_section(facts: DryRunFacts) -> Section | None:
    """Return the section that tells where every record ended up; None where there is nothing to tell."""
    if facts.balance.empty:
        return None
    return Section(
        "Where every row ended up",
        "The balance of the reconciliation behind this plan: nothing is dropped silently.",
        facts.balance,
        is_detail=True,
        in_card=False,
    )
