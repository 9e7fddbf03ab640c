"""How exactly a cut begins and ends, from packets: windows in the kernel, beside parallel SSH and a plain Ansible play.

`bench_faults.py [--windows 20] [--together 100] [--rounds 10] [--json]`, on a lab of five nodes that is up and
otherwise idle. Two nodes send numbered packets to the nodes of the other side (stream.py). Between the last packet that
a node heard and the first that it did not lies its cut, and so with its heal; both ends of that interval are given, not
a guess in between. Also: the wall time of partition.yml beside a bare ping play. Goals: cut and heal within 100 us of
the deadline on all nodes in 99 of 100 windows; partition.yml at most 1.3 times the ping.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from plays import PING, ROOT, play

STATE = Path("/var/lib/callmaybe/lab")
PORT = 19077
SECOND_NS = 1_000_000_000
EXACT_NS = 100_000
TOGETHER = 100  # windows in one timeline, unless told otherwise
LEAST_SHARE = 0.99
MOST_TIMES_PING = 1.3
PLAYS = 7
BOUND_S = 60
SIDES = (("n1", "n2"), ("n3", "n4", "n5"))
NODES = SIDES[0] + SIDES[1]
PEERS = {node: other for side, other in (SIDES, SIDES[::-1]) for node in side}

ARM = """
- hosts: nodes
  become: true
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - jepsen_partition:
        nodes: "{{ ansible_play_hosts_all }}"
        node: "{{ inventory_hostname }}"
        addresses: "{{ addresses }}"
        faults_allowed: "{{ dict(addresses | zip([true] * 5)) }}"
        windows: "{{ windows }}"
      register: armed
    - ansible.builtin.assert:
        that: armed.applied_at_ns < windows[0].from_ns
        fail_msg: the windows were armed after the first of them had begun; the machine is too slow or too busy
"""
CUT_PLAINLY = """
- hosts: nodes
  become: true
  gather_facts: false
  tasks:
    - ansible.builtin.iptables:
        chain: INPUT
        source: "{{ item }}"
        jump: DROP
      loop: "{{ peers[inventory_hostname] | map('extract', addresses) }}"
"""
HEAL_PLAINLY = """
- hosts: nodes
  become: true
  gather_facts: false
  tasks:
    - ansible.builtin.iptables:
        chain: INPUT
        flush: true
"""


@dataclass(frozen=True)
class Edge:
    """When a node's hearing changed, as two packets enclose it: nanoseconds after the moment that was given."""

    after_ns: int
    before_ns: int

    @property
    def most_ns(self) -> int:
        """The error that it has at most."""
        return max(abs(self.after_ns), abs(self.before_ns))

    @property
    def least_ns(self) -> int:
        """The error that it has at least."""
        return max(0, self.after_ns, -self.before_ns)


@dataclass(frozen=True)
class Event:
    """A cut or a heal of all nodes: which, the moment that was given, and each node's edge."""

    is_cut: bool
    given_ns: int
    edges: dict[str, Edge]

    @property
    def latest_ns(self) -> int:
        """When the last node followed, at most."""
        return max(edge.before_ns for edge in self.edges.values())

    @property
    def spread_ns(self) -> int:
        """Between the first node and the last, at most."""
        return self.latest_ns - min(edge.after_ns for edge in self.edges.values())


class Packets:
    """What was sent to a node, by number, and what of it the node heard."""

    def __init__(self, sent_ns: "array[int]", heard: "array[int]") -> None:
        self.sent_ns = sent_ns
        self.heard_ns = dict(zip(heard[::2], heard[1::2], strict=True))

    def edge(self, given_ns: int, from_ns: int, until_ns: int, *, is_cut: bool) -> Edge:
        """Finds the one cut or heal of what was sent from one moment to another.

        Any packet on the wrong side widens the interval: lost before the cut, or heard behind it.
        """
        within = range(bisect_left(self.sent_ns, from_ns), bisect_left(self.sent_ns, until_ns))
        heard = [self.heard_ns[number] for number in within if number in self.heard_ns]
        lost = [self.sent_ns[number] for number in within if number not in self.heard_ns]
        if is_cut:
            ends = max(heard, default=from_ns), min(lost, default=until_ns)
        else:
            ends = max(lost, default=from_ns), min(heard, default=until_ns)
        return Edge(min(ends) - given_ns, max(ends) - given_ns)


class Lab:
    """Five nodes, and a connection to each that stays open, as Jepsen's do."""

    def __init__(self, folder: Path) -> None:
        hosts = yaml.safe_load((ROOT / "inventory" / "lab.yml").read_text())["nodes"]["hosts"]
        self.addresses = {node: hosts[node]["ansible_host"] for node in NODES}
        self._networks: dict[str, Path] = {}
        files = f"-i {STATE}/ssh_key -oUserKnownHostsFile={STATE}/known_hosts -oControlPath={folder}/%h"
        self._login = f"ssh -F none -oBatchMode=yes {files}".split()

    def __enter__(self) -> Self:
        for node in NODES:
            opened = self._ssh(node, "-oControlMaster=yes", "-oControlPersist=yes", "-oConnectTimeout=10", "-fN")
            if opened.returncode != 0:
                self.__exit__()
                sys.exit(f"no connection to {node}: {opened.stderr.strip()}; bring the lab up: callmaybe lab up")
        return self

    def __exit__(self, *_: object) -> None:
        for node in NODES:
            self._ssh(node, "-Oexit")

    def _ssh(self, node: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [*self._login, *options, f"admin@{self.addresses[node]}"]
        # a connection that stays open in the background would hold a pipe open too
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, text=True, timeout=BOUND_S, check=False
            )
            said.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, "", said.read())

    def start(self, node: str, command: str) -> subprocess.Popen[bytes]:
        """Starts a shell command as root on a node."""
        words = [*self._login, f"admin@{self.addresses[node]}", f"sudo sh -c {shlex.quote(command)}"]
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def start_in_network(self, node: str, words: list[str]) -> subprocess.Popen[bytes]:
        """Starts a program of this machine in the network of a node.

        Among the node's own processes the kernel may grant no real-time priority (its group has none to give), and
        without it whatever else the machine does comes between two packets.
        """
        if node not in self._networks:
            wanted = self.run_all({node: "readlink /proc/self/ns/net"})[node].strip()
            self._networks[node] = network_of(wanted)
        command = ["nsenter", f"--net={self._networks[node]}", *words]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run_all(self, commands: dict[str, str]) -> dict[str, str]:
        """Runs a command on each node, all at once; returns what they printed."""
        started = {node: self.start(node, command) for node, command in commands.items()}
        return {node: finish(process, f"{commands[node]} on {node}").decode() for node, process in started.items()}


def network_of(name: str) -> Path:
    """Finds a network namespace by its name: that of the oldest of this machine's processes in it."""
    for path in sorted(Path("/proc").glob("[0-9]*/ns/net"), key=lambda path: int(path.parts[2])):
        with suppress(OSError):  # that process ended meanwhile
            if str(path.readlink()) == name:
                return path
    sys.exit(f"no process of this machine is in the network {name}; run this as root, on the machine of the lab")


def finish(process: subprocess.Popen[bytes], what: str) -> bytes:
    """Ends a process's input and returns its output; exits with what it said if it failed."""
    out, err = process.communicate(timeout=BOUND_S)
    if process.returncode != 0:
        sys.exit(f"{what} failed with {process.returncode}: {err.decode().strip()[-500:]}")
    return out


@contextmanager
def packets(lab: Lab, moments_ns: list[int]) -> Iterator[dict[str, Packets]]:
    """Lets packets flow meanwhile; fills the dictionary at its end."""
    program = (ROOT / "bench" / "stream.py").read_text()

    def words(role: str, **options: Any) -> list[str]:  # noqa: ANN401 - they become JSON
        return ["python3", "-c", program, role, json.dumps({"port": PORT, **options})]

    listeners = {node: lab.start(node, shlex.join(words("hear"))) for node in NODES}
    time.sleep(1)
    speakers = {
        node: lab.start_in_network(
            node, words("speak", addresses=[lab.addresses[peer] for peer in PEERS[node]], moments_ns=moments_ns)
        )
        for node in (side[0] for side in SIDES)
    }
    time.sleep(1)
    found: dict[str, Packets] = {}
    try:
        yield found
        sent = {node: array("q", finish(process, f"speaking on {node}")) for node, process in speakers.items()}
        heard = {node: array("q", finish(process, f"hearing on {node}")) for node, process in listeners.items()}
    finally:
        for process in [*speakers.values(), *listeners.values()]:
            process.kill()  # the program on the node ends with its input
            process.wait()
    for speaker, sent_ns in sent.items():
        for place, node in enumerate(PEERS[speaker]):
            found[node] = Packets(sent_ns[place :: len(PEERS[speaker])], heard[node])


def events_of(found: dict[str, Packets], moments: list[tuple[bool, int, int, int]]) -> list[Event]:
    """Finds every node's edge for each (is it a cut, the moment given, from when, until when to look)."""
    return [
        Event(
            is_cut,
            given_ns,
            {node: found[node].edge(given_ns, from_ns, until_ns, is_cut=is_cut) for node in NODES},
        )
        for is_cut, given_ns, from_ns, until_ns in moments
    ]


def written(folder: Path, name: str, content: str) -> Path:
    """Writes a file and returns its path."""
    path = folder / name
    path.write_text(content)
    return path


def windows_in_the_kernel(lab: Lab, folder: Path, count: int, together: int) -> list[Event]:
    """Arms so many windows, some at a time; bench_windows.py has what those that are armed cost a packet."""
    events: list[Event] = []
    for done in range(0, count, together):
        events += windows_armed_together(lab, folder, min(together, count - done))
    return events


def windows_armed_together(lab: Lab, folder: Path, count: int) -> list[Event]:
    """Arms so many windows of 1 s, one every 2 s, on all nodes at once, and waits for the last one's end."""
    first_ns = (time.time_ns() // SECOND_NS + 15 + count // 5) * SECOND_NS
    windows = [
        {
            "name": f"cut-{number + 1}",
            "grudge": PEERS,
            "from_ns": first_ns + 2 * number * SECOND_NS,
            "until_ns": first_ns + (2 * number + 1) * SECOND_NS,
        }
        for number in range(count)
    ]
    given = json.dumps({"windows": windows, "addresses": lab.addresses})
    deadlines = [
        (is_cut, window[key]) for window in windows for is_cut, key in ((True, "from_ns"), (False, "until_ns"))
    ]
    try:
        play(written(folder, "arm.yml", ARM), "-e", f"@{written(folder, 'windows.json', given)}")
        with packets(lab, [given_ns for _, given_ns in deadlines]) as found:
            if time.time_ns() > first_ns:
                sys.exit("packets began to flow after the first window; the machine is too slow or too busy")
            time.sleep(max(0.0, (windows[-1]["until_ns"] - time.time_ns()) / 1e9 + 0.6))
    finally:
        play(ROOT / "playbooks" / "heal.yml")
    half_ns = SECOND_NS // 2
    return events_of(found, [(is_cut, at_ns, at_ns - half_ns, at_ns + half_ns) for is_cut, at_ns in deadlines])


def commands_given(lab: Lab, rounds: int, cut: Callable[[], object], heal: Callable[[], object]) -> list[Event]:
    """Cuts and heals by commands; the moment that counts is the one at which the command is given."""
    moments = []
    try:
        with packets(lab, []) as found:
            for _ in range(rounds):
                for is_cut, command in ((True, cut), (False, heal)):
                    given_ns = time.time_ns()
                    command()
                    time.sleep(0.3)
                    moments.append((is_cut, given_ns, given_ns, time.time_ns()))
    finally:
        heal()
    return events_of(found, moments)


def parallel_ssh(lab: Lab, rounds: int) -> list[Event]:
    """As Jepsen does it: one iptables command a node over open connections; healing flushes."""
    dropping = {
        node: f"iptables -A INPUT -s {','.join(lab.addresses[peer] for peer in PEERS[node])} -j DROP -w"
        for node in NODES
    }
    flushing = dict.fromkeys(NODES, "iptables -F -w && iptables -X -w")
    return commands_given(lab, rounds, lambda: lab.run_all(dropping), lambda: lab.run_all(flushing))


def plain_ansible(lab: Lab, folder: Path, rounds: int) -> list[Event]:
    """A play with the iptables module, as somebody without this project would write it."""
    given = f"@{written(folder, 'addresses.json', json.dumps({'addresses': lab.addresses, 'peers': PEERS}))}"
    cut, heal = written(folder, "cut.yml", CUT_PLAINLY), written(folder, "heal.yml", HEAL_PLAINLY)
    return commands_given(lab, rounds, lambda: play(cut, "-e", given), lambda: play(heal))


def wall_times() -> dict[str, list[float]]:
    """Seconds of partition.yml and of a bare ping play over the same hosts, in turns, so that both suffer alike."""
    partition = ROOT / "playbooks" / "partition.yml"
    took_s: dict[str, list[float]] = {"ping": [], "partition": []}
    play(PING)
    try:
        for number in range(PLAYS):
            took_s["ping"].append(play(PING))
            took_s["partition"].append(play(partition, "-e", f"duration={20 + number}"))
    finally:
        play(ROOT / "playbooks" / "heal.yml")
    return took_s


def refuse_rules_of_others(lab: Lab) -> None:
    """Exits if the nodes have rules of iptables, since Jepsen's way of healing would flush them."""
    for node, listed in lab.run_all(dict.fromkeys(NODES, "iptables -S -w")).items():
        rules = [line for line in listed.splitlines() if not line.startswith("-P ")]
        if rules:
            sys.exit(f"{node} has rules of iptables, which this would flush: {rules[0]}; use a fresh lab")


def judge_windows(events: list[Event]) -> dict[str, int]:
    """Counts windows by whether all nodes cut and healed within 100 us: proven, disproven, or not known so closely."""
    counts = {"windows": len(events) // 2, "within": 0, "outside": 0, "not_known": 0}
    for cut, heal in zip(events[::2], events[1::2], strict=True):
        edges = [*cut.edges.values(), *heal.edges.values()]
        if all(edge.most_ns <= EXACT_NS for edge in edges):
            counts["within"] += 1
        elif any(edge.least_ns > EXACT_NS for edge in edges):
            counts["outside"] += 1
        else:
            counts["not_known"] += 1
    return counts


def show(ns: float) -> str:
    """Nanoseconds for people."""
    return f"{ns / 1e3:,.0f} us" if abs(ns) < 10_000_000 else f"{ns / 1e6:,.0f} ms"


def print_ways(ways: dict[str, list[Event]]) -> None:
    """A line a way: how long after the moment given the last node followed, and how far the nodes lay apart."""
    print(f"{'':18}{'latest node: median':>20}{'worst':>10}{'between nodes: median':>24}{'worst':>10}{'ratio':>9}")
    floor_ns = 0.0
    for way, events in ways.items():
        latest_ns, spread_ns = [e.latest_ns for e in events], [e.spread_ns for e in events]
        middle_ns = statistics.median(spread_ns)
        floor_ns = floor_ns or middle_ns
        print(
            f"{way:18}{show(statistics.median(latest_ns)):>20}{show(max(latest_ns)):>10}"
            f"{show(middle_ns):>24}{show(max(spread_ns)):>10}{middle_ns / floor_ns:>9,.0f}"
        )


def print_nodes(events: list[Event]) -> None:
    """A line a node: its earliest and latest cut and heal against the deadline."""
    for node in NODES:
        print(f"  {node}", end="")
        for word, is_cut in (("cut", True), ("heal", False)):
            edges = [event.edges[node] for event in events if event.is_cut == is_cut]
            first_ns, last_ns = min(edge.after_ns for edge in edges), max(edge.before_ns for edge in edges)
            print(f"   {word} {first_ns / 1e3:+,.0f} to {last_ns / 1e3:+,.0f} us", end="")
        print()


def print_all(ways: dict[str, list[Event]], counts: dict[str, int], took_s: dict[str, list[float]]) -> None:
    """Prints the figures for people."""
    windows = next(iter(ways.values()))
    print("faults  cuts and heals of five nodes against the moment that was given, from packets, at most so far off")
    print_ways(ways)
    print(f"deadlines         {counts['within']} of {counts['windows']} within 100 us of the deadline on all nodes")
    print(
        f"                  ({counts['outside']} outside, {counts['not_known']} not known so closely; goal 99 of 100)"
    )
    print_nodes(windows)
    ping_s, partition_s = (statistics.median(took_s[name]) for name in ("ping", "partition"))
    print(
        f"partition.yml     {partition_s:.2f} s, ping play {ping_s:.2f} s (medians of {PLAYS}),"
        f" {partition_s / ping_s:.2f} times (goal: at most {MOST_TIMES_PING})"
    )


def as_json(ways: dict[str, list[Event]], counts: dict[str, int], took_s: dict[str, list[float]]) -> str:
    """Writes all that was measured: `ways: {way: [{fault, given_ns, nodes: {node: [after_ns, before_ns]}}]}`."""
    found = {
        way: [
            {
                "fault": "cut" if event.is_cut else "heal",
                "given_ns": event.given_ns,
                "nodes": {node: [edge.after_ns, edge.before_ns] for node, edge in event.edges.items()},
            }
            for event in events
        ]
        for way, events in ways.items()
    }
    return json.dumps({"windows": counts, "ways": found, "play_s": took_s})


def main() -> int:
    """Measures all ways one after the other; returns 0 where the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=20, help="windows in the kernel, 2 s each (20)")
    parser.add_argument("--together", type=int, default=TOGETHER, help=f"of them armed at once ({TOGETHER})")
    parser.add_argument("--rounds", type=int, default=10, help="cuts by SSH, and by Ansible (10)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if min(options.windows, options.rounds, options.together) < 1:
        parser.error("--windows, --together and --rounds must be at least 1")
    with tempfile.TemporaryDirectory() as name, Lab(Path(name)) as lab:
        folder = Path(name)
        refuse_rules_of_others(lab)
        ways = {
            "windows": windows_in_the_kernel(lab, folder, options.windows, options.together),
            "parallel SSH": parallel_ssh(lab, options.rounds),
            "Ansible play": plain_ansible(lab, folder, options.rounds),
        }
        took_s = wall_times()
    counts = judge_windows(ways["windows"])
    if options.json:
        print(as_json(ways, counts, took_s))
    else:
        print_all(ways, counts, took_s)
    exact = counts["within"] >= LEAST_SHARE * counts["windows"]
    quick = statistics.median(took_s["partition"]) <= MOST_TIMES_PING * statistics.median(took_s["ping"])
    return 0 if exact and quick else 1


if __name__ == "__main__":
    sys.exit(main())
