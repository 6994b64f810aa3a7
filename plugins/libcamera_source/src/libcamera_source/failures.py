"""Explanations of the programs' failures, without paths of devices."""

import re
from typing import NamedTuple

from agent_core.plugin import CaptureFailed, DependencyFailed

__all__ = ("explain", "explain_silence", "incomplete", "no_video", "not_executed", "program_missing")


class _Explanation(NamedTuple):
    pattern: str
    reason: str
    details: str
    suggestion: str

    def error(self, detail: str = "") -> CaptureFailed:
        return CaptureFailed(self.details, reason=self.reason, suggestion=self.suggestion, detail=detail)


_REFUSED = _Explanation(
    # Without an allocation that fails, the line about providers of memory is harmless: not every camera needs one.
    r"any dma-?(?:buf provider|heap)[\s\S]*allocat|permission denied|EACCES",
    "permission_denied",
    "The agent may not open the camera's devices.",
    "Give the agent's user access to them: the group video, and by a rule of udev the devices media*, dma_heap and udmabuf.",
)
#: libcamera's line at a start without a device that provides memory. GStreamer waits forever then, if the camera needs one.
_NO_MEMORY_DEVICE = re.compile(r"could not open any dma-?(?:buf provider|heap)", re.IGNORECASE)
#: What the programs print, from their sources: rpicam-apps 1.9 (core, encoder), libcamera 0.0 to 0.7 (src/libcamera,
#: src/apps/cam, src/gstreamer) and GStreamer 1.22 to 1.26. The first match wins, so causes come before consequences.
_EXPLANATIONS = (
    _Explanation(
        r"no element \"?libcamerasrc",
        "program_unsuitable",
        "GStreamer has no element libcamerasrc.",
        "Install GStreamer's plugin for libcamera (Debian: gstreamer1.0-libcamera).",
    ),
    _Explanation(
        r"no element \"?\w+|no property \"?[\w-]+|unrecogni[sz]ed option|invalid option|unknown option"
        r"|could not set property|syntax error|argument .* is invalid|illegal rotation|erroneous pipeline",
        "program_unsuitable",
        "The program does not know an option or element that the settings ask for.",
        "Check extra_arguments, and update the program.",
    ),
    _Explanation(
        r"appropriate H\.264 codec",
        "program_unsuitable",
        "This machine has no encoder for H.264.",
        "Use MJPEG.",
    ),
    _Explanation(
        r"in use by another process|already in use|failed to acquire|Device or resource busy",
        "device_busy",
        "The camera is in use by another program.",
        "Close the other program.",
    ),
    _Explanation(
        r"could not find a camera|could not find any supported camera|no cameras available|failed to find camera"
        r"|selected camera is not available|camera .* not found|No such device",
        "camera_gone",
        "The camera is not there any more.",
        "Check its cable, with the power off; some boards find cameras only when they start.",
    ),
    _Explanation(
        r"frontend has timed out|dequeue timer .* expired|camera .* timed out",
        "camera_stalled",
        "The camera's sensor has stopped sending pictures.",
        "Check the flat cable at both ends, with the power off, and the power supply.",
    ),
    _REFUSED,
    _Explanation(
        r"cannot allocate memory|failed to allocate|can't allocate|out of memory",
        "no_memory",
        "There is not enough memory for the camera's pictures.",
        "Use a smaller picture, or give the kernel more contiguous memory (cma=).",
    ),
    _Explanation(
        r"not.negotiated|failed to configure|failed to valid|configuration invalid|Internal data stream error",
        "no_usable_format",
        "The camera does not offer the wanted pictures.",
        "Choose another width, height, fps or camera_format.",
    ),
    _Explanation(
        r"\bIPA\b|tuning",
        "program_failed",
        "The image processing for this camera could not be started.",
        "Check tuning_file, and install libcamera's IPA modules (Debian: libcamera-ipa).",
    ),
)
#: Lines that tell a failure; others are libcamera's log of what goes well.
_TELLING = re.compile(
    r"error|fatal|fail|could not|cannot|can't|invalid|erroneous|\*\*\*|no such|not found", re.IGNORECASE
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_DEVICE = re.compile(r"/(?:dev|sys|proc)/[^\s:'\"]*")
#: Start of a line of libcamera's log: time, thread, level, category, file and line.
_LOG_PREFIX = re.compile(r"^\[[0-9:.]+\] \[[0-9]+\] +[A-Z]+ +")


def explain(said: str, returncode: int | None, program: str) -> CaptureFailed:
    """Return the failure of a program as an error.

    Args:
        said: what the program printed, or the end of it.
        returncode: exit status, negative for a signal; None if it closed its output and did not end.
        program: its name, for messages.
    """
    lines = _telling(said)
    if (found := _explained(lines)) is not None:
        return found
    if returncode is not None and returncode < 0:
        return CaptureFailed(
            f"{program} was ended by signal {-returncode}.",
            reason="program_killed",
            suggestion="Check the machine's memory and its kernel log.",
        )
    how = {None: "closed its output", 0: "ended by itself"}.get(returncode, f"ended with status {returncode}")
    last = _last(lines)
    return CaptureFailed(
        f"{program} {how}{f': {last}' if last else ''}.",
        reason="program_ended",
        suggestion=f"Run {program} by hand to see what it prints.",
        detail=last,
    )


def explain_silence(said: str, limit_s: float, *, has_begun: bool) -> CaptureFailed:
    """Return the reason why a program that runs delivers nothing.

    Args:
        said: as for `explain`.
        limit_s: seconds for which it has delivered nothing.
        has_begun: there were pictures before; then only what it says of the sensor counts, as the rest may be old.
    """
    found = _explained(_telling(said))
    if found is None and _NO_MEMORY_DEVICE.search(said):
        found = _REFUSED.error()
    if found is not None and (not has_begun or found.reason == "camera_stalled"):
        return found
    return CaptureFailed(
        f"The camera delivered no picture for {round(limit_s, 1):g} s.", reason="camera_stalled"
    )


def _telling(said: str) -> list[str]:
    return [line for line in _COLOUR.sub("", said).splitlines() if _TELLING.search(line)]


def _explained(lines: list[str]) -> CaptureFailed | None:
    text = "\n".join(lines)
    found = next((each for each in _EXPLANATIONS if re.search(each.pattern, text, re.IGNORECASE)), None)
    return None if found is None else found.error(_last(lines))


def _last(lines: list[str]) -> str:
    if not lines:
        return ""
    return _DEVICE.sub("<device>", _LOG_PREFIX.sub("", lines[-1].strip()))[:200].rstrip(".")


def program_missing() -> DependencyFailed:
    """Return the error for a machine without a program for libcamera's cameras."""
    return DependencyFailed(
        "No program for libcamera's cameras is installed.",
        reason="program_missing",
        suggestion="Install rpicam-apps on Raspberry Pi OS; elsewhere libcamera-tools, gstreamer1.0-libcamera,"
        " gstreamer1.0-tools and gstreamer1.0-plugins-good.",
        dependency="libcamera",
    )


def not_executed(program: str) -> CaptureFailed:
    """Return the error for a program that has vanished or may not be executed."""
    return CaptureFailed(
        f"{program} cannot be executed.",
        reason="program_missing",
        suggestion=f"Install the package of {program} again.",
    )


def incomplete(program: str, packages: str) -> CaptureFailed:
    """Return the error for a program without the part that captures from libcamera's cameras."""
    return CaptureFailed(
        f"{program} has no part for libcamera's cameras.",
        reason="program_unsuitable",
        suggestion=f"Install {packages}.",
    )


def no_video(program: str) -> CaptureFailed:
    """Return the error for a program that cannot encode video."""
    return CaptureFailed(
        f"{program} cannot encode H.264.",
        reason="program_unsuitable",
        suggestion='Set codec = "mjpeg", or install rpicam-apps or GStreamer\'s libcamerasrc.',
    )
