"""Results of the methods about storage.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass

from agent_core.client.results.words import PolicyType

__all__ = ("CleanupForm", "RetentionForm", "StorageInfoForm")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionForm:
    """The policy as it was stored. Without one, `manual` and not enabled: the limits of the configuration apply."""

    policy_type: PolicyType
    enabled: bool
    max_age_days: float | None = None
    max_size_gb: float | None = None
    #: the limits that are in force now
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageInfoForm:
    """All sizes are in bytes; the first four fields are about the disk for recordings."""

    total_space: int
    used_space: int
    #: free for the agent's account
    available_space: int
    #: used part of the used and available space
    usage_percentage: float
    #: all recordings; left out while the agent counts them, at its start
    recordings_size: int | None = None
    #: all snapshots; left out while the agent counts them, or their disk is not there
    snapshots_size: int | None = None
    #: the disk for recordings or that for snapshots has less than health.low_space_bytes available
    low_space_warning: bool
    #: hours until the disk for recordings is full at the present rate; left out while nothing is recorded
    hours_left: float | None = None
    #: policy of deletion, and the limits that are in force
    retention: RetentionForm


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupForm:
    #: false if there is no limit to apply
    cleanup_executed: bool
    #: deleted snapshots and recordings; a recording counts as one file
    files_deleted: int
    #: bytes
    space_freed: int
    message: str
