"""How long does the page of 5,000 changes take to write and to use, beside plain tables of the same values?

The page of a plan holds its 5,000 most significant changes and the evidence of each call.
The peers write a frame with the same columns, evidence included, as one plain table, without
masking, charts, search or order. Chromium then opens the pages from files, and what a reader
does is timed from the event to the next frame; its cases need playwright and a Chromium at
``CHROMIUM``, and what they show beside the wall is in milliseconds.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import sippet_reconcile as sr
from tests.benchmarks.case import Case, Group, Target
from tests.benchmarks.worlds import make_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.case import Step

__all__ = ["GROUP"]

OURS, WHOLE, TABLE, STYLER = "page", "dry_run() and page", "DataFrame.to_html", "Styler.to_html"
WRITERS = (OURS, WHOLE, TABLE, STYLER)
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")

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


def _prepare(folder: Path, size: int, _cache: Path) -> None:
    """Save a plan of more changes than a page holds, and the pages that a browser opens."""
    legs, calls = make_world("usual", size, folder)
    rec = sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"), progress=False)
    statuses = tuple(rec.calls["status"].dropna().unique())
    sr.build_plan(rec, statuses=statuses, accept=rec.findings.codes).save(folder / "plan.parquet")
    for place, name in enumerate(WRITERS):
        (folder / f"{place}.html").write_text(_writer(name)(folder)(), encoding="utf-8")


def _writer(name: str) -> Callable[[Path], Step]:
    def load(folder: Path) -> Step:
        plan = sr.Plan.load(folder / "plan.parquet")
        report = plan.dry_run()
        if name == OURS:
            return report.html
        if name == WHOLE:
            return lambda: plan.dry_run().html()
        part = next(one for one in report.document.sections if one.group_by)
        assert part.frame is not None
        assert part.evidence is not None
        proof = part.evidence.add_prefix("evidence_").reset_index(drop=True)
        sizes = pd.Series(part.block_sizes())
        flat = part.frame.reset_index(drop=True).join(
            proof.loc[proof.index.repeat(sizes)].reset_index(drop=True)
        )
        return flat.to_html if name == TABLE else flat.style.to_html

    return load


def _megabytes(text: str) -> dict[str, float]:
    return {"MB": len(text.encode()) / 1e6}


def _opens(name: str) -> Callable[[Path], Step]:
    def load(folder: Path) -> Step:
        path = folder / f"{WRITERS.index(name)}.html"
        return lambda: _in_browser(path, ACTS if name == OURS else {})

    return load


def _in_browser(path: Path, acts: dict[str, str]) -> dict[str, float]:
    """Open a page and do what a reader does; return milliseconds."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
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


def _as_they_are(taken: Any) -> dict[str, float]:
    return dict(taken)


OPENED = (
    tuple(
        Case(f"{name}, opened", _opens(name), figures=_as_they_are, needs=("playwright",))
        for name in (OURS, TABLE, STYLER)
    )
    if Path(CHROMIUM).exists()
    else ()
)
GROUP = Group(
    "reports",
    "Writing the page of a plan's dry run, and using it in a browser.",
    (*(Case(name, _writer(name), figures=_megabytes) for name in WRITERS), *OPENED),
    OURS,
    _prepare,
    size=160_000,
    targets=(
        Target(f"{WHOLE}, seconds", f"reports/{WHOLE}", 1.0),
        Target(f"{OURS}, megabytes", f"reports/{OURS}", 5.0, measure="MB"),
    ),
)
