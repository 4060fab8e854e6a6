"""The document of a reconciliation: complete in its counts, bounded in its rows, without a full number."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.reconciliation.differences import differences_section
from sippet_reconcile.report import MAX_HTML_ROWS
from sippet_reconcile.report.bounds import most_significant

CALLER, CALLED, EVIL = "+442079460123", "+442079460777", "<b>&\"x'</b>"


def call(at, n=0, **columns):
    """Return a call of 60 s, 600 s after the one ahead of it."""
    return {
        "call_uuid": f"uuid-{n}",
        "from_number": CALLER,
        "to_number": CALLED,
        "started_at": at(600 * n),
        "ended_at": at(600 * n + 70),
        "duration_seconds": 60,
        **columns,
    }


def leg(at, n=0, **columns):
    """Return the leg that agrees with such a call."""
    return {
        "call_key": f"uuid-{n}",
        "leg_id": f"leg-{n}",
        "from_number": CALLER,
        "to_number": CALLED,
        "from_e164": CALLER,
        "to_e164": CALLED,
        "started_at": at(600 * n),
        "answered_at": at(600 * n + 10),
        "ended_at": at(600 * n + 70),
        "total_s": 70,
        "billable_s": 60,
        **columns,
    }


@pytest.fixture
def mixed(reconciled, at):
    """One call that differs, one whose caller differs, one on each side only, two rivals, one that never started."""
    legs = [
        leg(at, 0),
        leg(at, 1, from_number="+442079460999", from_e164="+442079460999"),
        leg(at, 2, to_number="+442079460555", to_e164="+442079460555", billable_s=50),
        leg(at, 4, call_key=None, to_number="+442079460444", to_e164="+442079460444"),
        leg(at, 5),
    ]
    calls = [
        call(at, 0, duration_seconds=70, status="completed", call_source=EVIL),
        call(at, 1),
        call(at, 3, to_number="+442079460666", duration_seconds=33, call_source=EVIL),
        call(at, 4, call_uuid=None, to_number="+442079460444"),
        call(at, 4, call_uuid=None, to_number="+442079460444", started_at=at(2400)),
        call(at, 5),
        call(at, 6, started_at=None, ended_at=None),
    ]
    return reconciled(legs, calls, internal_numbers=("02079460888",))


def section(document, title):
    (part,) = [part for part in document.sections if part.title == title]
    return part


def test_counts_are_complete_and_tell_where_every_row_is(mixed):
    document, said = mixed.report(), mixed.summary()
    assert document.verdict.startswith(said["verdict"])
    assert "1 of 2 differences (50.0%) is explained" in document.verdict, (
        "the cause is met before any difference"
    )
    assert document.verdict.endswith("sippet-reconcile plan.")
    assert document.facts["calls that differ"] == said["calls_with_discrepancies"] == 2
    for title, count in (
        ("Only in the CDR", said["only_in_cdr"]),
        ("Only in the API", said["only_in_api"]),
        ("Ambiguous", said["ambiguous_calls"]),
    ):
        assert count > 0
        assert section(document, title).intro.startswith(f"{count} call")
    balance = section(document, "Where every row ended up").frame
    assert int(balance["rows"].sum()) == said["legs"] + said["calls"]
    excluded = section(document, "Excluded, and why").frame
    assert excluded.loc[excluded["reason"].eq("never-started"), "n_calls"].tolist() == [1]


def test_each_difference_stands_with_its_call_and_what_proves_it(mixed):
    part = section(mixed.report(), "The differences, call by call")
    assert part.group_by == "call_id"
    assert part.frame[["call_id", "field"]].to_numpy().tolist() == [
        ["id-0", "duration_seconds"],
        ["id-1", "from_number"],
    ]
    assert part.frame["is_patchable"].tolist() == ["yes", "the API does not let it be corrected"]
    assert part.evidence["sources"].tolist() == ["a.csv:2", "a.csv:3"]
    assert part.evidence["billable_s_cdr"].tolist() == [60, 60]


def test_each_leg_of_a_call_is_named(reconciled, at):
    legs = [
        leg(at, 0, leg_id=f"l{n}", source_row=n + 2, linked_id="group", started_at=at(n), record_hash=n)
        for n in range(13)
    ]
    rec = reconciled(legs, [call(at, 0, duration_seconds=500)])
    (sources,) = section(rec.report(), "The differences, call by call").evidence["sources"]
    assert sources == ", ".join(f"a.csv:{n + 2}" for n in range(10)) + " and 3 more"


@pytest.mark.parametrize("write", ["to_html", "to_markdown", "to_json"])
def test_no_full_number_is_in_a_masked_file(mixed, tmp_path, write):
    getattr(mixed, write)(tmp_path / "report")
    text = (tmp_path / "report").read_text(encoding="utf-8")
    assert not re.search(r"2079460\d\d\d", text)
    assert "44•" in text or "\\u2022" in text
    getattr(mixed, write)(tmp_path / "full", mask=False)
    full = (tmp_path / "full").read_text(encoding="utf-8")
    for number in (CALLER, "+442079460999", "+442079460555", "+442079460666"):
        assert number in full
    assert "02079460888" in full


def test_a_document_made_masked_shows_no_number_however_it_is_written(mixed):
    document = mixed.report()
    for text in (document.html(mask=False), document.to_json(mask=False), document.to_markdown(mask=False)):
        assert not re.search(r"2079460\d\d\d", text)


def test_values_are_escaped(mixed):
    page = mixed.report().html()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


def test_nothing_at_all_is_a_report_too(reconciled, tmp_path):
    rec = reconciled([], [])
    page = rec.to_html(tmp_path / "empty.html").read_text(encoding="utf-8")
    assert "Nothing could be compared." in page
    assert json.loads(rec.to_json())["summary"]["compared"] == 0


def test_one_call_that_agrees_is_told_without_differences(reconciled, at):
    document = reconciled([leg(at, 0)], [call(at, 0)]).report()
    titles = [part.title for part in document.sections]
    assert document.verdict == "The one compared call agrees."
    assert document.tone == "ok"
    assert not {"The differences, call by call", "Why they differ", "When the differing calls were"} & set(
        titles
    )
    assert "The ledger" in titles


def test_a_finding_shows_its_evidence_and_its_cure(reconciled, at):
    legs = [
        leg(at, n, started_at=at(600 * n + 7), answered_at=at(600 * n + 17), ended_at=at(600 * n + 77))
        for n in range(40)
    ]
    rec = reconciled(legs, [call(at, n) for n in range(40)])
    document = rec.report()
    assert "clock-offset" in rec.findings.codes
    findings = section(document, "Findings about the data").frame.set_index("code")
    assert findings.loc["clock-offset", "cure"] == "clock_offset_s = 7"
    assert len(section(document, "Evidence: clock-offset").frame)
    assert document.tone == "stop"


def test_the_most_significant_calls_are_kept_whole_and_the_rest_is_counted():
    n = 3 * MAX_HTML_ROWS
    delta = np.where(np.arange(n) % 3 == 0, np.arange(n), np.nan)
    found = pd.DataFrame(
        {"call_id": [f"c{k // 3}" for k in range(n)], "delta_s": pd.array(delta, dtype="Float64")}
    )
    rows = most_significant(found, MAX_HTML_ROWS)
    kept = found.iloc[rows]
    assert len(rows) == MAX_HTML_ROWS - MAX_HTML_ROWS % 3
    assert kept.groupby("call_id").size().eq(3).all()
    assert kept["delta_s"].max() == np.nanmax(delta)
    left = found.drop(index=found.index[rows])
    assert kept["delta_s"].min() > left["delta_s"].max()
    assert (kept["call_id"].ne(kept["call_id"].shift()).sum()) == kept["call_id"].nunique()


def test_what_is_not_shown_is_counted_and_said_where_to_find(reconciled, at):
    rec = reconciled([leg(at, n) for n in range(5)], [call(at, n, duration_seconds=70 + n) for n in range(5)])
    part = differences_section(rec, mask=True, most=2)
    assert part.frame["call_id"].tolist() == ["id-4", "id-3"]
    assert part.intro.startswith("5 differences in 5 calls. Here are 2 in 2 calls")
    assert "rec.discrepancies" in part.intro


def test_days_and_hours_are_those_of_the_periods_zone(reconciled):
    start = pd.Timestamp("2026-10-31T23:30:00Z")
    row = {
        "call_uuid": "u",
        "started_at": start,
        "ended_at": start + pd.Timedelta(seconds=70),
        "duration_seconds": 99,
    }
    export = {
        **row,
        "call_key": "u",
        "billable_s": 60,
        "total_s": 70,
        "answered_at": start + pd.Timedelta(seconds=10),
    }
    del export["call_uuid"], export["duration_seconds"]
    period = sr.Period.month("2026-11", timezone="Europe/Paris")
    document = reconciled([export], [row], period).report()
    days, hours = section(document, "When the differing calls were").charts
    assert [bar.label for bar in days.bars if bar.value] == ["Sunday 2026-11-01"]
    assert [bar.label for bar in hours.bars if bar.value] == ["00:00 to 01:00"]
