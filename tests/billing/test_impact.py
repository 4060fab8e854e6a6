"""What corrections are worth: against plain loops with Decimal, tied out, and the same whatever it is split by."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.apply.applying import apply_with
from sippet_reconcile.apply.traffic import Tools
from sippet_reconcile.billing import BILLED_CALLS, MONEY, BilledSeconds
from sippet_reconcile.billing.impact import IMPACT_GROUPS
from sippet_reconcile.demo import sample_card, sample_data, sample_reconciliation
from sippet_reconcile.sandbox import Faults, Sandbox

SUMS = [
    "n_calls",
    "billed_s_before",
    "billed_s_after",
    "billed_s_delta",
    "cost_before",
    "cost_after",
    "cost_delta",
]
SPLITS = [
    (),
    *((name,) for name in IMPACT_GROUPS),
    ("day", "prefix"),
    ("explanation", "user", "direction", "name"),
]


# ---------------------------------------------------------------- the slow way


def slow_rate(call, rates, zone):
    """Return the rate that a call falls under, or None and why, by looking at each of the card."""
    number, start = call["to_e164"], call["started_at"]
    if not number:
        return None, "no-number"
    fits = [
        rate
        for rate in rates
        if (rate["prefix"] == "*" or number[1:].startswith(rate["prefix"]))
        and rate["direction"] in {None, call["direction"]}
        and rate["user"] in {None, call["sip_username"]}
    ]
    if not fits:
        return None, "no-prefix"
    if start is None:
        return None, "no-start"
    day = start.astimezone(ZoneInfo(zone)).date()
    fits = [
        rate
        for rate in fits
        if (rate["valid_from"] is None or rate["valid_from"] <= day)
        and (rate["valid_to"] is None or day < rate["valid_to"])
    ]
    if not fits:
        return None, "not-valid-then"
    return max(
        fits,
        key=lambda rate: (
            rate["prefix"] != "*",
            len(rate["prefix"]),
            rate["user"] is not None,
            rate["direction"] is not None,
        ),
    ), None


def slow_cost(seconds, rate):
    """Return billed seconds and cost."""
    if not seconds or seconds <= 0:
        return 0, Decimal(0)
    billed = rate["initial_s"]
    while billed < seconds:
        billed += rate["increment_s"]
    cost = billed * rate["rate_per_minute"] / 60 + rate["connect_fee"]
    return billed, cost.quantize(Decimal("0.000001"), ROUND_HALF_UP)


def plain(frame):
    """Return rows as dictionaries, what is missing as None."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def slow_impact(calls, card, by, zone):
    """Return group to sums, one call after the other; `calls` have seconds ``before`` and ``after``."""
    rates = plain(card.rows)
    groups = defaultdict(lambda: [0, 0, 0, Decimal(0), Decimal(0)])
    unrated = set()
    for call in calls:
        rate, why = slow_rate(call, rates, zone)
        sides = [call["before"] or 0, call["after"] or 0]
        answered = any(seconds > 0 for seconds in sides)
        reason = why if answered else None
        if call.get("lost") and reason is None:
            reason = "no-seconds"
        start = call["started_at"]
        words = {
            "sip_username": call["sip_username"], "user": call["sip_username"], "direction": call["direction"],
            "prefix": rate and rate["prefix"], "name": rate and rate["name"], "explanation": call["explanation"],
            "day": start and str(start.astimezone(ZoneInfo(zone)).date()), "unrated_reason": reason,
        }  # fmt: skip
        key = (*(words[name] for name in by), rate["currency"] if rate and reason is None else None)
        line = groups[key]
        line[0] += 1
        if reason:
            unrated.add(key)
        elif rate:
            for side, seconds in enumerate(sides):
                billed, cost = slow_cost(seconds, rate)
                line[1 + side] += billed
                line[3 + side] += cost
    return {
        key: [n, *([None] * 6 if key in unrated else [b, a, a - b, cb, ca, ca - cb])]
        for key, (n, b, a, cb, ca) in groups.items()
    }


def as_groups(frame, by):
    keys = [*by, "currency"]
    return {tuple(row[name] for name in keys): [row[name] for name in SUMS] for row in plain(frame)}


def calls_of_rec(rec):
    """Return what each compared call is billed by, from the pairs and the discrepancies alone."""
    found = plain(rec.discrepancies.query("field == 'duration_seconds'"))
    wrong = {row["call_id"]: row for row in found}
    lines = []
    for pair in plain(rec.pairs):
        row = wrong.get(pair["call_id"])
        before = pair["duration_seconds_call"]
        lines.append({
            "started_at": pair["started_at_call"] or pair["started_at_cdr"],
            "direction": pair["direction_call"],
            "to_e164": pair["to_e164_call"],
            "sip_username": pair["sip_username_call"] or pair["sip_username_cdr"],
            "explanation": row["explanation"] if row else "alike",
            "before": before,
            "after": int(row["value_cdr"]) if row and row["is_patchable"] else before,
        })  # fmt: skip
    return lines


def calls_of_plan(plan):
    """Return what each call of a plan is billed by, from its changes."""
    changes = plain(plan.changes)
    durations = {row["call_id"]: row for row in changes if row["field"] == "duration_seconds"}
    first = {row["call_id"]: row for row in reversed(changes)}
    lines = {}
    for call in plain(plan.calls):
        row = durations.get(call["call_id"])
        lines[call["call_id"]] = {
            **{name: call[name] for name in ("started_at", "direction", "sip_username")},
            "to_e164": call["to_number"] if (call["to_number"] or "").startswith("+") else None,
            "explanation": (row or first[call["call_id"]])["explanation"],
            "before": int(row["before"])
            if row and row["before"]
            else None
            if row
            else call["duration_seconds"],
            "after": int(row["after"]) if row else call["duration_seconds"],
        }
    return lines


@pytest.fixture(scope="module")
def rec():
    return sample_reconciliation()


@pytest.fixture(scope="module")
def plan(rec):
    return sr.build_plan(rec, fields=("duration_seconds", "ended_at", "status"))


@pytest.mark.parametrize(
    "by", [(), ("prefix",), ("sip_username",), ("day", "direction"), ("unrated_reason",), ("name",)], ids=str
)
def test_a_month_is_worth_what_a_loop_over_its_pairs_adds_up(rec, by):
    expected = slow_impact(calls_of_rec(rec), sample_card(), by, "Europe/London")
    assert as_groups(sr.billing_impact(rec, sample_card(), by), by) == expected


def test_a_month_by_cause_is_the_ledger_in_money(rec):
    worth = sr.billing_impact(rec, sample_card(), "explanation")
    ledger = rec.ledger().query("field == 'duration_seconds'")
    assert (
        worth.groupby("explanation")["n_calls"].sum().to_dict()
        == ledger.groupby("explanation")["n_calls"].sum().to_dict()
    )
    changed = {word: sums for (word, _), sums in as_groups(worth, ["explanation"]).items() if sums[6]}
    expected = slow_impact(calls_of_rec(rec), sample_card(), ["explanation"], "Europe/London")
    assert changed == {word: sums for (word, _), sums in expected.items() if sums[6]}
    assert len(changed) > 5


@pytest.mark.parametrize("by", [(), ("explanation",), ("user", "day"), ("prefix", "direction")], ids=str)
def test_a_plan_is_worth_what_a_loop_over_its_changes_adds_up(plan, by):
    expected = slow_impact(calls_of_plan(plan).values(), sample_card(), by, "Europe/London")
    assert as_groups(sr.billing_impact(plan, sample_card(), by), by) == expected
    smaller = plan.drop(plan.calls["call_id"].head(40))
    expected = slow_impact(calls_of_plan(smaller).values(), sample_card(), by, "Europe/London")
    assert as_groups(sr.billing_impact(smaller, sample_card(), by), by) == expected


def test_a_plan_of_all_that_can_be_corrected_is_worth_what_the_month_is(rec, plan):
    # Of a call that the plan leaves out the month counts the correction, so it is kept out of both.
    duration = rec.discrepancies.query("field == 'duration_seconds' and is_patchable")
    planned = set(plan.changes.query("field == 'duration_seconds'")["call_id"])
    assert planned <= set(duration["call_id"])
    calls = rec.billed_seconds().calls
    same = calls["call_id"].isin(planned)
    of_plan = plan.billed_seconds().calls.set_index("call_id")
    of_rec = calls.loc[same].set_index("call_id")
    columns = ["started_at", "to_e164", "sip_username", "direction", "explanation", "before_s", "after_s"]
    both = of_plan.loc[of_rec.index, columns]
    assert both.fillna({"before_s": 0}).equals(of_rec[columns].fillna({"before_s": 0}))


@pytest.mark.parametrize("subject", ["rec", "plan"])
def test_totals_are_the_same_whatever_they_are_split_by(rec, plan, subject):
    thing = {"rec": rec, "plan": plan}[subject]
    whole = as_groups(sr.billing_impact(thing, sample_card(), ()), ())
    for by in SPLITS:
        parts = sr.billing_impact(thing, sample_card(), by)
        assert not parts[[*by, "currency"]].duplicated().any()
        for (currency,), sums in whole.items():
            rows = parts.loc[parts["currency"].isna() if currency is None else parts["currency"].eq(currency)]
            assert rows["n_calls"].sum() == sums[0]
            if currency is not None:
                assert [rows[name].sum() for name in SUMS] == sums


def test_types_are_those_of_money_also_where_there_is_nothing(rec):
    empty = BilledSeconds(
        BILLED_CALLS.empty(), "billable", "UTC", {"n_calls": 0, "before_s": 0, "change_s": 0, "after_s": 0}
    )
    for subject in (rec, Told(empty)):
        frame = sr.billing_impact(subject, sample_card(), ["user", "prefix", "day"])
        assert [str(frame[name].dtype) for name in ("user", "prefix", "day", "currency")] == ["str"] * 4
        assert [str(frame[name].dtype) for name in SUMS[:4]] == ["Int64"] * 4
        assert [frame[name].dtype for name in SUMS[4:]] == [MONEY] * 3
    assert len(frame) == 0


def test_a_saved_month_is_worth_the_same(rec, tmp_path):
    again = sr.load_reconciliation(rec.save(tmp_path / "october"))
    for by in ("explanation", ("day", "prefix")):
        one, other = (sr.billing_impact(each, sample_card(), by) for each in (rec, again))
        pd.testing.assert_frame_equal(one, other)


# ---------------------------------------------------------------- runs


NAMES = (
    "applied",
    "already",
    "drifted",
    "missing",
    "altered",
    "failed",
    "rejected",
    "pending",
    "pending-too",
)
HELD = {"already": 150, "drifted": 99}
"""What calls were changed to by somebody else, after the plan was made: 150 is what is planned."""


@pytest.fixture(scope="module")
def half_done(tmp_path_factory):
    """A run that stopped at a limit, in which calls came to nearly all that a call can come to."""
    audit = tmp_path_factory.mktemp("audit")
    known = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    mobile = known["to_number"].str.startswith("+447700").fillna(value=False)
    chosen = known.loc[mobile & known["status"].eq("completed") & known["duration_seconds"].gt(160)].head(
        len(NAMES)
    )
    chosen = chosen.sort_values(["started_at", "id"]).reset_index(drop=True)
    with ExitStack() as stack:
        api = stack.enter_context(Sandbox(chosen))
        client = stack.enter_context(sr.Client(api.url, token=api.token))
        ids = dict(zip(NAMES, chosen["id"], strict=True))
        calls = client.get_calls(chosen["id"])
        fix = pd.DataFrame({"call_id": list(ids.values()), "duration_seconds": "150"})
        plan = sr.plan_corrections(calls, fix, reason="ticket 4711").approve(by="ana", note="looked at all")
        order = plan.calls["call_id"].tolist()
        assert order == list(ids.values())
        for name, seconds in HELD.items():
            api.change_call(ids[name], duration_seconds=seconds)
        api.remove_call(ids["missing"])
        script = [None, "ignored", *[500] * 3, 422]
        api.faults = Faults(script=script, methods=("PATCH",))
        run = apply_with(
            Tools(random=lambda: 0.0), plan, client, audit, rate="400/s", limit=4, concurrency=1, on_drift="skip",
            min_approvals=1, max_failures=10, progress=False,
        )  # fmt: skip
        yield run, plan, ids


def test_a_run_is_worth_what_its_log_says_that_the_api_holds(half_done):
    run, plan, ids = half_done
    outcomes = run.records.set_index("call_id")["outcome"].to_dict()
    assert {name: outcomes[ids[name]] for name in NAMES} == {name: name.partition("-")[0] for name in NAMES}
    calls = calls_of_plan(plan)
    for name, call_id in ids.items():
        call = calls[call_id]
        call["before"] = HELD.get(name, call["before"])
        # Only the first call was written; of the missing one nobody knows what it is billed.
        call["after"] = 150 if name == "applied" else call["before"]
        call["lost"] = name == "missing"
    for by in ((), ("user",), ("unrated_reason",), ("day", "explanation")):
        expected = slow_impact(calls.values(), sample_card(), by, "UTC")
        assert as_groups(sr.billing_impact(run, sample_card(), by), by) == expected
        loaded = sr.load_run(run.audit)
        assert loaded.plan is None
        assert as_groups(sr.billing_impact(loaded, sample_card(), by, plan=plan), by) == expected


def test_a_run_from_its_log_asks_for_its_plan_and_takes_no_other(half_done):
    run, plan, _ = half_done
    loaded = sr.load_run(run.audit)
    with pytest.raises(sr.InputError, match=r"Plan\.load"):
        sr.billing_impact(loaded, sample_card())
    other = plan.drop(plan.calls["call_id"].head(1))
    for subject in (loaded, run):
        with pytest.raises(sr.InputError, match="pass the plan of the run"):
            sr.billing_impact(subject, sample_card(), plan=other)
    with pytest.raises(sr.InputError, match="not a Plan"):
        sr.billing_impact(loaded, sample_card(), plan="plan.parquet")


DURATION = "duration_seconds"


@pytest.mark.parametrize(
    ("outcome", "observed", "told"),
    [
        ("applied", None, (300, 150, False)),
        ("already", None, (150, 150, False)),
        ("drifted", {DURATION: 99}, (99, 99, False)),
        ("drifted", {DURATION: None}, (None, None, False)),
        ("altered", {DURATION: 151}, (300, 151, False)),
        ("altered", None, (300, 300, True)),
        ("unknown", None, (300, 300, True)),
        ("unknown", {DURATION: 7}, (300, 7, False)),
        ("missing", None, (300, 300, True)),
        ("failed", None, (300, 300, False)),
        ("rejected", None, (300, 300, False)),
        ("pending", None, (300, 300, False)),
    ],
    ids=str,
)
def test_each_outcome_says_what_the_call_holds(half_done, outcome, observed, told):
    run, plan, ids = half_done
    records = run.records.copy()
    row = records["call_id"].eq(ids["failed"])
    texts = {"outcome": outcome, "before": json.dumps({DURATION: 300}), "after": json.dumps({DURATION: 150})}
    for name, text in {**texts, "observed": json.dumps(observed) if observed else None}.items():
        records.loc[row, name] = text
    billed = replace(run, _records=records).billed_seconds(plan)
    billed.require_tied_out()
    at = int(np.flatnonzero(billed.calls["call_id"].eq(ids["failed"]))[0])
    before, after = (billed.calls.loc[at, f"{side}_s"] for side in ("before", "after"))
    seconds = tuple(None if pd.isna(value) else int(value) for value in (before, after))
    is_unknown = billed.is_unknown is not None and bool(billed.is_unknown[at])
    assert (*seconds, is_unknown) == told


def test_a_revert_knows_no_numbers_and_says_so(half_done):
    run, _, _ = half_done
    worth = sr.billing_impact(sr.revert_run(run), sample_card(), "unrated_reason")
    assert worth["unrated_reason"].tolist() == ["no-number"]
    assert worth["cost_delta"].isna().all()


# ---------------------------------------------------------------- worlds made at random


class Told:
    """Something that says what its calls are billed by."""

    def __init__(self, billed):
        self.billed = billed

    def billed_seconds(self):
        return self.billed


def card_of(*rows):
    default = {
        "rate_per_minute": "0.06", "initial_s": 1, "increment_s": 1, "connect_fee": "0", "currency": "GBP",
        "valid_from": None, "valid_to": None, "direction": None, "user": None, "name": None,
    }  # fmt: skip
    return sr.RateCard.from_frame(pd.DataFrame([default | row for row in rows]), "made up")


CARD = card_of(
    {"prefix": "44", "rate_per_minute": "0.0137", "initial_s": 30, "increment_s": 6, "name": "Britain"},
    {
        "prefix": "447",
        "rate_per_minute": "0.0701",
        "connect_fee": "0.015",
        "valid_from": "2026-10-06",
        "name": "Mobile",
    },
    {"prefix": "44", "user": "ana", "rate_per_minute": "0.0000001", "currency": "EUR"},
    {
        "prefix": "1202",
        "direction": "outbound",
        "rate_per_minute": "0.01",
        "initial_s": 60,
        "increment_s": 60,
        "currency": "USD",
    },
)
NUMBERS = (None, "+442079460123", "+447700900123", "+12025550123", "+13125550123")
STARTS = (None, "2026-10-05T22:59:59Z", "2026-10-05T23:00:00Z", "2026-10-06T12:00:00Z")
SECONDS = st.none() | st.sampled_from([0, 1, 29, 30, 31, 60, 61]) | st.integers(-5, 100_000)
CALL = st.fixed_dictionaries({
    "to_e164": st.sampled_from(NUMBERS),
    "started_at": st.sampled_from(STARTS),
    "direction": st.sampled_from([None, "inbound", "outbound"]),
    "sip_username": st.sampled_from([None, "ana", "ben", "Jürgen"]),
    "explanation": st.sampled_from([None, "agreeing", "zero"]),
    "before": SECONDS,
    "after": SECONDS,
    "lost": st.booleans(),
})  # fmt: skip


def billed_of(calls, zone="Europe/London", basis="billable"):
    frame = pd.DataFrame(
        calls,
        columns=["to_e164", "started_at", "direction", "sip_username", "explanation", "before", "after"],
    )
    starts = pd.Series(
        [None if each is None else pd.Timestamp(each) for each in frame["started_at"]],
        dtype="datetime64[us, UTC]",
    )
    frame = pd.DataFrame({
        "call_id": pd.Series([f"call-{n}" for n in range(len(frame))], dtype="str"),
        "started_at": starts,
        "direction": frame["direction"].astype("str"),
        "to_number": frame["to_e164"].astype("str"),
        "to_e164": frame["to_e164"].astype("str"),
        "sip_username": frame["sip_username"].astype("str"),
        "explanation": frame["explanation"].astype("str"),
        "before_s": pd.array(frame["before"].tolist(), dtype="Int64"),
        "after_s": pd.array(frame["after"].tolist(), dtype="Int64"),
    })  # fmt: skip
    lost = np.array([call.get("lost", False) for call in calls], bool)
    sums = [sum(call[side] or 0 for call in calls) for side in ("before", "after")]
    told = {"n_calls": len(calls), "before_s": sums[0], "change_s": sums[1] - sums[0], "after_s": sums[1]}
    return BilledSeconds(frame, basis, zone, told, lost if lost.any() else None)


@settings(max_examples=60)
@given(
    calls=st.lists(CALL, max_size=14),
    by=st.lists(st.sampled_from(IMPACT_GROUPS), max_size=4, unique=True),
    zone=st.sampled_from(["UTC", "Europe/London"]),
)
def test_any_calls_split_by_anything_are_worth_what_a_loop_adds_up(calls, by, zone):
    billed = billed_of(calls, zone)
    before = billed.calls.copy()
    worth = sr.billing_impact(Told(billed), CARD, by)
    stamped = [
        call | {"started_at": call["started_at"] and pd.Timestamp(call["started_at"]).to_pydatetime()}
        for call in calls
    ]
    assert as_groups(worth, by) == slow_impact(stamped, CARD, by, zone)
    whole = sr.billing_impact(Told(billed), CARD, ())
    assert worth["n_calls"].sum() == whole["n_calls"].sum() == len(calls)
    for currency in CARD.currencies:
        parts, total = (frame.loc[frame["currency"].eq(currency), SUMS].sum() for frame in (worth, whole))
        assert parts.tolist() == total.tolist()
    pd.testing.assert_frame_equal(billed.calls, before)


def call(**columns):
    return {
        "to_e164": "+442079460123", "started_at": "2026-10-05T08:00:00Z", "direction": "outbound",
        "sip_username": "ben", "explanation": "zero", "before": 0, "after": 60,
    } | columns  # fmt: skip


def test_a_call_that_was_not_answered_costs_nothing_although_no_rate_fits():
    worth = sr.billing_impact(Told(billed_of([call(to_e164="+81312345678", after=0)])), CARD, ())
    assert plain(worth)[0] == {"currency": None, "n_calls": 1} | dict.fromkeys(SUMS[1:], 0)


def test_a_call_without_a_rate_is_counted_and_has_no_cost():
    worth = sr.billing_impact(Told(billed_of([call(to_e164="+81312345678"), call()])), CARD, "unrated_reason")
    assert plain(worth[["unrated_reason", "n_calls"]]) == [
        {"unrated_reason": None, "n_calls": 1},
        {"unrated_reason": "no-prefix", "n_calls": 1},
    ]
    assert worth["currency"].isna().tolist() == [False, True]
    assert worth["cost_before"].isna().tolist() == [False, True]


def test_a_call_whose_writing_was_lost_adds_to_no_sum_and_is_named():
    worth = sr.billing_impact(Told(billed_of([call(before=600, lost=True), call()])), CARD, "unrated_reason")
    assert plain(worth[["unrated_reason", "currency", "n_calls"]])[1] == {
        "unrated_reason": "no-seconds", "currency": None, "n_calls": 1,
    }  # fmt: skip
    assert worth["billed_s_before"].sum() == 0


def test_the_largest_difference_comes_first_whatever_its_sign_and_currencies_stay_apart():
    calls = [
        call(sip_username="ben", after=600),
        call(sip_username="eve", before=6000, after=0),
        call(sip_username="ana", before=0, after=10**6),
        call(sip_username="zoe", to_e164="+81312345678"),
        call(sip_username=None, before=60, after=60),
        call(sip_username="abe", before=60, after=60),
    ]
    worth = sr.billing_impact(Told(billed_of(calls)), CARD)
    assert plain(worth[["sip_username", "currency"]]) == [
        {"sip_username": user, "currency": currency}
        for user, currency in [
            ("ana", "EUR"),
            ("eve", "GBP"),
            ("ben", "GBP"),
            ("abe", "GBP"),
            (None, "GBP"),
            ("zoe", None),
        ]
    ]
    backwards = sr.billing_impact(Told(billed_of(calls[::-1])), CARD)
    pd.testing.assert_frame_equal(worth, backwards)


def test_days_stand_in_their_order():
    calls = [call(started_at=f"2026-10-0{day}T08:00:00Z", after=day * 1000) for day in (3, 5, 4)]
    worth = sr.billing_impact(
        Told(billed_of([*calls, call(started_at=None)])), card_of({"prefix": "44"}), "day"
    )
    assert plain(worth[["day"]]) == [{"day": day} for day in ("2026-10-03", "2026-10-04", "2026-10-05", None)]


def test_sums_beyond_53_bits_are_exact():
    card = card_of({"prefix": "44", "rate_per_minute": "60", "connect_fee": "0.000001"})
    calls = [call(before=0, after=3_000_000_001), call(before=1, after=4_000_000_002)]
    worth = sr.billing_impact(Told(billed_of(calls)), card, ())
    assert worth["cost_after"].tolist() == [Decimal("7000000003.000002")]
    assert worth["cost_delta"].tolist() == [Decimal("7000000002.000001")]


def test_sums_that_no_column_holds_are_refused():
    card = card_of({"prefix": "44", "rate_per_minute": "900000000"})
    calls = [call(before=0, after=60_000)] * 6
    with pytest.raises(sr.InputError, match="add up to more than"):
        sr.billing_impact(Told(billed_of(calls)), card, ())


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", ["n_calls", "before_s", "change_s", "after_s"])
def test_what_does_not_tie_out_with_the_ledger_is_never_handed_out(name):
    billed = billed_of([call(), call()])
    wrong = replace(billed, sums={**billed.sums, name: billed.sums[name] + 1})
    with pytest.raises(sr.ReconcileError, match=f"{name} is .* defect"):
        sr.billing_impact(Told(wrong), CARD)


def test_a_sum_that_is_no_number_does_not_tie_out():
    billed = billed_of([call()])
    with pytest.raises(sr.ReconcileError, match="defect"):
        sr.billing_impact(Told(replace(billed, sums={**billed.sums, "after_s": float("nan")})), CARD)


def test_a_call_is_never_billed_twice():
    billed = billed_of([call(), call()])
    twice = billed.calls.assign(call_id=pd.Series(["a", "a"], dtype="str"))
    with pytest.raises(sr.ReconcileError, match="more than once"):
        sr.billing_impact(Told(replace(billed, calls=twice)), CARD)
    with pytest.raises(sr.ReconcileError, match="more than once"):
        sr.billing_impact(Told(replace(billed, calls=twice, sums={})), CARD)


@pytest.mark.parametrize(("basis", "said"), [("total", "count the ringing"), ("auto", "was not settled")])
def test_seconds_that_calls_are_not_billed_by_are_refused(basis, said):
    with pytest.raises(sr.InputError, match=said):
        sr.billing_impact(Told(billed_of([call()], basis=basis)), CARD)


@pytest.mark.parametrize("by", ["colour", ["user", "hour"], [3], 3, ("currency",)], ids=str)
def test_what_money_cannot_be_split_by_is_named_with_what_it_can(rec, by):
    with pytest.raises(
        sr.InputError, match=r"cannot be split by .*sip_username, user, direction.*\(\) for totals"
    ):
        sr.billing_impact(rec, CARD, by)


def test_a_name_given_twice_counts_once(rec):
    worth = sr.billing_impact(rec, CARD, ["user", "user"])
    assert worth.columns.tolist() == ["user", "currency", *SUMS]


def test_a_reconciliation_and_a_plan_take_no_plan(rec, plan):
    for subject in (rec, plan):
        with pytest.raises(sr.InputError, match="plan= belongs to a run"):
            sr.billing_impact(subject, CARD, plan=plan)


@pytest.mark.parametrize(
    "subject", [None, pd.DataFrame(), sr.Plan, "plan.parquet"], ids=["none", "frame", "class", "path"]
)
def test_what_has_no_worth_is_refused(subject):
    with pytest.raises(sr.InputError, match="pass a reconciliation, a plan or a run"):
        sr.billing_impact(subject, CARD)


def test_a_path_is_no_card(rec):
    with pytest.raises(sr.InputError, match=r"RateCard\.from_csv"):
        sr.billing_impact(rec, "rates.csv")
