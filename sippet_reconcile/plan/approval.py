"""Say who answers for a plan: one person's word for one content, with the instant and the reason.

Input is what a person types, or what a saved plan says; output is an `Approval`. A name
is no signature: what is checked here keeps one person from counting twice by accident,
and a file from saying what no person could have said. Nothing here proves who typed it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sippet_reconcile.errors import InputError, PlanError
from sippet_reconcile.plan.validation import is_unicode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["LONGEST_NAME", "LONGEST_NOTE", "Approval", "people_named", "people_of"]

LONGEST_NAME: Final = 200
"""Characters that the name of a person may have."""

LONGEST_NOTE: Final = 10_000
"""Characters that a note may have: it stands in every report and in the audit log."""

_CLOCKS_DIFFER_BY: Final = timedelta(minutes=5)
"""What the clocks of two colleagues may be apart; an approval of a later moment was not given yet."""

_FIRST_YEAR: Final = 1970

_JOINERS: Final = "\u200c\u200d"
"""Invisible, and part of how some languages write names."""

_BLANK: Final = re.compile(
    "[\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
"""Letters and marks to Unicode, nothing to the eye: fillers, and selectors of a variant."""

_ACCENTS: Final = re.compile("[\u0300-\u036f]")

_STEERS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What steers a terminal, ends a line, or turns the text that follows it round."""


def _readable(name: str) -> str:
    """Return a name as it is stored: composed, with single blanks, without what nobody can see."""
    seen = "".join(
        sign
        for sign in unicodedata.normalize("NFC", name)
        if sign in _JOINERS or _STEERS.match(sign) or unicodedata.category(sign) != "Cf"
    )
    return " ".join(seen.split())


def _person(name: str) -> str:
    """Return the letters and digits of a name, whatever its case, accents, width and punctuation."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    bare = _ACCENTS.sub("", _BLANK.sub("", folded))
    letters = "".join(sign for sign in bare if unicodedata.category(sign)[0] in "LMN")
    return unicodedata.normalize("NFC", letters)


@dataclass(frozen=True)
class Approval:
    """One person's word that this very plan may be applied.

    Attributes
    ----------
    by
        Who approved.
    at
        When, as ISO 8601 in UTC.
    note
        Why, in their words.
    plan_id
        The fingerprint of what they approved.

    Examples
    --------
    >>> approval = Approval("ana", "2026-11-02T09:00:00+00:00", "looked at ten of them", "3f0c")
    >>> Approval.from_dict(approval.to_dict()) == approval
    True
    """

    by: str
    at: str
    note: str
    plan_id: str

    @classmethod
    def given(cls, by: object, note: object, plan_id: str) -> Approval:
        r"""Return the approval that a person gives now.

        Raises
        ------
        InputError
            If `by` is no name, or `note` no text; if one is too long, or the name holds
            what steers a terminal or turns text round.

        Examples
        --------
        >>> Approval.given(" Ana\u00ad  López ", "October billing", "3f0c").by
        'Ana López'
        """
        if not isinstance(by, str) or not is_unicode(by) or not _person(by):
            msg = f"an approval needs the name of a person, by={by!r} is none"
            raise InputError(msg)
        name = _readable(by)
        if steering := _STEERS.search(name):
            msg = f"the name of a person is letters, by={name!r} holds {steering[0]!r}, which does not show; type it anew"
            raise InputError(msg)
        if not isinstance(note, str) or not is_unicode(note):
            msg = f"the note of an approval is text, not {note!r}"
            raise InputError(msg)
        for what, text, most in (("name", name, LONGEST_NAME), ("note", note.strip(), LONGEST_NOTE)):
            if len(text) > most:
                msg = (
                    f"the {what} of an approval has {len(text):,} characters, and may have {most:,}; "
                    "name the document that holds the rest"
                )
                raise InputError(msg)
        return cls(name, datetime.now(UTC).isoformat(timespec="seconds"), note.strip(), plan_id)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Approval:
        """Return the approval that a saved plan holds.

        Raises
        ------
        PlanError
            If it is none that a person can have given: no name, no instant, no text.
        """
        names = [item.name for item in fields(cls)]
        texts = {name: value for name, value in values.items() if isinstance(value, str)}
        if sorted(texts) != sorted(names) or len(values) != len(names):
            msg = f"an approval holds {', '.join(names)} as text, and nothing else"
            raise PlanError(msg)
        approval = cls(**texts)
        if not approval.person:
            msg = "an approval without the name of a person"
            raise PlanError(msg)
        _ = approval.given_at
        return approval

    @property
    def given_at(self) -> datetime:
        """When it was given, as an instant in UTC.

        Raises
        ------
        PlanError
            If `at` is no instant.

        Examples
        --------
        >>> Approval("ana", "2026-11-02T09:00:00+00:00", "", "3f0c").given_at.hour
        9
        """
        try:
            at = datetime.fromisoformat(self.at)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None or at.year < _FIRST_YEAR:
            msg = f"the approval by {self.by} is dated {self.at!r}, which is no instant such as 2026-11-02T09:00:00+00:00"
            raise PlanError(msg)
        return at.astimezone(UTC)

    @property
    def person(self) -> str:
        r"""Who it is, however the name is typed: two approvals are to be of four eyes.

        Letters and digits count, in their order. Case, accents, blanks, punctuation,
        invisible characters and the width of letters make no other person, so that whoever
        approves again in other words is not taken for a second one. Another spelling, a
        short form or an address is another name, and a letter of another alphabet is another letter.

        Examples
        --------
        >>> def person(by):
        ...     return Approval(by, "", "", "").person
        >>> person("Ana  LÓPEZ") == person("ana.lopez") == person("An\u00ada Lo\u0301pez\u200b")
        True
        >>> person("ana") == person("ana lopez"), person("ana 1") == person("ana 2")
        (False, False)
        """
        return _person(self.by)

    def is_yet_to_come(self, now: datetime) -> bool:
        """Tell whether it is dated later than now, by more than two clocks may differ (five minutes).

        Examples
        --------
        >>> from datetime import UTC, datetime
        >>> approval = Approval("ana", "2026-11-02T09:00:00+00:00", "", "3f0c")
        >>> [approval.is_yet_to_come(datetime(2026, 11, 2, 8, minute, tzinfo=UTC)) for minute in (54, 55)]
        [True, False]
        """
        return self.given_at > now + _CLOCKS_DIFFER_BY

    def to_dict(self) -> dict[str, str]:
        """Return plain values for a saved plan or an audit record."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def people_of(approvals: Iterable[Approval]) -> list[str]:
    """Return the names of the people who approved, each person once, as they signed first.

    Examples
    --------
    >>> people_of(Approval(by, "", "", "") for by in ("Ana", "ben", "ANA."))
    ['Ana', 'ben']
    """
    return people_named(approval.by for approval in approvals)


def people_named(names: Iterable[str]) -> list[str]:
    """Return names, each person's first one only.

    Examples
    --------
    >>> people_named(["Ana", "ben", "ANA."])
    ['Ana', 'ben']
    """
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(_person(name), name)
    return list(first.values())
