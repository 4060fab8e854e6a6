"""A small index of calls behind httpx's mock transport, and clients with a clock of their own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

import sippet_reconcile as sr

URL = "https://api.example.com"
TOKEN = "tok-Secret.0123456789-abcdef"  # noqa: S105 - an invented one, searched for in everything that is shown
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def call_id(number: int) -> str:
    return str(uuid.UUID(int=number, version=4))


def resource(
    number: int, started_at: str | None = "2026-10-05T10:00:00.000000Z", **attributes: Any
) -> dict[str, Any]:
    values = {
        "call_uuid": f"uuid-{number}",
        "direction": "inbound",
        "from_number": "+15550000001",
        "to_number": "+15550000002",
        "sip_username": None,
        "status": "completed",
        "call_source": "sip",
        "started_at": started_at,
        "ended_at": None,
        "duration_seconds": 60,
        "conversation_id": None,
    }
    return {
        "id": call_id(number),
        "type": "Call",
        "attributes": {**values, **attributes},
        "links": {},
        "meta": {},
    }


def document(*resources: dict[str, Any], **members: Any) -> bytes:
    return json.dumps(
        {"data": list(resources), "jsonapi": {"version": "1.0"}, "links": {}, "meta": {}, **members}
    ).encode()


def answer(body: bytes, status: int = 200, **headers: str) -> httpx.Response:
    media = {"content-type": "application/vnd.api+json"}
    return httpx.Response(
        status, content=body, headers={**media, **{k.replace("_", "-"): v for k, v in headers.items()}}
    )


@dataclass
class Index:
    """Answers the filters that a fetch sends, from a list of resources; everything it is asked is kept."""

    resources: list[dict[str, Any]]
    limit: int | None = None
    requests: list[httpx.Request] = field(default_factory=list)
    refuse: Callable[[httpx.Request], httpx.Response | None] = lambda _: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        refused = self.refuse(request)
        if refused is not None:
            return refused
        query = parse_qsl(request.url.query.decode())
        found = [r for r in self.resources if all(self.fits(r, key, value) for key, value in query)]
        ids = [value for key, value in query if key == "filter[id][in][]"]
        found = [r for r in found if not ids or r["id"] in ids]
        found.sort(key=lambda r: (r["attributes"]["started_at"] or "~", r["id"]))
        return answer(document(*found[: self.limit]))

    @staticmethod
    def fits(one: dict[str, Any], key: str, value: str) -> bool:
        started = one["attributes"]["started_at"]
        if key == "filter[started_at][is_nil]":
            return (started is None) == (value == "true")
        if key == "filter[started_at][gte]":
            return started is not None and datetime.fromisoformat(started) >= datetime.fromisoformat(value)
        if key.endswith("[id][not_eq]"):
            return one["id"] != value
        if key == "filter[started_at][lt]":
            return started is not None and datetime.fromisoformat(started) < datetime.fromisoformat(value)
        return True

    def targets(self) -> list[str]:
        return [str(request.url.raw_path, "ascii") for request in self.requests]


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.at = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    def clock(self) -> float:
        return self.at


@pytest.fixture
def virtual_time() -> Time:
    return Time()


@pytest.fixture
def client_of(virtual_time: Time, monkeypatch: pytest.MonkeyPatch) -> Callable[..., sr.Client]:
    for name in ("SIPPET_API_URL", "SIPPET_API_TOKEN", "SIPPET_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def make(handler: Callable[[httpx.Request], httpx.Response], **options: Any) -> sr.Client:
        given = {"token": TOKEN, "now": lambda: NOW, **options}
        return sr.Client(
            given.pop("base_url", URL),
            transport=httpx.MockTransport(handler),
            sleep=virtual_time.sleep,
            clock=virtual_time.clock,
            random=lambda: 0.5,
            **given,
        )

    return make


@pytest.fixture
def make_index() -> type[Index]:
    return Index


@pytest.fixture
def api() -> Any:
    """The builders above, for test modules cannot import one another."""

    class Api:
        url, token, now, day = URL, TOKEN, NOW, timedelta(days=1)
        call_id = staticmethod(call_id)
        resource = staticmethod(resource)
        document = staticmethod(document)
        answer = staticmethod(answer)

    return Api
