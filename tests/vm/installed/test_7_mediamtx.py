"""The unit for MediaMTX, with the agent in the mode `external`."""

import shutil

import pytest

from tests.vm.installed.box import Box
from tests.vm.installed.recordings import Recording

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("patient")]

SERVER = """\
logDestinations: [stdout]
api: yes
apiAddress: 127.0.0.1:9997
rtspAddress: 127.0.0.1:8554
rtspTransports: [tcp]
rtmp: no
hls: no
webrtc: no
srt: no
authInternalUsers:
  - user: any
    ips: ["127.0.0.1/32"]
    permissions: [{action: publish}, {action: api}, {action: read}]
pathDefaults:
  recordDeleteAfter: 0s
  overridePublisher: no
"""
AGENT = """\
[media_server]
mode = "external"
api_url = "http://127.0.0.1:9997"
rtsp_url = "rtsp://127.0.0.1:8554"
"""


async def test_the_agent_records_with_the_units_server(box: Box) -> None:
    program = shutil.which("mediamtx")
    if program is None:
        pytest.skip("this host has no mediamtx")
    shutil.copy(program, box.share / "mediamtx")
    (box.share / "mediamtx.yml").write_text(SERVER)
    await box.sh(
        "cd /mnt/share; install -m 0755 mediamtx /usr/local/bin; "
        "install -m 0640 -g camera-agent mediamtx.yml /etc/camera-agent"
    )
    await box.run("systemctl", "enable", "--now", "camera-agent-mediamtx")
    await box.configure("90-server", AGENT)
    async with box.plugged():
        await box.until_camera()
        recording = await Recording.started(box)
        before = await box.properties("MainPID", unit="camera-agent-mediamtx")
        # A server that crashes is replaced, and the recording goes on.
        await box.run("kill", "-KILL", before["MainPID"])
        await recording.until_files(2)
        await box.run("camera-agent", "record", "stop", "camera0")
        for each in await recording.files():
            assert await recording.played_s(each) > 0
        assert "Mode external, http://127.0.0.1:9997 answers" in await box.diagnosis("media server")
    await box.run("systemctl", "disable", "--now", "camera-agent-mediamtx")
    await box.configure("90-server", "")
