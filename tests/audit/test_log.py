"""The log as a folder: closed parts, one writer, readable at any moment, nothing half."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import textwrap

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sippet_reconcile.audit import AUDIT, RUNS, AuditLog
from sippet_reconcile.errors import AuditError, InputError


def parts_of(folder):
    return sorted(folder.glob("part-*.parquet"))


def test_pandas_reads_the_folder_with_exactly_the_columns_and_types(log):
    frame = pd.read_parquet(log.path)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == AUDIT.dtypes
    assert frame["seq"].tolist() == list(range(1, 19))


def test_the_folder_stays_readable_while_a_writer_holds_it(log, entries_of):
    with log.writing() as writer:
        (log.path / "_writing-part-x.parquet").write_bytes(b"half")
        assert len(pd.read_parquet(log.path)) == 18
        writer.append(entries_of()[:1])
        assert len(pd.read_parquet(log.path)) == 19


def test_everything_that_is_no_part_has_a_name_readers_skip(log):
    with log.writing():
        others = [path.name for path in log.path.iterdir() if not path.name.startswith("part-")]
    assert others
    assert all(name.startswith(("_", ".")) for name in others)


def test_parts_are_never_rewritten(log, entries_of):
    before = {path.name: path.read_bytes() for path in parts_of(log.path)}
    with log.writing() as writer:
        writer.append(entries_of())
    after = {path.name: path.read_bytes() for path in parts_of(log.path)}
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 1


def test_the_chain_goes_on_across_openings(log, entries_of):
    head = log.head
    with log.writing() as writer:
        assert writer.head == head
        writer.append(entries_of()[:1])
        assert writer.head == log.head
    assert log.records()["prev_hash"].iloc[-1] == head
    assert log.verify().n_records == 19


def test_an_empty_log_gives_empty_frames_with_the_same_types(tmp_path):
    log = AuditLog(tmp_path)
    assert {name: str(dtype) for name, dtype in log.records().dtypes.items()} == AUDIT.dtypes
    assert {name: str(dtype) for name, dtype in log.runs().dtypes.items()} == RUNS.dtypes


def test_records_of_one_run_and_an_unknown_run_names_the_known_ones(log):
    assert log.records("run-2")["run_id"].unique().tolist() == ["run-2"]
    with pytest.raises(InputError, match="run-1, run-2"):
        log.records("run-3")


def test_runs_are_counted_from_their_last_outcomes(log):
    runs = log.runs().set_index("run_id")
    assert {name: str(dtype) for name, dtype in log.runs().dtypes.items()} == RUNS.dtypes
    one = runs.loc["run-1"]
    assert (one["n_calls"], one["applied"], one["without_outcome"]) == (3, 3, 0)
    assert (one["n_sessions"], one["ended"], one["approved_by"]) == (1, "complete", "Zoë")
    assert runs.loc["run-2", "head"] == log.head


def test_a_second_writer_is_told_who_holds_the_log(log):
    with log.writing():
        holder = json.loads((log.path / "_holder.json").read_text())
        with pytest.raises(AuditError) as caught, AuditLog(log.path).writing():
            pass
    assert holder["pid"] == os.getpid()
    assert f"process {os.getpid()}" in str(caught.value)
    assert holder["host"] in str(caught.value)
    assert caught.value.exit_code == 4
    with log.writing() as writer:
        assert writer.head == log.head


def test_another_process_is_refused_and_gets_the_log_once_its_holder_is_killed(log):
    code = """
        import sys
        from sippet_reconcile.audit import AuditLog
        with AuditLog(sys.argv[1]).writing():
            print("held", flush=True)
            sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(log.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AuditError, match=f"process {holder.pid}"), log.writing():
            pass
        holder.kill()
        holder.wait()
        with log.writing() as writer:
            assert writer.head == log.head


def test_leftovers_of_a_crash_are_removed_by_the_next_writer(log):
    leftover = log.path / "_writing-part-000000000019-000000000020.parquet"
    leftover.write_bytes(b"half a part")
    with log.writing():
        assert not leftover.exists()
    assert log.verify().ok


def test_a_log_with_a_missing_part_is_not_continued(log):
    parts_of(log.path)[1].unlink()
    with pytest.raises(AuditError, match="should begin with record 5"), log.writing():
        pass


def test_a_log_with_an_edited_end_is_not_continued(log):
    path = parts_of(log.path)[-1]
    table = pq.read_table(io.BytesIO(path.read_bytes()))
    position = table.schema.get_field_index("note")
    notes = pa.array(["x"] * table.num_rows, pa.large_string())
    edited = table.set_column(position, table.schema.field(position), notes)
    pq.write_table(edited, path)
    with pytest.raises(AuditError, match="does not fit its hash"), log.writing():
        pass


def test_a_disk_that_takes_no_more_is_an_audit_error_and_leaves_the_log_whole(log, entries_of):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with log.writing() as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            with pytest.raises(AuditError, match="cannot be written"):
                writer.append(entries_of())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert log.verify().n_records == 18
        assert not list(log.path.glob("_writing-*"))
        writer.append(entries_of())
    assert log.verify().n_records == 27


def test_a_folder_that_vanished_is_an_audit_error_and_stays_one(log, entries_of, tmp_path):
    with log.writing() as writer:
        log.path.rename(tmp_path / "elsewhere")
        with pytest.raises(AuditError, match="not as this run left it"):
            writer.append(entries_of())
        log.path.mkdir()
        with pytest.raises(AuditError, match="not as this run left it"):
            writer.append(entries_of())
    assert AuditLog(tmp_path / "elsewhere").verify().ok


def test_a_path_that_is_a_file_is_an_audit_error(tmp_path):
    (tmp_path / "audit").write_text("")
    with (
        pytest.raises(AuditError, match=r"cannot be opened for writing \(it is a file"),
        AuditLog(tmp_path / "audit").writing(),
    ):
        pass


def test_a_server_text_with_half_a_surrogate_pair_is_stored(log, entries_of):
    from dataclasses import replace  # noqa: PLC0415

    with log.writing() as writer:
        writer.append([replace(entries_of()[0], error_detail="odd \ud800 text")])
    assert log.records()["error_detail"].iloc[-1] == "odd ? text"
    assert log.verify().ok


def test_nothing_to_append_writes_no_part(log):
    with log.writing() as writer:
        writer.append([])
    assert len(parts_of(log.path)) == 5


def test_ctrl_c_during_a_write_comes_after_it(log, entries_of):
    import signal  # noqa: PLC0415

    from sippet_reconcile.audit import interrupts_deferred  # noqa: PLC0415

    with log.writing() as writer:
        steps = []

        def write_while_interrupted():
            with interrupts_deferred():
                signal.raise_signal(signal.SIGINT)
                writer.append(entries_of()[:1])
                steps.append("written")

        with pytest.raises(KeyboardInterrupt):
            write_while_interrupted()
    assert steps == ["written"]
    assert log.verify().n_records == 19
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
