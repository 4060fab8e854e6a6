"""A log that takes no more, at each moment at which that can happen: nothing more is sent, and nothing is forgotten."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import shutil
import stat
import subprocess
import tempfile
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pandas as pd
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.apply.applying import apply_with
from sippet_reconcile.apply.traffic import Tools
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import AuditError
from sippet_reconcile.plan import plan_corrections
from sippet_reconcile.sandbox import Sandbox

N_CALLS, RATE = 20, "1/s"  # in virtual time; about nine calls are sent between one write and the next
NOBODY = 65534


class Tap(httpx.BaseTransport):
    """A real transport that tells of each request as it leaves."""

    def __init__(self):
        self.inner = httpx.HTTPTransport()
        self.on_request = lambda _method: None
        self._lock = threading.Lock()

    def handle_request(self, request):
        with self._lock:
            self.on_request(request.method)
        return self.inner.handle_request(request)

    def close(self):
        self.inner.close()


def virtual_time():
    """Return tools by whose two clocks time passes only while a request waits for its permit."""
    now, begun = [0.0], datetime.now(UTC)

    def sleep(seconds):
        now[0] += seconds  # only the head of the queue sleeps, so nobody else writes

    return Tools(
        clock=lambda: now[0], sleep=sleep, now=lambda: begun + timedelta(seconds=now[0]), random=lambda: 0.0
    )


class Desk:
    """Twenty wrong calls behind a real socket, an approved plan that corrects them, and what arrived."""

    def __init__(self, sandbox, client, tap):
        self.sandbox, self.client, self.tap = sandbox, client, tap
        ids = sandbox.calls["id"].tolist()
        fixes = pd.DataFrame({"call_id": ids, "duration_seconds": ["60"] * len(ids)}, dtype="str")
        self.plan = plan_corrections(client.get_calls(ids), fixes, reason="ticket 4711").approve(by="ana")
        sandbox.clear_requests()

    def apply(self, audit, progress=False):
        return apply_with(
            virtual_time(), self.plan, self.client, audit, rate=RATE, limit=None, concurrency=None,
            on_drift="skip", min_approvals=1, max_failures=10, progress=progress,
        )  # fmt: skip

    def patched(self):
        return Counter(r.path.rsplit("/", 1)[-1] for r in self.sandbox.requests if r.method == "PATCH")

    def apply_until_broken(self, audit, point, break_it):
        """Apply, with the disk breaking just ahead of one kind of record; return the error and what had been sent."""
        broken = threading.Event()

        def trip():
            if not broken.is_set():
                broken.set()
                break_it()

        def ended(_done, _total, _label):
            if not broken.is_set() and AuditLog(audit).records()["event"].eq("outcome").sum() == N_CALLS:
                trip()

        if point == "run-started":
            trip()
        elif point == "intents":
            self.tap.on_request = lambda method: method == "GET" and trip()
        elif point == "outcomes":
            self.tap.on_request = lambda method: method == "PATCH" and trip()
        try:
            with pytest.raises(AuditError) as caught:
                self.apply(audit, progress=ended if point == "run-ended" else False)
        finally:
            self.tap.on_request = lambda _method: None
        assert broken.is_set()
        return caught.value


@pytest.fixture
def desk():
    calls = [
        {
            "id": f"00000000-0000-4000-8000-{n:012d}",
            "attributes": {
                "call_uuid": f"switch-{n}", "direction": "outbound", "from_number": "+442079460001",
                "to_number": "+442079460002", "sip_username": "1001", "status": "completed", "call_source": "sip",
                "started_at": f"2026-10-01T08:{n:02d}:00Z", "ended_at": f"2026-10-01T08:{n + 1:02d}:00Z",
                "duration_seconds": 30,
            },
        }
        for n in range(N_CALLS)
    ]  # fmt: skip
    tap = Tap()
    with (
        Sandbox({"data": calls}) as sandbox,
        Client(sandbox.url, token=sandbox.token, transport=tap) as client,
    ):
        yield Desk(sandbox, client, tap)
    tap.close()


# Ways in which a folder stops taking records. Each yields the folder, how it breaks, and how it is mended.


def file_limit(tmp_path, _monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def mend():
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    yield tmp_path / "audit", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard)), mend
    mend()


def _small_disk(place, options):
    """Mount a small disk of its own; skip where that is not allowed."""
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount, "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here: that needs root on Linux")


def _unmount(place):
    subprocess.run(["umount", "-l", str(place)], capture_output=True, check=True)  # noqa: S607


def full_disk(tmp_path, _monkeypatch):
    disk = tmp_path / "disk"
    _small_disk(disk, "size=2m")
    filler = disk / "filler"

    def fill():
        with filler.open("wb", buffering=0) as sink:
            try:
                while sink.write(b"x" * 4096):
                    pass
            except OSError as exc:
                assert exc.errno == errno.ENOSPC  # noqa: PT017 - that is how a disk says it

    yield disk / "audit", fill, lambda: filler.unlink(missing_ok=True)
    _unmount(disk)


def no_inodes(tmp_path, _monkeypatch):
    disk = tmp_path / "disk"
    _small_disk(disk, "size=2m,nr_inodes=300")
    fillers = disk / "fillers"
    (disk / "audit").mkdir()

    def fill():
        fillers.mkdir()
        try:
            for n in itertools.count():
                (fillers / str(n)).touch()
        except OSError as exc:
            assert exc.errno == errno.ENOSPC  # noqa: PT017 - that is how a disk says it

    yield disk / "audit", fill, lambda: shutil.rmtree(fillers, ignore_errors=True)
    _unmount(disk)


def no_permission(_tmp_path, _monkeypatch):
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to everybody else
        folder = Path(place) / "audit"
        Path(place).chmod(0o755)
        folder.mkdir()
        is_root = os.geteuid() == 0

        def take_away():
            folder.chmod(0o555)
            if is_root:
                os.seteuid(NOBODY)

        def mend():
            if is_root:
                os.seteuid(0)
            folder.chmod(0o755)

        yield folder, take_away, mend
        mend()


def moved(tmp_path, _monkeypatch):
    folder, elsewhere = tmp_path / "audit", tmp_path / "elsewhere"

    def mend():
        if elsewhere.exists():
            elsewhere.rename(folder)

    folder.mkdir()
    yield folder, lambda: folder.rename(elsewhere), mend


def replaced(tmp_path, _monkeypatch):
    folder, elsewhere = tmp_path / "audit", tmp_path / "elsewhere"

    def swap():
        folder.rename(elsewhere)
        shutil.copytree(elsewhere, folder)

    def mend():
        if elsewhere.exists():
            shutil.rmtree(folder)
            elsewhere.rename(folder)

    folder.mkdir()
    yield folder, swap, mend


def lock_removed(tmp_path, _monkeypatch):
    folder = tmp_path / "audit"
    yield folder, (folder / "_lock").unlink, lambda: None


def name_taken(tmp_path, _monkeypatch):
    folder = tmp_path / "audit"
    strangers = []

    def take():
        last = max(int(path.stem.split("-")[2]) for path in folder.glob("part-*"))
        strangers.append(folder / f"part-{last + 1:012d}-{last + 3:012d}.parquet")
        strangers[0].write_bytes(b"somebody else's")

    def mend():
        for path in strangers:
            assert path.read_bytes() == b"somebody else's"
            path.unlink()
        strangers.clear()

    yield folder, take, mend


def _failing(name, wanted):
    """Let one call of the system fail as a dying disk makes it fail, where no real one can be had."""

    def way(tmp_path, monkeypatch):
        real = getattr(os, name)

        def fail(*args, **kwargs):
            if wanted(args[0]):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*args, **kwargs)

        yield (
            tmp_path / "audit",
            lambda: monkeypatch.setattr(os, name, fail),
            lambda: monkeypatch.setattr(os, name, real),
        )

    return way


def _is_folder(handle):
    return stat.S_ISDIR(os.fstat(handle).st_mode)


WAYS = {
    "file-limit": file_limit,
    "full-disk": full_disk,
    "no-inodes": no_inodes,
    "no-permission": no_permission,
    "moved": moved,
    "replaced": replaced,
    "lock-removed": lock_removed,
    "name-taken": name_taken,
    "fsync-of-file": _failing("fsync", lambda handle: not _is_folder(handle)),
    "fsync-of-folder": _failing("fsync", _is_folder),
    "rename": _failing("link", lambda _source: True),
}
POINTS = ("run-started", "intents", "outcomes", "run-ended")
NEED_A_RUN = {"moved", "replaced", "lock-removed", "name-taken"}
"""What can only happen to a log that a run holds already."""


@pytest.fixture
def breaking(request, tmp_path, monkeypatch):
    yield from WAYS[request.param](tmp_path, monkeypatch)


RARE = {"no-inodes", "replaced", "lock-removed", "fsync-of-folder", "rename"}
"""What is tried at one moment of a run while developing, and at each of them where all is asked for."""


CASES = [
    pytest.param(
        way,
        point,
        id=f"{way}-{point}",
        marks=[pytest.mark.slow] if way in RARE and point != "intents" else [],
    )
    for way in WAYS
    for point in POINTS
    if not (point == "run-started" and way in NEED_A_RUN)
]


@pytest.mark.parametrize(("breaking", "point"), CASES, indirect=["breaking"])
def test_a_log_that_takes_no_more_stops_the_run_ahead_of_the_next_request(desk, breaking, point):
    audit, break_it, mend = breaking
    try:
        error = desk.apply_until_broken(audit, point, break_it)
    finally:
        mend()
    assert error.exit_code == 4
    sent = desk.patched()
    log = AuditLog(audit)
    records = log.records()
    intended = set(records.loc[records["event"].eq("intent"), "call_id"])
    assert log.verify().ok, "what is on the disk is whole"
    assert set(sent) <= intended, "nothing left without its intent on the disk"
    if point in {"run-started", "intents"}:
        assert not sent
    elif point == "outcomes":
        assert 0 < len(sent) < N_CALLS, "the calls of the next chunk were not sent"
    assert not list(log.path.glob("_writing-*")), "nothing half is left"

    run = desk.apply(audit)
    assert run.records["outcome"].tolist() == ["applied"] * N_CALLS
    assert desk.sandbox.calls["duration_seconds"].tolist() == [60] * N_CALLS
    assert desk.patched() == Counter(desk.sandbox.calls["id"]), "no call was sent twice"
    assert log.verify().ok
    assert log.runs()["ended"].tolist() == ["complete"]
