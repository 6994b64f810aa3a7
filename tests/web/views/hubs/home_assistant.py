"""Read a still and a stream as Home Assistant's MJPEG camera does; run in an environment of its own.

home_assistant.py MJPEG_URL STILL_URL PASSWORD

A still comes from the stream by `requests`, up to the first end marker of a JPEG, or from the still's address by aiohttp; the stream is
passed on by aiohttp with its own `Content-Type`. Both authenticate by Basic.
"""

import asyncio
import sys

import aiohttp
import requests

stream_url, still_url, password = sys.argv[1:]


def still_from_stream() -> bytes:
    with requests.get(
        stream_url, auth=requests.auth.HTTPBasicAuth("ha", password), stream=True, timeout=10
    ) as response:
        response.raise_for_status()
        data = bytearray()
        for chunk in response.iter_content(102_400):
            data += chunk
            end, start = data.find(b"\xff\xd9"), data.find(b"\xff\xd8")
            if start != -1 and end != -1:
                return bytes(data[start : end + 2])
    raise SystemExit("no picture in the stream")


async def by_aiohttp() -> tuple[bytes, str, int]:
    auth = aiohttp.BasicAuth("ha", password)
    async with aiohttp.ClientSession() as session:
        async with session.get(still_url, auth=auth) as response:
            still = await response.read()
        async with session.get(stream_url, auth=auth) as response:
            kind, passed_on = response.headers["content-type"], 0
            async for chunk in response.content.iter_chunked(1 << 14):
                passed_on += chunk.count(b"Content-Length")
                if passed_on >= 5:
                    return still, kind, passed_on
    raise SystemExit("the stream has ended")


still, kind, _ = asyncio.run(by_aiohttp())
sys.stdout.write(f"{still_from_stream().hex()} {still.hex()} {kind.partition(';')[0]}\n")
