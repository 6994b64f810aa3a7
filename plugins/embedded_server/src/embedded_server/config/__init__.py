"""The server's configuration, in MediaMTX's words."""
