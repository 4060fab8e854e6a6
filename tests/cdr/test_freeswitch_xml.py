"""FreeSWITCH's XML: the same variables as in JSON, with white space, in files of their own or many in one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pandas as pd
import pytest

import sippet_reconcile as sr

Read = Callable[..., pd.DataFrame]

A_LEG = "8c1f3c52-0000-4000-8000-000000000001"
B_LEG = "8c1f3c52-0000-4000-8000-000000000002"
START = 1790845200  # 2026-10-01 09:00:00 UTC
VARIABLES = {
    "direction": "inbound",
    "uuid": A_LEG,
    "call_uuid": A_LEG,
    "user_name": "ann & bob",
    "start_stamp": "2026-10-01 11:00:00",
    "start_epoch": str(START),
    "answer_epoch": str(START + 5),
    "answer_uepoch": f"{START + 5}500000",
    "end_epoch": str(START + 65),
    "duration": "65",
    "billsec": "60",
    "billmsec": "59500",
    "hangup_cause": "NORMAL_CLEARING",
}
PROFILE = "<caller_profile><caller_id_number>{0}</caller_id_number><destination_number>{1}</destination_number><context>{2}</context></caller_profile>"


def leg(
    *,
    space: str = "",
    profiles: tuple[tuple[str, str, str], ...] = (("1001", "+442079460123", "default"),),
    **changes: str | None,
) -> str:
    """Return the element of one leg with some variables changed, or left out where they are None."""
    variables = {name: value for name, value in {**VARIABLES, **changes}.items() if value is not None}
    inside = "".join(
        f"<{name}>{space}{escape(quote(value, safe='/,()'))}{space}</{name}>"
        for name, value in variables.items()
    )
    flows = "".join(f"<callflow dialplan='XML'>{PROFILE.format(*profile)}</callflow>" for profile in profiles)
    return f"<cdr core-uuid='x' switchname='pbx'><channel_data><state>CS</state></channel_data><variables>{inside}</variables>{flows}</cdr>"


def test_a_real_record(cdr_samples: Path) -> None:
    path = cdr_samples / "freeswitch_xml_cdr" / "zhouhailin_a_4b3b36af.cdr.xml"
    root = ET.parse(path).getroot()  # noqa: S314 - a file of our own
    variables = root.find("variables")
    assert variables is not None
    told = {element.tag: unquote((element.text or "").strip()) for element in variables}
    profile = root.findall("callflow")[0].find("caller_profile")
    assert profile is not None
    legs = sr.read_cdr(path, keep=["variables.presence_id", "core-uuid"])
    assert len(legs) == 1
    row = legs.loc[0]

    def at(name: str) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(told[name]))

    assert pd.isna(row["problem"])
    assert [row[name] for name in ("started_at", "answered_at", "ended_at")] == [
        at(f"{name}_uepoch") for name in ("start", "answer", "end")
    ]
    assert row["total_s"] == int(told["mduration"]) / 1000
    assert row["billable_s"] == int(told["billmsec"]) / 1000
    assert row["call_key"] == row["linked_id"] == told["uuid"]
    assert (row["from_number"], row["to_number"]) == (
        profile.findtext("caller_id_number"),
        profile.findtext("destination_number"),
    )
    assert (row["status"], row["cause"], row["direction"]) == ("completed", told["hangup_cause"], "inbound")
    assert pd.isna(row["sip_username"])  # "anonymous" is nobody
    assert row["x_variables.presence_id"] == told["presence_id"]
    assert row["x_core-uuid"] == root.get("core-uuid")
    assert [c.format for c in sr.sniff_cdr(path) if c.score > 0] == ["freeswitch-xml"]


@pytest.mark.parametrize("space", ["", " ", "\n\t  "])
def test_a_leg_is_read_whatever_space_stands_around_its_values(read: Read, space: str) -> None:
    row = read(leg(space=space).encode()).loc[0]
    assert (row["started_at"].timestamp(), row["answered_at"].timestamp()) == (START, START + 5.5)
    assert (row["total_s"], row["billable_s"], row["status"]) == (65, 59.5, "completed")
    assert (row["call_key"], row["sip_username"]) == (A_LEG, "ann & bob")
    assert (row["to_e164"], row["direction"], row["format"]) == (
        "+442079460123",
        "outbound",
        "freeswitch-xml",
    )


@pytest.mark.parametrize("form", ["{0}", "<?xml version='1.0'?>\n{0}\n", "<cdrs>\n{0}</cdrs>"])
@pytest.mark.parametrize("n", [1, 2, 40])
def test_each_element_is_one_record(read: Read, form: str, n: int) -> None:
    keys = [f"8c1f3c52-0000-4000-8000-{place:012d}" for place in range(n)]
    legs = read(form.format("\n".join(leg(uuid=key, call_uuid=key) for key in keys)).encode())
    assert legs["call_key"].tolist() == keys
    assert legs["source_row"].tolist() == list(range(1, n + 1))
    assert legs["problem"].isna().all()


def test_a_transferred_call_has_its_newest_profile_and_its_oldest_direction(read: Read) -> None:
    profiles = (("1001", "+442079460199", "default"), ("1001", "7010", "public"))
    row = read(leg(profiles=profiles).encode()).loc[0]
    assert (row["to_number"], row["direction"]) == ("+442079460199", "inbound")


def test_a_busy_call_that_ended_normally_is_busy(read: Read) -> None:
    data = leg(answer_epoch="0", answer_uepoch="0", billsec="0", billmsec="0", sip_term_status="486").encode()
    assert read(data).loc[0, ["status", "is_answered"]].tolist() == ["busy", False]


def test_both_legs_of_a_call_are_linked(read: Read) -> None:
    legs = read((leg() + leg(uuid=B_LEG, direction="outbound")).encode())
    assert legs["linked_id"].tolist() == [A_LEG, A_LEG]


def test_a_variable_that_is_a_list_is_told_where_one_value_is_meant(read: Read) -> None:
    twice = leg().replace("</uuid>", f"</uuid><uuid>{B_LEG}</uuid>")
    legs = read((leg() + "\n" + twice).encode())
    assert legs["problem"].fillna("").tolist() == ["", "'variables.uuid' is a list, not text"]


def test_a_broken_leg_is_a_row_with_a_problem(read: Read) -> None:
    broken = leg(uuid=B_LEG).replace("</duration>", "")
    legs = read("\n".join([leg(), broken, leg(), broken[:200]]).encode())
    assert legs["problem"].notna().tolist() == [False, True, False, True]
    assert "mismatched tag in line 2" in legs.loc[1, "problem"]
    assert "cut off" in legs.loc[3, "problem"]


def test_a_file_of_one_broken_leg_is_an_error(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError, match="mismatched tag in line 1"):
        read(leg().replace("</duration>", "").encode())
    with pytest.raises(sr.CdrFormatError, match="line 1: begins like XML but is none"):
        read(leg()[:300].encode())


def test_a_document_type_is_refused(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError, match="line 1: declares a document type"):
        read(b"<!DOCTYPE cdr [<!ENTITY x 'y'>]>" + leg().encode())


def test_the_hash_is_that_of_the_content(read: Read) -> None:
    one, same, other = leg(), leg().replace("'x'", '"x"').replace("><", ">\n<"), leg(billsec="61")
    hashes = read("\n".join([one, same, other]).encode())["record_hash"].tolist()
    assert hashes[0] == hashes[1] != hashes[2]


def test_other_xml_is_read_by_its_columns_and_refused_without(read: Read) -> None:
    calls = b"<report><page>1</page><call id='c-1'><start>2026-10-01T09:00:00Z</start><to><number>+442079460123</number></to></call></report>"
    with pytest.raises(sr.CdrFormatError, match="holds XML objects with id, start, to"):
        read(calls)
    legs = read(calls, columns={"started_at": "start", "call_key": "id", "to_number": "to.number"})
    assert legs.loc[0, ["call_key", "to_e164"]].tolist() == ["c-1", "+442079460123"]


def test_packed_and_marked_files_are_read(in_file: Callable[[bytes, str], Path]) -> None:
    import gzip  # noqa: PLC0415

    data = b"\xef\xbb\xbf" + leg(space="\r\n").encode()
    for path in (in_file(data, "a_x.cdr.xml"), in_file(gzip.compress(data), "x.gz")):
        assert sr.read_cdr(path)["call_key"].tolist() == [A_LEG]


def test_no_record_is_no_row(read: Read) -> None:
    assert len(read(b"<cdrs></cdrs>", format="freeswitch-xml")) == 0
