"""The FFmpeg arguments of one camera, as data."""

from virtual_camera import marks
from virtual_camera.settings import CameraSettings

__all__ = ("arguments",)

#: Formats that FFmpeg reads as one still (its image2 demuxer); everything else is taken for a video.
_IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

#: The time base is microseconds, because an encoder refuses two frames of one time and a burst may draw two in one
#: millisecond. The container rounds to the nearest millisecond: with half of one taken off it never says a later
#: time than the true one. The 3 keeps the rounding clear of ties, so that strip and container always agree.
_DRAWN_NOW = "settb=1/1000000,setpts=floor((time(0)*1000000-500)/10)*10+3"


def _input(camera: CameraSettings) -> tuple[str, ...]:
    size = f"{camera.width}x{camera.height}"
    if camera.file is None:
        return ("-re", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={camera.fps}")
    # Without reinit_filter=0 a change of parameters inside the file would start the filters, and the counter, anew.
    name = ("-reinit_filter", "0", "-i", f"file:{camera.file}")
    if camera.file.suffix.lower() in _IMAGES:
        rate = ("-framerate", str(camera.fps))
        return ("-re", "-f", "image2", "-pattern_type", "none", "-loop", "1", *rate, *name)
    return ("-stream_loop", "-1", "-re", *name)


def _filters(camera: CameraSettings, first_counter: int) -> str:
    size = f"{camera.width}:{camera.height}"
    prepare = "" if camera.file is None else f"fps={camera.fps},scale={size},setsar=1,"
    draw = marks.drawing(camera.width, camera.height, first_counter)
    return f"{prepare}format={camera.pixel_format},{_DRAWN_NOW},{draw}"


def arguments(camera: CameraSettings, first_counter: int) -> tuple[str, ...]:
    """Return FFmpeg's arguments to write the camera's pictures, with the time of each, to standard output.

    The container is SMJPEG: the only one for MJPEG that writes each frame at once with a time of its own.
    One thread: the encoder's frame threads would hold pictures back.
    """
    return (
        *("-filter_threads", "1"),
        *_input(camera),
        *("-map", "0:v:0", "-vf", _filters(camera, first_counter)),
        *("-fps_mode", "passthrough", "-enc_time_base", "1/1000000"),
        *("-c:v", "mjpeg", "-threads", "1", "-q:v", "3"),
        *("-flush_packets", "1", "-f", "smjpeg", "pipe:1"),
    )
