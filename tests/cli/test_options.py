"""Options mirror the parameters of the functions they call, in name and default."""

from __future__ import annotations

import dataclasses
import inspect

import click
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cli import main
from sippet_reconcile.cli.options import RULE_OPTIONS
from sippet_reconcile.sandbox import Faults


def options_of(name):
    command = main.get_command(click.Context(main), name)
    return {p.name: p for p in command.params if isinstance(p, click.Option)}


def parameters_of(function):
    return {n: p for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}


# What an option is called where its parameter's name is taken (format, a builtin) or repeats.
NAMES = {"format": "format_"}
MIRRORED = [
    ("inspect", lambda: sr.read_cdr, {"progress"}),
    ("diff", lambda: sr.read_cdr, {"progress"}),
    ("fetch", lambda: sr.Client.fetch_calls, {"progress"}),
    ("diff", lambda: sr.reconcile, {"progress", "period"}),
    ("plan", lambda: sr.build_plan, set()),
    ("plan", lambda: sr.plan_corrections, set()),
    ("approve", lambda: sr.Plan.approve, set()),
    ("apply", lambda: sr.apply_plan, {"progress"}),
    ("verify", lambda: sr.verify_run, {"progress"}),
    ("sandbox", lambda: Faults, None),
]


@pytest.mark.parametrize(
    ("command", "function", "elsewhere"), MIRRORED, ids=lambda v: v if isinstance(v, str) else None
)
def test_each_parameter_has_its_option_with_the_same_default(command, function, elsewhere):
    options = options_of(command)
    if elsewhere is None:
        fields = {f.name: f.default for f in dataclasses.fields(function())}
        mirrored = {n: d for n, d in fields.items() if n in options}
        assert {"latency_s", "throttle_share", "error_share", "lost_answer_share", "seed"} <= set(mirrored)
        for name, default in mirrored.items():
            assert options[name].default == default, name
        return
    for name, parameter in parameters_of(function()).items():
        if name in elsewhere:
            continue
        option = options.get(NAMES.get(name, name))
        assert option is not None, f"{command} has no option for {name}"
        default = parameter.default
        is_plain = isinstance(default, str | int | float) and default != ""
        if is_plain and not option.multiple and not option.required and name != "timezone":
            shown = option.default if option.default is not None else option.show_default.split(";")[0]
            assert str(shown) == str(default), name


def test_the_dry_runs_rate_is_the_same_everywhere():
    default = inspect.signature(sr.Plan.dry_run).parameters["rate"].default
    assert options_of("plan")["rate"].default == options_of("revert")["rate"].default == default


def test_each_single_valued_rule_has_an_option_whose_help_tells_the_true_default():
    rules = sr.Rules()
    single = {
        f.name for f in dataclasses.fields(rules) if isinstance(getattr(rules, f.name), str | int | float)
    }
    assert {name for name, _, _ in RULE_OPTIONS} == single
    for name, _, text in RULE_OPTIONS:
        assert text.endswith(f"[{getattr(rules, name)}]"), name


def test_fields_that_may_be_planned_are_the_patchable_ones():
    assert tuple(options_of("plan")["fields"].type.choices) == sr.PATCHABLE


def test_numbers_that_cannot_be_are_refused_by_the_options(shell, sample):
    assert "--port" in shell("sandbox", "--port", 99999, code=2).stderr
    words = ("inspect", sample / "freeswitch" / "Master.csv", "--timezone", "Europe/London")
    assert "--rows" in shell(*words, "--rows", -1, code=2).stderr
