"""Check of `camera-agent doctor` for V4L2 devices: their formats, and the programs that have them open."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import anyio

from agent_core.plugin import Check, Finding, FindingStatus, WorkerPool
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.errors import explain, no_signal
from v4l2_tier.device.holders import Holder, holders_of
from v4l2_tier.device.probe import NoCamera, probe
from v4l2_tier.settings import V4l2TierSettings
from v4l2_tier.source.hotplug.reach import EventReach, event_reach
from v4l2_tier.source.inventory import DeviceNode, Inventory, open_inventory, udev_runs
from v4l2_tier.source.matching import SettingsTables, known_as
from v4l2_tier.source.sensors import advice
from v4l2_tier.source.udev_waits import FIRST_WAIT_S

__all__ = ("DeviceCheck",)


#: Time for one device to answer, shorter than the time for the check, so that a hanging device hides no other.
_ANSWER_S = 8.0
_SENSOR = f"{advice(is_served=False)} If it is enabled, nothing is to be done."


class DeviceCheck(Check):
    """Check that opens and probes each device briefly, without disturbing a program that streams from it."""

    name = "V4L2 devices"

    def __init__(
        self,
        settings: V4l2TierSettings,
        inventory: Callable[[], Inventory] = open_inventory,
        ask: Callable[[Path], Capabilities | NoCamera] = probe,
        answer_s: float = _ANSWER_S,
        reach: Callable[[], EventReach] = event_reach,
    ) -> None:
        self._tables = SettingsTables(settings)
        self._inventory = inventory
        self._ask = ask
        self._answer_s = answer_s
        self._reach = reach

    async def look(self) -> Sequence[Finding]:
        inventory = self._inventory()
        nodes, waiting = await inventory.look()
        found: dict[str, list[Finding]] = {}

        async def examine(node: DeviceNode) -> None:
            found[node.name] = await self._examined(node)

        async with anyio.create_task_group() as tg:
            for node in nodes:
                tg.start_soon(examine, node)
        return [
            self._overall(len(nodes), waiting=waiting),
            *self._silent_events(),
            *(Finding(self.name, FindingStatus.WARNING, doubt) for doubt in inventory.doubts),
            *_once_per_device((node.physical, each) for node in nodes for each in found[node.name]),
            *(self._unused(match, nodes) for match in self._tables.unused),
        ]

    def _silent_events(self) -> Iterator[Finding]:
        if doubt := self._reach().doubt:
            yield Finding(
                self.name,
                FindingStatus.WARNING,
                doubt,
                "To have udev's events, run the container in the host's network (--network host).",
            )

    async def _examined(self, node: DeviceNode) -> list[Finding]:
        with anyio.move_on_after(self._answer_s):
            capabilities, findings = await WorkerPool(1).run_abandonable(_examine, node, self._ask)
            self._tables.of(node, capabilities)
            return findings
        self._tables.of(node, None)
        return [
            Finding(
                _title(node),
                FindingStatus.FAILED,
                f"The device has not answered for {self._answer_s:g} s.",
                "Unplug it and plug it in again; if it still does not answer, try another port or cable.",
            )
        ]

    def _unused(self, match: str, nodes: Sequence[DeviceNode]) -> Finding:
        names = dict.fromkeys(repr(each) for node in nodes for each in known_as(node, None))
        return Finding(
            self.name,
            FindingStatus.WARNING,
            f"No connected camera matches {match!r} (plugins.v4l2_tier.cameras).",
            f"Connect that camera, or match one of these: {', '.join(names)}." if names else "Connect it.",
        )

    def _overall(self, count: int, *, waiting: bool) -> Finding:
        if waiting:
            return Finding(
                self.name,
                FindingStatus.WARNING,
                f"Found {count} device nodes; udev is still processing others.",
                "Wait with `udevadm settle`, then run doctor again. If it is still not done, check that udev runs;"
                " a container needs the /run/udev of a host where it runs, or none. Until then, the agent uses these"
                f" devices after {FIRST_WAIT_S:g} s without what udev knows of them.",
            )
        where = "" if udev_runs() else "; udev does not run, so cameras have fewer identifying properties"
        return Finding(self.name, FindingStatus.OK, f"Found {count} device nodes{where}.")


def _once_per_device(found: Iterable[tuple[str, Finding]]) -> Iterator[Finding]:
    """Yield the findings, without repetitions for a sensor, which has several nodes."""
    told: set[str] = set()
    for device, finding in found:
        if finding.suggestion == _SENSOR:
            if device in told:
                continue
            told.add(device)
        yield finding


def _title(node: DeviceNode) -> str:
    return f"{node.path.name} ({node.shown_name})"


def _examine(
    node: DeviceNode, ask: Callable[[Path], Capabilities | NoCamera]
) -> tuple[Capabilities | None, list[Finding]]:
    title = _title(node)
    holders = holders_of(node.path)
    try:
        found = ask(node.path)
    except OSError as error:
        problem = explain(error, "opening the camera", holders=holders)
        return None, [Finding(title, FindingStatus.FAILED, problem.details, problem.suggestion)]
    if isinstance(found, NoCamera):
        suggestion = _SENSOR if found.is_sensor else ""
        return None, [
            Finding(title, FindingStatus.WARNING, found.why, suggestion)
        ] if found.remarkable else []
    if found.source.fault:
        problem = no_signal(found.source.fault)
        return found, [Finding(title, FindingStatus.WARNING, problem.details, problem.suggestion)]
    formats = ", ".join(each.code for each in found.formats) or "no format"
    return found, [Finding(title, FindingStatus.OK, f"Offers {formats}. {_held(holders)}")]


def _held(holders: tuple[Holder, ...]) -> str:
    names = ", ".join(f"{holder.program} (process {holder.pid})" for holder in holders)
    unseen = "" if os.geteuid() == 0 else " Run as root to see the programs of other users."
    return (f"Open in {names}." if names else "No program has it open.") + unseen
