"""File descriptors of this process: how many it may have open, and how many its children should get."""

import resource
from functools import cache

__all__ = ("MOST_DESCRIPTORS", "descriptor_limit", "inherited_descriptor_limit", "raise_descriptor_limit")

#: More would serve nobody here, and programs that walk over all possible descriptors become slow (select(2) users,
#: closefrom loops).
MOST_DESCRIPTORS = 65_536


def descriptor_limit() -> int:
    """Return the soft limit that holds now; `MOST_DESCRIPTORS` where there is none."""
    return _counted(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


@cache
def inherited_descriptor_limit() -> int:
    """Return the soft limit that this process was started with.

    The kernel forgets it when it is raised: the first call, which `raise_descriptor_limit` makes, remembers it.
    """
    return descriptor_limit()


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard one, at most to `MOST_DESCRIPTORS`, and return what holds then.

    The soft limit is 1024 on most systems, for programs that use select(2). This process does not; its children may,
    so `agent_core.base.processes` gives them the inherited limit back.
    """
    inherited = inherited_descriptor_limit()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(_counted(hard), MOST_DESCRIPTORS)
    if wanted > inherited:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return descriptor_limit()


def _counted(limit: int) -> int:
    return MOST_DESCRIPTORS if limit == resource.RLIM_INFINITY else limit
