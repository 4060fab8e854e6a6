"""A page that is read into columns at once reads as it does value by value, or is not read at once."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.api.documents import DocumentError, read_page, read_page_carefully
from sippet_reconcile.api.quick import POOL, quick_page
from sippet_reconcile.sandbox import Pagination, Sandbox, Switches
from sippet_reconcile.schema import CALL_ATTRIBUTES

ID = "8c1f3c52-0000-4000-8000-00000000000a"
ATTRIBUTES = (
    '"call_source":"sip","call_uuid":"uuid-1","conversation_id":null,"direction":"inbound","duration_seconds":60,'
    '"ended_at":"2026-01-02T03:05:05.000000Z","from_number":"+15550000001","sip_username":"Zoë 🦜",'
    '"started_at":"2026-01-02T03:04:05.678901Z","status":"completed","to_number":"007"'
)
RELATED = '{"links":{},"meta":{}}'


def resource(attributes: str = ATTRIBUTES, call_id: str = ID) -> str:
    return (
        f'{{"attributes":{{{attributes}}},"id":"{call_id}","links":{{}},"meta":{{}},'
        f'"relationships":{{"conversation":{RELATED},"organisation":{RELATED}}},"type":"Call"}}'
    )


def page(*resources: str, rest: str = ',"jsonapi":{"version":"1.0"},"links":{"self":"x"},"meta":{}') -> bytes:
    return f'{{"data":[{",".join(resources)}]{rest}}}'.encode()


def told(read: Any, body: bytes) -> Any:
    """Return all that a page says, or why it is refused."""
    try:
        found = read(body)
    except DocumentError as exc:
        return str(exc)
    return (found.rows, found.ids, found.decimals, found.next_link, found.total, found.is_paged)


def check_same(body: bytes) -> None:
    assert told(read_page, body) == told(read_page_carefully, body)


def test_a_page_as_the_api_writes_it_is_read_at_once() -> None:
    """Or nobody would notice that every page takes thrice the time."""
    body = page(resource(), resource(call_id=ID.upper()), resource('"status":null'))
    found = quick_page(body)
    assert found is not None
    assert found.ids.to_pylist() == [ID] * 3
    assert found.attributes["sip_username"].to_pylist() == ["Zoë 🦜", "Zoë 🦜", None]
    assert found.attributes["duration_seconds"].to_pylist() == [60, 60, None]
    assert found.attributes["ended_at"].to_pylist() == ["2026-01-02T03:05:05.000000Z"] * 2 + [None]
    assert (found.next_link, found.total, found.is_paged) == (None, None, False)
    check_same(body)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (',"links":{"next":"https://x?page","prev":null},"meta":{"page":{"limit":2,"offset":0,"total":9}}', ("https://x?page", 9, True)),
        (',"links":{"next":null},"meta":{"page":{"limit":2}}', (None, None, True)),
        (',"links":{"next":""},"meta":{"page":{}}', (None, None, True)),
        (',"links":null,"meta":{"page":null}', (None, None, False)),
        ("", (None, None, False)),
    ],
)  # fmt: skip
def test_what_a_page_says_of_further_pages_is_read_at_once(rest: str, expected: tuple[Any, ...]) -> None:
    body = page(resource(), rest=rest)
    found = quick_page(body)
    assert found is not None
    assert (found.next_link, found.total, found.is_paged) == expected
    check_same(body)


def test_a_page_without_calls_is_read_at_once() -> None:
    found = quick_page(page())
    assert found is not None
    assert len(found.ids) == 0
    check_same(page())


@pytest.mark.parametrize(
    "switches",
    [
        Switches(),
        Switches(omit_nil=True),
        Switches(time_precision=0),
        Switches(pagination=Pagination.OFFSET),
        Switches(pagination=Pagination.KEYSET),
    ],
    ids=["plain", "without-nulls", "whole-seconds", "offset", "keyset"],
)
def test_the_sandboxs_pages_are_read_at_once(switches: Switches) -> None:
    calls = {"data": [json.loads(resource()), json.loads(resource(call_id=ID[:-1] + "b"))]}
    with Sandbox(calls, switches=switches) as api:
        headers = {"authorization": f"Bearer {api.token}"}
        body = httpx.get(f"{api.url}/api/calls?page[limit]=1&page[count]=true", headers=headers).content
    found = quick_page(body)
    assert found is not None
    assert found.total == (None if switches.pagination is None else 2)
    assert found.is_paged == (switches.pagination is not None)
    check_same(body)


@pytest.mark.parametrize(
    "body",
    [
        b"null", b" null", b'null{"data":[]}', b"", b"{", b"[]", b"5", b'{"data":null}', b"{}", b"<html>",
        b'{"data":[]}{"data":[]}', b'{"data":[]}\n{"data":[]}', b'{"data":[]}null', b'{"data":[]}x', b'{"data":[]',
        b"\xef\xbb\xbf" + page(), page().decode().encode("utf-16"), page().decode().encode("utf-16-le"), page() + b"\x00",
        page(rest=',"color":"blue"'), page(rest=',"x":NaN'), page(rest=',"x":' + "1" * 5000), page(rest=',"x":' + "[" * 9999),
        page(rest=',"data":[]'), page(rest=',"links":{"next":{"href":"https://x"}}'), page(rest=',"meta":{"page":[]}'),
        page(rest=',"meta":{"page":{"total":9.0}}'), page(rest=',"meta":{"page":{"total":true}}'), page(rest=',"meta":{"page":{"total":"9"}}'),
        page("null"), page("5"), page("{}"), page('{"type":"Call","attributes":{}}'), page(f'{{"type":"Call","id":"{ID}"}}'),
        page(f'{{"type":"Call","id":"{ID}","attributes":null}}'), page(f'{{"type":"call","id":"{ID}","attributes":{{}}}}'),
        page(f'{{"id":"{ID}","attributes":{{}}}}'), page(resource(call_id="x")), page(resource(call_id=ID + "0")),
        page(resource(), resource(call_id="Ǆc1f3c52-0000-4000-8000-00000000000a")),
    ],
)  # fmt: skip
def test_what_is_not_a_page_of_the_api_is_left_to_the_careful_reader(body: bytes) -> None:
    assert quick_page(body) is None
    check_same(body)


@pytest.mark.parametrize(
    "attributes",
    [
        '"duration_seconds":"60"', '"duration_seconds":60.0', '"duration_seconds":6e1', '"duration_seconds":true',
        '"duration_seconds":NaN', '"duration_seconds":9223372036854775808', '"duration_seconds":-9223372036854775809',
        '"duration_seconds":{}', '"duration_seconds":0x1F', '"duration_seconds":060',
        '"status":5', '"status":5.0', '"status":true', '"status":{}', '"status":[]', '"started_at":1790812800',
        '"status":"a","status":"b"', '"status":null,"status":"b"', '"duration_seconds":60,"duration_seconds":null',
        r'"status":"\ud800"', r'"status":"\udc00"', r'"status":"\ud83e\udd9c"', r'"status":"a\"b"', r'"st\u0061tus":"b"',
        '"color":"blue"', '"status":"a\nb"',
    ],
)  # fmt: skip
def test_a_value_that_is_not_plainly_of_its_kind_is_left_to_the_careful_reader(attributes: str) -> None:
    """A number in a text, or a text in a number, must never be read as something else in silence."""
    body = page(resource(), resource(attributes))
    assert quick_page(body) is None
    check_same(body)


def test_text_that_is_not_unicode_is_left_to_the_careful_reader() -> None:
    for odd in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80"):
        body = page(resource('"status":"?"')).replace(b"?", odd)
        assert quick_page(body) is None
        check_same(body)


@pytest.mark.parametrize(
    "instant",
    ["2026-10-01T08:00:00Z", "2026-10-01 10:00:00+02:00", " 2026-10-01T08:00:00.5 ", "2026-10-01", "soon", "", "1790812800"],
)  # fmt: skip
def test_instants_are_read_by_one_rule(instant: str) -> None:
    body = page(resource(), resource(f'"ended_at":"{instant}"'))
    assert quick_page(body) is not None
    check_same(body)


def test_rows_hold_nothing_but_themselves() -> None:
    """Or a fetch would keep the bodies of all its windows until its end."""
    body = page(*[resource()] * 500)
    before = POOL.bytes_allocated()
    rows = read_page(body).rows
    assert len(body) > 2 * rows.nbytes
    assert rows.get_total_buffer_size() < 1.1 * rows.nbytes
    assert rows.nbytes <= POOL.bytes_allocated() - before < 1.2 * rows.nbytes


# Values as they may stand in a document: of every kind, odd ones, and what is no JSON.
scalars = st.one_of(
    st.sampled_from(
        [
            "null", "true", "NaN", "-Infinity", "-0", "60", "60.0", "1e2", "1e999", "01", "+1", "0x1", "9223372036854775807",
            "9223372036854775808", '"60"', '""', '"Zoë 🦜"', '"2026-10-01T08:00:00.000000Z"', '"2026-10-01T08:00:00+02:00"',
            '"2026-10-01 08:00:00"', '"2026-02-30T08:00:00Z"', '"soon"', '"Call"', f'"{ID}"', f'"{ID.upper()}"', "{}", "[]",
            '{"page":{"total":5}}', '{"next":"x"}', r'"\ud800"', r'"\u00e9"', '"a\nb"', "1" * 5000, '"open',
        ]
    ),
    st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.integers().map(str),
)  # fmt: skip
fitting = {
    "duration_seconds": st.sampled_from(["null", "0", "60", "-5"]),
    "started_at": st.sampled_from(["null", '"2026-10-01T08:00:00.000000Z"', '"2026-10-01T08:00:00Z"']),
    "ended_at": st.sampled_from(["null", '"2026-10-01T08:01:00.500000Z"', '"2026-10-01T08:01:00"']),
}
words = st.sampled_from(["null", '"completed"', '""', '"+15550000001"', '"Zoë"'])


def members(values: dict[str, st.SearchStrategy[str]], odd: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Make an object of most of these members in any order; now and then one is odd, twice, or unknown."""
    usual = st.fixed_dictionaries({}, optional=values).map(lambda found: list(found.items()))
    extra = st.lists(st.tuples(st.sampled_from([*values, "color"]), odd), max_size=1)
    rare = st.integers(0, 5).flatmap(lambda n: extra if n == 0 else st.just([]))
    pairs = st.tuples(usual, rare).flatmap(lambda both: st.permutations([*both[0], *both[1]]))
    return pairs.map(lambda found: "{" + ",".join(f'"{name}":{value}' for name, value in found) + "}")


attributes = members({name: fitting.get(name, words) for name in CALL_ATTRIBUTES}, scalars)
ids = st.sampled_from([f'"{ID}"', f'"{ID.upper()}"', f'"{ID[:-1]}b"'])
plain_resources = st.tuples(attributes, ids).map(
    lambda found: f'{{"attributes":{found[0]},"id":{found[1]},"links":{{}},"meta":{{}},"type":"Call"}}'
)
odd_resources = members({"attributes": attributes, "id": ids, "type": st.just('"Call"')}, scalars)
lists = st.lists(st.one_of(plain_resources, plain_resources, odd_resources), max_size=3).map(
    lambda found: f"[{','.join(found)}]"
)
links = members({"self": st.just('"x"'), "next": st.sampled_from(["null", '"https://x"'])}, scalars)
counts = members({name: st.sampled_from(["1", "50"]) for name in ("limit", "total")}, scalars)
rests = members({"links": links, "meta": members({"page": counts}, scalars)}, scalars)
documents = st.tuples(lists, rests).map(
    lambda found: f'{{"data":{found[0]},{found[1][1:]}'.replace(",}", "}")
)
damage = st.tuples(
    st.integers(0, 7),
    st.integers(0, 10_000),
    st.integers(0, 3),
    st.sampled_from(
        ["", " ", "\n", "\x00", "\ufeff", "null", "{}", ",", "}", "]", '"', "NaN", '"status":"a",', "\\"]
    ),
)


def damaged(document: str, how: tuple[int, int, int, str]) -> bytes:
    """Replace a few characters at one place by others, once in four times."""
    chance, at, length, token = how
    if chance > 1:
        return document.encode("utf-8", "surrogatepass")
    at %= len(document) + 1
    return (document[:at] + token + document[at + length :]).encode("utf-8", "surrogatepass")


@settings(max_examples=200, deadline=None)
@given(document=documents, how=damage)
def test_any_document_reads_at_once_as_it_does_value_by_value(
    document: str, how: tuple[int, int, int, str]
) -> None:
    check_same(damaged(document, how))


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None)
@given(document=documents, how=damage)
def test_very_many_documents_read_at_once_as_they_do_value_by_value(
    document: str, how: tuple[int, int, int, str]
) -> None:
    check_same(damaged(document, how))
