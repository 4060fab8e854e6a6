"""What the contract promises of plans, checked from its words, with awkward halves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sippet_reconcile.errors import InputError, PlanError, PlanGuardError, ReconcileError, SchemaError
from sippet_reconcile.plan import Plan, plan_corrections
from sippet_reconcile.plan.approval import LONGEST_NOTE

MakeCalls = Callable[..., pd.DataFrame]

COLUMNS = {
    "call_id": "str",
    "call_uuid": "str",
    "field": "str",
    "before": "str",
    "after": "str",
    "before_s": "Float64",
    "after_s": "Float64",
    "delta_s": "Float64",
    "explanation": "str",
    "reason": "str",
    "match_rule": "str",
    "source_file": "str",
    "source_row": "Int64",
}
"""The changes of section 3, in its order, with the types of its first paragraph."""

HALF_A_PAIR = "Zo\ud83d"
HOSTILE = [
    "<script>alert(1)</script>\"&'",
    "=HYPERLINK(1)|`*_",
    "\u202egpj.exe",
    "a\r\nb\tc",
    "\x1b[31mred",
    "]]>--><!--",
    "%s {0}",
    "x" * 20_000,
]


def corrected(calls: pd.DataFrame, reason: str = "ticket 4711", **columns: list[Any]) -> Plan:
    ids = calls["id"].tolist()
    table = pd.DataFrame({"call_id": ids} | columns, dtype="object")
    return plan_corrections(calls, table, reason=reason)


@pytest.mark.parametrize("seconds", ["75", "60"], ids=["one-change", "no-change"])
def test_changes_have_the_columns_of_the_contract_also_when_there_are_none(
    make_calls: MakeCalls, seconds: str
) -> None:
    changes = corrected(make_calls([{}]), duration_seconds=[seconds]).changes
    assert len(changes) == (seconds == "75")
    assert dict(changes.dtypes.astype("str")) == COLUMNS
    assert changes.columns.tolist() == list(COLUMNS)


def test_an_empty_plan_has_all_its_views_and_survives_its_file(make_calls: MakeCalls, tmp_path: Path) -> None:
    plan = corrected(make_calls([{}]), duration_seconds=["60"]).approve(by="ana")
    loaded = Plan.load(plan.save(tmp_path / "plan.parquet"))
    assert (loaded.plan_id, loaded.approvals) == (plan.plan_id, plan.approvals)
    assert dict(loaded.changes.dtypes.astype("str")) == COLUMNS
    assert list(loaded.requests()) == []
    report = loaded.dry_run()
    assert json.loads(report.to_json())
    assert report.to_markdown()
    assert report.html() == plan.dry_run().html()


def test_nothing_sent_is_ever_empty_or_null(make_calls: MakeCalls) -> None:
    blanks = ["", None, float("nan"), pd.NA, pd.NaT, "  "]
    calls = make_calls([{} for _ in range(7)])
    plan = corrected(
        calls, duration_seconds=["75"] * 7, status=[*blanks, "completed"], ended_at=[*blanks, None]
    )
    sent = [request.attributes for request in plan.requests()]
    assert sent == [{"duration_seconds": 75}] * 7


@pytest.mark.parametrize(
    ("seconds", "planned"), [("120", True), ("121", True), ("122", False), ("0", True)], ids=str
)
def test_a_duration_fits_between_start_and_end_within_the_tolerance(
    make_calls: MakeCalls, seconds: str, *, planned: bool
) -> None:
    plan = corrected(make_calls([{}]), duration_seconds=[seconds])
    assert len(plan.changes) == planned
    assert len(plan.left_out) == (not planned)


def test_a_call_is_left_out_with_all_its_fields_or_not_at_all(make_calls: MakeCalls) -> None:
    calls = make_calls([{}, {}])
    plan = corrected(calls, duration_seconds=["900", "75"], call_source=["pstn", "pstn"])
    assert plan.changes["call_id"].unique().tolist() == [calls["id"][1]]
    assert plan.left_out["call_id"].tolist() == [calls["id"][0]] * 2
    assert plan.left_out["reason"].notna().all()


def test_a_change_within_one_second_is_one_where_the_server_keeps_fractions(make_calls: MakeCalls) -> None:
    end = ["2026-10-05T10:02:00.700000Z"]
    plan = corrected(make_calls([{"started_at": "2026-10-05T10:00:00.250000Z"}]), ended_at=end)
    assert plan.changes["after"].tolist() == end
    plan = corrected(make_calls([{}]), ended_at=end)
    assert plan.changes.empty


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_neither_break_a_plan_nor_its_views(
    make_calls: MakeCalls, tmp_path: Path, text: str
) -> None:
    plan = corrected(make_calls([{}]), reason=text, duration_seconds=["75"])
    plan = plan.approve(by="ana", note=text[:LONGEST_NOTE])
    loaded = Plan.load(plan.save(tmp_path / "plan.parquet"))
    assert loaded.plan_id == plan.plan_id
    assert loaded.changes["reason"].tolist() == [text.strip()]
    report = loaded.dry_run()
    assert json.loads(report.to_json())
    for page in (report.html(), report.to_markdown(), loaded._repr_html_()):
        assert "<script>alert" not in page
    assert "\n" not in repr(loaded)


def test_half_a_character_is_refused_wherever_a_person_writes(make_calls: MakeCalls) -> None:
    calls = make_calls([{}])
    with pytest.raises(InputError, match="reason"):
        corrected(calls, reason=HALF_A_PAIR, duration_seconds=["75"])
    for columns in ({"status": [HALF_A_PAIR]}, {"call_source": [HALF_A_PAIR]}):
        with pytest.raises(SchemaError, match="expected text"):
            corrected(calls, **columns)
    with pytest.raises(SchemaError, match="id of a call"):
        plan_corrections(
            calls, pd.DataFrame({"call_id": [HALF_A_PAIR], "status": ["busy"]}, dtype="object"), reason="x"
        )
    plan = corrected(calls, duration_seconds=["75"])
    with pytest.raises(InputError, match="name of a person"):
        plan.approve(by=HALF_A_PAIR)
    with pytest.raises(InputError, match="note"):
        plan.approve(by="ana", note=HALF_A_PAIR)


def test_approvals_name_the_plan_and_any_change_drops_them(make_calls: MakeCalls) -> None:
    calls = make_calls([{}, {}])
    plan = corrected(calls, duration_seconds=["75", "75"])
    approved = plan.approve(by="ana", note="October").approve(by="ana")
    assert plan.approvals == ()
    assert [(one.by, one.plan_id) for one in approved.approvals] == [("ana", plan.plan_id)] * 2
    assert approved.plan_id == plan.plan_id
    for smaller in (approved.keep([calls["id"][0]]), approved.drop(approved.changes["after"].eq("75"))):
        assert smaller.approvals == ()
        assert smaller.plan_id != plan.plan_id
    assert re.fullmatch("[0-9a-f]{64}", plan.plan_id)
    assert plan.plan_id.startswith(plan.short_id)


def test_masks_are_found_by_their_labels_and_missing_marks_nothing(make_calls: MakeCalls) -> None:
    calls = make_calls([{} for _ in range(3)])
    plan = corrected(calls, duration_seconds=["75"] * 3)
    mask = plan.changes["call_id"].eq(calls["id"][2]).astype("boolean")
    mask[0] = pd.NA
    assert plan.keep(mask.iloc[::-1]).changes["call_id"].tolist() == [calls["id"][2]]
    for wrong in ([True, False], ["no-such-call"], mask.set_axis(range(5, 8))):
        with pytest.raises(InputError):
            plan.keep(wrong)


def test_a_guard_counts_calls_and_holds_at_its_figure(make_calls: MakeCalls) -> None:
    calls = make_calls([{} for _ in range(3)])
    table = pd.DataFrame({"call_id": calls["id"], "duration_seconds": "75", "call_source": "pstn"})
    assert len(plan_corrections(calls, table, reason="x", max_calls=3).changes) == 6
    with pytest.raises(PlanGuardError) as caught:
        plan_corrections(calls, table, reason="x", max_calls=2)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("content", [b"", b"PAR1 half a file", b"call_id,after\n"])
def test_what_is_no_plan_is_an_error_of_the_operator(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan.parquet"
    path.write_bytes(content)
    with pytest.raises(PlanError) as caught:
        Plan.load(path)
    assert caught.value.exit_code == 2
    with pytest.raises(ReconcileError):
        Plan.load(tmp_path / "absent.parquet")


def test_a_dry_run_is_one_file_that_asks_nothing_of_the_network(
    make_calls: MakeCalls, tmp_path: Path
) -> None:
    path = tmp_path / "dry_run.html"
    corrected(make_calls([{}]), duration_seconds=["75"]).dry_run(rate="5/s").to_html(path)
    page = path.read_text(encoding="utf-8")
    assert re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page) is None
    assert "@import" not in page
    assert "webhook" in page
    assert [one.name for one in tmp_path.iterdir()] == ["dry_run.html"]
