"""Playbooks run from both folders, leave the hosts to the user, and refuse a mistake before any host is touched."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.contract

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))
# Nobody listens there: a playbook that touches a host cannot but say UNREACHABLE.
INVENTORY = """
nodes:
  hosts:
    n1: {ansible_host: 127.0.0.1, ansible_port: 9}
    n2: {ansible_host: 127.0.0.1, ansible_port: 9}
  vars: {faults_allowed: true}
unwilling:
  hosts:
    p1: {ansible_host: 127.0.0.1, ansible_port: 9}
    p2: {ansible_host: 127.0.0.1, ansible_port: 9, faults_allowed: false}
"""
DATABASES = ", ".join(sorted(path.parent.name for path in ROOT.glob("roles/*/variants")))
MISTAKES = [
    ("install.yml -e db=reddis", f"there is no database 'reddis'; known: {DATABASES}"),
    ("teardown.yml -e db=../redis", f"there is no database '../redis'; known: {DATABASES}"),
    ("install.yml", f"no database was named; say which with -e db=NAME; known: {DATABASES}"),
    ("install.yml -e db=redis -e variant=sfae", "redis has no variant 'sfae'; known: default, safe"),
    (
        "db.yml -e db=etcd -e verb=explode",
        "etcd has no verb 'explode'; known: cluster, collect, configure, install, kill, ",
    ),
    ("db.yml -e db=etcd -e verb=main", "etcd has no verb 'main'; known: cluster, collect, configure, install, kill, "),
    ("db.yml -e db=etcd", "no verb was named; say which with -e verb=NAME; known: cluster, "),
    ("install.yml -e db=redis -e redis_quorumm=2", "redis has no option 'redis_quorumm'; known: redis_client, "),
    ("install.yml -e db=redis --limit n2 -e variant=x", "redis has no variant 'x'; known: default, safe"),
    (
        "install.yml -e db=postgresql -e variant=sync",
        "postgresql as it was asked for (variant sync) needs 3 hosts at least; there are 2: n1 n2",
    ),
    ("install.yml -e db=postgresql -e postgresql_synchronous=2", "(variant default) needs 3 hosts at least"),
    ("db.yml -e db=redis -e verb=configure", "(variant default) needs 3 hosts at least; there are 2: n1 n2"),
    ("install.yml -e db=zookeeper -e target=n2", "needs 2 hosts at least; there is 1: n2"),
    ("install.yml -e db=redis -e target=nowhere", "No host matches 'nowhere' in the inventory."),
    ("slow.yml -e delay=10", "there is no option 'delay'; did you mean delay_ms?"),
    ("partition.yml -e topolgy=bridge", "there is no option 'topolgy'; did you mean topology?"),
    ("kill.yml -e db=redis -e target=one", "No host matches 'one' in the inventory."),
    *(
        (
            f"{play} -e target=unwilling",
            "p1, p2: the inventory does not say faults_allowed: true, so nothing was touched.",
        )
        for play in (
            "install.yml -e db=redis",
            "teardown.yml -e db=etcd",
            "db.yml -e db=redis -e verb=kill",
            "db.yml -e db=rabbitmq -e verb=start",
            "db.yml -e db=elasticsearch -e verb=ready",
            "reboot.yml",
            "shutdown.yml",
        )
    ),
    ("reboot.yml -e target=all --limit n1,p2", "p2: the inventory does not say faults_allowed: true"),
]


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs ansible-playbook as a user would, in a folder, with nothing but the folder's own ansible.cfg."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return subprocess.run(
        [ROOT / ".venv/bin/ansible-playbook", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("folder", [".", "playbooks"])
def test_playbooks_are_sound_from_the_root_and_from_their_own_folder(folder: str) -> None:
    names = [name if folder == "playbooks" else f"playbooks/{name}" for name in PLAYBOOKS]
    done = run(ROOT / folder, "--syntax-check", *names)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was not found" not in done.stderr  # a role or module that the other folder's paths miss


def test_both_settings_are_alike_but_for_the_paths() -> None:
    def settings(path: Path) -> list[str]:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if not line.startswith("#")]

    own = settings(ROOT / "playbooks/ansible.cfg")
    assert own == [
        re.sub(r"^(inventory|roles_path|library|module_utils|doc_fragment_plugins) = ", r"\1 = ../", line)
        for line in settings(ROOT / "ansible.cfg")
    ]


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_hosts_are_the_users_choice(name: str) -> None:
    for play in yaml.safe_load((ROOT / "playbooks" / name).read_text(encoding="utf-8")):
        if "ansible.builtin.import_playbook" in play or "import_playbook" in play:
            continue
        assert play["hosts"] in ("localhost", "{{ target | default('nodes') }}"), play["name"]
        assert play["gather_facts"] is False, play["name"]


@pytest.mark.parametrize(("words", "sentence"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_a_mistake_is_one_sentence_and_touches_nothing(words: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(INVENTORY, encoding="utf-8")
    done = run(ROOT / "playbooks", "-i", tmp_path / "hosts.yml", *words.split())
    assert done.returncode != 0
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("[ERROR]: ")]
    assert [sentence in line for line in errors] == [True], done.stdout + done.stderr
    assert "UNREACHABLE" not in done.stdout


def test_that_test_would_notice_a_host_that_is_touched(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(INVENTORY, encoding="utf-8")
    done = run(ROOT / "playbooks", "-i", tmp_path / "hosts.yml", "install.yml", "-e", "db=etcd")
    assert done.returncode != 0
    assert "UNREACHABLE" in done.stdout
