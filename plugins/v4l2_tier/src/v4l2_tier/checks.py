"""What `camera-agent doctor` shows of V4L2 devices: what each offers, and which programs have it open."""

import os
from collections.abc import Sequence

import anyio.to_thread

from agent_core.plugin import Check, Finding, FindingStatus
from v4l2_tier.device_errors import explain
from v4l2_tier.holders import Holder, holders_of
from v4l2_tier.inventory import DeviceNode, Inventory, udev_runs
from v4l2_tier.probe import NoCamera, probe

__all__ = ("DeviceCheck",)


class DeviceCheck(Check):
    """Opens each device for a moment and asks what it is, which disturbs no program that streams from it."""

    name = "V4L2 devices"

    async def look(self) -> Sequence[Finding]:
        nodes, waiting = Inventory().look()
        findings = [self._overall(len(nodes), waiting=waiting)]
        for node in nodes:
            findings += await anyio.to_thread.run_sync(_examine, node, abandon_on_cancel=True)
        return findings

    def _overall(self, count: int, *, waiting: bool) -> Finding:
        if waiting:
            return Finding(
                self.name,
                FindingStatus.WARNING,
                f"{count} nodes, and udev has not yet worked on all.",
                "Look again in a moment; `udevadm settle` waits for udev.",
            )
        where = "" if udev_runs() else "; udev does not run here, so cameras are known by less"
        return Finding(self.name, FindingStatus.OK, f"{count} nodes{where}.")


def _examine(node: DeviceNode) -> list[Finding]:
    title = f"{node.name} ({node.shown_name})"
    holders = holders_of(node.path)
    try:
        found = probe(node.path)
    except OSError as error:
        problem = explain(error, "opening it", holders=holders)
        return [Finding(title, FindingStatus.FAILED, problem.details, problem.suggestion)]
    if isinstance(found, NoCamera):
        return [Finding(title, FindingStatus.WARNING, found.why)] if found.remarkable else []
    formats = ", ".join(each.code for each in found.formats) or "no format"
    return [Finding(title, FindingStatus.OK, f"Offers {formats}. {_held(holders)}")]


def _held(holders: tuple[Holder, ...]) -> str:
    names = ", ".join(f"{holder.program} (process {holder.pid})" for holder in holders)
    unseen = "" if os.geteuid() == 0 else " Only root sees what other accounts hold."
    return (f"Open in {names}." if names else "No program has it open.") + unseen
