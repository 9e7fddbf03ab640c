"""The log lines of the series: `PROCESS TAB :type TAB :f TAB value [TAB error]`, whatever stands before them.

A log holds other lines too, which are passed over; a `history.txt` holds nothing else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from analysis.history import NEMESIS, HistoryError
from analysis.read import edn
from analysis.read.event import Event, Mistake, check
from analysis.read.lines import Line, lines, torn, unended

if TYPE_CHECKING:
    from collections.abc import Callable

    from analysis.read.source import Source

_OPERATION: Final = re.compile(
    rb"(?P<before>(?:.*[\s\]:-])??)(?P<process>\d+|:?nemesis)[ ]*\t"
    rb"(?P<type>:?[\w-]+)[ ]*\t[ ]*(?P<f>:?[^\s]+)[ ]*(?:\t(?P<value>[^\t]*)(?:\t(?P<error>.*))?)?\Z",
    re.DOTALL,
)
_LOG: Final = re.compile(rb"jepsen|\b(?:INFO|WARN|DEBUG|ERROR)\b")


def is_operation(line: bytes) -> bool:
    """Returns whether a line looks like an operation, with its tabs."""
    found = _OPERATION.match(line.rstrip(b"\r\n"))
    return bool(found and found["type"].lstrip(b":") in {b"invoke", b"ok", b"fail", b"info"})


def read_text(source: Source, add: Callable[[Event], None]) -> list[str]:
    """Gives each event of a log to `add`; returns warnings.

    Raises:
        HistoryError: With file, line and column of an operation that cannot be read, or, where the file is no log but
            a list of operations, of a line that is none.
    """
    passed = 0
    is_log = False
    warnings = []
    for line in lines(source):
        text = line.text.rstrip(b"\r")
        if not text.strip():
            continue
        found = _OPERATION.match(text)
        is_log = is_log or bool(_LOG.search(found["before"] if found else text))
        event = _event(source, line, found) if found else None
        if event:
            add(event)
        if not line.whole:
            warnings.append(unended(source, line) if event else torn(source, line))
        elif is_log and not found:
            passed += 1
        elif not found:
            expected = "expected process, type, function and value with tabs between them"
            raise HistoryError([f"{source.name}:{line.number}:1: {expected}"])
    if passed:
        warnings.append(f"{source.short_name}: {passed:,} lines of the log are no operations; passed over")
    return warnings


def _event(source: Source, line: Line, found: re.Match[bytes]) -> Event | None:
    """Returns the event of a line; None of a last one that ends too early."""
    if not line.whole and found["value"] is None:
        return None  # the function's name may go on
    process = found["process"].lstrip(b":")
    fields: dict[str, Any] = {"process": NEMESIS if process == NEMESIS.encode() else int(process)}
    place = "value"
    try:
        for place in ("type", "f"):
            fields[place] = _plain(found[place])
        for place in ("value", "error"):
            fields[place] = _parsed(found[place], lenient=fields["process"] == NEMESIS or place == "error")
        return check(fields, line.number, foreign=True)
    except (edn.Malformed, Mistake, ValueError) as error:
        if not line.whole and isinstance(error, edn.Malformed):
            return None
        key = error.key if isinstance(error, Mistake) else place
        at = found.start(key) + (error.at if isinstance(error, edn.Malformed) else 0)
        column = len(line.text[:at].decode(errors="replace")) + 1
        raise HistoryError([f"{source.name}:{line.number}:{column}: {error}"]) from None


def _plain(token: bytes) -> str:
    return token.decode().removeprefix(":")


def _parsed(text: bytes | None, *, lenient: bool) -> Any:  # noqa: ANN401 - any value may stand there
    """Reads one value and nothing after it; a nemesis or an error may also say something that is no EDN."""
    if text is None or not text.strip():
        return None
    reader = edn.Reader(text)
    try:
        value = reader.value()
        if reader.skip():
            reader.fail("expected nothing after the value")
    except edn.Malformed:
        if not lenient:
            raise
        return text.decode(errors="replace")
    return value
