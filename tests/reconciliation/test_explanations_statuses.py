"""What the statuses of legs, a mailbox and seconds of nothing say about a call's wrong status."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr


def test_a_call_of_several_legs_says_their_statuses_once_each_and_best_first(
    make_legs: Any, make_calls: Any, at: Any
) -> None:
    # By LEG_STATUSES, completed is better than busy, and busy than no_answer.
    statuses = {"a": ["no_answer", "completed", "no_answer", "busy"], "b": ["failed"], "c": [None, "busy"]}
    legs = make_legs(
        [
            {
                "linked_id": call,
                "leg_id": f"{call}{n}",
                "started_at": at(n),
                "ended_at": at(60),
                "status": word,
            }
            for call, words in statuses.items()
            for n, word in enumerate(words)
        ]
    )
    reduced = reconcile_nothing(legs, make_calls).set_index("cdr_id")
    assert reduced["leg_statuses"].dtype == "str"
    assert reduced.loc["a", "leg_statuses"] == "completed; busy; no_answer"
    assert pd.isna(reduced.loc["b", "leg_statuses"])
    assert reduced.loc["c", "leg_statuses"] == "busy"


def reconcile_nothing(legs: pd.DataFrame, make_calls: Any) -> pd.DataFrame:
    """Reduce legs beside no call at all."""
    rules = sr.Rules(duration="billable")
    return sr.reconcile(legs, make_calls([]), rules=rules, progress=False).cdr_calls


UNANSWERED: dict[str, Any] = {
    "is_answered": False,
    "billable_s": 0.0,
    "answered_at": None,
    "status": "no_answer",
}
HUNT: dict[str, Any] = {"n_legs": 2, "leg_statuses": "completed; no_answer"}


def statuses(matched: Any, row: Any, call: dict[str, Any], cdr: dict[str, Any], **rules: Any) -> list[str]:
    """Return all explanations of a call's status, the leading one first."""
    built = matched([row(call=call, cdr=cdr)])
    found = built.compare(sr.Rules(**{"duration": "billable", **rules})).discrepancies
    named = found.loc[found["field"] == "status", ["explanation", "also"]].fillna("")
    return [
        name for lead, also in named.itertuples(index=False) for name in (lead, *also.split("; ")) if name
    ]


@pytest.mark.parametrize(
    ("call", "cdr", "rules", "expected"),
    [
        pytest.param(
            {"status": "No-Answer"},
            HUNT,
            {},
            ["status-from-wrong-leg", "answered-shown-unanswered"],
            id="the word of the phone that did not answer",
        ),
        pytest.param(
            {"status": "busy"}, HUNT, {}, ["answered-shown-unanswered"], id="a word that no leg has"
        ),
        pytest.param(
            {"status": "no_answer"},
            {**HUNT, "n_legs": 1},
            {},
            ["answered-shown-unanswered"],
            id="one leg alone counts",
        ),
        pytest.param(
            {"status": "no_answer"},
            {"n_legs": 2},
            {},
            ["answered-shown-unanswered"],
            id="a call whose legs' statuses nobody noted",
        ),
        pytest.param(
            {"status": "ended-early"},
            {**HUNT, "leg_statuses": "completed; canceled"},
            {"status_map": {"canceled": ["gone", "ended early"]}},
            ["status-from-wrong-leg", "answered-shown-unanswered"],
            id="the word of another leg by the map of statuses",
        ),
        pytest.param(
            {"status": "failed", "duration_seconds": 0},
            {**UNANSWERED, "status": "busy", "n_legs": 3, "leg_statuses": "busy; failed"},
            {},
            ["status-from-wrong-leg", "other-unanswered-word"],
            id="of two unanswered legs the other one's word",
        ),
        pytest.param(
            {"status": "missed", "duration_seconds": 0},
            {"billable_s": 0.9},
            {},
            ["answered-but-zero", "answered-shown-unanswered"],
            id="an answer without a whole second",
        ),
        pytest.param(
            {"status": "missed", "duration_seconds": 0},
            {"billable_s": 1.0},
            {},
            ["answered-shown-unanswered"],
            id="an answer of a second",
        ),
        pytest.param(
            {"status": "no_answer"},
            {**HUNT, "billable_s": 0.0},
            {},
            ["answered-but-zero", "status-from-wrong-leg", "answered-shown-unanswered"],
            id="no second and another leg's word",
        ),
        pytest.param(
            {"status": "completed", "duration_seconds": 0},
            UNANSWERED,
            {},
            ["answered-but-zero", "unanswered-shown-answered"],
            id="an answered word beside no seconds",
        ),
        pytest.param(
            {"status": "completed", "duration_seconds": None},
            UNANSWERED,
            {},
            ["unanswered-shown-answered"],
            id="seconds that are missing prove nothing",
        ),
        pytest.param(
            {"status": "completed"}, {"status": "voicemail"}, {}, ["voicemail-as-answered"], id="a mailbox"
        ),
        pytest.param(
            {"status": "ended"},
            {"status": "voicemail"},
            {"status_map": {"completed": ["ended"], "voicemail": ["mailbox"]}},
            ["voicemail-as-answered"],
            id="a mailbox by the map of statuses",
        ),
        pytest.param(
            {"status": "completed"},
            {**UNANSWERED, "status": "voicemail"},
            {},
            ["voicemail-as-answered", "unanswered-shown-answered"],
            id="a mailbox that the CDR calls unanswered",
        ),
        pytest.param(
            {"status": "busy"}, {"status": "voicemail"}, {}, ["answered-shown-unanswered"], id="no mailbox"
        ),
        pytest.param(
            {"status": "answered"},
            UNANSWERED,
            {"status_map": {"completed": ["answered"]}},
            ["unanswered-shown-answered"],
            id="an open word that the map calls final proves no crash",
        ),
        pytest.param(
            {"status": "answered"},
            UNANSWERED,
            {},
            ["cut-by-crash"],
            id="an open word that nobody calls final",
        ),
        pytest.param(
            {"status": "completed"},
            {**UNANSWERED, "is_answered": None, "status": "missed"},
            {},
            ["unanswered-shown-answered"],
            id="unanswered by its status alone",
        ),
    ],
)
def test_what_a_wrong_status_contradicts(
    matched: Any,
    row: Any,
    *,
    call: dict[str, Any],
    cdr: dict[str, Any],
    rules: dict[str, Any],
    expected: list[str],
) -> None:
    assert statuses(matched, row, call, cdr, **rules) == expected


def test_a_saved_frame_without_the_statuses_of_legs_is_read_all_the_same(matched: Any, row: Any) -> None:
    built = matched([row(call={"status": "no_answer"}, cdr=HUNT)])
    older = type(built)(built.calls, built.cdr_calls.drop(columns="leg_statuses"), built.pairs)
    assert older.compare().discrepancies["explanation"].tolist() == ["answered-shown-unanswered"]


@pytest.mark.parametrize(
    ("api_s", "total_s", "expected"),
    [
        (30, 55.0, ["voicemail-as-answered", "unanswered-but-billed"]),
        (55, 55.0, ["voicemail-as-answered", "ringing-billed", "unanswered-but-billed"]),
        (57, 55.0, ["unanswered-but-billed"]),
    ],
)
def test_seconds_of_a_mailbox_fit_into_the_call(
    matched: Any, row: Any, api_s: int, total_s: float, expected: list[str]
) -> None:
    mailbox = {**UNANSWERED, "status": "voicemail", "total_s": total_s}
    found = matched([row(call={"duration_seconds": api_s}, cdr=mailbox)]).compare().discrepancies
    named = found.loc[found["field"] == "duration_seconds", ["explanation", "also"]].fillna("").iloc[0]
    assert "; ".join(name for name in named if name).split("; ") == expected
    # Where the API, too, says that a mailbox answered, it did not take it for an answer.
    agreed = matched([row(call={"duration_seconds": api_s, "status": "voicemail"}, cdr=mailbox)]).compare()
    assert agreed.discrepancies["explanation"].iloc[0] != "voicemail-as-answered"
