"""Part of the bridge that publishes pictures, by interval and on demand."""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio

from agent_core.plugin import Clock
from mqtt_bridge.broker.messages import Incoming, Outgoing, Subscription
from mqtt_bridge.broker.part import BrokerLost, BrokerPublisher
from mqtt_bridge.link import AgentCalls, CallRefused
from mqtt_bridge.pictures.taking import TakenPicture, take_picture
from mqtt_bridge.settings import PictureSettings
from mqtt_bridge.state.told import NewestPicture
from mqtt_bridge.topics import AgentTopics

__all__ = ("NotPublished", "PicturesPart", "PublishedPicture")

_LOG = logging.getLogger("camera_agent.mqtt_bridge")
#: Cameras whose pictures are taken and held in memory at the same time.
_AT_ONCE = 2
#: Longest wait for the first picture of a connection. Its random part spreads the pictures of a fleet that comes back.
_LONGEST_START_S = 10.0
#: Bytes of a packet besides the picture: topic and properties.
_PACKET_HEAD_BYTES = 1024
#: Kept pictures of which the broker may tell.
_MOST_KEPT = 1000


class NotPublished(Exception):
    """Picture that could not be published, as there is no connection to the broker."""


@dataclass(frozen=True, slots=True)
class PublishedPicture:
    """Picture that the broker's socket has taken."""

    topic: str
    size_bytes: int
    taken: TakenPicture


class PicturesPart:
    """Publisher of pictures. Takes none while there is no connection.

    Retained pictures of cameras that are gone are cleared, and all of them if `retain` is off.

    Args:
        topics: the agent's topics.
        settings: width, interval and so on.
        calls: calls as a viewer.
        note: takes camera and picture of each that was published.
        clock: for the interval.
        random_part: returns a number from 0 to 1, as `random.random` does.
    """

    def __init__(
        self,
        topics: AgentTopics,
        settings: PictureSettings,
        calls: AgentCalls,
        note: Callable[[str, NewestPicture], None],
        clock: Clock,
        *,
        random_part: Callable[[], float] = random.random,
    ) -> None:
        self._topics = topics
        self._settings = settings
        self._calls = calls
        self._note = note
        self._clock = clock
        self._random_part = random_part
        self._broker: BrokerPublisher | None = None
        self._at_once = anyio.CapacityLimiter(_AT_ONCE)
        #: Reason of each camera's last failure, which is logged once.
        self._failed: dict[str, str] = {}
        self._listed: tuple[str, ...] = ()
        self._connected: tuple[str, ...] = ()
        #: Cameras with a picture that the broker keeps, as far as is known.
        self._kept: set[str] = set()
        self._changed = anyio.Event()
        self.subscriptions: Sequence[Subscription] = (Subscription(topics.picture("+"), kept=True),)

    def see(self, listed: Sequence[str], connected: Sequence[str]) -> None:
        """Take over which cameras there are, and which of them are connected."""
        self._listed, self._connected = tuple(listed), tuple(connected)
        self._changed.set()

    def received(self, message: Incoming) -> None:
        """Note a picture that the broker has kept."""
        if message.retained and len(self._kept) < _MOST_KEPT:
            self._kept.add(message.topic.rpartition("/")[2])
            self._changed.set()

    async def online(self, broker: BrokerPublisher) -> None:
        """Publish pictures by interval, and lend the connection to `publish`."""
        self._broker = broker
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._clear_gone, broker)
                tasks.start_soon(self._publish_by_interval)
        finally:
            self._broker = None

    async def _clear_gone(self, broker: BrokerPublisher) -> None:
        while True:
            self._changed = anyio.Event()
            for camera in sorted(self._kept - set(self._listed if self._settings.retain else ())):
                await broker.publish(Outgoing(self._topics.picture(camera), b"", retain=True))
                self._kept.discard(camera)
            await self._changed.wait()

    async def _publish_by_interval(self) -> None:
        if not self._settings.interval_s:
            return
        await self._clock.sleep(min(self._settings.interval_s, _LONGEST_START_S) * self._random_part())
        while True:
            await self._publish_all()
            await self._clock.sleep(self._settings.interval_s)

    async def publish(
        self, camera: str, *, width: int | None = None, quality: int | None = None
    ) -> PublishedPicture:
        """Take a picture and publish it.

        Args:
            camera: id of the camera.
            width: pixels; default: that of the settings.
            quality: of the JPEG; default: that of the settings.

        Raises:
            NotPublished: there is no connection to the broker; if it ended meanwhile, the picture was lost.
            CallRefused: the camera gives no picture, or none that is small enough.
        """
        async with self._at_once:
            broker = self._broker
            if broker is None:
                raise NotPublished
            taken = await take_picture(
                self._calls,
                camera,
                width=width or self._settings.width,
                quality=quality or self._settings.quality,
                most_bytes=broker.packet_bytes - _PACKET_HEAD_BYTES,
            )
            message = taken.message(self._topics.picture(camera), retain=self._settings.retain)
            try:
                await broker.publish(message)
            except BrokerLost as lost:
                raise NotPublished from lost
            if self._settings.retain:
                self._kept.add(camera)
            self._note(camera, NewestPicture(taken.captured_at, taken.tier_name))
            return PublishedPicture(message.topic, len(message.payload), taken)

    async def _publish_all(self) -> None:
        chosen = self._settings.cameras
        async with anyio.create_task_group() as tasks:
            for camera in self._connected:
                if not chosen or camera in chosen:
                    tasks.start_soon(self._publish_one, camera)

    async def _publish_one(self, camera: str) -> None:
        try:
            await self.publish(camera)
        except CallRefused as refusal:
            if self._failed.get(camera) != refusal.reason:
                self._failed[camera] = refusal.reason
                _LOG.warning("there is no picture of %s for the broker: %s", camera, refusal.details)
        except NotPublished:
            return
        else:
            self._failed.pop(camera, None)
