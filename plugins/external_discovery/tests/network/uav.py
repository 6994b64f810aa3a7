"""Sender of an MPEG-TS with KLV, as of a drone: FILE URL; it repeats the file at its pace, with times that go on."""

import sys
import time
from itertools import count
from typing import Any

import av


def _send(path: str, url: str) -> None:
    began_s = time.monotonic()
    with av.open(url, "w", format="mpegts") as target:
        with av.open(path) as source:
            streams: dict[int, Any] = {
                each.index: target.add_stream_from_template(each) for each in source.streams.video
            }
            streams[source.streams.data[0].index] = target.add_data_stream("klv")
        for turn in count():
            _send_once(path, target, streams, began_s, turn)


def _send_once(path: str, target: Any, streams: dict[int, Any], began_s: float, turn: int) -> None:
    with av.open(path) as source:
        length_s = 4.0
        for packet in source.demux():
            if packet.dts is None or packet.time_base is None:
                continue
            first_s = float((source.start_time or 0) / av.time_base)
            at_s = float(packet.dts * packet.time_base) - first_s + turn * length_s
            packet.pts = packet.dts = round(at_s * 90_000) + 90_000
            packet.stream = streams[packet.stream_index]
            time.sleep(max(0.0, began_s + at_s - time.monotonic()))
            target.mux_one(packet)


if __name__ == "__main__":
    _send(*sys.argv[1:])
