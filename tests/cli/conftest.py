"""Run the command line in this process, and as the console script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sippet_reconcile.cli import main
from sippet_reconcile.demo import sample_data

SCRIPT = Path(sys.executable).with_name("sippet-reconcile")


class Shell:
    """Runs commands with an environment of its own; what is exported stays."""

    def __init__(self):
        self.env = {"SIPPET_API_URL": None, "SIPPET_API_TOKEN": None, "SIPPET_API_KEY": None}

    def __call__(self, *words, code=0):
        result = CliRunner().invoke(main, [str(word) for word in words], env=self.env)
        said = f"{result.stdout}\n{result.stderr}"
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, f"ended with {result.exit_code} instead of {code}:\n{said}"
        return result

    def json(self, *words, code=0):
        return json.loads(self(*words, "--json", code=code).stdout)

    def script(self, *words, code=0):
        env = {**os.environ, **{k: v or "" for k, v in self.env.items()}}
        done = subprocess.run(
            [str(SCRIPT), *map(str, words)],
            env=env,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=600,
        )
        assert done.returncode == code, (
            f"ended with {done.returncode} instead of {code}:\n{done.stdout}\n{done.stderr}"
        )
        return done


@pytest.fixture
def shell():
    return Shell()


@pytest.fixture(scope="session")
def sample():
    return sample_data()
