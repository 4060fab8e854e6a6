"""The server's two error shapes, plain text and HTML to problems that can be told.

Input is the body of an answer of 400 and above; output is what it says, on one line
each, short, and without long runs of digits.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile._display import mask_digits
from sippet_reconcile.api.documents import DocumentError, load_json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Problem", "read_problems"]

_MAX_DETAIL: Final = 300
_MAX_PROBLEMS: Final = 20


@dataclass(frozen=True)
class Problem:
    """One error of the server: its code, what it said, and the part of the request it points to."""

    code: str | None
    detail: str | None
    pointer: str | None = None

    def scrubbed(self, scrub: Callable[[str], str]) -> Problem:
        """Return it with each of its texts cleaned once more."""
        parts = (self.code, self.detail, self.pointer)
        return Problem(*(scrub(part) if part else part for part in parts))

    def __str__(self) -> str:
        head = self.code or ""
        told = f"{head}: {self.detail}" if head and self.detail else head or self.detail or "no detail"
        return f"{told} at {self.pointer}" if self.pointer else told


_TAGS: Final = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_SPACE: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def _clean(text: object) -> str | None:
    """Return a server's words on one line, short, and without long runs of digits."""
    if not isinstance(text, str):
        return None
    words = mask_digits(_SPACE.sub(" ", text).strip())
    words = words.encode("utf-8", "replace").decode("utf-8")
    return (words if len(words) <= _MAX_DETAIL else words[: _MAX_DETAIL - 1] + "…") or None


def _detail(error: dict[str, Any]) -> str | None:
    detail, meta = error.get("detail"), error.get("meta")
    if isinstance(detail, str) and isinstance(meta, dict):
        for name, value in meta.items():  # "must be at least %{min}" comes with {"min": 0} beside it
            if isinstance(value, str | int | float):
                detail = detail.replace("%{" + name + "}", str(value))
    return _clean(detail) or _clean(error.get("title"))


def _problem(error: object) -> Problem:
    if not isinstance(error, dict):
        return Problem(None, _clean(error) or "an error without words")
    source = error.get("source")
    place = (source.get("pointer") or source.get("parameter")) if isinstance(source, dict) else None
    return Problem(_clean(error.get("code")), _detail(error), _clean(place))


def read_problems(body: bytes) -> list[Problem]:
    """Return what an answer of 400 and above says: both error shapes, plain text and HTML.

    Examples
    --------
    >>> read_problems(b'{"errors":{"detail":"Bad Request"}}')
    [Problem(code=None, detail='Bad Request', pointer=None)]
    >>> read_problems(b"")
    []
    """
    try:
        document = load_json(body)
    except DocumentError:
        text = _clean(html.unescape(_TAGS.sub(" ", body[:20_000].decode("utf-8", "replace"))))
        return [Problem(None, text)] if text else []
    if not isinstance(document, dict):
        return []
    errors = document.get("errors")
    if isinstance(errors, list):
        return [_problem(error) for error in errors[:_MAX_PROBLEMS]]
    if errors is not None:
        return [_problem(errors)]
    text = _clean(document.get("error")) or _clean(document.get("message"))
    return [Problem(None, text)] if text else []
