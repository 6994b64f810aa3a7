"""Fragmented MP4 with one video track and sound (ISO/IEC 14496-12)."""

import struct
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from embedded_server.media.codecs import Codec
from embedded_server.media.container import Container
from embedded_server.media.g711 import linear
from embedded_server.media.mp4_boxes import box, full_box
from embedded_server.media.sample_entries import SampleEntry, sample_entry
from embedded_server.media.samples import Sample

__all__ = ("Fmp4",)

_MOVIE_TIMESCALE = 1000
_IDENTITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_SYNC_FLAGS = 0x0200_0000  # depends on no other sample
_OTHER_FLAGS = 0x0101_0000  # depends on others, is not a sync sample
_MVHD_DURATION_OFFSET = 4 + 4 + 12  # after the type: version and flags, two times, the timescale


class Fmp4(Container):
    holds = frozenset(("H264", "H265", "MPEG-4 Audio", "Opus", "G711"))

    def __init__(self, tracks: Mapping[int, Codec]) -> None:
        super().__init__(tracks)
        self._numbers = {index: number for number, index in enumerate(tracks, start=1)}
        self._sequence = 0
        self._duration_offset = 0

    def header(self, sample: Sample) -> bytes:
        self._start(sample)
        brands = struct.pack(">4sI4s4s4s", b"mp42", 1, b"mp41", b"mp42", b"isom")
        data = box(b"ftyp", brands) + self._moov(sample.sets)
        self._duration_offset = data.index(b"mvhd") + _MVHD_DURATION_OFFSET
        return data

    def correction(self, duration_s: float) -> tuple[int, bytes]:
        return self._duration_offset, struct.pack(
            ">I", min(round(duration_s * _MOVIE_TIMESCALE), 0xFFFF_FFFF)
        )

    def part(self, samples: Sequence[Sample]) -> bytes:
        self._sequence += 1
        runs = {index: [sample for sample in samples if sample.track == index] for index in self._tracks}
        runs = {index: run for index, run in runs.items() if run}
        media = {index: [self._stored(sample) for sample in run] for index, run in runs.items()}
        sizes = [sum(map(len, chunks)) for chunks in media.values()]
        moof = self._moof(runs, media, [0] * len(runs))
        starts = accumulate(sizes[:-1], initial=len(moof) + 8)
        moof = self._moof(runs, media, list(starts))
        return moof + box(b"mdat", *(chunk for chunks in media.values() for chunk in chunks))

    def _stored(self, sample: Sample) -> bytes:
        codec = self._tracks[sample.track]
        if codec.is_video:
            return b"".join(struct.pack(">I", len(nalu)) + nalu for nalu in sample.units)
        (data,) = sample.units
        return linear(data, mu_law=codec.is_mu_law) if codec.name == "G711" else data

    def _moof(
        self,
        runs: Mapping[int, Sequence[Sample]],
        media: Mapping[int, Sequence[bytes]],
        starts: Sequence[int],
    ) -> bytes:
        trafs = [
            self._traf(index, run, media[index], start)
            for (index, run), start in zip(runs.items(), starts, strict=True)
        ]
        return box(b"moof", full_box(b"mfhd", 0, 0, struct.pack(">I", self._sequence)), *trafs)

    def _traf(self, index: int, run: Sequence[Sample], media: Sequence[bytes], start: int) -> bytes:
        entries = b"".join(
            struct.pack(
                ">IIIi",
                duration,
                len(data),
                _SYNC_FLAGS if sample.key else _OTHER_FLAGS,
                sample.pts - sample.dts,
            )
            for sample, data, duration in zip(run, media, _durations(run), strict=True)
        )
        return box(
            b"traf",
            full_box(b"tfhd", 0, 0x020000, struct.pack(">I", self._numbers[index])),  # default-base-is-moof
            full_box(b"tfdt", 1, 0, struct.pack(">Q", self._ticks(run[0]))),
            # offset, duration, size, flags and composition time of each
            full_box(b"trun", 1, 0x000F01, struct.pack(">Ii", len(run), start), entries),
        )

    def _moov(self, sets: tuple[bytes, ...]) -> bytes:
        count = len(self._tracks)
        mvhd = struct.pack(">IIIIIHHII", 0, 0, _MOVIE_TIMESCALE, 0, 0x10000, 0x100, 0, 0, 0)
        mvhd += _IDENTITY + bytes(24) + struct.pack(">I", count + 1)
        traks = [
            _trak(number, codec, sample_entry(codec, sets))
            for number, codec in enumerate(self._tracks.values(), start=1)
        ]
        trexs = [
            full_box(b"trex", 0, 0, struct.pack(">IIIII", number, 1, 0, 0, 0))
            for number in range(1, count + 1)
        ]
        return box(b"moov", full_box(b"mvhd", 0, 0, mvhd), *traks, box(b"mvex", *trexs))


def _durations(run: Sequence[Sample]) -> list[int]:
    """Return the durations that lead from each sample to the next, also over a gap; the last one has its own.

    The field has 32 bits: a picture that stood for 13 hours is said to have stood for as long as fits. The next part has
    its own time.
    """
    steps = [max(0, after.dts - before.dts) for before, after in pairwise(run)]
    return [min(each, 0xFFFF_FFFF) for each in (*steps, run[-1].duration)]


def _trak(number: int, codec: Codec, entry: SampleEntry) -> bytes:
    tkhd = struct.pack(">IIIIIIIHHHH", 0, 0, number, 0, 0, 0, 0, 0, 0, 0 if codec.is_video else 0x0100, 0)
    tkhd += _IDENTITY + struct.pack(">II", entry.width << 16, entry.height << 16)
    empty = [full_box(kind, 0, 0, bytes(4)) for kind in (b"stts", b"stsc", b"stco")]
    stsz = full_box(b"stsz", 0, 0, bytes(8))
    stsd = full_box(b"stsd", 0, 0, struct.pack(">I", 1), entry.data)
    dref = full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1))
    if codec.is_video:
        head, handler = full_box(b"vmhd", 0, 1, bytes(8)), (b"vide", b"VideoHandler\0")
    else:
        head, handler = full_box(b"smhd", 0, 0, bytes(4)), (b"soun", b"SoundHandler\0")
    minf = box(b"minf", head, box(b"dinf", dref), box(b"stbl", stsd, *empty[:2], stsz, empty[2]))
    mdhd = full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, codec.clock_rate_hz, 0, 0x55C4, 0))
    hdlr = full_box(b"hdlr", 0, 0, bytes(4), handler[0], bytes(12), handler[1])
    return box(b"trak", full_box(b"tkhd", 0, 3, tkhd), box(b"mdia", mdhd, hdlr, minf))
