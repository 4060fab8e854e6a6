"""The month on the command line: codes for a timer, words for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import inspect
import re
import tomllib
from pathlib import Path

import pytest

import sippet_reconcile as sr
from sippet_reconcile.month.config import PlanOptions
from sippet_reconcile.sandbox import Sandbox

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(sample, tmp_path):
    """Return how to write a configuration of the sample month."""

    def write(month_zone="Europe/London", zone="Europe/London", api=None, more=""):
        path = tmp_path / "month.toml"
        calls = f'calls = "{sample}/api/calls.json"\nfetched_at = "{{next}}-01T03:00:00Z"\nurl = "https://api.example.com"'
        path.write_text(
            f'timezone = "{month_zone}"\noutput = "months"\n[[sources]]\nfiles = "{sample}/freeswitch/Master.csv"\n'
            f'timezone = "{zone}"\ncountry = "GB"\n[api]\n{api or calls}\n[rules]\nduration = "billable"\n{more}',
            "utf-8",
        )
        return path

    return write


def test_a_plan_to_review_ends_with_one_and_says_what_a_person_does(shell, config, tmp_path):
    done = shell("month", "2026-10", "--config", config(), code=1)
    assert done.stdout.startswith("2026-10: 288 of 2,316 compared calls differ")
    assert "plan.parquet" in done.stdout
    assert "WARN stuck-calls: " in done.stdout, "what the data are like, before a plan is approved"
    plan = tmp_path / "months" / "2026-10" / "plan.parquet"
    assert f"sippet-reconcile approve {plan} --by NAME" in done.stderr
    assert f"sippet-reconcile apply {plan} --audit audit/ --limit 5" in done.stderr
    assert "Nothing has been sent." in done.stderr
    shell("approve", plan, "--by", "ana")
    told = shell.json("month", "2026-10", "--config", config(), "--quiet", code=1)
    assert told["steps"]["plan.parquet"] == "kept"
    assert told["plan"]["approved_by"] == ["ana"]
    assert told["next"].startswith("sippet-reconcile apply ")


def test_a_rate_card_says_what_the_plan_is_worth(shell, config, sample):
    path = config()
    path.write_text(f'rate_card = "{sample}/rates.csv"\n{path.read_text("utf-8")}', "utf-8")
    done = shell("month", "2026-10", "--config", path, code=1)
    assert re.search(r"^Invoices fall by GBP \d+\.\d\d .* USD \d+\.\d\d", done.stdout, re.MULTILINE)


def test_help_has_every_exit_code_that_the_page_has(shell):
    page = (ROOT / "MONTH.md").read_text("utf-8")
    codes = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", page, re.MULTILINE))
    assert set(codes) == {"0", "1", "2", "3", "130"}
    told = shell("month", "--help").stdout
    assert dict(re.findall(r"^ +(\d+) {2,4}(\S.+)$", told, re.MULTILINE)) == codes


def test_nothing_to_correct_ends_with_zero_and_has_no_line_of_money(shell, config, sample):
    path = config(more="[plan]\nwhere = \"explanation == 'no-such-cause'\"")
    path.write_text(f'rate_card = "{sample}/rates.csv"\n{path.read_text("utf-8")}', "utf-8")
    done = shell("month", "2026-10", "--config", path)
    assert "nothing: no plan could correct anything" in done.stderr
    assert "Invoices" not in done.stdout
    assert all(line.strip() for line in done.stdout.splitlines())


def test_a_stop_ends_with_two_and_says_how_to_go_on(shell, config, tmp_path):
    done = shell("month", "2026-10", "--config", config(zone="America/New_York"), code=2)
    assert "STOP timezone-shift: " in done.stdout
    assert "accept under [plan]" in done.stderr
    assert "timezone='Europe/London'" in done.stdout, "a key of the configuration"
    assert "--timezone" not in done.stdout, "which is no option of this command"
    assert (tmp_path / "months" / "2026-10" / "reconciliation.html").is_file()
    assert not (tmp_path / "months" / "2026-10" / "plan.parquet").exists()


@pytest.mark.parametrize("month", ["October", "2026-13", "2026-1"])
def test_what_is_no_month_ends_with_two(shell, config, month):
    assert "is not of the form 'YYYY-MM'" in shell("month", month, "--config", config(), code=2).stderr


def test_a_configuration_that_cannot_be_used_ends_with_two(shell, config):
    said = shell("month", "2026-10", "--config", config(month_zone="Atlantis", more="[plans]"), code=2).stderr
    assert "has 2 problems" in said
    assert "did you mean 'plan'" in said


def test_an_api_that_refuses_the_token_ends_with_three(shell, config, sample):
    with Sandbox(sample / "api" / "calls.json") as api:
        shell.env["SIPPET_API_TOKEN"] = "not-the-one-of-this-sandbox"  # noqa: S105 - invented
        said = shell(
            "month", "2026-10", "--config", config(api=f'url = "{api.url}"'), "--quiet", code=3
        ).stderr
    assert "403" in said


@pytest.mark.slow
def test_an_api_that_is_not_there_ends_with_three(shell, config):
    with_nobody = 'url = "http://127.0.0.1:9"'
    shell.env["SIPPET_API_TOKEN"] = "only-an-example"  # noqa: S105 - invented
    shell("month", "2026-10", "--config", config(api=with_nobody), "--quiet", code=3)


def test_the_page_shows_configurations_that_can_be_read(tmp_path):
    page = (ROOT / "MONTH.md").read_text("utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "month.toml").write_text(text, "utf-8")
    read = sr.MonthConfig.from_toml(tmp_path / "month.toml")
    assert (read.rules.duration, read.plan.max_calls) == ("billable", 500)
    assert set(tomllib.loads(text)) >= {"timezone", "output", "sources", "api", "rules", "plan", "report"}


def test_the_page_names_every_option_of_a_source_and_of_a_plan():
    page = (ROOT / "MONTH.md").read_text("utf-8")
    options = {*inspect.signature(sr.read_cdr).parameters} - {"paths", "progress"}
    for name in options | {field.name for field in dataclasses.fields(PlanOptions)}:
        assert re.search(rf"\b{name}\b", page), name
