"""The rules of a reconciliation: tolerances, bases and vocabularies, checked when they are made.

Input are values from code or a TOML file, output is one frozen object that is saved
inside every plan. The defaults are promises: a month reconciled with ``Rules()``
gives the same answer next year.
"""

from __future__ import annotations

import json
import math
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile.errors import InputError
from sippet_reconcile.schema import LEG_STATUSES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DURATIONS", "ROUNDINGS", "Rules", "StatusMap"]

DURATIONS: Final = ("auto", "billable", "total")
"""What the API's ``duration_seconds`` may mean; ``auto`` lets the data propose it."""

ROUNDINGS: Final = ("half_up", "floor", "ceil")
"""How fractions of a second become whole seconds."""

_MAX_DIGITS: Final = 15  # the longest number in E.164
_SAME: Final = str.maketrans("", "", "-_ ")


class StatusMap(Mapping[str, tuple[str, ...]]):
    """A CDR status to the API statuses that agree with it; cannot be changed, can be hashed.

    Examples
    --------
    >>> StatusMap({"completed": ("ended",)})["completed"]
    ('ended',)
    """

    __slots__ = ("_words",)

    def __init__(self, words: Mapping[str, tuple[str, ...]]) -> None:
        self._words = dict(words)

    def __getitem__(self, key: str) -> tuple[str, ...]:
        return self._words[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def __hash__(self) -> int:
        return hash(frozenset(self._words.items()))

    def __repr__(self) -> str:
        return repr(self._words)


@dataclass(frozen=True)
class Rules:
    """When two sides agree, and what a correction would write.

    Attributes
    ----------
    duration
        What the API's ``duration_seconds`` means: ``billable`` (after the answer),
        ``total`` (with ringing), or ``auto``, which proposes one from the data.
    duration_tolerance_s
        Largest gap between two durations that still agree, in seconds.
    duration_rounding
        How the CDR's fractions become whole seconds: ``half_up``, ``floor``, ``ceil``.
    time_tolerance_s
        Largest gap between two instants that still agree, in seconds.
    start_window_s
        How far apart two starts may lie where numbers and time are all there is.
    number_digits
        How many last digits must be equal where a number has no E.164 form.
    settle_s
        How old the end of a CDR must be when the calls were fetched, in seconds.
    clock_offset_s
        CDR clock minus API clock; subtracted from the CDR's instants, never from durations.
    open_statuses
        API statuses of calls that have not ended.
    status_map
        CDR status to the API statuses that agree with it; the first is what a plan
        writes, and an empty list says that the CDR status proves nothing. A status
        that is not named agrees with the same word, ignoring case, ``-`` and ``_``.
    internal_numbers
        Numbers of one's own, in the notation of `read_cdr`; a call between two of them is
        internal.

    Examples
    --------
    >>> Rules(duration="billable", status_map={"voicemail": ["completed"]}).status_map
    {'voicemail': ('completed',)}
    """

    duration: str = "auto"
    duration_tolerance_s: float = 1
    duration_rounding: str = "half_up"
    time_tolerance_s: float = 2
    start_window_s: float = 60
    number_digits: int = 9
    settle_s: float = 7200
    clock_offset_s: float = 0
    open_statuses: tuple[str, ...] = ("initiated", "ringing", "answered")
    status_map: Mapping[str, Sequence[str]] = StatusMap({})
    internal_numbers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checked = {
            "duration": _one_of("duration", self.duration, DURATIONS),
            "duration_rounding": _one_of("duration_rounding", self.duration_rounding, ROUNDINGS),
            "number_digits": _digits(self.number_digits),
            "clock_offset_s": _seconds("clock_offset_s", self.clock_offset_s),
            "open_statuses": _words("open_statuses", self.open_statuses),
            "status_map": _status_map(self.status_map),
            "internal_numbers": _words("internal_numbers", self.internal_numbers),
        }
        for name in ("duration_tolerance_s", "time_tolerance_s", "start_window_s", "settle_s"):
            checked[name] = _seconds(name, getattr(self, name), least=0)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Rules:
        """Return rules from plain values; what is not named keeps its default.

        Raises
        ------
        InputError
            If a name is not one of the rules, with the nearest that is, or a value is not allowed.

        Examples
        --------
        >>> Rules.from_dict({"duration": "billable", "settle_s": 0}).settle_s
        0
        >>> Rules.from_dict({"durations": "billable"})
        Traceback (most recent call last):
        ...
        sippet_reconcile.errors.InputError: no such rule: 'durations' (did you mean 'duration'?); the rules are: duration, ...
        """
        known = [field.name for field in fields(cls)]
        unknown = [str(name) for name in values if name not in known]
        if unknown:
            described = "; ".join(f"{name!r}{_nearest(name, known)}" for name in unknown)
            msg = f"no such rule: {described}; the rules are: {', '.join(known)}"
            raise InputError(msg)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON and TOML can hold, in the order of the fields.

        Examples
        --------
        >>> rules = Rules(duration="total", internal_numbers=("1001", "1002"))
        >>> rules.to_dict()["internal_numbers"], Rules.from_dict(rules.to_dict()) == rules
        (['1001', '1002'], True)
        """
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        values["open_statuses"] = list(self.open_statuses)
        values["internal_numbers"] = list(self.internal_numbers)
        values["status_map"] = {word: list(words) for word, words in self.status_map.items()}
        return values

    @classmethod
    def from_toml(cls, source: str | os.PathLike[str]) -> Rules:
        """Return rules from a TOML file, or from TOML text.

        Parameters
        ----------
        source
            A path; or text, recognised by a ``=`` or a line break where no such file exists.

        Raises
        ------
        InputError
            If there is no such file, it is not TOML, or a name or value is not allowed.

        Examples
        --------
        >>> Rules.from_toml('duration = "total"').duration
        'total'
        """
        text, where = _toml_text(source)
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as exc:
            msg = f"{where} is not TOML: {exc}"
            raise InputError(msg) from exc
        try:
            return cls.from_dict(values)
        except InputError as exc:
            msg = f"{where}: {exc}"
            raise InputError(msg) from exc

    def to_toml(self) -> str:
        """Return the rules as TOML text that `from_toml` reads back to an equal object.

        Examples
        --------
        >>> print(Rules().to_toml().splitlines()[0])
        duration = "auto"
        """
        values = self.to_dict()
        mapping = values.pop("status_map")
        lines = [f"{name} = {_toml_value(value)}" for name, value in values.items()]
        if mapping:
            lines += [
                "",
                "[status_map]",
                *(f"{name} = {_toml_value(words)}" for name, words in mapping.items()),
            ]
        return "\n".join(lines) + "\n"


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in allowed:
        return value
    nearest = _nearest(value, allowed) if isinstance(value, str) else ""
    msg = f"{name} is {value!r}{nearest}; allowed are: {', '.join(allowed)}"
    raise InputError(msg)


def _seconds(name: str, value: object, *, least: float | None = None) -> float:
    """Return seconds as a plain number; whole ones stay int, so that they print as such."""
    if isinstance(value, Real) and not isinstance(value, bool):
        plain: float = int(value) if isinstance(value, Integral) else float(value)
        if math.isfinite(plain) and (least is None or plain >= least):
            return plain
    bound = "" if least is None else f", {least} or more"
    msg = f"{name} is {value!r}; allowed is a number of seconds{bound}"
    raise InputError(msg)


def _digits(value: object) -> int:
    if isinstance(value, Integral) and not isinstance(value, bool) and 1 <= int(value) <= _MAX_DIGITS:
        return int(value)
    msg = f"number_digits is {value!r}; allowed is a whole number from 1 to {_MAX_DIGITS}"
    raise InputError(msg)


def _words(name: str, value: object) -> tuple[str, ...]:
    # A single text is a sequence of letters, which nobody means.
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        words = tuple(value)
        if all(isinstance(word, str) and word.strip() for word in words):
            return tuple(dict.fromkeys(word.strip() for word in words))
    shown = repr(value) if name != "internal_numbers" else f"a {type(value).__name__}"
    msg = f"{name} is {shown}; allowed is a list of texts that are not empty"
    raise InputError(msg)


def _status_map(value: object) -> StatusMap:
    if not isinstance(value, Mapping):
        msg = f"status_map is {value!r}; allowed is a table of CDR status to API statuses"
        raise InputError(msg)
    spelling = {word.translate(_SAME): word for word in LEG_STATUSES}
    checked: dict[str, tuple[str, ...]] = {}
    for key, words in value.items():
        known = spelling.get(key.strip().casefold().translate(_SAME)) if isinstance(key, str) else None
        if known is None:
            msg = f"status_map names the CDR status {key!r}{_nearest(key, LEG_STATUSES)}; allowed are: {', '.join(LEG_STATUSES)}"
            raise InputError(msg)
        if known in checked:
            msg = f"status_map names the CDR status {known!r} twice, the second time as {key!r}; keep one"
            raise InputError(msg)
        checked[known] = _words(f"status_map[{known!r}]", [words] if isinstance(words, str) else words)
    return StatusMap(checked)


def _nearest(word: object, known: Iterable[str]) -> str:
    close = get_close_matches(str(word), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _toml_text(source: str | os.PathLike[str]) -> tuple[str, str]:
    """Return the text and how to call it in a message."""
    if isinstance(source, str) and ("\n" in source or not source.strip()):
        return source, "the rules"
    is_text = isinstance(source, str) and "=" in source
    try:
        path = Path(source)
        if path.is_file():
            return path.read_text(encoding="utf-8"), str(path)
    except (OSError, ValueError) as exc:
        if not is_text:  # a long line of TOML is no file name, and that is no error
            msg = f"rules file {os.fspath(source)!r} cannot be read: {exc}"
            raise InputError(msg) from exc
    if is_text:
        return str(source), "the rules"
    msg = f"rules file {os.fspath(source)!r} does not exist; write one with Rules().to_toml()"
    raise InputError(msg)


def _toml_value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    if isinstance(value, str):
        # JSON's escapes are TOML's, except that TOML wants DEL escaped as well.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
