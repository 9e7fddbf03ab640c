"""Work in parallel processes, of which none can take the others with it: not by dying, not by filling the memory."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
GRACE_S = 5.0  # after Ctrl-C, to say what is known
_LOOK_S = 0.1  # for Ctrl-C


class Lost(Exception):  # noqa: N818 - a word for a reader: what became of one item
    """An item without an answer; its text says why, as a part of a sentence."""


class _Worker:
    """A process that takes one item after the other."""

    def __init__(self, task: Callable[[str], T], others: Sequence["_Worker"]) -> None:
        self.pipe, theirs = get_context("fork").Pipe()
        parents = [self.pipe, *(other.pipe for other in others)]
        self.process = get_context("fork").Process(target=_serve, args=(task, theirs, parents), daemon=True)
        self.process.start()
        theirs.close()
        self.at = -1  # the item that it has; -1: none

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run_all(task: Callable[[str], T], items: Sequence[str]) -> Iterator[T | Lost]:
    """Runs a task on every item, and hands out the answers in the items' order, each as soon as it can.

    Ctrl-C reaches the tasks as KeyboardInterrupt; what they answer within `GRACE_S` still counts.

    Args:
        task: Its answers must be picklable; an exception of its own ends its process, and the item is lost.
        items: What it is called with.
    """
    answers: dict[int, T | Lost] = {}
    waiting = list(range(len(items)))[::-1]
    workers: list[_Worker] = []
    handed = 0
    count = min(len(os.sched_getaffinity(0)), len(items))
    with _ctrl_c() as pressed:
        try:
            while handed < len(items):
                if pressed.is_set():
                    _give_up(workers, answers)
                    waiting = []
                while waiting and len(workers) < count:
                    workers.append(_Worker(task, workers))
                    _give(workers[-1], waiting, items)
                for worker in _ready(workers):
                    answers[worker.at] = _take(worker)
                    if waiting and worker.process.is_alive():
                        _give(worker, waiting, items)
                    else:
                        workers.remove(worker)
                        worker.end()
                while handed in answers or (pressed.is_set() and not workers and handed < len(items)):
                    yield answers.pop(handed, Lost("interrupted before it was judged"))
                    handed += 1
        finally:
            for worker in workers:
                worker.end()


def _give(worker: _Worker, waiting: list[int], items: Sequence[str]) -> None:
    worker.at = waiting.pop()
    worker.pipe.send(items[worker.at])


def _ready(workers: Sequence[_Worker]) -> list[_Worker]:
    ready = wait([worker.pipe for worker in workers], _LOOK_S) if workers else []
    return [worker for worker in workers if worker.pipe in ready]


def _take(worker: _Worker) -> Any:  # noqa: ANN401 - the task's answer
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        code = worker.process.exitcode or 0
        why = f"signal {-code}, which is what a machine without memory sends" if code == -9 else f"status {code}"
        return Lost(f"the process that judged it ended with {why}")


def _give_up(workers: list[_Worker], answers: dict[int, Any]) -> None:
    """Interrupts the workers, and takes what they still say."""
    for worker in workers:
        worker.process.terminate()
    until = time.monotonic() + GRACE_S
    while workers and time.monotonic() < until:
        for worker in _ready(workers):
            answer = _take(worker)
            answers[worker.at] = Lost("interrupted before it was judged") if isinstance(answer, Lost) else answer
            workers.remove(worker)
            worker.end()
    while workers:
        workers.pop().end()


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """Gives an event that the first Ctrl-C sets; the second one is as ever."""
    pressed = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(task: Callable[[str], Any], pipe: Connection, parents: Sequence[Connection]) -> None:
    """Answers until there is nothing more; a terminal's Ctrl-C is for the parent, who passes it on as SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for parent in parents:
        parent.close()  # else nobody would see the parent's end
    while True:
        try:
            item = pipe.recv()
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            answer = task(item)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        except EOFError:
            return
        except KeyboardInterrupt:
            os._exit(130)
        pipe.send(answer)
