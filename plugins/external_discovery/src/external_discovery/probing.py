"""Course of a probe: OPTIONS and DESCRIBE on a connection of its own, without media."""

import errno
import re
import ssl
from dataclasses import replace

import anyio
import anyio.to_thread
from anyio.abc import ByteStream

from agent_core.plugin.rtsp import Challenge, Credentials, Response, RtspError
from external_discovery.conversation import Conversation, ConversationEnded
from external_discovery.probe import Probe, ProbeOutcome, ProbeTarget
from external_discovery.tracks import printable, tracks_of

__all__ = ("Probing",)

#: Statuses of RFC 2326, 11.3, and those that cameras borrow from HTTP.
_REDIRECTS = frozenset((300, 301, 302, 303, 305, 307, 308))
#: Answers to DESCRIBE that say that nothing is at the path. MediaMTX answers 400 for a path that is not configured.
_NOT_FOUND = frozenset((400, 404, 406, 410, 415, 451, 454))
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_HOST = re.compile(r"[a-z]{1,8}://(?:[^/?#@]*@)?([^/?#@\s]{1,120})", re.IGNORECASE)


class Probing:
    """One probe with what it has learned, from which a time-out draws its conclusion too."""

    def __init__(self, target: ProbeTarget, credentials: Credentials | None) -> None:
        self._target = target
        self._credentials = credentials
        self._conversation: Conversation | None = None
        self._server = ""

    async def run(self, connect_timeout_s: float) -> Probe:
        try:
            with anyio.fail_after(connect_timeout_s):
                stream = await self._connect()
        except TimeoutError:
            return self._unconnected(connect_timeout_s)
        except OSError as error:
            return self._not_connected(error)
        conversation = self._conversation = Conversation(stream, self._connect, self._target.url)
        try:
            return await self._outcome(conversation)
        except OSError as error:  # of another connection
            return self._not_connected(error)
        finally:
            await conversation.close()

    async def _outcome(self, conversation: Conversation) -> Probe:
        try:
            return await self._converse(conversation)
        except ConversationEnded as error:
            return self._result(ProbeOutcome.NOT_RTSP, str(error))
        except RtspError as error:
            return self._result(ProbeOutcome.NOT_RTSP, f"{conversation.impression()} {error}")

    async def _connect(self) -> ByteStream:
        target = self._target
        if not target.tls:
            return await anyio.connect_tcp(str(target.address), target.port)
        try:
            return await anyio.connect_tcp(
                str(target.address),
                target.port,
                tls_hostname=target.host,
                # Without the system's certificates a password would go to whoever answers. Reading them takes 0.1 s.
                ssl_context=await anyio.to_thread.run_sync(ssl.create_default_context),
                tls_standard_compatible=False,
            )
        except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
            raise ssl.SSLError("The server closes the connection while TLS begins.") from error

    async def _converse(self, conversation: Conversation) -> Probe:
        options = await conversation.exchange("OPTIONS")
        self._server = printable(options.headers.get("Server"))
        if options.status in _REDIRECTS:
            return self._redirected(options)
        # Servers that refuse OPTIONS may still describe their stream, so only the answer to DESCRIBE counts.
        described = await conversation.exchange("DESCRIBE")
        if described.status == _UNAUTHORIZED and self._credentials is not None:
            described = await conversation.authenticate("DESCRIBE", described, self._credentials)
        self._server = printable(described.headers.get("Server")) or self._server
        return self._judged(described)

    def _judged(self, described: Response) -> Probe:
        status = described.status
        if status in _REDIRECTS:
            return self._redirected(described)
        if status == _UNAUTHORIZED:
            return replace(self._unauthorized(), realm=_realm(described))
        if status == _FORBIDDEN and self._credentials is not None:
            details = "The server does not let this user have the stream (403): give another user."
            return self._result(ProbeOutcome.WRONG_CREDENTIALS, details)
        if status in _NOT_FOUND:
            details = f"The server has no stream at this path (it answers {status} to DESCRIBE)."
            return self._result(ProbeOutcome.NOT_FOUND, details)
        if not 200 <= status < 300:
            return self._result(ProbeOutcome.REFUSED, f"The server answers {status} to DESCRIBE.")
        return self._described(described)

    def _unauthorized(self) -> Probe:
        if self._credentials is not None:
            details = "The server does not accept the user and password, or asks for them in an unknown way."
            return self._result(ProbeOutcome.WRONG_CREDENTIALS, details)
        return self._result(ProbeOutcome.NEEDS_CREDENTIALS, "The server asks for user and password.")

    def _described(self, described: Response) -> Probe:
        try:
            tracks = tracks_of(described.body)
        except RtspError as error:
            details = f"The server describes no stream that can be read. {error}"
            return self._result(ProbeOutcome.NOT_FOUND, details)
        names = ", ".join(track.codec for track in tracks)
        return Probe(ProbeOutcome.STREAM, tracks, self._server, f"The server describes {names}.")

    def _redirected(self, response: Response) -> Probe:
        found = _HOST.match(response.headers.get("Location"))
        where = printable(found[1]) if found else "another address"
        details = f"The server redirects to {where}. Redirects are not followed: use that address itself."
        return self._result(ProbeOutcome.REDIRECTED, details)

    def _not_connected(self, error: OSError) -> Probe:
        reasons = [each for each in (error, error.__cause__) if isinstance(each, OSError)]
        if any(isinstance(each, ssl.SSLError) for each in reasons):
            return self._result(ProbeOutcome.NOT_RTSP, f"TLS failed: {_tls_reason(reasons)}.")
        if any(each.errno in (errno.ECONNREFUSED, errno.ECONNRESET) for each in reasons):
            return self._result(ProbeOutcome.REFUSED, f"The host refuses port {self._target.port}.")
        return self._result(ProbeOutcome.UNREACHABLE, "The host cannot be reached: no route or no such host.")

    def _unconnected(self, timeout_s: float) -> Probe:
        details = f"No connection to port {self._target.port} within {timeout_s:g} s."
        return self._result(ProbeOutcome.UNREACHABLE, details)

    def timed_out(self, timeout_s: float) -> Probe:
        """Return the outcome of a probe that its time limit ended."""
        conversation = self._conversation
        if conversation is None:
            return self._unconnected(timeout_s)
        if conversation.is_foreign:
            return self._result(ProbeOutcome.NOT_RTSP, conversation.impression())
        said = "does not finish its answer" if conversation.received_bytes else "says nothing"
        details = f"The host accepts the connection and {said} within {timeout_s:g} s."
        return self._result(ProbeOutcome.SILENT, details)

    def _result(self, outcome: ProbeOutcome, details: str) -> Probe:
        return Probe(outcome, (), self._server, details)


def _realm(refused: Response) -> str:
    try:
        return printable(Challenge.parse(refused.headers.get("WWW-Authenticate")).realm)
    except RtspError:
        return ""


def _tls_reason(errors: list[OSError]) -> str:
    for error in errors:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the certificate is not trusted ({printable(error.verify_message)})"
    return "the server does not speak TLS on this port, or none that is safe"
