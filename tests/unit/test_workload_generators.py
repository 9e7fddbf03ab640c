"""Generators and the pace: pure, so they are held by their definitions."""

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.clients.noop import NoopSet
from workloads.errors import WorkloadError
from workloads.generators import (
    ACCOUNTS,
    READ,
    Task,
    adds,
    bank_operations,
    counted_up,
    lock_operations,
    queue_operations,
    register_operations,
    shared_rows,
    skewed_inserts,
)
from workloads.pace import Pace
from workloads.registry import find_client

pytestmark = pytest.mark.unit


def test_client_i_of_n_adds_i_and_every_nth_after_it() -> None:
    assert [next_.value for next_ in islice(adds(Task(2, 5, 0)), 3)] == [2, 7, 12]


@given(clients=st.integers(1, 9), count=st.integers(0, 40))
def test_no_element_is_added_twice_and_none_is_left_out(clients: int, count: int) -> None:
    added = [asked.value for i in range(clients) for asked in islice(adds(Task(i, clients, 0)), count)]
    assert sorted(added) == list(range(clients * count))


def test_a_register_is_the_same_for_the_same_seed_and_no_other() -> None:
    def draw(client: int, seed: int) -> list[tuple[str, object]]:
        return [(f, value) for f, value, _ in islice(register_operations(Task(client, 5, seed)), 200)]

    assert draw(3, 7) == draw(3, 7)
    assert draw(3, 7) != draw(3, 8)
    assert draw(3, 7) != draw(2, 7), "the clients do not march in step"
    assert draw(0, 7)[:5] == [("cas", [2, 4]), ("read", None), ("read", None), ("cas", [1, 4]), ("write", 2)], (
        "an old scenario must draw the same in every version"
    )


def test_a_register_asks_for_everything_with_small_values() -> None:
    drawn = [(f, value) for f, value, _ in islice(register_operations(Task(0, 5, 1)), 600)]
    assert {f for f, _ in drawn} == {"read", "write", "cas"}
    assert {value for f, value in drawn if f == "write"} == set(range(5))
    assert {old for f, value in drawn if f == "cas" for old in value} == set(range(5))
    assert READ[:2] in drawn


@given(clients=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_queue_is_given_every_value_once_and_asked_for_some(clients: int, seed: int) -> None:
    drawn = [asked for i in range(clients) for asked in islice(queue_operations(Task(i, clients, seed)), 60)]
    put = [asked.value for asked in drawn if asked.f == "enqueue"]
    assert len(set(put)) == len(put)
    assert {asked.f for asked in drawn} == {"enqueue", "dequeue"}


def test_a_queue_fills_up_so_that_it_has_something_to_lose() -> None:
    drawn = [asked.f for asked in islice(queue_operations(Task(0, 5, 1)), 900)]
    assert 500 < drawn.count("enqueue") < 700


def test_a_lock_is_held_for_as_long_as_the_scenario_says() -> None:
    asked = list(islice(lock_operations(Task(0, 5, 0, hold_s=25.0)), 4))
    assert asked == [("acquire", None, 0.0), ("release", None, 25.0)] * 2


def test_a_counter_is_counted_up_by_one() -> None:
    assert {asked[:2] for asked in islice(counted_up(Task(3, 5, 1)), 50)} == {("add", 1)}


def test_all_clients_write_the_same_rows_each_its_own_value_and_read_what_others_wrote_too() -> None:
    asked = [list(islice(shared_rows(Task(client, 3, 0)), 5)) for client in range(3)]
    assert [each[:2] for each in asked[1]] == [
        ("write", [0, 2]), ("write", [1, 2]), ("read", 0), ("write", [2, 2]), ("read", 1)
    ]  # fmt: skip
    assert [[value for f, value, _ in one if f == "write"] for one in asked] == [
        [[row, client + 1] for row in range(3)] for client in range(3)
    ]


def test_a_bank_moves_small_amounts_between_two_accounts() -> None:
    moved = [asked.value for asked in islice(bank_operations(Task(0, 5, 1)), 400) if asked.f == "transfer"]
    assert 100 < len(moved) < 300
    for value in moved:
        assert isinstance(value, dict)
        assert value["from"] != value["to"]
        assert {value["from"], value["to"]} <= set(ACCOUNTS)
        assert 1 <= int(value["amount"]) <= 5


@given(clients=st.integers(2, 9))
def test_each_pair_is_asked_for_by_two_clients_with_rows_of_their_own(clients: int) -> None:
    asked = [asked.value for i in range(clients) for asked in islice(skewed_inserts(Task(i, clients, 0)), 5)]
    rows: dict[int, set[int]] = {}
    for value in asked:
        assert isinstance(value, list)
        rows.setdefault(value[0], set()).add(value[1])
    lone = clients % 2 * 5  # pairs of the last client, who is alone
    assert sorted(len(pair) for pair in rows.values()) == [1] * lone + [2] * (len(rows) - lone)


def test_a_client_keeps_to_its_slots() -> None:
    pace = Pace(client=1, clients=5, rate=50.0)
    assert [pace.next_due_s(now) for now in (0.0, 0.02, 0.12, 0.22)] == pytest.approx([0.02, 0.12, 0.22, 0.32])


def test_all_clients_together_make_the_rate() -> None:
    due = sorted(pace.next_due_s(0) for pace in [Pace(i, 4, 40.0) for i in range(4)] for _ in range(10))
    assert due == pytest.approx([k / 40.0 for k in range(40)])


def test_a_blocked_client_makes_up_for_one_operation_only() -> None:
    pace = Pace(client=0, clients=1, rate=10.0)
    assert pace.next_due_s(0.0) == 0.0
    due = [pace.next_due_s(now) for now in (5.01, 5.02, 5.11)]
    assert due == pytest.approx([5.0, 5.1, 5.2]), "one at once, then in its slots again"


@given(rate=st.floats(0.1, 1000), blocks=st.lists(st.floats(0, 3), min_size=1, max_size=30))
def test_never_more_than_one_operation_late_and_never_too_fast(rate: float, blocks: list[float]) -> None:
    pace, now, due = Pace(0, 1, rate), 0.0, []
    for block in blocks:
        due.append(pace.next_due_s(now))
        assert due[-1] > now - 1 / rate - 1e-6
        now = max(now, due[-1]) + block
    assert all(later - earlier > 0.999 / rate for earlier, later in pairwise(due))


def test_without_a_limit_everything_is_due_now() -> None:
    pace = Pace(3, 5, float("inf"))
    assert [pace.next_due_s(now) for now in (0.0, 0.5, 0.5)] == [0.0, 0.5, 0.5]


def test_the_registry_names_what_is_known() -> None:
    assert find_client("noop", "set") is NoopSet
    with pytest.raises(
        WorkloadError,
        match="there is no workload 'sett'; known: bank, counter, list-cas, mutex, queue, register",
    ):
        find_client("redis", "sett")
    with pytest.raises(WorkloadError, match=r"no client for the database 'reddis'; known: .*noop, .*redis"):
        find_client("reddis", "set")
    with pytest.raises(WorkloadError, match="redis client cannot drive the workload 'register'; it can drive: set"):
        find_client("redis", "register")
