"""H.264 encoders of FFmpeg, with the options of each kind of hardware as data.

No machine of this project has such hardware. The table is from documentation only: `source` names it, and a test
compares the options with those that FFmpeg itself lists.
"""

from dataclasses import dataclass

__all__ = ("HARDWARE", "SOFTWARE", "Encoder", "encoder_named")


@dataclass(frozen=True, slots=True)
class Encoder:
    """Options that one encoder needs for a live stream.

    Attributes:
        name: FFmpeg's name.
        hardware: devices that have it, for the documentation; empty for an encoder without a row in the table.
        device: device that FFmpeg opens by default; None if the encoder finds it by itself.
        device_option: option, before the input, that names the device.
        filters: filters after those of every stream; they bring the picture to the device.
        pixel_format: pixel format in memory; None if `filters` set it.
        options: options of the encoder itself.
        hint: next step for an operator if the encoder does not work; clients see it, so it names no device's path.
        source: origin of the options.
    """

    name: str
    hardware: str = ""
    device: str | None = None
    device_option: str = ""
    filters: str = ""
    pixel_format: str | None = "yuv420p"
    options: tuple[str, ...] = ()
    hint: str = (
        "Choose an encoder that `ffmpeg -encoders` lists, or remove `encoder` from plugins.ffmpeg_tier."
    )
    source: str = ""


#: Encoder in software, used where the configured one does not work.
SOFTWARE = Encoder("libx264")

#: Encoders in hardware. B-frames are off and queues short, because each would delay the stream; NVENC makes a forced
#: key frame one to start from only with `-forced-idr`.
HARDWARE = (
    Encoder(
        "h264_v4l2m2m",
        hardware="V4L2 memory-to-memory: Raspberry Pi up to 4, NXP i.MX 8, Qualcomm",
        hint="Check that a video device is an encoder (`v4l2-ctl --list-devices`), and that the agent's user is in the group"
        " `video`.",
        source="FFmpeg, libavcodec/v4l2_m2m_enc.c",
    ),
    Encoder(
        "h264_vaapi",
        hardware="VAAPI: Intel and AMD graphics",
        device="/dev/dri/renderD128",
        device_option="-vaapi_device",
        filters="format=nv12,hwupload",
        pixel_format=None,
        options=("-bf", "0", "-async_depth", "1"),
        hint="Install the graphics driver's VAAPI part, add the agent's user to the group `render`, and check `encoder_device`"
        " with `vainfo`.",
        source="FFmpeg documentation, ffmpeg-codecs: VAAPI encoders",
    ),
    Encoder(
        "h264_nvenc",
        hardware="NVENC: NVIDIA graphics",
        options=(
            *("-preset", "p4", "-tune", "ll", "-zerolatency", "1"),
            *("-delay", "0", "-bf", "0", "-forced-idr", "1"),
        ),
        hint="Install NVIDIA's driver with libcuda and libnvidia-encode; consumer cards limit the number of streams.",
        source="FFmpeg, libavcodec/nvenc_h264.c",
    ),
    Encoder(
        "h264_rkmpp",
        hardware="Rockchip MPP: RK3568, RK3588",
        pixel_format="nv12",
        hint="Use an FFmpeg built with rkmpp (8.1, or ffmpeg-rockchip), and let the agent's user open the devices mpp_service"
        " and dma_heap.",
        source="ffmpeg-rockchip, wiki: Encoder; FFmpeg 8.1, libavcodec/rkmppenc.c",
    ),
)


def encoder_named(name: str) -> Encoder:
    """Return the encoder with its options; one that no table has is used with a bit rate only."""
    known = (SOFTWARE, *HARDWARE)
    return next((each for each in known if each.name == name), Encoder(name))
