"""What the rounds come to: medians, ratios, whether targets are met, and what is wrong.

Input are the measured cases, output is one record for JSON and the same as Markdown.
"""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks.environments import OWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.case import Target
    from tests.benchmarks.environments import Environment
    from tests.benchmarks.rounds import Measured, Planned

__all__ = ["case_row", "judge", "tables", "to_markdown", "wrong_results"]

_TIMES: Final = ("wall_s", "cpu_s")
_MEMORY: Final = ("peak_mb", "growth_mb")
Row = dict[str, Any]


def case_row(measured: Measured) -> Row:
    """Return the medians of one case, its best times and its worst memory."""
    row: Row = {
        "group": measured.group, "size": measured.size, "case": measured.case.name,
        "environment": measured.environment.name,
    }  # fmt: skip
    if measured.error or not measured.rounds:
        return {**row, "error": measured.error or "no round was run"}
    rounds = measured.rounds
    for name in _TIMES:
        row[name] = median(one[name] for one in rounds)
        row[f"{name}_best"] = min(one[name] for one in rounds)
    for name in _MEMORY:
        row[name] = max(one[name] for one in rounds)
    figures = rounds[0]["figures"]
    row["figures"] = {name: median(one["figures"][name] for one in rounds) for name in figures}
    row["found"] = rounds[0]["found"]
    row["rounds"] = [{name: one[name] for name in (*_TIMES, *_MEMORY)} for one in rounds]
    return row


def tables(planned: Iterable[Planned]) -> list[Row]:
    """Return a row for each case, with its ratios to the base of its group."""
    rows: list[Row] = []
    for one in planned:
        own = [case_row(measured) for measured in one.measured]
        base = next((row for row in own if row["case"] == one.group.base and "error" not in row), None)
        for row in own:
            if base is not None and "error" not in row:
                row["x_wall"], row["x_cpu"] = (
                    row[name] / base[name] if base[name] else None for name in _TIMES
                )
        rows += own
    return rows


def wrong_results(planned: Iterable[Planned]) -> list[str]:
    """Say what failed, what differs between rounds, and what is not as it was planted."""
    wrong: list[str] = []
    for one in planned:
        found: dict[str, dict[str, Any]] = {}
        for measured in one.measured:
            if measured.error:
                wrong.append(measured.error)
            elif measured.rounds:
                told = {json.dumps(each["found"], sort_keys=True) for each in measured.rounds}
                if len(told) > 1:
                    wrong.append(f"{measured.group}/{measured.case.name}: the rounds differ: {sorted(told)}")
                found[measured.case.name] = measured.rounds[0]["found"]
        wrong += [f"{one.group.name}, {one.size:,}: {text}" for text in one.group.wrong(one.folder, found)]
    return wrong


def judge(planned: Iterable[Planned], rows: list[Row]) -> list[Row]:
    """Return what is aimed at, what was measured and whether that is met; nothing where a side is missing."""
    by_place = {(f"{row['group']}/{row['case']}", row["size"]): row for row in rows if "error" not in row}
    judged: list[Row] = []
    planned = list(planned)
    done: set[tuple[str, int]] = set()
    for one in planned:
        for target in one.group.targets:
            sizes = target.sizes or (one.size, _size_of(target, planned, one.size))
            key = (target.says, sizes[0])
            row, than = by_place.get((target.of, sizes[0])), by_place.get((target.than or "", sizes[1]))
            if key in done or row is None or (target.than and than is None):
                continue
            done.add(key)
            judged.append(_judged(target, row, than))
    return judged


def _size_of(target: Target, planned: list[Planned], size: int) -> int:
    """Return the size of what a case is held against: its group may have a size of its own."""
    group = (target.than or target.of).split("/")[0]
    sizes = [one.size for one in planned if one.group.name == group]
    return size if size in sizes or not sizes else sizes[0]


def _judged(target: Target, row: Row, than: Row | None) -> Row:
    def held_against(name: str) -> float:
        """Return a figure of the case over, or beyond, that of the other."""
        ours, theirs = (_figure(one, name) if one is not None else None for one in (row, than))
        assert ours is not None
        if theirs is None:
            return ours
        return ours - theirs if target.how == "more" else ours / theirs

    is_time = target.measure in _TIMES
    measured = held_against(target.measure)
    at_best = held_against(f"{target.measure}_best") if is_time else None
    by_processor = held_against("cpu_s") if is_time else None
    is_met = measured >= target.limit if target.least else measured <= target.limit
    return {
        "size": row["size"], "says": target.says, "measured": measured, "at_best": at_best, "by_processor": by_processor, "limit": target.limit,
        "least": target.least, "met": is_met, "measure": target.measure,
    }  # fmt: skip


def _figure(row: Row, name: str) -> float:
    return float(row[name] if name in row else row["figures"][name])


def to_markdown(record: Row) -> str:
    """Return the record as Markdown: where things stand, then a table for each group."""
    lines = [f"# Benchmarks, {record['at']}", "", _about(record), ""]
    if record["wrong"]:
        lines += ["**Wrong results**", "", *(f"- {text}" for text in record["wrong"]), ""]
    if record["targets"]:
        lines += [
            "| target | size | measured | at best | by processor | goal | met |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in record["targets"]:
            goal = f"{'≥' if row['least'] else '≤'} {row['limit']:g}"
            told = (row[name] for name in ("measured", "at_best", "by_processor"))
            figures = " | ".join("" if value is None else _short(value) for value in told)
            lines.append(
                f"| {row['says']} | {row['size']:,} | {figures} | {goal} | {'yes' if row['met'] else '**no**'} |"
            )
        lines.append("")
    for group in record["groups"]:
        rows = [
            row for row in record["results"] if (row["group"], row["size"]) == (group["name"], group["size"])
        ]
        lines += [
            f"## {group['name']}, {group['size']:,} {group['unit']}",
            "",
            group["says"],
            "",
            *_table(rows, group["base"]),
            "",
        ]
    lines += [f"- {text}" for text in record["skipped"]]
    return "\n".join(lines).rstrip() + "\n"


def _about(record: Row) -> str:
    load = " to ".join(f"{value:.1f}" for value in record["load"])
    versions = "; ".join(
        f"{name}: {', '.join(f'{library} {version}' for library, version in told.items())}"
        for name, told in record["versions"].items()
    )
    return (
        f"{record['machine']}, load {load}; {record['rounds']} rounds of fresh processes, {record['repeats']} run(s) in "
        f"each; medians, the best in brackets; memory is the most of all rounds. {versions}."
    )


def _table(rows: list[Row], base: str) -> list[str]:
    lines = [
        f"| case | wall | processor | peak | growth | wall, times {base} | processor, times |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = row["case"] if row["environment"] == OWN else f"{row['case']} ({row['environment']})"
        if "error" in row:
            lines.append(f"| {name} | failed | | | | | |")
            continue
        times = " | ".join(f"{_seconds(row[what])} ({_seconds(row[f'{what}_best'])})" for what in _TIMES)
        ratios = " | ".join(
            "" if row.get(what) is None else f"{row[what]:.2f}" for what in ("x_wall", "x_cpu")
        )
        lines.append(
            f"| {name} | {times} | {row['peak_mb']:,.0f} MB | {row['growth_mb']:,.0f} MB | {ratios} |"
        )
    figures = [(row["case"], row["figures"]) for row in rows if row.get("figures")]
    lines += [""] if figures else []
    lines += [
        f"- {case}: {', '.join(f'{name} {value:,.4g}' for name, value in told.items())}"
        for case, told in figures
    ]
    return lines


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _seconds(value: float) -> str:
    return f"{value:.3f} s" if value < 1 else f"{value:.2f} s"


def versions_of(environments: Iterable[Environment]) -> dict[str, dict[str, str]]:
    """Return what each environment has of libraries."""
    return {one.name: one.versions for one in environments}
