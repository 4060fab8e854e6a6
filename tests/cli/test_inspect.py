"""`inspect` shows what was understood, or how a file begins that was not."""

import pytest

STRANGE = (
    "Weekly report\n"
    "Call Date;Caller;Destination;Duration;Talk Time;Result\n"
    "01.10.2026 09:00:00;020 7946 0123;+442079460199;65;60;answered\n"
    "01.10.2026 09:05:00;1001;+442079460188;15;0;busy\n"
)


@pytest.fixture
def strange(tmp_path):
    path = tmp_path / "strange.csv"
    path.write_text(STRANGE, encoding="utf-8")
    return path


@pytest.fixture
def known(sample):
    return sample / "freeswitch" / "Master.csv"


ZONE = ("--timezone", "Europe/London", "--quiet")


def test_it_says_why_the_format_was_chosen_and_how_the_clock_is_known(shell, known):
    said = " ".join(shell("inspect", known, *ZONE).stdout.split())
    assert "200 of 200 rows have 15 columns" in said
    assert "No other format resembles it" in said
    assert "Europe/London, as was said; nothing in the data confirms" in said
    assert "--country would let national numbers be read" in said


def test_json_holds_the_whole_description(shell, known):
    told = shell.json("inspect", known, *ZONE, "--rows", 1)["cdr"]
    assert told["bytes"] == known.stat().st_size
    assert told["format_candidates"][0]["format"] == "freeswitch"
    assert sum(row["rows"] for row in told["causes"]) == told["rows"]
    assert told["earliest_start"].endswith("+00:00")


def test_a_report_is_one_file_that_loads_nothing(shell, known, tmp_path):
    page = tmp_path / "look.html"
    said = shell("inspect", known, *ZONE, "--report", page)
    assert f"The description is in {page}" in said.stderr
    html = page.read_text(encoding="utf-8")
    assert "Rows by status" in html
    assert "default-src &#39;none&#39;" in html


def test_a_stranger_is_shown_and_the_command_that_reads_it_works(shell, strange, tmp_path):
    page = tmp_path / "look.html"
    done = shell("inspect", strange, "--report", page, code=2)
    assert "no known format fits" in done.stderr
    assert "01.10.2026 09:00:00" in done.stdout
    assert "7946" not in done.stdout + page.read_text(encoding="utf-8"), "numbers are masked"
    assert "strange.csv" in page.read_text(encoding="utf-8")
    command = done.stdout[done.stdout.index("sippet-reconcile inspect") :].replace("\\\n", " ")
    assert "--column 'started_at=Call Date'" in command
    told = shell.json("inspect", strange, code=2)
    (look,) = told["files"]
    words = [word for pair in look["columns"].items() for word in ("--column", "=".join(pair))]
    read = shell.json("inspect", strange, *words, "--timezone", "UTC", "--dayfirst", "--quiet")
    assert [row["billable_s"] for row in read["rows"]] == [60, 0]


def test_a_known_file_that_lacks_its_zone_is_shown_too_but_needs_no_columns(shell, known):
    done = shell("inspect", known, code=2)
    assert "It looks like freeswitch" in done.stdout
    assert "--column" not in done.stdout
    assert "pass --timezone" in done.stderr


def test_a_file_without_names_says_what_to_do(shell, tmp_path):
    path = tmp_path / "bare.csv"
    path.write_text("1,2,3\n4,5,6\n")
    assert "put a line of names above it" in shell("inspect", path, code=2).stdout


@pytest.mark.parametrize("data", [b"\x00\x01\x02", b"<html>\x1b[2J</html>", b"[{]", b"PK\x03\x04broken"])
def test_what_is_no_export_ends_with_an_error_and_nothing_worse(shell, tmp_path, data):
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    done = shell("inspect", path, code=2)
    assert done.stderr.strip()
    assert "\x1b" not in done.stdout


def test_an_empty_file_holds_no_record(shell, tmp_path):
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    assert "not a single record" in shell("inspect", path).stdout


def test_a_file_that_is_not_there_is_an_error_alone(shell, tmp_path):
    done = shell("inspect", tmp_path / "none.csv", code=2)
    assert "does not exist" in done.stderr
    assert not done.stdout


def test_a_report_of_calls_alone_is_an_error(shell, sample, tmp_path):
    done = shell("inspect", "--calls", sample / "api" / "calls.json", "--report", tmp_path / "x.html", code=2)
    assert "--report is about CDR files" in done.stderr
    assert not done.stdout


def test_calls_alone_are_told_with_what_was_looked_for_and_what_would_cure_it(shell, sample):
    told = shell.json("inspect", "--calls", sample / "api" / "calls.json")
    assert {row["code"] for row in told["checks"]} == {"impossible-calls", "stuck-calls", "duplicate-calls"}
    assert [row["cure"] for row in told["findings"]] == [{}] * len(told["findings"])
    assert told["cures_toml"] == ""
