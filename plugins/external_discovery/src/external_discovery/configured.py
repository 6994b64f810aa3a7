"""Streams of the configuration. Apart from the settings, which read no files."""

from collections.abc import Sequence
from datetime import datetime

from agent_core.plugin import DependencyFailed
from agent_core.plugin.state import read_small
from external_discovery.address import StreamAddress
from external_discovery.settings import ConfiguredStream
from external_discovery.streams import AddedStream, stream_id

__all__ = ("configured_streams",)


def configured_streams(settings: Sequence[ConfiguredStream], now: datetime) -> tuple[AddedStream, ...]:
    """Return the streams of `settings` with their passwords. Blocks on the password files.

    Raises:
        DependencyFailed: a password file cannot be read.
    """
    return tuple(_stream(each, now) for each in settings)


def _stream(settings: ConfiguredStream, now: datetime) -> AddedStream:
    # RTSP is loaded after the agent listens.
    from agent_core.plugin.rtsp import Credentials

    address, credentials = StreamAddress.parse(settings.url.get_secret_value())
    if settings.user is not None:
        credentials = Credentials(settings.user, _password(settings))
    return AddedStream(
        stream_id(address.url),
        address,
        settings.name,
        settings.type,
        now,
        credentials,
        is_configured=True,
        camera_id=settings.id,
    )


def _password(settings: ConfiguredStream) -> str:
    if settings.password is not None:
        return settings.password.get_secret_value()
    if settings.password_file is None:
        return ""
    try:
        first, *_ = read_small(settings.password_file, follow=True).decode().splitlines() or [""]
    except (OSError, UnicodeDecodeError) as error:
        raise DependencyFailed(
            f"The password file of the stream {settings.name} cannot be read.",
            reason="password_file",
            dependency="configuration",
            suggestion="Give the agent's account read permission on it, and write the password as UTF-8 text.",
        ) from error
    if not first:
        raise DependencyFailed(
            f"The password file of the stream {settings.name} has no password on its first line.",
            reason="password_file",
            dependency="configuration",
            suggestion="Write the password to it.",
        )
    return first
