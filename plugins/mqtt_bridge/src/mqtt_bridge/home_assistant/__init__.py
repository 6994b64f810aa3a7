"""Agent and cameras in Home Assistant, which learns of them from the broker."""
