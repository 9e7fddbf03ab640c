"""Asks a broker of Kafka what it knows of a topic's first partition: `topic.py ADDRESS PORT TOPIC [ZOOKEEPER_PORT]`.

Prints `me=1 leader=1 replicas=1,2,3 isr=1,2,3 brokers=1,2,3,4,5`, what is not known left out. By the protocol's
Metadata request, version 0, which brokers answer since 0.8.0. With a ZooKeeper the copies in sync (isr) are those that
its server on that address knows: the leader writes them there, and brokers of 0.8 are not told. Standard library only:
nodes have no client.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from typing import Callable, TypeVar

T = TypeVar("T")

METADATA, VERSION = 3, 0
GET_DATA, CLOSE_SESSION = 4, -11  # of ZooKeeper's protocol
SESSION_MS = 6000
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


def in_sync(address: str, port: int, topic: str) -> list[int]:
    """Returns the copies in sync as they stand in ZooKeeper; none where nothing does."""
    path = f"/brokers/topics/{topic}/partitions/0/state".encode()
    with socket.create_connection((address, port), TIMEOUT_S) as connection:
        stream = connection.makefile("rwb")

        def say(data: bytes) -> None:
            stream.write(struct.pack(">i", len(data)) + data)
            stream.flush()

        def hear() -> bytes:
            return stream.read(struct.unpack(">i", stream.read(4))[0])

        say(struct.pack(">iqiqi16x", 0, 0, SESSION_MS, 0, 16))  # a new session
        hear()
        say(struct.pack(">iii", 1, GET_DATA, len(path)) + path + b"\0")
        reply = hear()
        say(struct.pack(">ii", 2, CLOSE_SESSION))
    _, _, error = struct.unpack(">iqi", reply[:16])
    if error:
        return []
    (size,) = struct.unpack(">i", reply[16:20])
    found: list[int] = json.loads(reply[20 : 20 + size])["isr"]
    return found


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
            isr = answer.many(answer.number)
            said.append(f"isr={listed(in_sync(address, int(sys.argv[4]), topic) if sys.argv[4:] else isr)}")
    said.append(f"brokers={listed([number for number, _, _ in brokers])}")
    sys.stdout.write(" ".join(said) + "\n")


main()
