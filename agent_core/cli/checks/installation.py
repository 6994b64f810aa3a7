"""Checks of an installed agent: its packages, its service and its account; apart from those that every agent has."""

import argparse
import os

from agent_core.cli.checks.account import (
    look_at_account,
    look_at_devices,
    look_at_own_view,
    video_devices,
)
from agent_core.cli.checks.packages import find_packages, look_at_packages
from agent_core.cli.checks.service import Service, find_service, look_at_service
from agent_core.plugin import Finding

__all__ = ("is_meant", "is_of_this_host", "look_at_installation", "meant_service")


def is_of_this_host(arguments: argparse.Namespace) -> bool:
    """Return True unless the options or the environment name an agent by its address."""
    return not (arguments.url or os.environ.get("CAMERA_AGENT_URL"))


async def meant_service(arguments: argparse.Namespace) -> Service | None:
    """Return the service, if the command is about the agent that it runs: no other configuration or address is named."""
    return await find_service() if is_meant(arguments) else None


def is_meant(arguments: argparse.Namespace) -> bool:
    """Return True unless the command names another configuration or address than that of the installed agent."""
    return arguments.config is None and is_of_this_host(arguments)


async def look_at_installation(service: Service | None, account: int | None) -> list[Finding]:
    """Return the findings for the packages, the service and its account; none for an agent that was not installed.

    Args:
        service: the agent's unit, if there is one.
        account: the user id of the agent's account, if it is known.
    """
    findings = look_at_packages(await find_packages())
    if service is not None:
        findings += look_at_service(service)
        findings += look_at_account(service, os.geteuid())
        findings += look_at_devices(service, video_devices())
    else:
        findings += look_at_own_view(account, os.geteuid())
    return findings
