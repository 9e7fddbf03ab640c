"""Writes the checksums of a release from what Maven brings today: `sums.py ROLE RELEASE [MVN]`, for whoever adds one.

They are in roles/ROLE/files/ROLE-RELEASE.sha256 then, to be looked at and committed; what it needs of Maven is read
from `__ROLE_releases` of the role's variables.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import ansible.module_utils
import yaml

ROOT = Path(__file__).resolve().parents[3]
ansible.module_utils.__path__.append(str(ROOT / "jepsen_modules/module_utils"))

from ansible.module_utils.jepsen_artifacts import BundleError  # noqa: E402 - found by the line above
from ansible.module_utils.jepsen_maven import Artifact, resolve  # noqa: E402

TIMEOUT_S = 900


def sums(role: str, release: str, program: str) -> str:
    """Resolves a release and returns its sums as sha256sum prints them.

    Raises:
        BundleError: the role has no such release, or Maven did not bring it.
    """
    variables = yaml.safe_load((ROOT / f"roles/{role}/vars/main.yml").read_text(encoding="utf-8"))
    releases = variables.get(f"__{role}_releases", {})
    if release not in releases:
        raise BundleError(f"{role} has no release '{release}'; known: {', '.join(releases) or 'none'}")
    wanted = [Artifact.read(one["coordinates"], one.get("exclude", [])) for one in releases[release]["artifacts"]]
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "files"
        files.mkdir()
        resolve(wanted, files, program, TIMEOUT_S)
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files.iterdir())}
    return "".join(f"{digest}  {name}\n" for name, digest in found.items())


def main() -> None:
    """Writes them."""
    if not 3 <= len(sys.argv) <= 4:
        sys.exit("sums.py: expected ROLE RELEASE [MVN]")
    role, release, program = [*sys.argv[1:], "mvn"][:3]
    try:
        text = sums(role, release, program)
    except (BundleError, OSError) as error:
        sys.exit(f"sums.py: {error}")
    path = ROOT / f"roles/{role}/files/{role}-{release}.sha256"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


main()
