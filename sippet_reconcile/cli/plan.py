"""The commands `plan` and `approve`: what would change, and who answers for it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import sippet_reconcile as sr
from sippet_reconcile.cli.options import (
    FILE,
    INPUT_FILE,
    as_json,
    numbers_option,
    rate_card_option,
    read_rate_card,
    rows_option,
)
from sippet_reconcile.cli.output import print_frame, print_json, print_summary, say, tell
from sippet_reconcile.cli.program import teach
from sippet_reconcile.cli.reports import refuse_in_folder, refuse_overwriting
from sippet_reconcile.cli.words import command_words
from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from sippet_reconcile.billing import RateCard
    from sippet_reconcile.plan import Plan

__all__ = ["PlanFiles", "approve_command", "plan_command", "show_plan"]

_APPROVAL = ("by", "at", "note")
_FIELDS = ("status", "duration_seconds", "ended_at", "call_source")


@click.command(
    "plan",
    short_help="Make a plan of corrections, and show its dry run.",
    help=teach(
        "Make a plan of corrections and show its dry run. SOURCE is a folder that 'diff' wrote; or an earlier plan, to "
        "make it smaller (--keep, --drop, --reviewed) or to see it again; without SOURCE, --corrections is a table of "
        "corrections (CSV, Excel or parquet: call_id and any of status, duration_seconds, ended_at, call_source) for "
        "the calls in --calls. --excel writes a workbook in which a colleague says yes or no to every change, and "
        "--reviewed reads it back: only yes keeps, and whatever else was changed in it is refused by name. With "
        "--rate-card, the dry run and the workbook tell what the plan is worth.",
        never="sends anything, corrects half a call, or builds on a finding that says stop unless it is accepted by name",
        example="sippet-reconcile plan october/ --out plan.parquet --report dry_run.html\n"
        "sippet-reconcile plan plan.parquet --drop 8c1f3c52-0000-4000-8000-000000000000 --out smaller.parquet\n"
        "sippet-reconcile plan plan.parquet --rate-card rates.csv --excel review.xlsx\n"
        "sippet-reconcile plan plan.parquet --reviewed review.xlsx --out reviewed.parquet\n"
        'sippet-reconcile plan --corrections fix.csv --calls calls.parquet --reason "ticket 4711" --out plan.parquet',
    ),
)
@click.argument("source", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=FILE, help="The plan to write (parquet).", metavar="FILE")
@click.option("--report", type=FILE, help="Write the dry run as one HTML file.", metavar="FILE")
@click.option(
    "--excel", type=FILE, help="Write the dry run as a workbook to answer in (.xlsx).", metavar="FILE"
)
@numbers_option
@click.option("--rate", default="5/s", show_default=True, help="The rate of the forecast.")
@rate_card_option
@click.option(
    "--field",
    "fields",
    multiple=True,
    type=click.Choice(_FIELDS),
    help="Correct only such fields; repeatable.",
)
@click.option(
    "--where", help="Only such discrepancies, as a DataFrame.query, e.g. \"explanation == 'zero'\"."
)
@click.option(
    "--status", "statuses", multiple=True, metavar="WORD", help="A status that may be written; repeatable."
)
@click.option("--max-calls", type=int, help="Refuse a plan of more calls.")
@click.option(
    "--max-share",
    type=float,
    default=None,
    show_default="0.2; none with --corrections",
    help="Refuse a plan of a larger share of the compared calls.",
)
@click.option("--accept", multiple=True, metavar="CODE", help="Accept a finding that says stop; repeatable.")
@click.option("--api-url", help="The API the plan is for, where the calls do not tell.")
@click.option(
    "--corrections", type=INPUT_FILE, help="A table of corrections instead of a CDR.", metavar="FILE"
)
@click.option(
    "--calls", type=INPUT_FILE, help="The Call records that the corrections are for.", metavar="FILE"
)
@click.option(
    "--rules", type=INPUT_FILE, help="The rules that corrected records must keep, as TOML.", metavar="FILE"
)
@click.option("--reason", help="Why the corrections are made.")
@click.option(
    "--keep", multiple=True, metavar="CALL_ID", help="Keep only such calls of an earlier plan; repeatable."
)
@click.option(
    "--drop", multiple=True, metavar="CALL_ID", help="Leave such calls out of an earlier plan; repeatable."
)
@click.option(
    "--reviewed",
    type=INPUT_FILE,
    help="Keep only the calls of an earlier plan that were approved in this workbook.",
    metavar="FILE",
)
@rows_option
@as_json
def plan_command(
    *,
    source: Path | None,
    out: Path | None,
    report: Path | None,
    excel: Path | None,
    show_numbers: bool,
    reviewed: Path | None,
    rate: str,
    rate_card: Path | None,
    rows: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Build or load a plan, narrow it, save it, and show its dry run."""
    if reviewed is not None and (source is None or not source.is_file()):
        msg = "--reviewed needs the plan that the workbook is of as SOURCE"
        raise InputError(msg)
    writes = {"--out": out, "--report": report, "--excel": excel}
    refuse_overwriting(
        writes, [reviewed, rate_card, *(options[name] for name in ("calls", "corrections", "rules"))]
    )
    if source is not None and source.is_dir():
        refuse_in_folder(source, writes)
    else:  # a smaller plan may take the place of the one that it was made from
        refuse_overwriting({"--report": report, "--excel": excel}, [source])
    card = read_rate_card(rate_card)
    plan = _make_plan(source, options)
    if reviewed is not None:
        plan = _reviewed(plan, reviewed)
    for name in ("keep", "drop"):
        if options[name]:
            plan = getattr(plan, name)(list(options[name]))
    files = PlanFiles(out, report, excel, show_numbers=show_numbers)
    show_plan(plan, files, rate=rate, rows=rows, as_json=as_json, card=card)


def _reviewed(plan: Plan, path: Path) -> Plan:
    """Return the plan of the approved calls; say how many they are."""
    smaller = plan.keep_reviewed(path)
    if smaller is plan:
        say(f"Every one of the {len(plan):,} calls was approved in {path}: it stays the same plan.")
    else:
        review = smaller.selection["review"]
        say(
            f"{path}: {review['kept']:,} of {len(plan):,} calls approved, {review['rejected']:,} rejected, "
            f"{review['not_approved']:,} without an answer."
        )
    return smaller


def _make_plan(source: Path | None, options: dict[str, Any]) -> Plan:
    guards = {name: options[name] for name in ("statuses", "max_calls", "api_url")}
    if options["max_share"] is not None:
        guards["max_share"] = options["max_share"]
    if options["corrections"]:
        if source is not None or not options["calls"] or not options["reason"]:
            msg = "--corrections needs --calls FILE and --reason TEXT, and no SOURCE"
            raise InputError(msg)
        calls, corrections = sr.read_calls(options["calls"]), _read_corrections(options["corrections"])
        rules = sr.Rules.from_toml(options["rules"]) if options["rules"] else None
        return sr.plan_corrections(calls, corrections, reason=options["reason"], rules=rules, **guards)
    if source is None:
        msg = "a plan needs a SOURCE: a folder that 'diff' wrote, or an earlier plan; or --corrections FILE"
        raise InputError(msg)
    if source.is_file():
        return sr.Plan.load(source)
    return sr.build_plan(
        sr.load_reconciliation(source),
        fields=options["fields"] or sr.PATCHABLE,
        where=options["where"],
        accept=options["accept"],
        **guards,
    )


def _read_corrections(path: Path) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - only where a table is read

    from sippet_reconcile._parquet import read_parquet  # noqa: PLC0415

    try:
        if path.suffix == ".parquet":
            return read_parquet(path).replace_schema_metadata().to_pandas()
        if path.suffix in {".xlsx", ".xlsm"}:
            return pd.read_excel(path, dtype="str", keep_default_na=False, na_values=[""])
        return pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""])
    except ImportError as exc:
        msg = (
            f'reading the workbook {path} needs a further library: pip install "sippet-reconcile[excel]", '
            "or save it as CSV"
        )
        raise InputError(msg) from exc
    except (OSError, ValueError) as exc:
        # pandas says ValueError for what is no table.
        msg = f"the corrections in {path} cannot be read: {exc}"
        raise InputError(msg) from exc


@dataclass(frozen=True)
class PlanFiles:
    """Where a plan and its dry run are to be written."""

    out: Path | None = None
    report: Path | None = None
    excel: Path | None = None
    show_numbers: bool = False


def show_plan(
    plan: Plan, files: PlanFiles, *, rate: str, rows: int, as_json: bool, card: RateCard | None = None
) -> None:
    """Write the dry run of a plan and the plan itself where asked, and show the dry run on stdout.

    The plan comes last: where a dry run cannot be written, nobody is left with a plan that nobody saw.
    """
    from sippet_reconcile.report import document_text  # noqa: PLC0415 - only where a plan is shown

    dry_run, mask, out = plan.dry_run(card, rate), not files.show_numbers, files.out
    written = []
    if files.excel is not None:  # first, because it may need a library that is not there
        written.append(str(dry_run.to_excel(files.excel, mask=mask)))
    if files.report is not None:
        written.append(str(dry_run.to_html(files.report, mask=mask)))
    if out is not None:
        plan.save(out)
    if as_json:
        print_json(
            {
                "plan_id": plan.plan_id,
                "out": None if out is None else str(out),
                "reports": written,
                "summary": plan.summary(),
                "left_out": plan.left_out["reason"].value_counts().to_dict(),
                **({} if card is None else {"money": dry_run.summary()["money"]}),
            }
        )
        return
    tell(command_words(document_text(dry_run.document, max_rows=rows)))
    for path in written:
        say(f"The dry run is in {path}.")
    if files.excel is not None and out is not None:
        say(
            f"Answered, it is read back: sippet-reconcile plan {_quoted(out)} --reviewed {_quoted(files.excel)} --out SMALLER"
        )
    if out is not None:
        following = (
            f"Next: sippet-reconcile approve {_quoted(out)} --by NAME"
            if len(plan)
            else "It corrects nothing."
        )
        say(f"The plan is in {out}. Nothing has been sent. {following}")


def _quoted(path: Path) -> str:
    """Return a path as a shell takes it, whatever blanks are in it."""
    return shlex.quote(str(path))


@click.command(
    "approve",
    short_help="Approve a plan, by name.",
    help=teach(
        "Approve a plan as it is, by name. The approval carries the plan's id, so any change to the plan drops it; "
        "several people may approve the same plan, one after the other. The same name in other letters (case, accents, "
        "blanks, punctuation) is the same person. A name is no signature: whoever can write the file can write a name.",
        never="sends anything, or approves what is not in the file",
        example='sippet-reconcile approve plan.parquet --by ana --note "October billing"',
    ),
)
@click.argument("plan", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--by", required=True, help="Who approves.")
@click.option("--note", default="", help="What for.")
@click.option(
    "--out", type=FILE, help="Write the approved plan here instead of to the same file.", metavar="FILE"
)
@as_json
def approve_command(*, plan: Path, by: str, note: str, out: Path | None, as_json: bool) -> None:
    """Load, approve, save, and say who has approved so far."""
    import pandas as pd  # noqa: PLC0415 - --help needs no pandas

    from sippet_reconcile.plan.approval import people_of  # noqa: PLC0415

    approved = sr.Plan.load(plan).approve(by=by, note=note)
    target = out or plan
    approved.save(target)
    approvals = [approval.to_dict() for approval in approved.approvals]
    if as_json:
        people = people_of(approved.approvals)
        print_json(
            {"plan_id": approved.plan_id, "out": str(target), "approvals": approvals, "people": people}
        )
        return
    print_summary(approved.summary() | {"written_to": str(target)})
    print_frame(pd.DataFrame(approvals).replace("", None), columns=_APPROVAL, title="approvals")
    say(_standing(approved, people_of(approved.approvals)))
    say(f"Next: sippet-reconcile apply {_quoted(target)} --audit audit/ --limit 5")


def _standing(plan: Plan, people: Sequence[str]) -> str:
    """Say how many people have approved a plan, and what that is enough for."""
    from sippet_reconcile._display import joined  # noqa: PLC0415 - it needs pandas

    own = plan.approvals[-1]
    again = [one.by for one in plan.approvals[:-1] if one.person == own.person]
    told = f"{own.by} had approved it before, and counts once. " if again else ""
    n = len(people)
    have = f"{n} people have approved this plan: {joined(people)}" if n > 1 else f"Approved by {people[0]}"
    enough = "enough for 'apply'" if n == 1 else f"enough for 'apply --min-approvals {n}'"
    nothing = "" if len(plan) else " The plan corrects nothing."
    return f"{told}{have}: {enough}; '--min-approvals {n + 1}' would need 1 more.{nothing}"
