"""Match by numbers and time what no id matched, in parts of rows that might be one call.

Input are what ids decided and both spread frames, output are all matches. The rows that
are left go from worker to worker, so that those which numbers may join lie together, and
are decided there by the functions that decide on one machine. Here arrives what was
decided, and how far apart starts are that have no rival, where ids do not tell that.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dask.dataframe as dd
import numpy as np
from dask.delayed import delayed

from sippet_reconcile.reconciliation.matching.candidates import Candidates, find_candidates
from sippet_reconcile.reconciliation.matching.edges import meeting_keys
from sippet_reconcile.reconciliation.matching.fallback import CloseCalls, decide
from sippet_reconcile.reconciliation.matching.match import Matches, all_matches
from sippet_reconcile.reconciliation.matching.other_ids import ids_speak_against
from sippet_reconcile.reconciliation.matching.parties import Rows, read_calls, read_cdr_calls
from sippet_reconcile.reconciliation.matching.starts import FilesOfPairs, Sample, StartGaps
from sippet_reconcile.scale.bucket import ROW, TOGETHER
from sippet_reconcile.scale.dealing import shuffled
from sippet_reconcile.scale.spread import gather, keep
from sippet_reconcile.schema import text_series

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from dask.delayed import Delayed
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.scale.matching import ByIdOfAll

    _Read = Callable[[pd.DataFrame, NDArray[np.bool_], Rules], Rows]

__all__ = ["ROWS_OF_PART", "match_rest"]

ROWS_OF_PART: Final = 20_000
"""Into parts of so many rows those are dealt that no id matched, and into no more parts than there are buckets."""

FILE: Final = "_file"
"""Column that travels with CDR calls: the number of the file."""

_LOOKED_AT: Final = (
    "direction",
    "from_number",
    "to_number",
    "from_e164",
    "to_e164",
    "started_at",
    "ended_at",
    "duration_seconds",
    "billable_s",
    "total_s",
    "is_coarse",
    "time_problem",
    "legs_problem",
)
"""Columns that matching by numbers looks at, of either frame, where it has them."""


def match_rest(known: ByIdOfAll, calls: Any, cdr_calls: Any, rules: Rules) -> Matches:
    """Match by numbers and time what no id matched, and return all pairs.

    Parameters
    ----------
    known
        What ids decided.
    calls, cdr_calls
        Both spread frames; starts and files are taken from them, and nothing else.
    rules
        The window, the digits, both tolerances and the clock offset are used.
    """
    if not (known.by_id.free_calls.any() and known.by_id.free_cdr.any()):
        return all_matches(known.by_id, CloseCalls.none(), np.zeros(0, np.bool_))
    source_file = cdr_calls.codes("source_file")
    files = FilesOfPairs.of(calls, cdr_calls, known.by_id.pairs, rules, source_file=source_file)
    close = _match_by_numbers(known, calls, cdr_calls, rules, files)
    is_other = ids_speak_against(
        close,
        known.is_uuid[close.call_pos] & known.has_uuid[close.cdr_pos],
        files=files,
        keyed=files.count(known.has_key),
    )
    return all_matches(known.by_id, close, is_other)


def _match_by_numbers(
    known: ByIdOfAll, calls: Any, cdr_calls: Any, rules: Rules, files: FilesOfPairs
) -> CloseCalls:
    """Do what `match_by_numbers` of one machine does, where the rows are."""
    both = _deal(
        _readable(calls, known.by_id.free_calls, {}, read_calls, rules),
        _readable(cdr_calls, known.by_id.free_cdr, {FILE: files.of_cdr}, read_cdr_calls, rules),
    )
    n_parts = len(both[0])
    if not n_parts:
        return CloseCalls.none()
    few = files.have_few_pairs
    samples = gather(_alone, *both, [rules] * n_parts, [few] * n_parts) if few.any() else []
    gaps = StartGaps.of(files.sample, Sample.joined(samples), files.n_files, rules)
    # Who might be whom is found again: that takes less than to keep it for all parts at the same time.
    told = delayed(gaps, pure=False, traverse=False)
    return CloseCalls.joined(gather(_decided, *both, [rules] * n_parts, [told] * n_parts))


class _Readable(NamedTuple):
    """Rows that numbers may match: part by part where they lie, how many there are, and the same without a row."""

    parts: list[Delayed]
    size: int
    meta: pd.DataFrame


def _readable(
    frame: Any, free: NDArray[np.bool_], marks: Mapping[str, NDArray[np.int64]], read: _Read, rules: Rules
) -> _Readable:
    """Return the free rows that can be compared: what is looked at, marks, their places, and what lies together."""
    names = [name for name in _LOOKED_AT if name in frame]
    rows = np.flatnonzero(free)
    places = frame.places(rows)
    rows[places.back] = rows.copy()  # one part behind the other
    of_rows = {ROW: rows, **{name: values[rows] for name, values in marks.items()}}
    ends = np.cumsum([0, *(len(local) for local in places.local)])
    parts = frame.parts(names)
    kept = keep(
        _marked,
        [parts[number] for number in places.parts],
        places.local,
        [
            {name: values[begin:end] for name, values in of_rows.items()}
            for begin, end in pairwise(ends.tolist())
        ],
        [read] * len(places.parts),
        [rules] * len(places.parts),
    )
    none = np.zeros(0, np.int64)
    meta = _marked(frame[names].take(none), none, dict.fromkeys(of_rows, none), read, rules)
    return _Readable(kept, sum(gather(len, kept)), meta)


def _marked(
    part: pd.DataFrame,
    local: NDArray[np.int64],
    marks: Mapping[str, NDArray[np.int64]],
    read: _Read,
    rules: Rules,
) -> pd.DataFrame:
    names = [name for name in _LOOKED_AT if name in part]
    some = part[names].take(local).reset_index(drop=True).assign(**marks)
    found = read(some, np.ones(len(some), np.bool_), rules)
    some = some.take(found.pos).reset_index(drop=True)
    # What it took long to read is not read again.
    e164 = {
        "from_e164": text_series(found.caller.e164),
        "to_e164": text_series(found.called.e164),
    }
    return some.assign(**e164, **{TOGETHER: meeting_keys(found).view(np.int64)})


def _deal(*sides: _Readable) -> list[list[Delayed]]:
    """Deal the rows of both sides into equally many parts, so that those which numbers may join lie in one.

    Where a side has no row at all, there is no part.
    """
    dealt: list[list[Delayed]] = [[] for _ in sides]
    if all(side.size for side in sides):
        largest, n_most = max(side.size for side in sides), max(len(side.parts) for side in sides)
        for place, side in enumerate(sides):
            frame = dd.from_delayed(side.parts, meta=side.meta, verify_meta=False)
            dealt[place] = keep(_in_order, shuffled(frame, min(-(-largest // ROWS_OF_PART), n_most)))
            gather(len, dealt[place])  # two at once would hold twice as much in between
    return dealt


def _in_order(part: pd.DataFrame) -> pd.DataFrame:
    order = np.argsort(part[ROW].to_numpy("int64"))
    return part.drop(columns=TOGETHER).take(order).reset_index(drop=True)


def _candidates(calls: pd.DataFrame, cdr_calls: pd.DataFrame, rules: Rules) -> Candidates:
    free_calls, free_cdr = (np.ones(len(frame), np.bool_) for frame in (calls, cdr_calls))
    file = cdr_calls[FILE].to_numpy("int64")
    return find_candidates(calls, cdr_calls, free_calls, free_cdr, rules, file=file)


def _alone(calls: pd.DataFrame, cdr_calls: pd.DataFrame, rules: Rules, asked: NDArray[np.bool_]) -> Sample:
    return _candidates(calls, cdr_calls, rules).alone(asked)


def _decided(calls: pd.DataFrame, cdr_calls: pd.DataFrame, rules: Rules, gaps: StartGaps) -> CloseCalls:
    """Decide about a part; positions are those of the whole."""
    rows = calls[ROW].to_numpy("int64"), cdr_calls[ROW].to_numpy("int64")
    return decide(_candidates(calls, cdr_calls, rules), gaps).among(*rows)
