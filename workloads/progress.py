"""The progress file: what a run is doing now, for whoever shows it."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from workloads.clock import RunClock
from workloads.inputs import Window
from workloads.recorder import Recorder


@dataclass
class Status:
    """Where the run is: set by the scheduler, read by the progress file.

    Attributes:
        phase: What is being done.
        waiting_for: What must come before it goes on; None while there is nothing to wait for but time.
        holders: The nodes of the clients that hold a lock, as far as they know.
    """

    phase: Literal["main", "recovery", "final"] = "main"
    waiting_for: str | None = None
    holders: list[str] = field(default_factory=list)

    def note(self, f: str, type: str, node: str) -> None:  # noqa: A002  (the field's name)
        """Keeps up with who holds a lock; a release of unknown end gives it up as far as its client can."""
        if f == "acquire" and type == "ok":
            self.holders.append(node)
        elif f == "release" and type != "fail" and node in self.holders:
            self.holders.remove(node)


class ProgressFile:
    """Writes `progress.json`: whose it is, its phase, times, counts, open windows, what it waits for, holders."""

    def __init__(  # noqa: PLR0913, PLR0917  (all that it shows)
        self,
        path: Path,
        status: Status,
        recorder: Recorder,
        clock: RunClock,
        duration_s: float,
        windows: Sequence[Window],
    ) -> None:
        self._path = path
        self._status = status
        self._recorder = recorder
        self._clock = clock
        self._duration_s = duration_s
        self._windows = windows

    def write(self) -> None:
        """Replaces the file in one step, so that a reader always finds a whole one.

        A disk that does not take it is no reason to end a run: the recorder speaks up if the history is concerned.
        """
        elapsed_s = self._clock.elapsed_s()
        shown = {
            "pid": os.getpid(),  # whom to ask to stop
            "phase": self._status.phase,
            "elapsed_s": round(elapsed_s, 3),
            "duration_s": self._duration_s,
            **self._recorder.counts,
            "active_windows": [w.name for w in self._windows if w.from_s <= elapsed_s < w.until_s],
            "waiting_for": self._status.waiting_for,
            "holders": list(self._status.holders),
        }
        new = self._path.with_suffix(".tmp")
        with suppress(OSError):
            new.write_bytes(msgspec.json.encode(shown) + b"\n")
            new.replace(self._path)
