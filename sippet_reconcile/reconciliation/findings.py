"""What is wrong with the data as a whole, said before any difference is shown.

A finding is one plain sentence with its figures, the rows that prove it, and what
to do next. Input is what a diagnosis worked out, output a sequence that prints
itself; whether a plan may be built is decided elsewhere, from `Findings.stops`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, overload

import pandas as pd

from sippet_reconcile._display import (
    card,
    escape,
    folded,
    html_text,
    mask_text,
    plural,
    section,
    text_table,
    visible,
)
from sippet_reconcile.reconciliation.checks import CHECKS, CODES, Outcome, conform_checks, untold
from sippet_reconcile.reconciliation.page import (
    SHOWN_ROWS,
    findings_table,
    hide_numbers,
    readable,
    shares_in_per_cent,
    shown_evidence,
)

__all__ = ["CODES", "Finding", "Findings", "Outcome", "Severity", "forbids_ended_at"]


class Severity(StrEnum):
    """What a finding asks for: nothing, a look, or a halt before any plan."""

    INFO = "info"
    WARN = "warn"
    STOP = "stop"


_RANK: Final[Mapping[Severity, int]] = {Severity.STOP: 0, Severity.WARN: 1, Severity.INFO: 2}


@dataclass(frozen=True, eq=False)
class Finding:
    """One observation about the data as a whole.

    Attributes
    ----------
    code
        A word of `CODES`; what `build_plan(accept=…)` takes.
    severity
        ``stop`` findings make a plan impossible until fixed or accepted.
    message
        One plain sentence with figures.
    evidence
        The rows or groups that prove it; any columns.
    advice
        What to do next, as one sentence.
    cure
        Rules that would remove the cause, by name, as measured; nothing is ever
        changed by itself, an analyst pins them in `Rules` or a TOML file.

    Examples
    --------
    >>> from sippet_reconcile.reconciliation.rules import Rules
    >>> ahead = Finding("clock-offset", Severity.STOP, "The CDR's clock is 7 s ahead.", cure={"clock_offset_s": 7})
    >>> ahead
    <Finding stop clock-offset: The CDR's clock is 7 s ahead.>
    >>> Rules(**ahead.cure).clock_offset_s
    7
    >>> ahead.summary()["evidence_rows"], ahead.to_html().startswith("<h4>stop: clock-offset</h4>")
    (0, True)
    """

    code: str
    severity: Severity
    message: str
    evidence: pd.DataFrame = field(default_factory=pd.DataFrame)
    advice: str = ""
    cure: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return visible(f"<Finding {self.severity.value} {self.code}: {mask_text(self.message)}>")

    def summary(self) -> dict[str, object]:
        """Return plain values: everything but the evidence, which is counted."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "advice": self.advice,
            "cure": dict(self.cure),
            "evidence_rows": len(self.evidence),
        }

    def to_html(self) -> str:
        """Return the finding as an escaped part of a page, evidence limited and numbers masked."""
        return section(
            f"{self.severity.value}: {self.code}", html_text(mask_text(self.message)), *self._parts()
        )

    def _parts(self) -> list[str]:
        advice = [f"<p><b>Next:</b> {escape(mask_text(self.advice))}</p>"] if self.advice else []
        return [*advice, shown_evidence(self)]

    def _repr_html_(self) -> str:
        title = f"Finding: {self.code} ({self.severity.value})"
        return card(title, None, *self._parts(), verdict=mask_text(self.message), tone=_tone([self]))


def _tone(findings: Sequence[Finding]) -> str:
    severities = {finding.severity for finding in findings}
    if Severity.STOP in severities:
        return "stop"
    return "warn" if Severity.WARN in severities else "ok"


class Findings(Sequence[Finding]):
    """The findings of one reconciliation: stops first, then in the order of `CODES`.

    Indexed by position like any sequence, or by code.

    Parameters
    ----------
    findings
        In any order.
    checks
        What was looked for at all, one row per code, as `checks` hands it out; none
        where nobody kept it.

    Examples
    --------
    >>> found = Findings([
    ...     Finding("duplicate-rows", Severity.INFO, "3 rows were sent twice."),
    ...     Finding("empty-side", Severity.STOP, "No calls.", advice="Fetch the period again."),
    ... ])
    >>> found.codes, found["empty-side"].severity.value, len(found.stops)
    (('empty-side', 'duplicate-rows'), 'stop', 1)
    >>> found
    <Findings: 2, of which 1 stop: empty-side; next: print(findings.to_text())>
    >>> print(found.to_text())
    [stop] empty-side: No calls.
      next: Fetch the period again.
    <BLANKLINE>
    [info] duplicate-rows: 3 rows were sent twice.
    >>> found.to_frame()[["severity", "code"]].to_numpy().tolist()
    [['stop', 'empty-side'], ['info', 'duplicate-rows']]
    >>> Findings.from_records(found.to_records()).codes == found.codes
    True
    """

    def __init__(self, findings: Iterable[Finding] = (), *, checks: pd.DataFrame | None = None) -> None:
        self._checks = conform_checks(checks)
        known = {code: place for place, code in enumerate(CODES)}
        self._items = tuple(
            sorted(findings, key=lambda f: (_RANK[f.severity], known.get(f.code, len(known)), f.code))
        )

    @property
    def codes(self) -> tuple[str, ...]:
        """Each code once, in order."""
        return tuple(dict.fromkeys(finding.code for finding in self._items))

    @property
    def checks(self) -> pd.DataFrame:
        """What was looked for, and what came of it: silence is not always good news.

        One row per code that was looked for, in the order of `CODES`: ``code``; ``outcome``
        (``found``, ``nothing found``, ``not enough evidence``, ``not looked at``);
        ``n_looked_at`` (Int64), how many rows could tell; ``n_needed`` (Int64), how many it
        takes, missing where any number will do; ``what`` (text), what these rows are, or
        why nobody looked. No rows where findings were made by hand, or saved by a version
        that did not keep this.

        Examples
        --------
        >>> row = {"code": "clock-offset", "outcome": "nothing found", "n_looked_at": 400, "n_needed": 20}
        >>> found = Findings(checks=pd.DataFrame([{**row, "what": "exactly matched calls"}]))
        >>> found.checks[["code", "outcome", "n_looked_at"]].to_numpy().tolist()
        [['clock-offset', 'nothing found', 400]]
        """
        return self._checks.copy()

    @property
    def untold(self) -> str:
        """One sentence that names what too few rows could tell; empty where there is nothing to name.

        Examples
        --------
        >>> row = {"code": "clock-offset", "outcome": "not enough evidence", "n_looked_at": 12, "n_needed": 20}
        >>> Findings(checks=pd.DataFrame([{**row, "what": "exactly matched calls"}])).untold
        'Not enough evidence for: clock-offset (12 of 20 exactly matched calls).'
        """
        return untold(self._checks)

    @property
    def stops(self) -> Findings:
        """The findings that make a plan impossible until they are fixed or accepted."""
        return Findings(finding for finding in self._items if finding.severity is Severity.STOP)

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, key: int | str) -> Finding: ...

    @overload
    def __getitem__(self, key: slice) -> Findings: ...

    def __getitem__(self, key: int | str | slice) -> Finding | Findings:
        if isinstance(key, slice):
            return Findings(self._items[key])
        if isinstance(key, str):
            for finding in self._items:
                if finding.code == key:
                    return finding
            msg = f"no finding has the code {key!r}; there are: {', '.join(self.codes) or 'none'}"
            raise KeyError(msg)
        return self._items[key]

    def __contains__(self, item: object) -> bool:
        return item in self.codes if isinstance(item, str) else item in self._items

    def __add__(self, other: Iterable[Finding]) -> Findings:
        checks = [self._checks, *([other.checks] if isinstance(other, Findings) else [])]
        return Findings([*self._items, *other], checks=pd.concat(checks, ignore_index=True))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per finding: code, severity, message, advice, rows of evidence."""
        columns = ["code", "severity", "message", "advice"]
        rows = [finding.summary() for finding in self._items]
        frame = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype="str") for name in columns})
        return frame.assign(evidence_rows=pd.Series([row["evidence_rows"] for row in rows], dtype="Int64"))

    def to_records(self, *, max_rows: int = 50) -> list[dict[str, Any]]:
        """Return plain values that JSON can hold, evidence as text and at most `max_rows` of it.

        What was looked for follows the findings, one record ``{"checked": …}`` per code.
        `from_records` reads both back; the evidence then is text.
        """
        records: list[dict[str, Any]] = []
        for finding in self._items:
            shown = readable(finding.evidence).head(max_rows)
            evidence = {
                str(name): [_plain(value) for value in shown[name].tolist()] for name in shown.columns
            }
            records.append({**finding.summary(), "evidence": evidence})
        checks = self._checks.astype("object").where(self._checks.notna(), None)
        return [*records, *({"checked": row} for row in checks.to_dict("records"))]

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]]) -> Findings:
        """Read back what `to_records` wrote, also by a version that kept no checks or cures."""
        records = list(records)
        findings = [
            Finding(
                code=str(record["code"]),
                severity=Severity(record["severity"]),
                message=str(record["message"]),
                evidence=pd.DataFrame(
                    {
                        name: pd.Series(values, dtype="str")
                        for name, values in record.get("evidence", {}).items()
                    }
                ),
                advice=str(record.get("advice", "")),
                cure=dict(record.get("cure", {})),
            )
            for record in records
            if "checked" not in record
        ]
        checked = [record["checked"] for record in records if "checked" in record]
        return cls(findings, checks=pd.DataFrame(checked, columns=list(CHECKS)))

    def cures_toml(self) -> str:
        """Return the rules that would remove what was found, as TOML to pin; empty where there are none.

        Each rule stands below a comment with the code and the sentence that proposes it.
        Where two findings ask for different values of one rule, the more serious one has
        it and the other stands there as a comment. Nothing is ever applied by itself.

        Examples
        --------
        >>> ahead = Finding("clock-offset", Severity.STOP, "The CDR's clock is 7 s ahead.", cure={"clock_offset_s": 7})
        >>> print(Findings([ahead]).cures_toml(), end="")
        # clock-offset: The CDR's clock is 7 s ahead.
        clock_offset_s = 7
        """
        plain: list[str] = []
        tables: dict[str, list[str]] = {}
        taken: set[tuple[str, str]] = set()
        for finding in self._items:
            said = " ".join(visible(f"{finding.code}: {finding.message}").split())
            for name, value in finding.cure.items():
                values = value.items() if isinstance(value, Mapping) else [("", value)]
                lines = tables.setdefault(name, []) if isinstance(value, Mapping) else plain
                lines.append(f"# {said}")
                for key, one in values:
                    line = f"{key or name} = {_toml_value(one)}"
                    if (name, key) in taken and line not in lines:
                        line = f"# or: {line}"
                    if line not in lines:
                        lines.append(line)
                    taken.add((name, key))
        for name, lines in tables.items():
            plain += [*([""] if plain else []), f"[{name}]", *lines]
        return "".join(f"{line}\n" for line in plain)

    def to_text(self) -> str:
        """Return every finding with its advice, its cure as a rule, and the first rows of its evidence."""
        said = [_as_text(finding) for finding in self._items] or ["No findings."]
        return visible("\n\n".join([*said, *([mask_text(self.untold)] if self.untold else [])]))

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        stops = self.stops.codes
        named = f", of which {len(self.stops)} stop: {', '.join(stops)}" if stops else ""
        return f"<Findings: {len(self)}{named}; next: print(findings.to_text())>"

    def _repr_html_(self) -> str:
        stops = len(self.stops)
        title = plural(len(self), "finding") if self._items else "No findings"
        subtitle = f"{stops} of them make a plan impossible until fixed or accepted" if stops else None
        parts = [findings_table(self)]
        if cures := self.cures_toml():
            parts.append(folded("Rules as measured, not applied", f"<pre>{escape(mask_text(cures))}</pre>"))
        return card(title, None, *parts, subtitle=subtitle, tone=_tone(self._items))


def _toml_value(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    # JSON's texts and numbers are TOML's, except that TOML wants DEL escaped as well.
    text = json.dumps(value, ensure_ascii=False, default=lambda number: number.item())  # numpy's numbers
    return text.replace("\x7f", "\\u007f")


def _plain(value: object) -> str | None:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - the one value that differs from itself is NaN
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else str(value)


def _as_text(finding: Finding) -> str:
    lines = [f"[{finding.severity.value}] {finding.code}: {mask_text(finding.message)}"]
    if finding.advice:
        lines.append(f"  next: {mask_text(finding.advice)}")
    cure = [line for line in Findings([finding]).cures_toml().splitlines() if not line.startswith("#")]
    if cure:
        lines += [
            "  as a rule, measured and not applied:",
            *(f"    {mask_text(line)}".rstrip() for line in cure),
        ]
    evidence = finding.evidence
    if len(evidence) and len(evidence.columns):
        head = shares_in_per_cent(hide_numbers(readable(evidence.head(SHOWN_ROWS))))
        columns = [head[name].tolist() for name in head.columns]
        table = text_table(list(zip(*columns, strict=True)), [str(name) for name in head.columns])
        lines += [f"  {line}" for line in table.splitlines()]
        if len(evidence) > SHOWN_ROWS:
            lines.append(f"  and {len(evidence) - SHOWN_ROWS:,} more")
    return "\n".join(lines)


def forbids_ended_at(findings: Findings) -> bool:
    """Tell whether the findings say that no ``ended_at`` may be planned, accepted or not.

    So it is where the CDR's instants are shifted by a time zone, or where the gap
    between the clocks drifts: no single correction makes such an instant right.

    Examples
    --------
    >>> forbids_ended_at(Findings([Finding("timezone-shift", Severity.STOP, "Shifted.")]))
    True
    """
    for finding in findings:
        if finding.code == "timezone-shift":
            return True
        if finding.code == "clock-offset" and "is_drifting" in finding.evidence.columns:
            # Findings read back from a file hold their evidence as text.
            drifting = finding.evidence["is_drifting"].astype("str").str.lower().eq("true")
            if bool(drifting.any()):
                return True
    return False
