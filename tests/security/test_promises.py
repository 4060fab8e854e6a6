"""SECURITY.md promises what tests hold, and tells what works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def text():
    return (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_each_promise_names_tests_that_exist(text):
    promised = text.partition("## Promised")[2].partition("## Not promised")[0]
    paragraphs = [part for part in promised.split("\n\n") if part.startswith("**")]
    assert len(paragraphs) >= 6
    for paragraph in paragraphs:
        named = re.findall(r"`(tests/[\w/]+\.py)`", paragraph)
        assert named, paragraph
        for name in named:
            assert "def test_" in (ROOT / name).read_text(encoding="utf-8"), name


def test_each_module_of_these_tests_is_behind_a_promise(text):
    modules = {path.name for path in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert modules == {
        name.rpartition("/")[2] for name in re.findall(r"`(tests/security/test_\w+\.py)`", text)
    }


def test_it_names_no_address_of_a_person(text):
    assert not re.search(r"[\w.]+@[\w.]+", text)


def test_its_example_runs(text, monkeypatch):
    certifi = pytest.importorskip("certifi")
    monkeypatch.setenv("SIPPET_API_URL", "https://api.example.com")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert "/etc/ssl/company.pem" in example
    space = {}
    exec(example.replace("/etc/ssl/company.pem", Path(certifi.where()).as_posix()), space)  # noqa: S102 - our own page
    assert repr(space["client"]) == "<Client https://api.example.com>"
