"""Every real export is recognised by its content for what it is, and none is taken for another."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.formats import all_formats
from sippet_reconcile.cdr.sniff import ENOUGH

FORMAT_OF = {
    "asterisk_cdr_csv": "asterisk",
    "asterisk_cdr_custom": "asterisk-custom",
    "asterisk_sql_dump": "asterisk-sql",
    "avaya_smdr": "avaya-smdr",
    "cdr_stats": "cdr-stats",
    "cisco_cucm": "cisco-cucm",
    "freepbx_export": "freepbx",
    "freeswitch_cdr_csv": "freeswitch",
    "freeswitch_json_cdr": "freeswitch-json",
    "freeswitch_xml_cdr": "freeswitch-xml",
    "grandstream_ucm": "grandstream",
    "kazoo_cdr": "kazoo",
    "pbxware_cdr": "pbxware",
    "plivo_calls": "plivo",
    "threecx_call_log": "3cx-log",
    "threecx_cdr": "3cx-cdr",
    "twilio_calls": "twilio",
    "vonage_calls": "vonage",
}


@pytest.fixture(scope="module")
def samples(cdr_samples: Path) -> list[Path]:
    return sorted(path for path in cdr_samples.rglob("*") if path.is_file() and path.parent != cdr_samples)


def test_each_sample_is_recognised_and_fits_no_other_format(samples: list[Path]) -> None:
    assert {path.parent.name for path in samples} == set(FORMAT_OF)
    for path in samples:
        ranked = sr.sniff_cdr(path)
        assert ranked[0].format == FORMAT_OF[path.parent.name], (path.name, [str(c) for c in ranked[:3]])
        assert ranked[0].score >= ENOUGH
        assert [str(c) for c in ranked[1:] if c.score >= ENOUGH] == [], path.name


def test_the_name_of_a_sample_is_not_looked_at(samples: list[Path]) -> None:
    for path in samples:
        assert sr.sniff_cdr(io.BytesIO(path.read_bytes()))[0].format == FORMAT_OF[path.parent.name]


def test_each_candidate_gives_its_reasons(samples: list[Path]) -> None:
    for path in samples:
        ranked = sr.sniff_cdr(path)
        assert {candidate.format for candidate in ranked} == {format_.name for format_ in all_formats()}
        assert all(candidate.reasons and all(candidate.reasons) for candidate in ranked)


def test_the_first_line_of_a_sample_alone_is_taken_for_no_other_format(samples: list[Path]) -> None:
    """A file of one record, or of names only, may be too little to be sure, but never misleads."""
    for path in samples:
        first = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n").partition(b"\n")[0]
        if first.lstrip()[:1] in {b"{", b"[", b"<"} or not first.strip():
            continue
        ranked = sr.sniff_cdr(io.BytesIO(first))
        assert all(c.score < ENOUGH for c in ranked if c.format != FORMAT_OF[path.parent.name]), (
            path.name,
            [str(c) for c in ranked[:3]],
        )
