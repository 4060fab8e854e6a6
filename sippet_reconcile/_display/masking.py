"""Hide the middle of numbers, keeping enough to recognise one beside a colleague.

Input are values and texts, output are texts in which no phone number can be read.
"""

from __future__ import annotations

import re
from typing import Final

from sippet_reconcile._display.text import show_value

__all__ = ["hide_middle", "mask_digits", "mask_like_number", "mask_number"]

_DIGITS: Final = re.compile(r"\d{5,}")
_LIKE_NUMBER: Final = re.compile(r"(?!\d{4}-\d\d-\d\d)\+?(?:[ ()./-]*\d){7,}[ )]*")
"""Seven digits or more and what is written between them; a date is none."""

_KEEP_HEAD, _KEEP_TAIL = 2, 2


def mask_number(number: object) -> str:
    """Hide the middle of a number, however it is written, keeping enough to recognise it beside a colleague.

    Examples
    --------
    >>> mask_number("+442079460123"), mask_number("1001"), mask_number(None)
    ('+44••••••••23', '1001', '–')
    >>> mask_number("(020) 7946-0123")
    '(02•) ••••-••23'
    """
    return hide_middle(show_value(number))


def mask_like_number(value: object) -> object:
    """Hide the middle of a text that is written as a phone number is; anything else stays as it is.

    Examples
    --------
    >>> mask_like_number("+44 20 7946 0123"), mask_like_number("1001"), mask_like_number("2026-10-01"), mask_like_number(7)
    ('+44 •• •••• ••23', '1001', '2026-10-01', 7)
    """
    return hide_middle(value) if isinstance(value, str) and _LIKE_NUMBER.fullmatch(value) else value


def hide_middle(text: str) -> str:
    """Hide all digits of a text but the first and the last two, where it has five or more.

    Examples
    --------
    >>> hide_middle("020 7946 0123"), hide_middle("10 11")
    ('02• •••• ••23', '10 11')
    """
    places = [place for place, sign in enumerate(text) if sign.isdigit()]
    if len(places) <= _KEEP_HEAD + _KEEP_TAIL:
        return text
    hidden = set(places[_KEEP_HEAD:-_KEEP_TAIL])
    return "".join("•" if place in hidden else sign for place, sign in enumerate(text))


def mask_digits(text: str) -> str:
    """Hide the middle of every run of five or more digits in a text.

    Examples
    --------
    >>> mask_digits("call from 442079460123 refused")
    'call from 44••••••••23 refused'
    """

    def hide(match: re.Match[str]) -> str:
        run = match[0]
        return run[:_KEEP_HEAD] + "•" * (len(run) - _KEEP_HEAD - _KEEP_TAIL) + run[-_KEEP_TAIL:]

    return _DIGITS.sub(hide, text)
