"""Which legs and which call are the same: by key, by linked id, by numbers and time, one-to-one."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.reconciliation import Rules, reconcile
from sippet_reconcile.reconciliation.matching.fallback import MOST_RIVALS

CALLER, CALLED = "+442079460123", "+442079460999"


@pytest.fixture(scope="module")
def party(at):
    """Describe what tier three looks at; the leg ends a minute after its start."""

    def describe(start, **more):
        values = {
            "started_at": at(start),
            "from_number": CALLER,
            "to_number": CALLED,
            "ended_at": at(start + 60),
        }
        return values | more

    return describe


@pytest.fixture(scope="module")
def found(make_legs, make_calls, at):
    """Reconcile and return the matched (call, leg) places with their rule, and the ambiguous calls."""

    def match(legs, calls, **rules):
        numbers = [{"from_e164": row.get("from_number"), "to_e164": row.get("to_number")} for row in legs]
        begin = {"started_at": at(0), "ended_at": at(60)}
        legs = [begin | number | row for number, row in zip(numbers, legs, strict=True)]
        rec = reconcile(make_legs(legs), make_calls(calls), rules=Rules(**rules), progress=False)
        rule_of = dict(zip(rec.pairs["call_id"], rec.pairs["match_rule"], strict=True))
        leg_calls = rec.legs["call_id"].where(rec.legs["bucket"].eq("matched"))
        matched = {
            (int(call.removeprefix("id-")), place): rule_of[call]
            for place, call in enumerate(leg_calls.tolist())
            if isinstance(call, str)
        }
        ambiguous = set(np.flatnonzero(rec.calls["bucket"].eq("ambiguous")).tolist())
        return matched, ambiguous, rec

    return match


def test_a_key_matches_ignoring_case_dashes_and_blanks(found):
    matched, _, _ = found([{"call_key": " 8C1F3c52 "}], [{"call_uuid": "8c1f-3c52"}])
    assert matched == {(0, 0): "call_uuid"}


def test_missing_and_empty_keys_match_nothing(found):
    blank = [{"call_key": None}, {"call_key": ""}, {"call_key": " - "}]
    matched, ambiguous, _ = found(blank, [{"call_uuid": None}, {"call_uuid": ""}, {"call_uuid": "-"}])
    assert matched == {}
    assert ambiguous == set()


def test_any_leg_of_a_call_may_carry_the_key(found):
    legs = [{"linked_id": "g", "call_key": "p"}, {"linked_id": "g", "call_key": "q"}]
    matched, _, _ = found(legs, [{"call_uuid": "q"}])
    assert matched == {(0, 0): "call_uuid", (0, 1): "call_uuid"}


def test_two_calls_with_one_key_are_ambiguous_with_all_their_legs(found):
    legs = [{"linked_id": "g", "call_key": "k"}, {"linked_id": "g", "call_key": "other"}]
    matched, ambiguous, rec = found(legs, [{"call_uuid": "k"}, {"call_uuid": "K"}, {"call_uuid": "z"}])
    assert matched == {}
    assert ambiguous == {0, 1}
    assert rec.legs["bucket"].tolist() == ["ambiguous", "ambiguous"]
    assert rec.ambiguous["call_id"].tolist() == ["id-0", "id-1"]
    assert rec.ambiguous["cdr_id"].tolist() == ["g", "g"]


def test_two_calls_with_one_key_are_ambiguous_though_no_leg_names_it(found):
    _, ambiguous, rec = found([], [{"call_uuid": "k"}, {"call_uuid": "k"}])
    assert ambiguous == {0, 1}
    assert rec.ambiguous["cdr_id"].isna().tolist() == [True, True]


def test_two_calls_with_one_key_are_ambiguous_where_the_linked_id_names_it(found):
    matched, ambiguous, rec = found(
        [{"linked_id": "k", "call_key": "x"}], [{"call_uuid": "k"}, {"call_uuid": "k"}]
    )
    assert (matched, ambiguous) == ({}, {0, 1})
    assert rec.ambiguous["match_rule"].tolist() == ["linked_id", "linked_id"]


def test_two_cdr_calls_claiming_one_call_are_ambiguous(found):
    legs = [{"linked_id": "g", "call_key": "k"}, {"linked_id": "h", "call_key": "k"}]
    matched, ambiguous, rec = found(legs, [{"call_uuid": "k"}])
    assert (matched, ambiguous) == ({}, {0})
    assert sorted(rec.ambiguous["cdr_id"]) == ["g", "h"]


def test_the_linked_id_matches_the_call_uuid_second(found):
    matched, _, _ = found([{"linked_id": "U-1", "call_key": "x"}], [{"call_uuid": "u1"}])
    assert matched == {(0, 0): "linked_id"}


def test_the_conversation_matches_only_one_to_one(found):
    legs = [{"linked_id": "c1", "call_key": "x"}, {"linked_id": "c2", "call_key": "y"}]
    calls = [
        {"call_uuid": "a", "conversation_id": "C1"},
        {"call_uuid": "b", "conversation_id": "c2"},
        {"call_uuid": "c", "conversation_id": "c2"},
    ]
    matched, ambiguous, _ = found(legs, calls)
    assert matched == {(0, 0): "linked_id"}
    assert ambiguous == set()


def test_the_second_call_of_a_conversation_is_not_what_is_left_over(found):
    legs = [{"call_key": "a"}, {"linked_id": "c", "call_key": "x"}]
    calls = [{"call_uuid": "a", "conversation_id": "c"}, {"call_uuid": "b", "conversation_id": "c"}]
    matched, _, _ = found(legs, calls)
    assert matched == {(0, 0): "call_uuid"}


def test_numbers_and_time_match_what_no_key_matches(found, party):
    matched, _, rec = found([party(3, call_key="x")], [party(0, call_uuid="u")])
    assert matched == {(0, 0): "numbers_and_time"}
    assert rec.pairs["start_gap_s"].tolist() == [3.0]


def test_numbers_and_time_never_overrule_an_id(found, party):
    legs = [
        party(0, linked_id="k", call_key="k"),
        party(0, linked_id="k", call_key="m"),
        party(5, linked_id="k", call_key="nobody"),
    ]
    calls = [{"call_uuid": "k"}, {"call_uuid": "m"}, party(5, call_uuid="other")]
    matched, _, _ = found(legs, calls)
    assert (2, 2) not in matched


@pytest.mark.parametrize(("gap", "expected"), [(60, True), (60.5, False), (-60, True), (-61, False)])
def test_the_window_includes_its_edge(found, party, gap, expected):
    matched, _, _ = found([party(gap)], [party(0)])
    assert bool(matched) == expected


@pytest.mark.parametrize(
    ("cdr", "call", "expected"),
    [
        ("outbound", "inbound", False),
        ("outbound", "Outbound", True),
        (None, "inbound", True),
        ("inbound", "incoming", True),
        ("inbound", "sideways", True),
    ],
)
def test_directions_must_not_contradict(found, party, cdr, call, expected):
    matched, _, _ = found([party(0, direction=cdr)], [party(0, direction=call)])
    assert bool(matched) == expected


@pytest.mark.parametrize(
    ("cdr", "cdr_e164", "call", "expected"),
    [
        ("02079460123", None, "+442079460123", True),
        ("0044 20 7946 0123", None, "+44 (20) 7946-0123", True),
        ("1001", None, "1001", True),
        ("1001", None, "+442079461001", False),
        ("+12079460123", "+12079460123", "+442079460123", False),
        (None, None, None, False),
        ("client:ana7", None, "client:bob7", False),
        ("sip:02079460123@pbx4", None, "+442079460123", True),
    ],
)
def test_numbers_are_the_same_in_e164_or_by_their_last_digits(  # noqa: PLR0917 - one argument per column
    found, party, cdr, cdr_e164, call, expected
):
    matched, _, _ = found([party(0, from_number=cdr, from_e164=cdr_e164)], [party(0, from_number=call)])
    assert bool(matched) == expected


def test_fewer_digits_may_be_asked_for(found, party):
    legs = [party(20, from_number="79460123", from_e164=None)]
    assert found(legs, [party(0)], number_digits=9)[0] == {}
    assert found(legs, [party(0)], number_digits=8)[0] == {(0, 0): "numbers_and_time"}


def test_a_near_tie_is_ambiguous_on_both_sides(found, party):
    matched, ambiguous, rec = found([party(0), party(3)], [party(1)])
    assert (matched, ambiguous) == ({}, {0})
    assert rec.legs["bucket"].tolist() == ["ambiguous", "ambiguous"]
    assert sorted(rec.ambiguous["start_gap_s"]) == [-1.0, 2.0]


@pytest.mark.parametrize(("further", "is_tie"), [(14, True), (14.5, False)])
def test_a_rival_is_further_beyond_twice_the_time_tolerance(found, party, further, is_tie):
    _, ambiguous, _ = found([party(-10), party(further)], [party(0)], time_tolerance_s=2)
    assert bool(ambiguous) == is_tie


def test_redials_are_told_apart_by_their_starts(found, party):
    matched, _, _ = found([party(1), party(31)], [party(0), party(30)])
    assert set(matched) == {(0, 0), (1, 1)}


def test_nobody_is_matched_because_somebody_else_was_taken(found, party):
    # The second leg is nearest to the first call, which has a nearer one; the second call is only left over.
    matched, ambiguous, _ = found([party(0), party(25)], [party(1), party(70)])
    assert set(matched) == {(0, 0)}
    assert ambiguous == set()


def test_legs_with_a_doubtful_local_time_are_matched_by_key_only(found, party):
    doubtful = party(0, time_problem="started_at is repeated")
    assert found([doubtful], [party(0)])[0] == {}
    assert found([doubtful | {"call_key": "k"}], [party(0, call_uuid="k")])[0] == {(0, 0): "call_uuid"}


def test_calls_that_never_started_are_matched_by_key_only(found, party):
    never = party(0, started_at=None)
    assert found([party(0)], [never])[0] == {}
    assert found([party(0, call_key="k")], [never | {"call_uuid": "k"}])[0] == {(0, 0): "call_uuid"}


def test_the_clock_offset_is_taken_off_before_matching(found, party):
    matched, _, rec = found([party(3602)], [party(0)], clock_offset_s=3600)
    assert matched == {(0, 0): "numbers_and_time"}
    assert rec.pairs["start_gap_s"].tolist() == [2.0]


def test_a_crowd_is_never_decided(found, party):
    # One call lies exactly at its own leg, but too many others with its numbers lie in the window.
    crowd = [party(10 + n * 0.01) for n in range(MOST_RIVALS + 1)]
    matched, ambiguous, _ = found([party(0), *crowd], [party(0)])
    assert (matched, ambiguous) == ({}, {0})


def test_nor_is_a_record_that_a_crowd_of_calls_might_be(found, party):
    crowd = [party(10 + n * 0.01) for n in range(MOST_RIVALS + 1)]
    matched, ambiguous, rec = found([party(0)], [party(0), *crowd])
    assert (matched, ambiguous) == ({}, {0})
    assert rec.legs["bucket"].tolist() == ["ambiguous"]


def test_a_key_that_thousands_share_lists_each_rival_once(make_legs, make_calls):
    count = 3_000
    leg = make_legs([{"call_key": "same", "linked_id": None}])
    legs = pd.concat([leg] * count, ignore_index=True).assign(
        linked_id=[f"g{n}" for n in range(count)], record_hash=pd.array(range(count), "Int64")
    )
    calls = pd.concat([make_calls([{"call_uuid": "same"}])] * count, ignore_index=True).assign(
        id=[f"c{n}" for n in range(count)]
    )
    rec = reconcile(legs, calls, progress=False)
    assert rec.calls["bucket"].eq("ambiguous").all()
    assert set(rec.ambiguous["call_id"]) == set(calls["id"])
    assert set(rec.ambiguous["cdr_id"]) == set(legs["linked_id"])
    assert len(rec.ambiguous) == count


KEYS = st.sampled_from([None, "a", "A", "b", "c"])
LINKS = st.sampled_from([None, None, "a", "b", "g", "h"])
SECONDS = st.integers(0, 90)
NUMBERS = st.sampled_from([CALLER, CALLED])
DIRECTIONS = st.sampled_from([None, "inbound", "inbound", "outbound"])
LEG = st.tuples(KEYS, LINKS, SECONDS, NUMBERS, DIRECTIONS)
CALL = st.tuples(KEYS, st.sampled_from([None, None, "g", "h", "a"]), SECONDS, NUMBERS, DIRECTIONS)


def by_hand(legs, calls, window, margin):  # noqa: PLR0912, PLR0915 - the rules read aloud, in one piece
    """Match slowly and literally; return {call: (group, rule)} and the ambiguous calls and groups."""

    def normal(key):
        return key.lower() if key else None

    uuid = [normal(call[0]) for call in calls]
    named = [normal(leg[0]) if normal(leg[0]) in uuid else None for leg in legs]
    groups = defaultdict(list)
    for place, (key, link) in enumerate((normal(leg[0]), normal(leg[1])) for leg in legs):
        # A leg without a link joins the one group that has its key, on a leg of it or as its name.
        having = {normal(leg[1]) for leg in legs if leg[1] and key in (normal(leg[0]), normal(leg[1]))}
        joined = having.pop() if key and len(having) == 1 else key
        groups[link or joined or ("alone", place)].append(place)
    parts = {}
    for key, members in groups.items():
        names = {named[place] for place in members} - {None}
        for place in members:
            link = normal(legs[place][1])
            part = named[place] or (link if link in names else None) if len(names) > 1 else None
            parts.setdefault((key, part), []).append(place)
    claims = {group: next((named[p] for p in members if named[p]), None) for group, members in parts.items()}
    links = {
        group: next((normal(legs[p][1]) for p in members if legs[p][1]), None)
        for group, members in parts.items()
    }
    pairs, ambiguous_calls, ambiguous_groups = {}, set(), set()
    taken = set()
    for rule, claim in (
        ("call_uuid", claims),
        ("linked_id", {g: links[g] for g in parts if claims[g] is None}),
    ):
        for key in set(uuid) - {None}:
            who = [n for n, word in enumerate(uuid) if word == key]
            asking = [group for group, word in claim.items() if word == key]
            if rule == "linked_id" and who[0] in pairs:
                continue
            if not asking:
                continue
            if len(who) == 1 and len(asking) == 1 and who[0] not in ambiguous_calls:
                pairs[who[0]] = (asking[0], rule)
                taken.add(asking[0])
            else:
                ambiguous_calls |= set(who)
                ambiguous_groups |= set(asking)
    ambiguous_calls |= {n for n, word in enumerate(uuid) if word and uuid.count(word) > 1}
    for conversation in {call[1] for call in calls} - {None}:
        who = [n for n, call in enumerate(calls) if call[1] == conversation]
        asking = [group for group, word in links.items() if word == conversation]
        free = claims[asking[0]] is None and links[asking[0]] not in uuid if asking else False
        if len(who) == len(asking) == 1 and free and who[0] not in pairs and who[0] not in ambiguous_calls:
            pairs[who[0]] = (asking[0], "linked_id")
            taken.add(asking[0])
    free_groups = [
        g for g in parts if g not in taken and claims[g] is None and links[g] not in set(uuid) - {None}
    ]
    free_calls = [n for n in range(len(calls)) if n not in pairs and n not in ambiguous_calls]

    def whole(group):
        members = sorted(parts[group], key=lambda place: (legs[place][2], place))
        direction = next((legs[place][4] for place in members if legs[place][4]), None)
        return legs[members[0]][2], legs[members[0]][3], direction

    gaps = {}
    for n, group in product(free_calls, free_groups):
        start, number, direction = whole(group)
        gap = abs(calls[n][2] - start)
        contradict = direction and calls[n][4] and direction != calls[n][4]
        if number == calls[n][3] and gap <= window and not contradict:
            gaps[n, group] = gap

    def near(side, who):
        own = {pair: gap for pair, gap in gaps.items() if pair[side] == who}
        return {pair for pair, gap in own.items() if gap <= min(own.values()) + margin}

    for n, group in gaps:
        of_call, of_group = near(0, n), near(1, group)
        if (n, group) in of_call & of_group:
            if len(of_call) == len(of_group) == 1:
                pairs[n] = (group, "numbers_and_time")
            else:
                ambiguous_calls.add(n)
                ambiguous_groups.add(group)
    return (
        {n: (frozenset(parts[group]), rule) for n, (group, rule) in pairs.items()},
        ambiguous_calls,
        {place for group in ambiguous_groups for place in parts[group]},
    )


def described(rec):
    """Return matches by call id and source row, and the ambiguous ones, in the terms of `by_hand`."""
    legs, calls = rec.legs, rec.calls
    members = defaultdict(set)
    for row, call, bucket in zip(legs["source_row"], legs["call_id"], legs["bucket"], strict=True):
        if bucket == "matched":
            members[call].add(row - 2)
    rules = dict(zip(rec.pairs["call_id"], rec.pairs["match_rule"], strict=True))
    return (
        {int(call[3:]): (frozenset(places), rules[call]) for call, places in members.items()},
        {int(call[3:]) for call in calls.loc[calls["bucket"].eq("ambiguous"), "id"]},
        set((legs.loc[legs["bucket"].eq("ambiguous"), "source_row"] - 2).tolist()),
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_matching_is_what_a_slow_reader_of_the_rules_finds_in_any_order(make_legs, make_calls, party, data):
    legs = data.draw(st.lists(LEG, max_size=7))
    calls = data.draw(st.lists(CALL, max_size=7))
    leg_frame = make_legs(
        [
            party(
                s,
                call_key=key,
                linked_id=link,
                from_number=number,
                from_e164=number,
                to_e164=CALLED,
                direction=way,
            )
            for key, link, s, number, way in legs
        ]
    )
    call_frame = make_calls(
        [
            party(s, call_uuid=key, conversation_id=talk, from_number=number, direction=way)
            for key, talk, s, number, way in calls
        ]
    )
    rules = Rules(start_window_s=30)
    rec = reconcile(leg_frame, call_frame, rules=rules, progress=False)
    assert described(rec) == by_hand(legs, calls, window=30, margin=4)
    assert not rec.pairs["call_id"].duplicated().any()
    assert not rec.pairs["cdr_id"].duplicated().any()
    assert not set(rec.pairs["call_id"]) & set(rec.ambiguous["call_id"])
    leg_order = data.draw(st.permutations(range(len(legs))))
    call_order = data.draw(st.permutations(range(len(calls))))
    turned = reconcile(
        leg_frame.iloc[list(leg_order)], call_frame.iloc[list(call_order)], rules=rules, progress=False
    )
    assert described(turned) == described(rec)
