"""Expansion: the same seed gives the same plan, and what does not fit is one sentence."""

from pathlib import Path

import pytest
import yaml

from callmaybe import expand as module
from callmaybe.expand import expand
from callmaybe.project import UserError
from callmaybe.scenario import known_scenarios

pytestmark = pytest.mark.unit

NODES = ["n1", "n2", "n3", "n4", "n5"]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "STORE", tmp_path / "store")
    return tmp_path / "store"


def plan(folder: Path) -> dict[str, object]:
    return dict(yaml.safe_load((folder / "scenario.yml").read_text()))


def changed(tmp_path: Path, old: str, new: str) -> str:
    text = (module.find_scenario("etcd-stale-reads")).read_text()
    assert old in text
    path = tmp_path / "mine.yml"
    path.write_text(text.replace(old, new))
    return str(path)


def test_the_series_own_cut() -> None:
    (window,) = plan(expand("redis-sentinel", 1, NODES))["windows"]
    others = {"n1": ["n3", "n4", "n5"], "n2": ["n3", "n4", "n5"]}
    assert window["grudge"] == others | {node: ["n1", "n2"] for node in ("n3", "n4", "n5")}
    assert (window["name"], window["from_s"], window["until_s"]) == ("cut-1", 10.0, 40.0)


def test_a_seed_draws_the_same_again_and_another_draws_another(tmp_path: Path) -> None:
    scenario = changed(tmp_path, "times: 5", "times: 5")
    first, again, other = (plan(_later(scenario, seed, number)) for number, seed in enumerate((7, 7, 8)))
    assert first["windows"] == again["windows"]
    assert [window["grudge"] for window in first["windows"]] != [window["grudge"] for window in other["windows"]]
    assert [window["from_s"] for window in first["windows"]] == [5.0, 15.0, 25.0, 35.0, 45.0]
    assert len({str(window["grudge"]) for window in first["windows"]}) > 1


def _later(scenario: str, seed: int, number: int) -> Path:
    """A run's folder is named by the second, so each gets a store of its own here."""
    module.STORE = module.STORE.with_name(f"store-{number}")
    return expand(scenario, seed, NODES)


def test_latest_points_to_the_newest(store: Path) -> None:
    folder = expand("redis-sentinel", 1, NODES)
    assert (store / "redis-sentinel" / "latest").resolve() == folder


@pytest.mark.parametrize("name", known_scenarios())
def test_every_scenario_of_the_project_expands(name: str) -> None:
    assert plan(expand(name, 1, NODES))["nodes"] == NODES


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("database: etcd", "database: etdc", "there is no database 'etdc'; known: .*etcd"),
        ("variant: v2", "variant: v4", "there is no variant 'v4'; known: .*v2-quorum"),
        ("name: register", "name: bnak", "there is no workload 'bnak'; known: .*set"),
        ("[linearizable-register]", "[linear]", "there is no checker 'linear'; known: .*lost-writes"),
        ("topology: random-halves", "topology: thirds", "faults.0: unknown topology 'thirds'; known are .*halves"),
        ("topology: random-halves", "topology: isolate, node: n9", "faults.0: node: target 'n9' is unknown"),
    ],
)
def test_what_does_not_exist_is_named_beside_what_does(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        expand(changed(tmp_path, old, new), 1, NODES)
    assert not module.STORE.exists()


def test_a_database_without_a_primary_has_nobody_to_aim_at(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    text = module.find_scenario("galera-bank").read_text()
    path.write_text(text + "faults:\n  - {at: 5s, for: 5s, fault: kill, targets: primaries}\n")
    with pytest.raises(UserError, match="'primaries' is nobody: galera has no primary"):
        expand(str(path), 1, NODES)
    path.write_text(text + "operator:\n  - {at: 5s, do: restart, targets: primary}\n")
    with pytest.raises(UserError, match="'primary' is nobody: galera has no primary"):
        expand(str(path), 1, NODES)
    path.write_text(text + "operator:\n  - {at: 5s, do: restart, targets: n2}\n")
    assert plan(expand(str(path), 1, NODES))["actions"][0]["nodes_hit"] == ["n2"]


def test_one_node_is_no_cluster() -> None:
    with pytest.raises(UserError, match="at least two nodes; the inventory gives 1: n1"):
        expand("redis-sentinel", 1, ["n1"])
