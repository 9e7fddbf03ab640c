"""Long histories: the compiled scanner for the lines that it knows, the exact readers for the others."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.read.json_lines import LineError, note, parse_line, read_exactly
from analysis.read.lines import pieces, split
from analysis.read.scan import UNKNOWN, Scan, renumber, scan
from analysis.read.source import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from analysis.read.columns import Columns
    from analysis.read.source import Source

_PIECE_BYTES: Final = PIECE_BYTES  # of one scan
_MOST_THREADS: Final = 8
_LONGEST_WAIT: Final = 256  # maps that are read exactly before the scanner is tried again


def read_json_lines(source: Source, columns: Columns, problems: list[str]) -> list[str]:
    """Appends each line's event to the columns and each mistake to `problems`; returns warnings."""
    number, offset = 1, 0
    warnings: list[str] = []
    for data, scans in _scanned(source):
        at = 0
        for found in scans:
            _append(source, data, found, number, columns, problems)
            number += len(found.begin) - 1
            at = int(found.begin[-1])
        rest = data[at:]  # the scanner's margin
        warnings += read_exactly(source, split(rest, number, offset + at), columns.add, problems)
        number += rest.count(b"\n")
        offset += len(data)
    return warnings


def _scanned(source: Source) -> Iterator[tuple[bytes, list[Scan]]]:
    """Gives the pieces of a source with what was found in each, in order, some pieces ahead of who takes them."""
    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    waiting: deque[tuple[bytes, Future[list[Scan]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        following = pieces(source, _PIECE_BYTES)
        while True:
            for data in islice(following, threads + 1 - len(waiting)):
                waiting.append((data, pool.submit(_scan_all, data)))
            if not waiting:
                return
            data, future = waiting.popleft()
            yield data, future.result()


def _scan_all(data: bytes) -> list[Scan]:
    """Scans all of a piece but its margin; in one go, unless lines are very short."""
    scans = [scan(data, edn=False)]
    while len(scans[-1].begin) > 1:
        scans.append(scan(data, int(scans[-1].begin[-1]), edn=False))
    return scans


def _append(  # noqa: PLR0913, PLR0917 - the reader's state
    source: Source, data: bytes, found: Scan, number: int, columns: Columns, problems: list[str]
) -> None:
    """Appends the rows of a scan, those that it gave up read exactly."""
    block = renumber(found, columns.f, columns.node, columns.error, number)
    for row in np.flatnonzero(block["kind"] == UNKNOWN).tolist():
        try:
            event = parse_line(data[found.begin[row] : found.begin[row + 1] - 1], number + row)
        except LineError as error:
            note(problems, source, number + row, error)
        else:
            columns.put(block, row, event)
    columns.extend(block)


class EdnShortcut:
    """Scans maps that stand one a line; where they do not, it waits longer after each vain try."""

    def __init__(self) -> None:
        self._wait = 0
        self._next_wait = 1

    def read(self, data: bytes, at: int, line: int, columns: Columns) -> int:
        """Appends the maps from a byte on that the scanner knows, and returns the byte after them."""
        if self._wait:
            self._wait -= 1
            return at
        found = scan(data, at, edn=True)
        if len(found.begin) > 1:
            columns.extend(renumber(found, columns.f, columns.node, columns.error, line))
            self._next_wait = 1
        else:
            self._wait = self._next_wait
            self._next_wait = min(2 * self._next_wait, _LONGEST_WAIT)
        return int(found.begin[-1])
