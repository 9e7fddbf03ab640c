"""What the recorder and the scheduler carry: operations a second with clients that do nothing.

The floor is measured in the same run: one loop that writes the very same lines. Exit status 1 below the least that is
asked for.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from analysis.history import HISTORY_FILE
from workloads.clock import RunClock
from workloads.generators import WORKLOADS, Task
from workloads.inputs import Cluster, WorkloadSpec
from workloads.nemesis import Nemesis
from workloads.pace import Pace
from workloads.progress import Status
from workloads.recorder import Recorder
from workloads.registry import find_client
from workloads.scheduler import Scheduler, Worker

DURATION_S = 2.0
LEAST_OPS = 20_000
GOAL_OPS = 50_000
UNBOUNDED = float("inf")


def drive(folder: Path, name: str, clients: int) -> float:
    """Drives a workload as fast as it goes; returns operations a second."""
    nodes = [f"n{number + 1}" for number in range(clients)]
    spec = WorkloadSpec(name, DURATION_S, UNBOUNDED, nodes, timeout_s=1.0, recovery_s=0.0)
    cluster = Cluster("noop", dict.fromkeys(nodes, "127.0.0.1"))
    make_client, workload = find_client("noop", name), WORKLOADS[name]
    workers = [
        Worker(
            make_client(node, cluster, spec.timeout_s, run="bench"),
            number,
            workload.operations(Task(number, clients, 1)),
            Pace(number, clients, spec.rate),
        )
        for number, node in enumerate(nodes)
    ]
    clock = RunClock(time.time_ns())
    recorder = Recorder(folder / HISTORY_FILE, clock)
    nemesis = Nemesis(folder, [], recorder)
    Scheduler(spec, workload.final, [], workers, recorder, clock, Status(), nemesis).run()
    elapsed_s = clock.elapsed_s()
    recorder.close()
    return recorder.counts["ok"] / elapsed_s


def write_again(folder: Path) -> float:
    """Writes the lines of the history in a plain loop; returns operations (two lines each) a second."""
    lines = (folder / HISTORY_FILE).read_bytes().splitlines(keepends=True)
    file = os.open(folder / "floor.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began = time.perf_counter()
    for line in lines:
        os.write(file, line)
    elapsed_s = time.perf_counter() - began
    os.close(file)
    return len(lines) / 2 / elapsed_s


def main() -> int:
    """Measures both workloads and prints one line each."""
    rates = []
    for name, clients in (("set", 1), ("set", 5), ("set", 20), ("register", 5)):
        with tempfile.TemporaryDirectory() as folder:
            rate = drive(Path(folder), name, clients)
            floor = write_again(Path(folder))
        rates.append(rate)
        print(
            f"recorder  {name:8} {clients:2} clients  {rate:9,.0f} ops/s"
            f"   floor {floor:9,.0f} ops/s   {floor / rate:4.1f} times the floor's time"
        )
    verdict = "reached" if min(rates) >= GOAL_OPS else "missed"
    print(f"recorder  least {min(rates):,.0f} ops/s, asked for {LEAST_OPS:,}; the goal of {GOAL_OPS:,} is {verdict}")
    return int(min(rates) < LEAST_OPS)


if __name__ == "__main__":
    sys.exit(main())
