"""Cameras that come, go, change ports and survive reboots at random: every identity called certain is true.

The model knows which physical camera is which; the registry is told only what a source can see.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from agent_core.base.events import Event, EventBus
from agent_core.base.models import CameraEvent, CameraId, CameraStatus, DetectedCamera, Fingerprint
from agent_core.cameras.ledger import Ledger
from agent_core.cameras.registry import CameraRegistry, SourceReport
from agent_core.testing.clock import SimulatedClock

PORTS = [f"usb-0:{number}" for number in range(1, 7)]
#: Two cameras with serial numbers, two twins without, of another make.
FOUR = {"a": "A:1", "b": "A:2", "twin1": None, "twin2": None}


@dataclass
class World:
    """The physical cameras, where they are, and what the registry has ever said about each."""

    folder: Path
    serials: dict[str, str | None]
    chance: Random
    at: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    #: Whom an id was first given to.
    truth: dict[CameraId, str] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)
    ids: dict[str, set[CameraId]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.folder / "none.json")
        self.start()

    def start(self) -> None:
        """The agent's start, with the ledger that it had."""
        again, bus = Ledger(self.folder / "none.json"), EventBus()
        for known in self.ledger.known:
            again.remember(known)
        self.ledger = again
        self.registry = CameraRegistry(again, events=bus, clock=SimulatedClock())
        self.registry.restore(["usb"])
        self.report = SourceReport(self.registry, "usb")
        self.keys = {}
        self._subscription = bus.subscribe(self.check)
        self._subscription.__enter__()

    def check(self, event: Event) -> bool:
        assert isinstance(event.payload, CameraEvent)
        camera = event.payload.camera
        who = camera.detected.name
        self.truth.setdefault(camera.id, who)
        self.ids.setdefault(who, set()).add(camera.id)
        if not camera.ambiguous:
            first = next(id_ for id_, owner in self.truth.items() if owner == who)
            assert camera.id == first, f"{who} is {first} and is said to be {camera.id} for certain"
        self.said["ambiguous" if camera.ambiguous else "certain"] += 1
        self.said["moved"] += camera.moved
        return False

    def detected(self, who: str) -> DetectedCamera:
        serial = self.serials[who]
        make = serial.split(":")[0] if serial else "twins"
        fingerprint = Fingerprint("usb", serial, self.at[who], make)
        # The name is the model's own way to see who an event is about; nothing decides by it.
        return DetectedCamera(self.keys[who], who, fingerprint, None, number_hint=self.chance.randrange(4))

    def see(self, who: str) -> None:
        self.keys[who] = f"video{len(self.keys)}-{self.chance.random()}"
        self.report.connected(self.detected(who))

    def plug(self, who: str) -> None:
        free = [port for port in PORTS if port not in self.at.values()]
        self.at[who] = self.chance.choice(free)
        self.see(who)

    def unplug(self, who: str) -> None:
        del self.at[who]
        self.report.disconnected(self.keys.pop(who), "Unplugged.")

    def trouble(self, who: str) -> None:
        self.report.failed(self.keys[who], "No picture.")
        self.report.connected(self.detected(who))

    def reboot(self) -> None:
        """Some are moved while the power is off; they are found in another order."""
        for who in list(self.at):
            if self.chance.random() < 0.4:
                del self.at[who]
        for who in self.serials:
            if who not in self.at and self.chance.random() < 0.5:
                self.at[who] = self.chance.choice([port for port in PORTS if port not in self.at.values()])
        self.start()
        for who in self.chance.sample(sorted(self.at), len(self.at)):
            self.see(who)

    def step(self) -> None:
        if self.chance.random() < 0.05:
            self.reboot()
            return
        who = self.chance.choice(sorted(self.serials))
        if who not in self.at:
            self.plug(who)
        elif self.chance.random() < 0.2:
            self.trouble(who)
        else:
            self.unplug(who)


@pytest.mark.parametrize("seed", range(100))
def test_what_is_certain_is_true(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path, FOUR, Random(seed))
    for _ in range(120):
        world.step()
    assert world.said["certain"] > 20
    assert world.said["ambiguous"] > 5
    assert world.said["moved"] > 5
    assert len(world.ids["a"]) == len(world.ids["b"]) == 1  # on whatever port, through every reboot


@pytest.mark.parametrize("seed", range(50))
def test_one_serial_number_for_every_unit(tmp_path: Path, seed: int) -> None:
    """Believed until two of them are connected at once, which here happens first; from then on nothing is certain."""
    world = World(tmp_path, {"x": "S:1", "y": "S:1", "z": "S:1", "a": "A:1"}, Random(seed))
    world.plug("x")
    world.plug("y")
    for _ in range(100):
        world.step()
    assert len(world.ids["a"]) == 1


def test_three_twins_stay_on_their_ports(tmp_path: Path) -> None:
    world = World(tmp_path, {"t1": None, "t2": None, "t3": None}, Random(1))
    for who in world.serials:
        world.plug(who)
    ids = {camera.name: camera.id for camera in world.registry.list()}
    assert not any(camera.ambiguous for camera in world.registry.list())
    world.start()
    for who in ("t3", "t1", "t2"):
        world.see(who)
    assert {camera.name: camera.id for camera in world.registry.list()} == ids
    assert all(camera.ambiguous for camera in world.registry.list())


def test_swapped_cameras_with_serials_are_noticed(tmp_path: Path) -> None:
    world = World(tmp_path, FOUR, Random(2))
    world.plug("a")
    world.plug("b")
    ids = {camera.name: camera.id for camera in world.registry.list()}
    world.at = {"a": world.at["b"], "b": world.at["a"]}
    world.start()
    world.see("b")
    world.see("a")
    after = world.registry.list()
    assert {camera.name: camera.id for camera in after} == ids
    assert [(camera.moved, camera.ambiguous) for camera in after] == [(True, False)] * 2


def test_a_failed_camera_stays_as_ambiguous_as_it_was(tmp_path: Path) -> None:
    world = World(tmp_path, FOUR, Random(3))
    world.plug("twin1")
    world.unplug("twin1")
    world.plug("twin2")
    world.report.failed(world.keys["twin2"], "No picture.")
    (failed,) = world.registry.list()
    assert (failed.status, failed.ambiguous) == (CameraStatus.ERROR, True)
    world.trouble("twin2")
    assert world.registry.list()[0].ambiguous
