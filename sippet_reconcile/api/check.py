"""Whether the API can be read with this URL and token: what tells "no calls" from "sees none".

Input is the functions that ask; output is a `CheckResult`, or just whether any call at
all is visible. Looking for one goes back from now in growing, disjoint windows, so that
a busy account answers a small one and only an empty one is asked for everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from sippet_reconcile._display import card, html_text, mask_text, show_value
from sippet_reconcile.api.description import ApiDescription
from sippet_reconcile.api.exchange import Exchange, ExchangeKind
from sippet_reconcile.api.reading import read_window
from sippet_reconcile.api.windows import Window
from sippet_reconcile.errors import ApiError, RejectedError, UnexpectedResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CheckResult", "check_client", "probe_windows", "require_visible", "sees_calls"]

_REFUSED: Final = frozenset({401, 403})
_CLOCK_S: Final = 5.0
_BACK: Final = tuple(timedelta(hours=hours) for hours in (1, 6, 24, 24 * 7, 24 * 31, 24 * 92, 24 * 366))


def probe_windows(now: datetime) -> list[Window]:
    """Return the windows to look into, one after the other, until one holds a call.

    Examples
    --------
    >>> from datetime import UTC
    >>> [str(window) for window in probe_windows(datetime(2026, 10, 1, tzinfo=UTC))][:2]
    ['2026-09-30 23:00:00 to 2026-10-02 00:00:00 UTC', '2026-09-30 18:00:00 to 2026-09-30 23:00:00 UTC']
    """
    now = now.replace(microsecond=0)
    edges = [now + timedelta(days=1), *(now - back for back in _BACK)]
    recent = [Window(start, end) for end, start in pairwise(edges)]
    return [*recent, Window(None, None), Window(None, edges[-1]), Window(edges[0], None)]


def sees_calls(ask: Callable[[str], Exchange], base_url: str, now: datetime) -> bool:
    """Tell whether any call at all is visible.

    Parameters
    ----------
    ask
        Makes one GET for a target, and raises where it gets no usable answer.
    base_url
        The API.
    now
        Where looking back begins.
    """
    return any(read_window(ask, window, base_url=base_url).n_rows for window in probe_windows(now))


def require_visible(sees_any_call: Callable[[], bool], found: str) -> None:
    """Refuse to take an empty answer for the truth where this token sees no call at all.

    Parameters
    ----------
    sees_any_call
        As `sees_calls`; asked once.
    found
        What the empty answer seems to say, for the message.

    Raises
    ------
    UnexpectedResponseError
        Where no call is visible, so that the answer proves nothing.
    """
    if sees_any_call():
        return
    msg = (
        f"{found}, and no call at all is visible with this token, so that proves nothing: an expired token, or "
        "one of another organisation, looks like this. Check the token and the environment with Client.check(); "
        "if the account is really new, wait for its first call"
    )
    raise UnexpectedResponseError(msg)


@dataclass(frozen=True)
class CheckResult:
    """Whether calls can be read, with this URL and token, and how far the clocks are apart.

    Whether calls may be *written* is not checked: nothing is ever sent to find out.

    Attributes
    ----------
    url
        The API that was asked.
    reachable
        Whether anything answered.
    authenticated, sees_calls
        Whether the token was taken, and whether it shows any call; None where that could not be told.
    clock_difference_s
        The server's clock minus this machine's, in seconds; None where it said no time.
    statuses, patchable
        As the server describes itself; see `ApiDescription`.
    problems
        What is amiss, a sentence each, with what to do.

    Examples
    --------
    >>> from sippet_reconcile import Client
    >>> from sippet_reconcile.sandbox import Sandbox
    >>> with Sandbox() as api, Client(api.url, token="not-its-token") as client:
    ...     found = client.check()
    >>> found.ok, found.summary()["reachable"], found.summary()["authenticated"]
    (False, True, False)
    """

    url: str
    reachable: bool
    authenticated: bool | None
    """None where nothing was heard that would tell."""
    sees_calls: bool | None
    """Whether at least one call is visible; None where that could not be asked."""
    clock_difference_s: float | None
    """The server's clock minus this machine's, to about a second."""
    statuses: tuple[str, ...] = ()
    patchable: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether calls can be read and nothing is amiss."""
        return self.reachable and self.authenticated is True and self.sees_calls is True and not self.problems

    def summary(self) -> dict[str, object]:
        """Return plain values, as every view shows them."""
        return {
            "url": self.url,
            "reachable": self.reachable,
            "authenticated": self.authenticated,
            "sees_calls": self.sees_calls,
            "clock_difference_s": self.clock_difference_s,
            "statuses": ", ".join(self.statuses) or None,
            "patchable": ", ".join(self.patchable) or None,
            "problems": "; ".join(self.problems) or None,
        }

    def __repr__(self) -> str:
        told = ", ".join(
            f"{name} {mask_text(show_value(value))}"
            for name, value in self.summary().items()
            if value is not None
        )
        return f"<CheckResult {'ok' if self.ok else 'NOT ok'}: {told}>"

    def _repr_html_(self) -> str:
        values = {
            name: mask_text(value) if isinstance(value, str) else value
            for name, value in self.summary().items()
            if name not in {"url", "problems"}
        }
        problems = "".join(html_text(mask_text(problem)) for problem in self.problems)
        title = "The API can be read" if self.ok else "The API cannot be used yet"
        return card(title, values, problems, subtitle=self.url, tone="ok" if self.ok else "stop")


def _clock_problem(difference_s: float | None) -> str | None:
    """Return a sentence where the clocks are too far apart to judge open calls by."""
    if difference_s is None or abs(difference_s) <= _CLOCK_S:
        return None
    return f"the server's clock is {difference_s:+.0f} s from this machine's; set this machine's clock"


def _clock_difference(exchange: Exchange) -> float | None:
    """Return the server's clock minus ours in seconds, from the Date of an answer."""
    if exchange.server_date is None or exchange.asked_at is None:
        return None
    # A Date is cut to whole seconds, half a second on average, and written about half-way through the exchange.
    halfway = exchange.asked_at + timedelta(milliseconds=exchange.latency_ms / 2)
    return round((exchange.server_date - halfway).total_seconds() + 0.5, 1)


def check_client(
    describe_once: Callable[[], Exchange], sees_any_call: Callable[[], bool], base_url: str
) -> CheckResult:
    """Ask for the OpenAPI document and for any call, and say what that shows.

    Parameters
    ----------
    describe_once
        Makes one attempt at the OpenAPI document; never raises.
    sees_any_call
        As `sees_calls`; what it raises becomes a problem of the result.
    base_url
        The API.
    """
    exchange = describe_once()
    clock_s = _clock_difference(exchange)
    is_described = exchange.kind is ExchangeKind.OK
    description: ApiDescription = exchange.content if is_described else ApiDescription(available=False)
    # Any answer shows that the server is there, whatever it thinks of that document.
    reachable = exchange.status is not None
    authenticated: bool | None = None
    sees: bool | None = None
    problems: list[str] = []
    try:
        sees = sees_any_call()
    except ApiError as exc:
        problems.append(str(exc))
        reachable = reachable or exc.status is not None
        if isinstance(exc, RejectedError) and exc.status in _REFUSED:
            authenticated = False
    else:
        reachable, authenticated = True, True if sees else None
        if not sees:
            problems.append(
                "no call at all is visible: the token may have expired or belong to another organisation, "
                "or there is no call yet"
            )
    clock_text = _clock_problem(clock_s)
    return CheckResult(
        url=base_url,
        reachable=reachable,
        authenticated=authenticated,
        sees_calls=sees,
        clock_difference_s=clock_s,
        statuses=description.statuses,
        patchable=description.patchable,
        problems=(*problems, clock_text) if clock_text else tuple(problems),
    )
