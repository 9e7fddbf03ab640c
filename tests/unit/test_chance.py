"""What chance does to packets, by its statistics over many draws with a fixed seed."""

import itertools
import math
import random
import statistics
from pathlib import Path

import pytest

from jepsen_modules.module_utils.jepsen_chance import BACKLOG_BYTES, Link, chances, delays, gilbert_elliott, table

# ruff: noqa: S311
pytestmark = pytest.mark.unit

N = 60_000
TABLES = [
    folder for folder in map(Path, ("/usr/lib/x86_64-linux-gnu/tc", "/usr/lib/tc", "/usr/share/tc")) if folder.is_dir()
]


@pytest.mark.parametrize("name", ["normal", "pareto", "paretonormal"])
def test_distributions_are_those_of_iproute2(name):
    files = [folder / f"{name}.dist" for folder in TABLES if (folder / f"{name}.dist").exists()]
    if not files:
        pytest.skip("needs iproute2's tables")
    lines = files[0].read_text().splitlines()
    theirs = sorted(int(word) / 8192 for line in lines if not line.startswith("#") for word in line.split())
    ours = table(name)
    assert len(ours) == len(theirs)
    assert ours == sorted(ours)
    assert statistics.mean(ours) == pytest.approx(statistics.mean(theirs), abs=0.002)
    assert statistics.pstdev(ours) == pytest.approx(statistics.pstdev(theirs), abs=0.005)
    inner = slice(100, -100)
    assert max(abs(a - b) for a, b in zip(ours[inner], theirs[inner], strict=True)) < 0.05


@pytest.mark.parametrize("name", ["uniform", "normal", "pareto", "paretonormal"])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_a_correlation_leaves_mean_and_spread_as_they_are(name, correlation):
    draw = delays(random.Random(1), 50e6, 10e6, name, correlation)
    drawn = [draw() / 1e6 for _ in range(N)]
    wanted = [50 + 10 * value for value in table(name)]
    assert statistics.mean(drawn) == pytest.approx(statistics.mean(wanted), rel=0.02)
    assert statistics.pstdev(drawn) == pytest.approx(statistics.pstdev(wanted), rel=0.06)
    assert statistics.correlation(drawn[:-1], drawn[1:]) == pytest.approx(
        correlation, abs=0.12
    )  # that of skewed ones is less


def test_a_delay_is_never_negative():
    draw = delays(random.Random(1), 1e6, 10e6, "normal", 0.0)
    assert min(draw() for _ in range(1000)) == 0


@pytest.mark.parametrize("correlation", [0.0, 0.75])
def test_the_share_of_losses_stays_with_a_correlation(correlation):
    draw = chances(random.Random(2), 0.2, correlation)
    lost = [draw() for _ in range(N)]
    assert sum(lost) / N == pytest.approx(0.2, abs=0.02)
    again = sum(a and b for a, b in itertools.pairwise(lost)) / sum(lost)
    assert again == pytest.approx(correlation + (1 - correlation) * 0.2, abs=0.02)


def test_gilbert_and_elliott():
    to_bad, to_good, passes_bad, passes_good = 0.05, 0.25, 0.2, 0.99
    draw = gilbert_elliott(random.Random(3), (to_bad, to_good, passes_bad, passes_good))
    bad = to_bad / (to_bad + to_good)
    wanted = bad * (1 - passes_bad) + (1 - bad) * (1 - passes_good)
    assert sum(draw() for _ in range(N)) / N == pytest.approx(wanted, abs=0.015)
    never_good_again = gilbert_elliott(random.Random(3), (1.0, 0.0, 0.0, 1.0))
    assert all(never_good_again() for _ in range(100))
    always_good = gilbert_elliott(random.Random(3), (0.0, 1.0, 0.0, 1.0))
    assert not any(always_good() for _ in range(100))


def test_a_rate_lets_packets_leave_one_after_the_other_and_keeps_so_many():
    link = Link({"rate_kbit": 8000}, random.Random(4))
    assert [link.leaves_ns(0, 1000), link.leaves_ns(0, 1000)] == [1_000_000, 2_000_000]
    assert link.leaves_ns(10_000_000, 1000) == 11_000_000
    kept = 0
    while link.leaves_ns(10_000_000, 1000) is not None:
        kept += 1
    assert kept == math.floor(BACKLOG_BYTES / 1000)
