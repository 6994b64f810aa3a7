"""Check of the media server and its version, with or without a running agent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

from agent_core.base.errors import AgentError
from agent_core.cli.checks.host import finding_of
from agent_core.plugin import Component, Finding, FindingStatus, MediaServer
from agent_core.streams.models import MODE_REASONS, PublishMode

if TYPE_CHECKING:
    from agent_core.config import MediaServerConfig

__all__ = ("RECOMMENDED", "look_at_media_server", "shortcomings")

Version = tuple[int, int, int]

_NAME = "media server"
_ANSWER_S = 5.0
#: The oldest version without a shortcoming that loses something.
RECOMMENDED: Version = (1, 15, 2)

#: From docs/mediamtx.md: the version that removes a shortcoming, and the shortcoming.
_UNTIL: tuple[tuple[Version, str], ...] = (
    ((1, 15, 1), "a camera that has viewers cannot be recorded"),
    ((1, 15, 2), "its restart is noticed only by the paths that it has lost"),
)
#: As above, for a server whose time zone and users the agent does not set.
_UNTIL_IF_EXTERNAL: tuple[tuple[Version, str], ...] = (
    ((1, 13, 0), "its files have no offset of the time zone in their names, unless it runs with TZ=UTC"),
    ((1, 20, 1), "its API shows the passwords of its users to all who may use it"),
)
#: Finding in mode embedded without a server; whether a server answers is in the running agent's report.
_NONE = Finding(
    _NAME,
    FindingStatus.WARNING,
    "There is none: media_server.mode is embedded, but no usable plugin provides a media server. "
    "Streams and recordings are refused.",
    "Add embedded_server to plugins.enabled, or set media_server.mode to managed or external.",
)


async def look_at_media_server(settings: "MediaServerConfig", offered: Sequence[Component]) -> Finding:
    """Check for a media server: in mode embedded among `offered`, else its program or its address."""
    mode = PublishMode(settings.publishers)
    reason = MODE_REASONS[mode].replace("_", " ")
    feeding = f"publishers are run by the {mode} ({reason})."
    version: Version | None = None
    try:
        match settings.mode:
            case "embedded":
                server = next((each for each in offered if isinstance(each, MediaServer)), None)
                if server is None:
                    return _NONE
                what = f"Mode embedded, {server.name}"
            case "managed":
                path, version = await _program(settings.program)
                what = f"Mode managed, {path}"
            case "external":
                version = await _answer(settings)
                what = f"Mode external, {settings.api_url.rpartition('@')[2]} answers"
    except AgentError as error:
        return finding_of(_NAME, error)
    return _of_version(f"{what}; {feeding}", version, is_external=settings.mode == "external")


def _of_version(detail: str, version: Version | None, *, is_external: bool) -> Finding:
    """Return the finding for a server that works, with a warning about the shortcomings of its version."""
    if version is None or not (known := shortcomings(version, is_external=is_external)):
        return Finding(_NAME, FindingStatus.OK, detail)
    detail = f"{detail} MediaMTX {'.'.join(map(str, version))} has shortcomings: {'; '.join(known)}."
    if version >= RECOMMENDED:
        return Finding(_NAME, FindingStatus.OK, detail)
    step = f"Install {'.'.join(map(str, RECOMMENDED))} or newer: docs/mediamtx.md, Versions."
    return Finding(_NAME, FindingStatus.WARNING, detail, step)


def shortcomings(version: Version, *, is_external: bool) -> list[str]:
    """Return the shortcomings of a version, as clauses."""
    known = (*_UNTIL, *(_UNTIL_IF_EXTERNAL if is_external else ()))
    return [text for until, text in known if version < until]


async def _program(program: str) -> tuple[str, Version]:
    from agent_core.mediamtx.managed.program import locate, version_of

    path = locate(program)
    return path, await version_of(path)


async def _answer(settings: "MediaServerConfig") -> Version | None:
    """Return the version that the API states, if any. Raises MediaServerError."""
    from agent_core.base.errors import MediaServerUnavailable
    from agent_core.mediamtx.client import MediaServerClient
    from agent_core.plugin.rtsp import Credentials

    password = settings.password.get_secret_value() if settings.password else ""
    credentials = Credentials(settings.user, password) if settings.user else None
    with anyio.move_on_after(_ANSWER_S):
        async with MediaServerClient(settings.api_url, credentials=credentials) as client:
            return (await client.info()).version_numbers
    raise MediaServerUnavailable("The media server accepts connections but does not answer.")
