"""Results of the methods about configuration.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass

__all__ = ("ReloadForm",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadForm:
    """Result of a reload; keys have their tables, such as `server.max_calls`."""

    #: keys whose new values are in effect
    changed: list[str]
    #: keys whose new values take effect at the next start of the agent
    needs_restart: list[str]
    #: sentences about settings that take effect and do not decide at the moment
    notes: list[str]
    #: sentences about parts that failed to take over their settings; the others have done so
    errors: list[str]
