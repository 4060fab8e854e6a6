"""Say which spans of time are missing on a side, and which file of an export was cut.

Input are the gaps between both sides and where each file begins and ends, output are
two verdicts. A gap that begins where a file ends too early, or that ends where a file
begins too late, is that file's doing and is told with it; every other one is told as a span.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural, shortened
from sippet_reconcile.period import load_zone
from sippet_reconcile.reconciliation.diagnosing.gaps import ENOUGH_MET, find_gaps
from sippet_reconcile.reconciliation.diagnosing.material import Span
from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict
from sippet_reconcile.reconciliation.findings import Finding, Severity

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.diagnosing.gaps import Gaps
    from sippet_reconcile.reconciliation.diagnosing.material import Material
    from sippet_reconcile.reconciliation.sides import Columns

__all__ = ["find_missing_hours", "find_truncated_export", "gaps_of", "short_files"]

_LIMITS: Final = frozenset({65_535, 65_536, 1_048_575, 1_048_576})
"""Rows that spreadsheets hold, with and without a header."""

_ROUND: Final = frozenset({first * 10**power for first in (1, 2, 5) for power in range(2, 8)})
"""Numbers of rows at which pages and queries are usually limited."""

_FEW_ROWS: Final = 1_000
"""A file of so few rows has a round number of them by chance too often to speak of it for that alone."""

_AT_ITS_EDGE: Final = pd.Timedelta(hours=1)
"""A gap so near to where a file begins or ends begins or ends with it: rows are written when calls end."""

_SHORTER: Final = 0.95
"""A file is cut if it spans less than this share of what the others span; a missing file leaves its neighbours whole."""

_ALONE_SHARE: Final = 0.01
_ALONE_CALLS: Final = 5
_SHOWN: Final = 3


def gaps_of(material: Material) -> dict[str, Gaps]:
    """Return the gaps of both sides."""
    return {side: find_gaps(material, side) for side in ("cdr", "api")}


def short_files(material: Material, gaps: Gaps) -> pd.DataFrame:
    """Return the files that end before, or begin after, a gap of the CDR side.

    One row per file and gap: ``source_file``, ``rows`` (records), ``first_row_at``, ``last_row_at``
    (starts of its first and last call), ``missing`` (``end`` or ``beginning``), ``gap``
    (position of the gap), ``n_calls_beyond`` (calls of the API that are missing there).
    """
    columns = {
        "source_file": "str",
        "rows": "Int64",
        "first_row_at": "datetime64[us, UTC]",
        "last_row_at": "datetime64[us, UTC]",
        "missing": "str",
        "gap": "Int64",
        "n_calls_beyond": "Int64",
    }
    found: list[tuple[object, ...]] = []
    if len(gaps.frame) and material.legs is not None:
        files = _files(material)
        spans = files["last_row_at"] - files["first_row_at"]
        for place, gap in enumerate(gaps.frame.itertuples(index=False)):
            start, end = gap[1], gap[2]
            cut_end = files["last_row_at"].sub(start).abs().le(_AT_ITS_EDGE)
            cut_start = files["first_row_at"].sub(end).abs().le(_AT_ITS_EDGE)
            for missing, cut in (("end", cut_end), ("beginning", cut_start)):
                for row in np.flatnonzero(cut.to_numpy("bool", na_value=False)).tolist():
                    others = spans.drop(index=row)
                    if len(others) == 0 or spans.iloc[row] < _SHORTER * others.median():
                        found.append((*files.iloc[row], missing, place, gap.n_missing))
    return pd.DataFrame(found, columns=list(columns)).astype(columns)


def _files(material: Material) -> pd.DataFrame:
    """Return one row per file that has a call with a start: rows, first and last start."""
    spans: _Spans = material.sides.of_cdr.summed(_Spans.of)
    files = [name for name in material.sides.of_cdr.words("source_file") if name in spans.of_file]
    first, last = (
        pd.Series(np.array([getattr(spans.of_file[name], end) for name in files], "datetime64[us]"))
        for end in ("first", "last")
    )
    return pd.DataFrame(
        {
            "source_file": pd.Series(files, dtype="str"),
            "rows": pd.Series([material.leg_files[name] for name in files], dtype="Int64"),
            "first_row_at": first.dt.tz_localize("UTC"),
            "last_row_at": last.dt.tz_localize("UTC"),
        }
    )


@dataclass(frozen=True)
class _Spans:
    """From when to when the calls of each file began."""

    of_file: dict[str, Span]

    @classmethod
    def of(cls, cdr_calls: Columns) -> _Spans:
        codes, files = cdr_calls.codes("source_file")
        starts = pd.Series(cdr_calls.instants("started_at"))
        found = starts.groupby(codes).agg(["min", "max"]).dropna()
        found = found[found.index >= 0]
        ends = zip(
            *(found[end].to_numpy("datetime64[us]").view(np.int64).tolist() for end in ("min", "max")),
            strict=True,
        )
        return cls({files[code]: Span(*both) for code, both in zip(found.index.tolist(), ends, strict=True)})

    def __add__(self, other: _Spans) -> _Spans:
        """Return the spans of the calls of both."""
        names = [*self.of_file, *other.of_file]
        return _Spans(
            {name: self.of_file.get(name, Span()) + other.of_file.get(name, Span()) for name in names}
        )


def find_truncated_export(material: Material, short: pd.DataFrame) -> Verdict:
    """Look for files that stop, or begin, while the API goes on; and for round numbers of rows.

    A round number alone proves nothing where the API has no call more than the file: then it is
    only mentioned, from 1,000 rows on, where chance makes such a number once in hundreds of files.
    """
    what = "files"
    if material.legs is None:
        return Verdict.not_asked("truncated-export", "there are no legs to count")
    n_files = len(material.leg_files)
    told = set(short["source_file"].dropna().tolist())
    n_alone = int(np.count_nonzero(material.of_api.alone))
    n_calls = n_alone + int(np.count_nonzero(material.of_api.met))
    lacks = n_alone >= max(_ALONE_CALLS, _ALONE_SHARE * n_calls)
    rows = [
        (name, count)
        for name, count in material.leg_files.items()
        if name not in told and (count in _LIMITS or (count in _ROUND and (count >= _FEW_ROWS or lacks)))
    ]
    even = pd.DataFrame(rows, columns=["source_file", "rows"]).astype({"source_file": "str", "rows": "Int64"})
    evidence = pd.concat([short.drop(columns="gap"), even], ignore_index=True)
    if len(evidence) == 0:
        return Verdict.of("truncated-export", None, n_looked_at=n_files, what=what)
    severity = Severity.WARN if len(short) or lacks else Severity.INFO
    said = [_cut_sentence(material, short)] if len(short) else []
    if len(even):
        exactly = " or ".join(f"{n:,}" for n in sorted(set(even["rows"].tolist())))
        behind = (
            f"and the API has {plural(n_alone, 'call')} without a CDR"
            if lacks
            else "though nothing seems to be missing"
        )
        said.append(
            f"{plural(len(even), 'file has', 'files have')} exactly {exactly} rows, as exports have that were cut at a limit, {behind}."
        )
    advice = (
        "Export again with a higher limit or in smaller spans, compare the number of rows, and read the whole export."
        if severity is Severity.WARN
        else "Compare the number of rows with what the system shows; if it has no more, there is nothing to do."
    )
    finding = Finding("truncated-export", severity, " ".join(said), evidence, advice)
    return Verdict.of("truncated-export", finding, n_looked_at=n_files, what=what)


def _cut_sentence(material: Material, short: pd.DataFrame) -> str:
    row = short.sort_values("n_calls_beyond", ascending=False, kind="stable").iloc[0]
    is_end = row["missing"] == "end"
    exact = int(row["rows"])
    at = _local(row["last_row_at"] if is_end else row["first_row_at"], material)
    rows = f"exactly {exact:,}" if exact in _ROUND | _LIMITS else f"{exact:,}"
    rest = f", and {plural(len(short) - 1, 'more file')} like it" if len(short) > 1 else ""
    return (
        f"{shortened(row['source_file'])} {'ends' if is_end else 'begins'} at {at} with {rows} rows, while the API has "
        f"{plural(int(row['n_calls_beyond']), 'call')} {'after' if is_end else 'before'} it that no CDR has{rest}."
    )


def find_missing_hours(material: Material, gaps: dict[str, Gaps], told: set[int]) -> Verdict:
    """Say which spans are missing on a side; `told` are the gaps of the CDR side that a cut file explains."""
    n_met = min(side.n_met for side in gaps.values())
    what = "calls that both sides have"
    if any(side.is_lost for side in gaps.values()):
        return Verdict.not_asked(
            "missing-hours", "so many calls have no partner at any time that no span stands out"
        )
    parts = [gaps["cdr"].frame.drop(index=list(told)), gaps["api"].frame]
    evidence = pd.concat(parts, ignore_index=True)
    if len(evidence) == 0:
        return Verdict.of("missing-hours", None, n_looked_at=n_met, n_needed=ENOUGH_MET, what=what)
    evidence = evidence.sort_values(["from", "missing_in"], ignore_index=True)
    largest = evidence.sort_values("n_missing", ascending=False, kind="stable").head(_SHOWN)
    said = []
    for row in largest.to_dict("records"):
        side, other = ("CDR", "API") if row["missing_in"] == "cdr" else ("API", "CDR")
        said.append(
            f"the {side} side lacks {row['n_missing']:,} of {row['n_calls']:,} calls that the {other} side has from "
            f"{_local(row['from'], material)} to {_local(row['to'], material)}"
        )
    zone = f" ({material.period.timezone if material.period is not None else 'UTC'})"
    rest = (
        f", and {plural(len(evidence) - len(largest), 'more span')} in the evidence"
        if len(evidence) > len(largest)
        else ""
    )
    first, *others = said
    message = f"{first[0].upper()}{first[1:]}{''.join(f'; {text}' for text in others)}{rest}{zone}."
    advice = "Look for a missing file or a gap of the export, and read it in; what is missing then was really lost."
    finding = Finding("missing-hours", Severity.WARN, message, evidence, advice)
    return Verdict.of("missing-hours", finding, n_looked_at=n_met, n_needed=ENOUGH_MET, what=what)


def _local(at: pd.Timestamp, material: Material) -> str:
    zone = load_zone(material.period.timezone if material.period is not None else "UTC")
    return f"{at.tz_convert(zone):%Y-%m-%d %H:%M}"
