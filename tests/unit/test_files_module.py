"""jepsen_files: several files in one round trip; only what differs is written, and check mode writes nothing."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

pytestmark = pytest.mark.unit

SOURCE = Path(__file__).resolve().parents[2] / "jepsen_modules/jepsen_files.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("jepsen_files", SOURCE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(capsys: pytest.CaptureFixture[str], *files: dict[str, str], check: bool = False) -> dict[str, Any]:
    """What the module prints when it is run on this machine."""
    with patch_module_args({"files": list(files), "_ansible_check_mode": check}), pytest.raises(SystemExit):
        load().main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.fixture
def wanted(tmp_path: Path) -> list[dict[str, str]]:
    owner = tmp_path.owner()
    return [
        {"path": str(tmp_path / "a.conf"), "content": "port 1\n", "owner": owner, "mode": "0640"},
        {"path": str(tmp_path / "new/folder/b.conf"), "content": "é\n", "owner": owner},
    ]


def test_check_then_real_then_again_then_again_in_check_mode(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, wanted: list[dict[str, str]]
) -> None:
    written = [f"wrote {file['path']}" for file in wanted]
    checked = run(capsys, *wanted, check=True)
    assert (checked["changed"], checked["actions"]) == (True, written)
    assert list(tmp_path.iterdir()) == []
    real = run(capsys, *wanted)
    assert (real["changed"], real["actions"]) == (True, written)
    for file in wanted:
        path = Path(file["path"])
        assert path.read_text(encoding="utf-8") == file["content"]
        assert path.stat().st_mode & 0o7777 == int(file.get("mode", "0644"), 8)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.conf", "b.conf", "folder", "new"]
    for check in (False, True):
        again = run(capsys, *wanted, check=check)
        assert (again["changed"], again["actions"]) == (False, [])


def test_only_what_differs_is_written_and_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, wanted: list[dict[str, str]]
) -> None:
    run(capsys, *wanted)
    (tmp_path / "a.conf").chmod(0o600)
    assert run(capsys, *wanted)["actions"] == [f"wrote {tmp_path / 'a.conf'}"]
    assert (tmp_path / "a.conf").stat().st_mode & 0o7777 == 0o640
    wanted[0]["content"] = "port 2\n"
    (diff,) = run(capsys, *wanted)["diff"]
    assert (diff["before"], diff["after"]) == ("port 1\n", "port 2\n")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mode": "rw"}, "mode 'rw' is not octal, such as '0644'"),
        ({"owner": "no-such-user"}, "there is no user and group 'no-such-user' on this host"),
    ],
)
def test_what_cannot_be_is_one_sentence_with_the_path(
    capsys: pytest.CaptureFixture[str], wanted: list[dict[str, str]], change: dict[str, str], sentence: str
) -> None:
    failed = run(capsys, wanted[0] | change)
    assert failed["failed"] is True
    assert failed["msg"] == f"{wanted[0]['path']} was not written: {sentence}"
    assert not Path(wanted[0]["path"]).exists()


def test_check_mode_does_not_ask_for_a_user_that_a_package_will_bring(
    capsys: pytest.CaptureFixture[str], wanted: list[dict[str, str]]
) -> None:
    assert run(capsys, wanted[0] | {"owner": "no-such-user"}, check=True)["changed"] is True


def test_a_folder_in_the_way_is_named(capsys: pytest.CaptureFixture[str], wanted: list[dict[str, str]]) -> None:
    Path(wanted[0]["path"]).mkdir()
    assert "Is a directory" in run(capsys, wanted[0])["msg"]
