"""Forks sessions of a run that kill themselves at a chosen moment; a program of its own, beside the tests.

Each line on stdin is a JSON order, each session is a fork, so a session starts in
milliseconds. Two lines are answered: the process id, and how the session ended.
"""

from __future__ import annotations

import io
import json
import os
import signal
import ssl
import sys
import time
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyarrow.parquet as pq
from filelock import FileLock

from sippet_reconcile.api import Client
from sippet_reconcile.apply.applying import apply_with
from sippet_reconcile.apply.freshness import Moment
from sippet_reconcile.apply.traffic import Tools
from sippet_reconcile.plan import Plan

FAILED = 70
BEGUN = datetime(2026, 11, 1, tzinfo=UTC)
TLS = ssl.create_default_context()  # takes as long as all the rest of a session


class Moments:
    """Kills this process when a moment came for the n-th time."""

    def __init__(self, name, n):
        self.name, self.left = name, n

    def __call__(self, name):
        if name == self.name:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)  # the signal may reach another thread first


def tap_files(at):
    """Let each step between memory and disk be a moment."""
    acquire, fsync, unlink, write_table = FileLock.acquire, os.fsync, Path.unlink, pq.write_table
    link, rename = Path.hardlink_to, Path.rename

    def tapped_acquire(self, *args, **kwargs):
        at("before-lock")
        lock = acquire(self, *args, **kwargs)
        at("locked")
        return lock

    def tapped_write_table(table, where, **kwargs):
        at("before-writing")
        whole = io.BytesIO()
        write_table(table, whole, **kwargs)
        content = whole.getvalue()
        where.write(content[: len(content) // 2])
        where.flush()
        at("half-written")
        where.write(content[len(content) // 2 :])

    def tapped_fsync(handle):
        at("before-fsync")
        fsync(handle)
        at("after-fsync")

    def tapped_link(self, target):
        at("before-rename")
        link(self, target)
        at("linked")

    def tapped_rename(self, target):
        at("before-rename")
        renamed = rename(self, target)
        at("after-rename")
        return renamed

    def tapped_unlink(self, missing_ok=False):
        if self.name == "_holder.json":
            at("leaving")
        unlink(self, missing_ok=missing_ok)
        if self.name.startswith("_writing-part"):
            at("after-rename")

    FileLock.acquire, os.fsync, pq.write_table = tapped_acquire, tapped_fsync, tapped_write_table
    Path.hardlink_to, Path.rename, Path.unlink = tapped_link, tapped_rename, tapped_unlink


class TappedTransport(httpx.BaseTransport):
    """A real transport that says whose requests they are, and lets each step of theirs be a moment."""

    def __init__(self, at, session):
        self.at, self.session = at, session
        limits = httpx.Limits(max_connections=10, max_keepalive_connections=10)
        self.inner = httpx.HTTPTransport(limits=limits, verify=TLS)

    def handle_request(self, request):
        what = "patch" if request.method == "PATCH" else "read"
        request.headers["x-session"] = self.session
        self.at(f"before-{what}")
        response = self.inner.handle_request(request)
        self.at(f"after-{what}")
        return response

    def close(self):
        self.inner.close()


class OneClock(Tools):
    """Tools whose wall clock is their other clock: at many times the speed, two readings lie far apart."""

    def moment(self):
        clock = self.clock()
        return Moment(clock, BEGUN + timedelta(seconds=clock))


def quick_time(speed):
    """Return tools by whose clocks everything takes so many times longer than it does: chunks are small."""
    return OneClock(
        clock=lambda: time.monotonic() * speed,
        sleep=lambda seconds: time.sleep(seconds / speed),
        random=lambda: 0.0,
    )


def session(order):
    at = Moments(*(order["moment"] or ("never", 0)))
    tap_files(at)
    plan = Plan.load(order["plan"])
    transport = TappedTransport(at, order["session"])
    client = Client(order["url"], token=order["token"], timeout=30.0, transport=transport)
    asked = {
        "rate": "400/s", "limit": None, "concurrency": None, "on_drift": "skip",
        "min_approvals": 1, "max_failures": 10, "progress": False,
    }  # fmt: skip
    apply_with(quick_time(order["speed"]), plan, client, order["audit"], **(asked | order["options"]))


def answer(number):
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main():
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                session(order)
            except BaseException:  # noqa: BLE001 - the parent is told, and the test shows it
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(FAILED)
            os._exit(0)
        answer(child)
        answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
