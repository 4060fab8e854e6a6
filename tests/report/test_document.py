"""A document says the same in every form, and its HTML is safe and self-contained."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.errors import InputError
from sippet_reconcile.report import Bar, BarChart, ColumnChart, Document, Section, in_words

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"
FRAME = pd.DataFrame({"name": ["a", "b"], "n": [1200, -5]})


class Page(HTMLParser):
    """What a browser would make of a page: its tags and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def everywhere(text: str) -> Document:
    frame = pd.DataFrame({"caller": [text], text: ["x"], "kind": [text]})
    chart = BarChart(text, (Bar(text, 1.0, text),))
    part = Section(
        text, text, frame, charts=[chart], note=text, filters=["kind"], is_searchable=True, rest=text
    )
    return Document(
        text, text, "warn", [part], {text: text}, subtitle=text, about={text: text}, summary={text: text}
    )


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).map(
        lambda t: t + EVIL
    )
)
def test_no_value_becomes_a_tag(text: str) -> None:
    expected = [tag for tag, _ in Page(everywhere("plain").html()).tags]
    page = Page(everywhere(text).html())
    assert [tag for tag, _ in page.tags] == expected
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_a_value_in_the_notebook_stays_text() -> None:
    card = everywhere(EVIL)._repr_html_()
    assert "<script" not in card
    assert "<img" not in card
    assert "&lt;script&gt;" in card


def test_a_value_in_markdown_stays_text() -> None:
    text = everywhere(EVIL + " | [x](javascript:alert) **b** `c`\n# head").to_markdown()
    assert "<script" not in text
    assert "\n# head" not in text
    assert re.search(r"(?<!\\)\[x", text) is None
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


def test_the_page_may_load_nothing_and_run_only_its_own_script() -> None:
    text = everywhere("plain").html()
    page = Page(text)
    policy = next(
        a["content"]
        for tag, a in page.tags
        if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        inline = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inline is not None
        digest = base64.b64encode(hashlib.sha256(inline[1].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    loading = {"src", "href", "action", "style", "srcset", "poster", "background"}
    found = [
        (name, value) for _, attributes in page.tags for name, value in attributes.items() if name in loading
    ]
    assert all(name == "href" and str(value).startswith("#") for name, value in found)
    assert re.search(r"https?://|@import|url\(", text) is None


def test_every_chart_says_in_words_what_it_shows() -> None:
    for chart in (
        BarChart("Calls", (Bar("zero", 3, "3 calls"), Bar("less", -2, "2 fewer"))),
        ColumnChart("Sizes", (Bar("taken away", -2, "2"), Bar("none", 0, "0"))),
    ):
        page = Page(chart.to_svg("c1"))
        svg = page.tags[0][1]
        assert svg["role"] == "img"
        labelled = str(svg["aria-labelledby"]).split()
        assert [a["id"] for tag, a in page.tags if tag in ("title", "desc") and "id" in a] == labelled
        assert chart.description in page.texts


def test_a_chart_without_bars_or_with_zeros_is_still_a_picture() -> None:
    for bars in ((), (Bar("zero", 0, "0"),)):
        assert "NaN" not in BarChart("x", bars).to_svg("a") + ColumnChart("x", bars).to_svg("b")


def test_long_tables_say_how_much_is_left_away_and_where_it_is() -> None:
    frame = pd.DataFrame({"n": range(6000)})
    document = Document("t", "v", "", [Section("rows", "", frame, rest="The rest is in the plan.")])
    assert "5,000 of 6,000 rows are shown. The rest is in the plan." in document.html()
    assert document.html().count("<tr>") == 5001
    assert "and 5,900 more" in document.to_markdown()
    assert re.search(r"and 5,99\d more", document._repr_html_())
    section = json.loads(document.to_json())["sections"][0]
    assert (section["n_rows"], len(section["rows"])) == (6000, 5000)


def test_a_long_fact_has_a_line_of_its_own_and_runs_out_of_no_tile() -> None:
    page = Document(title="t", subtitle="", verdict="v", facts={"applied": 3, "head": "9f" * 32}).html()
    assert f'<div class="wide"><dt>head</dt><dd>{"9f" * 32}</dd></div>' in page
    assert "<div><dt>applied</dt><dd>3</dd></div>" in page
    assert "overflow-wrap:anywhere" in page.partition(".facts .wide dd{")[2].partition("}")[0]


def test_numbers_are_masked_in_every_form() -> None:
    frame = pd.DataFrame(
        {"from_number": ["+442079460123"], "sip_username": ["442079460123@pbx"], "call_id": ["c-20261001"]}
    )
    document = Document("t", "v", "", [Section("rows", "", frame)])
    for text in (document.html(), document.to_markdown(), document.to_json(), document._repr_html_()):
        assert "2079460123" not in text
        assert "+44••••••••23" in text
        assert "c-20261001" in text


def test_signs_totals_and_missing_values_read_well() -> None:
    frame = pd.DataFrame(
        {
            "what": ["a", "b", "total"],
            "delta_s": pd.Series([5, None, -5.5], dtype="Float64"),
            "row": [1200, 2, 3],
        }
    )
    part = Section("t", "", frame, signed=["delta_s"], plain_numbers=["row"], total=True)
    assert part.cells(9) == [["a", "+5", "1200"], ["b", "–", "2"], ["total", "−5.5", "3"]]
    assert (
        "<tr class=total><td>total<td class=n>−5.5<td class=n>3</tr>" in Document("t", "v", "", [part]).html()
    )


def test_a_total_is_always_in_the_card() -> None:
    frame = pd.DataFrame({"what": [*map(str, range(40)), "total"], "n": range(41)})
    assert "total" in Document("t", "v", "", [Section("rows", "", frame, total=True)])._repr_html_()


def test_json_is_plain() -> None:
    frame = pd.DataFrame(
        {
            "at": [pd.Timestamp("2026-10-01T00:00:00Z")],
            "x": [float("nan")],
            "i": pd.array([None], dtype="Int64"),
        }
    )
    document = Document(
        "t",
        "v",
        "ok",
        [Section("s", "", frame)],
        {"f": float("inf")},
        summary={"a": (1, None), "b": {"c": 2.5}},
    )
    plain = json.loads(document.to_json())
    assert plain["sections"][0]["rows"] == [["2026-10-01T00:00:00+00:00", None, None]]
    assert plain["summary"] == {"a": [1, None], "b": {"c": 2.5}}
    assert plain["facts"] == {"f": None}


def test_files_hold_what_the_methods_return(tmp_path: Path) -> None:
    document = Document("Umlaut ä", "v", "ok", [Section("s", "", FRAME)])
    path = document.to_html(tmp_path / "new" / "a.html")
    assert path.read_text("utf-8") == document.html()
    assert document.to_markdown(tmp_path / "a.md") == (tmp_path / "a.md").read_text("utf-8")
    assert document.to_json(tmp_path / "a.json") == (tmp_path / "a.json").read_text("utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        document.to_html(tmp_path)


def test_an_unknown_tone_is_an_error() -> None:
    with pytest.raises(InputError, match="tone"):
        Document("t", "v", "green")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59.6, "1 min"), (3600, "1 h"), (-90061, "25 h 1 min 1 s")]
)
def test_seconds_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
