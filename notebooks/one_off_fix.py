# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A one-off fix after an incident
#
# On a Wednesday a worker of the platform crashed and nobody noticed for hours. Calls went on, but nothing wrote down
# that they had ended: their records say `initiated` to this day, without an end and without a duration. They would be
# billed as nothing. This notebook puts them right, and nothing else:
#
# 1. [The alarm](#1.-The-alarm)
# 2. [What the CDR says](#2.-What-the-CDR-says)
# 3. [A plan for the incident alone](#3.-A-plan-for-the-incident-alone)
# 4. [Two people say yes](#4.-Two-people-say-yes)
# 5. [Five calls first, then the rest](#5.-Five-calls-first,-then-the-rest)
# 6. [One call was right as it was](#6.-One-call-was-right-as-it-was)
# 7. [The rest, from a spreadsheet](#7.-The-rest,-from-a-spreadsheet)
# 8. [What stays: the log](#8.-What-stays:-the-log)
#
# Everything runs on this machine: the API is a sandbox that behaves like the real one, and all numbers are from ranges
# reserved for fiction. With the real API, only the client differs: `sr.Client()` reads `SIPPET_API_URL` and
# `SIPPET_API_TOKEN`.

# %%
import tempfile
import textwrap
from pathlib import Path

import pandas as pd
from IPython.display import Pretty

import sippet_reconcile as sr
from sippet_reconcile.demo import sample_data
from sippet_reconcile.sandbox import Sandbox

pd.set_option("display.max_colwidth", None)
LONDON = "Europe/London"
midnight = pd.Timestamp("2026-10-21", tz=LONDON)
day = sr.Period(midnight, midnight + pd.Timedelta(days=1), timezone=LONDON)
work = Path(tempfile.mkdtemp(prefix="incident-"))
day.label

# %% [markdown]
# ## An incident to practise on
#
# With an incident of your own, go on with section 1. Here it is made from the sample month: 24 calls that people really
# talked in, by the CDR, between 10:20 and 13:50, lose what the crashed worker would have written. Of four of them the
# export has no CDR either: they came over a second trunk, whose carrier sends no exports.

# %%
recorded = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
export = sr.read_cdr(sample_data() / "freeswitch" / "Master.csv", timezone=LONDON, country="GB")

talked = export.loc[export["is_answered"], "call_key"]
ordinary = recorded.loc[recorded["status"].eq("completed") & recorded["call_uuid"].isin(talked)]
at = ordinary["started_at"] - midnight
hit = ordinary.loc[at.between("10:20:00", "13:50:00")].sample(24, random_state=4711)
second_trunk = hit.iloc[-4:]

calls = recorded.copy()
calls.loc[hit.index, "status"] = "initiated"
calls.loc[hit.index, "ended_at"] = pd.NaT
calls.loc[hit.index, "duration_seconds"] = pd.NA
legs = export.loc[~export["linked_id"].isin(second_trunk["call_uuid"])]

sandbox = Sandbox(calls=calls).start()
client = sr.Client(sandbox.url, token=sandbox.token)
calls.loc[hit.index, ["id", "started_at", "status", "ended_at", "duration_seconds"]].sort_values(
    "started_at"
).head()

# %% [markdown]
# ## 1. The alarm
#
# Call records alone show it: nobody talks for days. `check_calls` needs no CDR, so it can run every night.

# %%
fetched = client.fetch_calls(day)
alarm = sr.check_calls(fetched)
alarm

# %% [markdown]
# When did it begin, and when was it over? The stuck calls by the hour in which they started:

# %%
stuck = next(finding for finding in alarm if finding.code == "stuck-calls").evidence
stuck["started_at"].dt.tz_convert(LONDON).dt.strftime("%H:00").value_counts().sort_index().to_frame(
    "stuck calls"
)

# %% [markdown]
# Four hours in a row, and one call after them. Is it the last of the incident?

# %%
stuck[["call_id", "status", "started_at"]].tail(3)

# %% [markdown]
# It says `ringing` and not `initiated`, and it began three quarters of an hour after all others: another story, which
# nobody knows yet. Fixing "everything that is stuck" would be wrong by one call already.
#
# ## 2. What the CDR says
#
# The export tells how these calls went on. Only the one day is reconciled; whatever else the file has is outside the
# period, counted, and left alone.

# %%
rec = sr.reconcile(legs, fetched, period=day, rules=sr.Rules(duration="billable"), progress=False)
rec

# %% [markdown]
# All calls of the day that differ, by hour. The hours of the incident stand out from what an ordinary day has:

# %%
ax = rec.plot.hours()

# %% [markdown]
# What they come to, for the calls that never ended. The one that rang at two is here too, and the four without a CDR are
# not:

# %%
by_hour = rec.rollup(by=["explanation", "hour"]).query("explanation == 'never-ended'")
by_hour[["hour", "n_calls", "delta_s"]].sort_values("hour")

# %% [markdown]
# One call, seen from both sides. This is the look to take before anything is planned: is it the same call, did they
# talk, and does the end in the CDR make sense?

# %%
in_the_hours = "started_at >= '2026-10-21 10:00+01:00' and started_at < '2026-10-21 14:00+01:00'"
never_ended = rec.discrepancies.query(f"explanation == 'never-ended' and {in_the_hours}")
rec.show(never_ended["call_id"].iloc[0])

# %% [markdown]
# ## 3. A plan for the incident alone
#
# `where` chooses among the differences; `max_calls` says how many calls the fix can be about at most, and a plan that
# turns out larger is refused. Everything else that is wrong on that day stays for the monthly reconciliation, where
# somebody looks at it with its own evidence.

# %%
plan = sr.build_plan(
    rec,
    fields=["status", "ended_at", "duration_seconds"],
    where=f"explanation == 'never-ended' and {in_the_hours}",
    max_calls=24,
)
plan

# %% [markdown]
# The dry run is what the colleagues get to read: each change with the line of the export that proves it, what is left
# out, and why. Nothing has been sent so far.

# %%
report = plan.dry_run(rate="50/s")
report.to_html(work / "dry_run.html")
report

# %%
plan.left_out.groupby(["explanation", "reason"])["call_id"].nunique().to_frame("calls")

# %% [markdown]
# ## 4. Two people say yes
#
# For production records the team wants two pairs of eyes. One approval is not enough then, and the same person twice is
# still one person:


# %%
def show(text):
    """Show a text as it is, on lines that fit the page."""
    return Pretty(textwrap.fill(str(text), 100, break_on_hyphens=False))


def refusal(step, *args, **options):
    """Do what must be refused, and show what the error says."""
    try:
        step(*args, **options)
    except sr.ReconcileError as error:
        return show(f"{type(error).__name__}: {error}")
    msg = "this was meant to be refused"
    raise AssertionError(msg)


plan = plan.approve(by="ana", note="incident of 21 October, checked five of the calls by hand")
twice = plan.approve(by="ana", note="still me")
refusal(sr.apply_plan, twice, client, work / "audit", min_approvals=2, progress=False)

# %%
plan = plan.approve(by="ben", note="read the dry run; ends agree with the switch")
plan

# %% [markdown]
# An approval is for exactly these changes. A plan that is made smaller is another plan, and nobody has approved it:

# %%
plan.drop(plan.calls["call_id"].head(1)).approvals

# %% [markdown]
# ## 5. Five calls first, then the rest
#
# The canary: five calls, then a look. Each call is read again just before it is corrected, and what is about to be sent
# is in the audit log before it is sent.

# %%
run = sr.apply_plan(plan, client, work / "audit", rate="50/s", limit=5, min_approvals=2, progress=False)
run

# %%
sr.verify_run(run, client)

# %% [markdown]
# The five read back as they were sent. The rest: applying the same plan again continues the same run, and does not send
# the five again.

# %%
run = sr.apply_plan(plan, client, work / "audit", rate="50/s", min_approvals=2, progress=False)
run

# %%
sr.verify_run(run, client)

# %% [markdown]
# ## 6. One call was right as it was
#
# The next morning somebody adds to the ticket: one of these records was kept open on purpose, as the example for the
# vendor of the worker, and has to be open again. A run can be undone as a whole, or in part: `revert_run` makes the plan
# that puts everything back, and `keep` makes it one call small.

# %%
example = run.records["call_id"].iloc[7]
undo = sr.revert_run(run).keep([example])
undo.changes[["call_id", "field", "before", "after", "reason"]]

# %% [markdown]
# To undo is to write, so it takes the same way: dry run, two people, apply, verify.

# %%
undo.dry_run(rate="50/s")

# %%
undo = undo.approve(by="ana", note="ticket 4711, comment 9: keep open for the vendor").approve(by="ben")
undone = sr.apply_plan(undo, client, work / "audit", rate="50/s", min_approvals=2, progress=False)
undone

# %%
proof = sr.verify_run(run, client)
proof

# %% [markdown]
# "Not OK" is the right answer: the run no longer holds as it was sent. The proof names the run that undid it, and what
# differs are the three values of the one call. All others hold:

# %%
proof.frame.groupby("call_id")["verdict"].unique().map(", ".join).value_counts().to_frame("calls")

# %% [markdown]
# ## 7. The rest, from a spreadsheet
#
# Four stuck calls of the incident have no CDR in the export, and what has no CDR is never planned: they are reported, no
# more. A colleague looked them up in the carrier's portal and wrote down what it says. This is `ticket-4711.xlsx` as it
# was attached to the ticket:

# %%
portal = export.drop_duplicates("linked_id").set_index("linked_id").loc[second_trunk["call_uuid"]]
ticket = pd.DataFrame(
    {
        "call_id": second_trunk["id"].tolist(),
        "status": "completed",
        "ended_at": portal["ended_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ").tolist(),
        "duration_seconds": portal["billable_s"].astype("Int64").astype("str").tolist(),
        "looked up by": "cleo",
    },
    dtype="str",
)
ticket.loc[0, "call_id"] = ticket.loc[0, "call_id"][:-1]  # the last digit was not copied
ticket.loc[1, ["status", "ended_at", "duration_seconds"]] = ""  # not looked up yet
ticket.loc[2, "status"] = "hung up"  # the portal's word, not the API's
ticket.to_excel(work / "ticket-4711.xlsx", index=False)

fix = pd.read_excel(work / "ticket-4711.xlsx", dtype=str)
fix

# %% [markdown]
# Always read with `dtype=str`: then an id stays the text it is, and pandas guesses neither numbers nor dates.
#
# **A wrong id** is noticed before anything is asked of the API:

# %%
refusal(client.get_calls, fix["call_id"])

# %% [markdown]
# Repaired by looking the call up again. The other two are no errors but open questions: a plan is made, and says what it
# leaves out. (`statuses` is needed here: all four calls say `initiated`, and a word that none of the calls at hand has is
# not believed to be one of the API's, unless the API says so.)

# %%
fix.loc[0, "call_id"] = second_trunk["id"].iloc[0]
statuses = client.describe().statuses
draft = sr.plan_corrections(client.get_calls(fix["call_id"]), fix, reason="ticket 4711", statuses=statuses)
draft.left_out[["call_id", "field", "reason"]]

# %% [markdown]
# - **A blank row** asks for nothing. A blank *cell* leaves that value alone; it never empties it.
# - **A status that the API does not know** is never written: a word that the platform cannot read is worse than a wrong
#   one. Which words there are:

# %%
sorted(statuses)

# %% [markdown]
# Back to the colleague, then, and not on with half a fix: the sheet was completed, in the sheet, so that ticket and plan
# say the same.

# %%
ticket.loc[0, "call_id"] = second_trunk["id"].iloc[0]
ticket.loc[1, "ended_at"] = portal["ended_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ").iloc[1]
ticket.loc[1, "duration_seconds"] = str(int(portal["billable_s"].iloc[1]))
ticket.loc[[1, 2], "status"] = "completed"
ticket.to_excel(work / "ticket-4711.xlsx", index=False)

fix = pd.read_excel(work / "ticket-4711.xlsx", dtype=str)
found = client.get_calls(fix["call_id"])
rest = sr.plan_corrections(found, fix, reason="ticket 4711", statuses=statuses, max_calls=4)
rest.dry_run(rate="50/s")

# %%
rest = rest.approve(by="ana", note="ticket 4711, compared with the portal").approve(by="ben")
by_hand = sr.apply_plan(rest, client, work / "audit", rate="50/s", min_approvals=2, progress=False)
sr.verify_run(by_hand, client)

# %% [markdown]
# Is it safe to run the notebook's cells again, or the next ticket with the same sheet? What already is as it should be
# is no change:

# %%
found = client.get_calls(fix["call_id"])
again = sr.plan_corrections(found, fix, reason="ticket 4711", statuses=statuses)
again

# %%
again.left_out[["field", "reason"]].value_counts().to_frame("calls")

# %% [markdown]
# And the alarm? What is still stuck is the record that is kept open, and the one that rang, which waits for somebody
# to find out what happened to it:

# %%
stuck = next(finding for finding in sr.check_calls(client.fetch_calls(day)) if finding.code == "stuck-calls")
stuck.evidence[["call_id", "status", "started_at"]]

# %% [markdown]
# ## 8. What stays: the log
#
# Three runs, who approved them, and which one undoes which:

# %%
log = sr.AuditLog(work / "audit")
log.runs()[["run_id", "started_at", "n_calls", "applied", "approved_by", "reverts_run_id"]]

# %% [markdown]
# The whole life of the record that was put back: what was meant, what was answered, and that it was undone.

# %%
records = log.records()
records.loc[records["call_id"].eq(example), ["event", "after", "outcome", "http_status", "source_row"]]

# %% [markdown]
# The log's records are chained, so that an edited, missing or inserted one is found. Only a log that was cut or
# rewritten as a whole could still pass; against that, keep its head somewhere else. The ticket is a good place. Checked
# here against what the last run printed:

# %%
log.verify(head=by_hand.head)

# %%
client.close()
sandbox.stop()
show(f"ticket 4711 is closed; the head of the audit log is {log.head}")
