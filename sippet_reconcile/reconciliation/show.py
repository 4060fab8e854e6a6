"""One call, shown to somebody who asks why.

Input is a reconciliation and an id, output both sides, every leg with its file and
line, the rivals, and in words what may be planned and what may not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import (
    card,
    html_table,
    html_text,
    mask_number,
    section,
    show_value,
    text_table,
)
from sippet_reconcile.errors import InputError
from sippet_reconcile.reconciliation.balance import START_TOO_FAR
from sippet_reconcile.reconciliation.page import hide_numbers
from sippet_reconcile.report.section import NUMBER_COLUMNS
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


@dataclass(frozen=True, eq=False, repr=False)
class CallView:
    """One call with everything known about it; prints itself.

    Attributes
    ----------
    call_id, cdr_id
        None where that side has no row.
    bucket, reason
        Where the call (or, without one, the CDR call) ended up.
    sides
        One row per attribute: ``attribute``, ``api``, ``cdr``.
    legs
        The legs, each with ``source`` as ``file:line``.
    rivals
        The rows of `Reconciliation.ambiguous` that concern it.
    discrepancies
        Its rows of `Reconciliation.discrepancies`.
    notes
        Sentences: what may be planned, what may not, and why.
    """

    call_id: str | None
    cdr_id: str | None
    bucket: str
    reason: str | None
    sides: pd.DataFrame
    legs: pd.DataFrame
    rivals: pd.DataFrame
    discrepancies: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """The id and the bucket."""
        why = f" ({self.reason})" if self.reason else ""
        return f"Call {self.call_id or self.cdr_id}: {self.bucket}{why}"

    def __str__(self) -> str:
        parts = [self.title, *(f"  {note}" for note in self.notes), "", _as_text(self.sides)]
        for name, frame in (
            ("Legs", self.legs),
            ("Rivals", self.rivals),
            ("Discrepancies", self._differences()),
        ):
            if len(frame):
                parts += ["", name, _as_text(frame)]
        return "\n".join(parts)

    def __repr__(self) -> str:
        return str(self)

    def _differences(self) -> pd.DataFrame:
        return self.discrepancies.loc[
            :, ["field", "value_call", "value_cdr", "delta_s", "explanation", "also", "is_patchable"]
        ]

    def _repr_html_(self) -> str:
        parts = ["".join(html_text(note) for note in self.notes), html_table(self.sides)]
        for name, frame in (
            ("Legs", self.legs),
            ("Rivals", self.rivals),
            ("Discrepancies", self._differences()),
        ):
            if len(frame):
                parts.append(section(name, html_table(frame)))
        tone = "warn" if len(self.discrepancies) or self.bucket != Bucket.MATCHED.value else "ok"
        return card(self.title, None, *parts, tone=tone)


def _as_text(frame: pd.DataFrame) -> str:
    columns = [frame[name].tolist() for name in frame.columns]
    table = text_table(list(zip(*columns, strict=True)), [str(name) for name in frame.columns])
    return "\n".join(f"  {line}" for line in table.splitlines())


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
    return CallView(
        call_id,
        cdr_id,
        bucket,
        reason,
        _both_sides(call, cdr, show_numbers=show_numbers),
        _legs_shown(own_legs, show_numbers=show_numbers),
        rivals.reset_index(drop=True),
        found if show_numbers else hide_numbers(found),
        tuple(_notes(rec, bucket, reason, found, call=call, cdr=cdr)),
    )


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
    rows: list[tuple[str, str, str]] = []
    for attribute, of_call, of_cdr in _SIDES:
        shown: list[str] = []
        for side, name in ((call, of_call), (cdr, of_cdr)):
            value = None if side is None or name is None else side[name]
            if isinstance(value, str) and attribute in NUMBER_COLUMNS and not show_numbers:
                value = mask_number(value)
            shown.append(show_value(value))
        rows.append((attribute, shown[0], shown[1]))
    return pd.DataFrame(rows, columns=["attribute", "api", "cdr"], dtype="str")


def _legs_shown(legs: pd.DataFrame, *, show_numbers: bool) -> pd.DataFrame:
    source = legs["source_file"].fillna("?") + ":" + legs["source_row"].astype("str").fillna("?")
    order = ["started_at", "source_file", "source_row"]
    shown = legs.assign(source=source).sort_values(order, ignore_index=True).loc[:, list(_LEG_COLUMNS)]
    return shown if show_numbers else hide_numbers(shown)


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
    notes = [_note(row) for row in found.itertuples(index=False)]
    stops = rec.findings.stops.codes
    if stops:
        notes.append(f"No plan can be built before this is fixed or accepted: {', '.join(stops)}.")
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
    apart = "" if pd.isna(gap) else f", starts {show_value(abs(gap.total_seconds()))} s apart"
    sure = _text(pair["confidence"])
    how = f"Matched by {pair['match_rule']}{apart}"
    return [f"{how}; confidence {sure}: {_SURE[sure]}." if sure in _SURE else f"{how}."]


def _note(row: Any) -> str:
    what = f"{row.field} differs ({row.explanation})"
    if row.is_patchable:
        return f"{what}: a plan may correct it."
    if not isinstance(row.why_not, str):  # saved by a version that kept no reason
        return f"{what}: not planned."
    return f"{what}: not planned, as {row.why_not}."
