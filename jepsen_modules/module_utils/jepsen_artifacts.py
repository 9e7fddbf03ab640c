"""Files of a server: held against their checksums, and packed into one archive for the nodes."""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, Iterator, NamedTuple

from ansible.module_utils.jepsen_error import FaultError

DISTRIBUTIONS = (".tar.gz", ".zip")
SUM = re.compile(r"([0-9a-f]{64}) [ *]([^/\s]+)")
CHUNK_BYTES = 1 << 20
NAMED = 3  # of many files that are missing, so many are named


class BundleError(FaultError):
    """The archive cannot be made; the text is a sentence for the user."""


class Member(NamedTuple):
    """One file of a distribution; it is executable or not, and nothing else."""

    path: str
    executable: bool
    data: IO[bytes]
    size_bytes: int


def read_sums(text: str) -> dict[str, str]:
    """Reads what sha256sum printed: {file: sum}.

    Raises:
        BundleError: a line is none of sha256sum's, or there is none.
    """
    sums = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = SUM.fullmatch(line.strip())
        if found is None:
            raise BundleError(f"line {number} of its checksums is not one of sha256sum's: {line!r}")
        sums[found[2]] = found[1]
    if not sums:
        raise BundleError("it has no checksums, and without them nothing is installed")
    return sums


def brought(source: Path, sums: dict[str, str], folder: Path) -> None:
    """Copies the files that a user brings from a folder, an archive of them, or the one file.

    Raises:
        BundleError: they are not there.
    """
    if source.is_dir():
        found = {path.name: path for path in sorted(source.rglob("*")) if path.is_file()}
        for name in sums:
            if name in found:
                shutil.copyfile(found[name], folder / name)
    elif not source.is_file():
        raise BundleError(f"{source} does not exist; name a folder with its files, an archive of them, or the one file")
    elif len(sums) == 1:
        shutil.copyfile(source, folder / next(iter(sums)))
    else:
        for member in _members(source):
            name = PurePosixPath(member.path).name
            if name in sums:
                with (folder / name).open("wb") as file:
                    shutil.copyfileobj(member.data, file, CHUNK_BYTES)
    missing = [name for name in sums if not (folder / name).is_file()]
    if missing:
        raise BundleError(f"{source} lacks {_some(missing)}")


def check(folder: Path, sums: dict[str, str]) -> None:
    """Holds the files of a folder against their checksums.

    Raises:
        BundleError: one is missing, too many, or another than it should be.
    """
    found = {path.name: path for path in folder.iterdir()}
    if missing := sorted(set(sums) - set(found)):
        raise BundleError(f"Maven did not bring {_some(missing)}")
    if strange := sorted(set(found) - set(sums)):
        raise BundleError(f"Maven also brought {_some(strange)}, of which no checksum is kept")
    for name, path in sorted(found.items()):
        actual = _sha256(path)
        if actual != sums[name]:
            raise BundleError(
                f"{name} is not the file that it should be: its SHA-256 is {actual}, expected was {sums[name]}; "
                "nothing was installed. Look where it came from: the local repository, a mirror, the folder named"
            )


def pack(folder: Path, archive: Path) -> Path:
    """Packs checked files: jars into lib/, distributions unpacked. The same files give the same bytes.

    Raises:
        BundleError: a distribution is damaged, or has a path that leads out of it.
    """
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.iterdir()):
            if not path.name.endswith(DISTRIBUTIONS):
                with path.open("rb") as data:
                    _add(tar, Member(f"lib/{path.name}", executable=False, data=data, size_bytes=path.stat().st_size))
                continue
            for member in _members(path):
                _add(tar, member._replace(path="/".join(PurePosixPath(member.path).parts[1:])))
    return archive


def _add(tar: tarfile.TarFile, member: Member) -> None:
    entry = tarfile.TarInfo(member.path)
    entry.size = member.size_bytes
    entry.mode = 0o755 if member.executable else 0o644
    tar.addfile(entry, member.data)


def _members(path: Path) -> Iterator[Member]:
    """The files of an archive, in its order.

    Raises:
        BundleError: it is no tar and no zip, damaged, or has a path that leads out of it.
    """
    try:
        # A tar of jars ends like a zip, since the last jar does: so what is a tar is asked first.
        is_zip = not tarfile.is_tarfile(path) and zipfile.is_zipfile(path)
        for member in _in_zip(path) if is_zip else _in_tar(path):
            parts = PurePosixPath(member.path).parts
            if member.path.startswith("/") or ".." in parts:
                raise BundleError(f"{path.name} has a path that leads out of it: {member.path}")
            yield member
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        what = str(error).partition(":\n")[0]  # tarfile adds what each of its methods had to say
        raise BundleError(f"{path} cannot be read as an archive ({what})") from None


def _in_tar(path: Path) -> Iterator[Member]:
    with tarfile.open(path) as tar:
        for entry in tar:
            data = tar.extractfile(entry) if entry.isfile() else None
            if data is not None:
                yield Member(entry.name, bool(entry.mode & stat.S_IXUSR), data, entry.size)


def _in_zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                with archive.open(entry) as data:
                    executable = bool(entry.external_attr >> 16 & stat.S_IXUSR)
                    yield Member(entry.filename, executable, data, entry.file_size)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _some(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
