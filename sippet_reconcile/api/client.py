"""Talk to one Call API: read calls, describe and check it, and send single corrections.

The client turns what people mean into requests that the API reads as meant, and what
the API answers into frames or errors that say what to do. Reads are tried again where
that is known to help. A PATCH is sent once: whoever sends many goes through a plan and
its audit log.
"""

from __future__ import annotations

import copy
import time
from datetime import UTC, datetime
from random import random as _random
from typing import TYPE_CHECKING, Any, Final, Self

from sippet_reconcile.api.attributes import valid_attributes
from sippet_reconcile.api.check import CheckResult, check_client, require_visible, sees_calls
from sippet_reconcile.api.correction import call_as_answered, given_attributes
from sippet_reconcile.api.credentials import secret_or_problem
from sippet_reconcile.api.description import ApiDescription, description_of, read_description
from sippet_reconcile.api.documents import calls_frame, patch_body, read_page, read_resource, with_source
from sippet_reconcile.api.exchange import Exchange, ExchangeKind, judge
from sippet_reconcile.api.fetch import Fetch, one_row_per_id
from sippet_reconcile.api.queries import (
    MAX_IDS,
    chunk_ids,
    filter_pairs,
    ids_of_one_read,
    target_of,
    valid_id,
    valid_ids,
)
from sippet_reconcile.api.reading import Answer, read_ids, read_window, reader_of
from sippet_reconcile.api.repeating import Repeating
from sippet_reconcile.api.urls import CALLS_PATH, base_url_of, given_url
from sippet_reconcile.api.windows import MARGIN_S, Window, WindowQueue, as_period
from sippet_reconcile.api.wire import Timeouts, Transport, Wire
from sippet_reconcile.errors import InputError
from sippet_reconcile.progress import Progress, reporting
from sippet_reconcile.schema import Calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow as pa

    from sippet_reconcile.period import Period

__all__ = ["Client"]

_OPEN_API: Final = "/api/open_api"


class Client:
    """A client of one Call API; a context manager, though closing is optional.

    Parameters
    ----------
    base_url
        Such as ``https://api.example.com``; read from ``SIPPET_API_URL`` where absent.
        Plain http is refused but for this machine.
    token, api_key
        Sent as ``Authorization: Bearer`` or as ``x-api-key``; read from
        ``SIPPET_API_TOKEN`` or ``SIPPET_API_KEY`` where both are absent. Without any,
        requests carry none. It is shown in no message, repr or log.
    timeout
        Seconds to wait for the next bytes of an answer (a large window may take 60 s).
    transport
        An httpx transport, to go through a proxy or to answer in tests. Proxies are not
        taken from the environment; whoever hands a transport in closes it.
    sleep, clock, now, random
        How time passes and chance falls, for tests.

    Examples
    --------
    >>> client = Client("https://api.example.com", token="only-an-example")
    >>> client.close()
    >>> client
    <Client https://api.example.com>

    On a sandbox, which is an API of this machine:

    >>> from sippet_reconcile.demo import sample_data
    >>> from sippet_reconcile.sandbox import Sandbox
    >>> with Sandbox(sample_data() / "api" / "calls.json") as api, Client(api.url, token=api.token) as client:
    ...     client.check().ok, client.describe().patchable
    ...     monday = client.fetch_calls("2026-10-05", "2026-10-06", timezone="Europe/London", progress=False)
    ...     call_id = monday.query("duration_seconds > 600")["id"].iloc[0]
    ...     answered = client.patch_call(call_id, {"duration_seconds": 600})
    ...     client.get_calls([call_id])["duration_seconds"].tolist()
    (True, ('call_source', 'duration_seconds', 'ended_at', 'status'))
    [600]
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        token: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        transport: Transport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Callable[[], float] = _random,
    ) -> None:
        secret, problem = secret_or_problem(token, api_key)
        del token, api_key  # a traceback that shows local variables shows them to nobody
        if problem is not None:
            raise InputError(problem)
        self.base_url: str = base_url_of(given_url(base_url))
        self._wire = Wire(self.base_url, secret, timeouts=Timeouts.of(timeout), transport=transport)
        self._sleep, self._clock, self._now, self._random = sleep, clock, now, random
        self._repeating = Repeating(sleep, random)
        self._gate: Callable[[], object] | None = None
        self._leaving: Callable[[], object] | None = None
        self._on_exchange: Callable[[Exchange], None] | None = None
        self._is_view = False

    def __repr__(self) -> str:
        # A traceback may show a client that was refused while it was made.
        return f"<Client {getattr(self, 'base_url', 'without an address')}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a paced view leaves them to the client it views."""
        if not self._is_view:
            self._wire.close()

    def paced(
        self, gate: Callable[[], object], on_exchange: Callable[[Exchange], None] | None = None
    ) -> Client:
        """Return a view on the same connections whose every attempt passes a gate.

        Parameters
        ----------
        gate
            Called, and waited for, before every attempt: reads, retries and PATCHes alike.
        on_exchange
            Called with what came of every attempt, in the thread that made it.
        """
        view = copy.copy(self)
        view.__dict__.update(_gate=gate, _on_exchange=on_exchange, _is_view=True)
        return view

    def told_of_leaving(self, leaving: Callable[[], object]) -> Client:
        """Return a view on the same connections that calls a function as each request leaves, in its thread.

        Nothing but the network lies between the request and the API then.
        """
        view = copy.copy(self)
        view.__dict__.update(_leaving=leaving, _is_view=True)
        return view

    # One attempt

    def _attempt(
        self,
        method: str,
        target: str,
        *,
        parse: Callable[[bytes], Any],
        body: bytes | None = None,
        finish: Callable[[Exchange], Exchange] | None = None,
        may_leave: Callable[[], bool] | None = None,
    ) -> Exchange:
        if self._gate is not None:
            self._gate()
        asked_at = self._now()
        reply = self._wire.send(method, target, body, leaving=self._leaving, may_leave=may_leave)
        exchange = judge(
            reply, method, target.partition("?")[0], parse=parse, now=asked_at, scrub=self._wire.scrub
        )
        if finish is not None and exchange.kind is ExchangeKind.OK:
            exchange = finish(exchange)
        if self._on_exchange is not None:
            self._on_exchange(exchange)
        return exchange

    def _get(self, target: str) -> Exchange:
        return self._attempt("GET", target, parse=read_page)

    def _with_calls(self, exchange: Exchange) -> Exchange:
        return exchange.with_calls(
            lambda: calls_frame([with_source(exchange.content.rows, self.base_url, exchange.asked_at)])
        )

    def attempt_patch(
        self,
        call_id: str,
        attributes: Mapping[str, object],
        *,
        may_leave: Callable[[], bool] | None = None,
    ) -> Exchange:
        """Send exactly one PATCH and say what came of it, whatever the network or the server does.

        The row of a usable answer is handed out as it was answered: whether it is the
        call and holds the values that were sent is for the caller to check.

        Parameters
        ----------
        call_id, attributes
            The call, and what to send.
        may_leave
            Asked once the connection stands, ahead of the first byte; where it says False
            nothing is sent, and the exchange is ``NOT_SENT``.

        Raises
        ------
        InputError
            Before anything is sent, where the id or an attribute may not be sent.
        """
        call_id = valid_id(call_id)
        body = patch_body(call_id, valid_attributes(attributes))
        return self._attempt(
            "PATCH",
            f"{CALLS_PATH}/{call_id}",
            body=body,
            parse=read_resource,
            finish=self._with_calls,
            may_leave=may_leave,
        )

    def attempt_read(self, ids: Sequence[str]) -> Exchange:
        """Send exactly one GET for up to 50 ids and say what came of it.

        An answer that holds other calls, a call twice, or only a first page is
        ``MALFORMED``: from such an answer nobody may conclude that a call is missing.

        Raises
        ------
        InputError
            Before anything is sent, where there are no ids, too many, or one is no UUID.
        """
        wanted = ids_of_one_read(ids)
        target = target_of(CALLS_PATH, filter_pairs({"id": wanted}))
        return self._attempt("GET", target, parse=reader_of(wanted), finish=self._with_calls)

    # Reading

    def fetch_calls(
        self,
        period_or_start: Period | str | datetime,
        end: str | datetime | None = None,
        *,
        timezone: str = "UTC",
        filters: Mapping[str, Any] | None = None,
        unstarted: bool = True,
        progress: Progress = None,
    ) -> Calls:
        """Read the calls of a period, an hour on either side of it, and those that never started.

        Parameters
        ----------
        period_or_start, end
            A `Period`, a month ``"2026-10"``, or a start and an end (aware instants, or
            dates and times that are local in `timezone`).
        timezone
            IANA name, for what is local.
        filters
            Attribute to a value, a list of values, None (has no value), or operators such
            as ``{"gte": ...}``; checked before anything is sent.
        unstarted
            Also read the calls without ``started_at``, which are in no period.
        progress
            See `sippet_reconcile.progress`.

        Returns
        -------
        Calls
            One row per call, by ``started_at`` and ``id``. ``fetched_at`` is the instant
            before the row was asked for; a call that was read twice holds the later read.

        Raises
        ------
        InputError
            Where the period or a filter is not one.
        RejectedError
            Where the API refuses the token (401, 403) or the request.
        TransientApiError
            Where it does not answer, after a few attempts.
        UnexpectedResponseError
            Where an answer cannot be believed: rows outside of what was asked for, fewer
            rows than there are, or no call at all visible to this token.
        """
        span = as_period(period_or_start, end, timezone=timezone).widened(MARGIN_S)
        filter_pairs(filters)

        def read(window: Window) -> Answer:
            return read_window(self._get, window, base_url=self.base_url, filters=filters)

        fetch = Fetch(
            read,
            WindowQueue(span.start, span.end, unstarted=unstarted),
            sleep=self._sleep,
            clock=self._clock,
            random=self._random,
        )
        with reporting(progress, unit="h") as report:
            calls = fetch.run(report)
        if calls.empty:
            require_visible(self._sees_calls, f"no call was found for {span.label}")
        return calls

    def get_calls(self, ids: Iterable[str]) -> Calls:
        """Read calls by their ids, about 50 at a time.

        Parameters
        ----------
        ids
            Values of the column ``id``; repeated ones are read once.

        Returns
        -------
        Calls
            One row per call that was found, by ``started_at`` and ``id``; an id that the
            API does not show is simply absent.

        Raises
        ------
        InputError
            Where an id is no UUID.
        UnexpectedResponseError
            Where none of the ids was found and no other call is visible either.
        """
        wanted = valid_ids(ids)
        tables: list[pa.Table] = []
        for chunk in chunk_ids(wanted, MAX_IDS):
            tables += read_ids(
                lambda ids: self._repeating.until_ok(lambda: self.attempt_read(ids)), chunk, self.base_url
            )
        calls = one_row_per_id(calls_frame(tables))
        if wanted and calls.empty:
            require_visible(self._sees_calls, f"none of {len(wanted):,} calls was found")
        return calls

    def _sees_calls(self) -> bool:
        """Tell whether any call at all is visible."""
        return sees_calls(
            lambda target: self._repeating.until_ok(lambda: self._get(target)), self.base_url, self._now()
        )

    # Writing

    def patch_call(self, call_id: str, attributes: Mapping[str, object]) -> dict[str, object]:
        """Correct one call, once, and check the answer. Runs use a plan and its audit log instead.

        Parameters
        ----------
        call_id
            The call's ``id``.
        attributes
            Any of ``status``, ``duration_seconds``, ``ended_at`` and ``call_source``, each with a value.

        Returns
        -------
        dict
            The call as answered: ``id`` and its attributes, texts in API form.

        Raises
        ------
        InputError
            Before anything is sent, where the id or an attribute may not be sent.
        RejectedError
            Where the API refuses it.
        TransientApiError
            Where it did not answer; ``may_have_been_applied`` says whether the call must
            be read before anything is said about it.
        UnexpectedResponseError
            Where the answer is another call, or a value reads differently than it was sent.
        """
        call_id, sent = valid_id(call_id), given_attributes(attributes)
        return call_as_answered(self.attempt_patch(call_id, sent), call_id, sent)

    # What the server says of itself

    def _describe_once(self) -> Exchange:
        return self._attempt("GET", _OPEN_API, parse=read_description)

    def describe(self) -> ApiDescription:
        """Read the status words and patchable attributes from the server's OpenAPI document.

        Where the server has none, or it does not speak of calls, the result says so
        (``available`` is False) instead of guessing.

        Raises
        ------
        TransientApiError
            Where the server does not answer, after a few attempts.
        """
        exchange, reason = self._repeating.last(self._describe_once)
        return description_of(exchange, gave_up=reason)

    def check(self) -> CheckResult:
        """Find out whether calls can be read, and how far the clocks are apart. Nothing is changed.

        Returns
        -------
        CheckResult
            With ``ok`` and, where it is False, ``problems``: this never raises for what
            the network or the server does.
        """
        return check_client(self._describe_once, self._sees_calls, self.base_url)
