"""Rules of the source itself: what no module may do, and what only one may."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import sippet_reconcile

ROOT = Path(sippet_reconcile.__file__).parent
MODULES = {
    str(path.relative_to(ROOT)).replace("\\", "/"): path
    for path in sorted(ROOT.rglob("*.py"))
    if "_sample_data" not in path.parts
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}

FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "breakpoint", "os.system", "os.popen", "os.execv", "os.spawnv",
    "os.startfile", "tempfile.mktemp", "pd.read_pickle", "pd.eval", "np.load", "ssl._create_unverified_context", "ssl.SSLContext", "jinja2.Template",
}  # fmt: skip
FORBIDDEN_MODULES = {
    "pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "subprocess", "multiprocessing", "yaml", "pty",
    "commands", "telnetlib", "ftplib", "smtplib", "xmlrpc", "runpy", "code", "codeop", "ctypes", "webbrowser", "requests", "urllib3", "aiohttp",
}  # fmt: skip
FORBIDDEN_NAMES = {
    "CERT_NONE",
    "read_pickle",
    "to_pickle",
    "_create_unverified_context",
    "PROTOCOL_TLS_CLIENT",
    "set_ciphers",
}


def dotted(node):
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def in_names(path):
    """Return the modules that are so named, or lie in a folder so named."""
    return {name for name in MODULES if name.startswith(path)}


def test_there_are_modules_to_look_at():
    assert len(MODULES) > 100
    assert {"api/wire.py", "apply/traffic.py", "plan/storage.py", "cli/program.py"} <= set(MODULES)


def test_no_module_executes_data_starts_programs_or_unpickles():
    found = {}
    for name, tree in TREES.items():
        calls = {dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        modules = {one.partition(".")[0] for one in imported(tree)}
        found[name] = (calls & FORBIDDEN_CALLS) | (modules & FORBIDDEN_MODULES) | (used & FORBIDDEN_NAMES)
    assert {name: bad for name, bad in found.items() if bad} == {}


SWITCHES = {
    "shell": True, "verify": False, "check_hostname": False, "allow_pickle": True, "follow_redirects": True, "trust_env": True, "autoescape": False,
}  # fmt: skip


def test_no_argument_switches_a_safeguard_off():
    found = []
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            given = {
                word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)
            }
            found += [(name, word) for word, off in SWITCHES.items() if given.get(word) is off]
            if dotted(node.func).endswith("Environment") and given.get("autoescape") is not True:
                found.append((name, "a template that escapes nothing"))
            is_query = (
                dotted(node.func).endswith(".query")
                and node.args
                and not isinstance(node.args[0], ast.Constant)
            )
            if is_query and not {"local_dict", "global_dict"} <= {word.arg for word in node.keywords}:
                found.append((name, "a query of somebody's text that sees our variables"))
    assert found == []


def test_one_module_knows_the_http_library():
    assert {name for name, tree in TREES.items() if any(one.partition(".")[0] in {"httpx", "httpcore", "h11"} for one in imported(tree))} == {"api/wire.py"}  # fmt: skip


def test_sockets_are_opened_by_the_sandbox_alone():
    users = {name for name, tree in TREES.items() if {"socket", "socketserver", "http.server", "asyncio", "uvicorn"} & set(imported(tree))}  # fmt: skip
    # The log tells who writes it, and on which machine.
    assert {name for name in users if not name.startswith("sandbox/")} <= {
        "audit/locking.py",
        "apply/entries.py",
    }
    for name in users - in_names("sandbox/"):
        text = MODULES[name].read_text(encoding="utf-8")
        assert set(re.findall(r"\bsocket\.(\w+)", text)) <= {"gethostname"}


def test_the_sandbox_binds_to_loopback_alone():
    for name in in_names("sandbox/"):
        for node in ast.walk(TREES[name]):
            if isinstance(node, ast.Call) and dotted(node.func).endswith(
                (".bind", "create_server", "start_server")
            ):
                assert "(HOST, " in ast.unparse(node) or "sock" in ast.unparse(node), ast.unparse(node)
            if isinstance(node, ast.AnnAssign) and dotted(node.target) == "HOST":
                assert ast.unparse(node.value) == "'127.0.0.1'"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in {"0.0.0.0", "::", "*"}  # noqa: S104 - looked for, not used


def callers_of(*wanted):
    return {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in wanted
    }


def test_only_applying_a_plan_sends_corrections():
    assert callers_of("attempt_patch") == {"api/client.py", "apply/traffic.py"}
    assert callers_of("patch_call") == set(), "that is for notebooks; nothing of ours goes round the plan"
    sends = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value == "PATCH" and not name.startswith("sandbox/")
    }
    assert sends <= {"api/client.py", "api/wire.py", "api/exchange.py", "api/retry.py", "api/breaker.py", "plan/requests.py", "apply/traffic.py"}  # fmt: skip


def test_only_the_wire_and_the_client_hold_what_carries_the_token():
    users = {
        name
        for name, tree in TREES.items()
        if any(one.endswith((".secret", ".credentials")) for one in imported(tree))
    }
    assert users == {"api/wire.py", "api/client.py", "api/credentials.py"}
    readers = {
        name
        for name, path in MODULES.items()
        if re.search(r"environ\b.*SIPPET_API_(TOKEN|KEY)", path.read_text(encoding="utf-8"))
    }
    assert readers == {"api/credentials.py"}
