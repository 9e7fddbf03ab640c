"""The picture that status.yml makes of the nodes' answers."""

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def filters():
    path = ROOT / "playbooks" / "filter_plugins" / "jepsen_status.py"
    spec = importlib.util.spec_from_file_location("status_filters", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FilterModule().filters()


def part(peers, dropped, *, active=True, remaining_s=583.2, name="cut-1"):
    until_ns = None if remaining_s is None else 2_000_000_000
    bounds = {"from_ns": 1_000_000_000, "until_ns": until_ns, "active": active, "remaining_s": remaining_s}
    counts = {"dropped_packets": sum(dropped.values()), "dropped_bytes": 100 * sum(dropped.values())}
    about = {"kind": "partition", "name": name, "title": f"does not hear {' '.join(peers)}", "backend": "nftables"}
    what = {"peers": {peer: ["192.0.2.1"] for peer in peers}, "ports": [], "reject": False}
    return {**about, **bounds, **what, "dropped": dropped, "counts": counts}


def answer(heard, windows=(), one_way_ns=None):
    return {
        "heard": {peer: ["192.0.2.1"] for peer in heard},
        "windows": list(windows),
        "one_way_ns": one_way_ns or {},
        "started_at_ns": 1_500_000_000,
    }


CUT = {
    "n1": answer([], [part(["n2", "n3"], {"n2": 1234, "n3": 0})], {}),
    "n2": answer(["n3"], [part(["n1"], {"n1": 7}, remaining_s=584)], {"n3": -1000}),
    "n3": answer(["n2", "n1"], [part(["n1"], {"n1": 0})], {"n2": 61000}),
    "n10": {"unreachable": True},
}


def test_the_text(filters):
    text = filters["jepsen_status_text"](filters["jepsen_status"](CUT))
    assert text == (
        "who hears whom: rows listen, columns speak\n"
        "+ heard   x cut by us   . silent, no rule of ours   ! heard in spite of our rule\n"
        "      n1  n2  n3 n10\n"
        "n1         x   x   .\n"
        "n2     x       +   .\n"
        "n3     !   +       .\n"
        "\n"
        "cut-1 (partition by nftables): active, 584 s left, 1,241 dropped packets, 124,100 dropped bytes\n"
        "  n1 does not hear n2 n3 (n2 1,234, n3 0)\n"
        "  n2 does not hear n1 (n1 7)\n"
        "  n3 does not hear n1 (n1 0)\n"
        "\n"
        "no answer from n10"
    )


def test_the_picture_has_the_whole_clusters_grudge_and_counters(filters):
    picture = filters["jepsen_status"](CUT)
    assert picture["missing"] == ["n10"]
    assert picture["hears"]["n3"] == {"n1": "leaks", "n2": "heard", "n3": "itself", "n10": "silent"}
    window = picture["windows"][0]
    assert window["grudge"] == {"n1": ["n2", "n3"], "n2": ["n1"], "n3": ["n1"]}
    assert window["dropped"] == {"n1": {"n2": 1234, "n3": 0}, "n2": {"n1": 7}, "n3": {"n1": 0}}


def test_a_window_that_began_during_the_probes_does_not_leak(filters):
    late = {**part(["n2"], {"n2": 0}), "from_ns": 1_600_000_000}
    picture = filters["jepsen_status"]({"n1": answer(["n2"], [late]), "n2": answer(["n1"])})
    assert picture["hears"]["n1"]["n2"] == "heard"


def test_clocks_are_shown_where_they_are_known(filters):
    answers = {"n1": answer(["n2"], one_way_ns={"n2": -900}), "n2": answer(["n1"], one_way_ns={"n1": 61100})}
    picture = filters["jepsen_status"](answers)
    assert picture["clock_offsets_ns"] == {"n1": 0, "n2": 31000}
    text = filters["jepsen_status_text"](picture)
    assert text.endswith("nothing is armed\n\nclocks of n1 n2 within 31 us")


@pytest.mark.parametrize(
    ("active", "remaining_s", "state"),
    [
        (True, None, "active, for ever, 1 dropped packets"),
        (False, 30.0, "armed, not begun\n"),
        (False, 0, "over, 1 dropped packets"),
        (True, 1.6, "active, 2 s left, 1 dropped packets"),
    ],
)
def test_the_state_of_a_window(filters, active, remaining_s, state):
    answers = {
        "n1": answer([], [part(["n2"], {"n2": 1}, active=active, remaining_s=remaining_s)]),
        "n2": answer(["n1"]),
    }
    assert f"cut-1 (partition by nftables): {state}" in filters["jepsen_status_text"](filters["jepsen_status"](answers))


def test_windows_of_other_kinds_show_what_they_count(filters):
    bounds = {"from_ns": 10**9, "until_ns": 2 * 10**9, "active": True, "remaining_s": 7.0}
    pause = {"kind": "process", "name": "pause-1", "title": "pauses etcd", "backend": "freezer", **bounds}
    answers = {"n1": answer(["n2"], [{**pause, "counts": {"stopped_s": 3.5}}]), "n2": answer(["n1"])}
    picture = filters["jepsen_status"](answers)
    assert picture["hears"]["n1"]["n2"] == "heard"
    text = filters["jepsen_status_text"](picture)
    assert "pause-1 (process by freezer): active, 7 s left, 3.5 s of standing still\n" in text
    assert "  n1 pauses etcd (3.5 s of standing still)" in text


def test_counts_of_an_open_kill_read_well(filters):
    counts = {"processes": 2, "begun_at_ns": 10**18, "begin_late_s": 0.1, "ended_at_ns": None, "killed": 2}
    bounds = {"from_ns": 10**9, "until_ns": None, "active": True, "remaining_s": None}
    kill = {"kind": "process", "name": "kill-1", "title": "kills etcd", "backend": "SIGKILL", **bounds}
    about = [{**kill, "counts": {**counts, "restarted": 0, "error": "no etcd"}}]
    text = filters["jepsen_status_text"](filters["jepsen_status"]({"n1": answer([], about)}))
    assert "active, for ever, 2 killed\n  n1 kills etcd (2 killed, error: no etcd)" in text


def test_shaping_says_whose_packets(filters):
    bounds = {"from_ns": 10**9, "until_ns": 2 * 10**9, "active": True, "remaining_s": 7.0}
    slow = {"kind": "shape", "name": "slow-1", "title": "50 ms", "backend": "netem", "peers": {"n2": []}, **bounds}
    counts = {"delayed_packets": 0, "lost_packets": 0}
    answers = {"n1": answer(["n2"], [{**slow, "ports": ["tcp 9092"], "counts": counts}]), "n2": answer(["n1"])}
    text = filters["jepsen_status_text"](filters["jepsen_status"](answers))
    assert "  n1 50 ms from n2 on tcp 9092 (0 delayed packets)" in text


def test_windows_to_come_that_are_alike_are_told_once(filters):
    later = [part(["n2"], {"n2": 0}, active=False, name=f"cut-1.{number}") for number in (1, 2)]
    text = filters["jepsen_status_text"](filters["jepsen_status"]({"n1": answer([], later), "n2": answer(["n1"])}))
    assert "  n1 does not hear n2\ncut-1.2 (partition by nftables): armed, not begun\n  as cut-1.1" in text


def test_a_cut_of_ports_cuts_no_probe(filters):
    ports = {**part(["n2"], {"n2": 3}), "ports": ["tcp 9092"]}
    picture = filters["jepsen_status"]({"n1": answer(["n2"], [ports]), "n2": answer(["n1"])})
    assert picture["hears"]["n1"]["n2"] == "heard"


def test_silence_of_nodes_that_did_not_probe_together_says_nothing(filters):
    early = {**answer([]), "probed_ns": [0, 10**9]}
    late = {**answer(["n1"]), "probed_ns": [10**9 - 1, 2 * 10**9]}
    assert filters["jepsen_status"]({"n1": early, "n2": late})["hears"]["n1"]["n2"] == "unknown"
    assert (
        filters["jepsen_status"]({"n1": early, "n2": {**late, "probed_ns": [0, 10**9]}})["hears"]["n1"]["n2"]
        == "silent"
    )


def test_a_node_that_started_inside_a_window_has_lost_its_part(filters):
    fresh = {**answer(["n1"]), "booted_at_ns": 1_400_000_000}
    answers = {"n1": answer([], [part(["n2"], {"n2": 1})]), "n2": fresh}
    assert filters["jepsen_status"](answers)["windows"][0]["restarted"] == ["n2"]
    assert "n2 has started anew inside it" in filters["jepsen_status_text"](filters["jepsen_status"](answers))
    before = {**fresh, "booted_at_ns": 900_000_000}
    assert filters["jepsen_status"]({**answers, "n2": before})["windows"][0]["restarted"] == []


def test_without_probes_nobody_knows_who_hears(filters):
    quiet = {"heard": None, "windows": [], "one_way_ns": None}
    picture = filters["jepsen_status"]({"n1": quiet, "n2": quiet})
    assert [picture["clock_offsets_ns"], picture["clock_spread_ns"]] == [None, None]
    assert "who hears whom: not probed\n" in filters["jepsen_status_text"](picture)


def test_nobody_answered(filters):
    text = filters["jepsen_status_text"](filters["jepsen_status"]({"n1": {}, "n2": {}}))
    assert text.endswith("no answer from n1 n2")


def test_who_is_not_heard_by_the_clients_is_in_the_table_and_the_matrix_is_as_it_was(filters):
    window = part(["clients"], {"clients": 12}) | {"direction": "out", "ports": ["tcp 5432"]}
    window["title"] = "is not heard by clients on tcp 5432"
    answers = {"n1": answer(["n2"], [window]), "n2": answer(["n1"])}
    picture = filters["jepsen_status"](answers)
    assert picture["windows"][0]["grudge"] == {"clients": ["n1"]}
    assert picture["windows"][0]["dropped"] == {"n1": {"clients": 12}}
    assert picture["hears"]["n2"] == {"n1": "heard", "n2": "itself"}
    text = filters["jepsen_status_text"](picture)
    assert "  n1 is not heard by clients on tcp 5432 (clients 12)\n" in text + "\n"
