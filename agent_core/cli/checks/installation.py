"""Checks of an installed agent: its packages, its service and its account; apart from those that every agent has."""

import argparse
import os

from agent_core.cli.checks.account import look_at_account, look_at_devices, video_devices
from agent_core.cli.checks.packages import find_packages, look_at_packages
from agent_core.cli.checks.service import Service, find_service, look_at_service
from agent_core.plugin import Finding

__all__ = ("is_of_this_host", "look_at_installation", "meant_service")


def is_of_this_host(arguments: argparse.Namespace) -> bool:
    """Return True unless the options or the environment name an agent by its address."""
    return not (arguments.url or os.environ.get("CAMERA_AGENT_URL"))


async def meant_service(arguments: argparse.Namespace) -> Service | None:
    """Return the service, if the command is about the agent that it runs: no other configuration or address is named."""
    if arguments.config is None and is_of_this_host(arguments):
        return await find_service()
    return None


async def look_at_installation(service: Service | None) -> list[Finding]:
    """Return the findings for the packages and the service; none for an agent that was not installed."""
    findings = look_at_packages(await find_packages())
    if service is not None:
        findings += look_at_service(service)
        findings += look_at_account(service, os.geteuid())
        findings += look_at_devices(service, video_devices())
    return findings
