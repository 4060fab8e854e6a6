"""Say in words what a dry run says more than once: fields, wrong values, kinds of reasons.

Input are names and columns of text; output is text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

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
    >>> import pandas as pd
    >>> kinds_of_reasons(pd.Series(["rejected in review: ask Zoë", "dropped in review"])).tolist()
    ['rejected in review', 'dropped in review']
    """
    return reasons.str.replace(_REVIEWED, r"\1", regex=True)
