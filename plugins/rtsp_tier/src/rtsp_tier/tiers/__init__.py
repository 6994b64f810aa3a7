"""The two tiers, and what they share: the readers of live streams and the leases of started ones."""

from rtsp_tier.tiers.activation import RtspActivationTier
from rtsp_tier.tiers.pictures import StreamPictures
from rtsp_tier.tiers.residents import Residents, ResidentsPolicy
from rtsp_tier.tiers.reuse import RtspReuseTier
from rtsp_tier.tiers.warm import WarmLeases

__all__ = (
    "Residents",
    "ResidentsPolicy",
    "RtspActivationTier",
    "RtspReuseTier",
    "StreamPictures",
    "WarmLeases",
)
