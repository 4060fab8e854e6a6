"""Take the whole walk on this machine: sample month, sandbox, plan, corrections, proof.

Input is a folder to leave things in, output a `Demo` that tells what happened. Nothing
but the installed package is needed: the sample data travel with it, and the sandbox
plays the API. The steps are the package's public ones, called as a user would.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

import sippet_reconcile as sr
from sippet_reconcile._display import plural
from sippet_reconcile.api import write_calls
from sippet_reconcile.errors import InputError
from sippet_reconcile.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sippet_reconcile.api import Client
    from sippet_reconcile.billing import RateCard
    from sippet_reconcile.plan import Plan
    from sippet_reconcile.progress import Progress
    from sippet_reconcile.reconciliation import Reconciliation
    from sippet_reconcile.run import Run
    from sippet_reconcile.verify import Verification

__all__ = [
    "EXPORTED_AT",
    "NEXT_EXPORTED_AT",
    "Demo",
    "run_demo",
    "sample_calls",
    "sample_card",
    "sample_data",
    "sample_reconciliation",
    "sample_run",
]

EXPORTED_AT: Final = pd.Timestamp("2026-11-01T03:00:00Z").as_unit("us")
"""When the sample month was exported; its calls are judged by this instant on whatever day the demo runs."""

NEXT_EXPORTED_AT: Final = pd.Timestamp("2026-12-01T03:00:00Z").as_unit("us")
"""When the month after it was exported."""

_MARKER: Final = ".sippet-demo"
_MARKER_TEXT: Final = "This folder was made by 'sippet-reconcile demo', which may write it again.\n"
_ZONE: Final = "Europe/London"
_FIELDS: Final = ("duration_seconds", "ended_at", "status")
_DESKS: Final = tuple(str(number) for number in range(1001, 1013))
_RATE: Final = "200/s"  # nobody else uses the sandbox
_CANARY: Final = 5
_SCRIPTS: Final = shutil.ignore_patterns("*.py", "__pycache__")


def sample_data() -> Path:
    """Return the folder of the sample months: inside the installed package, or in a checkout of the project.

    Examples
    --------
    >>> (sample_data() / "api" / "calls.json").is_file()
    True
    """
    here = Path(__file__).parent
    for folder in (here / "_sample_data", here.parent / "sample_data"):
        if (folder / "api" / "calls.json").is_file():
            return folder
    msg = f"the sample data are neither in {here} nor beside it; install the package again"
    raise InputError(msg)


@cache
def sample_reconciliation() -> Reconciliation:
    """Return the sample month, reconciled: what there is to try things on, without an API.

    It is made once; like every reconciliation it hands out copies.

    Examples
    --------
    >>> sample_reconciliation().findings.stops
    <Findings: 0; next: print(findings.to_text())>
    """
    data = sample_data()
    legs = sr.read_cdr(data / "freeswitch" / "Master.csv", timezone=_ZONE, country="GB", progress=False)
    calls = sr.read_calls(
        data / "api" / "calls.json", api_url="https://api.example.com", fetched_at=EXPORTED_AT
    )
    rules = sr.Rules(duration="billable")
    return sr.reconcile(legs, calls, period=sr.Period.month("2026-10", timezone=_ZONE), rules=rules)


@cache
def sample_card() -> RateCard:
    """Return the rate card of the sample months: pounds and dollars, and a new price from November on.

    It is read once; like every card it hands out copies.

    Examples
    --------
    >>> sample_card().currencies
    ('GBP', 'USD')
    """
    return sr.RateCard.from_csv(sample_data() / "rates.csv")


def sample_calls() -> pd.DataFrame:
    """Return the Call records of both sample months as they stood on 1 December 2026.

    Returns
    -------
    DataFrame
        One row per call, as `read_calls` gives it; what both months' files have is taken from the later one,
        where the call has ended that was still open a month before.

    Examples
    --------
    >>> calls = sample_calls()
    >>> calls["id"].is_unique, str(calls["started_at"].max().date())
    (True, '2026-12-01')
    """
    data = sample_data()
    files = (data / "api" / "calls.json", data / "november" / "api" / "calls.json")
    both = pd.concat([sr.read_calls(path, fetched_at=NEXT_EXPORTED_AT) for path in files])
    return both.drop_duplicates("id", keep="last").reset_index(drop=True)


@contextmanager
def sample_run() -> Iterator[tuple[Run, Client]]:
    """Run a sandbox, correct three calls on it, and hand out the run with a client of that API.

    Yields
    ------
    Run and Client
        Of a plan that sets the duration of three calls to 60 seconds. Its audit log goes
        when the block ends, and so does the sandbox.

    Examples
    --------
    >>> with sample_run() as (run, client):
    ...     client.get_calls(run.records["call_id"])["duration_seconds"].tolist()
    [60, 60, 60]
    """
    calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at=EXPORTED_AT)
    with (
        Sandbox(calls.query("duration_seconds > 60").head(3)) as api,
        sr.Client(api.url, token=api.token) as client,
        TemporaryDirectory() as audit,
    ):
        calls = client.get_calls(api.calls["id"])
        fix = pd.DataFrame({"call_id": calls["id"], "duration_seconds": "60"})
        plan = sr.plan_corrections(calls, fix, reason="ticket 4711").approve(
            by="ana", note="looked at all three"
        )
        yield sr.apply_plan(plan, client, audit, rate=_RATE, progress=False), client


@dataclass(frozen=True, eq=False)
class Demo:
    """What one demonstration did, from the first file to the proof.

    Attributes
    ----------
    folder
        Where everything was left.
    calls_before, calls_after
        The sandbox's calls ahead of the first change and following the last one.
    legs, reconciliation, plan, run, verification
        What each step gave.
    n_requests
        How many requests the sandbox answered.
    """

    folder: Path
    calls_before: pd.DataFrame
    calls_after: pd.DataFrame
    legs: pd.DataFrame
    reconciliation: Reconciliation
    plan: Plan
    run: Run
    verification: Verification
    n_requests: int

    @property
    def report(self) -> Path:
        """The dry run, one HTML file."""
        return self.folder / "dry_run.html"

    @property
    def reports(self) -> tuple[Path, ...]:
        """All reports in the order of the walk: the reconciliation, the dry run, the run and the proof."""
        names = ("reconciliation.html", self.report.name, "run.html", "verification.html")
        return tuple(self.folder / name for name in names)

    @property
    def audit(self) -> Path:
        """The folder of the audit log."""
        return self.folder / "audit"

    @property
    def ok(self) -> bool:
        """Whether every planned call was corrected and read back as sent."""
        return bool(self.verification.ok and self.run.records["outcome"].isin(["applied", "already"]).all())

    def summary(self) -> dict[str, Any]:
        """Return what happened as plain values."""
        pairs, found, changes = (
            self.reconciliation.pairs,
            self.reconciliation.discrepancies,
            self.plan.changes,
        )
        seconds = changes["delta_s"].dropna()
        return {
            "ok": self.ok,
            "cdr_rows": len(self.legs),
            "calls": len(self.calls_before),
            "matched": len(pairs),
            "wrong_calls": int(found["call_id"].nunique()),
            "not_correctable": int((~found.groupby("call_id")["is_patchable"].any()).sum()),
            "ambiguous": int(self.reconciliation.ambiguous["call_id"].nunique()),
            "only_in_cdr": len(self.reconciliation.only_in_cdr),
            "only_in_api": len(self.reconciliation.only_in_api),
            "planned_calls": int(changes["call_id"].nunique()),
            "planned_changes": len(changes),
            "seconds_added": float(seconds[seconds > 0].sum()),
            "seconds_removed": float(-seconds[seconds < 0].sum()),
            "left_out": int(self.plan.left_out["call_id"].nunique()),
            "corrected": int(self.run.records["outcome"].isin(["applied", "already"]).sum()),
            "verified": bool(self.verification.ok),
            "requests": self.n_requests,
            "report": str(self.report),
            "reports": [str(path) for path in self.reports],
            "audit": str(self.audit),
        }

    def story(self) -> str:
        """Tell what happened in plain words, and what to try next."""
        s = self.summary()
        causes = self.plan.changes.drop_duplicates("call_id")["explanation"].value_counts().head(4)
        leading = ", ".join(f"{name} ({count})" for name, count in causes.items())
        proof = "all of them read back as sent" if s["verified"] else "NOT all of them read back as sent"
        f = self.folder
        return f"""\
October 2026 of an invented company was reconciled with its FreeSWITCH export.

  read      {plural(s["cdr_rows"], "CDR row")} and {plural(s["calls"], "Call record")}
  matched   {plural(s["matched"], "call")}; {s["only_in_cdr"]} only in the CDRs, {s["only_in_api"]} only on the platform, {s["ambiguous"]} ambiguous and never touched
  found     {plural(s["wrong_calls"], "wrong Call record")}; leading causes: {leading}
  planned   {plural(s["planned_changes"], "change")} to {plural(s["planned_calls"], "call")}: {s["seconds_added"]:,.0f} s added, {s["seconds_removed"]:,.0f} s taken away; {plural(s["left_out"], "call")} left out, each with a reason; {s["not_correctable"]} wrong only in what the API takes no correction of
  applied   {plural(s["corrected"], "call")} corrected, {_CANARY} of them first as a canary, with {plural(s["requests"], "request")} in all
  verified  {proof}

  report    {self.report}  (open it in a browser: this is what a colleague approves)
            beside it: reconciliation.html (what differs, and why), run.html (what came of it), verification.html (the proof)
  audit log {self.audit}  (each intent, each request, each outcome)

Try next:
  sippet-reconcile audit show --audit {self.audit}
  sippet-reconcile plan {f / "reconciliation"} --where "explanation == 'ring-time-included'"
  sippet-reconcile diff {f / "twilio" / "calls.csv"} --calls {f / "calls.parquet"} --month 2026-10 --period-timezone {_ZONE} --duration billable
  sippet-reconcile sandbox    and then the walk by yourself: sippet-reconcile without arguments shows it
  sippet-reconcile month 2026-10 --config {f / "month.toml"}    against that sandbox: the whole month in one step"""


def run_demo(
    folder: Path | str = "sippet-demo",
    *,
    sandbox: Sandbox | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: Progress = False,
) -> Demo:
    """Take the whole walk and leave the sample data, the report and the audit log in a folder.

    Parameters
    ----------
    folder
        Made where it is not there; one that holds anything must be an earlier demo's.
        An audit log found in it is kept under another name.
    sandbox
        A running one to use and to leave running; one of its own where not given.
    say
        Called with one line per step.
    progress
        As for the steps.

    Raises
    ------
    InputError
        If the folder holds something that is not a demo's.
    """
    folder = Path(folder)
    _prepare(folder)
    own = Sandbox(folder / "api" / "calls.json") if sandbox is None else nullcontext(sandbox)
    october = sr.Period.month("2026-10", timezone=_ZONE)
    with own as api, sr.Client(api.url, token=api.token) as client:
        before = api.calls
        n_before = len(api.requests)
        say("1/6  fetching the Call records from a sandbox on this machine")
        calls = client.fetch_calls(october, progress=progress).assign(fetched_at=EXPORTED_AT)
        write_calls(calls, folder / "calls.parquet")
        say("2/6  reading the FreeSWITCH export")
        export = folder / "freeswitch" / "Master.csv"
        legs = sr.read_cdr(export, timezone=_ZONE, country="GB", progress=progress)
        say("3/6  reconciling")
        rules = sr.Rules(duration="billable", internal_numbers=_DESKS)
        rec = sr.reconcile(legs, calls, period=october, rules=rules, progress=progress)
        rec.save(folder / "reconciliation")
        rec.to_html(folder / "reconciliation.html")
        say("4/6  planning; nothing has been sent so far")
        plan = sr.build_plan(rec, fields=_FIELDS)
        plan.dry_run(rate=_RATE).to_html(folder / "dry_run.html")
        plan = plan.approve(by="demo", note="the demonstration")
        plan.save(folder / "plan.parquet")
        say(f"5/6  applying: {_CANARY} calls first, then the rest")
        audit = folder / "audit"
        sr.apply_plan(plan, client, audit, rate=_RATE, limit=_CANARY, progress=progress)
        run = sr.apply_plan(plan, client, audit, rate=_RATE, progress=progress)
        say("6/6  reading everything back")
        verification = sr.verify_run(run, client)
        run.to_html(folder / "run.html")
        verification.to_html(folder / "verification.html")
        return Demo(
            folder, before, api.calls, legs, rec, plan, run, verification, len(api.requests) - n_before
        )


def _prepare(folder: Path) -> None:
    """Make the folder ready: the sample data in it, and nothing of an earlier demo lost that proves something."""
    marker = folder / _MARKER
    if folder.exists() and not folder.is_dir():
        msg = f"{folder} is a file; name a folder for the demo"
        raise InputError(msg)
    if folder.is_dir() and any(folder.iterdir()) and not marker.is_file():
        msg = f"{folder} holds something that is not a demo's; name another folder: sippet-reconcile demo DIR"
        raise InputError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text(_MARKER_TEXT, encoding="utf-8")
    audit = folder / "audit"
    if audit.exists():
        # A log is evidence, even a demo's: it is set aside, never removed.
        n = next(n for n in range(1, 10_000) if not (folder / f"audit.{n}").exists())
        audit.rename(folder / f"audit.{n}")
    shutil.rmtree(folder / "reconciliation", ignore_errors=True)
    shutil.copytree(sample_data(), folder, ignore=_SCRIPTS, dirs_exist_ok=True)
