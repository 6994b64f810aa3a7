"""Parameters and results of the methods about stored media as a whole."""

from typing import Annotated

from pydantic import Field, FiniteFloat

from agent_core.media.retention.policy import MAX_GB, PolicyType
from agent_core.plugin import RpcParams, RpcResult

__all__ = ("CleanupForm", "RetentionForm", "RetentionParams", "StorageInfoForm")

#: Beyond this, no date exists.
_MAX_DAYS = 36_500


class RetentionForm(RpcResult):
    """The policy as it was stored. Without one, `manual` and not enabled: the limits of the configuration apply."""

    policy_type: PolicyType
    enabled: bool
    max_age_days: float | None = None
    max_size_gb: float | None = None
    message: str = Field(description="the limits that are in force now")


class StorageInfoForm(RpcResult):
    """All sizes are in bytes; the first four fields are about the disk for recordings."""

    total_space: int
    used_space: int
    available_space: int = Field(description="free for the agent's account")
    usage_percentage: float = Field(description="used part of the used and available space")
    recordings_size: int | None = Field(
        None, description="all recordings; left out while the agent counts them, at its start"
    )
    snapshots_size: int | None = Field(
        None, description="all snapshots; left out while the agent counts them, or their disk is not there"
    )
    low_space_warning: bool = Field(
        description="the disk for recordings or that for snapshots has less than health.low_space_bytes available"
    )
    hours_left: float | None = Field(
        None,
        description="hours until the disk for recordings is full at the present rate; left out while nothing is recorded",
    )
    retention: RetentionForm = Field(description="policy of deletion, and the limits that are in force")


class RetentionParams(RpcParams):
    policy_type: PolicyType = Field(
        description="enabled, age needs max_age_days and size max_size_gb; manual: only cleanup_old_files deletes; the limit of another type is accepted and not applied"
    )
    enabled: bool = Field(description="false: the limits of the configuration apply, and not this policy")
    max_age_days: Annotated[FiniteFloat, Field(gt=0, le=_MAX_DAYS)] | None = Field(
        None, description="age at which recordings and snapshots are deleted"
    )
    max_size_gb: Annotated[FiniteFloat, Field(gt=0, le=MAX_GB)] | None = Field(
        None, description="most gigabytes (10^9 bytes) of recordings and snapshots together"
    )


class CleanupForm(RpcResult):
    cleanup_executed: bool = Field(description="false if there is no limit to apply")
    files_deleted: int = Field(description="deleted snapshots and recordings; a recording counts as one file")
    space_freed: int = Field(description="bytes")
    message: str
