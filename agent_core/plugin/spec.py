"""Hooks that a plugin may implement.

Hooks are synchronous. They return providers, which do the work, or None if there is nothing to offer on this machine.
The agent calls each hook once, at start, with three exceptions: it calls `agent_publisher` for each media input,
`agent_reload` at each reload of the configuration, and never calls `agent_checks`, which belongs to `camera-agent doctor`.
"""

from collections.abc import Iterable

import pluggy

from agent_core.base.models import MediaInput
from agent_core.plugin.abc import (
    CameraSource,
    Component,
    Publisher,
    RecordingStills,
    RpcMethod,
    RpcParams,
    Settings,
    SnapshotTier,
)
from agent_core.plugin.checks import Check
from agent_core.plugin.context import AgentContext
from agent_core.plugin.web import WebPart

__all__ = ("MARKER", "hookimpl", "hookspec")

#: pluggy's project name, which connects specifications and implementations.
MARKER = "camera_agent"

hookspec = pluggy.HookspecMarker(MARKER)
hookimpl = pluggy.HookimplMarker(MARKER)


@hookspec
def agent_camera_sources(agent: AgentContext) -> Iterable[CameraSource] | None:
    """Return camera sources. The agent runs `watch` of each until the agent stops."""


@hookspec
def agent_snapshot_tiers(agent: AgentContext) -> Iterable[SnapshotTier] | None:
    """Return ways to take a still. The agent tries them by `rank`, equal ranks in the order of `plugins.enabled`."""


@hookspec
def agent_components(agent: AgentContext) -> Iterable[Component] | None:
    """Return components. The agent runs each beside the core and restarts those that fail."""


@hookspec
def agent_rpc_methods(agent: AgentContext) -> Iterable[RpcMethod[RpcParams]] | None:
    """Return JSON-RPC methods to add. A name that is already taken is an error of this plugin."""


@hookspec
def agent_web_routes(agent: AgentContext) -> Iterable[WebPart] | None:
    """Return pages to add to the agent's port, below `/plugins/<plugin>/`: `WebRoutes` and `WebFiles`. New in 1.4."""


@hookspec(firstresult=True)
def agent_recording_stills(agent: AgentContext) -> RecordingStills | None:
    """Return a decoder of recorded files. The agent uses that of the first plugin, in the order of `plugins.enabled`."""


@hookspec(firstresult=True)
def agent_publisher(media_input: MediaInput) -> Publisher | None:
    """Return the program that publishes `media_input`, or None if this plugin has none for it.

    Must be pure: the agent calls it again for each media input.
    """


@hookspec
def agent_checks(ffmpeg_program: str | None) -> Iterable[Check] | None:
    """Return checks of this host for `camera-agent doctor`, which runs them with or without a running agent.

    `ffmpeg_program` is the agent's `ffmpeg.program`, as in `AgentContext.ffmpeg`; new in 1.4. A hook may leave it out.
    """


@hookspec
def agent_reload(settings: Settings) -> Iterable[str] | None:
    """Apply other settings to the running providers; return the keys of those that need a restart instead. New in 1.3.

    The agent calls it at each reload of the configuration, after the other hooks, whether the plugin's settings have
    changed or not: files that they name may have. `settings` is a valid instance of the plugin's class, with the new
    values of the fields marked `HOT` and the former values of all others. What it does must not wait; if it raises, all
    changed keys of the plugin are reported as needing a restart.
    """
