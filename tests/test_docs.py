"""Every public name says what it is for, in the order of numpydoc, and shows it in an example that runs.

The rule, for what the package and its sandbox export, and for what their steps hand out:

- each class and function, exceptions included, has an example of its own, which uses it and shows something;
- each method that users call is called in an example: its own, or that of its class;
- each property has a docstring: frames and counts need no example to be read;
- a function documents all of its parameters in their order; a method all of them, or, where one sentence says it, none;
- each field of a dataclass is told: in a section, in a sentence, or beneath it.

The examples run with the suite, which collects the docstrings of the whole package.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import tomllib
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import sippet_reconcile as sr
from sippet_reconcile import demo, sandbox
from sippet_reconcile.api import ApiDescription, CheckResult
from sippet_reconcile.audit import AuditVerification
from sippet_reconcile.cdr import Candidate, CdrDescription
from sippet_reconcile.plan import Approval, PlannedRequest
from sippet_reconcile.plan.plots import PlanPlots
from sippet_reconcile.reconciliation import Findings
from sippet_reconcile.reconciliation.call_view import CallView
from sippet_reconcile.reconciliation.plots import ReconciliationPlots
from sippet_reconcile.reconciliation.rollup import RollUp
from sippet_reconcile.report import Document

ORDER = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Notes", "Examples")
SECTION = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}$", re.MULTILINE)

HANDED_OUT = (
    ApiDescription, Approval, AuditVerification, CallView, Candidate, CdrDescription, CheckResult, Document,
    Findings, PlannedRequest, PlanPlots, ReconciliationPlots, RollUp,
)  # fmt: skip
"""What the public steps return, besides the classes that are exported themselves."""

INSIDE = frozenset({"BarChart", "Entry"})
"""What a public name hands to the package's own steps: a chart is drawn by whatever shows it."""

FOR_OTHER_MODULES = frozenset({
    "AuditLog.parts", "AuditLog.require_untouched", "AuditLog.writing",
    "Client.attempt_patch", "Client.attempt_read", "Client.paced", "Client.told_of_leaving",
    "DryRunReport.from_facts", "Plan.from_changes",
    "Plan.billed_seconds", "Reconciliation.billed_seconds", "Run.billed_seconds",
    "Faults.filled", "RollUp.of",
})  # fmt: skip
"""Public in Python's sense, and called by the package's own steps only: documented, without an example."""


def exported() -> dict[str, Any]:
    """Return every class and function that the package and its sandbox export, and the samples to try them on."""
    found = {}
    for module in (sr, sandbox, demo):
        for name in module.__all__:
            if module is demo and not name.startswith("sample_"):
                continue
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                found[name] = thing
    return found


def members(kind: Any) -> dict[str, Any]:
    """Return what a class defines itself, under names that users may write."""
    return {name: thing for name, thing in vars(kind).items() if not name.startswith("_")}


def function_of(thing: Any) -> Callable[..., Any] | None:
    """Return the function behind a method of any sort; None for what is no method."""
    function = thing.__func__ if isinstance(thing, classmethod | staticmethod) else thing
    return function if inspect.isfunction(function) else None


EXPORTED = exported()
CLASSES = {name: thing for name, thing in EXPORTED.items() if inspect.isclass(thing)} | {
    kind.__name__: kind for kind in HANDED_OUT
}
FUNCTIONS = {name: thing for name, thing in EXPORTED.items() if inspect.isfunction(thing)}
METHODS = {
    f"{owner}.{name}": function
    for owner, kind in CLASSES.items()
    for name, thing in members(kind).items()
    if (function := function_of(thing)) is not None
}
PROPERTIES = {
    f"{owner}.{name}": thing
    for owner, kind in CLASSES.items()
    for name, thing in members(kind).items()
    if isinstance(thing, property | cached_property)
}


HELD = {name: thing.fget if isinstance(thing, property) else thing.func for name, thing in PROPERTIES.items()}


def doc_of(thing: Any) -> str:
    """Return a docstring of its own; one that a class inherits, or a dataclass makes up, says nothing."""
    text = inspect.cleandoc(thing.__doc__ or "")
    return "" if text.startswith(f"{getattr(thing, '__name__', '?')}(") else text


def names_of(doc: str, section: str) -> list[str]:
    """Return the names that a section of a docstring explains."""
    found = re.search(
        rf"^{section}\n-+\n(.*?)(?=^[A-Z][A-Za-z ]+\n-{{3,}}$|\Z)", doc, re.MULTILINE | re.DOTALL
    )
    lines = found[1].splitlines() if found else []
    heads = [line for line in lines if line and not line.startswith(" ")]
    return [name.strip().lstrip("*") for head in heads for name in head.split(",")]


def called_in(doc: str) -> set[str]:
    """Return the names of all that the examples of a docstring call."""
    source = "\n".join(example.source for example in doctest.DocTestParser().get_examples(doc))
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {call.attr for call in calls if isinstance(call, ast.Attribute)} | {
        call.id for call in calls if isinstance(call, ast.Name)
    }


@pytest.mark.parametrize("name", [*CLASSES, *FUNCTIONS, *METHODS, *PROPERTIES])
def test_what_is_public_says_what_it_is_for_in_the_order_of_numpydoc(name: str) -> None:
    doc = doc_of({**CLASSES, **FUNCTIONS, **METHODS, **PROPERTIES}[name])
    first = doc.partition("\n")[0]
    assert first.endswith("."), f"{name} begins with no sentence of one line: {first!r}"
    sections = SECTION.findall(doc)
    assert [*sections] == [section for section in ORDER if section in sections]


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_the_parameters_of_a_docstring_are_those_of_the_signature(name: str) -> None:
    function = {**FUNCTIONS, **METHODS}[name]
    told = names_of(doc_of(function), "Parameters")
    taken = [word for word in inspect.signature(function).parameters if word not in {"self", "cls"}]
    if name in FOR_OTHER_MODULES:
        assert told == [word for word in taken if word in told]
    elif told or name in FUNCTIONS:
        assert told == taken


@pytest.mark.parametrize("name", CLASSES)
def test_what_a_class_says_that_it_has_it_has(name: str) -> None:
    kind = CLASSES[name]
    held = set(dir(kind)) | set(getattr(kind, "__annotations__", {}))
    source = inspect.getsource(kind)
    missing = [
        word
        for word in names_of(doc_of(kind), "Attributes")
        if word not in held and f"self.{word} =" not in source
    ]
    assert not missing
    if told := names_of(doc_of(kind), "Parameters"):
        assert set(told) == set(inspect.signature(kind).parameters)


@pytest.mark.parametrize("name", [name for name, kind in CLASSES.items() if is_dataclass(kind)])
def test_each_field_of_a_dataclass_is_told(name: str) -> None:
    kind = CLASSES[name]
    told = {word for base in kind.__mro__[:-1] for word in words_about_fields(base)}
    assert [own.name for own in fields(kind) if not own.name.startswith("_") and own.name not in told] == []


def words_about_fields(kind: Any) -> set[str]:
    """Return the fields that a class explains: in a section, in a sentence, or in a text beneath them."""
    doc = doc_of(kind)
    body = ast.parse(inspect.cleandoc(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    beneath = {
        above.target.id
        for above, text in pairwise(body.body)
        if isinstance(above, ast.AnnAssign)
        and isinstance(above.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }
    named = {*names_of(doc, "Attributes"), *names_of(doc, "Parameters"), *re.findall(r"``(\w+)``", doc)}
    return beneath | named


def test_each_class_that_a_step_hands_out_is_documented_as_well() -> None:
    ours = {
        name
        for module in pkgutil.walk_packages(sr.__path__, "sippet_reconcile.")
        for name, thing in vars(importlib.import_module(module.name)).items()
        if inspect.isclass(thing) and thing.__module__.startswith("sippet_reconcile")
    }
    returned = {
        (word, name)
        for name, function in {**FUNCTIONS, **METHODS, **HELD}.items()
        if name not in FOR_OTHER_MODULES
        for word in re.findall(r"\b[A-Z]\w+", str(inspect.signature(function).return_annotation))
    }
    assert {(word, name) for word, name in returned if word in ours - set(CLASSES) - INSIDE} == set()


@pytest.mark.parametrize("name", [*CLASSES, *FUNCTIONS])
def test_each_public_class_and_function_has_an_example_that_uses_it_and_shows_something(name: str) -> None:
    doc = doc_of({**CLASSES, **FUNCTIONS}[name])
    examples = doctest.DocTestParser().get_examples(doc)
    assert any(example.want.strip() not in {"", "..."} for example in examples), f"{name} shows nothing"
    if name in FUNCTIONS:
        assert name in called_in(doc)
    else:
        # What a step hands out is used without its name.
        used = {name, *members(CLASSES[name]), *getattr(CLASSES[name], "__annotations__", {})}
        assert used & set(re.findall(r"\w+", "".join(example.source + example.want for example in examples)))


@pytest.mark.parametrize("name", sorted(set(METHODS) - FOR_OTHER_MODULES))
def test_each_method_is_called_in_an_example_of_its_own_or_of_its_class(name: str) -> None:
    owner, _, method = name.partition(".")
    assert method in called_in(doc_of(METHODS[name])) | called_in(doc_of(CLASSES[owner]))


def test_what_is_said_to_be_for_other_modules_is_there() -> None:
    assert set(METHODS) >= FOR_OTHER_MODULES


def test_the_suite_runs_the_examples_and_none_is_skipped() -> None:
    settings = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["tool"][
        "pytest"
    ]["ini_options"]
    assert "--doctest-modules" in settings["addopts"]
    assert "sippet_reconcile" in settings["testpaths"]
    skipped = [
        path.name
        for path in Path(str(sr.__file__)).parent.rglob("*.py")
        if re.search(r"#\s*doctest:.*SKIP", path.read_text("utf-8"))
    ]
    assert not skipped
