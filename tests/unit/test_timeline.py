"""The timeline: the same seed gives the same windows, on whole seconds, inside of the run, under unique names."""

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callmaybe import expand as expand_module
from callmaybe.duration import decode_duration
from callmaybe.fault import FAULTS, AnyFault, Patterned
from callmaybe.timeline import KIND_OF, TimelineError, aim, expand_timeline, nodes_of

pytestmark = pytest.mark.unit

NODES = ["n1", "n2", "n3", "n4", "n5"]
# SHA-256 of scenario.yml as expanded before there was any fault but partitions: a run repeats from its seed for ever.
BEFORE = {
    "etcd-register 1": "e5f4954efd7cc317",
    "etcd-register 4711": "44f563177ce1c4ca",
    "etcd-set 7": "b929c1abcd4d12c5",
    "etcd-stale-reads 7": "159ca404b662e833",
    "etcd-stale-reads 4711": "f5e87d01254866f6",
    "redis-sentinel 1": "07f1b68f47536cf0",
    "redis-sentinel 4711": "31dab9acbbd7bca5",
    "redis-sentinel-safe 7": "70ea374fb8d18315",
}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "partition": [
        {},
        {"topology": "random-halves"},
        {"topology": "isolate"},
        {"topology": "isolate", "node": "primary"},
    ],
    "slow": [{}, {"delay_ms": 200, "targets": "one"}],
    "flaky": [{}, {"targets": "minority", "direction": "in"}],
    "shape": [{"duplicate": 5, "targets": 2}, {"rate_kbit": 100, "direction": "out", "ports": ["tcp 2379"]}],
    "kill": [{}, {"targets": "primaries"}, {"restart": False, "targets": "40%"}],
    "pause": [{"targets": ["n1", "n3"]}, {"how": "signal"}],
}


def faults(raw: object) -> list[AnyFault] | Patterned:
    return msgspec.convert(raw, list[AnyFault] | Patterned, dec_hook=decode_duration)


def expand(raw: object, seed: int = 1, run_s: float = 600, nodes: list[str] = NODES) -> list[dict[str, Any]]:
    return expand_timeline(faults(raw), nodes, seed, run_s)


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    fault = draw(st.sampled_from(sorted(FAULTS)))
    return {"fault": fault, **draw(st.sampled_from(OPTIONS[fault]))}


@st.composite
def listed(draw: st.DrawFn) -> dict[str, Any]:
    length = draw(st.integers(1, 20))
    when = {"at": f"{draw(st.integers(0, 100))}s", "for": f"{length}s"}
    turns = {"every": f"{length + draw(st.integers(1, 20))}s", "times": draw(st.integers(1, 5))}
    return draw(options()) | when | (turns if draw(st.booleans()) else {})


@st.composite
def pattern(draw: st.DrawFn) -> dict[str, Any]:
    length = draw(st.integers(1, 20))
    choice = [o | {"weight": draw(st.integers(1, 9))} for o in draw(st.lists(options(), min_size=1, max_size=5))]
    every = f"{length + draw(st.integers(1, 20))}s"
    return {"pattern": {"every": every, "for": f"{length}s", "quiet": f"{draw(st.integers(0, 60))}s", "faults": choice}}


@settings(max_examples=200, deadline=None)
@given(raw=st.one_of(st.lists(listed(), max_size=6), pattern()), seed=st.integers(0, 2**40))
def test_a_timeline_is_sound(raw: Any, seed: int) -> None:
    windows = expand(raw, seed)
    assert json.dumps(windows) == json.dumps(expand(raw, seed)), "the same seed, the same windows"
    assert len({window["name"] for window in windows}) == len(windows)
    assert [window["from_s"] for window in windows] == sorted(window["from_s"] for window in windows)
    for window in windows:
        assert 0 <= window["from_s"] < window["until_s"] <= 600
        assert window["from_s"] % 1 == window["until_s"] % 1 == 0
        assert window["title"]
        whole = window if "late" not in window else aim(window, NODES, ["n4"])
        assert set(nodes_of(whole)) <= set(NODES)
        assert nodes_of(whole)
        keys = {"partition": {"grudge"}, "shape": {"links", "shape"}, "process": {"action", "nodes_hit"}}
        assert keys[KIND_OF[window["fault"]]] <= whole.keys()
        for listener, speakers in {**whole.get("grudge", {}), **whole.get("links", {})}.items():
            assert listener not in speakers


@given(raw=pattern(), seed=st.integers(0, 2**40))
def test_a_pattern_is_regular_and_quiet_at_the_end(raw: Any, seed: int) -> None:
    windows = expand(raw, seed)
    asked = faults(raw).pattern
    assert all(window["until_s"] <= 600 - asked.quiet for window in windows)
    assert all(window["until_s"] - window["from_s"] == asked.duration for window in windows)
    assert all(b["until_s"] - a["until_s"] == asked.every for a, b in pairwise(windows))
    assert 600 - asked.quiet - windows[-1]["until_s"] < asked.every


def test_weights_decide_how_often() -> None:
    choice = [{"fault": "kill", "weight": 9}, {"fault": "pause", "weight": 1}]
    windows = expand({"pattern": {"every": "2s", "for": "1s", "faults": choice}}, run_s=4000)
    kills = sum(window["fault"] == "kill" for window in windows)
    assert len(windows) == 1992
    assert abs(kills - 0.9 * 1992) < 5 * (1992 * 0.9 * 0.1) ** 0.5


@pytest.mark.parametrize("asked", sorted(BEFORE))
def test_what_was_expanded_before_is_expanded_alike(
    asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expand_module, "STORE", tmp_path)
    name, seed = asked.split()
    written = (expand_module.expand(name, int(seed), NODES) / "scenario.yml").read_bytes()
    assert hashlib.sha256(written).hexdigest()[:16] == BEFORE[asked]


def test_a_listed_fault_is_drawn_anew_each_turn() -> None:
    windows = expand([{"at": "0s", "for": "1s", "every": "2s", "times": 20, "fault": "kill", "targets": "one"}])
    assert len({tuple(window["nodes_hit"]) for window in windows}) == 5


def test_windows_are_counted_by_fault() -> None:
    each = [
        {"at": f"{at}s", "for": "3s", "fault": fault} for at, fault in enumerate(("slow", "partition", "slow", "kill"))
    ]
    assert [window["name"] for window in expand(each)] == ["slow-1", "cut-1", "slow-2", "kill-1"]


@pytest.mark.parametrize(
    ("options", "links"),
    [
        ({"targets": "n2", "direction": "in"}, {"n2": ["n1", "n3"]}),
        ({"targets": "n2", "direction": "out"}, {"n1": ["n2"], "n3": ["n2"]}),
        ({"targets": "n2"}, {"n1": ["n2"], "n2": ["n1", "n3"], "n3": ["n2"]}),
        ({}, {"n1": ["n2", "n3"], "n2": ["n1", "n3"], "n3": ["n1", "n2"]}),
    ],
)
def test_links_are_the_targets_own(options: dict[str, Any], links: dict[str, Any]) -> None:
    (window,) = expand([{"at": "0s", "for": "1s", "fault": "slow", **options}], nodes=["n1", "n2", "n3"])
    assert window["links"] == links


def test_a_shape_says_what_it_does_and_no_more() -> None:
    slow, flaky, bursts = expand([
        {"at": "0s", "for": "1s", "fault": "slow"},
        {"at": "1s", "for": "1s", "fault": "flaky", "targets": "n1"},
        {"at": "2s", "for": "1s", "fault": "shape", "gilbert": [1, 30, 0, 100], "rate_kbit": 1000, "ports": ["tcp 1"]},
    ])  # fmt: skip
    assert slow["shape"] == {"delay_ms": 50.0, "jitter_ms": 10.0, "distribution": "normal"}
    assert slow["title"] == "all: 50 ms +- 10 ms"
    assert flaky["shape"] == {"loss": 20.0, "loss_correlation": 75.0}
    assert flaky["title"] == "n1: 20 % lost"
    assert bursts["shape"] == {"gilbert": [1.0, 30.0, 0.0, 100.0], "rate_kbit": 1000}
    assert bursts["title"] == "all (tcp 1): lost in bursts, 1,000 kbit/s"


def test_a_late_window_is_whole_once_somebody_has_looked() -> None:
    late = {"at": "9s", "for": "1s"}
    cut, slow, kill = expand([
        late | {"fault": "partition", "topology": "isolate", "node": "primary"},
        late | {"fault": "slow", "targets": "primaries", "direction": "in"},
        late | {"fault": "kill", "targets": ["n1", "primaries"], "restart": False},
    ])  # fmt: skip
    assert [window["late"]["asked"] for window in (cut, slow, kill)] == ["primary", "primaries", "primaries"]
    assert not any(nodes_of(window) for window in (cut, slow, kill))
    assert aim(cut, NODES, ["n3"])["title"] == "n3 | n1 n2 n4 n5"
    assert aim(slow, NODES, ["n2", "n4"])["links"].keys() == {"n2", "n4"}
    whole = aim(kill, NODES, ["n5"])
    assert (whole["nodes_hit"], whole["restart"], whole["from_s"]) == (["n1", "n5"], False, 9.0)
    with pytest.raises(TimelineError, match="kill-1: target primaries: none of n1 n2 n3 n4 n5 is a primary now"):
        aim(kill, NODES, [])


def test_two_primaries_are_both_cut_off() -> None:
    (cut,) = expand([{"at": "0s", "for": "1s", "fault": "partition", "topology": "isolate", "node": "primaries"}])
    whole = aim(cut, NODES, ["n1", "n4"])
    assert whole["title"] == "n1 | n4 | n2 n3 n5"
    assert whole["grudge"]["n1"] == ["n2", "n3", "n4", "n5"]


def test_a_node_may_be_called_primary() -> None:
    (window,) = expand([{"at": "0s", "for": "1s", "fault": "kill", "targets": "primary"}], nodes=["primary", "other"])
    assert window["nodes_hit"] == ["primary"]


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ([{"at": "0s", "for": "1s", "fault": "kill", "targets": "n9"}], "faults.0: target 'n9' is unknown"),
        ([{"at": "0s", "for": "1s", "fault": "slow", "targets": 6}], "faults.0: target 6: that is 6 of 5 nodes"),
        (
            {"pattern": {"every": "9s", "for": "1s", "faults": [{"fault": "partition", "topology": "thirds"}]}},
            "faults.pattern.faults.0: unknown topology 'thirds'",
        ),
    ],
)
def test_what_does_not_fit_the_nodes_is_named(raw: object, sentence: str) -> None:
    with pytest.raises(TimelineError, match=sentence):
        expand(raw)


def test_clients_are_a_peer_in_one_way() -> None:
    when = {"at": "1s", "for": "1s", "fault": "partition", "topology": "one-way", "ports": ["tcp 5432"]}
    said, heard = expand([{**when, "from": "n2", "to": "clients"}, {**when, "at": "3s", "from": "clients", "to": "n1"}])
    assert [said["title"], said["grudge"], nodes_of(said)] == [
        "n2 -/-> clients (tcp 5432)",
        {"clients": ["n2"]},
        ["n2"],
    ]
    assert [heard["grudge"], nodes_of(heard)] == [{"n1": ["clients"]}, ["n1"]]
    (late,) = expand([{**when, "from": "primary", "to": "clients"}])
    assert late["late"]["asked"] == "primary"
    whole = aim(late, NODES, ["n4"])
    assert [whole["grudge"], whole["ports"]] == [{"clients": ["n4"]}, ["tcp 5432"]]


@pytest.mark.parametrize("source", ["n1", "primary"])
@pytest.mark.parametrize(
    ("more", "about"),
    [
        ({}, "clients are cut off on certain ports only"),
        ({"ports": ["tcp 22"]}, "refused: tcp 22 is SSH's port"),
        ({"ports": ["tcp 70000"]}, "port 'tcp 70000': expected tcp or udp and a number from 1 to 65535"),
        ({"ports": ["tcp 1"], "reject": True}, "never answered: leave reject out"),
    ],
)
def test_what_no_node_would_arm_of_clients_is_refused_before_the_run(source: str, more: Any, about: str) -> None:
    cut = {"at": "1s", "for": "1s", "fault": "partition", "topology": "one-way", "from": source, "to": "clients"}
    with pytest.raises(TimelineError) as caught:
        expand([{**cut, **more}])
    assert str(caught.value).startswith("faults.0: ")
    assert about in str(caught.value)
