"""The tiers, and what they share: the readers of coded video and the leases of started streams."""

from rtsp_tier.tiers.activation import RtspActivationTier
from rtsp_tier.tiers.decoded import DecodedFramesTier
from rtsp_tier.tiers.pictures import CodedPictures
from rtsp_tier.tiers.residents import Residents, ResidentsPolicy, View, Way
from rtsp_tier.tiers.reuse import RtspReuseTier
from rtsp_tier.tiers.warm import WarmLeases

__all__ = (
    "CodedPictures",
    "DecodedFramesTier",
    "Residents",
    "ResidentsPolicy",
    "RtspActivationTier",
    "RtspReuseTier",
    "View",
    "WarmLeases",
    "Way",
)
