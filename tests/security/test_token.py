"""No object, message, traceback or log line shows the token, whatever a server does with it."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import httpx
import pytest

from sippet_reconcile import ApiError, Client, InputError
from sippet_reconcile.api.secret import Secret

CALL = "8c1f3c52-0000-4000-8000-000000000001"


def steps(client):
    return {
        "get_calls": lambda: client.get_calls([CALL]),
        "patch_call": lambda: client.patch_call(CALL, {"status": "busy"}),
        "fetch_calls": lambda: client.fetch_calls("2026-10", progress=False),
        "describe": client.describe,
        "check": client.check,
        "attempt_patch": lambda: client.attempt_patch(CALL, {"status": "busy"}),
    }


def shown_by(value):
    yield from (repr(value), str(value))
    if hasattr(value, "_repr_html_"):
        yield value._repr_html_()
    if hasattr(value, "__dict__"):
        yield repr(vars(value))


def outcome_of(step, secret):
    """Return every text that a step's result or its error shows."""
    try:
        return list(shown_by(step()))
    except ApiError as error:
        return [str(error), *secret.views_of(error, thorough=False)]


@pytest.fixture
def debug(caplog):
    """Every logger of the process at DEBUG, those that exist and those yet to come."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


@pytest.mark.parametrize("credential", ["token", pytest.param("api_key", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["as it is", "percent-encoded", "escaped for JSON", "base64", "base64 of the header", "hexadecimal", "other case", "in two lines", "first twelve"])  # fmt: skip
def test_a_server_that_repeats_the_token_in_any_spelling_makes_nobody_show_it(secret, credential, name):
    form = secret.forms[name]
    said = f"credential {form} is not allowed"
    secretive = Secret("Authorization" if credential == "token" else "x-api-key", "", secret.token)
    assert not secret.leaks_in(secretive.scrub(said))
    errors = {"errors": [{"code": form, "detail": said, "source": {"pointer": f"/{form}"}, "title": said}]}

    def answer(_request):
        headers = {"x-request-id": form.replace("\n", " "), "retry-after": "0"}
        return httpx.Response(422, json=errors, headers=headers)

    with Client(
        "https://api.example.com", **{credential: secret.token}, transport=httpx.MockTransport(answer)
    ) as client:
        for step in steps(client).values():
            texts = outcome_of(step, secret)
            assert not [found for text in texts if (found := secret.leaks_in(text))], step


ANSWERS = {
    "error page": lambda raw, form: raw.http(500, f"<html>Authorization: Bearer {form}</html>".encode()),
    "error": lambda raw, form: raw.http(400, {"errors": [{"code": form, "detail": form}]}),
    "plain refusal": lambda raw, form: raw.http(403, f"no {form} here".encode()),
    "header": lambda raw, form: raw.http(401, b"{}", headers=[("x-request-id", form), ("www-authenticate", form), (form.strip("/="), "x")]),
    "status line": lambda raw, form: raw.http(404, b"{}", reason=form),
    "redirect": lambda raw, form: raw.http(302, headers=[("location", f"https://{form}@elsewhere.example/{form}?k={form}")]),
    "redirect to a host": lambda raw, form: raw.http(307, headers=[("location", f"//{form.replace('/', '')}.example/")]),
    "value of a call": lambda raw, form: raw.http(200, {"data": [{"type": "Call", "id": CALL, "attributes": {"status": form}}]}),
    "member name": lambda raw, form: raw.http(200, {form: [], "data": form}),
    "no HTTP": lambda _, form: f"SSH-2.0 {form}\r\n\r\n".encode(),
    "cut off": lambda raw, form: raw.http(200, b"{}").replace(b"length: 2", b"length: 99") + form.encode(),
    "odd length": lambda raw, form: raw.http(200, b"{}").replace(b"length: 2", b"length: " + form.encode()),
}  # fmt: skip


@pytest.mark.parametrize("credential", ["token", pytest.param("api_key", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ANSWERS)
def test_no_answer_over_a_real_socket_brings_the_token_into_a_message_a_traceback_or_a_log(secret, raw, debug, no_waiting, credential, kind):  # noqa: PLR0917 - fixtures  # fmt: skip
    answer = ANSWERS[kind](raw, secret.token)
    with (
        raw.serve(answer) as server,
        Client(server.url, **{credential: secret.token}, **no_waiting) as client,
    ):
        for name, step in steps(client).items():
            if name == "fetch_calls" and kind == "cut off":
                continue  # windows are halved down to seconds: the same answer some thousand times
            texts = outcome_of(step, secret)
            assert not [found for text in texts if (found := secret.leaks_in(text))], name
        assert secret.token.encode() in server.received[0], "this test looks for a token that was never sent"
    assert any(record.name.startswith("httpcore") for record in debug.records)
    logged = [record.getMessage() + repr(vars(record)) for record in debug.records]
    assert not [found for text in logged if (found := secret.leaks_in(text))]


def interrupted(_request):
    raise KeyboardInterrupt


def broken(request):
    msg = f"a transport of somebody's own failed with {request.headers['x-api-key']}"
    raise RuntimeError(msg)


@pytest.mark.parametrize("handler", [interrupted, broken])
def test_what_breaks_into_a_request_shows_no_variable_that_holds_the_token(secret, handler):
    client = Client("https://api.example.com", api_key=secret.token, transport=httpx.MockTransport(handler))
    for step in steps(client).values():
        with pytest.raises((KeyboardInterrupt, RuntimeError)) as caught:
            step()
        views = [
            *secret.views_of(caught.value, thorough=step == client.describe),
            *getattr(caught.value, "__notes__", []),
        ]
        assert not [found for text in views if (found := secret.leaks_in(text))]
    if handler is broken:
        assert "in broken" in caught.value.__notes__[0], "where it came from is still told"


def test_the_frames_of_an_error_that_the_caller_was_at_are_left_alone(secret):
    client = Client(
        "https://api.example.com", api_key=secret.token, transport=httpx.MockTransport(interrupted)
    )

    def recover():
        try:
            {}["what the caller was at"]
        except KeyError:
            client.describe()

    with pytest.raises(KeyboardInterrupt) as caught:
        recover()
    assert isinstance(caught.value.__context__, KeyError)
    assert caught.value.__context__.__traceback__ is not None


class StopAtWrite(httpx.BaseTransport):
    """A real pool whose Ctrl-C falls into the moment at which the request's bytes are written."""

    def __init__(self):
        self.inner = httpx.HTTPTransport()

    def handle_request(self, request):
        def trace(name, _info):
            if name == "http11.send_request_body.started":
                raise KeyboardInterrupt

        request.extensions["trace"] = trace
        return self.inner.handle_request(request)

    def close(self):
        self.inner.close()


def test_ctrl_c_while_headers_are_sent_shows_none_of_them(secret, raw):
    transport = StopAtWrite()
    with (
        raw.serve(raw.http(200, b"{}")) as server,
        Client(server.url, token=secret.token, transport=transport) as client,
    ):
        with pytest.raises(KeyboardInterrupt) as caught:
            client.get_calls([CALL])
        transport.close()
    assert not [found for text in secret.views_of(caught.value) if (found := secret.leaks_in(text))]


@pytest.mark.parametrize(
    ("token", "api_key"),
    [
        ("{}\n{}", None), ("{}\r\nx-evil: 1", None), ("{}\x00", None), ("{}é", None), ("Bearer {}", None),
        (None, "{} two"), (None, "{}\x7f"), ("{}", "{}"), ("{}\u2028{}", None), (b"{}", None),
    ],
)  # fmt: skip
def test_a_token_that_cannot_be_sent_is_refused_and_stays_out_of_the_traceback(secret, token, api_key):
    def filled(text):
        if isinstance(text, bytes):
            return secret.token.encode()
        return None if text is None else text.replace("{}", secret.token)

    def given():
        return {"token": filled(token), "api_key": filled(api_key)}

    with pytest.raises(InputError) as caught:
        Client("https://api.example.com", **given())
    assert not [found for text in secret.views_of(caught.value) if (found := secret.leaks_in(text))]


@pytest.mark.parametrize("url", ["ftp://x", "http://elsewhere.example", "", "https://[", None])
def test_a_wrong_address_shows_no_token_given_beside_it(secret, url):
    with pytest.raises(InputError) as caught:
        Client(url, token="".join(secret.token))
    assert not [found for text in secret.views_of(caught.value) if (found := secret.leaks_in(text))]


@pytest.mark.parametrize(
    "url",
    [
        "https://ana:{}@api.example.com", "https://{}@api.example.com", "ana:{}@api.example.com", "https:/ana:{}@x",
        "https:ana:{}@x", "//ana:{}@x", "https://api.example.com?api_key={}", "https://api.example.com/#{}",
        "api.example.com?api_key={}", "{}", "https://api.example.com/ {}", "ftp://{}/x", "https://a.example\\@{}",
        "https://api.example.com:{}", "http://ana:{}@127.0.0.1",
    ],
)  # fmt: skip
def test_a_secret_in_an_address_is_refused_and_not_repeated(secret, url, monkeypatch):
    for spelling in (secret.token, secret.token.replace("/", "-").replace("=", "").replace("+", "")):
        monkeypatch.setenv("SIPPET_API_URL", url.replace("{}", spelling))
        with pytest.raises(InputError) as caught:
            Client()
        assert spelling not in str(caught.value)
        assert spelling.lower() not in str(caught.value)
        assert not secret.leaks_in(str(caught.value))


def test_an_empty_token_is_an_error_as_an_argument_and_none_in_the_environment(monkeypatch):
    with pytest.raises(InputError, match="empty"):
        Client("https://api.example.com", token="")
    monkeypatch.setenv("SIPPET_API_TOKEN", "")
    monkeypatch.setenv("SIPPET_API_KEY", "")
    assert Client("https://api.example.com")._wire._secret is None


def test_two_credentials_in_the_environment_are_refused_and_both_unseen(secret, monkeypatch):
    monkeypatch.setenv("SIPPET_API_TOKEN", secret.token)
    monkeypatch.setenv("SIPPET_API_KEY", secret.token)
    with pytest.raises(InputError, match="keep one of them") as caught:
        Client("https://api.example.com")
    assert not [found for text in secret.views_of(caught.value) if (found := secret.leaks_in(text))]


def test_a_client_is_neither_pickled_nor_copied_with_its_token(secret):
    client = Client("https://api.example.com", token=secret.token)
    held = client._wire._secret
    for take in (pickle.dumps, copy.copy, copy.deepcopy, lambda it: pickle.dumps(it, protocol=0)):
        with pytest.raises(TypeError) as caught:
            take(held)
        assert not secret.leaks_in(str(caught.value))
    for take in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            take(client)
        assert not secret.leaks_in(str(caught.value))


def test_no_attribute_of_a_client_shows_its_token(secret):
    client = Client("https://api.example.com", token=secret.token)
    seen, texts, rest = set(), [], [client, client.paced(lambda: None)]
    while rest:
        one = rest.pop()
        if id(one) in seen or not type(one).__module__.startswith("sippet_reconcile"):
            continue
        seen.add(id(one))
        texts += shown_by(one)
        rest += [getattr(one, name) for name in getattr(type(one), "__slots__", ()) if name != "__weakref__"]
        rest += list(getattr(one, "__dict__", {}).values())
    assert len(seen) >= 5
    assert not [found for text in texts if (found := secret.leaks_in(text))]


def test_proxies_and_netrc_of_the_environment_are_not_asked(secret, raw, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ana password hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    page = {"data": [{"type": "Call", "id": CALL, "attributes": {"status": "busy"}}]}
    with raw.serve(raw.http(502)) as proxy, raw.serve(raw.http(200, page)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with Client(server.url) as client:
            client.get_calls([CALL])
        with Client(server.url, token=secret.token) as client:
            client.get_calls([CALL])
    assert proxy.received == []
    assert b"authorization" not in server.received[0].lower()
    assert server.received[1].lower().count(b"authorization: bearer ") == 1


def test_a_cross_host_redirect_is_not_followed(secret, raw):
    with raw.serve(raw.http(200, {"data": []})) as elsewhere:
        moved = raw.http(301, headers=[("location", f"{elsewhere.url}/api/calls")])
        with raw.serve(moved) as server, Client(server.url, token=secret.token) as client:
            with pytest.raises(ApiError, match="redirect"):
                client.get_calls([CALL])
            with pytest.raises(ApiError, match="redirect"):
                client.patch_call(CALL, {"status": "busy"})
    assert elsewhere.received == []


@pytest.mark.parametrize("name", [None, "as it is", "percent-encoded", "escaped for JSON"])
def test_a_next_page_on_another_host_gets_no_token(secret, raw, name):
    with raw.serve(raw.http(200, {"data": []})) as elsewhere:
        page = {"data": [], "links": {"next": f"{elsewhere.url}/api/calls?page=2&k=KEY"}}
        text = json.dumps(page).replace("KEY", "" if name is None else secret.forms[name])
        with (
            raw.serve(raw.http(200, text.encode())) as server,
            Client(server.url, token=secret.token) as client,
            pytest.raises(ApiError) as caught,
        ):
            client.fetch_calls("2026-10", progress=False)
    assert elsewhere.received == []
    assert not [found for text in secret.views_of(caught.value) if (found := secret.leaks_in(text))]


def test_short_tokens_do_not_garble_what_a_server_says():
    assert Secret("x-api-key", "", "abc").scrub("ABC is fine, abc is not") == "ABC is fine, [token] is not"


def test_what_surrounds_a_token_stays():
    hidden = Secret("x-api-key", "", "abcdefghijklmnopqrstuvwxyz")
    assert hidden.scrub("a=abcdefghijklmnopqr… z=1") == "a=[token]… z=1"
    assert hidden.scrub("abcdefgh ijkl, twice abcdefghijklmnopqrstuvwxyz!") == "[token], twice [token]!"
    assert hidden.scrub("nothing of it, abcdefghijk") == "nothing of it, abcdefghijk"
