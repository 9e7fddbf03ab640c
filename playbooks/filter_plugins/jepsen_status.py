# ruff: noqa: INP001 - Ansible loads filters by path
"""Filters of status.yml: what the nodes answered becomes one picture of the cluster, and that a text."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

# The module's own code, found by its path: the project need not be installed where Ansible runs.
_PROBE = Path(__file__).resolve().parents[2] / "jepsen_modules" / "module_utils" / "jepsen_probe.py"
# Two nodes that probed at one time for less than this may not have heard each other for that alone.
TOGETHER_NS = 200_000_000
MARKS = {"itself": " ", "heard": "+", "cut": "x", "silent": ".", "leaks": "!", "unknown": "?"}


def _clock_offsets(one_way_ns: dict[str, dict[str, int]]) -> tuple[dict[str, int], int]:
    spec = importlib.util.spec_from_file_location("jepsen_probe", _PROBE)
    if spec is None or spec.loader is None:
        raise ImportError(f"{_PROBE} is missing; the playbooks need the folder jepsen_modules beside them")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    offsets, spread = module.clock_offsets(one_way_ns)
    return dict(offsets), int(spread)


def _together(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two nodes probed at one time: only then does silence say anything."""
    mine, yours = one.get("probed_ns"), other.get("probed_ns")
    return not mine or not yours or min(mine[1], yours[1]) - max(mine[0], yours[0]) >= TOGETHER_NS


def _hearing(answers: dict[str, dict[str, Any]], node: str, peer: str) -> str:
    """Says how a node stands to a peer: a key of MARKS."""
    answer = answers[node]
    if node == peer:
        return "itself"
    if answer.get("heard") is None:
        return "unknown"
    active = [
        window
        for window in answer["windows"]
        if window["active"] and window["kind"] == "partition" and peer in window["peers"] and not window["ports"]
    ]
    if peer in answer["heard"]:
        # A window that began while the probes ran let the first ones through.
        leaks = any(window["from_ns"] <= answer["started_at_ns"] for window in active)
        return "leaks" if leaks else "heard"
    if not active and not _together(answer, answers[peer]):
        return "unknown"
    return "cut" if active else "silent"


def _windows(answers: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Puts the nodes' parts of each window together; its bounds are the widest that any node has."""
    windows: dict[tuple[str, str], dict[str, Any]] = {}
    for node, answer in answers.items():
        for part in answer["windows"]:
            new = {"kind": part["kind"], "name": part["name"], "active": False, "remaining_s": 0.0, "grudge": {}}
            new |= {"backend": part["backend"], "nodes": {}, "counts": {}, "dropped": {}}
            new |= {"from_ns": part["from_ns"], "until_ns": part["until_ns"]}
            window = windows.setdefault((part["kind"], part["name"]), new)
            window["active"] = window["active"] or part["active"]
            window["from_ns"] = min(window["from_ns"], part["from_ns"])
            for end in ("until_ns", "remaining_s"):
                window[end] = None if None in (window[end], part[end]) else max(window[end], part[end])
            window["nodes"][node] = _title(part)
            if part.get("direction") == "out":  # it is the clients who do not hear this node
                for peer in part["peers"]:
                    window["grudge"].setdefault(peer, []).append(node)
            else:
                window["grudge"][node] = list(part.get("peers") or [])
            window["counts"][node] = part["counts"]
            if "dropped" in part:
                window["dropped"][node] = part["dropped"]
    for window in windows.values():
        window["state"] = _state(window)
        window["restarted"] = [node for node, answer in answers.items() if _restarted(window, node, answer)]
    return sorted(windows.values(), key=lambda window: (window["from_ns"], window["name"]))


def _title(part: dict[str, Any]) -> str:
    """What a window does at a node; a title of shaping says how alone, not whose packets."""
    if part["kind"] != "shape":
        return str(part["title"])
    ports = f" on {', '.join(part['ports'])}" if part.get("ports") else ""
    return f"{part['title']} from {' '.join(part.get('peers') or [])}{ports}"


def _state(window: dict[str, Any]) -> str:
    return "active" if window["active"] else "over" if window["remaining_s"] == 0 else "armed"


def _restarted(window: dict[str, Any], node: str, answer: dict[str, Any]) -> bool:
    """Whether a node started inside a window that others have and it has not: its part went with the restart."""
    begun = window["from_ns"] <= answer.get("booted_at_ns", 0)
    return (
        node not in window["nodes"]
        and begun
        and (not window["until_ns"] or answer["booted_at_ns"] < window["until_ns"])
    )


def jepsen_status(answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Makes one picture of what jepsen_status returned on each node.

    Args:
        answers: ``{node: result}``; a node that failed or could not be reached has no ``windows`` in it.

    Returns:
        ``windows`` of all kinds with ``nodes`` (what it does there), ``counts``, ``grudge``, ``dropped`` of all nodes,
        ``state`` and ``restarted`` (nodes that started anew inside it), ``hears`` (``{listener: {speaker: mark}}``),
        ``missing`` nodes, ``boot_ids``, ``clock_offsets_ns`` and ``clock_spread_ns`` (None without probes).
    """
    there = {node: answer for node, answer in answers.items() if "windows" in answer}
    probed = {node: answer["one_way_ns"] for node, answer in there.items() if answer["one_way_ns"] is not None}
    offsets, spread = _clock_offsets(probed)
    return {
        "windows": _windows(there),
        "hears": {node: {peer: _hearing(answers, node, peer) for peer in answers} for node in there},
        "boot_ids": {node: answer.get("boot_id") for node, answer in there.items()},
        "missing": [node for node in answers if node not in there],
        "clock_offsets_ns": offsets if probed else None,
        "clock_spread_ns": spread if probed else None,
    }


def _matrix(hears: dict[str, dict[str, str]]) -> list[str]:
    if all(mark in {"itself", "unknown"} for row in hears.values() for mark in row.values()):
        return ["who hears whom: not probed"]
    speakers = next(iter(hears.values()), {})
    width = max(map(len, speakers), default=0)
    lines = [f"{'':{width}}  " + " ".join(f"{speaker:>{width}}" for speaker in speakers)]
    for listener, row in hears.items():
        lines.append(f"{listener:{width}}  " + " ".join(f"{MARKS[mark]:>{width}}" for mark in row.values()))
    words = {
        "heard": "heard",
        "cut": "cut by us",
        "silent": "silent, no rule of ours",
        "leaks": "heard in spite of our rule",
        "unknown": "not probed, or not at one time",
    }
    used = {mark for row in hears.values() for mark in row.values()}
    legend = "   ".join(f"{MARKS[mark]} {text}" for mark, text in words.items() if mark in used)
    return ["who hears whom: rows listen, columns speak", legend, *[line.rstrip() for line in lines]]


def _when(window: dict[str, Any]) -> str:
    if window["state"] == "active":
        left = "for ever" if window["remaining_s"] is None else f"{window['remaining_s']:.0f} s left"
        return f"active, {left}"
    return "over" if window["state"] == "over" else "armed, not begun"


def _counted(counts: dict[str, Any]) -> str:
    """Counts as they are called, ``1,234 dropped packets``; of what did not happen the first alone, the proof."""
    told = {
        name: value
        for name, value in counts.items()
        if not (value is None or isinstance(value, (dict, list)) or name.endswith(("_at_ns", "late_s")))
        and not (name == "processes" and "killed" in counts)
    }
    words = []
    for number, (name, value) in enumerate(told.items()):
        if isinstance(value, bool):
            words += [name] if value else []
        elif isinstance(value, str):
            words.append(f"{name}: {value}")
        elif name == "stopped_s":
            words.append(f"{value:,.1f} s of standing still")
        elif value or not number:
            words.append(f"{value:,} {name.replace('_', ' ')}")
    return ", ".join(words)


def _of_node(window: dict[str, Any], node: str) -> str:
    """What a window does at one node, and what that came to; nothing before it has begun."""
    dropped = window["dropped"].get(node)
    peers = ", ".join(f"{peer} {count:,}" for peer, count in dropped.items()) if dropped else ""
    counted = "" if window["state"] == "armed" else peers or _counted(window["counts"][node])
    return f"  {node} {window['nodes'][node]}" + (f" ({counted})" if counted else "")


def _armed(windows: list[dict[str, Any]]) -> list[str]:
    lines = []
    shown: dict[str, dict[str, str]] = {}
    for window in windows:
        total: dict[str, Any] = {}
        for counts in window["counts"].values():
            for name, value in counts.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    total[name] = total.get(name, 0) + value
        counted = "" if window["state"] == "armed" else _counted(total)
        said = ", ".join(part for part in (_when(window), counted) if part)
        lines.append(f"{window['name']} ({window['kind']} by {window['backend']}): {said}")
        # One that flaps has many windows that will all do the same.
        same = next((name for name, nodes in shown.items() if nodes == window["nodes"]), None)
        if window["state"] == "armed" and same:
            lines.append(f"  as {same}")
        else:
            lines += [_of_node(window, node) for node in window["nodes"]]
        shown.setdefault(window["name"], window["nodes"])
        lines += [f"  {node} has started anew inside it: its part is gone" for node in window["restarted"]]
    return lines or ["nothing is armed"]


def jepsen_status_text(status: dict[str, Any]) -> str:
    """Writes the picture for a person."""
    lines = [*_matrix(status["hears"]), "", *_armed(status["windows"])]
    known = status["clock_offsets_ns"] or {}
    if len(known) > 1:
        lines += ["", f"clocks of {' '.join(known)} within {status['clock_spread_ns'] / 1000:,.0f} us"]
    lines += ["", f"no answer from {' '.join(status['missing'])}"] if status["missing"] else []
    return "\n".join(lines)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Returns the filters by name."""
        return {"jepsen_status": jepsen_status, "jepsen_status_text": jepsen_status_text}
