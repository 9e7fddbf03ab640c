"""The engine against every order of every operation, and against itself where a history is told otherwise."""

import dataclasses
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from analysis import compiled
from analysis.history import Operation as Event
from analysis.linear import MODELS, Options, check, objects
from analysis.linear.options import find_model, reading_of
from analysis.linear.registers import CasRegister, Register
from analysis.table import table_of

sys.path.insert(0, str(Path(__file__).parent))
from linear_histories import KINDS, draw_history, draw_options
from linear_reference import judge

pytestmark = pytest.mark.unit

HISTORIES = int(os.environ.get("CALLMAYBE_RANDOM_HISTORIES", "208000"))  # of all models together
SOME = HISTORIES // 200  # for each test of another kind


class OwnRegister(Register):
    """The same, and yet a model of somebody's own: the engine may not know it."""


class OwnCasRegister(CasRegister):
    """The same."""


OWN = {"register": OwnRegister, "cas-register": OwnCasRegister}


def drawn(name, seed):
    rng = random.Random(f"{name} {seed}")  # noqa: S311 - the same each time
    options = draw_options(name, rng)
    return options, draw_history(name, options, rng)


def truth_of(options, events):
    model = find_model(options.model)
    return judge(events, model, reading_of(options, model))


def test_every_model_is_tried():
    assert set(KINDS) == set(MODELS)


@pytest.mark.parametrize("name", KINDS)
def test_agrees_with_every_order(name):
    verdicts = Counter()
    for seed in range(HISTORIES // len(KINDS)):
        options, events = drawn(name, seed)
        truth = truth_of(options, events)
        if name in OWN and seed % 2:
            options = dataclasses.replace(options, model=OWN[name]())
        found = check(table_of(events), [], dataclasses.replace(options, explain=seed % 8 == 0))
        assert found["valid"] == truth, (seed, options, events, found)
        verdicts[truth] += 1
    assert min(verdicts[True], verdicts[False]) > 0.08 * HISTORIES / len(KINDS), verdicts


@pytest.mark.parametrize("name", KINDS)
def test_the_search_step_by_step_agrees_with_every_order(name, monkeypatch):
    monkeypatch.setattr(objects, "decide_at_a_stroke", lambda *_: 0)  # as if none were easy
    for seed in range(SOME):
        options, events = drawn(name, f"slow {seed}")
        found = check(table_of(events), [], dataclasses.replace(options, explain=False))
        assert found["valid"] == truth_of(options, events), (seed, options, events, found)


@pytest.mark.parametrize("name", KINDS)
def test_the_plain_search_agrees_with_every_order_and_tells_the_same(name, monkeypatch):
    def plainly():
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["analysis.linear.check"], "_is_plain", lambda _: True)
            return check(table_of(events), [], options)

    compiled.load()  # else both would be plain
    alike = ("prefix_count", "operation", "window_proven") + ("pending", "window") * (name not in OWN)
    for seed in range(5 * SOME):
        options, events = drawn(name, f"plain {seed}")
        found = plainly()
        assert found["valid"] == truth_of(options, events), (seed, options, events, found)
        if seed < SOME and found["valid"] is False:
            one, other = (result["contradiction"] for result in (found, check(table_of(events), [], options)))
            for key in alike:  # registers leave out crashed writes that nobody can have read
                assert one[key] == other[key], (seed, key, options, events)


def merged(histories):
    """Many histories, each on a key of its own, their events one after the other."""
    rows = []
    for key, events in enumerate(histories):
        for event in events:
            value = [key, event.value]
            rows.append(Event(len(rows), len(rows) * 1000, event.process + 100 * key, event.type, event.f, value))
    return table_of(rows)


@pytest.mark.parametrize("easy", [True, False])
@pytest.mark.parametrize("name", ["register", "cas-register"])
def test_keys_in_threads_agree_with_every_order(name, easy, monkeypatch):
    monkeypatch.setattr(objects, "_MANY", 1)
    monkeypatch.setattr(objects, "_PART", 100)
    monkeypatch.setattr(objects, "cores", lambda: 3)
    if not easy:
        monkeypatch.setattr(objects, "decide_at_a_stroke", lambda *_: 0)
    options = Options(name, nil_read="initial", keyed=True)
    histories = [drawn(name, f"thread {seed}")[1] for seed in range(SOME)]
    truths = [truth_of(options, events) for events in histories]
    found = check(merged(histories), [], options)
    assert (found["valid"], found["unknown_key_count"]) == (False, 0)
    assert found["invalid_key_count"] == truths.count(False)
    assert found["invalid_keys"] == [key for key, truth in enumerate(truths) if not truth][:10]


def renamed(event, names):
    def rename(value):
        if isinstance(value, list):
            return [rename(item) for item in value]
        return names.get(value, value) if type(value) is int else value

    return replace(event, value=rename(event.value))


RETOLD = {
    "processes": lambda events: [replace(event, process=event.process * 7 + 3) for event in events],
    "times": lambda events: [replace(event, time=event.time + 10**12) for event in events],
    "values": lambda events: [renamed(event, {1: 71, 2: -5}) for event in events],
}


@pytest.mark.parametrize("how", RETOLD)
@pytest.mark.parametrize("name", ["register", "cas-register", "fifo-queue", "unordered-queue", "stack"])
def test_a_history_that_is_told_otherwise_has_the_same_verdict(name, how):
    for seed in range(SOME):
        options, events = drawn(name, f"retold {seed}")
        options = dataclasses.replace(options, initial=None, explain=False)
        one, other = (check(table_of(told), [], options)["valid"] for told in (events, RETOLD[how](events)))
        assert one is other, (seed, events)


@pytest.mark.parametrize("name", ["register", "cas-register", "set", "counter"])
def test_crashed_reads_say_nothing(name):
    for seed in range(SOME):
        options, events = drawn(name, f"crashed {seed}")
        ended = {event.process: event.type for event in events if event.type != "invoke"}
        last = {event.process: event.index for event in events if event.type == "invoke"}
        gone = {
            process for process, index in last.items()
            if events[index].f == "read" and ended.get(process) in (None, "info")
        }  # fmt: skip
        kept = [e for e in events if not (e.process in gone and e.f == "read" and e.index >= last[e.process])]
        kept = [replace(event, index=index) for index, event in enumerate(kept)]
        if not kept:
            continue  # nobody did anything else
        one, other = (check(table_of(told), [], options)["valid"] for told in (events, kept))
        assert one is other, (seed, events)


def test_keys_apart_are_as_keys_together():
    for seed in range(SOME):
        pair = [drawn("cas-register", f"split {seed} {half}")[1] for half in (0, 1)]
        options = Options(nil_read="initial", keyed=True, explain=False)
        apart = [check(merged([events]), [], options)["valid"] for events in pair]
        assert check(merged(pair), [], options)["valid"] is all(apart)


def test_two_reads_that_change_places_are_found():
    rng = random.Random(7)  # noqa: S311 - the same each time
    for _ in range(50):
        events = []
        for value in range(1, 200):
            for f, answer in (("write", value), ("read", value)):
                events += [(0, "invoke", f, answer if f == "write" else None), (0, "ok", f, answer)]
        rows = [Event(index, index * 1000, *event) for index, event in enumerate(events)]
        assert check(table_of(rows), [], Options("register"))["valid"] is True
        one, other = (4 * place + 3 for place in rng.sample(range(199), 2))
        rows[one], rows[other] = (
            replace(rows[one], value=rows[other].value),
            replace(rows[other], value=rows[one].value),
        )
        result = check(table_of(rows), [], Options("register"))
        assert result["valid"] is False
        assert result["contradiction"]["operation"]["returned_line"] == min(one, other) + 1
