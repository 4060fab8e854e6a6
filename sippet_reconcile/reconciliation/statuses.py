"""Which words of the API agree with which words of the CDR, and which word would be written.

Input are the words that occur and the rules, output a small table per pair of
words. Two words are the same where they differ only in case, ``-``, ``_`` or blanks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sippet_reconcile.schema import LEG_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sippet_reconcile.reconciliation.rules import Rules

__all__ = [
    "ANSWERED",
    "COARSE_CAUSES",
    "NO_STATUS",
    "UNANSWERED",
    "StatusWords",
    "normal_word",
    "not_contradicted",
    "status_words",
]

ANSWERED: Final = ("completed", "voicemail")
UNANSWERED: Final = ("no_answer", "missed", "canceled", "busy", "failed")
"""Canonical words of calls that somebody took, and of those that nobody did."""

NO_STATUS: Final = frozenset({"unknown", "inprogress"})
"""Canonical words, in normal form, that say nothing about how a call ended."""

_CUT: Final = str.maketrans("", "", "-_ \t")


def normal_word(word: str) -> str:
    """Return a word in the one form in which words are compared.

    Examples
    --------
    >>> normal_word("No-Answer") == normal_word(" no_answer")
    True
    """
    return word.casefold().translate(_CUT)


_ALSO_SAID_BY: Final = {"completed": frozenset({"voicemail"})}
"""Words that a CDR status does not contradict: most switches cannot tell who picked up, a person or a mailbox."""

COARSE_CAUSES: Final = {
    # Asterisk and what is built on it: a caller who gave up is one of those, unless cdr.conf asks for CANCEL.
    "no answer": ("no_answer", "missed", "canceled"),
    # 3CX's log has no other word for a call that nobody answered.
    "unanswered": UNANSWERED,
}
"""A system's own word, in small letters, for several of our statuses: which of them it was, it does not tell."""

_SPELLINGS: Final = frozenset({"cancelled"})

_CANONICAL: Final = frozenset(normal_word(word) for word in LEG_STATUSES)


@dataclass(frozen=True)
class StatusWords:
    """What one CDR status means in the API's words.

    Attributes
    ----------
    agreeing
        The API words, in normal form, that say the same; empty where the CDR word is no evidence.
    written
        The word a plan would write, in the API's own spelling where it is known.
    is_mapped
        Whether the rules name the CDR word.
    """

    agreeing: frozenset[str]
    written: str | None
    is_mapped: bool


def status_words(
    cdr_words: Iterable[str], call_words: Mapping[str, int], rules: Rules
) -> dict[str, StatusWords]:
    """Return what each CDR status means in the API's words.

    Parameters
    ----------
    cdr_words
        The distinct CDR statuses.
    call_words
        The distinct API statuses and how often each occurs, which settles the spelling
        where one word is spelled in several ways.
    rules
        `status_map` names the agreeing words, the first being the one to write; a
        CDR status it maps to nothing is no evidence. Without an entry the same word
        agrees, and ``completed`` does not contradict a ``voicemail`` of the API.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> plain = SimpleNamespace(status_map={"voicemail": ("completed",), "missed": ()})
    >>> words = status_words(["no_answer", "voicemail", "missed", "unknown"], {"No-Answer": 3, "Completed": 9}, plain)
    >>> [words[w].written for w in ("no_answer", "voicemail", "missed", "unknown")]
    ['No-Answer', 'Completed', None, None]
    """
    spelling: dict[str, str] = {}
    # The commonest spelling wins; among equally common ones the first in the alphabet.
    for word in sorted(call_words, key=lambda w: (-call_words[w], w)):
        spelling.setdefault(normal_word(word), word)
    mapped = {normal_word(word): words for word, words in rules.status_map.items()}
    return {word: _meaning(word, mapped, spelling, frozenset(call_words)) for word in cdr_words}


def _meaning(
    word: str,
    mapped: Mapping[str, Sequence[str] | str],
    spelling: Mapping[str, str],
    occurring: frozenset[str],
) -> StatusWords:
    normal = normal_word(word)
    if normal in mapped and normal != "unknown":
        named = mapped[normal]
        words = [named] if isinstance(named, str) else list(named)
        words = [w for w in words if normal_word(w)]
        if not words:
            return StatusWords(frozenset(), None, is_mapped=True)
        first = words[0]
        written = first if first in occurring else spelling.get(normal_word(first), first)
        return StatusWords(frozenset(map(normal_word, words)), written, is_mapped=True)
    is_evidence = bool(normal) and normal not in NO_STATUS and (normal in _CANONICAL or normal in spelling)
    if not is_evidence:
        return StatusWords(frozenset(), None, is_mapped=False)
    written = word if word in occurring else spelling.get(normal, word)
    return StatusWords(_ALSO_SAID_BY.get(normal, frozenset()) | {normal}, written, is_mapped=False)


def not_contradicted(cause: str, rules: Rules) -> frozenset[str]:
    """Return the API words, in normal form, that a system's own word for unanswered calls does not rule out.

    Empty where the word is no such word, or where the rules say what its status means.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> plain = SimpleNamespace(status_map={})
    >>> sorted(not_contradicted("NO ANSWER", plain)), sorted(not_contradicted("NO_ANSWER", plain))
    (['canceled', 'cancelled', 'missed', 'noanswer'], [])
    """
    statuses = COARSE_CAUSES.get(cause.strip().casefold(), ())
    if not statuses or any(normal_word(word) == "noanswer" for word in rules.status_map):
        return frozenset()
    meanings = status_words(statuses, {}, rules)
    return _SPELLINGS.union(*(meaning.agreeing for meaning in meanings.values()))
