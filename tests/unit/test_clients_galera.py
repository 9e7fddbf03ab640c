"""The Galera clients: their statements, and what they make of a server that refuses, hangs or breaks off."""

import threading
import time
from typing import Any

import pytest

from tests.unit.mariadb_server import CLOSE, HANG, INT, TEXT, Answer, Rows, Server, serving
from workloads.clients.base import Client, Completion, complete
from workloads.clients.galera import (
    MEETINGS,
    REFUSED_WITH,
    GaleraBank,
    GaleraSet,
    GaleraWriteSkew,
    Meetings,
    unready,
)
from workloads.errors import WorkloadError
from workloads.inputs import Cluster

pytestmark = pytest.mark.unit

TIMEOUT_S = 0.4
TRANSFER = {"from": "0", "to": "3", "amount": 4}
BALANCES: dict[str, Answer] = {"SELECT name": Rows([TEXT, INT], [("0", 20), ("3", 7)])}
STEPS = ["START TRANSACTION", "SELECT name", "UPDATE"]


def client_of(server: Server, kind: type[Client] = GaleraBank, **options: Any) -> Client:
    nodes = {"n1": "127.0.0.1", "n2": "127.0.0.1"}
    return kind("n1", Cluster("galera", nodes, {"port": server.port, **options}), TIMEOUT_S, "17")


def transfer(server: Server, **options: Any) -> Completion:
    """Makes a transfer, bounded, whatever the server does."""
    client = client_of(server, **options)
    began = time.monotonic()
    completion = complete(client, "transfer", TRANSFER)
    assert time.monotonic() - began < 4 * TIMEOUT_S + 2
    client.close()
    return completion


def test_a_transfer_reads_computes_and_writes_balances() -> None:
    with serving(BALANCES) as server:
        assert transfer(server) == ("ok", TRANSFER, None)
        assert server.statements == [
            "START TRANSACTION",
            "SELECT name, balance FROM GaleraBank_17 WHERE name IN ('0', '3')",
            "UPDATE GaleraBank_17 SET balance = 16 WHERE name = '0'",
            "UPDATE GaleraBank_17 SET balance = 11 WHERE name = '3'",
            "COMMIT",
        ]


def test_a_session_is_set_up_as_the_options_say() -> None:
    with serving(BALANCES) as server:
        transfer(server, isolation="serializable", lock=True, writes="relative", sync_wait=1)
        assert server.statements[1:4] == [
            "SELECT name, balance FROM GaleraBank_17 WHERE name IN ('0', '3') FOR UPDATE",
            "UPDATE GaleraBank_17 SET balance = balance + -4 WHERE name = '0'",
            "UPDATE GaleraBank_17 SET balance = balance + 4 WHERE name = '3'",
        ]
        (session,) = server.sessions
        assert "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE" in session
        assert "SET SESSION wsrep_sync_wait = 1, innodb_lock_wait_timeout = 1" in session
        client = client_of(server, lock=True)
        assert complete(client, "read", None) == ("ok", {"0": 20, "3": 7}, None)
        assert server.statements[-2:] == ["SELECT name, balance FROM GaleraBank_17 FOR UPDATE", "COMMIT"]
        client.close()


def test_an_account_is_not_overdrawn() -> None:
    with serving({"SELECT name": Rows([TEXT, INT], [("0", 3), ("3", 7)])}) as server:
        assert transfer(server) == ("fail", TRANSFER, "NotApplied: account 0 has 3 and not 4")
        assert server.statements[2:] == ["ROLLBACK"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("answer", [1213, 1205, 1020, 1047, 1180, 1317, CLOSE, HANG, b"nonsense"])
def test_before_commit_everything_is_certain(step: str, answer: Answer) -> None:
    with serving({**BALANCES, step: answer}) as server:
        completion = transfer(server)
        assert completion.type == "fail", completion
        assert "COMMIT" not in server.statements
        assert ("ROLLBACK" in server.statements) == (answer in REFUSED_WITH)


@pytest.mark.parametrize("code", sorted(REFUSED_WITH))
def test_a_refused_commit_is_certain_and_rolled_back(code: int) -> None:
    with serving({"COMMIT": code, **BALANCES}) as server:
        completion = transfer(server)
        assert (completion.type, completion.error) == ("fail", f"OperationalError: ({code}, 'so it is')")
        assert server.statements[-2:] == ["COMMIT", "ROLLBACK"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (1180, "OperationalError: (1180, 'so it is')"),
        (1105, "OperationalError: (1105, 'so it is')"),
        (1317, "OperationalError: (1317, 'so it is')"),
        (CLOSE, "OperationalError: (2013, 'Lost connection to MySQL server during query')"),
        (HANG, "OperationalError: (2013, 'Lost connection to MySQL server during query (timed out)')"),
    ],
)
def test_a_commit_that_is_not_refused_is_unknown(answer: Answer, error: str) -> None:
    with serving({"COMMIT": answer, **BALANCES}) as server:
        completion = transfer(server)
        assert (completion.type, completion.error) == ("info", error)
        assert server.statements[-1] == "COMMIT", "nothing is tried again"
        client = client_of(server)
        assert complete(client, "read", None).type == "fail", "a read changed nothing"
        client.close()


def test_after_a_refusal_the_connection_goes_on_and_after_anything_else_a_new_one_is_made() -> None:
    answers: dict[str, Answer] = {"UPDATE": 1205, **BALANCES}
    with serving(answers) as server:
        client = client_of(server)
        assert complete(client, "transfer", TRANSFER).type == "fail"
        del answers["UPDATE"]
        assert complete(client, "transfer", TRANSFER).type == "ok"
        assert len(server.sessions) == 1
        answers["COMMIT"] = 1180
        assert complete(client, "transfer", TRANSFER).type == "info"
        del answers["COMMIT"]
        assert complete(client, "transfer", TRANSFER).type == "ok"
        assert len(server.sessions) == 2
        client.close()


def test_a_transaction_of_many_slow_answers_is_given_up() -> None:
    with serving(BALANCES) as server:
        server.before = lambda statement: time.sleep(0.0 if statement.startswith("SET") else 0.7 * TIMEOUT_S)
        completion = transfer(server)
        assert (completion.type, completion.error) == ("fail", "TimeoutError: the transaction took longer than 0.4 s")
        assert "COMMIT" not in server.statements


def test_who_cannot_connect_has_sent_nothing() -> None:
    with serving() as server:
        pass
    completion = transfer(server)
    assert completion.type == "fail"
    assert "(2003," in (completion.error or "")
    with serving({"SET SESSION wsrep": 1193}) as server:
        assert transfer(server).error == "OperationalError: (1193, 'so it is')"
        assert server.statements == []


def test_rows_of_a_set() -> None:
    with serving({"SELECT": Rows([INT], [(5,), (2,)])}) as server:
        client = client_of(server, GaleraSet)
        assert complete(client, "add", 5) == ("ok", 5, None)
        assert complete(client, "read", None) == ("ok", [2, 5], None)
        assert "INSERT INTO GaleraSet_17 VALUES (5)" in server.statements
        client.close()


@pytest.mark.parametrize(
    ("kind", "filled"),
    [
        (GaleraBank, ["INSERT INTO GaleraBank_17 VALUES ('0', 20), ('1', 20), ('2', 20), ('3', 20), ('4', 20)"]),
        (GaleraSet, []),
        (GaleraWriteSkew, []),
    ],
)
def test_all_nodes_have_the_table_before_anybody_works(kind: type[Client], filled: list[str]) -> None:
    with serving() as server:
        client = client_of(server, kind)
        client.set_up()
        client.close()
        made, *others = server.sessions
        assert [each for each in made if not each.startswith("SET")][1:] == filled
        assert f"CREATE TABLE {kind.__name__}_17 (" in server.statements[0]
        assert [session[-1] for session in others] == [f"SELECT COUNT(*) FROM {kind.__name__}_17"] * 2  # noqa: S608
        assert all("SET SESSION wsrep_sync_wait = 15, innodb_lock_wait_timeout = 1" in each for each in others)


def test_two_clients_of_a_pair_insert_when_both_have_looked() -> None:
    with serving({"SELECT row": Rows([INT], [])}) as server:
        clients = [client_of(server, GaleraWriteSkew) for _ in range(2)]
        threads = [
            threading.Thread(target=complete, args=(client, "insert", [7, 14 + row]))
            for row, client in enumerate(clients)
        ]
        threads[0].start()
        time.sleep(0.05)
        assert not any(each.startswith("INSERT") for each in server.statements), "it waits for the other"
        threads[1].start()
        for thread in threads:
            thread.join()
        assert [session[-3:] for session in server.sessions] == [
            [
                "SELECT row FROM GaleraWriteSkew_17 WHERE pair = 7",
                f"INSERT INTO GaleraWriteSkew_17 VALUES (7, {14 + row})",  # noqa: S608
                "COMMIT",
            ]
            for row in range(2)
        ]
        assert complete(clients[0], "insert", [8, 16]) == ("ok", [8, 16], None), "nobody comes"
        server.answers["SELECT row"] = Rows([INT], [(17,)])
        refused = complete(clients[0], "insert", [8, 16])
        assert refused == ("fail", [8, 16], "NotApplied: pair 8 has row 17 already")
        for client in clients:
            client.close()
    assert MEETINGS.waiting() == 0


def test_who_meets_nobody_goes_on_and_leaves_nothing() -> None:
    meetings, met = Meetings(), list[bool]()
    began = time.monotonic()
    assert not meetings.meet("a", 0.05)
    assert 0.05 <= time.monotonic() - began < 2
    threads = [threading.Thread(target=lambda key: met.append(meetings.meet(key, 5)), args=(i % 2,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert met == [True] * 8
    assert meetings.waiting() == 0


WELL = {
    "wsrep_cluster_status": "Primary",
    "wsrep_cluster_size": "5",
    "wsrep_local_state_comment": "Synced",
    "wsrep_ready": "ON",
}


@pytest.mark.parametrize(("lacks", "said"), [
    ({}, None),
    ({"wsrep_cluster_status": "non-Primary"}, "wsrep_cluster_status is non-Primary, not Primary"),
    ({"wsrep_cluster_size": "4"}, "wsrep_cluster_size is 4, not 5"),
    ({"wsrep_local_state_comment": "Joined"}, "wsrep_local_state_comment is Joined, not Synced"),
    ({"wsrep_ready": "OFF"}, "wsrep_ready is OFF, not ON"),
])  # fmt: skip
def test_what_a_node_lacks_of_being_well(lacks: dict[str, str], said: str | None) -> None:
    assert unready(WELL | lacks, 5) == said
    status = Rows([TEXT, TEXT], list((WELL | lacks | {"wsrep_cluster_size": "2"} | lacks).items()))
    with serving({"SHOW GLOBAL STATUS": status}) as server:
        waits_for = client_of(server).recovered()
        assert waits_for == (said and said.replace("not 5", "not 2"))
        assert (server.statements[-1] == "SELECT 1") == (said is None), "it has applied what was committed"


def test_a_server_without_galera_has_not_recovered() -> None:
    assert unready({}, 5) == "wsrep_cluster_status is not there, not Primary"


@pytest.mark.parametrize("option", [{"isolation": "chaos"}, {"writes": "none"}, {"sync_wait": 16}, {"locks": True}])
def test_an_option_that_there_is_not_is_told(option: dict[str, Any]) -> None:
    with pytest.raises(WorkloadError, match=r"cluster.json: client: "):
        GaleraBank("n1", Cluster("galera", {"n1": "127.0.0.1"}, option), TIMEOUT_S, "17")
