"""Lets unit tests import the modules' shared code as it imports itself, from ansible.module_utils."""

from pathlib import Path

import ansible.module_utils

SHARED = str(Path(__file__).resolve().parents[2] / "jepsen_modules" / "module_utils")

if SHARED not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(SHARED)
