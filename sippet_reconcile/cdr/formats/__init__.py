"""The known export formats: every module in this folder that has ``FORMATS`` is found by itself."""

from __future__ import annotations

import pkgutil
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module

from sippet_reconcile.cdr.spec import CdrFormat
from sippet_reconcile.errors import InputError

__all__ = ["all_formats", "format_named"]


@lru_cache(maxsize=1)
def all_formats() -> tuple[CdrFormat, ...]:
    """Return every registered format, in the order of their names."""
    modules = [import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    found = [format_ for module in modules for format_ in getattr(module, "FORMATS", ())]
    return tuple(sorted(found, key=lambda format_: format_.name))


def format_named(name: str) -> CdrFormat:
    """Return the format of a name or alias.

    Examples
    --------
    >>> format_named("FreeSWITCH").name
    'freeswitch'
    """
    if not isinstance(name, str):
        msg = f"format is {type(name).__name__}, not text; pass the name of a format, or 'auto'"
        raise InputError(msg)
    wanted = name.strip().casefold().replace("_", "-").replace(" ", "-")
    for format_ in all_formats():
        if wanted in (format_.name, *format_.aliases):
            return format_
    known = ", ".join(format_.name for format_ in all_formats())
    near = get_close_matches(wanted, [format_.name for format_ in all_formats()], n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    msg = f"format {name!r} is not known; known are {known}, or 'auto'; columns= reads any other table{meant}"
    raise InputError(msg)
