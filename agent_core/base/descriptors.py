"""Limits of open file descriptors, for this process and its children."""

import resource
from functools import cache

__all__ = ("MOST_DESCRIPTORS", "descriptor_limit", "inherited_descriptor_limit", "raise_descriptor_limit")

#: The agent needs no more, and a higher limit slows programs that loop over all possible descriptors (closefrom).
MOST_DESCRIPTORS = 65_536


def descriptor_limit() -> int:
    """Return the current soft limit; `MOST_DESCRIPTORS` if it is infinite."""
    return _counted(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


@cache
def inherited_descriptor_limit() -> int:
    """Return the soft limit that this process was started with.

    The kernel does not keep it: the first call, made by `raise_descriptor_limit`, stores the limit before raising it.
    """
    return descriptor_limit()


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard one, at most to `MOST_DESCRIPTORS`; return the new soft limit.

    The soft limit is 1024 on most systems, for programs that use select(2). This process does not use it; its
    children may, so `agent_core.base.processes` restores the inherited limit for them.
    """
    inherited = inherited_descriptor_limit()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(_counted(hard), MOST_DESCRIPTORS)
    if wanted > inherited:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return descriptor_limit()


def _counted(limit: int) -> int:
    return MOST_DESCRIPTORS if limit == resource.RLIM_INFINITY else limit
