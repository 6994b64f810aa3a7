"""HTTP API, compatible with MediaMTX's."""
