"""Kernels find nothing of whoever runs the tests, and leave nothing with them."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def kernels_own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Jupyter and IPython folders of their own: a home may be read-only, or hold another `python3` kernel."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
