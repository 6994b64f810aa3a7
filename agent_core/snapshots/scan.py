"""Program that scans a camera's snapshots for the index: ROOT CAMERA."""

import sys
from pathlib import Path

from agent_core.media.index.scan import print_scan
from agent_core.snapshots.shelf import SnapshotShelf

if __name__ == "__main__":
    print_scan(SnapshotShelf(Path(sys.argv[1])), sys.argv[2])
