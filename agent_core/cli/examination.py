"""What `doctor` looks at: this host, each plugin's own checks, and the agent if one runs."""

import argparse
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from agent_core.cli.access import connected
from agent_core.cli.loading import loaded_manager, quietly
from agent_core.cli.text import duration
from agent_core.errors import AgentError
from agent_core.path_conf import MODE_REASONS, PublishMode
from agent_core.plugin import Check, Finding, FindingStatus, ffmpeg

if TYPE_CHECKING:
    from agent_core.client.errors import ClientError
    from agent_core.config import AgentConfig, MediaServerConfig
    from agent_core.plugin.manager import PluginManager, PluginStatus

__all__ = ("examine", "look", "storage")

#: How long a plugin's check may take.
LOOK_S = 10.0
#: Below this share of free space recordings are about to fail.
_LOW_SPACE = 0.05


async def examine(arguments: argparse.Namespace, config: "AgentConfig") -> list[Finding]:
    """All findings, in the order in which a person would look."""
    manager = loaded_manager(config.plugins)
    findings = [
        storage(config.storage.state_dir),
        _ffmpeg(config.ffmpeg.program),
        _media_server(config.media_server),
    ]
    for status in manager.statuses:
        findings += await _plugin(manager, status)
    return [*findings, *await _agent(arguments)]


def storage(folder: Path) -> Finding:
    """The state folder, or, where the agent has not run yet, what it will be made in."""
    # Unlike Path.exists, this takes what lies below a folder that is closed to this account for absent.
    there = next(each for each in (folder, *folder.parents) if os.path.exists(each))  # noqa: PTH110
    usage = shutil.disk_usage(there)
    free = f"{usage.free / 1e9:.1f} GB free"
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(
            "storage",
            FindingStatus.FAILED,
            f"{there} is not writable for this account.",
            "Run this as the agent's account; if that fails too, give the folder to it.",
        )
    if usage.free < _LOW_SPACE * usage.total:
        return Finding(
            "storage", FindingStatus.WARNING, f"{there}: {free}.", "Delete recordings, or set retention."
        )
    return Finding("storage", FindingStatus.OK, f"{there}: {free}.")


def _ffmpeg(program: str | None) -> Finding:
    try:
        return Finding("ffmpeg", FindingStatus.OK, f"{ffmpeg.locate(program)} is used.")
    except AgentError as error:
        return _said("ffmpeg", error)


def _media_server(settings: "MediaServerConfig") -> Finding:
    """Which one, and who feeds it; that it answers is the running agent's to say."""
    mode = PublishMode(settings.publishers)
    reason = MODE_REASONS[mode].replace("_", " ")
    detail = f"Mode {settings.mode}; publishers are run by the {mode} ({reason})."
    return Finding("media server", FindingStatus.OK, detail)


async def _plugin(manager: "PluginManager", status: "PluginStatus") -> list[Finding]:
    """That it can be loaded, and what it finds itself."""
    title = f"plugin {status.name}"
    if status.reason:
        return [Finding(title, FindingStatus.FAILED, status.details, status.suggestion)]
    version = f"Version {status.version}" if status.version else "It"
    findings = [Finding(title, FindingStatus.OK, f"{version} is loaded.")]
    try:
        with quietly():
            checks = manager.checks(status.name)
    except Exception as error:  # noqa: BLE001 - a plugin is foreign code
        return [*findings, _broken(title, error)]
    for check in checks:
        findings += await look(check)
    return findings


async def look(check: Check, limit_s: float = LOOK_S) -> Sequence[Finding]:
    """What `check` finds; that it fails, or takes longer than `limit_s`, is a finding too."""
    try:
        with anyio.fail_after(limit_s):
            return await check.look()
    except TimeoutError:
        return [Finding(check.name, FindingStatus.FAILED, f"Looking took longer than {limit_s:g} s.")]
    except Exception as error:  # noqa: BLE001 - as above
        return [_broken(check.name, error)]


def _said(
    name: str, error: "AgentError | ClientError", status: FindingStatus = FindingStatus.FAILED
) -> Finding:
    return Finding(name, status, error.details, error.suggestion)


def _broken(name: str, error: Exception) -> Finding:
    if isinstance(error, AgentError):
        return _said(name, error)
    return Finding(
        name,
        FindingStatus.FAILED,
        f"The check itself failed: {type(error).__name__}: {error}.",
        "Tell the plugin's author.",
    )


async def _agent(arguments: argparse.Namespace) -> list[Finding]:
    """What a running agent says of itself; that none runs is no problem, only worth knowing."""
    from agent_core.client.errors import AgentUnreachable, ClientError

    try:
        async with connected(arguments) as agent:
            status = await agent.call("get_status")
            cameras = await agent.call("get_camera_list")
    except AgentUnreachable as error:
        return [_said("agent", error, FindingStatus.WARNING)]
    except (AgentError, ClientError) as error:
        return [_said("agent", error)]
    return [
        _overall(status),
        *[_check(each) for each in status["checks"]],
        *[_camera(each) for each in cameras["cameras"]],
    ]


def _overall(status: Mapping[str, Any]) -> Finding:
    verdict = {"HEALTHY": FindingStatus.OK, "DEGRADED": FindingStatus.WARNING}
    return Finding(
        "agent",
        verdict.get(status["status"], FindingStatus.FAILED),
        f"Version {status['version']} has run for {duration(status['uptime'])} and is {status['status'].lower()}.",
    )


def _check(check: Mapping[str, Any]) -> Finding:
    detail = check["detail"] or "All is well."
    return Finding(f"agent: {check['name']}", FindingStatus(check["status"]), detail)


def _camera(camera: Mapping[str, Any]) -> Finding:
    """A camera that is not plugged in is no fault of this host's."""
    if camera["status"] == "CONNECTED" and camera["ambiguous"]:
        return Finding(
            camera["device"],
            FindingStatus.WARNING,
            f"{camera['name']} is connected; it may be another camera of the same make.",
            "Cameras without serial numbers are known by their port: keep each on its own.",
        )
    verdict = {"CONNECTED": FindingStatus.OK, "DISCONNECTED": FindingStatus.WARNING}
    detail = f"{camera['name']} is {camera['status'].lower()}. {camera['problem']}".rstrip()
    return Finding(camera["device"], verdict.get(camera["status"], FindingStatus.FAILED), detail)
