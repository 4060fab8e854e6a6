"""The review workbook at a terminal: written, answered, read back; and corrections out of a workbook."""

from __future__ import annotations

import sys

import openpyxl
import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.demo import sample_data


@pytest.fixture
def fix(tmp_path, monkeypatch):
    """A workbook of corrections for three calls, and the calls."""
    monkeypatch.chdir(tmp_path)
    calls = sample_data() / "api" / "calls.json"
    some = sr.read_calls(calls).query("duration_seconds > 60").head(3)
    table = pd.DataFrame({"call_id": some["id"], "duration_seconds": ["50", "51", "52"]})
    table.to_excel(tmp_path / "ticket.xlsx", index=False)
    return ["--corrections", tmp_path / "ticket.xlsx", "--calls", calls, "--reason", "ticket 4711"]


def answer(path, *words):
    """Write the answers of the first rows of a workbook."""
    book = openpyxl.load_workbook(path)
    for row, word in enumerate(words, start=2):
        book["changes"].cell(row, 1).value = word
    book.save(path)


def test_a_workbook_of_corrections_is_reviewed_in_a_workbook(shell, fix, tmp_path):
    plan, review, smaller = tmp_path / "plan.parquet", tmp_path / "review.xlsx", tmp_path / "smaller.parquet"
    done = shell("plan", *fix, "--out", plan, "--excel", review)
    assert f"plan {plan} --reviewed {review} --out SMALLER" in done.stderr
    answer(review, "yes", "no")
    done = shell("plan", plan, "--reviewed", review, "--out", smaller)
    assert "1 of 3 calls approved, 1 rejected, 1 without an answer" in done.stderr
    assert len(sr.Plan.load(smaller)) == 1
    answer(review, "yes", "yes", "yes")
    told = shell.json("plan", plan, "--reviewed", review)
    assert told["plan_id"] == sr.Plan.load(plan).plan_id


def test_a_changed_cell_is_refused_in_words_of_the_command_line(shell, fix, tmp_path):
    plan, review = tmp_path / "plan.parquet", tmp_path / "review.xlsx"
    shell("plan", *fix, "--out", plan, "--excel", review)
    book = openpyxl.load_workbook(review)
    book["changes"]["F2"] = "999"
    book.save(review)
    said = shell("plan", plan, "--reviewed", review, "--out", tmp_path / "x.parquet", code=2).stderr
    assert "sheet 'changes' F2 (after) holds '999'" in said
    assert "plan --excel" in said
    assert "to_excel" not in said
    assert not (tmp_path / "x.parquet").exists()


def test_corrections_in_a_workbook_name_the_extra_that_reads_them(shell, fix, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)  # as where it is not installed
    said = shell("plan", *fix, code=2).stderr
    assert 'pip install "sippet-reconcile[excel]", or save it as CSV' in said


def test_numbers_are_in_full_only_where_asked(shell, fix, tmp_path):
    masked, full = tmp_path / "masked.xlsx", tmp_path / "full.xlsx"
    told = shell.json("plan", *fix, "--excel", masked)
    assert told["reports"] == [str(masked)]
    shell("plan", *fix, "--excel", full, "--show-numbers")
    hidden, seen = (pd.read_excel(path, sheet_name="changes", dtype=str) for path in (masked, full))
    assert hidden["from (masked)"].str.contains("•").all()
    assert not seen["from"].str.contains("•").any()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--reviewed", "review.xlsx"], "--reviewed needs the plan that the workbook is of as SOURCE"),
        (
            ["plan.parquet", "--reviewed", "review.xlsx", "--excel", "review.xlsx"],
            "--excel would write over review.xlsx",
        ),
        (["plan.parquet", "--excel", "review.csv"], "is written as .xlsx"),
    ],
    ids=["no plan", "over itself", "no workbook"],
)
def test_what_cannot_be_meant_is_refused(shell, fix, words, told):
    shell("plan", *fix, "--out", "plan.parquet", "--excel", "review.xlsx")
    assert told in shell("plan", *words, code=2).stderr
