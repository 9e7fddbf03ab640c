"""Which client drives a workload against a database."""

from workloads.clients.base import Client
from workloads.clients.consul import ConsulRegister
from workloads.clients.elasticsearch import ElasticsearchSet
from workloads.clients.etcd import EtcdRegister, EtcdSet
from workloads.clients.galera import GaleraBank, GaleraSet, GaleraWriteSkew
from workloads.clients.kafka import KafkaSet
from workloads.clients.noop import NoopRegister, NoopSet
from workloads.clients.postgresql import PostgresqlSet
from workloads.clients.rabbitmq import RabbitmqMutex, RabbitmqQueue
from workloads.clients.redis import RedisSet
from workloads.clients.zookeeper import ZookeeperList, ZookeeperRegister
from workloads.errors import WorkloadError
from workloads.generators import WORKLOADS

CLIENTS: dict[str, dict[str, type[Client]]] = {
    "consul": {"register": ConsulRegister},
    "elasticsearch": {"set": ElasticsearchSet, "set-copies": ElasticsearchSet},
    "etcd": {"register": EtcdRegister, "set": EtcdSet},
    "galera": {"bank": GaleraBank, "set": GaleraSet, "write-skew": GaleraWriteSkew},
    "kafka": {"set": KafkaSet},
    "noop": {"register": NoopRegister, "set": NoopSet},
    "postgresql": {"set": PostgresqlSet},
    "rabbitmq": {"mutex": RabbitmqMutex, "queue": RabbitmqQueue},
    "redis": {"set": RedisSet},
    "zookeeper": {"list-cas": ZookeeperList, "register": ZookeeperRegister},
}
"""Database: workload: the client that drives it."""


def find_client(database: str, workload: str) -> type[Client]:
    """Returns the client that drives a workload against a database.

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
    return clients[workload]
