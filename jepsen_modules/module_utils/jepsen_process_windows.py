"""Windows of processes as they were asked for: the arguments of the modules, and what they may say."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.jepsen_node import NODE_ARGUMENTS
from ansible.module_utils.jepsen_target import resolve_targets
from ansible.module_utils.jepsen_window import WINDOW_OPTIONS, RefusedError, bounds_from_now, check_windows

FAULT_ARGUMENTS: dict[str, dict[str, Any]] = {
    "faults_allowed": {"type": "dict", "default": {}},
    "controllers": {"type": "list", "elements": "str", "default": []},
    "groups": {"type": "dict", "default": {}},
    "primaries": {"type": "list", "elements": "str"},
    "target": {"type": "raw"},
    "seed": {"type": "int", "default": 0},
    "services": {"type": "list", "elements": "str", "default": []},
    "processes": {"type": "list", "elements": "str", "default": []},
    "duration_s": {"type": "str", "default": "600"},
    "restart": {"type": "bool", "default": True},
    "how": {"type": "str", "choices": ["freezer", "signal"]},
}


def arguments(action: str) -> dict[str, dict[str, Any]]:
    """The arguments of the module that kills, or of the one that pauses."""
    window = {
        **WINDOW_OPTIONS,
        "until_ns": {"type": "int", "required": True},
        "action": {"type": "str", "choices": ["kill", "pause"]},
        "nodes_hit": {"type": "list", "elements": "str", "required": True},
        "services": FAULT_ARGUMENTS["services"],
        "processes": FAULT_ARGUMENTS["processes"],
        "restart": FAULT_ARGUMENTS["restart"],
        "how": FAULT_ARGUMENTS["how"],
    }
    other = "how" if action == "kill" else "restart"
    return {
        **NODE_ARGUMENTS,
        **{name: option for name, option in FAULT_ARGUMENTS.items() if name != other},
        "name": {"type": "str", "default": f"{action}-1"},
        "windows": {"type": "list", "elements": "dict", "options": window},
    }


def check_window(window: dict[str, Any], nodes: list[str]) -> None:
    """Raises RefusedError for what a window says besides its name and bounds; fills in ``how``."""
    name, stranger = window["name"], [node for node in window["nodes_hit"] if node not in nodes]
    if stranger:
        raise RefusedError(f"window {name} is to hit {stranger[0]!r}, which is not among nodes ({' '.join(nodes)})")
    if not window["services"] and not window["processes"]:
        raise RefusedError(f"window {name} says neither services nor processes; name what to {window['action']}")
    if window["action"] == "kill":
        window["how"] = None
        if window["processes"] and window["restart"]:
            raise RefusedError(
                f"window {name}: processes cannot be started again by their names; name services, or say restart: false"
            )
        return
    window["restart"] = None
    window["how"] = window["how"] or ("signal" if window["processes"] else "freezer")
    if window["how"] == "freezer" and window["processes"]:
        raise RefusedError(f"window {name}: the freezer takes services; name services, or say how: signal")


def asked_windows(parameters: dict[str, Any], action: str, now_ns: int) -> list[dict[str, Any]]:
    """The windows that were asked for: given as a list, or the one that begins now."""
    services, processes = parameters["services"], parameters["processes"]
    if parameters["windows"] is not None:
        windows = [dict(window) for window in parameters["windows"]]
        for window in windows:
            window["action"] = window["action"] or action
            if not window["services"] and not window["processes"]:
                window.update(services=services, processes=processes)
    else:
        hit = resolve_targets(
            parameters["target"] or "all",
            parameters["nodes"],
            parameters["groups"],
            parameters["primaries"],
            parameters["seed"],
        )
        more = {"restart": parameters.get("restart"), "how": parameters.get("how"), "nodes_hit": hit}
        bounds = bounds_from_now(parameters["duration_s"], now_ns)
        one = {"name": parameters["name"], "action": action, "services": services, "processes": processes}
        windows = [{"title": f"{' '.join(services or processes)} on {' '.join(hit)}", **one, **more, **bounds}]
    check_windows(windows, now_ns)
    for window in windows:
        check_window(window, parameters["nodes"])
    return windows
