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
from sippet_reconcile.errors import AuditError, InputError


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


def test_bytes_that_are_no_text_are_an_edit_that_is_named(log):
    path = parts_of(log.path)[1]
    table = pq.read_table(io.BytesIO(path.read_bytes()))
    position = table.schema.get_field_index("by")
    text = table.schema.field("by")
    made = pa.array([b"\xff"] * table.num_rows, pa.large_binary())
    broken = pa.Array.from_buffers(text.type, table.num_rows, made.buffers())
    pq.write_table(table.set_column(position, text, broken), path)
    result = log.verify()
    assert not result.ok
    assert path.name in result.problem
    with pytest.raises(AuditError, match=path.name):
        log.records()


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


# What a tamperer may think of


def set_column(column, value, row=1):
    def change(rows):
        rows[row][column] = value
        return rows

    return change


def resave(path, change):
    """Let a tamperer change the table of one part, its types and columns included."""
    table = change(pq.read_table(io.BytesIO(path.read_bytes())))
    pq.write_table(table, path)


def recompute(rows, start=0):
    """Give records the hashes that fit what they say now, from one of them on."""
    from sippet_reconcile.audit.records import record_hash  # noqa: PLC0415

    for place in range(start, len(rows)):
        if place > start:
            rows[place]["prev_hash"] = rows[place - 1]["hash"]
        record = rows[place] | {"at": rows[place]["at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        rows[place]["hash"] = record_hash(rows[place]["prev_hash"], record)
    return rows


def swap_names(a, b):
    aside = a.with_name("_aside")
    a.rename(aside)
    b.rename(a)
    aside.rename(b)


@pytest.mark.parametrize("column", AUDIT.names)
def test_an_edit_of_any_column_is_named_with_its_record(log, column):
    kind = AUDIT.dtypes[column]
    value = {"str": "edited", "Int64": 0}.get(kind, pd.Timestamp("2026-01-01T00:00:00Z"))
    path = parts_of(log.path)[1]
    rewrite(path, set_column(column, value))
    result = log.verify()
    assert not result.ok
    assert result.n_records == 5
    assert path.name in result.problem
    assert "record 6" in result.problem


@pytest.mark.parametrize("column", AUDIT.names)
def test_a_value_that_was_taken_away_is_named_with_its_record(log, column):
    path = parts_of(log.path)[1]
    given = pq.read_table(io.BytesIO(path.read_bytes())).column(column)[1].as_py()
    rewrite(path, set_column(column, None))
    result = log.verify()
    if given is None:
        assert result.ok
        return
    assert not result.ok
    assert path.name in result.problem
    assert "record 6" in result.problem


def test_a_missing_text_that_became_an_empty_one_is_an_edit(log):
    path = parts_of(log.path)[1]
    rewrite(path, set_column("call_uuid", ""))
    assert "record 6: its content does not give its hash" in log.verify().problem


@pytest.mark.parametrize("kind", ["text", "narrower", "dictionary"])
def test_the_same_values_in_other_types_are_no_untouched_part(log, kind):
    column, other = {
        "text": ("http_status", pa.large_string()),
        "narrower": ("seq", pa.int32()),
        "dictionary": ("event", pa.dictionary(pa.int32(), pa.large_string())),
    }[kind]
    path = parts_of(log.path)[1]

    def cast(table):
        place = table.schema.get_field_index(column)
        return table.set_column(place, column, table.column(column).cast(other))

    resave(path, cast)
    result = log.verify()
    assert not result.ok
    assert f"{path.name} was written again by another program: the column {column} is" in result.problem


def test_columns_added_dropped_doubled_or_moved_are_named(log):
    path = parts_of(log.path)[1]
    original = path.read_bytes()
    for change, said in (
        (lambda t: t.append_column("extra", pa.nulls(t.num_rows)), "columns of the audit log: extra"),
        (lambda t: t.drop_columns(["note"]), "columns of the audit log: note"),
        (lambda t: t.append_column("note", t.column("note")), "a column twice"),
        (lambda t: t.select(list(reversed(t.column_names))), "in another order"),
    ):
        resave(path, change)
        result = log.verify()
        assert not result.ok
        assert path.name in result.problem
        assert said in result.problem
        path.write_bytes(original)
    assert log.verify().ok


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "part-000000000006-000000000007.parquet",
            "holds the records 5 to 7, and by its name should hold those from 6",
        ),
        ("part-000000000005-000000000009.parquet", "by its name should hold those from 5 to 9"),
        ("part-000000000105-000000000107.parquet", "records 5 to 7 are missing"),
        ("part-0000000000005-0000000000007.parquet", "records 5 to 7 are missing"),
        (
            "part-\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0665-000000000007.parquet",
            "records 5 to 7 are missing",
        ),
        ("_part.parquet", "records 5 to 7 are missing"),
    ],
)
def test_a_renamed_part_is_found(log, name, said):
    path = parts_of(log.path)[1]
    path.rename(path.with_name(name))
    result = log.verify()
    assert not result.ok
    assert said in result.problem


def test_two_parts_that_changed_names_are_found_at_the_first(log):
    first, second = parts_of(log.path)[1:3]
    swap_names(first, second)
    result = log.verify()
    assert not result.ok
    assert f"{first.name}, record 8" in result.problem
    assert "renamed, or swapped" in result.problem
    assert result.n_records == 4


@pytest.mark.parametrize(
    "name",
    [
        "part-000000000005-000000000008.parquet",
        "part-000000000019-000000000021.parquet",
        "part-0000000000005-0000000000007.parquet",
        "copy of part-000000000005-000000000007.parquet",
    ],
)
def test_a_part_that_stands_there_twice_is_found(log, name):
    path = parts_of(log.path)[1]
    shutil.copy(path, path.with_name(name))
    result = log.verify()
    assert not result.ok
    assert name in result.problem


@pytest.mark.parametrize("place", [0, 1, -1], ids=["first", "middle", "last"])
def test_a_part_of_another_log_is_found(log, tmp_path, entries_of, place):
    other = AuditLog(tmp_path / "other")
    with other.writing() as writer:
        entries = [*entries_of(run_id="forged"), *entries_of(run_id="forged-2")]
        for begin, end in ((0, 4), (4, 7), (7, 9), (9, 14), (14, 18)):
            writer.append(entries[begin:end])
    mine, forged = parts_of(log.path)[place], parts_of(other.path)[place]
    assert mine.name == forged.name
    shutil.copy(forged, mine)
    result = log.verify()
    assert not result.ok
    assert "does not continue record" in result.problem


@pytest.mark.parametrize(
    "name", ["part-000000000019-000000000018.parquet", "part-000000000019-000000000019.parquet"]
)
def test_a_part_without_records_is_found(log, name):
    path = parts_of(log.path)[0]
    pq.write_table(pq.read_table(io.BytesIO(path.read_bytes())).slice(0, 0), path.with_name(name))
    result = log.verify()
    assert not result.ok
    assert f"{name}: it holds no records" in result.problem


def test_a_record_edited_with_its_hash_recomputed_shows_at_the_next_one(log):
    path = parts_of(log.path)[1]

    def change(rows):
        rows[1]["after"] = '{"duration_seconds":6}'
        return recompute(rows[:2], 1) + rows[2:]

    rewrite(path, change)
    result = log.verify()
    assert "record 7: does not continue record 6" in result.problem
    assert result.n_records == 6


def test_a_tail_that_was_written_anew_shows_only_against_a_head_kept_elsewhere(log):
    head, older = log.head, log.records()["hash"].iloc[3]

    def change(rows):
        rows[-2]["outcome"] = "rejected"
        return recompute(rows, len(rows) - 2)

    rewrite(parts_of(log.path)[-1], change)
    assert log.verify().ok
    assert log.verify(older).ok, "what was ahead of the edit is still proved"
    result = log.verify(head)
    assert not result.ok
    assert "rewritten" in result.problem


def test_a_head_is_known_in_upper_case_and_with_blanks_around_it(log):
    assert log.verify(f"  {log.head.upper()}\n").ok


@pytest.mark.parametrize("head", ["", " ", "3f0c", "g" * 64, "0" * 63, "0" * 65, "sha256:" + "0" * 64])
def test_what_cannot_be_a_head_is_refused_rather_than_taken_for_a_cut_log(log, head):
    with pytest.raises(InputError, match="head must be the whole hash"):
        log.verify(head)


def test_a_pipe_in_place_of_a_part_keeps_nobody_waiting(log):
    import os  # noqa: PLC0415

    path = parts_of(log.path)[1]
    path.unlink()
    os.mkfifo(path)
    assert path.name in log.verify().problem


# A log that a later version wrote


@pytest.mark.parametrize("columns", ["the same", "another"])
def test_a_log_of_a_later_version_is_refused_by_name_for_reading_and_writing(log, columns):
    path = parts_of(log.path)[-1]

    def later(table):
        place = table.schema.get_field_index("schema_version")
        versions = pa.array([2] * table.num_rows, pa.int64())
        table = table.set_column(place, table.schema.field(place), versions)
        return table if columns == "the same" else table.rename_columns({"note": "notes"})

    resave(path, later)
    said = rf"{path.name} holds records of schema version 2, and sippet-reconcile .* up to version 1: use the later"
    for read in (log.records, log.runs, lambda: log.head, lambda: log.export(log.path.parent / "a.csv")):
        with pytest.raises(AuditError, match=said):
            read()
    with pytest.raises(AuditError, match=said), log.writing():
        pass
    result = log.verify()
    assert not result.ok
    assert "schema version 2" in result.problem
    assert not (log.path.parent / "a.csv").exists()


# Names of other people's making are shown to people


def test_no_name_in_a_verdict_or_a_refusal_steers_a_terminal(log, tmp_path):
    evil = "\x1b[2J\n\u202e" + "x" * 100
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / evil).touch()
    with pytest.raises(InputError) as caught, AuditLog(tmp_path / "begun").writing():
        pass
    path = parts_of(log.path)[1]
    original = path.read_bytes()
    told = [str(caught.value)]
    for change in (
        lambda t: t.append_column(evil, pa.nulls(t.num_rows)),
        lambda t: t.drop_columns(["note"]).append_column(
            "note", pa.nulls(t.num_rows, pa.struct({evil: pa.int8()}))
        ),
    ):
        resave(path, change)
        told.append(log.verify().problem)
    path.write_bytes(original)
    (log.path / evil).touch()
    told.append(log.verify().problem)
    assert all(text.isprintable() and "?[2J??xxx" in text and len(text) < 400 for text in told), told
