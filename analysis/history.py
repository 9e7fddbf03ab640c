"""Histories: what every client asked, what it was told, and when.

A history is JSON Lines, one operation event a line, as docs/formats.md has it. This module has its words as objects and
writes one line; it is the one part of `analysis` that the recorder uses. `analysis.read` reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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


def encode_line(operation: Operation) -> bytes:
    """Returns the operation as one line of a history, newline included."""
    return _encoder.encode(operation) + b"\n"
