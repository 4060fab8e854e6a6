"""Where arithmetic leaves the same seconds, the rows of the whole reconciliation decide which cause leads."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.reconciliation.explaining.causes import EXPLANATIONS
from sippet_reconcile.reconciliation.explaining.company import TELLING_ROWS, Company, count_company
from sippet_reconcile.reconciliation.explaining.explain import choose_leading, find_held
from sippet_reconcile.reconciliation.explaining.hits import Combination, Found, Hit
from sippet_reconcile.reconciliation.rules import Rules

RULES: Final = Rules(duration="billable")
SECONDS: Final = "duration_seconds"


def combination(text: str, *, has_legs: bool = False) -> Combination:
    """Read ``"60 30 ~ring (own)"``: what holds in the table's order, ~ within the tolerance, () outside of the contest."""
    hits = [
        Hit(word.strip("~()"), not word.startswith("("), not word.startswith("~")) for word in text.split()
    ]
    return Combination(SECONDS, has_legs, tuple(hits))


def company(counts: dict[str, int], of_legs: dict[str, int] | None = None) -> Company:
    found = []
    for rows, has_legs in ((counts, False), (of_legs or {}, True)):
        codes = np.repeat(np.arange(len(rows)), list(rows.values()))
        found.append(Found(codes, [combination(text, has_legs=has_legs) for text in rows]))
    return count_company(found)


@pytest.mark.parametrize(
    ("counts", "row", "expected"),
    [
        pytest.param({"6": 80, "30 6": 10, "60 30 6": 10}, "60 30 6", "6 60 30", id="one increment, of 6"),
        pytest.param({"6": 80, "30 6": 10, "60 30 6": 10}, "60 30", "60 30", id="neither happens elsewhere"),
        pytest.param({"30": 40, "60 30": 40, "30 6": 10, "60 30 6": 10}, "60 30", "30 60", id="of 30"),
        pytest.param({"60": 50, "60 30": 40, "60 30 6": 10}, "60 30 6", "60 30 6", id="of 60"),
        # 100 rounded to 6 and 1,000 to 60: on 500 rows 30 holds as well, and yet on no row alone.
        pytest.param(
            {"6": 80, "30 6": 10, "60 30 6": 110, "60": 500, "60 30": 400},
            "30 6",
            "6 30",
            id="nobody's speaker",
        ),
        # 100 rounded to 6 and 160 to 30: fewer rows of 30 tell, because 60 holds on half of them.
        pytest.param(
            {"6": 80, "30 6": 26, "60 30 6": 26, "30": 64, "60 30": 64}, "30 6", "30 6", id="what ties hide"
        ),
        pytest.param({"ring": 70, "6": 30}, "ring 6", "ring 6", id="more rows with ringing"),
        pytest.param({"ring": 30, "6": 70}, "ring 6", "6 ring", id="fewer rows with ringing"),
        pytest.param({"ring": 50, "6": 50}, "ring 6", "ring 6", id="as many: the table"),
        pytest.param({"6": TELLING_ROWS - 1}, "ring 6", "ring 6", id="too few rows tell"),
        pytest.param({"6": TELLING_ROWS}, "ring 6", "6 ring", id="just enough rows tell"),
        pytest.param({"ring 6": 999}, "ring 6", "ring 6", id="no row tells"),
        pytest.param({"6": 80, "~ring": 90}, "6 ~ring", "ring 6", id="near what mostly is near"),
        pytest.param({"6": 80, "ring": 900}, "6 ~ring", "6 ring", id="near what always is met to the second"),
        pytest.param({"6": 80}, "ring (own) 6", "own 6 ring", id="what stands between keeps its place"),
        pytest.param({"ring": 80}, "ring (own) 6", "ring own 6", id="what stands behind as well"),
        pytest.param({"6": 80}, "(late) ring 6", "late ring 6", id="what two fields agree on leads"),
        pytest.param({"(late) 6": 80}, "ring 6", "ring 6", id="and does not speak for what holds beside it"),
        pytest.param({"6": 10_000, "60": 2}, "60", "60", id="what holds alone is never taken"),
    ],
)
def test_the_rows_that_tell_decide_which_leads(counts: dict[str, int], row: str, expected: str) -> None:
    assert " ".join(company(counts).order_names(combination(row))) == expected


def test_what_ties_are_shared_out_to_is_in_proportion() -> None:
    # 12 and 6 tell; of 9 that both explain two thirds go to the first, whereby two thirds remain two thirds.
    shares = company({"a": 12, "b": 6, "a b": 9}).shares[SECONDS, None]
    assert {hit.name: round(share, 6) for hit, share in shares.items()} == {"a": 18, "b": 9}


def test_calls_of_several_legs_are_weighed_by_themselves() -> None:
    # Of all calls most are rounded; of those of several legs nearly all are summed.
    both = company({"6": 1000}, of_legs={"summed": 30, "6": 5})
    assert both.order_names(combination("summed 6", has_legs=True))[0] == "summed"
    assert (
        company({"6": 1000}, of_legs={"6": 30}).order_names(combination("summed 6", has_legs=True))[0] == "6"
    )


def test_where_calls_of_several_legs_do_not_tell_all_calls_do() -> None:
    assert company({"6": 100}, of_legs={"6": 2}).order_names(combination("60 6", has_legs=True))[0] == "6"


def test_what_two_fields_agree_on_or_says_no_amount_is_not_contested() -> None:
    contested = {known.name for known in EXPLANATIONS if known.by_company}
    apart = "never-ended off-by-{n}s clock-offset cut-by-crash late-hangup voicemail-as-answered zero missing"
    assert contested.isdisjoint([*apart.split(), "answered-but-zero", "unanswered-but-billed"])
    assert {f"rounded-up-{step}s" for step in (6, 30, 60)} | {"ring-time-included"} <= contested
    assert {field for known in EXPLANATIONS if known.by_company for field in known.fields} <= {
        SECONDS,
        "ended_at",
    }


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["6", "30 6", "60 30", "60", "ring 6", "ring"]), st.integers(0, 60)),
        max_size=9,
    ),
    st.lists(st.integers(0, 8), max_size=9),
)
def test_companies_of_parts_add_up_in_any_order(rows: list[tuple[str, int]], parts: list[int]) -> None:
    whole = Counter[str]()
    for text, count in rows:
        whole[text] += count
    added = Company()
    for _, (text, count) in sorted(zip([*parts, *[0] * 9], rows, strict=False)):
        added = company({text: count}) + added
    assert added.counts == company(dict(whole)).counts
    assert added.shares == company(dict(whole)).shares


def a_mixture(matched: Any, make_row: Any, steps: list[int], seed: int = 4) -> Any:
    """Build a call for each step to which its 1 to 170 seconds of talk are rounded up; they ring for 3 to 40."""
    rng = np.random.default_rng(seed)
    rows = []
    for step in steps:
        talk, ring = int(rng.integers(1, 171)), int(rng.integers(3, 41))
        call = {SECONDS: -(-talk // step) * step}
        several = rng.random() < 0.2
        legs = {"n_legs": 2, "sum_billable_s": float(talk + rng.integers(2, 20))} if several else {}
        rows.append(make_row(ring=ring, talk=talk, call=call, cdr=legs, every_s=1))
    return matched(rows)


def led(comparison: Any) -> pd.Series[Any]:
    """Return what leads by pair."""
    frame = comparison.discrepancies
    is_duration = (frame["field"] == SECONDS).to_numpy()
    return pd.Series(frame["explanation"].to_numpy(object)[is_duration], comparison.pair_rows[is_duration])


def test_a_mixture_shows_both_of_its_increments_and_no_third(matched: Any, make_row: Any) -> None:
    steps = np.array([6, 60] * 600)
    leads = led(a_mixture(matched, make_row, steps.tolist()).compare())
    counts = leads.groupby(steps[leads.index]).value_counts(normalize=True)
    # What both leave alike, a tenth of the one or the other, has one of their two names.
    assert counts[6, "rounded-up-6s"] >= 0.85
    assert counts[60, "rounded-up-60s"] >= 0.88
    assert set(leads) == {"rounded-up-6s", "rounded-up-60s"}


def test_a_rare_cause_is_seen_beside_a_common_one(matched: Any, make_row: Any) -> None:
    steps = np.array([6] * 1500 + [60] * 12)
    leads = led(a_mixture(matched, make_row, steps.tolist()).compare())
    is_rare = leads.index >= 1500
    # All but the few that end within 6 seconds of a full minute.
    assert leads[is_rare].eq("rounded-up-60s").sum() >= 9
    assert leads[~is_rare].eq("rounded-up-6s").mean() >= 0.995


@pytest.fixture(scope="session")
def mixture(matched: Any, make_row: Any) -> Any:
    steps = np.random.default_rng(8).choice([6, 30, 60], 240, p=[0.7, 0.2, 0.1])
    return a_mixture(matched, make_row, steps.tolist())


def part_of(built: Any, rows: Any) -> Any:
    return type(built)(built.calls, built.cdr_calls, built.pairs.where(np.asarray(rows)))


@settings(max_examples=8, deadline=None)
@given(st.integers(2, 7), st.randoms(use_true_random=False))
def test_parts_with_the_company_of_all_say_what_the_whole_says_in_any_order(
    mixture: Any, n_parts: int, shuffle: Any
) -> None:
    order = list(range(len(mixture.pairs)))
    shuffle.shuffle(order)
    whole = led(mixture.compare())
    assert led(part_of(mixture, order).compare()).rename(dict(enumerate(order))).sort_index().equals(whole)
    places = [order[n::n_parts] for n in range(n_parts)]
    compared = [part_of(mixture, rows).compare() for rows in places]
    held = [find_held(part) for part in compared]
    company_of_all = sum((count_company(part.found) for part in held), Company())
    leads = [
        led(replace(part, discrepancies=choose_leading(part.discrepancies, known, company_of_all))).rename(
            dict(enumerate(rows))
        )
        for part, known, rows in zip(compared, held, places, strict=True)
    ]
    assert pd.concat(leads).sort_index().equals(whole)


def test_what_is_decided_by_company_depends_on_it(mixture: Any) -> None:
    # Otherwise the test above would hold of anything. Of four rows too few tell.
    alone = []
    for first in range(0, len(mixture.pairs), 4):
        rows = range(first, min(first + 4, len(mixture.pairs)))
        alone.append(led(part_of(mixture, rows).compare()).rename(dict(enumerate(rows))))
    assert pd.concat(alone).ne(led(mixture.compare())).mean() > 0.1


def test_an_own_explanation_keeps_its_place_whatever_the_company_says(matched: Any, make_row: Any) -> None:
    built = a_mixture(matched, make_row, [6] * 120)
    assert set(led(built.compare())) == {"rounded-up-6s"}
    with sr.temporary_explanations():
        says: dict[str, Any] = {"fields": SECONDS, "claim": "It is so.", "phrase": "are so"}
        sr.explanation("own", before="rounded-up-6s", **says)(lambda e: e.call_s % 12 == 0)
        leads = led(built.compare())
    is_own = built.calls[SECONDS].to_numpy("int64")[leads.index] % 12 == 0
    # Where a coarser rounding or ringing holds as well and stands first, too few rows speak for it.
    assert set(leads[~is_own]) == {"rounded-up-6s"}
    assert leads[is_own].eq("own").mean() > 0.5


def test_a_saved_reconciliation_keeps_what_the_company_decided(
    reconciled: Any, at: Any, tmp_path: Any
) -> None:
    legs, calls = [], []
    for n in range(40):
        talk, ring = 20 + n, 30
        both = {"started_at": at(600 * n), "ended_at": at(600 * n + ring + talk)}
        legs.append(
            {
                "call_key": f"u{n}",
                "leg_id": f"u{n}",
                "answered_at": at(600 * n + ring),
                "total_s": ring + talk,
                "billable_s": talk,
                **both,
            }
        )
        calls.append({"call_uuid": f"u{n}", SECONDS: -(-talk // 6) * 6, **both})
    rec = reconciled(legs, calls)
    assert set(rec.discrepancies["explanation"]) == {"rounded-up-6s"}
    assert rec.discrepancies["also"].notna().any()
    # One call alone would be told by the table's order, so explaining anew would show.
    rec.save(tmp_path / "saved")
    loaded = sr.load_reconciliation(tmp_path / "saved")
    pd.testing.assert_frame_equal(loaded.discrepancies, rec.discrepancies)
    assert set(loaded.ledger(by="hour")["explanation"].dropna()) >= {"rounded-up-6s"}
    assert not {"rounded-up-60s", "rounded-up-30s"} & set(loaded.ledger(by="hour")["explanation"].dropna())


def test_without_contested_explanations_there_is_no_company(mixture: Any) -> None:
    table = [replace(known, by_company=False) for known in EXPLANATIONS]
    assert count_company(find_held(mixture.compare(), table).found).counts == Counter()
