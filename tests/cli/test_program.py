"""What holds for every command: help that teaches, no secret on the command line, errors as sentences."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from sippet_reconcile import __version__, errors
from sippet_reconcile.cli import main
from sippet_reconcile.cli.program import Program


def every_command():
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        if isinstance(command, click.Group):
            yield from (f"{name} {sub}" for sub in command.commands)
        else:
            yield name


def command_of(words):
    command = main
    for word in words.split():
        command = command.get_command(click.Context(command), word)
    return command


COMMANDS = list(every_command())


def test_the_commands_are_those_of_the_walk():
    assert COMMANDS == [
        "demo", "doctor", "inspect", "fetch", "diff", "plan", "approve", "apply", "verify", "revert",
        "audit runs", "audit show", "audit verify", "audit export", "month", "sandbox",
    ]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS)
def test_help_teaches_with_an_example_and_says_what_it_never_does(shell, words):
    text = shell(*words.split(), "--help").stdout
    assert "Example:" in text
    assert f"sippet-reconcile {words}" in text or f"sippet-reconcile {words.split()[0]}" in text
    assert "It never " in text


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_says_what_it_is_for_and_none_takes_a_token(words):
    for parameter in command_of(words).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert "token" not in parameter.name
            assert "key" not in parameter.name


def test_help_of_every_command_imports_none_of_the_heavy_libraries():
    code = (
        "import sys, click\n"
        "from sippet_reconcile.cli import main\n"
        "for words in sys.argv[1:]:\n"
        "    try: main([*words.split(), '--help'])\n"
        "    except SystemExit as done: assert not done.code, words\n"
        "print(*{'pandas', 'numpy', 'pyarrow', 'httpx'} & set(sys.modules), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, "", *COMMANDS, "audit"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_without_a_command_the_walk_is_shown(shell):
    text = shell().stdout
    for name in (
        "demo",
        "doctor",
        "inspect",
        "fetch",
        "diff",
        "plan",
        "approve",
        "apply",
        "verify",
        "revert",
        "audit",
    ):
        assert f"sippet-reconcile {name}" in text


def test_the_version_is_shown(shell):
    assert __version__ in shell("--version").stdout


def test_an_unknown_command_or_option_is_an_input_error(shell):
    assert "No such command" in shell("dif", code=2).stderr
    assert "No such option" in shell("fetch", "--token", "x", code=2).stderr


FAILURES = [
    (errors.InputError("the file is odd"), 2),
    (errors.PlanGuardError("too many"), 2),
    (errors.RejectedError("no", status=403), 3),
    (errors.AuditError("disk full"), 4),
    (PermissionError(13, "Permission denied", "out.parquet"), 2),
    (KeyboardInterrupt(), 130),
    (click.Abort(), 130),
]


@pytest.mark.parametrize(("error", "code"), FAILURES, ids=lambda v: type(v).__name__)
def test_errors_become_one_sentence_and_their_exit_code(error, code):
    program = failing(error)
    result = CliRunner().invoke(program, ["fail"])
    assert result.exit_code == code
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_debug_lets_the_traceback_through():
    result = CliRunner().invoke(failing(errors.InputError("the file is odd")), ["--debug", "fail"])
    assert isinstance(result.exception, errors.InputError)


def test_an_error_of_the_program_itself_is_not_hidden():
    result = CliRunner().invoke(failing(ZeroDivisionError()), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


def failing(error):
    @click.command("fail")
    def fail():
        raise error

    return Program(
        "program",
        params=[click.Option(["--debug"], is_flag=True)],
        callback=lambda **_: None,
        commands_in={},
        commands={"fail": fail},
    )
