"""Be the API in a process of its own, for as long as somebody needs it.

Usage: python -m tests.benchmarks.serving CALLS.parquet [LATENCY_S]

It prints where it listens (on this machine only) and ends when its input does. A line in
lets it forget the requests that it got, and is answered by a line of what they were.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Server", "served", "where"]

_ROOT = Path(__file__).parents[2]


class Server:
    """A running API: where it is, and what it was asked."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self._in, self._out = child.stdin, child.stdout
        self.place: dict[str, str] = json.loads(self._out.readline())

    def asked(self) -> list[str]:
        """Return the targets of the requests since the last time."""
        self._in.write("asked\n")
        self._in.flush()
        targets: list[str] = json.loads(self._out.readline())
        return targets


@contextmanager
def served(calls: Path, folder: Path, latency_s: float = 0.0) -> Iterator[Server]:
    """Run the API in a process of its own, and write where it is into a folder."""
    command = [sys.executable, "-m", "tests.benchmarks.serving", str(calls), str(latency_s)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
    ) as child:
        try:
            server = Server(child)
            (folder / "server.json").write_text(json.dumps(server.place), encoding="utf-8")
            yield server
        finally:
            if child.stdin is not None:
                child.stdin.close()


def where(folder: Path) -> dict[str, Any]:
    """Return where the API of a folder is."""
    told: dict[str, Any] = json.loads((folder / "server.json").read_text(encoding="utf-8"))
    return told


def main(calls: Path, latency_s: float) -> None:
    """Serve until the input ends."""
    from pyarrow import parquet

    from sippet_reconcile.sandbox import Faults, Sandbox
    from sippet_reconcile.schema import CALLS, arrow_to_frame, conform

    frame = conform(arrow_to_frame(parquet.read_table(calls)), CALLS)
    with Sandbox(frame, faults=Faults(latency_s=latency_s)) as sandbox:
        print(json.dumps({"url": sandbox.url, "token": sandbox.token}), flush=True)
        for _ in sys.stdin:
            targets = [f"{one.path}?{one.query}" if one.query else one.path for one in sandbox.requests]
            sandbox.clear_requests()
            print(json.dumps(targets), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
