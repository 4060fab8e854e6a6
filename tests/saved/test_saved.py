"""What earlier versions saved is read, proved, continued and undone today; what cannot be read says why."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sippet_reconcile as sr
from sippet_reconcile.api.plain import texts_by_id
from sippet_reconcile.audit.records import SCHEMA_VERSION as LOG_VERSION
from sippet_reconcile.audit.records import record_hash
from sippet_reconcile.plan.content import READ_VERSIONS as PLAN_VERSIONS
from sippet_reconcile.plan.content import SCHEMA_VERSION as PLAN_VERSION
from sippet_reconcile.reconciliation.matching.reduce import CDR_CALLS
from sippet_reconcile.reconciliation.storage import READ_VERSIONS
from sippet_reconcile.reconciliation.storage import SCHEMA_VERSION as RECONCILIATION_VERSION
from sippet_reconcile.sandbox import Sandbox
from sippet_reconcile.schema import DISCREPANCIES, PAIRS, check_frame

HERE = Path(__file__).parent
NOTED = json.loads((HERE / "noted.json").read_text(encoding="utf-8"))
PLANS, LOGS, RECONCILIATIONS = PLAN_VERSIONS, (1,), READ_VERSIONS
"""The versions that this package reads."""


def load_maker():
    spec = importlib.util.spec_from_file_location("make_saved", HERE / "make_saved.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = load_maker()


@pytest.fixture
def api():
    """The fictional API, played by a sandbox that holds what it held ahead of the runs, or after them."""
    made = []

    def play(calls):
        sandbox = Sandbox(HERE / f"calls-{calls}.json").start()
        transport = MAKER.Reroute(sandbox)
        client = sr.Client(MAKER.API, token=sandbox.token, transport=transport)
        made.append((sandbox, transport, client))

        def held():
            rows = texts_by_id(sandbox.calls)
            return {call_id: rows[call_id] for call_id in sorted(rows)}

        return SimpleNamespace(sandbox=sandbox, client=client, held=held)

    yield play
    for sandbox, transport, client in made:
        client.close()
        transport.close()
        sandbox.stop()


def log_copy(tmp_path, version):
    return Path(shutil.copytree(HERE / f"log-v{version}", tmp_path / "audit"))


def apply(plan, api, audit, **options):
    return sr.apply_plan(plan, api.client, audit, rate="400/s", progress=False, **options)


def outcomes(run):
    return run.records.set_index("call_id")["outcome"].to_dict()


def test_a_version_is_not_raised_without_a_saved_file_of_it():
    for name in (
        f"plan-v{PLAN_VERSION}.parquet",
        f"log-v{LOG_VERSION}",
        f"reconciliation-v{RECONCILIATION_VERSION}",
    ):
        assert (HERE / name).exists(), f"save {name} as tests/saved/README.md says"
        assert name in NOTED, f"note what {name} holds in tests/saved/noted.json"
    assert (PLANS[-1], LOGS[-1], RECONCILIATIONS[-1]) == (PLAN_VERSION, LOG_VERSION, RECONCILIATION_VERSION)


def test_every_saved_file_is_noted_and_every_note_has_its_file():
    saved = {
        path.name for pattern in ("plan-v*", "log-v*", "reconciliation-v*") for path in HERE.glob(pattern)
    }
    assert saved == set(NOTED)


@pytest.mark.parametrize("version", PLANS)
def test_a_saved_plan_is_the_plan_it_was(version):
    name = f"plan-v{version}.parquet"
    plan = sr.Plan.load(HERE / name)
    assert plan.plan_id == plan.fingerprint() == NOTED[name]["plan_id"]
    assert (len(plan), len(plan.changes)) == (NOTED[name]["calls"], NOTED[name]["changes"])
    assert (plan.schema_version, plan.api_url) == (version, MAKER.API)
    assert [approval.by for approval in plan.approvals] == ["ana", "ben"]
    assert len(plan.left_out) == 1
    assert plan.plan_id[:12] in plan.dry_run().to_markdown()
    assert MAKER.call_id_of(0) in plan.dry_run().html()


def test_what_version_1_of_a_plan_did_not_keep_is_missing():
    old, new = (sr.Plan.load(HERE / f"plan-v{version}.parquet") for version in PLANS)
    assert (len(old.disputes), old.disputes.columns.tolist()) == (0, new.disputes.columns.tolist())
    assert new.disputes[["kind", "field", "seconds", "source_row"]].to_numpy().tolist()[0] == [
        "wrong", "started_at", 60.0, 6,
    ]  # fmt: skip
    assert new.disputes["kind"].tolist() == ["wrong", "unbilled"]
    assert new.calls["confidence"].tolist() == ["certain"] * 9
    smaller = old.keep(old.changes["call_id"].head(1))
    assert (smaller.schema_version, smaller.fingerprint()) == (1, smaller.plan_id)


@pytest.mark.parametrize("version", PLANS)
def test_a_saved_plan_is_applied_as_it_was_approved_and_undone(version, api, tmp_path):
    api = api("start")
    start = api.held()
    plan = sr.Plan.load(HERE / f"plan-v{version}.parquet")
    run = apply(plan, api, tmp_path / "audit", min_approvals=2)
    assert set(outcomes(run).values()) == {"applied"}
    for change in plan.changes.to_dict("records"):
        after = api.held()[change["call_id"]][change["field"]]
        assert after == change["after"]
    apply(sr.revert_run(run).approve(by="ana"), api, tmp_path / "audit")
    assert api.held() == start


@pytest.mark.parametrize("version", PLANS)
def test_a_saved_plan_saved_today_is_the_same_plan(version, tmp_path):
    plan = sr.Plan.load(HERE / f"plan-v{version}.parquet")
    again = sr.Plan.load(plan.save(tmp_path / "plan.parquet"))
    assert (again.plan_id, again.approvals) == (plan.plan_id, plan.approvals)


@pytest.mark.parametrize("version", LOGS)
def test_a_saved_log_is_whole_and_tells_what_it_told(version):
    folder, noted = HERE / f"log-v{version}", NOTED[f"log-v{version}"]
    log = sr.AuditLog(folder)
    checked = log.verify(head=noted["head"])
    assert (checked.ok, checked.n_records, checked.head) == (True, noted["records"], noted["head"])
    assert log.runs()["run_id"].tolist() == noted["runs"]
    assert outcomes(sr.load_run(log)) == noted["outcomes"]
    assert set(noted["outcomes"].values()) == {
        "applied",
        "already",
        "altered",
        "drifted",
        "unknown",
        "pending",
    }
    assert sr.load_run(log, noted["runs"][1]).reverts_run_id == noted["runs"][0]
    assert not [path for path in folder.iterdir() if not path.name.startswith("part-")]


@pytest.mark.parametrize("version", LOGS)
def test_the_hashes_of_a_saved_log_follow_from_the_documented_rule(version):
    """Recomputed with nothing but pandas and json, as an auditor would."""
    records = pd.read_parquet(HERE / f"log-v{version}").sort_values("seq").astype(object)
    head = "0" * 64
    for row in records.where(records.notna(), None).to_dict("records"):
        row["at"] = row["at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        assert row["prev_hash"] == head
        head = record_hash(head, row)
        assert row["hash"] == head


@pytest.mark.parametrize("version", LOGS)
def test_a_run_in_a_saved_log_is_proved_continued_and_undone(version, api, tmp_path):
    api = api("now")
    audit = log_copy(tmp_path, version)
    proof = sr.verify_run(sr.load_run(audit), api.client, rate="400/s")
    assert (proof.ok, len(proof.frame)) == (True, 8)
    plan = sr.Plan.load(HERE / "plan-v1.parquet")
    run = apply(plan, api, audit)
    # What the dead session left open is found written, as is the one of which another field changed;
    # the one that was never attempted is sent.
    before = NOTED[f"log-v{version}"]["outcomes"]
    assert run.run_id == NOTED[f"log-v{version}"]["runs"][-1]
    assert run.n_sessions == 2
    settled = dict.fromkeys(("unknown", "altered", "pending"), "applied")
    assert outcomes(run) == {call_id: settled.get(word, word) for call_id, word in before.items()}
    assert [r.path.rsplit("/", 1)[-1] for r in api.sandbox.requests if r.method == "PATCH"] == [
        call_id for call_id, word in before.items() if word == "pending"
    ]
    back = apply(sr.revert_run(run).approve(by="ben"), api, audit)
    assert set(outcomes(back).values()) == {"applied"}
    start = texts_by_id(Sandbox(HERE / "calls-start.json").calls)
    by_others = {call_id for call_id, word in before.items() if word in {"already", "drifted", "altered"}}
    held = api.held()
    assert {c: v for c, v in held.items() if c not in by_others} == {
        c: v for c, v in start.items() if c not in by_others
    }
    assert sr.AuditLog(audit).verify(head=NOTED[f"log-v{version}"]["head"]).ok
    with pytest.raises(sr.PlanError, match="was reverted in this log"):
        apply(plan, api, audit)


@pytest.mark.parametrize("version", RECONCILIATIONS)
def test_a_saved_reconciliation_is_read_and_planned_from(version):
    name = f"reconciliation-v{version}"
    rec = sr.load_reconciliation(HERE / name)
    assert (len(rec.pairs), len(rec.discrepancies)) == (
        NOTED[name]["pairs"],
        NOTED[name]["discrepancies"],
    )
    plan = sr.build_plan(rec)
    # A later version may know a better explanation; what is written is the same.
    told = [] if version == min(RECONCILIATIONS) else ["explanation", "reason"]
    pd.testing.assert_frame_equal(
        plan.changes.drop(columns=told), sr.Plan.load(HERE / "plan-v1.parquet").changes.drop(columns=told)
    )
    assert len(rec.legs) == len(rec.calls) == MAKER.N_CALLS


@pytest.mark.parametrize("version", RECONCILIATIONS)
def test_a_saved_reconciliation_saved_today_is_the_same_reconciliation(version, tmp_path):
    rec = sr.load_reconciliation(HERE / f"reconciliation-v{version}")
    again = sr.load_reconciliation(rec.save(tmp_path / "again"))
    names = rec._frames.names
    assert again._frames.names == names
    for name in names:
        pd.testing.assert_frame_equal(again._frames[name], rec._frames[name])
    for by in (None, "day", ["user", "match_rule"]):
        pd.testing.assert_frame_equal(again.ledger(by=by), rec.ledger(by=by))
    assert again.summary() == rec.summary()
    assert again._repr_html_() == rec._repr_html_()
    assert str(again.show(MAKER.call_id_of(0))) == str(rec.show(MAKER.call_id_of(0)))
    pd.testing.assert_frame_equal(again.findings.checks, rec.findings.checks)
    assert again.findings.cures_toml() == rec.findings.cures_toml()


def test_what_version_2_of_a_reconciliation_did_not_keep_is_missing_or_follows():
    rec = sr.load_reconciliation(HERE / "reconciliation-v2")
    for frame, schema in ((rec.pairs, PAIRS), (rec.discrepancies, DISCREPANCIES), (rec.cdr_calls, CDR_CALLS)):
        check_frame(frame, schema)
        assert list(frame.columns) == schema.names
    assert rec.pairs["match_rule"].unique().tolist() == ["call_uuid"]
    assert rec.pairs["confidence"].unique().tolist() == ["certain"]
    assert rec.discrepancies["confidence"].unique().tolist() == ["certain"]
    assert rec.cdr_calls["leg_statuses"].isna().all()
    assert len(rec.findings.checks) == 0
    assert rec.summary()["not_enough_evidence"] == []
    assert rec.findings.cures_toml() == ""


def test_a_match_by_numbers_that_version_2_saved_is_of_fair_confidence(tmp_path):
    folder = Path(shutil.copytree(HERE / "reconciliation-v2", tmp_path / "rec"))

    def by_numbers(table):
        at = table.schema.get_field_index("match_rule")
        words = ["numbers_and_time", *table.column(at).to_pylist()[1:]]
        return table.set_column(at, table.schema.field(at), pa.array(words, table.schema.field(at).type))

    rewritten(folder / "pairs.parquet", folder / "pairs.parquet", by_numbers)
    pairs = sr.load_reconciliation(folder).pairs
    assert pairs["confidence"].tolist() == ["fair", *["certain"] * 11]


def test_a_reconciliation_of_which_this_version_finds_other_differences_is_not_split(tmp_path):
    folder = Path(shutil.copytree(HERE / "reconciliation-v2", tmp_path / "rec"))
    rewritten(
        folder / "discrepancies.parquet", folder / "discrepancies.parquet", lambda table: table.slice(1)
    )
    rec = sr.load_reconciliation(folder)
    assert len(rec.ledger()) > 0
    with pytest.raises(sr.InputError, match="no ledger can be split from it; reconcile again"):
        rec.ledger(by="day")


def rewritten(path, target, change):
    """Write a parquet file with other metadata or columns."""
    pq.write_table(change(pq.read_table(path)), target)
    return target


def plan_of_version(version):
    def change(table):
        metadata = dict(table.schema.metadata) | {b"sippet_reconcile.schema_version": version.encode()}
        return table.replace_schema_metadata(metadata)

    return change


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (str(PLAN_VERSION + 1), "later version of sippet_reconcile .* update sippet_reconcile"),
        ("0", "use the version of sippet_reconcile that wrote it, or build the plan again"),
        ("soon", "a plan of version 'soon'"),
    ],
)
def test_a_plan_of_another_version_is_refused_by_name(tmp_path, version, said):
    path = rewritten(
        HERE / f"plan-v{PLAN_VERSION}.parquet", tmp_path / "plan.parquet", plan_of_version(version)
    )
    with pytest.raises(sr.PlanError, match=rf"plan\.parquet .*{said}"):
        sr.Plan.load(path)


@pytest.mark.parametrize("version", [1, RECONCILIATION_VERSION + 1])
def test_a_reconciliation_of_another_version_is_refused_by_name(tmp_path, version):
    folder = Path(shutil.copytree(HERE / f"reconciliation-v{RECONCILIATION_VERSION}", tmp_path / "rec"))
    path = folder / "reconciliation.json"
    values = json.loads(path.read_text(encoding="utf-8")) | {"schema_version": version, "tool_version": "9.9"}
    path.write_text(json.dumps(values), encoding="utf-8")
    said = (
        "update sippet_reconcile"
        if version > RECONCILIATION_VERSION
        else "use the version that wrote it, '9.9'"
    )
    with pytest.raises(sr.InputError, match=rf"reconciliation\.json .*{said}"):
        sr.load_reconciliation(folder)


def later_log(folder, *, with_column):
    """Turn the last part of a log into one that a later version wrote, with hashes that fit."""
    last = sorted(folder.glob("part-*.parquet"))[-1]
    table = pq.read_table(last)
    at = table.schema.get_field_index("schema_version")
    kind = table.schema.field(at)
    table = table.set_column(at, kind, pa.array([LOG_VERSION + 1] * len(table), kind.type))
    if with_column:
        pq.write_table(table.append_column("cost", pa.array(["1.00"] * len(table))), last)
        return
    head, hashes, heads = table.column("prev_hash")[0].as_py(), [], []
    frame = table.to_pandas().astype(object)
    for row in frame.where(frame.notna(), None).to_dict("records"):
        row["at"] = row["at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        heads.append(head)
        head = record_hash(head, row | {"prev_hash": head})
        hashes.append(head)
    for name, values in (("prev_hash", heads), ("hash", hashes)):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    pq.write_table(table, last)


@pytest.mark.parametrize("with_column", [True, False], ids=["further columns", "same columns"])
def test_a_log_of_a_later_version_is_refused_by_name_and_nothing_is_added_to_it(tmp_path, api, with_column):
    api = api("now")
    audit = log_copy(tmp_path, LOG_VERSION)
    later_log(audit, with_column=with_column)
    parts = {path.name: path.read_bytes() for path in audit.glob("part-*")}
    said = rf"schema version {LOG_VERSION + 1}, .* use the later version that wrote it"
    log = sr.AuditLog(audit)
    plan = sr.Plan.load(HERE / f"plan-v{PLAN_VERSION}.parquet")
    for read in (
        log.records,
        log.runs,
        lambda: sr.load_run(log),
        lambda: log.export(tmp_path / "records.csv"),
        lambda: apply(plan, api, log),
    ):
        with pytest.raises(sr.AuditError, match=said):
            read()
    assert {path.name: path.read_bytes() for path in audit.glob("part-*")} == parts
    assert api.sandbox.requests == []
    checked = log.verify()
    assert not checked.ok
    assert "use the later version" in checked.problem


def test_no_saved_file_needs_anything_but_plain_parquet():
    """Neither pickled objects nor extension types: any version of pandas and pyarrow reads them alike."""
    paths = sorted(HERE.rglob("*.parquet"))
    assert len(paths) > 20
    for path in paths:
        schema = pq.read_schema(path)
        for field in schema:
            assert not isinstance(field.type, pa.BaseExtensionType), (path, field)
            assert not field.metadata, (path, field)
            kinds = (pa.types.is_large_string, pa.types.is_string, pa.types.is_integer, pa.types.is_floating,
                     pa.types.is_boolean, pa.types.is_timestamp, pa.types.is_null)  # fmt: skip
            assert any(is_kind(field.type) for is_kind in kinds), (path, field)
        for key, value in (schema.metadata or {}).items():
            assert key == b"pandas" or key.startswith(b"sippet_reconcile."), (path, key)
            if key == b"pandas":
                told = json.loads(value)
                assert {column["numpy_type"] for column in told["columns"]} <= {
                    "str", "Int64", "Float64", "boolean", "datetime64[us]", "int64", "float64", "bool", "object",
                }, path  # fmt: skip
                assert not [
                    c for c in told["columns"] if c["numpy_type"] == "object" and c["pandas_type"] == "bytes"
                ]


def test_the_script_still_makes_files_that_are_read(tmp_path):
    MAKER.make(tmp_path / "new")
    noted = json.loads((tmp_path / "new" / "noted.json").read_text(encoding="utf-8"))
    plan = sr.Plan.load(tmp_path / "new" / f"plan-v{PLAN_VERSION}.parquet")
    assert plan.plan_id == noted[f"plan-v{PLAN_VERSION}.parquet"]["plan_id"]
    log = sr.AuditLog(tmp_path / "new" / f"log-v{LOG_VERSION}")
    assert log.verify(head=noted[f"log-v{LOG_VERSION}"]["head"]).ok
    assert set(noted) <= set(NOTED)
