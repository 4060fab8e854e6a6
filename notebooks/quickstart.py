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
# # From a CDR export to verified corrections
#
# A month of an invented company, from its phone system's export to proof that the wrong Call records were
# corrected. Everything runs on this machine: the API is a sandbox that behaves like the real one.
#
# With the real API, only the client differs: `sr.Client()` reads `SIPPET_API_URL` and `SIPPET_API_TOKEN`.

# %%
import tempfile
from pathlib import Path

import sippet_reconcile as sr
from sippet_reconcile.demo import sample_data
from sippet_reconcile.sandbox import Sandbox

october = sr.Period.month("2026-10", timezone="Europe/London")
work = Path(tempfile.mkdtemp(prefix="quickstart-"))
october.label

# %% [markdown]
# ## Read the export
#
# One record of the file is one row, usable or not. The stamps are local time, so the zone has to be said;
# this month contains the night in which the clocks go back.

# %%
legs = sr.read_cdr(sample_data() / "freeswitch" / "Master.csv", timezone="Europe/London", country="GB")
sr.describe_cdr(legs)

# %%
legs[["source_row", "call_key", "started_at", "total_s", "billable_s", "status", "cause", "problem"]].head()

# %% [markdown]
# ## Fetch the Call records
#
# The API has no paging, so the month is read in windows of `started_at`, several at a time.

# %%
sandbox = Sandbox(calls=sample_data() / "api" / "calls.json").start()
client = sr.Client(sandbox.url, token=sandbox.token)
calls = client.fetch_calls(october)
calls["status"].value_counts(dropna=False).to_frame()

# %% [markdown]
# ## Reconcile
#
# The causes come first. `duration="billable"` says what `duration_seconds` is meant to be: the seconds after
# the answer. With `"auto"` the data are asked, and the answer is only a proposal.

# %%
rec = sr.reconcile(legs, calls, period=october, rules=sr.Rules(duration="billable"))
rec

# %% [markdown]
# The card shows the largest causes; `rec.causes` shows all of them. Its figures are a frame, `rec.rollup()`.

# %%
rec.causes

# %% [markdown]
# What was looked for in the month as a whole, and what came of it: that nothing was found, and that too few calls
# could tell, are two answers.

# %%
rec.findings.checks

# %% [markdown]
# A finding that a rule would cure proposes that rule. Nothing is ever applied by itself: pin what you believe in
# `Rules`, or in a TOML file for the months to come. Asked what `duration_seconds` counts, the data give the answer
# that was pinned above:

# %%
asked = sr.reconcile(legs, calls, period=october, rules=sr.Rules(duration="auto"))
print(asked.findings.cures_toml())
pinned = sr.Rules.from_toml(asked.findings.cures_toml())
assert pinned == rec.rules
pinned

# %% [markdown]
# Nothing is dropped: each leg and each call is in exactly one bucket, and the balance adds up.

# %%
rec.balance

# %% [markdown]
# One call in full: both sides, every leg with its line in the export, and why it may or may not be corrected.

# %%
longest = rec.discrepancies.sort_values("delta_s", key=abs, ascending=False).iloc[0]
rec.show(longest["call_id"])

# %% [markdown]
# ## Plan, and read the dry run
#
# A plan is frozen and has a fingerprint. The report is one file without outside parts, to send to a colleague.

# %%
plan = sr.build_plan(rec, fields=["duration_seconds", "ended_at", "status"])
report = plan.dry_run(rate="200/s")
report.to_html(work / "dry_run.html")
report

# %%
plan.left_out["reason"].value_counts().to_frame()

# %% [markdown]
# ## Approve and apply
#
# First a canary of five calls; applying again continues the same run. Each call is read again before it is
# corrected, and each intent is on disk before its request is sent. The sandbox stands 200 requests a second; with a
# production API, leave `rate` out: the default is `5/s`.

# %%
plan = plan.approve(by="ana", note="October billing")
run = sr.apply_plan(plan, client, work / "audit", rate="200/s", limit=5, progress=False)
run

# %%
run = sr.apply_plan(plan, client, work / "audit", rate="200/s", progress=False)
run.records["outcome"].value_counts().to_frame()

# %% [markdown]
# ## Prove it
#
# First, read everything back:

# %%
proof = sr.verify_run(run, client)
proof

# %% [markdown]
# Then reconcile again. What is left are the starts, which the API takes no correction of, and the two calls that the
# plan left out:

# %%
again = sr.reconcile(legs, client.fetch_calls(october), period=october, rules=rec.rules)
again.rollup()[["field", "explanation", "n_calls"]]

# %% [markdown]
# And check the chain of the audit log against the head that the run printed. Kept elsewhere, in a ticket or a mail, it
# shows a log that was cut, too.

# %%
sr.AuditLog(work / "audit").verify(head=run.head)

# %% [markdown]
# ## Undo it
#
# A revert is a plan like any other: it is reviewed, approved and applied, and skips what has changed since.

# %%
undo = sr.revert_run(run)
undo.changes[["call_id", "field", "before", "after", "delta_s", "reason"]].head()

# %%
undone = sr.apply_plan(
    undo.approve(by="ana", note="trying it out"), client, work / "audit", rate="200/s", progress=False
)
sandbox.stop()
undone
