"""What do explaining and diagnosing add to matching and comparing a month?

`matching and comparing` is `reconcile` itself with the settling of durations, the
explanations and the diagnosis taken out of its steps; that both find the same pairs and
discrepancies is checked first. `with its views` is `reconcile` as it is, and then its
summary, ledger, roll-up and page.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pandas as pd

import sippet_reconcile as sr
from sippet_reconcile.reconciliation import concluding, steps
from sippet_reconcile.reconciliation.diagnosing.basis import DurationBasis
from sippet_reconcile.reconciliation.findings import Findings
from tests.benchmarks.case import Case, Found, Group, Target
from tests.benchmarks.names import ZONE
from tests.benchmarks.worlds import WORLDS, make_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.case import Step

__all__ = ["GROUP", "check_agreement", "matching_and_comparing", "reconcile"]

BARE, RECONCILE, FULL = "matching and comparing", "reconcile", "with its views"
MOST = 1.6
"""Diagnosing may add so much to matching and comparing."""
COUNTED = ("matched", "only_in_cdr", "only_in_api", "ambiguous_calls", "discrepancies")
PERIOD = sr.Period.month("2026-10", timezone=ZONE)
RULES = sr.Rules(duration="billable")
EXPLAINED = ["explanation", "also"]


@contextlib.contextmanager
def matching_and_comparing() -> Iterator[None]:
    """Take settling durations, explaining and diagnosing out of the steps of `reconcile`."""

    def settled(*args: Any, **_: Any) -> tuple[sr.Rules, DurationBasis]:
        rules = next(one for one in args if isinstance(one, sr.Rules))
        return rules, DurationBasis(rules.duration, rules.duration, 0, 0, 0)

    with (
        mock.patch.object(concluding, "resolve_duration", settled),
        mock.patch.object(steps, "explain_discrepancies", lambda comparison, *_, **__: comparison),
        mock.patch.object(concluding, "diagnose", return_value=Findings(())),
    ):
        yield


def reconcile(legs: pd.DataFrame, calls: pd.DataFrame) -> sr.Reconciliation:
    """Reconcile the month."""
    return sr.reconcile(legs, calls, period=PERIOD, rules=RULES, progress=False)


def check_agreement(legs: pd.DataFrame, calls: pd.DataFrame) -> dict[str, Any]:
    """Compare what both parts find; an AssertionError says where they differ."""
    full = reconcile(legs, calls)
    with matching_and_comparing():
        bare = reconcile(legs, calls)
    pd.testing.assert_frame_equal(bare.pairs, full.pairs)
    pd.testing.assert_frame_equal(
        bare.discrepancies.drop(columns=EXPLAINED), full.discrepancies.drop(columns=EXPLAINED)
    )
    return {
        "pairs": len(full.pairs),
        "discrepancies": len(full.discrepancies),
        "share_differing": full.summary()["calls_with_discrepancies"] / max(full.n_compared, 1),
        "unexplained_by_bare": int(bare.discrepancies["explanation"].isna().sum()),
        "explained": full.discrepancies["explanation"].value_counts().to_dict(),
    }


def _prepare(folder: Path, size: int, _cache: Path) -> None:
    for world in WORLDS:
        legs, calls = make_world(world, size, folder)
        check_agreement(legs, calls)
        legs.to_pickle(folder / f"{world}-legs.pkl")
        calls.to_pickle(folder / f"{world}-calls.pkl")


def _load(folder: Path, world: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    legs, calls = (pd.read_pickle(folder / f"{world}-{name}.pkl") for name in ("legs", "calls"))  # noqa: S301 - our own
    reconcile(legs.iloc[:100], calls.iloc[:100])  # modules that are loaded when they are first used
    return legs, calls


def _bare(legs: pd.DataFrame, calls: pd.DataFrame) -> sr.Reconciliation:
    with matching_and_comparing():
        return reconcile(legs, calls)


def _full(legs: pd.DataFrame, calls: pd.DataFrame) -> sr.Reconciliation:
    rec = reconcile(legs, calls)
    for view in (rec.summary, rec.ledger, rec.rollup, rec._repr_html_):
        view()
    return rec


def _loads(
    world: str, work: Callable[[pd.DataFrame, pd.DataFrame], sr.Reconciliation]
) -> Callable[[Path], Step]:
    def load(folder: Path) -> Step:
        legs, calls = _load(folder, world)
        return lambda: work(legs, calls)

    return load


def _counts(rec: Any) -> dict[str, int]:
    said = rec.summary()
    return {name: said[name] for name in COUNTED}


def _wrong(_folder: Path, found: Found) -> list[str]:
    wrong: list[str] = []
    for world in WORLDS:
        told = {name: dict(facts) for name, facts in found.items() if name.startswith(world)}
        if any(facts != next(iter(told.values())) for facts in told.values()):
            wrong.append(f"{world} is not found the same: {told}")
    return wrong


GROUP = Group(
    "diagnosis",
    "What explaining and diagnosing add, in three months.",
    tuple(
        Case(f"{world}: {name}", _loads(world, work), _counts)
        for world in WORLDS
        for name, work in ((BARE, _bare), (RECONCILE, reconcile), (FULL, _full))
    ),
    f"usual: {BARE}",
    _prepare,
    size=1_000_000,
    wrong=_wrong,
    targets=tuple(
        Target(f"{world}: reconcile {FULL}, processor, times {BARE}", f"diagnosis/{world}: {FULL}", MOST,
               f"diagnosis/{world}: {BARE}", measure="cpu_s")
        for world in WORLDS
    ),
)  # fmt: skip
