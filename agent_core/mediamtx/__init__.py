"""The client side of MediaMTX's API and RTSP: calls, the link to the server, its paths."""
