"""What is shown is escaped, counted and masked."""

from __future__ import annotations

import pandas as pd
import pytest

from sippet_reconcile._display import card, html_table, mask_number, mask_text, text_table


def test_every_value_is_escaped_wherever_it_comes_from() -> None:
    evil = "<script>alert(1)</script>"
    frame = pd.DataFrame({evil: [evil]})
    shown = card(evil, {evil: evil}, html_table(frame), subtitle=evil)
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 6


def test_a_long_table_says_how_much_it_left_out() -> None:
    shown = html_table(pd.DataFrame({"n": range(1254)}))
    assert shown.count("<tr>") == 51
    assert "and 1,204 more" in shown


def test_an_empty_table_still_has_its_heads() -> None:
    assert "<th>call_id</th>" in html_table(pd.DataFrame({"call_id": pd.Series([], dtype="str")}))


def test_a_number_is_masked_however_it_is_written() -> None:
    shown = [mask_number(text) for text in ("(020) 7946-0123", "+44 20 7946 0123", "sip:02079460123@pbx")]
    assert shown == ["(02•) ••••-••23", "+44 •• •••• ••23", "sip:02•••••••23@pbx"]


@pytest.mark.parametrize("word", ["12345678", "1234567a", "00000000", "deadbeef"])
@pytest.mark.parametrize("text", ["{}", "Run {}.", "undone by run {}, and", "(run_{}.html)"])
def test_the_id_of_a_run_is_shown_whole_whatever_chance_made_of_it(word: str, text: str) -> None:
    told = text.format(f"20261102T090000Z-{word}")
    assert mask_text(told) == told
    assert mask_text(f"{told} +442079460123") == f"{told} +44••••••••23"


def test_columns_of_text_tables_line_up() -> None:
    lines = text_table([["a", 1], ["bb", 1000]], ["name", "rows"]).splitlines()
    assert [len(line) for line in lines] == [11, 11, 11, 11]


def test_what_is_short_stays_on_one_line_and_a_wide_table_scrolls() -> None:
    shown = html_table(
        pd.DataFrame({"at": ["2026-10-01 08:00:00 UTC"], "why": ["because " * 20], "n": ["1"]}), right=["n"]
    )
    assert '<td class="s">2026-10-01 08:00:00 UTC</td>' in shown
    assert "<td>because because" in shown
    assert '<td class="n">1</td>' in shown
    assert '<th class="n">n</th>' in shown
    assert shown.startswith('<div class="wide"><table>')


def test_a_line_of_a_file_is_written_as_it_is_counted() -> None:
    rows = pd.DataFrame({"source_row": pd.array([1234567, None], dtype="Int64"), "row": [1234567.0, 2.5]})
    shown = html_table(rows, plain_numbers=["source_row", "row"])
    assert shown.count(">1234567<") == 2
    assert ">2.5<" in shown
    assert ">–<" in shown


def test_no_table_shows_more_than_fifty_rows_whatever_is_asked_for() -> None:
    shown = html_table(pd.DataFrame({"n": range(80)}), max_rows=70)
    assert shown.count("<tr>") == 51
    assert "and 30 more" in shown


def test_few_or_long_values_stand_beside_their_names() -> None:
    assert 'class="facts"' not in card("t", {"a": 1, "b": 2})
    assert 'class="facts"' in card("t", {"a": 1, "b": 2, "c": 3})
    many = card("t", {f"v{n}": n for n in range(17)})
    assert many.count('class="facts"') == 3


def test_an_unknown_tone_colours_nothing_and_names_no_class() -> None:
    assert '<div class="card">' in card("t", tone='"><script>')
    assert '<div class="card warn">' in card("t", tone="warn")
