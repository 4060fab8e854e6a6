"""Money in a report: amounts are sorted as numbers, currencies told apart, names stay text, and all of it fits paper."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.demo import sample_card

Open = Callable[..., Any]
TOTALS, CAUSES, CALLS = "What it is worth", "What it is worth, by cause", "The calls of the most money"
SUMMED = (
    "cost before",
    "cost after",
    "difference",
    "calls",
    "billed before (s)",
    "billed after (s)",
    "change (s)",
)


@pytest.fixture(scope="module")
def money_file(walk: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the dry run of the sample month with its rate card."""
    return walk.plan.dry_run(sample_card()).to_html(tmp_path_factory.mktemp("money") / "dry_run.html")


def rows_of(table: Any) -> list[dict[str, str]]:
    return [row for block in table.blocks() for row in block]


def amount(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace("−", "-"))


def test_a_press_on_the_head_sorts_amounts_by_their_value(money_file: Path, open_report: Open) -> None:
    report = open_report(money_file)
    table = report.table(CAUSES)
    before = [amount(row["difference"]) for row in rows_of(table)]
    table.sort("difference")
    rising = [amount(row["difference"]) for row in rows_of(table)]
    assert rising == sorted(before) != before
    table.sort("difference")
    assert [amount(row["difference"]) for row in rows_of(table)] == sorted(before, reverse=True)
    assert min(before) < 0 < max(before)


def test_the_rows_of_a_currency_add_up_to_its_total_to_the_last_digit(
    money_file: Path, open_report: Open
) -> None:
    report = open_report(money_file)
    totals = {row["currency"]: row for row in rows_of(report.table(TOTALS))}
    assert list(totals) == ["GBP", "USD"]
    for currency, total in totals.items():
        report.table(CAUSES).pick("currency", currency)
        rows = rows_of(report.table(CAUSES))
        assert {row["currency"] for row in rows} == {currency}
        for head in SUMMED:
            assert sum(amount(row[head]) for row in rows) == amount(total[head]), (currency, head)
        assert amount(total["cost after"]) - amount(total["cost before"]) == amount(total["difference"])


# The places where the points of a column's amounts are, from the right edge of the column, in pixels.
POINTS = """(box, head) => {
  const at = [...box.querySelectorAll('thead th')].findIndex(th => th.textContent.trim() === head);
  return [...box.querySelectorAll('tbody tr')].filter(row => row.checkVisibility()).map(row => {
    const text = row.cells[at].firstChild, mark = document.createRange(), point = text.data.indexOf('.');
    mark.setStart(text, point); mark.setEnd(text, point + 1);
    return mark.getBoundingClientRect().left;
  });
}"""


@pytest.mark.parametrize("title", [TOTALS, CAUSES])
def test_the_points_of_the_amounts_stand_in_a_line(title: str, money_file: Path, open_report: Open) -> None:
    table = open_report(money_file).table(title)
    for head in ("cost before", "cost after", "difference"):
        places = table.box.evaluate(POINTS, head)
        assert len(places) > 1
        assert all(math.isclose(place, places[0], abs_tol=1.5) for place in places), head


def test_the_difference_is_in_sight_in_a_narrow_window(money_file: Path, open_report: Open) -> None:
    report = open_report(money_file, width=700)
    for title in (TOTALS, CAUSES):
        box = report.table(title).box
        edge = box.locator(".scroll").bounding_box()
        head = box.locator("thead th", has_text=re.compile("^difference$")).bounding_box()
        assert head["x"] + head["width"] <= edge["x"] + edge["width"], title


def test_no_figure_of_the_headline_is_parted_by_a_line_end(money_file: Path, open_report: Open) -> None:
    report = open_report(money_file)
    told = report.page.locator(".facts dd").evaluate_all(
        "all => all.map(one => [one.innerText, one.getClientRects().length && one.offsetHeight])"
    )
    heights = {text.replace("\N{NO-BREAK SPACE}", " "): height for text, height in told}
    money = next(text for text in heights if text.startswith("GBP "))
    assert re.fullmatch(r"GBP −\d+\.\d\d · USD \+\d+\.\d\d", money)
    one_line = min(heights.values())
    assert {text: height for text, height in heights.items() if height > one_line and text != money} == {}
    assert heights[money] <= 2 * one_line + 1  # an amount to a line


def test_users_of_a_card_and_of_calls_stay_text(
    hostile: Any, hostile_values: tuple[str, ...], tmp_path: Path, open_report: Open
) -> None:
    users = [value for value in hostile_values if value.strip() == value]
    rates = pd.DataFrame({"prefix": "*", "rate_per_minute": "1", "initial_s": 1, "increment_s": 1, "connect_fee": "0",
                          "currency": "GBP", "valid_from": None, "valid_to": None, "user": users, "name": users})  # fmt: skip
    card = sr.RateCard.from_frame(rates, "<img src=x onerror=window.pwned=1>.csv")
    report = open_report(hostile.dry_run(card).to_html(tmp_path / "money.html"))
    page = report.page
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    assert page.evaluate("typeof window.pwned") == "undefined"
    assert page.locator("img, iframe, link, base, a[href]:not([href^='#'])").count() == 0
    assert "<img src=x onerror=window.pwned=1>.csv" in report.section(TOTALS).inner_text()
    shown = {row["user"] for row in rows_of(report.table("What it is worth, by user"))}
    assert shown == set(users)


def test_on_paper_money_is_unfolded_and_no_table_is_cut(money_file: Path, open_report: Open) -> None:
    page = open_report(money_file).page
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 1040, "height": 720})  # A4, landscape, without its margins
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    for title in (TOTALS, CAUSES, "What it is worth, by user", CALLS):
        section = page.locator("section").filter(has=page.get_by_role("heading", name=title, exact=True))
        scroll = section.locator(".scroll").first
        assert scroll.is_visible(), title
        assert scroll.evaluate("one => one.scrollWidth <= one.clientWidth + 1"), title
