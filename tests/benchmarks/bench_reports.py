"""How long does the page of 5,000 changes take to write and to use, beside plain tables of the same values?

Usage: python tests/benchmarks/bench_reports.py [--rows 160000] [--rounds 5] [--json OUT.json]

The plan comes from a month of generate.py with the differences of bench_reconcile.py; its page
holds the 5,000 most significant changes and the evidence of each call. The peers write a frame
with the same columns, evidence included, as one plain table: ``DataFrame.to_html`` and
``Styler.to_html``, without masking, charts, search or order. Each writing is a fresh process
that writes three times; the rounds go over all writers in turn, so that a busy machine slows
them all. Chromium then opens the pages from files, each in a browser of its own, and what a reader
does is timed from the event to the next frame. Shown are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
from bench_reconcile import COUNTRY, ZONE, derive_calls, write_record
from generate import generate

import sippet_reconcile as sr

RESULTS = Path(__file__).with_name("results") / "bench_reports.json"
REPEATS = 3
OURS, OURS_WHOLE = "page", "dry_run() and page"
PEERS = ("DataFrame.to_html", "Styler.to_html")
WRITERS = (OURS, OURS_WHOLE, *PEERS)

TO_NEXT_FRAME = """act => new Promise(done => {
  const start = performance.now();
  eval(act);
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start), 0));
})"""
TYPE = "{const i = document.querySelector('.tools input'); i.value = '%s'; i.dispatchEvent(new Event('input', {bubbles: true}))}"
PICK = "{const s = document.querySelector('.tools select'); s.selectedIndex = %d; s.dispatchEvent(new Event('input', {bubbles: true}))}"
PRESS = "document.querySelectorAll('.paged thead button')[%d].click()"
ACTS = {
    "search, the first": TYPE % "outbound ring",
    "search, another": TYPE % "1234",
    "search, cleared": TYPE % "",
    "filter": PICK % 1,
    "filter, all": PICK % 0,
    "sort by start": PRESS % 0,
    "sort by start, down": PRESS % 0,
    "sort by the value before": PRESS % 6,
    "show 100 more": "document.querySelector('.next').click()",
}


def prepare(folder: Path, rows: int) -> None:
    """Save a plan of more changes than a page holds."""
    generate(folder / "Master.csv", rows)
    legs = sr.read_cdr(folder / "Master.csv", timezone=ZONE, country=COUNTRY, progress=False)
    rec = sr.reconcile(legs, derive_calls(legs), rules=sr.Rules(duration="billable"), progress=False)
    statuses = tuple(rec.calls["status"].dropna().unique())
    sr.build_plan(rec, statuses=statuses, accept=rec.findings.codes).save(folder / "plan.parquet")


def writer(folder: Path, name: str) -> Callable[[], str]:
    """Return what writes a page, its input in memory."""
    plan = sr.Plan.load(folder / "plan.parquet")
    report = plan.dry_run()
    part = next(one for one in report.document.sections if one.group_by)
    assert part.frame is not None
    assert part.evidence is not None
    if name == OURS:
        return report.html
    if name == OURS_WHOLE:
        return lambda: plan.dry_run().html()
    proof = part.evidence.add_prefix("evidence_").reset_index(drop=True)
    sizes = pd.Series(part.block_sizes())
    flat = part.frame.reset_index(drop=True).join(proof.loc[proof.index.repeat(sizes)].reset_index(drop=True))
    return flat.to_html if name == "DataFrame.to_html" else flat.style.to_html


def measure(folder: Path, name: str) -> dict[str, Any]:
    """Write a few times in this process, leave the page in the folder and say what it took."""
    write = writer(folder, name)
    walls, processor = [], []
    for _ in range(REPEATS):
        before, cpu = time.perf_counter(), time.process_time()
        text = write()
        walls.append(time.perf_counter() - before)
        processor.append(time.process_time() - cpu)
    (folder / f"{WRITERS.index(name)}.html").write_text(text, encoding="utf-8")
    return {
        "first_s": walls[0],
        "wall_s": median(walls),
        "cpu_s": median(processor),
        "mb": len(text.encode()) / 1e6,
    }


def in_fresh_process(folder: Path, name: str) -> dict[str, Any]:
    """Write in a process of its own."""
    command = [sys.executable, __file__, "--measure", name, "--folder", str(folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(found.stdout)
    return result


def in_browser(path: Path, chromium: str, acts: dict[str, str]) -> dict[str, float]:
    """Open a page and do what a reader does; return milliseconds."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where a browser is at hand

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        # The page's own policy allows no eval; what is measured is the same without it.
        page = browser.new_context(bypass_csp=True, viewport={"width": 1400, "height": 900}).new_page()
        page.goto(path.as_uri())
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))")
        taken: dict[str, float] = {
            "loaded": page.evaluate("() => performance.getEntriesByType('navigation')[0].loadEventEnd"),
            "first paint": page.evaluate(
                "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
            ),
        }
        for name, act in acts.items():
            taken[name] = page.evaluate(f"({TO_NEXT_FRAME})({json.dumps(act)})")
        browser.close()
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=160_000, help="legs of the month")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--chromium", default="/usr/bin/chromium", help="the browser; where there is none it is left out"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures are written too")
    parser.add_argument("--measure", choices=WRITERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.folder, arguments.measure)))
        return
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in WRITERS}
    opened: dict[str, list[dict[str, float]]] = {OURS: [], **{name: [] for name in PEERS}}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        prepare(folder, arguments.rows)
        plan = sr.Plan.load(folder / "plan.parquet")
        shown = next(one for one in plan.dry_run().document.sections if one.group_by)
        n_changes = len(shown.frame) if shown.frame is not None else 0
        counts = {"changes": len(plan.changes), "shown": n_changes, "calls": len(shown.block_sizes())}
        print(
            ", ".join(f"{name} {count:,}" for name, count in counts.items()), f"load {os.getloadavg()[0]:.1f}"
        )
        for _ in range(arguments.rounds):
            for name, results in runs.items():
                results.append(in_fresh_process(folder, name))
            if not Path(arguments.chromium).exists():
                continue
            for name, taken in opened.items():
                path = folder / f"{WRITERS.index(name)}.html"
                taken.append(in_browser(path, arguments.chromium, ACTS if name == OURS else {}))
    wrote = {
        name: {key: median(one[key] for one in results) for key in results[0]}
        for name, results in runs.items()
    }
    print(f"{'writer':22s} {'wall s':>8s} {'first':>8s} {'cpu s':>8s} {'MB':>6s} {'x page':>7s}")
    for name, row in wrote.items():
        ratio = row["wall_s"] / wrote[OURS]["wall_s"]
        print(
            f"{name:22s} {row['wall_s']:8.3f} {row['first_s']:8.3f} {row['cpu_s']:8.3f} {row['mb']:6.2f} {ratio:7.2f}"
        )
    browsed = {
        name: {key: median(one[key] for one in taken) for key in taken[0]}
        for name, taken in opened.items()
        if taken
    }
    for name, row in browsed.items():
        for key, value in row.items():
            print(f"{name:22s} {key:50s} {value:8.0f} ms")
    write_record(
        arguments.json, {**counts, "load": os.getloadavg(), "writing": wrote, "browsing_ms": browsed}
    )


if __name__ == "__main__":
    main()
