"""The exports of the month, read and reconciled with its calls.

Input are the files of every source and the snapshot, output is the reconciliation: the
one in the folder, where nothing that it was made from has changed.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from sippet_reconcile.cdr import read_cdr
from sippet_reconcile.errors import InputError
from sippet_reconcile.month.folder import RECONCILIATION, RULES
from sippet_reconcile.month.snapshot import Snapshot
from sippet_reconcile.month.work import KEPT, MADE, Work
from sippet_reconcile.reconciliation import Reconciliation, load_reconciliation, reconcile

__all__ = ["reconcile_exports", "sources_told"]


def reconcile_exports(work: Work, snapshot: Snapshot) -> Reconciliation:
    """Return the reconciliation of the month, and keep it in its folder.

    Raises
    ------
    InputError
        If an export cannot be read.
    """
    key = work.key_of(
        snapshot=snapshot.sha256,
        fetched_at=snapshot.fetched_at,
        sources=[
            {"options": source.options, "files": [(file.path.name, file.sha256) for file in files]}
            for source, files in zip(work.config.sources, work.inputs.sources, strict=True)
        ],
        rules=work.config.rules.to_dict(),
        period=work.period.to_dict(),
    )
    target = work.folder / RECONCILIATION
    rec = None
    if work.is_unchanged(RECONCILIATION, key):
        try:
            rec = load_reconciliation(target)
        except InputError as exc:
            work.note(f"The reconciliation is made again: {exc}")
    is_kept = rec is not None
    if rec is None:
        rec = reconcile(
            _legs(work), snapshot.calls, period=work.period, rules=work.config.rules, progress=work.progress
        )
        if target.exists() and not (target / "reconciliation.json").is_file():
            aside = work.folder.set_aside(RECONCILIATION, "damaged")
            work.note(f"What was left of the reconciliation is in {aside}.")
        rec.save(target)
    work.settle(RECONCILIATION, key, is_kept=is_kept)
    is_new = work.folder.write(RULES, rec.rules.to_toml())
    work.settle(RULES, key, is_kept=False)  # its facts are those of the file, whoever wrote the same before
    work.steps[RULES] = MADE if is_new else KEPT
    return rec


def _legs(work: Work) -> pd.DataFrame:
    """Read every source, and put the legs of all of them beneath each other."""
    frames = []
    for place, (source, files) in enumerate(
        zip(work.config.sources, work.inputs.sources, strict=True), start=1
    ):
        try:
            legs = read_cdr([file.path for file in files], **source.options, progress=work.progress)
        except InputError as exc:
            exc.add_note(
                f"It is about [[sources]] {place} of {work.config.path.name}, where each option is a key."
            )
            raise
        for file in files:
            file.require_unchanged()
        frames.append(legs)
    names = list(dict.fromkeys(name for legs in frames for name in legs.columns))
    # A column that one source alone carries along is missing in the others, and text in all of them.
    whole = [
        legs.assign(
            **{name: pd.Series(None, index=legs.index, dtype="str") for name in names if name not in legs}
        )
        for legs in frames
    ]
    return pd.concat([legs[names] for legs in whole], ignore_index=True) if len(whole) > 1 else whole[0]


def sources_told(work: Work) -> list[dict[str, Any]]:
    """Return each file that was read: its name beside the configuration, its size and its hash."""
    told = []
    for files in work.inputs.sources:
        for file in files:
            is_inside = file.path.is_relative_to(work.config.base)
            name = file.path.relative_to(work.config.base) if is_inside else file.path
            told.append({"path": name.as_posix(), "bytes": file.size, "sha256": file.sha256})
    return told
