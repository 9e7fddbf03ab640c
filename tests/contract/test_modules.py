"""Every module: its documentation agrees with its arguments, and it runs on a bare Debian node."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import ansible.module_utils
import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.plugins.loader import fragment_loader
from ansible.utils.plugin_docs import add_fragments

pytestmark = pytest.mark.contract

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "jepsen_modules"
MODULES = sorted(FOLDER.glob("jepsen_*.py"))
NODE_SIDE = MODULES + sorted((FOLDER / "module_utils").glob("jepsen_*.py"))
FAULTS = [
    path
    for path in MODULES
    if path.stem.removeprefix("jepsen_")
    in ("partition", "heal", "status", "slow", "flaky", "fast", "kill", "pause", "resume")
]
COMMON_RETURN = {"changed", "actions", "windows", "backend", "started_at_ns", "applied_at_ns"}
COMPARED = {"type": "str", "default": None, "required": False, "choices": None, "elements": None, "aliases": None}
PYTHON = (3, 9)  # Debian 11
# In the standard library of the Python that runs this test, and not yet in 3.9's.
YOUNGER = {"tomllib"}

by_name = {"ids": lambda path: path.stem}


class CapturedError(Exception):
    """Stops a module where it has said what its arguments are."""


@pytest.fixture
def load(monkeypatch):
    """Loads a module as Ansible finds it, by path, with the project's module_utils."""
    monkeypatch.setattr(
        ansible.module_utils, "__path__", [*ansible.module_utils.__path__, str(FOLDER / "module_utils")]
    )

    def by_path(path):
        spec = importlib.util.spec_from_file_location(f"contract_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return by_path


@pytest.fixture
def arguments(load, monkeypatch):
    """Returns what a module gives to AnsibleModule."""
    captured = {}

    def init(self, argument_spec, **options):
        captured.update(options, argument_spec=argument_spec)
        raise CapturedError

    monkeypatch.setattr(AnsibleModule, "__init__", init)

    def of(path):
        module = load(path)
        with pytest.raises(CapturedError):
            module.main()
        return captured

    return of


def documented(module):
    """What ansible-doc makes of it: with the fragments that it extends."""
    written = {name: yaml.safe_load(getattr(module, name)) for name in ("DOCUMENTATION", "EXAMPLES", "RETURN")}
    written["DOCUMENTATION"].setdefault("options", {})
    fragment_loader.add_directory(str(FOLDER / "doc_fragments"))
    add_fragments(written["DOCUMENTATION"], module.__file__, fragment_loader, is_module=True)
    return written


def normal(option):
    """Keeps of an option what both sides say, with Ansible's defaults filled in."""
    return {key: option.get(key, missing) for key, missing in COMPARED.items()}


def flat(options, nested):
    """Turns nested options into `{"windows.name": option}`."""
    result = {}
    for name, option in (options or {}).items():
        result[name] = normal(option)
        result.update({f"{name}.{inner}": o for inner, o in flat(option.get(nested), nested).items()})
    return result


@pytest.mark.parametrize("path", MODULES, **by_name)
def test_documentation_agrees_with_the_arguments(path, load, arguments):
    written = documented(load(path))["DOCUMENTATION"]
    given = arguments(path)
    assert flat(written["options"], "suboptions") == flat(given["argument_spec"], "options")
    assert written["module"] == path.stem
    support = written["attributes"]["check_mode"]["support"]
    assert (support == "full") == given.get("supports_check_mode", False)


@pytest.mark.parametrize("path", MODULES, **by_name)
def test_everything_is_described(path, load):
    written = documented(load(path))["DOCUMENTATION"]
    assert written["short_description"]
    assert written["description"]

    def described(options):
        return all(o["description"] and described(o.get("suboptions", {})) for o in options.values())

    assert described(written["options"])


@pytest.mark.parametrize("path", MODULES, **by_name)
def test_examples_use_the_module_and_only_its_options(path, load):
    written = documented(load(path))
    examples = written["EXAMPLES"]
    assert examples
    for task in examples:
        assert task["name"][0].isupper()
        assert set(task[path.stem] or {}) <= set(written["DOCUMENTATION"]["options"])
        required = {name for name, o in written["DOCUMENTATION"]["options"].items() if o.get("required")}
        assert required <= set(task[path.stem] or {})


@pytest.mark.parametrize("path", MODULES, **by_name)
def test_return_values_are_described(path, load):
    returned = documented(load(path))["RETURN"]
    assert returned
    for value in returned.values():
        assert {"description", "type", "returned"} <= set(value)


@pytest.mark.parametrize("folder", [ROOT, ROOT / "playbooks"], ids=["root", "playbooks"])
def test_ansible_doc_prints_every_module_with_the_options_that_it_shares(folder):
    """By the folder's own ansible.cfg, as a user calls it."""
    names = [path.stem for path in MODULES]
    command = [str(Path(sys.executable).with_name("ansible-doc")), "--json", *names]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert list(printed) == names
    for name in names:
        assert not printed[name]["doc"].get("extends_documentation_fragment")
    for name in ("jepsen_partition", "jepsen_slow", "jepsen_kill", "jepsen_status"):
        assert printed[name]["doc"]["options"]["node"]["required"] is True
    assert (
        printed["jepsen_shape"]["doc"]["options"]["windows"]["suboptions"]["shape"]["suboptions"]["loss"]["default"]
        == 0
    )


@pytest.mark.parametrize("path", FAULTS, **by_name)
def test_faults_return_the_common_keys(path, load, arguments):
    assert set(documented(load(path))["RETURN"]) >= COMMON_RETURN
    assert arguments(path)["supports_check_mode"]


@pytest.mark.parametrize("path", NODE_SIDE, **by_name)
def test_node_side_is_written_in_the_python_of_the_oldest_node(path):
    ast.parse(path.read_text(), feature_version=PYTHON)


def imported(path):
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.Import):
            yield from (alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            assert item.level == 0, "Ansible sends modules without their neighbours"
            package = item.module == "ansible.module_utils"
            yield from (f"{item.module}.{alias.name}" if package else item.module for alias in item.names)


@pytest.mark.parametrize("path", NODE_SIDE, **by_name)
def test_node_side_needs_the_standard_library_and_ansible_only(path):
    for name in imported(path):
        top = name.partition(".")[0]
        if top == "ansible":
            assert name.startswith("ansible.module_utils."), name
            part = name.split(".")[2]
            assert not part.startswith("jepsen_") or (FOLDER / "module_utils" / f"{part}.py").is_file(), name
        else:
            assert top in sys.stdlib_module_names - YOUNGER, name


def test_there_are_modules():
    assert {"jepsen_partition", "jepsen_heal", "jepsen_status"} <= {path.stem for path in FAULTS}
