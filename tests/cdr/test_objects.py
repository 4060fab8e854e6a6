"""Members of members become columns, and a document is taken for what it is: a record, or a page of them."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.families.judge import by_names
from sippet_reconcile.cdr.records.json_text import JsonRecords
from sippet_reconcile.cdr.records.objects import Wanted, read_objects
from sippet_reconcile.cdr.spec import Sample
from sippet_reconcile.cdr.tables import RawTable
from sippet_reconcile.errors import CdrFormatError

CALL = {
    "uuid": "c-1",
    "from": {"number": "+442079460123", "type": "phone"},
    "steps": [{"app": "answer", "times": {"end": 1790845265}}, {"app": "bridge"}],
}
COLUMNS = {
    "started_at": "start",
    "from_number": "from.number",
    "call_key": "uuid",
    "billable_s": "talk.0.seconds",
}
ROW = {
    "uuid": "c-1",
    "start": "2026-10-01T09:00:00Z",
    "from": {"number": "+442079460123"},
    "talk": [{"seconds": 60}],
}


def table(content: object, *paths: str, kept: tuple[str, ...] = (), **options: Any) -> RawTable:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_objects(data, "x.json", Wanted(frozenset({"uuid"}), frozenset(kept), paths), **options)


def column(raw: RawTable, name: str) -> list[str | None]:
    found: list[str | None] = raw.columns[name].to_pylist()
    return found


def test_members_of_members_are_columns_of_that_name() -> None:
    raw = table([CALL, {"uuid": "c-2"}], "from.number", "steps.0.times.end", "steps.7.app", "to.number")
    assert column(raw, "from.number") == ["+442079460123", None]
    assert column(raw, "steps.0.times.end") == ["1790845265", None]
    assert "steps.7.app" not in raw.columns
    assert "to.number" not in raw.columns
    assert raw.columns["from"].null_count == 2  # what is not read is a column without values
    assert raw.problem is None


def test_a_member_that_is_flat_in_the_file_is_not_looked_for_inside() -> None:
    raw = table([{"uuid": "c-1", "from.number": "1001", "from": {"number": "1002"}}], kept=("from.number",))
    assert column(raw, "from.number") == ["1001"]


def test_what_is_kept_may_have_points_in_its_name() -> None:
    raw = table(
        [{"uuid": "a", "variables": {"sip_h_X.Id": "7", "list": ["x"]}}],
        kept=("variables.sip_h_X.Id", "variables.list"),
    )
    assert column(raw, "variables.sip_h_X.Id") == ["7"]
    assert column(raw, "variables.list") == ['["x"]']


@pytest.mark.parametrize(
    ("member", "words"),
    [({"x": 1}, "'from.number' is an object, not text"), ([1], "'from.number' is a list, not text"),
     (True, "'from.number' is a yes/no, not text")],
    ids=["object", "list", "flag"],
)  # fmt: skip
def test_what_is_understood_and_is_no_text_is_a_problem_of_its_row(member: object, words: str) -> None:
    raw = table([CALL, {"uuid": "c-2", "from": {"number": member}}], "from.number")
    assert raw.problem is not None
    assert raw.problem.to_pylist() == [None, words]
    assert column(raw, "from.number") == ["+442079460123", None]


def test_an_inner_member_that_is_named_twice_is_told() -> None:
    data = b'[{"uuid": "a", "from": {"number": "1", "number": "2", "type": "x"}}, {"uuid": "b", "from": {"number": "3"}}]'
    raw = table(data, "from.number", "from.type")
    assert raw.problem is not None
    assert raw.problem.to_pylist() == ["'from.number' stands in it twice with different values", None]


def test_the_hash_of_a_record_is_the_same_whatever_stands_beside_it() -> None:
    others = [{"uuid": "x"}, {**CALL, "from": "1001"}, {**CALL, "steps": None}]
    alone = table([CALL]).record_hash[0]
    assert table([*others, CALL]).record_hash[3] == alone
    assert len({*table([*others, CALL]).record_hash.tolist()}) == 4


def test_a_sample_tells_members_of_members_and_formats_can_ask_for_them() -> None:
    sample = Sample(records=[CALL], kind="json")
    assert {"uuid", "from.number", "steps.0.times.end"} <= sample.names
    assert by_names(sample, ("uuid", "from.number")).score == 1.0
    flat = Sample(records=[{"uuid": "c", "from_number": "1"}], kind="json")
    assert by_names(flat, ("uuid", "from.number")).score == 0.0
    assert (
        by_names(Sample([["uuid", "from.number"]]), ("uuid", "from.number")).score == 1.0
    )  # as pandas flattens it


@pytest.mark.parametrize(
    "page",
    [
        {"_embedded": {"calls": [ROW, {**ROW, "uuid": "c-2"}]}, "count": 2, "_links": {"self": {"href": "/x"}}},
        {"data": {"total": 2, "cdrs": [ROW, {**ROW, "uuid": "c-2"}]}},
        {"calls": [ROW, {**ROW, "uuid": "c-2"}], "meta": {"x": 1}},
        {"call_log_of_may": [ROW, {**ROW, "uuid": "c-2"}], "meta": {"x": 1}},
        [ROW, {**ROW, "uuid": "c-2"}],
    ],
    ids=["HAL", "wrapped", "known name", "any name", "list"],
)  # fmt: skip
def test_the_list_of_records_is_found_one_level_deeper_too(page: object, tmp_path: Any) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(page))
    legs = sr.read_cdr(path, columns=COLUMNS, keep=["from.number"])
    assert legs["call_key"].tolist() == ["c-1", "c-2"]
    assert legs["from_e164"].tolist() == legs["x_from.number"].tolist() == ["+442079460123"] * 2
    assert legs["billable_s"].tolist() == [60, 60]
    assert legs["problem"].isna().all()


@pytest.mark.parametrize("piece", [1, 40, 200, 1 << 20])
@pytest.mark.parametrize("n_pages", [1, 2])
def test_a_wrapped_list_may_be_long_and_come_in_pages(piece: int, n_pages: int) -> None:
    page = json.dumps({"count": 9, "_embedded": {"calls": [CALL] * 9, "n": 1}, "_links": {"self": {}}})
    found = [r for part in JsonRecords("\n".join([page] * n_pages).encode(), "x", piece=piece) for r in part]
    assert [record["uuid"] for record in found] == ["c-1"] * 9 * n_pages


def test_a_page_without_calls_has_no_records() -> None:
    assert list(JsonRecords(b'{"count": 0, "_embedded": {"calls": []}}', "x")) == [[]]


@pytest.mark.parametrize("between", ["\n", "", "\r\n\r\n"], ids=["lines", "nothing", "blank lines"])
@pytest.mark.parametrize("piece", [1, 300, 1 << 20])
@pytest.mark.parametrize("n", [1, 2, 40])
def test_a_document_that_holds_lists_of_objects_can_be_a_record(n: int, piece: int, between: str) -> None:
    data = between.join([json.dumps(ROW)] * n).encode()
    records = JsonRecords(data, "x", piece=piece, is_record=lambda document: "start" in document)
    assert sum(map(len, records)) == n


def test_columns_make_a_lone_document_the_record_that_it_is(tmp_path: Any) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(ROW))
    assert sr.read_cdr(path, columns=COLUMNS)["call_key"].tolist() == ["c-1"]


def test_a_variable_that_no_record_of_a_file_has_is_kept_as_missing() -> None:
    raw = table([{"uuid": "a", "variables": {"x": "1"}}], kept=("variables.y",))
    assert column(raw, "variables.y") == [None]
    assert "rest.y" not in table([{"uuid": "a"}], kept=("rest.y",)).columns


def test_what_cannot_be_kept_is_told(tmp_path: Any) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(ROW))
    with pytest.raises(CdrFormatError, match=r"no column 'to\.number' to keep"):
        sr.read_cdr(path, columns=COLUMNS, keep=["to.number"])


@pytest.mark.parametrize("word", ["nan", "-nan", "inf", "-inf", "NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize(
    "form", ['{{"uuid": "a nan, inf", "mos":{0}}}', '[{{"uuid": "a nan, inf", "q": {{"mos": {0} }}}}]']
)
def test_what_c_prints_for_no_number_is_missing_and_texts_stay(word: str, form: str) -> None:
    raw = table(form.format(word).encode(), kept=("mos",))
    assert column(raw, "uuid") == ["a nan, inf"]
    assert raw.problem is None
    assert raw.columns.get("mos", pa.nulls(1)).null_count == 1


def test_a_text_without_an_end_harms_no_other_line() -> None:
    raw = table(b'{"uuid": "a\n{"uuid": "nan", "mos": nan}\n{"uuid": "c"}')
    assert column(raw, "uuid") == [None, "nan", "c"]
    assert raw.problem is not None
    assert raw.problem.is_valid().to_pylist() == [True, False, False]


def test_members_nested_far_down_count_for_the_hash_and_end_nothing() -> None:
    def nested(end: int, depth: int = 700) -> bytes:
        return b'{"uuid": "a", "x": ' + b'{"y": ' * depth + str(end).encode() + b"}" * depth + b"}"

    hashes = table(b"\n".join([nested(1), nested(2), nested(1), b'{"uuid": "a"}'])).record_hash.tolist()
    assert hashes[0] == hashes[2]
    assert len(set(hashes)) == 3
