"""Cost of checking, repairing and measuring a camera's JPEGs, and of waiting for its exposure, each as a ratio.

Times of work are compared with one full decoding of the same picture by libjpeg-turbo, which a client that shows it
needs at least. Waits are those of `ExposureSettling` for pictures at 30 per second, compared with a fixed second.

python -m bench.pictures
"""

import io
import itertools
import random
import time
from collections.abc import Callable

import simplejpeg
from PIL import Image

from agent_core.plugin import SettledBy, jpeg
from agent_core.plugin.frames import Brightness, ExposureSettling, measure
from v4l2_tier.capture.jpegs import is_complete

SIZES = ((640, 480), (1280, 720), (1920, 1080))
ROUNDS = 40
FPS = 30
FIXED_S = 1.0


def picture(width: int, height: int) -> bytes:
    noise = random.Random(width).randbytes(3 * (width // 4) * (height // 4))  # noqa: S311 - the same each time
    output = io.BytesIO()
    image = Image.frombytes("RGB", (width // 4, height // 4), noise).resize((width, height))
    image.save(output, "JPEG", quality=80, subsampling="4:2:2")
    return output.getvalue()


def shortest_ms(work: Callable[[], object]) -> float:
    """Return the shortest of many runs: disturbances only add to it."""
    best = float("inf")
    for _ in range(ROUNDS):
        started_s = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started_s)
    return best * 1000


def work_on_pictures() -> None:
    for width, height in SIZES:
        data = picture(width, height)
        open_end, with_tail = data[:-2], data + random.Random(1).randbytes(20_000)  # noqa: S311
        decoded_ms = shortest_ms(lambda data=data: simplejpeg.decode_jpeg(data))  # type: ignore[misc]
        print(f"{width}x{height}, {len(data) // 1000} kB: decoded in {decoded_ms:.2f} ms")
        steps: dict[str, Callable[[], object]] = {
            "well-formed, each frame": lambda data=data: jpeg.mend(data),  # type: ignore[misc]
            "with a tail, each frame": lambda data=with_tail: jpeg.mend(data),  # type: ignore[misc]
            "without an end marker, each frame": lambda data=open_end: jpeg.mend(data, is_complete),  # type: ignore[misc]
            "brightness, while the exposure settles": lambda data=data: measure(data),  # type: ignore[misc]
        }
        for name, step in steps.items():
            took_ms = shortest_ms(step)
            print(f"  {took_ms:7.3f} ms  {took_ms / decoded_ms:6.3f} of decoding  {name}")


def wait(settling: ExposureSettling, look: Callable[[float], Brightness]) -> tuple[float, SettledBy]:
    settling.start()
    for number in itertools.count():
        settling.note(number / FPS, look(number / FPS))
        if settling.settlement is not None:
            return settling.settlement.after_s, settling.settlement.by
    raise AssertionError


def scene(mean: float) -> Brightness:
    return Brightness(mean, max(0, int(mean) - 60), min(255, int(mean) + 60))


def waits() -> None:
    black = Brightness(4, 2, 12)
    settling = ExposureSettling()
    print(f"waits after the first picture, compared with a fixed {FIXED_S:g} s")
    for name, look in {
        "right from the beginning": lambda _: scene(110),
        "the same camera, started again": lambda _: scene(110),
        "black for 0.67 s, then right": lambda at_s: black if at_s < 0.67 else scene(140),
        "overexposed, right after 1.5 s": lambda at_s: scene(max(220 - 80 * at_s, 100)),
        "dim scene": lambda _: scene(40),
        "dark room": lambda _: black,
    }.items():
        after_s, by = wait(settling, look)
        print(f"  {after_s:5.2f} s  {after_s / FIXED_S:5.2f}  {by.value:10}  {name}")


if __name__ == "__main__":
    work_on_pictures()
    waits()
