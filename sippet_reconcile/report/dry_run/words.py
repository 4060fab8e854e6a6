"""Say in words what a dry run says more than once: fields, wrong values, kinds of reasons.

Input are names and columns of text; output is text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FIELD_WORDS", "WRONG_VALUES", "kinds_of_reasons"]

FIELD_WORDS: Final[Mapping[str, str]] = {
    "status": "status",
    "duration_seconds": "duration",
    "ended_at": "end",
    "call_source": "source",
}

WRONG_VALUES: Final[Mapping[str, tuple[str, str]]] = {
    "status": ("wrong status", "wrong statuses"),
    "duration_seconds": ("wrong duration", "wrong durations"),
    "ended_at": ("wrong end", "wrong ends"),
    "call_source": ("wrong source", "wrong sources"),
}

_REVIEWED: Final = re.compile(r"^((?:rejected|not approved) in review): .*$", re.DOTALL)


def kinds_of_reasons(reasons: pd.Series[str]) -> pd.Series[str]:
    """Return reasons as they are counted: what a reviewer wrote beside a call is told with the call alone.

    Examples
    --------
    >>> kinds_of_reasons(pd.Series(["rejected in review: ask Zoë", "dropped in review", None])).fillna("–").tolist()
    ['rejected in review', 'dropped in review', '–']
    """
    codes, distinct = pd.factorize(reasons)  # a million rows have a handful of reasons
    kinds = pd.Series(distinct, dtype="str").str.replace(_REVIEWED, r"\1", regex=True)
    return pd.Series(kinds.array.take(codes, allow_fill=True), index=reasons.index)
