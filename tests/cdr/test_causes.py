"""What a cause says of a call that was not answered: each code has one meaning, and a normal end has none."""

from __future__ import annotations

import pytest

from sippet_reconcile.cdr.families.causes import FREESWITCH, Q850, SIP
from sippet_reconcile.cdr.spec import status_word
from sippet_reconcile.schema import LEG_STATUSES

# What FreeSWITCH puts on the wire for its names, and the answers of a callee that it names so.
NAMED = {
    "USER_BUSY": ("17", "486"),
    "ORIGINATOR_CANCEL": ("487", "487"),
    "NO_USER_RESPONSE": ("18", "480"),
    "SUBSCRIBER_ABSENT": ("20", "480"),
    "CALL_REJECTED": ("21", "403"),
    "UNALLOCATED_NUMBER": ("1", "404"),
    "NUMBER_CHANGED": ("22", "410"),
    "INVALID_NUMBER_FORMAT": ("28", "484"),
    "NORMAL_TEMPORARY_FAILURE": ("41", "503"),
    "INCOMPATIBLE_DESTINATION": ("88", "488"),
    "INTERWORKING": ("127", "500"),
}


@pytest.mark.parametrize("table", [FREESWITCH, Q850, SIP], ids=["FreeSWITCH", "Q.850", "SIP"])
def test_every_cause_is_written_as_it_is_looked_up_and_means_a_status(table: dict[str, str]) -> None:
    assert all(status_word(word) == word for word in table)
    assert set(table.values()) <= set(LEG_STATUSES)


@pytest.mark.parametrize("table", [FREESWITCH, Q850, SIP], ids=["FreeSWITCH", "Q.850", "SIP"])
def test_no_cause_says_that_a_call_was_answered(table: dict[str, str]) -> None:
    assert not {"completed", "voicemail", "in_progress"} & set(table.values())


@pytest.mark.parametrize("name", NAMED)
def test_a_name_and_its_numbers_mean_the_same(name: str) -> None:
    q850, sip = NAMED[name]
    assert FREESWITCH[name] == Q850[q850] == SIP[sip]


@pytest.mark.parametrize(
    "name", ["NORMAL_CLEARING", "BLIND_TRANSFER", "ATTENDED_TRANSFER", "BOWOUT", "SUCCESS", "NONE"]
)
def test_a_normal_end_and_a_leg_handed_over_say_nothing(name: str) -> None:
    assert FREESWITCH[name] == "unknown"
    assert {Q850["16"], Q850["26"], Q850["0"]} == {"unknown"}


def test_each_final_response_that_is_no_success_means_something() -> None:
    assert {str(code) for code in range(300, 700)} == set(SIP)
    assert not {"100", "180", "183", "200", "202"} & set(SIP)
    assert {code for code, status in SIP.items() if status != "failed"} == {"408", "480", "486", "487", "600"}


def test_a_failure_of_the_switch_is_not_taken_for_the_callees_silence() -> None:
    names = ["NORMAL_UNSPECIFIED", "MEDIA_TIMEOUT", "SYSTEM_SHUTDOWN", "GATEWAY_DOWN", "SRTP_READ_ERROR"]
    assert {FREESWITCH[name] for name in names} == {"failed"}
    assert {FREESWITCH[name] for name in ("ALLOTTED_TIMEOUT", "PROGRESS_TIMEOUT", "NO_PICKUP")} == {
        "no_answer"
    }
