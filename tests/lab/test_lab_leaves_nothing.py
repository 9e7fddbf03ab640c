"""The lab comes and goes and the machine is as it was: also when it dies in the middle."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.machine import BIN, ROOT, STATE, ansible, descendants, playbook

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.lab
# make's own run has two rounds; CALLMAYBE_LAB_ROUNDS=20 is the long one.
ROUNDS = int(os.environ.get("CALLMAYBE_LAB_ROUNDS", "2"))
slow = pytest.mark.skipif(not os.environ.get("CALLMAYBE_SLOW"), reason="builds images; set CALLMAYBE_SLOW=1 to run it")

TEMPORARY = Path("/tmp")  # noqa: S108 - only looked at
OURS = ("/var/cache/callmaybe", "/var/lib/callmaybe/lab")
NETNS = Path("/run/netns")
# What every machine writes by itself, whether or not a lab is there.
RESTLESS = re.compile(
    rf"^/var/(log|tmp|lib/systemd|lib/private)(/|$)|^/run/(log|user|udev|systemd/(units|journal|transient))(/|$)|^{NETNS}$"
)
COUNTERS = re.compile(r"\[\d+:\d+\]|packets \d+ bytes \d+|expires \d+sec|^#.*$", re.MULTILINE)
RESTLESS_SYSCTL = re.compile(r"nf_conntrack_count|/random/|netns/|sunrpc")


def printed(*argv: str) -> list[str]:
    """What a program prints, sorted and without counters; nothing where it is not installed."""
    if shutil.which(argv[0]) is None:
        return []
    text = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout
    return sorted(line for line in COUNTERS.sub("", text).splitlines() if line.strip())


def files(top: str) -> set[str]:
    """All paths below a folder, other than the lab's own two and those that never rest."""
    found = set()
    for folder, folders, names in os.walk(top):
        folders[:] = [
            name for name in folders if f"{folder}/{name}" not in OURS and not RESTLESS.match(f"{folder}/{name}")
        ]
        found.update(f"{folder}/{name}" for name in (*folders, *names))
    return found


def sysctls() -> dict[str, str]:
    """All readable settings below /proc/sys/net."""
    found = {}
    for path in Path("/proc/sys/net").rglob("*"):
        try:
            if path.is_file() and not RESTLESS_SYSCTL.search(str(path)):
                found[str(path)] = path.read_text()
        except OSError:  # write-only
            continue
    return found


def etc() -> dict[str, tuple[int, int]]:
    """Size and time of change of each file below /etc."""
    status = {path: os.lstat(path) for path in files("/etc")}
    return {path: (s.st_size, s.st_mtime_ns) for path, s in status.items()}


def processes(token: str) -> set[str]:
    """Processes that a run with this token in its environment started, and those of other PID namespaces."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            marked = token.encode() in (folder / "environ").read_bytes()
            other = (folder / "ns/pid").readlink() != Path("/proc/self/ns/pid").readlink()
            if marked or other:
                found.add(f"{folder.name} {(folder / 'cmdline').read_bytes()!r}")
        except OSError:  # it ended meanwhile
            continue
    return found


def cgroups(token: str) -> set[str]:
    """All cgroups but a host's for others: those of its systemd, and those that only others' processes are in."""
    found = {folder for folder, _, _ in os.walk("/sys/fs/cgroup")}
    ours = {process.partition(" ")[0] for process in processes(token)}
    systemds = re.compile(r"\.(slice|scope|service|mount)(/|$)")
    return {path for path in found if "callmaybe" in path or not (systemds.search(path) or has_others(path, ours))}


def has_others(cgroup: str, ours: set[str]) -> bool:
    """Whether there are processes in it, and none of ours."""
    try:
        inside = set((Path(cgroup) / "cgroup.procs").read_text().split())
    except OSError:  # it went meanwhile
        return False
    return bool(inside) and not inside & ours


def snapshot(token: str) -> dict[str, object]:
    """Everything of the machine that a lab could have changed."""
    mounts = [line.split(" ", 2)[2] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    routes = [printed("ip", family, "route", "show", "table", "all") for family in ("-4", "-6")]
    addresses = printed("ip", "-o", "address", "show")
    return {
        "links": printed("ip", "-o", "link", "show"),
        "addresses": [re.sub(r"valid_lft \S+|preferred_lft \S+", "", line) for line in addresses],
        "routes": [route for family in routes for route in family],
        "policy": printed("ip", "-4", "rule") + printed("ip", "-6", "rule"),
        "nftables": printed("nft", "list", "ruleset"),
        "iptables": printed("iptables-save") + printed("ip6tables-save"),
        "sysctls": sysctls(),
        "mounts": sorted(re.sub(r"(shared|master):\d+ ", "", mount) for mount in mounts),
        "cgroups": cgroups(token),
        "processes": processes(token),
        "etc": etc(),
        "run": files("/run"),
        "var": files("/var"),
        # Other tests, those of packets, may come and go beside these.
        "netns": {path.name for path in NETNS.glob("*") if not re.match(r"jt\d", path.name)},
        "tmp": {path.name for path in TEMPORARY.iterdir() if re.match(r"nspawn|mmdebstrap", path.name)},
    }


@pytest.fixture
def machine(free_machine, monkeypatch):
    """A function that asserts that the machine is as it was when the test began."""
    token = f"lab-test-{uuid.uuid4().hex}"
    monkeypatch.setenv("CALLMAYBE_TOKEN", token)
    before = snapshot(token)

    def unchanged() -> None:
        after = snapshot(token)
        changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
        assert not changed, "\n".join(describe(name, *values) for name, values in changed.items())

    unchanged()
    return unchanged


def describe(name: str, before: object, after: object) -> str:
    """What went and what came in one part of a snapshot."""
    old, new = (
        {str(entry) for entry in (value.items() if isinstance(value, dict) else value)} for value in (before, after)
    )
    return f"{name}: gone {sorted(old - new)[:9]}, new {sorted(new - old)[:9]}"


@pytest.mark.timeout(60 * ROUNDS)
def test_up_and_down_again_and_again(machine):
    for _ in range(ROUNDS):
        playbook("lab_up")
        assert ansible("nodes", "-m", "ping", program="ansible").returncode == 0  # leaves open connections behind
        assert "changed=1" in playbook("lab_down").stdout
        machine()
    assert "changed=0" in playbook("lab_down").stdout


# The moments at which lab_up is killed: as soon as a path exists.
MOMENTS = {
    "folder made": STATE,
    "network made": STATE / "netns",
    "cable plugged in": Path("/sys/class/net/cmm0"),
    "first disk made": STATE / "nodes/n1",
    "nodes starting": STATE / "nodes/n5.log",
}


def kill_lab_up_when(exists: Callable[[], object], **variables: object) -> None:
    """Starts lab_up and kills it and its module with -9 when something appears; what it started goes on."""
    command = [BIN / "ansible-playbook", "playbooks/lab_up.yml", "-e", json.dumps(variables)]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as up:
        deadline = time.monotonic() + 120
        while not exists():
            assert up.poll() is None, "lab_up ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.001)
        for pid in (*descendants(up.pid), up.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_on_its_way_up_and_taken_down(machine, moment):
    kill_lab_up_when(MOMENTS[moment].exists)
    playbook("lab_down")
    machine()


@pytest.mark.parametrize("moment", ["cable plugged in", "nodes starting"])
def test_killed_on_its_way_up_and_brought_up(machine, moment):
    kill_lab_up_when(MOMENTS[moment].exists)
    playbook("lab_up")
    assert ansible("nodes", "-m", "ping", program="ansible").returncode == 0
    playbook("lab_down")
    machine()


def test_a_lab_in_ruins_is_taken_down(machine):
    playbook("lab_up")
    for pid in processes("package_proxy") | processes("systemd-nspawn"):
        number, _, words = pid.partition(" ")
        if "package_proxy" in words or "systemd-nspawn" in words:
            os.kill(int(number), signal.SIGKILL)
    subprocess.run(["ip", "link", "delete", "cmm0"], check=False)
    (STATE / "lab.json").write_text("{ torn")
    playbook("lab_down")
    machine()


def test_a_subnet_in_use_is_refused(machine):
    route = Path("/proc/net/route").read_text().splitlines()
    refused = ansible("playbooks/lab_up.yml", "-e", "lab_subnet=127.0.0.0/8")
    assert route
    assert refused.returncode != 0
    assert "lab_subnet 127.0.0.0/8 is in use on this machine" in refused.stdout + refused.stderr
    machine()


@slow
def test_nine_nodes(machine):
    playbook("lab_up", lab_nodes=9)
    ping = ansible("-i", str(STATE / "inventory.yml"), "nodes", "-m", "ping", program="ansible")
    assert ping.stdout.count("SUCCESS") == 9
    playbook("lab_down")
    machine()


@slow
@pytest.mark.parametrize("release", ["bullseye", "trixie"])
def test_other_releases(machine, release):
    playbook("lab_up", lab_release=release)
    said = ansible(
        "nodes",
        "-m",
        "shell",
        "-a",
        "systemctl is-system-running --wait; cat /etc/os-release",
        program="ansible",
    )
    assert (said.stdout.count("running"), said.stdout.count(f"_CODENAME={release}")) == (5, 5), said.stdout
    tables = ansible("nodes", "-m", "command", "-a", "nft list ruleset", program="ansible")
    assert tables.returncode == 0, tables.stdout
    playbook("lab_down")
    machine()


@slow
def test_killed_while_it_builds_an_image(machine):
    images = Path("/var/cache/callmaybe/images")
    mirrors = {
        "lab_mirror": "http://deb.debian.org/debian/",
        "lab_release": "bookworm",
    }  # the slash makes another image
    kill_lab_up_when(lambda: list(images.glob("*.part/root/etc/*")), **mirrors)
    playbook("lab_down")
    machine()
    playbook("lab_up", **mirrors)
    playbook("lab_down")
    machine()
    assert not list(images.glob("*.part"))
