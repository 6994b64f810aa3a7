"""Bridge between the camera agent and an MQTT 5 broker."""
