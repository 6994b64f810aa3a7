"""Configuration of the server, compatible with MediaMTX's."""
