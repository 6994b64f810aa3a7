"""Program that scans a camera's recordings for the index: ROOT CAMERA."""

import sys
from pathlib import Path

from agent_core.media.index.scan import print_scan
from agent_core.recordings.shelf import RecordingShelf

if __name__ == "__main__":
    print_scan(RecordingShelf(Path(sys.argv[1])), sys.argv[2])
