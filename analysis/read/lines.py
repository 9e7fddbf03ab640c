"""A source line by line, in pieces of some megabytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from analysis.history import HistoryError
from analysis.read.source import MAX_FORM_BYTES, PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analysis.read.source import Source


class Line(NamedTuple):
    """One line.

    Attributes:
        text: Without its newline.
        number: From 1.
        offset: Of its first byte in the source.
        whole: Whether a newline ends it.
    """

    text: bytes
    number: int
    offset: int
    whole: bool


def torn(source: Source, line: Line) -> str:
    """Returns the warning of a last line that is no whole event."""
    return f"{source.short_name}:{line.number}: the last line is torn, from byte {line.offset} on; it was left out"


def unended(source: Source, line: Line) -> str:
    """Returns the warning of a last line that may be whole: without a newline, 12 may be the beginning of 123."""
    return f"{source.short_name}:{line.number}: the last line has no newline: it may be torn, and was read as it is"


def pieces(source: Source, size: int = PIECE_BYTES) -> Iterator[bytes]:
    """Gives a source in pieces of whole lines; the last one may end without a newline.

    Raises:
        HistoryError: If one line is longer than `MAX_FORM_BYTES`.
    """
    rest: list[bytes | memoryview] = []
    rest_bytes = 0
    while more := source.read(max(size, rest_bytes)):
        end = more.rfind(b"\n") + 1
        if end:
            yield b"".join([*rest, memoryview(more)[:end]])  # the one copy
            rest, rest_bytes = [], 0
        rest.append(more[end:])
        rest_bytes += len(more) - end
        if rest_bytes > MAX_FORM_BYTES:
            raise HistoryError([f"{source.name}: a line longer than {MAX_FORM_BYTES >> 20} MiB; expected operations"])
    if rest_bytes:
        yield b"".join(rest)


def split(data: bytes, number: int = 1, offset: int = 0) -> Iterator[Line]:
    """Gives a piece line by line, of which the first has this number and offset."""
    texts = data.split(b"\n")
    last = texts.pop()
    for text in texts:
        yield Line(text, number, offset, whole=True)
        number += 1
        offset += len(text) + 1
    if last:
        yield Line(last, number, offset, whole=False)


def lines(source: Source) -> Iterator[Line]:
    """Gives a source line by line."""
    number, offset = 1, 0
    for piece in pieces(source):
        for line in split(piece, number, offset):
            yield line
            number, offset = line.number + 1, line.offset + len(line.text) + 1
