"""Ansible module: builds the image that the lab's nodes start from."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_lab_image
short_description: Build the image of a Debian release for the lab's nodes
description:
  - Builds a small Debian system with mmdebstrap into C(/var/cache/callmaybe/images), unless it is there.
  - The image appears under its name only when it is whole; an interrupted build is cleared away by the next one.
options:
  release:
    description: The Debian release.
    type: str
    required: true
    choices: [bullseye, bookworm, trixie]
  mirror:
    description: Address of the Debian archive.
    type: str
    required: true
  security_mirror:
    description: Address of the archive of security updates.
    type: str
    required: true
  finish:
    description: Path of the script that finishes the image; it is called with the image's folder.
    type: path
    required: true
  timeout_s:
    description: How long a build may take.
    type: int
    default: 900
attributes:
  check_mode:
    description: Can run in check mode and tell whether it would build.
    support: full
author: Call Me Maybe
"""

EXAMPLES = r"""
- name: Build the image
  jepsen_lab_image:
    release: bookworm
    mirror: http://deb.debian.org/debian
    security_mirror: http://deb.debian.org/debian-security
    finish: "{{ role_path }}/files/finish_image.sh"
  register: built
"""

RETURN = r"""
image:
  description: The image's folder.
  type: str
  returned: always
  sample: /var/cache/callmaybe/images/bookworm-0123456789ab
"""

import shutil
from pathlib import Path

from ansible.module_utils import jepsen_lab_cgroups as cgroups
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.jepsen_lab_lock import locked
from ansible.module_utils.jepsen_lab_plan import RELEASES, Lab, LabError
from ansible.module_utils.jepsen_lab_run import run

PACKAGES = (
    "ca-certificates,dbus,iproute2,iptables,nftables,openssh-server,procps,python3,python3-apt,"
    "sudo,systemd,systemd-sysv"
)
UNWANTED = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/doc/*")
CGROUP = "image"


def options(finish: Path) -> list[str]:
    """What mmdebstrap is told about every image."""
    return [
        "--quiet",
        "--mode=root",
        "--variant=apt",
        f"--include={PACKAGES}",
        *(f"--dpkgopt=path-exclude={path}" for path in UNWANTED),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "--dpkgopt=force-unsafe-io",
        '--aptopt=Apt::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        "--skip=cleanup/apt/lists",  # they stay, so that a node can install at once
        f"--customize-hook={finish}",
    ]


def build(lab: Lab, image: Path, finish: Path, timeout_s: int) -> None:
    """Builds an image beside its place and moves it there when it is whole."""
    unfinished = image.with_name(f"{image.name}.part")
    cgroups.end(CGROUP)  # a build that outlived an interrupted one of us
    shutil.rmtree(unfinished, ignore_errors=True)
    root, temporary = unfinished / "root", unfinished / "tmp"
    temporary.mkdir(parents=True)
    command = ["env", f"TMPDIR={temporary}", "mmdebstrap", *options(finish), lab.release, str(root), *lab.sources]
    try:
        run([*cgroups.inside(CGROUP), *command], timeout_s=timeout_s)
        root.rename(image)
    finally:
        cgroups.end(CGROUP)
        shutil.rmtree(unfinished, ignore_errors=True)


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "str", "required": True, "choices": list(RELEASES)},
            "mirror": {"type": "str", "required": True},
            "security_mirror": {"type": "str", "required": True},
            "finish": {"type": "path", "required": True},
            "timeout_s": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )
    params = module.params
    finish = Path(params["finish"])
    try:
        lab = Lab(1, params["release"], params["mirror"], params["security_mirror"], "198.18.77.0/24")
        image = lab.image(finish.read_bytes() + " ".join(options(Path(finish.name))).encode())
        changed = not image.is_dir()
        if changed and not module.check_mode:
            with locked():
                build(lab, image, finish, params["timeout_s"])
    except (LabError, OSError) as error:
        module.fail_json(msg=f"The image for {params['release']} could not be built. {error}")
    module.exit_json(changed=changed, image=str(image))


if __name__ == "__main__":
    main()
