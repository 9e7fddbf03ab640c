"""The scheduler, led through whole runs with clients that answer, fail, doubt and hang on demand."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.history import History
from tests.unit.hand_made import read_history
from workloads import scheduler as scheduling
from workloads.clients.base import Client, NotAppliedError, Value
from workloads.clock import RunClock
from workloads.errors import WorkloadError
from workloads.generators import COPY, READ, Invocation, Task, adds, lock_operations
from workloads.inputs import Cluster, Window, WorkloadSpec
from workloads.nemesis import Nemesis
from workloads.pace import Pace
from workloads.progress import Status
from workloads.recorder import Recorder
from workloads.scheduler import Scheduler, Worker

pytestmark = pytest.mark.unit

CLUSTER = Cluster("test", {"n1": "127.0.0.1", "n2": "127.0.0.1", "n3": "127.0.0.1"})


class SetInMemory(Client):
    """A set that all clients share; `before` is what happens to a call on its way."""

    def __init__(self, node: str, elements: set[int], before: Callable[[str, Value], None]) -> None:
        super().__init__(node, CLUSTER, 0.1, "1")
        self.elements = elements
        self.before = before
        self.waits_for: list[str | None] = []
        self.closed = 0

    def open(self) -> None:
        pass

    def invoke(self, f: str, value: Value) -> Value:
        self.before(f, value)
        if isinstance(value, int):
            self.elements.add(value)
            return value
        return sorted(self.elements)

    def close(self) -> None:
        self.closed += 1

    def recovered(self) -> str | None:
        return self.waits_for.pop(0) if self.waits_for else None


class Run:
    """A run of three clients, one a node, and what came of it."""

    def __init__(self, folder: Path, before: Callable[[str, Value], None], **spec: float) -> None:
        self.folder = folder
        options = {"duration_s": 0.4, "rate": 100.0, "timeout_s": 0.1, "recovery_s": 5.0} | spec
        self.spec = WorkloadSpec("set", clients=list(CLUSTER.nodes), **options)  # type: ignore[arg-type]
        self.elements: set[int] = set()
        self.clients = [SetInMemory(node, self.elements, before) for node in CLUSTER.nodes]
        self.status = Status()
        self.scheduler: Scheduler

    def lead(self, windows: list[Window] | None = None, path: Path | None = None) -> History:
        clock = RunClock(time.time_ns() + 50_000_000)
        recorder = Recorder(path or self.folder / "history.jsonl", clock)
        workers = [
            Worker(client, i, adds(Task(i, len(self.clients), 0)), Pace(i, len(self.clients), self.spec.rate))
            for i, client in enumerate(self.clients)
        ]
        nemesis = Nemesis(self.folder, windows or [], recorder)
        self.scheduler = Scheduler(self.spec, (READ,), windows or [], workers, recorder, clock, self.status, nemesis)
        try:
            self.scheduler.run()
        finally:
            recorder.close()
        return read_history(self.folder)


def nothing(f: str, value: Value) -> None:
    pass


def test_a_run_is_paced_and_ends_with_a_read_by_every_client(tmp_path: Path) -> None:
    history = Run(tmp_path, nothing).lead()
    added = [call.invoke.value for call in history.calls if call.invoke.f == "add"]
    assert 30 <= len(added) <= 40, "100 a second for 0.4 s; a busy machine leaves some out"
    assert len(set(added)) == len(added)
    reads = [call for call in history.calls if call.invoke.f == "read"]
    assert sorted(read.node for read in reads) == ["n1", "n2", "n3"]
    assert all(read.completion and read.completion.value == sorted(added) for read in reads)
    assert min(call.invoke.time for call in history.calls) >= 0, "nothing is asked before T0"


def test_a_process_dies_of_doubt_and_its_thread_goes_on_as_another(tmp_path: Path) -> None:
    def doubt_on_n2(f: str, value: Value) -> None:
        if isinstance(value, int) and value % 3 == 1:
            raise TimeoutError("no answer\nin 5 s")

    history = Run(tmp_path, doubt_on_n2, rate=30.0).lead()
    of_n2 = [call for call in history.calls if call.node == "n2" and call.invoke.f == "add"]
    assert [call.invoke.process for call in of_n2] == [1 + 3 * k for k in range(len(of_n2))]
    assert len(of_n2) >= 3
    assert {call.completion and call.completion.error for call in of_n2} == {"TimeoutError: no answer in 5 s"}
    assert {call.invoke.process for call in history.calls if call.node == "n1"} == {0}


def test_what_certainly_did_not_happen_fails_and_so_does_a_read_without_an_answer(tmp_path: Path) -> None:
    def refuse(f: str, value: Value) -> None:
        raise NotAppliedError("compare failed") if f == "add" else ConnectionResetError("gone")

    run = Run(tmp_path, refuse, rate=30.0)
    scheduling_pause, scheduling.FINAL_PAUSE_S = scheduling.FINAL_PAUSE_S, 0.01
    try:
        history = run.lead()
    finally:
        scheduling.FINAL_PAUSE_S = scheduling_pause
    assert {(call.invoke.f, call.completion and call.completion.type) for call in history.calls} == {
        ("add", "fail"),
        ("read", "fail"),
    }
    assert {call.invoke.process for call in history.calls} == {0, 1, 2}
    assert len([call for call in history.calls if call.invoke.f == "read"]) == 3 * scheduling.FINAL_TRIES
    assert {call.completion and call.completion.error for call in history.calls} == {
        "NotApplied: compare failed",
        "ConnectionResetError: gone",
    }


def test_the_windows_stand_in_the_history_and_the_final_reads_behind_them(tmp_path: Path) -> None:
    windows = [Window("cut-1", "n1 | n2 n3", 0.1, 0.2), Window("cut-2", "n3 | n1 n2", 0.15, 0.7)]
    history = Run(tmp_path, nothing).lead(windows)
    told = [(event.f, event.value["window"], event.time) for event in history.nemesis]
    assert [(f, window) for f, window, _ in told] == [
        ("arm", "cut-1"),
        ("arm", "cut-2"),
        ("start", "cut-1"),
        ("start", "cut-2"),
        ("end", "cut-1"),
        ("end", "cut-2"),
    ]
    assert told[0][2] < 0 <= told[2][2]
    for f, at_s, (_, _, time_ns) in zip(("start", "end"), (0.1, 0.7), (told[2], told[5]), strict=True):
        assert at_s * 1e9 <= time_ns < (at_s + 0.2) * 1e9, f
    reads = [call.invoke.time for call in history.calls if call.invoke.f == "read"]
    assert min(reads) > told[5][2], "the last window outlives the main phase, and is waited for"
    assert history.nemesis[0].value == {"window": "cut-1", "title": "n1 | n2 n3"}


def test_the_final_reads_wait_for_recovery(tmp_path: Path) -> None:
    run = Run(tmp_path, nothing, duration_s=0.1)
    run.clients[1].waits_for = ["2 of 4 replicas online"]
    began = time.monotonic()
    run.lead()
    assert time.monotonic() - began > scheduling.POLL_S
    assert run.status.waiting_for is None
    assert run.status.phase == "final"


def test_recovery_has_a_bound_and_says_what_it_waited_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = Run(tmp_path, nothing, duration_s=0.1, recovery_s=0.2)
    run.clients[2].waits_for = ["a leader"] * 100
    history = run.lead()
    assert "did not recover within 0.2 s, still waiting for n3: a leader" in capfd.readouterr().err
    assert [call.invoke.f for call in history.calls].count("read") == 3, "it reads what there is"


def test_a_stuck_client_is_given_up_and_its_late_answer_does_not_count(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "SLACK_S", 0.2)
    answer = threading.Event()

    def hang(f: str, value: Value) -> None:
        if value == 1:
            answer.wait(30)
        elif f == "read":
            answer.set()  # the late answer comes while the others read
            time.sleep(0.1)

    history = Run(tmp_path, hang, duration_s=0.2, timeout_s=0.05).lead()
    (stuck,) = [call for call in history.calls if call.invoke.value == 1]
    assert stuck.completion is None
    assert sorted(call.node for call in history.calls if call.invoke.f == "read") == ["n1", "n3"]
    assert "the client of n2 is stuck in a call" in capfd.readouterr().err


def test_a_blocked_client_does_not_burst_and_does_not_slow_the_others(tmp_path: Path) -> None:
    def block_n1(f: str, value: Value) -> None:
        if value == 6:
            time.sleep(0.5)

    history = Run(tmp_path, block_n1, duration_s=1.0, rate=60.0).lead()
    times = {
        node: [c.invoke.time for c in history.calls if c.node == node and c.invoke.f == "add"] for node in ("n1", "n2")
    }
    after = [at for at in times["n1"] if at > times["n1"][2] + 450_000_000]
    assert len(after) <= 14, "20 a second for the half second that is left, and few late: not all 20"
    assert len(times["n2"]) >= 14, "of 20; had it been blocked, too, it would have 10"


def test_an_interrupted_run_still_reads(tmp_path: Path) -> None:
    run = Run(tmp_path, nothing, duration_s=60.0)
    run.clients[0].waits_for = ["for ever"] * 1000
    threading.Timer(0.4, lambda: run.scheduler.interrupt()).start()  # noqa: PLW0108  (lead() makes the scheduler)
    began = time.monotonic()
    history = run.lead([Window("cut-1", "n1 | n2 n3", 0.1, 50.0)])
    assert time.monotonic() - began < 5
    assert [event.f for event in history.nemesis] == ["arm", "start"], "a window that goes on has not ended"
    assert [call.invoke.f for call in history.calls].count("read") == 3


def test_a_full_disk_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="No space left on device"):
        Run(tmp_path, nothing, duration_s=60.0).lead(path=Path("/dev/full"))


def test_the_final_read_uses_a_new_connection(tmp_path: Path) -> None:
    run = Run(tmp_path, nothing, duration_s=0.1)
    run.lead()
    assert [client.closed for client in run.clients] == [1, 1, 1]


def test_nobody_asks_for_what_comes_last_before_all_have_what_comes_before_it(tmp_path: Path) -> None:
    asked: list[str] = []

    def slow(f: str, value: Value) -> None:
        time.sleep(0.05 * len(asked) if f == "copy" else 0)
        asked.append(f)

    run = Run(tmp_path, slow, duration_s=0.0)
    lead(run, run.clients, (COPY, READ), adds)
    assert asked == ["copy"] * 3 + ["read"] * 3


class QueueInMemory(SetInMemory):
    """Hands its elements out two at a time when it is drained; one answer is lost on the way."""

    def invoke(self, f: str, value: Value) -> Value:
        self.before(f, value)
        if f != "drain":
            return super().invoke(f, value)
        return [self.elements.pop() for _ in range(min(2, len(self.elements)))]


def lead(
    run: Run, clients: list[SetInMemory], final: tuple[Invocation, ...], task: Callable[[Task], object]
) -> History:
    """Leads these clients, each with a task's operations."""
    clock = RunClock(time.time_ns() + 50_000_000)
    recorder = Recorder(run.folder / "history.jsonl", clock)
    workers = [
        Worker(
            client,
            i,
            task(Task(i, len(clients), 0, run.spec.hold_s)),  # type: ignore[arg-type]
            Pace(i, len(clients), run.spec.rate),
        )
        for i, client in enumerate(clients)
    ]
    nemesis = Nemesis(run.folder, [], recorder)
    scheduler = Scheduler(run.spec, final, [], workers, recorder, clock, run.status, nemesis)
    try:
        scheduler.run()
    finally:
        recorder.close()
    return read_history(run.folder)


def test_a_queue_is_drained_until_it_is_empty_by_every_client(tmp_path: Path) -> None:
    broken = iter([True])

    def break_once(f: str, value: Value) -> None:
        if f == "drain" and next(broken, False):
            raise ConnectionResetError("gone")

    run = Run(tmp_path, nothing)
    clients = [QueueInMemory(node, run.elements, break_once) for node in CLUSTER.nodes]
    history = lead(run, clients, (Invocation("drain", None),), adds)
    added = {call.invoke.value for call in history.calls if call.invoke.f == "add"}
    drains = [call for call in history.calls if call.invoke.f == "drain"]
    told = [call.completion for call in drains if call.completion]
    assert [end.type for end in told if end.type != "ok"] == ["info"], "nobody knows what a broken drain took"
    assert {element for end in told if end.type == "ok" for element in end.value} == added
    assert {call.node for call in drains if call.completion and call.completion.value == []} == set(CLUSTER.nodes)


class LockInMemory(SetInMemory):
    """A lock that all clients of one set share."""

    def invoke(self, f: str, value: Value) -> Value:
        self.before(f, value)
        if f == "acquire":
            if self.elements:
                raise NotAppliedError("somebody holds it")
            self.elements.add(hash(self.node))
            return None
        if self.elements != {hash(self.node)}:
            raise NotAppliedError("it is not held")
        self.elements.clear()
        return None


def test_who_got_the_lock_holds_it_and_the_others_go_on_asking(tmp_path: Path) -> None:
    run = Run(tmp_path, nothing, duration_s=0.6, rate=60.0, hold_s=0.25)
    clients = [LockInMemory(node, run.elements, nothing) for node in CLUSTER.nodes]
    history = lead(run, clients, (), lock_operations)
    ended = [call for call in history.calls if call.completion and call.completion.type == "ok"]
    got, gave = ([call for call in ended if call.invoke.f == f] for f in ("acquire", "release"))
    assert len(got) >= 2
    held_ns = gave[0].invoke.time - got[0].completion.time  # type: ignore[union-attr]
    assert 250_000_000 <= held_ns < 400_000_000
    refused = [call for call in history.calls if call.completion and call.completion.type == "fail"]
    assert len(refused) > 5
    assert {call.invoke.f for call in history.calls} == {"acquire", "release"}, "nothing is asked last"
    still = got[len(gave) :]
    assert run.status.holders == [call.node for call in still]


class CopyInMemory(SetInMemory):
    """Says what its own node has; n2 cannot, once."""

    refusals = 1

    def invoke(self, f: str, value: Value) -> Value:
        if f != "copy":
            return super().invoke(f, value)
        if self.node == "n2" and self.refusals:
            self.refusals -= 1
            raise ConnectionResetError("gone")
        return [len(self.node)]


def test_what_is_asked_last_is_asked_one_after_the_other_each_until_it_is_answered(tmp_path: Path) -> None:
    run = Run(tmp_path, nothing)
    clients: list[SetInMemory] = [CopyInMemory(node, run.elements, nothing) for node in CLUSTER.nodes]
    history = lead(run, clients, (READ, Invocation("copy", None)), adds)
    last = [(c.node, c.invoke.f, c.completion.type) for c in history.calls if c.completion and c.invoke.f != "add"]
    assert [(f, end) for node, f, end in last if node == "n1"] == [("read", "ok"), ("copy", "ok")]
    assert [(f, end) for node, f, end in last if node == "n2"] == [("read", "ok"), ("copy", "fail"), ("copy", "ok")]
