"""Decode single JSON values so that nothing of an export is lost on the way.

Input is text, output are Python values: numbers stay text, what is no number is
missing, members named twice are noticed, and what is no JSON is kept as it stands.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["DECODER", "Broken", "Repeated", "decode_one", "is_cut", "without_bare_words"]

_HALF_A_WORD: Final = re.compile(r"-|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|\.|[eE][+-]?")
_ESCAPE: Final = len(r"\u0000")
# A text ends with its line at the latest, so that one without an end does not turn all others inside out.
_TEXT_OR_NO_NUMBER: Final = re.compile(
    rb'"(?:[^"\\\n]|\\[^\n])*"?|(:[ \t\r\n]*)(-?(?:nan|inf(?:inity)?))(?![\w.])', re.IGNORECASE
)


class Repeated(dict[str, Any]):
    """An object that names some of its members twice with different values; the last of each counts."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Broken:
    """What stands in the place of a record and is no JSON."""

    text: str
    problem: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    twice = Repeated(members)
    twice.names = tuple(dict.fromkeys(name for name, value in pairs if value != members[name]))
    return twice if twice.names else members


def _no_number(_: str) -> None:
    """Read NaN and the infinities, which no count or time can be, as missing."""


DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=str, parse_int=str, parse_constant=_no_number
)


def without_bare_words(data: bytes) -> bytes:
    """Give members that C printed as no number the word that is read; every byte stays at its place.

    Examples
    --------
    >>> without_bare_words(b'{"mos": -nan, "name": "a nan, inf", "loss":inf}')
    b'{"mos":  NaN, "name": "a nan, inf", "loss":NaN}'
    """

    def mended(found: re.Match[bytes]) -> bytes:
        colon, word = found.groups()
        return found[0] if word is None else colon + b" " * (len(word) - 3) + b"NaN"

    return _TEXT_OR_NO_NUMBER.sub(mended, data)


def decode_one(text: str, at: int) -> tuple[Any, int]:
    """Return the value that begins at a place, and where it ends."""
    try:
        return DECODER.raw_decode(text, at)
    except RecursionError:
        msg = "nested too deeply"
    raise json.JSONDecodeError(msg, text, at)


def is_cut(text: str, error: json.JSONDecodeError) -> bool:
    """Tell whether the text is right as far as it goes."""
    rest = text[error.pos :].strip()
    return (
        not rest
        or error.msg.startswith("Unterminated")
        or (error.msg.startswith("Invalid \\u") and len(rest) <= _ESCAPE)
        or _HALF_A_WORD.fullmatch(rest) is not None
    )
