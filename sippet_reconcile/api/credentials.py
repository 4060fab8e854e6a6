"""Which credential a client sends: given, or taken from the environment, and fit for a header."""

from __future__ import annotations

import os
import re
from typing import Final

from sippet_reconcile.api.secret import Secret

__all__ = ["secret_or_problem"]

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


def secret_or_problem(token: str | None, api_key: str | None) -> tuple[Secret | None, str | None]:
    """Return the token or the API key as it is sent, or what is wrong with them, as a sentence.

    Where neither is given, ``SIPPET_API_TOKEN`` or ``SIPPET_API_KEY`` is read. Nothing is
    raised here: a traceback that shows local variables would show the token.

    Examples
    --------
    >>> secret_or_problem("only-an-example", None)
    (<Secret>, None)
    >>> secret_or_problem("two words", None)
    (None, 'token is empty, or holds spaces or characters that no HTTP header can carry')
    """
    if token is None and api_key is None:
        token = os.environ.get("SIPPET_API_TOKEN") or None
        api_key = os.environ.get("SIPPET_API_KEY") or None
    if token is not None and api_key is not None:
        return None, (
            "a token and an API key are given (arguments, or SIPPET_API_TOKEN and SIPPET_API_KEY): keep one of them"
        )
    for name, value in (("token", token), ("api_key", api_key)):
        if value is not None and (not isinstance(value, str) or not _TOKEN.fullmatch(value.strip())):
            return None, f"{name} is empty, or holds spaces or characters that no HTTP header can carry"
    if token is not None:
        return Secret("Authorization", "Bearer ", token.strip()), None
    return (Secret("x-api-key", "", api_key.strip()) if api_key is not None else None), None
