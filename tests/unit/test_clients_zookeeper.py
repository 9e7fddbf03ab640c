"""The ZooKeeper client against servers that speak just enough of the protocol, and against a real one if there is Java.

A request is length, xid, operation, what it is about; an answer is length, xid, zxid, error, what was asked for.
"""

import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.loopback import free_port, listening, wait_until
from workloads.clients.base import Value, complete
from workloads.clients.zookeeper import ZookeeperClient, ZookeeperList, ZookeeperRegister
from workloads.errors import WorkloadError
from workloads.inputs import Cluster

pytestmark = pytest.mark.unit

TIMEOUT_S = 0.3
CREATE, GET, SET, SYNC, PING = 1, 4, 5, 9, 11
BAD_VERSION, NO_NODE, NO_AUTH, NODE_EXISTS = -103, -101, -102, -110
CONNECTION_LOSS, MARSHALLING, SESSION_EXPIRED, READ_ONLY = -4, -5, -112, -119
PATH = b"\0\0\0\2/x"

Answer = Callable[[socket.socket, int], None]


class Script:
    """What a server does at each operation, and which operations it has seen."""

    def __init__(self, **answers: Answer) -> None:
        self.seen: list[int] = []
        self.connections = 0
        self.answers = {GET: data(b"[1]"), SET: stat(), CREATE: found(PATH), SYNC: found(PATH)}
        self.answers |= {globals()[name.upper()]: answer for name, answer in answers.items()}

    def serve(self, connection: socket.socket) -> None:
        self.connections += 1
        give_session(connection)
        while request := receive(connection):
            xid, operation = struct.unpack(">ii", request[:8])
            if operation != PING:
                self.seen.append(operation)
            self.answers.get(operation, found(b""))(connection, xid)


def receive(connection: socket.socket) -> bytes:
    length = connection.recv(4, socket.MSG_WAITALL)
    return connection.recv(struct.unpack(">i", length)[0], socket.MSG_WAITALL) if length else b""


def send(connection: socket.socket, body: bytes) -> None:
    connection.sendall(struct.pack(">i", len(body)) + body)


def give_session(connection: socket.socket) -> None:
    receive(connection)
    send(connection, struct.pack(">iiqi16s?", 0, 10_000, 77, 16, b"p" * 16, False))  # noqa: FBT003  (not read-only)


def found(body: bytes) -> Answer:
    return lambda connection, xid: send(connection, struct.pack(">iqi", xid, 1, 0) + body)


def data(content: bytes, version: int = 3) -> Answer:
    return found(struct.pack(">i", len(content)) + content + about(version))


def stat() -> Answer:
    return found(about(4))


def about(version: int) -> bytes:
    return struct.pack(">qqqqiiiqiiq", 1, 1, 0, 0, version, 0, 0, 0, 0, 0, 1)


def refuse(error: int) -> Answer:
    return lambda connection, xid: send(connection, struct.pack(">iqi", xid, 1, error))


def hang(connection: socket.socket, xid: int) -> None:
    """Never answers."""


def close(connection: socket.socket, xid: int) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket, xid: int) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def nonsense(connection: socket.socket, xid: int) -> None:
    send(connection, b"\xff" * 40)


@contextmanager
def client_of(script: Script, kind: type[ZookeeperClient], *, sync: bool = False) -> Iterator[ZookeeperClient]:
    """Gives a client, and afterwards holds that its threads have ended."""
    with listening(script.serve) as port, ending_its_threads():
        client = client_at(port, kind, sync=sync)
        yield client
        client.close()


@contextmanager
def ending_its_threads() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in set(threading.enumerate()) - before if "(run)" in thread.name]
    assert not left


def client_at(port: int, kind: type[ZookeeperClient] = ZookeeperRegister, *, sync: bool = False) -> ZookeeperClient:
    return kind("n1", Cluster("zookeeper", {"n1": "127.0.0.1"}, {"port": port, "sync": sync}), TIMEOUT_S, "1")


def outcome(client: ZookeeperClient, f: str, value: Value = None) -> tuple[str, str]:
    """Makes an operation and returns its type and the class of its error; bounded, whatever the server does."""
    began = time.monotonic()
    completion = complete(client, f, value)
    assert time.monotonic() - began < 4 * TIMEOUT_S + 2
    return completion.type, (completion.error or "").partition(":")[0]


@pytest.mark.parametrize(
    ("kind", "f", "value"),
    [(ZookeeperList, "add", 7), (ZookeeperRegister, "write", 2), (ZookeeperRegister, "read", None)],
)
def test_without_a_session_nothing_was_sent(kind: type[ZookeeperClient], f: str, value: Value) -> None:
    with socket.socket() as bound, ending_its_threads():
        bound.bind(("127.0.0.1", 0))
        assert outcome(client_at(bound.getsockname()[1], kind), f, value) == ("fail", "ConnectionRefusedError")
    for behave, error in (
        (receive, "ConnectionError"),  # a server without a leader
        (lambda connection: connection.recv(1 << 16) and time.sleep(2 * TIMEOUT_S), "TimeoutError"),
        (lambda connection: send(connection, b"?"), "ConnectionError"),
    ):
        with listening(behave) as port, ending_its_threads():
            assert outcome(client_at(port, kind), f, value) == ("fail", error)


def test_not_connected_in_time_was_never_sent() -> None:
    with socket.socket() as server, ending_its_threads():
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        with socket.create_connection(server.getsockname()):  # the backlog is full now: the next SYN is dropped
            assert outcome(client_at(server.getsockname()[1]), "write", 1) == ("fail", "TimeoutError")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (hang, "TimeoutError"),
        (close, "ConnectionLoss"),
        (reset, "ConnectionLoss"),
        (nonsense, "ConnectionLoss"),
        (refuse(CONNECTION_LOSS), "ConnectionLoss"),
        (refuse(MARSHALLING), "MarshallingError"),
        (refuse(SESSION_EXPIRED), "SessionExpiredError"),
        (refuse(READ_ONLY), "NotReadOnlyCallError"),
    ],
)
def test_a_write_that_was_sent_and_not_answered_is_unknown(answer: Answer, error: str) -> None:
    script = Script(set=answer)
    with client_of(script, ZookeeperRegister) as register:
        assert outcome(register, "write", 2) == ("info", error)
        assert outcome(register, "cas", [[1], 2]) == ("info", error)
    with client_of(script, ZookeeperList) as elements:
        assert outcome(elements, "add", 7) == ("info", error)
    assert script.seen == [SET, GET, SET, GET, SET], "nothing is sent twice"
    assert script.connections == 3, "and nothing over a connection that somebody else opened"


@pytest.mark.parametrize(
    ("code", "error"),
    [(BAD_VERSION, "BadVersionError"), (NO_NODE, "NoNodeError"), (NO_AUTH, "NoAuthError")],
)
def test_a_write_that_the_leader_refused_is_certain(code: int, error: str) -> None:
    script = Script(set=refuse(code))
    with client_of(script, ZookeeperRegister) as register:
        assert outcome(register, "write", 2) == ("fail", error)
        assert outcome(register, "cas", [[1], 2]) == ("fail", error)
    with client_of(script, ZookeeperList) as elements:
        assert outcome(elements, "add", 7) == ("fail", error)
        assert outcome(elements, "add", 8) == ("fail", error)
    assert script.connections == 2, "a refusal costs no session"


@pytest.mark.parametrize(("answer", "error"), [(hang, "TimeoutError"), (close, "ConnectionLoss")])
def test_a_write_whose_read_was_not_answered_was_never_sent(answer: Answer, error: str) -> None:
    script = Script(get=answer)
    with client_of(script, ZookeeperList) as elements:
        assert outcome(elements, "add", 7) == ("fail", error)
        assert outcome(elements, "add", 8) == ("fail", error)
        assert outcome(elements, "read") == ("fail", error)
    assert script.seen == [GET, GET, SYNC, GET]
    assert script.connections == 3, "nobody waits for the answer any more"


def test_a_cas_against_another_value_sends_nothing() -> None:
    script = Script(get=data(b"3"))
    with client_of(script, ZookeeperRegister) as register:
        assert complete(register, "cas", [1, 2]) == ("fail", [1, 2], "NotApplied: it holds 3, not 1")
    assert script.seen == [GET]


def test_a_cas_and_an_add_set_what_they_read_under_the_version_that_they_read() -> None:
    requests: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        give_session(connection)
        while request := receive(connection):
            requests.append(request[8:])
            xid, operation = struct.unpack(">ii", request[:8])
            (data(b"[5]", version=41) if operation == GET else stat())(connection, xid)

    with listening(behave) as port:
        elements = client_at(port, ZookeeperList)
        assert complete(elements, "add", 6) == ("ok", 6, None)
        elements.close()
        register = client_at(port)
        assert complete(register, "write", 2) == ("ok", 2, None)
        register.close()
    path, blind = b"\0\0\0\x0e/jepsen-1-list", b"\0\0\0\x12/jepsen-1-register"
    assert requests[0] == path + b"\0"  # no watch
    assert requests[1] == path + b"\0\0\0\5[5,6]" + struct.pack(">i", 41)
    assert requests[2] == blind + b"\0\0\0\x012" + struct.pack(">i", -1)


@pytest.mark.parametrize(
    ("kind", "sync", "sent"),
    [
        (ZookeeperRegister, False, [GET]),
        (ZookeeperRegister, True, [SYNC, GET]),
        (ZookeeperList, False, [SYNC, GET]),
    ],
)
def test_when_a_read_is_preceded_by_a_sync(kind: type[ZookeeperClient], *, sync: bool, sent: list[int]) -> None:
    script = Script()
    with client_of(script, kind, sync=sync) as client:
        assert complete(client, "read", None) == ("ok", [1], None)
    assert script.seen == sent


def test_the_node_is_made_once_a_run_and_may_be_there() -> None:
    for answer in (found(PATH), refuse(NODE_EXISTS)):
        script = Script(create=answer)
        with client_of(script, ZookeeperList) as client:
            client.set_up()
        assert script.seen == [CREATE]
    with client_of(Script(create=hang), ZookeeperList) as client, pytest.raises(TimeoutError, match="no answer within"):
        client.set_up()


def test_a_lost_session_is_replaced_at_the_next_operation() -> None:
    script = Script(set=close)
    with client_of(script, ZookeeperRegister) as client:
        assert outcome(client, "write", 1) == ("info", "ConnectionLoss")
        assert outcome(client, "read") == ("ok", "")
        assert outcome(client, "read") == ("ok", "")
        assert client.recovered() is None
    assert script.connections == 3, "the one lost, its successor, the one that asks for the recovery"


@pytest.mark.parametrize("options", [{"port": 0}, {"port": "x"}, {"sync": 1}, {"quorum": True}])
def test_options_that_it_does_not_know_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(WorkloadError, match=r"cluster\.json: client: "):
        ZookeeperRegister("n1", Cluster("zookeeper", {"n1": "127.0.0.1"}, options), TIMEOUT_S, "1")


JARS = "/usr/share/java/"
NODES = {"n1": "127.0.79.1", "n2": "127.0.79.2", "n3": "127.0.79.3"}
CONFIGURATION = """
tickTime=500
initLimit=10
syncLimit=5
dataDir={folder}
clientPort={port}
clientPortAddress={address}
admin.enableServer=false
maxClientCnxns=0
"""


class Servers:
    """A real ensemble of three."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port(NODES.values())
        peers = f"{self.port + 1}:{self.port + 2}"
        members = [f"server.{i}={a}:{peers}" for i, a in enumerate(NODES.values(), start=1)]
        self.cluster = Cluster("zookeeper", NODES, {"port": self.port, "sync": True})
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for number, (node, address) in enumerate(NODES.items(), start=1):
            own = folder / node
            own.mkdir()
            (own / "myid").write_text(f"{number}\n")
            written = CONFIGURATION.format(folder=own, port=self.port, address=address)
            (own / "zoo.cfg").write_text(written + "\n".join(members) + "\n")
            command = ["java", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
            command += ["-cp", f"{JARS}zookeeper.jar:{JARS}slf4j-simple.jar"]
            command += ["org.apache.zookeeper.server.quorum.QuorumPeerMain", str(own / "zoo.cfg")]
            with (own / "log").open("wb") as log:
                self.processes[node] = subprocess.Popen(command, stdout=log, stderr=log)

    def client(self, kind: type[ZookeeperClient], node: str) -> ZookeeperClient:
        return kind(node, self.cluster, 2.0, run="1")

    def are_ready(self) -> bool:
        try:
            return all(self.client(ZookeeperList, node).recovered() is None for node in NODES)
        except Exception:  # noqa: BLE001  (as the scheduler has it)
            return False


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if not (shutil.which("java") and Path(JARS, "zookeeper.jar").exists()):
        pytest.skip("needs the packages default-jre-headless and libzookeeper-java")
    running = Servers(tmp_path_factory.mktemp("zookeeper"))
    try:
        wait_until(running.are_ready, "a leader")
        yield running
    finally:
        for process in running.processes.values():
            process.kill()
            process.wait()


def test_a_list_grows_through_all_servers(servers: Servers) -> None:
    with ending_its_threads():
        clients = [servers.client(ZookeeperList, node) for node in NODES]
        for client in clients:
            client.set_up()  # the second time it is there
        for element, client in enumerate(clients):
            wait_until(lambda: complete(client, "add", element).type == "ok", "the last version to come to this server")  # noqa: B023
        assert [complete(client, "read", None) for client in clients] == [("ok", [0, 1, 2], None)] * 3
        for client in clients:
            client.close()


def test_a_server_alone_acknowledges_nothing(servers: Servers) -> None:
    register = servers.client(ZookeeperRegister, "n1")
    register.set_up()
    assert complete(register, "read", None) == ("ok", None, None)
    assert complete(register, "write", 3) == ("ok", 3, None)
    assert complete(register, "cas", [3, 4]) == ("ok", [3, 4], None)
    assert complete(register, "cas", [3, 0]) == ("fail", [3, 0], "NotApplied: it holds 4, not 3")
    others = [servers.processes[node] for node in ("n2", "n3")]
    for process in others:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
    try:
        assert complete(register, "write", 2).type == "info", "it may have been proposed"
        assert complete(register, "write", 1).type == "fail", "a session is a write, too"
        with pytest.raises(OSError, match="session"):
            register.recovered()
    finally:
        for process in others:
            process.send_signal(signal.SIGCONT)
    wait_until(servers.are_ready, "the recovery")
    assert complete(register, "read", None).value in {4, 2}
    register.close()
