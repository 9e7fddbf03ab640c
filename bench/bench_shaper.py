"""What the back end userspace holds of what it is asked for, between two network namespaces; needs root.

One run: delays of each distribution (mean within 2 %, standard deviation within 10 % of what netem's table says of the
jitter), how late packets are (p99 under 3 ms), packets a second (30,000), TCP through it (500 Mbit/s), losses (within
one percentage point of 10,000 packets). Beside it, in the same run, the same traffic unshaped.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKET = ROOT / "tests" / "packet"
sys.path[:0] = [str(ROOT), str(PACKET)]

from conftest import Net  # noqa: E402

from jepsen_modules.module_utils.jepsen_chance import table  # noqa: E402

DELAY_MS, JITTER_MS = 50.0, 10.0
COUNT, GAP_US = 10_000, 400


class Bench:
    """Two nodes, n1 and n2; what n2 sends to n1 is shaped."""

    def __init__(self, net: Net, folder: str) -> None:
        self.net, self.folder, self.missed = net, folder, 0

    def inside(self, node: str, *words: str) -> list[str]:
        """Writes a command that runs Python in a node."""
        return ["ip", "netns", "exec", self.net.namespace(node), sys.executable, *words]

    def backend(self, verb: str, **given: object) -> object:
        """Asks n1's back end."""
        command = self.inside("n1", str(PACKET / "shape_node.py"), self.folder, verb)
        done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=60, check=True)
        answer = json.loads(done.stdout)
        if isinstance(answer, dict) and "error" in answer:
            sys.exit(answer["error"])
        return answer

    def shape(self, **shape: object) -> None:
        """Arms one window."""
        peers = {"n2": self.net.addresses("n2")}
        self.backend("arm", windows=[{"shape": shape, "peers": peers, "until_in_s": 300}])

    def traffic(self, there: tuple[str, ...], here: tuple[str, ...]) -> list[list[int]]:
        """Runs measure.py at both ends; returns what the receiver printed."""
        measure = str(PACKET / "measure.py")
        with subprocess.Popen(self.inside("n1", measure, *here), stdout=subprocess.PIPE, text=True) as receiver:
            if receiver.stdout:
                receiver.stdout.readline()
            subprocess.run(self.inside("n2", measure, *there), timeout=120, check=True)
            out, _ = receiver.communicate(timeout=60)
        return list(json.loads(out))

    def udp(self, count: int, gap_us: float) -> list[list[int]]:
        """Sends numbered packets; returns [number, delay ns, arrival ns] of those that arrived."""
        target = self.net.addresses("n1")[0]
        return self.traffic(("send", target, "7000", str(count), str(gap_us)), ("receive", "7000", "1"))

    def tcp_mbit(self) -> float:
        """Fills one connection for four seconds."""
        size, seconds = self.traffic(("give", self.net.addresses("n1")[0], "7001", "4"), ("take", "7001"))
        return size * 8 / seconds / 1e6

    def counts(self) -> dict[str, int]:
        """What the kernel counted for the window."""
        found = self.backend("found")
        return dict(found[0]["counts"]) if isinstance(found, list) else {}

    def say(self, what: str, figures: str, *, good: bool) -> None:
        """Prints a line."""
        self.missed += not good
        print(f"{what:26} {figures:64} {'' if good else 'MISSED'}", flush=True)

    def delays(self) -> None:
        """Each distribution, with and without correlation."""
        for name in ("normal", "uniform", "pareto", "paretonormal"):
            asked = [DELAY_MS + JITTER_MS * value for value in table(name)]
            mean_ms, sd_ms = statistics.mean(asked), statistics.pstdev(asked)
            for correlation in (0.0, 0.25):
                self.shape(delay_ms=DELAY_MS, jitter_ms=JITTER_MS, distribution=name, delay_correlation=correlation)
                got = [delay_ns / 1e6 for _, delay_ns, _ in self.udp(COUNT, GAP_US)]
                mean, sd = statistics.mean(got), statistics.pstdev(got)
                good = abs(mean / mean_ms - 1) < 0.02 and abs(sd / sd_ms - 1) < 0.1 and len(got) == COUNT
                figures = f"mean {mean:.2f} of {mean_ms:.2f} ms, sd {sd:.2f} of {sd_ms:.2f} ms"
                self.say(f"{name} {correlation:.0%}", figures, good=good)

    def lateness(self) -> None:
        """How much later than the delay packets arrive."""
        self.shape(delay_ms=DELAY_MS)
        got = self.udp(COUNT, GAP_US)
        late_us = sorted(delay_ns / 1e3 - DELAY_MS * 1000 for _, delay_ns, _ in got)
        ordered = [number for number, *_ in got] == list(range(COUNT))
        figures = (
            f"median {late_us[COUNT // 2]:.0f} us, p99 {late_us[len(late_us) * 99 // 100]:.0f} us, in order: {ordered}"
        )
        self.say("lateness", figures, good=ordered and late_us[len(late_us) * 99 // 100] < 3000)

    def losses(self) -> None:
        """Shares of what was lost."""
        for what, shape, share in (
            ("loss 20 %", {"loss": 0.2}, 0.2),
            ("loss 20 %, correlated 75 %", {"loss": 0.2, "loss_correlation": 0.75}, 0.2),
            ("Gilbert-Elliott", {"gilbert": [0.05, 0.25, 0.2, 0.99]}, 0.05 / 0.3 * 0.8 + 0.25 / 0.3 * 0.01),
        ):
            self.shape(**shape)
            lost = 1 - len(self.udp(COUNT, 100)) / COUNT
            # The share of one run of correlated packets spreads more; its standard deviation is 1.06 points here.
            bound = 0.01 if what == "loss 20 %" else 0.032
            self.say(what, f"{lost:.2%} of {share:.2%}", good=abs(lost - share) <= bound)

    def rates(self) -> None:
        """Below the rate nothing is lost; TCP takes all of it."""
        self.shape(rate_kbit=8000)
        got = self.udp(4000, 300)
        last_s = max(number * 300e3 + delay_ns for number, delay_ns, _ in got) / 1e9
        mbit = len(got) * 128 * 8 / last_s / 1e6
        self.say("rate 8 Mbit/s, UDP", f"{mbit:.2f} Mbit/s offered 3.4", good=len(got) == 4000)
        mbit = self.tcp_mbit()
        self.say("rate 8 Mbit/s, TCP", f"{mbit:.2f} Mbit/s", good=abs(mbit / 8 - 1) < 0.1)

    def packets(self, what: str, least: float) -> None:
        """Faster and faster, until packets are lost or the sender is as fast as it goes; the rate is what arrived."""
        figures, best = "", 0.0
        for gap_us in (40, 30, 25, 20, 0):
            count = 100_000
            got = self.udp(count, gap_us)
            rate = (len(got) - 1) / (got[-1][2] - got[0][2]) * 1e9
            late_ms = sorted(delay_ns for _, delay_ns, _ in got)[len(got) * 99 // 100] / 1e6
            figures += f"{rate / 1000:.1f} k/s ({len(got) / count:.2%}, p99 {late_ms:.1f} ms) "
            if len(got) == count:
                best = max(best, rate)
        self.say(what, figures, good=best >= least)


def main() -> int:
    """Prints a line a figure; returns 1 where one misses what is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        net = Net(f"jb{os.getpid() % 100000}-", ["n1", "n2"])
        bench = Bench(net, folder)
        try:
            net.up()
            bench.say("TCP, unshaped", f"{bench.tcp_mbit():,.0f} Mbit/s", good=True)
            bench.delays()
            bench.lateness()
            bench.losses()
            for delay_ms in (0.001, 20.0):
                bench.shape(delay_ms=delay_ms)
                mbit, counts = bench.tcp_mbit(), bench.counts()
                figures = f"{mbit:,.0f} Mbit/s, {counts['delayed_bytes'] / 1e6:,.0f} MB of them delayed"
                whole = counts["delayed_bytes"] > mbit / 8 * 4e6 * 0.9 and not counts["unshaped_bytes"]
                bench.say(f"TCP at {delay_ms:g} ms", figures, good=mbit >= 500 and whole)
            bench.rates()
            bench.shape(delay_ms=20.0, jitter_ms=2.0)
            bench.packets("packets/s at 20 +- 2 ms", 30_000)
        finally:
            bench.backend("end")
            net.down()
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
