"""A Debian machine under qemu, with Debian's own kernel: how its image is made, and how it is run and spoken to.

It has no network but what the tests make inside it, a disk that it can only read, and ``agent.py`` as its PID 1. The
image is made once, beside the lab's, by the same program and from the same mirrors.
"""

import base64
import contextlib
import fcntl
import hashlib
import io
import itertools
import json
import os
import shlex
import shutil
import socket
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import ansible.module_utils
import yaml

from jepsen_modules.module_utils.jepsen_lab_plan import CACHE

ROOT = Path(__file__).resolve().parents[2]
AGENT = Path(__file__).with_name("agent.py")
RELEASE = "bookworm"
PACKAGES = "linux-image-cloud-amd64,initramfs-tools,udev,kmod,mount,iproute2,nftables,iptables,python3"
# Only what finds the disk is needed before the disk is there.
MODULES = "virtio_blk virtio_pci ext4"
MEMORY_MIB = 512
BOOT_BOUND_S = 90
KVM_BOUND_S = 15
COMMAND_BOUND_S = 60
NEEDED = {"qemu-system-x86_64": "qemu-system-x86", "mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs"}


def lacking():
    """What this machine lacks for a virtual one, as a sentence; empty where nothing is missing."""
    if os.geteuid() != 0:
        return "needs root, to make the image"
    missing = [package for program, package in NEEDED.items() if not shutil.which(program, path="/usr/sbin:/usr/bin")]
    return f"needs {', '.join(missing)}" if missing else ""


def mirrors():
    """Where the lab gets its packages from."""
    defaults = yaml.safe_load((ROOT / "roles/lab/defaults/main.yml").read_text())
    return defaults["lab_mirror"], defaults["lab_security_mirror"]


def recipe(folder):
    """The command that makes the image's files, as a list."""
    mirror, security = mirrors()
    early = (
        "mkdir -p $1/etc/initramfs-tools/conf.d $1/usr/share/initramfs-tools/modules.d; "
        "echo MODULES=list >$1/etc/initramfs-tools/conf.d/test; "
        f"printf '%s\\n' {MODULES} >$1/usr/share/initramfs-tools/modules.d/test"
    )
    late = (
        "rm -rf $1/usr/share/doc $1/usr/share/man $1/usr/share/locale $1/var/lib/apt $1/var/cache/apt; mkdir -p $1/run"
    )
    return [
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=essential",
        f"--include={PACKAGES}",
        "--dpkgopt=force-unsafe-io",
        f"--essential-hook={early}",
        f"--customize-hook={late}",
        RELEASE,
        str(folder / "root"),
        f"deb {mirror} {RELEASE} main",
        f"deb {security} {RELEASE}-security main",
    ]


def build(folder):
    """Makes disk, kernel and initial RAM disk in a folder."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    subprocess.run(recipe(folder), check=True, timeout=500, env=environment, capture_output=True)
    root = folder / "root"
    shutil.copy(AGENT, root / "agent.py")
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy(next((root / "boot").glob(f"{name}-*")), folder / name)
        next((root / "boot").glob(f"{name}-*")).unlink()
    disk = folder / "disk.img"
    subprocess.run(["truncate", "-s", "700M", disk], check=True, timeout=10)
    # Without a journal, since nobody writes.
    command = ["mkfs.ext4", "-q", "-O", "^has_journal", "-d", root, disk]
    subprocess.run(command, check=True, timeout=100, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    shutil.rmtree(root)


def image():
    """Returns the folder of the image, made if it is not there; it has its name only when it is whole."""
    identity = hashlib.sha256(json.dumps(recipe(Path("x"))).encode() + AGENT.read_bytes()).hexdigest()[:12]
    folder = CACHE / "kernel" / identity
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (CACHE / "kernel.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            shutil.rmtree(folder.parent)
            unfinished = folder.with_name("part")
            unfinished.mkdir(parents=True)
            build(unfinished)
            unfinished.rename(folder)
    return folder


def project_files():
    """The modules, what they import of Ansible, and the tests' own programs, as a tar in base64."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz", compresslevel=1) as tar:

        def add(path, name):
            tar.add(path, name, filter=lambda info: None if "__pycache__" in info.name else info)

        utils = Path(next(iter(ansible.module_utils.__path__)))
        add(utils, "ansible/module_utils")
        tar.addfile(tarfile.TarInfo("ansible/__init__.py"), io.BytesIO())
        add(ROOT / "jepsen_modules", "jepsen_modules")
        for program in (ROOT / "tests/kernel").glob("*.py"):
            add(program, f"tests/{program.name}")
    return base64.b64encode(data.getvalue()).decode()


class Machine:
    """A running virtual machine.

    Attributes:
        accelerator: ``kvm`` or ``tcg``.
    """

    def __init__(self, files, accelerator, folder):
        self.accelerator = accelerator
        self.console = folder / f"console-{accelerator}"
        self._numbers = itertools.count()
        self._answers, self._told = {}, threading.Condition()
        ours, theirs = socket.socketpair()
        self._socket = ours
        with self.console.open("wb") as console:
            self._process = subprocess.Popen(
                self._command(files, theirs.fileno()), stdout=console, stderr=console, pass_fds=[theirs.fileno()]
            )
        theirs.close()
        threading.Thread(target=self._listen, daemon=True).start()

    def _command(self, files, channel):
        accelerator = {"kvm": "kvm", "tcg": "tcg,thread=multi"}[self.accelerator]
        cpu = {"kvm": "host,arch-capabilities=off", "tcg": "max"}[self.accelerator]
        options = f"""
            -accel {accelerator} -cpu {cpu} -smp 2 -m {MEMORY_MIB} -nodefaults -no-user-config -display none
            -serial stdio -monitor none -no-reboot
            -kernel {files}/vmlinuz -initrd {files}/initrd.img
            -drive if=virtio,format=raw,readonly=on,file={files}/disk.img
            -device virtio-serial-pci
            -chardev socket,id=agent,fd={channel} -device virtserialport,chardev=agent,name=agent
        """
        kernel = "root=/dev/vda ro console=ttyS0 quiet panic=-1 mitigations=off init=/usr/bin/python3 -- /agent.py"
        return ["qemu-system-x86_64", *shlex.split(options), "-append", kernel]

    def _listen(self):
        with contextlib.suppress(OSError):  # qemu has ended
            for line in self._socket.makefile("rb"):
                answer = json.loads(line)
                with self._told:
                    self._answers[answer["id"]] = answer
                    self._told.notify_all()
        self._process.wait()
        with self._told:
            self._told.notify_all()

    def ask(self, **request):
        """Sends a request and returns its number."""
        number = next(self._numbers)
        self._socket.sendall((json.dumps({"id": number, **request}) + "\n").encode())
        return number

    def answer(self, number, bound_s=COMMAND_BOUND_S):
        """Waits for the answer to a request."""
        with self._told:
            there = self._told.wait_for(lambda: number in self._answers or self._process.poll() is not None, bound_s)
            if not there or number not in self._answers:
                raise TimeoutError(f"no answer in {bound_s} s; the console ends with {self.printed()}")
            return self._answers.pop(number)

    def printed(self):
        """The end of what the console printed."""
        return self.console.read_text(errors="replace")[-2000:]

    def begin(self):
        """Waits until the machine answers, and gives it the time and the project's files."""
        self.answer(self.ask(argv=["true"]), BOOT_BOUND_S)
        self.answer(self.ask(files=project_files()))
        self.answer(self.ask(clock_ns=time.time_ns()))

    def end(self):
        """Ends the machine; nothing of it is kept."""
        self._process.kill()
        self._process.wait(timeout=10)
        self._socket.close()

    def run(self, command, stdin="", *, check=True):
        """Runs a command line and returns what it printed."""
        answer = self.answer(self.ask(argv=shlex.split(command), stdin=stdin))
        assert not check or answer["code"] == 0, f"{command}: {answer['err'] or answer['out']}"
        return answer["out"]


def start(folder):
    """Boots a machine, with hardware's help where that works; a `/dev/kvm` may be there and yet hang."""
    files = image()
    for accelerator in ("kvm", "tcg") if Path("/dev/kvm").exists() else ("tcg",):
        machine = Machine(files, accelerator, folder)
        try:
            if accelerator == "kvm":
                machine.answer(machine.ask(argv=["true"]), KVM_BOUND_S)
            machine.begin()
        except (TimeoutError, OSError):
            machine.end()
            if accelerator == "tcg":
                raise
        else:
            return machine
    raise AssertionError
