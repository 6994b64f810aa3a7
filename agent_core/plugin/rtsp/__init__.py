"""RTSP/1.0 without I/O: messages, descriptions and authentication, for clients and servers."""

from agent_core.plugin.rtsp.auth import Authorization, Challenge, Credentials, answer
from agent_core.plugin.rtsp.errors import RtspError
from agent_core.plugin.rtsp.messages import REASONS, Headers, Interleaved, Message, Request, Response
from agent_core.plugin.rtsp.parser import Limits, RtspParser
from agent_core.plugin.rtsp.sdp import MediaDescription, RtpMap, SessionDescription, control_url
from agent_core.plugin.rtsp.values import RtpInfo, SessionId, Transport

__all__ = (
    "REASONS",
    "Authorization",
    "Challenge",
    "Credentials",
    "Headers",
    "Interleaved",
    "Limits",
    "MediaDescription",
    "Message",
    "Request",
    "Response",
    "RtpInfo",
    "RtpMap",
    "RtspError",
    "RtspParser",
    "SessionDescription",
    "SessionId",
    "Transport",
    "answer",
    "control_url",
)
