"""Legs that are read in batches are the legs that are read at once, wherever a batch, a piece or a file ends."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.cdr.formats import format_named
from sippet_reconcile.cdr.whole.joined import ATTRS_KEY
from sippet_reconcile.cdr.whole.links import Links

Line = Callable[..., bytes]
TEXT = pa.large_string()
UUID = "8c1f3c52-0000-4000-8000-{:012d}"
quick = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def assert_same_in_batches(
    paths: Any, *, rows: int, large: int | None = None, piece: int = 1000, **options: Any
) -> pd.DataFrame:
    """Compare batches with all legs at once, the files read piece by piece from a size on."""
    whole = sr.read_cdr(paths, **options)
    with pytest.MonkeyPatch.context() as patch:
        if large is not None:
            patch.setattr("sippet_reconcile.cdr.files.sources.LARGE", large)
            patch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", large)
            patch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", piece)
        batches = list(sr.iter_cdr(paths, rows=rows, **options))
    assert [len(batch) for batch in batches[:-1]] == [rows] * (len(batches) - 1)
    assert 0 < len(batches[-1]) <= rows or (len(batches) == 1 and len(whole) == 0)
    pd.testing.assert_frame_equal(pd.concat(batches), whole)
    for batch in batches:
        assert sorted(batch.attrs[ATTRS_KEY]["notes"]) == sorted(whole.attrs[ATTRS_KEY]["notes"])
        assert batch.attrs[ATTRS_KEY]["clocks"] == whole.attrs[ATTRS_KEY]["clocks"]
    return whole


def twilio(sid: int, parent: int | None) -> dict[str, Any]:
    return {
        "sid": f"CA{sid:032x}", "parent_call_sid": None if parent is None else f"CA{parent:032x}",
        "from": "+442079460123", "to": "+442079460124", "status": "completed", "duration": "5", "direction": "inbound",
        "start_time": "Thu, 01 Oct 2026 09:00:00 +0000", "end_time": "Thu, 01 Oct 2026 09:00:05 +0000",
        "account_sid": "AC" + "0" * 32,
    }  # fmt: skip


few = st.integers(0, 6)


@given(data=st.data())
@quick
@pytest.mark.slow
def test_batches_are_all_legs_whatever_links_them(
    data: st.DataObject, freeswitch: Line, asterisk: Line, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("batches")
    links = st.lists(st.tuples(few, st.none() | few), min_size=0, max_size=8)
    paths = []
    for place, kind in enumerate(data.draw(st.lists(st.sampled_from("fffaaat"), min_size=1, max_size=4))):
        path = folder / f"{place}.cdr"
        chosen = data.draw(links)
        if kind == "f":
            lines = [
                freeswitch(uuid=UUID.format(own), bleg_uuid="" if other is None else UUID.format(other))
                for own, other in chosen
            ]
        elif kind == "a":
            channel = ["PJSIP/1001-0000000a", "Local/1001@default-00000001;1"]
            lines = [
                asterisk(
                    21,
                    linkedid=f"179084520{own}.1",
                    uniqueid=f"1790845200.{place}",
                    channel=channel[other is None],
                )
                for own, other in chosen
            ]
        else:
            lines = [json.dumps({"calls": [twilio(own, other) for own, other in chosen]}).encode()]
        path.write_bytes(b"".join(lines))
        paths.append(path)
    rows = data.draw(st.sampled_from([1, 2, 3, 7, 100]))
    large = data.draw(st.sampled_from([None, 1, 1500]))
    assert_same_in_batches(
        paths, rows=rows, large=large, piece=data.draw(st.sampled_from([200, 600, 5000])), timezone="UTC"
    )


@given(
    rows=st.lists(st.tuples(st.none() | few, st.none() | few), max_size=20),
    ends=st.lists(st.integers(0, 20), max_size=3),
)
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("name", ["freeswitch", "twilio"])
def test_links_are_settled_by_few_rows_as_by_all(
    rows: list[tuple[int | None, int | None]], ends: list[int], name: str
) -> None:
    format_ = format_named(name)
    assert format_.relink is not None
    leg, linked = (pa.array([None if v is None else str(v) for v in c], TEXT) for c in zip(*rows, strict=True)) if rows else (pa.array([], TEXT),) * 2  # fmt: skip
    # A leg without a link of its own is linked to itself, as formats hand it over.
    size = len(rows)
    table = pa.table(
        {
            "leg_id": leg,
            "linked_id": linked,
            "problem": pa.nulls(size, TEXT),
            "is_helper": pa.array([False] * size),
        }
    )
    bounds = sorted({0, size, *(min(end, size) for end in ends)})
    parts = [table.slice(a, b - a) for a, b in itertools.pairwise(bounds)]
    settled = Links(is_one_file=True)
    for part in parts:
        settled.take(settled.look_at([part], format_))
    settled.settle()
    found = [
        text for part in parts for text in settled.settled(part, format_).column("linked_id").to_pylist()
    ]
    assert found == format_.relink(leg, linked).to_pylist()


@given(
    calls=st.lists(
        st.tuples(st.sampled_from(["NULL", "t1", "t2"]), st.sampled_from(["1001", "t1", "t2", "t3"]),
                  st.sampled_from(["t1", "t3", "inside"]), st.booleans()),
        min_size=1, max_size=30,
    ),
    piece=st.integers(300, 3000),
    rows=st.integers(1, 9),
)  # fmt: skip
@quick
@pytest.mark.slow
def test_what_later_rows_tell_of_trunks_holds_for_all_rows_of_a_file(
    calls: list[tuple[str, str, str, bool]],
    piece: int,
    rows: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    header = (
        "AcctId,tenant,clid,src,dst,dcontext,channel,dstchannel,lastapp,lastdata,calldate,duration,billsec,billamount,"
        "disposition,amaflags,accountcode,uniqueid,userfield,linkedid,sequence,agiuniqueid,trunk,did,sipcallid,inboundsipcallid"
    )
    lines = [
        f'{n},NULL,""Ann {n}" <1001>",1001,1002,{context},{"Local" if local else "SIP"}/{peer}-0000000{n % 10},,Dial,"a,b",'
        f"2026-10-01 09:00:00,5,4,NULL,ANSWERED,3,,1790845200.{n},NULL,1790845200.{n // 2},{n},,{trunk},NULL,NULL,NULL"
        for n, (trunk, peer, context, local) in enumerate(calls)
    ]
    path = tmp_path_factory.mktemp("trunks") / "cdr.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    legs = assert_same_in_batches(path, rows=rows, large=1, piece=piece, format="pbxware")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sippet_reconcile.cdr.files.sources.LARGE", 1)
        patch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
        patch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", piece)
        pd.testing.assert_frame_equal(sr.read_cdr(path, format="pbxware"), legs)
    named = {trunk for trunk, *_ in calls if trunk != "NULL"}
    named |= {peer for _, peer, context, local in calls if peer == context and not local}
    expected = [
        "inbound" if peer in named and not local else "outbound" if trunk != "NULL" else None
        for trunk, peer, _, local in calls
    ]
    assert legs["direction"].astype(object).where(legs["direction"].notna(), None).tolist() == expected


def _expected_of_grandstream(legs: list[tuple[int, str, bool, int, int]]) -> list[tuple[str, bool]]:
    """Return status and whether each leg is a helper, one leg after the other, by looking at all legs of its call."""
    found = []
    for place, (call, action, is_through, start, talk) in enumerate(legs):
        others = [leg for at, leg in enumerate(legs) if leg[0] == call and at != place]
        is_menu = action in {"IVR[7000]", "QUEUE[6500]"}
        to_nobody = is_menu and not is_through
        status = "completed" if talk else "unknown"
        if is_menu and not talk and others:
            status = "no_answer"
        if talk and (action == "VM" or (to_nobody and any(a == "VM" and t for _, a, _, _, t in others))):
            status = "voicemail"
        dialled = [(s, s + t) for c, a, _, s, t in legs if c == call and a == "DIAL" and t]
        is_helper = is_menu and not (talk and is_through) and bool(dialled)
        if is_helper:
            is_helper = start <= min(s for s, _ in dialled) and start + talk <= max(e for _, e in dialled)
        found.append((status, is_helper))
    return found


@given(
    legs=st.lists(
        st.tuples(
            st.integers(0, 4), st.sampled_from(["DIAL", "IVR[7000]", "QUEUE[6500]", "VM", "FORWARD"]), st.booleans(),
            st.integers(0, 5), st.integers(0, 5),
        ),
        min_size=1, max_size=25,
    ),
    piece=st.integers(300, 3000),
    rows=st.integers(1, 9),
)  # fmt: skip
@quick
@pytest.mark.slow
def test_what_became_of_a_leg_is_settled_by_all_legs_of_a_file(
    legs: list[tuple[int, str, bool, int, int]],
    piece: int,
    rows: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    header = (
        "AcctId,accountcode,src,dst,dcontext,clid,channel,dstchannel,lastapp,lastdata,start,answer,end,duration,billsec,"
        "disposition,amaflags,uniqueid,userfield,channel_ext,dstchannel_ext,service,session,action_type"
    )
    lines = [
        f"{n},,1001,1002,default,Ann,PJSIP/1001-0000000a,{'PJSIP/1002-0000000b' if through else ''},Dial,x,"
        f"2026-10-01 09:00:0{start},2026-10-01 09:00:0{start},2026-10-01 09:00:{start + talk:02d},{talk},{talk},"
        f"ANSWERED,DOCUMENTATION,1790845200.{n},,,,s,call-{call},{action}"
        for n, (call, action, through, start, talk) in enumerate(legs)
    ]
    path = tmp_path_factory.mktemp("settled") / "cdr.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    said: dict[str, Any] = {"format": "grandstream", "timezone": "UTC"}
    whole = assert_same_in_batches(path, rows=rows, large=1, piece=piece, **said)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sippet_reconcile.cdr.files.sources.LARGE", 1)
        patch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
        patch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", piece)
        pd.testing.assert_frame_equal(sr.read_cdr(path, **said), whole)
    found = list(zip(whole["status"].tolist(), whole["is_helper"].tolist(), strict=True))
    assert found == _expected_of_grandstream(legs)


def test_a_helper_keeps_company_with_a_leg_of_another_file_and_batch(asterisk: Line, tmp_path: Path) -> None:
    helper = asterisk(21, channel="Local/1001@default-00000001;1", linkedid="1790845200.5")
    lonely = asterisk(21, channel="Local/1001@default-00000002;1", linkedid="1790845200.6")
    (tmp_path / "a.csv").write_bytes(helper + lonely)
    (tmp_path / "b.csv").write_bytes(asterisk(21, linkedid="1790845200.5"))
    legs = assert_same_in_batches(f"{tmp_path}/*.csv", rows=1)
    assert legs["is_helper"].tolist() == [True, False, False]


def test_packed_files_streams_and_tables_come_in_batches_too(freeswitch: Line, tmp_path: Path) -> None:
    data = b"".join(freeswitch(uuid=UUID.format(n), bleg_uuid=UUID.format(n // 2)) for n in range(30))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(data))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as out:
        out.writestr("one.csv", data[: len(data) // 2])
        out.writestr("two.csv", data)
    (tmp_path / "c.json").write_text(json.dumps({"calls": [twilio(n, n // 2) for n in range(9)]}))
    for large in (None, 1):
        assert_same_in_batches(f"{tmp_path}/*", rows=7, large=large, timezone="UTC", keep=())
    whole = sr.read_cdr(io.BytesIO(data), timezone="UTC")
    batches = list(sr.iter_cdr([io.BytesIO(data)], rows=11, timezone="UTC"))
    pd.testing.assert_frame_equal(pd.concat(batches), whole)


def test_files_without_records_make_one_batch_without_rows(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"\n\n")
    legs = assert_same_in_batches(tmp_path / "empty.csv", rows=5, keep=["accountcode"])
    assert len(legs) == 0


def test_a_file_that_changes_between_the_readings_is_refused(freeswitch: Line, tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    path.write_bytes(b"".join(freeswitch(uuid=UUID.format(n)) for n in range(9)))
    batches = sr.iter_cdr(path, rows=5, timezone="UTC")
    next(batches)
    assert len(next(batches)) == 4
    batches = sr.iter_cdr([path, path], rows=9, timezone="UTC")
    next(batches)
    path.write_bytes(path.read_bytes() + freeswitch(uuid=UUID.format(77)))
    with pytest.raises(sr.InputError, match=r"Master\.csv changed while it was read"):
        list(batches)


@pytest.mark.parametrize("rows", [0, -1, 1.5, "many"])
def test_what_is_said_wrongly_is_refused_before_anything_is_read(rows: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"a\n")
    with pytest.raises(sr.InputError, match="pass how many legs a batch shall have"):
        sr.iter_cdr(path, rows=rows)
    with pytest.raises(sr.InputError, match="does not exist"):
        sr.iter_cdr(tmp_path / "nothing.csv")


def test_progress_is_told_for_both_readings(freeswitch: Line, tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    path.write_bytes(freeswitch())
    told: list[tuple[int, int]] = []
    list(
        sr.iter_cdr([path, path], timezone="UTC", progress=lambda done, total, _: told.append((done, total)))
    )
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
