"""The base role on real nodes: names, clocks, reboot and shutdown."""

import pytest

from tests.lab.machine import Lab, ansible, lab_up

pytestmark = pytest.mark.lab

FAKE_DATE = "#!/bin/sh\nexec /bin/date -d '+90 seconds' \"$@\"\n"
BOOT = "cat /proc/sys/kernel/random/boot_id"


def base(*words: str) -> str:
    """Runs base.yml without the packages, which are apt's work and take long."""
    done = ansible("playbooks/base.yml", "-e", '{"base_packages": []}', *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_node_knows_all_names_and_a_second_time_changes_nothing(lab: Lab) -> None:
    base()
    for node in lab.nodes:
        for peer in lab.nodes:
            assert lab.run(node, f"getent ahostsv4 {peer}").stdout.split()[0] == f"198.18.77.1{peer[1:]}"
        hosts = lab.run(node, "cat /etc/hosts").stdout
        assert hosts.count("BEGIN nodes of the cluster under test") == 1
    assert base().count("changed=0 ") == len(lab.nodes) + 1


def test_a_clock_that_is_off_is_named(lab: Lab) -> None:
    lab.run("n3", f"cat >/usr/local/bin/date <<'X'\n{FAKE_DATE}X\nchmod +x /usr/local/bin/date")
    try:
        done = ansible("playbooks/base.yml", "-e", '{"base_packages": []}')
        assert done.returncode != 0
        said = done.stdout + done.stderr
        assert said.count("s off the controller's; at most 1.0 s is allowed") >= 1
        assert "The clock of n3 is 90." in said or "The clock of n3 is 91." in said
        assert "The clock of n1" not in said
    finally:
        lab.run("n3", "rm /usr/local/bin/date")
    base()


def test_reboot_brings_the_node_back(lab: Lab) -> None:
    before = lab.run("n5", BOOT).stdout
    done = ansible("playbooks/reboot.yml", "--limit", "n5")
    assert done.returncode == 0, done.stdout + done.stderr
    after = lab.run("n5", BOOT)
    assert after.returncode == 0
    assert after.stdout != before


def test_shutdown_powers_off_and_lab_up_powers_on(lab: Lab) -> None:
    before = lab.run("n5", BOOT + "; echo kept >/root/kept").stdout
    done = ansible("playbooks/shutdown.yml", "--limit", "n5")
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        off = ansible("localhost", "-m", "ansible.builtin.wait_for", "-a",
                      "host=198.18.77.15 port=22 state=stopped timeout=30", program="ansible")  # fmt: skip
        assert off.returncode == 0, off.stdout
    finally:
        lab_up()
    assert lab.run("n5", BOOT).stdout != before
    assert lab.run("n5", "cat /root/kept; rm /root/kept").stdout == "kept\n"
