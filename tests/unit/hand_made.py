"""Histories written by hand, one event a tuple, one second apart; and the files that stand beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from analysis.history import History, Operation, encode_line
from analysis.read import read_table
from analysis.record import Record
from analysis.run_folder import Window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NS = 1_000_000_000

Event = tuple[int | str, str, str, Any]  # process, type, f, value; an integer process p talks to node n<p % 5 + 1>


def write_history(folder: Path, events: Sequence[Event]) -> Path:
    """Writes history.jsonl; event i happens at i seconds."""
    path = folder / "history.jsonl"
    path.write_bytes(b"".join(encode_line(_operation(index, event)) for index, event in enumerate(events)))
    return path


def read_history(source: Path | str) -> History:
    """A history as objects."""
    return Record(read_table(source)).history


def make_history(folder: Path, events: Sequence[Event]) -> History:
    return read_history(write_history(folder, events))


def _operation(index: int, event: Event) -> Operation:
    process, kind, f, value = event
    node = f"n{process % 5 + 1}" if isinstance(process, int) else None
    error = {"fail": "Refused: not the primary", "info": "TimeoutError: no answer"}.get(kind) if node else None
    return Operation(index, index * NS, process, kind, f, value, error, node)


def add(element: int, kind: str | None = "ok", process: int = 0) -> list[Event]:
    """An add and how it ends; None: it never does."""
    return [(process, "invoke", "add", element), *([(process, kind, "add", element)] if kind else [])]


def read(elements: list[int] | None, process: int = 9) -> list[Event]:
    """A read; None: it fails."""
    return [(process, "invoke", "read", None), (process, "fail" if elements is None else "ok", "read", elements)]


def window(from_s: float, until_s: float, name: str = "cut-1", dropped: int | None = 7) -> Window:
    """A window between n1 and n2; `dropped` None: its counters were not read."""
    counters = None if dropped is None else {"n1": {"n2": dropped}}
    return Window(name, from_s, until_s, fault="partition", title="n1 | n2", grudge={"n1": ["n2"]}, dropped=counters)


def make_folder(folder: Path, events: Sequence[Event], windows: Sequence[Window], **scenario: Any) -> Path:
    """A run's folder, to be judged."""
    folder.mkdir(exist_ok=True)
    write_history(folder, events)
    asked = [{"name": a.name, "fault": a.fault, "from_s": a.from_s, "until_s": a.until_s} for a in windows]
    basics = {"scenario": "hand-made", "seed": 1, "checkers": ["lost-writes"], "windows": asked}
    (folder / "scenario.yml").write_text(json.dumps(basics | scenario))  # JSON is YAML
    armed = [{key: getattr(a, key) for key in a.__struct_fields__ if getattr(a, key) is not None} for a in windows]
    (folder / "faults.json").write_text(json.dumps({"t0_ns": 1_700_000_000 * NS, "windows": armed}))
    return folder
