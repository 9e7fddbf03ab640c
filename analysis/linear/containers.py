"""What holds many things: a set, queues, a stack, a counter."""

from __future__ import annotations

import sys
from bisect import bisect
from typing import Any, ClassVar, Final

from analysis.linear.effects import READ
from analysis.linear.model import UNKNOWN, Call, Effect, Model, Operation, Reading, TooLargeError, frozen, thawed

MOST_CONTENTS: Final = 20_000
"""Of an unordered queue that may hold this or that: one more dequeue of unknown answer multiplies them."""


class Set(Model):
    """Elements: `add`, `remove`, and `read` of all."""

    name = "set"
    owned: ClassVar[bool] = False
    initial: ClassVar[Any] = []
    functions: ClassVar[frozenset[str] | None] = frozenset({"add", "remove", "read"})
    answers: ClassVar[frozenset[str] | None] = frozenset({"read"})
    blind: ClassVar[frozenset[str]] = frozenset({"add", "remove"})

    def start(self, initial: Any) -> frozenset[Any]:  # noqa: ANN401
        """Returns the state that holds a list of elements."""
        return frozenset(frozen(initial))

    def operation(self, call: Call, reading: Reading) -> Operation | None:
        """Returns what a call means; a nil read as `reading` has it."""
        operation = super().operation(call, reading)
        if operation is None or operation.f != "read":
            return operation
        read = call.answer
        if read is None:
            if reading.nil_read == "wildcard":
                return None
            read = reading.initial
        if not isinstance(read, list | tuple | set | frozenset):
            raise ValueError(f"expected the elements of an ok read as a list, found {read!r}")  # noqa: TRY004 - as all
        return Operation("read", None, frozenset(frozen(list(read))))

    def effect(self, operation: Operation) -> Effect:
        """Returns what a read does."""
        return Effect(READ, operation.result) if operation.f == "read" else super().effect(operation)

    def step(self, state: frozenset[Any], f: str, argument: Any, result: Any) -> Any:  # noqa: ANN401
        """Adds, removes or reads."""
        if f == "read":
            return state if state == result else None
        return state | {argument} if f == "add" else state - {argument}


class FifoQueue(Model):
    """A queue that keeps the order: `enqueue`, `dequeue`; an ok dequeue of nil found it empty."""

    name = "fifo-queue"
    owned: ClassVar[bool] = False
    initial: ClassVar[Any] = []
    functions: ClassVar[frozenset[str] | None] = frozenset({"enqueue", "dequeue"})
    reads: ClassVar[frozenset[str]] = frozenset()
    answers: ClassVar[frozenset[str] | None] = frozenset({"dequeue"})
    blind: ClassVar[frozenset[str]] = frozenset({"enqueue"})

    def start(self, initial: Any) -> Any:  # noqa: ANN401
        """Returns the state that holds a list of elements, the oldest first."""
        return tuple(frozen(initial))

    def operation(self, call: Call, reading: Reading) -> Operation | None:
        """Returns what a call means; what a dequeue was asked with says nothing."""
        operation = super().operation(call, reading)
        return operation._replace(argument=None) if operation and operation.f == "dequeue" else operation

    def step(self, state: Any, f: str, argument: Any, result: Any) -> Any:  # noqa: ANN401
        """Appends, or takes the oldest."""
        if f == "enqueue":
            return (*state, argument)
        if result is UNKNOWN:
            return state[1:]
        if result is None:
            return None if state else state
        return state[1:] if state and state[0] == result else None


class Stack(Model):
    """The newest comes first: `push`, `pop`; an ok pop of nil found it empty."""

    name = "stack"
    owned: ClassVar[bool] = False
    initial: ClassVar[Any] = []
    functions: ClassVar[frozenset[str] | None] = frozenset({"push", "pop"})
    reads: ClassVar[frozenset[str]] = frozenset()
    answers: ClassVar[frozenset[str] | None] = frozenset({"pop"})
    blind: ClassVar[frozenset[str]] = frozenset({"push"})

    def start(self, initial: Any) -> Any:  # noqa: ANN401
        """Returns the state that holds a list of elements, the newest last."""
        return tuple(frozen(initial))

    def operation(self, call: Call, reading: Reading) -> Operation | None:
        """Returns what a call means; what a pop was asked with says nothing."""
        operation = super().operation(call, reading)
        return operation._replace(argument=None) if operation and operation.f == "pop" else operation

    def step(self, state: Any, f: str, argument: Any, result: Any) -> Any:  # noqa: ANN401
        """Puts on top, or takes from there."""
        if f == "push":
            return (*state, argument)
        if result is UNKNOWN:
            return state[:-1]
        if result is None:
            return None if state else state
        return state[:-1] if state and state[-1] == result else None


class UnorderedQueue(FifoQueue):
    """A queue that keeps no order.

    A dequeue whose answer nobody saw took any element: the state is the set of all contents that are possible.
    """

    name = "unordered-queue"

    def start(self, initial: Any) -> frozenset[Any]:  # noqa: ANN401
        """Returns the state that holds a list of elements."""
        return frozenset({tuple(sorted(frozen(initial), key=repr))})

    def step(self, state: frozenset[Any], f: str, argument: Any, result: Any) -> Any:  # noqa: ANN401
        """Puts in, or takes out."""
        if f == "enqueue":
            return frozenset(_put(held, argument) for held in state)
        if f == "dequeue" and result is None:
            return frozenset({()}) if () in state else None
        after: set[tuple[Any, ...]] = set()
        for held in state:
            after.update(
                held[:place] + held[place + 1 :]
                for place, element in enumerate(held)
                if result is UNKNOWN or element == result
            )
            if len(after) > MOST_CONTENTS:
                raise TooLargeError(f"the queue may hold any of more than {MOST_CONTENTS:,} contents")
        return frozenset(after) or (state if result is UNKNOWN else None)

    def weight(self, state: frozenset[Any]) -> int:
        """Returns about how many bytes a state holds; all contents have the same length."""
        return super().weight(state) + len(state) * sys.getsizeof(next(iter(state)))

    def show(self, state: frozenset[Any]) -> Any:  # noqa: ANN401
        """Returns the elements; where several contents are possible, each."""
        contents = [thawed(held) for held in sorted(state, key=repr)]
        return contents[0] if len(contents) == 1 else {"one of": contents}


def _put(held: tuple[Any, ...], element: Any) -> tuple[Any, ...]:  # noqa: ANN401
    place = bisect(held, repr(element), key=repr)
    return (*held[:place], element, *held[place:])


class Counter(Model):
    """A number: `add` (or `increment`, `decrement`; of one where the value is nil) and `read`."""

    name = "counter"
    owned: ClassVar[bool] = False
    initial: ClassVar[Any] = 0
    functions: ClassVar[frozenset[str] | None] = frozenset({"add", "increment", "decrement", "read"})
    answers: ClassVar[frozenset[str] | None] = frozenset({"read"})
    blind: ClassVar[frozenset[str]] = frozenset({"add", "increment", "decrement"})

    def start(self, initial: Any) -> int:  # noqa: ANN401
        """Returns the initial number."""
        return int(initial)

    def operation(self, call: Call, reading: Reading) -> Operation | None:
        """Returns what a call means, all changes as `add`."""
        operation = super().operation(call, reading)
        if operation is None or operation.f == "read":
            if operation and operation.result is None:
                wild = reading.nil_read == "wildcard"
                return None if wild else Operation("read", None, int(reading.initial))
            return operation and operation._replace(argument=None)
        amount = 1 if call.argument is None else call.argument
        if type(amount) is not int:
            raise ValueError(f"expected a whole number to {call.f}, found {call.argument!r}")
        return Operation("add", -amount if call.f == "decrement" else amount, None)

    def effect(self, operation: Operation) -> Effect:
        """Returns what a read does."""
        return Effect(READ, operation.result) if operation.f == "read" else super().effect(operation)

    def step(self, state: int, f: str, argument: Any, result: Any) -> int | None:  # noqa: ANN401
        """Adds or reads."""
        if f == "read":
            return state if state == result else None
        return state + int(argument)
