"""Whatever way an object is decided, by search or by rule, alone or among many, the verdict is the same."""

import os
import random
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from analysis.history import Operation as Event
from analysis.linear import Options, check, objects
from analysis.linear.calls import find_calls
from analysis.linear.decide import Decision
from analysis.linear.model import Reading
from analysis.table import table_of

sys.path.insert(0, str(Path(__file__).parent))
from linear_distinct import KINDS, draw_events, judge

pytestmark = pytest.mark.unit

CHECK = sys.modules["analysis.linear.check"]  # the name is the function's as well
HISTORIES = int(os.environ.get("CALLMAYBE_PATH_HISTORIES", "6500"))  # of all kinds together
NO_RULE = lambda *_: NotImplemented  # noqa: E731 - as the rules are called
GAVE_UP = Decision(None, None, 0, np.zeros((0, 1), np.int64), "it gave up")


def search_alone(patch):
    patch.setattr(CHECK, "conflict_of_table", NO_RULE)
    patch.setattr(CHECK, "conflict_of_calls", NO_RULE)


def search_step_by_step(patch):
    search_alone(patch)
    patch.setattr(objects, "decide_at_a_stroke", lambda *_: 0)  # as if none were easy


def rule_of_tables_first(patch):
    patch.setattr(CHECK, "LARGE", 0)
    patch.setattr(CHECK, "LARGE_QUEUE", 0)


def rule_of_calls_first(patch):
    patch.setattr(objects, "decide_at_a_stroke", lambda *_: 0)
    patch.setattr(objects, "LONG", 0)


def rule_of_calls_where_it_is_crowded(patch):
    patch.setattr(objects, "decide_at_a_stroke", lambda *_: 0)
    patch.setattr(objects, "CROWDED", 0)


def rule_after_the_search_gave_up(patch):
    patch.setattr(objects, "decide_at_a_stroke", lambda *_: 0)
    patch.setattr(objects, "decide", lambda *_: GAVE_UP)


def plain_search(patch):
    patch.setattr(CHECK, "_is_plain", lambda _: True)


def plain_search_that_gives_up(patch):
    plain_search(patch)
    patch.setattr(sys.modules["analysis.linear.plain"], "PATIENCE", 15)


PATHS = (
    plain_search, plain_search_that_gives_up, search_alone, search_step_by_step, rule_of_tables_first,
    rule_of_calls_first, rule_of_calls_where_it_is_crowded, rule_after_the_search_gave_up,
)  # fmt: skip


def drawn(kind, seed):
    return draw_events(kind, random.Random(f"paths {kind} {seed}"))  # noqa: S311 - the same each time


def truth_of(model, reading, table):
    """The verdict of every order."""
    found = find_calls(table, model, reading, keyed=False)
    columns = (found.operation.tolist(), found.invoked.tolist(), found.returned.tolist())
    calls = [(found.operations[number], *when) for number, *when in zip(*columns, strict=True)]
    return judge(model, model.start(reading.initial), calls)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_way_leads_to_the_same_verdict(kind, path, monkeypatch):
    path(monkeypatch)
    verdicts = Counter()
    count = HISTORIES // len(KINDS)
    for seed in range(count):
        model, reading, events = drawn(kind, seed)
        table = table_of(events)
        options = Options(model, reading.initial, reading.nil_read, reading.failed_cas, keyed=False)
        truth = truth_of(model, reading, table)
        result = check(table, [], options)
        verdicts[result["valid"]] += 1
        if result["valid"] != "unknown" or path is not rule_after_the_search_gave_up:
            assert result["valid"] is truth, (seed, options, result)
        if truth is False and result["valid"] is False and path is not rule_after_the_search_gave_up:
            assert result["contradiction"]["operation"] in result["contradiction"]["window"]
    assert min(verdicts[True], verdicts[False]) > 0.04 * count, verdicts


@cache
def keyed(kind):
    """Many histories that are to be read alike, each on a key of its own, and the keys that are contradictory."""
    rows, bad = [], []
    for seed in range(HISTORIES // 10):
        model, reading, events = drawn(kind, seed)
        if reading != Reading("initial", "none", model.initial):
            continue
        for event in events:
            process, value = event.process + 1000 * seed, [seed, event.value]
            rows.append(Event(len(rows), len(rows), process, event.type, event.f, value))
        if not truth_of(model, reading, table_of(events)):
            bad.append(seed)
    return table_of(rows), Options(model, nil_read="initial", keyed=True), bad


@pytest.mark.parametrize("path", PATHS[:-1])
@pytest.mark.parametrize("kind", ["register", "cas", "fifo", "bag", "stack", "set", "mutex", "counter"])
def test_keys_in_threads_have_the_same_verdicts_whatever_the_way(kind, path, monkeypatch):
    path(monkeypatch)
    monkeypatch.setattr(objects, "_MANY", 1)
    monkeypatch.setattr(objects, "_PART", 100)
    monkeypatch.setattr(objects, "cores", lambda: 3)
    table, options, bad = keyed(kind)
    result = check(table, [], options)
    assert len(bad) > 3
    assert (result["invalid_key_count"], result["unknown_key_count"]) == (len(bad), 0)
    assert result["invalid_keys"] == bad[:10]
