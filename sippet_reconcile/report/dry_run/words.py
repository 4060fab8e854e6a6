"""Say in words what a dry run says more than once: instants, causes, kinds of reasons.

Input are values and columns; output is text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["FIELD_WORDS", "WRONG_VALUES", "bounded", "kinds_of_reasons", "utc_texts"]

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


def utc_texts(instants: pd.Series[Any]) -> pd.Series[str]:
    """Return instants as people read them, in UTC, to the millisecond where any has a fraction.

    Examples
    --------
    >>> at = pd.Series(pd.to_datetime(["2026-10-05T10:00:00Z", None], utc=True))
    >>> utc_texts(at).fillna("missing").tolist()
    ['2026-10-05 10:00:00', 'missing']
    """
    if not isinstance(instants.dtype, pd.DatetimeTZDtype):
        return instants.astype("str")
    wall = instants.dt.tz_convert("UTC").dt.tz_localize(None)
    values: NDArray[np.datetime64] = wall.to_numpy().astype("datetime64[us]")
    known = values[~np.isnat(values)]
    has_fraction = bool((known != known.astype("datetime64[s]")).any())
    printed = np.datetime_as_string(values, unit="ms" if has_fraction else "s")
    texts = np.char.replace(printed, "T", " ")
    return pd.Series(texts, index=instants.index, dtype="str").mask(instants.isna())


def kinds_of_reasons(reasons: pd.Series[str]) -> pd.Series[str]:
    """Return reasons as they are counted: what a reviewer wrote beside a call is told with the call alone.

    Examples
    --------
    >>> kinds_of_reasons(pd.Series(["rejected in review: ask Zoë", "dropped in review"])).tolist()
    ['rejected in review', 'dropped in review']
    """
    return reasons.str.replace(_REVIEWED, r"\1", regex=True)


def bounded(shown: int, total: int, what: str, where: str) -> str:
    """Say how many of a list's rows are shown and where all of them are; nothing where all are shown.

    Examples
    --------
    >>> bounded(5000, 12345, "rows", "plan.left_out")
    ' The first 5,000 of 12,345 rows are here; plan.left_out of the saved plan has the others.'
    >>> bounded(3, 3, "rows", "plan.left_out")
    ''
    """
    if shown >= total:
        return ""
    return f" The first {shown:,} of {total:,} {what} are here; {where} of the saved plan has the others."
