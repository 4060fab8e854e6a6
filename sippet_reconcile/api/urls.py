"""The address of the API: in one spelling, and never one that would carry a token in the clear.

Input is what people write; output is a base URL without a trailing slash, to which
``/api/calls`` is added.
"""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from sippet_reconcile.errors import InputError

__all__ = ["API_ROOT", "CALLS_PATH", "base_url_of", "given_url", "is_same_host", "normalise_url"]

API_ROOT: Final = "/api"
CALLS_PATH: Final = "/api/calls"

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+(%[a-z0-9]+)?")
_PATH: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")


def _split(url: str) -> tuple[SplitResult, str, int]:
    example = "write it like 'https://api.example.com'"
    if not isinstance(url, str):
        msg = f"the API's URL is {type(url).__name__}, not text; {example}"
        raise InputError(msg)
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        msg = f"the API's URL cannot be read; {example}"
        raise InputError(msg) from None
    scheme = parts.scheme.lower()
    # An @ behind the host, too: a password with a slash in it ends the host early.
    if "@" in url or parts.query or parts.fragment:
        # Not repeated in the message: it may well hold a password or a token.
        msg = f"the API's URL must hold no user, password, query or fragment; {example}"
        raise InputError(msg)
    if scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host) or not _PATH.fullmatch(parts.path):
        # Only what surely is an address is repeated: a token lands in the wrong variable easily.
        is_address = scheme in _DEFAULT_PORTS and _HOST.fullmatch(host)
        shown = f"'{scheme}://{host}…'" if is_address else "what was given"
        msg = f"{shown} is not the URL of an API; {example}"
        raise InputError(msg)
    return parts._replace(scheme=scheme), host, port or _DEFAULT_PORTS[scheme]


def normalise_url(url: str) -> str:
    """Return a URL in one spelling: scheme and host lower case, no default port, no trailing slash.

    Raises
    ------
    InputError
        If it is not an http(s) URL, or holds a user, a password, a query or a fragment.

    Examples
    --------
    >>> normalise_url("HTTPS://API.Example.com:443/"), normalise_url("http://127.0.0.1:8080/x/")
    ('https://api.example.com', 'http://127.0.0.1:8080/x')
    """
    parts, host, port = _split(url)
    named = f"[{host}]" if ":" in host else host
    address = named if port == _DEFAULT_PORTS[parts.scheme] else f"{named}:{port}"
    return f"{parts.scheme}://{address}{parts.path.rstrip('/')}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def given_url(base_url: str | None) -> str:
    """Return the URL that was given, or that of the environment.

    Raises
    ------
    InputError
        Where there is neither.
    """
    url = base_url if base_url is not None else os.environ.get("SIPPET_API_URL")
    if not url:
        msg = "the API's URL is missing; set SIPPET_API_URL, or pass Client('https://...')"
        raise InputError(msg)
    return url


def base_url_of(url: str) -> str:
    """Return the normalised base URL of an API that a token may be sent to.

    ``/api`` and ``/api/calls`` at its end are taken off, as people paste them.

    Raises
    ------
    InputError
        As `normalise_url`, and for plain http to another machine.

    Examples
    --------
    >>> base_url_of("https://api.example.com/api/calls")
    'https://api.example.com'
    """
    parts, host, _ = _split(url)
    base = normalise_url(url)
    if parts.scheme == "http" and not _is_loopback(host):
        msg = (
            f"{base!r} would send the token in the clear; use https (plain http is for this machine only, "
            "such as the sandbox)"
        )
        raise InputError(msg)
    for ending in (CALLS_PATH, API_ROOT):
        if base.endswith(ending):
            return base.removesuffix(ending)
    return base


def is_same_host(link: str, base_url: str) -> bool:
    """Tell whether an absolute link leads to the host of the base URL, or a relative one stays on it.

    The scheme may differ: behind a proxy that ends TLS, an API names itself ``http``.

    Examples
    --------
    >>> is_same_host("http://api.example.com/api/calls?x=1", "https://api.example.com")
    True
    >>> is_same_host("https://elsewhere.example/api/calls", "https://api.example.com")
    False
    """
    try:
        theirs, ours = urlsplit(link), urlsplit(base_url)
        if not theirs.scheme and not theirs.netloc:
            return True
        ports = [side.port or _DEFAULT_PORTS.get(side.scheme, 0) for side in (theirs, ours)]
    except ValueError:
        return False
    same_port = ports[0] == ports[1] or (theirs.scheme != ours.scheme and theirs.port is None)
    return (theirs.hostname or "").lower() == ours.hostname and same_port and "@" not in theirs.netloc
