"""Cameras that deviate from the standards, or fail: what they send, and the RTSP server that sends it."""
