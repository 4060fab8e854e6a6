"""A page shows every value as text, keeps a call whole, and says what it does not show."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from html.parser import HTMLParser
from importlib.resources import files

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile._display import shortened, visible
from sippet_reconcile.report import Bar, BarChart, Document, Section
from sippet_reconcile.report.page import MAX_HTML_ROWS
from sippet_reconcile.report.rows import MAX_CELL, escaped

NUMBER = "+442079460123"


class Page(HTMLParser):
    """What a browser would make of a page: elements in order, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - as the parser calls it
        self.elements.append(("", {}, []))  # what follows an element is not its text

    def handle_data(self, data: str) -> None:
        if self.elements:
            self.elements[-1][2].append(data)

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _, _ in self.elements if tag]

    def texts(self, *tags: str) -> list[str]:
        return ["".join(text) for tag, _, text in self.elements if tag in tags]

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes, _ in self.elements if name == tag]


def grouped(
    changes: dict[str, list[object]], evidence: pd.DataFrame | None = None, **more: object
) -> Section:
    frame = pd.DataFrame(changes)
    return Section("The changes", "", frame, group_by="call_id", once=["call_id"], evidence=evidence,
                   is_searchable=True, **more)  # type: ignore[arg-type]  # fmt: skip


def page_of(*parts: Section, mask: bool = True) -> Page:
    return Page(Document("t", "v", "", parts).html(mask=mask))


def calls(sizes: list[int]) -> dict[str, list[object]]:
    return {
        "call_id": [f"c{at}" for at, size in enumerate(sizes) for _ in range(size)],
        "after": [str(at) for at in range(sum(sizes))],
    }


ANY = st.text(st.characters(), max_size=25) | st.sampled_from(
    ["</script>", "<!--", "]]>", "</style><b>", "\x00\x1b[2J", "\u202egpj", "\ud800", "&amp;", "<td>", "\r\n", '" onload="x']
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(text=ANY, other=ANY)
def test_any_text_in_any_cell_comes_back_as_that_text_and_adds_no_element(text: str, other: str) -> None:
    def written(a: str, b: str) -> str:
        # Texts of dtype str hold no halves of surrogate pairs; objects may.
        frame = pd.DataFrame(
            {"call_id": ["c", "c"], "field": [a, "x"], "severity": [b, b], "what": [b, a]}, dtype="object"
        )
        proof = pd.DataFrame({"source": [a], "cause": [b]}, dtype="object")
        part = Section(a, b, frame, group_by="call_id", once=["call_id", "severity"], evidence=proof,
                       filters=["field"], is_searchable=True, note=a, rest=b)  # fmt: skip
        return Document(a, b, "", [part], {a: a}, b, {b: b}).html()

    html = written(text, other)
    assert visible(html) == html, "no sign that steers or turns text is left"
    found, plain = Page(html), Page(written("u", "w"))
    assert found.texts("h1", "h2")[:2] == [visible(text)] * 2
    choices = sorted({visible(text), "x"}) if visible(text) != "x" else []
    without_choices = [tag for tag in found.tags if tag not in ("option", "select", "label", "p")]
    assert without_choices == [tag for tag in plain.tags if tag not in ("option", "select", "label", "p")]
    assert found.texts("option")[1:] == [shortened(one) for one in choices]
    assert [one.get("value") for one in found.attributes("option")][1:] == [f"={one}" for one in choices]
    body = [one for one in found.texts("td") if one != ""]
    expected = [text, other, other, "x", text]
    assert body == [visible(one) for one in expected if visible(one) != ""]
    assert found.texts("dd")[-3:-1] == [visible(text), visible(other)]


def test_a_call_is_one_block_that_tells_once_what_is_true_of_all_its_changes() -> None:
    proof = pd.DataFrame({"source": ["a.csv:1", "b.csv:2"], "total_s": [61.0, None]})
    page = page_of(grouped(calls([2, 1]), proof))
    assert page.attributes("tbody") == [{"class": "group"}, {"class": "group"}]
    heads = [one for one in page.attributes("th") if str(one.get("scope", "")).startswith("row")]
    assert heads == [
        {"scope": "rowgroup", "rowspan": "2", "class": "id"},
        {"scope": "row", "class": "id"},
    ]
    assert [one for one in page.texts("th") if one.startswith("c")] == ["call id", "c0", "c1"]
    assert page.texts("dt")[:2] == ["source", "total (s)"]
    assert page.texts("dd")[:4] == ["a.csv:1", "61", "b.csv:2", "–"]
    assert page.tags.count("tr") == 1 + 3 + 2


def test_blocks_after_the_first_hundred_wait_for_a_button_and_all_are_in_the_file() -> None:
    page = page_of(grouped(calls([1] * 250)))
    assert [one["class"] for one in page.attributes("tbody")] == ["group"] * 100 + ["group later"] * 150
    plain = page_of(Section("s", "", pd.DataFrame({"n": range(102)}), is_searchable=True, total=True))
    assert [one.get("class") for one in plain.attributes("tr")] == [*[None] * 101, "later", "total"]
    assert not [
        one for one in page_of(Section("s", "", pd.DataFrame({"n": range(300)}))).attributes("tr") if one
    ]


def test_a_long_table_is_cut_between_calls_and_says_where_the_rest_is() -> None:
    sizes = [2] * 2499 + [3, 1]  # 4,998 rows in 2,499 calls, then one that reaches over the edge
    page = page_of(grouped(calls(sizes), rest="The rest is in the plan."))
    assert page.tags.count("tbody") == 2499
    assert (
        "2,499 of 2,501 calls are shown, with 4,998 of 5,002 changes. The rest is in the plan."
        in page.texts("p")
    )
    whole = page_of(grouped(calls([MAX_HTML_ROWS])))
    assert not [one for one in whole.texts("p") if "are shown" in one]


def test_a_call_larger_than_the_table_is_shown_whole() -> None:
    page = page_of(grouped(calls([MAX_HTML_ROWS + 1, 1])))
    assert page.tags.count("tr") == 1 + MAX_HTML_ROWS + 1
    assert "1 of 2 calls are shown, with 5,001 of 5,002 changes." in page.texts("p")


@pytest.mark.parametrize("intro", ["", "What is left out."])
def test_a_section_that_has_nothing_says_so(intro: str) -> None:
    frame = pd.DataFrame({"call_id": pd.Series(dtype="str"), "n": pd.Series(dtype="Int64")})
    for part in (
        Section("s", intro, frame),
        Section("s", intro, frame, group_by="call_id", once=["call_id"], evidence=frame, is_searchable=True),
    ):
        page = page_of(part)
        assert "There is nothing here." in page.texts("p")
        assert "table" not in page.tags
    assert "There is nothing here." in page_of(Section("s")).texts("p")


def test_one_row_is_a_table() -> None:
    assert page_of(grouped(calls([1]))).tags.count("tbody") == 1


def everywhere(number: str) -> Section:
    frame = pd.DataFrame({"call_id": ["c", "c"], "from_number": number, "to_e164": number, "sip_username_call": number,
                          "field": ["to_number", "status"], "before": [number, "x"], "value_cdr": [number, "y"]})  # fmt: skip
    proof = pd.DataFrame({"from_number_cdr": [number], "to_e164_cdr": [number]})
    once = ["call_id", "from_number"]
    return Section("s", "", frame, group_by="call_id", once=once, evidence=proof, filters=["value_cdr", "before"],
                   is_searchable=True)  # fmt: skip


def test_a_masked_page_holds_no_full_number_in_cells_evidence_or_choices() -> None:
    text = Document("t", "v", "", [everywhere(NUMBER)]).html()
    assert "2079460123" not in text
    assert "Phone numbers are masked" in text
    shown = Document("t", "v", "", [everywhere(NUMBER)]).html(mask=False)
    # 6 cells and one told once, 2 of evidence, and twice in each of 2 choices.
    assert shown.count(NUMBER) == 1 + 2 + 2 + 1 + 1 + 2 + 4
    assert "Phone numbers stand here in full" in shown


def test_a_value_of_a_megabyte_is_cut_and_says_how_much_is_missing() -> None:
    frame = pd.DataFrame({"a": ["é" * 1_000_000, "b"]})
    text = Document("t", "v", "", [Section("s", "", frame, is_searchable=True, filters=["a"])]).html()
    assert len(text) < 60_000
    assert f"{'é' * MAX_CELL}… (998,000 more characters)</tr>" in text
    assert f'value="={"é" * MAX_CELL}… (998,000 more characters)"' in text, "a choice is what the cell holds"
    assert escaped("a" * MAX_CELL) == "a" * MAX_CELL


def test_the_policy_names_each_style_and_script_and_no_element_has_one_of_its_own() -> None:
    text = Document("t </style>", "v", "", [everywhere("1")], about={"a": 1}).html()
    page = Page(text)
    policy = str(page.attributes("meta")[1]["content"])
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        inline = page.texts(tag)
        assert len(inline) == 2
        for one in inline:
            digest = base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
    for rule in ("base-uri 'none'", "form-action 'none'", "trusted-types 'none'"):
        assert rule in policy
    names = {name for _, attributes, _ in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"style", "src", "action"})


@settings(max_examples=40, deadline=None)
@given(title=ANY)
def test_a_title_in_the_margin_of_paper_is_text_and_nothing_else(title: str) -> None:
    margins = Page(Document(title, "v").html()).texts("style")[1]
    inside = re.fullmatch(
        r'@page\{@top-left\{content:"([^"\n<]*)"\}@bottom-right\{content:"page " counter\(page\) " of " counter\(pages\)\}\}',
        margins,
    )
    assert inside is not None
    unescaped = re.sub(r"\\([0-9a-f]{6})", lambda found: chr(int(found[1], 16)), inside[1])
    assert unescaped == visible(title)


def test_a_reader_of_headings_and_tables_finds_the_way() -> None:
    chart = BarChart("c", (Bar("a", 1, "1"),))
    page = page_of(
        Section("One", "i", charts=[chart]),
        Section("Two", "", pd.DataFrame({"n": [1]}), is_detail=True),
        grouped(calls([2])),
    )
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.texts("caption") == ["Two", "The changes"]
    assert all(one.get("scope") for one in page.attributes("th"))
    skip = next(one for one in page.attributes("a") if one.get("class") == "skip")
    assert skip["href"] == "#s2-the-changes"
    assert page.attributes("section")[2]["id"] == "s2-the-changes"
    named = [one["aria-label"] for one in page.attributes("div") if one.get("role") == "region"]
    assert named == ["Two", "The changes"]


def test_a_filter_with_nothing_to_choose_between_is_left_away() -> None:
    frame = pd.DataFrame({"a": ["x", "x"], "b": ["y", None], "c": ["z", "z"]})
    page = page_of(Section("s", "", frame, filters=["a", "b", "unknown"], is_searchable=True))
    assert [one["data-column"] for one in page.attributes("select")] == ["1"]
    assert page.texts("option") == ["all", "y", "–"]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"frame": pd.DataFrame({"call_id": ["a", "b", "a"]})}, "do not stand together"),
        ({"frame": pd.DataFrame({"other": ["a"]})}, "no column"),
        ({"frame": None}, "no column"),
        ({"evidence": pd.DataFrame({"n": [1]})}, "1 rows of evidence for 2 blocks"),
        ({"once": ["n"]}, "n is to be written once, but differs"),
    ],
)
def test_blocks_that_would_hide_something_are_an_error(changes: dict[str, object], what: str) -> None:
    frame = pd.DataFrame({"call_id": ["a", "a", "b"], "n": [1, None, 1]})
    with pytest.raises(ValueError, match=what):
        Section("s", **{"frame": frame, "group_by": "call_id", **changes})  # type: ignore[arg-type]


def test_rows_without_a_key_are_blocks_of_their_own() -> None:
    frame = pd.DataFrame({"call_id": ["a", "a", None, None], "n": range(4)}, index=[5, 5, 5, 5])
    assert Section("s", "", frame, group_by="call_id").block_sizes() == [2, 1, 1]


def luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(2 * one for one in colour)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("at", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(at: int) -> None:
    css = (files("sippet_reconcile.report") / "templates" / "report.css").read_text("utf-8")
    colours = dict(re.findall(r"--(\w+):#([0-9a-f]{3,6})", re.findall(r":root\{([^}]*)\}", css)[at]))

    def contrast(front: str, back: str) -> float:
        low, high = sorted([luminance(colours[front]), luminance(colours[back])])
        return (high + 0.05) / (low + 0.05)

    for back in ("page", "card", "stripe", "proof"):
        for front in ("ink", "soft", "accent", "ok", "warn", "stop"):
            assert contrast(front, back) >= 4.5, (front, back)
        for front in ("edge", "pos", "neg"):
            assert contrast(front, back) >= 3, (front, back)
    assert contrast("card", "ink") >= 4.5
    assert contrast("card", "accent") >= 4.5


def test_numbers_and_shares_stand_to_the_right() -> None:
    frame = pd.DataFrame(
        {"n": [1, 2], "share": ["12.5%", None], "text": ["5%", "x"], "none": [None, None]}, dtype="object"
    )
    page = page_of(Section("s", "", frame.astype({"n": "Int64"})))
    assert [one.get("class") for one in page.attributes("th")] == ["n", "n", None, None]
    assert [one.get("class") for one in page.attributes("td")] == ["n", "n", None, None] * 2
