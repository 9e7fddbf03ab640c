"""Small random histories of every model."""

from __future__ import annotations

import random  # noqa: TC003 - of the signatures
from dataclasses import dataclass
from typing import Any

from analysis.history import Operation as Event
from analysis.linear.model import Call, Model, Reading
from analysis.linear.options import Options, find_model, reading_of

MOST_CALLS = 7


@dataclass(frozen=True)
class Kind:
    """What to ask of a model, and what it may be answered."""

    asks: tuple[tuple[str, Any], ...]
    answers: dict[str, tuple[Any, ...]]
    initials: tuple[Any, ...] = (None,)


VALUES = (None, 0, 1, 2)
CELLS = [[], [1], [2], [1, 2], [2, 1], [1, 1], None]
KINDS = {
    "register": Kind((("read", None), ("write", 1), ("write", 2), ("write", 0)), {"read": VALUES}, (None, 0)),
    "cas-register": Kind(
        (("read", None), ("write", 1), ("write", 2), ("cas", [1, 2]), ("cas", [0, 1]), ("cas", [2, 2])),
        {"read": VALUES},
        (None, 0),
    ),
    "multi-register": Kind(
        (
            ("txn", [["read", "x", None]]),
            ("txn", [["write", "x", 1], ["read", "y", None]]),
            ("txn", [["read", "x", None], ["write", "y", 2]]),
            ("txn", [["w", "x", 2], ["w", "y", 1]]),
            ("txn", [["r", "x", None], ["r", "y", None]]),
        ),
        {"txn": VALUES},
        ({"x": 0, "y": 0}, {}),
    ),
    "kv": Kind(
        (("get", None), ("put", "a"), ("append", "b"), ("append", "c"), ("read", None), ("write", "b")),
        {"get": ("", "a", "b", "ab", "ac", "bc", "abc", None), "read": ("", "a", "b", "ab", None)},
    ),
    "mutex": Kind((("acquire", None), ("release", None)), {}, (False, True)),
    "reentrant-mutex": Kind((("acquire", None), ("release", None)), {}),
    "fenced-mutex": Kind((("acquire", None), ("release", None)), {"acquire": (1, 2, 3, 4)}),
    "semaphore": Kind((("acquire", None), ("release", None)), {}),
    "set": Kind((("add", 1), ("add", 2), ("remove", 1), ("read", None)), {"read": CELLS}),
    "fifo-queue": Kind((("enqueue", 1), ("enqueue", 2), ("dequeue", None)), {"dequeue": (None, 1, 2)}, ([], [2])),
    "unordered-queue": Kind((("enqueue", 1), ("enqueue", 2), ("dequeue", None)), {"dequeue": (None, 1, 2)}, ([], [2])),
    "stack": Kind((("push", 1), ("push", 2), ("pop", None)), {"pop": (None, 1, 2)}, ([], [2])),
    "counter": Kind(
        (("add", 1), ("increment", None), ("decrement", 2), ("read", None)), {"read": (None, -2, -1, 0, 1, 2, 3)}
    ),
}


def draw_options(name: str, rng: random.Random) -> Options:
    nil_read, failed_cas = rng.choice((None, "wildcard", "initial")), rng.choice(("none", "evidence"))
    return Options(name, rng.choice(KINDS[name].initials), nil_read, failed_cas)


def draw_history(name: str, options: Options, rng: random.Random) -> list[Event]:
    """A history whose answers are mostly those that an object would have given, and sometimes anything."""
    kind, model = KINDS[name], find_model(options.model)
    reading = reading_of(options, model)
    keys = ("k", "l") if model.keyed else (None,)
    states = {key: model.start(reading.initial) for key in keys}
    events: list[Event] = []
    free, pending, calls = [0, 1, 2], {}, 0
    wanted, wrong = rng.randint(2, MOST_CALLS), rng.choice((0.0, 0.3, 0.6))

    def record(process: int, outcome: str, f: str, key: Any, value: Any) -> None:
        value = value if key is None else [key, value]
        events.append(Event(len(events), len(events) * 1000, process, outcome, f, value))

    while pending or (free and calls < wanted):
        if calls < wanted and free and (not pending or rng.random() < 0.6):
            process = free.pop(rng.randrange(len(free)))
            f, argument = rng.choice(kind.asks)
            pending[process] = [f, argument, rng.choice(keys), None]
            record(process, "invoke", f, pending[process][2], argument)
            calls += 1
            continue
        process = rng.choice(list(pending))
        f, argument, key, taken = pending[process]
        if taken is None:
            pending[process][3] = _take(model, kind, reading, states, (process, f, argument, key), rng, wrong)
            continue
        del pending[process]
        outcome, answer = taken
        if outcome == "never":
            continue  # the history stops before its end, as a log may
        free.append(process + 10 if outcome == "info" else process)
        record(process, outcome, f, key, answer if outcome == "ok" else argument)
    return events


def _take(  # noqa: PLR0917 - all that the object needs
    model: Model, kind: Kind, reading: Reading, states: dict[Any, Any], asked: Any, rng: Any, wrong: float
):
    """Lets the object do what it is asked; returns how that ends and what is answered."""
    process, f, argument, key = asked
    outcome = rng.choices(("ok", "info", "fail", "never"), (80, 9, 9, 2))[0]
    if outcome == "fail" or (outcome != "ok" and rng.random() < 0.5):
        return outcome, None
    answers = list(kind.answers.get(f, (argument,)))
    rng.shuffle(answers)
    answers = [_filled(argument, answers, rng) for _ in answers] if f == "txn" else answers
    if rng.random() < wrong:
        return outcome, answers[0]
    for answer in answers:
        meaning = model.operation(Call(process, f, argument, answer, "ok"), reading)
        after = states[key] if meaning is None else model.step(states[key], *meaning)
        if after is not None:
            states[key] = after
            return outcome, answer
    return "fail", None


def _filled(steps: Any, answers: list[Any], rng: Any) -> list[Any]:
    return [[f, key, rng.choice(answers) if f in "read" else value] for f, key, value in steps]
