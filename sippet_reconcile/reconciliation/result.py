"""What a reconciliation found: one frozen object that answers every question about it.

Input is what the steps decided, output are frames, counts and pages. Frames are built
when they are first asked for; every view begins with `Reconciliation.summary`, so that
text, page and file cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.groups import as_names
from sippet_reconcile.keys import match_positions
from sippet_reconcile.reconciliation.balance import check_balance
from sippet_reconcile.reconciliation.billed import billed_calls
from sippet_reconcile.reconciliation.ledger import build_ledger, check_compared
from sippet_reconcile.reconciliation.overview import overview_html, overview_text
from sippet_reconcile.reconciliation.plots import ReconciliationPlots
from sippet_reconcile.reconciliation.report import reconciliation_document
from sippet_reconcile.reconciliation.rollup import RollUp, roll_up, to_settle
from sippet_reconcile.reconciliation.show import CallView, show_call
from sippet_reconcile.reconciliation.summary import count_differing, summarise
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from sippet_reconcile.billing import BilledSeconds
    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation.comparing.compare import Comparison
    from sippet_reconcile.reconciliation.findings import Findings
    from sippet_reconcile.reconciliation.frames import LazyFrames
    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.report import Document

__all__ = ["Reconciliation"]

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

    Examples
    --------
    >>> import tempfile
    >>> from sippet_reconcile.demo import sample_reconciliation
    >>> rec = sample_reconciliation()
    >>> rec.summary()["verdict"]
    '288 of 2,316 compared calls differ, 284 of them in what a plan may correct.'
    >>> rec.discrepancies["field"].value_counts().to_dict()
    {'duration_seconds': 259, 'ended_at': 54, 'status': 50, 'started_at': 6}
    >>> print(repr(rec.show(rec.discrepancies["call_id"][0])).partition(";")[0])
    Call bbfbd3e5-4211-4192-91a9-d458a24dc3ab: matched
      duration_seconds differs (zero, also answered-but-zero): 0 s in the API, 204 s in the CDR, 204 s too little
    >>> rec.save(f"{tempfile.mkdtemp()}/october").name
    'october'
    >>> "62 of 259 wrong durations include ring time" in rec.to_markdown(), len(rec.to_json()) > 100_000
    (True, True)
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
        check_compared(self.balance, self.n_compared)

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
        """One row per rival pair: ``call_id``, ``cdr_id``, ``match_rule``, ``start_gap_s``.

        A pair without any rival is here too where it is not believed to be one call, such as
        what is left of a call and its redial: call and legs have the reason ``start-too-far``.
        """
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

    @property
    def causes(self) -> RollUp:
        """What the differences come to by field and cause: ``frame``, ``chart`` and two ``sentences``; prints itself.

        Examples
        --------
        >>> from sippet_reconcile.demo import sample_reconciliation
        >>> rec = sample_reconciliation()
        >>> len(rec.causes.sentences), rec.causes.frame.equals(rec.rollup())
        (2, True)
        """
        return replace(self._causes, frame=self._causes.frame.copy(deep=False))

    @cached_property
    def _causes(self) -> RollUp:
        rows, n_patchable = self.rollup(), self._differing["patchable_calls"]
        settled_first = to_settle(self.findings, rows)
        return RollUp.of(rows, self.discrepancies, stops=settled_first, n_patchable=n_patchable)

    @property
    def plot(self) -> ReconciliationPlots:
        """Pictures for matplotlib: ``causes()``, ``sizes()``, ``days()``, ``hours()``, ``buckets()``, ``start_gaps()``."""
        return ReconciliationPlots(self)

    def rollup(self, by: str | Sequence[str] = ("field", "explanation")) -> pd.DataFrame:
        """Count the differing calls and sum their seconds by any column of the discrepancies.

        `by` also takes ``day``, ``hour`` and ``user``, and the source columns that were
        kept (``x_…``), of which the first leg of a call counts.

        Examples
        --------
        >>> from sippet_reconcile.demo import sample_reconciliation
        >>> rec = sample_reconciliation()
        >>> rec.rollup(by=["explanation", "user"])[["explanation", "user"]].iloc[0].tolist()
        ['ring-time-included', '1001']
        """
        found = self.discrepancies
        kept = [name for name in as_names(by) if name not in found.columns and name in self._kept_columns]
        if kept:
            cdr_calls = self.cdr_calls
            at = match_positions(text_array(found["cdr_id"]), text_array(cdr_calls["cdr_id"]))
            found = found.assign(**{name: cdr_calls[name].array.take(at) for name in kept})
        return roll_up(found, by, n_compared=self.n_compared, timezone=self.timezone)

    @property
    def _kept_columns(self) -> list[str]:
        return [str(name) for name in self.cdr_calls.columns if str(name).startswith("x_")]

    def ledger(self, by: str | Sequence[str] | None = None, *, totals: bool = False) -> pd.DataFrame:
        """Account for every compared call in every field, before and after correcting.

        Every compared call is in one line of each field, and before plus change is after;
        that is checked each time, so a ledger which does not tie out is never handed out.

        Parameters
        ----------
        by
            Splits every line by ``day``, ``hour``, ``direction``, ``user``,
            ``source_file``, ``match_rule``, a source column that was kept (``x_…``), or
            several of these. Days and hours are those of `timezone`.
        totals
            Whether each field (of each group) ends in a line ``total``, of which
            ``is_corrected`` is missing.

        Returns
        -------
        DataFrame
            The `by` columns, ``field``, ``explanation``, ``is_corrected``, ``n_calls``,
            ``before_s``, ``change_s``, ``after_s``, ``net_s`` and ``gross_s``.

        Examples
        --------
        >>> from sippet_reconcile.demo import sample_reconciliation
        >>> rec = sample_reconciliation()
        >>> ledger = rec.ledger(by="direction", totals=True).query("field == 'duration_seconds'")
        >>> total = ledger[ledger["explanation"].eq("total")]
        >>> (total["before_s"] + total["change_s"]).equals(total["after_s"]), int(total["n_calls"].sum()) == rec.n_compared
        (True, True)
        """
        if not as_names(by) and not totals:
            return self._frames["ledger"]
        return build_ledger(self._comparison(), by=by, timezone=self.timezone, totals=totals)

    def billed_seconds(self) -> BilledSeconds:
        """Return every compared call with its seconds before and after correcting, as `billing_impact` takes them."""
        return billed_calls(self._comparison(), self._frames["ledger"], self.timezone)

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

    @cached_property
    def _differing(self) -> dict[str, Any]:
        return count_differing(self.discrepancies)

    def summary(self) -> dict[str, Any]:
        """Return counts and plain values; every view starts here.

        Beside counts it has the ``verdict``; ``rollup``, two sentences that say what the
        differences come to (empty where nothing differs); ``causes``, one sentence per
        field and cause; ``findings`` and ``stops``, their codes; ``not_enough_evidence``,
        the codes that too few rows could tell anything about; ``rules_toml``, the rules as
        applied; and ``proposed_rules_toml``, the same with the cures that were measured as
        comments, which nobody applies but who takes the comment sign off.
        """
        return deepcopy(self._summary)

    @cached_property
    def _summary(self) -> dict[str, Any]:
        return summarise(self, self._differing, self._causes)

    @cached_property
    def _largest(self) -> pd.DataFrame:
        """The discrepancies of the most seconds, those without seconds last."""
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

    def __str__(self) -> str:
        return overview_text(self.summary(), self.findings, self.causes, self._largest)

    def _repr_html_(self) -> str:
        return overview_html(self.summary(), self.findings, self.causes, self._largest, self.balance)

    def report(self, *, mask: bool = True) -> Document:
        """Return everything a colleague needs to see as one document, for HTML, Markdown or JSON.

        Parameters
        ----------
        mask
            Whether phone numbers are masked in it for good. Without it, the views of the
            document still mask what is in a column of numbers, unless told otherwise.

        Examples
        --------
        >>> from sippet_reconcile.demo import sample_reconciliation
        >>> rec = sample_reconciliation()
        >>> [part.title for part in rec.report().sections][:3]
        ['Findings about the data', 'Why they differ', 'The ledger']
        """
        return reconciliation_document(self, mask=mask)

    def to_html(self, path: str | os.PathLike[str], *, mask: bool = True) -> Path:
        """Write the report as one self-contained HTML file; return its path.

        It holds the 5,000 most significant differences and says where the others are.

        Parameters
        ----------
        path
            The file; its folder is made where it is not there.
        mask
            Whether phone numbers are masked.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sippet_reconcile.demo import sample_reconciliation
        >>> rec = sample_reconciliation()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     rec.to_html(Path(folder) / "october.html").name
        'october.html'
        """
        return self.report(mask=mask).to_html(path, mask=mask)

    def to_markdown(self, path: str | os.PathLike[str] | None = None, *, mask: bool = True) -> str:
        """Return the report as Markdown, and write it where a path is given."""
        return self.report(mask=mask).to_markdown(path, mask=mask)

    def to_json(self, path: str | os.PathLike[str] | None = None, *, mask: bool = True) -> str:
        """Return the report as JSON, and write it where a path is given."""
        return self.report(mask=mask).to_json(path, mask=mask)

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
