"""What `doctor` is told on a machine; devices themselves are looked at in the virtual machine."""

from agent_core.plugin import FindingStatus
from v4l2_tier.checks import DeviceCheck


async def test_a_machine_without_cameras_has_nothing_wrong() -> None:
    first, *_ = await DeviceCheck().look()
    assert first.name == "V4L2 devices"
    assert first.status is not FindingStatus.FAILED
    assert first.detail.split()[0].isdigit()
