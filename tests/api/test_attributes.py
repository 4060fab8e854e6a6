"""What a PATCH may carry, and what its answer must show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from sippet_reconcile.api.attributes import answer_problems, valid_attributes
from sippet_reconcile.errors import InputError


@pytest.mark.parametrize(
    ("attributes", "sent"),
    [
        ({"status": "busy"}, {"status": "busy"}),
        ({"call_source": "sip"}, {"call_source": "sip"}),
        ({"duration_seconds": 0}, {"duration_seconds": 0}),
        ({"duration_seconds": np.int64(2**31 - 1)}, {"duration_seconds": 2**31 - 1}),
        ({"ended_at": "2026-10-01T08:00:00Z"}, {"ended_at": "2026-10-01T08:00:00Z"}),
        ({"ended_at": "2026-10-01T08:00:00.000001Z"}, {"ended_at": "2026-10-01T08:00:00.000001Z"}),
        ({"ended_at": datetime(2026, 10, 1, 9, tzinfo=timezone(timedelta(hours=1)))}, {"ended_at": "2026-10-01T08:00:00Z"}),
        ({"ended_at": pd.Timestamp("2026-10-01T08:00:00.25Z")}, {"ended_at": "2026-10-01T08:00:00.250000Z"}),
        ({"ended_at": None, "status": None, "duration_seconds": None}, {"ended_at": None, "status": None, "duration_seconds": None}),
    ],
)  # fmt: skip
def test_what_may_be_sent_is_sent_in_api_form(attributes: dict[str, object], sent: dict[str, object]) -> None:
    before = dict(attributes)
    checked = valid_attributes(attributes)
    assert checked == sent
    assert [type(value) for value in checked.values()] == [type(value) for value in sent.values()]
    assert attributes == before


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({}, "at least one"),
        (None, "at least one"),
        ({"started_at": "2026-10-01T08:00:00Z"}, "started_at cannot be patched"),
        ({"status": "busy", "id": "x"}, "id cannot be patched"),
        ({"status": ""}, "not be empty"),
        ({"status": " busy"}, "space"),
        ({"status": "a\x00b"}, "NUL"),
        ({"status": "\udfff"}, "surrogate"),
        ({"status": 5}, "must be text"),
        ({"status": float("nan")}, "must be text"),
        ({"status": pd.NA}, "must be text"),
        ({"call_source": None}, "cannot be null"),
        ({"call_source": ""}, "not be empty"),
        ({"duration_seconds": True}, "whole seconds"),
        ({"duration_seconds": np.bool_(1)}, "whole seconds"),
        ({"duration_seconds": -1}, "whole seconds"),
        ({"duration_seconds": 2**31}, "whole seconds"),
        ({"duration_seconds": 60.0}, "whole seconds"),
        ({"duration_seconds": "60"}, "whole seconds"),
        ({"duration_seconds": pd.NA}, "whole seconds"),
        ({"ended_at": ""}, "YYYY-MM-DD"),
        ({"ended_at": "2026-10-01"}, "YYYY-MM-DD"),
        ({"ended_at": "2026-10-01T08:00:00"}, "YYYY-MM-DD"),
        ({"ended_at": "2026-10-01T08:00:00+00:00"}, "YYYY-MM-DD"),
        ({"ended_at": "2026-10-01T08:00:00.5Z"}, "YYYY-MM-DD"),
        ({"ended_at": "2026-02-30T08:00:00Z"}, "YYYY-MM-DD"),
        ({"ended_at": "2026-10-01T08:00:60Z"}, "YYYY-MM-DD"),
        ({"ended_at": "2026-10-01T08:00:00Z\n"}, "YYYY-MM-DD"),
        ({"ended_at": datetime.fromisoformat("2026-10-01")}, "time zone"),
        ({"ended_at": pd.NaT}, "YYYY-MM-DD"),
        ({"ended_at": 1790000000}, "YYYY-MM-DD"),
    ],
)
def test_what_would_destroy_or_confuse_is_refused(attributes: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        valid_attributes(attributes)


def test_an_answer_is_compared_at_the_servers_precision() -> None:
    answered = {"id": "a", "ended_at": "2026-10-01T08:00:00Z", "status": "busy", "duration_seconds": "5"}
    sent = {"ended_at": "2026-10-01T08:00:00.700000Z", "status": "busy", "duration_seconds": 5}
    assert answer_problems("a", sent, answered, {"ended_at": 0}) == []
    [problem] = answer_problems("a", sent, answered, {"ended_at": 6})
    assert "ended_at was sent as" in problem


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"ended_at": "2026-10-01T08:00:01Z"}, "ended_at was sent as"),
        ({"status": "Busy"}, "status was sent as 'Busy' and reads 'busy'"),
        ({"duration_seconds": 6}, "duration_seconds was sent as '6' and reads '5'"),
        ({"status": None}, "status was sent as None"),
    ],
)
def test_a_value_that_reads_differently_is_named(sent: dict[str, object], told: str) -> None:
    answered = {"id": "a", "ended_at": "2026-10-01T08:00:00Z", "status": "busy", "duration_seconds": "5"}
    [problem] = answer_problems("a", sent, answered, {})
    assert told in problem


def test_another_call_in_the_answer_is_a_problem() -> None:
    assert answer_problems("a", {}, {"id": "b"}, {}) == ["the answer is call b"]


def test_now_is_an_instant_like_any_other() -> None:
    at = datetime(2026, 10, 1, 8, 0, 0, 5, tzinfo=UTC)
    assert valid_attributes({"ended_at": at}) == {"ended_at": "2026-10-01T08:00:00.000005Z"}
