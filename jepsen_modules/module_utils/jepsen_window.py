"""Windows of time, as all faults have them: a name, a begin and an end on whole seconds, and never without an end."""

from __future__ import annotations

import math
import re
from typing import Any

from ansible.module_utils.jepsen_error import FaultError

SECOND_NS = 1_000_000_000
LONGEST_S = 366 * 86400
# Names stand in comments of rules ("WINDOW PEER", at most 127 characters), in names of units and of files.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")

WINDOW_OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "title": {"type": "str", "default": ""},
    "from_ns": {"type": "int", "required": True},
    "until_ns": {"type": "int", "required": True},
}


class RefusedError(FaultError):
    """What was asked for cannot be done; the text is a sentence for the user."""


def refuse_forbidden(parameters: dict[str, Any]) -> None:
    """Raises RefusedError unless every node's inventory allows faults."""
    said = parameters["faults_allowed"]
    forbidden = [node for node in parameters["nodes"] if str(said.get(node)).lower() not in ("true", "yes", "on", "1")]
    if forbidden:
        raise RefusedError(
            f"refused, no host was touched: the inventory does not say faults_allowed: true for {' '.join(forbidden)}; "
            "say so there for every host that may be broken"
        )


def parse_duration(text: str) -> int | None:
    """Reads a duration: seconds, rounded up to whole ones, or None for "forever"; raises RefusedError."""
    if text == "forever":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= LONGEST_S:
        raise RefusedError(
            f"duration_s is {text!r}: expected seconds, more than 0 and at most {LONGEST_S}, or 'forever'"
        )
    return math.ceil(seconds)


def bounds_from_now(duration: str, now_ns: int) -> dict[str, int | None]:
    """Returns ``{from_ns, until_ns}`` of a window that begins with this second; until_ns is None for "forever"."""
    duration_s = parse_duration(duration)
    until_ns = None if duration_s is None else (math.ceil(now_ns / SECOND_NS) + duration_s) * SECOND_NS
    return {"from_ns": now_ns // SECOND_NS * SECOND_NS, "until_ns": until_ns}


def check_windows(windows: list[dict[str, Any]], now_ns: int) -> None:
    """Raises RefusedError for windows that cannot be armed: their names and bounds; each kind checks the rest."""
    names = [window["name"] for window in windows]
    for window in windows:
        name, from_ns, until_ns = window["name"], window["from_ns"], window["until_ns"]
        if not NAME.fullmatch(name) or names.count(name) > 1:
            raise RefusedError(
                f"window name {name!r}: expected a unique one, at most 40 letters, digits, dots, dashes or underscores"
            )
        if from_ns % SECOND_NS or (until_ns or 0) % SECOND_NS:
            raise RefusedError(f"window {name} is {from_ns} to {until_ns} ns: faults take whole seconds only")
        if until_ns is not None and not max(from_ns, now_ns) < until_ns <= now_ns + LONGEST_S * SECOND_NS:
            raise RefusedError(
                f"window {name} is {from_ns} to {until_ns} ns, and this node's clock says {now_ns}: "
                "expected an end behind its begin, still to come, and within a year"
            )


def running(window: dict[str, Any], now_ns: int) -> dict[str, Any]:
    """Adds to a window its state now, ``armed``, ``active`` or ``over``, and its seconds to go (None: for ever)."""
    until_ns = window["until_ns"]
    active = window["from_ns"] <= now_ns and (until_ns is None or now_ns < until_ns)
    remaining_s = None if until_ns is None else max(0, until_ns - now_ns) / 1e9
    state = "active" if active else "over" if remaining_s == 0 else "armed"
    return {**window, "state": state, "active": active, "remaining_s": remaining_s}
