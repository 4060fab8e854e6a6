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
from collections.abc import Callable
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
from sippet_reconcile.reconciliation.core import MATCH_RULES, PairPositions
from sippet_reconcile.reconciliation.explaining.explain import explain_discrepancies
from sippet_reconcile.reconciliation.findings import Finding, Findings, Severity
from sippet_reconcile.reconciliation.frames import LazyFrames
from sippet_reconcile.reconciliation.result import Reconciliation
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.comparing.compare import Comparison

__all__ = ["SCHEMA_VERSION", "load_reconciliation", "save_reconciliation"]

SCHEMA_VERSION: Final = 2
"""Version of the folder's layout; another one is refused."""

_JSON: Final = "reconciliation.json"
_KIND: Final = "sippet_reconcile reconciliation"
_SAVE: Final = b"sippet_reconcile.save"
"""Where a frame's file says which saving it belongs to."""


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
        for place, finding in enumerate(rec.findings):
            _write_frame(
                finding.evidence, aside / f"finding-{place:02d}.parquet", f"evidence of {finding.code}", save
            )
        text = json.dumps({**_plain_values(rec), "save": save}, ensure_ascii=False, indent=2)
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
        table = pa.Table.from_pandas(frame)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _SAVE: save.encode()})
        pq.write_table(table, path, compression="zstd")
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
        The folder it was saved in. Frames are read from it when they are first used,
        and refused where another reconciliation was saved there in the meantime.

    Raises
    ------
    InputError
        If the folder holds no reconciliation, part of it is missing, or it was
        written in a layout that this version does not know.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> import tempfile
    >>> legs = sr.read_cdr(sample_data() / "freeswitch" / "Master.csv", timezone="Europe/London", country="GB")
    >>> calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    >>> rec = sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"))
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
            name: partial(_read_frame, source / f"{name}.parquet", values["save"]) for name in names
        }
        frames = LazyFrames(makers)
        findings = Findings(
            Finding(
                code=said["code"],
                severity=Severity(said["severity"]),
                message=said["message"],
                evidence=_read_frame(source / f"finding-{place:02d}.parquet", values["save"]),
                advice=said["advice"],
            )
            for place, said in enumerate(values["findings"])
        )
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
    if version == SCHEMA_VERSION:
        return
    is_later = isinstance(version, int) and version > SCHEMA_VERSION
    told = (
        f"was written by a later version of sippet_reconcile, {values.get('tool_version')!r} (it has the schema "
        f"version {version!r}, this one reads {SCHEMA_VERSION}): update sippet_reconcile, or reconcile again"
        if is_later
        else f"has the schema version {version!r}, this version of the tool reads {SCHEMA_VERSION}; use the version "
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


def _compare_again(frames: LazyFrames, rules: Rules) -> Comparison:
    """Compare the saved pairs anew; ledgers by other groups need what no frame holds."""
    calls, cdr_calls, pairs = frames["calls"], frames["cdr_calls"], frames["pairs"]
    codes = {word: code for code, word in enumerate(MATCH_RULES)}
    taking_part = text_array(calls["id"].where(calls["bucket"].eq("matched")))
    positions = PairPositions(
        match_positions(text_array(pairs["call_id"]), taking_part),
        match_positions(text_array(pairs["cdr_id"]), text_array(cdr_calls["cdr_id"])),
        pairs["match_rule"].map(codes).to_numpy().astype(np.int8),
    )
    return explain_discrepancies(compare_pairs(calls, cdr_calls, positions, rules))
