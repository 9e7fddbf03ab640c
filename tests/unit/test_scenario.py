"""Scenario files: what is read, and which line and key a mistake is blamed on."""

from pathlib import Path

import pytest

from callmaybe.duration import Duration
from callmaybe.project import UserError
from callmaybe.scenario import find_scenario, known_scenarios, load_scenario

pytestmark = pytest.mark.unit

GOOD = """\
title: a test
database: redis
workload:
  name: set
  duration: 50s
  rate: 40
faults:
  - {at: 10s, for: 30s, fault: partition, topology: halves}
checkers: [lost-writes]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yml"
    path.write_text(text)
    return path


def test_reads_durations_and_defaults(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path, GOOD))
    assert scenario.workload.duration == 50.0
    assert scenario.faults[0].duration == 30.0
    assert scenario.workload.timeout == 5.0
    assert scenario.variant == "default"
    assert scenario.provision is True


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("30s", 30.0), ("1.5m", 90.0), ("2h", 7200.0), ("7 s", 7.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "about"),
    [
        ("rate: 40", "rate: fast", 6, "workload.rate", "expected `float`"),
        ("rate: 40", "rate: 0", 6, "workload.rate", "above 0"),
        ("rate: 40", "rate: .nan", 6, "workload.rate", "above 0"),
        ("rate: 40", "rate: .inf", 6, "workload.rate", "above 0"),
        ("rate: 40", "rate: 40\n  rate: 50", 7, "rate", "is there twice; the first is in line 6"),
        ("at: 10s", "at: 10s, at: 12s", 8, "at", "is there twice; the first is in line 8"),
        ("rate: 40", "raet: 40", 6, "workload.raet", "unknown field"),
        ("duration: 50s", "duration: 50", 5, "workload.duration", "with its unit"),
        ("  rate: 40\n", "", 3, "workload", "missing required field `rate`"),
        (
            "checkers:",
            "operator: [{do: restart}]\ncheckers:",
            9,
            "operator.0",
            "needs `at` a time, or `after` a window",
        ),
        ("checkers:", "operator: [{do: restart, at: 51s}]\ncheckers:", 9, "operator.0.at", "after the workload's 50 s"),
        ("at: 10s", "at: soon", 8, "faults.0.at", "with its unit"),
        ("at: 10s", "at: 1500ms", 8, "faults.0.at", "whole seconds"),
        ("for: 30s", "for: 0.5m, every: 1.5s", 8, "faults.0.every", "whole seconds"),
        ("for: 30s", "for: 45s", 8, "faults.0.for", "after the workload's 50 s"),
        ("fault: partition", "fault: flood", 8, "faults.0.fault", "known: partition"),
        ("topology: halves", "times: 3", 8, "faults.0.times", "needs `every`"),
        ("topology: halves", "direction: in", 8, "faults.0.direction", "unknown field"),
        ("topology: halves", "weight: 2", 8, "faults.0.weight", "belongs into a pattern"),
        ("topology: halves", "ports: [9092]", 8, "faults.0.ports.0", "expected `str`"),
        ("topology: halves", "ports: [tcp/9092]", 8, "faults.0.ports", "such as `tcp 9092`, got `tcp/9092`"),
        ("topology: halves", "ports: [tcp 99999]", 8, "faults.0.ports", "such as `tcp 9092`, got `tcp 99999`"),
        ("topology: halves", "ports: [tcp 0]", 8, "faults.0.ports", "such as `tcp 9092`, got `tcp 0`"),
        ("fault: partition, topology: halves", "topology: halves", 8, "faults.0", "missing required field `fault`"),
        ("at: 10s, ", "", 8, "faults.0", "missing required field `at`"),
        ("fault: partition, topology: halves", "fault: slow, delay_ms: -1", 8, "faults.0.delay_ms", ">= 0"),
        ("fault: partition, topology: halves", "fault: flaky, loss: 101", 8, "faults.0.loss", "<= 100"),
        ("fault: partition, topology: halves", "fault: flaky, loss: 0", 8, "faults.0", "does nothing to packets"),
        (
            "fault: partition, topology: halves",
            "fault: slow, jitter_ms: 60",
            8,
            "faults.0.jitter_ms",
            "more than delay",
        ),
        ("fault: partition, topology: halves", "fault: shape, reorder: 5", 8, "faults.0.reorder", "needs delay_ms"),
        ("fault: partition, topology: halves", "fault: shape", 8, "faults.0", "does nothing to packets"),
        (
            "fault: partition, topology: halves",
            "fault: slow, direction: up",
            8,
            "faults.0.direction",
            "unknown direction 'up'; known: both, in, out",
        ),
        (
            "fault: partition, topology: halves",
            "fault: kill, targets: [1, 2]",
            8,
            "faults.0.targets.0",
            "expected `str`",
        ),
        ("checkers: [lost-writes]", "checkers: []", 9, "checkers", "at least one"),
        ("database: redis\n", "database: redis\ncolour: red\n", 3, "colour", "unknown field"),
    ],
)
def test_a_mistake_names_line_and_key(  # noqa: PLR0917 - one row, one mistake
    tmp_path: Path, old: str, new: str, line: int, key: str, about: str
) -> None:
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(UserError) as caught:
        load_scenario(path)
    assert str(caught.value).startswith(f"{path}:{line}: {key}: ")
    assert about in str(caught.value)


PATTERN = """\
faults:
  pattern:
    every: 10s
    for: 5s
    faults:
      - {fault: kill, targets: one, weight: 2}
      - {fault: slow}
"""


def with_pattern(old: str = "", new: str = "") -> str:
    listed = GOOD[GOOD.index("faults:") : GOOD.index("checkers:")]
    assert old in PATTERN
    return GOOD.replace(listed, PATTERN.replace(old, new))


def test_a_pattern_is_read(tmp_path: Path) -> None:
    pattern = load_scenario(write(tmp_path, with_pattern())).faults.pattern
    assert (pattern.every, pattern.duration, pattern.quiet) == (10, 5, 15)
    assert [fault.weight for fault in pattern.faults] == [2, 1]


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "about"),
    [
        ("for: 5s", "for: 10s", 9, "faults.pattern.every", "longer than `for`"),
        ("every: 10s", "every: 40s", 9, "faults.pattern.every", "no room for one window in the workload's 50 s"),
        ("every: 10s", "every: 2.5s", 9, "faults.pattern.every", "whole seconds"),
        ("every: 10s", "evry: 10s", 9, "faults.pattern.evry", "unknown field"),
        ("weight: 2", "weight: 0", 12, "faults.pattern.faults.0.weight", "> 0"),
        ("weight: 2", "weight: .inf", 12, "faults.pattern.faults.0.weight", "<= 1000000"),
        ("weight: 2", "at: 3s", 12, "faults.pattern.faults.0.at", "the pattern says when"),
        ("weight: 2", "times: 3", 12, "faults.pattern.faults.0.times", "the pattern says when"),
        ("fault: slow", "fault: slwo", 13, "faults.pattern.faults.1.fault", "known: partition, slow, flaky"),
    ],
)
def test_a_mistake_in_a_pattern_names_line_and_key(  # noqa: PLR0917 - one row, one mistake
    tmp_path: Path, old: str, new: str, line: int, key: str, about: str
) -> None:
    path = write(tmp_path, with_pattern(old, new))
    with pytest.raises(UserError) as caught:
        load_scenario(path)
    assert str(caught.value).startswith(f"{path}:{line}: {key}: ")
    assert about in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "just a word", "a: [1", "title: x\n\tdatabase: y", "title: x\x01"])
def test_what_is_no_scenario_at_all_is_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"mine\.yml:\d+: "):
        load_scenario(write(tmp_path, text))


def test_a_date_that_there_is_not_is_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("at: 10s", "at: 2024-13-45"))
    with pytest.raises(UserError, match=r"mine\.yml: a value that looks like a date and is none: month"):
        load_scenario(path)


def test_an_unknown_scenario_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no scenario 'reddis'; known: .*redis-sentinel"):
        find_scenario("reddis")


@pytest.mark.parametrize("name", known_scenarios())
def test_every_scenario_of_the_project_is_read(name: str) -> None:
    assert load_scenario(find_scenario(name)).title
