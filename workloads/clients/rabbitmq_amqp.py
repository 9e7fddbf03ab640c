"""AMQP 0-9-1 as far as the workloads need it: a connection with one channel, on which every call is bounded.

pika's own blocking connection waits for a confirmation for ever. Here each call runs pika's event loop until the
answer, the end of the connection or the time-out comes, so nothing needs a thread to interrupt it.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pika
from pika import spec
from pika.adapters.select_connection import IOLoop
from pika.exceptions import ConnectionClosedByClient

from workloads.clients.base import NotAppliedError

ABORT_S = 1.0  # for the end of a connection that was dropped
PERSISTENT = 2  # delivery mode: also on disk

logging.getLogger("pika").setLevel(logging.CRITICAL)  # what goes wrong stands in the history


class AmqpTimeoutError(Exception):
    """No answer came in time."""


class NackedError(Exception):
    """The server could not take a message; a part of the cluster may have it all the same."""


class Message(NamedTuple):
    """A message that was taken from a queue; it goes back there unless it is acknowledged."""

    tag: int
    body: bytes


class Amqp:
    """A connection to one node, with a channel on which messages are confirmed. Any error ends its use but close()."""

    def __init__(self, address: str, port: int, timeout_s: float) -> None:
        """Connects.

        Raises:
            AmqpTimeoutError: There was no connection in time.
            AMQPError: There is none.
        """
        self._timeout_s = timeout_s
        self._loop = IOLoop()
        self._answer: Any = None
        self._is_answered = False
        self._is_returned = False
        self._end: Exception | None = None
        parameters = pika.ConnectionParameters(
            host=address,
            port=port,
            connection_attempts=1,
            heartbeat=0,  # none: a client that holds a lock has nothing to say meanwhile
            socket_timeout=timeout_s,
            stack_timeout=timeout_s,
        )
        self._connection = pika.SelectConnection(
            parameters,
            on_open_callback=self._answered,
            on_open_error_callback=self._ended,
            on_close_callback=self._ended,
            custom_ioloop=self._loop,
        )
        try:
            self._call("the connection", lambda: None)
            self._channel = self._call("the channel", lambda: self._connection.channel(on_open_callback=self._answered))
            self._channel.add_on_close_callback(self._ended)
            self._channel.add_on_return_callback(self._returned)
            self._channel.add_callback(self._answered, [spec.Basic.GetEmpty], one_shot=False)
            self._call(
                "confirmations", lambda: self._channel.confirm_delivery(self._confirmed, callback=self._answered)
            )
        except BaseException:
            self.close()
            raise

    def is_usable(self) -> bool:
        """Returns whether the connection still stands, as far as has been heard."""
        if not self._end:
            self._loop.call_later(0, self._loop.stop)
            self._loop.start()
        return not self._end

    def declare(self, queue: str, arguments: dict[str, Any], *, passive: bool = False) -> None:
        """Makes a durable queue, or, if passive, only asks for it."""
        self._call(
            f"the queue {queue}",
            lambda: self._channel.queue_declare(
                queue, durable=True, passive=passive, arguments=arguments, callback=self._answered
            ),
        )

    def publish(self, queue: str, body: bytes) -> None:
        """Puts a message into a queue and waits until the server has confirmed it.

        Raises:
            NotAppliedError: There is no such queue.
            NackedError: The server did not take it, as far as it knows.
            AmqpTimeoutError: It was not confirmed in time.
            AMQPError: The connection ended meanwhile.
        """
        self._is_returned = False
        properties = pika.BasicProperties(delivery_mode=PERSISTENT)
        ask = partial(self._channel.basic_publish, "", queue, body, properties, mandatory=True)
        answer = self._call("the confirmation", ask)
        if isinstance(answer.method, spec.Basic.Nack):
            raise NackedError("the message was not taken")
        if self._is_returned:
            raise NotAppliedError("unroutable: no queue took the message")

    def get(self, queue: str) -> Message | None:
        """Takes the first message of a queue; None if it is empty."""
        answer = self._call("the message", lambda: self._channel.basic_get(queue, callback=self._got))
        return answer if isinstance(answer, Message) else None

    def acknowledge(self, message: Message) -> None:
        """Lets the server forget this message and all that were taken before it."""
        self._channel.basic_ack(message.tag, multiple=True)
        self._flush()

    def give_back(self, message: Message) -> None:
        """Puts a message back where it was taken from."""
        self._channel.basic_reject(message.tag, requeue=True)
        self._flush()

    def close(self) -> None:
        """Drops the connection without a word; what was taken and not acknowledged goes back."""
        if not self._connection.is_closed:
            # pika's public close() waits for the server's farewell, for ever.
            self._connection._terminate_stream(ConnectionClosedByClient(200, "dropped"))  # noqa: SLF001
            self._run(ABORT_S, lambda: self._connection.is_closed)
        self._loop.close()

    def _flush(self) -> None:
        """Waits until the server has come to what was sent before: it works on a channel in order."""
        self._call("the channel", lambda: self._channel.basic_qos(callback=self._answered))

    def _call(self, what: str, ask: Callable[[], object]) -> Any:  # noqa: ANN401  (what a callback got)
        """Asks, and returns what the answer's callback was called with."""
        self._is_answered = False
        if self._end:
            raise self._end
        ask()
        self._run(self._timeout_s, lambda: self._is_answered)
        if self._is_answered:
            return self._answer
        raise self._end or AmqpTimeoutError(f"{what} took more than {self._timeout_s:g} s")

    def _run(self, bound_s: float, is_done: Callable[[], bool]) -> None:
        """Runs the event loop until it is done, the connection has ended, or the time is over."""
        timer = self._loop.call_later(bound_s, self._loop.stop)
        if not is_done():
            self._loop.start()
        self._loop.remove_timeout(timer)

    def _answered(self, answer: object) -> None:
        self._answer = answer
        self._is_answered = True
        self._loop.stop()

    def _confirmed(self, answer: object) -> None:
        self._answered(answer)

    def _got(self, _channel: object, method: Any, _properties: object, body: bytes) -> None:  # noqa: ANN401  (pika's)
        self._answered(Message(method.delivery_tag, body))

    def _returned(self, *_message: object) -> None:
        self._is_returned = True

    def _ended(self, _what: object, why: Exception) -> None:
        self._end = self._end or innermost(why)
        self._loop.stop()


def innermost(error: Exception) -> Exception:
    """Returns what went wrong in the first place: pika wraps it several times, and says nothing of it in the end."""
    within = [*getattr(error, "exceptions", []), getattr(error, "exception", None), *error.args]
    return next((innermost(inner) for inner in within if isinstance(inner, Exception)), error)
