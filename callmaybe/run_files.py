"""The JSON files of a run's folder, as the steps hand them to each other."""

import json
import os
import time
from pathlib import Path
from typing import Any

from analysis.atomic import write_atomically

DRIVE_START_S = 30.0  # for the driver to say that it is there
PHASES = ("main", "recovery", "final")


def read_json(path: Path) -> dict[str, Any]:
    """What an earlier step wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replaces a file in one step."""
    write_atomically(path, json.dumps(content, indent=1).encode() + b"\n")


def driving(folder: Path, began: float, phases: tuple[str, ...] = PHASES) -> bool:
    """Whether the driver works, in one of these phases, or may be about to begin.

    Args:
        folder: the run's.
        began: by the monotonic clock, since when somebody waits for it.
        phases: of the run.
    """
    try:
        at = read_json(folder / "progress.json")
        os.kill(at["pid"], 0)
    except FileNotFoundError:
        return time.monotonic() - began < DRIVE_START_S
    except (OSError, ValueError):
        return False
    return at["phase"] in phases


def holders(folder: Path) -> list[str]:
    """The nodes whose clients hold a lock now, as the driver says."""
    try:
        return list(read_json(folder / "progress.json").get("holders", []))
    except (OSError, ValueError):
        return []
