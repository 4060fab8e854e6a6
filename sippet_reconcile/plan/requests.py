"""Write the PATCH of each call exactly as it would be sent, without the token.

Input are changes, or a call id and its new values; output are frozen requests that
anybody may print, compare or store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd

from sippet_reconcile.api.urls import CALLS_PATH
from sippet_reconcile.values import parse_value

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MEDIA_TYPE", "PlannedRequest", "patch_of", "requests_of"]

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


def requests_of(changes: pd.DataFrame) -> Iterator[PlannedRequest]:
    """Yield one PATCH per call with all its fields, in the order of the first change of each.

    Examples
    --------
    >>> rows = [("a1", "status", "completed"), ("b2", "duration_seconds", "9"), ("a1", "duration_seconds", "60")]
    >>> changes = pd.DataFrame(rows, columns=["call_id", "field", "after"], dtype="str")
    >>> [(request.call_id, request.attributes) for request in requests_of(changes)]
    [('a1', {'status': 'completed', 'duration_seconds': 60}), ('b2', {'duration_seconds': 9})]
    """
    together = changes.iloc[np.argsort(pd.factorize(changes["call_id"])[0], kind="stable")]
    rows = zip(together["call_id"], together["field"], together["after"], strict=True)
    for call_id, own in groupby(rows, key=itemgetter(0)):
        yield patch_of(call_id, {name: parse_value(name, after) for _, name, after in own})
