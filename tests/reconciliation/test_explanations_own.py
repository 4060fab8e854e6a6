"""Explanations that users add: what they may look at, where they stand, and what an error tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.errors import InputError
from sippet_reconcile.reconciliation.explaining.causes import EXPLANATIONS
from sippet_reconcile.reconciliation.explaining.registry import current_explanations, find_explanation

SAYS: dict[str, Any] = {"fields": "duration_seconds", "claim": "It is so.", "phrase": "are so"}


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    with sr.temporary_explanations():
        yield
    assert current_explanations() == EXPLANATIONS


def shown(comparison: Any) -> list[tuple[str, str | None]]:
    frame = comparison.discrepancies
    return [
        (lead, None if pd.isna(also) else also)
        for lead, also in frame[["explanation", "also"]].itertuples(index=False)
    ]


def zeros(matched: Any, row: Any, count: int = 1, **call: Any) -> Any:
    return matched([row(call={"duration_seconds": 0, "status": "hungup", **call})] * count)


def test_one_that_is_added_leads_where_it_is_put_and_else_stands_last(matched: Any, row: Any) -> None:
    @sr.explanation("first", before="zero", **SAYS)
    def first(e: sr.Evidence) -> Any:
        return np.ones(len(e), bool)

    @sr.explanation("last", **SAYS)
    def last(e: sr.Evidence) -> Any:
        return [True] * len(e)

    built = matched([row(call={"duration_seconds": 0, "status": None}), row(call={"duration_seconds": 99})])
    comparison = built.compare()
    is_duration = comparison.discrepancies["field"] == "duration_seconds"
    assert comparison.discrepancies.loc[is_duration, "explanation"].tolist() == ["first", "first"]
    assert comparison.discrepancies.loc[is_duration, "also"].tolist() == ["zero; last", "last"]
    assert first.__name__ == "first"
    assert find_explanation("first").phrase == "are so"


def test_running_a_cell_again_replaces_its_function_where_it_stands(matched: Any, row: Any) -> None:
    def cell(*, holds: bool) -> None:
        @sr.explanation("mine", before="zero", **SAYS)
        def mine(e: sr.Evidence) -> Any:
            return np.full(len(e), holds)

    cell(holds=True)
    assert shown(zeros(matched, row).compare())[-1] == ("mine", "zero")
    cell(holds=False)
    assert shown(zeros(matched, row).compare())[-1] == ("zero", None)
    assert [known.name for known in current_explanations()].count("mine") == 1


def test_a_cell_run_again_without_a_place_keeps_the_one_it_had() -> None:
    def cell(before: str | None) -> None:
        @sr.explanation("mine", before=before, **SAYS)
        def mine(e: sr.Evidence) -> Any:
            return np.zeros(len(e), bool)

    cell("zero")
    places = [known.name for known in current_explanations()]
    cell(None)
    assert [known.name for known in current_explanations()] == places
    cell("minutes")
    names = [known.name for known in current_explanations()]
    assert names.index("mine") == names.index("minutes") - 1


@pytest.mark.parametrize(
    "name", ["zero", "off-by-{n}s", "off-by-7200s", "off-by-{n}", "unexplained", "no evidence", "agreeing"]
)
def test_no_name_of_the_packages_own_is_replaced(name: str) -> None:
    if name == "off-by-{n}":  # another form, which no built-in name has
        sr.explanation(name, **SAYS)(lambda e: np.zeros(len(e), int))
        return
    with pytest.raises(InputError, match="exists already; choose another name"):
        sr.explanation(name, **SAYS)(lambda e: np.zeros(len(e), bool))


def test_another_function_does_not_take_a_name_over() -> None:
    @sr.explanation("mine", **SAYS)
    def one(e: sr.Evidence) -> Any:
        return np.zeros(len(e), bool)

    with pytest.raises(InputError, match=r"exists already by .*one; choose another name"):

        @sr.explanation("mine", **SAYS)
        def other(e: sr.Evidence) -> Any:
            return np.zeros(len(e), bool)


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"fields": "duration"}, "names the fields 'duration'; allowed are: status, duration_seconds"),
        ({"fields": ()}, "names no field"),
        ({"claim": "no full stop"}, "one sentence that ends in a full stop"),
        ({"phrase": " "}, "write how '12 of 90 wrong durations' goes on"),
        ({"before": "nothing"}, "no explanation is named 'nothing'; there are: never-ended"),
        ({"before": "mine"}, "no explanation is named 'mine'"),
        ({"name": "a; b"}, "a text without ';'"),
        ({"name": ""}, "a text without ';'"),
    ],
)
def test_what_is_said_wrongly_is_refused_at_once(said: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        sr.explanation(**{"name": "mine", **SAYS, **said})(lambda e: np.zeros(len(e), bool))


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(InputError, match="put it above a function of the evidence"):
        sr.explanation("mine", **SAYS)("text")  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("result", "complaint"),
    [
        (lambda e: np.ones(len(e) + 1, bool), "returned 3 elements for 2 rows"),
        (lambda _: True, "one flag per row"),
        (lambda _: None, "one flag per row"),
        (lambda e: np.ones((len(e), 1), bool), "one flag per row"),
        (lambda e: e.call_s, "returned float64 values; return an array with one flag per row"),
        (lambda e: np.array(["yes"] * len(e)), "one flag per row"),
        (lambda e: e.nothing, "failed: AttributeError"),
        (lambda e: e.cdr("x_trnk"), "failed: InputError: the CDR calls have no column 'x_trnk'"),
        (lambda e: e.call_s.__setitem__(0, 1.0), "failed: ValueError: assignment destination is read-only"),
    ],
)
def test_an_error_names_the_explanation_and_what_to_do(
    matched: Any, row: Any, result: Any, complaint: str
) -> None:
    sr.explanation("mine", **SAYS)(result)
    with pytest.raises(
        InputError, match=rf"the explanation 'mine' \(.*\), looking at duration_seconds,.*{complaint}"
    ):
        zeros(matched, row, 2).compare()


@pytest.mark.parametrize(
    ("result", "complaint"),
    [
        (lambda e: e.call_s + 0.5, "one whole number, zero or more per row"),
        (lambda e: np.full(len(e), -3), "returned -3"),
        (lambda e: np.ones(len(e), bool), "returned bool values"),
    ],
)
def test_a_name_with_a_number_wants_whole_numbers(
    matched: Any, row: Any, result: Any, complaint: str
) -> None:
    sr.explanation("by-{n}-steps", **SAYS)(result)
    with pytest.raises(InputError, match=complaint):
        zeros(matched, row).compare()


def test_a_number_in_the_name_is_what_the_function_returns(matched: Any, row: Any) -> None:
    sr.explanation("by-{n}-steps", **SAYS)(lambda _: pd.Series([2, None, 5, 2], dtype="Int64"))
    found = matched([row(call={"duration_seconds": 37})] * 4).compare()
    assert [lead for lead, _ in shown(found)] == ["by-2-steps", "unexplained", "by-5-steps", "by-2-steps"]
    assert find_explanation("by-5-steps").phrase == "are so"


@pytest.mark.parametrize("kind", ["boolean", "object", "list"])
def test_a_missing_flag_does_not_hold(matched: Any, row: Any, kind: str) -> None:
    flags: Any = [True, None, False]
    sr.explanation("mine", **SAYS)(lambda _: flags if kind == "list" else pd.Series(flags, dtype=kind))
    found = matched([row(call={"duration_seconds": 37})] * 3).compare()
    assert [lead for lead, _ in shown(found)] == ["mine", "unexplained", "unexplained"]


def test_columns_of_either_side_come_in_the_order_of_the_rows(matched: Any, row: Any) -> None:
    built = matched(
        [row(call={"duration_seconds": 37, "call_source": f"s{n}"}, cdr={"cause": f"c{n}"}) for n in range(3)]
    )
    built = type(built)(
        built.calls, built.cdr_calls.assign(x_trunk=["a", "b", "c"]), built.pairs.where(np.array([2, 0]))
    )
    seen: dict[str, list[Any]] = {}

    @sr.explanation("mine", **SAYS)
    def mine(e: sr.Evidence) -> Any:
        seen["call"], seen["cdr"] = e.call("call_source").tolist(), e.cdr("x_trunk").tolist()
        seen["ended"] = (e.cdr("ended_at") - e.call("ended_at")).dt.total_seconds().tolist()
        return e.cdr("x_trunk").eq("c") & (e.call_s < e.basis_s)

    # The CDR's clock is ten seconds ahead, as the rules say.
    rules = sr.Rules(duration="billable", clock_offset_s=10)
    found = built.compare(rules).discrepancies
    of_duration = found[found["field"] == "duration_seconds"]
    assert seen == {"call": ["s2", "s0"], "cdr": ["c", "a"], "ended": [-10.0, -10.0]}
    assert of_duration["explanation"].tolist() == ["mine", "unexplained"]


def test_one_that_was_added_can_be_taken_out_and_a_built_in_one_cannot() -> None:
    sr.explanation("mine", **SAYS)(lambda e: np.zeros(len(e), bool))
    sr.remove_explanation("mine")
    assert current_explanations() == EXPLANATIONS
    with pytest.raises(InputError, match="no explanation named 'mine' was added; added are: none"):
        sr.remove_explanation("mine")
    with pytest.raises(InputError, match="'zero' is built in and stays"):
        sr.remove_explanation("zero")


def test_what_is_added_within_a_context_is_forgotten_even_after_an_error() -> None:
    def cell() -> None:
        with sr.temporary_explanations():
            sr.explanation("mine", **SAYS)(lambda e: np.zeros(len(e), bool))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cell()
    assert find_explanation("mine") is None


def test_reconciling_uses_what_was_added_and_plans_give_its_claim(reconciled: Any, at: Any) -> None:
    sr.explanation("mine", **{**SAYS, "claim": "The gateway did it."}, before="ring-time-included")(
        lambda e: e.cdr("x_trunk").eq("north")
    )
    legs = [
        {
            "call_key": f"uuid-{n}", "leg_id": f"uuid-{n}", "started_at": at(600 * n), "answered_at": at(600 * n + 9),
            "ended_at": at(600 * n + 69), "total_s": 69, "billable_s": 60, "x_trunk": trunk,
        }
        for n, trunk in enumerate(["north", "south"])
    ]  # fmt: skip
    calls = [
        {
            "call_uuid": f"uuid-{n}",
            "started_at": at(600 * n),
            "ended_at": at(600 * n + 69),
            "duration_seconds": 33,
        }
        for n in range(2)
    ]
    rec = reconciled(legs, calls)
    assert rec.discrepancies["explanation"].tolist() == ["mine", "unexplained"]
    plan = sr.build_plan(rec, fields=["duration_seconds"], max_share=None)
    assert "The gateway did it." in plan.changes["reason"].iloc[0]
