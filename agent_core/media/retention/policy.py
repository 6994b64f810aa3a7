"""The retention policy that an administrator sets at run time, its file, and the limits that follow from it."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from agent_core.base.errors import LaterState, StateCorrupt, StorageFailed
from agent_core.base.files import StateFile
from agent_core.media.retention.limits import Limits, Plan, Rule

__all__ = (
    "GB",
    "MAX_GB",
    "POLICY_FILE",
    "PolicyFile",
    "PolicyType",
    "RetentionPolicy",
    "bytes_of_gb",
    "planned",
)

#: In the state folder.
POLICY_FILE = "retention.json"
#: Bytes of a gigabyte in the configuration and the policy.
GB = 10**9
#: Most gigabytes that a limit may have: no disk is larger, and the bytes of more may be no number.
MAX_GB = 10**9
DAY_S = 86_400


class PolicyType(StrEnum):
    AGE = "age"
    SIZE = "size"
    MANUAL = "manual"


class RetentionPolicy(BaseModel):
    """Policy for all stored media. While it is enabled, it replaces the limits of the configuration.

    `manual`: nothing is deleted until an administrator asks for it; its limits count then, or else the configured ones.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    policy_type: PolicyType
    enabled: bool
    max_age_days: Annotated[FiniteFloat, Field(gt=0)] | None = None
    max_size_gb: Annotated[FiniteFloat, Field(gt=0, le=MAX_GB)] | None = None


#: Takes the place of a policy that cannot be read.
UNKNOWN = RetentionPolicy(policy_type=PolicyType.MANUAL, enabled=True)


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    policy: RetentionPolicy


def bytes_of_gb(size_gb: float) -> int:
    """Return the bytes of a limit in gigabytes. Cut off instead of rounded, a file of just that size would exceed it."""
    return round(size_gb * GB)


def planned(configured: Mapping[str, Limits], policy: RetentionPolicy | None, *, asked: bool) -> Plan:
    """Return the limits in force.

    Args:
        configured: limits by kind.
        policy: the policy; None if none was ever set.
        asked: True if an administrator asks for the deletion, False if it happens by itself.
    """
    if policy is None or not policy.enabled:
        return _configured(configured)
    if policy.policy_type is PolicyType.MANUAL:
        if not asked:
            return Plan()
        if policy.max_age_days is None and policy.max_size_gb is None:
            return _configured(configured)
    ages_s: tuple[tuple[str, float], ...] = ()
    if policy.max_age_days is not None:
        ages_s = tuple((kind, policy.max_age_days * DAY_S) for kind in configured)
    sizes: tuple[Rule, ...] = ()
    if policy.max_size_gb is not None:
        sizes = (Rule(tuple(configured), bytes_of_gb(policy.max_size_gb)),)
    return Plan(ages_s=ages_s, sizes=sizes)


def _configured(limits: Mapping[str, Limits]) -> Plan:
    return Plan(
        ages_s=tuple((kind, each.max_age_s) for kind, each in limits.items() if each.max_age_s is not None),
        counts=tuple((kind, each.max_count) for kind, each in limits.items() if each.max_count is not None),
        sizes=tuple(
            Rule((kind,), each.max_bytes) for kind, each in limits.items() if each.max_bytes is not None
        ),
    )


class PolicyFile:
    """The policy in a file of the state folder. Every method blocks on the disk.

    Args:
        path: the file.
        require: raises StorageFailed while the file must not be written.
    """

    def __init__(self, path: Path, *, require: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._file = StateFile(path, _Stored, require=require)

    def load(self) -> tuple[RetentionPolicy | None, StateCorrupt | None]:
        """Return the stored policy, None if there is none, and the fault of the file, if any.

        A policy that cannot be read may have been one to keep everything, so `UNKNOWN` takes its place. A file of a
        later version of the agent is left as it is until a policy is set.
        """
        if self._is_damaged():
            return UNKNOWN, _damaged(self._path)
        stored, problem = self._file.load()
        if isinstance(problem, LaterState):
            return UNKNOWN, StateCorrupt(
                f"The retention policy in {self._path.name} is of a later version of the agent ({problem.detail}), "
                "so nothing is deleted by itself.",
                reason=problem.reason,
                suggestion="Upgrade the agent, or set the policy anew with set_retention_policy.",
            )
        if problem is None:
            return (stored.policy if stored else None), None
        return UNKNOWN, _damaged(self._path)

    def _is_damaged(self) -> bool:
        """Return True if an earlier run has moved the damaged file away, and the policy was not set since."""
        return not self._path.exists() and self._path.with_name(f"{self._path.name}.corrupt").exists()

    def save(self, policy: RetentionPolicy) -> None:
        """Store the policy, which an administrator sets: it also replaces one of a later version.

        Raises:
            StorageFailed: it cannot be stored; the file is unchanged.
        """
        try:
            self._file.save(_Stored(policy=policy), over_later=True)
        except StorageFailed as error:
            raise StorageFailed(
                f"The policy was not set: {error.details}",
                reason=error.reason,
                suggestion=error.suggestion,
                detail=error.detail,
            ) from error


def _damaged(path: Path) -> StateCorrupt:
    return StateCorrupt(
        f"The retention policy cannot be read; its file was renamed to {path.name}.corrupt. Nothing is deleted by itself.",
        reason="retention_corrupt",
        suggestion=f"Set the policy anew with set_retention_policy; {path.name}.corrupt may tell what it was.",
    )
