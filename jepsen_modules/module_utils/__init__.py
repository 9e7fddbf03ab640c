"""What the modules share. They import each other as ``ansible.module_utils``, as on a node; this makes it so here."""

from pathlib import Path

import ansible.module_utils

if str(Path(__file__).parent) not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(Path(__file__).parent))
