"""What is read piece by piece is what is read as a whole, whatever only the whole file tells."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import logging
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.cdr.files.cutting import cut_chunks, cut_file
from sippet_reconcile.cdr.records.reader import read_piece
from sippet_reconcile.cdr.whole.joined import ATTRS_KEY
from sippet_reconcile.cdr.whole.pieces import InPieces

Line = Callable[..., bytes]
InFile = Callable[..., Path]

UUID = "8c1f3c52-0000-4000-8000-{:012d}"
quick = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@contextmanager
def in_pieces_of(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sippet_reconcile.cdr.files.sources.LARGE", 1)
        patch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
        patch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", size)
        yield


def outcome(path: Any, **options: Any) -> pd.DataFrame | str:
    """Return the legs, or what went wrong."""
    try:
        return sr.read_cdr(path, **options)
    except (sr.InputError, sr.CdrFormatError) as exc:
        return str(exc)


def how(legs: pd.DataFrame) -> dict[str, list[str]]:
    """Return by which clocks the files were read, and what was noted about them."""
    found: dict[str, list[str]] = legs.attrs[ATTRS_KEY]
    return found


def assert_same(path: Path, size: int, **options: Any) -> pd.DataFrame | str:
    whole = outcome(path, **options)
    with in_pieces_of(size):
        pieces = outcome(path, **options)
    if isinstance(whole, str) or isinstance(pieces, str):
        assert pieces == whole
    else:
        pd.testing.assert_frame_equal(pieces, whole)
        told, as_whole = how(pieces), how(whole)
        assert sorted(told["notes"]) == sorted(as_whole["notes"])
        assert told["clocks"] == as_whole["clocks"]
    return whole


@pytest.fixture
def asterisk_dirt(asterisk: Line) -> list[bytes]:
    """Return lines of all widths, with all that goes wrong with them."""
    good = [
        asterisk(
            width,
            uniqueid=f"{1790845200 + n}.{n}",
            linkedid=f"{1790845200}.0",
            start=f"2026-10-01 09:00:{n:02d}",
        )
        for n, width in enumerate([16, 17, 18, 19, 20, 21, 18, 18, 21])
    ]
    return [
        *good,
        *good,
        asterisk(18, channel="Local/1001@default-00000001;1"),
        asterisk(18, start="01/10/2026 09:00"),
        asterisk(18, start="13/10/2026 09:00"),
        asterisk(18, uniqueid="", start="2026-10-25 01:30:00"),
        asterisk(18, start="2026-10-01 10:00:00"),
        asterisk(18)[:60] + b"\n",
        b'"","1001","two\n',
        asterisk(18).replace(b'""Ann""', b'"Ann"'),
        asterisk(18).replace(b"Ann", "Zoë".encode()),
        asterisk(18).replace(b"Ann", b"\xff"),
        asterisk(18).replace(b"\n", b"\r\n"),
        b"\n",
        b"a\0b\n",
    ]


@given(data=st.data())
@quick
def test_asterisk_in_pieces_is_asterisk_as_a_whole(
    data: st.DataObject, asterisk: Line, asterisk_dirt: list[bytes], in_file: InFile
) -> None:
    lines = data.draw(st.lists(st.sampled_from(asterisk_dirt), min_size=1, max_size=40))
    zone = data.draw(st.sampled_from([None, "UTC", "Europe/London", "Asia/Tokyo"]))
    keep = data.draw(st.sampled_from([(), ("uniqueid",), ("sequence", "accountcode")]))
    path = in_file(asterisk(18) + b"".join(lines))
    assert_same(
        path, data.draw(st.sampled_from([200, 700, 3000])), format="asterisk", timezone=zone, keep=keep
    )


def test_a_clock_that_only_the_whole_file_tells_is_told_in_pieces_too(
    asterisk: Line, in_file: InFile
) -> None:
    without = [asterisk(18, uniqueid="", start=f"2026-10-01 09:00:{n:02d}") for n in range(40)]
    telling = [
        asterisk(18, uniqueid=f"{1790845200 + n}.{n}", start=f"2026-10-01 14:30:{n:02d}") for n in range(40)
    ]
    path = in_file(b"".join(without + telling))
    legs = assert_same(path, 500)
    assert isinstance(legs, pd.DataFrame)
    assert how(legs)["clocks"] == ["UTC+05:30 (measured from the epoch in the ids)"]
    # The first pieces suggest another clock than all of them.
    other = [
        asterisk(18, uniqueid=f"{1790845200 + n}.{n}", start=f"2026-10-01 09:15:{n:02d}") for n in range(2)
    ]
    assert_same(in_file(b"".join(other + telling)), 300)
    wrong = assert_same(in_file(b"".join(telling)), 500, timezone="Europe/London")
    assert isinstance(wrong, str)
    assert "UTC+05:30" in wrong


@pytest.mark.parametrize("told", [(9, "UTC+00:00", 0), (8, "UTC-01:00", 1)])
def test_the_first_piece_is_read_once_where_it_was_guessed_by_what_all_of_them_tell(
    asterisk: Line, in_file: InFile, monkeypatch: pytest.MonkeyPatch, told: tuple[int, str, int]
) -> None:
    hour, clock, again = told
    # Where the ids tell another clock than the one that is tried first, it is read again by that.
    lines = [
        asterisk(18, uniqueid=f"{1790845200 + n}.{n}", start=f"2026-10-01 {hour:02d}:00:{n:02d}")
        for n in range(40)
    ]
    path = in_file(b"".join(lines))
    assert isinstance(assert_same(path, 1000), pd.DataFrame)
    read: list[bytes] = []

    def counted(data: bytes, *args: Any, **options: Any) -> Any:
        read.append(data)
        return read_piece(data, *args, **options)

    monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces.read_piece", counted)
    with in_pieces_of(1000):
        legs = sr.read_cdr(path)
    assert how(legs)["clocks"] == [f"{clock} (measured from the epoch in the ids)"]
    assert len(set(read)) > 3
    assert len(read) - len(set(read)) == again


def test_a_zone_that_nobody_tells_is_asked_for_after_the_first_piece(
    freeswitch: Line, in_file: InFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = in_file(b"".join(freeswitch(uuid=UUID.format(n)) for n in range(60)))
    asked = assert_same(path, 1000)
    assert isinstance(asked, str)
    assert "timezone=" in asked
    monkeypatch.setattr(InPieces, "_pieces", lambda *_: pytest.fail("the file was read on"))
    with in_pieces_of(1000):
        assert outcome(path) == asked


@given(data=st.data())
@quick
def test_days_and_months_are_told_apart_in_pieces_as_in_the_whole(
    data: st.DataObject, in_file: InFile
) -> None:
    dates = st.sampled_from(["1/2/2026 08:00:00", "3/3/2026 08:00:00", "13/2/2026 09:00:00", "2/14/2026 09:00:00", "2026-02-01 08:00:00", "", "x"])  # fmt: skip
    rows = data.draw(st.lists(st.tuples(dates, dates), min_size=1, max_size=40))
    text = "S,E,Id\n" + "".join(f"{start},{end},{n}\n" for n, (start, end) in enumerate(rows))
    columns = {"started_at": "S", "ended_at": "E", "call_key": "Id"}
    dayfirst = data.draw(st.sampled_from([None, None, True, False]))
    assert_same(in_file(text.encode()), 90, columns=columns, timezone="UTC", dayfirst=dayfirst)


def test_rows_cut_at_a_field_are_found_by_the_widths_of_other_pieces(
    freeswitch: Line, in_file: InFile
) -> None:
    wide = [freeswitch(uuid=UUID.format(n)).replace(b"\n", b',"agent","stat"\n') for n in range(24)]
    cut = freeswitch(uuid=UUID.format(99))
    for lines in (
        [*wide[:12], cut, *wide[12:]],
        [*wide, cut],
        [cut, *wide],
        [cut] * 8 + wide,
        wide + [cut] * 8,
    ):
        for size in (150, 1000):
            assert_same(in_file(b"".join(lines)), size, timezone="UTC", format="freeswitch")


def test_a_column_that_only_some_pieces_have_is_kept(asterisk: Line, in_file: InFile) -> None:
    path = in_file(b"".join([asterisk(18)] * 30 + [asterisk(21)] * 30))
    legs = assert_same(path, 1000, keep=["linkedid"])
    assert isinstance(legs, pd.DataFrame)
    assert legs["x_linkedid"].notna().tolist() == [False] * 30 + [True] * 30
    refused = assert_same(path, 1000, keep=["nothing"])
    assert isinstance(refused, str)
    assert "no column 'nothing' to keep" in refused


@pytest.mark.parametrize("size", [60, 100, 230, 1000])
def test_a_quoted_value_of_many_lines_is_one_value_wherever_a_piece_ends(
    freeswitch: Line, in_file: InFile, size: int
) -> None:
    name = b"\n".join(b"line %d" % n for n in range(12))
    lines = [
        freeswitch(uuid=UUID.format(1)).replace(b"Ann", name),
        freeswitch(uuid=UUID.format(2)),
        freeswitch(uuid=UUID.format(3)).replace(b"Ann", name + b"\n\n\n"),
        freeswitch(uuid=UUID.format(4)).replace(b'"Ann"', b'"never closed'),
        freeswitch(uuid=UUID.format(5)),
        freeswitch(uuid=UUID.format(6)).replace(b"Ann", b"\n" * 45),
        freeswitch(uuid=UUID.format(7)).replace(b'"PCMU"\n', b'"PCMU'),
    ]
    legs = assert_same(
        in_file(b"".join(lines)), size, timezone="UTC", keep=["caller_id_name"], format="freeswitch"
    )
    assert isinstance(legs, pd.DataFrame)
    assert legs.loc[0, "x_caller_id_name"] == name.decode()


def test_a_header_that_comes_again_in_another_order_is_said_with_its_line(in_file: InFile) -> None:
    rows = "".join(f"2026-10-01 08:00:00,10,{n}\n" for n in range(40))
    path = in_file(f"Start,Talk,Id\n{rows}Start,Talk,Id\n{rows}Talk,Start,Id\n{rows}".encode())
    columns = {"started_at": "Start", "billable_s": "Talk", "call_key": "Id"}
    said = assert_same(path, 300, columns=columns, timezone="UTC")
    assert isinstance(said, str)
    assert "line 83" in said


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_line_ends_and_encodings_make_no_difference_in_pieces(
    freeswitch: Line, in_file: InFile, end: str, encoding: str
) -> None:
    text = b"".join(freeswitch(uuid=UUID.format(n), caller_id_name="Zoë") for n in range(40)).decode()
    path = in_file(text.replace("\n", end).encode(encoding))
    legs = assert_same(path, 900, timezone="UTC", keep=["caller_id_name"])
    assert isinstance(legs, pd.DataFrame)
    assert legs["x_caller_id_name"].eq("Zoë").all()
    assert len(legs) == 40


@pytest.mark.parametrize("kind", ["gz", "gz in parts", "zip", "gz in zip"])
def test_a_packed_file_is_read_in_pieces_and_hashed_as_it_was_delivered(
    freeswitch: Line, tmp_path: Path, kind: str
) -> None:
    data = b"".join(freeswitch(uuid=UUID.format(n)) for n in range(60))
    path = tmp_path / "packed"
    if kind.startswith("gz"):
        half = len(data) // 2
        in_parts = gzip.compress(data[:half]) + gzip.compress(data[half:])
        path.write_bytes(gzip.compress(data) if kind == "gz" else in_parts)
    if "zip" in kind:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("a.csv", gzip.compress(data) if "gz" in kind else data)
            out.writestr("b.csv", data[: len(data) // 2])
    legs = assert_same(path, 1000, timezone="UTC")
    assert isinstance(legs, pd.DataFrame)
    assert legs["source_sha256"].eq(hashlib.sha256(path.read_bytes()).hexdigest()).all()
    with in_pieces_of(1000), path.open("rb") as stream:
        pd.testing.assert_frame_equal(sr.read_cdr(stream, timezone="UTC"), legs)


def test_notes_of_pieces_are_added_up(
    freeswitch: Line, in_file: InFile, caplog: pytest.LogCaptureFixture
) -> None:
    odd = b"".join(freeswitch(uuid=UUID.format(n), caller_id_name='A "b" c') for n in range(30))
    with in_pieces_of(1000), caplog.at_level(logging.INFO, logger="sippet_reconcile.cdr"):
        legs = sr.read_cdr(in_file(odd), timezone="UTC")
    assert how(legs)["notes"] == ["Master.csv: 30 rows with broken quoting were mended"]
    assert caplog.text.count("30 rows with broken quoting") == 1


@given(
    st.lists(st.sampled_from([b"a", b"bb", b"\n", b"\r\n", b"\r", b"\n\n"]), max_size=40), st.integers(1, 9)
)
@quick
def test_what_is_cut_is_all_there_and_cut_only_where_lines_end(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    for pieces in (
        list(cut_file(io.BytesIO(data), size, "x")),
        list(cut_chunks([data[at : at + 3] for at in range(0, len(data), 3)], size, "x")),
        list(cut_chunks(parts, size, "x")),
    ):
        assert b"".join(pieces) == data
        for piece, following in itertools.pairwise(pieces):
            assert piece[-1:] in {b"\n", b"\r"}
            assert not (piece.endswith(b"\r") and following.startswith(b"\n"))
