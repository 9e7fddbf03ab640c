"""What Maven is asked for, and how."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

from ansible.module_utils.jepsen_artifacts import BundleError

if TYPE_CHECKING:
    from pathlib import Path

# The plugin is pinned like everything else; Maven's default would be another with each of its versions.
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
POM = """<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>jepsen</groupId>
  <artifactId>bundle</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
{dependencies}
  </dependencies>
</project>
"""
PLAIN, TYPED, CLASSIFIED = 3, 4, 5  # parts of coordinates


class Artifact(NamedTuple):
    """One thing that is asked of Maven, with what it depends on but for `exclude`."""

    group: str
    name: str
    version: str
    type: str
    classifier: str
    exclude: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, coordinates: str, exclude: list[str]) -> Artifact:
        """Reads group:artifact:version[:type[:classifier]], and group:artifact for what to leave out.

        Raises:
            BundleError: they are not that.
        """
        parts = coordinates.split(":")
        if not PLAIN <= len(parts) <= CLASSIFIED or not all(parts):
            raise BundleError(f"'{coordinates}' is not group:artifact:version, with :type and :classifier if need be")
        left_out = []
        for entry in exclude:
            group, _, name = entry.partition(":")
            if not group or not name:
                raise BundleError(f"'{entry}' is not group:artifact")
            left_out.append((group, name))
        kind = parts[PLAIN] if len(parts) >= TYPED else "jar"
        classifier = parts[TYPED] if len(parts) == CLASSIFIED else ""
        return cls(parts[0], parts[1], parts[2], kind, classifier, tuple(left_out))

    def as_xml(self) -> str:
        """The artifact as a dependency of a pom."""
        tags = [("groupId", self.group), ("artifactId", self.name), ("version", self.version), ("type", self.type)]
        tags += [("classifier", self.classifier)] if self.classifier else []
        inner = "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in tags)
        left_out = "".join(
            f"<exclusion><groupId>{escape(group)}</groupId><artifactId>{escape(name)}</artifactId></exclusion>"
            for group, name in self.exclude
        )
        return f"    <dependency>{inner}<exclusions>{left_out}</exclusions></dependency>"


def resolve(artifacts: list[Artifact], folder: Path, program: str, timeout_s: int) -> None:
    """Has Maven put artifacts, and all that they need when they run, into a folder.

    Raises:
        BundleError: there is no Maven, it took too long, or it did not find everything; says what it said.
    """
    pom = folder.parent / "pom.xml"
    pom.write_text(POM.format(dependencies="\n".join(artifact.as_xml() for artifact in artifacts)), encoding="utf-8")
    command = [program, "-B", "-ntp", "-f", str(pom), COPY, "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise BundleError(
            f"there is no Maven here ('{program}': {error.strerror}); install it (apt-get install maven), name a host "
            "that has it with maven_host, or bring the files with the role's option that ends in _bundle_from"
        ) from None
    try:
        said, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise BundleError(f"Maven was not done after {timeout_s} s (maven_timeout_s)") from None
    if process.returncode != 0:
        raise BundleError(f"Maven did not get it: {_reason(said)}")


def _reason(said: str) -> str:
    """What Maven calls the error, without the ways to learn more about Maven."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
    errors = [line[len("[ERROR] ") :] for line in plain.splitlines() if line.startswith("[ERROR] ")]
    first = errors[0] if errors else (plain.strip().splitlines() or ["it said nothing"])[-1]
    return re.sub(r".*for project jepsen:bundle:pom:1: | -> \[Help.*", "", first).strip()
