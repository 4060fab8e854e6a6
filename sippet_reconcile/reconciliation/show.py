"""One call, shown to somebody who asks why.

Input is a reconciliation and an id, output both sides, every leg with its file and
line, the rivals, and in words what may be planned and what may not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import mask_in_id, mask_in_name, mask_text, show_value
from sippet_reconcile.errors import InputError
from sippet_reconcile.reconciliation.balance import START_TOO_FAR
from sippet_reconcile.reconciliation.call_view import CallView
from sippet_reconcile.reconciliation.findings import forbids_ended_at
from sippet_reconcile.reconciliation.page import hide_numbers
from sippet_reconcile.reconciliation.timeline import call_picture
from sippet_reconcile.report.columns import source_lines
from sippet_reconcile.report.section import hidden_numbers
from sippet_reconcile.schema import Bucket

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.result import Reconciliation

__all__ = ["CallView", "show_call"]

_SIDES: Final = (
    ("id", "id", "cdr_id"),
    ("started_at", "started_at", "started_at"),
    ("answered_at", None, "answered_at"),
    ("ended_at", "ended_at", "ended_at"),
    ("duration_seconds", "duration_seconds", None),
    ("total_s", None, "total_s"),
    ("billable_s", None, "billable_s"),
    ("status", "status", "status"),
    ("cause", None, "cause"),
    ("direction", "direction", "direction"),
    ("from_number", "from_number", "from_number"),
    ("to_number", "to_number", "to_number"),
    ("sip_username", "sip_username", "sip_username"),
    ("call_source", "call_source", None),
    ("legs", None, "n_legs"),
    ("leg_statuses", None, "leg_statuses"),
    ("time_problem", None, "time_problem"),
)
_LEG_COLUMNS: Final = (
    "source",
    "started_at",
    "answered_at",
    "ended_at",
    "total_s",
    "billable_s",
    "status",
    "cause",
    "from_number",
    "to_number",
    "bucket",
    "reason",
)
_WHY: Final = {
    Bucket.ONLY_IN_API: "no CDR call matches it",
    Bucket.ONLY_IN_CDR: "no call of the API matches it",
    Bucket.AMBIGUOUS: "several rivals match, and nobody decides between them",
    Bucket.EXCLUDED: "it is excluded",
    Bucket.UNUSABLE: "the row cannot be used",
    Bucket.DUPLICATE: "the row repeats another one",
    Bucket.OUTSIDE_PERIOD: "it lies outside the period",
}

_TOO_FAR: Final = (
    "one row has its numbers, but the two starts are further apart than those of other pairs, or one was over before "
    "the other began, or another row is much nearer, or durations and ends point at another row, or hardly any such "
    "pair agrees in anything else; and nothing shows that it is the same call: both may have lost their partner"
)
_SURE: Final = {
    "certain": "an id of one side is that of the other",
    "high": "both numbers are equal in full, and starts, durations or ends bear it out",
    "fair": "its numbers fit and no other row is as near",
    "low": "its numbers fit and its start is in the window, and nothing else says so",
}
"""Why a match is as sure as it is."""

_MAY_LEAVE_OUT: Final = (
    "What a plan may correct it may still leave out: it looks at the call as a whole and at what was accepted, "
    "and plan.left_out says why."
)


def show_call(rec: Reconciliation, wanted: str, *, show_numbers: bool) -> CallView:
    """Gather everything about one call; see `Reconciliation.show`."""
    calls, cdr_calls, legs = rec.calls, rec.cdr_calls, rec.legs
    call = _find_call(calls, wanted)
    cdr_id = _text(call["cdr_id"]) if call is not None else _find_cdr(cdr_calls, legs, wanted)
    if call is None and cdr_id is None:
        msg = (
            f"no call, call_uuid or cdr_id here is {wanted!r}; look in rec.calls['id'] or rec.legs['cdr_id']"
        )
        raise InputError(msg)
    call_id = _text(call["id"]) if call is not None else None
    cdr = _first(cdr_calls, cdr_calls["cdr_id"].eq(cdr_id)) if cdr_id is not None else None
    ambiguous = rec.ambiguous
    rivals = ambiguous.loc[_equals(ambiguous["call_id"], call_id) | _equals(ambiguous["cdr_id"], cdr_id)]
    own_legs = legs.loc[_equals(legs["cdr_id"], cdr_id)]
    if cdr_id is None and len(rivals):
        own_legs = legs.loc[legs["cdr_id"].isin(rivals["cdr_id"].dropna())]
    found = rec.discrepancies
    found = found.loc[_equals(found["call_id"], call_id)].reset_index(drop=True)
    row = call if call is not None else own_legs.iloc[0]
    bucket, reason = str(row["bucket"]), _text(row["reason"])
    shown = found if show_numbers else hide_numbers(found)
    ordered = _in_order(own_legs)
    picture = call_picture(
        call,
        cdr,
        ordered if show_numbers else ordered.assign(source=ordered["source"].map(mask_in_name)),
        found,
        rules=rec.rules,
        zone=rec.timezone,
        rivals=_rival_rows(ambiguous, rivals, calls, cdr_calls) if len(rivals) else None,
    )
    notes = tuple(_notes(rec, bucket, reason, shown, call=call, cdr=cdr))
    rivals = rivals.reset_index(drop=True)
    if not show_numbers:
        picture, notes, rivals = picture.masked(), tuple(map(mask_text, notes)), hide_numbers(rivals)
        cdr_id, reason = mask_in_id(cdr_id) if cdr_id else cdr_id, mask_text(reason) if reason else reason
    return CallView(
        call_id,
        cdr_id,
        bucket,
        reason,
        _both_sides(call, cdr, show_numbers=show_numbers),
        _legs_shown(ordered, show_numbers=show_numbers),
        rivals,
        shown,
        notes,
        picture,
    )


def _rival_rows(
    ambiguous: pd.DataFrame, rivals: pd.DataFrame, calls: pd.DataFrame, cdr_calls: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the CDR calls that also fit, and the calls that these fit as well."""
    near = ambiguous["call_id"].isin(rivals["call_id"].dropna())
    around = ambiguous.loc[near | ambiguous["cdr_id"].isin(rivals["cdr_id"].dropna())]
    is_rival = calls["id"].isin(around["call_id"]) & calls["bucket"].ne(Bucket.DUPLICATE.value)
    return cdr_calls.loc[cdr_calls["cdr_id"].isin(around["cdr_id"])], calls.loc[is_rival]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _equals(column: pd.Series[str], value: str | None) -> pd.Series[bool]:
    if value is None:
        return pd.Series(data=False, index=column.index, dtype="bool")
    return column.eq(value).fillna(value=False).astype("bool")


def _named(ids: pd.Series[str], wanted: str) -> pd.Series[bool]:
    """Mark the id as it is spelled; where nothing is spelled so, whatever its case."""
    exact = _equals(ids, wanted)
    return exact if bool(exact.any()) else _equals(ids.str.strip().str.lower(), wanted.strip().lower())


def _first(frame: pd.DataFrame, mask: pd.Series[bool]) -> pd.Series[Any] | None:
    rows = frame.loc[mask]
    return rows.iloc[0] if len(rows) else None


def _find_call(calls: pd.DataFrame, wanted: str) -> pd.Series[Any] | None:
    """Return the call of an id; where it was read several times, the copy that took part."""
    for name in ("id", "call_uuid"):
        rows = calls.loc[_named(calls[name], wanted)]
        if len(rows):
            taking_part = rows.loc[rows["bucket"].ne(Bucket.DUPLICATE.value)]
            return (taking_part if len(taking_part) else rows).iloc[0]
    return None


def _find_cdr(cdr_calls: pd.DataFrame, legs: pd.DataFrame, wanted: str) -> str | None:
    cdr = _first(cdr_calls, _named(cdr_calls["cdr_id"], wanted))
    if cdr is not None:
        return str(cdr["cdr_id"])
    for name in ("call_key", "linked_id", "leg_id"):
        leg = _first(legs, _named(legs[name].where(legs["cdr_id"].notna()), wanted))
        if leg is not None:
            return str(leg["cdr_id"])
    return None


def _both_sides(
    call: pd.Series[Any] | None, cdr: pd.Series[Any] | None, *, show_numbers: bool
) -> pd.DataFrame:
    if not show_numbers:
        call, cdr = (None if side is None else _row_hidden(side) for side in (call, cdr))
    rows: list[tuple[str, str, str]] = []
    for attribute, of_call, of_cdr in _SIDES:
        shown: list[str] = []
        for side, name in ((call, of_call), (cdr, of_cdr)):
            value = None if side is None or name is None else side[name]
            shown.append(show_value(value))
        rows.append((attribute, shown[0], shown[1]))
    return pd.DataFrame(rows, columns=["attribute", "api", "cdr"], dtype="str")


def _row_hidden(row: pd.Series[Any]) -> pd.Series[Any]:
    """Return a row with the middle of its phone numbers hidden."""
    return hidden_numbers(row.to_frame().T).iloc[0]


def _in_order(legs: pd.DataFrame) -> pd.DataFrame:
    """Return legs with their ``source`` as file and line, the earliest first."""
    return legs.assign(source=source_lines(legs).fillna("?:?")).sort_values(
        ["started_at", "source_file", "source_row"], ignore_index=True
    )


def _legs_shown(legs: pd.DataFrame, *, show_numbers: bool) -> pd.DataFrame:
    shown = legs.loc[:, list(_LEG_COLUMNS)]
    # However long its name, a file without its line proves nothing.
    return shown if show_numbers else hide_numbers(shown).assign(source=shown["source"].map(mask_in_name))


def _notes(
    rec: Reconciliation,
    bucket: str,
    reason: str | None,
    found: pd.DataFrame,
    *,
    call: pd.Series[Any] | None,
    cdr: pd.Series[Any] | None,
) -> list[str]:
    """Say what may be planned for the call, and what may not."""
    if bucket != Bucket.MATCHED.value:
        if bucket == Bucket.AMBIGUOUS.value and reason == START_TOO_FAR:
            return [f"Nothing is planned for it: {_TOO_FAR}."]
        because = f" ({reason})" if reason else ""
        return [f"Nothing is planned for it: {_WHY.get(Bucket(bucket), bucket)}{because}."]
    matched = _how_matched(rec, found, call, cdr)
    if not len(found):
        return ["Both sides agree under the rules; there is nothing to plan.", *matched]
    no_ends = forbids_ended_at(rec.findings)
    notes = [_note(row, no_ends=no_ends) for row in found.itertuples(index=False)]
    stops = rec.findings.stops.codes
    if stops:
        notes.append(f"No plan can be built before this is fixed or accepted: {', '.join(stops)}.")
    if found["is_patchable"].any():
        notes.append(_MAY_LEAVE_OUT)
    return [*notes, *matched]


def _how_matched(
    rec: Reconciliation, found: pd.DataFrame, call: pd.Series[Any] | None, cdr: pd.Series[Any] | None
) -> list[str]:
    """Say by what the call was matched, how sure that is and why; nothing where it is no compared pair."""
    if call is None or cdr is None:
        return []
    # A call that differs says it itself: the frame of all pairs need not be built for it.
    pairs = found if len(found) else rec.pairs
    pair = _first(pairs, _equals(pairs["call_id"], _text(call["id"])))
    if pair is None:
        return []
    gap: Any = cdr["started_at"] - pd.Timedelta(seconds=float(rec.rules.clock_offset_s)) - call["started_at"]
    apart = "" if pd.isna(gap) else f", starts {show_value(round(abs(gap.total_seconds()), 3))} s apart"
    sure = _text(pair["confidence"])
    how = f"Matched by {pair['match_rule']}{apart}"
    return [f"{how}; confidence {sure}: {_SURE[sure]}." if sure in _SURE else f"{how}."]


def _note(row: Any, *, no_ends: bool) -> str:
    also = f", also {row.also}" if isinstance(row.also, str) else ""
    what = f"{row.field} differs ({row.explanation}{also}): {_in_words(row)}"
    if row.is_patchable and no_ends and row.field == "ended_at":
        return f"{what}; not planned, as the CDR's instants are in doubt, whatever is accepted."
    if row.is_patchable:
        return f"{what}; a plan may correct it."
    if not isinstance(row.why_not, str):  # saved by a version that kept no reason
        return f"{what}; not planned."
    return f"{what}; not planned, as {row.why_not}."


def _in_words(row: Any) -> str:
    """Say both values of a discrepancy, and how far apart they are."""
    unit = " s" if row.field == "duration_seconds" else ""
    api, cdr = (
        f"{value if isinstance(value, str) else 'nothing'}{unit if isinstance(value, str) else ''}"
        for value in (row.value_call, row.value_cdr)
    )
    said = f"{api} in the API, {cdr} in the CDR"
    if not (isinstance(row.value_call, str) and isinstance(row.value_cdr, str)):
        return said
    if unit and not pd.isna(row.delta_s):
        return f"{said}, {show_value(abs(row.delta_s))} s too {'little' if row.delta_s > 0 else 'much'}"
    if str(row.field).endswith("_at"):
        gap_s = (pd.Timestamp(row.value_call) - pd.Timestamp(row.value_cdr)).total_seconds()
        return f"{said}, {show_value(abs(gap_s))} s too {'late' if gap_s > 0 else 'early'}"
    return said
