"""What is read in blocks, by many hands, is what `read_cdr` reads."""

from __future__ import annotations

import gzip
import io
import logging
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile import scale
from sippet_reconcile.cdr.read import request_of
from sippet_reconcile.cdr.whole.links import Links
from sippet_reconcile.demo import sample_data
from sippet_reconcile.scale import reading
from sippet_reconcile.scale.units import Cut, Together, units_of
from tests.benchmarks.generate_formats import FORMATS, generate

ROW = '"{name}","1001","+442079460{n:03d}","default","{at}","{at}","{at}","65","60","NORMAL_CLEARING","8c1f3c52-0000-4000-8000-{n:012d}","","1001","",""'
ZONE = "Europe/London"
COLUMNS = {"started_at": "Start", "billable_s": "Talk", "call_key": "Id"}


def outcome(read: Any, *args: Any, **options: Any) -> pd.DataFrame | tuple[Any, ...]:
    """Return the legs, or what went wrong, and where."""
    try:
        legs = read(*args, progress=False, **options)
    except (sr.InputError, sr.CdrFormatError) as exc:
        return type(exc), str(exc), getattr(exc, "path", None), getattr(exc, "line", None)
    return pd.DataFrame(legs) if isinstance(legs, pd.DataFrame) else legs.compute().reset_index(drop=True)


def assert_same(paths: Any, blocksize: int, **options: Any) -> Any:
    """Hold what is read in blocks against what is read in one go."""
    whole = outcome(sr.read_cdr, paths, **options)
    blocks = outcome(scale.read_cdr, paths, blocksize=blocksize, **options)
    if isinstance(whole, tuple) or isinstance(blocks, tuple):
        assert blocks == whole
    else:
        pd.testing.assert_frame_equal(blocks, whole)
    return whole


@pytest.fixture
def concluded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what became of each file in blocks: read (list), read again (Cut), or read as a whole (Together)."""
    found: list[str] = []
    conclude = reading._Reader._concluded

    def noted(*args: Any) -> Any:
        answer = conclude(*args)
        found.append(type(answer).__name__)
        return answer

    monkeypatch.setattr(reading._Reader, "_concluded", noted)
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_of_lines_is_read_in_blocks_as_in_one_go(tmp_path: Path, name: str) -> None:
    path = tmp_path / "cdr.csv"
    generate(path, name, 200, seed=3)
    export = FORMATS[name]
    legs = assert_same(path, 6_000, timezone=export.timezone, format=export.format)
    assert len(legs) > 150


@settings(max_examples=4, deadline=None)
@given(blocksize=st.integers(8_000, 200_000))
def test_wherever_a_file_is_cut_its_legs_are_the_same(blocksize: int) -> None:
    assert_same(sample_data() / "asterisk" / "Master.csv", blocksize, country="GB")


def test_files_of_several_formats_are_linked_as_in_one_go() -> None:
    paths = [sample_data() / "asterisk" / "Master.csv", sample_data() / "freeswitch" / "Master.csv"]
    legs = assert_same(paths, 50_000, timezone="UTC", country="GB")
    assert legs["format"].nunique() == 2


def test_a_record_that_goes_on_behind_its_block_is_read_from_the_beginning(
    tmp_path: Path, concluded: list[str]
) -> None:
    rows = [f'2026-10-01 09:{n:02d}:00,60,call-{n},"a note"' for n in range(40)]
    rows[23] = rows[23].replace("a note", f"{'a' * 90}\n" * 6)
    path = tmp_path / "cdr.csv"
    path.write_text("\n".join(["Start,Talk,Id,Note", *rows]) + "\n", encoding="utf-8")
    legs = assert_same(path, 500, columns=COLUMNS, timezone=ZONE)
    assert concluded == ["Together"]
    assert len(legs) == 40


def test_blocks_are_read_again_by_what_a_later_one_tells(
    tmp_path: Path, concluded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 1_000)  # the guess sees no more
    # Up to the twelfth a date may be read either way; from the thirteenth on it is told.
    header = "Start,Talk,Id"
    rows = [f"{day:02d}/10/2026 09:00:00,60,call-{day:03d}-{n}" for day in range(1, 28) for n in range(20)]
    path = tmp_path / "cdr.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    legs = assert_same(path, 1_000, columns=COLUMNS, timezone="UTC")
    assert concluded == ["Cut", "Cut", "list"]  # the order of dates, then the clock
    assert legs["started_at"].max() == pd.Timestamp("2026-10-27T09:00:00Z")


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [ROW.format(name="Ann", n=n, at="2026-10-01 09:00:00") for n in range(60)]
    path = tmp_path / "Master.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    conclude = reading.conclude

    def somebody_writes(*args: Any) -> Any:
        with path.open("a", encoding="utf-8") as file:
            file.write(rows[0] + "\n")
        return conclude(*args)

    monkeypatch.setattr(reading, "conclude", somebody_writes)
    with pytest.raises(sr.InputError, match=r"Master\.csv changed while it was read"):
        scale.read_cdr(path, blocksize=2_000, timezone=ZONE, progress=False)


def test_a_file_whose_blocks_never_agree_is_read_as_a_whole(
    tmp_path: Path, concluded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 1_000)
    monkeypatch.setattr(reading, "_ROUNDS", 1)
    rows = [f"{day:02d}/10/2026 09:00:00,60,call-{day:03d}-{n}" for day in range(1, 28) for n in range(20)]
    path = tmp_path / "cdr.csv"
    path.write_text("\n".join(["Start,Talk,Id", *rows]) + "\n", encoding="utf-8")
    assert_same(path, 1_000, columns=COLUMNS, timezone="UTC")
    assert concluded == ["Cut"]


def test_lines_are_those_of_the_file_and_so_is_the_line_of_an_error(
    tmp_path: Path, concluded: list[str]
) -> None:
    rows = [ROW.format(name="Ann", n=n, at="2026-10-01 09:00:00") for n in range(60)]
    path = tmp_path / "Master.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    legs = assert_same(path, 2_000, timezone=ZONE)
    assert legs["source_row"].tolist() == list(range(1, 61))
    assert assert_same(path, 2_000)[0] is sr.InputError  # nobody said the zone
    path.write_bytes(path.read_bytes() + b"\0\0\0 \n" * 3)
    assert_same(path, 2_000, timezone=ZONE)
    assert concluded[0] == "list"


def test_a_column_to_keep_is_looked_for_in_all_blocks() -> None:
    path = sample_data() / "freeswitch" / "Master.csv"
    legs = assert_same(path, 40_000, timezone=ZONE, keep=["accountcode"])
    assert legs["x_accountcode"].notna().any()
    told = assert_same(path, 40_000, timezone=ZONE, keep=["colour"])
    assert "colour" in told[1]


def test_packed_files_archives_and_open_files_are_read_as_a_whole(tmp_path: Path) -> None:
    content = (sample_data() / "freeswitch" / "Master.csv").read_bytes()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content[:50_000]))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("one.csv", content[:30_000])
        archive.writestr("two.csv", content[30_000:60_000])
    (tmp_path / "c.csv").write_bytes(content)
    assert_same(str(tmp_path / "*"), 20_000, timezone=ZONE)
    whole = outcome(sr.read_cdr, io.BytesIO(content), timezone=ZONE)
    blocks = outcome(scale.read_cdr, io.BytesIO(content), timezone=ZONE)
    pd.testing.assert_frame_equal(blocks, whole)


def test_small_files_are_put_together_and_large_ones_cut(tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / f"{n}.csv").write_text(
            ROW.format(name="Ann", n=n, at="2026-10-01 09:00:00") + "\n", encoding="utf-8"
        )
    large = [ROW.format(name="Ann", n=n, at="2026-10-01 09:00:00") for n in range(50)]
    (tmp_path / "2.csv").write_text("\n".join(large) + "\n", encoding="utf-8")
    request = request_of(
        "auto", timezone=ZONE, country=None, keep=(), columns=None, dayfirst=None, delimiter=None, status_map=None,
        internal_numbers=(), strip_prefixes=(),
    )  # fmt: skip
    units = list(units_of(sorted(tmp_path.glob("*")), request, 3_000))
    assert [type(unit) for unit in units] == [Together, Cut, Together]
    assert [len(unit.files) for unit in units if isinstance(unit, Together)] == [2, 2]
    assert_same(str(tmp_path / "*"), 3_000, timezone=ZONE)


def test_a_file_without_a_record_is_a_partition_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    legs = scale.read_cdr(path, keep=["accountcode"], progress=False)
    expected = pd.DataFrame(sr.read_cdr(path, keep=["accountcode"], progress=False))
    pd.testing.assert_frame_equal(legs.compute(), expected)


def test_what_another_process_would_log_is_logged_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    request = request_of(
        "auto", timezone=ZONE, country=None, keep=(), columns=None, dayfirst=None, delimiter=None, status_map=None,
        internal_numbers=(), strip_prefixes=(),
    )  # fmt: skip
    _, told = reading._read_together((path,), request, Links(is_one_file=True), pid=-1)
    assert [record.getMessage() for record in told.log] == ["empty.csv holds no record"]
    _, told = reading._read_together((path,), request, Links(is_one_file=True), pid=reading.os.getpid())
    assert told.log == []
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        scale.read_cdr(path, timezone=ZONE, progress=False)
    assert caplog.messages == ["empty.csv holds no record"]


@pytest.mark.parametrize("blocksize", [0, -1, 1.5, "many"])
def test_a_size_of_blocks_that_is_none_is_refused(blocksize: Any) -> None:
    with pytest.raises(sr.InputError, match="blocksize is"):
        scale.read_cdr(sample_data() / "freeswitch" / "Master.csv", blocksize=blocksize, progress=False)


def test_what_is_read_in_blocks_reconciles_as_what_is_read_in_one_go(same: Any) -> None:
    path = sample_data() / "freeswitch" / "Master.csv"
    calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    options = {"timezone": ZONE, "country": "GB", "progress": False}
    whole = sr.reconcile(sr.read_cdr(path, **options), calls, progress=False)
    spread = scale.reconcile(scale.read_cdr(path, blocksize=100_000, **options), calls, progress=False)
    same(whole, spread)
