"""Write the PATCH of one call exactly as it would be sent, without the token.

Input is a call id and its new values, output is a frozen request that anybody may
print, compare or store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

from sippet_reconcile.api.urls import CALLS_PATH

__all__ = ["MEDIA_TYPE", "PlannedRequest", "patch_of"]

MEDIA_TYPE: Final = "application/vnd.api+json"
"""The one media type that the API takes and answers; without parameters."""


class PlannedRequest(NamedTuple):
    """One PATCH as it would be sent, without the token; unpacks into its four parts.

    Attributes
    ----------
    method, path
        ``PATCH`` and the path below the API's base URL.
    headers
        All headers but ``Authorization``.
    body
        The JSON document as bytes.

    Examples
    --------
    >>> request = patch_of("a1", {"duration_seconds": 60})
    >>> request.method, request.path, request.call_id, request.attributes
    ('PATCH', '/api/calls/a1', 'a1', {'duration_seconds': 60})
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def call_id(self) -> str:
        """The call it corrects."""
        call_id: str = json.loads(self.body)["data"]["id"]
        return call_id

    @property
    def attributes(self) -> dict[str, object]:
        """The attributes in the body."""
        attributes: dict[str, object] = json.loads(self.body)["data"]["attributes"]
        return attributes


def patch_of(call_id: str, attributes: Mapping[str, object]) -> PlannedRequest:
    """Return the PATCH that writes some attributes of a call.

    Examples
    --------
    >>> patch_of("a1", {"duration_seconds": 60}).body
    b'{"data":{"id":"a1","type":"Call","attributes":{"duration_seconds":60}}}'
    """
    body = {"data": {"id": call_id, "type": "Call", "attributes": dict(attributes)}}
    return PlannedRequest(
        method="PATCH",
        path=f"{CALLS_PATH}/{quote(call_id, safe='')}",
        headers={"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE},
        body=json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(),
    )
