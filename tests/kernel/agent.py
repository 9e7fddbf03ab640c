"""PID 1 of the virtual machine: runs what the tests send through a virtio port, a line of JSON each.

A request is ``{id, argv, stdin}`` (a program), ``{id, module, namespace, stdin}`` (an Ansible module) or ``{id, script,
namespace, words}`` (a program of the tests); the latter two are forked from this process, which has Ansible loaded: an
interpreter takes seconds to start on an emulated CPU. ``{id, clock_ns}`` sets the clock, ``{id, files}`` brings the
project's files, a tar in base64. The answer is ``{id, code, out, err}``.
"""

import base64
import ctypes
import glob
import io
import json
import os
import runpy
import select
import subprocess
import sys
import tarfile
import time
import traceback

PROJECT = "/run/project"
PORT = "/dev/virtio-ports/agent"
CLONE_NEWNET = 0x40000000


def prepare():
    os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL="C.UTF-8", PYTHONDONTWRITEBYTECODE="1")
    # The initial RAM disk has mounted /sys and /dev.
    for kind, place in (("proc", "/proc"), ("tmpfs", "/run"), ("tmpfs", "/tmp")):  # noqa: S108 - where it belongs
        if not os.path.ismount(place):
            subprocess.run(["mount", "-t", kind, kind, place], check=False)
    modules = "virtio_console bridge veth sch_netem sch_htb nf_tables nft_ct nft_counter"
    for module in modules.split():
        subprocess.run(["modprobe", "-q", module], check=False)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=False)


def port():
    """Waits for the port and opens it; without udev nobody makes the link by its name."""
    while not (found := glob.glob("/dev/vport*")):  # noqa: PTH207 - pathlib is one import more on a slow CPU
        time.sleep(0.01)
    return os.open(found[0], os.O_RDWR)


def enter(namespace):
    with open(f"/run/netns/{namespace}") as handle:  # noqa: PTH123 - as above
        if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


def run_module(request):
    from ansible.module_utils.testing import patch_module_args  # noqa: PLC0415 - comes with the files

    if request.get("namespace"):
        enter(request["namespace"])
    with patch_module_args(json.loads(request["stdin"])):
        runpy.run_path(f"{PROJECT}/jepsen_modules/{request['module']}.py", run_name="__main__")


def run_script(request):
    enter(request["namespace"])
    sys.argv = [request["script"], *request["words"]]
    runpy.run_path(f"{PROJECT}/tests/{request['script']}", run_name="__main__")


def child(request, out, err):
    """Becomes what was asked for; returns only the exit status of a module."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    text = os.memfd_create("stdin")
    os.write(text, request.get("stdin", "").encode())
    os.lseek(text, 0, os.SEEK_SET)
    os.dup2(text, 0)
    try:
        if "argv" in request:
            os.execvp(request["argv"][0], request["argv"])  # noqa: S606 - no shell on purpose
        (run_script if "script" in request else run_module)(request)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the tests see it
        traceback.print_exc()
        return 99
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def take_files(text):
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(text))) as tar:
        tar.extractall(PROJECT)  # noqa: S202 - the tests made it
    sys.path.insert(0, PROJECT)
    import ansible.module_utils.basic  # noqa: PLC0415 - came with the files; loaded once, for all children
    import ansible.module_utils.testing  # noqa: PLC0415 - the same

    ansible.module_utils.__path__.append(f"{PROJECT}/jepsen_modules/module_utils")


def content(handle):
    os.lseek(handle, 0, os.SEEK_SET)
    with os.fdopen(handle, "rb") as file:
        return file.read().decode(errors="replace")


class Agent:
    def __init__(self, channel):
        self.channel = channel
        self.running = {}

    def answer(self, number, code=0, out="", err=""):
        data = (json.dumps({"id": number, "code": code, "out": out, "err": err}) + "\n").encode()
        while data:
            data = data[os.write(self.channel, data[:4096]) :]

    def take(self, request):
        if "clock_ns" in request:
            time.clock_settime_ns(time.CLOCK_REALTIME, request["clock_ns"])
            return self.answer(request["id"])
        if "files" in request:
            take_files(request["files"])
            return self.answer(request["id"])
        out, err = os.memfd_create("out"), os.memfd_create("err")
        pid = os.fork()
        if pid == 0:
            os._exit(child(request, out, err))
        self.running[pid] = (request["id"], out, err)
        return None

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.running:
                number, out, err = self.running.pop(pid)
                self.answer(number, os.waitstatus_to_exitcode(status), content(out), content(err))

    def serve(self):
        rest = b""
        while True:
            if select.select([self.channel], [], [], 0.005 if self.running else 0.2)[0]:
                got = os.read(self.channel, 1 << 16)
                if not got:  # nobody is at the other end
                    time.sleep(0.05)
                *lines, rest = (rest + got).split(b"\n")
                for line in lines:
                    self.take(json.loads(line))
            self.reap()


if __name__ == "__main__":
    try:
        prepare()
        Agent(port()).serve()
    except BaseException:  # noqa: BLE001 - the console says why, and PID 1 must not end
        traceback.print_exc()
        time.sleep(1000)
