"""What carriers print in place of a plain telephone number: SIP and client addresses, and numbers without their ``+``.

Input are columns of callers and called, output the user that an address names, and the
same column with the ``+`` that the carrier leaves out.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.texts import matches
from sippet_reconcile.cdr.tables import TEXT
from sippet_reconcile.normalize import map_distinct, with_missing
from sippet_reconcile.phones import e164_array

__all__ = ["user_of", "users", "with_plus"]

_USER: Final = re.compile(r"client:(?P<client>.+)|(?:sips?:)?(?P<sip>[^@:;/]+)[^@/]*@", re.IGNORECASE)
_WHOLE: Final = r"^[1-9][0-9]{10,14}$"
"""So many digits can only be a number with its calling code, where a carrier prints every number with it."""

_SHORT: Final = r"^[1-9][0-9]{6,9}$"


def user_of(address: str) -> str | None:
    """Return the user that a client or SIP address names; a telephone number names none.

    A SIP address comes with and without ``sip:``; a password in it is not looked at.

    Examples
    --------
    >>> user_of("client:ana"), user_of("sip:bo:secret@pbx.example"), user_of("+12125550123")
    ('ana', 'bo', None)
    """
    found = _USER.match(address)
    name = None if found is None else found["client"] or found["sip"]
    return name or None


def users(*columns: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return the user that the first address in each row names; numbers are not looked at twice."""
    found = [pa.nulls(len(columns[0]), TEXT)]
    for column in columns:
        # Most columns hold numbers throughout: two plain searches are quicker than one pattern.
        marks = pc.match_substring(column, "@"), pc.starts_with(column, "client:", ignore_case=True)
        is_address = np.asarray(pc.fill_null(pc.or_(*marks), fill_value=False))
        if bool(is_address.any()):
            found.append(map_distinct(with_missing(column, ~is_address), user_of))
    return pc.coalesce(*found)


def with_plus(array: pa.LargeStringArray, country: str | None) -> pa.LargeStringArray:
    """Return numbers with the ``+`` that a carrier leaves out who prints every number in international form.

    Eleven digits and more are such a number. Fewer may be a national one that slipped
    through: they count only if the caller's country makes the same of them, and are
    missing otherwise. What is no plain number stays.

    Examples
    --------
    >>> numbers = pa.array(["442079460123", "4420794601", "+12125550123", "1001", "sip:a@b"], pa.large_string())
    >>> with_plus(numbers, None).to_pylist()
    ['+442079460123', None, '+12125550123', '1001', 'sip:a@b']
    """
    plus, nothing = pa.scalar("+", TEXT), pa.scalar("", TEXT)
    bare = ~np.asarray(pc.fill_null(pc.starts_with(array, "+"), fill_value=True))
    if not bool(bare.any()):
        return array
    whole = matches(array, _WHOLE)
    if bool(whole.all()):
        return pc.binary_join_element_wise(plus, array, nothing)
    if bool(whole.any()):
        array = pc.if_else(pa.array(whole), pc.binary_join_element_wise(plus, array, nothing), array)
    short = np.zeros(len(array), bool)
    others = bare & ~whole
    short[others] = matches(array.filter(pa.array(others)), _SHORT)
    if not bool(short.any()):
        return array
    mask = pa.array(short)
    national = array.filter(mask)
    international = e164_array(pc.binary_join_element_wise(plus, national, nothing))
    by_country = e164_array(national, country=country)
    # A number of one reading is that; one of two is neither.
    agree = np.asarray(pc.fill_null(pc.equal(international, by_country), fill_value=False))
    alone = np.asarray(international.is_null())
    read = pc.if_else(pa.array(agree | alone), by_country, pa.scalar(None, TEXT))
    return pc.replace_with_mask(array, mask, read)
