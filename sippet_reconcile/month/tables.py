"""Read the tables of a configuration: every wrong name and value is told, not the first one alone.

Input are the plain values of a TOML file, output are checked values; problems are
collected in one list, which whoever asked raises at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from sippet_reconcile.errors import InputError

__all__ = ["Table", "secrets_in"]

_SECRET: Final = re.compile(
    r"key|.*(token|apikey|secret|password|passwd|passphrase|credentials?)|authorization|bearer"
)
_SECRET_VALUE: Final = re.compile(r"\s*(bearer|basic)\s+\S", re.IGNORECASE)
_SAME: Final = str.maketrans("", "", "-_ .")
_OTHER_WORDS: Final = frozenset({"columns", "status_map"})  # tables of other people's words


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


_KINDS: Final[Mapping[str, tuple[str, Callable[[object], bool]]]] = {
    "text": ("a text that is not empty", _is_text),
    "texts": (
        "a list of texts that are not empty",
        lambda value: isinstance(value, list) and all(map(_is_text, value)),
    ),
    "text or texts": (
        "a text, or a list of texts that are not empty",
        lambda value: (
            _is_text(value) or (isinstance(value, list) and bool(value) and all(map(_is_text, value)))
        ),
    ),
    "words": (
        "a table of texts",
        lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
    ),
    "table": ("a table", lambda value: isinstance(value, dict)),
    "flag": ("true or false", lambda value: isinstance(value, bool)),
    "number": (
        "a number",
        lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    ),
}


class Table:
    """One table of a configuration, whose values are taken out by name.

    Examples
    --------
    >>> problems = []
    >>> table = Table({"rat": "5/s", "mask": "yes"}, "[report]", problems)
    >>> table.take("rate", "text", "5/s"), table.take("mask", "flag", True)
    ('5/s', True)
    >>> table.close()
    >>> problems
    ["[report] mask is 'yes'; allowed is true or false", "[report] has no key 'rat' (did you mean 'rate'?); its keys are: rate, mask"]
    """

    def __init__(self, values: Mapping[str, Any], where: str, problems: list[str]) -> None:
        self._values, self._where, self._problems = values, where, problems
        self._known: list[str] = []

    def take(
        self,
        name: str,
        kind: str,
        default: Any = None,
        *,
        check: Callable[[Any], Any] | None = None,
        needed: str | None = None,
    ) -> Any:
        """Return a value as it was checked; the default where it is absent or wrong.

        Parameters
        ----------
        name
            Its key.
        kind
            What it must be.
        default
            What stands where it is not given.
        check
            Returns the value as it is used, or raises `InputError`.
        needed
            What to write where it is absent; None where it may be.
        """
        self._known.append(name)
        if name not in self._values:
            if needed is not None:
                self._problems.append(f"{self._place(name)} is missing; write {needed}")
            return default
        value = self._values[name]
        words, is_kind = _KINDS[kind]
        if not is_kind(value):
            shown = repr(value) if isinstance(value, str | int | float) else f"a {_toml_kind(value)}"
            self._problems.append(f"{self._place(name)} is {shown}; allowed is {words}")
            return default
        if check is None:
            return value
        try:
            return check(value)
        except InputError as exc:
            self._problems.append(f"{self._place(name)}: {exc}")
            return default

    def raw(self, name: str) -> Any:
        """Return a value of any kind, None where it is absent."""
        self._known.append(name)
        return self._values.get(name)

    def close(self) -> None:
        """Note every key that nobody asked for, with the nearest that there is."""
        # A value is not repeated: a key may be a slip of the pen for one that holds a secret.
        for name in self._values:
            if name not in self._known and not _is_secret(name):
                near = get_close_matches(name, self._known, n=1)
                meant = f" (did you mean {near[0]!r}?)" if near else ""
                self._problems.append(
                    f"{self._where or 'the file'} has no key {name!r}{meant}; its keys are: {', '.join(dict.fromkeys(self._known))}"
                )

    def _place(self, name: str) -> str:
        return f"{self._where} {name}".strip()


def secrets_in(values: Mapping[str, Any], where: str = "") -> Iterable[str]:
    """Yield a sentence for every key, or value, that would keep a secret in a file; what it holds is never told.

    Examples
    --------
    >>> list(secrets_in({"api": {"token": "only-an-example"}}))
    ['api.token: a token or key is never kept in this file; take it out, and set SIPPET_API_TOKEN or SIPPET_API_KEY in the environment']
    """
    for name, value in values.items():
        place = f"{where}{name}"
        if _is_secret(name) or (isinstance(value, str) and _SECRET_VALUE.match(value)):
            yield (
                f"{place}: a token or key is never kept in this file; take it out, and set SIPPET_API_TOKEN or "
                "SIPPET_API_KEY in the environment"
            )
            continue
        tables = value if isinstance(value, list) else [value]
        for table in tables:
            if isinstance(table, dict) and name not in _OTHER_WORDS:
                yield from secrets_in(table, f"{place}.")


def _is_secret(name: str) -> bool:
    return _SECRET.fullmatch(name.casefold().translate(_SAME)) is not None


def _toml_kind(value: object) -> str:
    return {dict: "table", list: "list", bool: "flag"}.get(type(value), type(value).__name__)
