"""Hold what a plan would change, call by call, without an object for each of its calls.

Input is a plan, output are its calls in plan order: a sequence that keeps columns and
makes a `PlannedCall` only of those that are asked for, so that a plan of a hundred
thousand changes takes hardly more memory to carry out than one of a thousand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.apply.decisions import PlannedCall
from sippet_reconcile.plan.whole_record import RecordRule
from sippet_reconcile.schema import text_array
from sippet_reconcile.values import instants_to_text, parse_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from sippet_reconcile.apply.decisions import Problem, Texts
    from sippet_reconcile.plan import Plan

__all__ = ["PlannedCalls", "planned_calls", "whole_record_problem"]

_TEXTS: Final = ("call_uuid", "field", "before", "after", "explanation", "reason", "source_file")
_AT_ONCE: Final = 1_000
_COMMA: Final = pa.scalar(",", pa.large_string())
_NOTHING: Final = pa.scalar("", pa.large_string())


class PlannedCalls(Sequence[PlannedCall]):
    """The calls of a plan in plan order; see `planned_calls`.

    ``calls[i]``, ``calls[i:j]``, `take` and iteration make the objects anew each time.

    Parameters
    ----------
    changes
        `schema.CHANGES`; a call's place is that of its first change.
    calls
        By call id: ``started_at``, text in API form, and what the CDR says,
        ``is_answered_cdr`` and ``status_cdr``.
    """

    def __init__(self, changes: pd.DataFrame, calls: pd.DataFrame) -> None:
        codes, ids = pd.factorize(changes["call_id"])
        order = np.argsort(codes, kind="stable")
        rows = changes.iloc[order]
        self.ids: pd.Series[str] = pd.Series(ids, dtype="str")
        """The call ids in plan order, numbered from 0."""
        self._bounds: NDArray[np.int64] = np.concatenate(
            [np.zeros(1, np.int64), np.cumsum(np.bincount(codes, minlength=len(ids)))]
        )
        self._rows = pa.table(
            [text_array(rows[name]) for name in _TEXTS]
            + [pa.array(rows["source_row"].array, pa.int64(), from_pandas=True)],
            names=[*_TEXTS, "source_row"],
        )
        known = calls.reindex(self.ids)
        self._calls = pa.table(
            {
                "started_at": text_array(known["started_at"]),
                "is_answered": pa.array(known["is_answered_cdr"].array, pa.bool_(), from_pandas=True),
                "status_cdr": text_array(known["status_cdr"]),
            }
        )

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, place: int) -> PlannedCall: ...

    @overload
    def __getitem__(self, place: slice) -> list[PlannedCall]: ...

    def __getitem__(self, place: int | slice) -> PlannedCall | list[PlannedCall]:
        chosen = range(len(self))[place]
        return self.take(chosen) if isinstance(chosen, range) else self.take([chosen])[0]

    def __iter__(self) -> Iterator[PlannedCall]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self[start : start + _AT_ONCE]

    def take(self, places: Iterable[int]) -> list[PlannedCall]:
        """Return the calls at these places, in the order of the places."""
        chosen = np.fromiter(places, np.int64)
        first, n_rows = self._bounds[chosen], np.diff(self._bounds)[chosen]
        # The rows of each chosen call, one call behind the other.
        ends = np.cumsum(n_rows)
        rows = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - (ends - n_rows), n_rows)
        columns: dict[str, list[Any]] = self._rows.take(rows).to_pydict()
        ids = self.ids.iloc[chosen].tolist()
        known: dict[str, list[Any]] = self._calls.take(pa.array(chosen)).to_pydict()
        calls = []
        for place, end in enumerate(ends.tolist()):
            own = slice(end - int(n_rows[place]), end)
            fields = columns["field"][own]
            calls.append(
                PlannedCall(
                    call_id=ids[place],
                    call_uuid=columns["call_uuid"][own.start],
                    before=dict(zip(fields, columns["before"][own], strict=True)),
                    after=dict(zip(fields, columns["after"][own], strict=True)),
                    started_at=known["started_at"][place],
                    explanation=_joined(columns["explanation"][own]),
                    reason=_joined(columns["reason"][own]),
                    source_file=columns["source_file"][own.start],
                    source_row=columns["source_row"][own.start],
                    is_answered=known["is_answered"][place],
                    status_cdr=known["status_cdr"][place],
                )
            )
        return calls

    def as_json(self, side: str) -> str:
        """Return the values of all calls on one side as one JSON object of objects, in plan order.

        Parameters
        ----------
        side
            ``before`` or ``after``.
        """
        if not len(self):
            return "{}"
        fields = self._rows.column("field")
        members = _members(fields, self._rows.column(side))
        # Within a call the fields are sorted, as in every other JSON of the log.
        owners = np.repeat(np.arange(len(self)), np.diff(self._bounds))
        order = np.lexsort((pc.rank(fields, tiebreaker="dense").to_numpy(), owners))
        by_call = pa.ListArray.from_arrays(pa.array(self._bounds, pa.int32()), members.take(pa.array(order)))
        names = pa.array([f"{_json(call_id)}:{{" for call_id in self.ids], pa.large_string())
        objects = pc.binary_join_element_wise(names, pc.binary_join(by_call, _COMMA), _NOTHING)
        return "{" + "},".join(objects.to_pylist()) + "}}"


def planned_calls(plan: Plan) -> PlannedCalls:
    """Return a plan's calls in plan order, each with all its changes.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> from sippet_reconcile.sandbox import Sandbox
    >>> with Sandbox(sample_data() / "api" / "calls.json") as api, sr.Client(api.url, token=api.token) as client:
    ...     calls = client.fetch_calls("2026-10").query("duration_seconds > 60").head(3)
    >>> fix = calls[["id"]].rename(columns={"id": "call_id"}).assign(duration_seconds=60)
    >>> planned = planned_calls(sr.plan_corrections(calls, fix, reason="ticket 4711"))
    >>> len(planned), planned[0].after, [call.call_id for call in planned[1:]] == planned.ids.tolist()[1:]
    (3, {'duration_seconds': '60'}, True)
    """
    calls = plan.calls.drop_duplicates("call_id", keep="last")
    known = calls[["is_answered_cdr", "status_cdr"]].assign(started_at=instants_to_text(calls["started_at"]))
    return PlannedCalls(plan.changes, known.set_axis(pd.Index(calls["call_id"])))


def whole_record_problem(plan: Plan) -> Problem:
    """Return what judges a call of a plan as it would stand after its PATCH, on top of what was just read.

    A revert puts back what there was, consistent or not, so nothing is ever wrong with one.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from sippet_reconcile.reconciliation import Rules
    >>> problem = whole_record_problem(SimpleNamespace(kind="corrections", rules=Rules()))
    >>> end = {"ended_at": "2026-10-01T07:59:00Z"}
    >>> call = PlannedCall("c", None, {"ended_at": None}, end, None, None, None, None, None)
    >>> problem(call, {"started_at": "2026-10-01T08:00:00Z", "ended_at": None})
    'as corrected, the call would end before it starts'
    """
    if plan.kind == "revert":
        return lambda planned, observed: None  # noqa: ARG005 - a judge that never finds anything
    rule = RecordRule(plan.rules)

    def problem(planned: PlannedCall, observed: Texts) -> str | None:
        # What the plan itself writes wins over what was read.
        record = observed | planned.after
        return rule.problem(record, is_answered=planned.is_answered, status_cdr=planned.status_cdr)

    return problem


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _members(fields: pa.ChunkedArray, texts: pa.ChunkedArray) -> pa.LargeStringArray:
    """Return each value as a member of a JSON object, ``"field":value``; each kind of member is made once."""
    names, texts = (column.combine_chunks().dictionary_encode("encode") for column in (fields, texts))
    pairs = names.indices.to_numpy() * np.int64(len(texts.dictionary)) + texts.indices.to_numpy()
    kinds, places = np.unique(pairs, return_inverse=True)
    known_names, known_texts = names.dictionary.to_pylist(), texts.dictionary.to_pylist()
    made = []
    for kind in kinds.tolist():
        name, text = (known_names[kind // len(known_texts)], known_texts[kind % len(known_texts)])
        made.append(f"{_json(name)}:{_json(parse_value(name, text))}")
    return pa.array(made, pa.large_string()).take(pa.array(places))


def _joined(texts: Sequence[str | None]) -> str | None:
    return "; ".join(dict.fromkeys(text for text in texts if text is not None)) or None
