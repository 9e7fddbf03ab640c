"""faults.json: absolute times from T0, a refusal to begin on a broken network, and the counters of each window."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from callmaybe.aims import choose_targets, record_aimed, record_missed
from callmaybe.faults import plan_windows, record_armed, record_counters
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
MODULE_KEYS = ("name", "title", "from_ns", "until_ns", "grudge")
SLOW = {
    "name": "slow-1",
    "fault": "slow",
    "title": "n1: 50 ms",
    "from_s": 3.0,
    "until_s": 8.0,
    "links": {"n1": ["n2", "n3"]},
    "shape": {"delay_ms": 50.0},
}
KILL = {
    "name": "kill-1",
    "fault": "kill",
    "title": "primaries",
    "from_s": 20.0,
    "until_s": 30.0,
    "late": {"asked": "primaries", "seed": 1, "options": {"fault": "kill", "targets": "primaries"}},
}


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
    told = plan_windows(folder, probes(), {}, ahead_s=4)
    faults = json.loads((folder / "faults.json").read_text())
    assert told == {
        "t0_ns": faults["t0_ns"],
        "kinds": {"partition": [{key: faults["windows"][0][key] for key in MODULE_KEYS}]},
        "agenda": [],
    }
    assert faults["t0_ns"] % 10**9 == 0
    assert 4e9 <= faults["t0_ns"] - before_ns <= 5.5e9
    (window,) = faults["windows"]
    assert (window["from_ns"] - faults["t0_ns"], window["until_ns"] - faults["t0_ns"]) == (2 * 10**9, 5 * 10**9)
    assert faults["clock_spread_ns"] == 0
    assert "dropped" not in window


def test_a_network_that_is_broken_already_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="n2 does not hear n3 although nothing is cut yet"):
        plan_windows(folder, probes({"n2": ["n3"]}), {}, ahead_s=4)
    assert not (folder / "faults.json").exists()


@pytest.mark.parametrize(("offset_ns", "way"), [(120 * 10**9, "120 s ahead of"), (-3 * 10**9, "3 s behind")])
def test_a_clock_by_which_faults_would_come_at_another_time_is_refused(folder: Path, offset_ns: int, way: str) -> None:
    clocks = {"n1": {"offset_ns": 900_000_000, "error_ns": 9}, "n2": {"offset_ns": offset_ns, "error_ns": 10**9}}
    with pytest.raises(UserError, match=f"^the clock of n2 is {way} the controller's: faults begin and end by"):
        plan_windows(folder, probes(), clocks, ahead_s=4)
    clocks["n2"]["error_ns"] = abs(offset_ns)
    assert plan_windows(folder, probes(), clocks, ahead_s=4)["kinds"], "it is not certain"


def test_a_run_without_faults_takes_any_clock(tmp_path: Path) -> None:
    (tmp_path / "scenario.yml").write_text(yaml.safe_dump({"nodes": NODES, "windows": []}))
    assert plan_windows(tmp_path, probes(), {"n1": {"offset_ns": 9 * 10**9, "error_ns": 1}}, ahead_s=4)


def test_counters_come_by_receiver_and_sender_and_a_silent_node_stays_absent(folder: Path) -> None:
    plan_windows(folder, probes(), {}, ahead_s=4)
    statuses = {
        "n1": {"windows": [{"name": "cut-1", "dropped": {"n2": 3, "n3": 4}}, {"name": "other", "dropped": {"n2": 9}}]},
        "n2": {"windows": []},
    }
    record_counters(folder, statuses, {})
    faults = json.loads((folder / "faults.json").read_text())
    assert faults["windows"][0]["dropped"] == {"n1": {"n2": 3, "n3": 4}}
    assert faults["collected"] is True


@pytest.fixture
def storm(folder: Path) -> Path:
    """A run with a window of each kind, the kill late, and a cluster whose service is known."""
    (folder / "scenario.yml").write_text(yaml.safe_dump({"nodes": NODES, "windows": [WINDOW, SLOW, KILL]}))
    (folder / "cluster.json").write_text(json.dumps({"services": ["etcd"]}))
    return folder


def answer(*names: str, backend: str = "nftables", **counts: dict[str, float]) -> dict[str, Any]:
    """What jepsen_status returns on a node that has these windows."""
    found = [{"name": name, "backend": backend, "counts": counts.get(name.replace("-", "_"), {})} for name in names]
    return {"windows": found}


def test_each_kind_gets_four_seconds_more(storm: Path) -> None:
    before_ns = time.time_ns()
    told = plan_windows(storm, probes(), {})
    assert (10 + 4 * 3) * 1e9 <= told["t0_ns"] - before_ns <= (10 + 4 * 3 + 1.5) * 1e9
    assert told["kinds"].keys() == {"partition", "shape"}, "whom the kill hits is not known yet"
    assert told["kinds"]["shape"][0]["links"] == {"n1": ["n2", "n3"]}
    assert told["agenda"] == [{"at_s": 20.0 - 8 - 4, "names": ["kill-1"], "asks": True}] * 3


def test_clocks_and_boots_are_kept(storm: Path) -> None:
    clocks = {
        "n1": {"offset_ns": 5, "error_ns": 2, "synchronized": None, "boot_id": "a", "round_trips_ns": [4]},
        "n2": {},
    }
    plan_windows(storm, probes(), clocks)
    record_counters(storm, {}, {"n1": {"boot_id": "b"}})
    faults = json.loads((storm / "faults.json").read_text())
    assert faults["controller_clock"] == {"n1": {"offset_ns": 5, "error_ns": 2, "synchronized": None}}
    assert faults["boot_ids"] == {"n1": ["a", "b"]}


def test_a_node_that_lacks_a_window_is_named(storm: Path) -> None:
    plan_windows(storm, probes(), {})
    statuses = {"n1": answer("cut-1", "slow-1"), "n2": answer("cut-1"), "n3": answer("cut-1")}
    assert record_armed(storm, statuses, {})["backend"] == "nftables"
    with pytest.raises(UserError, match="n3 was given cut-1 and does not list it"):
        record_armed(storm, statuses | {"n3": answer()}, {})
    with pytest.raises(UserError, match="n1 was given slow-1 and does not list it"):
        record_armed(storm, statuses | {"n1": answer("cut-1")}, {})


def test_a_node_that_was_armed_after_t0_is_named(storm: Path) -> None:
    t0_ns = plan_windows(storm, probes(), {})["t0_ns"]
    statuses = {"n1": answer("cut-1", "slow-1"), "n2": answer("cut-1"), "n3": answer("cut-1")}
    with pytest.raises(UserError, match=r"n2 n3 had them after T0: .* -e arm_ahead_s=30"):
        record_armed(storm, statuses, {"n1": t0_ns - 1, "n2": t0_ns, "n3": t0_ns + 1})


def test_netem_shapes_at_the_speakers(storm: Path) -> None:
    plan_windows(storm, probes(), {})
    slow = {"name": "slow-1", "backend": "netem"}
    statuses = {node: answer("cut-1") for node in NODES}
    for node in ("n2", "n3"):
        statuses[node]["windows"].append(slow)
    assert record_armed(storm, statuses, {})["backend"] == "netem, nftables"


def test_a_late_window_is_armed_with_all_of_its_kind_and_noted(storm: Path) -> None:
    plan_windows(storm, probes(), {})
    kinds = choose_targets(storm, ["kill-1"], ["n2"])
    assert kinds.keys() == {"process"}
    assert kinds["process"][0].items() >= {"action": "kill", "nodes_hit": ["n2"], "services": ["etcd"]}.items()
    faults = json.loads((storm / "faults.json").read_text())
    begin_ns = faults["windows"][2]["from_ns"]
    after = {"n1": answer(), "n2": answer("kill-1"), "n3": answer()}
    record_aimed(storm, ["kill-1"], {}, after, [begin_ns - 5, begin_ns + 1_250_000_000, 0])
    record_counters(storm, {"n2": answer("kill-1", kill_1={"processes": 1, "killed": 1})}, {})
    kill = json.loads((storm / "faults.json").read_text())["windows"][2]
    assert (kill["title"], kill["nodes_hit"], kill["late_s"]) == ("n2", ["n2"], 1.25)
    assert kill["aimed"] == {"primaries": ["n2"]}
    assert kill["counts"] == {"n2": {"processes": 1, "killed": 1}}


def test_a_late_window_that_a_node_lacks_is_not_noted_as_armed(storm: Path) -> None:
    plan_windows(storm, probes(), {})
    choose_targets(storm, ["kill-1"], ["n2"])
    with pytest.raises(UserError, match="n2 was given kill-1 and does not list it"):
        record_aimed(storm, ["kill-1"], {}, {"n1": answer()}, [1])
    record_missed(storm, ["kill-1"], "n2 does not answer")
    record_counters(storm, {}, {})
    kill = json.loads((storm / "faults.json").read_text())["windows"][2]
    assert kill["missed"] == "n2 does not answer"
    assert "armed_ns" not in kill


def test_nobody_to_aim_at_is_one_sentence(storm: Path) -> None:
    plan_windows(storm, probes(), {})
    with pytest.raises(UserError, match="kill-1: target primaries: none of n1 n2 n3 is a primary now"):
        choose_targets(storm, ["kill-1"], [])


def test_counters_that_begin_anew_are_added_to_what_they_were(storm: Path) -> None:
    plan_windows(storm, probes(), {})
    choose_targets(storm, ["kill-1"], ["n1"])
    before = {"n1": answer("cut-1", "slow-1", cut_1={"dropped_packets": 10}, slow_1={"delayed_packets": 7})}
    after = {"n1": answer("cut-1", "slow-1", "kill-1", cut_1={"dropped_packets": 0}, slow_1={"delayed_packets": 8})}
    record_aimed(storm, ["kill-1"], before, after, [1])
    last = {"n1": answer("cut-1", "slow-1", cut_1={"dropped_packets": 5}, slow_1={"delayed_packets": 9})}
    record_counters(storm, last, {})
    cut, slow, _ = json.loads((storm / "faults.json").read_text())["windows"]
    assert cut["counts"]["n1"] == {"dropped_packets": 15}
    assert slow["counts"]["n1"] == {"delayed_packets": 9}
