"""Kafka: each client learns of the topic's leader from its own node's broker, and appends to the topic's one partition.

All writes ask for acks=all: the leader answers once all copies that it counts as in sync have the record. Nothing is
sent twice (no retries, no idempotent producer), and one record at a time.
"""

import logging
import time
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors

from workloads.clients.base import Client, NotAppliedError, Value
from workloads.inputs import Cluster, parse_options

logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what goes wrong stands in the history

POLL_MS = 200
NO_LEADER = -1
CERTAIN = (kafka_errors.NotEnoughReplicasError, kafka_errors.MessageSizeTooLargeError)
"""What a broker says only before it appends: too few copies are in sync, or the record is too large.

NotEnoughReplicasAfterAppend and RequestTimedOut come after: the record is in the leader's log, and may stay there.
NotLeaderForPartition may: a broker that is deposed says it of records whose copies it waited for (KAFKA-13574).
"""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client of Kafka must know of the cluster.

    Attributes:
        topic: the topic, which has one partition.
        release: the brokers', for the protocol that they speak.
    """

    port: Annotated[int, msgspec.Meta(gt=0, lt=65536)] = 9092
    topic: str = "jepsen"
    release: str = "0.8.0"


class KafkaSet(Client):
    """A set as a log: what was added is what can be read from its begin to its end."""

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._options = parse_options(cluster.client, Options)
        self._partition = TopicPartition(self._options.topic, 0)
        self._producer: KafkaProducer | None = None

    def open(self) -> None:
        """Makes a producer, if there is none, and has it know the partition's leader."""
        if not self._producer:
            self._producer = KafkaProducer(
                **self._common(self.node),
                acks="all",
                retries=0,
                enable_idempotence=False,
                max_in_flight_requests_per_connection=1,
                max_block_ms=self._timeout_ms,
                delivery_timeout_ms=self._timeout_ms,
            )
        self._producer.partitions_for(self._options.topic)

    def invoke(self, f: str, value: Value) -> Value:
        """Appends an element, or reads all of this run, which the leader has."""
        if f == "read":
            return self._read()
        assert self._producer, "open comes first"  # noqa: S101  (the order is complete()'s, not the user's)
        record = f"{self.run} {value}".encode()
        try:
            appended = self._producer.send(self._options.topic, record, partition=0)
        except kafka_errors.KafkaTimeoutError as error:  # it never learned whom to send it to
            raise NotAppliedError from error
        try:
            appended.get(timeout=self.timeout_s)
        except CERTAIN as error:
            self.close()  # who leads now, the next one asks its own node
            raise NotAppliedError from error
        return value

    def close(self) -> None:
        """Drops the producer with its thread and connections."""
        if self._producer:
            with suppress(Exception):
                self._producer.close(timeout=0)
        self._producer = None

    def recovered(self) -> str | None:
        """Waits until all brokers name the same leader, and that one answers.

        One that was deposed while it was cut off goes on for a moment after the heal, and would answer reads with what
        is no longer there.
        """
        leaders = {node: self._leader_by(node) for node in self.cluster.nodes}
        if len(set(leaders.values())) > 1 or None in leaders.values():
            return f"who leads: {', '.join(f'broker {leader} by {node}' for node, leader in leaders.items())}"
        consumer = self._consumer(self.node)
        try:
            consumer.end_offsets([self._partition])
        finally:
            consumer.close(autocommit=False)
        return None

    def _leader_by(self, node: str) -> int | None:
        """The number of the broker that leads, by the account of a node's own; None for none."""
        consumer = self._consumer(node)
        try:
            consumer.partitions_for_topic(self._options.topic)
            leader: int | None = consumer._client.cluster.leader_for_partition(self._partition)  # noqa: SLF001
        finally:
            consumer.close(autocommit=False)
        return None if leader == NO_LEADER else leader

    def _read(self) -> list[int]:
        """Reads the partition from its begin to the end that it had when asked."""
        deadline = time.monotonic() + self.timeout_s
        prefix = f"{self.run} ".encode()
        found: list[int] = []
        consumer = self._consumer(self.node)
        try:
            end = consumer.end_offsets([self._partition])[self._partition]
            consumer.assign([self._partition])
            consumer.seek_to_beginning(self._partition)
            while consumer.position(self._partition) < end:
                if time.monotonic() > deadline:
                    raise kafka_errors.KafkaTimeoutError(f"only {len(found)} records came in {self.timeout_s:g} s")
                values = [record.value for record in consumer.poll(POLL_MS).get(self._partition, [])]
                found += [int(value[len(prefix) :]) for value in values if value.startswith(prefix)]
        finally:
            consumer.close(autocommit=False)
        return found

    def _consumer(self, node: str) -> KafkaConsumer:
        return KafkaConsumer(
            **self._common(node), group_id=None, enable_auto_commit=False, consumer_timeout_ms=self._timeout_ms
        )

    def _common(self, node: str) -> dict[str, Any]:
        return {
            "bootstrap_servers": [f"{self.cluster.nodes[node]}:{self._options.port}"],
            "api_version": _protocol(self._options.release),
            "allow_auto_create_topics": False,
            "bootstrap_timeout_ms": self._timeout_ms,
            "request_timeout_ms": self._timeout_ms,
            "reconnect_backoff_max_ms": 1000,
            "metadata_max_age_ms": 2000,
        }

    @property
    def _timeout_ms(self) -> int:
        return int(self.timeout_s * 1000)


def _protocol(release: str) -> tuple[int, ...] | None:
    """What the client speaks to a broker of that release; brokers since 0.10 say themselves what they understand."""
    numbers = tuple(int(part) for part in release.split(".")[:3])
    return numbers if numbers < (0, 10) else None
