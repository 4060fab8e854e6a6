"""One spelling for an API's address, and no token in the clear."""

from __future__ import annotations

import pytest

from sippet_reconcile.api import normalise_url
from sippet_reconcile.api.urls import base_url_of, is_same_host
from sippet_reconcile.errors import InputError


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://API.Example.COM/", "https://api.example.com"),
        (" HTTPS://api.example.com:443/v1// ", "https://api.example.com/v1"),
        ("https://api.example.com:8443", "https://api.example.com:8443"),
        ("http://127.0.0.1:80/", "http://127.0.0.1"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_an_address_has_one_spelling(url: str, normal: str) -> None:
    assert normalise_url(url) == normal
    assert normalise_url(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/api/calls",
        "https://a.example/api/calls/",
        "https://a.example/api",
        "https://A.example",
    ],
)
def test_a_pasted_endpoint_is_cut_back_to_its_base(url: str) -> None:
    assert base_url_of(url) == "https://a.example"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "[::1]"])
def test_plain_http_is_for_this_machine(host: str) -> None:
    assert base_url_of(f"http://{host}:8080") == f"http://{host}:8080"


@pytest.mark.parametrize(
    "host", ["api.example.com", "10.0.0.1", "localhost.example.com", "127.0.0.1.example.com", "192.0.2.1"]
)
def test_plain_http_elsewhere_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="in the clear"):
        base_url_of(f"http://{host}")


@pytest.mark.parametrize("url", ["", "api.example.com", "ftp://a.example", "https://", "https://a b", "https://a.example:x", "https://[", "https://a.example/\x00", "file:///etc/passwd", None, 5])  # fmt: skip
def test_what_is_no_address_is_refused(url: object) -> None:
    with pytest.raises(InputError, match="URL"):
        normalise_url(url)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["https://ana:hunter2@a.example", "https://a.example?token=hunter2", "https://a.example/#hunter2"]
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InputError) as caught:
        normalise_url(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("link", "is_same"),
    [
        ("https://api.example.com/api/calls?x", True),
        ("http://API.example.com/api/calls?x", True),
        ("https://api.example.com:443/api/calls", True),
        ("/api/calls?x", True),
        ("https://api.example.com:8443/api/calls", False),
        ("https://api.example.com.evil.example/api/calls", False),
        ("https://evil.example/api/calls", False),
        ("//evil.example/api/calls", False),
        ("https://api.example.com@evil.example/", False),
        ("https://x@api.example.com/", False),
        ("https://[", False),
    ],
)
def test_only_links_to_the_same_host_are_of_the_same_host(link: str, is_same: bool) -> None:
    assert is_same_host(link, "https://api.example.com") is is_same
