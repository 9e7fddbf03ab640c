"""The engine against every order of every operation."""

import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from analysis.linear import MODELS, check
from analysis.linear.options import find_model, reading_of
from analysis.table import table_of

sys.path.insert(0, str(Path(__file__).parent))
from linear_histories import KINDS, draw_history, draw_options, judge

pytestmark = pytest.mark.unit

HISTORIES = int(os.environ.get("CALLMAYBE_RANDOM_HISTORIES", "24000"))  # of all models together


def test_every_model_is_tried():
    assert set(KINDS) == set(MODELS)


@pytest.mark.parametrize("name", KINDS)
def test_agrees_with_every_order(name):
    verdicts = Counter()
    for seed in range(HISTORIES // len(KINDS)):
        rng = random.Random(f"{name} {seed}")  # noqa: S311 - the same each time
        options = draw_options(name, rng)
        events = draw_history(name, options, rng)
        model = find_model(options.model)
        truth = judge(events, model, reading_of(options, model))
        found = check(table_of(events), [], options)
        assert found["valid"] is truth, (seed, options, events, found)
        verdicts[truth] += 1
    assert min(verdicts[True], verdicts[False]) > 0.08 * HISTORIES / len(KINDS), verdicts
