"""A rate card is checked as a whole: what can be read is read as it is written, all else is told at once."""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.billing.frames import RATES

HEAD = "prefix,rate_per_minute,initial_s,increment_s,connect_fee,currency,valid_from,valid_to"
GOOD = "44,0.0125,60,1,0.05,GBP,2026-01-01,2027-01-01"


def written(folder: Path, text: str | bytes, name: str = "rates.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def failing(folder: Path, text: str) -> tuple[pd.DataFrame, str]:
    with pytest.raises(sr.SchemaError) as caught:
        sr.RateCard.from_csv(written(folder, text))
    assert caught.value.failures is not None
    return caught.value.failures, str(caught.value)


def row(**cells: Any) -> pd.DataFrame:
    good = dict(zip(HEAD.split(","), GOOD.split(","), strict=True))
    return pd.DataFrame([{**good, **cells}])


# ------------------------------------------------------------------ what is read


def test_the_columns_and_types_are_those_of_rates_and_decimals_are_exact(tmp_path: Path) -> None:
    text = f"{HEAD},direction,user,name\n+44,0.0123456789,0,1,10,GBP,2026-01-01,,Inbound, ana ,Café\n*,1,6,6,0,EUR,,,,,\n"
    card = sr.RateCard.from_csv(written(tmp_path, text))
    rows = card.rows
    assert rows.dtypes.to_dict() == {name: pd.api.types.pandas_dtype(dtype) for name, dtype in RATES.items()}
    first = rows.iloc[0]
    assert [first["line"], first["prefix"], first["direction"], first["user"], first["name"]] == [
        2, "44", "inbound", "ana", "Café",
    ]  # fmt: skip
    assert first["rate_per_minute"] == Decimal("0.0123456789")
    assert first["valid_from"] == date(2026, 1, 1)
    assert rows["valid_to"].isna().all()
    assert rows.loc[1, ["valid_from", "direction", "user", "name"]].isna().all()
    assert (len(card), card.currencies, card.source) == (2, ("EUR", "GBP"), "rates.csv")


def test_optional_columns_that_are_not_there_are_missing_with_their_type(tmp_path: Path) -> None:
    rows = sr.RateCard.from_csv(written(tmp_path, f"{HEAD}\n{GOOD}")).rows
    assert rows.dtypes.to_dict() == {name: pd.api.types.pandas_dtype(dtype) for name, dtype in RATES.items()}
    assert rows[["direction", "user", "name"]].isna().all(axis=None)


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEAD}\n{GOOD}\n")
    assert sr.RateCard.from_csv(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sr.RateCard.from_csv(str(path)).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


SHAPES = {
    "byte order mark": b"\xef\xbb\xbf" + f"{HEAD}\n{GOOD}\n".encode(),
    "semicolons": f"{HEAD}\n{GOOD}\n".replace(",", ";").encode(),
    "quoted": "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in (HEAD, GOOD)).encode(),
    "windows line ends": f"{HEAD}\r\n{GOOD}\r\n".encode(),
    "old line ends": f"{HEAD}\r{GOOD}\r".encode(),
    "header in capitals with spaces": f"{HEAD.title().replace('_', ' ').replace(',', ' , ')}\n{GOOD}\n".encode(),
    "header with hyphens": f"{HEAD.replace('_', '-')}\n{GOOD}\n".encode(),
    "columns of a spreadsheet that hold nothing": f"{HEAD},,\n{GOOD},,\n,,,,,,,,,\n".encode(),
    "white space around the cells": "\n".join([HEAD, GOOD.replace(",", "\u00a0, ")]).encode(),
    "columns in another order": ",".join(HEAD.split(",")[::-1]).encode()
    + b"\n"
    + ",".join(GOOD.split(",")[::-1]).encode(),
}


@pytest.mark.parametrize("content", SHAPES.values(), ids=SHAPES.keys())
def test_a_file_is_read_the_same_however_it_was_saved(tmp_path: Path, content: bytes) -> None:
    plain = sr.RateCard.from_csv(written(tmp_path, f"{HEAD}\n{GOOD}\n")).rows
    pd.testing.assert_frame_equal(sr.RateCard.from_csv(written(tmp_path, content, "other.csv")).rows, plain)


def test_lines_are_physical_ones_whatever_is_blank_or_holds_a_line_end(tmp_path: Path) -> None:
    text = f'\n{HEAD},name\n\n{GOOD},"two\nlines"\n , , \n\n{GOOD.replace("44", "45", 1)},\n'
    rows = sr.RateCard.from_csv(written(tmp_path, text)).rows
    assert rows["line"].tolist() == [4, 8]
    assert rows["name"].tolist()[0] == "two\nlines"


def test_the_rows_of_a_card_make_the_same_card(tmp_path: Path) -> None:
    card = sr.RateCard.from_csv(written(tmp_path, f"{HEAD},user\n{GOOD},ana\n+4420,0.1,6,6,0,GBP,,,\n"))
    again = sr.RateCard.from_frame(card.rows, "again")
    pd.testing.assert_frame_equal(again.rows.drop(columns="line"), card.rows.drop(columns="line"))
    assert again.rows["line"].tolist() == [1, 2]
    assert sr.RateCard.from_frame(again.rows).sha256 == again.sha256


def test_the_hash_of_a_frame_is_that_of_its_cells_and_not_of_where_they_are_parted() -> None:
    one, other = row(user="ab", name="c"), row(user="a", name="bc")
    assert sr.RateCard.from_frame(one).sha256 == sr.RateCard.from_frame(one.copy()).sha256
    assert sr.RateCard.from_frame(one).sha256 != sr.RateCard.from_frame(other).sha256


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("rate_per_minute", 0.012, Decimal("0.012")),
        ("rate_per_minute", 1e-05, Decimal("0.00001")),
        ("rate_per_minute", np.float64(2), Decimal(2)),
        ("rate_per_minute", Decimal("1.50"), Decimal("1.5")),
        ("rate_per_minute", Decimal("1E+2"), Decimal(100)),
        ("prefix", 44, "44"),
        ("prefix", 4420.0, "4420"),
        ("initial_s", np.int64(30), 30),
        ("initial_s", 30.0, 30),
        ("initial_s", "0086400", 86400),
        ("valid_from", date(2026, 2, 1), date(2026, 2, 1)),
        ("valid_from", pd.Timestamp("2026-02-01"), date(2026, 2, 1)),
        ("valid_from", pd.NaT, None),
        ("valid_from", float("nan"), None),
    ],
)
def test_a_frame_may_hold_texts_numbers_decimals_and_days(
    column: str, value: object, expected: object
) -> None:
    for dtype in (None, object):  # as pandas takes it, and among values of other types
        frame = row().assign(**{column: pd.Series([value], dtype=dtype)})
        before = frame.copy()
        found = sr.RateCard.from_frame(frame).rows[column].iloc[0]
        assert (None if pd.isna(found) else found) == expected
        pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("rate_per_minute", 0.1 + 0.2),
        ("rate_per_minute", float("inf")),
        ("rate_per_minute", float("nan")),
        ("rate_per_minute", Decimal("NaN")),
        ("rate_per_minute", Decimal("1E+999999")),
        ("connect_fee", True),
        ("initial_s", 0.5),
        ("valid_from", pd.Timestamp("2026-02-01 12:00")),
        ("valid_from", pd.Timestamp("2026-02-01", tz="Europe/London")),
        ("currency", None),
        ("prefix", b"44"),
    ],
)
def test_a_value_of_a_frame_that_is_no_such_cell_is_refused(column: str, value: object) -> None:
    with pytest.raises(sr.SchemaError) as caught:
        sr.RateCard.from_frame(row().assign(**{column: pd.Series([value])}))
    assert caught.value.failures is not None
    assert caught.value.failures[["line", "column"]].to_numpy().tolist() == [[1, column]]


def test_rows_are_a_copy() -> None:
    card = sr.RateCard.from_frame(row())
    rows = card.rows
    rows.loc[:, "currency"] = "XXX"
    assert card.currencies == ("GBP",)


# ------------------------------------------------------------------ what is refused

BAD = {
    "prefix": [
        "", "0044", "020", "4 4", "44-20", "+", "++44", "1.8E+03", "44*", "**", "x", "1234567890123456", "\u0664\u0664",
    ],
    "rate_per_minute": [
        "", "0,012", "1 000", "1.000,5", "-0.1", "+0.1", ".5", "5.", "1e-3", "NaN", "inf", "1000000000", "0.12345678901",
        "\u0661", "£1", "1.2.3", "NULL",
    ],
    "connect_fee": ["", "-1", "free"],
    "initial_s": ["", "-1", "1.5", "1m", "86401", "99999999999999999999"],
    "increment_s": ["", "0", "000", "-6", "6.0", "86401"],
    "currency": ["", "gbp", "GB", "GBPX", "£", "G1P", "ÄÖÜ"],
    "valid_from": ["01/02/2026", "2026-1-1", "2026-02-30", "2025-02-29", "2026-01-01T00:00:00Z", "20260101", "0000-01-01"],
    "valid_to": ["2026-01-01", "2025-12-31", "never", "2026-13-01"],
    "direction": ["up", "in", "*"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value"), [(column, value) for column, values in BAD.items() for value in values]
)
def test_a_bad_cell_is_told_with_its_line_column_and_value(tmp_path: Path, column: str, value: str) -> None:
    cells = dict(zip(f"{HEAD},direction".split(","), f"{GOOD},".split(","), strict=True)) | {
        column: f'"{value}"'
    }
    found, said = failing(tmp_path, f"{HEAD},direction\n{','.join(cells.values())}\n")
    [failure] = found.to_dict("records")
    assert (failure["line"], failure["column"]) == (2, column)
    assert pd.isna(failure["value"]) if value in {"", "NULL"} else failure["value"] == value
    assert said.startswith(f"rates.csv is no rate card yet, it has 1 problem: line 2, {column} ")
    assert said.endswith("; see .failures")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("prefix", "0044", "begins with 0, as no country code does"),
        ("prefix", "1.8E+03", "was shortened by a spreadsheet"),
        ("prefix", "1234567890123456", "is longer than 15 digits"),
        ("rate_per_minute", "0,012", "has a comma, which may part thousands or the decimals"),
        ("rate_per_minute", "-1", "is negative"),
        ("rate_per_minute", "0.12345678901", "has more than 10 places"),
        ("rate_per_minute", "1000000000", "is not below 1000000000"),
        ("increment_s", "0", "is 0: write whole seconds from 1"),
        ("initial_s", "86401", "is longer than a day"),
        ("currency", "gbp", "is not in capitals"),
        ("valid_from", "2026-02-30", "is no day of the calendar"),
        ("valid_to", "2026-01-01", "is not after valid_from 2026-01-01"),
    ],
)
def test_a_problem_says_why_and_what_to_write(column: str, value: str, words: str) -> None:
    with pytest.raises(sr.SchemaError, match=words):
        sr.RateCard.from_frame(row(**{column: value}))


@pytest.mark.parametrize(
    "rate", ["999999999.9999999999", "0000000000000000000000000000000000000000000000.5", "0"]
)
def test_the_largest_and_the_longest_decimal_fit(rate: str) -> None:
    card = sr.RateCard.from_frame(row(rate_per_minute=rate))
    assert card.rows["rate_per_minute"].iloc[0] == Decimal(rate)


def test_all_problems_are_told_at_once_five_in_words_and_all_in_the_frame(tmp_path: Path) -> None:
    text = (
        f"{HEAD}\n044,0;1,x,0,-1,gbp,2026-02-30,\n{GOOD}\n{GOOD}\n44,1\n\n45,1,1,1,0,GBP,2026-01-01,\n"
        "45,1,1,1,0,GBP,2026-02-01,\n"
    )
    found, said = failing(tmp_path, text)
    assert list(found.columns) == ["line", "column", "value", "problem"]
    assert [str(dtype) for dtype in found.dtypes] == ["Int64", "str", "str", "str"]
    assert found["line"].tolist() == [2] * 7 + [4, 5, 7]
    assert found["column"].tolist()[:7] == HEAD.split(",")[:7]
    assert "it has 10 problems: line 2, prefix '044' begins with 0" in said
    assert said.count("line 2, ") == 5
    assert said.endswith("; and 5 more; see .failures")


def test_a_row_of_another_width_is_told_and_never_shifted(tmp_path: Path) -> None:
    found, said = failing(tmp_path, f"{HEAD}\n{GOOD}\n45,1,1,1,0,GBP\n46,1,1,1,0,GBP,,,stray\n")
    assert found["line"].tolist() == [3, 4]
    assert found["column"].isna().all()
    assert "line 3 has 6 fields, and the header 8" in said


def test_an_unknown_column_and_a_missing_one_are_named_with_what_they_may_be(tmp_path: Path) -> None:
    found, said = failing(tmp_path, f"{HEAD.replace('currency', 'Curency')},colour\n{GOOD},red\n")
    assert found["column"].tolist() == ["Curency", "colour", "currency"]
    assert "line 1, Curency is no column of a rate card; did you mean 'currency'?" in said
    assert "line 1, colour is no column of a rate card; known are prefix, " in said
    assert "line 1, currency is missing, there is no such column; is it 'Curency'?" in said


def test_cells_are_checked_even_where_a_column_is_missing(tmp_path: Path) -> None:
    found, _ = failing(tmp_path, f"{HEAD.replace(',currency', '')}\n044,1,1,1,0,,\n")
    assert found["column"].tolist() == ["currency", "prefix"]


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    _, said = failing(tmp_path, f"{HEAD},Rate per minute\n{GOOD},0.5\n")
    assert "line 1, rate_per_minute stands 2 times in the header: keep one of them" in said


def test_a_file_without_a_header_says_so(tmp_path: Path) -> None:
    found, said = failing(tmp_path, f"{GOOD}\n")
    assert "line 1 has no column of a rate card: begin with prefix, rate_per_minute" in said
    assert "GBP" not in said.partition("begin with")[0]
    assert found["line"].tolist()[0] in {1, pd.NA}


@pytest.mark.parametrize(
    "text", [f"{HEAD}\n", f"{HEAD}", f"{HEAD}\n\n , ,\n"], ids=["line end", "none", "blank lines"]
)
def test_a_card_without_a_rate_is_an_error(tmp_path: Path, text: str) -> None:
    found, said = failing(tmp_path, text)
    assert "there is no rate in it" in said
    assert len(found) == 1


def test_a_frame_without_rows_or_columns_is_an_error() -> None:
    for frame in (row().head(0), pd.DataFrame()):
        with pytest.raises(sr.SchemaError, match=r"^a frame is no rate card yet"):
            sr.RateCard.from_frame(frame)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty: a rate card begins with"),
        (b"\n\n", "is empty"),
        (f"{HEAD}\n".encode() + b"44,\xff", "line 2 is no UTF-8 text"),
        (f"{HEAD}\n{GOOD}\n".encode("utf-16"), "line 1 is no UTF-8 text"),
        (f"{HEAD}\n4\x004\n".encode(), "line 2 holds a NUL"),
        (f'{HEAD}\n\n"44,1\n'.encode(), "line 3 is no record of a CSV file"),
        (f'{HEAD}\n"44"4,1\n'.encode(), "line 2 is no record of a CSV file"),
    ],
)
def test_what_is_no_text_or_no_csv_is_an_input_error_with_its_line(
    tmp_path: Path, content: bytes, words: str
) -> None:
    with pytest.raises(sr.InputError, match=words):
        sr.RateCard.from_csv(written(tmp_path, content))


def test_a_file_that_is_not_there_and_a_folder_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(sr.InputError, match="there is no rate card at "):
        sr.RateCard.from_csv(tmp_path / "nowhere.csv")
    with pytest.raises(sr.InputError, match="it is a folder"):
        sr.RateCard.from_csv(tmp_path)
    with pytest.raises(sr.InputError, match="cannot be read"):
        sr.RateCard.from_csv("a\0b.csv")


def test_no_number_stands_in_a_message_and_no_terminal_is_steered(tmp_path: Path) -> None:
    number = "+44 20 7946 0123"
    text = f"{HEAD},user,\x1b[2J{number}\n{number},{number},{number},1,0,{number},{number},{number},,\n"
    found, said = failing(tmp_path, text)
    assert "7946" not in said
    assert "\x1b" not in said
    assert found["value"].tolist().count(number) == 6  # whoever asks for the values has them


def test_a_repr_says_how_many_and_what_next() -> None:
    frame = pd.concat([row(), row(prefix="45", currency="EUR"), row(direction="inbound")])
    assert repr(sr.RateCard.from_frame(frame, "cards/2026.csv")) == (
        "<RateCard cards/2026.csv: 3 rates for 2 prefixes in EUR and GBP; next: sr.billing_impact(rec, card)>"
    )


def test_a_card_in_a_notebook_tells_each_currency_alone_and_hides_numbers() -> None:
    frame = pd.concat(
        [row(), row(prefix="442079460123", rate_per_minute="0.30"), row(prefix="46", currency="EUR")]
    )
    html = sr.RateCard.from_frame(frame)._repr_html_()
    assert "0.0125 to 0.3000" in html  # the points stand in a line
    assert ">0.3000<" in html
    assert "EUR per minute" in html
    assert "2079460123" not in html
    assert "2027-01-01" in html
