"""Changes of the overlay: install, remove and rebuild plugins, each as a whole or not at all."""

import fcntl
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from agent_core.base.files import make_folder
from agent_core.cli.exits import CommandFailed, UsageFailed
from agent_core.cli.overlay.build import (
    Build,
    new_build,
    reachable,
    remove_leftovers,
    remove_other_tags,
    swap_in,
)
from agent_core.cli.overlay.contents import (
    agents_versions,
    offered_plugins,
    refuse_clashes,
    refuse_replacements,
)
from agent_core.cli.overlay.pip import Sources
from agent_core.cli.overlay.trial import Trial, try_plugins
from agent_core.cli.overlay.wheels import forget_wheels, keep_wheel
from agent_core.plugin_host.models import PluginStatus
from agent_core.plugin_host.overlay.place import Place, find_fault
from agent_core.plugin_host.overlay.wanted import built_for, overlay_distributions, read_wanted

__all__ = ("Outcome", "PluginChanges", "require_owner")

Wanted = dict[NormalizedName, Requirement]

#: Reasons of a failed trial that do not speak against the distribution.
_OF_THE_CONFIGURATION = frozenset({"", "wrong_settings", "quarantined"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """Overlay after a change.

    Attributes:
        statuses: its plugins, as the trial left them.
        dists: name and version of the distribution of each plugin.
        skipped: names of files that would have run code at each start of Python, and were left out.
    """

    statuses: tuple[PluginStatus, ...]
    dists: Mapping[str, str]
    skipped: tuple[str, ...] = ()


def require_owner(place: Place) -> None:
    """Refuse an account that does not own the agent's code.

    Raises:
        CommandFailed: it is not root, nor the owner of the checkout or environment that the agent runs from.
    """
    if os.geteuid() not in place.owners:
        raise CommandFailed(
            f"Only root may change the plugins in {place.root}."
            if place.is_packaged
            else f"Only root and the owner of {place.libraries} may change the plugins.",
            reason="not_root",
            suggestion="Run the command as root, for example with sudo.",
        )


@contextmanager
def _changing(place: Place) -> Iterator[None]:
    """Hold the lock of the overlay; make its folder if there is none.

    Raises:
        CommandFailed: another command holds the lock, or the overlay may not be used.
    """
    require_owner(place)
    os.umask(0o022)  # the agent's account reads what this process and its children write
    make_folder(place.root, 0o755)
    if fault := find_fault(place):
        raise CommandFailed(
            f"The plugins are not changed: {fault}.",
            reason="overlay_refused",
            suggestion=f"Find out who changed it, then run chown -R root: and chmod -R go-w on {place.root}.",
        )
    descriptor = os.open(place.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor)
        remove_leftovers(place)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CommandFailed(
            "Another command changes the plugins.", reason="plugins_busy", suggestion="Wait for its end."
        ) from error


class PluginChanges:
    """Changes of one overlay; all blocking calls are short but for those of pip, which runs in a child.

    Args:
        place: the agent's place.
        files: the configuration files, for the trial of the plugins.
        sources: where pip looks for distributions.
    """

    def __init__(self, place: Place, files: Sequence[Path], sources: Sources) -> None:
        self._place = place
        self._files = files
        self._sources = sources

    async def install(self, items: Sequence[str]) -> Outcome:
        """Install distributions, or other versions of them, beside those that are wanted already.

        Args:
            items: requirements like `name` or `name==1.2`, and paths of wheels.

        Raises:
            CommandFailed, UsageFailed, OSError: nothing was changed.
        """
        versions = agents_versions(self._place)
        with _changing(self._place):
            before = read_wanted(self._place)
            try:
                requested = self._requested(items, versions)
                wanted = before | requested
                with new_build(self._place) as build:
                    build.copy_present(requested.keys() | versions.keys())
                    outcome = await self._fill(build, wanted, versions)
                    refuse_clashes(build.site_packages, self._place.site_packages)
                    await self._judge(build, outcome, wanted, requested.keys())
                    self._adopt(build, wanted)
            except BaseException:
                forget_wheels(self._place, before.values())
                raise
        return outcome

    async def sync(self) -> Outcome:
        """Build all that is wanted anew, for this version of Python and of the agent. Raises as `install`.

        A plugin that cannot be used is among the result: it keeps the others from nothing.
        """
        versions = agents_versions(self._place)
        with _changing(self._place):
            wanted = read_wanted(self._place)
            with new_build(self._place) as build:
                outcome = await self._fill(build, wanted, versions)
                self._adopt(build, wanted)
            remove_other_tags(self._place)
        return outcome

    async def remove(self, names: Sequence[str]) -> tuple[str, ...]:
        """Remove distributions, named by themselves or by their plugin, with the libraries that only they need.

        Returns:
            The names of the plugins that are gone.

        Raises:
            CommandFailed, OSError: nothing was changed.
        """
        versions = agents_versions(self._place)
        with _changing(self._place):
            wanted, offered = read_wanted(self._place), offered_plugins(self._place.site_packages)
            gone = {_find(name, wanted, offered) for name in names}
            kept = {name: each for name, each in wanted.items() if name not in gone}
            with new_build(self._place) as build:
                if {str(each) for each in kept.values()} <= built_for(self._place.link):
                    build.copy_present(frozenset())
                    build.tidy(kept.values())
                else:
                    await self._fill(build, kept, versions)
                remaining = offered_plugins(build.site_packages)
                self._adopt(build, kept)
        return tuple(sorted(offered.keys() - remaining.keys()))

    def _requested(self, items: Sequence[str], versions: Mapping[NormalizedName, str]) -> Wanted:
        found: Wanted = {}
        for item in items:
            is_file = (item.endswith(".whl") or "/" in item) and "://" not in item
            each = keep_wheel(self._place, Path(item)) if is_file else _requirement(item)
            name = canonicalize_name(each.name)
            if name in versions:
                raise CommandFailed(
                    f"{each.name} is part of the agent, in version {versions[name]}.",
                    reason="part_of_agent",
                    suggestion="Upgrade the agent to get another version.",
                )
            found[name] = each
        return found

    async def _fill(self, build: Build, wanted: Wanted, versions: Mapping[NormalizedName, str]) -> Outcome:
        """Install into a build, check what is in it, and try its plugins."""
        if wanted:
            await build.install(wanted.values(), versions, self._sources)
        skipped = build.tidy(wanted.values())
        refuse_replacements(self._place, build.site_packages, versions)
        offered = offered_plugins(build.site_packages)
        trial = await self._try(build.site_packages, sorted(offered))
        if trial.unmet:
            raise CommandFailed(
                f"The plugins do not fit the agent: {'; '.join(trial.unmet)}.",
                reason="requirements_unmet",
                suggestion="Install a version of the plugin for this agent's versions.",
            )
        dists = {name: f"{each.name} {each.version}" for name, each in offered.items()}
        return Outcome(trial.statuses, dists, tuple(skipped))

    async def _try(self, overlay: Path, names: Sequence[str]) -> Trial:
        return await try_plugins(self._place, overlay, names, self._files) if names else Trial((), ())

    async def _judge(
        self, build: Build, outcome: Outcome, wanted: Wanted, requested: Collection[NormalizedName]
    ) -> None:
        """Refuse a build whose requested distributions offer no usable plugin, or that breaks another one."""
        offered = offered_plugins(build.site_packages)
        offering = {canonicalize_name(each.name) for each in offered.values()}
        others = [each for name, each in wanted.items() if name in offering]
        needed = reachable(others, overlay_distributions(build.site_packages))
        for name in requested:
            if name not in needed:
                raise CommandFailed(
                    f"{wanted[name].name} offers no plugin.",
                    reason="no_plugin",
                    suggestion="Name a distribution with an entry point in the group camera_agent.plugins.",
                )
        failed = [each for each in outcome.statuses if each.reason not in _OF_THE_CONFIGURATION]
        theirs = [each for each in failed if canonicalize_name(offered[each.name].name) not in requested]
        before = (
            (await self._try(self._place.site_packages, [each.name for each in theirs])) if theirs else None
        )
        for each in failed:
            was = before.status(each.name) if before is not None else None
            if was is None or was.reason in _OF_THE_CONFIGURATION:
                raise CommandFailed(each.details, reason=each.reason, suggestion=each.suggestion)

    def _adopt(self, build: Build, wanted: Wanted) -> None:
        build.finish(wanted.values())
        swap_in(build, wanted.values())
        forget_wheels(self._place, wanted.values())


def _requirement(text: str) -> Requirement:
    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        raise UsageFailed(f"'{text}' is neither a distribution nor the path of a wheel.") from error
    if found.url is not None:
        raise UsageFailed(
            f"'{text}' names an address.", suggestion="Download the wheel, and give the path of the file."
        )
    return found


def _find(name: str, wanted: Wanted, offered: Mapping[str, object]) -> NormalizedName:
    """Return the wanted distribution that is called `name` or offers the plugin `name`."""
    from importlib.metadata import Distribution

    dist = offered.get(name)
    found = canonicalize_name(dist.name if isinstance(dist, Distribution) else name)
    if found in wanted:
        return found
    known: Iterable[str] = sorted(wanted)
    raise CommandFailed(
        f"{name} is not among the installed plugins.",
        reason="not_installed",
        suggestion=f"Installed are: {', '.join(known) or 'none'}.",
    )
