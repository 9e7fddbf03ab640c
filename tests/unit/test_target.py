"""Whom a fault hits: draws that are the same everywhere, and words that mean what they say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_modules.module_utils.jepsen_target import TargetError, resolve_targets

pytestmark = pytest.mark.unit

FIVE = ["n1", "n2", "n3", "n4", "n5"]
GROUPS = {"dc1": ["n1", "n2", "elsewhere"], "empty": ["elsewhere"]}
node_lists = st.integers(1, 25).map(lambda count: [f"n{i}" for i in range(1, count + 1)])
seeds = st.integers(-(2**63), 2**63)


@given(node_lists, seeds, st.data())
def test_draws_depend_on_names_and_seed_alone_and_keep_the_given_order(nodes, seed, data):
    mixed = data.draw(st.permutations(nodes))
    for word in ("one", "majority", "all", str(len(nodes)), "33%"):
        hit = resolve_targets(word, nodes, seed=seed)
        assert hit == [node for node in nodes if node in hit]
        assert set(resolve_targets(word, mixed, seed=seed)) == set(hit)


@given(node_lists, seeds)
def test_sizes_are_what_the_words_say_and_one_draw_is_within_the_next(nodes, seed):
    count = len(nodes)

    def size(word):
        try:
            return len(resolve_targets(word, nodes, seed=seed))
        except TargetError:
            return 0

    assert size("all") == count
    assert size("one") == 1
    assert size("minority") < count / 2 <= size("minority") + 1
    assert size("majority") - 1 <= count / 2 < size("majority")
    assert size("minority-third") < count / 3 <= size("minority-third") + 1
    if size("minority"):
        one, minority, majority = (set(resolve_targets(w, nodes, seed=seed)) for w in ("one", "minority", "majority"))
        assert one <= minority < majority


@given(node_lists, st.floats(0.1, 100), seeds)
def test_a_share_is_the_nearest_count_and_at_least_one(nodes, percent, seed):
    hit = resolve_targets(f"{percent:.3f}%", nodes, seed=seed)
    assert len(hit) == 1 or abs(len(hit) - len(nodes) * percent / 100) <= 0.51


@given(st.integers(1, 5), seeds)
def test_a_count_is_that_many(count, seed):
    assert len(resolve_targets(count, FIVE, seed=seed)) == len(resolve_targets(f"{count}", FIVE, seed=seed)) == count


def test_every_node_is_drawn_by_some_seed():
    assert {resolve_targets("one", FIVE, seed=seed)[0] for seed in range(100)} == set(FIVE)


@pytest.mark.parametrize(
    ("targets", "hit"),
    [
        ("n3, n1", ["n1", "n3"]),
        (["n5", "n5"], ["n5"]),
        ("dc1", ["n1", "n2"]),
        ("dc1 n4", ["n1", "n2", "n4"]),
        ("primaries", ["n2", "n4"]),
        ("100%", FIVE),
        ("40%", ["n2", "n3"]),
        ("minority", ["n2", "n3"]),
    ],
)
def test_examples(targets, hit):
    assert resolve_targets(targets, FIVE, GROUPS, ["n4", "n2"], 0) == hit


def test_primary_is_one_of_the_primaries():
    drawn = {tuple(resolve_targets("primary", FIVE, {}, ["n4", "n2"], seed)) for seed in range(50)}
    assert drawn == {("n2",), ("n4",)}


def test_a_nodes_name_comes_before_a_word():
    assert resolve_targets("one", ["one", "two", "three"], seed=0) == ["one"]


@pytest.mark.parametrize(
    ("targets", "primaries", "sentence"),
    [
        ("n9", [], "target 'n9' is unknown among the nodes n1 n2 n3 n4 n5: expected names of nodes or groups, first,"),
        ("", [], "no target is given: expected names"),
        ("0", [], "target 0: that is 0 of 5 nodes; expected 1 to 5"),
        ("6", [], "target 6: that is 6 of 5 nodes; expected 1 to 5"),
        ("-1", [], "target '-1' is unknown"),
        ("0%", [], "target 0%: expected a share of the nodes, more than 0 % and at most 100 %"),
        ("101%", [], "target 101%: expected a share of the nodes, more than 0 % and at most 100 %"),
        ("empty", [], "target empty: the group has none of the nodes n1 n2 n3 n4 n5"),
        ("primaries", None, "target primaries: nobody has asked which nodes are primaries; name the nodes instead"),
        ("primary", ["n7"], "target primary: none of n1 n2 n3 n4 n5 is a primary now"),
    ],
)
def test_mistakes_get_a_sentence(targets, primaries, sentence):
    with pytest.raises(TargetError) as caught:
        resolve_targets(targets, FIVE, GROUPS, primaries)
    assert str(caught.value).startswith(sentence)


def test_a_minority_of_two_is_nobody():
    with pytest.raises(TargetError, match="target minority: that is 0 of 2 nodes"):
        resolve_targets("minority", ["a", "b"])


@given(st.permutations(FIVE), seeds)
def test_the_first_is_that_of_the_order_given_unless_a_node_has_that_name(nodes, seed):
    assert resolve_targets("first", nodes, seed=seed) == nodes[:1]
    assert resolve_targets("first", ["n1", "first"], seed=seed) == ["first"]
