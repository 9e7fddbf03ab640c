"""faults.json: written when the windows are armed, completed with their counters when they have ended."""

import time
from pathlib import Path
from typing import Any

import yaml

from analysis.run_folder import CLOCK_LIMIT_NS, ControllerClock
from callmaybe.aims import plan_aims, read_aimed
from callmaybe.arming import for_modules, missing_windows
from callmaybe.counts import add_counts
from callmaybe.operator import read_actions
from callmaybe.project import UserError
from callmaybe.run_files import read_json, write_json
from callmaybe.timeline import KIND_OF
from jepsen_modules.module_utils.jepsen_probe import clock_offsets

FAULTS_FILE = "faults.json"
Answers = dict[str, dict[str, Any]]
AHEAD_S, AHEAD_OF_KIND_S = 10, 4  # to T0: for all nodes to be asked and the clients to start, and more for each kind


def plan_windows(folder: Path, probes: Answers, clocks: Answers, ahead_s: float | None = None) -> dict[str, Any]:
    """Chooses T0, a whole second ahead, and writes faults.json with all absolute times.

    Args:
        folder: the run's.
        probes: what jepsen_status returned on each node.
        clocks: what jepsen_clock returned of each node; may be empty.
        ahead_s: the time to commit the windows on all nodes before the first one may start, and to aim a late one;
            None: by their kinds.

    Returns:
        `t0_ns`, `kinds` (for each kind in use, its windows as its module takes them) and `agenda` (which late windows
        are to be aimed together and what an operator does, by time).

    Raises:
        UserError: a node does not hear all others before anything is cut: the run would blame the database for it; or
            its clock is so far off that its windows would be open at another time.
    """
    plan = yaml.safe_load((folder / "scenario.yml").read_text(encoding="utf-8"))
    _check_whole(plan["nodes"], probes)
    if plan["windows"]:
        _check_clocks(clocks)
    cluster = read_json(folder / "cluster.json") if (folder / "cluster.json").exists() else {}
    kinds = {KIND_OF[window["fault"]] for window in plan["windows"]}
    t0_ns = (int(time.time() + (AHEAD_S + AHEAD_OF_KIND_S * len(kinds) if ahead_s is None else ahead_s)) + 1) * 10**9
    offsets_ns, spread_ns = clock_offsets({node: probe["one_way_ns"] for node, probe in probes.items()})
    windows = [
        {
            **window,
            "from_ns": t0_ns + round(window["from_s"] * 1e9),
            "until_ns": t0_ns + round(window["until_s"] * 1e9),
        }
        for window in plan["windows"]
    ]
    faults = {
        "t0_ns": t0_ns,
        "backend": "nftables",
        "clock_offsets_ns": offsets_ns,
        "clock_spread_ns": spread_ns,
        "controller_clock": {node: _clock(answer) for node, answer in clocks.items() if "offset_ns" in answer},
        "boot_ids": {node: [answer["boot_id"]] for node, answer in clocks.items() if "boot_id" in answer},
        "windows": windows,
        "actions": plan.get("actions", []),
    }
    write_json(folder / FAULTS_FILE, faults)
    agenda = sorted(plan_aims(windows, ahead_s or 0) + plan.get("actions", []), key=lambda entry: entry["at_s"])
    return {"t0_ns": t0_ns, "kinds": for_modules(windows, cluster), "agenda": agenda}


def record_armed(folder: Path, statuses: Answers, armed_ns: dict[str, int]) -> dict[str, Any]:
    """Holds what the nodes list against what they should have, and notes what it is made of.

    Args:
        folder: the run's.
        statuses: what jepsen_status returned on each node.
        armed_ns: each node's clock when the last of its windows was committed.

    Raises:
        UserError: a node lacks a window, or has it too late.
    """
    faults = read_json(folder / FAULTS_FILE)
    wrong = missing_windows(faults["windows"], statuses)
    late = [node for node, at_ns in armed_ns.items() if at_ns >= faults["t0_ns"]]
    if late:
        more = "--ahead 30 (of the playbook: -e arm_ahead_s=30)"
        wrong.append(f"{' '.join(late)} had them after T0: give it more time with {more}")
    if wrong:
        raise UserError("; ".join(wrong))
    made_of = [str(w["backend"]) for status in statuses.values() for w in status.get("windows", []) if w.get("backend")]
    if made_of:
        faults["backend"] = ", ".join(sorted(set(made_of)))
    write_json(folder / FAULTS_FILE, faults)
    return faults


def record_counters(folder: Path, statuses: Answers, clocks: Answers) -> dict[str, Any]:
    """Adds to faults.json what each node did in each window, at whom the late ones were aimed, and who restarted.

    A node that is absent from `statuses` could not be read, and stays absent from `dropped` and `counts`.
    """
    faults, aimed = read_json(folder / FAULTS_FILE), read_aimed(folder)
    for window in faults["windows"]:
        window.update(aimed["windows"].get(window["name"], {}))
        add_counts(window, statuses, aimed["counted"].get(window["name"], {}))
    done = read_actions(folder)
    for action in faults.get("actions", []):
        action.update(done.get(action["name"], {}))
    for node, answer in clocks.items():
        if "boot_id" in answer:
            faults.setdefault("boot_ids", {}).setdefault(node, []).append(answer["boot_id"])
    faults["collected"] = True
    write_json(folder / FAULTS_FILE, faults)
    return faults


def _clock(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: answer.get(key) for key in ("offset_ns", "error_ns", "synchronized")}


def _check_clocks(clocks: Answers) -> None:
    known = {
        n: ControllerClock(told["offset_ns"], told["error_ns"]) for n, told in clocks.items() if "offset_ns" in told
    }
    off = [f"the clock of {node} is {clock.distance}" for node, clock in known.items() if clock.is_off(CLOCK_LIMIT_NS)]
    if off:
        raise UserError(
            f"{'; '.join(off)}: faults begin and end by each node's own clock; set it (timedatectl, chronyc makestep),"
            " then run again"
        )


def _check_whole(nodes: list[str], probes: Answers) -> None:
    for node in nodes:
        heard = probes.get(node, {}).get("heard", {})
        deaf_to = [peer for peer in nodes if peer != node and not heard.get(peer)]
        if deaf_to:
            raise UserError(
                f"{node} does not hear {', '.join(deaf_to)} although nothing is cut yet: "
                "mend the network between the nodes (ICMP echo must pass), then run again"
            )
