"""Provenance of installed plugins: the agent's package, the overlay, or another place; safe mode loads only the first."""

import json
from collections.abc import Iterable
from enum import StrEnum
from importlib.metadata import Distribution, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from agent_core.base.errors import PluginError
from agent_core.plugin_host.overlay.place import Place
from agent_core.plugin_host.selection import ENTRY_POINT_GROUP

__all__ = ("Origin", "barred_in_safe_mode", "find_origin")

_AGENT = "camera-agent"


class Origin(StrEnum):
    """Place that an installed plugin comes from."""

    #: The folder of the agent's own libraries, as Debian packages fill it.
    PACKAGE = "package"
    #: The overlay, filled by `camera-agent plugins install`.
    OVERLAY = "overlay"
    #: The checkout that the agent runs from.
    CHECKOUT = "checkout"
    #: The Python environment that the agent runs in.
    ENVIRONMENT = "environment"
    #: Another folder of the search path, such as Debian's dist-packages.
    OTHER = "other"


def find_origin(found: Distribution | None, place: Place) -> Origin:
    """Return the place that the distribution of a plugin comes from."""
    if found is None:
        return Origin.OTHER
    folder = Path(str(found.locate_file("")))
    if folder == place.site_packages:
        return Origin.OVERLAY
    if folder != place.libraries:
        return Origin.OTHER
    if place.is_packaged:
        return Origin.PACKAGE
    source, checkout = _editable_source(found), _editable_source(_agents_distribution())
    is_ours = source is not None and checkout is not None and source.is_relative_to(checkout)
    return Origin.CHECKOUT if is_ours else Origin.ENVIRONMENT


def _agents_distribution() -> Distribution | None:
    try:
        return distribution(_AGENT)
    except PackageNotFoundError:
        return None


def _editable_source(found: Distribution | None) -> Path | None:
    """Return the folder of a distribution that is installed as editable (PEP 660); None for another one."""
    text = found.read_text("direct_url.json") if found is not None else None
    try:
        source = json.loads(text or "{}")
        is_editable = source.get("dir_info", {}).get("editable") is True
        return Path(unquote(urlsplit(source["url"]).path)) if is_editable else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def barred_in_safe_mode(names: Iterable[str], place: Place) -> dict[str, PluginError]:
    """Return the plugins of `names` that did not come with the agent, each with the refusal of safe mode."""
    ours = find_origin(_agents_distribution(), place)
    packaged = _packaged_names(place)
    bundled = {
        each.name
        for each in entry_points(group=ENTRY_POINT_GROUP)
        if each.dist is not None
        and find_origin(each.dist, place) is ours
        and (not packaged or canonicalize_name(each.dist.name) in packaged)
    }
    return {
        name: PluginError(
            f"The plugin '{name}' did not come with the agent, which runs in safe mode.",
            reason="safe_mode",
            suggestion="Run the agent without --safe-mode to load it.",
        )
        for name in names
        if name not in bundled
    }


def _packaged_names(place: Place) -> frozenset[str]:
    """Return the names of the distributions in the agent's packages; Debian packages of others use the same folder."""
    if not place.is_packaged:
        return frozenset()
    lines = place.constraints.read_text().splitlines()
    return frozenset(canonicalize_name(Requirement(line).name) for line in lines if line.strip())
