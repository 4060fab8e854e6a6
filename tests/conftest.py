"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("sippet", deadline=None)
settings.load_profile("sippet")


@pytest.fixture(scope="session")
def cdr_samples() -> Path:
    """Return the folder of real exports, which not every checkout has beside it."""
    folder = Path(__file__).parents[2] / "shared" / "cdr_samples"
    if not folder.is_dir():
        pytest.skip(f"the real CDR exports are not in {folder}")
    return folder
