"""Saved calls come back as they were fetched."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.api import write_calls
from sippet_reconcile.errors import InputError, SchemaError
from sippet_reconcile.schema import CALLS


def saved(path: Path, body: bytes | str) -> Path:
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


@pytest.fixture
def calls(client_of: Any, make_index: Any, api: Any) -> pd.DataFrame:
    index = make_index(
        [api.resource(n, f"2026-10-0{n}T10:00:00.250000Z") for n in (1, 2, 3)] + [api.resource(4, None)]
    )
    frame: pd.DataFrame = client_of(index).fetch_calls("2026-10", progress=False)
    return frame


def test_a_saved_frame_comes_back_equal(calls: pd.DataFrame, tmp_path: Path) -> None:
    path = write_calls(calls.assign(extra=1).set_index("call_uuid", drop=False), tmp_path / "calls.parquet")
    pd.testing.assert_frame_equal(sr.read_calls(path), calls)
    pd.testing.assert_frame_equal(sr.read_calls(str(path), "https://API.example.com/api/calls"), calls)
    assert [entry.name for entry in tmp_path.iterdir()] == ["calls.parquet"]


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps other permissions")
def test_saved_calls_are_readable_by_their_owner_alone(calls: pd.DataFrame, tmp_path: Path) -> None:
    assert write_calls(calls, tmp_path / "calls.parquet").stat().st_mode & 0o077 == 0
    assert [file.name for file in tmp_path.iterdir()] == ["calls.parquet"]


def test_calls_that_cannot_be_written_are_an_input_error(calls: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written to .*nowhere"):
        write_calls(calls, tmp_path / "nowhere" / "calls.parquet")


def test_a_frame_saved_by_pandas_comes_back_too(calls: pd.DataFrame, tmp_path: Path) -> None:
    shuffled = calls.iloc[::-1].assign(id=calls["id"].str.upper())
    shuffled.to_parquet(tmp_path / "calls.parquet")
    pd.testing.assert_frame_equal(sr.read_calls(tmp_path / "calls.parquet"), calls)


def test_an_empty_frame_keeps_its_types(tmp_path: Path) -> None:
    back = sr.read_calls(write_calls(CALLS.empty(), tmp_path / "none.parquet"))
    pd.testing.assert_frame_equal(back, CALLS.empty())


def test_what_is_told_beside_the_frame_is_taken_over(calls: pd.DataFrame, tmp_path: Path, api: Any) -> None:
    path = tmp_path / "calls.parquet"
    calls.drop(columns=["api_url", "fetched_at"]).to_parquet(path)
    back = sr.read_calls(path)
    assert back["api_url"].isna().all()
    assert back["fetched_at"].unique().tolist() == [pd.Timestamp("2026-10-03T10:00:00.25Z")]
    back = sr.read_calls(path, api.url, "2026-11-01T00:00:00Z")
    assert back["api_url"].unique().tolist() == [api.url]
    assert back["fetched_at"].unique().tolist() == [pd.Timestamp("2026-11-01T00:00:00Z")]


def test_calls_of_two_apis_are_not_mixed(calls: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "calls.parquet"
    with pytest.raises(SchemaError, match=r"not from https://other\.example"):
        sr.read_calls(write_calls(calls, path), "https://other.example")
    mixed = pd.concat(
        [calls, calls.assign(id=calls["id"].str.replace("0", "1"), api_url="https://other.example")]
    )
    with pytest.raises(SchemaError, match="several APIs"):
        sr.read_calls(write_calls(mixed, path))


def test_one_api_in_several_spellings_is_one(calls: pd.DataFrame, tmp_path: Path) -> None:
    spelled = ["https://api.example.com", "HTTPS://API.example.com:443", "https://api.example.com/", None]
    calls.assign(api_url=spelled).to_parquet(tmp_path / "calls.parquet")
    found = sr.read_calls(tmp_path / "calls.parquet")
    assert found["api_url"].dropna().tolist() == ["https://api.example.com"] * 3
    calls.assign(api_url="no url").to_parquet(tmp_path / "odd.parquet")
    with pytest.raises(InputError, match=r"odd\.parquet: api_url"):
        sr.read_calls(tmp_path / "odd.parquet")


@pytest.mark.parametrize("form", ["document", "documents", "resources", "single", "gzip"])
def test_documents_in_any_form_are_read(api: Any, tmp_path: Path, form: str) -> None:
    first, second = (
        api.resource(1, "2026-10-02T00:00:00Z"),
        api.resource(2, "2026-10-01T00:00:00Z", ended_at="2026-10-03T01:02:03.5Z"),
    )
    content: Any = {
        "document": {"data": [first, second]},
        "documents": [{"data": [first]}, {"data": [second, first]}],
        "resources": [first, second],
        "single": [{"data": first}, {"data": second}],
        "gzip": {"data": [first, second]},
    }[form]
    body = json.dumps(content).encode()
    path = saved(tmp_path / "calls.json.gz", gzip.compress(body) if form == "gzip" else body)
    calls = sr.read_calls(path)
    assert calls["id"].tolist() == [api.call_id(2), api.call_id(1)]
    assert {name: str(dtype) for name, dtype in calls.dtypes.items()} == CALLS.dtypes
    # Without a word about when they were read: the latest instant among them.
    assert calls["fetched_at"].unique().tolist() == [pd.Timestamp("2026-10-03T01:02:03.5Z")]
    assert calls["api_url"].isna().all()
    told = sr.read_calls(path, api.url, pd.Timestamp("2026-10-04", tz="Europe/London"))
    assert told["fetched_at"].unique().tolist() == [pd.Timestamp("2026-10-03T23:00:00Z")]
    assert told["api_url"].unique().tolist() == [api.url]


def test_documents_without_calls_are_empty(tmp_path: Path) -> None:
    for content in ('{"data": []}', "[]"):
        calls = sr.read_calls(saved(tmp_path / "calls.json", content))
        pd.testing.assert_frame_equal(calls, CALLS.empty())


def test_one_call_with_two_faces_is_told(api: Any, tmp_path: Path) -> None:
    body = api.document(api.resource(1), api.resource(1, status="busy"))
    with pytest.raises(InputError, match="1 calls are in it twice"):
        sr.read_calls(saved(tmp_path / "calls.json", body))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "empty"),
        (b"call_id,status\n", "neither parquet nor a JSON:API document"),
        (b'{"errors": []}', "no 'data'"),
        (b'[{"x": 1}]', "no 'data'"),
        (b'{"data": [{"type": "Conversation"}]}', "another type"),
        (b"\x1f\x8b broken", "gzip"),
        (gzip.compress(b'{"data": []}', mtime=0)[:-9], "gzip"),
        (b"PAR1 broken", "parquet"),
    ],
)
def test_what_holds_no_calls_says_so_with_its_name(tmp_path: Path, body: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        sr.read_calls(saved(tmp_path / "calls.json", body))
    assert "calls.json" in str(caught.value)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.json cannot be read"):
        sr.read_calls(tmp_path / "nothing.json")
    with pytest.raises(InputError, match="cannot be read"):
        sr.read_calls(tmp_path)


def test_a_frame_of_something_else_is_refused(calls: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pd.DataFrame({"id": ["a"]}).to_parquet(path)
    with pytest.raises(SchemaError, match=r"x\.parquet.*call_uuid"):
        sr.read_calls(path)
    calls.assign(id=["a", "b", None, "c"]).to_parquet(path)
    with pytest.raises(InputError, match="4 of 4 rows have no UUID"):
        sr.read_calls(path)
    with pytest.raises(SchemaError):
        write_calls(pd.DataFrame({"id": ["a"]}), path)


def test_when_they_were_read_needs_a_zone(calls: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fetched_at must be an instant with a time zone"):
        sr.read_calls(write_calls(calls, tmp_path / "x.parquet"), fetched_at="2026-10-01")


def test_the_input_is_left_alone(calls: pd.DataFrame, tmp_path: Path) -> None:
    before = calls.copy()
    write_calls(calls, tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(calls, before)
