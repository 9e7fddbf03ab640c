"""What a lab is, as data: its names, addresses, folders and files. Nothing here touches the machine."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

CACHE = Path("/var/cache/callmaybe")  # images and packages; outlives the lab
STATE = Path("/var/lib/callmaybe/lab")  # everything else of the lab; gone with it
RELEASES = ("bullseye", "bookworm", "trixie")
MOST_NODES = 100
FIRST_NODE = 11  # n1 ends in .11, n2 in .12
HOST_LINK = "cmm0"  # the host's only interface towards the lab
LAB_BRIDGE = "lan"  # lives in the lab's own network namespace, as do the nodes' ends
IPV6_SUBNET = ipaddress.IPv6Network("fd63:616c:6c6d::/64")  # unique local; "call m" in ASCII
PROXY_PORT = 3142
USER = "admin"


class LabError(Exception):
    """One sentence for a person: what was wrong, where, and what to do."""


@dataclass(frozen=True)
class Node:
    """One machine of the lab.

    Attributes:
        name: Its host name and inventory name, n1 and up.
        ipv4: Its address with prefix length, such as 198.18.77.11/24.
        ipv6: The same for IPv6.
    """

    name: str
    ipv4: ipaddress.IPv4Interface
    ipv6: ipaddress.IPv6Interface

    @property
    def disk(self) -> Path:
        """The folder of its overlay: upper, work, root."""
        return STATE / "nodes" / self.name

    @property
    def console(self) -> Path:
        """The file that its console goes to."""
        return STATE / "nodes" / f"{self.name}.log"


@dataclass(frozen=True)
class Lab:
    """A wanted lab.

    Attributes:
        node_count: How many nodes, 1 to 100.
        release: Debian's release, one of RELEASES.
        mirror: Address of the Debian archive that images and packages come from.
        security_mirror: The same for security updates.
        subnet: An IPv4 network, /24 or larger, that nothing else on the host uses.
    """

    node_count: int
    release: str
    mirror: str
    security_mirror: str
    subnet: str

    def __post_init__(self) -> None:
        if not 1 <= self.node_count <= MOST_NODES:
            raise LabError(f"lab_nodes is {self.node_count}; give a number from 1 to {MOST_NODES}.")
        if self.release not in RELEASES:
            raise LabError(f"lab_release is {self.release!r}; known are {', '.join(RELEASES)}.")
        for name, url in (("lab_mirror", self.mirror), ("lab_security_mirror", self.security_mirror)):
            if not re.fullmatch(r"https?://[A-Za-z0-9.:_-]+(/[^\s\[\]]*)?", url):
                raise LabError(f"{name} is {url!r}; give the address of a Debian archive, http://... or https://...")
        try:
            network = ipaddress.IPv4Network(self.subnet)
        except ValueError as error:
            raise LabError(
                f"lab_subnet is {self.subnet!r} ({error}); give an IPv4 network such as 198.18.77.0/24."
            ) from None
        if network.prefixlen > 24:
            raise LabError(f"lab_subnet is {self.subnet}; the lab needs a /24 or larger.")

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The nodes' IPv4 network."""
        return ipaddress.IPv4Network(self.subnet)

    @property
    def nodes(self) -> list[Node]:
        """All nodes, n1 first."""
        return [
            Node(f"n{i + 1}", self._ipv4(FIRST_NODE + i), self._ipv6(f"{FIRST_NODE + i}"))
            for i in range(self.node_count)
        ]

    @property
    def host_ipv4(self) -> ipaddress.IPv4Interface:
        """The host's address in the lab, from which Ansible and the clients speak: .1."""
        return self._ipv4(1)

    @property
    def host_ipv6(self) -> ipaddress.IPv6Interface:
        """The same for IPv6."""
        return self._ipv6("1")

    @property
    def proxy_ipv4(self) -> ipaddress.IPv4Interface:
        """The package proxy's address: .2."""
        return self._ipv4(2)

    @property
    def proxy_url(self) -> str:
        """Where the nodes' apt finds the package proxy."""
        return f"http://{self.proxy_ipv4.ip}:{PROXY_PORT}"

    @property
    def sources(self) -> list[str]:
        """The lines of the image's sources.list."""
        return [
            f"deb {self.mirror} {self.release} main",
            f"deb {self.mirror} {self.release}-updates main",
            f"deb {self.security_mirror} {self.release}-security main",
        ]

    def image(self, recipe: bytes) -> Path:
        """The image's folder; its name changes with anything that the image is made from.

        Args:
            recipe: What else goes into the image, such as the script that finishes it.
        """
        digest = hashlib.sha256("\n".join(self.sources).encode() + b"\0" + recipe).hexdigest()[:12]
        return CACHE / "images" / f"{self.release}-{digest}"

    def to_json(self) -> str:
        """The plan as it is kept in the state folder."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Lab:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: The text is torn, or of another version of the lab.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, LabError) as error:
            raise ValueError(str(error)) from None

    def differences(self, other: Lab) -> list[str]:
        """What this lab has otherwise than another, one phrase each, such as `lab_nodes 5, not 9`."""
        names = {"node_count": "lab_nodes", "security_mirror": "lab_security_mirror", "mirror": "lab_mirror"}
        mine, theirs = asdict(self), asdict(other)
        return [f"{names.get(k, 'lab_' + k)} {mine[k]}, not {theirs[k]}" for k in mine if mine[k] != theirs[k]]

    def inventory(self) -> str:
        """An Ansible inventory of all nodes, in the form of inventory/lab.yml."""
        hosts = "".join(f"    {node.name}: {{ansible_host: {node.ipv4.ip}}}\n" for node in self.nodes)
        return (
            f"# The lab as it is up now, written by playbooks/lab_up.yml.\nnodes:\n  hosts:\n{hosts}  vars:\n"
            "    faults_allowed: true\n"
            f"    ansible_user: {USER}\n"
            "    ansible_become: true\n"
            f"    ansible_ssh_private_key_file: {STATE}/ssh_key\n"
            f"    ansible_ssh_common_args: -o UserKnownHostsFile={STATE}/known_hosts\n"
            f"    ansible_control_path: {STATE}/ssh-%%r@%%h\n"
        )

    def _ipv4(self, number: int) -> ipaddress.IPv4Interface:
        return ipaddress.IPv4Interface((self.network[number], self.network.prefixlen))

    @staticmethod
    def _ipv6(digits: str) -> ipaddress.IPv6Interface:
        # The digits of the IPv4 address, read as hexadecimal, so that n1 is .11 and ::11.
        return ipaddress.IPv6Interface((IPV6_SUBNET[int(digits, 16)], IPV6_SUBNET.prefixlen))
