"""The demonstration corrects what was planted, nothing else, proves it, and can be undone."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.demo import EXPORTED_AT, run_demo, sample_data
from sippet_reconcile.errors import InputError
from sippet_reconcile.sandbox import Sandbox

FIELDS = ["status", "duration_seconds", "ended_at"]
OCTOBER = sr.Period.month("2026-10", timezone="Europe/London")


def as_text(frame):
    """Return the correctable fields of calls as plain text by call id, instants to the microsecond."""
    shown = frame.set_index("id")[["started_at", "call_source", "call_uuid", *FIELDS]].sort_index()
    for name in ("started_at", "ended_at"):
        shown[name] = shown[name].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return shown.astype("str").fillna("")


@pytest.fixture(scope="module")
def planted():
    rows = pd.read_csv(sample_data() / "planted.csv", dtype="str", keep_default_na=False)
    return rows[rows["field"].ne("")]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(sample_data() / "api" / "calls.json") as running:
        yield running


@pytest.fixture(scope="module")
def steps():
    return []


@pytest.fixture(scope="module")
def demo(sandbox, steps, tmp_path_factory):
    return run_demo(tmp_path_factory.mktemp("demo") / "walk", sandbox=sandbox, say=steps.append)


def written(value, field):
    return pd.Timestamp(value).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if field == "ended_at" else value


def test_exactly_the_planted_patchable_errors_are_corrected_to_the_true_values(demo, planted):
    before, after = as_text(demo.calls_before), as_text(demo.calls_after)
    assert list(before.index) == list(after.index)
    changed = {
        (call_id, field): after.loc[call_id, field]
        for field in before.columns
        for call_id in before.index[before[field] != after[field]]
    }
    wanted = {
        (row.call_id, row.field): written(row.value_true, row.field)
        for row in planted[planted["patchable"].eq("yes")].itertuples()
    }
    assert changed == wanted


def test_the_planted_values_are_the_ones_that_stood_before(demo, planted):
    before = as_text(demo.calls_before)
    for row in planted[planted["patchable"].eq("yes")].itertuples():
        assert before.loc[row.call_id, row.field] == row.value_call


def test_everything_was_proved(demo):
    assert demo.ok
    assert demo.verification.ok
    assert set(demo.run.records["outcome"]) == {"applied"}
    assert sr.AuditLog(demo.audit).verify().ok


def test_it_tells_what_it_did_and_where_things_are(demo, steps):
    assert [step.split()[0] for step in steps] == [f"{n}/6" for n in range(1, 7)]
    story, summary = demo.story(), demo.summary()
    assert len(story.splitlines()) < 25
    for words in (str(demo.report), str(demo.audit), f"{summary['corrected']:,} calls corrected", "Try next"):
        assert words in story
    assert summary["corrected"] == summary["planned_calls"] > 200
    assert [path.name for path in demo.reports] == [
        "reconciliation.html",
        "dry_run.html",
        "run.html",
        "verification.html",
    ]
    for path in demo.reports:
        html = path.read_text(encoding="utf-8")
        assert path.name in story
        assert "<html" in html
        assert "http://" not in html.replace("http://www.w3.org", "").replace(demo.plan.api_url, "")
    assert summary["reports"] == [str(path) for path in demo.reports]


def test_no_report_of_the_demo_holds_a_full_number(demo):
    numbers = pd.concat([demo.legs["from_e164"], demo.legs["to_e164"]]).dropna().unique()
    texts = "\n".join(path.read_text(encoding="utf-8") for path in demo.reports)
    found = {
        number for number in numbers if len(number) > 6 and (number in texts or f"0{number[3:]}" in texts)
    }
    assert len(numbers) > 50
    assert not found


def test_the_plan_that_it_leaves_is_the_one_it_applied(demo):
    assert sr.Plan.load(demo.folder / "plan.parquet").plan_id == demo.plan.plan_id


def test_reconciling_again_finds_only_what_may_not_be_patched(demo, planted):
    # A sandbox of its own, because the other one may have been reverted by now.
    with Sandbox(demo.calls_after) as sandbox, sr.Client(sandbox.url, token=sandbox.token) as client:
        calls = client.fetch_calls(OCTOBER, progress=False).assign(fetched_at=EXPORTED_AT)
    again = sr.reconcile(demo.legs, calls, period=OCTOBER, rules=demo.reconciliation.rules, progress=False)
    left = set(again.discrepancies[["call_id", "field"]].itertuples(index=False, name=None))
    no_hands = planted[
        planted["patchable"].eq("no") & ~planted["note"].str.startswith(("ambiguous", "outside"))
    ]
    assert left == set(no_hands[["call_id", "field"]].itertuples(index=False, name=None))


@pytest.mark.slow
def test_reverting_restores_every_call_exactly(demo, sandbox):
    undo = sr.revert_run(sr.load_run(demo.audit)).approve(by="demo", note="undo")
    with sr.Client(sandbox.url, token=sandbox.token) as client:
        run = sr.apply_plan(undo, client, demo.audit, rate="200/s", progress=False)
        assert set(run.records["outcome"]) == {"applied"}
        assert sr.verify_run(run, client).ok
    pd.testing.assert_frame_equal(as_text(sandbox.calls), as_text(demo.calls_before))


EXPORTS = {
    "freeswitch": ("freeswitch/Master.csv", "Europe/London"),
    "asterisk": ("asterisk/Master.csv", None),
    "twilio": ("twilio/calls.csv", None),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_each_export_alone_finds_the_same_planted_errors(name, planted):
    path, zone = EXPORTS[name]
    legs = sr.read_cdr(sample_data() / path, timezone=zone, country="GB", progress=False)
    assert legs["problem"].isna().all()
    calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at=EXPORTED_AT.to_pydatetime())
    rec = sr.reconcile(legs, calls, period=OCTOBER, rules=sr.Rules(duration="billable"), progress=False)
    assert not rec.findings.stops
    found = rec.discrepancies[rec.discrepancies["field"].isin(FIELDS)]
    may_be_seen = ~planted["note"].str.startswith(("ambiguous", "outside"))
    # Without an id, a start that is wrong by more than others are apart is no proof of the same call.
    doubted = rec.calls.loc[rec.calls["reason"].eq("start-too-far")]
    assert set(doubted["id"]) <= set(planted.loc[planted["field"].eq("started_at"), "call_id"])
    wanted = planted[may_be_seen & planted["field"].isin(FIELDS) & ~planted["call_id"].isin(doubted["id"])]
    assert set(found[["call_id", "field", "value_cdr"]].itertuples(index=False, name=None)) == set(
        wanted[["call_id", "field", "value_true"]].itertuples(index=False, name=None)
    )


def test_twilios_page_of_one_day_holds_the_same_legs_as_its_table():
    folder = sample_data() / "twilio"
    columns = ["leg_id", "started_at", "ended_at", "billable_s", "status", "from_e164", "to_e164"]
    table, page = (
        sr.read_cdr(path, country="GB", progress=False)[columns]
        .drop_duplicates()
        .set_index("leg_id")
        .sort_index()
        for path in (folder / "calls.csv", folder / "calls-2026-10-14.json")
    )
    assert len(page) > 100
    pd.testing.assert_frame_equal(page, table.loc[page.index])


@pytest.mark.parametrize("name", ["freeswitch", "asterisk"])
def test_the_data_themselves_propose_the_billable_basis(name):
    path, zone = EXPORTS[name]
    legs = sr.read_cdr(sample_data() / path, timezone=zone, country="GB", progress=False)
    calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at=EXPORTED_AT.to_pydatetime())
    rec = sr.reconcile(legs, calls, period=OCTOBER, progress=False)
    assert rec.rules.duration == "billable"
    assert not rec.findings.stops


def test_a_folder_that_is_not_a_demos_is_refused_and_left_alone(tmp_path):
    (tmp_path / "invoices.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not a demo's"):
        run_demo(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["invoices.txt"]
    with pytest.raises(InputError, match="is a file"):
        run_demo(tmp_path / "invoices.txt")


@pytest.mark.slow
def test_an_earlier_demos_folder_is_used_again_and_its_audit_logs_are_kept(demo, tmp_path):
    folder = tmp_path / "demo"
    shutil.copytree(demo.folder, folder)
    shutil.copytree(demo.audit, folder / "audit.1")
    head = sr.AuditLog(demo.audit).head
    second = run_demo(folder)
    assert second.ok
    assert sr.AuditLog(folder / "audit.1").head == sr.AuditLog(folder / "audit.2").head == head
    assert sr.AuditLog(second.audit).head != head
