"""Write the sample months: four views of the same calls, what was made wrong in them, and their README.

Usage: ``python sample_data/generate.py [FOLDER]``; without a folder, the files beside this script are
written again. Standard library only, and the same bytes every time.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from company import CLOCKS_BACK, MONTH_END, MONTH_START, Month, draw_month
from exports import asterisk, freeswitch, twilio_calls, twilio_csv, twilio_json
from november import NOVEMBER_END, Side, november
from planting import Planted, Planter, Platform
from tariff import MONTH_TOML, rates_csv

SEED = 20_261_025
JSON_DAY = "2026-10-14"
KINDS = ("Kind", "Fields", "Calls", "Wrong fields", "Calls to correct")
NOT_ERRORS = ("only-in-cdr", "only-in-api", "never-started", "open")


def api_document(records: Sequence[dict[str, object]]) -> str:
    """Return the Call records as the API's index answers them, one resource a line."""
    resources = []
    for record in records:
        attributes = {name: value for name, value in sorted(record.items()) if name != "id"}
        resource = {"attributes": attributes, "id": record["id"], "type": "Call"}
        resources.append(json.dumps(resource, separators=(",", ":")))
    tail = '"jsonapi":{"version":"1.0"},"links":{"self":"https://api.example.com/api/calls?sort=started_at,id"},"meta":{}'
    return '{"data":[\n' + ",\n".join(resources) + "\n]," + tail + "}\n"


def planted_table(planted: Iterable[Planted]) -> str:
    """Return what was planted as CSV, one row per wrong field or per call that stands alone."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["call_id", "field", "kind", "value_call", "value_true", "patchable", "note"])
    for p in sorted(planted, key=lambda p: (p.kind, p.call_id, p.field, p.note)):
        writer.writerow(
            [p.call_id, p.field, p.kind, p.value_call, p.value_true, "yes" if p.patchable else "no", p.note]
        )
    return text.getvalue()


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += [
        "| " + " | ".join(f"{v:,}" if isinstance(v, int) else str(v) for v in row) + " |" for row in rows
    ]
    return "\n".join(lines)


def planted_rows(platform: Platform) -> list[Sequence[object]]:
    """Count the planted errors by kind, and in all."""
    errors = [p for p in platform.planted if p.kind not in NOT_ERRORS]
    kinds = sorted({p.kind for p in errors})
    rows: list[Sequence[object]] = []
    for kind in kinds:
        of_kind = [p for p in errors if p.kind == kind]
        fields = ", ".join(f"`{name}`" for name in sorted({p.field for p in of_kind}))
        n_calls = len({p.call_id for p in of_kind})
        n_open = len({p.call_id for p in of_kind if not p.patchable})
        rows.append((f"`{kind}`", fields, n_calls, len(of_kind), n_calls - n_open))
    patchable = {p.call_id for p in errors if p.patchable}
    all_wrong = {p.call_id for p in errors}
    rows.append(
        (
            "**in all**",
            "",
            len(all_wrong),
            len(errors),
            len(patchable - {p.call_id for p in errors if not p.patchable}),
        )
    )
    return rows


def readme(month: Month, platform: Platform, files: dict[str, str], after: Side) -> str:
    """Return the description, with every figure counted from what was written."""
    alone = Counter(p.kind for p in platform.planted if p.kind in NOT_ERRORS)
    inside = [c for c in month.calls if MONTH_START <= c.started_at < MONTH_END]
    repeated = [c for c in month.calls if abs((c.started_at - CLOCKS_BACK).total_seconds()) < 3600]
    lines_of = {name: text.count("\n") - (name == "twilio/calls.csv") for name, text in files.items()}
    n_redials = sum("redial" in c.tags for c in month.calls)
    return f"""# The sample month, and the one after it

One month of calls of an invented company, Larkfield Heating, in October 2026 (Europe/London; the clocks go back on
25 October at 01:00 UTC), as three systems export it and as the platform recorded it. Each export alone proves the
same errors of the platform. Names are invented, and every number is from a range reserved for fiction: 020 7946
0000–0999, 01632 960000–960999, 07700 900000–900999, and North American 555-0100 to 555-0199.

In the project's source, `python sample_data/generate.py` writes all of it, the same bytes every time, with nothing but
Python's standard library.

## The files

{
        _table(
            ("File", "Records", "What it is"),
            (
                (
                    "`freeswitch/Master.csv`",
                    lines_of["freeswitch/Master.csv"],
                    "`mod_cdr_csv`, template `example`: 15 quoted columns, no header, stamps in London's local time; the `uuid` is the API's `call_uuid` for most calls",
                ),
                (
                    "`asterisk/Master.csv`",
                    lines_of["asterisk/Master.csv"],
                    "`cdr_csv`, 18 columns, no header, stamps in GMT (the epoch in `uniqueid` tells); `userfield` holds the platform's `call_uuid` for most calls",
                ),
                (
                    "`twilio/calls.csv`",
                    lines_of["twilio/calls.csv"],
                    "Twilio's Calls as a table, times as RFC 2822; no shared id, so calls match by numbers and time; `duration` is empty for unanswered calls",
                ),
                (
                    f"`twilio/calls-{JSON_DAY}.json`",
                    files[f"twilio/calls-{JSON_DAY}.json"].count('"sid"'),
                    f"one day of the same, {JSON_DAY}, as a page of the Calls resource",
                ),
                (
                    "`api/calls.json`",
                    files["api/calls.json"].count('"type":"Call"'),
                    "the platform's Call records, as `GET /api/calls` answers",
                ),
                ("`planted.csv`", lines_of["planted.csv"] - 1, "what is wrong, and what is true"),
                (
                    "`november/freeswitch/Master.csv`",
                    lines_of["november/freeswitch/Master.csv"],
                    "the switch's next file, of November",
                ),
                (
                    "`november/api/calls.json`",
                    files["november/api/calls.json"].count('"type":"Call"'),
                    "the platform's Call records one month later",
                ),
                (
                    "`november/planted.csv`",
                    lines_of["november/planted.csv"] - 1,
                    "what is wrong in them, and what is true",
                ),
                ("`rates.csv`", lines_of["rates.csv"] - 1, "what a minute costs, by prefix"),
            ),
        )
    }

The exports were made on 1 November 2026 at 03:00 UTC. {len(month.calls):,} calls went through
the switch, {
        len(inside):,} of them inside the month; the rest lies on both sides of its first and last midnight.

## What is planted

{_table(KINDS, planted_rows(platform))}

`planted.csv` has one row per wrong field: `call_id`, `field`, `kind`, `value_call` (what the platform has), `value_true`
(what every export proves, in the API's form), `patchable` (`no` where a tool must keep its hands off: ambiguous calls,
another month, a `started_at`, a record that would contradict itself) and `note`. Rows without a `field` list calls that
stand alone.

Beside the errors there are

- {alone["only-in-cdr"]} calls that only the exports have, and {
        alone["only-in-api"]
    } that only the platform has, {
        sum(
            r["status"] == "initiated" and r["started_at"] is not None and r["ended_at"] is None
            for r in platform.records
            if r["id"] in {p.call_id for p in platform.planted if p.kind == "only-in-api"}
        )
    } of them never ended;
- {alone["never-started"]} calls that never started, and {
        alone["open"]
    } that was still open when the exports were made (only Twilio lists it);
- {n_redials} calls in {
        n_redials // 2
    } redials: the same numbers within seconds, and no shared id: ambiguous, never to be corrected;
- {
        sum(not c.shares_id for c in month.calls) - n_redials
    } further calls without a shared id, which match by numbers and time;
- {sum(c.shape == "transfer" for c in month.calls)} transferred calls and {
        sum(c.shape == "parallel" for c in month.calls)
    } that rang several desks at once, with a record for each leg;
- {len(month.internal)} internal calls between two desks (FreeSWITCH and Asterisk only);
- records that were written twice, in each export;
- {
        len(repeated)
    } calls in the hour before and the hour after the clocks went back, which London's wall clock shows alike.

{november_section(after)}
A month of real data has more of everything. This one is small enough to check by hand.
"""


def november_section(after: Side) -> str:
    """Return what is told of the second month, of the rates and of the configuration."""
    alone = Counter(p.kind for p in after.platform.planted if p.kind in NOT_ERRORS)
    inside = [c for c in after.month.calls if MONTH_END <= c.started_at < NOVEMBER_END]
    return f"""## November

`november/` has a quieter month of the same company: {
        len(inside):,} calls of November that went through the switch
after its new file was begun. The switch's file was rotated when October was exported, on 1 November at 03:00 UTC; the
new one was exported on 1 December at 03:00 UTC. So the two files do not part where the months do:

- the calls of the first three hours of November are in October's file only;
- the call that was still open when October was exported has ended since: it belongs to October, and its CDR is in
  November's file.

Read both files for either month, as `month.toml` does. Every call then belongs to one month, by its start. The platform's
November records begin an hour before the month: {
        after.n_taken_over
    } of them are in October's records too, all but the
open call unchanged. What October's tables call another month's business is November's to correct.

{_table(KINDS, planted_rows(after.platform))}

Beside the errors there are {alone["only-in-cdr"]} calls that only the export has, {
        alone["only-in-api"]
    } that only the platform has, {alone["never-started"]} that never started and {alone["open"]} still open.

## The rates

`rates.csv` is a rate card for both months: pounds for British numbers, dollars for North American ones; billed by the
minute (60/60), by 30 seconds and then 6 (30/6), or by the second (1/1). Mobiles cost a connection fee, London and mobiles
have a new price from 1 November on, desk 1007 has a rate of its own, and being called costs nothing. There is no price
for numbers that begin with 1 646, so calls to them are unrated. The prices are invented like the rest.
"""


def build() -> dict[str, str]:
    """Return every file of the sample months: its path and its text."""
    month = draw_month(SEED)
    planter = Planter(month)
    platform = planter.run()
    finished = [c for c in month.calls if c is not platform.open_call]
    assert platform.open_call is not None
    resources = twilio_calls(month.calls, platform.open_call)
    after = november(month, planter)
    files = {
        "freeswitch/Master.csv": freeswitch(finished, month.internal),
        "asterisk/Master.csv": asterisk(finished, month.internal),
        "twilio/calls.csv": twilio_csv(resources),
        f"twilio/calls-{JSON_DAY}.json": twilio_json(resources, JSON_DAY),
        "api/calls.json": api_document(platform.records),
        "planted.csv": planted_table(platform.planted),
        "november/freeswitch/Master.csv": after.export,
        "november/api/calls.json": api_document(after.platform.records),
        "november/planted.csv": planted_table(after.platform.planted),
        "rates.csv": rates_csv(),
        "month.toml": MONTH_TOML,
    }
    return files | {"README.md": readme(month, platform, files, after)}


def main(folder: Path) -> None:
    """Write the files into a folder."""
    for name, text in build().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
