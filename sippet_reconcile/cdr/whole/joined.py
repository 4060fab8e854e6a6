"""Put the legs of several files together, and settle what only all of them can: links, and helpers in company.

Input are the parts that files were read into, output is one frame of legs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.tables import TEXT, in_threads, one_array
from sippet_reconcile.cdr.whole.links import company_of, talked_in
from sippet_reconcile.cdr.whole.parts import Part, empty_legs
from sippet_reconcile.keys import hash_text
from sippet_reconcile.schema import Legs, arrow_to_frame, text_series

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from sippet_reconcile.cdr.kinds import Request
    from sippet_reconcile.cdr.times.clock import Clock

__all__ = ["ATTRS_KEY", "contiguous", "how_read", "joined"]

ATTRS_KEY: Final = "sippet_reconcile.cdr"
"""Where a fresh frame of legs keeps, as a bonus that nothing depends on, how its files were read."""

_MAX_NOTES: Final = 20
_MAX_NAMES: Final = 3


def joined(parts: Sequence[Part], request: Request) -> Legs:
    """Put the files together and settle what only all of them can: which legs are linked."""
    tables = [part.table for part in parts] or [empty_legs(request)]
    table = tables[0] if len(tables) == 1 else contiguous(pa.concat_tables(tables))
    steps: list[Callable[[], Any]] = [lambda: arrow_to_frame(table), lambda: _relinked(table, parts)]
    legs, linked = in_threads(lambda step: step(), steps, n_rows=table.num_rows)
    if linked is not None:
        legs = legs.assign(linked_id=text_series(linked))
    helpers = _helpers_in_company(table, linked, parts)
    if helpers is not None:
        legs = legs.assign(is_helper=pd.array(helpers, dtype="boolean"))
    legs.attrs[ATTRS_KEY] = how_read(((part.name, part.clock, part.notes) for part in parts), request)
    return Legs(legs)


def how_read(parts: Iterable[tuple[str, Clock | None, tuple[str, ...]]], request: Request) -> dict[str, Any]:
    """Return by which clocks files were read, and what was noted about them: their names, clocks and notes.

    ``by_clock`` says how many files have each clock, and names a few of them; ``country``
    and ``strip_prefixes`` are what numbers were read with.
    """
    found = list(parts)
    by_clock: dict[str, list[str]] = {}
    for name, clock, _ in found:
        if clock is not None:
            by_clock.setdefault(f"{clock.name} ({clock.how})", []).append(name)
    return {
        "clocks": sorted(by_clock),
        "by_clock": {clock: [len(names), names[:_MAX_NAMES]] for clock, names in sorted(by_clock.items())},
        "notes": [f"{name}: {note}" for name, _, notes in found for note in notes][:_MAX_NOTES],
        "country": request.options.country,
        "strip_prefixes": list(request.options.strip_prefixes),
    }


def contiguous(table: pa.Table) -> pa.Table:
    """Copy each column into one piece, but those that hold one text per file and are views of it."""

    def column(name: str) -> Any:
        found = table.column(name)
        return found if name in {"source_file", "source_sha256", "format"} else found.combine_chunks()

    names = table.column_names
    return pa.table(in_threads(column, names, n_rows=table.num_rows), names=names)


def _relinked(table: pa.Table, parts: Sequence[Part]) -> pa.LargeStringArray | None:
    """Return the linked ids anew; None where they stay."""
    delivered = linked = one_array(table.column("linked_id"))
    leg_id = one_array(table.column("leg_id"))
    formats = {part.format.name: part.format for part in parts if part.format is not None}
    for format_ in formats.values():
        if format_.relink is None or not table.num_rows:
            continue
        if all(part.format is format_ for part in parts if part.table.num_rows):
            linked = format_.relink(leg_id, linked)
            continue
        mask = pc.equal(table.column("format"), format_.name).combine_chunks()
        anew = format_.relink(leg_id.filter(mask), linked.filter(mask))
        linked = pc.replace_with_mask(linked, mask, anew)
    return None if linked is delivered else linked


def _helpers_in_company(
    table: pa.Table, linked: pa.LargeStringArray | None, parts: Sequence[Part]
) -> NDArray[np.bool_] | None:
    """Return the helpers anew, where a format's count only beside another leg of their call; None where they stay."""
    names = sorted({p.format.name for p in parts if p.format is not None and p.format.helpers_need_company})
    helper = np.asarray(table.column("is_helper"))
    if not names or not bool(helper.any()):
        return None
    concerned = helper & np.asarray(pc.is_in(table.column("format"), value_set=pa.array(names, TEXT)))
    ids = hash_text(one_array(table.column("linked_id")) if linked is None else linked)
    usable = np.asarray(table.column("problem").is_null())
    others, talked = usable & ~helper & (ids != 0), talked_in(table)
    company = np.isin(
        company_of(ids[concerned], talked[concerned]), np.concatenate([ids[others], ~ids[others & talked]])
    )
    anew = helper.copy()
    anew[concerned] = company
    return anew
