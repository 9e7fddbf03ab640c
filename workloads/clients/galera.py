"""MariaDB Galera: each client talks to its own node, and every node takes reads and writes.

Every operation is a transaction. Until its COMMIT is sent it is certain that it did not happen: what a broken
connection leaves open is rolled back. Only what COMMIT answers, or does not, can be uncertain.
"""

import threading
import time
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import pymysql

from workloads.clients.base import Client, NotAppliedError, Value
from workloads.generators import ACCOUNTS, BALANCE
from workloads.inputs import Cluster, parse_options

REFUSED_WITH = {
    1213: "deadlock, or the certification against what other nodes committed failed: rolled back",
    1205: "waited too long for a lock: the statement is rolled back, the rest of the transaction by us",
    1020: "a row changed since it was read, with innodb_snapshot_isolation: rolled back",
    1047: "the node is not in the primary component and refuses what is not about itself",
}
"""What is certain, even of COMMIT. Not certain: a lost connection (2006, 2013), a time-out, and 1180, an error in the
middle of the commit, when the other nodes may already have the transaction."""

MEET_S = 1.0  # how long one client of a pair waits for the other
ALL_STATEMENTS = 15  # wsrep_sync_wait: everything waits until the node has applied what was committed before


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client of Galera must know of the cluster, and how it makes its transactions.

    Attributes:
        isolation: Of every transaction.
        lock: Whether what is read is locked, by SELECT ... FOR UPDATE.
        writes: Of transfers: `absolute` sets the balances that the client computed, `relative` lets the server add.
        sync_wait: wsrep_sync_wait of the session: 1 makes reads wait for what other nodes have committed.
    """

    port: Annotated[int, msgspec.Meta(gt=0, lt=65536)] = 3306
    user: str = "jepsen"
    password: str = ""
    database: str = "jepsen"
    isolation: Literal["read-committed", "repeatable-read", "serializable"] = "repeatable-read"
    lock: bool = False
    writes: Literal["absolute", "relative"] = "absolute"
    sync_wait: Annotated[int, msgspec.Meta(ge=0, le=15)] = 0


class Meetings:
    """Where two clients wait for each other, so that what they do next they do at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[object, threading.Event] = {}

    def meet(self, key: object, bound_s: float) -> bool:
        """Waits until another client comes to the same key, and returns whether it came in time."""
        with self._lock:
            other = self._waiting.pop(key, None)
            if other:
                other.set()
                return True
            own = self._waiting[key] = threading.Event()
        if own.wait(bound_s):
            return True
        with self._lock:
            self._waiting.pop(key, None)
        return own.is_set()  # it may have come between the two

    def waiting(self) -> int:
        """Returns how many wait."""
        with self._lock:
            return len(self._waiting)


MEETINGS = Meetings()


class Galera(Client):
    """The connection to one node, and transactions over it.

    Attributes:
        table: The run's own.
        columns: Of the table, as CREATE TABLE has them.
    """

    columns: ClassVar[str]

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._options = parse_options(cluster.client, Options)
        self.table = f"{type(self).__name__}_{run}"
        self._locked = " FOR UPDATE" if self._options.lock else ""
        self._connection: pymysql.Connection[Any] | None = None
        self._deadline_s = 0.0

    def set_up(self) -> None:
        """Makes the table on this node, and waits until all nodes have it as it is here."""
        self.open()
        self._execute(f"CREATE TABLE {self.table} ({self.columns}) ENGINE=InnoDB")
        self.fill()
        for node in self.cluster.nodes:
            with self._connect(node, sync_wait=ALL_STATEMENTS) as connection, connection.cursor() as cursor:
                cursor.execute(f"SELECT COUNT(*) FROM {self.table}")  # noqa: S608  (its name is ours)

    def fill(self) -> None:
        """Puts into the table what must be there in the beginning."""

    def open(self) -> None:
        """Connects, if it is not connected."""
        if not self._connection:
            self._connection = self._connect(self.node, self._options.sync_wait)

    def invoke(self, f: str, value: Value) -> Value:
        """Makes one transaction."""
        self._deadline_s = time.monotonic() + self.timeout_s
        try:
            self._execute("START TRANSACTION")
            answer = self.transact(f, value)
        except NotAppliedError:
            self._roll_back()
            raise
        except Exception as error:
            if code_of(error) in REFUSED_WITH:
                self._roll_back()
            else:
                self.close()
            raise NotAppliedError from error  # COMMIT was not sent
        self._commit()
        return answer

    @abstractmethod
    def transact(self, f: str, value: Value) -> Value:
        """Makes the statements of an operation, between START TRANSACTION and COMMIT, and returns its answer.

        Raises:
            NotAppliedError: It is to be rolled back.
        """

    def close(self) -> None:
        """Drops the connection; the node rolls back what is open on it."""
        if self._connection:
            with suppress(pymysql.MySQLError, OSError):
                self._connection.close()
        self._connection = None

    def recovered(self) -> str | None:
        """Waits until the node is in the primary component with all others, and has applied what they committed."""
        with self._connect(self.node, sync_wait=0) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'wsrep\\_%'")
            status = dict(cursor.fetchall())
            nodes = len(self.cluster.nodes)
            if missing := unready(status, nodes):
                return missing
            cursor.execute(f"SET SESSION wsrep_sync_wait = {ALL_STATEMENTS}")
            cursor.execute("SELECT 1")
            return None

    def _execute(self, statement: str, values: Sequence[int | str] = ()) -> list[tuple[Any, ...]]:
        """Makes one statement and returns its rows."""
        assert self._connection, "open comes first"  # noqa: S101  (the order is complete()'s, not the user's)
        if self._deadline_s and time.monotonic() > self._deadline_s:
            raise TimeoutError(f"the transaction took longer than {self.timeout_s:g} s")
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def _commit(self) -> None:
        """Sends COMMIT. From here on nobody knows, unless the node says that it refused."""
        self._deadline_s = 0.0  # it has the whole time-out
        try:
            self._execute("COMMIT")
        except pymysql.MySQLError as error:
            if code_of(error) not in REFUSED_WITH:
                raise
            self._roll_back()
            raise NotAppliedError from error

    def _roll_back(self) -> None:
        """Ends the transaction without its effects, with the connection if need be."""
        self._deadline_s = 0.0
        try:
            self._execute("ROLLBACK")
        except Exception:  # noqa: BLE001  (the node does it when the connection is gone)
            self.close()

    def _connect(self, node: str, sync_wait: int) -> "pymysql.Connection[Any]":
        """Connects to a node; a call that is not answered in time breaks the connection."""
        options = self._options
        lock_wait_s = max(1, int(self.timeout_s / 2))  # so that the node speaks before the client has given up
        connection = pymysql.connect(
            host=self.cluster.nodes[node],
            port=options.port,
            user=options.user,
            password=options.password,
            database=options.database,
            connect_timeout=self.timeout_s,
            read_timeout=self.timeout_s,
            write_timeout=self.timeout_s,
            autocommit=True,  # but between START TRANSACTION and COMMIT
            ssl_disabled=True,
            init_command=f"SET SESSION TRANSACTION ISOLATION LEVEL {options.isolation.upper().replace('-', ' ')}",
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET SESSION wsrep_sync_wait = {sync_wait}, innodb_lock_wait_timeout = {lock_wait_s}")
        except BaseException:
            connection.close()
            raise
        return connection


class GaleraBank(Galera):
    """Moves money between accounts: reads two balances, computes, writes; and reads all of them."""

    columns = "name VARCHAR(8) PRIMARY KEY, balance INT NOT NULL"

    def fill(self) -> None:
        """Opens the accounts."""
        rows = ", ".join(f"('{name}', {BALANCE})" for name in ACCOUNTS)
        self._execute(f"INSERT INTO {self.table} VALUES {rows}")  # noqa: S608  (all of it is ours)

    def transact(self, f: str, value: Value) -> Value:
        """Makes a transfer, or reads all balances."""
        if f == "read":
            return dict(self._execute(f"SELECT name, balance FROM {self.table}{self._locked}"))  # noqa: S608  (ours)
        assert isinstance(value, dict), "a transfer"  # noqa: S101  (the generator's business)
        source, target, amount = str(value["from"]), str(value["to"]), int(value["amount"])
        look = f"SELECT name, balance FROM {self.table} WHERE name IN (%s, %s){self._locked}"  # noqa: S608  (ours)
        balances = dict(self._execute(look, (source, target)))
        if balances[source] < amount:
            raise NotAppliedError(f"account {source} has {balances[source]} and not {amount}")
        for name, change in ((source, -amount), (target, amount)):
            if self._options.writes == "absolute":
                self._write("balance = %s", balances[name] + change, name)
            else:
                self._write("balance = balance + %s", change, name)
        return value

    def _write(self, change: str, number: int, name: str) -> None:
        self._execute(f"UPDATE {self.table} SET {change} WHERE name = %s", (number, name))  # noqa: S608  (ours)


class GaleraSet(Galera):
    """Adds rows to a table and reads them all."""

    columns = "element INT PRIMARY KEY"

    def transact(self, f: str, value: Value) -> Value:
        """Adds an element, or reads all."""
        if f == "read":
            rows = self._execute(f"SELECT element FROM {self.table}{self._locked}")  # noqa: S608  (its name is ours)
            return sorted(element for (element,) in rows)
        assert isinstance(value, int), "an element"  # noqa: S101  (the generator's business)
        self._execute(f"INSERT INTO {self.table} VALUES (%s)", (value,))  # noqa: S608  (the same)
        return value


class GaleraWriteSkew(Galera):
    """Looks whether a pair has a row, and inserts one if not; two clients on two nodes do so for each pair at once.

    They wait for each other when both have looked, or they would rarely meet. A client that waits in vain goes on.
    """

    columns = "pair INT, row INT, PRIMARY KEY (pair, row)"

    def transact(self, f: str, value: Value) -> Value:  # noqa: ARG002  (it has one function)
        """Inserts a row into a pair that has none."""
        assert isinstance(value, list), "[pair, row]"  # noqa: S101  (the generator's business)
        pair, row = value
        look = f"SELECT row FROM {self.table} WHERE pair = %s{self._locked}"  # noqa: S608  (its name is ours)
        if found := self._execute(look, (pair,)):
            raise NotAppliedError(f"pair {pair} has row {found[0][0]} already")
        MEETINGS.meet((self.table, pair), min(MEET_S, self.timeout_s / 2))
        self._execute(f"INSERT INTO {self.table} VALUES (%s, %s)", (pair, row))  # noqa: S608  (the same)
        return value


def code_of(error: BaseException) -> int | None:
    """Returns the number of an error of MariaDB, None if it is another's."""
    code = error.args[0] if isinstance(error, pymysql.MySQLError) and error.args else None
    return code if isinstance(code, int) else None


def unready(status: dict[str, str], nodes: int) -> str | None:
    """Returns what a node's wsrep status lacks of being one of so many nodes that all work, None if nothing."""
    wanted = {
        "wsrep_cluster_status": "Primary",
        "wsrep_cluster_size": str(nodes),
        "wsrep_local_state_comment": "Synced",
        "wsrep_ready": "ON",
    }
    for name, value in wanted.items():
        if status.get(name) != value:
            return f"{name} is {status.get(name, 'not there')}, not {value}"
    return None
