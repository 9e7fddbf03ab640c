"""An operator's actions: planned by the seed, begun at their time, told to the history, weighed by the judge."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.run_folder import Action, Faults, evidence_of
from callmaybe.duration import Duration
from callmaybe.operator import await_action, begin_action, end_action, known_actions, plan_actions, read_actions
from callmaybe.project import UserError
from callmaybe.scenario import Operator
from tests.unit.hand_made import read_history
from workloads.clock import RunClock
from workloads.inputs import Action as Told
from workloads.nemesis import Nemesis
from workloads.recorder import Recorder

pytestmark = pytest.mark.unit

NODES = ["n1", "n2", "n3", "n4", "n5"]
CUT = {"name": "cut-1", "from_s": 10.0, "until_s": 40.0}


def test_actions_are_planned_by_their_time_and_numbered_by_their_verb() -> None:
    asked = [
        Operator(do="restart", targets="n1, n2", after="cut-1"),
        Operator(do="promote", targets="n3", at=Duration(20)),
        Operator(do="restart", targets="primary", at=Duration(45)),
    ]
    planned = plan_actions(asked, [CUT], NODES, 7)
    assert [(action["name"], action["at_s"]) for action in planned] == [
        ("promote-1", 20.0),
        ("restart-1", 40.0),
        ("restart-2", 45.0),
    ]
    assert planned[1]["nodes_hit"] == ["n1", "n2"]
    assert planned[1]["title"] == "restart n1 n2"
    assert planned[2]["late"] == {"asked": "primary", "targets": "primary", "seed": 7}
    assert plan_actions(asked, [CUT], NODES, 7) == planned


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Operator(do="restart", after="cut-2"), "operator.0: after: there is no window 'cut-2'; known: cut-1"),
        (Operator(do="restart", at=Duration(1), targets="n9"), "operator.0: target 'n9' is unknown"),
    ],
)
def test_an_action_that_cannot_be_is_refused(action: Operator, said: str) -> None:
    with pytest.raises(UserError, match=said):
        plan_actions([action], [CUT], NODES, 7)


def test_an_operator_does_not_install_or_wipe_in_the_middle_of_a_run() -> None:
    assert {"kill", "start", "stop"} <= set(known_actions("redis"))
    assert not {"wipe", "install", "teardown", "main", "ready"} & set(known_actions("redis"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that began a second ago, driven by this very process."""
    actions: list[dict[str, Any]] = [
        {"name": "promote-1", "verb": "promote", "title": "promote n3", "at_s": 1.5, "nodes_hit": ["n3"]},
        {"name": "restart-1", "verb": "restart", "title": "restart holder", "at_s": 0.0}
        | {"late": {"asked": "holder", "targets": "holder", "seed": 7}},
    ]
    told = {"t0_ns": time.time_ns() - 10**9, "windows": [], "actions": actions}
    (tmp_path / "faults.json").write_text(json.dumps(told))
    (tmp_path / "scenario.yml").write_text(yaml.safe_dump({"nodes": NODES}))
    drive(tmp_path, "main", [])
    return tmp_path


def drive(folder: Path, phase: str, holders: list[str]) -> None:
    (folder / "progress.json").write_text(json.dumps({"pid": os.getpid(), "phase": phase, "holders": holders}))


def test_it_waits_for_its_time_as_long_as_the_clients_work(folder: Path) -> None:
    began = time.monotonic()
    assert await_action(folder, "promote-1")
    assert 0.2 < time.monotonic() - began < 5
    drive(folder, "recovery", [])
    assert await_action(folder, "promote-1"), "an action at the end of the last window is due in the recovery"
    drive(folder, "final", [])
    assert not await_action(folder, "promote-1")


def test_what_was_done_is_noted_with_whom_it_was_for(folder: Path) -> None:
    assert begin_action(folder, "promote-1", []) == ["n3"]
    drive(folder, "main", ["n4"])
    assert begin_action(folder, "restart-1", []) == ["n4"]
    end_action(folder, "promote-1", None)
    end_action(folder, "restart-1", "n4 did not start")
    told = read_actions(folder)
    assert told["promote-1"]["ended_ns"] >= told["promote-1"]["began_ns"]
    assert told["restart-1"] | {"title": "restart n4", "failed": "n4 did not start"} == told["restart-1"]
    assert told["restart-1"]["late_s"] >= 1.0


def test_an_action_for_nobody_says_so(folder: Path) -> None:
    with pytest.raises(UserError, match="restart-1"):
        begin_action(folder, "restart-1", [])


def test_the_history_tells_of_it_and_the_run_waits_for_its_end(folder: Path) -> None:
    recorder = Recorder(folder / "history.jsonl", RunClock(time.time_ns()))
    nemesis = Nemesis(folder, [], recorder, [Told("promote-1", "promote n3", 1.5)])
    assert nemesis.unfinished() == "the operator to promote-1"
    begin_action(folder, "promote-1", [])
    nemesis.look()
    assert nemesis.unfinished() == "the operator to promote-1"
    end_action(folder, "promote-1", None)
    nemesis.look()
    nemesis.look()
    assert nemesis.unfinished() is None
    recorder.close()
    events = read_history(folder).nemesis
    assert [(event.f, event.value["title"]) for event in events] == [("act", "promote n3"), ("acted", "promote n3")]


@pytest.mark.parametrize(
    ("action", "doubts", "warnings"),
    [
        (Action("promote-1", "promote n3", began_ns=1, ended_ns=2), [], []),
        (Action("promote-1", "promote n3"), ["promote-1 (promote n3) was never done"], []),
        (
            Action("promote-1", "promote n3", began_ns=1, ended_ns=2, failed="no standby"),
            ["promote-1 (promote n3) failed: no standby"],
            [],
        ),
        (
            Action("promote-1", "promote n3", began_ns=1, ended_ns=2, late_s=7.25),
            [],
            ["promote-1 (promote n3) began 7.2 s later than asked for"],
        ),
    ],
)
def test_what_was_not_done_is_a_doubt(action: Action, doubts: list[str], warnings: list[str]) -> None:
    evidence = evidence_of(Faults(actions=[action]), [])
    assert (evidence.doubts, evidence.warnings) == (doubts, warnings)
