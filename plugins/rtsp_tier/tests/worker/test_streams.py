"""Pictures of streams that FFmpeg publishes to each media server, by both kinds of readers."""

import io
from typing import Any

import pytest
from PIL import Image

from agent_core.plugin import jpeg
from rtsp_tier.messages import Failed, ReaderOpen, Reason, Taken

CODECS = ("h264", "h264_reordered", "h265", "mjpeg")


def check(picture: Taken | Failed, size: tuple[int, int] = (320, 240)) -> Taken:
    """Check that it is a whole JPEG of that size, and a picture of the test source: many colours, no grey."""
    assert isinstance(picture, Taken), picture
    assert (picture.width, picture.height) == size
    info = jpeg.inspect(picture.data)
    assert (info.width, info.height) == size
    image = Image.open(io.BytesIO(picture.data)).convert("RGB")
    image.load()
    assert len(image.quantize(16).getcolors() or ()) == 16
    extrema: Any = image.getextrema()
    assert max(high - low for low, high in extrema) > 150
    return picture


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest, server_kind: str) -> str:
    if server_kind == "embedded" and request.param == "mjpeg":
        pytest.skip("the embedded server takes H.264 and H.265 only")
    return str(request.param)


async def test_both_readers_take_pictures_no_older_than_asked(worker: Any, publish: Any, codec: str) -> None:
    async with publish(codec) as url:
        once = check(await worker.take_once(url, max_age_s=0.0))
        assert isinstance(await worker.open(1, url), ReaderOpen)
        first = check(await worker.take(1))
        second = check(await worker.take(1, max_age_s=0.0))
        key = check(await worker.take(1, key_frame=True))
    assert once.captured_s < second.captured_s
    assert first.captured_s < second.captured_s <= key.captured_s


async def test_a_stream_of_another_size_and_a_path_without_a_stream(worker: Any, publish: Any) -> None:
    async with publish("h264", size="1280x720") as url:
        check(await worker.take_once(url), (1280, 720))
        failed = await worker.take_once(f"{url}/no_such_stream")
        assert (failed.reason, failed.suggestion) == (Reason.NOT_LIVE, "Start the stream first.")
