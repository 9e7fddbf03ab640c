"""What a client makes of a network that refuses, hangs, resets or talks nonsense, over real sockets."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.unit.loopback import listening
from workloads.clients.base import Client, complete
from workloads.clients.consul import ConsulRegister
from workloads.clients.etcd import EtcdRegister, EtcdSet
from workloads.clients.redis import RedisSet
from workloads.inputs import Cluster

pytestmark = pytest.mark.unit

TIMEOUT_S = 0.3
Behaviour = Callable[[socket.socket], None]


def hang(connection: socket.socket) -> None:
    """Takes the request and never answers."""
    while connection.recv(65536):
        pass


def close(connection: socket.socket) -> None:
    """Takes the request and closes."""
    connection.recv(65536)


def reset(connection: socket.socket) -> None:
    """Takes the request and resets the connection."""
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answer(*replies: bytes) -> Behaviour:
    """Answers each request with the next of the replies, the last one for ever."""

    def behave(connection: socket.socket) -> None:
        left = list(replies)
        while connection.recv(65536):
            connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    return behave


def cut_off(connection: socket.socket) -> None:
    """Begins an HTTP answer and closes in the middle of it."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")


def http(status: str, body: str) -> Behaviour:
    return answer(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


@contextmanager
def refusing() -> Iterator[int]:
    """Gives a port of 127.0.0.1 where nobody listens, and nobody will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def etcd(port: int, api: str, *, register: bool = False) -> Client:
    cluster = Cluster("etcd", {"n1": "127.0.0.1"}, {"port": port, "api": api})
    return (EtcdRegister if register else EtcdSet)("n1", cluster, TIMEOUT_S, "1")


def consul(port: int, mode: str = "default") -> Client:
    return ConsulRegister("n1", Cluster("consul", {"n1": "127.0.0.1"}, {"port": port, "mode": mode}), TIMEOUT_S, "1")


@contextmanager
def redis_with(behave: Behaviour) -> Iterator[Client]:
    """Gives a client whose Sentinel names a primary that behaves so after the two calls of connecting."""
    with listening(behave) as port:
        named = f"*2\r\n$9\r\n127.0.0.1\r\n${len(str(port))}\r\n{port}\r\n".encode()
        with listening(answer(b"+OK\r\n", b"+OK\r\n", named)) as sentinel_port:
            yield redis_at(sentinel_port)


def redis_at(sentinel_port: int) -> Client:
    return RedisSet("n1", Cluster("redis", {"n1": "127.0.0.1"}, {"sentinel_port": sentinel_port}), TIMEOUT_S, "1")


def after_connecting(behave: Behaviour) -> Behaviour:
    """Says OK to the two calls that redis-py makes to connect, then behaves otherwise."""

    def connect_first(connection: socket.socket) -> None:
        for _ in range(2):
            connection.recv(65536)
            connection.sendall(b"+OK\r\n")
        behave(connection)

    return connect_first


def outcome(client: Client, f: str = "add", value: int | list[int] | None = 7) -> tuple[str, str]:
    """Makes an operation and returns its type and the class of its error; bounded, whatever the network does."""
    began = time.monotonic()
    completion = complete(client, f, None if f == "read" else value)
    assert time.monotonic() - began < 4 * TIMEOUT_S + 2
    assert completion.error, completion
    client.close()
    return completion.type, completion.error.partition(":")[0]


@pytest.mark.parametrize("api", ["v2", "v3"])
def test_etcd_refused_was_never_sent(api: str) -> None:
    with refusing() as port:
        assert outcome(etcd(port, api)) == ("fail", "NewConnectionError")
        assert outcome(etcd(port, api), "read") == ("fail", "NewConnectionError")


@pytest.mark.parametrize("api", ["v2", "v3"])
def test_etcd_not_connected_in_time_was_never_sent(api: str) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        with socket.create_connection(server.getsockname()):  # the backlog is full now: the next SYN is dropped
            assert outcome(etcd(server.getsockname()[1], api)) == ("fail", "ConnectTimeoutError")


@pytest.mark.parametrize("api", ["v2", "v3"])
@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (hang, "ReadTimeout"),
        (close, "ConnectionError"),
        (reset, "ConnectionError"),
        (cut_off, "ChunkedEncodingError"),
        (http("200 OK", "nonsense"), "JSONDecodeError"),
        (
            http("500 Internal Server Error", '{"errorCode":300,"message":"Raft Internal Error","cause":"x"}'),
            "EtcdError",
        ),
        (http("503 Service Unavailable", '{"error":"etcdserver: request timed out","code":14}'), "EtcdError"),
    ],
)
def test_etcd_sent_and_not_answered_is_unknown(api: str, behave: Behaviour, error: str) -> None:
    with listening(behave) as port:
        assert outcome(etcd(port, api)) == ("info", error)
        assert outcome(etcd(port, api, register=True), "cas", [1, 2]) == ("info", error)
        assert outcome(etcd(port, api), "read") == ("fail", error)


def test_etcd_comparison_failed_is_certain() -> None:
    with listening(
        http("412 Precondition Failed", '{"errorCode":101,"message":"Compare failed","cause":"[1 != 2]"}')
    ) as port:
        assert outcome(etcd(port, "v2", register=True), "cas", [1, 2]) == ("fail", "EtcdError")
    with listening(http("404 Not Found", '{"errorCode":100,"message":"Key not found","cause":"/jepsen"}')) as port:
        assert outcome(etcd(port, "v2", register=True), "cas", [1, 2]) == ("fail", "EtcdError")
        assert complete(etcd(port, "v2"), "read", None)[:2] == ("ok", [])
        assert complete(etcd(port, "v2", register=True), "read", None)[:2] == ("ok", None)
    with listening(http("200 OK", '{"header":{}}')) as port:
        assert outcome(etcd(port, "v3", register=True), "cas", [1, 2]) == ("fail", "NotApplied")


def test_etcd_goes_past_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing() as nobody, listening(http("200 OK", '{"header":{}}')) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{nobody}")
        assert complete(etcd(port, "v3"), "add", 1) == ("ok", 1, None)


KEY = '[{"Key":"jepsen/1/register","Value":"MQ==","ModifyIndex":12}]'  # 1


@pytest.mark.parametrize(("f", "value"), [("read", None), ("write", 1), ("cas", [1, 2])])
def test_consul_refused_was_never_sent(f: str, value: int | list[int] | None) -> None:
    with refusing() as port:
        assert outcome(consul(port), f, value) == ("fail", "NewConnectionError")


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (hang, "ReadTimeout"),
        (close, "ConnectionError"),
        (reset, "ConnectionError"),
        (cut_off, "ChunkedEncodingError"),
        (http("200 OK", "nonsense"), "ConsulError"),
        (http("200 OK", "false"), "ConsulError"),
        (
            http("500 Internal Server Error", "rpc error making call: leadership lost while committing log"),
            "ConsulError",
        ),
        (http("500 Internal Server Error", "rpc error making call: EOF"), "ConsulError"),
        (http("429 Too Many Requests", "No cluster leader"), "ConsulError"),
    ],
)
def test_consul_sent_and_not_answered_is_unknown(behave: Behaviour, error: str) -> None:
    with listening(behave) as port:
        assert outcome(consul(port), "write", 1) == ("info", error)
        assert outcome(consul(port), "read")[0] == "fail"
        assert outcome(consul(port), "cas", [1, 2])[0] == "fail", "without an index to compare nothing is sent"


def test_consul_compares_what_it_read_before() -> None:
    found = f"HTTP/1.1 200 OK\r\nContent-Length: {len(KEY)}\r\n\r\n{KEY}".encode()
    refused, lost = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse",
        b"HTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\nx",
    )
    with listening(answer(found, refused)) as port:
        assert outcome(consul(port), "cas", [1, 2]) == ("fail", "NotApplied")
    with listening(answer(found, lost)) as port:
        assert outcome(consul(port), "cas", [1, 2]) == ("info", "ConsulError")
    with listening(answer(found)) as port:
        assert outcome(consul(port), "cas", [0, 2]) == ("fail", "NotApplied")
        assert complete(consul(port), "read", None)[:2] == ("ok", 1)
    with listening(http("404 Not Found", "")) as port:
        assert outcome(consul(port), "cas", [0, 2]) == ("fail", "NotApplied")
        assert complete(consul(port), "read", None)[:2] == ("ok", None)
    with listening(http("404 Not Found", "404 page not found")) as port:
        assert outcome(consul(port), "read") == ("fail", "ConsulError")


def test_consul_without_a_leader_is_certain() -> None:
    for said in ("No cluster leader", "rpc error making call: No cluster leader"):
        with listening(http("500 Internal Server Error", said)) as port:
            assert outcome(consul(port), "write", 1) == ("fail", "ConsulError")


@pytest.mark.parametrize("mode", ["default", "stale", "consistent"])
def test_consul_reads_as_it_is_told(mode: str) -> None:
    seen: list[bytes] = []

    def keep(connection: socket.socket) -> None:
        seen.append(connection.recv(65536).split(b"\r\n")[0])
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with listening(keep) as port:
        assert complete(consul(port, mode), "read", None)[:2] == ("ok", None)
        assert consul(port, mode).recovered() is None
    path = "GET /v1/kv/jepsen/1/register?{}= HTTP/1.1"
    assert seen == [path.format(mode).encode(), path.format("consistent").encode()]


def test_redis_without_its_sentinel_was_never_sent() -> None:
    with refusing() as port:
        assert outcome(redis_at(port)) == ("fail", "ConnectionError")
    for behave, error in ((hang, "TimeoutError"), (close, "ConnectionError"), (reset, "ConnectionError")):
        with listening(behave) as port:
            assert outcome(redis_at(port)) == ("fail", error)


def test_redis_with_a_sentinel_that_knows_no_primary_was_never_sent() -> None:
    with listening(answer(b"+OK\r\n", b"+OK\r\n", b"*-1\r\n")) as port:
        assert outcome(redis_at(port)) == ("fail", "NotApplied")


def test_redis_whose_primary_refuses_the_connection_was_never_sent() -> None:
    with refusing() as port:
        named = f"*2\r\n$9\r\n127.0.0.1\r\n${len(str(port))}\r\n{port}\r\n".encode()
        with listening(answer(b"+OK\r\n", b"+OK\r\n", named)) as sentinel_port:
            assert outcome(redis_at(sentinel_port)) == ("fail", "ConnectionError")


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (hang, "TimeoutError"),
        (close, "ConnectionError"),
        (reset, "ConnectionError"),
        (answer(b"!?\r\n"), "InvalidResponse"),
        (answer(b"-ERR something else\r\n"), "ResponseError"),
    ],
)
def test_redis_sent_and_not_answered_is_unknown(behave: Behaviour, error: str) -> None:
    with redis_with(after_connecting(behave)) as client:
        assert outcome(client) == ("info", error)
        assert outcome(client, "read") == ("fail", error)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("READONLY You can't write against a read only replica.", "ReadOnlyError"),
        ("NOREPLICAS Not enough good replicas to write.", "ResponseError"),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "MasterDownError"),
        ("LOADING Redis is loading the dataset in memory", "BusyLoadingError"),
        ("MISCONF Redis is configured to save RDB snapshots, but it's unable to", "ResponseError"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "OutOfMemoryError"),
        ("NOAUTH Authentication required.", "AuthenticationError"),
        ("NOPERM this user has no permissions", "NoPermissionError"),
    ],
)
def test_redis_refused_is_certain(reply: str, error: str) -> None:
    with redis_with(after_connecting(answer(f"-{reply}\r\n".encode()))) as client:
        assert outcome(client) == ("fail", error)


def test_nothing_is_sent_twice() -> None:
    seen: list[bytes] = []

    def count(connection: socket.socket) -> None:
        while received := connection.recv(65536):
            seen.append(received)
            if b"SADD" in received or b"PUT" in received or b"POST" in received:
                return
            connection.sendall(b"+OK\r\n")

    with redis_with(count) as client:
        assert outcome(client)[0] == "info"
    for api in ("v2", "v3"):
        with listening(count) as port:
            assert outcome(etcd(port, api))[0] == "info"
        time.sleep(0.05)
    with listening(count) as port:
        assert outcome(consul(port), "write", 1)[0] == "info"
    time.sleep(0.05)
    assert [sum(word in request for request in seen) for word in (b"SADD", b"PUT", b"POST")] == [1, 2, 1]
