"""Pattern `recordPath`: formatting and parsing of the names of files, as a MediaMTX whose time zone is UTC does."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

__all__ = ("RecordPath",)

_FIELDS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "f": 6}
_EXTENSIONS = {"fmp4": ".mp4", "mpegts": ".ts"}


@dataclass(frozen=True, slots=True)
class RecordPath:
    """Pattern of the files of the path `name`, or of any path if `name` is None."""

    pattern: str
    format: str
    name: str | None

    def file(self, start: datetime) -> Path:
        """Return the file of a segment that starts at `start`; the name has UTC, in which no hour comes twice."""
        utc = start.astimezone(UTC)
        text = self._text.replace("%path", self.name or "")
        for field in _FIELDS:
            if field != "f":
                text = text.replace(f"%{field}", utc.strftime(f"%{field}"))
        text = text.replace("%f", f"{utc.microsecond:06d}").replace("%s", str(int(utc.timestamp())))
        return Path(text.replace("%z", "Z"))

    @property
    def folder(self) -> Path:
        """Deepest folder that contains all files of the pattern."""
        fixed = []
        for part in self._text.replace("%path", self.name or "%path").split("/")[:-1]:
            if "%" in part:
                break
            fixed.append(part)
        return Path("/".join(fixed) or "/")

    def read(self, file: Path) -> tuple[str, datetime] | None:
        """Parse the name of a file into the path's name and the start; as in MediaMTX, extra text may follow.

        Returns None if the name does not match.
        """
        found = self._expression().match(str(file))
        start = _start(found) if found else None
        if found is None or start is None:
            return None
        return found.groupdict().get("path") or self.name or "", start

    @property
    def _text(self) -> str:
        return str(Path.cwd() / self.pattern) + _EXTENSIONS[self.format]

    def _expression(self) -> re.Pattern[str]:
        text = self._text
        if self.name is not None:
            text = text.replace("%path", self.name)
        text = re.escape(text).replace("%path", "(?P<path>.*?)", 1)
        for field, digits in _FIELDS.items():
            text = text.replace(f"%{field}", f"(?P<{field}>[0-9]{{{digits}}})", 1)
        text = text.replace("%s", "(?P<s>[0-9]{10})", 1)
        return re.compile(text.replace("%z", r"(?P<z>Z|[+-][0-9]{4})", 1))


def _start(found: re.Match[str]) -> datetime | None:
    try:
        return _moment({key: value for key, value in found.groupdict().items() if value})
    except (ValueError, OverflowError):  # no such day
        return None


def _moment(given: Mapping[str, str]) -> datetime:
    if "s" in given:
        moment = datetime.fromtimestamp(int(given["s"]), UTC)
        return moment + timedelta(microseconds=int(given.get("f", "0")))
    year, month, day, hour, minute, second, micro = (
        int(given.get(field, default))
        for field, default in zip("YmdHMSf", (1970, 1, 1, 0, 0, 0, 0), strict=True)
    )
    return datetime(year, month, day, hour, minute, second, micro, tzinfo=_zone(given.get("z", "Z")))


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
    return timezone(-offset if text[0] == "-" else offset)
