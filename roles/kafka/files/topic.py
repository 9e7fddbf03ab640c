"""Asks a broker of Kafka what it knows of a topic's first partition: `topic.py ADDRESS PORT TOPIC`.

Prints `me=1 leader=1 replicas=1,2,3 isr=1,2,3 brokers=1,2,3,4,5`, what is not known left out. By the protocol's
Metadata request, version 0, which brokers answer since 0.8.0. Standard library only: nodes have no client.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Callable, TypeVar

T = TypeVar("T")

METADATA, VERSION = 3, 0
TIMEOUT_S = 5


def text(value: str) -> bytes:
    """A string as the protocol writes it."""
    return struct.pack(">h", len(value)) + value.encode()


class Answer:
    """What is left to read of an answer."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, form: str) -> int:
        """Reads one number."""
        size = struct.calcsize(form)
        (value,), self.data = struct.unpack(form, self.data[:size]), self.data[size:]
        return value

    def string(self) -> str:
        """Reads one string."""
        size = self.take(">h")
        value, self.data = self.data[:size], self.data[size:]
        return value.decode()

    def many(self, read: Callable[[], T]) -> list[T]:
        """Reads a list."""
        return [read() for _ in range(self.take(">i"))]

    def number(self) -> int:
        """Reads one number of four bytes."""
        return self.take(">i")


def ask(address: str, port: int, topic: str) -> Answer:
    """Returns the answer to a Metadata request."""
    request = struct.pack(">hhi", METADATA, VERSION, 0) + text("jepsen") + struct.pack(">i", 1) + text(topic)
    with socket.create_connection((address, port), TIMEOUT_S) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        stream = connection.makefile("rb")
        (size,) = struct.unpack(">i", stream.read(4))
        return Answer(stream.read(size)[4:])


def listed(numbers: list[int]) -> str:
    """Numbers in their order, with commas."""
    return ",".join(map(str, sorted(numbers)))


def main() -> None:
    """Prints what the broker knows."""
    address, port, topic = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    answer = ask(address, port, topic)
    brokers = answer.many(lambda: (answer.number(), answer.string(), answer.number()))
    said = ["me=" + next((str(number) for number, host, _ in brokers if host == address), "")]
    for _ in range(answer.number()):
        answer.take(">h"), answer.string()
        for _ in range(answer.number()):
            answer.take(">h"), answer.number()
            said.append(f"leader={answer.number()}")
            said.append(f"replicas={listed(answer.many(answer.number))}")
            said.append(f"isr={listed(answer.many(answer.number))}")
    said.append(f"brokers={listed([number for number, _, _ in brokers])}")
    sys.stdout.write(" ".join(said) + "\n")


main()
