"""Search for streams on the configured networks: scans, their results, and the methods that ask for them."""

from external_discovery.discovery.component import PROGRESS, DiscoveryComponent
from external_discovery.discovery.kinds import StreamKind
from external_discovery.discovery.methods import DiscoverExternalStreams, SetDiscoveryInterval
from external_discovery.discovery.settings import DiscoverySettings
from external_discovery.discovery.shown import shown

__all__ = (
    "PROGRESS",
    "DiscoverExternalStreams",
    "DiscoveryComponent",
    "DiscoverySettings",
    "SetDiscoveryInterval",
    "StreamKind",
    "shown",
)
