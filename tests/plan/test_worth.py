"""What changes of seconds are worth is worked out by hand, rate by rate; what is not billed by seconds of talk is refused."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.billing import BILLED_CALLS, BilledSeconds
from sippet_reconcile.demo import sample_data, sample_reconciliation, sample_run
from sippet_reconcile.errors import InputError, ReconcileError
from sippet_reconcile.plan.frames import DISPUTES, to_schema
from sippet_reconcile.plan.worth import checked_card, money_of
from sippet_reconcile.report.money import outside_rows

Row = dict[str, Any]


@pytest.fixture
def card() -> sr.RateCard:
    """Return a card of two currencies, of full minutes and of seconds, and of a price that changes in November."""
    head = [
        "prefix",
        "rate_per_minute",
        "initial_s",
        "increment_s",
        "connect_fee",
        "currency",
        "valid_from",
        "valid_to",
    ]
    rows = [
        ["44", "0.60", "60", "60", "0.05", "GBP", None, "2026-11-01"],
        ["44", "6.00", "60", "60", "0.05", "GBP", "2026-11-01", None],
        ["1202", "1.20", "1", "1", "0", "USD", None, None],
    ]
    return sr.RateCard.from_frame(pd.DataFrame(rows, columns=head), "rates.csv")


def billed(rows: list[Row], *, basis: str = "billable", timezone: str = "UTC") -> BilledSeconds:
    usual = {"started_at": pd.Timestamp("2026-10-05T10:00:00Z"), "to_number": "+442079460123",
             "to_e164": "+442079460123", "sip_username": "ana", "explanation": "zero"}  # fmt: skip
    full = [{"call_id": f"call-{n}", **usual, **row} for n, row in enumerate(rows)]
    return BilledSeconds(to_schema(pd.DataFrame(full), BILLED_CALLS), basis, timezone)


def amounts(frame: pd.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(frame[name] for name in names), strict=True))


def test_each_call_is_rated_before_and_after_by_its_own_rate(card: sr.RateCard) -> None:
    us = {"to_number": "+12025550123", "to_e164": "+12025550123"}
    facts = money_of(billed([{"before_s": 0, "after_s": 61}, {"before_s": 59, "after_s": 60}, {**us, "before_s": 90, "after_s": 30}]), card)  # fmt: skip
    # 61 s are two minutes and the fee; 59 and 60 s one minute each; of 90 seconds at 1.20 sixty are taken away.
    names = ("currency", "billed_s_before", "billed_s_after", "cost_before", "cost_after", "cost_delta")
    assert amounts(facts.totals, *names) == [
        ("GBP", 60, 180, Decimal("0.65"), Decimal("1.90"), Decimal("1.25")),
        ("USD", 90, 30, Decimal("1.80"), Decimal("0.60"), Decimal("-1.20")),
    ]
    assert amounts(facts.calls, "call_id", "cost_delta") == [
        ("call-0", Decimal("1.25")),
        ("call-2", Decimal("-1.20")),
    ]
    assert (facts.card, facts.sha256) == (card.source, card.sha256)


@pytest.mark.parametrize(("zone", "worth"), [("UTC", "0.65"), ("Europe/Berlin", "6.05")])
def test_the_day_of_a_rate_is_that_of_the_zone(card: sr.RateCard, zone: str, worth: str) -> None:
    late = {"started_at": pd.Timestamp("2026-10-31T23:30:00Z"), "before_s": 0, "after_s": 60}
    facts = money_of(billed([late], timezone=zone), card)
    assert facts.totals["cost_delta"].tolist() == [Decimal(worth)]


def test_missing_seconds_before_cost_nothing(card: sr.RateCard) -> None:
    facts = money_of(billed([{"before_s": None, "after_s": 60}]), card)
    assert amounts(facts.totals, "cost_before", "cost_after") == [(Decimal(0), Decimal("0.65"))]


def test_a_call_that_has_no_rate_on_one_side_is_in_no_sum(card: sr.RateCard) -> None:
    far = {"to_number": "+33199000123", "to_e164": "+33199000123"}
    rows = [
        {**far, "before_s": 0, "after_s": 60},
        {**far, "before_s": 60, "after_s": 0},
        {**far, "before_s": 0, "after_s": 0},
    ]
    facts = money_of(billed(rows), card)
    assert facts.totals.empty
    assert amounts(facts.unrated, "reason", "n_calls") == [("no-prefix", 2)]


def test_no_calls_are_worth_nothing(card: sr.RateCard) -> None:
    facts = money_of(billed([{"before_s": 1, "after_s": 1}]), card)
    none = money_of(BilledSeconds(BILLED_CALLS.empty(), "billable", "UTC"), card)
    assert none.totals.empty
    assert none.totals.dtypes.equals(facts.totals.dtypes)


def test_sums_are_those_of_rating_each_side_by_itself(card: sr.RateCard) -> None:
    rows = [
        {"before_s": n % 7 * 13, "after_s": n % 5 * 31, "sip_username": f"user-{n % 3}"} for n in range(200)
    ]
    seconds = billed(rows)
    facts = money_of(seconds, card)
    sides = {}
    for side in ("before", "after"):
        calls = seconds.calls[["call_id", "started_at", "to_e164"]].assign(
            duration_seconds=seconds.calls[f"{side}_s"]
        )
        sides[side] = sum(sr.rate_calls(calls, card)["cost"].tolist(), Decimal(0))
    assert amounts(facts.totals, "cost_before", "cost_after") == [(sides["before"], sides["after"])]
    assert sum(facts.users["cost_delta"].tolist(), Decimal(0)) == sides["after"] - sides["before"]


def test_unbilled_talk_is_rated_where_its_number_is_e164(card: sr.RateCard) -> None:
    at = pd.Timestamp("2026-10-05T10:00:00Z")
    rows = [
        {"kind": "unbilled", "to_number": "+442079460123", "seconds": 60.2, "started_at": at},
        {"kind": "unbilled", "to_number": "020 7946 0123", "seconds": 30.0, "started_at": at},
        {"kind": "wrong", "to_number": "+442079460123", "seconds": 600.0, "started_at": at},
    ]
    facts = money_of(
        billed([{"before_s": 1, "after_s": 1}]), card, disputes=to_schema(pd.DataFrame(rows), DISPUTES)
    )
    found = facts.unbilled.astype("object").where(facts.unbilled.notna(), None)
    assert found[["currency", "reason", "n_calls", "seconds", "billed_s", "cost"]].to_numpy().tolist() == [
        ["GBP", None, 1, 60.2, 120, Decimal("1.25")],
        [None, "no-number", 1, 30.0, None, None],
    ]
    assert facts.totals["cost_after"].tolist() == [Decimal("0.65")]


@pytest.mark.parametrize("basis", ["total", "auto"])
def test_seconds_that_are_not_those_after_the_answer_are_refused(card: sr.RateCard, basis: str) -> None:
    with pytest.raises(InputError, match="not billed by"):
        money_of(billed([{"before_s": 1, "after_s": 1}], basis=basis), card)


def test_what_is_no_rate_card_is_refused_with_what_to_do(card: sr.RateCard) -> None:
    assert checked_card(card) is card
    with pytest.raises(InputError, match=r"not str: read one with RateCard\.from_csv\(path\)"):
        checked_card("rates.csv")


def test_a_call_of_which_nobody_knows_what_it_holds_is_in_no_sum(card: sr.RateCard) -> None:
    seconds = replace(billed([{"before_s": 0, "after_s": 60}] * 2), is_unknown=np.array([False, True]))
    facts = money_of(seconds, card)
    assert facts.totals["n_calls"].tolist() == [1]
    assert amounts(facts.unrated, "reason", "examples") == [("no-seconds", "call-1")]


def test_a_call_without_a_rate_of_which_nobody_knows_what_it_holds_lacks_the_rate(card: sr.RateCard) -> None:
    far = {"to_number": "+33199000123", "to_e164": "+33199000123"}
    seconds = replace(billed([{**far, "before_s": 0, "after_s": 60}]), is_unknown=np.array([True]))
    assert amounts(money_of(seconds, card).unrated, "reason", "n_calls") == [("no-prefix", 1)]


@pytest.mark.parametrize("unbilled", [False, True])
def test_sums_beyond_what_money_is_counted_in_are_refused(card: sr.RateCard, unbilled: bool) -> None:
    long = {"seconds": 10.0**13, "kind": "unbilled", "to_number": "+442079460123", "started_at": "2026-12-01T00:00:00Z"}  # fmt: skip
    rows = [
        {
            "before_s": 0,
            "after_s": 1 if unbilled else 10**13,
            "started_at": pd.Timestamp("2026-12-01T00:00:00Z"),
        }
    ]
    disputes = to_schema(pd.DataFrame([long] * 6), DISPUTES)
    with pytest.raises(InputError, match="costs"):
        money_of(billed(rows * 6), card, disputes=disputes if unbilled else None)


def test_talk_that_nobody_bills_in_the_sample_month_is_rated_where_its_number_is_known() -> None:
    rec = sample_reconciliation()
    card = sr.RateCard.from_csv(sample_data() / "rates.csv")
    money = sr.build_plan(rec).dry_run(card).facts.money
    assert money is not None
    alone = rec.only_in_cdr.loc[rec.only_in_cdr["is_answered"] & rec.only_in_cdr["billable_s"].gt(0)]
    rated = sr.rate_calls(alone, card, timezone="Europe/London")
    by_currency = {
        code: (len(part), sum(part["cost"], Decimal(0)))
        for code, part in rated.loc[rated["cost"].notna()].groupby("currency")
    }
    told = money.unbilled.loc[money.unbilled["currency"].notna()]
    assert by_currency
    assert by_currency == {code: (n, cost) for code, n, cost in amounts(told, "currency", "n_calls", "cost")}
    assert money.unbilled["n_calls"].sum() == len(alone)


def test_unbilled_talk_of_which_the_plan_keeps_no_row_is_counted_as_not_rated(card: sr.RateCard) -> None:
    row = {"kind": "unbilled", "to_number": "+442079460123", "seconds": 60.0, "started_at": "2026-10-05T10:00:00Z"}  # fmt: skip
    kept = to_schema(pd.DataFrame([row]), DISPUTES)
    seconds = billed([{"before_s": 1, "after_s": 1}])
    facts = money_of(seconds, card, disputes=kept, counted=(3, 75.5))
    names = ("reason", "n_calls", "seconds", "cost")
    rows = facts.unbilled.astype(object).where(facts.unbilled.notna(), None)
    assert amounts(rows, *names) == [(None, 1, 60.0, Decimal("0.65")), ("not-kept", 2, 15.5, None)]
    whole = money_of(seconds, card, disputes=kept, counted=(1, 60.0))
    assert whole.unbilled.dtypes.equals(facts.unbilled.dtypes)
    assert whole.unbilled["n_calls"].tolist() == [1]
    told = outside_rows(facts)["meaning"].tolist()
    assert told[1] == "the plan counts these and has no row of them, so they were not rated"


def test_calls_that_do_not_tie_out_with_the_ledger_are_worth_nothing(card: sr.RateCard) -> None:
    seconds = replace(billed([{"before_s": 0, "after_s": 60}]), sums={"n_calls": 1.0, "after_s": 61.0})
    with pytest.raises(ReconcileError, match="does not tie out with the ledger"):
        money_of(seconds, card)


def test_a_dry_run_tells_the_money_that_billing_impact_tells() -> None:
    plan = sr.build_plan(sample_reconciliation())
    card = sr.RateCard.from_csv(sample_data() / "rates.csv")
    money = plan.dry_run(card).facts.money
    assert money is not None
    names = ["n_calls", "billed_s_delta", "cost_before", "cost_after", "cost_delta"]
    for by, frame in ((("explanation",), money.causes), (("sip_username",), money.users), ((), money.totals)):
        keys = [*by, "currency"]
        theirs = sr.billing_impact(plan, card, by=by).set_index(keys)[names].astype("object").to_dict("index")
        ours = frame.set_index(keys)[names].astype("object").to_dict("index")
        assert ours
        for key, row in ours.items():
            assert theirs[key] == row


def test_a_whole_run_is_worth_what_its_plan_was() -> None:
    head = {"prefix": ["*"], "rate_per_minute": ["0.6"], "initial_s": [1], "increment_s": [1], "connect_fee": ["0"],
            "currency": ["GBP"], "valid_from": [None], "valid_to": [None]}  # fmt: skip
    every = sr.RateCard.from_frame(pd.DataFrame(head), "all")
    with sample_run() as (run, _):
        ahead = run.report(every).summary["money"]["by_currency"]["GBP"]["cost_delta"]  # type: ignore[index]
        assert run.plan is not None
        forth = run.plan.dry_run(every).facts.money
        assert forth is not None
        assert forth.totals["cost_delta"].tolist() == [ahead]
        assert "Invoices" in run.plan.dry_run(every).verdict


def test_a_revert_whose_log_has_no_numbers_says_so_instead_of_a_sum(card: sr.RateCard) -> None:
    with sample_run() as (run, _):
        report = sr.revert_run(run).dry_run(card)
    assert report.facts.money is not None
    assert amounts(report.facts.money.unrated, "reason", "n_calls") == [("no-number", 3)]
    assert "3 calls cannot be rated. What this is worth cannot be told." in report.verdict
