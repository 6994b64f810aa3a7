"""The HTTP API, in MediaMTX's words."""
