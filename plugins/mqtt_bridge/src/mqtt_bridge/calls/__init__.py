"""Signed calls through the broker: messages in, the agent's sessions, replies out."""
