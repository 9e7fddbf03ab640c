"""Lets unit tests import the shared code of modules from ansible.module_utils, and take their time."""

from pathlib import Path

import ansible.module_utils
from hypothesis import settings

SHARED = str(Path(__file__).resolve().parents[2] / "jepsen_modules" / "module_utils")

if SHARED not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(SHARED)

settings.register_profile("any machine", deadline=None)  # no test asserts a time, and a busy machine stands still
settings.load_profile("any machine")
