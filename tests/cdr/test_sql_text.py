# ruff: noqa: S608 - statements are read here, never run
"""SQL dumps: every tuple is one row, whatever is quoted, escaped, commented or cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.cdr.records.sql_text import begins_like_sql, read_sql, sql_samples
from sippet_reconcile.cdr.tables import RawTable

NAMES = ("a", "b", "c")


def read(text: str, *, window: int = 1 << 22) -> RawTable:
    """Read a dump all of whose tables hold calls; columns that nothing names are a, b and c."""
    return read_sql(text.encode(), "dump.sql", lambda _: True, lambda _: {3: NAMES}, window=window)


def rows(table: RawTable) -> list[tuple[str | None, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns.values()), strict=True))


def problems(table: RawTable) -> list[str | None]:
    return [None] * len(table) if table.problem is None else table.problem.to_pylist()


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r"'O\'Hara'", "O'Hara"),
        ("'O''Hara'", "O'Hara"),
        ("''''", "'"),
        ("''''''", "''"),
        (r"'\"\" <1001>'", '"" <1001>'),
        ("'\"Ann\" <1001>'", '"Ann" <1001>'),
        (r"'a\\'", "a\\"),
        (r"'a\\\'b'", "a\\'b"),
        (r"'a\nb\tc'", "a\nb\tc"),
        ("'a\nb'", "a\nb"),
        ("'(1),(2);'", "(1),(2);"),
        ("'INSERT INTO t VALUES (1,2,3);'", "INSERT INTO t VALUES (1,2,3);"),
        ("'-- no comment /* none */ # none'", "-- no comment /* none */ # none"),
        ("''", ""),
        ("NULL", None),
        ("null", None),
        ("'NULLE'", "NULLE"),
        ("7", "7"),
        ("-7.50", "-7.50"),
        (" 7 ", "7"),
        ("\n\t'x' ", "x"),
        ("E'a\\tb'", "a\tb"),
        ("N'x'", "x"),
        ("_utf8mb4'x'", "x"),
        ("_binary 'x'", "x"),
        ("'2026-10-01 09:00:00'::timestamp without time zone", "2026-10-01 09:00:00"),
        ("NOW()", "NOW()"),
        ('"x, y"', "x, y"),
        ("'Ñandú ש'", "Ñandú ש"),
    ],
)
@pytest.mark.parametrize("place", range(3))
def test_a_value_is_what_its_literal_means(literal: str, value: str | None, place: int) -> None:
    values = ["'x'", "1", "'z'"]
    values[place] = literal
    expected: list[str | None] = ["x", "1", "z"]
    expected[place] = value
    regular = "('p','q','r')"
    table = read(f"INSERT INTO t VALUES {regular},({','.join(values)}),{regular};\n")
    assert rows(table) == [("p", "q", "r"), tuple(expected), ("p", "q", "r")]
    assert problems(table) == [None] * 3


@pytest.mark.parametrize("mark", ["-- PostgreSQL database dump\n", "PRAGMA foreign_keys=OFF;\n"])
def test_where_backslashes_escape_nothing_they_are_text(mark: str) -> None:
    assert rows(read(mark + r"INSERT INTO t VALUES ('C:\','\n','a''b');")) == [("C:\\", "\\n", "a'b")]


def test_values_may_be_in_double_quotes_as_freeswitchs_template_writes_them() -> None:
    text = 'INSERT INTO cdr VALUES ("Ann\'s","1001","");\nINSERT INTO cdr VALUES ("B","a""b","x");\n'
    table = read(text)
    assert rows(table) == [("Ann's", "1001", ""), ("B", 'a"b', "x")]
    assert table.rows.tolist() == [1, 2]


HEADS = ["INSERT INTO `t` VALUES", "insert ignore into t values", "REPLACE INTO `db`.`t` VALUES", 'INSERT INTO public."t" VALUES',
         "INSERT INTO t (a, b, c) VALUES", "INSERT INTO t(`a`,`b`,`c`)VALUES", "INSERT OR REPLACE INTO [t] VALUES"]  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "between",
    [",", ",\n", " ,\n  ", ";", ";\n", ";\n\n-- it's a comment\n", ";/*!40000 ALTER TABLE `t` */;\n"],
)
def test_rows_may_be_statements_or_tuples_of_one(head: str, between: str) -> None:
    again = f"{head} " if ";" in between else ""
    text = f"-- don't\n/* it's */\n{head} (1,'x',NULL){between}{again}(2,'y;',3){between}{again}(4,'z',5);\n"
    table = read(text)
    assert rows(table) == [("1", "x", None), ("2", "y;", "3"), ("4", "z", "5")]
    lines = [text[: text.index(f"({n},")].count("\n") + 1 for n in (1, 2, 4)]
    assert table.rows.tolist() == lines
    assert table.notes == ()


def test_names_come_from_the_statement_else_from_create_table_else_from_the_width() -> None:
    create = "CREATE TABLE IF NOT EXISTS `t` (\n `x` int DEFAULT '0' COMMENT 'it''s, (this)',\n y varchar(3), -- why\n `key` enum('a','b'),\n" \
             " PRIMARY KEY (`x`), KEY `k` (`y`(2)), CONSTRAINT c CHECK (x > 0)\n);\n"  # fmt: skip
    insert = "INSERT INTO t VALUES (1,2,3);\n"
    assert list(read(create + insert).columns) == ["x", "y", "key"]
    assert list(read(create + "INSERT INTO t (p, q, r) VALUES (1,2,3);").columns) == ["p", "q", "r"]
    assert list(read(insert).columns) == ["a", "b", "c"]
    with pytest.raises(sr.CdrFormatError, match="nothing says how the columns of table 't' are called"):
        read_sql(insert.encode(), "dump.sql", lambda _: True, None)


def test_rows_of_other_tables_are_counted_and_told() -> None:
    text = "INSERT INTO cel VALUES (1),(2);\nINSERT INTO t VALUES (1,2,3);\nINSERT INTO cel VALUES ('(3)');\nINSERT INTO queue VALUES (1,2);\n"
    table = read_sql(text.encode(), "dump.sql", lambda s: len(s.rows[0]) == 3, lambda _: {3: NAMES})
    assert rows(table) == [("1", "2", "3")]
    assert table.notes == ("4 rows of other tables are no records: cel (3), queue (1)",)


def test_two_tables_of_calls_are_read_in_the_order_of_the_dump() -> None:
    text = "INSERT INTO t (a,b) VALUES (1,2);\nINSERT INTO u (b,c) VALUES (3,4);\nINSERT INTO t (a,b) VALUES (5,6);"
    table = read(text)
    assert rows(table) == [("1", "2", None), (None, "3", "4"), ("5", "6", None)]
    assert table.notes == ("several tables hold calls: t (2), u (1)",)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ("(1,2)", "the row has 2 values instead of 3"),
        ("(1,2,3,4)", "the row has 4 values instead of 3"),
        ("()", "a quoted value of the row is not closed where it should be"),
        ("('O'Hara','b','c')", "a quoted value of the row is not closed where it should be"),
        ("('a','b,'c')", "a quoted value of the row is not closed where it should be"),
        ("('a','b','c)", "a quoted value of the row is not closed where it should be"),
        ("('a' 'b','c','d')", "a quoted value of the row is not closed where it should be"),
    ],
)
@pytest.mark.parametrize("between", [",", ",\n", ";\nINSERT INTO t VALUES "])
@pytest.mark.parametrize("window", [1 << 22, 300])
def test_a_broken_tuple_is_one_row_with_a_problem_and_costs_no_other(
    broken: str, problem: str, between: str, window: int
) -> None:
    good = "('p','it''s',7)"
    text = f"INSERT INTO t VALUES {between.join([good] * 30 + [broken] + [good] * 30)};\n"
    table = read(text, window=window)
    assert problems(table) == [None] * 30 + [problem] + [None] * 30
    whole = [row for row, wrong in zip(rows(table), problems(table), strict=True) if wrong is None]
    assert whole == [("p", "it's", "7")] * 60
    assert len(set(table.record_hash.tolist())) == 2


@pytest.mark.parametrize("length", range(30, 64))
def test_a_dump_that_is_cut_tells_so(length: int) -> None:
    text = "INSERT INTO t VALUES (1,'a',2),(3,'b','c,('),(4,5,6);\n"
    table = read(text[:length])
    begun = [n for n in range(len(text[:length])) if text.startswith(("(1,", "(3,", "(4,"), n)]
    assert len(table) == len(begun)
    assert rows(table)[0] == ("1", "a", "2")
    assert ("the dump ends in the middle of a statement" in table.notes) == (
        not text[:length].endswith((";", ";\n"))
    )
    assert all(wrong is None for wrong in problems(table)[:-1])


def test_a_clause_behind_the_rows_is_no_row() -> None:
    text = "INSERT INTO t VALUES (1,2,3) ON CONFLICT DO NOTHING;\n" * 3
    text += (
        "INSERT INTO t VALUES (4,5,6) ON DUPLICATE KEY UPDATE a=VALUES(a);\nINSERT INTO t VALUES (7,8,9);\n"
    )
    table = read(text)
    assert [row[0] for row in rows(table)] == ["1", "1", "1", "4", "7"]
    assert table.rows.tolist() == [1, 2, 3, 4, 5]


def test_what_is_inserted_otherwise_is_told() -> None:
    table = read(
        "INSERT INTO t SELECT * FROM u;\nINSERT INTO t VALUES (1,2,3);\nINSERT INTO t SET a='it''s';\n"
    )
    assert len(table) == 1
    assert table.notes == ("2 statements without VALUES left out",)


def test_a_quote_that_is_missing_elsewhere_hides_no_row() -> None:
    create = "CREATE TABLE t (\n x int DEFAULT '',\n y int DEFAULT '0,\n z int\n);\n"
    inserts = "".join(f"INSERT INTO t (a, b, c) VALUES ({n},'x','y');\n" for n in range(20))
    table = read(create + inserts)
    assert [row[0] for row in rows(table)] == [str(n) for n in range(20)]
    assert problems(table) == [None] * 20


def test_what_a_trigger_inserts_is_no_row() -> None:
    trigger = "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW\nINSERT INTO u VALUES (NEW.a, 'x', 1);\n"
    table = read(trigger + "INSERT INTO t VALUES (1,2,3);\n")
    assert rows(table) == [("1", "2", "3")]
    assert table.notes == ()


def test_rows_as_copy_are_refused_with_what_to_do() -> None:
    with pytest.raises(sr.CdrFormatError, match="line 2: table 'cdr' is dumped as COPY") as caught:
        list(
            sql_samples(
                b"SET client_encoding = 'UTF8';\nCOPY public.cdr (a, b) FROM stdin;\n1\t2\n\\.\n", "d.sql"
            )
        )
    assert caught.value.line == 2


@pytest.mark.parametrize("text", ["", "-- nothing\n", "CREATE TABLE t (a int);\n", "INSERT INTO t VALUES;\n"])
def test_a_dump_without_rows_is_no_row(text: str) -> None:
    assert len(read(text)) == 0


@pytest.mark.parametrize(
    ("text", "is_sql"),
    [
        ("INSERT INTO `cdr` VALUES (1)", True),
        ("\n-- MySQL dump 10.13\n--\n/*!40101 SET NAMES utf8 */;\nDROP TABLE IF EXISTS `cdr`;", True),
        ("SET SQL_MODE = 'NO_AUTO_VALUE_ON_ZERO';", True),
        ("BEGIN TRANSACTION;", True),
        ("Begin,End,Duration\n", False),
        ("set,of,columns", False),
        ("--\n1,2,3\n", False),
        ("#Type,Start\n", False),
        ('{"insert": "into"}', False),
        ("", False),
    ],
)
def test_sql_is_known_by_its_first_statement(text: str, is_sql: bool) -> None:
    assert begins_like_sql(text.encode()) == is_sql


texts = st.none() | st.text(st.sampled_from("ab'\"\\;,()\n\té-#/*N "), max_size=8)


@given(
    st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=12),
    st.booleans(),
    st.booleans(),
    st.integers(40, 400),
)
@settings(max_examples=200, deadline=None)
def test_what_was_written_by_the_book_is_read_back(
    values: list[tuple[str | None, ...]], one_statement: bool, has_escapes: bool, window: int
) -> None:
    def literal(value: str | None) -> str:
        if value is None:
            return "NULL"
        if has_escapes:
            value = value.replace("\\", "\\\\").replace("\n", "\\n")
        return "'" + value.replace("'", "''") + "'"

    tuples = ["(" + ",".join(map(literal, row)) + ")" for row in values]
    between = "," if one_statement else ";\nINSERT INTO t VALUES "
    mark = "" if has_escapes else "-- PostgreSQL database dump\n"
    table = read(f"{mark}INSERT INTO t VALUES {between.join(tuples)};\n", window=window)
    assert rows(table) == values
    assert problems(table) == [None] * len(values)


def test_a_window_changes_nothing() -> None:
    tuples = [f"({n},'it\\'s {n}', {'NULL' if n % 3 else n})" for n in range(500)]
    text = (
        "INSERT INTO t VALUES " + ",\n".join(tuples) + ";\nINSERT INTO t VALUES " + ",".join(tuples) + ";\n"
    )
    whole, small = read(text), read(text, window=100)
    assert rows(whole) == rows(small)
    assert whole.rows.tolist() == small.rows.tolist() == [*range(1, 501), *[501] * 500]
    assert whole.record_hash.tolist() == small.record_hash.tolist()
