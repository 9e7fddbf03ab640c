"""The Kafka client without a broker: what is certain, and what it speaks. With one: tests/lab/test_run.py."""

import pytest
from kafka import errors

from workloads.clients import kafka
from workloads.clients.kafka import CERTAIN, KafkaSet
from workloads.errors import WorkloadError
from workloads.inputs import Cluster

pytestmark = pytest.mark.unit


def test_what_comes_after_the_record_was_appended_is_not_certain() -> None:
    appended = (
        errors.NotEnoughReplicasAfterAppendError,
        errors.RequestTimedOutError,
        errors.KafkaConnectionError,
        errors.NotLeaderForPartitionError,
        errors.UnknownTopicOrPartitionError,
    )
    assert not [error for error in appended if issubclass(error, CERTAIN)]
    assert issubclass(errors.NotEnoughReplicasError, CERTAIN)


@pytest.mark.parametrize(
    ("release", "spoken"), [("0.8.0", (0, 8, 0)), ("0.8.2.2", (0, 8, 2)), ("3.9.2", None), ("4.3.1", None)]
)
def test_old_brokers_do_not_say_what_they_understand(release: str, spoken: tuple[int, ...] | None) -> None:
    assert kafka._protocol(release) == spoken


def test_options_that_it_does_not_know_are_refused() -> None:
    with pytest.raises(WorkloadError, match=r"cluster.json: client: .*acks"):
        KafkaSet("n1", Cluster("kafka", {"n1": "127.0.0.1"}, {"acks": "1"}), 1.0, "1700000000")
