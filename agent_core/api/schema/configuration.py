"""Results of the methods about the configuration."""

from pydantic import Field

from agent_core.plugin import RpcResult

__all__ = ("ReloadForm",)


class ReloadForm(RpcResult):
    """Result of a reload; keys have their tables, such as `server.max_calls`."""

    changed: list[str] = Field(description="keys whose new values are in effect")
    needs_restart: list[str] = Field(
        description="keys whose new values take effect at the next start of the agent"
    )
    notes: list[str] = Field(
        description="sentences about settings that take effect and do not decide at the moment"
    )
    errors: list[str] = Field(
        description="sentences about parts that failed to take over their settings; the others have done so"
    )
