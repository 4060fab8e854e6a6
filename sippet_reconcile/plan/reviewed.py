"""Read a reviewed workbook back, and keep of a plan what a person said yes to.

Input are a plan and the workbook that its dry run wrote, saved again by whichever
program; output is the smaller plan. Everything but the answers must be as it was
written: what was looked at is what is sent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile._excel import MAX_ROWS
from sippet_reconcile._version import __version__
from sippet_reconcile.errors import PlanError, SchemaError
from sippet_reconcile.plan.making import content_of_calls
from sippet_reconcile.plan.preview import facts_of
from sippet_reconcile.report.dry_run.money_sheet import MONEY_SHEET, changed_money, is_money_sheet
from sippet_reconcile.report.dry_run.review import (
    APPROVE,
    CALL,
    CHANGES_SHEET,
    MONEY,
    NOTE,
    NUMBERS,
    PLAN_ID,
    WRITTEN_BY,
    review_sheets,
)
from sippet_reconcile.report.workbook import compare_sheet, read_workbook
from sippet_reconcile.report.workbook.comparing import CHANGED, Difference, seen
from sippet_reconcile.report.workbook.reading import FORMULA
from sippet_reconcile.report.workbook.writing import sheet_names

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Sequence

    from sippet_reconcile.plan.content import Content
    from sippet_reconcile.plan.model import Plan
    from sippet_reconcile.report.workbook import Differences, ReadSheet

__all__ = ["NOT_APPROVED", "REJECTED", "decisions_of", "reviewed_content"]

REJECTED: Final = "rejected in review"
"""The reason of a call that was answered with no."""

NOT_APPROVED: Final = "not approved in review"
"""The reason of a call that was not answered."""

_YES, _NO = "yes", "no"
_TOLD: Final = 5
_COLUMNS: Final = ["sheet", "row", "cell", "column", "found", "expected", "what"]


def reviewed_content(
    plan: Plan, content: Content, path: str | os.PathLike[str], *, max_rows: int = MAX_ROWS
) -> Content | None:
    """Return the content of the plan of the calls that were approved in a workbook.

    Parameters
    ----------
    plan, content
        The plan that the workbook is of, and its content.
    path
        The reviewed workbook.
    max_rows
        Rows per sheet, as it was written.

    Returns
    -------
    Content or None
        None where every call was approved and no note was written: then it is the same plan.

    Raises
    ------
    InputError
        If the file is no workbook; as a `SchemaError` with the places in ``.failures``, if an answer is neither
        yes nor no, the rows of a call disagree, or anything else was changed.
    PlanError
        If it is the workbook of another plan.
    """
    file = Path(path)
    facts = facts_of(plan, rate="5/s")
    written = {sheet.name: sheet for sheet in review_sheets(facts)}
    names = {name: sheet_names(name, len(sheet.frame), max_rows) for name, sheet in written.items()}
    own_names = {one for several in names.values() for one in several}
    read = read_workbook(
        file,
        {*own_names, MONEY_SHEET},
        n_columns=max(len(sheet.columns) for sheet in written.values()),
        n_rows=sum(len(sheet.frame) for sheet in written.values()),
    )
    by_name = {sheet.name: sheet for sheet in read}
    told = _summary_of(by_name.get("summary"))
    _refuse_other_plans(file, plan, told)
    worth = told.get(MONEY, "")
    sheets = review_sheets(facts, mask=told.get(NUMBERS) != "in full", worth=worth)
    found = _further_answers(read, own_names) + _changed_money(by_name.get(MONEY_SHEET), plan, worth)
    answered: Differences | None = None
    for sheet in sheets:
        own = [by_name[name] for name in names[sheet.name] if name in by_name]
        gone = [name for name in names[sheet.name] if name not in by_name]
        found += [
            Difference(name, None, "", "", "nothing", "", "the sheet is missing or was renamed")
            for name in gone
        ]
        if gone:
            continue
        differences = compare_sheet(sheet, own)
        found += differences.found
        if sheet.name == CHANGES_SHEET:
            answered = differences
            rows = sheet.frame[["call_id", "field"]]
    decisions = None if answered is None else decisions_of(answered, rows, found)
    if found or decisions is None:
        _refuse(file, plan, found, told.get(WRITTEN_BY, ""))
        msg = f"{file} holds no answers"
        raise PlanError(msg)
    return _content(content, decisions)


def _further_answers(read: Sequence[ReadSheet], own_names: Collection[str]) -> list[Difference]:
    """Return the sheets that look like the one that is answered in: which of them counts, nobody can tell."""
    heads = {APPROVE, CALL}
    further = [
        Difference(
            sheet.name, sheet.rows[at], "", "", "heads", "", "is a copy of the sheet that is answered in"
        )
        for sheet in read
        if sheet.name not in own_names
        for at, texts in enumerate(zip(*(column.to_pylist() for column in sheet.columns), strict=True))
        if heads <= {text.strip().casefold() for text in texts}
    ]
    twice = [name for name, count in Counter(sheet.name for sheet in read).items() if count > 1]
    return further + [
        Difference(name, None, "", "", "sheets", "", "the sheet is there twice") for name in twice
    ]


def _changed_money(sheet: ReadSheet | None, plan: Plan, worth: str) -> list[Difference]:
    """Return what was changed in the sheet of money; a sheet of that name may also be the reviewer's own."""
    if worth and sheet is None:
        return [Difference(MONEY_SHEET, None, "", "", "nothing", "", "the sheet is missing or was renamed")]
    if sheet is None or not (worth or is_money_sheet(sheet)):
        return []
    if not worth:
        what = f"the line about the sheet {MONEY_SHEET!r} is missing"
        return [Difference("summary", None, "", "", "nothing", "", what)]
    return changed_money(sheet, plan.plan_id, worth)


def _summary_of(sheet: ReadSheet | None) -> dict[str, str]:
    """Return what the first sheet says of the workbook."""
    if sheet is None or not sheet.rows:
        return {}
    labels, texts = (sheet.columns[at].to_pylist() for at in (0, 1))
    return {label.strip(): text.strip() for label, text in zip(labels, texts, strict=True)}


def _refuse_other_plans(file: Path, plan: Plan, told: dict[str, str]) -> None:
    if told.get(PLAN_ID) == plan.plan_id:
        return
    if not told.get(PLAN_ID):
        msg = (
            f"{file} does not say on its sheet 'summary' which plan it is of; take the workbook that "
            "plan.dry_run().to_excel() wrote, with all its sheets"
        )
        raise PlanError(msg)
    msg = (
        f"{file} is the review of plan {seen(told[PLAN_ID][:12])}, and this is plan {plan.short_id!r}; "
        "load that plan, or review this one in its own workbook"
    )
    raise PlanError(msg)


def decisions_of(answered: Differences, changes: pd.DataFrame, found: list[Difference]) -> pd.DataFrame:
    """Return a row per row of the workbook: ``call_id``, ``answer`` and ``note``; tell what is no answer."""
    rows = answered.rows
    if not answered.answers:
        return pd.DataFrame({"call_id": [], "answer": [], "note": []}, dtype="str")
    texts = answered.answers[APPROVE]
    # Not casefold(): that makes other letters of these, too.
    words = texts.str.strip().str.lower()
    notes = answered.answers[NOTE]

    def tell(at: int, head: str, text: str, expected: str, what: str) -> None:
        sheet, number = str(rows["sheet"].iloc[at]), int(rows["row"].iloc[at])
        cell = f"{answered.letters[sheet, head]}{number}"
        found.append(Difference(sheet, number, cell, head, seen(text), expected, what))

    for at in words.index[~words.isin([_YES, _NO, ""])]:
        tell(at, APPROVE, texts[at], "'yes', 'no' or nothing", "is no answer")
    for at in notes.index[notes.str.startswith(FORMULA)]:
        tell(at, NOTE, notes[at], "a text", "is no note")
    known = rows["place"].ge(0)
    ids = changes["call_id"].to_numpy(dtype=object)[rows.loc[known, "place"].to_numpy(dtype="int64")]
    frame = pd.DataFrame(
        {
            "call_id": pd.Series(ids, dtype="str"),
            "answer": words[known].reset_index(drop=True),
            "note": notes[known].str.strip().reset_index(drop=True),
            "at": rows.index[known],
        }
    )
    is_known = frame["answer"].isin([_YES, _NO, ""])
    says_yes = frame["answer"].eq(_YES)
    share = says_yes.groupby(frame["call_id"]).transform("mean")
    for at in frame.index[share.gt(0) & share.lt(1) & ~says_yes & is_known]:
        row = int(frame.loc[at, "at"])
        what = (
            f"other rows of call {frame.loc[at, 'call_id']} say yes: a call is corrected whole or not at all"
        )
        tell(row, APPROVE, texts[row], "'yes' in all of its rows, or in none", what)
    return frame


def _refuse(file: Path, plan: Plan, found: list[Difference], written_by: str) -> None:
    """Raise for everything that was found, all at once."""
    failures = pd.DataFrame([vars(one) for one in found], columns=_COLUMNS).astype({"row": "Int64"})
    lines = [_line(one) for one in found[:_TOLD]]
    more = f"; and {len(found) - _TOLD:,} more" if len(found) > _TOLD else ""
    ours = f"sippet-reconcile {__version__}"
    other = (
        "" if written_by in ("", ours) else f" It was written by {seen(written_by)}, and this is {ours!r}."
    )
    msg = (
        f"{file} cannot be taken as the review of plan {plan.short_id}, {plural(len(found), 'thing')} to put right: "
        f"{'; '.join(lines)}{more}.{other} Put it right there, or answer in a fresh workbook (dry_run().to_excel); see .failures"
    )
    raise SchemaError(msg, failures=failures)


def _line(one: Difference) -> str:
    place = f"sheet {one.sheet!r}" + (f" {one.cell}" if one.cell else f" row {one.row}" if one.row else "")
    if not one.cell:
        return f"{place}: {one.what}" + (f" ({one.expected})" if one.expected else "")
    should = f", not {one.expected}" if one.expected else ""
    what = "" if one.what == CHANGED else f" ({one.what})"
    return f"{place}{f' ({one.column})' if one.column else ''} holds {one.found}{should}{what}"


def _content(content: Content, decisions: pd.DataFrame) -> Content | None:
    """Return the content of the plan of the approved calls, with who was left out and what was noted."""
    by_call = decisions.groupby("call_id", sort=False)
    is_kept = decisions["answer"].eq(_YES).groupby(decisions["call_id"]).all()
    is_rejected = decisions["answer"].eq(_NO).groupby(decisions["call_id"]).any()
    noted = decisions.loc[decisions["note"].ne("")].drop_duplicates(["call_id", "note"])
    notes = noted.groupby("call_id", sort=False)["note"].agg("; ".join)
    kept = content.calls["call_id"].map(is_kept).fillna(value=False).astype("bool")
    if kept.all() and notes.empty:
        return None
    smaller = content_of_calls(content, kept)
    n_gone = len(smaller.left_out) - len(content.left_out)
    left = smaller.left_out
    gone = left["call_id"].iloc[len(left) - n_gone :]
    why = gone.map(is_rejected).map({True: REJECTED, False: NOT_APPROVED}).astype("str")
    told = gone.map(notes).astype("str")
    why = (why + ": " + told).where(told.notna(), why)
    reasons = pd.concat([left["reason"].iloc[: len(left) - n_gone], why]).astype("str")
    kept_ids = content.calls.loc[kept.to_numpy(), "call_id"]
    review: dict[str, Any] = {
        "kept": int(kept.sum()),
        "rejected": int(is_rejected.sum()),
        "not_approved": len(by_call) - int(kept.sum()) - int(is_rejected.sum()),
        "notes": {str(one): str(notes[one]) for one in kept_ids if one in notes.index},
    }
    before = content.plain["selection"].get("review", {}).get("notes", {})
    review["notes"] = {
        **{one: note for one, note in before.items() if one in set(kept_ids)},
        **review["notes"],
    }
    selection = {**content.plain["selection"], "review": review}
    return replace(
        smaller, left_out=left.assign(reason=reasons), plain={**content.plain, "selection": selection}
    )
