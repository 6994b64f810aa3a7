"""ONVIF: cameras that answer a search, and the addresses of their streams."""
