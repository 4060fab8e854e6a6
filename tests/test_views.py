"""Whatever shows itself in a notebook keeps the same rules, whatever its values are."""

from __future__ import annotations

import importlib
import io
import pkgutil
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.api import ApiDescription, CheckResult
from sippet_reconcile.audit.verification import AuditVerification
from sippet_reconcile.cdr import sniff_cdr
from sippet_reconcile.month import MonthOutcome, MonthResult
from sippet_reconcile.reconciliation.findings import Findings, Severity
from sippet_reconcile.report import Document, Section
from sippet_reconcile.sandbox import Sandbox
from sippet_reconcile.schema import CALLS, LEGS, conform

EVIL = "\x1b[31m</style></svg><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202e"
CALLER, CALLED, USER = "+442079460123", "+442079460188", "442079460166"
DIGITS = ("2079460123", "2079460188", "2079460166")
N = 70
START = pd.Timestamp("2026-10-05T08:00:00Z")
MOST_BYTES = 120_000

TAGS = {
    *("div", "style", "h4", "p", "b", "strong", "span", "pre", "code", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption"),
    *("svg", "g", "rect", "line", "text", "path", "title", "desc"),
}
ATTRIBUTES = {
    "scope",
    *(
        "class",
        "style",
        "rowspan",
        "colspan",
        "role",
        "aria-label",
        "viewbox",
        "fill",
        "fill-opacity",
        "stroke",
    ),
    *(
        "stroke-width",
        "stroke-dasharray",
        "stroke-opacity",
        "opacity",
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "rx",
        "d",
    ),
    *("width", "height", "text-anchor", "font-size", "font-weight"),
}
VOID = {"img", "br", "hr", "input", "meta", "link"}


def frame(schema: Any, columns: dict[str, Any]) -> pd.DataFrame:
    """Return rows of a schema; a value that is no list stands in every row."""
    cells: dict[str, Any] = {}
    for column in schema.columns:
        value = columns.get(column.name)
        values = value if isinstance(value, list) else [value] * N
        if column.kind.value.startswith("datetime"):
            cells[column.name] = pd.Series(pd.to_datetime(pd.Series(values), utc=True)).dt.as_unit("us")
        else:
            cells[column.name] = pd.Series(values, dtype=column.kind.value)
    return conform(pd.DataFrame(cells), schema)


def both_sides() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return legs and calls of which every one differs, each text of them hostile."""
    starts = [START + pd.Timedelta(minutes=n) for n in range(N)]
    ends = [start + pd.Timedelta(seconds=70) for start in starts]
    keys = [f"00000000-0000-4000-8000-{n:012d}" for n in range(N)]
    both = {"started_at": starts, "ended_at": ends, "from_number": CALLER, "to_number": CALLED}
    legs = frame(
        LEGS,
        {
            **both, "answered_at": [start + pd.Timedelta(seconds=10) for start in starts], "call_key": keys,
            "leg_id": keys, "total_s": 70.0, "billable_s": 60.0, "is_answered": True, "status": "completed",
            "source_file": EVIL, "source_row": list(range(N)), "source_sha256": "f" * 64,
            "record_hash": list(range(N)), "format": EVIL, "cause": EVIL, "direction": "inbound",
            "from_e164": CALLER, "to_e164": CALLED, "sip_username": USER,
        },
    )  # fmt: skip
    calls = frame(
        CALLS,
        {
            **both, "id": keys, "call_uuid": keys, "duration_seconds": 72, "status": EVIL, "direction": "inbound",
            "sip_username": EVIL, "call_source": EVIL, "api_url": "http://127.0.0.1",
            "fetched_at": START + pd.Timedelta(days=60),
        },
    )  # fmt: skip
    return legs, calls


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One object of every class that shows itself, by the name of its class."""
    legs, calls = both_sides()
    rec = sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"), progress=False)
    plan = sr.build_plan(rec, fields=["duration_seconds"], max_share=1.0, accept=rec.findings.stops.codes)
    plan = plan.approve(by="ana", note=EVIL)
    evidence = pd.DataFrame({"from_number": [CALLER] * N, EVIL: [EVIL] * N, "n": range(N)})
    finding = sr.Finding("probe-noise", Severity.WARN, EVIL, evidence, EVIL, {"internal_numbers": [EVIL]})
    rows = pd.DataFrame({"from_number": [CALLER] * N, "what": [EVIL] * N, "n": np.arange(N)})
    sections = [Section(f"{EVIL} {n}", EVIL, rows, note=EVIL, heads={"n": EVIL}) for n in range(3)]
    rates = pd.DataFrame({"prefix": [f"{CALLED[:-2]}{n:02}" for n in range(N)], "rate_per_minute": "0.0125"}).assign(
        initial_s=1, increment_s=1, connect_fee=0, currency="GBP", valid_from=None, valid_to="2027-01-01",
        user=USER, name=f"{EVIL} {CALLED}",
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("views") / "audit"
    with Sandbox(calls.head(3).assign(status="completed", call_source="sip")) as sandbox:
        client = sr.Client(sandbox.url, token=sandbox.token)
        ids = calls["id"].head(3)
        fix = pd.DataFrame({"call_id": ids, "duration_seconds": "60"}, dtype="str")
        small = sr.plan_corrections(client.get_calls(ids), fix, reason=EVIL).approve(by="ana", note=EVIL)
        run = sr.apply_plan(small, client, folder, rate="400/s", progress=False)
        proof = sr.verify_run(run, client, progress=False)
    objects = [
        rec, rec.causes, rec.show(calls["id"].iloc[0]), finding, Findings([finding, *rec.findings]), plan,
        plan.dry_run(), run, proof, sr.describe_cdr(legs), sniff_cdr(io.BytesIO(f"a,b\n{EVIL},2\n".encode())),
        Document(EVIL, EVIL, "warn", sections, facts={EVIL: EVIL, "calls": 1, "a": 1, "b": 2}, subtitle=EVIL),
        CheckResult("http://127.0.0.1", True, True, True, 0.5, (EVIL, "completed"), (EVIL,), (EVIL,)),
        ApiDescription((EVIL,), (EVIL,), True, EVIL), AuditVerification(False, EVIL, 3, "ab" * 32),
        sr.AuditLog(folder), sr.RateCard.from_frame(rates, f"{EVIL} {CALLED}"),
    ]  # fmt: skip
    counts = {"compared": 1, "calls_with_discrepancies": 1, "patchable_calls": 1}
    told = [f"{EVIL} {CALLED}"] * 3
    objects.append(
        MonthResult(
            month="2026-10", folder=folder / EVIL, outcome=MonthOutcome.STOPPED, verdict=told[0], stops=tuple(told),
            steps={EVIL: EVIL}, notes=tuple(told), next_step=told[0], plan=None, reconciliation=rec,
            _summary={"counts": counts},
        )
    )  # fmt: skip
    return {type(one).__name__: one for one in objects if hasattr(one, "_repr_html_")}


def classes() -> Iterator[type]:
    """Yield every class of the package that shows itself in a notebook."""
    for found in pkgutil.walk_packages(sr.__path__, "sippet_reconcile."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == found.name and "_repr_html_" in vars(value):
                yield value


CLASSES = sorted({one.__name__ for one in classes()})


class Page(HTMLParser):
    """Reads HTML as a browser does and keeps what a rule may ask for."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.styles: list[str] = []
        self.rows: list[int] = []
        self.said: list[str] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.roots = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.roots += not self.open
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tbody":
            self.rows.append(0)
        if tag == "tr" and "tbody" in self.open:
            self.rows[-1] += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        (self.styles if self.open[-1:] == ["style"] else self.said).append(data)


def test_every_class_that_shows_itself_is_looked_at(shown: dict[str, Any]) -> None:
    assert sorted(shown) == CLASSES
    assert {"Reconciliation", "Plan", "DryRunReport", "Run", "Verification", "Findings"} <= set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_a_card_is_escaped_bounded_and_asks_for_nothing(shown: dict[str, Any], name: str) -> None:
    text = shown[name]._repr_html_()
    page = Page(text)
    assert set(page.tags) <= TAGS
    assert {attribute for attribute, _ in page.attributes} <= ATTRIBUTES
    assert not page.unbalanced
    assert not page.open
    assert page.roots == 1
    assert text.startswith('<div class="sippet">')
    assert max(page.rows, default=0) <= 50
    assert len(text) < MOST_BYTES
    values = "".join([*page.styles, *(value for attribute, value in page.attributes if attribute == "style")])
    assert "url(" not in values
    assert "@import" not in values
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("name", CLASSES)
def test_the_style_of_a_card_leaves_the_notebook_alone(shown: dict[str, Any], name: str) -> None:
    page = Page(shown[name]._repr_html_())
    rules = re.findall(r"([^{}]+)\{", "".join(page.styles))
    assert rules
    assert all(part.strip().startswith(".sippet") for rule in rules for part in rule.split(","))
    # Letters and ground are the theme's: a card sets neither, so that it can be read on any.
    assert not re.search(r"(?<![-\w])color:#|background(?:-color)?:(?!none)", "".join(page.styles))


@pytest.mark.parametrize("name", CLASSES)
def test_cards_in_one_notebook_have_no_id_that_could_be_there_twice(shown: dict[str, Any], name: str) -> None:
    page = Page(shown[name]._repr_html_())
    names = {attribute for attribute, _ in page.attributes}
    assert not names & {"id", "name", "href", "aria-labelledby", "aria-describedby", "for"}
    pictures = page.tags.count("svg")
    assert sum(attribute == "aria-label" and bool(value) for attribute, value in page.attributes) >= pictures


@pytest.mark.parametrize("name", CLASSES)
def test_without_its_style_a_card_still_says_what_it_says(shown: dict[str, Any], name: str) -> None:
    text = shown[name]._repr_html_()
    bare = Page(re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL))
    assert bare.said == Page(text).said
    assert "h4" in bare.tags
    assert len("".join(bare.said)) > 20


@pytest.mark.parametrize("name", CLASSES)
def test_no_number_can_be_read_and_no_terminal_is_steered(shown: dict[str, Any], name: str) -> None:
    one = shown[name]
    for told in (one._repr_html_(), repr(one), str(one)):
        assert not [digits for digits in DIGITS if digits in told]
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", told)


@pytest.mark.parametrize("name", ["Plan", "DryRunReport", "Document", "Reconciliation", "CallView"])
def test_a_terminal_has_a_page_of_its_own_with_lines_that_fit(shown: dict[str, Any], name: str) -> None:
    lines = str(shown[name]).splitlines()
    assert 5 < len(lines) < 150
    sentences = [line for line in lines if not re.search(r"\S {2,}\S", line)]
    assert max(map(len, sentences)) <= 110
    assert "<div" not in str(shown[name])


@pytest.mark.parametrize("name", CLASSES)
def test_showing_twice_shows_the_same(shown: dict[str, Any], name: str) -> None:
    assert shown[name]._repr_html_() == shown[name]._repr_html_()


def test_displaying_neither_fetches_nor_sends(shown: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        msg = "a view opened a connection"
        raise AssertionError(msg)

    monkeypatch.setattr("socket.socket.connect", refuse)
    for one in shown.values():
        assert one._repr_html_()
        assert repr(one)
