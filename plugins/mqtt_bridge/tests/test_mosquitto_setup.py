"""The files for Mosquitto in the README, in a real Mosquitto: who may write and read what."""

import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import anyio
import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
USERS = ("box-1", "box-2", "fleet", "dashboard", "homeassistant")
PASSWORD = "for-tests"
#: User, topic that it writes to, user that would read it, and whether the message arrives.
PASSAGES = (
    ("box-1", "camera-agent/box-1/status", "fleet", True),
    ("box-1", "camera-agent/box-1/state/cameras/camera0", "dashboard", True),
    ("box-1", "camera-agent/box-1/events/recording.start", "dashboard", True),
    ("box-1", "camera-agent/box-1/pictures/camera0", "fleet", True),
    ("box-1", "camera-agent/box-1/pictures/camera0", "dashboard", False),
    ("box-1", "camera-agent/box-1/pictures/camera0", "homeassistant", True),
    ("box-1", "camera-agent/box-2/status", "fleet", False),
    ("box-1", "camera-agent/box-2/call", "box-2", False),
    ("box-1", "camera-agent/replies/desk", "fleet", True),
    ("box-1", "camera-agent/replies/desk", "box-2", False),
    ("box-1", "camera-agent/box-1/status", "box-2", False),
    ("fleet", "camera-agent/box-1/call", "box-1", True),
    ("fleet", "camera-agent/box-1/call", "box-2", False),
    ("fleet", "camera-agent/box-1/status", "dashboard", False),
    ("fleet", "camera-agent/box-1/control/camera0/record", "box-1", False),
    ("dashboard", "camera-agent/box-1/call", "box-1", False),
    ("homeassistant", "camera-agent/box-1/control/camera0/record", "box-1", True),
    ("homeassistant", "camera-agent/box-1/call", "box-1", False),
    ("homeassistant", "homeassistant/status", "box-1", True),
    ("box-1", "homeassistant/switch/camera-agent-box-1/record-camera0/config", "homeassistant", True),
    ("box-1", "homeassistant/switch/camera-agent-box-2/record-camera0/config", "homeassistant", False),
)


@dataclass(frozen=True)
class Setup:
    """Mosquitto with the files of the README, without TLS."""

    port: int

    def client(self, user: str) -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1",
            self.port,
            username=user,
            password=PASSWORD,
            protocol=aiomqtt.ProtocolVersion.V5,
        )


def blocks() -> tuple[str, str]:
    """Return the configuration and the access list of the README."""
    section = README.partition("## Mosquitto")[2].partition("\n## ")[0]
    config, acl = re.findall(r"^```\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return config, acl


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[Setup]:
    program, passwords = (
        shutil.which(each, path="/usr/sbin:/usr/bin") for each in ("mosquitto", "mosquitto_passwd")
    )
    if program is None or passwords is None:
        pytest.skip("no Mosquitto here: Debian's package mosquitto has it")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config, acl = blocks()
    (folder / "camera-agent.acl").write_text(acl)
    (folder / "passwords").write_text("".join(f"{user}:{PASSWORD}\n" for user in USERS))
    subprocess.run([passwords, "-U", str(folder / "passwords")], check=True)
    without_tls = re.sub(r"^(certfile|keyfile) .*\n", "", config, flags=re.MULTILINE)
    text = without_tls.replace("listener 8883", f"listener {port} 127.0.0.1").replace(
        "/etc/mosquitto", str(folder)
    )
    (folder / "mosquitto.conf").write_text(text + "user root\n")
    process = await anyio.open_process(
        [program, "-c", str(folder / "mosquitto.conf")], stdout=None, stderr=None
    )
    try:
        with anyio.fail_after(20):
            while True:
                with suppress(OSError):
                    await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                    break
                assert process.returncode is None
                await anyio.sleep(0.02)
        yield Setup(port)
    finally:
        process.kill()
        await process.wait()


async def arrives(setup: Setup, sender: str, topic: str, reader: str) -> bool:
    """Return whether a message comes through; one that the reader may certainly write and read ends the wait."""
    own = f"camera-agent/{reader}/own"
    async with setup.client(reader) as reading, setup.client(sender) as writing:
        await reading.subscribe(own, qos=1)
        await reading.subscribe(
            "camera-agent/#" if topic.startswith("camera-agent/") else "homeassistant/#", qos=1
        )
        with suppress(aiomqtt.MqttError):  # "not authorized" for a publication with QoS 1
            await writing.publish(topic, "told", qos=1)
        await reading.publish(own, "end", qos=1)
        with anyio.fail_after(20):
            async for message in reading.messages:
                if str(message.topic) == own:
                    return False
                if str(message.topic) == topic:
                    return True
    raise AssertionError("the connection ended")


async def test_each_user_of_the_readme_may_do_what_it_should_and_no_more(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as setup:
        found = {each[:3]: await arrives(setup, *each[:3]) for each in PASSAGES}
        assert found == {each[:3]: each[3] for each in PASSAGES}


async def test_without_a_password_nothing_is_allowed(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as setup:
        with pytest.raises(aiomqtt.MqttError, match="Not authorized"):
            async with aiomqtt.Client("127.0.0.1", setup.port, protocol=aiomqtt.ProtocolVersion.V5):
                pass
