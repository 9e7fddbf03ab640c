"""The watch: once a second it shows the progress, and it ends the run when it is told to or nobody waits for it."""

import os
import signal
import threading
from collections.abc import Callable

INTERRUPTED = 130  # exit status, as shells have it for Ctrl-C
SIGNALS = (signal.SIGINT, signal.SIGTERM)
PERIOD_S = 1.0


def hold_signals() -> None:
    """Leaves the signals to the watch, which takes them once it has started.

    Call it before anything starts a thread, as some libraries do when they are loaded: a thread of theirs would be
    given the signal, and the whole process would end of it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


class Watch:
    """Takes the signals in a thread of its own; hold_signals comes first.

    A handler would run between two bytecodes of the main thread, which may hold the very lock that the handler needs
    to tell the other threads. The parent is watched by its number: PR_SET_PDEATHSIG would also fire when only the
    *thread* that started this process ends, and starting programs from threads is what Ansible and its callers do.
    """

    def __init__(self, show: Callable[[], None], interrupt: Callable[[], None], follow: int | None = None) -> None:
        """Takes what to do each second, and what to do once when the run is to end early.

        `follow` is a process besides the parent whose end ends the run: who starts this one in the background has a
        parent for it that outlives him.
        """
        self._show = show
        self._interrupt = interrupt
        self._parent = os.getppid()
        self._follow = follow
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.interrupted_by: str | None = None

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch after showing the progress for the last time."""
        self._ended = True
        os.kill(os.getpid(), signal.SIGTERM)  # wakes the thread; to the process it is blocked, and harmless
        self._thread.join()

    def _run(self) -> None:
        while not self._ended:
            taken = signal.sigtimedwait(SIGNALS, PERIOD_S)
            if taken and not self._ended:
                if self.interrupted_by:
                    os._exit(INTERRUPTED)  # asked twice: the history is whole at any moment
                self._end(signal.Signals(taken.si_signo).name)
            elif self._left_alone() and not self.interrupted_by:
                self._end("the end of the program that started it")
            self._show()

    def _left_alone(self) -> bool:
        """Whether nobody waits for the run any more."""
        if os.getppid() != self._parent:
            return True
        try:
            os.kill(self._follow or os.getpid(), 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it is there, and somebody else's
            pass
        return False

    def _end(self, reason: str) -> None:
        self.interrupted_by = reason
        self._interrupt()
