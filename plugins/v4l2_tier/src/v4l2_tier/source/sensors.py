"""Nodes of sensors, whose cameras are libcamera's: which are left to its plugin, and what is told of each device once."""

import logging
from collections.abc import Iterable

from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.probe import NoCamera
from v4l2_tier.device.sensor_drivers import LIBCAMERA_PLUGIN, is_bare_sensor
from v4l2_tier.source.inventory import DeviceNode

__all__ = ("SensorNodes", "advice")


def advice(*, is_served: bool) -> str:
    """Return the sentence that names the plugin for cameras of sensors; `is_served` if it is enabled."""
    if is_served:
        return f"The plugin {LIBCAMERA_PLUGIN} serves its camera."
    return f"Enable the plugin {LIBCAMERA_PLUGIN} to use its camera."


class SensorNodes:
    """Nodes of sensors among those of one source.

    Args:
        plugins: plugins that are enabled beside this one.
    """

    def __init__(self, plugins: Iterable[str] = ()) -> None:
        self._is_served = LIBCAMERA_PLUGIN in frozenset(plugins)
        self._told: set[str] = set()

    def without_bare(self, found: Capabilities | NoCamera) -> Capabilities | NoCamera:
        """Return `found`, or the reason why a bare sensor is left to the plugin that makes pictures of its values."""
        if self._is_served and isinstance(found, Capabilities) and is_bare_sensor(found):
            return NoCamera(f"{found.card} delivers only a sensor's values", remarkable=True, is_sensor=True)
        return found

    def told(self, node: DeviceNode, found: NoCamera) -> tuple[int, str]:
        """Return the level and the message of the log for a node that is not a camera; a device is told of once."""
        if not found.is_sensor:
            quiet = logging.INFO if node.is_virtual else logging.DEBUG
            return logging.WARNING if found.remarkable else quiet, found.why
        is_new = node.physical not in self._told
        self._told.add(node.physical)
        loud = logging.INFO if self._is_served else logging.WARNING
        return loud if is_new else logging.DEBUG, f"{found.why}. {advice(is_served=self._is_served)}"
