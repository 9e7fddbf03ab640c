"""What each module is told of a timeline, and what each node must list once it is armed."""

from typing import Any

from callmaybe.timeline import KIND_OF, Window, nodes_of

# What a kind's module takes of a window, besides its name and its bounds.
MODULE_KEYS = {
    "partition": ("grudge", "ports", "reject"),
    "shape": ("links", "shape", "ports"),
    "process": ("action", "nodes_hit", "services", "restart", "how"),
}
COMMON_KEYS = ("name", "title", "from_ns", "until_ns")
AT_THE_SPEAKER = "netem"  # this back end shapes what goes out, all else what comes in


def for_modules(windows: list[Window], cluster: dict[str, Any]) -> dict[str, list[Window]]:
    """The windows by kind, as the kinds' modules take them; those that are still to be aimed are left out.

    Args:
        windows: with absolute times.
        cluster: cluster.json, which knows the database's services.
    """
    kinds: dict[str, list[Window]] = {}
    for window in windows:
        if not nodes_of(window):
            continue
        kind = KIND_OF[window["fault"]]
        known: Window = {"services": cluster.get("services", []), **window}
        keys = (*COMMON_KEYS, *MODULE_KEYS[kind])
        kinds.setdefault(kind, []).append({key: known[key] for key in keys if key in known})
    return kinds


def missing_windows(windows: list[Window], statuses: dict[str, dict[str, Any]]) -> list[str]:
    """Which node does not list which of its windows, a sentence each.

    Args:
        windows: as in faults.json.
        statuses: what jepsen_status returned on each node; a node without an answer lacks everything.
    """
    listed = {node: [found["name"] for found in status.get("windows", [])] for node, status in statuses.items()}
    backends = {
        found["name"]: found.get("backend") for status in statuses.values() for found in status.get("windows", [])
    }
    return [
        f"{node} was given {window['name']} and does not list it"
        for window in windows
        for node in _bearers(window, backends.get(window["name"]))
        if window["name"] not in listed.get(node, [])
    ]


def _bearers(window: Window, backend: str | None) -> list[str]:
    """The nodes that have something to do in a window."""
    if "links" in window and backend == AT_THE_SPEAKER:
        return sorted({speaker for speakers in window["links"].values() for speaker in speakers})
    return nodes_of(window)
