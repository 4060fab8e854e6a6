"""Which Python runs which case: the developer's own, or environments made for the peers.

Peers ask for libraries that ours do not go with (datacompy for an older pandas and polars),
and nothing of theirs belongs into a developer's environment. So they get their own, made
with pip in a folder, kept there, and only where somebody asks for it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.benchmarks.case import Case

__all__ = ["OWN", "PEERS", "Environment", "choose", "make_peers", "own"]

OWN: Final = "own"

_SHARED: Final = ("numpy==2.4.6", "pyarrow==26.0.1")
PEERS: Final = {
    "engines": ("polars==2.1.0", "duckdb==2.0.0", "pandas==3.1.1", *_SHARED),
    # The newest that datacompy goes with.
    "datacompy": ("datacompy==1.1.0", "polars==1.44.2", "pandas==3.0.6", *_SHARED),
}
"""The environments of the peers, and what is installed into each."""

_SHOWN: Final = (
    "pandas", "pyarrow", "numpy", "httpx", "phonenumbers", "polars", "duckdb", "datacompy", "xlsxwriter", "openpyxl",
    "playwright", "starlette", "uvicorn", "sippet-reconcile",
)  # fmt: skip
_ASK: Final = """
import json, platform, sys
from importlib import metadata
told = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        told[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(told))
"""
_PATIENCE_S: Final = 900


@dataclass(frozen=True)
class Environment:
    """A Python, and the versions of what it has of the libraries that matter here."""

    name: str
    python: str
    versions: dict[str, str]


def own() -> Environment:
    """Return the environment that this process runs in."""
    return _look(OWN, sys.executable)


def _look(name: str, python: str) -> Environment:
    done = subprocess.run([python, "-c", _ASK, *_SHOWN], check=True, capture_output=True, text=True)
    return Environment(name, python, json.loads(done.stdout))


def make_peers(folder: Path) -> tuple[list[Environment], list[str]]:
    """Return the peers' environments, made where they are missing, and why any of them is not there."""
    found: list[Environment] = []
    problems: list[str] = []
    for name, wanted in PEERS.items():
        asked = hashlib.sha256(" ".join((sys.version, *wanted)).encode()).hexdigest()[:12]
        place = folder / f"{name}-{asked}"
        python = place / "bin" / "python"
        if not (place / "complete").exists():
            problem = _make(place, python, wanted)
            if problem:
                problems.append(f"{name}: its environment could not be made ({problem}); skipped")
                continue
        found.append(_look(name, str(python)))
    return found, problems


def _make(place: Path, python: Path, wanted: tuple[str, ...]) -> str:
    """Make an environment; return what went wrong, in words, or nothing."""
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(place)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
    )
    for step in steps:
        try:
            done = subprocess.run(step, check=False, capture_output=True, text=True, timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            return f"{step[2]} took longer than {_PATIENCE_S} s"
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            return lines[-1].strip() if lines else f"{step[2]} failed"
    (place / "complete").write_text("\n".join(wanted), encoding="ascii")
    return ""


def choose(case: Case, environments: list[Environment]) -> Environment | str:
    """Return the first environment that has all that a case needs, or which libraries are missing."""
    for environment in environments:
        if all(name in environment.versions for name in case.needs):
            return environment
    anywhere = {name for environment in environments for name in environment.versions}
    missing = [name for name in case.needs if name not in anywhere] or list(case.needs)
    return ", ".join(missing)
