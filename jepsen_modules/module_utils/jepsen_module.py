"""The one entry of the modules of faults: arguments in, a result or one sentence out."""

from __future__ import annotations

from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.jepsen_error import FaultError


def run(work: Callable[[AnsibleModule], dict[str, Any]], arguments: dict[str, Any], **more: Any) -> None:  # noqa: ANN401
    """Runs a module.

    Args:
        work: does what the module is for, also in check mode, and returns its result.
        arguments: its argument_spec.
        more: what else AnsibleModule is to know of its arguments.
    """
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True, **more)
    try:
        result = work(module)
    except FaultError as error:
        module.fail_json(msg=str(error), changed=error.changed)
    except OSError as error:
        module.fail_json(msg=f"{error}; this module needs Linux, and root (become: true)", changed=False)
    module.exit_json(**result)
