"""Which explanations are in use: those built in, and those that users add.

Input are functions of the `Evidence`, output is the table as it stands. It is never
changed in place: whoever looks at it while somebody adds to it sees one or the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from sippet_reconcile.errors import InputError
from sippet_reconcile.reconciliation.comparing.compare import COMPARED_FIELDS
from sippet_reconcile.reconciliation.explaining.causes import EXPLANATIONS
from sippet_reconcile.reconciliation.explaining.explanation import UNEXPLAINED, Explanation

__all__ = [
    "current_explanations",
    "explanation",
    "find_explanation",
    "remove_explanation",
    "temporary_explanations",
]

_BUILT_IN: Final = frozenset(known.name for known in EXPLANATIONS)
_TAKEN: Final = (UNEXPLAINED, "agreeing", "no evidence", "within tolerance, not corrected")
"""What the ledger calls rows without an explanation."""
_NUMBER: Final = "{n}"
_table: tuple[Explanation, ...] = EXPLANATIONS

_Test = TypeVar("_Test", bound=Callable[..., Any])


def current_explanations() -> tuple[Explanation, ...]:
    """Return every explanation in use, the most specific first.

    Examples
    --------
    >>> current_explanations()[0].name
    'never-ended'
    """
    return _table


def explanation(
    name: str, *, fields: str | Sequence[str], claim: str, phrase: str, before: str | None = None
) -> Callable[[_Test], _Test]:
    """Add an explanation of one's own; the decorated function is its test.

    From then on every `reconcile` in this process uses it. Decorating again the function of
    the same module and name, as running a notebook's cell twice does, replaces it where it
    stands. Explanations that are built in, or that another function stands behind, are never
    replaced.

    Parameters
    ----------
    name
        What stands in the column ``explanation``. ``{n}`` in it is replaced by the number
        that the function returns.
    fields
        The field or fields of a call that it may explain.
    claim
        What holds where it holds, one sentence that ends in a full stop: the reason a plan gives.
    phrase
        Ends the sentence "3,012 of 30,140 wrong durations …".
    before
        The explanation that it leads over where both hold. Where not given, it stands
        last, and leads where no other holds.

    Returns
    -------
    callable
        A decorator that hands the function back as it is. The function takes the `Evidence`
        of one field and returns one flag per row: a numpy array, a Series or a list; a missing
        flag does not hold. With ``{n}`` in the name it returns whole numbers, 0 where it does
        not hold.

    Raises
    ------
    InputError
        If the name is taken, a field or `before` is unknown, or claim or phrase is no text.
        While reconciling, if the function raises, or returns something of another length or kind.

    Examples
    --------
    Calls that leave through the carrier are billed in begun minutes. Which these are is in a
    column of the export that `read_cdr` was told to keep:

    >>> import numpy as np
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> with sr.temporary_explanations():
    ...
    ...     @sr.explanation(
    ...         "carrier-minutes",
    ...         fields="duration_seconds",
    ...         claim="The call left through the carrier, which bills begun minutes.",
    ...         phrase="are billed in minutes by the carrier",
    ...         before="rounded-up-60s",
    ...     )
    ...     def carrier_minutes(e: sr.Evidence):
    ...         return e.cdr("x_context").eq("default") & (e.call_s == np.ceil(e.basis_s / 60) * 60)
    ...
    ...     cdr = sample_data() / "freeswitch" / "Master.csv"
    ...     legs = sr.read_cdr(cdr, timezone="Europe/London", country="GB", keep=["context"])
    ...     calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    ...     rec = sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"))
    >>> int(rec.discrepancies["explanation"].eq("carrier-minutes").sum())
    19
    """
    checked = _checked_fields(name, fields)
    _check_words(name, claim, phrase)

    def add(test: _Test) -> _Test:
        _put(Explanation(name, checked, claim, phrase, test, added_by=_home(name, test)), before)
        return test

    return add


def remove_explanation(name: str) -> None:
    """Take out an explanation that was added with `explanation`; what is reconciled already stays as it is.

    Parameters
    ----------
    name
        The name that it was added under.

    Raises
    ------
    InputError
        If none that users added has that name.

    Examples
    --------
    >>> remove_explanation("zero")
    Traceback (most recent call last):
        ...
    sippet_reconcile.errors.InputError: the explanation 'zero' is built in and stays
    """
    global _table  # noqa: PLW0603 - the one place that knows what is in use
    if name in _BUILT_IN:
        msg = f"the explanation {name!r} is built in and stays"
        raise InputError(msg)
    if name not in [known.name for known in _table]:
        added = [known.name for known in _table if known.added_by is not None]
        msg = f"no explanation named {name!r} was added; added are: {', '.join(added) or 'none'}"
        raise InputError(msg)
    _table = tuple(known for known in _table if known.name != name)


@contextmanager
def temporary_explanations() -> Iterator[None]:
    """Forget on leaving which explanations were added or taken out within, as a test of one wants.

    Examples
    --------
    >>> with temporary_explanations():
    ...     @explanation("mine", fields="status", claim="It is so.", phrase="are so")
    ...     def mine(e):
    ...         return [True] * len(e)
    >>> find_explanation("mine") is None
    True
    """
    global _table  # noqa: PLW0603 - as above
    kept = _table
    try:
        yield
    finally:
        _table = kept


def find_explanation(name: str) -> Explanation | None:
    """Return the entry behind a name as it stands in a frame, numbers included; None where there is none.

    Examples
    --------
    >>> find_explanation("off-by-7200s").phrase, find_explanation("unexplained")
    ('are off by whole hours', None)
    """
    return next((known for known in _table if _is_called(known, name)), None)


def _is_called(known: Explanation, name: str) -> bool:
    head, number, tail = known.name.partition(_NUMBER)
    if known.name == name or not number:
        return known.name == name
    middle = name.removeprefix(head).removesuffix(tail)
    return middle.isdecimal() and name == f"{head}{middle}{tail}"


def _checked_fields(name: str, fields: str | Sequence[str]) -> tuple[str, ...]:
    given = (fields,) if isinstance(fields, str) else tuple(fields)
    unknown = [field for field in given if field not in COMPARED_FIELDS]
    if unknown or not given:
        said = f"names the fields {', '.join(map(repr, unknown))}" if unknown else "names no field"
        msg = f"the explanation {name!r} {said}; allowed are: {', '.join(COMPARED_FIELDS)}"
        raise InputError(msg)
    return tuple(dict.fromkeys(given))


def _check_words(name: object, claim: object, phrase: object) -> None:
    if not isinstance(name, str) or not name.strip() or name != name.strip() or ";" in name:
        msg = f"an explanation is named {name!r}; allowed is a text without ';' and without blanks around it"
        raise InputError(msg)
    if not isinstance(claim, str) or not claim.strip().endswith("."):
        msg = (
            f"the claim of the explanation {name!r} is {claim!r}; write one sentence that ends in a full stop"
        )
        raise InputError(msg)
    if not isinstance(phrase, str) or not phrase.strip():
        msg = f"the phrase of the explanation {name!r} is {phrase!r}; write how '12 of 90 wrong durations' goes on"
        raise InputError(msg)


def _home(name: str, test: object) -> str:
    if not callable(test):
        msg = f"the explanation {name!r} stands above {test!r}; put it above a function of the evidence"
        raise InputError(msg)
    return f"{getattr(test, '__module__', '?')}.{getattr(test, '__qualname__', type(test).__qualname__)}"


def _put(new: Explanation, before: str | None) -> None:
    """Put an explanation into the table, in the place of the one that the same function made before."""
    global _table  # noqa: PLW0603 - as above
    old = next((k for k in _table if k.name == new.name), None)
    taken = old if old is not None else find_explanation(new.name.replace(_NUMBER, "3600"))
    if new.name in _TAKEN or (taken is not None and taken.added_by != new.added_by):
        whose = f" by {taken.added_by}" if taken is not None and taken.added_by else ""
        msg = f"an explanation named {new.name!r} exists already{whose}; choose another name"
        raise InputError(msg)
    if before is None:
        _table = (*_table, new) if old is None else tuple(new if known is old else known for known in _table)
        return
    others = [known for known in _table if known is not old]
    names = [known.name for known in others]
    if before not in names:
        msg = f"no explanation is named {before!r}; there are: {', '.join(names)}"
        raise InputError(msg)
    others.insert(names.index(before), new)
    _table = tuple(others)
