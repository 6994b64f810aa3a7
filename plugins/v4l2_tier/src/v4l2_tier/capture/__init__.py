"""Frames from a device: the producer, its negotiation and its timing."""
