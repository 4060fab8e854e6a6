"""One run at a time: the lock counts, the note beside it is for people and may say anything."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from sippet_reconcile.audit import GENESIS, AuditLog
from sippet_reconcile.audit.locking import HOLDER, LOCK
from sippet_reconcile.errors import AuditError
from sippet_reconcile.run import load_run

HOLD = """
    import sys
    from sippet_reconcile.audit import AuditLog
    with AuditLog(sys.argv[1]).writing():
        print("held", flush=True)
        sys.stdin.read()
"""


def holder_of(path):
    """Start a process that holds a log until it is killed or its input ends."""
    command = [sys.executable, "-c", textwrap.dedent(HOLD), str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def refusal(path):
    """Return what somebody is told who comes second."""
    with pytest.raises(AuditError) as caught, AuditLog(path).writing():
        pass
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_the_second_is_told_who_holds_the_log_since_when_and_for_which_run(log, entries_of):
    with log.writing() as writer:
        writer.append(entries_of(run_id="run-7", plan_id="f" * 64)[:1])
        note = json.loads((log.path / HOLDER).read_text())
        begun = datetime.now(UTC) - timedelta(hours=3, minutes=4, seconds=30)
        note["since"] = begun.strftime("%Y-%m-%d %H:%M:%S UTC")
        (log.path / HOLDER).write_text(json.dumps(note))
        said = refusal(log.path)
    assert f"process {os.getpid()}, which is this one" in said
    assert f"{note['user']} on {note['host']}" in said
    assert f"since {note['since']}, for 3 hours 4 minutes" in said
    assert "run run-7 of plan ffffffffffff)" in said
    assert said.endswith("wait until its run has ended, then apply again")


def test_the_note_is_gone_once_the_run_has_ended(log):
    with log.writing():
        assert (log.path / HOLDER).exists()
    assert not (log.path / HOLDER).exists()


def test_a_note_left_by_a_killed_holder_is_not_believed(log):
    with holder_of(log.path) as holder:
        assert f"process {holder.pid} (" in refusal(log.path)
        holder.kill()
        holder.wait()
    assert json.loads((log.path / HOLDER).read_text())["pid"] == holder.pid
    with log.writing() as writer:
        assert writer.head == log.head
        assert json.loads((log.path / HOLDER).read_text())["pid"] == os.getpid()


def test_of_many_threads_one_gets_the_log(log):
    both_tried = threading.Barrier(8, timeout=60)

    def take():
        try:
            with AuditLog(log.path).writing():
                both_tried.wait()
                return "held"
        except AuditError as exc:
            both_tried.wait()
            return str(exc)

    with ThreadPoolExecutor(8) as pool:
        told = [future.result() for future in [pool.submit(take) for _ in range(8)]]
    assert told.count("held") == 1
    assert sum("is held by" in text for text in told) == 7


@pytest.mark.parametrize("way", ["link", "relative", "slash", "dots"])
def test_the_same_folder_by_another_path_is_the_same_log(log, tmp_path, monkeypatch, way):
    (tmp_path / "link").symlink_to(log.path)
    monkeypatch.chdir(tmp_path)
    other = {
        "link": tmp_path / "link",
        "relative": "audit",
        "slash": f"{log.path}/",
        "dots": f"{log.path}/../audit/.",
    }[way]
    with log.writing():
        assert "is held by" in refusal(other)
    with AuditLog(other).writing():
        assert "is held by" in refusal(log.path)


def test_another_working_folder_or_a_turned_link_moves_no_record(log, tmp_path, monkeypatch, entries_of):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link"
    link.symlink_to("audit")
    monkeypatch.chdir(tmp_path)
    with AuditLog("link").writing() as writer:
        monkeypatch.chdir("/")
        link.unlink()
        link.symlink_to("elsewhere")
        writer.append(entries_of()[:1])
    assert log.verify().n_records == 19
    assert not list((tmp_path / "elsewhere").iterdir())


def test_readers_need_no_lock_and_see_whole_parts_only(log, entries_of):
    with holder_of(log.path) as holder:
        (log.path / "_writing-part-000000000019-000000000021.parquet").write_bytes(b"PAR1 half")
        assert len(log.runs()) == 2
        assert load_run(log).run_id == "run-2"
        assert log.verify().ok
        assert len(pd.read_parquet(log.path)) == 18
        holder.kill()
    with log.writing() as writer:
        writer.append(entries_of()[:2])
        assert log.verify().n_records == 20


HOSTILE = {
    "absent": None,
    "empty": b"",
    "no json": b"\xff\xfe{",
    "huge": b'{"pid": 1, "user": "' + b"x" * 10_000_000 + b'"}',
    "deep": b"[" * 4_000,
    "list": b"[1]",
    "wrong types": b'{"pid": "kill -9 1", "user": {"a": 1}, "host": 5, "since": [], "run_id": true}',
    "flag for a number": b'{"pid": true}',
}


@pytest.mark.parametrize("note", HOSTILE.values(), ids=HOSTILE)
def test_a_note_that_is_none_says_nothing(log, note):
    with log.writing():
        (log.path / HOLDER).unlink()
        if note is not None:
            (log.path / HOLDER).write_bytes(note)
        said = refusal(log.path)
    assert "is held by another process: wait" in said


def test_a_note_is_shown_cut_and_without_what_a_terminal_would_obey(log):
    evil = {
        "pid": 7,
        "user": "a\x1b[2J\nb\u202e",
        "host": "h" * 500,
        "since": "now\x1b[0m",
        "run_id": "r\r\x9b1m",
    }
    with log.writing():
        (log.path / HOLDER).write_text(json.dumps(evil))
        said = refusal(log.path)
    assert said.isprintable()
    assert "(a?[2J?b? on " + "h" * 80 + "…; run r??1m)" in said


def test_a_pipe_in_place_of_the_note_keeps_nobody_waiting(log):
    with log.writing():
        (log.path / HOLDER).unlink()
        os.mkfifo(log.path / HOLDER)
        assert "another process" in refusal(log.path)


def test_a_clock_behind_the_holders_tells_no_age(log):
    note = {"pid": 7, "user": "ana", "host": "far", "since": "2999-01-01 00:00:00 UTC"}
    with log.writing():
        (log.path / HOLDER).write_text(json.dumps(note))
        assert "process 7 (ana on far; since 2999-01-01 00:00:00 UTC): wait" in refusal(log.path)


def test_a_link_in_place_of_the_note_is_replaced_and_not_followed(log, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    (log.path / HOLDER).symlink_to(precious)
    with log.writing():
        assert json.loads((log.path / HOLDER).read_text())["pid"] == os.getpid()
    assert precious.read_text() == "keep me"


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_lock_that_cannot_be_made_is_said_and_nothing_is_written(log, tmp_path, kind):
    (log.path / LOCK).unlink()
    if kind == "folder":
        (log.path / LOCK).mkdir()
    else:
        (log.path / LOCK).symlink_to(tmp_path / "nowhere")
    assert "cannot be opened for writing" in refusal(log.path)
    assert not (tmp_path / "nowhere").exists()
    assert not (log.path / HOLDER).exists()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_is_refused_and_no_file_stands_in_for_one(log, monkeypatch, number):
    import fcntl  # noqa: PLC0415 - not on Windows

    def no_locks(*_args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    said = refusal(log.path)
    assert "has no locks" in said
    assert "keep the log on a disk of this computer" in said
    monkeypatch.undo()
    with log.writing() as writer:
        assert writer.head == log.head


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="another account can be played by root only"
)
def test_a_log_of_somebody_else_is_not_taken_for_a_held_one():
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to everybody else
        Path(place).chmod(0o755)
        log = AuditLog(Path(place) / "audit")
        with log.writing():
            pass
        os.seteuid(65534)
        try:
            said = refusal(log.path)
        finally:
            os.seteuid(0)
    assert "cannot be opened for writing (Permission denied)" in said


def test_a_path_with_nothing_but_leftovers_begins_a_log(tmp_path, entries_of):
    folder = tmp_path / "audit"
    folder.mkdir()
    (folder / "_writing-part-000000000001-000000000002.parquet").write_bytes(b"half")
    (folder / HOLDER).write_text('{"pid": 1}')
    log = AuditLog(folder)
    assert (log.head, log.verify().ok, len(log.runs())) == (GENESIS, True, 0)
    with log.writing() as writer:
        writer.append(entries_of()[:1])
    assert log.verify().n_records == 1
    assert sorted(path.name for path in folder.iterdir()) == [LOCK, "part-000000000001-000000000001.parquet"]


def test_a_part_that_came_meanwhile_is_never_written_over(log, entries_of):
    with log.writing() as writer:
        stranger = log.path / "part-000000000019-000000000020.parquet"
        stranger.write_bytes(b"somebody else's")
        with pytest.raises(AuditError, match="not as this run left it"):
            writer.append(entries_of()[:2])
        with pytest.raises(AuditError, match="not as this run left it"):
            writer.append(entries_of()[:1])
    assert stranger.read_bytes() == b"somebody else's"


def test_a_part_that_comes_at_the_last_moment_is_not_written_over_either(log, entries_of, monkeypatch):
    stranger = log.path / "part-000000000019-000000000020.parquet"
    real = os.fsync

    def come_first(handle):
        stranger.write_bytes(b"somebody else's")
        real(handle)

    with log.writing() as writer:
        monkeypatch.setattr(os, "fsync", come_first)
        with pytest.raises(AuditError, match="File exists"):
            writer.append(entries_of()[:2])
        monkeypatch.undo()
        with pytest.raises(AuditError, match="not as this run left it"):
            writer.append(entries_of()[:1])
    assert stranger.read_bytes() == b"somebody else's"


def test_a_file_system_without_hard_links_serves_as_well(log, entries_of, monkeypatch):
    def no_links(*_args, **_kwargs):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    with log.writing() as writer:
        writer.append(entries_of()[:2])
    assert log.verify().n_records == 20


def test_a_disk_that_lost_a_part_is_not_believed_again_in_the_same_run(log, entries_of, monkeypatch):
    def lost(_handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with log.writing() as writer:
        monkeypatch.setattr(os, "fsync", lost)
        with pytest.raises(AuditError, match="did not keep what was written"):
            writer.append(entries_of()[:1])
        monkeypatch.undo()
        with pytest.raises(AuditError, match="check the disk"):
            writer.append(entries_of()[:1])
    assert log.verify().n_records == 18
