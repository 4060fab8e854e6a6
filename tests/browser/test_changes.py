"""The table of changes does as a reader asks, hides no change and takes no call apart."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr

Open = Callable[..., Any]

MISSING = "–"
PAGE = 100
NUMBERS = {"change (s)"}
COLUMNS = {"field": "field", "before": "before", "after": "after", "call_id": "call"}


def order_of(text: str) -> tuple[Any, ...]:
    """Return what a text is ordered by: digits in it count as numbers."""
    return tuple(int(part) if part.isdigit() else part.casefold() for part in re.split(r"(\d+)", text))


def number_of(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def by_call(changes: pd.DataFrame) -> dict[str, set[tuple[str, ...]]]:
    """Return what a plan changes, call by call, as the page writes it."""
    told = changes[["call_id", "field", "before", "after"]].fillna(MISSING)
    return {key: set(rows[["field", "before", "after"]].itertuples(index=False, name=None))
            for key, rows in told.groupby("call_id")}  # fmt: skip


def told_by(blocks: list[list[dict[str, str]]]) -> dict[str, set[tuple[str, ...]]]:
    """Return the same as blocks of a page tell it."""
    told = {
        block[0]["call"]: {(row["field"], row["before"], row["after"]) for row in block} for block in blocks
    }
    assert len(told) == len(blocks), "a call stands in two blocks"
    assert all(len({row["call"] for row in block}) == 1 for block in blocks)
    return told


def show_all(table: Any) -> int:
    """Press "Show more" to the end and return how often that was."""
    for times in itertools.count():
        more = table.box.get_by_role("button", name=re.compile(r"^Show \d+ more$"))
        if not more.count():
            return times
        more.click()
        table.settle()
    raise AssertionError


@pytest.mark.slow
def test_without_scripts_every_change_stands_there_call_by_call_with_its_evidence(
    plan: Any, page_file: Path, open_report: Open
) -> None:
    report = open_report(page_file, java_script_enabled=False)
    table = report.table()
    assert told_by(table.blocks()) == by_call(plan.changes)
    proofs = table.box.locator("tr.evidence")
    assert proofs.count() == plan.changes["call_id"].nunique()
    assert proofs.last.is_visible()
    assert table.box.get_by_role("button").count() == 0


@pytest.mark.slow
def test_a_long_table_begins_with_a_hundred_calls_and_says_so_until_all_are_shown(
    long_plan: Any, long_file: Path, open_report: Open
) -> None:
    table = open_report(long_file).table()
    n_calls, n_changes = long_plan.changes["call_id"].nunique(), len(long_plan.changes)
    assert (n_calls, n_changes > n_calls) == (130, True)
    assert table.status == (
        f"{n_calls} of {n_calls} calls, {n_changes} of {n_changes} changes; the first {PAGE} are shown"
    )
    assert len(table.blocks()) == PAGE
    assert table.box.get_by_role("button", name="Show 30 more").is_visible()
    assert show_all(table) == 1
    assert told_by(table.blocks()) == by_call(long_plan.changes)
    assert table.status == f"{n_calls} of {n_calls} calls, {n_changes} of {n_changes} changes"


@pytest.mark.slow
def test_each_column_sorts_both_ways_with_missing_values_last_and_calls_whole(
    plan: Any, page_file: Path, open_report: Open
) -> None:
    table = open_report(page_file).table()
    wanted, before, heads = by_call(plan.changes), table.blocks(), table.heads
    assert {"call", "started (UTC)", "from", "to", "field", "before", "after", "cause", *NUMBERS} <= set(
        heads
    )
    for head, direction in itertools.product(heads, ["ascending", "descending"]):
        table.sort(head)
        assert table.order == {head: direction}
        blocks = table.blocks()
        assert told_by(blocks) == wanted, head
        read = number_of if head in NUMBERS else order_of
        told = [[read(row[head]) for row in block if row[head] != MISSING] for block in blocks]
        is_down = direction == "descending"
        with_any = [(max if is_down else min)(values) for values in told if values]
        assert with_any == sorted(with_any, reverse=is_down), (head, direction)
        assert [not values for values in told] == sorted(not values for values in told), head
    table.sort(heads[-1])
    assert (table.order, table.blocks()) == ({}, before), "a third press puts back the first order"


@pytest.mark.slow
def test_each_filter_keeps_exactly_the_calls_that_have_what_was_chosen(
    plan: Any, page_file: Path, open_report: Open
) -> None:
    table = open_report(page_file).table()
    changes = plan.changes
    all_calls = by_call(changes)
    heads = {"field": "field", "cause": "explanation", "matched by": "match_rule"}
    tried = 0
    for head, column in heads.items():
        choices = changes[column].dropna().unique()
        if len(choices) < 2:
            assert table.box.get_by_role("combobox", name=head, exact=True).count() == 0
            continue
        for choice in choices:
            table.pick(head, choice)
            wanted = set(changes.loc[changes[column].eq(choice), "call_id"])
            assert told_by(table.blocks()) == {key: all_calls[key] for key in wanted}, choice
            assert table.status.startswith(f"{len(wanted)} of {len(all_calls)} calls")
            tried += 1
        table.pick(head, "all")
    assert tried > 4
    assert len(table.blocks()) == len(all_calls)


def test_search_finds_calls_by_any_of_their_words_and_by_their_evidence(
    plan: Any, page_file: Path, open_report: Open
) -> None:
    table = open_report(page_file).table()
    calls, all_calls = plan.calls, by_call(plan.changes)
    one = plan.changes.iloc[-1]
    for words in (one["call_id"], one["call_id"][:18].upper(), f"  {one['call_id'][:13]}   {one['field']} "):
        table.search(words)
        assert told_by(table.blocks()) == {one["call_id"]: all_calls[one["call_id"]]}, words
    source = f"{one['source_file']}:{one['source_row']}"
    table.search(source)
    holds = calls["sources"].astype("str").str.lower().str.contains(source.lower(), regex=False)
    assert set(told_by(table.blocks())) == set(calls.loc[holds, "call_id"])
    for words in ("no such call", ".*", "[", "\\d", "<script>"):
        table.search(words)
        assert table.blocks() == [], words
        assert table.status.startswith(f"0 of {len(all_calls)} calls")
    table.search("")
    assert len(table.blocks()) == len(all_calls)


def test_search_filter_and_order_hold_together(plan: Any, page_file: Path, open_report: Open) -> None:
    table = open_report(page_file).table()
    changes = plan.changes
    table.search("outbound")
    table.pick("field", "duration_seconds")
    table.sort("change (s)")
    table.sort("change (s)")
    calls = plan.calls.set_index("call_id")
    is_out = changes["call_id"].map(calls["direction"]).eq("outbound")
    wanted = changes[is_out & changes["field"].eq("duration_seconds")]
    blocks = table.blocks()
    assert set(told_by(blocks)) == set(wanted["call_id"])
    largest = [
        max(number_of(row["change (s)"]) for row in block if row["change (s)"] != MISSING) for block in blocks
    ]
    assert largest == sorted(wanted["delta_s"], reverse=True)
    table.search("")
    table.pick("field", "all")
    assert table.order == {"change (s)": "descending"}, "the order outlives the search"


def test_evidence_unfolds_by_keyboard_and_names_every_source_line(
    plan: Any, page_file: Path, open_report: Open
) -> None:
    report = open_report(page_file)
    table = report.table()
    block = table.box.locator("tbody.group").nth(3)
    call_id = table.blocks()[3][0]["call"]
    button, proof = block.get_by_role("button", name="Evidence"), block.locator("tr.evidence")
    assert not proof.is_visible()
    assert button.get_attribute("aria-expanded") == "false"
    button.focus()
    report.page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    assert proof.is_visible()
    told = proof.inner_text()
    call = plan.calls.set_index("call_id").loc[call_id]
    for source in str(call["sources"]).split("; "):
        assert source in told
    assert table.box.locator("tr.evidence:visible").count() == 1, "the others stay folded"
    report.page.keyboard.press("Space")
    assert not proof.is_visible()
    assert button.get_attribute("aria-expanded") == "false"


@pytest.mark.parametrize("has_clipboard", [True, False], ids=["allowed", "by hand"])
def test_an_id_and_the_rows_that_fit_are_copied(
    has_clipboard: bool, plan: Any, page_file: Path, open_report: Open
) -> None:
    report = open_report(page_file, clipboard=has_clipboard)
    page, table = report.page, report.table()
    if not has_clipboard:  # as in a browser that keeps the clipboard from files
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")

    def copied(press: Any) -> str:
        press.click()
        page.get_by_text("Copied").wait_for()
        page.evaluate("""() => { const t = document.createElement('textarea'); t.id = 'pasted';
                                 document.body.append(t); t.focus(); }""")
        page.keyboard.press("Control+V")
        return page.evaluate("""() => { const t = document.getElementById('pasted'), v = t.value;
                                        t.remove(); return v; }""")

    block = table.box.locator("tbody.group").nth(2)
    call_id = table.blocks()[2][0]["call"]
    assert copied(block.get_by_role("button", name="Copy", exact=True)) == call_id
    table.pick("field", "status")
    lines = [
        line.split("\t") for line in copied(table.box.get_by_role("button", name="Copy table")).splitlines()
    ]
    heads, rows = lines[0], lines[1:]
    changes = plan.changes
    wanted = changes[changes["call_id"].isin(changes.loc[changes["field"].eq("status"), "call_id"])]
    shown = [heads.index(name) for name in ("call", "field", "before", "after")]
    assert sorted([row[at] for at in shown] for row in rows) == sorted(
        map(
            list,
            wanted[["call_id", "field", "before", "after"]].fillna("").itertuples(index=False, name=None),
        )
    )


def test_no_copied_cell_is_one_that_a_spreadsheet_calculates(
    hostile: Any, tmp_path: Path, open_report: Open
) -> None:
    report = open_report(hostile.dry_run().to_html(tmp_path / "hostile.html", mask=False), clipboard=True)
    report.table().box.get_by_role("button", name="Copy table").click()
    report.page.get_by_text("Copied").wait_for()
    text = report.page.evaluate("navigator.clipboard.readText()")
    cells = [cell for line in text.splitlines() for cell in line.split("\t")]
    assert {"'=2+5", "'@SUM(2)", "'=HYPERLINK(0)", "'\uff1d2+5"} <= set(cells)
    plain = re.compile(r"[+-]?\d+(\.\d+)?")
    assert [c for c in cells if re.match(r"\s*[=+\-@\uff1d]", c) and not plain.fullmatch(c)] == []
    assert len({line.count("\t") for line in text.splitlines()}) == 1, "each line has every column"


@pytest.mark.slow
def test_five_thousand_changes_are_searched_to_the_last_and_the_page_says_where_the_rest_is(
    tmp_path: Path, open_report: Open
) -> None:
    n_calls = 2_600
    key = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(n_calls)]
    start = pd.Timestamp("2026-10-05T10:00:00Z")
    calls = pd.DataFrame({
        "id": key, "call_uuid": key, "direction": "inbound", "from_number": "+442079460123", "to_number": None,
        "sip_username": None, "status": "answered", "call_source": "sip", "started_at": start,
        "ended_at": start + pd.Timedelta("1h"), "duration_seconds": range(100, 100 + n_calls), "conversation_id": None,
        "api_url": "https://api.example.com", "fetched_at": pd.Timestamp("2026-11-01T00:00:00Z"),
    })  # fmt: skip
    corrections = pd.DataFrame({"call_id": key, "status": "completed", "duration_seconds": "60"})
    plan = sr.plan_corrections(calls, corrections, reason="ticket 4711", statuses=("completed",))
    assert len(plan.changes) == 2 * n_calls
    report = open_report(plan.dry_run().to_html(tmp_path / "long.html"))
    table = report.table()
    assert table.status.startswith("2,500 of 2,500 calls, 5,000 of 5,000 changes")
    told = report.section("The changes").locator(".note, .intro").all_inner_texts()
    assert "2,500 calls with 5,000 changes, of 2,600 calls with 5,200 changes" in " ".join(told)
    assert "saved plan" in " ".join(told)
    # The hundred smallest corrections of duration are the rest.
    table.search(key[100])
    assert [block[0]["call"] for block in table.blocks()] == [key[100]]
    table.search(key[99])
    assert table.blocks() == []
