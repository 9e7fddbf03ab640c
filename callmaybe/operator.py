"""An operator's actions: a verb of the database's role on some nodes, at a time or when a window has ended.

Planned with the windows; done by Ansible while the clients work. actions.json keeps what became of each.
"""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from callmaybe.duration import Duration
from callmaybe.fault import LATE_WORDS
from callmaybe.project import ROLES, UserError
from callmaybe.run_files import driving, holders, read_json, write_json
from callmaybe.scenario import Operator
from callmaybe.timeline import Window
from jepsen_modules.module_utils.jepsen_target import TargetError, resolve_targets, split_names

ACTIONS_FILE = "actions.json"
NOT_IN_A_RUN = {"main", "install", "configure", "wipe", "teardown", "version", "collect", "cluster", "ready", "primary"}
POLL_S = 0.2

Action = dict[str, Any]


def known_actions(database: str) -> list[str]:
    """The verbs of a role that an operator may use in the middle of a run, sorted."""
    return sorted({path.stem for path in (ROLES / database / "tasks").glob("*.yml")} - NOT_IN_A_RUN)


def plan_actions(asked: list[Operator], windows: list[Window], nodes: list[str], seed: int) -> list[Action]:
    """Makes an operator's actions, by their time.

    Args:
        asked: as the scenario has them, checked already.
        windows: of the same run; an action may wait for the end of one.
        nodes: names of all nodes.
        seed: of the draw of targets.

    Returns:
        `name`, `verb`, `title`, `at_s`, and `nodes_hit`; or `late`, if whom it is for is known only at its time.

    Raises:
        UserError: it waits for a window that there is not, or its targets are unknown.
    """
    ends = {window["name"]: window["until_s"] for window in windows}
    counts: Counter[str] = Counter()
    actions = []
    for number, action in enumerate(asked):
        counts[action.do] += 1
        if action.after is not None and action.after not in ends:
            known = ", ".join(ends) or "none"
            raise UserError(f"operator.{number}: after: there is no window '{action.after}'; known: {known}")
        at_s = ends[action.after] if action.after is not None else float(action.at or Duration(0))
        whom = _whom(action, number, nodes, seed)
        actions.append({"name": f"{action.do}-{counts[action.do]}", "verb": action.do, "at_s": at_s, **whom})
    return sorted(actions, key=lambda action: action["at_s"])


def _whom(action: Operator, number: int, nodes: list[str], seed: int) -> Action:
    late = [word for word in _words(action.targets) if word in LATE_WORDS and word not in nodes]
    if late:
        return {"title": f"{action.do} {late[0]}", "late": {"asked": late[0], "targets": action.targets, "seed": seed}}
    try:
        hit = resolve_targets(action.targets, nodes, None, None, seed)
    except TargetError as error:
        raise UserError(f"operator.{number}: {error}") from None
    return {"title": f"{action.do} {' '.join(hit)}", "nodes_hit": hit}


def _words(targets: str | int | list[str]) -> list[str]:
    return [] if isinstance(targets, int) else split_names(targets)


def await_action(folder: Path, name: str) -> bool:
    """Waits until an action is due.

    Returns:
        Whether it is still to be done: not if the clients have ended before.
    """
    faults = read_json(folder / "faults.json")
    due_ns = faults["t0_ns"] + _action(faults, name)["at_s"] * 1e9
    began = time.monotonic()
    while driving(folder, began, ("main", "recovery")):
        if time.time_ns() >= due_ns:
            return True
        time.sleep(POLL_S)
    return False


def begin_action(folder: Path, name: str, primaries: list[str]) -> list[str]:
    """Notes that an action begins now.

    Args:
        folder: the run's.
        name: of the action.
        primaries: the nodes that say that they are, if somebody had to ask.

    Returns:
        The nodes that it is for.

    Raises:
        UserError: it is for nobody.
    """
    faults = read_json(folder / "faults.json")
    action, now_ns = _action(faults, name), time.time_ns()
    nodes = action.get("nodes_hit")
    if nodes is None:
        plan = yaml.safe_load((folder / "scenario.yml").read_text(encoding="utf-8"))
        late = action["late"]
        whom = holders(folder) if late["asked"] == "holder" else primaries
        targets = [whom[0] if word == "holder" and whom else word for word in _words(late["targets"])]
        try:
            nodes = resolve_targets(targets, plan["nodes"], None, whom, late["seed"])
        except TargetError as error:
            raise UserError(f"{name}: {error}") from None
    late_s = max(0.0, (now_ns - faults["t0_ns"]) / 1e9 - action["at_s"])
    title = f"{action['verb']} {' '.join(nodes)}"
    _note(folder, name, {"title": title, "nodes_hit": nodes, "began_ns": now_ns, "late_s": round(late_s, 3)})
    return nodes


def end_action(folder: Path, name: str, failed: str | None) -> None:
    """Notes that an action has ended, or why it could not be done."""
    _note(folder, name, {"ended_ns": time.time_ns(), **({"failed": failed} if failed else {})})


def read_actions(folder: Path) -> dict[str, Action]:
    """Reads actions.json: what became of each action by its name."""
    path = folder / ACTIONS_FILE
    return read_json(path) if path.exists() else {}


def _note(folder: Path, name: str, what: Action) -> None:
    told = read_actions(folder)
    told[name] = told.get(name, {}) | what
    write_json(folder / ACTIONS_FILE, told)


def _action(faults: dict[str, Any], name: str) -> Action:
    action: Action = next(action for action in faults["actions"] if action["name"] == name)
    return action
