"""A server that speaks as much of MariaDB's protocol as a client needs to be told what a test wants to tell it."""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.unit.loopback import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CAPABILITIES = 0x200 | 0x8000 | 0x8_0000 | 0x8  # protocol 4.1, its logins, a database by name
AUTOCOMMIT = struct.pack("<HH", 2, 0)  # the status, no warnings
OK = b"\0\0\0" + AUTOCOMMIT
END = b"\xfe\0\0\2\0"
QUIT, QUERY = 1, 3
CLOSE, HANG = b"close", b"hang"
INT, TEXT = 3, 253


@dataclass(frozen=True)
class Rows:
    """A result: columns' types, and rows."""

    types: Sequence[int]
    rows: Sequence[Sequence[int | str]]


Answer = bytes | Rows | int
"""A packet, rows, CLOSE, HANG, or the number of an error."""


class Server:
    """What it was asked, and what it answers: `answers` maps the beginning of a statement to an answer; else OK."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.port = 0
        self.sessions: list[list[str]] = []
        self.before: Callable[[str], None] = lambda _: None

    @property
    def statements(self) -> list[str]:
        """All that was asked once a session was set up."""
        return [each for session in self.sessions for each in session if not each.startswith("SET ")]

    def serve(self, connection: socket.socket) -> None:
        """Logs anybody in, and answers."""
        asked: list[str] = []
        self.sessions.append(asked)
        greeting = struct.pack("<B17sI8sxHBHHB10x12sx", 10, b"10.11.19-MariaDB\0", 1, b"a" * 8,
                               CAPABILITIES & 0xFFFF, 45, 2, CAPABILITIES >> 16, 21, b"b" * 12)  # fmt: skip
        send(connection, [greeting + b"mysql_native_password\0"], 0)
        receive(connection)
        send(connection, [OK], 2)
        while (packet := receive(connection)) and packet[0] != QUIT:
            assert packet[0] == QUERY, packet
            asked.append(packet[1:].decode())
            self.before(asked[-1])
            answer = next((a for begin, a in self.answers.items() if asked[-1].startswith(begin)), OK)
            if answer == CLOSE:
                return
            if answer == HANG:
                connection.recv(1)
                return
            send(connection, packets_of(answer), 1)


@contextmanager
def serving(answers: dict[str, Answer] | None = None) -> Iterator[Server]:
    """Gives a server on 127.0.0.1."""
    served = Server({} if answers is None else answers)
    with listening(served.serve) as served.port:
        yield served


def send(connection: socket.socket, packets: Sequence[bytes], number: int) -> None:
    """Sends packets, the first of that number."""
    headed = [struct.pack("<I", len(one))[:3] + bytes([number + i]) + one for i, one in enumerate(packets)]
    connection.sendall(b"".join(headed))


def receive(connection: socket.socket) -> bytes:
    """Returns one packet, none at the end."""
    header = connection.recv(4, socket.MSG_WAITALL)
    if len(header) < 4:
        return b""
    return connection.recv(int.from_bytes(header[:3], "little"), socket.MSG_WAITALL)


def packets_of(answer: Answer) -> list[bytes]:
    """Returns the packets of an answer."""
    if isinstance(answer, bytes):
        return [answer]
    if isinstance(answer, int):
        return [b"\xff" + struct.pack("<H", answer) + b"#HY000so it is"]
    columns = [
        b"".join(map(text, ("def", "", "", "", f"c{i}", ""))) + struct.pack("<BHIBHBxx", 12, 45, 99, kind, 0, 0)
        for i, kind in enumerate(answer.types)
    ]
    rows = [b"".join(text(str(value)) for value in row) for row in answer.rows]
    return [bytes([len(columns)]), *columns, END, *rows, END]


def text(value: str) -> bytes:
    """Returns a short text as a packet has it."""
    return bytes([len(value)]) + value.encode()
