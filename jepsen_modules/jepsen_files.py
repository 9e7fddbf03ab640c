#!/usr/bin/python
"""Ansible module: puts several small files in place in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_files
short_description: Put several small text files in place in one round trip
description:
  - Writes each file as a whole, so that a reader sees the old text or the new, and creates the folders above it.
  - One run on the node for all files; M(ansible.builtin.template) in a loop needs two or more for each.
options:
  files:
    description: The files, with all that is to be true of them.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where the file shall be.
        type: path
        required: true
      content:
        description: Its text.
        type: str
        required: true
      owner:
        description: The user that owns it, whose group of the same name it gets too.
        type: str
        default: root
      mode:
        description: Its permissions, in octal.
        type: str
        default: "0644"
attributes:
  check_mode:
    description: Tells what it would write.
    support: full
  diff_mode:
    description: Shows the text before and after.
    support: full
author: Call Me Maybe
"""

EXAMPLES = r"""
- name: A setting and a drop-in
  jepsen_files:
    files:
      - path: /etc/redis/redis.conf
        content: "port 6379\n"
        owner: redis
        mode: "0640"
      - path: /etc/systemd/system/redis-server.service.d/jepsen.conf
        content: "[Service]\nRestart=no\n"
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done.
  type: list
  elements: str
  returned: always
  sample: [wrote /etc/redis/redis.conf]
"""

import grp
import os
import pwd
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

from ansible.module_utils.basic import AnsibleModule

FILE_OPTIONS = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str", "required": True},
    "owner": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0644"},
}


class File(NamedTuple):
    """What is at a path, or shall be."""

    text: str
    owner: int
    group: int
    mode: int


def found_file(path: Path) -> File | None:
    """What is there; None where there is nothing."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            status = os.fstat(stream.fileno())
            return File(stream.read(), status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
    except FileNotFoundError:
        return None


def wanted_file(spec: dict[str, str], check_mode: bool) -> File:  # noqa: FBT001 - the module's own mode, as Ansible has it
    """What shall be there.

    Raises:
        ValueError: the mode is not octal, or, outside of check mode, the owner does not exist.
    """
    try:
        mode = int(spec["mode"], 8)
    except ValueError:
        raise ValueError(f"mode '{spec['mode']}' is not octal, such as '0644'") from None
    try:
        owner, group = pwd.getpwnam(spec["owner"]).pw_uid, grp.getgrnam(spec["owner"]).gr_gid
    except KeyError:
        if not check_mode:  # in check mode the package that brings the user may not have been installed
            raise ValueError(f"there is no user and group '{spec['owner']}' on this host") from None
        owner = group = -1
    return File(spec["content"], owner, group, mode)


def write(path: Path, wanted: File) -> None:
    """Puts a whole file in place of whatever was there."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".jepsen-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(wanted.text)
            os.fchown(stream.fileno(), wanted.owner, wanted.group)
            os.fchmod(stream.fileno(), wanted.mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def main() -> None:
    """Compares, and writes what differs."""
    module = AnsibleModule(
        argument_spec={"files": {"type": "list", "elements": "dict", "required": True, "options": FILE_OPTIONS}},
        supports_check_mode=True,
    )
    actions, diffs = [], []
    for spec in module.params["files"]:
        path = Path(spec["path"])
        try:
            found, wanted = found_file(path), wanted_file(spec, module.check_mode)
            if found == wanted:
                continue
            if not module.check_mode:
                write(path, wanted)
        except (OSError, ValueError) as error:
            module.fail_json(msg=f"{path} was not written: {error}", actions=actions)
        actions.append(f"wrote {path}")
        before = found.text if found else ""
        diffs.append({"before_header": str(path), "after_header": str(path), "before": before, "after": wanted.text})
    module.exit_json(changed=bool(actions), actions=actions, diff=diffs)


if __name__ == "__main__":
    main()
