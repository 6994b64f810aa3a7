"""Bridge in the machine between its serial lines and the program that plugs cameras in and runs commands as root.

    python3 tests/vm/installed/bridge.py SOCKET LINE...

Each line of /dev/virtio-ports is a connection of its own. Ends when one of them does.
"""

import os
import selectors
import socket
import sys
import time
from pathlib import Path

LINES = Path("/dev/virtio-ports")
CHUNK_BYTES = 1 << 16


def connected(path: str) -> socket.socket:
    """Connect to the program, which may just be starting."""
    while True:
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.connect(path)
        except OSError:
            stream.close()
            time.sleep(0.1)
        else:
            return stream


def main(path: str, names: list[str]) -> None:
    selector = selectors.DefaultSelector()
    for name in names:
        stream, line = connected(path).detach(), os.open(LINES / name, os.O_RDWR)
        selector.register(stream, selectors.EVENT_READ, line)
        selector.register(line, selectors.EVENT_READ, stream)
    while True:
        for key, _ in selector.select():
            data = os.read(key.fd, CHUNK_BYTES)
            if not data:
                return
            while data:
                data = data[os.write(key.data, data) :]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
