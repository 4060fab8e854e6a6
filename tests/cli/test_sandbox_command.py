"""The command `sandbox`: which faults it offers, and what it says of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import httpx
import pytest

from sippet_reconcile.cli import main
from sippet_reconcile.sandbox import AuthFailure, RateLimitStyle, Switches


def options_of_the_command():
    return {option.name: option for option in main.get_command(None, "sandbox").params}


@pytest.mark.parametrize(
    ("name", "words"),
    [("rate_limit_style", RateLimitStyle), ("auth_failure", AuthFailure)],
)
def test_the_switches_on_offer_are_all_there_are_with_the_same_default(name, words):
    option = options_of_the_command()[name]
    assert list(option.type.choices) == [word.value for word in words]
    assert option.default == getattr(Switches(), name).value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--share", "explode=0.1"), "a fault is one of 'none', 'throttle'"),
        (("--share", "reset"), "--share 'reset' is not of the form NAME=VALUE"),
        (("--share", "reset=often"), "--share reset must be a number from 0 to 1, got 'often'"),
        (("--share", "reset=0.6", "--share", "502=0.6"), "together at most 1"),
        (("--share", "reset=0.1", "--share", "reset=0.2"), "the share of 'reset' is given twice"),
        (("--lost-answer-share", "0.1", "--share", "lost_answer=0.2"), "given twice"),
        (("--share", "200=0.1"), "between 400 and 599"),
        (("--rate-limit", "0.5"), "--rate-limit"),
        (("--expire-after", "-1"), "--expire-after"),
        (("--latency", "-1"), "latency_s must be a number of seconds"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_faults_that_cannot_be_played_are_refused_before_anything_listens(shell, words, said):
    assert said in " ".join(shell("sandbox", *words, code=2).stderr.split())


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent another way on Windows")
def test_faults_are_played_as_asked_and_counted_at_the_end():
    words = ["--share", "502=1", "--seed", "7", "--rate-limit", "2", "--rate-limit-style", "403-text"]
    command = [sys.executable, "-c", "from sippet_reconcile.cli import main; main()", "sandbox", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as server:
        try:
            url = server.stdout.readline().split()[1].partition("=")[2]
            with httpx.Client(base_url=url, timeout=60) as client:
                answers = [client.get("/api/calls") for _ in range(12)]
            server.send_signal(signal.SIGINT)
            said = server.communicate(timeout=300)[1]
        finally:
            server.kill()
    statuses = [answer.status_code for answer in answers]
    assert {answer.text for answer in answers if answer.status_code == 403} == {"Forbidden\n"}
    assert set(statuses) == {502, 403}
    assert "with Faults(seed=7, shares=((502, 1.0),))" in said
    counts = f"{statuses.count(502)} error, {statuses.count(403)} rate_limit"
    assert f"stopped after 12 requests; faults met: {counts}." in said
