"""A run's folder as Redis with Sentinel would leave it, made without any machine: deterministic by its seed."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import yaml

from analysis.history import Operation, encode_line

if TYPE_CHECKING:
    from pathlib import Path

NODES = ["n1", "n2", "n3", "n4", "n5"]
MINORITY = NODES[:2]
CUT = (10.0, 40.0)
FAILOVER_S = 6.0
DURATION_S = 60.0
NS = 1_000_000_000
TITLE = "n1 n2 | n3 n4 n5"


def make_run(folder: Path, *, seed: int = 7, rate: float = 40.0, loses: bool = True, **scenario: Any) -> Path:
    """Writes scenario.yml, cluster.json, faults.json and history.jsonl; `loses` says if the old primary's writes go."""
    folder.mkdir(parents=True, exist_ok=True)
    expanded = {
        "scenario": "redis-sentinel",
        "title": "Redis with Sentinel, primary in the minority",
        "seed": seed,
        "nodes": NODES,
        "database": "redis",
        "variant": "default",
        "workload": {"name": "set", "duration_s": DURATION_S, "rate": rate, "clients": NODES, "timeout_s": 5.0},
        "windows": [{"name": "cut-1", "fault": "partition", "title": TITLE, "from_s": CUT[0], "until_s": CUT[1]}],
        "checkers": ["lost-writes"],
        "published": {
            "source": "Call Me Maybe: Redis (2013)",
            "attempt_count": 2000,
            "acknowledged_count": 1998,
            "present_count": 872,
            "lost_count": 1126,
        },
    }
    (folder / "scenario.yml").write_text(yaml.safe_dump(expanded | scenario, sort_keys=False))
    addresses = dict.fromkeys(NODES, "198.18.77.1")
    cluster = {"database": "redis", "variant": "default", "version": "7.0.15", "nodes": addresses}
    (folder / "cluster.json").write_text(json.dumps(cluster))
    (folder / "faults.json").write_text(json.dumps(faults(seed)))
    operations = sorted(_events(_draws(seed), rate, loses=loses), key=lambda event: event[0])
    lines = [encode_line(Operation(index, *event)) for index, event in enumerate(operations)]
    (folder / "history.jsonl").write_bytes(b"".join(lines))
    return folder


def _draws(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - repeatable draws, no secret


def faults(seed: int = 7) -> dict[str, Any]:
    """A faults.json after collect."""
    draw = _draws(seed)
    t0 = 1_700_000_000 * NS
    sides = [MINORITY, NODES[2:]]
    grudge = {node: sides[node in MINORITY] for node in NODES}
    window = {
        "name": "cut-1", "fault": "partition", "title": TITLE, "from_s": CUT[0], "until_s": CUT[1],
        "from_ns": t0 + round(CUT[0] * NS), "until_ns": t0 + round(CUT[1] * NS), "grudge": grudge,
        "dropped": {node: {peer: draw.randint(300, 1500) for peer in peers} for node, peers in grudge.items()},
    }  # fmt: skip
    offsets = {node: draw.randint(-15_000, 15_000) for node in NODES} | {"n1": 0}
    spread = max(offsets.values()) - min(offsets.values())
    return {
        "t0_ns": t0, "backend": "nftables", "clock_offsets_ns": offsets, "clock_spread_ns": spread, "windows": [window],
    }  # fmt: skip


Event = tuple[int, int | str, str, str, Any, str | None, str | None]  # an Operation without its index


def _events(draw: random.Random, rate: float, *, loses: bool) -> list[Event]:
    window = {"window": "cut-1", "title": TITLE}
    faults_told = [(-NS, "arm"), (round(CUT[0] * NS), "start"), (round(CUT[1] * NS), "end")]
    events: list[Event] = [(at, "nemesis", "info", f, window, None, None) for at, f in faults_told]
    process = dict(enumerate(NODES))
    free_at = dict.fromkeys(NODES, 0)
    numbers = {node: number for number, node in process.items()}
    survivors: list[int] = []
    for element in range(int(DURATION_S * rate)):
        node = NODES[element % len(NODES)]
        began = max(round(element / rate * NS), free_at[node])
        kind, latency_s, error, stays = _outcome(draw, node, began / NS, loses=loses)
        ended = began + round(latency_s * NS)
        free_at[node] = ended + 1000
        number = numbers[node]
        events.append((began, number, "invoke", "add", element, None, node))
        events.append((ended, number, kind, "add", element, error, node))
        if kind == "info":
            numbers[node] = number + len(NODES)
        if stays:
            survivors.append(element)
    for node in NODES:
        began = max(*free_at.values(), round((DURATION_S + 1) * NS)) + draw.randint(0, NS // 100)
        events.append((began, numbers[node], "invoke", "read", None, None, node))
        events.append((began + 3_000_000, numbers[node], "ok", "read", survivors, None, node))
    return events


def _outcome(draw: random.Random, node: str, at_s: float, *, loses: bool) -> tuple[str, float, str | None, bool]:
    """Returns how an add ends, its latency in seconds, its error, and whether the element is there in the end."""
    latency_s = draw.lognormvariate(-6.7, 0.45)
    cut = CUT[0] <= at_s < CUT[1]
    if node in MINORITY:
        if CUT[1] <= at_s < CUT[1] + 1.5:
            return "fail", latency_s, "ReadOnlyError: You can't write against a read only replica.", False
        return "ok", latency_s * 1.4 if cut else latency_s, None, not (cut and loses)
    if cut and at_s < CUT[0] + FAILOVER_S:
        if draw.random() < 0.3:
            return "info", 5.0, "TimeoutError: Timeout reading from socket", draw.random() < 0.3
        return "fail", 0.4, "MasterNotFoundError: No master found for 'mymaster'", False
    return "ok", latency_s, None, True
