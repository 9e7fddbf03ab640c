"""What the history is told of the faults: when each window was armed, aimed, and was to begin and end.

The faults themselves are made by the nodes, which know nothing of the history; this only tells of them.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from analysis.history import NEMESIS
from workloads.inputs import Window
from workloads.recorder import Recorder

AIMED_FILE = "aimed.json"


class _Told(msgspec.Struct, frozen=True):
    """What aimed.json says of a late window."""

    title: str = ""
    aimed: dict[str, Any] = {}
    armed_ns: int | None = None
    late_s: float = 0.0
    missed: str | None = None


class _Aimed(msgspec.Struct, frozen=True):
    windows: dict[str, _Told] = {}


class Nemesis:
    """Records the nemesis' events; safe to call from several threads."""

    def __init__(self, folder: Path, windows: Sequence[Window], recorder: Recorder) -> None:
        self._path = folder / AIMED_FILE
        self._windows = windows
        self._recorder = recorder
        self._lock = threading.Lock()
        self._titles = {window.name: window.title for window in windows}
        self._told: set[tuple[str, str]] = set()

    def armed(self) -> None:
        """Records all windows that are armed before the first operation."""
        for window in self._windows:
            if window.late is None:
                self._record("arm", window.name)

    def started(self, window: Window) -> None:
        """Records that a window was to begin now."""
        if window.late is not None:
            self.look()
        self._record("start", window.name)

    def ended(self, window: Window) -> None:
        """Records that a window was to end now."""
        if window.late is not None:
            self.look()
        self._record("end", window.name)

    def look(self) -> None:
        """Records what has become of late windows since the last look: at whom they were aimed, and how late.

        Raises:
            WorkloadError: The history cannot be written any more.
        """
        if all(window.late is None for window in self._windows):
            return
        with self._lock:
            for name, told in self._read().windows.items():
                if told.armed_ns is not None and (name, "aim") not in self._told:
                    self._titles[name] = told.title
                    self._told.add((name, "aim"))
                    self._record("aim", name, **told.aimed, late_s=told.late_s)
                elif told.missed is not None and told.armed_ns is None and (name, told.missed) not in self._told:
                    self._told.add((name, told.missed))
                    self._record("miss", name, why=told.missed)

    def _read(self) -> _Aimed:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Aimed)
        except (OSError, msgspec.MsgspecError):  # not yet; collect reads it again, and aloud
            return _Aimed()

    def _record(self, f: str, name: str, **more: object) -> None:
        self._recorder.record(NEMESIS, "info", f, {"window": name, "title": self._titles[name], **more})
