"""The drive: makes a run's workload happen and records it.

`python -m workloads.drive FOLDER [--follow PID]` reads scenario.yml, cluster.json and faults.json there, and aimed.json
as it comes, and writes history.jsonl and progress.json. Exit status: 0 when the final reads were made, whatever they
said; 3 when the run could not be driven, or not to its end; 130 when it was interrupted.
"""

import argparse
import sys
from pathlib import Path

from analysis.history import HISTORY_FILE
from workloads.clients.base import describe
from workloads.clock import RunClock
from workloads.errors import WorkloadError
from workloads.generators import WORKLOADS, Task
from workloads.inputs import Inputs, read_inputs
from workloads.nemesis import Nemesis
from workloads.pace import Pace
from workloads.progress import ProgressFile, Status
from workloads.recorder import Recorder
from workloads.registry import find_client
from workloads.scheduler import Scheduler, Worker, say
from workloads.watch import INTERRUPTED, Watch, hold_signals

COULD_NOT_RUN = 3
LATEST_START_S = 1.0  # after T0: later, the faults would have begun without the workload
EARLIEST_START_S = 600.0  # before T0: earlier, somebody's clock is wrong


def drive(folder: Path, follow: int | None = None) -> int:
    """Drives the run in a folder and returns the exit status; the end of the process `follow` ends it early.

    Raises:
        WorkloadError: It cannot be driven, or not to its end.
    """
    hold_signals()
    inputs = read_inputs(folder)
    spec, windows = inputs.scenario.workload, inputs.faults.windows
    clock = start_clock(inputs.faults.t0_ns)
    workers = make_workers(inputs)
    set_up(workers[0], clock)
    recorder = Recorder(folder / HISTORY_FILE, clock)
    status = Status()
    nemesis = Nemesis(folder, windows, recorder, inputs.faults.actions)
    final = WORKLOADS[spec.name].final
    scheduler = Scheduler(spec, final, windows, workers, recorder, clock, status, nemesis)
    progress = ProgressFile(folder / "progress.json", status, recorder, clock, spec.duration_s, windows)

    def each_second() -> None:
        progress.write()
        scheduler.look_at_aims()

    watch = Watch(each_second, scheduler.interrupt, follow)
    watch.start()
    try:
        scheduler.run()
    finally:
        watch.stop()
        recorder.close()
    if watch.interrupted_by:
        say(f"interrupted by {watch.interrupted_by}; the history is whole up to there")
        return INTERRUPTED
    return 0


def start_clock(t0_ns: int) -> RunClock:
    """Returns the run's clock, if T0 can still be waited for.

    Raises:
        WorkloadError: T0 has passed, or is absurdly far away.
    """
    clock = RunClock(t0_ns)
    elapsed_s = clock.elapsed_s()
    if elapsed_s > LATEST_START_S:
        raise WorkloadError(
            f"faults.json: the run began {elapsed_s:.1f} s ago (t0_ns {t0_ns}), too late for the workload; arm again"
        )
    if elapsed_s < -EARLIEST_START_S:
        raise WorkloadError(
            f"faults.json: the run begins in {-elapsed_s:,.0f} s (t0_ns {t0_ns}), expected {EARLIEST_START_S:g} s"
            " at most; compare the clocks of this machine and of the one that armed the faults"
        )
    return clock


def set_up(first: Worker, clock: RunClock) -> None:
    """Makes what the workload needs, before T0.

    Raises:
        WorkloadError: It could not be made, or not in time.
    """
    node = first.client.node
    try:
        first.client.set_up()
    except Exception as error:
        raise WorkloadError(f"{node}: the workload could not be set up: {describe(error)}") from error
    finally:
        first.client.close()
    if clock.elapsed_s() > LATEST_START_S:
        raise WorkloadError(
            f"{node}: setting up the workload took until {clock.elapsed_s():.1f} s after the run's begin;"
            " give it more time with --ahead 60 (of the playbook: -e arm_ahead_s=60)"
        )


def make_workers(inputs: Inputs) -> list[Worker]:
    """Returns one worker a client of the scenario, each a pure function of its number and the seed.

    Raises:
        WorkloadError: There is no client for this database and workload, or its options are wrong.
    """
    scenario, cluster, faults = inputs
    spec = scenario.workload
    make_client = find_client(scenario.database, spec.name)
    clients = len(spec.clients)
    return [
        Worker(
            make_client(node, cluster, spec.timeout_s, run=str(faults.t0_ns)),
            process=number,
            invocations=WORKLOADS[spec.name].operations(Task(number, clients, scenario.seed, spec.hold_s)),
            pace=Pace(number, clients, spec.rate),
        )
        for number, node in enumerate(spec.clients)
    ]


def main() -> int:
    """Runs the command line and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m workloads.drive", description="Drives the workload of a run.")
    parser.add_argument("folder", type=Path, help="the run's folder, with scenario.yml, cluster.json and faults.json")
    parser.add_argument("--follow", type=int, metavar="PID", help="a process whose end ends the run")
    try:
        asked = parser.parse_args()
        return drive(asked.folder, asked.follow)
    except WorkloadError as error:
        say(str(error))
        return COULD_NOT_RUN
    except SystemExit as end:  # argparse has said what is wrong; its own 2 means "unknown" in this project
        return COULD_NOT_RUN if end.code else 0


if __name__ == "__main__":
    sys.exit(main())
