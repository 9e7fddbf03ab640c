"""A source line by line, in pieces of some megabytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from analysis.history import HistoryError
from analysis.read.source import MAX_FORM_BYTES, PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analysis.read.source import Source


class Piece(NamedTuple):
    """Some lines.

    Attributes:
        data: Whole lines with their newlines; the last piece may end without one.
        number: Of its first line, from 1.
        offset: Of its first byte in the source.
    """

    data: bytes
    number: int
    offset: int


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


def pieces(source: Source, size: int = PIECE_BYTES) -> Iterator[Piece]:
    """Gives a source in pieces that end where a line does.

    Raises:
        HistoryError: If one line is longer than `MAX_FORM_BYTES`.
    """
    rest, number, offset = b"", 1, 0
    while more := source.read(max(size, len(rest))):
        data = rest + more
        end = data.rfind(b"\n", len(rest)) + 1
        if end:
            yield Piece(data[:end], number, offset)
            number += data.count(b"\n", 0, end)
            offset += end
        rest = data[end:]
        if len(rest) > MAX_FORM_BYTES:
            raise HistoryError([f"{source.name}:{number}:1: a line longer than {MAX_FORM_BYTES >> 20} MiB"])
    if rest:
        yield Piece(rest, number, offset)


def lines(source: Source) -> Iterator[Line]:
    """Gives a source line by line."""
    for piece in pieces(source):
        offset = piece.offset
        texts = piece.data.split(b"\n")
        last = texts.pop()
        for number, text in enumerate(texts, piece.number):
            yield Line(text, number, offset, whole=True)
            offset += len(text) + 1
        if last:
            yield Line(last, piece.number + len(texts), offset, whole=False)
