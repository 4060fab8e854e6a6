"""The notebook of a month's billing: two months of one API, each corrected once, and each call in one of them."""

from __future__ import annotations

import ast
import csv
import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import jupytext
import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

import sippet_reconcile as sr
from sippet_reconcile.demo import sample_calls, sample_data
from sippet_reconcile.sandbox import Sandbox

if TYPE_CHECKING:
    from nbformat import NotebookNode

SOURCE = Path(__file__).parents[2] / "notebooks" / "monthly_billing.py"
MIDNIGHT = pd.Timestamp("2026-11-01T00:00:00Z")

# The kernel's own start warns about things that are not ours (its sockets, its debugger).
pytestmark = pytest.mark.filterwarnings("default")


def parameters(notebook: NotebookNode) -> int:
    """Return the place of the one cell that papermill finds by its tag."""
    (place,) = [n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    return place


@pytest.mark.parametrize("suffix", [".py", ".ipynb"])
def test_papermill_can_set_the_parameters(suffix: str) -> None:
    notebook = jupytext.read(SOURCE.with_suffix(suffix))
    cell = notebook.cells[parameters(notebook)]
    given = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert given == {"month": "2026-10", "config": None, "output": None, "fetched_at": None}


def run(output: Path, month: str) -> tuple[sr.Plan, sr.Reconciliation]:
    """Run the notebook with other parameters, as papermill does, and return what it saved."""
    notebook = jupytext.read(SOURCE)
    values = {"month": month, "output": str(output), "fetched_at": "2026-12-01T03:00:00Z"}
    injected = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    notebook.cells.insert(parameters(notebook) + 1, nbformat.v4.new_code_cell(injected))
    resources = {"metadata": {"path": str(output.parent)}}
    NotebookClient(
        notebook, timeout=600, startup_timeout=600, kernel_name="python3", resources=resources
    ).execute()
    (saved,) = (output / month).glob("plan-*.parquet")
    return sr.Plan.load(saved), sr.load_reconciliation(output / month / "reconciliation")


def to_correct(folder: str) -> dict[tuple[str, str], str]:
    """Return what is planted for a tool to correct: the true value by call and field."""
    with (sample_data() / folder / "planted.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["field"]]
    hands_off = {row["call_id"] for row in rows if row["patchable"] == "no"}
    return {
        (row["call_id"], row["field"]): row["value_true"]
        for row in rows
        if row["call_id"] not in hands_off and row["field"] != "started_at"
    }


def money(output: Path, month: str, name: str) -> dict[str, Decimal]:
    """Return the sum of what changes, by currency, from a table that was saved."""
    table = pd.read_csv(output / month / f"money-{name}.csv", dtype="str")
    sums: dict[str, Decimal] = {}
    for currency, delta in zip(table["currency"], table["cost_delta"], strict=True):
        if isinstance(currency, str):
            sums[currency] = sums.get(currency, Decimal(0)) + Decimal(delta)
    return sums


@pytest.mark.slow
def test_both_months_are_corrected_once_and_each_call_belongs_to_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("SIPPET_")]:
        monkeypatch.delenv(name)
    compared: dict[str, set[str]] = {}
    with Sandbox(sample_calls()) as api, sr.Client(api.url, token=api.token) as client:
        monkeypatch.setenv("SIPPET_API_URL", api.url)
        monkeypatch.setenv("SIPPET_API_TOKEN", api.token)
        for month, folder in (("2026-10", ""), ("2026-11", "november")):
            first, again = tmp_path / "first", tmp_path / "again"
            first.mkdir(exist_ok=True)
            again.mkdir(exist_ok=True)
            api.clear_requests()
            plan, rec = run(first, month)
            assert {request.method for request in api.requests} == {"GET"}
            planted = to_correct(folder)
            assert set(zip(plan.changes["call_id"], plan.changes["field"], strict=True)) == set(planted)
            compared[month] = set(rec.pairs["call_id"])

            plan = plan.approve(by="ana", note=f"billing {month}")
            done = sr.apply_plan(plan, client, tmp_path / "audit", rate="400/s", progress=False)
            assert set(done.records["outcome"]) == {"applied"}
            assert sr.verify_run(done, client).ok
            held = api.calls.set_index("id")
            for (call_id, field), truth in planted.items():
                value = held.loc[call_id, field]
                if field == "ended_at":
                    assert abs(value - pd.Timestamp(truth)) <= pd.Timedelta(seconds=1)
                else:
                    assert str(value) == truth

            rest, settled = run(again, month)
            assert len(rest) == 0
            patchable = settled.discrepancies.query("is_patchable")
            assert set(patchable["call_id"]) == set(plan.left_out["call_id"])
            assert set(settled.pairs["call_id"]) == compared[month]
            for name in ("user", "cause", "day", "prefix"):
                assert money(first, month, name) == money(first, month, "whole")
            assert any(money(first, month, "whole").values())

    october, november = compared["2026-10"], compared["2026-11"]
    assert not october & november
    exports = [
        (sample_data() / folder / "freeswitch" / "Master.csv").read_text("utf-8")
        for folder in ("", "november")
    ]
    with_cdr = {row[10] for text in exports for row in csv.reader(text.splitlines())}
    calls = sample_calls()
    calls = calls.loc[calls["call_uuid"].isin(with_cdr)]
    edges = calls.loc[(calls["started_at"] - MIDNIGHT).abs() <= pd.Timedelta(hours=4)].set_index("id")
    assert len(edges) >= 10
    for call_id, started_at in edges["started_at"].items():
        assert (call_id in october, call_id in november) == (started_at < MIDNIGHT, started_at >= MIDNIGHT)
    with (sample_data() / "planted.csv").open(encoding="utf-8", newline="") as file:
        (was_open,) = [row["call_id"] for row in csv.DictReader(file) if row["kind"] == "open"]
    assert was_open in october
