"""What is matched without an id, how sure that is, and what is not believed: each rule by itself."""

from __future__ import annotations

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.reconciliation import Rules, reconcile
from sippet_reconcile.reconciliation.core import Confidence, MatchRule, PairPositions

CALLER, CALLED, OTHER = "+442079460123", "+442079460999", "+447700900456"


@pytest.fixture(scope="module")
def leg(at):
    """Describe a leg that talked a minute after ten seconds of ringing."""

    def describe(start=0.0, caller=CALLER, called=CALLED, *, talk=60, ring=10, **more):
        numbers = {"from_number": caller, "to_number": called}
        for party in ("from", "to"):
            text = numbers[f"{party}_number"]
            numbers[f"{party}_e164"] = text if text and text.startswith("+") else None
        seconds = {"billable_s": talk, "total_s": ring + talk, "is_answered": talk > 0}
        return {"started_at": at(start), "ended_at": at(start + ring + talk), **numbers, **seconds, **more}

    return describe


@pytest.fixture(scope="module")
def call(at):
    """Describe a call of the API that lasted as long."""

    def describe(start=0.0, caller=CALLER, called=CALLED, *, talk=60, ring=10, **more):
        times = {"started_at": at(start), "ended_at": at(start + ring + talk), "duration_seconds": talk}
        return {**times, "from_number": caller, "to_number": called, **more}

    return describe


@pytest.fixture(scope="module")
def many(leg, call):
    """Return legs and calls of 300 people who called once, an hour apart, each leg `gap(n)` seconds after its call."""

    def build(gap, *, keyed=False):
        legs, calls = [], []
        for n in range(300):
            key = f"key-{n}" if keyed else None
            who, when = f"+447700900{n:03d}", 100_000 + 3_600 * n
            legs.append(leg(when + gap(n), who, call_key=key, talk=30 + n))
            calls.append(call(when, who, call_uuid=key, talk=30 + n))
        return legs, calls

    return build


@pytest.fixture(scope="module")
def run(make_legs, make_calls):
    """Reconcile on the billable basis."""

    def reconciled(legs, calls, **rules):
        given = Rules(**{"duration": "billable", **rules})
        return reconcile(make_legs(legs), make_calls(calls), rules=given, progress=False)

    return reconciled


def matched(rec):
    """Return the confidence of each matched call."""
    return dict(zip(rec.pairs["call_id"], rec.pairs["confidence"], strict=True))


# ------------------------------------------------------------------------------------------- starts


@pytest.mark.parametrize("keyed", [True, False], ids=["by ids", "by numbers"])
@pytest.mark.parametrize(("apart", "believed"), [(5, True), (8, True), (8.5, False), (40, False)])
def test_a_start_further_off_than_starts_are_measured_to_be_is_not_believed(  # noqa: PLR0917 - fixtures and columns
    many, leg, call, run, keyed, apart, believed
):
    # Gaps of 0, 1 and 2 seconds: the middle is 1, nine of ten lie within 1 of it, so the last is at 1 + 3 + 4 = 8.
    legs, calls = many(lambda n: n % 3, keyed=keyed)
    rec = run([*legs, leg(apart, talk=200)], [*calls, call(0, talk=60)])
    assert ("id-300" in set(rec.pairs["call_id"])) == believed
    assert rec.calls["bucket"].iloc[300] == ("matched" if believed else "ambiguous")


def test_what_is_not_believed_is_listed_with_its_one_row_and_nothing_of_it_is_planned(many, leg, call, run):
    legs, calls = many(lambda n: n % 3)
    rec = run([*legs, leg(40, talk=200)], [*calls, call(0)])
    row = rec.ambiguous.loc[rec.ambiguous["call_id"].eq("id-300")]
    assert row[["match_rule", "start_gap_s"]].to_numpy().tolist() == [["numbers_and_time", 40.0]]
    assert rec.calls["reason"].iloc[300] == "start-too-far"
    assert rec.legs["reason"].iloc[300] == "start-too-far"
    assert "further apart than those of other pairs" in rec.show("id-300").notes[0]
    assert not rec.discrepancies["call_id"].eq("id-300").any()


@pytest.mark.parametrize(
    ("shift", "talk", "believed"),
    [(40, 60, True), (40, 61, True), (40, 63, False), (40, 0, False), (40, 9, False), (40, 10, True)],
)
def test_seconds_and_ends_that_agree_bear_out_a_start_that_is_far_off(  # noqa: PLR0917 - fixtures and columns
    many, leg, call, run, shift, talk, believed
):
    ringing = 60  # long enough that both are at one time
    legs, calls = many(lambda n: n % 3)
    other = {63: 60, 61: 60}.get(talk, talk)
    rec = run([*legs, leg(shift, talk=talk, ring=ringing)], [*calls, call(0, talk=other, ring=ringing)])
    assert ("id-300" in matched(rec)) == believed


def test_what_was_over_before_the_other_began_is_another_call(leg, call, run):
    # Two lost records: of a call of thirty seconds, and of the redial ten seconds behind it. Nothing is measured.
    rec = run([leg(40, talk=90)], [call(0, ring=10, talk=20)])
    assert rec.calls["bucket"].tolist() == ["ambiguous"]
    assert rec.legs["reason"].tolist() == ["start-too-far"]


@pytest.mark.parametrize(("talk", "bucket"), [(20, "ambiguous"), (27, "ambiguous"), (40, "matched")])
def test_where_clocks_are_known_two_calls_that_were_never_at_one_time_are_two_however_alike(  # noqa: PLR0917
    many, leg, call, run, talk, bucket
):
    # Ten seconds of ringing: over 9 and 2 seconds before the other began, and not over at all. A message of one
    # length is heard again by who redials.
    legs, calls = many(lambda n: n % 3)
    rec = run([*legs, leg(40, talk=talk)], [*calls, call(0, talk=talk)])
    assert rec.calls["bucket"].iloc[300] == bucket


def test_an_end_before_its_own_start_says_nothing(leg, call, run, at):
    rec = run([leg(1)], [call(0, ended_at=at(-3_600))])
    assert matched(rec) == {"id-0": "fair"}


def test_starts_are_as_near_as_the_middle_of_all_gaps_says(many, leg, call, run):
    # All legs are seven seconds late. The leg of an earlier try, one second off, is not the nearest.
    legs, calls = many(lambda _: 7)
    early = call(-10, talk=0, ring=8), leg(-3, talk=0, ring=8)
    rec = run([*legs, early[1], leg(7)], [*calls, early[0], call(0)])
    own = rec.pairs.loc[rec.pairs["call_id"].isin(["id-300", "id-301"]), "start_gap_s"]
    assert own.tolist() == [7.0, 7.0]


def test_starts_that_are_answers_widen_the_limit_by_themselves(many, leg, call, run):
    legs, calls = many(lambda n: n % 20)
    rec = run([*legs, leg(25, talk=200)], [*calls, call(0)])
    assert rec.calls["bucket"].iloc[300] == "matched"


def test_starts_that_are_spread_make_more_rivals_near(many, leg, call, run):
    # Gaps of 0 to 19 seconds: two legs seven seconds apart can each be the one.
    legs, calls = many(lambda n: n % 20)
    two = [leg(9, talk=90), leg(16, talk=95)]
    assert run([*legs, *two], [*calls, call(0)]).calls["bucket"].iloc[300] == "ambiguous"
    close, calls = many(lambda _: 9)
    assert run([*close, *two], [*calls, call(0)]).calls["bucket"].iloc[300] == "matched"


def test_199_pairs_measure_nothing(many, leg, call, run):
    legs, calls = many(lambda n: n % 3)
    alone = run([*legs[:198], leg(40, talk=200)], [*calls[:198], call(0)])
    assert "id-198" in matched(alone)


# --------------------------------------------------------------------------------- withheld callers

WITHHELD = ["anonymous", "Unavailable", "restricted", "PRIVATE", "unknown", "", None, "0000000000", "Unbekannt", "-",
            '"Anonymous" <sip:anonymous@anonymous.invalid>']  # fmt: skip


@pytest.mark.parametrize("said", WITHHELD)
@pytest.mark.parametrize("side", ["call", "leg"])
def test_a_withheld_caller_is_matched_by_whom_they_called(leg, call, run, said, side):
    of_leg, of_call = ({"caller": said}, {}) if side == "leg" else ({}, {"caller": said})
    rec = run([leg(3, **of_leg)], [call(0, talk=200, **of_call)])
    assert matched(rec) == {"id-0": "low"}


@pytest.mark.parametrize(("gap", "expected"), [(15, True), (-15, True), (15.5, False), (-16, False)])
def test_a_withheld_caller_has_a_quarter_of_the_window(leg, call, run, gap, expected):
    rec = run([leg(gap, "anonymous")], [call(0)])
    assert bool(matched(rec)) == expected


@pytest.mark.parametrize(
    ("legs", "calls"),
    [
        ([(0, "anonymous"), (50, "anonymous")], [(0, CALLER)]),
        ([(0, "anonymous")], [(0, CALLER), (59, OTHER)]),
        ([(0, "anonymous"), (40, CALLER)], [(0, CALLER)]),
        ([(0, "anonymous"), (58, OTHER)], [(0, "restricted")]),
    ],
    ids=["two legs", "two calls", "its number too", "anybody at all"],
)
def test_a_withheld_caller_with_any_other_candidate_in_the_window_is_not_matched_so(
    leg, call, run, legs, calls
):
    rec = run([leg(start, who) for start, who in legs], [call(start, who) for start, who in calls])
    by_withheld = rec.pairs.loc[rec.pairs["from_number_cdr"].ne(rec.pairs["from_number_call"])]
    assert len(by_withheld) == 0


def test_near_ties_of_withheld_callers_are_listed(leg, call, run):
    rec = run([leg(0, "anonymous"), leg(2, "anonymous")], [call(1)])
    assert rec.ambiguous["call_id"].tolist() == ["id-0", "id-0"]
    assert rec.legs["bucket"].tolist() == ["ambiguous", "ambiguous"]


def test_a_withheld_caller_takes_nobody_from_a_pair(leg, call, run):
    rec = run([leg(0), leg(1, "anonymous")], [call(0)])
    assert rec.pairs["cdr_id"].tolist() == [rec.legs["cdr_id"].iloc[0]]
    assert rec.legs["bucket"].tolist() == ["matched", "only_in_cdr"]


@pytest.mark.parametrize(
    ("of_leg", "of_call"),
    [
        ({"caller": None}, {"caller": None}),
        ({"caller": "anonymous", "called": None}, {}),
        ({"caller": "anonymous", "called": "anonymous"}, {"called": "anonymous"}),
        ({"caller": "anonymous", "called": "1001"}, {"called": "1001"}),
        ({"called": None}, {}),
        ({"caller": "client:ana7"}, {}),
        ({"caller": "ana"}, {"caller": "bob"}),
        ({"caller": "anonymous", "direction": "outbound"}, {"direction": "inbound"}),
    ],
    ids=["missing on both sides", "nobody called", "both withheld", "an extension", "called is missing", "a user",
         "two words", "directions"],
)  # fmt: skip
def test_what_a_withheld_caller_does_not_excuse(leg, call, run, of_leg, of_call):
    rec = run([leg(**of_leg)], [call(**of_call)])
    assert matched(rec) == {}


def test_a_row_with_a_withheld_caller_that_is_much_nearer_casts_doubt(many, leg, call, run):
    legs, calls = many(lambda n: n % 3)
    rec = run([*legs, leg(1, "anonymous", talk=90), leg(8, talk=95)], [*calls, call(0)])
    assert rec.calls["bucket"].iloc[300] == "ambiguous"


# ------------------------------------------------------------------------------------- local numbers


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        ("9460123", True),
        ("460123", True),
        ("60123", False),
        ("0123", False),
        ("9460124", False),
        ("8460123", False),
        ("79460123", True),
    ],
)
@pytest.mark.parametrize("side", ["call", "leg"])
def test_a_local_number_is_the_end_of_a_whole_one_from_six_digits(  # noqa: PLR0917 - fixtures and columns
    leg, call, run, caller, expected, side
):
    of_leg, of_call = ({"caller": caller}, {}) if side == "leg" else ({}, {"caller": caller})
    rec = run([leg(2, **of_leg)], [call(0, talk=200, **of_call)])
    assert matched(rec) == ({"id-0": "low"} if expected else {})


def test_a_local_number_is_matched_only_where_nothing_else_is_there(leg, call, run):
    assert matched(run([leg(2, called="9460999")], [call(0)])) != {}
    assert matched(run([leg(2, called="9460999"), leg(50, called="460999")], [call(0)])) == {}
    assert matched(run([leg(20, called="9460999")], [call(0)])) == {}
    assert matched(run([leg(2, "9460123", "9460999")], [call(0)])) == {}


# ---------------------------------------------------------------------------------------- confidence


def test_an_id_makes_certain(leg, call, run):
    rec = run([leg(500, call_key="k")], [call(0, call_uuid="K")])
    assert rec.pairs["confidence"].tolist() == ["certain"]


@pytest.mark.parametrize(
    ("of_leg", "expected"),
    [
        ({"talk": 200}, "high"),
        ({"talk": 200, "caller": "02079460123"}, "fair"),
        ({"talk": 200, "is_coarse": True}, "fair"),
        ({"talk": 200, "caller": "anonymous"}, "low"),
        ({"caller": "anonymous"}, "fair"),
        ({"caller": "02079460123"}, "fair"),
    ],
    ids=[
        "in E.164, near",
        "last digits",
        "no seconds",
        "withheld",
        "withheld, borne out",
        "last digits, borne out",
    ],
)
def test_confidence_where_gaps_were_measured(  # noqa: PLR0917 - fixtures and columns
    many, leg, call, run, of_leg, expected
):
    legs, calls = many(lambda n: n % 3)
    rec = run([*legs, leg(0, **of_leg)], [*calls, call(0)])
    assert matched(rec)["id-300"] == expected


@pytest.mark.parametrize(
    ("gap", "talk", "expected"), [(15, 200, "fair"), (16, 200, "low"), (-16, 200, "low"), (30, 60, "low")]
)
def test_confidence_where_nothing_was_measured(  # noqa: PLR0917 - fixtures and columns
    leg, call, run, gap, talk, expected
):
    assert matched(run([leg(gap, talk=talk)], [call(0)])) == {"id-0": expected}


def test_starts_that_are_spread_alone_make_nothing_high(many, leg, call, run):
    legs, calls = many(lambda n: n % 20)
    rec = run([*legs, leg(9, talk=200)], [*calls, call(0)])
    assert matched(rec)["id-300"] == "fair"


def test_extensions_alone_prove_little(leg, call, run):
    assert matched(run([leg(0, "1001", "1002", talk=200)], [call(0, "1001", "1002")])) == {"id-0": "low"}


def test_a_pair_of_low_confidence_is_shown_and_never_planned(leg, call, run):
    rec = run([leg(3, "anonymous", talk=200), leg(1e4, OTHER, talk=90)], [call(0), call(1e4, OTHER)])
    found = rec.discrepancies.set_index(["call_id", "field"])
    assert found.loc[("id-0", "duration_seconds"), ["confidence", "is_patchable"]].tolist() == ["low", False]
    assert found.loc[("id-1", "duration_seconds"), ["confidence", "is_patchable"]].tolist() == ["fair", True]
    assert any("confidence low" in note for note in rec.show("id-0").notes)
    plan = sr.build_plan(rec, fields=["duration_seconds", "ended_at"], where="confidence != 'certain'")
    assert set(plan.changes["call_id"]) == {"id-1"}


def test_pairs_without_a_confidence_have_that_of_their_rule():
    rule = pd.array([0, 1, 2]).to_numpy("int8")
    pairs = PairPositions(rule, rule, rule)
    assert pairs.confidence.tolist() == [Confidence.CERTAIN, Confidence.CERTAIN, Confidence.FAIR]
    assert pairs.where(rule == MatchRule.NUMBERS_AND_TIME).confidence.tolist() == [Confidence.FAIR]


# --------------------------------------------------------------------------------- where time is odd


@pytest.mark.parametrize(
    "moment",
    [
        "2026-10-05T23:59:58Z",
        "2026-10-31T23:59:58Z",
        "2026-12-31T23:59:58Z",
        "2026-10-24T23:59:58Z",
        "2026-10-25T00:59:58Z",
        "2027-03-28T00:59:58Z",
    ],
    ids=["midnight", "month", "year", "local midnight before DST ends", "DST ends", "DST begins"],
)
def test_no_edge_of_the_calendar_parts_a_call(leg, call, run, at, moment):
    begin = (pd.Timestamp(moment) - at(0)).total_seconds()
    legs = [leg(begin + 3, talk=90), leg(begin + 203)]
    late = {"fetched_at": pd.Timestamp("2027-06-01T00:00:00Z")}
    calls = [call(begin, **late), call(begin + 200, talk=61, **late)]
    rec = run(legs, calls)
    assert rec.pairs[["call_id", "start_gap_s"]].to_numpy().tolist() == [["id-0", 3.0], ["id-1", 3.0]]


def test_a_pair_over_the_edge_of_the_month_belongs_where_the_api_has_it(leg, call, make_legs, make_calls, at):
    begin = (pd.Timestamp("2026-10-31T23:59:59Z") - at(0)).total_seconds()
    october, november = (sr.Period.month(month, timezone="UTC") for month in ("2026-10", "2026-11"))
    legs, calls = make_legs([leg(begin + 2)]), make_calls([call(begin)])
    found = [
        len(reconcile(legs, calls, period=period, rules=Rules(duration="billable"), progress=False).pairs)
        for period in (october, november)
    ]
    assert found == [1, 0]


def test_the_clock_offset_is_taken_off_starts_and_ends(leg, call, run):
    # Far beyond the window, and the ends have to be there too: what was over before is not believed.
    rec = run([leg(3_603, talk=90)], [call(0)], clock_offset_s=3_600)
    assert rec.pairs["start_gap_s"].tolist() == [3.0]
    assert run([leg(3_603, talk=90)], [call(0)]).pairs["call_id"].tolist() == []


# --------------------------------------------------------------------------- months of too few pairs


@pytest.mark.parametrize(("apart", "expected"), [(55, "low"), (-55, "low"), (65, None), (3, "high")])
def test_two_rows_alone_are_matched_in_the_whole_window_and_far_ones_never_corrected(
    leg, call, run, apart, expected
):
    # Half a minute each, so that at 55 seconds one was over before the other began: a clock, or a redial as long.
    rec = run([leg(apart, talk=20)], [call(0, talk=20)])
    assert matched(rec) == ({"id-0": expected} if expected else {})
    assert not rec.discrepancies.loc[rec.discrepancies["confidence"].eq("low"), "is_patchable"].any()


def crashed(leg, call, gaps):
    """Return legs and calls that have neither end nor duration, an hour apart, each leg so long after its call."""
    who = [f"+447700900{n:03d}" for n in range(len(gaps))]
    legs = [leg(3_600 * n + gap, who[n]) for n, gap in enumerate(gaps)]
    calls = [
        call(3_600 * n, who[n], ended_at=None, duration_seconds=None, status="answered")
        for n in range(len(gaps))
    ]
    return legs, calls


@pytest.mark.parametrize("count", [30, 19])
def test_calls_without_an_end_are_corrected_where_their_starts_are_near(leg, call, run, count):
    # A fifth of them start 5 to 8 seconds apart, beyond the noise of two stamps.
    gaps = [5 + n % 4 if n % 5 == 0 else n % 3 for n in range(count)]
    rec = run(*crashed(leg, call, gaps))
    assert set(matched(rec).values()) == {"fair"}
    durations = rec.discrepancies.loc[rec.discrepancies["field"].eq("duration_seconds")]
    assert durations["is_patchable"].sum() == count


def test_a_few_starts_that_are_near_prove_nothing_beyond_a_quarter_of_the_window(leg, call, run):
    rec = run(*crashed(leg, call, [n % 9 for n in range(28)] + [14, 16]))
    assert [matched(rec)[name] for name in ("id-28", "id-29")] == ["fair", "low"]


def test_starts_anywhere_in_the_window_prove_nothing_even_where_they_are_near(leg, call, run):
    rec = run(*crashed(leg, call, [2 * n for n in range(30)]))
    assert set(matched(rec).values()) == {"low"}
    assert len(rec.pairs) == 30


@pytest.mark.parametrize(("count", "expected"), [(30, {"ambiguous"}), (300, {"ambiguous"})])
def test_where_hardly_any_pair_without_a_rival_agrees_all_that_fits_is_chance(
    leg, call, run, count, expected
):
    # A clock that is off by more than the window: what lies in it are other calls of the same two people.
    who = [f"+447700900{n:03d}" for n in range(count)]
    legs = [leg(3_600 * n + 61 * n % 120 - 60, who[n], talk=90 + n % 50) for n in range(count)]
    calls = [call(3_600 * n, who[n], talk=200 + n) for n in range(count)]
    assert set(run(legs, calls).calls["bucket"]) == expected


def test_seconds_alone_or_ends_alone_tell_that_starts_are_answers(leg, call, run, at):
    # Rung for up to a minute, and every leg's seconds are rounded up: only ends agree.
    legs, calls = [], []
    for n in range(60):
        who, when, ring, talk = f"+447700900{n:03d}", 3_600 * n, n, 61 + n % 40
        rounded = {"billable_s": 120, "total_s": 120, "ended_at": at(when + ring + talk)}
        legs.append(leg(when + ring, who, **rounded))
        calls.append(call(when, who, ring=ring, talk=talk))
    assert len(matched(run(legs, calls))) == 60


# ------------------------------------------------------------------------------- clocks of single files


@pytest.mark.parametrize("keyed", [True, False], ids=["by ids", "by numbers"])
@pytest.mark.parametrize(("file", "apart", "expected"), [("0.csv", 1, "high"), ("0.csv", 40, None), ("1.csv", 40, "high"), ("1.csv", 1, None)])  # fmt: skip
def test_each_file_is_measured_by_itself(many, leg, call, run, keyed, file, apart, expected):  # noqa: PLR0917
    legs, calls = many(lambda n: n % 3, keyed=keyed)
    late, called = many(lambda n: 40 + n % 3, keyed=keyed)
    for n, row in enumerate(late):
        # Others called an hour later, through a switch whose clock is forty seconds fast.
        row |= {
            "from_number": f"+447700901{n:03d}",
            "from_e164": f"+447700901{n:03d}",
            "call_key": (keyed and f"late-{n}") or None,
        }
        called[n] |= {"from_number": row["from_number"], "call_uuid": row["call_key"]}
    legs = [{**row, "source_file": "0.csv"} for row in legs] + [
        {**row, "source_file": "1.csv"} for row in late
    ]
    rec = run([*legs, leg(apart, talk=200, source_file=file)], [*calls, *called, call(0, talk=60)])
    assert matched(rec).get("id-600") == expected
    assert len(rec.pairs) == 600 + (expected is not None)


def test_a_file_of_too_few_pairs_is_measured_by_all(many, leg, call, run):
    legs, calls = many(lambda n: n % 3)
    rec = run([*legs, leg(8.5, talk=200, source_file="small.csv")], [*calls, call(0)])
    assert rec.calls["bucket"].iloc[300] == "ambiguous"


# ------------------------------------------------------------------ what durations, ends and ids say against


def test_where_durations_and_ends_mean_another_row_than_the_nearest_nobody_decides(many, leg, call, run):
    legs, calls = many(lambda n: n % 3)
    own = leg(-20, ring=10, talk=80)  # the record of the API begins twenty seconds late
    lost = call(0, ring=0, talk=80, ended_at=own["ended_at"])
    rec = run([*legs, own, leg(1, talk=5)], [*calls, lost])
    assert rec.calls["bucket"].iloc[300] == "ambiguous"
    assert run([*legs, own], [*calls, lost]).calls["bucket"].iloc[300] == "matched"


def uuid(n):
    return f"{n:08x}-0000-4000-8000-{n:012x}"


KEY, UUID = uuid(900), uuid(901)


@pytest.fixture(scope="module")
def in_file_with_ids(many, leg, call, run):
    """Return the confidence of a pair of other ids, in a file of which 300 have those of the API."""

    def found(pair, *, key=KEY, call_uuid=UUID, by_id=300, more=()):
        legs, calls = many(lambda n: n % 3)
        for n in range(by_id):
            legs[n]["call_key"] = calls[n]["call_uuid"] = uuid(n)
        for n in range(by_id, 300):
            legs[n]["call_key"] = uuid(10_000 + n)
            calls[n] |= {"from_number": OTHER, "started_at": calls[n]["started_at"] + pd.Timedelta(days=40)}
        legs.append(leg(1, talk=pair, call_key=key))
        calls.append(call(0, call_uuid=call_uuid))
        for n, talk in enumerate(more):
            legs.append(leg(-9_000 + 900 * n, talk=talk, call_key=uuid(1_000 + n)))
            calls.append(call(-9_000 + 900 * n, call_uuid=uuid(2_000 + n)))
        return matched(run(legs, calls))["id-300"]

    return found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"pair": 200}, "low"),
        ({"pair": 60}, "high"),
        ({"pair": 200, "key": None}, "high"),
        ({"pair": 200, "call_uuid": None}, "high"),
        ({"pair": 200, "key": "1759312800.17"}, "high"),
        ({"pair": 200, "by_id": 230}, "high"),
        ({"pair": 200, "by_id": 245}, "low"),
        ({"pair": 200, "more": [60, 60]}, "high"),
        ({"pair": 200, "more": [90, 80]}, "low"),
        ({"pair": 60, "more": [90, 80]}, "high"),
    ],
    ids=["a call and its redial", "borne out", "no id in the CDR", "none in the API", "no UUID", "ids of another system",
         "four of five", "legs of which most agree have ids of their own", "none of them agrees", "this one alone agrees"],
)  # fmt: skip
def test_ids_of_both_sides_that_differ_speak_against_numbers_where_ids_of_the_file_are_those_of_the_api(
    in_file_with_ids, given, expected
):
    assert in_file_with_ids(**given) == expected
