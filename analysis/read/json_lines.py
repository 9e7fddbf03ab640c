"""One JSON object a line, as docs/formats.md has it; exact, row by row.

Our own lines have an `index` and are held to the format strictly; a line without one is another program's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from analysis.history import HistoryError
from analysis.read.event import Event, Mistake, check
from analysis.read.forms import json_places
from analysis.read.lines import torn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from analysis.read.lines import Line
    from analysis.read.source import Source

_decoder = msgspec.json.Decoder()
_MOST_PROBLEMS = 1000
_BEGIN = re.compile(rb'\s*\{\s*("|$)')


class LineError(Exception):
    """A line that is no event.

    Attributes:
        column: From 1.
        sentence: What was found and what was expected.
    """

    def __init__(self, line: bytes, at: int, sentence: str) -> None:
        super().__init__(sentence)
        self.column = len(line[:at].decode(errors="replace")) + 1
        self.sentence = sentence


def parse_line(line: bytes, number: int) -> Event:
    """Reads one event.

    Raises:
        LineError: Saying where it is wrong and what was expected there.
    """
    try:
        fields = _decoder.decode(line)
    except (ValueError, RecursionError) as error:
        raise _syntax(line, error) from None
    if not isinstance(fields, dict):
        raise LineError(line, 0, "expected one operation as a JSON object")
    try:
        return check(fields, number, foreign="index" not in fields)
    except Mistake as mistake:
        end = max(len(line.rstrip()) - 1, 0)
        raise LineError(line, json_places(line).get(mistake.key, end), mistake.sentence) from None


def is_torn(line: bytes) -> bool:
    """Returns whether a line without a newline is the beginning of an event, and not a whole one."""
    if not _BEGIN.match(line):
        return False
    try:
        _decoder.decode(line)
    except (ValueError, RecursionError):
        return True
    return False


def read_exactly(source: Source, found: Iterable[Line], add: Callable[[Event], None], problems: list[str]) -> list[str]:
    """Gives each line's event to `add` and each mistake to `problems`; returns the warning of a torn last line."""
    for line in found:
        try:
            add(parse_line(line.text, line.number))
        except LineError as error:
            if not line.whole and is_torn(line.text):
                return [torn(source, line)]
            note(problems, source, line.number, error)
    return []


def note(problems: list[str], source: Source, number: int, error: LineError) -> None:
    """Adds a mistake to the others.

    Raises:
        HistoryError: If there are so many that the file is no history.
    """
    problems.append(f"{source.name}:{number}:{error.column}: {error.sentence}")
    if len(problems) == _MOST_PROBLEMS:
        raise HistoryError(problems)


def _syntax(line: bytes, error: Exception) -> LineError:
    said = str(error)
    if at_byte := re.search(r"\s*\(byte (\d+)\)", said):
        said = f"{said[: at_byte.start()]}; expected one operation as a JSON object"
        return LineError(line, int(at_byte[1]), said)
    if isinstance(error, UnicodeDecodeError):
        at = max(line.find(error.object[error.start : error.end]), 0)
        return LineError(line, at, "not UTF-8; expected one operation as a JSON object in UTF-8")
    if isinstance(error, RecursionError):
        return LineError(line, 0, "nested too deeply; expected one operation as a JSON object")
    if not line.strip():
        return LineError(line, 0, "an empty line; expected one operation as a JSON object")
    if "truncated" in said:
        return LineError(line, len(line), "the line ends early; expected one whole operation as a JSON object")
    return LineError(line, 0, f"{said}; expected one operation as a JSON object")
