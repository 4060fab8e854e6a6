"""The basis of durations and billed increments: of the whole, of a part, and what too few calls leave open."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sippet_reconcile.reconciliation.diagnosing import basis as basis_module
from sippet_reconcile.reconciliation.diagnosing import increments
from sippet_reconcile.reconciliation.diagnosing.basis import find_duration_basis, resolve_duration
from sippet_reconcile.reconciliation.diagnosing.increments import find_rounded_durations
from sippet_reconcile.reconciliation.diagnosing.parts import is_an_id, split_by
from sippet_reconcile.reconciliation.diagnosing.verdict import Outcome
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Sides

AUTO, BILLABLE = Rules(), Rules(duration="billable")


def basis_of(built: Any, rules: Rules = AUTO) -> Any:
    return find_duration_basis(resolve_duration(built.calls, built.cdr_calls, built.pairs, rules)[1])


def rounding_of(built: Any, rules: Rules = BILLABLE) -> Any:
    return find_rounded_durations(Sides.of(built.calls, built.cdr_calls, built.pairs, rules).exact(), rules)


def speaking(row: Any, n: int, says: str, **cdr: Any) -> list[Any]:
    """Rows that tell: 60 seconds of talk, 70 with ringing."""
    return [row(call={"duration_seconds": 60 if says == "billable" else 70}, cdr=cdr) for _ in range(n)]


def with_trunks(built: Any, trunks: list[str | None]) -> Any:
    kept = built.cdr_calls.assign(x_trunk=pd.Series(trunks, dtype="str"))
    return type(built)(built.calls, kept, built.pairs)


def test_too_few_telling_calls_are_counted_beside_what_it_takes(matched: Any, row: Any) -> None:
    verdict = basis_of(matched(speaking(row, 12, "billable")), BILLABLE)
    assert (verdict.outcome, verdict.n_looked_at, verdict.n_needed) == (Outcome.TOO_FEW, 12, 200)


def test_without_ids_so_many_calls_contradict_a_pinned_basis_and_decide_none(matched: Any, row: Any) -> None:
    def by_numbers(n: int, says: str) -> Any:
        seconds = {"duration_seconds": 60 if says == "billable" else 70}
        return matched([row(call=seconds, rule=2) for _ in range(n)])

    finding = basis_of(by_numbers(200, "total"), BILLABLE).finding
    assert finding.severity == "stop"
    assert "of 200 telling calls 0 agree with billable and 200 with total seconds" in finding.message
    assert finding.cure == {"duration": "total"}
    assert basis_of(by_numbers(200, "billable"), BILLABLE).finding is None
    assert basis_of(by_numbers(199, "total"), BILLABLE).finding is None
    # What the rules leave open is decided by ids alone.
    assert "of 0 telling calls" in basis_of(by_numbers(200, "total")).finding.message


def test_an_undecided_basis_names_the_files_that_speak_either_way(matched: Any, row: Any) -> None:
    rows = speaking(row, 150, "billable", source_file="a.csv") + speaking(
        row, 90, "total", source_file="b.csv"
    )
    finding = basis_of(matched(rows)).finding
    assert finding.severity == "stop"
    assert "150 agree with billable and 90 with total" in finding.message
    assert "a.csv (150 of 150 billable)" in finding.message
    assert "b.csv (90 of 90 total)" in finding.message
    rows = finding.evidence[["part", "value", "n_telling", "n_billable", "n_total", "says"]]
    assert rows.iloc[1:].to_numpy().tolist() == [
        ["source_file", "a.csv", 150, 150, 0, "billable"],
        ["source_file", "b.csv", 90, 0, 90, "total"],
    ]
    assert finding.cure == {}


def test_a_kept_column_tells_two_systems_apart_where_the_file_does_not(matched: Any, row: Any) -> None:
    built = matched(speaking(row, 150, "billable") + speaking(row, 150, "total"))
    finding = basis_of(with_trunks(built, ["north"] * 150 + ["south"] * 150)).finding
    assert "They part by x_trunk" in finding.message
    mixed = basis_of(with_trunks(built, (["north", "south"] * 150))).finding
    assert "They part by" not in mixed.message


def test_users_too_small_to_speak_do_not_make_a_split_pure(matched: Any, row: Any) -> None:
    rows = [
        row(call={"duration_seconds": 60 + 10 * (n % 2), "sip_username": f"u{n % 30}"}) for n in range(300)
    ]
    assert "They part by" not in basis_of(matched(rows)).finding.message


@pytest.mark.parametrize(
    ("rules", "n_against", "severity"),
    [
        (AUTO, 200, "stop"),
        (AUTO, 60, "warn"),
        (AUTO, 40, "info"),
        (BILLABLE, 200, "warn"),
        (BILLABLE, 40, None),
    ],
)
def test_a_part_that_says_the_opposite_is_named(
    matched: Any, row: Any, *, rules: Rules, n_against: int, severity: str | None
) -> None:
    rows = speaking(row, 20 * n_against, "billable", source_file="a.csv")
    rows += speaking(row, n_against, "total", source_file="b.csv")
    finding = basis_of(matched(rows), rules).finding
    assert (finding and finding.severity) == severity
    if n_against >= 60:
        assert f"b.csv ({n_against} of {n_against} total)" in finding.message


def test_wrong_calls_that_are_everywhere_are_no_part(matched: Any, row: Any) -> None:
    rows = [
        row(call={"duration_seconds": 70 if n % 25 == 0 else 60}, cdr={"source_file": f"{n % 2}.csv"})
        for n in range(2500)
    ]
    assert basis_of(matched(rows)).finding.severity == "info"


def test_a_part_is_found_behind_a_sample_too(matched: Any, row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        basis_module, "evenly", lambda size: np.linspace(0, size - 1, min(size, 100)).astype(np.int64)
    )
    rows = speaking(row, 2000, "billable", source_file="a.csv") + speaking(
        row, 60, "total", source_file="b.csv"
    )
    assert basis_of(matched(rows)).finding.severity == "warn"


def test_a_basis_that_the_data_contradict_has_a_cure(matched: Any, row: Any) -> None:
    assert basis_of(matched(speaking(row, 210, "total")), BILLABLE).finding.cure == {"duration": "total"}
    assert basis_of(matched(speaking(row, 210, "total"))).finding.cure == {"duration": "total"}


# Increments.


def billed(talk: int, initial: int, step: int) -> float:
    return float(initial if talk <= initial else initial + -(-(talk - initial) // step) * step)


def lengths(n: int) -> list[int]:
    return [int(s) + 2 for s in np.random.default_rng(4).exponential(90, n)]


@pytest.mark.parametrize(("initial", "step"), [(6, 6), (10, 10), (12, 12), (15, 15), (20, 20), (30, 30), (60, 60), (60, 6), (30, 6), (60, 1), (60, 30)])  # fmt: skip
def test_any_increment_is_measured_with_its_first(matched: Any, row: Any, *, initial: int, step: int) -> None:
    rows = [row(talk=s, cdr={"billable_s": billed(s, initial, step)}) for s in lengths(300)]
    finding = rounding_of(matched(rows)).finding
    assert finding.severity == "stop"
    assert finding.evidence[["part", "initial_s", "increment_s"]].to_numpy().tolist() == [
        ["all", initial, step]
    ]
    assert finding.cure == {"duration_tolerance_s": max(initial, step) - 1}


def test_a_cdr_with_answer_and_end_is_better_read_again(matched: Any, row: Any) -> None:
    rows = [row(talk=s, cdr={"billable_s": billed(s, 30, 30)}) for s in lengths(100)]
    assert "without its billed column" in rounding_of(matched(rows)).finding.advice
    blind = [row(talk=s, cdr={"billable_s": billed(s, 30, 30), "answered_at": None}) for s in lengths(100)]
    assert "without its billed column" not in rounding_of(matched(blind)).finding.advice


def test_a_tolerance_that_covers_the_increment_leaves_the_stop_and_no_cure(matched: Any, row: Any) -> None:
    rows = [row(talk=s, cdr={"billable_s": billed(s, 6, 6)}) for s in lengths(100)]
    finding = rounding_of(matched(rows), Rules(duration="billable", duration_tolerance_s=5)).finding
    assert (finding.severity, finding.cure) == ("stop", {})
    assert "leave duration_seconds out" in finding.advice


def test_one_carriers_file_among_others_is_found(matched: Any, row: Any) -> None:
    rows = []
    for n, s in enumerate(lengths(400)):
        cdr = (
            {"source_file": "b.csv", "billable_s": billed(s, 60, 60)}
            if n % 4 == 0
            else {"source_file": "a.csv"}
        )
        rows.append(row(talk=s, cdr=cdr))
    finding = rounding_of(matched(rows)).finding
    assert finding.evidence[["part", "value", "n_calls", "increment_s"]].to_numpy().tolist() == [
        ["source_file", "b.csv", 100, 60]
    ]
    assert "b.csv (60, 100 calls)" in finding.message


def test_a_rounded_trunk_is_found_behind_a_sample_too(
    matched: Any, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        increments,
        "evenly",
        lambda size, count=20: np.linspace(0, size - 1, min(size, count)).astype(np.int64),
    )
    rows, trunks = [], []
    for n, s in enumerate(lengths(2000)):
        trunks.append("south" if n % 25 == 0 else "north")
        rows.append(row(talk=s, cdr={"billable_s": billed(s, 30, 30)} if n % 25 == 0 else {}))
    finding = rounding_of(with_trunks(matched(rows), trunks)).finding
    assert finding.evidence[["part", "value"]].to_numpy().tolist() == [["x_trunk", "south"]]


def test_real_lengths_that_are_few_or_even_are_not_accused(matched: Any, row: Any) -> None:
    announcements = [30, 60, 90, 120, 150, 180, 240, 300]
    # The API counts the ringing; the CDR's seconds are real, and its own stamps say so.
    ringing = [
        row(
            ring=7 + n % 11,
            talk=announcements[n % 8],
            call={"duration_seconds": announcements[n % 8] + 7 + n % 11},
        )
        for n in range(400)
    ]
    assert rounding_of(matched(ringing)).outcome is Outcome.NOTHING
    alike = [
        row(talk=s, cdr={"billable_s": billed(s, 6, 6)}, call={"duration_seconds": int(billed(s, 6, 6))})
        for s in lengths(300)
    ]
    assert rounding_of(matched(alike)).finding is None
    half_minutes = [row(talk=30 * (1 + n % 9)) for n in range(300)]
    assert rounding_of(matched(half_minutes)).finding is None
    at_least_a_minute = [row(talk=60 + s) for s in lengths(300)]
    assert rounding_of(matched(at_least_a_minute)).finding is None


def test_fewer_than_fifty_lengths_are_not_enough(matched: Any, row: Any) -> None:
    verdict = rounding_of(matched([row(talk=s, cdr={"billable_s": billed(s, 60, 60)}) for s in lengths(49)]))
    assert (verdict.outcome, verdict.n_looked_at, verdict.n_needed) == (Outcome.TOO_FEW, 49, 50)


def test_a_kept_column_with_a_value_per_call_splits_nothing(matched: Any, row: Any) -> None:
    built = matched(speaking(row, 700, "billable") + speaking(row, 700, "total"))
    built = with_trunks(built, [f"id-{n}" for n in range(1400)])
    sides = Sides.of(built.calls, built.cdr_calls, built.pairs, BILLABLE)
    assert is_an_id(sides, "x_trunk")
    assert split_by(sides, "x_trunk") is None
    assert not is_an_id(sides, "source_file")
    assert "x_trunk" not in set(basis_of(built).finding.evidence["part"])


def test_two_users_that_speak_either_way_do_not_explain_a_mixture_of_all(matched: Any, row: Any) -> None:
    rows = [row(call={"duration_seconds": 60, "sip_username": "a"}) for _ in range(60)]
    rows += [row(call={"duration_seconds": 70, "sip_username": "b"}) for _ in range(60)]
    rows += [
        row(call={"duration_seconds": 60 + 10 * (n // 40 % 2), "sip_username": f"u{n % 40}"})
        for n in range(480)
    ]
    assert "They part by" not in basis_of(matched(rows)).finding.message


def test_lengths_without_any_proof_are_accused_only_where_they_are_many(matched: Any, row: Any) -> None:
    def rows(distinct: int, n: int) -> list[Any]:
        # No stamps, and an API that counts the ringing: nothing says what the real seconds are.
        return [
            row(
                talk=s,
                cdr={"billable_s": float(s), "answered_at": None},
                call={"duration_seconds": s + 7 + k % 11},
            )
            for k in range(n)
            if (s := 30 * (1 + k % distinct))
        ]

    assert rounding_of(matched(rows(8, 400))).finding is None
    assert rounding_of(matched(rows(20, 150))).finding is None
    assert rounding_of(matched(rows(20, 400))).finding.evidence["increment_s"].tolist() == [30]


def test_an_api_that_is_rounded_alike_and_wrong_is_no_matter_of_rounding(matched: Any, row: Any) -> None:
    rows = [
        row(talk=s, cdr={"billable_s": billed(s, 6, 6)}, call={"duration_seconds": int(billed(s + 10, 6, 6))})
        for s in lengths(300)
    ]
    assert rounding_of(matched(rows)).finding is None
