"""What a model is: an object that does one thing at a time, and says which answers it could have given.

A model of one's own is a small class:

    class Stack(Model):
        name = "stack"

        def step(self, state, f, argument, result):
            if f == "push":
                return (*state, argument)
            return state[:-1] if state and state[-1] == result else None
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from analysis.linear.effects import ASKED, ASKED_READ

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    State = Hashable
    """What the object holds between two operations; never None."""


MOST_LETTERS: Final = 200
"""Of a value in a sentence."""


class TooLargeError(Exception):
    """A state that a search cannot afford: it gives up, and says this."""


class Unknown(Enum):
    """What nobody saw."""

    RESULT = "?"


_PLAIN: Final = frozenset({int, str, float, bool, type(None)})  # most values

UNKNOWN: Final = Unknown.RESULT
"""The result of an operation that nobody saw end."""


@dataclass(frozen=True)
class Reading:
    """How answers are to be understood; each of these has decided verdicts.

    Attributes:
        nil_read: Whether a read that answered nil says nothing (`wildcard`), or that the initial value was there
            (`initial`).
        failed_cas: Whether a compare-and-set that failed says that another value was there (`evidence`), or nothing.
        initial: The initial value.
    """

    nil_read: str
    failed_cas: str
    initial: Any


class Call(NamedTuple):
    """One operation as the history has it: what was asked, what was answered, how it ended."""

    process: int
    f: str
    argument: Any
    answer: Any
    outcome: str  # ok, fail, info


class Operation(NamedTuple):
    """One operation as the model sees it."""

    f: str
    argument: Any
    result: Any


class Effect(NamedTuple):
    """What an operation does; see `analysis.linear.effects` for the codes."""

    code: int
    before: Any = None  # a state
    after: Any = None  # a state


class Model:
    """An object with a state and operations on it.

    Attributes:
        name: As messages and results call it.
        initial: The initial value where nobody gives another.
        functions: The functions that it has; None: any.
        reads: Those that never change the state: without an answer they say nothing.
        answers: Those whose answer matters; None: all.
        blind: Those that are possible in every state, so that a history of them alone tests nothing.
        owned: Whether it matters which process called.
        keyed: Whether every value is a pair of a key and the key's own value: each key is then an object of its own.
    """

    name: ClassVar[str] = "model"
    initial: ClassVar[Any] = None
    functions: ClassVar[frozenset[str] | None] = None
    reads: ClassVar[frozenset[str]] = frozenset({"read"})
    answers: ClassVar[frozenset[str] | None] = None
    blind: ClassVar[frozenset[str]] = frozenset()
    owned: ClassVar[bool] = True
    keyed: ClassVar[bool] = False

    def start(self, initial: Any) -> State:  # noqa: ANN401 - a JSON value
        """Returns the state that holds the initial value."""
        return frozen(initial) if initial is not None else ()

    def operation(self, call: Call, reading: Reading) -> Operation | None:  # noqa: ARG002 - for those that override it
        """Returns what a call means, or None where it says nothing about the object.

        Raises:
            ValueError: If the call has a value that the model cannot understand; says what it expected.
        """
        if call.outcome == "fail" or (call.outcome == "info" and call.f in self.reads):
            return None
        result = None
        if self.answers is None or call.f in self.answers:
            result = frozen(call.answer) if call.outcome == "ok" else UNKNOWN
        return Operation(call.f, frozen(call.argument), result)

    def step(self, state: Any, f: str, argument: Any, result: Any) -> State | None:  # noqa: ANN401 - the model's own
        """Returns the state after an operation; None where the object could not have answered so in that state.

        Raises:
            TooLargeError: If that state is more than a search can afford.
        """
        raise NotImplementedError

    def weight(self, state: Any) -> int:  # noqa: ANN401
        """Returns about how many bytes a state holds, its place in a search included; what it shares is left out."""
        return 150 + sys.getsizeof(state)

    def effect(self, operation: Operation) -> Effect:
        """Returns what an operation does to any state, so far as that can be said in a word."""
        return Effect(ASKED_READ if operation.f in self.reads else ASKED)

    def narrowed(self, operations: Sequence[Operation]) -> Model:  # noqa: ARG002 - for those that override it
        """Returns a model with the same verdicts on these operations, and fewer states: not to be shown to anybody."""
        return self

    def observes(self, operation: Operation) -> bool:
        """Whether an operation that ended says something of the state that it met."""
        return operation.f not in self.blind

    def show(self, state: Any) -> Any:  # noqa: ANN401
        """Returns a state as results print it: a JSON value."""
        return thawed(state)

    def refuse(self, state: Any, operation: Operation) -> str:  # noqa: ANN401
        """Says why an operation is not possible in a state."""
        f, argument, result = operation
        asked = f if argument is None else f"{f} {text(argument)}"
        return f"can't {asked}{'' if result is None else f' -> {text(result)}'} in {text(self.show(state))}"


def frozen(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """Returns a JSON value as one that can be hashed: lists as tuples, maps as sorted tuples of pairs."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, list | tuple):
        return tuple([frozen(item) for item in value])
    if isinstance(value, dict):
        return tuple(sorted(((key, frozen(item)) for key, item in value.items()), key=repr))
    if isinstance(value, set | frozenset):
        return frozenset(frozen(item) for item in value)
    return value


def thawed(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """Returns a frozen value as JSON has it."""
    if isinstance(value, tuple):
        return [thawed(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(map(thawed, value), key=_place)
    return value


def _place(item: Any) -> tuple[str, Any, str]:  # noqa: ANN401 - a JSON value
    """Returns where an element of a set is told: numbers by size, whatever has no order by its text."""
    return str(type(item)), item if type(item) in {int, float, str} else 0, repr(item)


def text(value: Any) -> str:  # noqa: ANN401 - a JSON value
    """Returns a value as the series prints it; the middle of a long one is left out."""
    if type(value) is int:
        return str(value)
    if isinstance(value, frozenset):
        value = thawed(value)
    said = "nil" if value is None else " ".join(map(text, value)) if isinstance(value, tuple) else str(value)
    return said if len(said) <= MOST_LETTERS else f"{said[: MOST_LETTERS // 2]}...{said[-MOST_LETTERS // 2 :]}"


def pair(value: Any, what: str) -> tuple[Any, Any]:  # noqa: ANN401 - a JSON value
    """Returns the two items of a list of two.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"expected {what} as a list of two, found {value!r}")
    return frozen(value[0]), frozen(value[1])
