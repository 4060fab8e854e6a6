"""Refuse plans from data that is wrong as a whole, and plans that touch too much.

Input are the findings, what was accepted, and counts; output is nothing, or an error
that says the figures and what to pass to go on.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Final, Protocol

from sippet_reconcile._display import plural
from sippet_reconcile.api.urls import base_url_of
from sippet_reconcile.errors import InputError, PlanGuardError
from sippet_reconcile.reconciliation.findings import CODES
from sippet_reconcile.schema import PATCHABLE

__all__ = [
    "SMALL",
    "FindingLike",
    "checked_accept",
    "checked_fields",
    "checked_url",
    "checked_words",
    "guard_findings",
    "guard_size",
]

SMALL: Final = 50
"""A plan of so many calls is never too large a share."""


class FindingLike(Protocol):
    """What a guard reads of a finding."""

    @property
    def code(self) -> str:
        """The word that accepts it."""

    @property
    def severity(self) -> str:
        """``info``, ``warn`` or ``stop``."""

    @property
    def message(self) -> str:
        """One plain sentence."""

    @property
    def advice(self) -> str:
        """What to do next."""


def checked_accept(accept: str | Iterable[str]) -> tuple[str, ...]:
    """Return the accepted codes, each once.

    Raises
    ------
    InputError
        If one of them is no code of a finding.
    """
    codes = (accept,) if isinstance(accept, str) else tuple(dict.fromkeys(accept))
    unknown = [code for code in codes if code not in CODES]
    if unknown:
        msg = f"accept= names {', '.join(map(repr, unknown))}; the codes are: {', '.join(CODES)}"
        raise InputError(msg)
    return codes


def checked_fields(fields: str | Iterable[str], *, said: str = "fields=") -> tuple[str, ...]:
    """Return the attributes to correct, each once, in the order of `PATCHABLE`; `said` begins what is wrong with them.

    Raises
    ------
    InputError
        If one of them cannot be corrected, or there is none.
    """
    names = (fields,) if isinstance(fields, str) else tuple(dict.fromkeys(fields))
    unknown = [name for name in names if name not in PATCHABLE]
    if unknown or not names:
        what = f"{said} names {', '.join(map(repr, unknown))}" if unknown else f"{said} is empty"
        msg = f"{what}; only these can be corrected: {', '.join(PATCHABLE)}"
        raise InputError(msg)
    return tuple(name for name in PATCHABLE if name in names)


def guard_findings(findings: Iterable[FindingLike], accept: Collection[str]) -> None:
    """Refuse while a finding says stop that nobody accepted.

    Raises
    ------
    PlanGuardError
        Naming each such finding, its message and advice, and how to accept it.
    """
    stops = [f for f in findings if f.severity == "stop" and f.code not in accept]
    if not stops:
        return
    codes = list(dict.fromkeys(f.code for f in stops))
    said = "\n".join(f"- {f.code}: {f.message}" + (f" {f.advice}" if f.advice else "") for f in stops)
    wanted = ", ".join(f'"{code}"' for code in dict.fromkeys([*accept, *codes]))
    msg = (
        f"no plan is made from data that {plural(len(stops), 'finding says', 'findings say')} to stop at:\n{said}\n"
        f"Fix the cause; or, if you are sure, pass accept=[{wanted}]"
    )
    raise PlanGuardError(msg)


def guard_size(n_calls: int, *, n_compared: int, max_calls: int | None, max_share: float | None) -> None:
    """Refuse a plan that touches more calls than expected.

    Raises
    ------
    InputError
        If a guard is not a number that makes sense.
    PlanGuardError
        With the figures, and what to pass to allow them.
    """
    _check_limits(max_calls, max_share)
    if max_calls is not None and n_calls > max_calls:
        msg = (
            f"the plan would touch {plural(n_calls, 'call')}, more than max_calls={max_calls} allows; "
            f"narrow it with where=…, or pass max_calls={n_calls}"
        )
        raise PlanGuardError(msg)
    if max_share is None or n_calls <= SMALL or n_calls <= max_share * n_compared:
        return
    share = n_calls / n_compared if n_compared else math.inf
    shown = f"{share:.1%}" if n_compared else "all"
    enough = math.ceil(min(share, 1) * 1000) / 1000
    msg = (
        f"the plan would touch {n_calls:,} of {plural(n_compared, 'compared call')} ({shown}), more than "
        f"max_share={max_share:g} allows; so much is seldom wrong one by one: look at the causes in "
        f"rec.rollup() first, then narrow the plan with where=…, or pass max_share={enough:g}"
    )
    raise PlanGuardError(msg)


def _check_limits(max_calls: int | None, max_share: float | None) -> None:
    if max_calls is not None and (
        isinstance(max_calls, bool) or not isinstance(max_calls, int) or max_calls < 0
    ):
        msg = f"max_calls is {max_calls!r}; allowed is a whole number, 0 or more, or None"
        raise InputError(msg)
    if max_share is not None and (
        isinstance(max_share, bool) or not isinstance(max_share, int | float) or not 0 <= max_share <= 1
    ):
        msg = f"max_share is {max_share!r}; allowed is a number from 0 to 1, or None"
        raise InputError(msg)


def checked_words(name: str, words: str | Sequence[str]) -> tuple[str, ...]:
    """Return words given as one text or several, each once.

    Raises
    ------
    InputError
        If one of them is not a text, or empty.
    """
    several = (words,) if isinstance(words, str) else tuple(dict.fromkeys(words))
    wrong = [word for word in several if not isinstance(word, str) or not word.strip()]
    if wrong:
        msg = f"{name}= holds {wrong[0]!r}; allowed are texts that are not empty"
        raise InputError(msg)
    return several


def checked_url(of_calls: str | None, given: str | None) -> str | None:
    """Return the API that a plan is for.

    Raises
    ------
    InputError
        If the calls came from another one.
    """
    if given is None:
        return of_calls
    url = base_url_of(given)
    if of_calls is not None and base_url_of(of_calls) != url:
        msg = f"the calls were fetched from {of_calls}, so they cannot be corrected at api_url={url}; leave api_url= out"
        raise InputError(msg)
    return url
