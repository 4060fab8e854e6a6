"""The Call records of the month, read once and kept.

Input is the API, or a file, output the calls and when they were read. A snapshot is
kept as long as it was taken after the month had settled.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from sippet_reconcile.api import Client, read_calls, write_calls
from sippet_reconcile.api.urls import base_url_of
from sippet_reconcile.errors import InputError
from sippet_reconcile.month.folder import CALLS
from sippet_reconcile.month.places import FileFacts, filled
from sippet_reconcile.month.work import Work
from sippet_reconcile.schema import Calls
from sippet_reconcile.values import parse_instant

__all__ = ["Snapshot", "take_snapshot"]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The calls of a month, when they were read, and the hash of the file that holds them."""

    calls: Calls
    fetched_at: datetime | None
    url: str
    sha256: str


def take_snapshot(work: Work, client: Client | None, *, fetch_again: bool) -> Snapshot:
    """Return the calls: those that are there where nothing speaks against it, else read anew.

    Raises
    ------
    InputError
        If nothing says which API they are of, or the file cannot be read.
    ApiError
        If the API does not answer.
    """
    api = work.config.api
    if work.inputs.calls is not None:
        return _from_file(work, work.inputs.calls)
    url = _url(work, client)
    key = work.key_of(url=url, filters=api.filters, period=work.period.to_dict(), version=None)
    is_kept = not fetch_again and work.is_unchanged(CALLS, key) and _is_settled(work, _noted_at(work))
    if is_kept:
        calls, at = read_calls(work.folder / CALLS), _noted_at(work)
    else:
        calls, at = _fetched(work, client, url)
        write_calls(calls, work.folder / CALLS)
    work.settle(CALLS, key, is_kept=is_kept)
    work.fetched_at = at
    if not _is_settled(work, at):
        work.note(
            f"The calls were read before the month had settled ({_settled_at(work):%Y-%m-%d %H:%M} UTC): run the month "
            "again after that, and they are read again."
        )
    return Snapshot(calls, at, url, work.files[CALLS]["sha256"])


def _url(work: Work, client: Client | None) -> str:
    configured = work.config.api.url
    if client is not None:
        if configured is not None and configured != client.base_url:
            msg = f"the client is of {client.base_url}, and [api] url is {configured}: use one of them"
            raise InputError(msg)
        return client.base_url
    url = configured or os.environ.get("SIPPET_API_URL")
    if not url:
        msg = "nothing says where the Call records are: write url under [api], or set SIPPET_API_URL"
        raise InputError(msg)
    return base_url_of(url)


def _fetched(work: Work, client: Client | None, url: str) -> tuple[Calls, datetime]:
    before = datetime.now(UTC)
    with Client(url) if client is None else nullcontext(client) as reader:
        calls = reader.fetch_calls(
            work.period,
            timezone=work.config.timezone,
            filters=work.config.api.filters or None,
            progress=work.progress,
        )
    return calls, _earliest(calls) or before


def _from_file(work: Work, file: FileFacts) -> Snapshot:
    api = work.config.api
    environment = os.environ.get("SIPPET_API_URL")
    at = None if api.fetched_at is None else filled(api.fetched_at, work.month)
    key = work.key_of(file=file.sha256, url=api.url, environment=environment, fetched_at=at)
    is_kept = work.is_unchanged(CALLS, key)
    if is_kept:
        calls = read_calls(work.folder / CALLS)
    else:
        calls = read_calls(file.path, api.url, at)
        if calls["api_url"].isna().all() and environment and api.url is None:
            calls = read_calls(file.path, environment, at)
        file.require_unchanged()
    if len(calls) and calls["api_url"].isna().any():
        msg = f"{file.path} does not say of which API its calls are: write url under [api], or set SIPPET_API_URL"
        raise InputError(msg)
    if not is_kept:
        write_calls(calls, work.folder / CALLS)
    work.settle(CALLS, key, is_kept=is_kept)
    work.fetched_at = _earliest(calls) or (None if at is None else parse_instant(at))
    url = str(calls["api_url"].iloc[0]) if len(calls) else api.url or environment or ""
    return Snapshot(calls, work.fetched_at, url, work.files[CALLS]["sha256"])


def _earliest(calls: pd.DataFrame) -> datetime | None:
    earliest: Any = calls["fetched_at"].min()
    return None if pd.isna(earliest) else earliest.to_pydatetime(warn=False)


def _noted_at(work: Work) -> datetime | None:
    """Return when the kept calls were read, as the run that read them wrote down."""
    noted = work.before.get("fetched_at")
    try:
        return None if noted is None else datetime.fromisoformat(noted)
    except (TypeError, ValueError):
        return None


def _settled_at(work: Work) -> datetime:
    return work.period.end + timedelta(seconds=work.config.rules.settle_s)


def _is_settled(work: Work, at: datetime | None) -> bool:
    return at is not None and at >= _settled_at(work)
