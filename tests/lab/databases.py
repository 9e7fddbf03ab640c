"""What the lab's tests know of each database: which processes run, which version, how to ask by hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Database:
    """One database as a person at a node's shell sees it.

    Attributes:
        processes: names of the processes that run on every node.
        owner: the user that runs them, where others run programs of the same name.
        version: in Debian 12, or of the default variant.
        port: where clients are told to ask.
        unit: the service that a test may break.
        logs: names of the logs that are collected, besides the journal.
        write: a command that keeps something, on a node that may (on others it says no), and prints `wrote` then.
        read: a command that prints it, and nothing where it is not.
        first_is_primary: whether the first node begins as the primary.
        outlives_pause: whether a server goes on that stood still for so long that the others gave it up.
    """

    processes: frozenset[str]
    version: str
    port: int
    unit: str
    write: str
    read: str
    logs: frozenset[str] = frozenset()
    owner: str = ""
    first_is_primary: bool = False
    outlives_pause: bool = True


# It listens on the node's own address; a node has no curl.
ELASTICSEARCH = (
    "python3 -c 'import sys, urllib.request as u; from urllib.error import HTTPError\n"
    "url, data = sys.argv[1], sys.argv[2:]\n"
    'request = u.Request(url, data[0].encode(), method="PUT") if data else url\n'
    "try: print(u.urlopen(request, timeout=10).read().decode())\n"
    'except HTTPError: pass\' http://$(hostname -I | cut -d" " -f1):9200/jepsen/element/k'
)
# A node has no cqlsh; keeping a keyspace is keeping something.
CASSANDRA = 'python3 /usr/local/lib/jepsen-cassandra/cluster.py $(hostname -I | cut -d" " -f1) 9042 2'
KAFKA = "timeout 30 java -Xmx64m -cp '/opt/jepsen-kafka/lib/*'"
BROKER = "$(sed -n 's/^host.name=//p' /etc/kafka/server.properties):9092 --topic jepsen"
# Likewise; it prints the first row of an answer that has one.
VOLTDB = (
    "python3 -c 'import json, sys, urllib.request as u; from urllib.parse import quote\n"
    'query = "Procedure=@AdHoc&Parameters=" + quote(json.dumps(sys.argv[2:]))\n'
    "answer = json.load(u.urlopen(sys.argv[1] + query, timeout=30))\n"
    'for table in answer["results"][:1]: print(*table["data"][0])\' '
    'http://$(hostname -I | cut -d" " -f1):8080/api/1.0/?'
)
ZOOKEEPER = "timeout 30 /usr/share/zookeeper/bin/zkCli.sh"

DATABASES = {
    "cassandra": Database(
        processes=frozenset({"java"}),
        version="2.0.0",
        port=9042,
        unit="cassandra",
        owner="cassandra",
        write=f"{CASSANDRA} make k 5 | grep -qx made && echo wrote",
        read=f"{CASSANDRA} read k 2>/dev/null | grep -o read=yes",
    ),
    "consul": Database(
        processes=frozenset({"consul"}),
        version="1.8.7",
        port=8500,
        unit="consul",
        write="consul kv put k v >/dev/null && echo wrote",
        read="consul kv get k 2>/dev/null",
    ),
    "elasticsearch": Database(
        processes=frozenset({"java"}),
        version="1.1.0",
        port=9200,
        unit="elasticsearch",
        write=f"{ELASTICSEARCH} '{{\"value\": 1}}' | grep -q created && echo wrote",
        read=f"{ELASTICSEARCH}/_source",
    ),
    "etcd": Database(
        processes=frozenset({"etcd"}),
        version="3.4.23",
        port=2379,
        unit="etcd",
        write="etcdctl put k v >/dev/null && echo wrote",
        read="etcdctl get k --print-value-only",
    ),
    "galera": Database(
        processes=frozenset({"mariadbd"}),
        version="10.11.19",
        port=3306,
        unit="mariadb",
        write="mariadb jepsen -e 'CREATE OR REPLACE TABLE t (v INT KEY); INSERT INTO t VALUES (1)' && echo wrote",
        read="mariadb -N jepsen -e 'SELECT v FROM t' 2>/dev/null",
    ),
    "kafka": Database(
        processes=frozenset({"java"}),
        version="0.8.0",
        port=9092,
        unit="kafka",
        owner="kafka",
        first_is_primary=True,
        write=f"echo v | {KAFKA} kafka.producer.ConsoleProducer --sync --broker-list {BROKER} >/dev/null && echo wrote",
        read=f"{KAFKA} kafka.tools.SimpleConsumerShell --no-wait-at-logend --broker-list {BROKER} | grep -x v",
    ),
    "postgresql": Database(
        processes=frozenset({"postgres"}),
        version="15.20",
        port=5432,
        unit="postgresql@15-main",
        write="psql -h localhost -U jepsen -qc 'CREATE TABLE k AS SELECT 1 AS v' && echo wrote",
        read="psql -h localhost -U jepsen -Atc 'TABLE k'",
        logs=frozenset({"postgresql-15-main.log"}),
        first_is_primary=True,
    ),
    "rabbitmq": Database(
        processes=frozenset({"beam.smp"}),
        version="3.10.8",
        port=5672,
        unit="rabbitmq-server",
        write="rabbitmqctl -q add_vhost v && echo wrote",
        read="rabbitmqctl -q list_vhosts | grep -x v",
        logs=frozenset({"rabbit.log", "rabbitmq-server.log", "rabbitmq-server.error.log"}),
    ),
    "redis": Database(
        processes=frozenset({"redis-server", "redis-sentinel"}),
        version="7.0.15",
        port=6379,
        unit="redis-server",
        write="[ $(redis-cli set k v) = OK ] && echo wrote",
        read="redis-cli get k",
        logs=frozenset({"redis-server.log", "redis-sentinel.log"}),
        first_is_primary=True,
    ),
    "voltdb": Database(
        processes=frozenset({"java"}),
        version="9.3.2",
        port=21212,
        unit="voltdb",
        owner="voltdb",
        outlives_pause=False,
        write=f"{VOLTDB} 'CREATE TABLE k (v BIGINT)' >/dev/null; "  # noqa: S608  (no secret, and nobody's words)
        f"{VOLTDB} 'INSERT INTO k VALUES (7)' | grep -qx 1 && echo wrote",
        read=f"{VOLTDB} 'SELECT v FROM k'",  # noqa: S608  (likewise)
    ),
    "zookeeper": Database(
        processes=frozenset({"java"}),
        version="3.8.0",
        port=2181,
        unit="zookeeper",
        write=f"{ZOOKEEPER} create /k v 2>&1 | grep -q '^Created /k' && echo wrote",
        read=f"{ZOOKEEPER} get /k 2>/dev/null | grep -x v",
    ),
}
