"""Add up what corrections are worth: per currency, by cause, by user, and what is in no sum.

Input are plain rows of calls with their cost before and after; output are the sums, from
which sections and sentences are made. Money is decimal throughout, and amounts of two
currencies are never added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MONEY", "MOST_CALLS", "SUMMED", "MoneyFacts"]

MOST_CALLS: Final = 20
"""Calls of the most money, and users, that are told of each currency."""

MONEY: Final = pa.decimal128(20, 6)
"""The type of an amount, and of a sum of amounts in one currency."""

SUMMED: Final = (
    "n_calls", "billed_s_before", "billed_s_after", "billed_s_delta",
    "cost_before", "cost_after", "cost_delta", "cost_added", "cost_removed",
)  # fmt: skip
"""What is added up."""

_EXAMPLES: Final = 3
_OF_CALL: Final = ("billed_s_before", "billed_s_after", "cost_before", "cost_after", "cost_delta")


@dataclass(frozen=True, eq=False)
class MoneyFacts:
    """What corrections are worth on one rate card, as plain data.

    Attributes
    ----------
    card, sha256
        The name of the card's file, and its hash.
    totals
        One row per currency, in the order of their codes: ``currency``, ``n_calls``,
        ``billed_s_before``, ``billed_s_after``, ``billed_s_delta`` (Int64, seconds),
        ``cost_before``, ``cost_after``, ``cost_delta``, ``cost_added``, ``cost_removed``
        (decimal, six places; added is zero or more, removed zero or less).
    causes
        The same per ``explanation`` and currency, the most money first.
    users
        The same per ``sip_username`` and currency, 20 of each currency at most, the most money first.
    n_users
        How many rows `users` would have without that limit.
    calls
        The calls of the most money, 20 of each currency at most: ``call_id``, ``explanation``,
        ``currency``, ``billed_s_before``, ``billed_s_after``, ``cost_before``, ``cost_after``,
        ``cost_delta``. Calls whose cost stays are not among them.
    unrated
        One row per reason why calls have no cost, before or after: ``reason``, ``n_calls``, ``examples``.
    unbilled
        Talk of the CDR that no Call record bills, one row per currency, and one per reason
        where it could not be rated, ``not-kept`` where the plan has no row of it: ``currency``, ``reason``, ``n_calls``, ``seconds``,
        ``billed_s``, ``cost``. Part of no sum.
    n_calls
        Calls that were looked at, rated or not.

    Examples
    --------
    >>> price = lambda *texts: pd.array([Decimal(one) for one in texts], dtype=pd.ArrowDtype(MONEY))
    >>> calls = pd.DataFrame({"call_id": ["a", "b"], "sip_username": "ana", "explanation": "zero", "currency": "GBP",
    ...                       "billed_s_before": [0, 60], "billed_s_after": [60, 30],
    ...                       "cost_before": price("0", "1"), "cost_after": price("1", "0.5"), "unrated_reason": None})
    >>> facts = MoneyFacts.of_calls(calls, card="rates.csv", sha256="00")
    >>> facts.totals[["currency", "cost_added", "cost_removed", "cost_delta"]].astype("str").iloc[0].tolist()
    ['GBP', '1.000000', '-0.500000', '0.500000']
    """

    card: str
    sha256: str
    totals: pd.DataFrame
    causes: pd.DataFrame
    users: pd.DataFrame
    n_users: int
    calls: pd.DataFrame
    unrated: pd.DataFrame
    unbilled: pd.DataFrame
    n_calls: int

    @classmethod
    def of_calls(
        cls,
        calls: pd.DataFrame,
        *,
        card: str,
        sha256: str,
        unbilled: pd.DataFrame | None = None,
        unbilled_left: tuple[int, float] = (0, 0.0),
    ) -> MoneyFacts:
        """Add up calls with their cost before and after.

        Parameters
        ----------
        calls
            One row per call: ``call_id``, ``sip_username``, ``explanation``, ``currency``,
            ``billed_s_before``, ``billed_s_after``, ``cost_before``, ``cost_after`` and
            ``unrated_reason``, missing where the call has a cost before and after. A call of
            no currency that costs nothing is in no sum.
        card, sha256
            The rate card's file and hash.
        unbilled
            One row per unbilled call of the CDR: ``seconds``, ``billed_s``, ``cost``, ``currency``,
            ``unrated_reason``.
        unbilled_left
            How many more there are of which the plan keeps no row, and their seconds.
        """
        rated = _priced(calls)
        causes, users = _sums(rated, "explanation"), _sums(rated, "sip_username")
        return cls(
            card=card,
            sha256=sha256,
            totals=_sums(rated).drop(columns="magnitude").sort_values("currency", ignore_index=True),
            causes=_largest(causes, "explanation", len(causes)),
            users=_largest(users, "sip_username", MOST_CALLS),
            n_users=len(users),
            calls=_most_money(rated),
            unrated=_unrated(calls),
            unbilled=_with_left(_unbilled(unbilled), *unbilled_left),
            n_calls=len(calls),
        )


def _priced(calls: pd.DataFrame) -> pa.Table:
    """Return the calls that have a cost and a currency, with what changes."""
    is_rated = calls["unrated_reason"].isna() & calls["currency"].notna()
    rows = calls.loc[is_rated.to_numpy(dtype=bool)]
    before, after = (_decimals(rows[f"cost_{side}"]) for side in ("before", "after"))
    delta = pc.subtract(after, before).cast(MONEY)
    zero = pa.scalar(Decimal(0), MONEY)
    seconds = {
        f"billed_s_{side}": pa.array(rows[f"billed_s_{side}"], pa.int64()) for side in ("before", "after")
    }
    texts = {
        name: pa.array(rows[name].astype("str"), pa.large_string(), from_pandas=True)
        for name in ("call_id", "sip_username", "explanation", "currency")
    }
    return pa.table(
        {
            **texts,
            **seconds,
            "billed_s_delta": pc.subtract(seconds["billed_s_after"], seconds["billed_s_before"]),
            "cost_before": before,
            "cost_after": after,
            "cost_delta": delta,
            "cost_added": pc.if_else(pc.greater(delta, zero), delta, zero),
            "cost_removed": pc.if_else(pc.less(delta, zero), delta, zero),
            "n_calls": pa.array([1] * len(rows), pa.int64()),
        }
    )


def _decimals(costs: pd.Series[Any]) -> pa.Array:
    return pa.array(costs.array, MONEY, from_pandas=True)


def _frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as a frame: texts as texts, counts as Int64, money as decimals."""
    columns: dict[str, pd.Series[Any]] = {}
    for name, values in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_decimal(values.type):
            columns[name] = pd.Series(pd.array(values.cast(MONEY), dtype=pd.ArrowDtype(MONEY)))
        elif pa.types.is_integer(values.type):
            columns[name] = pd.Series(values.to_pylist(), dtype="Int64")
        else:
            columns[name] = pd.Series(values.to_pylist(), dtype="str")
    return pd.DataFrame(columns)


def _sums(rated: pa.Table, *by: str) -> pd.DataFrame:
    """Return one row per currency and whatever else, with how much money moves."""
    keys = [*by, "currency"]
    summed = rated.group_by(keys).aggregate([(name, "sum") for name in SUMMED])
    named = summed.select([*keys, *(f"{name}_sum" for name in SUMMED)]).rename_columns([*keys, *SUMMED])
    moved = pc.subtract(named["cost_added"].cast(MONEY), named["cost_removed"].cast(MONEY))
    return _frame(named.append_column("magnitude", moved.cast(MONEY)))


def _largest(rows: pd.DataFrame, name: str, most: int) -> pd.DataFrame:
    """Return the rows where most money moves, so many of each currency."""
    ordered = rows.sort_values(
        ["currency", "magnitude", "n_calls", name], ascending=[True, False, False, True], kind="stable"
    )
    few = ordered.groupby("currency", sort=False).head(most)
    return few.drop(columns="magnitude").reset_index(drop=True)


def _most_money(rated: pa.Table) -> pd.DataFrame:
    """Return the calls of the most money, so many of each currency; those whose cost stays are none."""
    size = pc.abs(rated["cost_delta"])
    told = rated.select(["call_id", "explanation", "currency", *_OF_CALL]).append_column("magnitude", size)
    few = [told.slice(0, 0)]
    for code in sorted(pc.unique(told["currency"]).to_pylist()):
        moved = told.filter(
            pc.and_(pc.equal(told["currency"], code), pc.greater(size, pa.scalar(Decimal(0), MONEY)))
        )
        order = [("magnitude", "descending"), ("call_id", "ascending")]
        few.append(moved.take(pc.select_k_unstable(moved, MOST_CALLS, order)))
    return _frame(pa.concat_tables(few).drop_columns("magnitude"))


def _unrated(calls: pd.DataFrame) -> pd.DataFrame:
    rows = calls.loc[calls["unrated_reason"].notna().to_numpy(dtype=bool), ["call_id", "unrated_reason"]]
    counted = (
        rows.astype("str")
        .groupby("unrated_reason", sort=False)["call_id"]
        .agg(n_calls="size", examples=lambda ids: ", ".join(ids.head(_EXAMPLES)))
        .rename_axis("reason")
        .reset_index()
        .sort_values(["n_calls", "reason"], ascending=[False, True], ignore_index=True)
    )
    return counted.astype({"reason": "str", "n_calls": "Int64", "examples": "str"})


def _unbilled(calls: pd.DataFrame | None) -> pd.DataFrame:
    if calls is None:
        table = pa.table(
            {
                "currency": pa.array([], pa.large_string()),
                "reason": pa.array([], pa.large_string()),
                "n_calls": pa.array([], pa.int64()),
                "seconds": pa.array([], pa.float64()),
                "billed_s": pa.array([], pa.int64()),
                "cost": pa.array([], MONEY),
            }
        )
    else:
        table = pa.table(
            {
                "currency": pa.array(calls["currency"].astype("str"), pa.large_string(), from_pandas=True),
                "reason": pa.array(
                    calls["unrated_reason"].astype("str"), pa.large_string(), from_pandas=True
                ),
                "n_calls": pa.array([1] * len(calls), pa.int64()),
                "seconds": pa.array(calls["seconds"], pa.float64(), from_pandas=True),
                "billed_s": pa.array(calls["billed_s"], pa.int64(), from_pandas=True),
                "cost": _decimals(calls["cost"]),
            }
        )
    # The currency of a call without a cost says nothing.
    known = pc.if_else(pc.is_valid(table["reason"]), pa.scalar(None, pa.large_string()), table["currency"])
    table = table.set_column(0, "currency", known)
    names = ["n_calls", "seconds", "billed_s", "cost"]
    summed = table.group_by(["currency", "reason"]).aggregate([(name, "sum") for name in names])
    summed = summed.select(["currency", "reason", *(f"{name}_sum" for name in names)])
    frame = _frame(summed.rename_columns(["currency", "reason", *names]))
    frame["seconds"] = frame["seconds"].astype("Float64")
    return frame.sort_values(["currency", "reason"], na_position="last", ignore_index=True)


def _with_left(unbilled: pd.DataFrame, n_calls: int, seconds: float) -> pd.DataFrame:
    """Return what is unbilled with a row for the calls that the plan counts and does not keep."""
    if n_calls <= 0:
        return unbilled
    row = {"reason": "not-kept", "n_calls": n_calls, "seconds": seconds}
    left = pd.DataFrame([row]).reindex(columns=unbilled.columns)
    return pd.concat([unbilled, left.astype(unbilled.dtypes.to_dict())], ignore_index=True)
