"""The recorder: appends the events of a run to its history, so that nothing which was sent can be missing from it."""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

from analysis.history import NEMESIS, Operation, encode_line
from workloads.clients.base import Value
from workloads.clock import RunClock
from workloads.errors import WorkloadError


class Recorder:
    """Writes events to a history file, one line each; safe to call from any number of threads.

    `record` returns when the kernel has the whole line. A client that records its invocation before it sends can
    therefore be killed at any moment, with -9 too: what was sent is in the history, and at most the last line is torn.

    One `os.write` an event under one lock is the simplest way, and it is fast enough to stay (bench/bench_recorder.py).
    Measured beside it, with the scheduler and five threads: a completion joined with the next invocation 1.1 times as
    fast; write(2) without giving up the interpreter's lock 0.9 times, and one slow disk would stop all clients; one
    thread that writes for all 0.5 times, since an event then costs two switches. A longer or shorter switch interval
    of the interpreter gains nothing.

    Attributes:
        counts: How many operations ended as `ok`, `fail` and `info`; the nemesis' events are not counted.
    """

    def __init__(self, path: Path, clock: RunClock) -> None:
        """Opens the history.

        Raises:
            WorkloadError: It cannot be opened, or it already holds a run.
        """
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._index = 0
        self._size_bytes = 0
        self._ended: WorkloadError | None = None
        self.counts = {"ok": 0, "fail": 0, "info": 0}
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise WorkloadError(f"{path}: cannot be written ({error.strerror}); give a run's folder") from error
        if os.fstat(self._file).st_size:
            os.close(self._file)
            raise WorkloadError(f"{path}: already holds a history; a run is driven once, so start a new one")

    def record(  # noqa: PLR0913  (they are the fields of an event, in the file's order)
        self,
        process: int | Literal["nemesis"],
        type: Literal["invoke", "ok", "fail", "info"],  # noqa: A002  (the field's name)
        f: str,
        value: Value | dict[str, object],
        *,
        error: str | None = None,
        node: str | None = None,
    ) -> None:
        """Appends one event; its index and its time are given here, in the order of the lines.

        Raises:
            WorkloadError: The line could not be written, now or before. What was recorded until then stays whole.
        """
        with self._lock:
            if self._ended:
                raise self._ended
            event = Operation(self._index, self._clock.elapsed_ns(), process, type, f, value, error, node)
            self._append(encode_line(event))
            self._index += 1
            if type != "invoke" and process != NEMESIS:
                self.counts[type] += 1

    def _append(self, line: bytes) -> None:
        """Writes a line, or takes its torn beginning back and ends the recording for good."""
        rest = line
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            with suppress(OSError):  # a reader copes with a torn last line too
                os.ftruncate(self._file, self._size_bytes)
            self._ended = WorkloadError(
                f"{self._path}: cannot be written ({error.strerror}); the {self._index:,} events before are kept."
                " Make room or choose another place, then start a new run"
            )
            raise self._ended from error
        self._size_bytes += len(line)

    def close(self) -> None:
        """Hands the history to the disk and ends the recording; whoever still wants to record gets an error.

        Raises:
            WorkloadError: The disk did not take it.
        """
        with self._lock:
            failed_before = self._ended
            self._ended = WorkloadError(f"{self._path}: the recording has ended")
            try:
                if not failed_before:
                    os.fsync(self._file)
            except OSError as error:
                raise WorkloadError(f"{self._path}: was not written to the disk ({error.strerror})") from error
            finally:
                os.close(self._file)
