"""Fuzzed agent, seen from the wire: connections below the protocol, and the checks of all that the agent says."""

import json
import math
import socket
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
from jsonschema import Draft202012Validator

from agent_core.rpc.errors import CODES, INTERNAL_ERROR
from tests.e2e.fuzz_cases import ID, Frame

if TYPE_CHECKING:
    from tests.e2e.conftest import AgentProcess

#: Limit for an answer, on a loaded machine.
ANSWER_S = 30.0


class PeerClosed(Exception):
    """End of a connection, with the code of its close frame; 1006 without one."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class RawPeer:
    """Connection below the protocol: it sends bytes as they are, and reads frames."""

    def __init__(self, url: str, *, shakes_hands: bool = True) -> None:
        where = urlsplit(url)
        self.socket = socket.create_connection((where.hostname, where.port), ANSWER_S)
        self._host = f"{where.hostname}:{where.port}"
        self._received = b""
        if shakes_hands:
            self.shake_hands()

    def shake_hands(self) -> None:
        lines = [
            "GET /ws HTTP/1.1",
            f"Host: {self._host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._received:
            self._received += self._read()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")

    def _read(self) -> bytes:
        """Return what has arrived; empty at the end. A peer that is cut off with unread bytes sees a reset."""
        try:
            return self.socket.recv(1 << 16)
        except ConnectionResetError:
            return b""

    def frame(self) -> tuple[int, bytes] | None:
        """Return opcode and payload of the next frame; None at the end."""
        head = self._exactly(2)
        if head is None:
            return None
        assert head[0] & 0x70 == 0
        assert head[1] < 0x80
        size = head[1]
        if size > 125:
            wide = self._exactly(2 if size == 126 else 8)
            assert wide is not None
            size = int.from_bytes(wide, "big")
        payload = self._exactly(size)
        return None if payload is None else (head[0] & 0x0F, payload)

    def _exactly(self, size: int) -> bytes | None:
        while len(self._received) < size:
            more = self._read()
            if not more:
                return None
            self._received += more
        found, self._received = self._received[:size], self._received[size:]
        return found

    def send(self, text: str) -> None:
        """Send one message. Its mask is zero, which saves the work of masking."""
        self.socket.sendall(Frame(text.encode(), mask=bytes(4)).encoded())

    def receive(self) -> str:
        """Return the next message; answer pings meanwhile. Raises PeerClosed."""
        while (received := self.frame()) is not None:
            opcode, payload = received
            if opcode == 1:
                return payload.decode()
            if opcode == 8:
                raise PeerClosed(struct.unpack_from(">H", payload)[0] if payload else 1005)
            if opcode == 9:
                self.socket.sendall(Frame(payload, opcode=10).encoded())
        raise PeerClosed(1006)

    def close(self) -> None:
        self.socket.close()


@dataclass
class Wire:
    """A real agent, with the connection that the messages take; a closed one is replaced.

    Attributes:
        sent: cases so far.
        replies: received replies by error code; 0 is a result.
        memory_bytes: resident memory of the agent, after each message group.
    """

    agent: "AgentProcess"
    url: str
    token: str
    document: Any
    sent: int = 0
    replies: Counter[int] = field(default_factory=Counter)
    memory_bytes: list[int] = field(default_factory=list)
    _peer: RawPeer | None = None
    _log_seen: int = 0
    #: Cases numbered so far: no reply can be taken for one to another case.
    _numbered: int = 0

    @cached_property
    def results(self) -> Mapping[str, Draft202012Validator]:
        more = {"components": self.document["components"]}
        return {
            each["name"]: Draft202012Validator({**each["result"]["schema"], **more})
            for each in self.document["methods"]
        }

    @cached_property
    def events(self) -> Mapping[str, Sequence[tuple[str, bool]]]:
        described = self.document.get("x-notifications", self.document.get("x-events"))
        return {each["name"]: [(p["name"], p["required"]) for p in each["params"]] for each in described}

    @cached_property
    def codes(self) -> Mapping[int, str]:
        return {each.code: each.message for each in (*CODES.values(), INTERNAL_ERROR)}

    def connect(self) -> RawPeer:
        """Return a connection that has logged in."""
        peer = RawPeer(self.url)
        peer.send(request("login", "authenticate", auth_token=self.token))
        assert "result" in json.loads(peer.receive())
        return peer

    def peer(self) -> RawPeer:
        if self._peer is None:
            self._peer = self.connect()
        return self._peer

    def drop(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None

    def exchange(self, messages: Sequence[str]) -> None:
        """Send the messages at once, and check all that comes until each that must be answered has been.

        Raises:
            AssertionError: names the messages, without the plain one to which shrinking has brought most.
        """
        try:
            self._exchange(messages)
        except (AssertionError, KeyError, ValueError, PeerClosed, TimeoutError) as error:
            self.drop()  # the next attempt begins without remains of this one
            plain = Counter(messages).most_common(1)[0][0]
            special = [each for each in messages if each != plain]
            raise AssertionError(f"{error!r}\nof these among {plain}: {special}") from error
        self.sent += len(messages)
        self.memory_bytes.append(psutil.Process(self.agent.pid).memory_info().rss)

    def _exchange(self, messages: Sequence[str]) -> None:
        peer = self.peer()
        peer.send(request("login", "authenticate", auth_token=self.token))  # a wrong one may have come before
        methods, garbage = dict[str, str](), 0
        for message in messages:
            self._numbered += 1
            text = message.replace(ID, f"case-{self._numbered}")
            methods |= _calls(text)
            garbage += not _is_json(text)
            peer.send(text)
        peer.send(request("last", "ping"))
        waiting, answered_garbage = {*methods, "login", "last"}, 0
        while waiting:
            for reply in entries(peer.receive()):
                answered_garbage += self.check(reply, methods)
                waiting.discard(str(reply.get("id")))
        assert answered_garbage >= garbage, (answered_garbage, garbage)
        self.check_log()

    def check(self, message: Any, methods: Mapping[str, str]) -> bool:
        """Check the form of one message of the agent; return True for an error that names no call."""
        assert isinstance(message, dict)
        assert message["jsonrpc"] == "2.0"
        if "method" in message:
            self._check_event(message)
            return False
        assert set(message) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"}), message
        if "error" in message:
            self._check_error(message["error"])
            return message["id"] is None
        self.replies[0] += 1
        method = methods.get(str(message["id"]), "")
        if method in self.results:
            found = [str(each.message) for each in self.results[method].iter_errors(message["result"])]
            assert found == [], (method, message["result"])
        return False

    def _check_error(self, error: Any) -> None:
        self.replies[error["code"]] += 1
        assert error["code"] != INTERNAL_ERROR.code, error
        assert error["message"] == self.codes[error["code"]], error
        for name in ("reason", "details", "suggestion"):
            assert isinstance(error["data"][name], str)
            assert error["data"][name]

    def _check_event(self, message: Any) -> None:
        params = dict(self.events[message["method"]])
        assert (
            {name for name, required in params.items() if required}
            <= message["params"].keys()
            <= params.keys()
        )

    def check_log(self) -> None:
        """Check that the log, which has only errors, has none since the last look."""
        with (self.agent.folder / "log").open() as log:
            log.seek(self._log_seen)
            new = log.read()
            self._log_seen = log.tell()
        assert new == "", new


def request(call_id: str, method: str, **params: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": call_id, "method": method, "params": params})


def _finite(text: str) -> float:
    """Return the number. Raises ValueError for one that is too large, which the agent does not take for JSON."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_float=_finite)
    except (ValueError, RecursionError):
        return False
    return True


def _calls(text: str) -> dict[str, str]:
    """Return the methods, by id, of the calls in a message that must be answered under their ids."""
    try:
        value = json.loads(text, parse_float=_finite)
    except (ValueError, RecursionError):
        return {}
    ours = [each for each in (value if isinstance(value, list) else [value]) if _is_call(each)]
    ids = {each["id"] for each in ours}
    return {each["id"]: each["method"] for each in ours} if len(ids) == len(ours) else {}


def _is_call(value: Any) -> bool:
    if not isinstance(value, dict) or not {"jsonrpc", "id", "method"} <= value.keys():
        return False
    return (
        value.keys() <= {"jsonrpc", "id", "method", "params"}
        and value["jsonrpc"] == "2.0"
        and isinstance(value["id"], str)
        and value["id"].startswith("case-")
        and isinstance(value["method"], str)
        and isinstance(value.get("params", {}), dict | list)
    )


def entries(received: str) -> list[Any]:
    value = json.loads(received)
    return value if isinstance(value, list) else [value]
