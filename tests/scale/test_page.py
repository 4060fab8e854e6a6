"""The page about clusters is true: its example runs, and what it names exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import dask.config
import distributed  # noqa: F401 - it brings the settings that the page names
import pytest

import sippet_reconcile as sr
from sippet_reconcile import scale

PAGE = (Path(__file__).parents[2] / "SCALE.md").read_text("utf-8")


def test_the_page_names_what_there_is() -> None:
    assert set(re.findall(r"scale\.(\w+)\(", PAGE)) == {"read_cdr", "reconcile"}
    assert set(scale.__all__) == {"SpreadFrame", "read_cdr", "reconcile"}
    asked = re.findall(r"rec\.(?:legs|calls|cdr_calls)\.(\w+)", PAGE)
    assert set(asked) == {"loc", "take", "to_dask"}
    assert all(hasattr(scale.SpreadFrame, name) for name in asked)
    settings = re.findall(r"DASK_(DISTRIBUTED__\w+)=", PAGE)
    assert len(settings) == 2
    for name in settings:
        assert dask.config.get(name.lower().replace("__", "."))
    assert dask.config.get("dataframe.convert-string", default=None) in {None, True, False}


@pytest.mark.slow
def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    example = PAGE.partition("<!-- example: local -->")[2].partition("```python\n")[2].partition("```")[0]
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "288 of 2,316 compared calls differ" in ended.stdout
    rec = sr.load_reconciliation(tmp_path / "october")
    plan = sr.Plan.load(tmp_path / "plan.parquet")
    assert len(rec.legs) == 2_611
    assert 0 < len(plan) <= len(rec.discrepancies)
