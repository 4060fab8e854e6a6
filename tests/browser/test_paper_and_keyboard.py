"""A dry run can be worked through without a mouse, prints what fits, and shows no number that is to stay hidden."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Open = Callable[..., Any]

# What the keyboard must reach, in the order of the page; a list is as one stop, whatever it holds.
STOPS = """() => [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
  .filter(e => !e.disabled && e.checkVisibility({visibilityProperty: true})).map((e, at) => { e.dataset.stop = at; return at; })"""

# The stop that has the focus, and what of its looks is not as it was without.
FOCUSED = """() => {
  const e = document.activeElement; if (!e || e === document.body) return null;
  const looks = () => { const s = getComputedStyle(e);
    return [s.outlineStyle + s.outlineWidth + s.outlineColor, s.boxShadow, s.borderColor, s.backgroundColor].join(); };
  const style = getComputedStyle(e), now = looks(), box = e.getBoundingClientRect();
  const hasOutline = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
  const isOnScreen = box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0;
  return {stop: Number(e.dataset.stop), hasOutline, isOnScreen, text: e.outerHTML.slice(0, 90)};
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tab_key_reaches_everything_in_order_and_shows_where_it_is(
    scheme: str, walk: Any, tmp_path: Path, open_report: Open
) -> None:
    plan = walk.plan.keep(list(dict.fromkeys(walk.plan.changes["call_id"]))[:3])
    page = open_report(plan.dry_run().to_html(tmp_path / "dry_run.html"), color_scheme=scheme).page
    stops = page.evaluate(STOPS)
    assert len(stops) > 15
    reached = []
    for _ in stops:
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUSED)
        assert at is not None, f"the focus was lost behind {reached[-1:]}"
        assert at["hasOutline"], at["text"]
        assert at["isOnScreen"], at["text"]
        reached.append(at["stop"])
    assert reached == stops


def printed(page: Any) -> str:
    """Return the text of the page as printed, without its spaces, for a line may end anywhere in an id."""
    pypdf = pytest.importorskip("pypdf")
    sheets = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4", landscape=True))).pages
    return re.sub(r"\s+", "", "".join(sheet.extract_text() for sheet in sheets))


@pytest.mark.slow
def test_paper_holds_every_call_that_fits_with_its_evidence_and_no_controls(
    plan: Any, page_file: Path, open_report: Open
) -> None:
    report = open_report(page_file)
    changes, calls = plan.changes, plan.calls.set_index("call_id")
    report.table().pick("field", "status")
    text = printed(report.page)
    fitting = set(changes.loc[changes["field"].eq("status"), "call_id"])
    by_id = {call_id: call_id.replace("-", "") in text.replace("-", "") for call_id in changes["call_id"]}
    assert {call_id for call_id, is_there in by_id.items() if is_there} == fitting
    for call_id in fitting:
        assert str(calls.loc[call_id, "sources"]).split("; ")[0] in text
    for words in ("Copytable", "Search", "more"):
        assert f"{words}\n" not in text
    assert not re.search(r"Copytable|Show\d+more|EvidenceCopy", text)
    assert re.sub(r"\s", "", plan.dry_run().verdict) in text


def test_more_than_the_screen_shows_is_printed(long_plan: Any, long_file: Path, open_report: Open) -> None:
    report = open_report(long_file)
    seen = len(report.table().blocks())
    report.page.emulate_media(media="print")
    assert seen == 100
    assert len(report.table().blocks()) == long_plan.changes["call_id"].nunique()
    for control in ("button", "input", "select", ".tools"):
        visible = report.page.locator(f"{control}:visible")
        assert visible.count() == 0 or set(
            visible.locator("xpath=ancestor-or-self::th[@scope='col']").all()
        ), control
    assert report.table().box.locator("tr.evidence:visible").count() == long_plan.changes["call_id"].nunique()


def full_numbers(walk: Any) -> set[str]:
    """Return what gives a number away: the nine last digits of each one of the month."""
    calls, legs = walk.rec.calls, walk.legs
    columns = [
        calls["from_number"],
        calls["to_number"],
        legs["from_number"],
        legs["to_number"],
        legs["to_e164"],
    ]
    digits = {re.sub(r"\D", "", value) for column in columns for value in column.dropna()}
    return {one[-9:] for one in digits if len(one) >= 9}


def test_a_masked_page_holds_no_number_anywhere_and_another_shows_them(
    walk: Any, plan: Any, tmp_path: Path, open_report: Open
) -> None:
    numbers = full_numbers(walk)
    assert len(numbers) > 50

    def given_away(mask: bool) -> tuple[set[str], str]:
        path = plan.dry_run().to_html(tmp_path / f"{mask}.html", mask=mask)
        page = open_report(path).page
        everything = path.read_text("utf-8") + page.content()
        runs = re.findall(r"\d{9,}", re.sub(r"(?<=\d)[ ().-](?=\d)", "", everything))
        return {number for number in numbers if any(number in run for run in runs)}, page.locator(
            "main"
        ).inner_text()

    masked, told = given_away(True)
    assert masked == set()
    assert "Phone numbers are masked" in told
    calls = plan.calls
    wanted = {
        re.sub(r"\D", "", v)[-9:] for v in [*calls["from_number"].dropna(), *calls["to_number"].dropna()]
    }
    shown, told = given_away(False)
    assert len(wanted & numbers) > 20
    assert shown >= wanted & numbers
    assert "masked" not in told
