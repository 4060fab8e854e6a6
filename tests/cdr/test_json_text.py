"""A JSON export is taken apart into its records, however it is written and wherever it is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.cdr.records.json_text import Broken, JsonRecords, Repeated
from sippet_reconcile.errors import CdrFormatError

# What looks like the border between two records, and is not.
TRAPS = ["}, {", "},{", "}\n{", "}]", "]}", "[", '"', "\\", '"calls": [', "é", "🦜", "\u2028", "\r", "\x00"]
texts = (
    st.lists(st.sampled_from(TRAPS) | st.text(max_size=3), max_size=4)
    .map("".join)
    .map(lambda text: text.encode("utf-8", "replace").decode())
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=5,
)
records = st.builds(lambda sid, rest: {**rest, "sid": sid}, texts, st.dictionaries(texts, values, max_size=3))
anything = records | st.integers() | texts | st.none()
FORMS = ["list", "page", "lines", "pages", "pages without a line end", "list of pages one by one"]


def written(content: list[Any], form: str, *, split: int, indent: int | None, is_ascii: bool) -> str:
    """Write records in one of the forms in which APIs and their users save them."""

    def dump(value: object) -> str:
        return json.dumps(value, indent=indent, ensure_ascii=is_ascii)

    pages = [
        {"page": 0, "calls": content[:split], "next_page_uri": "/x"},
        {"calls": content[split:], "page": 1},
    ]
    return {
        "list": lambda: dump(content),
        "page": lambda: dump({"first": "/x", "calls": content, "end": None}),
        "lines": lambda: "\n".join(map(dump, content)),
        "pages": lambda: "\n".join(map(dump, pages)),
        "pages without a line end": lambda: "".join(map(dump, pages)),
        "list of pages one by one": lambda: "\n".join([dump(content[:split]), dump(content[split:])]),
    }[form]()


def with_numbers_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: with_numbers_as_text(member) for name, member in value.items()}
    if isinstance(value, list):
        return [with_numbers_as_text(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def read(data: str | bytes, piece: int = 1 << 20) -> tuple[list[Any], list[str]]:
    found = JsonRecords(data.encode() if isinstance(data, str) else data, "x.json", piece=piece)
    return [record for part in found for record in part], found.notes


@settings(max_examples=400, deadline=None)
@given(
    content=st.lists(anything, min_size=1, max_size=8),
    style=st.fixed_dictionaries(
        {"split": st.integers(0, 8), "indent": st.sampled_from([None, 1]), "is_ascii": st.booleans()}
    ),
    form=st.sampled_from(FORMS),
    piece=st.sampled_from([1, 7, 40, 200, 1 << 20]),
)
def test_every_way_of_writing_records_gives_the_same_records(
    content: list[Any], style: dict[str, Any], form: str, piece: int
) -> None:
    if form == "lines":
        # A lone document may hold a list of any name; that there are more shows what this one is.
        content = [{"sid": "first"}, *(record for record in content if isinstance(record, dict))]
        content.append({"sid": "last"})
    text = written(content, form, **style)
    assert read(text, piece) == (with_numbers_as_text(content), [])


@pytest.mark.parametrize("piece", [1, 40, 1 << 20])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("form", ["list", "page", "lines", "pages"])
def test_wherever_a_file_is_cut_whole_records_stay_and_the_cut_is_told(
    form: str, indent: int | None, piece: int
) -> None:
    content = [
        {"sid": "CA1", "name": 'a}, {"b', "uris": {"x": "é"}, "flag": True},
        {"sid": "CA2", "price": -2.5e3, "none": None, "list": [1, "2"]},
        {"sid": "CA3"},
    ]
    expected = json.loads(json.dumps(content), parse_int=str, parse_float=str)
    whole = written(content, form, split=1, indent=indent, is_ascii=True)
    for cut in range(1, len(whole)):
        try:
            found, notes = read(whole[:cut], piece)
        except CdrFormatError:
            assert '"CA1"' not in whole[:cut] or form == "lines"  # nothing has been read yet
            assert '"CA2"' not in whole[:cut]
            continue
        good = [record for record in found if not isinstance(record, Broken)]
        broken = [record for record in found if isinstance(record, Broken)]
        assert good == expected[: len(good)]
        assert broken == found[len(good) :]
        assert [record.problem for record in broken] in ([], ["the record is cut off"])
        n_begun = sum(f'"sid": "CA{n}"' in whole[:cut] for n in (1, 2, 3))
        assert len(found) >= n_begun
        # Only where whole documents end can nobody see that others followed.
        if not broken and not notes:
            assert form in {"lines", "pages"}
            assert whole[:cut].rstrip().endswith("}")


def test_a_line_that_is_no_json_is_one_broken_record() -> None:
    lines = [
        '{"sid": "a"}',
        '{"sid": nan}',
        '{"sid": "b"} and more',
        '{"sid": "c',
        '{"sid": "d"}',
        "null",
        "7",
    ]
    found, notes = read("\n".join(lines))
    assert notes == []
    assert [r.text if isinstance(r, Broken) else r for r in found] == [
        {"sid": "a"}, '{"sid": nan}', {"sid": "b"}, "and more", '{"sid": "c', {"sid": "d"}, None, "7",
    ]  # fmt: skip
    assert {r.problem for r in found if isinstance(r, Broken)} == {
        "the record is not JSON (Expecting value)",
        "the record is not JSON (Invalid control character at)",
    }


def test_numbers_stay_the_text_that_they_are() -> None:
    found, _ = read('[{"id": 1790845200.10, "n": 12345678901234567890123, "e": 1.687E-4, "o": -0}]')
    assert found == [{"id": "1790845200.10", "n": "12345678901234567890123", "e": "1.687E-4", "o": "-0"}]
    assert read('{"n": ' + "1" * 5000 + "}")[0] == [{"n": "1" * 5000}]


def test_members_named_twice_are_told_where_they_differ() -> None:
    found, _ = read('[{"a": "x", "a": "y", "b": "z"}, {"a": "x", "a": "x"}]')
    assert [type(record) for record in found] == [Repeated, dict]
    assert found[0].names == ("a",)
    assert found == [{"a": "y", "b": "z"}, {"a": "x"}]


def test_a_record_may_hold_lists_of_objects_of_its_own() -> None:
    line = '{"sid": "a", "flow": [{"app": "x"}, {"app": "y"}]}'
    assert [record["sid"] for record in read(f"{line}\n{line}")[0]] == ["a", "a"]
    page = f'{{"calls": [{line}, {line}], "page": 0}}'
    for piece in (1, 60, 1 << 20):
        assert [record["sid"] for record in read(page, piece)[0]] == ["a", "a"]


@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_json_that_leads_nowhere_is_an_error_with_its_line(piece: int) -> None:
    with pytest.raises(CdrFormatError, match=r"line 3: .*Expecting value at column 10") as caught:
        read('{"calls": [\n {"sid": "a"},\n {"sid": nan},\n {"sid": "b"}]}', piece)
    assert caught.value.line == 3
    with pytest.raises(CdrFormatError, match=r"line 2: .*Expecting"):
        read('{"calls": [{"sid": "a"}],\n page: 0}', piece)


def test_what_is_nested_beyond_reading_is_told_and_harms_no_other_record() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    with pytest.raises(CdrFormatError, match="nested too deeply"):
        read(f'{{"calls": [{{"sid": "a"}}, {{"x": {deep}}}]}}')
    found, _ = read(f'{{"sid": "a"}}\n{{"x": {deep}}}\n{{"sid": "b"}}')
    assert [getattr(record, "problem", record) for record in found] == [
        {"sid": "a"}, "the record is not JSON (nested too deeply)", {"sid": "b"},
    ]  # fmt: skip


def test_nothing_is_no_record() -> None:
    assert [read(text) for text in ("[]", '{"calls": []}', '{"calls": [], "page": 0}\n{"calls": []}')] == [
        ([], [])
    ] * 3
