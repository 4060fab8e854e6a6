"""The commands of the audit log, on a small log written here."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.audit import AuditLog, Entry, Event, Outcome
from sippet_reconcile.sandbox import Sandbox

SCRIPT = Path(sys.executable).with_name("sippet-reconcile")

AT = datetime(2026, 10, 1, 12, tzinfo=UTC)
CALL = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def audit(tmp_path):
    common = {"run_id": "run-1", "plan_id": "plan-1", "api_url": "https://api.example", "at": AT}
    call = {"call_id": CALL, "before": '{"duration_seconds":0}', "after": '{"duration_seconds":60}'}
    with AuditLog(tmp_path / "audit").writing() as writer:
        writer.append([Entry(event=Event.RUN_STARTED, note='{"n_calls": 1}', by="ana", **common)])
        writer.append([Entry(event=Event.INTENT, **call, **common)])
        writer.append(
            [Entry(event=Event.OUTCOME, outcome=Outcome.APPLIED, confirmed_by="answer", **call, **common)]
        )
    return tmp_path / "audit"


def test_runs_are_listed(shell, audit):
    shown = shell("audit", "runs", "--audit", audit).stdout
    assert "run-1" in shown
    assert "rejected" not in shown, "an outcome that no run had is no column"
    assert max(map(len, shown.splitlines())) < 160
    (run,) = shell.json("audit", "runs", "--audit", audit)
    assert (run["run_id"], run["applied"], run["started_at"]) == ("run-1", 1, "2026-10-01T12:00:00+00:00")


def test_records_of_a_run_or_of_one_call_are_shown(shell, audit):
    assert [r["event"] for r in shell.json("audit", "show", "--audit", audit)] == [
        "run-started",
        "intent",
        "outcome",
    ]
    assert [
        r["event"] for r in shell.json("audit", "show", "run-1", "--audit", audit, "--call", CALL.upper())
    ] == ["intent", "outcome"]
    assert "and 2 more" in shell("audit", "show", "--audit", audit, "--rows", 1).stdout


def test_an_intact_log_is_verified_and_an_edited_one_is_not(shell, audit):
    head = shell.json("audit", "verify", "--audit", audit)["head"]
    assert shell.json("audit", "verify", "--audit", audit, "--head", head)["ok"] is True
    part = sorted(p for p in audit.glob("*.parquet"))[1]
    pd.read_parquet(part).assign(after='{"duration_seconds":6000}').to_parquet(part, index=False)
    result = shell.json("audit", "verify", "--audit", audit, code=1)
    assert result["ok"] is False
    assert part.name in result["problem"]
    assert "NOT intact" in shell("audit", "verify", "--audit", audit, code=1).stdout


def test_a_folder_without_records_is_not_called_an_intact_log(shell, tmp_path):
    shown = shell("audit", "verify", "--audit", tmp_path).stdout
    assert "no records in this folder" in shown
    assert "intact" not in shown


@pytest.mark.parametrize("option", ["--out", "--report"])
def test_an_undo_is_not_written_into_the_log_that_it_undoes(shell, audit, tmp_path, option):
    before = sorted(audit.iterdir())
    words = {"--out": tmp_path / "undo.parquet"} | {option: audit / "deeper" / "undo.parquet"}
    refused = shell("revert", "--audit", audit, *(word for pair in words.items() for word in pair), code=2)
    assert "lies inside the audit log" in refused.stderr
    assert (sorted(audit.iterdir()), (tmp_path / "undo.parquet").exists()) == (before, False)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "xlsx"])
def test_records_are_exported(shell, audit, tmp_path, suffix):
    target = tmp_path / f"out.{suffix}"
    assert shell.json("audit", "export", target, "--audit", audit) == {"out": str(target), "records": 3}
    assert target.stat().st_size > 100


def test_a_log_that_is_not_there_is_an_input_error(shell, tmp_path):
    for words in (["runs"], ["show"], ["verify"], ["export", tmp_path / "x.csv"]):
        result = shell("audit", *words, "--audit", tmp_path / "nowhere", code=2)
        assert "nowhere" in result.stderr
        assert result.stdout == ""


def test_an_unknown_run_is_an_input_error_that_names_the_known_ones(shell, audit):
    assert "run-1" in shell("audit", "show", "run-9", "--audit", audit, code=2).stderr


def test_a_call_without_records_is_said_to_have_none(shell, audit):
    done = shell("audit", "show", "--audit", audit, "--call", "nobody")
    assert "no record of the call nobody" in done.stderr


def test_one_call_is_shown_over_all_runs(shell, audit):
    common = {"plan_id": "plan-2", "api_url": "https://api.example", "at": AT, "call_id": CALL}
    with AuditLog(audit).writing() as writer:
        writer.append([Entry(event=Event.INTENT, run_id="run-2", **common)])
        writer.append([Entry(event=Event.OUTCOME, run_id="run-2", outcome=Outcome.DRIFTED, **common)])
    shown = shell.json("audit", "show", "--audit", audit, "--call", CALL)
    assert [(r["run_id"], r["event"]) for r in shown] == [
        ("run-1", "intent"), ("run-1", "outcome"), ("run-2", "intent"), ("run-2", "outcome"),
    ]  # fmt: skip


def test_a_head_that_was_kept_shows_a_cut_end_and_a_piece_of_one_is_refused(shell, audit):
    head = shell.json("audit", "verify", "--audit", audit)["head"]
    sorted(audit.glob("part-*"))[-1].unlink()
    assert shell.json("audit", "verify", "--audit", audit)["ok"] is True
    assert (
        "cut off"
        in shell.json("audit", "verify", "--audit", audit, "--head", head.upper(), code=1)["problem"]
    )
    assert "whole hash" in shell("audit", "verify", "--audit", audit, "--head", head[:12], code=2).stderr


def test_reading_commands_need_no_lock(shell, audit, tmp_path):
    with AuditLog(audit).writing():
        for words in (["runs"], ["show"], ["verify"], ["export", tmp_path / "x.csv"]):
            shell("audit", *words, "--audit", audit)


# With a real process and a real API


@pytest.fixture
def wrong(shell, tmp_path):
    """Eight wrong calls behind a real socket, an approved plan in a file, and a shell that may send it."""
    calls = [
        {
            "id": f"00000000-0000-4000-8000-{n:012d}",
            "attributes": {
                "call_uuid": f"switch-{n}", "direction": "outbound", "from_number": "+442079460001",
                "to_number": "+442079460002", "status": "completed", "call_source": "sip",
                "started_at": f"2026-10-01T08:{n:02d}:00Z", "ended_at": f"2026-10-01T08:{n + 1:02d}:00Z",
                "duration_seconds": 30,
            },
        }
        for n in range(8)
    ]  # fmt: skip
    with Sandbox({"data": calls}) as sandbox, sr.Client(sandbox.url, token=sandbox.token) as client:
        ids = [call["id"] for call in calls]
        fixes = pd.DataFrame({"call_id": ids, "duration_seconds": ["60"] * 8}, dtype="str")
        plan = sr.plan_corrections(client.get_calls(ids), fixes, reason="ticket 4711").approve(by="ana")
        plan.save(tmp_path / "plan.parquet")
        shell.env |= {"SIPPET_API_URL": sandbox.url, "SIPPET_API_TOKEN": sandbox.token}
        sandbox.clear_requests()
        yield sandbox


def apply_words(tmp_path, rate="200/s"):
    return "apply", tmp_path / "plan.parquet", "--audit", tmp_path / "log", "--rate", rate, "--quiet"


def patched(sandbox):
    return [r.path.rsplit("/", 1)[-1] for r in sandbox.requests if r.method == "PATCH"]


@pytest.mark.usefixtures("wrong")
def test_a_run_prints_its_head_and_keeps_it_in_its_report(shell, tmp_path):
    said = shell(*apply_words(tmp_path)).stdout
    log = AuditLog(tmp_path / "log")
    assert log.head in said
    run = sr.load_run(log)
    assert f"head {log.head}" in repr(run)
    assert log.head in run.to_html(tmp_path / "run.html").read_text(encoding="utf-8")
    shell("audit", "verify", "--audit", tmp_path / "log", "--head", log.head)


def test_a_second_process_ends_with_four_and_says_who_holds_the_log(shell, wrong, tmp_path):
    with AuditLog(tmp_path / "log").writing():
        said = shell.script(*apply_words(tmp_path), code=4).stderr
    assert f"is held by process {os.getpid()} (" in said
    assert "wait until its run has ended" in said
    assert not wrong.requests, "it asks the API nothing"


@pytest.mark.skipif(os.name != "posix", reason="limits as on Unix")
def test_a_disk_that_is_full_from_the_start_ends_with_four_and_sends_nothing(shell, wrong, tmp_path):
    env = {**os.environ, **{name: value or "" for name, value in shell.env.items()}}
    command = ["/bin/sh", "-c", 'ulimit -f 8; exec "$@"', "sh", str(SCRIPT), *map(str, apply_words(tmp_path))]
    done = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", check=False, timeout=600)
    assert done.returncode == 4, done.stderr
    assert "cannot be written (File too large)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not patched(wrong)
    shell.script(*apply_words(tmp_path))
    assert wrong.calls["duration_seconds"].tolist() == [60] * 8


@pytest.mark.slow
def test_a_log_taken_away_under_a_run_ends_with_four_and_is_settled_once_it_is_back(shell, wrong, tmp_path):
    folder, elsewhere = tmp_path / "log", tmp_path / "elsewhere"

    def take_away():
        for _ in range(6_000):
            if patched(wrong):
                folder.rename(elsewhere)
                return
            time.sleep(0.01)

    thief = threading.Thread(target=take_away)
    thief.start()
    try:
        # At two a second the outcomes of these eight calls are written seconds after the first request.
        said = shell.script(*apply_words(tmp_path, "2/s"), code=4).stderr
    finally:
        thief.join()
    assert "not as this run left it" in said
    elsewhere.rename(folder)
    shell.script(*apply_words(tmp_path))
    assert wrong.calls["duration_seconds"].tolist() == [60] * 8
    assert sorted(patched(wrong)) == sorted(wrong.calls["id"]), "no call was sent twice"
    assert shell.json("audit", "verify", "--audit", folder)["ok"] is True


def test_who_approved_and_why_and_who_ran_it_are_shown(shell, tmp_path):
    common = {"run_id": "run-1", "plan_id": "plan-1", "api_url": "https://api.example"}
    given_at = datetime(2026, 9, 30, 8, tzinfo=UTC)
    with AuditLog(tmp_path / "audit").writing() as writer:
        writer.append([
            Entry(event=Event.RUN_STARTED, at=AT, note='{"n_calls": 1}', by="operator@desk", **common),
            Entry(event=Event.APPROVAL, at=given_at, by="ana", note="looked at ten", **common),
            Entry(event=Event.APPROVAL, at=given_at, by="ben", **common),
        ])  # fmt: skip
    shown = shell("audit", "show", "--audit", tmp_path / "audit").stdout
    approvals = [line for line in shown.splitlines() if " approval " in line]
    assert [("2026-09-30 08:00" in line, "ana" in line, "looked at ten" in line) for line in approvals] == [
        (True, True, True),
        (True, False, False),
    ]
    assert "n_calls" not in shown, "what machines keep in a note is for machines"
    listed = shell("audit", "runs", "--audit", tmp_path / "audit").stdout
    assert "ana; ben" in listed
    assert "operator@desk" in listed
