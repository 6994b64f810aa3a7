"""Checks of the pages that plugins offer. Apart from the other checks, so that an agent without pages loads no Starlette."""

import re
from collections.abc import Sequence

from agent_core.base.errors import PluginError
from agent_core.plugin.web import WebFiles, WebRoutes
from agent_core.plugin_host.models import Providers

__all__ = ("check_pages",)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_ROLES = ("viewer", "operator", "admin")
#: Page without a name.
_INDEX = "index.html"


def check_pages(providers: Providers, others: Sequence[Providers]) -> None:
    """Check the pages of a plugin. Blocks on the disk.

    Raises:
        PluginError: a role, route or folder is unusable, or another plugin has claimed the root.
    """
    plugin = providers.plugin
    if providers.pages and not _NAME.fullmatch(plugin):
        raise _wrong(plugin, "its name cannot be a part of an address", "Rename the plugin.")
    for part in providers.pages:
        if isinstance(part, WebRoutes):
            _check_routes(plugin, part)
        elif isinstance(part, WebFiles):
            _check_files(plugin, part)
    _check_root(providers, others)


def _check_routes(plugin: str, part: WebRoutes) -> None:
    from starlette.routing import Route

    if part.role not in _ROLES:
        raise _wrong(plugin, f"the role {part.role!r} is unknown", f"Use one of {', '.join(_ROLES)}.")
    for each in part.routes:
        kind: object = each
        if not isinstance(kind, Route):
            raise _wrong(plugin, f"a {type(each).__name__} is not a Route", "Use starlette.routing.Route.")
        if not each.path.startswith("/"):
            raise _wrong(plugin, f"the path {each.path!r} is not absolute", "Begin it with a slash.")


def _check_files(plugin: str, part: WebFiles) -> None:
    if not (part.folder / _INDEX).is_file():
        raise _wrong(plugin, f"its folder of files has no {_INDEX}", "Ship the files with the package.")


def _check_root(providers: Providers, others: Sequence[Providers]) -> None:
    claims = [each for each in providers.pages if isinstance(each, WebFiles) and each.claims_root]
    holders = [
        other.plugin
        for other in others
        if any(isinstance(each, WebFiles) and each.claims_root for each in other.pages)
    ]
    if len(claims) > 1 or (claims and holders):
        holder = holders[0] if holders else providers.plugin
        raise PluginError(
            f"The plugin '{providers.plugin}' claims the page at /, which the plugin '{holder}' has.",
            reason="name_clash",
            suggestion="Enable only one of the plugins that claim it.",
        )


def _wrong(plugin: str, fault: str, suggestion: str) -> PluginError:
    return PluginError(
        f"The plugin '{plugin}' cannot have pages: {fault}.", reason="wrong_page", suggestion=suggestion
    )
