"""Methods about stored media as a whole: their room, and their retention."""

from dataclasses import dataclass

from agent_core.api.examples import storage as examples
from agent_core.api.schema import storage as wire
from agent_core.api.schema.params import NoParams
from agent_core.auth.roles import Role
from agent_core.base.errors import DependencyFailed, InvalidParams
from agent_core.controller import Controller
from agent_core.media.retention import Plan, RetentionPolicy
from agent_core.media.retention.policy import DAY_S, GB, PolicyType
from agent_core.recordings.models import Cleanup, StorageInfo
from agent_core.rpc.table import Caller, Method

__all__ = ("storage_methods",)

#: The limit of each type of policy, then the one that it does not apply; `manual` applies both.
_LIMITS = {PolicyType.AGE: ("max_age_days", "max_size_gb"), PolicyType.SIZE: ("max_size_gb", "max_age_days")}
#: Stands for the policy until one was set.
_NO_POLICY = RetentionPolicy(policy_type=PolicyType.MANUAL, enabled=False)


@dataclass(frozen=True, slots=True)
class _Handlers:
    """Methods about storage."""

    controller: Controller

    async def get_storage_info(self, params: NoParams, caller: Caller) -> wire.StorageInfoForm:
        info = await self.controller.storage_info()
        policy, plan = await self.controller.retention()
        return _storage_info(info, _retention(policy or _NO_POLICY, plan))

    async def set_retention_policy(self, params: wire.RetentionParams, caller: Caller) -> wire.RetentionForm:
        _check(params)
        unapplied = _unapplied(params)
        policy = RetentionPolicy.model_validate(params.model_dump(exclude={unapplied} if unapplied else None))
        plan = await self.controller.set_retention_policy(policy)
        said = _said_of(policy, plan)
        if unapplied:
            said += (
                f" {unapplied} is not applied: it does not belong to the policy_type {policy.policy_type}."
            )
        return _retention(policy, plan, said)

    async def cleanup_old_files(self, params: NoParams, caller: Caller) -> wire.CleanupForm:
        cleanup = await self.controller.clean_up()
        return wire.CleanupForm(
            cleanup_executed=not cleanup.plan.is_empty,
            files_deleted=cleanup.cleaned.freed.files,
            space_freed=cleanup.cleaned.freed.size_bytes,
            message=_said_of_cleanup(cleanup),
        )


def _check(params: wire.RetentionParams) -> None:
    """Check that an enabled policy has the limit of its type. Raises InvalidParams."""
    if not params.enabled or params.policy_type not in _LIMITS:
        return
    needed, _ = _LIMITS[params.policy_type]
    if getattr(params, needed) is None:
        raise InvalidParams(
            f"An enabled policy of the type {params.policy_type} needs {needed}.",
            param=needed,
            rule="required",
            suggestion=f"Add {needed}, or disable the policy.",
        )


def _unapplied(params: wire.RetentionParams) -> str:
    """Return the limit that was sent and does not belong to the type, else "": some clients always send both."""
    _, other = _LIMITS.get(params.policy_type, ("", ""))
    return other if other and getattr(params, other) is not None else ""


def _retention(policy: RetentionPolicy, plan: Plan, said: str = "") -> wire.RetentionForm:
    return wire.RetentionForm(message=said or _said_of(policy, plan), **policy.model_dump())


def _storage_info(info: StorageInfo, retention: wire.RetentionForm) -> wire.StorageInfoForm:
    room = info.room
    usable_bytes = room.used_bytes + room.free_bytes
    return wire.StorageInfoForm(
        total_space=room.total_bytes,
        used_space=room.used_bytes,
        available_space=room.free_bytes,
        usage_percentage=round(100 * room.used_bytes / usable_bytes, 2) if usable_bytes else 100.0,
        recordings_size=info.recordings_bytes,
        snapshots_size=info.snapshots_bytes,
        low_space_warning=info.is_low,
        hours_left=None if info.hours_left is None else round(info.hours_left, 2),
        retention=retention,
    )


def _said_of(policy: RetentionPolicy, plan: Plan) -> str:
    if policy is _NO_POLICY:
        return f"No policy was set: the limits of the configuration apply. {_said(plan)}"
    if not policy.enabled:
        return f"The policy is stored, but disabled: the limits of the configuration apply. {_said(plan)}"
    if policy.policy_type is PolicyType.MANUAL:
        return "Nothing is deleted by itself; cleanup_old_files deletes."
    return f"The policy replaces the limits of the configuration. {_said(plan)}"


def _said(plan: Plan) -> str:
    """Return the limits in force as sentences."""
    said = [f"{kind} older than {age_s / DAY_S:g} days" for kind, age_s in plan.ages_s]
    said += [f"{kind} beyond {count} per camera" for kind, count in plan.counts]
    said += [
        f"the oldest {' and '.join(each.kinds)} beyond {each.max_bytes / GB:g} GB" for each in plan.sizes
    ]
    return f"Deleted are {', '.join(said)}." if said else "There is no limit, so nothing is deleted."


def _said_of_cleanup(cleanup: Cleanup) -> str:
    if cleanup.plan.is_empty:
        return (
            "There is no limit to apply: set one with set_retention_policy, or recordings.max_age_days and "
            "similar keys of the configuration."
        )
    freed = cleanup.cleaned.freed
    said = [f"{freed.files} files were deleted. {_said(cleanup.plan)}"]
    if freed.failed:
        said.append(f"{freed.failed} could not be deleted, the first because of: {freed.fault}")
    if cleanup.doubt:
        said.append(f"{cleanup.doubt} So nothing was deleted by age.")
    return " ".join((*said, *(each.details for each in cleanup.cleaned.problems)))


def storage_methods(controller: Controller) -> list[Method]:
    """Return the rows of the method table."""
    do = _Handlers(controller)
    return [
        Method(
            "get_storage_info",
            Role.ADMIN,
            "Return the used and free space.",
            NoParams,
            wire.StorageInfoForm,
            do.get_storage_info,
            errors=(DependencyFailed,),
            example=examples.get_storage_info,
        ),
        Method(
            "set_retention_policy",
            Role.ADMIN,
            "Set when stored media are deleted.",
            wire.RetentionParams,
            wire.RetentionForm,
            do.set_retention_policy,
            errors=(InvalidParams, DependencyFailed),
            example=examples.set_retention_policy,
        ),
        Method(
            "cleanup_old_files",
            Role.ADMIN,
            "Delete at once what the limits in force exclude.",
            NoParams,
            wire.CleanupForm,
            do.cleanup_old_files,
            errors=(DependencyFailed,),
            example=examples.cleanup_old_files,
        ),
    ]
