"""Paths and ports at which UAVs and cameras serve their streams. Data only; add a maker by adding lines.

Each path stands in the maker's own manual or in support pages that quote it. A path that several makers use stands once,
with the most common one. Paths that hold a user and password, such as Xiongmai's, are left out: a scan tries no accounts.
"""

import re
from dataclasses import dataclass

from external_discovery.discovery.kinds import StreamKind

__all__ = ("GENERIC", "SKYDIO", "CameraPath", "StreamProfile")


@dataclass(frozen=True, slots=True)
class CameraPath:
    """Path of a stream.

    Attributes:
        path: path and query of the main stream.
        name: what is behind it, for people.
        hint: pattern of the realm or server name of cameras that use this path. Cameras that ask for a password do so
            at any path, so their realm is the only sign of the right one. None: no such sign is known.
    """

    path: str
    name: str
    hint: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class StreamProfile:
    """Streams of one family of devices.

    Attributes:
        kind: how the streams are reported.
        ports: TCP ports, all tried at once.
        paths: paths, tried one after the other on each port that answers.
        all_paths: the device serves several of the paths at once, so all are tried; else the first stream is enough.
    """

    kind: StreamKind
    ports: tuple[int, ...]
    paths: tuple[CameraPath, ...]
    all_paths: bool = False


def _hint(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


#: Skydio's documentation of RTSP streaming: port 5554, one stream per camera of the vehicle.
SKYDIO = StreamProfile(
    kind=StreamKind.SKYDIO,
    ports=(5554,),
    paths=(CameraPath("/subject", "Skydio"), CameraPath("/infrared", "Skydio infrared")),
    all_paths=True,
)

#: 554 is RTSP's own port; 8554 is the one of servers that run without root's rights, such as MediaMTX and GStreamer's.
GENERIC = StreamProfile(
    kind=StreamKind.GENERIC,
    ports=(554, 8554),
    paths=(
        # First, so that cameras that describe a stream at any path, or ask for a password at any, are given no maker's name.
        CameraPath("/", "camera"),
        # Hikvision, "How to get the RTSP URL"; also HiLook, Annke, Ezviz. The realm is the device's name or "IP Camera(...)".
        CameraPath("/Streaming/Channels/101", "Hikvision", _hint(r"^(IP Camera\(|DS-)|Hikvision")),
        # Dahua's wiki, "RTSP via VLC"; also Amcrest, Lorex, Imou. The realm is "Login to" and the serial number.
        CameraPath("/cam/realmonitor?channel=1&subtype=0", "Dahua", _hint(r"^Login to|Dahua|Amcrest")),
        # Axis, "Video streaming API" (VAPIX). The realm is "AXIS_" and the serial number.
        CameraPath("/axis-media/media.amp", "Axis", _hint(r"^AXIS_")),
        # Reolink's support page on RTSP; h264Preview also serves H.265 since firmware 3.
        CameraPath("/h264Preview_01_main", "Reolink", _hint(r"Reolink|^BC Streaming Media")),
        # TP-Link's FAQ 2680 for Tapo and VIGI.
        CameraPath("/stream1", "TP-Link", _hint(r"TP-?Link|Tapo|VIGI")),
        # Uniview's FAQ on RTSP.
        CameraPath("/unicast/c1/s0/live", "Uniview", _hint(r"Uniview|^UNV")),
        # Hanwha's "RTSP guide"; Samsung's WiseNet series.
        CameraPath("/profile1/media.smp", "Hanwha", _hint(r"iPOLiS|Wisenet|Hanwha|Samsung")),
        # Bosch's "RTSP usage with Bosch cameras".
        CameraPath("/rtsp_tunnel?h26x=4&line=1&inst=1", "Bosch", _hint(r"Bosch|^VIP")),
        # Vivotek's user guides; also 4XEM, and many others that took the name over.
        CameraPath("/live.sdp", "Vivotek", _hint(r"Vivotek|^streaming_server")),
        # Foscam's FAQ on RTSP.
        CameraPath("/videoMain", "Foscam", _hint(r"Foscam")),
        # Sony's SNC user guides.
        CameraPath("/media/video1", "Sony", _hint(r"Sony|^SNC")),
        # Panasonic's i-PRO "Camera CGI command interface".
        CameraPath("/MediaInput/h264/stream_1", "Panasonic", _hint(r"Panasonic|i-PRO")),
        # Avigilon's web interface guide.
        CameraPath("/defaultPrimary?streamType=u", "Avigilon", _hint(r"Avigilon")),
        # Mobotix's "RTSP streaming" reference.
        CameraPath("/mobotix.h264", "Mobotix", _hint(r"Mobotix")),
        # Ubiquiti's help on RTSP of UniFi cameras without a recorder.
        CameraPath("/s0", "Ubiquiti", _hint(r"Ubiquiti|UniFi|UBNT")),
        # Cameras with a HiSilicon SDK sample: Zosi, Escam and others.
        CameraPath("/11", "HiSilicon", _hint(r"HiIpcam|Hipcam")),
        CameraPath("/live/ch00_0", "Tuya"),
        CameraPath("/onvif1", "Yoosee", _hint(r"Yoosee|^HIipCamera")),
        # DJI and Autel controllers, Parrot, and sample servers: GStreamer's test-launch, live555, MediaMTX's manuals.
        CameraPath("/streaming/live/1", "DJI", _hint(r"DJI")),
        CameraPath("/live", "live stream", _hint(r"Parrot")),
        CameraPath("/test", "test stream", _hint(r"GStreamer")),
        CameraPath("/cam", "camera"),
        CameraPath("/stream", "stream"),
        CameraPath("/mystream", "stream"),
        CameraPath("/unicast", "stream"),
        CameraPath("/live/0/MAIN", "Ruision"),
    ),
)
