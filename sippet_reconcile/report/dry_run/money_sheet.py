"""Lay out what a plan is worth as a sheet of its workbook, and find what somebody changed in it.

Input are the sums of a plan; output is a sheet that carries a check of each of its cells.
A plan does not know the rate card that its dry run was asked with: so whether the sheet is
as it was written is told from the sheet alone.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import mask_in_id, mask_in_name, mask_number, mask_text
from sippet_reconcile.report.money import READING, outside_rows
from sippet_reconcile.report.workbook import Cells, SheetColumn, WorkbookSheet
from sippet_reconcile.report.workbook.comparing import Difference, beside, seen
from sippet_reconcile.report.workbook.sheet import column_letters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sippet_reconcile.report.money_sums import MoneyFacts
    from sippet_reconcile.report.workbook import ReadSheet

__all__ = ["MONEY_SHEET", "changed_money", "is_money_sheet", "money_line", "money_sheet"]

MONEY_SHEET: Final = "money"
"""The sheet of what a plan is worth; there only where a rate card was given."""

_NUMBERS: Final = {
    "n_calls": "calls",
    "billed_s_before": "billed before (s)",
    "billed_s_after": "billed after (s)",
    "billed_s_delta": "change (s)",
    "cost_before": "cost before",
    "cost_after": "cost after",
    "cost_delta": "difference",
}
_CHECK: Final = "check"
_COLUMNS: Final = (
    SheetColumn("part", "part", width=26),
    SheetColumn("about", "about", width=40),
    SheetColumn("currency", "currency", width=10),
    *(
        SheetColumn(
            name,
            head,
            Cells.NUMBER,
            width=16,
            is_signed=name.endswith("_delta"),
            is_money=name.startswith("cost"),
        )
        for name, head in _NUMBERS.items()
    ),
)
_OF_CHECK: Final = SheetColumn(
    _CHECK, _CHECK, width=10, is_clipped=True, hint="What keep_reviewed tells a changed cell by."
)
_ROW_CHECK: Final = re.compile(r"(\d+) of (\d+): ((?:[a-p]{8} )+)([a-p]{8})")
_LINE_CHECK: Final = re.compile(r"its check is ([a-p]{8})$")
_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


def _digest(*parts: str) -> str:
    """Return eight letters that stand for texts; letters alone, so that nothing takes them for a number."""
    text = "\x1f".join(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8].translate(_LETTERS)


def _rows(money: MoneyFacts, *, mask: bool) -> pd.DataFrame:
    """Return everything that is told of money as rows of one table."""

    def part(name: str, about: pd.Series[Any], rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(part=name, about=about.astype("str"))

    users = money.users["sip_username"]
    users = users.map(mask_number, na_action="ignore") if mask else users
    calls = money.calls["call_id"]
    calls = calls.map(mask_in_id, na_action="ignore") if mask else calls
    outside = outside_rows(money)
    why = outside["reason"] if "reason" in outside else pd.Series(index=outside.index, dtype="str")
    costs = {"cost": "cost_after", "billed_s": "billed_s_after"}
    source = mask_text(mask_in_name(money.card)) if mask else money.card
    card = pd.DataFrame({"part": ["rate card"], "about": [f"{source} (sha256 {money.sha256})"]})
    notes = pd.DataFrame({"part": "how to read it", "about": list(READING)})
    parts = [
        card,
        part("total", pd.Series("all calls", index=money.totals.index), money.totals),
        part("by cause", money.causes["explanation"], money.causes),
        part("by user", users, money.users),
        part("calls of the most money", calls, money.calls),
        part("in no sum", outside["what"] + (": " + why).fillna(""), outside.rename(columns=costs)),
        *([notes] if len(money.totals) else []),
    ]
    kinds: dict[str, Any] = dict.fromkeys(("part", "about", "currency"), "str") | dict.fromkeys(
        _NUMBERS, "Float64"
    )
    names = [column.name for column in _COLUMNS]
    return pd.concat([one.reindex(columns=names).astype(kinds) for one in parts], ignore_index=True)


def money_sheet(money: MoneyFacts, plan_id: str, *, mask: bool) -> WorkbookSheet:
    """Return the sheet of what a plan is worth: sums, users, calls, and what is in no sum, one row each.

    Its numbers are those of a spreadsheet, with fifteen digits; the other views hold every digit.
    """
    rows = _rows(money, mask=mask)
    texts = _texts(WorkbookSheet(MONEY_SHEET, _COLUMNS, rows))
    checks = [_check_of(plan_id, number, len(rows), row) for number, row in enumerate(texts, start=1)]
    return WorkbookSheet(
        MONEY_SHEET, [*_COLUMNS, _OF_CHECK], rows.assign(check=pd.Series(checks, dtype="str"))
    )


def money_line(sheet: WorkbookSheet) -> str:
    """Return what the summary tells of the sheet, with the check of all of it."""
    told = sheet.frame["about"].iloc[0]
    return f"what it is worth is on the sheet “{MONEY_SHEET}”, by {told}; its check is {_whole(sheet.frame[_CHECK].tolist())}"


def _whole(checks: Sequence[str]) -> str:
    return _digest(*checks)


def _texts(sheet: WorkbookSheet) -> Iterator[list[str]]:
    """Yield the texts of each row as they are read back."""
    for part in sheet.cells():
        for row in zip(*part, strict=True):
            yield [
                _alike("" if cell is None else str(cell), column)
                for cell, column in zip(row, _COLUMNS, strict=True)
            ]


def _alike(text: str, column: SheetColumn) -> str:
    """Return a text as equal values share it: programs do not agree on the last digits of a number."""
    if column.kind is not Cells.NUMBER:
        return text
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def _check_of(plan_id: str, number: int, n_rows: int, texts: Sequence[str]) -> str:
    """Return the check of a row: its number, that of each cell, and that of the check itself."""
    cells = "".join(
        f"{_digest(plan_id, str(number), column.head, text)} "
        for column, text in zip(_COLUMNS, texts, strict=True)
    )
    told = f"{number} of {n_rows}: {cells}"
    return told + _digest(plan_id, told)


def is_money_sheet(sheet: ReadSheet) -> bool:
    """Tell whether a sheet that was read has the heads of this one."""
    heads = {part[0].as_py().strip() for part in sheet.columns if sheet.rows}
    return {_CHECK, _NUMBERS["cost_delta"]} <= heads


def changed_money(read: ReadSheet, plan_id: str, line: str) -> list[Difference]:
    """Return what somebody changed in the sheet: each cell, row and column by name.

    Parameters
    ----------
    read
        The sheet as it was read.
    plan_id
        The plan that the workbook is of.
    line
        What the summary tells of it.
    """
    found: list[Difference] = []
    places = _places(read, found)
    if len(places) <= len(_COLUMNS):
        return found  # without all columns no row can be checked
    columns = {head: read.columns[at].to_pylist() for head, at in places.items()}
    seen_checks: dict[int, str] = {}
    n_rows = 0
    for at in range(1, len(read.rows)):
        row, check = read.rows[at], columns[_CHECK][at].strip()
        match = _ROW_CHECK.fullmatch(check)
        if match is None or _digest(plan_id, check[: -len(match[4])]) != match[4]:
            cell = f"{column_letters(places[_CHECK])}{row}"
            found.append(
                Difference(read.name, row, cell, _CHECK, seen(check), "", "is not the check of a row")
            )
            continue
        number, n_rows = int(match[1]), int(match[2])
        if number in seen_checks:
            what = "says a second time what another row says"
            found.append(Difference(read.name, row, "", "", f"row {row}", "", what))
        seen_checks[number] = check
        for column, expected in zip(_COLUMNS, match[3].split(), strict=True):
            text = columns[column.head][at]
            if _digest(plan_id, str(number), column.head, _alike(text, column)) != expected:
                cell = f"{column_letters(places[column.head])}{row}"
                what = "was changed: its check says so"
                found.append(Difference(read.name, row, cell, column.head, seen(text, column), "", what))
    return found or _incomplete(read, seen_checks, n_rows, line)


def _incomplete(read: ReadSheet, checks: dict[int, str], n_rows: int, line: str) -> list[Difference]:
    """Return which rows are missing; or that the whole is not the sheet which the summary tells of."""
    missing = [number for number in range(1, n_rows + 1) if number not in checks]
    if missing:
        return [
            Difference(
                read.name, None, "", "", "nothing", f"row {number + 1} as written", "the row is missing"
            )
            for number in missing
        ]
    told = _LINE_CHECK.search(line)
    if told is not None and checks and told[1] == _whole([checks[number] for number in sorted(checks)]):
        return []
    what = "is not the sheet that the summary tells of"
    return [Difference(read.name, None, "", "", "another sheet", "", what)]


def _places(read: ReadSheet, found: list[Difference]) -> dict[str, int]:
    """Return where each head stands; note which is not there, and what stands beside the table."""
    wanted = [*(column.head for column in _COLUMNS), _CHECK]
    has_heads = bool(read.rows) and read.rows[0] == 1
    texts = [part[0].as_py().strip() if has_heads else "" for part in read.columns]
    places: dict[str, int] = {}
    for at, text in enumerate(texts):
        cell = f"{column_letters(at)}1"
        if text in places:
            found.append(Difference(read.name, 1, cell, text, seen(text), "", "is there twice"))
        elif text in wanted:
            places[text] = at
        elif text:
            found.append(Difference(read.name, 1, cell, "", seen(text), "", "is no column of this sheet"))
        elif has_heads:
            found += beside(read, at)
    found += [
        Difference(read.name, 1, "", head, "nothing", repr(head), "the column is missing or was renamed")
        for head in wanted
        if head not in places
    ]
    return places
