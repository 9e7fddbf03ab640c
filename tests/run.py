"""Runs all tests in two lanes: those of real time, which mostly wait, and beside them those that mostly compute.

The latter have a lower priority, so that they take no time from the former, and mounts of their own, so that a test
that looks whether the machine is as it was does not see theirs. What they print comes when the former have ended.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
# What measures packets or waits for windows; the other tests of packets play playbooks, or look what is refused.
REAL_TIME = [
    "tests/kernel",
    "tests/lab",
    "tests/packet/test_cuts.py",
    "tests/packet/test_partition.py",
    "tests/packet/test_status_and_heal.py",
    "tests/packet/test_userspace.py",
]
NICE = 10
GRACE_S = 60  # for an interrupted lane to end what its tests have started
NO_TESTS = 5  # pytest's exit status when it selects none


def start(chosen: list[str], *before: str, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Starts pytest on some of the tests, with the words of this command line."""
    command = [*before, sys.executable, "-m", "pytest", *chosen, *sys.argv[1:]]
    return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, start_new_session=output is not None)


def beside() -> list[str]:
    """What goes before a command that is to stay out of the others' way."""
    alone = ["unshare", "--mount"] if os.geteuid() == 0 and shutil.which("unshare") else []
    return ["nice", "-n", str(NICE), *alone]


def interrupt(waiting: subprocess.Popen[bytes], computing: subprocess.Popen[bytes]) -> None:
    """Ends the lane of which Ctrl-C knows nothing, and lets both undo what their tests have done."""
    if computing.poll() is None:
        os.killpg(computing.pid, signal.SIGINT)
    for lane in (waiting, computing):
        try:
            lane.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            lane.kill()


def say(sentence: str) -> None:
    """Tells how far the tests are."""
    print(f"tests     {sentence}", flush=True)  # noqa: T201 - a program's own words


def main() -> int:
    """Runs both lanes and returns the exit status: 0 when all tests that ran have passed."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        say("those of real time; beside them all others, whose results come after these")
        others = ["tests", *(f"--ignore={path}" for path in REAL_TIME)]
        computing, waiting = start(others, *beside(), output=output), start(REAL_TIME)
        try:
            waiting.wait()
            say("all others")
            computing.wait()
        except KeyboardInterrupt:
            interrupt(waiting, computing)
        output.seek(0)
        sys.stdout.buffer.write(output.read())
    say(f"{(time.monotonic() - began) / 60:.1f} min")
    return next((lane.returncode for lane in (waiting, computing) if lane.returncode not in (0, NO_TESTS)), 0)


if __name__ == "__main__":
    sys.exit(main())
