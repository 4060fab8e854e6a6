"""A saved plan is the same plan, and an edited file is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sippet_reconcile.errors import PlanError
from sippet_reconcile.plan import Plan, build_plan
from sippet_reconcile.reconciliation import Rules

Make = Callable[..., Any]

RING = {
    "call": {"duration_seconds": 120},
    "wrong": {"duration_seconds": ("120", "110", "ring-time-included")},
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.fixture
def plan(make_rec: Make, make_finding: Make) -> Plan:
    rec = make_rec([RING, RING, {}], findings=make_finding("duration-basis"))
    return build_plan(rec, accept="duration-basis", where="source_row == 2").approve(by="ana", note="October")


def assert_same(left: Plan, right: Plan) -> None:
    assert left.plan_id == right.plan_id
    assert left.approvals == right.approvals
    for name in ("changes", "calls", "left_out", "ledger", "findings", "balance", "not_patchable"):
        pd.testing.assert_frame_equal(getattr(left, name), getattr(right, name))
    for name in ("kind", "api_url", "period", "rules", "accept", "created_at", "selection", "schema_version"):
        assert getattr(left, name) == getattr(right, name), name


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(texts=st.tuples(TEXTS, TEXTS, TEXTS), seconds=st.integers(0, 110), word=st.text("abc_-é", min_size=1))
def test_a_saved_plan_loads_equal(
    make_rec: Make, tmp_path: Path, *, texts: tuple[str, str, str], seconds: int, word: str
) -> None:
    user, source, note = texts
    row = {
        "call": {"sip_username": user, "call_source": source},
        "cdr": {"started_at": None, "is_answered": None, "source_file": user},
        "wrong": {"duration_seconds": ("120", str(seconds), word), "status": ("x", word, user)},
    }
    rules = Rules(duration="billable", duration_tolerance_s=1.5, status_map={"completed": [word]})
    plan = build_plan(make_rec([row], rules=rules, period=None, api_url=None)).approve(by="ana", note=note)
    assert len(plan.changes)
    loaded = Plan.load(plan.save(tmp_path / "plan.parquet"))
    assert_same(plan, loaded)
    assert loaded.fingerprint() == plan.plan_id


def test_a_loaded_plan_prints_the_same_dry_run(plan: Plan, tmp_path: Path) -> None:
    loaded = Plan.load(plan.save(tmp_path / "plan.parquet"))
    assert loaded.dry_run().html() == plan.dry_run().html()
    assert loaded.dry_run().to_json() == plan.dry_run().to_json()
    assert_same(plan, loaded)


def test_an_empty_plan_is_saved_too(make_rec: Make, tmp_path: Path) -> None:
    plan = build_plan(make_rec([{}]))
    assert_same(plan, Plan.load(plan.save(tmp_path / "deep" / "plan.parquet")))


def test_the_rows_of_the_file_are_the_changes(plan: Plan, tmp_path: Path) -> None:
    rows = pd.read_parquet(plan.save(tmp_path / "plan.parquet"))
    assert rows["after"].tolist() == plan.changes["after"].tolist()


def rewrite(path: Path, edit: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(edit(pq.read_table(path)), path)


def with_metadata(table: pa.Table, key: str, change: Callable[[str], str]) -> pa.Table:
    metadata = dict(table.schema.metadata)
    name = f"sippet_reconcile.{key}".encode()
    metadata[name] = change(metadata[name].decode()).encode()
    return table.replace_schema_metadata(metadata)


def set_cell(table: pa.Table, column: str, value: Any) -> pa.Table:
    at = table.column_names.index(column)
    kind = table.schema.field(column).type
    values = [value, *table.column(column).to_pylist()[1:]]
    return table.set_column(at, table.schema.field(column), pa.array(values, kind))


def in_plain(name: str, value: Any) -> Callable[[pa.Table], pa.Table]:
    return lambda t: with_metadata(t, "plain", lambda text: json.dumps({**json.loads(text), name: value}))


def in_approval(name: str, value: str) -> Callable[[pa.Table], pa.Table]:
    return lambda t: with_metadata(
        t, "approvals", lambda text: json.dumps([{**a, name: value} for a in json.loads(text)])
    )


@pytest.mark.parametrize(
    "edit",
    [
        *(pytest.param(lambda t, c=c, v=v: set_cell(t, c, v), id=c) for c, v in [
            ("call_id", "other"), ("call_uuid", "other"), ("field", "status"), ("before", None), ("after", "60"),
            ("before_s", 1.0), ("after_s", 60.0), ("delta_s", 0.0), ("explanation", "zero"), ("reason", "because"),
            ("match_rule", "linked_id"), ("source_file", "other.csv"), ("source_row", 7),
        ]),
        pytest.param(lambda t: t.slice(0, 0), id="a row fewer"),
        pytest.param(lambda t: pa.concat_tables([t, t]), id="a row more"),
        pytest.param(lambda t: t.drop_columns(["reason"]), id="a column fewer"),
        pytest.param(lambda t: t.append_column("note", pa.array(["x"] * len(t))), id="a column more"),
        pytest.param(lambda t: t.select(t.column_names[::-1]), id="other order of columns"),
        *(pytest.param(in_plain(n, v), id=n) for n, v in [
            ("api_url", "https://elsewhere.example"), ("accept", []), ("kind", "corrections"), ("period", None),
            ("n_compared", 5), ("created_at", "2020-01-01T00:00:00+00:00"), ("extra", 1), ("schema_version", 1), ("schema_version", 3),
        ]),
        pytest.param(lambda t: with_metadata(t, "frames", lambda s: s.replace('"agreeing"', '"other"')), id="ledger"),
        pytest.param(lambda t: with_metadata(t, "frames", lambda s: s.replace('"Float64"', '"str"')), id="types"),
        pytest.param(lambda t: with_metadata(t, "calls", lambda s: s[:-8] + "AAAAAAA="), id="calls"),
        pytest.param(lambda t: with_metadata(t, "left_out", lambda _: ""), id="left_out"),
        pytest.param(lambda t: with_metadata(t, "disputes", lambda _: ""), id="disputes"),
        pytest.param(lambda t: with_metadata(t, "plan_id", lambda _: "0" * 64), id="plan_id"),
        pytest.param(in_approval("by", "ben"), id="approval"),
        pytest.param(in_approval("plan_id", "0" * 64), id="approval of another plan"),
        pytest.param(lambda t: with_metadata(t, "approvals", lambda _: "[]"), id="approval removed"),
    ],
)  # fmt: skip
def test_any_edit_is_refused(plan: Plan, tmp_path: Path, edit: Callable[[pa.Table], pa.Table]) -> None:
    path = plan.save(tmp_path / "plan.parquet")
    rewrite(path, edit)
    with pytest.raises(PlanError, match="edited"):
        Plan.load(path)


def test_what_a_plan_of_its_version_does_not_have_is_no_way_past_its_id(tmp_path: Path) -> None:
    path = tmp_path / "plan.parquet"
    path.write_bytes((Path(__file__).parents[1] / "saved" / "plan-v1.parquet").read_bytes())
    foreign = [{"name": "kind", "dtype": "str", "values": ["unbilled"]}]
    rewrite(
        path,
        lambda t: with_metadata(t, "frames", lambda s: json.dumps({**json.loads(s), "disputes": foreign})),
    )
    with pytest.raises(PlanError, match="edited"):
        Plan.load(path)


def test_rewriting_without_an_edit_is_no_edit(plan: Plan, tmp_path: Path) -> None:
    path = plan.save(tmp_path / "plan.parquet")
    rewrite(path, lambda table: table)
    assert_same(plan, Plan.load(path))


def test_a_file_that_another_program_wrote_is_no_plan(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "plan.parquet"
    plan.changes.to_parquet(path)
    with pytest.raises(PlanError, match="not a plan"):
        Plan.load(path)


def test_an_unknown_version_is_refused(plan: Plan, tmp_path: Path) -> None:
    path = plan.save(tmp_path / "plan.parquet")
    rewrite(path, lambda t: with_metadata(t, "schema_version", lambda _: "99"))
    with pytest.raises(PlanError, match="version '99'"):
        Plan.load(path)


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and no more"])
def test_what_is_no_file_of_ours_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "plan.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PlanError, match=r"plan\.parquet"):
        Plan.load(path)


def test_a_plan_that_cannot_be_written_leaves_nothing_behind(plan: Plan, tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(PlanError, match="cannot be written"):
        plan.save(target)
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_saving_replaces_the_file_whole(plan: Plan, tmp_path: Path) -> None:
    path = plan.save(tmp_path / "plan.parquet")
    smaller = plan.keep([])
    smaller.save(path)
    assert Plan.load(path).plan_id == smaller.plan_id
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("version", [1, 2])
def test_a_smaller_plan_of_each_version_survives_its_file(tmp_path: Path, version: int) -> None:
    whole = Plan.load(Path(__file__).parents[1] / "saved" / f"plan-v{version}.parquet")
    smaller = whole.drop(whole.changes["call_id"].iloc[:1])
    again = Plan.load(smaller.save(tmp_path / "plan.parquet"))
    assert (again.plan_id, again.schema_version) == (smaller.plan_id, version)
    pd.testing.assert_frame_equal(again.disputes, whole.disputes)
