"""The sample months: written again they are the same, they are fiction, and their README tells the truth.

The files are read here with the standard library, so that nothing of the package vouches for itself; that it reads the
card is asked at the end.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sippet_reconcile import MonthConfig, RateCard

SAMPLE = Path(__file__).parent.parent / "sample_data"
DATA_FILES = sorted(
    str(p.relative_to(SAMPLE)) for p in SAMPLE.rglob("*") if p.is_file() and p.suffix not in {".py", ".pyc"}
)
FICTION = re.compile(
    r"""(\+44|0044|0) (2079460\d{3} | 1632960\d{3} | 7700900\d{3})
      | (\+|00) 1 \d{3} 55501\d{2}
      | (client:)? 10(0[1-9]|1[0-2])""",
    re.VERBOSE,
)


def rows_of(name: str) -> list[list[str]]:
    with (SAMPLE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def records_of(name: str) -> list[dict[str, str]]:
    with (SAMPLE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def api_calls(name: str = "api/calls.json") -> list[dict[str, object]]:
    document = json.loads((SAMPLE / name).read_text(encoding="utf-8"))
    return [{"id": r["id"], **r["attributes"]} for r in document["data"]]


def errors(name: str = "planted.csv") -> list[dict[str, str]]:
    return [row for row in records_of(name) if row["field"]]


def test_generator_writes_every_file_again_to_the_byte(tmp_path: Path) -> None:
    script = [sys.executable, "-B", str(SAMPLE / "generate.py"), str(tmp_path)]
    subprocess.run(script, check=True)
    written = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert written == DATA_FILES
    for name in written:
        assert (tmp_path / name).read_bytes() == (SAMPLE / name).read_bytes(), f"{name} differs"


def test_sample_stays_small() -> None:
    assert sum((SAMPLE / name).stat().st_size for name in DATA_FILES) < 4_000_000


def test_only_numbers_reserved_for_fiction_occur() -> None:
    numbers: set[str] = set()
    for row in [*rows_of("freeswitch/Master.csv"), *rows_of("november/freeswitch/Master.csv")]:
        numbers |= {row[1], row[2]}
    for row in rows_of("asterisk/Master.csv"):
        numbers |= {row[1], row[2], *re.findall(r"<(.*?)>", row[4])}
        numbers |= set(re.findall(r"PJSIP/(\d+)", f"{row[5]} {row[6]} {row[8]}"))
    for row in records_of("twilio/calls.csv"):
        numbers |= {row["from"], row["to"]}
    for name in DATA_FILES:
        if name.startswith("twilio/calls-"):
            for call in json.loads((SAMPLE / name).read_text(encoding="utf-8"))["calls"]:
                numbers |= {call["from"], call["to"]}
    for call in [*api_calls(), *api_calls("november/api/calls.json")]:
        numbers |= {str(call["from_number"]), str(call["to_number"])}
    assert len(numbers) > 500
    assert sorted(n for n in numbers if not FICTION.fullmatch(n)) == []


@pytest.mark.parametrize(
    "real", ["+442079461000", "02079450123", "+447700901000", "+12025550200", "client:2001"]
)
def test_fiction_pattern_would_catch_a_real_number(real: str) -> None:
    assert not FICTION.fullmatch(real)


def readme_rows(heading: str) -> list[list[str]]:
    section = (SAMPLE / "README.md").read_text(encoding="utf-8").split(heading, 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().strip("`*") for cell in line.strip("|").split("|")] for line in lines]


def test_readme_counts_of_files_are_true() -> None:
    counted = {
        "freeswitch/Master.csv": len(rows_of("freeswitch/Master.csv")),
        "asterisk/Master.csv": len(rows_of("asterisk/Master.csv")),
        "twilio/calls.csv": len(records_of("twilio/calls.csv")),
        "twilio/calls-2026-10-14.json": len(
            json.loads((SAMPLE / "twilio/calls-2026-10-14.json").read_text(encoding="utf-8"))["calls"]
        ),
        "api/calls.json": len(api_calls()),
        "planted.csv": len(records_of("planted.csv")),
        "november/freeswitch/Master.csv": len(rows_of("november/freeswitch/Master.csv")),
        "november/api/calls.json": len(api_calls("november/api/calls.json")),
        "november/planted.csv": len(records_of("november/planted.csv")),
        "rates.csv": len(records_of("rates.csv")),
    }
    told = {row[0]: int(row[1].replace(",", "")) for row in readme_rows("## The files")}
    assert told == counted


@pytest.mark.parametrize(
    ("heading", "name"),
    [("## What is planted", "planted.csv"), ("## November", "november/planted.csv")],
    ids=["october", "november"],
)
def test_readme_counts_of_planted_errors_are_true(heading: str, name: str) -> None:
    told = {row[0]: tuple(int(cell.replace(",", "")) for cell in row[2:]) for row in readme_rows(heading)}
    by_kind: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in errors(name):
        by_kind[row["kind"]].append(row)
        by_kind["in all"].append(row)
    counted = {}
    for kind, rows in by_kind.items():
        hands_off = {r["call_id"] for r in rows if r["patchable"] == "no"}
        ids = {r["call_id"] for r in rows}
        counted[kind] = (len(ids), len(rows), len(ids - hands_off))
    assert told == counted


def test_readme_counts_of_everything_else_are_true() -> None:
    text = (SAMPLE / "README.md").read_text(encoding="utf-8")
    alone = Counter(row["kind"] for row in records_of("planted.csv") if not row["field"])
    calls = {str(call["id"]): call for call in api_calls()}
    only_api = [r["call_id"] for r in records_of("planted.csv") if r["kind"] == "only-in-api"]
    stuck = sum(calls[i]["ended_at"] is None for i in only_api)
    assert f"{alone['only-in-cdr']} calls that only the exports have, and {len(only_api)} that only" in text
    assert f"{stuck} of them never ended" in text
    assert (
        f"{alone['never-started']} calls that never started, and {alone['open']} that was still open" in text
    )
    assert alone["never-started"] == sum(call["started_at"] is None for call in calls.values())
    internal = [r for r in rows_of("freeswitch/Master.csv") if len(r[1]) == 4 and len(r[2]) == 4]
    assert f"{len(internal)} internal calls" in text
    ambiguous = {r["call_id"] for r in errors() if r["note"].startswith("ambiguous")}
    assert f"{2 * len(ambiguous)} calls in {len(ambiguous)} redials" in text


@pytest.mark.parametrize("folder", ["", "november/"], ids=["october", "november"])
def test_planted_values_are_what_the_platform_has(folder: str) -> None:
    calls = {str(call["id"]): call for call in api_calls(f"{folder}api/calls.json")}
    for row in errors(f"{folder}planted.csv"):
        value = calls[row["call_id"]][row["field"]]
        assert row["value_call"] == ("" if value is None else str(value))
        assert row["value_call"] != row["value_true"]


def test_a_few_hundred_records_are_wrong_and_fewer_than_a_fifth() -> None:
    wrong = {row["call_id"] for row in errors()}
    assert 200 < len(wrong) < 0.15 * len(api_calls())


def utc(text: object) -> datetime:
    return datetime.fromisoformat(str(text))


def test_each_export_alone_proves_the_planted_durations_and_ends() -> None:
    by_uuid = {row[10]: row for row in rows_of("freeswitch/Master.csv")}
    by_userfield: dict[str, dict[tuple[str, ...], list[str]]] = defaultdict(dict)
    for row in rows_of("asterisk/Master.csv"):
        by_userfield[row[17]][tuple(row)] = row
    parents = [row for row in records_of("twilio/calls.csv") if not row["parent_call_sid"]]
    by_numbers: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in parents:
        by_numbers[row["from"], row["to"]].append(row)
    calls = {str(call["id"]): call for call in api_calls()}
    london = ZoneInfo("Europe/London")
    proved = Counter[str]()
    for row in errors():
        call, field, truth = calls[row["call_id"]], row["field"], row["value_true"]
        if field not in {"duration_seconds", "ended_at"}:
            continue
        fs = by_uuid.get(str(call["call_uuid"]))
        if fs:
            ended = datetime.fromisoformat(fs[6]).replace(tzinfo=london).astimezone(UTC)
            assert truth == (fs[8] if field == "duration_seconds" else f"{ended:%Y-%m-%dT%H:%M:%SZ}")
            proved["freeswitch"] += 1
        legs = list(by_userfield.get(str(call["call_uuid"]), {}).values())
        if legs:
            billed, last = sum(int(leg[13]) for leg in legs), max(leg[11] for leg in legs)
            assert truth == (str(billed) if field == "duration_seconds" else last.replace(" ", "T") + "Z")
            proved["asterisk"] += 1
        if row["note"].startswith("ambiguous"):
            continue
        near = {
            r["sid"]: r
            for r in by_numbers[str(call["from_number"]), str(call["to_number"])]
            if abs(parsedate_to_datetime(r["start_time"]) - utc(call["started_at"])) <= timedelta(seconds=60)
        }
        assert len(near) == 1
        twin = next(iter(near.values()))
        ended = parsedate_to_datetime(twin["end_time"])
        assert truth == (
            (twin["duration"] or "0") if field == "duration_seconds" else f"{ended:%Y-%m-%dT%H:%M:%SZ}"
        )
        proved["twilio"] += 1
    assert min(proved.values()) > 300


def test_the_night_of_the_clocks_and_both_midnights_are_in_it() -> None:
    starts = [datetime.fromisoformat(row[4]) for row in rows_of("freeswitch/Master.csv")]
    repeated = [s for s in starts if datetime(2026, 10, 25, 1) <= s < datetime(2026, 10, 25, 2)]  # noqa: DTZ001 - the export's own local time
    assert len(repeated) >= 5
    for midnight in ("2026-10-01", "2026-11-01"):
        day = datetime.fromisoformat(midnight)
        assert any(timedelta(0) < day - s < timedelta(minutes=30) for s in starts)
        assert any(timedelta(0) <= s - day < timedelta(minutes=30) for s in starts)


LONDON = ZoneInfo("Europe/London")
FILES = ("freeswitch/Master.csv", "november/freeswitch/Master.csv")
MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
ROTATED = datetime(2026, 11, 1, 3, tzinfo=UTC)
NEXT_MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)


def local(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp).replace(tzinfo=LONDON).astimezone(UTC)


def test_the_switch_rotated_its_file_when_october_was_exported() -> None:
    october, november = ({row[10]: row for row in rows_of(name)} for name in FILES)
    assert not set(october) & set(november)
    assert (
        max(local(row[6]) for row in october.values())
        < ROTATED
        < min(local(row[6]) for row in november.values())
    )
    assert sum(MIDNIGHT <= local(row[4]) < ROTATED for row in october.values()) == 5


def test_the_call_that_was_open_is_october_s_and_its_cdr_is_in_november_s_file() -> None:
    (still_open,) = [row["call_id"] for row in records_of("planted.csv") if row["kind"] == "open"]
    (before,) = [call for call in api_calls() if call["id"] == still_open]
    (after,) = [call for call in api_calls("november/api/calls.json") if call["id"] == still_open]
    october, november = ({row[10]: row for row in rows_of(name)} for name in FILES)
    assert (before["ended_at"], utc(before["started_at"]) < MIDNIGHT) == (None, True)
    assert before["call_uuid"] not in october
    cdr = november[str(after["call_uuid"])]
    assert (after["status"], str(after["duration_seconds"])) == ("completed", cdr[8])
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"status", "ended_at", "duration_seconds"}


def test_november_s_records_begin_an_hour_before_the_month_with_october_s_last_ones() -> None:
    since = MIDNIGHT - timedelta(hours=1)
    october = {str(c["id"]): c for c in api_calls() if c["started_at"] and utc(c["started_at"]) >= since}
    november = {str(c["id"]): c for c in api_calls("november/api/calls.json")}
    assert min(utc(c["started_at"]) for c in november.values() if c["started_at"]) >= since
    assert set(october) <= set(november)
    differing = {key for key, call in october.items() if november[key] != call}
    assert differing == {row["call_id"] for row in records_of("planted.csv") if row["kind"] == "open"}
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    assert f"{len(october)} of them are in October's records too" in readme


def test_november_has_calls_on_both_sides_of_both_midnights() -> None:
    starts = [utc(c["started_at"]) for c in api_calls("november/api/calls.json") if c["started_at"]]
    for midnight in (MIDNIGHT, NEXT_MIDNIGHT):
        assert sum(timedelta(0) < midnight - s < timedelta(minutes=30) for s in starts) >= 3
        assert sum(timedelta(0) <= s - midnight < timedelta(minutes=30) for s in starts) >= 3
    inside = [s for s in starts if MIDNIGHT <= s < NEXT_MIDNIGHT]
    assert 600 < len(inside) < 800
    wrong = {row["call_id"] for row in errors("november/planted.csv")}
    assert 50 < len(wrong) < 0.15 * len(inside)


def test_both_files_together_prove_what_is_planted_in_november() -> None:
    by_uuid = {row[10]: row for name in FILES for row in rows_of(name)}
    calls = {str(call["id"]): call for call in api_calls("november/api/calls.json")}
    proved = 0
    for row in errors("november/planted.csv"):
        cdr = by_uuid.get(str(calls[row["call_id"]]["call_uuid"]))
        if cdr and row["field"] != "status":
            ended = f"{local(cdr[6]):%Y-%m-%dT%H:%M:%SZ}"
            assert row["value_true"] == (cdr[8] if row["field"] == "duration_seconds" else ended)
            proved += 1
    assert proved > 80


def test_what_is_another_month_s_business_in_october_is_november_s_to_correct() -> None:
    theirs = [row for row in errors() if row["note"].startswith("outside the month")]
    ours = {(row["call_id"], row["field"]): row for row in errors("november/planted.csv")}
    (late,) = [row for row in theirs if row["call_id"] in {key for key, _ in ours}]
    (wrong,) = [row for (call_id, _), row in ours.items() if call_id == late["call_id"]]
    assert (late["patchable"], wrong["patchable"]) == ("no", "yes")
    assert wrong["note"] == "its CDR is in October's file only"


def test_rates_cover_what_was_called_but_for_one_place_that_the_readme_names() -> None:
    prefixes = {row["prefix"] for row in records_of("rates.csv")}
    called = {
        str(call["to_number"]).lstrip("+")
        for name in ("api/calls.json", "november/api/calls.json")
        for call in api_calls(name)
    }
    assert {p for p in prefixes if not any(number.startswith(p) for number in called)} == set()
    uncovered = {number for number in called if not any(number.startswith(p) for p in prefixes)}
    assert {number[:4] for number in uncovered} == {"1646"}
    assert "numbers that begin with 1 646" in (SAMPLE / "README.md").read_text(encoding="utf-8")


def test_rates_show_what_a_card_may_say() -> None:
    rows = records_of("rates.csv")
    assert {row["currency"] for row in rows if row["prefix"].startswith("44")} == {"GBP"}
    assert {row["currency"] for row in rows if row["prefix"].startswith("1")} == {"USD"}
    assert {(row["initial_s"], row["increment_s"]) for row in rows} == {
        ("1", "1"),
        ("30", "6"),
        ("60", "60"),
        ("6", "6"),
    }
    assert {row["prefix"] for row in rows if row["valid_to"] == "2026-11-01"} == {"4420", "447700"}
    assert [row["prefix"] for row in rows if row["user"]] == ["447700"]
    assert [row["rate_per_minute"] for row in rows if row["direction"] == "inbound"] == ["0"]
    assert any(float(row["connect_fee"]) > 0 for row in rows)


def test_the_package_reads_the_card_and_the_configuration() -> None:
    card = RateCard.from_csv(SAMPLE / "rates.csv")
    assert (len(card.rows), set(card.currencies)) == (11, {"GBP", "USD"})
    config = MonthConfig.from_toml(SAMPLE / "month.toml")
    files = [SAMPLE / name for name in (*config.sources[0].files, str(config.rate_card))]
    assert [path.is_file() for path in files] == [True] * 3
    assert (config.timezone, config.rules.duration, len(config.rules.internal_numbers)) == (
        "Europe/London",
        "billable",
        12,
    )
