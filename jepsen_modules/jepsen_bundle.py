#!/usr/bin/python
"""Ansible module: makes one archive of what a server needs from a Maven repository."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_bundle
short_description: Make one archive of what a server needs from a Maven repository
description:
  - Runs where Maven is, usually on the controller, once for all nodes; Maven's own settings and mirrors hold.
  - Every file is held against its SHA-256 before anything is made of it. The archive appears whole or not at all.
  - Jars come into C(lib/). An artifact of type C(tar.gz) or C(zip) is a distribution; it is unpacked, without the
    folder at its top.
options:
  name:
    description: What the archive is called, without a version of its own, such as C(kafka-0.8.0).
    type: str
    required: true
  artifacts:
    description: What is asked of Maven.
    type: list
    elements: dict
    required: true
    suboptions:
      coordinates:
        description: C(group:artifact:version), and C(:type) and C(:classifier) where it is not a plain jar.
        type: str
        required: true
      exclude:
        description: What of its dependencies to leave out, each as C(group:artifact); C(*:*) leaves out all.
        type: list
        elements: str
        default: []
  sums:
    description: The files that must come of it, as C(sha256sum) prints them; no other may.
    type: str
    required: true
  source:
    description: A folder with these files, an archive of them, or the one file; then Maven is not asked.
    type: path
    default: ""
  cache:
    description: The folder where archives are kept.
    type: path
    required: true
  program:
    description: How Maven is called.
    type: str
    default: mvn
  timeout_s:
    description: How long Maven may take.
    type: int
    default: 600
attributes:
  check_mode:
    description: Tells whether it would make the archive.
    support: full
author: Call Me Maybe
"""

EXAMPLES = r"""
- name: Kafka with all its jars
  jepsen_bundle:
    name: kafka-0.8.0
    artifacts:
      - coordinates: org.apache.kafka:kafka_2.10:0.8.0
        exclude: [com.sun.jdmk:jmxtools, com.sun.jmx:jmxri, javax.jms:jms]
    sums: "{{ lookup('ansible.builtin.file', 'kafka-0.8.0.sha256') }}"
    cache: ~/.cache/callmaybe/bundles
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
archive:
  description: The archive, a tar.
  type: str
  returned: success
  sample: /root/.cache/callmaybe/bundles/kafka-0.8.0-0123456789ab.tar
"""

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils import jepsen_module
from ansible.module_utils.jepsen_artifacts import BundleError, brought, check, pack, read_sums
from ansible.module_utils.jepsen_maven import Artifact, resolve

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "artifacts": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "coordinates": {"type": "str", "required": True},
            "exclude": {"type": "list", "elements": "str", "default": []},
        },
    },
    "sums": {"type": "str", "required": True},
    "source": {"type": "path", "default": ""},
    "cache": {"type": "path", "required": True},
    "program": {"type": "str", "default": "mvn"},
    "timeout_s": {"type": "int", "default": 600},
}


def make(module: AnsibleModule) -> dict[str, object]:
    """Makes the archive unless there is one of just these files."""
    params = module.params
    try:
        sums = read_sums(params["sums"])
        digest = hashlib.sha256(repr(sorted(sums.items())).encode()).hexdigest()[:12]
        archive = Path(params["cache"]) / f"{params['name']}-{digest}.tar"
        missing = not archive.is_file()
        if missing and not module.check_mode:
            artifacts = [Artifact.read(entry["coordinates"], entry["exclude"]) for entry in params["artifacts"]]
            archive.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".making-") as folder:
                fetched = Path(folder) / "files"
                fetched.mkdir()
                if params["source"]:
                    brought(Path(params["source"]), sums, fetched)
                else:
                    resolve(artifacts, fetched, params["program"], params["timeout_s"])
                check(fetched, sums)
                pack(fetched, Path(folder) / "archive").replace(archive)
    except BundleError as error:
        raise BundleError(f"{params['name']}: {error}") from None
    except OSError as error:
        raise BundleError(f"{params['name']}: {error.filename or params['cache']}: {error.strerror}") from None
    return {"changed": missing, "archive": str(archive)}


def main() -> None:
    """Runs the module."""
    jepsen_module.run(make, ARGUMENTS)


if __name__ == "__main__":
    main()
