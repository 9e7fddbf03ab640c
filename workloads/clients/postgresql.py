"""PostgreSQL: each client asks its own node, before each operation, whom that follows, and writes there.

So the clients of a standby write to the primary that it receives from, and follow it to another one when an operator
has turned it round; those beside a deposed primary stay with that. While a standby receives from nobody its clients
know no primary, and write nothing. With one server for all, all clients talk to that.
"""

import math
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg import sql

from workloads.clients.base import Client, NotAppliedError, Value
from workloads.clients.hang_up import hang_up_after
from workloads.inputs import Cluster, parse_options

STATEMENT_COMPLETION_UNKNOWN = "40003"
CONNECTION_EXCEPTION = "08"  # the class: the first two characters of a SQLSTATE
SHORTEST_CONNECT_TIMEOUT_S = 2  # libpq takes less for this

Row = tuple[Any, ...]
Connection = psycopg.Connection[Row]

STATE = sql.SQL(
    "SELECT CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END,"
    " (SELECT sender_host FROM pg_stat_wal_receiver WHERE status = 'streaming'),"
    " (SELECT sender_port FROM pg_stat_wal_receiver WHERE status = 'streaming')"
)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client of PostgreSQL must know of the cluster.

    Attributes:
        server: The node whose server all clients share; none: every node has its own.
    """

    port: int = 5432
    role: str = "jepsen"
    database: str = "jepsen"
    server: str = ""


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


class State(NamedTuple):
    """What a server says of itself.

    Attributes:
        timeline: Of a primary: it grows with each promotion, so of two primaries the one with less has been deposed.
        receives_from: Of a standby: the primary that it is connected to.
    """

    timeline: int | None
    receives_from: Address | None


class CommittedWithWarningError(Exception):
    """The server took the statement, with a warning: it has ended its wait for the standbys before they had it."""


class PostgresqlSet(Client):
    """Adds rows to a table, one statement a transaction (autocommit), and reads all of them."""

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._options = parse_options(cluster.client, Options)
        self._table = sql.Identifier(f"set_{run}")
        self._own: Connection | None = None
        self._primary: Connection | None = None
        self._primary_is_at: Address | None = None
        self._warnings: list[str] = []

    def set_up(self) -> None:
        """Makes the run's table."""
        self.open()
        try:
            self._execute(sql.SQL("CREATE TABLE {} (element bigint NOT NULL)").format(self._table))
        finally:
            self.close()

    def open(self) -> None:
        """Asks the own node whom to write to, and connects to it, unless that has been done already."""
        if not self._own:
            self._own = self._connect(self._address_of(self._options.server or self.node))
        if self._options.server:
            self._primary = self._own
            return
        address = self._find_primary(self._own)
        if self._primary and address == self._primary_is_at:
            return
        if self._primary and self._primary is not self._own:
            self._primary.close()
        self._primary = None
        own = address == self._address_of(self.node)
        self._primary, self._primary_is_at = self._own if own else self._connect(address), address

    def invoke(self, f: str, value: Value) -> Value:
        """Adds an element, or reads all."""
        try:
            if f == "add":
                self._execute(sql.SQL("INSERT INTO {} VALUES (%s)").format(self._table), (value,))
                return value
            self._refuse_if_deposed()
            rows = self._execute(sql.SQL("SELECT element FROM {} ORDER BY element").format(self._table))
            return [int(element) for (element,) in rows]
        except psycopg.Error as error:
            if is_refusal(error):
                raise NotAppliedError from error
            raise

    def close(self) -> None:
        """Drops the connections."""
        for connection in (self._own, self._primary):
            if connection:
                connection.close()
        self._own = self._primary = self._primary_is_at = None

    def recovered(self) -> str | None:
        """Waits until there is one primary, and all other nodes receive from it."""
        if self._options.server:
            self._ask(self._options.server)
            return None
        states = {node: self._ask(node) for node in self.cluster.nodes}
        primaries = [node for node, state in states.items() if state.timeline is not None]
        if len(primaries) != 1:
            return f"{len(primaries)} nodes say that they are the primary: {' '.join(primaries)}"
        primary = self._address_of(primaries[0])
        for node, state in states.items():
            if node not in primaries and state.receives_from != primary:
                whom = state.receives_from.host if state.receives_from else "nobody"
                return f"{node} receives from {whom}, and the primary is {primaries[0]}"
        return None

    def _find_primary(self, own: Connection) -> Address:
        """Returns the address of the server that the own node is, or receives from."""
        state = self._state_of(own)
        if state.timeline is not None:
            return self._address_of(self.node)
        if state.receives_from is None:
            raise NotAppliedError(f"{self.node} is a standby and receives from nobody")
        return state.receives_from

    def _refuse_if_deposed(self) -> None:
        """A read is of the final state, which is that of the primary that was promoted last.

        A deposed one answers, too, and has what is lost; it lacks what was written since. Whoever does not answer
        deposes nobody.
        """
        if self._options.server:
            return
        timelines = {}
        for node in self.cluster.nodes:
            try:
                timelines[self._address_of(node)] = self._ask(node).timeline or 0
            except (psycopg.Error, TimeoutError):
                continue
        mine = timelines.get(self._primary_is_at) if self._primary_is_at else None
        if mine is not None and mine < max(timelines.values()):
            newest = max(timelines, key=lambda address: timelines[address])
            raise NotAppliedError(f"{self.node} follows a deposed primary; {newest.host} was promoted after it")

    def _ask(self, node: str) -> State:
        """Asks a node for its state over a connection of its own."""
        with self._connect(self._address_of(node)) as connection:
            return self._state_of(connection)

    def _state_of(self, connection: Connection) -> State:
        with hang_up_after(self.timeout_s, connection.fileno()):
            row = connection.execute(STATE).fetchone()
        assert row, "a SELECT without FROM has one row"  # noqa: S101  (SQL's, not the user's)
        timeline, host, port = row
        return State(timeline and int(timeline, 16), Address(host, port) if host else None)

    def _execute(self, statement: sql.Composed, values: Row = ()) -> list[Row]:
        """Makes one statement at the primary, with its commit, and returns the rows if it has any."""
        assert self._primary, "open comes first"  # noqa: S101  (the order is complete()'s, not the user's)
        self._warnings.clear()
        with hang_up_after(self.timeout_s, self._primary.fileno()):
            cursor = self._primary.execute(statement, values or None)
            rows = cursor.fetchall() if cursor.description else []
        if self._warnings:
            raise CommittedWithWarningError(self._warnings[0])
        return rows

    def _address_of(self, node: str) -> Address:
        return Address(self.cluster.nodes[node], self._options.port)

    def _connect(self, address: Address) -> Connection:
        """Connects, once. In autocommit a statement without parameters to prepare is one round trip with its commit."""
        connection = psycopg.connect(
            host=address.host,
            port=address.port,
            user=self._options.role,
            dbname=self._options.database,
            connect_timeout=max(SHORTEST_CONNECT_TIMEOUT_S, math.ceil(self.timeout_s)),
            sslmode="disable",
            gssencmode="disable",
            application_name=f"client of {self.node}",
            autocommit=True,
            prepare_threshold=None,
        )
        connection.add_notice_handler(self._note)
        return connection

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "a warning without words")


def is_refusal(error: psycopg.Error) -> bool:
    """Returns whether the server rolled the statement back, and says so.

    It does with severity ERROR, whatever the reason: an error before the commit is written aborts the transaction, and
    one after it is a PANIC (AbortTransaction in its xact.c). So a standby's refusal to write (25006), a deadlock, a
    violated constraint and a full disk are certain. FATAL and PANIC end the session, with the commit perhaps written;
    an error without a severity is the library's own, which has lost the connection. Two kinds of ERROR say themselves
    that nobody knows, and come from proxies.
    """
    state = error.sqlstate or ""
    uncertain = state == STATEMENT_COMPLETION_UNKNOWN or state.startswith(CONNECTION_EXCEPTION)
    return error.diag.severity_nonlocalized == "ERROR" and not uncertain
