"""Checks of what plugins offer: providers, their names and ranks, topics, publishers."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from agent_core.base.containment import contained
from agent_core.base.errors import PluginError
from agent_core.base.field_rules import Rule, first_breach, kind_of, tuple_of
from agent_core.plugin.abc import Publisher, SnapshotTier, TierNeed
from agent_core.plugin_host.models import Providers

__all__ = ("check_names", "checked_publisher", "checked_topics", "typed")

T = TypeVar("T")

#: Highest rank of a snapshot tier; `snapshots.tier_budget_s` has a budget for each rank.
_HIGHEST_RANK = 3
_PUBLISHER: Mapping[str, Rule] = MappingProxyType(
    {
        "argv": ("a tuple of words", lambda value: bool(value) and tuple_of(str)(value)),
        "redacted": ("a text", lambda value: isinstance(value, str)),
        "reports_progress": ("a bool", lambda value: isinstance(value, bool)),
    }
)


def typed(name: str, hook: str, kind: type[T], offered: Iterable[object] | None) -> tuple[T, ...]:
    """Return the providers that a hook of the plugin `name` offers.

    Raises:
        PluginError: one is not of the class `kind`, or the iteration failed.
    """
    with contained(f"The hook {hook} of the plugin '{name}'"):
        found = tuple(offered or ())
    for each in found:
        if not isinstance(each, kind):
            raise PluginError(
                f"The hook {hook} of the plugin '{name}' returned a {type(each).__name__}, not a {kind.__name__}.",
                reason="wrong_provider",
            )
    return found  # type: ignore[return-value] # checked above


def checked_topics(name: str, topics: object) -> tuple[str, ...]:
    """Return the topics that the plugin `name` has for its events.

    Raises:
        PluginError: they are not texts.
    """
    if isinstance(topics, tuple | list) and all(isinstance(each, str) for each in topics):
        return tuple(topics)
    raise PluginError(
        f"The topics of the plugin '{name}' are not a tuple of strings.",
        reason="topic_refused",
        suggestion=f'Write topics = ("{name}.word",).',
    )


def check_names(providers: Providers, others: Sequence[Providers]) -> None:
    """Raise PluginError for a provider with an invalid or duplicate name, or a tier with an invalid rank or need.

    The ledger of cameras and the statuses identify sources and components by their names.
    """
    for kind, hook in (("sources", "camera source"), ("components", "component")):
        taken = {each.name: other.plugin for other in others for each in getattr(other, kind)}
        for each in getattr(providers, kind):
            _check_name(providers.plugin, hook, each.name)
            if each.name in taken:
                raise PluginError(
                    f"The plugin '{providers.plugin}' provides a {hook} {each.name}, but the plugin '{taken[each.name]}' has one of that name.",
                    reason="name_clash",
                    suggestion="Use only one of the two, or give the providers different names.",
                )
            taken[each.name] = providers.plugin
    for tier in providers.tiers:
        _check_name(providers.plugin, "snapshot tier", tier.name)
        _check_tier(providers.plugin, tier)


def _check_tier(plugin: str, tier: SnapshotTier) -> None:
    rank: object = tier.rank
    if not isinstance(rank, int) or isinstance(rank, bool) or not 0 <= rank <= _HIGHEST_RANK:
        raise PluginError(
            f"The snapshot tier {tier.name} of the plugin '{plugin}' has the invalid rank {rank!r}.",
            reason="wrong_rank",
            suggestion=f"Use a whole number from 0 (fastest) to {_HIGHEST_RANK}.",
        )
    needs: object = tier.needs
    if not isinstance(needs, TierNeed):
        raise PluginError(
            f"The snapshot tier {tier.name} of the plugin '{plugin}' has the invalid need {needs!r}.",
            reason="wrong_need",
            suggestion="Set needs to a TierNeed.",
        )


def _check_name(plugin: str, kind: str, name: object) -> None:
    if not (isinstance(name, str) and name.strip() and name.isprintable()):
        raise PluginError(
            f"A {kind} of the plugin '{plugin}' has the invalid name {name!r}.",
            reason="wrong_name",
            suggestion="Use a short printable word.",
        )


def checked_publisher(plugin: str, value: object) -> Publisher:
    """Return `value`, which the hook `agent_publisher` of `plugin` returned.

    Raises:
        PluginError: it is not a usable `Publisher`.
    """
    breach = first_breach(value, _PUBLISHER) if isinstance(value, Publisher) else ""
    if isinstance(value, Publisher) and not breach:
        return value
    fault = f"a Publisher {breach}" if breach else f"{kind_of(value)} instead of a Publisher"
    raise PluginError(
        f"The hook agent_publisher of the plugin '{plugin}' returned {fault}.", reason="wrong_provider"
    )
