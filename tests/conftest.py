"""Fixtures that every test may use, and the same surroundings for all, wherever they run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A slow or busy machine is no failure.
# A change is judged by the same examples whenever it is judged; whoever works on it meets new ones each time.
settings.register_profile(
    "sippet",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("sippet")

# A shell starts background jobs with Ctrl-C ignored, and the programs that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The servers of tests are on this machine, where a proxy does not look for them.
for name in [name for name in os.environ if name.lower() in {"http_proxy", "https_proxy", "all_proxy"}]:
    del os.environ[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer to make what is kept in the repository anew."""
    parser.addoption(
        "--update-picture", action="store_true", help="make the README's picture of a dry run anew"
    )


@pytest.fixture(scope="session")
def cdr_samples() -> Path:
    """Return the folder of real exports, which not every checkout has beside it."""
    folder = Path(__file__).parents[2] / "shared" / "cdr_samples"
    if not folder.is_dir():
        pytest.skip(f"the real CDR exports are not in {folder}")
    return folder
