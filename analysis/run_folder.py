"""A run's folder: the scenario that was asked for and the faults that were armed, as docs/formats.md has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from analysis.errors import AnalysisError

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO_FILE = "scenario.yml"
FAULTS_FILE = "faults.json"
CLUSTER_FILE = "cluster.json"

CLIENTS = "clients"  # in a grudge: no node, but whoever talks to the database

# A window is only as exact as the clocks: beyond this the reader is told.
CLOCK_MARGIN_NS = 50_000_000
CLOCK_LIMIT_NS = 1_000_000_000  # and beyond this a window is no evidence: it may have been open when nobody worked

LATE_ACTION_S = 3.0  # an operator is no window: some seconds are Ansible's own

_NS = 1_000_000_000


@dataclass(frozen=True)
class Kind:
    """A kind of fault, as evidence.

    Attributes:
        counters: those that show that it bit; the largest counts, since one packet may be delayed and doubled.
        did, did_nothing, untested: parts of the sentences about it.
        unit: of what is counted.
    """

    counters: tuple[str, ...]
    did: str
    did_nothing: str
    untested: str
    unit: str


PARTITION = Kind(("dropped_packets",), "cut", "dropped no packets", "the cut was not tested", "packets dropped")
SHAPE = Kind(
    (
        "shaped_packets",
        "delayed_packets",
        "lost_packets",
        "duplicated_packets",
        "reordered_packets",
        "corrupted_packets",
    ),
    "shaped",
    "shaped no packets",
    "its links were not tested",
    "packets shaped",
)
KIND_OF = {
    "partition": PARTITION,
    **dict.fromkeys(("slow", "flaky", "shape"), SHAPE),
    "kill": Kind(("killed",), "killed", "killed no process", "the kill was not tested", "processes killed"),
    "pause": Kind(("stopped_s",), "stopped", "stopped no process", "the pause was not tested", "s of standing still"),
}


class RunError(AnalysisError):
    """A file of a run that is missing or wrong; names the file and the key."""


class Window(msgspec.Struct, frozen=True):
    """One fault and the time that it holds; seconds are relative to T0.

    Attributes:
        grudge: node: the peers that it must not hear; `clients` may stand for a node, on either side.
        links: node: the peers whose packets to it are shaped.
        nodes_hit: the nodes whose processes are killed or paused.
        dropped: node: peer: packets dropped; None until the counters were read, and a node that could not be read is
            absent.
        counts: node: counter: how much, of what each node did, likewise.
        late: there if whom it hits was looked up shortly before it began.
        late_s: by how much that was too late.
        missed: why nobody was aimed at.
    """

    name: str
    from_s: float
    until_s: float
    fault: str = ""
    title: str = ""
    grudge: dict[str, list[str]] = {}
    links: dict[str, list[str]] = {}
    nodes_hit: list[str] = []
    dropped: dict[str, dict[str, int]] | None = None
    counts: dict[str, dict[str, Any]] | None = None
    late: dict[str, Any] | None = None
    late_s: float = 0.0
    armed_ns: int | None = None
    missed: str | None = None

    @property
    def from_time(self) -> int:
        """The beginning, in nanoseconds since T0, as in a history."""
        return round(self.from_s * _NS)

    @property
    def until_time(self) -> int:
        """The end, in nanoseconds since T0; the window holds until just before it."""
        return round(self.until_s * _NS)

    @property
    def kind(self) -> Kind:
        """What the fault is made of."""
        return KIND_OF.get(self.fault, PARTITION)

    @property
    def nodes(self) -> list[str]:
        """The nodes that it touches; with a back end that shapes what goes out, others count."""
        return list(self.peers) or self.nodes_hit

    @property
    def peers(self) -> dict[str, list[str]]:
        """Node: whose packets it drops or shapes. What clients must not hear, the node drops that would say it."""
        heard = {node: peers for node, peers in self.grudge.items() if node != CLIENTS}
        return heard | {node: [CLIENTS] for node in self.grudge.get(CLIENTS, [])} or self.links

    @property
    def effect(self) -> dict[str, float] | None:
        """What each node did in it, in the kind's unit; None if no counter was read."""
        if self.dropped is None and self.counts is None:
            return None
        effect = {node: float(sum(peers.values())) for node, peers in (self.dropped or {}).items()}
        for node, counts in (self.counts or {}).items():
            if node not in effect:
                known = [counts.get(counter) or 0 for counter in self.kind.counters if counts.get("processes") != 0]
                effect[node] = float(max(known, default=0))
        return effect

    @property
    def effect_total(self) -> float | None:
        """What all nodes did in it together; None if no counter was read."""
        return None if self.effect is None else sum(self.effect.values())

    def doubt(self) -> str | None:
        """Says why the window is no evidence, or None if it bit: it dropped, shaped, killed or stopped something."""
        if self.late is not None and self.armed_ns is None:
            why = f" ({self.missed})" if self.missed else ""
            return f"{self.name} was never aimed at {self.title}{why}, so {self.kind.untested}"
        if self.effect_total:
            return None
        if self.effect is None:
            return f"the counters of {self.name} were never read, so nobody knows whether it {self.kind.did} anything"
        unread = [node for node in self.nodes if node not in self.effect]
        missing = f" (the counters of {', '.join(unread)} could not be read)" if unread else ""
        return f"{self.name} {self.kind.did_nothing}{missing}, so {self.kind.untested}"


class Action(msgspec.Struct, frozen=True):
    """What an operator did in the middle of a run.

    Attributes:
        at_s: when it was to be done, in seconds since T0.
        began_ns, ended_ns: when it was, by the controller's clock; None if never.
        late_s: by how much it began too late.
        failed: why it could not be done.
    """

    name: str
    title: str = ""
    at_s: float = 0.0
    nodes_hit: list[str] = []
    began_ns: int | None = None
    ended_ns: int | None = None
    late_s: float = 0.0
    failed: str | None = None

    def doubt(self) -> str | None:
        """Says why the run is not the one that was asked for, or None if it was done."""
        if self.failed:
            return f"{self.name} ({self.title}) failed: {self.failed}"
        return f"{self.name} ({self.title}) was never done" if self.ended_ns is None else None


class ControllerClock(msgspec.Struct, frozen=True):
    """How far a node's clock was from the controller's.

    Attributes:
        offset_ns: the node's less the controller's.
        error_ns: the true offset is so near.
        synchronized: whether NTP kept it; None where nobody said.
    """

    offset_ns: int
    error_ns: int = 0
    synchronized: bool | None = None

    def is_off(self, by_ns: int) -> bool:
        """Whether it certainly is further off than that."""
        return abs(self.offset_ns) - self.error_ns > by_ns

    @property
    def distance(self) -> str:
        """How far it is off, in words: `2 s behind the controller's`."""
        way = "ahead of" if self.offset_ns > 0 else "behind"
        return f"{abs(self.offset_ns) / _NS:.3g} s {way} the controller's"


class Faults(msgspec.Struct, frozen=True):
    """What was armed, what it did, how far apart the clocks were, and in which boots the nodes were seen."""

    windows: list[Window] = []
    actions: list[Action] = []
    t0_ns: int | None = None
    backend: str = ""
    clock_offsets_ns: dict[str, int] = {}
    clock_spread_ns: int | None = None
    controller_clock: dict[str, ControllerClock] = {}
    boot_ids: dict[str, list[str]] = {}

    def doubts(self) -> list[str]:
        """Why its windows prove nothing, a sentence each."""
        told = [doubt for window in self.windows if (doubt := window.doubt())]
        told += [doubt for action in self.actions if (doubt := action.doubt())]
        return told + [
            f"the clock of {node} was {clock.distance}: its windows were at other times than the history says"
            for node, clock in self.controller_clock.items()
            if self.windows and clock.is_off(CLOCK_LIMIT_NS)
        ]

    def warnings(self) -> list[str]:
        """What a reader should know of clocks, restarts and delays, a sentence each."""
        clocks = self.controller_clock.items()
        told = [_about_clock(node, clock) for node, clock in clocks if clock.is_off(CLOCK_MARGIN_NS)]
        if self.clock_spread_ns is not None and self.clock_spread_ns > CLOCK_MARGIN_NS:
            told.append(
                f"the nodes' clocks were {self.clock_spread_ns / _NS:.3g} s apart, and so were each window's begins"
            )
        told += [
            f"{node} restarted in the middle of the run: its faults and their counters ended with it"
            for node, boots in self.boot_ids.items()
            if len(set(boots)) > 1
        ]
        for window in self.windows:
            told += _about_counts(window)
        told += [
            f"{action.name} ({action.title}) began {action.late_s:.1f} s later than asked for"
            for action in self.actions
            if action.late_s > LATE_ACTION_S
        ]
        return told + [
            f"{window.name} was aimed {window.late_s:.1f} s too late, and was so much shorter; raise --ahead"
            for window in self.windows
            if window.armed_ns is not None and window.late_s > 0
        ]


def _about_counts(window: Window) -> list[str]:
    """What nodes said of a window that did not go as it should."""
    counts = window.counts or {}
    passed = sum(of_node.get("unshaped_packets") or 0 for of_node in counts.values())
    told = [f"{passed:,} packets went by unshaped in {window.name}"] if passed else []
    return told + [f"{window.name} on {node}: {of['error']}" for node, of in counts.items() if of.get("error")]


def _about_clock(node: str, clock: ControllerClock) -> str:
    kept = {True: "", False: ", and NTP does not keep it", None: ""}[clock.synchronized]
    early = "earlier" if clock.offset_ns > 0 else "later"
    return (
        f"the clock of {node} was {clock.distance} (give or take {clock.error_ns / _NS:.2g} s{kept}): "
        f"its windows began so much {early} than the history says"
    )


class Published(msgspec.Struct, frozen=True):
    """The result that the series published, to stand beside ours."""

    source: str
    attempt_count: int | None = None
    acknowledged_count: int | None = None
    present_count: int | None = None
    lost_count: int | None = None


class _AskedWindow(msgspec.Struct, frozen=True):
    name: str


class Scenario(msgspec.Struct, frozen=True):
    """What the judge and the report need of an expanded scenario."""

    scenario: str
    checkers: list[str]
    title: str = ""
    seed: int | None = None
    nodes: list[str] = []
    database: str = ""
    variant: str = ""
    workload: dict[str, Any] = {}
    windows: list[_AskedWindow] = []
    published: Published | None = None


@dataclass(frozen=True)
class Evidence:
    """The fault windows of a run and why they may prove nothing.

    Attributes:
        windows: By their beginning.
        doubts: One sentence for each window that is no evidence.
        warnings: What a reader should know and what does not change the verdict.
    """

    windows: list[Window]
    doubts: list[str]
    warnings: list[str]


def read_scenario(folder: Path) -> Scenario:
    """Reads `scenario.yml` of a run's folder.

    Raises:
        RunError: If it is missing or not what docs/formats.md says.
    """
    path = folder / SCENARIO_FILE
    try:
        return msgspec.convert(yaml.safe_load(_read(path)), Scenario)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RunError(f"{path}:{line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise RunError(f"{path}: {error}; see docs/formats.md for what belongs there") from None


def read_faults(path: Path) -> Faults:
    """Reads a `faults.json`.

    Raises:
        RunError: If it is missing or not what docs/formats.md says.
    """
    try:
        return msgspec.json.decode(_read(path), type=Faults)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: {error}; see docs/formats.md for what belongs there") from None


def read_cluster(folder: Path) -> dict[str, Any]:
    """Reads `cluster.json`, or returns an empty dict: a history can be judged without.

    Raises:
        RunError: If it is there and is not a JSON object.
    """
    path = folder / CLUSTER_FILE
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(_read(path), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: {error}; see docs/formats.md for what belongs there") from None


def evidence_of(faults: Faults, asked: list[str]) -> Evidence:
    """Weighs the armed windows against the names of those asked for."""
    armed = {window.name for window in faults.windows}
    doubts = [f"{name} was asked for but never armed" for name in asked if name not in armed]
    return Evidence(
        sorted(faults.windows, key=lambda window: window.from_s), doubts + faults.doubts(), faults.warnings()
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); a run's folder has it") from None
