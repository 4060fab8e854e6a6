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
# # Comparing months
#
# One reconciliation says what was wrong in a month. A folder of them says what is getting worse, who and what it
# happens to, and whether corrections last. This recipe reads what the monthly walk leaves behind and nothing else:
#
# - a folder of saved reconciliations, one per month (`rec.save("reconciliations/2025-10")`), and
# - the audit log of all runs (`apply_plan(…, "audit/")`).
#
# 1. [What there is, and may it be compared?](#1.-What-there-is,-and-may-it-be-compared?)
# 2. [The rate of wrong durations, month by month](#2.-The-rate-of-wrong-durations,-month-by-month)
# 3. [Which causes came and went?](#3.-Which-causes-came-and-went?)
# 4. [Who, where from, and when?](#4.-Who,-where-from,-and-when?)
# 5. [What was corrected, and what came back?](#5.-What-was-corrected,-and-what-came-back?)
# 6. [Seconds before and after](#6.-Seconds-before-and-after)
# 7. [Before you tell anybody](#7.-Before-you-tell-anybody)

# %%
import json
import tempfile
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML

import sippet_reconcile as sr
from sippet_reconcile.demo import sample_data
from sippet_reconcile.sandbox import Sandbox

pd.set_option("display.max_colwidth", None)
work = Path(tempfile.mkdtemp(prefix="months-"))
sr.__version__

# %% [markdown]
# ## A small history to practise on
#
# With folders of your own, set `work` to where they are and go on with section 1.
#
# Here three months are made from the sample month, moved into the past and varied: the platform went live at the end
# of August; a worker crashed in October, and the gateway of one of two sites began to round up to full minutes; one
# desk loses its seconds again and again. Each month is reconciled, saved, planned and corrected on a sandbox, as it
# would be each month. You may pass over how: what was planted here, the sections below have to find.

# %%
DAYS_BACK = {"2025-08": 365 + 61, "2025-09": 365 + 31, "2025-10": 365}
LEFT_OUT = {
    "2025-08": ["cut-by-crash", "rounded-up-60s"],
    "2025-09": ["cut-by-crash", "rounded-up-60s"],
    "2025-10": [],
}
# The first month was reconciled before anybody had settled on a tolerance.
RULES = {
    month: sr.Rules(duration="billable", duration_tolerance_s=3 if month == "2025-08" else 1)
    for month in DAYS_BACK
}

sample_legs = sr.read_cdr(sample_data() / "freeswitch" / "Master.csv", timezone="Europe/London", country="GB")
sample_calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
planted = pd.read_csv(sample_data() / "planted.csv", dtype="str")


def moved(frame, month):
    """Return a frame of the sample in another month, with ids of its own."""
    times = frame.select_dtypes("datetimetz").columns
    ids = [n for n in ("id", "call_uuid", "conversation_id", "leg_id", "call_key", "linked_id") if n in frame]
    new_ids = {
        name: frame[name].map(lambda one: str(uuid.uuid5(uuid.NAMESPACE_URL, f"{month}/{one}")), "ignore")
        for name in ids
    }
    return frame.assign(
        **{name: frame[name] - pd.Timedelta(days=DAYS_BACK[month]) for name in times}, **new_ids
    )


def invented(month):
    """Return legs and calls of one month of the history."""
    calls, legs = sample_calls, sample_legs
    desk = calls["sip_username"]
    is_mill = desk.ge("1007")
    kinds = planted.groupby("kind")["call_id"].agg(set)
    gone = calls["id"].isin(set().union(*(kinds[kind] for kind in LEFT_OUT[month])))
    gone |= calls["id"].isin(kinds["rounded-up-60s"]) & is_mill  # the other site's gateway is as it was
    talked = np.flatnonzero(desk.eq("1011") & calls["status"].eq("completed"))
    seconds = calls["duration_seconds"].copy()
    seconds.iloc[talked[::5]] = 0
    mill_keys, gone_keys = (set(calls.loc[mask, "call_uuid"].dropna()) for mask in (is_mill, gone))
    site = np.where(legs["linked_id"].isin(mill_keys), "mill.csv", "harbour.csv")
    legs = legs.assign(source_file=pd.Series(site, index=legs.index, dtype="str"))
    legs = legs.loc[~legs["linked_id"].isin(gone_keys)]
    calls = calls.assign(duration_seconds=seconds).loc[~gone]
    legs, calls = moved(legs, month), moved(calls, month)
    if month == "2025-08":
        live_from = pd.Timestamp("2025-08-30", tz="Europe/London")
        legs, calls = (frame.loc[frame["started_at"].ge(live_from)] for frame in (legs, calls))
    return legs.reset_index(drop=True), calls.reset_index(drop=True)


history = {month: invented(month) for month in DAYS_BACK}
sandbox = Sandbox(calls=pd.concat([calls for _, calls in history.values()], ignore_index=True)).start()
client = sr.Client(sandbox.url, token=sandbox.token)


def close_month(month):
    """Reconcile, save, plan and correct a month; return what became of its calls."""
    legs, calls = history[month]
    period = sr.Period.month(month, timezone="Europe/London")
    rec = sr.reconcile(
        legs, calls.assign(api_url=sandbox.url), period=period, rules=RULES[month], progress=False
    )
    rec.save(work / "reconciliations" / month)
    plan = sr.build_plan(rec, fields=["duration_seconds", "ended_at", "status"])
    plan = plan.approve(by="ana", note=f"billing {month}")
    run = sr.apply_plan(plan, client, work / "audit", rate="400/s", progress=False)
    return run.records["outcome"].value_counts()


pd.DataFrame({month: close_month(month) for month in history}).T

# %% [markdown]
# After the last month somebody's nightly job wrote a few old values again, and September was read and reconciled once
# more: a second look at a month that was corrected is the only way to learn whether corrections last.

# %%
legs, calls = history["2025-09"]
saved = sr.load_reconciliation(work / "reconciliations" / "2025-09")
lost = saved.discrepancies.query("explanation == 'zero' and sip_username == '1011'")["call_id"]
for call_id in lost.head(9):
    client.patch_call(call_id, {"duration_seconds": 0})

again = sr.reconcile(
    legs,
    client.get_calls(calls["id"]),
    period=sr.Period.month("2025-09", timezone="Europe/London"),
    rules=RULES["2025-09"],
    progress=False,
)
again.save(work / "reconciliations" / "2025-09-again")
sandbox.stop()
sorted(path.name for path in work.glob("*/*") if path.is_dir())

# %% [markdown]
# ## 1. What there is, and may it be compared?
#
# From here on only the two folders are read. First the log: is it as it was written? With a head that was kept elsewhere,
# `log.verify(head=...)` would notice a cut end, too.

# %%
log = sr.AuditLog(work / "audit")
log.verify()

# %% [markdown]
# Then the reconciliations, in the order in which their calls were read. The first reading of a period is the month as
# it was found; later readings of the same period say whether it stayed corrected.

# %%
readings = {
    folder.name: sr.load_reconciliation(folder) for folder in sorted((work / "reconciliations").iterdir())
}
readings = dict(sorted(readings.items(), key=lambda reading: (reading[1].fetched_at, reading[0])))
overview = pd.DataFrame(
    [
        {
            "reading": name,
            "period": rec.period.label.split(" (")[0],
            "read at": f"{rec.fetched_at:%Y-%m-%d %H:%M}",
            "compared": rec.n_compared,
            "calls that differ": rec.discrepancies["call_id"].nunique(),
            "only in CDR": len(rec.only_in_cdr),
            "only in API": len(rec.only_in_api),
            "ambiguous": rec.ambiguous["call_id"].nunique(),
        }
        for name, rec in readings.items()
    ]
).set_index("reading")
is_first = ~overview["period"].duplicated()
months = {name: rec for name, rec in readings.items() if is_first[name]}
overview

# %% [markdown]
# Look at this before any rate: a month in which many calls matched nothing was compared in part only, and the part is
# seldom a fair sample. The findings of each month say the rest:

# %%
findings = {
    name: {found.code: found.severity.value for found in rec.findings} for name, rec in readings.items()
}
pd.DataFrame(findings).fillna("–")

# %% [markdown]
# A month with a `stop` (a wrong time zone, an undecided meaning of durations) has differences that are the data's own
# fault: leave it out until it is cured. Here there is none.
#
# Next: were the months measured with the same rules? What counts as a difference is decided by them, so two months
# with different rules are two different measures.

# %%
rules = pd.DataFrame({name: rec.rules.to_dict() for name, rec in months.items()})
rules.loc[[len({str(value) for value in row}) > 1 for row in rules.to_numpy()]]

# %% [markdown]
# August was compared with a tolerance of 3 seconds, the others with 1. Its differences of two and three seconds were
# never counted. Two ways out: reconcile August again with today's rules, which is best and needs its CDR; or count all
# months as the loosest of them did, which the saved differences allow. The second costs nothing, and shows how much it
# matters.

# %%
loosest = max(rec.rules.duration_tolerance_s for rec in months.values())


def wrong_durations(rec, tolerance_s=0.0):
    """Return the calls whose durations are missing, or further apart than a tolerance."""
    found = rec.discrepancies.loc[rec.discrepancies["field"].eq("duration_seconds")]
    is_small = found["delta_s"].abs().le(tolerance_s).fillna(value=False)
    return found.loc[~is_small]


pd.DataFrame(
    {
        "own tolerance": {name: len(wrong_durations(rec)) for name, rec in months.items()},
        f"all at {loosest:g} s": {name: len(wrong_durations(rec, loosest)) for name, rec in months.items()},
        "compared": {name: rec.n_compared for name, rec in months.items()},
    }
)

# %% [markdown]
# So the rates below use `loosest` for every month: the same measure, a little blunt, rather than three sharp ones that
# cannot be laid side by side. Rates of September and October alone could use the sharper tolerance.
#
# ## 2. The rate of wrong durations, month by month
#
# A rate needs its denominator: all calls that were compared, not only those that differ. `rec.ledger(by=…)` has every
# compared call once per field, so it gives the denominator for any split.
#
# And a rate from few calls is a guess with a range. The range here is Wilson's 95 % interval: it stays sensible for
# small numbers and for none at all. Where two ranges overlap, the months may well be alike.


# %%
def wilson(wrong, compared, z=1.96):
    """Return the lower and upper bound of a share; z = 1.96 for 95 %, 3 where many groups are looked at."""
    share = wrong / compared
    middle = share + z**2 / (2 * compared)
    reach = z * np.sqrt(share * (1 - share) / compared + z**2 / (4 * compared**2))
    return (middle - reach) / (1 + z**2 / compared), (middle + reach) / (1 + z**2 / compared)


def compared_by(by):
    """Return how many calls were compared, one row per group of the ledger, one column per month."""
    parts = []
    for name, rec in months.items():
        ledger = rec.ledger(by=by)
        parts.append(ledger.loc[ledger["field"].eq("duration_seconds")].assign(month=name))
    return pd.concat(parts).pivot_table(
        index=by, columns="month", values="n_calls", aggfunc="sum", fill_value=0, dropna=False, observed=True
    )


def wrong_in(name, rec):
    """Return the wrong durations of a month with the names of the ledger's groups."""
    found = wrong_durations(rec, loosest)
    local = found["started_at"].dt.tz_convert(rec.timezone)
    groups = {
        "user": found["sip_username"],
        "hour": local.dt.strftime("%H"),
        "day": local.dt.strftime("%Y-%m-%d"),
    }
    return found.assign(month=name, **groups)


wrong = pd.concat([wrong_in(name, rec) for name, rec in months.items()])


def rates(counted, compared, z=1.96):
    """Return wrong, compared, rate and its range, one row per group of `compared`."""
    table = compared.rename("compared").to_frame().astype("float64")
    table["wrong"] = counted.reindex(table.index).fillna(0).astype("float64")
    table["rate"] = table["wrong"] / table["compared"]
    table["from"], table["to"] = wilson(table["wrong"], table["compared"], z)
    return table


def shown(table):
    """Show a table of rates: counts whole, shares in per cent, a bar for the rate."""
    shares = [name for name in table.columns if name in {"rate", "from", "to", "others"}]
    formats = dict.fromkeys(shares, "{:.1%}") | {"compared": "{:,.0f}", "wrong": "{:,.0f}"}
    styled = table.style.format({name: how for name, how in formats.items() if name in table})
    return styled.bar(subset=["rate"], color="#5c8fd680", vmin=0)


compared_per_month = pd.Series({name: rec.n_compared for name, rec in months.items()}).rename_axis("month")
by_month = rates(wrong.groupby("month")["call_id"].nunique(), compared_per_month)
few = np.where(by_month["to"] - by_month["from"] > 0.05, "few calls", "")
shown(by_month.assign(note=few))


# %%
def ranges(table, title):
    """Draw each rate as a dot on the line of its range, as inline SVG."""
    scale = 500 / table["to"].max()
    rows = []
    for place, (label, row) in enumerate(table.iterrows()):
        y, low, rate, high = 48 + 30 * place, *(150 + scale * row[["from", "rate", "to"]])
        rows.append(
            f'<text x="140" y="{y + 4}" text-anchor="end">{label} ({row["compared"]:,.0f} calls)</text>'
            f'<line x1="{low:.0f}" x2="{high:.0f}" y1="{y}" y2="{y}" stroke="#5c8fd6" stroke-width="6" opacity=".5"/>'
            f'<circle cx="{rate:.0f}" cy="{y}" r="6" fill="#1d5fa8"/>'
            f'<text x="{high + 8:.0f}" y="{y + 4}">{row["rate"]:.1%} ({row["from"]:.1%} to {row["to"]:.1%})</text>'
        )
    height = 60 + 30 * len(table)
    said = f'<svg viewBox="0 0 860 {height}" width="100%" role="img" font-size="13" fill="currentColor"><title>{title}</title>'
    return HTML(f'{said}<text x="150" y="18" font-weight="bold">{title}</text>{"".join(rows)}</svg>')


ranges(by_month, "Wrong durations as a share of all compared calls, with 95 % ranges")

# %% [markdown]
# August has few calls, and its range says so: it is no evidence that anything was better or worse than later. October
# lies above September, but their ranges overlap: from the totals alone nobody could say that anything happened. A
# total mixes causes that come and go; the next section takes it apart.
#
# ## 3. Which causes came and went?
#
# The same denominators, split by explanation. A cause that was never seen in a month has a range too, from zero up to
# what that many calls could have hidden.


# %%
def split(frame, by):
    """Return how many calls are wrong, one row per group, one column per month."""
    return frame.pivot_table(
        index=by, columns="month", values="call_id", aggfunc="nunique", fill_value=0
    ).reindex(columns=list(months), fill_value=0)


causes = split(wrong, "explanation")
shares = causes / compared_per_month
order = shares.max(axis=1).sort_values(ascending=False).index
shares.loc[order].style.format("{:.2%}").bar(color="#5c8fd680", vmin=0, axis=None)

# %%
before, after = list(months)[-2:]
change = pd.concat(
    {
        name: rates(causes[name], pd.Series(float(compared_per_month[name]), causes.index), z=3)
        for name in (before, after)
    },
    axis=1,
)
is_apart = change[before, "to"].lt(change[after, "from"]) | change[after, "to"].lt(change[before, "from"])
columns = [(name, column) for name in (before, after) for column in ("wrong", "rate", "from", "to")]
change.loc[is_apart, columns].style.format("{:.1%}").format(
    "{:,.0f}", subset=[(before, "wrong"), (after, "wrong")]
)

# %% [markdown]
# These are the causes whose ranges in the last two months lie apart; all others may be chance. A dozen causes were
# looked at, each with a chance to differ by accident, so the ranges are wider ones here (`z=3`). Both causes are new
# in October: calls cut by a crash, and durations rounded up to full minutes. The totals had hidden it.
#
# ## 4. Who, where from, and when?
#
# For each group, its rate beside that of all others. A group stands out where the rate of the others lies outside its
# range. Groups of few calls have wide ranges and so do not stand out by accident.


# %%
def stand_out(by, *, among=wrong, without=()):
    """Return the rate of each group over all months, that of all others, and whether they lie apart."""
    compared = compared_by(by).sum(axis=1).drop(list(without))
    table = rates(among.groupby(by)["call_id"].nunique(), compared, z=3)
    others = (table["wrong"].sum() - table["wrong"]) / (table["compared"].sum() - table["compared"])
    table.insert(3, "others", others)
    is_out = others.lt(table["from"]) | others.gt(table["to"])
    return table.assign(**{"stands out": np.where(is_out, "yes", "")}).sort_values("rate", ascending=False)


by_user = stand_out("user")
shown(by_user)

# %% [markdown]
# Two desks stand out, one above and one below. But the others of the lower one include the higher one, which lifts
# them all. Leave the worst group out and ask again, until nobody stands out:

# %%
desk = by_user.index[0]
shown(stand_out("user", without=[desk]))

# %%
split(wrong.loc[wrong["user"].eq(desk)], "explanation")

# %% [markdown]
# So it is one desk, in all months, and by one cause: its seconds are lost. That points at a device or an account, not
# at the platform. A high rate with many causes would be something else, such as a busy desk in the hour of a crash.
#
# Now the file that each call's CDR came from:

# %%
shown(stand_out("source_file"))

# %% [markdown]
# All causes together, the sites are alike. A cause that one site alone has drowns in the sum, so ask cause by cause:

# %%
new_causes = list(change.index[is_apart])
by_site = {
    cause: stand_out("source_file", among=wrong.loc[wrong["explanation"].eq(cause)]) for cause in new_causes
}
pd.concat(by_site)[["wrong", "compared", "rate", "from", "to", "stands out"]].style.format(
    {"wrong": "{:,.0f}", "compared": "{:,.0f}", "rate": "{:.2%}", "from": "{:.2%}", "to": "{:.2%}"}
)

# %% [markdown]
# Rounding up happens in the calls of one file only: ask whoever runs that site's gateway what was changed in October.
# The crash spares nobody. Then the hour of the day, in local time:

# %%
hours, in_hour = split(wrong, "hour"), compared_by("hour")
(hours / in_hour).style.format("{:.0%}", na_rep="–").bar(color="#5c8fd680", vmin=0, axis=None)

# %% [markdown]
# Bars of thin hours jump about: one wrong call of four is 25 %. With ranges, what is left of them?

# %%
by_hour = stand_out("hour")
shown(by_hour.loc[by_hour["stands out"].eq("yes") | by_hour["compared"].lt(60)])

# %% [markdown]
# One hour stands out, with four wrong calls of ten. Its range leaves out the rate of the others and still reaches from
# a tenth to four fifths. And here no range helps: two of the four calls are copies of the other two, made when this
# history was made, and a range takes calls to be independent of each other. Real months have such copies too: one
# night's fault that hits a handful of calls is one event, not a handful. Look at the calls before you build on so few:

# %%
wrong.loc[wrong["hour"].eq(by_hour.index[0]), ["month", "day", "hour", "explanation", "delta_s", "user"]]

# %% [markdown]
# What tells an event from a setting is whether a cause keeps to a few hours of a few days:

# %%
grouped = wrong.groupby("explanation")
in_one_hour = wrong.groupby(["explanation", "day", "hour"])["call_id"].nunique()
spread = pd.DataFrame(
    {
        "calls": grouped["call_id"].nunique(),
        "days": grouped["day"].nunique(),
        "most in one hour of one day": in_one_hour.groupby("explanation").max(),
    }
)
spread["share of them"] = spread["most in one hour of one day"] / spread["calls"]
spread.sort_values("share of them", ascending=False).style.format({"share of them": "{:.0%}"}).bar(
    subset=["share of them"], color="#5c8fd680", vmin=0
)

# %% [markdown]
# A third of the crashed calls lie in one hour of one day; no other cause comes near that. Which hours were it?

# %%
in_one_hour.sort_values(ascending=False).head(4).to_frame("calls")

# %% [markdown]
# Two hours hold most of the crashed calls: an event, and those hours are where to look in the worker's log. All other
# causes are spread over the months: settings, devices, or habits.
#
# ## 5. What was corrected, and what came back?
#
# The audit log knows each call that was sent, by whom it was approved, and what became of it. A call counts as
# corrected where the last thing that the log says about it is `applied`, and that was no revert.

# %%
log.runs()[
    ["run_id", "started_at", "n_calls", "applied", "drifted", "rejected", "reverts_run_id", "approved_by"]
]

# %%
records = log.records()
last = records.loc[records["event"].eq("outcome")].sort_values("seq").drop_duplicates("call_id", keep="last")
reverts = log.runs().query("reverts_run_id.notna()")["run_id"]
corrected = last.loc[last["outcome"].eq("applied") & ~last["run_id"].isin(reverts)].set_index("call_id")

month_of = pd.concat([pd.Series(name, rec.pairs["call_id"], dtype="str") for name, rec in months.items()])
in_month = corrected.index.to_series().map(month_of)
found_wrong = pd.Series(
    {name: rec.discrepancies.query("is_patchable")["call_id"].nunique() for name, rec in months.items()}
)
outcomes = pd.crosstab(last["call_id"].map(month_of).rename("month"), last["outcome"])
outcomes.assign(**{"found wrong": found_wrong, "left": found_wrong - in_month.value_counts()})

# %% [markdown]
# What is `left` was found wrong and not corrected: the plan left it out because the corrected record would still have
# contradicted itself, or nobody may decide it. `plan.left_out` says so call by call; a growing number is worth a look.
#
# A correction *came back* where a reading later than the correction finds the same field of the same call wrong again.
# It takes a second reading of the month; months without one are not clean, but unknown.

# %%
seen = pd.concat(
    [rec.discrepancies.assign(reading=name, read_at=rec.fetched_at) for name, rec in readings.items()]
)
seen = seen.merge(corrected[["at", "after"]], left_on="call_id", right_index=True)
was_sent = [field in json.loads(after) for field, after in zip(seen["field"], seen["after"], strict=True)]
returned = seen.loc[np.array(was_sent, bool) & seen["read_at"].gt(seen["at"])]
returned.groupby(["reading", "field", "explanation", "sip_username"])["call_id"].nunique().rename(
    "came back"
).to_frame()

# %%
n_readings = pd.Series(
    {name: sum(r.period == rec.period for r in readings.values()) for name, rec in months.items()}
)
came_back = returned.drop_duplicates("call_id")["call_id"].map(month_of).value_counts()
checked = pd.DataFrame({"corrected": in_month.value_counts(), "readings": n_readings, "came back": came_back})
checked.loc[checked["readings"].gt(1), "came back"] = checked["came back"].fillna(0)
checked.style.format("{:.0f}", na_rep="unknown")

# %% [markdown]
# What comes back has a writer. All of these belong to one desk and have one cause, the same that stood out in section
# 4: correcting them each month only hides it. `rec.show(call_id)` has the evidence of one call, and the log who
# corrected it:

# %%
one = returned["call_id"].iloc[0]
told = ["event", "before", "after", "outcome", "explanation", "source_file", "source_row"]
records.loc[records["call_id"].eq(one), told]

# %% [markdown]
# ## 6. Seconds before and after
#
# Rates count calls; bills count seconds. Per month: what the API had, what the differences that can be corrected come
# to, and what was really changed, by the log: before plus changed is after. What lies within the tolerance is not
# corrected; its sum shows whether the tolerance hides money. Here each month's own tolerance counts, not the loosest.

# %%
seconds = {}
for name, rec in months.items():
    lines = rec.ledger().query("field == 'duration_seconds'")
    within = lines.loc[lines["explanation"].eq("within tolerance, not corrected")]
    mine = corrected.loc[in_month.eq(name)]
    changes = [
        int(json.loads(new)["duration_seconds"]) - int(json.loads(old)["duration_seconds"] or 0)
        for old, new in zip(mine["before"], mine["after"], strict=True)
        if "duration_seconds" in json.loads(new)
    ]
    seconds[name] = {
        "calls": rec.n_compared,
        "calls wrong": len(wrong_durations(rec)),
        "calls changed": len(changes),
        "seconds before": lines["before_s"].sum(),
        "could change": lines["change_s"].sum(),
        "changed": sum(changes),
        "seconds after": lines["before_s"].sum() + sum(changes),
        "within tolerance, net": within["net_s"].sum(),
    }
seconds = pd.DataFrame(seconds).T
seconds.style.format("{:,.0f}").format(
    "{:+,.0f}", subset=["could change", "changed", "within tolerance, net"]
)

# %% [markdown]
# What could change and was not is what the plans left out. Seconds that came back are not in this table: the log says
# what was written, not what others wrote later.
#
# And net sums hide: seconds that were lost and seconds that were invented cancel each other. By cause they do not:

# %%
by_cause = wrong.pivot_table(
    index="explanation", columns="month", values="delta_s", aggfunc="sum", observed=True
).astype("float64")
by_cause.loc[by_cause.abs().max(axis=1).sort_values(ascending=False).index].style.format(
    "{:+,.0f}", na_rep="–"
)

# %% [markdown]
# ## 7. Before you tell anybody
#
# - **Same rules?** A changed tolerance, basis or status map changes the rate. Name the rules that differ, count all
#   months alike, or reconcile the older ones again.
# - **Same coverage?** Only matched calls are compared. A month in which the export lacked days, or ids stopped matching,
#   has a rate of what was left.
# - **Enough calls?** No rate without its range. "None of 130" still allows almost 3 %.
# - **How many questions were asked?** Twenty groups at 95 % show one that stands out by chance. Ranges with `z=3` are
#   made for tables of groups.
# - **One cause or a sum?** A total can stay level while one cause replaces another, and a site can be like all others
#   in sum and unlike them in one cause.
# - **Explanations are arithmetic.** `zero` says what was found, not who did it. A new version of this package may know
#   a cause that it called `unexplained` before; reconcile older months again before comparing that line.
# - **Not read again is not clean.** Corrections that came back show only in a later reading.
# - **Keep the log's head.** A log that was cut or rewritten as a whole shows only against a head kept elsewhere:

# %%
log.head
