"""One's own numbers and prefixes for an outside line are said on the command line as in Python."""

from __future__ import annotations

import pandas as pd
import pytest

import sippet_reconcile as sr

COLUMNS = ("started_at=Start", "from_number=From", "to_number=To", "billable_s=Talk")


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(
        "Start,From,To,Talk\n"
        "2026-10-01 09:00:00,1001,9442079460123,5\n"
        "2026-10-01 09:10:00,anonymous,501,5\n"
        "2026-10-01 09:20:00,1001,2345,5\n",
        encoding="utf-8",
    )
    return path


def inspect(shell, export, *words, code=0):
    named = [word for column in COLUMNS for word in ("--column", column)]
    run = shell if code else shell.json
    return run("inspect", export, *named, "--timezone", "UTC", "--quiet", *words, code=code)


def test_own_numbers_and_prefixes_change_what_is_read(shell, export):
    def told(*words):
        return [(row["direction"], row["to_e164"]) for row in inspect(shell, export, *words)["rows"]]

    assert told() == [(None, None)] * 3
    own = ("--internal-number", "1000-1999", "--internal-number", "501", "--internal-number", "2*")
    assert [direction for direction, _ in told(*own)] == ["outbound", "inbound", "internal"]
    prefixes = ("--strip-prefix", "9", "--strip-prefix", "90", "--country", "GB")
    assert [number for _, number in told(*prefixes)] == ["+442079460123", None, None]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--internal-number", "1999-1000"),
            "--internal-number holds '1999-1000': the range ends before it begins",
        ),
        (("--strip-prefix", "nine"), "--strip-prefix holds 'nine'"),
    ],
)
def test_what_is_no_number_or_prefix_is_an_input_error_that_shows_it(shell, export, words, said):
    assert said in " ".join(inspect(shell, export, *words, code=2).stderr.split())


@pytest.mark.parametrize("command", ["inspect", "diff"])
def test_the_help_tells_of_both(shell, command):
    text = " ".join(shell(command, "--help").stdout.split())
    assert "--internal-number NUMBER" in text
    assert "--strip-prefix DIGITS" in text


def test_numbers_that_differ_are_masked_in_the_table_of_differences(shell, sample, tmp_path):
    calls = sr.read_calls(sample / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z").head(60)
    other = pd.Series(["+442079460555"] * len(calls), dtype="str")
    calls.assign(to_number=other).to_parquet(tmp_path / "calls.parquet")
    export = (
        sample / "freeswitch" / "Master.csv",
        "--timezone",
        "Europe/London",
        "--country",
        "GB",
        "--quiet",
    )
    shown = shell("diff", *export, "--calls", tmp_path / "calls.parquet", "--rows", 200, code=1).stdout
    assert shown.count("+44••••••••55") > 20
    assert "+442079460555" not in shown


def test_numbers_in_words_and_names_are_masked_in_tables_sentences_and_findings(shell, sample, tmp_path):
    status, file = "asked 020 7946 0777", "cdr_+442079460888.csv"
    (tmp_path / file).write_bytes((sample / "freeswitch" / "Master.csv").read_bytes())
    calls = sr.read_calls(sample / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z").head(60)
    calls.assign(status=status).astype({"status": "str"}).to_parquet(tmp_path / "calls.parquet")
    export = (tmp_path / file, "--timezone", "Europe/London", "--country", "GB", "--quiet")
    for command in (
        ("diff", *export, "--calls", tmp_path / "calls.parquet", "--rows", 50),
        ("inspect", *export),
    ):
        shown = shell(*command, code=1 if command[0] == "diff" else 0).stdout
        assert "7946 0777" not in shown
        assert "2079460888" not in shown
    assert (
        shell("diff", *export, "--calls", tmp_path / "calls.parquet", code=1).stdout.count("02• •••• ••77")
        > 3
    )
