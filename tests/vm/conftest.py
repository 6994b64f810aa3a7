"""Limit collection of `guest` to the virtual machine, and of `installed` to runs that have packages."""

import os
from pathlib import Path

collect_ignore = [
    *([] if Path("/etc/camera-agent-vm").exists() else ["guest"]),
    *([] if "CAMERA_AGENT_DEBS" in os.environ else ["installed"]),
]
