"""Commands write what they found as HTML, name the files, and write none into an audit log."""

from __future__ import annotations

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.sandbox import Sandbox

OTHER = "+442079460555"


@pytest.fixture(scope="module")
def api(sample):
    calls = sr.read_calls(sample / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    with Sandbox(calls.query("duration_seconds > 60").head(4)) as sandbox:
        yield sandbox


@pytest.fixture
def online(shell, api):
    shell.env |= {"SIPPET_API_URL": api.url, "SIPPET_API_TOKEN": api.token}
    return shell


@pytest.fixture
def plan(api, tmp_path):
    """An approved plan that makes every call one second shorter than it is."""
    with sr.Client(api.url, token=api.token) as client:
        calls = client.get_calls(api.calls["id"])
    shorter = calls["duration_seconds"].sub(1).astype("str")
    fix = pd.DataFrame({"call_id": calls["id"], "duration_seconds": shorter})
    path = tmp_path / "plan.parquet"
    sr.plan_corrections(calls, fix, reason="ticket 4711").approve(by="ana").save(path)
    return path


def page(path):
    return path.read_text(encoding="utf-8")


def test_a_run_its_proof_and_the_check_of_its_log_are_written_and_named(online, plan, tmp_path):
    audit = tmp_path / "audit"
    commands = {
        "run.html": ("apply", plan, "--rate", "400/s", "--quiet"),
        "proof.html": ("verify", "--quiet", "--rate", "400/s"),
        "check.html": ("audit", "verify"),
    }
    for name, words in commands.items():
        told = online.json(*words, "--audit", audit, "--report", tmp_path / name)
        assert told["reports"] == [str(tmp_path / name)]
        assert AuditLog(audit).head in page(tmp_path / name)
    assert "calls of the plan hold what it says" in page(tmp_path / "run.html")
    told = online("audit", "show", "--audit", audit, "--report", tmp_path / "again.html")
    assert f"The report is in {tmp_path / 'again.html'}." in told.stderr
    assert "calls of the plan hold what it says" in page(tmp_path / "again.html")


def test_without_a_report_none_is_named(online, plan, tmp_path):
    told = online.json("apply", plan, "--audit", tmp_path / "audit", "--rate", "400/s", "--quiet")
    assert told["reports"] == []
    assert not list(tmp_path.glob("*.html"))


def test_no_report_is_written_into_an_audit_log_and_nothing_is_sent_then(online, api, plan, tmp_path):
    audit = tmp_path / "audit"
    n_before = len(api.requests)
    inside = ("--audit", audit, "--report", audit / "run.html")
    assert "inside the audit log" in online("apply", plan, *inside, code=2).stderr
    assert len(api.requests) == n_before
    online("apply", plan, "--audit", audit, "--rate", "400/s", "--quiet")
    for words in (("verify",), ("audit", "verify"), ("audit", "show")):
        assert "inside the audit log" in online(*words, *inside, code=2).stderr
    assert AuditLog(audit).verify().ok


def test_a_run_that_went_well_is_told_so_where_its_report_cannot_be_written(online, plan, tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    words = ("apply", plan, "--audit", tmp_path / "audit", "--rate", "400/s", "--quiet")
    done = online(*words, "--report", tmp_path / "file" / "run.html")
    assert "cannot be written" in done.stderr
    assert "audit show" in done.stderr
    assert "applied" in done.stdout


def test_a_report_tells_a_whole_run_and_not_one_call(online, tmp_path):
    AuditLog(tmp_path / "audit").path.mkdir()
    words = ("audit", "show", "--audit", tmp_path / "audit", "--call", "x", "--report", tmp_path / "a.html")
    assert "leave one of them out" in online(*words, code=2).stderr


@pytest.fixture
def diff(shell, sample, tmp_path):
    """Reconcile the export with a few calls that name another number; return what was written."""
    calls = sr.read_calls(sample / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z").head(60)
    calls = calls.assign(to_number=pd.Series([OTHER] * len(calls), dtype="str"))
    calls.to_parquet(tmp_path / "calls.parquet")
    export = (sample / "freeswitch" / "Master.csv", "--timezone", "Europe/London", "--country", "GB")

    def run(*words, code=1):
        return shell("diff", *export, "--calls", tmp_path / "calls.parquet", "--quiet", *words, code=code)

    return run


def test_a_reconciliation_is_written_with_masked_numbers_unless_asked_for(diff, tmp_path):
    told = diff("--report", tmp_path / "masked.html")
    assert f"The report is in {tmp_path / 'masked.html'}." in told.stderr
    diff("--report", tmp_path / "full.html", "--show-numbers")
    masked, full = page(tmp_path / "masked.html"), page(tmp_path / "full.html")
    assert OTHER not in masked
    assert OTHER[1:] not in masked
    assert "+44••••••••55" in masked
    assert full.count(OTHER) > 20


def test_a_report_is_not_written_where_the_next_diff_would_remove_it(diff, tmp_path):
    out = tmp_path / "october"
    told = diff("--out", out, "--report", out / "report.html", code=2)
    assert "which 'diff' writes anew each time" in told.stderr
    assert not out.exists()


def test_no_command_writes_a_report_over_a_file_that_it_reads(online, diff, plan, sample, tmp_path):
    calls, export = tmp_path / "calls.parquet", tmp_path / "Master.csv"
    export.write_bytes((sample / "freeswitch" / "Master.csv").read_bytes())
    before = {path: path.read_bytes() for path in (calls, export, plan)}
    assert f"--report would write over {calls}" in diff("--report", calls, code=2).stderr
    inspect = ("inspect", export, "--timezone", "Europe/London", "--quiet", "--report", export)
    assert f"--report would write over {export}" in online(*inspect, code=2).stderr
    applied = ("apply", plan, "--audit", tmp_path / "audit", "--report", plan)
    assert f"--report would write over {plan}" in online(*applied, code=2).stderr
    assert not (tmp_path / "audit").exists()
    for option in ("--report", "--excel"):
        assert f"{option} would write over {plan}" in online("plan", plan, option, plan, code=2).stderr
    assert {path: path.read_bytes() for path in before} == before


def test_no_two_files_of_a_command_share_a_name(online, plan, tmp_path):
    audit, one = tmp_path / "audit", tmp_path / "one.parquet"
    online("apply", plan, "--audit", audit, "--rate", "400/s", "--quiet")
    for words in (("plan", plan), ("revert", "--audit", audit)):
        said = online(*words, "--out", one, "--report", one, code=2).stderr
        assert f"--out and --report both name {one}: give each a file of its own" in said
        assert not one.exists()


def test_a_plan_may_be_made_smaller_in_its_place_and_lies_in_no_folder_that_diff_writes_anew(
    shell, diff, plan, tmp_path
):
    before = sr.Plan.load(plan)
    shell("plan", plan, "--drop", before.changes["call_id"].iloc[0], "--out", plan)
    assert len(sr.Plan.load(plan)) == len(before) - 1
    october = tmp_path / "october"
    diff("--out", october)
    said = shell("plan", october, "--out", october / "plan.parquet", code=2).stderr
    assert "which 'diff' writes anew each time" in said


def test_where_a_dry_run_cannot_be_written_no_plan_is(shell, plan, tmp_path):
    smaller = tmp_path / "smaller.parquet"
    shell("plan", plan, "--out", smaller, "--excel", tmp_path / "review.xls", code=2)
    assert not smaller.exists()


def test_a_run_that_was_limited_goes_on_with_all_that_was_asked_of_it(online, plan, tmp_path):
    online("approve", plan, "--by", "ben")
    words = ("apply", plan, "--audit", tmp_path / "audit", "--rate", "400/s", "--quiet")
    said = online(*words, "--limit", 1, "--min-approvals", 2, "--max-failures", 3, code=4).stderr
    assert f"--audit {tmp_path / 'audit'} --rate 400/s --min-approvals 2 --max-failures 3\n" in said


def test_machines_read_where_the_description_of_an_export_is(shell, sample, tmp_path):
    words = ("inspect", sample / "freeswitch" / "Master.csv", "--timezone", "Europe/London", "--quiet")
    told = shell.json(*words, "--report", tmp_path / "look.html")
    assert told["reports"] == [str(tmp_path / "look.html")]


@pytest.mark.parametrize("words", [("apply",), ("verify",), ("audit", "show"), ("audit", "verify")])
def test_a_command_that_can_show_no_numbers_says_so_instead_of_an_option(shell, words):
    told = " ".join(shell(*words, "--help").stdout.split())
    assert "without any phone number" in told
    assert "--show-numbers" not in told


@pytest.fixture
def rates(tmp_path):
    """A rate card on which a second costs a penny."""
    path = tmp_path / "rates.csv"
    path.write_text(
        "prefix,rate_per_minute,initial_s,increment_s,connect_fee,currency,valid_from,valid_to\n*,0.60,1,1,0,GBP,,\n",
        encoding="utf-8",
    )
    return path


def test_with_a_rate_card_plan_and_apply_tell_what_it_is_worth(online, plan, rates, tmp_path):
    report = tmp_path / "dry_run.html"
    told = online("plan", plan, "--rate-card", rates, "--report", report).stdout
    assert "WHAT IT IS WORTH" in told
    assert "What it is worth" in page(report)
    money = online.json("plan", plan, "--rate-card", rates)["money"]
    delta = sr.Plan.load(plan).dry_run(sr.RateCard.from_csv(rates)).summary()["money"]
    assert money == delta
    online("approve", plan, "--by", "ana")
    run = tmp_path / "run.html"
    told = online(
        "apply", plan, "--audit", tmp_path / "audit", "--rate-card", rates, "--report", run, "--quiet"
    )
    assert "So far, invoices" in told.stdout
    assert "So far, invoices" in page(run)


def test_a_rate_card_that_is_none_is_refused_before_anything_is_sent(online, api, plan, rates, tmp_path):
    n_requests = len(api.requests)
    online("approve", plan, "--by", "ana")
    rates.write_text("prefix,price\n44,1\n", encoding="utf-8")
    online("apply", plan, "--audit", tmp_path / "audit", "--rate-card", rates, code=2)
    assert not (tmp_path / "audit").exists()
    assert len(api.requests) == n_requests
    online("plan", plan, "--rate-card", rates, "--report", rates, code=2)
