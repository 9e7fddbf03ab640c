"""The lab for the tests that need one, and a machine without a lab for the tests of the lab itself.

A lab that was up before the tests began belongs to somebody: it is used, and it is neither taken down nor broken. So
does one whose nodes an inventory names (CALLMAYBE_TEST_INVENTORY): it must be up.
"""

from __future__ import annotations

import os

import ansible.module_utils as shared_code
import pytest

from tests.lab.machine import GIVEN, ROOT, STATE, Lab, ansible, playbook

# The modules' shared code imports itself from here, where Ansible puts it on a node.
SHARED = str(ROOT / "jepsen_modules/module_utils")
if SHARED not in shared_code.__path__:
    shared_code.__path__.append(SHARED)
from ansible.module_utils import jepsen_lab_house as house  # noqa: E402 - found only now


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts tests that need a machine without a lab before those that need one."""
    items.sort(key=lambda item: "free_machine" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def _lab_was_up() -> bool:
    """Whether there was a lab before the tests; skips where there cannot be one."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    able = ansible("localhost", "-m", "jepsen_lab_host", program="ansible")
    if able.returncode != 0:
        pytest.skip(f"this machine cannot hold a lab: {able.stdout}")
    return STATE.exists()


@pytest.fixture(scope="session")
def lab(_lab_was_up):
    """Five nodes, up for the whole session; of a lab that was up before, whatever its size, five that it has."""
    if GIVEN and not _lab_was_up:
        pytest.fail(
            "CALLMAYBE_TEST_INVENTORY names nodes of a lab, and no lab is up; bring it up or unset the variable",
            pytrace=False,
        )
    if not _lab_was_up:
        playbook("lab_up")
    yield Lab()
    if not _lab_was_up:
        playbook("lab_down")


@pytest.fixture(scope="session")
def _prepared(_lab_was_up):
    """The packages that a lab needs of the host, and its image: these stay."""
    if GIVEN:
        pytest.skip("CALLMAYBE_TEST_INVENTORY is given, so the lab is left alone; unset it to run this test")
    if not _lab_was_up:
        playbook("lab_up")
        playbook("lab_down")


@pytest.fixture
def free_machine(_lab_was_up, _prepared):
    """A machine without a lab, before and after."""
    if _lab_was_up:
        pytest.skip("a lab is up; take it down (playbooks/lab_down.yml) to run this test")
    clear()
    yield
    clear()


def clear() -> None:
    """Takes down what a test has left of a lab, if anything."""
    if house.remains():
        playbook("lab_down")
