"""The hooks. All are synchronous and called once, at start; they return providers, which do the work.

Collecting hooks may return None ("nothing to offer on this machine"). The one hook with a first result is asked
again for each media input; `agent_checks` is asked by `camera-agent doctor` only, without an agent.
"""

from collections.abc import Iterable

import pluggy

from agent_core.base.models import MediaInput
from agent_core.plugin.abc import CameraSource, Component, Publisher, RpcMethod, RpcParams, SnapshotTier
from agent_core.plugin.checks import Check
from agent_core.plugin.context import AgentContext

__all__ = ("MARKER", "hookimpl", "hookspec")

#: The name that ties specifications and implementations together (pluggy's project name).
MARKER = "camera_agent"

hookspec = pluggy.HookspecMarker(MARKER)
hookimpl = pluggy.HookimplMarker(MARKER)


@hookspec
def agent_camera_sources(agent: AgentContext) -> Iterable[CameraSource] | None:
    """Where cameras come from. Each source is watched for as long as the agent runs."""


@hookspec
def agent_snapshot_tiers(agent: AgentContext) -> Iterable[SnapshotTier] | None:
    """Ways to take a still; tried in the order of `rank`, equal ranks in the order of `plugins.enabled`."""


@hookspec
def agent_components(agent: AgentContext) -> Iterable[Component] | None:
    """Return components that run beside the core, supervised."""


@hookspec
def agent_rpc_methods(agent: AgentContext) -> Iterable[RpcMethod[RpcParams]] | None:
    """Methods added to the wire interface; a name that exists already is an error of this plugin."""


@hookspec(firstresult=True)
def agent_publisher(media_input: MediaInput) -> Publisher | None:
    """The program that publishes this media input, or None if this plugin has none for it. Pure."""


@hookspec
def agent_checks() -> Iterable[Check] | None:
    """Looks at this host for `camera-agent doctor`, which runs them beside the agent or without one."""
