"""The scheduler: leads the clients through a run, from T0 to what is asked last."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from workloads.clients.base import Client, Completion, complete, describe
from workloads.clock import RunClock
from workloads.errors import WorkloadError
from workloads.generators import Invocation
from workloads.inputs import Window, WorkloadSpec
from workloads.nemesis import Nemesis
from workloads.pace import Pace
from workloads.progress import Status
from workloads.recorder import Recorder

POLL_S = 0.5  # between two questions whether the cluster has recovered
FINAL_TRIES = 5
FINAL_PAUSE_S = 1.0
DRAIN_S = 120.0  # for a final operation that is asked for again and again, until there is nothing left
CALLS_AN_OPERATION = 4  # at most: connect to whom to ask, ask, connect, call; each with its own time-out
SLACK_S = 10.0  # for a busy machine, before a client counts as stuck


class Worker:
    """One client with its thread, its operations, its pace, and the number of the process that it is now."""

    def __init__(self, client: Client, process: int, invocations: Iterator[Invocation], pace: Pace) -> None:
        self.client = client
        self.process = process
        self.invocations = invocations
        self.pace = pace
        self.thread = threading.Thread()
        self.given_up = False


class Scheduler:
    """Runs the phases: main, from T0 for `duration_s`; recovery, once the last window has ended; what is asked last.

    Every wait has a bound: a client's calls have their time-outs, and a thread that exceeds them by far is given up.
    """

    def __init__(  # noqa: PLR0913, PLR0917  (the parts of a run)
        self,
        spec: WorkloadSpec,
        final: Sequence[Invocation],
        windows: Sequence[Window],
        workers: Sequence[Worker],
        recorder: Recorder,
        clock: RunClock,
        status: Status,
        nemesis: Nemesis,
    ) -> None:
        self._spec = spec
        self._final = final
        self._windows = windows
        self._workers = workers
        self._recorder = recorder
        self._clock = clock
        self._status = status
        self._nemesis = nemesis
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._operation_bound_s = CALLS_AN_OPERATION * spec.timeout_s + SLACK_S

    def interrupt(self) -> None:
        """Ends the main phase and all waiting; each client still asks one last time."""
        self._stop.set()

    def run(self) -> None:
        """Leads the run to its end.

        Raises:
            WorkloadError: The history could not be written any more.
        """
        self._tell(self._nemesis.armed)
        self._status.waiting_for = "the start"
        self._stop.wait(-self._clock.elapsed_s())
        self._status.waiting_for = None
        self._start(self._workers, self._main)
        self._keep_appointments()
        self._join(self._workers, self._operation_bound_s)
        self._await_recovery()
        self._status.phase = "final"
        for final in self._final:
            free = [worker for worker in self._workers if not worker.given_up]
            self._start(free, partial(self._ask_last, final))
            self._join(free, FINAL_TRIES * (self._operation_bound_s + FINAL_PAUSE_S) + DRAIN_S)
        if self._failure:
            raise self._failure

    def _keep_appointments(self) -> None:
        """Records the windows' starts and ends as they come, until the last of them and the main phase are over."""
        appointments: list[tuple[float, Callable[[], None]]] = [(self._spec.duration_s, self._end_main)]
        for window in self._windows:
            appointments.append((window.from_s, partial(self._tell, partial(self._nemesis.started, window))))
            appointments.append((window.until_s, partial(self._tell, partial(self._nemesis.ended, window))))
        for at_s, act in sorted(appointments, key=lambda appointment: appointment[0]):
            if self._stop.wait(at_s - self._clock.elapsed_s()):
                return
            act()

    def _end_main(self) -> None:
        self._status.phase = "recovery"
        self._status.waiting_for = "the last operations and windows"

    def look_at_aims(self) -> None:
        """Records which late windows were aimed meanwhile; call it every second."""
        self._tell(self._nemesis.look)

    def _tell(self, record: Callable[[], None]) -> None:
        try:
            record()
        except WorkloadError as error:
            self._fail(error)

    def _start(self, workers: Sequence[Worker], work: Callable[[Worker], None]) -> None:
        for worker in workers:
            worker.thread = threading.Thread(target=self._guard, args=(work, worker), daemon=True)
            worker.thread.start()

    def _guard(self, work: Callable[[Worker], None], worker: Worker) -> None:
        """Lets the first thread that fails end the run for all."""
        try:
            work(worker)
        except Exception as error:  # noqa: BLE001  (run() raises it)
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._stop.set()

    def _main(self, worker: Worker) -> None:
        """Makes a client's operations when they are due, until the main phase ends."""
        done: Completion | None = None
        for invocation in worker.invocations:
            held_s = invocation.after_s if done and done.type == "ok" else 0.0
            free_s = self._clock.elapsed_s() + held_s
            due_s = max(worker.pace.next_due_s(free_s), free_s if held_s else 0.0)
            if due_s >= self._spec.duration_s:
                return
            wait_s = due_s - self._clock.elapsed_s()
            if self._stop.wait(wait_s) if wait_s > 0 else self._stop.is_set():
                return
            done = self._perform(worker, invocation)

    def _perform(self, worker: Worker, invocation: Invocation) -> Completion | None:
        """Makes an operation and records it; a process that does not know how its operation ended is dead after it."""
        f, value, _ = invocation
        node = worker.client.node
        self._recorder.record(worker.process, "invoke", f, value, node=node)
        completion = complete(worker.client, f, value)
        if worker.given_up:
            return None  # what is asked last did not wait for it, so it must not count as acknowledged before them
        self._recorder.record(worker.process, completion.type, f, completion.value, error=completion.error, node=node)
        self._status.note(f, completion.type, node)
        if completion.type == "info":
            worker.process += len(self._workers)
        return completion

    def _join(self, workers: Sequence[Worker], bound_s: float) -> None:
        """Waits for the threads, and gives up those that are stuck in a call."""
        deadline = time.monotonic() + bound_s
        for worker in workers:
            worker.thread.join(max(0.0, deadline - time.monotonic()))
            worker.given_up = worker.thread.is_alive()
            if worker.given_up:
                say(f"the client of {worker.client.node} is stuck in a call; how that ends stays unknown")

    def _await_recovery(self) -> None:
        """Waits until all nodes say that they have recovered, for `recovery_s` after the last window at most."""
        self._status.phase = "recovery"
        deadline_s = self._clock.elapsed_s() + self._spec.recovery_s
        while not self._stop.is_set():
            waiting_for = self._nemesis.unfinished() or self._unrecovered()
            self._status.waiting_for = waiting_for
            if not waiting_for:
                return
            if self._clock.elapsed_s() > deadline_s:
                say(f"the cluster did not recover within {self._spec.recovery_s:g} s, still waiting for {waiting_for}")
                return
            self._stop.wait(POLL_S)

    def _unrecovered(self) -> str | None:
        """Returns the first node that has not recovered, and what it waits for."""
        clients = {worker.client.node: worker.client for worker in self._workers}
        for node, client in clients.items():
            try:
                waiting_for = client.recovered()
            except Exception as error:  # noqa: BLE001  (a node that cannot be asked has not recovered)
                waiting_for = describe(error)
            if waiting_for:
                return f"{node}: {waiting_for}"
        return None

    def _ask_last(self, final: Invocation, worker: Worker) -> None:
        """Asks for the final state over a new connection; without it there is no verdict, so it is tried some times.

        A queue gives its content in parts, the last one empty; nothing else is asked again once it has answered.
        """
        worker.client.close()
        until_s = self._clock.elapsed_s() + DRAIN_S
        tries = 0
        while tries < FINAL_TRIES and self._clock.elapsed_s() < until_s:
            completion = self._perform(worker, final)
            if not completion:
                return
            if completion.type != "ok":
                tries += 1
                if self._stop.wait(FINAL_PAUSE_S):
                    return
            elif final.f != "drain" or not completion.value:
                return


def say(sentence: str) -> None:
    """Tells the user something that they should know of the run."""
    print(f"drive: {sentence}", file=sys.stderr, flush=True)  # noqa: T201  (a program's own words)
