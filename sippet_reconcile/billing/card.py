"""A rate card: what a minute to each prefix costs, from when until when.

Input are rows that `billing.reading` found in order, output is one frozen object that
every rating starts from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display.cards import card, folded
from sippet_reconcile._display.masking import mask_in_name, mask_like_number, mask_text
from sippet_reconcile._display.tables import html_table
from sippet_reconcile._display.text import joined, plural, shortened, visible
from sippet_reconcile.billing.cells import delivered_frame, delivered_rows
from sippet_reconcile.billing.reading import rates_of

if TYPE_CHECKING:
    import os

    from sippet_reconcile.billing.cells import Delivered

__all__ = ["RateCard"]

_FIRST: Final = 20


@dataclass(frozen=True, eq=False, repr=False)
class RateCard:
    r"""What calls cost, by prefix, direction, user and day.

    A card is made by `from_csv` or `from_frame`, which check all of it first.

    Attributes
    ----------
    source
        The name of the file that it was read from, or what the frame was called.
    sha256
        The hash of that file; of a frame, the hash of its cells.

    Notes
    -----
    The columns, one row per rate:

    - ``prefix``: the first digits of the called number in E.164, with or without its plus; ``*`` is every number;
    - ``rate_per_minute``: a decimal of at most ten places;
    - ``initial_s``: the seconds that are billed at least, once a call is answered; 0 is no least;
    - ``increment_s``: the steps in whole seconds after them, at least 1;
    - ``connect_fee``: a decimal, what an answered call costs besides; 0 is none;
    - ``currency``: three capital letters; currencies are never added up;
    - ``valid_from``: the first day, in the zone of the period; blank is from ever;
    - ``valid_to``: the first day that is no longer part; blank is for ever;
    - ``direction`` (optional): ``inbound``, ``outbound`` or ``internal``; blank is every direction;
    - ``user`` (optional): the SIP username, compared as it is written; blank is every user;
    - ``name`` (optional): what people call the destination.

    Which row wins: of the rows that fit a call and are valid on its day, those of the longest prefix; of these one
    with the user before one without, then one with the direction before one without, then the one whose
    validity lies within that of the others. A longer prefix that is not valid on the day hides no shorter one.

    How it rounds: fractions of a second round up; what is billed is ``initial_s``, and beyond it whole
    increments; the cost is ``billed_s * rate_per_minute / 60 + connect_fee``, rounded half up to six places, once per call.
    A call that was not answered costs nothing.

    Two rows of one prefix, direction and user may not say the same twice, not overlap in part, not
    both be open-ended from a first day on (a ``valid_to`` was forgotten), and not leave days between them without a
    rate. One within the other is its exception. Rows with a user or a direction may leave days between them on
    which rows of the same prefix are valid that name less: without the user, without the direction, or without both.

    Examples
    --------
    >>> import pandas as pd
    >>> import sippet_reconcile as sr
    >>> rates = {
    ...     "prefix": ["44", "44", "+447"], "rate_per_minute": ["0.012", "0.011", "0.06"], "initial_s": 1,
    ...     "increment_s": 1, "connect_fee": "0", "currency": "GBP",
    ...     "valid_from": ["2026-01-01", "2026-11-01", None], "valid_to": ["2026-11-01", None, None],
    ... }
    >>> card = sr.RateCard.from_frame(pd.DataFrame(rates), "two prices")
    >>> card
    <RateCard two prices: 3 rates for 2 prefixes in GBP; next: sr.billing_impact(rec, card)>
    >>> card.rows[["prefix", "rate_per_minute", "valid_from"]].astype("str").to_numpy().tolist()[0]
    ['44', '0.0120000000', '2026-01-01']
    """

    source: str
    sha256: str
    _rows: pd.DataFrame

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> RateCard:
        r"""Read a rate card from a CSV file and check all of it.

        Every cell is read as text: nothing is guessed, and no decimal becomes a float. Blank lines and white
        space around a cell are passed over; the order and the capitals of the header do not matter.

        Parameters
        ----------
        path
            A text in UTF-8, with or without a byte order mark, with commas or semicolons between its fields.

        Returns
        -------
        RateCard
            Its rows in the order of the file, each with its physical line.

        Raises
        ------
        InputError
            If there is no such file, or it cannot be read as CSV in UTF-8.
        SchemaError
            If anything in it is wrong, or there is no rate. It tells of every problem at once: ``.failures`` has one
            row per problem, with ``line`` (Int64, missing where the whole file is meant), ``column``, ``value`` and
            ``problem`` (str, the first two missing where a whole row, or a blank cell, is meant).

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import sippet_reconcile as sr
        >>> path = Path(tempfile.mkdtemp()) / "rates.csv"
        >>> head = "Prefix;Rate per minute;initial_s;increment_s;connect_fee;currency;valid_from;valid_to\n"
        >>> _ = path.write_text(head + "44;0.012;60;1;0;GBP;;\n", encoding="utf-8")
        >>> len(sr.RateCard.from_csv(path))
        1
        >>> _ = path.write_text(head + "044;0,012;60;0;0;GBP;;\n", encoding="utf-8")
        >>> try:
        ...     sr.RateCard.from_csv(path)
        ... except sr.SchemaError as error:
        ...     error.failures[["line", "column", "value"]].to_numpy().tolist()
        [[2, 'prefix', '044'], [2, 'rate_per_minute', '0,012'], [2, 'increment_s', '0']]
        """
        return cls._checked(delivered_rows(path))

    @classmethod
    def from_frame(cls, df: pd.DataFrame, source: str = "a frame") -> RateCard:
        """Take a rate card from a frame and check all of it.

        Parameters
        ----------
        df
            The columns of a rate card, of any type: texts, whole numbers, decimals, dates. A float counts as
            the decimal that it is written as. ``line``, which `rows` has, is left aside. It is not changed.
        source
            What to call it in messages and reports.

        Returns
        -------
        RateCard
            Its rows in the order of the frame; ``line`` counts them from 1.

        Raises
        ------
        SchemaError
            If anything in it is wrong, as in `from_csv`.

        Examples
        --------
        >>> import sippet_reconcile as sr
        >>> rate = {"prefix": ["*"], "rate_per_minute": [0.02], "initial_s": [60], "increment_s": [60]}
        >>> rest = {"connect_fee": [0], "currency": ["EUR"], "valid_from": [None], "valid_to": [None]}
        >>> sr.RateCard.from_frame(pd.DataFrame({**rate, **rest})).currencies
        ('EUR',)
        """
        return cls._checked(delivered_frame(df, source))

    @classmethod
    def _checked(cls, delivered: Delivered) -> RateCard:
        return cls(delivered.source, delivered.sha256, rates_of(delivered))

    @property
    def rows(self) -> pd.DataFrame:
        """One row per rate (`billing.frames.RATES`), in the order of the file; a copy."""
        return self._rows.copy()

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currencies of the card in alphabetical order; sums are told for each of them alone."""
        return tuple(sorted(self._rows["currency"].unique().tolist()))

    def __len__(self) -> int:
        """Return the number of rates."""
        return len(self._rows)

    @property
    def _called(self) -> str:
        return visible(shortened(mask_in_name(self.source)))

    @property
    def _counted(self) -> str:
        rates = plural(len(self), "rate")
        prefixes = plural(self._rows["prefix"].nunique(), "prefix", "prefixes")
        return f"{rates} for {prefixes} in {joined(self.currencies)}"

    def __repr__(self) -> str:
        return f"<RateCard {self._called}: {self._counted}; next: sr.billing_impact(rec, card)>"

    def _repr_html_(self) -> str:
        first = self._rows.head(_FIRST)
        shown = pd.DataFrame(
            {
                "line": first["line"],
                "prefix": first["prefix"].map(mask_like_number),
                "rate per minute": _plain(first["rate_per_minute"]),
                "initial (s)": first["initial_s"],
                "increment (s)": first["increment_s"],
                "connection fee": _plain(first["connect_fee"]),
                "currency": first["currency"],
                "valid from": first["valid_from"].astype("str"),
                "valid to": first["valid_to"].astype("str"),
                "direction": first["direction"],
                "user": first["user"].map(mask_like_number, na_action="ignore"),
                "name": first["name"].map(_named, na_action="ignore"),
            }
        )
        of_columns = ["valid from", "valid to", "direction", "user", "name"]
        shown = shown.drop(columns=[name for name in of_columns if shown[name].isna().all()])
        table = html_table(
            shown,
            max_rows=_FIRST,
            plain_numbers=["line"],
            right=["rate per minute", "connection fee"],
            n_rows=len(self),
        )
        return card(
            f"Rate card {self._called}",
            self._facts(),
            folded("Its first rates" if len(self) > _FIRST else "Its rates", table),
            subtitle=self._counted,
        )

    def _facts(self) -> dict[str, object]:
        """Return what a reader asks first of a card."""
        rows = self._rows
        starts, ends = rows["valid_from"], rows["valid_to"]
        facts: dict[str, object] = {
            "rates": len(rows),
            "prefixes": rows["prefix"].nunique(),
            "begins": "open" if starts.isna().any() else str(starts.min()),
            "ends": "open" if ends.isna().any() else str(ends.max()),
            "sha256": self.sha256[:12],
        }
        for currency, rates in rows.groupby("currency")["rate_per_minute"]:
            low, high = _plain(pd.Series([rates.min(), rates.max()], dtype=rates.dtype))
            facts[f"{currency} per minute"] = low if low == high else f"{low} to {high}"
        return facts


def _plain(amounts: pd.Series[Any]) -> pd.Series[str]:
    """Return decimals with as many places as the longest of them needs: their points stand in a line."""
    exact = [amount.normalize() for amount in amounts]
    most = max((-int(amount.as_tuple().exponent) for amount in exact), default=0)
    return pd.Series([f"{amount:.{max(most, 0)}f}" for amount in exact], index=amounts.index, dtype="str")


def _named(name: str) -> str:
    return shortened(mask_text(name))
