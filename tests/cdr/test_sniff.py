"""A format is chosen by content, with reasons, and never by a coin."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr import sniff
from sippet_reconcile.cdr.formats import all_formats, format_named
from sippet_reconcile.schema import LEG_STATUSES

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]


def test_the_best_candidate_comes_first_and_says_why(freeswitch: Line, asterisk: Line) -> None:
    for data, name in ((freeswitch(), "freeswitch"), (asterisk(21), "asterisk")):
        ranked = sr.sniff_cdr(io.BytesIO(data))
        assert (ranked[0].format, ranked[0].score) == (name, 1.0)
        assert ranked[0].reasons
        assert {candidate.format for candidate in ranked} == {format_.name for format_ in all_formats()}
        assert [candidate.score for candidate in ranked] == sorted((c.score for c in ranked), reverse=True)


def test_what_auto_chose_and_why_is_logged(
    freeswitch: Line, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="sippet_reconcile.cdr"):
        read(freeswitch(), timezone="UTC")
    assert "<stream> is read as freeswitch: 1 of 1 rows have 15" in caplog.text


def test_the_name_of_a_file_tells_nothing(asterisk: Line, in_file: Callable[..., Path]) -> None:
    assert sr.read_cdr(in_file(asterisk(), "freeswitch_twilio.json"))["format"].tolist() == ["asterisk"]


def test_what_was_found_out_shows_itself_as_a_verdict_and_what_comes_near(
    freeswitch: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = len(all_formats())
    found = sr.sniff_cdr(io.BytesIO(freeswitch()))
    assert (isinstance(found, list), len(found)) == (True, known)
    first, *_, last = repr(found).splitlines()
    assert (first, last) == ("It is read as freeswitch.", f"It resembles none of {known - 1} other formats.")
    assert "100%" in found._repr_html_()  # type: ignore[attr-defined]  # a list that shows itself
    assert repr(sr.sniff_cdr(io.BytesIO(b"<b>,x\n1,2\n"))).splitlines() == [
        "No known format surely fits: pass format=, or name the columns with columns=.",
        f"It resembles none of {known} known formats.",
    ]
    twin = replace(format_named("freeswitch"), name="twin")
    monkeypatch.setattr(sniff, "all_formats", lambda: (*all_formats(), twin))
    tie = repr(sr.sniff_cdr(io.BytesIO(freeswitch())))
    assert tie.startswith("freeswitch and twin fit equally well: pass format= with one of them.")


def test_what_sniffing_says_is_what_reading_does(freeswitch: Line, read: Read) -> None:
    broken = freeswitch() + b"x,y\n" * 2  # too little to be sure, but nothing else fits
    found = sr.sniff_cdr(io.BytesIO(broken))
    assert 0 < found[0].score < sniff.ENOUGH
    assert repr(found).startswith("It is read as freeswitch.")
    assert read(broken, timezone="UTC")["format"].unique().tolist() == ["freeswitch"]


def test_a_tie_is_an_error_that_lists_the_candidates(
    freeswitch: Line, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = replace(format_named("freeswitch"), name="twin")
    monkeypatch.setattr(sniff, "all_formats", lambda: (*all_formats(), twin))
    monkeypatch.setattr(sniff, "format_named", lambda name: twin if name == "twin" else format_named(name))
    with pytest.raises(
        sr.CdrFormatError, match=r"could be freeswitch \(100%\).* or twin \(100%\).*; pass format="
    ):
        read(freeswitch(), timezone="UTC")


def test_a_file_of_no_known_format_is_an_error_that_shows_it_without_numbers(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError) as caught:
        read(b"\nwhen,who\n2026-10-01,442079460123\n")
    message = str(caught.value)
    assert "<stream> line 2 has 2 fields, 'when', 'who'" in message
    assert "columns=" in message
    assert "442079460123" not in message
    assert caught.value.line == 2


def test_a_file_that_is_not_what_it_was_said_is_an_error_that_names_what_it_looks_like(
    freeswitch: Line, asterisk: Line, read: Read
) -> None:
    with pytest.raises(
        sr.CdrFormatError, match=r"this is not FreeSWITCH mod_cdr_csv.*it looks like asterisk"
    ) as caught:
        read(asterisk(), format="freeswitch", timezone="UTC")
    assert "7946" not in str(caught.value)
    with pytest.raises(sr.CdrFormatError, match="it looks like freeswitch"):
        read(freeswitch(), format="asterisk", timezone="UTC")


def test_a_freeswitch_file_in_the_asterisk_template_is_not_taken_for_asterisk(asterisk: Line) -> None:
    row = asterisk(disposition="NORMAL_CLEARING", uniqueid="8c1f3c52-0000-4000-8000-000000000001")
    scores = {candidate.format: candidate.score for candidate in sr.sniff_cdr(io.BytesIO(row))}
    assert (scores["freeswitch"], scores["asterisk"]) == (1.0, 0.0)


def test_an_unknown_format_name_is_an_error_that_lists_the_known(read: Read) -> None:
    known = ", ".join(format_.name for format_ in all_formats())
    with pytest.raises(sr.InputError, match=f"format 'abacus' is not known; known are {known}, or"):
        read(b"a", format="abacus")
    with pytest.raises(sr.InputError, match="looks at one file, got 2"):
        sr.sniff_cdr([io.BytesIO(b"a"), io.BytesIO(b"b")])


@pytest.mark.parametrize("format_", all_formats(), ids=lambda f: f.name)
def test_every_status_of_a_format_is_one(format_: object) -> None:
    assert set(format_.statuses.values()) <= set(LEG_STATUSES)  # type: ignore[attr-defined]  # a CdrFormat
    assert format_named(format_.name) is format_  # type: ignore[attr-defined]  # a CdrFormat
