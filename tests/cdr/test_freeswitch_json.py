"""FreeSWITCH's JSON: variables URL-encoded or not, epochs before stamps, the outcome by SIP before the cause."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pandas as pd
import pytest

import sippet_reconcile as sr

Read = Callable[..., pd.DataFrame]

A_LEG = "8c1f3c52-0000-4000-8000-000000000001"
B_LEG = "8c1f3c52-0000-4000-8000-000000000002"
START, ANSWER, END = 1790845200, 1790845205, 1790845265  # 2026-10-01 09:00:00 UTC
VARIABLES = {
    "direction": "inbound",
    "uuid": A_LEG,
    "call_uuid": A_LEG,
    "user_name": "ann",
    "sip_from_user": "1001",
    "channel_name": "sofia/internal/1001@pbx.example",
    "start_stamp": "2026-10-01 11:00:00",
    "answer_stamp": "2026-10-01 11:00:05",
    "end_stamp": "2026-10-01 11:01:05",
    "start_epoch": str(START),
    "start_uepoch": f"{START}250000",
    "answer_epoch": str(ANSWER),
    "answer_uepoch": f"{ANSWER}500000",
    "end_epoch": str(END),
    "end_uepoch": f"{END}740000",
    "duration": "65",
    "billsec": "60",
    "mduration": "65490",
    "billmsec": "60240",
    "hangup_cause": "NORMAL_CLEARING",
    "hangup_cause_q850": "16",
    "sip_h_X-Call-Sid": "+platform id=7",
}
PROFILE = {
    "caller_id_number": "1001",
    "destination_number": "+442079460123",
    "uuid": A_LEG,
    "context": "default",
}
UNANSWERED = {
    "answer_epoch": "0",
    "answer_uepoch": "0",
    "answer_stamp": None,
    "billsec": "0",
    "billmsec": "0",
}


def leg(
    *, encode: bool = True, profiles: list[dict[str, str]] | None = None, **changes: str | None
) -> dict[str, Any]:
    """Return the record of one leg with some variables changed, or left out where they are None."""
    variables = {name: value for name, value in {**VARIABLES, **changes}.items() if value is not None}
    if encode:
        variables = {name: quote(value, safe="/,()'!$*-._~") for name, value in variables.items()}
    return {
        "core-uuid": "8c1f3c52-0000-4000-8000-0000000000ff",
        "switchname": "pbx",
        "channel_data": {"state": "CS_REPORTING", "direction": variables.get("direction", "")},
        "variables": variables,
        "app_log": {"applications": [{"app_name": "bridge", "app_data": "user/1002"}]},
        "callflow": [{"caller_profile": {**PROFILE, **profile}} for profile in profiles or [{}]],
    }


def as_bytes(*legs: dict[str, Any], between: str = "\n", **options: Any) -> bytes:
    return between.join(json.dumps(one, **options) for one in legs).encode()


def from_epoch(micros: str) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micros))


def test_a_leg_is_read(read: Read) -> None:
    legs = read(as_bytes(leg()))
    row = legs.loc[0]
    assert (row["format"], row["problem"] is None or pd.isna(row["problem"])) == ("freeswitch-json", True)
    assert row["started_at"] == from_epoch(f"{START}250000")
    assert row["answered_at"] == from_epoch(f"{ANSWER}500000")
    assert row["ended_at"] == from_epoch(f"{END}740000")
    assert (row["total_s"], row["billable_s"]) == (65.49, 60.24)
    assert (row["leg_id"], row["call_key"], row["linked_id"]) == (A_LEG, A_LEG, A_LEG)
    assert (row["from_number"], row["to_e164"], row["sip_username"]) == ("1001", "+442079460123", "ann")
    assert (row["status"], row["cause"], row["direction"]) == ("completed", "NORMAL_CLEARING", "outbound")


@pytest.mark.parametrize(
    "name", ["somleng_freeswitch_cdr", "somleng_freeswitch_cdr_with_invalid_json", "dwilkie_cdr"]
)
def test_real_records(cdr_samples: Path, name: str) -> None:
    path = cdr_samples / "freeswitch_json_cdr" / f"{name}.json"
    record = json.loads(path.read_text().replace(":nan", ":null"))
    told = {key: unquote(value) for key, value in record["variables"].items()}
    legs = sr.read_cdr(path, keep=["variables.sip_call_id", "variables.endpoint_disposition", "switchname"])
    assert len(legs) == 1
    row = legs.loc[0]
    assert pd.isna(row["problem"])
    assert row["started_at"] == from_epoch(told["start_uepoch"])
    assert row["ended_at"] == from_epoch(told["end_uepoch"])
    is_answered = told["answer_epoch"] != "0"
    assert row["is_answered"] == is_answered
    assert (
        pd.isna(row["answered_at"])
        if not is_answered
        else row["answered_at"] == from_epoch(told["answer_uepoch"])
    )
    assert row["total_s"] == pytest.approx(int(told["uduration"]) / 1e6, abs=0.001)
    assert row["billable_s"] == pytest.approx(int(told["billusec"]) / 1e6, abs=0.001)
    assert row["call_key"] == told["uuid"]
    assert row["x_variables.sip_call_id"] == told["sip_call_id"]
    assert row["x_variables.endpoint_disposition"] == told["endpoint_disposition"]
    assert row["x_switchname"] == record["switchname"]
    assert row["to_number"] == record["callflow"][0]["caller_profile"]["destination_number"]
    assert row["from_number"] == (
        told["sip_from_user"]
        if "pre_transfer_caller_id_number" in told
        else record["callflow"][0]["caller_profile"]["caller_id_number"]
    )
    assert row["cause"] == told["hangup_cause"]
    assert row["status"] == ("completed" if is_answered else "busy")
    assert pd.isna(row["sip_username"])
    assert sr.sniff_cdr(path)[0].format == "freeswitch-json"


def test_a_busy_call_that_ended_normally_is_busy(read: Read) -> None:
    legs = read(as_bytes(leg(**UNANSWERED, sip_term_status="486")))
    assert legs.loc[0, ["status", "cause", "is_answered"]].tolist() == ["busy", "NORMAL_CLEARING", False]
    assert pd.isna(legs.loc[0, "answered_at"])


@pytest.mark.parametrize(
    ("variables", "status"),
    [
        ({}, "unknown"),
        ({"sip_term_status": "480"}, "no_answer"),
        ({"sip_invite_failure_status": "600"}, "busy"),
        ({"sip_term_status": "200", "hangup_cause": "NO_ANSWER"}, "no_answer"),
        ({"sip_term_status": "487", "hangup_cause": "NORMAL_CLEARING"}, "canceled"),
        ({"sip_term_status": "487", "hangup_cause": "NO_ANSWER"}, "no_answer"),
        ({"sip_term_status": "503", "hangup_cause": "NORMAL_TEMPORARY_FAILURE"}, "failed"),
        ({"hangup_cause": "ORIGINATOR_CANCEL"}, "canceled"),
        ({"hangup_cause": None, "hangup_cause_q850": "17"}, "busy"),
        ({"hangup_cause": None, "hangup_cause_q850": None}, "unknown"),
    ],
)  # fmt: skip
def test_the_outcome_of_a_call_that_was_not_answered(
    read: Read, variables: dict[str, str | None], status: str
) -> None:
    legs = read(as_bytes(leg(**{**UNANSWERED, **variables})))
    assert legs["status"].tolist() == [status]
    assert legs["is_answered"].tolist() == [False]


@pytest.mark.parametrize("word", ["NO_ANSWER", "487"])
def test_whoever_maps_a_word_is_believed_before_all_tables(read: Read, word: str) -> None:
    data = as_bytes(leg(**UNANSWERED, sip_term_status="487", hangup_cause="NO_ANSWER"))
    assert read(data, status_map={word: "missed"})["status"].tolist() == ["missed"]


def test_an_answered_call_is_completed_whatever_its_cause(read: Read) -> None:
    legs = read(as_bytes(leg(hangup_cause="SYSTEM_SHUTDOWN", sip_term_status="503")))
    assert legs["status"].tolist() == ["completed"]


def test_an_answer_of_less_than_a_second_is_one(read: Read) -> None:
    legs = read(as_bytes(leg(billsec="0", billmsec="340")))
    assert legs.loc[0, ["is_answered", "billable_s", "status"]].tolist() == [True, 0.34, "completed"]


@pytest.mark.parametrize("encode", [True, False])
def test_variables_are_read_encoded_or_plain(read: Read, encode: bool) -> None:
    one = leg(encode=encode, sip_from_user="a%2Bb", user_name=None)
    legs = read(as_bytes(one), keep=["variables.sip_h_X-Call-Sid"])
    assert legs["x_variables.sip_h_X-Call-Sid"].tolist() == ["+platform id=7"]
    assert legs["sip_username"].tolist() == ["a%2Bb"]  # decoded once, and not at all where it is plain


def test_each_record_tells_whether_it_is_encoded(read: Read) -> None:
    two = [leg(encode=True, user_name="+a"), leg(encode=False, user_name="%2Ba", uuid=B_LEG)]
    assert read(as_bytes(*two))["sip_username"].tolist() == ["+a", "%2Ba"]


def test_without_stamps_addresses_tell_whether_a_record_is_encoded(read: Read) -> None:
    stamps = dict.fromkeys(("start_stamp", "answer_stamp", "end_stamp"))
    two = [leg(encode=encode, user_name="%2Ba", **stamps) for encode in (True, False)]
    assert read(as_bytes(*two))["sip_username"].tolist() == ["%2Ba", "%2Ba"]


def test_seconds_and_epochs_without_fractions_are_read_where_there_are_no_others(read: Read) -> None:
    fine = dict.fromkeys(("start_uepoch", "answer_uepoch", "end_uepoch", "mduration", "billmsec"))
    row = read(as_bytes(leg(**fine))).loc[0]
    assert (row["started_at"].timestamp(), row["answered_at"].timestamp()) == (START, ANSWER)
    assert (row["total_s"], row["billable_s"]) == (65, 60)


def test_stamps_are_read_where_there_are_no_epochs_and_ask_for_a_zone(read: Read) -> None:
    epochs = {f"{name}_{unit}": None for name in ("start", "answer", "end") for unit in ("epoch", "uepoch")}
    data = as_bytes(leg(**epochs))
    with pytest.raises(sr.InputError, match="timezone="):
        read(data)
    row = read(data, timezone="Europe/Berlin").loc[0]
    assert row["started_at"].timestamp() == START
    assert row["answered_at"].timestamp() == ANSWER


def test_the_zone_does_not_move_epochs_and_the_stamps_beside_them_hold_it_to_account(read: Read) -> None:
    alone = read(as_bytes(leg()))["started_at"].tolist()
    assert read(as_bytes(leg()), timezone="Europe/Berlin")["started_at"].tolist() == alone
    with pytest.raises(
        sr.CdrFormatError, match=r"timezone='Asia/Tokyo' .* beside its stamps show UTC\+02:00"
    ):
        read(as_bytes(leg()), timezone="Asia/Tokyo")
    assert read(as_bytes(leg(start_stamp=None)), timezone="Asia/Tokyo")["started_at"].tolist() == alone


def test_both_legs_of_a_call_are_linked(read: Read) -> None:
    by_call = [leg(), leg(uuid=B_LEG, direction="outbound")]
    old = [
        leg(call_uuid=None, signal_bond=B_LEG),
        leg(uuid=B_LEG, call_uuid=None, originator=A_LEG, direction="outbound"),
    ]
    for legs in (by_call, old):
        found = read(as_bytes(*legs))
        assert found["leg_id"].tolist() == [A_LEG, B_LEG]
        assert len(set(found["linked_id"])) == 1
    lone = leg(uuid="8c1f3c52-0000-4000-8000-000000000009", call_uuid=None)
    assert read(as_bytes(*by_call, lone))["linked_id"].nunique() == 2


def test_the_direction_of_a_leg_is_not_that_of_its_call(read: Read) -> None:
    public, default = {"context": "public"}, {"context": "default"}
    cases = [
        (leg(), "outbound"),  # a user's own call: its first leg is inbound to the switch
        (leg(profiles=[public]), "inbound"),
        (leg(profiles=[default, public]), "inbound"),  # it was transferred into another context
        (leg(profiles=[{"destination_number": "1002"}]), None),
        (leg(call_direction="local"), "internal"),
        (leg(call_direction="inbound"), "inbound"),
        (leg(direction="outbound", uuid=B_LEG), None),
        (leg(direction="outbound", sip_gateway_name="trunk"), "outbound"),
    ]
    found = read(as_bytes(*(one for one, _ in cases)))["direction"]
    assert [None if pd.isna(word) else word for word in found] == [word for _, word in cases]


def test_the_newest_profile_comes_first(read: Read) -> None:
    newest, oldest = {"destination_number": "+442079460199"}, {"destination_number": "7010"}
    assert read(as_bytes(leg(profiles=[newest, oldest])))["to_number"].tolist() == ["+442079460199"]


def test_a_number_from_outside_is_no_sip_username(read: Read) -> None:
    cases = [
        leg(user_name=None, sip_from_user="+442079460111"),
        leg(user_name=None, sip_from_user="02079460111"),
        leg(user_name=None, sip_from_user="anonymous"),
        leg(user_name=None, profiles=[{"context": "public"}]),
        leg(user_name=None),
        leg(user_name=None, direction="outbound", dialed_user="bob"),
    ]
    found = read(as_bytes(*cases))["sip_username"]
    assert [None if pd.isna(name) else name for name in found] == [None] * 4 + ["1001", "bob"]


def test_a_leg_that_lost_the_race_is_a_helper(read: Read) -> None:
    legs = read(
        as_bytes(leg(), leg(**UNANSWERED, uuid=B_LEG, hangup_cause="LOSE_RACE", sip_term_status="487"))
    )
    assert legs["is_helper"].tolist() == [False, True]
    assert legs["status"].tolist() == ["completed", "canceled"]


def test_a_leg_that_was_posted_twice_is_two_rows_with_one_hash(read: Read) -> None:
    legs = read(as_bytes(leg(), leg()))
    assert len(legs) == 2
    assert len(set(legs["record_hash"])) == 1


@pytest.mark.parametrize("n", [1, 2, 50])
@pytest.mark.parametrize("form", ["lines", "list", "pretty", "nothing between", "page"])
def test_each_document_is_one_record(read: Read, form: str, n: int) -> None:
    legs = [leg(uuid=f"8c1f3c52-0000-4000-8000-{place:012d}") for place in range(n)]
    data = {
        "lines": lambda: as_bytes(*legs),
        "list": lambda: json.dumps(legs).encode(),
        "pretty": lambda: as_bytes(*legs, indent=2),
        "nothing between": lambda: as_bytes(*legs, between=""),
        "page": lambda: json.dumps({"cdrs": legs}).encode(),
    }[form]()
    found = read(data)
    assert found["source_row"].tolist() == list(range(1, n + 1))
    assert found["call_key"].tolist() == [one["variables"]["uuid"] for one in legs]
    assert found["problem"].isna().all()


def test_bare_words_for_no_number_harm_nothing(read: Read) -> None:
    one = as_bytes(leg(user_name="nan, inf"))
    data = one.replace(b'"app_log"', b'"callStats": {"mos":nan, "quality": -nan, "loss": inf}, "app_log"')
    legs = read(data + b"\n" + one)
    assert legs["problem"].isna().all()
    assert legs["sip_username"].tolist() == ["nan, inf"] * 2


def test_a_record_that_is_cut_off_is_a_row_with_a_problem(read: Read) -> None:
    data = as_bytes(leg(), leg(uuid=B_LEG))
    legs = read(data[:-400])
    assert legs["problem"].isna().tolist() == [True, False]
    assert "cut off" in legs.loc[1, "problem"]


def test_what_is_not_there_is_missing_and_told(read: Read) -> None:
    legs = read(as_bytes(leg(), {"core-uuid": "x", "variables": {"uuid": B_LEG}}, {"variables": None}))
    assert len(legs) == 3
    assert legs["problem"].isna().tolist() == [True, False, False]
    assert legs["call_key"].fillna("").tolist() == [A_LEG, B_LEG, ""]


def test_odd_values_are_told_and_not_guessed(read: Read) -> None:
    legs = read(
        as_bytes(
            leg(start_uepoch="soon"),
            leg(mduration="x", duration="y"),
            leg(billmsec="x"),
            leg(billsec="1", billmsec="x"),
        )
    )
    assert legs["problem"].isna().tolist() == [False, False, True, True]
    assert legs.loc[2:, "billable_s"].tolist() == [60, 1]


def test_no_records_are_no_rows(read: Read) -> None:
    assert len(read(b"[]", format="freeswitch-json")) == 0


def test_the_name_may_be_said(read: Read) -> None:
    assert read(as_bytes(leg()), format="freeswitch-json")["format"].tolist() == ["freeswitch-json"]
    with pytest.raises(sr.CdrFormatError, match="not FreeSWITCH mod_json_cdr"):
        read(b'[{"sid": "CA1"}]', format="freeswitch-json")


def test_line_ends_and_a_byte_order_mark_change_nothing(read: Read) -> None:
    plain = as_bytes(leg(), leg(uuid=B_LEG), indent=1)
    for data in (plain.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + plain, plain + b"\n\n"):
        pd.testing.assert_frame_equal(
            read(data).drop(columns="source_sha256"), read(plain).drop(columns="source_sha256")
        )


def test_unicode_survives(read: Read) -> None:
    assert read(as_bytes(leg(user_name="Zoë 🦜 ж")))["sip_username"].tolist() == ["Zoë 🦜 ж"]


def test_a_flattened_frame_is_read(read: Read) -> None:
    records = [leg(), leg(uuid=B_LEG, direction="outbound")]
    legs = sr.cdr_from_frame(pd.json_normalize(records), keep=["variables.sip_h_X-Call-Sid"])
    assert legs["problem"].isna().all()
    whole = read(as_bytes(*records))
    for name in (
        "format",
        "call_key",
        "linked_id",
        "started_at",
        "answered_at",
        "total_s",
        "status",
        "sip_username",
    ):
        assert legs[name].tolist() == whole[name].tolist()
    assert legs["x_variables.sip_h_X-Call-Sid"].tolist() == ["+platform id=7"] * 2


def test_a_frame_from_parquet_is_read(in_file: Callable[[bytes, str], Path]) -> None:
    path = in_file(b"", "legs.parquet")
    pd.json_normalize([leg()]).drop(columns=["callflow", "app_log.applications"]).to_parquet(path)
    assert sr.read_cdr(path)["call_key"].tolist() == [A_LEG]


@pytest.mark.parametrize("cause", ["ORIGINATOR_CANCEL", "MEDIA_TIMEOUT", "NORMAL_CLEARING"])
def test_a_cause_alone_does_not_tell_that_nobody_answered(read: Read, cause: str) -> None:
    told_by = ("answer_epoch", "answer_uepoch", "answer_stamp", "billsec", "billmsec")
    row = read(as_bytes(leg(**dict.fromkeys(told_by), hangup_cause=cause))).iloc[0]
    assert row[["is_answered", "billable_s"]].isna().all()
    assert (row["status"], row["cause"]) == ("unknown", cause)
