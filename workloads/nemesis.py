"""What the history is told of the faults: when each window was armed, aimed, and was to begin and end.

The faults themselves are made by the nodes, which know nothing of the history; this only tells of them.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from analysis.history import NEMESIS
from workloads.inputs import Action, Window
from workloads.recorder import Recorder

AIMED_FILE = "aimed.json"
ACTIONS_FILE = "actions.json"


class _Told(msgspec.Struct, frozen=True):
    """What aimed.json says of a late window."""

    title: str = ""
    aimed: dict[str, Any] = {}
    armed_ns: int | None = None
    late_s: float = 0.0
    missed: str | None = None


class _Aimed(msgspec.Struct, frozen=True):
    windows: dict[str, _Told] = {}


class _Done(msgspec.Struct, frozen=True):
    """What actions.json says of what an operator did; `failed` says why it could not be done."""

    title: str = ""
    late_s: float = 0.0
    began_ns: int | None = None
    ended_ns: int | None = None
    failed: str | None = None


class Nemesis:
    """Records the nemesis' events, and the operator's; safe to call from several threads."""

    def __init__(
        self, folder: Path, windows: Sequence[Window], recorder: Recorder, actions: Sequence[Action] = ()
    ) -> None:
        self._folder = folder
        self._windows = windows
        self._actions = actions
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
        with self._lock:
            self._look_at_actions()
            if all(window.late is None for window in self._windows):
                return
            for name, told in self._read().windows.items():
                if told.armed_ns is not None and (name, "aim") not in self._told:
                    self._titles[name] = told.title
                    self._told.add((name, "aim"))
                    self._record("aim", name, **told.aimed, late_s=told.late_s)
                elif told.missed is not None and told.armed_ns is None and (name, told.missed) not in self._told:
                    self._told.add((name, told.missed))
                    self._record("miss", name, why=told.missed)

    def unfinished(self) -> str | None:
        """Returns what an operator still has to do, or to end."""
        done = self._read_actions()
        open_still = [a.name for a in self._actions if done.get(a.name, _Done()).ended_ns is None]
        return f"the operator to {', '.join(open_still)}" if open_still else None

    def _look_at_actions(self) -> None:
        for name, done in self._read_actions().items() if self._actions else ():
            if done.began_ns is not None and (name, "act") not in self._told:
                self._told.add((name, "act"))
                begun: dict[str, object] = {"action": name, "title": done.title, "late_s": done.late_s}
                self._recorder.record(NEMESIS, "info", "act", begun)
            if done.ended_ns is not None and (name, "acted") not in self._told:
                self._told.add((name, "acted"))
                ended: dict[str, object] = {"action": name, "title": done.title}
                self._recorder.record(NEMESIS, "info", "acted", ended | ({"why": done.failed} if done.failed else {}))

    def _read(self) -> _Aimed:
        try:
            return msgspec.json.decode((self._folder / AIMED_FILE).read_bytes(), type=_Aimed)
        except (OSError, msgspec.MsgspecError):  # not yet; collect reads it again, and aloud
            return _Aimed()

    def _read_actions(self) -> dict[str, _Done]:
        try:
            return msgspec.json.decode((self._folder / ACTIONS_FILE).read_bytes(), type=dict[str, _Done])
        except (OSError, msgspec.MsgspecError):  # the same
            return {}

    def _record(self, f: str, name: str, **more: object) -> None:
        self._recorder.record(NEMESIS, "info", f, {"window": name, "title": self._titles[name], **more})
