"""Answers to RTSP requests, with gortsplib's header fields in gortsplib's order."""

from dataclasses import dataclass, field

from agent_core.plugin.rtsp import Headers, Request, Response, SessionId

__all__ = ("Answer", "Refused")

_SERVER = "gortsplib"
_ADVERTISED_TIMEOUT_S = 55


@dataclass(slots=True)
class Answer:
    """Answer to a request; `in_session` adds the Session field, `close` ends the connection afterwards."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    in_session: bool = False
    close: bool = False

    def encode(self, request: Request, session: str | None) -> bytes:
        """Encode the answer to `request`; `session` is the token of the connection's session."""
        fields = {"Server": _SERVER, **self.headers}
        if request.cseq:
            fields["CSeq"] = request.cseq
        if self.body:
            fields["Content-Length"] = str(len(self.body))
        if self.in_session and session is not None:
            fields["Session"] = str(SessionId(session, _ADVERTISED_TIMEOUT_S))
        return Response(self.status, Headers(sorted(fields.items())), self.body).encode()


class Refused(Exception):
    """Refusal of a request with a status; the message is for the log."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
