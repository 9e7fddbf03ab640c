"""Locks: a mutex, one that its holder may take again, one with fencing tokens, a semaphore."""

from __future__ import annotations

from typing import Any, ClassVar

from analysis.linear.effects import ASKED, CAS
from analysis.linear.model import UNKNOWN, Call, Effect, Model, Operation, Reading, frozen

ACQUIRE, RELEASE = "acquire", "release"


class Mutex(Model):
    """A lock that anybody may release: `acquire`, `release`; what failed says nothing."""

    name = "mutex"
    owned: ClassVar[bool] = False
    initial: ClassVar[Any] = False
    functions: ClassVar[frozenset[str] | None] = frozenset({ACQUIRE, RELEASE})
    answers: ClassVar[frozenset[str] | None] = frozenset()

    def start(self, initial: Any) -> Any:  # noqa: ANN401
        """Returns whether it is held at the start."""
        return bool(initial)

    def operation(self, call: Call, reading: Reading) -> Operation | None:
        """Returns the function alone: what it was asked with says nothing."""
        operation = super().operation(call, reading)
        return operation and operation._replace(argument=None)

    def effect(self, operation: Operation) -> Effect:
        """Returns the change between free and taken."""
        held = operation.f == ACQUIRE
        return Effect(CAS, not held, held)

    def step(self, state: Any, f: str, argument: Any, result: Any) -> Any:  # noqa: ANN401, ARG002
        """Takes it when it is free, frees it when it is taken."""
        held = f == ACQUIRE
        return None if state == held else held

    def show(self, state: Any) -> Any:  # noqa: ANN401
        """Returns `held` or `free`."""
        return "held" if state else "free"


class _OwnedMutex(Mutex):
    """A lock that only its holder releases; the holder is a process."""

    owned: ClassVar[bool] = True
    initial: ClassVar[Any] = None

    def start(self, initial: Any) -> tuple[Any, int]:  # noqa: ANN401
        """Returns the state where a process, or nobody, holds it."""
        return (initial, 0 if initial is None else 1)

    def operation(self, call: Call, reading: Reading) -> Operation | None:
        """Returns the function and the process."""
        operation = super().operation(call, reading)
        return operation and operation._replace(argument=call.process)

    def effect(self, operation: Operation) -> Effect:  # noqa: ARG002
        """Returns that it depends on the holder."""
        return Effect(ASKED)

    def show(self, state: Any) -> Any:  # noqa: ANN401
        """Returns the holder and the count or token."""
        return ["free" if state[0] is None else f"held by {state[0]}", state[1]]


class ReentrantMutex(_OwnedMutex):
    """A lock that its holder may take again, and must then release as often."""

    name = "reentrant-mutex"

    def step(self, state: Any, f: str, argument: Any, result: Any) -> Any:  # noqa: ANN401, ARG002
        """Counts the holder's acquisitions."""
        holder, count = state
        if f == ACQUIRE:
            return (argument, count + 1) if holder in (None, argument) else None
        if holder != argument:
            return None
        return (argument, count - 1) if count > 1 else (None, 0)


class FencedMutex(_OwnedMutex):
    """A lock whose every acquisition answers with a greater token than the one before."""

    name = "fenced-mutex"
    answers: ClassVar[frozenset[str] | None] = frozenset({ACQUIRE})

    def operation(self, call: Call, reading: Reading) -> Operation | None:
        """Returns the function, the process and the token."""
        operation = super().operation(call, reading)
        if operation and operation.f == ACQUIRE and operation.result is not UNKNOWN:
            token = operation.result
            if not isinstance(token, int):
                raise ValueError(f"expected the fencing token of an ok acquire as a whole number, found {token!r}")
        return operation

    def start(self, initial: Any) -> tuple[Any, int]:  # noqa: ANN401
        """Returns the state where nobody holds it and any token is greater than the last."""
        return (initial, -(2**63))

    def step(self, state: Any, f: str, argument: Any, result: Any) -> Any:  # noqa: ANN401
        """Takes it with a greater token; a token that nobody saw is only known to be no smaller."""
        holder, token = state
        if f == RELEASE:
            return (None, token) if holder == argument else None
        if holder is not None:
            return None
        if result is UNKNOWN:
            return (argument, token)
        return (argument, result) if result > token else None


class Semaphore(Model):
    """A number of permits: `acquire` and `release` of one, or of as many as the value says.

    Attributes:
        permits: How many there are.
    """

    name = "semaphore"
    owned: ClassVar[bool] = False
    initial: ClassVar[Any] = 0
    functions: ClassVar[frozenset[str] | None] = frozenset({ACQUIRE, RELEASE})
    answers: ClassVar[frozenset[str] | None] = frozenset()

    def __init__(self, permits: int = 1) -> None:
        self.permits = permits

    def start(self, initial: Any) -> int:  # noqa: ANN401
        """Returns how many permits are taken at the start."""
        return int(initial)

    def operation(self, call: Call, reading: Reading) -> Operation | None:
        """Returns the function and the number of permits."""
        operation = super().operation(call, reading)
        if operation is None:
            return None
        count = 1 if call.argument is None else frozen(call.argument)
        if type(count) is not int or count < 0:
            raise ValueError(f"expected nil or a number of permits, found {call.argument!r}")
        return operation._replace(argument=count)

    def step(self, state: int, f: str, argument: Any, result: Any) -> int | None:  # noqa: ANN401, ARG002
        """Counts the permits that are taken."""
        taken = state + (argument if f == ACQUIRE else -argument)
        return taken if 0 <= taken <= self.permits else None

    def show(self, state: int) -> Any:  # noqa: ANN401
        """Returns how many permits are taken."""
        return f"{state} of {self.permits} taken"
