"""Findings as a sequence, as text, as HTML and as plain values."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from sippet_reconcile.reconciliation.findings import CODES, Finding, Findings, Severity, forbids_ended_at

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
