"""The commands that talk to the API, against a sandbox on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.sandbox import Sandbox

MONTH = ("--month", "2026-10", "--timezone", "Europe/London", "--quiet")


@pytest.fixture(scope="module")
def api(sample):
    with Sandbox(sample / "api" / "calls.json") as sandbox:
        yield sandbox


@pytest.fixture
def online(shell, api):
    shell.env |= {"SIPPET_API_URL": api.url, "SIPPET_API_TOKEN": api.token}
    return shell


def test_fetch_writes_the_month_with_its_margin_and_the_unstarted(online, api, sample, tmp_path):
    out = tmp_path / "calls.parquet"
    told = online.json("fetch", *MONTH, "--out", out)
    calls = pd.read_parquet(out)
    document = json.loads((sample / "api" / "calls.json").read_text(encoding="utf-8"))
    first, last = "2026-09-30T22:00", "2026-11-01T01:00"
    expected = {
        r["id"]
        for r in document["data"]
        if r["attributes"]["started_at"] is None or first <= r["attributes"]["started_at"] < last
    }
    assert set(calls["id"]) == expected
    assert told["calls"] == len(expected)
    assert set(calls["api_url"]) == {api.url}


def test_fetch_without_the_unstarted_and_with_a_filter(online, tmp_path):
    out = tmp_path / "calls.parquet"
    online("fetch", *MONTH, "--no-unstarted", "--filter", "direction=outbound", "--out", out)
    calls = sr.read_calls(out)
    assert set(calls["direction"]) == {"outbound"}
    assert calls["started_at"].notna().all()


def test_fetch_of_a_span_reads_only_that(online, tmp_path):
    out = tmp_path / "calls.parquet"
    span = ("--start", "2026-10-05T09:00:00+01:00", "--end", "2026-10-05T10:00:00+01:00")
    online("fetch", *span, "--quiet", "--no-unstarted", "--out", out)
    starts = sr.read_calls(out)["started_at"]
    assert starts.min() >= pd.Timestamp("2026-10-05T07:00Z")
    assert starts.max() < pd.Timestamp("2026-10-05T10:00Z")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "--month"),
        (("--month", "October"), "YYYY-MM"),
        (("--month", "2026-10", "--start", "2026-10-01T00:00:00Z"), "twice"),
        (("--start", "2026-10-01T00:00:00Z"), "both"),
        (("--start", "2026-10-01", "--end", "2026-11-01T00:00:00Z"), "offset"),
        (("--month", "2026-10", "--filter", "direction"), "NAME=VALUE"),
        (("--month", "2026-10", "--filter", "colour=red"), "colour"),
    ],
)
def test_fetch_of_nothing_sensible_is_an_input_error(online, tmp_path, words, sentence):
    out = tmp_path / "calls.parquet"
    assert sentence in online("fetch", *words, "--out", out, code=2).stderr
    assert not out.exists()


def test_fetch_makes_the_folder_it_writes_to_or_says_so_before_it_asks(online, api, tmp_path):
    out = tmp_path / "2026" / "calls.parquet"
    online("fetch", *MONTH, "--out", out)
    assert len(pd.read_parquet(out)) > 2000
    asked = len(api.requests)
    said = online("fetch", *MONTH, "--out", out / "x.parquet", code=2).stderr
    assert str(out) in said
    assert "Errno" not in said
    assert len(api.requests) == asked


def test_doctor_is_content_with_a_sandbox(online, api):
    told = online.json("doctor")
    assert told["api"]["ok"] is True
    assert told["api"]["url"] == api.url
    assert told["installation"]["sippet-reconcile"] == sr.__version__
    assert api.token not in online("doctor").stdout


def test_doctor_knows_the_library_of_each_extra(shell):
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    extras = settings["project"]["optional-dependencies"]
    told = shell("doctor", code=2).stdout
    for extra in ("excel", "plots"):
        for library in (wanted.partition(">")[0] for wanted in extras[extra]):
            assert library in told, f"{library}, extra {extra!r}"


def test_a_wrong_token_ends_with_the_code_of_the_api_and_is_not_shown(online):
    online.env["SIPPET_API_TOKEN"] = "wrong-but-secret"  # noqa: S105 - invented
    for words in (("doctor",), ("fetch", *MONTH, "--out", "never.parquet")):
        result = online(*words, code=3)
        assert "wrong-but-secret" not in result.stdout + result.stderr
    assert not Path("never.parquet").exists()


@pytest.mark.slow
def test_an_api_that_is_not_there_ends_with_its_code(shell):
    with socket.socket() as taken:  # without listening: nobody else gets this port meanwhile
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        shell.env |= {"SIPPET_API_URL": url, "SIPPET_API_TOKEN": "x"}
        assert shell.json("doctor", code=3)["api"]["reachable"] is False


def test_without_an_address_nothing_is_asked(shell, tmp_path):
    assert "SIPPET_API_URL" in shell("doctor", code=2).stderr
    assert "SIPPET_API_URL" in shell("fetch", *MONTH, "--out", tmp_path / "x", code=2).stderr


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent another way on Windows")
def test_the_sandbox_prints_what_to_export_and_stops_at_ctrl_c(shell, tmp_path):
    command = [
        sys.executable,
        "-c",
        "from sippet_reconcile.cli import main; main()",
        "sandbox",
        "--latency",
        "0.001",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as server:
        try:
            words = server.stdout.readline().split()
            assert words[0] == "export"
            shell.env |= dict(word.split("=", 1) for word in words[1:])
            out = tmp_path / "calls.parquet"
            shell("fetch", *MONTH, "--out", out)
            server.send_signal(signal.SIGINT)
            assert "stopped" in server.communicate(timeout=300)[1]
        finally:
            server.kill()
    assert server.returncode == 0
    assert len(sr.read_calls(out)) > 2000
