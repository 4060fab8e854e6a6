"""Print the shell command that the README gives for a purpose, so that CI runs what people are told to run."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def command(purpose: str) -> str:
    """Return the fenced block that follows the README's marker for a purpose."""
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    found = re.search(
        rf"<!-- command: {re.escape(purpose)} -->\s*```(?:sh|bash|shell)\n(.*?)```", readme, re.DOTALL
    )
    if found is None:
        msg = f"README.md has no command marked '<!-- command: {purpose} -->'"
        raise SystemExit(msg)
    return found[1].strip()


if __name__ == "__main__":
    sys.stdout.write(command(sys.argv[1]) + "\n")
