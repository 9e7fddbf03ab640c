"""A broker that says what a test wants: AMQP's handshake, one queue, and publishes that end in any way."""

import socket
import threading
from collections import deque

from pika import frame, spec

READ_BYTES = 65536


class ScriptedBroker:
    """Serves connections one after the other on a port of the loopback interface, each until it ends.

    Attributes:
        messages: what is in the queue. What is taken and not acknowledged goes back when its connection ends.
        publishing: how the next publishes end, the last one for ever: `ack`, `nack`, `return`, `silence`, `close`,
            `drop`.
        getting: how the next gets end, likewise: `answer`, `silence`, `close`, `drop`.
        is_declared: whether the queue is there.
    """

    def __init__(self) -> None:
        self.messages: deque[bytes] = deque()
        self.publishing = deque(["ack"])
        self.getting = deque(["answer"])
        self.is_declared = True
        self.connection_count = 0
        self._taken: dict[int, bytes] = {}
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def hang_up(self) -> None:
        """Ends the connection that there is."""
        self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stops listening; returns when the last connection has ended."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(timeout=5)
        assert not self._thread.is_alive(), "a client kept its connection"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connection_count += 1
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._talk(connection)
            self.messages.extendleft(reversed(self._taken.values()))
            self._taken.clear()

    def _talk(self, connection: socket.socket) -> None:
        """Answers frame after frame until either side ends the connection."""
        self._connection = connection
        self._tag = 0
        data = b""
        while True:
            try:
                new = connection.recv(READ_BYTES)
            except ConnectionError:
                return
            if not new:
                return
            data += new
            while data:
                consumed, got = frame.decode_frame(data)
                if not consumed:
                    break
                data = data[consumed:]
                if not self._answer(got):
                    return

    def _answer(self, got: object) -> bool:
        """Answers a frame; returns whether the connection goes on."""
        if isinstance(got, frame.ProtocolHeader):
            properties = {"capabilities": {"basic.nack": True, "publisher_confirms": True}}
            self._send(0, spec.Connection.Start(server_properties=properties))
        elif isinstance(got, frame.Body) or (isinstance(got, frame.Header) and not got.body_size):
            self._body = got.fragment if isinstance(got, frame.Body) else b""
            return self._end_publish(self._next(self.publishing))
        elif isinstance(got, frame.Method):
            return self._answer_method(got.channel_number, got.method)
        return True

    def _answer_method(self, channel: int, method: spec.amqp_object.Method) -> bool:
        if isinstance(method, spec.Basic.Get):
            return self._end_get(self._next(self.getting)) if self.is_declared else self._not_found()
        if isinstance(method, spec.Queue.Declare) and not self.is_declared:
            return self._not_found()
        if isinstance(method, spec.Basic.Ack):
            self._taken.clear()
        elif isinstance(method, spec.Basic.Reject):
            self.messages.appendleft(self._taken.pop(method.delivery_tag))
        answers = {
            "Connection.StartOk": spec.Connection.Tune(channel_max=9, frame_max=131072, heartbeat=0),
            "Connection.Open": spec.Connection.OpenOk(),
            "Channel.Open": spec.Channel.OpenOk(),
            "Confirm.Select": spec.Confirm.SelectOk(),
            "Queue.Declare": spec.Queue.DeclareOk("jepsen.1", len(self.messages), 0),
            "Basic.Qos": spec.Basic.QosOk(),
        }
        if method.NAME in answers:
            self._send(channel, answers[method.NAME])
        return True

    def _end_publish(self, how: str) -> bool:
        if how == "return":
            self._send(1, spec.Basic.Return(312, "NO_ROUTE", "", "jepsen.1"))
            self._send_body(self._body)
            how = "ack"
        elif how == "ack":
            self.messages.append(self._body)
        if how in ("ack", "nack"):
            self._tag += 1
            self._send(1, spec.Basic.Ack(self._tag) if how == "ack" else spec.Basic.Nack(self._tag))
        return self._end(how)

    def _end_get(self, how: str) -> bool:
        if how == "answer" and self.messages:
            tag = len(self._taken) + 1
            self._taken[tag] = self.messages.popleft()
            self._send(1, spec.Basic.GetOk(tag, False, "", "jepsen.1", len(self.messages)))  # noqa: FBT003  (AMQP's)
            self._send_body(self._taken[tag])
        elif how == "answer":
            self._send(1, spec.Basic.GetEmpty())
        return self._end(how)

    def _end(self, how: str) -> bool:
        if how == "close":
            self._send(0, spec.Connection.Close(320, "CONNECTION_FORCED - broker forced connection closure", 0, 0))
        return how != "drop"

    def _not_found(self) -> bool:
        self._send(1, spec.Channel.Close(404, "NOT_FOUND - no queue 'jepsen.1' in vhost '/'", 0, 0))
        return True

    def _send_body(self, body: bytes) -> None:
        self._connection.sendall(frame.Header(1, len(body), spec.BasicProperties()).marshal())
        if body:
            self._connection.sendall(frame.Body(1, body).marshal())

    def _send(self, channel: int, method: spec.amqp_object.Method) -> None:
        self._connection.sendall(frame.Method(channel, method).marshal())

    @staticmethod
    def _next(how: deque[str]) -> str:
        return how.popleft() if len(how) > 1 else how[0]
