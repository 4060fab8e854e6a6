"""The card of a document says the answer, shows what comes first, and folds the rest away."""

from __future__ import annotations

import re

import pandas as pd

from sippet_reconcile.report import Document, Section
from sippet_reconcile.report.charts import Bar, BarChart


def numbered(title: str, n_rows: int = 20, **more: object) -> Section:
    return Section(title, f"Intro of {title}.", pd.DataFrame({"n": range(n_rows)}), **more)  # type: ignore[arg-type]


def chart(title: str) -> BarChart:
    return BarChart(title, (Bar("a", 1.0, "1"),))


def card_of(*sections: Section, **more: object) -> str:
    return Document("Dry run", "Nothing has been sent.", "ok", sections, **more)._repr_html_()  # type: ignore[arg-type]


def test_two_sections_stand_open_and_the_others_are_folded_with_their_count() -> None:
    page = card_of(numbered("First"), numbered("Second"), numbered("Third"))
    assert page.index("Nothing has been sent.") < page.index("<h4>First</h4>") < page.index("<h4>Second</h4>")
    assert "<summary>Third (20 rows)</summary>" in page
    assert "<h4>Third</h4>" not in page
    opened = page[page.index("<h4>First</h4>") : page.index("<h4>Second</h4>")]
    assert opened.count("<tr>") == 5
    assert "and 16 more" in opened
    assert page.index("and 12 more") > page.index("<summary>Third")


def test_a_section_with_pictures_shows_the_first_and_folds_its_figures() -> None:
    page = card_of(numbered("Why", charts=(chart("One"), chart("Two"))))
    assert page.index("One</figcaption>") < page.index("<details>") < page.index("Two</figcaption>")
    assert page.index("<details>") < page.index("<table")


def test_what_is_no_part_of_a_card_is_not_in_it() -> None:
    page = card_of(numbered("Shown"), numbered("Hidden", in_card=False), numbered("Deep", is_detail=True))
    assert "Hidden" not in page
    assert "Deep" not in page


def test_a_total_is_among_the_first_rows_and_is_no_row_of_its_own() -> None:
    frame = pd.DataFrame({"what": [f"line {n}" for n in range(30)] + ["total"], "n": [1] * 30 + [30]})
    page = card_of(Section("A", "", frame), Section("B", "", frame), Section("Ledger", "", frame, total=True))
    ledger = page[page.index("<summary>Ledger") :]
    assert "<summary>Ledger (30 rows)</summary>" in ledger
    assert "total" in ledger
    assert "line 6" in ledger
    assert "line 7" not in ledger
    assert "and 23 more" in ledger


def test_what_all_rows_of_a_call_say_is_written_once() -> None:
    frame = pd.DataFrame(
        {"call_id": ["id-a", "id-a", "id-b"], "cause": ["x", "x", "x"], "field": ["s", "d", "s"]}
    )
    page = card_of(Section("Changes", "", frame, group_by="call_id", once=("cause",)))
    assert page.count("id-a") == 1
    assert page.count(">x<") == 2
    assert page.count(">s<") == 2


def test_columns_of_one_head_keep_their_own_cells() -> None:
    frame = pd.DataFrame({"a": ["left"], "b": ["right"]})
    page = card_of(Section("Both", "", frame, heads={"a": "value", "b": "value"}))
    assert page.count(">value</th>") == 2
    assert "left" in page
    assert "right" in page


def test_figures_stand_side_by_side_and_long_texts_beside_their_names() -> None:
    facts = {"calls": 3, "changes": 4, "minutes": 1, "head": "ab" * 32}
    page = card_of(facts=facts)
    across = page[page.index('class="facts"') : page.index("</table>")]
    assert re.findall(r"<td>(.*?)</td>", across) == ["3", "4", "1"]
    assert '<th scope="row">head</th><td>abab' in page
