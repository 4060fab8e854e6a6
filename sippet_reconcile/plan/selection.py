"""Find the calls that a person means by a list of ids, a mask, a query or a function.

Input is what was handed to ``keep`` or ``drop``, or ``where`` of `build_plan`; output
is one flag per call or row, never missing. Everything here works on whole calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.errors import InputError
from sippet_reconcile.plan.frames import is_among

__all__ = ["Where", "chosen_calls", "chosen_rows"]

Where = str | Callable[[pd.DataFrame], Any] | None
"""A ``DataFrame.query`` text, or a function from a frame to a mask over its rows."""


def _is_mask(value: object) -> bool:
    if isinstance(value, pd.Series | np.ndarray | pd.Index):
        return bool(pd.api.types.is_bool_dtype(value.dtype))
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, bool | np.bool_) for item in value)
    return False


def _as_mask(value: Any, frame: pd.DataFrame, what: str) -> pd.Series[bool]:
    """Return a mask over the rows of a frame, found by its labels where it has labels."""
    mask = pd.Series(value)
    if len(mask) != len(frame):
        msg = f"{what} has {plural(len(mask), 'value')}, but there are {plural(len(frame), 'row')}"
        raise InputError(msg)
    if not pd.api.types.is_bool_dtype(mask.dtype) and len(mask):
        msg = f"{what} is of type {mask.dtype}, not a mask of True and False"
        raise InputError(msg)
    if isinstance(value, pd.Series):
        if mask.index.has_duplicates or not mask.index.isin(frame.index).all():
            msg = f"{what} has other row labels than the frame it shall mark; build it from that frame"
            raise InputError(msg)
        mask = mask.reindex(frame.index)
    # As in pandas, a row whose answer is missing (a status has no seconds to compare) is not marked.
    return pd.Series(mask.fillna(value=False).to_numpy(dtype="bool"), index=frame.index)


def chosen_calls(ids_or_mask: object, changes: pd.DataFrame, calls: pd.DataFrame) -> pd.Series[bool]:
    """Return a mask over the rows of `calls`: True where any row of the call is meant.

    Raises
    ------
    InputError
        If an id is unknown, or a mask fits neither frame.
    """
    if _is_mask(ids_or_mask):
        size = len(ids_or_mask)  # type: ignore[arg-type]  # a mask is a sequence
        frame, what = (
            (calls, "the mask over calls") if size == len(calls) != len(changes) else (changes, "the mask")
        )
        marked = frame.loc[_as_mask(ids_or_mask, frame, what), "call_id"]
        return is_among(calls["call_id"], marked)
    if isinstance(ids_or_mask, str):
        ids = [ids_or_mask]
    elif isinstance(ids_or_mask, Iterable) and not isinstance(ids_or_mask, pd.DataFrame | dict | bytes):
        ids = list(ids_or_mask)
    else:
        msg = f"name calls by their ids or by a mask, not by {type(ids_or_mask).__name__}"
        raise InputError(msg)
    ids = [one.strip().lower() if isinstance(one, str) else one for one in ids]
    known = set(calls["call_id"])
    unknown = [one for one in ids if one not in known]
    if unknown:
        shown = ", ".join(str(one) for one in unknown[:3])
        msg = f"{plural(len(unknown), 'call')} not in this plan, such as {shown}; take ids from plan.calls['call_id']"
        raise InputError(msg)
    return is_among(calls["call_id"], ids)


def chosen_rows(where: Where, frame: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows of a frame a query text or a function marks.

    Raises
    ------
    InputError
        If the text cannot be evaluated, or the answer is no mask over the rows.
    """
    rows = frame.reset_index(drop=True)
    if where is None:
        return pd.Series(data=True, index=rows.index, dtype="bool")
    if isinstance(where, str):
        try:
            # Columns only: a text must not reach the variables and modules of this program.
            found = rows.query(where, local_dict={}, global_dict={})
        # What pandas raises for a text it cannot parse, a name it does not know, a type that does not fit.
        except (
            SyntaxError,
            NameError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            NotImplementedError,
        ) as exc:
            msg = f"where={where!r} cannot be evaluated: {exc}; the columns are: {', '.join(rows.columns)}"
            raise InputError(msg) from exc
        return pd.Series(rows.index.isin(found.index), index=rows.index)
    if not callable(where):
        msg = f"where is {type(where).__name__}; pass a query text or a function of the discrepancies"
        raise InputError(msg)
    answer = where(rows)
    return _as_mask(answer, rows, "the answer of where")
