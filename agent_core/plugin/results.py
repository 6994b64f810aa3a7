"""Check of the endpoints that a media server returns: foreign code may return anything."""

from agent_core.base.errors import PluginError
from agent_core.base.field_rules import kind_of
from agent_core.plugin.abc import MediaServerEndpoints

__all__ = ("checked_endpoints",)


def checked_endpoints(value: MediaServerEndpoints) -> MediaServerEndpoints:
    """Return `value`, which `wait_endpoints` of a media server returned.

    Raises:
        PluginError: it has no addresses that can be used.
    """
    for name in ("api_url", "rtsp_url"):
        url: object = getattr(value, name, None)
        if not (isinstance(url, str) and "://" in url):
            raise PluginError(
                f"The media server's wait_endpoints() returned {kind_of(value)}, whose {name} is no address.",
                reason="wrong_endpoints",
            )
    from agent_core.plugin.rtsp import Credentials  # here: an agent without a media server never needs it

    credentials: object = getattr(value, "credentials", None)
    if credentials is not None and not isinstance(credentials, Credentials):
        raise PluginError(
            f"The media server's wait_endpoints() returned {kind_of(value)}, whose credentials are none.",
            reason="wrong_endpoints",
        )
    return value
