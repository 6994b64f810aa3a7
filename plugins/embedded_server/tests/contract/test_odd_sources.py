"""Sources that deviate as cameras do: a stream, or a line in the log that says what was refused."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from agent_core.plugin import Url
from embedded_server.paths.pull import may_redirect
from tests.odd.camera import BACK_CHANNEL, METADATA, PACKET, USER, VIDEO, Camera


async def pulled(media: Any, camera: Camera, *, credentials: str = "") -> None:
    """Wait until packets of the camera arrive."""
    async with replace(camera).serving() as port:
        await media.add("cam", source=f"rtsp://{credentials}127.0.0.1:{port}/cam", rtspTransport="tcp")
        with anyio.fail_after(20):
            while (await media.api.get("/v3/paths/get/cam")).json()["inboundBytes"] < len(PACKET):
                await anyio.sleep(0.02)
        assert (await media.api.delete("/v3/config/paths/delete/cam")).status_code == 200


@pytest.mark.parametrize(
    "camera",
    [
        Camera(),
        Camera(channel=10),
        Camera(media=VIDEO + BACK_CHANNEL, answers={"SETUP trackID=1": 400}),
        Camera(media=VIDEO.replace("rtpmap:96", "rtpmap: 96")),
        Camera(media=VIDEO + "m=application 0 RTP/AVP 107\r\na=rtpmap:107 \r\na=control:trackID=1\r\n"),
        Camera(redirect="rtsp://127.0.0.1:{port}/other"),
        Camera(fields={"OPTIONS": {"Server": "Camera"}, "SETUP": {"Server": "Cam\u00e9ra"}}),
        Camera(stray=bytes(4)),
        Camera(fields={"DESCRIBE": {"Content-Base": "/base/"}}),
    ],
    ids=[
        "plain",
        "channels",
        "back-channel",
        "space",
        "no-format",
        "redirect",
        "encoding",
        "stray",
        "base",
    ],
)
async def test_a_deviating_source_is_pulled(media: Any, camera: Camera) -> None:
    await pulled(media, camera)


@pytest.mark.parametrize("password", ["s3cret", "p@ss/w:rd?#%&é'\""])
@pytest.mark.parametrize("scheme", ["basic", "digest"])
async def test_a_source_is_given_the_password_that_it_asks_for(
    media: Any, scheme: str, password: str
) -> None:
    camera = Camera(password=password, scheme=scheme, one_nonce=True)
    source = urlsplit(Url.with_credentials("rtsp://127.0.0.1/cam", USER, password).url)
    await pulled(media, camera, credentials=f"{source.username}:{source.password}@")


@pytest.mark.parametrize("password", ["", "wrong"])
async def test_a_wrong_password_of_a_source_is_said_in_the_log(
    embedded: Any,
    media_of: Callable[[Any], Any],
    caplog: pytest.LogCaptureFixture,
    password: str,
) -> None:
    async with media_of(embedded) as media, Camera(password="right").serving() as port:
        known = f"op:{password}@" if password else ""
        await media.add("cam", source=f"rtsp://{known}127.0.0.1:{port}/cam")
        with anyio.fail_after(20):
            while "the source failed" not in caplog.text:
                await anyio.sleep(0.02)
    assert "answers 401 to DESCRIBE: it needs another user or password" in caplog.text


@pytest.mark.parametrize(
    "camera",
    [
        Camera(transport=""),
        Camera(media=METADATA.replace("=1", "=2") + VIDEO + METADATA, answers={"SETUP trackID=1": 461}),
        Camera(media="range:npt=now-\r\n" + VIDEO),
        Camera(early=True),
        Camera(answers={"OPTIONS": 404}),
        Camera(password="s3"),
    ],
    ids=["no-transport", "metadata", "stray-line", "early", "no-options", "nonce"],
)
async def test_the_embedded_server_pulls_what_mediamtx_does_not(
    embedded: Any, media_of: Callable[[Any], Any], camera: Camera
) -> None:
    async with media_of(embedded) as media:
        await pulled(media, camera, credentials="op:s3@" if camera.password else "")


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (Camera(answers={"SETUP trackID=0": 404}), "answers 404 to SETUP"),
        (Camera(media=VIDEO + METADATA, answers={"SETUP trackID=0": 461}), "answers 461 to SETUP"),
        (Camera(media=BACK_CHANNEL.replace("rtpmap:0 PCMU/8000", "x").replace(" 0\r", " 99\r")), "no medium"),
        (Camera(transport="RTP/AVP;unicast;client_port={}"), "insists on UDP"),
        (Camera(media=VIDEO + METADATA, channel=4), "two media the same channel"),
        (Camera(redirect="rtsp://127.0.0.1:{port}/cam"), "redirects more than once"),
        (Camera(redirect="http://127.0.0.1:{port}/cam"), "unsupported kind"),
        (Camera(redirect="rtsp://-\u00e9-.x/cam"), "is not a name"),
    ],
)
async def test_a_refusal_is_in_the_log(
    embedded: Any,
    media_of: Callable[[Any], Any],
    caplog: pytest.LogCaptureFixture,
    camera: Camera,
    words: str,
) -> None:
    async with media_of(embedded) as media, replace(camera).serving() as port:
        await media.add("cam", source=f"rtsp://op:s3cret@127.0.0.1:{port}/cam")
        with anyio.fail_after(20):
            while "the source failed" not in caplog.text:
                await anyio.sleep(0.02)
    assert words in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("public", "answers", "method"),
    [
        ("OPTIONS, GET_PARAMETER", {}, "GET_PARAMETER"),
        ("OPTIONS", {}, "OPTIONS"),
        ("OPTIONS, GET_PARAMETER", {"GET_PARAMETER": 400}, "OPTIONS"),
    ],
)
async def test_a_session_is_kept_alive_as_the_camera_understands_it(
    embedded: Any,
    media_of: Callable[[Any], Any],
    public: str,
    answers: Mapping[str, int],
    method: str,
) -> None:
    camera = Camera(fields={"OPTIONS": {"Public": public}}, answers=answers, sign_of_life=method)
    async with media_of(embedded) as media, camera.serving() as port:
        await media.add("cam", source=f"rtsp://127.0.0.1:{port}/cam")
        with anyio.fail_after(20):
            await camera.alive.wait()


@pytest.mark.parametrize(
    ("origin", "target", "local", "allowed"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.9", True),
        ("192.0.2.1", "192.0.2.2", "192.0.2.9", True),
        ("192.0.2.1", "10.0.0.1", "10.0.0.9", True),
        ("192.0.2.1", "127.0.0.1", "127.0.0.1", False),
        ("192.0.2.1", "::1", "::1", False),
        ("192.0.2.1", "::ffff:127.0.0.1", "::ffff:127.0.0.1", False),
        ("192.0.2.1", "192.0.2.9", "192.0.2.9", False),
        ("192.0.2.1", "169.254.169.254", "169.254.1.1", False),
        ("192.0.2.1", "fe80::1%eth0", "fe80::2%eth0", False),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", True),
    ],
)
def test_a_camera_may_not_redirect_into_this_host(
    origin: str, target: str, local: str, allowed: bool
) -> None:
    assert may_redirect(origin, target, local) is allowed
