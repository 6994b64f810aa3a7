"""Hold on an on-demand path: an RTSP session that is set up and never played.

MediaMTX counts a reader from SETUP on: it starts and keeps the path's source, but sends no media.
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
#: Longer than MediaMTX's runOnDemandStartTimeout, 10 s by default, so that its answer comes first.
START_TIMEOUT_S = 15.0
_CONNECT_TIMEOUT_S = 1.5
_ANSWER_TIMEOUT_S = 5.0
_TEARDOWN_TIMEOUT_S = 0.5
#: MediaMTX refuses both with 400: a path that is not configured, at once, and a path whose source does not start,
#: after its start time-out. A refusal that takes this long counts as the latter.
_WAITED_S = 1.0
_DEFAULT_PORT = 554
#: RFC 2326, 12.37
_DEFAULT_SESSION_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class _Session:
    """Session that is set up; `keep_alive` is the method that keeps it alive at this server."""

    id: str
    keep_alive: str
    keep_alive_s: float


class Hold:
    """Holds the path of one RTSP URL while `run` runs. `run` may be called again after it ends.

    Args:
        url: `rtsp://HOST:PORT/PATH`; may contain user and password, which are sent only after a challenge.
        credentials: for Basic or Digest, as the server asks; they replace those in the URL.
        start_timeout_s: limit for the start of the path's source.
        keep_alive_s: longest time between two requests; half of the server's limit if that is shorter.
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
        """Hold the path until cancelled; report started when the path is live and held.

        Never returns: the server ends the session when the stream ends, and that raises at once. Cancelling sends
        TEARDOWN and waits up to half a second for its answer.

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
                suggestion="See the logs of the stream's source and of the media server: one of them has stopped.",
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
                suggestion="Check that the media server runs at the configured RTSP address.",
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
        """Send the request that starts the source; return its answer, which comes when the source is live."""
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
        """End the session in order; the server releases the path sooner than on the end of the connection."""
        with anyio.move_on_after(_TEARDOWN_TIMEOUT_S, shield=True):
            try:
                await dialogue.ask("TEARDOWN", self._uri, {"Session": session.id})
            except (ConnectionEnded, RtspError):
                return


def _address(url: str) -> tuple[str, int, str, Credentials | None]:
    """Split `url` into host, port, the URL without user and password, and the credentials."""
    try:
        at = urlsplit(url)
        port = at.port or _DEFAULT_PORT
    except ValueError:
        at, port = urlsplit(""), 0
    if at.scheme != "rtsp" or not at.hostname:
        raise ConfigError(
            "The address of a stream to hold must be rtsp://HOST:PORT/PATH.", reason="invalid_address"
        )
    credentials = Credentials(unquote(at.username), unquote(at.password or "")) if at.username else None
    netloc = at.netloc.rpartition("@")[2]
    return at.hostname, port, at._replace(netloc=netloc).geturl(), credentials


def _track(described: Response) -> str:
    """Return the control attribute of the video, else of the first track: one track makes a reader."""
    media = SessionDescription.parse(described.body).media
    return next((one.control for one in media if one.kind == "video"), media[0].control)


_START_SUGGESTION = "Check the camera and the log of the command or source that feeds this path."


def _explanation(method: str, status: int, *, waited: bool) -> tuple[str | None, str, str | None]:
    """Return reason, details and suggestion for an RTSP status that is not a success."""
    not_described = method == "DESCRIBE" and status == 400
    if status in (401, 403):
        return (
            "not_authorized",
            "The media server rejects the agent's credentials for this stream.",
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
