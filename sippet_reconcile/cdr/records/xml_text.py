"""Take an XML export apart into its records: documents one behind the other, or the elements in one root.

Input are decoded bytes, output are lists of records as Python objects of the same shape
as those of JSON: attributes and elements are members, an element that stands there
several times is a list, and one with nothing in it but characters is text.

A CDR needs no document type, so none is read: a file that declares one, and with it
entities that could grow beyond all memory or fetch other files, is refused. Nothing is
ever fetched. What cannot be read ends where its own end tag stands.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from xml.parsers import expat

from sippet_reconcile.cdr.json_values import Broken
from sippet_reconcile.errors import CdrFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["XmlRecords", "begins_like_xml", "first_elements"]

_DEEPEST: Final = 64
_MOST: Final = 50_000  # elements in one record
_LONGEST: Final = 8 << 20  # bytes of one record
_PIECE: Final = 4 << 20
_NAME: Final = rb"[^\s<>/=\"'!?]+"
# What may stand before, between and behind documents.
_ASIDE: Final = rb"(?:\s+|<\?.*?\?>|<!--.*?-->)*"
_BEFORE: Final = re.compile(_ASIDE, re.DOTALL)
_FIRST: Final = re.compile(_ASIDE + rb"<(" + _NAME + rb")", re.DOTALL)
_TAG: Final = re.compile(rb"<" + _NAME + rb"(?:[^\"'>]|\"[^\"]*\"|'[^']*')*>")
_OPENS: Final = re.compile(
    rb"<[A-Za-z_][\w.:-]*(?:\s+[\w.:-]+\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'))*\s*/?>\s*(?:<|$)"
)
_TAIL: Final = 4096  # bytes in which the root of a file ends
_LOOKED_AT: Final = 20  # documents
_ENDLESS: Final = 100  # records without an end after which none is read as if it held others of its name


class _RefusedError(Exception):
    """A record is not read, and why; `is_all` where the whole file is not."""

    def __init__(self, reason: str, *, is_all: bool = False) -> None:
        super().__init__(reason)
        self.is_all = is_all


def _parsed(text: bytes) -> dict[str, Any] | str:
    """Return one document as an object, or as text where its root holds nothing else.

    Raises
    ------
    ExpatError
        If it is not well-formed.
    _RefusedError
        If it has a document type, or is too deep or too wide to be a CDR.
    """
    parser = expat.ParserCreate("UTF-8")  # whatever its declaration says: the bytes were decoded
    parser.buffer_text = True
    stack: list[tuple[dict[str, Any], list[str]]] = [({}, [])]
    n_elements = 0

    def start(_: str, attributes: dict[str, str]) -> None:
        nonlocal n_elements
        n_elements += 1
        if len(stack) > _DEEPEST:
            msg = "nested too deeply"
            raise _RefusedError(msg)
        if n_elements > _MOST:
            msg = f"more than {_MOST:,} elements in one record"
            raise _RefusedError(msg)
        stack.append((attributes, []))

    def end(name: str) -> None:
        members, texts = stack.pop()
        text = "".join(texts)
        value: Any = text
        if members:
            value = members
            if text.strip():
                members.setdefault("", text)
        above = stack[-1][0]
        if name not in above:
            above[name] = value
        elif isinstance(above[name], list):
            above[name].append(value)
        else:
            above[name] = [above[name], value]

    def data(text: str) -> None:
        stack[-1][1].append(text)

    def refuse(*_: Any) -> int:
        msg = "a document type"
        raise _RefusedError(msg, is_all=True)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.Parse(text, True)  # noqa: FBT003 - expat takes no keywords
    value: dict[str, Any] | str
    (value,) = stack[0][0].values()
    return value


def _never(_: dict[str, Any]) -> bool:
    return False


class XmlRecords:
    """The records of one XML text.

    Iterating yields lists of them in their order: objects, text where an element holds
    nothing else, and `Broken` for what cannot be read. `notes` then say what concerns
    the whole file. `is_record` tells whether a document is a record; else its elements are.

    Raises
    ------
    CdrFormatError
        While iterating, where the file declares a document type, or its only document
        cannot be read.

    Examples
    --------
    >>> list(XmlRecords(b"<calls><call id='1'><to>1001</to></call><call id='2'/></calls>", "x.xml"))
    [[{'id': '1', 'to': '1001'}, {'id': '2'}]]
    """

    def __init__(
        self,
        data: bytes,
        where: str,
        *,
        is_record: Callable[[dict[str, Any]], bool] = _never,
        piece: int = _PIECE,
    ) -> None:
        self._data = data
        self._where = where
        self._is_record = is_record
        self._piece = piece
        self._known: tuple[int, int, Any] = (0, 0, None)
        self._ends: dict[bytes, tuple[int, int | None]] = {}  # from where on which end tag is the first
        self._counted = (0, 0)  # a place, and the line ends before it
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[list[Any]]:
        first = _FIRST.match(self._data)
        if first is None:
            if len(self._data) > (at := self._skip(0)):
                raise self._error(at)
            return
        root, begin = first[1], first.start(1) - 1
        if self._is_empty(begin):
            return
        inner = self._name_inside(root, begin)
        size, part = 0, list[Any]()
        for record, length in self._each(inner or root, is_inside=inner is not None):
            part.append(record)
            size += length
            if size >= self._piece:
                yield part
                size, part = 0, []
        yield part
        if inner is not None and _end_of(root).search(self._data, max(len(self._data) - _TAIL, 0)) is None:
            self.notes = ["the file ends before its list of records does; export it again"]

    def _skip(self, at: int) -> int:
        found = _BEFORE.match(self._data, at)
        return at if found is None else found.end()

    # ---------------------------------------------------------------- which elements are records

    def _is_empty(self, begin: int) -> bool:
        """Tell whether the file is a root with nothing in it: a list of no records."""
        if len(self._data) - begin > _TAIL:
            return False
        try:
            found = _parsed(self._data[begin:])
        except (expat.ExpatError, _RefusedError):
            return False
        return isinstance(found, str) and not found.strip()

    def _first_document(self, root: bytes, at: int) -> Any:
        """Return the first document that is not broken, if there is one near the beginning; None where it is too long."""
        begins, found = _begin_of(root), None
        for _ in range(_LOOKED_AT):
            begin = begins.search(self._data, at)
            stop = None if begin is None else self._end(root, begin.start(), _LONGEST)
            if begin is None or stop is None:
                break
            found = self._read(begin.start(), stop)
            if not isinstance(found, Broken):
                self._known = (begin.start(), stop, found)
                break
            at = stop
        return found

    def _name_inside(self, root: bytes, begin: int) -> bytes | None:
        """Return the name of the elements in the root that are records; None where documents are.

        Where nothing is known of the records, they are the first elements with members.
        """
        document = self._first_document(root, begin)
        if isinstance(document, dict) and self._is_record(document):
            return None
        opening = _TAG.match(self._data, begin)
        if opening is None or opening[0].endswith(b"/>"):
            return None
        at, likely = opening.end(), None
        while (tag := _FIRST.match(self._data, at)) is not None and at - begin < _PIECE:
            name, start = tag[1], tag.start(1) - 1
            stop = self._end(name, start, _LONGEST)
            if stop is None:
                break
            found = self._read(start, stop)
            if isinstance(found, dict):
                if self._is_record(found):
                    return name
                likely = likely or name
            at = stop
        is_unread = document is None and len(self._data) - begin > _LONGEST
        return likely if is_unread or isinstance(document, dict | str) else None

    # ---------------------------------------------------------------- records

    def _each(self, name: bytes, *, is_inside: bool) -> Iterator[tuple[Any, int]]:
        """Yield each element of that name, and how long it is."""
        begins = _begin_of(name)
        at, n_read, n_endless = 0, 0, 0
        while (begin := begins.search(self._data, at)) is not None:
            yield from self._between(name, at, begin.start(), is_inside=is_inside)
            at = begin.start()
            stop = self._end(name, at)
            following = begins.search(self._data, at + 1, stop or len(self._data))
            is_hopeless = following is not None and n_endless > _ENDLESS
            found: Any = None if stop is None or is_hopeless else self._read(at, stop)
            if found is None or stop is None or isinstance(found, Broken):
                # Where its end tag is lost, a record ends where the next one begins.
                if following is not None:
                    stop, n_endless = following.start(), n_endless + 1
                    found = self._broken(at, stop, "it has no end")
                elif stop is None:
                    if n_read == 0 and not is_inside:
                        raise self._error(at)
                    stop = len(self._data)
                    found = self._broken(at, stop, None)
            yield found, stop - at
            at, n_read = stop, n_read + 1
        yield from self._between(name, at, len(self._data), is_inside=is_inside)

    def _between(self, name: bytes, begin: int, end: int, *, is_inside: bool) -> Iterator[tuple[Any, int]]:
        """Yield what stands between two records if it is the rest of one, and refuse declarations in it."""
        gap = self._data[begin:end]
        if not gap.strip():
            return
        declared = gap.find(b"<!DOCTYPE")
        if declared >= 0:
            raise self._refused(begin + declared)
        # Beside the elements that are records there may be others in one root, but nothing beside documents.
        is_rest = _end_of(name).search(gap) is not None if is_inside else self._skip(begin) < end
        if is_rest:
            yield self._broken(begin, end, "it has no beginning"), len(gap)

    def _end(self, name: bytes, at: int, within: int | None = None) -> int | None:
        """Return where the element that begins here ends."""
        tag = _TAG.match(self._data, at)
        if tag is not None and tag[0].endswith(b"/>"):
            return tag.end()
        begun, known = self._ends.get(name, (len(self._data), None))
        if begun > at or (known is not None and known <= at):
            found = _end_of(name).search(self._data, at)
            known = None if found is None else found.end()
            self._ends[name] = (at, known)
        return None if known is None or (within is not None and known > at + within) else known

    def _read(self, begin: int, end: int) -> dict[str, Any] | str | Broken:
        """Return what a stretch holds, as `Broken` where it cannot be read."""
        if self._known[:2] == (begin, end):  # how a file begins was looked at
            return self._known[2]
        try:
            return _parsed(self._data[begin:end])
        except expat.ExpatError as exc:
            if self._data.find(b"<!DOCTYPE", begin, end) >= 0:
                raise self._refused(begin) from exc
            line = self._line(begin) + exc.lineno - 1
            return self._broken(begin, end, f"{expat.ErrorString(exc.code)} in line {line}")
        except _RefusedError as exc:
            if exc.is_all:
                raise self._refused(begin) from exc
            return self._broken(begin, end, str(exc))

    def _broken(self, begin: int, end: int, reason: str | None) -> Broken:
        problem = "the record is cut off" if reason is None else f"the record is not XML ({reason})"
        return Broken(self._data[begin:end].decode().strip(), problem)

    # ---------------------------------------------------------------- errors

    def _line(self, at: int) -> int:
        before, n_before = self._counted
        if at < before:
            before, n_before = 0, 0
        self._counted = (at, n_before + self._data.count(b"\n", before, at))
        return self._counted[1] + 1

    def _refused(self, at: int) -> CdrFormatError:
        line = self._line(max(self._data.find(b"<!DOCTYPE", at), at))
        msg = (
            f"{self._where} line {line}: declares a document type or entities, which no CDR needs and which can be "
            "made to do harm; take the declaration out, if the rest is to be trusted"
        )
        return CdrFormatError(msg, line=line)

    def _error(self, at: int) -> CdrFormatError:
        """Return the error of a document that leads nowhere, with the line where it stops being XML."""
        reason, line = "it has no end", self._line(at)
        try:
            _parsed(self._data[at:])
        except expat.ExpatError as exc:
            reason, line = expat.ErrorString(exc.code), line + exc.lineno - 1
        except _RefusedError as exc:
            if exc.is_all:
                return self._refused(at)
            reason = str(exc)
        msg = f"{self._where} line {line}: begins like XML but is none ({reason}); export it again"
        return CdrFormatError(msg, line=line)


@lru_cache(maxsize=256)
def _begin_of(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"<" + re.escape(name) + rb"(?=[\s>/])")


@lru_cache(maxsize=256)
def _end_of(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"</" + re.escape(name) + rb"\s*>")


def first_elements(
    data: bytes, where: str, n: int, is_record: Callable[[dict[str, Any]], bool] = _never
) -> list[dict[str, Any]]:
    """Return the first records of an XML text that are objects.

    Raises
    ------
    CdrFormatError
        If it begins like XML and is none, or holds records and none of them has members.
    """
    for records in XmlRecords(data, where, is_record=is_record, piece=1 << 18):
        objects = list(islice((record for record in records if isinstance(record, dict)), n))
        if objects:
            return objects
        for record in records[:1]:
            problem = record.problem if isinstance(record, Broken) else "the XML holds no list of records"
            hint = "copy it again" if isinstance(record, Broken) else "export the list of calls itself"
            msg = f"{where}: {problem}; {hint}"
            raise CdrFormatError(msg)
    return []


def begins_like_xml(head: bytes) -> bool:
    """Tell whether a text begins with an element, or with what XML may have before one.

    Examples
    --------
    >>> begins_like_xml(b" <?xml version='1.0'?><cdr/>"), begins_like_xml(b"<1001>,busy"), begins_like_xml(b"<b")
    (True, False, False)
    """
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return begin.startswith((b"<?xml", b"<!DOCTYPE", b"<!--")) or _OPENS.match(begin) is not None
