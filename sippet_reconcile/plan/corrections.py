"""Turn a list of corrections, without any CDR, into a plan.

Input are calls and a table with one row per call and the values it shall have, often
from a spreadsheet; output is a `Plan` under the same validation, whole-record rule and
guards. What cannot be read is collected and raised at once; what can be read and must
not be written is left out with a reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import mask_digits, plural
from sippet_reconcile.errors import InputError, SchemaError
from sippet_reconcile.plan.build import NO_SUCH_STATUS, UNCHANGED, status_vocabulary
from sippet_reconcile.plan.frames import LEFT_OUT, PLAN_CALLS, is_among, to_schema
from sippet_reconcile.plan.guards import checked_url, checked_words, guard_size
from sippet_reconcile.plan.ledgers import account
from sippet_reconcile.plan.model import Plan
from sippet_reconcile.plan.validation import calls_as_text, is_unicode
from sippet_reconcile.plan.whole_record import judge_calls
from sippet_reconcile.reconciliation.comparing.doubts import START_ONLY
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.schema import CALL_ATTRIBUTES, CALLS, CHANGES, MAX_SECONDS, PATCHABLE, conform
from sippet_reconcile.values import instants_to_text, same_value

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["plan_corrections"]

EXPLANATION: Final = "correction"
"""The explanation of every change that a person asked for."""

NO_SUCH_CALL: Final = "no such call among the calls that were handed in"
NOTHING_ASKED: Final = "the row asks for nothing"
NOT_CORRECTED: Final = "not in the corrections"

_CLOSE: Final = 0.72  # how alike two names are that one may be mistaken for the other
_TELLING: Final = 4  # letters from which on the beginning of a name tells which is meant
_WHOLE: Final = re.compile(r"(\d{1,10})(\.0+)?")
_ISO: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?\s?(Z|[+-]\d{2}:?\d{2})", re.IGNORECASE
)
_EXPECTED: Final = {
    "duration_seconds": f"whole seconds from 0 to {MAX_SECONDS}, such as 60 or 60.0",
    "ended_at": "an instant with its zone, such as 2026-10-01T08:00:00Z or 2026-10-01T09:00:00+01:00",
    "status": "text",
    "call_source": "text",
}


@dataclass(frozen=True)
class _Unreadable:
    """What was expected instead of a value."""

    expected: str


def plan_corrections(
    calls: pd.DataFrame,
    corrections: pd.DataFrame,
    *,
    reason: str,
    rules: Rules | None = None,
    statuses: Sequence[str] = (),
    max_calls: int | None = None,
    max_share: float | None = None,
    api_url: str | None = None,
) -> Plan:
    """Turn a table of corrections into a plan.

    Parameters
    ----------
    calls
        The calls as they are now (``client.get_calls(corrections["call_id"])``).
    corrections
        One row per call: ``call_id`` and any of `PATCHABLE`; a blank or missing cell
        leaves the value alone, and further columns are ignored. Seconds are whole
        numbers or their text (``60``, ``"60"``, and ``"60.0"`` as spreadsheets write
        it). ``ended_at`` is an aware instant or ISO 8601 text with a zone; it is cut to
        the precision that `calls` show.
    reason
        Why, for reviewers and the audit log, such as ``"ticket 4711"``.
    rules
        The tolerance and the basis of the whole-record rule; without them, or with
        ``duration="auto"``, durations count as ``billable``, the stricter.
    statuses
        As in `build_plan`.
    max_calls, max_share
        As in `build_plan`. Nothing is compared here, so a share is of `calls`, and is
        not limited unless asked for.
    api_url
        The API the calls belong to, where the frame of calls does not say.

    Returns
    -------
    Plan
        Its ``left_out`` names the rows that ask for nothing, for a value that the API
        already has, for an unknown call or status, or for an inconsistent record.

    Raises
    ------
    SchemaError
        With ``.failures``: one row per cell, row or column that cannot be used.
    PlanGuardError
        If the plan touches more calls than the guards allow.
    InputError
        If there is no reason, or an option is not one.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    >>> fix = calls.query("status == 'completed' and duration_seconds > 60").head(1)
    >>> fix = fix.rename(columns={"id": "call_id"})[["call_id"]].assign(duration_seconds="60")
    >>> plan = sr.plan_corrections(calls, fix, reason="ticket 4711")
    >>> plan.changes.loc[0, ["field", "after", "reason"]].tolist()
    ['duration_seconds', '60', 'ticket 4711']
    """
    if not isinstance(reason, str) or not reason.strip() or not is_unicode(reason):
        msg = "corrections need a reason that reviewers understand, such as reason='ticket 4711'"
        raise InputError(msg)
    extra = checked_words("statuses", statuses)
    resolved = rules or Rules()
    resolved = replace(resolved, duration="billable") if resolved.duration == "auto" else resolved
    rows = _read_corrections(corrections)
    known = _checked_calls(calls)
    url = checked_url(_one_url(known), api_url)
    touched = _calls_as_fetched(known, rows["call_id"])
    decided = _decide(
        rows, touched, status_vocabulary(known["status"].dropna().unique(), resolved, extra), known
    )
    changes = decided.loc[decided["left"].isna()]
    changes = to_schema(changes.assign(explanation=EXPLANATION, reason=reason.strip()), CHANGES)
    broken = judge_calls(changes, touched, resolved)
    left = decided.assign(explanation=EXPLANATION)
    left = left.assign(reason=left["left"].fillna(left["call_id"].map(broken).astype("str")))
    left_out = to_schema(left.loc[left["reason"].notna()], LEFT_OUT)
    changes = changes.loc[~is_among(changes["call_id"], broken.index)].reset_index(drop=True)
    guard_size(changes["call_id"].nunique(), n_compared=len(known), max_calls=max_calls, max_share=max_share)
    return Plan.from_changes(
        changes,
        kind="corrections",
        api_url=url,
        calls=touched,
        left_out=left_out.sort_values(["call_id", "field"], kind="stable", ignore_index=True),
        rules=resolved,
        ledger=_ledger_of(known, changes),
        selection={
            "fields": [name for name in PATCHABLE if name in corrections.columns],
            "reason": reason.strip(),
            "statuses": list(extra),
            "max_calls": max_calls,
            "max_share": max_share,
        },
    )


def _checked_calls(calls: pd.DataFrame) -> pd.DataFrame:
    """Return calls with a fresh index, each id once."""
    known = conform(calls, CALLS).reset_index(drop=True)
    twice = known["id"].duplicated(keep=False)
    if twice.any():
        msg = f"calls has {plural(int(known.loc[twice, 'id'].nunique()), 'id')} more than once, such as {known.loc[twice, 'id'].iloc[0]}; pass each call once"
        raise SchemaError(msg)
    return known


def _one_url(calls: pd.DataFrame) -> str | None:
    urls = calls["api_url"].dropna().unique().tolist()
    if len(urls) > 1:
        msg = f"calls come from {plural(len(urls), 'API')}: {', '.join(sorted(urls))}; correct each in a plan of its own"
        raise SchemaError(msg)
    return str(urls[0]) if urls else None


def _calls_as_fetched(known: pd.DataFrame, ids: pd.Series[str]) -> pd.DataFrame:
    rows = known.loc[is_among(known["id"].str.lower(), ids)]
    return to_schema(rows.rename(columns={"id": "call_id"}), PLAN_CALLS)


def _read_corrections(corrections: pd.DataFrame) -> pd.DataFrame:
    """Return one row per call and value that is asked for: ``call_id``, ``field``, ``after``.

    A row that asks for nothing has a missing ``field``.
    """
    if not isinstance(corrections, pd.DataFrame):
        msg = f"corrections is {type(corrections).__name__}, not a DataFrame"
        raise SchemaError(msg)
    failures = _column_failures(corrections)
    if failures:
        raise _collected(failures)
    table = corrections.reset_index(drop=True)
    names = [name for name in PATCHABLE if name in table.columns]
    ids = table["call_id"].astype("object")
    read: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    columns = {name: table[name].tolist() for name in names}
    for at, raw_id in enumerate(ids.tolist()):
        values = {name: _read(name, column[at]) for name, column in columns.items()}
        values = {name: value for name, value in values.items() if value is not None}
        blank_id = _is_blank(raw_id)
        if blank_id and not values:
            continue  # spreadsheets end in empty rows
        line = at + 1
        if blank_id or not isinstance(raw_id, str) or not is_unicode(raw_id):
            failures.append(_failure(line, "call_id", "the id of a call, as text", raw_id))
            continue
        call_id = raw_id.strip().lower()
        if call_id in seen:
            failures.append(
                _failure(line, "call_id", f"each call once (first in row {seen[call_id]})", raw_id)
            )
        seen.setdefault(call_id, line)
        failures += [
            _failure(line, name, value.expected, columns[name][at])
            for name, value in values.items()
            if isinstance(value, _Unreadable)
        ]
        read += [{"call_id": call_id, "field": name, "after": value} for name, value in values.items()]
        if not values:
            read.append({"call_id": call_id, "field": None, "after": None})
    if failures:
        raise _collected(failures)
    return pd.DataFrame(read, columns=["call_id", "field", "after"]).astype("str")


def _column_failures(corrections: pd.DataFrame) -> list[dict[str, Any]]:
    names = [str(name) for name in corrections.columns]
    failures = [
        _failure(None, name, "one column of this name", "several")
        for name in ("call_id", *PATCHABLE)
        if names.count(name) > 1
    ]
    for name in dict.fromkeys(names):
        normal = re.sub(r"[\s_-]+", "_", name.strip().lower())
        if name in {"call_id", *PATCHABLE} or normal in {*CALL_ATTRIBUTES} - {*PATCHABLE}:
            continue
        close = get_close_matches(normal, ["call_id", *PATCHABLE], n=1, cutoff=_CLOSE)
        shortened = [
            known
            for known in PATCHABLE
            if len(normal) >= _TELLING and (known.startswith(normal) or normal.startswith(known))
        ]
        if close or shortened:
            meant = (close or shortened)[0]
            failures.append(
                _failure(None, name, f"{meant!r}, or a name that cannot be taken for it", "a column named so")
            )
    if "call_id" not in names:
        failures.append(_failure(None, "call_id", "the ids of the calls", "no such column"))
    if not set(PATCHABLE) & set(names):
        failures.append(_failure(None, ", ".join(PATCHABLE), "at least one of them", "none"))
    return failures


def _failure(row: int | None, column: str, expected: str, found: object) -> dict[str, Any]:
    told = str(found)[:60].encode("utf-8", "replace").decode()
    shown = mask_digits(told) if column != "call_id" else told
    return {"row": row, "column": column, "expected": expected, "found": shown}


def _collected(failures: list[dict[str, Any]]) -> SchemaError:
    first = failures[0]
    where = f"row {first['row']}, {first['column']}" if first["row"] else f"column {first['column']}"
    more = f"; and {len(failures) - 1:,} more" if len(failures) > 1 else ""
    msg = f"corrections: {where}: found {first['found']!r}, expected {first['expected']}{more}; see .failures"
    frame = pd.DataFrame(failures).astype(
        {"row": "Int64", "column": "str", "expected": "str", "found": "str"}
    )
    return SchemaError(msg, failures=frame)


def _is_blank(value: object) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or value is pd.NA or value is pd.NaT or value != value  # noqa: PLR0124 - NaN


def _read(field: str, value: object) -> str | _Unreadable | None:
    """Return a cell as text in API form, None where it is blank."""
    if _is_blank(value):
        return None
    if field == "duration_seconds":
        return _read_seconds(value)
    if field == "ended_at":
        return _read_instant(value)
    if isinstance(value, str) and "\x00" not in value and is_unicode(value):
        return value.strip()
    return _Unreadable(_EXPECTED[field])


def _read_seconds(value: object) -> str | _Unreadable:
    text = value.strip() if isinstance(value, str) else "" if isinstance(value, bool) else str(value)
    whole = _WHOLE.fullmatch(text)
    if whole is None or not text.isascii() or int(whole[1]) > MAX_SECONDS:
        return _Unreadable(_EXPECTED["duration_seconds"])
    return str(int(whole[1]))


def _read_instant(value: object) -> str | _Unreadable:
    unreadable = _Unreadable(_EXPECTED["ended_at"])
    if isinstance(value, str):
        parts = _ISO.fullmatch(value.strip())
        if parts is None:
            return unreadable
        day, time, fraction, zone = parts.groups()
        try:
            at = datetime.fromisoformat(f"{day}T{time}.{(fraction or '0')[:6].ljust(6, '0')}{zone.upper()}")
        except ValueError:
            return unreadable
    elif isinstance(value, datetime) and value.utcoffset() is not None:
        at = value
    else:
        return unreadable
    instants = pd.Series([pd.Timestamp(at)]).dt.tz_convert("UTC").dt.as_unit("us")
    return str(instants_to_text(instants).iloc[0])


def _decide(
    rows: pd.DataFrame, touched: pd.DataFrame, vocabulary: frozenset[str], known: pd.DataFrame
) -> pd.DataFrame:
    """Say for each asked value what it is now, what it shall be, and why it is left out, if it is."""
    records = calls_as_text(touched)
    ids = {call_id.lower(): call_id for call_id in records}
    uuids = dict(zip(touched["call_id"], touched["call_uuid"], strict=True))
    in_seconds = not _shows_fractions(known)
    decided: list[dict[str, Any]] = []
    for asked_id, name, after in zip(rows["call_id"], rows["field"], rows["after"], strict=True):
        call_id = ids.get(asked_id)
        row: dict[str, Any] = {
            "call_id": call_id or asked_id,
            "call_uuid": uuids.get(call_id) if call_id else None,
        }
        decided.append(row)
        row["field"] = name if isinstance(name, str) else None
        row["left"] = NO_SUCH_CALL if call_id is None else NOTHING_ASKED if row["field"] is None else None
        if row["left"] is not None:
            continue
        record = records[str(call_id)]
        before = record[name]
        if name == "ended_at" and in_seconds:
            after = re.sub(r"\.\d+Z$", "Z", after)  # noqa: PLW2901 - cut to what the server keeps
        row |= {"before": before, "after": after}
        if name == "duration_seconds":
            row |= {"before_s": None if before is None else float(before), "after_s": float(after)}
            row["delta_s"] = row["after_s"] - (row["before_s"] or 0.0)
        if same_value(name, before, after):
            row["left"] = UNCHANGED
        elif record["started_at"] is None and name != "status":
            row["left"] = START_ONLY
        elif name == "status" and after not in vocabulary:
            row["left"] = NO_SUCH_STATUS
    columns = ["call_id", "call_uuid", "field", "before", "after", "before_s", "after_s", "delta_s", "left"]
    frame = pd.DataFrame(decided, columns=columns)
    texts = dict.fromkeys(["call_id", "call_uuid", "field", "before", "after", "left"], "str")
    return frame.astype({**texts, "before_s": "Float64", "after_s": "Float64", "delta_s": "Float64"})


def _shows_fractions(calls: pd.DataFrame) -> bool:
    """Tell whether any fetched instant has a fraction of a second, which tells what the server keeps."""
    return any(bool(calls[name].dt.microsecond.fillna(0).ne(0).any()) for name in ("started_at", "ended_at"))


def _ledger_of(known: pd.DataFrame, changes: pd.DataFrame) -> pd.DataFrame:
    """Account for every call that was handed in, in every field that is corrected."""
    parts = []
    for name in changes["field"].unique().tolist():
        rest = known.loc[~known["id"].isin(changes.loc[changes["field"].eq(name), "call_id"])]
        seconds = float(rest["duration_seconds"].sum()) if name == "duration_seconds" else None
        parts.append(
            {
                "field": name,
                "explanation": NOT_CORRECTED,
                "is_corrected": False,
                "n_calls": len(rest),
                "before_s": seconds,
                "change_s": None if seconds is None else 0.0,
                "after_s": seconds,
            }
        )
    nothing = changes.iloc[:0]
    return account(pd.DataFrame(parts), nothing, changes)
