"""Take a JSON export apart into its records, some thousand at a time.

Input are decoded bytes, output are lists of records as Python objects: the elements
of a list, of the one list of objects in a document, of several such documents one
behind the other, or the documents themselves (JSON lines). Numbers stay the text
that they are in the file; what C prints where there is no number (``nan``, ``-inf``)
is no JSON and is read as missing.

A large text is cut where one record ends and the next begins. Whether a cut was right
is not guessed: a JSON text is one list exactly if its parts are lists when put into
brackets, so a part that can be read proves it, and one that cannot is read again
record by record.
"""

from __future__ import annotations

import json
import re
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile.cdr.json_values import DECODER, Broken, Repeated, decode_one, is_cut, without_bare_words
from sippet_reconcile.errors import CdrFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Broken", "JsonRecords", "Repeated"]

PIECE: Final = 4 << 20
_HEAD: Final = 1 << 16  # what stands around the list of a document is shorter
_LISTS: Final = frozenset({"calls", "cdrs", "data", "items", "objects", "records", "results"})
"""How the list of a page is called; in a file of one document it may have any name."""
_WRAPPERS: Final = frozenset({"_embedded", "data", "response", "result"})
"""How an object around such a list is called."""

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_SPACE_OR_COMMA: Final = re.compile(r"[ \t\r\n,]*")
_MEMBER: Final = re.compile(r'[ \t\r\n,]*"((?:[^"\\]|\\.)*)"[ \t\r\n]*:[ \t\r\n]*')
_OPENS: Final = re.compile(r"\[[ \t\r\n]*\{")
_NEXT_ELEMENT: Final = re.compile(rb"\}[ \t\r\n]*(?=,[ \t\r\n]*\{)")
_LAST_ELEMENT: Final = re.compile(rb"\}[ \t\r\n]*(?=\])")
# No text holds a bare line feed: these two stand between documents and nowhere else.
_NEXT_DOCUMENT: Final = re.compile(rb"\}[ \t\r]*\n[ \t\r\n]*(?=\{)")
_BETWEEN_DOCUMENTS: Final = re.compile(r"\}[ \t\r]*\n[ \t\r\n]*\{")
_ENDS_EARLY: Final = "the file ends before its list of records does; export it again"


def _lists_in(document: dict[str, Any]) -> list[str]:
    """Return the members that are lists with objects in them."""
    return [name for name, value in document.items() if isinstance(value, list) and _are_objects(value)]


def _lists_inside(document: dict[str, Any]) -> list[list[Any]]:
    """Return the lists of records one level deeper, as in ``{"_embedded": {"calls": [...]}}``."""
    return [
        value
        for outer, member in document.items()
        if isinstance(member, dict)
        for inner, value in member.items()
        if isinstance(value, list) and (inner in _LISTS or (outer in _WRAPPERS and _are_objects(value)))
    ]


def _are_objects(values: list[Any]) -> bool:
    return any(isinstance(value, dict) for value in values)


def _end_of_values(value: Any, text: str, at: int) -> int:
    """Return where the line ends that a value begins which is no record, if more such values follow it there."""
    if isinstance(value, dict | list):
        return at
    stop = text.find("\n", at)
    stop = stop if stop >= 0 else len(text)
    rest = text[at:stop]
    return stop if rest.strip(" \t\r,") and "{" not in rest and "[" not in rest else at


def _never(_: dict[str, Any]) -> bool:
    return False


class JsonRecords:
    """The records of one JSON text.

    `is_record` says of a document that holds a list of objects whether it is a record
    all the same, as a call is that lists the steps of its own dialplan. With `mend`,
    bare words for no number are read as missing.

    Iterating yields lists of them in their order: objects, whatever else stands in the
    place of one, and `Broken` for what cannot be read. `notes` then say what concerns
    the whole file.

    Raises
    ------
    CdrFormatError
        While iterating, where the text is no JSON and it cannot be told where the next
        record begins.

    Examples
    --------
    >>> [records for records in JsonRecords(b'{"calls": [{"sid": "a"}, {"sid": 7}], "page": 0}', "x.json")]
    [[{'sid': 'a'}, {'sid': '7'}]]
    """

    def __init__(
        self,
        data: bytes,
        where: str,
        *,
        piece: int = PIECE,
        is_record: Callable[[dict[str, Any]], bool] = _never,
        mend: bool = False,
    ) -> None:
        self._data = data
        self._where = where
        self._piece = piece
        self._is_record = is_record
        self._may_mend = mend
        self._at = 0
        self._begun = False
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[list[Any]]:
        while self._skip_space() < len(self._data):
            if self._data[self._at] == ord("["):
                self._at += 1
                yield from self._elements()
            else:
                yield from self._documents()
            self._begun = True

    def _skip_space(self) -> int:
        found = _SPACE.match(self._data, self._at)
        self._at = self._at if found is None else found.end()
        return self._at

    def _cut_behind(self, pattern: re.Pattern[bytes], least: int) -> int | None:
        """Return where a piece that is at least so long may end; None where none of about that length may."""
        begin = self._at + least
        if begin >= len(self._data):
            return None
        found = pattern.search(self._data, begin, begin + 2 * least)
        return None if found is None else found.end()

    def _text(self, end: int, errors: str = "strict") -> str:
        return self._data[self._at : end].decode("utf-8", errors)

    def _error(self, error: json.JSONDecodeError, at: int) -> CdrFormatError:
        line = self._data.count(b"\n", 0, at) + 1
        column = at - self._data.rfind(b"\n", 0, at)
        msg = (
            f"{self._where} line {line}: begins like JSON but is none ({error.msg} at column {column}); "
            "repair it, or export it as CSV"
        )
        return CdrFormatError(msg, line=line)

    # ---------------------------------------------------------------- documents

    def _documents(self) -> Iterator[list[Any]]:
        """Read documents one behind the other, each a record or a page of records."""
        end = self._cut_behind(_NEXT_DOCUMENT, self._piece)
        if end is None:
            is_long = len(self._data) - self._at > 3 * self._piece and not self._begins_with_record()
            if is_long and (depth := self._enter_list(any_name=True)):
                yield from self._elements()
                self._leave_document(depth)
                return
            end = len(self._data)
        documents = self._whole_documents(end)
        if documents is not None:
            yield self._records_of(documents, is_all=not self._begun and end == len(self._data))
            return
        while self._at < end:
            near = min(end, self._cut_behind(_NEXT_DOCUMENT, _HEAD) or end)
            documents = self._whole_documents(near)
            if documents is None:
                yield from self._one_by_one(near)
            else:
                yield self._records_of(documents, is_all=False)
            self._begun = True

    def _whole_documents(self, end: int) -> list[Any] | None:
        try:
            documents: list[Any] = DECODER.decode(f"[{_BETWEEN_DOCUMENTS.sub('},{', self._text(end))}]")
        except (json.JSONDecodeError, RecursionError):
            return self._whole_documents(end) if self._mend() else None
        self._at = end
        return documents

    def _mend(self) -> bool:
        """Put right what C prints and JSON does not know, once; the bytes stay where they are."""
        if not self._may_mend:
            return False
        self._may_mend = False
        mended = without_bare_words(self._data)
        changed = mended != self._data
        self._data = mended
        return changed

    def _begins_with_record(self) -> bool:
        """Tell whether the first of several documents is soon over, and is no page."""
        try:
            text = self._text(self._at + _HEAD, errors="ignore")
            document, _ = decode_one(text, 0)
        except json.JSONDecodeError as exc:
            return not is_cut(text, exc) and self._mend() and self._begins_with_record()
        return isinstance(document, dict) and self._records_in(document) == [document]

    def _one_by_one(self, end: int) -> Iterator[list[Any]]:
        """Read documents up to a place; one that cannot be read ends where a line begins with the next."""
        text = self._text(end)
        records: list[Any] = []
        begun, at = 0, 0
        is_last = end == len(self._data)
        while True:
            found = _SPACE_OR_COMMA.match(text, at)
            at = at if found is None else found.end()
            self._at += len(text[begun:at].encode())
            begun = at
            if at >= len(text):
                self._at = end
                yield records
                return
            try:
                document, at = decode_one(text, at)
                if (stop := _end_of_values(document, text, at)) > at:
                    # Lines of a table behind a document are each one record, however many values they hold.
                    records.append(Broken(text[begun:stop].strip(), "the record is no JSON object"))
                    at = stop
                    continue
                is_all = is_last and not self._begun and not text[at:].strip()
                records += self._records_of([document], is_all=is_all)
            except json.JSONDecodeError as exc:
                stop = text.find("\n{", at) + 1 or len(text)
                if depth := self._enter_list(any_name=is_last and stop == len(text)):
                    yield records
                    yield from self._elements()
                    self._leave_document(depth)
                    return
                if stop == len(text) and is_last and not self._begun:
                    raise self._error(exc, self._at + len(text[at : exc.pos].encode())) from exc
                ends_here = stop == len(text) and is_last and is_cut(text, exc)
                problem = "the record is cut off" if ends_here else f"the record is not JSON ({exc.msg})"
                records.append(Broken(text[at:stop].strip(), problem))
                at = stop
            self._begun = True

    def _records_of(self, documents: list[Any], *, is_all: bool) -> list[Any]:
        if not is_all or len(documents) > 1:
            if set(map(type, documents)) == {dict}:
                named = (_LISTS | _WRAPPERS).intersection(set().union(*documents))
                kinds = {
                    kind for name in named for kind in map(type, map(methodcaller("get", name), documents))
                }
                if kinds.isdisjoint({list, dict}):
                    return documents
            pages = [self._records_in(document) for document in documents]
            return [record for page in pages for record in page]
        (document,) = documents
        if isinstance(document, dict):
            filled = _lists_in(document)
            if len(filled) == 1:
                return [document] if self._is_record(document) else list(document[filled[0]])
        return self._records_in(document)

    def _records_in(self, document: Any) -> list[Any]:
        """Return the records of one document among several: a page's, or the document itself."""
        if isinstance(document, list):
            return document
        if isinstance(document, dict):
            names = [name for name in document if name in _LISTS and isinstance(document[name], list)]
            filled = _lists_in(document)
            lists = [document[name] for name in names] if set(filled) <= set(names) else []
            if not names and not filled:
                lists = _lists_inside(document)
            if len(lists) == 1 and not (_are_objects(lists[0]) and self._is_record(document)):
                return list(lists[0])
            inner = [document[name] for name in _WRAPPERS if isinstance(document.get(name), dict)]
            if len(inner) == 1 and self._is_record(inner[0]) and not self._is_record(document):
                return inner
        return [document]

    def _enter_list(self, *, any_name: bool) -> int:
        """Go to the first element of the list that a document holds; return how deep that is.

        0 is returned where it holds none near its beginning.
        """
        head = self._data[self._at : self._at + _HEAD].decode("utf-8", errors="ignore")
        at, depth = 1, 1
        while head.startswith("{") and (member := _MEMBER.match(head, at)) is not None:
            at = member.end()
            is_known = member[1] in _LISTS and head.startswith("[", at)
            if is_known or (any_name and not self._begun and _OPENS.match(head, at) is not None):
                self._at += len(head[: at + 1].encode())
                return depth
            try:
                _, at = decode_one(head, at)
            except json.JSONDecodeError:
                if depth > 1 or member[1] not in _WRAPPERS or not head.startswith("{", at):
                    return 0
                at, depth = at + 1, depth + 1
        return 0

    def _leave_document(self, depth: int) -> None:
        """Go behind the end of the document whose list was read."""
        opened = '{"":' * (depth - 1) + '{"":0'
        for end in (self._at + _HEAD, len(self._data)):
            text = opened + self._text(end, errors="ignore")
            try:
                document, stop = decode_one(text, 0)
            except json.JSONDecodeError as exc:
                if end < len(self._data):
                    continue
                if not is_cut(text, exc):
                    raise self._error(exc, self._at + len(text[len(opened) : exc.pos].encode())) from exc
                self._end_early()
                return
            if _lists_in(document) or _lists_inside(document):
                msg = (
                    f"{self._where}: the JSON holds several lists of objects; export the list of calls itself"
                )
                raise CdrFormatError(msg)
            self._at += len(text[len(opened) : stop].encode())
            return

    def _end_early(self) -> None:
        self._at = len(self._data)
        self.notes = [_ENDS_EARLY]

    # ---------------------------------------------------------------- elements

    def _elements(self) -> Iterator[list[Any]]:
        """Read the elements of a list up to behind its end."""
        while self._skip_space() < len(self._data):
            if self._data[self._at] == ord("]"):
                self._at += 1
                return
            if self._data[self._at] == ord(","):
                self._at += 1
            end = self._cut_behind(_NEXT_ELEMENT, self._piece)
            for stop in self._stops(end):
                values = self._whole_elements(stop)
                if values is not None:
                    yield values
                    break
            else:
                yield self._elements_one_by_one(len(self._data) if end is None else end)
        self._end_early()

    def _stops(self, end: int | None) -> Iterator[int]:
        """Yield where a piece of a list may end: where it was cut, or where the list seems to end."""
        if end is not None:
            yield end
        last = _LAST_ELEMENT.search(self._data, self._at, self._at + 3 * self._piece)
        if last is not None:
            yield last.end()

    def _whole_elements(self, end: int) -> list[Any] | None:
        try:
            values: list[Any] = DECODER.decode(f"[{self._text(end)}]")
        except (json.JSONDecodeError, RecursionError):
            return self._whole_elements(end) if self._mend() else None
        self._at = end
        return values

    def _elements_one_by_one(self, end: int) -> list[Any]:
        """Read elements up to a place, or up to the end of the list if that comes first."""
        values: list[Any] = []
        text, at = self._text(end), 0
        while True:
            found = _SPACE_OR_COMMA.match(text, at)
            at = at if found is None else found.end()
            if at >= len(text) or text[at] == "]":
                self._at += len(text[:at].encode())
                return values
            try:
                value, at = decode_one(text, at)
            except json.JSONDecodeError as exc:
                self._at += len(text[:at].encode())
                if self._mend():
                    text, at = self._text(end), 0
                    continue
                if end < len(self._data):  # the place lies within a text: look further
                    end = self._cut_behind(_NEXT_ELEMENT, 2 * max(end - self._at, 1)) or len(self._data)
                    text, at = self._text(end), 0
                    continue
                if not is_cut(text.rstrip(), exc):
                    raise self._error(exc, self._at + len(text[at : exc.pos].encode())) from exc
                values.append(Broken(text[at:].strip(), "the record is cut off"))
                self._at = end
                return values
            values.append(value)
