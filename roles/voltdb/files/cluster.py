"""Asks a node of VoltDB what it knows of the cluster: `cluster.py PORT ADDRESS`.

Prints `hosts=5 partitions=5 copies=3`: the hosts that run, the partitions, and how many copies the one has that has
fewest, by the node's own account, in JSON over HTTP. A node answers once it is in the cluster and has its data.
Standard library only: nodes have no client.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

TIMEOUT_S = 5
SUCCESS = 1
COORDINATOR = 16383  # the partition of what runs on all partitions: it has no data, and one site


def ask(port: str, address: str, procedure: str, parameters: list[Any]) -> list[dict[str, Any]]:
    """Calls a procedure and returns the rows of its first table."""
    host = f"[{address}]" if ":" in address else address
    query = urlencode({"Procedure": procedure, "Parameters": json.dumps(parameters)})
    with urlopen(f"http://{host}:{port}/api/1.0/?{query}", timeout=TIMEOUT_S) as response:
        answer = json.load(response)
    if answer["status"] != SUCCESS:
        raise ValueError(f"{procedure}: status {answer['status']}, {answer['statusstring']}")
    table = answer["results"][0]
    names = [column["name"] for column in table["schema"]]
    return [dict(zip(names, row)) for row in table["data"]]


def main() -> None:
    """Prints what the node knows."""
    port, address = sys.argv[1:]
    try:
        facts = ask(port, address, "@SystemInformation", ["OVERVIEW"])
        topology = ask(port, address, "@Statistics", ["TOPO", 0])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        sys.exit(f"{address}: {type(error).__name__}: {error}")
    hosts = {fact["HOST_ID"] for fact in facts if (fact["KEY"], fact["VALUE"]) == ("CLUSTERSTATE", "RUNNING")}
    # A partition's sites are `host:site,host:site`; of two on one host one copy would be worth nothing.
    copies = [
        len({site.split(":")[0] for site in row["Sites"].split(",") if site})
        for row in topology
        if row["Partition"] != COORDINATOR
    ]
    sys.stdout.write(f"hosts={len(hosts)} partitions={len(copies)} copies={min(copies, default=0)}\n")


main()
