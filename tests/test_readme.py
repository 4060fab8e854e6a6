"""The README is true: its help is the program's, its commands and code exist, its promises are the code's."""

from __future__ import annotations

import ast
import gzip
import inspect
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import sippet_reconcile as sr
from sippet_reconcile import cli, errors
from sippet_reconcile.apply.traffic import FRESH_S
from sippet_reconcile.demo import sample_data
from sippet_reconcile.sandbox import Sandbox

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line
    for block in SHELL
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("sippet-reconcile ")
]


def block_with(words: str) -> str:
    """Return the one block of Python that holds some words."""
    (block,) = [block for block in PYTHON if words in block]
    return block


def test_the_help_is_the_programs_own() -> None:
    shown = re.search(r"<!-- help -->\s*```text\n(.*?)```\s*<!-- /help -->", README, re.DOTALL)
    assert shown is not None
    assert shown[1].rstrip() == CliRunner().invoke(cli.main, []).output.rstrip()


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_line_is_one_that_the_program_takes(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command is not None
    assert isinstance(command, click.Command)
    options = {flag for parameter in command.params for flag in parameter.opts}
    assert {word for word in arguments if word.startswith("--")} <= options


def test_the_code_names_what_there_is() -> None:
    assert PYTHON
    calls = [node for block in PYTHON for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]
    checked = 0
    for call in calls:
        path = ast.unparse(call.func)
        if not path.startswith("sr."):
            continue
        function = sr
        for part in path.split(".")[1:]:
            function = getattr(function, part)
        parameters = inspect.signature(function).parameters  # type: ignore[arg-type]  # a callable of the package
        assert {keyword.arg for keyword in call.keywords} <= set(parameters), path
        checked += 1
    assert checked >= 8


def test_the_walk_in_ten_lines_runs_where_the_demo_ran(tmp_path: Path) -> None:
    shutil.copytree(sample_data(), tmp_path / "sippet-demo")
    block = block_with("apply_plan")
    *lines, last = block.strip().replace("50/s", "400/s").splitlines()
    program = "\n".join([*lines, f"print({last})"])
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert (tmp_path / "dry_run.html").is_file()


@pytest.fixture(scope="module")
def month() -> dict[str, Any]:
    """Return the names that the walk in ten lines leaves behind for what follows it."""
    return {
        "sr": sr,
        "october": sr.Period.month("2026-10", timezone="Europe/London"),
        "legs": sr.read_cdr(
            sample_data() / "freeswitch" / "Master.csv", timezone="Europe/London", country="GB"
        ),
        "calls": sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z"),
    }


def test_the_questions_about_causes_are_answered_where_the_walk_ended(
    month: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    names = dict(month)
    with sr.temporary_explanations():
        for words in ("rec.causes", "@sr.explanation"):
            exec(block_with(words), names)  # noqa: S102 - the README's own code
        rec = sr.reconcile(names["legs"], names["calls"], rules=sr.Rules(duration="billable"))
    assert "[info] duration-basis" in capsys.readouterr().out  # "auto" could propose a basis
    assert rec.rollup("explanation")["explanation"].eq("half-minutes").any()


def test_a_review_in_a_workbook_goes_as_it_says(
    month: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    monkeypatch.chdir(tmp_path)
    rec = sr.reconcile(month["legs"], month["calls"], rules=sr.Rules(duration="billable"))
    names = {"plan": sr.build_plan(rec, fields="status")}
    before, _, after = block_with("keep_reviewed").partition("# ... somebody")
    exec(before, names)  # noqa: S102 - the README's own code
    book = openpyxl.load_workbook("review.xlsx")
    head, *rows = book["changes"].iter_rows()
    places = {cell.value: at for at, cell in enumerate(head)}
    for row in rows[:3]:
        row[places["approve"]].value = "yes"
    kept = [row[places["call"]].value for row in rows[:3]]
    book.save("review.xlsx")
    exec(f"#{after}", names)  # noqa: S102 - the README's own code
    assert set(names["plan"].changes["call_id"]) == set(kept)
    assert [one.by for one in names["plan"].approvals] == ["ana"]


def test_the_picture_of_a_dry_run_is_there_and_told_in_words() -> None:
    ((words, path),) = re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", README)
    assert (Path(__file__).parent.parent / path).is_file()
    assert len(words) > 200


def test_the_parts_of_a_dry_run_are_called_what_they_are(month: dict[str, Any]) -> None:
    rec = sr.reconcile(
        month["legs"], month["calls"], period=month["october"], rules=sr.Rules(duration="billable")
    )
    titles = {part.title for part in sr.build_plan(rec).dry_run().document.sections}
    table = README.split("| Part | What it says |")[1].split("\n\n")[0]
    parts = [part for row in table.splitlines()[2:] for part in row.split("|")[1].strip().split("; ")]
    assert parts[0] == "Verdict and figures"
    own_words = {"How large, and when"}
    assert set(parts[1:]) - own_words <= titles


def test_what_is_it_worth_runs_and_shows_rows_of_the_sample_card(
    month: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sippet-demo").mkdir()
    shutil.copy(sample_data() / "rates.csv", tmp_path / "sippet-demo")
    names = dict(month)
    exec(block_with("RateCard.from_csv"), names)  # noqa: S102 - the README's own code
    assert "What it is worth" in (tmp_path / "dry_run.html").read_text("utf-8")
    (shown,) = re.findall(r"```csv\n(.*?)```", README, re.DOTALL)
    (tmp_path / "shown.csv").write_text(shown, "utf-8")
    rows = sr.RateCard.from_csv(tmp_path / "shown.csv").rows.drop(columns="line")
    whole = names["card"].rows.drop(columns="line").astype(str).to_numpy().tolist()
    assert len(rows) == 4
    assert all(row in whole for row in rows.astype(str).to_numpy().tolist())


def test_without_a_cdr_only_calls_that_count_from_their_start_are_corrected(month: dict[str, Any]) -> None:
    block = block_with("corrections_from_times")
    with pytest.raises(errors.InputError, match="the calls contradict"):
        exec(block, dict(month))  # noqa: S102 - the README's own code
    calls = month["calls"]
    seconds = (calls["ended_at"] - calls["started_at"]).dt.total_seconds().round().astype("Int64")
    lost = calls["status"].eq("completed") & seconds.gt(1200)
    names = month | {"calls": calls.assign(duration_seconds=seconds.mask(lost))}
    exec(block, names)  # noqa: S102 - the README's own code
    assert set(names["plan"].changes["call_id"]) == set(calls.loc[lost, "id"])


def test_the_month_by_hand_runs_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exports").mkdir()
    export = (sample_data() / "freeswitch" / "Master.csv").read_bytes()
    (tmp_path / "exports" / "october.csv.gz").write_bytes(gzip.compress(export))
    month = next(block for block in SHELL if "sippet-reconcile fetch" in block)
    with Sandbox(sample_data() / "api" / "calls.json") as sandbox:
        monkeypatch.setenv("SIPPET_API_URL", sandbox.url)
        monkeypatch.setenv("SIPPET_API_TOKEN", sandbox.token)
        lines = month.replace("\\\n", " ").replace("5/s", "400/s").splitlines()[1:]
        codes = [CliRunner().invoke(cli.main, shlex.split(line)[1:]).exit_code for line in lines]
    # They differ; a canary leaves calls for later; the rest is done, and proved.
    assert codes == [0, 1, 0, 0, 4, 0, 0]


def test_the_exit_codes_are_those_of_the_errors() -> None:
    table = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", README, re.MULTILINE))
    assert set(table) == {"0", "1", "2", "3", "4", "130"}
    assert errors.InputError.exit_code == errors.PlanError.exit_code == 2
    assert errors.ApiError.exit_code == 3
    assert errors.AuditError.exit_code == 4


def test_the_window_between_reading_and_writing_is_as_wide_as_it_says() -> None:
    assert f"never more than {FRESH_S:.0f} seconds" in README


def test_both_commands_for_newcomers_are_there() -> None:
    assert re.search(r"<!-- command: demo -->\s*```sh\n.*sippet-reconcile demo\n```", README)
    assert re.search(r"<!-- command: test -->\s*```sh\n.*\.ci/check\n```", README)
