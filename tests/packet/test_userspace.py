"""Shaping without netem, by packets through a real queue; bounds are five standard deviations wide or more."""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.packet

HERE = Path(__file__).parent
FAMILIES = pytest.mark.parametrize("version", [4, 6])


class Shaping:
    """n1 with the back end; n2 sends to it."""

    def __init__(self, net, folder):
        self.net, self.folder = net, folder

    def inside(self, node, *words):
        return ["ip", "netns", "exec", self.net.namespace(node), sys.executable, *map(str, words)]

    def do(self, verb, **given):
        command = self.inside("n1", HERE / "shape_node.py", self.folder, verb)
        done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def arm(self, *windows, **more):
        peers = {"n2": self.net.addresses("n2")}
        return self.do("arm", windows=[{"peers": peers, **window} for window in windows], **more)

    def counts(self, number=0):
        return self.do("found")[number]["counts"]

    def start(self, version=4, count=2000, gap_us=500, port=7000, source="n2"):
        listen = self.inside("n1", HERE / "measure.py", "receive", port, 1)
        receiver = subprocess.Popen(listen, stdout=subprocess.PIPE, text=True)
        assert receiver.stdout.readline() == "ready\n"
        target = self.net.addresses("n1")[version == 6]
        sender = subprocess.Popen(self.inside(source, HERE / "measure.py", "send", target, port, count, gap_us))
        return sender, receiver

    def finish(self, sender, receiver):
        assert sender.wait(timeout=60) == 0
        out, _ = receiver.communicate(timeout=60)
        return [(number, delay_ns / 1e6) for number, delay_ns, _ in json.loads(out)]

    def udp(self, **how):
        return self.finish(*self.start(**how))

    def pid(self):
        return int(next(self.folder.glob("190??")).read_text())


@pytest.fixture
def shaping(net, tmp_path):
    made = Shaping(net, tmp_path)
    try:
        yield made
        made.do("end")
    finally:
        for file in tmp_path.glob("190??"):
            with contextlib.suppress(OSError):
                os.kill(int(file.read_text()), signal.SIGTERM)


@FAMILIES
def test_a_delay_keeps_the_order_and_is_counted_and_ended(shaping, version):
    assert shaping.do("missing") is None
    assert shaping.arm({"shape": {"delay_ms": 30.0}, "title": 'n1 | "n2"'}) is None
    got = shaping.udp(version=version)
    assert [number for number, _ in got] == list(range(2000))
    assert 30 <= statistics.median(delay for _, delay in got) < 32
    window = shaping.do("found")[0]
    assert (window["title"], window["shape"]["delay_ms"], window["program"]) == ('n1 | "n2"', 30.0, True)
    assert window["peers"] == {"n2": shaping.net.addresses("n2")}
    assert window["counts"]["delayed_packets"] >= 2000
    assert window["counts"]["unshaped_packets"] == 0
    assert shaping.do("end")
    assert shaping.do("left") == []
    assert shaping.do("end") == []
    assert statistics.median(delay for _, delay in shaping.udp(count=200)) < 5


@FAMILIES
def test_loss_duplicates_and_corruption_are_what_the_kernel_counted(shaping, version):
    shaping.arm({"shape": {"loss": 0.2, "duplicate": 0.2, "corrupt": 0.2}})
    got = shaping.udp(version=version, count=5000, gap_us=200)
    counts = shaping.counts()
    assert 0.17 < counts["lost_packets"] / 5000 < 0.23
    assert 0.17 < counts["duplicated_packets"] / (5000 - counts["lost_packets"]) < 0.23
    assert 0.17 < counts["corrupted_packets"] / (5000 - counts["lost_packets"]) < 0.23
    arrived = 5000 - counts["lost_packets"] + counts["duplicated_packets"] - counts["corrupted_packets"]
    assert abs(len(got) - arrived) <= 3  # neighbour discovery and the like aside; a bad checksum ends at the socket


def test_overlapping_windows_compose(shaping):
    shaping.arm(
        {"name": "slow-1", "shape": {"delay_ms": 20.0}},
        {"name": "slow-2", "shape": {"delay_ms": 15.0}},
        {"name": "flaky-1", "shape": {"loss": 0.5}},
    )
    got = shaping.udp()
    assert min(delay for _, delay in got) >= 35
    assert statistics.median(delay for _, delay in got) < 38
    slow, again, flaky = (shaping.counts(number) for number in range(3))
    assert slow["delayed_packets"] == again["delayed_packets"] >= len(got)
    assert flaky["lost_packets"] == 2000 - len(got)


def test_only_the_chosen_ports_and_peers(shaping):
    shaping.arm({"shape": {"delay_ms": 30.0}, "ports": ["udp 7000", "tcp 80"]})
    assert min(delay for _, delay in shaping.udp(count=200)) >= 30
    assert statistics.median(delay for _, delay in shaping.udp(count=200, port=7001)) < 5
    assert statistics.median(delay for _, delay in shaping.udp(count=200, source="n3")) < 5
    shaping.arm({"shape": {"delay_ms": 30.0}}, controllers=shaping.net.addresses("n2"))
    assert statistics.median(delay for _, delay in shaping.udp(count=200)) < 5


def test_the_kernel_begins_and_ends_a_window_and_the_program_ends_after_it(shaping):
    shaping.arm({"shape": {"delay_ms": 30.0}, "from_in_s": 2, "until_in_s": 3})
    got = shaping.udp(count=3000, gap_us=1000)
    late = [number for number, delay in got if delay >= 30]
    assert 900 <= len(late) <= 1100
    assert max(late) - min(late) < 1100
    deadline = time.monotonic() + 10
    while shaping.do("found")[0]["program"] and time.monotonic() < deadline:
        time.sleep(0.2)
    assert shaping.do("found")[0]["program"] is False
    assert shaping.counts()["delayed_packets"] == len(late)


def test_a_killed_program_loses_what_is_in_hand_and_the_rest_goes_by_counted(shaping):
    shaping.arm({"shape": {"delay_ms": 30.0}})
    running = shaping.start(count=2000, gap_us=1000)
    time.sleep(1)
    os.kill(shaping.pid(), signal.SIGKILL)
    got = shaping.finish(*running)
    assert 1900 <= len(got) < 2000
    assert statistics.median(delay for number, delay in got if number > 1900) < 5
    assert shaping.counts()["unshaped_packets"] > 500


def test_a_program_that_is_told_to_end_lets_go_of_what_it_holds(shaping):
    shaping.arm({"shape": {"delay_ms": 300.0}})
    running = shaping.start(count=1000, gap_us=1000)
    time.sleep(0.7)
    os.kill(shaping.pid(), signal.SIGTERM)
    assert len(shaping.finish(*running)) == 1000  # it held some 300


def test_arming_again_under_traffic_loses_nothing(shaping):
    shaping.arm({"shape": {"delay_ms": 30.0}})
    running = shaping.start(count=3000, gap_us=1000)
    for delay_ms in (10.0, 20.0):
        time.sleep(0.5)
        assert shaping.arm({"shape": {"delay_ms": delay_ms}}) is None
    got = shaping.finish(*running)
    assert len(got) == 3000
    assert min(delay for number, delay in got if number > 2900) >= 20


def test_check_mode_and_a_refusal_leave_all_as_it_was(shaping):
    assert shaping.arm({"shape": {"delay_ms": 30.0}}, check=True) is None
    assert shaping.do("left") == []
    shaping.arm({"shape": {"delay_ms": 30.0}})
    many = [{"name": f"slow-{number}", "shape": {"delay_ms": 1.0}} for number in range(17)]
    assert "more than 16 windows" in shaping.arm(*many)["error"]
    assert [window["name"] for window in shaping.do("found")] == ["shape-1"]
