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
# # The format clinic
#
# Four CDR exports in bad shape. Each is looked at, diagnosed and read, and at the end compared with what really
# happened: the calls are invented here, so the truth is known.
#
# 1. [A report that went through a spreadsheet](#1.-A-report-that-went-through-a-spreadsheet)
# 2. [Two switches, two clocks, one folder](#2.-Two-switches,-two-clocks,-one-folder)
# 3. [Broken quotes, a cut end, and the same file twice](#3.-Broken-quotes,-a-cut-end,-and-the-same-file-twice)
# 4. [A system that nobody knows](#4.-A-system-that-nobody-knows)
#
# The errors are part of the lesson: each says what was found, where, and what to do next.

# %%
import json
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Pretty

import sippet_reconcile as sr

pd.set_option("display.max_colwidth", None)
work = Path(tempfile.mkdtemp(prefix="clinic-"))


def show(*lines):
    """Show text as it is, long lines broken to fit the page."""
    return Pretty("\n".join(textwrap.fill(str(line), 100, break_on_hyphens=False) for line in lines))


def refusal(step, *args, **options):
    """Do what must fail, and show what the error says."""
    try:
        step(*args, **options)
    except (sr.ReconcileError, ValueError) as error:
        return show(f"{type(error).__name__}: {error}")
    msg = "this was meant to fail"
    raise AssertionError(msg)


sr.__version__

# %% [markdown]
# The true calls of each case: when a call began, which desk spoke with which number, how long it rang, and how long
# they talked. No talk means that nobody answered. All numbers are from ranges reserved for fiction.
#
# How they are written down is in this cell too. Pass over it; the files are shown where they are used.


# %%
def invent(n, *, begin, days, seed):
    """Return true calls, one row each; they begin on whole seconds, in UTC."""
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.choice(int(days * 86_400), n, replace=False))
    return pd.DataFrame(
        {
            "began": pd.Timestamp(begin, tz="UTC") + pd.to_timedelta(seconds, unit="s"),
            "desk": rng.integers(201, 210, n).astype(str),
            "outside": [f"0207946{last:04d}" for last in rng.integers(0, 1000, n)],
            "ring_s": rng.integers(2, 25, n),
            "talk_s": rng.integers(5, 600, n) * (rng.random(n) < 0.7),
        }
    )


def stamps(truth, zone):
    """Return start, answer and end of each call as a clock in that zone prints them; no answer is empty."""
    start = truth["began"].dt.tz_convert(zone)
    answer = start + pd.to_timedelta(truth["ring_s"], unit="s")
    end = answer + pd.to_timedelta(truth["talk_s"], unit="s")
    text = [at.dt.strftime("%Y-%m-%d %H:%M:%S") for at in (start, answer, end)]
    text[1] = text[1].where(truth["talk_s"] > 0, "")
    return text


def uniqueids(truth):
    """Return ids as Asterisk makes them: the epoch of the start, a point, and a running number."""
    epochs = (truth["began"] - pd.Timestamp(0, tz="UTC")).dt.total_seconds().astype(int)
    return epochs.astype(str) + "." + truth.index.astype(str)


def freeswitch_lines(truth, names, zone):
    """Return the rows of mod_cdr_csv: everything between quotes, and no quote escaped."""
    start, answer, end = stamps(truth, zone)
    table = pd.DataFrame(
        {
            "caller_id_name": names,
            "caller_id_number": truth["desk"],
            "destination_number": truth["outside"],
            "context": "default",
            "start_stamp": start,
            "answer_stamp": answer,
            "end_stamp": end,
            "duration": (truth["ring_s"] + truth["talk_s"]).astype(str),
            "billsec": truth["talk_s"].astype(str),
            "hangup_cause": np.where(truth["talk_s"] > 0, "NORMAL_CLEARING", "NO_ANSWER"),
            "uuid": truth["uuid"],
            "bleg_uuid": "",
            "accountcode": truth["desk"],
            "read_codec": "PCMA",
            "write_codec": "PCMA",
        }
    )
    return ['"' + '","'.join(row) + '"\n' for row in table.itertuples(index=False)]


def recorded(truth, *, lost):
    """Return the platform's records of true calls; it lost the duration and the end of one of them."""
    calls = []
    for n, call in enumerate(truth.itertuples()):
        ended = call.began + pd.Timedelta(seconds=call.ring_s + call.talk_s)
        attributes = {
            "call_uuid": getattr(call, "uuid", None),
            "direction": "outbound",
            "from_number": call.desk,
            "to_number": "+44" + call.outside[1:],
            "sip_username": call.desk,
            "status": "completed" if call.talk_s else "no_answer",
            "started_at": call.began.isoformat(),
            "ended_at": None if n == lost else ended.isoformat(),
            "duration_seconds": None if n == lost else call.talk_s,
        }
        calls.append({"type": "Call", "id": f"00000000-0000-4000-8000-{n:012d}", "attributes": attributes})
    path = work / "calls.json"
    path.write_text(json.dumps({"data": calls}))
    return sr.read_calls(path, fetched_at="2026-11-01T00:00:00Z")


invent(3, begin="2026-09-01", days=1, seed=0)

# %% [markdown]
# ## 1. A report that went through a spreadsheet
#
# A FreePBX report of one week. Somebody opened it in a spreadsheet on a Mac and saved it again. The dates now look
# like `01/09/2026 10:48`, the seconds are gone, and the lines end in a bare carriage return (`\r`).

# %%
truth = invent(60, begin="2026-09-01", days=8, seed=1)
local = truth["began"].dt.tz_convert("Europe/London")
report = pd.DataFrame(
    {
        "calldate": local.dt.strftime("%d/%m/%Y %H:%M"),
        "clid": '"Desk ' + truth["desk"] + '" <' + truth["desk"] + ">",
        "src": truth["desk"],
        "dst": truth["outside"],
        "dcontext": "from-internal",
        "channel": "PJSIP/" + truth["desk"] + "-0000001a",
        "dstchannel": "PJSIP/trunk-0000001b",
        "lastapp": "Dial",
        "lastdata": "PJSIP/" + truth["outside"] + "@trunk,60",
        "duration": truth["ring_s"] + truth["talk_s"],
        "billsec": truth["talk_s"],
        "disposition": np.where(truth["talk_s"] > 0, "ANSWERED", "NO ANSWER"),
        "amaflags": 3,
        "accountcode": "",
        "uniqueid": uniqueids(truth),
        "userfield": "",
    }
)
resaved = work / "resaved.csv"
report.to_csv(resaved, index=False, lineterminator="\r")
resaved.read_bytes()[:420]

# %% [markdown]
# First question: whose file is it? `sniff_cdr` looks at the content only, and gives its reasons.

# %%
show(*sr.sniff_cdr(resaved)[:2])

# %% [markdown]
# Second question: what was understood? Nothing was said so far but the country for national numbers.

# %%
legs = sr.read_cdr(resaved, country="GB")
sr.describe_cdr(legs)

# %% [markdown]
# Every date in this file could be D/M/Y or M/D/Y: all days are below thirteen. Yet nothing was asked, and no zone
# either. The `uniqueid` of Asterisk begins with an epoch: `1788234500` is a moment in UTC. Held against the printed
# date, it settles the order and the clock. What contradicts it is refused.

# %%
refusal(sr.read_cdr, resaved, dayfirst=False)

# %%
refusal(sr.read_cdr, resaved, timezone="America/Toronto")

# %% [markdown]
# Now the same report after a colleague has tidied it up: six columns, and no `uniqueid`.

# %%
tidied = work / "tidied.csv"
report[["calldate", "src", "dst", "duration", "billsec", "disposition"]].to_csv(
    tidied, index=False, lineterminator="\r"
)
refusal(sr.read_cdr, tidied)

# %% [markdown]
# Nothing in the file can answer that, so ask whoever sent it. And then the next question comes:

# %%
refusal(sr.read_cdr, tidied, dayfirst=True)

# %%
tidied_legs = sr.read_cdr(tidied, dayfirst=True, timezone="Europe/London", country="GB")
tidied_legs[
    ["source_row", "started_at", "total_s", "billable_s", "is_answered", "is_coarse", "call_key"]
].head()

# %% [markdown]
# A wrong answer raises no error here: it makes eight months out of a week. So look at the span first.

# %%
wrong = sr.read_cdr(tidied, dayfirst=False, timezone="Europe/London")
pd.DataFrame(
    {"right": tidied_legs["started_at"].agg(["min", "max"]), "wrong": wrong["started_at"].agg(["min", "max"])}
)

# %% [markdown]
# `is_coarse` marks times without seconds. What does that mean for matching? Here are the platform's records of the same
# calls. It lost the duration and the end of one of them.

# %%
calls = recorded(truth, lost=int(truth["talk_s"].gt(0).idxmax()))
september = sr.Period.month("2026-09", timezone="Europe/London")
rec = sr.reconcile(legs, calls, period=september, rules=sr.Rules(duration="billable"))
rec.pairs[["match_rule", "start_gap_s", "duration_seconds_call", "billable_s_cdr", "ended_at_cdr"]].head()

# %% [markdown]
# All calls are found, by their numbers and their minute: a gap of up to a minute is no difference. Two calls between
# the same numbers within one minute would be ambiguous, and left alone.
#
# The duration can be corrected, as its seconds were exported. The end cannot: minutes give no end, and none is made up.

# %%
plan = sr.build_plan(rec, fields=["duration_seconds", "ended_at"])
plan.changes[["call_id", "field", "before", "after", "match_rule", "source_row"]]

# %% [markdown]
# **Check.** Both files give the true calls, to the minute.

# %%
for found in (legs, tidied_legs):
    assert found["problem"].isna().all()
    assert found["started_at"].tolist() == truth["began"].dt.floor("min").tolist()
    assert found["billable_s"].tolist() == truth["talk_s"].tolist()
    assert found["to_e164"].tolist() == ("+44" + truth["outside"].str[1:]).tolist()
assert legs["call_key"].tolist() == report["uniqueid"].tolist()
f"{len(legs)} rows, {int(legs['is_answered'].sum())} answered, as it was"

# %% [markdown]
# ## 2. Two switches, two clocks, one folder
#
# Leeds has a FreeSWITCH, whose CSV holds local times and nothing else. Toronto has an Asterisk, whose clock
# somebody set to Vancouver's zone. Both exports lie in one folder. They cover the week up to 25 October, the night in
# which the clocks in Leeds go back: the hour from one to two occurs twice.

# %%
leeds = invent(60, begin="2026-10-19", days=5.9, seed=2)
night = pd.DataFrame(
    {
        "began": pd.Timestamp("2026-10-25", tz="UTC")
        + pd.to_timedelta([-10, 10, 30, 50, 70, 100], unit="min"),
        "desk": "201",
        "outside": "02079460999",
        "ring_s": 10,
        "talk_s": [1490, 590, 5990, 890, 590, 1790],
    }
)
leeds = pd.concat([leeds, night], ignore_index=True)
leeds["uuid"] = [f"5c3e0a9d-0000-4000-8000-{n:012d}" for n in range(len(leeds))]

folder = work / "october"
folder.mkdir()
(folder / "leeds.csv").write_text("".join(freeswitch_lines(leeds, "Leeds", "Europe/London")))
Pretty((folder / "leeds.csv").read_text()[:480])

# %%
toronto = invent(60, begin="2026-10-19", days=6, seed=3)
start, answer, end = stamps(toronto, "America/Vancouver")
master = pd.DataFrame(
    {
        "accountcode": "",
        "src": toronto["desk"],
        "dst": toronto["outside"],
        "dcontext": "from-internal",
        "clid": '"Toronto" <' + toronto["desk"] + ">",
        "channel": "PJSIP/" + toronto["desk"] + "-0000002a",
        "dstchannel": "PJSIP/trunk-0000002b",
        "lastapp": "Dial",
        "lastdata": "PJSIP/" + toronto["outside"] + "@trunk",
        "start": start,
        "answer": answer,
        "end": end,
        "duration": toronto["ring_s"] + toronto["talk_s"],
        "billsec": toronto["talk_s"],
        "disposition": np.where(toronto["talk_s"] > 0, "ANSWERED", "NO ANSWER"),
        "amaflags": "DOCUMENTATION",
        "uniqueid": uniqueids(toronto),
        "userfield": "",
    }
)
master.to_csv(folder / "toronto.csv", index=False, header=False)
Pretty((folder / "toronto.csv").read_text()[:420])

# %% [markdown]
# Read all of it, and the first file whose times cannot be placed stops the reading.

# %%
refusal(sr.read_cdr, str(folder / "*.csv"))

# %% [markdown]
# One `timezone=` holds for every file of a reading. Toronto's ids object to that of Leeds:

# %%
refusal(sr.read_cdr, str(folder / "*.csv"), timezone="Europe/London")

# %% [markdown]
# So two zones are two readings. But Toronto's ids object to Toronto's zone as well: this is how the wrong clock is
# found out.

# %%
refusal(sr.read_cdr, folder / "toronto.csv", timezone="America/Toronto")

# %% [markdown]
# The switch's clock was at UTC-07:00, whatever hangs on the wall beside it. Left alone, the offset is measured. That
# is enough for a file in which no clock is changed; for one that runs past 1 November, say `America/Vancouver`.

# %%
from_toronto = sr.read_cdr(folder / "toronto.csv", country="GB")
from_toronto[
    ["source_row", "started_at", "answered_at", "ended_at", "billable_s", "call_key", "time_problem"]
].head(3)

# %% [markdown]
# Leeds needs its zone, as FreeSWITCH's rows carry no epoch. The six calls of the night of the 25th stand at the end.
# `printed` is what the export says.

# %%
from_leeds = sr.read_cdr(
    folder / "leeds.csv", timezone="Europe/London", keep=["start_stamp", "end_stamp"], country="GB"
)
printed = from_leeds["x_start_stamp"].str[11:] + " to " + from_leeds["x_end_stamp"].str[11:]
from_leeds.assign(printed=printed)[["printed", "total_s", "started_at", "ended_at", "time_problem"]].tail(6)

# %% [markdown]
# Four of the six are settled by their own seconds:
#
# - 00:50 to 01:15 and 25 minutes: the start is sure, so the end is the first 01:15.
# - 01:30 to 02:10 and 100 minutes: the end is sure, so the start is the first 01:30.
# - 01:40 to 02:10 and 30 minutes: the start is the second 01:40.
# - 01:50 to 01:05 and 15 minutes: it ended "before" it began, so the change lies in between.
#
# The other two both say 01:10 to 01:20 and ten minutes. One began at 00:10 UTC, the other an hour later, and nothing
# in the export tells which. Their times stay missing and `time_problem` says why. They are no loss: their seconds
# count, and they are matched by their key.
#
# The two readings make one frame again. How many values of each column are known:

# %%
both = pd.concat([from_toronto, from_leeds], ignore_index=True)
both.groupby("source_file")[["source_row", "billable_s", "started_at", "time_problem"]].count()

# %% [markdown]
# **Check.** Each call began when it began, but for the two that nobody can tell.

# %%
assert from_toronto["started_at"].tolist() == toronto["began"].tolist()
told = from_leeds["time_problem"].isna()
assert (~told).sum() == 2
assert from_leeds.loc[told, "started_at"].tolist() == leeds.loc[told, "began"].tolist()
lasted = (from_leeds["ended_at"] - from_leeds["started_at"]).dt.total_seconds()
assert lasted[told].tolist() == (leeds["ring_s"] + leeds["talk_s"])[told].tolist()
assert both["billable_s"].sum() == toronto["talk_s"].sum() + leeds["talk_s"].sum()
f"{len(both)} rows, {both['problem'].notna().sum()} unusable, {both['time_problem'].notna().sum()} matched by key only"

# %% [markdown]
# ## 3. Broken quotes, a cut end, and the same file twice
#
# FreeSWITCH writes names between quotes and escapes nothing. Here the desks have names with quotes and commas in
# them. The export was stopped while its last row was being written, and the first sixty rows were sent once more.

# %%
truth = invent(100, begin="2026-09-14", days=6, seed=4)
truth["uuid"] = [f"91d7c6f4-0000-4000-8000-{n:012d}" for n in range(len(truth))]
people = ["Ann", "Lee, Bo", 'Cas "Cat" Doe', '"The Boss"', 'O\'Hara, "Red", Pat', 'Zoë, 5" pipes']
truth["name"] = [people[n % len(people)] for n in range(len(truth))]
lines = freeswitch_lines(truth, truth["name"], "Europe/London")
(work / "master.csv").write_text("".join(lines)[:-100], encoding="utf-8")
(work / "resent.csv").write_text("".join(lines[:60]), encoding="utf-8")
Pretty("".join(lines[3:6]) + "...\n" + (work / "master.csv").read_text(encoding="utf-8")[-110:])

# %% [markdown]
# A reader of proper CSV gives up. Told to skip bad lines, it would drop calls without a word, which is worse.

# %%
refusal(pd.read_csv, work / "master.csv", header=None)

# %% [markdown]
# `read_cdr` finds the reading of each line that has the right number of fields. What it had to mend is counted, beside
# everything else that is odd: see *What to look at*.

# %%
legs = sr.read_cdr(
    [work / "master.csv", work / "resent.csv"],
    timezone="Europe/London",
    country="GB",
    keep=["caller_id_name"],
)
sr.describe_cdr(legs)

# %% [markdown]
# The names came out whole, quotes and commas included:

# %%
legs["x_caller_id_name"].value_counts().to_frame()

# %% [markdown]
# The cut row is still a row. It keeps what stood in it, and `problem` keeps it out of everything that follows.

# %%
legs.loc[legs["problem"].notna(), ["source_file", "source_row", "problem", "started_at", "call_key"]]

# %% [markdown]
# The note on exactly 100 rows is a question: exports stop at such numbers, so ask whether that was all.
#
# A record that was sent again has the `record_hash` of the first one. Both rows stay in the frame; reconciling counts
# the call once, and the balance says what became of each row.

# %%
rec = sr.reconcile(legs, recorded(truth, lost=0), period=september, rules=sr.Rules(duration="billable"))
rec.balance[rec.balance["rows"] > 0]

# %% [markdown]
# **Check.** 100 rows of which 99 are usable, sixty again, and no call lost or counted twice.

# %%
first = legs[legs["source_file"] == "master.csv"]
whole = first[first["problem"].isna()]
assert len(first) == 100
assert whole["call_key"].tolist() == truth["uuid"].tolist()[:-1]
assert whole["x_caller_id_name"].tolist() == truth["name"].tolist()[:-1]
assert whole["billable_s"].tolist() == truth["talk_s"].tolist()[:-1]
assert int(legs["record_hash"].duplicated().sum()) == 60
assert len(rec.pairs) == 99
f"{len(legs)} rows, {len(rec.pairs)} calls matched"

# %% [markdown]
# ## 4. A system that nobody knows
#
# A small telephone server with an export of its own. `Began` is a number of eleven digits, lengths are in
# milliseconds, the outcomes are the maker's words, and desks dial 9 for an outside line.

# %%
truth = invent(40, begin="2026-09-21", days=4, seed=5)
outcomes = np.array(["rang out", "engaged", "gave up"])
comes_in = pd.Series(np.arange(len(truth)) % 3 == 0)
gregorian = (truth["began"] - pd.Timestamp(0, tz="UTC")).dt.total_seconds().astype(int) + 62_167_219_200
server = pd.DataFrame(
    {
        "Began": gregorian,
        "A party": truth["outside"].where(comes_in, truth["desk"]),
        "B party": truth["desk"].where(comes_in, "9" + truth["outside"]),
        "Wait ms": truth["ring_s"] * 1000 + 250,
        "Talk ms": truth["talk_s"] * 1000,
        "Result": np.where(truth["talk_s"] > 0, "connected", outcomes[np.arange(len(truth)) % 3]),
        "Ref": [f"L{n:04d}" for n in range(len(truth))],
    }
)
unknown = work / "server.csv"
server.to_csv(unknown, index=False, sep=";")
Pretty(unknown.read_text()[:300])

# %%
show(*sr.sniff_cdr(unknown)[:3])

# %% [markdown]
# Nothing is near. The error says what the file begins with, and the way on: `columns=`.

# %%
refusal(sr.read_cdr, unknown)

# %% [markdown]
# Which names can be mapped? A wrong one tells.

# %%
refusal(sr.read_cdr, unknown, columns={"start": "Began"})

# %%
columns = {
    "started_at": "Began",
    "billable_ms": "Talk ms",
    "from_number": "A party",
    "to_number": "B party",
    "status": "Result",
    "call_key": "Ref",
}
legs = sr.read_cdr(unknown, columns=columns)
legs[["source_row", "problem", "started_at", "billable_s", "is_answered", "status"]].head(3)

# %% [markdown]
# Talk time is right: `billable_ms` is for milliseconds. The start was not understood: `63…` counts seconds since the
# year 0, as Erlang does, and 1970 began at 62,167,219,200. The total stands in no column: it is wait plus talk.
#
# What one column cannot say is said in pandas, in a line each.

# %%
frame = pd.read_csv(unknown, sep=";", dtype=str)
frame["Start"] = pd.to_datetime(frame["Began"].astype("int64") - 62_167_219_200, unit="s", utc=True)
frame["Total ms"] = frame["Wait ms"].astype("int64") + frame["Talk ms"].astype("int64")

columns |= {"started_at": "Start", "total_ms": "Total ms"}
legs = sr.cdr_from_frame(frame, columns=columns, source="server.csv")
legs[["source_row", "problem", "started_at", "total_s", "billable_s", "answered_at", "ended_at"]].head(3)

# %% [markdown]
# No zone was needed, as these times are UTC. Answer and end were worked out. Now the words:

# %%
pd.crosstab(legs["cause"], legs["status"])

# %% [markdown]
# `connected` is a common word. The others are the maker's, and `unknown` is honest. `status_map=` tells what they
# mean, in the words of the library; another one is refused.

# %%
refusal(sr.cdr_from_frame, frame, columns=columns, status_map={"rang out": "unanswered"})

# %%
words = {"rang out": "no_answer", "engaged": "busy", "gave up": "canceled"}
legs = sr.cdr_from_frame(frame, columns=columns, status_map=words, source="server.csv")
pd.crosstab(legs["cause"], legs["status"])

# %% [markdown]
# Last, the numbers. There is no E.164 without a country, and with one, the dialled 9 is still in the way.

# %%
legs = sr.cdr_from_frame(frame, columns=columns, status_map=words, country="GB", source="server.csv")
legs[["from_number", "from_e164", "to_number", "to_e164", "direction"]].head(4)

# %% [markdown]
# `strip_prefixes=` takes the 9 off where a number makes no sense with it. `internal_numbers=` says which numbers are
# the company's own, and so which way a call went.

# %%
legs = sr.cdr_from_frame(
    frame,
    columns=columns,
    status_map=words,
    country="GB",
    strip_prefixes=["9"],
    internal_numbers=["2*"],
    source="server.csv",
)
legs[["from_number", "from_e164", "to_number", "to_e164", "direction"]].head(4)

# %% [markdown]
# **Check.** Starts, seconds, numbers, directions and outcomes are those of the true calls.

# %%
assert legs["problem"].isna().all()
assert legs["started_at"].tolist() == truth["began"].tolist()
assert legs["billable_s"].tolist() == truth["talk_s"].tolist()
assert legs["total_s"].tolist() == (truth["ring_s"] + truth["talk_s"] + 0.25).tolist()
assert legs["direction"].eq("inbound").tolist() == comes_in.tolist()
outside = legs["from_e164"].where(comes_in, legs["to_e164"])
assert outside.tolist() == ("+44" + truth["outside"].str[1:]).tolist()
assert legs["status"].tolist() == server["Result"].map({**words, "connected": "completed"}).tolist()
legs["status"].value_counts().to_frame()
