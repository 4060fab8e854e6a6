"""What a log and its check look like: told in words, and never raised about."""

from __future__ import annotations

import json

import pytest

from sippet_reconcile.audit import AuditLog


def section(document, title):
    (part,) = [part for part in document.sections if part.title == title]
    return part


def first_part(log):
    return log.parts()[0].path


def test_the_card_of_a_log_tells_runs_records_span_size_head_and_what_to_do_next(log):
    card = log._repr_html_()
    # Two runs of nine records each, begun at noon, as the fixture writes them.
    for told in (
        "18 records of 2 runs",
        "2026-10-01 12:00:00 UTC",
        log.head,
        "kB",
        "run-1",
        "run-2",
        ".verify(head)",
    ):
        assert told in card
    assert card.index("run-2") < card.index("run-1"), "the latest run comes first"
    assert repr(log).startswith(f"<AuditLog {log.path}: 18 records in 5 parts, ")
    assert repr(log).endswith("next: .runs(), .verify()>")


def test_a_log_without_records_says_what_writes_them(tmp_path):
    empty = AuditLog(tmp_path)
    assert "no records yet" in repr(empty)
    assert "no records yet" in empty._repr_html_()


def test_a_log_that_is_not_there_is_told_of_and_not_raised_about(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path / "file"):
        (tmp_path / "file").write_text("mine", encoding="utf-8")
        log = AuditLog(path)
        assert "there is no audit log at" in repr(log)
        assert "there is no audit log at" in log._repr_html_()


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


def empty(path):
    path.write_bytes(b"")


def no_parquet(path):
    path.write_bytes(b"<b>not parquet</b>" * 50)


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [cut, empty, no_parquet, folder])
@pytest.mark.parametrize("which", [0, -1], ids=["first part", "last part"])
def test_a_damaged_log_is_told_of_and_not_raised_about(log, damage, which):
    damage(log.parts()[which].path)
    card = log._repr_html_()
    assert "It cannot be read" in card
    assert "AuditLog.verify()" in card
    assert "<b>not" not in card
    assert repr(log).startswith("<AuditLog ")
    page = log.verify().report().html()
    assert "NOT as it was written" in page


def test_a_strange_file_in_the_folder_is_named_and_escaped(log):
    (log.path / "<b>x.parquet").write_bytes(b"")
    card = log._repr_html_()
    assert "&lt;b&gt;x.parquet" in card
    assert "<b>x" not in card


def test_the_check_of_a_log_says_what_it_proves_and_what_not(log, tmp_path):
    without = log.verify()
    document = without.report()
    assert document.tone == "warn"
    assert "18 records, none edited, missing, inserted or moved" in document.verdict
    assert "No head that was kept elsewhere was given" in document.verdict
    document = log.verify(log.head).report()
    assert document.tone == "ok"
    assert "is among them" in document.verdict
    assert section(document, "Keep this head elsewhere").frame["value"].tolist()[0] == log.head
    assert section(document, "Runs, the latest first").frame["run_id"].tolist() == ["run-2", "run-1"]
    page = log.verify(log.head).to_html(tmp_path / "check.html").read_text(encoding="utf-8")
    assert log.head in page
    assert json.loads(log.verify().to_json())["summary"]["records"] == 18


def test_the_check_of_a_damaged_log_names_the_record(log):
    first_part(log).unlink()
    document = log.verify().report()
    assert document.tone == "stop"
    assert document.title == "Audit log: not as it was written"
    assert "missing" in document.verdict


def test_the_check_of_an_empty_folder_proves_nothing(tmp_path):
    document = AuditLog(tmp_path).verify().report()
    assert document.tone == "warn"
    assert "nothing is proved" in document.verdict
