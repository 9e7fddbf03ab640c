"""`shape_node.py FOLDER VERB` runs the back end userspace in a namespace; arguments as JSON on standard input.

There is no systemd in a namespace, so here the program is a plain process, whose pid is kept in FOLDER.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ansible.module_utils

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parents[2] / "jepsen_modules" / "module_utils"))

from ansible.module_utils.jepsen_shaping import Shape, Shaped, ShapingError  # noqa: E402
from ansible.module_utils.jepsen_userspace import QUEUES, Userspace  # noqa: E402


class Processes:
    """What `Units` offers, without systemd."""

    def __init__(self, folder):
        self._folder = Path(folder)

    def missing(self):
        return None

    def running(self):
        return [queue for queue in QUEUES if self._pid(queue)]

    def _pid(self, queue):
        with contextlib.suppress(OSError, ValueError):
            pid = int((self._folder / str(queue)).read_text())
            if "shaper" in Path(f"/proc/{pid}/cmdline").read_text():
                return pid
        return None

    def start(self, queue, command, longest_s):  # noqa: ARG002 - the program ends by itself
        with (self._folder / f"{queue}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        if process.stdout.readline() != b"ready\n":
            raise ShapingError((self._folder / f"{queue}.log").read_text()[-300:])
        (self._folder / str(queue)).write_text(str(process.pid))

    def stop(self, queue):
        os.kill(self._pid(queue), signal.SIGTERM)
        deadline = time.monotonic() + 5
        while self._pid(queue) and time.monotonic() < deadline:
            time.sleep(0.01)


def run(command, text=""):
    if not shutil.which(command[0]):
        return 127, "", f"{command[0]} is not on this node"
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=20, check=False, env=environment)
    return done.returncode, done.stdout, done.stderr


def shaped(window):
    """Makes a window from JSON; its bounds are seconds from now."""
    now_s = int(time.time())
    until_s = window.get("until_in_s", 60)
    shape = dict(window["shape"])
    if "gilbert" in shape:
        shape["gilbert"] = tuple(shape["gilbert"])
    return Shaped(
        window.get("name", "shape-1"),
        window.get("title", ""),
        Shape(**shape),
        window["peers"],
        tuple(window.get("ports", ())),
        now_s + window.get("from_in_s", 0),
        None if until_s is None else now_s + until_s,
    )


def main():
    backend = Userspace(run, Processes(sys.argv[1]))
    given = json.load(sys.stdin)
    try:
        if sys.argv[2] == "arm":
            answer = backend.arm(
                [shaped(w) for w in given["windows"]], given.get("controllers", []), check=given.get("check", False)
            )
        else:
            answer = getattr(backend, sys.argv[2])()
    except ShapingError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer, default=vars))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
