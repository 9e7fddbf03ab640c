"""Asks a node of Cassandra about the cluster: `cluster.py ADDRESS PORT PROTOCOL [make|read KEYSPACE [COPIES]]`.

Prints `nodes=5 schemas=1`: how many nodes there are by its own account, itself among them, and how many schemas they
have. `make` makes the keyspace if there is none, with so many copies of each row, and a table in it; `read` reads a
row of that from all nodes that have it, and prints `read=yes` then. By the CQL protocol, versions 2 and 3, of which
one is spoken by every release since 2.0. Standard library only: nodes have no client.
"""

from __future__ import annotations

import socket
import struct
import sys

ERROR, STARTUP, QUERY = 0, 1, 7
ROWS = 2
ONE, ALL = 1, 5
TIMEOUT_S = 10
HEADS = {2: ">BBbBi", 3: ">BBhBi"}  # version, flags, stream, opcode, length
PAGED = 2
SCHEMAS = ("SELECT schema_version FROM system.local", "SELECT schema_version FROM system.peers")


class CqlError(Exception):
    """The node refused, or could not; its text is what it said."""


class Node:
    """A connection to one node."""

    def __init__(self, address: str, port: int, protocol: int) -> None:
        self.version, self.head = protocol, HEADS[protocol]
        self.stream = socket.create_connection((address, port), TIMEOUT_S).makefile("rwb")
        self.call(STARTUP, struct.pack(">h", 1) + text("CQL_VERSION") + text("3.0.0"))

    def call(self, opcode: int, body: bytes) -> bytes:
        """Sends a frame and returns the body of the answer."""
        self.stream.write(struct.pack(self.head, self.version, 0, 0, opcode, len(body)) + body)
        self.stream.flush()
        head = self.stream.read(struct.calcsize(self.head))
        if len(head) < struct.calcsize(self.head):
            raise CqlError("the node hung up")
        _, _, _, answered, size = struct.unpack(self.head, head)
        answer = self.stream.read(size)
        if answered == ERROR:
            raise CqlError(answer[6:].decode(errors="replace"))
        return answer

    def query(self, statement: str, consistency: int = ONE) -> list[bytes]:
        """Makes a statement and returns the values of its rows, which have one column."""
        said = statement.encode()
        answer = self.call(QUERY, struct.pack(">i", len(said)) + said + struct.pack(">hB", consistency, 0))
        (kind,), answer = struct.unpack(">i", answer[:4]), answer[4:]
        return rows(answer) if kind == ROWS else []

    def state(self) -> str:
        """Returns the node's account."""
        peers = self.query("SELECT peer FROM system.peers")
        schemas = {schema for known in SCHEMAS for schema in self.query(known)}
        return f"nodes={len(peers) + 1} schemas={len(schemas)}"

    def make(self, keyspace: str, copies: int) -> bool:
        """Makes the keyspace, and the table that `read` reads; returns whether there was any need to."""
        try:
            self.query(ready_row(keyspace))
        except CqlError:
            pass
        else:
            return False
        replication = "{'class': 'SimpleStrategy', 'replication_factor': " + str(copies) + "}"
        self.query(f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}")
        self.query(f"CREATE TABLE IF NOT EXISTS {keyspace}.ready (key int PRIMARY KEY)")
        return True


def ready_row(keyspace: str) -> str:
    """The statement that reads the row which `read` is about; that there is none does not matter."""
    return f"SELECT key FROM {keyspace}.ready WHERE key = 0"  # noqa: S608 - the role's own name


def text(value: str) -> bytes:
    """A string as the protocol writes it."""
    return struct.pack(">h", len(value)) + value.encode()


def rows(data: bytes) -> list[bytes]:
    """Reads the values of an answer whose rows have one column, of a type without parameters."""
    (flags, _), data = struct.unpack(">ii", data[:8]), data[8:]
    if flags & PAGED:
        raise CqlError("an answer in pages, which nobody asked for")
    for _ in range(3):  # keyspace, table, column
        (size,) = struct.unpack(">h", data[:2])
        data = data[2 + size :]
    (count,), data = struct.unpack(">i", data[2:6]), data[6:]
    values = []
    for _ in range(count):
        (size,), data = struct.unpack(">i", data[:4]), data[4:]
        values.append(data[: max(size, 0)])
        data = data[max(size, 0) :]
    return values


def main() -> None:
    """Does what it is told, and prints what the node knows then."""
    address, port, protocol, *asked = sys.argv[1:]
    try:
        node = Node(address, int(port), int(protocol))
        if asked[:1] == ["make"]:
            sys.stdout.write("made\n" if node.make(asked[1], int(asked[2])) else "")
        said = node.state()
        if asked[:1] == ["read"]:
            node.query(ready_row(asked[1]), ALL)
            said += " read=yes"
        sys.stdout.write(said + "\n")
    except (CqlError, OSError, struct.error) as error:
        sys.exit(f"{address}:{port}: {type(error).__name__}: {error}")


main()
