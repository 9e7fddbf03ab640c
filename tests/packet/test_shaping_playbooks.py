"""slow.yml, flaky.yml, shape.yml and fast.yml: one sentence for a mistake, and nobody is left shaped."""

import pytest

from tests.packet.test_playbooks import UNREACHABLE, Hosts

pytestmark = pytest.mark.packet

MISTAKES = [
    ("shape", ["delay_ms=-1"], "delay_ms is -1: expected milliseconds, from 0 to 60000"),
    ("flaky", ["loss=101"], "loss is 101: expected percent, from 0 to 100"),
    ("slow", ["jitter_ms=60"], "jitter_ms is 60, more than delay_ms, 50: no packet can arrive before it was sent"),
    (
        "slow",
        ["distribution=gauss"],
        "value of distribution must be one of: uniform, normal, pareto, paretonormal, got: ",
    ),
    ("slow", ["to=n9"], "'n9' is not a node of this play; its nodes are n1 n2 n3"),
    ("slow", ["only=tcp x"], "port 'tcp"),
    ("slow", ["duration=0"], "duration_s is '0': expected seconds, more than 0"),
    ("shape", [], "the shape does nothing: give a delay_ms"),
]


@pytest.fixture
def hosts(net, tmp_path):
    return Hosts(net, tmp_path)


def refused(hosts, playbook, *extra):
    """Plays a playbook, which must fail, and returns the one sentence of its last task."""
    done = hosts.play(f"playbooks/{playbook}.yml", *extra, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    return (done.stdout + done.stderr).rpartition("Task failed: Action failed: ")[2].partition("\n")[0]


@pytest.mark.parametrize(("playbook", "extra", "sentence"), MISTAKES, ids=lambda value: "".join(value)[:20])
def test_a_mistake_is_one_sentence_and_touches_nobody(hosts, playbook, extra, sentence):
    said = refused(hosts, playbook, *extra)
    assert said.startswith("Nothing was changed. n1 n2 n3 failed: ")
    assert sentence in said
    assert set(hosts.rules().values()) == {""}


def test_one_host_that_is_missing_or_not_allowed_keeps_all_from_being_shaped(hosts):
    hosts.lines[1] += " faults_allowed=false"
    assert "does not say faults_allowed: true for n2" in refused(hosts, "slow")
    hosts.lines[1] = hosts.lines[1].removesuffix(" faults_allowed=false")
    hosts.lines.append(UNREACHABLE)
    assert "n4 could not be reached" in refused(hosts, "slow", "duration=61")
    assert set(hosts.rules().values()) == {""}


def test_fast_leaves_a_partition_alone(hosts):
    hosts.play("playbooks/partition.yml")
    before = hosts.rules()
    assert "changed=0" in hosts.play("playbooks/fast.yml").stdout
    assert hosts.rules() == before
