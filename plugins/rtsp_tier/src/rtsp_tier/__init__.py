"""Snapshot tiers that read RTSP streams of the media server: one for live streams, one that starts them.

The package imports nothing here, because its worker process must not load the plugin and the agent's API: the entry
point names `rtsp_tier.plugin`.
"""
