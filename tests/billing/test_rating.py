"""What each call costs: which frames are taken, what is not rated and why."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from math import ceil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.billing.frames import MONEY
from sippet_reconcile.billing.lookup import REASONS
from sippet_reconcile.billing.rating import find_rates, price
from sippet_reconcile.demo import sample_reconciliation

COLUMNS = ["prefix", "billed_s", "cost", "currency", "unrated_reason"]
AT = pd.Timestamp("2026-10-05T08:00:00Z")


def card_of(*rows: dict[str, object]) -> sr.RateCard:
    default = {
        "rate_per_minute": "0.06", "initial_s": 1, "increment_s": 1, "connect_fee": "0", "currency": "GBP",
        "valid_from": None, "valid_to": None, "direction": None, "user": None,
    }  # fmt: skip
    return sr.RateCard.from_frame(pd.DataFrame([default | row for row in rows]))


def calls_of(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(
        {"id": "a", "to_number": "+442079460123", "started_at": AT, "duration_seconds": 60} | columns
    )


def only(frame: pd.DataFrame, card: sr.RateCard, **options: str) -> list[object]:
    """Rate one call and return its row, what is missing as None."""
    row = sr.rate_calls(frame, card, **options)[COLUMNS].astype(object)
    assert len(row) == 1
    return row.where(row.notna(), None).iloc[0].tolist()


PLAIN = card_of({"prefix": "44"})
DATED = card_of({"prefix": "44", "valid_from": "2026-10-05"})


def test_the_sample_month_costs_what_a_loop_over_its_calls_sums_up():
    rec = sample_reconciliation()
    card = card_of(
        {"prefix": "44", "rate_per_minute": "0.0125", "initial_s": 30, "increment_s": 6},
        {"prefix": "447", "rate_per_minute": "0.07", "connect_fee": "0.015"},
        {"prefix": "447", "direction": "inbound", "rate_per_minute": "0", "connect_fee": "0"},
    )
    calls = rec.cdr_calls
    rated = sr.rate_calls(calls, card, timezone="Europe/London")
    exact = Decimal(0)
    for call in calls.to_dict("records"):
        if (
            call["is_answered"] is not True
            or not isinstance(call["to_e164"], str)
            or not call["to_e164"].startswith("+44")
        ):
            continue
        whole = ceil(call["billable_s"])
        if not call["to_e164"].startswith("+447"):
            billed = 0 if whole <= 0 else max(30, 30 + -(-(whole - 30) // 6) * 6)
            cost = billed * Decimal("0.0125") / 60
        elif call["direction"] == "inbound" or whole <= 0:
            continue
        else:
            cost = whole * Decimal("0.07") / 60 + Decimal("0.015")
        exact += cost.quantize(Decimal("0.000001"), ROUND_HALF_UP)
    assert exact > 1
    assert rated["cost"].sum() == exact
    assert rated["cdr_id"].tolist() == calls["cdr_id"].tolist()


@pytest.mark.parametrize(
    "frame", ["cdr_calls", "only_in_cdr", "only_in_api"]
)  # fmt: skip
def test_the_frames_of_a_reconciliation_are_taken(frame):
    calls = getattr(sample_reconciliation(), frame)
    rated = sr.rate_calls(calls, card_of({"prefix": "*"}))
    assert len(rated) == len(calls) > 0
    assert rated.columns[0] == ("call_id" if frame == "only_in_api" else "cdr_id")
    assert rated["cost"].notna().any()


@pytest.mark.parametrize(
    ("seconds", "billed", "cost"),
    [(0, 0, "0"), (None, 0, "0"), (-3, 0, "0"), (0.2, 1, "0.001"), (59.0, 59, "0.059"), (60, 60, "0.06"), (61, 61, "0.061")],
)  # fmt: skip
def test_a_call_of_the_api_is_answered_if_it_has_seconds(seconds, billed, cost):
    row = only(calls_of(duration_seconds=[seconds]), PLAIN)
    assert row == ["44", billed, Decimal(cost), "GBP", None]


@pytest.mark.parametrize(
    ("answered", "seconds", "billed", "reason"),
    [
        (True, 30, 30, None),
        (True, 0, 0, None),
        (True, None, None, "no-seconds"),
        (False, 30, 0, None),
        (False, None, 0, None),
        (None, 30, 30, None),
        (None, 0, 0, None),
        (None, None, None, "no-seconds"),
    ],
)
def test_a_call_of_a_cdr_is_answered_if_it_says_so_or_else_has_seconds(answered, seconds, billed, reason):
    leg = pd.DataFrame(
        {"leg_id": "a", "to_e164": "+442079460123", "billable_s": [seconds], "is_answered": [answered]}
    )
    row = only(leg, PLAIN)
    assert (row[1], row[4]) == (billed, reason)
    assert row[2] == (None if billed is None else Decimal(billed) / 1000)
    if answered is None:
        assert only(leg.drop(columns="is_answered"), PLAIN) == row


@pytest.mark.parametrize(
    ("columns", "card", "reason"),
    [
        ({"to_number": None}, PLAIN, "no-number"),
        ({"to_number": "020 7946 0123"}, PLAIN, "no-number"),
        ({"to_number": "1001"}, card_of({"prefix": "*"}), "no-number"),
        ({"to_number": "+12025550123"}, PLAIN, "no-prefix"),
        ({"started_at": pd.NaT}, DATED, "no-start"),
        ({"started_at": AT - pd.Timedelta(days=1)}, DATED, "not-valid-then"),
        ({"sip_username": "eve"}, card_of({"prefix": "44", "user": "ann"}), "no-prefix"),
    ],
)  # fmt: skip
def test_an_answered_call_that_cannot_be_rated_says_why_and_an_unanswered_one_costs_nothing(
    columns, card, reason
):
    frame = calls_of(**{"duration_seconds": [60]} | columns)
    assert only(frame, card) == [None, None, None, None, reason]
    assert only(frame.assign(duration_seconds=0), card) == [None, 0, Decimal(0), None, None]


def test_seconds_that_are_not_known_are_told_before_a_number_that_is_not():
    leg = pd.DataFrame({"leg_id": ["a"], "to_number": [None], "billable_s": [np.nan], "is_answered": [True]})
    assert only(leg, PLAIN)[4] == "no-seconds"


@pytest.mark.parametrize(
    ("e164", "number", "prefix"),
    [
        ("+442079460123", "020 7946 0123", "44"),
        (None, "+44 (20) 7946-0123", "44"),
        (None, " +442079460123 ", "44"),
        ("+12025550123", "+442079460123", "1"),
        ("", "+442079460123", "44"),
        ("+0442079460123", "0442079460123", None),
        ("++44207946012", None, None),
        ("442079460123", None, None),
        ("+44207946012345678", None, None),
    ],
)
def test_the_called_number_is_the_one_in_e164_else_the_delivered_one_if_it_is(e164, number, prefix):
    card = card_of({"prefix": "44"}, {"prefix": "1"})
    frame = calls_of(
        to_e164=pd.array([e164, "+442079460123"], dtype="str"),
        to_number=pd.array([number, None], dtype="str"),
    )
    rated = sr.rate_calls(frame, card)
    assert rated["prefix"].astype(object).where(rated["prefix"].notna(), None).tolist() == [prefix, "44"]


def test_the_day_of_a_call_is_that_of_the_zone():
    late = calls_of(started_at=[pd.Timestamp("2026-10-04T23:30:00Z")])  # 00:30 in London
    assert only(late, DATED, timezone="Europe/London")[0] == "44"
    assert only(late, DATED)[4] == "not-valid-then"


@pytest.mark.parametrize(
    "starts",
    [
        pd.Series([AT]).dt.tz_convert("America/New_York"),
        pd.Series([AT]).dt.as_unit("ns"),
        pd.Series([AT]).dt.as_unit("s"),
        pd.Series(["2026-10-05T10:00:00+02:00"], dtype="str"),
        pd.Series([datetime(2026, 10, 5, 10, tzinfo=timezone(timedelta(hours=2)))], dtype="object"),
    ],
    ids=["zone", "ns", "s", "text", "objects"],
)
def test_a_start_is_an_instant_however_it_is_held(starts):
    assert only(calls_of(started_at=starts), DATED)[0] == "44"


@pytest.mark.parametrize(
    "dtype", ["object", "int64", "Int64", "float64", "Float64", "int32", "uint8", "int64[pyarrow]"]
)
def test_seconds_are_read_in_any_type_of_number(dtype):
    assert only(calls_of(duration_seconds=pd.Series([61], dtype=dtype)), PLAIN)[1] == 61


def test_directions_are_compared_without_capitals_and_users_as_they_are_written():
    card = card_of({"prefix": "44", "direction": "inbound", "user": "Ann"}, {"prefix": "4"})
    frame = calls_of(
        direction=["Inbound", " inbound", "inbound", None], sip_username=["Ann", "Ann ", "ann", "Ann"]
    )
    assert sr.rate_calls(frame, card)["prefix"].tolist() == ["44", "44", "4", "4"]


def test_currencies_stay_apart_row_by_row():
    card = card_of({"prefix": "44"}, {"prefix": "1", "currency": "USD"})
    rated = sr.rate_calls(calls_of(to_number=["+442079460123", "+12025550123"]), card)
    assert rated["currency"].tolist() == ["GBP", "USD"]


def test_any_index_is_kept_out_and_the_input_is_left_alone():
    frame = calls_of(id=["b", "a", "a"], duration_seconds=pd.array([1, None, 3], dtype="Int64")).set_index(
        pd.Index([7, 7, 1])
    )
    before = frame.copy()
    rated = sr.rate_calls(frame, PLAIN)
    assert rated.index.equals(pd.RangeIndex(3))
    assert rated["call_id"].tolist() == ["b", "a", "a"]
    assert rated["billed_s"].tolist() == [1, 0, 3]
    pd.testing.assert_frame_equal(frame, before)


def test_no_calls_give_a_frame_of_the_same_types():
    full, empty = sr.rate_calls(calls_of(id=["a"]), PLAIN), sr.rate_calls(calls_of(id=["a"]).iloc[:0], PLAIN)
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()
    assert full["cost"].dtype == MONEY
    assert len(empty) == 0


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (sample_reconciliation().pairs, "of the CDR and of the API"),
        (calls_of(billable_s=[1]), "of the CDR and of the API"),
        (
            pd.DataFrame({"leg_id": ["a"], "to_e164": ["+442079460123"], "total_s": [60.0]}),
            "count the ringing",
        ),
        (sample_reconciliation().discrepancies, "sr.billing_impact"),
        (calls_of(id=["a"]).drop(columns="id"), "no key, a column id or call_id"),
        (calls_of(id=["a"]).drop(columns="to_number"), "no called number"),
        (calls_of(duration_seconds=["60"]), "pd.to_numeric"),
        (calls_of(duration_seconds=[True]), "pd.to_numeric"),
        (calls_of(duration_seconds=pd.Series(["60"], dtype="object")), "holds str"),
        (calls_of(duration_seconds=[float("inf")]), "no call is that long"),
        (calls_of(to_number=[442079460123]), "not text"),
        (calls_of(id=[["a"]]).iloc[:, [0, 1, 2, 3, 3]], "2 columns 'duration_seconds'"),
        ([1], "not a DataFrame"),
    ],
)
def test_a_frame_that_cannot_be_rated_is_refused_and_told_what_to_pass(frame, words):
    with pytest.raises(sr.SchemaError, match=words):
        sr.rate_calls(frame, PLAIN)


@pytest.mark.parametrize(
    ("starts", "words"),
    [
        ([datetime(2026, 10, 5)], "instants with a time zone"),  # noqa: DTZ001 - the case
        (["soon"], "no instants"),
        ([1_790_000_000], "instants with a time zone"),
    ],
)
def test_a_start_without_a_zone_is_refused(starts, words):
    with pytest.raises(sr.SchemaError, match=words):
        sr.rate_calls(calls_of(started_at=starts), DATED)


@pytest.mark.parametrize(
    ("card", "column"),
    [
        (DATED, "started_at"),
        (card_of({"prefix": "44", "user": "ann"}), "sip_username"),
        (card_of({"prefix": "44", "direction": "inbound"}), "direction"),
    ],
)
def test_a_column_that_the_card_tells_rates_apart_by_is_asked_for(card, column):
    frame = calls_of(id=["a"]).drop(columns=column, errors="ignore")
    with pytest.raises(sr.SchemaError, match=f"apart by {column}"):
        sr.rate_calls(frame, card)


def test_a_card_without_dates_users_and_directions_needs_none_of_them():
    assert only(calls_of(id=["a"]).drop(columns="started_at"), PLAIN)[0] == "44"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["+442079460123", "+12025550123", None]), st.one_of(st.none(), st.integers(0, 90))
        ),
        max_size=8,
    )
)
def test_one_finding_prices_seconds_before_and_after(rows):
    frame = calls_of(
        id=[str(n) for n in range(len(rows))], to_number=pd.array([number for number, _ in rows], dtype="str"),
        duration_seconds=pd.array([seconds for _, seconds in rows], dtype="Int64"),
    )  # fmt: skip
    priced = price(
        find_rates(frame, PLAIN, "UTC"), frame["duration_seconds"].to_numpy(np.float64, na_value=np.nan)
    )
    rated = sr.rate_calls(frame, PLAIN)
    assert [REASONS[code] for code in priced.reasons] == rated["unrated_reason"].astype(object).where(
        rated["unrated_reason"].notna(), None
    ).tolist()
    assert priced.billed_s.tolist() == rated["billed_s"].fillna(0).tolist()
    assert priced.micros.tolist() == [int(cost * 10**6) for cost in rated["cost"].fillna(Decimal(0))]


def test_a_slice_of_a_frame_is_read_from_where_it_begins():
    frame = calls_of(id=["a", "b", "c"], to_number=["+12025550123", "+442079460123", "+442079460124"])
    assert sr.rate_calls(frame.iloc[1:], PLAIN)["prefix"].tolist() == ["44", "44"]
    assert sr.rate_calls(frame.iloc[::-1], card_of({"prefix": "1"}, {"prefix": "442"}))[
        "prefix"
    ].tolist() == ["442", "442", "1"]


# ---------------------------------------------------------------- one reading of a number


@pytest.mark.parametrize(
    ("number", "prefix"),
    [
        ("+44 20 7946 0123", "4420"),
        ("+44(0)20 7946 0123", "4420"),  # the zero in brackets is dialled at home only
        ("0044 20 7946 0123", "4420"),
        ("sip:+442079460123@pbx.example.com", "4420"),
        ("tel:+442079460123", "4420"),
        ("020 7946 0123", None),
        ("+4402079460123", "4420"),
        ("1001", None),
        ("anonymous", None),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_a_number_as_delivered_is_read_as_everywhere_else_or_not_at_all(number, prefix, beside):
    # Beside a call whose E.164 is known the numbers of the others are read alike.
    frame = calls_of(to_number=[number, "+442079460123"] if beside else [number])
    if beside:
        frame["to_e164"] = pd.Series([None, "+442079460123"], dtype="str")
    rated = sr.rate_calls(frame, card_of({"prefix": "44"}, {"prefix": "4420"}))
    found = rated["prefix"].astype(object).where(rated["prefix"].notna(), None).tolist()
    assert found == [prefix, "4420"][: len(found)]
    assert rated["unrated_reason"].iloc[0] == "no-number" if prefix is None else True


def test_a_column_of_e164_counts_as_it_stands_and_what_is_written_otherwise_in_it_is_read():
    frame = calls_of(
        to_e164=["+4420794", "+44(0)20 7946 0123", "+44 20 7946 0123", "x", None], to_number="1001"
    )
    rated = sr.rate_calls(frame, card_of({"prefix": "4420"}))
    assert rated["unrated_reason"].fillna("").tolist() == ["", "", "", "no-number", "no-number"]
