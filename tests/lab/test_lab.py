"""The lab's nodes: real machines that cannot reach their host, and packages that come once."""

import json
import os
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.lab.machine import NODES, ansible, lab_up

pytestmark = pytest.mark.lab
PROXY_LOG = Path("/var/lib/callmaybe/lab/proxy.log")
POOL = Path("/var/cache/callmaybe/packages/deb.debian.org/debian/pool")
MIRROR = "http://deb.debian.org/debian/dists/bookworm/InRelease"

# Opens every block device that the machine has, through a device file system of its own; prints those that opened.
READ_DISKS = """
mkdir -p /tmp/devices && mount -t devtmpfs devtmpfs /tmp/devices
for d in /sys/class/block/*; do
  number=$(cat "$d/dev"); name=${d##*/}
  mknod "/root/$name" b "${number%:*}" "${number#*:}"
  for path in "/root/$name" "/tmp/devices/$name"; do head -c 1 "$path" >/dev/null 2>&1 && echo "opened $path"; done
  rm -f "/root/$name"; echo "tried $name"
done
umount /tmp/devices
"""
SYSTEM_CALLS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
now = (ctypes.c_long * 2)(1, 0)
libc.clock_settime(0, now); print("clock_settime", os.strerror(ctypes.get_errno()))
ctypes.set_errno(0)
libc.syscall(175, b"x", 1, b""); print("init_module", os.strerror(ctypes.get_errno()))
"""


def test_every_node_is_a_running_debian_with_its_own_init(lab):
    for node in lab.nodes:
        said = lab.run(
            node, "hostname; cat /proc/1/comm; systemctl is-system-running --wait; . /etc/os-release; echo $ID"
        )
        assert said.stdout.split() == [node, "systemd", "running", "debian"], said


def test_nodes_hear_each_other_in_both_families(lab):
    for address in ("198.18.77.12", "fd63:616c:6c6d::12"):
        heard = lab.run("n1", f"timeout 5 bash -c 'head -c 4 </dev/tcp/{address}/22'")
        assert heard.stdout == "SSH-", heard


def test_nodes_have_no_way_out(lab):
    assert "unreachable" in lab.run("n1", "ip route get 192.0.2.1").stderr.lower()


def test_a_second_lab_up_changes_nothing(lab):
    assert "changed=0" in lab_up()


def test_check_mode_says_nothing_is_to_be_done(lab):
    assert "changed=0" in lab_up("--check")


def test_a_lab_of_another_kind_is_refused_while_this_one_is_up(lab):
    for wish, said in (({"lab_nodes": 99}, ", not 99"), ({"lab_subnet": "10.99.0.0/24"}, ", not 10.99.0.0/24")):
        refused = ansible("playbooks/lab_up.yml", "-e", json.dumps(wish))
        assert refused.returncode != 0
        assert said in refused.stdout + refused.stderr
        assert "lab_down" in refused.stdout + refused.stderr


def test_a_node_cannot_set_the_clock_or_load_a_module(lab):
    said = lab.run("n1", f"python3 - <<'EOF'\n{SYSTEM_CALLS}\nEOF")
    assert said.stdout.splitlines() == [
        "clock_settime Operation not permitted",
        "init_module Operation not permitted",
    ], said


def test_a_node_cannot_read_the_hosts_disks(lab):
    said = lab.run("n1", READ_DISKS).stdout.splitlines()
    disks = {path.name for path in Path("/sys/class/block").iterdir()}
    assert {line.split()[1] for line in said if line.startswith("tried")} == disks
    assert not [line for line in said if line.startswith("opened")]


def test_a_node_that_is_off_is_powered_on_with_its_disk(lab):
    lab.run("n5", "echo kept >/root/note; sync; systemctl poweroff")
    for _ in range(100):
        if lab.run("n5", "true").returncode != 0:
            break
    assert "powered on n5" in lab_up("-v")
    assert lab.run("n5", "cat /root/note; rm /root/note").stdout == "kept\n"


def test_a_node_whose_supervisor_was_killed_is_powered_on_again(lab):
    groups = list(Path("/sys/fs/cgroup").glob("**/callmaybe*/n4")) + list(
        Path("/sys/fs/cgroup").glob("**/callmaybe-n4.scope")
    )
    pids = {pid for group in groups for procs in group.glob("**/cgroup.procs") for pid in procs.read_text().split()}
    supervisors = [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text() == "systemd-nspawn\n"]
    assert len(supervisors) == 1
    os.kill(int(supervisors[0]), signal.SIGKILL)
    assert "powered on n4" in lab_up("-v")
    assert lab.run("n4", "systemctl is-system-running --wait").stdout == "running\n"


def test_a_node_reboots(lab):
    before = lab.run("n3", "cat /proc/sys/kernel/random/boot_id").stdout
    assert ansible("n3", "-m", "reboot", program="ansible").returncode == 0
    after = lab.run("n3", "cat /proc/sys/kernel/random/boot_id").stdout
    assert before
    assert after
    assert before != after


def test_the_second_node_downloads_nothing(lab):
    try:
        urllib.request.urlopen(MIRROR, timeout=10).close()
    except urllib.error.URLError as error:
        pytest.skip(f"{MIRROR} cannot be reached: {error}")
    for file in POOL.glob("main/t/tree/*.deb"):
        file.unlink()
    try:
        fetched = []
        for node in NODES[:2]:
            before = PROXY_LOG.read_text()
            install = lab.run(node, "DEBIAN_FRONTEND=noninteractive apt-get install -y tree && tree --version")
            assert install.returncode == 0, install
            fetched.append(re.findall(r"fetched (\S+\.deb)", PROXY_LOG.read_text()[len(before) :]))
        assert len(fetched[0]) == 1
        assert fetched[1] == []
    finally:
        for node in NODES[:2]:
            lab.run(node, "apt-get purge -y tree")
