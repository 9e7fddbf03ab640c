"""The Cassandra client without a node: what is certain, what it asks, and what it is told. With one: tests/lab."""

from collections.abc import Sequence
from typing import Any

import cassandra
import pytest

from workloads.clients.base import NotAppliedError, complete
from workloads.clients.cassandra import (
    CERTAIN,
    CassandraClient,
    CassandraCounter,
    CassandraRegister,
    CassandraRows,
    CassandraSet,
)
from workloads.errors import WorkloadError
from workloads.inputs import Cluster

pytestmark = pytest.mark.unit


class Answer(list[tuple[Any, ...]]):
    """Rows, or whether a transaction was applied."""

    def one(self) -> tuple[Any, ...] | None:
        return self[0] if self else None

    @property
    def was_applied(self) -> bool:
        return bool(self[0][0])


def client_of(kind: type[CassandraClient], answers: list[Any], **options: object) -> tuple[Any, list[str]]:
    """A client whose statements are answered from a list, and the statements with their values."""
    client = kind("n1", Cluster("cassandra", {"n1": "127.0.0.1"}, dict(options)), 1.0, "17")
    asked = []

    def ask(statement: str, values: Sequence[object] = (), *, level: str = "") -> Answer:
        asked.append(" ".join([statement % tuple(values) if values else statement, *([level] if level else [])]))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer)

    client.open = lambda: None  # type: ignore[method-assign]
    client.ask = ask  # type: ignore[method-assign, assignment]
    return client, asked


UNAVAILABLE = cassandra.Unavailable("too few")
TIMEOUT = cassandra.WriteTimeout("too late", write_type=0)


def test_a_time_out_is_not_certain() -> None:
    uncertain = (cassandra.WriteTimeout, cassandra.OperationTimedOut, cassandra.CoordinationFailure)
    assert not [error for error in uncertain if issubclass(error, CERTAIN)]


@pytest.mark.parametrize(("answer", "end"), [([], "ok"), (UNAVAILABLE, "fail"), (TIMEOUT, "info")])
def test_how_an_add_ends(answer: Any, end: str) -> None:
    client, asked = client_of(CassandraSet, [answer])
    assert complete(client, "add", 5).type == end
    assert asked == ["INSERT INTO {table} (part, element) VALUES (0, 5)"]


def test_a_copy_asks_one_and_a_read_as_many_as_the_options_say() -> None:
    client, asked = client_of(CassandraSet, [[(1,), (2,)], [(3,)]])
    assert [client.invoke("copy", None), client.invoke("read", None)] == [[1, 2], [3]]
    assert [statement.rpartition("part = 0")[2] for statement in asked] == [" ONE", ""]


@pytest.mark.parametrize(("timestamps", "behind"), [("equal", " USING TIMESTAMP 8"), ("server", "")])
def test_all_who_write_a_row_do_it_with_the_same_timestamp_if_told_to(timestamps: str, behind: str) -> None:
    client, asked = client_of(CassandraRows, [[], [(3, -3)], []], timestamps=timestamps)
    assert client.invoke("write", [7, 3]) == [7, 3]
    assert [statement.partition("(7, 3, -3)")[2] for statement in asked] == [behind]
    assert [client.invoke("read", 7), client.invoke("read", 8)] == [[7, 3, -3], None]


def test_a_register_by_transactions() -> None:
    client, asked = client_of(CassandraRegister, [[(True,)], [(True,)], [(False, 4)], [(4,)]])
    assert client.invoke("write", 4) == 4
    assert client.invoke("cas", [4, 2]) == [4, 2]
    with pytest.raises(NotAppliedError, match="compare failed"):
        client.invoke("cas", [3, 2])
    assert client.invoke("read", None) == 4
    assert asked == [
        "UPDATE {table} SET value = 4 WHERE key = 0 IF there = 1",
        "UPDATE {table} SET value = 2 WHERE key = 0 IF value = 4",
        "UPDATE {table} SET value = 2 WHERE key = 0 IF value = 3",
        "SELECT value FROM {table} WHERE key = 0 SERIAL",
    ]


@pytest.mark.parametrize(("updates", "answers", "end"), [
    ("own", [UNAVAILABLE], "info"),
    ("own", [cassandra.InvalidRequest()], "fail"),
    ("read-modify-write", [UNAVAILABLE], "fail"),
])  # fmt: skip
def test_too_few_nodes_are_not_certain_of_a_transaction(updates: str, answers: list[Any], end: str) -> None:
    client, _ = client_of(CassandraRegister, answers, updates=updates)
    assert complete(client, "write", 4).type == end


def test_a_register_by_reads_and_writes() -> None:
    client, asked = client_of(CassandraRegister, [[(4,)], [], [(4,)]], updates="read-modify-write")
    assert client.invoke("cas", [4, 2]) == [4, 2]
    with pytest.raises(NotAppliedError, match="compare failed: it is 4"):
        client.invoke("cas", [3, 2])
    assert asked[1] == "UPDATE {table} SET value = 2 WHERE key = 0"
    assert len(asked) == 3


@pytest.mark.parametrize(("updates", "statements"), [
    ("own", ["UPDATE {table} SET number = number + 1 WHERE key = 0"]),
    ("read-modify-write", ["SELECT number FROM {table} WHERE key = 0", "UPDATE {table} SET number = 8 WHERE key = 0"]),
])  # fmt: skip
def test_a_counter_is_counted_up(updates: str, statements: list[str]) -> None:
    client, asked = client_of(CassandraCounter, [[(7,)], []], updates=updates)
    assert client.invoke("add", 1) == 1
    assert asked == statements


def test_a_counter_whose_read_got_no_answer_was_not_written() -> None:
    client, _ = client_of(CassandraCounter, [cassandra.ReadTimeout("too late")], updates="read-modify-write")
    assert complete(client, "add", 1).type == "fail"


def test_a_number_that_is_not_there_is_nought() -> None:
    client, _ = client_of(CassandraCounter, [[]])
    assert client.invoke("read", None) == 0


def test_options_that_it_does_not_know_are_refused() -> None:
    with pytest.raises(WorkloadError, match=r"cluster.json: client: .*ANY"):
        client_of(CassandraSet, [], write="ANY")
