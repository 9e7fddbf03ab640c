"""EDN, the notation of Clojure: values in and out, exactly.

What Python has no type for keeps its notation beside its text: a keyword `:ok` is the string "ok" that knows to be
written as `:ok`. So a checker sees plain strings, numbers, lists and dicts, and writing loses nothing.

Format: https://github.com/edn-format/edn
"""

from __future__ import annotations

import math
import re
from typing import Any, Final, Never

MAX_DEPTH: Final = 200  # of nesting: no history needs it, and Python's own stack ends at five times as much

_SKIP = re.compile(rb"(?:[\s,]++|;[^\n]*+)*+")
_STRING = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_TOKEN = re.compile(rb'[^\s,;"()\[\]{}\\@^`~]+')
_TAG = re.compile(r'#[^\s,;"()\[\]{}\\@^`~]+', re.ASCII)
_CUT = re.compile(rb'\\?[^\s,;"()\[\]{}\\@^`~]*')
_INTEGER = re.compile(rb"[+-]?(?:0|[1-9][0-9]*)N?\Z")
_HEXADECIMAL = re.compile(rb"[+-]?0[xX][0-9a-fA-F]+\Z")
_FLOAT = re.compile(rb"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?\Z")
_DECIMAL = re.compile(rb"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?M\Z|[+-]?[0-9]+/[0-9]+\Z")
_CHARACTER = re.compile(rb"\\(?:u[0-9a-fA-F]{4}|o[0-7]{1,3}|[a-zA-Z]+|[\x00-\x7f]|[\xc0-\xff][\x80-\xbf]+)")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([0-3]?[0-7]{1,2})|(.))", re.DOTALL)
_ESCAPES: Final = {"t": "\t", "r": "\r", "n": "\n", "b": "\b", "f": "\f", "\\": "\\", '"': '"'}
_NAMED_CHARACTERS: Final = {
    "newline": "\n",
    "space": " ",
    "tab": "\t",
    "return": "\r",
    "backspace": "\b",
    "formfeed": "\f",
}
_CLOSERS: Final = {ord("["): ord("]"), ord("("): ord(")"), ord("{"): ord("}")}


class Malformed(Exception):  # noqa: N818 - a place and a sentence, made an error with file and line by the caller
    """A text that is not EDN.

    Attributes:
        at: The byte where it goes wrong.
        sentence: What was found and what was expected.
    """

    def __init__(self, at: int, sentence: str) -> None:
        super().__init__(sentence)
        self.at = at
        self.sentence = sentence


class Incomplete(Malformed):
    """A text that ends inside of a value: more of it may make it whole."""


class Notation(str):
    """A string that is not written as one: a keyword, symbol, character, ratio, or a map's key that is no string.

    Attributes:
        edn: How EDN writes it.
    """

    __slots__ = ("edn",)
    edn: str

    def __new__(cls, text: str, edn: str) -> Notation:  # noqa: PYI034 - Self would promise subclasses
        """Returns the text with its notation."""
        made = super().__new__(cls, text)
        made.edn = edn
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override] # the arguments of str are others
        """Returns what makes it again in another process."""
        return str(self), self.edn


class Set(list[Any]):
    """A set in the order in which it was written; its elements need not be hashable."""


def keyword(name: str) -> Notation:
    """Returns the keyword of a name without its colon."""
    return Notation(name, ":" + name)


class Reader:
    """Reads values from bytes, one after the other.

    Attributes:
        data: UTF-8 text.
        at: The byte where the next value begins.
    """

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def skip(self, depth: int = 0) -> bool:
        """Goes past blanks, commas, comments and `#_` discarded values; returns whether anything is left."""
        while True:
            if blank := _SKIP.match(self.data, self.at):
                self.at = blank.end()
            if self.data[self.at : self.at + 2] != b"#_":
                return self.at < len(self.data)
            self.at += 2
            self.value(depth + 1)

    def value(self, depth: int = 0) -> Any:  # noqa: ANN401 - any value may stand there
        """Reads one value.

        Raises:
            Malformed: If it is not EDN, or nested deeper than `MAX_DEPTH`.
            Incomplete: If the text ends before the value does.
        """
        if depth > MAX_DEPTH:
            raise Malformed(self.at, f"nested more than {MAX_DEPTH} levels deep")
        if not self.skip(depth):
            raise Incomplete(self.at, "the text ends where a value was expected")
        first = self.data[self.at]
        if first == ord('"'):
            return self._string()
        if first == ord("{"):
            return self._map(depth)
        if first in _CLOSERS:
            return self._items(_CLOSERS[first], depth)
        if first == ord("\\"):
            return self._character()
        if first == ord("#"):
            return self._dispatched(depth)
        return self._atom()

    def fail(self, sentence: str) -> Never:
        """Raises `Malformed` at the present byte; `Incomplete` where its token touches the end, which may cut it."""
        token = _CUT.match(self.data, self.at)
        if token and self.at < token.end() == len(self.data):
            raise Incomplete(self.at, sentence)
        raise Malformed(self.at, sentence)

    def entries(self, depth: int = 0) -> dict[str, tuple[int, Any]]:
        """Reads a map, `{` first: each key with the byte where its value begins, and the value."""
        found: dict[str, tuple[int, Any]] = {}
        self.at += 1
        while not self._closed(ord("}")):
            begin = self.at
            key = self._key(depth)
            if key in found:
                self.at = begin
                self.fail(f"the key {key} stands twice in one map")
            if not self.skip():
                raise Incomplete(self.at, "the text ends inside of a map")
            if self.data[self.at] == ord("}"):
                self.fail(f"the map's key {key} has no value")
            value_at = self.at
            found[key] = value_at, self.value(depth + 1)
        return found

    def _key(self, depth: int) -> str:
        key = self.value(depth + 1)
        if isinstance(key, str):
            return key
        text = write(key)
        return Notation(text, text)

    def _map(self, depth: int) -> dict[str, Any]:
        return {key: value for key, (_, value) in self.entries(depth).items()}

    def _items(self, closer: int, depth: int) -> list[Any]:
        items: list[Any] = []
        self.at += 1
        while not self._closed(closer):
            items.append(self.value(depth + 1))
        return items

    def _closed(self, closer: int) -> bool:
        """Goes past a closing bracket; returns whether there was one."""
        if not self.skip():
            raise Incomplete(self.at, f"the text ends where a value or {chr(closer)} was expected")
        if self.data[self.at] != closer:
            return False
        self.at += 1
        return True

    def _string(self) -> str:
        found = _STRING.match(self.data, self.at)
        if not found:
            raise Incomplete(self.at, "a string that does not end")
        text = self._text(found[1])
        if "\\" in text:
            text = _ESCAPE.sub(self._escaped, text)
            text = self._paired(text)
        self.at = found.end()
        return text

    def _escaped(self, found: re.Match[str]) -> str:
        hexadecimal, octal, letter = found.groups()
        if hexadecimal or octal:
            return chr(int(hexadecimal, 16) if hexadecimal else int(octal, 8))
        if letter not in _ESCAPES:
            self.fail(f'an unknown escape \\{letter} in a string; expected one of \\t \\r \\n \\b \\f \\\\ \\" \\uXXXX')
        return _ESCAPES[letter]

    def _paired(self, text: str) -> str:
        """Joins the halves of characters that were escaped as two."""
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.fail("half of a surrogate pair in a string; expected \\uXXXX of both halves")

    def _text(self, raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.fail("not UTF-8; expected text in UTF-8")

    def _character(self) -> Notation:
        found = _CHARACTER.match(self.data, self.at)
        if not found:
            if len(self.data) - self.at < 4:
                raise Incomplete(self.at, "the text ends where a character was expected")
            self.fail("not UTF-8; expected a character after \\")
        text = self._text(found[0])
        name = text[1:]
        if len(name) == 1:
            character = name
        elif name in _NAMED_CHARACTERS:
            character = _NAMED_CHARACTERS[name]
        elif name[0] == "u" and len(name) == 5:
            character = self._lone(int(name[1:], 16))
        elif name[0] == "o" and name[1:].isdigit():
            character = chr(int(name[1:], 8))
        else:
            self.fail(f"an unknown character {text}; expected one such as \\a, \\newline or \\u0041")
        self.at = found.end()
        return Notation(character, text)

    def _lone(self, code: int) -> str:
        if 0xD800 <= code < 0xE000:
            self.fail("half of a surrogate pair as a character; expected a whole one")
        return chr(code)

    def _dispatched(self, depth: int) -> Any:  # noqa: ANN401 - any value may be tagged
        if len(self.data) - self.at < 2:
            raise Incomplete(self.at, "the text ends after #")
        second = self.data[self.at + 1]
        if second == ord("{"):
            self.at += 1
            return Set(self._items(ord("}"), depth))
        found = _TOKEN.match(self.data, self.at)
        token = self._text(found[0]) if found else "#"
        if token in {"##NaN", "##Inf", "##-Inf"}:
            self.at += len(token)
            return Notation(token[2:], token)
        if not _is_tag(token):
            self.fail("an unknown form after #; expected a set #{...}, a tag such as #inst, or #_")
        self.at += len(found[0] if found else b"#")
        return {Notation(token, token): self.value(depth + 1)}

    def _atom(self) -> Any:  # noqa: ANN401 - nil, a boolean, a number or a name
        found = _TOKEN.match(self.data, self.at)
        if not found:
            self.fail(f"found {chr(self.data[self.at])} where a value was expected")
        token = found[0]
        value = self._number(token) if token[:1].isdigit() or _signed(token) else self._name(token)
        self.at = found.end()
        return value

    def _number(self, token: bytes) -> Any:  # noqa: ANN401 - an int, a float or a ratio
        try:
            if _INTEGER.match(token):
                return int(token.rstrip(b"N"))
            if _HEXADECIMAL.match(token):
                return int(token, 16)
            if _FLOAT.match(token) and math.isfinite(number := float(token)):
                return number
        except ValueError:  # thousands of digits
            self.fail("a number with too many digits")
        if _DECIMAL.match(token):
            return Notation(token.decode(), token.decode())
        shown = token[:40].decode(errors="replace")
        return self.fail(f"{shown} is no number; expected one such as 12, -3 or 1.5e3")

    def _name(self, token: bytes) -> Any:  # noqa: ANN401 - nil, a boolean, a keyword or a symbol
        if token == b"nil":
            return None
        if token in {b"true", b"false"}:
            return token == b"true"
        text = self._text(token)
        if text in {":", "::"}:
            self.fail("a colon without a name; expected a keyword such as :read")
        return Notation(text[1:] if text[0] == ":" else text, text)


def _is_tag(text: str) -> bool:
    return text[1:2].isalpha() and bool(_TAG.fullmatch(text))


def _signed(token: bytes) -> bool:
    return token[:1] in {b"+", b"-"} and token[1:2].isdigit()


_WRITTEN: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def write(value: Any) -> str:  # noqa: ANN401 - any value may be written
    """Returns a value as EDN on one line.

    Raises:
        TypeError: If it is not of the types that reading gives.
    """
    if isinstance(value, str):
        return value.edn if isinstance(value, Notation) else f'"{value.translate(_WRITTEN)}"'
    if isinstance(value, (list, tuple)):
        items = " ".join(map(write, value))
        return f"#{{{items}}}" if isinstance(value, Set) else f"[{items}]"
    if isinstance(value, dict):
        return _write_map(value)
    return _write_plain(value)


def _write_plain(value: object) -> str:
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -(2**63) <= value < 2**63 else f"{value}N"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else _not_finite(value)
    raise TypeError(f"a value of the type {type(value).__name__} cannot be written as EDN")


def _write_map(value: dict[Any, Any]) -> str:
    if len(value) == 1:
        (key, inner) = next(iter(value.items()))
        if isinstance(key, str) and _is_tag(key):
            return f"{key} {write(inner)}"
    return "{" + ", ".join(f"{write(key)} {write(inner)}" for key, inner in value.items()) + "}"


def _not_finite(value: float) -> str:
    return "##NaN" if math.isnan(value) else "##Inf" if value > 0 else "##-Inf"
