"""Viewers of one MJPEG address, in a process of their own: they count pictures and measure their age.

python -m bench.live_viewers HOST PORT PATH VIEWERS SECONDS [HEADER]; prints one line of JSON.
"""

import json
import selectors
import socket
import sys
import time

#: Where the time of exposure is in a picture, and its digits: `bench.live.a_picture`.
MARK, DIGITS = b"\xff\xd8\xff\xfe\x00\x16", 20


class Viewer:
    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.socket = socket.create_connection(address)
        self.socket.sendall(request)
        self.socket.settimeout(0)
        self.pictures = 0
        self.ages_s: list[float] = []

    def read(self, buffer: bytearray) -> bool:
        """Read what there is; return False at the end. The first bytes of a picture tell its age at their arrival."""
        size = self.socket.recv_into(buffer)
        at = buffer.find(MARK, 0, size)
        while at >= 0:
            self.pictures += 1
            digits = bytes(buffer[at + len(MARK) : min(at + len(MARK) + DIGITS, size)])
            if len(digits) == DIGITS and digits.isdigit():
                self.ages_s.append(time.monotonic() - int(digits) / 1e9)
            at = buffer.find(MARK, at + 1, size)
        return size > 0


def watch(viewers: list[Viewer], seconds: float) -> None:
    buffer = bytearray(1 << 20)
    with selectors.DefaultSelector() as selector:
        for each in viewers:
            selector.register(each.socket, selectors.EVENT_READ, each)
        end_s = time.monotonic() + seconds
        while (rest_s := end_s - time.monotonic()) > 0:
            for key, _ in selector.select(rest_s):
                if not key.data.read(buffer):
                    raise SystemExit("the server has ended a view")


def main() -> None:
    host, port, path, count, seconds, *headers = sys.argv[1:]
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]
    viewers = [Viewer((host, int(port)), "\r\n".join(lines).encode()) for _ in range(int(count))]
    watch(viewers, 1.0)  # until all have begun
    for each in viewers:
        each.pictures, each.ages_s = 0, []
    watch(viewers, float(seconds))
    rates = sorted(each.pictures / float(seconds) for each in viewers)
    ages_s = sorted(age for each in viewers for age in each.ages_s)
    json.dump(
        {"rates": rates, "ages_s": [ages_s[len(ages_s) // 2], ages_s[len(ages_s) * 95 // 100]]}, sys.stdout
    )


if __name__ == "__main__":
    main()
