"""An XML export is taken apart into its records, and what could do harm in it is refused."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.cdr.json_values import Broken
from sippet_reconcile.cdr.records.xml_text import XmlRecords, begins_like_xml, first_elements
from sippet_reconcile.errors import CdrFormatError

CDR = "<cdr id='{0}'><variables><uuid>u-{0}</uuid></variables><app name='x &amp; &lt;cdr>'/></cdr>"
RECORD = {"id": "{0}", "variables": {"uuid": "u-{0}"}, "app": {"name": "x & <cdr>"}}


def is_cdr(document: dict[str, Any]) -> bool:
    return isinstance(document.get("variables"), dict)


def read(data: str | bytes, **options: Any) -> tuple[list[Any], list[str]]:
    found = XmlRecords(data.encode() if isinstance(data, str) else data, "x.xml", is_record=is_cdr, **options)
    return [record for part in found for record in part], found.notes


def cdr(place: int) -> str:
    return CDR.format(place)


def ids(found: list[Any]) -> list[str]:
    return ["broken" if isinstance(record, Broken) else record["id"] for record in found]


@pytest.mark.parametrize("piece", [1, 100, 1 << 20])
@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize(
    "form",
    [
        "{0}",
        "<?xml version='1.0'?>\n{0}\n",
        "<!-- calls -->{0}<!-- the end: </cdr> -->",
        "<cdrs>{0}</cdrs>",
        "<?xml version='1.0' encoding='ISO-8859-1'?><cdrs n='2'><count>2</count>\n{0}<more/></cdrs>\n",
    ],
    ids=["documents", "declared", "comments", "root", "root with others"],
)
def test_records_stand_behind_each_other_or_in_a_root(form: str, n: int, piece: int) -> None:
    found, notes = read(form.format("\n".join(map(cdr, range(n)))), piece=piece)
    assert found == [{**RECORD, "id": str(p), "variables": {"uuid": f"u-{p}"}} for p in range(n)]
    assert notes == []


def test_each_document_may_have_its_declaration() -> None:
    assert ids(read("".join(f"<?xml version='1.0'?>\n{cdr(place)}\n" for place in range(3)))[0]) == [
        "0",
        "1",
        "2",
    ]


def test_elements_attributes_lists_and_text_are_members() -> None:
    (found,), _ = read(
        "<cdr a='1'> <variables><x>1</x><x>2</x><x/></variables><b c='3'> t </b><d><![CDATA[<&]]></d></cdr>"
    )
    assert found == {"a": "1", "variables": {"x": ["1", "2", ""]}, "b": {"c": "3", "": " t "}, "d": "<&"}


def test_nothing_is_known_of_the_records_then_those_with_members_are_taken() -> None:
    assert list(XmlRecords(b"<r><n>2</n><call><a>1</a></call><call><a>2</a></call></r>", "x")) == [
        [{"a": "1"}, {"a": "2"}]
    ]
    assert list(XmlRecords(b"<!-- nothing -->", "x")) == []


@pytest.mark.parametrize("root", ["{0}", "<cdrs>{0}</cdrs>"], ids=["documents", "root"])
@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (cdr(1).replace("</uuid>", "</uu>"), "the record is not XML (mismatched tag in line 2)"),
        (cdr(1).replace("&amp;", "&"), "the record is not XML (not well-formed (invalid token) in line 2)"),
        (cdr(1).replace("u-1", "&what;"), "the record is not XML (undefined entity in line 2)"),
        (cdr(1).replace("u-1", "\x01"), "the record is not XML (not well-formed (invalid token) in line 2)"),
        (cdr(1).replace("</cdr>", "</c r>"), "the record is not XML (it has no end)"),
        (cdr(1).replace("<cdr ", "<c dr "), "the record is not XML (it has no beginning)"),
    ],
    ids=["mismatched", "bare &", "entity", "control", "no end", "no beginning"],
)  # fmt: skip
def test_a_broken_record_is_one_and_harms_no_other(root: str, broken: str, words: str) -> None:
    found, _ = read(root.format("\n".join([cdr(0), broken, cdr(2)])))
    assert ids(found) == ["0", "broken", "2"]
    assert found[1].problem == words
    assert found[1].text == broken


@pytest.mark.parametrize("root", ["{0}", "<cdrs>{0}</cdrs>"], ids=["documents", "root"])
def test_a_first_record_that_is_broken_does_not_hide_what_the_others_are(root: str) -> None:
    assert ids(read(root.format("\n".join([cdr(0).replace("</uuid>", ""), cdr(1), cdr(2)])))[0]) == [
        "broken",
        "1",
        "2",
    ]


@pytest.mark.parametrize("root", ["{0}", "<cdrs>{0}</cdrs>"], ids=["documents", "root"])
def test_wherever_a_file_is_cut_whole_records_stay_and_the_cut_is_told(root: str) -> None:
    whole = root.format("\n".join(map(cdr, range(3))))
    for cut in range(1, len(whole)):
        try:
            found, notes = read(whole[:cut])
        except CdrFormatError:
            assert whole[:cut].count("</cdr>") == 0
            continue
        n_whole = whole[:cut].count("</cdr>")
        if n_whole == 0:
            continue  # a root alone: nobody can tell yet what is in it
        n_begun = len(re.findall(r"<cdr\s", whole[:cut].replace("<cdr>", "")))
        assert ids(found)[:n_whole] == ["0", "1", "2"][:n_whole]
        assert all(isinstance(record, Broken) for record in found[n_whole:])
        assert len(found) >= n_begun
        assert len(found) > n_whole or notes or root == "{0}" or "</cdrs>" in whole[:cut]


def test_a_lone_document_that_leads_nowhere_is_an_error_with_its_line() -> None:
    with pytest.raises(
        CdrFormatError, match=r"x\.xml line 3: begins like XML but is none \(no element found\)"
    ) as caught:
        read("<?xml version='1.0'?>\n<cdr>\n <variables>")
    assert caught.value.line == 3


LAUGHS = "".join(f"<!ENTITY l{n + 1} '{f'&l{n};' * 10}'>" for n in range(9))
HARM = {
    "billion laughs": f"<!DOCTYPE cdr [<!ENTITY l0 'ha'>{LAUGHS}]><cdr><variables><uuid>&l9;</uuid></variables></cdr>",
    "quadratic": f"<!DOCTYPE cdr [<!ENTITY a '{'a' * 50_000}'>]><cdr><variables><uuid>{'&a;' * 50_000}</uuid></variables></cdr>",
    "a file": "<!DOCTYPE cdr [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><cdr><variables><uuid>&x;</uuid></variables></cdr>",
    "an address": "<!DOCTYPE cdr SYSTEM 'http://127.0.0.1:9/x.dtd'><cdr><variables/></cdr>",
    "a parameter": "<!DOCTYPE cdr [<!ENTITY % x SYSTEM 'file:///etc/hostname'> %x;]><cdr><variables/></cdr>",
    "a type alone": "<!DOCTYPE cdr><cdr><variables><uuid>1</uuid></variables></cdr>",
    "in the second": f"{cdr(0)}\n<!DOCTYPE cdr [<!ENTITY x 'y'>]>\n{cdr(1)}",
    "in a root": f"<cdrs>{cdr(0)}<!DOCTYPE cdr [<!ENTITY x 'y'>]>{cdr(1)}</cdrs>",
    "declared as another encoding": f"<?xml version='1.0' encoding='cp037'?>\n<!DOCTYPE cdr [<!ENTITY x 'y'>]>{cdr(1)}",
}  # fmt: skip


@pytest.mark.parametrize("name", HARM)
def test_a_document_type_is_refused_and_nothing_grows(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(
            CdrFormatError, match="declares a document type or entities, which no CDR needs"
        ) as caught:
            read(HARM[name])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
    assert caught.value.line == HARM[name].partition("<!DOCTYPE")[0].count("\n") + 1
    with pytest.raises(CdrFormatError, match="document type"):
        first_elements(HARM[name].encode(), "x.xml", 5, lambda document: document.get("id") == "1")


def test_an_encoding_that_is_declared_is_not_believed() -> None:
    # In this encoding the bytes would spell a document type: they were decoded before, and are what they are.
    hidden = "<!DOCTYPE cdr [<!ENTITY x 'y'>]><cdr/>".encode("utf-7")
    with pytest.raises(CdrFormatError):
        read(b"<?xml version='1.0' encoding='utf-7'?>" + hidden)


def test_what_is_nested_or_wide_beyond_measure_is_a_broken_record() -> None:
    deep = f"<cdr>{'<a>' * 100_000}{'</a>' * 100_000}</cdr>"
    wide = f"<cdr>{'<a/>' * 60_000}</cdr>"
    found, _ = read("\n".join([cdr(0), deep, wide, cdr(1)]))
    assert ids(found) == ["0", "broken", "broken", "1"]
    assert found[1].problem == "the record is not XML (nested too deeply)"
    assert found[2].problem == "the record is not XML (more than 50,000 elements in one record)"


TRAPS = ["<", ">", "&", "'", '"', "</cdr>", "<cdr>", "]]>", "<!--", "\n", "é", "🦜", "%3C"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(TRAPS), max_size=4).map("".join), min_size=1, max_size=6), st.booleans()
)
def test_escaped_values_are_what_they_were(values: list[str], in_root: bool) -> None:
    from xml.sax.saxutils import escape  # noqa: PLC0415 - only to write

    text = "\n".join(f"<cdr><variables><v>{escape(value)}x</v></variables></cdr>" for value in values)
    found, _ = read(f"<cdrs>{text}</cdrs>" if in_root else text)
    assert [record["variables"]["v"] for record in found] == [f"{value}x" for value in values]


@pytest.mark.parametrize(
    ("head", "is_xml"),
    [(b"<cdr>\n <x/>", True), (b"\xef\xbb\xbf <?xml version='1.0'?>", True), (b"<!DOCTYPE x>", True), (b"<cdr a='1' b=\"2\">", True),
     (b"<1001>,2026", False), (b"<b", False), (b"<sip:a@b> 7", False), (b"<a>b</a>,1", False), (b"<a " + b"x='1' " * 5000 + b"!", False)],
)  # fmt: skip
def test_what_begins_like_xml(head: bytes, is_xml: bool) -> None:
    assert begins_like_xml(head) is is_xml


def test_a_real_record(cdr_samples: Path) -> None:
    data = (cdr_samples / "freeswitch_xml_cdr" / "zhouhailin_a_4b3b36af.cdr.xml").read_bytes()
    (found,), notes = read(data)
    assert notes == []
    assert sum(map(str.isspace, found["channel_data"]["direction"])) > 0  # as delivered; trimmed later
    assert len(found["callflow"]) == data.count(b"<callflow ")
    assert len(found["variables"]) == len(
        set(
            re.findall(
                rb"^    <([\w-]+)>", data.partition(b"<variables>")[2].partition(b"</variables>")[0], re.M
            )
        )
    )


@pytest.mark.parametrize("junk", ["<cdr>", "<cdr \n<a></b>\n", "<cdr>\n<a></b>\n</cdr>\n"])
@pytest.mark.parametrize("end", ["", "</cdr>"])
def test_many_records_without_an_end_are_each_one_row(junk: str, end: str) -> None:
    found, _ = read(cdr(0) + junk * 3000 + end)
    assert found[0]["id"] == "0"
    assert len(found) in {3001, 3002}  # a last end tag may be of nothing
