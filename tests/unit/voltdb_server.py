"""A server that speaks as much of VoltDB's protocol as a client needs to be told what a test wants to tell it."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.unit.loopback import listening

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

BIGINT, STRING = 6, 9
HAS_STATUS_STRING = 1 << 5
LOGGED_IN = struct.pack(">BBiqqi", 0, 0, 0, 1, 0, 0) + struct.pack(">i", 5) + b"9.3.2"


@dataclass(frozen=True)
class Answer:
    """An answer: its status, what is said to it, and the rows of its table, of one column or more."""

    status: int = 1
    said: str = ""
    rows: Sequence[Sequence[int | str]] = ((1,),)
    tables: int = 1

    def packed(self) -> bytes:
        """The answer as it is sent."""
        head = struct.pack(">Bq", 0, 1)
        if self.said:
            head += struct.pack(">Bb", HAS_STATUS_STRING, self.status) + text(self.said)
        else:
            head += struct.pack(">Bb", 0, self.status)
        return head + struct.pack(">bih", 0, 0, self.tables) + table(self.rows) * self.tables


def text(value: str) -> bytes:
    """A string as the protocol has it."""
    return struct.pack(">i", len(value)) + value.encode()


def table(rows: Sequence[Sequence[int | str]]) -> bytes:
    """A table, whose columns have the types of the first row, and no names."""
    types = [STRING if isinstance(value, str) else BIGINT for value in rows[0]] if rows else [BIGINT]
    head = struct.pack(f">bh{len(types)}b", 0, len(types), *types) + text("") * len(types)
    body = struct.pack(">i", len(head)) + head + struct.pack(">i", len(rows))
    for row in rows:
        packed = b"".join(text(value) if isinstance(value, str) else struct.pack(">q", value) for value in row)
        body += struct.pack(">i", len(packed)) + packed
    return struct.pack(">i", len(body)) + body


@dataclass
class Server:
    """What it was asked (procedure and values), and what it answers, the last answer for ever.

    An answer of bytes is sent as it is, and then the connection ends; None is no answer at all.
    """

    answers: list[Answer | bytes | None]
    login: bytes | None = LOGGED_IN
    port: int = 0
    asked: list[tuple[str, *tuple[int | str, ...]]] = field(default_factory=list)
    connections: int = 0

    def serve(self, connection: socket.socket) -> None:
        """Logs anybody in, and answers."""
        self.connections += 1
        stream = connection.makefile("rwb")
        receive(stream)
        if self.login is None:
            stream.read()
            return
        stream.write(struct.pack(">i", len(self.login)) + self.login)
        stream.flush()
        while request := receive(stream):
            self.asked.append(unpacked(request))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if answer is None:
                stream.read()
                return
            packed = answer if isinstance(answer, bytes) else answer.packed()
            stream.write(packed if isinstance(answer, bytes) else struct.pack(">i", len(packed)) + packed)
            stream.flush()
            if isinstance(answer, bytes):
                return


def receive(stream: socket.SocketIO) -> bytes:
    """The next message; nothing at the end."""
    size = stream.read(4)
    return stream.read(struct.unpack(">i", size)[0]) if size else b""


def unpacked(request: bytes) -> tuple[str, *tuple[int | str, ...]]:
    """A procedure's name and values."""
    (size,) = struct.unpack(">i", request[1:5])
    name, rest = request[5 : 5 + size].decode(), request[5 + size + 10 :]
    values: list[int | str] = []
    while rest:
        kind, rest = rest[0], rest[1:]
        if kind == STRING:
            (size,) = struct.unpack(">i", rest[:4])
            values.append(rest[4 : 4 + size].decode())
            rest = rest[4 + size :]
        else:
            assert kind == BIGINT, kind
            values.append(struct.unpack(">q", rest[:8])[0])
            rest = rest[8:]
    return (name, *values)


@contextmanager
def serving(*answers: Answer | bytes | None, login: bytes | None = LOGGED_IN) -> Iterator[Server]:
    """A server on a port of the loopback interface."""
    server = Server(list(answers) or [Answer()], login)
    with listening(server.serve) as server.port:
        yield server
