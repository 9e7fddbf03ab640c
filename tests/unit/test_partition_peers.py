"""Which addresses stand for a peer, and which never do."""

import json
import socket
import time

import pytest

from jepsen_modules.module_utils import jepsen_address
from jepsen_modules.module_utils.jepsen_address import (
    AddressError,
    normal,
    own_addresses,
    peer_addresses,
    refuse_controllers,
    resolve,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("198.18.77.11", "198.18.77.11"),
        ("::ffff:198.18.77.11", "198.18.77.11"),
        ("FD00:0:0::1", "fd00::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_one_form_of_each_address(given, canonical):
    assert normal(given) == canonical


def test_literal_addresses_need_no_resolver(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: pytest.fail("asked the resolver for an address"))
    assert resolve({"192.0.2.1", "[fd00::1]"}) == {"192.0.2.1": ["192.0.2.1"], "[fd00::1]": ["fd00::1"]}


def test_the_inventory_name_and_all_given_addresses_are_used():
    assert peer_addresses(["192.0.2.1"], {"192.0.2.1": ["fd00::1", "192.0.2.1"]}, set()) == {
        "192.0.2.1": ["192.0.2.1", "fd00::1"]
    }


def test_own_and_loopback_addresses_stand_for_nobody():
    given = {"192.0.2.1": ["127.0.1.1", "::1", "192.0.2.9", "0.0.0.0", "224.0.0.1"]}  # noqa: S104 - not bound to
    assert peer_addresses(["192.0.2.1"], given, {"192.0.2.9"}) == {"192.0.2.1": ["192.0.2.1"]}


def test_a_peer_known_nowhere_gets_a_sentence():
    with pytest.raises(AddressError) as caught:
        peer_addresses(["nobody.invalid"], {"nobody.invalid": []}, set())
    assert str(caught.value) == (
        "no address of the peer nobody.invalid is known here: the names nobody.invalid lead nowhere; "
        "give nobody.invalid an ansible_host or a jepsen_address in the inventory, or a line in this node's /etc/hosts"
    )


def test_a_resolver_that_hangs_is_bounded_for_all_names_together(monkeypatch):
    monkeypatch.setattr(jepsen_address, "RESOLVE_BOUND_S", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: time.sleep(2) or [])
    began = time.monotonic()
    assert resolve({"a", "b", "c", "192.0.2.1"}) == {"a": [], "b": [], "c": [], "192.0.2.1": ["192.0.2.1"]}
    assert time.monotonic() - began < 1.9


def test_own_addresses_are_those_that_ip_lists():
    links = [
        {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1"}]},
        {"ifname": "eth0", "addr_info": [{"local": "198.18.77.11"}, {"local": "FE80::1"}, {}]},
        {"ifname": "tun0"},
    ]
    assert own_addresses(lambda _: (0, json.dumps(links), "")) == {"127.0.0.1", "198.18.77.11", "fe80::1"}


def test_ip_that_fails_gets_a_sentence():
    with pytest.raises(AddressError, match="cannot list this node's own addresses: `ip -j address show` printed 'no'"):
        own_addresses(lambda _: (1, "", "no\n"))


def test_a_controller_is_no_peer():
    refuse_controllers({"n1": ["192.0.2.1"]}, ["192.0.2.2"])
    with pytest.raises(AddressError, match=r"refused: the peer n1 has the address 192\.0\.2\.1"):
        refuse_controllers({"n2": ["192.0.2.3"], "n1": ["192.0.2.9", "192.0.2.1"]}, ["192.0.2.1"])
