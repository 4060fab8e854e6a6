"""What corrections are worth is told alike in every view, exactly in tables, per currency, and ties out by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.report import DryRunFacts, DryRunReport, MoneyFacts, document_text
from sippet_reconcile.report.money import headline_of, money_sections, money_sentence

MONEY = pd.ArrowDtype(pa.decimal128(20, 6))
SHA = "ab" * 32
Row = dict[str, Any]
Facts = Callable[..., DryRunFacts]


def decimals(values: list[Any]) -> pd.Series[Any]:
    return pd.Series([None if v is None else Decimal(str(v)) for v in values], dtype=MONEY)


def worth(rows: list[Row], unbilled: list[Row] | None = None) -> MoneyFacts:
    """Return the money of calls that are written down as they differ from one another."""
    usual: Row = {"sip_username": "ana", "explanation": "zero", "currency": "GBP", "billed_s_before": 60,
                  "billed_s_after": 60, "cost_before": "0", "cost_after": "0", "unrated_reason": None}  # fmt: skip
    full = [{"call_id": f"call-{n}", **usual, **row} for n, row in enumerate(rows)]
    names = ["call_id", *usual]
    columns: dict[str, Any] = {}
    for name in names:
        values = [row[name] for row in full]
        if name.startswith("cost"):
            columns[name] = decimals(values)
        else:
            columns[name] = pd.Series(values, dtype="Int64" if name.startswith("billed") else "str")
    loose = None
    if unbilled is not None:
        loose = pd.DataFrame(
            {
                "seconds": pd.Series([row.get("seconds", 60) for row in unbilled], dtype="Float64"),
                "billed_s": pd.Series([row.get("billed_s") for row in unbilled], dtype="Int64"),
                "cost": decimals([row.get("cost") for row in unbilled]),
                "currency": pd.Series([row.get("currency") for row in unbilled], dtype="str"),
                "unrated_reason": pd.Series([row.get("reason") for row in unbilled], dtype="str"),
            }
        )
    return MoneyFacts.of_calls(pd.DataFrame(columns), card="rates.csv", sha256=SHA, unbilled=loose)


TWO: list[Row] = [
    {"cost_before": "60", "cost_after": "6.46", "billed_s_after": 6, "explanation": "ring-time-included"},
    {"cost_after": "12.34", "sip_username": "442079460777"},
    {"currency": "USD", "cost_before": "3.10", "cost_after": "1"},
]


def test_the_sentence_tells_each_currency_by_itself() -> None:
    assert money_sentence(worth(TWO)) == (
        "Invoices fall by GBP 41.20 (GBP 12.34 added, GBP 53.54 taken away) and by USD 2.10."
    )
    assert money_sentence(worth(TWO), so_far=True).startswith("So far, invoices fall by GBP 41.20")
    assert headline_of(worth(TWO)) == "GBP −41.20 · USD −2.10"
    assert headline_of(worth([{"cost_after": "0.0007"}, {"currency": "USD"}])) == "GBP +0.0007 · USD 0.00"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], ""),
        ([{"currency": None}], "Its calls cost nothing, before or after, so no invoice changes."),
        ([{}], "Invoices do not change in GBP."),
        ([{}, {"currency": "USD"}], "Invoices do not change in GBP and in USD."),
        ([{"cost_before": "3"}, {"currency": "JPY", "cost_before": "2"}, {"currency": "USD"}],
         "Invoices fall by GBP 3.00, by JPY 2.00 and do not change in USD."),
        ([{"cost_after": "1"}, {"currency": "USD", "cost_before": "2"}], "Invoices rise by GBP 1.00 and fall by USD 2.00."),
        ([{"cost_after": "1"}, {"cost_before": "1"}], "Invoices do not change in GBP (GBP 1.00 added, and as much taken away)."),
        ([{"cost_after": "0.000001"}], "Invoices rise by less than GBP 0.01."),
        ([{"cost_after": "0.005"}], "Invoices rise by GBP 0.01, rounded to two places."),
        ([{"cost_after": "1234567.891"}], "Invoices rise by GBP 1,234,567.89, rounded to two places."),
        ([{"currency": None, "cost_after": None, "unrated_reason": "no-prefix"}],
         "1 call has no rate on the card. What this is worth cannot be told."),
        (
            [{"cost_after": "1"}, *[{"cost_after": None, "unrated_reason": "no-number"}] * 2],
            "Invoices rise by GBP 1.00. 2 calls cannot be rated.",
        ),
        ([{"cost_after": "1"}, {"cost_after": None, "unrated_reason": "not-valid-then"}],
         "Invoices rise by GBP 1.00. 1 call has no rate on the card."),
        ([{"cost_after": "6.104"}, {"cost_before": "13.488"}],
         "Invoices fall by GBP 7.38 (GBP 6.10 added, GBP 13.49 taken away), each rounded to two places."),
    ],
    ids=["empty", "no currency", "stays", "stays twice", "falls twice and stays", "both ways", "levelled", "tiny", "half up", "large", "unrated only", "some unrated", "no rate", "each rounded"],
)  # fmt: skip
def test_the_sentence_fits_what_happens(rows: list[Row], told: str) -> None:
    assert money_sentence(worth(rows)) == told


def test_each_currency_has_its_total_and_its_causes_add_up_to_it() -> None:
    total, causes = money_sections(worth(TWO))[:2]
    assert [total.title, causes.title] == ["What it is worth", "What it is worth, by cause"]
    assert total.cells(20) == [
        ["GBP", "60.00", "18.80", "−41.20", "2", "120", "66", "−54"],
        ["USD", "3.10", "1.00", "−2.10", "1", "60", "60", "0"],
    ]
    assert causes.cells(20) == [
        ["ring-time-included", "GBP", "60.00", "6.46", "−53.54", "1", "60", "6", "−54"],
        ["zero", "GBP", "0.00", "12.34", "+12.34", "1", "60", "60", "0"],
        ["zero", "USD", "3.10", "1.00", "−2.10", "1", "60", "60", "0"],
    ]
    assert "rates.csv" in total.intro
    assert SHA in total.intro
    assert "below zero is to be credited" in total.note
    assert "half up to six places" in total.note


def test_amounts_stand_with_all_their_places_and_their_points_in_a_line() -> None:
    rows: list[Row] = [
        {"cost_before": "0.1", "cost_after": "1234.567891"},
        {"currency": "USD", "cost_after": "3", "explanation": "missing"},
    ]
    section = money_sections(worth(rows))[1]
    assert [row[2:5] for row in section.cells(2)] == [
        ["0.100000", "1,234.567891", "+1,234.467891"],
        ["0.000000", "3.000000", "+3.000000"],
    ]
    assert money_sections(worth([{"cost_before": "0.1"}]))[0].cells(1)[0][1:4] == ["0.10", "0.00", "−0.10"]


@pytest.mark.parametrize(
    ("rows", "told", "said"),
    [
        ([], "–", "There is no call to rate."),
        ([{"currency": None}], "none", "no invoice changes"),
        ([{"cost_after": None, "unrated_reason": "no-seconds"}], "not known", "1 call cannot be rated."),
    ],
    ids=["no call", "nothing costs", "nothing rated"],
)
def test_without_an_amount_it_is_said_why(rows: list[Row], told: str, said: str) -> None:
    facts = worth(rows)
    assert headline_of(facts) == told
    first = money_sections(facts)[0]
    assert said in first.intro
    assert "rates.csv" in first.intro
    assert (first.frame, first.note) == (None, "")


costs = st.decimals(min_value=0, max_value=10**6, places=6)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            costs, costs, st.sampled_from(["GBP", "USD", "JPY"]), st.sampled_from(["ana", "bob", None]), st.booleans()
        ),
        max_size=12,
    )
)  # fmt: skip
def test_sums_are_those_of_adding_up_by_hand(
    calls: list[tuple[Decimal, Decimal, str, str | None, bool]],
) -> None:
    rows = [
        {"cost_before": before, "cost_after": after, "currency": currency, "sip_username": user,
         "unrated_reason": "no-prefix" if is_lost else None}
        for before, after, currency, user, is_lost in calls
    ]  # fmt: skip
    facts = worth(rows)
    rated = [call for call in calls if not call[4]]
    by_hand: dict[str, list[Decimal]] = {}
    for before, after, currency, _, _ in rated:
        sums = by_hand.setdefault(currency, [Decimal(0)] * 5)
        delta = after - before
        both = (before, after, delta, max(delta, Decimal(0)), min(delta, Decimal(0)))
        by_hand[currency] = [one + more for one, more in zip(sums, both, strict=True)]
    names = ["cost_before", "cost_after", "cost_delta", "cost_added", "cost_removed"]
    assert {row["currency"]: [row[n] for n in names] for row in facts.totals.to_dict("records")} == by_hand
    for part in (facts.causes, facts.users):
        again = {
            code: sum(part.loc[part["currency"].eq(code), "cost_delta"].tolist(), Decimal(0))
            for code in by_hand
        }
        assert again == {code: sums[2] for code, sums in by_hand.items()}
    assert int(facts.totals["n_calls"].sum()) == len(rated)
    assert int(facts.unrated["n_calls"].sum()) == len(calls) - len(rated)


def test_calls_and_users_of_the_most_money_are_twenty_of_each_currency() -> None:
    rows = [
        {"cost_after": str(n), "currency": code, "sip_username": f"user-{n}"}
        for code in ("GBP", "USD")
        for n in range(25)
    ]
    facts = worth(rows)
    assert facts.calls.groupby("currency").size().to_dict() == {"GBP": 20, "USD": 20}
    assert facts.calls["cost_delta"].head(2).tolist() == [Decimal(24), Decimal(23)]
    assert (len(facts.users), facts.n_users) == (40, 50)
    assert "40 of 50 rows are shown, at most 20 of each currency" in money_sections(facts)[2].intro


def test_a_call_whose_cost_stays_is_none_of_the_most_money() -> None:
    assert worth([{"cost_before": "1", "cost_after": "1"}]).calls.empty


def test_unrated_calls_are_counted_by_reason_with_examples() -> None:
    rows: list[Row] = [{"cost_after": None, "unrated_reason": "no-prefix"}] * 5 + [
        {"cost_after": None, "unrated_reason": "no-start"}
    ]
    section = money_sections(worth(rows))[-1]
    assert section.title == "Not in these sums"
    assert section.cells(9) == [
        ["not rated", "no-prefix", "no prefix of the card fits the called number", "5", "call-0, call-1, call-2"],
        ["not rated", "no-start", "the start is not known, so neither is the day's rate", "1", "call-5"],
    ]  # fmt: skip


def test_unbilled_talk_is_a_line_of_its_own_and_in_no_sum() -> None:
    unbilled = [
        {"seconds": 61.5, "billed_s": 62, "cost": "1.25", "currency": "GBP"},
        {"seconds": 30, "billed_s": 30, "cost": "0.50", "currency": "GBP"},
        {"seconds": 9, "reason": "no-number"},
    ]
    facts = worth([{"cost_after": "1"}], unbilled)
    section = money_sections(facts)[-1]
    assert section.cells(9) == [
        ["talked, but billed nowhere", "–", "–", "2", "91.5", "92", "1.75", "GBP"],
        ["talked, but billed nowhere", "no-number", "the called number is not known, or cannot be read as E.164", "1", "9", "–", "–", "–"],
    ]  # fmt: skip
    assert "1 min 32 s in 2 calls, would be worth GBP 1.75" in section.intro
    assert section.intro.endswith(" 1 such call of 9 s is not rated.")
    lost = money_sections(worth([{"cost_after": "1"}], unbilled[2:]))[-1]
    assert lost.intro.endswith("What was talked and is billed nowhere, 9 s in 1 call, is not rated.")
    assert facts.totals["cost_after"].tolist() == [Decimal(1)]


def report_of(make_facts: Facts, money: MoneyFacts | None, rows: list[Row] | None = None) -> DryRunReport:
    return DryRunReport.from_facts(make_facts([{}] if rows is None else rows, money=money))


def test_money_stands_right_after_the_ledger(make_facts: Facts) -> None:
    ledger = pd.DataFrame({"field": ["duration_seconds"], "explanation": ["zero"], "is_corrected": [True],
                           "n_calls": [1], "before_s": [120.0], "change_s": [-10.0], "after_s": [110.0]})  # fmt: skip
    ledger = ledger.astype({"is_corrected": "boolean", "n_calls": "Int64"})
    facts = make_facts([{}], ledger=ledger, money=worth(TWO))
    titles = [part.title for part in DryRunReport.from_facts(facts).document.sections]
    assert titles[titles.index("The ledger") + 1] == "What it is worth"


def test_every_view_tells_the_same_money(make_facts: Facts) -> None:
    report = report_of(make_facts, worth(TWO))
    sentence = "Invoices fall by GBP 41.20 (GBP 12.34 added, GBP 53.54 taken away) and by USD 2.10."
    plain = json.loads(report.to_json())
    for view in (report.verdict, plain["verdict"], report.to_markdown(), report._repr_html_(), report.html(),
                 " ".join(document_text(report.document).split())):  # fmt: skip
        assert sentence in view.replace("\N{NO-BREAK SPACE}", " ")
    for view in (report.html(), report.to_markdown(), document_text(report.document)):
        assert "−53.54" in view
    assert plain["facts"]["change of the invoices"] == "GBP −41.20 · USD −2.10"
    assert plain["summary"]["money"] == report.summary()["money"]
    section = next(one for one in plain["sections"] if one["title"] == "What it is worth")
    assert section["rows"][0][3] == "-41.200000"


def test_the_summary_tells_amounts_as_decimal_text_per_currency(make_facts: Facts) -> None:
    rows = [{"cost_before": "12345678.123456", "cost_after": "0.1"}]
    assert report_of(make_facts, worth(rows)).summary()["money"] == {
        "card": "rates.csv",
        "sha256": SHA,
        "by_currency": {
            "GBP": {"n_calls": 1, "cost_before": "12345678.123456", "cost_after": "0.10",
                    "cost_delta": "-12345678.023456", "cost_added": "0.00", "cost_removed": "-12345678.023456"},
        },
        "unrated_calls": 0,
        "unrated": {},
        "unbilled": {},
    }  # fmt: skip


def test_the_page_sorts_amounts_as_numbers(make_facts: Facts) -> None:
    page = report_of(make_facts, worth(TWO)).html()
    assert "<td class=n>+12.34" in page
    assert re.search(r'<th[^>]*class="?n"?[^>]*>.{0,40}difference', page, re.DOTALL)


@pytest.mark.parametrize("mask", [True, False], ids=["masked", "in full"])
def test_amounts_are_never_taken_for_phone_numbers_and_users_are(make_facts: Facts, mask: bool) -> None:
    rows = [
        {"cost_after": "541234567.891234", "sip_username": "442079460777"},
        {"cost_before": "112345678.25", "sip_username": "442079460777"},
    ]
    report = report_of(make_facts, worth(rows), [{"sip_username": "ana"}])
    for view in (report.html(mask=mask), report.to_markdown(mask=mask), report.to_json(mask=mask)):
        assert ("442079460777" in view) is not mask
        assert "GBP 541,234,567.89 added, GBP 112,345,678.25 taken away" in view.replace(
            "\N{NO-BREAK SPACE}", " "
        )
    assert "428,888,889.641234" in report.html(mask=mask)


@pytest.mark.parametrize("view", ["html", "markdown", "json", "text", "card"])
def test_without_a_card_no_view_has_a_word_of_money(make_facts: Facts, view: str) -> None:
    report = report_of(make_facts, None)
    texts = {"html": report.html, "markdown": report.to_markdown, "json": report.to_json,
             "text": lambda: document_text(report.document), "card": report._repr_html_}  # fmt: skip
    assert not re.search(r"[Ii]nvoices (fall|rise|do not)|worth|difference<|credited", texts[view]())
    assert "money" not in report.summary()


def test_an_empty_plan_has_its_section_and_no_sentence(make_facts: Facts) -> None:
    report = report_of(make_facts, worth([]), [])
    assert report.verdict.startswith("There is nothing to correct")
    assert "nvoices" not in report.verdict
    section = next(part for part in report.document.sections if part.title == "What it is worth")
    assert section.frame is None
    assert report.summary()["money"]["by_currency"] == {}  # type: ignore[index]


def test_what_a_stranger_wrote_stays_text(make_facts: Facts) -> None:
    rows = [{"sip_username": "<script>alert(1)</script>", "explanation": "=1+1|x", "cost_after": "1"}]
    report = report_of(make_facts, worth(rows))
    assert "<script>alert" not in report.html()
    assert "=1+1\\|x" in report.to_markdown()
