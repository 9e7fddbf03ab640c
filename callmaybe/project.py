"""Where things are: the checkout that this package was installed from, and its folders."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLAYBOOKS = ROOT / "playbooks"
SCENARIOS = ROOT / "scenarios"
ROLES = ROOT / "roles"
STORE = ROOT / "store"
ANSIBLE_CONFIG = ROOT / "ansible.cfg"
LAB_INVENTORY = ROOT / "inventory" / "lab.yml"
LAB_STATE = Path("/var/lib/callmaybe/lab")


class UserError(Exception):
    """Something that the user can mend: its text is one sentence that says what, where and how. Exit status 3."""
