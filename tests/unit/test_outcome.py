"""What is said of a playbook that failed: each sentence once, whoever said it."""

import pytest

from callmaybe.ansible import Outcome

pytestmark = pytest.mark.unit

NO_NFT = "nft is not on this node; install the Debian package nftables"


@pytest.mark.parametrize(
    ("failures", "unreachable", "sentence"),
    [
        ([("n1", NO_NFT), ("n2", NO_NFT), ("n3", NO_NFT), ("n1", NO_NFT)], [], f"n1 n2 n3: {NO_NFT}"),
        ([("n1", NO_NFT), ("n2", "no root")], [], f"n1: {NO_NFT}; n2: no root"),
        ([("", "the plan is wrong"), ("", "the plan is wrong")], [], "the plan is wrong"),
        ([], [("n1", "ssh: timed out"), ("n5", "ssh: timed out")], "n1 n5 cannot be reached: ssh: timed out"),
        ([("n1", "x")], [("n5", "ssh: no")], "n5 cannot be reached: ssh: no; n1: x"),
        ([("n1", "no nft"), ("", "not armed: n1: no nft")], [], "not armed: n1: no nft"),
        ([], [], "ansible-playbook ended as failed"),
    ],
)
def test_each_sentence_once(failures: list[tuple[str, str]], unreachable: list[tuple[str, str]], sentence: str) -> None:
    assert Outcome("failed", failures, unreachable).reason == sentence


def test_what_was_rescued_is_not_said() -> None:
    assert Outcome("canceled", [("n1", "x")], []).reason == "ansible-playbook ended as canceled"
