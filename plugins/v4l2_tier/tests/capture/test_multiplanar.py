"""Multi-planar drivers, with one plane of memory and with several: probe, agreement on the format, and buffers."""

import errno
import io
import mmap
import os
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest
from linuxpy.video import raw
from PIL import Image

from v4l2_tier.capture.encode import encode
from v4l2_tier.device.buffers import StreamBuffers
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.modes import ChosenMode, choose
from v4l2_tier.device.picture_format import PictureLayout, agree_on_format, agree_on_interval
from v4l2_tier.device.planarity import Planarity, code_of, number_of
from v4l2_tier.device.probe import NoCamera, probe_by
from v4l2_tier.device.raw_formats import RAW_FORMATS, RawLayout
from v4l2_tier.settings import CaptureSettings

SINGLE_FLAGS, MULTI_FLAGS = 0x04000001, 0x04001000
WIDTH, HEIGHT = 64, 32
#: What each plane of memory has at the end of its lines, behind its last line, and before its first.
LINE_PADDING, TAIL, OFFSET = 32, 100, 128
PATTERN = 77


def refused(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@dataclass
class Driver:
    """Driver of either interface with its buffers; it answers only calls with that interface's number."""

    planarity: Planarity = Planarity.MULTI
    codes: tuple[str, ...] = ("NM12",)
    code: str = "NM12"
    size: tuple[int, int] = (WIDTH, HEIGHT)
    #: Bytes before each plane's data, which `bytesused` counts.
    data_offset: int = 0
    grants: int | None = None
    maps: list[tuple[mmap.mmap, ...]] = field(default_factory=list)
    queued: deque[int] = field(default_factory=deque)
    calls: list[str] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)

    def __call__(self, request: int, argument: object, /) -> object:
        name = raw.IOC(request).name
        self.calls.append(name)
        answer = getattr(self, name.lower(), None)
        if answer is None or name in self.faults:
            raise refused(self.faults.get(name, errno.ENOTTY))
        answer(argument)
        return argument

    def check(self, number: int) -> None:
        if number != self.planarity.value:
            raise refused(errno.EINVAL)

    @property
    def layout(self) -> RawLayout:
        """Layout with the padding of this driver."""
        return padded(self.code, self.size)

    def planes(self) -> list[int]:
        """Return the length of each plane's memory."""
        if self.layout.format.separate:
            return [plane.size_bytes + TAIL + self.data_offset for plane in self.layout.planes]
        return [self.layout.size_bytes + TAIL + self.data_offset]

    def querycap(self, told: raw.v4l2_capability) -> None:
        told.driver, told.card, told.bus_info = b"sim", b"Sim ISP", b"platform:isp"
        told.capabilities = MULTI_FLAGS if self.planarity is Planarity.MULTI else SINGLE_FLAGS

    def enuminput(self, entry: raw.v4l2_input) -> None:
        if entry.index:
            raise refused(errno.EINVAL)

    def enum_fmt(self, entry: raw.v4l2_fmtdesc) -> None:
        self.check(entry.type)
        if entry.index >= len(self.codes):
            raise refused(errno.EINVAL)
        entry.pixelformat = number_of(self.codes[entry.index])

    def g_fmt(self, found: raw.v4l2_format) -> None:
        self.check(found.type)
        pix = found.fmt.pix_mp if self.planarity is Planarity.MULTI else found.fmt.pix
        pix.pixelformat, (pix.width, pix.height), pix.field = number_of(self.code), self.size, 1
        pix.quantization, pix.m1.ycbcr_enc = 1, 1
        if self.planarity is Planarity.SINGLE:
            pix.bytesperline = self.layout.bytes_per_line
            return
        pix.num_planes = len(self.planes())
        for number, line in enumerate((self.layout.bytes_per_line, *self.layout.more_lines)):
            pix.plane_fmt[number].bytesperline = line

    def try_fmt(self, wanted: raw.v4l2_format) -> None:
        self.check(wanted.type)
        pix = wanted.fmt.pix_mp if self.planarity is Planarity.MULTI else wanted.fmt.pix
        code, self.code = self.code, code_of(pix.pixelformat)
        size, self.size = self.size, (min(pix.width, WIDTH), min(pix.height, HEIGHT))
        self.g_fmt(wanted)
        self.code, self.size = code, size

    def s_fmt(self, wanted: raw.v4l2_format) -> None:
        pix = wanted.fmt.pix_mp if self.planarity is Planarity.MULTI else wanted.fmt.pix
        self.try_fmt(wanted)
        self.code, self.size = code_of(pix.pixelformat), (pix.width, pix.height)

    def g_parm(self, told: raw.v4l2_streamparm) -> None:
        self.check(told.type)
        told.parm.capture.capability = 0x1000
        told.parm.capture.timeperframe.numerator, told.parm.capture.timeperframe.denominator = 1, 15

    def s_parm(self, told: raw.v4l2_streamparm) -> None:
        self.check(told.type)

    def reqbufs(self, request: raw.v4l2_requestbuffers) -> None:
        self.check(request.type)
        request.count = min(request.count, 3 if self.grants is None else self.grants)
        self.maps = [tuple(mmap.mmap(-1, length) for length in self.planes()) for _ in range(request.count)]
        self.queued.clear()

    def querybuf(self, buffer: raw.v4l2_buffer) -> None:
        self.check(buffer.type)
        if self.planarity is Planarity.SINGLE:
            buffer.length, buffer.m.offset = self.planes()[0], buffer.index * 100
            return
        assert buffer.length >= len(self.planes())
        buffer.length = len(self.planes())
        for number, length in enumerate(self.planes()):
            buffer.m.planes[number].length = length
            buffer.m.planes[number].m.mem_offset = buffer.index * 100 + number

    def map_memory(self, length: int, offset: int) -> mmap.mmap:
        memory = self.maps[offset // 100][offset % 100]
        assert len(memory) == length
        return memory

    def qbuf(self, buffer: raw.v4l2_buffer) -> None:
        self.check(buffer.type)
        if self.planarity is Planarity.MULTI and buffer.length < len(self.planes()):
            raise refused(errno.EINVAL)
        self.queued.append(buffer.index)

    def streamon(self, number: object) -> None:
        self.check(number.value)  # type: ignore[attr-defined] # an integer of ctypes

    streamoff = streamon

    def dqbuf(self, buffer: raw.v4l2_buffer) -> None:
        self.check(buffer.type)
        if not self.queued:
            raise BlockingIOError(errno.EAGAIN, "none")
        buffer.index = self.queued.popleft()
        buffer.sequence, buffer.timestamp.secs = 7, 3
        if self.planarity is Planarity.SINGLE:
            buffer.bytesused = self.planes()[0]
            return
        for number, length in enumerate(self.planes()):
            buffer.m.planes[number].bytesused = length
            buffer.m.planes[number].data_offset = self.data_offset

    def expose(self, index: int, planes: list[bytes]) -> None:
        """Write a frame into a buffer's memory."""
        for memory, data in zip(self.maps[index], planes, strict=True):
            memory[:] = bytes([PATTERN]) * len(memory)
            memory[self.data_offset : self.data_offset + len(data)] = data


def padded(code: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> RawLayout:
    if code not in RAW_FORMATS:
        return RawLayout("GREY", *size, 0)
    lines = [plane.line_bytes + LINE_PADDING for plane in RawLayout(code, *size, 0).planes]
    more = tuple(lines[1:]) if RAW_FORMATS[code].separate else ()
    return RawLayout(code, *size, lines[0], encoding=1, quantization=1, more_lines=more)


def frame(code: str) -> tuple[list[bytes], bytes]:
    """Return a frame's planes of memory with padding, and the same frame without."""
    random = np.random.default_rng(5)
    tight, wide = RawLayout(code, WIDTH, HEIGHT, 0), padded(code)
    parts = [
        random.integers(0, 256, (plane.lines, plane.line_bytes), dtype=np.uint8) for plane in tight.planes
    ]
    memory = [
        np.pad(part, ((0, 0), (0, plane.line_bytes - part.shape[1])), constant_values=PATTERN).tobytes()
        for part, plane in zip(parts, wide.planes, strict=True)
    ]
    joined = memory if RAW_FORMATS[code].separate else [b"".join(memory)]
    return joined, b"".join(part.tobytes() for part in parts)


def agreed(driver: Driver) -> PictureLayout:
    mode = ChosenMode(driver.codes[0], WIDTH, HEIGHT, Fraction(1, 30))
    return agree_on_format(driver, mode, driver.planarity)


SEPARATE = tuple(code for code, each in RAW_FORMATS.items() if each.separate)
BOTH = [(Planarity.MULTI, code) for code in (*SEPARATE, "NV12", "YUYV", "RGGB", "Y16", "YU12", "NV24")]
BOTH += [(Planarity.SINGLE, code) for code in ("NV12", "YUYV", "Y16", "YU12", "NV24")]


@pytest.mark.parametrize("data_offset", [0, OFFSET])
@pytest.mark.parametrize(("planarity", "code"), BOTH)
def test_a_frame_comes_out_of_padded_memory(planarity: Planarity, code: str, data_offset: int) -> None:
    if planarity is Planarity.SINGLE and data_offset:
        pytest.skip("only planes have an offset")
    driver = Driver(planarity, (code,), code, data_offset=data_offset)
    layout = agreed(driver).raw
    assert layout == padded(code)
    buffers = StreamBuffers(driver, planarity, driver.map_memory)
    buffers.request(4, layout)
    assert len(buffers) == 3  # as the driver grants
    for index in range(3):
        buffers.give_back(index)
    buffers.start()
    memory, plain = frame(code)
    driver.expose(0, memory)
    filled = buffers.take()
    assert (filled.index, filled.sequence, filled.stamp_s) == (0, 7, 3)
    data = buffers.copy(filled)
    assert len(data) == filled.size_bytes >= layout.size_bytes
    tight = RawLayout(code, WIDTH, HEIGHT, 0, encoding=1, quantization=1)
    assert encode(data, layout, 90) == encode(plain, tight, 90)
    buffers.stop()
    buffers.close()
    buffers.free()
    assert driver.maps == []


def test_a_plane_that_is_cut_short_makes_the_frame_short() -> None:
    driver = Driver()
    buffers = StreamBuffers(driver, Planarity.MULTI, driver.map_memory)
    layout = agreed(driver).raw
    buffers.request(1, layout)
    buffers.give_back(0)
    whole = driver.planes
    driver.planes = lambda: [whole()[0], 10]  # type: ignore[method-assign] # of this simulation
    assert buffers.take().size_bytes < layout.size_bytes
    buffers.close()


def test_pictures_of_compressed_formats_are_as_long_as_the_driver_says() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT)).save(stream, "JPEG")
    driver = Driver(codes=("MJPG",), code="MJPG")
    driver.planes = lambda: [len(stream.getvalue())]  # type: ignore[method-assign] # of this simulation
    layout = agreed(driver)
    assert layout.code == "MJPG"
    buffers = StreamBuffers(driver, Planarity.MULTI, driver.map_memory)
    buffers.request(1, layout.raw)
    buffers.give_back(0)
    driver.expose(0, [stream.getvalue()])
    assert buffers.copy(buffers.take()) == stream.getvalue()
    buffers.close()


def test_none_is_ready_and_none_is_granted() -> None:
    driver = Driver(grants=0)
    buffers = StreamBuffers(driver, Planarity.MULTI, driver.map_memory)
    with pytest.raises(BlockingIOError):
        buffers.take()
    with pytest.raises(OSError, match="no buffer"):
        buffers.request(4, agreed(driver).raw)
    assert len(buffers) == 0


def test_a_buffer_that_cannot_be_mapped_is_freed_all_the_same() -> None:
    driver = Driver(faults={"QUERYBUF": errno.EIO})
    buffers = StreamBuffers(driver, Planarity.MULTI, driver.map_memory)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        buffers.request(4, agreed(driver).raw)
    assert len(buffers) > 0  # so that the owner frees them
    buffers.close()


def test_a_multi_planar_node_is_a_camera_with_its_formats() -> None:
    driver = Driver(codes=("H264", "NM12", "YUYV", "Y16 -BE"))
    found = probe_by(driver)
    assert isinstance(found, Capabilities)
    assert found.planarity is Planarity.MULTI
    assert [each.code for each in found.formats] == ["H264", "NM12", "YUYV", "Y16 -BE"]
    assert {(each.width.maximum, each.height.maximum) for each in found.formats[1].sizes} == {(WIDTH, HEIGHT)}
    assert choose(found, CaptureSettings()).pixel_format == "YUYV"
    assert choose(found, CaptureSettings(pixel_format="NM12")).pixel_format == "NM12"


def test_a_node_with_both_interfaces_is_used_by_the_single_planar_one() -> None:
    driver = Driver(Planarity.SINGLE, ("NV12",), "NV12")
    driver.querycap = lambda told: setattr(told, "capabilities", SINGLE_FLAGS | MULTI_FLAGS)  # type: ignore[method-assign]
    found = probe_by(driver)
    assert isinstance(found, Capabilities)
    assert found.planarity is Planarity.SINGLE


@pytest.mark.parametrize(
    "flags", [MULTI_FLAGS | 0x4000, MULTI_FLAGS | 0x2000, 0x04002000, MULTI_FLAGS | 0x20000000]
)
def test_codecs_outputs_and_media_controller_nodes_are_no_cameras(flags: int) -> None:
    driver = Driver()
    driver.querycap = lambda told: setattr(told, "capabilities", flags)  # type: ignore[method-assign]
    assert isinstance(probe_by(driver), NoCamera)


def test_the_rate_is_set_by_the_same_interface() -> None:
    assert agree_on_interval(Driver(), Fraction(1, 30), Planarity.MULTI)[1] == ()


@pytest.mark.parametrize("code", RAW_FORMATS)
def test_codes_and_numbers_belong_together(code: str) -> None:
    assert code_of(number_of(code)) == code


def test_the_numbers_are_those_of_the_kernel() -> None:
    """As far as linuxpy has them."""
    names = {
        "Y16": raw.PixelFormat.Y16,
        "Y16 -BE": raw.PixelFormat.Y16_BE,
        "NM12": raw.PixelFormat.NV12M,
        "YM21": raw.PixelFormat.YVU420M,
        "XR15-BE": raw.PixelFormat.XRGB555X,
        "RX24": raw.PixelFormat.BGRX32,
        "pgCC": raw.PixelFormat.SGRBG12P,
        "YUV3": raw.PixelFormat.YUV24,
    }
    assert {code: number_of(code) for code in names} == {code: int(each) for code, each in names.items()}
    known = {int(each) for each in raw.PixelFormat}
    assert not [code for code in RAW_FORMATS if number_of(code) not in known]
