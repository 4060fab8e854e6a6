"""Take what was dialled out of what an export delivers as a number.

Input is one value, such as ``"Ann" <sip:1001@pbx>``, output the number or user in it,
which need not be a telephone number.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

__all__ = ["bare_number"]

_WRAPPING: Final = " \t\"'="  # a spreadsheet is made to keep zeros by '0207... or ="0207..."
_SCHEME: Final = re.compile(r"\s*(?:sips?|tel|callto):(?://)?", re.IGNORECASE)
_CONTEXT: Final = re.compile(r";phone-context=(\+[\d\-.()]+)", re.IGNORECASE)


def bare_number(text: str) -> str:
    """Return what was dialled, or who is named, without what is wrapped around it; empty where nothing is.

    Taken off are a display name, ``sip:`` and its relatives, a password, a host,
    parameters, quotes, and characters that cannot be seen; digits of other scripts
    become ASCII.

    Examples
    --------
    >>> bare_number('"Ann" <sip:1001:secret@pbx.example;user=phone>'), bare_number("tel:79460123;phone-context=+4420")
    ('1001', '+442079460123')
    """
    if text.isascii():
        if text.isdigit():
            return text  # most are
    else:
        text = "".join(_plain(character) for character in text)
    name, bracket, inside = text.rpartition("<")
    if bracket:
        inside = inside.partition(">")[0]
        # A withheld number may leave its brackets empty.
        text = inside if inside.strip() else name
    text = text.strip(_WRAPPING)
    if "%" in text:
        text = unquote(text)
    scheme = _SCHEME.match(text)
    if scheme is not None:
        text = text[scheme.end() :]
    user, at, _ = text.partition("@")
    if at:
        user = user.partition(":")[0]
    if scheme is not None or at:
        context = _CONTEXT.search(user)
        user = user.partition(";")[0]
        if context is not None and not user.startswith("+"):
            user = context[1] + user
    return user.strip(_WRAPPING)


@lru_cache(maxsize=1024)
def _plain(character: str) -> str:
    """Return a character as ASCII where it is a digit, a space, a dash or a sign of dialling; what cannot be seen goes."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Cf":
        return ""
    if category in {"Zs", "Zl", "Zp"}:
        return " "
    if category == "Pd" or character == "\N{MINUS SIGN}":
        return "-"
    folded = unicodedata.normalize("NFKC", character)
    return folded if folded in {"+", "*", "#", "(", ")", ".", "/", "@", ":", ";", "<", ">"} else character
