"""Snapshot tiers that decode video: of the media server's streams, and of cameras that send H.264 or H.265.

The package imports nothing here, because its worker process must not load the plugin and the agent's API: the entry
point names `rtsp_tier.plugin`.
"""
