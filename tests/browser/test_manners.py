"""The browser's tests leave the other tests of their process as they would be without them."""

from __future__ import annotations

import asyncio
import threading

import pytest


def test_the_browser_leaves_no_event_loop_to_other_tests(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("browser")  # asked for here, so that this test itself runs where all others do
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


@pytest.mark.usefixtures("open_report")
def test_the_tests_of_a_page_run_in_the_browsers_own_thread() -> None:
    assert threading.current_thread().name.startswith("browser")
