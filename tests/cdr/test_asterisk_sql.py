# ruff: noqa: S608 - statements are read here, never run
"""Asterisk's table as SQL: the rows of every kind of dump are the calls, and nothing else is."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

import sippet_reconcile as sr

Read = Callable[..., pd.DataFrame]

ROW: dict[str, str | int | None] = {
    "calldate": "2026-10-01 09:00:00", "clid": '"Ann" <1001>', "src": "1001", "dst": "+442079460123",
    "dcontext": "from-internal", "channel": "PJSIP/1001-0000000a", "dstchannel": "PJSIP/trunk-0000000b", "lastapp": "Dial",
    "lastdata": "PJSIP/+442079460123@trunk,60,T(x^1,(1))", "duration": 65, "billsec": 60, "disposition": "ANSWERED",
    "amaflags": 3, "accountcode": "", "uniqueid": "1790845200.1", "userfield": "", "did": "", "recordingfile": "",
    "cnum": "1001", "cnam": "Ann", "outbound_cnum": "", "outbound_cnam": "", "dst_cnam": "", "linkedid": "1790845200.0",
    "peeraccount": "", "sequence": 7,
}  # fmt: skip
ALEMBIC = ("accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer",
           "end", "duration", "billsec", "disposition", "amaflags", "userfield", "uniqueid", "linkedid", "peeraccount", "sequence")  # fmt: skip
PLAIN = {**ROW, "start": ROW["calldate"], "answer": "2026-10-01 09:00:05", "end": "2026-10-01 09:01:05"}


def literal(value: str | int | None) -> str:
    if value is None or isinstance(value, int):
        return "NULL" if value is None else str(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"') + "'"


def values(names: tuple[str, ...] = tuple(ROW), **fields: str | int | None) -> str:
    """Return one tuple of a dump, with some values replaced."""
    row = {**PLAIN, **fields}
    return "(" + ",".join(literal(row[name]) for name in names) + ")"


def insert(*rows: str, table: str = "`cdr`", names: tuple[str, ...] = ()) -> str:
    listed = f" ({', '.join(f'`{name}`' for name in names)})" if names else ""
    return f"INSERT INTO {table}{listed} VALUES {','.join(rows)};\n"


# ---------------------------------------------------------------- the real dump


def in_python(path: Path) -> list[dict[str, str]]:
    """Read the dump by regular expressions alone: one statement per line, values in apostrophes or bare."""
    text = path.read_text("utf-8")
    names = re.findall(r"^  `(\w+)`", text, re.MULTILINE)
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("INSERT INTO"):
            cells = re.findall(r"(?:'((?:[^'\\]|\\.)*)'|(\d+))(?:, |\);)", line[line.index("(") + 1 :])
            plain = [re.sub(r"\\(.)", r"\1", quoted) or bare for quoted, bare in cells]
            found.append({**dict(zip(names, plain, strict=True)), "line": str(number)})
    return found


def test_a_real_dump_is_read_as_plain_python_reads_it(cdr_samples: Path) -> None:
    path = cdr_samples / "asterisk_sql_dump" / "oscar6262_asteriskcdrdb_cdr.sql"
    rows = in_python(path)
    legs = sr.read_cdr(path, keep=["clid", "lastdata"])
    assert len(legs) == len(rows) == 574
    assert legs["format"].unique().tolist() == ["asterisk-sql"]
    assert legs["source_row"].tolist() == [int(row["line"]) for row in rows]
    for column, name in (("call_key", "uniqueid"), ("linked_id", "linkedid"), ("x_clid", "clid"), ("x_lastdata", "lastdata"),
                         ("cause", "disposition")):  # fmt: skip
        assert legs[column].fillna("").tolist() == [row[name].strip() for row in rows], name
    assert legs["total_s"].tolist() == [int(row["duration"]) for row in rows]
    assert legs["billable_s"].fillna(0).tolist() == [int(row["billsec"]) for row in rows]
    never = [row["calldate"].startswith(("1000", "0000")) for row in rows]
    assert legs["problem"].notna().tolist() == never
    starts = [
        pd.NaT if unset else datetime.fromisoformat(row["calldate"]).replace(tzinfo=UTC)
        for row, unset in zip(rows, never, strict=True)
    ]
    assert legs["started_at"].fillna(pd.Timestamp(0, tz="UTC")).tolist() == [
        pd.Timestamp(0, tz="UTC") if at is pd.NaT else pd.Timestamp(at) for at in starts
    ]
    ends = [
        at + timedelta(seconds=int(row["duration"]))
        for at, row in zip(starts, rows, strict=True)
        if at is not pd.NaT
    ]
    assert legs["ended_at"].dropna().tolist() == [pd.Timestamp(at) for at in ends]
    talked = legs[legs["billable_s"] > 0]
    assert ((talked["ended_at"] - talked["answered_at"]).dt.total_seconds() == talked["billable_s"]).all()
    answered = [int(row["billsec"]) > 0 or row["disposition"] == "ANSWERED" for row in rows]
    assert legs["is_answered"].fillna(value=False).tolist() == answered
    n_talked = sum(row["disposition"] == "ANSWERED" or int(row["billsec"]) > 0 for row in rows)
    words = Counter(row["disposition"] for row in rows if int(row["billsec"]) == 0)
    statuses = legs["status"].value_counts()
    assert (statuses["completed"], statuses["busy"]) == (n_talked, words["BUSY"])
    assert (statuses["failed"], statuses["no_answer"]) == (words["FAILED"], words["NO ANSWER"])


def test_legs_and_helpers_of_a_real_dump_are_grouped(cdr_samples: Path) -> None:
    path = cdr_samples / "asterisk_sql_dump" / "oscar6262_asteriskcdrdb_cdr.sql"
    rows = [row for row in in_python(path) if row["uniqueid"]]
    legs = sr.read_cdr(path).dropna(subset=["call_key"])
    several = {key for key, n in Counter(row["uniqueid"] for row in rows).items() if n > 1}
    assert len(several) == 134
    counts = legs["call_key"].value_counts()
    assert set(counts.index[counts > 1]) == several
    assert legs["leg_id"].tolist() == [f"{row['uniqueid']}/{row['sequence']}" for row in rows]
    assert legs["leg_id"].is_unique
    by_call: dict[str, list[bool]] = {}
    for row in rows:
        by_call.setdefault(row["linkedid"], []).append(row["channel"].startswith("Local/"))
    expected = [row["channel"].startswith("Local/") and not all(by_call[row["linkedid"]]) for row in rows]
    assert legs["is_helper"].tolist() == expected
    assert sum(expected) > 0


def test_directions_of_a_real_dump_are_those_that_context_and_trunk_tell(cdr_samples: Path) -> None:
    path = cdr_samples / "asterisk_sql_dump" / "oscar6262_asteriskcdrdb_cdr.sql"
    rows = in_python(path)
    legs = sr.read_cdr(path)
    for row, direction in zip(rows, legs["direction"].fillna("?"), strict=True):
        from_trunk = re.match(r"PJSIP/TRUNK", row["channel"]) is not None
        to_trunk = re.match(r"PJSIP/TRUNK", row["dstchannel"]) is not None
        if row["dcontext"] == "from-pstn" or from_trunk:
            assert direction == "inbound"
        elif row["dcontext"] == "from-internal" and to_trunk:
            assert direction == "outbound"
        elif direction == "outbound":
            assert to_trunk or "@" in row["lastdata"] or row["dst"].startswith("+")
        elif direction == "internal":
            assert row["dst"] in row["dstchannel"]
            assert row["src"] in row["channel"]


# ---------------------------------------------------------------- forms of dumps

MYSQLDUMP = """-- MySQL dump 10.13  Distrib 8.0.36
--
-- Host: localhost    Database: asteriskcdrdb
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
DROP TABLE IF EXISTS `{table}`;
CREATE TABLE `{table}` (
{columns}
  KEY `calldate` (`calldate`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='it''s all; here';
LOCK TABLES `{table}` WRITE;
/*!40000 ALTER TABLE `{table}` DISABLE KEYS */;
"""


def created(*names: str, table: str = "cdr") -> str:
    columns = "\n".join(f"  `{name}` varchar(80) NOT NULL DEFAULT ''," for name in names)
    return MYSQLDUMP.format(table=table, columns=columns)


def check(legs: pd.DataFrame, n: int = 2) -> None:
    """Check what all dumps of the row have in common."""
    assert legs["format"].tolist() == ["asterisk-sql"] * n
    assert legs["problem"].isna().all()
    leg = legs.iloc[0]
    at = pd.Timestamp("2026-10-01 09:00:00", tz="UTC")
    assert leg[["started_at", "answered_at", "ended_at"]].tolist() == [
        at,
        at + pd.Timedelta("5s"),
        at + pd.Timedelta("65s"),
    ]
    assert leg[["total_s", "billable_s", "status", "direction"]].tolist() == [65, 60, "completed", "outbound"]
    assert leg[["from_number", "to_e164", "sip_username", "call_key"]].tolist() == [
        "1001",
        "+442079460123",
        "1001",
        "1790845200.1",
    ]


@pytest.mark.parametrize(
    "text",
    [
        created(*ROW) + insert(values(), values()),
        created(*ROW) + insert(values()) * 2,
        insert(values(), values(), names=tuple(ROW)),
        insert(values(), names=tuple(ROW)).replace("`", '"').replace('"cdr"', 'public."cdr"') * 2,
        insert(values(), values(), names=tuple(ROW)).replace("),(", "),\n("),
        insert(values(), table="asteriskcdrdb.cdr") * 2,
        insert(values()).replace("INSERT", "REPLACE") * 2,
        insert(values(tuple(ROW)[:16])) * 2,
        insert(values((*tuple(ROW)[:16], "recordingfile"))) * 2,
        insert(values(ALEMBIC)) * 2,
        insert(values(ALEMBIC), names=ALEMBIC) * 2,
        created(*reversed(ROW)) + insert(values(tuple(reversed(ROW)))) * 2,
        insert(values(userfield=None, did=None, cnam=None)) * 2,
    ],
    ids=["mysqldump", "navicat", "phpmyadmin", "pg_dump", "over-lines", "with-schema", "replace", "16", "17", "alembic",
         "alembic-named", "order-of-create", "nulls"],
)  # fmt: skip
def test_every_form_of_dump_is_read(read: Read, text: str) -> None:
    check(read(text.encode()))
    check(read(text.replace("\n", "\r\n").encode("utf-8-sig")))


def test_a_packed_dump_is_read(in_file: Callable[[bytes, str], Path]) -> None:
    check(sr.read_cdr(in_file(gzip.compress(insert(values(), values()).encode()), "cdr.sql.gz")))


def test_events_in_the_same_dump_are_no_calls_wherever_they_stand(read: Read) -> None:
    cel = created("id", "eventtype", "eventtime", "uniqueid", "linkedid", "amaflags", table="cel")
    events = cel + insert(
        *["(1,'CHAN_START','2026-10-01 09:00:00','1790845200.1','1790845200.1',3)"] * 3, table="`cel`"
    )
    calls = created(*ROW) + insert(values(), values())
    for text in (
        events + calls,
        calls + events,
        events + calls + insert("(2,'HANGUP',NULL,'','',3)", table="cel"),
    ):
        legs = read(text.encode())
        check(legs)
        notes = legs.attrs["sippet_reconcile.cdr"]["notes"]
        assert [note for note in notes if "of other tables are no records: cel (" in note]


def test_a_table_of_calls_far_behind_others_is_found(read: Read) -> None:
    event = "(1,'CHAN_START','2026-10-01 09:00:00','1790845200.1','1790845200.1',3)"
    text = (
        "".join(insert(*[event] * 200, table="`cel`") for _ in range(40))
        + created(*ROW)
        + insert(values(), values())
    )
    assert len(text) > 1 << 19
    check(read(text.encode()))


def test_a_table_without_calls_is_no_format(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError, match="no known format fits"):
        read(insert("(1,'CHAN_START')", table="cel").encode())


@pytest.mark.parametrize("cut", [20, 120, 200])
def test_a_dump_that_is_cut_in_mid_statement_keeps_every_row(read: Read, cut: int) -> None:
    text = insert(values(), values(uniqueid="1790845200.2"), values(uniqueid="1790845200.3"))
    legs = read(text[: text.rindex("('2026") + cut].encode())
    assert len(legs) == 3
    assert legs["problem"].isna().tolist() == [True, True, False]
    assert legs["call_key"].tolist()[:2] == ["1790845200.1", "1790845200.2"]
    assert "ends in the middle of a statement" in " ".join(legs.attrs["sippet_reconcile.cdr"]["notes"])


def test_broken_tuples_are_rows_and_cost_no_other(read: Read) -> None:
    broken = values().replace("\\'", "'").replace('\\"Ann\\"', "O'Hara")
    legs = read(insert(values(), broken, values(), "('2026-10-01 09:00:00','x')", values()).encode())
    assert legs["problem"].isna().tolist() == [True, False, True, False, True]
    assert legs["problem"].tolist()[3] == "the row has 2 values instead of 26"
    assert legs["is_answered"].isna().tolist() == [False, True, False, True, False]


def test_a_call_that_was_never_answered_has_no_answer_time(read: Read) -> None:
    legs = read(insert(values(billsec=0, disposition="NO ANSWER"), values(billsec=0)).encode())
    assert legs["answered_at"].isna().all()
    assert legs["status"].tolist() == ["no_answer", "completed"]
    assert legs["ended_at"].notna().all()


def test_a_did_tells_that_a_call_came_in_and_what_was_called(read: Read) -> None:
    row = values(dst="s", dcontext="ivr-1", did="442079460124", src="+447700900123", channel="PJSIP/provider-0000000a",
                 dstchannel="", lastapp="BackGround", lastdata="hello")  # fmt: skip
    leg = read(insert(row).encode()).iloc[0]
    assert leg[["direction", "to_number", "from_e164"]].tolist() == [
        "inbound",
        "442079460124",
        "+447700900123",
    ]


def test_statements_are_read_by_columns_too(read: Read) -> None:
    text = insert("('2026-10-01 09:00:00',60,'a-1')", table="mine", names=("begun", "talk", "id"))
    text += insert("(1)", table="other", names=("x",))
    legs = read(
        text.encode(), columns={"started_at": "begun", "billable_s": "talk", "call_key": "id"}, timezone="UTC"
    )
    assert legs[["call_key", "billable_s"]].to_numpy().tolist() == [["a-1", 60.0]]


def test_the_result_of_a_query_is_read_like_the_table() -> None:
    frame = pd.DataFrame([{name: PLAIN[name] for name in ROW}] * 2).astype({"calldate": "datetime64[us]"})
    legs = sr.cdr_from_frame(frame)
    assert legs.loc[0, ["format", "status", "leg_id"]].tolist() == ["freepbx", "completed", "1790845200.1/7"]
    plain = sr.cdr_from_frame(pd.DataFrame([{name: PLAIN[name] for name in ALEMBIC}]))
    assert plain.loc[0, ["format", "status", "leg_id"]].tolist() == [
        "asterisk",
        "completed",
        "1790845200.1/7",
    ]


def test_other_formats_are_not_taken_for_a_dump(cdr_samples: Path) -> None:
    for path in sorted(cdr_samples.glob("*/*")):
        scores = {candidate.format: candidate.score for candidate in sr.sniff_cdr(path)}
        assert (scores["asterisk-sql"] > 0) == (path.suffix == ".sql"), path.name
