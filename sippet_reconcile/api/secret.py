"""Hold a token so that nothing shows it, and take it out of texts in whatever spelling it comes back.

Input is a token or an API key; output is the header that carries it, and texts without
it. Servers and proxies repeat what they were sent: as it was, percent-encoded, in
base64, escaped for JSON or HTML, in other case, wrapped, or cut short.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import weakref
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Secret"]

_SHOWN: Final = "[token]"
_LEAST: Final = 8
"""Characters of a token below which only the token itself is looked for."""

_HEAD: Final = 12
"""Characters by which a token that was cut short is still known."""

_LONG: Final = 16
"""Characters from which a token is too unlikely to be in an answer by chance."""


class Secret:
    """A token that shows itself to nobody but `headers`; it is neither copied nor pickled.

    Examples
    --------
    >>> secret = Secret("Authorization", "Bearer ", "only-an-example+1")
    >>> secret, secret.scrub("?key=only-an-example%2B1 was refused")
    (<Secret>, '?key=[token] was refused')
    """

    # What holds the value is reached through closures alone: no attribute, and so no debugger's view, shows it.
    __slots__ = ("__weakref__", "_hidden")

    def __init__(self, name: str, prefix: str, value: str) -> None:
        def headers() -> dict[str, str]:
            return {name: prefix + value}

        # What JSON and addresses make of it; each search of a large answer costs.
        forms = list(dict.fromkeys([value, quote(value, safe=""), value.replace("/", "\\/")]))
        searched = [form.encode() for form in forms] if len(value) >= _LONG else []

        def is_in(body: bytes) -> bool:
            return any(form in body for form in searched)

        self._hidden = (headers, _scrubber(value), is_in)
        _in_use.add(self)

    def headers(self) -> dict[str, str]:
        """Return the header that carries it."""
        return self._hidden[0]()

    def scrub(self, text: str) -> str:
        """Return a text without it, should a server have echoed it."""
        return self._hidden[1](text)

    def is_in(self, body: bytes) -> bool:
        """Tell whether bytes hold it; a short one, which may be there by chance, is not looked for."""
        return self._hidden[2](body)

    def __repr__(self) -> str:
        return "<Secret>"

    def __reduce__(self) -> str:
        msg = "a token is neither pickled nor copied: make a new Client where it is needed"
        raise TypeError(msg)


def _spellings(value: str) -> list[str]:
    """Return the forms in which a token may come back, the token itself first, each once."""
    if len(value) < _LEAST:
        return [value]
    quoted = json.dumps(value)[1:-1]
    forms = [
        value,
        quote(value, safe=""),
        quote(value),
        quoted,
        quoted.replace("/", "\\/"),
        html.escape(value),
    ]
    forms += [value.encode().hex(), *_base64_cores(value.encode())]
    return list(dict.fromkeys(forms))


def _base64_cores(value: bytes) -> list[str]:
    """Return what base64 makes of a value at any place in a longer text, in both alphabets."""
    cores = []
    for n_before in range(3):
        encoded = base64.b64encode(bytes(n_before) + value).decode()
        # The characters at either end depend on the neighbours.
        core = encoded[-(-n_before * 8 // 6) : (n_before + len(value)) * 8 // 6]
        cores += [core, core.replace("+", "-").replace("/", "_")]
    return cores


def _scrubber(value: str) -> Callable[[str], str]:
    forms = _spellings(value)
    heads = [form[:_HEAD] if len(form) >= _LONG else form for form in forms]
    # White space between any two characters: a text may have been wrapped within the token.
    patterns = (r"\s*".join(map(re.escape, head)) for head in dict.fromkeys(heads))
    flags = re.IGNORECASE if len(value) >= _LEAST else re.NOFLAG
    found = re.compile("|".join(patterns), flags)

    def scrub(text: str) -> str:
        kept, at = [], 0
        while (match := found.search(text, at)) is not None:
            kept += [text[at : match.start()], _SHOWN]
            at = max(match.end(), *(_end(text, match.start(), form) for form in forms))
        return "".join([*kept, text[at:]]) if kept else text

    return scrub


def _end(text: str, at: int, form: str) -> int:
    """Return where the token that begins at a place ends, or was cut."""
    end = at
    for wanted in form:
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text) or text[at].lower() != wanted.lower():
            break
        at += 1
        end = at
    return end


_in_use: weakref.WeakSet[Secret] = weakref.WeakSet()


def _without_tokens(record: logging.LogRecord) -> bool:
    """Take every token in use out of what the HTTP library logs at DEBUG, such as headers that echo it."""
    text = record.getMessage()
    for secret in list(_in_use):
        text = secret.scrub(text)
    record.msg, record.args = text, ()
    return True


# A filter of a logger does not hold for those below it, so each gets its own.
for _name in ("httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks"):
    logging.getLogger(_name).addFilter(_without_tokens)
