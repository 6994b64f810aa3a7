"""Recordings of the installed agent, judged in the machine by Debian's FFmpeg."""

from dataclasses import dataclass

from tests.vm.installed.box import Box

__all__ = ("Recording",)

FOLDER = "/var/lib/camera-agent/recordings/camera0"


@dataclass(frozen=True, slots=True)
class Recording:
    """Recording of camera0."""

    box: Box
    id: str

    @classmethod
    async def started(cls, box: Box) -> "Recording":
        """Start a recording; return once its first file has pictures."""
        recording = cls(box, (await box.run("camera-agent", "record", "start", "camera0")).strip())
        await recording.until_files(1)
        return recording

    async def files(self) -> list[str]:
        """Return the files with media, oldest first."""
        listed = await self.box.sh(f"find {FOLDER}/{self.id} -name '*.mp4' -size +8k | sort")
        return listed.split()

    async def until_files(self, count: int, *, least_bytes: int = 8 << 10) -> None:
        """Wait until there are so many files of such a size, by default with media."""
        found = f"find {FOLDER}/{self.id} -name '*.mp4' ! -size -{least_bytes}c"
        await self.box.until(f"test $({found} | wc -l) -ge {count}")

    async def until_played_s(self, length_s: float) -> None:
        """Wait until the newest file has a picture of that time."""
        await self.box.until(
            f"file=$(find {FOLDER}/{self.id} -name '*.mp4' | sort | tail -n 1); "
            f'last=$({_LAST_TIME} "$file" | tail -n 1); awk -v last="$last" \'BEGIN {{ exit last < {length_s} }}\''
        )

    async def played_s(self, file: str) -> float:
        """Decode the whole file, whose every error counts; return the time of its last picture."""
        await self.box.sh(f"ffmpeg -v error -xerror -i {file} -f null - 2>&1")
        return float((await self.box.sh(f"{_LAST_TIME} {file}")).split()[-1])


_LAST_TIME = "ffprobe -v error -select_streams v -show_entries packet=pts_time -of csv=p=0"
