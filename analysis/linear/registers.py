"""Registers: one value, one value with compare-and-set, several values, a key's string."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, ClassVar, Final

from analysis.linear.effects import ASKED, ASKED_READ, CAS, NOT, READ, WRITE
from analysis.linear.model import UNKNOWN, Call, Effect, Model, Operation, Reading, frozen, pair, text, thawed

if TYPE_CHECKING:
    from collections.abc import Sequence

Held = tuple[Any]
"""A register's state: its value, wrapped, since a value may be None."""

FAILED_CAS = "failed cas"


class Register(Model):
    """One value: `read`, `write`."""

    name = "register"
    owned: ClassVar[bool] = False
    functions: ClassVar[frozenset[str] | None] = frozenset({"read", "write"})
    answers: ClassVar[frozenset[str] | None] = frozenset({"read"})
    blind: ClassVar[frozenset[str]] = frozenset({"write"})

    def start(self, initial: Any) -> Held:  # noqa: ANN401
        """Returns the state that holds the initial value."""
        return (frozen(initial),)

    def operation(self, call: Call, reading: Reading) -> Operation | None:
        """Returns what a call means; a nil read as `reading` has it."""
        operation = super().operation(call, reading)
        if operation is None or operation.f not in self.reads:
            return operation
        result = operation.result
        if result is None:
            if reading.nil_read == "wildcard":
                return None
            result = frozen(reading.initial)
        return Operation(operation.f, None, result)  # what a read was asked with says nothing

    def effect(self, operation: Operation) -> Effect:
        """Returns what a read, a write or a cas does."""
        f, argument, result = operation
        if f == "read":
            return Effect(READ, (result,))
        return Effect(WRITE, after=(argument,)) if f == "write" else Effect(ASKED)

    def step(self, state: Held, f: str, argument: Any, result: Any) -> Held | None:  # noqa: ANN401
        """Reads or writes the value."""
        if f == "read":
            return state if state[0] == result else None
        return (argument,)

    def show(self, state: Held) -> Any:  # noqa: ANN401
        """Returns the value."""
        return thawed(state[0])

    def refuse(self, state: Held, operation: Operation) -> str:
        """Says it as the series does."""
        f, argument, result = operation
        if f == "cas":
            return f"can't CAS {text(state[0])} from {text(argument[0])} to {text(argument[1])}"
        if f == FAILED_CAS:
            return f"CAS from {text(argument[0])} to {text(argument[1])} can't fail on {text(state[0])}"
        return f"can't read {text(result)} from register {text(state[0])}"


class CasRegister(Register):
    """One value: `read`, `write`, and `cas` of [old, new]."""

    name = "cas-register"
    functions: ClassVar[frozenset[str] | None] = frozenset({"read", "write", "cas"})

    def operation(self, call: Call, reading: Reading) -> Operation | None:
        """Returns what a call means; a failed cas as `reading` has it."""
        if call.f != "cas":
            return super().operation(call, reading)
        argument = pair(call.argument, "the old and the new value of a cas")
        if call.outcome == "fail":
            return Operation(FAILED_CAS, argument, None) if reading.failed_cas == "evidence" else None
        return Operation("cas", argument, None)

    def effect(self, operation: Operation) -> Effect:
        """Returns what a read, a write or a cas does; one from a value to itself is like a read."""
        f, argument, _ = operation
        if f == FAILED_CAS:
            return Effect(NOT, (argument[0],))
        if f != "cas":
            return super().effect(operation)
        before, after = (argument[0],), (argument[1],)
        return Effect(READ, before) if before == after else Effect(CAS, before, after)

    def step(self, state: Held, f: str, argument: Any, result: Any) -> Held | None:  # noqa: ANN401
        """Reads, writes, or compares and sets the value."""
        if f == "cas":
            return (argument[1],) if state[0] == argument[0] else None
        if f == FAILED_CAS:
            return state if state[0] != argument[0] else None
        return super().step(state, f, argument, result)


class MultiRegister(Model):
    """Several values: `txn` of [["read", key, value], ["write", key, value], ...], all at once."""

    name = "multi-register"
    owned: ClassVar[bool] = False
    initial: ClassVar[Any] = {}
    functions: ClassVar[frozenset[str] | None] = frozenset({"txn"})
    reads: ClassVar[frozenset[str]] = frozenset()

    def start(self, initial: Any) -> frozenset[tuple[Any, Any]]:  # noqa: ANN401
        """Returns the state that holds a map of initial values; a key that is absent holds nil."""
        return frozenset((key, frozen(value)) for key, value in (initial or {}).items())

    def operation(self, call: Call, reading: Reading) -> Operation | None:
        """Returns the steps that say something: writes, and reads with an answer."""
        steps = call.answer if call.outcome == "ok" else call.argument
        if not isinstance(steps, list | tuple) or not all(isinstance(s, list | tuple) and len(s) == 3 for s in steps):
            raise ValueError(f"expected a txn as a list of [read or write, key, value], found {steps!r}")
        if call.outcome == "fail":
            return None
        told = [self._told(step, call.outcome, reading) for step in steps]
        said = tuple(step for step in told if step)
        return Operation("txn", said, None) if said else None

    def effect(self, operation: Operation) -> Effect:
        """Returns whether it only reads."""
        return Effect(ASKED_READ if all(kind == "read" for kind, _, _ in operation.argument) else ASKED)

    def observes(self, operation: Operation) -> bool:
        """Whether it reads."""
        return any(kind == "read" for kind, _, _ in operation.argument)

    @staticmethod
    def _told(step: Any, outcome: str, reading: Reading) -> tuple[str, Any, Any] | None:  # noqa: ANN401
        f, key, value = (frozen(item) for item in step)
        if f in ("write", "w"):
            return "write", key, value
        if f not in ("read", "r"):
            raise ValueError(f"expected read or write in a txn, found {f!r}")
        if outcome != "ok" or (value is None and reading.nil_read == "wildcard"):
            return None
        return "read", key, frozen((reading.initial or {}).get(key)) if value is None else value

    def step(self, state: frozenset[tuple[Any, Any]], f: str, argument: Any, result: Any) -> Any:  # noqa: ANN401, ARG002
        """Does the steps one after the other."""
        held = dict(state)
        for kind, key, value in argument:
            if kind == "write":
                held[key] = value
            elif held.get(key) != value:
                return None
        return frozenset(held.items())

    def show(self, state: frozenset[tuple[Any, Any]]) -> Any:  # noqa: ANN401
        """Returns the values by key."""
        return {str(key): thawed(value) for key, value in sorted(state, key=repr)}


class KeyValue(Register):
    """A store of strings: `get`, `put`, `append`, each of [key, value]; also `read` and `write`."""

    name = "kv"
    initial: ClassVar[Any] = ""
    functions: ClassVar[frozenset[str] | None] = frozenset({"get", "put", "append", "read", "write"})
    reads: ClassVar[frozenset[str]] = frozenset({"read", "get"})
    answers: ClassVar[frozenset[str] | None] = frozenset({"read", "get"})
    blind: ClassVar[frozenset[str]] = frozenset({"write", "append"})
    keyed: ClassVar[bool] = True

    def operation(self, call: Call, reading: Reading) -> Operation | None:
        """Returns what a call means, with one name a function."""
        operation = super().operation(call, reading)
        if operation is None:
            return None
        f, argument, result = operation
        if f == "append" and not isinstance(argument, str | tuple):
            raise ValueError(f"expected a string or a list to append, found {call.argument!r}")
        return Operation({"get": "read", "put": "write"}.get(f, f), argument, result)

    def step(self, state: Held, f: str, argument: Any, result: Any) -> Held | None:  # noqa: ANN401
        """Gets, puts or appends."""
        if f != "append":
            return super().step(state, f, argument, result)
        held = state[0]
        if held is None:
            return (argument,)
        return (held + argument,) if isinstance(held, type(argument)) else None

    def narrowed(self, operations: Sequence[Operation]) -> Model:
        """Returns a store that forgets what no read can see any more; itself where values are not all strings."""
        given = [operation.argument for operation in operations if operation.f != "read"]
        results = {operation.result for operation in operations if operation.f == "read"}
        if not all(isinstance(value, str) for value in given):
            return self
        return _Forgetful(sorted(result for result in results if isinstance(result, str)))


class _Forgetful(KeyValue):
    """A store of which a string that is the beginning of nothing that was ever read is like any other such string.

    Whatever is appended to it, nobody reads it. So no more states are met than the answers have beginnings.
    """

    _FORGOTTEN: Final[Held] = (UNKNOWN,)

    def __init__(self, answers: list[str]) -> None:
        self._answers = answers  # ascending: those that begin with a string stand where it would

    def effect(self, operation: Operation) -> Effect:
        """Returns what it does; what is written may be forgotten at once."""
        effect = super().effect(operation)
        return effect._replace(after=self._kept(effect.after)) if effect.code == WRITE else effect

    def step(self, state: Held, f: str, argument: Any, result: Any) -> Held | None:  # noqa: ANN401
        """Gets, puts or appends."""
        if f == "append" and state is self._FORGOTTEN:
            return state
        after = super().step(state, f, argument, result)
        return after if after is None or f == "read" else self._kept(after)

    def _kept(self, state: Held) -> Held:
        value = state[0]
        place = bisect_left(self._answers, value)
        seen = place < len(self._answers) and self._answers[place].startswith(value)
        return state if seen else self._FORGOTTEN
