"""Histories: what every client asked, what it was told, and when.

A history is JSON Lines, one operation event a line, as docs/formats.md has it. This module writes one line and reads
whole histories; it is the one part of `analysis` that the recorder uses.
"""

from __future__ import annotations

import re
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from analysis.errors import AnalysisError

HISTORY_FILE = "history.jsonl"
NEMESIS: Literal["nemesis"] = "nemesis"
STDIN = "-"

_Natural = Annotated[int, msgspec.Meta(ge=0)]


class Operation(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One event of an operation: its invocation, or how it ended.

    Attributes:
        index: Place in the history, 0..n-1 without gaps.
        time: Nanoseconds since the start of the run, T0; never less than the line before; negative before T0.
        process: Number of the logical client, or `"nemesis"` for what the faults did.
        type: `invoke`; then `ok` (it happened), `fail` (it certainly did not) or `info` (nobody knows).
        f: The function: `add`, `read`, `write`, `cas`; `arm`, `start` and `end` for the nemesis.
        value: What was asked or answered; its shape depends on `f`.
        error: The class of the error, then what it said.
        node: The node that the client talked to.
    """

    index: _Natural
    time: int
    process: _Natural | Literal["nemesis"]
    type: Literal["invoke", "ok", "fail", "info"]
    f: str
    value: Any
    error: str | None = None
    node: str | None = None


class Call(NamedTuple):
    """An invocation and the event that ended it; None where the history stops before the end."""

    invoke: Operation
    completion: Operation | None

    @property
    def node(self) -> str:
        """The node that answered, or was asked; empty where the history names none."""
        return (self.completion and self.completion.node) or self.invoke.node or ""


class HistoryError(AnalysisError):
    """A history that cannot be read.

    Attributes:
        problems: One sentence a mistake, each with file, line and column.
    """

    SHOWN = 20

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        hidden = len(problems) - self.SHOWN
        super().__init__("\n".join(problems[: self.SHOWN] + ([f"... and {hidden:,} more"] if hidden > 0 else [])))


@dataclass(frozen=True)
class History:
    """A history that has been read and found well-formed.

    Attributes:
        name: The file it came from, for messages.
        operations: Every event, clients' and nemesis', in order.
        calls: The clients' invocations in order, each with its end.
        warnings: One sentence for each thing that a reader should know, such as a torn last line.
    """

    name: str
    operations: list[Operation]
    calls: list[Call]
    warnings: list[str] = field(default_factory=list)

    @property
    def nemesis(self) -> list[Operation]:
        """The events of the faults, in order."""
        return [operation for operation in self.operations if operation.process == NEMESIS]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Operation)


def encode_line(operation: Operation) -> bytes:
    """Returns the operation as one line of a history, newline included."""
    return _encoder.encode(operation) + b"\n"


def read_history(source: Path | str) -> History:
    """Reads a history and checks that it is one.

    Args:
        source: A file (gzip or plain), a run's folder with a `history.jsonl` inside, or `-` for the standard input.

    Raises:
        HistoryError: Naming each mistake with file, line and column. A torn last line is not a mistake: a recorder
            that was killed leaves one; it becomes a warning.
    """
    name, data = _load(source)
    data, warnings = _decompress(name, data)
    operations, problems, torn = _parse(name, data)
    order_problems, calls = _check_order(name, operations) if not problems else ([], [])
    if problems or order_problems:
        raise HistoryError(problems + order_problems)
    return History(name, operations, calls, warnings + torn)


def _load(source: Path | str) -> tuple[str, bytes]:
    if str(source) == STDIN:
        return "standard input", sys.stdin.buffer.read()
    path = Path(source)
    if path.is_dir():
        path /= HISTORY_FILE
    try:
        return str(path), path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); give a history file, a run's folder, or - for stdin"
        raise HistoryError([message]) from None


def _decompress(name: str, data: bytes) -> tuple[bytes, list[str]]:
    """Undoes gzip where there is any; a file that was cut short gives what can be had, and a warning."""
    plain: list[bytes] = []
    while data.startswith(b"\x1f\x8b"):
        member = zlib.decompressobj(wbits=31)
        try:
            plain.append(member.decompress(data))
        except zlib.error as error:
            raise HistoryError([f"{name}: damaged gzip data ({error}); expected a gzip or plain text file"]) from None
        if not member.eof:
            return b"".join(plain), [f"{Path(name).name}: the gzip data ends early; what came before it was read"]
        data = member.unused_data
    return b"".join(plain) or data, []


def _parse(name: str, data: bytes) -> tuple[list[Operation], list[str], list[str]]:
    """Returns the operations, the mistakes, and the warnings of a torn end."""
    operations: list[Operation] = []
    problems: list[str] = []
    lines = data.split(b"\n")
    last = lines.pop()
    for number, line in enumerate(lines, 1):
        try:
            operations.append(_decoder.decode(line))
        except (ValueError, RecursionError) as error:
            problems.append(_explain(name, number, line, error))
    if not last:
        return operations, problems, []
    try:
        operations.append(_decoder.decode(last))
    except (ValueError, RecursionError) as error:
        if not _is_torn(last):
            return operations, [*problems, _explain(name, len(lines) + 1, last, error)], []
        where = f"{Path(name).name}:{len(lines) + 1}"  # warnings go into results.json: no path of this machine in them
        torn = f"{where}: the last line is torn, from byte {len(data) - len(last)} on; it was left out"
        return operations, problems, [torn]
    return operations, problems, []


def _is_torn(line: bytes) -> bool:
    """Whether a line without a newline is the beginning of an operation, and not a whole one."""
    if not re.match(rb'\s*\{\s*("|$)', line):
        return False
    try:
        msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return True
    return False


_EXPECTED = {
    "index": "a whole number from 0",
    "time": "a whole number, nanoseconds since the start of the run",
    "process": 'a whole number from 0, or "nemesis"',
    "type": '"invoke", "ok", "fail" or "info"',
    "f": 'a string such as "add"',
    "value": "a JSON value with numbers below 2^64",
    "error": "a string",
    "node": "a string",
}


def _explain(name: str, number: int, line: bytes, error: Exception) -> str:
    """Returns one sentence: where the line is wrong, and what was expected there."""
    where, said = 0, str(error)
    if at_key := re.search(r"at `\$\.(\w+)", said):
        key = at_key[1]
        found = re.search(rb'"' + key.encode() + rb'"\s*:\s*([^,}\]]*)', line)
        where = found.start(1) if found else 0
        given = found[1].decode(errors="replace")[:40] if found else "something else"
        said = f'"{key}" must be {_EXPECTED[key]}, found {given}'
    elif missing := re.search(r"missing required field `(\w+)`", said):
        where = max(len(line.rstrip()) - 1, 0)
        said = f'"{missing[1]}" is missing: expected {_EXPECTED[missing[1]]}'
    elif at_byte := re.search(r"\s*\(byte (\d+)\)", said):
        where = int(at_byte[1])
        said = f"{said[: at_byte.start()]}; expected one operation as a JSON object"
    elif isinstance(error, UnicodeDecodeError):
        where = max(line.find(error.object[error.start : error.end]), 0)
        said = "not UTF-8; expected one operation as a JSON object in UTF-8"
    elif isinstance(error, RecursionError):
        said = "nested too deeply; expected one operation as a JSON object"
    elif not line.strip():
        said = "an empty line; expected one operation as a JSON object"
    elif "truncated" in said:
        where = len(line)
        said = "the line ends early; expected one whole operation as a JSON object"
    column = len(line[:where].decode(errors="replace")) + 1
    return f"{name}:{number}:{column}: {said}"


def _check_order(name: str, operations: list[Operation]) -> tuple[list[str], list[Call]]:
    """Holds indices dense, time monotonic and each process to one operation at a time; returns mistakes and calls."""
    problems: list[str] = []
    calls: list[Call] = []
    open_calls: dict[int, int] = {}  # process: place in calls
    dead: dict[int, int] = {}  # process: line of the info
    expected_index, time_before = 0, None
    for line, operation in enumerate(operations, 1):
        index, process = operation.index, operation.process
        if index != expected_index:
            problems.append(f'{name}:{line}:1: "index" must be {expected_index}, one more than before; found {index}')
        if time_before is not None and operation.time < time_before:
            problems.append(f'{name}:{line}:1: "time" goes back, from {time_before} to {operation.time} ns')
        expected_index, time_before = index + 1, operation.time
        if process == NEMESIS:
            problem = None if operation.type == "info" else f'the nemesis must use "info", found "{operation.type}"'
        elif operation.type == "invoke":
            problem = _invoke(operation, process, calls, open_calls, dead)
        else:
            problem = _complete(operation, process, calls, open_calls)
            if operation.type == "info":
                dead[process] = line
        if problem:
            problems.append(f"{name}:{line}:1: {problem}")
    return problems, calls


def _invoke(
    operation: Operation, process: int, calls: list[Call], open_calls: dict[int, int], dead: dict[int, int]
) -> str | None:
    problem = None
    if process in open_calls:
        first = calls[open_calls[process]].invoke.index
        problem = f"process {process} invokes again, but its operation with index {first} has not ended"
    elif process in dead:
        problem = f'process {process} invokes again, but it died with the "info" in line {dead[process]}'
    open_calls[process] = len(calls)
    calls.append(Call(operation, None))
    return problem


def _complete(operation: Operation, process: int, calls: list[Call], open_calls: dict[int, int]) -> str | None:
    place = open_calls.pop(process, None)
    if place is None:
        return f'"{operation.type}" of process {process} without an invocation before it'
    invoke = calls[place].invoke
    calls[place] = Call(invoke, operation)
    if invoke.f != operation.f:
        return f'process {process} invoked "{invoke.f}" (index {invoke.index}) and ends "{operation.f}"'
    return None
