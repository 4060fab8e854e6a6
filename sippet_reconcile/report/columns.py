"""Write columns as people read them: instants in UTC, and where in an export a row stands.

Input are columns of any frame; output are columns of text, one per row, missing where
nothing is known. What stands above the columns of a call is here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CALL_HEADS", "source_lines", "utc_texts"]

CALL_HEADS: Final = {
    "call_id": "call",
    "started_at": "started (UTC)",
    "from_number": "from",
    "to_number": "to",
    "sip_username": "user",
    "match_rule": "matched by",
    "confidence": "match is",
    "explanation": "cause",
    "sources": "CDR lines",
    "n_legs_cdr": "legs",
    "started_at_cdr": "CDR: started",
    "answered_at_cdr": "CDR: answered",
    "ended_at_cdr": "CDR: ended",
    "total_s_cdr": "CDR: total (s)",
    "billable_s_cdr": "CDR: billable (s)",
    "status_cdr": "CDR: status",
}
"""What stands above what is known of a call and of the CDR's side of it, in every table of calls with evidence."""


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


def source_lines(rows: pd.DataFrame) -> pd.Series[str]:
    """Return ``file:line`` of each row, from its ``source_file`` and ``source_row``.

    What is not known of the two is a question mark; where neither is, the text is missing.

    Examples
    --------
    >>> rows = pd.DataFrame({"source_file": ["a.csv", "b.csv", None], "source_row": [12345, None, None]})
    >>> source_lines(rows.astype({"source_row": "Int64"})).fillna("missing").tolist()
    ['a.csv:12345', 'b.csv:?', 'missing']
    """
    files, lines = rows["source_file"], rows["source_row"]
    told = files.fillna("?").astype("str") + ":" + lines.astype("Int64").astype("str").fillna("?")
    return told.mask(files.isna() & lines.isna()).astype("str")
