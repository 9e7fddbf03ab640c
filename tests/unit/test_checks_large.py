"""A million events go through each kind of work without quadratic blow-up; the bound is generous, no measurement."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.checks import CHECKS
from analysis.checks.independent import check_keys
from analysis.table import INT, INVOKE, NIL, OK, OTHER, PAIR, Table

pytestmark = [pytest.mark.unit, pytest.mark.timeout(60)]

CALLS = 500_000


def calls(f: list[str], numbers: Any, kind: Any = INT, objects: list[Any] | None = None, key: Any = None) -> Table:
    """CALLS operations of ten processes, each begun and answered in turn; `kind` is that of the answers."""
    n = 2 * CALLS
    answers = np.arange(1, n, 2)
    kinds, first, pair = np.full(n, NIL, np.uint8), np.zeros(n, np.int64), np.arange(n) ^ 1
    adds = np.isin(np.array(f), ["add", "enqueue"])
    kinds[answers] = kind
    kinds[answers - 1] = np.where(adds, kind, NIL)
    first[answers] = first[answers - 1] = numbers
    second = np.zeros(n, np.int64)
    if key is not None:
        kinds[:], second[:] = PAIR, first
        first = np.repeat(key, 2)
    names = sorted(set(f))
    return Table(
        name="large",
        time=np.arange(n) * 1000,
        process=np.repeat(np.arange(CALLS) % 10, 2),
        type=np.tile(np.array([INVOKE, OK], np.uint8), CALLS),
        f=np.repeat(np.searchsorted(names, f), 2).astype(np.int32),
        f_names=names,
        kind=kinds,
        first=first,
        second=second,
        objects=objects or [],
        node=np.full(n, -1, np.int32),
        node_names=[],
        error=np.full(n, -1, np.int32),
        error_names=[],
        pair=pair,
        line=np.arange(1, n + 1),
    )


def test_set_full_of_many_adds_and_many_reads() -> None:
    """Each read has the hundred elements before it, so every older element is lost; elements x reads is 6 * 10^10."""
    f = ["add", "read"] * (CALLS // 2)
    kinds, numbers, objects = np.full(CALLS, INT), np.arange(CALLS), list[Any]()
    for place in range(1, CALLS, 2):
        objects.append(list(range(max(place - 199, 0), place, 2)))
        kinds[place], numbers[place] = OTHER, len(objects) - 1
    result = CHECKS["set-full"](calls(f, numbers, kinds, objects))
    assert (result["stable_count"], result["lost_count"]) == (100, CALLS // 2 - 100)
    assert result["reason"] == f"{CALLS // 2 - 100:,} of 250,000 elements lost (99.96 %)"


def test_set_full_of_many_adds_and_few_whole_reads() -> None:
    elements = list(range(CALLS - 20))
    kinds, numbers = np.full(CALLS, INT), np.arange(CALLS)
    kinds[-20:], numbers[-20:] = OTHER, 0
    table = calls(["add"] * (CALLS - 20) + ["read"] * 20, numbers, kinds, [elements])
    result = CHECKS["set-full"](table, [])
    assert (result["valid"], result["stable_count"], result["duplicated_count"]) == (True, CALLS - 20, 0)


def test_counter() -> None:
    f = ["add", "read"] * (CALLS // 2)
    numbers = np.where(np.arange(CALLS) % 2, np.arange(CALLS) // 2 + 1, 1)
    numbers[-1] += 1
    result = CHECKS["counter"](calls(f, numbers), [])
    assert (result["valid"], result["error_count"], result["worst_error"]["value"]) == (False, 1, CALLS // 2 + 1)


@pytest.mark.parametrize("far_apart", [1, 10**12])
def test_queues_of_values_close_together_and_far_apart(far_apart: int) -> None:
    f = ["enqueue"] * (CALLS // 2) + ["dequeue"] * (CALLS // 2)
    numbers = np.tile(np.arange(CALLS // 2), 2) * far_apart
    table = calls(f, numbers)
    assert CHECKS["total-queue"](table)["ok_count"] == CALLS // 2
    assert CHECKS["queue"](table)["valid"] is True
    numbers[-1] = numbers[0]
    result = CHECKS["total-queue"](calls(f, numbers))
    assert (result["valid"], result["lost_count"], result["duplicated_count"]) == (False, 1, 1)
    assert CHECKS["queue"](calls(f, numbers))["unexpected_count"] == 1


def test_many_independent_keys() -> None:
    key = np.arange(CALLS) // 100
    result = check_keys(calls(["generate"] * CALLS, np.arange(CALLS), key=key), (), CHECKS["unique-ids"])
    assert (result["valid"], result["key_count"]) == (True, CALLS // 100)


def test_long_fork_of_many_reads_of_one_group() -> None:
    reads = [[["r", key, 1 if key < seen else None] for key in range(4)] for seen in range(5)]
    table = calls(["txn"] * CALLS, np.arange(CALLS) % 5, OTHER, reads)
    table.kind[::2], table.first[::2] = OTHER, 0
    result = CHECKS["long-fork"](table)
    assert (result["valid"], result["read_count"], result["group_count"]) == (True, CALLS, 1)
