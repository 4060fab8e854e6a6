"""Say what the differences come to: a frame by cause, a chart and two sentences.

Input are discrepancies and their causes, output is what a reader sees first: which
few causes are behind how many of the differences, and what is left over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import (
    card,
    chart_figure,
    folded,
    joined,
    mask_text,
    paragraphs,
    plural,
    signed,
)
from sippet_reconcile.errors import InputError
from sippet_reconcile.groups import (
    as_names,
    column_codes,
    day_or_hour_codes,
    sum_seconds,
    word_series,
)
from sippet_reconcile.reconciliation.explaining.explain import find_explanation
from sippet_reconcile.reconciliation.explaining.explanation import UNEXPLAINED
from sippet_reconcile.reconciliation.findings import Findings
from sippet_reconcile.reconciliation.page import compact_table, hide_numbers
from sippet_reconcile.reconciliation.sides import instants_of
from sippet_reconcile.report.charts import Bar, BarChart

__all__ = ["RollUp", "cause_sentences", "phrase_of", "roll_up", "to_settle"]

SHOWN_CAUSES: Final = 3
"""Causes that the first sentence names; the chart and the frame have the others."""

SHOWN_BARS: Final = 6
"""Causes of one field that the chart shows; what is less common is one bar together."""

_NOUNS: Final[Mapping[str, tuple[str, str]]] = {
    "status": ("wrong status", "wrong statuses"),
    "duration_seconds": ("wrong duration", "wrong durations"),
    "ended_at": ("wrong end", "wrong ends"),
    "started_at": ("differing start", "differing starts"),
    "direction": ("differing direction", "differing directions"),
    "from_number": ("differing caller", "differing callers"),
    "to_number": ("differing called party", "differing called parties"),
    "sip_username": ("differing user", "differing users"),
}
_SINGULAR: Final[Mapping[str, str]] = {
    "are": "is",
    "were": "was",
    "have": "has",
    **{
        verb: f"{verb}s"
        for verb in (
            "add",
            "belong",
            "bill",
            "call",
            "come",
            "count",
            "differ",
            "hold",
            "include",
            "lack",
            "leave",
            "lie",
            "say",
            "show",
            "swap",
            "take",
            "use",
        )
    },
}
"""The first word of a phrase about one; a word that is not here stays as it is."""


def _nouns(name: str) -> tuple[str, str]:
    return _NOUNS.get(name, (f"differing {name}", f"differing {name}"))


def roll_up(
    discrepancies: pd.DataFrame,
    by: str | Sequence[str] = ("field", "explanation"),
    *,
    n_compared: int | None = None,
    timezone: str = "UTC",
) -> pd.DataFrame:
    """Count discrepancies and sum their seconds by any of their columns.

    Parameters
    ----------
    discrepancies
        `schema.DISCREPANCIES`, or any part of it: one row per call and field.
    by
        Its columns, and ``day`` or ``hour`` of ``started_at``, and ``user``.
    n_compared
        How many calls were compared; adds ``share_of_compared``.
    timezone
        The zone in which days and hours are counted.

    Returns
    -------
    DataFrame
        The `by` columns, ``n_calls`` (Int64, distinct calls), ``delta_s`` and
        ``gross_s`` (Float64, CDR minus API summed with and without sign; missing
        where the group has no durations),
        ``share_of_field`` (Float64: of the calls that differ in that field, or, where
        `by` has no ``field``, of all that differ), and ``share_of_compared``. The
        largest group first.

    Raises
    ------
    InputError
        If `by` is empty or names no column.
    """
    names = as_names(by)
    if not names:
        msg = "by is empty; name at least one column of the discrepancies, such as 'explanation'"
        raise InputError(msg)
    keys = {name: _key_column(discrepancies, name, timezone) for name in names}
    group = np.zeros(len(discrepancies), np.int64)
    for column in keys.values():
        codes = column_codes(column)
        group = pd.factorize(group * (codes.max(initial=0) + 1) + codes)[0].astype(np.int64)
    n_groups = int(group.max(initial=-1)) + 1
    first = np.full(n_groups, len(group), np.int64)
    np.minimum.at(first, group, np.arange(len(group)))
    # One row per call and field: where the field is among the keys, rows are calls.
    if "field" in names:
        n_calls = np.bincount(group, minlength=n_groups)
        field_of_group = column_codes(keys["field"].iloc[first])
        total = (
            np.bincount(field_of_group, weights=n_calls, minlength=1)[field_of_group] if n_groups else n_calls
        )
    else:
        call = column_codes(discrepancies["call_id"])
        distinct = pd.unique(group * (call.max(initial=0) + 1) + call)
        n_calls = np.bincount(distinct // (call.max(initial=0) + 1), minlength=n_groups)
        total = np.full(n_groups, len(pd.unique(call)))
    seconds = discrepancies["delta_s"].to_numpy("float64", na_value=np.nan)
    # Where no row has seconds, as for fields other than durations, there is nothing to sum, not zero seconds.
    nothing = np.bincount(group, weights=~np.isnan(seconds), minlength=n_groups) == 0
    rows = pd.DataFrame(
        {name: column.iloc[first].reset_index(drop=True) for name, column in keys.items()}
    ).assign(
        n_calls=pd.array(n_calls.astype(np.int64), dtype="Int64"),
        delta_s=pd.arrays.FloatingArray(sum_seconds(group, seconds, n_groups), nothing),
        gross_s=pd.arrays.FloatingArray(sum_seconds(group, np.abs(seconds), n_groups), nothing.copy()),
        share_of_field=pd.array(n_calls / np.maximum(total, 1), dtype="Float64"),
    )
    if n_compared is not None:
        share = n_calls / n_compared if n_compared else np.full(n_groups, np.nan)
        rows["share_of_compared"] = pd.array(share, dtype="Float64")
    ordered = rows.sort_values(names, kind="stable", ignore_index=True)
    return ordered.sort_values("n_calls", ascending=False, kind="stable", ignore_index=True)


def _key_column(frame: pd.DataFrame, name: str, timezone: str) -> pd.Series[Any]:
    if name in {"day", "hour"} and name not in frame.columns:
        return word_series(*day_or_hour_codes(instants_of(frame["started_at"]), name, timezone), frame.index)
    column = "sip_username" if name == "user" and name not in frame.columns else name
    if column not in frame.columns:
        known = ", ".join([*(str(c) for c in frame.columns), "day", "hour", "user"])
        msg = f"cannot group by {name!r}; there are: {known}"
        raise InputError(msg)
    return frame[column]


def cause_sentences(rows: pd.DataFrame, *, limit: int | None = None) -> list[str]:
    """Say in one sentence per field and cause what the differences are, the commonest first.

    Parameters
    ----------
    rows
        A roll-up by field and explanation.
    limit
        How many sentences at most.

    Examples
    --------
    >>> frame = pd.DataFrame({
    ...     "call_id": ["a", "b", "c"], "field": ["duration_seconds"] * 3,
    ...     "explanation": ["ring-time-included", "ring-time-included", "unexplained"], "delta_s": [-5.0, -7.0, 2.0],
    ... })
    >>> cause_sentences(roll_up(frame))
    ['2 of 3 wrong durations include ring time (−12 s)', '1 of 3 wrong durations is unexplained (+2 s)']
    """
    totals = rows.groupby("field")["n_calls"].sum().to_dict()
    return [
        _sentence(
            str(row.field), str(row.explanation), int(str(row.n_calls)), int(totals[row.field]), row.delta_s
        )
        for row in rows.head(len(rows) if limit is None else limit).itertuples(index=False)
    ]


def phrase_of(explanation: str, n_calls: int) -> str:
    """Return how a sentence about so many wrong values goes on.

    Examples
    --------
    >>> phrase_of("ring-time-included", 2), phrase_of("ring-time-included", 1), phrase_of("unexplained", 1)
    ('include ring time', 'includes ring time', 'is unexplained')
    """
    known = find_explanation(explanation)
    phrase = known.phrase if known else f"are {explanation}"
    if n_calls != 1:
        return phrase
    verb, _, rest = phrase.partition(" ")
    return f"{_SINGULAR.get(verb, verb)} {rest}".strip()


def _sentence(name: str, explanation: str, n_calls: int, of: int, delta_s: Any) -> str:
    known, phrase = find_explanation(explanation), phrase_of(explanation, n_calls)
    # A name with a number says more than its phrase: which hours, how many seconds.
    named = explanation if known and known.name != explanation else ""
    return f"{n_calls:,} of {plural(of, *_nouns(name))} {phrase}{_in_brackets(delta_s, named)}"


def _in_brackets(delta_s: Any, named: str = "") -> str:
    told = ", ".join(part for part in (named, "" if pd.isna(delta_s) else f"{signed(delta_s)} s") if part)
    return f" ({told})" if told else ""


def to_settle(findings: Findings, rows: pd.DataFrame) -> list[str]:
    """Return the codes of the findings that may be behind what nothing explains: the stops, and words that nobody mapped.

    Parameters
    ----------
    findings
        Of the reconciliation.
    rows
        Its roll-up by field and explanation.
    """
    codes = list(findings.stops.codes)
    is_word = rows["field"].eq("status") & rows["explanation"].eq(UNEXPLAINED)
    return [
        *codes,
        *(["status-vocabulary"] if "status-vocabulary" in findings.codes and is_word.any() else []),
    ]


@dataclass(frozen=True, eq=False, repr=False)
class RollUp:
    """What the differences come to, by field and cause; prints itself as sentences and a chart.

    Attributes
    ----------
    frame
        One row per field and explanation, as `Reconciliation.rollup` returns it.
    sentences
        Two: how much is explained and by which causes; what is left over or comes first.
        None where nothing differs.

    Examples
    --------
    >>> from sippet_reconcile.demo import sample_reconciliation
    >>> causes = sample_reconciliation().causes
    >>> print(causes.sentences[0].partition(";")[0])
    355 of 369 differences (96.2%) are explained: 62 of 259 wrong durations include ring time (−797 s)
    >>> causes.to_text().splitlines()[3], "<svg" in causes.to_html()
    ('Differing calls by field and cause', True)
    """

    frame: pd.DataFrame
    sentences: tuple[str, ...]

    @classmethod
    def of(
        cls, rows: pd.DataFrame, discrepancies: pd.DataFrame, *, stops: Sequence[str], n_patchable: int
    ) -> RollUp:
        """Return the roll-up of explained discrepancies.

        Parameters
        ----------
        rows
            Their roll-up by field and explanation.
        discrepancies
            All of them; the largest unexplained one is named.
        stops
            Codes of the findings to settle first, as `to_settle` returns them.
        n_patchable
            Calls that a plan may correct.
        """
        if not len(rows):
            return cls(rows, ())
        return cls(rows, (_explained(rows), _left_over(rows, discrepancies, stops, n_patchable)))

    @property
    def chart(self) -> BarChart:
        """Calls by cause, field by field, each bar with its calls and seconds."""
        bars: list[Bar] = []
        for name in dict.fromkeys(self.frame["field"]):
            rows = self.frame.loc[self.frame["field"].eq(name)]
            group = f"{plural(int(rows['n_calls'].sum()), *_nouns(str(name)))} ({name})"
            shown = rows if len(rows) <= SHOWN_BARS else rows.head(SHOWN_BARS - 1)
            bars += [
                _bar(str(row.explanation), int(str(row.n_calls)), row.delta_s, group)
                for row in shown.itertuples()
            ]
            rest = rows.iloc[len(shown) :]
            if len(rest):
                said = f"{len(rest):,} further causes"
                bar = _bar(said, int(rest["n_calls"].sum()), rest["delta_s"].sum(min_count=1), group)
                bars.append(replace(bar, is_quiet=True))
        return BarChart("Differing calls by field and cause", tuple(bars))

    def to_text(self, width: int = 100) -> str:
        """Return the sentences and the chart for a terminal."""
        if not self.sentences:
            return "Nothing differs."
        chart = self.chart.masked()
        return "\n".join([*map(mask_text, self.sentences), "", chart.title, chart.to_text(width)])

    def to_html(self) -> str:
        """Return the sentences, the chart and, folded away, its figures as part of a page; nothing where nothing differs."""
        if not self.sentences:
            return ""
        chart = self.chart.masked()
        table = compact_table(hide_numbers(self.frame), max_rows=len(self.frame))
        figures = folded("The figures of this chart", table)
        return (
            paragraphs([mask_text(sentence) for sentence in self.sentences])
            + chart_figure(chart.title, chart.to_svg())
            + figures
        )

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<RollUp: {plural(len(self.frame), 'row')} by field and cause; next: print(rec.causes)>"

    def _repr_html_(self) -> str:
        return card("Causes", None, self.to_html() or paragraphs(("Nothing differs.",)))


def _bar(label: str, n_calls: int, delta_s: Any, group: str) -> Bar:
    seconds = "" if pd.isna(delta_s) else f", {signed(delta_s)} s"
    text = f"{plural(n_calls, 'call')}{seconds}"
    return Bar(label, float(n_calls), text, group=group, is_quiet=label == UNEXPLAINED)


def _explained(rows: pd.DataFrame) -> str:
    """Say how many of the differences are explained, and by which causes."""
    is_known = rows["explanation"].ne(UNEXPLAINED)
    total, known = int(rows["n_calls"].sum()), rows.loc[is_known]
    explained = int(known["n_calls"].sum())
    share = f"{explained:,} of {plural(total, 'difference')}"
    if not explained:
        return f"None of {plural(total, 'difference')} is explained."
    if explained == total:
        share = f"All of {plural(total, 'difference')}" if total > 1 else "The one difference"
    else:
        share += f" ({_percent(explained / total)})"
    totals = rows.groupby("field")["n_calls"].sum().to_dict()
    leading = [
        _sentence(
            str(row.field), str(row.explanation), int(str(row.n_calls)), int(totals[row.field]), row.delta_s
        )
        for row in known.head(SHOWN_CAUSES).itertuples(index=False)
    ]
    more = len(known) - len(leading)
    further = f"; and {plural(more, 'smaller cause')}" if more else ""
    verb = "is" if explained == 1 else "are"
    return f"{share} {verb} explained: {'; '.join(leading)}{further}."


def _percent(share: float) -> str:
    """Return a share that says neither none nor all where it is neither."""
    return f"{min(max(share, 0.001), 0.999):.1%}"


def _left_over(
    rows: pd.DataFrame, discrepancies: pd.DataFrame, stops: Sequence[str], n_patchable: int
) -> str:
    """Say what no cause explains, and what comes first."""
    left = rows.loc[rows["explanation"].eq(UNEXPLAINED)]
    named = [
        plural(n, *_nouns(str(name))) + _in_brackets(delta_s)
        for name, n, delta_s in zip(
            left["field"].tolist(), left["n_calls"].tolist(), left["delta_s"].tolist(), strict=True
        )
    ]
    fields = joined(named)
    verb = "is" if int(left["n_calls"].sum()) == 1 else "are"
    unexplained = f"{fields} {verb} unexplained" if fields else "Nothing is unexplained"
    if stops:
        what = "that" if len(stops) == 1 else "they"
        return (
            f"{unexplained}; settle {joined(stops)} first, for {what} may be behind many of the differences."
        )
    if fields:
        return f"{unexplained}; look at the largest first, {_largest(discrepancies)}."
    return f"{unexplained}; a plan may correct {plural(n_patchable, 'call')}."


def _largest(discrepancies: pd.DataFrame) -> str:
    """Name the unexplained difference of the most seconds, or the first one where none has seconds."""
    places = np.flatnonzero(discrepancies["explanation"].eq(UNEXPLAINED).to_numpy("bool", na_value=False))
    sizes = discrepancies["delta_s"].to_numpy("float64", na_value=np.nan)[places]
    row: Any = discrepancies.iloc[places[int(np.argmax(np.abs(np.nan_to_num(sizes))))]]
    delta_s: Any = row["delta_s"]
    seconds = "" if pd.isna(delta_s) else f", {signed(delta_s)} s"
    return f"such as call {row['call_id']} ({row['field']}{seconds})"
