"""Decoder process of the RTSP tiers, run as `python -m rtsp_tier.worker`. Only this package imports PyAV."""
