"""What a reconciliation found: one frozen object that answers every question about it.

Input is what the steps decided, output are frames, counts and pages. Frames are built
when they are first asked for; every view begins with `Reconciliation.summary`, so that
text, page and file cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import MAX_ROWS, card, escape, html_text, plural, section
from sippet_reconcile.reconciliation.balance import BUCKETS, check_balance, code_of
from sippet_reconcile.reconciliation.core import MATCH_RULES
from sippet_reconcile.reconciliation.ledger import build_ledger, roll_up, rollup_sentences
from sippet_reconcile.reconciliation.page import compact_table, findings_table, folded, headline
from sippet_reconcile.reconciliation.show import CallView, show_call
from sippet_reconcile.schema import Bucket

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation.comparing.compare import Comparison
    from sippet_reconcile.reconciliation.findings import Findings
    from sippet_reconcile.reconciliation.frames import Decided, LazyFrames
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["Reconciliation", "count_rows"]

SHOWN_CAUSES: Final = 8
SHOWN_DISCREPANCIES: Final = 10
_SHOWN: Final = (
    "call_id",
    "field",
    "value_call",
    "value_cdr",
    "delta_s",
    "explanation",
    "match_rule",
    "source_file",
    "source_row",
)


@dataclass(frozen=True, eq=False, repr=False)
class Reconciliation:
    """What two sides say about the same calls, and where they differ.

    Attributes
    ----------
    rules
        As they were applied, the basis of durations settled.
    period
        The span spoken of, or None for everything.
    api_url
        The API the calls came from; None where the calls do not say.
    fetched_at
        The earliest instant at which calls were read: time is judged then. None where
        the calls do not say, and then nothing is too young.
    findings
        What is wrong with the data as a whole.
    known_statuses
        The status words that occur among the calls.
    n_compared
        How many matched calls were compared.
    counts
        Rows by what became of them, as plain numbers.
    """

    rules: Rules
    period: Period | None
    api_url: str | None
    fetched_at: pd.Timestamp | None
    findings: Findings
    known_statuses: tuple[str, ...]
    n_compared: int
    counts: Mapping[str, Any]
    _frames: LazyFrames
    _comparison: Callable[[], Comparison]

    def __post_init__(self) -> None:
        check_balance(self.balance, n_legs=int(self.counts["legs"]), n_calls=int(self.counts["calls"]))

    @property
    def pairs(self) -> pd.DataFrame:
        """One row per matched call, both sides beside each other (`schema.PAIRS`)."""
        return self._frames["pairs"]

    @property
    def discrepancies(self) -> pd.DataFrame:
        """One row per call and differing field, explained (`schema.DISCREPANCIES`)."""
        return self._frames["discrepancies"]

    @property
    def only_in_cdr(self) -> pd.DataFrame:
        """One row per CDR call that the API does not have."""
        return self._frames["only_in_cdr"]

    @property
    def only_in_api(self) -> pd.DataFrame:
        """The calls that no CDR matches, as fetched; ``call_id`` stands in front."""
        return self._frames["only_in_api"]

    @property
    def ambiguous(self) -> pd.DataFrame:
        """One row per rival pair: ``call_id``, ``cdr_id``, ``match_rule``, ``start_gap_s``."""
        return self._frames["ambiguous"]

    @property
    def excluded(self) -> pd.DataFrame:
        """One row per excluded call (``side`` api) and CDR call (``side`` cdr), with the reason."""
        return self._frames["excluded"]

    @property
    def legs(self) -> pd.DataFrame:
        """The legs as they came in, plus ``cdr_id``, ``call_id``, ``bucket`` and ``reason``."""
        return self._frames["legs"]

    @property
    def calls(self) -> pd.DataFrame:
        """The calls as they came in, plus ``cdr_id``, ``bucket`` and ``reason``."""
        return self._frames["calls"]

    @property
    def cdr_calls(self) -> pd.DataFrame:
        """One row per CDR call, reduced from its legs, instants as the CDR's clock had them."""
        return self._frames["cdr_calls"]

    @property
    def balance(self) -> pd.DataFrame:
        """One row per side, bucket and reason; ``rows`` adds up to the legs and calls that came in."""
        return self._frames["balance"]

    @property
    def status_table(self) -> pd.DataFrame:
        """Matched calls by CDR status (rows) and API status (columns)."""
        return self._frames["status_table"]

    @property
    def timezone(self) -> str:
        """The zone in which days are counted: that of the period, else UTC."""
        return self.period.timezone if self.period else "UTC"

    def rollup(self, by: str | Sequence[str] = ("field", "explanation")) -> pd.DataFrame:
        """Count the differing calls and sum their seconds by any column of the discrepancies.

        `by` also takes ``day``, ``hour`` and ``user``.
        """
        return roll_up(self.discrepancies, by, n_compared=self.n_compared, timezone=self.timezone)

    def ledger(self, by: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Account for every compared call in every field, before and after correcting.

        `by` splits every line by ``day``, ``hour``, ``direction``, ``user`` or ``source_file``.
        """
        if by is None:
            return self._frames["ledger"]
        return build_ledger(self._comparison(), by=by, timezone=self.timezone)

    def show(self, call_id: str, *, show_numbers: bool = False) -> CallView:
        """Show one call: both sides, every leg with its file and line, its rivals, and what may be planned.

        Parameters
        ----------
        call_id
            The API's id, whatever its case; a ``call_uuid`` or ``cdr_id`` is looked up as well.
        show_numbers
            Show phone numbers in full; they are masked otherwise.

        Raises
        ------
        InputError
            If nothing here has that id.
        """
        return show_call(self, call_id, show_numbers=show_numbers)

    def summary(self) -> dict[str, Any]:
        """Return counts and plain values; every view starts here."""
        found = self.discrepancies
        durations = found.loc[found["field"].eq("duration_seconds"), "delta_s"].fillna(0.0)
        patchable = found.loc[found["is_patchable"]]
        by_field = found["field"].value_counts()
        return {
            "verdict": self._verdict(found, patchable),
            "period": str(self.period) if self.period else None,
            "api_url": self.api_url,
            "fetched_at": self.fetched_at.isoformat() if self.fetched_at is not None else None,
            **self.counts,
            "compared": self.n_compared,
            "discrepancies": len(found),
            "calls_with_discrepancies": int(found["call_id"].nunique()),
            "patchable_discrepancies": len(patchable),
            "patchable_calls": int(patchable["call_id"].nunique()),
            "discrepancies_by_field": {str(name): int(n) for name, n in by_field.items()},
            "duration_net_s": float(durations.sum()),
            "duration_gross_s": float(durations.abs().sum()),
            "causes": rollup_sentences(found, limit=SHOWN_CAUSES),
            "findings": list(self.findings.codes),
            "stops": list(self.findings.stops.codes),
            "rules": self.rules.to_dict(),
            "rules_toml": self.rules.to_toml(),
        }

    def _verdict(self, found: pd.DataFrame, patchable: pd.DataFrame) -> str:
        differing, compared = int(found["call_id"].nunique()), plural(self.n_compared, "compared call")
        if differing:
            correctable = int(patchable["call_id"].nunique())
            said = f"{differing:,} of {compared} differ, {correctable:,} of them in what a plan may correct."
        elif self.n_compared:
            said = f"All of {compared} agree."
        else:
            said = "Nothing could be compared."
        stops = self.findings.stops.codes
        if stops:
            return f"Correct nothing yet ({', '.join(stops)}). {said}"
        return said

    def _largest(self) -> pd.DataFrame:
        found = self.discrepancies
        size = found["delta_s"].abs().to_numpy("float64", na_value=-1.0)
        first = np.lexsort((np.arange(len(found)), -size))[:SHOWN_DISCREPANCIES]
        return found.iloc[first].loc[:, list(_SHOWN)].reset_index(drop=True)

    def __repr__(self) -> str:
        said = self.summary()
        if said["stops"]:
            following = "rec.findings"
        elif said["patchable_calls"]:
            following = "build_plan(rec)"
        else:
            following = "rec.balance"
        return (
            f"<Reconciliation: {said['matched']:,} matched, {said['only_in_cdr']:,} only in the CDR, "
            f"{said['only_in_api']:,} only in the API, {said['ambiguous_calls']:,} ambiguous; "
            f"{plural(said['discrepancies'], 'discrepancy', 'discrepancies')} in "
            f"{plural(said['calls_with_discrepancies'], 'call')}; next: {following}>"
        )

    def _repr_html_(self) -> str:
        said = self.summary()
        counted = (
            f"{plural(said['matched'], 'matched call')}, {said['only_in_cdr']:,} only in the CDR, "
            f"{said['only_in_api']:,} only in the API, {said['ambiguous_calls']:,} ambiguous, "
            f"{said['excluded_calls']:,} excluded; {plural(said['discrepancies'], 'discrepancy', 'discrepancies')} "
            f"in {plural(said['calls_with_discrepancies'], 'call')}."
        )
        parts = [headline(said["verdict"]), html_text(counted)]
        if len(self.findings):
            parts.append(section("Findings", findings_table(self.findings)))
        if said["causes"]:
            items = "".join(f"<li>{escape(sentence)}</li>" for sentence in said["causes"])
            parts.append(section("Causes", f"<ul>{items}</ul>"))
        if said["discrepancies"]:
            parts.append(section("Largest discrepancies", compact_table(self._largest())))
        balance = self.balance
        parts.append(
            folded(
                "Balance: where every row ended up",
                compact_table(balance.loc[balance["rows"].gt(0)], max_rows=MAX_ROWS),
            )
        )
        parts.append(folded("Rules as applied, to pin in a file", f"<pre>{escape(said['rules_toml'])}</pre>"))
        tone = "stop" if said["stops"] else "warn" if said["discrepancies"] else "ok"
        subtitle = said["period"] or "no period: everything that was handed in"
        return card("Reconciliation", None, *parts, subtitle=subtitle, tone=tone)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write everything into a folder: one parquet file per frame, and the rest as JSON.

        The folder is as confidential as the CDR. It is written aside and then put in
        place; an earlier reconciliation there is replaced, anything else is refused.

        Returns
        -------
        Path
            The folder; `load_reconciliation` reads it back.
        """
        from sippet_reconcile.reconciliation.storage import save_reconciliation  # noqa: PLC0415 - it reads back this class

        return save_reconciliation(self, folder)


def count_rows(decided: Decided, comparison: Comparison) -> dict[str, Any]:
    """Return how many rows came in and what became of them."""
    sorting = decided.sorting
    calls, cdr, legs = (
        np.bincount(bucket, minlength=len(BUCKETS))
        for bucket in (sorting.call_bucket, sorting.cdr_bucket, sorting.leg_bucket)
    )
    rules = np.bincount(comparison.sides.rule, minlength=len(MATCH_RULES)).tolist()
    fields = comparison.fields
    return {
        "legs": len(decided.legs),
        "calls": len(decided.calls),
        "cdr_calls": len(decided.cdr_calls),
        "matched": int(calls[code_of(Bucket.MATCHED)]),
        "matched_by": dict(zip(MATCH_RULES, rules, strict=True)),
        "only_in_cdr": int(cdr[code_of(Bucket.ONLY_IN_CDR)]),
        "only_in_api": int(calls[code_of(Bucket.ONLY_IN_API)]),
        "ambiguous_calls": int(calls[code_of(Bucket.AMBIGUOUS)]),
        "ambiguous_cdr_calls": int(cdr[code_of(Bucket.AMBIGUOUS)]),
        "excluded_calls": int(calls[code_of(Bucket.EXCLUDED)]),
        "excluded_cdr_calls": int(cdr[code_of(Bucket.EXCLUDED)]),
        "outside_period_calls": int(calls[code_of(Bucket.OUTSIDE_PERIOD)]),
        "outside_period_cdr_calls": int(cdr[code_of(Bucket.OUTSIDE_PERIOD)]),
        "unusable_legs": int(legs[code_of(Bucket.UNUSABLE)]),
        "duplicate_legs": int(legs[code_of(Bucket.DUPLICATE)]),
        "helper_legs": int(legs[code_of(Bucket.HELPER)]),
        "no_evidence": {str(row.field): int(str(row.no_evidence)) for row in fields.itertuples(index=False)},
        "within_tolerance": {
            str(row.field): {
                "calls": int(str(row.within_tolerance)),
                "net_s": _plain(row.within_net_s),
                "gross_s": _plain(row.within_gross_s),
            }
            for row in fields.itertuples(index=False)
            if row.within_tolerance
        },
    }


def _plain(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
