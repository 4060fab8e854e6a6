"""The command `approve`: who answers for a plan, and whether it is enough."""

from __future__ import annotations

import os

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.demo import sample_data


@pytest.fixture(scope="module")
def made():
    """A plan of two calls that nobody has approved."""
    calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    calls = calls[calls["duration_seconds"].gt(60)].head(2).assign(api_url="http://127.0.0.1:1")
    fix = pd.DataFrame({"call_id": calls["id"], "duration_seconds": ["60", "60"]})
    return sr.plan_corrections(calls, fix, reason="ticket 4711")


@pytest.fixture
def plan(made, tmp_path):
    return made.save(tmp_path / "plan.parquet")


def test_whoever_approves_reads_who_did_so_far_and_how_many_more_it_takes(shell, plan):
    first = shell("approve", plan, "--by", "ana", "--note", "looked at ten")
    assert "approvals" in first.stdout
    assert "looked at ten" in first.stdout
    assert "Approved by ana: enough for 'apply'; '--min-approvals 2' would need 1 more." in first.stderr
    second = shell("approve", plan, "--by", "ben")
    assert "2 people have approved this plan: ana and ben: enough for 'apply --min-approvals 2'; '--min-approvals 3' would need 1 more." in second.stderr  # fmt: skip
    assert second.stdout.index("looked at ten") < second.stdout.index("ben", second.stdout.index("approvals"))
    assert f"Next: sippet-reconcile apply {plan} --audit audit/ --limit 5" in second.stderr


def test_who_approves_again_is_told_that_it_counts_once(shell, plan):
    shell("approve", plan, "--by", "Ana")
    said = shell("approve", plan, "--by", "ana.", "--note", "again").stderr
    assert "ana. had approved it before, and counts once. Approved by Ana: enough for 'apply';" in said


def test_machines_read_each_approval_and_each_person_once(shell, plan):
    shell("approve", plan, "--by", "ana")
    told = shell.json("approve", plan, "--by", "ANA", "--note", "again")
    assert [one["by"] for one in told["approvals"]] == ["ana", "ANA"]
    assert told["people"] == ["ana"]
    assert {one["plan_id"] for one in told["approvals"]} == {told["plan_id"]}


def test_fewer_people_than_asked_for_send_nothing_and_read_the_command(shell, plan, tmp_path):
    shell("approve", plan, "--by", "ana")
    shell("approve", plan, "--by", "ANA")
    shell.env |= {"SIPPET_API_URL": "http://127.0.0.1:1", "SIPPET_API_TOKEN": "t" * 20}
    said = shell("apply", plan, "--audit", tmp_path / "audit", "--min-approvals", "2", code=2).stderr
    assert "is approved by ana, and 2 approvals by different people are needed, 1 more" in said
    assert "sippet-reconcile approve PLAN --by NAME" in said
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize("asked", ["0", "-1", "1.5", "two"])
def test_a_number_of_people_that_cannot_be_meant_sends_nothing(shell, plan, tmp_path, asked):
    shell("approve", plan, "--by", "ana")
    shell.env |= {"SIPPET_API_URL": "http://127.0.0.1:1", "SIPPET_API_TOKEN": "t" * 20}
    said = shell("apply", plan, "--audit", tmp_path / "audit", f"--min-approvals={asked}", code=2).stderr
    assert "--min-approvals" in said
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize("words", [("--by", ""), ("--by", "\u200b"), ("--by", "ana", "--note", "x" * 10_001), ("--by", "a\u202eb")], ids=["empty", "invisible", "long", "turning"])  # fmt: skip
def test_what_is_no_approval_leaves_the_file_as_it_was(shell, plan, words):
    before = plan.read_bytes()
    said = shell("approve", plan, *words, code=2).stderr
    assert "approval" in said or "name of a person" in said
    assert plan.read_bytes() == before


def test_the_approved_plan_may_be_written_beside_the_other(shell, plan, tmp_path):
    before = plan.read_bytes()
    shell("approve", plan, "--by", "ana", "--out", tmp_path / "approved.parquet")
    assert plan.read_bytes() == before
    assert [one.by for one in sr.Plan.load(tmp_path / "approved.parquet").approvals] == ["ana"]


def test_an_empty_plan_is_approved_and_said_to_correct_nothing(shell, made, tmp_path):
    empty = made.keep([]).save(tmp_path / "empty.parquet")
    assert (
        shell("approve", empty, "--by", "ana").stderr.splitlines()[0].endswith("The plan corrects nothing.")
    )


@pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")
def test_an_approved_plan_stays_readable_by_its_owner_alone(shell, plan):
    shell("approve", plan, "--by", "ana")
    assert plan.stat().st_mode & 0o777 == 0o600
