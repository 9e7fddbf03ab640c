"""RabbitMQ: each client works on one queue through its own node.

What is certain:

- A message that came back as unroutable: no queue took it, and the broker says so before it confirms.
- A connection that could not be made, or whose end was heard before anything was sent.
- A message that could not be taken out: without an acknowledgement it goes back to its queue as soon as its connection
  ends, and the client ends that.

All else may have happened. A nack too: a mirror or a member may have the message. Of a connection that the broker
closed, or that stayed silent, nobody knows what went through.
"""

import time
from typing import Annotated, Literal

import msgspec
from pika.exceptions import AMQPError

from workloads.clients.base import Client, NotAppliedError, Value
from workloads.clients.rabbitmq_amqp import Amqp, AmqpTimeoutError, Message
from workloads.clients.rabbitmq_management import Management
from workloads.inputs import Cluster, parse_options

PREFIX = "jepsen."  # of the queues' names, for the policy that mirrors them
REPLICATED_S = 30.0  # bound on the wait until a new queue is on all nodes
POLL_S = 0.1
DRAIN_MESSAGES = 200  # of one drain
TAKING_ERRORS = (AMQPError, AmqpTimeoutError, OSError)

Port = Annotated[int, msgspec.Meta(gt=0, lt=65536)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client of RabbitMQ must know of the cluster.

    Attributes:
        queue: What the queue is: a classic one, mirrored on all nodes, or a quorum queue with a member on each.
        heals: Whether nodes that were parted come together by themselves, so that it can be waited for.
    """

    port: Port = 5672
    management_port: Port = 15672
    queue: Literal["mirrored", "quorum"] = "mirrored"
    heals: bool = True


class RabbitmqClient(Client):
    """What the clients of all workloads share: the queue, the connection, and when a node has recovered."""

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._queue = f"{PREFIX}{run}"
        self._options = parse_options(cluster.client, Options)
        self._amqp: Amqp | None = None

    def set_up(self) -> None:
        """Declares the queue through this node, which leads it, and waits until it is on all nodes."""
        everywhere = len(self.cluster.nodes)
        quorum = {"x-queue-type": "quorum", "x-quorum-initial-group-size": everywhere}
        with self._management() as management:
            if self._options.queue == "mirrored":
                mirrors = {"ha-mode": "all", "ha-sync-mode": "automatic"}
                management.set_policy("jepsen", f"^{PREFIX.replace('.', '[.]')}", mirrors)
            self.open()
            self._connected.declare(self._queue, quorum if self._options.queue == "quorum" else {})
            deadline = time.monotonic() + REPLICATED_S
            while missing := management.unreplicated(self._queue, everywhere):
                if time.monotonic() > deadline:
                    raise AmqpTimeoutError(f"{missing}, {REPLICATED_S:g} s after it was declared")
                time.sleep(POLL_S)

    def open(self) -> None:
        """Connects, if there is no connection or its end has been heard."""
        if self._amqp and not self._amqp.is_usable():
            self.close()
        if not self._amqp:
            self._amqp = self._connect()

    def close(self) -> None:
        """Drops the connection."""
        if self._amqp:
            self._amqp.close()
        self._amqp = None

    def recovered(self) -> str | None:
        """Waits until the node serves the queue; and, if the cluster heals, until all is as it was before the fault."""
        amqp = self._connect()
        try:
            amqp.declare(self._queue, {}, passive=True)
        finally:
            amqp.close()
        if not self._options.heals:
            return None
        everywhere = len(self.cluster.nodes)
        with self._management() as management:
            return management.parted(everywhere) or management.unreplicated(self._queue, everywhere)

    @property
    def _connected(self) -> Amqp:
        assert self._amqp, "open comes first"  # noqa: S101  (the order is complete()'s, not the user's)
        return self._amqp

    def _connect(self) -> Amqp:
        return Amqp(self.cluster.nodes[self.node], self._options.port, self.timeout_s)

    def _management(self) -> Management:
        return Management(self.cluster.nodes[self.node], self._options.management_port, self.timeout_s)

    def _take(self) -> Message:
        """Takes a message out, without acknowledging it."""
        try:
            message = self._connected.get(self._queue)
        except TAKING_ERRORS as error:
            self.close()
            raise NotAppliedError from error
        if not message:
            raise NotAppliedError("the queue is empty")
        return message


class RabbitmqQueue(RabbitmqClient):
    """A queue of integers."""

    def invoke(self, f: str, value: Value) -> Value:
        """Enqueues a value, dequeues one, or drains some."""
        if f == "enqueue":
            self._connected.publish(self._queue, str(value).encode())
            return value
        if f == "drain":
            return self._drain()
        message = self._take()
        self._acknowledge(message)
        return int(message.body)

    def _drain(self) -> list[int]:
        """Takes out what is there, for as long as one call may take; without an error, nothing means empty."""
        taken: list[Message] = []
        deadline = time.monotonic() + self.timeout_s
        try:
            while len(taken) < DRAIN_MESSAGES and (not taken or time.monotonic() < deadline):
                message = self._connected.get(self._queue)
                if not message:
                    break
                taken.append(message)
        except TAKING_ERRORS as error:
            self.close()
            if not taken:
                raise NotAppliedError from error
        if taken:
            self._acknowledge(taken[-1])
        return [int(message.body) for message in taken]

    def _acknowledge(self, message: Message) -> None:
        """Acknowledges what was taken. It was received, whatever becomes of this: at worst it comes a second time."""
        if not self._amqp:
            return
        try:
            self._amqp.acknowledge(message)
        except TAKING_ERRORS:
            self.close()


class RabbitmqMutex(RabbitmqClient):
    """A lock as in the series: a queue with one message. Whoever took it and has not acknowledged it holds the lock."""

    def __init__(self, node: str, cluster: Cluster, timeout_s: float, run: str) -> None:
        super().__init__(node, cluster, timeout_s, run)
        self._held: Message | None = None

    def set_up(self) -> None:
        """Declares the queue and puts the one message into it."""
        super().set_up()
        self._connected.publish(self._queue, b"")

    def open(self) -> None:
        """Connects, unless it holds the lock: that is up to the connection by which it got it, come what may."""
        if not self._held:
            super().open()

    def invoke(self, f: str, value: Value) -> Value:
        """Acquires the lock, or releases it."""
        if f == "acquire":
            if self._held:
                raise NotAppliedError("the client holds it already")
            self._held = self._take()
        elif not self._held:
            raise NotAppliedError("the client does not hold it")
        else:
            self._release(self._held)
        return value

    def _release(self, message: Message) -> None:
        """Gives the message back, or lets the server do that once the connection ends: the client has let go."""
        self._held = None
        try:
            self._connected.give_back(message)
        except TAKING_ERRORS:
            self.close()
