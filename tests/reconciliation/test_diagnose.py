"""What is wrong with the whole: each finding where it holds, and silence where the sample is small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sippet_reconcile.period import Period
from sippet_reconcile.reconciliation.diagnosing import number_form
from sippet_reconcile.reconciliation.diagnosing.check import check_calls
from sippet_reconcile.reconciliation.diagnosing.diagnose import diagnose, resolve_duration
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.schema import LEGS, Bucket

AUTO = Rules()
BILLABLE = Rules(duration="billable")
START = pd.Timestamp("2026-10-05T08:00:00Z")


def of(built: Any, rules: Rules = BILLABLE, **options: Any) -> Any:
    return diagnose(built.calls, built.cdr_calls, built.pairs, rules, **options)


# The basis of durations.


def durations(row: Any, billable: int, total: int, neither: int = 0, rule: int = 0) -> list[Any]:
    return [
        *(row(rule=rule) for _ in range(billable)),
        *(row(rule=rule, call={"duration_seconds": 70}) for _ in range(total)),
        *(row(rule=rule, call={"duration_seconds": 17}) for _ in range(neither)),
    ]


@pytest.mark.parametrize(
    ("billable", "total", "neither", "expected"),
    [
        (200, 0, 0, "billable"),
        (0, 200, 0, "total"),
        (190, 10, 0, "billable"),
        (189, 11, 0, None),
        (199, 0, 0, None),
        (200, 5, 100, "billable"),
        (100, 100, 0, None),
        (0, 0, 0, None),
    ],
)
def test_auto_decides_only_with_enough_telling_pairs_that_agree(
    matched: Any, row: Any, *, billable: int, total: int, neither: int, expected: str | None
) -> None:
    built = matched(durations(row, billable, total, neither))
    rules, basis = resolve_duration(built.calls, built.cdr_calls, built.pairs, AUTO)
    assert rules.duration == (expected or "billable")
    assert (basis.n_telling, basis.n_billable, basis.n_total) == (billable + total, billable, total)
    if billable + total:
        finding = of(built, rules, basis=basis)["duration-basis"]
        assert finding.severity == ("info" if expected else "stop")
        assert f'duration="{expected or "billable"}"' in finding.advice


def test_pairs_that_cannot_tell_are_not_asked(matched: Any, row: Any) -> None:
    no_ring = [row(ring=0.5) for _ in range(300)]
    unanswered = [row(talk=0, cdr={"is_answered": False}) for _ in range(300)]
    by_numbers = durations(row, 300, 0, rule=2)
    nothing = [row(call={"duration_seconds": None}) for _ in range(300)]
    built = matched([*no_ring, *unanswered, *by_numbers, *nothing])
    _, basis = resolve_duration(built.calls, built.cdr_calls, built.pairs, AUTO)
    assert basis.n_telling == 0


def test_a_basis_that_the_data_contradict_stops(matched: Any, row: Any) -> None:
    built = matched(durations(row, 2, 230))
    rules, basis = resolve_duration(built.calls, built.cdr_calls, built.pairs, BILLABLE)
    assert rules.duration == "billable"
    assert of(built, rules, basis=basis)["duration-basis"].severity == "stop"
    assert "duration-basis" not in of(built, Rules(duration="total"))
    few = matched(durations(row, 0, 150))
    assert "duration-basis" not in of(few, BILLABLE)


# Seconds that are billed increments.


def test_seconds_that_are_all_multiples_of_an_increment_stop(matched: Any, row: Any) -> None:
    rows = [row(talk=n, cdr={"billable_s": float(-(-n // 6) * 6)}) for n in range(20, 100)]
    finding = of(matched(rows))["rounded-durations"]
    assert finding.severity == "stop"
    assert finding.evidence["increment_s"].tolist() == [6]
    assert "rounded-durations" not in of(matched(rows[:49]))


def test_real_seconds_and_an_api_that_is_rounded_itself_are_no_increments(matched: Any, row: Any) -> None:
    assert "rounded-durations" not in of(matched([row(talk=n) for n in range(20, 100)]))
    both_rounded = [row(talk=60 * (1 + n % 9)) for n in range(100)]
    assert "rounded-durations" not in of(matched(both_rounded))
    one_length = [row(talk=61, cdr={"billable_s": 60.0}) for _ in range(100)]
    assert "rounded-durations" not in of(matched(one_length))


# Words.


def test_words_without_a_counterpart_are_named(matched: Any, row: Any) -> None:
    rows = [
        row(),
        row(cdr={"status": "voicemail"}),
        row(call={"status": "archived"}),
        row(cdr={"status": "unknown"}),
    ]
    finding = of(matched(rows))["status-vocabulary"]
    assert finding.evidence[["side", "status", "n_calls"]].to_numpy().tolist() == [
        ["cdr", "voicemail", 1],
        ["api", "archived", 1],
    ]
    mapped = Rules(duration="billable", status_map={"voicemail": ["archived"]})
    assert "status-vocabulary" not in of(matched(rows), mapped)


def test_open_and_known_words_are_no_finding(matched: Any, row: Any) -> None:
    rows = [
        row(),
        row(call={"status": "Ringing"}),
        row(call={"status": "No-Answer"}, cdr={"status": "no_answer"}),
    ]
    assert "status-vocabulary" not in of(matched(rows))


# Calls alone.


def test_calls_that_hang_are_judged_at_the_instant_they_were_fetched(matched: Any, row: Any) -> None:
    soon = START + pd.Timedelta(hours=1)
    rows = [
        row(call={"status": "answered", "ended_at": None}),
        row(call={"ended_at": None}),
        row(call={"status": "ringing"}),
        row(every_s=0, call={"status": "ringing", "ended_at": None, "fetched_at": soon}),
        row(call={"status": "initiated", "started_at": None, "ended_at": None}),
        row(call={"status": "initiated", "ended_at": None, "fetched_at": None}),
        row(),
    ]
    built = matched(rows)
    finding = check_calls(built.calls)["stuck-calls"]
    assert finding.severity == "warn"
    assert finding.evidence["call_id"].tolist() == ["id-0", "id-1", "id-2"]
    assert "stuck-calls" in of(built)


def test_calls_that_cannot_be(matched: Any, row: Any) -> None:
    rows = [
        row(call={"ended_at": START - pd.Timedelta(seconds=1)}),
        row(call={"duration_seconds": 72}),
        row(call={"duration_seconds": 71}),
        row(call={"duration_seconds": -5}),
        row(call={"ended_at": None, "duration_seconds": 9999}),
    ]
    evidence = check_calls(matched(rows).calls)["impossible-calls"].evidence
    assert evidence[["call_id", "reason"]].to_numpy().tolist() == [
        ["id-0", "ended before it started"],
        ["id-1", "longer than from start to end"],
        ["id-3", "negative duration"],
    ]


def test_calls_that_share_a_uuid_ignoring_case_and_dashes(matched: Any, row: Any) -> None:
    names = ["AB-1", "ab1", "other", None, None]
    built = matched([row(call={"call_uuid": name}) for name in names])
    finding = check_calls(built.calls)["duplicate-calls"]
    assert finding.evidence["call_id"].tolist() == ["id-0", "id-1"]


def test_a_call_that_was_read_twice_counts_once_as_it_was_read_last(matched: Any, row: Any) -> None:
    built = matched([row(), row(call={"status": "answered", "ended_at": None})])
    later = built.calls.assign(
        fetched_at=built.calls["fetched_at"] + pd.Timedelta(hours=1),
        status="completed",
        ended_at=START + pd.Timedelta(hours=1),
    )
    both = pd.concat([later, built.calls])
    assert len(check_calls(both)) == 0
    assert check_calls(built.calls).codes == ("stuck-calls",)


def test_good_calls_have_no_findings_and_extra_columns_are_tolerated(matched: Any, row: Any) -> None:
    calls = matched([row(), row()]).calls.assign(note="x").set_axis(["b", "b"])
    before = calls.copy()
    assert len(check_calls(calls)) == 0
    pd.testing.assert_frame_equal(calls, before)
    assert check_calls(calls.iloc[:0]).codes == ("empty-side",)


# Coverage.


def legs_of(files: list[str]) -> pd.DataFrame:
    return LEGS.empty().reindex(range(len(files))).assign(source_file=pd.Series(files, dtype="str"))


def test_a_side_without_rows_stops(matched: Any, row: Any) -> None:
    built = matched([])
    finding = of(built)["empty-side"]
    assert finding.severity == "stop"
    assert "CDR and the API side" in finding.message
    one = matched([row()])
    assert "empty-side" not in of(one)
    other_month = of(one, period=Period.month("2026-09"))
    assert other_month["empty-side"].evidence["in_period"].tolist() == [0, 0]


def test_few_matches_are_warned_of_from_twenty_calls_on(matched: Any, row: Any) -> None:
    built = matched([row() for _ in range(40)])
    buckets = pd.Series(([Bucket.MATCHED.value] * 3 + [Bucket.ONLY_IN_API.value]) * 10)
    finding = of(built, call_buckets=buckets, cdr_buckets=pd.Series([Bucket.MATCHED.value] * 40))[
        "low-match-rate"
    ]
    assert finding.evidence["n_matched"].tolist() == [30, 40]
    enough = pd.Series(([Bucket.MATCHED.value] * 4 + [Bucket.ONLY_IN_API.value]) * 8)
    assert "low-match-rate" not in of(built, call_buckets=enough, cdr_buckets=enough)
    small = matched([row() for _ in range(10)])
    unmatched = pd.Series([Bucket.ONLY_IN_API.value] * 10)
    assert "low-match-rate" not in of(small, call_buckets=unmatched, cdr_buckets=unmatched)


def without(built: Any, gone: Any) -> Any:
    """The same without some CDR calls, and without their pairs."""
    kept = np.setdiff1d(np.arange(len(built.calls)), gone)
    cdr_calls = built.cdr_calls.iloc[kept].reset_index(drop=True)
    pairs = type(built.pairs)(kept, np.arange(len(kept)), built.pairs.rule[kept])
    return type(built)(built.calls, cdr_calls, pairs)


def test_an_hour_without_cdrs_is_missing_where_the_api_is_busy(matched: Any, row: Any) -> None:
    built = matched([row(every_s=600) for _ in range(48)])
    finding = of(without(built, np.arange(12, 18)))["missing-hours"]
    assert finding.evidence[["missing_in", "from", "to", "n_calls", "n_missing"]].to_numpy().tolist() == [
        ["cdr", pd.Timestamp("2026-10-05T10:00:00Z"), pd.Timestamp("2026-10-05T10:50:00Z"), 6, 6]
    ]
    assert "from 2026-10-05 10:00 to 2026-10-05 10:50 (UTC)" in finding.message
    assert "missing-hours" not in of(built)


def test_matched_rows_without_a_start_of_their_own_leave_no_hour_empty(matched: Any, row: Any) -> None:
    doubtful = {"started_at": None, "time_problem": "repeated hour"}
    rows = [row(every_s=600, cdr=doubtful if 12 <= n < 18 else {}) for n in range(24)]
    assert "missing-hours" not in of(matched(rows))


def test_hours_at_the_end_count_only_where_a_period_says_so(matched: Any, row: Any) -> None:
    part = without(matched([row(every_s=600) for _ in range(48)]), np.arange(36, 48))
    assert "missing-hours" not in of(part)
    finding = of(part, period=Period.month("2026-10"))["missing-hours"]
    assert finding.evidence["n_missing"].tolist() == [12]


def test_repeated_records_are_counted_per_file(matched: Any, row: Any) -> None:
    legs = legs_of(["a.csv", "b.csv", "b.csv", "b.csv"])
    buckets = pd.Series([Bucket.MATCHED, Bucket.DUPLICATE, Bucket.DUPLICATE, Bucket.HELPER], dtype="str")
    finding = of(matched([row()]), legs=legs, leg_buckets=buckets)["duplicate-rows"]
    assert finding.severity == "info"
    assert finding.evidence.to_numpy().tolist() == [["b.csv", 2, 3]]
    assert finding.message == "2 records of 4 occur again, in 1 file, and were set aside."
    buckets = pd.Series([Bucket.MATCHED, Bucket.DUPLICATE, Bucket.HELPER, Bucket.HELPER], dtype="str")
    one = of(matched([row()]), legs=legs_of(["a.csv", "b.csv", "c.csv", "c.csv"]), leg_buckets=buckets)
    assert one["duplicate-rows"].message == (
        "1 record of 4 occurs again, in 1 file, and was set aside. b.csv holds nothing else."
    )


def test_calls_on_an_edge_of_the_period(matched: Any, row: Any) -> None:
    end = pd.Timestamp("2026-10-31T23:59:59Z")
    rows = [
        row(call={"started_at": end}, cdr={"started_at": end + pd.Timedelta(seconds=2)}),
        row(
            call={"started_at": end - pd.Timedelta(seconds=60)},
            cdr={"started_at": end - pd.Timedelta(seconds=60), "ended_at": end + pd.Timedelta(seconds=10)},
        ),
        row(),
    ]
    finding = of(matched(rows), period=Period.month("2026-10"))["month-boundary"]
    assert finding.severity == "info"
    assert finding.evidence["call_id"].tolist() == ["id-0", "id-1"]
    assert finding.message == (
        "2 matched calls lie on an edge of the period: 1 began inside on one side and outside on the other, "
        "1 began inside and ended after it."
    )
    alone = of(matched(rows[:1]), period=Period.month("2026-10"))["month-boundary"]
    assert alone.message == (
        "1 matched call lies on an edge of the period: 1 began inside on one side and outside on the other."
    )


def probes(row: Any, n: int, **cdr: Any) -> list[Any]:
    nothing = {"is_answered": False, "billable_s": 0.0, "status": "unknown", "from_e164": None}
    return [row(talk=0, cdr={**nothing, "to_number": f"9{k}00442079460", **cdr}) for k in range(n)]


def test_callers_who_try_many_targets_and_never_get_through_are_probes(matched: Any, row: Any) -> None:
    built = matched([row() for _ in range(5)] + probes(row, 12, from_number="1000"))
    buckets = pd.Series([Bucket.MATCHED.value] * 5 + [Bucket.ONLY_IN_CDR.value] * 12)
    finding = of(built, cdr_buckets=buckets)["probe-noise"]
    assert finding.severity == "info"
    assert finding.evidence.to_numpy().tolist() == [["1000", 12, 12]]
    assert finding.message == (
        "12 of 12 unanswered calls that only the CDR has look like scanner probes: 1 caller who never got through, 1000."
    )
    nobody = matched(probes(row, 12, from_number=None) + probes(row, 10, from_number="1000"))
    told = of(nobody, cdr_buckets=pd.Series([Bucket.ONLY_IN_CDR.value] * 22))["probe-noise"]
    assert "2 callers who never got through, the busiest of them without a number." in told.message


def test_customers_who_were_not_answered_are_no_probes(matched: Any, row: Any) -> None:
    one_each = [probes(row, 1, from_number=f"+4479460{n:05d}")[0] for n in range(30)]
    one_target = probes(row, 30, from_number="+447946000001", to_number="+442079460123")
    got_through = [row(cdr={"from_number": "1000"}), *probes(row, 30, from_number="1000")]
    for rows in (one_each, one_target, got_through):
        built = matched(rows)
        unmatched = pd.Series([Bucket.ONLY_IN_CDR.value] * len(rows))
        assert "probe-noise" not in of(built, cdr_buckets=unmatched)


def test_numbers_without_e164_or_that_mostly_differ_are_odd(matched: Any, row: Any) -> None:
    national = [row(cdr={"from_number": "02079460123", "from_e164": None}) for _ in range(60)]
    finding = of(matched(national))["number-format"]
    assert finding.evidence[["field", "n_affected"]].to_numpy().tolist() == [["from_number", 60]]
    assert "country=" in finding.advice
    assert "number-format" not in of(matched(national[:49]))
    other = matched([row(call={"from_number": "+442079460999"}) for _ in range(60)])
    assert "number-format" in of(other)
    assert "number-format" not in of(matched([row() for _ in range(60)]))


def test_the_form_of_numbers_is_judged_from_evenly_spaced_pairs(
    matched: Any, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(number_form, "_LOOKED_AT", 50)
    local = {"from_number": "02079460123", "from_e164": None}
    finding = of(matched([row(cdr=local) if n % 2 else row() for n in range(400)]))["number-format"]
    assert finding.evidence["n_calls"].tolist() == [50]
    assert 20 <= finding.evidence["n_affected"].iloc[0] <= 30
    assert "of 50 pairs looked at" in finding.message


def test_agreeing_sides_have_no_findings_but_the_basis(matched: Any, row: Any) -> None:
    built = matched([row(talk=30 + n % 37) for n in range(230)])
    everything = pd.Series([Bucket.MATCHED.value] * 230)
    rules, basis = resolve_duration(built.calls, built.cdr_calls, built.pairs, AUTO)
    found = of(
        built,
        rules,
        basis=basis,
        period=Period.month("2026-10"),
        legs=legs_of(["a.csv"] * 230),
        leg_buckets=everything,
        call_buckets=everything,
        cdr_buckets=everything,
    )
    assert found.codes == ("duration-basis",)
    assert len(found.stops) == 0
