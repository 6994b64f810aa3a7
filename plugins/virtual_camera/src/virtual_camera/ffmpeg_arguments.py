"""FFmpeg arguments of one camera, apart from `producer`: tests draw pictures with them without a broker."""

from agent_core.plugin import VideoCodec
from virtual_camera import marks
from virtual_camera.controls import Look
from virtual_camera.settings import CameraSettings

__all__ = ("arguments",)

_PLAIN = Look()
#: Formats that FFmpeg reads as one still (its image2 demuxer); every other format counts as a video.
_IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

#: The time base is microseconds, because an encoder refuses two frames with the same time, and a burst may draw two in
#: one millisecond. The container rounds to the nearest millisecond; half a millisecond is subtracted, so that it never
#: gives a time later than the true one. The 3 avoids ties in rounding, so that strip and container always agree.
_DRAWN_NOW = "settb=1/1000000,setpts=floor((time(0)*1000000-500)/10)*10+3"
#: Times after the drawing. An encoder ends at a time that is not later than the last one. After the wall clock was set
#: back by more than a second, a frame's time is a day ahead, which cannot be mistaken for a time of drawing.
_NEVER_BACK = (
    "setpts='if(isnan(PREV_OUTPTS)+gt(PTS,PREV_OUTPTS),PTS,"
    "max(PREV_OUTPTS+1000,PTS+86400000000*gt(PREV_OUTPTS-PTS,1000000)))'"
)

#: One thread, because frame threads would delay pictures.
_JPEGS = ("-c:v", "mjpeg", "-threads", "1", "-q:v", "3")
#: The only container for MJPEG that writes each frame at once and with a time.
_SMJPEG = ("-f", "smjpeg")
#: A container for both codecs with times, which writes each picture when the next one comes.
_MATROSKA = ("-f", "matroska", "-live", "1", "-cluster_time_limit", "1", "-cluster_size_limit", "1")


def _input(camera: CameraSettings) -> tuple[str, ...]:
    size = f"{camera.width}x{camera.height}"
    if camera.file is None:
        return ("-re", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={camera.fps}")
    # Without reinit_filter=0 a change of parameters inside the file would restart the filters, and so the counter.
    name = ("-reinit_filter", "0", "-i", f"file:{camera.file}")
    if camera.file.suffix.lower() in _IMAGES:
        rate = ("-framerate", str(camera.fps))
        return ("-re", "-f", "image2", "-pattern_type", "none", "-loop", "1", *rate, *name)
    return ("-stream_loop", "-1", "-re", *name)


def _filters(camera: CameraSettings, first_counter: int, look: Look) -> str:
    size = f"{camera.width}:{camera.height}"
    prepare = "" if camera.file is None else f"fps={camera.fps},scale={size},setsar=1,"
    draw = marks.drawing(camera.width, camera.height, first_counter)
    pixels = "yuv420p" if camera.is_coded else camera.pixel_format
    # The marks are drawn last, so that they stay readable with any look.
    return f"{prepare}format={pixels},{look.filter}{_DRAWN_NOW},{draw},{_NEVER_BACK}"


def arguments(camera: CameraSettings, first_counter: int, look: Look = _PLAIN) -> tuple[str, ...]:
    """Return FFmpeg's arguments to write the camera's pictures, with the time of each, to standard output."""
    return (
        *("-filter_threads", "1"),
        *_input(camera),
        *("-map", "0:v:0", "-vf", _filters(camera, first_counter, look)),
        *("-fps_mode", "passthrough", "-enc_time_base", "1/1000000"),
        *(_coded(camera) if camera.is_coded else _JPEGS),
        *("-flush_packets", "1"),
        *(_MATROSKA if camera.is_coded else _SMJPEG),
        "pipe:1",
    )


def _coded(camera: CameraSettings) -> tuple[str, ...]:
    """Return the options of an encoder that keeps no picture back, and repeats the parameter sets with key frames."""
    interval = max(round(camera.key_interval_s * camera.fps), 1)
    parameters = f"keyint={interval}:min-keyint={interval}:scenecut=0:bframes=0:repeat-headers=1"
    fast = ("-preset", "ultrafast", "-tune", "zerolatency")
    if camera.codec is VideoCodec.H264:
        return ("-c:v", "libx264", *fast, "-x264-params", parameters)
    return ("-c:v", "libx265", *fast, "-x265-params", f"{parameters}:log-level=error")
