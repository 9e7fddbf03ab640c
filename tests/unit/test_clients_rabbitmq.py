"""The RabbitMQ client against a scripted broker: which errors are certain, and that every call ends."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from pika.exceptions import ChannelClosedByBroker

from tests.unit.scripted_broker import ScriptedBroker
from workloads.clients.base import complete
from workloads.clients.rabbitmq import DRAIN_MESSAGES, RabbitmqMutex, RabbitmqQueue
from workloads.errors import WorkloadError
from workloads.inputs import Cluster

pytestmark = pytest.mark.unit

TIMEOUT_S = 0.3


@pytest.fixture
def broker() -> Iterator[ScriptedBroker]:
    running = ScriptedBroker()
    yield running
    running.close()


@pytest.fixture
def queue(broker: ScriptedBroker) -> Iterator[RabbitmqQueue]:
    client = RabbitmqQueue("n1", cluster_of(broker), TIMEOUT_S, "1")
    yield client
    client.close()


@pytest.fixture
def mutex(broker: ScriptedBroker) -> Iterator[RabbitmqMutex]:
    client = RabbitmqMutex("n1", cluster_of(broker), TIMEOUT_S, "1")
    yield client
    client.close()


def cluster_of(broker: ScriptedBroker, **options: Any) -> Cluster:
    return Cluster("rabbitmq", {"n1": "127.0.0.1"}, {"port": broker.port, **options})


def test_values_go_in_and_come_out_once(broker: ScriptedBroker, queue: RabbitmqQueue) -> None:
    for value in (0, 1, 2):
        assert complete(queue, "enqueue", value) == ("ok", value, None)
    assert complete(queue, "dequeue", None) == ("ok", 0, None)
    queue.close()
    assert complete(queue, "drain", None) == ("ok", [1, 2], None)
    queue.close()
    assert complete(queue, "drain", None) == ("ok", [], None)
    assert complete(queue, "dequeue", None) == ("fail", None, "NotApplied: the queue is empty")
    assert broker.connection_count == 3


@pytest.mark.parametrize(
    ("how", "type_", "said"),
    [
        ("return", "fail", "NotApplied: unroutable: no queue took the message"),
        ("nack", "info", "NackedError: the message was not taken"),
        ("silence", "info", "AmqpTimeoutError: the confirmation took more than 0.3 s"),
        ("close", "info", "ConnectionClosedByBroker: (320"),
        ("drop", "info", "StreamLostError: "),
    ],
)
def test_only_an_unroutable_message_is_certainly_not_there(
    broker: ScriptedBroker, queue: RabbitmqQueue, how: str, type_: str, said: str
) -> None:
    broker.publishing.extendleft([how])
    done = complete(queue, "enqueue", 7)
    assert (done.type, done.value) == (type_, 7)
    assert (done.error or "").startswith(said)
    assert complete(queue, "enqueue", 8) == ("ok", 8, None), "the next one is not held up by it"
    assert complete(queue, "drain", None) == ("ok", [8], None)


@pytest.mark.parametrize("how", ["silence", "close", "drop"])
def test_what_could_not_be_taken_out_is_still_there(broker: ScriptedBroker, queue: RabbitmqQueue, how: str) -> None:
    complete(queue, "enqueue", 1)
    broker.getting.extendleft([how])
    assert complete(queue, "dequeue", None).type == "fail"
    broker.getting.extendleft([how])
    assert complete(queue, "drain", None).type == "fail", "it was not empty, so it must not say so"
    assert complete(queue, "dequeue", None) == ("ok", 1, None)


@pytest.mark.parametrize("how", ["silence", "close", "drop"])
def test_a_drain_that_breaks_off_returns_what_it_received(
    broker: ScriptedBroker, queue: RabbitmqQueue, how: str
) -> None:
    for value in range(3):
        complete(queue, "enqueue", value)
    broker.getting.extendleft([how, "answer", "answer"])
    assert complete(queue, "drain", None) == ("ok", [0, 1], None)
    assert complete(queue, "drain", None) == ("ok", [0, 1, 2], None), "nothing was acknowledged, so all came back"
    assert complete(queue, "drain", None) == ("ok", [], None)


def test_a_drain_has_its_measure(queue: RabbitmqQueue) -> None:
    for value in range(DRAIN_MESSAGES + 1):
        complete(queue, "enqueue", value)
    assert complete(queue, "drain", None).value == list(range(DRAIN_MESSAGES))
    assert complete(queue, "drain", None).value == [DRAIN_MESSAGES]


def test_a_queue_that_is_not_there(broker: ScriptedBroker, queue: RabbitmqQueue) -> None:
    broker.is_declared = False
    for f in ("dequeue", "drain"):
        done = complete(queue, f, None)
        assert done.type == "fail"
        assert "NOT_FOUND" in (done.error or "")
    broker.is_declared = True
    assert complete(queue, "drain", None) == ("ok", [], None)


def test_nobody_listens() -> None:
    alone = RabbitmqQueue("n1", Cluster("rabbitmq", {"n1": "127.0.0.1"}, {"port": 1}), TIMEOUT_S, "1")
    for f, value in (("enqueue", 1), ("dequeue", None), ("drain", None)):
        assert complete(alone, f, value) == ("fail", value, "ConnectionRefusedError: [Errno 111] Connection refused")


def test_an_end_that_was_heard_while_idle_costs_no_operation(broker: ScriptedBroker, queue: RabbitmqQueue) -> None:
    assert complete(queue, "enqueue", 1).type == "ok"
    broker.hang_up()
    time.sleep(0.05)
    assert complete(queue, "enqueue", 2) == ("ok", 2, None)
    assert broker.connection_count == 2


def test_every_call_is_bounded_and_no_thread_is_left(broker: ScriptedBroker, queue: RabbitmqQueue) -> None:
    before = threading.active_count()
    broker.publishing.extendleft(["silence"] * 3)
    broker.getting.extendleft(["silence"] * 6)
    began = time.monotonic()
    for f, value in (("enqueue", 1), ("dequeue", None), ("drain", None)) * 3:
        assert complete(queue, f, value).type == ("info" if f == "enqueue" else "fail")
    assert time.monotonic() - began < 9 * TIMEOUT_S + 3
    assert threading.active_count() == before


def test_a_node_that_takes_connections_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        cluster = Cluster("rabbitmq", {"n1": "127.0.0.1"}, {"port": server.getsockname()[1]})
        paused = RabbitmqQueue("n1", cluster, TIMEOUT_S, "1")
        done = complete(paused, "enqueue", 1)
    assert (done.type, done.value) == ("fail", 1)
    assert "imeout" in (done.error or "")


def test_one_client_holds_the_lock_until_it_lets_go(broker: ScriptedBroker, mutex: RabbitmqMutex) -> None:
    broker.messages.append(b"")
    assert complete(mutex, "release", None) == ("fail", None, "NotApplied: the client does not hold it")
    assert complete(mutex, "acquire", None) == ("ok", None, None)
    assert not broker.messages
    assert complete(mutex, "acquire", None) == ("fail", None, "NotApplied: the client holds it already")
    assert complete(mutex, "release", None) == ("ok", None, None)
    assert list(broker.messages) == [b""]
    broker.messages.clear()
    assert complete(mutex, "acquire", None) == ("fail", None, "NotApplied: the queue is empty")


def test_a_holder_whose_connection_ended_lets_go_all_the_same(broker: ScriptedBroker, mutex: RabbitmqMutex) -> None:
    broker.messages.append(b"")
    assert complete(mutex, "acquire", None).type == "ok"
    broker.hang_up()
    assert complete(mutex, "release", None) == ("ok", None, None)
    assert complete(mutex, "release", None).type == "fail"
    assert complete(mutex, "acquire", None).type == "ok", "the end of its connection gave the message back"


@pytest.mark.parametrize("how", ["silence", "close", "drop"])
def test_an_acquire_without_an_answer_holds_nothing(broker: ScriptedBroker, mutex: RabbitmqMutex, how: str) -> None:
    broker.messages.append(b"")
    broker.getting.extendleft([how])
    assert complete(mutex, "acquire", None).type == "fail"
    assert complete(mutex, "release", None).type == "fail"
    assert complete(mutex, "acquire", None).type == "ok"


class Management(HTTPServer):
    """A management interface that answers with what a test wants."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.queue: dict[str, Any] = {"state": "running", "synchronised_slave_nodes": []}
        self.nodes: list[dict[str, Any]] = [{"name": "rabbit@n1", "running": True}]
        self.health: dict[str, str] = {"status": "ok"}
        self.policies: list[tuple[str, dict[str, Any]]] = []


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    server: Management

    def do_GET(self) -> None:
        answers = {"/api/nodes": self.server.nodes, "/api/healthchecks/node": self.server.health}
        self._say(200, answers.get(self.path, self.server.queue))

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.policies.append((self.path, body))
        self._say(204, None)

    def _say(self, status: int, answer: object) -> None:
        text = json.dumps(answer).encode() if answer is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (http.server's)
        """Says nothing."""


@pytest.fixture
def management() -> Iterator[Management]:
    with Management() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def waits_for(broker: ScriptedBroker, management: Management, **options: Any) -> str | None:
    cluster = cluster_of(broker, management_port=management.server_port, **options)
    return RabbitmqQueue("n1", cluster, TIMEOUT_S, "1").recovered()


def test_what_recovery_waits_for(broker: ScriptedBroker, management: Management) -> None:
    assert waits_for(broker, management) is None
    management.queue = {"state": "running", "type": "quorum", "online": []}
    assert waits_for(broker, management) == "the queue has 0 of 1 replicas up to date"
    management.queue = {"state": "down"}
    assert waits_for(broker, management) == "the queue is down"
    management.health = {"status": "failed", "reason": "cluster partition in effect: ['rabbit@n3']"}
    assert waits_for(broker, management) == "cluster partition in effect: ['rabbit@n3']"
    management.nodes = [{"name": "rabbit@n1", "running": False}]
    assert waits_for(broker, management) == "it sees 0 of 1 nodes running"
    assert waits_for(broker, management, heals=False) is None, "it never will, so nobody waits for it"
    broker.is_declared = False
    with pytest.raises(ChannelClosedByBroker, match="NOT_FOUND"):
        waits_for(broker, management, heals=False)


@pytest.mark.parametrize("kind", ["mirrored", "quorum"])
def test_setting_up_waits_for_all_replicas(broker: ScriptedBroker, management: Management, kind: str) -> None:
    management.queue = {"state": "running", "type": "quorum", "online": []}
    cluster = cluster_of(broker, management_port=management.server_port, queue=kind)
    client = RabbitmqMutex("n1", cluster, TIMEOUT_S, "1")
    threading.Timer(0.3, management.queue.update, [{"online": ["rabbit@n1"]}]).start()
    began = time.monotonic()
    client.set_up()
    assert time.monotonic() - began > 0.2
    client.close()
    assert list(broker.messages) == [b""], "the lock is there to be taken"
    mirrors = {"ha-mode": "all", "ha-sync-mode": "automatic"}
    policy = {"pattern": "^jepsen[.]", "apply-to": "queues", "definition": mirrors}
    assert management.policies == ([("/api/policies/%2F/jepsen", policy)] if kind == "mirrored" else [])


def test_options_that_nobody_knows_are_refused(broker: ScriptedBroker) -> None:
    with pytest.raises(WorkloadError, match="quorrum"):
        RabbitmqQueue("n1", cluster_of(broker, queue="quorrum"), TIMEOUT_S, "1")
