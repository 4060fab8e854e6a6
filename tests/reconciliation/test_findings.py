"""Findings as a sequence, as text, as HTML and as plain values."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from sippet_reconcile.reconciliation.findings import CODES, Finding, Findings, Severity, forbids_ended_at
from sippet_reconcile.reconciliation.rules import Rules

NUMBERS = pd.DataFrame(
    {
        "from_number": pd.Series(["+442079460123", None], dtype="str"),
        "n_calls": pd.Series([12, 3], dtype="Int64"),
    }
)


def three() -> Findings:
    return Findings(
        [
            Finding("probe-noise", Severity.INFO, "15 calls look like probes.", NUMBERS),
            Finding("stuck-calls", Severity.WARN, "2 calls hang."),
            Finding("empty-side", Severity.STOP, "No <calls>.", advice="Fetch & look again."),
        ]
    )


def test_stops_come_first_whatever_the_order_they_were_found_in() -> None:
    assert three().codes == ("empty-side", "stuck-calls", "probe-noise")
    assert three().stops.codes == ("empty-side",)


def test_a_finding_is_found_by_position_code_and_slice() -> None:
    found = three()
    assert found[0] is found["empty-side"]
    assert found[1:].codes == ("stuck-calls", "probe-noise")
    assert "stuck-calls" in found
    assert found[0] in found
    assert "clock-offset" not in found
    with pytest.raises(KeyError, match="no finding has the code 'clock-offset'"):
        _ = found["clock-offset"]


def test_text_and_html_mask_numbers_escape_and_end_in_the_next_step() -> None:
    found = three()
    for shown in (str(found), found._repr_html_()):
        assert "+442079460123" not in shown
        assert "+44••••••••23" in shown
    assert "No &lt;calls&gt;." in found._repr_html_()
    assert "Fetch &amp; look again." in found[0]._repr_html_()
    assert repr(found) == "<Findings: 3, of which 1 stop: empty-side; next: print(findings.to_text())>"
    assert repr(found[0]) == "<Finding stop empty-side: No <calls>.>"


def test_whatever_may_be_a_number_is_masked_where_evidence_is_shown_and_whole_in_the_frame() -> None:
    """A trunk or a user may be named by a phone number; dates, ids, counts and names stay readable."""
    given = {
        "group": ["x_trunk", "x_trunk"],
        "value": ["+44 20 7946 0123", "pbx-2026-10-01"],
        "sip_username": ["02079460188", "1004"],
        "x_line": ["442079460177", "2026-10-01"],
        "call_id": ["00000000-0000-4000-a000-000000000012", "12345678"],
    }
    evidence = pd.DataFrame({name: pd.Series(texts, dtype="str") for name, texts in given.items()})
    found = Findings([Finding("clock-offset", Severity.STOP, "Two clocks.", evidence)])
    for shown in (found.to_text(), found._repr_html_(), found[0]._repr_html_()):
        for number in ("7946 0123", "02079460188", "442079460177"):
            assert number not in shown
        for text in (
            "pbx-2026-10-01",
            ">1004<" if "<" in shown else "1004",
            "2026-10-01",
            given["call_id"][0],
            "12345678",
        ):
            assert text in shown
    assert found[0].evidence["value"].tolist() == given["value"]


def test_a_text_that_never_ends_is_cut_where_evidence_is_shown() -> None:
    evidence = pd.DataFrame({"source_file": pd.Series(["n" * 4000, "a.csv"], dtype="str")})
    found = Findings([Finding("truncated-export", Severity.WARN, "2 files.", evidence)])
    for shown in (found.to_text(), found._repr_html_()):
        assert "n" * 100 in shown
        assert "n" * 200 not in shown
        assert "a.csv" in shown


def test_shares_of_evidence_are_read_in_per_cent() -> None:
    evidence = pd.DataFrame(
        {
            "share_at_least": pd.Series([0.990039, None], dtype="Float64"),
            "n_calls": pd.Series([1204, 3], dtype="Int64"),
        }
    )
    found = Findings([Finding("missing-hours", Severity.WARN, "A gap.", evidence)])
    rows = found.to_text().splitlines()[-2:]
    assert [row.split() for row in rows] == [["99.0%", "1,204"], ["–", "3"]]
    assert '<td class="n">99.0%</td>' in found._repr_html_()


def test_a_finding_is_printed_with_the_rule_that_cures_it() -> None:
    cure = {"clock_offset_s": 7, "status_map": {"busy": ["declined"]}}
    found = Findings([Finding("clock-offset", Severity.STOP, "7 s ahead.", advice="Look.", cure=cure)])
    assert found.to_text().splitlines() == [
        "[stop] clock-offset: 7 s ahead.",
        "  next: Look.",
        "  as a rule, measured and not applied:",
        "    clock_offset_s = 7",
        "",
        "    [status_map]",
        '    busy = ["declined"]',
    ]
    assert "clock_offset_s = 7" in found._repr_html_()
    assert "as a rule" not in three().to_text()


def test_evidence_is_limited_where_it_is_shown_and_whole_in_the_frame() -> None:
    evidence = pd.DataFrame({"call_id": pd.Series([f"id-{n}" for n in range(2000)], dtype="str")})
    finding = Finding("stuck-calls", Severity.WARN, "2,000 calls hang.", evidence)
    for shown in (Findings([finding]).to_text(), finding._repr_html_()):
        assert "id-9" in shown
        assert "id-1999" not in shown
        assert "1,990 more" in shown
    assert len(finding.evidence) == 2000


def test_a_page_of_findings_has_one_row_each_and_folds_the_evidence_away() -> None:
    found = three()
    page = found._repr_html_()
    table, _, below = page.partition("</table>")
    for finding in found:
        assert f"<b>{finding.code}</b>" in table
    assert "<details>" not in table
    assert "+44••••••••23" not in table
    assert "+44••••••••23" in below
    assert below.count("<details>") == below.count("</details>") > 0


def test_no_findings_say_so() -> None:
    assert str(Findings()) == "No findings."
    assert "No findings" in Findings()._repr_html_()
    assert len(Findings().to_frame()) == 0


def test_findings_come_back_from_plain_values() -> None:
    evidence = pd.DataFrame(
        {
            "at": pd.to_datetime(pd.Series(["2026-10-05T08:00:00Z", None])),
            "share": pd.Series([0.5, None], dtype="Float64"),
            "name": pd.Series(["ä", None], dtype="str"),
        }
    )
    found = Findings([Finding("clock-offset", Severity.STOP, "37 s.", evidence, "Remove it.")])
    again = Findings.from_records(json.loads(json.dumps(found.to_records())))
    assert again.to_frame().equals(found.to_frame())
    assert again[0].evidence["at"].tolist()[0] == "2026-10-05T08:00:00+00:00"
    assert again[0].evidence.isna().iloc[1].all()
    assert Findings(found.stops).to_records(max_rows=1)[0]["evidence"]["share"] == ["0.5"]


def test_adding_findings_keeps_the_order() -> None:
    assert (Findings() + three()).codes == three().codes
    assert set(three().codes) <= set(CODES)


@pytest.mark.parametrize(("drifting", "forbidden"), [(True, True), (False, False)])
def test_a_drifting_clock_forbids_ends_even_when_read_back(*, drifting: bool, forbidden: bool) -> None:
    evidence = pd.DataFrame({"is_drifting": pd.Series([drifting], dtype="boolean")})
    found = Findings([Finding("clock-offset", Severity.STOP, "Off.", evidence)])
    assert forbids_ended_at(found) is forbidden
    assert forbids_ended_at(Findings.from_records(found.to_records())) is forbidden


def test_a_shift_forbids_ends_and_other_findings_do_not() -> None:
    assert forbids_ended_at(Findings([Finding("timezone-shift", Severity.STOP, "Shifted.")]))
    assert not forbids_ended_at(three())


# What was looked for, and what would cure what was found.


def checks_of(*rows: tuple[str, str, int, int | None, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["code", "outcome", "n_looked_at", "n_needed", "what"])


def checked() -> Findings:
    checks = checks_of(
        ("missing-hours", "not enough evidence", 3, 20, "hours <busy>"),
        ("clock-offset", "not enough evidence", 12, 20, "exactly matched calls"),
        ("stuck-calls", "found", 900, None, "calls"),
        ("probe-noise", "not looked at", 0, None, "nobody asked"),
    )
    return Findings([Finding("stuck-calls", Severity.WARN, "2 calls hang.")], checks=checks)


def test_what_too_few_rows_could_tell_is_one_quiet_line() -> None:
    line = "Not enough evidence for: clock-offset (12 of 20 exactly matched calls), missing-hours (3 of 20 hours <busy>)."
    assert checked().untold == line
    assert checked().to_text().splitlines()[-1] == line
    assert checked()._repr_html_().count("Not enough evidence") == 1
    assert "3 of 20 hours &lt;busy&gt;" in checked()._repr_html_()
    alone = Findings(checks=checked().checks)
    assert str(alone) == f"No findings.\n\n{line}"
    assert "Not enough evidence" in alone._repr_html_()
    assert three().untold == ""


def test_checks_have_one_row_per_code_in_order_and_their_types_also_when_empty() -> None:
    kinds = ["str", "str", "Int64", "Int64", "str"]
    for found in (checked(), Findings(), three(), Findings(checks=Findings().checks)):
        assert [str(kind) for kind in found.checks.dtypes] == kinds
    assert checked().checks["code"].tolist() == [
        "clock-offset",
        "missing-hours",
        "stuck-calls",
        "probe-noise",
    ]
    twice = checks_of(
        ("duplicate-rows", "nothing found", 9, None, "legs"),
        ("duplicate-rows", "found", 3, None, "CDR calls"),
    )
    assert Findings(checks=twice).checks["what"].tolist() == ["CDR calls"]


def test_checks_handed_out_are_copies() -> None:
    found = checked()
    mine = found.checks
    mine["outcome"] = "found"
    assert found.checks["outcome"].nunique() == 3


def test_checks_and_cures_come_back_from_plain_values() -> None:
    cured = Finding("clock-offset", Severity.STOP, "7 s ahead.", cure={"clock_offset_s": 7})
    found = checked() + Findings([cured])
    again = Findings.from_records(json.loads(json.dumps(found.to_records())))
    pd.testing.assert_frame_equal(again.checks, found.checks)
    assert again.codes == found.codes
    assert again.cures_toml() == found.cures_toml() != ""


def test_records_of_a_version_without_checks_and_cures_are_read() -> None:
    records = [{k: v for k, v in record.items() if k != "cure"} for record in three().to_records()]
    again = Findings.from_records(records)
    assert again.codes == three().codes
    assert len(again.checks) == 0
    assert again.cures_toml() == ""


def test_cures_are_toml_that_rules_read_with_code_and_figures_beside_them() -> None:
    found = Findings(
        [
            Finding(
                "status-vocabulary",
                Severity.WARN,
                "9 of 9 agree.",
                cure={"status_map": {"no_answer": ["missed"]}},
            ),
            Finding(
                "clock-offset", Severity.STOP, "The clock\nis 7.5 s ahead.", cure={"clock_offset_s": 7.5}
            ),
            Finding("duration-basis", Severity.INFO, "220 of 220.", cure={"duration": "billable"}),
        ]
    )
    toml = found.cures_toml()
    assert toml.splitlines() == [
        "# clock-offset: The clock is 7.5 s ahead.",
        "clock_offset_s = 7.5",
        "# duration-basis: 220 of 220.",
        'duration = "billable"',
        "",
        "[status_map]",
        "# status-vocabulary: 9 of 9 agree.",
        'no_answer = ["missed"]',
    ]
    rules = Rules.from_toml(toml)
    assert (rules.clock_offset_s, rules.duration) == (7.5, "billable")
    assert rules.status_map == {"no_answer": ("missed",)}
    assert three().cures_toml() == ""


def test_of_two_cures_for_one_rule_the_more_serious_one_counts() -> None:
    mild = Finding("duration-basis", Severity.INFO, "Mild.", cure={"duration_tolerance_s": 2})
    grave = Finding("rounded-durations", Severity.STOP, "Grave.", cure={"duration_tolerance_s": 59})
    toml = Findings([mild, grave]).cures_toml()
    assert Rules.from_toml(toml).duration_tolerance_s == 59
    assert "# or: duration_tolerance_s = 2" in toml


def test_adding_findings_keeps_what_was_looked_for() -> None:
    both = checked() + Findings(checks=checks_of(("clock-offset", "found", 30, 20, "exactly matched calls")))
    assert both.checks["outcome"].tolist() == ["found", "not enough evidence", "found", "not looked at"]
