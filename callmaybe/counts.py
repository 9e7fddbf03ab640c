"""Counters of a window: what each node dropped, shaped or stopped in it, also where rules were renewed meanwhile."""

from typing import Any

Counts = dict[str, Any]


def counters_of(statuses: dict[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """What the nodes counted: `{window: {node: {"dropped": {peer: packets}, "counts": {what: how much}}}}`."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for node, status in statuses.items():
        for window in status.get("windows", []):
            here = {key: window[key] for key in ("dropped", "counts") if window.get(key) is not None}
            found.setdefault(window["name"], {})[node] = here
    return found


def lost_on_the_way(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What was counted before a kind was armed again and begins from nought after it, in the shape of `counters_of`.

    Arming may renew rules and with them their counters. A counter that has fallen was renewed.
    """
    lost: dict[str, Any] = {}
    for window, nodes in before.items():
        for node, kinds in nodes.items():
            for what, counts in kinds.items():
                new = after.get(window, {}).get(node, {}).get(what, {})
                gone = {key: n for key, n in counts.items() if _adds_up(what, key) and new.get(key, 0) < n}
                if gone:
                    lost.setdefault(window, {}).setdefault(node, {})[what] = gone
    return lost


def add_counts(window: dict[str, Any], statuses: dict[str, dict[str, Any]], counted: dict[str, Any]) -> None:
    """Sets `dropped` and `counts` of a window of faults.json, `{node: {...}}` each.

    Args:
        window: changed in place.
        statuses: what jepsen_status returned in the end, by node.
        counted: what `lost_on_the_way` kept of this window, by node.
    """
    now = counters_of(statuses).get(window["name"], {})
    window["counts"] = {}
    if "grudge" in window:
        window["dropped"] = {}
    for node in [*now, *(node for node in counted if node not in now)]:
        for what in ("dropped", "counts"):
            parts = [there[what] for there in (now.get(node, {}), counted.get(node, {})) if what in there]
            if parts:
                window.setdefault(what, {})[node] = summed(*parts)


def summed(*parts: Counts) -> Counts:
    """Counters added up, key by key; of what does not add up, such as a moment, the first one is kept."""
    keys = dict.fromkeys(key for part in parts for key in part)
    return {
        key: sum(part.get(key, 0) for part in parts)
        if all(isinstance(part.get(key, 0), int | float) for part in parts)
        else next(part[key] for part in parts if key in part)
        for key in keys
    }


def _adds_up(what: str, key: str) -> bool:
    return what == "dropped" or key.endswith(("_packets", "_bytes"))
