"""What steps leave behind holds no token: files, pages, tables, logs, notebooks, and what commands print."""

from __future__ import annotations

import copy
import gzip
import json
import logging
import pickle
import zipfile

import httpx
import nbformat
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from nbclient import NotebookClient

import sippet_reconcile as sr
from sippet_reconcile.cli import main
from sippet_reconcile.sandbox import Sandbox

N = 6


def call_id(n):
    return f"00000000-0000-4000-8000-{n:012d}"


def document():
    """Return calls that lasted 60 s each and say 30 s."""
    calls = [
        {
            "type": "Call",
            "id": call_id(n),
            "attributes": {
                "call_uuid": f"uuid-{n}", "direction": "inbound", "from_number": "+442079460001", "to_number": "+442079460002",
                "sip_username": None, "status": "completed", "call_source": "sip", "conversation_id": None, "duration_seconds": 30,
                "started_at": f"2026-10-01T08:{n:02d}:00.000000Z", "ended_at": f"2026-10-01T08:{n + 1:02d}:00.000000Z",
            },
        }
        for n in range(N)
    ]  # fmt: skip
    return {"data": calls}


@pytest.fixture
def sandbox(secret):
    with Sandbox(document(), token=secret.token) as running:
        yield running


FIX = pd.DataFrame({"call_id": [call_id(n) for n in range(N)], "duration_seconds": ["60"] * N}, dtype="str")


class Echo(httpx.BaseTransport):
    """Passes requests on, but answers some PATCHes as a talkative server or proxy does: with all it was sent."""

    def __init__(self, forms):
        self.inner = httpx.HTTPTransport()
        self.forms = list(forms.values())
        self.n = 0

    def handle_request(self, request):
        if request.method != "PATCH":
            return self.inner.handle_request(request)
        self.n += 1
        form = self.forms[self.n % len(self.forms)]
        said = f"{form} and {request.headers.raw!r}"
        headers = {"x-request-id": form.replace("\n", " ")}
        if self.n % 3 == 1:
            return httpx.Response(
                422,
                json={"errors": [{"code": form, "detail": said, "source": {"pointer": form}}]},
                headers=headers,
            )
        if self.n % 3 == 2:
            return httpx.Response(500, text=f"<html>{said}</html>", headers=headers)
        return self.inner.handle_request(request)

    def close(self):
        self.inner.close()


def texts_of(path):
    """Return all that a file holds: its bytes, and what they unfold to."""
    raw = path.read_bytes()
    found = [raw.decode("latin-1"), path.name]
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        found += [str(value) for column in table.columns for value in column.to_pylist()]
        found += [repr(table.schema.metadata), str(table.schema)]
    elif path.suffix == ".xlsx":
        with zipfile.ZipFile(path) as book:
            found += [book.read(name).decode("utf-8", "replace") for name in book.namelist()]
    elif path.suffix == ".gz":
        found.append(gzip.decompress(raw).decode("utf-8", "replace"))
    return found


def leaks_under(folder, secret):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path): found for path in files for text in texts_of(path) if (found := secret.leaks_in(text))
    }, files


@pytest.mark.parametrize("credential", ["token", pytest.param("api_key", marks=pytest.mark.slow)])
def test_nothing_that_a_run_leaves_or_shows_holds_the_token(sandbox, secret, credential, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    audit = tmp_path / "audit"
    transport = Echo(secret.forms)
    shown = []
    with sr.Client(
        sandbox.url, **{credential: secret.token}, transport=transport, sleep=lambda _: None
    ) as client:
        calls = client.get_calls(FIX["call_id"])
        plan = sr.plan_corrections(calls, FIX, reason="ticket 4711").approve(by="ana", note="October")
        dry = plan.dry_run()
        run = sr.apply_plan(plan, client, audit, rate="200/s", progress=False)
        proof = sr.verify_run(run, client, rate="200/s", progress=False)
        undo = sr.revert_run(run)
        log = sr.AuditLog(audit)
        checks = (client.check(), client.describe(), log.verify(), log.verify(log.head))
    transport.close()
    assert {"rejected", "applied"} <= set(run.records["outcome"]), "the talkative server was heard"
    assert run.records["error_detail"].str.contains("[token]", regex=False).any()
    values = [
        client,
        calls,
        plan,
        dry,
        run,
        proof,
        undo,
        log,
        *checks,
        log.records(),
        run.records,
        proof.frame,
        plan.requests(),
    ]
    for value in values:
        shown += [repr(value), str(value), repr(getattr(value, "__dict__", None))]
        shown += [value._repr_html_()] if hasattr(value, "_repr_html_") else []
        shown += [value.to_csv()] if isinstance(value, pd.DataFrame) else []
        shown += [json.dumps(value.summary(), default=str)] if hasattr(value, "summary") else []
        for copier in (pickle.dumps, copy.deepcopy):
            try:
                copied = copier(value)
            except (TypeError, AttributeError, pickle.PicklingError) as error:
                copied = error  # not to be had this way
            shown.append(copied.decode("latin-1") if isinstance(copied, bytes) else repr(copied))
    for name, one in {"dry": dry, "run": run, "proof": proof}.items():
        one.to_html(tmp_path / f"{name}.html")
    for name, one in {"dry": dry, "run": run, "proof": proof, "log": log.verify()}.items():
        one.to_html(tmp_path / f"{name}_full.html", mask=False)
        one.to_json(tmp_path / f"{name}.json")
        one.to_markdown(tmp_path / f"{name}.md")
    plan.save(tmp_path / "plan.parquet")
    undo.save(tmp_path / "undo.parquet")
    for ending in ("parquet", "csv", "jsonl"):
        log.export(tmp_path / f"export.{ending}")
    shown += [record.getMessage() for record in caplog.records]
    leaks, files = leaks_under(tmp_path, secret)
    assert len(files) >= 12
    assert leaks == {}
    assert not [found for text in shown if (found := secret.leaks_in(text))]


def test_a_workbook_of_the_log_holds_no_token(sandbox, secret, tmp_path):
    pytest.importorskip("xlsxwriter")
    transport = Echo(secret.forms)
    with sr.Client(sandbox.url, token=secret.token, transport=transport, sleep=lambda _: None) as client:
        plan = sr.plan_corrections(client.get_calls(FIX["call_id"]), FIX, reason="ticket 4711").approve(
            by="ana"
        )
        sr.apply_plan(plan, client, tmp_path / "audit", rate="200/s", progress=False)
    transport.close()
    sr.AuditLog(tmp_path / "audit").export(tmp_path / "export.xlsx")
    assert leaks_under(tmp_path, secret)[0] == {}


def test_who_holds_the_log_is_told_without_a_token(secret, tmp_path, monkeypatch):
    monkeypatch.setenv("SIPPET_API_TOKEN", secret.token)
    log = sr.AuditLog(tmp_path / "audit")
    with log.writing():
        leaks, files = leaks_under(tmp_path, secret)
        with pytest.raises(sr.AuditError) as caught, log.writing():
            pass
    assert files
    assert leaks == {}
    assert not secret.leaks_in(str(caught.value))


# The command line


@pytest.fixture
def shell(secret, monkeypatch, tmp_path):
    """Run commands with the token in the environment, and look at all they say."""
    monkeypatch.setenv("SIPPET_API_TOKEN", secret.token)
    monkeypatch.chdir(tmp_path)

    def run(*words, codes=(0, 1, 4)):
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code in codes, (words, result.output)
        assert not [found for text in (result.stdout, result.stderr) if (found := secret.leaks_in(text))], (
            words
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            views = secret.views_of(result.exception, thorough=False)
            assert not [found for text in views if (found := secret.leaks_in(text))], words
        return result

    return run


def test_no_command_of_the_walk_prints_or_writes_the_token(sandbox, shell, secret, tmp_path, monkeypatch):
    monkeypatch.setenv("SIPPET_API_URL", sandbox.url)
    FIX.to_csv(tmp_path / "fix.csv", index=False)
    made = ("plan", "--corrections", "fix.csv", "--calls", "calls.parquet", "--reason", "ticket 4711")
    walk = [
        ("doctor",), ("doctor", "--json"),
        ("fetch", "--month", "2026-10", "--out", "calls.parquet", "--quiet"), ("fetch", "--month", "2026-10", "--out", "again.parquet", "--json"),
        ("inspect", "--calls", "calls.parquet", "--json"),
        (*made, "--out", "plan.parquet", "--report", "dry.html"), (*made, "--json"),
        ("approve", "plan.parquet", "--by", "ana"), ("approve", "plan.parquet", "--by", "ben", "--json"),
        ("apply", "plan.parquet", "--audit", "audit", "--rate", "200/s", "--limit", "2"),
        ("apply", "plan.parquet", "--audit", "audit", "--rate", "200/s", "--json"),
        ("verify", "--audit", "audit"), ("verify", "--audit", "audit", "--json"),
        ("revert", "--audit", "audit", "--out", "undo.parquet"), ("revert", "--audit", "audit", "--out", "undo.parquet", "--json"),
        ("audit", "runs", "--audit", "audit", "--json"), ("audit", "show", "--audit", "audit"), ("audit", "show", "--audit", "audit", "--json"),
        ("audit", "verify", "--audit", "audit", "--json"), ("audit", "export", "out.csv", "--audit", "audit", "--json"),
    ]  # fmt: skip
    for words in walk:
        shell(*words)
    assert sandbox.calls["duration_seconds"].tolist() == [60] * N
    leaks, files = leaks_under(tmp_path, secret)
    assert {"calls.parquet", "plan.parquet", "undo.parquet", "dry.html", "out.csv"} <= {
        path.name for path in files
    }
    assert leaks == {}


def failing(raw, form):
    return {
        "401": raw.http(
            401, {"errors": [{"code": form, "detail": f"token {form}"}]}, headers=[("x-request-id", form)]
        ),
        "403": raw.http(403, {"errors": [{"code": "forbidden", "detail": f"token {form}"}]}),
        "422": raw.http(
            422, {"errors": [{"code": form, "detail": f"token {form}", "source": {"pointer": form}}]}
        ),
        "302": raw.http(302, headers=[("location", f"https://elsewhere.example/{form}")]),
        "200": raw.http(200, {"data": [{"type": "Call", "id": form, "attributes": {"status": form}}]}),
    }


@pytest.mark.parametrize("kind", ["401", pytest.param("403", marks=pytest.mark.slow), "422", "302", "200"])
def test_no_command_shows_a_token_that_a_failing_server_repeats(  # noqa: PLR0917 - fixtures
    raw, shell, secret, sandbox, monkeypatch, tmp_path, kind
):
    with raw.serve(failing(raw, secret.token)[kind]) as server:
        monkeypatch.setenv("SIPPET_API_URL", server.url)
        with sr.Client(sandbox.url, token=secret.token) as client:
            calls = client.get_calls(FIX["call_id"])
        plan = sr.plan_corrections(calls.assign(api_url=server.url), FIX, reason="ticket 4711").approve(
            by="ana"
        )
        plan.save(tmp_path / "plan.parquet")
        for words in (
            ("doctor",),
            ("doctor", "--json"),
            (
                "fetch",
                "--start",
                "2026-10-01T00:00:00Z",
                "--end",
                "2026-10-01T01:00:00Z",
                "--out",
                "x.parquet",
            ),
            (
                "--debug",
                "fetch",
                "--start",
                "2026-10-01T00:00:00Z",
                "--end",
                "2026-10-01T01:00:00Z",
                "--out",
                "x.parquet",
            ),
            ("apply", "plan.parquet", "--audit", "audit", "--rate", "200/s"),
            ("audit", "show", "--audit", "audit"),
        ):
            shell(*words, codes=(0, 1, 2, 3, 4))
        assert secret.token.encode() in server.received[0]
    assert leaks_under(tmp_path, secret)[0] == {}


# A notebook


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the kernel's own start warns of its sockets
def test_an_executed_notebook_holds_no_token_whatever_failed_in_it(
    raw, secret, sandbox, tmp_path, monkeypatch
):
    cells = [
        "%xmode Verbose\nimport logging, os\nlogging.basicConfig(level=logging.DEBUG)\nimport sippet_reconcile as sr",
        "client = sr.Client()\nclient",
        "calls = client.fetch_calls('2026-10', progress=False)\ncalls",
        "client.check()",
        "vars(client)",
        "fix = calls[['id']].rename(columns={'id': 'call_id'}).assign(duration_seconds='60')\n"
        "plan = sr.plan_corrections(calls, fix, reason='ticket 4711').approve(by='ana')\nplan",
        "run = sr.apply_plan(plan, client, 'audit', rate='200/s')\nrun",
        "sr.verify_run(run, client)",
        "client.get_calls(['no id'])",
        "talkative = sr.Client(os.environ['TALKATIVE'])\ntalkative.get_calls([calls['id'][0]])",
        "talkative.patch_call(calls['id'][0], {'status': 'busy'})",
        "class Stopped:\n    def handle_request(self, request):\n        raise KeyboardInterrupt\n    def close(self): pass\n"
        "sr.Client(transport=Stopped()).get_calls([calls['id'][0]])",
        "os.environ['SIPPET_API_KEY'] = os.environ['SIPPET_API_TOKEN']\nsr.Client()",
        "%debug_is_no_magic",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    with raw.serve(failing(raw, secret.token)["422"]) as server:
        told = {"SIPPET_API_URL": sandbox.url, "SIPPET_API_TOKEN": secret.token, "TALKATIVE": server.url}
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        NotebookClient(
            book, timeout=600, startup_timeout=600, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
        ).execute()  # fmt: skip
    path = tmp_path / "executed.ipynb"
    nbformat.write(book, path)
    errors = [
        (output.ename, cell.source[:20])
        for cell in book.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert [name for name, _ in errors] == [
        "InputError",
        "RejectedError",
        "RejectedError",
        "KeyboardInterrupt",
        "InputError",
    ]
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert any("httpcore" in output.get("text", "") for output in outputs), (
        "the logs at DEBUG are among the outputs"
    )
    texts = [json.dumps(output, ensure_ascii=False) for output in outputs]
    texts += [
        str(value)
        for output in outputs
        for value in (output.get("text", ""), *output.get("data", {}).values(), *output.get("traceback", []))
    ]
    assert not [(found, text) for text in texts if (found := secret.leaks_in(text))]
    assert leaks_under(tmp_path, secret)[0] == {}
