"""Checks of this host: FFmpeg, the secret, the certificate, the clock, the port."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import agent_core
from agent_core.base.errors import AgentError, StartFailed
from agent_core.cli.output import iso_time
from agent_core.cli.running import listener_pid, program_name
from agent_core.plugin import Finding, FindingStatus, ffmpeg

if TYPE_CHECKING:
    from agent_core.client.errors import ClientError
    from agent_core.config import ServerConfig, StorageConfig

__all__ = ("finding_of", "look_at_clock", "look_at_ffmpeg", "look_at_port", "look_at_secrets")

#: Tolerated difference: the clock may be set while the check runs.
_CLOCK_TOLERANCE_S = 60.0


def finding_of(
    name: str, error: "AgentError | ClientError", status: FindingStatus = FindingStatus.FAILED
) -> Finding:
    """Return `error` as a finding."""
    return Finding(name, status, error.details, error.suggestion)


async def look_at_ffmpeg(program: str | None) -> Finding:
    """Find FFmpeg and run it: the program may lack libraries or be built for another processor."""
    try:
        found = ffmpeg.locate(program)
        answer = await ffmpeg.run(found, ["-version"])
    except AgentError as error:
        return finding_of("ffmpeg", error)
    except OSError as error:
        fault = (error.strerror or str(error)).lower()
        return Finding(
            "ffmpeg",
            FindingStatus.FAILED,
            f"{found} cannot be run: {fault}.",
            "Install FFmpeg for this machine's architecture, or correct ffmpeg.program.",
        )
    words = answer.decode(errors="replace").split()
    if words[:2] != ["ffmpeg", "version"]:
        return Finding(
            "ffmpeg",
            FindingStatus.FAILED,
            f"{found} is not FFmpeg: it does not print FFmpeg's version.",
            "Install FFmpeg, or correct ffmpeg.program.",
        )
    return Finding("ffmpeg", FindingStatus.OK, f"{found}, version {words[2]}.")


def look_at_secrets(storage: "StorageConfig", server: "ServerConfig") -> list[Finding]:
    """Check the secret and the certificate, if they exist."""
    import os

    from agent_core.auth.secret import Secret
    from agent_core.web.listener import tls_context

    findings = []
    try:
        if os.path.lexists(storage.secret_file):
            Secret.load(storage.secret_file)
            findings.append(Finding("secret", FindingStatus.OK, f"{storage.secret_file} is valid."))
    except StartFailed as error:
        findings.append(finding_of("secret", error))
    try:
        if tls_context(server.tls_certificate, server.tls_key) is not None:
            detail = f"{server.tls_certificate} and its key are valid."
            findings.append(Finding("certificate", FindingStatus.OK, detail))
    except StartFailed as error:
        findings.append(finding_of("certificate", error))
    return findings


def look_at_clock(storage: "StorageConfig", now: datetime | None = None) -> Finding:
    """Compare the clock with the modification times of files written earlier."""
    now = now or datetime.now(UTC)
    files = [storage.secret_file, storage.endpoint_file, storage.api_keys_file, Path(agent_core.__file__)]
    written = max((moment, path) for path in files if (moment := _written(path)) is not None)
    if (written[0] - now).total_seconds() > _CLOCK_TOLERANCE_S:
        return Finding(
            "clock",
            FindingStatus.WARNING,
            f"The clock says {iso_time(now)}, but {written[1]} was written at {iso_time(written[0])}.",
            "Set the clock, for example by `timedatectl set-ntp true`: tokens, file names and retention use it.",
        )
    return Finding("clock", FindingStatus.OK, f"It is {iso_time(now)}.")


def _written(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        return None


def look_at_port(name: str, host: str, port: int, setting: str) -> list[Finding]:
    """Check that an agent could listen on the port; return no finding if so. Call only while no agent runs."""
    from agent_core.web.listener import refuse_unusable

    try:
        refuse_unusable(host, port)
    except StartFailed as error:
        pid = listener_pid(port) if error.reason == "port_in_use" else None
        by = f" It is used by {program_name(pid)}." if pid else ""
        step = error.suggestion.replace("server.port", setting)
        return [Finding(name, FindingStatus.FAILED, f"{error.details}{by}", step)]
    return []
