"""Watchers for devices that are plugged in or removed."""
