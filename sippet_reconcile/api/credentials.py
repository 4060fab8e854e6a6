"""Which credential a client sends: given, or taken from the environment, and fit for a header."""

from __future__ import annotations

import os
import re
from typing import Final

from sippet_reconcile.api.wire import Secret
from sippet_reconcile.errors import InputError

__all__ = ["secret_of"]

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


def secret_of(token: str | None, api_key: str | None) -> Secret | None:
    """Return the token or the API key as it is sent, or None where there is none.

    Where neither is given, ``SIPPET_API_TOKEN`` or ``SIPPET_API_KEY`` is read.

    Raises
    ------
    InputError
        Where both are there, or one cannot be sent.
    """
    if token is None and api_key is None:
        token = os.environ.get("SIPPET_API_TOKEN") or None
        api_key = os.environ.get("SIPPET_API_KEY") or None
    if token is not None and api_key is not None:
        msg = "a token and an API key are given (arguments, or SIPPET_API_TOKEN and SIPPET_API_KEY): keep one of them"
        raise InputError(msg)
    for name, value in (("token", token), ("api_key", api_key)):
        if value is not None and (not isinstance(value, str) or not _TOKEN.fullmatch(value.strip())):
            msg = f"{name} is empty, or holds spaces or characters that no HTTP header can carry"
            raise InputError(msg)
    if token is not None:
        return Secret("Authorization", "Bearer ", token.strip())
    return Secret("x-api-key", "", api_key.strip()) if api_key is not None else None
