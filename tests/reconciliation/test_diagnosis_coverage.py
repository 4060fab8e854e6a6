"""What is missing as a whole: spans of time, cut files, keys, words and forms of numbers, each with its figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.reconciliation.diagnosing.diagnose import diagnose
from sippet_reconcile.reconciliation.diagnosing.gaps import find_gaps
from sippet_reconcile.reconciliation.diagnosing.hours import find_truncated_export, gaps_of, short_files
from sippet_reconcile.reconciliation.diagnosing.material import Material
from sippet_reconcile.reconciliation.diagnosing.verdict import Outcome
from sippet_reconcile.reconciliation.diagnosing.vocabulary import find_status_vocabulary
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Sides
from sippet_reconcile.schema import LEGS, Bucket

BILLABLE = Rules(duration="billable")
PERIOD = sr.Period.month("2026-10")


def material(
    built: Any, *, period: sr.Period | None = PERIOD, legs: pd.DataFrame | None = None, **buckets: Any
) -> Material:
    sides = Sides.of(built.calls, built.cdr_calls, built.pairs, BILLABLE)
    return Material(built.calls, built.cdr_calls, sides, sides.exact(), BILLABLE, period, legs, **buckets)


def without(built: Any, gone: Any) -> Any:
    """The same without some CDR calls, and without their pairs."""
    kept = np.setdiff1d(np.arange(len(built.calls)), gone)
    cdr_calls = built.cdr_calls.iloc[kept].reset_index(drop=True)
    return type(built)(
        built.calls, cdr_calls, type(built.pairs)(kept, np.arange(len(kept)), built.pairs.rule[kept])
    )


def legs_like(cdr_calls: pd.DataFrame) -> pd.DataFrame:
    return LEGS.empty().reindex(range(len(cdr_calls))).assign(source_file=cdr_calls["source_file"])


# Gaps.


def test_a_quiet_night_says_nothing_and_a_busy_silence_does(matched: Any, row: Any) -> None:
    rows = [row(every_s=60 if n % 100 < 96 else 7200) for n in range(400)]
    built = matched(rows)
    assert len(find_gaps(material(without(built, [97, 98, 99])), "cdr").frame) == 0
    busy = find_gaps(material(without(built, np.arange(110, 150))), "cdr").frame
    assert busy[["n_calls", "n_missing"]].to_numpy().tolist() == [[40, 40]]


def test_a_gap_begins_and_ends_at_calls_and_names_its_neighbours(matched: Any, row: Any) -> None:
    built = matched([row(every_s=600) for _ in range(100)])
    gap = find_gaps(material(without(built, np.arange(32, 60))), "cdr").frame.iloc[0]
    starts = built.calls["started_at"]
    assert gap[["from", "to", "last_before", "first_after"]].tolist() == [
        starts[32],
        starts[59],
        starts[31],
        starts[60],
    ]


def test_many_lost_calls_make_longer_runs_and_no_gap(matched: Any, row: Any) -> None:
    gone = np.flatnonzero(np.random.default_rng(2).random(1500) < 0.3)
    gaps = find_gaps(material(without(matched([row(every_s=1200) for _ in range(1500)]), gone)), "cdr")
    assert len(gaps.frame) == 0
    assert not gaps.is_lost


def test_where_hardly_anything_has_a_partner_no_gap_is_told(matched: Any, row: Any) -> None:
    gone = np.flatnonzero(np.arange(300) % 5)
    gaps = find_gaps(material(without(matched([row() for _ in range(300)]), gone)), "cdr")
    assert gaps.is_lost
    assert len(gaps.frame) == 0


def test_hours_that_miss_a_part_are_one_span(matched: Any, row: Any) -> None:
    gone = np.arange(300, 600)
    gone = gone[gone % 2 == 0]
    gaps = find_gaps(material(without(matched([row(every_s=90) for _ in range(2000)]), gone)), "cdr").frame
    assert len(gaps) == 1
    assert gaps["n_missing"].iloc[0] >= 130
    assert 0.45 < gaps["share"].iloc[0] < 0.55


def test_a_short_outage_of_a_busy_system_is_no_missing_hour(matched: Any, row: Any) -> None:
    built = matched([row(every_s=3) for _ in range(2000)])
    assert len(find_gaps(material(without(built, np.arange(500, 560))), "cdr").frame) == 0


def test_empty_and_small_sides_have_no_gap_and_their_types(matched: Any, row: Any) -> None:
    for rows in ([], [row()], [row() for _ in range(19)]):
        frame = find_gaps(material(matched(rows)), "cdr").frame
        assert len(frame) == 0
        assert [str(kind) for kind in frame.dtypes] == [
            "str", "datetime64[us, UTC]", "datetime64[us, UTC]", "Int64", "Int64", "Float64",
            "datetime64[us, UTC]", "datetime64[us, UTC]",
        ]  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 60), st.integers(0, 40))
def test_the_order_of_rows_changes_no_gap(
    matched: Any, make_row: Any, seed: int, first: int, length: int
) -> None:
    built = without(
        matched([make_row(every_s=900) for _ in range(100)]), np.arange(first, min(first + length, 100))
    )
    rng = np.random.default_rng(seed)
    order, cdr_order = rng.permutation(len(built.calls)), rng.permutation(len(built.cdr_calls))
    back, cdr_back = np.argsort(order), np.argsort(cdr_order)
    pairs = type(built.pairs)(back[built.pairs.call_pos], cdr_back[built.pairs.cdr_pos], built.pairs.rule)
    mixed = type(built)(
        built.calls.iloc[order].reset_index(drop=True),
        built.cdr_calls.iloc[cdr_order].reset_index(drop=True),
        pairs,
    )
    for side in ("cdr", "api"):
        one, other = find_gaps(material(built), side), find_gaps(material(mixed), side)
        pd.testing.assert_frame_equal(one.frame, other.frame)


# Cut files.


def test_a_file_that_ends_with_the_others_is_not_cut_by_a_missing_one(matched: Any, row: Any) -> None:
    rows = [row(every_s=600, cdr={"source_file": f"{n // 60}.csv"}) for n in range(300)]
    part = without(matched(rows), np.arange(120, 180))
    m = material(part, legs=legs_like(part.cdr_calls), period=None)
    assert len(short_files(m, gaps_of(m)["cdr"])) == 0


def test_a_round_number_of_rows_is_only_mentioned_where_nothing_is_missing(matched: Any, row: Any) -> None:
    built = matched([row() for _ in range(40)])
    for n, met, expected in ((1000, True, "info"), (1000, False, "warn"), (100, True, None), (100, False, "warn"), (65536, True, "info"), (1001, False, None)):  # fmt: skip
        # Every eighth call has no CDR, so that rows may be missing anywhere, in no span of time.
        part = built if met else without(built, np.arange(0, 40, 8))
        legs = LEGS.empty().reindex(range(n)).assign(source_file=pd.Series(["a.csv"] * n, dtype="str"))
        m = material(part, legs=legs)
        finding = find_truncated_export(m, short_files(m, gaps_of(m)["cdr"])).finding
        assert (finding and finding.severity) == expected


# Few matches.


def both(make_legs: Any, make_calls: Any, at: Any, **legs: Any) -> sr.Reconciliation:
    """40 calls whose CDR has other keys, other numbers and whatever a test wants."""
    rows, calls = [], []
    for n in range(40):
        start = at(600 * n)
        calls.append(
            {"call_uuid": f"uuid{n}", "from_number": f"+44207946{n:04d}", "to_number": "+447700900001",
             "started_at": start, "ended_at": at(600 * n + 70), "duration_seconds": 60}
        )  # fmt: skip
        row = {
            "call_key": f"other{n}", "leg_id": f"leg{n}", "from_number": f"+44770090{n:04d}", "to_number": "+442079460999",
            "started_at": start, "answered_at": at(600 * n + 10), "ended_at": at(600 * n + 70), "total_s": 70, "billable_s": 60,
        }  # fmt: skip
        row["from_e164"], row["to_e164"] = row["from_number"], row["to_number"]
        rows.append({**row, **{name: make(n) for name, make in legs.items()}})
    return sr.reconcile(make_legs(rows), make_calls(calls), rules=BILLABLE, progress=False)


def test_the_column_that_holds_the_key_is_named(make_legs: Any, make_calls: Any, at: Any) -> None:
    rec = both(make_legs, make_calls, at, x_sip_id=lambda n: f"UUID-{n}")
    finding = rec.findings["low-match-rate"]
    assert "its column x_sip_id does in 40 of 40 legs looked at" in finding.message
    assert 'legs["x_sip_id"]' in finding.advice


def test_a_key_that_is_nowhere_is_said_to_be(make_legs: Any, make_calls: Any, at: Any) -> None:
    message = both(make_legs, make_calls, at).findings["low-match-rate"].message
    assert message.startswith(
        "None of 40 calls of the API and none of 40 answered calls of the CDR found their other side; "
    )
    assert "nor does any other column" in message
    assert "of 40 unmatched calls looked at, none has numbers that unmatched CDR calls have too" in message


def test_calls_without_a_uuid_are_a_reason(make_legs: Any, make_calls: Any, at: Any) -> None:
    legs = [{"call_key": f"k{n}", "started_at": at(n * 600), "ended_at": at(n * 600 + 9)} for n in range(30)]
    calls = [{"started_at": at(n * 600), "ended_at": at(n * 600 + 9)} for n in range(30)]
    rec = sr.reconcile(make_legs(legs), make_calls(calls), rules=BILLABLE, progress=False)
    assert "no call of the API has a call_uuid" in rec.findings["low-match-rate"].message


def test_another_period_is_a_reason(make_legs: Any, make_calls: Any, at: Any) -> None:
    month = 86_400 * 40
    moved = {
        name: (lambda n, s=s: at(month + 600 * n + s))
        for name, s in (("started_at", 0), ("answered_at", 10), ("ended_at", 70))
    }
    message = both(make_legs, make_calls, at, **moved).findings["low-match-rate"].message
    assert "the calls are of 2026-10-05 08:00 to" in message
    assert "the CDR is of 2026-11-14 08:00 to" in message


@pytest.mark.parametrize("n_known", [40, 15], ids=["all", "some, the other callers being extensions"])
@pytest.mark.parametrize(
    ("by", "told", "advised"),
    [
        (90, "are in the CDR about 90 s later", "Rules(clock_offset_s=90)"),
        (-200, "are in the CDR about 200 s earlier", "Rules(clock_offset_s=-200)"),
        (-3600, "are in the CDR 1 h earlier", "timezone="),
    ],
)
def test_the_same_numbers_at_another_time_tell_how_far_apart_the_clocks_are(
    make_legs: Any, make_calls: Any, at: Any, *, by: int, told: str, advised: str, n_known: int
) -> None:
    same = {
        name: (lambda n: f"+44207946{n:04d}" if n < n_known else f"{1000 + n}")
        for name in ("from_number", "from_e164")
    }
    same |= {name: (lambda _: "+447700900001") for name in ("to_number", "to_e164")}
    moved = {
        name: (lambda n, s=s: at(by + 600 * n + s))
        for name, s in (("started_at", 0), ("answered_at", 10), ("ended_at", 70))
    }
    finding = both(make_legs, make_calls, at, **same, **moved).findings["low-match-rate"]
    assert f"{n_known} of 40 unmatched calls looked at {told}" in finding.message
    assert advised in finding.advice


def test_the_same_numbers_some_hours_later_are_a_zone(make_legs: Any, make_calls: Any, at: Any) -> None:
    same = {name: (lambda n: f"+44207946{n:04d}") for name in ("from_number", "from_e164")}
    same |= {name: (lambda _: "+447700900001") for name in ("to_number", "to_e164")}
    later = {
        name: (lambda n, s=s: at(7200 + 600 * n + s))
        for name, s in (("started_at", 0), ("answered_at", 10), ("ended_at", 70))
    }
    finding = both(make_legs, make_calls, at, **same, **later).findings["low-match-rate"]
    assert "40 of 40 unmatched calls looked at are in the CDR 2 h later" in finding.message
    assert "timezone=" in finding.advice


# Words.


def words_of(built: Any, rules: Rules = BILLABLE) -> Any:
    return find_status_vocabulary(Sides.of(built.calls, built.cdr_calls, built.pairs, rules), rules)


def test_an_overwhelming_pair_of_words_is_a_mapping_that_can_be_pinned(matched: Any, row: Any) -> None:
    rows = [row(call={"status": "hangup"}) for _ in range(96)] + [
        row(call={"status": "failed"}) for _ in range(4)
    ]
    finding = words_of(matched(rows)).finding
    assert finding.cure == {"status_map": {"completed": ["hangup"]}}
    assert 'as in [status_map] completed = ["hangup"];' in finding.advice
    assert "status-vocabulary" not in diagnose_codes(matched(rows), finding.cure)
    few = rows[:90] + rows[96:] * 2
    assert words_of(matched(few)).finding.cure == {}
    assert words_of(matched(rows[:49])).finding.cure == {}


def diagnose_codes(built: Any, cure: Any) -> tuple[str, ...]:
    return diagnose(built.calls, built.cdr_calls, built.pairs, Rules(duration="billable", **cure)).codes


def test_a_mapping_keeps_what_the_rules_say_already_and_the_word_itself(matched: Any, row: Any) -> None:
    rules = Rules(duration="billable", status_map={"busy": ["engaged"]})
    rows = [row(call={"status": "missed"}, cdr={"status": "no_answer"}) for _ in range(99)]
    rows += [row(call={"status": "no_answer"}, cdr={"status": "no_answer"}), row()]
    finding = words_of(matched(rows), rules).finding
    assert "not understood alike" in finding.message
    assert finding.cure == {"status_map": {"busy": ["engaged"], "no_answer": ["missed", "no_answer"]}}


def test_wrong_statuses_of_single_calls_are_no_matter_of_words(matched: Any, row: Any) -> None:
    rows = [row(call={"status": "busy" if n % 10 == 0 else "completed"}) for n in range(300)]
    rows += [row(call={"status": "busy"}, cdr={"status": "busy"}) for _ in range(60)]
    assert words_of(matched(rows)).outcome is Outcome.NOTHING


def test_words_that_say_nothing_on_both_sides_need_no_mapping(matched: Any, row: Any) -> None:
    assert words_of(matched([row(call={"status": "unknown"}), row()])).finding is None


# Numbers.


def numbers_of(built: Any) -> Any:
    return diagnose(built.calls, built.cdr_calls, built.pairs, BILLABLE)


def test_both_sides_in_national_form_are_not_odd(matched: Any, row: Any) -> None:
    national = {"from_number": "02079460123"}
    rows = [row(call=national, cdr={**national, "from_e164": None}) for _ in range(80)]
    assert "number-format" not in numbers_of(matched(rows))


@pytest.mark.parametrize(
    ("sent", "ahead", "advised"),
    [
        ("02079460123", ["0", "+44"], 'country="GB"'),
        ("2079460123", ["", "+44"], 'country="GB"'),
        ("902079460123", ["90", "+44"], 'strip_prefixes=("9",), country="GB"'),
        ("00442079460123", ["00", "+"], "country="),
        ("9442079460123", ["9", "+"], 'strip_prefixes=("9",).'),
    ],
)
def test_what_stands_ahead_of_the_common_digits_is_measured(
    matched: Any, row: Any, *, sent: str, ahead: list[str], advised: str
) -> None:
    rows = [row(cdr={"from_number": sent, "from_e164": None}) for _ in range(60)]
    finding = numbers_of(matched(rows))["number-format"]
    assert finding.evidence[["cdr_has_ahead", "api_has_ahead"]].iloc[0].tolist() == ahead
    assert advised in finding.advice


def test_numbers_short_of_an_area_code_are_equal_in_fewer_digits(matched: Any, row: Any) -> None:
    rows = [row(cdr={"from_number": "79460123", "from_e164": None}) for _ in range(60)]
    finding = numbers_of(matched(rows))["number-format"]
    cures = diagnose(
        *(getattr(matched(rows), name) for name in ("calls", "cdr_calls", "pairs")), BILLABLE
    ).cures_toml()
    assert finding.cure == {"number_digits": 8}
    assert "number_digits = 8" in cures


def test_the_extension_that_rang_is_no_odd_form_of_the_number_dialled(matched: Any, row: Any) -> None:
    rows = [row(cdr={"to_number": f"10{n % 40:02d}", "to_e164": None}) for n in range(80)]
    assert "number-format" not in numbers_of(matched(rows))


def test_single_wrong_numbers_are_no_matter_of_form(matched: Any, row: Any) -> None:
    rng = np.random.default_rng(1)
    rows = [
        row(call={"from_number": f"+4420794{rng.integers(99999):05d}"} if n % 5 == 0 else {})
        for n in range(600)
    ]
    assert "number-format" not in numbers_of(matched(rows))


# Probes.


def test_few_unmatched_calls_are_nothing_rather_than_too_few(matched: Any, row: Any) -> None:
    built = matched([row() for _ in range(5)])
    found = diagnose(
        built.calls, built.cdr_calls, built.pairs, BILLABLE, cdr_buckets=pd.Series([Bucket.MATCHED.value] * 5)
    )
    assert found.checks.set_index("code").loc["probe-noise", "outcome"] == "nothing found"


def test_two_gaps_are_two_spans(matched: Any, row: Any) -> None:
    gone = np.concatenate([np.arange(100, 140), np.arange(300, 350)])
    frame = find_gaps(material(without(matched([row(every_s=600) for _ in range(500)]), gone)), "cdr").frame
    assert frame["n_missing"].tolist() == [40, 50]


def test_hours_that_miss_less_than_usual_are_no_gap(matched: Any, row: Any) -> None:
    # Of two switches one is never exported; in one hour it had fewer calls.
    share = np.where((np.arange(3000) >= 1200) & (np.arange(3000) < 1800), 0.34, 0.48)
    gone = np.flatnonzero(np.random.default_rng(6).random(3000) < share)
    gaps = find_gaps(material(without(matched([row(every_s=6) for _ in range(3000)]), gone)), "cdr")
    assert not gaps.is_lost
    assert len(gaps.frame) == 0
