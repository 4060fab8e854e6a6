"""A few days of the sample month, a configuration to change, and runs of it."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest

import sippet_reconcile as sr
from sippet_reconcile.demo import sample_data

DAYS = ("2026-10-05", "2026-10-06")
API = "https://api.example.com"


@pytest.fixture(scope="session")
def few_days(tmp_path_factory):
    """Return a folder with the export and the calls of two days."""
    folder = tmp_path_factory.mktemp("days")
    lines = (sample_data() / "freeswitch" / "Master.csv").read_text("utf-8").splitlines(keepends=True)
    (folder / "Master.csv").write_text(
        "".join(line for line in lines if any(f'"{day} ' in line for day in DAYS)), "utf-8"
    )
    calls = json.loads((sample_data() / "api" / "calls.json").read_text("utf-8"))
    resources = calls if isinstance(calls, list) else calls["data"]
    kept = [one for one in resources if str(one["attributes"].get("started_at")).startswith(DAYS)]
    (folder / "calls.json").write_text(json.dumps({"data": kept}), "utf-8")
    return folder


class Months:
    """A configuration beside its exports, and the months that were made of it."""

    def __init__(self, folder: Path, made: Path) -> None:
        self.folder, self.made = folder, made
        self.config = folder / "month.toml"
        self.export = folder / "Master.csv"
        self.top = {"timezone": '"Europe/London"', "output": '"months"'}
        self.sources = {"files": '"Master.csv"', "timezone": '"Europe/London"', "country": '"GB"'}
        self.api = {"url": f'"{API}"', "calls": '"calls.json"', "fetched_at": '"{next}-01T03:00:00Z"'}
        self.rules = {"duration": '"billable"'}
        self.plan: dict[str, str] = {"max_share": "1"}
        self.report: dict[str, str] = {}

    def write(self) -> Path:
        def lines(table):
            return "\n".join(f"{name} = {value}" for name, value in table.items())

        named = {name: getattr(self, name) for name in ("api", "rules", "plan", "report")}
        tables = "\n".join(f"[{name}]\n{lines(table)}" for name, table in named.items())
        text = f"{lines(self.top)}\n[[sources]]\n{lines(self.sources)}\n{tables}\n"
        tomllib.loads(text)
        self.config.write_text(text, "utf-8")
        return self.config

    def first(self):
        """Return a month that was made before, without making it."""
        shutil.copytree(self.made, self.folder / "months")
        result = self.run()
        assert "made" not in result.steps.values()
        return result

    def run(self, month="2026-10", **options):
        config = sr.MonthConfig.from_toml(self.write())
        return sr.reconcile_month(month, config, progress=False, **options)


@pytest.fixture(scope="session")
def made_once(few_days):
    """Return the folder of the months after one run of the usual configuration."""
    Months(few_days, few_days / "months").run()
    return few_days / "months"


@pytest.fixture
def months(few_days, made_once, tmp_path, monkeypatch):
    for name in ("SIPPET_API_URL", "SIPPET_API_TOKEN", "SIPPET_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("Master.csv", "calls.json"):
        (tmp_path / name).write_bytes((few_days / name).read_bytes())
    return Months(tmp_path, made_once)
