"""What armed windows of partitions cost each packet that none of them cuts now, between network namespaces; needs root.

`bench_windows.py [--packets 200] [--json]`: nodes send packets to one that has so many windows armed, a peer of them
and a stranger to them; nanoseconds a packet, sending and receiving together, least of several rounds, beside the same
without any window. The first half is over and the rest is to come, as in the middle of a long timeline. Goal: a
thousand windows cost a peer's packet at most twice what ten cost.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "packet")]

from conftest import Net  # noqa: E402

SECOND_NS = 1_000_000_000
COUNTS = (0, 1, 10, 100, 1000)
ROUNDS = 60  # short ones, so that some of them have the processor to themselves
MOST_TIMES = 2.0
OVER_S = 10  # for a busy machine to arm them meanwhile
SEND = """
import socket, sys, time
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
target, count, least = (sys.argv[1], 7000), int(sys.argv[2]), 1e9
for _ in range(int(sys.argv[3])):
    began = time.perf_counter()
    for _ in range(count):
        udp.sendto(b"1", target)
    least = min(least, time.perf_counter() - began)
print(least / count * 1e9)
"""
HEAR = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 7000))
print("ready", flush=True)
sys.stdin.read()
"""


def inside(net: Net, node: str, *words: str) -> list[str]:
    """Writes a command that runs Python in a node, on one processor: sending there is receiving here."""
    return ["taskset", "-c", "0", "ip", "netns", "exec", net.namespace(node), sys.executable, *words]


def packet_ns(net: Net, node: str, packets: int) -> float:
    """What a packet from a node to n1 takes."""
    command = inside(net, node, "-c", SEND, net.addresses("n1")[0], str(packets), str(ROUNDS))
    return float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout)


def arm(net: Net, count: int) -> None:
    """Arms so many windows of a second on n1, against n2: the first ones soon over, the others from an hour on."""
    second = time.time_ns() // SECOND_NS
    begins = [second + 1 if number < count // 2 else second + 3600 + 2 * number for number in range(count)]
    windows = [
        {
            "name": f"w-{number}",
            "grudge": {"n1": ["n2"]},
            "from_ns": begin * SECOND_NS,
            "until_ns": (begin + OVER_S) * SECOND_NS,
        }
        for number, begin in enumerate(begins)
    ]
    done = net.apply("jepsen_partition", "n1", windows=windows)
    if done.get("failed"):
        sys.exit(str(done["msg"]))
    time.sleep(OVER_S + 2)


def main() -> int:
    """Prints a line a count; returns 0 where the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=200, help="packets a round (200)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    net = Net(f"bw{os.getpid() % 100000}-", ["n1", "n2", "n3"])
    found: dict[int, dict[str, float]] = {}
    try:
        net.up()
        with subprocess.Popen(
            inside(net, "n1", "-c", HEAR), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as listener:
            if listener.stdout:
                listener.stdout.readline()
            for count in COUNTS:
                arm(net, count)
                found[count] = {
                    who: packet_ns(net, node, options.packets) for who, node in (("peer", "n2"), ("stranger", "n3"))
                }
            listener.kill()
    finally:
        net.down()
    if options.json:
        print(json.dumps(found))
    else:
        print("windows armed    ns a packet of a peer   of a stranger   more than without any")
        for count, took in found.items():
            more = [took[who] - found[0][who] for who in took]
            print(f"{count:13,}{took['peer']:25,.0f}{took['stranger']:16,.0f}{more[0]:12,.0f}{more[1]:12,.0f}")
    few, many = found[10]["peer"], found[1000]["peer"]
    return 0 if many <= MOST_TIMES * few else 1


if __name__ == "__main__":
    sys.exit(main())
