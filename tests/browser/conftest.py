"""Reports in a real browser: pages made by the walk itself, and hands that use them as a reader would."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.demo import sample_data
from sippet_reconcile.sandbox import Sandbox

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

REQUIRED = os.environ.get("SIPPET_BROWSER") == "required"
QUIET = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
OCTOBER = sr.Period.month("2026-10", timezone="Europe/London")

# The rows of data that a table shows, block by block: each cell's own text, without the buttons in it. What a block
# says once, in a cell across its rows, is said of each of them.
BLOCKS = """box => {
  const own = cell => [...cell.childNodes].filter(n => n.nodeType === 3 || !(n.matches('button') || n.querySelector('button')))
    .map(n => n.textContent).join('').trim();
  const width = box.querySelectorAll('thead th').length, isGrouped = box.querySelector('tbody.group') !== null, told = [];
  let block = 0;
  for (const body of box.querySelectorAll('tbody')) {
    const across = [];
    for (const row of body.rows) {
      if (row.classList.contains('evidence')) continue;
      const cells = [], given = [...row.cells];
      for (let at = 0; at < width; at += 1) {
        if (!across[at] || !across[at].left) { const cell = given.shift(); across[at] = {text: own(cell), left: cell.rowSpan}; }
        across[at].left -= 1; cells.push(across[at].text);
      }
      if (row.getClientRects().length) told.push([block, cells]);
      if (!isGrouped) block += 1;
    }
    if (isGrouped) block += 1;
  }
  return told;
}"""

# What must stay text, in every place where data reach a page. All are values of calls, users or files.
HOSTILE = (
    "<script>window.pwned=1</script>",
    "<img src=https://evil.example/x.png onerror=window.pwned=1>",
    "</script><script>window.pwned=1</script>",
    "\"><a href='javascript:window.pwned=1'>x</a>",
    "javascript:window.pwned=1",
    "</style><link rel=stylesheet href=https://evil.example/x.css>",
    "background:url(https://evil.example/x.png)",
    '" autofocus onfocus="window.pwned=1',
    "</table></main><h1>approved</h1>",
    "<svg onload=window.pwned=1>",
    "{{ 7 * 7 }}",
    "&lt;b&gt;",
)
# What a spreadsheet would calculate, were it pasted as it stands.
FORMULAS = ("=2+5", "+2+5", "-2+5", "@SUM(2)", "=HYPERLINK(0)", "\uff1d2+5")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that uses the browser in the browser's own thread.

    Playwright keeps an event loop running in the thread that drives it; the other tests of this process
    must not find one in theirs.
    """
    hands = pyfuncitem.funcargs.get("hands")
    if hands is None:
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    hands.submit(pyfuncitem.obj, **given).result()
    return True


def lacking(what: str) -> None:
    """Skip where a browser may be missing, and fail where it may not."""
    said = (
        f"reports are not tested in a browser: {what}. "
        "Install Debian's `chromium` (or any Chromium) and the extra `dev`."
    )
    if REQUIRED:
        pytest.fail(f"SIPPET_BROWSER=required, but {said}", pytrace=False)
    pytest.skip(said)


@pytest.fixture(scope="session")
def hands() -> Iterator[ThreadPoolExecutor]:
    """Return the one thread that drives the browser."""
    with ThreadPoolExecutor(1, thread_name_prefix="browser") as pool:
        yield pool


@pytest.fixture(scope="session")
def browser(hands: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a Chromium of this process; a profile of its own goes with it."""
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - not everybody has it
    except ImportError:
        lacking("the Python package playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome", "/usr/bin/chromium")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        lacking("no Chromium is on the PATH")
    home = tmp_path_factory.mktemp("browser")
    surroundings = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "XDG_CONFIG_HOME": str(home)}
    driver = hands.submit(lambda: sync_playwright().start()).result()
    try:
        running = hands.submit(
            driver.chromium.launch,
            executable_path=program,
            args=[*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])],
            env=surroundings,
        ).result()
        yield running
        hands.submit(running.close).result()
    finally:
        hands.submit(driver.stop).result()


@dataclass(eq=False)
class Table:
    """A table of a page, used as a reader does: by what is written on it."""

    box: Locator

    @property
    def heads(self) -> list[str]:
        """What stands above the columns."""
        return [text.strip() for text in self.box.locator("thead th").all_text_contents()]

    @property
    def status(self) -> str:
        """What the table says of how many rows fit."""
        return self.box.get_by_role("status").inner_text().strip()

    def search(self, words: str) -> None:
        """Type into the search box."""
        self.box.get_by_role("searchbox", name="Search").fill(words)
        self.settle()

    def pick(self, head: str, choice: str) -> None:
        """Choose in the filter that is named like a column."""
        self.box.get_by_role("combobox", name=head, exact=True).select_option(choice)
        self.settle()

    def sort(self, head: str) -> None:
        """Press a column's head."""
        self.box.locator("thead").get_by_role("button", name=head, exact=True).press("Enter")
        self.settle()

    @property
    def order(self) -> dict[str, str]:
        """What the table says it is sorted by: a head, and which way."""
        return dict(
            self.box.evaluate(
                "box => [...box.querySelectorAll('[aria-sort]')].map(th => [th.textContent.trim(), th.ariaSort])"
            )
        )

    def settle(self) -> None:
        """Wait until the page has drawn what it was asked for."""
        self.box.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))")

    def blocks(self) -> list[list[dict[str, str]]]:
        """Return the rows of data that can be seen, one list per block: a dict by what stands above."""
        heads = self.heads
        found: dict[int, list[dict[str, str]]] = {}
        for at, cells in self.box.evaluate(BLOCKS):
            found.setdefault(at, []).append(dict(zip(heads, cells, strict=True)))
        return list(found.values())


@dataclass(eq=False)
class Report:
    """A page in a browser, and what it did there."""

    page: Page
    path: Path
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def section(self, title: str) -> Locator:
        """Return the part of the page under a heading."""
        return self.page.locator("section").filter(
            has=self.page.get_by_role("heading", name=title, exact=True)
        )

    def table(self, title: str = "The changes") -> Table:
        """Return the table of a section."""
        return Table(self.section(title).locator(".table").first)


Open = Callable[..., Report]


@pytest.fixture
def open_report(browser: Browser, hands: ThreadPoolExecutor) -> Iterator[Open]:
    """Return a function from a file to the open page.

    Each page is watched: at the end of the test nothing may have been asked for but the file itself, and
    the browser may not have complained of an error or of a breach of the page's policy.
    """
    contexts: list[BrowserContext] = []
    opened: list[Report] = []

    def show(path: Path, *, clipboard: bool = False, width: int = 1280, **options: Any) -> Report:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        context.set_default_timeout(20_000)
        if clipboard:
            context.grant_permissions(["clipboard-read", "clipboard-write"])
        report = Report(context.new_page(), path)
        opened.append(report)
        report.page.on(
            "console",
            lambda message: (
                report.complaints.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        report.page.on("pageerror", lambda error: report.complaints.append(str(error)))
        report.page.on("popup", lambda page: report.complaints.append(f"a window was opened: {page.url}"))
        context.on("request", lambda request: report.requests.append(request.url))
        context.route(
            "**/*", lambda route: route.continue_() if route.request.url == path.as_uri() else route.abort()
        )
        report.page.goto(path.as_uri())
        return report

    yield show
    for context in contexts:
        hands.submit(context.close).result()
    for report in opened:
        assert report.complaints == [], f"{report.path.name}: the browser complained"
        assert set(report.requests) == {report.path.as_uri()}, f"{report.path.name}: something was asked for"


@dataclass(frozen=True, eq=False)
class Walk:
    """The sample month, from the first file to the proof and back."""

    legs: pd.DataFrame
    calls: pd.DataFrame
    rec: Any
    plan: Any
    run: Any
    verification: Any
    undo: Any


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Take the walk with the sample month; a few calls are corrected and proved on a sandbox."""
    legs = sr.read_cdr(sample_data() / "freeswitch" / "Master.csv", timezone="Europe/London", country="GB")
    with (
        Sandbox(sample_data() / "api" / "calls.json") as sandbox,
        sr.Client(sandbox.url, token=sandbox.token) as client,
    ):
        calls = sr.read_calls(
            sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z", api_url=sandbox.url
        )
        rec = sr.reconcile(legs, calls, period=OCTOBER, rules=sr.Rules(duration="billable"))
        plan = sr.build_plan(rec, fields=["duration_seconds", "ended_at", "status"])
        plan = plan.approve(by="ana", note="October billing")
        few = first_calls(plan, 12).approve(by="ana", note="a canary")
        audit = tmp_path_factory.mktemp("audit") / "log"
        run = sr.apply_plan(few, client, audit, rate="400/s", limit=8, progress=False)
        return Walk(legs, calls, rec, plan, run, sr.verify_run(run, client), sr.revert_run(run))


def first_calls(plan: Any, n: int) -> Any:
    """Return a plan of the first calls of another: one of each kind first, as plans begin."""
    return plan.keep(list(dict.fromkeys(plan.changes["call_id"]))[:n])


@pytest.fixture(scope="session")
def plan(walk: Walk) -> Any:
    """Return a plan of a few calls of the month, every kind of change among them."""
    return first_calls(walk.plan, 40)


@pytest.fixture(scope="session")
def page_file(plan: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write its dry run."""
    return plan.dry_run().to_html(tmp_path_factory.mktemp("plan") / "dry_run.html")


@pytest.fixture(scope="session")
def long_plan(walk: Walk) -> Any:
    """Return a plan of more calls than a page begins with."""
    return first_calls(walk.plan, 130)


@pytest.fixture(scope="session")
def long_file(long_plan: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write its dry run."""
    return long_plan.dry_run().to_html(tmp_path_factory.mktemp("long") / "dry_run.html")


@pytest.fixture(scope="session")
def hostile_values() -> tuple[str, ...]:
    """Return the values that must stay text in a page and in a spreadsheet."""
    return (*HOSTILE, *FORMULAS)


@pytest.fixture(scope="session")
def hostile(hostile_values: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a plan from calls, users, statuses and a file whose names want to be more than text."""
    values = list(hostile_values)
    folder = tmp_path_factory.mktemp("hostile")
    key = [str(uuid.uuid5(uuid.NAMESPACE_OID, f"key {n}")) for n in range(len(values))]
    start = pd.date_range("2026-10-05T10:00:00Z", periods=len(values), freq="7min")
    api = [
        {"type": "Call", "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"call {n}")), "attributes": {
            "call_uuid": key[n], "direction": "inbound", "from_number": f"+4477009001{n:02}",
            "to_number": "+442079460999", "sip_username": value, "status": values[-1 - n], "call_source": "sip",
            "started_at": start[n].isoformat(), "ended_at": (start[n] + pd.Timedelta("70s")).isoformat(),
            "duration_seconds": 70, "conversation_id": None}}
        for n, value in enumerate(values)
    ]  # fmt: skip
    (folder / "calls.json").write_text(json.dumps({"data": api}), encoding="utf-8")
    calls = sr.read_calls(
        folder / "calls.json", fetched_at="2026-11-01T03:00:00Z", api_url="https://api.example.com"
    )
    export = folder / "<img src=x onerror=window.pwned=1>.csv"
    at = {"Start": 0, "Answer": 10, "End": 70}
    pd.DataFrame(
        {"Id": key, **{n: (start + pd.Timedelta(s, "s")).strftime("%Y-%m-%dT%H:%M:%S") for n, s in at.items()},
         "From": [f"+4477009001{n:02}" for n in range(len(values))], "To": "+442079460999", "Talk": 60, "Total": 70,
         "State": "OK", "User": values, "Way": "inbound"}
    ).to_csv(export, index=False)  # fmt: skip
    legs = sr.read_cdr(
        [export], timezone="UTC", country="GB", status_map={"OK": "completed"},
        columns={"call_key": "Id", "started_at": "Start", "answered_at": "Answer", "ended_at": "End",
                 "from_number": "From", "to_number": "To", "billable_s": "Talk", "total_s": "Total",
                 "status": "State", "sip_username": "User", "direction": "Way"},
    )  # fmt: skip
    rec = sr.reconcile(legs, calls, period=OCTOBER, rules=sr.Rules(duration="billable"))
    plan = sr.build_plan(rec, fields=["duration_seconds", "status"], statuses=("completed",))
    return plan.approve(by=hostile_values[0], note=hostile_values[1])
