"""Part of the bridge that publishes pictures, by interval and on demand."""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio

from agent_core.plugin import Clock
from mqtt_bridge.broker.messages import Incoming, Subscription
from mqtt_bridge.broker.part import BrokerLost, BrokerPublisher
from mqtt_bridge.link import AgentCalls, CallRefused
from mqtt_bridge.pictures.taking import TakenPicture, take_picture
from mqtt_bridge.settings import PictureSettings
from mqtt_bridge.state.told import NewestPicture
from mqtt_bridge.topics import AgentTopics

__all__ = ("NotPublished", "PictureCameras", "PicturesPart", "PublishedPicture")

_LOG = logging.getLogger("camera_agent.mqtt_bridge")
#: Cameras whose pictures are taken and held in memory at the same time.
_AT_ONCE = 2
#: Longest wait for the first picture of a connection. Its random part spreads the pictures of a fleet that comes back.
_LONGEST_START_S = 10.0
#: Bytes of a packet besides the picture: topic and properties.
_PACKET_HEAD_BYTES = 1024


class NotPublished(Exception):
    """Picture that could not be published, as there is no connection to the broker."""


@dataclass(frozen=True, slots=True)
class PublishedPicture:
    """Picture that the broker's socket has taken."""

    topic: str
    size_bytes: int
    taken: TakenPicture


@dataclass(frozen=True, slots=True)
class PictureCameras:
    """Access to the cameras.

    Attributes:
        connected: returns the ids of the connected cameras.
        note: takes camera and picture of each that was published.
    """

    connected: Callable[[], Sequence[str]]
    note: Callable[[str, NewestPicture], None]


class PicturesPart:
    """Publisher of pictures. Takes none while there is no connection.

    Args:
        topics: the agent's topics.
        settings: width, interval and so on.
        calls: calls as a viewer.
        cameras: the cameras.
        clock: for the interval.
        random_part: returns a number from 0 to 1, as `random.random` does.
    """

    subscriptions: Sequence[Subscription] = ()

    def __init__(
        self,
        topics: AgentTopics,
        settings: PictureSettings,
        calls: AgentCalls,
        cameras: PictureCameras,
        clock: Clock,
        *,
        random_part: Callable[[], float] = random.random,
    ) -> None:
        self._topics = topics
        self._settings = settings
        self._calls = calls
        self._cameras = cameras
        self._clock = clock
        self._random_part = random_part
        self._broker: BrokerPublisher | None = None
        self._at_once = anyio.CapacityLimiter(_AT_ONCE)
        #: Reason of each camera's last failure, which is logged once.
        self._failed: dict[str, str] = {}

    def received(self, message: Incoming) -> None:
        """Do nothing: this part subscribes to nothing."""

    async def online(self, broker: BrokerPublisher) -> None:
        """Publish pictures by interval, and lend the connection to `publish`."""
        self._broker = broker
        try:
            if not self._settings.interval_s:
                await anyio.sleep_forever()
            await self._clock.sleep(min(self._settings.interval_s, _LONGEST_START_S) * self._random_part())
            while True:
                await self._publish_all()
                await self._clock.sleep(self._settings.interval_s)
        finally:
            self._broker = None

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
            self._cameras.note(camera, NewestPicture(taken.captured_at, taken.tier_name))
            return PublishedPicture(message.topic, len(message.payload), taken)

    async def _publish_all(self) -> None:
        chosen = self._settings.cameras
        async with anyio.create_task_group() as tasks:
            for camera in self._cameras.connected():
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
