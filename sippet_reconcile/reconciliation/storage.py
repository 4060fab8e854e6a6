"""Keep a reconciliation for the month's file, and read it back as it was.

Input is a `Reconciliation` or a folder, output the other. A folder holds one parquet
file per frame, readable by anything that reads parquet, and ``reconciliation.json``
with the rest. Frames are read when somebody asks for them; whoever saved another
reconciliation there in the meantime is told, so that two are never mixed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sippet_reconcile._parquet import read_parquet
from sippet_reconcile._version import __version__
from sippet_reconcile.errors import InputError
from sippet_reconcile.keys import match_positions
from sippet_reconcile.period import Period
from sippet_reconcile.reconciliation.comparing.compare import compare_pairs
from sippet_reconcile.reconciliation.comparing.standing import Standing
from sippet_reconcile.reconciliation.core import CONFIDENCES, MATCH_RULES, PairPositions
from sippet_reconcile.reconciliation.findings import Finding, Findings, Severity
from sippet_reconcile.reconciliation.frames import LazyFrames
from sippet_reconcile.reconciliation.matching.reduce import CDR_CALLS
from sippet_reconcile.reconciliation.result import Reconciliation
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Sides
from sippet_reconcile.schema import DISCREPANCIES, PAIRS, FrameSchema, text_array, text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.comparing.compare import Comparison

__all__ = ["SCHEMA_VERSION", "load_reconciliation", "save_reconciliation"]

SCHEMA_VERSION: Final = 3
"""Version of the folder's layout that is written."""

READ_VERSIONS: Final = (2, 3)
"""Versions that are read; another one is refused. Version 2 kept no checks, cures, confidences and statuses of legs."""

_JSON: Final = "reconciliation.json"
_KIND: Final = "sippet_reconcile reconciliation"
_SAVE: Final = b"sippet_reconcile.save"
"""Where a frame's file says which saving it belongs to."""

_CHECKS: Final = "checks"
"""The frame of what was looked for; it belongs to the findings."""

_WITH_CHECKS: Final = 3
"""The first version that keeps them."""

_BLOCK: Final = 250_000

_SCHEMAS: Final = {
    "pairs": PAIRS,
    "discrepancies": DISCREPANCIES,
    "cdr_calls": CDR_CALLS,
    "only_in_cdr": CDR_CALLS,
}
"""Frames that have got further columns since a version that is still read."""


def save_reconciliation(rec: Reconciliation, folder: str | os.PathLike[str]) -> Path:
    """Write a reconciliation into a folder; see `Reconciliation.save`."""
    target = Path(folder)
    _refuse_other_content(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    save = uuid.uuid4().hex
    try:
        for name in rec._frames.names:  # noqa: SLF001 - this module is the other half of that class
            _write_frame(rec._frames[name], aside / f"{name}.parquet", name, save)  # noqa: SLF001
        _write_frame(rec.findings.checks, aside / f"{_CHECKS}.parquet", _CHECKS, save)
        for place, finding in enumerate(rec.findings):
            _write_frame(
                finding.evidence, aside / f"finding-{place:02d}.parquet", f"evidence of {finding.code}", save
            )
        values = {**_plain_values(rec), "save": save}
        # A cure may hold a number of numpy, which JSON does not know.
        text = json.dumps(values, ensure_ascii=False, indent=2, default=lambda number: number.item())
        (aside / _JSON).write_text(text, encoding="utf-8")
        aside.chmod(0o700)  # as confidential as the CDR
        if target.exists():
            shutil.rmtree(target)
        aside.replace(target)
    except OSError as exc:
        msg = f"the reconciliation cannot be saved in {target}: {exc}"
        raise InputError(msg) from exc
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _refuse_other_content(target: Path) -> None:
    if not target.exists() or (target / _JSON).is_file():
        return
    if not target.is_dir() or any(target.iterdir()):
        msg = f"{target} exists and is no saved reconciliation; name a new or empty folder"
        raise InputError(msg)


def _write_frame(frame: pd.DataFrame, path: Path, what: str, save: str) -> None:
    try:
        # What lies in the parts of a cluster is fetched and written so many rows at a time.
        blocks = iter((frame,) if isinstance(frame, pd.DataFrame) else frame.blocks(_BLOCK))
        first = pa.Table.from_pandas(next(blocks))
        described = {**(first.schema.metadata or {}), _SAVE: save.encode()}
        with pq.ParquetWriter(path, first.schema.with_metadata(described), compression="zstd") as file:
            file.write_table(first.replace_schema_metadata(described))
            for block in blocks:
                file.write_table(pa.Table.from_pandas(block).replace_schema_metadata(described))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as exc:
        msg = f"frame {what!r} holds a column that parquet cannot store: {exc}; drop it from legs or calls before reconciling"
        raise InputError(msg) from exc


def _plain_values(rec: Reconciliation) -> dict[str, Any]:
    return {
        "kind": _KIND,
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "rules": rec.rules.to_dict(),
        "period": rec.period.to_dict() if rec.period else None,
        "api_url": rec.api_url,
        "fetched_at": rec.fetched_at.isoformat() if rec.fetched_at is not None else None,
        "known_statuses": list(rec.known_statuses),
        "n_compared": rec.n_compared,
        "counts": dict(rec.counts),
        "frames": list(rec._frames.names),  # noqa: SLF001 - this module is the other half of that class
        "findings": [finding.summary() for finding in rec.findings],
    }


def load_reconciliation(folder: str | os.PathLike[str]) -> Reconciliation:
    """Read back what `Reconciliation.save` wrote.

    Parameters
    ----------
    folder
        The folder it was saved in, by this version or an earlier one of the same layout or
        the one before. Frames are read from it when they are first used, and refused where
        another reconciliation was saved there in the meantime. What an earlier version did
        not know yet is missing; a match by an id is certain, one by numbers fair.

    Raises
    ------
    InputError
        If the folder holds no reconciliation, part of it is missing, or it was
        written in a layout that this version does not know.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_reconciliation
    >>> import tempfile
    >>> rec = sample_reconciliation()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = sr.load_reconciliation(rec.save(f"{folder}/october"))
    ...     again.discrepancies.equals(rec.discrepancies)
    True
    """
    source = Path(folder)
    values = _read_values(source)
    try:
        names: list[str] = values["frames"]
        # A name becomes a path below.
        missing = [
            name for name in names if not name.isidentifier() or not (source / f"{name}.parquet").is_file()
        ]
        if missing:
            msg = f"{source} lacks the frames {', '.join(missing)}; it is not complete, save it again"
            raise InputError(msg)
        rules = Rules.from_dict(values["rules"])
        makers: dict[str, Callable[[], pd.DataFrame]] = {
            name: partial(_read_known, source / f"{name}.parquet", values["save"]) for name in names
        }
        frames = LazyFrames(makers)
        checks = source / f"{_CHECKS}.parquet"
        found = [
            Finding(
                code=said["code"],
                severity=Severity(said["severity"]),
                message=said["message"],
                evidence=_read_frame(source / f"finding-{place:02d}.parquet", values["save"]),
                advice=said["advice"],
                cure=said.get("cure", {}),
            )
            for place, said in enumerate(values["findings"])
        ]
        kept = _read_frame(checks, values["save"]) if values["schema_version"] >= _WITH_CHECKS else None
        findings = Findings(found, checks=kept)
        return Reconciliation(
            rules=rules,
            period=Period.from_dict(values["period"]) if values["period"] else None,
            api_url=values["api_url"],
            fetched_at=pd.Timestamp(values["fetched_at"]).as_unit("us") if values["fetched_at"] else None,
            findings=findings,
            known_statuses=tuple(values["known_statuses"]),
            n_compared=int(values["n_compared"]),
            counts=values["counts"],
            _frames=frames,
            _comparison=partial(_compare_again, frames, rules),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        msg = f"{source / _JSON} does not hold what a reconciliation needs ({exc}); save it again"
        raise InputError(msg) from exc


def _read_values(source: Path) -> dict[str, Any]:
    path = source / _JSON
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        msg = (
            f"{source} holds no saved reconciliation ({_JSON} is not there); name the folder given to save()"
        )
        raise InputError(msg) from exc
    except (OSError, ValueError) as exc:
        msg = f"{path} cannot be read: {exc}"
        raise InputError(msg) from exc
    if not isinstance(values, dict) or values.get("kind") != _KIND:
        msg = f"{path} is no saved reconciliation"
        raise InputError(msg)
    _refuse_other_versions(path, values)
    return values


def _refuse_other_versions(path: Path, values: dict[str, Any]) -> None:
    version = values.get("schema_version")
    if version in READ_VERSIONS and not isinstance(version, bool):
        return
    is_later = isinstance(version, int) and version > SCHEMA_VERSION
    told = (
        f"was written by a later version of sippet_reconcile, {values.get('tool_version')!r} (it has the schema "
        f"version {version!r}, this one reads {SCHEMA_VERSION}): update sippet_reconcile, or reconcile again"
        if is_later
        else f"has the schema version {version!r}, this version of the tool reads {' and '.join(map(str, READ_VERSIONS))}; use the version "
        f"that wrote it, {values.get('tool_version')!r}, or reconcile again"
    )
    msg = f"{path} {told}"
    raise InputError(msg)


def _read_frame(path: Path, save: str) -> pd.DataFrame:
    try:
        table = read_parquet(path)
    except (OSError, pa.ArrowInvalid) as exc:
        msg = f"{path} cannot be read: {exc}"
        raise InputError(msg) from exc
    if (table.schema.metadata or {}).get(_SAVE) != save.encode():
        msg = f"another reconciliation was saved in {path.parent} since this one was loaded; load it again"
        raise InputError(msg)
    try:
        # The dtypes and the index are in the file's own description.
        return table.to_pandas()
    # All of what a made-up description of dtypes and index leads pandas and Arrow to.
    except (
        pa.ArrowException,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        SyntaxError,
        RecursionError,
    ) as exc:
        msg = f"{path} cannot be read: its columns are not as it describes them ({type(exc).__name__}); save it again"
        raise InputError(msg) from exc


def _read_known(path: Path, save: str) -> pd.DataFrame:
    """Read a frame, with the columns that its version did not know yet."""
    frame = _read_frame(path, save)
    return completed(frame, _SCHEMAS[path.stem]) if path.stem in _SCHEMAS else frame


def completed(frame: pd.DataFrame, schema: FrameSchema) -> pd.DataFrame:
    """Return a frame of an earlier version with the columns of this one, in their order, then its own further ones.

    A confidence follows from the match rule; anything else that was not kept is missing.
    """
    absent = [column for column in schema.columns if column.name not in frame.columns]
    if not absent:
        return frame
    filled: dict[str, Any] = {}
    for column in absent:
        if column.name == "confidence":
            rule, nowhere = _codes(frame["match_rule"], MATCH_RULES), np.full(len(frame), -1, np.int64)
            confidence = PairPositions(nowhere, nowhere, rule).confidence
            words = pa.array(CONFIDENCES, pa.large_string()).take(pa.array(confidence))
            filled[column.name] = text_series(words, frame.index)
        else:
            filled[column.name] = pd.Series(None, index=frame.index, dtype=column.kind.value)
    further = [name for name in frame.columns if name not in schema.names]
    return frame.assign(**filled).loc[:, [*schema.names, *further]]


def _codes(words: pd.Series[str], known: Sequence[str]) -> NDArray[np.int8]:
    return words.map({word: code for code, word in enumerate(known)}).to_numpy().astype(np.int8)


def _compare_again(frames: LazyFrames, rules: Rules) -> Comparison:
    """Compare the saved pairs anew, for ledgers by groups that no frame holds; what was found stays as it was saved.

    The explanations are those of whoever reconciled, own ones included, and what could
    be corrected then is what can be corrected now.
    """
    calls, cdr_calls, pairs = frames["calls"], frames["cdr_calls"], frames["pairs"]
    taking_part = text_array(calls["id"].where(calls["bucket"].eq("matched")))
    positions = PairPositions(
        match_positions(text_array(pairs["call_id"]), taking_part),
        match_positions(text_array(pairs["cdr_id"]), text_array(cdr_calls["cdr_id"])),
        _codes(pairs["match_rule"], MATCH_RULES),
        _codes(pairs["confidence"], CONFIDENCES),
    )
    comparison = compare_pairs(Sides.of(calls, cdr_calls, positions, rules), rules)
    found = frames["discrepancies"]
    pair_rows = match_positions(text_array(found["call_id"]), text_array(pairs["call_id"]))
    fields = found["field"].to_numpy()
    for name, result in comparison.results.items():
        if not np.array_equal(np.sort(pair_rows[fields == name]), result.rows(Standing.DIFFERS)):
            msg = (
                f"this version of sippet_reconcile finds other calls that differ in {name} than the one that saved the "
                "reconciliation, so no ledger can be split from it; reconcile again"
            )
            raise InputError(msg)
    return replace(comparison, discrepancies=found, pair_rows=pair_rows)
