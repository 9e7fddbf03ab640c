"""Every rule against every order of every call, and against itself on a table."""

import os
import random
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.linear.calls import find_calls
from analysis.linear.rules import conflict_of_calls, conflict_of_table
from analysis.table import OTHER

sys.path.insert(0, str(Path(__file__).parent))
from linear_distinct import KINDS, draw, judge

pytestmark = pytest.mark.unit

HISTORIES = int(os.environ.get("CALLMAYBE_RULES_HISTORIES", "104000"))  # of all kinds together


@pytest.mark.parametrize("kind", KINDS)
def test_the_rule_agrees_with_every_order(kind):
    verdicts = Counter()
    count = HISTORIES // len(KINDS)
    for seed in range(count):
        model, reading, table = draw(kind, random.Random(f"{kind} {seed}"))  # noqa: S311 - the same each time
        found = find_calls(table, model, reading, keyed=False)
        ops = found.operations
        said = conflict_of_calls(model, reading, ops, found.operation, found.invoked, found.returned)
        calls = [
            (ops[number], invoked, returned)
            for number, invoked, returned in zip(
                found.operation.tolist(), found.invoked.tolist(), found.returned.tolist(), strict=True
            )
        ]
        start = model.start(reading.initial)
        of_table = conflict_of_table(model, reading, table)
        assert (of_table is NotImplemented) == (said is NotImplemented), (seed, calls, said, of_table)
        if said is NotImplemented:
            verdicts["none"] += 1
            continue
        truth = judge(model, start, calls)
        assert (said is None) is truth, (seed, reading, calls, said)
        assert (of_table is None) is truth, (seed, reading, calls, of_table)
        verdicts[truth] += 1
        if said is not None:
            assert np.isin(of_table.calls, found.invoked).all()
            for shown in (said.calls, np.searchsorted(found.invoked, of_table.calls)):
                assert len(shown)
                assert (np.diff(shown) > 0).all()
                assert not judge(model, start, [calls[call] for call in shown.tolist()]), (seed, reading, calls, said)
    decided = verdicts[True] + verdicts[False]
    assert decided >= KINDS[kind][4] * count, verdicts
    assert min(verdicts[True], verdicts[False]) > 0.04 * count, verdicts


@pytest.mark.parametrize("kind", ["register", "cas", "fifo", "bag", "stack"])
def test_values_far_apart_are_decided_alike(kind):
    for seed in range(300):
        model, reading, table = draw(kind, random.Random(f"far {kind} {seed}"))  # noqa: S311 - the same each time
        reading = replace(reading, initial=model.initial)
        found = conflict_of_table(model, reading, table)
        scale = np.int64(10**15)
        far = replace(
            table, first=np.where(table.kind == OTHER, table.first, table.first * scale), second=table.second * scale
        )
        alike = conflict_of_table(model, reading, far)
        assert (alike is None, alike is NotImplemented) == (found is None, found is NotImplemented), seed
