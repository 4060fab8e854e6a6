"""The project's own promises: what the source says, imports and ships."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sippet_reconcile as sr

ROOT = Path(__file__).parent.parent
MAP = ROOT / "sippet_reconcile" / "reconciliation" / "__init__.py"
SOURCES = sorted((ROOT / "sippet_reconcile").rglob("*.py"))
SHIPPED = [
    path
    for path in subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607 - git is where the path says
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\0")
    if path
]


def test_every_public_name_is_there_and_described() -> None:
    for name in sr.__all__:
        value = getattr(sr, name)
        if callable(value):
            assert value.__doc__, f"{name} has no docstring"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sr.nonsense


def test_each_public_name_has_exactly_one_home() -> None:
    homes = [name for names in sr._HOMES.values() for name in names]
    assert sorted([*homes, "__version__"]) == sorted(sr.__all__)
    typed = {
        alias.name
        for node in ast.walk(ast.parse((ROOT / "sippet_reconcile/__init__.py").read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sippet_reconcile.")
        for alias in node.names
    }
    assert typed == set(sr.__all__)


@pytest.mark.parametrize("module", ["sippet_reconcile", "sippet_reconcile.cli"])
def test_importing_costs_none_of_the_heavy_libraries(module: str) -> None:
    code = f"import sys, {module}; print(*{{'pandas', 'numpy', 'pyarrow', 'httpx'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def calls_of(path: Path, names: set[str]) -> list[str]:
    """List the attribute calls of some names in a source file."""
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names
    ]


def test_only_apply_sends_a_patch() -> None:
    senders = [where for path in SOURCES for where in calls_of(path, {"attempt_patch", "patch_call"})]
    assert senders, "the rule would protect nothing"
    assert [where for where in senders if not re.match(r"sippet_reconcile/(apply|api)\b", where)] == []


def test_httpx_has_one_home() -> None:
    users = [
        p for p in SOURCES if re.search(r"^\s*(import httpx|from httpx)", p.read_text("utf-8"), re.MULTILINE)
    ]
    assert [str(p.relative_to(ROOT)) for p in users] == ["sippet_reconcile/api/client.py"] or len(users) == 1


def test_every_dependency_says_why_it_is_needed() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *(r for rs in extras.values() for r in rs)]:
        lines = [line for line in text.splitlines() if f'"{requirement}"' in line]
        assert lines, requirement
        assert any("#" in line for line in lines), f"{requirement} has no reason beside it"


def test_the_top_level_holds_what_a_project_needs_and_no_more() -> None:
    assert SHIPPED, "git did not answer"
    allowed = {
        "pyproject.toml", "sippet_reconcile", "notebooks", "tests", "sample_data",
        "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "FAULTS.md", "FORMATS.md", "MONTH.md", "SCALE.md", "SECURITY.md",
        ".ci", ".gitignore", ".gitattributes",
    }  # fmt: skip
    assert {path.split("/")[0] for path in SHIPPED} <= allowed


def test_the_source_archive_holds_what_the_repository_holds() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    included = {name.strip("/") for name in settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]}
    added_by_itself = {"pyproject.toml", ".gitignore", ".gitattributes"}
    assert {path.split("/")[0] for path in SHIPPED} - added_by_itself <= included


def rooms(package: str) -> set[str]:
    """Return the modules and packages of a package."""
    folder = ROOT / "sippet_reconcile" / package
    return {path.stem for path in folder.iterdir() if path.stem.isidentifier()} - {"__init__", "__pycache__"}


def test_the_map_of_reconciling_names_every_module_once() -> None:
    named = re.findall(r"``(\w+)``", ast.get_docstring(ast.parse(MAP.read_text("utf-8"))) or "")
    assert sorted(named) == sorted(rooms("reconciliation"))


def test_the_guide_to_reports_names_every_module() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Adding to a report")[2]
    named = re.findall(r"`(?:report/)?(\w+)(?:\.py|/)`", guide.partition("**A section**")[0])
    assert sorted({*named, "report"}) == sorted({*rooms("report"), "report"})


@pytest.mark.parametrize(
    "module", [p for p in SOURCES if p.name != "__main__.py"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_each_module_says_its_question_and_imports_alone(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text("utf-8"))), "a module opens with its question"
    name = ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    importlib.import_module(name)
