# ruff: noqa: INP001 - Ansible loads filters by path
"""Filters of status.yml: what the nodes answered becomes one picture of the cluster, and that a text."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

# The module's own code, found by its path: the project need not be installed where Ansible runs.
_PROBE = Path(__file__).resolve().parents[2] / "jepsen_modules" / "module_utils" / "jepsen_probe.py"
MARKS = {"itself": " ", "heard": "+", "cut": "x", "silent": ".", "leaks": "!", "unknown": "?"}


def _clock_offsets(one_way_ns: dict[str, dict[str, int]]) -> tuple[dict[str, int], int]:
    spec = importlib.util.spec_from_file_location("jepsen_probe", _PROBE)
    if spec is None or spec.loader is None:
        raise ImportError(f"{_PROBE} is missing; the playbooks need the folder jepsen_modules beside them")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    offsets, spread = module.clock_offsets(one_way_ns)
    return dict(offsets), int(spread)


def _hearing(answer: dict[str, Any], node: str, peer: str) -> str:
    """Says how a node stands to a peer: a key of MARKS."""
    if node == peer:
        return "itself"
    if answer.get("heard") is None:
        return "unknown"
    active = [window for window in answer["windows"] if window["active"] and peer in window["peers"]]
    if peer in answer["heard"]:
        # A window that began while the probes ran let the first ones through.
        leaks = any(window["from_ns"] <= answer["started_at_ns"] for window in active)
        return "leaks" if leaks else "heard"
    return "cut" if active else "silent"


def _windows(answers: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Puts the nodes' parts of each window together; its bounds are the widest that any node has."""
    windows: dict[str, dict[str, Any]] = {}
    for node, answer in answers.items():
        for part in answer["windows"]:
            new = {"name": part["name"], "active": False, "remaining_s": 0.0, "grudge": {}, "dropped": {}}
            window = windows.setdefault(part["name"], {**new, "from_ns": part["from_ns"], "until_ns": part["until_ns"]})
            window["active"] = window["active"] or part["active"]
            window["from_ns"] = min(window["from_ns"], part["from_ns"])
            for end in ("until_ns", "remaining_s"):
                window[end] = None if None in (window[end], part[end]) else max(window[end], part[end])
            window["grudge"][node] = list(part["peers"])
            window["dropped"][node] = part["dropped"]
    return sorted(windows.values(), key=lambda window: (window["from_ns"], window["name"]))


def jepsen_status(answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Makes one picture of what jepsen_status returned on each node.

    Args:
        answers: ``{node: result}``; a node that failed or could not be reached has no ``windows`` in it.

    Returns:
        ``windows`` with ``grudge`` and ``dropped`` of all nodes, ``hears`` (``{listener: {speaker: mark}}``),
        ``missing`` nodes, ``clock_offsets_ns`` and ``clock_spread_ns`` (None without probes).
    """
    there = {node: answer for node, answer in answers.items() if "windows" in answer}
    probed = {node: answer["one_way_ns"] for node, answer in there.items() if answer["one_way_ns"] is not None}
    offsets, spread = _clock_offsets(probed)
    return {
        "windows": _windows(there),
        "hears": {node: {peer: _hearing(answer, node, peer) for peer in answers} for node, answer in there.items()},
        "missing": [node for node in answers if node not in there],
        "clock_offsets_ns": offsets if probed else None,
        "clock_spread_ns": spread if probed else None,
    }


def _matrix(hears: dict[str, dict[str, str]]) -> list[str]:
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
        "unknown": "not probed",
    }
    used = {mark for row in hears.values() for mark in row.values()}
    legend = "   ".join(f"{MARKS[mark]} {text}" for mark, text in words.items() if mark in used)
    return ["who hears whom: rows listen, columns speak", legend, *[line.rstrip() for line in lines]]


def _state(window: dict[str, Any]) -> str:
    if window["active"]:
        left = "for ever" if window["remaining_s"] is None else f"{window['remaining_s']:.0f} s left"
        return f"active, {left}"
    return "over" if window["remaining_s"] == 0 else "armed, not begun"


def _armed(windows: list[dict[str, Any]]) -> list[str]:
    lines = []
    for window in windows:
        total = sum(count for peers in window["dropped"].values() for count in peers.values())
        lines.append(f"{window['name']}: {_state(window)}, {total:,} packets dropped")
        for node, peers in window["dropped"].items():
            lines.append(f"  {node} does not hear " + ", ".join(f"{peer} ({count:,})" for peer, count in peers.items()))
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
