"""Show what stands in a file, but no whole number of anybody: dates and UUIDs stay, numbers lose their middle."""

from __future__ import annotations

import re
from typing import Final

from sippet_reconcile._display import hide_middle

__all__ = ["mask_sample"]

_CLOCK: Final = r"(?:[T ]\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?)?"
_DATE: Final = (
    r"(?<![\d.+/-])(?:"
    rf"\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}{_CLOCK}|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:\d{{4}}|\d\d){_CLOCK}"
    r"|20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d[0-5]\d"
    r")(?![\d/-]|\.\d)"
)
_UUID: Final = r"(?i:\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b)"
_NUMBER: Final = rf"\+?\(?\d(?:(?! ?{_DATE})[ ().\-/]{{0,2}}\d){{6,}}"
_EITHER: Final = re.compile(rf"(?P<kept>{_UUID}|{_DATE})|{_NUMBER}|\d{{5,}}")
_INITIALS: Final = 2


def mask_sample(text: str, *, is_name: bool = False, most: int = 40) -> str:
    """Hide the middle of every number in a text, however it is written; dates and UUIDs stay, and long texts are cut.

    Examples
    --------
    >>> mask_sample("020 7946 0123"), mask_sample("+442079460123"), mask_sample("2026-10-01 09:00:00")
    ('02• •••• ••23', '+44••••••••23', '2026-10-01 09:00:00')
    >>> mask_sample("8bd93dab-a18b-42f7-bef1-50d880123444")
    '8bd93dab-a18b-42f7-bef1-50d880123444'
    >>> mask_sample("Ann Example", is_name=True)
    'An…'
    >>> mask_sample("214943 01.10.2026 9:05"), mask_sample("20261001090000")
    ('21••43 01.10.2026 9:05', '20261001090000')
    """
    if is_name:
        text = f"{text[:_INITIALS]}…"
    shown = _EITHER.sub(_hide, text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _hide(match: re.Match[str]) -> str:
    return match[0] if match["kept"] else hide_middle(match[0])
