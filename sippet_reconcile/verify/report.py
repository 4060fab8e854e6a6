"""Make the proof for the month's file: who sent what and when, and whether each value still holds.

Input is a `Verification`, output a `Document` in which what does not hold stands first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from sippet_reconcile._display import joined, plural, show_value
from sippet_reconcile.audit.card import head_section
from sippet_reconcile.report import Document, Section
from sippet_reconcile.verify.comparison import DIFFERS, HOLDS, MISSING

if TYPE_CHECKING:
    from sippet_reconcile.verify.model import Verification

__all__ = ["verification_document"]

_HEADS: Final = {
    "call_id": "call",
    "call_uuid": "call UUID",
    "undone_by": "undone by run",
    "undone": "undone since",
    "expected": "sent",
    "observed": "holds now",
    "n_values": "values",
}
_COLUMNS: Final = ("verdict", "field", "expected", "observed", "undone_by", "outcome", "call_id")
_FACTS: Final = (
    "n_calls", "n_fields", f"n_{HOLDS}", f"n_{DIFFERS}", f"n_{MISSING}", "n_undone", "n_unsettled", "head",
)  # fmt: skip
_SAID: Final = {
    "n_fields": "values",
    f"n_{HOLDS}": "hold",
    f"n_{DIFFERS}": "differ",
    "n_undone": "undone by a later run",
    "n_unsettled": "calls not corrected",
    "head": "head of the audit log after the run",
}
_NO_VALUE: Final = " A dash is no value."


def verification_document(proof: Verification) -> Document:
    """Return the document of a verification."""
    summary = proof.summary()
    sections = [
        _wrong(proof),
        _by_field(proof),
        _who(proof),
        _values(proof),
        head_section(proof.head, proof.audit_path),
    ]
    about = ("run_id", "plan_id", "api_url", "verified_at", "reverted_by")
    return Document(
        title=f"Verification of run {proof.run_id}",
        subtitle=proof.api_url,
        verdict=proof.verdict,
        tone=_tone(proof),
        facts={
            _SAID.get(name, name.removeprefix("n_")): summary[name]
            for name in _FACTS
            if name != "n_undone" or proof.reverted_by
        },
        sections=[part for part in sections if part is not None],
        about={name: summary[name] for name in about if summary[name] is not None}
        | {"verified_at": proof.verified_at},
        summary=summary,
    )


def _tone(proof: Verification) -> str:
    """Return how bad it is: what was undone on purpose alarms nobody, though it does not hold."""
    frame = proof.frame
    if not (frame["verdict"].eq(HOLDS) | frame["undone_by"].notna()).all():
        return "stop"
    return "ok" if proof.ok and not proof.n_unsettled and proof.ended is not None else "warn"


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in _COLUMNS if name != "undone_by" or frame[name].notna().any()]
    return frame.loc[:, names]


def _dashes(frame: pd.DataFrame) -> str:
    """Say what a dash is, where the values have one."""
    return _NO_VALUE if frame[["expected", "observed"]].isna().any(axis=None) else ""


def _wrong(proof: Verification) -> Section | None:
    frame = proof.frame
    wrong = frame.loc[~frame["verdict"].eq(HOLDS)]
    if wrong.empty:
        return None
    if wrong["undone_by"].notna().all():
        why = (
            f"All of it was undone since by run {joined(proof.reverted_by)}, which put back what was there before: "
            "each of these values is what that run sent."
        )
    elif proof.reverted_by:
        why = (
            f"Run {joined(proof.reverted_by)} put back what was there before; what it put back names it. "
            "The other values somebody changed since, or they were never written."
        )
    else:
        why = (
            "Values that somebody changed since, or that were never written. Nothing was changed by looking; a plan made "
            "anew says what to correct."
        )
    return _listing("What does not hold", why, wrong, in_card=True)


def _values(proof: Verification) -> Section | None:
    frame = proof.frame
    if frame.empty or frame["verdict"].ne(HOLDS).all():
        # Where nothing holds, what does not hold is all there is.
        return None
    # Calls of which anything is wrong stand first, and each call with all of its values.
    is_wrong = (~frame["verdict"].eq(HOLDS)).groupby(frame["call_id"]).transform("any")
    ordered = pd.concat([frame.loc[is_wrong], frame.loc[~is_wrong]], ignore_index=True)
    return _listing(
        "Every value that was sent", "What was sent, and what the API holds now.", ordered, in_card=False
    )


def _listing(title: str, intro: str, frame: pd.DataFrame, *, in_card: bool) -> Section:
    return Section(
        title,
        f"{intro}{_dashes(frame)}",
        _shown(frame).reset_index(drop=True),
        heads=_HEADS,
        filters=["verdict", "field", "undone_by", "outcome"],
        is_searchable=True,
        group_by="call_id",
        row_word="value",
        once=["call_id", "outcome"],
        rest="verification.frame has all of them.",
        in_card=in_card,
    )


def _by_field(proof: Verification) -> Section | None:
    frame = proof.frame
    if frame.empty:
        return None
    counts = pd.crosstab(frame["field"], frame["verdict"])
    rows = {
        "field": pd.Series(counts.index, dtype="str"),
        "n_values": counts.sum(axis=1).astype("Int64").array,
    }
    rows |= {
        verdict: counts.get(verdict, pd.Series(0, counts.index)).astype("Int64").array
        for verdict in (HOLDS, DIFFERS, MISSING)
    }
    if proof.reverted_by:
        undone = frame["undone_by"].notna().groupby(frame["field"]).sum()
        rows["undone"] = undone.reindex(counts.index).astype("Int64").array
    return Section("By field", "", pd.DataFrame(rows), heads=_HEADS)


def _who(proof: Verification) -> Section:
    n_calls = proof.frame["call_id"].nunique()
    ran = f" by {joined(proof.started_by)}" if proof.started_by else ""
    told = (
        f"Plan {proof.plan_id} was carried out{ran} as run {proof.run_id}, between {show_value(proof.sent_from)} and "
        f"{show_value(proof.sent_until)}: {plural(len(proof.frame), 'value')} of {plural(n_calls, 'call')} were sent, or may "
        f"have been. They were read back at {show_value(proof.verified_at)}."
    )
    return Section(
        "Who, when and what", told, proof.approvals, heads={"by": "who", "at": "when", "note": "why"}
    )
