"""Notebooks run from top to bottom under a real kernel, and are kept as text without outputs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

if TYPE_CHECKING:
    from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("*.py"))

LONGER = {"compare_months", "format_clinic"}  # these run among the slow tests
PLANTED = {
    "compare_months": """
assert list(rules.index[[len(set(map(str, row))) > 1 for row in rules.to_numpy()]]) == ["duration_tolerance_s"]
assert set(new_causes) == {"cut-by-crash", "rounded-up-60s"}
assert desk == "1011"
assert by_site["rounded-up-60s"].loc["mill.csv", "wrong"] == 0
assert spread["share of them"].idxmax() == "cut-by-crash"
assert (len(returned), set(returned["sip_username"])) == (9, {"1011"})
assert (seconds["seconds before"] + seconds["changed"]).equals(seconds["seconds after"])
assert in_month.value_counts().equals(log.records().query("outcome == 'applied'")["call_id"].map(month_of).value_counts())
"all that was planted was found"
""",
    "monthly_billing": """
assert {request.method for request in sandbox.requests} == {"GET"}
planted = pd.read_csv(sample_data() / "planted.csv", dtype="str", keep_default_na=False).query("field != ''")
hands_off = planted.query("patchable == 'no'")["call_id"]
to_correct = planted.loc[~planted["call_id"].isin(hands_off) & planted["field"].ne("started_at")]
assert set(plan.changes["call_id"]) == set(to_correct["call_id"])
from decimal import Decimal
for table in (by_user, by_cause, by_day, by_prefix):
    for currency in ("GBP", "USD"):
        part, all_of_it = (frame.query("currency == @currency") for frame in (table, whole))
        for column in ("cost_before", "cost_after", "cost_delta", "n_calls", "billed_s_delta"):
            assert sum(map(Decimal, part[column].map(str))) == Decimal(str(all_of_it[column].item())), (currency, column)
assert (whole["cost_before"] + whole["cost_delta"]).tolist() == whole["cost_after"].tolist()
left_out = rec.pairs.loc[rec.pairs["call_id"].isin(plan.left_out["call_id"]), "cdr_id"]
never_billed = sr.rate_calls(rec.cdr_calls.query("cdr_id in @left_out"), card, timezone=settings.timezone)
worth_of = {name: frame.set_index("currency")["cost_delta"] for name, frame in {"whole": whole, "plan": of_plan}.items()}
assert set(never_billed["currency"]) == {"GBP"} and len(never_billed) == 2
assert worth_of["whole"]["GBP"] - worth_of["plan"]["GBP"] == sum(never_billed["cost"])
assert worth_of["whole"]["USD"] == worth_of["plan"]["USD"]
assert set(unrated["unrated_reason"]) == {"no-prefix"}
assert len(unbilled) == len(rec.only_in_cdr) == 20
"nothing was sent, and each table adds up to the whole month"
""",
    "one_off_fix": """
open_again = sandbox.calls.set_index("id").loc[hit["id"]]
as_before = hit.set_index("id").loc[hit["id"]]
is_example = open_again.index == example
assert (open_again["status"][is_example].item(), open_again["ended_at"].isna()[is_example].item()) == ("initiated", True)
assert open_again["status"][~is_example].eq("completed").all()
spans = (open_again["ended_at"] - as_before["ended_at"])[~is_example].dt.total_seconds()
assert spans.between(-2, 2).all()
known = pd.read_csv(sample_data() / "planted.csv", dtype="str").query("field == 'duration_seconds'")
true_s = as_before["duration_seconds"].astype("float64")
true_s.update(known.set_index("call_id")["value_true"].astype("float64"))
assert (open_again["duration_seconds"].astype("float64") - true_s)[~is_example].abs().le(1).all()
others = ~recorded["id"].isin(hit["id"])
ids = recorded["id"][others]
columns = ["status", "ended_at", "duration_seconds", "started_at", "call_source"]
assert sandbox.calls.set_index("id").loc[ids, columns].equals(recorded.set_index("id").loc[ids, columns])
assert set(plan.calls["call_id"]) == set(hit["id"]) - set(second_trunk["id"])
assert (len(again), proof.ok, log.verify().ok, list(log.runs()["n_calls"])) == (0, False, True, [20, 1, 4])
from matplotlib import pyplot
assert (pyplot.get_fignums(), ax.figure.number > 0) == ([], True)  # shown by the kernel, and closed behind the cell
"the incident was put right, the example is open again, and no other call was touched"
""",
}
"""What must hold at the end of a notebook that has to find what its first cells planted."""

# The kernel's own start warns about things that are not ours (its sockets, its debugger).
pytestmark = pytest.mark.filterwarnings("default")


def test_there_are_notebooks() -> None:
    assert [source.stem for source in SOURCES] == [pair.stem for pair in sorted(NOTEBOOKS.glob("*.ipynb"))]
    assert {"quickstart", "format_clinic", "compare_months", "monthly_billing", "one_off_fix"} <= {
        source.stem for source in SOURCES
    }


def test_each_case_of_the_clinic_shows_what_is_refused_and_checks_what_is_read() -> None:
    text = (NOTEBOOKS / "format_clinic.py").read_text(encoding="utf-8")
    _, *cases = text.split("\n# ## ")
    assert [case[:2] for case in cases] == ["1.", "2.", "3.", "4."]
    for case in cases:
        _, _, check = case.rpartition("# **Check.**")
        assert "\nrefusal(" in case
        assert "assert " in check


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_the_pair_says_the_same_and_holds_no_outputs(source: Path) -> None:
    text = jupytext.read(source)
    pair = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert [(c.cell_type, c.source) for c in pair.cells] == [(c.cell_type, c.source) for c in text.cells]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in pair.cells)


def _is_shown(output: NotebookNode) -> bool:
    """Tell whether an output is the value of a cell, or a picture that was drawn in it."""
    return output.output_type == "execute_result" or "image/png" in output.get("data", {})


@pytest.mark.parametrize(
    "source",
    [pytest.param(one, marks=pytest.mark.slow if one.stem in LONGER else ()) for one in SOURCES],
    ids=lambda p: p.stem,
)
def test_each_cell_runs_and_ends_in_something_to_look_at(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("SIPPET_")]:
        monkeypatch.delenv(name)
    notebook: NotebookNode = jupytext.read(source)
    if source.stem in PLANTED:
        notebook.cells.append(nbformat.v4.new_code_cell(PLANTED[source.stem]))
    NotebookClient(
        notebook,
        timeout=600,
        startup_timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    silent = [cell.source for cell in code if not any(_is_shown(output) for output in cell.outputs)]
    assert silent == []
    noise = [
        o.text for cell in code for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"
    ]
    assert noise == []
