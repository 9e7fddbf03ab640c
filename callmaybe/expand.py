"""Scenario and seed in, one run's plan out: every window and every client, with nothing left to chance."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

from analysis.checkers import CHECKERS
from callmaybe.fault import HOLDER
from callmaybe.operator import Action, known_actions, plan_actions
from callmaybe.project import ROLES, STORE, UserError
from callmaybe.scenario import Scenario, find_scenario, load_scenario
from callmaybe.timeline import TimelineError, Window, expand_timeline
from jepsen_modules.module_utils.jepsen_clients import CLIENTS, NO_NODE
from workloads.errors import WorkloadError
from workloads.registry import find_client


def expand(name: str, seed: int, nodes: list[str], *, provision: bool | None = None) -> Path:
    """Writes the plan of a run into a new folder of the store.

    Args:
        name: a scenario's name, or the path of its file.
        seed: of everything that is drawn: topologies and operations.
        nodes: the inventory names of the cluster, in its order; the first is the primary where roles differ.
        provision: overrides the scenario's own; false where the cluster is already there.

    Returns:
        The run's folder, `store/<scenario>/<UTC time>`, with `scenario.yml` in it.

    Raises:
        UserError: the scenario is wrong, or does not fit these nodes.
    """
    path = find_scenario(name)
    scenario = load_scenario(path)
    check_known(scenario, path)
    check_nodes(nodes)
    windows = make_windows(scenario, path, nodes, seed)
    actions = make_actions(scenario, path, windows, nodes, seed)
    check_primaries(scenario, path, [*windows, *actions])
    plan = {
        "scenario": path.stem,
        "title": scenario.title,
        "seed": seed,
        "nodes": nodes,
        "database": scenario.database,
        "variant": scenario.variant,
        "provision": scenario.provision if provision is None else provision,
        "workload": _workload(scenario, nodes),
        "windows": windows,
        "checkers": scenario.checkers,
    }
    if scenario.operator:
        plan["actions"] = actions
    if scenario.published is not None:
        plan["published"] = msgspec.to_builtins(scenario.published)
    folder = _new_folder(path.stem)
    (folder / "scenario.yml").write_text(yaml.safe_dump(plan, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return folder


def make_windows(scenario: Scenario, path: Path, nodes: list[str], seed: int) -> list[Window]:
    """Every window of a scenario's timeline, in the order of its start.

    Raises:
        UserError: a fault does not fit these nodes.
    """
    try:
        return expand_timeline(scenario.faults, nodes, seed, scenario.workload.duration)
    except TimelineError as error:
        raise UserError(f"{path}: {error}") from None


def make_actions(scenario: Scenario, path: Path, windows: list[Window], nodes: list[str], seed: int) -> list[Action]:
    """What an operator does in a scenario, in the order of time.

    Raises:
        UserError: an action does not fit these nodes or windows.
    """
    try:
        return plan_actions(scenario.operator, windows, nodes, seed)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def known_databases() -> list[str]:
    """The databases that have a role, sorted."""
    return sorted(path.parent.name for path in ROLES.glob("*/variants"))


def known_variants(database: str) -> list[str]:
    """The variants of a database's role, sorted."""
    return sorted(path.stem for path in (ROLES / database / "variants").glob("*.yml"))


def check_nodes(nodes: list[str]) -> None:
    """Raises UserError unless the nodes can be a cluster."""
    if len(nodes) < 2:
        raise UserError(
            f"a cluster has at least two nodes; the inventory gives {len(nodes)}: {' '.join(nodes) or 'none'}"
        )
    if CLIENTS in nodes:
        raise UserError(NO_NODE)


def check_known(scenario: Scenario, path: Path) -> None:
    """Raises UserError if the scenario asks for a database, a variant, a checker or a workload that there is not."""
    questions = [
        ("database", scenario.database, known_databases()),
        ("variant", scenario.variant, known_variants(scenario.database)),
        *[("checker", checker, sorted(CHECKERS)) for checker in scenario.checkers],
        *[("action", action.do, known_actions(scenario.database)) for action in scenario.operator],
    ]
    for what, given, known in questions:
        if given not in known:
            raise UserError(f"{path}: there is no {what} '{given}'; known: {', '.join(known)}")
    try:
        find_client(scenario.database, scenario.workload.name)
    except WorkloadError as error:
        raise UserError(f"{path}: {error}") from None


def check_primaries(scenario: Scenario, path: Path, planned: list[dict[str, Any]]) -> None:
    """Raises UserError if a window or an action waits for the primary of a database that has none."""
    asked = next(
        (each["late"]["asked"] for each in planned if "late" in each and each["late"]["asked"] != HOLDER), None
    )
    if asked and not (ROLES / scenario.database / "tasks/primary.yml").exists():
        raise UserError(
            f"{path}: '{asked}' is nobody: {scenario.database} has no primary (no node is special); name the nodes,"
            " or draw them, with targets: one or targets: minority"
        )


def _workload(scenario: Scenario, nodes: list[str]) -> dict[str, Any]:
    load = scenario.workload
    return {
        "name": load.name,
        "duration_s": float(load.duration),
        "rate": load.rate,
        "clients": nodes * load.clients_per_node,
        "timeout_s": float(load.timeout),
        "recovery_s": float(load.recovery),
        **({"hold_s": float(load.hold)} if load.hold else {}),
    }


def _new_folder(scenario: str) -> Path:
    """A folder of this second; `latest` points to it. Two runs in one second: the second one fails, by mkdir."""
    folder = STORE / scenario / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        folder.mkdir(parents=True)
        latest = folder.parent / "latest"
        latest.unlink(missing_ok=True)
        latest.symlink_to(folder.name)
    except OSError as error:
        raise UserError(f"{folder}: the run's folder cannot be made: {error.strerror}") from None
    return folder
