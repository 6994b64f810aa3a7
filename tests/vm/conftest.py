"""What is in `guest` is for the machine; elsewhere pytest does not look into it."""

from pathlib import Path

collect_ignore = [] if Path("/etc/camera-agent-vm").exists() else ["guest"]
