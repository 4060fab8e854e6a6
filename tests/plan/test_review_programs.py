"""LibreOffice opens the review workbook, keeps texts as texts, and what it saves again is read back."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pytest

import sippet_reconcile as sr
from sippet_reconcile.errors import SchemaError
from sippet_reconcile.plan import Plan
from sippet_reconcile.plan.preview import facts_of
from sippet_reconcile.report import MoneyFacts
from sippet_reconcile.report.dry_run.review import write_review

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("soffice") is None and os.environ.get("SIPPET_OFFICE") != "required",
        reason="workbooks are not tested in LibreOffice: no soffice is on the PATH; install `libreoffice-calc`",
    ),
]

USERS = [
    "=1+1",
    "+1",
    "-1",
    "@x",
    "'quoted",
    "_x0041_",
    "007",
    " two  blanks ",
    "\t=1",
    "https://example.com/",
]


@pytest.fixture
def plan(make_calls: Callable[..., pd.DataFrame], ids: Callable[[int], str]) -> Plan:
    """Return a plan whose calls have users that spreadsheets like to take for something else."""
    calls = make_calls(
        [
            {"sip_username": user, "started_at": f"2026-10-05T10:00:{n:02}.123456Z"}
            for n, user in enumerate(USERS)
        ]
    )
    fix = pd.DataFrame({"call_id": [ids(n + 1) for n in range(len(USERS))], "duration_seconds": 70})
    return sr.plan_corrections(calls, fix, reason="=HYPERLINK(1)")


def converted(path: Path, form: str, tmp_path: Path) -> Path:
    folder = tmp_path / "saved again"
    own = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    words = [
        str(shutil.which("soffice")),
        own,
        "--headless",
        "--convert-to",
        form,
        "--outdir",
        str(folder),
        str(path),
    ]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    return folder / path.with_suffix(f".{form.partition(':')[0]}").name


@pytest.mark.parametrize("mask", [True, False], ids=["masked", "in full"])
def test_what_libreoffice_saves_again_is_read_back(plan: Plan, tmp_path: Path, ids: Any, mask: bool) -> None:
    path = plan.dry_run().to_excel(tmp_path / "review.xlsx", mask=mask)
    book = openpyxl.load_workbook(path)
    book["changes"]["A3"], book["changes"]["B3"] = "yes", "=ask Bob"
    book["changes"]["B3"].data_type = "s"
    book.save(path)
    again = converted(path, "xlsx", tmp_path)
    sheet = openpyxl.load_workbook(again)["changes"]
    at = [cell.value for cell in sheet[1]].index("user (masked)" if mask else "user")
    found = [row[at].value for row in sheet.iter_rows(min_row=2)]
    assert found[:4] == ["=1+1", "+1", "-1", "@x"]
    assert not [cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    (offer,) = sheet.data_validations.dataValidation
    assert (offer.type, offer.formula1) == ("list", '"yes,no"')
    smaller = plan.keep_reviewed(again)
    assert smaller.calls["call_id"].tolist() == [ids(2)]
    assert smaller.selection["review"]["notes"] == {ids(2): "=ask Bob"}


@pytest.mark.parametrize("mask", [True, False], ids=["masked", "in full"])
def test_a_sheet_of_money_that_libreoffice_saves_again_is_the_same(
    plan: Plan, tmp_path: Path, mask: bool
) -> None:
    costs = pd.ArrowDtype(pa.decimal128(20, 6))
    rows = pd.DataFrame(
        {
            "call_id": plan.calls["call_id"],
            "sip_username": plan.calls["sip_username"],
            "explanation": "=1+1",
            "currency": "GBP",
            "billed_s_before": pd.Series(60, plan.calls.index, dtype="Int64"),
            "billed_s_after": pd.Series(70, plan.calls.index, dtype="Int64"),
            "cost_before": pd.Series([Decimal(n) / 3 for n in range(len(USERS))]).map(lambda v: round(v, 6)),
            "cost_after": pd.Series([Decimal("0.000001") * 10**n for n in range(len(USERS))]),
            "unrated_reason": pd.Series(None, plan.calls.index, dtype="str"),
        }
    ).astype({"cost_before": costs, "cost_after": costs})
    money = MoneyFacts.of_calls(rows, card="rates.csv", sha256="ab" * 32)
    path = write_review(replace(facts_of(plan, rate="5/s"), money=money), tmp_path / "review.xlsx", mask=mask)
    again = converted(path, "xlsx", tmp_path)
    assert len(plan.keep_reviewed(again)) == 0  # nobody has answered, and nothing was changed
    book = openpyxl.load_workbook(again)
    book["money"]["I3"].value += 0.01
    book.save(again)
    with pytest.raises(SchemaError, match=r"sheet 'money' I3 \(cost after\)"):
        plan.keep_reviewed(again)


def test_libreoffice_shows_the_texts_and_calculates_none(plan: Plan, tmp_path: Path) -> None:
    path = plan.dry_run().to_excel(tmp_path / "review.xlsx")
    text = converted(
        path, "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,2", tmp_path
    )
    (shown,) = [one for one in text.parent.iterdir() if "changes" in one.name]
    frame = pd.read_csv(shown, dtype=str, keep_default_na=False)
    assert frame["user (masked)"].tolist()[:4] == ["=1+1", "+1", "-1", "@x"]
    assert frame["reason"].unique().tolist() == ["=HYPERLINK(1)"]
    assert frame["started (UTC)"][1] == "2026-10-05 10:00:01"
