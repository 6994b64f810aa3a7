"""Commands `camera-agent fleet ...`, which drive many agents through one broker."""
