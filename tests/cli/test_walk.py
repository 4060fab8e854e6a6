"""The walk on the command line: files in, files out, from an export to the proof and back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from click.testing import CliRunner

import sippet_reconcile as sr
from sippet_reconcile.cli import main
from sippet_reconcile.sandbox import Sandbox

CDR = ("--timezone", "Europe/London", "--country", "GB", "--quiet")
MONTH = ("--month", "2026-10")


@pytest.fixture(scope="module")
def api(sample):
    with Sandbox(sample / "api" / "calls.json") as sandbox:
        yield sandbox


@pytest.fixture
def online(shell, api):
    shell.env |= {"SIPPET_API_URL": api.url, "SIPPET_API_TOKEN": api.token}
    return shell


@pytest.fixture(scope="module")
def place(api, sample, tmp_path_factory):
    """A folder with fetched calls and a reconciliation, made by the commands."""
    folder = tmp_path_factory.mktemp("walk")
    env = {"SIPPET_API_URL": api.url, "SIPPET_API_TOKEN": api.token, "SIPPET_API_KEY": None}
    calls, export = folder / "calls.parquet", sample / "freeswitch" / "Master.csv"
    fetch = ["fetch", *MONTH, "--timezone", "Europe/London", "--quiet", "--out", calls]
    diff = [
        "diff",
        export,
        "--calls",
        calls,
        *MONTH,
        *CDR,
        "--duration",
        "billable",
        "--out",
        folder / "diff",
    ]
    for words, code in ((fetch, 0), (diff, 1)):
        done = CliRunner().invoke(main, [str(w) for w in words], env=env)
        assert done.exit_code == code, done.output
    return folder


def plan_of(shell, place, tmp_path, *words):
    plan = tmp_path / "plan.parquet"
    told = shell.json("plan", place / "diff", *words, "--out", plan)
    return plan, told


def approved(shell, place, tmp_path, *words):
    plan, _ = plan_of(shell, place, tmp_path, *words)
    shell("approve", plan, "--by", "ana", "--note", "October")
    return plan


def test_inspect_says_what_was_understood(shell, sample):
    export = sample / "freeswitch" / "Master.csv"
    text = shell("inspect", export, *CDR).stdout
    assert "freeswitch" in text.lower()
    assert "30 September 2026 to 1 November 2026 (Europe/London)" in text
    assert "07700900" not in text, "numbers are masked"
    told = shell.json("inspect", export, *CDR, "--rows", 2)
    assert len(told["rows"]) == 2


def test_inspect_without_the_zone_of_local_times_says_what_to_do(shell, sample):
    said = shell("inspect", sample / "freeswitch" / "Master.csv", code=2).stderr
    assert "pass --timezone with the zone" in said
    assert "timezone=" not in said


def test_diff_of_a_wrong_zone_says_what_stops_it_before_the_next_step(shell, sample, place, tmp_path):
    export = sample / "freeswitch" / "Master.csv"
    wrong = ("--timezone", "America/New_York", "--country", "GB", "--duration", "billable", "--quiet")
    done = shell("diff", export, "--calls", place / "calls.parquet", *MONTH, "--period-timezone", "Europe/London",
                 *wrong, "--out", tmp_path / "d", code=1)  # fmt: skip
    assert "Correct nothing yet (timezone-shift)" in done.stdout
    assert "--accept timezone-shift" in done.stderr
    refused = shell("plan", tmp_path / "d", code=2).stderr
    assert "if you are sure, pass --accept timezone-shift" in refused
    assert "accept=" not in refused


def test_what_is_broken_in_a_table_of_corrections_is_shown_row_by_row(shell, place, tmp_path):
    fix = tmp_path / "fix.csv"
    fix.write_text("id,duration\n1,2\n", encoding="utf-8")
    words = ("plan", "--corrections", fix, "--calls", place / "calls.parquet", "--reason", "x")
    said = shell(*words, code=2)
    assert said.stdout == ""
    assert ".failures" not in said.stderr
    assert "no such column" in said.stderr.split("error: ", 1)[1].split("\n", 1)[1]


def test_a_file_that_is_not_there_is_said_before_anything_is_read(shell, sample, tmp_path):
    said = shell("diff", sample / "freeswitch" / "Master.csv", "--calls", tmp_path / "none", code=2).stderr
    assert "'--calls'" in said
    assert "does not exist" in said


def test_inspect_of_calls_alone_names_the_impossible_ones(shell, sample):
    told = shell.json("inspect", "--calls", sample / "api" / "calls.json")
    assert {"impossible-calls", "stuck-calls"} <= {finding["code"] for finding in told["findings"]}


def test_inspect_of_nothing_is_an_input_error(shell):
    assert "nothing to inspect" in shell("inspect", code=2).stderr


def test_diff_tells_causes_and_balance_and_ends_with_one(shell, sample, place, tmp_path):
    words = (
        "diff",
        sample / "freeswitch" / "Master.csv",
        "--calls",
        place / "calls.parquet",
        *MONTH,
        *CDR,
        "--duration",
        "billable",
    )
    text = shell(*words, code=1).stdout
    for part in ("causes", "balance", "ring-time-included", "never-ended"):
        assert part in text
    assert text.startswith("28")
    assert "build_plan" not in text
    told = shell.json(*words, "--out", tmp_path / "diff", code=1)
    assert told["agree"] is False
    assert {row["explanation"] for row in told["rollup"]} >= {"ring-time-included", "zero", "missing"}
    assert {row["field"] for row in told["ledger"]} >= {"status", "duration_seconds", "ended_at"}
    assert {"code", "outcome", "n_looked_at", "n_needed", "what"} == set(told["checks"][0])
    assert len(told["summary"]["rollup"]) == 2
    first, second = told["summary"]["rollup"]
    places = [
        text.index(part)
        for part in (first, second, "Differing calls by field and cause", "████", "\ncauses\n", "\nlargest")
    ]
    assert places == sorted(places), "the causes come before the differences"
    assert len(sr.load_reconciliation(tmp_path / "diff").discrepancies) > 300


def test_diff_of_two_sides_that_agree_ends_with_zero(shell, tmp_path):
    calls = tmp_path / "calls.json"
    attributes = {
        "call_uuid": "5b1f0c1e-0000-4000-8000-000000000001", "direction": "inbound", "status": "completed",
        "from_number": "+442079460001", "to_number": "+442079460500", "sip_username": None, "call_source": "sip",
        "started_at": "2026-10-05T09:00:00Z", "ended_at": "2026-10-05T09:01:10Z", "duration_seconds": 60, "conversation_id": None,
    }  # fmt: skip
    resource = {"id": "11111111-1111-4111-8111-111111111111", "type": "Call", "attributes": attributes}
    calls.write_text(json.dumps({"data": [resource]}), encoding="utf-8")
    export = tmp_path / "Master.csv"
    export.write_text(
        '"Ann","02079460001","02079460500","public","2026-10-05 10:00:00","2026-10-05 10:00:10","2026-10-05 10:01:10",'
        '"70","60","NORMAL_CLEARING","5b1f0c1e-0000-4000-8000-000000000001","","","PCMA","PCMA"\n',
        encoding="utf-8",
    )
    words = (
        "diff",
        export,
        "--calls",
        calls,
        "--fetched-at",
        "2026-11-01T00:00:00Z",
        *CDR,
        "--duration",
        "billable",
    )
    assert shell.json(*words)["agree"] is True


def test_rules_come_from_a_file_and_single_options_override_it(shell, sample, place, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text('duration = "total"\ntime_tolerance_s = 5\n', encoding="utf-8")
    words = ("diff", sample / "freeswitch" / "Master.csv", "--calls", place / "calls.parquet", *MONTH, *CDR)
    shell(*words, "--rules", rules, "--duration", "billable", "--out", tmp_path / "diff", code=1)
    used = sr.load_reconciliation(tmp_path / "diff").rules
    assert (used.duration, used.time_tolerance_s) == ("billable", 5)
    rules.write_text("duration_tollerance_s = 3\n", encoding="utf-8")
    assert "duration_tollerance_s" in shell(*words, "--rules", rules, code=2).stderr


def test_plan_builds_narrows_and_shows_again(shell, place, tmp_path):
    report = tmp_path / "dry_run.html"
    plan, told = plan_of(shell, place, tmp_path, "--where", "explanation == 'zero'", "--report", report)
    assert report.stat().st_size > 1000
    assert told["reports"] == [str(report)]
    ids = sr.Plan.load(plan).calls["call_id"].tolist()
    assert len(ids) > 10
    shown = shell("plan", plan, "--rows", 3).stdout
    changes = shown.split("THE CHANGES\n")[1].split("LEFT OUT")[0].split("WRONG, BUT")[0]
    assert changes.count("Master.csv:") == 3
    assert f"and {len(sr.Plan.load(plan).changes) - 3} more" in shown
    assert "\\_" not in shown
    smaller = tmp_path / "smaller.parquet"
    shell("plan", plan, "--keep", ids[0], "--keep", ids[1], "--out", smaller)
    assert set(sr.Plan.load(smaller).calls["call_id"]) == set(ids[:2])
    shell("plan", plan, "--drop", ids[0], "--out", smaller)
    assert set(sr.Plan.load(smaller).calls["call_id"]) == set(ids[1:])
    assert "07700900" not in shell("plan", plan).stdout


def test_plan_without_a_source_or_over_its_guard_is_refused(shell, place):
    assert "SOURCE" in shell("plan", code=2).stderr
    assert "--reason" in shell("plan", "--corrections", place / "calls.parquet", code=2).stderr
    assert "3" in shell("plan", place / "diff", "--max-calls", 3, code=2).stderr


def test_plan_from_a_table_of_corrections(online, place, tmp_path):
    call = (
        sr.read_calls(place / "calls.parquet")
        .query("status == 'completed' and duration_seconds > 30")
        .iloc[0]
    )
    fix = tmp_path / "fix.csv"
    fix.write_text(f"call_id,duration_seconds,status\n{call['id']},7,\n", encoding="utf-8")
    plan = tmp_path / "plan.parquet"
    online(
        "plan",
        "--corrections",
        fix,
        "--calls",
        place / "calls.parquet",
        "--reason",
        "ticket 4711",
        "--out",
        plan,
    )
    changes = sr.Plan.load(plan).changes
    assert changes[["call_id", "field", "after", "reason"]].to_numpy().tolist() == [
        [call["id"], "duration_seconds", "7", "ticket 4711"]
    ]


def test_a_plan_that_is_not_approved_is_refused(online, place, tmp_path, api):
    plan, _ = plan_of(online, place, tmp_path, "--where", "explanation == 'zero'")
    sent = len(api.requests)
    online("apply", plan, "--audit", tmp_path / "audit", code=2)
    assert not [r for r in api.requests[sent:] if r.method == "PATCH"]


@pytest.mark.slow
def test_a_run_that_ends_in_an_error_says_where_its_record_is_and_its_head(online, place, tmp_path):
    audit = tmp_path / "audit"
    plan = approved(online, place, tmp_path, "--where", "explanation == 'zero'")
    online.env |= {"SIPPET_API_TOKEN": "expired-token-of-a-test"}
    done = online("apply", plan, "--audit", audit, "--quiet", code=3)
    last = done.stderr.strip().splitlines()[-1]
    assert sr.AuditLog(audit).head in last
    assert str(audit) in last


def test_canary_rest_proof_and_way_back(online, place, tmp_path, api):
    audit, before = tmp_path / "audit", api.calls.set_index("id").sort_index()
    plan = approved(online, place, tmp_path, "--where", "explanation == 'zero'")
    apply = ("apply", plan, "--audit", audit, "--rate", "200/s", "--quiet")
    canary = online.json(*apply, "--limit", 3, code=4)
    outcomes = {row["outcome"]: row["calls"] for row in canary["outcomes"]}
    assert outcomes["applied"] == 3
    done = online.json(*apply)
    assert done["run_id"] == canary["run_id"]
    assert done["not_corrected"] == []
    assert online.json("verify", "--audit", audit)["ok"] is True
    changed = sr.Plan.load(plan).calls["call_id"].tolist()
    held = api.calls.set_index("id")
    assert (held.loc[changed, "duration_seconds"] > 0).all()

    undo = tmp_path / "undo.parquet"
    online("revert", done["run_id"], "--audit", audit, "--out", undo)
    online("approve", undo, "--by", "ben")
    online("apply", undo, "--audit", audit, "--rate", "200/s", "--quiet")
    pd.testing.assert_frame_equal(
        api.calls.set_index("id").sort_index().drop(columns="fetched_at"), before.drop(columns="fetched_at")
    )
    runs = online.json("audit", "runs", "--audit", audit)
    assert [run["plan_id"] for run in runs] == [sr.Plan.load(p).plan_id for p in (plan, undo)]
    assert online.json("audit", "verify", "--audit", audit)["ok"] is True
    latest = online.json("verify", "--audit", audit)
    assert (latest["run_id"], latest["ok"]) == (runs[1]["run_id"], True)
    assert online.json("verify", runs[0]["run_id"], "--audit", audit, code=1)["ok"] is False


def test_somebody_elses_change_ends_with_one(online, place, tmp_path, api):
    plan = approved(online, place, tmp_path, "--where", "explanation == 'rounded-up-6s'")
    call_id = sr.Plan.load(plan).calls["call_id"].iloc[-1]
    api.change_call(call_id, duration_seconds=1)
    told = online.json("apply", plan, "--audit", tmp_path / "audit", "--rate", "200/s", "--quiet", code=1)
    assert [row["call_id"] for row in told["not_corrected"]] == [call_id]
    assert told["not_corrected"][0]["outcome"] == "drifted"
    moved = sr.Plan.load(plan).calls["call_id"].iloc[0]
    api.change_call(moved, duration_seconds=2)
    assert online.json("verify", "--audit", tmp_path / "audit", code=1)["ok"] is False


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent another way on Windows")
@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(online, place, tmp_path, api):
    plan = approved(online, place, tmp_path, "--where", "explanation == 'cut-by-crash'")
    words = ["apply", str(plan), "--audit", str(tmp_path / "audit"), "--quiet"]
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from sippet_reconcile.cli import main; main()"
    )
    sent = len(api.requests)
    with subprocess.Popen(
        [sys.executable, "-c", program, *words, "--rate", "1/s"],
        env={**os.environ, **{k: v for k, v in online.env.items() if v}},
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as running:
        deadline = time.monotonic() + 300
        while not any(r.method == "PATCH" for r in api.requests[sent:]) and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=300)[1]
    assert running.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert online.json(*words, "--rate", "200/s")["not_corrected"] == []
    patched = [r.path for r in api.requests[sent:] if r.method == "PATCH"]
    assert len(patched) == len(set(patched)) == len(sr.Plan.load(plan).calls)


def test_a_plan_for_another_api_is_refused(online, place, tmp_path, sample):
    plan = approved(online, place, tmp_path, "--where", "explanation == 'missing'")
    with Sandbox(sample / "api" / "calls.json") as other:
        online.env |= {"SIPPET_API_URL": other.url, "SIPPET_API_TOKEN": other.token}
        online("apply", plan, "--audit", tmp_path / "audit", code=2)
        assert not [r for r in other.requests if r.method == "PATCH"]


@pytest.mark.slow
def test_the_console_script_runs_the_demo(shell, tmp_path):
    done = shell.script("demo", tmp_path / "demo")
    assert "verified" in done.stdout
    assert str(tmp_path / "demo" / "dry_run.html") in done.stdout
    assert "6/6" in done.stderr
    assert shell.script("audit", "runs", "--audit", tmp_path / "demo" / "audit").stdout.strip()
