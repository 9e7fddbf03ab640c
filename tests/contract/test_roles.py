"""Every database's role keeps the contract: verbs, specifications, defaults, variants, templates that render."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.contract

ROOT = Path(__file__).resolve().parents[2]
ROLES = ROOT / "roles"
DATABASES = sorted(path.parent.name for path in ROLES.glob("*/variants"))
VERBS = {"install", "configure", "start", "ready", "primary", "stop", "kill", "pause", "resume", "wipe", "teardown"}
EVERYWHERE = {"version", "collect", "cluster"}  # roles/db does these for every database
OPERATOR = {"promote", "rejoin", "restart"}  # what a scenario may have an operator do
CONTRACT = {
    "name", "capabilities", "packages", "packages_from", "services", "processes", "ports", "data", "logs", "files",
    "paths", "users", "version", "client",
}  # fmt: skip
OPTIONAL = {"rewritten", "strays", "owner", "suite", "least_hosts", "release", "bundles", "java"}
OF_THE_RUN = {"run_folder"}  # options that a run gives, and no default can

# The nodes' addresses, as an inventory may have them.
INVENTORIES = {
    "ipv4": {f"n{i}": {"ansible_host": f"198.18.77.1{i}"} for i in range(1, 6)},
    "ipv6": {f"n{i}": {"ansible_host": f"203.0.113.{i}", "jepsen_address": f"2001:db8::{i}"} for i in range(1, 6)},
    "names": {f"db{i}.example.net": {} for i in range(1, 6)},
}
Render = Callable[[str, str], dict[str, dict[str, Any]]]
RENDER = """
- hosts: nodes
  gather_facts: false
  connection: local
  vars_files: [{roles}/db/defaults/main.yml, {roles}/{db}/defaults/main.yml, {roles}/{db}/vars/main.yml]
  tasks:
    - ansible.builtin.copy:
        content: "{{{{ {db}_contract | to_json }}}}"
        dest: "{folder}/{{{{ inventory_hostname }}}}.json"
        mode: "0600"
"""


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def specs(role: str) -> dict[str, Any]:
    found: dict[str, Any] = load(ROLES / role / "meta/argument_specs.yml")["argument_specs"]
    return found


def test_there_are_databases() -> None:
    assert {"etcd", "postgresql", "redis"} <= set(DATABASES)
    assert sorted(path.parents[1].name for path in ROLES.glob("*/vars/main.yml") if contract_of(path)) == DATABASES


def contract_of(path: Path) -> Any:
    return load(path).get(f"{path.parents[1].name}_contract")


@pytest.mark.parametrize("db", DATABASES)
def test_a_tasks_file_for_each_capability_and_no_other(db: str) -> None:
    contract = contract_of(ROLES / db / "vars/main.yml")
    assert set(contract) - OPTIONAL == CONTRACT
    assert contract["name"] == db
    capabilities = contract["capabilities"]
    assert len(capabilities) == len(set(capabilities))
    assert EVERYWHERE <= set(capabilities) <= VERBS | EVERYWHERE | OPERATOR
    files = {path.stem for path in (ROLES / db / "tasks").glob("*.yml")}
    assert files == {"main", *capabilities}
    assert all(load(ROLES / db / f"tasks/{verb}.yml") for verb in files), "an empty verb is a lie"


@pytest.mark.parametrize("db", DATABASES)
def test_main_is_one_include(db: str) -> None:
    (task,) = load(ROLES / db / "tasks/main.yml")
    assert task["ansible.builtin.include_tasks"] == f"{{{{ {db}_verb }}}}.yml"


@pytest.mark.parametrize("role", ["base", *DATABASES])
def test_every_verb_has_a_specification_and_its_defaults_are_the_real_ones(role: str) -> None:
    defaults = load(ROLES / role / "defaults/main.yml")
    assert set(specs(role)) == {path.stem for path in (ROLES / role / "tasks").glob("*.yml")}
    for verb, entry in specs(role).items():
        options = {name: option for name, option in entry["options"].items() if name not in OF_THE_RUN}
        assert {name: option["default"] for name, option in options.items()} == defaults, verb
        assert entry["short_description"], verb
        assert all(option["description"] for option in entry["options"].values()), verb


@pytest.mark.parametrize("role", ["base", "db", *DATABASES])
def test_public_variables_carry_the_roles_name(role: str) -> None:
    names = set(load(ROLES / role / "defaults/main.yml"))
    assert all(name.startswith(f"{role}_") for name in names), names


@pytest.mark.parametrize("db", DATABASES)
def test_variants_set_only_declared_variables_to_values_of_their_type(db: str) -> None:
    types = {"bool": bool, "int": int, "str": str, "list": list, "dict": dict}
    options = specs(db)["main"]["options"]
    variants = {path.stem: load(path) for path in (ROLES / db / "variants").glob("*.yml")}
    assert "default" in variants
    assert "safe" in variants or len(variants) > 1
    for name, variant in variants.items():
        assert set(variant) <= set(options), name
        for option, value in variant.items():
            assert isinstance(value, types[options[option]["type"]]), f"{name}: {option}"


@pytest.mark.parametrize("db", DATABASES)
def test_how_many_hosts_it_takes_is_known_before_the_defaults_and_then_the_same(db: str) -> None:
    least = str(contract_of(ROLES / db / "vars/main.yml").get("least_hosts", 1))
    assumed = dict(re.findall(rf"\b({db}_\w+) \| default\((\w+)\)", least))
    assert set(assumed) == set(re.findall(rf"\b{db}_\w+", least))
    defaults = load(ROLES / db / "defaults/main.yml")
    assert {name: yaml.safe_load(value) for name, value in assumed.items()} == {
        name: defaults[name] for name in assumed
    }


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Renders a database's contract for all hosts of one of the INVENTORIES; each only once."""

    @cache
    def once(db: str, kind: str) -> dict[str, dict[str, Any]]:
        return contracts(db, INVENTORIES[kind], tmp_path_factory.mktemp(f"{db}-{kind}"))

    return once


@pytest.mark.parametrize("db", DATABASES)
@pytest.mark.parametrize("kind", INVENTORIES)
def test_the_contract_and_its_templates_render_with_the_defaults(db: str, kind: str, render: Render) -> None:
    inventory = INVENTORIES[kind]
    rendered = render(db, kind)
    assert set(rendered) == set(inventory)
    for contract in rendered.values():
        assert set(contract) - OPTIONAL == CONTRACT
        names = ["journal.log", *contract["logs"].values()]
        assert len(set(names)) == len(names), "two logs would get one local name"
        assert len({port for port in map(int, contract["ports"]) if 0 < port < 65536}) == len(contract["ports"])
        assert all(path.startswith("/") for path in contract["data"] + contract["paths"] + list(contract["logs"]))
        assert contract["client"]["port"] in map(int, contract["ports"])
        for file in contract["files"]:
            assert "{{" not in file["content"]
            assert file["content"].endswith("\n")
    written = {host: " ".join(file["content"] for file in contract["files"]) for host, contract in rendered.items()}
    for host, address in addresses(inventory).items():
        assert all(address in text for text in written.values()), f"{host} is not in every node's configuration"


@pytest.mark.parametrize("kind", INVENTORIES)
def test_redis_begins_with_the_first_host_as_its_primary(kind: str, render: Render) -> None:
    inventory = INVENTORIES[kind]
    first = next(iter(inventory))
    for host, contract in render("redis", kind).items():
        server, sentinel = (file["content"].splitlines() for file in contract["files"][:2])
        followed = [line for line in server if line.startswith("replicaof ")]
        assert followed == ([] if host == first else [f"replicaof {addresses(inventory)[first]} 6379"])
        assert f"sentinel monitor mymaster {addresses(inventory)[first]} 6379 3" in sentinel
        assert ("sentinel resolve-hostnames yes" in sentinel) == (kind == "names")


@pytest.mark.parametrize("db", DATABASES)
def test_packages_may_come_from_where_the_user_says(db: str) -> None:
    assert contract_of(ROLES / db / "vars/main.yml")["packages_from"] == f"{{{{ {db}_packages_from }}}}"
    assert load(ROLES / db / "defaults/main.yml")[f"{db}_packages_from"] == ""


@pytest.mark.parametrize("kind", INVENTORIES)
def test_consul_is_told_addresses_and_no_names(kind: str, render: Render) -> None:
    inventory = INVENTORIES[kind]
    for host, contract in render("consul", kind).items():
        settings = json.loads(contract["files"][0]["content"])
        address = addresses(inventory)[host]
        assert settings.get("advertise_addr") == (None if kind == "names" else address)
        assert settings["bind_addr"] == settings["client_addr"] == ("::" if kind == "ipv6" else "0.0.0.0")  # noqa: S104
        assert settings["bootstrap_expect"] == 5
        assert settings["performance"] == {"raft_multiplier": 1}
        joined = "[2001:db8::1]:8301" if kind == "ipv6" else f"{next(iter(addresses(inventory).values()))}:8301"
        assert settings["retry_join"][0] == joined


def test_etcd_puts_ipv6_addresses_in_brackets(render: Render) -> None:
    text = render("etcd", "ipv6")["n2"]["files"][0]["content"]
    assert "ETCD_LISTEN_PEER_URLS=http://[::]:2380\n" in text
    assert "ETCD_INITIAL_CLUSTER=n1=http://[2001:db8::1]:2380,n2=http://[2001:db8::2]:2380," in text


@pytest.mark.parametrize("kind", INVENTORIES)
def test_rabbitmq_gives_every_node_a_name_that_erlang_takes_and_resolves(kind: str, render: Render) -> None:
    inventory = INVENTORIES[kind]
    names = {host: host if kind == "names" else f"{host}.jepsen" for host in inventory}
    for host, contract in render("rabbitmq", kind).items():
        files = {Path(file["path"]).name: file["content"].splitlines() for file in contract["files"]}
        assert f"NODENAME=rabbit@{names[host]}" in files["rabbitmq-env.conf"]
        assert "USE_LONGNAME=true" in files["rabbitmq-env.conf"]
        for number, (peer, address) in enumerate(addresses(inventory).items(), start=1):
            assert f"cluster_formation.classic_config.nodes.{number} = rabbit@{names[peer]}" in files["rabbitmq.conf"]
            assert (f"{address} {names[peer]}" in files["hosts"]) == (kind != "names")
        assert ("{inet6, true}." in files["inetrc"]) == (kind == "ipv6")
        assert any("-proto_dist inet6_tcp" in line for line in files["rabbitmq-env.conf"]) == (kind == "ipv6")


@pytest.mark.parametrize("kind", INVENTORIES)
def test_zookeeper_numbers_its_servers_as_the_inventory_has_them(kind: str, render: Render) -> None:
    inventory = INVENTORIES[kind]
    hosts = [f"[{a}]" if ":" in a else a for a in addresses(inventory).values()]
    servers = [f"server.{number}={host}:2888:3888" for number, host in enumerate(hosts, start=1)]
    for number, contract in enumerate(render("zookeeper", kind).values(), start=1):
        written = {file["path"].rpartition("/")[2]: file["content"] for file in contract["files"]}
        assert [line for line in written["zoo.cfg"].splitlines() if line.startswith("server.")] == servers
        assert written["myid"] == f"{number}\n"
        assert contract["client"] == {"port": 2181, "sync": False}


@pytest.mark.parametrize(
    ("variant", "peers", "unlike"),
    [
        ("default", '"2001:db8::1:9300", "2001:db8::2:9300"', "bin/elasticsearch"),
        ("6.8", '"[2001:db8::1]:9300", "[2001:db8::2]:9300"', "patched"),
        ("modern", '"[2001:db8::1]:9300", "[2001:db8::2]:9300"', "patched"),
    ],
)
def test_elasticsearch_finds_its_nodes_and_is_started_as_each_release_wants(
    variant: str, peers: str, unlike: str, tmp_path: Path
) -> None:
    inventory = INVENTORIES["ipv6"]
    for host, contract in contracts("elasticsearch", inventory, tmp_path, variant).items():
        text = {Path(file["path"]).name: file["content"] for file in contract["files"]}
        settings, unit = yaml.safe_load(text["elasticsearch.yml"]), text["elasticsearch.service"]
        zen = variant != "modern"
        assert f"[{peers}, " in text["elasticsearch.yml"]
        assert settings["node.name"] == host
        assert settings.get("discovery.zen.minimum_master_nodes") == (3 if zen else None)
        assert settings.get("cluster.initial_master_nodes") == (None if zen else list(inventory))
        assert unlike not in unit
        assert ("/opt/jepsen-elasticsearch/patched:" in unit) == (variant == "default")
        assert ("exec /opt/jepsen-elasticsearch/bin/elasticsearch" in unit) == (variant == "modern")
        assert contract["client"]["type"] == ("element" if zen else "-")


@pytest.mark.parametrize("kind", INVENTORIES)
def test_voltdb_listens_on_its_own_address_and_waits_for_all_hosts(kind: str, render: Render) -> None:
    inventory = INVENTORIES[kind]
    hosts = {host: f"[{a}]" if ":" in a else a for host, a in addresses(inventory).items()}
    for host, contract in render("voltdb", kind).items():
        text = {Path(file["path"]).name: file["content"] for file in contract["files"]}
        (start,) = re.findall(r"^ExecStart=(.*)$", text["voltdb.service"].replace("\\\n", " "), re.MULTILINE)
        unit = " ".join(start.split())
        assert f" probe mesh {','.join(f'{address}:3021' for address in hosts.values())} hostcount 5 " in unit
        assert f" httpport {hosts[host]}:8080 zkport 127.0.0.1:7181" in unit
        own = addresses(inventory)[host]
        assert f" externalinterface {own} internalinterface {own} publicinterface {own} " in unit
        assert '<cluster hostcount="5" sitesperhost="3" kfactor="2"/>' in text["deployment.xml"]
        assert contract["least_hosts"] == 3


@pytest.mark.parametrize(("variant", "servers"), [("default", 5), ("sync", 5), ("single", 1)])
def test_postgresql_has_a_server_and_synchronous_standbys_where_the_variant_says_so(
    variant: str, servers: int, tmp_path: Path
) -> None:
    inventory = INVENTORIES["names"]
    rendered = contracts("postgresql", inventory, tmp_path, variant)
    for host, contract in rendered.items():
        text = {Path(file["path"]).name: file["content"] for file in contract["files"]}
        others = ", ".join(f'"{other}"' for other in inventory if other != host)
        synchronous = f"synchronous_standby_names = 'ANY 2 ({others})'\n" in text["postgresql.conf"]
        assert synchronous == (variant == "sync")
        assert f"application_name={host}" in text["postgresql-begin"]
        assert ("then make; else copy" in text["postgresql-begin"]) == (host == "db1.example.net")
        assert contract["client"]["server"] == ("db1.example.net" if servers == 1 else "")
    begins = {
        host: file["content"] for host, c in rendered.items() for file in c["files"] if "start.conf" in file["path"]
    }
    assert [begins[host] for host in inventory] == ["auto\n"] * servers + ["disabled\n"] * (5 - servers)


def addresses(inventory: dict[str, dict[str, str]]) -> dict[str, str]:
    """What design and documentation promise: jepsen_address, else ansible_host, else the inventory's name."""
    return {host: known.get("jepsen_address", known.get("ansible_host", host)) for host, known in inventory.items()}


def contracts(
    db: str, inventory: dict[str, dict[str, str]], folder: Path, variant: str = "default"
) -> dict[str, dict[str, Any]]:
    """The contract as Ansible renders it for every host, {host: contract}; no host is reached for it."""
    for name in ("files", "templates"):
        (folder / name).symlink_to(ROLES / db / name)
    hosts = folder / "hosts.yml"
    hosts.write_text(yaml.safe_dump({"nodes": {"hosts": inventory}}, sort_keys=False), encoding="utf-8")
    play = folder / "render.yml"
    play.write_text(RENDER.format(roles=ROLES, db=db, folder=folder), encoding="utf-8")
    done = subprocess.run(
        [ROOT / ".venv/bin/ansible-playbook", "-i", hosts, "-e", f"@{ROLES / db / 'variants' / variant}.yml", play],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {host: json.loads((folder / f"{host}.json").read_text(encoding="utf-8")) for host in inventory}


START = """
- hosts: localhost
  gather_facts: false
  connection: local
  environment: {{PATH: "{folder}:/usr/bin:/bin"}}
  tasks:
    - ansible.builtin.include_role: {{name: db, tasks_from: start}}
      vars: {{db_contract: {{services: [example], logs: {{"{folder}/new.log": new.log, "{folder}/old.log": old.log}}}}}}
"""
# A service that says why it does not start in a file, as RabbitMQ does.
PROGRAMS = {
    "systemctl": '[ "$1" != is-active ] || exit 3; [ "$1" != start ] || { echo out of luck >>$0.d/new.log; exit 1; }',
    "journalctl": "echo control process exited",
}


def test_a_service_that_does_not_start_shows_its_journal_and_what_it_wrote_into_its_logs(tmp_path: Path) -> None:
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text.replace('$0.d', str(tmp_path))}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    old = tmp_path / "old.log"
    old.write_text("long ago\n", encoding="utf-8")
    os.utime(old, (1, 1))
    play = tmp_path / "start.yml"
    play.write_text(START.format(folder=tmp_path), encoding="utf-8")
    command = [ROOT / ".venv/bin/ansible-playbook", play]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "example did not start; its journal ends:" in said
    assert "control process exited" in said
    assert "out of luck" in said
    assert "long ago" not in said
