"""Nobody at a terminal is told to pass what only Python takes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import sippet_reconcile as sr
from sippet_reconcile.cli import main
from sippet_reconcile.cli.words import PHRASES, command_words, flags_of, in_command_words

PACKAGE = Path(sr.__file__).parent
# What only a program reads: a terminal never shows it.
ELSEWHERE = ("cli", "sandbox", "demo.py", "schema.py", "_display")
FLAGS = flags_of(main)
# What a sentence is called on its way to a person; others are returned, or kept by an object.
SENTENCES = (
    "msg",
    "advice",
    "hint",
    "note",
    "why",
    "about",
    "details",
    "problem",
    "problems",
    "detail",
    "reason",
)


def told(node):
    """The text of a literal, with a value in quotes where an f-string fills something in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "'x'" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def messages():
    """What the package says where it refuses or advises."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in ELSEWHERE:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            values = []
            if isinstance(node, ast.Assign | ast.AugAssign):
                names = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(
                    isinstance(name, ast.Attribute) or getattr(name, "id", None) in SENTENCES
                    for name in names
                ):
                    values = [node.value]
            elif isinstance(node, ast.Return) and node.value is not None:
                values = [node.value]
            for value in values:
                filled = {
                    id(part)
                    for whole in ast.walk(value)
                    if isinstance(whole, ast.JoinedStr)
                    for part in whole.values
                }
                for part in ast.walk(value):
                    is_text = isinstance(part, ast.JoinedStr | ast.Constant) and id(part) not in filled
                    is_sentence = is_text and len(told(part)) > 12 and " " in told(part)
                    # What begins with "<" is a repr, and ends in the next step of a notebook.
                    if is_sentence and not told(part).startswith("<"):
                        yield f"{path.relative_to(PACKAGE)}:{part.lineno}", told(part)


MESSAGES = list(messages())
# Nobody can come to these from a command: it always hands in what they ask for.
ONLY_PYTHON = re.compile(
    r"not a DataFrame|is a table in memory|sniff_cdr looks at|is not an aware instant|period is a|rules is a|no call, call_uuid or cdr_id|"
    r"build it with api_url=|rate_card|RateCard\.from_csv|Plan\.load\(path\)|sr\.billing_impact|sr\.rate_calls|"
    # The next step as reprs and cards tell it.
    r"^verify_run\(run, client\)$|^apply_plan\(plan, client, audit\)$|"
    # Nobody hands axes to a command.
    r"not matplotlib axes"
)


def test_there_are_messages_to_look_at():
    assert len(MESSAGES) > 300
    assert {where.partition(":")[0] for where, _ in MESSAGES} >= {
        "audit/locking.py",
        "audit/writer.py",
        "apply/outages.py",
    }


@pytest.mark.parametrize("message", [text for _, text in MESSAGES], ids=[where for where, _ in MESSAGES])
def test_a_message_names_options_and_commands_not_python(message):
    if ONLY_PYTHON.search(message):
        return
    said = in_command_words(message, FLAGS)
    parameters = "|".join(sorted(FLAGS, key=len, reverse=True))
    functions = "|".join(name for name in sr.__all__ if not name[0].isupper() and "_" in name)
    for pattern in (rf"\b(?:{parameters})=", rf"\b(?:{functions})\b", r"\w\.\w+\(", r"(?<!\w)\.[a-z]{5,}\b"):
        assert not re.search(pattern, said), said


@pytest.mark.parametrize("phrase", [python for python, _ in PHRASES if "--" not in python])
def test_each_phrase_of_the_table_is_said_somewhere(phrase):
    assert any(phrase in message for _, message in MESSAGES)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("pass timezone= with the zone", "pass --timezone with the zone"),
        ("such as timezone='Europe/London' or 'UTC'", "such as --timezone Europe/London or 'UTC'"),
        ('pass accept=["timezone-shift", "empty-side"]', "pass --accept timezone-shift --accept empty-side"),
        (
            "more than max_calls=5 allows; narrow it with where=…, or pass max_calls=282",
            "more than --max-calls 5 allows; narrow it with --where, or pass --max-calls 282",
        ),
        ("where='a b = 5' cannot be evaluated", "--where 'a b = 5' cannot be evaluated"),
        (
            "add it, such as columns={'started_at': 'Start', ...}",
            "add it, such as --column started_at=Start ...",
        ),
        ('Pass Rules(duration="billable") or', "Pass --duration billable or"),
        ("pass Rules(clock_offset_s=-5).", "pass --clock-offset-s -5."),
        ('columns={"call_key": "…"}, or legs.assign(call_key=legs["x_id"]).', "--column 'call_key=…'."),
        ("status_map= maps to 'bar'", "--cdr-status maps to 'bar'"),
        (
            "run 'r' wrote to 'a', the client is of 'b': pass a client of the same API",
            "run 'r' wrote to 'a', SIPPET_API_URL is 'b': set SIPPET_API_URL to the address that it wrote to",
        ),
        ("pass dayfirst=True or dayfirst=False", "pass --dayfirst or --monthfirst"),
        ("an unknown_word= stays, and a==b, x.timezone= and 'timezone=' too",) * 2,
    ],
)  # fmt: skip
def test_parameters_become_the_options_that_set_them(message, said):
    assert in_command_words(message, FLAGS) == said


def test_outside_a_program_nothing_is_changed():
    assert command_words("pass timezone=") == "pass timezone="
