"""Hide the middle of numbers, keeping enough to recognise one beside a colleague.

Input are values and texts, output are texts in which no phone number can be read.
"""

from __future__ import annotations

import re
from typing import Final

from sippet_reconcile._display.text import show_value

__all__ = [
    "hide_middle",
    "mask_digits",
    "mask_in_id",
    "mask_in_name",
    "mask_like_number",
    "mask_number",
    "mask_text",
]

_DIGITS: Final = re.compile(r"\d{5,}")
_LIKE_NUMBER: Final = re.compile(r"(?!\d{4}-\d\d-\d\d)\+?(?:[ ()./-]*\d){7,}[ )]*")
"""Seven digits or more and what is written between them; a date is none."""

_KEEP_HEAD, _KEEP_TAIL = 2, 2

_CLOCK: Final = r"(?:[T ]\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?)?"
_DATE: Final = rf"(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}{_CLOCK}|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:\d{{4}}|\d\d){_CLOCK})(?![\d/-]|\.\d)"
_STAMP: Final = (
    r"20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?)?(?!\d)"
)
"""A date, with or without its clock time, as names of files have it."""
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_KEPT: Final = (
    r"(?i:(?<![0-9a-z])[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}(?![0-9a-z]))"  # a UUID
    r"|(?<![^\W_])20\d{6}T\d{6}Z-[0-9a-f]{8}(?![^\W_])"  # a run: when it began, and letters or digits at random
    rf"|(?<![\d.+/-]){_DATE}|(?<![\d.+]){_STAMP}"
    rf"|(?<![\d.]){_OCTET}(?:\.{_OCTET}){{3}}(?![\d.])"  # the address of a computer
    r"|(?<![\w.])1[3-9]\d{8}\.\d{1,6}(?!\w)"  # an id that begins with the second of its making
    r"|\.\w{2,8}:\d+|\b(?:line|lines|row|rows) \d+"  # a place in a file
    r"|\bplan [0-9a-f]{12}\b"
    r"|(?<![\w.])\d+\.\d+(?= ?s\b)"  # seconds
)
_GAP: Final = "[ \u00a0\u2000-\u200b\u2010-\u2015\u202f\u2060().\\-/]{0,3}"  # between the digits of a number, however it is typeset
_TELLS_NUMBER: Final = re.compile(
    rf"(?P<kept>{_KEPT})|(?<![^\W_])(?<!\d\.)(?!\((?:{_KEPT}))(?:\+ ?)?\(?\d(?:(?! ?(?:{_DATE}|{_STAMP})){_GAP}\d){{6,}}(?![0-9a-fA-F])"
)
_MAY_TELL: Final = re.compile(r"\d(?:\D{0,3}\d){6}")
_IN_NAME: Final = re.compile(rf"(?P<kept>{_KEPT})|\+\d{{7,}}|(?<![^\W_])\d{{10,15}}(?![^\W_])")
_EPOCH: Final = re.compile(r"1[3-9]\d{8}(?:\d{3})?")
"""The second, or millisecond, at which a file was made; in a text it may as well be a number without its zero."""
_LONG_RUN: Final = re.compile(r"\d{7}")
_IN_ID: Final = re.compile(r"\+\d{7,}")


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


def mask_text(text: str) -> str:
    """Hide the middle of whatever may be a phone number in a text; dates, ids, addresses and places in files stay.

    Examples
    --------
    >>> mask_text("from_number == '+442079460123' and started_at > '2026-10-05'")
    "from_number == '+44••••••••23' and started_at > '2026-10-05'"
    >>> mask_text("SIP/02079460123-0000001f"), mask_text("020 7946 / 0123 asked")
    ('SIP/02•••••••23-0000001f', '02• •••• / ••23 asked')
    >>> mask_text("ticket 4711, 8c1f3c52-0000-4000-8000-000000000001, 192.168.100.200, pbx.csv:1234567")
    'ticket 4711, 8c1f3c52-0000-4000-8000-000000000001, 192.168.100.200, pbx.csv:1234567'
    """
    return _TELLS_NUMBER.sub(_hidden, text) if _MAY_TELL.search(text) else text


def mask_in_name(name: str) -> str:
    """Hide the middle of a phone number in the name of a file; its dates and clock times stay.

    Examples
    --------
    >>> mask_in_name("cdr_+442079460123_20261001.csv:1234567"), mask_in_name("Master.csv.1759309200")
    ('cdr_+44••••••••23_20261001.csv:1234567', 'Master.csv.1759309200')
    """
    if not _LONG_RUN.search(name):
        return name
    return _IN_NAME.sub(lambda found: found[0] if _EPOCH.fullmatch(found[0]) else _hidden(found), name)


def mask_in_id(text: str) -> str:
    """Hide the middle of a phone number in international form in an id; all else stays, so that it can be looked up.

    Examples
    --------
    >>> mask_in_id("call-+442079460123-7"), mask_in_id("202610050001234")
    ('call-+44••••••••23-7', '202610050001234')
    """
    return _IN_ID.sub(lambda found: hide_middle(found[0]), text) if "+" in text else text


def _hidden(match: re.Match[str]) -> str:
    return match[0] if match["kept"] else hide_middle(match[0])
