"""The reference: it tries every order that agrees with real time. Slow, simple, and apart from the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.linear.model import Call, Model, Reading
from analysis.linear.model import Operation as Meaning

if TYPE_CHECKING:
    from analysis.history import Operation as Event


def judge(events: list[Event], model: Model, reading: Reading) -> bool:
    """Tries every order that agrees with real time; crashed calls may be left out."""
    parts: dict[Any, list[tuple[int, int, bool, Meaning]]] = {}
    open_calls: dict[int, Event] = {}
    ends: dict[int, Event] = {}
    for event in events:
        if event.type == "invoke":
            open_calls[event.process] = event
        else:
            ends[open_calls.pop(event.process).index] = event
    for event in events:
        if event.type != "invoke":
            continue
        end = ends.get(event.index)
        outcome = end.type if end else "info"
        key, argument, answer = None, event.value, end.value if outcome == "ok" else None
        if model.keyed:
            key, argument, answer = event.value[0], event.value[1], answer and answer[1]
        meaning = model.operation(Call(event.process, event.f, argument, answer, outcome), reading)
        if meaning:
            crashed = outcome == "info"
            call = (event.index, 10**9 if crashed else end.index, crashed, meaning)
            parts.setdefault(key, []).append(call)
    return all(_any_order(calls, model.start(reading.initial), model) for calls in parts.values())


def _any_order(calls: list[tuple[int, int, bool, Meaning]], state: Any, model: Model) -> bool:
    if all(crashed for _, _, crashed, _ in calls):
        return True
    first_return = min(returned for _, returned, _, _ in calls)
    for place, (invoked, _, _, meaning) in enumerate(calls):
        if invoked < first_return:
            after = model.step(state, *meaning)
            if after is not None and _any_order(calls[:place] + calls[place + 1 :], after, model):
                return True
    return False
