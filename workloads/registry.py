"""Which client drives a workload against a database."""

from importlib import import_module

from workloads.clients.base import Client
from workloads.errors import WorkloadError
from workloads.generators import WORKLOADS

CLIENTS = {
    "cassandra": {
        "counter": "CassandraCounter",
        "register": "CassandraRegister",
        "row-isolation": "CassandraRows",
        "set": "CassandraSet",
        "set-copies": "CassandraSet",
    },
    "consul": {"register": "ConsulRegister"},
    "elasticsearch": {"set": "ElasticsearchSet", "set-copies": "ElasticsearchSet"},
    "etcd": {"register": "EtcdRegister", "set": "EtcdSet"},
    "galera": {"bank": "GaleraBank", "set": "GaleraSet", "write-skew": "GaleraWriteSkew"},
    "kafka": {"set": "KafkaSet"},
    "noop": {"register": "NoopRegister", "set": "NoopSet"},
    "postgresql": {"set": "PostgresqlSet"},
    "rabbitmq": {"mutex": "RabbitmqMutex", "queue": "RabbitmqQueue"},
    "redis": {"set": "RedisSet"},
    "voltdb": {"register": "VoltdbRegister", "set": "VoltdbSet"},
    "zookeeper": {"list-cas": "ZookeeperList", "register": "ZookeeperRegister"},
}
"""Database: workload: the client that drives it, a class in the module workloads.clients.<database>."""


def find_client(database: str, workload: str) -> type[Client]:
    """Returns the client that drives a workload against a database.

    Only its module is loaded: each brings a library of its own, and some of those start threads when they are loaded.

    Raises:
        WorkloadError: There is no such workload or database, or they do not go together.
    """
    if workload not in WORKLOADS:
        raise WorkloadError(f"there is no workload '{workload}'; known: {', '.join(sorted(WORKLOADS))}")
    if database not in CLIENTS:
        raise WorkloadError(f"there is no client for the database '{database}'; known: {', '.join(sorted(CLIENTS))}")
    clients = CLIENTS[database]
    if workload not in clients:
        known = ", ".join(sorted(clients))
        raise WorkloadError(f"the {database} client cannot drive the workload '{workload}'; it can drive: {known}")
    found: type[Client] = getattr(import_module(f"workloads.clients.{database}"), clients[workload])
    return found
