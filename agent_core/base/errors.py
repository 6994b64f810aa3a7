"""Tree of the errors that the agent raises on purpose.

* AgentError
  x ConfigError                 the configuration cannot be used
  x StartFailed                 the agent cannot start (a busy port, an unwritable folder)
  x PluginError                 one plugin cannot be used; the others can
  x InvalidParams               a caller's argument does not validate
  x AuthenticationFailed        missing, wrong or expired credentials
  x PermissionDenied            the caller's role is too low
  x NotFound                    no such camera, stream, recording, snapshot
  x InvalidState                not possible in the current state
  x Unsupported                 a feature that is not installed, not enabled or not built
  x RateLimited                 too many requests
  + DependencyFailed            something the agent relies on failed
    - FfmpegFailed              FFmpeg is missing or ended with an error
    - StorageFailed             a disk or folder refused
    - StateCorrupt              one of the agent's own state files cannot be read
      - LaterState              a later version of the agent has written it
    + MediaServerError          the media server gave an unusable answer
      - MediaServerUnavailable  unreachable, too slow, or answered 5xx: the same call may work later
      - MediaServerRefused      answered 4xx: the same call will be refused again
    + CaptureFailed             a camera gave no usable picture
      - TierUnavailable         this tier cannot serve now; another may

Each error carries three texts for the client: `reason`, a stable snake_case word; `details`, a sentence; `suggestion`,
the next step. `agent_core.rpc.errors` maps the classes to wire codes.
"""

from collections.abc import Sequence

__all__ = (
    "AgentError",
    "AuthenticationFailed",
    "CaptureFailed",
    "ConfigError",
    "DependencyFailed",
    "FfmpegFailed",
    "InvalidParams",
    "InvalidState",
    "LaterState",
    "MediaServerError",
    "MediaServerRefused",
    "MediaServerUnavailable",
    "NotFound",
    "PermissionDenied",
    "PluginError",
    "RateLimited",
    "StartFailed",
    "StateCorrupt",
    "StorageFailed",
    "TierUnavailable",
    "Unsupported",
)


class AgentError(Exception):
    """Root of the tree.

    Args:
        details: one sentence for the client's user; no device path, no secret.
        reason: a stable snake_case word that programs may compare.
        suggestion: the next step, one sentence.
    """

    default_reason = "error"
    default_suggestion = "See the agent's log for more."

    def __init__(self, details: str, *, reason: str | None = None, suggestion: str | None = None) -> None:
        super().__init__(details)
        self.details = details
        self.reason = reason or self.default_reason
        self.suggestion = suggestion or self.default_suggestion

    def data(self) -> dict[str, object]:
        """Return the error's further members on the wire, besides reason, details and suggestion."""
        return {}


class ConfigError(AgentError):
    """Fault of the configuration; `location` leads to the value, table by table, and is empty for no single value."""

    default_reason = "invalid_configuration"
    default_suggestion = "Run `camera-agent check-config` after correcting the file."

    def __init__(
        self,
        details: str,
        *,
        reason: str | None = None,
        suggestion: str | None = None,
        location: Sequence[int | str] = (),
    ) -> None:
        super().__init__(details, reason=reason, suggestion=suggestion)
        self.location = tuple(location)


class StartFailed(AgentError):
    default_reason = "start_failed"


class PluginError(AgentError):
    default_reason = "plugin_failed"
    default_suggestion = "Run `camera-agent plugins check` on the agent's host."


class InvalidParams(AgentError):
    """Invalid argument: `param` names it, `rule` is the rule it breaks, `hint` the nearest valid value or form."""

    default_reason = "invalid_params"
    default_suggestion = "Compare the call with its schema in rpc.discover."

    def __init__(
        self, details: str, *, param: str, rule: str, hint: str = "", suggestion: str | None = None
    ) -> None:
        super().__init__(details, suggestion=suggestion)
        self.param = param
        self.rule = rule
        self.hint = hint

    def data(self) -> dict[str, object]:
        return {"param": self.param, "rule": self.rule, "hint": self.hint}


class AuthenticationFailed(AgentError):
    default_reason = "not_authenticated"
    default_suggestion = "Call authenticate with a valid token; `camera-agent token create` makes one."


class PermissionDenied(AgentError):
    default_reason = "role_too_low"
    default_suggestion = "Authenticate with a token of the required role."

    def __init__(self, details: str, *, required_role: str, have_role: str) -> None:
        super().__init__(details)
        self.required_role = required_role
        self.have_role = have_role

    def data(self) -> dict[str, object]:
        return {"required_role": self.required_role, "have_role": self.have_role}


class NotFound(AgentError):
    default_reason = "not_found"
    default_suggestion = "List what exists first; names are case-sensitive."

    def __init__(self, details: str, *, resource: str, id: str, suggestion: str | None = None) -> None:  # noqa: A002 - the wire's name
        super().__init__(details, reason=f"{resource}_not_found", suggestion=suggestion)
        self.resource = resource
        self.id = id

    def data(self) -> dict[str, object]:
        return {"resource": self.resource, "id": self.id}


class InvalidState(AgentError):
    default_reason = "invalid_state"
    default_suggestion = "Wait for one of the allowed states, or undo the call that led to this state."

    def __init__(
        self,
        details: str,
        *,
        state: str,
        allowed_states: Sequence[str],
        reason: str | None = None,
        suggestion: str | None = None,
    ) -> None:
        super().__init__(details, reason=reason, suggestion=suggestion)
        self.state = state
        self.allowed_states = tuple(allowed_states)

    def data(self) -> dict[str, object]:
        return {"state": self.state, "allowed_states": list(self.allowed_states)}


class Unsupported(AgentError):
    default_reason = "unsupported"
    default_suggestion = "Enable the plugin that provides this feature, or use another format."

    def __init__(
        self, details: str, *, feature: str, reason: str | None = None, suggestion: str | None = None
    ) -> None:
        super().__init__(details, reason=reason, suggestion=suggestion)
        self.feature = feature

    def data(self) -> dict[str, object]:
        return {"feature": self.feature}


class RateLimited(AgentError):
    default_reason = "rate_limited"
    default_suggestion = "Wait for retry_after_ms, then try again."

    def __init__(self, details: str, *, retry_after_ms: int, reason: str | None = None) -> None:
        super().__init__(details, reason=reason)
        self.retry_after_ms = retry_after_ms

    def data(self) -> dict[str, object]:
        return {"retry_after_ms": self.retry_after_ms}


class DependencyFailed(AgentError):
    """Failure of `dependency` (`ffmpeg`, `storage`, `camera`, ...); `detail` is its own message, redacted."""

    default_reason = "dependency_failed"
    dependency = "unknown"

    def __init__(
        self,
        details: str,
        *,
        reason: str | None = None,
        suggestion: str | None = None,
        dependency: str | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(details, reason=reason, suggestion=suggestion)
        self.dependency = dependency or type(self).dependency
        self.detail = detail

    def data(self) -> dict[str, object]:
        return {"dependency": self.dependency, "detail": self.detail}


class FfmpegFailed(DependencyFailed):
    default_reason = "ffmpeg_failed"
    default_suggestion = "Run `camera-agent plugins check`; the log has FFmpeg's last lines."
    dependency = "ffmpeg"


class StorageFailed(DependencyFailed):
    default_reason = "storage_failed"
    default_suggestion = "Check the folder's permissions and the free space of its disk."
    dependency = "storage"


class StateCorrupt(DependencyFailed):
    default_reason = "state_corrupt"
    dependency = "state"


class LaterState(StateCorrupt):
    default_reason = "state_later_version"


class MediaServerError(DependencyFailed):
    default_reason = "media_server_failed"
    default_suggestion = "See the media server's log."
    dependency = "media_server"


class MediaServerUnavailable(MediaServerError):
    default_reason = "media_server_unavailable"
    default_suggestion = "Check that the media server runs and that its API address is the configured one."


class MediaServerRefused(MediaServerError):
    """Request that reached the server and was refused.

    Args:
        method: method of HTTP or RTSP.
        path: the request's path, without host, query or credentials.
        status: the response's status.
        server_text: the server's message. It may name files and addresses of its host, so clients receive only
            `detail`.
    """

    default_reason = "media_server_refused"

    def __init__(
        self,
        details: str,
        *,
        method: str,
        path: str,
        status: int,
        server_text: str = "",
        reason: str | None = None,
        suggestion: str | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(details, reason=reason, suggestion=suggestion, detail=detail)
        self.method = method
        self.path = path
        self.status = status
        self.server_text = server_text

    def data(self) -> dict[str, object]:
        return {**super().data(), "method": self.method, "path": self.path, "status": self.status}


class CaptureFailed(DependencyFailed):
    default_reason = "capture_failed"
    default_suggestion = "Check that the camera is connected and delivers pictures."
    dependency = "camera"


class TierUnavailable(CaptureFailed):
    default_reason = "tier_unavailable"
