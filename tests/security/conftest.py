"""A token that no text may hold, the forms in which it might, and servers of a few lines."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import socketserver
import threading
import traceback
import warnings
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from rich.console import Console
from rich.traceback import Traceback

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

TOKEN = "tk/Xq7+Zw9=LmN3pR5tV8yB2cD4fG6hJ0kS1"  # noqa: S105 - an invented one, searched for in everything that is shown


def forms_of(token):
    """Return the spellings of a token that nothing may show, worked out here and not by the package."""
    bearer = f"Bearer {token}".encode()
    return {
        "as it is": token,
        "percent-encoded": quote(token, safe=""),
        "escaped for JSON": token.replace("/", "\\/"),
        "base64": base64.b64encode(token.encode()).decode().rstrip("="),
        "base64 of the header": base64.b64encode(bearer).decode()[10:].rstrip("="),
        "hexadecimal": token.encode().hex(),
        "other case": token.swapcase(),
        "in two lines": f"{token[:15]}\n{token[15:]}",
        "first twelve": token[:12],
    }


def leaks_in(text, token=TOKEN):
    """Return the names of the forms that a text holds."""
    return [name for name, form in forms_of(token).items() if form in text]


def of_the_package(trace):
    """Leave off the frames of a test, which knows the token."""
    while trace is not None and "/tests/" in trace.tb_frame.f_code.co_filename.replace(os.sep, "/"):
        trace = trace.tb_next
    return trace


def views_of(error, *, thorough=True):
    """Return how tracebacks with local variables show an exception: the standard library's, rich's and IPython's."""
    chain = (type(error), error, of_the_package(error.__traceback__))
    plain = "".join(traceback.TracebackException(*chain, capture_locals=True).format())
    views = [plain, repr(error), repr(error.__dict__), str(error.args)]
    if not thorough:  # the two below take a tenth of a second
        return views
    from IPython.core.ultratb import VerboseTB  # noqa: PLC0415 - it takes a second to import

    console = Console(file=io.StringIO(), width=400)
    shown = Traceback.from_exception(
        *chain, show_locals=True, locals_max_string=None, locals_max_length=None, locals_hide_dunder=False, locals_hide_sunder=False
    )  # fmt: skip
    console.print(shown)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # IPython warns of its own ways
        verbose = "".join(map(str, VerboseTB(include_vars=True).structured_traceback(*chain)))
    return [*views, console.file.getvalue(), _COLOURS.sub("", verbose)]


class Search:
    """The token and how to look for it; its own repr shows nothing."""

    token = TOKEN
    forms = forms_of(TOKEN)
    leaks_in = staticmethod(leaks_in)
    views_of = staticmethod(views_of)


def read_request(sock):
    """Return all bytes of one request: an end with bytes unread would reset the connection, and the answer be lost."""
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if end and len(body) >= (int(length[1]) if length else 0):
            return data
        more = sock.recv(65_536)
        if not more:
            return data
        data += more


class RawServer:
    """Answers every request with the same bytes, and keeps the bytes that arrived."""

    def __init__(self, answer=b"", tls=None):
        self.received = []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                try:
                    sock = self.request if tls is None else tls.wrap_socket(self.request, server_side=True)
                    with sock:
                        data = read_request(sock)
                        if data:
                            outer.received.append(data)
                            sock.sendall(answer(data) if callable(answer) else answer)
                except OSError:  # whoever refuses a certificate hangs up in the middle
                    return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = False
            block_on_close = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join(60)
        self._server.server_close()


def http(status, body=b"", reason="Said", headers=()):
    """Return an answer, byte for byte."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [
        f"HTTP/1.1 {status} {reason}",
        "content-type: application/vnd.api+json",
        f"content-length: {len(body)}",
    ]
    head += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*head, "connection: close", "", ""]).encode() + body


@pytest.fixture
def no_waiting():
    """Options of a client whose time passes only while it sleeps."""
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    return {"sleep": sleep, "clock": lambda: now[0]}


@pytest.fixture
def secret():
    """The token and how to look for it; test modules cannot import one another."""
    return Search()


@pytest.fixture
def raw():
    return SimpleNamespace(serve=RawServer, http=http)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("SIPPET_API_URL", "SIPPET_API_TOKEN", "SIPPET_API_KEY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
