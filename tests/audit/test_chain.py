"""The chain of hashes: it can be recomputed without us, and nothing can be changed unseen."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.audit import AUDIT, GENESIS, AuditLog
from sippet_reconcile.errors import InputError


def parts_of(folder):
    return sorted(Path(folder).glob("part-*.parquet"))


def rewrite(path, change):
    """Let a tamperer change the rows of one part."""
    table = pq.read_table(io.BytesIO(path.read_bytes()))
    rows = change(table.to_pylist())
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def test_an_auditor_recomputes_the_chain_with_json_and_sha256_alone(log):
    previous = "0" * 64
    for row in pd.read_parquet(log.path).sort_values("seq").astype(object).to_dict("records"):
        record = {name: None if pd.isna(value) else value for name, value in row.items()}
        record["at"] = record["at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        assert record.pop("prev_hash") == previous
        stated = record.pop("hash")
        text = json.dumps(record, sort_keys=True, separators=(",", ":"))
        previous = hashlib.sha256((previous + text).encode()).hexdigest()
        assert stated == previous
    assert previous == log.head


def test_an_untouched_log_is_ok_and_gives_its_head(log):
    result = log.verify()
    assert (result.ok, result.problem, result.n_records, result.head) == (True, None, 18, log.head)
    assert log.head in repr(result)


def test_an_empty_log_is_ok(tmp_path):
    result = AuditLog(tmp_path).verify()
    assert (result.ok, result.n_records, result.head) == (True, 0, GENESIS)


def test_a_log_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(InputError, match="there is no audit log"):
        AuditLog(tmp_path / "typo").verify()


def test_an_edited_record_is_named_by_part_and_number(log):
    def edit(rows):
        rows[1]["after"] = '{"duration_seconds":6}'
        return rows

    path = parts_of(log.path)[1]
    rewrite(path, edit)
    result = log.verify()
    assert not result.ok
    assert path.name in result.problem
    assert "record 6" in result.problem
    assert result.n_records == 5


def test_a_removed_record_is_named(log):
    rewrite(parts_of(log.path)[1], lambda rows: rows[:1] + rows[2:])
    result = log.verify()
    assert not result.ok
    assert "record 6 is missing" in result.problem


def test_a_removed_part_is_named(log):
    parts_of(log.path)[1].unlink()
    result = log.verify()
    assert not result.ok
    assert "records 5 to 7 are missing" in result.problem


def test_swapped_records_are_called_reordered(log):
    rewrite(parts_of(log.path)[1], lambda rows: [rows[1], rows[0], rows[2]])
    result = log.verify()
    assert not result.ok
    assert "reordered" in result.problem


def test_an_inserted_copy_is_found(log):
    rewrite(parts_of(log.path)[1], lambda rows: [*rows[:2], rows[0], rows[2]])
    result = log.verify()
    assert not result.ok
    assert "inserted" in result.problem


def test_a_cut_end_shows_only_against_a_head_kept_elsewhere(log):
    head = log.head
    parts_of(log.path)[-1].unlink()
    assert log.verify().ok
    result = log.verify(head=head)
    assert not result.ok
    assert "cut off" in result.problem


def test_an_older_head_still_proves_its_part_of_the_log(log):
    older = log.records()["hash"].iloc[8]
    assert log.verify(head=older).ok
    assert log.verify(head=GENESIS).ok
    assert not log.verify(head="f" * 64).ok


def test_a_foreign_parquet_file_that_readers_would_read_is_a_problem(log):
    shutil.copy(parts_of(log.path)[0], log.path / "more.parquet")
    result = log.verify()
    assert not result.ok
    assert "more.parquet" in result.problem


def test_a_part_that_is_no_parquet_is_named(log):
    parts_of(log.path)[1].write_bytes(b"PAR1")
    result = log.verify()
    assert not result.ok
    assert parts_of(log.path)[1].name in result.problem


def test_a_last_record_removed_from_within_its_part_shows_by_the_name(log):
    rewrite(parts_of(log.path)[-1], lambda rows: rows[:-1])
    assert not log.verify().ok


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    from datetime import UTC, datetime  # noqa: PLC0415

    from sippet_reconcile.audit import Entry, Event, Outcome  # noqa: PLC0415

    audit = AuditLog(tmp_path_factory.mktemp("pristine") / "audit")
    noon = datetime(2026, 10, 1, 12, tzinfo=UTC)
    entries = [
        Entry(
            event=Event.OUTCOME, at=noon, run_id="r", plan_id="p", api_url="https://api.example", call_id=f"c{i}",
            before="{}", after="{}", outcome=Outcome.APPLIED, attempt=1, http_status=200,
        )
        for i in range(6)
    ]  # fmt: skip
    with audit.writing() as writer:
        for begin in (0, 2, 4):
            writer.append(entries[begin : begin + 2])
    return audit


COLUMNS = st.sampled_from(AUDIT.names)


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_any_single_edit_removal_insertion_or_swap_is_found(pristine, data):
    folder = Path(tempfile.mkdtemp()) / "audit"
    try:
        shutil.copytree(pristine.path, folder)
        part = data.draw(st.sampled_from(parts_of(folder)))
        row = data.draw(st.integers(0, 1))
        kind = data.draw(st.sampled_from(["edit", "remove", "insert", "swap"]))
        column = data.draw(COLUMNS)
        if kind == "edit":
            kind_of = AUDIT.dtypes[column]

            def change(rows):
                value = rows[row][column]
                if kind_of == "str":
                    rows[row][column] = (value or "") + "x"
                elif kind_of == "Int64":
                    rows[row][column] = (value or 0) + 1
                else:
                    rows[row][column] = value + pd.Timedelta(microseconds=1)
                return rows
        elif kind == "remove":

            def change(rows):
                return rows[:row] + rows[row + 1 :]
        elif kind == "insert":
            at = data.draw(st.integers(0, 2))

            def change(rows):
                return [*rows[:at], rows[row], *rows[at:]]
        else:

            def change(rows):
                return rows[::-1]

        rewrite(part, change)
        result = AuditLog(folder).verify(head=pristine.head)
        assert not result.ok
        assert result.problem
    finally:
        shutil.rmtree(folder.parent)
