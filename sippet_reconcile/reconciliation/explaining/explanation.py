"""What an explanation is: a name, its claim in one sentence, and a vectorised test.

Input of a test is the `Evidence` of one field, output one element per row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.explaining.evidence import Evidence, Mask

__all__ = ["UNEXPLAINED", "Explanation", "Test"]

UNEXPLAINED: Final = "unexplained"
"""The explanation of a row on which no test holds."""

Test = Callable[["Evidence"], Any]
"""Takes the `Evidence` of one field and returns one element per row."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """One named test.

    Attributes
    ----------
    name
        What the reader sees; ``{n}`` is replaced by the number that the test returns.
    fields
        The fields it may explain.
    claim
        What holds where it holds, in one sentence.
    phrase
        Ends the sentence "3,012 of 30,140 wrong durations …".
    test
        Takes the `Evidence` of one field and returns one element per row: a flag, or
        a whole number where the name carries one (0 where it does not hold).
    to_the_second
        Where the test allows a tolerance: marks the rows that need none. What holds
        within the tolerance alone gives way to all that is met to the second.
    by_company
        Whether it is arithmetic of the seconds alone, which another such cause may leave
        alike by chance: where several hold, the one leads that most rows of the whole
        reconciliation speak for (`company`). Never set where two fields agree.
    added_by
        The function of a user behind it, as ``module.name``; None where it is built in.
    """

    name: str
    fields: tuple[str, ...]
    claim: str
    phrase: str
    test: Test
    to_the_second: Callable[[Evidence], Mask] | None = None
    by_company: bool = False
    added_by: str | None = None
