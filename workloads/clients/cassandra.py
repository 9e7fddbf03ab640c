"""Cassandra: each client talks to its own node, which asks as many of the others as the consistency level says.

Every row is on as many nodes as the role's replication says. What a level asks for is the client's choice, by each
statement; so is what an update is: a write of what the client computed, or something that the database knows to be one.
"""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

import cassandra
import msgspec
from cassandra import ConsistencyLevel as Level
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile, ResultSet, Session
from cassandra.cluster import Cluster as Driver
from cassandra.policies import ConstantReconnectionPolicy, FallthroughRetryPolicy, WhiteListRoundRobinPolicy
from cassandra.query import SimpleStatement, tuple_factory

from workloads.clients.base import Client, NotAppliedError, Value
from workloads.inputs import Cluster, parse_options

logging.getLogger("cassandra").setLevel(logging.CRITICAL)  # what goes wrong stands in the history

CERTAIN = (cassandra.Unavailable, cassandra.InvalidRequest)
"""What a node says before it sends a write to anybody: too few nodes live, by what it knows, or the statement is none.

Of a transaction only the latter is certain: a node counts again who lives when it commits what was agreed on.

A time-out is not certain, whoever had it: what a node has taken stays, though too few answered. Nor is an overload,
which a node can find out about in the middle of sending.
"""

RECONNECT_S = 1.0
SPREAD_REPAIRS = 4  # the protocol since whose releases a read no longer mends other nodes' copies by chance
NO_REPAIRS = "WITH read_repair_chance = 0 AND dclocal_read_repair_chance = 0"

Consistency = Literal["ONE", "TWO", "THREE", "QUORUM", "ALL"]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client of Cassandra must know of the cluster, and what it asks of it.

    Attributes:
        protocol: The newest that the release speaks.
        write: The consistency level of writes.
        read: That of reads.
        timestamps: Of writes of rows: `server`, the node's own; `equal`, all who write a row give the same.
        updates: How a counter is counted up and a register changed: `own`, by what the database has for it, a counter's
            column and light-weight transactions; `read-modify-write`, by a read, and a write of what follows from it.
    """

    port: Annotated[int, msgspec.Meta(gt=0, lt=65536)] = 9042
    keyspace: str = "jepsen"
    protocol: Annotated[int, msgspec.Meta(ge=1, le=5)] = 2
    write: Consistency = "QUORUM"
    read: Consistency = "QUORUM"
    timestamps: Literal["server", "equal"] = "server"
    updates: Literal["own", "read-modify-write"] = "own"


class CassandraError(Exception):
    """An answer that should not be possible."""


class CassandraClient(Client):
    """The connection to one node, and statements over it.

    Attributes:
        columns: Of the run's own table, as CREATE TABLE has them.
    """

    columns: str

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self.options = parse_options(cluster.client, Options)
        self.table = f"{self.options.keyspace}.{type(self).__name__.lower()}_{run}"
        self._driver: Driver | None = None
        self._session: Session | None = None

    def set_up(self) -> None:
        """Makes the run's table, and waits until all nodes know it.

        Reads mend no copies by chance: what is looked at shall not be changed by the looking.
        """
        try:
            self.open()
            own = "" if self.options.protocol >= SPREAD_REPAIRS else NO_REPAIRS
            self.ask("CREATE TABLE {table} " + f"({self.columns}) {own}")
            # Once more: a driver that keeps no account of the schema waits, and says no all the same.
            if not (self._driver and self._driver.control_connection.wait_for_schema_agreement()):
                raise CassandraError(f"the nodes did not agree on the table {self.table}")
            self.fill()
        finally:
            self.close()

    def fill(self) -> None:
        """Puts into the table what the workload begins with."""

    def open(self) -> None:
        """Connects to the own node, and to no other."""
        if self._session:
            return
        address = self.cluster.nodes[self.node]
        profile = ExecutionProfile(
            load_balancing_policy=WhiteListRoundRobinPolicy([address]),
            retry_policy=FallthroughRetryPolicy(),
            request_timeout=self.timeout_s,
            row_factory=tuple_factory,
        )
        self._driver = Driver(
            [address],
            self.options.port,
            protocol_version=self.options.protocol,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            reconnection_policy=ConstantReconnectionPolicy(RECONNECT_S, max_attempts=None),
            connect_timeout=self.timeout_s,
            control_connection_timeout=self.timeout_s,
            schema_metadata_enabled=False,
            token_metadata_enabled=False,
            executor_threads=1,
        )
        self._session = self._driver.connect()
        self._session.default_fetch_size = None  # an answer comes whole

    def invoke(self, f: str, value: Value) -> Value:
        """Makes one operation."""
        try:
            return self.perform(f, value)
        except CERTAIN as error:
            raise NotAppliedError from error

    @abstractmethod
    def perform(self, f: str, value: Value) -> Value:
        """Makes one operation; what CERTAIN names is certain to have changed nothing."""

    def close(self) -> None:
        """Drops the connections, with the driver's threads."""
        if self._driver:
            with suppress(Exception):
                self._driver.shutdown()
        self._driver = self._session = None

    def recovered(self) -> str | None:
        """Waits until the node reads from all that have a copy."""
        other = type(self)(self.node, self.cluster, self.timeout_s, self.run)
        try:
            other.open()
            other.ask("SELECT key FROM {keyspace}.ready WHERE key = 0", level="ALL")
        finally:
            other.close()
        return None

    def ask(self, statement: str, values: Sequence[object] = (), *, level: str = "") -> ResultSet:
        """Makes a statement about {table} or {keyspace}, at the level that the options say unless another is given."""
        assert self._session, "open comes first"  # noqa: S101  (the order is complete()'s, not the user's)
        usual = self.options.read if statement.startswith("SELECT") else self.options.write
        made = SimpleStatement(
            statement.format(table=self.table, keyspace=self.options.keyspace),
            consistency_level=Level.name_to_value[level or usual],
            serial_consistency_level=Level.SERIAL,
        )
        return self._session.execute(made, tuple(values) or None, timeout=self.timeout_s)

    def value_of(self, statement: str, *, level: str = "") -> Any:  # noqa: ANN401  (as the column is)
        """Returns the only value of a statement's row, or None without a row."""
        row = self.ask(statement, level=level).one()
        return row[0] if row else None


class CassandraSet(CassandraClient):
    """A set, one row an element, all in one partition: so one key reads all, from as many nodes as one asks."""

    columns = "part int, element int, PRIMARY KEY (part, element)"

    def perform(self, f: str, value: Value) -> Value:
        """Adds an element, or reads all: at the read level, or what this node has for itself (`copy`)."""
        if f == "add":
            self.ask("INSERT INTO {table} (part, element) VALUES (0, %s)", (value,))
            return value
        found = self.ask("SELECT element FROM {table} WHERE part = 0", level="ONE" if f == "copy" else "")
        return [element for (element,) in found]


class CassandraRows(CassandraClient):
    """Rows of two cells, which one write sets to a value and its negative."""

    columns = "key int PRIMARY KEY, one int, two int"

    def perform(self, _f: str, value: Value) -> Value:
        """Writes `[row, value]`, or reads a row: `[row, one, two]`, or nothing if there is no such row."""
        if isinstance(value, list):
            key, number = value
            statement = "INSERT INTO {table} (key, one, two) VALUES (%s, %s, %s)"
            if self.options.timestamps == "equal":
                statement += f" USING TIMESTAMP {key + 1}"
            self.ask(statement, (key, number, -number))
            return value
        row = self.ask("SELECT one, two FROM {table} WHERE key = %s", (value,)).one()
        return [int(str(value)), *row] if row else None


class CassandraCounter(CassandraClient):
    """A number that is counted up: a counter's column, or one that the client reads, and writes greater."""

    columns = "key int PRIMARY KEY, number counter"

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._counts = self.options.updates == "own"
        if not self._counts:
            self.columns = "key int PRIMARY KEY, number bigint"

    def perform(self, f: str, value: Value) -> Value:
        """Adds to the number, or reads it."""
        if f == "read":
            return self._read()
        if self._counts:
            self.ask("UPDATE {table} SET number = number + %s WHERE key = 0", (value,))
            return value
        try:
            number = self._read()
        except Exception as error:
            raise NotAppliedError from error  # nothing was written yet
        self.ask("UPDATE {table} SET number = %s WHERE key = 0", (number + int(str(value)),))
        return value

    def _read(self) -> int:
        return int(self.value_of("SELECT number FROM {table} WHERE key = 0") or 0)


class CassandraRegister(CassandraClient):
    """A register: by light-weight transactions, which agree on each change, or by plain reads and writes."""

    columns = "key int PRIMARY KEY, there int, value int"

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._agreed = self.options.updates == "own"

    def fill(self) -> None:
        """Makes the row, so that a write can be a transaction: one takes a condition, which always holds here."""
        self.ask("INSERT INTO {table} (key, there) VALUES (0, 1) IF NOT EXISTS")

    def perform(self, f: str, value: Value) -> Value:
        """Reads, writes or compares and sets the register."""
        if f == "read":
            return self._read()
        if isinstance(value, list):
            self._compare_and_set(*map(int, value))
        elif not self._write(int(str(value)), "there = 1"):
            raise CassandraError("a write whose condition always holds was not applied")
        return value

    def _compare_and_set(self, old: int, new: int) -> None:
        if not self._agreed:
            try:
                found = self._read()
            except Exception as error:
                raise NotAppliedError from error
            if found != old:
                raise NotAppliedError(f"compare failed: it is {found}")
        if not self._write(new, f"value = {old}"):
            raise NotAppliedError("compare failed")

    def _write(self, value: int, condition: str) -> bool:
        """Writes, by a transaction if the condition holds; returns whether it did."""
        change = "UPDATE {table} SET value = %s WHERE key = 0"
        if not self._agreed:
            self.ask(change, (value,))
            return True
        try:
            return bool(self.ask(f"{change} IF {condition}", (value,)).was_applied)
        except cassandra.Unavailable as error:
            raise CassandraError("too few nodes live, perhaps to commit what was agreed on") from error

    def _read(self) -> int | None:
        level = "SERIAL" if self._agreed else ""
        found: int | None = self.value_of("SELECT value FROM {table} WHERE key = 0", level=level)
        return found
