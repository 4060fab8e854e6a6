"""A month is made once, made again only where something changed, and never sent."""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal

import openpyxl
import pytest
from filelock import FileLock

import sippet_reconcile as sr
from sippet_reconcile.sandbox import Sandbox

API = "https://api.example.com"
TOKEN = "a-token-nobody-else-has"  # noqa: S105 - invented
FILES = {
    "calls.parquet", "reconciliation", "reconciliation.html", "rules.toml", "plan.parquet", "dry_run.html",
    "review.xlsx", "summary.json",
}  # fmt: skip


def made(result):
    return {name for name, became in result.steps.items() if became == "made"}


def names(result):
    return {path.name for path in result.folder.iterdir()} - {".lock"}


def summary(result):
    return json.loads((result.folder / "summary.json").read_text("utf-8"))


def test_a_month_leaves_all_its_files_each_with_its_hash(months):
    result = months.run()
    assert result.outcome == "differ"
    assert result.exit_code == 1
    assert names(result) == FILES
    told = summary(result)
    assert told["plan"]["plan_id"] == result.plan.plan_id
    assert told["counts"]["compared"] == result.reconciliation.n_compared > 0
    written = {
        path.relative_to(result.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in result.folder.rglob("*")
        if path.is_file() and path.name not in {".lock", "summary.json"}
    }
    assert {name: facts["sha256"] for name, facts in told["files"].items()} == written
    assert told["sources"][0]["sha256"] == hashlib.sha256(months.export.read_bytes()).hexdigest()
    assert sr.Rules.from_toml(result.folder / "rules.toml").duration == "billable"
    assert result.folder.stat().st_mode & 0o077 == 0
    by_steps = sr.build_plan(result.reconciliation, max_share=1)
    assert result.plan.changes.equals(by_steps.changes)


def test_a_second_run_makes_nothing_and_leaves_every_byte(months):
    first = months.first()
    before = {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in first.folder.rglob("*")
        if path.is_file()
    }
    second = months.run()
    assert made(second) == set()
    after = {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in first.folder.rglob("*")
        if path.is_file()
    }
    assert {p: v for p, v in after.items() if p.name != ".lock"} == {
        p: v for p, v in before.items() if p.name != ".lock"
    }
    assert second.summary() == first.summary()


def test_a_month_fetches_with_gets_alone_and_fetches_a_settled_month_once(months, few_days, monkeypatch):
    del months.api["calls"], months.api["fetched_at"]
    monkeypatch.setenv("SIPPET_API_TOKEN", TOKEN)
    with Sandbox(few_days / "calls.json") as api:
        api.token = TOKEN
        months.api["url"] = f'"{api.url}"'
        at = datetime(2026, 11, 1, 3, tzinfo=UTC)
        with sr.Client(api.url, now=lambda: at) as client:
            first = months.run(client=client)
            assert first.outcome == "differ"
            assert {request.method for request in api.requests} == {"GET"}
            api.clear_requests()
            assert made(months.run(client=client)) == set()
            assert made(months.run()) == set(), "without a client, too"
            assert api.requests == []
            again = months.run(client=client, fetch_again=True)
            assert api.requests
            assert {request.method for request in api.requests} == {"GET"}
            assert again.steps["calls.parquet"] == "made"
    for path in first.folder.rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes(), path


def test_calls_that_were_read_before_the_month_had_settled_are_read_again(months, few_days):
    del months.api["calls"], months.api["fetched_at"]
    with Sandbox(few_days / "calls.json") as api:
        months.api["url"] = f'"{api.url}"'
        early, late = (datetime(2026, 11, 1, hour, tzinfo=UTC) for hour in (1, 2))
        with sr.Client(api.url, token=api.token, now=lambda: early) as client:
            first = months.run(client=client)
            assert any("before the month had settled (2026-11-01 02:00 UTC)" in note for note in first.notes)
        with sr.Client(api.url, token=api.token, now=lambda: late) as client:
            second = months.run(client=client)
            assert second.steps["calls.parquet"] == "made"
            assert second.steps["plan.parquet"] == "kept", "it says the same"
            assert months.run(client=client).steps["calls.parquet"] == "kept"


def test_a_failure_after_the_fetch_leaves_the_calls_for_the_next_run(months, few_days):
    del months.api["calls"], months.api["fetched_at"]
    months.sources["timezone"] = '"Asia/Tokyo"'
    whole = months.export.read_bytes()
    months.export.write_text("name,colour\nrose,red\n", "utf-8")
    with Sandbox(few_days / "calls.json") as api:
        months.api["url"] = f'"{api.url}"'
        with sr.Client(api.url, token=api.token, now=lambda: datetime(2026, 11, 2, tzinfo=UTC)) as client:
            with pytest.raises(sr.InputError) as failed:
                months.run(client=client)
            assert "[[sources]] 1" in failed.value.__notes__[0]
            folder = months.folder / "months" / "2026-10"
            assert json.loads((folder / "summary.json").read_text("utf-8"))["outcome"] == "unfinished"
            api.clear_requests()
            months.export.write_bytes(whole)
            months.sources["timezone"] = '"Europe/London"'
            result = months.run(client=client)
            assert result.steps["calls.parquet"] == "kept"
            assert api.requests == []


def test_a_changed_export_is_read_and_the_rest_follows(months):
    first = months.first()
    lines = months.export.read_text("utf-8").splitlines(keepends=True)
    months.export.write_text("".join(lines[:-20]), "utf-8")
    second = months.run()
    assert second.steps["calls.parquet"] == "kept"
    assert {"reconciliation", "plan.parquet", "dry_run.html", "review.xlsx"} <= made(second)
    assert second.plan.plan_id != first.plan.plan_id
    assert summary(second)["set_aside"] == [
        f"{stem}.{first.summary()['plan']['short_id']}.{ending}"
        for stem, ending in (("dry_run", "html"), ("plan", "parquet"), ("review", "xlsx"))
    ]


def test_changed_rules_reconcile_again_and_a_mask_writes_reports_alone(months):
    months.first()
    months.rules["duration_tolerance_s"] = "5"
    assert "reconciliation" in made(months.run())
    months.report["mask"] = "false"
    assert made(months.run()) == {"reconciliation.html", "dry_run.html", "review.xlsx"}


def test_changed_options_of_the_plan_make_the_plan_alone(months):
    months.first()
    months.plan["fields"] = '["duration_seconds"]'
    result = months.run()
    assert made(result) == {"plan.parquet", "dry_run.html", "review.xlsx"}
    assert set(result.plan.changes["field"]) == {"duration_seconds"}


def test_an_approved_plan_is_kept_with_its_approval_which_the_dry_run_then_tells(months):
    first = months.first()
    first.plan.approve(by="ana", note="October billing").save(first.folder / "plan.parquet")
    second = months.run()
    assert made(second) == {"dry_run.html"}
    assert [one.by for one in second.plan.approvals] == ["ana"]
    assert "ana" in (second.folder / "dry_run.html").read_text("utf-8")
    assert summary(second)["plan"]["approved_by"] == ["ana"]
    assert second.next_step.startswith("sippet-reconcile apply ")
    # Reconciled again, it says the same: the very plan that was approved stays.
    (second.folder / "reconciliation" / "pairs.parquet").write_bytes(b"")
    third = months.run()
    assert third.steps["reconciliation"] == "made"
    assert [one.by for one in third.plan.approvals] == ["ana"]
    assert third.plan.plan_id == first.plan.plan_id


def test_an_approved_plan_that_no_longer_holds_is_set_aside_whole(months):
    first = months.first()
    approved = first.plan.approve(by="ana")
    approved.save(first.folder / "plan.parquet")
    months.plan["fields"] = '["status"]'
    second = months.run()
    assert second.plan.approvals == ()
    aside = sr.Plan.load(second.folder / f"plan.{approved.short_id}.parquet")
    assert [one.by for one in aside.approvals] == ["ana"]
    assert any("it is approved" in note for note in second.notes)


def test_what_is_set_aside_is_never_written_over(months):
    first = months.first()
    taken = first.folder / f"plan.{first.plan.short_id}.parquet"
    taken.write_text("somebody's", "utf-8")
    approved = first.plan.approve(by="ana")
    approved.save(first.folder / "plan.parquet")
    months.plan["fields"] = '["status"]'
    months.run()
    assert taken.read_text("utf-8") == "somebody's"
    again = first.folder / f"plan.{approved.short_id}.2.parquet"
    assert sr.Plan.load(again).approvals


@pytest.mark.parametrize(
    "name",
    ["calls.parquet", "reconciliation/pairs.parquet", "reconciliation.html", "plan.parquet", "dry_run.html", "review.xlsx", "rules.toml"],
)  # fmt: skip
def test_what_was_damaged_is_made_again(months, name):
    first = months.first()
    path = first.folder / name
    path.write_bytes(path.read_bytes()[:100])
    second = months.run()
    assert name.partition("/")[0] in made(second)
    assert second.outcome == "differ"
    assert second.plan.changes.equals(first.plan.changes)
    if name == "plan.parquet":
        assert any(path.name.startswith("plan.damaged-") for path in second.folder.iterdir())
    assert made(months.run()) == set()


def test_what_was_taken_away_is_made_again(months):
    first = months.first()
    for path in first.folder.rglob("*"):
        if path.is_file() and path.name != "summary.json":
            path.unlink()
    second = months.run()
    assert made(second) == FILES - {"summary.json"}
    assert second.plan.changes.equals(first.plan.changes)


def test_a_reconciliation_that_lost_its_list_is_set_aside_and_made_again(months):
    first = months.first()
    (first.folder / "reconciliation" / "reconciliation.json").unlink()
    second = months.run()
    assert second.reconciliation.n_compared == first.summary()["counts"]["compared"]
    assert (second.folder / "reconciliation.damaged").is_dir()


@pytest.mark.parametrize("text", ["", "[]", None], ids=repr)
def test_a_summary_that_was_edited_is_not_believed(months, text):
    first = months.first()
    path = first.folder / "summary.json"
    before = path.read_text("utf-8")
    path.write_text(before.replace('"differ"', '"agree"') if text is None else text, "utf-8")
    second = months.run()
    assert any("summary.json was damaged or edited" in note for note in second.notes)
    assert {"calls.parquet", "reconciliation"} <= made(second)
    assert second.plan.plan_id == first.summary()["plan"]["plan_id"], "a plan that says the same stays"
    assert summary(second)["outcome"] == "differ"


def test_a_workbook_with_answers_stays_and_is_set_aside_for_a_new_plan(months):
    first = months.first()
    path = first.folder / "review.xlsx"
    book = openpyxl.load_workbook(path)
    book["changes"]["A2"] = "yes"
    book.save(path)
    answered = path.read_bytes()
    for _ in range(2):
        second = months.run()
        assert path.read_bytes() == answered
        assert any("stays as it is" in note for note in second.notes)
    months.report["rate"] = '"1/s"'
    months.run()
    assert path.read_bytes() != answered
    assert (first.folder / f"review.{first.plan.short_id}.xlsx").read_bytes() == answered


def test_without_the_extra_there_is_no_workbook_and_it_is_said(months, monkeypatch):
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    result = months.run()
    assert names(result) == FILES - {"review.xlsx"}
    assert any("extra excel" in note for note in result.notes)
    monkeypatch.undo()
    assert made(months.run()) == {"review.xlsx"}


def test_a_finding_that_says_stop_leaves_the_report_and_no_plan(months):
    first = months.first()
    approved = first.plan.approve(by="ana")
    approved.save(first.folder / "plan.parquet")
    months.sources["timezone"] = '"America/New_York"'
    second = months.run()
    assert second.outcome == "stopped"
    assert second.exit_code == 2
    assert second.plan is None
    assert second.stops[0].startswith("timezone-shift: ")
    assert {"reconciliation", "reconciliation.html"} <= made(second)
    assert not FILES & {"plan.parquet", "dry_run.html", "review.xlsx"} & names(second)
    assert sr.Plan.load(second.folder / f"plan.{approved.short_id}.parquet").approvals
    told = summary(second)
    assert (told["outcome"], told["exit_code"], told["plan"]) == ("stopped", 2, None)
    assert made(months.run()) == set()
    months.plan["accept"] = '["timezone-shift"]'
    accepted = months.run()
    assert accepted.plan is not None
    assert "ended_at" not in set(accepted.plan.changes["field"])


def test_a_plan_that_would_touch_too_much_stops(months):
    months.plan["max_calls"] = "1"
    result = months.run()
    assert result.exit_code == 2
    assert "more than max_calls=1 allows" in result.stops[0]
    assert "plan.parquet" not in names(result)


def before_it(months, duration):
    """Write what the month before left."""
    folder = months.folder / "months" / "2026-09"
    folder.mkdir(parents=True)
    (folder / "rules.toml").write_text(sr.Rules(duration=duration).to_toml(), "utf-8")
    return folder


@pytest.fixture
def auto(months):
    """Return months whose rules leave the basis to data that settle it."""
    from sippet_reconcile.demo import sample_data  # noqa: PLC0415

    months.rules["duration"] = '"auto"'
    months.sources["files"] = f'"{sample_data()}/freeswitch/Master.csv"'
    months.api["calls"] = f'"{sample_data()}/api/calls.json"'
    return months


def test_the_first_month_says_that_there_is_none_before_it(auto):
    result = auto.run()
    assert result.outcome == "differ"
    assert (
        "There is no 2026-09 in this folder to compare the rules with, nor a month before it." in result.notes
    )
    assert summary(result)["duration"] == {
        "asked": "auto", "settled": "billable", "previous_month": "2026-09", "previous": None, "agreed": True,
    }  # fmt: skip


def test_a_basis_that_came_out_otherwise_than_the_month_before_stops(auto):
    before = before_it(auto, "total")
    result = auto.run()
    assert result.exit_code == 2
    assert "plan.parquet" not in names(result)
    (stop,) = result.stops
    assert "came to billable in 2026-10, and to total in 2026-09" in stop
    assert 'duration = "billable" or duration = "total" under [rules]' in stop
    auto.rules["duration"] = '"billable"'
    assert auto.run().outcome == "differ", "pinned, nothing is guessed"
    auto.rules["duration"] = '"auto"'
    (before / "rules.toml").write_text(sr.Rules(duration="billable").to_toml(), "utf-8")
    assert auto.run().outcome == "differ", "the same as the month before"
    (before / "rules.toml").write_bytes(b"\xff\xfe")
    assert "cannot be read" in auto.run().stops[0]


def test_the_summary_of_the_month_before_is_believed_first(months):
    from sippet_reconcile.month.previous import previous_month  # noqa: PLC0415

    result = months.first()
    (result.folder / "rules.toml").write_text('duration = "total"', "utf-8")
    told = previous_month(months.folder / "months", "2026-11")
    assert (told.duration, told.source.name) == ("billable", "summary.json")


def test_an_empty_month_stops_and_says_why(months):
    months.export.write_text(months.export.read_text("utf-8").splitlines()[0], "utf-8")
    (months.folder / "calls.json").write_text('{"data": []}', "utf-8")
    result = months.run()
    assert result.exit_code == 2
    assert any(stop.startswith("empty-side") for stop in result.stops)
    assert summary(result)["counts"]["calls"] == 0
    assert made(months.run()) == set()


def test_two_sources_are_read_each_in_its_way_and_reconciled_together(months):
    lines = months.export.read_text("utf-8").splitlines(keepends=True)
    whole = months.first().summary()["counts"]
    half = len(lines) // 2
    months.export.write_text("".join(lines[:half]), "utf-8")
    (months.folder / "second.csv").write_text("".join(lines[half:]), "utf-8")
    text = months.write().read_text("utf-8")
    extra = '[[sources]]\nfiles = "sec*.csv"\ntimezone = "Europe/London"\ncountry = "GB"\n[api]'
    months.config.write_text(text.replace("[api]", extra), "utf-8")
    result = sr.reconcile_month("2026-10", sr.MonthConfig.from_toml(months.config), progress=False)
    assert result.summary()["counts"]["legs"] == whole["legs"]
    assert set(result.reconciliation.legs["source_file"].unique()) == {
        "Master.csv",
        "second.csv",
    }


def test_another_run_at_the_folder_is_refused(months):
    folder = months.first().folder
    with FileLock(folder / ".lock"), pytest.raises(sr.InputError, match="another run is at"):
        months.run()


def test_calls_of_no_known_api_are_refused(months):
    del months.api["url"]
    with pytest.raises(sr.InputError, match=r"write url under \[api\]"):
        months.run()


def test_the_address_may_come_from_the_environment(months, monkeypatch):
    del months.api["url"]
    monkeypatch.setenv("SIPPET_API_URL", API)
    assert months.run().plan.api_url == API


def test_numbers_are_masked_in_the_summary_and_the_views(months):
    number = "+442079460123"
    months.plan["where"] = f"\"from_number != '{number}'\""
    months.rules["internal_numbers"] = f'["{number}"]'
    result = months.run()
    for text in ((result.folder / "summary.json").read_text("utf-8"), repr(result), result._repr_html_()):
        assert number not in text
        assert "2079460123" not in text
    assert "07700900" not in (result.folder / "summary.json").read_text("utf-8")


def test_a_rate_card_puts_whole_amounts_per_currency_into_the_summary(months):
    (months.folder / "rates.csv").write_text(
        "prefix,rate_per_minute,initial_s,increment_s,connect_fee,currency,valid_from,valid_to\n*,0.0137,1,1,0,GBP,,\n",
        "utf-8",
    )
    months.top["rate_card"] = '"rates.csv"'
    result = months.run()
    told = summary(result)["money"]["by_currency"]
    assert set(told) == {"GBP"}
    before, after, delta = (Decimal(told["GBP"][f"cost_{name}"]) for name in ("before", "after", "delta"))
    assert after - before == delta != 0
    assert "GBP" in (result.folder / "dry_run.html").read_text("utf-8")
    assert summary(result)["money"]["sentence"] in result._repr_html_().replace("\N{NO-BREAK SPACE}", " ")
    assert made(months.run()) == set()
