"""No view made with masks tells a phone number, wherever it stands and however it is written; nothing else is masked."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile._display import mask_in_id, mask_in_name, mask_text, visible
from sippet_reconcile.demo import sample_reconciliation
from sippet_reconcile.report import Bar, BarChart, Document, Section
from sippet_reconcile.report.markdown import document_markdown

SHAPES = (
    "+44{a}{b}{c}",
    "0{a} {b} {c}",
    "(0{a}) {b}-{c}",
    "+44 (0){a} {b} {c}",
    "sip:+44{a}{b}{c}@10.0.0.7",
    "tel:+44-{a}-{b}-{c}",
    "0044{a}{b}{c}",
    "44{a}{b}{c};ext=12",
    "+44.{a}.{b}.{c}",
    "+44\u00a0{a}\u00a0{b}\u00a0{c}",
    "{a}{b} / {c}",
    "SIP/0{a}{b}{c}-0000001f",
    "trunk_{a}{b}{c}",
    "{a}{b}{c}",
    "0{a}\u200b{b}\u2011{c}",
)


class Numbers:
    """Hands out numbers, each in another shape and none twice, and finds those that a text tells."""

    def __init__(self) -> None:
        self.made: dict[str, str] = {}

    def __call__(self) -> str:
        at = len(self.made)
        a, b, c = "20", f"{7000 + at * 37}", f"{1000 + at * 53}"
        self.made[a + b + c] = text = SHAPES[at % len(SHAPES)].format(a=a, b=b, c=c)
        return text

    def told_by(self, text: str) -> list[str]:
        plain = html.unescape(re.sub(r"<(style|script)\b.*?</\1>", "", text, flags=re.DOTALL))
        found = []
        for form in (plain, re.sub(r"<[^>]*>", "", plain)):  # whole, or cut in pieces by tags
            digits = re.sub(r"\\u(?:200b|2011|00a0)|[\s().\\/\-\u200b\u2011]|\+44\(?0?\)?", "", form)
            found += [shape for number, shape in self.made.items() if number in digits]
        return found


@pytest.fixture
def number() -> Numbers:
    return Numbers()


def document_of(number: Callable[[], str]) -> Document:
    chart = BarChart(number(), (Bar(number(), 1, number(), tick=number(), group=number()),))
    frame = pd.DataFrame(
        {"call_id": ["c"], "field": ["call_source"], "before": [number()], "after": [number()], "cause": [number()],
         "by": [number()], "from_number": [number()], f"x_{number()}": ["t"], "source": [f"+44{2079460123}.csv:7"]}
    )  # fmt: skip
    part = Section(
        number(), number(), frame, [chart], number(), {"cause": number()}, filters=["after"], is_searchable=True,
        group_by="call_id", evidence=pd.DataFrame({"status": [number()], "said": [number()]}), rest=number(),
    )  # fmt: skip
    other = Section("s", charts=[chart])
    return Document(number(), number(), "ok", [part, other], {number(): number()}, number(), {"asked": [number()]}, {number(): {"a": number()}})  # fmt: skip


VIEWS = {
    "page": lambda document, **mask: document.html(**mask),
    "markdown": lambda document, **mask: document.to_markdown(**mask),
    "json": lambda document, **mask: document.to_json(**mask),
    "card": lambda document: document._repr_html_(),
    "text": lambda document: f"{document}\n{document!r}",
}


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_of_a_document_tells_a_number_wherever_it_stands(number: Numbers, view: str) -> None:
    text = VIEWS[view](document_of(number))
    assert number.told_by(text) == []
    assert "2079460123" not in text
    assert "•" in text


@pytest.mark.parametrize("view", ["page", "json"])
def test_without_masks_every_number_is_there(number: Numbers, view: str) -> None:
    text = VIEWS[view](document_of(number), mask=False)
    if view == "page":  # a summary is for programs, and what is left away nobody has to look for
        text += VIEWS["json"](document_of(number), mask=False) + number()
    assert "•" not in text
    assert len(set(number.told_by(text))) > 20


@pytest.mark.parametrize(
    "text",
    [
        "2026-10-05 10:00:00.123456", "2026-10-05T10:00:00Z", "01/10/2026 9:05", "20261005", "20261005093000",
        "8c1f3c52-0000-4000-8000-000000000001", "8c1f3c52000040008000000000000001", "http://192.168.100.200:8080",
        "1759309200.123", "pbx.csv:1234567", "line 1234567 of it", "1,234,567 rows", "1234567.5 s", "−320 s",
        "plan 123456789012", "a3f0b8c41234567", "v1.22.333", "ticket 4711 of 12", "12 of 3,456 and 7 of 89",
    ],
)  # fmt: skip
def test_dates_ids_addresses_places_and_amounts_stay(text: str) -> None:
    assert mask_text(text) == text
    assert mask_text(f"({text}), {text}.") == f"({text}), {text}."


def test_a_national_number_without_its_zero_is_no_second_of_a_clock() -> None:
    assert mask_text("1614960123 rang") == "16••••••23 rang"


def test_ids_and_names_of_files_lose_only_what_is_certainly_a_number() -> None:
    ids = ["202610050001234", "02079460123", "c-+442079460123"]
    assert [mask_in_id(text) for text in ids] == [*ids[:2], "c-+44••••••••23"]
    names = ["20261005.csv:3", "Master.csv.1759309200", "cdr-20261005093000.csv", "442079460123_10.csv"]
    assert [mask_in_name(name) for name in names] == [*names[:3], "44••••••••23_10.csv"]


def test_a_text_of_countless_digits_or_separators_is_looked_at_once() -> None:
    for text in (
        "1" * 200_000 + "a",
        "1 " * 100_000 + "a",
        "(+" * 100_000,
        "1.1" * 60_000,
        "2026-10-05 " * 20_000,
    ):
        mask_text(text)


@pytest.fixture
def rec(number: Numbers) -> Iterator[sr.Reconciliation]:
    """Return the sample month with a number in an explanation, a name of a file, causes and sources of calls."""
    made = sample_reconciliation()
    legs, calls = made.legs[list(made.legs.columns[: made.legs.columns.get_loc("cause") + 1])], made.calls
    file, cause, source = f"{number()}.csv", number(), number()
    with sr.temporary_explanations():

        @sr.explanation(f"trunk-{number()}", fields="duration_seconds", claim=f"{number()} does.", phrase=f"go by {number()}",
                        before="ring-time-included")  # fmt: skip
        def trunk(e: sr.Evidence) -> np.ndarray:
            return np.ones(len(e.call_s), dtype=bool)

        yield sr.reconcile(
            legs.assign(source_file=file, cause=cause),
            calls.assign(call_source=source)[[name for name in calls.columns if name not in {"cdr_id", "bucket", "reason"}]],
            period=made.period, rules=made.rules, progress=False,
        )  # fmt: skip


def test_no_card_page_or_text_of_the_walk_tells_a_number_by_default(
    number: Numbers, rec: sr.Reconciliation, tmp_path: Path
) -> None:
    plan = sr.build_plan(rec, where="explanation.str.startswith('trunk')", max_share=1.0)
    plan = plan.keep(list(plan.changes["call_id"].head(60)))
    few = list(plan.changes["call_id"].drop_duplicates().head(3))
    fix = pd.DataFrame({"call_id": few, "call_source": [number() for _ in few]}, dtype="str")
    own = sr.plan_corrections(rec.calls.drop(columns=["cdr_id", "bucket", "reason"]), fix, reason=number())
    own = own.approve(by=f"ana {number()}", note=number())
    views = {"rec": rec, "causes": rec.causes, "findings": rec.findings, "call": rec.show(few[0]),
             "plan": plan, "own": own, "dry run": plan.dry_run(), "own dry run": own.dry_run()}  # fmt: skip
    told = {
        name: number.told_by(f"{thing!r}\n{thing}\n{thing._repr_html_()}") for name, thing in views.items()
    }
    told["page"] = number.told_by(rec.report().html() + own.dry_run().html() + plan.dry_run().html())
    for name, made in {"book": plan, "own book": own}.items():
        sheets = pd.read_excel(
            made.dry_run().to_excel(tmp_path / f"{name}.xlsx"), sheet_name=None, header=None, dtype=str
        )
        told[name] = number.told_by("\n".join(frame.to_csv() for frame in sheets.values()))
    assert told == {name: [] for name in told}
    assert len(number.told_by(rec.show(few[0], show_numbers=True)._repr_html_())) >= 3


# Files


def test_a_report_is_readable_by_its_owner_alone_and_replaces_a_link_not_what_it_points_at(
    tmp_path: Path,
) -> None:
    document = Document("t", "v", "ok")
    path = document.to_html(tmp_path / "a.html")
    assert path.stat().st_mode & 0o777 == 0o600
    other, link = tmp_path / "other", tmp_path / "link.html"
    other.write_text("mine")
    link.symlink_to(other)
    document.to_html(link)
    assert (other.read_text(), link.is_symlink()) == ("mine", False)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.html", "link.html", "other"], (
        "nothing lies aside"
    )


@pytest.mark.parametrize("name", ["", "no\x00name", "half\ud800", "x" * 300, "a.html/in/a/file"])
def test_what_cannot_be_written_is_an_input_error_and_leaves_what_is_there(tmp_path: Path, name: str) -> None:
    kept = Document("t", "v", "ok").to_html(tmp_path / "a.html")
    before = kept.read_bytes()
    with pytest.raises(sr.InputError, match="cannot be written"):
        Document("u", "w").to_json(tmp_path / name)
    assert [one.name for one in tmp_path.iterdir()] == ["a.html"]
    assert kept.read_bytes() == before


@pytest.mark.parametrize("name", ["a.html", "deeper/a.html"])
def test_a_report_never_lies_among_the_parts_of_an_audit_log(tmp_path: Path, name: str) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "_lock").touch()
    pd.DataFrame({"seq": [1]}).to_parquet(tmp_path / "log" / "part-000000000001-000000000001.parquet")
    with pytest.raises(sr.InputError, match="inside an audit log"):
        Document("t", "v", "ok").to_html(tmp_path / "log" / name)
    assert len(pd.read_parquet(tmp_path / "log")) == 1


def test_a_device_is_no_place_for_a_report() -> None:
    with pytest.raises(sr.InputError, match="no ordinary file"):
        Document("t", "v", "ok").to_html("/dev/null")
    assert Path("/dev/null").is_char_device()


def test_halves_of_surrogate_pairs_are_written_out_in_every_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["x\ud800y"]}, dtype="object")
    document = Document("t\udfff", "v", "ok", [Section("s", "", frame)])
    document.to_html(tmp_path / "a.html")
    document.to_markdown(tmp_path / "a.md")
    document.to_json(tmp_path / "a.json")
    for path in tmp_path.iterdir():
        assert "x\\ud800y" in path.read_text("utf-8").replace("\\\\", "\\"), path.name


@pytest.mark.parametrize("sign", ["\u200b", "\xad", "\ufeff", "\u2060", "\u200d", "\u202e", "\x1b"])
def test_two_values_that_differ_in_what_nobody_sees_look_different(sign: str) -> None:
    frame = pd.DataFrame({"before": ["busy"], "after": [f"bu{sign}sy"]}, dtype="str")
    document = Document("t", "v", "ok", [Section("s", "", frame)])
    for name, show in VIEWS.items():
        text = show(document)
        assert sign not in text, name
        assert f"u{ord(sign):04x}sy" in text, name
    assert json.loads(document.to_json())["sections"][0]["rows"] == [["busy", f"bu{sign}sy"]]


@pytest.mark.parametrize("text", ["क्\u200dष", "می\u200cشود", "👩\u200d💻"])
def test_what_joins_letters_and_emoji_is_left_to_them(text: str) -> None:
    assert visible(text) == text


def test_markdown_makes_no_link_formula_or_entity_of_a_value() -> None:
    text = document_markdown(
        Document("t", "http://evil.example www.evil.example $x$ &lt;b&gt; ![i](a) <http://b>")
    )
    shown = re.sub(r"\\([^\w\s])", r"\1", html.unescape(text))
    assert "**http://evil.example www.evil.example $x$ &lt;b&gt; ![i](a) <http://b>**" in shown
    assert not re.search(r"(?<!\\)(://|\bwww\.|\$|\]\()|<|&lt;b", text)


def test_a_document_stays_as_it_was_made(number: Numbers) -> None:
    document = document_of(number)
    before = replace(document)
    document.html()
    assert document.title == before.title
    assert document.sections[0].frame is before.sections[0].frame
    assert "•" not in document.sections[0].frame["before"][0]
