"""The client: exact requests, checked answers, and a token that shows itself nowhere."""

from __future__ import annotations

import gc
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile._version import __version__
from sippet_reconcile.api import ExchangeKind
from sippet_reconcile.errors import (
    ApiError,
    InputError,
    RejectedError,
    TransientApiError,
    UnexpectedResponseError,
)
from sippet_reconcile.schema import CALLS

Make = Callable[..., sr.Client]
WRONG = "wrong"


def echo(api: Any, **changes: Any) -> Callable[[httpx.Request], httpx.Response]:
    """Answer a PATCH as written, but for some changes."""

    def handler(request: httpx.Request) -> httpx.Response:
        sent = json.loads(request.content)["data"]
        one = api.resource(1, **{**sent["attributes"], **changes})
        one["id"] = changes.get("id", sent["id"])
        return api.answer(json.dumps({"data": one}).encode())

    return handler


# Who is asked, and with what


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SIPPET_API_URL", "SIPPET_API_TOKEN", "SIPPET_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.usefixtures("no_environment")
def test_a_missing_url_names_the_variable() -> None:
    with pytest.raises(InputError, match="SIPPET_API_URL"):
        sr.Client()


def test_the_environment_says_who_is_asked(no_environment: pytest.MonkeyPatch, api: Any) -> None:
    no_environment.setenv("SIPPET_API_URL", "https://API.example.com/api/calls/")
    no_environment.setenv("SIPPET_API_KEY", api.token)
    client = sr.Client()
    assert client.base_url == "https://api.example.com"
    assert client._wire._secret is not None
    assert client._wire._secret.headers() == {"x-api-key": api.token}


def test_a_token_and_a_key_together_are_refused(no_environment: pytest.MonkeyPatch, api: Any) -> None:
    with pytest.raises(InputError, match="keep one"):
        sr.Client(api.url, token=WRONG, api_key=WRONG)
    no_environment.setenv("SIPPET_API_TOKEN", "a")
    no_environment.setenv("SIPPET_API_KEY", "b")
    with pytest.raises(InputError, match="SIPPET_API_TOKEN and SIPPET_API_KEY"):
        sr.Client(api.url)
    assert sr.Client(api.url, token=WRONG)._wire._secret is not None


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "é", "a\x00"])
@pytest.mark.usefixtures("no_environment")
def test_a_token_that_no_header_can_carry_is_refused_unseen(api: Any, token: str) -> None:
    with pytest.raises(InputError, match="token is empty, or holds") as caught:
        sr.Client(api.url, token=token)
    assert not token.strip() or token not in str(caught.value)


def test_plain_http_to_another_machine_is_refused() -> None:
    with pytest.raises(InputError, match="in the clear"):
        sr.Client("http://api.example.com", token=WRONG)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_a_positive_number(api: Any, timeout: float) -> None:
    with pytest.raises(InputError, match="timeout"):
        sr.Client(api.url, token=WRONG, timeout=timeout)


def test_headers_and_bodies_are_exactly_these(client_of: Make, api: Any) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return echo(api)(request) if request.method == "PATCH" else api.answer(api.document(api.resource(1)))

    client = client_of(handler)
    client.get_calls([api.call_id(1)])
    client.patch_call(api.call_id(1), {"status": "busy"})
    get, patch = ({k: v for k, v in request.headers.items() if k != "host"} for request in seen)
    common = {
        "accept": "application/vnd.api+json",
        "accept-encoding": "gzip",
        "user-agent": f"sippet-reconcile/{__version__}",
        "authorization": f"Bearer {api.token}",
    }
    assert get == common
    body = b'{"data":{"id":"%b","type":"Call","attributes":{"status":"busy"}}}' % api.call_id(1).encode()
    assert patch == {**common, "content-type": "application/vnd.api+json", "content-length": str(len(body))}
    assert seen[1].content == body
    assert str(seen[1].url) == f"{api.url}/api/calls/{api.call_id(1)}"


def test_an_api_key_has_its_own_header(client_of: Make, api: Any) -> None:
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return api.answer(api.document(api.resource(1)))

    client_of(handler, token=None, api_key=api.token).get_calls([api.call_id(1)])
    assert seen[0].headers["x-api-key"] == api.token
    assert "authorization" not in seen[0].headers


def test_a_redirect_is_never_followed(client_of: Make, api: Any) -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        return httpx.Response(307, headers={"location": "https://user:pw@elsewhere.example/api/calls?x=1"})

    client = client_of(handler)
    with pytest.raises(UnexpectedResponseError, match=r"redirect to host 'elsewhere\.example'") as caught:
        client.get_calls([api.call_id(1)])
    assert "pw" not in str(caught.value)
    with pytest.raises(UnexpectedResponseError, match="not followed"):
        client.patch_call(api.call_id(1), {"status": "busy"})
    assert set(seen) == {"api.example.com"}


def test_a_base_url_may_have_a_path(client_of: Make, make_index: Any, api: Any) -> None:
    index = make_index([api.resource(1)])
    client_of(index, base_url="https://gateway.example/sippet/").get_calls([api.call_id(1)])
    assert index.targets()[0].startswith("/sippet/api/calls?")


def test_cookies_are_not_kept(client_of: Make, api: Any) -> None:
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return api.answer(api.document(api.resource(1)), set_cookie="a=b; Path=/")

    client = client_of(handler)
    client.get_calls([api.call_id(1)])
    client.get_calls([api.call_id(1)])
    assert [request.headers.get("cookie") for request in seen] == [None, None]


# The token


def everything_shown(value: object, depth: int = 4) -> Iterator[str]:
    """Yield all texts by which an object and what it holds may show themselves."""
    yield repr(value)
    yield str(value)
    if hasattr(value, "_repr_html_"):
        yield value._repr_html_()
    if depth and hasattr(value, "__dict__"):
        yield repr(value.__dict__)
        for held in list(vars(value).values()):
            yield from everything_shown(held, depth - 1)


@pytest.mark.parametrize("credential", ["token", "api_key"])
@pytest.mark.parametrize(
    "failure",
    ["echo", "html", "reset", "connect", "redirect", "ok"],
)
def test_the_token_is_shown_nowhere(
    client_of: Make, api: Any, caplog: pytest.LogCaptureFixture, credential: str, failure: str
) -> None:
    caplog.set_level(logging.DEBUG)

    def handler(request: httpx.Request) -> httpx.Response:
        if failure == "echo":
            detail = f"token {api.token} is not allowed"
            body = {"errors": [{"code": api.token, "detail": detail, "source": {"pointer": f"/{api.token}"}}]}
            return httpx.Response(400, json=body, headers={"x-request-id": f"id-{api.token}"})
        if failure == "html":
            return httpx.Response(500, text=f"<html>Authorization: Bearer {api.token}</html>")
        if failure == "reset":
            message = f"reset while sending {request.headers}{api.token}"
            raise httpx.ReadError(message, request=request)
        if failure == "connect":
            raise httpx.ConnectError(api.token, request=request)
        if failure == "redirect":
            return httpx.Response(302, headers={"location": f"https://elsewhere.example/{api.token}"})
        return api.answer(api.document(api.resource(1))) if request.method == "GET" else echo(api)(request)

    client = client_of(handler, **{"token": None, credential: api.token})
    shown = list(everything_shown(client))
    exchanges = []
    view = client.paced(lambda: None, exchanges.append)
    shown += everything_shown(view)
    for step in (
        lambda: view.get_calls([api.call_id(1)]),
        lambda: view.patch_call(api.call_id(1), {"status": "busy"}),
        lambda: view.fetch_calls("2026-10", progress=False),
        view.describe,
        view.check,
    ):
        try:
            shown += everything_shown(step())
        except ApiError as error:
            shown += everything_shown(error)
            shown.append(
                "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
            )
            while error is not None:
                shown += [repr(error.args), repr(vars(error))]
                error = error.__cause__ or error.__context__  # type: ignore[assignment]
    for exchange in exchanges:
        shown += everything_shown(exchange)
    shown += [record.getMessage() for record in caplog.records]
    shown += [repr(vars(record)) for record in caplog.records]
    assert exchanges
    assert not [text for text in shown if api.token in text]


def test_a_client_with_a_token_is_not_pickled(client_of: Make, make_index: Any) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(client_of(make_index([]))._wire._secret)


def test_numbers_in_filters_reach_no_log(
    client_of: Make, make_index: Any, api: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    index = make_index([api.resource(1, from_number="+447700900123")])
    client_of(index).fetch_calls("2026-10", filters={"from_number": "+447700900123"}, progress=False)
    assert "447700900123" not in caplog.text


# Reading by id


def test_ids_are_read_in_chunks_and_each_once(client_of: Make, make_index: Any, api: Any) -> None:
    index = make_index([api.resource(n, f"2026-10-{1 + n % 28:02}T00:00:00Z") for n in range(1, 132)])
    wanted = pd.Series([api.call_id(n) for n in range(1, 132)])
    calls = client_of(index).get_calls(pd.concat([wanted, wanted.str.upper(), pd.Series([api.call_id(999)])]))
    assert sorted(calls["id"]) == sorted(wanted)
    assert calls["started_at"].is_monotonic_increasing
    assert len(index.requests) == 3
    assert max(len(target) for target in index.targets()) < 4000


@pytest.mark.parametrize("limit", [10, 20, 25])
def test_a_server_that_caps_its_answers_is_asked_for_the_rest_of_the_ids(
    client_of: Make, make_index: Any, api: Any, limit: int
) -> None:
    index = make_index([api.resource(n) for n in range(1, 121)], limit=limit)
    calls = client_of(index).get_calls([api.call_id(n) for n in range(1, 121)])
    assert sorted(calls["id"]) == sorted(api.call_id(n) for n in range(1, 121))


def test_no_ids_ask_for_nothing(client_of: Make, make_index: Any) -> None:
    index = make_index([])
    calls = client_of(index).get_calls([])
    assert {name: str(dtype) for name, dtype in calls.dtypes.items()} == CALLS.dtypes
    assert index.requests == []


def test_an_id_that_is_none_is_refused_before_anything_is_sent(
    client_of: Make, make_index: Any, api: Any
) -> None:
    index = make_index([])
    client = client_of(index)
    for bad in ([api.call_id(1), "../x"], pd.Series([None], dtype="str"), [5]):
        with pytest.raises(InputError, match="UUID"):
            client.get_calls(bad)
    with pytest.raises(InputError, match="UUID"):
        client.patch_call("x", {"status": "busy"})
    for ids in ([], [api.call_id(n) for n in range(51)]):
        with pytest.raises(InputError, match="1 to 50"):
            client.attempt_read(ids)
    with pytest.raises(InputError, match="cannot be patched"):
        client.attempt_patch(api.call_id(1), {"started_at": None})
    assert index.requests == []


def test_absent_ids_are_believed_only_where_something_is_visible(
    client_of: Make, make_index: Any, api: Any
) -> None:
    assert client_of(make_index([api.resource(1)])).get_calls([api.call_id(2)]).empty
    with pytest.raises(
        UnexpectedResponseError, match="none of 1 calls was found, and no call at all is visible"
    ):
        client_of(make_index([])).get_calls([api.call_id(2)])


@pytest.mark.parametrize("what", ["stranger", "twice", "page"])
def test_a_read_that_shows_other_than_asked_for_is_malformed(client_of: Make, api: Any, what: str) -> None:
    bodies = {
        "stranger": api.document(api.resource(1), api.resource(9)),
        "twice": api.document(api.resource(1), api.resource(1)),
        "page": api.document(api.resource(1), links={"next": "/api/calls?page"}),
    }
    exchange = client_of(lambda _: api.answer(bodies[what])).attempt_read([api.call_id(1), api.call_id(2)])
    assert exchange.kind is ExchangeKind.MALFORMED
    assert exchange.calls is None


def test_reads_are_tried_again_a_few_times(
    client_of: Make, make_index: Any, api: Any, virtual_time: Any
) -> None:
    failures = iter(
        [httpx.Response(503, headers={"retry-after": "2"}), httpx.Response(502), httpx.Response(429)]
    )
    index = make_index([api.resource(1)], refuse=lambda _: next(failures, None))
    assert len(client_of(index).get_calls([api.call_id(1)])) == 1
    # Asked for 2 s plus at most 1; then half of 1 s and half of 2 s, chance being 0.5.
    assert virtual_time.slept == [0.25] * 9 + [0.25] * 2 + [0.25] * 4  # 2.25, 0.5 and 1 s, in naps


def test_reads_give_up(client_of: Make, make_index: Any, api: Any) -> None:
    index = make_index([], refuse=lambda _: httpx.Response(503, headers={"retry-after": "1"}))
    with pytest.raises(TransientApiError, match="gave up after 5 attempts") as caught:
        client_of(index).get_calls([api.call_id(1)])
    assert len(index.requests) == 5
    assert caught.value.retry_after_s == 1.0


# One correction


@pytest.mark.parametrize("field", ["status", "duration_seconds", "ended_at", "call_source"])
def test_a_value_is_not_taken_away_by_hand(client_of: Make, api: Any, field: str) -> None:
    requests: list[httpx.Request] = []
    client = client_of(lambda request: requests.append(request) or echo(api)(request))
    with pytest.raises(InputError, match=field):
        client.patch_call(api.call_id(1), {"status": "busy", field: None})
    assert requests == []


def test_a_correction_is_sent_once_and_its_answer_returned(client_of: Make, api: Any) -> None:
    row = client_of(echo(api)).patch_call(
        api.call_id(1).upper(), {"duration_seconds": 5, "ended_at": "2026-10-05T10:00:05Z"}
    )
    assert (row["id"], row["duration_seconds"], row["ended_at"]) == (
        api.call_id(1),
        5,
        "2026-10-05T10:00:05Z",
    )
    assert row["sip_username"] is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"duration_seconds": 6}, "duration_seconds was sent as '5' and reads '6'"),
        ({"status": None}, "status was sent as 'busy' and reads None"),
        ({"id": "11111111-1111-4111-8111-111111111111"}, "the answer is call 11111111"),
    ],
)
def test_an_answer_that_differs_is_not_taken_for_success(
    client_of: Make, api: Any, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(UnexpectedResponseError, match=told):
        client_of(echo(api, **changes)).patch_call(api.call_id(1), {"duration_seconds": 5, "status": "busy"})


def test_a_correction_is_never_tried_again(client_of: Make, make_index: Any, api: Any) -> None:
    for response in (
        httpx.Response(503),
        httpx.Response(429, headers={"retry-after": "9"}),
        httpx.Response(404),
    ):
        index = make_index([], refuse=lambda _, response=response: response)
        with pytest.raises((TransientApiError, RejectedError)):
            client_of(index).patch_call(api.call_id(1), {"status": "busy"})
        assert len(index.requests) == 1


def test_a_lost_answer_says_that_it_may_have_been_applied(client_of: Make, api: Any) -> None:
    def lost(_: httpx.Request) -> httpx.Response:
        message = "Server disconnected without sending a response."
        raise httpx.RemoteProtocolError(message)

    with pytest.raises(TransientApiError) as caught:
        client_of(lost).patch_call(api.call_id(1), {"status": "busy"})
    assert caught.value.may_have_been_applied is True


# Paced views


def test_every_attempt_passes_the_gate_and_is_told(client_of: Make, make_index: Any, api: Any) -> None:
    failures = iter([httpx.Response(502)])
    index = make_index([api.resource(1)], refuse=lambda _: next(failures, None))
    passed: list[int] = []
    told = []
    client = client_of(index)
    view = client.paced(lambda: passed.append(len(index.requests)), told.append)
    view.get_calls([api.call_id(1)])
    view.attempt_read([api.call_id(1)])
    assert passed == [0, 1, 2]
    assert [exchange.kind for exchange in told] == ["transient", "ok", "ok"]
    assert told[-1].calls is not None
    assert told[-1].calls["id"].tolist() == [api.call_id(1)]
    client.get_calls([api.call_id(1)])
    assert len(passed) == 3
    view.close()
    assert view.base_url == client.base_url


def test_what_a_gate_raises_stops_the_attempt(client_of: Make, make_index: Any, api: Any) -> None:
    index = make_index([])

    def shut() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client_of(index).paced(shut).attempt_patch(api.call_id(1), {"status": "busy"})
    with pytest.raises(KeyboardInterrupt):
        client_of(index).paced(shut).fetch_calls("2026-10", progress=False)
    assert index.requests == []


def test_a_client_is_a_context_manager_and_works_after_it(client_of: Make, make_index: Any, api: Any) -> None:
    with client_of(make_index([api.resource(1)])) as client:
        assert repr(client) == "<Client https://api.example.com>"
    assert len(client.get_calls([api.call_id(1)])) == 1


def test_a_forgotten_client_closes_its_connections(api: Any) -> None:
    client = sr.Client(api.url, token=WRONG)
    view = client.paced(lambda: None)
    closer = client._wire._closer
    assert closer is not None
    del client
    gc.collect()
    assert closer.alive  # a view still uses them
    del view
    gc.collect()
    assert not closer.alive
