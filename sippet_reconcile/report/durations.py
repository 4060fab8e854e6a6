"""Say a number of seconds as people read it."""

from __future__ import annotations

from typing import Final

__all__ = ["in_words", "signed_in_words"]

_MINUTE: Final = 60
_HOUR: Final = 3600


def in_words(seconds: float, *, is_rough: bool = False) -> str:
    """Return seconds in hours, minutes and seconds, without a sign.

    Parameters
    ----------
    seconds
        Any number; fractions are rounded away.
    is_rough
        Whether to round to minutes from an hour on, for a headline.

    Examples
    --------
    >>> in_words(59), in_words(-3725), in_words(60.4), in_words(3725, is_rough=True)
    ('59 s', '1 h 2 min 5 s', '1 min', '1 h 2 min')
    """
    whole = round(abs(seconds))
    if is_rough and whole >= _HOUR:
        whole = round(whole / _MINUTE) * _MINUTE
    hours, rest = divmod(whole, _HOUR)
    minutes, left = divmod(rest, _MINUTE)
    parts = [
        f"{hours:,} h" if hours else "",
        f"{minutes} min" if minutes else "",
        f"{left} s" if left else "",
    ]
    return " ".join(part for part in parts if part) or "0 s"


def signed_in_words(seconds: float, *, is_rough: bool = False) -> str:
    """Return seconds in words with their sign.

    Examples
    --------
    >>> signed_in_words(-75), signed_in_words(0), signed_in_words(60)
    ('−1 min 15 s', '0 s', '+1 min')
    """
    text = in_words(seconds, is_rough=is_rough)
    return text if text == "0 s" else f"{'−' if seconds < 0 else '+'}{text}"
