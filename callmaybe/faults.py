"""faults.json: written when the windows are armed, completed with their counters when they have ended."""

import json
import time
from pathlib import Path
from typing import Any

import yaml

from analysis.atomic import write_atomically
from callmaybe.project import UserError
from jepsen_modules.module_utils.jepsen_probe import clock_offsets

Probes = dict[str, dict[str, Any]]


def plan_windows(folder: Path, probes: Probes, ahead_s: float) -> dict[str, Any]:
    """Chooses T0, a whole second at least `ahead_s` from now, and writes faults.json with all absolute times.

    Args:
        folder: the run's.
        probes: what jepsen_status returned on each node.
        ahead_s: the time to commit the windows on all nodes before the first one may start.

    Returns:
        What was written.

    Raises:
        UserError: a node does not hear all others before anything is cut: the run would blame the database for it.
    """
    plan = yaml.safe_load((folder / "scenario.yml").read_text(encoding="utf-8"))
    _check_whole(plan["nodes"], probes)
    t0_ns = (int(time.time() + ahead_s) + 1) * 10**9
    offsets_ns, spread_ns = clock_offsets({node: probe["one_way_ns"] for node, probe in probes.items()})
    faults = {
        "t0_ns": t0_ns,
        "backend": "nftables",
        "clock_offsets_ns": offsets_ns,
        "clock_spread_ns": spread_ns,
        "windows": [
            {
                **window,
                "from_ns": t0_ns + round(window["from_s"] * 1e9),
                "until_ns": t0_ns + round(window["until_s"] * 1e9),
            }
            for window in plan["windows"]
        ],
    }
    write_atomically(folder / "faults.json", _encode(faults))
    return faults


def record_counters(folder: Path, statuses: Probes) -> dict[str, Any]:
    """Adds to faults.json what each node dropped in each window.

    A node that is absent from `statuses` could not be read, and stays absent from `dropped`.
    """
    path = folder / "faults.json"
    faults: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for window in faults["windows"]:
        window["dropped"] = {
            node: armed["dropped"]
            for node, status in statuses.items()
            for armed in status.get("windows", [])
            if armed["name"] == window["name"]
        }
    faults["collected"] = True
    write_atomically(path, _encode(faults))
    return faults


def _encode(faults: dict[str, Any]) -> bytes:
    return json.dumps(faults, indent=1).encode() + b"\n"


def _check_whole(nodes: list[str], probes: Probes) -> None:
    for node in nodes:
        heard = probes.get(node, {}).get("heard", {})
        deaf_to = [peer for peer in nodes if peer != node and not heard.get(peer)]
        if deaf_to:
            raise UserError(
                f"{node} does not hear {', '.join(deaf_to)} although nothing is cut yet: "
                "mend the network between the nodes (ICMP echo must pass), then run again"
            )
