"""Match CDR legs with calls of the API, compare them, explain and diagnose.

Where a thing is, in the order in which data go through (imports point down this list):

``steps``, ``concluding``
    `reconcile`: the steps in their order, nothing decided; and those that follow once it is known which calls are
    the same.
``storage``, ``result``, ``counts``, ``summary``, ``frames``
    What a reconciliation hands out: the object, its folder, its counts, what it says of itself, its frames.
``report``, ``uncompared``, ``differences``
    The whole document: verdict and causes, what was not compared, every difference with its proof.
``overview``, ``page``
    What it says first in a notebook or a terminal, and the parts of such pages.
``show``, ``call_view``, ``timeline``, ``lanes``, ``ticks``
    One call: its rows gathered, the view of them, and the picture of both sides in time.
``plots``, ``charts``
    Pictures for matplotlib, and the charts that they share with the report.
``rollup``, ``ledger``, ``billed``
    What the differences come to: by cause in a frame, a chart and two sentences; in a ledger that ties out; and
    each call with the seconds that it is billed by, before and after.
``diagnosing``
    What is wrong with the data as a whole: clocks, meaning of columns, coverage, Call records alone.
``findings``, ``checks``
    What a finding is, how findings print themselves, and what was looked for at all.
``explaining``
    Why the API has the value it has: the table of named tests.
``comparing``
    Where two sides differ, and what of it could be written.
``balance``
    Which bucket every leg and call ends up in.
``preparing``
    What takes part, by which ids, and the CDR calls that legs become.
``matching``
    How legs become CDR calls, and how these find their calls.
``sides``, ``numbers``, ``statuses``, ``rules``, ``core``
    What all of them speak about: both sides of pairs, words for statuses, the rules, row positions.
"""

from sippet_reconcile.reconciliation.diagnosing.check import check_calls
from sippet_reconcile.reconciliation.diagnosing.own_times import corrections_from_times
from sippet_reconcile.reconciliation.explaining.evidence import Evidence
from sippet_reconcile.reconciliation.explaining.registry import (
    explanation,
    remove_explanation,
    temporary_explanations,
)
from sippet_reconcile.reconciliation.findings import Finding, Findings
from sippet_reconcile.reconciliation.result import Reconciliation
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.steps import reconcile
from sippet_reconcile.reconciliation.storage import load_reconciliation

__all__ = [
    "Evidence",
    "Finding",
    "Findings",
    "Reconciliation",
    "Rules",
    "check_calls",
    "corrections_from_times",
    "explanation",
    "load_reconciliation",
    "reconcile",
    "remove_explanation",
    "temporary_explanations",
]
