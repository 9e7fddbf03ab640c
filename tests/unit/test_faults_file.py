"""faults.json: absolute times from T0, a refusal to begin on a broken network, and the counters of each window."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from callmaybe.faults import plan_windows, record_counters
from callmaybe.project import UserError

pytestmark = pytest.mark.unit

WINDOW = {
    "name": "cut-1",
    "fault": "partition",
    "title": "n1 | n2 n3",
    "from_s": 2.0,
    "until_s": 5.0,
    "grudge": {"n1": ["n2", "n3"], "n2": ["n1"], "n3": ["n1"]},
}
NODES = ["n1", "n2", "n3"]


def probes(deaf: dict[str, list[str]] | None = None) -> dict[str, dict[str, Any]]:
    """What three nodes answer whose clocks are alike, 100 us apart on the wire."""
    heard = {
        node: [peer for peer in NODES if peer != node and peer not in (deaf or {}).get(node, [])] for node in NODES
    }
    return {
        node: {"heard": {peer: ["198.18.0.1"] for peer in peers}, "one_way_ns": dict.fromkeys(peers, 100_000)}
        for node, peers in heard.items()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scenario.yml").write_text(yaml.safe_dump({"nodes": NODES, "windows": [WINDOW]}))
    return tmp_path


def test_windows_are_absolute_and_on_whole_seconds_after_t0(folder: Path) -> None:
    before_ns = time.time_ns()
    faults = plan_windows(folder, probes(), ahead_s=4)
    assert faults == json.loads((folder / "faults.json").read_text())
    assert faults["t0_ns"] % 10**9 == 0
    assert 4e9 <= faults["t0_ns"] - before_ns <= 5.5e9
    (window,) = faults["windows"]
    assert (window["from_ns"] - faults["t0_ns"], window["until_ns"] - faults["t0_ns"]) == (2 * 10**9, 5 * 10**9)
    assert faults["clock_spread_ns"] == 0
    assert "dropped" not in window


def test_a_network_that_is_broken_already_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="n2 does not hear n3 although nothing is cut yet"):
        plan_windows(folder, probes({"n2": ["n3"]}), ahead_s=4)
    assert not (folder / "faults.json").exists()


def test_counters_come_by_receiver_and_sender_and_a_silent_node_stays_absent(folder: Path) -> None:
    plan_windows(folder, probes(), ahead_s=4)
    statuses = {
        "n1": {"windows": [{"name": "cut-1", "dropped": {"n2": 3, "n3": 4}}, {"name": "other", "dropped": {"n2": 9}}]},
        "n2": {"windows": []},
    }
    record_counters(folder, statuses)
    faults = json.loads((folder / "faults.json").read_text())
    assert faults["windows"][0]["dropped"] == {"n1": {"n2": 3, "n3": 4}}
    assert faults["collected"] is True
