"""A document in a terminal says what its other views say, in lines that can be read."""

from __future__ import annotations

import pandas as pd

from sippet_reconcile.report import Document, Section, document_text

TABLE = pd.DataFrame({"cause": ["zero", "missing", "total"], "delta_s": [-5, 1200, 1195]})


def test_tables_are_aligned_numbers_to_the_right_and_cut_with_a_count() -> None:
    part = Section("Causes", "Why.", TABLE, heads={"delta_s": "change (s)"}, signed=["delta_s"])
    assert document_text(Document("D", "V.", sections=[part]), max_rows=2).splitlines()[3:] == [
        "CAUSES",
        "Why.",
        "cause    change (s)",
        "-------  ----------",
        "zero             −5",
        "missing      +1,200",
        "and 1 more",
    ]


def test_a_table_with_a_total_is_whole() -> None:
    text = document_text(Document("D", "V.", sections=[Section("L", frame=TABLE, total=True)]), max_rows=1)
    assert "1,195" in text
    assert "more" not in text


def test_sentences_stand_under_their_row_and_no_line_is_long() -> None:
    frame = pd.DataFrame({"code": ["stuck-calls"], "message": ["It is a long story. " * 12]})
    lines = document_text(Document("D", "V.", sections=[Section("Findings", frame=frame)])).splitlines()
    assert lines[3:6] == ["FINDINGS", "code", "-----------"]
    assert lines[6] == "stuck-calls"
    assert lines[7].startswith("    It is a long story.")
    assert max(map(len, lines)) <= 110
    assert " ".join(" ".join(lines).split()).count("It is a long story.") == 12


def test_numbers_of_phones_are_masked_and_details_left_out() -> None:
    frame = pd.DataFrame({"from_number": ["+442079460123"]})
    parts = [Section("Calls", frame=frame), Section("Balance", frame=TABLE, is_detail=True)]
    text = document_text(Document("D", "V.", sections=parts))
    assert "2079460123" not in text
    assert "BALANCE" not in text


def test_a_width_holds_for_every_line_and_a_last_column_goes_on_beside_the_others() -> None:
    said = pd.DataFrame({"rows": [3, 12], "what": ["short", "a sentence of many words " * 6]})
    wide = pd.DataFrame({"name": ["n" * 50], "why": ["w" * 50], "rows": [1]})
    facts = {"format": "one, " * 30}
    text = document_text(
        Document(
            "D", "V. " * 60, sections=[Section("S", "I. " * 60, said), Section("W", frame=wide)], facts=facts
        ),
        width=80,
    )
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "  12  a sentence of many words" in text
    assert lines[lines.index(next(line for line in lines if line.startswith("  12"))) + 1].startswith(
        " " * 6 + "a"
    )
    assert "    " + "n" * 50 in lines
    assert " ".join(text.split()).count("a sentence of many words") == 6
