"""Checks of `doctor`, in order: the configuration, this host, each plugin's own checks, and the agent."""

import argparse
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

import agent_core
from agent_core.base.clock_sync import read_clock
from agent_core.base.containment import contained
from agent_core.base.errors import AgentError, AuthenticationFailed, PluginError
from agent_core.cli.access import connected
from agent_core.cli.checks.account import account_of
from agent_core.cli.checks.clock_source import look_at_synchronisation
from agent_core.cli.checks.folders import Folder, look_at_folder, look_at_runtime_folder
from agent_core.cli.checks.forecast import look_at_forecast
from agent_core.cli.checks.host import (
    finding_of,
    look_at_clock,
    look_at_ffmpeg,
    look_at_port,
    look_at_secrets,
)
from agent_core.cli.checks.installation import (
    is_meant,
    is_of_this_host,
    look_at_installation,
    meant_service,
)
from agent_core.cli.checks.media_server import look_at_media_server
from agent_core.cli.checks.packages import look_at_running_version
from agent_core.cli.checks.ports import TcpPort, look_at_foreign_listeners, look_at_free_ports, media_ports
from agent_core.cli.checks.readable import look_at_configuration_files
from agent_core.cli.checks.service import UNIT
from agent_core.cli.checks.state_files import look_at_state_files
from agent_core.cli.loading import loaded, quietly
from agent_core.cli.output import duration
from agent_core.cli.running import RunningAgent, announced, lock_holder, program_name, running_agents
from agent_core.config import main_file
from agent_core.plugin import Check, Finding, FindingStatus

if TYPE_CHECKING:
    from agent_core.cli.checks.service import Service
    from agent_core.client import AgentClient
    from agent_core.config import AgentConfig
    from agent_core.plugin_host.manager import PluginManager
    from agent_core.plugin_host.models import PluginStatus

__all__ = ("configuration", "examine", "look")

#: Limit for a plugin's check and for the answer of a running agent.
LOOK_S = 10.0


async def examine(
    arguments: argparse.Namespace, config: "AgentConfig", files: Sequence[Path]
) -> list[Finding]:
    """Run all checks and return the findings, basic ones first."""
    from agent_core.plugin_host.overlay.place import agents_place
    from agent_core.plugin_host.overlay.wanted import find_problems
    from agent_core.plugin_host.watchdog.records import host_times, review

    service = await meant_service(arguments)
    account = account_of(service, agents_place().account if is_meant(arguments) else None)
    plugins = loaded(config)
    offered = [each for provider in plugins.providers for each in provider.components]
    findings = [
        configuration(files, announced(config.storage.state_dir), running_agents()),
        *look_at_configuration_files(files, _agents(account, config)),
        *await look_at_installation(service, account),
        *_folders(config, account),
        *look_at_state_files(config.storage.state_dir, _agents(account, config)),
        *look_at_secrets(config.storage, config.server),
        look_at_clock(config.storage),
        *look_at_synchronisation(read_clock()),
        await _limited("ffmpeg", look_at_ffmpeg, config.ffmpeg.program),
        await look_at_media_server(config.media_server, offered),
    ]
    if not config.plugins.enabled:
        findings.append(_no_plugins())
    if ended := review(config, host_times()).ended:
        step = "Update the plugin, change its settings or remove it from plugins.enabled."
        findings.append(Finding("last run", FindingStatus.FAILED, ended, step))
    findings += [finding_of("installed plugins", each) for each in find_problems(agents_place())]
    for status in plugins.manager.statuses:
        findings += await _plugin(plugins.manager, status, config.ffmpeg.program)
    ports = media_ports(config.media_server, plugins.providers, plugins.manager.settings_of)
    return [*findings, *await _agent(arguments, config, service, account, ports)]


def configuration(
    files: Sequence[Path], own: RunningAgent | None, others: Sequence[RunningAgent] = ()
) -> Finding:
    """Return which files were read, with a warning if a running agent uses other files.

    Args:
        files: files read here, in order.
        own: the agent that runs with the configured state folder.
        others: agents with other state folders; the first one is assumed if no file was read.
    """
    read = (
        f"Read {', '.join(map(str, files))}."
        if files
        else "No configuration file was read: all settings have their defaults."
    )
    meant = own or next(iter(others if not files else ()), None)
    if meant is not None and (
        meant is not own or meant.config_files != tuple(each.absolute() for each in files)
    ):
        return _another(read, meant)
    if files or own is not None:
        return Finding("configuration", FindingStatus.OK, read)
    step = "If the agent runs with a configuration file, name it with --config FILE."
    return Finding("configuration", FindingStatus.WARNING, read, step)


def _another(read: str, agent: RunningAgent) -> Finding:
    files = ", ".join(map(str, agent.config_files)) or "no configuration file"
    main = main_file(agent.config_files)
    step = (
        f"Run `camera-agent doctor --config {main}`"
        if main is not None
        else "Run it without --config, with the environment of that agent"
    )
    return Finding(
        "configuration",
        FindingStatus.WARNING,
        f"{read} An agent runs with {files}: {program_name(agent.pid)}, state folder {agent.state_dir}.",
        f"{step}, to check that agent's configuration.",
    )


def _folders(config: "AgentConfig", known: int | None) -> list[Finding]:
    storage, low = config.storage, config.health.low_space_bytes
    account = _agents(known, config)

    def folder(name: str, path: Path, key: str, *, is_private: bool = False) -> Folder:
        return Folder(name, path, f"storage.{key}", low, account, is_private)

    return [
        look_at_folder(folder("storage", storage.state_dir, "state_dir", is_private=True)),
        look_at_folder(folder("recordings folder", storage.recordings, "recordings_dir")),
        look_at_folder(folder("snapshots folder", storage.snapshots, "snapshots_dir")),
        look_at_runtime_folder(folder("runtime folder", storage.runtime_dir, "runtime_dir", is_private=True)),
    ]


def _agents(known: int | None, config: "AgentConfig") -> int:
    """Return the user id that the agent runs as: if not `known`, the state folder's owner for root, else this user."""
    if known is not None:
        return known
    try:
        return config.storage.state_dir.stat().st_uid if os.geteuid() == 0 else os.geteuid()
    except OSError:
        return os.geteuid()


async def _limited(name: str, look_at: Any, *arguments: object) -> Finding:
    with anyio.move_on_after(LOOK_S):
        found: Finding = await look_at(*arguments)
        return found
    return Finding(name, FindingStatus.FAILED, f"It has not answered for {LOOK_S:g} s.", "Run it by hand.")


def _no_plugins() -> Finding:
    return Finding(
        "plugins",
        FindingStatus.WARNING,
        "No plugin is enabled, so no cameras are found.",
        "Add plugins to plugins.enabled; `camera-agent plugins list` shows the installed ones.",
    )


async def _plugin(
    manager: "PluginManager", status: "PluginStatus", ffmpeg_program: str | None
) -> list[Finding]:
    """Check that the plugin loads, and run its own checks."""
    title = f"plugin {status.name}"
    if status.reason:
        return [Finding(title, FindingStatus.FAILED, status.details, status.suggestion)]
    version = f"Version {status.version}" if status.version else "It"
    findings = [Finding(title, FindingStatus.OK, f"{version} is loaded.")]
    try:
        with quietly():
            checks = manager.checks(status.name, ffmpeg_program=ffmpeg_program)
    except Exception as error:  # noqa: BLE001 - a plugin is foreign code
        return [*findings, _broken(title, error)]
    for check in checks:
        findings += await look(check)
    return findings


async def look(check: Check, limit_s: float = LOOK_S) -> Sequence[Finding]:
    """Return the findings of `check`; an error or a time-out is a finding too."""
    try:
        with anyio.fail_after(limit_s), contained(f"The check {check.name}"):
            return _checked(check.name, await check.look())
    except TimeoutError:
        return [Finding(check.name, FindingStatus.FAILED, f"The check took longer than {limit_s:g} s.")]
    except Exception as error:  # noqa: BLE001 - as above
        return [_broken(check.name, error)]


def _checked(name: str, found: object) -> Sequence[Finding]:
    if isinstance(found, list | tuple) and all(isinstance(each, Finding) for each in found):
        return found
    raise PluginError(
        f"The check {name} returned a value that is not a sequence of findings.", reason="wrong_provider"
    )


def _broken(name: str, error: Exception) -> Finding:
    if isinstance(error, AgentError):
        return finding_of(name, error)
    return Finding(
        name,
        FindingStatus.FAILED,
        f"The check itself failed: {type(error).__name__}: {error}.",
        "Tell the plugin's author.",
    )


async def _agent(
    arguments: argparse.Namespace,
    config: "AgentConfig",
    service: "Service | None",
    account: int | None,
    ports: Sequence[TcpPort],
) -> list[Finding]:
    """Return the findings for the running agent, by its own report; no answer is a failure."""
    from agent_core.client.errors import AgentUnreachable, ClientError

    try:
        with anyio.fail_after(LOOK_S):
            async with connected(arguments) as agent:
                status = await agent.call("get_status")
                findings = await _reported(agent, status)
    except AgentUnreachable as error:
        return [_unreachable(error.details, config, service), *_ports(arguments, config, ports)]
    except TimeoutError:
        details = f"The agent has not answered for {LOOK_S:g} s."
        return [_unreachable(details, config, service), *_ports(arguments, config, ports)]
    except AuthenticationFailed as error:
        return [_refused(error, service, account)]
    except (AgentError, ClientError) as error:
        return [finding_of("agent", error)]
    running = announced(config.storage.state_dir) if is_of_this_host(arguments) else None
    if running is not None:
        findings += look_at_running_version(status["version"], agent_core.__version__)
        findings += look_at_foreign_listeners(ports, running.pid)
    return findings


async def _reported(agent: "AgentClient", status: Mapping[str, Any]) -> list[Finding]:
    """Return the findings that the running agent reports itself, with its `status`."""
    from agent_core.client.errors import CallFailed

    known = await agent.call("get_system_status")
    cameras = await agent.call("get_camera_list")
    findings = [
        _overall(status),
        *[
            _component(name, state, known["problems"])
            for name, state in status["components"].items()
            if state == "ERROR"
        ],
        *[_check(each) for each in status["checks"]],
        *[_camera(each) for each in cameras["cameras"]],
    ]
    with suppress(CallFailed):  # a token that is not an admin's, or a disk that is not there
        findings.append(look_at_forecast(await agent.call("get_storage_info")))
    return findings


def _refused(error: AuthenticationFailed, service: "Service | None", account: int | None) -> Finding:
    """Return the finding for a user who has no access to the agent; no fault of the agent if it runs as another account."""
    may_run = account is not None if service is None else service.is_active
    if not may_run or os.geteuid() == account or error.reason != "state_unreadable":
        return finding_of("agent", error)
    details = f"{error.details} The agent's own report is left out."
    step = "Run `sudo camera-agent doctor`, or give a token with --token-file or in CAMERA_AGENT_TOKEN."
    return Finding("agent", FindingStatus.WARNING, details, step)


def _unreachable(details: str, config: "AgentConfig", service: "Service | None") -> Finding:
    holder = lock_holder(config.storage.state_dir / "agent.lock")
    if holder is None:
        step = "Start it with `camera-agent run` and the same --config, or name another agent with --url."
        if service is not None:
            step = f"Follow the finding for the service, or run `systemctl restart {UNIT}`."
        return Finding("agent", FindingStatus.FAILED, f"{details} No agent uses this state folder.", step)
    return Finding(
        "agent",
        FindingStatus.FAILED,
        f"{details} {program_name(holder)} uses the state folder but does not answer.",
        f"See its log; if it hangs, end it with `kill -9 {holder}` and start it again.",
    )


def _ports(arguments: argparse.Namespace, config: "AgentConfig", ports: Sequence[TcpPort]) -> list[Finding]:
    """Check whether other programs use the ports of the agent and its media server, if no agent runs here."""
    if not is_of_this_host(arguments) or lock_holder(config.storage.state_dir / "agent.lock") is not None:
        return []
    own = look_at_port("port", config.server.host, config.server.port, "server.port")
    return own + look_at_free_ports(ports)


def _overall(status: Mapping[str, Any]) -> Finding:
    verdict = {"HEALTHY": FindingStatus.OK, "DEGRADED": FindingStatus.WARNING}
    return Finding(
        "agent",
        verdict.get(status["status"], FindingStatus.FAILED),
        f"Version {status['version']} has run for {duration(status['uptime'])} and is {status['status'].lower()}.",
    )


def _component(name: str, state: str, problems: Sequence[Mapping[str, Any]]) -> Finding:
    """Return the finding for a failed part of the running agent, with the reason if the agent reports one."""
    known = next((each["details"] for each in problems if name in each["details"]), "")
    return Finding(
        f"agent: {name}",
        FindingStatus.FAILED,
        f"{known} It has failed (state {state}) and is retried from time to time.".lstrip(),
        f"See the lines about {name} in the agent's log.",
    )


def _check(check: Mapping[str, Any]) -> Finding:
    detail = check["detail"] or "No problem found."
    return Finding(f"agent: {check['name']}", FindingStatus(check["status"]), detail)


def _camera(camera: Mapping[str, Any]) -> Finding:
    """Return the finding for a camera; a disconnected one is a warning, not a failure of this host."""
    if camera["status"] == "CONNECTED" and camera["ambiguous"]:
        return Finding(
            camera["device"],
            FindingStatus.WARNING,
            f"{camera['name']} is connected; it may be another camera of the same make.",
            "Cameras without serial numbers are recognised by their port: keep each camera on its port.",
        )
    verdict = {"CONNECTED": FindingStatus.OK, "DISCONNECTED": FindingStatus.WARNING}
    detail = f"{camera['name']} is {camera['status'].lower()}. {camera['problem']}".rstrip()
    return Finding(camera["device"], verdict.get(camera["status"], FindingStatus.FAILED), detail)
