"""RTSP server."""
