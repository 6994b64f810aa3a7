"""Snapshots: captured by the fastest tier that works, converted, stored and announced."""

from agent_core.snapshots.service import SnapshotService
from agent_core.snapshots.store import SnapshotStore

__all__ = ("SnapshotService", "SnapshotStore")
