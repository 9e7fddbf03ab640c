"""The VoltDB clients: their calls, and what they make of a server that refuses, hangs, breaks off or talks nonsense."""

import socket
import struct
import time

import pytest

from tests.unit.loopback import listening
from tests.unit.voltdb_server import LOGGED_IN, Answer, Server, serving
from workloads.clients.base import Client, Completion, complete
from workloads.clients.voltdb import REFUSED_WITH, VoltdbError, VoltdbRegister, VoltdbSet
from workloads.errors import WorkloadError
from workloads.inputs import Cluster

pytestmark = pytest.mark.unit

TIMEOUT_S = 0.3
NODES = {"n1": "127.0.0.1", "n2": "127.0.0.1"}


def client_at(port: int, kind: type[Client] = VoltdbSet) -> Client:
    return kind("n1", Cluster("voltdb", NODES, {"port": port}), TIMEOUT_S, "17")


def operation(
    server: Server, f: str = "add", value: int | list[int] | None = 7, kind: type[Client] = VoltdbSet
) -> Completion:
    """Makes an operation, bounded, whatever the server does."""
    client = client_at(server.port, kind)
    began = time.monotonic()
    completion = complete(client, f, value)
    assert time.monotonic() - began < 4 * TIMEOUT_S + 2
    client.close()
    return completion


def test_a_set_inserts_rows_and_reads_those_of_its_run() -> None:
    with serving(Answer(), Answer(rows=[(3,), (7,)]), Answer(rows=[])) as server:
        client = client_at(server.port)
        assert complete(client, "add", 7) == ("ok", 7, None)
        assert complete(client, "read", None) == ("ok", [3, 7], None)
        assert complete(client, "read", None) == ("ok", [], None)
        client.close()
        assert server.asked[0] == ("JEPSEN_SET.insert", "17", 7)
        assert server.asked[1] == ("@AdHoc", "SELECT entry FROM jepsen_set WHERE run = ? ORDER BY entry", "17")
        assert server.connections == 1


def test_a_register_holds_nothing_until_it_is_written() -> None:
    with serving(Answer(rows=[]), Answer(), Answer(rows=[(3,)]), Answer()) as server:
        client = client_at(server.port, VoltdbRegister)
        assert complete(client, "read", None) == ("ok", None, None)
        assert complete(client, "write", 3) == ("ok", 3, None)
        assert complete(client, "read", None) == ("ok", 3, None)
        assert complete(client, "cas", [3, 4]) == ("ok", [3, 4], None)
        client.close()
        assert server.asked == [
            ("jepsen_read", "17"),
            ("JEPSEN_REGISTER.upsert", "17", 3),
            ("jepsen_read", "17"),
            ("jepsen_cas", 4, 3, "17"),
        ]


def test_a_comparison_that_failed_is_certain() -> None:
    with serving(Answer(rows=[(0,)])) as server:
        completion = operation(server, "cas", [3, 4], VoltdbRegister)
        assert completion == ("fail", [3, 4], "NotApplied: compare failed: it does not hold 3")


@pytest.mark.parametrize("status", REFUSED_WITH)
def test_what_was_refused_is_certain_and_the_connection_goes_on(status: int) -> None:
    with serving(Answer(status, "CONSTRAINT VIOLATION", tables=0), Answer()) as server:
        client = client_at(server.port)
        assert complete(client, "add", 7) == ("fail", 7, f"VoltdbError: {status} CONSTRAINT VIOLATION")
        assert complete(client, "add", 8) == ("ok", 8, None)
        client.close()
        assert server.connections == 1


@pytest.mark.parametrize("status", [-7, -3, -4, -6, -8, -9, 0, 2])
def test_other_errors_are_not(status: int) -> None:
    with serving(Answer(status, "It is possible the transaction was committed", tables=0)) as server:
        completion = operation(server)
        assert completion[:2] == ("info", 7)
        assert completion.error == f"VoltdbError: {status} It is possible the transaction was committed"
        assert operation(server, "cas", [3, 4], VoltdbRegister).type == "info"
        assert operation(server, "read", None).type == "fail"


BROKEN = "LostConnectionError: the server closed the connection"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, "LostConnectionError: receiving: timed out"),
        (b"", BROKEN),
        (b"\0\0", BROKEN),  # behind which the library would ask on for ever
        (struct.pack(">i", 500) + b"\0", BROKEN),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", BROKEN),
        (struct.pack(">i", 3) + b"abc", "error: "),  # no answer at all
        (Answer(rows=[]), "ValueError: "),  # no count of what a compare-and-set changed
    ],
)
def test_sent_and_not_answered_is_unknown(answer: Answer | bytes | None, error: str) -> None:
    with serving(answer) as server:
        completion = operation(server, "cas", [3, 4], VoltdbRegister)
        assert completion[:2] == ("info", [3, 4])
        assert completion.error is not None
        assert completion.error.startswith(error)
        assert len(server.asked) == 1, "nothing is sent twice"


def test_an_answer_in_pieces_has_one_bound() -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(struct.pack(">i", len(LOGGED_IN)) + LOGGED_IN)
        connection.recv(65536)
        for _ in range(20):
            connection.sendall(b"\0")
            time.sleep(TIMEOUT_S / 3)

    with listening(drip) as port:
        client = client_at(port)
        began = time.monotonic()
        assert complete(client, "add", 7).type == "info"
        assert time.monotonic() - began < 5 * TIMEOUT_S


def test_what_was_not_logged_in_was_never_sent() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        completion = complete(client_at(bound.getsockname()[1]), "add", 7)
        assert completion.type == "fail"
        assert completion.error is not None
        assert completion.error.startswith("ConnectionRefusedError: ")
    for login in (None, b"", struct.pack(">BB", 0, 1), b"\2"):
        with serving(login=login) as server:
            assert operation(server).type == "fail", login
            assert server.asked == []


def test_a_schema_is_made_once() -> None:
    with serving(Answer(rows=[("JEPSEN_SET",)]), Answer(rows=[("OTHER",)]), Answer(tables=0)) as server:
        for _ in range(2):
            client = client_at(server.port)
            client.set_up()
            client.close()
        assert [asked[:2] for asked in server.asked] == [
            ("@SystemCatalog", "TABLES"),
            ("@SystemCatalog", "TABLES"),
            ("@AdHoc", VoltdbSet.schema),
        ]


def test_a_node_has_recovered_when_it_counts_all_hosts() -> None:
    facts = [(0, "CLUSTERSTATE", "RUNNING"), (0, "HOSTNAME", "n1"), (1, "CLUSTERSTATE", "RUNNING")]
    with serving(Answer(rows=facts[:2]), Answer(rows=facts), Answer(-2, "no partition", tables=0)) as server:
        client = client_at(server.port)
        assert client.recovered() == "n1 counts 1 of 2 hosts"
        with pytest.raises(Exception, match=r"^$") as refused:
            client.recovered()
        assert isinstance(refused.value.__cause__, VoltdbError)
    with serving(Answer(rows=facts), Answer()) as server:
        assert client_at(server.port).recovered() is None


def test_the_library_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(struct.pack(">i", 3) + b"abc") as server:
        operation(server)
    with serving(login=b"") as server:
        operation(server)
    assert capsys.readouterr() == ("", "")


def test_options_that_it_does_not_know_are_refused() -> None:
    with pytest.raises(WorkloadError, match=r"cluster.json: client: .*user"):
        VoltdbSet("n1", Cluster("voltdb", NODES, {"user": "x"}), 1.0, "17")
