"""jepsen_bundle: files held against their checksums become one archive, the same for the same files, or none at all."""

import hashlib
import importlib.util
import io
import json
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

pytestmark = pytest.mark.unit

SOURCE = Path(__file__).resolve().parents[2] / "jepsen_modules/jepsen_bundle.py"
JARS = {"a-1.jar": b"first", "b-2.jar": b"second"}
TREE = {"server-1.0/bin/server": (b"#!/bin/sh\n", 0o755), "server-1.0/config/server.yml": (b"a: 1\n", 0o644)}


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("jepsen_bundle", SOURCE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Make = Any


@pytest.fixture
def make(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Make:
    """Runs the module; what is not given is as for JARS, brought in a folder."""

    def run(**more: object) -> dict[str, Any]:
        arguments = {
            "name": "server-1.0",
            "artifacts": [{"coordinates": "org.example:a:1"}],
            "sums": sums(JARS),
            "source": str(folder(tmp_path / "brought", JARS)),
            "cache": str(tmp_path / "cache"),
            **more,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit):
            load().main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return run


def sums(files: dict[str, bytes]) -> str:
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())


def folder(path: Path, files: dict[str, bytes]) -> Path:
    path.mkdir(exist_ok=True)
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


def packed(archive: str) -> dict[str, tuple[bytes, int]]:
    with tarfile.open(archive) as tar:
        return {entry.name: (read(tar, entry), entry.mode) for entry in tar}


def read(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    data = tar.extractfile(entry)
    assert data
    return data.read()


def tar_gz(path: Path, tree: dict[str, tuple[bytes, int]]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, (data, mode) in tree.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, io.BytesIO(data))
    return path


def zipped(path: Path, tree: dict[str, tuple[bytes, int]]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, (data, mode) in tree.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, data)
    return path


def test_jars_of_a_folder_come_into_lib(make: Make) -> None:
    made = make()
    assert made["changed"]
    assert packed(made["archive"]) == {f"lib/{name}": (data, 0o644) for name, data in JARS.items()}


def test_the_same_files_give_the_same_archive_and_are_not_packed_again(make: Make, tmp_path: Path) -> None:
    first = make()
    again = make()
    elsewhere = make(cache=str(tmp_path / "other"))
    assert again == {**first, "changed": False}
    assert Path(elsewhere["archive"]).read_bytes() == Path(first["archive"]).read_bytes()
    assert Path(elsewhere["archive"]).name == Path(first["archive"]).name


def test_check_mode_makes_nothing(make: Make, tmp_path: Path) -> None:
    checked = make(_ansible_check_mode=True)
    assert checked["changed"]
    assert not (tmp_path / "cache").exists()


def test_an_archive_of_the_files_does_too(make: Make, tmp_path: Path) -> None:
    brought = tar_gz(tmp_path / "all.tar.gz", {f"lib/{name}": (data, 0o600) for name, data in JARS.items()})
    assert packed(make(source=str(brought))["archive"]) == {f"lib/{name}": (data, 0o644) for name, data in JARS.items()}


def test_the_archive_that_was_made_does_elsewhere(make: Make, tmp_path: Path) -> None:
    """A jar is a zip, so a tar of jars ends as a zip does."""
    jar = zipped(tmp_path / "b-2.jar", {"A.class": (b"class", 0o644)}).read_bytes()
    jars = {"a-1.jar": jar, "b-2.jar": jar}
    first = make(source=str(folder(tmp_path / "jars", jars)), sums=sums(jars))
    assert zipfile.is_zipfile(first["archive"])
    elsewhere = make(source=first["archive"], sums=sums(jars), cache=str(tmp_path / "other"))
    assert Path(elsewhere["archive"]).read_bytes() == Path(first["archive"]).read_bytes()


@pytest.mark.parametrize(("kind", "write"), [("tar.gz", tar_gz), ("zip", zipped)])
def test_a_distribution_is_unpacked_without_its_top_folder(make: Make, tmp_path: Path, kind: str, write: Any) -> None:
    brought = write(tmp_path / f"whatever.{kind}", TREE)
    made = make(sums=sums({f"server-1.0.{kind}": brought.read_bytes()}), source=str(brought))
    assert packed(made["archive"]) == {name.partition("/")[2]: told for name, told in TREE.items()}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"sums": ""}, "it has no checksums"),
        ({"sums": "abc  a-1.jar\n"}, "line 1 of its checksums"),
        ({"sums": sums({**JARS, "c-3.jar": b""})}, "lacks c-3.jar"),
        ({"sums": sums({**JARS, "b-2.jar": b"other"})}, "b-2.jar is not the file that it should be"),
        ({"source": "/nowhere"}, "/nowhere does not exist"),
        ({"source": "", "artifacts": [{"coordinates": "org.example"}]}, "'org.example' is not group:artifact:version"),
        ({"source": "", "artifacts": [{"coordinates": "a:b:1", "exclude": ["c"]}]}, "'c' is not group:artifact"),
        ({"source": "", "program": "no-such-maven"}, "there is no Maven here ('no-such-maven'"),
        ({"source": "", "program": "false"}, "Maven did not get it"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_left(make: Make, tmp_path: Path, more: Any, said: str) -> None:
    failed = make(**more)
    assert failed["failed"]
    assert failed["msg"].startswith("server-1.0: ")
    assert said in failed["msg"]
    assert [*(tmp_path / "cache").glob("*"), *(tmp_path / "cache").glob(".*")] == []


def test_a_path_that_leads_out_of_an_archive_is_refused(make: Make, tmp_path: Path) -> None:
    brought = tar_gz(tmp_path / "evil.tar.gz", {"server/../../etc/passwd": (b"root::0:0\n", 0o644)})
    failed = make(sums=sums({"server-1.0.tar.gz": brought.read_bytes()}), source=str(brought))
    assert "leads out of it" in failed["msg"]


def test_a_damaged_archive_is_named(make: Make, tmp_path: Path) -> None:
    brought = tmp_path / "server.tar.gz"
    brought.write_bytes(b"not an archive")
    failed = make(sums=sums({"server-1.0.tar.gz": brought.read_bytes()}), source=str(brought))
    assert "cannot be read as an archive (" in failed["msg"]
    assert "\n" not in failed["msg"]


def test_a_maven_that_hangs_is_ended(make: Make, tmp_path: Path) -> None:
    hanging = tmp_path / "mvn"
    hanging.write_text("#!/bin/sh\nsleep 60\n", encoding="utf-8")
    hanging.chmod(0o755)
    failed = make(source="", program=str(hanging), timeout_s=1)
    assert "not done after 1 s" in failed["msg"]


def test_what_maven_calls_the_error_is_said(make: Make, tmp_path: Path) -> None:
    """The words are those of Maven 3.8.7, asked for a version that there is not."""
    saying = tmp_path / "mvn"
    saying.write_text(
        "#!/bin/sh\ncat <<'END'\n[INFO] BUILD FAILURE\n[ERROR] Failed to execute goal on project bundle: Could not "
        "resolve dependencies for project jepsen:bundle:pom:1: Could not find artifact org.example:a:jar:1 in central "
        "(https://repository.example) -> [Help 1]\n[ERROR] \nEND\nexit 1\n",
        encoding="utf-8",
    )
    saying.chmod(0o755)
    failed = make(source="", program=str(saying))
    assert failed["msg"] == (
        "server-1.0: Maven did not get it: Could not find artifact org.example:a:jar:1 in central (https://repository.example)"
    )
