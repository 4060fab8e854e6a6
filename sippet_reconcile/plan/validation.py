"""Refuse changes that could never be sent as they stand.

Input are changes and the calls they belong to; output is nothing, or one error that
counts every kind of impossible change. What a person could fix in their data is said
long before; this is the last look before a plan exists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.errors import PlanError
from sippet_reconcile.plan.frames import is_among
from sippet_reconcile.schema import MAX_SECONDS, PATCHABLE, text_array
from sippet_reconcile.values import instants_to_text, parse_instant, seconds_to_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["calls_as_text", "check_changes", "is_unicode", "unwritable", "value_problem"]

_ID: Final = r"[0-9A-Za-z][0-9A-Za-z_-]*"
_DIGITS: Final = re.compile(r"\d{1,10}")
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{6})?Z")


def is_unicode(text: str) -> bool:
    r"""Tell whether a text can be stored and sent; half of a surrogate pair, as damaged files give it, cannot.

    Examples
    --------
    >>> is_unicode("Zoë"), is_unicode("\ud800")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def value_problem(field: str, value: object) -> str | None:
    """Say why a text is not a value, in API form, that may be written to a field; None where it is.

    Examples
    --------
    >>> value_problem("duration_seconds", "75"), value_problem("duration_seconds", "-1")
    (None, 'is not whole seconds from 0 to 2147483647')
    """
    if not isinstance(value, str) or not value.strip():
        return "is empty"
    if "\x00" in value or value != value.strip():
        return "has blanks around it or a NUL in it"
    if field == "duration_seconds" and not (_DIGITS.fullmatch(value) and int(value) <= MAX_SECONDS):
        return f"is not whole seconds from 0 to {MAX_SECONDS}"
    if field == "ended_at" and not _is_instant(value):
        return "is not an instant such as 2026-10-01T08:00:00Z"
    return None


def _is_instant(value: str) -> bool:
    if _INSTANT.fullmatch(value) is None:
        return False
    try:
        parse_instant(value)
    except ValueError:  # the form of an instant, but no such day or hour
        return False
    return True


def check_changes(changes: pd.DataFrame, calls: pd.DataFrame | None, *, kind: str) -> None:
    """Raise unless every change could be sent as it stands.

    Parameters
    ----------
    changes
        `schema.CHANGES`.
    calls
        The touched calls, or None where nothing but the changes is known about them.
    kind
        A revert may write null, and may restore whatever there was.

    Raises
    ------
    PlanError
        Naming each kind of impossible change, how often it occurs, and one example.
    """
    ids = changes["call_id"]
    after_missing = changes["after"].isna()
    is_revert = kind == "revert"
    problems: dict[str, pd.Series[bool]] = {
        "has no id that could be part of a path": ~ids.str.fullmatch(_ID).fillna(value=False).astype("bool"),
        f"is of a field that cannot be corrected (only {', '.join(PATCHABLE)})": ~is_among(
            changes["field"], PATCHABLE
        ),
        "occurs twice": changes.duplicated(["call_id", "field"], keep=False),
        "would write null": after_missing & (changes["field"].eq("call_source") if is_revert else True),
    }
    problems["would write a value that is not in API form"] = unwritable(changes)
    problems["changes nothing"] = _unchanged(changes)
    if calls is not None:
        known = calls.drop_duplicates("call_id").set_index("call_id")["started_at"]
        is_known = is_among(ids, known.index)
        problems["is of a call that is not among the calls"] = ~is_known
        if not is_revert:
            no_start = pd.Series(known.reindex(ids).isna().to_numpy(), index=ids.index) & is_known
            problems["is more than a status, for a call without a start"] = no_start & changes["field"].ne(
                "status"
            )
    said = [
        f"{plural(int(mask.sum()), 'change')} {what}, such as call {ids[mask].iloc[0]}"
        for what, mask in problems.items()
        if bool(mask.any())
    ]
    if said:
        msg = f"no plan can hold these changes: {'; '.join(said)}"
        raise PlanError(msg)


def unwritable(changes: pd.DataFrame) -> pd.Series[bool]:
    """Mark the changes whose value is there and not in API form, looking at each distinct value once."""
    return _wrong_values(changes) & changes["after"].notna()


def _wrong_values(changes: pd.DataFrame) -> pd.Series[bool]:
    distinct = changes[["field", "after"]].drop_duplicates()
    bad = [
        value_problem(name, after) is not None
        for name, after in zip(distinct["field"], distinct["after"], strict=True)
    ]
    verdicts = distinct.assign(is_bad=bad).set_index(["field", "after"])["is_bad"]
    keys = pd.MultiIndex.from_frame(changes[["field", "after"]])
    return pd.Series(verdicts.reindex(keys).to_numpy(dtype="bool"), index=changes.index)


def _unchanged(changes: pd.DataFrame) -> pd.Series[bool]:
    """Mark the changes whose two values are spelled alike, or are the same number."""
    before, after = changes["before"], changes["after"]
    alike = before.eq(after).fillna(value=False) | (before.isna() & after.isna())
    is_number = changes["field"].eq("duration_seconds") & before.notna() & after.notna()
    numbers = changes.loc[is_number, ["before", "after"]].apply(pd.to_numeric, errors="coerce")
    same = numbers["before"].eq(numbers["after"]).reindex(changes.index, fill_value=False)
    return (alike | same).astype("bool")


def calls_as_text(calls: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return each call's own values in API form, and what the CDR says about its answer.

    Returns
    -------
    dict
        Call id to ``status``, ``duration_seconds``, ``ended_at``, ``started_at``,
        ``call_source`` (text or None), ``is_answered_cdr`` (bool or None) and
        ``status_cdr`` (text or None).
    """
    columns: dict[str, list[Any]] = {
        "status": text_array(calls["status"]).to_pylist(),
        "call_source": text_array(calls["call_source"]).to_pylist(),
        "duration_seconds": text_array(seconds_to_text(calls["duration_seconds"])).to_pylist(),
        "ended_at": text_array(instants_to_text(calls["ended_at"])).to_pylist(),
        "started_at": text_array(instants_to_text(calls["started_at"])).to_pylist(),
        "is_answered_cdr": [None if pd.isna(v) else bool(v) for v in calls["is_answered_cdr"]],
        "status_cdr": text_array(calls["status_cdr"]).to_pylist(),
    }
    names = list(columns)
    rows: Mapping[str, dict[str, Any]] = {
        call_id: dict(zip(names, values, strict=True))
        for call_id, values in zip(calls["call_id"], zip(*columns.values(), strict=True), strict=True)
    }
    return dict(rows)
