"""Many small files are read together, and nothing shows that they were."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.whole.small_files import SmallFiles

Write = Callable[[str, str | bytes], Path]
START = 1790845200  # 2026-10-01 09:00:00 UTC


def leg(place: int, **variables: str) -> dict[str, Any]:
    told = {
        "uuid": f"8c1f3c52-0000-4000-8000-{place:012d}",
        "start_epoch": str(START + place),
        "answer_epoch": "0",
        "end_epoch": str(START + place + 9),
        "duration": "9",
        "billsec": "0",
        "hangup_cause": "NO_ANSWER",
        **variables,
    }
    return {
        "core-uuid": "x",
        "variables": told,
        "callflow": [{"caller_profile": {"caller_id_number": "1001"}}],
    }


def xml(record: dict[str, Any]) -> str:
    variables = "".join(f"<{name}>{value}</{name}>" for name, value in record["variables"].items())
    return f"<?xml version='1.0'?><cdr><variables>{variables}</variables></cdr>"


def twilio(place: int) -> str:
    call = {
        "sid": f"CA{place}", "from": "+14155550100", "to": "+442079460123", "status": "completed", "duration": "7",
        "start_time": "Thu, 01 Oct 2026 09:00:00 +0000", "end_time": "Thu, 01 Oct 2026 09:00:07 +0000", "direction": "inbound",
    }  # fmt: skip
    return json.dumps({"calls": [call, {**call, "sid": f"CB{place}"}], "page": place})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many files each batch had that was read as one."""
    sizes: list[int] = []
    read = SmallFiles._read

    def counted(self: SmallFiles, batch: Any) -> Any:
        part = read(self, batch)
        if part is not None:
            sizes.append(len(batch.sources))
        return part

    monkeypatch.setattr(SmallFiles, "_read", counted)
    return sizes


def alone(paths: list[Path], **options: Any) -> pd.DataFrame:
    return pd.concat([sr.read_cdr(path, **options) for path in paths], ignore_index=True)


def check(paths: list[Path], **options: Any) -> pd.DataFrame:
    together = sr.read_cdr(paths, **options)
    pd.testing.assert_frame_equal(pd.DataFrame(together), alone(paths, **options), check_flags=False)
    return together


@pytest.mark.parametrize("form", ["json", "xml"])
def test_a_folder_of_records_is_read_in_one_go(write: Write, batches: list[int], form: str) -> None:
    paths = [write(f"{n}.{form}", json.dumps(leg(n)) if form == "json" else xml(leg(n))) for n in range(30)]
    legs = check(paths)
    assert batches == [30]
    assert legs["source_file"].tolist() == [path.name for path in paths]
    assert legs["source_row"].tolist() == [1] * 30
    assert legs["source_sha256"].nunique() == 30


def test_formats_and_kinds_may_come_in_any_order(
    write: Write, batches: list[int], freeswitch: Callable[..., bytes]
) -> None:
    makers: list[Callable[[int], str | bytes]] = [
        lambda n: json.dumps(leg(n)), lambda n: xml(leg(n)), twilio, lambda n: freeswitch(accountcode=str(n)),
    ]  # fmt: skip
    order = [0, 0, 0, 1, 1, 0, 2, 2, 2, 3, 3, 1, 0]
    paths = [write(f"{n:02d}", makers[kind](n)) for n, kind in enumerate(order)]
    legs = check(paths, timezone="UTC")
    assert batches == [3, 2, 3]
    assert legs["format"].nunique() == 4
    assert legs["source_row"].tolist().count(2) == 3


def test_a_file_of_which_something_is_to_be_told_is_read_alone(write: Write, batches: list[int]) -> None:
    paths = [write(f"{n}", json.dumps(leg(n))) for n in range(4)]
    paths.insert(2, write("cut", json.dumps([leg(7), leg(8)])[:-1]))
    paths.insert(4, write("windows", json.dumps(leg(9, user_name="é"), ensure_ascii=False).encode("cp1252")))
    legs = check(paths)
    assert batches == [2]
    assert {note.split(":")[0] for note in legs.attrs["sippet_reconcile.cdr"]["notes"]} == {"cut", "windows"}


def test_broken_records_are_rows_of_their_files(write: Write, batches: list[int]) -> None:
    paths = [write(f"{n}", f"{json.dumps(leg(n))}\n{{broken\n") for n in range(3)]
    legs = check(paths)
    assert batches == [3]
    assert legs["source_row"].tolist() == [1, 2] * 3
    assert legs["problem"].notna().tolist() == [False, True] * 3


def test_an_error_names_the_file_that_it_is_in(write: Write) -> None:
    paths = [write(f"{n}.json", json.dumps(leg(n))) for n in range(3)]
    for content, words in [
        ("[1, 2]", "3.json: the JSON holds no list"),
        ("{", "3.json line 1"),
        ('{"a": 1}', "3.json holds"),
    ]:
        bad = write("3.json", content)
        with pytest.raises(sr.CdrFormatError, match=words) as caught:
            sr.read_cdr([*paths, bad, paths[0]])
        assert caught.value.path == bad


def test_local_times_are_read_file_by_file(write: Write, batches: list[int]) -> None:
    stamps = {"start_epoch": "", "start_stamp": "2026-10-01 09:00:00"}
    paths = [write(f"{n}.json", json.dumps(leg(n, **stamps))) for n in range(3)]
    with pytest.raises(sr.InputError, match=r"^0\.json: its times are local"):
        sr.read_cdr(paths)
    check(paths, timezone="Europe/Berlin")
    assert batches == []


def test_what_the_caller_says_holds_for_all_files(write: Write, batches: list[int]) -> None:
    paths = [
        write(f"{n}.json", json.dumps(leg(n, **({"sip_h_X-Id": f"i{n}"} if n % 2 else {})))) for n in range(4)
    ]
    legs = check(
        paths, format="freeswitch-json", keep=["variables.sip_h_X-Id"], status_map={"NO_ANSWER": "missed"}
    )
    assert legs["x_variables.sip_h_X-Id"].fillna("").tolist() == ["", "i1", "", "i3"]
    assert set(legs["status"]) == {"missed"}
    with pytest.raises(sr.CdrFormatError, match="this is not Twilio"):
        sr.read_cdr(paths, format="twilio")
    mapped = {"started_at": "variables.start_epoch", "call_key": "variables.uuid"}
    assert check(paths, columns=mapped)["call_key"].nunique() == 4
    assert batches == [4, 4]


def test_a_column_that_a_file_lacks_is_told_of_that_file(write: Write) -> None:
    rows = [{"s": "2026-10-01T09:00:00Z", "e": "2026-10-01T09:00:09Z", "id": str(n)} for n in range(4)]
    del rows[2]["e"]
    paths = [write(f"{n}.json", json.dumps([row])) for n, row in enumerate(rows)]
    with pytest.raises(sr.CdrFormatError, match=r"2\.json"):
        sr.read_cdr(paths, columns={"started_at": "s", "ended_at": "e", "call_key": "id"})


def test_legs_of_one_call_in_several_files_are_linked(write: Write) -> None:
    paths = [
        write(f"{n}.json", json.dumps(leg(n, call_uuid="8c1f3c52-0000-4000-8000-000000000000")))
        for n in range(3)
    ]
    assert len(set(sr.read_cdr(paths)["linked_id"])) == 1


def test_progress_counts_files_and_the_log_says_how_they_are_read(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [write(f"{n}.json", json.dumps(leg(n))) for n in range(5)]
    seen: list[tuple[int, int]] = []
    with caplog.at_level(logging.INFO, "sippet_reconcile.cdr"):
        sr.read_cdr(paths, progress=lambda done, total, _: seen.append((done, total)))
    assert seen == [(n, 5) for n in range(6)]
    assert "0.json and 4 more are read as freeswitch-json" in caplog.text
