"""Shaping by the kernel's netem, where packets leave: a root qdisc of our own, and nftables that chooses what goes in.

Each interface that leads to a peer gets the root qdisc ``htb 4a45:``. What nobody classifies passes it by its direct
queue, unshaped; the rest goes into the classes of jepsen_netem_queues, by the rules of jepsen_netem_rules. The kernel
begins and ends a window by itself, and the qdiscs stay, idle, until ``end``. Nothing else is kept.
"""

from __future__ import annotations

import json
from typing import Any, Callable

from ansible.module_utils.jepsen_netem_queues import ROOT, Class, is_our_root, losses, major, plan, root_line, tc_batch
from ansible.module_utils.jepsen_netem_rules import CHAIN, Listed, nft_script, read_listing, windows_of
from ansible.module_utils.jepsen_nft import Nft, NftError, ReadBackError
from ansible.module_utils.jepsen_shaping import NETEM, Backend, Shape, Shaped, ShapingError

# What the kernel puts on an interface by itself, under the handle 0:, and again when ours is deleted.
DEFAULTS = ("noqueue", "pfifo_fast", "mq", "fq_codel", "fq", "pfifo")
TRIED = Shape(delay_ms=1, jitter_ms=1, loss=0.5)

Tool = Callable[..., "tuple[int, str, str]"]


class Netem(Backend):
    """netem on this node."""

    name = NETEM

    def __init__(self, nft: Tool, tc: Tool, ip: Tool, unshare: Tool) -> None:
        """Takes functions that run these programs with arguments and standard input."""
        self._nft = Nft(nft)
        self._tc, self._ip, self._unshare = tc, ip, unshare

    def missing(self) -> str | None:
        """Says why this node cannot use it (found by trying, in a network namespace of its own), None where it can."""
        window = Shaped("probe", "", TRIED, {}, (), 0, None)
        return self._try([window], plan([window], set()))

    def _try(self, windows: list[Shaped], classes: list[Class]) -> str | None:
        batch = "\n".join([root_line("lo"), *tc_batch("lo", windows, classes)]) + "\n"
        code, _, err = self._unshare(["--net", "tc", "-batch", "-"], batch)
        if code == 0:
            return None
        said = f"tc printed {' '.join(err.split())[:300]!r} on an interface made for the trial"
        if "Operation not permitted" in err:
            return f"{said}; run the task as root (become: true)"
        if "netem" in err and "duplicating" in err:
            return (
                f"{said}; this kernel lets a netem that duplicates stand alone only: give one window, or no duplicate"
            )
        return f"{said}; the kernel needs sch_netem and sch_htb (modprobe sch_netem sch_htb)"

    def _qdiscs(self) -> list[dict[str, Any]]:
        code, out, err = self._tc(["-s", "-j", "qdisc", "show"])
        if code != 0:
            raise ShapingError(f"cannot list the qdiscs: `tc -s -j qdisc show` printed {err.strip()[:300]!r}")
        listed: list[dict[str, Any]] = json.loads(out or "[]")
        return listed

    def _listed(self) -> Listed:
        try:
            return read_listing(self._nft.read())
        except NftError as error:
            raise ShapingError(str(error)) from error

    def found(self) -> list[dict[str, Any]]:
        """Reads back the windows; where a qdisc of one is gone, ``broken`` says so."""
        listed = windows_of(self._listed())
        qdiscs = self._qdiscs() if listed else []
        lost: dict[int, int] = {}
        for device in {qdisc["dev"] for qdisc in qdiscs}:
            for handle, count in losses([q for q in qdiscs if q["dev"] == device]).items():
                lost[handle] = lost.get(handle, 0) + count
        for window in listed:
            shape, handles = window["shape"], window.pop("handles")
            packets, size = window.pop("shaped")
            counts = {"shaped_packets": packets, "shaped_bytes": size}
            if shape.delay_ms or shape.rate_kbit:
                counts.update(delayed_packets=packets, delayed_bytes=size)
            counts["lost_packets"] = sum(lost.get(handle, 0) for handle in handles)
            window["counts"] = counts
            if not set(handles) <= set(lost):
                window["broken"] = "its queues are gone, so it shapes nothing; arm it again, or run jepsen_heal"
        return listed

    def _devices(self, windows: list[Shaped]) -> list[str]:
        """Finds the interfaces that lead to the peers."""
        devices: dict[str, None] = {}
        peers = {peer: some for window in windows for peer, some in window.peers.items()}
        for peer, addresses in peers.items():
            answers = [self._ip(["-j", "route", "get", address]) for address in addresses]
            ways = [json.loads(out)[0].get("dev") for code, out, _ in answers if code == 0 and out.strip()]
            if not any(ways):
                raise ShapingError(
                    f"no interface leads to {peer}: `ip route get {addresses[0]}` printed "
                    f"{answers[0][2].strip()[:200]!r}; give this node a route to it, or {peer} another address"
                )
            devices.update(dict.fromkeys(way for way in ways if way))
        return list(devices)

    def _roots(self, devices: list[str], qdiscs: list[dict[str, Any]]) -> list[str]:
        """Returns the interfaces that have no root qdisc of ours yet; refuses those that have somebody else's."""
        bare = []
        for device in devices:
            roots = [q for q in qdiscs if q["dev"] == device and q.get("root")]
            kinds = {(q["kind"], major(q["handle"])) for q in roots}
            if ("htb", ROOT) in kinds:
                continue
            for kind, handle in kinds:
                if handle or kind not in DEFAULTS:
                    raise ShapingError(
                        f"refused, nothing was changed: {device}, which leads to the peers, has the root qdisc "
                        f"{kind} {handle:x}: of somebody else; remove it (tc qdisc del dev {device} root) or shape "
                        "with backend: userspace"
                    )
            bare.append(device)
        return bare

    def arm(self, windows: list[Shaped], controllers: list[str], *, check: bool) -> None:
        """Puts these windows in the place of those that are armed.

        New classes are added beside the old ones, one transaction of nft turns the packets to them, and the old ones
        go. Packets that wait in an old one at that moment are lost.
        """
        windows = [window for window in windows if window.peers]
        if not windows:
            if not check:
                self.end()
            return
        qdiscs, listed, devices = self._qdiscs(), self._listed(), self._devices(windows)
        bare = self._roots(devices, qdiscs)
        classes = plan(windows, {major(q["handle"]) for q in qdiscs})
        wrong = self._try(windows, classes)
        if wrong:
            raise ShapingError(f"nothing was changed: the kernel does not take these queues: {wrong}")
        text = nft_script(windows, classes, controllers, listed.chains)
        try:
            self._nft.check(text)
        except NftError as error:
            raise ShapingError(str(error)) from error
        if not check:
            self._commit(windows, classes, devices, bare, text)
            self._remove_others(devices, classes)
            self._read_back(windows)

    def _commit(
        self, windows: list[Shaped], classes: list[Class], devices: list[str], bare: list[str], text: str
    ) -> None:
        added: list[str] = []
        try:
            for device in devices:
                added.append(device)
                roots = [root_line(device)] if device in bare else []
                batch = "\n".join([*roots, *tc_batch(device, windows, classes)]) + "\n"
                code, _, err = self._tc(["-batch", "-"], batch)
                if code != 0:
                    raise ShapingError(  # noqa: TRY301 - undone below, as nft's errors are
                        f"tc could not add the queues on {device}, and what was armed before is as it was: tc printed "
                        f"{' '.join(err.split())[:300]!r}; look at `tc qdisc show dev {device}` on the node"
                    )
            self._nft.commit(text)
        except (ShapingError, NftError) as error:
            for device in added:
                self._delete_root(device) if device in bare else self._delete(device, [one.minor for one in classes])
            raise ShapingError(str(error)) from error

    def _delete_root(self, device: str) -> tuple[int, str, str]:
        return self._tc(["qdisc", "del", "dev", device, "root", "handle", f"{ROOT:x}:"])

    def _delete(self, device: str, minors: list[int]) -> None:
        """Deletes classes; a class goes only after the netem on it."""
        lines = [f"class del dev {device} classid {ROOT:x}:{minor:x}" for minor in minors]
        self._tc(["-force", "-batch", "-"], "\n".join(lines) + "\n")

    def _remove_others(self, devices: list[str], classes: list[Class]) -> None:
        """Removes what the windows before had: classes, and roots of interfaces that lead to no peer any more."""
        kept = {one.minor for one in classes}
        for qdisc in self._qdiscs():
            device, parent = qdisc["dev"], qdisc.get("parent", "0:")
            if is_our_root(qdisc) and device not in devices:
                self._delete_root(device)
            elif major(parent) == ROOT and int(parent.partition(":")[2] or "0", 16) not in kept:
                self._delete(device, [int(parent.partition(":")[2], 16)])

    def _read_back(self, windows: list[Shaped]) -> None:
        found = self.found()
        broken = [window["name"] for window in found if "broken" in window]
        if [window["name"] for window in found] != [window.name for window in windows] or broken:
            raise ReadBackError(
                f"the rules were committed but others are listed, so somebody else changes them: wanted "
                f"{' '.join(w.name for w in windows)}, found {' '.join(w['name'] for w in found)}"
                f"{', without queues: ' + ' '.join(broken) if broken else ''}; run jepsen_heal, then try again alone"
            )

    def end(self) -> list[str]:
        """Removes chains and qdiscs, and says what it removed."""
        removed = []
        chains = self._listed().chains
        if chains:
            try:
                self._nft.commit(nft_script([], [], [], chains))
            except NftError as error:
                raise ShapingError(str(error)) from error
            removed.append(f"delete the chain {CHAIN} of the table inet jepsen")
        for device in self._rooted():
            code, _, err = self._delete_root(device)
            if code != 0 and device in self._rooted():
                raise ShapingError(
                    f"cannot delete the root qdisc htb {ROOT:x}: on {device}: tc printed {err.strip()[:300]!r}; "
                    f"run `tc qdisc del dev {device} root` on the node"
                )
            removed.append(f"delete the root qdisc htb {ROOT:x}: on {device}")
        return removed

    def _rooted(self) -> list[str]:
        return [qdisc["dev"] for qdisc in self._qdiscs() if is_our_root(qdisc)]

    def left(self) -> list[str]:
        """Looks for chains and qdiscs of ours."""
        chains = [f"the chain {CHAIN} of the table inet jepsen"] if self._listed().chains else []
        return chains + [f"the root qdisc htb {ROOT:x}: on {device}" for device in self._rooted()]
