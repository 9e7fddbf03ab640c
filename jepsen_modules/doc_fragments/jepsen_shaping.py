"""Options of the modules that shape: whose packets, by what, and what is done to them."""

from __future__ import annotations

from textwrap import indent

# Options that the modules have, and their windows too.
DELAY_TEXT = r"""
delay_ms:
  description: Mean delay, milliseconds.
  type: float
  default: 0
jitter_ms:
  description: How much the delay varies, the standard deviation, or half the width where I(distribution=uniform).
  type: float
  default: 0
delay_correlation:
  description: Percent, how much a packet's delay is like the one before it; netem varies the less, the more it is.
  type: float
  default: 0
distribution:
  description: How delays are distributed about their mean.
  type: str
  default: normal
  choices: [uniform, normal, pareto, paretonormal]
"""
LOSS_TEXT = r"""
loss:
  description: Percent of packets that are lost.
  type: float
  default: 0
loss_correlation:
  description: Percent, how much a loss is like the one before it; the share of lost packets stays I(loss).
  type: float
  default: 0
"""
MORE_TEXT = r"""
gilbert:
  description:
    - Four percentages, p r h k of Gilbert and Elliott, in place of I(loss). They are the chances to go bad,
      to go good, and that a packet passes while bad and while good.
  type: list
  elements: float
duplicate:
  description: Percent of packets that come twice. Some kernels let netem do so only in a window that is alone.
  type: float
  default: 0
reorder:
  description: Percent of packets that are not delayed and so overtake others; needs I(delay_ms).
  type: float
  default: 0
corrupt:
  description: Percent of packets in which a bit is turned.
  type: float
  default: 0
rate_kbit:
  description: Kilobits a second; 0 for any.
  type: int
  default: 0
"""
WINDOWS_TEXT = r"""
  windows:
    description: A whole timeline instead of I(from), I(to), I(both), I(ports), I(name) and I(duration_s).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the window, unique.
        type: str
        required: true
      title:
        description: What a person calls it; the shape in words where it is empty.
        type: str
        default: ""
      from_ns:
        description: Begin, nanoseconds since the epoch, on a whole second.
        type: int
        required: true
      until_ns:
        description: End, likewise.
        type: int
        required: true
      links:
        description: For each listener, the list of speakers whose packets to it are shaped.
        type: dict
        required: true
      ports:
        description: As I(ports).
        type: list
        elements: str
        default: []
"""
SHAPE_TEXT = r"""
      shape:
        description: What is done in this window; what the module's own options say where it is absent.
        type: dict
        suboptions:
"""


class ModuleDocFragment:
    """What Ansible loads; a module may say more, or something else, of an option, such as its default."""

    DOCUMENTATION = r"""
options:
  backend:
    description:
      - What shapes. C(netem) is the kernel's, where packets leave; C(userspace) is a program, where they come in.
      - All nodes of a cluster must use the same one. C(auto) takes netem where this node has it.
    type: str
    default: auto
    choices: [auto, netem, userspace]
  from:
    description: The nodes whose packets are shaped; all where it is empty.
    type: list
    elements: str
    default: []
  to:
    description: The nodes that they are shaped to; all where it is empty.
    type: list
    elements: str
    default: []
  both:
    description: Whether what goes from I(to) to I(from) is shaped as well.
    type: bool
    default: false
  ports:
    description: Only packets with one of these ports at either end, such as C(tcp 9092); all where it is empty.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: The kernel is asked whether it would take the rules and queues, and does not get them.
  diff_mode:
    support: full
    description: Shows this node's windows before and after.
"""
    DELAY = f"options:\n{indent(DELAY_TEXT, '  ')}"
    LOSS = f"options:\n{indent(LOSS_TEXT, '  ')}"
    MORE = f"options:\n{indent(MORE_TEXT, '  ')}"
    WINDOWS = f"options:\n{WINDOWS_TEXT}"
    SHAPED_WINDOWS = f"options:\n{WINDOWS_TEXT}{SHAPE_TEXT}{indent(DELAY_TEXT + LOSS_TEXT + MORE_TEXT, 10 * ' ')}"
