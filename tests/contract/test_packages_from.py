"""Where a database's packages come from: the source that apt is given, and what may be taken from it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.contract

ROOT = Path(__file__).resolve().parents[2]
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = "http://mirror.example.net/debian"
# What roles/db finds on a node, and what it makes of it.
PLAY = """
- hosts: localhost
  gather_facts: false
  connection: local
  vars_files: [{roles}/db/vars/main.yml]
  vars:
    db_contract: {contract}
    __db_apt: {{stdout_lines: {found}}}
  tasks:
    - ansible.builtin.copy:
        content: "{{{{ {{'line': __db_line, 'pins': __db_pins, 'debs': __db_debs, 'key': __db_key}} | to_json }}}}"
        dest: "{folder}/made.json"
        mode: "0600"
"""
PREFERRED = 'Package: *\nPin: origin "{}"\nPin-Priority: 990\n'


def made(folder: Path, packages_from: str, release: str = "bookworm", **more: str) -> dict[str, Any]:
    """The source that a node of that release gets."""
    contract = {"name": "example", "packages": ["a", "b"], "packages_from": packages_from, **more}
    play = folder / "play.yml"
    found = json.dumps([release, MIRROR, KEYS])
    play.write_text(PLAY.format(roles=ROOT / "roles", contract=json.dumps(contract), found=found, folder=folder))
    done = run(play)
    assert done.returncode == 0, done.stdout + done.stderr
    source: dict[str, Any] = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    return source


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [ROOT / ".venv/bin/ansible-playbook", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_nothing_asked_for_is_no_source(tmp_path: Path) -> None:
    assert made(tmp_path, "")["line"] == ""
    assert made(tmp_path, "", suite="bookworm")["line"] == "", "the node's own release has them"


def test_another_release_gives_what_is_named_and_nothing_else(tmp_path: Path) -> None:
    source = made(tmp_path, "", suite="bullseye")
    assert source["line"] == f"deb [lang=none target=Packages signed-by={KEYS}] {MIRROR} bullseye main"
    assert source["pins"] == (
        "Package: *\nPin: release n=bullseye\nPin-Priority: -1\n\n"
        "Package: a b\nPin: release n=bullseye\nPin-Priority: 500\n"
    )


def test_a_folder_and_a_file_are_a_source_of_the_node_s_own(tmp_path: Path) -> None:
    debs = tmp_path / "debs"
    debs.mkdir()
    for name in ("b.deb", "a.deb", "notes.txt"):
        (debs / name).touch()
    line = "deb [trusted=yes lang=none] file:/var/lib/jepsen-packages/example ./"
    source = made(tmp_path, str(debs), suite="bullseye")
    assert source == {
        "line": line,
        "pins": PREFERRED.format(""),
        "debs": [f"{debs}/a.deb", f"{debs}/b.deb"],
        "key": "",
    }
    source = made(tmp_path, str(debs / "b.deb"))
    assert (source["line"], source["debs"]) == (line, [f"{debs}/b.deb"])


def test_a_mirror_is_asked_for_the_node_s_own_release(tmp_path: Path) -> None:
    source = made(tmp_path, "https://apt.example.org/debian", "trixie", suite="bullseye")
    assert source["line"] == f"deb [lang=none signed-by={KEYS}] https://apt.example.org/debian trixie main"
    assert source["pins"] == PREFERRED.format("apt.example.org")


def test_a_line_is_taken_as_it_is_but_for_a_key_of_the_controller(tmp_path: Path) -> None:
    plain = "deb http://apt.example.org:8080/x stable main extra"
    source = made(tmp_path, plain)
    assert (source["line"], source["pins"]) == (plain, PREFERRED.format("apt.example.org"))
    on_the_node = "deb [arch=amd64 signed-by=/no/such/key.gpg] https://apt.example.org stable main"
    assert made(tmp_path, on_the_node)["line"] == on_the_node
    key = tmp_path / "key.asc"
    key.touch()
    source = made(tmp_path, f"deb [arch=amd64 signed-by={key}] https://apt.example.org stable main")
    assert source["key"] == str(key)
    assert (
        source["line"] == "deb [arch=amd64 signed-by=/etc/apt/jepsen-example.asc] https://apt.example.org stable main"
    )
    assert source["pins"] == PREFERRED.format("apt.example.org")


@pytest.mark.parametrize(
    ("name", "wrong"), [("nowhere", "does not exist"), ("empty", "holds no .deb"), ("notes.txt", "is not a .deb")]
)
def test_a_path_without_packages_is_refused_before_a_host_is_touched(tmp_path: Path, name: str, wrong: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    hosts = tmp_path / "hosts.yml"
    nodes = {"hosts": {"n1": {"ansible_host": "127.0.0.1", "ansible_port": 9}}, "vars": {"faults_allowed": True}}
    hosts.write_text(yaml.safe_dump({"nodes": nodes}))
    done = run("-i", hosts, "playbooks/install.yml", "-e", "db=etcd", "-e", f"etcd_packages_from={tmp_path / name}")
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert f"etcd_packages_from: {tmp_path / name} {wrong}; it may be a folder of .deb files" in said
    assert "UNREACHABLE" not in said
