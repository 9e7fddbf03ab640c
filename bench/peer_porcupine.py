"""Porcupine beside the engine: it gets the same operations, read and numbered, and only its search is timed."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from analysis.linear.calls import NEVER, find_calls
from analysis.linear.options import find_model, reading_of

if TYPE_CHECKING:
    from analysis.linear import Options
    from analysis.table import Table

SOURCE = Path(__file__).parent / "porcupine"
MOST_BYTES = 8 << 30
MOST_S = 60
NIL = -(1 << 60)


class Peer(NamedTuple):
    """What Porcupine came to: verdicts, seconds of each history, its greatest memory; or why it did not."""

    valid: list[bool]
    seconds: list[float]
    peak_bytes: int
    why: str = ""


def build(folder: Path) -> Path | None:
    """Returns the program, None where Go is missing."""
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        return None
    program = folder / "porcupine"
    subprocess.run([go, "build", "-o", str(program), "."], cwd=SOURCE, check=True, timeout=300)
    return program


def write(table: Table, options: Options, path: Path) -> None:
    """Writes the operations of a history as the program reads them."""
    model = find_model(options.model)
    reading = reading_of(options, model)
    keyed = model.keyed or options.keyed is True
    calls = find_calls(table, model, reading, keyed=keyed)
    meanings = [_meaning(*operation) for operation in calls.operations]
    with path.open("w") as file:
        for key in range(len(calls.keys)):
            for at in range(calls.starts[key], calls.starts[key + 1]):
                span = {"k": key, "i": int(calls.invoked[at]), "r": min(int(calls.returned[at]), NEVER)}
                file.write(json.dumps(meanings[calls.operation[at]] | span) + "\n")


def run(program: Path, kind: str, paths: list[Path], rounds: int) -> Peer:
    """Lets the program decide histories, within bounds of memory and time."""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))

    command = [str(program), kind, str(NIL), str(rounds), *map(str, paths)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_S, check=False, preexec_fn=bound)
    except subprocess.TimeoutExpired:
        return Peer([], [], 0, f"more than {MOST_S} s")
    if done.returncode:
        return Peer([], [], 0, f"more than {MOST_BYTES >> 30} GB of memory" if "memory" in done.stderr else done.stderr)
    *told, (_, peak) = [line.split() for line in done.stdout.splitlines()]
    return Peer([valid == "true" for valid, _ in told], [int(ns) / 1e9 for _, ns in told], int(peak) * 1024)


def _meaning(f: str, argument: Any, result: Any) -> dict[str, Any]:  # noqa: ANN401 - values of a history
    if f == "cas":
        return {"f": f, "a": _number(argument[0]), "b": _number(argument[1])}
    if f == "failed cas":
        return {"f": f, "a": _number(argument[0])}
    value = result if f == "read" else argument
    return {"f": f, "s": value} if isinstance(value, str) else {"f": f, "a": _number(value)}


def _number(value: Any) -> int:  # noqa: ANN401
    return NIL if value is None else int(value)
