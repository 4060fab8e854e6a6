"""What keeps an unattended month honest: no silence that looks like agreement, nothing lost, nothing left lying about."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq
import pytest

import sippet_reconcile as sr
from sippet_reconcile.demo import sample_data
from sippet_reconcile.month.previous import previous_month
from sippet_reconcile.sandbox import Faults, Sandbox

TOKEN = "a-token-nobody-else-has"  # noqa: S105 - invented
SCRIPT = Path(sys.executable).with_name("sippet-reconcile")
CARD = "prefix,rate_per_minute,initial_s,increment_s,connect_fee,currency,valid_from,valid_to\n*,{rate},1,1,0,GBP,,\n"

posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals to one process alone")


def kept(result):
    return {name for name, became in result.steps.items() if became == "kept"}


def happens(condition):
    """Wait until a condition holds."""
    ticker = threading.Event()
    for _ in range(60 * 200):
        if condition():
            return
        ticker.wait(0.005)
    pytest.fail("it did not happen within 60 s")


def test_a_month_of_which_nothing_could_be_compared_stops(months):
    # Both sides have rows: some never started, and are of no month.
    months.sources["files"] = f'"{sample_data()}/freeswitch/Master.csv"'
    months.api["calls"] = f'"{sample_data()}/api/calls.json"'
    result = months.run("2031-01")
    assert (result.outcome, result.exit_code, result.plan) == ("stopped", 2, None)
    (stop,) = result.stops
    assert stop.startswith("empty-side: ")
    assert "not one call of 2031-01 is on both sides" in stop
    months.plan["accept"] = '["empty-side"]'
    accepted = months.run("2031-01")
    assert (accepted.outcome, accepted.stops) == ("agree", ())


def settled(months, month, duration, previous=None, *, agreed=True):
    """Write what a month left, as a run leaves it."""
    folder = months.folder / "months" / month
    folder.mkdir(parents=True, exist_ok=True)
    from sippet_reconcile.month.folder import MonthFolder  # noqa: PLC0415
    from sippet_reconcile.month.places import neighbours  # noqa: PLC0415

    told = {
        "settled": duration,
        "previous_month": neighbours(month)[0],
        "previous": previous,
        "agreed": agreed,
    }
    MonthFolder(folder).write_summary({"duration": told, "rules": sr.Rules(duration=duration).to_dict()})


def test_a_basis_that_was_stopped_at_does_not_become_the_usual_one(months):
    output = months.folder / "months"
    settled(months, "2026-08", "billable")
    settled(months, "2026-09", "total", "billable", agreed=False)
    told = previous_month(output, "2026-10")
    assert (told.month, told.duration) == ("2026-08", "billable")
    settled(months, "2026-09", "total", None, agreed=False)
    assert previous_month(output, "2026-10").is_damaged, "what it could not read then is not known now"
    settled(months, "2026-09", "total", "billable")
    assert previous_month(output, "2026-10").duration == "total", "somebody settled it"


def test_a_month_that_was_missed_is_passed_over(months):
    output = months.folder / "months"
    settled(months, "2026-07", "total")
    settled(months, "2026-11", "billable")
    (output / "2026-09").mkdir()  # the API did not answer: there is a lock, and nothing else
    told = previous_month(output, "2026-10")
    assert (told.month, told.duration) == ("2026-07", "total")
    (output / "2026-09" / "summary.json").write_text("{", "utf-8")
    assert previous_month(output, "2026-10").is_damaged


def test_a_run_says_whether_what_durations_mean_is_agreed_on(months):
    assert months.first().summary()["duration"]["agreed"] is True


def test_what_a_killed_run_was_writing_is_taken_away_once_nobody_can_be_at_it(months):
    folder = months.first().folder
    old = [folder / ".review.xlsx.p88gtl3a", folder / ".reconciliation-ab_9cdef" / "pairs.parquet"]
    young, others = folder / ".plan.parquet.a1b2c3d4", [folder / ".htaccess", folder / "my.notes.parquet"]
    for path in (*old, young, *others):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"+442079460123")
    for path in (*old, old[1].parent, *others):
        os.utime(path, (0, 0))
    months.run()
    assert not any(path.exists() for path in (old[0], old[1].parent))
    assert all(path.exists() for path in (young, *others))


def test_reports_are_set_aside_by_the_plan_that_they_are_of(months):
    first = months.first()
    path = first.folder / "review.xlsx"
    book = openpyxl.load_workbook(path)
    for row in range(2, book["changes"].max_row + 1):
        book["changes"].cell(row, 1).value = "yes"
    book.save(path)
    smaller = first.plan.keep(list(first.plan.calls["call_id"][:3]))
    smaller.save(first.folder / "plan.parquet")
    second = months.run()
    assert second.plan.changes.equals(first.plan.changes)
    assert any("was another plan" in note for note in second.notes)
    mark = first.plan.short_id
    assert sr.Plan.load(second.folder / f"plan.{smaller.short_id}.parquet").plan_id == smaller.plan_id
    assert mark in (second.folder / f"dry_run.{mark}.html").read_text("utf-8")
    answered = first.plan.keep_reviewed(second.folder / f"review.{mark}.xlsx")
    assert answered.plan_id == first.plan.plan_id, "every call was answered with yes"


def test_answers_in_the_workbook_come_with_the_command_that_reads_them_back(months):
    first = months.first()
    path = first.folder / "review.xlsx"
    book = openpyxl.load_workbook(path)
    book["changes"]["A2"] = "yes"
    book.save(path)
    (note,) = months.run().notes
    assert f"sippet-reconcile plan {first.folder / 'plan.parquet'} --reviewed {path} --out " in note


def test_another_rate_card_fetches_nothing_and_keeps_an_approved_plan(months):
    card = months.folder / "rates.csv"
    card.write_text(CARD.format(rate="0.0137"), "utf-8")
    months.top["rate_card"] = '"rates.csv"'
    first = months.run()
    first.plan.approve(by="ana").save(first.folder / "plan.parquet")
    sentence = first.summary()["money"]["sentence"]
    assert re.search(r"GBP \d+\.\d\d", sentence)
    card.write_text(CARD.format(rate="0.5"), "utf-8")
    second = months.run()
    assert kept(second) == {
        "calls.parquet", "reconciliation", "rules.toml", "reconciliation.html", "plan.parquet",
    }  # fmt: skip
    assert [one.by for one in second.plan.approvals] == ["ana"]
    assert second.summary()["money"]["sentence"] != sentence


def test_all_problems_of_a_rate_card_are_told_before_anything_is_made(months):
    (months.folder / "rates.csv").write_text(CARD.format(rate="x") + "044,-1,1,0,0,gbp,,\n", "utf-8")
    months.top["rate_card"] = '"rates.csv"'
    with pytest.raises(sr.SchemaError) as failed:
        months.run()
    assert set(failed.value.failures["column"]) == {"rate_per_minute", "prefix", "increment_s", "currency"}
    assert not (months.folder / "months").exists()


def test_a_glob_of_a_thousand_files_gives_what_one_file_gives(months):
    whole = months.first().summary()["counts"]
    head, *lines = months.export.read_text("utf-8").splitlines(keepends=True)
    if '"2026-' in head:  # this export has no header
        lines, head = [head, *lines], ""
    folder = months.folder / "parts"
    folder.mkdir()
    for place in range(1000):
        (folder / f"{place:04d}.csv").write_text(head + "".join(lines[place::1000]), "utf-8")
    empty = [path for path in folder.iterdir() if not path.stat().st_size]
    for path in empty:
        path.unlink()
    months.sources["files"] = '"parts/*.csv"'
    result = months.run()
    assert result.summary()["counts"] == whole
    assert len(result.summary()["sources"]) == 1000 - len(empty)


def unpacked(path):
    """Yield every stretch of bytes that a file holds, whatever it is packed in."""
    body = path.read_bytes()
    yield body
    if body[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            yield from map(packed.read, packed.namelist())
    if body[:4] == b"PAR1":
        table = pq.read_table(path)
        yield repr(table.schema.metadata).encode()
        yield json.dumps(table.to_pylist(), default=str, ensure_ascii=False).encode()


def test_no_file_holds_the_token_however_it_is_packed_and_no_report_a_number(months, few_days, monkeypatch):
    del months.api["calls"], months.api["fetched_at"]
    (months.folder / "rates.csv").write_text(CARD.format(rate="0.0137"), "utf-8")
    months.top["rate_card"] = '"rates.csv"'
    monkeypatch.setenv("SIPPET_API_TOKEN", TOKEN)
    with Sandbox(few_days / "calls.json") as api:
        api.token = TOKEN
        months.api["url"] = f'"{api.url}"'
        with sr.Client(api.url, now=lambda: datetime(2026, 11, 1, 3, tzinfo=UTC)) as client:
            result = months.run(client=client)
    numbers = {
        number.encode()
        for name in ("from_number", "to_number")
        for number in result.reconciliation.calls[name].dropna().unique()
        if len(number) > 8
    }
    assert numbers
    told = {name: list(unpacked(result.folder / name)) for name in result.steps if name != "reconciliation"}
    told |= {path.name: list(unpacked(path)) for path in (result.folder / "reconciliation").iterdir()}
    assert any(number in part for part in told["calls.parquet"] for number in numbers), "it is read at all"
    for name, parts in told.items():
        assert not any(TOKEN.encode() in part for part in parts), name
    for name in ("reconciliation.html", "dry_run.html", "review.xlsx", "rules.toml"):
        assert not [number for part in told[name] for number in numbers if number in part], name
    summary = (result.folder / "summary.json").read_bytes()
    assert not [number for number in (*numbers, TOKEN.encode()) if number in summary]


@pytest.fixture
def starts(months):
    """Start months as a timer does, in a process of its own."""
    running = []

    def start(**env):
        process = subprocess.Popen(
            [str(SCRIPT), "month", "2026-10", "--config", str(months.write()), "--quiet"],
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate(timeout=60)


@posix_only
def test_an_interrupt_ends_with_130_and_the_next_run_goes_on(months, few_days, starts):
    del months.api["calls"], months.api["fetched_at"]
    with Sandbox(few_days / "calls.json", faults=Faults(latency_s=30)) as api:
        months.api["url"] = f'"{api.url}"'
        process = starts(SIPPET_API_TOKEN=api.token)
        happens(lambda: api.requests)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "interrupted")
    folder = months.folder / "months" / "2026-10"
    assert {path.name for path in folder.iterdir()} == {".lock"}
    months.api = {
        "url": '"https://api.example.com"',
        "calls": '"calls.json"',
        "fetched_at": '"{next}-01T03:00:00Z"',
    }
    assert months.run().outcome == "differ"


@posix_only
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["calls.parquet", "reconciliation", "rules.toml", "reconciliation.html", "plan.parquet", "dry_run.html", "review.xlsx", "summary.json"],
)  # fmt: skip
def test_a_run_that_is_killed_after_any_step_is_gone_on_with(months, starts, name):
    path = months.folder / "months" / "2026-10" / name
    process = starts()
    happens(path.exists)
    process.kill()
    process.communicate(timeout=60)
    result = months.run()
    assert result.outcome == "differ"
    whole = sr.load_reconciliation(result.folder / "reconciliation")
    assert result.plan.changes.equals(sr.build_plan(whole, max_share=1).changes)
    assert months.run().steps.keys() == kept(months.run())


@posix_only
def test_of_two_runs_at_once_one_is_refused(months, few_days, starts):
    del months.api["calls"], months.api["fetched_at"]
    with Sandbox(few_days / "calls.json", faults=Faults(latency_s=30)) as api:
        months.api["url"] = f'"{api.url}"'
        process = starts(SIPPET_API_TOKEN=api.token)
        happens(lambda: api.requests)
        with pytest.raises(sr.InputError, match="another run is at"):
            months.run()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
