"""Methods about storage.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from typing import TYPE_CHECKING, Literal

from agent_core.client.typed import Invokes, InvokesInThread, given

if TYPE_CHECKING:
    from agent_core.client.results.storage import CleanupForm, RetentionForm, StorageInfoForm

__all__ = ("StorageMethods", "SyncStorageMethods")


class StorageMethods(Invokes):
    async def get_storage_info(self) -> "StorageInfoForm":
        """Return the used and free space."""
        from agent_core.client.results.storage import StorageInfoForm

        return await self._invoke(StorageInfoForm, "get_storage_info", {})

    async def set_retention_policy(
        self,
        policy_type: Literal["age", "size", "manual"],
        *,
        enabled: bool,
        max_age_days: float | None = None,
        max_size_gb: float | None = None,
    ) -> "RetentionForm":
        """Set when stored media are deleted.

        Args:
            policy_type: enabled, age needs max_age_days and size max_size_gb; manual: only cleanup_old_files deletes; the limit of another type is accepted and not applied
            enabled: false: the limits of the configuration apply, and not this policy
            max_age_days: age at which recordings and snapshots are deleted
            max_size_gb: most gigabytes (10^9 bytes) of recordings and snapshots together
        """
        from agent_core.client.results.storage import RetentionForm

        return await self._invoke(
            RetentionForm,
            "set_retention_policy",
            given(
                policy_type=policy_type, enabled=enabled, max_age_days=max_age_days, max_size_gb=max_size_gb
            ),
        )

    async def cleanup_old_files(self) -> "CleanupForm":
        """Delete at once what the limits in force exclude."""
        from agent_core.client.results.storage import CleanupForm

        return await self._invoke(CleanupForm, "cleanup_old_files", {})


class SyncStorageMethods(InvokesInThread):
    def get_storage_info(self) -> "StorageInfoForm":
        """Return the used and free space."""
        from agent_core.client.results.storage import StorageInfoForm

        return self._invoke(StorageInfoForm, "get_storage_info", {})

    def set_retention_policy(
        self,
        policy_type: Literal["age", "size", "manual"],
        *,
        enabled: bool,
        max_age_days: float | None = None,
        max_size_gb: float | None = None,
    ) -> "RetentionForm":
        """Set when stored media are deleted.

        Args:
            policy_type: enabled, age needs max_age_days and size max_size_gb; manual: only cleanup_old_files deletes; the limit of another type is accepted and not applied
            enabled: false: the limits of the configuration apply, and not this policy
            max_age_days: age at which recordings and snapshots are deleted
            max_size_gb: most gigabytes (10^9 bytes) of recordings and snapshots together
        """
        from agent_core.client.results.storage import RetentionForm

        return self._invoke(
            RetentionForm,
            "set_retention_policy",
            given(
                policy_type=policy_type, enabled=enabled, max_age_days=max_age_days, max_size_gb=max_size_gb
            ),
        )

    def cleanup_old_files(self) -> "CleanupForm":
        """Delete at once what the limits in force exclude."""
        from agent_core.client.results.storage import CleanupForm

        return self._invoke(CleanupForm, "cleanup_old_files", {})
