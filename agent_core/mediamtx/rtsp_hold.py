"""Keeping an on-demand path alive without reading it: an RTSP session that is set up and never played.

MediaMTX counts a reader from SETUP on, so the path's source is started and kept, while no media is sent.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock, SystemClock
from agent_core.base.errors import ConfigError, MediaServerError, MediaServerRefused, MediaServerUnavailable
from agent_core.mediamtx.rtsp_dialogue import ConnectionEnded, Dialogue
from agent_core.plugin.rtsp import (
    Credentials,
    Response,
    RtspError,
    SessionDescription,
    SessionId,
    Transport,
    control_url,
)

__all__ = ("KEEP_ALIVE_S", "START_TIMEOUT_S", "Hold")

#: MediaMTX drops a session that is silent for 60 s and advertises 55 s.
KEEP_ALIVE_S = 25.0
#: Above MediaMTX's own runOnDemandStartTimeout, 10 s by default, so that its answer is the one that is seen.
START_TIMEOUT_S = 15.0
_CONNECT_TIMEOUT_S = 1.5
_ANSWER_TIMEOUT_S = 5.0
_TEARDOWN_TIMEOUT_S = 0.5
#: A path that is not configured and one whose source does not come up are both refused with 400, the first at once,
#: the second after the path's start time-out. From this on it counts as the second.
_WAITED_S = 1.0
_DEFAULT_PORT = 554
#: RFC 2326, 12.37
_DEFAULT_SESSION_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class _Session:
    """`keep_alive` is the method that the server takes for it."""

    id: str
    keep_alive: str
    keep_alive_s: float


class Hold:
    """Holds the path of one RTSP URL while `run` runs. May be run again, one run at a time.

    Args:
        url: `rtsp://HOST:PORT/PATH`; user and password may be in it and are sent only when asked for.
        credentials: instead of those in the URL; for Basic or Digest, whichever the server wants.
        start_timeout_s: how long the server may take to start the path's source.
        keep_alive_s: the longest silence; half of what the server allows where that is less.
    """

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
        keep_alive_s: float = KEEP_ALIVE_S,
        clock: Clock | None = None,
    ) -> None:
        self._host, self._port, self._uri, in_url = _address(url)
        self._credentials = credentials or in_url
        self._start_timeout_s = start_timeout_s
        self._keep_alive_s = keep_alive_s
        self._clock = clock or SystemClock()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Say started once the path is live and held, and keep holding it until cancelled.

        It does not return by itself: when the server ends the session, which it does when the stream ends, that is
        an error at once. Cancelling sends TEARDOWN and waits up to half a second for its answer.

        Raises:
            MediaServerRefused: `stream_not_found`, `start_timed_out`, `not_authorized`, or another refusal.
            MediaServerUnavailable: `connection_refused`, `timed_out`, `start_timed_out` (no answer at all),
                `connection_lost`.
            MediaServerError: `unexpected_answer`: the other side does not speak RTSP.
        """
        try:
            async with self._dialogue() as dialogue:
                session = await self._set_up(dialogue)
                try:
                    task_status.started()
                    await self._keep(dialogue, session)
                finally:
                    await self._tear_down(dialogue, session)
        except ConnectionEnded as error:
            raise MediaServerUnavailable(
                "The media server ended the hold on the stream.",
                reason="connection_lost",
                suggestion="The stream's source or the media server has stopped; see their logs.",
            ) from error
        except RtspError as error:
            raise _unexpected(str(error)) from error

    @asynccontextmanager
    async def _dialogue(self) -> AsyncIterator[Dialogue]:
        try:
            with anyio.fail_after(_CONNECT_TIMEOUT_S):
                stream = await anyio.connect_tcp(self._host, self._port)
        except TimeoutError as error:
            raise _timed_out() from error
        except OSError as error:
            raise MediaServerUnavailable(
                "The media server's RTSP port cannot be reached.",
                reason="connection_refused",
                suggestion="Check that the media server runs and that its RTSP address is the configured one.",
            ) from error
        async with stream:
            yield Dialogue(stream, self._credentials)

    async def _set_up(self, dialogue: Dialogue) -> _Session:
        offered = (await self._ask(dialogue, "OPTIONS", self._uri)).headers.get("Public")
        described = await self._describe(dialogue)
        track = control_url(described.headers.get("Content-Base") or self._uri, _track(described))
        transport = {"Transport": str(Transport(interleaved=(0, 1)))}
        answer = await self._ask(dialogue, "SETUP", track, transport)
        session = SessionId.parse(answer.headers.get("Session"))
        return _Session(
            session.id,
            "GET_PARAMETER" if "GET_PARAMETER" in offered else "OPTIONS",
            min(self._keep_alive_s, (session.timeout_s or _DEFAULT_SESSION_TIMEOUT_S) / 2),
        )

    async def _describe(self, dialogue: Dialogue) -> Response:
        """This is what starts the source; the answer comes when it is live."""
        asked_s = self._clock.monotonic_s()
        try:
            with anyio.fail_after(self._start_timeout_s):
                response = await dialogue.ask("DESCRIBE", self._uri, {"Accept": "application/sdp"})
        except TimeoutError as error:
            raise MediaServerUnavailable(
                "The stream did not start in time.", reason="start_timed_out", suggestion=_START_SUGGESTION
            ) from error
        waited = self._clock.monotonic_s() - asked_s >= _WAITED_S
        return self._accepted("DESCRIBE", response, waited=waited)

    async def _ask(
        self, dialogue: Dialogue, method: str, uri: str, headers: dict[str, str] | None = None
    ) -> Response:
        try:
            with anyio.fail_after(_ANSWER_TIMEOUT_S):
                response = await dialogue.ask(method, uri, headers)
        except TimeoutError as error:
            raise _timed_out() from error
        return self._accepted(method, response)

    def _accepted(self, method: str, response: Response, *, waited: bool = False) -> Response:
        if 200 <= response.status < 300:
            return response
        reason, details, suggestion = _explanation(method, response.status, waited=waited)
        raise MediaServerRefused(
            details,
            method=method,
            path=urlsplit(self._uri).path,
            status=response.status,
            server_text=response.reason,
            reason=reason,
            suggestion=suggestion,
            detail=f"{response.status} {response.reason}",
        )

    async def _keep(self, dialogue: Dialogue, session: _Session) -> None:
        while True:
            with anyio.move_on_after(session.keep_alive_s):
                await dialogue.listen()
            await self._ask(dialogue, session.keep_alive, self._uri, {"Session": session.id})

    async def _tear_down(self, dialogue: Dialogue, session: _Session) -> None:
        """The server lets go of the path when the connection ends anyhow; this makes it soon and orderly."""
        with anyio.move_on_after(_TEARDOWN_TIMEOUT_S, shield=True):
            try:
                await dialogue.ask("TEARDOWN", self._uri, {"Session": session.id})
            except (ConnectionEnded, RtspError):
                return


def _address(url: str) -> tuple[str, int, str, Credentials | None]:
    """Host, port, the URL without user and password, and these."""
    try:
        at = urlsplit(url)
        port = at.port or _DEFAULT_PORT
    except ValueError:
        at, port = urlsplit(""), 0
    if at.scheme != "rtsp" or not at.hostname:
        raise ConfigError(
            "A stream's address to hold must be rtsp://HOST:PORT/PATH.", reason="invalid_address"
        )
    credentials = Credentials(unquote(at.username), unquote(at.password or "")) if at.username else None
    netloc = at.netloc.rpartition("@")[2]
    return at.hostname, port, at._replace(netloc=netloc).geturl(), credentials


def _track(described: Response) -> str:
    """The control attribute of the video, or of whatever there is: one track is enough to count as a reader."""
    media = SessionDescription.parse(described.body).media
    return next((one.control for one in media if one.kind == "video"), media[0].control)


_START_SUGGESTION = "Check the camera and the log of the command or source that feeds this path."


def _explanation(method: str, status: int, *, waited: bool) -> tuple[str | None, str, str | None]:
    """Reason, details and suggestion for an RTSP status that is no success."""
    not_described = method == "DESCRIBE" and status == 400
    if status in (401, 403):
        return (
            "not_authorized",
            "The media server wants other credentials for this stream.",
            "Configure a user and password that may read from the media server.",
        )
    if not_described and waited:
        return "start_timed_out", "The stream did not start in time.", _START_SUGGESTION
    if not_described or status == 404:
        return (
            "stream_not_found",
            "The media server has no such stream.",
            "Check that the path is configured and that something feeds it.",
        )
    return None, f"The media server refused the stream with status {status}.", None


def _timed_out() -> MediaServerUnavailable:
    return MediaServerUnavailable("The media server did not answer in time.", reason="timed_out")


def _unexpected(detail: str) -> MediaServerError:
    return MediaServerError(
        "The media server's RTSP port does not speak RTSP as expected.",
        reason="unexpected_answer",
        suggestion="Check that the configured RTSP address is that of the media server.",
        detail=detail,
    )
