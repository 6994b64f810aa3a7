"""Drivers of sensors that need an image processor, as a table of data: their cameras are those of libcamera."""

from dataclasses import dataclass
from enum import StrEnum

from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.raw_formats import RAW_FORMATS

__all__ = (
    "LIBCAMERA_PLUGIN",
    "SENSOR_DRIVERS",
    "DriverPart",
    "SensorDriver",
    "is_bare_sensor",
    "is_processor",
)

#: Plugin that serves these cameras.
LIBCAMERA_PLUGIN = "libcamera_source"


class DriverPart(StrEnum):
    """Part of a camera that a driver is: `RECEIVER` delivers a sensor's values, `PROCESSOR` makes pictures of those in memory."""

    RECEIVER = "receiver"
    PROCESSOR = "processor"


@dataclass(frozen=True, slots=True)
class SensorDriver:
    """Driver by the name in `v4l2_capability`; `source` is the document that names it."""

    name: str
    part: DriverPart
    hardware: str
    source: str


def _receiver(name: str, hardware: str, source: str) -> SensorDriver:
    return SensorDriver(name, DriverPart.RECEIVER, hardware, source)


def _processor(name: str, hardware: str, source: str) -> SensorDriver:
    return SensorDriver(name, DriverPart.PROCESSOR, hardware, source)


_SIMPLE = "libcamera 0.7.2: src/libcamera/pipeline/simple/simple.cpp"
#: None of this hardware is in the virtual machine: all rows are from documentation only.
SENSOR_DRIVERS = (
    _receiver(
        "unicam",
        "Raspberry Pi Zero to 4",
        "Linux: drivers/media/platform/broadcom/bcm2835-unicam.c; libcamera 0.7.2: src/libcamera/pipeline/rpi/vc4/vc4.cpp",
    ),
    _processor(
        "bcm2835-isp",
        "Raspberry Pi Zero to 4",
        "Raspberry Pi's Linux: drivers/staging/vc04_services/bcm2835-isp; libcamera 0.7.2: rpi/vc4/vc4.cpp",
    ),
    _receiver(
        "rp1-cfe",
        "Raspberry Pi 5",
        "Linux: drivers/media/platform/raspberrypi/rp1-cfe/cfe.c; libcamera 0.7.2: rpi/pisp/pisp.cpp",
    ),
    _processor(
        "pispbe",
        "Raspberry Pi 5",
        "Linux: drivers/media/platform/raspberrypi/pisp_be/pisp_be.c; libcamera 0.7.2: rpi/pisp/pisp.cpp",
    ),
    _receiver("rkisp1", "Rockchip RK3399, i.MX8MP", "libcamera 0.7.2: src/libcamera/pipeline/rkisp1/rkisp1.cpp"),
    _receiver("rkcif", "Rockchip", "Linux: drivers/media/platform/rockchip/rkcif"),
    _receiver("ipu3-cio2", "Intel IPU3", "libcamera 0.7.2: src/libcamera/pipeline/ipu3/ipu3.cpp"),
    _processor("ipu3-imgu", "Intel IPU3", "libcamera 0.7.2: src/libcamera/pipeline/ipu3/ipu3.cpp"),
    _receiver("isys", "Intel IPU6", "Linux: drivers/media/pci/intel/ipu6/ipu6-isys-video.c"),
    _receiver("sun6i-csi", "Allwinner", _SIMPLE),
    _receiver("imx7-csi", "NXP i.MX7, i.MX8MM", _SIMPLE),
    _receiver("mxc-isi", "NXP i.MX8", "libcamera 0.7.2: src/libcamera/pipeline/imx8-isi/imx8-isi.cpp"),
    _receiver("qcom-camss", "Qualcomm", _SIMPLE),
    _receiver("mtk-seninf", "MediaTek", _SIMPLE),
    _receiver("j721e-csi2rx", "Texas Instruments", _SIMPLE),
    _receiver("dcmipp", "STM32MP", _SIMPLE),
    _receiver("mali-c55", "Arm Mali-C55", "libcamera 0.7.2: src/libcamera/pipeline/mali-c55/mali-c55.cpp"),
    _receiver("rzg2l_cru", "Renesas RZ/G2L", "libcamera 0.7.2: src/libcamera/pipeline/mali-c55/mali-c55.cpp"),
)  # fmt: skip


def is_processor(driver: str) -> bool:
    """Return whether the nodes of a driver are those of an image processor, which are never cameras."""
    return any(each.name == driver and each.part is DriverPart.PROCESSOR for each in SENSOR_DRIVERS)


def is_bare_sensor(found: Capabilities) -> bool:
    """Return whether a device delivers only values of a sensor that need an image processor.

    A receiver with a bridge, or with a sensor that processes its values itself, offers other formats.
    """
    if not any(each.name == found.driver for each in SENSOR_DRIVERS):
        return False
    raws = [RAW_FORMATS.get(each.code) for each in found.formats]
    return all(raw is not None and raw.is_sensors for raw in raws)
