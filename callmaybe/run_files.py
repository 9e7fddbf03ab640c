"""The JSON files of a run's folder, as the steps hand them to each other."""

import json
from pathlib import Path
from typing import Any

from analysis.atomic import write_atomically


def read_json(path: Path) -> dict[str, Any]:
    """What an earlier step wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replaces a file in one step."""
    write_atomically(path, json.dumps(content, indent=1).encode() + b"\n")
