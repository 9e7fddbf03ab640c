"""`callmaybe faults`: the timeline as text, as JSON and as SVG, the one that a run with this seed has."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from callmaybe import expand as expand_module
from callmaybe.commands.faults import faults
from callmaybe.expand import expand
from callmaybe.scenario import known_scenarios

pytestmark = pytest.mark.unit

SCENARIO = """\
title: a test
database: etcd
workload: {name: set, duration: 60s, rate: 40}
faults:
  - {at: 10s, for: 20s, fault: partition}
  - {at: 20s, for: 20s, fault: slow, targets: n1}
  - {at: 50s, for: 5s, fault: kill, targets: primaries}
checkers: [lost-writes]
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner(catch_exceptions=False).invoke(faults, [str(argument) for argument in arguments])


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yml"
    path.write_text(SCENARIO)
    return path


def test_a_row_a_window_with_bar_seconds_and_targets(mine: Path) -> None:
    done = run(mine, "--seed", "7")
    assert done.exit_code == 0
    heading, axis, *rows = done.output.splitlines()
    assert heading == "mine   seed 7   n1..n5   60 s, 3 windows"
    assert axis.split()[0] == "0"
    said = [re.fullmatch(r"(\S+) +([━?]+) +(\S+ s)  (.*)", row) for row in rows[:3]]
    assert [(found[1], found[3], found[4]) for found in said if found] == [
        ("cut-1", "10..30 s", "n1 n2 | n3 n4 n5"),
        ("slow-1", "20..40 s", "n1: 50 ms +- 10 ms"),
        ("kill-1", "50..55 s", "primaries"),
    ]
    assert rows[0].index("━") < rows[1].index("━") < rows[2].index("?")
    assert rows[0].count("━") == rows[1].count("━") > 3 * rows[2].count("?")
    assert rows[3].startswith("? late: kill-1: ")
    assert rows[4].endswith("--seed 7")


@pytest.mark.parametrize("name", known_scenarios())
def test_it_shows_what_a_run_with_this_seed_gets(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand_module, "STORE", tmp_path)
    told = json.loads(run(name, "--seed", "7", "--json").output)
    plan = expand_module.yaml.safe_load((expand(name, 7, told["nodes"]) / "scenario.yml").read_text())
    assert told["windows"] == plan["windows"]
    assert told["duration_s"] == plan["workload"]["duration_s"]


def test_without_a_seed_it_says_which_it_drew(mine: Path) -> None:
    told = json.loads(run(mine, "--json").output)
    again = json.loads(run(mine, "--json", "--seed", told["seed"]).output)
    assert told == again


def test_the_picture_stands_alone_and_escapes_what_it_is_told(mine: Path, tmp_path: Path) -> None:
    path = tmp_path / "<&>.svg"
    mine.write_text(SCENARIO.replace("targets: n1", "targets: 'n<1>'"))
    assert run(mine, "--seed", "7", "--svg", path, "--nodes", "n<1>,n2").exit_code == 0
    first = path.read_bytes()
    root = ET.fromstring(first.decode())  # noqa: S314 - our own
    bars = [element for element in root if element.tag.endswith("rect")]
    assert [float(bar.attrib["x"]) for bar in bars] == sorted(float(bar.attrib["x"]) for bar in bars)
    assert [bar.attrib["fill"] == "none" for bar in bars] == [False, False, True]
    assert any("n<1>: 50 ms +- 10 ms" in (element.text or "") for element in root)
    run(mine, "--seed", "7", "--svg", path, "--nodes", "n<1>,n2")
    assert path.read_bytes() == first


def test_a_scenario_without_faults_has_an_empty_timeline(mine: Path, tmp_path: Path) -> None:
    mine.write_text(SCENARIO[: SCENARIO.index("faults:")] + SCENARIO[SCENARIO.index("checkers:") :])
    done = run(mine, "--svg", tmp_path / "x.svg")
    assert done.exit_code == 0
    assert "0 windows" in done.output


def test_an_operators_actions_are_told_beside_the_windows(mine: Path) -> None:
    mine.write_text(
        SCENARIO + "operator: [{at: 25s, do: restart, targets: n2}, {after: cut-1, do: kill, targets: n3}]\n"
    )
    assert run(mine).output.splitlines()[-4:-2] == ["at 25 s an operator: restart n2", "at 30 s an operator: kill n3"]
    actions = json.loads(run(mine, "--json").output)["actions"]
    assert [(action["verb"], action["nodes_hit"]) for action in actions] == [("restart", ["n2"]), ("kill", ["n3"])]
