"""The commands of the audit log, on a small log written here."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from sippet_reconcile.audit import AuditLog, Entry, Event, Outcome

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
