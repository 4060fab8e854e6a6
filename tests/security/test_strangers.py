"""Plans, logs, calls and reconciliations from strangers neither execute nor open anything, nor fill the memory."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pickle
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import sippet_reconcile as sr
from sippet_reconcile import AuditError, AuditLog, InputError, Plan, PlanError, ReconcileError
from sippet_reconcile._parquet import UnfoldsTooFarError, refuse_bomb
from sippet_reconcile.audit import Entry, Event, Outcome
from sippet_reconcile.cli import main
from sippet_reconcile.plan.content import fingerprint_of
from sippet_reconcile.plan.storage import read_plan, write_plan
from sippet_reconcile.schema import CALLS, conform

API = "https://api.example.com"
AT = pd.Timestamp("2026-10-01T08:00:00Z")


def call_id(n):
    return f"00000000-0000-4000-8000-{n:012d}"


def make_calls(n=3, **columns):
    text = {
        "id": [call_id(i) for i in range(n)],
        "call_uuid": [f"uuid-{i}" for i in range(n)],
        "direction": ["inbound"] * n,
        "from_number": ["+442079460001"] * n,
        "to_number": ["+442079460002"] * n,
        "sip_username": ["1001"] * n,
        "status": ["completed"] * n,
        "call_source": ["sip"] * n,
        "conversation_id": [None] * n,
        "api_url": [API] * n,
    }
    text |= {name: [value] * n for name, value in columns.items()}
    frame = pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in text.items()})
    at = pd.Series([AT] * n).dt.as_unit("us")
    frame = frame.assign(
        started_at=at,
        ended_at=at + pd.Timedelta(seconds=60),
        duration_seconds=pd.Series([30] * n, dtype="Int64"),
        fetched_at=at + pd.Timedelta(days=30),
    )
    return conform(frame[CALLS.names], CALLS)


def make_plan(reason="ticket 4711", n=3, **columns):
    fix = pd.DataFrame(
        {"call_id": [call_id(i) for i in range(n)], "duration_seconds": ["60"] * n}, dtype="str"
    )
    return sr.plan_corrections(make_calls(n, **columns), fix, reason=reason).approve(by="ana", note="October")


def forge(path, edit, plan=None):
    """Write a plan file as a stranger can: other content, and a plan id that fits it."""
    (plan or make_plan()).save(path)
    _, approvals, content = read_plan(path)
    content = edit(content)
    plan_id = fingerprint_of(content)
    write_plan(path, plan_id, tuple(replace(one, plan_id=plan_id) for one in approvals), content)
    return path


def write_log(folder, **columns):
    common = {"run_id": "run-1", "plan_id": "ab" * 32, "api_url": API, "at": AT.to_pydatetime()}
    call = {
        "call_id": call_id(0),
        "before": '{"status":"busy"}',
        "after": '{"status":"completed"}',
        **columns,
    }
    log = AuditLog(folder)
    with log.writing() as writer:
        writer.append([
            Entry(event=Event.RUN_STARTED, note='{"n_calls": 1}', by="ana", **common),
            Entry(event=Event.INTENT, **call, **common),
            Entry(event=Event.OUTCOME, outcome=Outcome.APPLIED, confirmed_by="answer", **call, **common),
            Entry(event=Event.RUN_ENDED, reason="complete", **common),
        ])  # fmt: skip
    return log


# Nothing is executed


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


def poisoned(table, mark):
    """Return a table whose every description that anybody ever unpickled or evaluated holds a bomb."""
    bomb = pickle.dumps(Bomb(mark))
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    described = {
        "index_columns": [code], "column_indexes": [{"name": code, "field_name": code, "pandas_type": "object", "numpy_type": code, "metadata": {"a": code}}],
        "columns": [{"name": name, "field_name": name, "pandas_type": "object", "numpy_type": "object", "metadata": {"pickle": code}} for name in table.column_names],
        "creator": {"library": code, "version": code}, "pandas_version": code,
    }  # fmt: skip
    fields = [
        field.with_metadata(
            {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": bomb}
        )
        for field in table.schema
    ]
    metadata = {**(table.schema.metadata or {}), b"pandas": json.dumps(described).encode(), b"pickle": bomb}
    return table.cast(pa.schema(fields)).replace_schema_metadata(metadata)


def reconciled(calls, **columns):
    """Return a reconciliation of these calls with one leg that lasted 60 s, and one row of nothing but text."""
    told = {
        "uuid": "uuid-0",
        "start": "2026-10-01 08:00:00",
        "end": "2026-10-01 08:01:00",
        "secs": "60",
        "who": "1001",
        "st": "ok",
    } | columns
    odd = {name: columns.get("who", "x") for name in told}
    legs = sr.cdr_from_frame(
        pd.DataFrame([told, odd], dtype="str"),
        columns={"call_key": "uuid", "started_at": "start", "ended_at": "end", "billable_s": "secs", "from_number": "who",
                 "to_number": "who", "sip_username": "who", "cause": "st"},
        timezone="UTC",
    )  # fmt: skip
    return sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"))


@pytest.fixture
def rec():
    return reconciled(make_calls())


@pytest.mark.parametrize("kind", ["plan", "log", "calls", "reconciliation", "cdr", "corrections"])
def test_a_file_with_pickles_and_code_in_its_descriptions_runs_none_of_it(tmp_path, rec, kind):
    mark = tmp_path / "executed"
    pickle.loads(pickle.dumps(Bomb(mark)))  # noqa: S301 - the bomb itself works
    mark.unlink()
    if kind == "plan":
        path = make_plan().save(tmp_path / "plan.parquet")
        load = lambda: Plan.load(path).dry_run().to_markdown()  # noqa: E731
    elif kind == "log":
        path = next((write_log(tmp_path / "audit").path).glob("part-*"))
        load = lambda: (AuditLog(tmp_path / "audit").records(), AuditLog(tmp_path / "audit").verify())  # noqa: E731
    elif kind == "calls":
        path = tmp_path / "calls.parquet"
        make_calls().to_parquet(path)
        load = lambda: sr.read_calls(path)  # noqa: E731
    elif kind == "cdr":
        path = tmp_path / "cdr.parquet"
        pd.DataFrame({"id": ["a"], "start": ["2026-10-01 08:00:00"]}, dtype="str").to_parquet(path)
        load = lambda: sr.read_cdr(path, columns={"call_key": "id", "started_at": "start"}, timezone="UTC")  # noqa: E731
    elif kind == "corrections":
        path = tmp_path / "fix.parquet"
        make_calls().to_parquet(tmp_path / "calls.parquet")
        pd.DataFrame({"call_id": [call_id(0)], "duration_seconds": ["60"]}, dtype="str").to_parquet(path)
        words = [
            "plan",
            "--corrections",
            path,
            "--calls",
            tmp_path / "calls.parquet",
            "--reason",
            "ticket 4711",
        ]
        load = lambda: CliRunner().invoke(main, [str(word) for word in words])  # noqa: E731
    else:
        rec.save(tmp_path / "rec")
        path = tmp_path / "rec" / "calls.parquet"
        load = lambda: sr.load_reconciliation(tmp_path / "rec").calls  # noqa: E731
    with pq.ParquetFile(path) as file:
        table = poisoned(file.read(), mark)
    pq.write_table(table, path)
    with contextlib.suppress(ReconcileError):  # refused is as good as harmless
        load()
    assert not mark.exists()


@pytest.mark.parametrize(
    "where", ["@pd.read_csv('/etc/passwd').shape[0] > 0", "@Path('x').exists()", "@np.array([1]).size == 1", "@frame.shape[0] > 0", "@where == ''", "__import__('os').getpid() > 0"],
)  # fmt: skip
def test_the_text_of_where_sees_columns_and_nothing_of_the_program(rec, where):
    assert len(rec.discrepancies)
    with pytest.raises(InputError, match="where"):
        sr.build_plan(rec, where=where)
    assert len(sr.build_plan(rec, where="delta_s > 0 and explanation == explanation").changes) == 1


# Nothing is opened


opened: list[str] = []
_listening: list[bool] = []


def _hook(event, arguments):
    if _listening and event in {"open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.symlink", "subprocess.Popen", "os.system", "socket.connect", "shutil.rmtree"}:  # fmt: skip
        opened.append(f"{event} {arguments[0]!r}")


@pytest.fixture
def watch():
    """Tell what the interpreter opens, runs and connects to; a hook cannot be taken away again, only be quiet."""
    if not getattr(sys, "_sippet_hook", False):
        sys.addaudithook(_hook)
        sys._sippet_hook = True
    opened.clear()
    _listening.append(True)
    yield opened
    _listening.clear()


NAMES = ["../../TRAVERSED", "/etc/TRAVERSED", "..\\..\\TRAVERSED", "file:///TRAVERSED", "https://elsewhere.example/TRAVERSED", "~/TRAVERSED", "$HOME/TRAVERSED", "\\\\host\\TRAVERSED", "TRAVERSED; touch x", "$(TRAVERSED)"]  # fmt: skip


def test_names_inside_plans_and_logs_open_nothing(tmp_path, watch):
    def edit(content):
        ones = pd.Series(NAMES, dtype="str")
        changes = content.changes.assign(source_file=ones, reason=ones, explanation=ones, call_uuid=ones)
        return replace(content, changes=changes)

    plan = Plan.load(forge(tmp_path / "plan.parquet", edit, make_plan(n=len(NAMES))))
    plan.dry_run().to_html(tmp_path / "dry_run.html")
    list(plan.requests())
    repr(plan) + plan._repr_html_()
    log = write_log(tmp_path / "audit", source_file=NAMES[0], reason=NAMES[1], request_id=NAMES[2])
    for name in NAMES:
        for step in (lambda: sr.load_run(log, name), lambda: log.records(name), lambda: log.verify(name)):  # noqa: B023 - called at once
            with pytest.raises(InputError):
                step()
    run = sr.load_run(log)
    run.to_html(tmp_path / "run.html")
    sr.revert_run(run)
    for ending in ("parquet", "csv", "jsonl"):
        log.export(tmp_path / f"export.{ending}")
    assert watch, "the hook hears nothing"
    assert not [event for event in watch if "TRAVERSED" in event]


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "calls/../../outside", 5, None, "a b"])
def test_a_saved_reconciliation_names_no_file_outside_of_its_folder(tmp_path, rec, watch, name):
    rec.save(tmp_path / "rec")
    told = tmp_path / "rec" / "reconciliation.json"
    values = json.loads(told.read_text())
    values["frames"] = [*values["frames"], name]
    told.write_text(json.dumps(values))
    (tmp_path / "outside.parquet").write_bytes((tmp_path / "rec" / "calls.parquet").read_bytes())
    watch.clear()
    with pytest.raises(InputError, match="save it again"):
        sr.load_reconciliation(tmp_path / "rec")
    assert not [event for event in watch if "outside" in event or "passwd" in event]


def test_a_plan_for_another_api_is_refused_before_anything_is_sent(tmp_path, raw):
    def edit(content):
        return replace(content, plain={**content.plain, "api_url": "https://elsewhere.example"})

    plan = Plan.load(forge(tmp_path / "plan.parquet", edit))
    with raw.serve(raw.http(200, {"data": []})) as server, sr.Client(server.url) as client:  # noqa: SIM117 - reads better
        with pytest.raises(PlanError, match=r"elsewhere\.example"):
            sr.apply_plan(plan, client, tmp_path / "audit", progress=False)
    assert server.received == []


@pytest.mark.parametrize(
    "columns",
    [{"field": "started_at"}, {"field": "from_number"}, {"after": None}, {"after": ""}, {"after": "-5"}, {"after": "1e9"},
     {"call_id": "../users"}, {"call_id": f"{call_id(0)}?x=1"}, {"field": "status", "after": " busy\x00"}],
    ids=str,
)  # fmt: skip
def test_a_forged_plan_with_a_fitting_id_is_still_no_plan(tmp_path, columns):
    def edit(content):
        ones = {
            name: pd.Series([value] * len(content.changes), dtype="str") for name, value in columns.items()
        }
        return replace(content, changes=content.changes.assign(**ones))

    path = forge(tmp_path / "plan.parquet", edit)
    with pytest.raises(PlanError, match="no plan of this program"):
        Plan.load(path)


# Links


@pytest.mark.skipif(os.name == "nt", reason="making links needs a privilege there")
@pytest.mark.parametrize(
    "name", ["_lock", "_holder.json", "_writing-part-000000000005-000000000008.parquet", "_writing-x"]
)
def test_a_link_planted_in_a_log_is_not_written_through(tmp_path, name):
    log = write_log(tmp_path / "audit")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link = tmp_path / "audit" / name
    link.unlink(missing_ok=True)
    link.symlink_to(victim)
    try:
        with log.writing() as writer:
            writer.append(
                [
                    Entry(
                        event=Event.RUN_STARTED,
                        run_id="run-2",
                        plan_id="p",
                        api_url=API,
                        at=AT.to_pydatetime(),
                    )
                ]
            )
    except AuditError:
        pass  # refused is as good as harmless
    assert victim.read_text() == "precious"


@pytest.mark.skipif(os.name == "nt", reason="making links needs a privilege there")
def test_a_folder_in_place_of_a_leftover_is_neither_followed_nor_emptied(tmp_path):
    log = write_log(tmp_path / "audit")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("here")
    (tmp_path / "audit" / "_writing-folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "audit" / "_writing-own").mkdir()
    (tmp_path / "audit" / "_writing-own" / "precious").write_text("here")
    try:
        with log.writing():
            pass
    except AuditError:
        pass
    assert (tmp_path / "elsewhere" / "precious").read_text() == "here"
    assert (tmp_path / "audit" / "_writing-own" / "precious").read_text() == "here"


@pytest.mark.skipif(os.name == "nt", reason="there are no such files there")
def test_a_pipe_or_a_device_in_place_of_a_part_makes_nobody_wait(tmp_path):
    log = write_log(tmp_path / "audit")
    os.mkfifo(tmp_path / "audit" / "part-000000000005-000000000008.parquet")
    assert not log.verify().ok
    (tmp_path / "audit" / "part-000000000005-000000000008.parquet").unlink()
    (tmp_path / "audit" / "part-000000000005-000000000008.parquet").symlink_to("/dev/zero")
    assert not log.verify().ok


# Bombs


def bomb(n_rows=1_000_000, length=100_000, names=("a",)):
    """Return some kilobytes of parquet that unfold to a hundred gigabytes a column."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n_rows, np.int32)), pa.array(["x" * length]))
    sink = io.BytesIO()
    pq.write_table(
        pa.table([column] * len(names), names=list(names)), sink, compression="zstd", store_schema=False
    )
    return sink.getvalue()


def test_a_small_file_of_an_enormous_content_is_refused_wherever_it_is_read(tmp_path, rec):
    path = tmp_path / "bomb.parquet"
    path.write_bytes(bomb(names=CALLS.names))
    assert path.stat().st_size < 200_000
    with pytest.raises(InputError, match="unfold"):
        sr.read_calls(path)
    with pytest.raises(PlanError, match="unfold"):
        Plan.load(path)
    with pytest.raises(InputError, match="unfold"):
        sr.read_cdr(path, columns={"call_key": "id", "started_at": "started_at"}, timezone="UTC")
    words = ["plan", "--corrections", path, "--calls", path, "--reason", "ticket 4711"]
    refused = CliRunner().invoke(main, [str(word) for word in words])
    assert refused.exit_code == 2
    assert "unfold" in refused.stderr
    log = write_log(tmp_path / "audit")
    next((tmp_path / "audit").glob("part-*")).write_bytes(path.read_bytes())
    assert "UnfoldsTooFarError" in log.verify().problem
    rec.save(tmp_path / "rec")
    (tmp_path / "rec" / "calls.parquet").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="unfold"):
        sr.load_reconciliation(tmp_path / "rec").calls  # noqa: B018 - frames are read when they are asked for


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"n": pa.array(np.zeros(20_000_000, np.int64))}),
        pa.table(
            {
                "t": pa.DictionaryArray.from_arrays(
                    pa.array(np.zeros(400, np.int32)), pa.array(["x" * 500_000])
                )
            }
        ),
        pa.table({"t": pa.array(["x" * 500_000] * 400)}),
    ],
    ids=["numbers", "one text many times", "texts one by one"],
)
def test_what_unfolds_beyond_the_limit_is_refused(table):
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", store_schema=False)
    with pq.ParquetFile(sink) as file, pytest.raises(UnfoldsTooFarError):
        refuse_bomb(file, sink, len(sink.getvalue()), most=100_000_000)


def test_what_looks_large_and_is_not_is_read():
    # One long note among many short ones: not every row is as long as the longest.
    codes = np.ones(1_000_000, np.int32)
    codes[0] = 0
    notes = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(["x" * 100_000, "short"]))
    sink = io.BytesIO()
    pq.write_table(pa.table({"note": notes}), sink, compression="zstd", store_schema=False)
    with pq.ParquetFile(sink) as file:
        refuse_bomb(file, sink, len(sink.getvalue()))


@pytest.mark.slow
def test_packed_documents_that_unfold_beyond_the_limit_are_refused(tmp_path):
    path = tmp_path / "calls.json.gz"
    with gzip.open(path, "wb", compresslevel=1) as packed:
        packed.write(b'{"data": [' + b" " * (2**28 + 1) + b"]}")
    with pytest.raises(InputError, match="unfold"):
        sr.read_calls(path)


# Terminals


ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\r\x08\x9b31m\u202eevil\u2066\x7f\u2028end"
SEEN = "\\u001b]0;owned"


def steers(text):
    return sorted(
        {
            c
            for c in text
            if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c in "\u202e\u2066\u2028"
        }
    )


@pytest.fixture
def shell():
    def run(*words):
        # As at a terminal: click itself takes colours off otherwise.
        return CliRunner().invoke(main, [str(word) for word in words], color=True)

    return run


def escaped_plan(path):
    def edit(content):
        ones = pd.Series([ESCAPES] * len(content.changes), dtype="str")
        return replace(
            content, changes=content.changes.assign(source_file=ones, reason=ones, explanation=ones)
        )

    return forge(path, edit)


def test_no_command_lets_a_value_steer_the_terminal(tmp_path, shell):
    plan = escaped_plan(tmp_path / "plan.parquet")
    audit = tmp_path / "audit"
    write_log(audit, source_file=ESCAPES, reason=ESCAPES, error_detail=ESCAPES, request_id=ESCAPES, explanation=ESCAPES, error_code=ESCAPES)  # fmt: skip
    calls = tmp_path / "calls.parquet"
    make_calls(status=ESCAPES, call_source=ESCAPES, sip_username=ESCAPES, from_number=ESCAPES).to_parquet(
        calls
    )
    cdr = tmp_path / "cdr.csv"
    cdr.write_text(
        f"id,start,secs,{ESCAPES[:12]}\nuuid-0,2026-10-01 08:00:00,60,{ESCAPES[:12]}\nx,{ESCAPES[:9]},60,\n",
        newline="",
    )
    named = (
        "--column",
        "call_key=id",
        "--column",
        "started_at=start",
        "--column",
        "billable_s=secs",
        "--timezone",
        "UTC",
    )
    commands = [
        ("plan", plan), ("plan", plan, "--json"), ("apply", plan, "--audit", audit),
        ("audit", "runs", "--audit", audit), ("audit", "runs", "--audit", audit, "--json"),
        ("audit", "show", "--audit", audit), ("audit", "show", "--audit", audit, "--json"), ("audit", "show", ESCAPES, "--audit", audit),
        ("audit", "verify", "--audit", audit), ("audit", "verify", "--audit", audit, "--head", ESCAPES),
        ("inspect", "--calls", calls), ("inspect", "--calls", calls, "--json"), ("inspect", cdr, *named), ("inspect", cdr), ("inspect", cdr, *named, "--json"),
        ("diff", cdr, "--calls", calls, *named, "--duration", "billable"), ("diff", cdr, "--calls", calls, *named, "--duration", "billable", "--json"),
        ("plan", ESCAPES), ("revert", "--audit", audit, "--out", tmp_path / "undo.parquet"),
    ]  # fmt: skip
    shown = ""
    for words in commands:
        result = shell(*words)
        assert result.exception is None or isinstance(result.exception, SystemExit), (words, result.exception)
        assert steers(result.stdout + result.stderr) == [], words
        shown += result.stdout
    assert SEEN in shown, "the values are shown, written out"


def test_a_line_end_in_a_value_makes_no_row_of_its_own(tmp_path, shell):
    write_log(tmp_path / "audit", error_code="x\n9  run-1  outcome  applied")
    lines = shell("audit", "show", "--audit", tmp_path / "audit").stdout.splitlines()
    assert not [line for line in lines if line.startswith("9  run-1")]


# Pages


class Shape(HTMLParser):
    """What a page is made of, apart from its texts."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.parts, self.texts, self.links, self.policies = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        # A cell's class says whether its text is long.
        self.parts.append((tag, *sorted(name for name, _ in attrs if (tag, name) != ("td", "class"))))
        self.policies += [value for name, value in attrs if tag == "meta" and name == "content"]
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "action", "style", "srcdoc", "data", "poster"} or name.startswith("on")]  # fmt: skip

    def handle_endtag(self, tag):
        self.parts.append(f"/{tag}")

    def handle_comment(self, data):
        self.parts.append(f"comment {data}")

    def handle_decl(self, decl):
        self.parts.append(decl)

    def handle_data(self, data):
        self.texts.append(data)


PAYLOADS = [
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)",
    "</td></tr></table><iframe src=https://elsewhere.example>", "<!--", "-->", "]]>", "</style><style>*{display:none}</style>",
    "</title><svg onload=alert(1)>", "&lt;script&gt;", "{{ 7*7 }}{% raw %}", "<meta http-equiv=refresh content=0>", "javascript:alert(1)", "</textarea></details>", "\x00<b>",
]  # fmt: skip


def harmless_like(text):
    """Return a text of as many words, each as long: pages lay short and long values out differently."""
    return "".join(sign if sign == " " else "x" for sign in text)


def pages_of(text, folder):
    """Return every page that can be made, with a text of a stranger in every column of text."""
    name = text[-60:].replace("\x00", "")  # a person's name is not as long, and shows whole

    def edit(content):
        ones = pd.Series([text] * len(content.changes), dtype="str")
        changes = content.changes.assign(
            source_file=ones, reason=ones, explanation=ones, call_uuid=ones, match_rule=ones
        )
        return replace(content, changes=changes)

    plan = Plan.load(forge(folder / "plan.parquet", edit)).approve(by=name, note=text)
    dry = plan.dry_run()
    write_log(folder / "audit", source_file=text, reason=text, error_detail=text, request_id=text, explanation=text, error_code=text, call_uuid=text)  # fmt: skip
    run = sr.load_run(folder / "audit")
    seen = make_calls(
        1, status=text, call_source=text, sip_username=text, direction=text, from_number=text, to_number=text
    )
    rec = reconciled(seen, who=text, st=text)
    check = replace(
        sr.Client(API, transport=NoServer(), sleep=lambda _: None).check(), problems=(text,), statuses=(text,)
    )
    whole = {
        "dry run": dry.to_html(folder / "d.html").read_text(),
        "run": run.to_html(folder / "r.html").read_text(),
    }
    cards = {
        "plan": plan, "dry run card": dry, "run card": run, "reconciliation": rec, "findings": rec.findings, "one call": rec.show(call_id(0)),
        "check": check, "log check": replace(AuditLog(folder / "audit").verify(), ok=False, problem=text),
    }  # fmt: skip
    return whole, {name: one._repr_html_() for name, one in cards.items()}


class NoServer(httpx.BaseTransport):
    def handle_request(self, request):
        msg = "nobody is there"
        raise httpx.ConnectError(msg, request=request)


@pytest.fixture(scope="module")
def harmless(tmp_path_factory):
    return pages_of("harmless", tmp_path_factory.mktemp("harmless"))


@pytest.mark.parametrize(
    "payload",
    [" ".join(PAYLOADS), " ".join(reversed(PAYLOADS)), PAYLOADS[2], PAYLOADS[3]],
    ids=["all", "all, from the last", "tag", "attribute"],
)
def test_no_text_of_a_stranger_adds_an_element_or_an_attribute_to_a_page(tmp_path, payload):
    made, usual = (
        pages_of(text, tmp_path / kind)
        for kind, text in (("hostile", payload), ("harmless", harmless_like(payload)))
    )
    for pages, harmless in zip(made, usual, strict=True):
        for name, page in pages.items():
            assert Shape(page).parts == Shape(harmless[name]).parts, name
    shown = "".join("".join(Shape(page).texts) for pages in made for page in pages.values())
    assert payload.replace("\x00", "\\u0000") in shown, "the text is shown as it is"


def test_pages_load_nothing_from_anywhere_and_say_so_to_the_browser(harmless):
    whole, cards = harmless
    for page in whole.values():
        shape = Shape(page)
        assert any(policy.startswith("default-src 'none'; ") for policy in shape.policies)
        assert all(link.startswith("#") for link in shape.links), shape.links
    for page in [*whole.values(), *cards.values()]:
        parts = [part[0] for part in Shape(page).parts if isinstance(part, tuple)]
        assert not {"link", "iframe", "object", "embed", "base", "img", "form"} & set(parts)
        assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
        assert not [link for link in Shape(page).links if "//" in link]
    for page in cards.values():
        assert "script" not in [part[0] for part in Shape(page).parts if isinstance(part, tuple)]
