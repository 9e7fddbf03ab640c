"""Events that are values in a text of any layout: EDN, and JSON arrays. Exact, and read in pieces.

A text is a row of maps, or one list of them. Each notation gives two functions: how to go past what stands between
the maps, and how to read one.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from analysis.history import HistoryError
from analysis.read import edn
from analysis.read.event import Mistake, check
from analysis.read.source import MAX_FORM_BYTES, PIECE_BYTES

if TYPE_CHECKING:
    from analysis.read.columns import Columns
    from analysis.read.source import Source

_ANOTHER = re.compile(rb"\n[ \t,]*\{")  # a line that begins a map: then the one before it was not torn but wrong
_TAG = re.compile(rb"#[A-Za-z][\w.]*\s*(?=\{)")
_CUT_TAG = re.compile(rb"#[\w.]*\s*\Z")
_OPENERS: Final = {ord("["): ord("]"), ord("("): ord(")")}


class Form(NamedTuple):
    """A map that was read: its fields, the byte where each value begins, and the byte after it."""

    fields: dict[str, Any]
    places: dict[str, int]
    end: int


class Notation(Protocol):
    """How a text writes its maps."""

    def skip(self, data: bytes, at: int, *, after: bool) -> int:
        """Returns the byte of the next value or bracket; `after` says whether a map came before."""

    def read(self, data: bytes, at: int) -> Form:
        """Reads the map at a byte."""


class Shortcut(Protocol):
    """A faster way to read some of the maps."""

    def read(self, data: bytes, at: int, line: int, columns: Columns) -> int:
        """Appends the maps from a byte on that it knows, and returns the byte after them."""


class EdnForms:
    """Maps of EDN."""

    def skip(self, data: bytes, at: int, *, after: bool) -> int:  # noqa: ARG002 - EDN's commas are blanks
        """See `Notation`."""
        reader = edn.Reader(data, at)
        reader.skip()
        return reader.at

    def read(self, data: bytes, at: int) -> Form:
        """See `Notation`; a record such as `#jepsen.history.Op{...}` counts as its map."""
        if tag := _TAG.match(data, at):
            at = tag.end()
        if _CUT_TAG.match(data, at):
            raise edn.Incomplete(at, "the text ends after a tag")
        if data[at] != ord("{"):
            raise edn.Malformed(at, "expected one operation as a map such as {:process 0, :type :invoke, ...}")
        reader = edn.Reader(data, at)
        entries = reader.entries()
        places = {key: place for key, (place, _) in entries.items()}
        return Form({key: value for key, (_, value) in entries.items()}, places, reader.at)


class JsonForms:
    """Objects of a JSON array."""

    _BLANK = re.compile(rb"[ \t\r\n]*")
    _MARK = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}"]', re.DOTALL)

    def skip(self, data: bytes, at: int, *, after: bool) -> int:
        """See `Notation`."""
        at = self._blank(data, at)
        if not after or at == len(data) or data[at] == ord("]"):
            return at
        if data[at] != ord(","):
            raise edn.Malformed(at, "expected a comma or ] after an operation")
        at = self._blank(data, at + 1)
        if data[at : at + 1] == b"]":
            raise edn.Malformed(at, "expected an operation after a comma")
        return at

    def _blank(self, data: bytes, at: int) -> int:
        blank = self._BLANK.match(data, at)
        return blank.end() if blank else at

    def read(self, data: bytes, at: int) -> Form:
        """See `Notation`."""
        if data[at] != ord("{"):
            raise edn.Malformed(at, "expected one operation as a JSON object")
        end = self._end(data, at)
        text = data[at:end]
        try:
            fields = msgspec.json.decode(text)
        except (ValueError, RecursionError) as error:
            where = re.search(r"\s*\(byte (\d+)\)", str(error))
            said = str(error)[: where.start()] if where else str(error)
            raise edn.Malformed(at + (int(where[1]) if where else 0), said) from None
        return Form(fields, {key: at + place for key, place in json_places(text).items()}, end)

    def _end(self, data: bytes, at: int) -> int:
        """Returns the byte after an object's last bracket."""
        depth = 0
        for mark in self._MARK.finditer(data, at):
            first = mark[0][0]
            if first == ord('"'):
                if len(mark[0]) == 1:
                    break
            elif first in b"[{":
                depth += 1
            else:
                depth -= 1
                if depth == 0:
                    return mark.end()
        raise edn.Incomplete(len(data), "the text ends inside of an object")


_JSON_KEY = re.compile(rb'[{,]\s*"(index|time|process|type|f|value|error|node)"\s*:\s*')


def json_places(text: bytes) -> dict[str, int]:
    """Returns where, most likely, the values of an event's fields begin in its JSON; for messages."""
    return {found[1].decode(): found.end() for found in _JSON_KEY.finditer(text)}


class FormReader:
    """Reads all events of a source.

    Attributes:
        warnings: A torn end.
    """

    def __init__(self, source: Source, notation: Notation, shortcut: Shortcut | None = None) -> None:
        self.warnings: list[str] = []
        self._source = source
        self._notation = notation
        self._shortcut = shortcut
        self._data = b""
        self._offset = 0  # of the data in the source
        self._column = 1  # of the data's first byte
        self._line = 1  # of the byte up to which lines were counted
        self._counted = 0
        self._final = False
        self._closer = -1  # the bracket that ends the list; -1 outside of one
        self._after = False  # whether a map came before, in this list

    def read(self, columns: Columns) -> None:
        """Appends each event to the columns.

        Raises:
            HistoryError: With file, line and column of what is not an event.
        """
        at, begun = 0, False
        while True:
            try:
                at, done = self._next(at, columns, begun=begun)
            except edn.Incomplete as error:
                if self._more(at):
                    at = 0
                    continue
                self._torn(at, error)
                return
            except edn.Malformed as error:
                raise self._error(error.at, error.sentence) from None
            except (ValueError, RecursionError) as error:
                raise self._error(at, str(error)) from None
            if done:
                return
            begun = True

    def _next(self, at: int, columns: Columns, *, begun: bool) -> tuple[int, bool]:
        """Reads one map or bracket; returns the byte after it, and whether the text is at its end."""
        begin = self._notation.skip(self._data, at, after=self._after)
        if begin == len(self._data):
            if not self._final or self._closer != -1:
                raise edn.Incomplete(begin, f"the file ends before the closing {chr(max(self._closer, 0))}")
            return begin, True
        first = self._data[begin]
        if first == self._closer:
            return self._close(begin)
        if first in _OPENERS and not begun:
            self._closer = _OPENERS[first]
            return begin + 1, False
        self._line += self._data.count(b"\n", self._counted, begin)
        self._counted = begin
        if self._shortcut and (after := self._shortcut.read(self._data, begin, self._line, columns)) > begin:
            return after, False
        form = self._notation.read(self._data, begin)
        self._after = self._closer != -1
        try:
            columns.add(check(form.fields, self._line, foreign=True))
        except Mistake as mistake:
            raise edn.Malformed(form.places.get(mistake.key, begin), mistake.sentence) from None
        return form.end, False

    def _close(self, at: int) -> tuple[int, bool]:
        """Ends the list; nothing may come after it."""
        while not self._final:
            self._more(0)
        end = self._notation.skip(self._data, at + 1, after=False)
        if end < len(self._data):
            raise edn.Malformed(end, "expected nothing after the list of operations")
        return end, True

    def _more(self, at: int) -> bool:
        """Reads on, letting go of the bytes before one; returns whether there was more to read."""
        if self._final:
            return False
        self._line, self._column = self._place(at)
        self._counted = 0
        self._offset += at
        self._data = self._data[at:]
        if len(self._data) > MAX_FORM_BYTES:
            raise self._error(0, f"an operation that does not end within {MAX_FORM_BYTES >> 20} MiB")
        piece = self._source.read(max(PIECE_BYTES, len(self._data)))
        self._final = not piece
        self._data += piece
        return True

    def _torn(self, at: int, error: edn.Incomplete) -> None:
        """Warns of an end inside of an operation; one in the middle of the file is an error."""
        with suppress(edn.Malformed):  # what is torn may be a value to be skipped
            at = self._notation.skip(self._data, at, after=self._after)
        if another := _ANOTHER.search(self._data, at + 1):
            line = self._place(another.end())[0]
            raise self._error(at, f"an operation that does not end before the next one begins in line {line}")
        line, _ = self._place(at)
        where = f"{self._source.short_name}:{line}"
        self.warnings.append(f"{where}: torn from byte {self._offset + at} on: {error.sentence}; it was left out")

    def _place(self, at: int) -> tuple[int, int]:
        """Returns line and column, each from 1, of a byte of the data."""
        before = self._data.rfind(b"\n", 0, at)
        text = self._data[before + 1 : at].decode(errors="replace")
        column = len(text) + (self._column if before < 0 else 1)
        newlines = self._data.count(b"\n", min(at, self._counted), max(at, self._counted))
        return self._line + (newlines if at >= self._counted else -newlines), column

    def _error(self, at: int, sentence: str) -> HistoryError:
        line, column = self._place(at)
        return HistoryError([f"{self._source.name}:{line}:{column}: {sentence}"])
