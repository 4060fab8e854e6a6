"""FORMATS.md has a section for each format, and its recipes for other systems do what they say."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.formats import all_formats

TEXT = (Path(__file__).parents[2] / "FORMATS.md").read_text("utf-8")

RINGCENTRAL: list[dict[str, Any]] = [
    {"id": "r1", "sessionId": "s1", "telephonySessionId": "t1", "startTime": "2026-10-01T08:00:00.000Z", "duration": 65,
     "type": "Voice", "direction": "Outbound", "action": "VoIP Call", "result": "Call connected",
     "from": {"phoneNumber": "+12125550100"}, "to": {"phoneNumber": "(212) 555-0123"}},
    {"id": "r2", "sessionId": "s1", "telephonySessionId": "t1", "startTime": "2026-10-01T08:02:00.000Z", "duration": 20,
     "type": "Voice", "direction": "Inbound", "result": "Missed",
     "from": {"phoneNumber": "+12125550123"}, "to": {"extensionNumber": "101"}},
    {"id": "r3", "sessionId": "s2", "telephonySessionId": "t2", "startTime": "2026-10-01T08:03:00.000Z", "duration": "pending",
     "type": "Voice", "direction": "Outbound", "result": "In Progress",
     "from": {"phoneNumber": "+12125550100"}, "to": {"phoneNumber": "+442079460123"}},
    {"id": "r4", "sessionId": "s3", "telephonySessionId": "t3", "startTime": "2026-10-01T08:04:00.000Z", "duration": 3,
     "type": "Voice", "direction": "Outbound", "result": "Wrong Number",
     "from": {"phoneNumber": "+12125550100"}, "to": {"phoneNumber": "+12125550199"}},
]  # fmt: skip

ZOOM: list[dict[str, Any]] = [
    {"id": "z1", "call_id": "c1", "direction": "inbound", "caller_number": "+12125550123", "caller_number_type": 2,
     "callee_number": "101", "date_time": "2026-10-01T08:00:00Z", "answer_start_time": "2026-10-01T08:00:05Z",
     "call_end_time": "2026-10-01T08:01:05Z", "duration": 60, "waiting_time": "5", "result": "Call connected", "path": "extension"},
    {"id": "z2", "call_id": "c2", "direction": "outbound", "caller_number": "101", "caller_number_type": 1,
     "callee_number": "2125550123", "date_time": "2026-10-01T08:02:00Z", "answer_start_time": "", "call_end_time": "2026-10-01T08:02:09Z",
     "duration": 0, "waiting_time": 9, "result": "Call Cancel", "path": "pstn"},
]  # fmt: skip

BANDWIDTH: list[dict[str, Any]] = [
    {"callId": "b1", "to": "+12125550123", "from": "+442079460123", "direction": "outbound", "state": "disconnected",
     "startTime": "2026-10-01T08:00:00Z", "answerTime": "2026-10-01T08:00:05Z", "endTime": "2026-10-01T08:01:05.500Z",
     "disconnectCause": "hangup", "errorMessage": None},
    {"callId": "b2", "parentCallId": "b1", "to": "+12125550124", "from": "+442079460123", "direction": "outbound",
     "state": "disconnected", "startTime": "2026-10-01T08:02:00Z", "answerTime": None, "endTime": "2026-10-01T08:02:30Z",
     "disconnectCause": "timeout"},
    {"callId": "b3", "to": "+12125550125", "from": "+442079460123", "direction": "outbound", "state": "disconnected",
     "startTime": "2026-10-01T08:03:00Z", "answerTime": None, "endTime": "2026-10-01T08:03:01Z", "disconnectCause": "hangup"},
    {"callId": "b4", "to": "+12125550126", "from": "+442079460123", "direction": "inbound", "state": "answered",
     "startTime": "2026-10-01T08:04:00Z", "answerTime": "2026-10-01T08:04:02Z", "endTime": None, "disconnectCause": None},
    {"callId": "b5", "to": "+12125550127", "from": "+442079460123", "direction": "inbound", "state": "disconnected",
     "startTime": "2026-10-01T08:05:00Z", "answerTime": None, "endTime": "2026-10-01T08:05:02Z", "disconnectCause": "invalid-bxml"},
]  # fmt: skip

FILES: dict[str, str] = {
    "ringcentral.json": json.dumps({"records": RINGCENTRAL, "paging": {"page": 1}}),
    "ringcentral.csv": pd.json_normalize(RINGCENTRAL).to_csv(index=False),
    "zoom.json": json.dumps({"next_page_token": "", "call_logs": ZOOM}),
    "bandwidth.json": json.dumps(BANDWIDTH),
    "acc_cdrs.csv": """\
id,start_time,end_time,duration,callid,caller,callee,code
1,2026-10-01 08:00:00,2026-10-01 08:01:05,65.250000,k1@sbc.example,+442079460123,+12125550123,200
2,2026-10-01 08:02:00,2026-10-01 08:02:08,8.000000,k2@sbc.example,+442079460123,+12125550124,486
""",
    "acc_cdrs_confirmed.csv": """\
id,start_time,end_time,duration,callid,caller,callee
1,2026-10-01 08:00:05,2026-10-01 08:01:05,60.250000,k1@sbc.example,+442079460123,+12125550123
""",
    "opensips_acc.csv": """\
id,method,from_tag,to_tag,callid,sip_code,sip_reason,time,duration,ms_duration,setuptime,created
1,INVITE,a1,b1,o1@proxy.example,200,OK,2026-10-01 10:01:05,60,59700,5,2026-10-01 10:00:00
2,INVITE,a2,b2,o2@proxy.example,486,Busy Here,2026-10-01 10:02:03,0,0,3,2026-10-01 10:02:00
""",
    "cucm_report.csv": """\
Record,Call,Originated,Connected,Disconnected,Duration,Cause,Calling Number,Final Number
p1,7001,1790841600,1790841605,1790841665,60,16,1001,2125550123
p2,7002,1790841700,0,1790841712,0,17,1001,2125550124
p3,7003,1790841800,0,1790841804,0,0,1001,2125550125
""",
    "sinch.csv": """\
CallId; UserSpaceId; CallTime; Result; Reason; Duration (s); AnswerTime; From; To; Amount; Currency
n1; u; 2026-10-01 08:00:00; ANSWERED; CALLERHANGUP; 60; 2026-10-01 08:00:05; +442079460123; +12125550123; 0.01; EUR
n2; u; 2026-10-01 08:02:00; FAILED; CANCEL; 0; N/A; +442079460123; +12125550124; 0; EUR
n3; u; 2026-10-01 08:03:00; NOANSWER; TIMEOUT; 0; N/A; +442079460123; +12125550125; 0; EUR
n4; u; 2026-10-01 08:04:00; FAILED; GENERALERROR; 0; N/A; +442079460123; +12125550126; 0; EUR
n5; u; 2026-10-01 08:05:00; BUSY; N/A; 0; ; +442079460123; +12125550127; 0; EUR
""",
    "didww.csv.gz": """\
Date/Time Start (UTC),Date/Time Connect (UTC),Date/Time End (UTC),Status,Source,Source Name,Destination DID,Duration (sec),Attempt,Disconnect Code,Response
2026-10-01 08:00:00,,2026-10-01 08:00:20,Failed,442079460123,,12125550123,0,1,480,Temporarily Unavailable
2026-10-01 08:00:20,2026-10-01 08:00:25,2026-10-01 08:01:25,Success,442079460123,"Nobody, Ann",12125550123,60,2,200,OK
2026-10-01 08:05:00,,2026-10-01 08:05:02,Failed,4,,12125550123,0,1,486,Busy Here
""",
    "two_columns.csv": "Date,Time,Length,Outcome\n10/1/2026,9:00:00 AM,0:01:05,Answered\n10/1/2026,1:00:00 PM,0:00:20,Missed\n",
    "erlang.json": json.dumps({"created": 63958060800, "talk": 60500, "call_id": "e1"}) + "\n",
}

SHOWN = (
    "started_at",
    "answered_at",
    "ended_at",
    "total_s",
    "billable_s",
    "is_answered",
    "status",
    "call_key",
)
"""What is checked of each leg; instants as the time of a day in UTC, missing as None."""

RINGCENTRAL_LEGS = [
    ("08:00:00", None, "08:01:05", 65, None, True, "completed", "t1"),
    ("08:02:00", None, "08:02:20", 20, 0, False, "missed", "t1"),
    ("08:03:00", None, None, None, None, None, "in_progress", "t2"),
    ("08:04:00", None, "08:04:03", 3, 0, False, "failed", "t3"),
]

EXPECTED: dict[str, list[tuple[object, ...]]] = {
    "RingCentral 1": RINGCENTRAL_LEGS,
    "RingCentral 2": RINGCENTRAL_LEGS,
    "Zoom Phone 1": [
        ("08:00:00", "08:00:05", "08:01:05", 65, 60, True, "completed", "c1"),
        ("08:02:00", None, "08:02:09", 9, 0, False, "canceled", "c2"),
    ],
    "Bandwidth 1": [
        ("08:00:00", "08:00:05", "08:01:05.500000", 65.5, 60.5, True, "completed", "b1"),
        ("08:02:00", None, "08:02:30", 30, 0, False, "no_answer", "b2"),
        ("08:03:00", None, "08:03:01", 1, 0, False, "unknown", "b3"),
        ("08:04:00", "08:04:02", None, None, None, True, "in_progress", "b4"),
        ("08:05:00", None, "08:05:02", 2, 0, False, "failed", "b5"),
    ],
    "Kamailio `acc_cdrs` 1": [
        ("08:00:00", None, "08:01:05", 65.25, None, True, "completed", "k1@sbc.example"),
        ("08:02:00", None, "08:02:08", 8, 0, False, "busy", "k2@sbc.example"),
    ],
    "Kamailio `acc_cdrs` 2": [
        ("08:00:05", "08:00:05", "08:01:05", None, 60.25, True, "completed", "k1@sbc.example"),
    ],
    "OpenSIPS `acc` 1": [
        ("08:00:00", "08:00:05", "08:01:05", 65, 60, True, "completed", "o1@proxy.example"),
        ("08:02:00", None, "08:02:03", 3, 0, False, "busy", "o2@proxy.example"),
    ],
    "Cisco CUCM, other exports 1": [
        ("08:00:00", "08:00:05", "08:01:05", 65, 60, True, "completed", None),
        ("08:01:40", None, "08:01:52", 12, 0, False, "busy", None),
        ("08:03:20", None, "08:03:24", 4, 0, False, "canceled", None),
    ],
    "Sinch 1": [
        ("08:00:00", "08:00:05", "08:01:05", 65, 60, True, "completed", "n1"),
        ("08:02:00", None, None, None, 0, False, "canceled", "n2"),
        ("08:03:00", None, None, None, 0, False, "no_answer", "n3"),
        ("08:04:00", None, None, None, 0, False, "failed", "n4"),
        ("08:05:00", None, None, None, 0, False, "busy", "n5"),
    ],
    "DIDWW 1": [
        ("08:00:00", None, "08:00:20", 20, 0, False, "no_answer", None),
        ("08:00:20", "08:00:25", "08:01:25", 65, 60, True, "completed", None),
        ("08:05:00", None, "08:05:02", 2, 0, False, "busy", None),
    ],
    "A date and a time in two columns 1": [
        ("13:00:00", None, "13:01:05", 65, None, True, "completed", None),
        ("17:00:00", None, "17:00:20", 20, 0, False, "missed", None),
    ],
    "Seconds since the year 0 1": [
        ("08:00:00", None, None, None, 60.5, True, "completed", "e1"),
    ],
}


def recipes() -> Iterator[tuple[str, list[str]]]:
    """Yield each section that has recipes, and these."""
    for section in re.split(r"(?m)^#{2,3} ", TEXT)[1:]:
        blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", section)
        if blocks:
            yield section.partition("\n")[0], blocks


def shown(legs: pd.DataFrame) -> list[tuple[object, ...]]:
    def plain(cell: Any) -> object:
        if pd.isna(cell):
            return None
        if isinstance(cell, pd.Timestamp):
            assert cell.date().isoformat() == "2026-10-01"
            return cell.time().isoformat()
        return cell

    return [tuple(map(plain, row)) for row in legs[list(SHOWN)].itertuples(index=False)]


@pytest.mark.parametrize(("title", "blocks"), [pytest.param(*recipe, id=recipe[0]) for recipe in recipes()])
def test_a_recipe_reads_a_file_of_that_shape(
    title: str, blocks: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in FILES.items():
        data = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"sr": sr, "pd": pd}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"{title} {number}", "exec"), names)  # noqa: S102 - our own document
        legs = names.pop("legs")
        assert legs["problem"].isna().all()
        assert shown(legs) == EXPECTED[f"{title} {number}"]


def test_each_expectation_belongs_to_a_recipe() -> None:
    assert set(EXPECTED) == {f"{title} {n}" for title, blocks in recipes() for n in range(1, len(blocks) + 1)}


def read_recipe(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    test_a_recipe_reads_a_file_of_that_shape(title, dict(recipes())[title][:1], tmp_path, monkeypatch)
    names: dict[str, Any] = {"sr": sr, "pd": pd}
    exec(dict(recipes())[title][0], names)  # noqa: S102 - our own document
    legs = names["legs"]
    assert isinstance(legs, pd.DataFrame)
    return legs


def test_numbers_and_ids_of_recipes_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    legs = read_recipe("RingCentral", tmp_path, monkeypatch)
    assert legs["to_e164"].fillna("-").tolist() == ["+12125550123", "-", "+442079460123", "+12125550199"]
    assert legs["linked_id"].tolist() == ["s1", "s1", "s2", "s3"]
    assert legs["direction"].tolist() == ["outbound", "inbound", "outbound", "outbound"]
    legs = read_recipe("Bandwidth", tmp_path, monkeypatch)
    assert legs["linked_id"].fillna("-").tolist() == ["-", "b1", "-", "-", "-"]
    assert legs["cause"].fillna("-").tolist() == ["hangup", "timeout", "hangup", "answered", "invalid-bxml"]
    legs = read_recipe("DIDWW", tmp_path, monkeypatch)
    assert legs["x_Attempt"].tolist() == ["1", "2", "1"]
    legs = read_recipe("Zoom Phone", tmp_path, monkeypatch)
    assert legs["to_e164"].fillna("-").tolist() == ["-", "+12125550123"]


def test_each_format_has_a_section_and_no_other_has() -> None:
    titles = re.findall(r"(?m)^## `(.+)`$", TEXT)
    assert titles == list(dict.fromkeys(titles))
    assert set(titles) == {format_.name for format_ in all_formats()}
    assert re.findall(r"\[([^\]]+)\]\(#\1\)", TEXT.partition("\n## ")[0]) == titles
