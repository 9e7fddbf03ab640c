"""Copies a class of Elasticsearch 1.x out of its jar, so that it loads on Java 9 and later: `patch.py JAR FOLDER`.

JvmInfo asks for the boot class path when it is loaded, to show it among the node's properties. There is none any more,
and the call throws, which ends the server. The library path is asked for instead: a method of the same object that
takes and returns the same, so that nothing but its name, one constant, differs.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

CLASS = "org/elasticsearch/monitor/jvm/JvmInfo.class"
UTF8 = b"\x01"  # how such a constant begins, followed by its length in two bytes


def constant(name: bytes) -> bytes:
    """A name as a class file has it."""
    return UTF8 + len(name).to_bytes(2, "big") + name


def main() -> None:
    """Writes the class into the folder, whole or not at all."""
    jar, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with zipfile.ZipFile(jar) as archive:
        data = archive.read(CLASS)
    old, new = constant(b"getBootClassPath"), constant(b"getLibraryPath")
    if data.count(old) != 1:
        sys.exit(f"{jar}: {CLASS} has the constant getBootClassPath {data.count(old)} times, expected once")
    making = folder.with_name(f"{folder.name}.new")
    target = making / CLASS
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data.replace(old, new))
    making.replace(folder)


main()
