"""What the statuses of legs, a mailbox and seconds of nothing say about a call's wrong status."""

from __future__ import annotations

from typing import Any

import pandas as pd

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
