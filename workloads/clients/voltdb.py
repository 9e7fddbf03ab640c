"""VoltDB: each client talks to its own node, and every node takes reads and writes.

Every operation is one procedure, and that is one transaction.
"""

import logging
import socket
import time
from contextlib import suppress
from typing import Annotated, Any

import msgspec
import voltdbclient
from voltdbclient import FastSerializer, VoltProcedure

from workloads.clients.base import Client, NotAppliedError, Value
from workloads.inputs import Cluster, parse_options

voltdbclient.logger = logging.getLogger("voltdbclient")  # it would print; what goes wrong stands in the history
voltdbclient.logger.setLevel(logging.CRITICAL + 1)

SUCCESS = 1
REFUSED_WITH = {
    -1: "the procedure aborted itself: rolled back",
    -2: "a constraint was violated, or the statement cannot be: rolled back",
    -5: "the server takes no work, or only reads, at present: never begun",
}
"""What is certain. Not certain: -7, who led the partition is gone, and what it had begun may have been committed; other
numbers, a lost connection, a time-out, and an answer that is none."""

SET_UP_S = 60.0  # a change of the schema is one on all hosts, and takes seconds
STRING, INTEGER = FastSerializer.VOLTTYPE_STRING, FastSerializer.VOLTTYPE_BIGINT

Row = list[Any]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client of VoltDB must know of the cluster."""

    port: Annotated[int, msgspec.Meta(gt=0, lt=65536)] = 21212


class VoltdbError(Exception):
    """VoltDB answered with an error; its text is the status and what it said."""


class LostConnectionError(Exception):
    """The connection broke, or did not bring the answer in time."""


class Wire:
    """What the library has for its socket.

    The library bounds the pieces of an answer and not the whole, asks on for ever behind the end of a connection in the
    middle of a length, and makes an answer of a lost connection. Here a call has one bound, an end is an error, and an
    error is none of those that the library looks for.
    """

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._socket = socket.create_connection((host, port), timeout_s)
        self._deadline = time.monotonic() + timeout_s
        with suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def bound(self, timeout_s: float) -> None:
        """Gives what is sent and received from now on this much time, all together."""
        self._deadline = time.monotonic() + timeout_s

    def sendall(self, data: bytes) -> None:
        """Sends all."""
        try:
            self._wait_no_longer()
            self._socket.sendall(data)
        except OSError as error:
            raise LostConnectionError(f"sending: {error}") from error

    def recv(self, size: int) -> bytes:
        """Receives something, and never nothing."""
        try:
            self._wait_no_longer()
            received = self._socket.recv(size)
        except OSError as error:
            raise LostConnectionError(f"receiving: {error}") from error
        if not received:
            raise LostConnectionError("the server closed the connection")
        return received

    def close(self) -> None:
        """Closes it."""
        self._socket.close()

    def gettimeout(self) -> None:
        """Tells the library that it has set none."""

    def settimeout(self, timeout_s: float | None) -> None:
        """Takes none from the library."""

    def _wait_no_longer(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)


class Connection:
    """A connection to one server, without user and password."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        """Connects, and waits for the server's greeting."""
        self._timeout_s = timeout_s
        self._wire = Wire(host, port, timeout_s)
        self._serializer = FastSerializer(None)  # connects to nothing by itself
        self._serializer.socket = self._wire
        try:
            self._serializer.authenticate("", "")
        except BaseException:
            self._wire.close()
            raise

    def call(self, procedure: str, *values: int | str, timeout_s: float | None = None) -> list[Row]:
        """Calls a procedure and returns the rows of its first table.

        Raises:
            NotAppliedError: the server refused it, and says so.
            VoltdbError: it answered with another error, or with something that is no answer.
            LostConnectionError: it did not answer.
        """
        self._wire.bound(timeout_s or self._timeout_s)
        types = [STRING if isinstance(value, str) else INTEGER for value in values]
        response = VoltProcedure(self._serializer, procedure, types).call(values)
        error = VoltdbError(f"{response.status} {response.statusString}")
        if response.status in REFUSED_WITH:
            raise NotAppliedError from error
        if response.status != SUCCESS or response.tables is None:
            raise error
        rows: list[Row] = response.tables[0].tuples if response.tables else []
        return rows

    def query(self, statement: str, *values: int | str, timeout_s: float | None = None) -> list[Row]:
        """Makes one statement, or several that change the schema; rows as `call`."""
        return self.call("@AdHoc", statement, *values, timeout_s=timeout_s)

    def close(self) -> None:
        """Closes it."""
        self._wire.close()


class VoltdbClient(Client):
    """What the clients of all workloads share: the connection, a table for all runs, and when a node has recovered."""

    table: str
    schema: str

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._options = parse_options(cluster.client, Options)
        self._connection: Connection | None = None

    def set_up(self) -> None:
        """Makes the table, if an earlier run has not."""
        self.open()
        tables = self._connected.call("@SystemCatalog", "TABLES", timeout_s=SET_UP_S)
        if not any(self.table.upper() in row for row in tables):
            self._connected.query(self.schema, timeout_s=SET_UP_S)

    def open(self) -> None:
        """Connects, if it is not connected."""
        if not self._connection:
            self._connection = self._connect()

    def close(self) -> None:
        """Drops the connection."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def recovered(self) -> str | None:
        """Waits until the node counts all hosts, and answers what takes an answer of every partition."""
        connection = self._connect()
        try:
            facts = connection.call("@SystemInformation", "OVERVIEW")
            running = len({host for host, key, state in facts if (key, state) == ("CLUSTERSTATE", "RUNNING")})
            if running != len(self.cluster.nodes):
                return f"{self.node} counts {running} of {len(self.cluster.nodes)} hosts"
            connection.query(f"SELECT COUNT(*) FROM {self.table}")  # noqa: S608  (a name of this module's)
        finally:
            connection.close()
        return None

    @property
    def _connected(self) -> Connection:
        assert self._connection, "open comes first"  # noqa: S101  (the order is complete()'s, not the user's)
        return self._connection

    def _connect(self) -> Connection:
        return Connection(self.cluster.nodes[self.node], self._options.port, self.timeout_s)


class VoltdbSet(VoltdbClient):
    """A set, one row an element, spread over all partitions; reading it is a transaction on all of them."""

    table = "jepsen_set"
    schema = (
        "CREATE TABLE jepsen_set (run VARCHAR(64) NOT NULL, entry BIGINT NOT NULL, PRIMARY KEY (run, entry));"
        "PARTITION TABLE jepsen_set ON COLUMN entry;"
    )

    def invoke(self, f: str, value: Value) -> Value:
        """Adds an element, or reads all."""
        if f == "add":
            assert isinstance(value, int), "an element"  # noqa: S101  (the workload's, not the user's)
            self._connected.call("JEPSEN_SET.insert", self.run, value)
            return value
        rows = self._connected.query("SELECT entry FROM jepsen_set WHERE run = ? ORDER BY entry", self.run)
        return [int(entry) for (entry,) in rows]


class VoltdbRegister(VoltdbClient):
    """A register, one row, and so in one partition; without a row it holds nothing."""

    table = "jepsen_register"
    schema = (
        "CREATE TABLE jepsen_register (run VARCHAR(64) NOT NULL, held BIGINT NOT NULL, PRIMARY KEY (run));"
        "PARTITION TABLE jepsen_register ON COLUMN run;"
        "CREATE PROCEDURE jepsen_read PARTITION ON TABLE jepsen_register COLUMN run PARAMETER 0"
        " AS SELECT held FROM jepsen_register WHERE run = ?;"
        "CREATE PROCEDURE jepsen_cas PARTITION ON TABLE jepsen_register COLUMN run PARAMETER 2"
        " AS UPDATE jepsen_register SET held = ? WHERE held = ? AND run = ?;"
    )

    def invoke(self, f: str, value: Value) -> Value:
        """Reads, writes or compares and sets the register."""
        if f == "read":
            rows = self._connected.call("jepsen_read", self.run)
            return int(rows[0][0]) if rows else None
        if isinstance(value, list):
            old, new = value
            ((changed,),) = self._connected.call("jepsen_cas", new, old, self.run)
            if not changed:
                raise NotAppliedError(f"compare failed: it does not hold {old}")
        else:
            assert isinstance(value, int), "a value"  # noqa: S101  (the workload's, not the user's)
            self._connected.call("JEPSEN_REGISTER.upsert", self.run, value)
        return value
