# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The month's billing
#
# Which Call records of a month are wrong, what would be changed, and what that is worth: by user, by day, by cause and
# by destination. The command `sippet-reconcile month` takes the same steps unattended; here each of them can be
# looked at. Nothing is sent: at the end there is a plan for a person to approve.
#
# With `SIPPET_API_URL` and `SIPPET_API_TOKEN` set, the Call records come from that API. Without them a sandbox on this
# machine is used, with two months of an invented company.
#
# The next cell can be set from outside, for example with papermill:
#
# ```
# papermill monthly_billing.ipynb out.ipynb -p month 2026-11 -p config /billing/month.toml -p output /billing/months
# ```

# %% tags=["parameters"]
month = "2026-10"
config = None  # the TOML file of the month, as for `sippet-reconcile month`; None: that of the sample data
output = None  # where to save; None: a new temporary folder
fetched_at = None  # judge open calls by this instant; None: by when they were fetched
{"month": month, "config": config, "output": output, "fetched_at": fetched_at}

# %% [markdown]
# ## Configuration
#
# Every month is reconciled in the same way: the files, the rules, what may be corrected, and the rate card are
# written in one file.

# %%
import os
import tempfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

import sippet_reconcile as sr
from sippet_reconcile.demo import NEXT_EXPORTED_AT, sample_calls, sample_data
from sippet_reconcile.sandbox import Sandbox

settings = sr.MonthConfig.from_toml(config or sample_data() / "month.toml")
period = sr.Period.month(month, timezone=settings.timezone)
work = Path(output or tempfile.mkdtemp(prefix="monthly-billing-")) / month
work.mkdir(parents=True, exist_ok=True)
has_charts = find_spec("matplotlib") is not None  # the extra `plots`
if settings.rate_card is None:
    msg = f"{settings.path} names no rate_card, and this notebook is about money"
    raise sr.InputError(msg)

this = pd.Period(month, "M")
places = {"month": month, "year": month[:4], "previous": str(this - 1), "next": str(this + 1)}


def place(name):
    """Return a path of the configuration, for this month."""
    return settings.base / Path(name.format(**places)).expanduser()


settings

# %%
settings.rules

# %% [markdown]
# ## Fetch the Call records
#
# The sandbox's calls are of 2026, on whatever day this runs. So their open calls are judged by the instant at which the
# sample was exported. With a real API leave `fetched_at` alone: then the clock decides. Where the configuration names a
# file of calls, that is read instead.

# %%
sandbox = None
if settings.api.file is not None:
    told = settings.api.fetched_at and settings.api.fetched_at.format(**places)
    calls = sr.read_calls(place(settings.api.file), settings.api.url, told)
else:
    if not (settings.api.url or os.environ.get("SIPPET_API_URL")):
        sandbox = Sandbox(sample_calls()).start()
        fetched_at = fetched_at or NEXT_EXPORTED_AT
    with sr.Client(sandbox.url, token=sandbox.token) if sandbox else sr.Client(settings.api.url) as client:
        calls = client.fetch_calls(period, filters=settings.api.filters or None, progress=False)
if fetched_at is not None:
    calls = calls.assign(fetched_at=pd.Timestamp(fetched_at).as_unit("us"))
calls["status"].value_counts(dropna=False).to_frame()

# %% [markdown]
# ## Read the exports
#
# Calls near midnight may lie in the file of the month before or after. Read those files, too: each call belongs to one
# month only, by its start, and what is another month's is counted as `outside_period`.

# %%
exports = [
    sr.read_cdr([place(name) for name in source.files], **source.options, progress=False)
    for source in settings.sources
]
legs = pd.concat(exports, ignore_index=True) if len(exports) > 1 else exports[0]
sr.describe_cdr(legs)

# %% [markdown]
# ## Reconcile
#
# The causes come first.

# %%
rec = sr.reconcile(legs, calls, period=period, rules=settings.rules, progress=False)
rec

# %%
rec.balance

# %% [markdown]
# What was looked for in the month as a whole. A finding that says stop makes planning refuse, and this notebook ends
# there, until it is fixed or accepted by its code in the configuration.

# %%
rec.findings

# %%
rec.causes

# %% [markdown]
# Causes that keep to a few days are events; those of all days are settings or habits.

# %%
rec.plot.days() if has_charts else rec.rollup(by=["day"])

# %% [markdown]
# ## Plan
#
# A plan is frozen and has a fingerprint. What would contradict itself once corrected is left out, with the reason.

# %%
plan = sr.build_plan(rec, **asdict(settings.plan))
plan

# %%
plan.left_out["reason"].value_counts().to_frame()

# %%
plan.plot.seconds() if has_charts else plan.changes.groupby("explanation")["delta_s"].sum().to_frame()

# %% [markdown]
# ## Dry run, with money
#
# The rate card says what a second is worth. Money is exact, each call is rounded once, and pounds are never added to
# dollars.

# %%
card = sr.RateCard.from_csv(place(settings.rate_card))
card

# %%
dry_run = plan.dry_run(rate_card=card, rate=settings.report.rate)
dry_run

# %% [markdown]
# ## What it is worth
#
# `cost_before` is what the Call records bill as they stand, `cost_after` what they would bill if all were corrected that
# can be. Of the whole month, by currency; calls that cannot be rated are in a row without one:

# %%
whole = sr.billing_impact(rec, card, by=())
whole

# %% [markdown]
# The plan is worth less than that where it leaves calls out, since those cannot be corrected as a whole. Its own worth is
# what the dry run tells:

# %%
of_plan = sr.billing_impact(plan, card, by=())
of_plan

# %% [markdown]
# By user: whose bill would change?

# %%
by_user = sr.billing_impact(rec, card, by=("sip_username",))
by_user.loc[by_user["billed_s_delta"].ne(0).fillna(value=False)]

# %% [markdown]
# By cause: what does each of them cost, and whom? A positive difference was billed too little.

# %%
by_cause = sr.billing_impact(rec, card, by=("explanation",))
by_cause.loc[by_cause["billed_s_delta"].ne(0).fillna(value=False)]


# %%
def money_chart(frame, by, title):
    """Draw what the bill of each group gains or loses, one panel per currency."""
    if not has_charts:
        return frame[[by, "currency", "cost_delta"]]
    from matplotlib import pyplot as plt  # noqa: PLC0415

    changed = frame.loc[frame["cost_delta"].ne(0).fillna(value=False)]
    groups = sorted((frame if by == "day" else changed)[by].dropna().astype("str").unique())
    currencies = sorted(changed["currency"].unique())
    n = max(len(currencies), 1)
    figure, panels = plt.subplots(
        n, 1, figsize=(9, 1.5 + 2 * n), sharex=True, squeeze=False, layout="constrained"
    )
    figure.suptitle(title if currencies else f"{title}: nothing changes")
    for panel, currency in zip(panels[:, 0], currencies, strict=False):
        part = changed.loc[changed["currency"].eq(currency)]
        worth = dict(zip(part[by].astype("str"), part["cost_delta"].astype("float64"), strict=True))
        panel.bar(groups, [worth.get(group, 0.0) for group in groups])
        panel.axhline(0, color="grey", linewidth=0.8)
        panel.set_ylabel(currency)
        panel.tick_params(axis="x", rotation=90)
    plt.close(figure)  # it is shown as the value of the cell, once
    return figure


money_chart(by_cause, "explanation", f"What each cause is worth, {month}")

# %% [markdown]
# By day, to see which invoices it is about, and by prefix, to see which of the carrier's rates:

# %%
by_day = sr.billing_impact(rec, card, by=("day",))
money_chart(by_day, "day", f"What each day is worth, {month}")

# %%
by_prefix = sr.billing_impact(rec, card, by=("prefix",))
by_prefix

# %% [markdown]
# ## What the card does not price, and what nobody billed
#
# Calls that no rate fits are in no sum above. Ask for a price, or there is no bill:

# %%
compared = calls.loc[calls["id"].isin(rec.pairs["call_id"])].reset_index(drop=True)
rated = sr.rate_calls(compared, card, timezone=settings.timezone)
unrated = rated.loc[rated["unrated_reason"].notna()].merge(
    compared[["id", "started_at", "direction", "sip_username", "duration_seconds"]],
    left_on="call_id",
    right_on="id",
    validate="one_to_one",
)
unrated[["call_id", "unrated_reason", "started_at", "direction", "sip_username", "duration_seconds"]]

# %% [markdown]
# Calls that the carrier has and the platform has no record of cannot be corrected; they were never billed. Their worth
# is what the month lacks beside the corrections:

# %%
unbilled = sr.rate_calls(rec.only_in_cdr, card, timezone=settings.timezone)
worth = unbilled.loc[unbilled["cost"].notna()].groupby("currency")
worth.agg(n_calls=("cdr_id", "count"), billed_s=("billed_s", "sum"), cost=("cost", "sum"))

# %% [markdown]
# ## Save
#
# A folder for the month's file: the reconciliation, its report, the plan, its dry run, and the tables. They are as
# confidential as the exports.

# %%
rec.save(work / "reconciliation")
rec.to_html(work / "reconciliation.html", mask=settings.report.mask)
plan.save(work / f"plan-{plan.short_id}.parquet")
dry_run.to_html(work / f"dry_run-{plan.short_id}.html", mask=settings.report.mask)
tables = {
    "whole": whole,
    "plan": of_plan,
    "user": by_user,
    "cause": by_cause,
    "day": by_day,
    "prefix": by_prefix,
}
for name, table in (tables | {"unrated": unrated, "unbilled": unbilled}).items():
    table.to_csv(work / f"money-{name}.csv", index=False)
if sandbox is not None:
    sandbox.stop()
pd.Series(sorted(path.name for path in work.iterdir()), name=str(work)).to_frame()

# %% [markdown]
# ## Approve and apply
#
# Nothing has been sent. Send the dry run to a colleague; who has read it approves the plan, and it is applied, a few
# calls first. (The sandbox of this notebook is gone by now: to try these, start `sippet-reconcile sandbox`, export what it
# prints, and run the notebook again.)

# %%
saved = work / f"plan-{plan.short_id}.parquet"
print(f"""sippet-reconcile approve {saved} --by NAME --note "billing {month}"
sippet-reconcile apply {saved} --audit audit/ --limit 5
sippet-reconcile apply {saved} --audit audit/
sippet-reconcile verify --audit audit/""")
plan.summary()
