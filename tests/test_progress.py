"""Progress shows where somebody looks, and only when there is something to wait for."""

from __future__ import annotations

import io
import sys

import pytest

from sippet_reconcile import progress
from sippet_reconcile.progress import reporting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_shown_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)
    with reporting(None) as report:
        report(1, 2, "reading")
    assert pipe.getvalue() == ""


def test_a_terminal_shows_a_bar_with_the_label_and_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)
    with reporting(None, unit="call") as report:
        report(1, 2, "reading")
        report(2, 2, "reading")
    assert "reading" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


def test_a_short_step_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with reporting(None) as report:
        report(2, 2, "reading")
    assert terminal.getvalue() == ""


def test_false_is_silence_and_a_callable_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)
    with reporting(False) as report:
        report(1, 2, "reading")
    seen: list[tuple[int, int, str]] = []
    with reporting(lambda *at: seen.append(at)) as report:
        report(1, 2, "reading")
    assert terminal.getvalue() == ""
    assert seen == [(1, 2, "reading")]


def test_the_bar_is_closed_when_a_step_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)

    def fail() -> None:
        with reporting(None) as report:
            report(1, 2, "reading")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    # A bar that is not left standing wipes its line.
    assert terminal.getvalue().endswith("\r")
