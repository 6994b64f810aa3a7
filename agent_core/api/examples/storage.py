"""Examples of the methods about stored media as a whole. Apart from the methods, so that their rows stay short to read."""

from agent_core.api.schema.params import NoParams
from agent_core.api.schema.storage import CleanupForm, RetentionForm, RetentionParams, StorageInfoForm
from agent_core.media.retention.policy import PolicyType
from agent_core.plugin import MethodExample

__all__ = ("cleanup_old_files", "get_storage_info", "set_retention_policy")

_LIMITS = "Deleted are recordings older than 30 days, snapshots older than 30 days."


def get_storage_info() -> MethodExample:
    info = StorageInfoForm(
        total_space=62_725_623_808,
        used_space=21_474_836_480,
        available_space=38_654_705_664,
        usage_percentage=35.71,
        recordings_size=2_361_000,
        snapshots_size=33_404,
        low_space_warning=False,
        retention=RetentionForm(
            policy_type=PolicyType.MANUAL,
            enabled=False,
            message="No policy was set: the limits of the configuration apply. There is no limit, so nothing is deleted.",
        ),
    )
    return MethodExample(NoParams(), info)


def set_retention_policy() -> MethodExample:
    stored = RetentionForm(
        policy_type=PolicyType.AGE,
        enabled=True,
        max_age_days=30.0,
        message=f"The policy replaces the limits of the configuration. {_LIMITS}",
    )
    return MethodExample(RetentionParams(policy_type=PolicyType.AGE, enabled=True, max_age_days=30.0), stored)


def cleanup_old_files() -> MethodExample:
    cleanup = CleanupForm(
        cleanup_executed=True, files_deleted=0, space_freed=0, message=f"0 files were deleted. {_LIMITS}"
    )
    return MethodExample(NoParams(), cleanup, after=("set_retention_policy",))
