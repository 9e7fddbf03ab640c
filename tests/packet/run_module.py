"""`run_module.py NAME` runs a real module as Ansible would, with its arguments as JSON on standard input."""

import json
import runpy
import sys
from pathlib import Path

import ansible.module_utils
from ansible.module_utils.testing import patch_module_args

MODULES = Path(__file__).resolve().parents[2] / "jepsen_modules"

if __name__ == "__main__":
    ansible.module_utils.__path__.append(str(MODULES / "module_utils"))
    with patch_module_args(json.load(sys.stdin)):
        runpy.run_path(str(MODULES / f"{sys.argv[1]}.py"), run_name="__main__")
