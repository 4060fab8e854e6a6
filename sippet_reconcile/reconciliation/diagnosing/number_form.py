"""Measure how the CDR writes its numbers, beside how the API writes the same ones.

Input are exactly matched pairs, output is one verdict. Where the two differ, what stands
ahead of their common digits on either side is the transformation between them: a trunk
prefix, a missing country code, an international prefix.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict
from sippet_reconcile.reconciliation.findings import Finding, Severity
from sippet_reconcile.reconciliation.numbers import as_e164, compare_numbers, is_true, last_digits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.diagnosing.material import Material
    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["find_number_format"]

_PAIRS: Final = 50
"""Pairs below which the form of numbers is that of a caller or two."""

_LOOKED_AT: Final = 20_000
"""Evenly spaced pairs that are looked at: that many tell."""

_TRANSFORMED: Final = 2_000
"""Odd pairs whose digits are laid beside each other."""

_LACKING_SHARE: Final = 0.2
"""Some carriers send withheld or foreign numbers as they come; one in five is the export's doing."""

_DIFFERING_SHARE: Final = 0.5
"""Where every second number differs, it is no matter of single calls."""

_ONE_WAY: Final = 0.8
"""Share of the odd pairs that one transformation must explain to be named."""

_ONE_WAY_SHARE: Final = 0.05
"""So explained, fewer differing pairs are enough: single mistakes do not all take the same form."""

_SUFFIX: Final = 7
"""Common last digits that make two numbers the same one."""

_SEVEN_DIGITS: Final = r"(?:[0-9][^0-9]*){7}"
_NO_FORM, _DIFFERS = "no E.164 form on the CDR", "differs from the API's"


def find_number_format(material: Material) -> Verdict:
    """Look at 50 exactly matched pairs or more: numbers without E.164, or numbers that differ alike."""
    exact = material.exact
    looked_at = exact
    if len(exact) > _LOOKED_AT:
        looked_at = exact.at(np.linspace(0, len(exact) - 1, _LOOKED_AT).astype(np.int64))
    rows = [row for party in ("from", "to") for row in _party_rows(looked_at, party, material)]
    what = "exactly matched calls"
    n_seen = len(exact)
    bad = [row for row in rows if row["n_calls"] >= _PAIRS and _is_odd(row)]
    if not bad:
        return Verdict.of("number-format", None, n_looked_at=n_seen, n_needed=_PAIRS, what=what)
    types = {
        "field": "str",
        "what": "str",
        "n_calls": "Int64",
        "n_affected": "Int64",
        "cdr_has_ahead": "str",
        "api_has_ahead": "str",
        "n_alike": "Int64",
        "n_compared": "Int64",
    }
    evidence = pd.DataFrame(bad, columns=list(types)).astype(types)
    worst = max(bad, key=lambda row: row["n_affected"])
    message = (
        f"The form of the CDR's numbers is odd: {worst['field']} "
        f"{'has ' if worst['what'] == _NO_FORM else ''}{worst['what']} in {worst['n_affected']:,} of "
        f"{worst['n_calls']:,} pairs looked at{_transformation(worst)}."
    )
    # A number that is short of its area code too is equal in fewer digits than the rules ask for.
    fewer = [row["n_common"] for row in bad if row["what"] == _DIFFERS and row["n_alike"] is not None]
    cure = {"number_digits": min(fewer)} if fewer and min(fewer) < material.rules.number_digits else {}
    finding = Finding("number-format", Severity.WARN, message, evidence, _advice(worst), cure)
    return Verdict.of("number-format", finding, n_looked_at=n_seen, n_needed=_PAIRS, what=what)


def _is_odd(row: dict[str, Any]) -> bool:
    share = row["n_affected"] / row["n_calls"]
    if row["what"] == _NO_FORM:
        return bool(share >= _LACKING_SHARE)
    is_alike = row["n_alike"] is not None and row["n_affected"] >= _PAIRS
    return bool(share >= (_ONE_WAY_SHARE if is_alike else _DIFFERING_SHARE))


def _party_rows(sides: Sides, party: str, material: Material) -> list[dict[str, Any]]:
    """Return how many numbers of one party lack E.164 or differ, and the transformation that most of them need."""
    agrees, is_known = compare_numbers(sides, party, material.rules.number_digits)
    call, cdr = sides.call_text(f"{party}_number"), sides.cdr_text(f"{party}_number")
    has_e164 = np.asarray(sides.cdr_text(f"{party}_e164").is_valid())
    # Extensions and names have no E.164 form: only what has the digits of a number should have one,
    # and where both sides write the same nothing is odd about it.
    lacking = is_true(pc.match_substring_regex(cdr, pattern=_SEVEN_DIGITS)) & ~has_e164
    lacking &= ~is_true(pc.equal(call, cdr))
    # Where a phone rang that the API does not know, no other spelling of its extension is the number dialled.
    is_known &= ~(_is_short(cdr) & ~_is_short(call))
    differing = is_known & ~agrees & np.asarray(call.is_valid())
    rows = []
    for what, odd, total in (
        (_NO_FORM, lacking, int(np.count_nonzero(has_e164 | lacking))),
        (_DIFFERS, differing, int(np.count_nonzero(is_known))),
    ):
        row: dict[str, Any] = {
            "field": f"{party}_number",
            "what": what,
            "n_calls": total,
            "n_affected": int(np.count_nonzero(odd)),
        }
        rows.append({**row, **_alike(call, cdr, np.flatnonzero(odd))})
    return rows


def _is_short(numbers: pa.LargeStringArray) -> NDArray[np.bool_]:
    """Mark what has fewer digits than two numbers must have in common to be one."""
    return is_true(pc.less(pc.binary_length(last_digits(numbers, _SUFFIX)), _SUFFIX))


def _alike(call: pa.LargeStringArray, cdr: pa.LargeStringArray, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Return what stands ahead of the common last digits on either side, where most odd numbers say the same."""
    none = dict.fromkeys(("cdr_has_ahead", "api_has_ahead", "n_alike", "n_compared", "n_common"))
    if len(rows) < _PAIRS:
        return none
    if len(rows) > _TRANSFORMED:
        rows = rows[np.linspace(0, len(rows) - 1, _TRANSFORMED).astype(np.int64)]
    at = pa.array(rows)
    ours, theirs = (
        pc.replace_substring_regex(texts, pattern="[^0-9]", replacement="").to_pylist()
        for texts in (as_e164(call.take(at)), cdr.take(at))
    )
    ahead: Counter[tuple[str, str]] = Counter()
    common: dict[tuple[str, str], int] = {}
    for one, other in zip(ours, theirs, strict=True):
        if not one or not other:
            continue
        n = next(
            (k for k in range(min(len(one), len(other))) if one[-1 - k] != other[-1 - k]),
            min(len(one), len(other)),
        )
        if n >= _SUFFIX:
            key = (other[: len(other) - n], one[: len(one) - n])
            ahead[key] += 1
            common[key] = min(n, common.get(key, n))
    if not ahead:
        return none
    (cdr_has, api_has), count = ahead.most_common(1)[0]
    if count < _ONE_WAY * len(rows):
        return none
    return {
        "cdr_has_ahead": cdr_has,
        "api_has_ahead": f"+{api_has}",
        "n_alike": count,
        "n_compared": len(rows),
        "n_common": common[cdr_has, api_has],
    }


def _transformation(row: dict[str, Any]) -> str:
    if row["n_alike"] is None:
        return ""
    cdr_has, api_has = row["cdr_has_ahead"], row["api_has_ahead"]
    instead = (
        f"{cdr_has} where the API's begin with {api_has}"
        if cdr_has
        else f"nothing where the API's begin with {api_has}"
    )
    return f"; in {row['n_alike']:,} of {row['n_compared']:,} it begins with {instead}"


def _advice(row: dict[str, Any]) -> str:
    advice = "Pass country= to read_cdr (the ISO code in whose national form the numbers are), or set Rules(number_digits=…)."
    if row["n_alike"] is None:
        return advice
    cdr_has, api_has = str(row["cdr_has_ahead"]), str(row["api_has_ahead"])[1:]
    region = phonenumbers.region_code_for_country_code(int(api_has)) if api_has.isdigit() else "ZZ"
    country = f'country="{region}"' if region not in {"ZZ", "001"} else "country="
    outside = cdr_has.removesuffix("00").removesuffix("0") if api_has == "" or region != "ZZ" else ""
    if outside:
        more = f", {country}" if api_has else ""
        return f'Read the export again without the prefix for an outside line: strip_prefixes=("{outside}",){more}.'
    if api_has:
        return f"Read the export again with {country}, in whose national form the numbers are."
    return advice
