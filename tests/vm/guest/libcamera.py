"""Cameras of libcamera's virtual pipeline, which makes pictures without hardware."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.vm.guest.cameras import Root

__all__ = ("CONFIGURATION", "VirtualSensor", "needs_virtual_pipeline", "virtual_sensors")

#: File that the pipeline reads (libcamera 0.4, PipelineHandlerVirtual::match); Debian's package has none.
CONFIGURATION = Path("/usr/share/libcamera/pipeline/virtual/virtual.yaml")
#: Device that gives the pipeline its memory; Debian lets only root and the group kvm open it.
MEMORY = Path("/dev/udmabuf")
CAM = Path("/usr/bin/cam")


@dataclass(frozen=True, slots=True)
class VirtualSensor:
    """Camera of the virtual pipeline: libcamera's id of it, its model, and its only size."""

    id: str
    model: str = "imx219"
    width: int = 640
    height: int = 480
    pattern: str = "bars"

    def entry(self) -> Mapping[str, object]:
        """Return its entry in the pipeline's configuration (src/libcamera/pipeline/virtual/README.md)."""
        size = {"width": self.width, "height": self.height, "frame_rates": [5, 30]}
        return {
            "supported_formats": [size],
            "test_pattern": self.pattern,
            "location": "CameraLocationExternal",
            "model": self.model,
        }


def needs_virtual_pipeline() -> None:
    """Skip the module in a machine without it."""
    if not CAM.exists():
        pytest.skip("libcamera has a virtual pipeline since 0.4 (Debian 13)", allow_module_level=True)


@asynccontextmanager
async def virtual_sensors(root: Root, *sensors: VirtualSensor, opened: bool = True) -> AsyncIterator[None]:
    """Have libcamera list these cameras while the context is open, to the group video if `opened`."""
    await write(root, *sensors)
    if opened:
        await root.run("chgrp", "video", str(MEMORY))
    await root.run("chmod", "660", str(MEMORY))
    try:
        yield
    finally:
        await root.run("chgrp", "root", str(MEMORY))
        await root.run("rm", "-f", str(CONFIGURATION))


async def write(root: Root, *sensors: VirtualSensor) -> None:
    """Replace libcamera's cameras by these; programs that run keep theirs."""
    text = json.dumps({each.id: each.entry() for each in sensors})  # JSON is YAML
    await root.run("mkdir", "-p", str(CONFIGURATION.parent))
    script = 'printf "%%YAML 1.1\\n---\\n%s\\n" "$1" > "$2.new" && mv "$2.new" "$2"'
    await root.run("sh", "-c", script, "sh", text, str(CONFIGURATION))
