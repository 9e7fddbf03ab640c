"""The PostgreSQL client: what is certain, against hand-made answers; whom it follows, against real servers."""

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.unit.loopback import free_port, listening, wait_until
from workloads.clients.base import Completion, complete
from workloads.clients.hang_up import hang_up_after
from workloads.clients.postgresql import PostgresqlSet
from workloads.inputs import Cluster

pytestmark = pytest.mark.unit

TIMEOUT_S = 0.3
IDLE = b"Z" + struct.pack("!Ic", 5, b"I")
SYNC = b"S\x00\x00\x00\x04"  # ends each request of the extended protocol
Answer = Callable[[socket.socket], bool]  # whether the connection goes on


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def says(kind: bytes, severity: str, state: str) -> bytes:
    """An error (E) or a notice (N)."""
    fields = {"S": severity, "V": severity, "C": state, "M": f"said {severity} {state}"}
    return message(kind, b"".join(f"{key}{value}".encode() + b"\0" for key, value in fields.items()) + b"\0")


def sends(data: bytes, *, last: bool = False) -> Answer:
    def send(connection: socket.socket) -> bool:
        connection.sendall(data)
        return not last

    return send


def hangs(connection: socket.socket) -> bool:
    return bool(connection.recv(1))


def resets(connection: socket.socket) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


closes = sends(b"", last=True)
DONE = message(b"1", b"") + message(b"2", b"") + message(b"n", b"") + message(b"C", b"INSERT 0 1\0") + IDLE


@contextmanager
def server(answer: Answer, *, welcome: bytes = message(b"R", struct.pack("!I", 0)) + IDLE) -> Iterator[PostgresqlSet]:
    """Gives a client of a server that lets everybody in and then answers each request so."""
    requests: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(welcome)
        request = b""
        while received := connection.recv(65536):
            request += received
            if request.endswith(SYNC):
                requests.append(request)
                request = b""
                if not answer(connection):
                    return

    with listening(serve) as port:
        nodes = {"n1": "127.0.0.1", "n2": "127.0.0.2"}
        client = PostgresqlSet("n2", Cluster("postgresql", nodes, {"port": port, "server": "n1"}), TIMEOUT_S, "1")
        yield client
        client.close()
    assert sum(b"INSERT" in request for request in requests) <= 1, "it was sent twice"


def add(client: PostgresqlSet) -> tuple[str, str]:
    """Adds an element, in bounded time and leaving no thread, and returns how it ended and the error's class."""
    threads, began = threading.active_count(), time.monotonic()
    completion = complete(client, "add", 7)
    assert time.monotonic() - began < 4 * TIMEOUT_S + 2
    assert threading.active_count() <= threads + 1, "the server's one for this connection, and no timer"
    return completion.type, (completion.error or "").partition(":")[0]


def test_an_answer_is_ok() -> None:
    with server(sends(DONE)) as client:
        assert complete(client, "add", 7) == Completion("ok", 7)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("25006", "ReadOnlySqlTransaction"),
        ("40001", "SerializationFailure"),
        ("40P01", "DeadlockDetected"),
        ("23505", "UniqueViolation"),
        ("42P01", "UndefinedTable"),
        ("53100", "DiskFull"),
        ("57014", "QueryCanceled"),
    ],
)
def test_an_error_before_the_commit_is_certain(state: str, error: str) -> None:
    with server(sends(says(b"E", "ERROR", state) + IDLE)) as client:
        assert add(client) == ("fail", error)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (sends(says(b"E", "FATAL", "57P01"), last=True), "AdminShutdown"),
        (sends(says(b"E", "PANIC", "53100"), last=True), "DiskFull"),
        (sends(says(b"E", "ERROR", "40003") + IDLE), "StatementCompletionUnknown"),
        (sends(says(b"E", "ERROR", "08006") + IDLE), "ConnectionFailure"),
        (sends(says(b"N", "WARNING", "01000") + DONE), "CommittedWithWarningError"),
        (sends(b"!?!?!?"), "DatabaseError"),
        (hangs, "TimeoutError"),
        (closes, "OperationalError"),
        (resets, "OperationalError"),
    ],
)
def test_what_was_sent_and_not_refused_is_unknown(answer: Answer, error: str) -> None:
    with server(answer) as client:
        assert add(client) == ("info", error)
        assert complete(client, "read", None).type == "fail", "a read changed nothing"


def test_a_notice_below_a_warning_says_nothing_of_the_commit() -> None:
    with server(sends(says(b"N", "NOTICE", "00000") + DONE)) as client:
        assert complete(client, "add", 7) == Completion("ok", 7)


@pytest.mark.parametrize("welcome", [says(b"E", "FATAL", "57P03"), b""])
def test_who_was_not_let_in_has_sent_nothing(welcome: bytes) -> None:
    with server(hangs, welcome=welcome) as client:
        assert add(client)[0] == "fail"


def test_nobody_listens() -> None:
    with server(hangs) as client:
        pass
    assert add(client) == ("fail", "OperationalError")


def test_hanging_up_spares_another_connection_with_the_same_number() -> None:
    ours, theirs = socket.socketpair()
    number = ours.fileno()
    with hang_up_after(0.05, number):
        ours.close()
        other, peer = socket.socketpair()
        assert other.fileno() == number
        assert theirs.recv(1) == b"", "the timer shut down what it was to shut down"
        time.sleep(0.05)
        peer.send(b"x")
        assert other.recv(1) == b"x"
    for end in (theirs, other, peer):
        end.close()


NODES = {"n1": "127.0.78.1", "n2": "127.0.78.2", "n3": "127.0.78.3"}
BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/nowhere"))
needs_servers = pytest.mark.skipif(
    not (BIN / "initdb").exists() or os.geteuid() != 0 or not shutil.which("runuser"),
    reason="needs root and the package postgresql",
)


class Servers:
    """n1 is the primary, n2 and n3 are its standbys; they run as the package's user, which root may not be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port(NODES.values())
        self.cluster = Cluster("postgresql", NODES, {"port": self.port})

    def start(self) -> None:
        self.call(
            "initdb", "-D", self.folder / "n1", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"
        )
        with (self.folder / "n1/pg_hba.conf").open("a") as hba:
            hba.write("host all all 127.0.78.0/24 trust\nhost replication all 127.0.78.0/24 trust\n")
        self.launch("n1")
        self.ask("n1", "CREATE ROLE jepsen LOGIN IN ROLE pg_monitor", "CREATE DATABASE jepsen OWNER jepsen")
        for node in ("n2", "n3"):
            self.call(
                "pg_basebackup",
                "-D",
                self.folder / node,
                "-R",
                "-c",
                "fast",
                "--no-sync",
                "-d",
                self.conninfo("n1", node),
            )
            self.launch(node)
        wait_until(lambda: self.waits_for() is None, "the standbys")

    def conninfo(self, primary: str, node: str) -> str:
        return f"host={NODES[primary]} port={self.port} user=postgres application_name={node}"

    def call(self, program: str, *words: str | Path) -> str:
        command = ["runuser", "-u", "postgres", "--", str(BIN / program), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd="/").stdout

    def launch(self, node: str) -> None:
        settings = {
            "port": self.port, "listen_addresses": NODES[node], "unix_socket_directories": "", "fsync": "off",
            "shared_buffers": "16MB", "max_wal_senders": 10, "wal_retrieve_retry_interval": "100ms",
        }  # fmt: skip
        words = " ".join(f"-c {name}={value}" for name, value in settings.items() if value != "")
        words += " -c unix_socket_directories="
        self.call("pg_ctl", "-D", self.folder / node, "-l", self.folder / f"{node}.log", "-o", words, "-w", "start")

    def ask(self, node: str, *statements: str) -> str:
        words = [word for statement in statements for word in ("-c", statement)]
        return self.call("psql", "-h", NODES[node], "-p", str(self.port), "-U", "postgres", "-AtXq", *words).strip()

    def follow(self, node: str, primary: str | None) -> None:
        whom = self.conninfo(primary, node) if primary else ""
        self.ask(node, f"ALTER SYSTEM SET primary_conninfo = '{whom}'", "SELECT pg_reload_conf()")

    def stop(self) -> None:
        for node in NODES:
            with suppress(subprocess.CalledProcessError):
                self.call("pg_ctl", "-D", self.folder / node, "-m", "immediate", "stop")

    def waits_for(self) -> str | None:
        return self.client("n1").recovered()

    def client(self, node: str, timeout_s: float = 2.0, run: str = "1") -> PostgresqlSet:
        return PostgresqlSet(node, self.cluster, timeout_s, run)


@pytest.fixture
def servers() -> Iterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # pytest's own are closed to other users
    shutil.chown(folder, "postgres")
    running = Servers(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder)


@needs_servers
def test_clients_follow_a_promotion_and_nobody_takes_the_deposed_ones_state_for_the_final_one(servers: Servers) -> None:
    clients = [servers.client(node) for node in NODES]
    clients[0].set_up()
    for element, client in enumerate(clients):
        assert complete(client, "add", element) == Completion("ok", element)
    assert [complete(client, "read", None).value for client in clients] == [[0, 1, 2]] * 3
    assert [client.recovered() for client in clients] == [None] * 3

    servers.follow("n3", None)
    wait_until(
        lambda: servers.waits_for() == "n3 receives from nobody, and the primary is n1", "the end of n3's receiver"
    )
    lonely = complete(clients[2], "add", 3)
    assert lonely == ("fail", 3, "NotApplied: n3 is a standby and receives from nobody")
    assert complete(clients[1], "add", 4).type == "ok"
    servers.ask("n3", "SELECT pg_promote()")
    assert servers.waits_for() == "2 nodes say that they are the primary: n1 n3"
    assert [complete(client, "add", element).type for element, client in enumerate(clients, 5)] == ["ok"] * 3
    reads = [complete(client, "read", None) for client in clients]
    assert reads[2] == Completion("ok", [0, 1, 2, 7]), "4, 5 and 6 went to the deposed primary"
    assert [read.error for read in reads[:2]] == [
        f"NotApplied: {node} follows a deposed primary; 127.0.78.3 was promoted after it" for node in ("n1", "n2")
    ]
    for client in clients:
        client.close()


@needs_servers
def test_what_a_standby_or_a_missing_answer_makes_of_a_write(servers: Servers) -> None:
    client = servers.client("n1", timeout_s=1.0)
    client.set_up()
    other = servers.client("n1", run="2")
    other.set_up()
    assert complete(client, "add", 1).type == "ok"
    assert complete(other, "read", None) == Completion("ok", []), "another run has its own table"
    other.close()
    standby = PostgresqlSet("n2", Cluster("postgresql", NODES, {"port": servers.port, "server": "n2"}), 1.0, "1")
    wait_until(lambda: complete(standby, "read", None).type == "ok", "the table on the standby")
    refused = complete(standby, "add", 2)
    assert refused.type == "fail"
    assert refused.error == "ReadOnlySqlTransaction: cannot execute INSERT in a read-only transaction"
    standby.close()

    servers.ask("n1", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
    time.sleep(0.5)
    assert complete(client, "add", 3) == ("info", 3, "TimeoutError: no answer within 1 s")
    patient = servers.client("n1", timeout_s=20)
    cancelled: list[Completion] = []
    thread = threading.Thread(target=lambda: cancelled.append(complete(patient, "add", 4)))
    thread.start()
    waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'INSERT%'"
    wait_until(lambda: servers.ask("n1", f"SELECT count(*) {waiting}") == "2", "the wait for a standby")
    servers.ask("n1", f"SELECT pg_cancel_backend(pid) {waiting}")
    thread.join(10)
    patient.close()
    assert cancelled[0].type == "info"
    assert "CommittedWithWarningError: canceling wait for synchronous replication" in cancelled[0].error
    servers.ask("n1", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
    assert complete(client, "read", None) == Completion("ok", [1, 3, 4]), "what was unknown had happened"
    client.close()
