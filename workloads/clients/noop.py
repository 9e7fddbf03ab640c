"""Clients of nothing: every operation is ok at once. They measure what the recorder and the scheduler cost."""

from workloads.clients.base import Client, Value


class NoopRegister(Client):
    """Answers a write with its own value and a read with null: it was never written."""

    def open(self) -> None:
        """Has nothing to connect to."""

    def invoke(self, f: str, value: Value) -> Value:  # noqa: ARG002  (the interface)
        """Returns the value, which is null for a read."""
        return value

    def close(self) -> None:
        """Has nothing to drop."""

    def recovered(self) -> None:
        """Has nothing to wait for."""


class NoopSet(NoopRegister):
    """Answers an add with its own value and a read with the empty set."""

    def invoke(self, f: str, value: Value) -> Value:
        """Returns the value, or no elements."""
        return [] if f == "read" else value
