"""A call of which the export may lack legs is not corrected: at cut files, in missing hours, at the ends of it all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.plan import build_plan, edges
from sippet_reconcile.plan.edges import LONGEST_RING_S, reasons_at_edges
from sippet_reconcile.reconciliation import Finding, Findings, Rules
from sippet_reconcile.reconciliation.findings import Severity

sys.path.insert(0, str(Path(__file__).parents[1] / "truth"))

import causes
import judging
import mistakes
import month

Make = Callable[..., Any]
DAY = "2026-10-05T"
LACKS = "legs of it may be missing"
FILE = "october.csv"


def at(clock: str | None) -> str | None:
    return None if clock is None else f"{DAY}{clock}Z"


def call(cdr: tuple[str, str], api: tuple[str | None, str | None], *, file: str = FILE) -> dict[str, Any]:
    """Return a call that nobody answered by the CDR, and somebody did by the API, from clock to clock on each side."""
    return {
        "call": {"started_at": at(api[0]), "ended_at": at(api[1]), "duration_seconds": 60, "status": "completed"},
        "cdr": {"started_at": at(cdr[0]), "ended_at": at(cdr[1]), "answered_at": None, "is_answered": False,
                "billable_s": 0.0, "status": "no_answer", "source_file": file},
        "wrong": {"status": ("completed", "no_answer", "unexplained"),
                  "duration_seconds": ("60", "0", "unexplained"),
                  "ended_at": (at(api[1]), at(cdr[1]), "unexplained")},
    }  # fmt: skip


@pytest.fixture
def look(make_rec: Make, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function from calls, findings and the other legs of the export to the reason for each call."""

    def look(
        rows: list[dict[str, Any]],
        *evidence: tuple[str, dict[str, Any]],
        others: tuple[tuple[str, str, str], ...] = (
            (FILE, "08:00:00", "08:01:00"),
            (FILE, "18:00:00", "18:01:00"),
        ),
        legs_have: tuple[str, ...] = ("started_at", "ended_at"),
        fewest: int = 1,
        as_text: bool = False,
        offset_s: float = 0,
    ) -> list[str | None]:
        found = Findings(
            Finding(code, Severity(columns.pop("severity", "warn")), "Something.", pd.DataFrame(columns))
            for code, columns in ((code, dict(columns)) for code, columns in evidence)
        )
        if as_text:
            found = Findings.from_records(found.to_records())
        rec = make_rec(rows, findings=found, rules=Rules(duration="billable", clock_offset_s=offset_s))
        legs = [
            {"cdr_id": f"cdr-{place}", "source_file": row["cdr"]["source_file"], "source_row": place,
             "started_at": row["cdr"]["started_at"], "ended_at": row["cdr"]["ended_at"]}
            for place, row in enumerate(rows, start=1)
        ]  # fmt: skip
        legs += [
            {"cdr_id": f"other-{file}-{start}", "source_file": file, "source_row": 1,
             "started_at": at(start), "ended_at": at(end)}
            for file, start, end in others
        ]  # fmt: skip
        frame = pd.DataFrame(legs)
        for name in ("started_at", "ended_at"):
            frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").dt.as_unit("us")
        monkeypatch.setattr(edges, "FEWEST_LEGS", fewest)
        shift = pd.Timedelta(seconds=offset_s)
        rec.legs = frame.assign(
            started_at=frame["started_at"] + shift, ended_at=frame["ended_at"] + shift
        ).astype({"cdr_id": "str", "source_file": "str"})[["cdr_id", "source_file", "source_row", *legs_have]]
        for name in ("started_at", "ended_at"):
            rec.cdr_calls[name] = rec.cdr_calls[name] + shift
        plan = build_plan(rec)
        ids = rec.calls["id"].tolist()
        for one in ids:
            left = plan.left_out.loc[plan.left_out["call_id"].eq(one)]
            # A call is planned whole, or left out whole for one reason.
            planned = plan.changes["call_id"].eq(one).sum()
            assert (len(left), planned) in {(3, 0), (0, 3)}
            assert len(set(left["reason"])) <= 1
        reasons = plan.left_out.drop_duplicates("call_id").set_index("call_id")["reason"]
        return [reasons.get(one) for one in ids]

    return look


def cut(missing: str | None, file: str = FILE, **options: Any) -> tuple[str, dict[str, Any]]:
    return "truncated-export", {
        "source_file": pd.Series([file], dtype="str"),
        "missing": pd.Series([missing], dtype="str"),
        **options,
    }


def lacking(begin: str, end: str, side: str = "cdr") -> tuple[str, dict[str, Any]]:
    instants = {name: pd.to_datetime([at(clock)], utc=True) for name, clock in (("from", begin), ("to", end))}
    return "missing-hours", {"missing_in": pd.Series([side], dtype="str"), **instants}


GOES_ON = ((FILE, "08:00:00", "08:01:00"), ("another.csv", "18:00:00", "18:01:00"))
"""The file of the calls ends with them, and another one goes on, so that only a finding makes an edge."""
BEGAN = (("another.csv", "08:00:00", "08:01:00"), (FILE, "18:00:00", "18:01:00"))
TORN = call(("10:00:00", "10:00:20"), ("10:00:00", "10:03:00"))
LATE = call(("09:00:00", "09:00:20"), ("09:00:00", "09:03:00"))
"""Its hang-up came late in the API, in the middle of the file."""


@pytest.mark.parametrize("severity", ["info", "warn"])
def test_a_call_that_reaches_beyond_the_end_of_a_cut_file_is_left_out_whole(
    look: Make, severity: str
) -> None:
    torn, late = look([TORN, LATE], cut("end", severity=severity), others=GOES_ON)
    assert FILE in torn
    assert LACKS in torn
    assert late is None


def test_a_file_that_another_one_goes_on_from_has_no_edge(look: Make) -> None:
    assert look([TORN, LATE], others=GOES_ON) == [None, None]
    assert look([TORN, LATE], cut("end", "another.csv"), others=GOES_ON) == [None, None]


def test_of_a_call_without_an_end_nothing_is_known_as_near_to_a_cut_as_a_ring_lasts(look: Make) -> None:
    last = call(("12:00:00", "12:00:20"), ("12:00:00", "12:00:20"))
    rows = [call(("11:58:00", f"11:58:{30 + second}"), ("11:58:00", None)) for second in (0, 1)]
    # The last leg that began, began at 12:00:00: so long before it ended the two legs 90 and 89 seconds earlier.
    assert LONGEST_RING_S > 90
    early = call(("11:00:00", "11:00:20"), ("11:00:00", None))
    found = look([*rows, early, last], cut("end"), others=GOES_ON)
    assert [reason is not None for reason in found] == [True, True, False, True]


def test_where_legs_last_long_a_call_without_an_end_may_go_on_as_long(look: Make) -> None:
    rows = [
        call(("11:40:00", "11:40:20"), ("11:40:00", None)),
        call(("12:00:00", "12:00:20"), ("12:00:00", None)),
    ]
    short = look(rows, cut("end"), others=GOES_ON)
    long = look(rows, cut("end"), others=(*GOES_ON, ("another.csv", "15:00:00", "15:25:00")))
    assert (short[0], long[0] is not None) == (None, True)


def test_a_call_that_begins_ahead_of_a_file_that_begins_late_is_left_out(look: Make) -> None:
    first = call(("10:00:00", "10:00:40"), ("09:59:30", "10:00:41"))
    later = call(("11:00:00", "11:00:40"), ("10:59:30", "11:00:41"))
    found = look([first, later], cut("beginning"), others=BEGAN)
    assert LACKS in found[0]
    assert found[1] is None
    assert look([first, later], others=BEGAN) == [None, None]


def test_a_file_with_a_suspicious_number_of_rows_may_be_cut_at_either_end(look: Make) -> None:
    first = call(("10:00:00", "10:00:40"), ("09:59:30", "10:00:41"))
    last = call(("12:00:00", "12:00:40"), ("12:00:00", "12:03:00"))
    middle = call(("11:00:00", "11:00:40"), ("11:00:00", "11:03:00"))
    others = (("another.csv", "08:00:00", "08:01:00"), ("another.csv", "18:00:00", "18:01:00"), ("third.csv", "19:00:00", "19:01:00"), ("zero.csv", "07:00:00", "07:01:00"))  # fmt: skip
    found = look([first, middle, last], cut(None), others=others)
    assert [reason is not None for reason in found] == [True, False, True]


GAP = lacking("12:00:00", "13:00:00")
AROUND = (
    (FILE, "08:00:00", "08:01:00"),
    (FILE, "11:58:00", "11:58:30"),
    (FILE, "13:02:00", "13:02:30"),
    (FILE, "18:00:00", "18:01:00"),
)


@pytest.mark.parametrize(
    ("cdr", "api", "is_left"),
    [
        pytest.param(("11:40:00", "11:41:00"), ("11:40:00", "12:20:00"), True, id="ends in it"),
        pytest.param(("13:05:00", "13:06:00"), ("12:50:00", "13:06:00"), True, id="begins in it"),
        pytest.param(("11:00:00", "14:00:00"), ("11:00:00", "14:03:00"), True, id="lasts over it"),
        pytest.param(("11:50:00", "11:59:59"), ("11:50:00", None), True, id="ends right at it, no end"),
        pytest.param(("13:00:01", "13:05:00"), ("13:00:01", "13:07:00"), True, id="begins right at it"),
        pytest.param(("11:00:00", "14:00:00"), ("11:00:00", "14:00:01"), True, id="lasts over it, same end"),
        pytest.param(
            ("12:20:00", "12:21:00"), ("12:20:00", "12:21:01"), False, id="in it, same start and end"
        ),
        pytest.param(("12:20:00", "12:21:00"), ("12:20:00", "12:24:00"), True, id="in it, another end"),
        pytest.param(("09:00:00", "09:01:00"), ("09:00:00", "09:03:00"), False, id="long ahead of it"),
        pytest.param(("09:00:00", "09:01:00"), ("09:00:00", None), False, id="never ended, long ahead of it"),
        pytest.param(("15:00:00", "15:01:00"), ("15:00:00", "15:03:00"), False, id="long behind it"),
    ],
)
def test_a_call_that_touches_missing_hours_of_the_cdr_is_left_out(
    look: Make, cdr: tuple[str, str], api: tuple[str | None, str | None], is_left: bool
) -> None:
    (reason,) = look([call(cdr, api)], GAP, others=AROUND)
    assert (reason is not None and LACKS in reason) == is_left


def test_the_export_stops_ahead_of_the_first_call_that_is_missing(look: Make) -> None:
    """Between the last row that is there and the first missing start the second leg may have ended."""
    torn = call(("11:50:00", "11:50:20"), ("11:50:00", "11:57:00"))
    assert look([torn], GAP) != [None]
    there = ((FILE, "11:58:00", "11:58:30"),)
    around = ((FILE, "08:00:00", "08:01:00"), (FILE, "18:00:00", "18:01:00"))
    assert look([torn], GAP, others=(*around, *there)) == [None]


def test_missing_hours_of_the_api_say_nothing_about_the_export(look: Make) -> None:
    rows = [call(("12:10:00", "12:11:00"), ("12:10:00", "12:20:00"))]
    assert look(rows, lacking("12:00:00", "13:00:00", "api")) == [None]


@pytest.mark.parametrize(
    ("evidence", "lost"),
    [(GAP, "missing_in"), (GAP, "from"), (cut("end"), "missing"), (cut("end"), "source_file")],
    ids=["side", "begin", "which end", "file"],
)
def test_evidence_that_was_saved_without_a_column_is_not_held_against_a_call(
    look: Make, evidence: tuple[str, dict[str, Any]], lost: str
) -> None:
    rows = [call(("12:10:00", "12:11:00"), ("12:10:00", "12:20:00"))]
    assert look(rows, evidence, others=GOES_ON) != [None]
    code, columns = evidence
    kept = {name: values for name, values in columns.items() if name != lost}
    assert look(rows, (code, kept), others=GOES_ON) == [None]


def test_legs_without_times_have_no_edges(look: Make) -> None:
    assert look([TORN], cut("end"), GAP, legs_have=()) == [None]


def test_evidence_kept_as_text_says_the_same(look: Make) -> None:
    rows = [TORN, LATE, call(("12:10:00", "12:11:00"), ("12:10:00", "12:20:00"))]
    found = look(rows, cut("end"), GAP, as_text=True, others=GOES_ON)
    assert found == look(rows, cut("end"), GAP, others=GOES_ON)
    assert [reason is not None for reason in found] == [True, False, True]


def test_the_clock_offset_is_removed_before_edges_are_looked_at(look: Make) -> None:
    rows = [TORN, LATE]
    plain = look(rows, cut("end"), others=GOES_ON)
    assert [reason is not None for reason in plain] == [True, False]
    assert look(rows, cut("end"), others=GOES_ON, offset_s=3600) == plain


ALL = ((FILE, "08:00:00", "08:01:00"), (FILE, "12:00:00", "12:01:00"))


def test_a_call_that_goes_on_after_all_of_the_export_is_left_out(look: Make) -> None:
    over = call(("11:59:00", "11:59:20"), ("11:59:00", "12:05:00"))
    found = look([over, LATE, TORN], others=ALL)
    assert LACKS in found[0]
    assert found[1:] == [None, None]


def test_seconds_that_the_api_counts_tell_of_a_call_that_goes_on_after_all(look: Make) -> None:
    """Its end is wrong, and earlier than the CDR's; its 60 seconds reach beyond the last start."""
    over = call(("11:59:10", "11:59:20"), ("11:59:10", "11:59:10"))
    less = call(("11:58:10", "11:58:20"), ("11:58:10", "11:58:10"))
    found = look([over, less], others=ALL)
    assert LACKS in found[0]
    assert found[1] is None


def test_a_call_that_began_ahead_of_all_of_the_export_is_left_out(look: Make) -> None:
    over = call(("08:00:30", "08:03:00"), ("07:59:00", "08:03:00"))
    found = look([over, LATE], others=ALL)
    assert LACKS in found[0]
    assert found[1] is None


def test_a_call_whose_end_both_sides_tell_alike_lacks_nothing_at_the_end(look: Make) -> None:
    last = call(("12:00:10", "12:02:00"), ("12:00:10", "12:02:01"))
    assert look([last], others=ALL) == [None]


def test_a_call_that_the_api_lets_end_earlier_is_corrected_at_the_end_as_well(look: Make) -> None:
    last = call(("12:00:10", "12:02:00"), ("12:00:10", "12:01:00"))
    assert look([last], others=ALL) == [None]


def test_one_file_for_each_day_or_each_call_has_no_edge_but_the_last(look: Make) -> None:
    rows = [call((f"{hour}:00:00", f"{hour}:00:20"), (f"{hour}:00:00", f"{hour}:05:00"), file=f"{hour}.json")
            for hour in ("09", "10", "11")]  # fmt: skip
    found = look(rows, others=())
    assert [reason is not None for reason in found] == [False, False, True]


def test_each_of_two_switches_has_an_end_of_its_own(look: Make) -> None:
    """One of two files ends in the middle of the month; nothing goes on from it."""
    torn = call(("10:00:00", "10:00:20"), ("10:00:00", "10:03:00"), file="pbx-a.csv")
    late = call(("10:00:00", "10:00:20"), ("10:00:00", "10:03:00"), file="pbx-b.csv")
    others = (("pbx-a.csv", "08:00:00", "08:01:00"), ("pbx-b.csv", "08:00:00", "08:01:00"), ("pbx-b.csv", "18:00:00", "18:01:00"))  # fmt: skip
    found = look([torn, late], others=others)
    assert "pbx-a.csv" in found[0]
    assert found[1] is None


def test_a_few_legs_do_not_tell_where_an_export_ends(look: Make) -> None:
    last = call(("12:00:10", "12:00:30"), ("12:00:10", "12:05:00"))
    assert look([last], others=ALL, fewest=edges.FEWEST_LEGS) == [None]
    assert LACKS in look([last], others=ALL, fewest=3)[0]


def test_of_a_call_without_an_end_its_seconds_or_its_answer_say_that_it_went_on(look: Make) -> None:
    """Nobody answered by the CDR, which ends after twenty seconds, at the end of all of the export."""

    def stuck(status: str, seconds: str | None) -> dict[str, Any]:
        one = call(("12:00:10", "12:00:30"), ("12:00:10", None))
        one["call"] |= {"status": status, "duration_seconds": None if seconds is None else int(seconds)}
        one["wrong"] |= {
            "status": (status, "no_answer", "never-ended"),
            "duration_seconds": (seconds, "0", "unexplained"),
        }
        return one

    for row in (stuck("completed", None), stuck("Answered", None), stuck("ringing", "60")):
        assert LACKS in look([row], others=ALL)[0]
    for row in (stuck("ringing", None), stuck("initiated", "10"), stuck("busy", None)):
        assert look([row], others=ALL) == [None]


def test_no_call_has_no_reason(make_rec: Make) -> None:
    rec = make_rec([TORN])
    plan = build_plan(rec)
    assert reasons_at_edges(plan.calls.iloc[:0], pd.Series([], dtype="str"), rec).tolist() == []


# Made months: the truth is known, so that each change can be held against it.


def by_start(world: month.World) -> month.World:
    """Let each file list its legs by their start, as a query does, rather than by their end."""
    legs = world.legs.sort_values(["started_at", "ended_at"], kind="stable", ignore_index=True)
    return world.having(legs=month.numbered(legs))


def begun_late(world: month.World) -> month.World:
    legs = world.legs
    is_lost = legs["source_file"].eq("pbx-b.csv") & legs["source_row"].le(400)
    return world.having(legs=legs[~is_lost].reset_index(drop=True))


def ended_early(world: month.World) -> month.World:
    """Let the export be taken in the middle of the last day's work, all files alike."""
    noon = pd.Timestamp("2026-10-30T12:00:00Z")
    return world.having(legs=world.legs[world.legs["ended_at"].lt(noon)].reset_index(drop=True))


def hours_lost(world: month.World) -> month.World:
    """Let the rows that were written in some hours be missing, whenever their calls began."""
    ended = world.legs["ended_at"]
    is_lost = ended.between(pd.Timestamp("2026-10-14T09:00:00Z"), pd.Timestamp("2026-10-14T14:00:00Z"))
    return world.having(legs=world.legs[~is_lost].reset_index(drop=True))


EDGES: dict[str, Callable[[month.World], month.World]] = {
    "torn": mistakes.torn,
    "cut at 1,000 rows": mistakes._cut_at(1000),
    "cut at 1,000 rows by start": lambda world: mistakes._cut_at(1000)(by_start(world)),
    "begun late": begun_late,
    "ended early": ended_early,
    "hours lost": hours_lost,
}


def planned(name: str, seed: int) -> tuple[month.World, sr.Reconciliation, judging.Judged]:
    kind = month.Settings(size=2600, by_pbx=name != "hours lost", seed=seed)
    world = causes.plant(month.make_month(kind), causes.possible(kind), 0.01)
    world = EDGES[name](world)
    rec = judging.reconcile(world)
    return world, rec, judging.judge_plan(world, rec)


def at_edges(plan: sr.Plan) -> set[str]:
    left = plan.left_out
    return set(left.loc[left["reason"].str.contains(LACKS), "call_id"])


WRONG_BEFORE = {"torn": 1, "cut at 1,000 rows": 3, "cut at 1,000 rows by start": 3, "begun late": 1, "ended early": 1, "hours lost": 19}  # fmt: skip
"""Seeds at which an edge would lead to a wrong change if nobody looked at edges, where there is one at all."""


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        *WRONG_BEFORE.items(),
        *(pytest.param(name, seed, marks=pytest.mark.slow) for name in EDGES for seed in range(30, 50)),
    ],
)
def test_no_edge_leads_to_a_wrong_change(name: str, seed: int) -> None:
    _, _, judged = planned(name, seed)
    assert judged.wrong.to_dict("records") == []
    assert judged.needless.to_dict("records") == []
    assert judged.plan.left_out["reason"].str.len().gt(20).all()
    # Each call is left out whole.
    assert at_edges(judged.plan).isdisjoint(judged.plan.changes["call_id"])
    # What lies away from the edges is corrected all the same: of about 800 differing values few are lost.
    assert len(at_edges(judged.plan)) <= 20
    assert len(judged.plan.changes) > 400


def test_a_month_without_a_mistake_loses_hardly_a_correction() -> None:
    kind = month.Settings(size=2600, seed=3)
    world = causes.plant(month.make_month(kind), causes.possible(kind), 0.01)
    judged = judging.judge_plan(world, judging.reconcile(world))
    assert len(judged.plan.changes) > 700
    assert len(at_edges(judged.plan)) <= 2


def test_a_loaded_reconciliation_leaves_out_the_same_calls(tmp_path: Path) -> None:
    _, rec, judged = planned("torn", 1)
    again = sr.load_reconciliation(rec.save(tmp_path / "month"))
    plan = build_plan(again, accept=judging.stops(rec), max_share=None)
    assert at_edges(plan) == at_edges(judged.plan) != set()
    pd.testing.assert_frame_equal(plan.left_out, judged.plan.left_out)
