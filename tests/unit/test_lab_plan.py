"""The lab as data: addresses, inventory, and what is said about bad wishes."""

import re
from pathlib import Path

import pytest
import yaml

from jepsen_modules.module_utils.jepsen_lab_plan import Lab, LabError

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
MIRRORS = ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")


def lab(nodes: int = 5, release: str = "bookworm", subnet: str = "198.18.77.0/24", mirror: str = MIRRORS[0]) -> Lab:
    return Lab(nodes, release, mirror, MIRRORS[1], subnet)


def test_the_written_inventory_is_the_one_in_the_repository():
    assert yaml.safe_load(lab().inventory()) == yaml.safe_load((ROOT / "inventory/lab.yml").read_text())


def test_the_roles_defaults_are_the_modules():
    defaults = yaml.safe_load((ROOT / "roles/lab/defaults/main.yml").read_text())
    wanted = Lab(
        defaults["lab_nodes"],
        defaults["lab_release"],
        defaults["lab_mirror"],
        defaults["lab_security_mirror"],
        defaults["lab_subnet"],
    )
    assert wanted == lab()


@pytest.mark.parametrize("subnet", ["198.18.77.0/24", "10.20.0.0/16"])
def test_no_two_machines_share_an_address(subnet):
    big = lab(100, subnet=subnet)
    hosts = [big.host_ipv4, big.proxy_ipv4, *(node.ipv4 for node in big.nodes)]
    assert len({address.ip for address in hosts}) == 102
    assert all(address.ip in big.network and address.ip != big.network.broadcast_address for address in hosts)
    assert len({address.ip for address in (big.host_ipv6, *(node.ipv6 for node in big.nodes))}) == 101


def test_nodes_count_from_eleven_in_both_families():
    first = lab().nodes[0]
    assert (first.name, str(first.ipv4), str(first.ipv6)) == ("n1", "198.18.77.11/24", "fd63:616c:6c6d::11/64")


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"nodes": 0}, "lab_nodes is 0; give a number from 1 to 100"),
        ({"nodes": 101}, "lab_nodes is 101"),
        ({"release": "sid"}, "lab_release is 'sid'; known are bullseye, bookworm, trixie"),
        ({"subnet": "198.18.77.1/24"}, "host bits set"),
        ({"subnet": "198.18.77.0/25"}, "needs a /24 or larger"),
        ({"mirror": "ftp://example.org/debian"}, "lab_mirror is 'ftp://example.org/debian'; give the address"),
        ({"mirror": "http://a b/"}, "lab_mirror is"),
    ],
)
def test_a_bad_wish_is_refused_in_a_sentence(wish, said):
    with pytest.raises(LabError, match=re.escape(said)):
        lab(**wish)


def test_a_plan_survives_its_file_and_a_torn_file_is_no_plan():
    assert Lab.from_json(lab().to_json()) == lab()
    for text in (lab().to_json()[:-9], '{"node_count": 5}', "[]", ""):
        with pytest.raises(ValueError):  # noqa: PT011 - the JSON reader's or ours
            Lab.from_json(text)


def test_differences_are_named_as_the_variables_are():
    assert lab().differences(lab(9, "trixie")) == ["lab_nodes 5, not 9", "lab_release bookworm, not trixie"]
    assert lab().differences(lab()) == []


def test_an_image_has_another_name_when_anything_in_it_changes():
    images = {
        lab().image(b"recipe"),
        lab().image(b"other"),
        lab(release="trixie").image(b"recipe"),
        lab(mirror="https://deb.debian.org/debian").image(b"recipe"),
    }
    assert len(images) == 4
    assert lab(9, subnet="10.0.0.0/24").image(b"recipe") in images
