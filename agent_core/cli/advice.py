"""Next step after an error, in terms of the command line.

The agent's suggestions are for programs and name calls and parameters: here these become commands and options.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Union

from agent_core.base.errors import AgentError, AuthenticationFailed, InvalidParams

if TYPE_CHECKING:
    from agent_core.client.errors import ClientError

__all__ = ("next_step",)

#: Codes of the wire contract.
_METHOD_NOT_FOUND, _INVALID_PARAMS = -32601, -32602
_AUTHENTICATION_FAILED, _PERMISSION_DENIED, _RATE_LIMITED = -32001, -32002, -32040
_CREDENTIALS_STEP = (
    "Give a valid token with --token-file or in CAMERA_AGENT_TOKEN; on the agent's host `camera-agent token create` "
    "makes one, and --config names the configuration if the agent does not use the usual one."
)
_USAGE = "Run the command with --help, or `camera-agent call rpc.discover` for all calls and parameters."
#: For example "Call take_snapshot" in a suggestion of the agent.
_CALL = re.compile(r"\b([Cc])all ([a-z]+(?:[._][a-z]+)+)\b")
#: Commands for calls; other calls are made by `camera-agent call`.
_COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "get_camera_list": "cameras",
        "get_streams": "streams",
        "list_recordings": "recordings",
        "start_recording": "record start CAMERA",
        "stop_recording": "record stop CAMERA",
        "take_snapshot": "snapshot CAMERA -o FILE",
    }
)


def next_step(error: Union[AgentError, "ClientError"]) -> str:
    """Return the next step for `error`, from its hint or else its suggestion, as a command or an option."""
    code, data = _wire(error)
    if code == _AUTHENTICATION_FAILED:
        return _authentication(error)
    if code == _PERMISSION_DENIED and (role := data.get("required_role")):
        return f"Use a token with the role {role}; `camera-agent token create --role {role}` makes one on the agent's host."
    if code == _RATE_LIMITED and isinstance(wait_ms := data.get("retry_after_ms"), int):
        return f"Wait {max(1, round(wait_ms / 1000))} s, then try again."
    if code in {_METHOD_NOT_FOUND, _INVALID_PARAMS}:
        return _hinted(data, error.details)
    return _as_commands(error.suggestion)


def _wire(error: Union[AgentError, "ClientError"]) -> tuple[int, Mapping[str, Any]]:
    """Return the code and data of the error on the wire; for a local error, as they would be."""
    if isinstance(error, AuthenticationFailed):
        return _AUTHENTICATION_FAILED, {}
    if isinstance(error, InvalidParams):
        return _INVALID_PARAMS, error.data()
    return getattr(error, "code", 0), getattr(error, "data", {})


def _authentication(error: Union[AgentError, "ClientError"]) -> str:
    """Return the error's own suggestion if it was made on this host; the agent's one is for programs."""
    is_own = isinstance(error, AuthenticationFailed) and error.suggestion != error.default_suggestion
    return error.suggestion if is_own else _CREDENTIALS_STEP


def _hinted(data: Mapping[str, Any], details: str) -> str:
    hint = str(data.get("hint") or "").strip()
    if not hint or hint.rstrip(".") in details:
        return _USAGE
    return f"{_as_commands(hint)}{'' if hint.endswith(('.', '?')) else '.'} {_USAGE}"


def _as_commands(text: str) -> str:
    def command(found: re.Match[str]) -> str:
        name = _COMMANDS.get(found[2], f"call {found[2]}")
        return f"{'Run' if found[1] == 'C' else 'run'} `camera-agent {name}`"

    return _CALL.sub(command, text)
